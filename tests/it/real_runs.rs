//! Operators under several tasks of one executor against the task metrics of real runs of Spark 4.1.4 and 3.5.9.
//!
//! Real Spark repeats `memoryBytesSpilled` and `peakExecutionMemory` of these runs exactly. Row sizes come from the
//! schemas and Spark's row format (8 bytes of null bits, 8 bytes a column, strings behind them rounded up to 8), record
//! counts from the task metrics.

use spillcast::memory::operators::{
    GroupCurve, OperatorConf, OperatorIndex, OperatorSpec, SORT_INITIAL_RECORDS, SpillLimits, Step,
    TaskOperators,
};
use spillcast::memory::{MemoryManager, MemoryMode, TaskId, TaskMemoryManager, UnifiedRegions};

/// Pool of a heap of 512 MiB: `trunc((512 MiB - 300 MiB) × 0.6)`.
const POOL_512M: u64 = 133_378_867;
/// Pool of a heap of 1 GiB.
const POOL_1G: u64 = 455_501_414;
/// Page of a heap of 512 MiB under G1 with two cores.
const PAGE_2M: u64 = (2 << 20) - 16;
/// Page of a heap of 512 MiB under G1 with one core.
const PAGE_4M: u64 = (4 << 20) - 16;
/// Page of a heap of 1 GiB under G1 with two cores.
const PAGE_8M: u64 = (8 << 20) - 16;
/// Page of a heap of 1 GiB under G1 with one core.
const PAGE_16M: u64 = (16 << 20) - 16;

/// Rows that a task handles before the next task runs for as many.
const SLICE: u64 = 997;

/// `memoryBytesSpilled` and `peakExecutionMemory` of a task.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Metrics {
    spilled: u64,
    peak: u64,
}

/// One task with a single operator: opened, fed, ended, read and closed.
struct Running {
    number: usize,
    operators: TaskOperators,
    operator: OperatorIndex,
    phase: Phase,
    waits: bool,
    spilled: u64,
}

enum Phase {
    Open,
    Input(u64),
    Output(u64),
}

impl Running {
    fn start(number: usize, executor: Executor, spec: OperatorSpec) -> Self {
        let Executor { mode, page_size, .. } = executor;
        let conf = OperatorConf { tungsten_mode: mode, page_size, limits_before_request: true };
        let tmm = TaskMemoryManager::new(TaskId(number as i64), mode, page_size);
        let mut operators = TaskOperators::new(tmm, conf);
        let operator = operators.add(spec);
        Self { number, operators, operator, phase: Phase::Open, waits: false, spilled: 0 }
    }

    /// One slice of work; says whether the task has ended.
    fn step(&mut self, rows: u64, manager: &mut MemoryManager) -> bool {
        let step = match &mut self.phase {
            _ if self.waits => self.operators.resume(manager),
            Phase::Open => {
                self.phase = Phase::Input(rows);
                self.operators.open(self.operator, manager)
            }
            Phase::Input(0) => {
                self.phase = Phase::Output(rows);
                self.operators.finish_input(self.operator, manager)
            }
            Phase::Input(left) => {
                let slice = SLICE.min(*left);
                *left -= slice;
                self.operators.insert(self.operator, slice, manager)
            }
            Phase::Output(left) => {
                let slice = SLICE.min(*left);
                *left -= slice;
                let ended = *left == 0;
                self.operators.drain(self.operator, slice, manager);
                if ended {
                    self.operators.close(self.operator, manager);
                    assert_eq!(self.operators.clean_up_all(manager), 0, "nothing leaks");
                }
                self.waits = false;
                return ended;
            }
        };
        assert!(!matches!(step, Step::OutOfMemory(_)), "task {}: {step:?}", self.number);
        self.waits = step == Step::Wait;
        self.spilled += self.operators.take_spills().iter().map(|s| s.memory_bytes).sum::<u64>();
        false
    }
}

/// Memory and cores of an executor.
#[derive(Clone, Copy)]
struct Executor {
    pool: u64,
    mode: MemoryMode,
    page_size: u64,
    cores: usize,
}

