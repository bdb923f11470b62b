//! What goes between stages: the shuffles and broadcasts of the plans, what their rows weigh and how they fall on keys.

use std::collections::BTreeMap;

use super::builder::{Builder, SHUFFLE_ROW_BYTES_UNKNOWN};
use super::fragments::{Boundary, boundary, metric};
use super::honesty::Honesty;
use super::operators::{ExchangeFacts, ExchangeSizes};
use super::stages::StageRun;
use crate::eventlog::app_log::PlanNode;
use crate::host::fillable;
use crate::memory::operators::spilled_record_bytes;
use crate::workload::{
    Broadcast, Distribution, Keys, OperatorKind, Partitioning, PerTask, Shuffle, ShufflePartitions, Stage,
    filled_blocks,
};

/// Bytes of a spilled row for one of the same row shuffled: sorted rows lie beside their like (0.69 for aggregated longs,
/// 0.89 for random text, in runs that both shuffled and spilled). The formula of spill files that this is part of was chosen on
/// the public pairs and has no hold-out.
const SORTED_COMPRESSION: f64 = 0.8;
/// Key prefix in front of a spilled record (SORT-7): a word that compresses as those of the row do. Against real spill
/// files: an aggregation of longs 5 % below, a sort of random keys with text 3 % below, sorts of short rows 18 % below to
/// 4 % above.
const PREFIX_BYTES: f64 = 8.0;
/// What LZ4 spends on lengths and null words, which repeat: one more literal or token a record.
const TOKEN_BYTES: f64 = 1.0;

