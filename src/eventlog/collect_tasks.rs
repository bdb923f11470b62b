//! Tasks and blocks: the events that make up most of a log.

use super::app_log::{
    AccumulatorUpdates, BlockName, BlockUpdate, ExecutorIndex, Locality, PeakSource, RunningTask,
    TaskEndState, TaskFailure, TaskKind, TaskMetrics, TaskRecord,
};
use super::collect::{Collector, first_line, storage_level};
use super::events::{
    Accumulable, BlockUpdated, EndReason, MetricGroups, PushBased, TaskEnd, TaskStart, UpdatedBlock,
};
use super::values::Text;

/// Names of the accumulators that repeat the task metrics.
const INTERNAL_PREFIX: &str = "internal.metrics.";

impl Collector {
    pub(super) fn task_start(&mut self, event: &TaskStart<'_>) {
        let info = &event.info;
        let Some(task_id) = info.id.known() else { return };
        let task = RunningTask {
            task_id,
            stage_id: event.stage.id().unwrap_or(0),
            stage_attempt: event.stage_attempt.id().unwrap_or(0),
            index: info.index.id().unwrap_or(0),
            attempt: info.attempt.id().unwrap_or(0),
            executor: self.executor(&info.executor, &info.host),
            launch_ms: self.saw(info.launched).unwrap_or(0),
        };
        self.running.insert(task_id, task);
    }

    pub(super) fn task_end(&mut self, event: TaskEnd<'_>) -> Result<(), serde_json::Error> {
        let info = event.info;
        // A task set that is not there any more reports -1 for stage and task: nothing ran.
        let (Some(task_id), Some(stage_id)) = (info.id.known(), event.stage.id()) else { return Ok(()) };
        self.running.remove(&task_id);
        let stage_attempt = event.stage_attempt.id().unwrap_or(0);
        let executor = self.executor(&info.executor, &info.host);
        let launch_ms = self.saw(info.launched).unwrap_or(0);
        let finish_ms = self.saw(info.finished).unwrap_or(0);
        if let Some(peaks) = event.executor_peaks {
            self.note_peaks(PeakSource::Task, Some((stage_id, stage_attempt)), executor, &peaks);
        }
        let mut metrics = None;
        if let Some(raw) = event.metrics {
            let groups: MetricGroups<'_> = serde_json::from_str(raw.get())?;
            for block in groups.updated_blocks.iter().flatten() {
                self.block_of_task(block, executor, task_id);
            }
            metrics = Some(task_metrics(raw.get(), &groups, &info.accumulables)?);
        }
        let updates = if info.accumulables.is_empty() { &event.reason.updates } else { &info.accumulables };
        let updates = sorted(updates);
        let accumulators = AccumulatorUpdates::new(&updates, self.latest_ids.entry(stage_id).or_default());
        let index = info.index.id().unwrap_or(0);
        self.log.tasks.push(TaskRecord {
            task_id,
            stage_id,
            stage_attempt,
            index,
            attempt: info.attempt.id().unwrap_or(0),
            partition: info.partition.id().unwrap_or(index),
            executor,
            locality: locality(info.locality.as_str()),
            kind: if event.kind.as_str() == "ShuffleMapTask" {
                TaskKind::ShuffleMap
            } else {
                TaskKind::Result
            },
            speculative: info.speculative,
            launch_ms,
            getting_result_ms: info.getting_result.count(),
            finish_ms,
            accumulators,
            end: end_state(event.reason),
            metrics,
        });
        Ok(())
    }

    pub(super) fn block_updated(&mut self, event: &BlockUpdated<'_>) {
        let info = &event.info;
        let executor = self.executor(&info.manager.executor, &info.manager.host);
        self.log.block_updates.push(BlockUpdate {
            block: BlockName::parse(info.block.as_str()),
            executor,
            storage: storage_level(info.level),
            memory_bytes: info.memory_bytes.count(),
            disk_bytes: info.disk_bytes.count(),
            after_ms: self.log.last_ms,
            tasks_ended: self.log.tasks.len() as u32,
            told_by_task: None,
        });
    }

