//! Behaviour of operators together: waiting, splitting of work, output phases, and the operators no trace covers.

use proptest::prelude::*;

use super::*;
use crate::memory::{TaskId, UnifiedRegions};

const PAGE: u64 = 1 << 16;

fn pool(bytes: u64) -> MemoryManager {
    MemoryManager::unified(UnifiedRegions {
        on_heap: bytes,
        on_heap_storage: 0,
        off_heap: 0,
        off_heap_storage: 0,
    })
}

fn task(number: i64) -> TaskOperators {
    let conf =
        OperatorConf { tungsten_mode: MemoryMode::OnHeap, page_size: PAGE, limits_before_request: true };
    TaskOperators::new(TaskMemoryManager::new(TaskId(number), MemoryMode::OnHeap, PAGE), conf)
}

fn sort(row_bytes: u64, initial_records: u64) -> OperatorSpec {
    OperatorSpec::Sort { row_bytes, radix: true, initial_records, limits: SpillLimits::default() }
}

/// A task with one operator that was opened.
fn opened(spec: OperatorSpec, manager: &mut MemoryManager) -> (TaskOperators, OperatorIndex) {
    let mut task = task(0);
    let operator = task.add(spec);
    assert_eq!(task.open(operator, manager), Step::Ready);
    (task, operator)
}

#[test]
fn a_waiting_operator_goes_on_where_it_was() {
    // Task 9 leaves 100 KiB of the pool. Task 0 gets its pointer array of 64 KiB; for a page of 64 KiB it waits, since even
    // with the rest it would be below half its share.
    let mut manager = pool(1 << 20);
    manager.acquire_execution((1 << 20) - (100 << 10), TaskId(9), MemoryMode::OnHeap).unwrap();
    let (mut task, sorter) = opened(sort(1020, 4096), &mut manager);
    assert_eq!(task.insert(sorter, 65, &mut manager), Step::Wait);
    assert_eq!(task.resume(&mut manager), Step::Wait);
    assert_eq!(task.memory_used(), 64 << 10);
    manager.release_execution(512 << 10, TaskId(9), MemoryMode::OnHeap);
    assert_eq!(task.resume(&mut manager), Step::Ready);
    assert_eq!(task.memory_used(), (64 << 10) + 2 * PAGE);
    assert_eq!(task.take_spills(), []);
    task.clean_up_all(&mut manager);
    assert_eq!(manager.execution_held_by(TaskId(0)), 0);
}

#[test]
fn a_sort_that_is_read_gives_others_all_but_the_page_under_the_cursor() {
    let mut manager = pool(1 << 20);
    let (mut task, read) = opened(sort(1020, 64), &mut manager);
    task.insert(read, 4 * 64, &mut manager);
    task.finish_input(read, &mut manager);
    task.drain(read, 1, &mut manager);
    let held = task.memory_used();
    assert_eq!(held, 4 * PAGE + 8192);

    let other = task.add(sort(1020, 1024));
    task.open(other, &mut manager);
    let room = ((1 << 20) - task.memory_used()) / PAGE * 64;
    assert_eq!(task.insert(other, room + 64, &mut manager), Step::Ready);
    let spills = task.take_spills();
    assert_eq!(
        spills,
        [SpillEvent {
            operator: read,
            memory_bytes: 3 * PAGE + 8192,
            records: 255,
            serialized_bytes: 4 + 255 * (12 + 1020),
            forced_by: Some(other),
        }]
    );
    // The next record frees the page that was under the cursor; the rest comes from the file.
    let held = task.memory_used();
    task.drain(read, 1, &mut manager);
    assert_eq!(task.memory_used(), held - PAGE);
    assert_eq!(task.peak(read), 4 * PAGE + 8192);
    task.drain(read, 254, &mut manager);
    task.close(other, &mut manager);
    assert_eq!(task.clean_up_all(&mut manager), 0);
}

#[test]
fn a_sort_frees_its_memory_with_its_last_record() {
    let mut manager = pool(1 << 20);
    let (mut task, sorter) = opened(sort(100, 64), &mut manager);
    task.insert(sorter, 1000, &mut manager);
    task.finish_input(sorter, &mut manager);
    task.drain(sorter, 999, &mut manager);
    assert!(task.memory_used() > 0);
    task.drain(sorter, 1, &mut manager);
    assert_eq!(task.memory_used(), 0);
}

