//! What the memory manager answers to a request, and the requests that Spark answers with an exception. Running short of
//! memory is an answer, not an error.

use std::fmt;

#[cfg(doc)]
use super::MemoryManager;
use super::TaskId;

/// What became of a request for execution memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// So many bytes were given, possibly fewer than asked for, possibly none.
    Granted(u64),
    /// The task is under half its share and waits; ask again with [`MemoryManager::retry_execution`] after a wake-up.
    Wait,
}

/// A request for execution memory that is a fault of the caller; Spark throws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionError {
    /// A request of 0 bytes (UMM-14).
    NothingRequested,
    /// The task waited and its entry was removed meanwhile, by somebody releasing its memory (spark-memory 17.2).
    TaskForgotten(TaskId),
    /// Evicted blocks had more bytes than the storage pool accounts for, because storage memory was released that
    /// was never acquired.
    PoolsOutOfStep,
}

impl fmt::Display for ExecutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingRequested => {
                f.write_str("execution memory was requested with 0 bytes, valid is 1 or more")
            }
            Self::TaskForgotten(task) => {
                write!(f, "task {} waited for execution memory while all its memory was released", task.0)
            }
            Self::PoolsOutOfStep => f.write_str("evicted blocks had more bytes than the storage pool has"),
        }
    }
}

impl std::error::Error for ExecutionError {}

/// Storage memory was requested off-heap, which the legacy static manager does not offer (LEG-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffHeapStorageUnsupported;

impl fmt::Display for OffHeapStorageUnsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the static memory manager has no off-heap storage memory, valid are on-heap storage levels",
        )
    }
}

impl std::error::Error for OffHeapStorageUnsupported {}
