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
    pub const NONE: Self =
        Self { use_disk: false, use_memory: false, use_off_heap: false, deserialized: false, replication: 1 };
    /// On disk only.
    pub const DISK_ONLY: Self = Self { use_disk: true, ..Self::NONE };
    /// As objects in memory, recomputed when dropped; what `RDD.cache()` means.
    pub const MEMORY_ONLY: Self = Self { deserialized: true, ..Self::MEMORY_ONLY_SER };
    /// As bytes in memory, recomputed when dropped.
    pub const MEMORY_ONLY_SER: Self = Self { use_memory: true, ..Self::NONE };
    /// As objects in memory, written to disk when dropped; what `Dataset.cache()` means.
    pub const MEMORY_AND_DISK: Self = Self { use_disk: true, ..Self::MEMORY_ONLY };
    /// As bytes in memory, written to disk when dropped.
    pub const MEMORY_AND_DISK_SER: Self = Self { use_disk: true, ..Self::MEMORY_ONLY_SER };
    /// As bytes in off-heap memory, written to disk when dropped.
    pub const OFF_HEAP: Self = Self { use_off_heap: true, ..Self::MEMORY_AND_DISK_SER };

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_what_their_names_say() {
        // disk, memory, off-heap, deserialized (spark-memory 5.4)
        for (name, flags) in [
            ("NONE", [false, false, false, false]),
            ("DISK_ONLY_3", [true, false, false, false]),
            ("MEMORY_ONLY", [false, true, false, true]),
            ("MEMORY_ONLY_SER_2", [false, true, false, false]),
            ("MEMORY_AND_DISK_2", [true, true, false, true]),
            ("MEMORY_AND_DISK_SER", [true, true, false, false]),
            ("OFF_HEAP", [true, true, true, false]),
        ] {
            let level = StorageLevel::from_name(&name.to_lowercase()).unwrap();
            assert_eq!(
                [level.use_disk, level.use_memory, level.use_off_heap, level.deserialized],
                flags,
                "{name}"
            );
            assert_eq!(level.to_string(), name);
            let copies = name.rsplit('_').next().and_then(|last| last.parse().ok()).unwrap_or(1);
            assert_eq!(level.replication, copies, "{name}");
        }
    }

    #[test]
    fn a_level_without_a_name_shows_its_flags() {
        let level = StorageLevel::OFF_HEAP.copies(2);
        assert_eq!(level.name(), None);
        let shown = "StorageLevel(disk=true, memory=true, offHeap=true, deserialized=false, replication=2)";
        assert_eq!(level.to_string(), shown);
        assert_eq!(StorageLevel::from_name("MEMORY"), None);
    }
}
