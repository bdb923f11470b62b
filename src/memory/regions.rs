//! Sizes of the regions a memory manager starts with; [`super::layout`] computes them from a configuration.

/// Sizes of a unified manager's regions in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnifiedRegions {
    /// Execution and storage on the heap, `M` of HEAP-7.
    pub on_heap: u64,
    /// Part of it that execution cannot take from blocks, `G` of HEAP-8.
    pub on_heap_storage: u64,
    /// Execution and storage off the heap, `spark.memory.offHeap.size`.
    pub off_heap: u64,
    /// Part of it that execution cannot take from blocks (UMM-11).
    pub off_heap_storage: u64,
}

/// Sizes of a static manager's pools in bytes (LEG-1, LEG-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticRegions {
    /// Execution on the heap.
    pub execution: u64,
    /// Storage on the heap.
    pub storage: u64,
    /// Unroll memory that blocks may be evicted for.
    pub max_unroll: u64,
    /// Execution off the heap.
    pub off_heap: u64,
}
