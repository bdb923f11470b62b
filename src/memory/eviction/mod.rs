//! Which cached block goes first when room is needed: Spark's own order and others to compare with it.
//!
//! | policy | goes first | knows the future |
//! | --- | --- | --- |
//! | [`Lru`] | least recently used; Spark's | no |
//! | [`Fifo`] | first stored | no |
//! | [`Lfu`] | least often read | no |
//! | [`Lrc`] | fewest uses to come | how often |
//! | [`Mrd`] | next use most stages away | when |
//! | [`Cost`] | cheapest to get back for its size, aging | no, but what it costs |
//! | [`Belady`] | next use farthest away, and not admitted if that is itself | when, block by block |
//!
//! A policy only orders the candidates: which blocks may go at all, that nothing goes when not enough would, and that
//! blocks go as a whole stay Spark's rules (EVICT-1 to EVICT-5). Among equals the least recently used goes first.
//! What a policy may know of the future is a [`UsePlan`] that the simulation fills from the workload; the step at hand is
//! set as stages complete. Blocks that belong to no RDD have no plan: policies that go by it let them go last.
//!
//! Spark's order costs O(victims) for an eviction and O(1) for a use. All others rank every block at each eviction, O(n)
//! for n blocks in memory, which is nothing beside the work that the block stands for.

mod belady;
mod cost;
mod fifo;
mod lfu;
mod lrc;
mod lru;
mod mrd;
mod plan;
mod ranking;
#[cfg(test)]
mod tests;

pub use belady::Belady;
pub use cost::Cost;
pub use fifo::Fifo;
pub use lfu::Lfu;
pub use lrc::Lrc;
pub use lru::Lru;
pub use mrd::Mrd;
pub use plan::{DatasetPlan, Moment, UsePlan};
pub(crate) use ranking::Ranking;

use std::fmt;

use super::BlockId;
use crate::conf::EvictionPolicy;

/// What an executor remembers of a block in memory, for policies to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockUse {
    /// The block.
    pub block: BlockId,
    /// Its bytes in memory.
    pub size: u64,
    /// Number of puts and reads on this executor before it was stored.
    pub stored_at: u64,
    /// The same when it was last used.
    pub used_at: u64,
    /// Times it was read since it was stored.
    pub reads: u64,
    /// The step of the plan in which it was last used, storing included.
    pub step: u32,
    /// Rank of the block that had been evicted last when it was last used.
    pub level: u64,
}

/// An order in which blocks are evicted.
pub trait Policy: fmt::Debug + Sync {
    /// Rank of a block: the lowest goes first.
    fn rank(&self, block: &BlockUse, now: &Moment<'_>) -> u64;

    /// Whether a block may be evicted for another that comes in; both by rank. Spark always lets the new one in.
    fn makes_room(&self, _victim: u64, _incoming: u64) -> bool {
        true
    }
}

/// The policy that `spillcast.evictionPolicy` names.
pub fn policy(selected: EvictionPolicy) -> &'static dyn Policy {
    match selected {
        EvictionPolicy::Lru => &Lru,
        EvictionPolicy::Fifo => &Fifo,
        EvictionPolicy::Lfu => &Lfu,
        EvictionPolicy::Lrc => &Lrc,
        EvictionPolicy::Mrd => &Mrd,
        EvictionPolicy::Cost => &Cost,
        EvictionPolicy::Belady => &Belady,
    }
}
