//! Most reference distance, after Perez, Zhou and Cheng, "Reference-distance eviction and prefetching for cache management
//! in Spark" (ICPP 2018), without its prefetching: the distance is counted in stages and is one for a whole RDD.

use super::{BlockUse, Moment, Policy};

/// The RDD whose next use is the most stages away first; before all others those that are not used any more.
#[derive(Debug)]
pub struct Mrd;

impl Policy for Mrd {
    fn rank(&self, block: &BlockUse, now: &Moment<'_>) -> u64 {
        let Some(rdd) = block.block.rdd() else { return u64::MAX };
        let next = now.steps_of(rdd).first();
        next.map_or(0, |&step| u64::MAX - 1 - u64::from(step - now.step))
    }
}
