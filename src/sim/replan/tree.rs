//! Exchanges and sorts where operators need them: `EnsureRequirements` of Spark 4.1 over a query whose joins are chosen.
//!
//! A join that shuffles needs both sides hashed by all of its keys, in their order; an aggregation or window needs rows
//! hashed by some of its keys. What an operator gives on is tracked by columns that are equal (after an inner join the keys
//! of both sides). Where nothing below changed, exchanges stand as they stood in the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::workload::{Join, JoinKind, OperatorKind, Query, Side, StepIndex, StepKind, Strategy, Workload};

/// A place where an exchange may stand: below input number `.1` of step `.0`. An exchange that stands for itself (by the
/// user, or for a global sort) is at input 0 of its own step.
pub(super) type Edge = (StepIndex, usize);

/// A plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// An operator.
    Step { step: StepIndex, inputs: Vec<Node> },
    /// A shuffle; `old`: the exchange of the log that it is.
    Exchange { edge: Edge, old: Option<StepIndex>, keys: Vec<String>, input: Box<Node> },
    /// The sort of a join's side; `old`: the sort of the log that it is.
    Sort { edge: Edge, old: Option<StepIndex>, input: Box<Node> },
    /// The broadcast of a join's side.
    Build { join: StepIndex, input: Box<Node> },
}

/// How rows lie in partitions.
#[derive(Clone, Debug, PartialEq)]
enum Hashed {
    Unknown,
    /// By these columns; each position names columns that are equal.
    By(Vec<BTreeSet<String>>),
}

impl Hashed {
    fn by(keys: &[String]) -> Self {
        Self::By(keys.iter().map(|key| BTreeSet::from([key.clone()])).collect())
    }

    /// Rows of equal `keys` are in one partition.
    fn clusters(&self, keys: &[String]) -> bool {
        match self {
            Self::Unknown => false,
            Self::By(columns) => columns.iter().all(|equal| keys.iter().any(|key| equal.contains(key))),
        }
    }

    /// Exactly these keys, in this order, decided.
    fn joins(&self, keys: &[String]) -> bool {
        match self {
            Self::Unknown => false,
            Self::By(columns) => {
                columns.len() == keys.len()
                    && columns.iter().zip(keys).all(|(equal, key)| equal.contains(key))
            }
        }
    }
}

/// A plan with what it gives.
struct Physical {
    node: Node,
    hashed: Hashed,
    /// Columns by which each partition is sorted.
    order: Vec<BTreeSet<String>>,
    /// A join below gave these rows sorted in the log, and does not now.
    unsorted: bool,
    /// Down to the exchanges below it is as in the log.
    same: bool,
}

/// Puts exchanges and sorts into a query.
pub(super) struct Planner<'a> {
    pub(super) workload: &'a Workload,
    pub(super) query: &'a Query,
    pub(super) strategies: &'a BTreeMap<StepIndex, Strategy>,
    /// Exchanges that are written already: they stay whatever is planned above.
    pub(super) written: &'a BTreeSet<Edge>,
}

