//! Numbers that Spark reports a task and an executor, in the groups of the log's JSON. Each field keeps the log's own
//! name beside it; a field that a Spark version does not write is 0.

use serde::Deserialize;

use super::values::count;

/// Declares a struct of counters, each with the name it has in the log.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $json:literal $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(rename = $json, deserialize_with = "count")] pub $field: u64,)*
        }

        impl $name {
            /// Raises each counter to `other`'s where that is larger.
            pub fn raise_to(&mut self, other: &Self) {
                $(self.$field = self.$field.max(other.$field);)*
            }

            /// All counters are 0.
            pub fn is_zero(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

counters! {
    /// `Shuffle Read Metrics` of a task.
    ShuffleReadMetrics {
        /// Blocks fetched from other executors.
        "Remote Blocks Fetched" remote_blocks,
        /// Blocks read from the own executor.
        "Local Blocks Fetched" local_blocks,
        /// Time spent waiting for blocks, in milliseconds.
        "Fetch Wait Time" fetch_wait_ms,
        /// Bytes fetched from other executors.
        "Remote Bytes Read" remote_bytes,
        /// Part of the remote bytes that went to disk because the blocks were too large for memory.
        "Remote Bytes Read To Disk" remote_bytes_to_disk,
        /// Bytes read from the own executor.
        "Local Bytes Read" local_bytes,
        /// Records read.
        "Total Records Read" records,
        /// Sum of the fetch requests' durations, in milliseconds.
        "Remote Requests Duration" remote_requests_ms,
    }
}

counters! {
    /// `Push Based Shuffle` part of the shuffle read metrics (3.2 and later, rarely used).
    PushBasedShuffleMetrics {
        /// Merged chunks found corrupt.
        "Corrupt Merged Block Chunks" corrupt_chunks,
        /// Times the task went back to unmerged blocks.
        "Merged Fetch Fallback Count" fallbacks,
        /// Merged blocks fetched from other hosts.
        "Merged Remote Blocks Fetched" remote_blocks,
        /// Merged blocks read from the own host.
        "Merged Local Blocks Fetched" local_blocks,
        /// Merged chunks fetched from other hosts.
        "Merged Remote Chunks Fetched" remote_chunks,
        /// Merged chunks read from the own host.
        "Merged Local Chunks Fetched" local_chunks,
        /// Merged bytes fetched from other hosts.
        "Merged Remote Bytes Read" remote_bytes,
        /// Merged bytes read from the own host.
        "Merged Local Bytes Read" local_bytes,
        /// Sum of the requests' durations, in milliseconds.
        "Merged Remote Requests Duration" remote_requests_ms,
    }
}

counters! {
    /// `Shuffle Write Metrics` of a task.
    ShuffleWriteMetrics {
        /// Bytes written, compressed.
        "Shuffle Bytes Written" bytes,
        /// Time spent writing, in nanoseconds.
        "Shuffle Write Time" write_ns,
        /// Records written.
        "Shuffle Records Written" records,
    }
}

counters! {
    /// `Input Metrics` of a task: files and cached blocks read.
    InputMetrics {
        /// Bytes read; close to zero for parquet on local disk under 4.1.
        "Bytes Read" bytes,
        /// Records read.
        "Records Read" records,
    }
}

counters! {
    /// `Output Metrics` of a task: files written.
    OutputMetrics {
        /// Bytes written.
        "Bytes Written" bytes,
        /// Records written.
        "Records Written" records,
    }
}

counters! {
    /// Peaks of an executor's memory and sums of its collections, `Executor Metrics`. Polled, so short peaks are missed;
    /// without polling they come with heartbeats and are mostly 0.
    ExecutorPeaks {
        /// Heap in use, garbage included, in bytes.
        "JVMHeapMemory" jvm_heap,
        /// Non-heap memory of the JVM (metaspace, code cache), in bytes.
        "JVMOffHeapMemory" jvm_off_heap,
        /// On-heap execution pool in use, in bytes.
        "OnHeapExecutionMemory" on_heap_execution,
        /// Off-heap execution pool in use, in bytes.
        "OffHeapExecutionMemory" off_heap_execution,
        /// On-heap storage pool in use, in bytes.
        "OnHeapStorageMemory" on_heap_storage,
        /// Off-heap storage pool in use, in bytes.
        "OffHeapStorageMemory" off_heap_storage,
        /// On-heap execution and storage together, in bytes.
        "OnHeapUnifiedMemory" on_heap_unified,
        /// Off-heap execution and storage together, in bytes.
        "OffHeapUnifiedMemory" off_heap_unified,
        /// Direct buffers, in bytes.
        "DirectPoolMemory" direct_pool,
        /// Mapped buffers, in bytes.
        "MappedPoolMemory" mapped_pool,
        /// Virtual memory of the JVM process, in bytes.
        "ProcessTreeJVMVMemory" jvm_virtual,
        /// Resident memory of the JVM process, in bytes.
        "ProcessTreeJVMRSSMemory" jvm_resident,
        /// Virtual memory of the Python workers, in bytes.
        "ProcessTreePythonVMemory" python_virtual,
        /// Resident memory of the Python workers, in bytes.
        "ProcessTreePythonRSSMemory" python_resident,
        /// Virtual memory of other children, in bytes.
        "ProcessTreeOtherVMemory" other_virtual,
        /// Resident memory of other children, in bytes.
        "ProcessTreeOtherRSSMemory" other_resident,
        /// Minor collections.
        "MinorGCCount" minor_gc_count,
        /// Time of minor collections, in milliseconds.
        "MinorGCTime" minor_gc_ms,
        /// Major collections.
        "MajorGCCount" major_gc_count,
        /// Time of major collections, in milliseconds.
        "MajorGCTime" major_gc_ms,
        /// Time of all collections, in milliseconds.
        "TotalGCTime" total_gc_ms,
        /// Concurrent collections (4.1 and later).
        "ConcurrentGCCount" concurrent_gc_count,
        /// Time of concurrent collections (4.1 and later), in milliseconds.
        "ConcurrentGCTime" concurrent_gc_ms,
    }
}

counters! {
    /// Numbers directly under `Task Metrics`.
    TaskTotals {
        /// Time to deserialize the task, in milliseconds.
        "Executor Deserialize Time" deserialize_ms,
        /// CPU time to deserialize the task, in nanoseconds.
        "Executor Deserialize CPU Time" deserialize_cpu_ns,
        /// Time the task ran, in milliseconds.
        "Executor Run Time" run_ms,
        /// CPU time the task used, in nanoseconds.
        "Executor CPU Time" cpu_ns,
        /// Sum of the operators' own peaks, in bytes; it leaves out operators that keep no such peak.
        "Peak Execution Memory" peak_execution_memory,
        /// Peak of the task's on-heap execution memory (4.1 and later), in bytes.
        "Peak On Heap Execution Memory" peak_on_heap_execution_memory,
        /// Peak of the task's off-heap execution memory (4.1 and later), in bytes.
        "Peak Off Heap Execution Memory" peak_off_heap_execution_memory,
        /// Serialized result, in bytes.
        "Result Size" result_bytes,
        /// Collection time of the JVM while the task ran, in milliseconds.
        "JVM GC Time" gc_ms,
        /// Time to serialize the result, in milliseconds.
        "Result Serialization Time" result_serialization_ms,
        /// Bytes spilled, as they were in memory.
        "Memory Bytes Spilled" memory_bytes_spilled,
        /// Bytes spilled, as they were on disk.
        "Disk Bytes Spilled" disk_bytes_spilled,
    }
}

/// Metrics of one finished task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskMetrics {
    /// Times and memory.
    pub totals: TaskTotals,
    /// Shuffle blocks read.
    pub shuffle_read: ShuffleReadMetrics,
    /// Shuffle blocks written.
    pub shuffle_write: ShuffleWriteMetrics,
    /// Input read.
    pub input: InputMetrics,
    /// Output written.
    pub output: OutputMetrics,
    /// Push-based shuffle, absent when unused.
    pub push_based: Option<Box<PushBasedShuffleMetrics>>,
}
