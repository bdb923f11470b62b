//! Jobs that only sample: before rows are exchanged by range, Spark runs their stage once to draw the boundaries, and then
//! once more to write them (`RangePartitioner.sketch`). Into one partition there is nothing to draw, and no job (`rangeBounds`
//! gives no bounds for fewer than two partitions).
//!
//! A log shows the two as twins: stages of one query with the same parents and operators, of which the first gives a result
//! and the second writes the shuffle. Hand-written workloads have no such jobs.

use super::plan::{OperatorPlan, StagePlan};
use crate::workload::{Distribution, OperatorKind, ShuffleIndex, Stage, StageIndex, Workload};

/// A stage that samples and the stage that then writes the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplingTwins {
    /// The stage that samples.
    pub sample: StageIndex,
    /// The stage that writes.
    pub writer: StageIndex,
    /// What it writes.
    pub shuffle: ShuffleIndex,
}

/// Takes the tasks away from stages that would sample for an exchange into one partition.
pub(super) fn skip_needless(workload: &Workload, shuffle_partitions: &[u32], stages: &mut [StagePlan]) {
    for twins in sampling_twins(workload) {
        if shuffle_partitions[twins.shuffle] == 1 {
            let plan = &mut stages[twins.sample];
            let operators = vec![OperatorPlan::default(); plan.operators.len()];
            *plan = StagePlan { operators, ..StagePlan::default() };
        }
    }
}

/// The stages of an imported workload that only sample, each with the stage that it samples for.
pub fn sampling_twins(workload: &Workload) -> Vec<SamplingTwins> {
    (0..workload.stages.len()).filter_map(|stage| twins_of(workload, stage)).collect()
}

fn twins_of(workload: &Workload, sample: StageIndex) -> Option<SamplingTwins> {
    let stage = &workload.stages[sample];
    if workload.queries.is_empty() || !matches!(stage.operators.last()?.kind, OperatorKind::Output { .. }) {
        return None;
    }
    let of = |stage: StageIndex| workload.jobs.iter().position(|job| job.stages.contains(&stage));
    let job = of(sample)?;
    let query = workload.queries.iter().find(|query| query.jobs.contains(&job))?;
    (sample + 1..workload.stages.len()).find_map(|writer| {
        let later = &workload.stages[writer];
        let OperatorKind::ShuffleWrite { shuffle, .. } = later.operators.last()?.kind else { return None };
        let by_range = workload.shuffles[shuffle].distribution == Distribution::Range;
        let later_job = of(writer)?;
        let same_query = later_job > job && query.jobs.contains(&later_job);
        (by_range && same_query && are_twins(stage, later)).then_some(SamplingTwins {
            sample,
            writer,
            shuffle,
        })
    })
}

/// Whether two stages do the same but for what they end with.
fn are_twins(one: &Stage, other: &Stage) -> bool {
    let body = |stage: &Stage| stage.operators.len() - 1;
    let kind = |stage: &Stage, at: usize| std::mem::discriminant(&stage.operators[at].kind);
    let same = |at: usize| {
        kind(one, at) == kind(other, at) && one.operators[at].inputs == other.operators[at].inputs
    };
    one.parents == other.parents && body(one) == body(other) && (0..body(one)).all(same)
}
