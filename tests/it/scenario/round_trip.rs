//! Nothing is lost between a scenario and its text, and no text makes the parser panic.

use proptest::prelude::{Strategy as PropStrategy, *};
use spillcast::memory::StorageLevel;
use spillcast::scenario::{
    ClusterSpec, ConfEntry, HostSpec, Scenario, Severity, SwapKind, TenantSpec, Variant, parse, render,
};
use spillcast::workload::{
    Broadcast, CachedPartition, Dataset, Distribution, Job, Join, JoinKind, JoinSettings, Keys, Observed,
    Operator, OperatorKind, Partitioning, PerTask, Place, Query, Rates, Shuffle, ShufflePartitions, Stage,
    Step, StepKind, Strategy, Workload,
};

use super::shipped;

fn amounts() -> impl PropStrategy<Value = PerTask> {
    prop_oneof![
        any::<u64>().prop_map(PerTask::Total),
        prop::collection::vec(any::<u64>(), 0..4).prop_map(PerTask::Each)
    ]
}

fn positive() -> impl PropStrategy<Value = f64> {
    prop_oneof![0.0..1e-3, 0.0..1.0, 1.0..1e18, Just(0.1), Just(5e-324), Just(f64::MAX)]
}

fn bytes() -> impl PropStrategy<Value = u64> {
    0..=i64::MAX as u64
}

/// Any text, control characters, quotes and backslashes included.
fn free_text() -> impl PropStrategy<Value = String> {
    prop_oneof!["[a-z ]{0,8}", any::<String>(), Just("\"\\\u{7f}\n\t\r\u{85}".to_owned())]
}

fn shares() -> impl PropStrategy<Value = Vec<f64>> {
    prop::collection::vec(1e-9..0.2, 0..5)
}

fn kinds(shuffles: usize, datasets: usize, broadcasts: usize) -> impl PropStrategy<Value = OperatorKind> {
    use OperatorKind as K;
    prop_oneof![
        amounts().prop_map(|bytes| K::Scan { bytes }),
        (0..shuffles, amounts()).prop_map(|(shuffle, bytes)| K::ShuffleRead { shuffle, bytes }),
        (0..datasets).prop_map(|dataset| K::CachedScan { dataset, lineage: None }),
        Just(K::Pipelined),
        (bytes(), any::<[bool; 3]>()).prop_map(|(key_value_bytes, [fast_map, dense_keys, variable_rows])| {
            K::HashAggregate { key_value_bytes, fast_map, dense_keys, variable_rows }
        }),
        (bytes(), bytes(), any::<bool>()).prop_map(|(group_bytes, sorter_row_bytes, radix)| {
            K::ObjectHashAggregate { group_bytes, sorter_row_bytes, radix }
        }),
        any::<bool>().prop_map(|radix| K::Sort { radix }),
        (0..broadcasts).prop_map(|broadcast| K::BroadcastHashJoin { broadcast }),
        (any::<bool>(), amounts(), bytes()).prop_map(|(long_key, keys, key_range)| K::ShuffledHashJoin {
            long_key,
            keys,
            key_range
        }),
        Just(K::Window),
        bytes().prop_map(|entry_bytes| K::ExternalAggregation { entry_bytes }),
        bytes().prop_map(|worker_bytes| K::Python { worker_bytes }),
        (0..shuffles, amounts()).prop_map(|(shuffle, bytes)| K::ShuffleWrite { shuffle, bytes }),
        (0..broadcasts).prop_map(|broadcast| K::Broadcast { broadcast }),
        amounts().prop_map(|bytes| K::Output { bytes }),
    ]
}

fn operators() -> impl PropStrategy<Value = Vec<Operator>> {
    let operator = (free_text(), kinds(2, 2, 2), amounts(), bytes(), amounts(), amounts());
    prop::collection::vec(operator, 0..4).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(at, (name, kind, rows, row_bytes, cpu_ns, heap_bytes))| Operator {
                name,
                kind,
                inputs: (0..at).collect(),
                rows,
                row_bytes,
                cpu_ns,
                heap_bytes,
            })
            .collect()
    })
}

