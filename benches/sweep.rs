//! How fast studies are: runs a second, as a sweep makes them (sums only, no files).
//!
//! A reader may conclude how many points a minute buys for a job of some size, what a second thread brings, and what a
//! replication costs beside a point of its own and beside a run that starts from the scenario's text. Points share the
//! workload, replications of a point share the meaning of the configuration but draw the workload anew; drawing counts,
//! since each measurement starts with an application that has drawn nothing yet. Throughput counts runs.

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spillcast::conf::{Origin, SparkConf, SparkVersion};
use spillcast::experiment::{Axis, Base, Replications, Space, Study};
use spillcast::scenario;

/// Runs of each measurement.
const RUNS: u32 = 16;

/// A scan, a partial aggregation and a shuffle of `tasks` tasks in all, on four executors of four cores.
fn job(tasks: u32) -> String {
    let (files, partitions) = (tasks / 5, tasks - tasks / 5);
    format!(
        r#"
name = "{tasks} tasks"
[conf]
"spark.master" = "yarn"
"spark.executor.instances" = 4
"spark.executor.cores" = 4
"spark.executor.memory" = "2g"
"spark.sql.adaptive.enabled" = "false"
"spark.sql.shuffle.partitions" = {partitions}
[[table]]
name = "events"
rows = {rows}
row_bytes = 40
size = "{size}m"
partitions = {files}
[[query]]
name = "sum per key"
from = "events"
steps = [
  {{ op = "aggregate", groups = {groups}, keys = {{ hot = [0.05, 0.02] }}, entry_bytes = 64 }},
  {{ op = "write" }},
]
"#,
        rows = u64::from(tasks) * 100_000,
        groups = u64::from(tasks) * 60_000,
        size = files * 125,
    )
}

fn base(text: &str) -> Base {
    let (parsed, diagnostics) = scenario::parse(text, "job.toml");
    let scenario = parsed.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let mut conf = SparkConf::new(SparkVersion::DEFAULT);
    for entry in &scenario.conf {
        conf.set(&entry.key, &entry.value, Origin::Scenario(entry.line as u32));
    }
    Base::new(scenario, Some(text.to_owned()), conf, 1)
}

fn heaps(count: u32) -> Space {
    let values = (0..count).map(|at| format!("{}m", 1024 + at * 256)).collect();
    Space::product(vec![Axis { key: "spark.executor.memory".to_owned(), values }]).expect("one axis")
}

fn run(base: &Base, space: &Space, replications: u32) -> u32 {
    let study =
        Study { base, space, replications: Replications::Fixed(replications), confidence: 0.95, shard: None };
    let mut rows = 0;
    let done = study.run::<Infallible>(
        &|_, _| None,
        |row| {
            black_box(row);
            rows += 1;
            Ok(())
        },
        |_| {},
    );
    assert!(done.is_ok());
    rows
}

fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(work)
}

fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("runs of a sweep");
    group.sample_size(10);
    for tasks in [50, 1_000, 10_000] {
        let base = base(&job(tasks));
        let space = heaps(RUNS);
        for threads in [1, 2] {
            group.throughput(Throughput::Elements(u64::from(RUNS)));
            let id = BenchmarkId::new(format!("{tasks} tasks"), format!("{threads} threads"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| assert_eq!(with_threads(threads, || run(&base, &space, 1)), RUNS));
            });
        }
    }
    group.finish();
}

fn replications(criterion: &mut Criterion) {
    let text = job(1_000);
    let mut group = criterion.benchmark_group("1,000 tasks, 16 runs on 1 thread");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(RUNS)));
    for (name, space, replications) in
        [("16 points", heaps(RUNS), 1), ("1 point, 16 replications", heaps(1), RUNS)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || base(&text),
                |base| assert_eq!(with_threads(1, || run(base, &space, replications)), RUNS),
                BatchSize::PerIteration,
            );
        });
    }
    let space = heaps(RUNS);
    group.bench_function("16 fresh runs, each from the scenario's text", |bencher| {
        bencher.iter(|| {
            for point in 0..u64::from(RUNS) {
                let base = base(&text);
                let prepared = base.prepare(space.keys(), &space.values(point)).expect("values");
                black_box(base.run(&prepared, 0, false));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, sizes, replications);
criterion_main!(benches);
