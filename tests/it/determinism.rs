//! A run is a pure function of its input: the same log, settings and seed give the same bytes, however often and beside
//! whatever else it runs.

use std::path::Path;

use spillcast::cluster::PlanInput;
use spillcast::conf::{Origin, Settings, SparkConf, SparkVersion};
use spillcast::eventlog::{Import, LogPart, import, read_app_log};
use spillcast::record::RunRecord;
use spillcast::sim::{Processes, SimOptions, simulate};

/// An application that evicts cached blocks, and one with executors apart from the driver, where offers are shuffled.
const LOGS: [&str; 2] = ["w4-h800/local-1795262942417.zstd", "w6h-lc21cont/app-20261121111046-0000.zstd"];

fn run(log: &str, options: SimOptions) -> RunRecord {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/eventlog").join(log);
    let file = std::fs::File::open(path).unwrap();
    let (app_log, notes) = read_app_log([LogPart::new(log.to_owned(), file)]).unwrap();
    let Import { workload, properties, spark_version, .. } = import(&app_log, &notes).unwrap();
    let mut conf = SparkConf::new(SparkVersion::parse(&spark_version).unwrap());
    for (key, value) in &properties {
        conf.set(key, value, Origin::EventLog);
    }
    let settings = Settings::resolve(&conf).unwrap();
    let input = PlanInput { settings: &settings, hosts: &[], yarn: None, python: workload.python };
    let processes = Processes::new(&spillcast::cluster::plan(&input), &settings, &[]).unwrap();
    simulate(&workload, &settings, &processes, options)
}

fn json(record: &RunRecord) -> String {
    let mut json = Vec::new();
    spillcast::report::json::write(record, "app", &mut json).unwrap();
    String::from_utf8(json).unwrap()
}

/// The summary of a run, with every task, event and point of the time line behind it.
fn whole(log: &str) -> String {
    let record = run(log, SimOptions { seed: 7, details: true });
    assert!(!record.tasks.is_empty() && record.timeline.iter().next().is_some(), "{log} ran");
    format!("{}\n{record:#?}", json(&record))
}

#[test]
fn a_run_repeats_to_the_byte() {
    for log in LOGS {
        let first = whole(log);
        assert!(first == whole(log), "{log} differs when it is run again");
    }
}

#[test]
fn two_runs_at_once_do_not_touch_each_other() {
    let alone = LOGS.map(whole);
    let together = std::thread::scope(|scope| {
        LOGS.map(|log| scope.spawn(move || whole(log))).map(|thread| thread.join().unwrap())
    });
    for (log, (alone, together)) in LOGS.iter().zip(alone.iter().zip(&together)) {
        assert!(alone == together, "{log} differs beside another run");
    }
}

#[test]
fn keeping_details_changes_nothing_else() {
    for log in LOGS {
        let [kept, sums] = [true, false].map(|details| json(&run(log, SimOptions { seed: 7, details })));
        assert_eq!(kept, sums, "{log}");
    }
}
