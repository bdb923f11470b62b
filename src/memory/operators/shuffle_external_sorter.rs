//! `ShuffleExternalSorter` of Spark 4.1.4: pages of serialized records and a pointer array of one long per record.
//!
//! Nobody but itself spills it. The records left at the end are written straight to the output, which is no spill
//! (SHUF-5). Leaves out partitions: they cost no execution memory.

use super::{
    Allocation, ConsumerId, Context, Held, MemoryOperator, Pages, Progress, Request, SparkOutOfMemory, Spill,
    SpillLimits,
};
use crate::memory::task_manager::MAX_PAGE_BYTES;

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
    array: Option<Held>,
    pages: Pages,
    records: u64,
    todo: u64,
    /// The error of a spill that could not have its small array, thrown when the request in progress ends.
    failed: Option<SparkOutOfMemory>,
    peak: u64,
}

impl ShuffleExternalSorter {
    pub(super) fn new(consumer: ConsumerId, shape: ShuffleSorterShape) -> Self {
        Self {
            consumer,
            shape,
            stage: Stage::Idle,
            array: None,
            pages: Pages::default(),
            records: 0,
            todo: 0,
            failed: None,
            peak: 0,
        }
    }

    fn required(&self) -> u64 {
        self.shape.record_bytes + LENGTH_BYTES
    }

    fn array_bytes(&self) -> u64 {
        self.array.map_or(0, |a| a.bytes)
    }

    fn memory_usage(&self) -> u64 {
        self.pages.bytes() + self.array_bytes()
    }

    /// Records that the pointer array holds: one fits while `k < usable` (SHUF-3).
    fn array_capacity(&self) -> u64 {
        self.capacity_of(self.array_bytes())
    }

    fn capacity_of(&self, array_bytes: u64) -> u64 {
        let longs = array_bytes / 8;
        if self.shape.radix { longs / 2 } else { (longs as f64 / 1.5) as u64 }
    }

    /// Bytes of the pointer array to grow to: twice as many as now, or as many as the records to come need, below `least`.
    fn next_array(&self, least: u64) -> u64 {
        let mut bytes = 2 * self.array_bytes();
        while 2 * bytes < least && self.capacity_of(bytes) < self.records + self.todo {
            bytes *= 2;
        }
        bytes
    }

    /// Records that fit without any request or forced spill.
    fn room(&self) -> u64 {
        self.room_with(self.array_bytes(), self.pages.room())
    }

    /// The same with a pointer array of so many bytes and so many bytes free in the page.
    fn room_with(&self, array_bytes: u64, page: u64) -> u64 {
        if self.memory_usage() >= self.shape.limits.bytes {
            return 0;
        }
        let array = self.capacity_of(array_bytes) - self.records;
        let page = page / self.required();
        let limit = self.shape.limits.records.saturating_sub(self.records);
        array.min(page).min(limit)
    }

    /// Writes the records in memory to a file, frees the pages and makes the array small again (SHUF-5). The small array
    /// is acquired at once, in the middle of whatever request made it spill.
    fn self_spill(&mut self, context: &mut Context<'_>) -> u64 {
        if self.records == 0 {
            return 0;
        }
        self.peak = self.peak.max(self.memory_usage());
        let freed = self.pages.free_all(context);
        context.spills.push(Spill {
            memory_bytes: freed,
            records: self.records,
            serialized_bytes: self.records * self.shape.record_bytes,
        });
        self.records = 0;
        if let Some(array) = self.array.take() {
            context.free(array);
        }
        match context.array_at_once(self.consumer, self.shape.initial_records) {
            Ok(array) => self.array = Some(array),
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
            (Stage::Page, Allocation::Page { page, size }) => self.pages.push(Held { page, bytes: size }, 0),
            // There is room again when the request made this sorter spill: the larger array is not needed.
            (Stage::Array, Allocation::Page { page, size }) if self.records < self.array_capacity() => {
                context.free(Held { page, bytes: size });
            }
            (Stage::Array, Allocation::OutOfMemory { .. }) if self.records < self.array_capacity() => {}
            (_, Allocation::Page { page, size }) => {
                if let Some(old) = self.array.replace(Held { page, bytes: size }) {
                    context.free(old);
                }
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
                    let limits = self.shape.limits;
                    if self.records >= limits.records || self.memory_usage() >= limits.bytes {
                        self.self_spill(context);
                        if self.failed.is_some() {
                            continue;
                        }
                    }
                }
                Stage::Array if self.records >= self.array_capacity() => {
                    let doubled = self.next_array(context.least);
                    if doubled <= MAX_PAGE_BYTES {
                        return Progress::Request(self.consumer, Request::Array(doubled / 8));
                    }
                    self.self_spill(context);
                    continue;
                }
                Stage::Page if self.pages.room() < self.required() => {
                    return Progress::Request(self.consumer, Request::Page(self.required()));
                }
                Stage::Array | Stage::Page => {}
                Stage::Insert => {
                    // The first is in whatever the limits say: they were tested before its memory was requested.
                    let records = self.room().clamp(1, self.todo);
                    self.records += records;
                    self.pages.take(records * self.required());
                    self.todo -= records;
                }
            }
            self.stage = self.stage_after();
        }
    }

    fn spill(&mut self, _consumer: ConsumerId, _ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64 {
        if by_itself { self.self_spill(context) } else { 0 }
    }

    fn records_until_request(&self, least: u64) -> u64 {
        let mut array = self.array_bytes();
        while array > 0 && 2 * array < least {
            array *= 2;
        }
        self.room_with(array, self.pages.room_or(least))
    }

    fn drain(&mut self, _records: u64, _context: &mut Context<'_>) {}

    fn close(&mut self, context: &mut Context<'_>) {
        self.peak = self.peak.max(self.memory_usage());
        self.pages.free_all(context);
        if let Some(array) = self.array.take() {
            context.free(array);
        }
        self.records = 0;
    }

    fn peak(&self) -> u64 {
        self.peak.max(self.memory_usage())
    }
}
