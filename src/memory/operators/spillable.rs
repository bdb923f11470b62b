//! The collections of RDD operations that spill by their estimated size, `Spillable` of Spark 4.1.4 and 3.5.9: the
//! `ExternalSorter` of a shuffle and the `ExternalAppendOnlyMap` of an aggregation (section 7.1).
//!
//! The rules when to ask, what to reserve and when to spill are Spark's; the estimated size comes from a
//! [`SizeModel`]. The first 5 MiB are never reserved from the pool (SPILL-3).

use super::size_model::SizeModel;
use super::{
    Allocation, ConsumerId, Context, GroupCurve, MemoryMode, MemoryOperator, OperatorConf, Progress, Request,
    Spill, SpillLimits,
};

/// Records between two looks at the size (SPILL-1).
const CHECK_EVERY: u64 = 32;

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Looks after each record; others can spill it only while a reader reads it (SPILL-6).
    ExternalSorter { writes_shuffle: bool },
    /// Looks before each record; others can spill it at any time (SPILL-5).
    ExternalAppendOnlyMap,
}

/// How a collection is set up.
#[derive(Clone, Debug)]
pub(super) struct SpillableShape {
    pub kind: Kind,
    pub size: SizeModel,
    /// Entries among the first records of an empty collection; `None` if each record is one.
    pub entries: Option<GroupCurve>,
    pub serialized_bytes: u64,
    pub initial_memory_threshold: u64,
    pub limits: SpillLimits,
}

/// State of one collection.
#[derive(Debug)]
pub(super) struct Spillable {
    consumer: ConsumerId,
    shape: SpillableShape,
    conf: OperatorConf,
    /// Size that needs no further reservation; what exceeds the initial one is reserved.
    threshold: u64,
    /// Records since the last spill, which a spill for others does not reset (SPILL-4).
    elements_read: u64,
    /// Records in the collection.
    records: u64,
    /// Whether the size as it is has been looked at.
    checked: bool,
    todo: u64,
    inserted: u64,
    peak: u64,
    /// Records not yet handed out, of those in memory and of all.
    output: Option<(u64, u64)>,
}

impl Spillable {
    pub(super) fn new(consumer: ConsumerId, shape: SpillableShape, conf: OperatorConf) -> Self {
        // A map also looks before its first record, to which an empty one has nothing to say, unless it has no threshold.
        let looks_at_once = shape.kind == Kind::ExternalAppendOnlyMap
            && shape.size.bytes(0) >= shape.initial_memory_threshold.min(shape.limits.bytes);
        Self {
            consumer,
            conf,
            threshold: shape.initial_memory_threshold,
            elements_read: 0,
            records: 0,
            checked: !looks_at_once,
            todo: 0,
            inserted: 0,
            peak: 0,
            output: None,
            shape,
        }
    }

    fn entries(&self, records: u64) -> u64 {
        self.shape.entries.as_ref().map_or(records, |curve| curve.groups(records))
    }

    /// Fewest records of at least so many bytes; `u64::MAX` if there are never so many.
    fn records_of_bytes(&self, bytes: u64) -> u64 {
        let entries = self.shape.size.entries(bytes);
        self.shape.entries.as_ref().map_or(entries, |curve| curve.rows(entries).unwrap_or(u64::MAX))
    }

    fn size(&self) -> u64 {
        self.shape.size.bytes(self.entries(self.records))
    }

    fn is_over_limits(&self) -> bool {
        self.elements_read > self.shape.limits.records || self.size() > self.shape.limits.bytes
    }

    /// Records to come until the next look at the size has consequences: at least 1.
    fn records_until_check(&self) -> u64 {
        let limits = self.shape.limits;
        let until_limit = limits.records.saturating_add(1).saturating_sub(self.elements_read);
        let until_bytes = if limits.bytes == u64::MAX {
            u64::MAX
        } else {
            self.records_of_bytes(limits.bytes + 1).saturating_sub(self.records)
        };
        let until_size = self.records_of_bytes(self.threshold).saturating_sub(self.records).max(1);
        let at = self.elements_read.saturating_add(until_size).checked_next_multiple_of(CHECK_EVERY);
        let until_size = at.map_or(u64::MAX, |at| at - self.elements_read);
        until_limit.min(until_bytes).min(until_size).max(1)
    }

    fn update_peak(&mut self) {
        // A map looks before it inserts, so that its last record is never seen.
        let seen = match self.shape.kind {
            Kind::ExternalSorter { .. } => self.records,
            Kind::ExternalAppendOnlyMap => self.records.saturating_sub(1),
        };
        self.peak = self.peak.max(self.shape.size.bytes(self.entries(seen)));
    }

