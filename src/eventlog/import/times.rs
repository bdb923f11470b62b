//! Time and garbage of a stage's tasks, less what the simulation adds by itself: collection, spills, waiting for a
//! processor, caches and disks. The results of tasks are here too, since they tell of tasks that left no event.

use std::collections::BTreeMap;

use super::builder::Builder;
use super::stages::{StageRun, waits_ns};
use crate::conf::Collector;
use crate::eventlog::app_log::JobResult;
use crate::host::{TaskHeap, pauses};
use crate::sim::host_collector;
use crate::workload::PerTask;

impl Builder<'_> {
    /// Results of the tasks. The ones that break `spark.driver.maxResultSize` leave no event; the job's failure tells their
    /// number and sum with the others (COLL-2).
    pub(super) fn result_bytes(&self, run: &StageRun<'_>) -> PerTask {
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

    /// Threads of each executor that must have wanted a processor when tasks had one only for `share` of their time. The
    /// machine is taken to have as many processors as the executors have cores.
    pub(super) fn background_threads(&self, run: &StageRun<'_>, share: f64) -> f64 {
        let executors = self.log.executors.iter().filter_map(|executor| executor.cores);
        let (count, cores) = executors.fold((0u32, 0u32), |(count, cores), c| (count + 1, cores + c));
        let running = f64::from(cores.min(run.tasks.len() as u32));
        ((f64::from(cores) / share - running) / f64::from(count.max(1))).max(0.0)
            * f64::from(u8::from(share < 1.0))
    }

    /// Time of each task's own work: without collection, spilling, waiting for a processor, and what the simulation adds
    /// for caches and disks.
    pub(super) fn own_time(&self, at: usize, dataset: Option<usize>, share: f64) -> PerTask {
        let run = &self.runs[at];
        let rates = &self.rates;
        let explained = self.warm_ups[at].waits_explained;
        let interpreted = self.interpreted(at);
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
            let worked = (run_ns - metrics.totals.gc_ms as f64 * 1e6 - waits_ns(metrics) * explained) * share;
            let slower = interpreted.get(&task.task_id).copied().unwrap_or(0.0);
            let own = worked - slower - spill_ns - io_ns - compute_ns as f64;
            // Estimates of what to take away may exceed what there is; some work always remains.
            const LEAST_SHARE: f64 = 0.05;
            own.max(run_ns * LEAST_SHARE) as u64
        })
    }

    /// Time around the run of each task, less what the simulation adds for the first tasks in a JVM.
    pub(super) fn launch_time(&self, run: &StageRun<'_>) -> PerTask {
        run.each(|task, metrics| {
            let around = task.finish_ms.saturating_sub(task.launch_ms).saturating_sub(metrics.totals.run_ms);
            let added = self.launch_added.get(&task.task_id).copied().unwrap_or(0);
            (around * 1_000_000).saturating_sub(added)
        })
    }

    /// Bytes that the tasks must have allocated for the collection time they report.
    pub(super) fn allocated(&self, run: &StageRun<'_>, own: &PerTask) -> PerTask {
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
        let arrays = peaks / count * together as u64;
        let process = if self.settings.master.is_local() {
            self.settings.driver.collector
        } else {
            self.settings.executor.collector
        };
        let collector = host_collector(process.unwrap_or(Collector::G1));
        let objects = self.rates.heap_base_bytes;
        let task_heap = TaskHeap { heap, objects, arrays, ..TaskHeap::default() };
        let bytes = pause_ns / pauses(collector, task_heap).ns_per_byte;
        let total = own.total().max(1) as f64;
        match own {
            PerTask::Total(_) => PerTask::Total(bytes as u64),
            PerTask::Each(values) => {
                PerTask::Each(values.iter().map(|&ns| (bytes * ns as f64 / total) as u64).collect())
            }
        }
    }
}

/// Tasks and bytes in Spark's words `Total size of serialized results of 4 tasks (21.3 MiB) is bigger than ...`.
pub(super) fn results_too_large(reason: &str) -> Option<(u64, u64)> {
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
