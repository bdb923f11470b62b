//! The memory of one executor: an execution and a storage pool for each mode, the border between them and the blocks in
//! storage. Follows `UnifiedMemoryManager` of Spark 3.5 and 4.1 and `StaticMemoryManager` of 2.4. Every method is what
//! happens while one thread holds the manager's monitor; waiting and waking are left to the caller, who sees by
//! [`MemoryManager::wakeups`] when waiting threads would have been notified.

use std::sync::Arc;

use super::eviction::UsePlan;
use super::execution_pool::ExecutionPool;
use super::grant::{ExecutionError, Grant, OffHeapStorageUnsupported};
use super::regions::{StaticRegions, UnifiedRegions};
use super::storage_pool::StoragePool;
use super::store::{BlockDropped, Entry, EntryForm, MemoryStore, Put, Removed};
use super::{BlockId, MemoryMode, StorageLevel, TaskId};
use crate::conf::EvictionPolicy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unified,
    Static { max_unroll: u64 },
}

/// The pools of one mode.
#[derive(Clone, Debug)]
struct Pools {
    execution: ExecutionPool,
    storage: StoragePool,
    /// Both together; constant.
    total: u64,
    /// What execution cannot take from blocks.
    storage_region: u64,
    /// Bytes used by others who do not ask (UMM-13).
    unmanaged: u64,
}

impl Pools {
    fn new(total: u64, storage_region: u64) -> Self {
        assert!(
            storage_region <= total,
            "a storage region of {storage_region} bytes does not fit into {total} bytes"
        );
        let execution = ExecutionPool::new(total - storage_region);
        Self { execution, storage: StoragePool::new(storage_region), total, storage_region, unmanaged: 0 }
    }
}

/// The memory manager of one executor with its blocks.
#[derive(Clone, Debug)]
pub struct MemoryManager {
    kind: Kind,
    pools: [Pools; 2],
    store: MemoryStore,
    wakeups: u64,
    dropped: Vec<BlockDropped>,
    victims: Vec<u32>,
    ample: [u64; 2],
}

impl MemoryManager {
    /// A unified manager, as every Spark since 1.6 has by default.
    ///
    /// # Panics
    /// Panics when a storage region is larger than the region it is part of.
    pub fn unified(regions: UnifiedRegions) -> Self {
        let on_heap = Pools::new(regions.on_heap, regions.on_heap_storage);
        let off_heap = Pools::new(regions.off_heap, regions.off_heap_storage);
        Self::new(Kind::Unified, [on_heap, off_heap])
    }

    /// A static manager, as with `spark.memory.useLegacyMode` up to 2.4. Its off-heap memory is all execution (LEG-5).
    pub fn fixed(regions: StaticRegions) -> Self {
        let on_heap = Pools::new(regions.execution + regions.storage, regions.storage);
        let off_heap = Pools::new(regions.off_heap, 0);
        Self::new(Kind::Static { max_unroll: regions.max_unroll }, [on_heap, off_heap])
    }

    fn new(kind: Kind, pools: [Pools; 2]) -> Self {
        Self {
            kind,
            pools,
            store: MemoryStore::default(),
            wakeups: 0,
            dropped: Vec::new(),
            victims: Vec::new(),
            ample: [if kind == Kind::Unified { 0 } else { u64::MAX }; 2],
        }
    }

    /// Evicts by another policy than Spark's from now on. Blocks that are in memory already count as stored in their
    /// order of use.
    pub fn set_eviction(&mut self, policy: EvictionPolicy, plan: Arc<UsePlan>) {
        self.store.set_eviction(policy, plan);
    }

    /// Sets the first step of the [`UsePlan`] that is not complete.
    pub fn set_step(&mut self, step: u32) {
        self.store.set_step(step);
    }

    /// The execution pool of a mode.
    pub fn execution(&self, mode: MemoryMode) -> &ExecutionPool {
        &self.pools[mode.index()].execution
    }

    /// The storage pool of a mode.
    pub fn storage(&self, mode: MemoryMode) -> &StoragePool {
        &self.pools[mode.index()].storage
    }

    /// Blocks and their locks.
    pub fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// Blocks and their locks, to lock, unlock and touch.
    pub fn store_mut(&mut self) -> &mut MemoryStore {
        &mut self.store
    }

