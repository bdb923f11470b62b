//! Scenario files: what is wrong is found at its place, what is right becomes the workload one would expect, and
//! nothing is lost between a scenario and its text.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use spillcast::memory::StorageLevel;
use spillcast::scenario::{
    ClusterSpec, ConfEntry, HostSpec, Scenario, Severity, TenantSpec, Variant, parse, render,
};
use spillcast::workload::{
    Broadcast, CachedPartition, Dataset, Distribution, Job, Keys, Observed, Operator, OperatorKind,
    Partitioning, PerTask, Rates, Shuffle, ShufflePartitions, Stage, Workload,
};

/// A file in which nothing is wrong; cases append to it or stand alone.
const GOOD: &str = "[[table]]\nname = \"events\"\nrows = 1_000\n[[query]]\nfrom = \"events\"\n";

/// Checks that the diagnostics of `text` are exactly these: line:column, code, message, help.
fn check(text: &str, expected: &[(&str, &str, &str, &str)]) {
    let (scenario, found) = parse(text, "test.toml");
    let errors = found.iter().any(|fault| fault.severity == Severity::Error);
    assert_eq!(scenario.is_none(), errors, "{text}");
    let places: Vec<String> = found.iter().map(|fault| format!("{}:{}", fault.line, fault.column)).collect();
    let found: Vec<_> = found
        .iter()
        .zip(&places)
        .map(|(fault, place)| {
            (place.as_str(), fault.code, fault.message.as_str(), fault.help.as_deref().unwrap_or(""))
        })
        .collect();
    assert_eq!(found, expected, "{text}");
}

/// As [`check`], for one fault in a text appended to [`GOOD`]; lines count from the first appended one.
fn check_after_good(text: &str, place: &str, code: &str, message: &str, help: &str) {
    let (line, column) = place.split_once(':').expect("line:column");
    let line = line.parse::<usize>().expect("a line") + GOOD.lines().count();
    check(&format!("{GOOD}{text}"), &[(&format!("{line}:{column}"), code, message, help)]);
}

fn scenario(text: &str) -> Scenario {
    let (scenario, found) = parse(text, "test.toml");
    assert!(found.is_empty(), "{found:#?}");
    scenario.expect("no errors")
}

fn shipped() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("scenarios").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("text"))).collect()
}

#[test]
fn a_workload_may_be_one_table_and_one_query() {
    check(GOOD, &[]);
    let (scenario, _) = parse(GOOD, "some/dir/tiny.toml");
    let scenario = scenario.expect("a scenario");
    assert_eq!((scenario.name.as_str(), scenario.seed), ("tiny", 1));
    assert_eq!((scenario.workload.jobs.len(), scenario.workload.stages.len()), (1, 1));
}

#[test]
fn keys_are_checked() {
    check_after_good("rpeat = 3", "1:1", "SC002", "a query has no key `rpeat`", "did you mean `repeat`?");
    check_after_good(
        "colour = 3",
        "1:1",
        "SC002",
        "a query has no key `colour`",
        "valid here: name, from, steps, repeat, after, gap",
    );
    check_after_good(
        "steps = [{ op = \"sort\", groups = 3 }]",
        "1:25",
        "SC002",
        "`op = \"sort\"` has no key `groups`",
        "`groups` belongs to aggregate, window, reduce_by_key; valid here: op, keys, local, radix, compression, ns_per_row",
    );
    check_after_good("steps = [{ keep = 0.1 }]", "1:10", "SC004", "a step needs `op`", "");
    check_after_good("steps = [{ op = \"filter\" }]", "1:10", "SC004", "a step needs `keep`", "");
    check_after_good("[[host]]\ncores = 4", "1:1", "SC004", "a host needs `memory`", "");
    check_after_good(
        "steps = [{ op = \"agregate\" }]",
        "1:17",
        "SC007",
        "unknown `op` `agregate`",
        "did you mean `aggregate`?",
    );
    check(
        "seed = 2\n",
        &[(
            "1:1",
            "SC004",
            "the scenario runs nothing",
            "add a [[query]] with `from`, or import an event log",
        )],
    );
}

