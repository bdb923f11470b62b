//! Puts the pieces together: which stage ran which fragment of which plan, its operators, its parents and its tasks.

use std::collections::BTreeMap;

use super::calibrate::calibrate;
use super::calibration::Calibration;
use super::datasets::{Cached, cached_in, datasets};
use super::fragments::{Boundary, Fragment, boundary, fragment_of, fragments, metric};
use super::honesty::Honesty;
use super::jobs::wait_for_jobs_only;
use super::joins::parse_join;
use super::operators::{ExchangeFacts, StageContext, share_time};
use super::queries::{Placed, queries};
use super::rates::{default_parallelism, page_bytes, rates};
use super::stages::{StageRun, runs};
use super::twins::fit_file_cost;
use super::warmup::StageWarmUp;
use crate::conf::Settings;
use crate::eventlog::app_log::{AppLog, JobRecord, PlanNode, SqlPlan};
use crate::host::PYTHON_WORKER_BYTES;
use crate::sim::partitioning;
use crate::workload::{
    Broadcast, JoinKind, Operator, OperatorKind, Partitioning, PerTask, Rates, Shuffle, Side, Stage,
    Strategy, Workload, may_split,
};

/// Resident bytes of a PySpark driver process, which local mode counts among the Python workers.
const PYTHON_DRIVER_BYTES: u64 = 120 << 20;
/// Bytes of a shuffled row whose size nobody counted.
pub(super) const SHUFFLE_ROW_BYTES_UNKNOWN: u64 = 40;

/// The plan of an execution, cut.
pub(super) struct CutPlan<'a> {
    pub(super) plan: &'a SqlPlan,
    pub(super) fragments: Vec<Fragment>,
    pub(super) types: BTreeMap<String, String>,
}

pub(super) struct Builder<'a> {
    pub(super) log: &'a AppLog,
    pub(super) settings: &'a Settings,
    pub(super) runs: Vec<StageRun<'a>>,
    /// Runs by stage id.
    pub(super) run_of: BTreeMap<u32, usize>,
    /// The first job of each stage, by stage id.
    pub(super) job_of: BTreeMap<u32, usize>,
    pub(super) plans: BTreeMap<u64, CutPlan<'a>>,
    /// By run: execution and fragment.
    pub(super) fragment_of: Vec<Option<(u64, usize)>>,
    pub(super) cached: Vec<Cached>,
    /// By dataset: the run that computed most of its partitions, with execution and fragment of its lineage.
    pub(super) lineages: Vec<Option<(usize, u64, usize)>>,
    pub(super) shuffles: Vec<Shuffle>,
    /// Exchanges by the accumulator of their `data size`.
    pub(super) exchanges: BTreeMap<u64, ExchangeFacts>,
    /// Runs that wrote each shuffle.
    pub(super) writers: Vec<Vec<usize>>,
    /// Shuffles written by stages without a plan, by run.
    pub(super) planless: BTreeMap<usize, usize>,
    pub(super) broadcasts: Vec<Broadcast>,
    pub(super) broadcast_of: BTreeMap<u64, usize>,
    pub(super) rates: Rates,
    /// Bytes of a page in the run of the log.
    pub(super) page_bytes: u64,
    /// What being new cost the JVMs, by run.
    pub(super) warm_ups: Vec<StageWarmUp>,
    /// What the simulation adds to the launch of tasks that were the first of a stage in a JVM, ns by task.
    pub(super) launch_added: BTreeMap<u64, u64>,
}

