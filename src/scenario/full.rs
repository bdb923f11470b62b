//! The full form: tables under `[workload]` that mirror the types of [`crate::workload`] one to one. What is absent is
//! zero or empty; what refers to something that is not there is reported. [`super::render()`] writes it.

use std::ops::Range;

use super::diagnostic::{BAD_DISTRIBUTION, IMPOSSIBLE, Sink, UNKNOWN_REFERENCE};
use super::plans;
use super::view::View;
use crate::workload::{
    Broadcast, CachedPartition, Dataset, Distribution, Job, KEY_RANGE_UNKNOWN, Keys, Observed, Operator,
    OperatorKind, Partitioning, PerTask, Rates, Shuffle, ShufflePartitions, Stage, Workload,
};

/// Numbers of each kind of thing, to check references by position.
pub(super) struct Counts {
    pub(super) jobs: usize,
    stages: usize,
    pub(super) shuffles: usize,
    datasets: usize,
    pub(super) broadcasts: usize,
}

/// Decodes `[workload]`.
pub(super) fn decode(table: &View, sink: &mut Sink) -> Workload {
    let [jobs, stages, shuffles, datasets, broadcasts] =
        ["job", "stage", "shuffle", "dataset", "broadcast"].map(|key| table.tables(key));
    let counts = Counts {
        jobs: jobs.len(),
        stages: stages.len(),
        shuffles: shuffles.len(),
        datasets: datasets.len(),
        broadcasts: broadcasts.len(),
    };
    let mut workload = Workload {
        name: table.text("name").unwrap_or_default().to_owned(),
        jobs: jobs.iter().map(|job| decode_job(job, &counts, sink)).collect(),
        stages: stages.iter().map(|stage| decode_stage(stage, &counts, sink)).collect(),
        shuffles: shuffles.iter().map(|shuffle| decode_shuffle(shuffle, sink)).collect(),
        datasets: datasets.iter().map(|dataset| decode_dataset(dataset, &counts, sink)).collect(),
        broadcasts: broadcasts.iter().map(decode_broadcast).collect(),
        queries: Vec::new(),
        rates: table.table("rates").map_or_else(Rates::default, |table| rates(&table)),
        observed: table.table("observed").map(|table| decode_observed(&table)),
        python: table.flag("python").unwrap_or(false),
    };
    let plans = table.tables("plan");
    workload.queries =
        plans.iter().map(|plan| plans::decode(plan, &counts, &workload.stages, sink)).collect();
    let parents: Vec<&[usize]> = workload.stages.iter().map(|stage| &stage.parents[..]).collect();
    let after: Vec<&[usize]> = workload.jobs.iter().map(|job| &job.after[..]).collect();
    for (edges, tables, key) in [(parents, &stages, "parents"), (after, &jobs, "after")] {
        if let Some(at) = in_a_circle(&edges) {
            let message = format!("`{key}` leads back to where it came from");
            sink.error(IMPOSSIBLE, tables[at].span_of(key), message, "waits for itself", None);
        }
    }
    owners(&workload, &jobs, sink);
    workload
}

/// Reports stages that two jobs claim.
fn owners(workload: &Workload, jobs: &[View], sink: &mut Sink) {
    let mut owner = vec![None; workload.stages.len()];
    for (at, job) in workload.jobs.iter().enumerate() {
        for stage in &job.stages {
            if let Some(other) = owner[*stage].replace(at).filter(|other| *other != at) {
                let message = format!("stage {stage} belongs to job {other} already");
                sink.error(
                    IMPOSSIBLE,
                    jobs[at].span_of("stages"),
                    message,
                    "a stage belongs to one job",
                    None,
                );
            }
        }
    }
}

/// A node of the graph from which a path leads back to itself.
fn in_a_circle(edges: &[&[usize]]) -> Option<usize> {
    // Take away whatever waits for nothing that is left; a circle never goes.
    let mut waits: Vec<usize> = edges.iter().map(|targets| targets.len()).collect();
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (at, targets) in edges.iter().enumerate() {
        for target in *targets {
            waiting[*target].push(at);
        }
    }
    let mut free: Vec<usize> = (0..edges.len()).filter(|at| waits[*at] == 0).collect();
    while let Some(at) = free.pop() {
        for next in &waiting[at] {
            waits[*next] -= 1;
            if waits[*next] == 0 {
                free.push(*next);
            }
        }
    }
    waits.iter().position(|left| *left > 0)
}

