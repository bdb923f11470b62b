//! Physical plans cut at their exchanges. Between two exchanges all operators run in one stage; which stage it was is told
//! by the metrics that its tasks updated.

use std::collections::BTreeSet;

use super::stages::StageRun;
use crate::eventlog::app_log::{PlanNode, SqlPlan};

/// Operators between two exchanges.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragment {
    /// Topmost operator.
    pub(super) root: u32,
    /// All operators, the exchanges below (which it reads) included.
    pub(super) nodes: Vec<u32>,
    /// The exchange above, which it writes.
    pub(super) writes: Option<u32>,
    /// The cached dataset whose partitions its rows become: it runs inside the stages that read that, where they must.
    pub(super) cached_as: Option<u32>,
}

/// What an operator is to the cutting of plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boundary {
    /// A shuffle.
    Shuffle,
    /// A broadcast.
    Broadcast,
    /// A cached dataset.
    Cache,
    /// None.
    Inner,
}

/// Whether an operator separates stages.
pub(super) fn boundary(node: &PlanNode) -> Boundary {
    match node.name.as_str() {
        "Exchange" | "ShuffleExchange" => Boundary::Shuffle,
        "BroadcastExchange" => Boundary::Broadcast,
        name if name.starts_with("InMemoryTableScan") => Boundary::Cache,
        _ => Boundary::Inner,
    }
}

/// Cuts a plan.
pub(super) fn fragments(plan: &SqlPlan) -> Vec<Fragment> {
    let mut found = Vec::new();
    let mut roots = if plan.nodes.is_empty() { Vec::new() } else { vec![Fragment::default()] };
    while let Some(mut fragment) = roots.pop() {
        let root = fragment.root;
        let mut stack = vec![root];
        while let Some(at) = stack.pop() {
            fragment.nodes.push(at);
            let node = &plan.nodes[at as usize];
            let kind = boundary(node);
            if kind == Boundary::Inner {
                stack.extend(node.children.iter().rev());
                continue;
            }
            let (writes, cached_as) =
                if kind == Boundary::Cache { (None, Some(at)) } else { (Some(at), None) };
            let below = |&root| Fragment { root, nodes: Vec::new(), writes, cached_as };
            roots.extend(node.children.iter().map(below));
        }
        found.push(fragment);
    }
    found
}

/// The accumulator of a node's metric.
pub(super) fn metric(node: &PlanNode, name: &str) -> Option<u64> {
    node.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.accumulator)
}

/// The fragment whose operators' metrics a stage's tasks updated most; of equals the first. Of those that stages are made of,
/// or of the lineages of cached datasets.
pub(super) fn fragment_of(
    run: &StageRun<'_>,
    plan: &SqlPlan,
    fragments: &[Fragment],
    lineage: bool,
) -> Option<usize> {
    let mut updated = BTreeSet::new();
    for task in run.tasks.iter().flatten().chain(run.failed.iter()) {
        updated.extend(task.accumulators.iter().map(|(id, _)| id));
    }
    let hits = |fragment: &Fragment| {
        let own =
            fragment.nodes.iter().filter(|&&at| boundary(&plan.nodes[at as usize]) != Boundary::Broadcast);
        let written = fragment.writes.iter().filter(|_| run.is_map_stage());
        let names = ["data size", "shuffle bytes written", "shuffle records written", "shuffle write time"];
        let inner: usize = own
            .map(|&at| {
                let node = &plan.nodes[at as usize];
                let is_exchange = boundary(node) == Boundary::Shuffle;
                let metrics = node.metrics.iter();
                metrics
                    .filter(|metric| !is_exchange || !names.contains(&metric.name.as_str()))
                    .filter(|metric| updated.contains(&metric.accumulator))
                    .count()
            })
            .sum();
        let writes: usize = written
            .map(|&at| {
                let metrics = plan.nodes[at as usize].metrics.iter();
                metrics
                    .filter(|metric| names.contains(&metric.name.as_str()))
                    .filter(|metric| updated.contains(&metric.accumulator))
                    .count()
            })
            .sum();
        inner + 2 * writes
    };
    let candidates =
        fragments.iter().enumerate().filter(|(_, fragment)| fragment.cached_as.is_none() != lineage);
    let best = candidates.map(|(index, fragment)| (hits(fragment), index));
    let (hits, index) = best.max_by_key(|&(hits, index)| (hits, std::cmp::Reverse(index)))?;
    (hits > 0).then_some(index)
}
