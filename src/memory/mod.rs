//! Spark's memory bookkeeping, exact to the byte: who holds how much of an executor's execution and storage memory,
//! what is evicted, who is asked to spill and who waits.
//!
//! | file | models | Spark's class |
//! | --- | --- | --- |
//! | [`layout`], [`regions`] | how large the regions and pages of a configuration are | `UnifiedMemoryManager.apply`, `StaticMemoryManager` |
//! | [`execution_pool`], [`storage_pool`] | the two pools of a memory mode | `ExecutionMemoryPool`, `StorageMemoryPool` |
//! | [`manager`] | the border between the pools, eviction | `UnifiedMemoryManager`, `StaticMemoryManager` |
//! | [`store`], [`lru`], [`storage_level`] | blocks in memory, their locks and order | `MemoryStore`, `BlockInfoManager` |
//! | [`eviction`] | which block goes first: Spark's LRU, and others to compare with it | `MemoryStore.evictBlocksToFreeSpace` |
//! | [`unroll`] | putting values whose size is not known before | `MemoryStore.putIterator` |
//! | [`task_manager`] | consumers of one task, spilling, pages | `TaskMemoryManager`, `MemoryConsumer` |
//! | [`operators`] | sorts, aggregations, joins and shuffle writers as state machines over it | `UnsafeExternalSorter`, `BytesToBytesMap` and others |
//!
//! Nothing calls back and nothing blocks: a request that would make a thread wait returns [`Grant::Wait`], a request
//! that needs somebody to spill returns [`Poll::Spill`], and the caller comes back when it has news. So the same code
//! serves a replay of traces of the real classes and a simulation in virtual time. Time, threads, files and what the
//! blocks contain are left out; rule ids such as `UMM-2` name the rules of Spark that a piece of code follows.
//!
//! # A manager, and a block that is evicted
//!
//! ```
//! use spillcast::memory::{BlockId, Grant, MemoryManager, MemoryMode, Put, StorageLevel, TaskId, UnifiedRegions};
//!
//! // 1000 bytes, half of them safe from execution once blocks use them.
//! let regions = UnifiedRegions { on_heap: 1000, on_heap_storage: 500, off_heap: 0, off_heap_storage: 0 };
//! let mut manager = MemoryManager::unified(regions);
//! let block = BlockId::Rdd { rdd: 1, split: 0 };
//! let put = manager.put_bytes(TaskId::NONE, block, 700, MemoryMode::OnHeap, StorageLevel::MEMORY_ONLY_SER);
//! assert_eq!(put, Ok(Put::Stored));
//!
//! // 300 bytes are free; for the rest the block has to go, as a whole.
//! let grant = manager.acquire_execution(400, TaskId(7), MemoryMode::OnHeap).unwrap();
//! assert_eq!(grant, Grant::Granted(400));
//! let dropped = manager.take_events();
//! assert_eq!((dropped[0].block, dropped[0].size), (block, 700));
//! ```
//!
//! The regions of a real configuration come from [`MemoryLayout::unified`]; another order of eviction than Spark's from
//! [`MemoryManager::set_eviction`].
//!
//! # Two tasks that fight
//!
//! ```
//! use spillcast::memory::{Grant, MemoryManager, MemoryMode, TaskId, UnifiedRegions};
//!
//! let regions = UnifiedRegions { on_heap: 1000, on_heap_storage: 500, off_heap: 0, off_heap_storage: 0 };
//! let mut manager = MemoryManager::unified(regions);
//! let (first, second) = (TaskId(1), TaskId(2));
//!
//! // Alone, a task may have everything.
//! assert_eq!(manager.acquire_execution(900, first, MemoryMode::OnHeap), Ok(Grant::Granted(900)));
//! // The second gets at least half its share, 250 bytes, or waits for it: 100 would be too little to begin with.
//! assert_eq!(manager.acquire_execution(400, second, MemoryMode::OnHeap), Ok(Grant::Wait));
//! // Whenever somebody releases memory, all who wait are woken and try again.
//! let before = manager.wakeups();
//! manager.release_execution(200, first, MemoryMode::OnHeap);
//! assert!(manager.wakeups() > before);
//! assert_eq!(manager.retry_execution(400, second, MemoryMode::OnHeap), Ok(Grant::Granted(300)));
//! // Above its share of 500 the first gets nothing more, and does not wait.
//! assert_eq!(manager.acquire_execution(1, first, MemoryMode::OnHeap), Ok(Grant::Granted(0)));
//! ```
//!
//! # A consumer that spills
//!
//! ```
//! use spillcast::memory::{
//!     Allocation, MemoryManager, MemoryMode, Poll, Request, TaskId, TaskMemoryManager, UnifiedRegions,
//! };
//!
//! let regions = UnifiedRegions { on_heap: 1000, on_heap_storage: 500, off_heap: 0, off_heap_storage: 0 };
//! let mut manager = MemoryManager::unified(regions);
//! let mut task = TaskMemoryManager::new(TaskId(1), MemoryMode::OnHeap, 100);
//! let (map, sorter) = (task.register(MemoryMode::OnHeap, 100), task.register(MemoryMode::OnHeap, 100));
//!
//! task.begin(map, Request::Acquire(900));
//! assert_eq!(task.poll(&mut manager), Poll::Ready(Allocation::Bytes(900)));
//! // 100 bytes are left. The map has the most and is asked for the other 200.
//! task.begin(sorter, Request::Acquire(300));
//! assert_eq!(task.poll(&mut manager), Poll::Spill { consumer: map, ask: 200, by: sorter });
//! task.free(map, 900, &mut manager);
//! task.spill_done(900);
//! assert_eq!(task.poll(&mut manager), Poll::Ready(Allocation::Bytes(300)));
//! assert_eq!((task.used(map), task.used(sorter)), (0, 300));
//! ```
//!
//! # What it costs
//!
//! A request for execution memory finds its task among the active ones by binary search and goes by their number: O(log n)
//! for n active tasks. A put, a read and an eviction are O(1) for each block that they concern. `benches/memory.rs`
//! measures both, and how many bytes a block in memory and an active task take.

