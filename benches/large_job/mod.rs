//! A made-up job of any size: scan, partial aggregation and shuffle write in one stage; shuffle read, aggregation and sort
//! in the other, which may also sort a second table and merge the two. Shared by `benches/run.rs` and the examples.
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

/// How large the job is and what runs it.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Tasks of each of both stages.
    pub(crate) stage_tasks: u64,
    /// Executors of four cores, each on a machine of its own.
    pub(crate) executors: u32,
    /// Whether the second stage joins.
    pub(crate) joins: bool,
}

fn operator(
    stage_tasks: u64,
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
        rows: PerTask::Total(rows * stage_tasks),
        row_bytes,
        cpu_ns: PerTask::Total(cpu_ms * 1_000_000 * stage_tasks),
        heap_bytes: PerTask::Total(MIB * stage_tasks),
    }
}

fn stage(
    stage_tasks: u64,
    id: u32,
    parents: &[usize],
    partitioning: Partitioning,
    operators: Vec<Operator>,
) -> Stage {
    Stage {
        id,
        name: format!("stage {id}"),
        parents: parents.to_vec(),
        partitioning,
        operators,
        result_bytes: PerTask::Total(2 * KIB * stage_tasks),
        launch_ns: PerTask::Total(2_000_000 * stage_tasks),
        allocated_bytes: PerTask::Total(GIB * stage_tasks),
        background_threads: 0.0,
        warm_up_ns: 0,
        compile_ns: 0,
    }
}

/// What the job does.
pub(crate) fn workload(size: Size) -> Workload {
    let Size { stage_tasks, joins, .. } = size;
    let per_stage = |bytes: u64| PerTask::Total(bytes * stage_tasks);
    let operator = |name, kind, inputs: &[usize], rows, row_bytes, cpu_ms| {
        operator(stage_tasks, name, kind, inputs, rows, row_bytes, cpu_ms)
    };
    let map = vec![
        operator("Scan parquet", OperatorKind::Scan { bytes: per_stage(64 * MIB) }, &[], 2_000_000, 48, 900),
        operator(
            "HashAggregate",
            OperatorKind::HashAggregate {
                key_value_bytes: 48,
                fast_map: true,
                dense_keys: false,
                variable_rows: false,
            },
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
    let mut reduce = vec![
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
            OperatorKind::HashAggregate {
                key_value_bytes: 48,
                fast_map: false,
                dense_keys: false,
                variable_rows: false,
            },
            &[0],
            400_000,
            56,
            400,
        ),
        operator("Sort", OperatorKind::Sort { radix: true }, &[1], 400_000, 56, 300),
    ];
    if joins {
        reduce.extend([
            operator("Scan parquet", OperatorKind::Scan { bytes: per_stage(4 * MIB) }, &[], 100_000, 40, 80),
            operator("Sort", OperatorKind::Sort { radix: true }, &[3], 100_000, 40, 70),
            operator("SortMergeJoin", OperatorKind::Pipelined, &[2, 4], 400_000, 88, 150),
        ]);
    }
    let last = reduce.len() - 1;
    reduce.push(operator("Output", OperatorKind::Output { bytes: per_stage(8 * MIB) }, &[last], 0, 0, 200));
    Workload {
        name: "aggregate and sort".to_owned(),
        jobs: vec![Job { id: 0, name: "save".to_owned(), stages: vec![0, 1], after: Vec::new(), gap_ns: 0 }],
        stages: vec![
            stage(stage_tasks, 0, &[], Partitioning::Fixed(stage_tasks as u32), map),
            stage(
                stage_tasks,
                1,
                &[0],
                Partitioning::Shuffle { shuffles: vec![0], tasks: 0, may_split: Vec::new(), local: false },
                reduce,
            ),
        ],
        shuffles: vec![Shuffle {
            name: "groups".to_owned(),
            partitions: ShufflePartitions::Conf,
            distribution: Distribution::Hash,
            // Some forty keys a partition: partitions differ by a sixth, and the largest do not fit.
            keys: Keys { distinct: 40 * stage_tasks, salt: 7, ..Keys::default() },
            record_bytes: 64,
            compression: 0.4,
            map_side_combine: false,
            blocks: 0,
            relocatable: true,
        }],
        ..Workload::default()
    }
}

/// Its settings on executors with so much heap.
pub(crate) fn settings(size: Size, executor_memory: &str) -> Settings {
    let properties = [
        ("spark.master", "yarn".to_owned()),
        ("spark.executor.instances", size.executors.to_string()),
        ("spark.executor.cores", "4".to_owned()),
        ("spark.executor.memory", executor_memory.to_owned()),
        ("spark.sql.shuffle.partitions", size.stage_tasks.to_string()),
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