    /// Execution memory of a task in both modes.
    pub fn execution_held_by(&self, task: TaskId) -> u64 {
        self.pools.iter().map(|pools| pools.execution.held_by(task).unwrap_or(0)).sum()
    }

    /// The most that storage could have now if all blocks could be evicted: what execution does not hold.
    pub fn max_storage(&self, mode: MemoryMode) -> u64 {
        let pools = &self.pools[mode.index()];
        match self.kind {
            Kind::Unified => pools.total - pools.execution.used(),
            Kind::Static { .. } => pools.storage_region,
        }
    }

    /// The most that the execution pool could grow to now: all but what storage holds of its region (UMM-3).
    pub fn max_execution(&self, mode: MemoryMode) -> u64 {
        let Pools { execution, storage, total, storage_region, unmanaged } = &self.pools[mode.index()];
        match self.kind {
            Kind::Unified => (total - storage.used().min(*storage_region)).saturating_sub(*unmanaged),
            Kind::Static { .. } => execution.size(),
        }
    }

    /// A size of a mode's pools, both together, that is ample for all that was asked so far, bytes. While they have as much,
    /// every request was granted whole, nobody waited, spilled or was evicted for lack of memory, and all would have gone the
    /// same way with any larger pools and with any border between them. Never known of a static manager.
    pub fn ample(&self, mode: MemoryMode) -> u64 {
        self.ample[mode.index()]
    }

    /// Somebody outside acted on there being `bytes` in the pools of a mode.
    pub fn relied_on(&mut self, bytes: u64, mode: MemoryMode) {
        let ample = &mut self.ample[mode.index()];
        *ample = bytes.max(*ample);
    }

    /// Whether as many tasks, of which one holds `held` bytes, could take `each` and some more without anybody coming short or
    /// any block being evicted.
    pub fn has_room(&mut self, tasks: u64, each: u64, held: u64, mode: MemoryMode) -> bool {
        let Pools { execution, storage, unmanaged, .. } = &self.pools[mode.index()];
        let most = self.max_execution(mode);
        let free = most.saturating_sub(execution.used()).min(execution.free() + storage.free());
        let (together, fair) = (each * tasks, (held + each) * tasks);
        let room = together < free && fair < most;
        let ample = storage.used() + unmanaged + (execution.used() + together).max(fair) + 1;
        self.relied_on(ample, mode);
        room
    }

    /// How many times all waiting threads were notified since the start (EXEC-6). When it has grown, everybody who
    /// waits has to try again; in which order is the caller's choice, as it is the JVM's.
    pub fn wakeups(&self) -> u64 {
        self.wakeups
    }

    /// Takes the evictions since the last call, in order.
    pub fn take_events(&mut self) -> Vec<BlockDropped> {
        std::mem::take(&mut self.dropped)
    }

    /// Whether there were evictions since they were last taken.
    pub fn has_events(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Hands the evictions since the last call to `each`, in order, and keeps the buffer.
    pub fn drain_events(&mut self) -> impl Iterator<Item = BlockDropped> + '_ {
        self.dropped.drain(..)
    }

    /// Sets what the poller of unmanaged memory last found for a mode, in bytes (UMM-13, Spark 4.1). Nobody is woken.
    pub fn set_unmanaged(&mut self, mode: MemoryMode, bytes: u64) {
        self.pools[mode.index()].unmanaged = bytes;
    }

    /// Requests `bytes` of execution memory for a task (UMM-1). A task that was not active becomes so and wakes all
    /// waiters, once in a request (EXEC-1).
    ///
    /// # Errors
    /// Fails on requests that Spark answers with an exception; running short of memory is no error.
    #[inline]
    pub fn acquire_execution(
        &mut self,
        bytes: u64,
        task: TaskId,
        mode: MemoryMode,
    ) -> Result<Grant, ExecutionError> {
        if bytes == 0 {
            return Err(ExecutionError::NothingRequested);
        }
        let (at, fresh) = self.pools[mode.index()].execution.activate(task);
        if fresh {
            self.notify_all();
        }
        self.try_execution(bytes, at, mode)
    }