#[test]
fn types_and_ranges_are_checked() {
    check_after_good(
        "repeat = \"3\"",
        "1:10",
        "SC003",
        "`repeat` must be a whole number, not a text",
        "write it without quotes: 3",
    );
    check_after_good("repeat = 1.5", "1:10", "SC003", "`repeat` must be a whole number, not a fraction", "");
    check_after_good("repeat = 0", "1:10", "SC006", "`repeat` is 0, but must be between 1 and 10000", "");
    check_after_good("repeat = -1", "1:10", "SC006", "`repeat` is -1, but must be between 1 and 10000", "");
    check_after_good("name = 3", "1:8", "SC003", "`name` must be a text, not a whole number", "");
    check_after_good("name = \"\"", "1:8", "SC006", "`name` is empty", "");
    check_after_good("steps = 3", "1:9", "SC003", "`steps` must be a list of tables, not a whole number", "");
    check_after_good(
        "[host]\ncores = 4",
        "1:1",
        "SC003",
        "`host` must be a list of tables",
        "write [[host]]: there may be several",
    );
    check_after_good(
        "steps = [{ op = \"filter\", keep = 1.5 }]",
        "1:34",
        "SC006",
        "`keep` is 1.5, but must be between 0 and 1",
        "",
    );
    check_after_good(
        "steps = [{ op = \"filter\", keep = nan }]",
        "1:34",
        "SC006",
        "`keep` is nan, but must be between 0 and 1",
        "",
    );
    check_after_good(
        "steps = [{ op = \"repartition\", partitions = 0 }]",
        "1:45",
        "SC006",
        "`partitions` is 0, but must be between 1 and 1000000",
        "",
    );
    check_after_good(
        "[[tenant]]\nname = \"db\"\nresident = true\n[[host]]\ncores = 1\nmemory = \"1g\"",
        "3:12",
        "SC003",
        "`resident` must be a size, as \"512m\", or a number of bytes, not true or false",
        "",
    );
    check_after_good(
        "[[table]]\nname = \"x\"\nrows = 1_000_000_000\nrow_bytes = \"4g\"",
        "1:1",
        "SC006",
        "1000000000 rows of 4294967296 bytes, 2147483648000000000 bytes in storage: over 1 PiB",
        "",
    );
}

#[test]
fn sizes_and_times_are_spark_s() {
    let case = |value: &str, message: &str, help: &str| {
        let text = format!("[[host]]\ncores = 1\nmemory = \"{value}\"");
        check_after_good(&text, "3:10", "SC005", &format!("`memory`: `{value}` is no size: {message}"), help);
    };
    case("1.5g", "fractional values are not supported", "write \"1536m\"");
    case("4 g", "a blank stands before the unit", "write \"4g\"");
    case("-1m", "it is negative", "a size is 0 or more");
    case("10q", "unknown unit `q`", "units are b, k, m, g, t and p, powers of 1024");
    check_after_good(
        "gap = 3",
        "1:7",
        "SC003",
        "`gap` must be a time with its unit, as \"3s\" or \"200ms\", not a whole number",
        "",
    );
    check_after_good(
        "gap = \"3\"",
        "1:7",
        "SC005",
        "`gap`: `3` is no time: it has no unit",
        "units are us, ms, s, m, min, h and d",
    );
}

#[test]
fn names_and_references_are_checked() {
    check_after_good(
        "[[table]]\nname = \"events\"\nrows = 1",
        "2:8",
        "SC008",
        "two table and cached entries are named `events`",
        "the first is on line 2",
    );
    check_after_good(
        "[[query]]\nfrom = \"event\"",
        "2:8",
        "SC009",
        "there is no table or cached dataset `event`",
        "did you mean `events`?",
    );
    check_after_good(
        "steps = [{ op = \"join\", with = \"users\" }]",
        "1:32",
        "SC009",
        "there is no table or cached dataset `users`",
        "valid here: events",
    );
    check_after_good(
        "[[query]]\nfrom = \"c\"\n[[query]]\nfrom = \"events\"\nsteps = [{ op = \"cache\", name = \"c\" }]",
        "2:8",
        "SC009",
        "`c` is cached by a later step",
        "valid here: events",
    );
    check_after_good(
        "[[cached]]\nname = \"c\"\nfrom = \"evens\"",
        "3:8",
        "SC009",
        "there is no table `evens`",
        "did you mean `events`?",
    );
    check_after_good(
        "[[query]]\nfrom = \"events\"\nafter = \"first\"",
        "3:9",
        "SC009",
        "there is no query `first`",
        "valid here: query 1, query 2",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = \"1g\"\n[[tenant]]\nname = \"db\"\nhost = \"hots\"\nresident = \"1g\"",
        "6:8",
        "SC009",
        "there is no host `hots`",
        "did you mean `host`?",
    );
}

#[test]
fn distributions_are_checked() {
    let case = |keys: &str, column: usize, message: &str, help: &str| {
        let text = format!("steps = [{{ op = \"aggregate\", groups = 100, keys = {keys} }}]");
        check_after_good(&text, &format!("1:{}", 51 + column), "SC010", message, help);
    };
    case(
        "{ hot = [0.7, 0.5] }",
        8,
        "the shares of `hot` sum to 1.2, more than all rows",
        "shares are parts of 1: 0.3 is 30 %",
    );
    case("{ hot = [0.0] }", 8, "the shares of `hot` sum to nothing", "as [0.3, 0.1]");
    case("{ hot = [] }", 8, "the shares of `hot` sum to nothing", "as [0.3, 0.1]");
    case(
        "{ zipf = 1.1, pareto = 2.0 }",
        23,
        "`zipf` and `pareto` are two shapes at once",
        "keep one of them",
    );
    case(
        "{}",
        0,
        "`keys` has no shape",
        "write \"uniform\", or one of zipf, hot, log_normal, pareto, quantiles",
    );
    case(
        "{ quantiles = [3, 2, 1] }",
        14,
        "`quantiles` must rise to more than 0",
        "from least to greatest, as [min, 25 %, median, 75 %, max]",
    );
    case(
        "{ log_normal = 1.0, distinct = 2_000_000 }",
        0,
        "`keys` draws a weight for each of 2000000 keys; at most 1000000 are possible",
        "take zipf or hot, which draw nothing",
    );
    check_after_good(
        "steps = [{ op = \"sort\", keys = { zipf = 1.1 } }]",
        "1:32",
        "SC010",
        "the shape of `keys` needs the number of distinct keys",
        "as keys = { zipf = 1.1, distinct = 1_000_000 }",
    );
    check_after_good(
        "steps = [{ op = \"sort\", keys = \"zipf\" }]",
        "1:32",
        "SC007",
        "unknown `keys` `zipf`",
        "valid here: uniform",
    );
}

