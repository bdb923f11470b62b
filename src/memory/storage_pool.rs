//! Storage memory of one mode: a size and how much of it blocks and unrolling use. Follows `StorageMemoryPool` of
//! Spark 3.5 and 4.1; finding blocks to evict is the manager's business, see [`super::manager`].

/// Size of the pool and the bytes in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoragePool {
    size: u64,
    used: u64,
}

impl StoragePool {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, used: 0 }
    }

    /// Bytes the pool has, used or not.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes used by blocks and by unrolling.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes nobody uses.
    pub fn free(&self) -> u64 {
        self.size - self.used
    }

    /// Takes `bytes` if they are free: sizes are never granted in part (STOR-2).
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.free();
        if fits {
            self.used += bytes;
        }
        fits
    }

    /// Gives bytes back; more than are used empties the pool (STOR-3).
    pub(crate) fn release(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    pub(crate) fn release_all(&mut self) {
        self.used = 0;
    }

    pub(crate) fn grow(&mut self, bytes: u64) {
        self.size += bytes;
    }

    /// Gives up `bytes` of its size; false, and nothing done, when they are not free.
    pub(crate) fn shrink(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.free();
        if fits {
            self.size -= bytes;
        }
        fits
    }
}
