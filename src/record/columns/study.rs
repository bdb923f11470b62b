//! Columns of a study: `sweep.csv` and `sweep-summary.csv`. The keys that a study varies stand behind `point` (and
//! `replication`) under their own names.

use super::{Column, Table, Unit, Value, column, int, int_or_absent};
use crate::record::study::{MeasureSummary, PointSummary, SweepRow};

/// One row a run of a study.
pub static SWEEP: Table<SweepRow> = Table {
    name: "sweep",
    doc: "One row a run, by point and replication: these columns, the varied settings under their own names behind \
          `replication`, and at the end all columns of summary.",
    lead: &[
        column(
            "point",
            Unit::None,
            "Number of the point, from 0; the last of several `--vary` changes fastest.",
            |_, r| int(r.point),
        ),
        column(
            "replication",
            Unit::None,
            "Number of the replication, from 0; the same number means the same draws at every point.",
            |_, r| int(r.replication),
        ),
        column(
            "allocatedMemory",
            Unit::Bytes,
            "Memory that the executors take: their containers, or heaps and off-heap pools where nothing limits them.",
            |_, r| int_or_absent(r.allocated_memory),
        ),
    ],
    metrics: None,
    tail: &[],
};

fn float_or_absent(value: Option<f64>) -> Value<'static> {
    value.filter(|value| value.is_finite()).map_or(Value::Absent, Value::Float)
}

fn measure(point: &PointSummary, at: usize) -> Option<MeasureSummary> {
    point.measures[at]
}

macro_rules! measures {
    ($($at:literal $name:literal $unit:ident;)*) => {
        &[
            column("point", Unit::None, "Number of the point, from 0.", |_, p: &PointSummary| int(p.point)),
            column("runs", Unit::Count, "Replications.", |_, p| int(p.runs)),
            column("okShare", Unit::None, "Share of them that ended well.", |_, p| share(p, 0)),
            column("okShareLow", Unit::None, "Lower end of the interval of that share (Wilson).", |_, p| {
                float_or_absent(p.ok_interval.map(|i| i.0))
            }),
            column("okShareHigh", Unit::None, "Upper end of the interval of that share (Wilson).", |_, p| {
                float_or_absent(p.ok_interval.map(|i| i.1))
            }),
            column("allocatedMemory", Unit::Bytes, "Memory that the executors take.", |_, p| {
                int_or_absent(p.allocated_memory)
            }),
            $(
                column($name, Unit::$unit, concat!("Mean of `", $name, "` over the replications that ended well."), |_, p| {
                    float_or_absent(measure(p, $at).map(|m| m.mean))
                }),
                column(concat!($name, "Sd"), Unit::$unit, "Standard deviation of it (n - 1).", |_, p| {
                    float_or_absent(measure(p, $at).and_then(|m| m.deviation))
                }),
                column(concat!($name, "Low"), Unit::$unit, "Lower end of the interval of the mean (Student's t).", |_, p| {
                    float_or_absent(measure(p, $at).and_then(|m| m.interval).map(|i| i.0))
                }),
                column(concat!($name, "High"), Unit::$unit, "Upper end of the interval of the mean (Student's t).", |_, p| {
                    float_or_absent(measure(p, $at).and_then(|m| m.interval).map(|i| i.1))
                }),
            )*
        ]
    };
}

fn share(point: &PointSummary, at: usize) -> Value<'static> {
    if point.runs == 0 {
        return Value::Absent;
    }
    Value::Float(point.outcomes[at] as f64 / point.runs as f64)
}

macro_rules! shares {
    ($($at:literal $name:literal;)*) => {
        &[
            column("wallMsMedian", Unit::Ms, "Median of `wallMs` over the replications that ended well.", |_, p: &PointSummary| {
                float_or_absent(p.wall_median)
            }),
            column("wallMsP95", Unit::Ms, "95th percentile of `wallMs` over the replications that ended well.", |_, p| {
                float_or_absent(p.wall_p95)
            }),
            column(
                "pAgainstBest",
                Unit::None,
                "Chance of a difference of `wallMs` to the best point as large as this if there were none: paired t test, \
                 Holm's correction over all points.",
                |_, p| float_or_absent(p.p_against_best),
            ),
            $(
                column(concat!("share_", $name), Unit::None, concat!("Share of the replications that ended as `", $name, "`."), |_, p| {
                    share(p, $at)
                }),
            )*
        ]
    };
}

static LEAD: &[Column<PointSummary>] = measures! {
    0 "wallMs" Ms;
    1 "executorRunTime" Ms;
    2 "executorCpuTime" Ns;
    3 "jvmGcTime" Ms;
    4 "memoryBytesSpilled" Bytes;
    5 "diskBytesSpilled" Bytes;
    6 "peakExecutionMemoryMax" Bytes;
    7 "peakHeapUsed" Bytes;
    8 "peakRss" Bytes;
    9 "blocksDropped" Count;
    10 "blocksRecomputed" Count;
    11 "failedTasks" Count;
};

static TAIL: &[Column<PointSummary>] = shares! {
    0 "ok";
    1 "heap_oom";
    2 "gc_overhead";
    3 "spark_oom";
    4 "container_killed";
    5 "host_oom_killed";
    6 "max_result_size";
    7 "driver_oom";
    8 "disk_full";
    9 "timeout";
    10 "refused";
    11 "other";
};

/// One row a point of a study.
pub static SWEEP_SUMMARY: Table<PointSummary> = Table {
    name: "sweep-summary",
    doc: "One row a point, over its replications: these columns, and the varied settings under their own names behind `point`. \
          Intervals are of the confidence that was asked for, 95 % unless said. Times and bytes are over the replications \
          that ended well.",
    lead: LEAD,
    metrics: None,
    tail: TAIL,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::columns::SUMMARY;
    use crate::record::study::{MEASURES, OUTCOMES};

    #[test]
    fn columns_are_those_of_the_measures_and_outcomes() {
        let units: Vec<_> = SWEEP_SUMMARY.columns().map(|(name, unit, _)| (name, unit)).collect();
        let means = units.iter().skip(6).step_by(4).take(MEASURES.len());
        for (column, name) in means.zip(MEASURES) {
            assert_eq!(*column, (name, SUMMARY.unit(name).expect("a column of the summary")));
        }
        let shares = &units[units.len() - OUTCOMES.len()..];
        for (column, outcome) in shares.iter().zip(OUTCOMES) {
            assert_eq!(column.0.strip_prefix("share_"), Some(outcome.as_str()));
        }
    }
}
