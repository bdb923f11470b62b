//! The build side of a shuffled hash join over one integral key in Spark 4.1.4, `LongToUnsafeRowMap`: an open index of
//! two longs per slot and one growing array of rows (HJ-3 to HJ-6). It cannot spill.
//!
//! It reserves plain bytes, not pages, each time all or nothing, and keeps the old array until the new one is filled.

use super::{
    Allocation, ConsumerId, Context, MemoryOperator, OutOfMemoryCondition, Progress, Request,
    SparkOutOfMemory,
};

/// Bytes of the first array of rows (HJ-3): 131072 longs.
const INITIAL_ROWS_BYTES: u64 = 1 << 20;
/// Longs that an array of rows or an index has at most (HJ-4, HJ-5).
const LONGS_MAX: u64 = 1 << 30;
/// Bytes in front of a row (HJ-4).
const ROW_HEADER_BYTES: u64 = 8;
/// Key ranges below this become dense whatever the index (HJ-6).
const DENSE_RANGE: u64 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Append,
    /// The array of rows is replaced by one of so many longs.
    GrowRows(u64),
    /// The index is doubled.
    GrowIndex,
    /// The dense index is made.
    Dense,
}

/// How a map is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongMapShape {
    pub size_estimate: u64,
    pub rows: u64,
    pub keys: u64,
    pub row_bytes: u64,
    pub key_range: u64,
}

/// State of one map.
#[derive(Debug)]
pub(super) struct LongToUnsafeRowMap {
    consumer: ConsumerId,
    shape: LongMapShape,
    stage: Stage,
    /// Longs of the index, of two per slot.
    index_longs: u64,
    /// Longs of the array of rows.
    row_longs: u64,
    rows: u64,
    todo: u64,
    finishing: bool,
    built: bool,
    held: u64,
    peak: u64,
}

impl LongToUnsafeRowMap {
    pub(super) fn new(consumer: ConsumerId, shape: LongMapShape) -> Self {
        Self {
            consumer,
            shape,
            stage: Stage::Open,
            index_longs: 0,
            row_longs: 0,
            rows: 0,
            todo: 0,
            finishing: false,
            built: false,
            held: 0,
            peak: 0,
        }
    }

    fn slot_bytes(&self) -> u64 {
        self.shape.row_bytes + ROW_HEADER_BYTES
    }

    /// Keys among the first `rows` rows, spread evenly.
    fn keys(&self, rows: u64) -> u64 {
        let of = self.shape.rows.max(1);
        (u128::from(rows) * u128::from(self.shape.keys.min(of))).div_ceil(u128::from(of)) as u64
    }

    /// The row, counted from 1, that brings key number `key`.
    fn row_of_key(&self, key: u64) -> u64 {
        let keys = self.shape.keys.clamp(1, self.shape.rows.max(1));
        (u128::from(key - 1) * u128::from(self.shape.rows.max(1)) / u128::from(keys)) as u64 + 1
    }

    /// Rows that fit into the array of rows in all.
    fn rows_max(&self) -> u64 {
        self.row_longs * 8 / self.slot_bytes()
    }

    /// The row, counted from 1, that makes the index grow: `4 × keys > length` (HJ-5).
    fn growing_row(&self) -> u64 {
        if self.index_longs >= LONGS_MAX { u64::MAX } else { self.row_of_key(self.index_longs / 4 + 1) }
    }

    fn initial_index_longs(&self) -> u64 {
        2 * self.shape.size_estimate.max(1).next_power_of_two()
    }

    /// Bytes that the current stage reserves before it goes on; 0 for none.
    fn reservation(&self) -> u64 {
        match self.stage {
            Stage::Open => 8 * self.initial_index_longs() + INITIAL_ROWS_BYTES,
            Stage::Append => 0,
            Stage::GrowRows(longs) => 8 * longs,
            Stage::GrowIndex => 16 * self.index_longs,
            Stage::Dense => 8 * (self.shape.key_range + 1),
        }
    }

