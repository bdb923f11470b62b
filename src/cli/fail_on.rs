//! `--fail-on`: conditions on a run, or on the errors of predictions, under which the program answers "no".

use anyhow::{anyhow, bail};

use crate::conf::size::byte_string_as_bytes;
use crate::conf::time::{TimeUnit, time_string_as};
use crate::experiment::score::{Measure, QUANTITIES};
use crate::experiment::summary::Summary;
use crate::record::columns::{SUMMARY, Unit, total_of, totals_modelled};
use crate::record::{Outcome, RunRecord};

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// The simulated application fails.
    Outcome,
    /// A column of the summary crosses a limit, in the column's unit.
    Budget { text: String, column: &'static str, comparison: Comparison, limit: f64 },
}

/// How a column is compared with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// Two characters before one, so that `>=` is not read as `>`.
const COMPARISONS: [(&str, Comparison); 4] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

impl Condition {
    /// Parses `outcome` or `COLUMN>LIMIT`.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if text.trim() == "outcome" {
            return Ok(Self::Outcome);
        }
        let split = |(sign, comparison): &(&str, Comparison)| {
            text.split_once(sign).map(|(column, limit)| (column.trim(), *comparison, limit.trim()))
        };
        let Some((name, comparison, limit)) = COMPARISONS.iter().find_map(split) else {
            bail!("--fail-on {text}: is no condition; valid: outcome, or COLUMN>LIMIT with >, >=, < or <=");
        };
        let numeric = || SUMMARY.columns().filter(|column| column.1 != Unit::None);
        let Some((column, unit, _)) = numeric().find(|column| column.0.eq_ignore_ascii_case(name)) else {
            let names: Vec<&str> = numeric().map(|column| column.0).collect();
            bail!("--fail-on {text}: there is no column '{name}'; valid: {}", names.join(", "));
        };
        let limit = parse_limit(limit, unit).map_err(|why| anyhow!("--fail-on {text}: {why}"))?;
        Ok(Self::Budget { text: text.to_owned(), column, comparison, limit })
    }

    /// Refuses a condition on what is not modelled in `run`: nobody could say whether it holds.
    pub(super) fn check(&self, run: &RunRecord) -> anyhow::Result<()> {
        match self {
            Self::Budget { text, column, .. } if total_of(run, column).is_none() => {
                bail!("{text}: {column} is not modelled here; valid: {}", totals_modelled(run).join(", "))
            }
            Self::Outcome | Self::Budget { .. } => Ok(()),
        }
    }

    /// Why the condition holds for `run`, if it does.
    pub(super) fn holds(&self, run: &RunRecord) -> Option<String> {
        match self {
            Self::Outcome => (run.outcome != Outcome::Ok)
                .then(|| format!("the application fails ({})", run.outcome.as_str())),
            Self::Budget { text, column, comparison, limit } => {
                let value = total_of(run, column)?;
                let crossed = match comparison {
                    Comparison::Above => value > *limit,
                    Comparison::AtLeast => value >= *limit,
                    Comparison::Below => value < *limit,
                    Comparison::AtMost => value <= *limit,
                };
                crossed.then(|| format!("{text}: {column} is {value}"))
            }
        }
    }
}

/// A limit on how wrong predictions may be, of `validate --fail-on`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Limit {
    /// No ending may be predicted wrong.
    Outcome,
    /// The 90th percentile of a quantity's error, in the measure of the quantity.
    Error { text: String, column: &'static str, limit: f64 },
}

/// Parses the conditions of `validate --fail-on`.
pub(super) fn parse_limits(texts: &[String]) -> anyhow::Result<Vec<Limit>> {
    texts.iter().map(|text| Limit::parse(text)).collect()
}

impl Limit {
    fn parse(text: &str) -> anyhow::Result<Self> {
        if text.trim() == "outcome" {
            return Ok(Self::Outcome);
        }
        let Some((name, limit)) = text.split_once('>') else {
            bail!("--fail-on {text}: is no condition; valid: outcome, or QUANTITY>LIMIT, as wallMs>40%");
        };
        let (name, limit) = (name.trim(), limit.trim());
        let Some(quantity) = QUANTITIES.iter().find(|known| known.column.eq_ignore_ascii_case(name)) else {
            let names: Vec<&str> = QUANTITIES.iter().map(|known| known.column).collect();
            bail!("--fail-on {text}: there is no quantity '{name}'; valid: {}", names.join(", "));
        };
        let (number, valid) = match quantity.measure {
            Measure::Relative => {
                let percent = limit.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
                (percent.map(|percent| percent / 100.0), "a share, as 10%")
            }
            Measure::Count => (limit.parse().ok(), "a difference, as 1"),
            Measure::Points => (limit.parse().ok(), "a difference in points, as 3"),
        };
        match number.filter(|number| *number >= 0.0 && number.is_finite()) {
            Some(limit) => Ok(Self::Error { text: text.to_owned(), column: quantity.column, limit }),
            None => bail!("--fail-on {text}: '{limit}' is no limit; valid: {valid}"),
        }
    }

