//! From a plan to stages and jobs: fragments between exchanges become stages again, out of the operators that the log's
//! stages had; what is new (an exchange, a sort, a broadcast table) costs what its like costs in the same stage.
//!
//! A stage that reads what a stage of the log read keeps that stage's tasks; any other gets its tasks when the run is
//! planned.

use std::collections::BTreeMap;

use super::compression::Compression;
use super::relation::Relation;
use super::rounds::{NewPlan, feeding};
use super::settle::unit_ns;
use super::tree::{Edge, Node};
use super::{jobs, rows};
use crate::conf::Settings;
use crate::rng::mix;
use crate::workload::{
    Broadcast, BroadcastIndex, Distribution, Join, KEY_RANGE_UNKNOWN, Keys, Operator, OperatorKind, PerTask,
    Place, Query, Shuffle, ShuffleIndex, ShufflePartitions, Stage, StageIndex, StepIndex, StepKind, Strategy,
    Workload,
};

/// What a new stage is for its query's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Writes a shuffle.
    Map,
    /// Samples the keys of a range exchange.
    Sample,
    /// Collects a table to broadcast.
    Broadcast,
    /// Gives the result.
    Result,
}

/// A new stage and what must be there before it runs.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) stage: Stage,
    pub(super) purpose: Purpose,
    /// Pieces whose shuffles it reads.
    pub(super) reads: Vec<usize>,
    /// Pieces whose jobs end before its job begins: broadcast tables, a sample.
    pub(super) waits: Vec<usize>,
    /// The stage of the log whose end it has.
    pub(super) ends_as: Option<StageIndex>,
}

/// What ends a stage.
pub(super) enum End {
    /// As a stage of the log ended.
    Old(Place),
    /// With a new shuffle.
    Write(ShuffleIndex),
    /// With a new broadcast table.
    Broadcast(BroadcastIndex),
}

/// A shuffle's index and the piece that writes it.
type Written = (ShuffleIndex, usize);

pub(super) struct Restager<'a> {
    pub(super) old: &'a Workload,
    pub(super) query: &'a Query,
    plan: &'a NewPlan,
    pub(super) shuffles: Vec<Shuffle>,
    pub(super) broadcasts: Vec<Broadcast>,
    pub(super) pieces: Vec<Piece>,
    /// By exchange of the log.
    old_exchanges: BTreeMap<StepIndex, Written>,
    new_exchanges: BTreeMap<Edge, Written>,
    builds: BTreeMap<StepIndex, (BroadcastIndex, usize)>,
    compression: Compression<'a>,
    shuffles_assumed: bool,
    built_assumed: bool,
}

/// The workload with one of its queries planned anew.
pub(super) fn restage(
    old: &Workload,
    at: usize,
    plan: &NewPlan,
    settings: &Settings,
    assumed: &mut Vec<String>,
) -> Workload {
    let query = &old.queries[at];
    let mut restager = Restager {
        old,
        query,
        plan,
        shuffles: old.shuffles.clone(),
        broadcasts: old.broadcasts.clone(),
        pieces: Vec::new(),
        old_exchanges: BTreeMap::new(),
        new_exchanges: BTreeMap::new(),
        builds: BTreeMap::new(),
        compression: Compression::new(old, query),
        shuffles_assumed: false,
        built_assumed: false,
    };
    let root = query.steps.len() - 1;
    for (run, place) in query.steps[root].at.iter().enumerate() {
        let last = old.stages[place.stage].operators.len().saturating_sub(1);
        let end = End::Old(Place { stage: place.stage, operator: last });
        restager.stage(&plan.root, run, &end, Purpose::Result);
    }
    if restager.shuffles_assumed {
        assumed.push(
            "a join is done otherwise than in the log: the rows of its new shuffles are taken to compress like those of \
             the query's other shuffles, and their keys to be spread as on those, else evenly"
                .to_owned(),
        );
    }
    if restager.built_assumed {
        assumed.push(
            "a table is broadcast that the log did not broadcast: the keys of tables are taken to be numbered without gaps, \
             which decides over the index of its relation"
                .to_owned(),
        );
    }
    jobs::put_together(restager, at, settings.sql.adaptive.enabled)
}

