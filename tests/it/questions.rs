//! The questions of docs/questions.md, asked as a user asks them; what the other tests of `why` do not hold already.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::cli::{done, scratch, text};
use crate::why::{PODS, fix, holds, query, scenario, why, why_shipped};

fn json(args: &str) -> Value {
    serde_json::from_str(&done(args).out).expect("JSON")
}

/// The test that a row of the page names exists.
#[test]
fn every_answer_of_the_page_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/questions.md")).expect("the page");
    let mut named = BTreeSet::new();
    for word in page.split('`').filter(|word| word.contains("::")) {
        let (module, test) = word.rsplit_once("::").expect("looked for above");
        let file = root.join(format!("tests/it/{}.rs", module.replace("::", "/")));
        let source = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{word}: {error}"));
        assert!(source.contains(&format!("#[test]\nfn {test}() {{")), "{word} is no test");
        named.insert(word);
    }
    assert!(named.len() >= 20, "{named:?}");
    for number in 1..=24 {
        assert!(page.contains(&format!("\n| {number} |")), "question {number} has no row");
    }
}

/// 1: the sum of the container, the ledger by consumer, the least overhead, and what fewer cores do.
#[test]
fn which_memory_of_a_killed_container() {
    let answer = why_shipped("python-overhead", "");
    assert_eq!(answer["class"], "yarnCheck");
    assert_eq!((holds(&answer, "python"), holds(&answer, "atRest")), (1000 << 20, 60 << 20));
    let overhead: u64 =
        fix(&answer, "spark.executor.memoryOverhead").trim_end_matches('m').parse().expect("MiB");
    // YARN grants whole GiB: from 1025 MiB of overhead on it is 3 GiB, which hold what is asked.
    assert!((1025..=1056).contains(&overhead), "{overhead}");
    assert_eq!(fix(&answer, "spark.executor.cores"), "1");
    let page = done("why scenarios/python-overhead.toml --quiet").out;
    assert!(page.contains("1024 MiB heap + 384 MiB overhead + 0 MiB off-heap + 0 MiB pyspark ="), "{page}");
}

/// 2: one exit code, many classes; each names its limit and the next nearest one.
#[test]
fn exit_code_137_is_told_apart() {
    let steps = query("{ op = \"python\", worker_memory = \"900m\" }, { op = \"write\" }");
    let pod = why(&scenario(&format!("\"spark.master\" = \"k8s://https://host\"\n{PODS}"), &steps), "");
    assert_eq!(
        (pod["class"].as_str(), pod["fellFirst"]["limit"].as_str()),
        (Some("podLimit"), Some("container"))
    );
    assert_eq!(pod["runnerUp"]["limit"], "heap");
    assert!(pod["runnerUp"]["headroomBytes"].as_u64() > Some(0));
    let host = why_shipped("small-host", "--driver-memory 2g --conf spillcast.host.swap=0");
    assert_eq!(
        (host["class"].as_str(), host["fellFirst"]["limit"].as_str()),
        (Some("hostOomKiller"), Some("host"))
    );
    assert_eq!(host["runnerUp"]["limit"], "heap");
    let steps = query("{ op = \"map\", heap = \"600m\" }, { op = \"write\" }");
    let heap = why(&scenario(&format!("\"spark.master\" = \"k8s://https://host\"\n{PODS}"), &steps), "");
    assert_eq!(
        (heap["class"].as_str(), heap["fellFirst"]["limit"].as_str()),
        (Some("javaHeap"), Some("heap"))
    );
    assert_eq!(heap["runnerUp"]["limit"], "container");
    assert!(heap["reason"].as_str().expect("a reason").contains("exit code 52"), "{heap:#}");
}

