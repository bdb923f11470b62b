//! From the operators of a plan's fragment to the operators of a stage.
//!
//! Operators that hold no memory and change no row count are passed over: their work stays in the stage's time. Row sizes
//! come from the exchanges, which count the bytes of Spark's binary rows (`data size`); between exchanges a row is taken
//! to be as large as at the nearest one.

use std::collections::BTreeMap;

use super::columns;
use super::footprint::{self, Bounds};
use super::fragments::{Boundary, boundary, metric};
use super::stages::StageRun;
use crate::eventlog::app_log::{PlanNode, ShuffleReadMetrics, SqlPlan};
use crate::memory::operators::AGGREGATION_INITIAL_CAPACITY;
use crate::workload::{KEY_RANGE_UNKNOWN, Operator, OperatorKind, PerTask};

/// What is known of an exchange from the tasks that wrote and read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExchangeFacts {
    /// Index of the shuffle in the workload.
    pub(super) shuffle: usize,
    /// What its rows weigh.
    pub(super) sizes: ExchangeSizes,
}

/// What the rows of an exchange weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExchangeSizes {
    /// Bytes of one row.
    pub(super) row_bytes: u64,
    /// Bytes of all rows.
    pub(super) data_bytes: u64,
    /// Elements in the lists that an object aggregation made of them, if one wrote the exchange.
    pub(super) elements: Option<u64>,
}

impl ExchangeSizes {
    /// Elements in the list of one row.
    pub(super) fn elements_of_a_row(self) -> Option<f64> {
        Some(self.elements? as f64 * self.row_bytes as f64 / self.data_bytes.max(1) as f64)
    }
}

/// What the operators of one stage are built from.
pub(super) struct StageContext<'a> {
    pub(super) plan: &'a SqlPlan,
    pub(super) run: &'a StageRun<'a>,
    /// Exchanges by the accumulator of their `data size`.
    pub(super) exchanges: &'a BTreeMap<u64, ExchangeFacts>,
    /// Broadcasts by the accumulator of their `data size`.
    pub(super) broadcasts: &'a BTreeMap<u64, usize>,
    /// Dataset that the stage reads from the cache, if any.
    pub(super) dataset: Option<usize>,
    /// Types of columns by name, from the scans of the plan.
    pub(super) types: &'a BTreeMap<String, String>,
    /// Bytes of a row that the stage writes, when it writes an exchange.
    pub(super) row_bytes_out: Option<u64>,
    /// Elements that an object aggregation put into the list of such a row, where it made some.
    pub(super) elements_out: Option<f64>,
    /// Resident bytes of one Python worker.
    pub(super) python_worker_bytes: u64,
    /// Exchanges that the stage reads, by the accumulator of their `data size`, with how often it reads each.
    pub(super) exchanges_read: BTreeMap<u64, u64>,
    /// Bytes of a page in the run of the log.
    pub(super) page_bytes: u64,
    pub(super) operators: Vec<Operator>,
    /// Whether the row size of each operator is more than a guess.
    pub(super) sized: Vec<bool>,
    /// The node of the plan that each operator stands for.
    pub(super) placed: Vec<Option<u32>>,
}

/// Shares each task's own time out over the operators by rows and weight.
pub(super) fn share_time(operators: &mut [Operator], own_ns: &PerTask) {
    let weights: Vec<f64> = operators
        .iter()
        .map(|operator| {
            let input: u64 = operator.inputs.iter().map(|&i| operators[i].rows.total()).sum();
            operator.kind.weight() * (operator.rows.total().max(input) as f64 + 1.0)
        })
        .collect();
    let total: f64 = weights.iter().sum();
    for (operator, weight) in operators.iter_mut().zip(weights) {
        let share = weight / total;
        operator.cpu_ns = match own_ns {
            PerTask::Total(ns) => PerTask::Total((*ns as f64 * share) as u64),
            PerTask::Each(values) => {
                PerTask::Each(values.iter().map(|&ns| (ns as f64 * share) as u64).collect())
            }
        };
    }
}

/// Bytes of a row without columns: its null bits.
const LEAST_ROW_BYTES: u64 = 8;
/// Bytes of a row whose size nobody counted: four columns.
const ROW_BYTES_UNKNOWN: u64 = 8 + 4 * 8;