pub mod eviction;
pub mod execution_pool;
pub mod grant;
pub mod layout;
pub mod lru;
pub mod manager;
pub mod operators;
pub mod regions;
pub mod request;
mod slot_index;
pub mod storage_level;
pub mod storage_pool;
pub mod store;
mod task_bytes;
pub mod task_manager;
pub mod unroll;

use std::fmt;

pub use eviction::{DatasetPlan, UsePlan};
pub use grant::{ExecutionError, Grant, OffHeapStorageUnsupported};
pub use layout::{LayoutError, MemoryLayout};
pub use manager::MemoryManager;
pub use regions::{StaticRegions, UnifiedRegions};
pub use request::{Allocation, ConsumerId, PageId, Poll, Request, RequestFault};
pub use storage_level::StorageLevel;
pub use store::{BlockDropped, Entry, EntryForm, Lookup, Put, Removed};
pub use task_manager::TaskMemoryManager;
pub use unroll::{Unroll, UnrollOutcome, UnrollSettings};

/// A task attempt, unique in an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub i64);

impl TaskId {
    /// Work outside any task, such as the driver's own puts; Spark uses the attempt id -1 for its unroll memory.
    pub const NONE: Self = Self(-1);
}

/// Where memory lies. Each mode has its own two pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryMode {
    /// On the Java heap.
    OnHeap,
    /// Outside it, within `spark.memory.offHeap.size`.
    OffHeap,
}

impl MemoryMode {
    /// Both modes, in the order in which Spark goes through them.
    pub const ALL: [Self; 2] = [Self::OnHeap, Self::OffHeap];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// The name of a block. The derived order is by kind, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockId {
    /// A cached partition; the only kind that belongs to an RDD.
    Rdd {
        /// Id of the RDD.
        rdd: u32,
        /// Partition of it.
        split: u32,
    },
    /// The whole value of a broadcast variable.
    Broadcast(u64),
    /// One piece of a broadcast variable as it is fetched.
    BroadcastPiece {
        /// Id of the broadcast variable.
        broadcast: u64,
        /// Number of the piece.
        piece: u32,
    },
    /// A task's result that was too large to be sent directly.
    TaskResult(TaskId),
    /// A block of Spark's own tests.
    Test(u64),
}

impl BlockId {
    /// The RDD a cached partition belongs to; `None` for all other kinds.
    pub fn rdd(self) -> Option<u32> {
        match self {
            Self::Rdd { rdd, .. } => Some(rdd),
            _ => None,
        }
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rdd { rdd, split } => write!(f, "rdd_{rdd}_{split}"),
            Self::Broadcast(id) => write!(f, "broadcast_{id}"),
            Self::BroadcastPiece { broadcast, piece } => write!(f, "broadcast_{broadcast}_piece{piece}"),
            Self::TaskResult(task) => write!(f, "taskresult_{}", task.0),
            Self::Test(id) => write!(f, "test_{id}"),
        }
    }
}
