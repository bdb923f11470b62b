//! Blocks of one executor: which are known, at what level, whether memory or disk holds them, who reads or writes them
//! and in which order they were used. Follows `MemoryStore`, `BlockInfoManager` and the bookkeeping part of
//! `BlockManager` of Spark 3.5 and 4.1. Bytes are counted by the pools, so whatever stores or drops a block is a method
//! of [`super::MemoryManager`]; the contents of blocks, files and replication are left out.

use std::sync::Arc;

use super::eviction::{Ranking, UsePlan, policy};
use super::lru::Lru;
use super::slot_index::SlotIndex;
use super::task_bytes::TaskBytes;
use super::{BlockId, MemoryMode, StorageLevel, TaskId};
use crate::conf::EvictionPolicy;

/// In which form memory holds a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryForm {
    /// Serialized.
    Bytes,
    /// An array of objects.
    Values,
}

impl EntryForm {
    /// The form in which memory holds a block of this level.
    pub fn of(level: StorageLevel) -> Self {
        if level.deserialized { Self::Values } else { Self::Bytes }
    }
}

/// A block in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its bytes in the storage pool.
    pub size: u64,
    /// The pool it uses.
    pub mode: MemoryMode,
    /// Its form.
    pub form: EntryForm,
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The level it was put with.
    pub level: StorageLevel,
    /// What memory holds of it.
    pub entry: Option<Entry>,
    /// Whether the disk holds it.
    pub on_disk: bool,
    /// Number of read locks on it.
    pub readers: u32,
    /// The holder of its write lock, [`TaskId::NONE`] standing for somebody outside any task.
    pub writer: Option<TaskId>,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Memory holds the block.
    Stored,
    /// There was no room; the block is not known any more.
    Refused,
    /// The block was known before, nothing was done.
    Known,
}

/// From where a block was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Memory held it.
    pub memory: bool,
    /// The disk held it.
    pub disk: bool,
}

/// A block that was evicted to make room, in the order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockDropped {
    /// The block.
    pub block: BlockId,
    /// Bytes it had in memory.
    pub size: u64,
    /// The form memory held it in.
    pub form: EntryForm,
    /// The pool it was in.
    pub mode: MemoryMode,
    /// Its level.
    pub level: StorageLevel,
    /// It is written to disk now: the level uses the disk, which did not hold the block yet (BLOCK-9).
    pub to_disk: bool,
    /// It stays available on disk.
    pub stays_on_disk: bool,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    id: BlockId,
    known: Lookup,
}

/// Locks that a task holds on one block.
#[derive(Clone, Copy, Debug)]
struct Held {
    task: TaskId,
    slot: u32,
    reads: u32,
    write: bool,
}

/// Known blocks, their locks and the unroll memory of tasks.
///
/// Finding a block by its name and keeping the order of use cost O(1); going through blocks by name sorts them first. A
/// lock costs O(held locks), which are few: about as many as tasks run, and the latest is found first.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    slots: SlotIndex,
    blocks: Vec<Option<Block>>,
    vacant: Vec<u32>,
    order: Lru,
    locks: Vec<Held>,
    unroll: [TaskBytes; 2],
    /// For any policy but Spark's.
    ranking: Option<Box<Ranking>>,
}

impl MemoryStore {
    /// What is known of a block, without touching it; `None` when nothing is.
    pub fn lookup(&self, block: BlockId) -> Option<Lookup> {
        self.slot(block).map(|slot| self.at(slot).known)
    }

    /// Whether memory holds a block, without touching it.
    pub fn contains(&self, block: BlockId) -> bool {
        self.lookup(block).is_some_and(|known| known.entry.is_some())
    }

    /// Reads a block, or its size, from memory and so makes it the most recently used (EVICT-6).
    pub fn touch(&mut self, block: BlockId) -> Option<Entry> {
        let slot = self.slot(block)?;
        let entry = self.at(slot).known.entry?;
        self.order.touch(slot);
        if let Some(ranking) = &mut self.ranking {
            ranking.read(slot);
        }
        Some(entry)
    }

