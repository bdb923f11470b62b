//! The plan of a query under other settings than it ran under: which joins Spark would choose, the exchanges and sorts that
//! they need, and the stages and jobs that come of them.
//!
//! It follows `JoinSelection` (what is broadcast), `EnsureRequirements` (where exchanges and sorts stand) and
//! `AdaptiveSparkPlanExec` with `DynamicJoinSelection` (joins chosen again once shuffles are written) of Spark 4.1.
//! A query whose joins stay as they ran keeps its stages untouched. Left out: cost-based reordering of joins, bucketed
//! tables, joins without equal keys, which stay as they ran. Read `choice` (who is broadcast), `tree` (exchanges and
//! sorts), `rounds` (what adaptive execution changes while it runs), `restage` and `jobs` (operators into
//! stages, stages into jobs).

mod choice;
mod compression;
mod jobs;
mod relation;
mod restage;
mod rounds;
mod settle;
mod tree;

use crate::conf::Settings;
use crate::workload::{JoinSettings, Query, StepIndex, StepKind, Workload};

use choice::Sizes;

/// A workload whose queries are planned anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Replanned {
    /// What runs.
    pub workload: Workload,
    /// What was assumed, in sentences.
    pub assumed: Vec<String>,
}

/// The settings that decide how tables are joined.
pub fn join_settings(settings: &Settings) -> JoinSettings {
    let sql = &settings.sql;
    let local_map = sql.adaptive.max_hashed_partition_size;
    JoinSettings {
        adaptive: sql.adaptive.enabled,
        broadcast_threshold: sql.auto_broadcast_join_threshold,
        adaptive_broadcast_threshold: sql.adaptive.auto_broadcast_join_threshold,
        prefer_sort_merge: sql.prefer_sort_merge_join,
        local_map_threshold: (sql.adaptive.advisory_partition_size <= local_map).then_some(local_map),
    }
}

/// Plans the queries of a workload under `settings`; `None` where every join stays as it ran.
///
/// # Errors
/// Says of which query the log does not tell enough to plan it anew, when `settings` choose joins otherwise.
pub fn replan(workload: &Workload, settings: &Settings) -> Result<Option<Replanned>, String> {
    let now = join_settings(settings);
    let mut replanned: Option<Replanned> = None;
    for at in 0..workload.queries.len() {
        if workload.queries[at].chosen == now {
            continue;
        }
        let current = replanned.as_ref().map_or(workload, |replanned| &replanned.workload);
        let query = &current.queries[at];
        if !query.unknown.is_empty() {
            let query_name = name(current, query);
            if query.chosen.broadcast_threshold != now.broadcast_threshold {
                return Err(format!(
                    "{query_name}: these settings decide over its joins, and this log does not tell how they would be \
                     planned: {}",
                    query.unknown
                ));
            }
            let text = format!("{query_name}: its joins are left as they ran, since {}", query.unknown);
            let current = current.clone();
            let target =
                replanned.get_or_insert_with(|| Replanned { workload: current, assumed: Vec::new() });
            target.assumed.push(text);
            continue;
        }
        let Some(plan) = rounds::plan(current, query, settings, now) else { continue };
        let mut assumed = plan.assumed.clone();
        let workload = restage::restage(current, at, &plan, settings, &mut assumed);
        let target =
            replanned.get_or_insert(Replanned { workload: Workload::default(), assumed: Vec::new() });
        target.workload = workload;
        for text in assumed {
            if !target.assumed.contains(&text) {
                target.assumed.push(text);
            }
        }
    }
    Ok(replanned)
}

fn name(workload: &Workload, query: &Query) -> String {
    query.jobs.first().map_or_else(
        || "a query".to_owned(),
        |&job| format!("query of job {} ({})", workload.jobs[job].id, workload.jobs[job].name),
    )
}

/// Rows that come out of a step.
fn rows(workload: &Workload, query: &Query, step: StepIndex) -> u64 {
    let of = &query.steps[step];
    let from = match of.kind {
        // An exchange is known by what writes it.
        StepKind::Exchange { .. } => of.inputs.first().copied().unwrap_or(step),
        _ => step,
    };
    let place = query.steps[from].at.first();
    place.map_or(0, |place| workload.stages[place.stage].operators[place.operator].rows.total())
}
