//! A scenario as text, in the full form. Nothing is lost: parsing the text gives an equal scenario. Zeros and empty
//! lists are left out; lists stand on one line, however long.

use std::fmt::{Display, Write as _};

use super::view::level_of;
use super::{ClusterSpec, ConfEntry, Scenario, SwapKind, level, plans};
use crate::memory::StorageLevel;
use crate::workload::{
    Dataset, Distribution, Keys, Observed, Operator, OperatorKind, Partitioning, PerTask, Rates, Shuffle,
    ShufflePartitions, Stage, Workload,
};

/// Writes a scenario so that [`super::parse`] reads an equal one. It must be one that a text can say, as every parsed one
/// is: finite numbers, sizes below 2^63, names of the scenario, its hosts, tenants and variants not empty.
pub fn render(scenario: &Scenario) -> String {
    let mut text = Text::default();
    text.pair("name", &quote(&scenario.name));
    text.pair("seed", &scenario.seed);
    if let Some(version) = &scenario.spark_version {
        text.pair("spark_version", &quote(version));
    }
    text.conf("conf", &scenario.conf);
    for variant in &scenario.variants {
        text.header("[[variant]]");
        text.pair("name", &quote(&variant.name));
        // The table must be there even when it is empty.
        text.header("[variant.conf]");
        text.properties(&variant.conf);
    }
    cluster(&mut text, &scenario.cluster);
    workload(&mut text, &scenario.workload);
    text.0
}

#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn header(&mut self, header: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.0, "\n{header}");
    }

    pub(super) fn pair(&mut self, key: &str, value: &impl Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn conf(&mut self, name: &str, conf: &[ConfEntry]) {
        if !conf.is_empty() {
            self.header(&format!("[{name}]"));
            self.properties(conf);
        }
    }

    fn properties(&mut self, conf: &[ConfEntry]) {
        for entry in conf {
            self.pair(&quote(&entry.key), &quote(&entry.value));
        }
    }

    /// A whole number, unless it is zero.
    pub(super) fn some(&mut self, key: &str, value: u64) {
        if value > 0 {
            self.pair(key, &value);
        }
    }

    fn name(&mut self, name: &str) {
        if !name.is_empty() {
            self.pair("name", &quote(name));
        }
    }

    fn amount(&mut self, key: &str, value: &PerTask) {
        match value {
            PerTask::Total(total) => self.some(key, *total),
            PerTask::Each(values) => self.pair(key, &list(values)),
        }
    }

    pub(super) fn list<T: Display>(&mut self, key: &str, values: &[T]) {
        if !values.is_empty() {
            self.pair(key, &list(values));
        }
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.pair(key, &value);
        }
    }

    fn number(&mut self, key: &str, value: f64) {
        self.pair(key, &float(value));
    }
}

/// A text as a TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\U{:08X}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The shortest text that reads back as the same number.
fn float(value: f64) -> String {
    format!("{value:?}")
}

fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    format!("[{}]", values.join(", "))
}

fn floats(values: &[f64]) -> String {
    list(&values.iter().map(|value| float(*value)).collect::<Vec<_>>())
}

/// A time with its unit, which is whole microseconds as a file's are.
fn micros(ns: u64) -> String {
    format!("\"{}us\"", ns / 1_000)
}

