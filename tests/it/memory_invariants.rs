//! What must hold of a memory manager whatever is asked of it: no byte appears, vanishes or is held by nobody, and
//! nobody waits for a share that is free. Once over all sequences of six operations on a small manager, and over long
//! random ones that shrink to short ones when they fail.

use std::sync::Arc;

use proptest::prelude::*;
use spillcast::conf::EvictionPolicy;
use spillcast::memory::{
    BlockId, Entry, EntryForm, Grant, Lookup, MemoryManager, MemoryMode, StorageLevel, TaskId,
    UnifiedRegions, Unroll, UnrollOutcome, UnrollSettings,
};

const ON_HEAP: u64 = 1000;
const OFF_HEAP: u64 = 300;
const POLICIES: [EvictionPolicy; 7] = [
    EvictionPolicy::Lru,
    EvictionPolicy::Fifo,
    EvictionPolicy::Lfu,
    EvictionPolicy::Lrc,
    EvictionPolicy::Mrd,
    EvictionPolicy::Cost,
    EvictionPolicy::Belady,
];

#[derive(Clone, Debug)]
enum Action {
    Acquire { task: i64, bytes: u64, mode: MemoryMode },
    Release { task: i64, bytes: u64, mode: MemoryMode },
    Put { block: u32, bytes: u64, mode: MemoryMode, level: StorageLevel },
    Unroll { task: i64, block: u32, sizes: Vec<u64> },
    Read { task: i64, block: u32 },
    Remove { block: u32 },
    Unmanaged { bytes: u64 },
    EndTask { task: i64 },
}

fn mode() -> impl Strategy<Value = MemoryMode> {
    prop_oneof![3 => Just(MemoryMode::OnHeap), 1 => Just(MemoryMode::OffHeap)]
}

