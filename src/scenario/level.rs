//! Storage levels in scenario files: by Spark's names, or by their flags.

use super::grammar::{Kind, Table, key};

pub(super) use crate::conf::property::STORAGE_LEVELS as LEVELS;

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
