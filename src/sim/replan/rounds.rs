//! A query from its first plan to its last: adaptive execution writes all shuffles that it can, looks at their sizes, and
//! plans the rest again, until nothing is left to write.
//!
//! Shuffles that are ready at the same time are taken to be written together, as they are when they are submitted
//! together; a join is chosen again once everything that was ready is written.

use std::collections::{BTreeMap, BTreeSet};

use super::Sizes;
use super::choice::{broadcast_side, planned, smaller_side};
use super::compression::Compression;
use super::tree::{Edge, Node, Planner};
use crate::conf::Settings;
use crate::sim::adaptive::Written;
use crate::sim::plan::partitions;
use crate::workload::{
    Join, JoinSettings, OperatorKind, PerTask, Query, Side, StepIndex, StepKind, Strategy, Workload,
};

/// A query as it runs under other settings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NewPlan {
    /// Its operators with exchanges and sorts.
    pub(super) root: Node,
    /// How each join is done.
    pub(super) strategies: BTreeMap<StepIndex, Strategy>,
    /// What was assumed.
    pub(super) assumed: Vec<String>,
}

/// Plans a query anew; `None` when every join is done as in the log, with the same exchanges.
pub(super) fn plan(
    workload: &Workload,
    query: &Query,
    settings: &Settings,
    now: JoinSettings,
) -> Option<NewPlan> {
    let sizes = Sizes { workload, query, scale: settings.knobs.data_scale };
    let mut assumed = Vec::new();
    let joins: Vec<(StepIndex, &Join)> = query
        .steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| match &step.kind {
            StepKind::Join(join) => Some((index, join)),
            _ => None,
        })
        .collect();
    let mut strategies: BTreeMap<StepIndex, Strategy> =
        joins.iter().map(|&(index, join)| (index, planned(index, join, &sizes, now, &mut assumed))).collect();
    let mut written = BTreeSet::new();
    if now.adaptive {
        let mut fixed = BTreeSet::new();
        loop {
            let root = Planner { workload, query, strategies: &strategies, written: &written }.plan()?;
            let ready = ready(&root, &written);
            if ready.is_empty() {
                break;
            }
            for (edge, below) in ready {
                written.insert(edge);
                fixed.extend(below);
            }
            let bytes = |step, side| {
                written.contains(&(step, side)).then(|| sizes.shuffled(feeding(query, (step, side))))
            };
            for &(index, join) in joins.iter().filter(|(index, _)| !fixed.contains(index)) {
                if join.hint || matches!(strategies[&index], Strategy::Broadcast(_)) {
                    continue;
                }
                let fits = |side: Side| {
                    let size = sizes.at_run_time_side(index, side, &bytes)?;
                    let limit = if written.contains(&(index, side.input())) {
                        now.adaptive_broadcast_threshold
                    } else {
                        now.broadcast_threshold
                    };
                    let full = !mostly_empty(&sizes, &written, (index, side.input()), settings);
                    (full && limit.is_some_and(|limit| size <= limit)).then_some(size)
                };
                let hashed = |side: Side| {
                    let edge = (index, side.input());
                    let limit = now.local_map_threshold.filter(|_| join.kind.may_hash(side))?;
                    let small = written.contains(&edge) && largest_partition(&sizes, edge, settings) <= limit;
                    sizes.at_run_time_side(index, side, &bytes).filter(|_| small)
                };
                if let Some(side) = broadcast_side(join, fits) {
                    strategies.insert(index, Strategy::Broadcast(side));
                } else if let Some(side) = smaller_side(hashed) {
                    strategies.insert(index, Strategy::ShuffledHash(side));
                }
            }
        }
    }
    let root = Planner { workload, query, strategies: &strategies, written: &written }.plan()?;
    let as_ran = joins.iter().all(|(index, join)| strategies[index] == join.ran);
    if as_ran && exchanges(&root) == exchanges_of_log(query) {
        return None;
    }
    Some(NewPlan { root, strategies, assumed })
}

impl Sizes<'_> {
    /// The size of a join's side when the rest of the query is planned.
    fn at_run_time_side(
        &self,
        join: StepIndex,
        side: Side,
        written: &dyn Fn(StepIndex, usize) -> Option<u64>,
    ) -> Option<u64> {
        // Sizes of relations that nothing was read of are those that the join was planned with: too large, or it would be
        // a broadcast already.
        let rests_on_shuffle = |step| self.rests_on_written(step, written);
        let input = *self.query.steps[join].inputs.get(side.input())?;
        if written(join, side.input()).is_none() && !rests_on_shuffle(input) {
            return None;
        }
        self.side(join, side.input(), written)
    }

    fn rests_on_written(&self, step: StepIndex, written: &dyn Fn(StepIndex, usize) -> Option<u64>) -> bool {
        let of = &self.query.steps[step];
        (0..of.inputs.len()).any(|input| written(step, input).is_some())
            || of.inputs.iter().any(|&input| self.rests_on_written(input, written))
    }
}

