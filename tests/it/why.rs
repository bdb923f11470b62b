//! `spillcast why`: small applications that die of each limit in turn. The ledger adds up, the first change really clears
//! it and the value before it does not, and what is slow is told with what helps.

use serde_json::Value;

use crate::cli::{done, program, ran, scratch, text};

const TABLE: &str = "[[table]]\nname = \"t\"\nrows = 4_000_000\nrow_bytes = 48\nsize = \"150m\"\nfiles = 8\n\
    splittable = false\n";

pub(crate) fn scenario(conf: &str, rest: &str) -> String {
    format!("name = \"x\"\n[conf]\n\"spark.sql.adaptive.enabled\" = \"false\"\n{conf}\n{TABLE}\n{rest}\n")
}

pub(crate) fn query(steps: &str) -> String {
    format!("[[query]]\nname = \"q\"\nfrom = \"t\"\nsteps = [{steps}]\n")
}

pub(crate) const LOCAL: &str = "\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"1g\"\n";
pub(crate) const PODS: &str =
    "\"spark.executor.instances\" = 2\n\"spark.executor.cores\" = 2\n\"spark.executor.memory\" = \"1g\"\n";

/// Asks why of a scenario's text.
pub(crate) fn why(scenario: &str, flags: &str) -> Value {
    let folder = scratch();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, scenario).expect("written");
    let answer = done(&format!("why {} --json --quiet {flags}", text(&file)));
    let value: Value = serde_json::from_str(&answer.out).expect("JSON");
    check(&file, &value);
    value
}

/// Outcome of a run under a change.
fn outcome(file: &std::path::Path, change: &Value) -> String {
    let mut args = vec!["run".to_owned(), text(file).to_owned(), "--json".into(), "--quiet".into()];
    for (key, value) in change.as_object().expect("a change") {
        args.extend(["--conf".to_owned(), format!("{key}={}", value.as_str().expect("a value"))]);
    }
    let output = program().args(&args).output().expect("the program starts");
    let run: Value = serde_json::from_str(&ran(&output).out).expect("JSON");
    let clean = run["totals"]["failedTasks"] == 0;
    let outcome = run["outcome"].as_str().expect("an outcome");
    if outcome == "ok" && !clean { "ok after failures".to_owned() } else { outcome.to_owned() }
}

/// What holds for every answer: ledgers add up, and changes do what they say.
fn check(file: &std::path::Path, answer: &Value) {
    if let Some(fell) = answer.get("fellFirst") {
        let bytes = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number in {fell}"));
        let ledger = fell["ledger"].as_array().expect("a ledger");
        let sum: u64 = ledger.iter().map(|holder| bytes(&holder["bytes"])).sum();
        assert_eq!(sum, bytes(&fell["usedBytes"]), "{fell:#}");
        assert_eq!(bytes(&fell["overBytes"]), sum.saturating_sub(bytes(&fell["limitBytes"])), "{fell:#}");
        assert_eq!(bytes(&fell["overBytes"]) == 0, fell["limit"] == "heartbeat", "{fell:#}");
        let lines = answer["timeline"].as_array().expect("a time line");
        assert!((2..=5).contains(&lines.len()), "{lines:?}");
        let times: Vec<f64> = lines.iter().map(|line| line["timeMs"].as_f64().expect("a time")).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
    for change in answer["changes"].as_array().expect("changes") {
        let said = change["outcome"].as_str().expect("an outcome");
        let after = if change["clean"] == true || said != "ok" { "" } else { " after failures" };
        assert_eq!(outcome(file, &change["change"]), format!("{said}{after}"), "{change}");
        if let Some(not_yet) = change.get("notYet") {
            assert_ne!(outcome(file, not_yet), "ok", "{change}");
        }
    }
}

#[track_caller]
pub(crate) fn holds(answer: &Value, holding: &str) -> u64 {
    let ledger = answer["fellFirst"]["ledger"].as_array().expect("a ledger");
    let bytes =
        ledger.iter().filter(|holder| holder["holding"] == holding).filter_map(|h| h["bytes"].as_u64());
    bytes.sum()
}

/// The value that a setting is changed to, of the change that ends well.
#[track_caller]
pub(crate) fn fix<'a>(answer: &'a Value, setting: &str) -> &'a str {
    let changes = answer["changes"].as_array().expect("changes");
    let found = changes.iter().find(|change| change["setting"] == setting && change["class"] == "none");
    let found = found.unwrap_or_else(|| panic!("no {setting} in {changes:#?}"));
    found["change"][setting].as_str().expect("a value")
}

