//! The physics under Spark held against measurements: each row of a measured table is predicted from its input columns
//! alone, by the functions that the simulation uses, and compared.
//!
//! One file per table says which columns are input and which are compared. [`table`] reads, `summary` sums up. What is
//! predicted how stands in [`crate::host`].

mod gc;
mod oom;
mod rss;
mod small_host;
pub mod summary;
mod swap;
mod swap_jvm;
pub mod table;

use table::{Table, TableError};

/// Two figures for one quantity.
#[derive(Clone, Debug, PartialEq)]
pub enum Figures {
    /// Amounts, compared as a ratio.
    Amount {
        /// As the table has it.
        measured: f64,
        /// As the model says.
        predicted: f64,
    },
    /// Shares of a whole (0 to 1), compared as a difference.
    Share {
        /// As the table has it.
        measured: f64,
        /// As the model says.
        predicted: f64,
    },
    /// Words, which are the same or not.
    Word {
        /// As the table has it.
        measured: String,
        /// As the model says.
        predicted: String,
    },
}

/// One quantity of one row, measured and predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The row's own name.
    pub id: String,
    /// Name of the quantity, the table's column where there is one.
    pub quantity: &'static str,
    /// What is compared.
    pub figures: Figures,
}

impl Comparison {
    /// An amount.
    pub fn amount(id: &str, quantity: &'static str, measured: f64, predicted: f64) -> Self {
        Self { id: id.to_owned(), quantity, figures: Figures::Amount { measured, predicted } }
    }

    /// A share.
    pub fn share(id: &str, quantity: &'static str, measured: f64, predicted: f64) -> Self {
        Self { id: id.to_owned(), quantity, figures: Figures::Share { measured, predicted } }
    }

    /// A word.
    pub fn word(id: &str, quantity: &'static str, measured: &str, predicted: &str) -> Self {
        let figures = Figures::Word { measured: measured.to_owned(), predicted: predicted.to_owned() };
        Self { id: id.to_owned(), quantity, figures }
    }

    /// How far the prediction is off: relative to what was measured (0.1 is 10 %), or in points of a hundred for shares;
    /// none for words, and none for an amount measured as 0 and predicted as something.
    pub fn error(&self) -> Option<f64> {
        match self.figures {
            Figures::Amount { measured, predicted } if measured == predicted => Some(0.0),
            Figures::Amount { measured: 0.0, .. } | Figures::Word { .. } => None,
            Figures::Amount { measured, predicted } => Some((predicted - measured).abs() / measured.abs()),
            Figures::Share { measured, predicted } => Some((predicted - measured).abs() * 100.0),
        }
    }

    /// Whether the words are the same; none where the figures are numbers.
    pub fn same_word(&self) -> Option<bool> {
        match &self.figures {
            Figures::Word { measured, predicted } => Some(measured == predicted),
            _ => None,
        }
    }
}

/// A kind of table.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Name of the table; its file is called so with `.csv` behind.
    pub name: &'static str,
    /// What one row is.
    pub about: &'static str,
    /// Columns that the file must have.
    pub columns: &'static [&'static str],
    compare: fn(&Table) -> Result<Vec<Comparison>, TableError>,
}

/// The kinds of tables that there are, in the order of their showing.
pub const KINDS: &[Kind] = &[
    gc::KIND,
    gc::DEATH,
    swap::KIND,
    swap_jvm::KIND,
    oom::VICTIMS,
    oom::THRASH,
    small_host::KIND,
    rss::KIND,
];

impl Kind {
    /// Name of the table's file.
    pub fn file(&self) -> String {
        format!("{}.csv", self.name)
    }

    /// Predicts and compares every row of a table of this kind.
    ///
    /// # Errors
    ///
    /// A table that lacks columns, or has a cell that cannot be used.
    pub fn compare(&self, input: impl std::io::Read) -> Result<Vec<Comparison>, TableError> {
        let table = Table::read(&self.file(), input, self.columns)?;
        (self.compare)(&table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_for_amounts_and_points_for_shares() {
        let amount = |measured, predicted| Comparison::amount("a", "x", measured, predicted).error();
        assert_eq!(amount(2.0, 1.0), Some(0.5));
        assert_eq!((amount(0.0, 0.0), amount(0.0, 1.0)), (Some(0.0), None));
        assert_eq!(Comparison::share("a", "x", 0.5, 0.75).error(), Some(25.0));
        let word = Comparison::word("a", "x", "ok", "ok");
        assert_eq!((word.error(), word.same_word()), (None, Some(true)));
    }
}
