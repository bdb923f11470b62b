//! Predictions held against logs of real runs.

use serde_json::Value;

use super::{done, refused, scratch, spillcast, text};

const SORT: &str = "tests/data/eventlog/w2-h512-plain35";
const CACHE: &str = "tests/data/eventlog/w4-h800";
const KILLED: &str = "tests/data/eventlog/w6h-lc21cont";
const TOO_LARGE: &str = "tests/data/eventlog/w8c-mr16";

fn json(args: &str) -> Value {
    serde_json::from_str(&done(args).out).expect("JSON")
}

#[test]
fn a_replay_tells_real_and_predicted_of_each_quantity_and_stage() {
    let ran = done(&format!("validate {SORT}"));
    for part in ["RIGHT  the run ended ok, as predicted", "memoryBytesSpilled", "Stages", "3 save at"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let answer = json(&format!("validate {SORT} --json"));
    let replay = &answer["replays"]["comparisons"][0];
    // As Spark's history server adds them up.
    assert_eq!(replay["quantities"]["memoryBytesSpilled"]["real"], 377484480.0);
    assert_eq!(replay["quantities"]["tasks"]["real"], 53.0);
    assert_eq!(replay["stages"].as_array().map(Vec::len), Some(4));
    assert_eq!(answer["pairs"]["comparisons"].as_array().map(Vec::len), Some(0));
    // Nobody polled the pools of this run.
    assert!(replay["quantities"].get("peakOnHeapExecution").is_none(), "{replay}");
}

/// Endings are read off the log: jobs that failed, executors that were killed.
#[test]
fn endings_and_the_cache_are_read_off_the_log() {
    for (log, outcome) in [(KILLED, "container_killed"), (TOO_LARGE, "max_result_size"), (CACHE, "ok")] {
        let answer = json(&format!("validate {log} --json"));
        assert_eq!(answer["replays"]["comparisons"][0]["outcome"]["real"], outcome, "{log}");
    }
    let answer = json(&format!("validate {CACHE} --json"));
    let cache = &answer["replays"]["comparisons"][0]["quantities"];
    assert_eq!(cache["blocksDropped"]["real"], 45.0);
    // Blocks that went to disk come back without an event: the log cannot tell what is in memory at the end.
    assert!(cache.get("cachedBlocksMemory").is_none(), "{cache}");
}

#[test]
fn many_logs_come_to_a_summary_and_every_error_to_a_file() {
    let folder = scratch();
    let file = folder.path().join("errors.csv");
    let ran = done(&format!("validate {SORT} {CACHE} {KILLED} {TOO_LARGE} --csv {}", text(&file)));
    assert!(ran.out.starts_with("4 replays of logs under their own configuration"), "{}", ran.out);
    assert!(ran.out.contains("Ending right 4 of 4;"), "{}", ran.out);
    let csv = std::fs::read_to_string(&file).expect("written");
    assert!(csv.starts_with("base,target,stageId,quantity,real,predicted,"), "{csv}");
    assert!(csv.contains(&format!("{SORT},{SORT},3,memoryBytesSpilled,377484480,")), "{csv}");
    refused(&format!("validate {SORT} --csv {}", text(&file)), &["is already there; --force replaces it"]);
}

/// A folder of logs: each is replayed, and predicted from those of the same application.
#[test]
fn logs_of_one_application_are_found_in_a_folder() {
    let folder = scratch();
    for name in ["first", "second"] {
        let inner = folder.path().join(name);
        std::fs::create_dir(&inner).expect("a folder");
        std::fs::copy(format!("{SORT}/local-1795260637483.gz"), inner.join("log.gz")).expect("copied");
    }
    std::fs::copy(format!("{TOO_LARGE}/local-1795259517125.zstd"), folder.path().join("local-1.zstd"))
        .expect("copied");
    std::fs::write(folder.path().join("application_1_1"), "not a log\n").expect("written");
    let ran = done(&format!("validate {} --json", text(folder.path())));
    assert!(ran.err.contains("left out: "), "{}", ran.err);
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    let names = |list: &str| -> Vec<String> {
        let list = answer[list]["comparisons"].as_array().expect("a list");
        list.iter().map(|c| format!("{} {}", c["base"], c["target"]).replace('"', "")).collect()
    };
    assert_eq!(names("replays"), ["first first", "local-1.zstd local-1.zstd", "second second"]);
    assert_eq!(names("pairs"), ["first second", "second first"]);
    assert_eq!(answer["pairs"]["comparisons"][0]["quantities"]["memoryBytesSpilled"]["naiveError"], 0.0);
}

#[test]
fn a_pair_is_scored_beside_the_naive_answer() {
    let folder = scratch();
    let copy = folder.path().join("again");
    std::fs::copy(format!("{SORT}/local-1795260637483.gz"), &copy).expect("copied");
    let ran = done(&format!("validate --base {SORT} --target {}", text(&copy)));
    assert!(ran.out.contains("predicted from"), "{}", ran.out);
    assert!(ran.out.contains("as the base"), "{}", ran.out);
}

#[test]
fn logs_of_different_applications_are_no_pair() {
    let pair = format!("validate --base {SORT} --target {CACHE}");
    refused(&pair, &["are of different applications: one is \"W2\", the other \"W4\"", "--any-application"]);
    done(&format!("{pair} --any-application"));
}

#[test]
fn limits_make_the_answer_no() {
    let code = |condition: &str| {
        let ran = spillcast(["validate", SORT, "--fail-on", condition]);
        (ran.code, ran.err)
    };
    assert_eq!(code("outcome").0, Some(0));
    assert_eq!(code("memoryBytesSpilled>1%").0, Some(0));
    let (number, err) = code("wallMs>0%");
    assert_eq!(number, Some(1));
    assert!(err.contains("--fail-on wallMs>0%: the 90th percentile is "), "{err}");
    assert_eq!(code("wallMs>0").0, Some(2));
}

#[test]
fn what_is_no_log_is_refused() {
    refused("validate", &["<LOG>"]);
    refused("validate scenarios/skewed-aggregation.toml", &["is a scenario, not the log of a run"]);
    refused("validate --base nowhere --target nowhere", &["no such file or folder"]);
    let empty = scratch();
    refused(&format!("validate {}", text(empty.path())), &["an empty directory"]);
}
