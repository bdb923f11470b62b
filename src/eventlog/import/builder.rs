//! Puts the pieces together: which stage ran which fragment of which plan, what went through each exchange, when jobs
//! followed one another.

use std::collections::{BTreeMap, BTreeSet};

use super::calibrate::calibrate;
use super::datasets::{Cached, cached_in, datasets};
use super::fragments::{Boundary, Fragment, boundary, fragment_of, fragments, metric};
use super::honesty::Honesty;
use super::operators::{ExchangeFacts, ExchangeSizes, StageContext, share_time};
use super::rates::{default_parallelism, page_bytes, rates};
use super::stages::{StageRun, runs};
use crate::conf::Settings;
use crate::eventlog::app_log::{AppLog, JobRecord, JobResult, PlanNode, SqlPlan};
use crate::host::{GcCost, PYTHON_WORKER_BYTES};
use crate::sim::partitioning;
use crate::workload::{
    Broadcast, Distribution, Job, Keys, Operator, OperatorKind, Partitioning, PerTask, Rates, Shuffle,
    ShufflePartitions, Stage, Workload,
};

/// Resident bytes of a PySpark driver process, which local mode counts among the Python workers.
const PYTHON_DRIVER_BYTES: u64 = 120 << 20;
/// Bytes of a spilled row for one of the same row shuffled: sorted rows lie beside their like (0.69 for aggregated longs,
/// 0.89 for random text, in runs that both shuffled and spilled).
const SORTED_COMPRESSION: f64 = 0.8;
/// Bytes of a shuffled row whose size nobody counted.
const SHUFFLE_ROW_BYTES_UNKNOWN: u64 = 40;

/// The plan of an execution, cut.
struct CutPlan<'a> {
    plan: &'a SqlPlan,
    fragments: Vec<Fragment>,
    types: BTreeMap<String, String>,
}

struct Builder<'a> {
    log: &'a AppLog,
    settings: &'a Settings,
    runs: Vec<StageRun<'a>>,
    /// Runs by stage id.
    run_of: BTreeMap<u32, usize>,
    /// The first job of each stage, by stage id.
    job_of: BTreeMap<u32, usize>,
    plans: BTreeMap<u64, CutPlan<'a>>,
    /// By run: execution and fragment.
    fragment_of: Vec<Option<(u64, usize)>>,
    cached: Vec<Cached>,
    shuffles: Vec<Shuffle>,
    /// Exchanges by the accumulator of their `data size`.
    exchanges: BTreeMap<u64, ExchangeFacts>,
    /// Runs that wrote each shuffle.
    writers: Vec<Vec<usize>>,
    /// Shuffles written by stages without a plan, by run.
    planless: BTreeMap<usize, usize>,
    broadcasts: Vec<Broadcast>,
    broadcast_of: BTreeMap<u64, usize>,
    rates: Rates,
    /// Bytes of a page in the run of the log.
    page_bytes: u64,
}

/// Builds the workload of a log.
pub(super) fn workload(log: &AppLog, settings: &Settings, honesty: &mut Honesty) -> Workload {
    let runs = runs(log);
    let cached = datasets(log, &runs, honesty);
    let rates = rates(&runs);
    let plans = log
        .sql
        .iter()
        .filter_map(|execution| {
            let plan = execution.final_plan()?;
            let types = column_types(plan);
            Some((execution.id, CutPlan { plan, fragments: fragments(plan), types }))
        })
        .collect();
    let mut builder = Builder {
        log,
        settings,
        fragment_of: vec![None; runs.len()],
        run_of: runs.iter().enumerate().map(|(at, run)| (run.record.stage_id, at)).collect(),
        // Backwards, so that the first job has the last word.
        job_of: (0..log.jobs.len())
            .rev()
            .flat_map(|job| log.jobs[job].stage_ids.iter().map(move |&stage| (stage, job)))
            .collect(),
        runs,
        plans,
        cached,
        shuffles: Vec::new(),
        exchanges: BTreeMap::new(),
        writers: Vec::new(),
        planless: BTreeMap::new(),
        broadcasts: Vec::new(),
        broadcast_of: BTreeMap::new(),
        rates,
        page_bytes: page_bytes(settings),
    };
    builder.match_fragments();
    builder.find_exchanges();
    builder.estimate_spill_compression();
    builder.find_broadcasts(honesty);
    let mut stages: Vec<Stage> = (0..builder.runs.len()).map(|run| builder.stage(run, honesty)).collect();
    builder.observe_keys(&stages);
    let jobs = builder.jobs(honesty);
    wait_for_jobs_only(&jobs, &mut stages);
    let python =
        stages.iter().flat_map(|s| &s.operators).any(|o| matches!(o.kind, OperatorKind::Python { .. }));
    let mut workload = Workload {
        name: log.app_name.clone(),
        jobs,
        stages,
        shuffles: std::mem::take(&mut builder.shuffles),
        datasets: builder.cached.drain(..).map(|cached| cached.dataset).collect(),
        broadcasts: std::mem::take(&mut builder.broadcasts),
        rates: builder.rates.clone(),
        observed: Some(partitioning(settings, default_parallelism(settings, &[]))),
        python,
    };
    honesty.replay = calibrate(&mut workload, settings, &builder.runs);
    workload
}

