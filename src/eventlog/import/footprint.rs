//! Record sizes that peaks betray. A sorter or map that did not spill held whole pages: how many there were bounds the bytes
//! of one record from both sides, the tighter the more pages it had.

use crate::memory::operators::{AGGREGATION_INITIAL_CAPACITY, SORT_INITIAL_RECORDS};

/// Bytes of one slot of a map's index array: two longs (MAP-1).
pub(super) const MAP_SLOT_BYTES: u64 = 16;
/// What a map adds to key and value in a page (MAP-2).
const MAP_ENTRY_HEADER: u64 = 16;
/// What a sorter adds to a row in a page: its length (SORT-4).
const SORT_ROW_HEADER: u64 = 4;
/// Counter at the beginning of a map's page (MAP-2).
const MAP_PAGE_HEADER: u64 = 4;

/// Smallest and largest size, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    least: u64,
    most: u64,
}

impl Bounds {
    /// Nothing known.
    pub(super) const NONE: Self = Self { least: 0, most: u64::MAX };

    /// What both allow; the old bounds where they contradict each other.
    pub(super) fn and(self, other: Self) -> Self {
        let both = Self { least: self.least.max(other.least), most: self.most.min(other.most) };
        if both.least <= both.most { both } else { self }
    }

    /// The size nearest to an estimate, in whole words where the bounds leave one.
    pub(super) fn nearest(self, estimate: u64) -> u64 {
        let clamped = estimate.clamp(self.least, self.most);
        let word = if clamped > estimate { clamped.next_multiple_of(8) } else { clamped / 8 * 8 };
        if (self.least..=self.most).contains(&word) { word } else { clamped }
    }
}

/// Bounds of a sort's row from the peak it reports for `rows` rows.
pub(super) fn sort_row(rows: u64, peak: u64, page: u64, radix: bool) -> Bounds {
    // Longs of the pointer array: two a record of which radix sort uses half, the other sort two thirds (SORT-2).
    let mut array = 2 * SORT_INITIAL_RECORDS * 8;
    let fits = |array: u64| {
        let usable = if radix { array / 8 / 2 } else { (array as f64 / 8.0 / 1.5) as u64 };
        2 * rows.saturating_sub(1) + 1 < usable
    };
    while !fits(array) {
        // Also where a log's counts are out of all proportion.
        if array > peak {
            return Bounds::NONE;
        }
        array *= 2;
    }
    bounds(rows, peak, array, page, SORT_ROW_HEADER)
}

/// Bounds of key and value of a map from the peak it reports for `keys` keys.
pub(super) fn map_entry(keys: u64, peak: u64, page: u64) -> Bounds {
    let mut capacity = AGGREGATION_INITIAL_CAPACITY;
    while keys >= capacity / 2 {
        if capacity > peak / MAP_SLOT_BYTES {
            return Bounds::NONE;
        }
        capacity *= 2;
    }
    bounds(keys, peak, capacity * MAP_SLOT_BYTES, page.saturating_sub(MAP_PAGE_HEADER), MAP_ENTRY_HEADER)
}

fn bounds(records: u64, peak: u64, array: u64, page: u64, header: u64) -> Bounds {
    let Some(data) = peak.checked_sub(array).filter(|_| records > 0 && page > 0) else { return Bounds::NONE };
    let pages = (data as f64 / page as f64).round() as u64;
    // Bytes that are no whole number of pages: something else is in this peak.
    if pages == 0 || data.abs_diff(pages * page) > pages * 64 {
        return Bounds::NONE;
    }
    let least_in_page = records.div_ceil(pages);
    let most = (page / least_in_page).saturating_sub(header);
    let least = if pages == 1 {
        0
    } else {
        // With one page less they would not have fitted.
        (page / records.div_ceil(pages - 1)).saturating_sub(header) + 1
    };
    Bounds { least, most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_of_a_real_run_bound_its_rows() {
        const PAGE: u64 = 2 * 1024 * 1024 - 16;
        // 84800 rows of one long (16 bytes) were sorted: one page and 4 MiB of pointers.
        assert_eq!(sort_row(84_800, 6_291_440, PAGE, true).nearest(24), 16);
        // 85338 groups of five keys and a sum: four pages and 4 MiB of index.
        let entry = map_entry(85_338, 12_582_848, PAGE);
        assert_eq!((entry.nearest(88), entry.nearest(80), entry.nearest(40)), (80, 80, 64));
    }

    #[test]
    fn counts_beyond_every_peak_end_the_search_for_an_array() {
        const PAGE: u64 = 2 * 1024 * 1024 - 16;
        assert_eq!(sort_row(i64::MAX as u64, i64::MAX as u64, PAGE, true), Bounds::NONE);
        assert_eq!(map_entry(i64::MAX as u64, i64::MAX as u64, PAGE), Bounds::NONE);
    }

    #[test]
    fn a_peak_that_is_not_made_of_pages_says_nothing() {
        assert_eq!(sort_row(1000, 1_000_000, 2_097_136, true), Bounds::NONE);
        assert_eq!(sort_row(0, 65_536, 2_097_136, true), Bounds::NONE);
        assert_eq!(sort_row(100, 65_537, 0, true), Bounds::NONE);
    }
}