    /// Tries a waiting request again (EXEC-2 .. EXEC-4).
    ///
    /// # Errors
    /// Fails as [`Self::acquire_execution`] does.
    #[inline]
    pub fn retry_execution(
        &mut self,
        bytes: u64,
        task: TaskId,
        mode: MemoryMode,
    ) -> Result<Grant, ExecutionError> {
        let at = self.pools[mode.index()].execution.position(task);
        self.try_execution(bytes, at.ok_or(ExecutionError::TaskForgotten(task))?, mode)
    }

    /// One attempt of the active task at a position of its pool.
    fn try_execution(&mut self, bytes: u64, at: usize, mode: MemoryMode) -> Result<Grant, ExecutionError> {
        let Pools { execution, storage, unmanaged, .. } = &self.pools[mode.index()];
        let fair = execution.held_at(at).saturating_add(bytes).saturating_mul(execution.tasks().len() as u64);
        let together = execution.used().saturating_add(bytes);
        self.relied_on(together.max(fair).saturating_add(storage.used() + unmanaged), mode);
        if self.kind == Kind::Unified {
            self.grow_execution(bytes, mode)?;
        }
        let max_pool = self.max_execution(mode);
        let pool = &mut self.pools[mode.index()].execution;
        match pool.share(bytes, at, max_pool) {
            Some(grant) => {
                pool.grant(at, grant);
                Ok(Grant::Granted(grant))
            }
            None => Ok(Grant::Wait),
        }
    }

    /// Releases up to `bytes` of a task and wakes all waiters, even for 0 bytes (EXEC-7); returns what was released.
    #[inline]
    pub fn release_execution(&mut self, bytes: u64, task: TaskId, mode: MemoryMode) -> u64 {
        let released = self.pools[mode.index()].execution.release(task, bytes);
        self.notify_all();
        released
    }

    /// Releases all execution memory of a task in both modes (EXEC-8); returns the bytes.
    pub fn release_all_execution_for_task(&mut self, task: TaskId) -> u64 {
        MemoryMode::ALL.into_iter().map(|mode| self.release_execution(u64::MAX, task, mode)).sum()
    }

    /// Requests storage memory for a block, evicting others if need be (UMM-5 .. UMM-7, LEG-3).
    ///
    /// # Errors
    /// Fails for off-heap memory under the static manager.
    pub fn acquire_storage(
        &mut self,
        block: BlockId,
        bytes: u64,
        mode: MemoryMode,
    ) -> Result<bool, OffHeapStorageUnsupported> {
        self.check_storage_mode(mode)?;
        let max_storage = self.max_storage(mode);
        let Pools { execution, storage, unmanaged, .. } = &self.pools[mode.index()];
        self.relied_on((execution.used() + storage.used() + unmanaged).saturating_add(bytes), mode);
        let Pools { execution, storage, unmanaged, .. } = &mut self.pools[mode.index()];
        match self.kind {
            Kind::Unified => {
                if bytes > max_storage.saturating_sub(*unmanaged) {
                    return Ok(false);
                }
                // Borrowed bytes stay borrowed even if the block does not fit in the end (UMM-7).
                let missing = bytes.saturating_sub(storage.free());
                let borrowed = missing.min(execution.free());
                execution.shrink(borrowed);
                storage.grow(borrowed);
            }
            Kind::Static { .. } => {
                if bytes > max_storage {
                    return Ok(false);
                }
            }
        }
        let to_free = bytes.saturating_sub(self.storage(mode).free());
        Ok(self.take_storage(block, bytes, to_free, mode))
    }

    /// Requests memory to unroll a block (UMM-8, LEG-4).
    ///
    /// # Errors
    /// Fails for off-heap memory under the static manager.
    pub fn acquire_unroll(
        &mut self,
        block: BlockId,
        bytes: u64,
        mode: MemoryMode,
    ) -> Result<bool, OffHeapStorageUnsupported> {
        let Kind::Static { max_unroll } = self.kind else {
            return self.acquire_storage(block, bytes, mode);
        };
        self.check_storage_mode(mode)?;
        let free = self.storage(mode).free();
        let max_to_free = max_unroll.saturating_sub(self.store.unroll_total()).saturating_sub(free);
        let to_free = max_to_free.min(bytes.saturating_sub(free));
        Ok(self.take_storage(block, bytes, to_free, mode))
    }