const fn on_heap(pool: u64, page_size: u64, cores: usize) -> Executor {
    Executor { pool, mode: MemoryMode::OnHeap, page_size, cores }
}

/// A manager of one pool, half of it storage.
fn manager_of(pool: u64, mode: MemoryMode) -> MemoryManager {
    let [on, off] = if mode == MemoryMode::OnHeap { [pool, 0] } else { [0, pool] };
    MemoryManager::unified(UnifiedRegions {
        on_heap: on,
        on_heap_storage: on / 2,
        off_heap: off,
        off_heap_storage: off / 2,
    })
}

/// Runs tasks of so many rows on an executor, each started as soon as a core is free.
fn run(executor: Executor, tasks: &[u64], spec: impl Fn(u64) -> OperatorSpec) -> Vec<Metrics> {
    let mut manager = manager_of(executor.pool, executor.mode);
    let mut metrics = vec![Metrics { spilled: 0, peak: 0 }; tasks.len()];
    let mut next = 0;
    let mut running: Vec<Running> = Vec::new();
    while next < tasks.len() || !running.is_empty() {
        while running.len() < executor.cores && next < tasks.len() {
            running.push(Running::start(next, executor, spec(tasks[next])));
            next += 1;
        }
        running.retain_mut(|task| {
            let ended = task.step(tasks[task.number], &mut manager);
            if ended {
                metrics[task.number] =
                    Metrics { spilled: task.spilled, peak: task.operators.peak_execution_memory() };
            }
            !ended
        });
    }
    metrics
}

/// W2: `orderBy(k)` of (k long, 48 characters): 8 + 8 + 8 + 48 bytes a row; a single long key sorts by radix.
fn sort_of_w2(_rows: u64) -> OperatorSpec {
    OperatorSpec::Sort {
        row_bytes: 72,
        radix: true,
        initial_records: SORT_INITIAL_RECORDS,
        limits: SpillLimits::default(),
    }
}

/// Records of the four range partitions of W2.
const W2_RECORDS: [u64; 4] = [1_481_309, 1_459_566, 1_663_090, 1_396_035];

#[test]
fn w2_sorts_in_512m_spill_when_the_pointer_array_doubles() {
    // 524288 records fill a pointer array of 16 MiB; they take 20 pages of 27593 records. Half the pool, 66.7 MB, has no
    // room for another 32 MiB: the sorter spills its 20 pages, twice or (1663090 records) three times.
    let peak = 20 * PAGE_2M + (16 << 20);
    assert_eq!(peak, 58_719_936);
    let twice = Metrics { spilled: 83_885_440, peak };
    let thrice = Metrics { spilled: 125_828_160, peak };
    assert_eq!(run(on_heap(POOL_512M, PAGE_2M, 2), &W2_RECORDS, sort_of_w2), [twice, twice, thrice, twice]);
}

#[test]
fn w2_sorts_alone_in_512m_spill_later() {
    // One task an executor: pages of 4 MiB and the whole pool. An array of 32 MiB holds 1048576 records in 20 pages; the
    // next would need 64 MiB.
    let metrics = Metrics { spilled: 83_885_760, peak: 117_440_192 };
    assert_eq!(
        run(on_heap(POOL_512M, PAGE_4M, 1), &[W2_RECORDS[0], W2_RECORDS[2]], sort_of_w2),
        [metrics; 2]
    );
    assert_eq!(
        run(on_heap(POOL_512M, PAGE_4M, 1), &[W2_RECORDS[1], W2_RECORDS[3]], sort_of_w2),
        [metrics; 2]
    );
}

#[test]
fn w2_sorts_in_1g_do_not_spill() {
    let peaks = [184_549_152, 184_549_152, 201_326_336, 176_160_560].map(|peak| Metrics { spilled: 0, peak });
    assert_eq!(run(on_heap(POOL_1G, PAGE_8M, 2), &W2_RECORDS, sort_of_w2), peaks);
}

/// W1: key long (16 bytes with its null bits), buffer of sum, count and max (32 bytes).
const W1_KEY_VALUE_BYTES: u64 = 48;

