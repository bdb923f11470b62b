//! Least reference count, after Yu, Wang, Zhang and Letaief, "LRC: Dependency-aware cache management for data analytics
//! clusters" (INFOCOM 2017): the lineage says how many stages will still read a block.

use super::{BlockUse, Moment, Policy};

/// Fewest uses to come first.
#[derive(Debug)]
pub struct Lrc;

impl Policy for Lrc {
    fn rank(&self, block: &BlockUse, now: &Moment<'_>) -> u64 {
        now.uses_of(block).map_or(u64::MAX, |uses| uses.len() as u64)
    }
}