#[test]
fn a_full_heap_names_the_code_that_fills_it() {
    let text = scenario(LOCAL, &query("{ op = \"map\", heap = \"600m\" }, { op = \"write\" }"));
    let answer = why(&text, "");
    assert_eq!((answer["class"].as_str(), answer["outcome"].as_str()), (Some("javaHeap"), Some("heap_oom")));
    assert_eq!(holds(&answer, "userHeap"), 1200 << 20);
    assert_eq!(fix(&answer, "spark.master"), "local[1]");
    let heap: u64 = fix(&answer, "spark.driver.memory").trim_end_matches('m').parse().expect("MiB");
    let needed = answer["fellFirst"]["usedBytes"].as_u64().expect("bytes") >> 20;
    assert!((needed..needed + needed / 16).contains(&heap), "{heap} for {needed}");
    assert!(answer.get("runnerUp").is_none(), "no other limit in bytes was near: {answer:#}");
}

/// Asks why of a real log.
pub(crate) fn why_log(run: &str) -> Value {
    let folder = format!("tests/data/eventlog/{run}");
    let answer = done(&format!("why {folder} --json --quiet"));
    let value: Value = serde_json::from_str(&answer.out).expect("JSON");
    check(std::path::Path::new(&folder), &value);
    value
}

#[test]
fn a_list_of_one_hot_key_is_not_split_by_partitions() {
    let answer = why_log("w10g10m-h768");
    assert_eq!(answer["class"], "javaHeap");
    let changes = answer["changes"].as_array().expect("changes");
    assert!(changes.iter().all(|change| change["setting"] != "spark.sql.shuffle.partitions"), "{changes:#?}");
    assert_eq!(answer["hotKeyShare"], 1.0);
    fix(&answer, "spark.driver.memory");
}

#[test]
fn logs_of_runs_that_died_die_of_the_same() {
    for (run, class, limit) in [
        ("w8c-mr16", "driverResult", "resultSize"),
        ("w8b4m-base", "driverHeap", "driverHeap"),
        ("w6h-lc21cont", "containerLimit", "container"),
        ("w10g10m-h768", "javaHeap", "heap"),
    ] {
        let answer = why_log(run);
        assert_eq!(
            (answer["class"].as_str(), answer["fellFirst"]["limit"].as_str()),
            (Some(class), Some(limit))
        );
        assert!(answer["changes"].as_array().is_some_and(|changes| !changes.is_empty()), "{answer:#}");
    }
}

#[test]
fn a_relation_that_cannot_spill_is_spark_s_own_out_of_memory() {
    let rest = format!(
        "[[table]]\nname = \"u\"\nrows = 6_000_000\nrow_bytes = 64\nsize = \"200m\"\nfiles = 4\n{}",
        query("{ op = \"join\", with = \"u\", kind = \"shuffled_hash\" }, { op = \"write\" }")
    );
    let conf = format!("{LOCAL}\"spark.sql.shuffle.partitions\" = 2\n");
    let answer = why(&scenario(&conf, &rest), "");
    assert_eq!(
        (answer["class"].as_str(), answer["outcome"].as_str()),
        (Some("sparkOutOfMemory"), Some("spark_oom"))
    );
    let fell = &answer["fellFirst"];
    assert_eq!(fell["limit"], "taskShare");
    let stays = fell["ledger"].as_array().expect("a ledger").iter();
    assert!(
        stays.clone().any(|holder| holder["stays"] == true && holder["holding"] == "execution"),
        "{fell:#}"
    );
    assert!(holds(&answer, "asked") > 0 && fell["poolBytes"].as_u64() > Some(0) && fell["activeTasks"] == 2);
    fix(&answer, "spark.sql.shuffle.partitions");
    fix(&answer, "spark.driver.memory");
}

