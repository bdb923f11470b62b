//! How well the rows of a new shuffle compress: as they did in the nearest shuffle that they went through, a join's rows as
//! those of its sides by their bytes; rows that went through none like all shuffled rows of the query, of the application,
//! or as usual.
//!
//! What counts is a row beyond the first of its block; what blocks cost by themselves is added when the run is planned
//! ([`crate::workload::reblocked_bytes`]).

use crate::workload::{
    Distribution, OperatorKind, Query, ShuffleIndex, StepIndex, StepKind, Workload, reblocked_bytes,
};

/// Rows a block below which a shuffle tells more of its blocks than of its rows.
const TELLING_ROWS: u64 = 10;

/// Compression of the rows of a query's steps.
pub(super) struct Compression<'a> {
    query: &'a Query,
    /// By shuffle: bytes of its rows, serialized and compressed; `None` where its blocks are too small to tell.
    told: Vec<Option<(f64, f64)>>,
    /// Of rows that no shuffle tells of.
    mean: f64,
}

impl<'a> Compression<'a> {
    pub(super) fn new(old: &Workload, query: &'a Query) -> Self {
        /// About the median of the twelve hash exchanges of over 100 rows in three public queries over a star schema (W11:
        /// longs, doubles, dates, short texts; lz4, `local-cluster[2,1,512]`, no broadcasts): shuffle bytes written / data size
        /// is 0.44, from 0.27 to 0.68. What blocks cost is still in these, so rows alone compress a little better. Chosen with
        /// these runs in view, no hold-out; few partitions (4) gave as low as 0.21.
        const USUAL: f64 = 0.45;
        let told: Vec<_> = (0..old.shuffles.len()).map(|shuffle| tells(old, shuffle)).collect();
        let own = query.steps.iter().filter_map(|step| match step.kind {
            StepKind::Exchange { shuffle, .. } => Some(shuffle),
            _ => None,
        });
        let hashed = |shuffle: &ShuffleIndex| old.shuffles[*shuffle].distribution == Distribution::Hash;
        let own: Vec<ShuffleIndex> = own.filter(hashed).collect();
        let all: Vec<ShuffleIndex> = (0..old.shuffles.len()).filter(hashed).collect();
        let mean = mean(&told, &own).or_else(|| mean(&told, &all)).unwrap_or(USUAL);
        Self { query, told, mean }
    }

    /// Compressed bytes for one serialized byte of the rows of a step.
    pub(super) fn of(&self, step: StepIndex) -> f64 {
        let of = &self.query.steps[step];
        match of.kind {
            StepKind::Exchange { shuffle, .. } => {
                self.told[shuffle].map_or(self.mean, |(plain, compressed)| compressed / plain)
            }
            _ if of.inputs.is_empty() => self.mean,
            _ => {
                let bytes = |&input: &StepIndex| self.query.steps[input].row_bytes.max(1) as f64;
                let all: f64 = of.inputs.iter().map(bytes).sum();
                of.inputs.iter().map(|input| self.of(*input) * bytes(input) / all).sum()
            }
        }
    }
}

/// Serialized and compressed bytes of the rows of a shuffle, as if it were one block.
fn tells(old: &Workload, shuffle: ShuffleIndex) -> Option<(f64, f64)> {
    let of = &old.shuffles[shuffle];
    let (mut rows, mut bytes) = (0, 0);
    for operator in old.stages.iter().flat_map(|stage| &stage.operators) {
        if let OperatorKind::ShuffleWrite { shuffle: written, bytes: compressed } = &operator.kind
            && *written == shuffle
        {
            rows += operator.rows.total();
            bytes += compressed.total();
        }
    }
    let whole = reblocked_bytes(bytes, rows, of.record_bytes, of.blocks, 1);
    let plain = rows as f64 * of.record_bytes as f64;
    (plain > 0.0 && rows >= of.blocks.saturating_mul(TELLING_ROWS)).then_some((plain, whole as f64))
}

/// Mean of some shuffles, by bytes.
fn mean(told: &[Option<(f64, f64)>], shuffles: &[ShuffleIndex]) -> Option<f64> {
    let (mut plain, mut compressed) = (0.0, 0.0);
    for (of_plain, of_compressed) in shuffles.iter().filter_map(|&shuffle| told[shuffle]) {
        plain += of_plain;
        compressed += of_compressed;
    }
    (plain > 0.0).then(|| compressed / plain)
}
