//! `ExternalAppendOnlyUnsafeRowArray` of Spark 4.1.4: rows on the plain heap, unaccounted, until there are too many; then
//! all of them in an `UnsafeExternalSorter` without an order (ROWBUF-1).
//!
//! It holds one window partition, or the matches of one join key, and is cleared before the next one (ROWBUF-3). Unlike
//! sorts and maps it adds nothing to the task metric `peakExecutionMemory`.

use super::unsafe_external_sorter::{SorterShape, UnsafeExternalSorter};
use super::{Allocation, ConsumerId, Context, MemoryOperator, Progress, SpillLimits, WindowPartitions};

/// Pointer array of the sorter when it starts, in records (SORT-1, ROWBUF-1).
const INITIAL_RECORDS: u64 = 1024;

/// State of one buffer.
#[derive(Debug)]
pub(super) struct RowBuffer {
    sorter: UnsafeExternalSorter,
    /// Rows kept on the heap at most.
    heap_rows_max: u64,
    partitions: WindowPartitions,
    /// Rows of the partition that is being filled.
    size: u64,
    /// How many of them are there.
    filled: u64,
    /// Rows that came in and have not been looked at.
    pending: u64,
    /// Rows that go to the sorter once it is ready.
    moving: u64,
    spilling: bool,
}

impl RowBuffer {
    /// A buffer that keeps `in_memory_threshold` rows, or the limit of bytes (4.1), on the heap.
    pub(super) fn new(
        consumer: ConsumerId,
        in_memory_threshold: u64,
        row_bytes: u64,
        partitions: WindowPartitions,
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
        let partitions =
            WindowPartitions { largest: partitions.largest.max(1), others: partitions.others.max(1) };
        Self {
            sorter: UnsafeExternalSorter::new(consumer, shape),
            heap_rows_max,
            partitions,
            size: partitions.largest,
            filled: 0,
            pending: 0,
            moving: 0,
            spilling: false,
        }
    }

    /// Whether no later partition outgrows the heap.
    fn small_from_now_on(&self) -> bool {
        self.size <= self.heap_rows_max && self.partitions.others <= self.heap_rows_max
    }
}

impl MemoryOperator for RowBuffer {
    fn open(&mut self) {
        self.size = self.partitions.largest;
        self.filled = 0;
        self.pending = 0;
        self.moving = 0;
        self.spilling = false;
    }

    fn insert(&mut self, records: u64) {
        self.pending += records;
    }

    fn finish_input(&mut self) {
        if self.spilling {
            self.sorter.finish_input();
        }
    }

    fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        loop {
            if self.spilling {
                match self.sorter.advance(answer.take(), context) {
                    Progress::Done if self.moving > 0 => {
                        self.sorter.insert(std::mem::take(&mut self.moving));
                        continue;
                    }
                    Progress::Done => {}
                    other => return other,
                }
            }
            if self.pending == 0 {
                return Progress::Done;
            }
            if self.filled == self.size {
                if self.spilling {
                    self.sorter.close(context);
                    self.spilling = false;
                }
                self.size = self.partitions.others;
                self.filled = 0;
            }
            if self.small_from_now_on() {
                self.pending = 0;
                return Progress::Done;
            }
            let rows = self.pending.min(self.size - self.filled);
            self.pending -= rows;
            self.filled += rows;
            if self.spilling {
                self.sorter.insert(rows);
            } else if self.filled > self.heap_rows_max {
                self.spilling = true;
                self.moving = self.filled;
                self.sorter.open();
            }
        }
    }

    fn spill(&mut self, consumer: ConsumerId, ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64 {
        self.sorter.spill(consumer, ask, by_itself, context)
    }

    fn records_until_request(&self, least: u64) -> u64 {
        if self.spilling {
            return self.sorter.records_until_request(least).min(self.size - self.filled);
        }
        if self.small_from_now_on() {
            return u64::MAX;
        }
        if self.size <= self.heap_rows_max {
            // The next partition, and every one after it, outgrows the heap.
            return self.size - self.filled + self.heap_rows_max;
        }
        if self.filled == self.size { self.heap_rows_max } else { self.heap_rows_max - self.filled }
    }

    fn drain(&mut self, records: u64, context: &mut Context<'_>) {
        if self.spilling {
            self.sorter.drain(records, context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.sorter.close(context);
        self.spilling = false;
    }

    fn peak(&self) -> u64 {
        0
    }
}
