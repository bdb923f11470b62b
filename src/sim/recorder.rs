//! Sums of task metrics, and the causes of lost time that a run ends with.

use super::World;
use crate::record::{Cause, Confidence, DatasetRecord, EventKind, EventRecord, Metrics};
use crate::units::{HumanBytes, HumanDuration, SimDuration};

/// Task time lost to what memory, skew and scheduling cost, ns.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost {
    pub(super) spill_ns: u64,
    pub(super) spills: u64,
    pub(super) gc_ns: u64,
    pub(super) wait_ns: u64,
    pub(super) recompute_ns: u64,
    pub(super) cache_read_ns: u64,
    pub(super) drop_ns: u64,
}

/// Adds a task's metrics to a sum.
pub(super) fn add(sum: &mut Metrics, task: &Metrics) {
    sum.tasks += task.tasks;
    sum.failed_tasks += task.failed_tasks;
    sum.memory_bytes_spilled += task.memory_bytes_spilled;
    sum.disk_bytes_spilled += task.disk_bytes_spilled;
    sum.peak_execution_memory_max = sum.peak_execution_memory_max.max(task.peak_execution_memory_max);
    sum.peak_execution_memory_sum += task.peak_execution_memory_sum;
    if let Some(gc) = task.jvm_gc_time_ns {
        sum.jvm_gc_time_ns = Some(sum.jvm_gc_time_ns.unwrap_or(0) + gc);
    }
    sum.executor_run_time_ns += task.executor_run_time_ns;
    sum.executor_cpu_time_ns += task.executor_cpu_time_ns;
    sum.shuffle_read_bytes += task.shuffle_read_bytes;
    sum.shuffle_read_records += task.shuffle_read_records;
    sum.shuffle_write_bytes += task.shuffle_write_bytes;
    sum.shuffle_write_records += task.shuffle_write_records;
    sum.input_bytes += task.input_bytes;
    sum.output_bytes += task.output_bytes;
    sum.result_bytes += task.result_bytes;
    sum.memory_wait_time_ns += task.memory_wait_time_ns;
}

