//! Small applications through the whole simulation: what failures, lost executors, waits and caches lead to.

use proptest::prelude::*;
use spillcast::cluster::{PlanInput, plan};
use spillcast::conf::{Origin, Settings, SparkConf, SparkVersion};
use spillcast::memory::StorageLevel;
use spillcast::record::{EventKind, Outcome, RunRecord, TimelinePoint};
use spillcast::sim::{Processes, SimOptions, simulate};
use spillcast::units::{GIB, MIB};
use spillcast::workload::{
    Broadcast, CachedPartition, Dataset, Distribution, Job, Keys, Operator, OperatorKind, Partitioning,
    PerTask, Shuffle, ShufflePartitions, Stage, Workload,
};

/// Work of a task, ns: one second.
const SECOND: u64 = 1_000_000_000;

/// An application, its configuration and what its executors are changed to.
struct Case {
    workload: Workload,
    conf: Vec<(String, String)>,
    heaps: Vec<u64>,
}

fn case(stages: Vec<Stage>) -> Case {
    let stage_count = stages.len();
    let workload = Workload {
        name: "case".to_owned(),
        jobs: vec![job(0, (0..stage_count).collect(), &[])],
        stages,
        ..Workload::default()
    };
    Case { workload, conf: Vec::new(), heaps: Vec::new() }
}

impl Case {
    fn with(mut self, key: &str, value: &str) -> Self {
        self.conf.push((key.to_owned(), value.to_owned()));
        self
    }

    /// One executor on YARN for each heap, with two cores; a lost one is replaced after an hour.
    fn on_executors(mut self, heaps: &[u64]) -> Self {
        self.heaps = heaps.to_vec();
        self.workload.rates.executor_start_ns = 3_600 * SECOND;
        self.with("spark.master", "yarn")
            .with("spark.executor.instances", &heaps.len().to_string())
            .with("spark.executor.cores", "2")
            .with("spark.executor.memory", "2g")
    }

    fn local(self) -> Self {
        self.with("spark.master", "local[2]").with("spark.driver.memory", "1g")
    }

    fn run(&self) -> RunRecord {
        self.run_with_seed(1)
    }

    fn run_with_seed(&self, seed: u64) -> RunRecord {
        let mut conf = SparkConf::new(SparkVersion::new(4, 1));
        for (key, value) in &self.conf {
            conf.set(key, value, Origin::Scenario(1));
        }
        let settings = Settings::resolve(&conf).unwrap_or_else(|errors| panic!("{errors:?}"));
        let cluster =
            plan(&PlanInput { settings: &settings, hosts: &[], yarn: None, python: self.workload.python });
        let mut processes = Processes::new(&cluster, &settings, &[]).unwrap();
        for (executor, &heap) in processes.executors.iter_mut().zip(&self.heaps) {
            executor.heap = heap;
        }
        simulate(&self.workload, &settings, &processes, SimOptions { seed, details: true })
    }
}

fn job(id: u32, stages: Vec<usize>, after: &[usize]) -> Job {
    Job { id, name: format!("job {id}"), stages, after: after.to_vec(), gap_ns: 0 }
}

fn operator(name: &str, kind: OperatorKind, inputs: &[usize], rows: u64) -> Operator {
    Operator {
        name: name.to_owned(),
        kind,
        inputs: inputs.to_vec(),
        rows: PerTask::Total(rows),
        row_bytes: 64,
        cpu_ns: PerTask::default(),
        heap_bytes: PerTask::default(),
    }
}

fn stage(id: u32, parents: &[usize], tasks: u32, operators: Vec<Operator>) -> Stage {
    Stage {
        id,
        name: format!("stage {id}"),
        parents: parents.to_vec(),
        partitioning: Partitioning::Fixed(tasks),
        operators,
        result_bytes: PerTask::default(),
        launch_ns: PerTask::default(),
        allocated_bytes: PerTask::default(),
        background_threads: 0.0,
        warm_up_ns: 0,
        compile_ns: 0,
    }
}

/// A scan of a second a task that holds `heap` bytes in each.
fn scan(tasks: u32, heap: u64) -> Operator {
    let mut scan = operator("Scan", OperatorKind::Scan { bytes: PerTask::default() }, &[], 1000);
    scan.cpu_ns = PerTask::Each(vec![SECOND; tasks as usize]);
    scan.heap_bytes = PerTask::Each(vec![heap; tasks as usize]);
    scan
}

