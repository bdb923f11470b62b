//! Lowers joins: two exchanges that meet in one stage, or a broadcast that a job of its own builds first.

use super::super::costs;
use super::super::short::{Cost, Join, JoinKind, Source};
use super::super::stage::{Draft, Exchange};
use super::Lowering;
use crate::units::MIB;
use crate::workload::{Broadcast, DatasetIndex, JobIndex, KEY_RANGE_UNKNOWN, Keys, OperatorKind, PerTask};

impl Lowering<'_> {
    pub(super) fn join(
        &mut self,
        draft: Draft,
        join: &Join,
        cost: Cost,
        (name, gap_ns): (&str, u64),
        after: &mut Vec<JobIndex>,
    ) -> Draft {
        let kind = join.kind.unwrap_or_else(|| self.join_kind(&join.with));
        let stages = std::mem::take(&mut self.stages);
        let mut right = self.open(&join.with);
        let (right_rows, right_bytes) = (right.rows, right.row_bytes);
        let rows_out = join.rows.unwrap_or(draft.rows);
        // The key column and a null word are there once.
        let row_bytes =
            join.row_bytes.unwrap_or(draft.row_bytes.saturating_add(right_bytes.saturating_sub(16)));
        let both = draft.rows.saturating_add(right_rows);
        let cpu = |rows: u64, default: f64| rows as f64 * cost.ns_per_row.unwrap_or(default);
        if kind == JoinKind::Broadcast {
            let broadcast = self.workload.broadcasts.len();
            // Rows and their lengths in an array that doubles (HJ-4), and a dense index of one long a row (HJ-6).
            let data = right_rows.saturating_mul(right_bytes + 8).max(MIB);
            let data = data.checked_next_power_of_two().unwrap_or(data);
            let relation_bytes = join.relation.unwrap_or(data.saturating_add(8 * right_rows));
            let serialized = right_rows as f64 * (right_bytes + 16) as f64;
            self.workload.broadcasts.push(Broadcast {
                name: self.source_name(&join.with).to_owned(),
                rows: right_rows,
                relation_bytes,
                pieces_bytes: (serialized * cost.compression) as u64,
                build_ns: (right_rows as f64 * costs::BROADCAST_BUILD_NS_PER_ROW) as u64,
            });
            let result = PerTask::Total((serialized * cost.compression) as u64);
            let collect_ns = right_rows as f64 * costs::COLLECT_NS_PER_ROW;
            right.end("BroadcastExchange", OperatorKind::Broadcast { broadcast }, collect_ns);
            let name = format!("{name}: broadcast");
            self.close(right, &name, result);
            *after = vec![self.submit(&name, after, gap_ns)];
            self.stages = stages;
            let mut draft = draft;
            let cpu_ns = cpu(draft.rows, costs::HASH_JOIN_NS_PER_ROW);
            draft.push(
                "BroadcastHashJoin",
                OperatorKind::BroadcastHashJoin { broadcast },
                rows_out,
                row_bytes,
                cpu_ns,
            );
            return draft;
        }
        self.stages = stages;
        let distinct = join.keys.distinct.or(join.with_keys.distinct).unwrap_or(right_rows.max(1));
        let left_keys = self.keys(&join.keys, distinct);
        let right_keys = Keys { salt: left_keys.salt, ..self.keys(&join.with_keys, distinct) };
        let buffered =
            right_keys.hot.first().map_or(0.0, |share| share * right_rows as f64 * right_bytes as f64);
        let (left_rows, left_bytes) = (draft.rows, draft.row_bytes);
        let (left, left_parent) = self.write(draft, Exchange::hash("join left", left_keys, cost.compression));
        let (other, parent) = self.write(right, Exchange::hash("join right", right_keys, cost.compression));
        let mut next = self.reader(vec![left, other], vec![left_parent, parent]);
        let sorts = kind == JoinKind::SortMerge;
        let mut inputs = Vec::new();
        for (shuffle, rows, bytes) in [(left, left_rows, left_bytes), (other, right_rows, right_bytes)] {
            next.read(&self.workload.shuffles[shuffle], shuffle, rows, bytes);
            if sorts {
                next.sort(join.long_key, None);
            }
            inputs.push(next.last());
        }
        let (operator, name, default) = if sorts {
            (OperatorKind::Pipelined, "SortMergeJoin", costs::MERGE_NS_PER_ROW)
        } else {
            let keys = PerTask::Total(distinct.min(right_rows));
            let kind = OperatorKind::ShuffledHashJoin {
                long_key: join.long_key,
                keys,
                key_range: KEY_RANGE_UNKNOWN,
            };
            (kind, "ShuffledHashJoin", costs::HASH_JOIN_NS_PER_ROW)
        };
        next.push_after(name, operator, inputs, rows_out, row_bytes, cpu(both, default));
        if sorts {
            // The rows of one key of the other side wait on the plain heap (ROWBUF-2).
            next.set_heap(buffered as u64);
        }
        next
    }

    /// Spark's choice by the other side's size in storage or in the cache.
    fn join_kind(&self, with: &Source) -> JoinKind {
        let stored = |dataset: DatasetIndex| -> u64 {
            self.workload.datasets[dataset].partitions.iter().map(|part| part.memory_bytes).sum()
        };
        let bytes = match with {
            Source::Table(at) => {
                let table = &self.short.tables[*at];
                if table.bytes == 0 { table.rows.saturating_mul(table.row_bytes) } else { table.bytes }
            }
            Source::Cached(at) => stored(self.declared[*at]),
            Source::Step(name) => stored(self.kept[name].dataset),
        };
        if i64::try_from(bytes).is_ok_and(|bytes| bytes <= self.settings.broadcast_threshold) {
            JoinKind::Broadcast
        } else {
            JoinKind::SortMerge
        }
    }
}
