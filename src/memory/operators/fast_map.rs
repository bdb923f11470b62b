//! The row-based fast map that generated code puts in front of the hash map of a partial aggregation (AGG-7): how many of
//! the groups that come by it takes. Leaves out whose groups they are.

/// Rows that the fast map takes at most: `spark.sql.codegen.aggregate.fastHashMap.capacityBit` is 16.
const ROWS_MAX: u64 = 1 << 16;
/// Buckets of the fast map: its rows over a load factor of one half (`RowBasedHashMapGenerator`).
const BUCKETS: f64 = (ROWS_MAX * 2) as f64;
/// New groups that find no bucket in the fast map, over the square of its load: fitted to random keys, within 0.2 % of the
/// groups taken up to a load of one half.
const MISSES: f64 = 1.25;
/// Newton's method needs three or four steps.
const SEARCH_STEPS_MAX: usize = 8;

/// A fast map with its page.
#[derive(Clone, Copy, Debug)]
pub(super) struct FastMap {
    /// Rows that fit its page.
    rows_max: u64,
    /// Groups after which it takes no more.
    full_after: u64,
    /// No two keys want the same bucket.
    dense: bool,
}

impl FastMap {
    /// A map whose page of `page_bytes` takes rows of `row_bytes`.
    pub(super) fn new(page_bytes: u64, row_bytes: u64, dense: bool) -> Self {
        let rows_max = ROWS_MAX.min(page_bytes / row_bytes);
        if dense {
            return Self { rows_max, full_after: rows_max, dense };
        }
        let mut map = Self { rows_max, full_after: u64::MAX, dense };
        let steepness = MISSES.sqrt();
        let load = steepness * map.rows_max as f64 / BUCKETS;
        // One group more, for what rounding makes of it.
        map.full_after = (load.atanh() / steepness * BUCKETS) as u64 + 1;
        while map.taken(map.full_after) < map.rows_max {
            map.full_after += 1;
        }
        map
    }

    /// Groups that it took when so many had come by. It looks at two neighbouring buckets for each, so that some find both
    /// taken before it is full: with a share of `load` buckets in use about `1.25 load²` of the new groups, which
    /// integrates to a hyperbolic tangent.
    pub(super) fn groups(&self, groups: u64) -> u64 {
        if groups >= self.full_after { self.rows_max } else { self.taken(groups) }
    }

    /// Groups after which it takes no more.
    pub(super) fn full_after(&self) -> u64 {
        self.full_after
    }

    fn taken(&self, groups: u64) -> u64 {
        if self.dense {
            return groups.min(self.rows_max);
        }
        let steepness = MISSES.sqrt();
        let load = (steepness * groups as f64 / BUCKETS).tanh() / steepness;
        groups.min(self.rows_max).min((BUCKETS * load).round() as u64)
    }

    /// Fewest groups of which it leaves `others` to the map behind it.
    pub(super) fn groups_that_leave(&self, others: u64) -> u64 {
        let most = others + self.rows_max;
        if others == 0 || most > self.full_after {
            return if others == 0 { 0 } else { most };
        }
        let guess = Self::guess(others).clamp(others, most);
        if self.leaves(guess, others) && !self.leaves(guess - 1, others) {
            return guess;
        }
        // It takes at most one of each more group, so that those it leaves never shrink: search by halving.
        let (mut low, mut high) = (others, most);
        while low < high {
            let middle = low.midpoint(high);
            if self.leaves(middle, others) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn leaves(&self, groups: u64, others: u64) -> bool {
        groups - self.groups(groups) >= others
    }

    /// Where the tangent leaves half a group less than `others`, which rounds to as many: by Newton's method from where
    /// the first term of its series says. It never turns back once it is beyond, since ever more groups are left.
    fn guess(others: u64) -> u64 {
        let steepness = MISSES.sqrt();
        let others = others as f64 - 0.5;
        let mut groups = (3.0 * others * BUCKETS * BUCKETS / MISSES).cbrt();
        for _ in 0..SEARCH_STEPS_MAX {
            let tangent = (steepness * groups / BUCKETS).tanh();
            let step = (groups - BUCKETS * tangent / steepness - others) / (tangent * tangent);
            groups -= step;
            if step.abs() < 1e-3 {
                break;
            }
        }
        groups as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_what_came_are_inverse() {
        for (page, row) in [(64 << 20, 56), (4 << 20, 56), (1 << 20, 100), (256 << 10, 24)] {
            let map = FastMap::new(page, row, false);
            let mut left = 0;
            for groups in 1..200_000 {
                let taken = map.groups(groups);
                assert!(taken <= map.rows_max && taken >= map.groups(groups - 1));
                if groups - taken > left {
                    left = groups - taken;
                    assert_eq!(map.groups_that_leave(left), groups, "{page} {row} {left}");
                }
            }
            assert_eq!(map.groups(u64::MAX), map.rows_max);
        }
    }
}
