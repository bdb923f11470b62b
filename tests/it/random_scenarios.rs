//! What must hold of any run of any scenario: it ends, twice in the same way; sums are the sums of their parts; nothing takes
//! more than there is. Scenarios are put together from a list of numbers, so that one that fails shrinks.

use std::fmt::Write;

use proptest::prelude::*;
use spillcast::conf::{Origin, SparkConf, SparkVersion};
use spillcast::experiment::{Base, Prepared};
use spillcast::record::study::SweepRow;
use spillcast::record::{Metrics, Outcome, RunRecord};
use spillcast::scenario;

/// Decisions, one after the other; the first of what there is to choose from when they are used up.
struct Choices(std::vec::IntoIter<u16>);

impl Choices {
    fn number(&mut self) -> usize {
        usize::from(self.0.next().unwrap_or(0))
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.number() % words.len()]
    }

    fn count(&mut self, most: usize) -> usize {
        self.number() % (most + 1)
    }
}

fn configuration(choices: &mut Choices, has_host: bool) -> Vec<(&'static str, String)> {
    let mut conf = Vec::new();
    let mut maybe = |choices: &mut Choices, one_in: usize, key: &'static str, values: &[&str]| {
        if choices.number() % one_in == one_in - 1 {
            conf.push((key, choices.of(values).to_owned()));
        }
    };
    let master =
        choices.of(&["local[2]", "local[1]", "local[3]", "yarn", "yarn", "spark://h:7077", "k8s://h"]);
    if master.starts_with("local") {
        maybe(choices, 1, "spark.driver.memory", &["512m", "1g", "3g"]);
        maybe(choices, 4, "spillcast.containerLimit", &["1200m", "2g", "4g"]);
    } else {
        maybe(choices, 1, "spark.executor.memory", &["512m", "1g", "2g"]);
        maybe(choices, 1, "spark.executor.cores", &["1", "2", "3"]);
        maybe(choices, 1, "spark.executor.instances", &["1", "2", "5"]);
        maybe(choices, 4, "spark.executor.memoryOverhead", &["384m", "100m", "1g"]);
    }
    maybe(choices, 1, "spark.sql.shuffle.partitions", &["1", "2", "7", "40"]);
    maybe(choices, 2, "spark.sql.adaptive.enabled", &["false"]);
    maybe(choices, 2, "spark.memory.fraction", &["0.6", "0.2", "0.9"]);
    maybe(choices, 4, "spark.memory.storageFraction", &["0.1", "0.9"]);
    maybe(choices, 4, "spark.memory.offHeap.size", &["64m", "512m"]);
    maybe(choices, 4, "spark.memory.offHeap.enabled", &["true"]);
    maybe(choices, 6, "spark.executor.extraJavaOptions", &["-XX:+UseSerialGC", "-XX:+UseParallelGC"]);
    maybe(choices, 4, "spillcast.evictionPolicy", &["fifo", "lfu", "lrc", "mrd", "belady"]);
    maybe(choices, 6, "spillcast.dataScale", &["0.001", "0.5", "4"]);
    maybe(choices, 8, "spark.driver.maxResultSize", &["0", "1k", "1m"]);
    if has_host {
        maybe(choices, 5, "spillcast.copies", &["2", "3"]);
        maybe(choices, 8, "spillcast.containerSwap", &["64m", "1g"]);
        maybe(choices, 8, "spillcast.containerHigh", &["600m", "1g"]);
    }
    conf.push(("spark.master", master.to_owned()));
    conf
}