/// Builds the workload of a log.
pub(super) fn workload(
    log: &AppLog,
    settings: &Settings,
    calibration: &Calibration,
    honesty: &mut Honesty,
) -> Workload {
    let runs = runs(log);
    let cached = datasets(log, &runs, honesty);
    let rates = rates(&runs, calibration);
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
        lineages: Vec::new(),
        shuffles: Vec::new(),
        exchanges: BTreeMap::new(),
        writers: Vec::new(),
        planless: BTreeMap::new(),
        broadcasts: Vec::new(),
        broadcast_of: BTreeMap::new(),
        rates,
        page_bytes: page_bytes(settings),
        warm_ups: Vec::new(),
        launch_added: BTreeMap::new(),
    };
    builder.match_fragments();
    builder.find_lineages();
    builder.warm_ups = builder.find_warm_ups(calibration.interpreted_per_compiled);
    builder.launch_added = builder.find_launch_added();
    builder.find_exchanges();
    builder.find_broadcasts(honesty);
    let (mut stages, placed): (Vec<Stage>, Placed) =
        (0..builder.runs.len()).map(|run| builder.stage(run, honesty)).unzip();
    if let Some(compression) = builder.spill_compression(&stages) {
        builder.rates.spill_compression = compression;
    }
    builder.observe_keys(&stages);
    let mut jobs = builder.jobs(honesty);
    wait_for_jobs_only(&jobs, &mut stages);
    let queries = queries(&builder, settings, &stages, &placed);
    builder.add_unrun(&mut jobs, &mut stages, honesty);
    let python =
        stages.iter().flat_map(|s| &s.operators).any(|o| matches!(o.kind, OperatorKind::Python { .. }));
    let mut workload = Workload {
        name: log.app_name.clone(),
        jobs,
        stages,
        shuffles: std::mem::take(&mut builder.shuffles),
        datasets: builder.cached.drain(..).map(|cached| cached.dataset).collect(),
        broadcasts: std::mem::take(&mut builder.broadcasts),
        queries,
        rates: builder.rates.clone(),
        observed: Some(partitioning(settings, default_parallelism(settings))),
        python,
    };
    fit_file_cost(&mut workload, settings);
    honesty.replay = calibrate(&mut workload, settings, &builder.runs);
    workload
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

/// How often a fragment reads each exchange, by the accumulator of its `data size`.
fn exchanges_read(plan: &SqlPlan, fragment: &Fragment) -> BTreeMap<u64, u64> {
    let mut reads = BTreeMap::new();
    for node in fragment.nodes.iter().map(|&node| &plan.nodes[node as usize]) {
        if boundary(node) == Boundary::Shuffle
            && let Some(key) = metric(node, "data size")
        {
            *reads.entry(key).or_default() += 1;
        }
    }
    reads
}

