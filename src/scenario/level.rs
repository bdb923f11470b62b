//! Storage levels in scenario files: by Spark's names, or by their flags.

use super::grammar::{Kind, Table, key};

/// Names of Spark's storage levels.
pub(super) const LEVELS: [&str; 13] = [
    "NONE",
    "DISK_ONLY",
    "DISK_ONLY_2",
    "DISK_ONLY_3",
    "MEMORY_ONLY",
    "MEMORY_ONLY_2",
    "MEMORY_ONLY_SER",
    "MEMORY_ONLY_SER_2",
    "MEMORY_AND_DISK",
    "MEMORY_AND_DISK_2",
    "MEMORY_AND_DISK_SER",
    "MEMORY_AND_DISK_SER_2",
    "OFF_HEAP",
];

pub(super) static LEVEL: Table = Table::new(
    "a storage level",
    &[
        key("use_disk", Kind::Flag, "Disk may hold it."),
        key("use_memory", Kind::Flag, "Memory may hold it."),
        key("use_off_heap", Kind::Flag, "In off-heap memory."),
        key("deserialized", Kind::Flag, "As objects."),
        key("replication", Kind::Whole(0, 255), "Copies."),
    ],
);
