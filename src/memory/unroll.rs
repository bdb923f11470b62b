//! Unrolling: putting values of unknown size into memory while counting. Follows `MemoryStore.putIterator` of Spark
//! 2.4, 3.5 and 4.1 (spark-memory 5.3). The sizes, estimated and precise, come from the caller; so does the decision to
//! stop when the task is interrupted (UNROLL-3), by dropping the state and releasing what it held.

use super::store::{Entry, EntryForm};
use super::{BlockId, MemoryManager, MemoryMode, OffHeapStorageUnsupported, StorageLevel, TaskId};

/// How memory for unrolling is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnrollSettings {
    /// First reservation in bytes, `spark.storage.unrollMemoryThreshold`.
    pub initial_threshold: u64,
    /// Elements between two looks at the size, `spark.storage.unrollMemoryCheckPeriod`.
    pub check_period: u64,
    /// What the size is multiplied with to get the next reservation, `spark.storage.unrollMemoryGrowthFactor`.
    pub growth_factor: f64,
}

impl Default for UnrollSettings {
    /// The defaults of Spark 3.5 and 4.1 (constants in 2.4).
    fn default() -> Self {
        Self { initial_threshold: 1 << 20, check_period: 16, growth_factor: 1.5 }
    }
}

/// How unrolling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnrollOutcome {
    /// Memory holds the block with its precise size.
    Stored {
        /// The size in bytes.
        size: u64,
    },
    /// There was no room. The task is still charged with what was reserved and must release it once the unrolled
    /// elements are consumed ([`MemoryManager::release_unroll_for_task`]).
    ///
    /// With nothing held after reservations that were granted, memory is charged as unmanaged (UMM-13): it stands in the
    /// way of the whole size, but not of each step to it. Spark 4.1 fails the task with an `AssertionError` there.
    Failed {
        /// The reserved bytes.
        held: u64,
    },
}

/// A block being unrolled by a task.
#[derive(Clone, Debug)]
pub struct Unroll {
    settings: UnrollSettings,
    task: TaskId,
    block: BlockId,
    mode: MemoryMode,
    threshold: u64,
    held: u64,
    accepting: bool,
}

impl Unroll {
    /// Makes the first reservation (UNROLL-1). The block must be known and locked for writing by the task.
    ///
    /// # Errors
    /// Fails for off-heap memory under the static manager.
    pub fn start(
        manager: &mut MemoryManager,
        settings: UnrollSettings,
        task: TaskId,
        block: BlockId,
        mode: MemoryMode,
    ) -> Result<Self, OffHeapStorageUnsupported> {
        let threshold = settings.initial_threshold;
        let accepting = manager.reserve_unroll_for_task(task, block, threshold, mode)?;
        let held = if accepting { threshold } else { 0 };
        Ok(Self { settings, task, block, mode, threshold, held, accepting })
    }

    /// Whether elements are still taken; when not, only [`Self::finish`] is left.
    pub fn is_accepting(&self) -> bool {
        self.accepting
    }

    /// Bytes reserved so far.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The least number of elements, `elements` (1 or more) or beyond, after which the size is looked at.
    pub fn next_check(&self, elements: u64) -> u64 {
        // Spark looks where the index, counted from 0, of the element just added is a multiple of the period.
        (elements - 1)
            .checked_next_multiple_of(self.settings.check_period)
            .map_or(u64::MAX, |index| index + 1)
    }

    /// The estimated size from which on the next check reserves more, for callers that skip checks without effect.
    pub fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Looks at the estimated size at a check point and reserves more if need be (UNROLL-2); returns whether elements
    /// are still taken.
    pub fn check(&mut self, manager: &mut MemoryManager, estimated: u64) -> bool {
        if self.accepting && estimated >= self.threshold {
            // Spark multiplies in doubles and truncates. A factor below 1 could ask for less than nothing, which
            // Spark's pools refuse with an assertion; valid factors are larger.
            let request = (estimated as f64 * self.settings.growth_factor - self.threshold as f64) as u64;
            self.accepting = self.reserve(manager, request);
            self.threshold += request;
        }
        self.accepting
    }

    /// Ends unrolling with the precise size of all elements, which is ignored when they were not all taken
    /// (UNROLL-4, UNROLL-5).
    pub fn finish(mut self, manager: &mut MemoryManager, precise: u64, form: EntryForm) -> UnrollOutcome {
        if self.accepting && precise > self.held {
            self.accepting = self.reserve(manager, precise - self.held);
        }
        if !self.accepting {
            return UnrollOutcome::Failed { held: self.held };
        }
        let entry = Entry { size: precise, mode: self.mode, form };
        if manager.store_unrolled(self.task, self.block, self.held, entry) {
            UnrollOutcome::Stored { size: precise }
        } else {
            UnrollOutcome::Failed { held: 0 }
        }
    }

