//! Memory pressure from outside Spark: neighbours at a standstill, containers that share one swap, collections of an executor
//! that waits for pages or has nothing to do.

use serde_json::Value;
use spillcast::conf::{Origin, SparkConf, SparkVersion};
use spillcast::experiment::Base;
use spillcast::scenario;

use crate::cli::{done, scratch, text};

/// Two tasks at a time scan a large table beside a neighbour, where pages come from a spinning disk.
fn beside_a_hog(hog: &str, gigabytes: u32) -> String {
    format!(
        "name = \"x\"\nseed = 1\n[conf]\n\"spark.master\" = \"local[2]\"\n\"spark.driver.memory\" = \"512m\"\n\
         [[host]]\nname = \"node\"\ncores = 4\nmemory = \"4g\"\nswap = \"16g\"\nswap_device = \"spinning\"\n\
         [[tenant]]\nname = \"hog\"\nresident = \"{hog}\"\nactive = \"{hog}\"\nperiod = \"20s\"\n\
         request_time = \"3ms\"\nrequest_memory = \"10m\"\nrequest_every = \"10ms\"\n\
         [[table]]\nname = \"t\"\nrows = {gigabytes}0_000_000\nrow_bytes = 50\nsize = \"{gigabytes}g\"\n\
         files = {}\n[[query]]\nname = \"q\"\nfrom = \"t\"\nsteps = [{{ op = \"write\" }}]\n",
        50 * gigabytes
    )
}

fn run(scenario: &str, flags: &str) -> Value {
    let folder = scratch();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, scenario).expect("written");
    let args = format!("run {} --json --quiet {flags}", text(&file));
    serde_json::from_str(&done(&args).out).expect("JSON")
}

fn number(run: &Value, path: &str) -> f64 {
    run.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}"))
}

/// The neighbour crawls for a quarter of an hour, Spark does not.
#[test]
fn a_neighbour_at_a_standstill_ends_no_application() {
    let run = run(&beside_a_hog("4g", 40), "--driver-memory 3500m");
    assert!(number(&run, "/wallMs") > 600e3 && number(&run, "/tenants/0/p50Ms") > 60e3);
    assert_eq!(run["outcome"], "ok", "{}", run["reason"]);
}

/// A page of the neighbour's takes so long that its queue would be served in days; the run does not see that.
#[test]
fn no_request_takes_longer_than_the_run() {
    let scenario = beside_a_hog("5g", 8);
    let found = run(&scenario, "");
    let [p99, wall] = ["/tenants/0/p99Ms", "/wallMs"].map(|path| number(&found, path));
    assert!(p99 <= wall + 10e3, "{p99} {wall}");
    let folder = scratch();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, scenario).expect("written");
    let page = done(&format!("run {} --quiet", text(&file))).out;
    let words: Vec<&str> = page.split_whitespace().collect();
    assert!(words.join(" ").contains("half of its requests are not served within"), "{page}");
}

/// The collector works for what is allocated, however long that takes: six jobs at once wait for pages in 4 GiB and do not in
/// 16, with processors and a disk that none of them waits for.
#[test]
fn the_same_allocation_costs_the_same_young_collections_on_a_slow_host() {
    let scenario = beside_a_hog("100m", 8)
        .replace("spinning", "ssd")
        .replace("cores = 4", "cores = 64\ndisk_bandwidth = \"1000g\"");
    let six = "--conf spillcast.copies=6";
    let (slow, quiet) =
        (run(&scenario, six), run(&scenario, &format!("{six} --conf spillcast.host.memory=16g")));
    let [waited, alone] = [&slow, &quiet].map(|run| number(run, "/totals/executorRunTime"));
    assert!(waited > 1.5 * alone, "{waited} {alone}");
    let [slow, quiet] = [&slow, &quiet].map(|run| number(run, "/totals/jvmGcTime"));
    assert!((slow / quiet - 1.0).abs() < 0.1, "{slow} {quiet}");
}