fn cluster(text: &mut Text, cluster: &ClusterSpec) {
    for host in &cluster.hosts {
        text.header("[[host]]");
        text.pair("name", &quote(&host.name));
        text.pair("count", &host.count);
        text.pair("cores", &host.cores);
        text.pair("memory", &host.memory_bytes);
        if let Some(bytes) = host.kernel_bytes {
            text.pair("kernel", &bytes);
        }
        if host.stolen_cores > 0.0 {
            text.number("stolen_cores", host.stolen_cores);
        }
        text.some("swap", host.swap_bytes);
        if host.swap_device != SwapKind::Ssd {
            text.pair("swap_device", &quote(host.swap_device.as_str()));
        }
        if let Some(ns) = host.swap_latency_ns {
            text.pair("swap_latency", &micros(ns));
        }
        if let Some(rate) = host.swap_bytes_per_s {
            text.number("swap_bandwidth", rate);
        }
        text.flag("local_dir_in_memory", host.local_dir_in_memory);
        if let Some(bytes) = host.disk_bytes {
            text.pair("disk", &bytes);
        }
        text.number("disk_bandwidth", host.disk_bytes_per_s);
        text.number("network_bandwidth", host.network_bytes_per_s);
    }
    for tenant in &cluster.tenants {
        text.header("[[tenant]]");
        text.pair("name", &quote(&tenant.name));
        if let Some(host) = &tenant.host {
            text.pair("host", &quote(host));
        }
        text.pair("resident", &tenant.resident_bytes);
        text.pair("active", &tenant.active_bytes);
        text.pair("period", &micros(tenant.period_ns));
        if tenant.churn_bytes_per_s > 0.0 {
            text.number("churn", tenant.churn_bytes_per_s);
        }
        if let Some(ns) = tenant.request_ns {
            text.pair("request_time", &micros(ns));
            text.pair("request_memory", &tenant.request_bytes);
            text.pair("request_block", &tenant.request_block_bytes);
            if let Some(ns) = tenant.request_every_ns {
                text.pair("request_every", &micros(ns));
            }
        }
        text.number("cores", tenant.cpu_cores);
        text.pair("oom_score_adj", &tenant.oom_score_adj);
    }
}

fn workload(text: &mut Text, workload: &Workload) {
    text.header("[workload]");
    text.name(&workload.name);
    text.flag("python", workload.python);
    rates(text, &workload.rates);
    if let Some(observed) = &workload.observed {
        self::observed(text, observed);
    }
    for job in &workload.jobs {
        text.header("[[workload.job]]");
        text.pair("id", &job.id);
        text.name(&job.name);
        text.list("stages", &job.stages);
        text.list("after", &job.after);
        text.some("gap_ns", job.gap_ns);
    }
    for shuffle in &workload.shuffles {
        self::shuffle(text, shuffle);
    }
    for dataset in &workload.datasets {
        self::dataset(text, dataset);
    }
    for broadcast in &workload.broadcasts {
        text.header("[[workload.broadcast]]");
        text.name(&broadcast.name);
        text.some("rows", broadcast.rows);
        text.some("relation_bytes", broadcast.relation_bytes);
        text.some("pieces_bytes", broadcast.pieces_bytes);
        text.some("build_ns", broadcast.build_ns);
    }
    for stage in &workload.stages {
        self::stage(text, stage);
    }
    for query in &workload.queries {
        plans::render(text, query);
    }
}

fn rates(text: &mut Text, rates: &Rates) {
    if *rates == Rates::default() {
        return;
    }
    text.header("[workload.rates]");
    for (key, value) in [
        ("spill_write_ns_per_byte", rates.spill_write_ns_per_byte),
        ("spill_read_ns_per_byte", rates.spill_read_ns_per_byte),
        ("spill_compression", rates.spill_compression),
        ("disk_bytes_per_s", rates.disk_bytes_per_s),
        ("network_bytes_per_s", rates.network_bytes_per_s),
        ("cached_read_ns_per_byte", rates.cached_read_ns_per_byte),
        ("serialize_ns_per_byte", rates.serialize_ns_per_byte),
    ] {
        text.number(key, value);
    }
    text.pair("scheduler_delay_ns", &rates.scheduler_delay_ns);
    text.pair("task_launch_ns", &rates.task_launch_ns);
    text.pair("task_fixed_ns", &rates.task_fixed_ns);
    for (key, value) in [
        ("shuffle_file_ns", rates.shuffle_file_ns),
        ("executor_warm_up_ns", rates.executor_warm_up_ns),
        ("executor_compile_ns", rates.executor_compile_ns),
        ("executor_launch_ns", rates.executor_launch_ns),
        ("stage_launch_ns", rates.stage_launch_ns),
    ] {
        text.some(key, value);
    }
    text.pair("page_ns_per_byte", &float(rates.page_ns_per_byte));
    text.pair("heap_base_bytes", &rates.heap_base_bytes);
    text.pair("non_heap_bytes", &rates.non_heap_bytes);
    text.pair("executor_start_ns", &rates.executor_start_ns);
}

