//! `ShuffleExternalSorter` of Spark 4.1.4: pages of serialized records and a pointer array of one long per record.
//!
//! Nobody but itself spills it. The records left at the end are written straight to the output, which is no spill
//! (SHUF-5). Leaves out partitions: they cost no execution memory.

use super::{
    Allocation, ConsumerId, Context, Held, MemoryOperator, Progress, Request, SorterMemory, SparkOutOfMemory,
    Spill, SpillLimits,
};
use crate::memory::task_manager::MAX_PAGE_BYTES;

/// Longs of the pointer array that a record takes: partition and address in one (SHUF-3).
const LONGS_PER_RECORD: u64 = 1;
/// Length word in front of a record (SHUF-3).
const LENGTH_BYTES: u64 = 4;
/// Largest page it asks for (SHUF-3): addresses in a packed pointer have 27 bits.
pub(super) const PAGE_BYTES_MAX: u64 = 1 << 27;

/// How a sorter is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShuffleSorterShape {
    /// Bytes of a serialized record.
    pub record_bytes: u64,
    /// Whether the radix sort is used.
    pub radix: bool,
    /// Records that the first pointer array is made for.
    pub initial_records: u64,
    /// Forced spills.
    pub limits: SpillLimits,
}

/// Where in the insertion of a record the sorter stands (SHUF-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first pointer array, by the constructor.
    Open,
    Idle,
    Array,
    Page,
    Insert,
}

/// State of one sorter.
#[derive(Debug)]
pub(super) struct ShuffleExternalSorter {
    consumer: ConsumerId,
    shape: ShuffleSorterShape,
    stage: Stage,
    memory: SorterMemory,
    todo: u64,
    /// The error of a spill that could not have its small array, thrown when the request in progress ends.
    failed: Option<SparkOutOfMemory>,
    peak: u64,
}

impl ShuffleExternalSorter {
    pub(super) fn new(consumer: ConsumerId, shape: ShuffleSorterShape) -> Self {
        let record_bytes = shape.record_bytes + LENGTH_BYTES;
        let memory = SorterMemory::new(LONGS_PER_RECORD, shape.radix, record_bytes, shape.limits);
        Self { consumer, shape, stage: Stage::Idle, memory, todo: 0, failed: None, peak: 0 }
    }

    /// Writes the records in memory to a file, frees the pages and makes the array small again (SHUF-5). The small array
    /// is acquired at once, in the middle of whatever request made it spill.
    fn self_spill(&mut self, context: &mut Context<'_>) -> u64 {
        let records = self.memory.records;
        if records == 0 {
            return 0;
        }
        self.peak = self.peak.max(self.memory.usage());
        let freed = self.memory.pages.bytes();
        self.memory.free_all(context);
        context.spills.push(Spill {
            memory_bytes: freed,
            records,
            serialized_bytes: records * self.shape.record_bytes,
        });
        match context.array_at_once(self.consumer, self.shape.initial_records) {
            Ok(array) => self.memory.replace_array(array, context),
            Err(error) => self.failed = Some(error),
        }
        freed
    }

    fn stage_after(&self) -> Stage {
        match self.stage {
            Stage::Open | Stage::Insert => Stage::Idle,
            Stage::Idle => Stage::Array,
            Stage::Array => Stage::Page,
            Stage::Page => Stage::Insert,
        }
    }

    fn take(&mut self, answer: Allocation, context: &mut Context<'_>) -> Result<(), SparkOutOfMemory> {
        match (self.stage, answer) {
            (Stage::Page, Allocation::Page { page, size }) => {
                self.memory.pages.push(Held { page, bytes: size }, 0);
            }
            // There is room again when the request made this sorter spill: the larger array is not needed.
            (Stage::Array, Allocation::Page { page, size }) if self.memory.array_has_room() => {
                context.free(Held { page, bytes: size });
            }
            (Stage::Array, Allocation::OutOfMemory { .. }) if self.memory.array_has_room() => {}
            (_, Allocation::Page { page, size }) => {
                self.memory.replace_array(Held { page, bytes: size }, context);
            }
            (_, failure) => return Err(SparkOutOfMemory::of(failure)),
        }
        self.stage = self.stage_after();
        Ok(())
    }
}

impl MemoryOperator for ShuffleExternalSorter {
    fn open(&mut self) {
        *self = Self::new(self.consumer, self.shape);
        self.stage = Stage::Open;
    }

    fn insert(&mut self, records: u64) {
        self.todo += records;
    }

    fn finish_input(&mut self) {}

    fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        loop {
            if let Some(error) = self.failed.take() {
                return Progress::Failed(error);
            }
            if let Some(answer) = answer.take()
                && let Err(error) = self.take(answer, context)
            {
                return Progress::Failed(error);
            }
            match self.stage {
                Stage::Open => {
                    return Progress::Request(self.consumer, Request::Array(self.shape.initial_records));
                }
                Stage::Idle if self.todo == 0 => return Progress::Done,
                Stage::Idle => {
                    if self.memory.is_at_limit() {
                        self.self_spill(context);
                        if self.failed.is_some() {
                            continue;
                        }
                    }
                }
                Stage::Array if !self.memory.array_has_room() => {
                    let doubled = self.memory.next_array(self.todo, context.least);
                    if doubled <= MAX_PAGE_BYTES {
                        return Progress::Request(self.consumer, Request::Array(doubled / 8));
                    }
                    self.self_spill(context);
                    continue;
                }
                Stage::Page if !self.memory.page_has_room() => {
                    return Progress::Request(self.consumer, Request::Page(self.memory.record_bytes()));
                }
                Stage::Array | Stage::Page => {}
                Stage::Insert => self.todo -= self.memory.insert(self.todo),
            }
            self.stage = self.stage_after();
        }
    }

    fn spill(&mut self, _consumer: ConsumerId, _ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64 {
        if by_itself { self.self_spill(context) } else { 0 }
    }

    fn records_until_request(&self, least: u64) -> u64 {
        self.memory.until_request(least)
    }

    fn drain(&mut self, _records: u64, _context: &mut Context<'_>) {}

    fn close(&mut self, context: &mut Context<'_>) {
        self.peak = self.peak.max(self.memory.usage());
        self.memory.free_all(context);
    }

    fn peak(&self) -> u64 {
        self.peak.max(self.memory.usage())
    }
}
