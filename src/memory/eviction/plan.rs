//! What is known of the future: the steps in which each RDD is read, and what it costs to get a block back.

use std::collections::BTreeMap;

use super::BlockUse;
use crate::memory::BlockId;

/// The future of one RDD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetPlan {
    /// The steps that read it, ascending. A step is a stage, numbered in the order in which stages run; each reads every
    /// partition once, in their order.
    pub steps: Vec<u32>,
    /// Time to compute a partition again, or to read it back from disk, ns, by partition.
    pub reload_ns: Vec<u64>,
}

/// The future uses of all RDDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsePlan {
    datasets: BTreeMap<u32, DatasetPlan>,
}

impl UsePlan {
    /// Sets the plan of an RDD.
    pub fn set(&mut self, rdd: u32, mut plan: DatasetPlan) {
        plan.steps.sort_unstable();
        plan.steps.dedup();
        self.datasets.insert(rdd, plan);
    }
}

/// A plan and how far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The plan.
    pub plan: &'a UsePlan,
    /// The first step that is not complete.
    pub step: u32,
}

impl<'a> Moment<'a> {
    /// The steps from now on that read an RDD; none of an unknown one.
    pub fn steps_of(&self, rdd: u32) -> &'a [u32] {
        let Some(dataset) = self.plan.datasets.get(&rdd) else { return &[] };
        let past = dataset.steps.partition_point(|&step| step < self.step);
        &dataset.steps[past..]
    }

    /// The steps from now on that read a block: the step at hand is not among them once it has used the block. `None`
    /// for blocks of no RDD.
    pub fn uses_of(&self, block: &BlockUse) -> Option<&'a [u32]> {
        let steps = self.steps_of(block.block.rdd()?);
        let used_now = block.step == self.step && steps.first() == Some(&self.step);
        Some(if used_now { &steps[1..] } else { steps })
    }

    /// Time to get a block back, ns; 0 when the plan does not say.
    pub fn reload_ns(&self, block: BlockId) -> u64 {
        let BlockId::Rdd { rdd, split } = block else { return 0 };
        let dataset = self.plan.datasets.get(&rdd);
        dataset.and_then(|dataset| dataset.reload_ns.get(split as usize)).copied().unwrap_or(0)
    }
}