#[test]
fn impossible_combinations_are_refused() {
    check_after_good(
        "[[cached]]\nname = \"c\"\nfrom = \"events\"\nlevel = \"MEMORY_ONLY_2\"\n[conf]\n\"spark.master\" = \"local[2]\"",
        "4:9",
        "SC011",
        "2 replicas, but local mode has a single block manager",
        "take the level without _2, or set \"spark.master\" to a cluster",
    );
    check_after_good(
        "[[cached]]\nname = \"c\"\nfrom = \"events\"\nlevel = \"NONE\"",
        "4:9",
        "SC011",
        "this level keeps the dataset nowhere",
        "leave the dataset out, or take MEMORY_AND_DISK",
    );
    check_after_good(
        "[[cached]]\nname = \"c\"\nfrom = \"events\"\nlevel = \"MEMORY_AND_DISC\"",
        "4:9",
        "SC007",
        "unknown storage level `MEMORY_AND_DISC`",
        "did you mean `MEMORY_AND_DISK`?",
    );
    check_after_good(
        "steps = [{ op = \"count\" }, { op = \"sort\" }]",
        "1:17",
        "SC011",
        "`count` ends a query, but steps follow",
        "put the steps after it into a [[query]] of their own",
    );
    check_after_good(
        "[[tenant]]\nname = \"db\"\nresident = \"1g\"",
        "1:1",
        "SC011",
        "a tenant without any host",
        "add a [[host]] with `cores` and `memory`",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = \"1g\"\n[[tenant]]\nname = \"db\"\nresident = \"1g\"\nactive = \"2g\"",
        "7:10",
        "SC011",
        "`active` is 2147483648 bytes, more than `resident` (1073741824)",
        "",
    );
    check_after_good("after = \"query 1\"", "1:9", "SC011", "`query 1` does not come before this query", "");
    check(
        &format!("{GOOD}[workload]"),
        &[(
            "1:1",
            "SC011",
            "`table` and `workload` exclude each other",
            "an imported workload says everything under [workload]",
        )],
    );
    check_after_good("[[table]]\nname = \"t\"", "1:1", "SC011", "a table needs `rows` or `size`", "");
    check_after_good(
        "spark_version = 4",
        "1:1",
        "SC002",
        "a query has no key `spark_version`",
        "valid here: name, from, steps, repeat, after, gap",
    );
}

#[test]
fn what_is_left_out_is_said() {
    check_after_good(
        "steps = [{ op = \"sort\" }, { op = \"cache\", name = \"c\" }]",
        "1:27",
        "SC012",
        "the time of the steps before `c` is modelled when it is computed, the memory of the last one is not",
        "",
    );
}

#[test]
fn every_fault_is_reported_in_one_pass() {
    check(
        "nmae = \"x\"\nseed = -1\n[conf]\n\"spark.a\" = \n[[table]]\nname = \"t\"\nrows = \"1.5g\"\n[[query]]\nfrom = \"t\"\n\
         repaet = 2\nsteps = [{ op = \"filter\", keep = 2 }, { op = \"write\" }, { op = \"sort\" }]\n",
        &[
            ("1:1", "SC002", "a scenario has no key `nmae`", "did you mean `name`?"),
            ("2:8", "SC006", "`seed` is -1, but must be 0 or more", ""),
            ("4:13", "SC001", "string values must be quoted, expected literal string", ""),
            ("7:8", "SC003", "`rows` must be a whole number, not a text", ""),
            ("10:1", "SC002", "a query has no key `repaet`", "did you mean `repeat`?"),
            ("11:34", "SC006", "`keep` is 2, but must be between 0 and 1", ""),
            (
                "11:46",
                "SC011",
                "`write` ends a query, but steps follow",
                "put the steps after it into a [[query]] of their own",
            ),
        ],
    );
}

#[test]
fn what_cannot_be_read_is_not_reported_as_missing() {
    let text = "[[table]\nname = \"events\"\n[[query]]\nfrom = \"events\"\n";
    check(text, &[("1:9", "SC001", "unclosed array table, expected `]`", "")]);
}

