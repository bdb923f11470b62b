//! Storage levels (spark-memory.md 5.4).

/// How a cached dataset is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageLevel {
    /// Disk may hold it.
    pub use_disk: bool,
    /// Memory may hold it.
    pub use_memory: bool,
    /// In off-heap memory.
    pub use_off_heap: bool,
    /// As objects.
    pub deserialized: bool,
    /// Copies.
    pub replication: u8,
}
