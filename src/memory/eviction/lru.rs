//! Least recently used, as the access-ordered map of Spark's `MemoryStore` has it (EVICT-6).

use super::{BlockUse, Moment, Policy};

/// Least recently used first. The store does not ask it but walks its own order of use; ranking by it comes to the same.
#[derive(Debug)]
pub struct Lru;

impl Policy for Lru {
    fn rank(&self, block: &BlockUse, _now: &Moment<'_>) -> u64 {
        block.used_at
    }
}
