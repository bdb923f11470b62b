//! A stage under construction: operators are pushed one after the other, each fed by the one before.

use super::costs;
use super::distribution::{Class, expected_distinct};
use crate::workload::{
    Distribution, JoinKind, Keys, Operator, OperatorKind, Partitioning, PerTask, Shuffle, ShuffleIndex,
    ShufflePartitions, Stage, StageIndex, may_split,
};

/// A stage whose end is open.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) parents: Vec<StageIndex>,
    partitioning: Partitioning,
    operators: Vec<Operator>,
    /// Tasks under the scenario's own configuration.
    pub(super) tasks: u32,
    /// Rows that come out so far.
    pub(super) rows: u64,
    /// Bytes of one of them.
    pub(super) row_bytes: u64,
    allocated: u64,
}

/// What cuts two stages.
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) partitions: ShufflePartitions,
    pub(super) distribution: Distribution,
    pub(super) keys: Keys,
    pub(super) compression: f64,
}

impl Exchange {
    /// By hash, into as many partitions as the configuration says.
    pub(super) fn hash(name: &str, keys: Keys, compression: f64) -> Self {
        let partitions = ShufflePartitions::Conf;
        Self { name: name.to_owned(), partitions, distribution: Distribution::Hash, keys, compression }
    }
}

impl Draft {
    pub(super) fn new(partitioning: Partitioning, tasks: u32) -> Self {
        let operators = Vec::new();
        Self { parents: Vec::new(), partitioning, operators, tasks, rows: 0, row_bytes: 0, allocated: 0 }
    }

    /// A stage that reads what `parents` write.
    pub(super) fn after(parents: Vec<StageIndex>, partitioning: Partitioning, tasks: u32) -> Self {
        let mut draft = Self::new(partitioning, tasks);
        draft.parents = parents;
        draft
    }

    /// Bytes of all rows that come out so far.
    pub(super) fn bytes(&self) -> u64 {
        self.rows.saturating_mul(self.row_bytes)
    }

    /// Position of the last operator.
    pub(super) fn last(&self) -> usize {
        self.operators.len() - 1
    }

    /// Adds an operator that the last one feeds.
    pub(super) fn push(&mut self, name: &str, kind: OperatorKind, rows: u64, row_bytes: u64, cpu_ns: f64) {
        let inputs = self.operators.len().checked_sub(1).into_iter().collect();
        self.push_after(name, kind, inputs, rows, row_bytes, cpu_ns);
    }

    /// Adds an operator that `inputs` feed.
    pub(super) fn push_after(
        &mut self,
        name: &str,
        kind: OperatorKind,
        inputs: Vec<usize>,
        rows: u64,
        row_bytes: u64,
        cpu_ns: f64,
    ) {
        (self.rows, self.row_bytes) = (rows, row_bytes);
        // Each operator copies the rows that leave it, once.
        self.allocated = self.allocated.saturating_add(self.bytes());
        self.operators.push(Operator {
            name: name.to_owned(),
            kind,
            inputs,
            rows: PerTask::Total(rows),
            row_bytes,
            cpu_ns: PerTask::Total(cpu_ns as u64),
            heap_bytes: PerTask::default(),
        });
    }

    /// The last operator holds `bytes` of plain heap in all its tasks, each as much as it has of the work.
    pub(super) fn holds(&mut self, bytes: u64) {
        if bytes > 0
            && let Some(operator) = self.operators.last_mut()
        {
            operator.heap_bytes = PerTask::Total(bytes);
        }
    }

    pub(super) fn pipelined(
        &mut self,
        name: &str,
        rows: u64,
        row_bytes: u64,
        ns_per_row: Option<f64>,
        heap: u64,
    ) {
        let cpu_ns = self.rows as f64 * ns_per_row.unwrap_or(costs::PIPELINED_NS_PER_ROW);
        self.push(name, OperatorKind::Pipelined, rows, row_bytes, cpu_ns);
        let heap_bytes = match self.partitioning {
            Partitioning::Fixed(tasks) => PerTask::Each(vec![heap; tasks as usize]),
            _ => PerTask::Total(heap.saturating_mul(u64::from(self.tasks))),
        };
        if heap > 0
            && let Some(operator) = self.operators.last_mut()
        {
            operator.heap_bytes = heap_bytes;
        }
    }

    pub(super) fn sort(&mut self, radix: bool, ns_per_row: Option<f64>) {
        let (rows, row_bytes) = (self.rows, self.row_bytes);
        let cpu_ns = rows as f64 * ns_per_row.unwrap_or(costs::SORT_NS_PER_ROW);
        self.push("Sort", OperatorKind::Sort { radix }, rows, row_bytes, cpu_ns);
    }