#[test]
fn a_row_larger_than_a_page_gets_a_page_of_its_own() {
    let mut manager = pool(1 << 20);
    let (mut task, sorter) = opened(sort(2 * PAGE - 4, 64), &mut manager);
    task.insert(sorter, 3, &mut manager);
    assert_eq!(task.memory_used(), 3 * 2 * PAGE + 1024);
}

#[test]
fn forced_limits_spill_before_the_record_that_exceeds_them() {
    let mut manager = pool(1 << 20);
    let limits = SpillLimits { records: u64::MAX, bytes: 2 * PAGE };
    let (mut task, sorter) = opened(
        OperatorSpec::Sort { row_bytes: 1020, radix: true, initial_records: 64, limits },
        &mut manager,
    );
    // 64 rows fill a page; pointers double to 2 KiB for the 65th, which needs the second page and passes the limit.
    task.insert(sorter, 65, &mut manager);
    assert_eq!(task.take_spills(), []);
    task.insert(sorter, 1, &mut manager);
    let spilled: Vec<_> = task.take_spills().iter().map(|s| (s.memory_bytes, s.records)).collect();
    assert_eq!(spilled, [(2 * PAGE, 65)]);
}

#[test]
fn an_aggregation_that_fell_back_spills_the_rest_at_the_end() {
    // 16384 slots take 8192 groups; the doubled index does not fit beside the old one and 16 pages of 64-byte entries.
    let mut manager = pool((256 << 10) + 16 * PAGE);
    let spec = OperatorSpec::HashAggregation {
        groups: GroupCurve::even(100_000, 10_000),
        key_value_bytes: 48,
        fast_map_row_bytes: None,
        dense_keys: false,
    };
    let (mut task, aggregation) = opened(spec, &mut manager);
    assert_eq!(task.memory_used(), 262_144);
    assert_eq!(task.insert(aggregation, 100_000, &mut manager), Step::Ready);
    // 1023 entries a page: 9 pages for 8192.
    let first = task.take_spills();
    assert_eq!((first.len(), first[0].memory_bytes, first[0].records), (1, 262_144 + 9 * PAGE, 8192));
    assert_eq!(first[0].serialized_bytes, 4 + 8192 * (16 + 48));
    assert_eq!(task.finish_input(aggregation, &mut manager), Step::Ready);
    let last = task.take_spills();
    assert_eq!((last.len(), last[0].memory_bytes, last[0].records), (1, 262_144 + 2 * PAGE, 1808));
    assert_eq!(task.memory_used(), 0);
    assert_eq!(task.peak_execution_memory(), 262_144 + 9 * PAGE);
}

#[test]
fn an_aggregation_that_cannot_have_a_page_fails() {
    let mut manager = pool(262_144);
    let spec = OperatorSpec::HashAggregation {
        groups: GroupCurve::even(100, 100),
        key_value_bytes: 48,
        fast_map_row_bytes: None,
        dense_keys: false,
    };
    let (mut task, aggregation) = opened(spec, &mut manager);
    let Step::OutOfMemory(error) = task.insert(aggregation, 1, &mut manager) else {
        panic!("there is no page")
    };
    assert_eq!(error.condition.name(), "AGGREGATE_OUT_OF_MEMORY");
    // Spark spills the empty map, index array and all, before it gives up.
    assert_eq!(
        task.take_spills().iter().map(|s| (s.memory_bytes, s.records)).collect::<Vec<_>>(),
        [(262_144, 0)]
    );
}

#[test]
fn a_relation_that_cannot_take_a_row_fails_without_spilling() {
    let mut manager = pool(4 * PAGE);
    let spec =
        OperatorSpec::HashedRelation { size_estimate: 64, rows: 10_000, keys: 10_000, key_value_bytes: 48 };
    let (mut task, relation) = opened(spec, &mut manager);
    assert_eq!(task.memory_used(), 128 * 16);
    let Step::OutOfMemory(error) = task.insert(relation, 10_000, &mut manager) else {
        panic!("4 pages are too few")
    };
    assert_eq!(error.condition.name(), "_LEGACY_ERROR_TEMP_2107");
    assert_eq!((task.memory_used(), task.take_spills().len()), (0, 0));
}

fn long_relation(key_range: u64) -> OperatorSpec {
    OperatorSpec::LongHashedRelation {
        size_estimate: 64,
        rows: 50_000,
        keys: 50_000,
        row_bytes: 24,
        key_range,
    }
}