impl Planner<'_> {
    /// The plan of the whole query.
    pub(super) fn plan(&self) -> Option<Node> {
        Some(self.step(self.query.steps.len().checked_sub(1)?).node)
    }

    fn step(&self, index: StepIndex) -> Physical {
        let step = &self.query.steps[index];
        match &step.kind {
            StepKind::Join(join) if step.inputs.len() == 2 => self.join(index, join),
            StepKind::Clustered { keys } => self.clustered(index, keys),
            StepKind::Exchange { keys, .. } => {
                let input = Box::new(self.step(step.inputs[0]).node);
                let hashed = if keys.is_empty() { Hashed::Unknown } else { Hashed::by(keys) };
                let node = Node::Exchange { edge: (index, 0), old: Some(index), keys: keys.clone(), input };
                Physical { node, hashed, order: Vec::new(), unsorted: false, same: true }
            }
            kind => {
                let mut inputs: Vec<Physical> = step.inputs.iter().map(|&input| self.step(input)).collect();
                if let [only] = &mut inputs[..] {
                    sort_for(index, &step.order, only);
                }
                let same = inputs.iter().all(|input| input.same);
                let unsorted = matches!(kind, StepKind::Rows) && inputs.iter().any(|input| input.unsorted);
                let (hashed, mut order) = match &inputs[..] {
                    [only] => (only.hashed.clone(), only.order.clone()),
                    _ => (Hashed::Unknown, Vec::new()),
                };
                if let StepKind::Sort { keys } = kind {
                    order = keys.iter().map(|key| BTreeSet::from([key.clone()])).collect();
                }
                let inputs = inputs.into_iter().map(|input| input.node).collect();
                Physical { node: Node::Step { step: index, inputs }, hashed, order, unsorted, same }
            }
        }
    }

    /// What feeds input `input` of a step, without the sort and the exchange that stood there for the step's sake.
    fn below(&self, edge: Edge) -> (StepIndex, Option<StepIndex>, Option<StepIndex>) {
        let steps = &self.query.steps;
        let mut at = steps[edge.0].inputs[edge.1];
        let mut sort = None;
        if let (StepKind::Join(_), StepKind::Sort { .. }) = (&steps[edge.0].kind, &steps[at].kind) {
            sort = Some(at);
            at = steps[at].inputs[0];
        }
        match &steps[at].kind {
            StepKind::Exchange { required: true, keys, .. } if !keys.is_empty() => {
                (steps[at].inputs[0], Some(at), sort)
            }
            _ => (at, None, sort),
        }
    }

    fn exchange(&self, edge: Edge, old: Option<StepIndex>, keys: &[String], input: Node) -> Physical {
        let keys = match old.map(|step| &self.query.steps[step].kind) {
            Some(StepKind::Exchange { keys, .. }) => keys.clone(),
            _ => keys.to_vec(),
        };
        let hashed = Hashed::by(&keys);
        let node = Node::Exchange { edge, old, keys, input: Box::new(input) };
        Physical { node, hashed, order: Vec::new(), unsorted: false, same: old.is_some() }
    }

    fn clustered(&self, index: StepIndex, keys: &[String]) -> Physical {
        let edge = (index, 0);
        let (below, old, _) = self.below(edge);
        let input = self.step(below);
        let needed = if input.same { old.is_some() } else { !input.hashed.clusters(keys) };
        let input = if needed || self.written.contains(&edge) {
            self.exchange(edge, old, keys, input.node)
        } else {
            Physical { same: input.same && old.is_none(), ..input }
        };
        let mut input = input;
        let order = &self.query.steps[index].order;
        if !self.is_sort(index) {
            sort_for(index, order, &mut input);
        } else if !input.same && !order.is_empty() && is_sorted(&input.order, order) {
            return input;
        }
        let node = Node::Step { step: index, inputs: vec![input.node] };
        let order = order.iter().map(|key| BTreeSet::from([key.clone()])).collect();
        Physical { node, hashed: input.hashed, order, unsorted: false, same: input.same }
    }

    /// Whether a step only sorts its rows for the aggregation or window above.
    fn is_sort(&self, index: StepIndex) -> bool {
        let kind = |stage: usize, operator: usize| &self.workload.stages[stage].operators[operator].kind;
        let first = self.query.steps[index].at.first();
        first.is_some_and(|at| matches!(kind(at.stage, at.operator), OperatorKind::Sort { .. }))
    }

    fn join(&self, index: StepIndex, join: &Join) -> Physical {
        let strategy = self.strategies.get(&index).copied().unwrap_or(join.ran);
        let keys = [&join.left_keys, &join.right_keys];
        let mut sides = Vec::new();
        for side in [Side::Left, Side::Right] {
            let edge = (index, side.input());
            let (below, old, old_sort) = self.below(edge);
            let input = self.step(below);
            let as_ran = input.same && strategy == join.ran;
            let wanted = match strategy {
                Strategy::Broadcast(_) => as_ran && old.is_some(),
                _ if as_ran => old.is_some(),
                _ => !input.hashed.joins(keys[side.input()]),
            };
            let mut input = if wanted || self.written.contains(&edge) {
                self.exchange(edge, old, keys[side.input()], input.node)
            } else {
                Physical { same: input.same && old.is_none(), ..input }
            };
            match strategy {
                Strategy::SortMerge => {
                    let wanted = if as_ran {
                        old_sort.is_some()
                    } else {
                        !is_sorted(&input.order, keys[side.input()])
                    };
                    if wanted {
                        let keys = keys[side.input()].iter().map(|key| BTreeSet::from([key.clone()]));
                        input.order = keys.collect();
                        input.node = Node::Sort { edge, old: old_sort, input: Box::new(input.node) };
                    }
                }
                Strategy::Broadcast(build) if build == side => {
                    input.node = Node::Build { join: index, input: Box::new(input.node) };
                }
                Strategy::Broadcast(_) | Strategy::ShuffledHash(_) => {}
            }
            sides.push(input);
        }
        let same = strategy == join.ran && sides.iter().all(|side| side.same);
        let hashed = hashed_by(strategy, join, &sides);
        let order = match strategy {
            Strategy::SortMerge if join.kind == JoinKind::FullOuter => Vec::new(),
            Strategy::SortMerge if join.kind == JoinKind::RightOuter => sides[1].order.clone(),
            Strategy::SortMerge => with_equals(join, sides[0].order.clone()),
            Strategy::Broadcast(build) | Strategy::ShuffledHash(build) => {
                with_equals(join, sides[build.other().input()].order.clone())
            }
        };
        // A hash join keeps the order of the side that streams through, or its lack of one.
        let unsorted_below = match strategy {
            Strategy::Broadcast(build) | Strategy::ShuffledHash(build) => {
                sides[build.other().input()].unsorted
            }
            Strategy::SortMerge => false,
        };
        let inputs = sides.into_iter().map(|side| side.node).collect();
        let unsorted = unsorted_below || (join.ran == Strategy::SortMerge && strategy != join.ran);
        Physical { node: Node::Step { step: index, inputs }, hashed, order, unsorted, same }
    }
}

