//! The jobs of a query that is planned anew, put in the place of those that ran it.
//!
//! Adaptive execution submits every stage that writes, samples or collects as a job of its own; without it a job takes all
//! stages below that nobody ran before, and only broadcast tables and samples have jobs of their own.

use super::restage::{Piece, Purpose, Restager};
use crate::workload::{Job, JobIndex, OperatorKind, Query, StageIndex, StepKind, Workload};

/// The new workload.
pub(super) fn put_together(restager: Restager<'_>, at: usize, adaptive: bool) -> Workload {
    let Restager { old, query, shuffles, broadcasts, pieces, .. } = restager;
    let mut workload = Workload { shuffles, broadcasts, ..old.clone() };
    let mut replaced = vec![false; old.stages.len()];
    for place in query.steps.iter().flat_map(|step| &step.at) {
        replaced[place.stage] = true;
    }
    for stage in pieces.iter().filter_map(|piece| piece.ends_as) {
        replaced[stage] = true;
    }
    // A stage that only collected a shuffle to broadcast it is no step of the query.
    for (index, stage) in old.stages.iter().enumerate() {
        if let Some(OperatorKind::Broadcast { broadcast }) = stage.operators.last().map(|last| &last.kind) {
            replaced[index] |= query
                .steps
                .iter()
                .any(|step| matches!(&step.kind, StepKind::Join(join) if join.broadcast == Some(*broadcast)));
        }
    }
    // Stages that stay move up; the new ones come behind them.
    let mut stays: Vec<Option<StageIndex>> = Vec::with_capacity(old.stages.len());
    let mut kept = 0;
    for &gone in &replaced {
        stays.push((!gone).then_some(kept));
        kept += usize::from(!gone);
    }
    let successor = |stage: StageIndex| {
        stays[stage]
            .or_else(|| pieces.iter().position(|piece| piece.ends_as == Some(stage)).map(|at| kept + at))
    };
    workload.stages.clear();
    for (index, stage) in old.stages.iter().enumerate().filter(|(index, _)| !replaced[*index]) {
        let parents = stage.parents.iter().filter_map(|&parent| successor(parent)).collect();
        debug_assert_eq!(stays[index], Some(workload.stages.len()));
        workload.stages.push(crate::workload::Stage { parents, ..stage.clone() });
    }
    for piece in &pieces {
        let parents = piece.reads.iter().map(|&read| kept + read).collect();
        workload.stages.push(crate::workload::Stage { parents, ..piece.stage.clone() });
    }
    let (jobs, of) = jobs(old, query, &pieces, adaptive, &stays, kept);
    workload.jobs = jobs;
    for dataset in &mut workload.datasets {
        dataset.unpersist_after = dataset.unpersist_after.map(|job| of[job]);
    }
    for (index, query) in workload.queries.iter_mut().enumerate() {
        if index == at {
            "it is planned anew already".clone_into(&mut query.unknown);
            query.steps.clear();
        }
        for job in &mut query.jobs {
            *job = of[*job];
        }
        query.jobs.dedup();
        for place in query.steps.iter_mut().flat_map(|step| &mut step.at) {
            place.stage = successor(place.stage).unwrap_or(0);
        }
    }
    workload
}

/// All jobs, those of the query replaced, and where each old one went.
fn jobs(
    old: &Workload,
    query: &Query,
    pieces: &[Piece],
    adaptive: bool,
    stays: &[Option<StageIndex>],
    kept: usize,
) -> (Vec<Job>, Vec<JobIndex>) {
    let gone = |job: JobIndex| {
        query.jobs.contains(&job) && old.jobs[job].stages.iter().all(|&stage| stays[stage].is_none())
    };
    let first = (0..old.jobs.len()).find(|&job| gone(job)).unwrap_or(0);
    let groups = if adaptive { alone(pieces) } else { together(pieces) };
    let mut jobs: Vec<Job> = Vec::new();
    let mut of = vec![0; old.jobs.len()];
    let mut last = 0;
    for (index, job) in old.jobs.iter().enumerate() {
        if index == first {
            let begin = jobs.len();
            let mut next_id = old.jobs.iter().map(|job| job.id).max().unwrap_or(0);
            let mut gaps: Vec<u64> = query.jobs.iter().skip(1).map(|&job| old.jobs[job].gap_ns).collect();
            gaps.sort_unstable();
            let usual_gap = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
            for group in &groups {
                let known =
                    group.pieces.iter().filter_map(|&piece| pieces[piece].ends_as).find_map(|stage| {
                        query.jobs.iter().map(|&job| &old.jobs[job]).find(|job| job.stages.contains(&stage))
                    });
                let (after, gap_ns) = if group.after.is_empty() {
                    (job.after.iter().map(|&job| of[job]).collect(), job.gap_ns)
                } else {
                    let gap = known.map_or(usual_gap, |job| job.gap_ns);
                    (group.after.iter().map(|&group| begin + group).collect(), gap)
                };
                next_id = next_id.saturating_add(1);
                jobs.push(Job {
                    id: known.map_or(next_id, |job| job.id),
                    name: known.unwrap_or(job).name.clone(),
                    stages: group.pieces.iter().map(|&piece| kept + piece).collect(),
                    after,
                    gap_ns,
                });
            }
            last = jobs.len().saturating_sub(1);
        }
        if gone(index) {
            of[index] = last;
            continue;
        }
        of[index] = jobs.len();
        let mut after: Vec<JobIndex> = job.after.iter().map(|&job| of[job]).collect();
        after.dedup();
        let stages = job.stages.iter().filter_map(|&stage| stays[stage]).collect();
        jobs.push(Job { stages, after, ..job.clone() });
    }
    (jobs, of)
}

/// Pieces that one job runs, and the groups before it.
struct Group {
    pieces: Vec<usize>,
    after: Vec<usize>,
}

/// A job for each piece.
fn alone(pieces: &[Piece]) -> Vec<Group> {
    let groups = pieces.iter().enumerate().map(|(at, piece)| {
        let mut after: Vec<usize> = piece.reads.iter().chain(&piece.waits).copied().collect();
        after.sort_unstable();
        after.dedup();
        Group { pieces: vec![at], after }
    });
    groups.collect()
}

/// A job for each piece that nobody reads the shuffle of, with all below that no job before ran.
fn together(pieces: &[Piece]) -> Vec<Group> {
    let mut group_of: Vec<Option<usize>> = vec![None; pieces.len()];
    let mut groups: Vec<Group> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        if piece.purpose == Purpose::Map {
            continue;
        }
        let number = groups.len();
        let (mut found, mut after, mut todo) = (Vec::new(), Vec::new(), vec![at]);
        while let Some(at) = todo.pop() {
            match group_of[at] {
                Some(other) if other != number => after.push(other),
                Some(_) => {}
                None => {
                    group_of[at] = Some(number);
                    found.push(at);
                    todo.extend(&pieces[at].reads);
                    after.extend(pieces[at].waits.iter().filter_map(|&wait| group_of[wait]));
                }
            }
        }
        found.sort_unstable();
        after.sort_unstable();
        after.dedup();
        after.retain(|&group| group != number);
        groups.push(Group { pieces: found, after });
    }
    groups
}
