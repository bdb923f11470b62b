//! `UnsafeExternalSorter` of Spark 4.1.4: pages of records and a pointer array of two longs per record.
//!
//! Models the requests of an insertion in their order, self-spills, the output phase in which others may spill it, and
//! the peak it reports. Leaves out sorting itself and the readers of the merge (SORT-9).

use super::{
    Allocation, ConsumerId, Context, Held, MemoryOperator, Progress, Request, SorterMemory, SparkOutOfMemory,
    Spill, SpillLimits,
};
use crate::memory::task_manager::MAX_PAGE_BYTES;

/// Longs of the pointer array that a record takes: address and key prefix (SORT-2).
const LONGS_PER_RECORD: u64 = 2;
/// Length word in front of a record in a page (SORT-4).
const LENGTH_BYTES: u64 = 4;
/// Record count at the start of a spill file (SORT-7).
const FILE_HEADER_BYTES: u64 = 4;
/// Length and key prefix in front of a record in a spill file (SORT-7).
const FILE_RECORD_HEADER_BYTES: u64 = 12;

/// Bytes of a record in a spill file before compression (SORT-7). A key and a value have a length word between them.
pub const fn spilled_record_bytes(record_bytes: u64, key_value: bool) -> u64 {
    FILE_RECORD_HEADER_BYTES + record_bytes + if key_value { LENGTH_BYTES } else { 0 }
}

/// How a sorter is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct SorterShape {
    /// Payload bytes of a record.
    pub record_bytes: u64,
    /// Whether a record is a key and a value, which costs another length word (SORT-4).
    pub key_value: bool,
    /// Whether the radix sort is used.
    pub radix: bool,
    /// Records that the first pointer array is made for.
    pub initial_records: u64,
    /// Forced spills.
    pub limits: SpillLimits,
    /// Whether the output is read through the spillable iterator (sorts) or not (row buffers).
    pub spillable_output: bool,
}

/// Where in the insertion of a record the sorter stands (SORT-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first pointer array is allocated by the constructor.
    Open,
    /// Between records.
    Idle,
    /// Room in the pointer array, before the page.
    ArrayBefore,
    /// Room in the current page.
    Page,
    /// Room in the pointer array once more: the page request may have spilled.
    ArrayAfter,
    /// The record and as many as fit after it go in.
    Insert,
}

/// The output phase.
#[derive(Clone, Copy, Debug)]
struct Output {
    /// Records in memory when it began.
    in_memory: u64,
    /// Records handed out, from memory and files together.
    returned: u64,
    /// A page kept by a forced spill for the record under the cursor.
    last_page: Option<Held>,
}

/// State of one sorter.
#[derive(Debug)]
pub(super) struct UnsafeExternalSorter {
    consumer: ConsumerId,
    shape: SorterShape,
    stage: Stage,
    memory: SorterMemory,
    /// Whether the in-memory sorter still exists: a forced spill of the output drops it.
    in_memory_sorter: bool,
    /// Whether the array last asked for is to replace a full one, rather than be the first of a run.
    doubling: bool,
    inserted: u64,
    todo: u64,
    output: Option<Output>,
    peak: u64,
    reported_peak: u64,
}

/// Bytes that a record takes in a page.
fn bytes_in_page(shape: &SorterShape) -> u64 {
    let length_words = if shape.key_value { 2 } else { 1 };
    shape.record_bytes + length_words * LENGTH_BYTES
}

impl UnsafeExternalSorter {
    pub(super) fn new(consumer: ConsumerId, shape: SorterShape) -> Self {
        Self {
            consumer,
            shape,
            stage: Stage::Idle,
            memory: SorterMemory::new(LONGS_PER_RECORD, shape.radix, bytes_in_page(&shape), shape.limits),
            in_memory_sorter: true,
            doubling: false,
            inserted: 0,
            todo: 0,
            output: None,
            peak: 0,
            reported_peak: 0,
        }
    }

    fn update_peak(&mut self) {
        self.peak = self.peak.max(self.memory.usage());
    }

    /// Writes the records in memory to a file and frees pages, then array (SORT-6). Does nothing without records.
    fn self_spill(&mut self, context: &mut Context<'_>) -> u64 {
        let records = self.memory.records;
        if records == 0 {
            return 0;
        }
        self.update_peak();
        let freed = self.memory.pages.bytes();
        self.memory.free_all(context);
        context.spills.push(self.file_of(records, freed));
        freed
    }

    fn file_of(&self, records: u64, memory_bytes: u64) -> Spill {
        let record_bytes = spilled_record_bytes(self.shape.record_bytes, self.shape.key_value);
        Spill { memory_bytes, records, serialized_bytes: FILE_HEADER_BYTES + records * record_bytes }
    }

    /// The next array to ask for, if there is no room for another record.
    fn array_request(&mut self, context: &mut Context<'_>) -> Option<Request> {
        if self.memory.array_has_room() {
            return None;
        }
        self.doubling = self.memory.records > 0;
        if self.doubling {
            let doubled = self.memory.next_array(self.todo, context.least);
            if doubled <= MAX_PAGE_BYTES {
                return Some(Request::Array(doubled / 8));
            }
            self.self_spill(context);
            self.doubling = false;
        }
        Some(Request::Array(LONGS_PER_RECORD * self.shape.initial_records))
    }

