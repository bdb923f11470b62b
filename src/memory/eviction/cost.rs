//! By the time to get a block back for a byte that it takes, with aging: GreedyDual-Size of Cao and Irani, "Cost-aware WWW
//! proxy caching algorithms" (USITS 1997). A use lifts a block by its cost over the level of what was evicted last, so
//! that expensive blocks that nobody reads sink below cheap ones in use.

use super::{BlockUse, Moment, Policy};

/// Resolution of a rank, parts of a nanosecond a byte.
const PARTS: u128 = 1 << 20;

/// Cheapest to get back for its size first.
#[derive(Debug)]
pub struct Cost;

impl Policy for Cost {
    fn rank(&self, block: &BlockUse, now: &Moment<'_>) -> u64 {
        if block.block.rdd().is_none() {
            return u64::MAX;
        }
        let cost = u128::from(now.reload_ns(block.block)) * PARTS / u128::from(block.size.max(1));
        block.level.saturating_add(u64::try_from(cost).unwrap_or(u64::MAX)).min(u64::MAX - 1)
    }
}
