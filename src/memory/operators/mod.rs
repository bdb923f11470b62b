//! The operators of a task that hold execution memory, as state machines over its [`TaskMemoryManager`].
//!
//! Each operator asks for memory when and for as much as Spark's class does (4.1.4; what differs in 3.5 is said in
//! place), so that the moment of a spill, the bytes it frees and the peak that the operator reports come out to the
//! byte. A request may have to wait for other tasks; then the machine keeps what it was doing and goes on when
//! [`TaskOperators::resume`] is called. Records of one operator all have one size, and a step costs the number of memory
//! events it causes, not the number of records: how many records fit before the next request is computed.
//!
//! Left out: what the records say, files, time, and memory that Spark does not account (merge readers, file buffers,
//! the plain heap of row buffers and object aggregation).
//!
//! ```
//! use spillcast::memory::operators::{OperatorConf, OperatorSpec, SpillLimits, Step, TaskOperators};
//! use spillcast::memory::{MemoryManager, MemoryMode, TaskId, TaskMemoryManager, UnifiedRegions};
//!
//! // A sort of a million rows of 64 bytes in 64 MiB, with pages of 4 MiB.
//! let regions = UnifiedRegions { on_heap: 64 << 20, on_heap_storage: 32 << 20, off_heap: 0, off_heap_storage: 0 };
//! let mut manager = MemoryManager::unified(regions);
//! let page_size = 4 << 20;
//! let conf = OperatorConf { tungsten_mode: MemoryMode::OnHeap, page_size, limits_before_request: true };
//! let mut task = TaskOperators::new(TaskMemoryManager::new(TaskId(1), MemoryMode::OnHeap, page_size), conf);
//! let limits = SpillLimits::default();
//! let sort = task.add(OperatorSpec::Sort { row_bytes: 64, radix: true, initial_records: 4096, limits });
//!
//! assert_eq!(task.open(sort, &mut manager), Step::Ready);
//! assert_eq!(task.insert(sort, 1_000_000, &mut manager), Step::Ready);
//! assert_eq!(task.finish_input(sort, &mut manager), Step::Ready);
//! let spills = task.take_spills();
//! assert!(!spills.is_empty() && spills.iter().all(|spill| spill.records > 100_000));
//! assert!(task.peak(sort) <= 64 << 20);
//! task.close(sort, &mut manager);
//! assert_eq!(manager.execution(MemoryMode::OnHeap).used(), 0);
//! ```
//!
//! Read [`TaskOperators`] next, then `unsafe_external_sorter.rs` as the typical member.

mod bytes_to_bytes_map;
mod fast_map;
mod group_curve;
mod hash_aggregation;
mod hashed_relation;
mod long_to_unsafe_row_map;
mod object_hash_aggregation;
mod row_buffer;
mod shuffle_external_sorter;
mod size_model;
mod sorter_memory;
mod spillable;
mod task_operators;
mod trace;
mod unsafe_external_sorter;
mod zipf;

pub use group_curve::GroupCurve;
pub use task_operators::TaskOperators;
pub use trace::{TraceEntry, TraceEvent};
pub use unsafe_external_sorter::spilled_record_bytes;

use sorter_memory::SorterMemory;

use super::{
    Allocation, ConsumerId, MemoryManager, MemoryMode, PageId, Poll, Request, RequestFault, TaskMemoryManager,
};

/// Number of an operator within its task, in the order of [`TaskOperators::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorIndex(pub u32);

/// What the configuration says to all operators of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorConf {
    /// Mode of the pages: off-heap iff `spark.memory.offHeap.enabled`.
    pub tungsten_mode: MemoryMode,
    /// Bytes of a page (PAGE-1 to PAGE-4).
    pub page_size: u64,
    /// Whether [`SpillLimits`] are tested before a collection asks for memory: 4.0 and later (SPILL-1).
    pub limits_before_request: bool,
}

/// Sizes at which an operator spills though nobody is short of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpillLimits {
    /// `spark.shuffle.spill.numElementsForceSpillThreshold` or its SQL siblings, in records.
    pub records: u64,
    /// `spark.shuffle.spill.maxSizeInBytesForSpillThreshold` or its SQL siblings, in bytes; `u64::MAX` before 4.1.
    pub bytes: u64,
}

