//! The vectors V1 to V7 and T1 to T4 of spark-memory 3.1 and 6.3: short stories of real 4.1.4 classes, one rule each.

use spillcast::memory::{
    Allocation, BlockId, ConsumerId, Grant, MemoryManager, MemoryMode, Poll, Put, Request, StorageLevel,
    TaskId, TaskMemoryManager, UnifiedRegions,
};

const ON: MemoryMode = MemoryMode::OnHeap;

fn manager(on_heap: u64) -> MemoryManager {
    MemoryManager::unified(UnifiedRegions {
        on_heap,
        on_heap_storage: on_heap / 2,
        off_heap: 0,
        off_heap_storage: 0,
    })
}

fn block(name: &str) -> BlockId {
    let (rdd, split) = name.strip_prefix('r').and_then(|name| name.split_once('_')).unwrap();
    BlockId::Rdd { rdd: rdd.parse().unwrap(), split: split.parse().unwrap() }
}

/// Plays a story over 1000 bytes. A line is an action and its result, then `E=used/size P=used/size`, then `evicted`
/// with blocks; what is not written is not checked, but for evictions, which are none unless written.
fn check(story: &str) {
    let mut manager = manager(1000);
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (action, checks) = line.split_once(" | ").unwrap_or((line, ""));
        let words: Vec<&str> = action.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let task = |at: usize| TaskId(words[at].trim_start_matches('t').parse().unwrap());
        let found = match words[0] {
            "put" => {
                let level = StorageLevel::MEMORY_ONLY_SER;
                match manager.put_bytes(TaskId::NONE, block(words[1]), number(2), ON, level).unwrap() {
                    Put::Stored => "ok".to_owned(),
                    Put::Refused => "FAIL".to_owned(),
                    Put::Known => "known".to_owned(),
                }
            }
            "exec" => match manager.acquire_execution(number(2), task(1), ON).unwrap() {
                Grant::Granted(bytes) => bytes.to_string(),
                Grant::Wait => "waits".to_owned(),
            },
            "release" => manager.release_execution(number(2), task(1), ON).to_string(),
            "read" => manager.store_mut().touch(block(words[1])).unwrap().size.to_string(),
            "lock" => manager.store_mut().lock_for_reading(TaskId(1), block(words[1])).to_string(),
            other => panic!("{other}"),
        };
        assert_eq!(&found, words.last().unwrap(), "{line}");
        let (pools, evicted) = checks.split_once("evicted").unwrap_or((checks, ""));
        for expected in pools.split_whitespace() {
            let (execution, storage) = (manager.execution(ON), manager.storage(ON));
            let found = match &expected[..2] {
                "E=" => format!("E={}/{}", execution.used(), execution.size()),
                _ => format!("P={}/{}", storage.used(), storage.size()),
            };
            assert_eq!(found, expected, "{line}");
        }
        let dropped: Vec<BlockId> = manager.drain_events().map(|event| event.block).collect();
        assert_eq!(dropped, evicted.split_whitespace().map(block).collect::<Vec<_>>(), "{line}");
    }
}

#[test]
fn v1_execution_evicts_whole_blocks_and_only_beyond_the_storage_region() {
    check(
        "put r1_0 300 ok     | E=0/500 P=300/500
         put r1_1 400 ok     | E=0/300 P=700/700
         put r2_0 300 ok     | E=0/0 P=1000/1000
         exec t1 100 100     | E=100/300 P=700/700 evicted r1_0
         exec t1 700 600     | E=700/700 P=300/300 evicted r1_1
         exec t1 1 0         | E=700/700 P=300/300
         put r3_0 600 FAIL   | E=700/700 P=300/300
         put r3_1 100 ok     | E=700/700 P=100/300 evicted r2_0
         release t1 800 700  | E=0/700 P=100/300
         put r3_2 600 ok     | E=0/300 P=700/700",
    );
}

#[test]
fn v2_a_block_does_not_evict_its_own_rdd_and_the_borrow_is_kept() {
    check(
        "put r1_0 400 ok    | E=0/500 P=400/500
         put r1_1 400 ok    | E=0/200 P=800/800
         put r1_2 400 FAIL  | E=0/0 P=800/1000
         put r2_0 400 ok    | E=0/0 P=800/1000 evicted r1_0
         read r1_1 400
         put r2_1 300 ok    | E=0/0 P=700/1000 evicted r1_1",
    );
}

#[test]
fn v3_locked_blocks_stay() {
    check(
        "put r1_0 200 ok
         put r2_0 200 ok
         put r3_0 200 ok
         put r4_0 200 ok    | E=0/200 P=800/800
         read r1_0 200
         lock r2_0 true
         put r5_0 500 ok    | E=0/0 P=900/1000 evicted r3_0 r4_0
         put r6_0 900 FAIL  | E=0/0 P=900/1000",
    );
}

#[test]
fn v4_shares_depend_on_the_active_tasks() {
    check(
        "exec t1 1000 1000   | E=1000/1000 P=0/0
         exec t1 100 0
         release t1 600 600  | E=400/1000
         exec t2 600 500     | E=900/1000
         release t1 400 400  | E=500/1000
         exec t3 300 300     | E=800/1000
         exec t3 1000 200    | E=1000/1000",
    );
}

#[test]
fn v4_a_task_under_half_its_share_waits() {
    check(
        "exec t1 1000 1000
         release t1 600 600
         exec t2 600 500
         exec t3 300 waits   | E=900/1000",
    );
}

