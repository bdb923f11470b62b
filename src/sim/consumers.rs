//! From an operator of the workload to the memory consumer that Spark would create for it in one task.

use super::World;
use crate::conf::Settings;
use crate::memory::operators::{GroupCurve, OperatorSpec, SORT_INITIAL_RECORDS, SpillLimits};
use crate::workload::{Operator, OperatorKind, Shuffle};

/// Rows that a shuffled hash join's relation is first made for (HJ-1).
const SHUFFLED_JOIN_SIZE_ESTIMATE: u64 = 64;

/// Growth of groups with the rows of one scan, as a power: keys of many sizes follow it closely (measured 0.85 for
/// log-uniform keys). It only matters once a map spills.
const SCAN_GROUP_EXPONENT: f64 = 0.85;

impl World<'_> {
    /// Groups among the first rows of a task. Behind a shuffle, rows come one map output after the other and each key once
    /// in each; the shape is the same for all tasks of a stage and costs much to find, so it is found once, and only
    /// where the groups may not fit: without a spill the order of their coming decides nothing.
    fn group_curve(
        &mut self,
        stage: usize,
        operator: usize,
        rows: u64,
        groups: u64,
        entry_bytes: u64,
    ) -> GroupCurve {
        let executor = &self.setups[0];
        let slots = u64::from((executor.cores / self.settings.task.cpus).max(1));
        let share = executor.execution_bytes() / slots;
        let bytes = groups.saturating_mul(entry_bytes);
        let ample = bytes.saturating_add(1).saturating_mul(4 * slots);
        self.executors[0].manager.relied_on(ample, executor.tungsten_mode);
        if bytes < share / 4 {
            return GroupCurve::even(rows, groups);
        }
        let shuffle_below = self.workload.stages[stage].shuffle_below(operator);
        if let Some(curve) = self.group_curves.get(&(stage, operator)) {
            if shuffle_below.is_some() {
                return curve.scaled_to(rows, groups);
            }
            if curve.end() == (rows, groups) {
                return curve.clone();
            }
        }
        let curve = match shuffle_below {
            Some(shuffle) => GroupCurve::of_map_outputs(self.map_outputs(shuffle), rows, groups),
            None => GroupCurve::power(rows, groups, SCAN_GROUP_EXPONENT),
        };
        self.group_curves.insert((stage, operator), curve.clone());
        curve
    }

    /// Map tasks that write rows into a shuffle.
    fn map_outputs(&self, shuffle: usize) -> u64 {
        let stages = self.workload.stages.iter().zip(&self.plan.stages);
        let writers = stages.filter_map(|(stage, plan)| {
            let last = stage.operators.len().checked_sub(1)?;
            let writes = matches!(stage.operators[last].kind, OperatorKind::ShuffleWrite { shuffle: s, .. } if s == shuffle);
            writes.then(|| plan.operators[last].rows.iter().filter(|&&rows| rows > 0).count() as u64)
        });
        writers.max().unwrap_or(1).max(1)
    }

    /// The consumer of `operator` in task `task` of `stage`; `None` where it holds no execution memory.
    pub(super) fn operator_spec(
        &mut self,
        stage: usize,
        position: usize,
        operator: &Operator,
        task: usize,
    ) -> Option<OperatorSpec> {
        let plan = &self.plan.stages[stage];
        let rows_in = operator.inputs.first().map_or(0, |&input| plan.operators[input].rows[task]);
        let row_bytes_in = operator
            .inputs
            .first()
            .map_or(0, |&input| self.workload.stages[stage].operators[input].row_bytes);
        let rows_out = plan.operators[position].rows[task];
        let limits = SpillLimits {
            records: self.settings.shuffle.num_elements_force_spill,
            bytes: self.settings.shuffle.max_size_force_spill.unwrap_or(u64::MAX),
        };
        match &operator.kind {
            OperatorKind::HashAggregate { key_value_bytes, fast_map, dense_keys, variable_rows } => {
                // What the fast map adds to key and buffer: a pointer, and the lengths where they vary.
                let fast_row = *key_value_bytes + if *variable_rows { 16 } else { 8 };
                Some(OperatorSpec::HashAggregation {
                    groups: self.group_curve(stage, position, rows_in, rows_out, *key_value_bytes + 16),
                    key_value_bytes: *key_value_bytes,
                    fast_map_row_bytes: fast_map.then_some(fast_row),
                    dense_keys: *dense_keys,
                })
            }
            OperatorKind::ObjectHashAggregate { group_bytes, sorter_row_bytes, radix } => {
                let fallback_threshold = self.settings.sql.object_hash_fallback_threshold;
                Some(OperatorSpec::ObjectHashAggregation {
                    groups: GroupCurve::in_random_order(rows_in, rows_out, fallback_threshold),
                    group_bytes: *group_bytes,
                    row_bytes: *sorter_row_bytes,
                    fallback_threshold,
                    radix: *radix && self.settings.sql.use_radix_sort,
                    limits,
                })
            }
            OperatorKind::Sort { radix } => Some(OperatorSpec::Sort {
                row_bytes: operator.row_bytes,
                radix: *radix && self.settings.sql.use_radix_sort,
                initial_records: SORT_INITIAL_RECORDS,
                limits,
            }),
            OperatorKind::ShuffledHashJoin { long_key, key_range, .. } => {
                let build = operator.inputs.get(1).copied()?;
                let (rows, keys) = (plan.operators[build].rows[task], plan.operators[position].keys[task]);
                let row_bytes = self.workload.stages[stage].operators[build].row_bytes;
                Some(if *long_key {
                    OperatorSpec::LongHashedRelation {
                        size_estimate: SHUFFLED_JOIN_SIZE_ESTIMATE,
                        rows,
                        keys,
                        row_bytes,
                        key_range: *key_range,
                    }
                } else {
                    OperatorSpec::HashedRelation {
                        size_estimate: SHUFFLED_JOIN_SIZE_ESTIMATE,
                        rows,
                        keys,
                        key_value_bytes: row_bytes,
                    }
                })
            }
            OperatorKind::Window => {
                let buffer = self.settings.sql.window_buffer;
                Some(OperatorSpec::RowBuffer {
                    in_memory_threshold: buffer.in_memory_rows,
                    row_bytes: row_bytes_in,
                    partitions: plan.operators[position].window_partitions[task],
                    limits: SpillLimits { records: buffer.spill_rows, ..limits },
                })
            }
            OperatorKind::ExternalAggregation { entry_bytes } => Some(OperatorSpec::ExternalAppendOnlyMap {
                entry_bytes: *entry_bytes,
                serialized_bytes: row_bytes_in,
                keys: GroupCurve::even(rows_in, rows_out),
                initial_memory_threshold: self.settings.shuffle.spill_initial_threshold,
                limits,
            }),
            OperatorKind::ShuffleWrite { shuffle, .. } => {
                let data = &self.workload.shuffles[*shuffle];
                // SHUF-1, in Spark's order.
                if self.bypasses(*shuffle) {
                    return None;
                }
                Some(if data.relocatable && !data.map_side_combine {
                    OperatorSpec::ShuffleSort {
                        record_bytes: data.record_bytes,
                        radix: self.settings.shuffle.use_radix_sort,
                        initial_records: self.settings.shuffle.sort_initial_records,
                        limits,
                    }
                } else {
                    OperatorSpec::ExternalSorter {
                        entry_bytes: data.record_bytes,
                        serialized_bytes: data.record_bytes,
                        map_side_combine: data.map_side_combine.then(|| GroupCurve::even(rows_in, rows_out)),
                        writes_shuffle: true,
                        initial_memory_threshold: self.settings.shuffle.spill_initial_threshold,
                        limits,
                    }
                })
            }
            OperatorKind::Scan { .. }
            | OperatorKind::ShuffleRead { .. }
            | OperatorKind::CachedScan { .. }
            | OperatorKind::Pipelined
            | OperatorKind::BroadcastHashJoin { .. }
            | OperatorKind::Python { .. }
            | OperatorKind::Broadcast { .. }
            | OperatorKind::Output { .. } => None,
        }
    }

    fn bypasses(&self, shuffle: usize) -> bool {
        bypasses(&self.workload.shuffles[shuffle], self.plan.shuffle_partitions[shuffle], self.settings)
    }

    /// Files that a task opens to write `rows` rows without sorting.
    pub(super) fn files_written(&self, stage: usize, operator: usize, rows: u64) -> u64 {
        let OperatorKind::ShuffleWrite { shuffle, .. } = self.workload.stages[stage].operators[operator].kind
        else {
            return 0;
        };
        if self.bypasses(shuffle) { bypass_files(self.plan.shuffle_partitions[shuffle], rows) } else { 0 }
    }
}

/// Whether a shuffle into so many partitions is written without sorting, through one file a partition (SHUF-1).
pub fn bypasses(shuffle: &Shuffle, partitions: u32, settings: &Settings) -> bool {
    !shuffle.map_side_combine && u64::from(partitions) <= settings.shuffle.bypass_merge_threshold
}

/// Files that a task opens to write `rows` rows in that way: one for each of `partitions` that gets a row, when rows fall
/// on them at random.
pub fn bypass_files(partitions: u32, rows: u64) -> u64 {
    let partitions = f64::from(partitions);
    (partitions * (1.0 - (1.0 - 1.0 / partitions).powf(rows as f64))).round() as u64
}
