//! How well the rows of a new shuffle compress: as they did in the nearest shuffle that they went through, a join's rows as
//! those of its sides by their bytes; rows that went through none like all shuffled rows of the query, of the application,
//! or by Spark's usual half.

use crate::workload::{Distribution, OperatorKind, Query, ShuffleIndex, StepIndex, StepKind, Workload};

/// Compression of the rows of a query's steps.
pub(super) struct Compression<'a> {
    old: &'a Workload,
    query: &'a Query,
    /// Of rows that no shuffle tells of.
    mean: f64,
}

impl<'a> Compression<'a> {
    pub(super) fn new(old: &'a Workload, query: &'a Query) -> Self {
        /// Longs and doubles shuffled in no order, compressed by lz4.
        const USUAL: f64 = 0.5;
        let own = query.steps.iter().filter_map(|step| match step.kind {
            StepKind::Exchange { shuffle, .. } => Some(shuffle),
            _ => None,
        });
        let own: Vec<ShuffleIndex> = own.collect();
        let all: Vec<ShuffleIndex> = (0..old.shuffles.len()).collect();
        let mean = mean(old, &own).or_else(|| mean(old, &all)).unwrap_or(USUAL);
        Self { old, query, mean }
    }

    /// Compressed bytes for one serialized byte of the rows of a step.
    pub(super) fn of(&self, step: StepIndex) -> f64 {
        let of = &self.query.steps[step];
        match of.kind {
            StepKind::Exchange { shuffle, .. } => self.old.shuffles[shuffle].compression,
            _ if of.inputs.is_empty() => self.mean,
            _ => {
                let bytes = |&input: &StepIndex| self.query.steps[input].row_bytes.max(1) as f64;
                let all: f64 = of.inputs.iter().map(bytes).sum();
                of.inputs.iter().map(|input| self.of(*input) * bytes(input) / all).sum()
            }
        }
    }
}

/// Mean of the hash shuffles among `shuffles`, by bytes.
fn mean(old: &Workload, shuffles: &[ShuffleIndex]) -> Option<f64> {
    let (mut plain, mut compressed) = (0.0, 0.0);
    for operator in old.stages.iter().flat_map(|stage| &stage.operators) {
        let OperatorKind::ShuffleWrite { shuffle, .. } = operator.kind else { continue };
        let of = &old.shuffles[shuffle];
        if shuffles.contains(&shuffle) && of.distribution == Distribution::Hash {
            let bytes = operator.rows.total() as f64 * of.record_bytes as f64;
            plain += bytes;
            compressed += bytes * of.compression;
        }
    }
    (plain > 0.0).then(|| compressed / plain)
}