/// Four containers with 2 GiB of swap each, on a host that has 2 GiB.
#[test]
fn containers_share_the_swap_that_the_host_has() {
    let args = "run scenarios/container-swap.toml --json --quiet --conf spillcast.containerLimit=600m \
                --conf spillcast.containerSwap=2g --conf spillcast.copies=4 --conf spillcast.host.swap=";
    let run =
        |swap: &str| -> Value { serde_json::from_str(&done(&format!("{args}{swap}")).out).expect("JSON") };
    let swapped = |run: &Value| -> f64 {
        let lines = run["ledger"].as_array().expect("a ledger").iter();
        lines.map(|line| line["swapped"].as_f64().expect("bytes")).sum()
    };
    let (short, enough) = (run("2g"), run("4g"));
    let all = f64::from(1 << 30) * 2.0;
    assert!(swapped(&short) <= all && swapped(&enough) > all);
    assert_eq!((&short["outcome"], &enough["outcome"]), (&"container_killed".into(), &"ok".into()));
    let reason = short["reason"].as_str().expect("a reason");
    assert!(reason.contains("600.0 MiB of memory and 512.0 MiB of swap"), "{reason}");
}

/// Collections of a 2.8 GiB heap come every half minute of work; the second executor has none for as long.
#[test]
fn an_idle_executor_fills_no_heap() {
    let table = |name: &str, rows: &str, size: &str, files: u32| {
        format!(
            "[[table]]\nname = \"{name}\"\nrows = {rows}\nrow_bytes = 100\nsize = \"{size}\"\nfiles = {files}\n\
             splittable = false\n"
        )
    };
    let query = |from: &str| {
        format!("[[query]]\nname = \"{from}\"\nfrom = \"{from}\"\nsteps = [{{ op = \"write\" }}]\n")
    };
    let scenario = format!(
        "name = \"x\"\nseed = 1\n[conf]\n\"spark.master\" = \"yarn\"\n\"spark.executor.instances\" = 2\n\
         \"spark.executor.cores\" = 1\n\"spark.executor.memory\" = \"4g\"\n\"spark.driver.memory\" = \"8g\"\n\
         \"spark.executor.extraJavaOptions\" = \"-XX:+UseSerialGC\"\n\"spark.network.timeout\" = \"2s\"\n\
         \"spark.executor.heartbeatInterval\" = \"1900ms\"\n\"spark.network.timeoutInterval\" = \"900ms\"\n\
         [rates]\nheap_base_bytes = \"2800m\"\n[[host]]\nname = \"w\"\ncount = 2\ncores = 16\nmemory = \"256g\"\n\
         {}{}{}{}{}",
        table("two", "400_000", "40m", 2),
        table("one", "100_000_000", "20g", 1),
        query("two"),
        query("one"),
        query("two").replace("name = \"two\"", "name = \"again\""),
    );
    let folder = scratch();
    let (file, out) = (folder.path().join("x.toml"), folder.path().join("out"));
    std::fs::write(&file, scenario).expect("written");
    done(&format!("run {} --quiet --out {}", text(&file), text(&out)));
    let events = std::fs::read_to_string(out.join("events.csv")).expect("events");
    let starts: Vec<f64> = events
        .lines()
        .filter(|line| line.contains(",long_pause,"))
        .map(|line| line.split(',').next().and_then(|time| time.parse().ok()).expect("a time"))
        .collect();
    // The lonely task moves from one to the other, and each starts with an empty heap but for a tenth of a second of work.
    assert!(starts.len() == 4 && starts.windows(2).all(|pair| pair[1] - pair[0] > 25e3), "{starts:?}");
}

