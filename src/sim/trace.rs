//! The ledger of one task that the user wants to follow.

use super::World;
use crate::memory::operators::TraceEvent;
use crate::memory::{MemoryMode, TaskId};
use crate::record::{TraceKind, TraceRecord, TracedTask};

impl World<'_> {
    /// Whether a task is followed.
    pub(super) fn is_traced(&self, id: u64, stage: usize, index: u32) -> bool {
        match self.traced {
            None => false,
            Some(TracedTask::Id(wanted)) => wanted == id,
            Some(TracedTask::Partition { stage_id, index: partition }) => {
                stage_id == self.workload.stages[stage].id && partition == index
            }
        }
    }

    /// Notes what a followed task's operators asked for since the last look.
    pub(super) fn note_requests(&mut self, key: usize) {
        let Some(task) = self.tasks[key].as_mut().filter(|_| self.traced.is_some()) else { return };
        let entries = task.operators.take_trace();
        let task = self.tasks[key].as_ref().expect("it was there a line ago");
        let operators = &self.workload.stages[task.stage].operators;
        let name = |index| {
            let position = task.memory_operators.iter().position(|&found| found == Some(index));
            position.map_or_else(String::new, |position| operators[position].name.clone())
        };
        for entry in entries {
            let (kind, forced_by) = match entry.event {
                TraceEvent::Granted => (TraceKind::Grant, None),
                TraceEvent::Short => (TraceKind::GrantShort, None),
                TraceEvent::Waits => (TraceKind::Wait, None),
                TraceEvent::Refused => (TraceKind::Refuse, None),
                TraceEvent::Spilled(by) => (TraceKind::Spill, by),
            };
            let line = TraceRecord {
                operator: name(entry.operator),
                detail: forced_by.map_or_else(String::new, name),
                wanted: entry.wanted,
                got: entry.got,
                held: entry.held,
                pool_bytes: entry.pool_bytes,
                pool_free: entry.pool_free,
                active_tasks: entry.active_tasks,
                ..self.trace_line(key, kind)
            };
            self.record.trace.push(line);
        }
    }

    /// Notes that a followed task starts or ends.
    pub(super) fn note_life(&mut self, key: usize, kind: TraceKind, detail: &str) {
        let line = TraceRecord { detail: detail.to_owned(), ..self.trace_line(key, kind) };
        self.record.trace.push(line);
    }

    /// Notes the end of a task, if it is followed.
    pub(super) fn note_end(&mut self, key: usize, failure: Option<&str>) {
        let task = self.tasks[key].as_ref().expect("an ending task exists");
        if self.is_traced(task.id, task.stage, task.index) {
            self.note_life(key, TraceKind::End, failure.unwrap_or_default());
        }
    }

    fn trace_line(&self, key: usize, kind: TraceKind) -> TraceRecord {
        let task = self.tasks[key].as_ref().expect("a task that is followed exists");
        let manager = &self.executors[task.executor].manager;
        let mode: MemoryMode = self.executors[task.executor].tungsten_mode;
        let pool = manager.execution(mode);
        TraceRecord {
            time_ns: self.queue.now().0,
            task_id: task.id,
            stage_id: self.workload.stages[task.stage].id,
            index: task.index,
            attempt: task.attempt,
            executor: task.executor as u32,
            operator: String::new(),
            detail: String::new(),
            kind,
            wanted: 0,
            got: 0,
            held: manager.execution_held_by(TaskId(task.id as i64)),
            pool_bytes: manager.max_execution(mode),
            pool_free: pool.free(),
            active_tasks: pool.tasks().len() as u32,
        }
    }
}
