//! Every file in `scenarios/` runs and tells the story that its first comment promises, variants included.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::cli::{done, scratch, text};

/// What a run of a shipped scenario said.
struct Story {
    json: Value,
    /// Rows of tasks.csv.
    tasks: Vec<Task>,
}

struct Task {
    stage: u64,
    duration_ms: f64,
    spilled_bytes: u64,
}

impl Story {
    fn total(&self, name: &str) -> u64 {
        self.json["totals"][name].as_u64().unwrap_or_else(|| panic!("no total {name}"))
    }

    fn outcome(&self) -> &str {
        self.json["outcome"].as_str().expect("an outcome")
    }

    fn wall_ms(&self) -> f64 {
        self.json["wallMs"].as_f64().expect("a time")
    }

    /// Tasks of the last stage.
    fn last_stage(&self) -> Vec<&Task> {
        let last = self.tasks.iter().map(|task| task.stage).max().expect("tasks");
        self.tasks.iter().filter(|task| task.stage == last).collect()
    }

    /// The longest task of the last stage and how many times the mean it took.
    fn straggler(&self) -> (&Task, f64) {
        let tasks = self.last_stage();
        let mean = tasks.iter().map(|task| task.duration_ms).sum::<f64>() / tasks.len() as f64;
        let longest =
            tasks.into_iter().max_by(|a, b| a.duration_ms.total_cmp(&b.duration_ms)).expect("a task");
        (longest, longest.duration_ms / mean)
    }

    fn spilling_tasks(&self) -> usize {
        self.last_stage().iter().filter(|task| task.spilled_bytes > 0).count()
    }
}

/// Runs a shipped scenario, or one of its variants.
fn story(name: &str, variant: Option<&str>) -> Story {
    story_under(name, variant, "")
}

/// The same under more arguments.
fn story_under(name: &str, variant: Option<&str>, more: &str) -> Story {
    let path = format!("scenarios/{name}.toml");
    let mut args = format!("run {path} --json --quiet");
    if let Some(variant) = variant {
        let source =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).expect("text");
        let (scenario, _) = spillcast::scenario::parse(&source, &path);
        let scenario = scenario.expect("a scenario");
        let found = scenario.variants.iter().find(|found| found.name == variant);
        for entry in &found.unwrap_or_else(|| panic!("{name}: no variant {variant:?}")).conf {
            args = format!("{args} --conf {}={}", entry.key, entry.value);
        }
    }
    if !more.is_empty() {
        args = format!("{args} {more}");
    }
    let folder = scratch();
    let json = done(&format!("{args} --out {}", text(&folder.path().join("out")))).out;
    let csv = std::fs::read_to_string(folder.path().join("out/tasks.csv")).expect("tasks.csv");
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name).expect("a column");
    let (stage, duration, spilled) = (column("stageId"), column("duration"), column("memoryBytesSpilled"));
    let task = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        Task {
            stage: fields[stage].parse().expect("a stage"),
            duration_ms: fields[duration].parse().expect("a time"),
            spilled_bytes: fields[spilled].parse().expect("bytes"),
        }
    };
    // Only the last column, a failed task's message, can hold a line break.
    let tasks = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).map(task).collect();
    Story { json: serde_json::from_str(&json).expect("JSON"), tasks }
}

#[test]
fn every_scenario_has_its_story_here() {
    let told = BTreeSet::from([
        "cache-against-execution",
        "cache-thrash",
        "collect-to-driver",
        "container-swap",
        "eviction-policies",
        "long-pauses",
        "off-heap",
        "python-overhead",
        "skewed-aggregation",
        "skewed-join",
        "small-host",
        "tiny-data-200-partitions",
    ]);
    let folder =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).expect("scenarios");
    let names: Vec<String> = folder
        .map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8"))
        .map(|name| name.trim_end_matches(".toml").to_owned())
        .collect();
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), told);
}

#[test]
fn skewed_aggregation_spills_and_waits_for_one_task() {
    let base = story("skewed-aggregation", None);
    let tasks = base.last_stage().len();
    assert!(base.spilling_tasks() * 2 > tasks, "{} of {tasks} tasks spill", base.spilling_tasks());
    assert!(base.straggler().1 > 2.0, "{} times the mean", base.straggler().1);
    for variant in ["64 partitions", "4g heap"] {
        let variant = story("skewed-aggregation", Some(variant));
        assert_eq!(variant.total("memoryBytesSpilled"), 0);
        assert!(variant.straggler().1 > 2.0, "{} times the mean", variant.straggler().1);
    }
}

