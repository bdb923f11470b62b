//! Many comparisons in one table: for each quantity the median, the 90th percentile and the worst error, beside those of the
//! naive answer.

use super::score::{Comparison, Measure, QUANTITIES, Quantity};
use crate::record::{ErrorRecord, Outcome};

/// Worst comparisons that a row names.
const WORST: usize = 2;
/// Two runs whose times differ by less than this factor are alike: real runs repeat to 10 to 25 %.
pub const NOISE_FACTOR: f64 = 1.3;

/// What many comparisons come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Comparisons.
    pub comparisons: usize,
    /// Comparisons without an answer: base, target, why.
    pub unanswered: Vec<(String, String, String)>,
    /// The class of the ending was right.
    pub outcome_right: usize,
    /// Whether the run dies was right.
    pub died_right: usize,
    /// The run died and was said to end well.
    pub said_ok: usize,
    /// The base run's ending was the right answer.
    pub naive_right: usize,
    /// Endings that were not as predicted: base, target, predicted, real.
    pub wrong_endings: Vec<(String, String, Option<Outcome>, Outcome)>,
    /// Runs that ended well, and among them those where spill or no spill was right; and where the naive answer was.
    pub spill_or_not: (usize, usize, usize),
    /// Pairs of targets of one base whose times differ by more than the noise, and those called in the right order.
    pub order: (usize, usize),
    /// Row after row.
    pub rows: Vec<SummaryRow>,
}

/// Errors of one quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryRow {
    /// Which.
    pub quantity: Quantity,
    /// Comparisons that have it.
    pub compared: usize,
    /// Those without an answer.
    pub unanswered: usize,
    /// Median, 90th percentile and largest error.
    pub errors: [f64; 3],
    /// Median and 90th percentile of the naive answer; `None` in replays.
    pub naive: Option<[f64; 2]>,
    /// How well the ranges held; `None` in replays, which the ranges know.
    pub ranges: Option<Coverage>,
    /// The worst, worst first.
    pub worst: Vec<ErrorRecord>,
}

/// How often the real value lay in the range that was expected, and how wide the ranges are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// Predictions with a range.
    pub ranges: usize,
    /// Those whose range holds the real value.
    pub hold: usize,
    /// Median width as a share of the real value; ranges without a high end are left out.
    pub width: f64,
}

/// A value at the end of a range is in it even when rounding moved it by this share.
const ROUNDING: f64 = 1e-3;

fn coverage(lines: &[&ErrorRecord]) -> Option<Coverage> {
    let ranged: Vec<(&ErrorRecord, f64, Option<f64>)> = lines
        .iter()
        .filter(|line| line.base != line.target)
        .filter_map(|line| line.range.map(|(low, high)| (*line, low, high)))
        .collect();
    let holds = |(line, low, high): &&(&ErrorRecord, f64, Option<f64>)| {
        let slack = line.real * ROUNDING;
        // A log's peaks of pools are polled: what lasted shorter than the interval is missing, so that they may be lower.
        let polled = line.quantity.starts_with("peakOn") || line.quantity.starts_with("peakOff");
        (polled || line.real >= low - slack) && high.is_none_or(|high| line.real <= high + slack)
    };
    let width = |(line, low, high): &(&ErrorRecord, f64, Option<f64>)| {
        Some((high.as_ref()? - low) / line.real.max(1.0))
    };
    let widths: Vec<f64> = ranged.iter().filter_map(width).collect();
    (!ranged.is_empty()).then(|| Coverage {
        ranges: ranged.len(),
        hold: ranged.iter().filter(holds).count(),
        width: quantile(&widths, 0.5),
    })
}

/// Puts comparisons together. Runs of which it is not known how they ended are left out.
pub fn summarise(comparisons: &[Comparison]) -> Summary {
    let judged = || comparisons.iter().filter(|found| !found.unfinished);
    let mut summary = Summary { comparisons: judged().count(), ..Summary::default() };
    for found in judged() {
        let (real, predicted) = (found.real.0, found.predicted.0);
        let names = || (found.base.clone(), found.target.clone());
        if predicted.is_none() {
            let (base, target) = names();
            summary.unanswered.push((base, target, found.predicted.1.clone()));
        }
        summary.outcome_right += usize::from(predicted == Some(real));
        let died = predicted.map(|outcome| outcome != Outcome::Ok);
        summary.died_right += usize::from(died == Some(real != Outcome::Ok));
        summary.said_ok += usize::from(predicted == Some(Outcome::Ok) && real != Outcome::Ok);
        summary.naive_right += usize::from(found.naive == real);
        if predicted != Some(real) {
            let (base, target) = names();
            summary.wrong_endings.push((base, target, predicted, real));
        }
        if let Some(spill) = line(found, "memoryBytesSpilled") {
            let spills = |value: Option<f64>| value.map(|value| value > 0.0);
            summary.spill_or_not.0 += 1;
            summary.spill_or_not.1 += usize::from(spills(spill.predicted) == spills(Some(spill.real)));
            summary.spill_or_not.2 += usize::from(spills(spill.naive) == spills(Some(spill.real)));
        }
    }
    summary.order = order(comparisons);
    summary.rows = QUANTITIES.iter().filter_map(|quantity| row(*quantity, comparisons)).collect();
    summary
}

