//! Sizes of broadcast relations that the log did not build: `LongToUnsafeRowMap` and `UnsafeHashedRelation` of Spark 4.1
//! (HJ-1 to HJ-5). The dense index of narrow key ranges (HJ-6) is left out, since no log tells the range; a relation that
//! has one is smaller by up to 32 bytes a row.

/// Bytes of the relation of `rows` rows, all with different keys.
pub(super) fn relation_bytes(rows: u64, row_bytes: u64, long_key: bool) -> u64 {
    const FIRST_ROWS: u64 = 1 << 20;
    if long_key {
        // The index begins with two longs a row, rounded up to a power of two of slots, and doubles while keys fill more
        // than half of its slots; the array of rows doubles until they fit.
        let mut longs = 2 * rows.max(1).next_power_of_two();
        if rows.saturating_mul(4) > longs {
            longs *= 2;
        }
        let mut array = FIRST_ROWS;
        while array < rows.saturating_mul(row_bytes + 8) && array < 1 << 40 {
            array *= 2;
        }
        return longs * 8 + array;
    }
    // A map of pages: each entry has 16 bytes beside key and row, the index 16 bytes a slot and twice as many slots as keys.
    const KEY_ROW: u64 = 16;
    let slots = (rows.saturating_mul(2)).max(64).next_power_of_two();
    slots * 16 + rows.saturating_mul(row_bytes + KEY_ROW + 16).max(FIRST_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_as_large_as_in_real_runs() {
        // `data size` of BroadcastExchange over one long key in Spark 4.1.4: sparse indexes.
        assert_eq!(relation_bytes(14_951, 16, true), 1_572_864);
        assert_eq!(relation_bytes(73_973, 24, true), 8_388_608);
    }
}