    /// Takes the answer to a request for an array. Without it, the records in memory decide (SORT-3): none left, because
    /// this sorter was spilled meanwhile, and a small array will do; else the error goes up.
    fn take_array(&mut self, answer: Allocation, context: &mut Context<'_>) -> Result<(), SparkOutOfMemory> {
        let spilled_meanwhile = self.doubling && self.memory.records == 0;
        match answer {
            Allocation::Page { page, size } if spilled_meanwhile => context.free(Held { page, bytes: size }),
            Allocation::OutOfMemory { .. } if spilled_meanwhile => {}
            Allocation::Page { page, size } => {
                self.memory.replace_array(Held { page, bytes: size }, context);
                self.stage = self.stage_after();
            }
            failure => return Err(SparkOutOfMemory::of(failure)),
        }
        Ok(())
    }

    fn stage_after(&self) -> Stage {
        match self.stage {
            Stage::Open | Stage::Insert => Stage::Idle,
            Stage::Idle => Stage::ArrayBefore,
            Stage::ArrayBefore => Stage::Page,
            Stage::Page => Stage::ArrayAfter,
            Stage::ArrayAfter => Stage::Insert,
        }
    }

    fn take(&mut self, answer: Allocation, context: &mut Context<'_>) -> Result<(), SparkOutOfMemory> {
        if self.stage != Stage::Page {
            return self.take_array(answer, context);
        }
        match answer {
            Allocation::Page { page, size } => {
                self.memory.pages.push(Held { page, bytes: size }, 0);
                self.stage = self.stage_after();
                Ok(())
            }
            failure => Err(SparkOutOfMemory::of(failure)),
        }
    }

    fn spill_if_forced(&mut self, context: &mut Context<'_>) {
        // Key-value insertions know no limits, see `insertKVRecord`.
        if !self.shape.key_value && self.memory.is_at_limit() {
            self.self_spill(context);
        }
    }

    /// Spill of the output by another consumer (SORT-8).
    fn spill_output(&mut self, context: &mut Context<'_>) -> u64 {
        let Some(mut output) = self.output else { return 0 };
        if !self.in_memory_sorter || !self.shape.spillable_output {
            return 0;
        }
        let remaining = output.in_memory - self.in_memory_returned(&output);
        if output.returned > 0 {
            output.last_page = self.memory.pages.pop();
        }
        let released = self.memory.pages.free_all(context) + self.memory.free_array(context);
        self.in_memory_sorter = false;
        let mut file = self.file_of(remaining, released);
        if remaining == 0 {
            file.serialized_bytes = 0;
        }
        context.spills.push(file);
        self.output = Some(output);
        released
    }

    /// Records in memory already handed out: a merge takes from memory and files in proportion.
    fn in_memory_returned(&self, output: &Output) -> u64 {
        let share = u128::from(output.in_memory) * u128::from(output.returned);
        (share / u128::from(self.inserted.max(1))) as u64
    }
}

impl MemoryOperator for UnsafeExternalSorter {
    fn open(&mut self) {
        *self = Self::new(self.consumer, self.shape);
        self.stage = Stage::Open;
    }

    fn insert(&mut self, records: u64) {
        assert!(self.output.is_none(), "a sorter that is being read takes no records");
        self.todo += records;
    }

    fn finish_input(&mut self) {
        self.update_peak();
        self.reported_peak = self.peak;
        self.output = Some(Output { in_memory: self.memory.records, returned: 0, last_page: None });
    }

    fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        loop {
            if let Some(answer) = answer.take()
                && let Err(error) = self.take(answer, context)
            {
                return Progress::Failed(error);
            }
            match self.stage {
                Stage::Open => {
                    return Progress::Request(
                        self.consumer,
                        Request::Array(LONGS_PER_RECORD * self.shape.initial_records),
                    );
                }
                Stage::Idle if self.todo == 0 => return Progress::Done,
                Stage::Idle => self.spill_if_forced(context),
                Stage::ArrayBefore | Stage::ArrayAfter => {
                    if let Some(request) = self.array_request(context) {
                        return Progress::Request(self.consumer, request);
                    }
                }
                Stage::Page => {
                    if !self.memory.page_has_room() {
                        return Progress::Request(self.consumer, Request::Page(self.memory.record_bytes()));
                    }
                }
                Stage::Insert => {
                    let records = self.memory.insert(self.todo);
                    self.inserted += records;
                    self.todo -= records;
                }
            }
            self.stage = self.stage_after();
        }
    }

    fn spill(&mut self, _consumer: ConsumerId, _ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64 {
        if by_itself { self.self_spill(context) } else { self.spill_output(context) }
    }

    fn records_until_request(&self, least: u64) -> u64 {
        self.memory.until_request(least)
    }

    fn drain(&mut self, records: u64, context: &mut Context<'_>) {
        let Some(output) = &mut self.output else { return };
        if records > 0
            && let Some(page) = output.last_page.take()
        {
            context.free(page);
        }
        output.returned = self.inserted.min(output.returned + records);
        if output.returned == self.inserted {
            self.close(context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.update_peak();
        if let Some(page) = self.output.as_mut().and_then(|o| o.last_page.take()) {
            context.free(page);
        }
        self.memory.free_all(context);
    }

    fn peak(&self) -> u64 {
        if self.output.is_some() { self.reported_peak } else { self.peak.max(self.memory.usage()) }
    }
}
