//! What a study of many runs keeps of each: its summary without tasks and events; and what is known of a point after all
//! its replications.

use std::borrow::Cow;

use super::columns::{SUMMARY, Value};
use super::{Outcome, RunRecord};

/// Quantities of [`SUMMARY`] that a study sums up over the replications of a point, by the name of their column.
pub const MEASURES: [&str; 12] = [
    "wallMs",
    "executorRunTime",
    "executorCpuTime",
    "jvmGcTime",
    "memoryBytesSpilled",
    "diskBytesSpilled",
    "peakExecutionMemoryMax",
    "peakHeapUsed",
    "peakRss",
    "blocksDropped",
    "blocksRecomputed",
    "failedTasks",
];

/// Every way to end, in the order of the columns of shares.
pub const OUTCOMES: [Outcome; 12] = [
    Outcome::Ok,
    Outcome::HeapOom,
    Outcome::GcOverhead,
    Outcome::SparkOom,
    Outcome::ContainerKilled,
    Outcome::HostOomKilled,
    Outcome::MaxResultSize,
    Outcome::DriverOom,
    Outcome::DiskFull,
    Outcome::Timeout,
    Outcome::Refused,
    Outcome::Other,
];

/// One run of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRow {
    /// Number of its point, from 0.
    pub point: u64,
    /// Number of its replication, from 0.
    pub replication: u32,
    /// Bytes that its executors take; `None` where it does not start.
    pub allocated_memory: Option<u64>,
    /// Its cells in the order of [`SUMMARY`].
    pub summary: Vec<Value<'static>>,
}

impl SweepRow {
    /// What is kept of a run.
    pub fn of(point: u64, replication: u32, allocated_memory: Option<u64>, run: &RunRecord) -> Self {
        let owned = |value| match value {
            Value::Text(text) => Value::Text(Cow::Owned(Cow::into_owned(text))),
            Value::Int(number) => Value::Int(number),
            Value::Float(number) => Value::Float(number),
            Value::Absent => Value::Absent,
        };
        let summary = SUMMARY.cells(run, run).map(|(_, value)| owned(value)).collect();
        Self { point, replication, allocated_memory, summary }
    }

    /// The number in a cell.
    pub fn number(&self, column: usize) -> Option<f64> {
        self.summary.get(column)?.number()
    }

    /// The text in a cell.
    pub fn text(&self, column: usize) -> &str {
        match self.summary.get(column) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

/// Position of a column in [`SweepRow::summary`].
pub fn summary_column(name: &str) -> Option<usize> {
    SUMMARY.columns().position(|column| column.0 == name)
}

/// A quantity over the replications of a point that ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeasureSummary {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; `None` of one replication.
    pub deviation: Option<f64>,
    /// Ends of the interval of the mean; `None` of one replication.
    pub interval: Option<(f64, f64)>,
}

/// What is known of a point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointSummary {
    /// Its number.
    pub point: u64,
    /// Replications.
    pub runs: u64,
    /// Replications by outcome, in the order of [`OUTCOMES`].
    pub outcomes: [u64; 12],
    /// Interval of the share that ended well.
    pub ok_interval: Option<(f64, f64)>,
    /// Bytes that the executors take.
    pub allocated_memory: Option<u64>,
    /// In the order of [`MEASURES`]; `None` where no replication ended well or the quantity is not modelled.
    pub measures: [Option<MeasureSummary>; 12],
    /// Median of `wallMs`.
    pub wall_median: Option<f64>,
    /// 95th percentile of `wallMs`.
    pub wall_p95: Option<f64>,
    /// Chance of a difference to the best point as large as this one if there were none, paired by replication, with Holm's
    /// correction over all points; `None` for the best point itself and where a replication failed.
    pub p_against_best: Option<f64>,
}

impl PointSummary {
    /// Replications that ended well.
    pub fn ok(&self) -> u64 {
        self.outcomes[0]
    }

    /// Mean of `wallMs` over the replications that ended well.
    pub fn wall_ms(&self) -> Option<f64> {
        self.measures[0].map(|measure| measure.mean)
    }

    /// The most frequent way to fail, the earlier of [`OUTCOMES`] among equals; `None` where nothing failed.
    pub fn failure(&self) -> Option<Outcome> {
        let failed = |at: &usize| self.outcomes[*at] > 0;
        (1..OUTCOMES.len())
            .filter(failed)
            .max_by_key(|at| (self.outcomes[*at], OUTCOMES.len() - at))
            .map(|at| OUTCOMES[at])
    }
}

/// What pictures and answers need of a point: little, since a study may have a million.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spot {
    /// Its number.
    pub point: u64,
    /// Every replication ended well.
    pub all_ok: bool,
    /// The most frequent way to fail.
    pub failure: Option<Outcome>,
    /// Mean of `wallMs` over the replications that ended well.
    pub wall_ms: Option<f64>,
    /// Interval of that mean.
    pub interval: Option<(f64, f64)>,
    /// Mean of `memoryBytesSpilled`.
    pub spilled: Option<f64>,
    /// Bytes that the executors take.
    pub allocated_memory: Option<u64>,
}

impl From<&PointSummary> for Spot {
    fn from(summary: &PointSummary) -> Self {
        Self {
            point: summary.point,
            all_ok: summary.ok() == summary.runs,
            failure: summary.failure(),
            wall_ms: summary.wall_ms(),
            interval: summary.measures[0].and_then(|measure| measure.interval),
            spilled: summary.measures[4].map(|measure| measure.mean),
            allocated_memory: summary.allocated_memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::columns::Unit;

    #[test]
    fn every_measure_is_a_number_of_the_summary() {
        for name in MEASURES {
            assert!(summary_column(name).is_some() && SUMMARY.unit(name) != Some(Unit::None), "{name}");
        }
    }

    #[test]
    fn the_most_frequent_failure_is_named() {
        let mut summary = PointSummary::default();
        assert_eq!(summary.failure(), None);
        summary.outcomes[1] = 2;
        summary.outcomes[4] = 2;
        assert_eq!(summary.failure(), Some(Outcome::HeapOom));
        summary.outcomes[4] = 3;
        assert_eq!(summary.failure(), Some(Outcome::ContainerKilled));
    }
}
