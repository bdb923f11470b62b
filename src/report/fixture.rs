//! Records that look like those of real runs, drawn by a small list scheduler, for the tests of this folder. Nothing here
//! follows Spark's rules exactly; the shapes are what matters.

use crate::record::{
    Cause, Confidence, DatasetRecord, EventKind, EventRecord, ExecutorRecord, Metrics, Outcome, Range,
    RunRecord, StageRecord, TaskRecord, TimelinePoint,
};
use crate::units::{GIB, MIB};

const MS: u64 = 1_000_000;
const RESERVED: u64 = 300 * MIB;

/// One stage to draw.
#[derive(Clone, Copy)]
struct Act {
    name: &'static str,
    tasks: u32,
    mean_ms: u64,
    /// Execution memory that a task grows to.
    execution: u64,
    /// Block that a task leaves in memory.
    block: u64,
    spills: bool,
}

struct Story {
    name: &'static str,
    executors: u32,
    cores: u32,
    heap: u64,
    off_heap: bool,
    acts: Vec<Act>,
}

/// A job that caches, spills, and is slowed down, on one executor of four cores.
pub(crate) fn spilling() -> RunRecord {
    let mut run = draw(&Story {
        name: "sessionize",
        executors: 1,
        cores: 4,
        heap: 2 * GIB,
        off_heap: false,
        acts: acts(24, 64),
    });
    run.causes = vec![
        cause(
            "spill",
            9_800,
            "Spilling 6.0 GiB of memory to disk and reading it back cost 9.8 s of task time.",
        ),
        cause("garbage collection", 4_100, "Garbage collection took 4.1 s (5 %) of task time."),
        cause("skew", 2_300, "In stage 1 the longest task ran 2.3 s longer than the median one."),
        cause("recomputation", 400, "6 cached partitions were computed again."),
    ];
    run
}

/// The same on three executors that use memory off the heap too.
#[cfg(feature = "plot")]
pub(crate) fn off_heap() -> RunRecord {
    draw(&Story {
        name: "off-heap",
        executors: 3,
        cores: 4,
        heap: 2 * GIB,
        off_heap: true,
        acts: acts(72, 160),
    })
}

/// Fifty executors.
#[cfg(feature = "plot")]
pub(crate) fn fifty() -> RunRecord {
    draw(&Story {
        name: "nightly ETL",
        executors: 50,
        cores: 4,
        heap: 4 * GIB,
        off_heap: false,
        acts: acts(800, 2_000),
    })
}

/// Many short stages, as an iterative job has.
pub(crate) fn iterative() -> RunRecord {
    let mut acts = acts(24, 32);
    for _ in 0..120 {
        acts.push(Act {
            name: "mapPartitions at PageRank.scala:64",
            tasks: 8,
            mean_ms: 200,
            execution: 20 * MIB,
            block: 0,
            spills: false,
        });
    }
    draw(&Story { name: "pagerank", executors: 2, cores: 4, heap: 2 * GIB, off_heap: false, acts })
}

/// One task of 40 ms that neither caches nor spills.
pub(crate) fn tiny() -> RunRecord {
    let act =
        Act { name: "collect at App.scala:9", tasks: 1, mean_ms: 40, execution: 0, block: 0, spills: false };
    let mut run =
        draw(&Story { name: "tiny", executors: 1, cores: 1, heap: GIB, off_heap: false, acts: vec![act] });
    run.datasets.clear();
    run.tasks[0].finish_ns = run.tasks[0].launch_ns + 40 * MS;
    run.totals.executor_run_time_ns = 40 * MS;
    run.wall_ns = 45 * MS;
    run.causes.clear();
    run
}