#[test]
fn a_property_that_is_also_a_prefix_must_be_quoted() {
    check_after_good(
        "[conf]\nspark.locality.wait = \"3s\"\nspark.locality.wait.node = \"1s\"",
        "3:16",
        "SC001",
        "`wait` cannot be both a value and the start of a longer key",
        "one key is the prefix of another: write both in quotes, as \"spark.locality.wait\" = \"3s\"",
    );
    check_after_good(
        "[conf]\n\"spark.a.b\" = 1\nspark.a.b = 2",
        "3:9",
        "SC008",
        "`spark.a.b` is given twice",
        "it is on line 7 already",
    );
    check_after_good(
        "[conf]\n\"spark.a\" = [1]",
        "2:13",
        "SC003",
        "`spark.a` must be a text or a number, not a list",
        "",
    );
}

#[test]
fn properties_are_kept_as_written() {
    let text = format!(
        "{GOOD}[conf]\nspark.memory.fraction = 0.60\n\"spark.locality.wait\" = \"3s\"\n\
         \"spark.locality.wait.node\" = 1_000\nspark.ui.enabled = false\n"
    );
    let conf = scenario(&text).conf;
    let conf: Vec<_> =
        conf.iter().map(|entry| (entry.line, entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!(
        conf,
        [
            (7, "spark.memory.fraction", "0.60"),
            (8, "spark.locality.wait", "3s"),
            (9, "spark.locality.wait.node", "1000"),
            (10, "spark.ui.enabled", "false"),
        ]
    );
}

#[test]
fn references_of_an_imported_workload_are_checked() {
    let stage = "[[workload.stage]]\nid = 0\npartitioning = { kind = \"fixed\", tasks = 1 }\n";
    check(
        &format!("{stage}parents = [1]\n"),
        &[("4:12", "SC009", "there is no stage 1", "the only stage is 0")],
    );
    check(
        &format!("{stage}parents = [0]\n"),
        &[("4:11", "SC011", "`parents` leads back to where it came from", "")],
    );
    check(
        &format!("{stage}[[workload.stage.operator]]\nkind = \"shuffle_read\"\nshuffle = 0\ninputs = [0]\n"),
        &[
            ("6:11", "SC009", "there is no shuffle 0", "the workload has no shuffle"),
            (
                "7:11",
                "SC009",
                "there is no operator before this one 0",
                "the workload has no operator before this one",
            ),
        ],
    );
    check(
        "[[workload.shuffle]]\npartitions = 0\nrecord_bytes = 8\ncompression = 1\nkeys = { observed = [0.9, 0.2] }\n",
        &[
            ("2:14", "SC006", "`partitions` is 0, but must be between 1 and 4294967295", ""),
            ("5:21", "SC010", "the shares of `observed` sum to 1.1, more than all rows", ""),
        ],
    );
    check(
        &format!("[[workload.job]]\nid = 0\nstages = [0]\n[[workload.job]]\nid = 1\nstages = [0]\n{stage}"),
        &[("6:10", "SC011", "stage 0 belongs to job 0 already", "")],
    );
}

#[test]
fn an_aggregation_becomes_two_stages() {
    let text = "[conf]\n\"spark.master\" = \"local[2]\"\n[[table]]\nname = \"t\"\nrows = 1_000_000\npartitions = 4\n\
                [[query]]\nfrom = \"t\"\nsteps = [{ op = \"aggregate\", groups = 1_000, entry_bytes = 56 }]\n";
    let workload = scenario(text).workload;
    let names: Vec<Vec<&str>> = workload
        .stages
        .iter()
        .map(|stage| stage.operators.iter().map(|operator| operator.name.as_str()).collect())
        .collect();
    assert_eq!(
        names,
        [vec!["Range", "HashAggregate", "Exchange"], vec!["ShuffleRead", "HashAggregate", "Output"]]
    );
    // Each of the four map tasks meets every group.
    let rows: Vec<u64> = workload.stages.iter().map(|stage| stage.operators[1].rows.total()).collect();
    assert_eq!(rows, [4_000, 1_000]);
    assert_eq!(workload.stages[1].parents, [0]);
    assert_eq!(workload.shuffles[0].keys.distinct, 1_000);
}

#[test]
fn joins_take_the_shape_of_their_kind() {
    let text = |kind: &str| {
        format!(
            "[[table]]\nname = \"l\"\nrows = 1_000_000\nrow_bytes = 40\n[[table]]\nname = \"r\"\nrows = 100_000\n\
             row_bytes = 24\n[[query]]\nfrom = \"l\"\nsteps = [{{ op = \"join\", with = \"r\"{kind} }}]\n"
        )
    };
    let broadcast = scenario(&text("")).workload;
    assert_eq!((broadcast.jobs.len(), broadcast.broadcasts.len(), broadcast.shuffles.len()), (2, 1, 0));
    assert_eq!(broadcast.jobs[1].after, [0]);
    // 100,000 rows of 32 bytes in an array that doubles from 1 MiB, and a dense index of 8 bytes a row.
    assert_eq!(broadcast.broadcasts[0].relation_bytes, (4 << 20) + 800_000);
    let sorted = scenario(&text(", kind = \"sort_merge\", keys = { hot = [0.3] }")).workload;
    assert_eq!((sorted.jobs.len(), sorted.stages.len(), sorted.shuffles.len()), (1, 3, 2));
    let last = &sorted.stages[2];
    assert_eq!((last.parents.as_slice(), last.operators[4].inputs.as_slice()), (&[0, 1][..], &[1, 3][..]));
    let [left, right] = &sorted.shuffles[..] else { panic!("two shuffles") };
    assert_eq!((left.keys.salt == right.keys.salt, left.keys.hot.as_slice()), (true, &[0.3][..]));
    assert!(right.keys.hot.is_empty());
    let popular = scenario(&text(", kind = \"sort_merge\", keys = { zipf = 1.0 }")).workload;
    // The harmonic number of the other side's 100,000 keys is 12.09.
    assert!((popular.shuffles[0].keys.hot[0] - 1.0 / 12.09).abs() < 1e-3);
    let hashed = scenario(&text(", kind = \"shuffled_hash\"")).workload;
    let kinds: Vec<bool> = hashed.stages[2]
        .operators
        .iter()
        .map(|operator| matches!(operator.kind, OperatorKind::ShuffledHashJoin { .. }))
        .collect();
    assert_eq!(kinds, [false, false, true, false]);
}

#[test]
fn rounds_over_cached_datasets_are_jobs_in_turn() {
    let (_, text) =
        shipped().into_iter().find(|(path, _)| path.ends_with("cache-thrash.toml")).expect("shipped");
    let workload = scenario(&text).workload;
    let read: Vec<_> =
        workload.jobs.iter().map(|job| workload.stages[job.stages[0]].partitioning.clone()).collect();
    let rounds: Vec<_> = (0..3).flat_map(|_| 0..4).map(Partitioning::Dataset).collect();
    assert_eq!(read, rounds);
    let bytes: u64 = workload.datasets[0].partitions.iter().map(|part| part.memory_bytes).sum();
    assert_eq!((workload.datasets.len(), workload.datasets[0].partitions.len(), bytes), (4, 6, 96_000_000));
    assert!(workload.jobs.iter().skip(1).enumerate().all(|(before, job)| job.after == [before]));
}

#[test]
fn what_a_step_caches_is_computed_once() {
    let text = "[[table]]\nname = \"t\"\nrows = 1_000_000\n[[query]]\nname = \"q\"\nfrom = \"t\"\nrepeat = 2\n\
                steps = [{ op = \"repartition\", partitions = 8 }, { op = \"cache\", name = \"c\", unpersist_after = \"r\" }]\n\
                [[query]]\nname = \"r\"\nfrom = \"c\"\n";
    let workload = scenario(text).workload;
    let stages: Vec<usize> = workload.jobs.iter().map(|job| job.stages.len()).collect();
    assert_eq!(stages, [2, 1, 1], "only the first round has the exchange");
    assert_eq!((workload.datasets[0].partitions.len(), workload.datasets[0].unpersist_after), (8, Some(2)));
}

#[test]
fn a_key_falls_into_the_same_partition_in_every_round() {
    let steps =
        "repeat = 2\nsteps = [{ op = \"aggregate\", groups = 100 }, { op = \"aggregate\", groups = 10 }]\n";
    let shuffles = scenario(&format!("{GOOD}{steps}")).workload.shuffles;
    let salts: Vec<u64> = shuffles.iter().map(|shuffle| shuffle.keys.salt).collect();
    assert_eq!(salts[..2], salts[2..]);
    assert_ne!(salts[0], salts[1]);
}

#[test]
fn a_global_sort_samples_first() {
    let workload = scenario(&format!("{GOOD}steps = [{{ op = \"sort\" }}]\n")).workload;
    let names: Vec<&str> = workload.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["query 1: sample", "query 1"]);
    assert_eq!(workload.shuffles[0].distribution, Distribution::Range);
}

#[test]
fn one_knob_leaves_the_other_draws_alone() {
    let text = |rows: u64| {
        format!(
            "[[table]]\nname = \"a\"\nrows = {rows}\npartitions = 3\nsizes = {{ log_normal = 1.0 }}\n\
             [[table]]\nname = \"b\"\nrows = 1_000_000\npartitions = 3\nsizes = {{ log_normal = 1.0 }}\n\
             [[query]]\nfrom = [\"a\", \"b\"]\n"
        )
    };
    let rows = |text: &str, stage: usize| scenario(text).workload.stages[stage].operators[0].rows.clone();
    assert_eq!(rows(&text(1_000), 1), rows(&text(2_000), 1));
    assert_ne!(rows(&text(1_000), 0), rows(&text(2_000), 0));
    let in_front = format!(
        "[[table]]\nname = \"z\"\nrows = 9\npartitions = 2\nsizes = {{ zipf = 1.0 }}\n{}",
        text(1_000)
    );
    assert_eq!(rows(&text(1_000), 1), rows(&in_front, 1));
    let reseeded = format!("seed = 2\n{}", text(1_000));
    assert_ne!(rows(&text(1_000), 1), rows(&reseeded, 1));
}

#[test]
fn shipped_scenarios_are_right_and_say_what_to_look_for() {
    let files = shipped();
    assert!(files.len() >= 9, "{}", files.len());
    for (path, text) in files {
        let scenario = scenario(&text);
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(scenario.name, name);
        let comment: String = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(comment.to_lowercase().contains("look"), "{name}: {comment}");
        assert!(!scenario.variants.is_empty(), "{name}");
        let (again, found) = parse(&render(&scenario), "rendered.toml");
        assert_eq!((again.as_ref(), found.len()), (Some(&scenario), 0), "{name}");
    }
}

/// Faults of a TOML value by the schema: only the keywords that the schema uses.
fn schema_faults(
    value: &toml::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    path: &str,
) -> Vec<String> {
    if let Some(reference) = schema.get("$ref").and_then(|reference| reference.as_str()) {
        let target = root.pointer(&reference[1..]).expect("a definition");
        return schema_faults(value, target, root, path);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(choices) = schema.get(keyword).and_then(|choices| choices.as_array()) {
            let faults: Vec<_> =
                choices.iter().map(|choice| schema_faults(value, choice, root, path)).collect();
            let fitting = faults.iter().filter(|faults| faults.is_empty()).count();
            return match (keyword, fitting) {
                ("oneOf", 1) => Vec::new(),
                ("anyOf", 1..) => Vec::new(),
                _ => faults.into_iter().flatten().collect(),
            };
        }
    }
    let text = value.as_str();
    if let Some(expected) = schema.get("const") {
        return (text != expected.as_str()).then(|| format!("{path}: not {expected}")).into_iter().collect();
    }
    if let Some(words) = schema.get("enum").and_then(|words| words.as_array()) {
        let known = words.iter().any(|word| word.as_str() == text);
        return (!known).then(|| format!("{path}: not in {words:?}")).into_iter().collect();
    }
    let types = match &schema["type"] {
        serde_json::Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let fits = types.iter().any(|kind| match kind.as_str() {
        Some("string") => value.is_str(),
        Some("integer") => value.is_integer(),
        Some("number") => value.is_integer() || value.is_float(),
        Some("boolean") => value.is_bool(),
        Some("array") => value.is_array(),
        Some("object") => value.is_table(),
        _ => false,
    });
    if !fits {
        return vec![format!("{path}: not {types:?}")];
    }
    let mut faults = Vec::new();
    if let (Some(table), Some(properties)) = (value.as_table(), schema.get("properties")) {
        for (key, value) in table {
            match properties.get(key) {
                Some(schema) => faults.extend(schema_faults(value, schema, root, &format!("{path}.{key}"))),
                None => faults.push(format!("{path}.{key}: unknown")),
            }
        }
        let required = schema["required"].as_array().expect("required");
        let missing = required.iter().filter_map(|key| key.as_str()).filter(|key| !table.contains_key(*key));
        faults.extend(missing.map(|key| format!("{path}.{key}: missing")));
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        for item in items {
            faults.extend(schema_faults(item, schema, root, path));
        }
    }
    faults
}

#[test]
fn the_schema_accepts_every_shipped_scenario_in_both_forms() {
    let schema = spillcast::scenario::schema();
    for (path, text) in shipped() {
        for text in [render(&scenario(&text)), text] {
            let value: toml::Value = toml::from_str(&text).expect("TOML");
            assert_eq!(
                schema_faults(&value, &schema, &schema, ""),
                Vec::<String>::new(),
                "{}",
                path.display()
            );
        }
    }
    let wrong: toml::Value =
        toml::from_str("[[query]]\nsteps = [{ op = \"sort\", groups = 1 }]\ncolour = 1\n").expect("TOML");
    let faults = schema_faults(&wrong, &schema, &schema, "");
    for fault in [".query.colour: unknown", ".query.from: missing", ".query.steps.groups: unknown"] {
        assert!(faults.iter().any(|found| found == fault), "{fault}: {faults:?}");
    }
}

fn amounts() -> impl Strategy<Value = PerTask> {
    prop_oneof![
        any::<u64>().prop_map(PerTask::Total),
        prop::collection::vec(any::<u64>(), 0..4).prop_map(PerTask::Each)
    ]
}

fn positive() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..1e-3, 0.0..1.0, 1.0..1e18, Just(0.1), Just(5e-324), Just(f64::MAX)]
}