#[test]
fn a_killed_container_is_told_by_who_kills_it() {
    let steps = query("{ op = \"python\", worker_memory = \"900m\" }, { op = \"write\" }");
    let local = "\"spark.master\" = \"local-cluster[2,2,1024]\"\n\"spark.executor.memory\" = \"1g\"\n\
                 \"spillcast.containerLimit\" = \"1400m\"\n";
    let cases = [
        (
            format!("\"spark.master\" = \"yarn\"\n{PODS}"),
            "yarnCheck",
            "spark.executor.memoryOverhead",
            "YARN",
        ),
        (
            format!("\"spark.master\" = \"k8s://https://host\"\n{PODS}"),
            "podLimit",
            "spark.executor.memoryOverhead",
            "137",
        ),
        (local.to_owned(), "containerLimit", "spillcast.containerLimit", "137"),
    ];
    for (conf, class, setting, word) in cases {
        let answer = why(&scenario(&conf, &steps), "");
        assert_eq!((answer["class"].as_str(), &answer["outcome"]), (Some(class), &"container_killed".into()));
        assert_eq!(answer["fellFirst"]["limit"], "container");
        assert_eq!(holds(&answer, "python"), 1800 << 20, "{class}");
        assert!(answer["reason"].as_str().expect("a reason").contains(word), "{answer:#}");
        fix(&answer, setting);
    }
}

#[test]
fn results_too_large_for_the_driver_need_no_heap_of_executors() {
    let conf = format!("{LOCAL}\"spark.driver.maxResultSize\" = \"20m\"\n");
    let answer = why(&scenario(&conf, &query("{ op = \"collect\" }")), "");
    assert_eq!(
        (answer["class"].as_str(), &answer["outcome"]),
        (Some("driverResult"), &"max_result_size".into())
    );
    assert_eq!(answer["changes"].as_array().map(Vec::len), Some(1));
    let size: u64 = fix(&answer, "spark.driver.maxResultSize").trim_end_matches('m').parse().expect("MiB");
    assert!((92..=100).contains(&size), "{size}: four million rows of 48 bytes, halved, are 92 MiB");
}

#[test]
fn a_broadcast_too_large_for_the_driver_names_the_relation() {
    let rest = format!(
        "[[table]]\nname = \"u\"\nrows = 20_000_000\nrow_bytes = 40\nsize = \"600m\"\nfiles = 8\n{}",
        query("{ op = \"join\", with = \"u\", kind = \"broadcast\" }, { op = \"write\" }")
    );
    let conf = format!("{LOCAL}\"spark.driver.maxResultSize\" = \"8g\"\n");
    let answer = why(&scenario(&conf, &rest), "");
    assert_eq!(answer["class"], "driverHeap", "{answer:#}");
    assert!(holds(&answer, "relation") > holds(&answer, "collected"), "{answer:#}");
    fix(&answer, "spark.driver.memory");
}