/// A run that dies: one task fails on each of its four attempts and takes its executor with it.
pub(crate) fn failing() -> RunRecord {
    let mut run = draw(&Story {
        name: "join, then die",
        executors: 2,
        cores: 2,
        heap: GIB,
        off_heap: false,
        acts: vec![
            Act {
                name: "scan <orders> & cache",
                tasks: 6,
                mean_ms: 400,
                execution: 0,
                block: 40 * MIB,
                spills: false,
            },
            Act {
                name: "join at Report.scala:88",
                tasks: 6,
                mean_ms: 900,
                execution: 120 * MIB,
                block: 0,
                spills: true,
            },
        ],
    });
    let reason = "java.lang.OutOfMemoryError: Java heap space";
    let end = run.app_ns;
    for attempt in 0..4_u32 {
        let launch_ns = end + u64::from(attempt) * 900 * MS;
        let finish_ns = launch_ns + 700 * MS;
        let task_id = 100 + u64::from(attempt);
        run.tasks.push(TaskRecord {
            task_id,
            stage_id: 1,
            index: 5,
            attempt,
            executor: 1,
            locality: "PROCESS_LOCAL",
            launch_ns,
            finish_ns,
            failure: reason.into(),
            metrics: Metrics { executor_run_time_ns: 700 * MS, ..Metrics::default() },
            ..TaskRecord::default()
        });
        run.events.push(event(finish_ns, 1, Some(task_id), EventKind::TaskFailed, 0, reason));
        for (time_ns, user_memory) in [(launch_ns, 100 * MIB), (finish_ns, 560 * MIB)] {
            let last = run.timeline.iter().last();
            run.timeline.push(&TimelinePoint {
                time_ns,
                executor: 1,
                user_memory,
                reserved: RESERVED,
                running_tasks: 1,
                ..last.unwrap_or_default()
            });
        }
        run.app_ns = finish_ns;
    }
    run.events.push(event(run.app_ns, 1, None, EventKind::ExecutorLost, 0, reason));
    run.events.push(event(run.app_ns, 1, None, EventKind::Abort, 0, "task 5 in stage 1.0 failed 4 times"));
    run.executors[1].removed_ns = Some(run.app_ns);
    run.executors[1].removed_reason = reason.into();
    run.stages[1].failure = format!("task 5 in stage 1.0 failed 4 times: {reason}");
    run.stages[1].completed_ns = run.app_ns;
    run.stages[1].metrics.failed_tasks = 4;
    run.stages[1].metrics.tasks += 4;
    run.totals.tasks += 4;
    run.totals.failed_tasks = 4;
    run.wall_ns = run.app_ns - 500 * MS;
    run.outcome = Outcome::HeapOom;
    run.reason = format!(
        "{reason} in task 5.3 of stage 1 (TID 103) on executor 2: 1.0 GiB of heap, 560.0 MiB of them user memory"
    );
    run
}

/// Holds `text` against `tests/golden/NAME`.
pub(crate) fn check_golden(name: &str, text: &str) {
    check_file(&format!("tests/golden/{name}"), text);
}

/// Holds `text` against a committed file, or writes that file when `SPILLCAST_UPDATE_GOLDEN` is set.
pub(crate) fn check_file(name: &str, text: &str) {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SPILLCAST_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    for (number, (ours, theirs)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(ours, theirs, "{name}, line {}; SPILLCAST_UPDATE_GOLDEN=1 accepts the change", number + 1);
    }
    assert!(text == golden, "{name} differs in its length; SPILLCAST_UPDATE_GOLDEN=1 accepts the change");
}

fn acts(scan: u32, reduce: u32) -> Vec<Act> {
    vec![
        Act {
            name: "parquet scan and cache of events",
            tasks: scan,
            mean_ms: 700,
            execution: 16 * MIB,
            block: 34 * MIB,
            spills: false,
        },
        Act {
            name: "HashAggregate(keys=[user_id], functions=[sum(amount)]) at Sessions.scala:41",
            tasks: reduce,
            mean_ms: 1_100,
            execution: 190 * MIB,
            block: 0,
            spills: true,
        },
        Act {
            name: "sort at Sessions.scala:57",
            tasks: reduce / 2,
            mean_ms: 500,
            execution: 60 * MIB,
            block: 0,
            spills: false,
        },
    ]
}

fn cause(kind: &'static str, ms: u64, text: &str) -> Cause {
    Cause { kind, lost_ns: ms * MS, text: text.into() }
}

fn event(
    time_ns: u64,
    executor: u32,
    task_id: Option<u64>,
    kind: EventKind,
    bytes: u64,
    detail: &str,
) -> EventRecord {
    EventRecord { time_ns, executor: Some(executor), task_id, kind, bytes, detail: detail.into() }
}

/// A number from 0 to 99 that depends on `n` only.
fn noise(n: u64) -> u64 {
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed >> 33) % 100
}

/// Changes of one executor's memory.
struct Step {
    time_ns: u64,
    executor: u32,
    task_id: u64,
    execution: i64,
    user: i64,
    tasks: i64,
    spill: u64,
    block: u64,
}