fn bytes() -> impl Strategy<Value = u64> {
    0..=i64::MAX as u64
}

/// Any text, control characters, quotes and backslashes included.
fn free_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{0,8}", any::<String>(), Just("\"\\\u{7f}\n\t\r\u{85}".to_owned())]
}

fn shares() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(1e-9..0.2, 0..5)
}

fn kinds(shuffles: usize, datasets: usize, broadcasts: usize) -> impl Strategy<Value = OperatorKind> {
    use OperatorKind as K;
    prop_oneof![
        amounts().prop_map(|bytes| K::Scan { bytes }),
        (0..shuffles, amounts()).prop_map(|(shuffle, bytes)| K::ShuffleRead { shuffle, bytes }),
        (0..datasets).prop_map(|dataset| K::CachedScan { dataset }),
        Just(K::Pipelined),
        (bytes(), any::<bool>())
            .prop_map(|(entry_bytes, fast_map)| K::HashAggregate { entry_bytes, fast_map }),
        bytes().prop_map(|sorter_row_bytes| K::ObjectHashAggregate { sorter_row_bytes }),
        any::<bool>().prop_map(|radix| K::Sort { radix }),
        (0..broadcasts).prop_map(|broadcast| K::BroadcastHashJoin { broadcast }),
        (any::<bool>(), amounts()).prop_map(|(long_key, keys)| K::ShuffledHashJoin { long_key, keys }),
        any::<u64>().prop_map(|in_memory_rows| K::RowBuffer { in_memory_rows }),
        bytes().prop_map(|entry_bytes| K::ExternalAggregation { entry_bytes }),
        bytes().prop_map(|worker_bytes| K::Python { worker_bytes }),
        (0..shuffles, amounts()).prop_map(|(shuffle, bytes)| K::ShuffleWrite { shuffle, bytes }),
        (0..broadcasts).prop_map(|broadcast| K::Broadcast { broadcast }),
        amounts().prop_map(|bytes| K::Output { bytes }),
    ]
}

