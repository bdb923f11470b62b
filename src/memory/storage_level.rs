//! Storage levels: where a block may be kept, in which form and how often. Follows `StorageLevel` (spark-memory 5.4).

use std::fmt;

/// How a block is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageLevel {
    /// Disk may hold it.
    pub use_disk: bool,
    /// Memory may hold it.
    pub use_memory: bool,
    /// The memory is off-heap memory.
    pub use_off_heap: bool,
    /// It is kept as objects, not as bytes.
    pub deserialized: bool,
    /// Copies in the cluster.
    pub replication: u8,
}

/// Spark's levels by name.
const NAMED: [(&str, StorageLevel); 13] = [
    ("NONE", StorageLevel::NONE),
    ("DISK_ONLY", StorageLevel::DISK_ONLY),
    ("DISK_ONLY_2", StorageLevel::DISK_ONLY.copies(2)),
    ("DISK_ONLY_3", StorageLevel::DISK_ONLY.copies(3)),
    ("MEMORY_ONLY", StorageLevel::MEMORY_ONLY),
    ("MEMORY_ONLY_2", StorageLevel::MEMORY_ONLY.copies(2)),
    ("MEMORY_ONLY_SER", StorageLevel::MEMORY_ONLY_SER),
    ("MEMORY_ONLY_SER_2", StorageLevel::MEMORY_ONLY_SER.copies(2)),
    ("MEMORY_AND_DISK", StorageLevel::MEMORY_AND_DISK),
    ("MEMORY_AND_DISK_2", StorageLevel::MEMORY_AND_DISK.copies(2)),
    ("MEMORY_AND_DISK_SER", StorageLevel::MEMORY_AND_DISK_SER),
    ("MEMORY_AND_DISK_SER_2", StorageLevel::MEMORY_AND_DISK_SER.copies(2)),
    ("OFF_HEAP", StorageLevel::OFF_HEAP),
];

impl StorageLevel {
    /// Kept nowhere.
    pub const NONE: Self = Self::level(false, false, false, false);
    /// On disk only.
    pub const DISK_ONLY: Self = Self::level(true, false, false, false);
    /// As objects in memory, recomputed when dropped; what `RDD.cache()` means.
    pub const MEMORY_ONLY: Self = Self::level(false, true, false, true);
    /// As bytes in memory, recomputed when dropped.
    pub const MEMORY_ONLY_SER: Self = Self::level(false, true, false, false);
    /// As objects in memory, written to disk when dropped; what `Dataset.cache()` means.
    pub const MEMORY_AND_DISK: Self = Self::level(true, true, false, true);
    /// As bytes in memory, written to disk when dropped.
    pub const MEMORY_AND_DISK_SER: Self = Self::level(true, true, false, false);
    /// As bytes in off-heap memory, written to disk when dropped.
    pub const OFF_HEAP: Self = Self::level(true, true, true, false);

    const fn level(use_disk: bool, use_memory: bool, use_off_heap: bool, deserialized: bool) -> Self {
        Self { use_disk, use_memory, use_off_heap, deserialized, replication: 1 }
    }

    /// The same level with another number of copies.
    pub const fn copies(self, replication: u8) -> Self {
        Self { replication, ..self }
    }

    /// The level of a name such as `MEMORY_AND_DISK_SER_2`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// Names of all levels.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(name, _)| *name)
    }

    /// Spark's name of this level; `None` for a combination that has none.
    pub fn name(self) -> Option<&'static str> {
        NAMED.iter().find(|(_, level)| *level == self).map(|(name, _)| *name)
    }

    /// The mode of the memory a block of this level uses.
    pub const fn memory_mode(self) -> super::MemoryMode {
        if self.use_off_heap { super::MemoryMode::OffHeap } else { super::MemoryMode::OnHeap }
    }
}

impl fmt::Display for StorageLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(
                f,
                "StorageLevel(disk={}, memory={}, offHeap={}, deserialized={}, replication={})",
                self.use_disk, self.use_memory, self.use_off_heap, self.deserialized, self.replication
            ),
        }
    }
}
