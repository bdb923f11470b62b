//! The range of each predicted quantity: how far it moves when what the log could not tell is somewhat other than assumed,
//! how far the replay of the log missed it, and how far real runs of one configuration lie apart.
//!
//! Causes are taken as independent: their squares add up. Where the log stops before the application does, nothing bounds
//! what comes after, and sums have no highest value.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::score::{GC_SHARE, QUANTITIES, of_record};
use super::uncertainty::{INPUTS, PLACES_OF_KEYS, all_at, keys_elsewhere};
use crate::conf::Settings;
use crate::record::columns::SUMMARY;
use crate::record::{ErrorRecord, Outcome, Range, RunRecord};
use crate::sim::{Processes, SimOptions, partitioning, simulate};
use crate::workload::Workload;

/// What times of one configuration differ by from run to run, up and down: three runs lay 10 to 25 % apart.
const TIME_NOISE: f64 = 0.125;
/// What times differ by where executors, cores or partitions are others than in the log: of 64 real
/// runs predicted from others, nine of ten took 0.6 to 1.65 times the predicted time, where 0.7 to 1.35 are usual.
const OTHER_MACHINES: (f64, f64) = (0.7, 1.5);
/// What shuffle files differ by where partitions are others than in the log: rows compress together with other rows, and each
/// block has a head.
const OTHER_PARTITIONS: (f64, f64) = (0.8, 1.25);
/// Executors' pools are polled: of peaks that last shorter than the interval a log may show nothing. Repeats of one
/// configuration differ by 2 %.
const POOL_NOISE: f64 = 0.02;
/// A cause that moves a quantity by less than this share is not worth a word.
const WORTH_A_WORD: f64 = 0.01;
/// Causes that a range names.
const CAUSES: usize = 3;
/// Events of a run from which on all inputs move together: a run of more takes over a second.
const LONG_RUN: u64 = 1_000_000;

/// A prediction whose ranges are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Predicted<'a> {
    /// The application.
    pub workload: &'a Workload,
    /// The configuration.
    pub settings: &'a Settings,
    /// Where it runs.
    pub processes: &'a Processes,
    /// The seed of the prediction.
    pub seed: u64,
    /// The prediction.
    pub record: &'a RunRecord,
    /// The configuration of the log.
    pub own: &'a Settings,
    /// What the replay of the log came to, quantity by quantity.
    pub replay: &'a [ErrorRecord],
    /// The log ends before the application does.
    pub cut: bool,
}

/// How sure a prediction is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sureness {
    /// By quantity.
    pub ranges: Vec<Range>,
    /// Endings other than the predicted one, with what brings each about.
    pub other_endings: Vec<(Outcome, String)>,
}

/// Runs the application with each uncertain input changed, and puts together what that does.
pub fn sureness(predicted: Predicted<'_>) -> Sureness {
    let runs = variants(predicted);
    let mut endings: BTreeMap<Outcome, String> = BTreeMap::new();
    for (what, run) in runs.iter().filter(|(_, run)| run.outcome != predicted.record.outcome) {
        endings.entry(run.outcome).or_insert_with(|| (*what).to_owned());
    }
    // What a run that died came to says nothing of one that did not.
    let alike: Vec<&(&str, RunRecord)> =
        runs.iter().filter(|(_, run)| run.outcome == predicted.record.outcome).collect();
    let columns = QUANTITIES.iter().filter(|quantity| quantity.column != GC_SHARE);
    let columns = columns.map(|quantity| (quantity.column, quantity.time)).chain([("jvmGcTime", true)]);
    Sureness {
        ranges: columns.filter_map(|(column, time)| range(column, time, predicted, &alike)).collect(),
        other_endings: endings.into_iter().collect(),
    }
}