fn operators() -> impl Strategy<Value = Vec<Operator>> {
    let operator = (free_text(), kinds(2, 2, 2), amounts(), bytes(), amounts(), amounts());
    prop::collection::vec(operator, 0..4).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(at, (name, kind, rows, row_bytes, cpu_ns, heap_bytes))| Operator {
                name,
                kind,
                inputs: (0..at).collect(),
                rows,
                row_bytes,
                cpu_ns,
                heap_bytes,
            })
            .collect()
    })
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let partitioning = prop_oneof![
        (1..=u32::MAX).prop_map(Partitioning::Fixed),
        (bytes(), any::<u32>(), any::<u32>()).prop_map(|(bytes, files, tasks)| Partitioning::Files {
            bytes,
            files,
            tasks
        }),
        (prop::collection::vec(0..2usize, 0..3), any::<u32>())
            .prop_map(|(shuffles, tasks)| Partitioning::Shuffle { shuffles, tasks }),
        (0..2usize).prop_map(Partitioning::Dataset),
    ];
    let stage = (any::<u32>(), free_text(), partitioning, operators(), amounts(), amounts(), amounts());
    prop::collection::vec(stage, 0..4).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(at, (id, name, partitioning, operators, result_bytes, launch_ns, allocated_bytes))| {
                Stage {
                    id,
                    name,
                    parents: (0..at).collect(),
                    partitioning,
                    operators,
                    result_bytes,
                    launch_ns,
                    allocated_bytes,
                }
            })
            .collect()
    })
}