fn hosts(choices: &mut Choices, text: &mut String) {
    let memory = choices.of(&["8g", "4g", "6g", "64g"]);
    let (count, cores) = (choices.of(&["1", "2", "4"]), choices.of(&["2", "1", "8"]));
    let (swap, device) = (choices.of(&["0", "1m", "2g", "16g"]), choices.of(&["ssd", "network", "spinning"]));
    write!(
        text,
        "[[host]]\nname = \"h\"\ncount = {count}\ncores = {cores}\nmemory = \"{memory}\"\nswap = \"{swap}\"\n\
         swap_device = \"{device}\"\n"
    )
    .expect("a String takes all");
    if choices.count(3) == 3 {
        writeln!(text, "disk = \"{}\"", choices.of(&["100g", "1g", "1m"])).expect("a String takes all");
    }
    if choices.count(4) == 4 {
        *text += "local_dir_in_memory = true\n";
    }
    for number in 0..choices.count(2) {
        let resident = choices.of(&["300", "10", "800", "2500"]);
        let score = choices.of(&["0", "0", "-1000", "500"]);
        let (cores, every) = (choices.of(&["0", "0.1", "2"]), choices.of(&["1s", "10ms"]));
        write!(text, "[[tenant]]\nname = \"t{number}\"\nresident = \"{resident}m\"\nactive = \"{resident}m\"\nperiod = \"20s\"\n\
             cores = {cores}\noom_score_adj = {score}\nrequest_time = \"1ms\"\nrequest_memory = \"1m\"\n\
             request_every = \"{every}\"\n").expect("a String takes all");
    }
}

fn queries(choices: &mut Choices, text: &mut String) {
    const ROWS: [&str; 5] = ["100000", "0", "1", "3000000", "20000000"];
    let tables = 1 + choices.count(1);
    for number in 0..tables {
        let (rows, files) = (choices.of(&ROWS), choices.of(&["5", "1", "30"]));
        let bytes: u64 = rows.parse::<u64>().expect("a number") * 10 + 1;
        write!(text, "[[table]]\nname = \"t{number}\"\nrows = {rows}\nrow_bytes = 40\nsize = \"{bytes}\"\nfiles = {files}\n").expect("a String takes all");
    }
    let cached = choices.count(1);
    for number in 0..cached {
        let level =
            choices.of(&["MEMORY_ONLY", "MEMORY_AND_DISK", "MEMORY_ONLY_SER", "DISK_ONLY", "OFF_HEAP"]);
        write!(text, "[[cached]]\nname = \"c{number}\"\nfrom = \"t0\"\nlevel = \"{level}\"\n")
            .expect("a String takes all");
    }
    let queries = 1 + choices.count(2);
    for number in 0..queries {
        let from = if choices.count(1) < cached {
            "c0".to_owned()
        } else {
            format!("t{}", choices.count(tables - 1))
        };
        let mut steps: Vec<String> = Vec::new();
        for _ in 0..choices.count(3) {
            steps.push(match choices.count(6) {
                0 => format!(
                    "{{ op = \"aggregate\", groups = {}, entry_bytes = 64 }}",
                    choices.of(&["1000", "1", "2000000"])
                ),
                1 => "{ op = \"sort\" }".to_owned(),
                2 => format!("{{ op = \"repartition\", partitions = {} }}", choices.of(&["4", "1", "40"])),
                3 => format!(
                    "{{ op = \"join\", with = \"t{}\", kind = \"{}\" }}",
                    choices.count(tables - 1),
                    choices.of(&["sort_merge", "broadcast", "shuffled_hash"])
                ),
                4 => format!("{{ op = \"window\", keys = {{ distinct = {} }} }}", choices.of(&["1000", "1"])),
                5 => format!(
                    "{{ op = \"python\", worker_memory = \"{}\" }}",
                    choices.of(&["100m", "0", "900m"])
                ),
                _ => format!(
                    "{{ op = \"map\", heap = \"{}\", rows_per_row = {} }}",
                    choices.of(&["1m", "0", "200m"]),
                    choices.of(&["1", "0.1", "3"])
                ),
            });
        }
        steps.push(
            choices.of(&["{ op = \"write\" }", "{ op = \"count\" }", "{ op = \"collect\" }"]).to_owned(),
        );
        writeln!(text, "[[query]]\nname = \"q{number}\"\nfrom = \"{from}\"\nsteps = [{}]", steps.join(", "))
            .expect("a String takes all");
    }
}

/// A scenario and its configuration.
fn scenario(choices: Vec<u16>) -> (String, SparkConf) {
    let mut choices = Choices(choices.into_iter());
    let has_host = choices.count(2) > 0;
    let mut conf = SparkConf::new(SparkVersion::DEFAULT);
    for (key, value) in configuration(&mut choices, has_host) {
        conf.set(key, &value, Origin::CommandLine("--conf".to_owned()));
    }
    let mut text = "name = \"x\"\nseed = 1\n".to_owned();
    if has_host {
        hosts(&mut choices, &mut text);
    }
    queries(&mut choices, &mut text);
    (text, conf)
}