#[test]
fn skewed_join_spills_in_the_slow_task_alone() {
    for variant in [None, Some("200 partitions")] {
        let run = story("skewed-join", variant);
        let (longest, times) = run.straggler();
        assert_eq!(run.spilling_tasks(), 1);
        assert!(longest.spilled_bytes > 0 && times > 3.0, "{times} times the mean");
    }
    let adaptive = story("skewed-join", Some("adaptive"));
    assert!(adaptive.last_stage().len() < 32);
    assert!(adaptive.spilling_tasks() * 2 > adaptive.last_stage().len());
}

#[test]
fn adaptive_execution_splits_the_hot_partition_of_a_join_by_hand() {
    let split = story("skewed-join", Some("adaptive, split"));
    let off = "--conf spark.sql.adaptive.skewJoin.enabled=false";
    let whole = story_under("skewed-join", Some("adaptive, split"), off);
    assert!(split.last_stage().len() > whole.last_stage().len());
    assert_eq!((split.spilling_tasks(), whole.spilling_tasks()), (0, 1));
    assert!(split.straggler().1 < 2.0 && whole.straggler().1 > 3.0, "{:?}", split.straggler().1);
    assert!(split.wall_ms() < 0.9 * whole.wall_ms());
}

#[test]
fn cache_thrash_drops_blocks_until_the_heap_holds_them() {
    let base = story("cache-thrash", None);
    assert!(base.total("blocksDropped") > 24, "more than there are blocks: {}", base.total("blocksDropped"));
    let roomy = story("cache-thrash", Some("1g heap"));
    assert_eq!((roomy.total("blocksDropped"), roomy.total("cachedBlocksMemory")), (0, 24));
    let memory_only = story("cache-thrash", Some("memory only"));
    assert!(memory_only.total("blocksRecomputed") > 24 && base.total("blocksRecomputed") == 0);
    let disk_only = story("cache-thrash", Some("disk only"));
    assert_eq!((disk_only.total("blocksDropped"), disk_only.total("cachedBlocksDisk")), (0, 24));
    assert!(roomy.wall_ms() < base.wall_ms() && base.wall_ms() < memory_only.wall_ms());
}

#[test]
fn policies_that_know_the_lineage_drop_less_than_sparks_order() {
    let lru = story("eviction-policies", None);
    let bound = story("eviction-policies", Some("belady"));
    for variant in ["lrc", "mrd"] {
        let policy = story("eviction-policies", Some(variant));
        assert!(policy.total("blocksDropped") < lru.total("blocksDropped"), "{variant}");
        assert!(bound.total("blocksDropped") <= policy.total("blocksDropped"), "{variant}");
        assert!(bound.wall_ms() < policy.wall_ms() && policy.wall_ms() < lru.wall_ms(), "{variant}");
    }
}

#[test]
fn execution_evicts_the_cache_down_to_what_is_protected() {
    let base = story("cache-against-execution", None);
    assert!(base.total("blocksDropped") > 0 && base.total("memoryBytesSpilled") > 0);
    assert!(base.total("blocksRecomputed") > 0, "the second read pays");
    let open = story("cache-against-execution", Some("protect a fifth"));
    assert!(open.total("blocksDropped") > base.total("blocksDropped"));
    assert!(open.total("memoryBytesSpilled") < base.total("memoryBytesSpilled"));
    let closed = story("cache-against-execution", Some("protect nine tenths"));
    assert_eq!(closed.total("blocksDropped"), 0);
    assert!(closed.total("memoryBytesSpilled") > 0);
}

#[test]
fn collect_to_driver_dies_of_its_limit_whatever_the_heap() {
    for variant in [None, Some("heap of 8g")] {
        let run = story("collect-to-driver", variant);
        assert_eq!(run.outcome(), "max_result_size");
        let reason = run.json["reason"].as_str().expect("a reason");
        assert!(reason.contains("spark.driver.maxResultSize (200.0 MiB)"), "{reason}");
    }
    assert_eq!(story("collect-to-driver", Some("limit of 1g")).outcome(), "ok");
}

#[test]
fn off_heap_memory_holds_what_a_small_heap_spills() {
    let base = story("off-heap", None);
    assert_eq!((base.total("memoryBytesSpilled"), base.total("peakOnHeapExecution")), (0, 0));
    assert!(base.total("peakOffHeapExecution") > 434 << 20);
    let on_heap = story("off-heap", Some("on the heap"));
    assert!(on_heap.total("memoryBytesSpilled") > 0);
    assert!(base.total("peakRss") > on_heap.total("peakRss"), "the process grows by what is off the heap");
    assert_eq!(story("off-heap", Some("on a heap of 2g")).total("memoryBytesSpilled"), 0);
}