#[test]
fn a_long_relation_grows_by_doubling_and_keeps_the_old_array_meanwhile() {
    let mut manager = pool(64 << 20);
    let (mut task, relation) = opened(long_relation(u64::MAX - 1), &mut manager);
    assert_eq!(task.memory_used(), 16 * 64 + (1 << 20));
    // The index doubles when more than a quarter of its 128 longs are keys.
    task.insert(relation, 32, &mut manager);
    assert_eq!(task.memory_used(), 16 * 64 + (1 << 20));
    task.insert(relation, 1, &mut manager);
    assert_eq!(task.memory_used(), 16 * 128 + (1 << 20));
    // 32768 rows of 32 bytes fill the array; the next one doubles it.
    task.insert(relation, 32_768 - 33, &mut manager);
    assert_eq!(task.memory_used(), 8 * 131_072 + (1 << 20));
    task.insert(relation, 1, &mut manager);
    assert_eq!(task.memory_used(), 8 * 262_144 + (2 << 20));
    assert_eq!(task.peak(relation), 8 * 131_072 + 8 * 262_144 + (2 << 20));
    task.close(relation, &mut manager);
    assert_eq!(task.memory_used(), 0);
}

#[test]
fn a_long_relation_of_a_small_range_becomes_dense() {
    let mut manager = pool(64 << 20);
    let (mut task, relation) = opened(long_relation(60_000), &mut manager);
    task.insert(relation, 50_000, &mut manager);
    task.finish_input(relation, &mut manager);
    assert_eq!(task.memory_used(), 8 * 60_001 + (2 << 20));
}

#[test]
fn a_long_relation_gives_back_what_is_too_little() {
    let mut manager = pool((1 << 20) + 2047);
    let (mut task, relation) = opened(long_relation(60_000), &mut manager);
    let error = SparkOutOfMemory::unable_to_acquire(2048, 1023);
    assert_eq!(task.insert(relation, 33, &mut manager), Step::OutOfMemory(error));
    assert_eq!(task.memory_used(), 1024 + (1 << 20));
}

#[test]
fn a_row_buffer_is_unaccounted_until_a_sorter_takes_over() {
    let mut manager = pool(1 << 20);
    let limits = SpillLimits::default();
    let partitions = WindowPartitions { largest: 5_000, others: 10 };
    let spec = OperatorSpec::RowBuffer { in_memory_threshold: 4096, row_bytes: 60, partitions, limits };
    let (mut task, buffer) = opened(spec, &mut manager);
    assert_eq!(task.records_until_request(buffer, 0), 4096);
    task.insert(buffer, 4096, &mut manager);
    assert_eq!(task.memory_used(), 0);
    // All 4097 rows move, 1024 in a page; without a radix sort pointers for 4097 rows take 4 × 8 KiB doubled.
    task.insert(buffer, 1, &mut manager);
    assert_eq!(task.memory_used(), 5 * PAGE + 128 * 1024);
    // Nothing of it is in the metric. The first row of the next partition clears it, and small ones never leave the heap.
    assert_eq!(task.peak(buffer), 0);
    task.insert(buffer, 903, &mut manager);
    assert!(task.memory_used() >= 5 * PAGE);
    task.insert(buffer, 1, &mut manager);
    assert_eq!((task.memory_used(), task.records_until_request(buffer, 0)), (0, u64::MAX));
    task.insert(buffer, 100_000, &mut manager);
    assert_eq!(task.memory_used(), 0);
}

#[test]
fn every_large_window_partition_fills_the_buffer_anew() {
    let mut manager = pool(4 << 20);
    let partitions = WindowPartitions { largest: 10_000, others: 10_000 };
    let limits = SpillLimits::default();
    let spec = OperatorSpec::RowBuffer { in_memory_threshold: 4096, row_bytes: 60, partitions, limits };
    let (mut task, buffer) = opened(spec, &mut manager);
    assert_eq!(task.insert(buffer, 30_000, &mut manager), Step::Ready);
    let (one, peak) = (task.memory_used(), task.task_memory_manager().peak(MemoryMode::OnHeap));
    assert!(one > 0 && peak < 2 * one, "{one} {peak}");
    task.insert(buffer, 1, &mut manager);
    assert_eq!(task.memory_used(), 0);
}

