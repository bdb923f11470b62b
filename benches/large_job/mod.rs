//! A made-up job of 100,000 tasks on 50 executors: scan, partial aggregation and shuffle write in one stage, shuffle read,
//! aggregation and sort in the other. Shared by `benches/run.rs` and `examples/large_job.rs`.
//!
//! With 1300 MiB of heap nothing spills, with 850 MiB every reduce task does.

use std::collections::BTreeMap;

use spillcast::cluster::PlanInput;
use spillcast::conf::{Origin, Settings, SparkConf, SparkVersion};
use spillcast::sim::Processes;
use spillcast::units::{GIB, KIB, MIB};
use spillcast::workload::{
    Distribution, Job, Keys, Operator, OperatorKind, Partitioning, PerTask, Shuffle, ShufflePartitions,
    Stage, Workload,
};

/// Tasks of both stages together.
pub(crate) const TASKS: u64 = 2 * STAGE_TASKS;
const STAGE_TASKS: u64 = 50_000;
const EXECUTORS: u32 = 50;

fn operator(
    name: &str,
    kind: OperatorKind,
    inputs: &[usize],
    rows: u64,
    row_bytes: u64,
    cpu_ms: u64,
) -> Operator {
    Operator {
        name: name.to_owned(),
        kind,
        inputs: inputs.to_vec(),
        rows: PerTask::Total(rows * STAGE_TASKS),
        row_bytes,
        cpu_ns: PerTask::Total(cpu_ms * 1_000_000 * STAGE_TASKS),
        heap_bytes: PerTask::Total(MIB * STAGE_TASKS),
    }
}

fn stage(id: u32, parents: &[usize], partitioning: Partitioning, operators: Vec<Operator>) -> Stage {
    Stage {
        id,
        name: format!("stage {id}"),
        parents: parents.to_vec(),
        partitioning,
        operators,
        result_bytes: PerTask::Total(2 * KIB * STAGE_TASKS),
        launch_ns: PerTask::Total(2_000_000 * STAGE_TASKS),
        allocated_bytes: PerTask::Total(GIB * STAGE_TASKS),
        background_threads: 0.0,
        warm_up_ns: 0,
        compile_ns: 0,
    }
}

/// What the job does.
pub(crate) fn workload() -> Workload {
    let per_stage = |bytes: u64| PerTask::Total(bytes * STAGE_TASKS);
    let map = vec![
        operator("Scan parquet", OperatorKind::Scan { bytes: per_stage(64 * MIB) }, &[], 2_000_000, 48, 900),
        operator(
            "HashAggregate",
            OperatorKind::HashAggregate { key_value_bytes: 48, fast_map: true },
            &[0],
            700_000,
            56,
            700,
        ),
        operator(
            "Exchange",
            OperatorKind::ShuffleWrite { shuffle: 0, bytes: per_stage(16 * MIB) },
            &[1],
            700_000,
            56,
            300,
        ),
    ];
    let reduce = vec![
        operator(
            "ShuffleRead",
            OperatorKind::ShuffleRead { shuffle: 0, bytes: per_stage(16 * MIB) },
            &[],
            700_000,
            56,
            200,
        ),
        operator(
            "HashAggregate",
            OperatorKind::HashAggregate { key_value_bytes: 48, fast_map: false },
            &[0],
            400_000,
            56,
            400,
        ),
        operator("Sort", OperatorKind::Sort { radix: true }, &[1], 400_000, 56, 300),
        operator("Output", OperatorKind::Output { bytes: per_stage(8 * MIB) }, &[2], 0, 0, 200),
    ];
    Workload {
        name: "aggregate and sort".to_owned(),
        jobs: vec![Job { id: 0, name: "save".to_owned(), stages: vec![0, 1], after: Vec::new(), gap_ns: 0 }],
        stages: vec![
            stage(0, &[], Partitioning::Fixed(STAGE_TASKS as u32), map),
            stage(1, &[0], Partitioning::Shuffle { shuffles: vec![0], tasks: 0 }, reduce),
        ],
        shuffles: vec![Shuffle {
            name: "groups".to_owned(),
            partitions: ShufflePartitions::Conf,
            distribution: Distribution::Hash,
            // Some forty keys a partition: partitions differ by a sixth, and the largest do not fit.
            keys: Keys { distinct: 40 * STAGE_TASKS, salt: 7, ..Keys::default() },
            record_bytes: 64,
            compression: 0.4,
            map_side_combine: false,
            relocatable: true,
        }],
        ..Workload::default()
    }
}

/// Its settings on executors with so much heap.
pub(crate) fn settings(executor_memory: &str) -> Settings {
    let properties = [
        ("spark.master", "yarn".to_owned()),
        ("spark.executor.instances", EXECUTORS.to_string()),
        ("spark.executor.cores", "4".to_owned()),
        ("spark.executor.memory", executor_memory.to_owned()),
        ("spark.sql.shuffle.partitions", STAGE_TASKS.to_string()),
        ("spark.sql.adaptive.enabled", "false".to_owned()),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value));
    resolve(SparkVersion::new(4, 1), &BTreeMap::from(properties))
}

/// Settings of `properties` under a Spark version.
pub(crate) fn resolve(version: SparkVersion, properties: &BTreeMap<String, String>) -> Settings {
    let mut conf = SparkConf::new(version);
    for (key, value) in properties {
        conf.set(key, value, Origin::EventLog);
    }
    Settings::resolve(&conf).expect("the configuration holds")
}

/// The executors that Spark would start.
pub(crate) fn processes(settings: &Settings, python: bool) -> Processes {
    let plan = spillcast::cluster::plan(&PlanInput { settings, hosts: &[], yarn: None, python });
    Processes::new(&plan, settings, &[]).expect("the executors start")
}