impl Default for SpillLimits {
    /// Spark's defaults: 2^31 - 1 records and no limit in bytes.
    fn default() -> Self {
        Self { records: i32::MAX as u64, bytes: u64::MAX }
    }
}

/// Pointer array of a SQL sort when it starts, in records (SORT-1).
pub const SORT_INITIAL_RECORDS: u64 = 4096;
/// Pointer array of a shuffle sort when it starts, in records (SHUF-3).
pub const SHUFFLE_SORT_INITIAL_RECORDS: u64 = 4096;
/// Slots of the hash map of an aggregation when it starts (AGG-1).
pub const AGGREGATION_INITIAL_CAPACITY: u64 = 16_384;
/// Bytes that a spillable collection holds before it reserves any: `spark.shuffle.spill.initialMemoryThreshold`.
pub const INITIAL_MEMORY_THRESHOLD: u64 = 5 << 20;

/// Rows between two times that a buffer of rows is cleared: of the window partitions (or matches of a join key) of a task,
/// the largest comes first and the others are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPartitions {
    /// Rows of the first; at least 1.
    pub largest: u64,
    /// Rows of each other one; at least 1.
    pub others: u64,
}

/// An operator and the shape of its data. Sizes of records are payload bytes: what Spark adds is added here.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorSpec {
    /// `HashAggregateExec` with grouping keys (section 7.4).
    HashAggregation {
        /// Groups among the first rows of an empty map.
        groups: GroupCurve,
        /// Bytes of the key row plus bytes of the buffer row (AGG-2 adds 16).
        key_value_bytes: u64,
        /// Bytes of a group in the row-based fast map in front (AGG-7), if the generated code has one, which only partial
        /// aggregations have: `key_value_bytes + 8` if all columns have a fixed width, else `key_value_bytes + 16`.
        fast_map_row_bytes: Option<u64>,
        /// The key is one whole number, and numbers follow one another without gaps: in the fast map, whose hash of a long is
        /// the long, no two of them want the same bucket (`HashMapGenerator`).
        dense_keys: bool,
    },
    /// `ObjectHashAggregateExec` (AGG-8).
    ObjectHashAggregation {
        /// Groups among the first rows.
        groups: GroupCurve,
        /// Bytes of the key row plus the serialized buffer of a group when the map is dumped.
        group_bytes: u64,
        /// Bytes of the key row plus the input row once the input is sorted.
        row_bytes: u64,
        /// Whether the radix sort is used: a single key that fits an 8-byte prefix.
        radix: bool,
        /// `spark.sql.objectHashAggregate.sortBased.fallbackThreshold`, in groups.
        fallback_threshold: u64,
        /// Forced spills.
        limits: SpillLimits,
    },
    /// `SortExec` or whatever else fills an `UnsafeExternalSorter` (section 7.2).
    Sort {
        /// Bytes of a row.
        row_bytes: u64,
        /// Whether the radix sort is used (SORT-2).
        radix: bool,
        /// Records that the first pointer array is made for (SORT-1).
        initial_records: u64,
        /// Forced spills.
        limits: SpillLimits,
    },
    /// Serialized shuffle writer: `ShuffleExternalSorter` (SHUF-3 to SHUF-5). It is closed when it writes its output.
    ShuffleSort {
        /// Bytes of a serialized record.
        record_bytes: u64,
        /// Whether the radix sort is used: `spark.shuffle.sort.useRadixSort`.
        radix: bool,
        /// Records that the first pointer array is made for: `spark.shuffle.sort.initialBufferSize`.
        initial_records: u64,
        /// Forced spills.
        limits: SpillLimits,
    },
    /// Bypass-merge shuffle writer, which holds no execution memory (SHUF-2).
    BypassMerge,
    /// `ExternalSorter` of an RDD shuffle (section 7.1).
    ExternalSorter {
        /// Bytes that the size estimator finds per pair or, with map-side combine, per key and combiner.
        entry_bytes: u64,
        /// Bytes of a record in a spill file before compression.
        serialized_bytes: u64,
        /// Keys among the first records of an empty map; `None` without map-side combine.
        map_side_combine: Option<GroupCurve>,
        /// Whether it writes a shuffle; else it sorts for a reader and can be spilled by others while being read.
        writes_shuffle: bool,
        /// `spark.shuffle.spill.initialMemoryThreshold`, in bytes.
        initial_memory_threshold: u64,
        /// Forced spills.
        limits: SpillLimits,
    },
    /// `ExternalAppendOnlyMap` of an RDD aggregation or cogroup (section 7.1).
    ExternalAppendOnlyMap {
        /// Bytes that the size estimator finds per key and combiner.
        entry_bytes: u64,
        /// Bytes of an entry in a spill file before compression.
        serialized_bytes: u64,
        /// Keys among the first records of an empty map.
        keys: GroupCurve,
        /// `spark.shuffle.spill.initialMemoryThreshold`, in bytes.
        initial_memory_threshold: u64,
        /// Forced spills.
        limits: SpillLimits,
    },
    /// Build side of a shuffled hash join over any key (HJ-1, HJ-2).
    HashedRelation {
        /// Rows expected: 64 in a shuffled join, the row count in a broadcast.
        size_estimate: u64,
        /// Rows that will come.
        rows: u64,
        /// Distinct keys among them.
        keys: u64,
        /// Bytes of the key row plus bytes of the value row.
        key_value_bytes: u64,
    },
    /// Build side of a shuffled hash join over a single integral key (HJ-3 to HJ-6).
    LongHashedRelation {
        /// Rows expected: 64 in a shuffled join, the row count in a broadcast.
        size_estimate: u64,
        /// Rows that will come.
        rows: u64,
        /// Distinct keys among them.
        keys: u64,
        /// Bytes of the value row.
        row_bytes: u64,
        /// Largest key minus smallest key, which decides over the dense form.
        key_range: u64,
    },
    /// `ExternalAppendOnlyUnsafeRowArray` of a window, a sort-merge join or a cartesian product (section 7.6). It tells
    /// nobody its peak.
    RowBuffer {
        /// Rows kept on the plain heap before a sorter takes over, unaccounted.
        in_memory_threshold: u64,
        /// Bytes of a row.
        row_bytes: u64,
        /// What it holds at a time.
        partitions: WindowPartitions,
        /// Forced spills; from 4.1 on the bytes also bound the plain heap (ROWBUF-1).
        limits: SpillLimits,
    },
}