/// A stage in the making.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) operators: Vec<Operator>,
    /// The operator of the log that each one is.
    pub(super) from: Vec<Option<Place>>,
    reads: Vec<usize>,
    waits: Vec<usize>,
}

impl Draft {
    fn push(&mut self, operator: Operator, from: Option<Place>) -> usize {
        self.operators.push(operator);
        self.from.push(from);
        self.operators.len() - 1
    }
}

impl Restager<'_> {
    fn operator(&self, place: Place) -> &Operator {
        &self.old.stages[place.stage].operators[place.operator]
    }

    /// Where a step ran in run number `run` of the fragment it was in.
    fn place(&self, step: StepIndex, run: usize) -> Option<Place> {
        let at = &self.query.steps[step].at;
        at.get(run).or(at.last()).copied()
    }

    /// How a join is done now.
    pub(super) fn strategy(&self, step: StepIndex) -> Option<Strategy> {
        self.plan.strategies.get(&step).copied()
    }

    fn join_of(&self, step: StepIndex) -> Option<&Join> {
        match &self.query.steps[step].kind {
            StepKind::Join(join) => Some(join),
            _ => None,
        }
    }

    /// Adds the stage whose topmost operator is `top`.
    fn stage(&mut self, top: &Node, run: usize, end: &End, purpose: Purpose) -> usize {
        let mut draft = Draft::default();
        let last = self.operators(top, run, &mut draft);
        let below = &draft.operators[last];
        let (rows, row_bytes) = (PerTask::Total(below.rows.total()), below.row_bytes);
        let (operator, from) = match *end {
            End::Old(place) => (Operator { inputs: vec![last], ..self.operator(place).clone() }, Some(place)),
            End::Write(shuffle) => {
                let row_bytes = self.shuffles[shuffle].record_bytes;
                let bytes =
                    (rows.total() as f64 * row_bytes as f64 * self.shuffles[shuffle].compression) as u64;
                let kind = OperatorKind::ShuffleWrite { shuffle, bytes: PerTask::Total(bytes) };
                (self.new_operator("Exchange (write)", kind, vec![last], rows, row_bytes, &draft), None)
            }
            End::Broadcast(broadcast) => {
                let kind = OperatorKind::Broadcast { broadcast };
                (self.new_operator("BroadcastExchange", kind, vec![last], rows, row_bytes, &draft), None)
            }
        };
        draft.push(operator, from);
        let stage = self.finish(&mut draft, end);
        let ends_as = match end {
            End::Old(place) => Some(place.stage),
            _ => None,
        };
        draft.reads.sort_unstable();
        draft.reads.dedup();
        self.pieces.push(Piece { stage, purpose, reads: draft.reads, waits: draft.waits, ends_as });
        self.pieces.len() - 1
    }

    /// Adds the operators of a node and of all below it in the same stage.
    fn operators(&mut self, node: &Node, run: usize, draft: &mut Draft) -> usize {
        match node {
            Node::Exchange { edge, old, keys, input } => {
                let (shuffle, piece) = self.exchange(*edge, *old, keys, input);
                draft.reads.push(piece);
                self.shuffle_read(shuffle, *edge, run, draft)
            }
            Node::Sort { edge, old, input } => {
                let below = self.operators(input, run, draft);
                let place = old.and_then(|step| self.place(step, run));
                let operator = match place {
                    Some(place) => Operator { inputs: vec![below], ..self.operator(place).clone() },
                    None => {
                        let radix = self.join_of(edge.0).is_some_and(|join| join.radix);
                        let of = &draft.operators[below];
                        let rows = PerTask::Total(of.rows.total());
                        let row_bytes = self.query.steps[feeding(self.query, *edge)].row_bytes;
                        self.new_operator(
                            "Sort",
                            OperatorKind::Sort { radix },
                            vec![below],
                            rows,
                            row_bytes,
                            draft,
                        )
                    }
                };
                draft.push(operator, place)
            }
            // Only joins have it below them, and they do not ask for its rows.
            Node::Build { input, .. } => self.operators(input, run, draft),
            Node::Step { step, inputs } => {
                let strategy = self.strategy(*step);
                let (kind, below) = match (self.join_of(*step).cloned(), strategy) {
                    (Some(join), Some(strategy)) => self.join(*step, &join, strategy, inputs, run, draft),
                    _ => (None, inputs.iter().map(|input| self.operators(input, run, draft)).collect()),
                };
                let place = self.place(*step, run);
                let mut operator = match place {
                    Some(place) => self.with_lineage(place, draft),
                    // Every step that was imported has a place.
                    None => self.new_operator(
                        "",
                        OperatorKind::Pipelined,
                        below.clone(),
                        PerTask::default(),
                        8,
                        draft,
                    ),
                };
                if let Some((name, kind)) = kind {
                    name.clone_into(&mut operator.name);
                    operator.kind = kind;
                }
                if let (StepKind::Clustered { .. }, [Node::Step { .. }]) =
                    (&self.query.steps[*step].kind, &inputs[..])
                {
                    merge_halves(&mut draft.operators[below[0]], &operator);
                }
                operator.inputs = below;
                draft.push(operator, place)
            }
        }
    }

    /// An operator of the log; of a cached scan also what computes the partitions.
    fn with_lineage(&self, place: Place, draft: &mut Draft) -> Operator {
        let mut operator = self.operator(place).clone();
        if let OperatorKind::CachedScan { lineage: Some(top), .. } = &mut operator.kind {
            *top = self.copy(Place { operator: *top, ..place }, draft);
        }
        operator
    }

    /// Copies an operator of the log and all below it in its stage.
    fn copy(&self, place: Place, draft: &mut Draft) -> usize {
        let mut operator = self.operator(place).clone();
        for input in &mut operator.inputs {
            *input = self.copy(Place { operator: *input, ..place }, draft);
        }
        draft.push(operator, Some(place))
    }

    /// What a join becomes, and its inputs in the order in which they are consumed.
    fn join(
        &mut self,
        step: StepIndex,
        join: &Join,
        strategy: Strategy,
        inputs: &[Node],
        run: usize,
        draft: &mut Draft,
    ) -> (Option<(&'static str, OperatorKind)>, Vec<usize>) {
        match strategy {
            Strategy::SortMerge => {
                let below = inputs.iter().map(|input| self.operators(input, run, draft)).collect();
                (Some(("SortMergeJoin", OperatorKind::Pipelined)), below)
            }
            Strategy::Broadcast(side) => {
                let (broadcast, piece) = self.build(step, join, side.input(), &inputs[side.input()]);
                draft.waits.push(piece);
                let streamed = self.operators(&inputs[side.other().input()], run, draft);
                (Some(("BroadcastHashJoin", OperatorKind::BroadcastHashJoin { broadcast })), vec![streamed])
            }
            Strategy::ShuffledHash(side) => {
                let streamed = self.operators(&inputs[side.other().input()], run, draft);
                let build = self.operators(&inputs[side.input()], run, draft);
                let keys = PerTask::Total(draft.operators[build].rows.total());
                let long_key = join.long_key;
                let kind = OperatorKind::ShuffledHashJoin { long_key, keys, key_range: KEY_RANGE_UNKNOWN };
                (Some(("ShuffledHashJoin", kind)), vec![streamed, build])
            }
        }
    }

    /// Adds the stages below an exchange, once.
    fn exchange(&mut self, edge: Edge, old: Option<StepIndex>, keys: &[String], input: &Node) -> Written {
        if let Some(&known) = old.and_then(|step| self.old_exchanges.get(&step)) {
            return known;
        }
        if let Some(&known) = self.new_exchanges.get(&edge) {
            return known;
        }
        let Some(step) = old else {
            self.shuffles_assumed = true;
            let shuffle = self.new_shuffle(edge, keys);
            let piece = self.stage(input, 0, &End::Write(shuffle), Purpose::Map);
            self.new_exchanges.insert(edge, (shuffle, piece));
            return (shuffle, piece);
        };
        let shuffle = match self.query.steps[step].kind {
            StepKind::Exchange { shuffle, .. } => shuffle,
            _ => 0,
        };
        let mut sample = None;
        let mut piece = None;
        for (run, &place) in self.query.steps[step].at.iter().enumerate() {
            let writes = matches!(self.operator(place).kind, OperatorKind::ShuffleWrite { .. });
            let purpose = if writes { Purpose::Map } else { Purpose::Sample };
            let made = self.stage(input, run, &End::Old(place), purpose);
            if writes {
                self.pieces[made].waits.extend(sample);
                piece = Some(made);
            } else {
                sample = Some(made);
            }
        }
        // Something wrote every exchange that was imported.
        let written = (shuffle, piece.or(sample).unwrap_or(0));
        self.old_exchanges.insert(step, written);
        written
    }

    fn new_shuffle(&mut self, edge: Edge, keys: &[String]) -> ShuffleIndex {
        let from = feeding(self.query, edge);
        // The same keys fall alike wherever they are hashed.
        let alike = self.query.steps.iter().find_map(|step| match &step.kind {
            StepKind::Exchange { shuffle, keys: of, .. } if of == keys => {
                Some(&self.old.shuffles[*shuffle].keys)
            }
            _ => None,
        });
        let keys_of = match alike {
            Some(known) => Keys { observed: Vec::new(), ..known.clone() },
            None => {
                let sides = &self.query.steps[edge.0].inputs;
                let least = sides.iter().map(|&side| rows(self.old, self.query, side)).min();
                // No more keys meet than the smaller side has rows.
                let distinct = least.filter(|_| self.join_of(edge.0).is_some()).unwrap_or(0);
                let salt =
                    keys.iter().flat_map(|key| key.bytes()).fold(0, |salt, byte| mix(salt ^ u64::from(byte)));
                Keys { distinct, salt, ..Keys::default() }
            }
        };
        self.shuffles.push(Shuffle {
            name: format!("Exchange hashpartitioning({})", keys.join(", ")),
            partitions: ShufflePartitions::Conf,
            distribution: Distribution::Hash,
            keys: keys_of,
            record_bytes: self.query.steps[from].row_bytes,
            compression: self.compression.of(from),
            // Its bytes are those of one block, until the run is planned.
            blocks: 1,
            map_side_combine: false,
            relocatable: true,
        });
        self.shuffles.len() - 1
    }

    fn shuffle_read(&self, shuffle: ShuffleIndex, edge: Edge, run: usize, draft: &mut Draft) -> usize {
        let reads = |operator: &Operator| matches!(operator.kind, OperatorKind::ShuffleRead { shuffle: read, .. } if read == shuffle);
        // Of several stages that read it, the one in which the step above ran.
        let own = self.place(edge.0, run).map(|place| place.stage);
        let stages = own.into_iter().chain(0..self.old.stages.len());
        let known = stages.into_iter().find_map(|stage| {
            let operator = self.old.stages[stage].operators.iter().position(reads)?;
            Some(Place { stage, operator })
        });
        let operator = match known {
            Some(place) => self.operator(place).clone(),
            None => {
                let rows = PerTask::Total(rows(self.old, self.query, feeding(self.query, edge)));
                let row_bytes = self.shuffles[shuffle].record_bytes;
                let bytes =
                    (rows.total() as f64 * row_bytes as f64 * self.shuffles[shuffle].compression) as u64;
                let kind = OperatorKind::ShuffleRead { shuffle, bytes: PerTask::Total(bytes) };
                self.priced("Exchange (read)", kind, Vec::new(), rows, row_bytes, own)
            }
        };
        draft.push(operator, known)
    }

    /// Adds the stage that collects a table to broadcast, once.
    fn build(&mut self, step: StepIndex, join: &Join, side: usize, node: &Node) -> (BroadcastIndex, usize) {
        if let Some(&known) = self.builds.get(&step) {
            return known;
        }
        let input = match node {
            Node::Build { input, .. } => input,
            other => other,
        };
        if let (Some(broadcast), Strategy::Broadcast(ran)) = (join.broadcast, join.ran)
            && ran.input() == side
        {
            // Several joins may share a table.
            let shared = self.builds.values().find(|(known, _)| *known == broadcast).copied();
            let known = shared.unwrap_or_else(|| {
                let ends = self.old.stages.iter().position(|stage| {
                    let last = stage.operators.last().map(|operator| &operator.kind);
                    matches!(last, Some(OperatorKind::Broadcast { broadcast: built }) if *built == broadcast)
                });
                let end = match ends {
                    Some(stage) => {
                        End::Old(Place { stage, operator: self.old.stages[stage].operators.len() - 1 })
                    }
                    None => End::Broadcast(broadcast),
                };
                (broadcast, self.stage(input, 0, &end, Purpose::Broadcast))
            });
            self.builds.insert(step, known);
            return known;
        }
        let from = feeding(self.query, (step, side));
        let rows = rows(self.old, self.query, from);
        let row_bytes = self.query.steps[from].row_bytes;
        let key_range = self.table_rows(from).map(|rows| rows.saturating_sub(1));
        self.built_assumed = true;
        let broadcast = self.broadcasts.len();
        self.broadcasts.push(Broadcast {
            name: format!("broadcast {broadcast}"),
            rows,
            relation_bytes: Relation { rows, row_bytes, long_key: join.long_key, key_range }.bytes(),
            pieces_bytes: (rows as f64 * row_bytes as f64 * self.compression.of(from)) as u64,
            build_ns: 0,
        });
        let piece = self.stage(input, 0, &End::Broadcast(broadcast), Purpose::Broadcast);
        self.builds.insert(step, (broadcast, piece));
        (broadcast, piece)
    }

    /// Rows of the table that a step's rows come from, where it is one.
    fn table_rows(&self, step: StepIndex) -> Option<u64> {
        let of = &self.query.steps[step];
        match (&of.kind, &of.inputs[..]) {
            (StepKind::Leaf { .. }, _) => Some(rows(self.old, self.query, step)),
            (StepKind::Rows, [below]) => self.table_rows(*below),
            _ => None,
        }
    }

    /// An operator that the log does not have, at the price of its like in the stage of the operators below.
    fn new_operator(
        &self,
        name: &str,
        kind: OperatorKind,
        inputs: Vec<usize>,
        rows: PerTask,
        row_bytes: u64,
        draft: &Draft,
    ) -> Operator {
        let near = draft.from.iter().rev().flatten().next().map(|place| place.stage);
        self.priced(name, kind, inputs, rows, row_bytes, near)
    }

    fn priced(
        &self,
        name: &str,
        kind: OperatorKind,
        inputs: Vec<usize>,
        rows: PerTask,
        row_bytes: u64,
        near: Option<StageIndex>,
    ) -> Operator {
        let unit = near.map_or(0.0, |stage| unit_ns(&self.old.stages[stage]));
        let cpu_ns = PerTask::Total((unit * kind.weight() * rows.total() as f64) as u64);
        Operator {
            name: name.to_owned(),
            kind,
            inputs,
            rows,
            row_bytes,
            cpu_ns,
            heap_bytes: PerTask::default(),
        }
    }
}

/// Both halves of an aggregation in one stage: the lower one gives each group once.
fn merge_halves(lower: &mut Operator, upper: &Operator) {
    let groups = upper.rows.total();
    if matches!(lower.kind, OperatorKind::HashAggregate { .. }) && lower.rows.total() > groups {
        lower.rows = PerTask::Total(groups);
    }
}