#[test]
fn python_workers_break_the_container_until_its_overhead_grows() {
    let base = story("python-overhead", None);
    assert_eq!(base.outcome(), "container_killed");
    assert!(base.total("failedTasks") > 4);
    for variant in ["overhead of 2g", "one core"] {
        assert_eq!(story("python-overhead", Some(variant)).outcome(), "ok", "{variant}");
    }
}

/// A neighbour of a run's JSON.
fn tenant<'s>(story: &'s Story, name: &str) -> &'s Value {
    let tenants = story.json["tenants"].as_array().expect("tenants");
    tenants.iter().find(|tenant| tenant["name"] == name).unwrap_or_else(|| panic!("no tenant {name}"))
}

fn swapped(story: &Story) -> u64 {
    let ledger = story.json["ledger"].as_array().expect("a ledger");
    ledger.iter().map(|line| line["swapped"].as_u64().expect("bytes")).sum()
}

#[test]
fn a_container_that_may_swap_outlives_its_limit() {
    let lost = |story: &Story, kind: &str| {
        let causes = story.json["causes"].as_array().expect("causes");
        causes
            .iter()
            .find(|cause| cause["kind"] == kind)
            .map_or(0.0, |cause| cause["lostMs"].as_f64().unwrap())
    };
    let reason = |story: &Story| story.json["reason"].as_str().expect("a reason").to_owned();
    let base = story("container-swap", None);
    assert_eq!((base.outcome(), base.total("swapOutBytes")), ("container_killed", 0));
    assert!(reason(&base).contains("of 1.2 GiB that its container may use"), "{}", reason(&base));
    // Too little swap puts the kill off, which then counts both.
    let little = story("container-swap", Some("64m of swap"));
    assert_eq!(little.outcome(), "container_killed");
    assert!(reason(&little).contains(" of 1.2 GiB of memory and 64.0 MiB of swap"), "{}", reason(&little));
    assert!(little.total("peakRss") > (1200 + 64) << 20);
    assert!(little.wall_ms() > base.wall_ms());
    // Enough lets it through, slower than with memory enough; its collections are young ones, which wait for nothing.
    let room = story("container-swap", Some("limit of 2g"));
    let enough = story("container-swap", Some("1g of swap"));
    assert_eq!((room.outcome(), enough.outcome()), ("ok", "ok"));
    assert_eq!(room.total("swapOutBytes"), 0);
    assert!(enough.total("swapOutBytes") > 100 << 20 && swapped(&enough) > 100 << 20);
    assert!(enough.wall_ms() > 1.3 * room.wall_ms() && lost(&enough, "swap") > 0.0);
    assert!(enough.total("jvmGcTime").abs_diff(room.total("jvmGcTime")) * 20 < room.total("jvmGcTime"));
    // `memory.high` moves the point from which it swaps; without swap it holds the tasks back, and kills nobody.
    let lower = story("container-swap", Some("1g of swap, memory.high of 800m"));
    assert_eq!(lower.outcome(), "ok");
    assert!(swapped(&lower) > swapped(&enough) && lower.wall_ms() > enough.wall_ms());
    let held_back = story("container-swap", Some("memory.high of 1200m, limit of 2g"));
    assert_eq!((held_back.outcome(), held_back.total("swapOutBytes")), ("ok", 0));
    assert!(held_back.wall_ms() > 10.0 * room.wall_ms());
    assert!(lost(&held_back, "memory.high") > held_back.wall_ms() / 2.0);
}

#[test]
fn a_small_heap_leaves_a_small_host_in_peace() {
    let base = story("small-host", None);
    assert_eq!(base.outcome(), "ok");
    assert_eq!((base.total("swapInBytes"), swapped(&base)), (0, 0));
    assert!(base.total("memoryBytesSpilled") > 0);
    for name in ["kafka", "airflow", "postgres"] {
        let tenant = tenant(&base, name);
        let ms = |key: &str| tenant[key].as_f64().expect("a time");
        assert!(tenant.get("killedMs").is_none() && ms("p50Ms") < 2.0 * ms("quietP50Ms"), "{tenant}");
    }
    // The ledger holds all of the memory, neither more nor less.
    let ledger = base.json["ledger"].as_array().expect("a ledger");
    let held: u64 = ledger.iter().map(|line| line["resident"].as_u64().expect("bytes")).sum();
    assert_eq!(held, 4 << 30);
    // None of these changes anything for a job that fits.
    for variant in ["no swap", "4g of swap", "Spark alone", "8g of memory"] {
        let other = story("small-host", Some(variant));
        assert_eq!(other.total("swapOutBytes"), 0, "{variant}");
        assert!((other.wall_ms() / base.wall_ms() - 1.0).abs() < 0.1, "{variant}");
    }
    // Two cores work side by side until one partition has all the rows; 200 partitions spill less.
    assert!(story("small-host", Some("local[*]")).wall_ms() < base.wall_ms());
    let spilled = |story: &Story| story.total("memoryBytesSpilled");
    assert!(spilled(&story("small-host", Some("200 partitions"))) < spilled(&base));
}