fn stages() -> impl PropStrategy<Value = Vec<Stage>> {
    let partitioning = prop_oneof![
        (1..=u32::MAX).prop_map(Partitioning::Fixed),
        (bytes(), any::<u32>(), any::<u32>()).prop_map(|(bytes, files, tasks)| Partitioning::Files {
            bytes,
            files,
            tasks
        }),
        (
            prop::collection::vec(0..2usize, 0..3),
            any::<u32>(),
            prop::collection::vec(0..2usize, 0..3),
            any::<bool>()
        )
            .prop_map(|(shuffles, tasks, may_split, local)| Partitioning::Shuffle {
                shuffles,
                tasks,
                may_split,
                local
            }),
        (0..2usize).prop_map(Partitioning::Dataset),
    ];
    let stage = (any::<u32>(), free_text(), partitioning, operators(), amounts(), amounts(), amounts());
    prop::collection::vec(stage, 0..4).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(at, (id, name, partitioning, operators, result_bytes, launch_ns, allocated_bytes))| {
                Stage {
                    id,
                    name,
                    parents: (0..at).collect(),
                    partitioning,
                    operators,
                    result_bytes,
                    launch_ns,
                    allocated_bytes,
                    background_threads: f64::from(id % 3) * 0.7,
                    warm_up_ns: u64::from(id % 5) * 1_000_000,
                    compile_ns: u64::from(id),
                }
            })
            .collect()
    })
}

fn shuffle() -> impl PropStrategy<Value = Shuffle> {
    let partitions =
        prop_oneof![Just(ShufflePartitions::Conf), (1..=u32::MAX).prop_map(ShufflePartitions::Fixed)];
    let distribution = prop_oneof![
        Just(Distribution::Hash),
        Just(Distribution::Range),
        Just(Distribution::RoundRobin),
        Just(Distribution::Single)
    ];
    let keys = (shares(), any::<u64>(), any::<u64>(), shares())
        .prop_map(|(hot, distinct, salt, observed)| Keys { hot, distinct, salt, observed });
    (free_text(), partitions, distribution, keys, bytes(), positive(), any::<bool>(), any::<(bool, u64)>())
        .prop_map(
            |(
                name,
                partitions,
                distribution,
                keys,
                record_bytes,
                compression,
                map_side_combine,
                (relocatable, blocks),
            )| {
                Shuffle {
                    name,
                    partitions,
                    distribution,
                    keys,
                    record_bytes,
                    compression,
                    map_side_combine,
                    relocatable,
                    blocks,
                }
            },
        )
}

fn dataset() -> impl PropStrategy<Value = Dataset> {
    let level = (any::<[bool; 4]>(), any::<u8>()).prop_map(
        |([use_disk, use_memory, use_off_heap, deserialized], replication)| StorageLevel {
            use_disk,
            use_memory,
            use_off_heap,
            deserialized,
            replication,
        },
    );
    let named = Just(StorageLevel {
        use_disk: true,
        use_memory: true,
        use_off_heap: false,
        deserialized: true,
        replication: 2,
    });
    let partition = any::<[u64; 3]>().prop_map(|[memory_bytes, serialized_bytes, disk_bytes]| {
        CachedPartition { memory_bytes, serialized_bytes, disk_bytes }
    });
    let partitions = prop::collection::vec(partition, 0..4);
    (
        any::<u32>(),
        free_text(),
        prop_oneof![level, named],
        partitions,
        positive(),
        any::<u64>(),
        prop::option::of(0..2usize),
    )
        .prop_map(|(id, name, level, partitions, compute_ns_per_byte, elements, unpersist_after)| {
            Dataset { id, name, level, partitions, compute_ns_per_byte, elements, unpersist_after }
        })
}

fn step_kinds() -> impl PropStrategy<Value = StepKind> {
    let names = || prop::collection::vec("[a-z#0-9][a-z\"#0-9 (]{0,7}", 0..3);
    let join =
        (0..5usize, names(), names(), 0..5usize, 0..5usize, any::<[bool; 3]>(), prop::option::of(0..2usize))
            .prop_map(|(kind, left_keys, right_keys, planned, ran, [hint, radix, long_key], broadcast)| {
                StepKind::Join(Join {
                    kind: JoinKind::ALL[kind].1,
                    left_keys,
                    right_keys,
                    planned: Strategy::ALL[planned].1,
                    ran: Strategy::ALL[ran].1,
                    hint,
                    radix,
                    long_key,
                    broadcast,
                })
            });
    prop_oneof![
        Just(StepKind::Rows),
        prop::option::of(any::<u64>()).prop_map(|estimated_bytes| StepKind::Leaf { estimated_bytes }),
        names().prop_map(|keys| StepKind::Clustered { keys }),
        names().prop_map(|keys| StepKind::Sort { keys }),
        (0..2usize, names(), any::<bool>()).prop_map(|(shuffle, keys, required)| StepKind::Exchange {
            shuffle,
            keys,
            required
        }),
        join,
    ]
}