/// Checks a reference by position.
pub(super) fn position(
    number: u64,
    count: usize,
    what: &str,
    span: Range<usize>,
    sink: &mut Sink,
) -> Option<usize> {
    let at = usize::try_from(number).ok().filter(|at| *at < count);
    if at.is_none() {
        let help = match count {
            0 => format!("the workload has no {what}"),
            1 => format!("the only {what} is 0"),
            _ => format!("positions of {what}s are 0 to {}", count - 1),
        };
        let message = format!("there is no {what} {number}");
        sink.error(UNKNOWN_REFERENCE, span, message, "not there", Some(help));
    }
    at
}

pub(super) fn positions(table: &View, key: &str, count: usize, what: &str, sink: &mut Sink) -> Vec<usize> {
    let listed = table.wholes(key);
    listed.into_iter().filter_map(|(number, span)| position(number, count, what, span, sink)).collect()
}

/// The thing that the whole number under `key` refers to; 0 when that is reported.
pub(super) fn which(table: &View, key: &str, count: usize, sink: &mut Sink) -> usize {
    let number = table.whole(key);
    number.and_then(|number| position(number, count, key, table.span_of(key), sink)).unwrap_or(0)
}

fn amount(table: &View, key: &str) -> PerTask {
    table.amount(key).unwrap_or_default()
}

pub(super) fn text(table: &View, key: &str) -> String {
    table.text(key).unwrap_or_default().to_owned()
}

fn decode_job(table: &View, counts: &Counts, sink: &mut Sink) -> Job {
    Job {
        id: table.count("id").unwrap_or(0),
        name: text(table, "name"),
        stages: positions(table, "stages", counts.stages, "stage", sink),
        after: positions(table, "after", counts.jobs, "job", sink),
        gap_ns: table.whole("gap_ns").unwrap_or(0),
    }
}

fn decode_stage(table: &View, counts: &Counts, sink: &mut Sink) -> Stage {
    let operators = table.tables("operator");
    Stage {
        id: table.count("id").unwrap_or(0),
        name: text(table, "name"),
        parents: positions(table, "parents", counts.stages, "stage", sink),
        partitioning: table
            .table("partitioning")
            .map_or(Partitioning::Fixed(1), |table| decode_partitioning(&table, counts, sink)),
        operators: operators
            .iter()
            .enumerate()
            .map(|(at, operator)| decode_operator(at, operator, counts, sink))
            .collect(),
        result_bytes: amount(table, "result_bytes"),
        launch_ns: amount(table, "launch_ns"),
        allocated_bytes: amount(table, "allocated_bytes"),
        background_threads: table.number("background_threads").unwrap_or(0.0),
        warm_up_ns: table.whole("warm_up_ns").unwrap_or(0),
        compile_ns: table.whole("compile_ns").unwrap_or(0),
    }
}

fn decode_partitioning(table: &View, counts: &Counts, sink: &mut Sink) -> Partitioning {
    let tasks = table.count("tasks");
    match table.text("kind") {
        Some("files") => Partitioning::Files {
            bytes: table.size("bytes").unwrap_or(0),
            files: table.count("files").unwrap_or(0),
            tasks: tasks.unwrap_or(0),
        },
        Some("shuffle") => Partitioning::Shuffle {
            shuffles: positions(table, "shuffles", counts.shuffles, "shuffle", sink),
            tasks: tasks.unwrap_or(0),
            may_split: positions(table, "may_split", counts.shuffles, "shuffle", sink),
            local: table.flag("local").unwrap_or(false),
        },
        Some("dataset") => Partitioning::Dataset(which(table, "dataset", counts.datasets, sink)),
        _ => Partitioning::Fixed(tasks.unwrap_or(1)),
    }
}

fn decode_operator(at: usize, table: &View, counts: &Counts, sink: &mut Sink) -> Operator {
    Operator {
        name: text(table, "name"),
        kind: decode_kind(at, table, counts, sink),
        inputs: positions(table, "inputs", at, "operator before this one", sink),
        rows: amount(table, "rows"),
        row_bytes: table.size("row_bytes").unwrap_or(0),
        cpu_ns: amount(table, "cpu_ns"),
        heap_bytes: amount(table, "heap_bytes"),
    }
}