fn shuffle() -> impl Strategy<Value = Shuffle> {
    let partitions =
        prop_oneof![Just(ShufflePartitions::Conf), (1..=u32::MAX).prop_map(ShufflePartitions::Fixed)];
    let distribution = prop_oneof![
        Just(Distribution::Hash),
        Just(Distribution::Range),
        Just(Distribution::RoundRobin),
        Just(Distribution::Single)
    ];
    let keys = (shares(), any::<u64>(), any::<u64>(), shares())
        .prop_map(|(hot, distinct, salt, observed)| Keys { hot, distinct, salt, observed });
    (free_text(), partitions, distribution, keys, bytes(), positive(), any::<bool>(), any::<bool>()).prop_map(
        |(name, partitions, distribution, keys, record_bytes, compression, map_side_combine, relocatable)| {
            Shuffle {
                name,
                partitions,
                distribution,
                keys,
                record_bytes,
                compression,
                map_side_combine,
                relocatable,
            }
        },
    )
}

fn dataset() -> impl Strategy<Value = Dataset> {
    let level = (any::<[bool; 4]>(), any::<u8>()).prop_map(
        |([use_disk, use_memory, use_off_heap, deserialized], replication)| StorageLevel {
            use_disk,
            use_memory,
            use_off_heap,
            deserialized,
            replication,
        },
    );
    let named = Just(StorageLevel {
        use_disk: true,
        use_memory: true,
        use_off_heap: false,
        deserialized: true,
        replication: 2,
    });
    let partition = any::<[u64; 3]>().prop_map(|[memory_bytes, serialized_bytes, disk_bytes]| {
        CachedPartition { memory_bytes, serialized_bytes, disk_bytes }
    });
    let partitions = prop::collection::vec(partition, 0..4);
    (
        any::<u32>(),
        free_text(),
        prop_oneof![level, named],
        partitions,
        positive(),
        any::<u64>(),
        prop::option::of(0..2usize),
    )
        .prop_map(|(id, name, level, partitions, compute_ns_per_byte, elements, unpersist_after)| {
            Dataset { id, name, level, partitions, compute_ns_per_byte, elements, unpersist_after }
        })
}

