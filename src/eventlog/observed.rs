//! What a log shows of the run that wrote it, in the quantities that a prediction is held against. Totals count every
//! task attempt that ended, as Spark's history server adds them up.
//!
//! Absent where the log cannot tell: peaks of pools unless they were polled, the cache unless blocks were reported, blocks
//! in memory at the end once a block went to disk (Spark reads such a block back without a word).

use std::collections::{BTreeMap, BTreeSet};

use super::app_log::{AppLog, BlockName, ExecutorIndex, JobResult, TaskEndState, TaskMetrics, TaskRecord};
use crate::conf::time::{TimeUnit, time_string_as};
use crate::record::{ObservedRun, ObservedStage, Outcome, Quantities};

/// Words in the reason of a failure, and what they tell; the first that fits.
const ENDINGS: [(&str, Outcome); 16] = [
    ("spark.driver.maxResultSize", Outcome::MaxResultSize),
    ("GC overhead limit exceeded", Outcome::GcOverhead),
    ("Not enough memory to build and broadcast", Outcome::SparkOom),
    ("SparkOutOfMemoryError", Outcome::SparkOom),
    ("UNABLE_TO_ACQUIRE_MEMORY", Outcome::SparkOom),
    ("OutOfMemoryError", Outcome::HeapOom),
    // What Spark's own handler of an uncaught OutOfMemoryError exits with (KILL-6).
    ("exited with code 52", Outcome::HeapOom),
    ("Exit status: 52", Outcome::HeapOom),
    ("exceeding memory limits", Outcome::ContainerKilled),
    ("exceeding physical memory limits", Outcome::ContainerKilled),
    ("OOMKilled", Outcome::ContainerKilled),
    ("exited with code 137", Outcome::ContainerKilled),
    ("Exit status: 137", Outcome::ContainerKilled),
    ("No space left on device", Outcome::DiskFull),
    ("heartbeat timed out", Outcome::Timeout),
    ("TimeoutException", Outcome::Timeout),
];

/// Reads off a log what its run did.
pub fn observed(log: &AppLog) -> ObservedRun {
    let (outcome, reason) = ending(log);
    let mut totals = task_quantities(log.tasks.iter());
    totals.insert("wallMs", wall_ms(log));
    peaks(log, &mut totals);
    cache(log, &mut totals);
    let running = log.jobs.iter().any(|job| job.result == JobResult::Unfinished);
    ObservedRun {
        cut: log.end_ms.is_none() || outcome != Outcome::Ok,
        unfinished: running && log.end_ms.is_none() && outcome == Outcome::Other,
        name: log.app_name.clone(),
        spark_version: log.spark_version.clone(),
        outcome,
        reason,
        totals,
        stages: stages(log),
    }
}

/// What ended the application, where it was a job that failed of the application's own code: a failure that no setting of
/// memory prevents, so that it is to be expected again.
pub(super) fn user_failure(log: &AppLog) -> Option<String> {
    let (outcome, reason) = ending(log);
    // Lost processes and data, killed jobs, and Python's own want of memory have other causes.
    let others =
        ["ExecutorLostFailure", "FetchFailed", "MemoryError", "cancelled", "SparkContext was shut down"];
    let own = outcome == Outcome::Other && reason.contains("Lost task");
    (own && !others.iter().any(|words| reason.contains(words))).then_some(reason)
}

/// How the application ended, and the line that says so.
fn ending(log: &AppLog) -> (Outcome, String) {
    let failed_execution = log.sql.iter().find_map(|sql| sql.error.clone());
    // Adaptive execution cancels jobs that turn out to be needless; their query goes on.
    let matters = |execution: Option<u64>| {
        execution
            .is_none_or(|id| log.sql.iter().find(|sql| sql.id == id).is_none_or(|sql| sql.error.is_some()))
    };
    let failed_job = log.jobs.iter().find_map(|job| match &job.result {
        JobResult::Failed(reason) if matters(job.sql_execution) => Some(reason.clone()),
        _ => None,
    });
    if let Some(reason) = failed_job.or(failed_execution) {
        return (class_of(&reason, log), reason);
    }
    let unfinished = log.jobs.iter().any(|job| job.result == JobResult::Unfinished);
    match last_failure(log) {
        // A driver that died of its own task says no more.
        Some(reason) if unfinished && log.end_ms.is_none() => (class_of(&reason, log), reason),
        _ if unfinished => (Outcome::Other, "the log ends before the application does".to_owned()),
        _ => (Outcome::Ok, String::new()),
    }
}

fn class_of(reason: &str, log: &AppLog) -> Outcome {
    let class = |text: &str| ENDINGS.iter().find(|(words, _)| text.contains(words)).map(|ending| ending.1);
    let of_executors =
        || log.executors.iter().filter_map(|e| class(e.removed_reason.as_deref()?)).next_back();
    class(reason)
        .or_else(|| reason.contains("ExecutorLostFailure").then(of_executors)?)
        .unwrap_or(Outcome::Other)
}

fn last_failure(log: &AppLog) -> Option<String> {
    log.tasks.iter().rev().find_map(|task| match &task.end {
        TaskEndState::Failed(failure) => Some(format!("{}: {}", failure.class, failure.message)),
        _ => None,
    })
}

/// Time during which at least one job ran, in milliseconds; a job without an end ran until the log's.
fn wall_ms(log: &AppLog) -> f64 {
    let mut spans: Vec<(u64, u64)> = log
        .jobs
        .iter()
        .filter_map(|job| Some((job.submit_ms?, job.complete_ms.unwrap_or(log.last_ms))))
        .collect();
    spans.sort_unstable();
    let (mut sum, mut until) = (0, 0);
    for (from, to) in spans {
        sum += to.saturating_sub(from.max(until));
        until = until.max(to);
    }
    sum as f64
}

