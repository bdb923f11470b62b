//! `BytesToBytesMap` of Spark 4.1.4: an index array of two longs per slot and pages of entries.
//!
//! Models when the index doubles, when pages are asked for, and when the map refuses an entry. The map never spills
//! (MAP-6); its user decides what to do when it refuses. Leaves out hashing: probing costs no memory (MAP-5).

use super::{
    Allocation, ConsumerId, Context, Held, Pages, Progress, Request, SparkOutOfMemory, doubled_below,
};

/// Most slots a map can have (MAP-1).
const CAPACITY_MAX: u64 = 1 << 29;
/// Fewest slots a map has (MAP-1).
const CAPACITY_MIN: u64 = 64;
/// Bytes of a slot in the index array: two longs (MAP-1).
const SLOT_BYTES: u64 = 16;
/// No index array has as many bytes as this (MAP-1).
const BYTES_BEYOND: u64 = (CAPACITY_MAX + 1) * SLOT_BYTES;
/// Two length words and the pointer to the next value of the key (MAP-2).
const ENTRY_HEADER_BYTES: u64 = 16;
/// Record counter at the start of a page (MAP-2).
const PAGE_HEADER_BYTES: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The index array is allocated, by the constructor or a reset.
    Allocate,
    /// Entries are appended.
    Append,
    /// The doubled index array is allocated (MAP-4).
    Grow,
}

/// State of one map. Its user calls `advance` until it is done or refuses.
#[derive(Debug)]
pub(super) struct BytesToBytesMap {
    consumer: ConsumerId,
    initial_capacity: u64,
    entry_bytes: u64,
    /// Distinct keys in so many entries, for maps with several values per key.
    keys_of: (u64, u64),
    stage: Stage,
    array: Option<Held>,
    capacity: u64,
    may_grow: bool,
    pages: Pages,
    values: u64,
    todo: u64,
    peak: u64,
    /// Entries of the pages still held that the destructive iterator has passed; `None` before it is opened.
    read: Option<u64>,
}

impl BytesToBytesMap {
    /// A map of entries of `key_value_bytes`, every one of a new key.
    pub(super) fn new(consumer: ConsumerId, initial_capacity: u64, key_value_bytes: u64) -> Self {
        Self {
            consumer,
            initial_capacity: initial_capacity.next_power_of_two().clamp(CAPACITY_MIN, CAPACITY_MAX),
            entry_bytes: ENTRY_HEADER_BYTES + key_value_bytes,
            keys_of: (1, 1),
            stage: Stage::Allocate,
            array: None,
            capacity: 0,
            may_grow: true,
            pages: Pages::default(),
            values: 0,
            todo: 0,
            peak: 0,
            read: None,
        }
    }

    /// Lets only `keys` of every `values` entries bring a new key, spread evenly.
    pub(super) fn with_duplicates(mut self, keys: u64, values: u64) -> Self {
        self.keys_of = (keys.clamp(1, values.max(1)), values.max(1));
        self
    }

    /// Entries in the map.
    pub(super) fn values(&self) -> u64 {
        self.values
    }

    /// Tells it to append `entries` more.
    pub(super) fn append(&mut self, entries: u64) {
        self.todo += entries;
    }

    /// Forgets the entries not yet appended.
    pub(super) fn forget_todo(&mut self) {
        self.todo = 0;
    }

    /// Pages and index array, in bytes (MAP-6).
    pub(super) fn total_bytes(&self) -> u64 {
        self.pages.bytes() + self.array.map_or(0, |a| a.bytes)
    }

    /// Largest total at the moments when Spark looks: before a reset, before it is freed, and now.
    pub(super) fn peak(&self) -> u64 {
        self.peak.max(self.total_bytes())
    }

    /// Frees everything; the next `advance` allocates the first index array again (MAP-9).
    pub(super) fn reset(&mut self, context: &mut Context<'_>) {
        self.free(context);
        self.stage = Stage::Allocate;
        self.may_grow = true;
    }

    /// Frees everything.
    pub(super) fn free(&mut self, context: &mut Context<'_>) {
        self.peak = self.peak();
        if let Some(array) = self.array.take() {
            context.free(array);
        }
        self.pages.free_all(context);
        self.values = 0;
        self.read = None;
    }

    /// Opens the destructive iterator: the index array goes at once (MAP-7).
    pub(super) fn begin_reading(&mut self, context: &mut Context<'_>) {
        self.peak = self.peak();
        self.read = Some(0);
        if let Some(array) = self.array.take() {
            context.free(array);
        }
    }

    /// All but `left` entries have been read: pages go one by one as the iterator leaves them (MAP-7).
    pub(super) fn read_all_but(&mut self, left: u64, context: &mut Context<'_>) {
        let Some(before) = self.read else { return };
        let mut read = self.values.saturating_sub(left).max(before);
        self.read = Some(read);
        while let Some(page) = self.pages.first() {
            let entries = (page.bytes - PAGE_HEADER_BYTES) / self.entry_bytes;
            if read <= entries {
                break;
            }
            self.pages.free_first(context);
            read -= entries;
            self.values -= entries;
            self.read = Some(read);
        }
    }

    /// Another operator is short of memory: pages not yet reached by the destructive iterator are written out, the last
    /// first (MAP-8). Spark counts them in no metric. Returns the bytes released.
    pub(super) fn spill_unread(&mut self, ask: u64, context: &mut Context<'_>) -> u64 {
        if self.read.is_none() {
            return 0;
        }
        let mut released = 0;
        while self.pages.count() > 1 && released < ask {
            let entries = self.pages.last_entries(self.values, self.entry_bytes, PAGE_HEADER_BYTES);
            released += self.pages.free_last(context);
            self.values -= entries;
        }
        released
    }