fn variants(predicted: Predicted<'_>) -> Vec<(&'static str, RunRecord)> {
    let workload = predicted.workload;
    // Under the log's own settings everything acts as it did in the log, known or not.
    if predicted.own == predicted.settings {
        return Vec::new();
    }
    let mut changed: Vec<(&'static str, Workload)> =
        vec![(PLACES_OF_KEYS, keys_elsewhere(workload, predicted.seed))];
    if predicted.record.engine_events > LONG_RUN {
        changed.extend((0..2).map(|end| ("all that the log does not tell", all_at(workload, end))));
    } else {
        let spilled = |line: &ErrorRecord| line.quantity == "diskBytesSpilled" && line.real > 0.0;
        let shown = predicted.replay.iter().any(spilled);
        for input in &INPUTS {
            let factors = input.factors_in(shown);
            changed.extend(factors.map(|factor| (input.what, input.applied(workload, factor))));
        }
    }
    let options = SimOptions { seed: predicted.seed, details: false };
    let run = |(what, workload): (&'static str, Workload)| {
        (what, simulate(&workload, predicted.settings, predicted.processes, options))
    };
    changed.into_par_iter().map(run).collect()
}

fn range(
    column: &'static str,
    time: bool,
    predicted: Predicted<'_>,
    runs: &[&(&str, RunRecord)],
) -> Option<Range> {
    let point = of_record(&SUMMARY, predicted.record, predicted.record, column)?;
    let mut causes: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut blame = |what: String, value: f64| {
        let moved = causes.entry(what).or_default();
        moved.0 = moved.0.max(point - value);
        moved.1 = moved.1.max(value - point);
    };
    for (what, run) in runs {
        if let Some(value) = of_record(&SUMMARY, run, run, column) {
            blame((*what).to_owned(), value);
        }
    }
    if let Some(replay) = predicted.replay.iter().find(|line| line.quantity == column)
        && let Some(said) = replay.predicted
    {
        // What the replay misses by a factor, a prediction may; what it invents or overlooks is an amount.
        let value = if said > 0.0 && replay.real > 0.0 {
            point * replay.real / said
        } else {
            point + replay.real - said
        };
        blame("the replay of the log is off".to_owned(), value.max(0.0));
    }
    if time {
        blame("runs of one configuration differ".to_owned(), point * (1.0 - TIME_NOISE));
        blame("runs of one configuration differ".to_owned(), point * (1.0 + TIME_NOISE));
    }
    let mut by_factor = |what: &str, (low, high): (f64, f64)| {
        blame(what.to_owned(), point * low);
        blame(what.to_owned(), point * high);
    };
    if time && other_machines(predicted) {
        by_factor("executors, cores or partitions are others than in the log", OTHER_MACHINES);
    }
    if column.starts_with("shuffle") && other_machines(predicted) {
        by_factor("partitions are others than in the log", OTHER_PARTITIONS);
    }
    if column.starts_with("peakOn") || column.starts_with("peakOff") {
        by_factor("polling", (1.0 - POOL_NOISE, 1.0 + POOL_NOISE));
    }
    let spread =
        |side: fn(&(f64, f64)) -> f64| causes.values().map(|moved| side(moved).powi(2)).sum::<f64>().sqrt();
    let (down, up) = (spread(|moved| moved.0), spread(|moved| moved.1));
    let mut because: Vec<(f64, String)> = causes
        .into_iter()
        .map(|(what, moved)| (moved.0.max(moved.1), what))
        .filter(|(moved, _)| *moved > WORTH_A_WORD * point)
        .collect();
    because.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut because: Vec<String> = because.into_iter().take(CAUSES).map(|cause| cause.1).collect();
    let unbounded = predicted.cut && predicted.record.outcome == Outcome::Ok;
    if unbounded {
        because.insert(0, "the log ends before the application does".to_owned());
    }
    Some(Range {
        column,
        low: (point - down).max(0.0),
        high: (!unbounded).then_some(point + up),
        grade: grade(column),
        because,
    })
}

/// Executors, cores or what decides partitions are not those of the log.
fn other_machines(predicted: Predicted<'_>) -> bool {
    let now = partitioning(predicted.settings, predicted.processes.default_parallelism);
    predicted.workload.observed.as_ref().is_some_and(|observed| *observed != now)
        || predicted.own.master != predicted.settings.master
}

/// The grade of fidelity that a quantity rests on (design: three grades).
fn grade(column: &str) -> &'static str {
    match column {
        "diskBytesSpilled" | "executorRunTime" | "wallMs" | "jvmGcTime" => "calibrated",
        _ => "mechanistic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{SparkConf, SparkVersion};
    use crate::experiment::place;
    use crate::record::ErrorRecord;
    use crate::scenario;

    const TEXT: &str = "name = \"x\"\n[conf]\n\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"512m\"\n\
        [[table]]\nname = \"t\"\nrows = 4000000\nrow_bytes = 64\npartitions = 4\n\
        [[query]]\nname = \"q\"\nfrom = \"t\"\nsteps = [{ op = \"sort\" }, { op = \"write\" }]\n";

    fn sure(replay: &[ErrorRecord], cut: bool) -> (RunRecord, Sureness) {
        let (scenario, faults) = scenario::parse(TEXT, "x.toml");
        let scenario = scenario.unwrap_or_else(|| panic!("{faults:?}"));
        let mut conf = SparkConf::new(SparkVersion::NEWEST);
        for entry in &scenario.conf {
            conf.set(&entry.key, &entry.value, crate::conf::Origin::Scenario(1));
        }
        let settings = Settings::resolve(&conf).expect("a configuration");
        let mut own = settings.clone();
        own.driver.memory *= 2;
        let placed = place(&settings, &scenario.cluster, &scenario.workload).expect("a place");
        let options = SimOptions { seed: 1, details: false };
        let record = simulate(&scenario.workload, &settings, &placed.processes, options);
        let sure = sureness(Predicted {
            workload: &scenario.workload,
            settings: &settings,
            processes: &placed.processes,
            seed: 1,
            record: &record,
            own: &own,
            replay,
            cut,
        });
        (record, sure)
    }

    fn range<'a>(sure: &'a Sureness, column: &str) -> &'a Range {
        sure.ranges.iter().find(|range| range.column == column).expect(column)
    }

    #[test]
    fn a_range_holds_its_prediction_and_names_what_widens_it() {
        let (record, sure) = sure(&[], false);
        assert_eq!(record.outcome, Outcome::Ok, "{}", record.reason);
        let disk = range(&sure, "diskBytesSpilled");
        let point = record.totals.disk_bytes_spilled as f64;
        assert!(point > 0.0 && disk.low < point && disk.high > Some(point), "{disk:?} around {point}");
        assert!(disk.because.iter().any(|cause| cause == "compression of spill files"), "{disk:?}");
        assert_eq!(disk.grade, "calibrated");
        let wall = range(&sure, "wallMs");
        assert!(wall.low <= record.wall_ns as f64 / 1e6 * (1.0 - TIME_NOISE), "{wall:?}");
    }

    #[test]
    fn what_the_replay_missed_widens_and_a_cut_log_bounds_nothing() {
        let missed = ErrorRecord {
            quantity: "shuffleWriteBytes",
            real: 300.0,
            predicted: Some(100.0),
            ..ErrorRecord::default()
        };
        let (record, sure_of) = sure(&[missed], false);
        let written = range(&sure_of, "shuffleWriteBytes");
        let point = record.totals.shuffle_write_bytes as f64;
        assert!(written.high.is_some_and(|high| high >= 3.0 * point - 1.0), "{written:?} around {point}");
        let (_, sure_of) = sure(&[], true);
        assert!(sure_of.ranges.iter().all(|range| range.high.is_none()));
    }
}