/// How far an operator came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All that was asked of it is done.
    Ready,
    /// The task waits for execution memory; [`TaskOperators::resume`] goes on once it is woken.
    Wait,
    /// Spark throws a `SparkOutOfMemoryError`, which fails the task.
    OutOfMemory(SparkOutOfMemory),
}

/// The error conditions under which an operator throws a `SparkOutOfMemoryError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfMemoryCondition {
    /// `UNABLE_TO_ACQUIRE_MEMORY` (53200, TMM-9).
    UnableToAcquireMemory,
    /// `AGGREGATE_OUT_OF_MEMORY` (82001, AGG-3).
    AggregateOutOfMemory,
    /// `_LEGACY_ERROR_TEMP_2107`: a hashed relation cannot take another row (HJ-2).
    CannotAppendToMap,
    /// `_LEGACY_ERROR_TEMP_2109`: a long map cannot take another key (HJ-5).
    CannotBuildLongMap,
    /// `_LEGACY_ERROR_TEMP_2110`: a long map's rows exceed 8 GiB (HJ-4).
    LongMapTooLarge,
    /// `TooLargePageException`: a record larger than a page can be (PAGE-5).
    TooLargePage,
    /// `IllegalStateException`: the task has 8192 pages already (PAGE-5).
    PageTableFull,
}

impl OutOfMemoryCondition {
    /// Spark's name of the condition, or of the exception's class where it has none.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnableToAcquireMemory => "UNABLE_TO_ACQUIRE_MEMORY",
            Self::AggregateOutOfMemory => "AGGREGATE_OUT_OF_MEMORY",
            Self::CannotAppendToMap => "_LEGACY_ERROR_TEMP_2107",
            Self::CannotBuildLongMap => "_LEGACY_ERROR_TEMP_2109",
            Self::LongMapTooLarge => "_LEGACY_ERROR_TEMP_2110",
            Self::TooLargePage => "TooLargePageException",
            Self::PageTableFull => "IllegalStateException",
        }
    }
}