    fn threshold(&self) -> u64 {
        self.capacity / 2
    }

    /// Keys among the first `values` entries.
    fn keys(&self, values: u64) -> u64 {
        let (keys, of) = self.keys_of;
        if keys == of {
            return values;
        }
        (u128::from(values) * u128::from(keys)).div_ceil(u128::from(of)) as u64
    }

    /// The entry, counted from 1, that brings key number `key`.
    fn value_of_key(&self, key: u64) -> u64 {
        let (keys, of) = self.keys_of;
        if keys == of {
            return key;
        }
        (u128::from(key - 1) * u128::from(of) / u128::from(keys)) as u64 + 1
    }

    /// Entries that go into the current page before the index array is looked at again: the last of them may make it grow.
    fn room(&self) -> u64 {
        (self.pages.room() / self.entry_bytes).min(self.entries_until_threshold())
    }

    /// Entries until the number of keys reaches the threshold.
    fn entries_until_threshold(&self) -> u64 {
        self.entries_until(self.threshold())
    }

    fn entries_until(&self, keys: u64) -> u64 {
        self.value_of_key(keys.max(1)).saturating_sub(self.values)
    }

    /// Entries it takes without refusing or asking for a page or for an index array of at least `least` bytes.
    pub(super) fn entries_until_request(&self, least: u64) -> u64 {
        let index = if self.may_grow {
            let bytes = doubled_below(self.capacity.max(1) * SLOT_BYTES, least.min(BYTES_BEYOND), |_| true);
            self.entries_until(bytes / SLOT_BYTES / 2).saturating_sub(1)
        } else {
            self.entries_until_threshold()
        };
        (self.pages.room_or(least) / self.entry_bytes).min(index)
    }

    /// Whether the next entry is refused whatever the pages say (MAP-3).
    fn is_full(&self) -> bool {
        let keys = self.keys(self.values);
        keys == CAPACITY_MAX || (!self.may_grow && keys >= self.threshold())
    }

    /// Goes on until the next request, until all entries are in, or until one is refused.
    pub(super) fn advance(&mut self, mut answer: Option<Allocation>, context: &mut Context<'_>) -> Progress {
        loop {
            if let Some(answer) = answer.take()
                && let Some(end) = self.take(answer, context)
            {
                return end;
            }
            match self.stage {
                Stage::Allocate if self.array.is_none() => {
                    return Progress::Request(
                        self.consumer,
                        Request::Array(self.initial_capacity * SLOT_BYTES / 8),
                    );
                }
                Stage::Allocate => self.stage = Stage::Append,
                Stage::Grow => {
                    let capacity = self.next_capacity(context.least);
                    return Progress::Request(self.consumer, Request::Array(capacity * SLOT_BYTES / 8));
                }
                Stage::Append if self.todo == 0 => return Progress::Done,
                Stage::Append if self.is_full() => return Progress::Refused,
                Stage::Append if self.pages.room() < self.entry_bytes => {
                    return Progress::Request(
                        self.consumer,
                        Request::Page(self.entry_bytes + PAGE_HEADER_BYTES),
                    );
                }
                Stage::Append => self.append_what_fits(),
            }
        }
    }

    /// Slots of the index array to grow to: twice as many as now, or as many as what is to be appended needs, below `least`
    /// bytes.
    fn next_capacity(&self, least: u64) -> u64 {
        let keys = self.keys(self.values + self.todo);
        let too_small = |bytes: u64| keys >= bytes / SLOT_BYTES / 2;
        doubled_below(2 * self.capacity * SLOT_BYTES, least.min(BYTES_BEYOND), too_small) / SLOT_BYTES
    }

    fn append_what_fits(&mut self) {
        let entries = self.room().min(self.todo);
        self.pages.take(entries * self.entry_bytes);
        self.values += entries;
        self.todo -= entries;
        if self.may_grow && self.keys(self.values) >= self.threshold() {
            if self.capacity < CAPACITY_MAX {
                self.stage = Stage::Grow;
            } else {
                self.may_grow = false;
            }
        }
    }

    /// Takes the answer to the last request; says how this run ends if it ends there.
    fn take(&mut self, answer: Allocation, context: &mut Context<'_>) -> Option<Progress> {
        match (self.stage, answer) {
            (Stage::Allocate, Allocation::Page { page, size }) => {
                self.array = Some(Held { page, bytes: size });
                self.capacity = self.initial_capacity;
                self.stage = Stage::Append;
            }
            (Stage::Grow, Allocation::Page { page, size }) => {
                if let Some(old) = self.array.replace(Held { page, bytes: size }) {
                    context.free(old);
                }
                self.capacity = size / SLOT_BYTES;
                self.stage = Stage::Append;
            }
            (Stage::Grow, Allocation::OutOfMemory { .. }) => {
                self.may_grow = false;
                self.stage = Stage::Append;
            }
            (Stage::Append, Allocation::Page { page, size }) => {
                self.pages.push(Held { page, bytes: size }, PAGE_HEADER_BYTES);
            }
            (Stage::Append, Allocation::OutOfMemory { .. }) => return Some(Progress::Refused),
            (_, failure) => return Some(Progress::Failed(SparkOutOfMemory::of(failure))),
        }
        None
    }
}
