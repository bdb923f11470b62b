//! Stages that a query never came to, because it failed before: the plan is in the log, the tasks are not. What is known of
//! such a stage is which broadcast tables its tasks load, and that is enough to tell whether an executor can hold them;
//! its rows, times and spills are unknown, and that is said.

use std::collections::BTreeSet;

use super::builder::Builder;
use super::fragments::{Boundary, boundary, metric};
use super::honesty::Honesty;
use super::rates::task_slots;
use crate::workload::{Job, Operator, OperatorKind, Partitioning, PerTask, Stage};

impl Builder<'_> {
    /// Appends, for each query that failed, what it would have run on the broadcast tables that it had built or was
    /// building.
    pub(super) fn add_unrun(&self, jobs: &mut Vec<Job>, stages: &mut Vec<Stage>, honesty: &mut Honesty) {
        for sql in self.log.sql.iter().filter(|sql| sql.error.is_some()) {
            let Some(cut) = self.plans.get(&sql.id) else { continue };
            let ran = |job: &usize| self.log.jobs[*job].sql_execution == Some(sql.id);
            let Some(last) = (0..self.log.jobs.len()).rev().find(ran) else { continue };
            for (index, fragment) in cut.fragments.iter().enumerate() {
                if fragment.cached_as.is_some() || self.fragment_of.contains(&Some((sql.id, index))) {
                    continue;
                }
                let tables: BTreeSet<usize> = fragment
                    .nodes
                    .iter()
                    .map(|&at| &cut.plan.nodes[at as usize])
                    .filter(|node| boundary(node) == Boundary::Broadcast)
                    .filter_map(|node| self.broadcast_of.get(&metric(node, "data size")?).copied())
                    .collect();
                if tables.is_empty() {
                    continue;
                }
                let stage = self.probe(stages, &tables);
                honesty.assume(format!(
                    "query {}: a stage that probes broadcast tables never ran in this log; only loading the tables is \
                     simulated, its rows, spills and time are unknown",
                    sql.id
                ));
                let id = jobs.iter().map(|job| job.id + 1).max().unwrap_or(0);
                jobs.push(Job {
                    id,
                    name: stage.name.clone(),
                    stages: vec![stages.len()],
                    after: vec![last],
                    gap_ns: 0,
                });
                stages.push(stage);
            }
        }
    }

    fn probe(&self, stages: &[Stage], tables: &BTreeSet<usize>) -> Stage {
        let operator = |name: &str, kind, inputs| Operator {
            name: name.to_owned(),
            kind,
            inputs,
            rows: PerTask::default(),
            row_bytes: 0,
            cpu_ns: PerTask::default(),
            heap_bytes: PerTask::default(),
        };
        let mut operators =
            vec![operator("scan", OperatorKind::Scan { bytes: PerTask::default() }, Vec::new())];
        for &broadcast in tables {
            let input = vec![operators.len() - 1];
            operators.push(operator(
                "BroadcastHashJoin",
                OperatorKind::BroadcastHashJoin { broadcast },
                input,
            ));
        }
        let input = vec![operators.len() - 1];
        operators.push(operator("Output", OperatorKind::Output { bytes: PerTask::default() }, input));
        Stage {
            id: stages.iter().map(|stage| stage.id + 1).max().unwrap_or(0),
            name: "never ran in the log".to_owned(),
            parents: Vec::new(),
            // As many tasks as the log's executors run at once, so that each of them loads the tables.
            partitioning: Partitioning::Fixed(task_slots(self.settings)),
            operators,
            result_bytes: PerTask::default(),
            launch_ns: PerTask::default(),
            allocated_bytes: PerTask::default(),
            background_threads: 0.0,
            compile_ns: 0,
            warm_up_ns: 0,
        }
    }
}