fn map_stage(id: u32, tasks: u32) -> Stage {
    let write = OperatorKind::ShuffleWrite { shuffle: 0, bytes: PerTask::Total(10 * MIB) };
    stage(id, &[], tasks, vec![scan(tasks, 0), operator("Exchange", write, &[0], 1000)])
}

/// Reads shuffle 0 in tasks that hold `heap` bytes for a second.
fn reduce_stage(id: u32, parent: usize, tasks: u32, heap: u64) -> Stage {
    let read = OperatorKind::ShuffleRead { shuffle: 0, bytes: PerTask::Total(10 * MIB) };
    let mut read = operator("Exchange", read, &[], 1000);
    read.cpu_ns = PerTask::Each(vec![SECOND; tasks as usize]);
    read.heap_bytes = PerTask::Each(vec![heap; tasks as usize]);
    stage(id, &[parent], tasks, vec![read])
}

fn shuffle(partitions: u32) -> Shuffle {
    Shuffle {
        name: "exchange".to_owned(),
        partitions: ShufflePartitions::Fixed(partitions),
        distribution: Distribution::Hash,
        keys: Keys::default(),
        record_bytes: 64,
        compression: 1.0,
        map_side_combine: false,
        blocks: 0,
        relocatable: true,
    }
}

fn dataset(level: StorageLevel, partitions: usize, bytes: u64) -> Dataset {
    let partition =
        CachedPartition { memory_bytes: bytes, serialized_bytes: bytes / 2, disk_bytes: bytes / 2 };
    Dataset {
        id: 7,
        name: "data".to_owned(),
        level,
        partitions: vec![partition; partitions],
        compute_ns_per_byte: 1.0,
        elements: 1000,
        unpersist_after: None,
    }
}

fn cached_scan(id: u32) -> Stage {
    let mut scan = stage(
        id,
        &[],
        0,
        vec![operator("Scan", OperatorKind::CachedScan { dataset: 0, lineage: None }, &[], 1000)],
    );
    scan.partitioning = Partitioning::Dataset(0);
    scan
}

/// Jobs that each read the dataset once, one after the other.
fn cached_case(dataset: Dataset, reads: u32) -> Case {
    let mut case = case((0..reads).map(cached_scan).collect()).local();
    case.workload.jobs = (0..reads)
        .map(|id| job(id, vec![id as usize], &(0..id as usize).rev().take(1).collect::<Vec<_>>()))
        .collect();
    case.workload.datasets = vec![dataset];
    case
}

fn count(record: &RunRecord, kind: EventKind) -> usize {
    record.events.iter().filter(|event| event.kind == kind).count()
}

fn failures(record: &RunRecord, part: &str) -> usize {
    record.tasks.iter().filter(|task| task.failure.contains(part)).count()
}

/// The tasks of a stage attempt.
fn tasks_of(record: &RunRecord, stage: u32, attempt: u32) -> usize {
    record.tasks.iter().filter(|task| (task.stage_id, task.stage_attempt) == (stage, attempt)).count()
}

/// What the last point of each executor's time line shows.
fn last_points(record: &RunRecord) -> Vec<TimelinePoint> {
    (0..record.executors.len() as u32)
        .filter_map(|executor| record.timeline.iter().filter(|point| point.executor == executor).last())
        .collect()
}

#[test]
fn a_heap_too_small_locally_ends_the_application() {
    let record = case(vec![stage(0, &[], 2, vec![scan(2, 2 * GIB)])]).local().run();
    assert_eq!((record.outcome, record.totals.failed_tasks), (Outcome::HeapOom, 1));
    assert!(record.reason.starts_with("java.lang.OutOfMemoryError"), "{}", record.reason);
}

#[test]
fn a_task_that_kills_four_executors_aborts_the_job() {
    let record = case(vec![stage(0, &[], 1, vec![scan(1, 3 * GIB)])]).on_executors(&[2 * GIB; 4]).run();
    assert_eq!((record.outcome, count(&record, EventKind::ExecutorLost)), (Outcome::HeapOom, 4));
    let text = "Task 0 in stage 0.0 failed 4 times, most recent failure: Lost task 0.3 in stage 0.0";
    assert!(record.reason.contains(text), "{}", record.reason);
    assert!(record.executors.iter().all(|executor| executor.removed_ns.is_some()));
}

