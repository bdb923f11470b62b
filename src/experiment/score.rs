//! One prediction against one real run: an error for each quantity that the run tells, and beside it the error of the naive
//! answer that nothing changes.

use crate::record::columns::{STAGES, SUMMARY, Table};
use crate::record::{ErrorRecord, ObservedRun, ObservedStage, Outcome, Quantities, RunRecord, StageRecord};

/// How two values of a quantity are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Difference as a share of the real value; quantities that were really 0 count as right or wrong only.
    Relative,
    /// Difference; above 50, the difference scaled down to that size.
    Count,
    /// Difference of two shares in percent points.
    Points,
}

/// From this many things on, an error in their number counts in proportion: 1 of 50 is the 2 % that matter.
const COUNTS_FROM: f64 = 50.0;

/// A quantity that predictions are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Its column, as in the summary; `gcShare` is made of two.
    pub column: &'static str,
    /// How it is compared.
    pub measure: Measure,
    /// A time: it differs between versions of Spark and between machines whatever the configuration does.
    pub time: bool,
}

/// Share of garbage collection in run time, percent.
pub const GC_SHARE: &str = "gcShare";

const fn quantity(column: &'static str, measure: Measure, time: bool) -> Quantity {
    Quantity { column, measure, time }
}

/// What a run as a whole is judged by, in the order of reports.
pub const QUANTITIES: [Quantity; 14] = [
    quantity("memoryBytesSpilled", Measure::Relative, false),
    quantity("diskBytesSpilled", Measure::Relative, false),
    quantity("peakExecutionMemoryMax", Measure::Relative, false),
    quantity("peakExecutionMemorySum", Measure::Relative, false),
    quantity("shuffleReadBytes", Measure::Relative, false),
    quantity("shuffleWriteBytes", Measure::Relative, false),
    quantity("cachedBlocksMemory", Measure::Count, false),
    quantity("blocksDropped", Measure::Count, false),
    quantity("peakOnHeapExecution", Measure::Relative, false),
    quantity("peakOnHeapStorage", Measure::Relative, false),
    quantity("tasks", Measure::Count, false),
    quantity("executorRunTime", Measure::Relative, true),
    quantity("wallMs", Measure::Relative, true),
    quantity(GC_SHARE, Measure::Points, false),
];

/// What a stage is judged by.
pub const STAGE_QUANTITIES: [Quantity; 8] = [
    quantity("tasks", Measure::Count, false),
    quantity("memoryBytesSpilled", Measure::Relative, false),
    quantity("diskBytesSpilled", Measure::Relative, false),
    quantity("peakExecutionMemoryMax", Measure::Relative, false),
    quantity("shuffleReadBytes", Measure::Relative, false),
    quantity("shuffleWriteBytes", Measure::Relative, false),
    quantity("executorRunTime", Measure::Relative, true),
    quantity("wallMs", Measure::Relative, true),
];

/// The quantity of this column, among those of a run.
pub fn find(column: &str) -> Option<Quantity> {
    QUANTITIES.into_iter().find(|quantity| quantity.column == column)
}

/// A prediction beside what was real.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// The log that the prediction was made from.
    pub base: String,
    /// The log that shows what was real; the base itself in a replay.
    pub target: String,
    /// How the run really ended, and its words.
    pub real: (Outcome, String),
    /// How it was predicted to end, and the words; `None` with the reason in words when no answer was given.
    pub predicted: (Option<Outcome>, String),
    /// How the base run ended.
    pub naive: Outcome,
    /// The real run's log ends while jobs run: nothing can be judged by it.
    pub unfinished: bool,
    /// Totals that are compared.
    pub totals: Vec<ErrorRecord>,
    /// Stages that are compared, with their names; only in replays, where stages keep their numbers, of runs
    /// that ended well.
    pub stages: Vec<(String, Vec<ErrorRecord>)>,
}

/// The naive answer and the names of what is compared.
#[derive(Clone, Copy, Debug)]
pub struct Naive<'a> {
    /// Name of the base log.
    pub base: &'a str,
    /// What the base run did.
    pub base_run: &'a ObservedRun,
    /// Name of the target log.
    pub target: &'a str,
    /// The base is the target.
    pub replay: bool,
}

/// Compares a prediction with the real run. No prediction (`Err` says why) leaves every quantity unanswered.
pub fn compare(naive: Naive<'_>, real: &ObservedRun, predicted: Result<&RunRecord, String>) -> Comparison {
    let same_version = naive.base_run.spark_version == real.spark_version;
    // What a run that died spilled depends on how far it came.
    let compared = |quantity: &&Quantity| real.outcome == Outcome::Ok && (same_version || !quantity.time);
    let run = predicted.as_ref().ok().copied();
    let line = |quantity: &Quantity| {
        let value = of(&real.totals, quantity.column)?;
        let answer = run.and_then(|run| of_record(&SUMMARY, run, run, quantity.column));
        let same = if naive.replay { None } else { of(&naive.base_run.totals, quantity.column) };
        let ranges = run.map_or(&[][..], |run| &run.confidence.ranges);
        let range = ranges.iter().find(|range| range.column == quantity.column);
        let range = range.map(|range| (range.low, range.high));
        Some(ErrorRecord { range, ..record(naive, None, *quantity, value, answer, same) })
    };
    let totals = QUANTITIES.iter().filter(compared).filter_map(line).collect();
    let stages = match run {
        Some(run) if naive.replay && real.outcome == Outcome::Ok => {
            real.stages.iter().filter_map(|stage| stage_comparison(naive, stage, run)).collect()
        }
        _ => Vec::new(),
    };
    Comparison {
        base: naive.base.to_owned(),
        target: naive.target.to_owned(),
        real: (real.outcome, real.reason.clone()),
        predicted: match predicted {
            Ok(run) => (Some(run.outcome), run.reason.clone()),
            Err(why) => (None, why),
        },
        naive: naive.base_run.outcome,
        unfinished: real.unfinished,
        totals,
        stages,
    }
}

