//! `ExternalAppendOnlyUnsafeRowArray` of Spark 4.1.4: rows on the plain heap, unaccounted, until there are too many; then
//! all of them in an `UnsafeExternalSorter` without an order (ROWBUF-1).
//!
//! One buffer holds one window partition, or the matches of one join key. For the next one it is opened again.

use super::unsafe_external_sorter::{SorterShape, UnsafeExternalSorter};
use super::{Allocation, ConsumerId, Context, MemoryOperator, Progress, SpillLimits};

/// Pointer array of the sorter when it starts, in records (SORT-1, ROWBUF-1).
const INITIAL_RECORDS: u64 = 1024;

/// State of one buffer.
#[derive(Debug)]
pub(super) struct RowBuffer {
    sorter: UnsafeExternalSorter,
    /// Rows kept on the heap at most.
    heap_rows_max: u64,
    heap_rows: u64,
    /// Rows that come with the sorter, once its constructor is done.
    moving: u64,
    spilling: bool,
    peak: u64,
}

impl RowBuffer {
    /// A buffer that keeps `in_memory_threshold` rows, or the limit of bytes (4.1), on the heap.
    pub(super) fn new(
        consumer: ConsumerId,
        in_memory_threshold: u64,
        row_bytes: u64,
        limits: SpillLimits,
    ) -> Self {
        let heap_rows_max = in_memory_threshold.min(limits.bytes.div_ceil(row_bytes.max(1)));
        let shape = SorterShape {
            record_bytes: row_bytes,
            key_value: false,
            // Without a comparator there is no radix sort (SORT-2).
            radix: false,
            initial_records: INITIAL_RECORDS,
            limits,
            spillable_output: false,
        };
        Self {
            sorter: UnsafeExternalSorter::new(consumer, shape),
            heap_rows_max,
            heap_rows: 0,
            moving: 0,
            spilling: false,
            peak: 0,
        }
    }
}

impl MemoryOperator for RowBuffer {
    fn open(&mut self) {
        self.heap_rows = 0;
        self.moving = 0;
        self.spilling = false;
    }

    fn insert(&mut self, records: u64) {
        if self.spilling {
            self.moving += records;
            return;
        }
        let on_heap = records.min(self.heap_rows_max - self.heap_rows);
        self.heap_rows += on_heap;
        if on_heap < records {
            self.spilling = true;
            self.moving = self.heap_rows + records - on_heap;
            self.heap_rows = 0;
            self.sorter.open();
        }
    }

    fn finish_input(&mut self) {
        if self.spilling {
            self.sorter.finish_input();
        }
    }

    fn advance(&mut self, answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        if !self.spilling {
            return Progress::Done;
        }
        match self.sorter.advance(answer, context) {
            Progress::Done if self.moving > 0 => {
                self.sorter.insert(std::mem::take(&mut self.moving));
                self.sorter.advance(None, context)
            }
            other => other,
        }
    }

    fn spill(&mut self, consumer: ConsumerId, ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64 {
        self.sorter.spill(consumer, ask, by_itself, context)
    }

    fn records_until_request(&self) -> u64 {
        if self.spilling { self.sorter.records_until_request() } else { self.heap_rows_max - self.heap_rows }
    }

    fn drain(&mut self, records: u64, context: &mut Context<'_>) {
        if self.spilling {
            self.sorter.drain(records, context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.peak = self.peak.max(self.sorter.peak());
        self.sorter.close(context);
    }

    fn peak(&self) -> u64 {
        self.peak.max(self.sorter.peak())
    }
}