#[test]
fn a_missed_heartbeat_names_the_pause_and_what_it_walked() {
    let file = std::path::Path::new("scenarios/long-pauses.toml");
    let answer = done("why scenarios/long-pauses.toml --json --quiet");
    let answer: Value = serde_json::from_str(&answer.out).expect("JSON");
    check(file, &answer);
    assert_eq!(
        (answer["class"].as_str(), answer["outcome"].as_str()),
        (Some("heartbeatTimeout"), Some("timeout"))
    );
    let fell = &answer["fellFirst"];
    let ms = |key: &str| fell[key].as_f64().expect("a time");
    assert!(ms("timeoutMs") < ms("silentMs") && ms("silentMs") < ms("pauseMs"), "{fell:#}");
    assert_eq!(holds(&answer, "userHeap"), 180 << 30);
    assert_eq!(fix(&answer, "spillcast.collector"), "G1");
    let seconds: u64 = fix(&answer, "spark.network.timeout").trim_end_matches('s').parse().expect("seconds");
    assert!((120..=200).contains(&seconds), "{seconds}");
    let page = done("why scenarios/long-pauses.toml --quiet").out;
    for part in ["heartbeat timeout", "stops for a collection of", "the driver gives up executor"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // Set by itself, the executors' time-out is the one that counts, whatever its value.
    const OWN: &str = "spark.storage.blockManagerHeartbeatTimeoutMs";
    let answer = done(&format!("why scenarios/long-pauses.toml --json --quiet --conf {OWN}=120s"));
    let answer: Value = serde_json::from_str(&answer.out).expect("JSON");
    assert_eq!(fix(&answer, OWN), format!("{seconds}s"));
}

#[test]
fn until_clean_follows_the_failures_behind_the_first() {
    let rest = format!(
        "{}{}",
        query("{ op = \"python\", worker_memory = \"900m\" }, { op = \"write\" }"),
        "[[query]]\nname = \"later\"\nfrom = \"t\"\nsteps = [{ op = \"map\", heap = \"600m\" }, { op = \"write\" }]\n"
    );
    let text = scenario(&format!("\"spark.master\" = \"yarn\"\n{PODS}"), &rest);
    let answer = why(&text, "--until-clean");
    let chain = answer["chain"].as_array().expect("a chain");
    let classes: Vec<&str> = chain.iter().filter_map(|link| link["class"].as_str()).collect();
    assert_eq!(classes, ["yarnCheck", "javaHeap"]);
    assert!(chain[0]["change"]["spark.executor.memoryOverhead"].is_string(), "{chain:#?}");
    assert!(chain[1]["change"]["spark.executor.memory"].is_string(), "{chain:#?}");
    // The first change alone leads to the second failure.
    let first = answer["changes"].as_array().expect("changes");
    let overhead = first.iter().find(|change| change["setting"] == "spark.executor.memoryOverhead");
    assert_eq!(overhead.map(|change| &change["class"]), Some(&"javaHeap".into()));
}

#[test]
fn spills_are_told_by_stage_with_the_partitions_at_which_they_end() {
    let conf = "\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"600m\"\n\
                \"spark.sql.shuffle.partitions\" = 1\n";
    let folder = scratch();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, scenario(conf, &query("{ op = \"sort\" }, { op = \"write\" }"))).expect("written");
    let answer: Value =
        serde_json::from_str(&done(&format!("why {} --json --quiet", text(&file))).out).expect("JSON");
    assert_eq!(answer["class"], "none");
    let slow = answer["slowDowns"].as_array().expect("slow-downs");
    let spill = slow.iter().find(|slow| slow["kind"] == "spill").expect("spills");
    let helps = spill["helps"].as_array().expect("helps");
    let partitions =
        helps.iter().find(|help| help["setting"] == "spark.sql.shuffle.partitions").expect("helps");
    assert_eq!(partitions["ends"], true);
    let spilled = |change: &Value| {
        let value = change["spark.sql.shuffle.partitions"].as_str().expect("a number");
        let args = format!("run {} --json --quiet --conf spark.sql.shuffle.partitions={value}", text(&file));
        let run: Value = serde_json::from_str(&done(&args).out).expect("JSON");
        run["totals"]["memoryBytesSpilled"].as_u64().expect("bytes")
    };
    assert_eq!(spilled(&partitions["change"]), 0);
    assert!(spilled(&partitions["notYet"]) > 0);
    let page = done(&format!("why {} --quiet", text(&file))).out;
    assert!(page.contains("of memory as ") && page.contains(" to 1) in "), "{page}");
}

#[test]
fn one_seed_gives_one_answer_on_any_number_of_threads() {
    let ask = |threads: &str| {
        let mut command = program();
        command.env("RAYON_NUM_THREADS", threads);
        ran(&command.args(["why", "scenarios/python-overhead.toml", "--json"]).output().expect("starts")).out
    };
    assert_eq!(ask("1"), ask("4"));
}

