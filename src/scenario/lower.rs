//! Lowers the short form to a workload: queries become jobs, exchanges cut stages, steps become the operators that
//! Spark would plan for them.
//!
//! Where the workload's types ask for a number that depends on the configuration (rows that leave a partial
//! aggregation depend on the number of map tasks), the scenario's own `[conf]` decides, not that of a variant.
//! Left out: whole-stage choices of the optimizer, adaptive changes of join strategy, the tiny last stage of a count.

mod join;

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand_pcg::Pcg64;

use super::short::{Aggregate, Blocks, Cached, Cost, Input, Op, Query, Short, Source};
use super::stage::{Draft, Exchange};
use super::{ConfEntry, costs, distribution, quantity};
use crate::rng::{Purpose, mix, stream};
use crate::units::MIB;
use crate::workload::{
    CachedPartition, Dataset, DatasetIndex, Distribution, Job, JobIndex, Keys, OperatorKind, Partitioning,
    PerTask, ShufflePartitions, StageIndex, Workload, file_partitions,
};

/// Turns what the short form declares into a workload.
pub(super) fn lower(name: &str, seed: u64, conf: &[ConfEntry], short: &Short) -> Workload {
    let mut lowering = Lowering {
        short,
        settings: Settings::new(conf),
        seed,
        workload: Workload { name: name.to_owned(), rates: short.rates.clone(), ..Workload::default() },
        declared: Vec::new(),
        kept: BTreeMap::new(),
        stages: Vec::new(),
        last_jobs: Vec::new(),
        place: String::new(),
    };
    for cached in &short.cached {
        lowering.declare(cached);
    }
    for query in &short.queries {
        lowering.query(query);
    }
    lowering.unpersist();
    lowering.workload
}

/// The few settings that numbers of the workload itself depend on.
struct Settings {
    shuffle_partitions: u32,
    broadcast_threshold: i64,
    max_partition_bytes: u64,
    open_cost_bytes: u64,
    parallelism: u32,
}

impl Settings {
    /// Reads them leniently: a value that is no value is the configuration's to report.
    fn new(conf: &[ConfEntry]) -> Self {
        let get = |key: &str| conf.iter().rfind(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let size = |key: &str, default: u64| get(key).and_then(|v| quantity::size(v).ok()).unwrap_or(default);
        let count = |key: &str| get(key).and_then(|value| value.trim().parse::<u32>().ok());
        let master = get("spark.master").unwrap_or_default();
        let local = master.strip_prefix("local[").and_then(|rest| {
            let threads = rest.trim_end_matches(']').split(',').next()?;
            threads.parse::<u32>().ok()
        });
        let executors = count("spark.executor.instances").unwrap_or(2);
        let cluster = executors.saturating_mul(count("spark.executor.cores").unwrap_or(1));
        let threshold = "spark.sql.autoBroadcastJoinThreshold";
        Self {
            shuffle_partitions: count("spark.sql.shuffle.partitions").unwrap_or(200).max(1),
            broadcast_threshold: if get(threshold).is_some_and(|value| value.trim().starts_with('-')) {
                -1
            } else {
                size(threshold, 10 * MIB) as i64
            },
            max_partition_bytes: size("spark.sql.files.maxPartitionBytes", 128 * MIB),
            open_cost_bytes: size("spark.sql.files.openCostInBytes", 4 * MIB),
            parallelism: local.unwrap_or(cluster).max(1),
        }
    }
}

/// A salt in 63 bits, the whole numbers that every TOML reader takes.
fn salt(rng: &mut Pcg64) -> u64 {
    rng.random::<u64>() >> 1
}

struct Lowering<'s> {
    short: &'s Short,
    settings: Settings,
    seed: u64,
    workload: Workload,
    /// Datasets of [`Short::cached`], by position.
    declared: Vec<DatasetIndex>,
    /// Datasets that `cache` steps keep, by name, with the rows and row bytes that come out.
    kept: BTreeMap<String, Kept>,
    /// Stages of the job being built.
    stages: Vec<StageIndex>,
    /// The last job of each query so far.
    last_jobs: Vec<JobIndex>,
    /// The query and step being lowered: what draws there draws the same in every round.
    place: String,
}