#[test]
fn a_retry_on_a_larger_executor_saves_the_job() {
    let record = case(vec![stage(0, &[], 2, vec![scan(2, GIB)])]).on_executors(&[GIB, 4 * GIB]).run();
    assert_eq!((record.outcome, count(&record, EventKind::ExecutorLost)), (Outcome::Ok, 1));
    assert_eq!((record.totals.tasks, record.totals.failed_tasks), (3, 1));
    let retried = record.tasks.iter().find(|task| task.attempt == 1).unwrap();
    assert_eq!(record.executors[retried.executor as usize].heap_bytes, 4 * GIB);
}

#[test]
fn a_killed_container_is_replaced_and_its_tasks_fail_together() {
    let python = OperatorKind::Python { worker_bytes: 3 * GIB };
    let mut case = case(vec![stage(0, &[], 2, vec![scan(2, 0), operator("Python", python, &[0], 1000)])]);
    case.workload.python = true;
    let mut case = case.on_executors(&[2 * GIB]);
    case.workload.rates.executor_start_ns = SECOND;
    let record = case.run();
    assert_eq!(record.outcome, Outcome::ContainerKilled);
    assert_eq!((record.executors.len(), count(&record, EventKind::ExecutorLost)), (4, 4));
    // Both tasks of the executor fail with it; the one that fails the fourth time ends the run.
    assert_eq!(failures(&record, "ExecutorLostFailure"), 7);
    assert!(record.reason.contains("exceeding physical memory limits"), "{}", record.reason);
    let mut ids: Vec<&str> = record.executors.iter().map(|executor| executor.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "a replacement has an id that another had");
}

/// Maps on both executors; the reduce tasks on the small one kill it.
fn lost_outputs() -> Case {
    let mut case = case(vec![map_stage(0, 4), reduce_stage(1, 0, 8, GIB)]).on_executors(&[GIB, 8 * GIB]);
    case.workload.shuffles = vec![shuffle(8)];
    case
}

fn check_lost_outputs(record: &RunRecord) {
    assert_eq!((record.outcome, count(record, EventKind::ExecutorLost)), (Outcome::Ok, 1));
    assert_eq!((tasks_of(record, 0, 0), tasks_of(record, 0, 1)), (4, 2));
    let again = record.stages.iter().find(|stage| (stage.stage_id, stage.attempt) == (0, 1)).unwrap();
    let lost_at = record.events.iter().find(|event| event.kind == EventKind::ExecutorLost).unwrap().time_ns;
    assert_eq!(again.submitted_ns, lost_at + 200_000_000);
    let readers = record.tasks.iter().filter(|task| task.stage_id == 1);
    let early = readers.filter(|task| (lost_at..again.completed_ns).contains(&task.launch_ns)).count();
    assert_eq!(early, 0, "a task started to read outputs that were lost");
}

#[test]
fn lost_map_outputs_are_computed_again_before_more_tasks_read_them() {
    check_lost_outputs(&lost_outputs().run());
}

#[test]
fn lost_map_outputs_of_an_earlier_job_are_computed_again() {
    // Adaptive execution runs each map stage as a job of its own.
    let mut case = lost_outputs();
    case.workload.jobs = vec![job(0, vec![0], &[]), job(1, vec![1], &[0])];
    check_lost_outputs(&case.run());
}

#[test]
fn a_shuffle_service_keeps_the_outputs_of_a_lost_executor() {
    let record = lost_outputs().with("spark.shuffle.service.enabled", "true").run();
    assert_eq!((record.outcome, tasks_of(&record, 0, 1)), (Outcome::Ok, 0));
}

