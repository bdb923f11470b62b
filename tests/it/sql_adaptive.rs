//! Decisions of adaptive execution over written shuffles, against what Spark 4.1.4 did with the same join of a hot key:
//! tasks, largest peak, sum of peaks. Logs and application: `tests/data/eventlog/sql`.

use crate::joins::run;

const ON: (&str, &str) = ("spark.sql.adaptive.enabled", "true");
const OFF: (&str, &str) = ("spark.sql.adaptive.enabled", "false");
const SMALL_PARTS: (&str, &str) = ("spark.sql.adaptive.advisoryPartitionSizeInBytes", "4m");
const LOW_THRESHOLD: (&str, &str) = ("spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", "4m");
const BASE: &str = "sql/skew-base/app.zstd";
const SPLIT: &str = "sql/skew-aqesk/app.zstd";

#[track_caller]
fn check(log: &str, changed: &[(&str, &str)], expected: (u64, u64, u64)) {
    let totals = run(log, changed).totals;
    let found = (totals.tasks, totals.peak_execution_memory_max, totals.peak_execution_memory_sum);
    assert_eq!(found, expected, "{log} {changed:?}");
}

#[test]
fn a_hot_partition_is_split_by_the_outputs_of_map_tasks() {
    let split = (27, 52_428_736, 668_990_640);
    check(SPLIT, &[], split);
    check(BASE, &[ON, SMALL_PARTS, LOW_THRESHOLD], split);
}

#[test]
fn executors_of_half_the_heap_split_alike() {
    let executors = [
        ("spark.master", "local-cluster[2,1,1024]"),
        ("spark.executor.memory", "512m"),
        ON,
        SMALL_PARTS,
        LOW_THRESHOLD,
    ];
    check(BASE, &executors, (27, 44_040_096, 543_161_152));
}

#[test]
fn the_parts_of_a_partition_are_put_together_again_without_adaptive_execution() {
    let totals = run(SPLIT, &[OFF]).totals;
    assert_eq!((totals.tasks, totals.shuffle_read_records), (20, run(BASE, &[]).totals.shuffle_read_records));
    // Whether it spills hangs on who runs beside it; with a single core nobody does.
    let alone = [OFF, ("spark.master", "local[1]")];
    assert_eq!(
        run(SPLIT, &alone).totals.peak_execution_memory_max,
        run(BASE, &[("spark.master", "local[1]")]).totals.peak_execution_memory_max
    );
}

#[test]
fn a_shuffle_is_read_where_it_was_written_once_the_other_side_is_broadcast() {
    let broadcast = [ON, ("spark.sql.adaptive.autoBroadcastJoinThreshold", "100m")];
    check(BASE, &broadcast, (17, 19_177_216, 57_531_648));
}

#[test]
fn small_rests_join_their_neighbours_only_below_the_least_size() {
    // Real: 15 tasks, of which three read the shuffles.
    assert_eq!(run(BASE, &[ON]).totals.tasks, 15);
}