/// A `SparkOutOfMemoryError` as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparkOutOfMemory {
    /// Error condition.
    pub condition: OutOfMemoryCondition,
    /// Bytes asked for by the request that failed; 0 where none did.
    pub requested: u64,
    /// Bytes it could have had.
    pub received: u64,
}

impl SparkOutOfMemory {
    fn unable_to_acquire(requested: u64, received: u64) -> Self {
        Self { condition: OutOfMemoryCondition::UnableToAcquireMemory, requested, received }
    }

    /// What a request ended with that brought no memory.
    fn of(failure: Allocation) -> Self {
        match failure {
            Allocation::OutOfMemory { requested, received } => Self::unable_to_acquire(requested, received),
            Allocation::Fault(RequestFault::PageTooLarge(requested)) => {
                Self { condition: OutOfMemoryCondition::TooLargePage, requested, received: 0 }
            }
            Allocation::Fault(RequestFault::PageTableFull) => {
                Self::without_request(OutOfMemoryCondition::PageTableFull)
            }
            other => panic!("an operator's request cannot end with {other:?}"),
        }
    }

    fn without_request(condition: OutOfMemoryCondition) -> Self {
        Self { condition, requested: 0, received: 0 }
    }
}

/// One spill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpillEvent {
    /// Operator that spilled.
    pub operator: OperatorIndex,
    /// What `memoryBytesSpilled` grows by.
    pub memory_bytes: u64,
    /// Records written.
    pub records: u64,
    /// Bytes of the file before compression.
    pub serialized_bytes: u64,
    /// Operator whose request forced it; `None` if it spilled on its own account.
    pub forced_by: Option<OperatorIndex>,
}

/// A page or array that an operator holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    page: PageId,
    bytes: u64,
}

/// A spill before it is known whose it was.
#[derive(Clone, Copy, Debug)]
struct Spill {
    memory_bytes: u64,
    records: u64,
    serialized_bytes: u64,
}

/// What a machine may use while it runs.
struct Context<'a> {
    tmm: &'a mut TaskMemoryManager,
    manager: &'a mut MemoryManager,
    spills: &'a mut Vec<Spill>,
    /// An array below so many bytes may be asked for in the size that it grows to; 0 where Spark's steps are wanted.
    least: u64,
}

impl Context<'_> {
    fn free(&mut self, held: Held) {
        self.tmm.free_page(held.page, self.manager);
    }

    /// Acquires an array in the middle of a spill (the shuffle sorter does so, against TMM-14). The consumer has just
    /// freed more than it asks for, so that it never waits, and only a task beyond its share is given less; then Spark
    /// asks the task's other consumers too, which is left out.
    fn array_at_once(&mut self, consumer: ConsumerId, longs: u64) -> Result<Held, SparkOutOfMemory> {
        self.tmm.begin(consumer, Request::Array(longs));
        loop {
            match self.tmm.poll(self.manager) {
                Poll::Ready(Allocation::Page { page, size }) => return Ok(Held { page, bytes: size }),
                Poll::Ready(failure) => return Err(SparkOutOfMemory::of(failure)),
                Poll::Spill { .. } => self.tmm.spill_done(0),
                Poll::Wait => unreachable!("what was freed a moment ago is there"),
            }
        }
    }
}

/// Pages that an operator which has one mostly comes to have: their places are taken at once.
const PAGES_USUAL: usize = 16;

/// The data pages of an operator, of which records go into the last.
#[derive(Debug, Default)]
struct Pages {
    held: Vec<Held>,
    bytes: u64,
    room: u64,
}

impl Pages {
    /// Bytes of all pages.
    fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes free in the current page.
    fn room(&self) -> u64 {
        self.room
    }

    /// The same, or those of a first page that is still to be had.
    fn room_or(&self, first: u64) -> u64 {
        if self.held.is_empty() { first } else { self.room }
    }