#[test]
fn lost_outputs_of_two_generations_are_computed_again_in_order() {
    let mut case = lost_outputs();
    let read =
        operator("Exchange", OperatorKind::ShuffleRead { shuffle: 0, bytes: PerTask::Total(MIB) }, &[], 1000);
    let write = OperatorKind::ShuffleWrite { shuffle: 1, bytes: PerTask::Total(MIB) };
    let mut middle = stage(1, &[0], 4, vec![read, operator("Exchange", write, &[0], 1000)]);
    middle.operators[0].cpu_ns = PerTask::Each(vec![SECOND; 4]);
    let mut last = reduce_stage(2, 1, 8, GIB);
    last.operators[0].kind = OperatorKind::ShuffleRead { shuffle: 1, bytes: PerTask::Total(MIB) };
    case.workload.stages = vec![map_stage(0, 4), middle, last];
    case.workload.shuffles = vec![shuffle(4), shuffle(8)];
    case.workload.jobs = vec![job(0, vec![0, 1, 2], &[])];
    let record = case.run();
    assert_eq!(record.outcome, Outcome::Ok, "{}", record.reason);
    let attempt = |id| record.stages.iter().find(|stage| (stage.stage_id, stage.attempt) == (id, 1)).unwrap();
    assert!(attempt(0).completed_ns <= attempt(1).submitted_ns);
    assert_eq!((tasks_of(&record, 0, 1), tasks_of(&record, 1, 1)), (2, 2));
}

#[test]
fn results_larger_than_the_driver_takes_abort_the_job() {
    let mut large = stage(0, &[], 4, vec![scan(4, 0)]);
    large.result_bytes = PerTask::Each(vec![10 * MIB; 4]);
    let record = case(vec![large]).local().with("spark.driver.maxResultSize", "25m").run();
    assert_eq!(record.outcome, Outcome::MaxResultSize);
    let text = "Total size of serialized results of 3 tasks (30.0 MiB) is bigger than spark.driver.maxResultSize \
                (25.0 MiB)";
    assert!(record.reason.contains(text), "{}", record.reason);
}

#[test]
fn a_job_goes_on_when_a_stage_of_another_job_is_done() {
    // Job 2 follows job 1, but reads what job 0 still writes.
    let mut case = case(vec![map_stage(0, 4), stage(1, &[], 1, vec![scan(1, 0)]), reduce_stage(2, 0, 2, 0)]);
    case.workload.shuffles = vec![shuffle(2)];
    case.workload.jobs = vec![job(0, vec![0], &[]), job(1, vec![1], &[]), job(2, vec![2], &[1])];
    let record = case.local().run();
    assert_eq!((record.outcome, record.totals.tasks), (Outcome::Ok, 7), "{}", record.reason);
}

#[test]
fn jobs_that_share_a_stage_both_end() {
    let mut case = case(vec![map_stage(0, 4), reduce_stage(1, 0, 2, 0), reduce_stage(2, 0, 2, 0)]);
    case.workload.shuffles = vec![shuffle(2)];
    case.workload.jobs = vec![job(0, vec![0, 1], &[]), job(1, vec![0, 2], &[]), job(2, vec![0], &[0, 1])];
    let record = case.local().run();
    assert_eq!((record.outcome, record.totals.tasks), (Outcome::Ok, 8), "{}", record.reason);
}

#[test]
fn a_job_that_names_what_it_follows_twice_runs() {
    let mut case = case(vec![stage(0, &[], 1, vec![scan(1, 0)]), stage(1, &[], 1, vec![scan(1, 0)])]);
    case.workload.jobs = vec![job(0, vec![0], &[]), job(1, vec![1], &[0, 0])];
    assert_eq!(case.local().run().outcome, Outcome::Ok);
}

#[test]
fn every_new_jvm_pays_for_being_new() {
    let mut case = case(vec![stage(0, &[], 8, vec![scan(8, 0)])]);
    case.workload.stages[0].warm_up_ns = SECOND;
    case.workload.rates.executor_warm_up_ns = SECOND / 2;
    case.workload.rates.scheduler_delay_ns = 0;
    let seconds = |case: Case| case.run().totals.executor_run_time_ns as f64 / SECOND as f64;
    let driver = case.workload.clone();
    let on_two = seconds(case.on_executors(&[2 * GIB, 2 * GIB]));
    let local = seconds(Case { workload: driver, conf: Vec::new(), heaps: Vec::new() }.local());
    assert!((on_two - 11.0).abs() < 0.1, "{on_two} s: 8 of work, 1.5 in each of two JVMs");
    assert!((local - 9.0).abs() < 0.1, "{local} s: the driver has loaded Spark's classes before");
}

