//! Decisions of adaptive execution over written shuffles, against what Spark 4.1.4 did with the same join of a hot key:
//! tasks, largest peak, sum of peaks. Logs and application: `tests/data/eventlog/sql`.

use spillcast::conf::{Origin, Settings, SparkConf, SparkVersion};
use spillcast::scenario;
use spillcast::sim::{Plan, partitioning, partitions, plan};
use spillcast::workload::{
    Distribution, Partitioning, PerTask, Shuffle, Workload, filled_blocks, reblocked_bytes,
};

use crate::joins::{application, run};

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
fn a_join_of_small_partitions_is_hashed_unless_smaller_ones_are_aimed_at() {
    const THRESHOLD: &str = "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold";
    // Real: nothing spills, and relations are in no metric.
    check(BASE, &[ON, (THRESHOLD, "64m")], (15, 0, 0));
    // Below the size that partitions are put together up to the threshold does nothing.
    let sorted = run(BASE, &[ON]).totals;
    assert!(sorted.peak_execution_memory_max > 0);
    for without in [(THRESHOLD, "63m"), (THRESHOLD, "0")] {
        assert_eq!(run(BASE, &[ON, without]).totals, sorted);
    }
    // The table has partitions of less than 1 MiB, the other side one of 40.
    let hashed = |size: &str| {
        let aimed = ("spark.sql.adaptive.advisoryPartitionSizeInBytes", size);
        run(BASE, &[ON, aimed, (THRESHOLD, size)]).totals.peak_execution_memory_max == 0
    };
    assert_eq!(["1m", "256k"].map(hashed), [true, false]);
}

#[test]
fn small_rests_join_their_neighbours_only_below_the_least_size() {
    // Real: 15 tasks, of which three read the shuffles.
    assert_eq!(run(BASE, &[ON]).totals.tasks, 15);
}

/// A join of a hot key by hand, whose rows are shuffled once more.
fn by_hand() -> Workload {
    let text = r#"
        name = "hot"
        conf = { "spark.sql.shuffle.partitions" = 8, "spark.sql.autoBroadcastJoinThreshold" = "-1" }
        [[table]]
        name = "l"
        rows = 2_000_000
        row_bytes = 40
        partitions = 16
        [[table]]
        name = "r"
        rows = 100_000
        row_bytes = 40
        partitions = 4
        [[query]]
        name = "q"
        from = "l"
        steps = [
          { op = "join", with = "r", kind = "sort_merge", keys = { hot = [0.5] } },
          { op = "repartition" },
          { op = "write" },
        ]
    "#;
    let (scenario, findings) = scenario::parse(text, "hot.toml");
    scenario.unwrap_or_else(|| panic!("{findings:?}")).workload
}

fn small_parts(local_reader: bool) -> Settings {
    let mut conf = SparkConf::new(SparkVersion::DEFAULT);
    let local_reader = local_reader.to_string();
    for (key, value) in [
        ("spark.sql.shuffle.partitions", "8"),
        SMALL_PARTS,
        LOW_THRESHOLD,
        ("spark.sql.adaptive.localShuffleReader.enabled", &local_reader),
    ] {
        conf.set(key, value, Origin::Scenario(1));
    }
    Settings::resolve(&conf).unwrap()
}

fn planned(workload: &Workload) -> Plan {
    plan(workload, &small_parts(true), 2)
}

#[test]
fn a_shuffle_that_is_read_by_an_earlier_stage_of_the_list_is_split_too() {
    let workload = by_hand();
    let usual = planned(&workload);
    assert!(usual.stages.iter().any(|stage| stage.tasks > 8), "nothing is split");
    let mut turned = workload.clone();
    turned.stages.reverse();
    let last = workload.stages.len() - 1;
    for stage in &mut turned.stages {
        stage.parents.iter_mut().for_each(|parent| *parent = last - *parent);
    }
    for job in &mut turned.jobs {
        job.stages.iter_mut().for_each(|stage| *stage = last - *stage);
    }
    let tasks = |plan: &Plan| plan.stages.iter().map(|stage| stage.tasks).collect::<Vec<_>>();
    let mut found = tasks(&planned(&turned));
    found.reverse();
    assert_eq!(found, tasks(&usual));
}