/// A stage whose job the log does not name never runs: nobody waits for it.
fn wait_for_jobs_only(jobs: &[Job], stages: &mut [Stage]) {
    let in_jobs: BTreeSet<usize> = jobs.iter().flat_map(|job| job.stages.iter().copied()).collect();
    for stage in stages {
        stage.parents.retain(|parent| in_jobs.contains(parent));
    }
}

/// Tasks and bytes in Spark's words `Total size of serialized results of 4 tasks (21.3 MiB) is bigger than ...`.
fn results_too_large(reason: &str) -> Option<(u64, u64)> {
    let (_, rest) = reason.split_once("Total size of serialized results of ")?;
    let (tasks, rest) = rest.split_once(" tasks (")?;
    let (size, _) = rest.split_once(')')?;
    let (number, unit) = size.split_once(' ')?;
    let scale = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((tasks.parse().ok()?, (number.parse::<f64>().ok()? * scale) as u64))
}

/// The smallest relation, in powers of two as its rows' array grows (HJ-4), that does not fit a driver's heap while it is
/// built.
fn relation_beyond(heap: u64, collected: u64, base: u64) -> u64 {
    let mut relation: u64 = 1 << 20;
    while base + collected + relation + relation / 2 <= heap {
        relation *= 2;
    }
    relation
}

/// Types of columns by name, from the schemas that scans state.
fn column_types(plan: &SqlPlan) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for node in &plan.nodes {
        let Some(schema) = node.metadata.get("ReadSchema") else { continue };
        let fields = schema.trim_start_matches("struct<").trim_end_matches('>');
        for field in fields.split(',') {
            if let Some((name, kind)) = field.split_once(':') {
                types.insert(name.to_owned(), kind.to_owned());
            }
        }
    }
    types
}