/// What tasks allocate is what they allocate, however long a crowded host lets them wait for a processor; it decides how much
/// of the heap was ever touched.
#[test]
fn a_busy_processor_makes_nobody_allocate_more() {
    let scenario = |busy: f64| {
        format!(
            "name = \"x\"\nseed = 1\n[conf]\n\"spark.master\" = \"local[1]\"\n\"spark.driver.memory\" = \"2g\"\n\
             [[host]]\nname = \"node\"\ncores = 1\nmemory = \"16g\"\nswap = \"0\"\n\
             [[tenant]]\nname = \"hog\"\nresident = \"10m\"\nactive = \"10m\"\nperiod = \"20s\"\ncores = {busy}\n\
             [[table]]\nname = \"t\"\nrows = 1_000_000\nrow_bytes = 50\nsize = \"50m\"\nfiles = 1\n\
             [[query]]\nname = \"q\"\nfrom = \"t\"\nsteps = [{{ op = \"write\" }}]\n"
        )
    };
    let [quiet, busy] = [0.0, 4.0].map(|cores| run(&scenario(cores), ""));
    let [alone, crowded] = [&quiet, &busy].map(|run| number(run, "/totals/executorRunTime"));
    assert!(crowded > 3.0 * alone, "{crowded} {alone}");
    let [alone, crowded] = [&quiet, &busy].map(|run| number(run, "/totals/peakRss"));
    assert!((crowded / alone - 1.0).abs() < 0.05, "{crowded} {alone}");
}

/// Two containers that swap alike swap twice as much.
#[test]
fn what_containers_swap_counts_for_every_copy() {
    let scenario = std::fs::read_to_string("scenarios/container-swap.toml").expect("a scenario");
    let roomy = scenario.replace("cores = 2\nmemory = \"8g\"", "cores = 8\nmemory = \"64g\"");
    let swapped = |copies: u32| {
        let flags = format!("--conf spillcast.containerSwap=1g --conf spillcast.copies={copies}");
        number(&run(&roomy, &flags), "/totals/swapOutBytes")
    };
    let ratio = swapped(2) / swapped(1);
    // They also wait for one disk, so that not quite as much is touched at a time.
    assert!((1.6..2.2).contains(&ratio), "{ratio}");
}

/// A neighbour may have any name; Spark's files stand on the kernel's row, requests on the neighbour's.
#[test]
fn a_neighbour_called_kernel_is_not_the_kernel() {
    let scenario = beside_a_hog("1g", 1).replace("name = \"hog\"", "name = \"kernel\"");
    let folder = scratch();
    let (file, out) = (folder.path().join("x.toml"), folder.path().join("out"));
    std::fs::write(&file, scenario).expect("written");
    done(&format!("run {} --quiet --out {}", text(&file), text(&out)));
    let table = std::fs::read_to_string(out.join("host_timeline.csv")).expect("a time line");
    let names: Vec<&str> = table.lines().next().expect("a header").split(',').collect();
    let of = |name: &str| names.iter().position(|known| *known == name).expect("a column");
    let (process, files, p50) = (of("process"), of("files"), of("p50Ms"));
    let rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let filled: Vec<_> = rows
        .filter(|row| row[process] == "kernel")
        .map(|row| (!row[files].is_empty(), !row[p50].is_empty()))
        .collect();
    assert!(!filled.is_empty() && filled.chunks(2).all(|pair| pair == [(true, false), (false, true)]));
}

/// Two executors of one core, on as many of `hosts` hosts as they need, exchange 110 MB.
fn exchange(hosts: u32, per_host: u32, network: &str, flags: &str) -> Value {
    let scenario = format!(
        "name = \"x\"\nseed = 1\n[conf]\n\"spark.master\" = \"yarn\"\n\"spark.executor.instances\" = 2\n\
         \"spark.executor.memory\" = \"2g\"\n\"spark.sql.adaptive.enabled\" = \"false\"\n\
         \"spark.sql.shuffle.partitions\" = 8\n[[host]]\nname = \"w\"\ncount = {hosts}\ncores = {per_host}\n\
         memory = \"64g\"\nnetwork_bandwidth = \"{network}\"\n[[table]]\nname = \"t\"\nrows = 5_000_000\n\
         row_bytes = 40\nsize = \"100m\"\nfiles = 8\n[[query]]\nname = \"q\"\nfrom = \"t\"\n\
         steps = [{{ op = \"repartition\" }}, {{ op = \"write\" }}]\n"
    );
    run(&scenario, flags)
}

/// Half of 110 MB goes from one host to the other, at 1 MiB a second for each of two.
#[test]
fn a_shuffle_waits_for_the_network_of_its_hosts() {
    let wall = |network: &str, flags: &str| number(&exchange(2, 1, network, flags), "/wallMs") / 1e3;
    let (slow, fast) = (wall("1m", ""), wall("1g", ""));
    assert!((20.0..35.0).contains(&(slow - fast)), "{slow} {fast}");
    // Another such application at the same moment takes half of it.
    let shared = wall("1m", "--conf spillcast.copies=2");
    assert!((20.0..40.0).contains(&(shared - slow)), "{shared} {slow}");
}

