//! Comparisons summed up: per quantity how many, how far off in the middle, at the 90th percentile and at worst, and which.

use super::{Comparison, Figures};

/// The comparisons of one quantity of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The quantity.
    pub quantity: &'static str,
    /// Rows that have it.
    pub rows: usize,
    /// How they came out.
    pub result: SummaryResult,
}

/// How the comparisons of one quantity came out.
#[derive(Clone, Debug, PartialEq)]
pub enum SummaryResult {
    /// Errors of amounts (relative) or shares (points).
    Errors {
        /// Whether the errors are points of a hundred, not ratios.
        points: bool,
        /// Median.
        median: f64,
        /// Nine of ten rows are within this.
        p90: f64,
        /// Largest.
        worst: f64,
        /// The row with the largest.
        worst_id: String,
        /// Rows measured as 0 but not predicted so: no ratio, counted in none of the above.
        without_ratio: Vec<String>,
    },
    /// Words: the rows where they differ.
    Words {
        /// Row, word measured, word predicted.
        wrong: Vec<(String, String, String)>,
    },
}

/// Sums up by quantity, in the order in which the quantities first come.
pub fn summaries(comparisons: &[Comparison]) -> Vec<Summary> {
    let mut quantities: Vec<&'static str> = Vec::new();
    for comparison in comparisons {
        if !quantities.contains(&comparison.quantity) {
            quantities.push(comparison.quantity);
        }
    }
    let of = |quantity| {
        let rows: Vec<&Comparison> = comparisons.iter().filter(|row| row.quantity == quantity).collect();
        Summary { quantity, rows: rows.len(), result: result(&rows) }
    };
    quantities.into_iter().map(of).collect()
}

fn result(rows: &[&Comparison]) -> SummaryResult {
    if rows.iter().any(|row| row.same_word().is_some()) {
        let wrong = rows.iter().filter_map(|row| match &row.figures {
            Figures::Word { measured, predicted } if measured != predicted => {
                Some((row.id.clone(), measured.clone(), predicted.clone()))
            }
            _ => None,
        });
        return SummaryResult::Words { wrong: wrong.collect() };
    }
    let mut errors: Vec<(f64, &str)> =
        rows.iter().filter_map(|row| row.error().map(|error| (error, row.id.as_str()))).collect();
    errors.sort_by(|a, b| a.0.total_cmp(&b.0));
    let without_ratio = rows.iter().filter(|row| row.error().is_none()).map(|row| row.id.clone()).collect();
    let at = |share: f64| {
        let index = (errors.len() as f64 * share).ceil() as usize;
        errors.get(index.saturating_sub(1)).map_or(f64::NAN, |error| error.0)
    };
    let worst = errors.last().copied().unwrap_or((f64::NAN, ""));
    SummaryResult::Errors {
        points: rows.iter().any(|row| matches!(row.figures, Figures::Share { .. })),
        median: at(0.5),
        p90: at(0.9),
        worst: worst.0,
        worst_id: worst.1.to_owned(),
        without_ratio,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_keep_their_order_and_words_name_their_misses() {
        let mut rows: Vec<Comparison> = (1..=10)
            .map(|n| Comparison::amount(&format!("r{n}"), "cost", 10.0, 10.0 + f64::from(n)))
            .collect();
        rows.push(Comparison::word("r1", "outcome", "ok", "ok"));
        rows.push(Comparison::word("r2", "outcome", "ok", "oom"));
        rows.push(Comparison::amount("r11", "cost", 0.0, 1.0));
        let found = summaries(&rows);
        assert_eq!((found[0].quantity, found[0].rows), ("cost", 11));
        let SummaryResult::Errors { points, median, p90, worst, worst_id, without_ratio } = &found[0].result
        else {
            panic!("amounts")
        };
        assert_eq!((*points, *median, *p90, *worst, worst_id.as_str()), (false, 0.5, 0.9, 1.0, "r10"));
        assert_eq!(without_ratio, &["r11"]);
        let wrong = vec![("r2".to_owned(), "ok".to_owned(), "oom".to_owned())];
        assert_eq!(found[1].result, SummaryResult::Words { wrong });
    }
}