/// 3: raising the overhead from a value that kills to one that lives, and no further help beyond.
#[test]
fn the_overhead_has_a_survival_curve() {
    let folder = scratch();
    let out = folder.path().join("out");
    let vary = "--vary spark.executor.memoryOverhead=384m,1g,2g,4g";
    done(&format!("sweep scenarios/python-overhead.toml {vary} --quiet --out {}", text(&out)));
    let csv = std::fs::read_to_string(out.join("sweep-summary.csv")).expect("the table");
    let column = |name: &str| {
        let header: Vec<&str> = csv.lines().next().expect("a header").split(',').collect();
        let at = header.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no {name}"));
        csv.lines()
            .skip(1)
            .map(|line| line.split(',').nth(at).expect("a field").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(column("okShare"), ["0", "0", "1", "1"]);
    assert_eq!(column("share_container_killed"), ["1", "1", "0", "0"]);
    let walls = column("wallMs");
    assert_eq!(walls[2], walls[3], "more than enough buys nothing");
    // A leak grows with the data of a partition, so overhead is not what ends it: `why` names the partitions as well.
    assert_eq!(fix(&why_shipped("python-overhead", ""), "spark.sql.shuffle.partitions"), "32");
}

/// 4: what the host has free does not count; the factor in force is told.
#[test]
fn a_pod_is_killed_though_its_node_has_room() {
    let host = "[[host]]\nname = \"node\"\ncount = 2\ncores = 8\nmemory = \"64g\"\n";
    let steps = query("{ op = \"python\", worker_memory = \"5g\" }, { op = \"write\" }");
    let conf = format!("\"spark.master\" = \"k8s://https://host\"\n{}", PODS.replace("\"1g\"", "\"8g\""));
    let rest = format!("{host}{steps}");
    let folder = scratch();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, scenario(&conf, &rest)).expect("written");
    let page = done(&format!("why {} --quiet", text(&file))).out.replace('\n', " ");
    for part in [
        "pod limit (cgroup, exit code 137)",
        "the overhead is 0.10 of the heap",
        "the host has 64.0 GiB, which does not count",
    ] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    let answer = why(&scenario(&conf, &rest), "");
    // 8 GiB and a tenth.
    assert_eq!(answer["fellFirst"]["limitBytes"], (8192 + 819_u64) << 20);
    fix(&answer, "spark.executor.memoryOverhead");
}

/// 6: more cores or fewer, by time and share of collection, up to the death.
#[test]
fn a_collector_at_its_limit_wants_fewer_cores() {
    let conf = "\"spark.master\" = \"yarn\"\n\"spark.executor.extraJavaOptions\" = \"-XX:+UseParallelGC\"\n\
                \"spark.executor.instances\" = 2\n\"spark.executor.cores\" = 4\n\"spark.executor.memory\" = \"4g\"\n";
    let steps = query("{ op = \"map\", heap = \"950m\" }, { op = \"write\" }")
        .replace("from = \"t\"", "from = \"u\"");
    let table = "[[table]]\nname = \"u\"\nrows = 16_000_000\nrow_bytes = 100\nsize = \"1g\"\nfiles = 32\nsplittable = false\n";
    let source = scenario(conf, &format!("{table}{steps}"));
    let folder = scratch();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, &source).expect("written");
    let runs: Vec<Value> = (1..=4)
        .map(|cores| json(&format!("run {} --json --quiet --executor-cores {cores}", text(&file))))
        .collect();
    let outcome = |run: &Value| run["outcome"].as_str().expect("an outcome").to_owned();
    assert_eq!(runs.iter().map(outcome).collect::<Vec<_>>(), ["ok", "ok", "ok", "gc_overhead"]);
    let share = |run: &Value| {
        let total = |key: &str| run["totals"][key].as_f64().expect("a time");
        total("jvmGcTime") / total("executorRunTime")
    };
    assert!(share(&runs[0]) < 0.05 && share(&runs[0]) < share(&runs[1]) && share(&runs[1]) < share(&runs[2]));
    let answer = why(&source, "");
    assert_eq!(answer["class"], "gcLimit");
    assert_eq!(fix(&answer, "spark.executor.cores"), "3");
    assert_eq!(fix(&answer, "spillcast.collector"), "G1");
}

/// 16: the hot key's share, and the floor that no number of partitions beats.
#[test]
fn a_hot_key_sets_a_floor() {
    let answer = why_shipped("skewed-aggregation", "");
    let slow = answer["slowDowns"].as_array().expect("slow-downs");
    let skew = slow.iter().find(|slow| slow["kind"] == "skew").expect("uneven tasks");
    let floor = &skew["floor"];
    assert!((floor["hotKeyShare"].as_f64().expect("a share") - 0.3).abs() < 0.01, "{floor:#}");
    let ms = |key: &str| floor[key].as_f64().unwrap_or_else(|| panic!("no {key} in {floor:#}"));
    assert!(ms("longestTaskMs") > ms("longestTaskMsThen"), "{floor:#}");
    assert!(ms("longestTaskMsThen") * 2.0 > ms("longestTaskMs"), "a key is not split: {floor:#}");
    assert!(ms("saltedWallMs") < answer["wallMs"].as_f64().expect("a time"), "{floor:#}");
}

