//! The memory of the policies that Spark does not have: how each block in memory was used, and the ranks of the candidates
//! of an eviction.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::{BlockUse, Moment, Policy, UsePlan};
use crate::memory::BlockId;

/// A policy at work on the blocks of one executor, by their slots in the store.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    policy: &'static dyn Policy,
    plan: Arc<UsePlan>,
    step: u32,
    /// Puts and reads so far.
    clock: u64,
    /// Rank of the block that was evicted last.
    level: u64,
    uses: Vec<Option<BlockUse>>,
}

impl Ranking {
    pub(crate) fn new(policy: &'static dyn Policy, plan: Arc<UsePlan>) -> Self {
        Self { policy, plan, step: 0, clock: 0, level: 0, uses: Vec::new() }
    }

    pub(crate) fn set_step(&mut self, step: u32) {
        self.step = step;
    }

    pub(crate) fn stored(&mut self, slot: u32, block: BlockId, size: u64) {
        let slot = slot as usize;
        if slot >= self.uses.len() {
            self.uses.resize(slot + 1, None);
        }
        self.uses[slot] = Some(self.fresh(block, size));
        self.clock += 1;
    }

    pub(crate) fn read(&mut self, slot: u32) {
        if let Some(block) = &mut self.uses[slot as usize] {
            block.used_at = self.clock;
            block.reads += 1;
            block.step = self.step;
            block.level = self.level;
        }
        self.clock += 1;
    }

    pub(crate) fn evicted(&mut self, slot: u32) {
        if let Some(block) = self.uses[slot as usize].take()
            && block.block.rdd().is_some()
        {
            self.level = self.policy.rank(&block, &self.now());
        }
    }

    pub(crate) fn removed(&mut self, slot: u32) {
        self.uses[slot as usize] = None;
    }

    pub(crate) fn clear(&mut self) {
        self.uses.clear();
    }

    /// Takes candidates in their order until they have `space` bytes; clears `selected` when there are not enough.
    /// `candidates` come least recently used first.
    pub(crate) fn select(
        &self,
        incoming: Option<BlockId>,
        space: u64,
        candidates: impl Iterator<Item = (u32, u64)>,
        selected: &mut Vec<u32>,
    ) -> u64 {
        let now = self.now();
        let incoming = incoming.map(|block| self.policy.rank(&self.fresh(block, space), &now));
        let ranked = candidates.enumerate().filter_map(|(order, (slot, size))| {
            let block = self.uses[slot as usize].as_ref().expect("a block in memory was stored");
            let rank = self.policy.rank(block, &now);
            let may_go = incoming.is_none_or(|incoming| self.policy.makes_room(rank, incoming));
            may_go.then_some(Reverse((rank, order, slot, size)))
        });
        let mut ranked: BinaryHeap<_> = ranked.collect();
        let mut sum = 0;
        while sum < space
            && let Some(Reverse((_, _, slot, size))) = ranked.pop()
        {
            selected.push(slot);
            sum += size;
        }
        if sum < space {
            selected.clear();
            return 0;
        }
        sum
    }

    fn fresh(&self, block: BlockId, size: u64) -> BlockUse {
        let Self { clock, step, level, .. } = *self;
        BlockUse { block, size, stored_at: clock, used_at: clock, reads: 0, step, level }
    }

    fn now(&self) -> Moment<'_> {
        Moment { plan: &self.plan, step: self.step }
    }
}
