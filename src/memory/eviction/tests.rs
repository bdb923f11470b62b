//! Every policy against a plain second version of itself, on all short sequences of reads over a few blocks; Belady's
//! against the fewest misses that any choice leads to.

use std::sync::Arc;

use super::{Belady, BlockUse, DatasetPlan, Lru, Moment, Policy, UsePlan};
use crate::conf::EvictionPolicy;
use crate::memory::{BlockId, MemoryManager, MemoryMode, Put, StorageLevel, TaskId, UnifiedRegions};

const ON: MemoryMode = MemoryMode::OnHeap;
const ALL: [EvictionPolicy; 7] = [
    EvictionPolicy::Lru,
    EvictionPolicy::Fifo,
    EvictionPolicy::Lfu,
    EvictionPolicy::Lrc,
    EvictionPolicy::Mrd,
    EvictionPolicy::Cost,
    EvictionPolicy::Belady,
];
/// Blocks of different RDDs, as a block never evicts one of its own, with their bytes and the time to get them back.
const EVEN: [(u64, u64); 4] = [(100, 400), (100, 100), (100, 700), (100, 200)];
const UNEVEN: [(u64, u64); 4] = [(150, 300), (50, 400), (100, 100), (75, 75)];
const CAPACITY: u64 = 200;

fn name(block: usize) -> BlockId {
    BlockId::Rdd { rdd: block as u32, split: 0 }
}

/// A manager that knows which step reads which block.
fn manager(selected: EvictionPolicy, blocks: &[(u64, u64)], reads: &[usize]) -> MemoryManager {
    let regions =
        UnifiedRegions { on_heap: CAPACITY, on_heap_storage: CAPACITY, off_heap: 0, off_heap_storage: 0 };
    let mut plan = UsePlan::default();
    for (block, &(_, reload_ns)) in blocks.iter().enumerate() {
        let steps = reads.iter().enumerate().filter(|&(_, &read)| read == block).map(|(step, _)| step as u32);
        plan.set(block as u32, DatasetPlan { steps: steps.collect(), reload_ns: vec![reload_ns] });
    }
    let mut manager = MemoryManager::unified(regions);
    manager.set_eviction(selected, Arc::new(plan));
    manager
}

/// Reads a block in a step, putting it if it is not there; true when it was.
fn read(manager: &mut MemoryManager, blocks: &[(u64, u64)], step: usize, block: usize) -> bool {
    manager.set_step(step as u32);
    let hit = manager.store_mut().touch(name(block)).is_some();
    if !hit {
        let put =
            manager.put_bytes(TaskId::NONE, name(block), blocks[block].0, ON, StorageLevel::MEMORY_ONLY);
        assert!(matches!(put, Ok(Put::Stored | Put::Refused)));
    }
    hit
}

/// All sequences of so many reads.
fn sequences(length: u32) -> impl Iterator<Item = Vec<usize>> {
    (0..4_usize.pow(length)).map(move |code| (0..length).map(|at| code / 4_usize.pow(at) % 4).collect())
}

/// A block in the plain version; `credit` is that of the textbook's GreedyDual.
#[derive(Clone, Debug)]
struct Cached {
    block: usize,
    stored: usize,
    used: usize,
    reads: usize,
    credit: u64,
}

/// Plain version of all policies but Belady's: whole history and future are looked through at each eviction.
struct Plain<'a> {
    selected: EvictionPolicy,
    blocks: &'a [(u64, u64)],
    reads: &'a [usize],
    cached: Vec<Cached>,
}

impl Plain<'_> {
    fn key(&self, cached: &Cached, step: usize) -> u64 {
        let uses = |from: usize| self.reads[from..].iter().filter(|&&read| read == cached.block);
        match self.selected {
            EvictionPolicy::Lru => cached.used as u64,
            EvictionPolicy::Fifo => cached.stored as u64,
            EvictionPolicy::Lfu => cached.reads as u64,
            // What is cached is not what this step reads.
            EvictionPolicy::Lrc => uses(step).count() as u64,
            EvictionPolicy::Mrd => {
                let next = self.reads[step..].iter().position(|&read| read == cached.block);
                next.map_or(0, |distance| 1000 - distance as u64)
            }
            EvictionPolicy::Cost => cached.credit,
            EvictionPolicy::Belady => unreachable!("it has its own test"),
        }
    }

    fn read(&mut self, step: usize, block: usize) {
        let (size, reload_ns) = self.blocks[block];
        let credit = (reload_ns << 20) / size;
        if let Some(hit) = self.cached.iter_mut().find(|cached| cached.block == block) {
            (hit.used, hit.reads, hit.credit) = (step, hit.reads + 1, credit);
            return;
        }
        while self.cached.iter().map(|cached| self.blocks[cached.block].0).sum::<u64>() + size > CAPACITY {
            let key = |cached: &Cached| (self.key(cached, step), cached.used);
            let victim = self.cached.iter().min_by_key(|cached| key(cached)).expect("not empty").clone();
            self.cached.retain(|cached| cached.block != victim.block);
            // The textbook lowers all others by what the victim had.
            self.cached.iter_mut().for_each(|cached| cached.credit -= victim.credit.min(cached.credit));
        }
        self.cached.push(Cached { block, stored: step, used: step, reads: 0, credit });
    }
}