impl<'a> Builder<'a> {
    fn job_of(&self, run: &StageRun<'_>) -> Option<&'a JobRecord> {
        self.job_of.get(&run.record.stage_id).map(|&job| &self.log.jobs[job])
    }

    fn match_fragments(&mut self) {
        for (at, run) in self.runs.iter().enumerate() {
            let job = self.job_of(run);
            let Some(execution) = job.and_then(|job| job.sql_execution) else { continue };
            let Some(cut) = self.plans.get(&execution) else { continue };
            self.fragment_of[at] = fragment_of(run, cut.plan, &cut.fragments).map(|index| (execution, index));
        }
        self.match_by_elimination();
    }

    /// Stages none of whose tasks ended well updated no metric: they run what no other stage of their execution ran, the
    /// result stage the topmost fragment.
    fn match_by_elimination(&mut self) {
        for at in 0..self.runs.len() {
            let run = &self.runs[at];
            if self.fragment_of[at].is_some() || run.tasks.iter().any(Option::is_some) {
                continue;
            }
            let job = self.job_of(run);
            let Some(execution) = job.and_then(|job| job.sql_execution) else { continue };
            let Some(cut) = self.plans.get(&execution) else { continue };
            let free = cut.fragments.iter().enumerate().find(|(index, fragment)| {
                !self.fragment_of.contains(&Some((execution, *index)))
                    && fragment.writes.is_some() == run.is_map_stage()
            });
            self.fragment_of[at] = free.map(|(index, _)| (execution, index));
        }
    }

    fn find_exchanges(&mut self) {
        for at in 0..self.runs.len() {
            if !self.runs[at].is_map_stage() {
                continue;
            }
            let written = self.fragment_of[at].and_then(|(execution, index)| {
                let cut = &self.plans[&execution];
                let node = &cut.plan.nodes[cut.fragments[index].writes? as usize];
                (boundary(node) == Boundary::Shuffle).then_some(node)
            });
            let Some(node) = written else {
                let shuffle = self.planless_shuffle(at);
                self.planless.insert(at, shuffle);
                continue;
            };
            let Some(key) = metric(node, "data size") else { continue };
            if let Some(facts) = self.exchanges.get(&key) {
                self.writers[facts.shuffle].push(at);
                continue;
            }
            let (shuffle, sizes) = self.shuffle_of(node, key, at);
            self.shuffles.push(shuffle);
            self.writers.push(vec![at]);
            self.exchanges.insert(key, ExchangeFacts { shuffle: self.shuffles.len() - 1, sizes });
        }
    }

    /// A log without spills does not tell how well they compress; its shuffles tell how well the same rows do.
    fn estimate_spill_compression(&mut self) {
        let spilled =
            self.runs.iter().flat_map(StageRun::metrics).flatten().any(|m| m.totals.disk_bytes_spilled > 0);
        let (mut plain, mut compressed) = (0.0, 0.0);
        for facts in self.exchanges.values() {
            let bytes = facts.sizes.data_bytes as f64;
            plain += bytes;
            compressed += bytes * self.shuffles[facts.shuffle].compression;
        }
        if !spilled && plain > 0.0 {
            self.rates.spill_compression = SORTED_COMPRESSION * compressed / plain;
        }
    }

    /// Rows that an object aggregation of the stage put into its lists, if it has one (AGG-8).
    fn collected_elements(&self, writer: usize) -> Option<u64> {
        let (execution, index) = self.fragment_of[writer]?;
        let cut = &self.plans[&execution];
        let aggregation = cut.fragments[index]
            .nodes
            .iter()
            .map(|&at| &cut.plan.nodes[at as usize])
            .find(|node| node.name == "ObjectHashAggregate")?;
        let mut node = aggregation;
        loop {
            node = &cut.plan.nodes[*node.children.first()? as usize];
            if let Some(rows) = metric(node, "number of output rows") {
                return Some(self.runs[writer].accumulated(rows));
            }
        }
    }

    /// The shuffle of an exchange, and what its rows weigh.
    fn shuffle_of(&self, node: &PlanNode, key: u64, writer: usize) -> (Shuffle, ExchangeSizes) {
        let run = &self.runs[writer];
        let records: u64 = run.metrics().flatten().map(|m| m.shuffle_write.records).sum();
        let bytes: u64 = run.metrics().flatten().map(|m| m.shuffle_write.bytes).sum();
        let data = run.accumulated(key);
        let row_bytes = if records > 0 { data.div_ceil(records).next_multiple_of(8) } else { 0 };
        let elements = self.collected_elements(writer);
        let text = &node.simple_string;
        let number = |kind: &str| {
            let (_, rest) = text.split_once(kind)?;
            let (inside, _) = rest.rsplit_once("), ").or_else(|| rest.rsplit_once(')'))?;
            let inside = inside.split("), ").next().unwrap_or(inside);
            inside.rsplit([',', '(']).next()?.trim().parse::<u32>().ok()
        };
        let (distribution, partitions) = if text.contains("SinglePartition") {
            (Distribution::Single, Some(1))
        } else if text.contains("rangepartitioning") {
            (Distribution::Range, number("rangepartitioning"))
        } else if text.contains("RoundRobinPartitioning") {
            (Distribution::RoundRobin, number("RoundRobinPartitioning"))
        } else {
            (Distribution::Hash, number("hashpartitioning"))
        };
        let by_user = text.contains("REPARTITION_BY_NUM");
        let partitions = match partitions {
            Some(n) if by_user || distribution == Distribution::Single => ShufflePartitions::Fixed(n),
            _ => ShufflePartitions::Conf,
        };
        let shuffle = Shuffle {
            name: text.split(", ENSURE_REQUIREMENTS").next().unwrap_or(text).chars().take(80).collect(),
            partitions,
            distribution,
            keys: Keys { salt: key, ..Keys::default() },
            record_bytes: row_bytes,
            compression: bytes as f64 / data.max(1) as f64,
            map_side_combine: false,
            relocatable: true,
        };
        (shuffle, ExchangeSizes { row_bytes, data_bytes: data, elements })
    }

    /// A shuffle that no plan tells of: an RDD's.
    fn planless_shuffle(&mut self, writer: usize) -> usize {
        let run = &self.runs[writer];
        let records: u64 = run.metrics().flatten().map(|m| m.shuffle_write.records).sum();
        let bytes: u64 = run.metrics().flatten().map(|m| m.shuffle_write.bytes).sum();
        let readers = self.runs.iter().find(|other| other.record.parent_ids.contains(&run.record.stage_id));
        let partitions = readers.map_or(1, |reader| reader.record.number_of_tasks);
        let record_bytes = bytes.checked_div(records).map_or(SHUFFLE_ROW_BYTES_UNKNOWN, |b| b.max(8) * 2);
        self.shuffles.push(Shuffle {
            name: run.record.name.clone(),
            partitions: ShufflePartitions::Fixed(partitions.max(1)),
            distribution: Distribution::Hash,
            keys: Keys { salt: u64::from(run.record.stage_id), ..Keys::default() },
            record_bytes,
            compression: 0.5,
            map_side_combine: false,
            relocatable: false,
        });
        self.writers.push(vec![writer]);
        self.shuffles.len() - 1
    }

    fn find_broadcasts(&mut self, honesty: &mut Honesty) {
        let driver: BTreeMap<u64, i64> =
            self.log.driver_accumulators.iter().map(|update| (update.accumulator, update.value)).collect();
        for (execution, cut) in &self.plans {
            for node in &cut.plan.nodes {
                if boundary(node) != Boundary::Broadcast {
                    continue;
                }
                let Some(key) = metric(node, "data size") else { continue };
                if self.broadcast_of.contains_key(&key) {
                    continue;
                }
                let value =
                    |id: Option<u64>| id.and_then(|id| driver.get(&id)).map_or(0, |v| (*v).max(0) as u64);
                let builder = self.fragment_of.iter().position(|fragment| {
                    fragment.is_some_and(|(of, index)| {
                        of == *execution
                            && cut.fragments[index].writes.is_some_and(|at| {
                                metric(&cut.plan.nodes[at as usize], "data size") == Some(key)
                            })
                    })
                });
                let collected: u64 = builder
                    .map_or(0, |at| self.runs[at].metrics().flatten().map(|m| m.totals.result_bytes).sum());
                let ran_out = self.log.sql.iter().any(|sql| {
                    let error = sql.error.as_deref().unwrap_or_default();
                    sql.id == *execution && error.contains("Not enough memory to build and broadcast")
                });
                let mut relation_bytes = value(Some(key));
                if relation_bytes == 0 && ran_out {
                    relation_bytes =
                        relation_beyond(self.settings.driver.memory, collected, self.rates.heap_base_bytes);
                    honesty.assume(
                        "a broadcast table could not be built in this log; its relation is taken as the smallest that does \
                         not fit the driver",
                    );
                }
                self.broadcasts.push(Broadcast {
                    name: format!("broadcast {}", self.broadcasts.len()),
                    rows: value(metric(node, "number of output rows")),
                    relation_bytes,
                    pieces_bytes: collected,
                    build_ns: 0,
                });
                self.broadcast_of.insert(key, self.broadcasts.len() - 1);
            }
        }
    }

    fn stage(&self, at: usize, honesty: &mut Honesty) -> Stage {
        let run = &self.runs[at];
        let record = run.record;
        let dataset = self.cached.iter().position(|cached| cached_in(run, cached.rdd_id).is_some());
        let missing = run.tasks.iter().filter(|task| task.is_none()).count();
        if missing > 0 {
            honesty.assume(format!(
                "stage {}: {missing} of {} tasks never ended well in this log; they are taken to be like the others",
                record.stage_id,
                run.tasks.len()
            ));
        }
        let mut operators = self.operators(at, dataset, honesty);
        let python = operators.iter().any(|operator| matches!(operator.kind, OperatorKind::Python { .. }));
        // A task that waits for its Python worker waits for work that the JVM's clock does not see.
        let share = if python { 1.0 } else { run.processor_share() };
        let own = self.own_time(run, dataset, share);
        share_time(&mut operators, &own);
        let parents = self.parents(at, &operators);
        Stage {
            id: record.stage_id,
            name: record.name.clone(),
            parents,
            partitioning: self.partitioning(at, &operators),
            result_bytes: self.result_bytes(run),
            launch_ns: run.each(|task, metrics| {
                task.finish_ms.saturating_sub(task.launch_ms).saturating_sub(metrics.totals.run_ms)
                    * 1_000_000
            }),
            allocated_bytes: self.allocated(run, &own),
            background_threads: self.background_threads(run, share),
            operators,
        }
    }

    /// Results of the tasks. The ones that break `spark.driver.maxResultSize` leave no event; the job's failure tells their
    /// number and sum with the others (COLL-2).
    fn result_bytes(&self, run: &StageRun<'_>) -> PerTask {
        let known: Vec<Option<u64>> = run.metrics().map(|m| m.map(|m| m.totals.result_bytes)).collect();
        let job = self.job_of(run);
        let broken = job.and_then(|job| match &job.result {
            JobResult::Failed(reason) => results_too_large(reason),
            _ => None,
        });
        let Some((tasks, bytes)) = broken else { return run.each(|_, metrics| metrics.totals.result_bytes) };
        let ended = known.iter().flatten().count() as u64;
        let rest = bytes.saturating_sub(known.iter().flatten().sum()) / tasks.saturating_sub(ended).max(1);
        PerTask::Each(known.into_iter().map(|bytes| bytes.unwrap_or(rest)).collect())
    }

    fn operators(&self, at: usize, dataset: Option<usize>, honesty: &mut Honesty) -> Vec<Operator> {
        let run = &self.runs[at];
        let Some((execution, index)) = self.fragment_of[at] else {
            if run.metrics().flatten().any(|m| m.totals.peak_execution_memory > 0) {
                honesty.assume(format!(
                    "stage {}: no plan tells which operators held memory; its spills are not simulated",
                    run.record.stage_id
                ));
            }
            return self.planless_operators(at, dataset);
        };
        let cut = &self.plans[&execution];
        let fragment = &cut.fragments[index];
        let written = fragment.writes.map(|node| &cut.plan.nodes[node as usize]);
        let facts = written.and_then(|node| self.exchanges.get(&metric(node, "data size")?)).copied();
        let mut context = StageContext {
            plan: cut.plan,
            run,
            exchanges: &self.exchanges,
            broadcasts: &self.broadcast_of,
            dataset,
            types: &cut.types,
            row_bytes_out: facts.map(|facts| facts.sizes.row_bytes).filter(|&bytes| bytes > 0),
            python_worker_bytes: self.python_worker_bytes(),
            exchanges_read: fragment
                .nodes
                .iter()
                .filter(|&&node| boundary(&cut.plan.nodes[node as usize]) == Boundary::Shuffle)
                .count(),
            page_bytes: self.page_bytes,
            operators: Vec::new(),
            sized: Vec::new(),
        };
        context.add(fragment.root);
        let last_rows = context.operators.last().map_or_else(PerTask::default, |last| last.rows.clone());
        match (facts, written) {
            (Some(facts), _) if run.is_map_stage() => {
                let bytes = run.each(|_, metrics| metrics.shuffle_write.bytes);
                let rows = run.each(|_, metrics| metrics.shuffle_write.records);
                let kind = OperatorKind::ShuffleWrite { shuffle: facts.shuffle, bytes };
                context.finish("Exchange (write)", kind, rows);
            }
            (_, Some(node)) if boundary(node) == Boundary::Broadcast => {
                let broadcast = metric(node, "data size").and_then(|key| self.broadcast_of.get(&key));
                let kind = match broadcast {
                    Some(&broadcast) => OperatorKind::Broadcast { broadcast },
                    None => OperatorKind::Output { bytes: PerTask::default() },
                };
                context.finish("BroadcastExchange", kind, last_rows);
            }
            _ => {
                let bytes = run.each(|_, metrics| metrics.output.bytes);
                context.finish("Output", OperatorKind::Output { bytes }, last_rows);
            }
        }
        context.operators
    }

    fn planless_operators(&self, at: usize, dataset: Option<usize>) -> Vec<Operator> {
        let run = &self.runs[at];
        let operator = |name: &str, kind, inputs: Vec<usize>, rows| Operator {
            name: name.to_owned(),
            kind,
            inputs,
            rows,
            row_bytes: SHUFFLE_ROW_BYTES_UNKNOWN,
            cpu_ns: PerTask::default(),
            heap_bytes: PerTask::default(),
        };
        let read = self.parent_runs(at).into_iter().find_map(|parent| self.planless.get(&parent).copied());
        let first = match (dataset, read) {
            (Some(dataset), _) => {
                let rows = run.each(|_, metrics| metrics.input.records);
                operator("cached", OperatorKind::CachedScan { dataset }, Vec::new(), rows)
            }
            (None, Some(shuffle)) => {
                let bytes = run.each(|_, m| m.shuffle_read.local_bytes + m.shuffle_read.remote_bytes);
                let rows = run.each(|_, metrics| metrics.shuffle_read.records);
                operator("shuffle read", OperatorKind::ShuffleRead { shuffle, bytes }, Vec::new(), rows)
            }
            (None, None) => {
                let bytes = run.each(|_, metrics| metrics.input.bytes);
                let rows = run.each(|_, metrics| metrics.input.records);
                operator("scan", OperatorKind::Scan { bytes }, Vec::new(), rows)
            }
        };
        let last = match self.planless.get(&at) {
            Some(&shuffle) => {
                let bytes = run.each(|_, metrics| metrics.shuffle_write.bytes);
                let rows = run.each(|_, metrics| metrics.shuffle_write.records);
                operator("shuffle write", OperatorKind::ShuffleWrite { shuffle, bytes }, vec![0], rows)
            }
            None => {
                let bytes = run.each(|_, metrics| metrics.output.bytes);
                operator("output", OperatorKind::Output { bytes }, vec![0], first.rows.clone())
            }
        };
        vec![first, last]
    }

    /// Threads of each executor that must have wanted a processor when tasks had one only for `share` of their time. The
    /// machine is taken to have as many processors as the executors have cores.
    fn background_threads(&self, run: &StageRun<'_>, share: f64) -> f64 {
        let executors = self.log.executors.iter().filter_map(|executor| executor.cores);
        let (count, cores) = executors.fold((0u32, 0u32), |(count, cores), c| (count + 1, cores + c));
        let running = f64::from(cores.min(run.tasks.len() as u32));
        ((f64::from(cores) / share - running) / f64::from(count.max(1))).max(0.0)
            * f64::from(u8::from(share < 1.0))
    }

    /// Time of each task's own work: without collection, spilling, waiting for a processor, and what the simulation adds
    /// for caches and disks.
    fn own_time(&self, run: &StageRun<'_>, dataset: Option<usize>, share: f64) -> PerTask {
        let rates = &self.rates;
        let computed = dataset.map(|index| &self.cached[index]);
        let flags = computed.and_then(|cached| cached.computed.get(&run.record.stage_id));
        let position: BTreeMap<u64, usize> =
            run.tasks.iter().enumerate().filter_map(|(at, task)| Some(((*task)?.task_id, at))).collect();
        run.each(|task, metrics| {
            let spilled = metrics.totals.memory_bytes_spilled as f64;
            let spill_ns = spilled * (rates.spill_write_ns_per_byte + rates.spill_read_ns_per_byte)
                + 2.0 * metrics.totals.disk_bytes_spilled as f64 / rates.disk_bytes_per_s * 1e9;
            let io = metrics.input.bytes
                + metrics.output.bytes
                + metrics.shuffle_read.local_bytes
                + metrics.shuffle_read.remote_bytes
                + metrics.shuffle_write.bytes;
            let io_ns = io as f64 / rates.disk_bytes_per_s * 1e9;
            let computes = flags.zip(position.get(&task.task_id)).is_some_and(|(flags, &at)| flags[at]);
            let compute_ns = if computes { computed.map_or(0, |cached| cached.compute_ns) } else { 0 };
            let run_ns = metrics.totals.run_ms as f64 * 1e6;
            let worked = (run_ns - metrics.totals.gc_ms as f64 * 1e6) * share;
            let own = worked - spill_ns - io_ns - compute_ns as f64;
            // Estimates of what to take away may exceed what there is; some work always remains.
            const LEAST_SHARE: f64 = 0.05;
            own.max(run_ns * LEAST_SHARE) as u64
        })
    }

    /// Bytes that the tasks must have allocated for the collection time they report.
    fn allocated(&self, run: &StageRun<'_>, own: &PerTask) -> PerTask {
        let gc_ms: u64 = run.metrics().flatten().map(|m| m.totals.gc_ms).sum();
        if gc_ms == 0 {
            return PerTask::Total(0);
        }
        let busy: u64 =
            run.tasks.iter().flatten().map(|task| task.finish_ms.saturating_sub(task.launch_ms)).sum();
        let first = run.tasks.iter().flatten().map(|task| task.launch_ms).min().unwrap_or(0);
        let last = run.tasks.iter().flatten().map(|task| task.finish_ms).max().unwrap_or(0);
        let executors = self.log.executors.iter().filter(|e| e.cores.is_some()).count().max(1) as f64;
        // Every task of a JVM reports the JVM's pauses.
        let together = (busy as f64 / last.saturating_sub(first).max(1) as f64 / executors).max(1.0);
        let pause_ns = gc_ms as f64 * 1e6 / together;
        let heap = if self.settings.master.is_local() {
            self.settings.driver.memory
        } else {
            self.settings.executor.memory
        };
        let count = run.metrics().flatten().count().max(1) as u64;
        let peaks: u64 = run.metrics().flatten().map(|m| m.totals.peak_execution_memory).sum();
        let live = self.rates.heap_base_bytes + peaks / count * together as u64;
        let bytes = pause_ns / GcCost::G1.pause_ns_per_byte(live.min(heap * 9 / 10), heap);
        let total = own.total().max(1) as f64;
        match own {
            PerTask::Total(_) => PerTask::Total(bytes as u64),
            PerTask::Each(values) => {
                PerTask::Each(values.iter().map(|&ns| (bytes * ns as f64 / total) as u64).collect())
            }
        }
    }

    fn partitioning(&self, at: usize, operators: &[Operator]) -> Partitioning {
        let tasks = self.runs[at].tasks.len() as u32;
        let shuffles: Vec<usize> = operators
            .iter()
            .filter_map(|operator| match operator.kind {
                OperatorKind::ShuffleRead { shuffle, .. } => Some(shuffle),
                _ => None,
            })
            .collect();
        if !shuffles.is_empty() {
            return Partitioning::Shuffle { shuffles, tasks };
        }
        for operator in operators {
            if let OperatorKind::CachedScan { dataset } = operator.kind
                && self.cached[dataset].dataset.partitions.len() as u32 == tasks
            {
                return Partitioning::Dataset(dataset);
            }
        }
        self.file_scan(at).map_or(Partitioning::Fixed(tasks), |(bytes, files)| Partitioning::Files {
            bytes,
            files,
            tasks,
        })
    }

    /// Bytes and number of the files of a stage that reads one file source.
    fn file_scan(&self, at: usize) -> Option<(u64, u32)> {
        let (execution, index) = self.fragment_of[at]?;
        let cut = &self.plans[&execution];
        let value = |node: &PlanNode, name: &str| {
            let id = metric(node, name)?;
            let updates = self.log.driver_accumulators.iter().filter(|update| update.accumulator == id);
            updates.map(|update| update.value.max(0) as u64).next_back()
        };
        let mut scans = cut.fragments[index].nodes.iter().filter_map(|&node| {
            let node = &cut.plan.nodes[node as usize];
            Some((value(node, "size of files read")?, value(node, "number of files read")? as u32))
        });
        let only = scans.next()?;
        scans.next().is_none().then_some(only)
    }

    fn parents(&self, at: usize, operators: &[Operator]) -> Vec<usize> {
        let mut parents: Vec<usize> = operators
            .iter()
            .filter_map(|operator| match operator.kind {
                OperatorKind::ShuffleRead { shuffle, .. } => {
                    self.writers[shuffle].iter().copied().filter(|&writer| writer < at).max()
                }
                _ => None,
            })
            .chain(self.parent_runs(at))
            .collect();
        parents.sort_unstable();
        parents.dedup();
        parents
    }

    /// The runs of the stages that the log names as parents; a skipped stage stands for the run of the same RDDs.
    fn parent_runs(&self, at: usize) -> Vec<usize> {
        let ids = &self.runs[at].record.parent_ids;
        ids.iter()
            .filter_map(|&id| {
                if let Some(&run) = self.run_of.get(&id) {
                    return Some(run);
                }
                let skipped = self.log.stages.iter().find(|stage| stage.stage_id == id)?;
                let last = skipped.rdds.iter().map(|rdd| rdd.rdd_id).max()?;
                self.runs[..at]
                    .iter()
                    .rposition(|run| run.record.rdds.iter().map(|r| r.rdd_id).max() == Some(last))
            })
            .filter(|&parent| parent < at)
            .collect()
    }

    fn python_worker_bytes(&self) -> u64 {
        // Where executors are processes of their own, the driver's process tree may contain them.
        let local = self.settings.master.is_local();
        let of_executors = self.log.peaks.iter().filter(|record| {
            local || self.log.executors.get(record.executor.0 as usize).is_none_or(|e| e.id != "driver")
        });
        let largest = of_executors.map(|record| record.peaks.python_resident).max().unwrap_or(0);
        let slots = self.log.executors.iter().filter_map(|e| e.cores).max().unwrap_or(1).max(1);
        let driver = if local { PYTHON_DRIVER_BYTES } else { 0 };
        let each = largest.saturating_sub(driver) / u64::from(slots);
        if each == 0 { PYTHON_WORKER_BYTES } else { each }
    }

    /// Key popularity of each shuffle, from the first stage that reads it.
    fn observe_keys(&mut self, stages: &[Stage]) {
        for stage in stages {
            for operator in &stage.operators {
                let OperatorKind::ShuffleRead { shuffle, .. } = operator.kind else { continue };
                let PerTask::Each(rows) = &operator.rows else { continue };
                let keys = &mut self.shuffles[shuffle].keys;
                if !keys.observed.is_empty() {
                    continue;
                }
                let total = rows.iter().sum::<u64>().max(1) as f64;
                keys.observed = rows.iter().map(|&n| n as f64 / total).collect();
                let mut sorted = rows.clone();
                sorted.sort_unstable();
                let median = sorted[sorted.len() / 2];
                // A partition far above the median is explained by one key on top of the smooth rest.
                const HOT_FACTOR: u64 = 3;
                keys.hot = sorted
                    .iter()
                    .rev()
                    .take_while(|&&n| rows.len() > 2 && n > HOT_FACTOR * median.max(1))
                    .map(|&n| (n - median) as f64 / total)
                    .collect();
            }
        }
    }

    fn jobs(&self, honesty: &mut Honesty) -> Vec<Job> {
        // The jobs before the one at hand, by their ends.
        let mut ended: BTreeSet<(u64, usize)> = BTreeSet::new();
        let start = self.log.start_ms.or(self.log.jobs.first().and_then(|job| job.submit_ms)).unwrap_or(0);
        let mut jobs = Vec::new();
        for (index, job) in self.log.jobs.iter().enumerate() {
            let submitted = job.submit_ms.unwrap_or(start);
            // The job that ended last before this one was submitted is what the driver waited for.
            let last = ended.range(..=(submitted, usize::MAX)).next_back();
            let before = last.map(|&(_, other)| other);
            let since = last.map_or(start, |&(end, _)| end);
            ended.extend(job.complete_ms.map(|end| (end, index)));
            if let JobResult::Failed(reason) = &job.result {
                honesty.assume(format!(
                    "job {} failed in this log ({}); what it would have done afterwards is unknown",
                    job.job_id,
                    reason.chars().take(120).collect::<String>()
                ));
            }
            let execution = job.sql_execution.and_then(|id| self.log.sql.iter().find(|sql| sql.id == id));
            let name = execution.map(|sql| sql.description.clone()).filter(|text| !text.is_empty());
            let stages: Vec<usize> =
                job.stage_ids.iter().filter_map(|id| self.run_of.get(id).copied()).collect();
            let name = name
                .or_else(|| stages.last().map(|&at| self.runs[at].record.name.clone()))
                .unwrap_or_else(|| format!("job {}", job.job_id));
            jobs.push(Job {
                id: job.job_id,
                name,
                stages,
                after: before.into_iter().collect(),
                gap_ns: submitted.saturating_sub(since) * 1_000_000,
            });
        }
        jobs
    }
}