/// Plans whose steps all ran as the first operator of the first stage.
fn queries() -> impl PropStrategy<Value = Vec<Query>> {
    let parts = (step_kinds(), bytes(), bytes());
    let chosen = (any::<[bool; 2]>(), any::<[bool; 3]>(), prop::array::uniform3(bytes()));
    let query = (prop::collection::vec(parts, 0..5), chosen, free_text());
    prop::collection::vec(query, 0..3).prop_map(|all| {
        all.into_iter()
            .map(|(steps, ([adaptive, prefer_sort_merge], set, thresholds), unknown)| Query {
                jobs: vec![1],
                steps: steps
                    .into_iter()
                    .enumerate()
                    .map(|(at, (kind, row_bytes, estimated_row_bytes))| {
                        step(at, kind, row_bytes, estimated_row_bytes)
                    })
                    .collect(),
                chosen: JoinSettings {
                    adaptive,
                    broadcast_threshold: set[0].then_some(thresholds[0]),
                    adaptive_broadcast_threshold: set[1].then_some(thresholds[1]),
                    prefer_sort_merge,
                    local_map_threshold: set[2].then_some(thresholds[2]),
                },
                unknown,
            })
            .collect()
    })
}

/// A step with as many inputs as its kind has; one that cannot have them so early is a leaf.
fn step(at: usize, kind: StepKind, row_bytes: u64, estimated_row_bytes: u64) -> Step {
    let wanted = match kind {
        StepKind::Join(_) => 2,
        StepKind::Clustered { .. } | StepKind::Sort { .. } | StepKind::Exchange { .. } => 1,
        StepKind::Leaf { .. } => 0,
        StepKind::Rows => at,
    };
    let (kind, wanted) =
        if wanted > at { (StepKind::Leaf { estimated_bytes: None }, 0) } else { (kind, wanted) };
    let places = vec![Place { stage: 0, operator: 0 }];
    let order = vec!["k#1".to_owned(); at % 2];
    Step { kind, inputs: (at - wanted..at).collect(), at: places, order, row_bytes, estimated_row_bytes }
}

fn workloads() -> impl PropStrategy<Value = Workload> {
    let two = |seed| prop::collection::vec(seed, 2);
    let broadcasts = prop::collection::vec((free_text(), any::<u64>(), bytes(), bytes(), any::<u64>()), 2);
    let observed = prop::option::of((any::<[u32; 2]>(), free_text(), bytes(), bytes(), positive()));
    let jobs = two((any::<u32>(), free_text(), any::<u64>()));
    let rest = (free_text(), any::<bool>(), positive(), bytes(), queries());
    (
        jobs,
        stages(),
        prop::collection::vec(shuffle(), 2),
        prop::collection::vec(dataset(), 2),
        broadcasts,
        observed,
        rest,
    )
        .prop_map(
            |(
                jobs,
                stages,
                shuffles,
                datasets,
                broadcasts,
                observed,
                (name, python, rate, base, queries),
            )| Workload {
                queries: if stages.first().is_some_and(|stage| !stage.operators.is_empty()) {
                    queries
                } else {
                    queries.into_iter().map(|query| Query { steps: Vec::new(), ..query }).collect()
                },
                name,
                jobs: jobs
                    .into_iter()
                    .enumerate()
                    .map(|(at, (id, name, gap_ns))| Job {
                        id,
                        name,
                        stages: (0..stages.len()).filter(|stage| stage % 2 == at).collect(),
                        after: (0..at).collect(),
                        gap_ns,
                    })
                    .collect(),
                stages,
                shuffles,
                datasets,
                broadcasts: broadcasts
                    .into_iter()
                    .map(|(name, rows, relation_bytes, pieces_bytes, build_ns)| Broadcast {
                        name,
                        rows,
                        relation_bytes,
                        pieces_bytes,
                        build_ns,
                    })
                    .collect(),
                rates: Rates {
                    spill_compression: rate,
                    heap_base_bytes: base,
                    executor_launch_ns: base,
                    shuffle_file_ns: base / 3,
                    ..Rates::default()
                },
                observed: observed.map(
                    |(
                        [shuffle_partitions, default_parallelism],
                        adaptive,
                        max_partition_bytes,
                        open_cost_bytes,
                        data_scale,
                    )| {
                        Observed {
                            shuffle_partitions,
                            local_reader: adaptive.len() % 2 == 1,
                            skew_join: adaptive.chars().rev().collect(),
                            adaptive,
                            max_partition_bytes,
                            open_cost_bytes,
                            default_parallelism,
                            data_scale,
                        }
                    },
                ),
                python,
            },
        )
}

