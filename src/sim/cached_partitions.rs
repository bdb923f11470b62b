//! How many partitions a cached dataset has under other settings: as many as the shuffle that its lineage reads.
//!
//! What is cached is planned before it is used, and its last stage is left as it is by adaptive execution (4.1.4:
//! `spark.sql.adaptive.applyFinalStageShuffleOptimizations` is off there; a run with adaptive execution cached 8 partitions of
//! 16 MB each, which it would else have put together). Left out: lineages that read files, whose splits stay as in the log,
//! and datasets of scenarios by hand, whose partitions are what the file says under any settings (only an import counts
//! what was written).

use super::plan::partitions;
use crate::conf::Settings;
use crate::workload::{
    CachedPartition, Dataset, DatasetIndex, Operator, OperatorKind, ShuffleIndex, Stage, Workload,
};

/// The workload with cached datasets partitioned as under `settings`; `None` where all stay as they are.
pub(super) fn repartition(workload: &Workload, settings: &Settings) -> Option<Workload> {
    let mut changed: Option<Workload> = None;
    for (index, dataset) in workload.datasets.iter().enumerate() {
        let Some((stage, top)) = workload.stages.iter().find_map(|stage| lineage(stage, index)) else {
            continue;
        };
        let Some((shuffle, grouped)) = source(&stage.operators, top) else { continue };
        let of = &workload.shuffles[shuffle];
        let count = partitions(of, settings, u64::MAX) as usize;
        // A stage of the log says how many there were; the dataset may have been partitioned otherwise by hand.
        if count == dataset.partitions.len() || of.keys.observed.len() != dataset.partitions.len() {
            continue;
        }
        let shares = if grouped { of.keys.distinct_shares(count) } else { of.keys.shares(count) };
        let target = changed.get_or_insert_with(|| workload.clone());
        target.datasets[index] = with_shares(dataset, &shares);
    }
    changed
}

/// A stage's lineage of a dataset.
fn lineage(stage: &Stage, of: DatasetIndex) -> Option<(&Stage, usize)> {
    stage.operators.iter().find_map(|operator| match operator.kind {
        OperatorKind::CachedScan { dataset, lineage: Some(top) } if dataset == of => Some((stage, top)),
        _ => None,
    })
}

/// The shuffle that an operator's rows come from, and whether they were grouped since.
fn source(operators: &[Operator], top: usize) -> Option<(ShuffleIndex, bool)> {
    let mut grouped = false;
    let mut at = &operators[top];
    loop {
        match at.kind {
            OperatorKind::ShuffleRead { shuffle, .. } => return Some((shuffle, grouped)),
            OperatorKind::HashAggregate { .. } | OperatorKind::ObjectHashAggregate { .. } => grouped = true,
            _ => {}
        }
        at = &operators[*at.inputs.first()?];
    }
}

fn with_shares(dataset: &Dataset, shares: &[f64]) -> Dataset {
    let sum = |value: fn(&CachedPartition) -> u64| dataset.partitions.iter().map(value).sum::<u64>() as f64;
    let (memory, serialized, disk) =
        (sum(|p| p.memory_bytes), sum(|p| p.serialized_bytes), sum(|p| p.disk_bytes));
    let part = |total: f64, share: f64| (total * share).round() as u64;
    let partitions: Vec<CachedPartition> = shares
        .iter()
        .map(|&share| CachedPartition {
            memory_bytes: part(memory, share),
            serialized_bytes: part(serialized, share),
            disk_bytes: part(disk, share),
        })
        .collect();
    let elements = dataset.elements * dataset.partitions.len() as u64 / shares.len().max(1) as u64;
    Dataset { partitions, elements: elements.max(1), ..dataset.clone() }
}
