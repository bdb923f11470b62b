//! A small map from task to bytes with its total, kept in order of the task. An executor runs few tasks at once, so a
//! sorted vector beats a tree and allocates nothing after its first growth.

use super::TaskId;

/// Bytes by task; a task may be present with 0 bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskBytes {
    entries: Vec<(TaskId, u64)>,
    total: u64,
}

impl TaskBytes {
    pub(crate) fn get(&self, task: TaskId) -> Option<u64> {
        self.position(task).ok().map(|at| self.entries[at].1)
    }

    /// Bytes at a position that [`Self::position`] or [`Self::enter`] gave.
    pub(crate) fn bytes_at(&self, at: usize) -> u64 {
        self.entries[at].1
    }

    /// Makes a task present; returns its position and whether it was not present.
    pub(crate) fn enter(&mut self, task: TaskId) -> (usize, bool) {
        match self.position(task) {
            Ok(at) => (at, false),
            Err(at) => {
                // The latest task usually has the highest number; nothing has to move then.
                if at == self.entries.len() {
                    self.entries.push((task, 0));
                } else {
                    self.entries.insert(at, (task, 0));
                }
                (at, true)
            }
        }
    }

    pub(crate) fn add_at(&mut self, at: usize, bytes: u64) {
        self.entries[at].1 += bytes;
        self.total += bytes;
    }

    /// Adds `bytes`, making the task present when it was not.
    pub(crate) fn add(&mut self, task: TaskId, bytes: u64) {
        let (at, _) = self.enter(task);
        self.add_at(at, bytes);
    }

    /// Takes up to `bytes` from a task and removes it when nothing is left; returns what was taken.
    pub(crate) fn take(&mut self, task: TaskId, bytes: u64) -> u64 {
        let Ok(at) = self.position(task) else { return 0 };
        let taken = bytes.min(self.entries[at].1);
        self.entries[at].1 -= taken;
        self.total -= taken;
        if self.entries[at].1 == 0 {
            if at + 1 == self.entries.len() {
                self.entries.pop();
            } else {
                self.entries.remove(at);
            }
        }
        taken
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.total = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn as_slice(&self) -> &[(TaskId, u64)] {
        &self.entries
    }

    pub(crate) fn position(&self, task: TaskId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&task, |entry| entry.0)
    }
}
