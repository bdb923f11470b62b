//! Shows a [`RunRecord`](crate::record::RunRecord): as one JSON object, as CSV files, as text for a terminal and, with the
//! feature `plot`, as pictures; and in `validation` how far predictions are from real runs.
//!
//! Everything here only reads records and writes into what the caller gives it; opening files is left to `cli`. What the
//! columns are called and mean is declared in [`crate::record::columns`].

pub mod compare;
pub mod csv;
pub mod json;
#[cfg(feature = "plot")]
pub mod plot;
pub mod sweep;
pub mod table;
mod table_hosts;
mod text;
pub mod trace;
#[cfg(feature = "experiment")]
pub mod validation;
#[cfg(feature = "experiment")]
pub mod why;

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod tests {
    use super::fixture;
    use crate::record::columns;

    #[test]
    fn the_page_of_columns_is_fresh() {
        fixture::check_file("docs/columns.md", &columns::markdown());
    }
}