fn draw(story: &Story) -> RunRecord {
    let unified = (story.heap - RESERVED) * 6 / 10;
    let mut run = RunRecord {
        name: story.name.into(),
        seed: 7,
        spark_version: "4.1".into(),
        confidence: Confidence {
            grade: "calibrated".into(),
            assumed: vec![
                "user memory of tasks: 24.0 MiB each (logs do not show it)".into(),
                "disk: 180 MiB/s, as measured on the reference host".into(),
            ],
            replay: vec!["spilled memory within 2 %, task time within 6 % of the log".into()],
            ranges: vec![Range {
                column: "wallMs",
                low: 10_000.0,
                high: Some(14_000.0),
                grade: "calibrated",
                because: vec!["processor time of rows".into()],
            }],
            other_endings: Vec::new(),
        },
        engine_events: 12_345,
        ..RunRecord::default()
    };
    for number in 0..story.executors {
        run.executors.push(ExecutorRecord {
            id: if story.executors == 1 { "driver".into() } else { (number + 1).to_string() },
            host: format!("node-{}", number / 4 + 1),
            cores: story.cores,
            heap_bytes: story.heap,
            max_on_heap_memory: unified,
            max_off_heap_memory: if story.off_heap { GIB } else { 0 },
            ..ExecutorRecord::default()
        });
    }
    let mut steps = Vec::new();
    let mut start = 300 * MS;
    let mut task_id = 0;
    for (number, act) in story.acts.iter().enumerate() {
        let mut free = vec![start; (story.executors * story.cores) as usize];
        let mut metrics = Metrics {
            jvm_gc_time_ns: Some(0),
            blocks_dropped: Some(0),
            blocks_recomputed: Some(0),
            ..Metrics::default()
        };
        for index in 0..act.tasks {
            let slot = (0..free.len()).min_by_key(|slot| (free[*slot], *slot)).unwrap();
            let skew = if index % 17 == 3 { 260 } else { 60 + noise(task_id + 1) * 8 / 10 };
            let duration = act.mean_ms * skew / 100 * MS;
            let launch_ns = free[slot] + 2 * MS;
            let task =
                task(task_id, number as u32, index, slot as u32 / story.cores, launch_ns, duration, *act);
            free[slot] = task.finish_ns + MS;
            metrics.add(&task.metrics);
            run.executors[task.executor as usize].metrics.add(&task.metrics);
            steps.extend(task_steps(&task, *act));
            run.tasks.push(task);
            task_id += 1;
        }
        let completed_ns = *free.iter().max().unwrap();
        run.totals.add(&metrics);
        run.stages.push(StageRecord {
            stage_id: number as u32,
            job_id: u32::from(number > 0),
            name: act.name.into(),
            submitted_ns: start,
            completed_ns,
            metrics,
            ..StageRecord::default()
        });
        start = completed_ns + 150 * MS;
    }
    run.app_ns = start;
    run.wall_ns = start - 450 * MS;
    run.tasks.sort_by_key(|task| (task.finish_ns, task.task_id));
    steps.sort_by_key(|step| (step.time_ns, step.task_id));
    play(&mut run, &steps, story, unified);
    run
}

fn task(
    task_id: u64,
    stage_id: u32,
    index: u32,
    executor: u32,
    launch_ns: u64,
    duration: u64,
    act: Act,
) -> TaskRecord {
    let spilled = if act.spills && index % 3 != 2 { act.execution } else { 0 };
    TaskRecord {
        task_id,
        stage_id,
        index,
        executor,
        locality: "NODE_LOCAL",
        launch_ns,
        finish_ns: launch_ns + duration,
        metrics: Metrics {
            tasks: 1,
            memory_bytes_spilled: spilled,
            disk_bytes_spilled: spilled / 4,
            peak_execution_memory_max: act.execution,
            peak_execution_memory_sum: act.execution,
            jvm_gc_time_ns: Some(duration / 20),
            executor_run_time_ns: duration,
            executor_cpu_time_ns: duration * 8 / 10,
            shuffle_read_bytes: if stage_id > 0 { 12 * MIB } else { 0 },
            shuffle_read_records: if stage_id > 0 { 120_000 } else { 0 },
            shuffle_write_bytes: 9 * MIB,
            shuffle_write_records: 90_000,
            input_bytes: if stage_id == 0 { 128 * MIB } else { 0 },
            result_bytes: 1_987,
            ..Metrics::default()
        },
        ..TaskRecord::default()
    }
}

