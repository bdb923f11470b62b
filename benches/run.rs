//! How fast a whole simulated application is.
//!
//! A reader may conclude how long an answer takes, and from the throughput (elements are engine events) whether an event
//! has become dearer or a task makes more of them. Budget: 100,000 tasks on 50 executors in under 1 s and 200 MB where
//! half of the tasks spill and only sums are kept, as a sweep runs it; 1,000 tasks on 10 executors in 2 ms, so that
//! 10,000 configurations take 10 s on two processors.
//!
//! `large_job` says what the job does. The log is a real one from the tests' data; reading it is measured apart from
//! running it. For memory: `/usr/bin/time -v cargo run --release --example large_job`.

mod large_job;

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use large_job::Size;
use spillcast::conf::SparkVersion;
use spillcast::eventlog::{Import, LogPart, import, read_app_log};
use spillcast::sim::{SimOptions, simulate};

/// A small log of an application that caches under memory pressure.
const LOG: &str = "w4-h800/local-1795262942417.zstd";

/// As a cluster runs it.
const LARGE: Size = Size { stage_tasks: 50_000, executors: 50, joins: false };
/// As a sweep runs it thousands of times.
const MIDDLE: Size = Size { stage_tasks: 500, executors: 10, joins: true };

fn middle(criterion: &mut Criterion) {
    let workload = large_job::workload(MIDDLE);
    let mut group = criterion.benchmark_group("1,000 tasks");
    for (name, executor_memory) in [("nothing spills", "2g"), ("half spill", "850m")] {
        let settings = large_job::settings(MIDDLE, executor_memory);
        let processes = large_job::processes(&settings, workload.python);
        let run = || simulate(&workload, &settings, &processes, SimOptions { seed: 1, details: false });
        let record = run();
        assert_eq!(record.totals.tasks, 2 * MIDDLE.stage_tasks, "{}", record.reason);
        assert_eq!(record.totals.disk_bytes_spilled > 0, name != "nothing spills");
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(run())));
    }
    group.finish();
}

fn large(criterion: &mut Criterion) {
    let workload = large_job::workload(LARGE);
    let mut group = criterion.benchmark_group("100,000 tasks");
    group.sample_size(10);
    for (name, executor_memory, details) in [
        ("nothing spills", "1300m", false),
        ("half spill", "850m", false),
        ("half spill, every task and event kept", "850m", true),
    ] {
        let settings = large_job::settings(LARGE, executor_memory);
        let processes = large_job::processes(&settings, workload.python);
        let run = || simulate(&workload, &settings, &processes, SimOptions { seed: 1, details });
        let record = run();
        assert_eq!(record.totals.tasks, 2 * LARGE.stage_tasks, "{}", record.reason);
        assert_eq!(record.totals.disk_bytes_spilled > 0, name != "nothing spills");
        group.throughput(Throughput::Elements(record.engine_events));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(run())));
    }
    group.finish();
}

fn read_log() -> Import {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/eventlog").join(LOG);
    let file = std::fs::File::open(&path).expect("the log is among the tests' data");
    let (log, notes) = read_app_log([LogPart::new(LOG.to_owned(), file)]).expect("the log is whole");
    import(&log, &notes).expect("the log has tasks")
}

fn small_log(criterion: &mut Criterion) {
    let Import { workload, properties, spark_version, .. } = read_log();
    let version = SparkVersion::parse(&spark_version).expect("the log names its version");
    let settings = large_job::resolve(version, &properties);
    let processes = large_job::processes(&settings, workload.python);
    let options = SimOptions::default();
    let events = simulate(&workload, &settings, &processes, options).engine_events;
    let mut group = criterion.benchmark_group("small log");
    group.throughput(Throughput::Elements(events));
    group.bench_function("run", |bencher| {
        bencher.iter(|| black_box(simulate(&workload, &settings, &processes, options)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("read and import", |bencher| bencher.iter(|| black_box(read_log())));
    group.finish();
}

criterion_group!(benches, middle, large, small_log);
criterion_main!(benches);
