//! Logs of real applications under other configurations: how long the jobs take and what spill files weigh, against what
//! Spark 4.1.4 reported under those configurations.

use spillcast::cluster::{PlanInput, plan};
use spillcast::record::RunRecord;
use spillcast::sim::{Processes, SimOptions, simulate};

use super::joins::application;

/// A query in `local[2]` that takes 9.9 s and does not spill.
const BIG_ORDERS: &str = "w11bigorders-base/local-1795261395639.zstd";

fn run(log: &str, changed: &[(&str, &str)]) -> RunRecord {
    let (imported, settings) = application(log, changed);
    let input = PlanInput { settings: &settings, hosts: &[], yarn: None, python: false };
    let processes = Processes::new(&plan(&input), &settings, &imported.hosts).unwrap();
    simulate(&imported.workload, &settings, &processes, SimOptions { seed: 1, details: false })
}

fn check(what: &str, predicted: f64, real: f64, tolerance: f64) {
    let ratio = predicted / real;
    assert!((ratio - 1.0).abs() <= tolerance, "{what}: {predicted} predicted, {real} in reality: {ratio:.2}");
}

#[test]
fn two_new_jvms_on_the_same_processors_take_twice_as_long() {
    let changed = [
        ("spark.master", "local-cluster[2,1,1024]"),
        ("spark.executor.memory", "1g"),
        ("spark.sql.files.maxPartitionBytes", "16m"),
    ];
    // Times of one configuration repeat to 10 to 25 %.
    check("apart, ms", run(BIG_ORDERS, &changed).wall_ns as f64 / 1e6, 22_315.0, 0.25);
    check("in the driver, ms", run(BIG_ORDERS, &[]).wall_ns as f64 / 1e6, 9_894.0, 0.1);
}

#[test]
fn spill_files_weigh_what_the_shuffle_of_the_same_rows_tells() {
    let totals = run(BIG_ORDERS, &[("spark.driver.memory", "512m")]).totals;
    assert_eq!(totals.memory_bytes_spilled, 394_262_720);
    check("disk bytes spilled", totals.disk_bytes_spilled as f64, 92_369_418.0, 0.15);
}
