//! What eviction policies other than Spark's may know: the stages that will read each cached dataset, in order, and what
//! its partitions cost to get back. Stages are numbered in the order of the jobs; the step at hand is the first stage that
//! is not complete, so of jobs that run side by side the earlier one counts.

use super::World;
use crate::conf::EvictionPolicy;
use crate::memory::{DatasetPlan, UsePlan};
use crate::workload::{DatasetIndex, OperatorKind};

impl World<'_> {
    /// The future uses of all datasets of the workload.
    pub(super) fn plan_uses(&self) -> UsePlan {
        let mut plan = UsePlan::default();
        for (index, data) in self.workload.datasets.iter().enumerate() {
            let reads = |stage: usize| {
                self.workload.stages[stage].operators.iter().any(
                    |operator| matches!(operator.kind, OperatorKind::CachedScan { dataset, .. } if dataset == index),
                )
            };
            let steps = self.stages_in_order().enumerate().filter(|&(_, stage)| reads(stage));
            let steps = steps.map(|(step, _)| step as u32).collect();
            plan.set(data.id, DatasetPlan { steps, reload_ns: self.reload_ns(index) });
        }
        plan
    }

    /// Time to get each partition back once it was dropped: from the executor's disk if its level has it there.
    fn reload_ns(&self, dataset: DatasetIndex) -> Vec<u64> {
        let (data, rates) = (&self.workload.datasets[dataset], &self.workload.rates);
        let from_disk = self.storage_level(dataset).use_disk;
        let cost = data.partitions.iter().map(|&partition| {
            let partition = self.scaled(partition);
            let ns = if from_disk {
                partition.disk_bytes as f64 * 1e9 / rates.disk_bytes_per_s
                    + partition.serialized_bytes as f64 * rates.serialize_ns_per_byte
            } else {
                partition.memory_bytes as f64 * data.compute_ns_per_byte
            };
            ns as u64
        });
        cost.collect()
    }

    fn stages_in_order(&self) -> impl Iterator<Item = usize> + '_ {
        self.workload.jobs.iter().flat_map(|job| job.stages.iter().copied())
    }

    /// The step at hand.
    pub(super) fn first_incomplete_step(&self) -> u32 {
        self.stages_in_order().take_while(|&stage| self.stages[stage].complete).count() as u32
    }

    /// Tells all executors how far the application has come. Spark's own order does not ask.
    pub(super) fn advance_uses(&mut self) {
        if self.settings.knobs.eviction_policy == EvictionPolicy::Lru {
            return;
        }
        let step = self.first_incomplete_step();
        self.executors.iter_mut().for_each(|executor| executor.manager.set_step(step));
    }
}