impl World<'_> {
    /// Records a memory event, when the run keeps them.
    pub(super) fn event(
        &mut self,
        kind: EventKind,
        executor: Option<usize>,
        task_id: Option<u64>,
        bytes: u64,
        detail: &str,
    ) {
        if self.options.details {
            self.record.events.push(EventRecord {
                time_ns: self.queue.now().0,
                executor: executor.map(|index| index as u32),
                task_id,
                kind,
                bytes,
                detail: detail.to_owned(),
            });
        }
    }

    /// Closes the record: datasets, peaks, causes.
    pub(super) fn close_record(&mut self) {
        self.record.engine_events = self.queue.served();
        self.record.stages = self
            .stage_order
            .iter()
            .map(|&stage| self.stages[stage].record.clone())
            .chain(self.failed_attempts.drain(..))
            .collect();
        self.record.stages.sort_by_key(|stage| (stage.submitted_ns, stage.stage_id, stage.attempt));
        self.record.executors = self.executors.iter().map(|executor| executor.record.clone()).collect();
        let totals = &mut self.record.totals;
        for executor in &self.executors {
            let peaks = &executor.record.metrics;
            totals.peak_on_heap_execution = totals.peak_on_heap_execution.max(peaks.peak_on_heap_execution);
            totals.peak_on_heap_storage = totals.peak_on_heap_storage.max(peaks.peak_on_heap_storage);
            totals.peak_off_heap_execution =
                totals.peak_off_heap_execution.max(peaks.peak_off_heap_execution);
            totals.peak_off_heap_storage = totals.peak_off_heap_storage.max(peaks.peak_off_heap_storage);
            totals.peak_heap_used = totals.peak_heap_used.max(peaks.peak_heap_used);
            totals.peak_rss = totals.peak_rss.max(peaks.peak_rss);
        }
        self.close_datasets();
        self.record.causes = self.causes();
        self.record.confidence =
            Confidence { grade: "mechanistic".to_owned(), assumed: Vec::new(), replay: Vec::new() };
    }

    fn close_datasets(&mut self) {
        let datasets: Vec<DatasetRecord> =
            (0..self.datasets.len()).map(|index| self.dataset_record(index)).collect();
        let totals = &mut self.record.totals;
        totals.cached_blocks_memory = Some(datasets.iter().map(|d| u64::from(d.in_memory)).sum());
        totals.cached_blocks_disk = Some(datasets.iter().map(|d| u64::from(d.on_disk)).sum());
        totals.blocks_dropped = Some(datasets.iter().map(|d| d.dropped).sum());
        totals.blocks_recomputed = Some(datasets.iter().map(|d| d.recomputed).sum());
        self.record.datasets = datasets;
    }

    fn dataset_record(&self, index: usize) -> DatasetRecord {
        let (data, state) = (&self.workload.datasets[index], &self.datasets[index]);
        let mut record = DatasetRecord {
            id: data.id,
            name: data.name.clone(),
            storage_level: self.storage_level(index).to_string(),
            partitions: data.partitions.len() as u32,
            memory_hits: state.memory_hits,
            disk_hits: state.disk_hits,
            remote_hits: state.remote_hits,
            misses: state.misses,
            dropped: state.dropped,
            recomputed: state.computed.iter().map(|&times| u64::from(times.saturating_sub(1))).sum(),
            ..DatasetRecord::default()
        };
        for executor in self.executors.iter().filter(|executor| executor.alive) {
            for (block, found) in executor.manager.store().blocks_of_rdd(data.id) {
                if let Some(entry) = found.entry {
                    record.in_memory += 1;
                    record.memory_bytes += entry.size;
                }
                if found.on_disk {
                    record.on_disk += 1;
                    let crate::memory::BlockId::Rdd { split, .. } = block else { continue };
                    record.disk_bytes += data.partitions.get(split as usize).map_or(0, |p| p.disk_bytes);
                }
            }
        }
        record
    }

    /// Where task time went that another configuration could save, largest first.
    fn causes(&self) -> Vec<Cause> {
        let totals = &self.record.totals;
        let run = totals.executor_run_time_ns.max(1);
        let share = |ns: u64| {
            format!(
                "{} of task time ({:.0} %)",
                HumanDuration(SimDuration(ns)),
                ns as f64 / run as f64 * 100.0
            )
        };
        let mut causes = vec![
            Cause {
                kind: "spill",
                lost_ns: self.lost.spill_ns,
                text: format!(
                    "spilling: {} in memory, {} on disk in {} spills cost {}",
                    HumanBytes(totals.memory_bytes_spilled),
                    HumanBytes(totals.disk_bytes_spilled),
                    self.lost.spills,
                    share(self.lost.spill_ns)
                ),
            },
            Cause {
                kind: "garbage collection",
                lost_ns: self.lost.gc_ns,
                text: format!("garbage collection: {}", share(self.lost.gc_ns)),
            },
            Cause {
                kind: "memory wait",
                lost_ns: self.lost.wait_ns,
                text: format!("waiting for a share of execution memory: {}", share(self.lost.wait_ns)),
            },
            Cause {
                kind: "recomputation",
                lost_ns: self.lost.recompute_ns,
                text: format!(
                    "computing {} cached partitions again after eviction: {}",
                    totals.blocks_recomputed.unwrap_or(0),
                    share(self.lost.recompute_ns)
                ),
            },
            Cause {
                kind: "cache on disk",
                lost_ns: self.lost.cache_read_ns + self.lost.drop_ns,
                text: format!(
                    "cached blocks going to disk and back: {}",
                    share(self.lost.cache_read_ns + self.lost.drop_ns)
                ),
            },
        ];
        if let Some(cause) = self.skew() {
            causes.push(cause);
        }
        causes.retain(|cause| cause.lost_ns > 0);
        causes.sort_by(|a, b| b.lost_ns.cmp(&a.lost_ns).then(a.kind.cmp(b.kind)));
        causes
    }

    /// The stage that waits longest for its last tasks: wall time beyond an even spread over all slots.
    fn skew(&self) -> Option<Cause> {
        let slots: u64 = self.executors.iter().filter(|e| e.alive).map(|e| u64::from(e.record.cores)).sum();
        let worst = self.stage_order.iter().map(|&stage| {
            let state = &self.stages[stage];
            let wall = state.record.completed_ns.saturating_sub(state.record.submitted_ns);
            let usable = slots.min(state.record.metrics.tasks).max(1);
            (wall.saturating_sub(state.busy_ns / usable.max(1)), stage, usable)
        });
        let (idle, stage, usable) =
            worst.max_by_key(|(idle, stage, _)| (*idle, std::cmp::Reverse(*stage)))?;
        let state = &self.stages[stage];
        let mean = state.busy_ns / state.record.metrics.tasks.max(1);
        let lost = idle * (usable - 1);
        (lost > 0).then(|| Cause {
            kind: "skew",
            lost_ns: lost,
            text: format!(
                "uneven tasks: stage {} waits {} for its last task; the longest took {}, the mean {}",
                state.record.stage_id,
                HumanDuration(SimDuration(idle)),
                HumanDuration(SimDuration(state.longest_ns)),
                HumanDuration(SimDuration(mean)),
            ),
        })
    }
}