/// Sorts the input of a step that needs it so, where a join that is done otherwise no longer does.
fn sort_for(index: StepIndex, order: &[String], input: &mut Physical) {
    if order.is_empty() || !input.unsorted || is_sorted(&input.order, order) {
        return;
    }
    let below = std::mem::replace(&mut input.node, Node::Step { step: index, inputs: Vec::new() });
    input.node = Node::Sort { edge: (index, 0), old: None, input: Box::new(below) };
    input.order = order.iter().map(|key| BTreeSet::from([key.clone()])).collect();
    input.unsorted = false;
}

fn is_sorted(order: &[BTreeSet<String>], keys: &[String]) -> bool {
    order.len() >= keys.len() && order.iter().zip(keys).all(|(equal, key)| equal.contains(key))
}

/// How the rows of a join lie.
fn hashed_by(strategy: Strategy, join: &Join, sides: &[Physical]) -> Hashed {
    let kept = match (strategy, join.kind) {
        (Strategy::Broadcast(build), _) => &sides[build.other().input()].hashed,
        (_, JoinKind::FullOuter) => return Hashed::Unknown,
        (_, JoinKind::RightOuter) => &sides[1].hashed,
        _ => &sides[0].hashed,
    };
    match kept {
        Hashed::By(columns) => Hashed::By(with_equals(join, columns.clone())),
        Hashed::Unknown => Hashed::Unknown,
    }
}

/// After an inner join a column equals its partner.
fn with_equals(join: &Join, mut columns: Vec<BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    if join.kind == JoinKind::Inner {
        for equal in &mut columns {
            for (left, right) in join.left_keys.iter().zip(&join.right_keys) {
                if equal.contains(left) {
                    equal.insert(right.clone());
                } else if equal.contains(right) {
                    equal.insert(left.clone());
                }
            }
        }
    }
    columns
}

impl Node {
    /// The nodes right below.
    pub(super) fn inputs(&self) -> &[Node] {
        match self {
            Self::Step { inputs, .. } => inputs,
            Self::Exchange { input, .. } | Self::Sort { input, .. } | Self::Build { input, .. } => {
                std::slice::from_ref(input)
            }
        }
    }

    /// This node and all below.
    pub(super) fn all(&self) -> Vec<&Node> {
        let mut found = vec![self];
        let mut at = 0;
        while at < found.len() {
            let node = found[at];
            found.extend(node.inputs());
            at += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Step;

    /// A sorted join, and an aggregation of its rows that needs them in the order of its key.
    fn sorted_groups() -> Query {
        let keys = vec!["k#1".to_owned()];
        let join = Join {
            kind: JoinKind::LeftOuter,
            left_keys: keys.clone(),
            right_keys: vec!["j#2".to_owned()],
            planned: Strategy::SortMerge,
            ran: Strategy::SortMerge,
            hint: false,
            radix: true,
            long_key: true,
            broadcast: None,
        };
        let step = |kind, inputs| Step { kind, inputs, ..Step::default() };
        let leaf = || step(StepKind::Leaf { estimated_bytes: None }, Vec::new());
        let exchange =
            |keys, below| step(StepKind::Exchange { shuffle: 0, keys, required: true }, vec![below]);
        let sort = |keys, below| step(StepKind::Sort { keys }, vec![below]);
        let mut steps = vec![
            leaf(),
            exchange(keys.clone(), 0),
            sort(keys.clone(), 1),
            leaf(),
            exchange(join.right_keys.clone(), 3),
            sort(join.right_keys.clone(), 4),
            step(StepKind::Join(join), vec![2, 5]),
        ];
        steps.push(Step { order: keys.clone(), ..step(StepKind::Rows, vec![6]) });
        steps.push(Step { order: keys.clone(), ..step(StepKind::Clustered { keys }, vec![7]) });
        Query { steps, ..Query::default() }
    }

    #[test]
    fn what_a_sorted_join_gave_in_order_is_sorted_once_when_it_is_hashed() {
        let query = sorted_groups();
        for (strategy, expected) in [
            (Strategy::SortMerge, vec![(6, 0), (6, 1)]),
            (Strategy::ShuffledHash(Side::Left), vec![(7, 0)]),
            (Strategy::Broadcast(Side::Right), vec![(7, 0)]),
        ] {
            let strategies = BTreeMap::from([(6, strategy)]);
            let (workload, written) = (Workload::default(), BTreeSet::new());
            let planner =
                Planner { workload: &workload, query: &query, strategies: &strategies, written: &written };
            let root = planner.plan().expect("a plan");
            let mut sorts: Vec<Edge> = Vec::new();
            for node in root.all() {
                if let Node::Sort { edge, .. } = node {
                    sorts.push(*edge);
                }
            }
            sorts.sort_unstable();
            assert_eq!(sorts, expected, "{strategy:?}");
        }
    }
}
