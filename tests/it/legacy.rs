//! `spark.memory.useLegacyMode`: the fixed regions of Spark 2.4's static manager reach the simulated executors.

use spillcast::cluster::{PlanInput, plan};
use spillcast::conf::{Origin, Settings, SparkConf, SparkVersion};
use spillcast::memory::{MemoryMode, StorageLevel};
use spillcast::record::RunRecord;
use spillcast::sim::{Processes, Regions, SimOptions, simulate};
use spillcast::units::{GIB, MIB};
use spillcast::workload::{
    CachedPartition, Dataset, Job, Operator, OperatorKind, Partitioning, PerTask, Stage, Workload,
};

fn settings(version: &str, legacy: &str) -> Settings {
    let mut conf = SparkConf::new(SparkVersion::parse(version).unwrap());
    for (key, value) in [
        ("spark.master", "local[2]"),
        ("spark.driver.memory", "1g"),
        ("spillcast.collector", "g1"),
        ("spark.memory.useLegacyMode", legacy),
    ] {
        conf.set(key, value, Origin::Scenario(1));
    }
    Settings::resolve(&conf).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn processes(settings: &Settings) -> Processes {
    let cluster = plan(&PlanInput { settings, hosts: &[], yarn: None, python: false });
    Processes::new(&cluster, settings, &[]).unwrap()
}

/// Reads a cached dataset of 8 partitions of 60 MiB twice.
fn workload() -> Workload {
    let size = 60 * MIB;
    let partition = CachedPartition { memory_bytes: size, serialized_bytes: size / 2, disk_bytes: size / 4 };
    let scan = Operator {
        name: "Scan".to_owned(),
        kind: OperatorKind::CachedScan { dataset: 0, lineage: None },
        inputs: Vec::new(),
        rows: PerTask::Total(8),
        row_bytes: 8,
        cpu_ns: PerTask::Total(0),
        heap_bytes: PerTask::Total(0),
    };
    let stage = |id| Stage {
        id,
        name: "read".to_owned(),
        parents: Vec::new(),
        partitioning: Partitioning::Dataset(0),
        operators: vec![scan.clone()],
        result_bytes: PerTask::Total(0),
        launch_ns: PerTask::Total(0),
        allocated_bytes: PerTask::Total(0),
        background_threads: 0.0,
        warm_up_ns: 0,
        compile_ns: 0,
    };
    let job = |id: u32, after: Vec<usize>| Job {
        id,
        name: "read".to_owned(),
        stages: vec![id as usize],
        after,
        gap_ns: 0,
    };
    Workload {
        name: "cached".to_owned(),
        jobs: vec![job(0, Vec::new()), job(1, vec![0])],
        stages: vec![stage(0), stage(1)],
        datasets: vec![Dataset {
            id: 1,
            name: "data".to_owned(),
            level: StorageLevel::MEMORY_ONLY,
            partitions: vec![partition; 8],
            compute_ns_per_byte: 1.0,
            elements: 1000,
            unpersist_after: None,
        }],
        ..Workload::default()
    }
}

fn run(version: &str, legacy: &str) -> RunRecord {
    let settings = settings(version, legacy);
    simulate(&workload(), &settings, &processes(&settings), SimOptions::default())
}

#[test]
fn leg_1_executors_get_the_static_regions() {
    let settings = settings("2.4", "true");
    let executor = &processes(&settings).executors[0];
    let Regions::Static(regions) = executor.regions else { panic!("{:?}", executor.regions) };
    // 0.6 x 0.9 and 0.2 x 0.8 of 1 GiB; a fifth of storage to unroll.
    assert_eq!(executor.heap, GIB);
    assert_eq!((regions.storage, regions.execution), (579_820_584, 171_798_691));
    assert_eq!(regions.max_unroll, 115_964_116);
    // 171798691 / 2 cores / 16 is 5.1 MiB, rounded up to a power of two; 2.4 makes no room for an array's header.
    assert_eq!((executor.tungsten_mode, executor.page_size), (MemoryMode::OnHeap, 8 * MIB));
}

#[test]
fn a_static_pool_holds_blocks_that_the_unified_one_would_hold_less_of() {
    // 552 MiB of storage against 434 MiB of unified memory: 8 of 60 MiB fit; or 6, as the seventh cannot unroll in the
    // rest of 74 MiB, for which it asks in steps of half as much again.
    let (legacy, unified) = (run("2.4", "true"), run("2.4", "false"));
    assert_eq!(legacy.executors[0].max_on_heap_memory, 579_820_584);
    assert_eq!((legacy.datasets[0].in_memory, legacy.datasets[0].memory_hits), (8, 8));
    assert_eq!((unified.datasets[0].in_memory, unified.datasets[0].memory_hits), (6, 6));
}