    /// Why the limit is broken, if it is. A quantity without an answer breaks it too.
    pub(super) fn broken_by(&self, summary: &Summary) -> Option<String> {
        match self {
            Self::Outcome => {
                let wrong = summary.wrong_endings.len();
                (wrong > 0).then(|| format!("outcome: {wrong} of {} predicted wrong", summary.comparisons))
            }
            Self::Error { text, column, limit } => {
                let row = summary.rows.iter().find(|row| row.quantity.column == *column)?;
                if row.unanswered > 0 {
                    return Some(format!("{text}: {} of {} have no answer", row.unanswered, row.compared));
                }
                let error = row.errors[1];
                let shown = match row.quantity.measure {
                    Measure::Relative => format!("{:.1} %", error * 100.0),
                    Measure::Count | Measure::Points => format!("{error:.1}"),
                };
                (error > *limit).then(|| format!("{text}: the 90th percentile is {shown}"))
            }
        }
    }
}

fn parse_limit(text: &str, unit: Unit) -> Result<f64, String> {
    if let Some(number) = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0) {
        return Ok(number);
    }
    let (parsed, valid) = match unit {
        Unit::Bytes => (byte_string_as_bytes(text).ok().map(|bytes| bytes as f64), "a size, as 1g or 512m"),
        Unit::Ms => (milliseconds(text), "a time, as 500ms or 5min"),
        Unit::Ns => (milliseconds(text).map(|ms| ms * 1e6), "a time, as 500ms or 5min"),
        Unit::None | Unit::Count => (None, "a number of 0 or more"),
    };
    parsed.filter(|limit| *limit >= 0.0).ok_or_else(|| format!("'{text}' is no limit; valid: {valid}"))
}

fn milliseconds(text: &str) -> Option<f64> {
    time_string_as(text, TimeUnit::Ms).ok().map(|ms| ms as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunRecord {
        let mut run = RunRecord { wall_ns: 300_000_000_000, ..RunRecord::default() };
        run.totals.memory_bytes_spilled = 1 << 30;
        run
    }

    #[test]
    fn budgets_compare_in_the_units_of_their_columns() {
        for (text, crossed) in [
            ("outcome", false),
            ("memoryBytesSpilled>1g", false),
            ("memorybytesspilled >= 1g", true),
            ("memoryBytesSpilled>1073741823", true),
            ("wallMs>4min", true),
            ("wallMs<5min", false),
            ("wallMs<=300000", true),
            ("tasks<1", true),
        ] {
            let condition = Condition::parse(text).expect(text);
            assert_eq!(condition.holds(&run()).is_some(), crossed, "{text}");
        }
        let unknown = Condition::parse("peakRss>1").expect("a condition");
        let refusal = unknown.check(&run()).expect_err("not modelled").to_string();
        assert!(refusal.starts_with("peakRss>1: peakRss is not modelled here; valid: wallMs, "), "{refusal}");
        assert!(!refusal.contains("seed") && !refusal.contains("swapInBytes"), "{refusal}");
        let failed = RunRecord { outcome: Outcome::HeapOom, ..run() };
        assert!(Condition::Outcome.holds(&failed).is_some());
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (text, part) in [
            ("spill", "is no condition"),
            ("spilled>1g", "there is no column 'spilled'; valid: wallMs, "),
            ("memoryBytesSpilled>1.5gb", "'1.5gb' is no limit; valid: a size"),
            ("wallMs>soon", "valid: a time"),
            ("tasks>many", "valid: a number of 0 or more"),
            ("tasks>-1", "'-1' is no limit"),
            ("wallMs<-5min", "'-5min' is no limit"),
            ("name>a", "there is no column 'name'"),
        ] {
            let message = Condition::parse(text).expect_err(text).to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn limits_on_errors_are_shares_differences_or_points() {
        assert_eq!(Limit::parse("outcome").unwrap(), Limit::Outcome);
        for (text, limit) in [("memoryBytesSpilled>10%", 0.1), ("blocksdropped > 2", 2.0), ("gcShare>3", 3.0)]
        {
            let Limit::Error { limit: parsed, .. } = Limit::parse(text).expect(text) else {
                panic!("{text}")
            };
            assert_eq!(parsed, limit);
        }
        for (text, part) in [
            ("wallMs", "is no condition"),
            ("wall>3%", "there is no quantity 'wall'; valid: memoryBytesSpilled, "),
            ("wallMs>3", "'3' is no limit; valid: a share, as 10%"),
            ("blocksDropped>5%", "valid: a difference"),
            ("gcShare>-1", "valid: a difference in points"),
        ] {
            let message = Limit::parse(text).expect_err(text).to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