#[test]
fn bad_input_is_told_and_nothing_is_answered() {
    for (args, part) in [
        ("why no-such-file.toml", "no such file"),
        ("why scenarios/off-heap.toml --conf spark.executor.memory", "spark.executor.memory"),
        ("why scenarios/off-heap.toml --conf spark.memory.fraction=2", "spark.memory.fraction"),
        ("why scenarios/off-heap.toml --driver-memory 100m", "100"),
        ("why", "INPUT"),
    ] {
        let ran = ran(&program().args(args.split(' ')).output().expect("starts"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args}: {}", ran.err);
        assert!(ran.err.contains(part), "{args}: {}", ran.err);
    }
}

#[test]
fn a_followed_task_tells_what_it_asked_for_and_got() {
    let log = "tests/data/eventlog/w2-h512-plain35";
    let json = |flag: &str| -> Value {
        serde_json::from_str(&done(&format!("run {log} --json --quiet {flag}")).out).expect("JSON")
    };
    let by_partition = json("--trace-task 3:1");
    let lines = by_partition["trace"].as_array().expect("a ledger");
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("start").len(), of("end").len()), (1, 1));
    assert!(of("grant").len() > 5 && !of("spill").is_empty(), "{lines:#?}");
    for line in lines {
        let bytes = |key: &str| line[key].as_u64().expect("bytes");
        assert!(bytes("heldBytes") <= bytes("poolBytes"), "{line}");
        assert!(line["kind"] != "grant" || bytes("gotBytes") >= bytes("askedBytes"), "{line}");
        assert!(line["kind"] != "grant_short" || bytes("gotBytes") < bytes("askedBytes"), "{line}");
    }
    // The same task by its id, and a run that follows nobody is the same otherwise.
    let id = lines[0]["taskId"].as_u64().expect("an id");
    assert_eq!(json(&format!("--trace-task {id}"))["trace"], by_partition["trace"]);
    assert_eq!(json("")["totals"], by_partition["totals"]);
    assert!(json("").get("trace").is_none());
    let page = done(&format!("run {log} --quiet --trace-task {id}")).out;
    for part in ["partition 1 of stage 3", "ends well", " spills ", "In all: "] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    for (task, part) in [
        ("x", "is neither a task id (41) nor a stage with a partition (3:17)"),
        ("3:", "is neither"),
        ("999999", "no such task ran; ids go from 0 to 52"),
        ("9:0", "stages 0 to 3"),
    ] {
        let ran = ran(&program().args(["run", log, "--trace-task", task]).output().expect("starts"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{task}: {}", ran.err);
        assert!(ran.err.contains(part), "{task}: {}", ran.err);
    }
}

#[test]
fn a_run_that_spills_tells_what_and_where_it_ends() {
    let page = done("run tests/data/eventlog/w2-h512-plain35 --quiet").out;
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Spilled stage 3: 360.0 MiB of memory as ",
        " to 1) in 9 spills, ",
        "none from spark.sql.shuffle.partitions=",
    ] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    // Stages of one call site are told apart.
    assert!(page.contains("save: ") && !page.contains("NativeMethodAccessorImpl"), "{page}");
    let json = done("run tests/data/eventlog/w2-h512-plain35 --quiet --json").out;
    assert!(json.contains("\"name\": \"save at NativeMethodAccessorImpl.java:0\""), "{json}");
}

#[test]
fn a_host_without_room_is_told_by_process() {
    let host = "[[host]]\nname = \"vm\"\ncores = 2\nmemory = \"2g\"\nswap = \"0\"\n\
                [[tenant]]\nname = \"db\"\nresident = \"500m\"\nactive = \"300m\"\noom_score_adj = -900\n";
    let rest = format!("{host}{}", query("{ op = \"map\", heap = \"450m\" }, { op = \"write\" }"));
    let conf = "\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"1500m\"\n";
    let answer = why(&scenario(conf, &rest), "");
    assert_eq!(
        (answer["class"].as_str(), &answer["outcome"]),
        (Some("hostOomKiller"), &"host_oom_killed".into())
    );
    assert_eq!(answer["fellFirst"]["limit"], "host");
    let ledger = answer["fellFirst"]["ledger"].as_array().expect("a ledger");
    assert!(
        ledger.iter().any(|holder| holder["name"] == "db" && holder["bytes"] == 500u64 << 20),
        "{ledger:#?}"
    );
    assert_eq!(fix(&answer, "spark.master"), "local[1]");
    // Less heap leaves the host room, too little of it none for the application.
    let heap: u64 = fix(&answer, "spark.driver.memory").trim_end_matches('m').parse().expect("MiB");
    assert!((960..1300).contains(&heap), "{heap}");
}

