//! SQL executions: plans come with the start and with each adaptive update; the last one is kept whole, of those
//! between only the metrics that disappeared.

use std::collections::{BTreeMap, BTreeSet};

use super::app_log::SqlExecutionRecord;
use super::collect::{first_line, owned};
use super::events_sql::{AdaptiveExecutionUpdate, AdaptiveMetricUpdates, SqlExecutionEnd, SqlExecutionStart};
use super::plan::{PlanMetric, SqlPlan};
use super::values::MaybeInt;

/// Collects executions by id.
#[derive(Default)]
pub(super) struct SqlCollector {
    executions: BTreeMap<u64, Execution>,
}

#[derive(Default)]
struct Execution {
    record: SqlExecutionRecord,
    /// Metrics of all plans and updates seen, by accumulator.
    seen: BTreeMap<u64, (String, PlanMetric)>,
}

impl SqlCollector {
    fn execution(&mut self, id: u64) -> &mut Execution {
        let execution = self.executions.entry(id).or_default();
        execution.record.id = id;
        execution
    }

    /// Notes a start; gives its time.
    pub(super) fn start(
        &mut self,
        event: SqlExecutionStart<'_>,
        properties: &BTreeMap<String, String>,
    ) -> Result<MaybeInt, serde_json::Error> {
        let Some(id) = event.id.known() else { return Ok(event.time) };
        let plan = event.plan.map(SqlPlan::parse).transpose()?;
        let execution = self.execution(id);
        execution.see(plan.as_ref());
        let record = &mut execution.record;
        record.root = event.root.known();
        record.description = event.description.into_string();
        record.start_ms = event.time.ms();
        record.initial_plan = plan;
        record.modified_configs = owned(event.modified.unwrap_or_default());
        record.modified_configs.retain(|key, value| properties.get(key) != Some(value));
        Ok(event.time)
    }

    /// Notes an end; gives its time.
    pub(super) fn end(&mut self, event: SqlExecutionEnd<'_>) -> MaybeInt {
        if let Some(id) = event.id.known() {
            let record = &mut self.execution(id).record;
            record.end_ms = event.time.ms();
            record.error = event.error.non_empty().as_deref().map(first_line);
        }
        event.time
    }

    pub(super) fn adaptive_update(
        &mut self,
        event: &AdaptiveExecutionUpdate<'_>,
    ) -> Result<(), serde_json::Error> {
        let (Some(id), Some(raw)) = (event.id.known(), event.plan) else { return Ok(()) };
        let plan = SqlPlan::parse(raw)?;
        let execution = self.execution(id);
        execution.see(Some(&plan));
        execution.record.adaptive_plan = Some(plan);
        execution.record.adaptive_updates += 1;
        Ok(())
    }

    /// Metrics that an adaptive plan adds without a new plan; the operator is not stated.
    pub(super) fn adaptive_metrics(&mut self, event: AdaptiveMetricUpdates<'_>) {
        let Some(id) = event.id.known() else { return };
        let execution = self.execution(id);
        for metric in event.metrics.into_iter().filter_map(PlanMetric::new) {
            execution.seen.entry(metric.accumulator).or_insert((String::new(), metric));
        }
    }

    pub(super) fn finish(self) -> Vec<SqlExecutionRecord> {
        self.executions.into_values().map(Execution::finish).collect()
    }
}

impl Execution {
    fn see(&mut self, plan: Option<&SqlPlan>) {
        for node in plan.iter().flat_map(|plan| &plan.nodes) {
            for metric in &node.metrics {
                self.seen.entry(metric.accumulator).or_insert_with(|| (node.name.clone(), metric.clone()));
            }
        }
    }

    fn finish(self) -> SqlExecutionRecord {
        let Self { mut record, mut seen } = self;
        let last: BTreeSet<u64> = record
            .final_plan()
            .iter()
            .flat_map(|plan| &plan.nodes)
            .flat_map(|node| &node.metrics)
            .map(|metric| metric.accumulator)
            .collect();
        seen.retain(|accumulator, _| !last.contains(accumulator));
        record.earlier_metrics = seen.into_values().collect();
        record
    }
}