    /// Ends the stage with the write of a shuffle and says what it is.
    pub(super) fn write(&mut self, shuffle: ShuffleIndex, exchange: Exchange) -> Shuffle {
        let (rows, row_bytes) = (self.rows, self.row_bytes);
        // The serializer of rows puts a length of 4 bytes in front of each.
        let record_bytes = row_bytes.saturating_add(4);
        let serialized = rows as f64 * record_bytes as f64;
        let bytes = PerTask::Total((serialized * exchange.compression) as u64);
        let cpu_ns =
            rows as f64 * costs::EXCHANGE_WRITE_NS_PER_ROW + serialized * costs::EXCHANGE_WRITE_NS_PER_BYTE;
        self.push("Exchange", OperatorKind::ShuffleWrite { shuffle, bytes }, rows, row_bytes, cpu_ns);
        Shuffle {
            name: exchange.name,
            partitions: exchange.partitions,
            distribution: exchange.distribution,
            keys: exchange.keys,
            record_bytes,
            compression: exchange.compression,
            map_side_combine: false,
            blocks: 0,
            relocatable: true,
        }
    }

    /// Adds the read of a shuffle; nothing of this stage feeds it.
    pub(super) fn read(&mut self, written: &Shuffle, shuffle: ShuffleIndex, rows: u64, row_bytes: u64) {
        let serialized = rows as f64 * written.record_bytes as f64;
        let bytes = PerTask::Total((serialized * written.compression) as u64);
        let cpu_ns =
            rows as f64 * costs::EXCHANGE_READ_NS_PER_ROW + serialized * costs::EXCHANGE_READ_NS_PER_BYTE;
        let kind = OperatorKind::ShuffleRead { shuffle, bytes };
        self.push_after("ShuffleRead", kind, Vec::new(), rows, row_bytes, cpu_ns);
    }

    /// Adds the operator that ends the stage.
    pub(super) fn end(&mut self, name: &str, kind: OperatorKind, cpu_ns: f64) {
        let (rows, row_bytes) = (self.rows, self.row_bytes);
        self.push(name, kind, rows, row_bytes, cpu_ns);
    }

    /// Rows that leave a combining of equal keys within each task.
    pub(super) fn combined_rows(&self, classes: &[Class]) -> u64 {
        let tasks = f64::from(self.tasks);
        let combined = expected_distinct(classes, self.rows as f64 / tasks) * tasks;
        (combined.round() as u64).clamp(1, self.rows.max(1))
    }

    /// Changes what comes out of the last operator.
    pub(super) fn set_rows(&mut self, rows: u64, row_bytes: u64) {
        (self.rows, self.row_bytes) = (rows, row_bytes);
        if let Some(operator) = self.operators.last_mut() {
            (operator.rows, operator.row_bytes) = (PerTask::Total(rows), row_bytes);
        }
    }

    /// Says which task has how many of the last operator's rows.
    pub(super) fn set_rows_each(&mut self, rows: PerTask) {
        if let Some(operator) = self.operators.last_mut() {
            operator.rows = rows;
        }
    }

    /// Plain heap that the last operator holds in the whole stage.
    pub(super) fn set_heap(&mut self, bytes: u64) {
        if let Some(operator) = self.operators.last_mut() {
            operator.heap_bytes = PerTask::Total(bytes);
        }
    }

    /// Work that the last operator does besides.
    pub(super) fn add_cpu(&mut self, ns: f64) {
        if let Some(operator) = self.operators.last_mut() {
            operator.cpu_ns = PerTask::Total(operator.cpu_ns.total() + ns as u64);
        }
    }

    /// Work of all operators so far.
    pub(super) fn cpu_ns(&self) -> f64 {
        self.operators.iter().map(|operator| operator.cpu_ns.total() as f64).sum()
    }

    pub(super) fn into_stage(mut self, id: u32, name: &str, result_bytes: PerTask) -> Stage {
        if let Partitioning::Shuffle { may_split: sides, .. } = &mut self.partitioning {
            // Joins of the short form are inner ones, left side first.
            *sides = may_split(&self.operators, |_| Some((JoinKind::Inner, false)));
        }
        Stage {
            id,
            name: name.to_owned(),
            parents: self.parents,
            partitioning: self.partitioning,
            operators: self.operators,
            result_bytes,
            launch_ns: PerTask::default(),
            allocated_bytes: PerTask::Total(self.allocated),
            background_threads: 0.0,
            warm_up_ns: 0,
            compile_ns: 0,
        }
    }
}