    /// Releases storage memory; more than is used empties the pool (STOR-3). Nobody is woken.
    pub fn release_storage(&mut self, bytes: u64, mode: MemoryMode) {
        self.pools[mode.index()].storage.release(bytes);
    }

    /// Releases unroll memory that no task is charged with (UMM-8).
    pub fn release_unroll(&mut self, bytes: u64, mode: MemoryMode) {
        self.release_storage(bytes, mode);
    }

    /// Reserves unroll memory and charges a task with it (UNROLL-7).
    ///
    /// # Errors
    /// Fails for off-heap memory under the static manager.
    pub fn reserve_unroll_for_task(
        &mut self,
        task: TaskId,
        block: BlockId,
        bytes: u64,
        mode: MemoryMode,
    ) -> Result<bool, OffHeapStorageUnsupported> {
        let granted = self.acquire_unroll(block, bytes, mode)?;
        if granted {
            self.store.add_unroll(task, bytes, mode);
        }
        Ok(granted)
    }

    /// Releases up to `bytes` of the unroll memory a task is charged with; returns what was released.
    pub fn release_unroll_for_task(&mut self, task: TaskId, bytes: u64, mode: MemoryMode) -> u64 {
        let released = self.store.take_unroll(task, bytes, mode);
        self.release_storage(released, mode);
        released
    }

    /// Puts a block of known size in serialized form: it is locked for writing while room is made, and known and
    /// unlocked, or forgotten, afterwards (UNROLL-9).
    ///
    /// # Errors
    /// Fails for off-heap memory under the static manager.
    pub fn put_bytes(
        &mut self,
        task: TaskId,
        block: BlockId,
        bytes: u64,
        mode: MemoryMode,
        level: StorageLevel,
    ) -> Result<Put, OffHeapStorageUnsupported> {
        self.check_storage_mode(mode)?;
        let Some(slot) = self.store.begin_put(task, block, level) else { return Ok(Put::Known) };
        if self.acquire_storage(block, bytes, mode)? {
            self.store.end_put(slot, Entry { size: bytes, mode, form: EntryForm::Bytes });
            Ok(Put::Stored)
        } else {
            self.store.forget(block);
            Ok(Put::Refused)
        }
    }

    /// Stores the bytes of a block that is known and not in memory, such as one read back from disk (BLOCK-3); false,
    /// and the block as before, when there is no room.
    ///
    /// # Errors
    /// Fails for off-heap memory under the static manager.
    pub fn store_bytes(
        &mut self,
        block: BlockId,
        bytes: u64,
        mode: MemoryMode,
    ) -> Result<bool, OffHeapStorageUnsupported> {
        let granted = self.acquire_storage(block, bytes, mode)?;
        if granted {
            self.store.insert(block, Entry { size: bytes, mode, form: EntryForm::Bytes });
        }
        Ok(granted)
    }

    /// Turns what was unrolled into an entry: gives `held` of the task back and takes exactly the entry's size, with
    /// nobody in between (UNROLL-5). False, and all given back, if that is not to be had; see
    /// [`UnrollOutcome::Failed`](super::UnrollOutcome::Failed).
    pub(crate) fn store_unrolled(&mut self, task: TaskId, block: BlockId, held: u64, entry: Entry) -> bool {
        self.release_unroll_for_task(task, held, entry.mode);
        let granted = self.acquire_storage(block, entry.size, entry.mode) == Ok(true);
        if granted {
            self.store.insert(block, entry);
        }
        granted
    }

    /// Forgets a block that is known and not in memory, such as one whose put failed.
    pub fn forget_block(&mut self, block: BlockId) {
        self.store.forget(block);
    }

    /// Removes a block from memory and disk and forgets it; `None` when it is locked or not known (BLOCK-13).
    pub fn remove_block(&mut self, task: TaskId, block: BlockId) -> Option<Removed> {
        if !self.store.lock_for_writing(task, block) {
            return None;
        }
        let disk = self.store.lookup(block).is_some_and(|known| known.on_disk);
        let entry = self.store.take_entry(block);
        if let Some(entry) = entry {
            self.release_storage(entry.size, entry.mode);
        }
        self.store.forget(block);
        Some(Removed { memory: entry.is_some(), disk })
    }