fn record(
    naive: Naive<'_>,
    stage_id: Option<u32>,
    quantity: Quantity,
    real: f64,
    predicted: Option<f64>,
    same: Option<f64>,
) -> ErrorRecord {
    ErrorRecord {
        base: naive.base.to_owned(),
        target: naive.target.to_owned(),
        stage_id,
        quantity: quantity.column,
        real,
        predicted,
        range: None,
        naive: same,
        error: predicted.map(|answer| error(real, answer, quantity.measure)),
        naive_error: same.map(|answer| error(real, answer, quantity.measure)),
    }
}

fn stage_comparison(
    naive: Naive<'_>,
    stage: &ObservedStage,
    run: &RunRecord,
) -> Option<(String, Vec<ErrorRecord>)> {
    let attempts: Vec<&StageRecord> = run.stages.iter().filter(|s| s.stage_id == stage.stage_id).collect();
    if attempts.is_empty() {
        return None;
    }
    let line = |quantity: &Quantity| {
        let real = *stage.quantities.get(quantity.column)?;
        let values = attempts.iter().filter_map(|s| of_record(&STAGES, run, s, quantity.column));
        let answer =
            if quantity.column.ends_with("Max") { values.reduce(f64::max) } else { Some(values.sum()) };
        Some(record(naive, Some(stage.stage_id), *quantity, real, answer, None))
    };
    Some((stage.name.clone(), STAGE_QUANTITIES.iter().filter_map(line).collect()))
}

/// The value of a real run.
fn of(quantities: &Quantities, column: &str) -> Option<f64> {
    let value = |column: &str| quantities.get(column).copied();
    if column == GC_SHARE {
        return share(value("jvmGcTime")?, value("executorRunTime")?);
    }
    value(column)
}

/// The value of a simulated row, in the column's unit.
pub fn of_record<R>(table: &Table<R>, run: &RunRecord, row: &R, column: &str) -> Option<f64> {
    let value = |column: &str| table.cell(column, run, row)?.number();
    if column == GC_SHARE {
        return share(value("jvmGcTime")?, value("executorRunTime")?);
    }
    value(column)
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole * 100.0)
}

/// How far `answer` is from `real`.
pub fn error(real: f64, answer: f64, measure: Measure) -> f64 {
    let off = (answer - real).abs();
    match measure {
        Measure::Points => off,
        Measure::Count if real < COUNTS_FROM => off,
        Measure::Count => off / real * COUNTS_FROM,
        Measure::Relative if real == 0.0 => f64::from(u8::from(answer >= 1.0)),
        Measure::Relative => off / real,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shares_differences_or_points() {
        assert_eq!(error(200.0, 150.0, Measure::Relative), 0.25);
        assert_eq!(error(0.0, 0.0, Measure::Relative), 0.0);
        assert_eq!(error(0.0, 5.0, Measure::Relative), 1.0);
        assert_eq!(error(20.0, 23.0, Measure::Count), 3.0);
        assert_eq!(error(500.0, 510.0, Measure::Count), 1.0);
        assert_eq!(error(4.0, 6.5, Measure::Points), 2.5);
    }

    #[test]
    fn a_run_that_died_is_judged_by_its_end_only_and_versions_have_their_own_times() {
        let totals = Quantities::from([("memoryBytesSpilled", 8.0), ("wallMs", 100.0)]);
        let base = ObservedRun {
            spark_version: "4.1.4".to_owned(),
            totals: totals.clone(),
            ..ObservedRun::default()
        };
        let predicted = RunRecord { wall_ns: 150_000_000, ..RunRecord::default() };
        let scored = |real: &ObservedRun| {
            let naive = Naive { base: "a", base_run: &base, target: "b", replay: false };
            compare(naive, real, Ok(&predicted)).totals
        };
        let lines = scored(&base);
        assert_eq!(
            lines.iter().map(|line| line.quantity).collect::<Vec<_>>(),
            ["memoryBytesSpilled", "wallMs"]
        );
        assert_eq!((lines[0].error, lines[0].naive_error), (Some(1.0), Some(0.0)));
        assert_eq!(lines[1].error, Some(0.5));
        let older = ObservedRun { spark_version: "3.5.9".to_owned(), ..base.clone() };
        assert_eq!(scored(&older).len(), 1);
        let died = ObservedRun { outcome: Outcome::HeapOom, ..base.clone() };
        assert_eq!(scored(&died), []);
    }
}