    /// The current stage has its bytes: the new array is in use and the old one freed.
    fn reserved(&mut self, context: &mut Context<'_>) {
        self.held += self.reservation();
        self.peak = self.peak.max(self.held);
        let old_longs = match self.stage {
            Stage::Open => {
                self.index_longs = self.initial_index_longs();
                self.row_longs = INITIAL_ROWS_BYTES / 8;
                0
            }
            Stage::Append => 0,
            Stage::GrowRows(longs) => std::mem::replace(&mut self.row_longs, longs),
            Stage::GrowIndex => {
                let old = self.index_longs;
                self.index_longs = 2 * old;
                old
            }
            Stage::Dense => std::mem::replace(&mut self.index_longs, self.shape.key_range + 1),
        };
        self.free(8 * old_longs, context);
        self.stage = Stage::Append;
    }

    fn free(&mut self, bytes: u64, context: &mut Context<'_>) {
        if bytes > 0 {
            self.held -= bytes;
            context.tmm.free(self.consumer, bytes, context.manager);
        }
    }

    /// Appends what fits, or begins to grow.
    fn append(&mut self) -> Option<SparkOutOfMemory> {
        if self.rows >= self.rows_max() {
            let needed = ((self.rows + 1) * self.slot_bytes()).div_ceil(8);
            if needed > LONGS_MAX {
                return Some(SparkOutOfMemory::without_request(OutOfMemoryCondition::LongMapTooLarge));
            }
            self.stage = Stage::GrowRows(needed.max((2 * self.row_longs).min(LONGS_MAX)));
            return None;
        }
        let growing = self.growing_row();
        let rows = self.todo.min(self.rows_max() - self.rows).min(growing.saturating_sub(self.rows).max(1));
        self.rows += rows;
        self.todo -= rows;
        if self.rows >= growing {
            self.stage = Stage::GrowIndex;
        } else if self.index_longs >= LONGS_MAX && self.keys(self.rows) * 2 > self.index_longs / 4 * 3 {
            return Some(SparkOutOfMemory::without_request(OutOfMemoryCondition::CannotBuildLongMap));
        }
        None
    }

    fn end_input(&mut self) {
        self.finishing = false;
        self.built = true;
        let range = self.shape.key_range;
        if self.rows > 0 && (range < self.index_longs || range < DENSE_RANGE) {
            self.stage = Stage::Dense;
        }
    }
}

impl MemoryOperator for LongToUnsafeRowMap {
    fn open(&mut self) {
        *self = Self::new(self.consumer, self.shape);
    }

    fn insert(&mut self, records: u64) {
        self.todo += records;
    }

    fn finish_input(&mut self) {
        self.finishing = true;
    }

    fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        loop {
            let wanted = self.reservation();
            match answer.take() {
                Some(Allocation::Bytes(got)) if got >= wanted => self.reserved(context),
                Some(Allocation::Bytes(got)) => {
                    context.tmm.free(self.consumer, got, context.manager);
                    return Progress::Failed(SparkOutOfMemory::unable_to_acquire(wanted, got));
                }
                Some(_) => unreachable!("bytes are all that a long map asks for"),
                None if wanted > 0 => return Progress::Request(self.consumer, Request::Acquire(wanted)),
                None if self.todo > 0 => {
                    if let Some(error) = self.append() {
                        return Progress::Failed(error);
                    }
                }
                None if self.finishing => self.end_input(),
                None => return Progress::Done,
            }
        }
    }

    fn spill(
        &mut self,
        _consumer: ConsumerId,
        _ask: u64,
        _by_itself: bool,
        _context: &mut Context<'_>,
    ) -> u64 {
        0
    }

    fn records_until_request(&self, _least: u64) -> u64 {
        if self.built {
            return u64::MAX;
        }
        (self.rows_max() - self.rows).min(self.growing_row().saturating_sub(self.rows + 1))
    }

    fn drain(&mut self, _records: u64, _context: &mut Context<'_>) {}

    fn close(&mut self, context: &mut Context<'_>) {
        self.free(self.held, context);
    }

    fn peak(&self) -> u64 {
        self.peak
    }

    /// `ShuffledHashJoinExec` leaves it out of the metric (real Spark 4.1.4: tasks that only built relations report 0).
    fn counted_peak(&self) -> u64 {
        0
    }
}