/// Partial aggregation of one input split of W1: 625000 rows, 244317 groups.
fn partial_aggregation_of_w1(rows: u64) -> OperatorSpec {
    OperatorSpec::HashAggregation {
        groups: GroupCurve::power(rows, 244_317, 0.85),
        key_value_bytes: W1_KEY_VALUE_BYTES,
        fast_map_row_bytes: Some(W1_KEY_VALUE_BYTES + 8),
        dense_keys: false,
    }
}

/// Final aggregation of W1: each reduce task reads 16 map outputs. Rows and groups are those that the log of w1-base
/// shows; how many groups a part of the rows has is what [`GroupCurve::of_map_outputs`] makes of them.
fn final_aggregation_of_w1(rows: u64) -> OperatorSpec {
    let groups = if rows == W1_ROWS[0] { 1_121_825 } else { 1_121_249 };
    OperatorSpec::HashAggregation {
        groups: GroupCurve::of_map_outputs(16, rows, groups),
        key_value_bytes: W1_KEY_VALUE_BYTES,
        fast_map_row_bytes: None,
        dense_keys: false,
    }
}

/// Rows of the two reduce tasks of W1.
const W1_ROWS: [u64; 2] = [1_950_832, 1_953_412];

#[test]
fn w1_partial_aggregations_leave_part_of_their_groups_to_the_fast_map() {
    // The fast map holds 65536 rows of 56 bytes, or 37448 in a page of 2 MiB; its page is in no metric. Without it, pages
    // of 2 MiB would be 8 instead of 7, of 4 MiB 4 instead of 3.
    for (pool, page, cores, peak) in [
        (POOL_1G, PAGE_8M, 2, 25_165_792),
        (POOL_512M, PAGE_2M, 2, 23_068_560),
        (POOL_512M, PAGE_4M, 1, 20_971_472),
        (POOL_1G, PAGE_16M, 1, 25_165_808),
    ] {
        let metrics = run(on_heap(pool, page, cores), &[625_000, 625_000], partial_aggregation_of_w1);
        assert_eq!(metrics, [Metrics { spilled: 0, peak }; 2], "page {page}");
    }
}

#[test]
fn w1_partial_aggregation_of_an_empty_split_reports_its_index_array() {
    let metrics = run(on_heap(POOL_1G, PAGE_8M, 2), &[0], partial_aggregation_of_w1);
    assert_eq!(metrics, [Metrics { spilled: 0, peak: 262_144 }]);
}

#[test]
fn w1_final_aggregations_in_1g_do_not_spill() {
    assert_eq!(
        run(on_heap(POOL_1G, PAGE_8M, 2), &W1_ROWS, final_aggregation_of_w1),
        [Metrics { spilled: 0, peak: 142_606_192 }; 2]
    );
    assert_eq!(
        run(on_heap(POOL_1G, PAGE_16M, 1), &W1_ROWS, final_aggregation_of_w1),
        [Metrics { spilled: 0, peak: 150_994_864 }; 2]
    );
}

#[test]
fn w1_in_off_heap_memory_uses_whole_pages() {
    // 512 MiB off-heap, two cores: pages of 8 MiB, without the 16 bytes that G1 makes a heap page smaller by.
    let executor = Executor { pool: 512 << 20, mode: MemoryMode::OffHeap, page_size: 8 << 20, cores: 2 };
    let partial = run(executor, &[625_000, 625_000], partial_aggregation_of_w1);
    assert_eq!(partial, [Metrics { spilled: 0, peak: 25_165_824 }; 2]);
    let last = run(executor, &W1_ROWS, final_aggregation_of_w1);
    assert_eq!(last, [Metrics { spilled: 0, peak: 142_606_336 }; 2]);
}