impl<'a> Builder<'a> {
    pub(super) fn job_of(&self, run: &StageRun<'_>) -> Option<&'a JobRecord> {
        self.job_of.get(&run.record.stage_id).map(|&job| &self.log.jobs[job])
    }

    fn match_fragments(&mut self) {
        for (at, run) in self.runs.iter().enumerate() {
            let job = self.job_of(run);
            let Some(execution) = job.and_then(|job| job.sql_execution) else { continue };
            let Some(cut) = self.plans.get(&execution) else { continue };
            self.fragment_of[at] =
                fragment_of(run, cut.plan, &cut.fragments, false).map(|index| (execution, index));
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
                    && fragment.cached_as.is_none()
                    && fragment.writes.is_some() == run.is_map_stage()
            });
            self.fragment_of[at] = free.map(|(index, _)| (execution, index));
        }
    }

    /// The stage of a run, and the node of the plan that each of its operators stands for.
    fn stage(&self, at: usize, honesty: &mut Honesty) -> (Stage, Vec<Option<u32>>) {
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
        let (mut operators, mut placed) = self.operators(at, dataset, honesty);
        if operators.iter().any(|operator| operator.kind == OperatorKind::Window) {
            honesty.assume(format!(
                "stage {}: the log counts no window partitions; but for hot keys they are taken to stay under \
                 spark.sql.windowExec.buffer.in.memory.threshold rows",
                record.stage_id
            ));
        }
        let warm_up = self.warm_ups[at];
        let share = self.processor_share(at);
        let own = self.own_time(at, dataset, share);
        share_time(&mut operators, &own);
        let partitioning = self.partitioning(at, &operators, &placed);
        self.add_lineage(&mut operators, &mut placed);
        let parents = self.parents(at, &operators);
        let stage = Stage {
            id: record.stage_id,
            name: record.name.clone(),
            parents,
            partitioning,
            result_bytes: self.result_bytes(run),
            launch_ns: self.launch_time(run),
            allocated_bytes: self.allocated(run, &own),
            background_threads: self.background_threads(run, share),
            warm_up_ns: warm_up.interpreted_ns as u64,
            compile_ns: warm_up.compile_ns as u64,
            operators,
        };
        (stage, placed)
    }

    fn operators(
        &self,
        at: usize,
        dataset: Option<usize>,
        honesty: &mut Honesty,
    ) -> (Vec<Operator>, Vec<Option<u32>>) {
        let run = &self.runs[at];
        let Some((execution, index)) = self.fragment_of[at] else {
            if run.metrics().flatten().any(|m| m.totals.peak_execution_memory > 0) {
                honesty.assume(format!(
                    "stage {}: no plan tells which operators held memory; its spills are not simulated",
                    run.record.stage_id
                ));
            }
            return (self.planless_operators(at, dataset), Vec::new());
        };
        let cut = &self.plans[&execution];
        let fragment = &cut.fragments[index];
        let written = fragment.writes.map(|node| &cut.plan.nodes[node as usize]);
        let facts = written.and_then(|node| self.exchanges.get(&metric(node, "data size")?)).copied();
        let mut context = StageContext {
            row_bytes_out: facts.map(|facts| facts.sizes.row_bytes).filter(|&bytes| bytes > 0),
            elements_out: facts.and_then(|facts| facts.sizes.elements_of_a_row()),
            ..self.context(cut, fragment, run, dataset)
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
        (context.operators, context.placed)
    }

    /// What the operators of a fragment are built from, as tasks of `run` ran them.
    pub(super) fn context<'b>(
        &'b self,
        cut: &'b CutPlan<'_>,
        fragment: &Fragment,
        run: &'b StageRun<'b>,
        dataset: Option<usize>,
    ) -> StageContext<'b> {
        StageContext {
            plan: cut.plan,
            run,
            exchanges: &self.exchanges,
            broadcasts: &self.broadcast_of,
            dataset,
            types: &cut.types,
            row_bytes_out: None,
            elements_out: None,
            python_worker_bytes: self.python_worker_bytes(),
            exchanges_read: exchanges_read(cut.plan, fragment),
            page_bytes: self.page_bytes,
            operators: Vec::new(),
            sized: Vec::new(),
            placed: Vec::new(),
        }
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
                operator("cached", OperatorKind::CachedScan { dataset, lineage: None }, Vec::new(), rows)
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

    /// The kind of the join that a node of a run's plan is, and whether its stage consumes the right side first.
    fn join_kind(&self, at: usize, node: u32) -> Option<(JoinKind, bool)> {
        let (execution, _) = self.fragment_of[at]?;
        let node = &self.plans[&execution].plan.nodes[node as usize];
        let join =
            parse_join(&node.simple_string, &BTreeMap::new()).filter(|_| node.name.ends_with("Join"))?;
        Some((join.kind, join.strategy == Strategy::ShuffledHash(Side::Left)))
    }

    fn partitioning(&self, at: usize, operators: &[Operator], placed: &[Option<u32>]) -> Partitioning {
        let tasks = self.runs[at].tasks.len() as u32;
        let shuffles: Vec<usize> =
            operators.iter().filter_map(|operator| operator.kind.shuffle_read()).collect();
        if !shuffles.is_empty() {
            let may_split = may_split(operators, |operator| self.join_kind(at, placed[operator]?));
            let local = self.reads_locally(at, placed);
            return Partitioning::Shuffle { shuffles, tasks, may_split, local };
        }
        for operator in operators {
            if let OperatorKind::CachedScan { dataset, .. } = operator.kind
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
}