impl Builder<'_> {
    pub(super) fn find_exchanges(&mut self) {
        for at in 0..self.runs.len() {
            if !self.runs[at].is_map_stage() {
                continue;
            }
            let written = self.fragment_of[at].and_then(|(execution, index)| {
                let cut = &self.plans[&execution];
                let node = &cut.plan.nodes[cut.fragments[index].writes? as usize];
                (boundary(node) == Boundary::Shuffle).then_some(node)
            });
            let Some(node) = written else {
                let shuffle = self.planless_shuffle(at);
                self.planless.insert(at, shuffle);
                continue;
            };
            let Some(key) = metric(node, "data size") else { continue };
            if let Some(facts) = self.exchanges.get(&key) {
                self.writers[facts.shuffle].push(at);
                continue;
            }
            let (shuffle, sizes) = self.shuffle_of(node, key, at);
            self.shuffles.push(shuffle);
            self.writers.push(vec![at]);
            self.exchanges.insert(key, ExchangeFacts { shuffle: self.shuffles.len() - 1, sizes });
        }
    }

    /// A log without spills does not tell how well they compress; its shuffles tell how well the same rows do. Mean over
    /// the sorts and aggregations that could spill, weighed by their bytes; `None` where the log has spills.
    pub(super) fn spill_compression(&self, stages: &[Stage]) -> Option<f64> {
        if self.runs.iter().flat_map(StageRun::metrics).flatten().any(|m| m.totals.disk_bytes_spilled > 0) {
            return None;
        }
        let (mut plain, mut compressed) = (0.0, 0.0);
        let operators = stages.iter().flat_map(|stage| (0..stage.operators.len()).map(move |at| (stage, at)));
        for (stage, at) in operators {
            // A map gives its rows out in the order of their hashes: what the prefix costs, sorting saves on the key.
            let operator = &stage.operators[at];
            let (record, row, prefix) = match operator.kind {
                OperatorKind::HashAggregate { key_value_bytes, .. } => {
                    (spilled_record_bytes(key_value_bytes, true), u64::MAX, 0.0)
                }
                OperatorKind::Sort { .. } => {
                    (spilled_record_bytes(operator.row_bytes, false), operator.row_bytes, PREFIX_BYTES)
                }
                _ => continue,
            };
            let shuffle = stage.shuffle_below(at).and_then(|shuffle| self.shuffles.get(shuffle));
            let Some(shuffle) = shuffle.filter(|shuffle| shuffle.record_bytes > 0) else { continue };
            let rows = operator.inputs.first().map_or(0, |&input| stage.operators[input].rows.total()) as f64;
            let shuffled = shuffle.record_bytes as f64;
            // Columns that are not sorted along cost nothing.
            let shuffled_row = shuffle.compression * shuffled.min(row as f64);
            plain += rows * record as f64;
            compressed += rows * (shuffled_row + prefix * shuffle.compression + TOKEN_BYTES);
        }
        if plain > 0.0 {
            return Some(compressed / plain);
        }
        for facts in self.exchanges.values() {
            let bytes = facts.sizes.data_bytes as f64;
            plain += bytes;
            compressed += bytes * self.shuffles[facts.shuffle].compression;
        }
        (plain > 0.0).then_some(SORTED_COMPRESSION * compressed / plain)
    }

    /// Rows that an object aggregation of the stage put into its lists, if it has one (AGG-8).
    pub(super) fn collected_elements(&self, writer: usize) -> Option<u64> {
        let (execution, index) = self.fragment_of[writer]?;
        let cut = &self.plans[&execution];
        let aggregation = cut.fragments[index]
            .nodes
            .iter()
            .map(|&at| &cut.plan.nodes[at as usize])
            .find(|node| node.name == "ObjectHashAggregate")?;
        let mut node = aggregation;
        loop {
            node = &cut.plan.nodes[*node.children.first()? as usize];
            if let Some(rows) = metric(node, "number of output rows") {
                return Some(self.runs[writer].accumulated(rows));
            }
        }
    }

    /// The shuffle of an exchange, and what its rows weigh.
    pub(super) fn shuffle_of(&self, node: &PlanNode, key: u64, writer: usize) -> (Shuffle, ExchangeSizes) {
        let run = &self.runs[writer];
        let records: u64 = run.metrics().flatten().map(|m| m.shuffle_write.records).sum();
        let bytes: u64 = run.metrics().flatten().map(|m| m.shuffle_write.bytes).sum();
        let data = run.accumulated(key);
        let row_bytes = if records > 0 { data.div_ceil(records).next_multiple_of(8) } else { 0 };
        let elements = self.collected_elements(writer);
        let text = &node.simple_string;
        let number = |kind: &str| {
            let (_, rest) = text.split_once(kind)?;
            let (inside, _) = rest.rsplit_once("), ").or_else(|| rest.rsplit_once(')'))?;
            let inside = inside.split("), ").next().unwrap_or(inside);
            inside.rsplit([',', '(']).next()?.trim().parse::<u32>().ok()
        };
        let (distribution, partitions) = if text.contains("SinglePartition") {
            (Distribution::Single, Some(1))
        } else if text.contains("rangepartitioning") {
            (Distribution::Range, number("rangepartitioning"))
        } else if text.contains("RoundRobinPartitioning") {
            (Distribution::RoundRobin, number("RoundRobinPartitioning"))
        } else {
            (Distribution::Hash, number("hashpartitioning"))
        };
        let by_user = text.contains("REPARTITION_BY_NUM");
        let partitions = match partitions {
            Some(n) if by_user || distribution == Distribution::Single => ShufflePartitions::Fixed(n),
            _ => ShufflePartitions::Conf,
        };
        let mut shuffle = Shuffle {
            name: text.split(", ENSURE_REQUIREMENTS").next().unwrap_or(text).chars().take(80).collect(),
            partitions,
            distribution,
            keys: Keys { salt: key, ..Keys::default() },
            record_bytes: row_bytes,
            compression: bytes as f64 / data.max(1) as f64,
            blocks: 0,
            map_side_combine: false,
            relocatable: true,
        };
        let written_in = u64::from(crate::sim::partitions(&shuffle, self.settings, records));
        shuffle.blocks = filled_blocks(run.tasks.len() as u64, written_in, records);
        (shuffle, ExchangeSizes { row_bytes, data_bytes: data, elements })
    }

    /// A shuffle that no plan tells of: an RDD's.
    pub(super) fn planless_shuffle(&mut self, writer: usize) -> usize {
        let run = &self.runs[writer];
        let records: u64 = run.metrics().flatten().map(|m| m.shuffle_write.records).sum();
        let bytes: u64 = run.metrics().flatten().map(|m| m.shuffle_write.bytes).sum();
        let readers = self.runs.iter().find(|other| other.record.parent_ids.contains(&run.record.stage_id));
        let partitions = readers.map_or(1, |reader| reader.record.number_of_tasks);
        let record_bytes = bytes.checked_div(records).map_or(SHUFFLE_ROW_BYTES_UNKNOWN, |b| b.max(8) * 2);
        self.shuffles.push(Shuffle {
            name: run.record.name.clone(),
            partitions: ShufflePartitions::Fixed(partitions.max(1)),
            distribution: Distribution::Hash,
            keys: Keys { salt: u64::from(run.record.stage_id), ..Keys::default() },
            record_bytes,
            compression: 0.5,
            blocks: 0,
            map_side_combine: false,
            relocatable: false,
        });
        self.writers.push(vec![writer]);
        self.shuffles.len() - 1
    }

    pub(super) fn find_broadcasts(&mut self, honesty: &mut Honesty) {
        let driver: BTreeMap<u64, i64> =
            self.log.driver_accumulators.iter().map(|update| (update.accumulator, update.value)).collect();
        for (execution, cut) in &self.plans {
            for node in &cut.plan.nodes {
                if boundary(node) != Boundary::Broadcast {
                    continue;
                }
                let Some(key) = metric(node, "data size") else { continue };
                if self.broadcast_of.contains_key(&key) {
                    continue;
                }
                let value =
                    |id: Option<u64>| id.and_then(|id| driver.get(&id)).map_or(0, |v| (*v).max(0) as u64);
                let builder = self.fragment_of.iter().position(|fragment| {
                    fragment.is_some_and(|(of, index)| {
                        of == *execution
                            && cut.fragments[index].writes.is_some_and(|at| {
                                metric(&cut.plan.nodes[at as usize], "data size") == Some(key)
                            })
                    })
                });
                let collected: u64 = builder
                    .map_or(0, |at| self.runs[at].metrics().flatten().map(|m| m.totals.result_bytes).sum());
                let ran_out = self.log.sql.iter().any(|sql| {
                    let error = sql.error.as_deref().unwrap_or_default();
                    sql.id == *execution && error.contains("Not enough memory to build and broadcast")
                });
                let mut relation_bytes = value(Some(key));
                if relation_bytes == 0 && ran_out {
                    relation_bytes =
                        relation_beyond(self.settings.driver.memory, collected, self.rates.heap_base_bytes);
                    honesty.assume(
                        "a broadcast table could not be built in this log; its relation is taken as the smallest that does \
                         not fit the driver",
                    );
                }
                self.broadcasts.push(Broadcast {
                    name: format!("broadcast {}", self.broadcasts.len()),
                    rows: value(metric(node, "number of output rows")),
                    relation_bytes,
                    pieces_bytes: collected,
                    build_ns: 0,
                });
                self.broadcast_of.insert(key, self.broadcasts.len() - 1);
            }
        }
    }

    /// Whether the tasks of a run read a shuffle where it was written (`AQEShuffleRead local`, before Spark 3.2
    /// `CustomShuffleReader local`); `placed` has the nodes of its operators.
    pub(super) fn reads_locally(&self, at: usize, placed: &[Option<u32>]) -> bool {
        let Some((execution, index)) = self.fragment_of[at] else { return false };
        let cut = &self.plans[&execution];
        let node = |at: u32| &cut.plan.nodes[at as usize];
        let mut readers = cut.fragments[index].nodes.iter().filter(|&&reader| {
            matches!(node(reader).name.as_str(), "AQEShuffleRead" | "CustomShuffleReader")
                && node(reader).simple_string.ends_with(" local")
        });
        readers.any(|&reader| {
            // Query stages and reused exchanges lie between.
            let mut below = reader;
            while boundary(node(below)) == Boundary::Inner
                && let [child] = node(below).children[..]
            {
                below = child;
            }
            placed.contains(&Some(below))
        })
    }

    /// Tasks of a stage that read parts of one partition, which adaptive execution split for a join (AQE-2): they read the
    /// same rows of the other side, so that its rows are read more often than they were written. By task, whether it goes
    /// on with the partition of the task before.
    fn split_partitions(&self, stage: &Stage) -> Vec<bool> {
        let reads: Vec<(usize, &Vec<u64>)> = stage
            .operators
            .iter()
            .filter_map(|operator| match (&operator.kind, &operator.rows) {
                (OperatorKind::ShuffleRead { shuffle, .. }, PerTask::Each(rows)) => Some((*shuffle, rows)),
                _ => None,
            })
            .collect();
        let written = |shuffle: usize| -> u64 {
            let writer = self.writers[shuffle].last();
            writer.map_or(0, |&at| {
                self.runs[at].metrics().flatten().map(|metrics| metrics.shuffle_write.records).sum()
            })
        };
        let several = reads.len() > 1;
        let copied: Vec<&Vec<u64>> = reads
            .into_iter()
            .filter(|(shuffle, rows)| several && rows.iter().sum::<u64>() > written(*shuffle))
            .map(|(_, rows)| rows)
            .collect();
        let tasks = copied.iter().map(|rows| rows.len()).min().unwrap_or(0);
        let goes_on = |task: usize| {
            task > 0 && copied.iter().any(|rows| rows[task] > 0 && rows[task] == rows[task - 1])
        };
        (0..tasks).map(goes_on).collect()
    }

    /// Key popularity of each shuffle, from the first stage that reads it.
    pub(super) fn observe_keys(&mut self, stages: &[Stage]) {
        for stage in stages {
            // What map tasks wrote tells nothing of partitions.
            if matches!(stage.partitioning, Partitioning::Shuffle { local: true, .. }) {
                continue;
            }
            let split = self.split_partitions(stage);
            // What is read together falls alike.
            let read = stage.operators.iter().filter_map(|operator| operator.kind.shuffle_read());
            let salt = read.map(|shuffle| self.shuffles[shuffle].keys.salt).min().unwrap_or(0);
            for (at, operator) in stage.operators.iter().enumerate() {
                let OperatorKind::ShuffleRead { shuffle, .. } = operator.kind else { continue };
                let PerTask::Each(rows) = &operator.rows else { continue };
                let rows = &unsplit(rows, &split);
                let keys = &mut self.shuffles[shuffle].keys;
                if !keys.observed.is_empty() {
                    continue;
                }
                keys.salt = salt;
                // A stage that died may tell of none.
                keys.distinct = groups_above(stage, at).unwrap_or(0);
                keys.hot = hot_shares(rows, keys);
                let total = rows.iter().sum::<u64>().max(1) as f64;
                keys.observed = rows.iter().map(|&n| n as f64 / total).collect();
            }
        }
    }
}