#[test]
fn compiler_threads_compete_with_tasks_until_they_are_through() {
    let mut case = case(vec![stage(0, &[], 2, vec![scan(2, 0)])]).local();
    case.workload.stages[0].compile_ns = SECOND;
    case.workload.rates.scheduler_delay_ns = 0;
    case.workload.rates.task_launch_ns = 0;
    let wall = case.run().wall_ns as f64 / SECOND as f64;
    // Two tasks and two threads on two processors: for a second each has half of one.
    assert!((wall - 1.5).abs() < 0.05, "{wall} s");
}

#[test]
fn the_bypass_writer_pays_for_each_file() {
    let mut case = case(vec![map_stage(0, 2), reduce_stage(1, 0, 10, 0)]).local();
    case.workload.shuffles = vec![shuffle(10)];
    let map_seconds = |case: &Case| case.run().stages[0].metrics.executor_run_time_ns as f64 / SECOND as f64;
    let before = map_seconds(&case);
    case.workload.rates.shuffle_file_ns = SECOND / 10;
    assert!((map_seconds(&case) - before - 2.0).abs() < 0.01, "2 tasks of 10 files of 0.1 s");
    let sorted = case.with("spark.shuffle.sort.bypassMergeThreshold", "5");
    assert!(map_seconds(&sorted) < before + 0.5);
}

#[test]
fn stages_and_jobs_without_work_end_at_once() {
    let mut case = case(vec![stage(0, &[], 0, Vec::new()), stage(1, &[0], 0, Vec::new())]);
    case.workload.jobs.push(job(1, Vec::new(), &[0]));
    let record = case.local().run();
    assert_eq!((record.outcome, record.app_ns, record.stages.len()), (Outcome::Ok, 0, 2));
}

#[test]
fn a_cached_block_is_waited_for() {
    // The first job caches on whichever executor is free; the second goes back there.
    let mut case = cached_case(dataset(StorageLevel::MEMORY_ONLY, 8, MIB), 2);
    case.conf.clear();
    let record = case.on_executors(&[2 * GIB, 2 * GIB]).run();
    assert_eq!((record.datasets[0].misses, record.datasets[0].memory_hits), (8, 8));
    let second = record.tasks.iter().filter(|task| task.stage_id == 1);
    assert!(second.clone().all(|task| task.locality == "PROCESS_LOCAL"));
    assert_eq!(second.count(), 8);
}

#[test]
fn a_copy_of_a_block_is_seen_where_it_lies_at_once() {
    let level = StorageLevel::from_name("MEMORY_ONLY_2").unwrap();
    let record = cached_case(dataset(level, 1, 64 * MIB), 1).on_executors(&[2 * GIB; 2]).run();
    let seen = |executor: u32, at: u64| {
        let mut points = record.timeline.iter().filter(|point| point.executor == executor);
        points.any(|point| (point.time_ns, point.on_heap_storage) == (at, 64 * MIB))
    };
    let puts = record.events.iter().filter(|event| event.kind == EventKind::Put);
    assert_eq!(puts.filter(|put| seen(put.executor.unwrap(), put.time_ns)).count(), 2);
}

#[test]
fn blocks_on_disk_follow_the_scale_of_the_data() {
    let case = cached_case(dataset(StorageLevel::DISK_ONLY, 2, MIB), 1).with("spillcast.dataScale", "3");
    assert_eq!(case.run().datasets[0].disk_bytes, 3 * MIB);
}

#[test]
fn each_storage_level_holds_its_blocks_where_it_says() {
    // Eight partitions of 80 MiB, 40 serialized, against 434 MiB of unified memory.
    let check = |level: StorageLevel, off_heap: &str| {
        let case = cached_case(dataset(level, 8, 80 * MIB), 2);
        let record =
            case.with("spark.memory.offHeap.enabled", "true").with("spark.memory.offHeap.size", off_heap);
        let record = record.run();
        assert_eq!(record.outcome, Outcome::Ok, "{level}: {}", record.reason);
        let data = &record.datasets[0];
        (data.in_memory, data.on_disk, data.memory_hits, data.disk_hits, data.recomputed)
    };
    let none = check(StorageLevel::MEMORY_ONLY, "100m");
    assert!(none.0 < 8 && none.1 == 0 && none.2 + none.4 == 8, "{none:?}");
    assert_eq!(check(StorageLevel::MEMORY_ONLY_SER, "100m"), (8, 0, 8, 0, 0));
    assert_eq!(check(StorageLevel::DISK_ONLY, "100m"), (0, 8, 0, 8, 0));
    let spills = check(StorageLevel::MEMORY_AND_DISK, "100m");
    assert!(spills.0 < 8 && spills.1 > 0 && spills.2 + spills.3 == 8 && spills.4 == 0, "{spills:?}");
    assert_eq!(check(StorageLevel::OFF_HEAP, "1g"), (8, 0, 8, 0, 0));
    let off_heap = check(StorageLevel::OFF_HEAP, "200m");
    assert!(off_heap.0 < 8 && off_heap.1 > 0 && off_heap.4 == 0, "{off_heap:?}");
}