    /// Forgets all blocks, locks and unroll memory and empties the storage pools; their sizes stay.
    pub fn clear_blocks(&mut self) {
        self.store.clear();
        self.pools.iter_mut().for_each(|pools| pools.storage.release_all());
    }

    /// Ends a task: its unroll memory and its locks are given up and waiters are notified (TMM-11 steps 1 to 3);
    /// returns the blocks that were unlocked.
    pub fn end_task(&mut self, task: TaskId) -> Vec<BlockId> {
        for mode in MemoryMode::ALL {
            self.release_unroll_for_task(task, u64::MAX, mode);
        }
        self.notify_all();
        self.store.unlock_all(task)
    }

    /// Evicts blocks until `space` bytes are free that were not, for a block that comes in or for nobody. Returns the
    /// bytes of the dropped blocks; 0, and nothing dropped, when there are not enough (EVICT-1 .. EVICT-5).
    pub fn evict_blocks(&mut self, incoming: Option<BlockId>, space: u64, mode: MemoryMode) -> u64 {
        let mut victims = std::mem::take(&mut self.victims);
        let freed = self.store.select_victims(incoming, space, mode, &mut victims);
        for &victim in &victims {
            let dropped = self.store.drop_victim(victim);
            self.pools[mode.index()].storage.release(dropped.size);
            self.dropped.push(dropped);
        }
        self.victims = victims;
        freed
    }

    /// Moves bytes from storage to execution, first free ones, then those of evicted blocks as far as storage has grown
    /// beyond its region (UMM-2). May move more than is missing because blocks go as a whole.
    fn grow_execution(&mut self, wanted: u64, mode: MemoryMode) -> Result<(), ExecutionError> {
        let Pools { execution, storage, storage_region, .. } = &self.pools[mode.index()];
        let missing = wanted.saturating_sub(execution.free());
        let reclaimable = storage.free().max(storage.size().saturating_sub(*storage_region));
        let wanted = missing.min(reclaimable);
        if wanted == 0 {
            return Ok(());
        }
        let mut moved = wanted.min(storage.free());
        if wanted > moved {
            moved += self.evict_blocks(None, wanted - moved, mode);
        }
        let pools = &mut self.pools[mode.index()];
        if !pools.storage.shrink(moved) {
            return Err(ExecutionError::PoolsOutOfStep);
        }
        pools.execution.grow(moved);
        Ok(())
    }

    /// Evicts `to_free` bytes, then takes `bytes` if they fit (STOR-1).
    fn take_storage(&mut self, block: BlockId, bytes: u64, to_free: u64, mode: MemoryMode) -> bool {
        if to_free > 0 {
            self.evict_blocks(Some(block), to_free, mode);
        }
        self.pools[mode.index()].storage.take(bytes)
    }

    fn check_storage_mode(&self, mode: MemoryMode) -> Result<(), OffHeapStorageUnsupported> {
        match (self.kind, mode) {
            (Kind::Static { .. }, MemoryMode::OffHeap) => Err(OffHeapStorageUnsupported),
            _ => Ok(()),
        }
    }

