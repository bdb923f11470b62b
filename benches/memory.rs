//! How many operations of the memory layer a second has. The budget: ten times what the JVM's own classes do.
//!
//! An operation is a pair: an acquisition with its release, or a put that evicts one block with the read of another. The
//! released classes of Spark 4.1 under JDK 17 do, on a machine of this kind, in millions a CPU second: execution
//! 11.9 / 7.1 / 2.0 with 1 / 8 / 64 active tasks, storage 2.7 / 1.2 with 100 / 10,000 blocks in memory. `elem/s` of the
//! report is operations a second of one thread, by the clock: worth comparing on an idle machine only.
//!
//! What bounds them: an acquisition of a lone task makes it active and its release inactive again, so that both change the
//! list of active tasks; a put with an eviction writes two blocks' records, two places of the index and four links of the
//! order of use, each waiting for the one before. More tasks or blocks add a few misses of the processor's caches, where
//! the JVM looks through trees and boxes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spillcast::memory::{BlockId, MemoryManager, MemoryMode, StorageLevel, TaskId, UnifiedRegions};

const ON: MemoryMode = MemoryMode::OnHeap;
const MIB: u64 = 1 << 20;
/// Operations between two looks at the clock.
const BATCH: u64 = 10_000;

fn manager(on_heap: u64) -> MemoryManager {
    let regions = UnifiedRegions { on_heap, on_heap_storage: on_heap / 2, off_heap: 0, off_heap_storage: 0 };
    MemoryManager::unified(regions)
}

/// Tasks in turn acquire a page and release it. All but a lone task hold a page beside it and so stay active.
fn execution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("execution acquire + release");
    group.throughput(Throughput::Elements(BATCH));
    for tasks in [1_u64, 8, 64] {
        let mut manager = manager(1 << 34);
        if tasks > 1 {
            for task in 0..tasks {
                manager.acquire_execution(MIB, TaskId(task as i64), ON).expect("valid");
            }
        }
        let mut turn = 0;
        group.bench_function(format!("{tasks} active tasks"), |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    turn = if turn + 1 < tasks { turn + 1 } else { 0 };
                    let task = TaskId(turn as i64);
                    let grant = manager.acquire_execution(black_box(MIB), task, ON);
                    let _ = black_box(grant);
                    black_box(manager.release_execution(MIB, task, ON));
                }
            });
        });
    }
}

/// A store that is full: each put evicts the least recently used block, and a block that is left is read.
fn storage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store put + get with eviction");
    group.throughput(Throughput::Elements(BATCH));
    for blocks in [100_u64, 10_000] {
        let mut manager = manager(blocks * MIB);
        // Blocks of their own RDDs, as a block never evicts one of its own.
        let block = |number: u64| BlockId::Rdd { rdd: number as u32, split: 0 };
        let put = |manager: &mut MemoryManager, number: u64| {
            manager.put_bytes(TaskId::NONE, block(number), MIB, ON, StorageLevel::MEMORY_ONLY_SER)
        };
        for number in 0..blocks {
            put(&mut manager, number).expect("on-heap");
        }
        let mut next = blocks;
        group.bench_function(format!("{blocks} blocks"), |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    let _ = black_box(put(&mut manager, black_box(next)));
                    black_box(manager.drain_events().count());
                    // Some block of the younger half, so that the order of use changes in its middle.
                    let mixed = next.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
                    let read = next - ((mixed * (blocks / 2)) >> 32);
                    black_box(manager.store_mut().touch(block(read)));
                    next += 1;
                }
            });
        });
        assert_eq!(manager.store().entry_count() as u64, blocks);
    }
}

/// Resident bytes of this process; only Linux tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Prints what a block in memory and an active task add to the process, over a million of each.
#[expect(clippy::print_stderr, reason = "figures for whoever runs the bench")]
fn bytes(_: &mut Criterion) {
    const MANY: u64 = 1 << 20;
    let measure = |what: &str, add: &dyn Fn(&mut MemoryManager, u64)| {
        let mut manager = manager(MANY * MIB);
        let before = resident();
        (0..MANY).for_each(|number| add(&mut manager, number));
        if let (Some(before), Some(after)) = (before, resident()) {
            eprintln!("{what}: {} bytes", (after - before) / MANY);
        }
    };
    measure("an active task", &|manager, number| {
        let grant = manager.acquire_execution(1, TaskId(number as i64), ON);
        assert!(grant.is_ok());
    });
    measure("a block in memory", &|manager, number| {
        let block = BlockId::Rdd { rdd: 1, split: number as u32 };
        let put = manager.put_bytes(TaskId::NONE, block, MIB, ON, StorageLevel::MEMORY_ONLY_SER);
        assert!(put.is_ok());
    });
}

criterion_group!(benches, bytes, execution, storage);
criterion_main!(benches);