    /// Blocks in memory from least to most recently used.
    pub fn entries(&self) -> impl Iterator<Item = (BlockId, Entry)> + '_ {
        self.order.iter().filter_map(|slot| {
            let block = self.at(slot);
            block.known.entry.map(|entry| (block.id, entry))
        })
    }

    /// Number of blocks in memory.
    pub fn entry_count(&self) -> usize {
        self.order.len()
    }

    /// All known blocks by name, in memory or not.
    pub fn blocks(&self) -> impl Iterator<Item = (BlockId, Lookup)> + use<> {
        self.sorted(|_| true)
    }

    /// Known blocks of one RDD, by partition.
    pub fn blocks_of_rdd(&self, rdd: u32) -> impl Iterator<Item = (BlockId, Lookup)> + use<> {
        self.sorted(|block| block.rdd() == Some(rdd))
    }

    fn sorted(&self, selects: impl Fn(BlockId) -> bool) -> std::vec::IntoIter<(BlockId, Lookup)> {
        let selected = self.blocks.iter().flatten().filter(|block| selects(block.id));
        let mut selected: Vec<_> = selected.map(|block| (block.id, block.known)).collect();
        selected.sort_unstable_by_key(|&(id, _)| id);
        selected.into_iter()
    }

    /// Unroll memory a task holds; `None` when it never reserved any.
    pub fn unroll_held(&self, task: TaskId, mode: MemoryMode) -> Option<u64> {
        self.unroll[mode.index()].get(task)
    }

    /// Unroll memory by task.
    pub fn unroll_by_task(&self, mode: MemoryMode) -> &[(TaskId, u64)] {
        self.unroll[mode.index()].as_slice()
    }

    /// Unroll memory of all tasks in both modes.
    pub fn unroll_total(&self) -> u64 {
        self.unroll[0].total() + self.unroll[1].total()
    }

    /// Makes a block known and locks it for writing; false when it was known before.
    pub fn lock_new_for_writing(&mut self, task: TaskId, block: BlockId, level: StorageLevel) -> bool {
        let Some(slot) = self.begin_put(task, block, level) else { return false };
        self.locks.push(Held { task, slot, reads: 0, write: true });
        true
    }

    /// Begins what [`Self::end_put`] or [`Self::forget`] ends before anybody else has a turn: the block is locked for
    /// writing, but not on the list of the task. `None` when it was known before.
    pub(crate) fn begin_put(&mut self, task: TaskId, block: BlockId, level: StorageLevel) -> Option<u32> {
        if self.slot(block).is_some() {
            return None;
        }
        let known = Lookup { level, entry: None, on_disk: false, readers: 0, writer: Some(task) };
        let fresh = Some(Block { id: block, known });
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.blocks[slot as usize] = fresh;
                slot
            }
            None => {
                self.blocks.push(fresh);
                (self.blocks.len() - 1) as u32
            }
        };
        self.slots.insert(block, slot);
        Some(slot)
    }

    /// Stores the block and unlocks it.
    pub(crate) fn end_put(&mut self, slot: u32, entry: Entry) {
        self.insert_at(slot, entry);
        self.at_mut(slot).known.writer = None;
    }

    /// Takes a read lock unless somebody writes; a task may hold several. False when it could not be had.
    pub fn lock_for_reading(&mut self, task: TaskId, block: BlockId) -> bool {
        let Some(slot) = self.slot(block) else { return false };
        let known = &mut self.at_mut(slot).known;
        if known.writer.is_some() {
            return false;
        }
        known.readers += 1;
        match self.held(task, slot) {
            Some(at) => self.locks[at].reads += 1,
            None => self.locks.push(Held { task, slot, reads: 1, write: false }),
        }
        true
    }

    /// Takes the write lock if nobody reads or writes, the asking task included. False when it could not be had.
    pub fn lock_for_writing(&mut self, task: TaskId, block: BlockId) -> bool {
        let Some(slot) = self.slot(block) else { return false };
        let known = &mut self.at_mut(slot).known;
        if known.writer.is_some() || known.readers > 0 {
            return false;
        }
        known.writer = Some(task);
        self.locks.push(Held { task, slot, reads: 0, write: true });
        true
    }

    /// Gives up the write lock, or one read lock, that a task holds on a block.
    ///
    /// # Panics
    /// Panics when the task holds no lock on the block.
    pub fn unlock(&mut self, task: TaskId, block: BlockId) {
        let slot = self.slot(block).expect("a locked block is known");
        let at = self.held(task, slot).expect("only a held lock is given up");
        let held = &mut self.locks[at];
        let was_write = std::mem::replace(&mut held.write, false);
        if !was_write {
            held.reads -= 1;
        }
        if held.reads == 0 {
            self.locks.swap_remove(at);
        }
        let known = &mut self.at_mut(slot).known;
        if was_write {
            known.writer = None;
        } else {
            known.readers -= 1;
        }
    }

    /// Turns the write lock of a task into a read lock.
    ///
    /// # Panics
    /// Panics when the task does not hold the write lock.
    pub fn downgrade(&mut self, task: TaskId, block: BlockId) {
        let writer = self.lookup(block).and_then(|known| known.writer);
        assert_eq!(writer, Some(task), "only the writer of {block} can downgrade its lock");
        self.unlock(task, block);
        self.lock_for_reading(task, block);
    }

    /// Gives up all locks of a task; returns the blocks by name.
    pub fn unlock_all(&mut self, task: TaskId) -> Vec<BlockId> {
        let mut unlocked = Vec::new();
        let Self { locks, blocks, .. } = self;
        locks.retain(|held| {
            if held.task != task {
                return true;
            }
            let block = blocks[held.slot as usize].as_mut().expect("a locked block is known");
            block.known.readers -= held.reads;
            if held.write {
                block.known.writer = None;
            }
            unlocked.push(block.id);
            false
        });
        unlocked.sort_unstable();
        unlocked
    }

    /// Evicts by another policy than Spark's from now on.
    pub(crate) fn set_eviction(&mut self, selected: EvictionPolicy, plan: Arc<UsePlan>) {
        if selected == EvictionPolicy::Lru {
            self.ranking = None;
            return;
        }
        let mut ranking = Ranking::new(policy(selected), plan);
        for slot in self.order.iter() {
            let Block { id, known } = self.at(slot);
            let size = known.entry.expect("a block in the order is in memory").size;
            ranking.stored(slot, *id, size);
        }
        self.ranking = Some(Box::new(ranking));
    }

    pub(crate) fn set_step(&mut self, step: u32) {
        if let Some(ranking) = &mut self.ranking {
            ranking.set_step(step);
        }
    }

    /// Records that the disk holds a known block, as after a put that memory refused.
    pub fn set_on_disk(&mut self, block: BlockId) {
        if let Some(slot) = self.slot(block) {
            self.at_mut(slot).known.on_disk = true;
        }
    }

    /// Selects blocks to evict, least recently used first, until they have `space` bytes; an empty selection when there
    /// are not enough (EVICT-1 .. EVICT-4). `selected` is cleared first; returns the sum.
    pub(crate) fn select_victims(
        &self,
        incoming: Option<BlockId>,
        space: u64,
        mode: MemoryMode,
        selected: &mut Vec<u32>,
    ) -> u64 {
        selected.clear();
        let spared_rdd = incoming.and_then(BlockId::rdd);
        let mut candidates = self.order.iter().filter_map(|slot| {
            let Block { id, known } = self.at(slot);
            let entry = known.entry.filter(|entry| entry.mode == mode)?;
            let same_rdd = spared_rdd.is_some() && id.rdd() == spared_rdd;
            let is_locked = known.readers > 0 || known.writer.is_some();
            (!same_rdd && !is_locked).then_some((slot, entry.size))
        });
        if let Some(ranking) = &self.ranking {
            return ranking.select(incoming, space, candidates, selected);
        }
        let mut sum = 0;
        while sum < space {
            let Some((slot, size)) = candidates.next() else {
                selected.clear();
                return 0;
            };
            selected.push(slot);
            sum += size;
        }
        sum
    }

    /// Drops a selected block from memory: it goes to disk if its level says so, else it is forgotten (BLOCK-9).
    pub(crate) fn drop_victim(&mut self, slot: u32) -> BlockDropped {
        self.order.remove(slot);
        if let Some(ranking) = &mut self.ranking {
            ranking.evicted(slot);
        }
        let Block { id, known } = self.at_mut(slot);
        let block = *id;
        let Entry { size, mode, form } = known.entry.take().expect("a victim is in memory");
        let to_disk = known.level.use_disk && !known.on_disk;
        known.on_disk |= to_disk;
        let (level, stays_on_disk) = (known.level, known.on_disk);
        if !stays_on_disk {
            self.forget_at(slot);
        }
        BlockDropped { block, size, form, mode, level, to_disk, stays_on_disk }
    }

    pub(crate) fn insert(&mut self, block: BlockId, entry: Entry) {
        let slot = self.slot(block).expect("a block is made known before it is stored");
        self.insert_at(slot, entry);
    }

    fn insert_at(&mut self, slot: u32, entry: Entry) {
        let Block { id, known } = self.at_mut(slot);
        assert!(known.entry.is_none(), "{id} is in memory already");
        known.entry = Some(entry);
        let id = *id;
        self.order.touch(slot);
        if let Some(ranking) = &mut self.ranking {
            ranking.stored(slot, id, entry.size);
        }
    }

    /// Takes a block out of memory, leaving it known.
    pub(crate) fn take_entry(&mut self, block: BlockId) -> Option<Entry> {
        let slot = self.slot(block)?;
        let entry = self.at_mut(slot).known.entry.take()?;
        self.order.remove(slot);
        if let Some(ranking) = &mut self.ranking {
            ranking.removed(slot);
        }
        Some(entry)
    }

    /// Forgets a block, its locks and its file; it must not be in memory.
    pub(crate) fn forget(&mut self, block: BlockId) {
        let Some(slot) = self.slot(block) else { return };
        self.forget_at(slot);
    }

    fn forget_at(&mut self, slot: u32) {
        let &Block { id, known: Lookup { readers, writer, entry, .. } } = self.at(slot);
        debug_assert!(entry.is_none(), "a forgotten block uses no memory");
        debug_assert!(readers == 0, "nobody reads a block that is forgotten");
        self.slots.remove(id, slot);
        self.blocks[slot as usize] = None;
        if let Some(writer) = writer
            && let Some(at) = self.held(writer, slot)
        {
            self.locks.swap_remove(at);
        }
        self.vacant.push(slot);
    }

    /// Forgets everything: blocks, locks and unroll memory.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.blocks.clear();
        self.vacant.clear();
        self.order.clear();
        self.locks.clear();
        self.unroll.iter_mut().for_each(TaskBytes::clear);
        if let Some(ranking) = &mut self.ranking {
            ranking.clear();
        }
    }

    pub(crate) fn add_unroll(&mut self, task: TaskId, bytes: u64, mode: MemoryMode) {
        self.unroll[mode.index()].add(task, bytes);
    }

    pub(crate) fn take_unroll(&mut self, task: TaskId, bytes: u64, mode: MemoryMode) -> u64 {
        self.unroll[mode.index()].take(task, bytes)
    }

    /// Where the list has the locks of a task on a block.
    fn held(&self, task: TaskId, slot: u32) -> Option<usize> {
        self.locks.iter().rposition(|held| held.task == task && held.slot == slot)
    }

    fn slot(&self, block: BlockId) -> Option<u32> {
        self.slots.get(block, |slot| self.at(slot).id)
    }

    fn at(&self, slot: u32) -> &Block {
        self.blocks[slot as usize].as_ref().expect("a slot in use")
    }

    fn at_mut(&mut self, slot: u32) -> &mut Block {
        self.blocks[slot as usize].as_mut().expect("a slot in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_exclude_each_other_and_end_with_the_task() {
        let mut store = MemoryStore::default();
        let (one, two) = (TaskId(1), TaskId(2));
        let block = BlockId::Broadcast(3);
        assert!(!store.lock_for_reading(one, block), "nobody locks what is not known");
        assert!(store.lock_new_for_writing(one, block, StorageLevel::MEMORY_ONLY));
        assert!(!store.lock_new_for_writing(two, block, StorageLevel::MEMORY_ONLY));
        assert!(!store.lock_for_reading(one, block), "the writer's own lock counts");
        store.downgrade(one, block);
        assert!(store.lock_for_reading(one, block) && store.lock_for_reading(two, block));
        assert!(!store.lock_for_writing(one, block));
        assert_eq!(store.unlock_all(one), [block]);
        assert_eq!(store.lookup(block).map(|known| (known.readers, known.writer)), Some((1, None)));
        store.unlock(two, block);
        assert!(store.lock_for_writing(TaskId::NONE, block));
        assert_eq!(store.unlock_all(one), []);
        assert_eq!(store.lookup(block).and_then(|known| known.writer), Some(TaskId::NONE));
    }

    #[test]
    fn a_slot_is_used_again_without_leaving_traces() {
        let mut store = MemoryStore::default();
        let entry = Entry { size: 5, mode: MemoryMode::OnHeap, form: EntryForm::Bytes };
        for round in 0..3 {
            for split in 0..4 {
                let block = BlockId::Rdd { rdd: round, split };
                assert!(store.lock_new_for_writing(TaskId(0), block, StorageLevel::MEMORY_ONLY));
                store.insert(block, entry);
                store.unlock(TaskId(0), block);
            }
            assert_eq!(store.touch(BlockId::Rdd { rdd: round, split: 0 }), Some(entry));
            let order: Vec<_> = store.entries().map(|(block, _)| block).collect();
            assert_eq!(order, [1, 2, 3, 0].map(|split| BlockId::Rdd { rdd: round, split }));
            for block in order {
                assert_eq!(store.take_entry(block), Some(entry));
                store.forget(block);
            }
            assert_eq!((store.entry_count(), store.blocks.len()), (0, 4));
        }
    }

    #[test]
    fn blocks_of_an_rdd_are_found_by_partition() {
        let mut store = MemoryStore::default();
        for (rdd, split) in [(2, 1), (1, 7), (2, 0), (3, 0)] {
            assert!(store.lock_new_for_writing(
                TaskId(0),
                BlockId::Rdd { rdd, split },
                StorageLevel::DISK_ONLY
            ));
        }
        store.set_on_disk(BlockId::Rdd { rdd: 2, split: 1 });
        let found: Vec<_> = store.blocks_of_rdd(2).map(|(block, known)| (block, known.on_disk)).collect();
        assert_eq!(
            found,
            [(BlockId::Rdd { rdd: 2, split: 0 }, false), (BlockId::Rdd { rdd: 2, split: 1 }, true)]
        );
    }
}