    fn reserve(&mut self, manager: &mut MemoryManager, bytes: u64) -> bool {
        let granted = manager
            .reserve_unroll_for_task(self.task, self.block, bytes, self.mode)
            .expect("the first reservation was made in the same mode");
        if granted {
            self.held += bytes;
        }
        granted
    }
}

impl MemoryManager {
    /// Puts a block of values that are all at hand, in the form of its level, and unlocks it: memory holds it, or the disk
    /// where the level uses that, or it is forgotten. Tells whether memory holds it; `None` when it was known before.
    pub fn put_values(
        &mut self,
        settings: UnrollSettings,
        task: TaskId,
        block: BlockId,
        level: StorageLevel,
        bytes: u64,
    ) -> Option<bool> {
        if !self.store_mut().lock_new_for_writing(task, block, level) {
            return None;
        }
        let stored = level.use_memory && self.unroll_whole(settings, task, block, level, bytes);
        if !stored && level.use_disk {
            self.store_mut().set_on_disk(block);
        }
        self.store_mut().unlock(task, block);
        if !stored && !level.use_disk {
            self.forget_block(block);
        }
        Some(stored)
    }

    /// Brings the values of a block that only the disk holds back into memory, if nobody has it locked and there is room;
    /// tells whether memory holds it now.
    pub fn reload_values(
        &mut self,
        settings: UnrollSettings,
        task: TaskId,
        block: BlockId,
        bytes: u64,
    ) -> bool {
        let Some(known) = self.store().lookup(block) else { return false };
        if known.entry.is_some() || !self.store_mut().lock_for_writing(task, block) {
            return known.entry.is_some();
        }
        let stored = known.level.use_memory && self.unroll_whole(settings, task, block, known.level, bytes);
        self.store_mut().unlock(task, block);
        stored
    }

