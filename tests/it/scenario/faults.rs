//! Every fault is reported, at its line and column, with a code, a message and what would be right.

use spillcast::scenario::{Severity, parse};

use super::GOOD;

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
        "[[host]]\ncores = 1\nmemory = \"2g\"\n[[tenant]]\nname = \"db\"\nresident = \"1g\"\nactive = \"2g\"",
        "7:10",
        "SC011",
        "`active` is 2147483648 bytes, more than `resident` (1073741824)",
        "",
    );
    hosts();
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

/// Hosts and neighbours that cannot be.
fn hosts() {
    check_after_good(
        "[[host]]\ncores = 1\nmemory = \"1g\"\nswap = \"256m\"\n[[tenant]]\nname = \"db\"\nresident = \"2g\"",
        "3:10",
        "SC011",
        "host `host` has 1.0 GiB of memory and 256.0 MiB of swap, but its tenants and the kernel hold 2.1 GiB at rest",
        "it needs at least \"1904m\" with this swap, and more for Spark",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = 4",
        "3:10",
        "SC006",
        "`memory` is 4 bytes, less than a kernel needs",
        "a number without a unit is bytes; write \"4g\"",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = \"4g\"\nswap_bandwidth = \"0\"",
        "4:18",
        "SC006",
        "`swap_bandwidth` is 0, but must be more",
        "bytes a second, as \"200m\"",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = \"4g\"\nswap_latency = \"-1ms\"",
        "4:16",
        "SC005",
        "`swap_latency`: `-1ms` is no time: it is negative",
        "a time is 0 or more",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = 4096",
        "3:10",
        "SC006",
        "`memory` is 4096 bytes, less than a kernel needs",
        "a number without a unit is bytes; write \"4096m\"",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = 0",
        "3:10",
        "SC006",
        "`memory` is 0 bytes, less than a kernel needs",
        "a host has at least \"64m\"",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = \"4gigs\"",
        "3:10",
        "SC005",
        "`memory`: `4gigs` is no size: unknown unit `gigs`",
        "units are b, k, m, g, t and p, powers of 1024",
    );
    check_after_good(
        "[[host]]\ncores = 1\nmemory = \"4g\"\n[[tenant]]\nresident = \"1g\"",
        "4:1",
        "SC004",
        "a tenant needs `name`",
        "",
    );
    let tenant = "[[host]]\ncores = 1\nmemory = \"4g\"\n[[tenant]]\nname = \"db\"\nresident = \"1g\"\n";
    check_after_good(
        &format!("{tenant}request_memory = \"4m\""),
        "7:18",
        "SC011",
        "`request_memory` without `request_time`",
        "add `request_time`, the time of a request on a quiet host, as \"3ms\"",
    );
    check_after_good(
        &format!("{tenant}qos = \"burstable\"\noom_score_adj = 5"),
        "7:7",
        "SC008",
        "`qos` and `oom_score_adj` exclude each other",
        "the class decides the value",
    );
}