/// A partition is explained by a hot key where it has more than so many times the rows that hashing of equal keys leaves to
/// expect. Assumed: that other data than skewed ones differ less.
const HOT_FACTOR: f64 = 3.0;

/// Shares of the hot keys that explain the rows of partitions, descending: what the large ones have beyond the median. With
/// few keys hashing alone makes partitions uneven, the more so where several fall together.
fn hot_shares(rows: &[u64], keys: &Keys) -> Vec<f64> {
    let largest = keys.distinct_shares(rows.len()).into_iter().fold(0.0, f64::max);
    let mut sorted = rows.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let total: u64 = sorted.iter().sum();
    let mean_key = total.checked_div(keys.distinct).unwrap_or(0);
    let median = sorted.get((rows.len().saturating_sub(1)) / 2).copied().unwrap_or(0);
    let (mut hot, mut others) = (Vec::new(), total);
    // Of two partitions neither is the usual one.
    for n in sorted.into_iter().filter(|_| rows.len() > 2) {
        others -= n;
        let usual = (largest * others as f64).max(median.max(mean_key) as f64);
        if n as f64 <= HOT_FACTOR * usual {
            break;
        }
        hot.push((n - median) as f64 / total as f64);
    }
    hot
}

/// Groups that an aggregation makes of the rows which an operator reads: the keys by which they were shuffled.
fn groups_above(stage: &Stage, read: usize) -> Option<u64> {
    stage.operators.iter().find_map(|operator| match operator.kind {
        OperatorKind::HashAggregate { .. } | OperatorKind::ObjectHashAggregate { .. }
            if operator.inputs == [read] =>
        {
            Some(operator.rows.total())
        }
        _ => None,
    })
}

