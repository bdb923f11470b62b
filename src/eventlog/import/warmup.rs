//! What of a stage's time the log's JVMs paid for being new, so that other JVMs can be made to pay it again.
//!
//! Tasks that run without having a processor wait for other threads of the machine. As far as compiler threads can have
//! been those others, the waiting tells how much they worked; interpreting the code meanwhile cost the tasks processor
//! time of their own. The rest of the waiting has no end that the log shows and stays with the stage
//! ([`crate::workload::Stage::background_threads`]). See [`crate::sim`]'s `warmup` for who pays when.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::Builder;
use super::operators::is_python;
use crate::eventlog::app_log::TaskRecord;
use crate::sim::{STAGE_PACE, compiler_threads, load_classes};

/// Most of a stage's processor time that is taken for interpretation.
const INTERPRETED_SHARE_MAX: f64 = 0.6;
/// Work of one JVM's compiler threads beyond which waiting has other causes, ns: `C1` and `C2` of a Spark 4.1 driver had
/// used 4.3 s of processor when its session stood and 18 s after its first aggregation and sort (thread times in `/proc`). One
/// run, on a machine under load; 30 s is a round figure above it.
const COMPILED_NS_MAX: f64 = 30e9;

/// What being new cost in one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct StageWarmUp {
    /// Work of each JVM's compiler threads, ns.
    pub(super) compile_ns: f64,
    /// Processor time of each JVM's tasks, ns.
    pub(super) interpreted_ns: f64,
    /// Share of the tasks' waiting for a processor that the compiler threads explain.
    pub(super) waits_explained: f64,
    /// JVMs that ran the stage.
    pub(super) executors: f64,
}

