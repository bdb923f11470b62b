//! Sums of task metrics, and the causes of lost time that a run ends with.

use super::World;
use crate::memory::MemoryMode;
use crate::record::{Cause, Confidence, DatasetRecord, EventKind, EventRecord};
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
    /// Waits of growing tasks for pages that are written out.
    pub(super) swap_out_ns: u64,
    /// Waits of growing tasks for the kernel to kill somebody.
    pub(super) kill_wait_ns: u64,
    /// Sleeps of growing tasks above `memory.high` of their container.
    pub(super) held_back_ns: u64,
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
        self.record.ample_memory = MemoryMode::ALL.map(|mode| {
            self.executors.iter().map(|executor| executor.manager.ample(mode)).max().unwrap_or(0)
        });
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
        self.close_limits();
        self.record.causes = self.causes();
        // Sizes are exact or mechanistic, but every run also tells times, and times are fitted.
        self.record.confidence = Confidence { grade: "calibrated".to_owned(), ..Confidence::default() };
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
                    let partition = data.partitions.get(split as usize).copied().unwrap_or_default();
                    record.disk_bytes += self.scaled(partition).disk_bytes;
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
        causes.push(Cause {
            kind: "memory.high",
            lost_ns: self.lost.held_back_ns,
            text: format!("held back above memory.high of the container: {}", share(self.lost.held_back_ns)),
        });
        causes.push(Cause {
            kind: "full host",
            lost_ns: self.lost.kill_wait_ns,
            text: format!(
                "waiting for the kernel to end a process where memory and swap are full: {}",
                share(self.lost.kill_wait_ns)
            ),
        });
        causes.push(self.swapping(share));
        causes.push(self.starting());
        causes.extend(self.skew());
        causes.retain(|cause| cause.lost_ns > 0);
        causes.sort_by(|a, b| b.lost_ns.cmp(&a.lost_ns).then(a.kind.cmp(b.kind)));
        causes
    }

    /// What tasks waited for pages in swap.
    fn swapping(&self, share: impl Fn(u64) -> String) -> Cause {
        let read: f64 = self.executors.iter().map(|executor| executor.swap_ns).sum();
        let lost_ns = read as u64 + self.lost.swap_out_ns;
        let text = format!("waiting for pages to come from swap and go there: {}", share(lost_ns));
        Cause { kind: "swap", lost_ns, text }
    }

    /// What tasks held their slots for beside running: being sent, unpacked, started and reported.
    fn starting(&self) -> Cause {
        let totals = &self.record.totals;
        let held: u64 = self.stages.iter().map(|stage| stage.busy_ns).sum();
        let lost = held.saturating_sub(totals.executor_run_time_ns);
        let text = format!(
            "starting and ending {} {}: {} beside their run time ({:.0} % of what they hold their slots for), {} each",
            totals.tasks,
            if totals.tasks == 1 { "task" } else { "tasks" },
            HumanDuration(SimDuration(lost)),
            lost as f64 / held.max(1) as f64 * 100.0,
            HumanDuration(SimDuration(lost / totals.tasks.max(1)))
        );
        Cause { kind: "task overhead", lost_ns: lost, text }
    }

    /// The stage that its longest task holds up most.
    fn skew(&self) -> Option<Cause> {
        let cpus = self.settings.task.cpus.max(1);
        let alive = self.executors.iter().filter(|executor| executor.alive);
        let slots: u64 = alive.map(|executor| u64::from(executor.record.cores / cpus)).sum();
        let spans = self.stage_order.iter().filter(|&&stage| self.stages[stage].complete).map(|&stage| {
            let state = &self.stages[stage];
            let span = StageSpan {
                wall_ns: state.record.completed_ns.saturating_sub(state.record.submitted_ns),
                busy_ns: state.busy_ns,
                longest_ns: state.longest_ns,
                tasks: state.record.metrics.tasks,
                slots,
            };
            (span, state.record.stage_id)
        });
        let (span, stage) = spans.max_by_key(|(span, id)| (span.idle_ns(), std::cmp::Reverse(*id)))?;
        let human = |ns: u64| HumanDuration(SimDuration(ns));
        Some(Cause {
            kind: "skew",
            lost_ns: span.idle_ns(),
            text: format!(
                "uneven tasks: stage {stage} ends {} later than with even ones, while {} of slots are idle; its longest \
                 task takes {}, the mean {}",
                human(span.late_ns()),
                human(span.idle_ns()),
                human(span.longest_ns),
                human(span.mean_ns()),
            ),
        })
    }
}

/// How a stage used its time.
#[derive(Clone, Copy, Debug)]
struct StageSpan {
    /// From its submission to its end.
    wall_ns: u64,
    /// Durations of its tasks together, and of the longest.
    busy_ns: u64,
    longest_ns: u64,
    tasks: u64,
    /// Slots of all executors.
    slots: u64,
}

impl StageSpan {
    fn mean_ns(self) -> u64 {
        self.busy_ns / self.tasks.max(1)
    }

    /// Slots that the stage can use at once.
    fn usable(self) -> u64 {
        self.slots.min(self.tasks).max(1)
    }

    /// How much later the stage ends than if its tasks were even: never more than the longest task is longer than the mean,
    /// since waiting behind another stage's tasks is no unevenness, and never more than what its slots did not work, since a
    /// long task that starts early holds nobody up.
    fn late_ns(self) -> u64 {
        let unused = self.wall_ns.saturating_sub(self.busy_ns / self.usable());
        unused.min(self.longest_ns.saturating_sub(self.mean_ns()))
    }

    /// Slot time that goes unused meanwhile.
    fn idle_ns(self) -> u64 {
        self.late_ns() * (self.usable() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four slots; durations in seconds.
    fn late(wall_ns: u64, tasks: &[u64]) -> u64 {
        let busy_ns = tasks.iter().sum();
        let longest_ns = tasks.iter().copied().max().unwrap_or(0);
        StageSpan { wall_ns, busy_ns, longest_ns, tasks: tasks.len() as u64, slots: 4 }.late_ns()
    }

    #[test]
    fn only_a_longer_task_makes_a_stage_late() {
        assert_eq!(late(10, &[10, 10, 10, 10]), 0);
        assert_eq!(late(10, &[10, 2, 2, 2]), 6);
        // One task more than slots: a second wave, but of even tasks.
        assert_eq!(late(20, &[10, 10, 10, 10, 10]), 0);
    }

    #[test]
    fn waiting_behind_another_stage_is_not_unevenness() {
        assert_eq!(late(110, &[10, 10, 10, 10]), 0);
        assert_eq!(late(110, &[10, 2, 2, 2]), 6);
    }

    #[test]
    fn a_long_task_that_starts_early_holds_nobody_up() {
        assert_eq!(late(8, &[8, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 4]), 0);
    }

    #[test]
    fn one_task_leaves_no_slot_of_its_stage_idle() {
        let span = StageSpan { wall_ns: 10, busy_ns: 10, longest_ns: 10, tasks: 1, slots: 4 };
        assert_eq!(span.idle_ns(), 0);
    }
}
