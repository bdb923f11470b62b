//! Least frequently used.

use super::{BlockUse, Moment, Policy};

/// Least often read since it was stored first. An evicted block starts anew when it returns.
#[derive(Debug)]
pub struct Lfu;

impl Policy for Lfu {
    fn rank(&self, block: &BlockUse, _now: &Moment<'_>) -> u64 {
        block.reads
    }
}