fn observed(text: &mut Text, observed: &Observed) {
    text.header("[workload.observed]");
    text.some("shuffle_partitions", u64::from(observed.shuffle_partitions));
    if !observed.adaptive.is_empty() {
        text.pair("adaptive", &quote(&observed.adaptive));
    }
    if !observed.skew_join.is_empty() {
        text.pair("skew_join", &quote(&observed.skew_join));
    }
    if observed.local_reader {
        text.pair("local_reader", &true);
    }
    text.some("max_partition_bytes", observed.max_partition_bytes);
    text.some("open_cost_bytes", observed.open_cost_bytes);
    text.some("default_parallelism", u64::from(observed.default_parallelism));
    text.number("data_scale", observed.data_scale);
}

fn shuffle(text: &mut Text, shuffle: &Shuffle) {
    text.header("[[workload.shuffle]]");
    text.name(&shuffle.name);
    match shuffle.partitions {
        ShufflePartitions::Conf => text.pair("partitions", &quote("conf")),
        ShufflePartitions::Fixed(partitions) => text.pair("partitions", &partitions),
    }
    let distribution = match shuffle.distribution {
        Distribution::Hash => "hash",
        Distribution::Range => "range",
        Distribution::RoundRobin => "round_robin",
        Distribution::Single => "single",
    };
    text.pair("distribution", &quote(distribution));
    if shuffle.keys != Keys::default() {
        let Keys { hot, distinct, salt, observed } = &shuffle.keys;
        let mut parts = Vec::new();
        parts.extend((!hot.is_empty()).then(|| format!("hot = {}", floats(hot))));
        parts.extend((*distinct > 0).then(|| format!("distinct = {distinct}")));
        parts.extend((*salt > 0).then(|| format!("salt = {salt}")));
        parts.extend((!observed.is_empty()).then(|| format!("observed = {}", floats(observed))));
        text.pair("keys", &format!("{{ {} }}", parts.join(", ")));
    }
    text.pair("record_bytes", &shuffle.record_bytes);
    text.number("compression", shuffle.compression);
    text.flag("map_side_combine", shuffle.map_side_combine);
    text.some("blocks", shuffle.blocks);
    text.flag("relocatable", shuffle.relocatable);
}

fn dataset(text: &mut Text, dataset: &Dataset) {
    text.header("[[workload.dataset]]");
    text.pair("id", &dataset.id);
    text.pair("name", &quote(&dataset.name));
    text.pair("level", &level(dataset.level));
    let parts = &dataset.partitions;
    text.list("memory_bytes", &parts.iter().map(|part| part.memory_bytes).collect::<Vec<_>>());
    text.list("serialized_bytes", &parts.iter().map(|part| part.serialized_bytes).collect::<Vec<_>>());
    text.list("disk_bytes", &parts.iter().map(|part| part.disk_bytes).collect::<Vec<_>>());
    text.number("compute_ns_per_byte", dataset.compute_ns_per_byte);
    text.some("elements", dataset.elements);
    if let Some(job) = dataset.unpersist_after {
        text.pair("unpersist_after", &job);
    }
}

/// A level by its name, or by its flags where Spark has no name for it.
fn level(level: StorageLevel) -> String {
    let named = level::LEVELS.iter().copied().find(|name| level_of(name) == Some(level));
    named.map_or_else(
        || {
            let StorageLevel { use_disk, use_memory, use_off_heap, deserialized, replication } = level;
            format!(
                "{{ use_disk = {use_disk}, use_memory = {use_memory}, use_off_heap = {use_off_heap}, \
                 deserialized = {deserialized}, replication = {replication} }}"
            )
        },
        quote,
    )
}