impl Builder<'_> {
    /// The costs of all stages, in the order of their submission: the first ones use up what a JVM compiles.
    pub(super) fn find_warm_ups(&self, interpreted_per_compiled: f64) -> Vec<StageWarmUp> {
        let mut left = COMPILED_NS_MAX;
        (0..self.runs.len())
            .map(|at| {
                let mut stage = self.warm_up(at, interpreted_per_compiled);
                if stage.compile_ns > left {
                    let part = left / stage.compile_ns;
                    stage.compile_ns *= part;
                    stage.interpreted_ns *= part;
                    stage.waits_explained *= part;
                }
                left -= stage.compile_ns;
                stage
            })
            .collect()
    }

    fn warm_up(&self, at: usize, interpreted_per_compiled: f64) -> StageWarmUp {
        let run = &self.runs[at];
        let names: BTreeSet<_> = run.tasks.iter().flatten().map(|task| task.executor).collect();
        let executors = names.len() as f64;
        let known = |id| self.log.executors.get(id as usize);
        let machines: BTreeSet<&str> =
            names.iter().filter_map(|id| known(id.0)).map(|executor| executor.host.as_str()).collect();
        let on_machines = self.log.executors.iter().filter(|e| machines.contains(e.host.as_str()));
        let all = on_machines.filter(|e| e.removed_ms.is_none()).filter_map(|e| e.cores);
        let cores: u32 = all.sum();
        if cores == 0 || machines.is_empty() {
            return StageWarmUp::default();
        }
        let waits = if self.runs_python(at) { 0.0 } else { run.waits_ns() };
        let busy: u64 = run.tasks.iter().flatten().map(|t| t.finish_ms.saturating_sub(t.launch_ms)).sum();
        let first = run.tasks.iter().flatten().map(|task| task.launch_ms).min().unwrap_or(0);
        let last = run.tasks.iter().flatten().map(|task| task.finish_ms).max().unwrap_or(0);
        let wall_ns = last.saturating_sub(first).max(1) as f64 * 1e6;
        let running = (busy as f64 * 1e6 / wall_ns).min(f64::from(cores));
        let threads = f64::from(compiler_threads(cores / machines.len() as u32)) * executors;
        let share = (f64::from(cores) / (running + threads)).min(1.0);
        if waits <= 0.0 || share >= 1.0 || running <= 0.0 {
            return StageWarmUp { executors, ..StageWarmUp::default() };
        }
        // While the compilers work, tasks wait for `waited` of every nanosecond and the compilers get `compiled` of it.
        let (waited, compiled) = (running * (1.0 - share), threads * share);
        let explained = waits.min(wall_ns * waited);
        let compile_ns = explained / waited * compiled / executors;
        let cpu_ns: f64 = run.metrics().flatten().map(|m| m.totals.cpu_ns as f64).sum();
        // Computing a dataset has its own price, that of compiled code.
        let computed: f64 = self
            .cached
            .iter()
            .filter_map(|cached| {
                let flags = cached.computed.get(&run.record.stage_id)?;
                Some(flags.iter().filter(|&&flag| flag).count() as f64 * cached.compute_ns as f64)
            })
            .sum();
        let most = (cpu_ns * INTERPRETED_SHARE_MAX).min((cpu_ns - computed).max(0.0)) / executors;
        StageWarmUp {
            compile_ns,
            interpreted_ns: (compile_ns * interpreted_per_compiled).min(most),
            waits_explained: explained / waits,
            executors,
        }
    }

    /// What the simulation will add to the launch of the first task of each stage in each JVM, by task.
    pub(super) fn find_launch_added(&self) -> BTreeMap<u64, u64> {
        let mut added = BTreeMap::new();
        if self.settings.master.is_local() {
            return added;
        }
        // What each executor has still to load.
        let mut left: BTreeMap<u32, u64> = BTreeMap::new();
        for run in &self.runs {
            let mut first: BTreeMap<u32, &TaskRecord> = BTreeMap::new();
            for task in run.tasks.iter().flatten() {
                let earliest = first.entry(task.executor.0).or_insert(task);
                if (task.launch_ms, task.task_id) < (earliest.launch_ms, earliest.task_id) {
                    *earliest = task;
                }
            }
            for (executor, task) in first {
                let left = left.entry(executor).or_insert(self.rates.executor_launch_ns);
                let run_ns = task.metrics.as_ref().map_or(0, |metrics| metrics.totals.run_ms * 1_000_000);
                added.insert(task.task_id, self.rates.stage_launch_ns + load_classes(left, run_ns));
            }
        }
        added
    }

    /// Tasks of the stage wait for Python workers: for work that the JVM's clock does not see.
    pub(super) fn runs_python(&self, at: usize) -> bool {
        let Some((execution, index)) = self.fragment_of[at] else { return false };
        let cut = &self.plans[&execution];
        let mut nodes = cut.fragments[index].nodes.iter();
        nodes.any(|&node| is_python(&cut.plan.nodes[node as usize].name))
    }

    /// Share of their time in which the tasks of a run had a processor, but for what compiler threads took.
    pub(super) fn processor_share(&self, at: usize) -> f64 {
        let run = &self.runs[at];
        if self.runs_python(at) {
            return 1.0;
        }
        let cpu: f64 = run.metrics().flatten().map(|m| m.totals.cpu_ns as f64).sum();
        let waits = run.waits_ns() * (1.0 - self.warm_ups[at].waits_explained);
        if cpu <= 0.0 { 1.0 } else { (cpu / (cpu + waits)).clamp(LEAST_PROCESSOR_SHARE, 1.0) }
    }

    /// Processor time that each task of a run lost by running code that was not compiled, ns: what the simulation will
    /// charge, in the same order.
    pub(super) fn interpreted(&self, at: usize) -> BTreeMap<u64, f64> {
        // By executor: what is left, and slots in which no task of the stage began yet.
        let mut left: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        let mut tasks: Vec<_> = self.runs[at].tasks.iter().flatten().collect();
        tasks.sort_unstable_by_key(|task| (task.launch_ms, task.task_id));
        let count = tasks.len() as f64;
        tasks
            .into_iter()
            .map(|task| {
                let (left, slots) = left.entry(task.executor.0).or_insert_with(|| {
                    let executor = self.log.executors.get(task.executor.0 as usize);
                    let slots = executor.and_then(|executor| executor.cores).unwrap_or(1);
                    (self.warm_ups[at].interpreted_ns, f64::from(slots).min(count))
                });
                let cpu = task.metrics.as_ref().map_or(0.0, |metrics| metrics.totals.cpu_ns as f64);
                let paid = (*left / slots.max(1.0)).min(cpu * STAGE_PACE / (1.0 + STAGE_PACE));
                *left -= paid;
                *slots -= 1.0;
                (task.task_id, paid)
            })
            .collect()
    }
}

/// Below this a task waits for something else than a processor.
const LEAST_PROCESSOR_SHARE: f64 = 0.3;