fn append_only_map(limits: SpillLimits) -> OperatorSpec {
    OperatorSpec::ExternalAppendOnlyMap {
        entry_bytes: 100,
        serialized_bytes: 50,
        keys: GroupCurve::even(1_000_000, 1_000_000),
        initial_memory_threshold: INITIAL_MEMORY_THRESHOLD,
        limits,
    }
}

#[test]
fn an_append_only_map_reserves_double_its_size_and_spills_when_that_fails() {
    // Beyond 45875 entries the map has 131072 slots, which takes it over 5 MiB; it looks at the next multiple of 32.
    let size = 100 * 45_888 + 8 * 131_072;
    let ask = 2 * size - (5 << 20);
    for (pool_bytes, held, spilled) in [(ask, ask, None), (300_000, 0, Some((size, 45_888)))] {
        let mut manager = pool(pool_bytes);
        let (mut task, map) = opened(append_only_map(SpillLimits::default()), &mut manager);
        assert_eq!(task.records_until_request(map, 0), 45_888);
        task.insert(map, 45_888, &mut manager);
        assert_eq!(task.memory_used(), 0);
        task.insert(map, 1, &mut manager);
        assert_eq!(task.memory_used(), held);
        let spills = task.take_spills();
        assert_eq!(spills.first().map(|s| (s.memory_bytes, s.records)), spilled);
    }
}

#[test]
fn an_append_only_map_gives_its_reservation_to_others() {
    let mut manager = pool(20 << 20);
    let (mut task, map) = opened(append_only_map(SpillLimits::default()), &mut manager);
    task.insert(map, 60_000, &mut manager);
    let reserved = task.memory_used();
    assert!(reserved > 0);
    let other = task.add(sort(1020, 4096));
    task.open(other, &mut manager);
    task.insert(other, 64 * 300, &mut manager);
    let spills = task.take_spills();
    assert_eq!((spills[0].operator, spills[0].memory_bytes, spills[0].records), (map, reserved, 60_000));
    assert_eq!(spills[0].forced_by, Some(other));
}

#[test]
fn forced_limits_of_collections_ask_for_memory_first_only_in_3_5() {
    // A limit right where the collection would ask for memory: 4.1 spills without asking, 3.5 asks, then spills.
    for (limits_before_request, peak_held) in [(true, 0), (false, 1)] {
        let mut manager = pool(64 << 20);
        let conf = OperatorConf { tungsten_mode: MemoryMode::OnHeap, page_size: PAGE, limits_before_request };
        let mut task = TaskOperators::new(TaskMemoryManager::new(TaskId(0), MemoryMode::OnHeap, PAGE), conf);
        let map = task.add(append_only_map(SpillLimits { records: 45_887, bytes: u64::MAX }));
        task.open(map, &mut manager);
        task.insert(map, 45_889, &mut manager);
        let spills = task.take_spills();
        assert_eq!((spills.len(), spills[0].records), (1, 45_888));
        assert_eq!(u64::from(task.task_memory_manager().peak(MemoryMode::OnHeap) > 0), peak_held);
        assert_eq!(task.memory_used(), 0);
    }
}

#[test]
fn a_hundred_million_rows_cost_memory_events_only() {
    let mut manager = pool(64 << 20);
    let (mut task, sorter) = opened(sort(96, SORT_INITIAL_RECORDS), &mut manager);
    assert_eq!(task.insert(sorter, 100_000_000, &mut manager), Step::Ready);
    let spilled: u64 = task.take_spills().iter().map(|s| s.records).sum();
    assert!(spilled > 99_000_000);
}

