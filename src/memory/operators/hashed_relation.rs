//! The build side of a shuffled hash join in Spark 4.1.4, `UnsafeHashedRelation`: a hash map that takes every row and
//! cannot spill (HJ-1, HJ-2).
//!
//! Rows with a null key never reach it. A broadcast relation is built against a private, unlimited manager and is none
//! of a task's execution memory (HJ-7).

use super::bytes_to_bytes_map::BytesToBytesMap;
use super::{
    Allocation, ConsumerId, Context, MemoryOperator, OutOfMemoryCondition, Progress, SparkOutOfMemory,
};

/// State of one relation.
#[derive(Debug)]
pub(super) struct HashedRelation {
    map: BytesToBytesMap,
    /// A map that is being built, and then read until the task ends.
    built: bool,
}

impl HashedRelation {
    /// A relation over `rows` rows with `keys` distinct keys.
    pub(super) fn new(
        consumer: ConsumerId,
        size_estimate: u64,
        rows: u64,
        keys: u64,
        key_value_bytes: u64,
    ) -> Self {
        // HJ-1; the estimate is a row count, far below where a double loses integers.
        let capacity = (size_estimate as f64 * 1.5 + 1.0) as u64;
        Self {
            map: BytesToBytesMap::new(consumer, capacity, key_value_bytes).with_duplicates(keys, rows),
            built: false,
        }
    }
}

impl MemoryOperator for HashedRelation {
    fn open(&mut self) {}

    fn insert(&mut self, records: u64) {
        self.map.append(records);
    }

    fn finish_input(&mut self) {
        self.built = true;
    }

    fn advance(&mut self, answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        match self.map.advance(answer, context) {
            Progress::Refused => {
                self.map.forget_todo();
                self.map.free(context);
                Progress::Failed(SparkOutOfMemory::without_request(OutOfMemoryCondition::CannotAppendToMap))
            }
            other => other,
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

    fn records_until_request(&self, least: u64) -> u64 {
        if self.built { u64::MAX } else { self.map.entries_until_request(least) }
    }

    fn drain(&mut self, _records: u64, _context: &mut Context<'_>) {}

    fn close(&mut self, context: &mut Context<'_>) {
        self.map.free(context);
    }

    fn peak(&self) -> u64 {
        self.map.peak()
    }

    /// `ShuffledHashJoinExec` leaves it out of the metric (real Spark 4.1.4: tasks that only built relations report 0).
    fn counted_peak(&self) -> u64 {
        0
    }
}