    /// Makes a page the current one; the rest of the one before is wasted. `header` bytes of it are not for records.
    fn push(&mut self, page: Held, header: u64) {
        self.bytes += page.bytes;
        self.room = page.bytes - header;
        if self.held.capacity() == 0 {
            self.held.reserve(PAGES_USUAL);
        }
        self.held.push(page);
    }

    /// Takes the current page away from the others.
    fn pop(&mut self) -> Option<Held> {
        let page = self.held.pop()?;
        self.bytes -= page.bytes;
        self.room = 0;
        Some(page)
    }

    /// Fills `bytes` of the current page.
    fn take(&mut self, bytes: u64) {
        self.room -= bytes;
    }

    /// Number of pages.
    fn count(&self) -> usize {
        self.held.len()
    }

    /// The oldest page.
    fn first(&self) -> Option<Held> {
        self.held.first().copied()
    }

    /// Frees the oldest page.
    fn free_first(&mut self, context: &mut Context<'_>) {
        let page = self.held.remove(0);
        self.bytes -= page.bytes;
        context.free(page);
    }

    /// Frees the newest page; returns its bytes.
    fn free_last(&mut self, context: &mut Context<'_>) -> u64 {
        self.pop().map_or(0, |page| {
            context.free(page);
            page.bytes
        })
    }

    /// Entries in the newest page when all pages hold `entries` of one size.
    fn last_entries(&self, entries: u64, entry_bytes: u64, header: u64) -> u64 {
        let before: u64 =
            self.held.iter().rev().skip(1).map(|page| (page.bytes - header) / entry_bytes).sum();
        entries.saturating_sub(before)
    }

    /// Frees all pages and returns their bytes.
    fn free_all(&mut self, context: &mut Context<'_>) -> u64 {
        context.tmm.free_pages(self.held.drain(..).map(|held| held.page), context.manager);
        self.room = 0;
        std::mem::take(&mut self.bytes)
    }
}

/// Bytes of an array of `bytes` that doubles while it is `too_small` and its next size is below `least`.
fn doubled_below(bytes: u64, least: u64, too_small: impl Fn(u64) -> bool) -> u64 {
    let mut bytes = bytes;
    while bytes > 0 && 2 * bytes < least && too_small(bytes) {
        bytes *= 2;
    }
    bytes
}

/// What a machine does next.
#[derive(Debug)]
enum Progress {
    /// It needs the answer to this request.
    Request(ConsumerId, Request),
    /// It did all it was told.
    Done,
    /// A hash map cannot take the next entry.
    Refused,
    /// It fails.
    Failed(SparkOutOfMemory),
}

/// A member of the family: a machine that is told what to do and then advanced from request to request.
///
/// The caller tells it one thing at a time (`open`, `insert`, `finish_input`) and calls `advance` until it is done:
/// first without an answer, then with the answer to each request. `spill` may come in between, while a request of this
/// or another operator is under way; it frees and never asks.
trait MemoryOperator: std::fmt::Debug + Send {
    /// Begins the allocations of the constructor.
    fn open(&mut self);
    /// Adds records to those still to be inserted.
    fn insert(&mut self, records: u64);
    /// Begins what happens at the end of the input.
    fn finish_input(&mut self);
    /// Goes on until the next request or the end of what was begun.
    fn advance(&mut self, answer: Option<Allocation>, context: &mut Context<'_>) -> Progress;
    /// Answers a spill call; `by_itself` if the requester is the same consumer. Returns the bytes released.
    fn spill(&mut self, consumer: ConsumerId, ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64;
    /// Records it can take before it spills or asks for as much as `least` bytes, or, where that is not 0, for a page after
    /// its first; `u64::MAX`: never again. Smaller requests may be counted all the same.
    fn records_until_request(&self, least: u64) -> u64;
    /// Hands records out after the end of the input.
    fn drain(&mut self, records: u64, context: &mut Context<'_>);
    /// Frees everything.
    fn close(&mut self, context: &mut Context<'_>);
    /// Peak as its class reports it.
    fn peak(&self) -> u64;
    /// What it adds to the task's `peakExecutionMemory`: its peak, unless its join tells nobody.
    fn counted_peak(&self) -> u64 {
        self.peak()
    }
}

#[cfg(test)]
mod tests;