#[test]
fn the_tasks_of_a_split_join_count_as_map_tasks_of_the_shuffle_that_they_write() {
    /// Blocks of eight map tasks, as without the split.
    const BEFORE: u64 = 64;
    let mut workload = by_hand();
    let (writer, shuffle) = (2, 2);
    let unscaled: u64 = planned(&workload).stages[writer].operators.last().unwrap().bytes.iter().sum();
    workload.shuffles[shuffle].blocks = BEFORE;
    let plan = planned(&workload);
    let maps = plan.stages[writer].tasks;
    assert!(maps > 8, "{maps} tasks: nothing is split");
    let rows = workload.stages[writer].operators.last().unwrap().rows.total();
    let blocks = filled_blocks(maps as u64, 8, rows);
    let expected = reblocked_bytes(unscaled, rows, workload.shuffles[shuffle].record_bytes, BEFORE, blocks);
    let found: u64 = plan.stages[writer].operators.last().unwrap().bytes.iter().sum();
    // Each task's bytes are rounded down.
    assert!(found.abs_diff(expected) <= maps as u64 && found != unscaled, "{found}, expected {expected}");
}

#[test]
fn what_was_read_locally_is_read_by_partitions_without_local_readers() {
    let mut workload = by_hand();
    let last = workload.stages.len() - 1;
    let Partitioning::Shuffle { tasks, local, .. } = &mut workload.stages[last].partitioning else {
        panic!("the last stage reads no shuffle");
    };
    (*tasks, *local) = (3, true);
    for operator in &mut workload.stages[last].operators {
        operator.rows = PerTask::Each(vec![1_000_000, 600_000, 400_000]);
    }
    for observed in [true, false] {
        workload.observed = Some(partitioning(&small_parts(observed), 2));
        let tasks = [true, false].map(|now| plan(&workload, &small_parts(now), 2).stages[last].tasks);
        assert!(
            tasks[usize::from(!observed)] == 3 && tasks[usize::from(observed)] > 3,
            "{observed}: {tasks:?}"
        );
    }
}

/// Real: a sort of `range(0, 1000, 1, 4).selectExpr("hash(id) x")` plans `rangepartitioning(x, 50)` where 50 are asked for
/// to begin with, and 20, the shuffle partitions, without coalescing.
#[test]
fn ranges_begin_as_many_as_other_partitions() {
    let workload = by_hand();
    let by_range = Shuffle { distribution: Distribution::Range, ..workload.shuffles[0].clone() };
    let written = |coalesce: &str, rows: u64| {
        let mut conf = SparkConf::new(SparkVersion::DEFAULT);
        for (key, value) in [
            ("spark.sql.shuffle.partitions", "20"),
            ("spark.sql.adaptive.coalescePartitions.initialPartitionNum", "50"),
            ("spark.sql.adaptive.coalescePartitions.enabled", coalesce),
        ] {
            conf.set(key, value, Origin::Scenario(1));
        }
        partitions(&by_range, &Settings::resolve(&conf).unwrap(), rows)
    };
    assert_eq!([written("true", 1_000), written("false", 1_000), written("true", 7)], [50, 20, 7]);
}

#[test]
fn slices_of_map_outputs_are_not_taken_for_partitions() {
    let (imported, _) = application("w11unshipped-base/local-1795261307982.zstd", &[]);
    let stages = &imported.workload.stages;
    let local = stages.iter().filter_map(|stage| match &stage.partitioning {
        Partitioning::Shuffle { shuffles, local: true, .. } => Some(shuffles.clone()),
        _ => None,
    });
    let local: Vec<_> = local.collect();
    // The build side of a broadcast that adaptive execution made of a shuffled join.
    assert_eq!(local, [[1]]);
    let observed = |shuffle: usize| imported.workload.shuffles[shuffle].keys.observed.len();
    assert_eq!((observed(0), observed(1)), (2, 0));
}
