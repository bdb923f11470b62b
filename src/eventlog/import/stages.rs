//! The runs of stages: which attempt stands for a stage, and the successful task of each partition.

use std::collections::BTreeMap;

use crate::eventlog::app_log::{AppLog, StageRecord, TaskKind, TaskMetrics, TaskRecord};
use crate::workload::PerTask;

/// A stage that ran, with the task that succeeded for each partition.
#[derive(Debug)]
pub(super) struct StageRun<'a> {
    /// Its last attempt.
    pub(super) record: &'a StageRecord,
    /// By position in the first attempt, which is the partition unless an action such as `take` runs some partitions
    /// only; none where no task succeeded before the log ends or the job was aborted.
    pub(super) tasks: Vec<Option<&'a TaskRecord>>,
    /// Attempts that failed.
    pub(super) failed: Vec<&'a TaskRecord>,
    /// Positions of the partitions whose number is another one.
    shifted: BTreeMap<u32, usize>,
}

impl<'a> StageRun<'a> {
    /// The task metrics by partition.
    pub(super) fn metrics(&self) -> impl Iterator<Item = Option<&'a TaskMetrics>> + '_ {
        self.tasks.iter().map(|task| task.and_then(|task| task.metrics.as_ref()))
    }

    /// Position of the partition that a task worked on.
    fn position(&self, task: &TaskRecord) -> usize {
        self.shifted.get(&task.partition).copied().unwrap_or(task.partition as usize)
    }

    /// One value a task; partitions without a successful task get the largest of their attempts, else the mean of the
    /// others.
    pub(super) fn each(&self, value: impl Fn(&TaskRecord, &TaskMetrics) -> u64) -> PerTask {
        let of = |task: &TaskRecord| task.metrics.as_ref().map(|metrics| value(task, metrics));
        let values: Vec<Option<u64>> = self
            .tasks
            .iter()
            .enumerate()
            .map(|(position, task)| match task {
                Some(task) => of(task),
                // An attempt that failed shows at least how far it came.
                None => {
                    let attempts = self.failed.iter().filter(|task| self.position(task) == position);
                    attempts.filter_map(|task| of(task)).max().filter(|&most| most > 0)
                }
            })
            .collect();
        let known = values.iter().flatten().count().max(1) as u64;
        let mean = values.iter().flatten().sum::<u64>() / known;
        if values.iter().all(|value| value.unwrap_or(mean) == 0) {
            return PerTask::Total(0);
        }
        PerTask::Each(values.into_iter().map(|value| value.unwrap_or(mean)).collect())
    }

    /// Time in which the tasks ran without having a processor, ns: the machine's other threads had it. Collection pauses
    /// and waiting for shuffle blocks do not count as running. 0 where the log tells no processor time.
    pub(super) fn waits_ns(&self) -> f64 {
        let cpu: u64 = self.metrics().flatten().map(|m| m.totals.cpu_ns).sum();
        if cpu == 0 { 0.0 } else { self.metrics().flatten().map(waits_ns).sum() }
    }

    /// Writes a shuffle.
    pub(super) fn is_map_stage(&self) -> bool {
        let mut known = self.tasks.iter().flatten().chain(self.failed.iter());
        known.next().is_some_and(|task| task.kind == TaskKind::ShuffleMap)
    }

    /// Sum of an accumulator over the tasks.
    pub(super) fn accumulated(&self, id: u64) -> u64 {
        self.tasks.iter().flatten().filter_map(|task| task.accumulator(id)).map(|v| v.max(0) as u64).sum()
    }
}

/// Time in which a task ran without having a processor, ns.
pub(super) fn waits_ns(metrics: &TaskMetrics) -> f64 {
    let elsewhere = metrics.totals.gc_ms + metrics.shuffle_read.fetch_wait_ms;
    let run = metrics.totals.run_ms.saturating_sub(elsewhere) as f64 * 1e6;
    (run - metrics.totals.cpu_ns as f64).max(0.0)
}

/// All stages that ran, in the order of their submission.
pub(super) fn runs(log: &AppLog) -> Vec<StageRun<'_>> {
    let mut latest: BTreeMap<u32, &StageRecord> = BTreeMap::new();
    // The number of tasks of a retried attempt is only what was missing.
    let mut first: BTreeMap<u32, &StageRecord> = BTreeMap::new();
    for stage in log.stages.iter().filter(|stage| stage.submit_ms.is_some()) {
        latest.insert(stage.stage_id, stage);
        first.entry(stage.stage_id).or_insert(stage);
    }
    let mut runs: Vec<StageRun<'_>> = latest
        .values()
        .map(|record| StageRun {
            record,
            tasks: vec![None; first[&record.stage_id].number_of_tasks.max(record.number_of_tasks) as usize],
            failed: Vec::new(),
            shifted: BTreeMap::new(),
        })
        .collect();
    let position: BTreeMap<u32, usize> =
        runs.iter().enumerate().map(|(i, run)| (run.record.stage_id, i)).collect();
    for task in log.tasks.iter().filter(|task| task.index != task.partition) {
        let Some(&at) = position.get(&task.stage_id) else { continue };
        if first[&task.stage_id].attempt == task.stage_attempt && first[&task.stage_id].attempt == 0 {
            runs[at].shifted.insert(task.partition, task.index as usize);
        }
    }
    for task in &log.tasks {
        let Some(run) = position.get(&task.stage_id).map(|&at| &mut runs[at]) else { continue };
        if !task.succeeded() {
            run.failed.push(task);
            continue;
        }
        let at = run.position(task);
        if at >= run.tasks.len() {
            // Only where the log lost the first attempt; no stage has more partitions than its RDDs.
            let partitions = run.record.rdds.iter().filter_map(|rdd| {
                let found = log.rdds.binary_search_by_key(&rdd.rdd_id, |known| known.rdd_id).ok()?;
                Some(log.rdds[found].partitions as usize)
            });
            if partitions.max().is_none_or(|most| at >= most) {
                continue;
            }
            run.tasks.resize(at + 1, None);
        }
        run.tasks[at] = Some(task);
    }
    runs.sort_by_key(|run| (run.record.submit_ms, run.record.stage_id));
    runs
}