    /// Blocks that a task's metrics tell of, with `spark.taskMetrics.trackUpdatedBlockStatuses`.
    fn block_of_task(&mut self, block: &UpdatedBlock<'_>, executor: ExecutorIndex, task_id: u64) {
        self.log.block_updates.push(BlockUpdate {
            block: BlockName::parse(block.block.as_str()),
            executor,
            storage: storage_level(block.status.level),
            memory_bytes: block.status.memory_bytes.count(),
            disk_bytes: block.status.disk_bytes.count(),
            after_ms: self.log.last_ms,
            tasks_ended: self.log.tasks.len() as u32,
            told_by_task: Some(task_id),
        });
    }
}

fn task_metrics(
    json: &str,
    groups: &MetricGroups<'_>,
    accumulables: &[Accumulable<'_>],
) -> Result<TaskMetrics, serde_json::Error> {
    let mut metrics = TaskMetrics {
        totals: serde_json::from_str(json)?,
        shuffle_write: groups.shuffle_write.unwrap_or_default(),
        input: groups.input.unwrap_or_default(),
        output: groups.output.unwrap_or_default(),
        ..TaskMetrics::default()
    };
    if let Some(raw) = groups.shuffle_read {
        metrics.shuffle_read = serde_json::from_str(raw.get())?;
        let push_based = serde_json::from_str::<PushBased>(raw.get())?.metrics;
        metrics.push_based = push_based.filter(|metrics| !metrics.is_zero()).map(Box::new);
    }
    // 2.4 does not write the peak among the metrics, only as an accumulator.
    if metrics.totals.peak_execution_memory == 0 {
        let peak =
            accumulables.iter().find(|update| update.name.as_str() == "internal.metrics.peakExecutionMemory");
        metrics.totals.peak_execution_memory = peak.map_or(0, |update| update.update.count());
    }
    Ok(metrics)
}

/// Updates that carry numbers, without those that repeat the task metrics.
fn sorted(updates: &[Accumulable<'_>]) -> Vec<(u64, i64)> {
    let mut pairs: Vec<(u64, i64)> = updates
        .iter()
        .filter(|update| !update.name.as_str().starts_with(INTERNAL_PREFIX))
        .filter_map(|update| Some((update.id.known()?, update.update.0?)))
        .collect();
    pairs.sort_unstable_by_key(|(id, _)| *id);
    pairs
}

fn locality(text: &str) -> Locality {
    match text {
        "PROCESS_LOCAL" => Locality::ProcessLocal,
        "NODE_LOCAL" => Locality::NodeLocal,
        "NO_PREF" => Locality::NoPref,
        "RACK_LOCAL" => Locality::RackLocal,
        _ => Locality::Any,
    }
}

fn end_state(reason: EndReason<'_>) -> TaskEndState {
    match reason.reason.as_str() {
        "Success" => return TaskEndState::Success,
        "TaskKilled" => return TaskEndState::Killed(first_line(reason.kill.as_str()).into()),
        _ => {}
    }
    let thrown_in =
        reason.stack.first().map(|frame| format!("{}.{}", frame.class.as_str(), frame.method.as_str()));
    let messages = [&reason.description, &reason.loss, &reason.message];
    let message: &Text<'_> =
        messages.into_iter().find(|text| !text.as_str().is_empty()).unwrap_or(&reason.message);
    TaskEndState::Failed(Box::new(TaskFailure {
        message: first_line(message.as_str()),
        class: reason.class.into_string(),
        reason: reason.reason.into_string(),
        thrown_in: thrown_in.unwrap_or_default(),
        exit_caused_by_app: reason.exit_caused_by_app,
        shuffle_id: reason.shuffle.id(),
    }))
}