#[test]
fn a_full_disk_names_the_files() {
    let host = "[[host]]\nname = \"vm\"\ncores = 2\nmemory = \"8g\"\ndisk = \"20m\"\n";
    let rest = format!("{host}{}", query("{ op = \"sort\" }, { op = \"write\" }"));
    let answer = why(&scenario(LOCAL, &rest), "");
    assert_eq!((answer["class"].as_str(), &answer["outcome"]), (Some("diskFull"), &"disk_full".into()));
    assert_eq!(answer["fellFirst"]["limit"], "disk");
    assert!(holds(&answer, "files") > 20 << 20);
}

/// The answer for a shipped scenario under other settings.
pub(crate) fn why_shipped(name: &str, flags: &str) -> Value {
    let answer = done(&format!("why scenarios/{name}.toml --json --quiet {flags}"));
    serde_json::from_str(&answer.out).expect("JSON")
}

#[test]
fn a_kill_by_the_host_names_the_processes_and_what_the_host_can_do() {
    let answer = why_shipped("small-host", "--driver-memory 2g --conf spillcast.host.swap=0");
    assert_eq!(
        (answer["class"].as_str(), &answer["outcome"]),
        (Some("hostOomKiller"), &"host_oom_killed".into())
    );
    let fell = &answer["fellFirst"];
    let ledger = fell["ledger"].as_array().expect("a ledger");
    let names: Vec<&str> = ledger.iter().filter_map(|holder| holder["name"].as_str()).collect();
    for name in ["Spark (driver and executor)", "kafka", "airflow", "postgres", "kernel"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let sum: u64 = ledger.iter().filter_map(|holder| holder["bytes"].as_u64()).sum();
    assert_eq!((Some(sum), fell["limitBytes"].as_u64()), (fell["usedBytes"].as_u64(), Some(4 << 30)));
    assert_eq!(fix(&answer, "spark.sql.shuffle.partitions"), "2");
    let changes = answer["changes"].as_array().expect("changes");
    let settings: Vec<&str> = changes.iter().filter_map(|change| change["setting"].as_str()).collect();
    let first_of_the_host =
        settings.iter().position(|name| name.starts_with("spillcast.")).expect("one of the host");
    // What the application can do by itself comes first; each neighbour's leaving is tried by itself.
    assert!(settings[..first_of_the_host].contains(&"spark.driver.memory"), "{settings:?}");
    assert!(settings[first_of_the_host..].iter().all(|name| name.starts_with("spillcast.")), "{settings:?}");
    assert_eq!(settings.iter().filter(|name| **name == "spillcast.tenants").count(), 3);
    assert!(fix(&answer, "spillcast.host.swap").ends_with('m'));
}

#[test]
fn a_host_that_thrashes_is_slow_for_swapping_and_more_swap_is_no_cure() {
    // Three in 4 GiB stand still.
    let flags = "--driver-memory 2g --conf spillcast.host.swap=8g --conf spillcast.copies=";
    let still = why_shipped("small-host", &format!("{flags}3"));
    assert_eq!((still["class"].as_str(), still["outcome"].as_str()), (Some("timeout"), Some("timeout")));
    assert_eq!(still["fellFirst"]["limit"], "memory");
    assert!(still["fellFirst"]["overBytes"].as_u64() > Some(1 << 30), "{still:#}");
    assert!(holds(&still, "process") > 5 << 30, "{still:#}");
    let flags = format!("{flags}2");
    let answer = why_shipped("small-host", &flags);
    assert_eq!(answer["class"], "none");
    let slow = &answer["slowDowns"][0];
    assert_eq!(slow["kind"], "swap");
    let wall = answer["wallMs"].as_f64().expect("a time");
    assert!(slow["lostMs"].as_f64() > Some(wall / 2.0), "{slow:#}");
    let helps = slow["helps"].as_array().expect("helps");
    let help = |setting: &str| helps.iter().find(|help| help["setting"] == setting);
    for setting in
        ["spark.driver.memory", "spark.sql.shuffle.partitions", "spillcast.copies", "spillcast.host.memory"]
    {
        let help = help(setting).unwrap_or_else(|| panic!("no {setting} in {helps:#?}"));
        assert_eq!(help["ends"], true, "{help:#}");
        assert!(help["wallMs"].as_f64() < Some(wall / 2.0), "{help:#}");
    }
    assert!(help("spillcast.host.swap").is_none());
    let useless = slow["noHelp"].as_array().expect("what does not help");
    assert!(useless.iter().any(|change| change.get("spillcast.host.swap").is_some()), "{useless:?}");
    // The time is told by `run` as well.
    let page = done(&format!("run scenarios/small-host.toml --quiet {flags}")).out;
    assert!(page.contains("waiting for pages to come from swap"), "{page}");
}

#[test]
fn a_collector_that_gives_up_is_cured_by_another_one_or_fewer_cores() {
    let conf = "\"spark.master\" = \"yarn\"\n\"spark.executor.extraJavaOptions\" = \"-XX:+UseParallelGC\"\n";
    let text = scenario(
        &format!("{conf}{}", PODS.replace("\"1g\"", "\"4g\"")),
        &query("{ op = \"map\", heap = \"1900m\" }, { op = \"write\" }"),
    );
    let answer = why(&text, "");
    assert_eq!((answer["class"].as_str(), &answer["outcome"]), (Some("gcLimit"), &"gc_overhead".into()));
    assert_eq!(answer["fellFirst"]["limit"], "heap");
    assert_eq!(holds(&answer, "userHeap"), 3800 << 20);
    // Eleven twelfths of the heap, less what the JVM keeps for itself.
    let limit = answer["fellFirst"]["limitBytes"].as_u64().expect("bytes") as f64 / (4_u64 << 30) as f64;
    assert!((limit - 11.0 / 12.0).abs() < 0.001, "{limit}");
    assert_eq!(fix(&answer, "spillcast.collector"), "G1");
    assert_eq!(fix(&answer, "spark.executor.cores"), "1");
    fix(&answer, "spark.executor.memory");
}

#[test]
fn a_heap_that_collects_most_of_the_time_says_so() {
    let conf = "\"spark.master\" = \"yarn\"\n\"spark.executor.extraJavaOptions\" = \"-XX:+UseParallelGC\"\n";
    let text = scenario(
        &format!("{conf}{}", PODS.replace("\"1g\"", "\"4g\"")),
        &query("{ op = \"map\", heap = \"1780m\" }, { op = \"write\" }"),
    );
    let answer = why(&text, "");
    assert_eq!(answer["class"], "none", "{answer:#}");
    let slow = &answer["slowDowns"][0];
    assert_eq!(slow["kind"], "garbage collection");
    let helps = slow["helps"].as_array().expect("helps");
    for setting in ["spillcast.collector", "spark.executor.memory"] {
        assert!(helps.iter().any(|help| help["setting"] == setting), "no {setting} in {helps:#?}");
    }
}

#[test]
fn results_that_no_driver_heap_holds_are_no_matter_of_the_result_size() {
    let conf = "\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"600m\"\n\"spark.driver.maxResultSize\" = \"0\"\n";
    let rest = "[[table]]\nname = \"u\"\nrows = 30_000_000\nrow_bytes = 48\nsize = \"900m\"\nfiles = 8\n\
                [[query]]\nname = \"q\"\nfrom = \"u\"\nsteps = [{ op = \"collect\" }]\n";
    let answer = why(&scenario(conf, rest), "");
    assert_eq!((answer["class"].as_str(), &answer["outcome"]), (Some("driverHeap"), &"driver_oom".into()));
    assert_eq!(answer["fellFirst"]["limit"], "driverHeap");
    assert!(holds(&answer, "results") > 480 << 20, "{answer:#}");
    let heap: u64 = fix(&answer, "spark.driver.memory").trim_end_matches('m').parse().expect("MiB");
    // Thirty million rows of 48 bytes, halved, beside what the JVM holds at rest.
    assert!((720..900).contains(&heap), "{heap}");
}