#[test]
fn a_check_period_of_billions_does_not_count_them() {
    let mut data = dataset(StorageLevel::MEMORY_ONLY, 2, 80 * MIB);
    data.elements = 1 << 45;
    let record = cached_case(data, 1).with("spark.storage.unrollMemoryCheckPeriod", "4000000000").run();
    assert_eq!((record.outcome, record.datasets[0].in_memory), (Outcome::Ok, 2));
}

#[test]
fn broadcast_tables_follow_the_scale_of_the_data() {
    let check = |scale: &str| {
        let join = OperatorKind::BroadcastHashJoin { broadcast: 0 };
        let mut case =
            case(vec![stage(0, &[], 1, vec![scan(1, 0), operator("Join", join, &[0], 1000)])]).local();
        case.workload.broadcasts = vec![Broadcast {
            name: "table".to_owned(),
            rows: 1000,
            relation_bytes: 10 * MIB,
            pieces_bytes: MIB,
            build_ns: 0,
        }];
        case.with("spillcast.dataScale", scale).run().totals.peak_on_heap_storage
    };
    assert_eq!(check("1") / MIB, 11);
    assert_eq!(check("4") / MIB, 44);
}

#[test]
fn a_task_waits_for_its_share_of_execution_memory() {
    // One sort has filled the pool when the other asks: it waits for the first one to spill down or end (EXEC-4).
    let sort = operator("Sort", OperatorKind::Sort { radix: true }, &[0], 8_000_000);
    let mut scan = scan(8, 0);
    scan.rows = PerTask::Total(8_000_000);
    let record = case(vec![stage(0, &[], 8, vec![scan, sort])])
        .with("spark.master", "local[8]")
        .with("spark.driver.memory", "512m")
        .run();
    assert_eq!(record.outcome, Outcome::Ok, "{}", record.reason);
    assert!(record.totals.memory_bytes_spilled > 0);
    assert_eq!(count(&record, EventKind::Wait), count(&record, EventKind::Resume));
}

/// The kinds of operators that a random stage may have above its source.
fn step(kind: u8, shuffle: usize) -> OperatorKind {
    match kind {
        0 => OperatorKind::Pipelined,
        1 => OperatorKind::HashAggregate {
            key_value_bytes: 32,
            fast_map: false,
            dense_keys: false,
            variable_rows: false,
        },
        2 => OperatorKind::HashAggregate {
            key_value_bytes: 200,
            fast_map: true,
            dense_keys: false,
            variable_rows: false,
        },
        3 => OperatorKind::Sort { radix: true },
        4 => OperatorKind::Sort { radix: false },
        5 => OperatorKind::ObjectHashAggregate { group_bytes: 64, sorter_row_bytes: 48, radix: true },
        6 => OperatorKind::Window,
        7 => OperatorKind::ExternalAggregation { entry_bytes: 120 },
        8 => OperatorKind::Python { worker_bytes: 40 * MIB },
        9 => OperatorKind::BroadcastHashJoin { broadcast: 0 },
        _ => OperatorKind::ShuffleWrite { shuffle, bytes: PerTask::Total(MIB) },
    }
}

/// Source, steps above it, rows and tasks of a random stage.
type RandomStage = (u8, Vec<u8>, u64, u32);