fn execution() -> impl Strategy<Value = Action> {
    let (task, bytes) = (0..5_i64, 1..600_u64);
    prop_oneof![
        (task.clone(), bytes.clone(), mode()).prop_map(|(task, bytes, mode)| Action::Acquire {
            task,
            bytes,
            mode
        }),
        (task.clone(), 0..600_u64, mode()).prop_map(|(task, bytes, mode)| Action::Release {
            task,
            bytes,
            mode
        }),
        task.prop_map(|task| Action::EndTask { task }),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    let (task, block, bytes) = (0..5_i64, 0..12_u32, 0..700_u64);
    let level = prop_oneof![Just(StorageLevel::MEMORY_ONLY_SER), Just(StorageLevel::MEMORY_AND_DISK_SER)];
    prop_oneof![
        4 => execution(),
        3 => (block.clone(), bytes.clone(), mode(), level)
            .prop_map(|(block, bytes, mode, level)| Action::Put { block, bytes, mode, level }),
        2 => (task.clone(), block.clone(), prop::collection::vec(bytes, 1..5))
            .prop_map(|(task, block, sizes)| Action::Unroll { task, block, sizes }),
        1 => (task, block.clone()).prop_map(|(task, block)| Action::Read { task, block }),
        1 => block.prop_map(|block| Action::Remove { block }),
        1 => (0..200_u64).prop_map(|bytes| Action::Unmanaged { bytes }),
    ]
}

fn block_of(number: u32) -> BlockId {
    if number < 9 {
        BlockId::Rdd { rdd: number / 3, split: number % 3 }
    } else {
        BlockId::Broadcast(u64::from(number))
    }
}

/// What can be seen of a manager that is no size of a pool.
#[derive(Debug, PartialEq)]
struct Seen {
    blocks: Vec<(BlockId, Option<Entry>, bool)>,
    order_of_use: Vec<BlockId>,
    execution: [Vec<(TaskId, u64)>; 2],
    storage: [u64; 2],
    waiting: Vec<(i64, u64, MemoryMode)>,
    wakeups: u64,
    evicted: usize,
}

#[derive(Clone)]
struct Harness {
    manager: MemoryManager,
    waiting: Vec<(i64, u64, MemoryMode)>,
}

impl Harness {
    fn new() -> Self {
        Self::of([ON_HEAP, OFF_HEAP], 0.4)
    }

    fn of([on_heap, off_heap]: [u64; 2], storage_fraction: f64) -> Self {
        let storage = |total: u64| (total as f64 * storage_fraction) as u64;
        let regions = UnifiedRegions {
            on_heap,
            on_heap_storage: storage(on_heap),
            off_heap,
            off_heap_storage: storage(off_heap),
        };
        Self { manager: MemoryManager::unified(regions), waiting: Vec::new() }
    }

    fn seen(&self) -> Seen {
        let (manager, evicted) = (&self.manager, self.manager.clone().take_events().len());
        let store = manager.store();
        Seen {
            blocks: store.blocks().map(|(block, known)| (block, known.entry, known.on_disk)).collect(),
            order_of_use: store.entries().map(|(block, _)| block).collect(),
            execution: MemoryMode::ALL.map(|mode| manager.execution(mode).tasks().to_vec()),
            storage: MemoryMode::ALL.map(|mode| manager.storage(mode).used()),
            waiting: self.waiting.clone(),
            wakeups: manager.wakeups(),
            evicted,
        }
    }

    fn perform(&mut self, action: Action) {
        let before = self.manager.wakeups();
        let is_waiting = |task: i64| self.waiting.iter().any(|waiter| waiter.0 == task);
        match action {
            // A task whose request waits does nothing else.
            Action::Acquire { task, .. } | Action::Release { task, .. } | Action::EndTask { task }
                if is_waiting(task) => {}
            Action::Acquire { task, bytes, mode } => {
                if self.manager.acquire_execution(bytes, TaskId(task), mode) == Ok(Grant::Wait) {
                    self.waiting.push((task, bytes, mode));
                }
            }
            Action::Release { task, bytes, mode } => {
                self.manager.release_execution(bytes, TaskId(task), mode);
            }
            Action::EndTask { task } => {
                self.manager.end_task(TaskId(task));
                self.manager.release_all_execution_for_task(TaskId(task));
            }
            Action::Put { block, bytes, mode, level } => {
                self.manager.put_bytes(TaskId::NONE, block_of(block), bytes, mode, level).unwrap();
            }
            Action::Unroll { task, block, sizes } => self.unroll(TaskId(task), block_of(block), &sizes),
            Action::Read { task, block } => {
                self.manager.store_mut().lock_for_reading(TaskId(task), block_of(block));
                self.manager.store_mut().touch(block_of(block));
            }
            Action::Remove { block } => {
                self.manager.remove_block(TaskId::NONE, block_of(block));
            }
            Action::Unmanaged { bytes } => self.manager.set_unmanaged(MemoryMode::OnHeap, bytes),
        }
        if self.manager.wakeups() > before {
            self.wake_all();
        }
    }

    fn unroll(&mut self, task: TaskId, block: BlockId, sizes: &[u64]) {
        if !self.manager.store_mut().lock_new_for_writing(task, block, StorageLevel::MEMORY_ONLY) {
            return;
        }
        let settings = UnrollSettings { initial_threshold: 50, check_period: 1, growth_factor: 1.5 };
        let mut unroll = Unroll::start(&mut self.manager, settings, task, block, MemoryMode::OnHeap).unwrap();
        let mut size = 0;
        for more in sizes {
            size += more;
            if !unroll.check(&mut self.manager, size) {
                break;
            }
        }
        match unroll.finish(&mut self.manager, size, EntryForm::Values) {
            UnrollOutcome::Stored { size: stored } => {
                assert_eq!(stored, size);
                self.manager.store_mut().downgrade(task, block);
            }
            // Held until the task ends.
            UnrollOutcome::Failed { .. } => self.manager.forget_block(block),
        }
    }

    /// Lets everybody try again, in order of waiting. Granting wakes nobody.
    fn wake_all(&mut self) {
        let manager = &mut self.manager;
        self.waiting.retain(|&(task, bytes, mode)| {
            manager.retry_execution(bytes, TaskId(task), mode) == Ok(Grant::Wait)
        });
    }

    fn check(&self) {
        for (mode, total) in [(MemoryMode::OnHeap, ON_HEAP), (MemoryMode::OffHeap, OFF_HEAP)] {
            let (execution, storage) = (self.manager.execution(mode), self.manager.storage(mode));
            assert_eq!(execution.size() + storage.size(), total, "pools move bytes, they make none");
            assert_eq!(execution.used(), execution.tasks().iter().map(|task| task.1).sum::<u64>());
            let store = self.manager.store();
            let blocks: u64 =
                store.entries().filter(|(_, entry)| entry.mode == mode).map(|(_, entry)| entry.size).sum();
            let unroll: u64 = store.unroll_by_task(mode).iter().map(|task| task.1).sum();
            assert_eq!(
                storage.used(),
                blocks + unroll,
                "every byte of storage belongs to a block or to an unroll"
            );
            assert!(execution.used() <= execution.size() && storage.used() <= storage.size());
        }
        let store = self.manager.store();
        let mut in_memory: Vec<_> = store.entries().map(|(block, _)| block).collect();
        in_memory.sort_unstable();
        let known = store.blocks().filter(|(_, known)| known.entry.is_some());
        assert!(
            known.map(|(block, _)| block).eq(in_memory),
            "the order of use has each block in memory once"
        );
        let is_somewhere = |(_, known): (BlockId, Lookup)| known.entry.is_some() || known.on_disk;
        assert!(store.blocks().all(is_somewhere), "a block that is nowhere is forgotten");
    }

    /// Without blocks execution can have everything: whoever waits has less than half a share of all, and the rest is
    /// not enough.
    fn check_waiters(&self) {
        for &(task, bytes, mode) in &self.waiting {
            let pool = self.manager.execution(mode);
            let total = if mode == MemoryMode::OnHeap { ON_HEAP } else { OFF_HEAP };
            let held = pool.held_by(TaskId(task)).expect("whoever waits is active");
            let free = total - pool.used();
            let half_share = pool.size() / (2 * pool.tasks().len() as u64);
            assert!(held + free < half_share && free < bytes, "task {task} waits beside {free} bytes");
        }
    }
}

/// Goes through all sequences of so many of the actions; returns how many steps it took.
fn exhaust(harness: &Harness, actions: &[Action], length: u32, check: fn(&Harness)) -> u32 {
    if length == 0 {
        return 0;
    }
    let mut steps = 0;
    for action in actions {
        let mut next = harness.clone();
        next.perform(action.clone());
        check(&next);
        steps += 1 + exhaust(&next, actions, length - 1, check);
    }
    steps
}

#[test]
fn all_short_sequences_with_blocks_keep_every_byte() {
    // Sizes at the borders of a heap of 1000 bytes with a storage region of 400.
    let mode = MemoryMode::OnHeap;
    let (memory, disk) = (StorageLevel::MEMORY_ONLY_SER, StorageLevel::MEMORY_AND_DISK_SER);
    let actions = [
        Action::Acquire { task: 0, bytes: 600, mode },
        Action::Acquire { task: 1, bytes: 301, mode },
        Action::EndTask { task: 0 },
        Action::Put { block: 0, bytes: 400, mode, level: memory },
        Action::Put { block: 3, bytes: 301, mode, level: disk },
        Action::Unroll { task: 1, block: 6, sizes: vec![99, 301] },
        Action::Read { task: 1, block: 3 },
    ];
    let steps = exhaust(&Harness::new(), &actions, 6, Harness::check);
    assert_eq!(steps, (1..=6).map(|length| 7_u32.pow(length)).sum::<u32>());
}

#[test]
fn all_short_sequences_of_requests_leave_nobody_waiting_in_vain() {
    let mode = MemoryMode::OnHeap;
    let mut actions: Vec<Action> = [(0, 1000), (0, 100), (1, 334), (2, 167)]
        .map(|(task, bytes)| Action::Acquire { task, bytes, mode })
        .into();
    actions.extend([(0, 1), (0, 500), (1, 600)].map(|(task, bytes)| Action::Release { task, bytes, mode }));
    let check = |harness: &Harness| {
        harness.check();
        harness.check_waiters();
    };
    exhaust(&Harness::new(), &actions, 6, check);
}

proptest! {
    #[test]
    fn every_byte_belongs_to_somebody(
        actions in prop::collection::vec(any_action(), 1..120),
        policy in prop::sample::select(POLICIES.as_slice()),
    ) {
        let mut harness = Harness::new();
        harness.manager.set_eviction(policy, Arc::default());
        for action in actions {
            harness.perform(action);
            harness.check();
        }
        // When all is over, all is free.
        harness.waiting.clear();
        for task in 0..5 {
            harness.perform(Action::EndTask { task });
        }
        for block in 0..12 {
            harness.perform(Action::Remove { block });
        }
        for mode in MemoryMode::ALL {
            prop_assert_eq!((harness.manager.execution(mode).used(), harness.manager.storage(mode).used()), (0, 0));
        }
        prop_assert_eq!(harness.manager.store().blocks().count(), 0);
    }

    #[test]
    fn nobody_waits_for_a_share_that_is_free(actions in prop::collection::vec(execution(), 1..120)) {
        let mut harness = Harness::new();
        for action in actions {
            harness.perform(action);
            harness.check_waiters();
        }
    }

    #[test]
    fn more_than_ample_memory_changes_nothing(
        actions in prop::collection::vec(any_action(), 1..60),
        totals in (1_000..6_000_u64, 300..2_000_u64),
        fraction in 0.0..1.0_f64,
        more in (0..3_000_u64, 0..3_000_u64),
        other_fraction in 0.0..1.0_f64,
        room in (1..4_u64, 1..400_u64, 0..600_u64),
    ) {
        let run = |totals, fraction| {
            let mut harness = Harness::of(totals, fraction);
            let mut seen = Vec::new();
            for action in &actions {
                harness.perform(action.clone());
                let has_room = harness.manager.has_room(room.0, room.1, room.2, MemoryMode::OnHeap);
                seen.push((harness.seen(), has_room));
            }
            (seen, MemoryMode::ALL.map(|mode| harness.manager.ample(mode)))
        };
        let totals = [totals.0, totals.1];
        let (seen, ample) = run(totals, fraction);
        prop_assume!(totals[0] >= ample[0] && totals[1] >= ample[1]);
        prop_assert!(seen.iter().all(|(seen, has_room)| seen.waiting.is_empty() && seen.evicted == 0 && *has_room));
        let other = run([ample[0] + more.0, ample[1] + more.1], other_fraction);
        prop_assert_eq!((seen, ample), other);
    }
}
