//! What a consumer of a task asks of [`TaskMemoryManager`], and how it goes. Leaves out who is served when: that is the
//! manager's.

use super::ExecutionError;
#[cfg(doc)]
use super::task_manager::{MAX_PAGE_BYTES, MAX_PAGES, TaskMemoryManager};

/// A memory consumer of a task, numbered in order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u32);

/// A page's number in the task's page table; reused after the page was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub u32);

/// What a consumer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Bytes; fewer may be given (`acquireMemory`).
    Acquire(u64),
    /// A page of at least so many bytes, of the consumer's page size if that is more (`allocatePage`, TMM-9).
    Page(u64),
    /// An array of so many longs (`allocateArray`, TMM-10).
    Array(u64),
    /// Bytes that the consumer does not count as used (`TaskMemoryManager.acquireExecutionMemory`).
    TaskBytes(u64),
    /// A page of at most so many bytes that the consumer does not count as used
    /// (`TaskMemoryManager.allocatePage`, TMM-8). When there is nothing to be had the answer is 0 bytes, no page.
    TaskPage(u64),
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// It is finished.
    Ready(Allocation),
    /// `consumer` has to spill at least `ask` bytes if it can, because `by` asks for memory. Free what it frees, then
    /// answer with [`TaskMemoryManager::spill_done`] or [`TaskMemoryManager::spill_failed`] and poll again.
    Spill {
        /// Who spills.
        consumer: ConsumerId,
        /// Bytes that are missing.
        ask: u64,
        /// Who asks.
        by: ConsumerId,
    },
    /// The task waits for memory; poll again when the manager's count of wake-ups has grown.
    Wait,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// So many bytes, from 0 to what was asked for.
    Bytes(u64),
    /// A page or array.
    Page {
        /// Its number.
        page: PageId,
        /// Its bytes.
        size: u64,
    },
    /// Spark throws `SparkOutOfMemoryError`: too little was received for a page or array, or a spill failed.
    OutOfMemory {
        /// Bytes required.
        requested: u64,
        /// Bytes received and given back; after a failed spill, bytes received and kept by the task until its end.
        received: u64,
    },
    /// Spark throws because the request can never be fulfilled.
    Fault(RequestFault),
}

/// A request Spark refuses with an exception that has nothing to do with how much memory there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// The memory manager refused it.
    Execution(ExecutionError),
    /// The page would have more than [`MAX_PAGE_BYTES`] (`TooLargePageException`).
    PageTooLarge(u64),
    /// The task has [`MAX_PAGES`] pages already (`IllegalStateException`).
    PageTableFull,
}
