//! Logs of real SQL applications under settings that choose their joins otherwise, against what Spark 4.1.4 did under those
//! settings: partitions, peak execution memory and spills of each stage, as the event logs of those runs tell.

use std::path::Path;

use spillcast::cluster::{PlanInput, plan};
use spillcast::conf::{Origin, Settings, SparkConf, SparkVersion};
use spillcast::eventlog::{Import, LogPart, import, read_app_log};
use spillcast::record::{Outcome, RunRecord};
use spillcast::sim::{Processes, SimOptions, replan, simulate};
use spillcast::workload::OperatorKind;

const BIG_ORDERS: &str = "w11bigorders-base/local-1795261395639.zstd";
const UNSHIPPED: &str = "w11unshipped-base/local-1795261307982.zstd";
const ORDER_COUNTS: &str = "w11ordercounts-base/local-1795261666065.zstd";

/// A log's application and machines, and its configuration with some of it changed.
pub(crate) fn application(log: &str, changed: &[(&str, &str)]) -> (Import, Settings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/eventlog").join(log);
    let file = std::fs::File::open(path).unwrap();
    let (app_log, notes) = read_app_log([LogPart::new(log.to_owned(), file)]).unwrap();
    let imported = import(&app_log, &notes).unwrap();
    let mut conf = SparkConf::new(SparkVersion::parse(&imported.spark_version).unwrap());
    for (key, value) in &imported.properties {
        conf.set(key, value, Origin::EventLog);
    }
    for (key, value) in changed {
        conf.set(key, value, Origin::Scenario(1));
    }
    let settings = Settings::resolve(&conf).unwrap();
    (imported, settings)
}

pub(crate) fn run(log: &str, changed: &[(&str, &str)]) -> RunRecord {
    let (Import { workload, .. }, settings) = application(log, changed);
    let input = PlanInput { settings: &settings, hosts: &[], yarn: None, python: workload.python };
    let processes = Processes::new(&plan(&input), &settings, &[]).unwrap();
    let record = simulate(&workload, &settings, &processes, SimOptions { seed: 1, details: false });
    assert_eq!(record.outcome, Outcome::Ok, "{}", record.reason);
    record
}

/// Tasks, largest peak and bytes spilled of each stage of the query, sorted: stages have other numbers than Spark's.
fn stages(record: &RunRecord) -> Vec<(u64, u64, u64)> {
    // The first eight jobs of these applications read the schemas of their tables.
    let mut stages: Vec<_> = record.stages[8..]
        .iter()
        .map(|stage| {
            let metrics = &stage.metrics;
            (metrics.tasks, metrics.peak_execution_memory_max, metrics.memory_bytes_spilled)
        })
        .collect();
    stages.sort_unstable();
    stages
}

const NEVER: (&str, &str) = ("spark.sql.autoBroadcastJoinThreshold", "-1");

#[test]
fn three_joins_on_two_keys_are_sorted_where_nothing_is_broadcast() {
    let record = run(BIG_ORDERS, &[NEVER]);
    // The exchange above the join that was a broadcast, two more below it; the last aggregation needs none, as before.
    let expected = [
        (2, 0, 0),
        (2, 0, 0),
        (2, 0, 0),
        (2, 10_485_744, 0),
        (2, 23_068_640, 0),
        (2, 33_554_400, 0),
        (2, 88_080_288, 0),
        (2, 206_569_264, 0),
        (2, 206_569_264, 0),
    ];
    assert_eq!(stages(&record), expected);
    let said = record.confidence.assumed.iter().any(|text| text.contains("compress like"));
    assert!(said, "{:?}", record.confidence.assumed);
}

#[test]
fn without_adaptive_execution_every_exchange_has_the_partitions_of_the_conf() {
    let changed = [
        NEVER,
        ("spark.sql.adaptive.enabled", "false"),
        ("spark.sql.shuffle.partitions", "4"),
        ("spark.driver.memory", "512m"),
    ];
    let record = run(BIG_ORDERS, &changed);
    let joined: Vec<_> = stages(&record).into_iter().filter(|(tasks, ..)| *tasks == 4).collect();
    let [last, customers, orders, sample, result] = joined[..] else { panic!("{joined:?}") };
    assert_eq!((customers, orders), ((4, 7_340_000, 0), (4, 39_845_728, 0)));
    assert_eq!((sample, result), ((4, 72_351_440, 83_885_504), (4, 72_351_440, 83_885_504)));
    assert!(last.1.abs_diff(6_291_424) <= 1 << 20, "a page more or less: {last:?}");
}