fn workloads() -> impl Strategy<Value = Workload> {
    let two = |seed| prop::collection::vec(seed, 2);
    let broadcasts = prop::collection::vec((free_text(), any::<u64>(), bytes(), bytes(), any::<u64>()), 2);
    let observed = prop::option::of((any::<[u32; 2]>(), free_text(), bytes(), bytes(), positive()));
    let jobs = two((any::<u32>(), free_text(), any::<u64>()));
    let rest = (free_text(), any::<bool>(), positive(), bytes());
    (
        jobs,
        stages(),
        prop::collection::vec(shuffle(), 2),
        prop::collection::vec(dataset(), 2),
        broadcasts,
        observed,
        rest,
    )
        .prop_map(
            |(jobs, stages, shuffles, datasets, broadcasts, observed, (name, python, rate, base))| Workload {
                name,
                jobs: jobs
                    .into_iter()
                    .enumerate()
                    .map(|(at, (id, name, gap_ns))| Job {
                        id,
                        name,
                        stages: (0..stages.len()).filter(|stage| stage % 2 == at).collect(),
                        after: (0..at).collect(),
                        gap_ns,
                    })
                    .collect(),
                stages,
                shuffles,
                datasets,
                broadcasts: broadcasts
                    .into_iter()
                    .map(|(name, rows, relation_bytes, pieces_bytes, build_ns)| Broadcast {
                        name,
                        rows,
                        relation_bytes,
                        pieces_bytes,
                        build_ns,
                    })
                    .collect(),
                rates: Rates { spill_compression: rate, heap_base_bytes: base, ..Rates::default() },
                observed: observed.map(
                    |(
                        [shuffle_partitions, default_parallelism],
                        adaptive,
                        max_partition_bytes,
                        open_cost_bytes,
                        data_scale,
                    )| {
                        Observed {
                            shuffle_partitions,
                            adaptive,
                            max_partition_bytes,
                            open_cost_bytes,
                            default_parallelism,
                            data_scale,
                        }
                    },
                ),
                python,
            },
        )
}

fn entries() -> impl Strategy<Value = Vec<ConfEntry>> {
    prop::collection::btree_map("[a-z.]{1,12}", free_text(), 0..4).prop_map(|all| {
        all.into_iter().enumerate().map(|(line, (key, value))| ConfEntry { key, value, line }).collect()
    })
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let host = (any::<[u32; 2]>(), 1..=i64::MAX as u64, bytes(), prop::option::of(bytes()), 1.0..1e12)
        .prop_map(|([count, cores], memory_bytes, swap_bytes, disk_bytes, rate)| HostSpec {
            name: "h \"1\"".to_owned(),
            count: count.max(1),
            cores: cores.max(1),
            memory_bytes,
            swap_bytes,
            disk_bytes,
            disk_bytes_per_s: rate,
            network_bytes_per_s: rate / 3.0,
        });
    let tenant = (any::<bool>(), bytes(), 0.0..64.0, -1000..=1000).prop_map(
        |(bound, resident_bytes, cpu_cores, oom_score_adj)| TenantSpec {
            name: "tenant".to_owned(),
            host: bound.then(|| "h \"1\"".to_owned()),
            resident_bytes,
            active_bytes: resident_bytes / 2,
            cpu_cores,
            oom_score_adj,
        },
    );
    let version = prop::option::of(Just("3.5.9".to_owned()));
    (any::<u64>(), version, entries(), host, tenant, entries(), workloads()).prop_map(
        |(seed, spark_version, conf, host, tenant, other, workload)| Scenario {
            name: "any".to_owned(),
            seed,
            spark_version,
            conf,
            cluster: ClusterSpec { hosts: vec![host], tenants: vec![tenant] },
            workload,
            variants: vec![Variant { name: "other".to_owned(), conf: other }],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_in_rendering(scenario in scenarios()) {
        let text = render(&scenario);
        let (again, found) = parse(&text, "rendered.toml");
        prop_assert!(found.is_empty(), "{found:#?}\n{text}");
        prop_assert_eq!(again, Some(scenario));
    }

    #[test]
    fn no_text_makes_the_parser_panic(cut in 0usize..3_000, insert in "[\\[\\]{}=\"',.#a-z0-9\\n -]{0,6}", which in 0usize..9) {
        let (_, text) = shipped().swap_remove(which);
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (before, after) = text.split_at(at);
        for broken in [format!("{before}{insert}{after}"), before.to_owned()] {
            let (scenario, found) = parse(&broken, "broken.toml");
            let errors = found.iter().any(|fault| fault.severity == Severity::Error);
            prop_assert_eq!(scenario.is_none(), errors);
        }
    }
}