#[test]
fn a_large_heap_makes_a_small_host_swap_or_kill() {
    let base = story("small-host", None);
    let large = story("small-host", Some("2g heap"));
    let room = story("small-host", Some("2g heap, 8g of memory"));
    assert_eq!((large.outcome(), room.outcome()), ("ok", "ok"));
    assert!(large.total("peakRss") * 10 > base.total("peakRss") * 17);
    assert!(swapped(&large) > 100 << 20 && large.total("swapInBytes") > 0);
    assert_eq!(swapped(&room), 0);
    assert!(large.wall_ms() > room.wall_ms(), "{} against {}", large.wall_ms(), room.wall_ms());
    // Two of them want what is needed, not only what was once touched: nobody dies, and nobody gets far. Three stand still.
    let two = story("small-host", Some("two jobs, 2g heaps"));
    assert_eq!(two.outcome(), "ok");
    assert!(swapped(&two) > 5 * swapped(&large) && two.wall_ms() > 10.0 * large.wall_ms());
    let three = story("small-host", Some("three jobs, 2g heaps"));
    assert_eq!(three.outcome(), "timeout");
    let reason = three.json["reason"].as_str().expect("a reason");
    assert!(reason.contains("thrashes") && reason.contains("10 min"), "{reason}");
    let kafka = |story: &Story| tenant(story, "kafka")["p99Ms"].as_f64().expect("a time");
    assert!(kafka(&two) > 10.0 * kafka(&room), "{} against {}", kafka(&two), kafka(&room));
    // More swap changes nothing once it suffices; none kills the largest, which is Spark.
    let more = story("small-host", Some("2g heap, 4g of swap"));
    assert_eq!((more.outcome(), more.wall_ms().to_bits()), ("ok", large.wall_ms().to_bits()));
    let none = story("small-host", Some("2g heap, no swap"));
    assert_eq!(none.outcome(), "host_oom_killed");
    let reason = none.json["reason"].as_str().expect("a reason");
    assert!(reason.contains("Answer from Java side is empty"), "{reason}");
    // Without the largest neighbour, or with less at a time, there is room.
    assert_eq!(swapped(&story("small-host", Some("2g heap, without Kafka"))), 0);
    let apart = story("small-host", Some("2g heap, 200 partitions"));
    assert!(swapped(&apart) < swapped(&large) / 2);
    for variant in ["2g heap, without Airflow", "2g heap, without Postgres", "1g heap"] {
        assert!(swapped(&story("small-host", Some(variant))) < swapped(&large), "{variant}");
    }
}

#[test]
fn tiny_data_is_slower_in_200_partitions_than_in_one() {
    let base = story("tiny-data-200-partitions", None);
    let one = story("tiny-data-200-partitions", Some("one partition"));
    assert!(base.total("tasks") > 1_000 && one.total("tasks") < 30);
    assert!(base.wall_ms() > 10.0 * one.wall_ms());
}

#[test]
fn a_collection_that_outlasts_the_time_out_loses_its_executor() {
    let base = story("long-pauses", None);
    let reason = base.json["reason"].as_str().expect("a reason");
    assert_eq!(base.outcome(), "timeout");
    assert!(reason.contains("failed 4 times"), "{reason}");
    let silent = reason.rsplit("timed out after ").next().and_then(|rest| rest.strip_suffix(" ms"));
    let silent: u64 = silent.expect("a time").parse().expect("ms");
    // Noticed between the time-out of 120 s and one search of 60 s later.
    assert!((120_000..=180_000).contains(&silent), "{silent}");
    // With more patience the same collections are in the tasks' time and in jvmGcTime, and nothing is lost.
    let patient = story("long-pauses", Some("longer time-out"));
    assert_eq!((patient.outcome(), patient.total("failedTasks")), ("ok", 0));
    assert!(patient.total("jvmGcTime") * 2 > patient.total("executorRunTime"));
    assert!(patient.total("jvmGcTime") > 16 * 180_000, "each of 16 tasks sits through one or more");
    for variant in ["G1", "two tasks at once"] {
        let other = story("long-pauses", Some(variant));
        assert_eq!((other.outcome(), other.total("failedTasks")), ("ok", 0), "{variant}");
        assert!(other.total("jvmGcTime") * 20 < patient.total("jvmGcTime"), "{variant}");
    }
}
