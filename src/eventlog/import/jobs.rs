//! When jobs followed one another.

use std::collections::BTreeSet;

use super::builder::Builder;
use super::honesty::Honesty;
use crate::eventlog::app_log::JobResult;
use crate::workload::{Job, Stage};

impl Builder<'_> {
    pub(super) fn jobs(&self, honesty: &mut Honesty) -> Vec<Job> {
        // The jobs before the one at hand, by their ends.
        let mut ended: BTreeSet<(u64, usize)> = BTreeSet::new();
        let start = self.log.start_ms.or(self.log.jobs.first().and_then(|job| job.submit_ms)).unwrap_or(0);
        let mut jobs = Vec::new();
        for (index, job) in self.log.jobs.iter().enumerate() {
            let submitted = job.submit_ms.unwrap_or(start);
            // The job that ended last before this one was submitted is what the driver waited for.
            let last = ended.range(..=(submitted, usize::MAX)).next_back();
            let before = last.map(|&(_, other)| other);
            let since = last.map_or(start, |&(end, _)| end);
            ended.extend(job.complete_ms.map(|end| (end, index)));
            if let JobResult::Failed(reason) = &job.result {
                honesty.assume(format!(
                    "job {} failed in this log ({}); what it would have done afterwards is unknown",
                    job.job_id,
                    reason.chars().take(120).collect::<String>()
                ));
            }
            let execution = job.sql_execution.and_then(|id| self.log.sql.iter().find(|sql| sql.id == id));
            let name = execution.map(|sql| sql.description.clone()).filter(|text| !text.is_empty());
            let stages: Vec<usize> =
                job.stage_ids.iter().filter_map(|id| self.run_of.get(id).copied()).collect();
            let name = name
                .or_else(|| stages.last().map(|&at| self.runs[at].record.name.clone()))
                .unwrap_or_else(|| format!("job {}", job.job_id));
            jobs.push(Job {
                id: job.job_id,
                name,
                stages,
                after: before.into_iter().collect(),
                gap_ns: submitted.saturating_sub(since) * 1_000_000,
            });
        }
        jobs
    }
}

/// A stage whose job the log does not name never runs: nobody waits for it.
pub(super) fn wait_for_jobs_only(jobs: &[Job], stages: &mut [Stage]) {
    let in_jobs: BTreeSet<usize> = jobs.iter().flat_map(|job| job.stages.iter().copied()).collect();
    for stage in stages {
        stage.parents.retain(|parent| in_jobs.contains(parent));
    }
}
