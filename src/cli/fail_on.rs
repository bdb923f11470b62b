//! `--fail-on`: conditions on a run under which the program answers "no".

use anyhow::{anyhow, bail};

use crate::conf::size::byte_string_as_bytes;
use crate::conf::time::{TimeUnit, time_string_as};
use crate::record::columns::{SUMMARY, Unit, Value};
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

    /// Why the condition holds for `run`, if it does.
    pub(super) fn holds(&self, run: &RunRecord) -> Option<String> {
        match self {
            Self::Outcome => (run.outcome != Outcome::Ok)
                .then(|| format!("the application fails ({})", run.outcome.as_str())),
            Self::Budget { text, column, comparison, limit } => {
                let value = match SUMMARY.cell(column, run, run)? {
                    Value::Int(value) => value as f64,
                    Value::Float(value) => value,
                    Value::Text(_) | Value::Absent => return None,
                };
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

fn parse_limit(text: &str, unit: Unit) -> Result<f64, String> {
    if let Ok(number) = text.parse::<f64>()
        && number.is_finite()
    {
        return Ok(number);
    }
    let (parsed, valid) = match unit {
        Unit::Bytes => (byte_string_as_bytes(text).ok().map(|bytes| bytes as f64), "a size, as 1g or 512m"),
        Unit::Ms => (milliseconds(text), "a time, as 500ms or 5min"),
        Unit::Ns => (milliseconds(text).map(|ms| ms * 1e6), "a time, as 500ms or 5min"),
        Unit::None | Unit::Count => (None, "a number"),
    };
    parsed.ok_or_else(|| format!("'{text}' is no limit; valid: {valid}"))
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
            // Not modelled in this record: nothing can be said.
            ("peakRss>1", false),
        ] {
            let condition = Condition::parse(text).expect(text);
            assert_eq!(condition.holds(&run()).is_some(), crossed, "{text}");
        }
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
            ("tasks>many", "valid: a number"),
            ("name>a", "there is no column 'name'"),
        ] {
            let message = Condition::parse(text).expect_err(text).to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