#[test]
fn w9_tiny_joins_hold_a_page_for_every_operator() {
    // Stage 2 of w9-base: two final aggregations and the two sorts of their join, a page each however few rows.
    let (mut manager, mut task) = task_beside_another(POOL_1G, PAGE_8M);
    let aggregation = || OperatorSpec::HashAggregation {
        groups: GroupCurve::even(20, 20),
        key_value_bytes: 48,
        fast_map_row_bytes: None,
        dense_keys: false,
    };
    for _side in 0..2 {
        let (sums, sorted) = (task.add(aggregation()), task.add(join_sort(40)));
        assert_eq!(task.open(sorted, &mut manager), Step::Ready);
        fill(&mut task, sums, 20, &mut manager);
        assert_eq!(task.insert(sorted, 20, &mut manager), Step::Ready);
        task.drain(sums, 20, &mut manager);
        assert_eq!(task.finish_input(sorted, &mut manager), Step::Ready);
        task.drain(sorted, 1, &mut manager);
    }
    assert_eq!(task.peak_execution_memory(), 34_209_728);
    // What is held at the same time is less: an aggregation's memory goes when it was read.
    assert_eq!(task.memory_used(), 2 * (PAGE_8M + 65_536));
}

#[test]
fn w1_final_aggregations_in_512m_fall_back_to_sorting() {
    // With two tasks a map cannot double beyond 16 MiB of index, 524288 keys in 17 pages: two such maps and the rest are
    // spilled. Alone a task gets to 32 MiB and 1048576 keys in 17 pages of 4 MiB, once.
    assert_eq!(
        run(on_heap(POOL_512M, PAGE_2M, 2), &W1_ROWS, final_aggregation_of_w1),
        [Metrics { spilled: 148_897_040, peak: 52_428_528 }; 2]
    );
    assert_eq!(
        run(on_heap(POOL_512M, PAGE_4M, 1), &W1_ROWS, final_aggregation_of_w1),
        [Metrics { spilled: 125_828_800, peak: 104_857_328 }; 2]
    );
}

#[test]
fn w1_collect_in_512m_spills_the_dumped_groups_for_the_rows() {
    // `collect_list(s)` by k: 128 groups go to one sorter, the rows (key 16 bytes, row 8 + 16 + 16 bytes) to another. When
    // the second cannot double its array at 524288 rows it first takes the first's page and 64 KiB, then spills its own
    // 17 pages. The operator reports no peak.
    let spec = |rows| OperatorSpec::ObjectHashAggregation {
        groups: GroupCurve::power(rows, 244_317, 0.85),
        group_bytes: 64,
        row_bytes: 56,
        radix: true,
        fallback_threshold: 128,
        limits: SpillLimits::default(),
    };
    let metrics = Metrics { spilled: 17 * PAGE_2M + PAGE_2M + 65_536, peak: 0 };
    assert_eq!(metrics.spilled, 37_813_984);
    assert_eq!(run(on_heap(POOL_512M, PAGE_2M, 2), &[625_000; 4], spec), [metrics; 4]);
}

/// A task of its own on an executor where another task holds memory, so that it gets half the pool.
fn task_beside_another(pool: u64, page_size: u64) -> (MemoryManager, TaskOperators) {
    let mut manager = manager_of(pool, MemoryMode::OnHeap);
    manager.acquire_execution(1 << 20, TaskId(1), MemoryMode::OnHeap).unwrap();
    let conf = OperatorConf { tungsten_mode: MemoryMode::OnHeap, page_size, limits_before_request: true };
    (manager, TaskOperators::new(TaskMemoryManager::new(TaskId(0), MemoryMode::OnHeap, page_size), conf))
}

/// A sort by one long of a join's input.
fn join_sort(row_bytes: u64) -> OperatorSpec {
    OperatorSpec::Sort {
        row_bytes,
        radix: true,
        initial_records: SORT_INITIAL_RECORDS,
        limits: SpillLimits::default(),
    }
}

fn fill(task: &mut TaskOperators, operator: OperatorIndex, rows: u64, manager: &mut MemoryManager) {
    assert_eq!(task.open(operator, manager), Step::Ready);
    assert_eq!(task.insert(operator, rows, manager), Step::Ready);
    assert_eq!(task.finish_input(operator, manager), Step::Ready);
}

/// What each spill was: the operator, its bytes, its records, and who forced it.
type Spilled = (OperatorIndex, u64, u64, Option<OperatorIndex>);

fn spills(task: &mut TaskOperators) -> Vec<Spilled> {
    task.take_spills().iter().map(|s| (s.operator, s.memory_bytes, s.records, s.forced_by)).collect()
}