/// What lies on the host is not fetched over the network, however many hosts without executors there are.
#[test]
fn hosts_without_executors_hold_no_map_outputs() {
    let one = exchange(1, 4, "1m", "");
    let many = exchange(10, 4, "1m", "--conf spark.executor.instances=1 --conf spark.executor.cores=2");
    let [one, many] = [one, many].map(|run| number(&run, "/wallMs"));
    assert!(one < 10e3 && many < 10e3, "{one} {many}");
}

/// The task would be done a moment after it took more than there is; it gets no page before the kernel kills.
#[test]
fn who_takes_more_than_there_is_does_not_get_away_with_it() {
    let scenario = "name = \"x\"\nseed = 1\n[conf]\n\"spark.master\" = \"local[1]\"\n\"spark.driver.memory\" = \"3g\"\n\
                    [[host]]\nname = \"node\"\ncores = 2\nmemory = \"2g\"\n\
                    [[table]]\nname = \"t\"\nrows = 1_000\nrow_bytes = 50\npartitions = 1\n\
                    [[query]]\nname = \"q\"\nfrom = \"t\"\n\
                    steps = [{ op = \"map\", heap = \"2g\" }, { op = \"write\" }]\n";
    assert_eq!(run(scenario, "")["outcome"], "host_oom_killed");
    assert_eq!(run(scenario, "--conf spillcast.host.memory=6g")["outcome"], "ok");
}

/// Compiler threads of the executor would go on for a quarter of an hour.
#[test]
fn nothing_is_simulated_once_the_last_job_is_done() {
    let scenario = beside_a_hog("1g", 1)
        .replace("[[host]]", "[rates]\nexecutor_compile_ns = 2_000_000_000_000\n[[host]]");
    let (parsed, diagnostics) = scenario::parse(&scenario, "x.toml");
    let parsed = parsed.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let mut conf = SparkConf::new(SparkVersion::DEFAULT);
    for (key, value) in [("spark.master", "yarn"), ("spark.executor.instances", "1")] {
        conf.set(key, value, Origin::Scenario(1));
    }
    let base = Base::new(parsed, None, conf, 1);
    let found = base.run(&base.prepare(&[], &[]).expect("a configuration"), 0, false);
    let (asked, wall) = (found.tenants[0].asked_ms.expect("requests"), found.app_ns as f64 / 1e6);
    assert!(wall < 60e3 && asked < wall + 1.0, "{asked} {wall}");
}

/// A table of 500 MiB against a pool of 434: four tasks, one after the other, each have it on the heap.
#[test]
fn a_broadcast_table_without_room_weighs_on_every_task() {
    let scenario = "name = \"x\"\nseed = 1\n[conf]\n\"spark.master\" = \"local[1]\"\n\"spark.driver.memory\" = \"1g\"\n\
                    [[table]]\nname = \"t\"\nrows = 1_000\nrow_bytes = 50\npartitions = 4\n\
                    [[table]]\nname = \"small\"\nrows = 100\nrow_bytes = 50\n\
                    [[query]]\nname = \"q\"\nfrom = \"t\"\nsteps = [{ op = \"join\", with = \"small\", \
                    kind = \"broadcast\", relation = \"500m\" }, { op = \"write\" }]\n";
    let folder = scratch();
    let (file, out) = (folder.path().join("x.toml"), folder.path().join("out"));
    std::fs::write(&file, scenario).expect("written");
    done(&format!("run {} --quiet --out {}", text(&file), text(&out)));
    let table = std::fs::read_to_string(out.join("timeline.csv")).expect("a time line");
    let names: Vec<&str> = table.lines().next().expect("a header").split(',').collect();
    let user = names.iter().position(|name| *name == "userMemory").expect("a column");
    let held = table.lines().filter(|row| row.split(',').nth(user) == Some("524288000"));
    assert_eq!(held.count(), 4);
}
