//! Execution memory of one mode: what each active task holds and the fair-share rule between them. Follows
//! `ExecutionMemoryPool` of Spark 3.5 and 4.1 (2.4 has the same rule). Growing the pool at the expense of storage and
//! waking waiters is the manager's business, see [`super::manager`].

use super::TaskId;
use super::task_bytes::TaskBytes;

/// Size of the pool and the bytes each active task holds.
#[derive(Clone, Debug, Default)]
pub struct ExecutionPool {
    size: u64,
    tasks: TaskBytes,
}

impl ExecutionPool {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, tasks: TaskBytes::default() }
    }

    /// Bytes the pool has, used or not.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes held by tasks.
    pub fn used(&self) -> u64 {
        self.tasks.total()
    }

    /// Bytes nobody holds.
    pub fn free(&self) -> u64 {
        self.size - self.tasks.total()
    }

    /// Bytes a task holds; `None` when it is not active. An active task may hold 0.
    pub fn held_by(&self, task: TaskId) -> Option<u64> {
        self.tasks.get(task)
    }

    /// Bytes held by the active task at a position.
    pub(crate) fn held_at(&self, at: usize) -> u64 {
        self.tasks.bytes_at(at)
    }

    /// The active tasks with what they hold, in order of the task: the N of the 1/N and 1/2N rules is their number
    /// (EXEC-5).
    pub fn tasks(&self) -> &[(TaskId, u64)] {
        self.tasks.as_slice()
    }

    /// Makes a task active (EXEC-1); returns its position among the active ones and whether it was not active.
    pub(crate) fn activate(&mut self, task: TaskId) -> (usize, bool) {
        self.tasks.enter(task)
    }

    /// Position of an active task, valid until another one becomes active or ends.
    pub(crate) fn position(&self, task: TaskId) -> Option<usize> {
        self.tasks.position(task).ok()
    }

    /// One pass of the fair-share rule for the task at a position, after the pool was grown: the bytes to give now, or
    /// `None` when the task has to wait because it would stay under half its share (EXEC-2 .. EXEC-4).
    pub(crate) fn share(&self, wanted: u64, at: usize, max_pool: u64) -> Option<u64> {
        let active = self.tasks.len() as u64;
        let held = self.tasks.bytes_at(at);
        // All of it, when it is free and within a full share: the rule below, without its divisions.
        if wanted <= self.free() && (held + wanted).checked_mul(active).is_some_and(|all| all <= max_pool) {
            return Some(wanted);
        }
        let max_per_task = max_pool / active;
        // Half a share of the pool as it is now, not of what it could grow to.
        let min_per_task = self.size / (2 * active);
        let grant = wanted.min(max_per_task.saturating_sub(held)).min(self.free());
        if grant < wanted && held + grant < min_per_task { None } else { Some(grant) }
    }

    pub(crate) fn grant(&mut self, at: usize, bytes: u64) {
        self.tasks.add_at(at, bytes);
    }

    /// Takes back up to `bytes`; a task left with nothing is no longer active (EXEC-7).
    pub(crate) fn release(&mut self, task: TaskId, bytes: u64) -> u64 {
        self.tasks.take(task, bytes)
    }

    pub(crate) fn grow(&mut self, bytes: u64) {
        self.size += bytes;
    }

    pub(crate) fn shrink(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.free(), "an execution pool gives away free bytes only");
        self.size -= bytes;
    }
}