fn stage(text: &mut Text, stage: &Stage) {
    text.header("[[workload.stage]]");
    text.pair("id", &stage.id);
    text.name(&stage.name);
    text.list("parents", &stage.parents);
    let partitioning = match &stage.partitioning {
        Partitioning::Fixed(tasks) => format!("kind = \"fixed\", tasks = {tasks}"),
        Partitioning::Files { bytes, files, tasks } => {
            format!("kind = \"files\", bytes = {bytes}, files = {files}, tasks = {tasks}")
        }
        Partitioning::Shuffle { shuffles, tasks, may_split, local } => {
            let mut read = format!("kind = \"shuffle\", shuffles = {}, tasks = {tasks}", list(shuffles));
            if !may_split.is_empty() {
                read = format!("{read}, may_split = {}", list(may_split));
            }
            if *local { format!("{read}, local = true") } else { read }
        }
        Partitioning::Dataset(dataset) => format!("kind = \"dataset\", dataset = {dataset}"),
    };
    text.pair("partitioning", &format!("{{ {partitioning} }}"));
    text.amount("result_bytes", &stage.result_bytes);
    text.amount("launch_ns", &stage.launch_ns);
    text.amount("allocated_bytes", &stage.allocated_bytes);
    if stage.background_threads > 0.0 {
        text.pair("background_threads", &float(stage.background_threads));
    }
    text.some("warm_up_ns", stage.warm_up_ns);
    text.some("compile_ns", stage.compile_ns);
    for operator in &stage.operators {
        self::operator(text, operator);
    }
}

fn operator(text: &mut Text, operator: &Operator) {
    text.header("[[workload.stage.operator]]");
    text.name(&operator.name);
    kind(text, &operator.kind);
    text.list("inputs", &operator.inputs);
    text.amount("rows", &operator.rows);
    text.some("row_bytes", operator.row_bytes);
    text.amount("cpu_ns", &operator.cpu_ns);
    text.amount("heap_bytes", &operator.heap_bytes);
}

fn kind(text: &mut Text, kind: &OperatorKind) {
    let word = match kind {
        OperatorKind::Scan { .. } => "scan",
        OperatorKind::ShuffleRead { .. } => "shuffle_read",
        OperatorKind::CachedScan { .. } => "cached_scan",
        OperatorKind::Pipelined => "pipelined",
        OperatorKind::HashAggregate { .. } => "hash_aggregate",
        OperatorKind::ObjectHashAggregate { .. } => "object_hash_aggregate",
        OperatorKind::Sort { .. } => "sort",
        OperatorKind::BroadcastHashJoin { .. } => "broadcast_hash_join",
        OperatorKind::ShuffledHashJoin { .. } => "shuffled_hash_join",
        OperatorKind::Window => "window",
        OperatorKind::ExternalAggregation { .. } => "external_aggregation",
        OperatorKind::Python { .. } => "python",
        OperatorKind::ShuffleWrite { .. } => "shuffle_write",
        OperatorKind::Broadcast { .. } => "broadcast",
        OperatorKind::Output { .. } => "output",
    };
    text.pair("kind", &quote(word));
    match kind {
        OperatorKind::Pipelined | OperatorKind::Window => {}
        OperatorKind::Scan { bytes } | OperatorKind::Output { bytes } => text.amount("bytes", bytes),
        OperatorKind::ShuffleRead { shuffle, bytes } | OperatorKind::ShuffleWrite { shuffle, bytes } => {
            text.pair("shuffle", shuffle);
            text.amount("bytes", bytes);
        }
        OperatorKind::CachedScan { dataset, lineage } => {
            text.pair("dataset", dataset);
            if let Some(operator) = lineage {
                text.pair("lineage", operator);
            }
        }
        OperatorKind::HashAggregate { key_value_bytes, fast_map, dense_keys, variable_rows } => {
            text.pair("key_value_bytes", key_value_bytes);
            text.flag("fast_map", *fast_map);
            text.flag("dense_keys", *dense_keys);
            text.flag("variable_rows", *variable_rows);
        }
        OperatorKind::ObjectHashAggregate { group_bytes, sorter_row_bytes, radix } => {
            text.pair("group_bytes", group_bytes);
            text.pair("sorter_row_bytes", sorter_row_bytes);
            text.flag("radix", *radix);
        }
        OperatorKind::Sort { radix } => text.flag("radix", *radix),
        OperatorKind::BroadcastHashJoin { broadcast } | OperatorKind::Broadcast { broadcast } => {
            text.pair("broadcast", broadcast);
        }
        OperatorKind::ShuffledHashJoin { long_key, keys, key_range } => {
            text.flag("long_key", *long_key);
            text.amount("keys", keys);
            text.pair("key_range", key_range);
        }
        OperatorKind::ExternalAggregation { entry_bytes } => text.pair("entry_bytes", entry_bytes),
        OperatorKind::Python { worker_bytes } => text.pair("worker_bytes", worker_bytes),
    }
}