fn decode_kind(at: usize, table: &View, counts: &Counts, sink: &mut Sink) -> OperatorKind {
    let bytes = || amount(table, "bytes");
    let size = |key| table.size(key).unwrap_or(0);
    let flag = |key| table.flag(key).unwrap_or(false);
    match table.text("kind").unwrap_or_default() {
        "scan" => OperatorKind::Scan { bytes: bytes() },
        "shuffle_read" => OperatorKind::ShuffleRead {
            shuffle: which(table, "shuffle", counts.shuffles, sink),
            bytes: bytes(),
        },
        "cached_scan" => OperatorKind::CachedScan {
            dataset: which(table, "dataset", counts.datasets, sink),
            lineage: table.whole("lineage").and_then(|number| {
                position(number, at, "operator before this one", table.span_of("lineage"), sink)
            }),
        },
        "hash_aggregate" => OperatorKind::HashAggregate {
            key_value_bytes: size("key_value_bytes"),
            fast_map: flag("fast_map"),
            dense_keys: flag("dense_keys"),
            variable_rows: flag("variable_rows"),
        },
        "object_hash_aggregate" => OperatorKind::ObjectHashAggregate {
            group_bytes: size("group_bytes"),
            sorter_row_bytes: size("sorter_row_bytes"),
            radix: flag("radix"),
        },
        "sort" => OperatorKind::Sort { radix: flag("radix") },
        "broadcast_hash_join" => {
            OperatorKind::BroadcastHashJoin { broadcast: which(table, "broadcast", counts.broadcasts, sink) }
        }
        "shuffled_hash_join" => OperatorKind::ShuffledHashJoin {
            long_key: flag("long_key"),
            keys: amount(table, "keys"),
            key_range: table.whole("key_range").unwrap_or(KEY_RANGE_UNKNOWN),
        },
        "window" => OperatorKind::Window,
        "external_aggregation" => OperatorKind::ExternalAggregation { entry_bytes: size("entry_bytes") },
        "python" => OperatorKind::Python { worker_bytes: size("worker_bytes") },
        "shuffle_write" => OperatorKind::ShuffleWrite {
            shuffle: which(table, "shuffle", counts.shuffles, sink),
            bytes: bytes(),
        },
        "broadcast" => {
            OperatorKind::Broadcast { broadcast: which(table, "broadcast", counts.broadcasts, sink) }
        }
        "output" => OperatorKind::Output { bytes: bytes() },
        // Either "pipelined" or a word that the check has refused.
        _ => OperatorKind::Pipelined,
    }
}

fn decode_shuffle(table: &View, sink: &mut Sink) -> Shuffle {
    Shuffle {
        name: text(table, "name"),
        partitions: table.count("partitions").map_or(ShufflePartitions::Conf, ShufflePartitions::Fixed),
        distribution: match table.text("distribution") {
            Some("range") => Distribution::Range,
            Some("round_robin") => Distribution::RoundRobin,
            Some("single") => Distribution::Single,
            _ => Distribution::Hash,
        },
        keys: table.table("keys").map_or_else(Keys::default, |keys| decode_keys(&keys, sink)),
        record_bytes: table.size("record_bytes").unwrap_or(0),
        compression: table.number("compression").unwrap_or(1.0),
        map_side_combine: table.flag("map_side_combine").unwrap_or(false),
        blocks: table.whole("blocks").unwrap_or(0),
        relocatable: table.flag("relocatable").unwrap_or(false),
    }
}

fn decode_keys(table: &View, sink: &mut Sink) -> Keys {
    let keys = Keys {
        hot: table.numbers("hot"),
        distinct: table.whole("distinct").unwrap_or(0),
        salt: table.whole("salt").unwrap_or(0),
        observed: table.numbers("observed"),
    };
    for (key, shares) in [("hot", &keys.hot), ("observed", &keys.observed)] {
        let sum: f64 = shares.iter().sum();
        // Shares of thousands of partitions add up with some rounding.
        if sum > 1.0 + 1e-6 {
            let message = format!("the shares of `{key}` sum to {sum}, more than all rows");
            sink.error(BAD_DISTRIBUTION, table.span_of(key), message, "over 1", None);
        } else if sum == 0.0 && !shares.is_empty() {
            let message = format!("the shares of `{key}` sum to nothing");
            sink.error(BAD_DISTRIBUTION, table.span_of(key), message, "no share", None);
        }
    }
    keys
}

