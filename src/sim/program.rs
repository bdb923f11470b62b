//! The order of work inside the tasks of a stage: its operators cut into phases at the points where Spark must see all of
//! its input before the first row comes out (sort, hash aggregation, the build side of a shuffled hash join).
//!
//! A program is built once a stage; what it costs in a given task comes from the plan. Who holds memory in a phase, and in
//! which order operators first ask for it, follows Spark's pull model: the left input of a join is consumed before the
//! right one (ROWBUF-5), the build side of a hash join before the streamed side.

use crate::workload::{BroadcastIndex, DatasetIndex, OperatorKind, Stage};

/// Share of a blocking operator's own work that is done while it takes its input; the rest while it gives rows out.
const BUILD_SHARE: f64 = 0.8;

/// Time to put a row into a cached partition, relative to passing it through ([`OperatorKind::weight`]): encoding a row into
/// column batches takes three times as long as aggregating it (measured, said in `scenario::costs`).
const CACHE_WEIGHT: f64 = 9.0;

/// What a task does, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Instruction {
    /// Makes a broadcast table available on the executor (BCAST-3, BCAST-4).
    Broadcast { operator: usize, broadcast: BroadcastIndex },
    /// Gets a cached partition: from memory, disk, another executor (BLOCK-1), and passes over the next `lineage` instructions;
    /// or else goes on with those, if any, or computes it.
    ReadCached { operator: usize, dataset: DatasetIndex, lineage: usize },
    /// Computes a cached partition from the rows of its lineage and puts it (BLOCK-7), which is `share` of the work.
    Compute { dataset: DatasetIndex, share: f64 },
    /// Rows flow.
    Run(Phase),
    /// `operator` is created: what its constructor allocates, before its inputs are.
    Open { operator: usize },
    /// `operator` has seen all of its input.
    Finish { operator: usize },
    /// The first row of `operator` is asked for, while another input is still to be read: from now on others of the task
    /// can make it spill (SORT-8).
    First { operator: usize },
}

/// A stretch of work in which rows flow from one set of operators into at most one that keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Phase {
    /// Operators whose own work is done here, with the share of it.
    pub(super) work: Vec<(usize, f64)>,
    /// Operators that read bytes here.
    pub(super) reads: Vec<usize>,
    /// The operator that keeps the rows, and the one whose rows they are.
    pub(super) insert: Option<(usize, usize)>,
    /// Operators that give their rows out here.
    pub(super) drain: Vec<usize>,
    /// Operators that go on here with what they began in an earlier phase.
    pub(super) rest: Vec<usize>,
    /// The operator that writes bytes at the end.
    pub(super) write: Option<usize>,
    /// The cached partition that is computed from these rows, with the share of that work which is done here.
    pub(super) computes: Option<(DatasetIndex, f64)>,
}

/// The instructions of a stage's tasks.
pub(super) fn program(stage: &Stage) -> Vec<Instruction> {
    let mut builder = Builder { stage, instructions: Vec::new() };
    if let Some(last) = stage.operators.len().checked_sub(1) {
        let phase = builder.stream(last);
        if phase != Phase::default() {
            builder.instructions.push(Instruction::Run(phase));
        }
    }
    builder.instructions
}

struct Builder<'a> {
    stage: &'a Stage,
    instructions: Vec<Instruction>,
}

