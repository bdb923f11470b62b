//! Sizes of broadcast relations that the log did not build: `LongToUnsafeRowMap` and `UnsafeHashedRelation` of Spark 4.1
//! (HJ-1 to HJ-6).

/// What a relation is built of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relation {
    /// Rows, all with different keys.
    pub(super) rows: u64,
    /// Bytes of a row.
    pub(super) row_bytes: u64,
    /// The key is one whole number.
    pub(super) long_key: bool,
    /// Largest key less smallest key, where that can be guessed.
    pub(super) key_range: Option<u64>,
}

impl Relation {
    /// Bytes of the relation.
    pub(super) fn bytes(self) -> u64 {
        let Self { rows, row_bytes, long_key, key_range } = self;
        const FIRST_ROWS: u64 = 1 << 20;
        const LONGS_MAX: u64 = 1 << 30;
        if long_key {
            // The index begins with two longs a row, rounded up to a power of two of slots, and doubles while keys fill
            // more than half of its slots; the array of rows doubles until they fit (HJ-3 to HJ-5).
            let mut longs = 2 * rows.clamp(1, LONGS_MAX / 2).next_power_of_two();
            if rows.saturating_mul(4) > longs && longs < LONGS_MAX {
                longs *= 2;
            }
            let mut array = FIRST_ROWS;
            while array < rows.saturating_mul(row_bytes.saturating_add(8)) && array < 8 * LONGS_MAX {
                array *= 2;
            }
            // Narrow ranges of keys get an index by key (HJ-6).
            let dense = key_range.filter(|&range| range < longs || range < 1024);
            return dense.map_or(longs, |range| range + 1) * 8 + array;
        }
        // A map of pages: an entry has 16 bytes beside key and row, the index 16 bytes a slot, twice as many slots as keys.
        const KEY_ROW: u64 = 16;
        let slots = rows.saturating_mul(2).clamp(64, LONGS_MAX / 2).next_power_of_two();
        slots * 16 + rows.saturating_mul(row_bytes.saturating_add(KEY_ROW + 16)).max(FIRST_ROWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_as_large_as_in_real_runs() {
        // `data size` of BroadcastExchange over one long key in Spark 4.1.4: keys from 0 to 74999, all or some of them.
        let bytes =
            |rows, row_bytes, key_range| Relation { rows, row_bytes, long_key: true, key_range }.bytes();
        assert_eq!(bytes(75_000, 40, Some(74_999)), 4_794_304);
        assert_eq!(bytes(14_951, 16, Some(74_999)), 1_572_864);
        assert_eq!(bytes(73_973, 24, None), 8_388_608);
    }
}