#[test]
fn v5_storage_takes_only_what_execution_does_not_hold() {
    check(
        "exec t1 700 700     | E=700/700 P=0/300
         put r1_0 350 FAIL   | E=700/700 P=0/300
         put r1_1 300 ok     | E=700/700 P=300/300
         put r1_2 1 FAIL
         release t1 700 700  | E=0/700 P=300/300
         put r2_0 700 ok     | E=0/0 P=1000/1000
         exec t1 600 600     | E=600/1000 P=0/0 evicted r1_1 r2_0
         exec t1 600 400     | E=1000/1000 P=0/0",
    );
}

#[test]
fn v6_storage_borrows_what_is_free() {
    check(
        "put r1_0 900 ok  | E=0/100 P=900/900
         exec t1 10 10    | E=10/100 P=900/900
         put r1_1 50 ok   | E=10/50 P=950/950",
    );
}

#[test]
fn v7_a_few_bytes_may_cost_a_big_block() {
    check(
        "put r1_0 100 ok
         put r2_0 100 ok   | E=0/500 P=200/500
         put r1_1 600 ok   | E=0/200 P=800/800
         put r1_2 250 ok   | E=0/0 P=950/1000 evicted r2_0
         put r2_1 150 ok   | E=0/0 P=1000/1000 evicted r1_0
         exec t1 50 50     | E=50/600 P=400/400 evicted r1_1
         exec t2 250 250   | E=300/600 P=400/400
         exec t1 250 250   | E=550/600 P=400/400",
    );
}

/// Serves one request; `spill` says what a consumer that is asked frees. Returns the outcome and the spill calls.
fn serve(
    task: &mut TaskMemoryManager,
    manager: &mut MemoryManager,
    asking: ConsumerId,
    request: Request,
    spill: impl Fn(ConsumerId, u64) -> u64,
) -> (Allocation, Vec<(ConsumerId, u64, u64)>) {
    task.begin(asking, request);
    let mut calls = Vec::new();
    loop {
        match task.poll(manager) {
            Poll::Ready(allocation) => return (allocation, calls),
            Poll::Wait => panic!("a task alone never waits"),
            Poll::Spill { consumer, ask, by } => {
                assert_eq!(by, asking);
                let freed = spill(consumer, task.used(consumer));
                task.free(consumer, freed, manager);
                calls.push((consumer, ask, freed));
                task.spill_done(freed);
            }
        }
    }
}

fn acquire(task: &mut TaskMemoryManager, manager: &mut MemoryManager, consumer: ConsumerId, bytes: u64) {
    let (allocation, calls) = serve(task, manager, consumer, Request::Acquire(bytes), |_, _| 0);
    assert_eq!((allocation, calls.len()), (Allocation::Bytes(bytes), 0));
}

#[test]
fn t1_t2_the_smallest_sufficient_consumer_spills_first_and_the_asking_one_last() {
    let mut manager = manager(1000);
    let mut task = TaskMemoryManager::new(TaskId(0), ON, 1024);
    let [a, b, d] = [(); 3].map(|()| task.register(ON, 1024));
    for (consumer, bytes) in [(a, 300), (b, 500), (d, 200)] {
        acquire(&mut task, &mut manager, consumer, bytes);
    }
    let (allocation, calls) = serve(&mut task, &mut manager, d, Request::Acquire(250), |_, used| used);
    assert_eq!((allocation, calls), (Allocation::Bytes(250), vec![(a, 250, 300)]));
    assert_eq!([a, b, d].map(|consumer| task.used(consumer)), [0, 500, 450]);

    let stubborn = |consumer, used| if consumer == b { 0 } else { used };
    let (allocation, calls) = serve(&mut task, &mut manager, d, Request::Acquire(600), stubborn);
    assert_eq!((allocation, calls), (Allocation::Bytes(500), vec![(b, 550, 0), (d, 550, 450), (d, 100, 0)]));
    assert_eq!((task.memory_used(), task.peak(ON)), (1000, 1000));
}

#[test]
fn t3_a_consumer_is_asked_again_under_the_size_it_had() {
    let mut manager = manager(1000);
    let mut task = TaskMemoryManager::new(TaskId(0), ON, 1024);
    let [p, q] = [(); 2].map(|()| task.register(ON, 1024));
    acquire(&mut task, &mut manager, p, 900);
    acquire(&mut task, &mut manager, q, 100);
    let (allocation, calls) = serve(&mut task, &mut manager, q, Request::Acquire(350), |_, _| 100);
    assert_eq!(allocation, Allocation::Bytes(350));
    assert_eq!(calls, [350, 250, 150, 50].map(|ask| (p, ask, 100)));
}

#[test]
fn t4_a_page_may_be_smaller_than_a_page_but_an_array_may_not() {
    let mut manager = manager(10000);
    let mut task = TaskMemoryManager::new(TaskId(0), ON, 1024);
    let consumer = task.register(ON, 1024);
    assert_eq!(
        manager.put_bytes(TaskId::NONE, block("r1_0"), 4750, ON, StorageLevel::MEMORY_ONLY_SER),
        Ok(Put::Stored)
    );
    // Held by the task, but by none of its consumers, so nobody can spill it.
    assert_eq!(manager.acquire_execution(4750, TaskId(0), ON), Ok(Grant::Granted(4750)));
    let page = serve(&mut task, &mut manager, consumer, Request::Page(100), |_, _| 0).0;
    let Allocation::Page { page, size: 500 } = page else { panic!("{page:?}") };
    task.free_page(page, &mut manager);
    let array = serve(&mut task, &mut manager, consumer, Request::Array(1000), |_, _| 0).0;
    assert_eq!(array, Allocation::OutOfMemory { requested: 8000, received: 500 });
    assert_eq!((task.used(consumer), task.memory_used()), (0, 0));
    assert_eq!(task.clean_up_all(&mut manager), 4750);
}