#[test]
fn w11_sort_below_a_join_spills_the_sort_beside_it() {
    // w11bigorders-static4nobch512, stage 14: the orders (76 bytes a row with its length, 2 pages, 2 MiB of pointers) are
    // sorted and their first row is read when the sort of `lineitem` (24 bytes a row) doubles its array at 524288 rows.
    // The orders go but for the page under the cursor; that is not enough, and the sort spills its own 8 pages.
    let (mut manager, mut task) = task_beside_another(POOL_512M, PAGE_2M);
    let (orders, lineitem) = (task.add(join_sort(72)), task.add(join_sort(24)));
    fill(&mut task, orders, 42_214, &mut manager);
    task.drain(orders, 1, &mut manager);
    fill(&mut task, lineitem, 750_171, &mut manager);
    let spills = spills(&mut task);
    assert_eq!(
        spills,
        [(orders, PAGE_2M + (2 << 20), 42_213, Some(lineitem)), (lineitem, 8 * PAGE_2M, 524_288, None)]
    );
    assert_eq!(spills.iter().map(|s| s.1).sum::<u64>(), 20_971_376);
    assert_eq!((task.peak(orders), task.peak(lineitem)), (6_291_424, 33_554_304));
    task.close(lineitem, &mut manager);
    task.close(orders, &mut manager);
    assert_eq!(task.clean_up_all(&mut manager), 0);
}

#[test]
fn w11_sort_over_an_aggregation_spills_the_other_side_of_the_join() {
    // w11bigorders-mf02nobc, stage 14: `orders` semi-joined with sums of `lineitem` by order, in a pool of a fifth of the
    // heap, below two aggregations that hold their first arrays and a fast map from the beginning. The orders are sorted
    // and their first row is read; the other side aggregates (374728 groups of a long key and a double), filters and
    // sorts what is left (84800 rows of 16 bytes). When the map's index doubles to 16 MiB the orders go but for one page.
    const POOL: u64 = 151_833_804;
    let (mut manager, mut task) = task_beside_another(POOL, PAGE_4M);
    let above = |fast_map_row_bytes| OperatorSpec::HashAggregation {
        groups: GroupCurve::even(532_099, 84_800),
        key_value_bytes: 80,
        fast_map_row_bytes,
        dense_keys: false,
    };
    let aggregations = [task.add(above(None)), task.add(above(Some(96)))];
    for aggregation in aggregations {
        assert_eq!(task.open(aggregation, &mut manager), Step::Ready);
    }
    let orders = task.add(join_sort(40));
    let sums = task.add(OperatorSpec::HashAggregation {
        groups: GroupCurve::even(374_728, 374_728),
        key_value_bytes: 32,
        fast_map_row_bytes: None,
        dense_keys: false,
    });
    let kept = task.add(join_sort(16));
    fill(&mut task, orders, 374_728, &mut manager);
    task.drain(orders, 1, &mut manager);
    // A sort of the generated code is created before its input is asked for.
    assert_eq!(task.open(kept, &mut manager), Step::Ready);
    fill(&mut task, sums, 374_728, &mut manager);
    for part in 0..100 {
        let share = |of: u64| of * (part + 1) / 100 - of * part / 100;
        assert_eq!(task.insert(kept, share(84_800), &mut manager), Step::Ready);
        task.drain(sums, share(374_728), &mut manager);
    }
    assert_eq!(task.finish_input(kept, &mut manager), Step::Ready);
    assert_eq!(spills(&mut task), [(orders, 29_360_080, 374_727, Some(sums))]);
    assert_eq!([orders, sums, kept].map(|o| task.peak(o)), [33_554_368, 37_748_656, 8_388_592]);
    // What the task reports is the sum; the two above have their first arrays so far.
    assert_eq!(task.peak_execution_memory(), 79_691_616 + 2 * 262_144);
    task.close(kept, &mut manager);
    for aggregation in aggregations {
        task.close(aggregation, &mut manager);
    }
    task.close(orders, &mut manager);
    assert_eq!(task.clean_up_all(&mut manager), 0);
}