fn any_spec() -> impl Strategy<Value = OperatorSpec> {
    let limits = (prop_oneof![Just(u64::MAX), 50..5000_u64], prop_oneof![Just(u64::MAX), PAGE..8 * PAGE])
        .prop_map(|(records, bytes)| SpillLimits { records, bytes });
    prop_oneof![
        (8..3000_u64, any::<bool>(), 16..5000_u64, limits.clone()).prop_map(
            |(row_bytes, radix, initial_records, limits)| OperatorSpec::Sort {
                row_bytes,
                radix,
                initial_records,
                limits
            }
        ),
        (8..3000_u64, any::<bool>(), 16..5000_u64, limits.clone()).prop_map(
            |(record_bytes, radix, initial_records, limits)| OperatorSpec::ShuffleSort {
                record_bytes,
                radix,
                initial_records,
                limits
            }
        ),
        (1..20_000_u64, 1..40_u64, 0.3..1.0_f64, any::<bool>()).prop_map(
            |(groups, words, exponent, fast)| {
                OperatorSpec::HashAggregation {
                    groups: GroupCurve::power(20_000, groups, exponent),
                    key_value_bytes: 8 * words,
                    fast_map_row_bytes: fast.then_some(8 * words + 8),
                    dense_keys: false,
                }
            }
        ),
        (1..20_000_u64, 8..500_u64, limits.clone()).prop_map(|(groups, row_bytes, limits)| {
            OperatorSpec::ObjectHashAggregation {
                groups: GroupCurve::even(20_000, groups),
                group_bytes: 40,
                row_bytes,
                radix: false,
                fallback_threshold: 128,
                limits,
            }
        }),
        (8..500_u64, 1..20_000_u64, limits.clone()).prop_map(|(entry_bytes, keys, limits)| {
            OperatorSpec::ExternalAppendOnlyMap {
                entry_bytes,
                serialized_bytes: 10,
                keys: GroupCurve::even(20_000, keys),
                initial_memory_threshold: 100_000,
                limits,
            }
        }),
        (8..500_u64, any::<bool>(), limits).prop_map(|(entry_bytes, combine, limits)| {
            OperatorSpec::ExternalSorter {
                entry_bytes,
                serialized_bytes: 10,
                map_side_combine: combine.then(|| GroupCurve::even(20_000, 5_000)),
                writes_shuffle: true,
                initial_memory_threshold: 100_000,
                limits,
            }
        }),
        (1..20_000_u64, 1..40_u64).prop_map(|(keys, words)| OperatorSpec::HashedRelation {
            size_estimate: 64,
            rows: 20_000,
            keys,
            key_value_bytes: 8 * words
        }),
        (1..20_000_u64, 1..40_u64).prop_map(|(keys, words)| OperatorSpec::LongHashedRelation {
            size_estimate: 64,
            rows: 20_000,
            keys,
            row_bytes: 8 * words,
            key_range: 1 << 40,
        }),
        (1..5_000_u64, 8..500_u64, 1..9_000_u64, 1..9_000_u64).prop_map(
            |(in_memory_threshold, row_bytes, largest, others)| OperatorSpec::RowBuffer {
                in_memory_threshold,
                row_bytes,
                partitions: WindowPartitions { largest, others },
                limits: SpillLimits::default(),
            }
        ),
    ]
}

/// Everything that can be seen of an operator fed with rows in these portions: how it ended, memory, peak, spills.
fn outcome(
    spec: &OperatorSpec,
    pool_bytes: u64,
    portions: impl Iterator<Item = u64>,
) -> (Vec<Step>, u64, u64, Vec<SpillEvent>) {
    let mut manager = pool(pool_bytes);
    let mut task = task(0);
    let operator = task.add(spec.clone());
    let mut end = vec![task.open(operator, &mut manager)];
    for rows in portions {
        if end != [Step::Ready] {
            break;
        }
        let foreseen = task.records_until_request(operator, 0);
        let before = (task.memory_used(), task.task_memory_manager().peak(MemoryMode::OnHeap));
        end = vec![task.insert(operator, rows, &mut manager)];
        if rows <= foreseen {
            let after = (task.memory_used(), task.task_memory_manager().peak(MemoryMode::OnHeap));
            assert_eq!(before, after, "{rows} of {foreseen} records that need no memory");
        }
    }
    if end == [Step::Ready] {
        end.push(task.finish_input(operator, &mut manager));
    }
    let seen = (end, task.memory_used(), task.peak(operator), task.take_spills());
    task.close(operator, &mut manager);
    assert_eq!(task.clean_up_all(&mut manager), 0, "{spec:?} leaks");
    seen
}

proptest! {
    #[test]
    fn portions_do_not_matter(spec in any_spec(), pages in 4..60_u64, rows in 1..20_000_u64, portion in 1..700_u64) {
        let pool_bytes = pages * PAGE + 300_000;
        let whole = outcome(&spec, pool_bytes, std::iter::once(rows));
        let portions = (0..rows.div_ceil(portion)).map(|i| portion.min(rows - i * portion));
        prop_assert_eq!(&whole, &outcome(&spec, pool_bytes, portions));
    }
}
