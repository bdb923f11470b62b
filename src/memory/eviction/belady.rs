//! Belady's MIN (IBM Systems Journal, 1966) with the choice not to admit: what no policy can beat for blocks of equal
//! size, and what nobody has who does not know the future.

use super::{BlockUse, Moment, Policy};

/// The block whose next use is farthest away first: by stage, within a stage by partition. A block comes in only if all
/// that go for it are used later than itself.
#[derive(Debug)]
pub struct Belady;

impl Policy for Belady {
    fn rank(&self, block: &BlockUse, now: &Moment<'_>) -> u64 {
        let Some(uses) = now.uses_of(block) else { return u64::MAX };
        let split = match block.block {
            super::BlockId::Rdd { split, .. } => u64::from(split),
            _ => 0,
        };
        uses.first().map_or(0, |&step| u64::MAX - 1 - (u64::from(step) << 32 | split))
    }

    fn makes_room(&self, victim: u64, incoming: u64) -> bool {
        victim < incoming
    }
}