fn decode_dataset(table: &View, counts: &Counts, sink: &mut Sink) -> Dataset {
    let column = |key| table.wholes(key).into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>();
    let [memory, serialized, disk] = ["memory_bytes", "serialized_bytes", "disk_bytes"].map(column);
    let partitions = memory.len().max(serialized.len()).max(disk.len());
    for (key, column) in [("memory_bytes", &memory), ("serialized_bytes", &serialized), ("disk_bytes", &disk)]
    {
        if column.len() != partitions && !column.is_empty() {
            let message = format!("`{key}` has {} partitions, another list has {partitions}", column.len());
            sink.error(IMPOSSIBLE, table.span_of(key), message, "of another length", None);
        }
    }
    let at = |column: &[u64], index: usize| column.get(index).copied().unwrap_or(0);
    let last_job = table.whole("unpersist_after");
    Dataset {
        id: table.count("id").unwrap_or(0),
        name: text(table, "name"),
        level: table.level("level").unwrap_or_default(),
        partitions: (0..partitions)
            .map(|index| CachedPartition {
                memory_bytes: at(&memory, index),
                serialized_bytes: at(&serialized, index),
                disk_bytes: at(&disk, index),
            })
            .collect(),
        compute_ns_per_byte: table.number("compute_ns_per_byte").unwrap_or(0.0),
        elements: table.whole("elements").unwrap_or(0),
        unpersist_after: last_job
            .and_then(|job| position(job, counts.jobs, "job", table.span_of("unpersist_after"), sink)),
    }
}

fn decode_broadcast(table: &View) -> Broadcast {
    Broadcast {
        name: text(table, "name"),
        rows: table.whole("rows").unwrap_or(0),
        relation_bytes: table.size("relation_bytes").unwrap_or(0),
        pieces_bytes: table.size("pieces_bytes").unwrap_or(0),
        build_ns: table.whole("build_ns").unwrap_or(0),
    }
}

fn decode_observed(table: &View) -> Observed {
    Observed {
        shuffle_partitions: table.count("shuffle_partitions").unwrap_or(0),
        adaptive: text(table, "adaptive"),
        skew_join: text(table, "skew_join"),
        local_reader: table.flag("local_reader").unwrap_or(false),
        max_partition_bytes: table.size("max_partition_bytes").unwrap_or(0),
        open_cost_bytes: table.size("open_cost_bytes").unwrap_or(0),
        default_parallelism: table.count("default_parallelism").unwrap_or(0),
        data_scale: table.number("data_scale").unwrap_or(0.0),
    }
}

/// Decodes rates; what is absent keeps its default.
pub(super) fn rates(table: &View) -> Rates {
    let default = Rates::default();
    let number = |key, default| table.number(key).unwrap_or(default);
    Rates {
        spill_write_ns_per_byte: number("spill_write_ns_per_byte", default.spill_write_ns_per_byte),
        spill_read_ns_per_byte: number("spill_read_ns_per_byte", default.spill_read_ns_per_byte),
        spill_compression: number("spill_compression", default.spill_compression),
        disk_bytes_per_s: number("disk_bytes_per_s", default.disk_bytes_per_s),
        network_bytes_per_s: number("network_bytes_per_s", default.network_bytes_per_s),
        cached_read_ns_per_byte: number("cached_read_ns_per_byte", default.cached_read_ns_per_byte),
        serialize_ns_per_byte: number("serialize_ns_per_byte", default.serialize_ns_per_byte),
        scheduler_delay_ns: table.whole("scheduler_delay_ns").unwrap_or(default.scheduler_delay_ns),
        task_fixed_ns: table.whole("task_fixed_ns").unwrap_or(default.task_fixed_ns),
        shuffle_file_ns: table.whole("shuffle_file_ns").unwrap_or(default.shuffle_file_ns),
        executor_warm_up_ns: table.whole("executor_warm_up_ns").unwrap_or(default.executor_warm_up_ns),
        executor_compile_ns: table.whole("executor_compile_ns").unwrap_or(default.executor_compile_ns),
        executor_launch_ns: table.whole("executor_launch_ns").unwrap_or(default.executor_launch_ns),
        stage_launch_ns: table.whole("stage_launch_ns").unwrap_or(default.stage_launch_ns),
        page_ns_per_byte: table.number("page_ns_per_byte").unwrap_or(default.page_ns_per_byte),
        task_launch_ns: table.whole("task_launch_ns").unwrap_or(default.task_launch_ns),
        heap_base_bytes: table.size("heap_base_bytes").unwrap_or(default.heap_base_bytes),
        non_heap_bytes: table.size("non_heap_bytes").unwrap_or(default.non_heap_bytes),
        executor_start_ns: table.whole("executor_start_ns").unwrap_or(default.executor_start_ns),
    }
}