impl StageContext<'_> {
    /// Adds the operators below and at `node`; returns the position of the one that gives its rows, if any does.
    pub(super) fn add(&mut self, node: u32) -> Option<usize> {
        let operator = self.add_node(node)?;
        self.placed.resize(self.operators.len(), None);
        // What is passed over leaves the operator to the node below.
        self.placed[operator].get_or_insert(node);
        Some(operator)
    }

    fn add_node(&mut self, node: u32) -> Option<usize> {
        let plan = self.plan;
        let node = &plan.nodes[node as usize];
        match boundary(node) {
            Boundary::Shuffle => return self.shuffle_read(node),
            Boundary::Broadcast => return None,
            Boundary::Cache => {
                if let Some(dataset) = self.dataset {
                    let rows = self.rows(node).unwrap_or_default();
                    return Some(self.push(
                        node,
                        OperatorKind::CachedScan { dataset, lineage: None },
                        Vec::new(),
                        rows,
                    ));
                }
            }
            Boundary::Inner => {}
        }
        let mut inputs = Vec::new();
        let mut broadcast = None;
        for &child in &node.children {
            match self.add(child) {
                Some(input) => inputs.push(input),
                None => broadcast = broadcast.or_else(|| self.broadcast_below(child)),
            }
        }
        let name = node.name.as_str();
        if inputs.is_empty() && broadcast.is_some() {
            return None;
        }
        if inputs.is_empty() {
            return Some(self.scan(node));
        }
        let kind = match name {
            "HashAggregate" if !node.simple_string.contains("keys=[]") => {
                let fast_map = has_fast_map(&node.simple_string);
                // A row of the exchange holds key and buffer under one null bitmap; the map keeps two rows.
                let estimate = self.aggregate_row(&inputs) + 8;
                let key_value_bytes = if fast_map {
                    // Part of the groups stays in the fast map, so that the peak tells less.
                    estimate
                } else {
                    self.fit(node, estimate, footprint::map_entry)
                };
                let dense_keys = fast_map && self.nothing_missed_the_fast_map(node);
                let variable_rows = fast_map && columns::aggregate_varies(&node.simple_string, self.types);
                OperatorKind::HashAggregate { key_value_bytes, fast_map, dense_keys, variable_rows }
            }
            "ObjectHashAggregate" if !node.simple_string.contains("keys=[]") => {
                let keys = columns::grouping_columns(&node.simple_string);
                let key_row = 8 + 8 * keys;
                let read = &self.operators[inputs[0]];
                let input_row = match self.collected_row(keys) {
                    Some(row) if !matches!(read.kind, OperatorKind::ShuffleRead { .. }) => row,
                    _ => self.aggregate_row(&inputs),
                };
                OperatorKind::ObjectHashAggregate {
                    group_bytes: self.aggregate_row(&inputs) + 8,
                    sorter_row_bytes: key_row + input_row,
                    radix: self.radix(&node.simple_string),
                }
            }
            "Sort" => OperatorKind::Sort { radix: self.radix(&node.simple_string) },
            "ShuffledHashJoin" => OperatorKind::ShuffledHashJoin {
                long_key: node.simple_string.contains('L'),
                keys: inputs
                    .get(1)
                    .map_or_else(PerTask::default, |&build| self.operators[build].rows.clone()),
                key_range: KEY_RANGE_UNKNOWN,
            },
            "BroadcastHashJoin" => match broadcast {
                Some(broadcast) => OperatorKind::BroadcastHashJoin { broadcast },
                None => OperatorKind::Pipelined,
            },
            "Window" => OperatorKind::Window,
            _ if is_python(name) => OperatorKind::Python { worker_bytes: self.python_worker_bytes },
            _ => OperatorKind::Pipelined,
        };
        if matches!(kind, OperatorKind::ShuffledHashJoin { .. }) && node.simple_string.contains("BuildLeft") {
            inputs.reverse();
        }
        let rows = self.rows(node);
        if kind == OperatorKind::Pipelined && inputs.len() == 1 && rows.is_none() {
            if name == "Project" {
                self.project(node, inputs[0]);
            }
            return Some(inputs[0]);
        }
        let rows = match &kind {
            OperatorKind::Sort { .. } | OperatorKind::Window => None,
            _ => rows,
        };
        let rows = rows.unwrap_or_else(|| self.operators[inputs[0]].rows.clone());
        let heap = match &kind {
            OperatorKind::ObjectHashAggregate { .. } => self.collected_heap(inputs[0]),
            _ => PerTask::default(),
        };
        let at = self.push(node, kind, inputs, rows);
        self.operators[at].heap_bytes = heap;
        Some(at)
    }

    /// Adds the last operator of the stage.
    pub(super) fn finish(&mut self, name: &str, kind: OperatorKind, rows: PerTask) {
        let input = self.operators.len().checked_sub(1);
        self.sized.push(self.row_bytes_out.is_some());
        self.operators.push(Operator {
            name: name.to_owned(),
            kind,
            inputs: input.into_iter().collect(),
            rows,
            row_bytes: self.row_bytes_out.unwrap_or(ROW_BYTES_UNKNOWN),
            cpu_ns: PerTask::default(),
            heap_bytes: PerTask::default(),
        });
    }

    fn push(&mut self, node: &PlanNode, kind: OperatorKind, inputs: Vec<usize>, rows: PerTask) -> usize {
        let (row_bytes, sized) = match &kind {
            OperatorKind::HashAggregate { key_value_bytes, .. } => (*key_value_bytes - 8, true),
            OperatorKind::Sort { radix } => {
                let estimate = self.row_bytes_near(&inputs);
                let radix = *radix;
                let fitted = self
                    .fit(node, estimate.0, |rows, peak, page| footprint::sort_row(rows, peak, page, radix));
                (fitted, true)
            }
            _ => self.row_bytes_near(&inputs),
        };
        let name = node.name.trim().to_owned();
        self.sized.push(sized);
        self.operators.push(Operator {
            name,
            kind,
            inputs,
            rows,
            row_bytes,
            cpu_ns: PerTask::default(),
            heap_bytes: PerTask::default(),
        });
        self.operators.len() - 1
    }

    /// Plain heap of all lists that an object aggregation collects; which of them it holds at a time, the configuration
    /// decides (AGG-8). What merges lists keeps the fetched rows, one object an element that points into them, and then
    /// writes the result row; what begins lists copies each value.
    fn collected_heap(&self, input: usize) -> PerTask {
        let read = &self.operators[input];
        let PerTask::Each(rows) = &read.rows else { return PerTask::default() };
        let sizes = match read.kind {
            OperatorKind::ShuffleRead { shuffle, .. } => {
                self.exchanges.values().find(|facts| facts.shuffle == shuffle).map(|facts| facts.sizes)
            }
            _ => None,
        };
        let heap = rows.iter().map(|&rows| {
            let bytes = match sizes {
                Some(sizes) => {
                    let data = rows as f64 * sizes.row_bytes as f64;
                    let share = data / sizes.data_bytes.max(1) as f64;
                    let elements = sizes.elements.unwrap_or(0) as f64 * share;
                    elements * ELEMENT_VIEW_BYTES + 2.0 * data
                }
                None => rows as f64 * ELEMENT_COPY_BYTES,
            };
            bytes as u64
        });
        PerTask::Each(heap.collect())
    }

    /// Row size of the inputs where it is known (of a join: both sides together), else of the exchange that is written.
    fn row_bytes_near(&self, inputs: &[usize]) -> (u64, bool) {
        if !inputs.is_empty() && inputs.iter().all(|&input| self.sized[input]) {
            let words: u64 = inputs.iter().map(|&input| self.operators[input].row_bytes - 8).sum();
            return (8 + words, true);
        }
        match self.row_bytes_out {
            Some(bytes) => (bytes, false),
            None => (ROW_BYTES_UNKNOWN, false),
        }
    }

    /// Size of the rows that an aggregation keeps: what it reads when that was exchanged in just this form, else what it
    /// writes.
    fn aggregate_row(&self, inputs: &[usize]) -> u64 {
        let read = inputs.first().map(|&input| &self.operators[input]);
        match read {
            Some(read) if matches!(read.kind, OperatorKind::ShuffleRead { .. }) => read.row_bytes,
            _ => self.row_bytes_out.unwrap_or_else(|| self.row_bytes_near(inputs).0),
        }
    }

    /// Size of a row with `keys` columns to group by and one to collect, from the lists that were written: a row of them
    /// holds the keys and, as bytes, a row with an array, which has 8 bytes for its length, 8 of null bits and 8 and the
    /// value's own bytes for each element (`UnsafeRow`, `UnsafeArrayData`).
    fn collected_row(&self, keys: u64) -> Option<u64> {
        let (row, elements) = (self.row_bytes_out?, self.elements_out.filter(|&n| n > 0.0)?);
        let row_without = 8 + 8 * keys + 8 + 16 + 16;
        let element = row.checked_sub(row_without)? as f64 / elements - 8.0;
        Some(8 + 8 * keys + 8 + (element.max(0.0) / 8.0).round() as u64 * 8)
    }

    /// Rows lose or win columns on their way.
    fn project(&mut self, node: &PlanNode, input: usize) {
        let Some(columns) = columns::columns(&node.simple_string) else { return };
        if columns::any_variable(&columns, self.types) && self.sized[input] {
            return;
        }
        self.operators[input].row_bytes = columns::row_bytes(&columns, self.types);
        self.sized[input] = true;
    }

    /// A record size held against the peaks that the operator's tasks report, where nothing spilled.
    fn fit(&self, node: &PlanNode, estimate: u64, bounds_of: impl Fn(u64, u64, u64) -> Bounds) -> u64 {
        let Some(peaks) = metric(node, "peak memory") else { return estimate };
        let rows = self.rows(node).or_else(|| {
            let below = node.children.first().map(|&child| &self.plan.nodes[child as usize])?;
            self.rows(below)
        });
        let rows = rows.or_else(|| self.operators.last().map(|last| last.rows.clone()));
        let Some(PerTask::Each(rows)) = rows else { return estimate };
        let mut bounds = Bounds::NONE;
        for (task, rows) in self.run.tasks.iter().zip(rows) {
            let Some(task) = task else { continue };
            let spilled = task.metrics.as_ref().is_none_or(|metrics| metrics.totals.memory_bytes_spilled > 0);
            let Some(peak) = task.accumulator(peaks).filter(|&peak| peak > 0 && !spilled) else { continue };
            bounds = bounds.and(bounds_of(rows, peak as u64, self.page_bytes));
        }
        bounds.nearest(estimate).max(LEAST_ROW_BYTES)
    }

    /// Whether the map behind an aggregation's fast map stayed as it was made in every task, although as many groups of
    /// random keys would have reached it.
    fn nothing_missed_the_fast_map(&self, node: &PlanNode) -> bool {
        let (Some(peaks), Some(PerTask::Each(groups))) = (metric(node, "peak memory"), self.rows(node))
        else {
            return false;
        };
        let empty = (AGGREGATION_INITIAL_CAPACITY * footprint::MAP_SLOT_BYTES) as i64;
        let peaks = || self.run.tasks.iter().flatten().filter_map(|task| task.accumulator(peaks));
        // Of 10,000 random keys some 24 find both of their buckets taken.
        const GROUPS_THAT_COLLIDE: u64 = 10_000;
        groups.iter().any(|&groups| groups >= GROUPS_THAT_COLLIDE)
            && peaks().next().is_some()
            && peaks().all(|peak| peak == empty)
    }

    fn rows(&self, node: &PlanNode) -> Option<PerTask> {
        let id = metric(node, "number of output rows")?;
        Some(self.run.each(|task, _| task.accumulator(id).unwrap_or(0).max(0) as u64))
    }

    fn scan(&mut self, node: &PlanNode) -> usize {
        let rows = self.rows(node).unwrap_or_else(|| self.run.each(|_, metrics| metrics.input.records));
        let bytes =
            if self.operators.iter().any(|operator| matches!(operator.kind, OperatorKind::Scan { .. })) {
                PerTask::default()
            } else {
                self.run.each(|_, metrics| metrics.input.bytes)
            };
        self.push(node, OperatorKind::Scan { bytes }, Vec::new(), rows)
    }

    fn shuffle_read(&mut self, node: &PlanNode) -> Option<usize> {
        let key = metric(node, "data size")?;
        let facts = *self.exchanges.get(&key)?;
        // An exchange that is read twice counts both reads in one metric.
        let times = self.exchanges_read.get(&key).copied().unwrap_or(1).max(1);
        let local = metric(node, "local bytes read");
        let remote = metric(node, "remote bytes read");
        let records = metric(node, "records read");
        // A failed attempt reports no accumulators; with a single exchange the task's own metrics say the same.
        let only = self.exchanges_read.values().sum::<u64>() == 1;
        let sum = |ids: [Option<u64>; 2], own: fn(&ShuffleReadMetrics) -> u64| {
            self.run.each(|task, metrics| {
                let known: Vec<i64> = ids.iter().flatten().filter_map(|&id| task.accumulator(id)).collect();
                if known.is_empty() && only {
                    return own(&metrics.shuffle_read);
                }
                known.into_iter().map(|v| v.max(0) as u64).sum::<u64>() / times
            })
        };
        let bytes = sum([local, remote], |read| read.local_bytes + read.remote_bytes);
        let rows = sum([records, None], |read| read.records);
        self.sized.push(facts.sizes.row_bytes > 0);
        self.operators.push(Operator {
            name: "Exchange (read)".to_owned(),
            kind: OperatorKind::ShuffleRead { shuffle: facts.shuffle, bytes },
            inputs: Vec::new(),
            rows,
            row_bytes: facts.sizes.row_bytes,
            cpu_ns: PerTask::default(),
            heap_bytes: PerTask::default(),
        });
        Some(self.operators.len() - 1)
    }

    fn broadcast_below(&self, node: u32) -> Option<usize> {
        let node = &self.plan.nodes[node as usize];
        if boundary(node) == Boundary::Broadcast {
            return self.broadcasts.get(&metric(node, "data size")?).copied();
        }
        node.children.iter().find_map(|&child| self.broadcast_below(child))
    }

    /// Whether the whole sort key fits a radix-sortable prefix (SORT-2): one column of fixed width up to eight bytes.
    fn radix(&self, simple_string: &str) -> bool {
        let keys = columns::columns(simple_string).unwrap_or_default();
        let [key] = keys[..] else { return false };
        let column = key.split_whitespace().next().unwrap_or_default();
        let (name, id) = column.split_once('#').unwrap_or((column, ""));
        // Spark marks bigint columns with an L behind their id.
        id.ends_with('L') || self.types.get(name).is_some_and(|kind| columns::is_radix(kind))
    }
}