/// Sums and peaks over task attempts, by column.
fn task_quantities<'a>(tasks: impl Iterator<Item = &'a TaskRecord> + Clone) -> Quantities {
    let metrics = tasks.clone().filter_map(|task| task.metrics.as_ref());
    let sum = |value: fn(&TaskMetrics) -> u64| metrics.clone().map(value).sum::<u64>() as f64;
    Quantities::from([
        ("tasks", tasks.clone().count() as f64),
        ("failedTasks", tasks.filter(|task| matches!(task.end, TaskEndState::Failed(_))).count() as f64),
        ("memoryBytesSpilled", sum(|m| m.totals.memory_bytes_spilled)),
        ("diskBytesSpilled", sum(|m| m.totals.disk_bytes_spilled)),
        (
            "peakExecutionMemoryMax",
            metrics.clone().map(|m| m.totals.peak_execution_memory).max().unwrap_or(0) as f64,
        ),
        ("peakExecutionMemorySum", sum(|m| m.totals.peak_execution_memory)),
        ("jvmGcTime", sum(|m| m.totals.gc_ms)),
        ("executorRunTime", sum(|m| m.totals.run_ms)),
        ("executorCpuTime", sum(|m| m.totals.cpu_ns)),
        ("shuffleReadBytes", sum(|m| m.shuffle_read.local_bytes + m.shuffle_read.remote_bytes)),
        ("shuffleWriteBytes", sum(|m| m.shuffle_write.bytes)),
        ("resultBytes", sum(|m| m.totals.result_bytes)),
    ])
}

/// Peaks of the pools over all executors, where somebody polled them.
fn peaks(log: &AppLog, totals: &mut Quantities) {
    let interval = log.properties.get("spark.executor.metrics.pollingInterval");
    let polled = interval.and_then(|text| time_string_as(text, TimeUnit::Ms).ok()).is_some_and(|ms| ms > 0);
    if !polled {
        return;
    }
    let local = log.properties.get("spark.master").is_none_or(|m| m == "local" || m.starts_with("local["));
    let executors = || {
        log.peaks.iter().filter(|peak| {
            local
                || log.executors.get(peak.executor.0 as usize).is_some_and(|executor| executor.id != "driver")
        })
    };
    let mut most = |column, value: fn(&super::app_log::ExecutorPeaks) -> u64| {
        if let Some(peak) = executors().map(|record| value(&record.peaks)).max() {
            totals.insert(column, peak as f64);
        }
    };
    most("peakOnHeapExecution", |p| p.on_heap_execution);
    most("peakOffHeapExecution", |p| p.off_heap_execution);
    if caches(log) {
        most("peakOnHeapStorage", |p| p.on_heap_storage);
        most("peakOffHeapStorage", |p| p.off_heap_storage);
    }
}

/// A stage ran on something cached.
fn caches(log: &AppLog) -> bool {
    log.stages.iter().flat_map(|stage| &stage.rdds).any(|rdd| rdd.storage.is_cached())
}

/// Blocks of cached datasets, where the log reports them.
fn cache(log: &AppLog, totals: &mut Quantities) {
    let by_event = log.block_updates.iter().any(|update| update.told_by_task.is_none());
    let mut in_memory: BTreeSet<(ExecutorIndex, u32, u32)> = BTreeSet::new();
    let mut drops: BTreeMap<bool, u64> = BTreeMap::new();
    let mut any = false;
    for update in &log.block_updates {
        let BlockName::Rdd { rdd_id, partition } = update.block else { continue };
        if by_event && update.told_by_task.is_some() {
            continue;
        }
        any = true;
        let block = (update.executor, rdd_id, partition);
        if update.storage.use_memory {
            in_memory.insert(block);
        } else {
            in_memory.remove(&block);
            // A block that left memory to make room still carries the size it had there; one that was given up does not.
            if update.memory_bytes > 0 {
                *drops.entry(update.storage.use_disk).or_default() += 1;
            }
        }
    }
    if !any {
        return;
    }
    totals.insert("blocksDropped", drops.values().sum::<u64>() as f64);
    let lost = log.executors.iter().any(|executor| executor.removed_ms.is_some());
    if !drops.contains_key(&true) && !lost {
        totals.insert("cachedBlocksMemory", in_memory.len() as f64);
    }
}

fn stages(log: &AppLog) -> Vec<ObservedStage> {
    let mut by_stage: BTreeMap<u32, Vec<&TaskRecord>> = BTreeMap::new();
    for task in &log.tasks {
        by_stage.entry(task.stage_id).or_default().push(task);
    }
    let mut stages: Vec<ObservedStage> = Vec::new();
    for stage in log.stages.iter().filter(|stage| stage.submit_ms.is_some()) {
        let wall =
            stage.complete_ms.unwrap_or(log.last_ms).saturating_sub(stage.submit_ms.unwrap_or(0)) as f64;
        // Attempts of a stage follow one another.
        if let Some(last) = stages.last_mut().filter(|last| last.stage_id == stage.stage_id) {
            *last.quantities.entry("wallMs").or_default() += wall;
            continue;
        }
        let tasks = by_stage.get(&stage.stage_id).map_or(&[][..], Vec::as_slice);
        let mut quantities = task_quantities(tasks.iter().copied());
        quantities.insert("wallMs", wall);
        stages.push(ObservedStage { stage_id: stage.stage_id, name: stage.name.clone(), quantities });
    }
    stages
}