fn task_steps(task: &TaskRecord, act: Act) -> Vec<Step> {
    let duration = task.finish_ns - task.launch_ns;
    let at = |percent: u64| task.launch_ns + duration * percent / 100;
    let step = |time_ns, execution: i64, user: i64, tasks| Step {
        time_ns,
        executor: task.executor,
        task_id: task.task_id,
        execution,
        user,
        tasks,
        spill: 0,
        block: 0,
    };
    let full = act.execution as i64;
    let spills = task.metrics.memory_bytes_spilled > 0;
    let user = 24 * MIB as i64;
    let mut steps = vec![step(task.launch_ns, 0, user, 1)];
    for quarter in 1..=4 {
        steps.push(step(at(quarter * 12), full / 4, 0, 0));
    }
    if spills {
        steps.push(Step { spill: act.execution, ..step(at(55), -full / 4 * 4, 0, 0) });
        steps.push(step(at(75), full / 2, 0, 0));
    }
    let held = if spills { full / 2 } else { full / 4 * 4 };
    steps.push(Step { block: act.block, ..step(task.finish_ns, -held, -user, -1) });
    steps
}

/// Plays the steps on each executor, evicting blocks where they do not fit.
fn play(run: &mut RunRecord, steps: &[Step], story: &Story, unified: u64) {
    let mut states: Vec<TimelinePoint> = (0..story.executors)
        .map(|executor| TimelinePoint {
            executor,
            reserved: RESERVED,
            execution_pool: unified / 2,
            ..TimelinePoint::default()
        })
        .collect();
    let (mut dropped, mut kept) = (0_u32, 0_u32);
    run.timeline.extend(states.iter().cloned());
    for step in steps {
        let state = &mut states[step.executor as usize];
        state.time_ns = step.time_ns;
        let execution =
            if story.off_heap { &mut state.off_heap_execution } else { &mut state.on_heap_execution };
        *execution = execution.checked_add_signed(step.execution).unwrap();
        state.user_memory = state.user_memory.checked_add_signed(step.user).unwrap();
        state.running_tasks = state.running_tasks.checked_add_signed(step.tasks).unwrap();
        if step.spill > 0 {
            let detail = "UnsafeExternalSorter";
            run.events.push(event(
                step.time_ns,
                step.executor,
                Some(step.task_id),
                EventKind::Spill,
                step.spill,
                detail,
            ));
        }
        if step.block > 0 {
            state.on_heap_storage += step.block;
            kept += 1;
        }
        let block = 34 * MIB;
        while state.on_heap_execution + state.on_heap_storage > unified && state.on_heap_storage >= block {
            state.on_heap_storage -= block;
            dropped += 1;
            kept -= 1;
            let kind = if dropped % 3 == 0 { EventKind::DropToDisk } else { EventKind::Evict };
            let name = format!("rdd_4_{dropped}");
            run.events.push(event(step.time_ns, step.executor, Some(step.task_id), kind, block, &name));
        }
        state.execution_pool = (unified / 2).max(state.on_heap_execution);
        run.totals.peak_on_heap_execution = run.totals.peak_on_heap_execution.max(state.on_heap_execution);
        run.totals.peak_on_heap_storage = run.totals.peak_on_heap_storage.max(state.on_heap_storage);
        let own = &mut run.executors[step.executor as usize].metrics;
        own.peak_on_heap_execution = own.peak_on_heap_execution.max(state.on_heap_execution);
        own.peak_on_heap_storage = own.peak_on_heap_storage.max(state.on_heap_storage);
        run.timeline.push(state);
    }
    run.totals.cached_blocks_memory = Some(u64::from(kept));
    run.totals.cached_blocks_disk = Some(u64::from(dropped / 3));
    run.totals.blocks_dropped = Some(u64::from(dropped));
    run.totals.blocks_recomputed = Some(0);
    run.totals.peak_heap_used = Some(story.heap * 8 / 10);
    run.totals.peak_rss = Some(story.heap + 400 * MIB);
    (run.totals.swap_in_bytes, run.totals.swap_out_bytes) = (Some(0), Some(0));
    run.datasets.push(DatasetRecord {
        id: 4,
        name: "events".into(),
        storage_level: "MEMORY_AND_DISK".into(),
        partitions: story.acts[0].tasks,
        in_memory: kept,
        on_disk: dropped / 3,
        memory_bytes: u64::from(kept) * 34 * MIB,
        disk_bytes: u64::from(dropped / 3) * 11 * MIB,
        memory_hits: 31,
        misses: 12,
        dropped: u64::from(dropped),
        ..DatasetRecord::default()
    });
}
