//! What a new stage has as a whole: its tasks, results and allocation, and the prices of its operators.

use super::restage::{Draft, End, Restager};
use crate::workload::{
    JoinKind, Operator, OperatorKind, Partitioning, PerTask, Place, ShuffleIndex, Side, Stage, StageIndex,
    StepKind, Strategy, may_split,
};

impl Restager<'_> {
    /// Settles what the whole stage has: its tasks, and what is counted by the stage.
    pub(super) fn finish(&self, draft: &mut Draft, end: &End) -> Stage {
        let layout = self.layout(draft);
        for (operator, from) in draft.operators.iter_mut().zip(&draft.from) {
            if layout.is_none() || from.map(|place| place.stage) != layout {
                in_total(operator);
            }
        }
        let near = layout.or_else(|| draft.from.iter().flatten().next().map(|place| place.stage));
        let model = near.map(|stage| &self.old.stages[stage]);
        let ended = match end {
            End::Old(place) => Some(&self.old.stages[place.stage]),
            _ => None,
        };
        let partitioning = match (layout, model) {
            (Some(stage), _) => self.old.stages[stage].partitioning.clone(),
            (None, model) => self.partitioning(draft, model),
        };
        let result_bytes = match (end, ended) {
            (_, Some(stage)) => stage.result_bytes.clone(),
            (End::Broadcast(broadcast), None) => PerTask::Total(self.broadcasts[*broadcast].pieces_bytes),
            (_, None) => self.map_results(),
        };
        let allocated: f64 = draft
            .operators
            .iter()
            .zip(&draft.from)
            .map(|(operator, from)| {
                let of = from.map(|place| &self.old.stages[place.stage]).or(model);
                of.map_or(0.0, |stage| operator.cpu_ns.total() as f64 * allocation_rate(stage))
            })
            .sum();
        let same = near.zip(layout).is_some_and(|(near, _)| {
            let stage = &self.old.stages[near];
            stage.operators.len() == draft.operators.len()
                && draft.from.iter().all(|from| from.map(|p| p.stage) == Some(near))
        });
        let allocated_bytes = match model.filter(|_| same) {
            Some(stage) => stage.allocated_bytes.clone(),
            None => PerTask::Total(allocated as u64),
        };
        Stage {
            id: ended.map_or_else(|| self.new_id(), |stage| stage.id),
            name: ended.or(model).map(|stage| stage.name.clone()).unwrap_or_default(),
            parents: Vec::new(),
            partitioning,
            operators: std::mem::take(&mut draft.operators),
            result_bytes,
            launch_ns: model.map(|stage| stage.launch_ns.clone()).unwrap_or_default(),
            allocated_bytes,
            background_threads: model.map_or(0.0, |stage| stage.background_threads),
            warm_up_ns: model.map_or(0, |stage| stage.warm_up_ns),
            compile_ns: model.map_or(0, |stage| stage.compile_ns),
        }
    }

    fn new_id(&self) -> u32 {
        let old = self.old.stages.iter().map(|stage| stage.id);
        old.chain(self.pieces.iter().map(|piece| piece.stage.id))
            .max()
            .map_or(0, |most| most.saturating_add(1))
    }

    /// The stage of the log that read just what this one reads.
    fn layout(&self, draft: &Draft) -> Option<StageIndex> {
        let leaf = |operator: &Operator, place: Option<Place>| match operator.kind {
            OperatorKind::ShuffleRead { shuffle, .. } => Some((None, shuffle)),
            _ if operator.inputs.is_empty() => place.map(|place| (Some(place.stage), place.operator)),
            _ => None,
        };
        let mut wanted: Vec<_> = draft
            .operators
            .iter()
            .zip(&draft.from)
            .filter_map(|(operator, place)| leaf(operator, *place))
            .collect();
        wanted.sort_unstable();
        draft.from.iter().rev().flatten().map(|place| place.stage).find(|&stage| {
            let operators = self.old.stages[stage].operators.iter().enumerate();
            let mut read: Vec<_> = operators
                .filter_map(|(at, operator)| leaf(operator, Some(Place { stage, operator: at })))
                .collect();
            read.sort_unstable();
            read == wanted
        })
    }

    /// What decides the tasks of a stage that reads as none of the log did.
    fn partitioning(&self, draft: &Draft, model: Option<&Stage>) -> Partitioning {
        let shuffles: Vec<ShuffleIndex> =
            draft.operators.iter().filter_map(|operator| operator.kind.shuffle_read()).collect();
        if !shuffles.is_empty() {
            let may_split = may_split(&draft.operators, |at| self.join_kind(draft.from[at]?));
            return Partitioning::Shuffle { shuffles, tasks: 0, may_split, local: false };
        }
        match model.map(|stage| &stage.partitioning) {
            Some(Partitioning::Shuffle { .. }) | None => Partitioning::Fixed(1),
            Some(other) => other.clone(),
        }
    }

    /// The kind of the join at a place of the log, and whether its new stage consumes the right side first.
    fn join_kind(&self, place: Place) -> Option<(JoinKind, bool)> {
        self.query.steps.iter().enumerate().find_map(|(index, step)| match &step.kind {
            StepKind::Join(join) if step.at.contains(&place) => {
                Some((join.kind, self.strategy(index) == Some(Strategy::ShuffledHash(Side::Left))))
            }
            _ => None,
        })
    }

    /// The result of a task that writes a shuffle.
    fn map_results(&self) -> PerTask {
        let maps =
            self.query.steps.iter().flat_map(|step| &step.at).map(|place| &self.old.stages[place.stage]);
        let mut writing = maps.filter(|stage| {
            matches!(stage.operators.last().map(|last| &last.kind), Some(OperatorKind::ShuffleWrite { .. }))
        });
        writing.next().map(|stage| stage.result_bytes.clone()).unwrap_or_default()
    }
}

/// Time of one row in an operator of weight 1 of a stage, ns.
pub(super) fn unit_ns(stage: &Stage) -> f64 {
    let (mut ns, mut work) = (0.0, 0.0);
    for operator in &stage.operators {
        let input: u64 = operator.inputs.iter().map(|&input| stage.operators[input].rows.total()).sum();
        ns += operator.cpu_ns.total() as f64;
        work += operator.kind.weight() * operator.rows.total().max(input) as f64;
    }
    if work > 0.0 { ns / work } else { 0.0 }
}

/// Bytes that a stage allocates in a nanosecond of work.
fn allocation_rate(stage: &Stage) -> f64 {
    let ns: u64 = stage.operators.iter().map(|operator| operator.cpu_ns.total()).sum();
    stage.allocated_bytes.total() as f64 / ns.max(1) as f64
}

/// Values a task mean nothing under other tasks.
fn in_total(operator: &mut Operator) {
    let total = |amount: &mut PerTask| *amount = PerTask::Total(amount.total());
    total(&mut operator.rows);
    total(&mut operator.cpu_ns);
    total(&mut operator.heap_bytes);
    match &mut operator.kind {
        OperatorKind::Scan { bytes }
        | OperatorKind::ShuffleRead { bytes, .. }
        | OperatorKind::ShuffleWrite { bytes, .. }
        | OperatorKind::Output { bytes } => total(bytes),
        OperatorKind::ShuffledHashJoin { keys, .. } => total(keys),
        _ => {}
    }
}