fn line<'a>(found: &'a Comparison, column: &str) -> Option<&'a ErrorRecord> {
    found.totals.iter().find(|line| line.quantity == column)
}

fn row(quantity: Quantity, comparisons: &[Comparison]) -> Option<SummaryRow> {
    // Where nothing really spilled, an amount is right or wrong, and that is a row of its own.
    let counts = |line: &&ErrorRecord| quantity.measure != Measure::Relative || line.real > 0.0;
    let lines: Vec<&ErrorRecord> =
        comparisons.iter().filter_map(|found| line(found, quantity.column)).filter(counts).collect();
    if lines.is_empty() {
        return None;
    }
    let mut answered: Vec<&ErrorRecord> = lines.iter().copied().filter(|line| line.error.is_some()).collect();
    let errors: Vec<f64> = answered.iter().filter_map(|line| line.error).collect();
    let naive: Vec<f64> = answered.iter().filter_map(|line| line.naive_error).collect();
    answered.sort_by(|a, b| {
        let by_error = b.error.unwrap_or(0.0).total_cmp(&a.error.unwrap_or(0.0));
        by_error.then_with(|| (&a.base, &a.target).cmp(&(&b.base, &b.target)))
    });
    Some(SummaryRow {
        quantity,
        compared: lines.len(),
        unanswered: lines.len() - answered.len(),
        errors: [0.5, 0.9, 1.0].map(|q| quantile(&errors, q)),
        naive: (!naive.is_empty()).then(|| [0.5, 0.9].map(|q| quantile(&naive, q))),
        ranges: coverage(&answered),
        worst: answered.into_iter().take(WORST).cloned().collect(),
    })
}

/// The value below which a share `q` of the values lies, one that occurred (of an even number the upper middle), unlike
/// `statistics::quantile`, which lies between two; not a number when there is none.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((q * sorted.len() as f64) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Any two targets of one base whose real times differ by more than the noise: how many there are, and in how many of them
/// the prediction calls the right one faster.
fn order(comparisons: &[Comparison]) -> (usize, usize) {
    let timed = |found: &Comparison| Some((line(found, "wallMs")?.real, line(found, "wallMs")?.predicted));
    let (mut all, mut right) = (0, 0);
    for (at, one) in comparisons.iter().enumerate() {
        for two in comparisons[..at].iter().filter(|two| two.base == one.base && one.base != one.target) {
            let (Some((real_one, one)), Some((real_two, two))) = (timed(one), timed(two)) else { continue };
            if real_one.max(real_two) <= NOISE_FACTOR * real_one.min(real_two) {
                continue;
            }
            all += 1;
            let as_real =
                one.zip(two).is_some_and(|(one, two)| one != two && (one > two) == (real_one > real_two));
            right += usize::from(as_real);
        }
    }
    (all, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(target: &str, real: f64, predicted: Option<f64>, naive: f64) -> Comparison {
        let totals = ["memoryBytesSpilled", "wallMs"].map(|quantity| ErrorRecord {
            base: "base".to_owned(),
            target: target.to_owned(),
            quantity,
            real,
            predicted,
            naive: Some(naive),
            error: predicted.map(|p| (p - real).abs() / real),
            naive_error: Some((naive - real).abs() / real),
            ..ErrorRecord::default()
        });
        Comparison {
            base: "base".to_owned(),
            target: target.to_owned(),
            predicted: (predicted.map(|_| Outcome::Ok), String::new()),
            totals: totals.into(),
            ..Comparison::default()
        }
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values = [3.0, 1.0, 2.0, 10.0];
        assert_eq!([0.0, 0.5, 0.9, 1.0].map(|q| quantile(&values, q)), [1.0, 3.0, 10.0, 10.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn rows_hold_the_spread_of_errors_and_name_the_worst() {
        let found = [
            comparison("a", 100.0, Some(110.0), 50.0),
            comparison("b", 200.0, Some(100.0), 50.0),
            comparison("c", 101.0, None, 50.0),
        ];
        let summary = summarise(&found);
        let row = &summary.rows[0];
        assert_eq!((row.compared, row.unanswered), (3, 1));
        assert_eq!(row.errors, [0.5, 0.5, 0.5]);
        assert_eq!(row.worst[0].target, "b");
        assert_eq!(summary.unanswered.len(), 1);
        assert_eq!((summary.outcome_right, summary.said_ok, summary.naive_right), (2, 0, 3));
        // Of a, b and c, b differs from both; b is called faster than a though it is slower, c has no answer.
        assert_eq!(summary.order, (2, 0));
    }
}