    /// Whether the record at hand makes it look at its size, and what follows (SPILL-1).
    fn check(&mut self, context: &mut Context<'_>) -> Option<Progress> {
        self.checked = true;
        let size = self.size();
        if self.conf.limits_before_request && self.is_over_limits() {
            self.spill_all(context);
        } else if self.elements_read.is_multiple_of(CHECK_EVERY) && size >= self.threshold {
            return Some(Progress::Request(self.consumer, Request::Acquire(2 * size - self.threshold)));
        } else if self.is_over_limits() {
            self.spill_all(context);
        }
        None
    }

    fn granted(&mut self, bytes: u64, context: &mut Context<'_>) {
        self.threshold += bytes;
        if self.size() >= self.threshold || self.is_over_limits() {
            self.spill_all(context);
        }
    }

    fn spill_all(&mut self, context: &mut Context<'_>) {
        let memory_bytes = self.size();
        self.write(self.records, memory_bytes, context);
        self.records = 0;
        self.elements_read = 0;
        self.release(context);
    }

    fn write(&mut self, records: u64, memory_bytes: u64, context: &mut Context<'_>) {
        self.update_peak();
        let records = self.entries(records);
        let serialized_bytes = records * self.shape.serialized_bytes;
        context.spills.push(Spill { memory_bytes, records, serialized_bytes });
    }

    /// Gives back what is reserved beyond the initial threshold.
    fn release(&mut self, context: &mut Context<'_>) -> u64 {
        let bytes = self.threshold - self.shape.initial_memory_threshold;
        if bytes > 0 {
            context.tmm.free(self.consumer, bytes, context.manager);
        }
        self.threshold = self.shape.initial_memory_threshold;
        bytes
    }
}

impl MemoryOperator for Spillable {
    fn open(&mut self) {
        *self = Self::new(self.consumer, self.shape.clone(), self.conf);
    }

    fn insert(&mut self, records: u64) {
        assert!(self.output.is_none(), "a collection that is being read takes no records");
        self.todo += records;
    }

    fn finish_input(&mut self) {
        self.update_peak();
        self.output = Some((self.records, self.inserted));
    }

    fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        let looks_after = self.shape.kind != Kind::ExternalAppendOnlyMap;
        loop {
            match answer.take() {
                Some(Allocation::Bytes(bytes)) => self.granted(bytes, context),
                Some(_) => unreachable!("bytes are all that a spillable collection asks for"),
                None => {}
            }
            if !self.checked && (looks_after || self.todo > 0) {
                if let Some(request) = self.check(context) {
                    return request;
                }
            } else if self.todo > 0 {
                let until_check = self.records_until_check();
                let records = self.todo.min(until_check);
                self.todo -= records;
                self.elements_read += records;
                self.records += records;
                self.inserted += records;
                self.checked = records < until_check;
            } else {
                return Progress::Done;
            }
        }
    }

    fn spill(&mut self, _consumer: ConsumerId, _ask: u64, by_itself: bool, context: &mut Context<'_>) -> u64 {
        if by_itself || self.conf.tungsten_mode != MemoryMode::OnHeap {
            return 0;
        }
        let remaining = match (self.shape.kind, &mut self.output) {
            (Kind::ExternalSorter { writes_shuffle: true }, _) | (Kind::ExternalSorter { .. }, None) => {
                return 0;
            }
            (Kind::ExternalAppendOnlyMap, None) => std::mem::take(&mut self.records),
            (_, Some((in_memory, _))) => std::mem::take(in_memory),
        };
        if remaining == 0 {
            return 0;
        }
        let reserved = self.threshold - self.shape.initial_memory_threshold;
        self.write(remaining, reserved, context);
        self.release(context)
    }

    fn records_until_request(&self, _least: u64) -> u64 {
        if !self.checked {
            return 0;
        }
        let until_check = self.records_until_check();
        match self.shape.kind {
            _ if until_check == u64::MAX => u64::MAX,
            Kind::ExternalSorter { .. } => until_check - 1,
            Kind::ExternalAppendOnlyMap => until_check,
        }
    }

    fn drain(&mut self, records: u64, context: &mut Context<'_>) {
        let Some((in_memory, all)) = &mut self.output else { return };
        let left = all.saturating_sub(records);
        if *all > 0 {
            // A merge takes from memory and files in proportion.
            *in_memory = (u128::from(*in_memory) * u128::from(left) / u128::from(*all)) as u64;
        }
        *all = left;
        if left == 0 {
            self.release(context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.update_peak();
        self.records = 0;
        self.release(context);
    }

    fn peak(&self) -> u64 {
        self.peak
    }
}