/// The exchanges of a plan that the log has; `None` among them where there is a new one.
fn exchanges(root: &Node) -> BTreeSet<Option<StepIndex>> {
    let all = root.all().into_iter();
    all.filter_map(|node| match node {
        Node::Exchange { old, .. } => Some(*old),
        _ => None,
    })
    .collect()
}

fn exchanges_of_log(query: &Query) -> BTreeSet<Option<StepIndex>> {
    let steps = query.steps.iter().enumerate();
    steps.filter(|(_, step)| matches!(step.kind, StepKind::Exchange { .. })).map(|(at, _)| Some(at)).collect()
}

/// The step whose rows go through the exchange at an edge.
pub(super) fn feeding(query: &Query, edge: Edge) -> StepIndex {
    let mut at = if matches!(query.steps[edge.0].kind, StepKind::Exchange { .. }) {
        edge.0
    } else {
        query.steps[edge.0].inputs[edge.1]
    };
    while let StepKind::Sort { .. } | StepKind::Exchange { .. } = query.steps[at].kind {
        at = query.steps[at].inputs[0];
    }
    at
}

/// The exchanges that can be written next, each with the joins below it.
fn ready(root: &Node, written: &BTreeSet<Edge>) -> Vec<(Edge, Vec<StepIndex>)> {
    let open = |node: &&Node| matches!(node, Node::Exchange { edge, .. } if !written.contains(edge));
    root.all()
        .into_iter()
        .filter(open)
        .filter_map(|node| {
            let Node::Exchange { edge, input, .. } = node else { return None };
            let below = input.all();
            let joins = below.iter().filter_map(|node| match node {
                Node::Step { step, .. } => Some(*step),
                _ => None,
            });
            let joins = joins.collect();
            (!below.iter().any(open)).then_some((*edge, joins))
        })
        .collect()
}

/// A shuffle most of whose partitions are empty is not broadcast (`DynamicJoinSelection`).
fn mostly_empty(sizes: &Sizes<'_>, written: &BTreeSet<Edge>, edge: Edge, settings: &Settings) -> bool {
    /// `spark.sql.adaptive.nonEmptyPartitionRatioForBroadcastJoin`.
    const LEAST_FILLED: f64 = 0.2;
    if !written.contains(&edge) {
        return false;
    }
    let rows = super::rows(sizes.workload, sizes.query, feeding(sizes.query, edge)) as f64 * sizes.scale;
    let partitions = f64::from(settings.sql.adaptive.initial_partition_num.max(1));
    // Rows fall into partitions by the hash of their keys; with all keys different, so many stay empty.
    let filled = 1.0 - (-rows / partitions).exp();
    rows > 0.0 && filled < LEAST_FILLED
}

/// Bytes of the largest partition that is written at a join's edge, as its map statuses report them.
fn largest_partition(sizes: &Sizes<'_>, edge: Edge, settings: &Settings) -> u64 {
    let (workload, query) = (sizes.workload, sizes.query);
    let from = feeding(query, edge);
    let rows = super::rows(workload, query, from) as f64 * sizes.scale;
    let mut at = query.steps[edge.0].inputs[edge.1];
    while let StepKind::Sort { .. } = query.steps[at].kind {
        at = query.steps[at].inputs[0];
    }
    let written = match query.steps[at].kind {
        StepKind::Exchange { shuffle, .. } => {
            let writers = query.steps[at]
                .at
                .iter()
                .map(|place| &workload.stages[place.stage].operators[place.operator].kind);
            let bytes = writers.into_iter().find_map(|kind| match kind {
                OperatorKind::ShuffleWrite { bytes, .. } => Some(bytes),
                _ => None,
            });
            bytes.map(|bytes| (shuffle, bytes))
        }
        _ => None,
    };
    let of = match written {
        Some((index, written)) => {
            let shuffle = &workload.shuffles[index];
            let bytes = written.total() as f64 * sizes.scale;
            let shares = shuffle.keys.shares(partitions(shuffle, settings, rows as u64) as usize);
            let total = written.total().max(1) as f64;
            let maps = match written {
                PerTask::Each(all) => all.iter().map(|&of_map| of_map as f64 / total).collect(),
                PerTask::Total(_) => vec![1.0],
            };
            let partitions = shares.into_iter().map(|share| share * bytes).collect();
            Written { shuffle: index, partitions, rows_per_byte: rows / bytes.max(1.0), maps }
        }
        None => {
            // Of a shuffle that the log does not have, the keys are taken to fall evenly.
            let bytes = sizes.shuffled(from) as f64 * Compression::new(workload, query).of(from);
            let count = settings.sql.adaptive.initial_partition_num.max(1);
            let partitions = vec![bytes / f64::from(count)];
            Written { shuffle: 0, partitions, rows_per_byte: rows / bytes.max(1.0), maps: vec![1.0] }
        }
    };
    of.reported().into_iter().max().unwrap_or(0)
}