    fn notify_all(&mut self) {
        self.wakeups += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: MemoryMode = MemoryMode::OnHeap;
    const TASK: TaskId = TaskId(1);
    const BLOCK: BlockId = BlockId::Rdd { rdd: 1, split: 0 };

    fn manager() -> MemoryManager {
        MemoryManager::unified(UnifiedRegions {
            on_heap: 1000,
            on_heap_storage: 500,
            off_heap: 0,
            off_heap_storage: 0,
        })
    }

    #[test]
    fn a_block_read_back_from_disk_is_not_written_twice() {
        // BLOCK-3, BLOCK-9: the file stays when the block returns to memory.
        let mut manager = manager();
        let level = StorageLevel::MEMORY_AND_DISK_SER;
        assert_eq!(manager.put_bytes(TASK, BLOCK, 400, ON, level), Ok(Put::Stored));
        assert_eq!(manager.evict_blocks(None, 1, ON), 400);
        assert_eq!(manager.store_bytes(BLOCK, 400, ON), Ok(true));
        assert_eq!(manager.evict_blocks(None, 1, ON), 400);
        let written: Vec<_> =
            manager.take_events().iter().map(|drop| (drop.to_disk, drop.stays_on_disk)).collect();
        assert_eq!(written, [(true, true), (false, true)]);
        assert_eq!(manager.remove_block(TASK, BLOCK), Some(Removed { memory: false, disk: true }));
    }

    #[test]
    fn waiters_are_woken_by_releases_of_nothing_and_by_new_tasks_only() {
        // EXEC-1, EXEC-6, UMM-9
        let mut manager = manager();
        let mut woken = |act: &mut dyn FnMut(&mut MemoryManager)| {
            let before = manager.wakeups();
            act(&mut manager);
            manager.wakeups() - before
        };
        assert_eq!(woken(&mut |manager| _ = manager.acquire_execution(10, TASK, ON)), 1);
        assert_eq!(woken(&mut |manager| _ = manager.acquire_execution(10, TASK, ON)), 0);
        assert_eq!(woken(&mut |manager| _ = manager.retry_execution(10, TASK, ON)), 0);
        assert_eq!(woken(&mut |manager| _ = manager.release_execution(0, TASK, ON)), 1);
        assert_eq!(woken(&mut |manager| _ = manager.release_execution(0, TaskId(9), ON)), 1);
        assert_eq!(woken(&mut |manager| manager.release_storage(10, ON)), 0);
        assert_eq!(woken(&mut |manager| manager.set_unmanaged(ON, 10)), 0);
        assert_eq!(woken(&mut |manager| manager.clear_blocks()), 0);
        assert_eq!(woken(&mut |manager| _ = manager.end_task(TASK)), 1);
    }

    #[test]
    fn a_waiter_whose_task_is_released_fails() {
        let mut manager = manager();
        assert_eq!(manager.acquire_execution(1000, TaskId(0), ON), Ok(Grant::Granted(1000)));
        assert_eq!(manager.acquire_execution(300, TASK, ON), Ok(Grant::Wait));
        manager.release_all_execution_for_task(TASK);
        assert_eq!(manager.retry_execution(300, TASK, ON), Err(ExecutionError::TaskForgotten(TASK)));
        assert_eq!(manager.acquire_execution(0, TASK, ON), Err(ExecutionError::NothingRequested));
        assert_eq!(manager.execution(ON).held_by(TASK), None);
    }

    #[test]
    fn storage_released_twice_is_noticed_when_execution_grows() {
        let mut manager = manager();
        assert_eq!(manager.put_bytes(TASK, BLOCK, 800, ON, StorageLevel::MEMORY_ONLY_SER), Ok(Put::Stored));
        manager.release_storage(200, ON);
        // 200 bytes seem free, for 100 more the block goes: 1000 bytes of a pool of 800.
        assert_eq!(manager.acquire_execution(500, TASK, ON), Err(ExecutionError::PoolsOutOfStep));
        assert_eq!((manager.storage(ON).size(), manager.execution(ON).size()), (800, 200));
    }

    #[test]
    fn the_static_manager_borrows_nothing_and_has_no_off_heap_storage() {
        // LEG-3, LEG-5
        let regions = StaticRegions { execution: 100, storage: 400, max_unroll: 80, off_heap: 50 };
        let mut manager = MemoryManager::fixed(regions);
        assert_eq!(manager.acquire_execution(300, TASK, ON), Ok(Grant::Granted(100)));
        assert_eq!(manager.acquire_storage(BLOCK, 401, ON), Ok(false));
        assert_eq!(manager.acquire_storage(BLOCK, 400, ON), Ok(true));
        assert_eq!((manager.max_storage(ON), manager.max_storage(MemoryMode::OffHeap)), (400, 0));
        assert_eq!(manager.acquire_execution(60, TASK, MemoryMode::OffHeap), Ok(Grant::Granted(50)));
        assert_eq!(manager.acquire_storage(BLOCK, 1, MemoryMode::OffHeap), Err(OffHeapStorageUnsupported));
        let put = manager.put_bytes(TASK, BLOCK, 1, MemoryMode::OffHeap, StorageLevel::OFF_HEAP);
        assert_eq!((put, manager.store().lookup(BLOCK)), (Err(OffHeapStorageUnsupported), None));
    }
}