#[test]
fn policies_evict_what_their_plain_versions_do() {
    for selected in ALL.into_iter().filter(|&selected| selected != EvictionPolicy::Belady) {
        for blocks in [&EVEN, &UNEVEN] {
            for reads in sequences(6) {
                let mut manager = manager(selected, blocks, &reads);
                let mut plain = Plain { selected, blocks, reads: &reads, cached: Vec::new() };
                for (step, &block) in reads.iter().enumerate() {
                    read(&mut manager, blocks, step, block);
                    plain.read(step, block);
                    let mut expected: Vec<_> =
                        plain.cached.iter().map(|cached| (cached.used, name(cached.block))).collect();
                    expected.sort_unstable();
                    let found = manager.store().entries().map(|(block, _)| block);
                    assert!(
                        found.eq(expected.iter().map(|&(_, block)| block)),
                        "{selected:?} after step {step} of {reads:?}: {expected:?}"
                    );
                }
            }
        }
    }
}

/// Fewest misses of the reads to come, whatever is evicted and whether or not what is read is kept. `cached`: a bit a
/// block.
fn fewest_misses(reads: &[usize], cached: u32) -> usize {
    let Some((&block, rest)) = reads.split_first() else { return 0 };
    let bit = 1 << block;
    if cached & bit != 0 {
        return fewest_misses(rest, cached);
    }
    let kept = (0..4).map(|victim| (cached | bit) & !(1 << victim)).chain([cached, cached | bit]);
    let fits = kept.filter(|kept| u64::from(kept.count_ones()) * 100 <= CAPACITY);
    1 + fits.map(|kept| fewest_misses(rest, kept)).min().expect("not to keep it is always possible")
}

#[test]
fn nobody_misses_less_than_beladys_policy() {
    for reads in sequences(6) {
        let misses = |selected| {
            let mut manager = manager(selected, &EVEN, &reads);
            let hit = |(step, &block): (usize, &usize)| read(&mut manager, &EVEN, step, block);
            reads.len() - reads.iter().enumerate().map(hit).filter(|&hit| hit).count()
        };
        let bound = misses(EvictionPolicy::Belady);
        assert_eq!(bound, fewest_misses(&reads, 0), "{reads:?}");
        for selected in ALL {
            assert!(misses(selected) >= bound, "{selected:?} beats the bound on {reads:?}");
        }
    }
}

#[test]
fn the_stores_own_order_is_that_of_the_ranks() {
    // The fast way and the ranks of `Lru` come to the same.
    let now = Moment { plan: &UsePlan::default(), step: 0 };
    let used =
        |used_at| BlockUse { block: name(0), size: 1, stored_at: 0, used_at, reads: 0, step: 0, level: 0 };
    assert!(Lru.rank(&used(3), &now) < Lru.rank(&used(4), &now));
    assert!(Lru.makes_room(9, 1), "Spark lets every block in");
}

#[test]
fn within_a_stage_belady_goes_by_partition() {
    let mut plan = UsePlan::default();
    plan.set(1, DatasetPlan { steps: vec![2, 5], reload_ns: Vec::new() });
    plan.set(2, DatasetPlan { steps: vec![3], reload_ns: Vec::new() });
    let now = Moment { plan: &plan, step: 2 };
    let rank = |rdd, split, step| {
        let block = BlockId::Rdd { rdd, split };
        Belady.rank(&BlockUse { block, size: 1, stored_at: 0, used_at: 0, reads: 0, step, level: 0 }, &now)
    };
    // Soonest last: read next in this stage, later in this stage, in the next one, read already and then in stage 5.
    let order = [rank(1, 0, 2), rank(2, 0, 1), rank(1, 7, 1), rank(1, 3, 1)];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(rank(3, 0, 0), 0, "nobody reads it");
}

#[test]
fn blocks_of_no_rdd_go_last_where_the_plan_decides() {
    for selected in [EvictionPolicy::Lrc, EvictionPolicy::Mrd, EvictionPolicy::Cost, EvictionPolicy::Belady] {
        let mut manager = manager(selected, &EVEN, &[0, 1, 2, 0, 1, 2]);
        let table = BlockId::Broadcast(1);
        let level = StorageLevel::MEMORY_ONLY;
        assert_eq!(manager.put_bytes(TaskId::NONE, table, 100, ON, level), Ok(Put::Stored));
        for block in 0..3 {
            read(&mut manager, &EVEN, block, block);
        }
        assert!(manager.store().contains(table), "{selected:?}");
    }
}