/// Heap of an element that points into a fetched row: a `UTF8String` (32 bytes) and its slot in an array that grows by
/// half (JVM object layout with compressed pointers).
const ELEMENT_VIEW_BYTES: f64 = 38.0;
/// Heap of an element that was copied: the same and a byte array of its own with a header and 16 bytes.
const ELEMENT_COPY_BYTES: f64 = 70.0;

/// Whether the generated code of an aggregation puts a fast map in front: where it has aggregate functions and all of them
/// only make or merge partial results (`HashAggregateExec.checkIfFastHashMapSupported`, AGG-7).
fn has_fast_map(simple_string: &str) -> bool {
    let functions =
        simple_string.split_once("functions=[").map(|(_, functions)| columns::arguments(functions));
    // Long lists are cut short ("... 3 more fields").
    let partial = |function: &&str| ["partial_", "merge_", "..."].iter().any(|p| function.starts_with(p));
    functions.is_some_and(|functions| !functions.is_empty() && functions.iter().all(partial))
}

/// Whether rows pass through a Python worker: the name says so, wherever it begins.
pub(super) fn is_python(name: &str) -> bool {
    ["Python", "Pandas", "InArrow"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_tell_what_they_were_collected_from() {
        // A real run: lists of 16 characters, 2.56 a group, in rows of 120 bytes (keys of one long).
        let sizes = ExchangeSizes { row_bytes: 120, data_bytes: 120 * 3_906_244, elements: Some(10_000_000) };
        let elements = sizes.elements_of_a_row().unwrap();
        assert!((elements - 2.56).abs() < 0.01);
    }

    #[test]
    fn partial_results_have_a_fast_map_and_final_ones_do_not() {
        for (yes, functions) in [
            (true, "functions=[partial_sum(v#1), partial_count(1)]"),
            (true, "functions=[merge_sum(v#1), partial_count(distinct s#2)]"),
            (true, "functions=[partial_max(if ((a#1 = [x, y])) b#2 else c#3), ... 3 more fields]"),
            (false, "functions=[sum(v#1), partial_count(1)]"),
            (false, "functions=[]"),
            (false, "functions=[sum(v#1)], output=[partial_x#2]"),
        ] {
            assert_eq!(has_fast_map(&format!("HashAggregate(keys=[k#1], {functions})")), yes, "{functions}");
        }
    }
}
