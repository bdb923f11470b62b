//! What a real run was seen to do, and how far a prediction is from it. Quantities carry the names and units of the
//! columns of [`super::columns`], so that a prediction is compared column by column.
//!
//! Left out: where the figures come from (`eventlog` reads them off a log) and what they are held against (`experiment`).

use std::collections::BTreeMap;

use super::Outcome;

/// Quantities by the name of their column, in the column's unit.
pub type Quantities = BTreeMap<&'static str, f64>;

/// A real run. What it does not tell is absent, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedRun {
    /// Application name.
    pub name: String,
    /// Spark version, as the run states it.
    pub spark_version: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The first line of what ended it; empty when ok.
    pub reason: String,
    /// The log ends while jobs run and tells no failure: how the run ended is not known.
    pub unfinished: bool,
    /// The log ends before the application would have: it died, was killed, or still ran.
    pub cut: bool,
    /// Totals, by columns of the summary.
    pub totals: Quantities,
    /// Stages, all attempts of each together, by id.
    pub stages: Vec<ObservedStage>,
}

/// A stage of a real run, all its attempts together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedStage {
    /// Spark's stage id.
    pub stage_id: u32,
    /// Name.
    pub name: String,
    /// Its sums and peaks, by columns of the stages.
    pub quantities: Quantities,
}

/// One predicted quantity against the real one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorRecord {
    /// The log that the prediction was made from.
    pub base: String,
    /// The log that shows what was real; the base itself in a replay.
    pub target: String,
    /// The stage; `None` for the whole run.
    pub stage_id: Option<u32>,
    /// Column that is compared; `gcShare` for the share of collection in run time, in percent.
    pub quantity: &'static str,
    /// What was real.
    pub real: f64,
    /// What was predicted.
    pub predicted: Option<f64>,
    /// The range that the real value was expected in; no high end where nothing bounds it.
    pub range: Option<(f64, Option<f64>)>,
    /// The answer "as in the base run".
    pub naive: Option<f64>,
    /// How far the prediction is off, in the measure of the quantity.
    pub error: Option<f64>,
    /// How far the naive answer is off.
    pub naive_error: Option<f64>,
}