fn entries() -> impl PropStrategy<Value = Vec<ConfEntry>> {
    prop::collection::btree_map("[a-z.]{1,12}", free_text(), 0..4).prop_map(|all| {
        all.into_iter().enumerate().map(|(line, (key, value))| ConfEntry { key, value, line }).collect()
    })
}

fn scenarios() -> impl PropStrategy<Value = Scenario> {
    let host =
        (any::<[u32; 2]>(), 1_u64 << 41..=i64::MAX as u64, bytes(), prop::option::of(bytes()), 1.0..1e12)
            .prop_map(|([count, cores], memory_bytes, swap_bytes, disk_bytes, rate)| HostSpec {
                name: "h \"1\"".to_owned(),
                count: count.max(1),
                cores: cores.max(1),
                memory_bytes,
                stolen_cores: f64::from(cores.min(1_000)) / 8.0,
                kernel_bytes: disk_bytes.map(|bytes| bytes >> 30),
                swap_bytes,
                swap_device: if swap_bytes % 2 == 0 { SwapKind::Network } else { SwapKind::Ssd },
                swap_latency_ns: disk_bytes.map(|bytes| bytes % 1_000_000 * 1_000),
                swap_bytes_per_s: disk_bytes.map(|_| rate / 2.0),
                local_dir_in_memory: swap_bytes % 3 == 0,
                disk_bytes,
                disk_bytes_per_s: rate,
                network_bytes_per_s: rate / 3.0,
            });
    let tenant = (any::<bool>(), 0..1_u64 << 40, 0.0..64.0, -1000..=1000).prop_map(
        |(bound, resident_bytes, cpu_cores, oom_score_adj)| TenantSpec {
            name: "tenant".to_owned(),
            host: bound.then(|| "h \"1\"".to_owned()),
            resident_bytes,
            active_bytes: resident_bytes / 2,
            period_ns: (1 + resident_bytes % 77) * 1_000,
            churn_bytes_per_s: if bound { 3.5e6 } else { 0.0 },
            request_ns: bound.then_some(250_000),
            request_every_ns: bound.then_some(400_000_000),
            request_bytes: if bound { resident_bytes / 4 } else { 0 },
            request_block_bytes: if bound { 1 + resident_bytes % 65_536 } else { 4_096 },
            cpu_cores,
            oom_score_adj,
        },
    );
    let version = prop::option::of(Just("3.5.9".to_owned()));
    (any::<u64>(), version, entries(), host, tenant, entries(), workloads()).prop_map(
        |(seed, spark_version, conf, host, tenant, other, workload)| Scenario {
            name: "any".to_owned(),
            seed,
            spark_version,
            conf,
            cluster: ClusterSpec { hosts: vec![host], tenants: vec![tenant] },
            workload,
            variants: vec![Variant { name: "other".to_owned(), conf: other }],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_in_rendering(scenario in scenarios()) {
        let text = render(&scenario);
        let (again, found) = parse(&text, "rendered.toml");
        prop_assert!(found.is_empty(), "{found:#?}\n{text}");
        prop_assert_eq!(again, Some(scenario));
    }

    #[test]
    fn no_text_makes_the_parser_panic(cut in 0usize..3_000, insert in "[\\[\\]{}=\"',.#a-z0-9\\n -]{0,6}", which in 0usize..9) {
        let (_, text) = shipped().swap_remove(which);
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (before, after) = text.split_at(at);
        for broken in [format!("{before}{insert}{after}"), before.to_owned()] {
            let (scenario, found) = parse(&broken, "broken.toml");
            let errors = found.iter().any(|fault| fault.severity == Severity::Error);
            prop_assert_eq!(scenario.is_none(), errors);
        }
    }
}