/// Rows of partitions from those of the tasks that read parts of them: what all parts of a partition read alike is counted
/// once.
fn unsplit(rows: &[u64], goes_on: &[bool]) -> Vec<u64> {
    let mut partitions: Vec<Vec<u64>> = Vec::new();
    for (task, &rows) in rows.iter().enumerate() {
        match partitions.last_mut().filter(|_| goes_on.get(task).copied().unwrap_or(false)) {
            Some(partition) => partition.push(rows),
            None => partitions.push(vec![rows]),
        }
    }
    let copied = |parts: &[u64]| parts.len() > 1 && parts.iter().all(|&rows| rows == parts[0]);
    partitions.iter().map(|parts| if copied(parts) { parts[0] } else { parts.iter().sum() }).collect()
}

/// The smallest relation, in powers of two as its rows' array grows (HJ-4), that does not fit a driver's heap while it is
/// built.
pub(super) fn relation_beyond(heap: u64, collected: u64, base: u64) -> u64 {
    let mut relation: u64 = 1 << 20;
    while base + collected + relation + relation / 2 <= fillable(heap) {
        relation *= 2;
    }
    relation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(keys: &Keys, partitions: usize) -> Vec<u64> {
        keys.shares(partitions).into_iter().map(|share| (share * 1e6).round() as u64).collect()
    }

    #[test]
    fn few_equal_keys_are_not_hot_however_they_fall() {
        const SALTS: u64 = 200;
        for distinct in [1, 3, 10, 60, 300] {
            let taken_for_hot = (0..SALTS).filter(|&salt| {
                let keys = Keys { distinct, salt, ..Keys::default() };
                // Spark's hash puts keys elsewhere than ours.
                !hot_shares(&rows_of(&keys, 16), &Keys { salt: salt + 1, ..keys }).is_empty()
            });
            let taken_for_hot = taken_for_hot.count();
            // Four keys of ten fall into one of the partitions in 5 of 100 cases.
            assert!(taken_for_hot <= if distinct == 10 { 10 } else { 0 }, "{distinct} keys: {taken_for_hot}");
        }
    }

    #[test]
    fn a_key_with_half_of_the_rows_is_hot_among_few_and_among_many() {
        for (salt, distinct) in (0..50).flat_map(|salt| [30, 300, 3_000, 0].map(|distinct| (salt, distinct)))
        {
            let rows = rows_of(&Keys { hot: vec![0.5], distinct, salt, ..Keys::default() }, 16);
            let hot = hot_shares(&rows, &Keys { distinct, salt: salt + 1, ..Keys::default() });
            assert!(matches!(hot[..], [share] if (share - 0.5).abs() < 0.1), "{distinct} {salt}: {hot:?}");
        }
    }

    #[test]
    fn partitions_without_rows_tell_of_no_keys() {
        let none: [&[u64]; 3] = [&[], &[0; 8], &[9, 1]];
        assert!(none.iter().all(|rows| hot_shares(rows, &Keys::default()).is_empty()));
    }
}
