//! What both sorters hold: pages of records, and a pointer array that doubles (SORT-2, SHUF-3).
//!
//! Knows how many records fit and how far the array grows; when which is asked for is the sorters' own.

use super::{Context, Held, Pages, SpillLimits, doubled_below};

/// Pages and pointer array of a sorter.
#[derive(Debug)]
pub(super) struct SorterMemory {
    /// Longs of the pointer array that a record takes.
    longs_per_record: u64,
    /// Whether the radix sort is used, which needs half of the array for itself.
    radix: bool,
    /// Bytes that a record takes in a page.
    record_bytes: u64,
    limits: SpillLimits,
    array: Option<Held>,
    pub(super) pages: Pages,
    /// Records in memory.
    pub(super) records: u64,
}

impl SorterMemory {
    pub(super) fn new(longs_per_record: u64, radix: bool, record_bytes: u64, limits: SpillLimits) -> Self {
        let (array, pages) = (None, Pages::default());
        Self { longs_per_record, radix, record_bytes, limits, array, pages, records: 0 }
    }

    /// Bytes that a record takes in a page.
    pub(super) fn record_bytes(&self) -> u64 {
        self.record_bytes
    }

    fn array_bytes(&self) -> u64 {
        self.array.map_or(0, |array| array.bytes)
    }

    /// Bytes of pages and array.
    pub(super) fn usage(&self) -> u64 {
        self.pages.bytes() + self.array_bytes()
    }

    /// Whether the limits of a forced spill are reached.
    pub(super) fn is_at_limit(&self) -> bool {
        self.records >= self.limits.records || self.usage() >= self.limits.bytes
    }

    /// Whether the pointer array takes another record.
    pub(super) fn array_has_room(&self) -> bool {
        self.records < self.capacity_of(self.array_bytes())
    }

    /// Whether the current page takes another record.
    pub(super) fn page_has_room(&self) -> bool {
        self.pages.room() >= self.record_bytes
    }

    /// Records that a pointer array of so many bytes holds.
    fn capacity_of(&self, array_bytes: u64) -> u64 {
        let longs = array_bytes / 8;
        let usable = if self.radix { longs / 2 } else { (longs as f64 / 1.5) as u64 };
        usable / self.longs_per_record
    }

    /// Bytes of the pointer array to grow to: twice as many as now, or as many as `todo` records more need, below `least`.
    pub(super) fn next_array(&self, todo: u64, least: u64) -> u64 {
        doubled_below(2 * self.array_bytes(), least, |bytes| self.capacity_of(bytes) < self.records + todo)
    }

    /// Puts a new array in the place of the one before.
    pub(super) fn replace_array(&mut self, array: Held, context: &mut Context<'_>) {
        if let Some(old) = self.array.replace(array) {
            context.free(old);
        }
    }

    /// Frees the array; returns its bytes.
    pub(super) fn free_array(&mut self, context: &mut Context<'_>) -> u64 {
        self.array.take().map_or(0, |array| {
            context.free(array);
            array.bytes
        })
    }

    /// Frees pages, then array, and forgets the records.
    pub(super) fn free_all(&mut self, context: &mut Context<'_>) {
        self.pages.free_all(context);
        self.free_array(context);
        self.records = 0;
    }

    /// Takes in as many of `todo` records as fit without a request, at least one: the first is in whatever the limits say,
    /// since they were tested before its memory was requested. Returns how many.
    pub(super) fn insert(&mut self, todo: u64) -> u64 {
        let records = self.room(self.array_bytes(), self.pages.room()).clamp(1, todo);
        self.records += records;
        self.pages.take(records * self.record_bytes);
        records
    }

    /// Records that fit without a forced spill or a request for as much as `least` bytes.
    pub(super) fn until_request(&self, least: u64) -> u64 {
        self.room(doubled_below(self.array_bytes(), least, |_| true), self.pages.room_or(least))
    }

    /// Records that fit with a pointer array of so many bytes and so many bytes free in the page.
    fn room(&self, array_bytes: u64, page: u64) -> u64 {
        if self.usage() >= self.limits.bytes {
            return 0;
        }
        let array = self.capacity_of(array_bytes) - self.records;
        let page = page / self.record_bytes;
        let limit = self.limits.records.saturating_sub(self.records);
        array.min(page).min(limit)
    }
}