    fn unroll_whole(
        &mut self,
        settings: UnrollSettings,
        task: TaskId,
        block: BlockId,
        level: StorageLevel,
        bytes: u64,
    ) -> bool {
        let mode = level.memory_mode();
        let Ok(mut unroll) = Unroll::start(self, settings, task, block, mode) else { return false };
        unroll.check(self, bytes);
        match unroll.finish(self, bytes, EntryForm::of(level)) {
            UnrollOutcome::Stored { .. } => true,
            UnrollOutcome::Failed { held } => {
                self.release_unroll_for_task(task, held, mode);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{StorageLevel, UnifiedRegions};

    const TASK: TaskId = TaskId(4);
    const BLOCK: BlockId = BlockId::Rdd { rdd: 1, split: 1 };
    const MODE: MemoryMode = MemoryMode::OnHeap;

    /// Unrolls a block with the given estimates and precise size in a heap; returns the outcome, the checks made and
    /// what the task still holds.
    fn unroll(heap: u64, estimates: &[u64], precise: u64) -> (UnrollOutcome, usize, u64) {
        let regions =
            UnifiedRegions { on_heap: heap, on_heap_storage: heap, off_heap: 0, off_heap_storage: 0 };
        let mut manager = MemoryManager::unified(regions);
        assert!(manager.store_mut().lock_new_for_writing(TASK, BLOCK, StorageLevel::MEMORY_ONLY));
        let settings = UnrollSettings { initial_threshold: 100, ..UnrollSettings::default() };
        let mut unroll = Unroll::start(&mut manager, settings, TASK, BLOCK, MODE).unwrap();
        let mut checks = 0;
        for &estimate in estimates {
            if !unroll.is_accepting() {
                break;
            }
            unroll.check(&mut manager, estimate);
            checks += 1;
        }
        let outcome = unroll.finish(&mut manager, precise, EntryForm::Values);
        let held = manager.store().unroll_held(TASK, MODE).unwrap_or(0);
        let stored = manager.store().contains(BLOCK);
        assert_eq!(stored, matches!(outcome, UnrollOutcome::Stored { .. }));
        assert_eq!(manager.storage(MODE).used(), if stored { precise + held } else { held });
        (outcome, checks, held)
    }

    #[test]
    fn reservations_grow_by_half_of_what_is_there() {
        // 100, then trunc(101 x 1.5 - 100) = 51, then trunc(151 x 1.5 - 151) = 75.
        assert_eq!(unroll(227, &[99, 101, 151], 90), (UnrollOutcome::Stored { size: 90 }, 3, 0));
        assert_eq!(unroll(225, &[99, 101, 151, 9], 90), (UnrollOutcome::Failed { held: 151 }, 3, 151));
    }

    #[test]
    fn the_precise_size_has_to_fit_too() {
        assert_eq!(unroll(101, &[10], 101), (UnrollOutcome::Stored { size: 101 }, 1, 0));
        assert_eq!(unroll(100, &[10], 101), (UnrollOutcome::Failed { held: 100 }, 1, 100));
    }

    #[test]
    fn without_a_first_reservation_nothing_is_read() {
        assert_eq!(unroll(99, &[10], 10), (UnrollOutcome::Failed { held: 0 }, 0, 0));
    }

    #[test]
    fn values_that_do_not_fit_go_to_disk_or_are_forgotten() {
        let put = |level: StorageLevel, bytes: u64| {
            let regions =
                UnifiedRegions { on_heap: 500, on_heap_storage: 500, off_heap: 0, off_heap_storage: 0 };
            let mut manager = MemoryManager::unified(regions);
            let settings = UnrollSettings { initial_threshold: 100, ..UnrollSettings::default() };
            let stored = manager.put_values(settings, TASK, BLOCK, level, bytes);
            let found = manager.store().lookup(BLOCK);
            assert!(found.is_none_or(|found| found.writer.is_none() && found.readers == 0));
            let used = manager.storage(MODE).used();
            // What is known is not put again.
            assert_eq!(manager.put_values(settings, TASK, BLOCK, level, bytes).is_none(), found.is_some());
            (stored, used, found.map(|found| found.on_disk))
        };
        // 300 bytes reserve 450 on the way, 400 would 600.
        assert_eq!(put(StorageLevel::MEMORY_AND_DISK, 300), (Some(true), 300, Some(false)));
        assert_eq!(put(StorageLevel::MEMORY_AND_DISK, 400), (Some(false), 0, Some(true)));
        assert_eq!(put(StorageLevel::MEMORY_ONLY, 400), (Some(false), 0, None));
        assert_eq!(put(StorageLevel::DISK_ONLY, 300), (Some(false), 0, Some(true)));
    }

    #[test]
    fn values_come_back_from_disk_once_there_is_room() {
        let regions = UnifiedRegions { on_heap: 500, on_heap_storage: 500, off_heap: 0, off_heap_storage: 0 };
        let mut manager = MemoryManager::unified(regions);
        let settings = UnrollSettings { initial_threshold: 100, ..UnrollSettings::default() };
        assert!(manager.acquire_execution(400, TASK, MODE).is_ok());
        assert_eq!(
            manager.put_values(settings, TASK, BLOCK, StorageLevel::MEMORY_AND_DISK, 300),
            Some(false)
        );
        let reload = |manager: &mut MemoryManager| manager.reload_values(settings, TASK, BLOCK, 300);
        assert!(!reload(&mut manager));
        manager.release_all_execution_for_task(TASK);
        assert!(manager.store_mut().lock_for_reading(TASK, BLOCK) && !reload(&mut manager));
        manager.store_mut().unlock(TASK, BLOCK);
        assert!(reload(&mut manager) && reload(&mut manager));
        assert_eq!(manager.storage(MODE).used(), 300);
    }

    #[test]
    fn unmanaged_memory_may_refuse_the_whole_after_all_its_parts() {
        let regions =
            UnifiedRegions { on_heap: 1000, on_heap_storage: 1000, off_heap: 0, off_heap_storage: 0 };
        let mut manager = MemoryManager::unified(regions);
        manager.set_unmanaged(MODE, 200);
        assert!(manager.store_mut().lock_new_for_writing(TASK, BLOCK, StorageLevel::MEMORY_ONLY));
        let settings = UnrollSettings { initial_threshold: 500, ..UnrollSettings::default() };
        let mut unroll = Unroll::start(&mut manager, settings, TASK, BLOCK, MODE).unwrap();
        assert!(unroll.check(&mut manager, 600));
        // 500 and 400 bytes were each below the 800 that are not unmanaged; 850 are not.
        assert_eq!(unroll.held(), 900);
        let outcome = unroll.finish(&mut manager, 850, EntryForm::Values);
        assert_eq!(outcome, UnrollOutcome::Failed { held: 0 });
        assert_eq!((manager.storage(MODE).used(), manager.store().entry_count()), (0, 0));
    }
}