/// An application whose stages each read what the one before wrote, or a file, or the cache.
fn random_case(stages: &[RandomStage], level: StorageLevel, heap: u64) -> Case {
    let mut built = Vec::new();
    let mut jobs: Vec<Job> = Vec::new();
    for (at, (source, steps, rows, tasks)) in stages.iter().enumerate() {
        let reads = at > 0 && *source == 0;
        let mut first = match source {
            0 if reads => {
                let read = OperatorKind::ShuffleRead { shuffle: at - 1, bytes: PerTask::Total(rows * 10) };
                operator("read", read, &[], *rows)
            }
            1 => operator("cached", OperatorKind::CachedScan { dataset: 0, lineage: None }, &[], *rows),
            _ => operator("scan", OperatorKind::Scan { bytes: PerTask::Total(rows * 20) }, &[], *rows),
        };
        first.cpu_ns = PerTask::Total(rows * 100);
        first.heap_bytes = PerTask::Total(heap);
        let mut operators = vec![first];
        for kind in steps {
            let below = operators.len() - 1;
            operators.push(operator("step", step(*kind, at), &[below], *rows / 2 + 1));
        }
        let below = operators.len() - 1;
        operators.push(operator("write", step(u8::MAX, at), &[below], *rows / 2 + 1));
        let parents: Vec<usize> = if reads { vec![at - 1] } else { Vec::new() };
        built.push(stage(at as u32, &parents, *tasks, operators));
        // Whether a stage belongs to the job before depends on whether it reads it.
        match jobs.last_mut() {
            Some(last) if reads => last.stages.push(at),
            _ => {
                let after: Vec<usize> = jobs.len().checked_sub(1).into_iter().collect();
                jobs.push(job(jobs.len() as u32, vec![at], &after));
            }
        }
    }
    let mut case = case(built);
    case.workload.jobs = jobs;
    case.workload.shuffles = (0..stages.len()).map(|at| shuffle(if at % 2 == 0 { 4 } else { 300 })).collect();
    case.workload.datasets = vec![dataset(level, 6, 50 * MIB)];
    case.workload.broadcasts = vec![Broadcast {
        name: "table".to_owned(),
        rows: 100_000,
        relation_bytes: 8 * MIB,
        pieces_bytes: MIB,
        build_ns: 0,
    }];
    case
}

/// Events that no application of these sizes may pass.
const EVENTS_MAX: u64 = 200_000;

fn check_invariants(case: &Case) {
    let record = case.run();
    assert_eq!(record, case.run(), "the same input gives the same record");
    assert!(record.engine_events < EVENTS_MAX, "{} events", record.engine_events);
    let spills = record.events.iter().filter(|event| event.kind == EventKind::Spill);
    assert_eq!(record.totals.memory_bytes_spilled, spills.map(|event| event.bytes).sum::<u64>());
    assert_ne!(record.outcome, Outcome::Other, "{}", record.reason);
    if record.outcome != Outcome::Ok {
        assert!(!record.reason.is_empty());
        return;
    }
    let totals: u64 = record.stages.iter().map(|stage| stage.metrics.tasks).sum();
    assert_eq!((record.totals.tasks, record.tasks.len() as u64), (totals, totals));
    for point in last_points(&record) {
        let executor = &record.executors[point.executor as usize];
        assert_eq!(point.on_heap_execution + point.off_heap_execution, 0, "executor {}", executor.id);
        assert_eq!((point.user_memory, point.running_tasks), (0, 0), "executor {}", executor.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn small_applications_end_and_leave_no_memory_held(
        stages in prop::collection::vec(
            (0..3_u8, prop::collection::vec(0..10_u8, 0..4), 0..3_000_000_u64, 0..7_u32), 1..5),
        level in prop::sample::select(vec![
            StorageLevel::MEMORY_ONLY, StorageLevel::MEMORY_ONLY_SER, StorageLevel::MEMORY_AND_DISK,
            StorageLevel::MEMORY_AND_DISK_SER, StorageLevel::DISK_ONLY, StorageLevel::OFF_HEAP]),
        heap in prop::sample::select(vec![0, 100 * MIB, 2 * GIB]),
        heaps in prop::sample::select(vec![vec![], vec![GIB], vec![512 * MIB, 2 * GIB]]),
        off_heap in any::<bool>(),
    ) {
        let case = random_case(&stages, level, heap);
        let mut case = if heaps.is_empty() { case.local() } else { case.on_executors(&heaps) };
        case.workload.rates.executor_start_ns = SECOND;
        let case = case
            .with("spark.memory.offHeap.enabled", if off_heap { "true" } else { "false" })
            .with("spark.memory.offHeap.size", "200m");
        check_invariants(&case);
    }
}
