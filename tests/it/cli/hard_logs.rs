//! Logs that a simulation cannot repeat whole: the answer says what was assumed, is uncertain where it must be, or is
//! refused.

use serde_json::Value;

use super::{done, refused};

const HARD: &str = "tests/data/eventlog/hard";

fn run(log: &str, flags: &str) -> Value {
    let ran = done(&format!("run {HARD}/{log}.zstd --json --quiet {flags}"));
    serde_json::from_str(&ran.out).expect("JSON")
}

#[track_caller]
fn assumes(answer: &Value, part: &str) {
    let assumed = answer["confidence"]["assumed"].as_array().expect("a list");
    let found = assumed.iter().any(|line| line.as_str().is_some_and(|line| line.contains(part)));
    assert!(found, "no {part:?} in {assumed:#?}");
}

fn high(answer: &Value, column: &str) -> Option<f64> {
    answer["confidence"]["ranges"][column]["high"].as_f64()
}

#[test]
fn ranges_hold_the_prediction() {
    let answer = run("parallel", "--driver-memory 1g");
    let ranges = answer["confidence"]["ranges"].as_object().expect("ranges");
    assert!(ranges.len() > 10, "{ranges:?}");
    for (column, range) in ranges {
        let value = answer["totals"][column].as_f64().or(answer[column].as_f64()).expect(column);
        let (low, high) = (range["low"].as_f64().expect("low"), range["high"].as_f64().expect("high"));
        // Times of the JSON are rounded to milliseconds.
        assert!(low <= value + 1.0 && value <= high + 1.0, "{column}: {value} in {range}");
        assert!(range["grade"] == "mechanistic" || range["grade"] == "calibrated", "{range}");
    }
    assert!(high(&answer, "wallMs") > answer["wallMs"].as_f64());
}

#[test]
fn jobs_in_parallel_run_in_parallel() {
    let answer = run("parallel", "");
    assert_eq!(answer["totals"]["tasks"], 15);
    let alone: f64 = answer["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .filter_map(|stage| stage["wallMs"].as_f64())
        .sum();
    assert!(answer["wallMs"].as_f64().is_some_and(|wall| wall < alone), "{answer}");
}

#[test]
fn executors_that_were_lost_are_said() {
    let answer = run("executor_lost", "");
    assert_eq!(answer["outcome"], "ok");
    assumes(&answer, "task attempts failed in this log");
    assumes(&answer, "executors were lost in this log");
    // The log's own time is far above the replay's, and the range knows.
    let replayed = answer["wallMs"].as_f64().expect("a time");
    assert!(high(&answer, "wallMs").is_some_and(|high| high > 1.5 * replayed), "{answer}");
}

#[test]
fn dynamic_allocation_is_said() {
    assumes(&run("dynamic", ""), "dynamic allocation");
}

#[test]
fn attempts_that_failed_are_said() {
    assumes(
        &run("retried", ""),
        "1 task attempts failed in this log (the first: org.apache.spark.api.python.",
    );
}

/// The log's driver died building a broadcast table, before any task probed it. With more heap the driver builds it, and
/// executors that cannot hold it die.
#[test]
fn executors_load_a_table_that_the_log_never_came_to_probe() {
    let outcome = |executor: &str| {
        let flags = format!(
            "--master local-cluster[2,1,{executor}] --driver-memory 2g --executor-memory {executor}m --json --quiet"
        );
        let ran = done(&format!("run tests/data/eventlog/w8b4m-base {flags}"));
        let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
        assumes(&answer, "never ran in this log");
        (answer["outcome"].as_str().expect("an outcome").to_owned(), high(&answer, "wallMs"))
    };
    assert_eq!(outcome("512").0, "heap_oom");
    assert_eq!(outcome("4096"), ("ok".to_owned(), None));
}

/// No setting of memory mends the application's own code.
#[test]
fn a_failure_of_the_users_own_code_comes_again() {
    let answer = run("caught", "--driver-memory 4g");
    assert_eq!(answer["outcome"], "other");
    assert!(answer["reason"].as_str().is_some_and(|text| text.contains("PythonException")), "{answer}");
    assumes(&answer, "it is expected to fail again");
}

#[test]
fn nothing_bounds_what_a_killed_driver_did_not_come_to() {
    let answer = run("driver_killed", "");
    assert_eq!(answer["outcome"], "ok");
    assert_eq!(high(&answer, "wallMs"), None);
    assert_eq!(
        answer["confidence"]["ranges"]["wallMs"]["because"][0],
        "the log ends before the application does"
    );
    let ran = done(&format!("validate {HARD}/driver_killed.zstd"));
    assert!(ran.out.contains("The log ends while jobs run"), "{}", ran.out);
}

/// Events, fields and operators of a vendor's Spark.
#[test]
fn operators_of_a_vendor_are_said() {
    let answer = run("vendor", "");
    assumes(&answer, "operators of other makers than Spark (PhotonGroupingAgg)");
    assumes(&answer, "a meaning for 6 events of other makers (com.vendor.spark.CostUpdate)");
    assert_eq!(answer["totals"]["tasks"], 15);
}

#[test]
fn a_log_without_a_finished_task_is_refused() {
    let folder = super::scratch();
    let head = include_str!("../../data/eventlog/hard/head.json");
    let file = folder.path().join("app.json");
    std::fs::write(&file, head).expect("written");
    refused(&format!("run {}", super::text(&file)), &["no task ended before the log ends"]);
}