#[derive(Clone, Copy)]
struct Kept {
    dataset: DatasetIndex,
    rows: u64,
    row_bytes: u64,
    unpersist_after: Option<usize>,
}

impl Lowering<'_> {
    /// A stream of its own for each thing that draws.
    fn rng(&self, purpose: Purpose, place: &str, of: &str) -> Pcg64 {
        // Named, not numbered: another table or query in front changes no draw.
        let bytes = place.bytes().chain([0]).chain(of.bytes());
        stream(self.seed, purpose, bytes.fold(0, |hash, byte| mix(hash ^ u64::from(byte)).wrapping_add(1)))
    }

    /// Tasks that read a table.
    fn tasks(&self, table: &Input) -> u32 {
        table.partitions.unwrap_or_else(|| {
            let Settings { max_partition_bytes, open_cost_bytes, parallelism, .. } = self.settings;
            // A setting of a few bytes is the configuration's to judge, but must not make billions of splits here.
            let max_partition_bytes = max_partition_bytes.max(table.bytes / 1_000_000);
            let parts =
                file_partitions(table.bytes, table.files, max_partition_bytes, open_cost_bytes, parallelism);
            (parts.len() as u32).max(1)
        })
    }

    fn scan_ns(table: &Input) -> f64 {
        if table.bytes == 0 {
            return table.rows as f64 * costs::GENERATE_NS_PER_ROW;
        }
        table.rows as f64 * costs::SCAN_NS_PER_ROW + table.bytes as f64 * costs::SCAN_NS_PER_BYTE
    }

    fn declare(&mut self, cached: &Cached) {
        let short = self.short;
        let table = &short.tables[cached.from];
        let rows = cached.rows.unwrap_or(table.rows);
        let row_bytes = cached.row_bytes.unwrap_or(table.row_bytes);
        let partitions = cached.partitions.unwrap_or_else(|| self.tasks(table));
        let compute_ns = cached.compute_ns_per_row.map_or_else(
            || Self::scan_ns(table) + rows as f64 * costs::CACHE_NS_PER_ROW,
            |ns_per_row| ns_per_row * rows as f64,
        );
        let draw = self.rng(Purpose::Sizes, "", &cached.name);
        let shape = |total| cached.sizes.split(total, partitions, &mut draw.clone());
        let dataset =
            self.dataset(&cached.name, cached.blocks, rows, row_bytes, partitions, compute_ns, shape);
        self.declared.push(dataset);
    }

    /// Adds a dataset whose partitions get their bytes from `split`.
    #[expect(clippy::too_many_arguments, reason = "each is a different unit of the one dataset made here")]
    fn dataset(
        &mut self,
        name: &str,
        blocks: Blocks,
        rows: u64,
        row_bytes: u64,
        partitions: u32,
        compute_ns: f64,
        split: impl Fn(u64) -> Vec<u64>,
    ) -> DatasetIndex {
        // Column batches have no null words: 8 bytes a row less than rows (CACHE-1). They are compressed already, so
        // that a block is as large on disk (BLOCK-11).
        let memory = blocks.memory.unwrap_or(rows.saturating_mul(row_bytes.saturating_sub(8)));
        let serialized = blocks.serialized.unwrap_or(memory);
        let disk = blocks.disk.unwrap_or(serialized);
        let sizes = split(memory).into_iter().zip(split(serialized)).zip(split(disk));
        let dataset = self.workload.datasets.len();
        self.workload.datasets.push(Dataset {
            id: dataset as u32,
            name: name.to_owned(),
            level: blocks.level,
            partitions: sizes
                .map(|((memory_bytes, serialized_bytes), disk_bytes)| CachedPartition {
                    memory_bytes,
                    serialized_bytes,
                    disk_bytes,
                })
                .collect(),
            compute_ns_per_byte: compute_ns / memory.max(1) as f64,
            elements: rows.div_ceil(u64::from(partitions)).div_ceil(costs::CACHE_BATCH_ROWS),
            unpersist_after: None,
        });
        dataset
    }

    /// Sets the jobs after which datasets go, once all jobs are known.
    fn unpersist(&mut self) {
        let short = self.short;
        let declared =
            self.declared.iter().zip(&short.cached).map(|(at, cached)| (*at, cached.blocks.unpersist_after));
        let kept = self.kept.values().map(|kept| (kept.dataset, kept.unpersist_after));
        for (dataset, query) in declared.chain(kept) {
            self.workload.datasets[dataset].unpersist_after = query.map(|query| self.last_jobs[query]);
        }
    }

    fn query(&mut self, query: &Query) {
        let mut after: Vec<JobIndex> = match &query.after {
            Some(queries) => queries.iter().map(|query| self.last_jobs[*query]).collect(),
            None => self.last_jobs.last().copied().into_iter().collect(),
        };
        for round in 0..query.repeat {
            for source in &query.from {
                let mut name = query.name.clone();
                if query.from.len() > 1 {
                    name = format!("{name}: {}", self.source_name(source));
                }
                if query.repeat > 1 {
                    name = format!("{name} ({} of {})", round + 1, query.repeat);
                }
                let job = self.run(query, source, &name, &after);
                after = vec![job];
            }
        }
        self.last_jobs.extend(after);
    }

    fn source_name<'n>(&'n self, source: &'n Source) -> &'n str {
        match source {
            Source::Table(at) => &self.short.tables[*at].name,
            Source::Cached(at) => &self.short.cached[*at].name,
            Source::Step(name) => name,
        }
    }

    /// Runs the steps over one input; returns the last job.
    fn run(&mut self, query: &Query, source: &Source, name: &str, after: &[JobIndex]) -> JobIndex {
        let mut after = after.to_vec();
        // What an earlier round has cached need not be computed again.
        let done = query
            .steps
            .iter()
            .rposition(|step| matches!(&step.op, Op::Cache { name, .. } if self.kept.contains_key(name)));
        let (start, steps) = match done.map(|at| (&query.steps[at].op, &query.steps[at + 1..])) {
            Some((Op::Cache { name, .. }, rest)) => (Source::Step(name.clone()), rest),
            _ => (source.clone(), &query.steps[..]),
        };
        let mut draft = self.open(&start);
        let mut output = (PerTask::default(), PerTask::default());
        let mut output_ns = 0.0;
        let skipped = query.steps.len() - steps.len();
        for (at, step) in steps.iter().enumerate() {
            self.place = format!("{} step {}", query.name, skipped + at);
            match &step.op {
                Op::Join(join) => draft = self.join(draft, join, step.cost, (name, query.gap_ns), &mut after),
                Op::Sort { keys, local: false, radix } => {
                    self.sample(&draft, (name, query.gap_ns), &mut after);
                    let keys = self.keys(keys, keys.distinct.unwrap_or(0));
                    let exchange = Exchange {
                        name: "sort".to_owned(),
                        partitions: ShufflePartitions::Conf,
                        distribution: Distribution::Range,
                        keys,
                        compression: step.cost.compression,
                    };
                    draft = self.exchange(draft, exchange);
                    draft.sort(*radix, step.cost.ns_per_row);
                }
                Op::Collect => {
                    let bytes = draft.bytes() as f64 * step.cost.compression;
                    output.1 = PerTask::Total(bytes as u64);
                    output_ns = draft.rows as f64 * costs::COLLECT_NS_PER_ROW;
                }
                Op::Write => {
                    let bytes = draft.bytes();
                    output.0 = PerTask::Total((bytes as f64 * step.cost.compression) as u64);
                    output_ns = bytes as f64 * costs::WRITE_NS_PER_BYTE;
                }
                op => draft = self.step(draft, op, step.cost),
            }
        }
        let (bytes, result_bytes) = output;
        draft.end("Output", OperatorKind::Output { bytes }, output_ns);
        self.place.clear();
        self.close(draft, name, result_bytes);
        self.submit(name, &after, query.gap_ns)
    }

    /// The steps that neither need a job of their own nor end the query.
    fn step(&mut self, mut draft: Draft, op: &Op, cost: Cost) -> Draft {
        match op {
            Op::Filter { keep } => {
                let rows = (draft.rows as f64 * keep).round() as u64;
                draft.pipelined("Filter", rows, draft.row_bytes, cost.ns_per_row, 0);
            }
            Op::Map { row_bytes, rows_per_row, heap } => {
                let rows = (draft.rows as f64 * rows_per_row).round() as u64;
                let row_bytes = row_bytes.unwrap_or(draft.row_bytes);
                draft.pipelined("Project", rows, row_bytes, cost.ns_per_row, *heap);
            }
            Op::Aggregate(aggregate) => return self.aggregate(draft, aggregate, cost),
            // A global sort needs a job of its own and is lowered where jobs are.
            Op::Sort { radix, .. } => draft.sort(*radix, cost.ns_per_row),
            Op::Window { keys, groups } => {
                let keys = self.keys(keys, *groups);
                let mut next = self.exchange(draft, Exchange::hash("window", keys, cost.compression));
                next.sort(true, None);
                let (rows, row_bytes) = (next.rows, next.row_bytes.saturating_add(8));
                let ns_per_row = cost.ns_per_row.unwrap_or(costs::WINDOW_NS_PER_ROW);
                next.push("Window", OperatorKind::Window, rows, row_bytes, rows as f64 * ns_per_row);
                return next;
            }
            Op::Repartition { partitions, keys } => {
                let (distribution, keys) = match keys {
                    Some(keys) => (Distribution::Hash, self.keys(keys, keys.distinct.unwrap_or(0))),
                    None => (Distribution::RoundRobin, Keys::default()),
                };
                let partitions = partitions.map_or(ShufflePartitions::Conf, ShufflePartitions::Fixed);
                let name = "repartition".to_owned();
                let compression = cost.compression;
                return self.exchange(draft, Exchange { name, partitions, distribution, keys, compression });
            }
            Op::ReduceByKey { groups, partitions, keys, entry_bytes } => {
                let classes = keys.classes(*groups, &mut self.rng(Purpose::Keys, &self.place, "keys"));
                let ns_per_row = cost.ns_per_row.unwrap_or(costs::RDD_NS_PER_ROW);
                let combined = draft.combined_rows(&classes);
                // Combining happens in the writer, before the exchange: rows that leave are the combined ones.
                draft.add_cpu(draft.rows as f64 * ns_per_row);
                draft.set_rows(combined, (*entry_bytes).min(draft.row_bytes));
                let keys = Keys { distinct: *groups, salt: self.salt(), ..Keys::default() };
                let partitions = ShufflePartitions::Fixed(*partitions);
                let exchange =
                    Exchange { partitions, ..Exchange::hash("reduceByKey", keys, cost.compression) };
                let mut next = self.exchange(draft, exchange);
                if let Some(shuffle) = self.workload.shuffles.last_mut() {
                    // Java serialization cannot relocate records (SHUF-1).
                    (shuffle.map_side_combine, shuffle.relocatable) = (true, false);
                }
                let rows = distribution::expected_distinct(&classes, next.rows as f64).round() as u64;
                let (row_bytes, cpu_ns) = (next.row_bytes, next.rows as f64 * ns_per_row);
                let kind = OperatorKind::ExternalAggregation { entry_bytes: *entry_bytes };
                next.push("ExternalAppendOnlyMap", kind, rows, row_bytes, cpu_ns);
                return next;
            }
            Op::Python { worker_bytes } => {
                self.workload.python = true;
                let (rows, row_bytes) = (draft.rows, draft.row_bytes);
                let cpu_ns = rows as f64 * cost.ns_per_row.unwrap_or(costs::PYTHON_NS_PER_ROW);
                let kind = OperatorKind::Python { worker_bytes: *worker_bytes };
                draft.push("ArrowEvalPython", kind, rows, row_bytes, cpu_ns);
            }
            Op::Cache { name, blocks } => return self.keep(&draft, name, *blocks),
            Op::Count | Op::Collect | Op::Write | Op::Join(_) => {}
        }
        draft
    }

    /// The stage that starts by reading `source`.
    fn open(&self, source: &Source) -> Draft {
        let short = self.short;
        let kept = match source {
            Source::Table(at) => return self.scan(&short.tables[*at]),
            Source::Cached(at) => {
                let cached = &short.cached[*at];
                let table = &short.tables[cached.from];
                Kept {
                    dataset: self.declared[*at],
                    rows: cached.rows.unwrap_or(table.rows),
                    row_bytes: cached.row_bytes.unwrap_or(table.row_bytes),
                    unpersist_after: None,
                }
            }
            // Decoding has checked that a query before this one keeps it.
            Source::Step(name) => self.kept[name],
        };
        self.cached_scan(kept)
    }

    fn cached_scan(&self, kept: Kept) -> Draft {
        let tasks = self.workload.datasets[kept.dataset].partitions.len() as u32;
        let mut draft = Draft::new(Partitioning::Dataset(kept.dataset), tasks);
        let kind = OperatorKind::CachedScan { dataset: kept.dataset, lineage: None };
        draft.push("InMemoryTableScan", kind, kept.rows, kept.row_bytes, 0.0);
        draft
    }

    fn scan(&self, table: &Input) -> Draft {
        let tasks = self.tasks(table);
        let partitioning = match table.partitions {
            Some(tasks) => Partitioning::Fixed(tasks),
            None => Partitioning::Files { bytes: table.bytes, files: table.files, tasks: 0 },
        };
        let mut draft = Draft::new(partitioning, tasks);
        let uniform = table.sizes == distribution::Distribution::default();
        let (bytes, rows) = if uniform {
            (PerTask::Total(table.bytes), PerTask::Total(table.rows))
        } else {
            // A table has the same files wherever it is read: no place.
            let draw = self.rng(Purpose::Sizes, "", &table.name);
            let split = |total| PerTask::Each(table.sizes.split(total, tasks, &mut draw.clone()));
            (split(table.bytes), split(table.rows))
        };
        let name = if table.bytes == 0 { "Range" } else { "FileScan" };
        draft.push(name, OperatorKind::Scan { bytes }, table.rows, table.row_bytes, Self::scan_ns(table));
        draft.set_rows_each(rows);
        draft
    }

    fn salt(&self) -> u64 {
        salt(&mut self.rng(Purpose::Keys, &self.place, "salt"))
    }

    /// Keys of a shuffle of plain rows.
    fn keys(&self, keys: &distribution::Distribution, groups: u64) -> Keys {
        let distinct = keys.distinct.unwrap_or(groups);
        let mut rng = self.rng(Purpose::Keys, &self.place, "keys");
        // Nothing is known of how many: as if each had a key of its own.
        let hot = keys.hot_keys(if distinct == 0 { u64::from(u32::MAX) } else { distinct }, &mut rng);
        Keys { hot, distinct, salt: self.salt(), observed: Vec::new() }
    }

    fn aggregate(&mut self, mut draft: Draft, aggregate: &Aggregate, cost: Cost) -> Draft {
        let Aggregate { groups, keys, entry_bytes, value_bytes, exchange } = aggregate;
        let classes = keys.classes(*groups, &mut self.rng(Purpose::Keys, &self.place, "keys"));
        let rows_in = draft.rows;
        let reached = distribution::expected_distinct(&classes, rows_in as f64).round().max(1.0) as u64;
        let values = value_bytes.unwrap_or(0).saturating_mul(rows_in);
        // A group leaves as one row: the key row and the buffer row share their null word; lists come on top.
        let row_of = |rows: u64| entry_bytes.saturating_sub(24).max(16) + values / rows.max(1);
        let ns = |default: f64| cost.ns_per_row.unwrap_or(default);
        let (name, ns_per_row) = if value_bytes.is_some() {
            ("ObjectHashAggregate", ns(costs::OBJECT_AGGREGATE_NS_PER_ROW))
        } else {
            ("HashAggregate", ns(costs::AGGREGATE_NS_PER_ROW))
        };
        let kind = |fast_map: bool, sorter_row_bytes: u64| {
            if value_bytes.is_some() {
                OperatorKind::ObjectHashAggregate {
                    group_bytes: sorter_row_bytes,
                    sorter_row_bytes,
                    radix: false,
                }
            } else {
                // An entry is a header of 16 bytes, the key row and the buffer row (AGG-2).
                OperatorKind::HashAggregate {
                    key_value_bytes: entry_bytes.saturating_sub(16),
                    fast_map,
                    dense_keys: false,
                    variable_rows: false,
                }
            }
        };
        let cpu = |rows: u64| rows as f64 * ns_per_row;
        if *exchange {
            let combined = draft.combined_rows(&classes);
            draft.push(name, kind(true, draft.row_bytes), combined, row_of(combined), cpu(rows_in));
            draft.holds(values);
            let keys = if value_bytes.is_some() {
                // Lists keep every value: the bytes of a hot key stay as they are.
                self.keys(keys, *groups)
            } else {
                // A map task sends a group once, however hot it is.
                Keys { distinct: reached, salt: self.salt(), ..Keys::default() }
            };
            let distribution = if *groups == 1 { Distribution::Single } else { Distribution::Hash };
            let exchange = Exchange { distribution, ..Exchange::hash("aggregate", keys, cost.compression) };
            draft = self.exchange(draft, exchange);
        }
        let (rows, row_bytes) = (draft.rows, draft.row_bytes);
        draft.push(name, kind(false, row_bytes), reached, row_of(reached), cpu(rows));
        draft.holds(values);
        draft
    }

    /// Ends the stage with a shuffle write; the next one reads it.
    fn exchange(&mut self, draft: Draft, exchange: Exchange) -> Draft {
        let (rows, row_bytes) = (draft.rows, draft.row_bytes);
        let (shuffle, parent) = self.write(draft, exchange);
        let mut next = self.reader(vec![shuffle], vec![parent]);
        next.read(&self.workload.shuffles[shuffle], shuffle, rows, row_bytes);
        next
    }

    fn write(&mut self, mut draft: Draft, exchange: Exchange) -> (usize, StageIndex) {
        let shuffle = self.workload.shuffles.len();
        let name = exchange.name.clone();
        let written = draft.write(shuffle, exchange);
        self.workload.shuffles.push(written);
        (shuffle, self.close(draft, &name, PerTask::default()))
    }

    fn reader(&self, shuffles: Vec<usize>, parents: Vec<StageIndex>) -> Draft {
        let tasks = shuffles.first().map_or(1, |shuffle| {
            let shuffle = &self.workload.shuffles[*shuffle];
            match (shuffle.distribution, shuffle.partitions) {
                (Distribution::Single, _) => 1,
                (_, ShufflePartitions::Fixed(partitions)) => partitions,
                (_, ShufflePartitions::Conf) => self.settings.shuffle_partitions,
            }
        });
        // What may be split shows once the stage is whole.
        let partitioning = Partitioning::Shuffle { shuffles, tasks: 0, may_split: Vec::new(), local: false };
        Draft::after(parents, partitioning, tasks)
    }

    /// The job by which a global sort samples its input: the same stage once more, returning a few keys.
    fn sample(&mut self, draft: &Draft, (name, gap_ns): (&str, u64), after: &mut Vec<JobIndex>) {
        let mut sampling = draft.clone();
        sampling.end("Output", OperatorKind::Output { bytes: PerTask::default() }, 0.0);
        let name = format!("{name}: sample");
        self.close(sampling, &name, PerTask::default());
        *after = vec![self.submit(&name, after, gap_ns)];
    }

    /// Keeps the rows so far: a stage that reads the dataset takes the place of the one that computes it.
    fn keep(&mut self, draft: &Draft, name: &str, blocks: Blocks) -> Draft {
        let compute_ns = draft.cpu_ns() + draft.rows as f64 * costs::CACHE_NS_PER_ROW;
        let (rows, row_bytes, tasks) = (draft.rows, draft.row_bytes, draft.tasks);
        let split = |total| PerTask::Total(total).spread(&vec![1.0 / f64::from(tasks); tasks as usize], 1.0);
        let dataset = self.dataset(name, blocks, rows, row_bytes, tasks, compute_ns, split);
        let kept = Kept { dataset, rows, row_bytes, unpersist_after: blocks.unpersist_after };
        self.kept.insert(name.to_owned(), kept);
        let mut reader = self.cached_scan(kept);
        reader.parents.clone_from(&draft.parents);
        reader
    }

    fn close(&mut self, draft: Draft, name: &str, result_bytes: PerTask) -> StageIndex {
        let stage = self.workload.stages.len();
        self.workload.stages.push(draft.into_stage(stage as u32, name, result_bytes));
        self.stages.push(stage);
        stage
    }

    fn submit(&mut self, name: &str, after: &[JobIndex], gap_ns: u64) -> JobIndex {
        let job = self.workload.jobs.len();
        self.workload.jobs.push(Job {
            id: job as u32,
            name: name.to_owned(),
            stages: std::mem::take(&mut self.stages),
            after: after.to_vec(),
            gap_ns,
        });
        job
    }
}