#[test]
fn a_join_that_adaptive_execution_made_a_broadcast_is_sorted_again() {
    let record = run(UNSHIPPED, &[NEVER]);
    let peaks: Vec<u64> = stages(&record).iter().map(|(_, peak, _)| *peak).collect();
    // In the same heap and cores as the log; the exchanges of the log are used again.
    assert_eq!(record.totals.shuffle_write_bytes / 1_000_000, 31);
    assert_eq!(peaks.iter().filter(|&&peak| peak == 0).count(), 3, "three stages only write: {peaks:?}");

    let record =
        run(UNSHIPPED, &[("spark.sql.adaptive.enabled", "false"), ("spark.sql.shuffle.partitions", "8")]);
    let eight: Vec<_> = stages(&record).into_iter().filter(|(tasks, ..)| *tasks == 8).collect();
    assert_eq!(eight.len(), 3, "sample, aggregation and sort; the small table is still broadcast: {eight:?}");
    assert!(eight[2].1.abs_diff(43_253_696) < 1 << 20, "{eight:?}");
}

#[test]
fn an_aggregation_on_the_key_of_the_join_needs_no_exchange_of_its_own() {
    let record = run(ORDER_COUNTS, &[NEVER]);
    // Two stages write for the join, one joins and counts, one counts counts and one samples for the sort, one sorts.
    assert_eq!(stages(&record).len(), 6);
    // Two executors of Spark with as many cores in all wrote 8221726 bytes.
    let written = record.totals.shuffle_write_bytes;
    assert!(written.abs_diff(8_221_726) * 100 < 8_221_726 * 15, "{written}");
}

#[test]
fn a_threshold_that_every_table_of_the_log_was_below_changes_nothing() {
    for log in [BIG_ORDERS, UNSHIPPED, ORDER_COUNTS] {
        let (Import { workload, .. }, settings) =
            application(log, &[("spark.sql.autoBroadcastJoinThreshold", "11m")]);
        assert_eq!(replan(&workload, &settings), Ok(None), "{log}");
    }
}

#[test]
fn a_finished_shuffle_below_the_adaptive_threshold_is_broadcast() {
    // Nothing is broadcast before anything runs; the customers' shuffle of 3.0 MB is then. The join is done as in the log,
    // but for that shuffle.
    let (Import { workload, .. }, settings) =
        application(BIG_ORDERS, &[NEVER, ("spark.sql.adaptive.autoBroadcastJoinThreshold", "4m")]);
    let replanned = replan(&workload, &settings).unwrap().expect("the join on the customer changes").workload;
    assert_eq!(replanned.broadcasts, workload.broadcasts);
    assert_eq!(replanned.stages.len(), workload.stages.len() + 1);
    let table = replanned
        .stages
        .iter()
        .find(|stage| matches!(stage.operators.last().unwrap().kind, OperatorKind::Broadcast { .. }));
    let table = table.unwrap();
    assert_eq!(table.operators[0].rows.total(), 75_000);
    assert!(matches!(table.operators[0].kind, OperatorKind::ShuffleRead { .. }), "{:?}", table.operators);
}

#[test]
fn a_query_whose_plan_the_log_cuts_short_is_refused_when_its_joins_would_change() {
    let (Import { mut workload, .. }, settings) = application(BIG_ORDERS, &[NEVER]);
    "the log cut the text of its SortMergeJoin short".clone_into(&mut workload.queries[0].unknown);
    let why = replan(&workload, &settings).unwrap_err();
    assert!(why.starts_with("query of job 8 (") && why.ends_with("SortMergeJoin short"), "{why}");
    let (Import { mut workload, .. }, settings) =
        application(BIG_ORDERS, &[("spark.sql.adaptive.enabled", "false")]);
    "its plan is empty".clone_into(&mut workload.queries[0].unknown);
    let replanned = replan(&workload, &settings).unwrap().expect("an assumption is said");
    assert!(replanned.assumed[0].contains("its joins are left as they ran"), "{:?}", replanned.assumed);
}