/// 17: workers, batches and copies; the overhead and the batch that fit.
#[test]
fn python_beside_the_heap_adds_up() {
    let args = "layout --python --row-bytes 2000 --master yarn --executor-memory 4g --executor-cores 4";
    let python = &json(&format!("{args} --json"))["python"];
    let bytes = |key: &str| python[key].as_u64().unwrap_or_else(|| panic!("no {key} in {python}"));
    assert_eq!((bytes("workers"), bytes("batchBytes")), (4, 20_000_000));
    let workers = 4 * (bytes("workerBytes") + bytes("copiesOfBatch") * bytes("batchBytes"));
    assert_eq!(bytes("neededBytes"), bytes("jvmBesideHeapBytes") + workers);
    // What YARN grants, 5 GiB, less the heap.
    assert_eq!(bytes("roomBytes"), 1 << 30);
    let overhead = bytes("fittingOverheadBytes") >> 20;
    let fitting = json(&format!("{args} --json --conf spark.executor.memoryOverhead={overhead}m"));
    assert!(
        fitting["python"]["roomBytes"].as_u64() >= fitting["python"]["neededBytes"].as_u64(),
        "{fitting}"
    );
    let page = done(args).out;
    for part in
        ["one for each of 4 tasks", "what fits it: spark.executor.memoryOverhead=", "maxRecordsPerBatch="]
    {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    // Without containers, or without Python, there is nothing to say.
    assert!(json("layout --python --master local[2] --json").get("python").is_none());
    assert!(json("layout --master yarn --json").get("python").is_none());
}

const DISK: &str = "[[host]]\nname = \"node\"\ncount = 2\ncores = 4\nmemory = \"16g\"\ndisk = \"200m\"\n";

/// 23: how much of the local disk Spark's files take, on each host and over time; whose they are when it is full.
#[test]
fn a_full_disk_has_a_ledger_and_a_remedy() {
    let steps = query("{ op = \"sort\" }, { op = \"write\" }");
    let source = scenario(&format!("\"spark.master\" = \"yarn\"\n{PODS}"), &format!("{DISK}{steps}"));
    let folder = scratch();
    let (file, out) = (folder.path().join("x.toml"), folder.path().join("out"));
    let small = source.replace("200m", "30m");
    let answer = why(&small, "");
    assert_eq!((answer["class"].as_str(), &answer["outcome"]), (Some("diskFull"), &"disk_full".into()));
    assert!(holds(&answer, "shuffleFiles") > 5 << 20, "{answer:#}");
    fix(&answer, "spillcast.host.disk");
    std::fs::write(&file, &source).expect("written");
    let run = json(&format!("run {} --json --quiet --out {}", text(&file), text(&out)));
    let host = &run["hosts"][0];
    let peak = host["peakFiles"].as_u64().expect("bytes");
    assert_eq!((run["outcome"].as_str(), host["disk"].as_u64()), (Some("ok"), Some(200 << 20)));
    assert!((20 << 20..200 << 20).contains(&peak), "{host}");
    let page = done(&format!("run {} --quiet", text(&file))).out;
    assert!(page.contains("Spark's local files on host node-1: up to "), "{page}");
    let csv = std::fs::read_to_string(out.join("host_timeline.csv")).expect("the table");
    let header: Vec<&str> = csv.lines().next().expect("a header").split(',').collect();
    let at = header.iter().position(|column| *column == "files").expect("a column");
    let files: BTreeSet<u64> =
        csv.lines().skip(1).filter_map(|line| line.split(',').nth(at)?.parse().ok()).collect();
    assert!(files.first() == Some(&0) && files.len() > 2 && files.last() <= Some(&peak), "{files:?} {peak}");
}

/// 16 again: a list of all rows of one group is plain heap, which partitions do not split and Spark does not spill.
#[test]
fn a_list_of_one_group_fills_the_heap() {
    let steps = |groups: u32| {
        query(&format!(
            "{{ op = \"aggregate\", groups = {groups}, collect_list = true, value_bytes = 160 }}, {{ op = \"write\" }}"
        ))
    };
    let conf = "\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"512m\"\n\"spark.sql.shuffle.partitions\" = 8\n";
    let answer = why(&scenario(conf, &steps(1)), "");
    assert_eq!((answer["class"].as_str(), &answer["outcome"]), (Some("javaHeap"), &"heap_oom".into()));
    // Four million rows of 160 bytes in the one task that merges.
    assert_eq!(holds(&answer, "userHeap"), 4_000_000 * 160);
    let ledger = answer["fellFirst"]["ledger"].as_array().expect("a ledger");
    assert!(ledger.iter().any(|holder| holder["name"] == "ObjectHashAggregate"), "{ledger:#?}");
    let useless = answer["noHelp"].as_array().expect("what does not help");
    assert!(useless.iter().any(|change| change.get("spark.sql.shuffle.partitions").is_some()), "{useless:?}");
    let heap: u64 = fix(&answer, "spark.driver.memory").trim_end_matches('m').parse().expect("MiB");
    assert!((670..760).contains(&heap), "{heap}");
    // A hundred groups lie in as many partitions as there are, and two of those at once fit.
    assert_eq!(why(&scenario(conf, &steps(100)), "")["class"], "none");
}

/// With more groups than the fallback threshold a task sorts instead of holding their lists; the threshold can be moved.
#[test]
fn lists_lie_on_the_heap_up_to_the_fallback_threshold() {
    let steps = query(
        "{ op = \"aggregate\", groups = 1000, collect_list = true, value_bytes = 160 }, { op = \"write\" }",
    );
    let conf = "\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"512m\"\n\"spark.sql.shuffle.partitions\" = 2\n";
    let answer = |more: &str| why(&scenario(&format!("{conf}{more}"), &steps), "");
    assert_eq!(answer("")["class"], "none");
    let all = "\"spark.sql.objectHashAggregate.sortBased.fallbackThreshold\" = 1001\n";
    assert_eq!(answer(all)["class"], "javaHeap");
}

/// 2 again: a heap in swap is walked from the disk, and the driver loses its executor meanwhile; more swap is no cure.
#[test]
fn a_collector_that_walks_swap_misses_heartbeats() {
    let conf = "\"spark.master\" = \"local-cluster[1,2,6144]\"\n\"spark.executor.memory\" = \"6g\"\n\
                \"spark.executor.extraJavaOptions\" = \"-XX:+UseSerialGC\"\n";
    let host = "[[host]]\nname = \"vm\"\ncores = 2\nmemory = \"7g\"\nswap = \"8g\"\nswap_device = \"network\"\n\
                [[tenant]]\nname = \"db\"\nresident = \"3g\"\nactive = \"3g\"\nperiod = \"2s\"\n\
                [[table]]\nname = \"u\"\nrows = 20_000_000\nrow_bytes = 100\nsize = \"1g\"\nfiles = 4\nsplittable = false\n";
    let steps = query("{ op = \"map\", heap = \"2200m\" }, { op = \"write\" }")
        .replace("from = \"t\"", "from = \"u\"");
    let answer = why(&scenario(conf, &format!("{host}{steps}")), "");
    assert_eq!((&answer["outcome"], &answer["fellFirst"]["limit"]), (&"timeout".into(), &"heartbeat".into()));
    let ms = |key: &str| answer["fellFirst"][key].as_f64().expect("a time");
    assert!(ms("pauseMs") > ms("silentMs") && ms("silentMs") > ms("timeoutMs"), "{answer:#}");
    assert_eq!(holds(&answer, "userHeap"), 4400 << 20);
    assert_eq!(fix(&answer, "spillcast.tenants"), "none");
    let useless = answer["noHelp"].as_array().expect("what does not help");
    assert!(useless.iter().any(|change| change.get("spillcast.host.swap").is_some()), "{useless:?}");
}

/// A driver that runs the tasks stops with them, and finds its executor silent when it goes on.
#[test]
fn a_long_pause_in_local_mode_ends_the_job_at_its_end() {
    let args = "run scenarios/long-pauses.toml --json --quiet --master local[4] --driver-memory 208g \
                --conf spillcast.collector=Serial";
    let run = json(args);
    assert_eq!(run["outcome"], "timeout");
    let reason = run["reason"].as_str().expect("a reason");
    assert!(reason.contains("failed 1 times") && reason.contains("(executor driver)"), "{reason}");
    assert!(reason.contains("Executor heartbeat timed out after"), "{reason}");
    let patient = json(&format!("{args} --conf spark.network.timeout=300s"));
    assert_eq!(patient["outcome"], "ok");
}