/// Sums and peaks of tasks, by name; those of executors are not among them.
fn sums(metrics: &Metrics) -> [(&'static str, u64); 15] {
    [
        ("tasks", metrics.tasks),
        ("failed", metrics.failed_tasks),
        ("memory spilled", metrics.memory_bytes_spilled),
        ("disk spilled", metrics.disk_bytes_spilled),
        ("peak execution memory, sum", metrics.peak_execution_memory_sum),
        ("peak execution memory, largest", metrics.peak_execution_memory_max),
        ("collection", metrics.jvm_gc_time_ns.unwrap_or(0)),
        ("run time", metrics.executor_run_time_ns),
        ("processor time", metrics.executor_cpu_time_ns),
        ("shuffle read", metrics.shuffle_read_bytes),
        ("shuffle written", metrics.shuffle_write_bytes),
        ("input", metrics.input_bytes),
        ("output", metrics.output_bytes),
        ("results", metrics.result_bytes),
        ("spills", metrics.spills),
    ]
}

fn holds_together(run: &RunRecord) -> Result<(), TestCaseError> {
    let sum = |parts: &mut dyn Iterator<Item = &Metrics>| {
        let mut sum = Metrics::default();
        parts.for_each(|part| sum.add(part));
        sums(&sum)
    };
    let totals = sums(&run.totals);
    prop_assert_eq!(totals, sum(&mut run.stages.iter().map(|stage| &stage.metrics)), "stages");
    prop_assert_eq!(totals, sum(&mut run.tasks.iter().map(|task| &task.metrics)), "tasks");
    prop_assert_eq!(totals, sum(&mut run.executors.iter().map(|executor| &executor.metrics)), "executors");

    prop_assert!(run.wall_ns <= run.app_ns);
    for task in &run.tasks {
        prop_assert!(task.launch_ns <= task.finish_ns && task.finish_ns <= run.app_ns, "{task:?}");
        prop_assert!(task.metrics.executor_run_time_ns <= task.finish_ns - task.launch_ns, "{task:?}");
        prop_assert!(task.metrics.disk_bytes_spilled <= task.metrics.memory_bytes_spilled, "{task:?}");
    }
    for point in &run.timeline {
        let executor = &run.executors[point.executor as usize];
        prop_assert!(
            point.on_heap_execution + point.on_heap_storage <= executor.max_on_heap_memory
                && point.off_heap_execution + point.off_heap_storage <= executor.max_off_heap_memory
                && point.running_tasks <= u64::from(executor.cores),
            "{point:?}"
        );
    }
    for host in &run.hosts {
        let swapped: u64 =
            run.ledger.iter().filter(|line| line.host == host.name).map(|line| line.swapped_bytes).sum();
        prop_assert!(swapped <= host.swap_bytes, "{swapped} of {} in swap", host.swap_bytes);
    }
    for tenant in &run.tenants {
        prop_assert!(tenant.p50_ms <= tenant.p99_ms, "{tenant:?}");
    }
    let never_fails = run.outcome == Outcome::Ok;
    prop_assert_eq!(never_fails, run.reason.is_empty(), "{:?}: {}", run.outcome, run.reason);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn runs_of_any_scenario_hold_together(choices in prop::collection::vec(any::<u16>(), 0..90)) {
        let (text, conf) = scenario(choices);
        let (parsed, diagnostics) = scenario::parse(&text, "x.toml");
        // What means nothing together is refused in words: a host below what its tenants hold, a heap above its container.
        prop_assert!(parsed.is_some() || diagnostics.iter().all(|found| found.help.is_some()), "{diagnostics:?}\n{text}");
        prop_assume!(parsed.is_some());
        let base = Base::new(parsed.expect("just seen"), Some(text.clone()), conf, 1);
        let prepared = base.prepare(&[], &[]);
        prop_assume!(matches!(prepared, Ok(Prepared::Ready { .. })));
        let prepared = prepared.expect("just seen");
        let run = base.run(&prepared, 0, true);
        holds_together(&run)?;
        let row = SweepRow::of(0, 0, prepared.allocated_memory(), &base.run(&prepared, 0, false));
        prop_assert_eq!(SweepRow::of(0, 0, prepared.allocated_memory(), &run), row, "details change nothing");
    }
}