impl Builder<'_> {
    /// Adds what must happen before the first row of operator `index` comes out, and returns the phase in which its rows
    /// flow.
    fn stream(&mut self, index: usize) -> Phase {
        let operator = &self.stage.operators[index];
        match &operator.kind {
            OperatorKind::Scan { .. } | OperatorKind::ShuffleRead { .. } => {
                Phase { work: vec![(index, 1.0)], reads: vec![index], ..Phase::default() }
            }
            OperatorKind::CachedScan { dataset, lineage } => {
                let dataset = *dataset;
                let at = self.instructions.len();
                self.instructions.push(Instruction::ReadCached { operator: index, dataset, lineage: 0 });
                if let Some(top) = lineage {
                    let phase = self.stream(*top);
                    let share = self.share_computing(at, &phase, *top, dataset);
                    self.instructions.push(Instruction::Compute { dataset, share });
                    // What the lineage holds it holds until the partition is put.
                    self.instructions.push(Instruction::Run(phase));
                    let lineage = self.instructions.len() - at - 1;
                    self.instructions[at] = Instruction::ReadCached { operator: index, dataset, lineage };
                }
                Phase { work: vec![(index, 1.0)], ..Phase::default() }
            }
            OperatorKind::Pipelined | OperatorKind::Python { .. } => {
                let mut phase = self.inputs(index);
                phase.work.push((index, 1.0));
                phase
            }
            OperatorKind::Broadcast { .. } | OperatorKind::Output { .. } => {
                let mut phase = self.inputs(index);
                phase.work.push((index, 1.0));
                phase.write = Some(index);
                phase
            }
            OperatorKind::BroadcastHashJoin { broadcast } => {
                self.instructions.push(Instruction::Broadcast { operator: index, broadcast: *broadcast });
                let mut phase = self.inputs(index);
                phase.work.push((index, 1.0));
                phase
            }
            OperatorKind::ShuffledHashJoin { .. } => {
                let build = operator.inputs.get(1).copied();
                if let Some(build) = build {
                    self.instructions.push(Instruction::Open { operator: index });
                    let mut phase = self.stream(build);
                    phase.work.push((index, BUILD_SHARE));
                    phase.insert = Some((index, build));
                    self.instructions.push(Instruction::Run(phase));
                    self.instructions.push(Instruction::Finish { operator: index });
                }
                let mut phase =
                    operator.inputs.first().map_or_else(Phase::default, |&input| self.stream(input));
                phase.work.push((index, if build.is_some() { 1.0 - BUILD_SHARE } else { 1.0 }));
                phase.rest.extend(build.map(|_| index));
                phase
            }
            OperatorKind::HashAggregate { .. }
            | OperatorKind::ObjectHashAggregate { .. }
            | OperatorKind::Sort { .. }
            | OperatorKind::Window
            | OperatorKind::ExternalAggregation { .. } => {
                self.instructions.push(Instruction::Open { operator: index });
                let mut phase = self.inputs(index);
                phase.work.push((index, BUILD_SHARE));
                phase.insert = operator.inputs.first().map(|&input| (index, input));
                self.instructions.push(Instruction::Run(phase));
                self.instructions.push(Instruction::Finish { operator: index });
                Phase {
                    work: vec![(index, 1.0 - BUILD_SHARE)],
                    drain: vec![index],
                    rest: vec![index],
                    ..Phase::default()
                }
            }
            OperatorKind::ShuffleWrite { .. } => {
                let mut phase = self.inputs(index);
                phase.work.push((index, 1.0));
                phase.insert = operator.inputs.first().map(|&input| (index, input));
                phase.write = Some(index);
                phase
            }
        }
    }

    /// Shares the work of computing a cached partition out over the phases of its lineage, which are those after instruction
    /// `at`; returns what is left for the rows that come out of `top` in the `last` phase and are put.
    fn share_computing(&mut self, at: usize, last: &Phase, top: usize, dataset: DatasetIndex) -> f64 {
        let operators = &self.stage.operators;
        let rows = |index: usize| {
            let read: u64 = operators[index].inputs.iter().map(|&input| operators[input].rows.total()).sum();
            operators[index].rows.total().max(read) as f64 + 1.0
        };
        let weight = |phase: &Phase| -> f64 {
            phase
                .work
                .iter()
                .map(|&(index, share)| operators[index].kind.weight() * rows(index) * share)
                .sum()
        };
        let put = weight(last) + CACHE_WEIGHT * rows(top);
        let mut before: Vec<(&mut Phase, f64)> = Vec::new();
        // A cached partition below has a lineage of its own, which is passed over where it is found.
        let mut passed = 0;
        for instruction in &mut self.instructions[at + 1..] {
            match instruction {
                _ if passed > 0 => passed -= 1,
                Instruction::ReadCached { lineage, .. } => passed = *lineage,
                Instruction::Run(phase) => {
                    let weight = weight(phase);
                    before.push((phase, weight));
                }
                _ => {}
            }
        }
        let all = put + before.iter().map(|(_, weight)| weight).sum::<f64>();
        for (phase, weight) in before {
            phase.computes = Some((dataset, weight / all));
        }
        put / all
    }

    /// The phase in which the rows of all inputs of `index` flow together.
    fn inputs(&mut self, index: usize) -> Phase {
        let inputs = self.stage.operators[index].inputs.clone();
        let mut merged = Phase::default();
        let last = inputs.len().saturating_sub(1);
        for (position, input) in inputs.into_iter().enumerate() {
            let phase = self.stream(input);
            if position < last {
                let first = phase.drain.iter().map(|&operator| Instruction::First { operator });
                self.instructions.extend(first);
            }
            merged.work.extend(phase.work);
            merged.reads.extend(phase.reads);
            merged.drain.extend(phase.drain);
            merged.rest.extend(phase.rest);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Operator, Partitioning, PerTask};

    fn operator(kind: OperatorKind, inputs: &[usize]) -> Operator {
        Operator {
            name: String::new(),
            kind,
            inputs: inputs.to_vec(),
            rows: PerTask::default(),
            row_bytes: 16,
            cpu_ns: PerTask::default(),
            heap_bytes: PerTask::default(),
        }
    }

    fn stage(operators: Vec<Operator>) -> Stage {
        Stage {
            id: 0,
            name: String::new(),
            parents: Vec::new(),
            partitioning: Partitioning::Fixed(1),
            operators,
            result_bytes: PerTask::default(),
            launch_ns: PerTask::default(),
            allocated_bytes: PerTask::default(),
            background_threads: 0.0,
            warm_up_ns: 0,
            compile_ns: 0,
        }
    }

    #[test]
    fn a_sort_merge_join_sorts_left_then_right_then_merges_both() {
        let read = |shuffle| OperatorKind::ShuffleRead { shuffle, bytes: PerTask::default() };
        let operators = vec![
            operator(read(0), &[]),
            operator(OperatorKind::Sort { radix: true }, &[0]),
            operator(read(1), &[]),
            operator(OperatorKind::Sort { radix: true }, &[2]),
            operator(OperatorKind::Pipelined, &[1, 3]),
            operator(OperatorKind::ShuffleWrite { shuffle: 2, bytes: PerTask::default() }, &[4]),
        ];
        let instructions = program(&stage(operators));
        assert_eq!(instructions[0], Instruction::Open { operator: 1 });
        let Instruction::Run(left) = &instructions[1] else { panic!("{instructions:?}") };
        assert_eq!((left.insert, left.reads.as_slice()), (Some((1, 0)), [0].as_slice()));
        assert_eq!(instructions[2], Instruction::Finish { operator: 1 });
        assert_eq!(instructions[3], Instruction::First { operator: 1 });
        assert_eq!(instructions[4], Instruction::Open { operator: 3 });
        let Instruction::Run(right) = &instructions[5] else { panic!("{instructions:?}") };
        assert_eq!(right.insert, Some((3, 2)));
        let Instruction::Run(merge) = &instructions[7] else { panic!("{instructions:?}") };
        assert_eq!(
            (merge.drain.as_slice(), merge.insert, merge.write),
            ([1, 3].as_slice(), Some((5, 4)), Some(5))
        );
        assert_eq!(instructions.len(), 8);
    }

    #[test]
    fn each_operator_begins_its_work_once() {
        let read = |shuffle| OperatorKind::ShuffleRead { shuffle, bytes: PerTask::default() };
        let join = OperatorKind::ShuffledHashJoin { long_key: true, keys: PerTask::default(), key_range: 0 };
        let operators = vec![
            operator(read(0), &[]),
            operator(read(1), &[]),
            operator(join, &[0, 1]),
            operator(OperatorKind::Sort { radix: true }, &[2]),
            operator(OperatorKind::Pipelined, &[3]),
        ];
        let count = operators.len();
        let instructions = program(&stage(operators));
        let begins = |of: usize| {
            let phases = instructions.iter().filter_map(|instruction| match instruction {
                Instruction::Run(phase) => Some(phase),
                _ => None,
            });
            phases
                .filter(|phase| phase.work.iter().any(|&(op, _)| op == of) && !phase.rest.contains(&of))
                .count()
        };
        assert!((0..count).all(|operator| begins(operator) == 1), "{instructions:?}");
    }

    fn rows(operator: Operator) -> Operator {
        Operator { rows: PerTask::Total(1_000), ..operator }
    }

    fn read() -> OperatorKind {
        OperatorKind::ShuffleRead { shuffle: 0, bytes: PerTask::default() }
    }

    fn aggregate() -> OperatorKind {
        let (fast_map, dense_keys, variable_rows) = (false, false, false);
        OperatorKind::HashAggregate { key_value_bytes: 16, fast_map, dense_keys, variable_rows }
    }

    #[test]
    fn a_cached_aggregation_is_built_before_its_partition_is_put() {
        let cached = OperatorKind::CachedScan { dataset: 3, lineage: Some(1) };
        let operators =
            vec![rows(operator(read(), &[])), rows(operator(aggregate(), &[0])), operator(cached, &[])];
        let instructions = program(&stage(operators));
        let [
            Instruction::ReadCached { lineage: 5, .. },
            Instruction::Open { .. },
            Instruction::Run(build),
            Instruction::Finish { .. },
            Instruction::Compute { dataset: 3, share },
            Instruction::Run(out),
            Instruction::Run(_),
        ] = &instructions[..]
        else {
            panic!("{instructions:?}")
        };
        // Reading weighs 2, aggregating 3 of which a fifth is left for the rows that come out, putting 9.
        let (computed, built) = build.computes.expect("time of the cached partition");
        assert_eq!((computed, out.computes, out.drain.as_slice()), (3, None, [1].as_slice()));
        assert!((built - 4.4 / 14.0).abs() < 1e-9 && (built + share - 1.0).abs() < 1e-9, "{built} {share}");
    }

    #[test]
    fn a_lineage_within_a_lineage_is_not_paid_for_twice() {
        let operators = vec![
            rows(operator(read(), &[])),
            rows(operator(aggregate(), &[0])),
            rows(operator(OperatorKind::CachedScan { dataset: 3, lineage: Some(1) }, &[])),
            rows(operator(OperatorKind::CachedScan { dataset: 4, lineage: Some(2) }, &[])),
        ];
        let instructions = program(&stage(operators));
        let shares = |of: DatasetIndex| -> f64 {
            let share = |instruction: &Instruction| match instruction {
                Instruction::Run(phase) => {
                    phase.computes.filter(|(dataset, _)| *dataset == of).map(|(_, share)| share)
                }
                Instruction::Compute { dataset, share } => (*dataset == of).then_some(*share),
                _ => None,
            };
            instructions.iter().filter_map(share).sum()
        };
        assert!((shares(3) - 1.0).abs() < 1e-9 && (shares(4) - 1.0).abs() < 1e-9, "{instructions:?}");
        let Some(Instruction::ReadCached { dataset: 4, lineage, .. }) = instructions.first() else {
            panic!("{instructions:?}")
        };
        let Some(Instruction::ReadCached { dataset: 3, lineage: within, .. }) = instructions.get(1) else {
            panic!("{instructions:?}")
        };
        assert!(within < lineage);
    }
}
