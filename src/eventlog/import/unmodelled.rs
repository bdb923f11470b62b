//! What happened in a log that a simulation does not repeat: attempts that failed or were speculative, executors that came
//! and went, streams, operators that nobody knows. Each is said, with what it does to the answer.

use std::collections::BTreeMap;

use super::honesty::Honesty;
use super::operators::is_python;
use crate::eventlog::app_log::{AppLog, TaskEndState};
use crate::eventlog::observed::user_failure;

/// Operators of Spark, by the beginnings of their names. What is not among them is a vendor's or a plug-in's.
const OPERATORS_OF_SPARK: [&str; 58] = [
    "AQEShuffleRead",
    "AdaptiveSparkPlan",
    "AppendColumns",
    "AppendData",
    "ArrowEval",
    "AttachDistributedSequence",
    "BatchEvalPython",
    "BatchScan",
    "Broadcast",
    "CartesianProduct",
    "CoGroup",
    "Coalesce",
    "Collect",
    "ColumnarToRow",
    "CommandResult",
    "CustomShuffleReader",
    "DeserializeToObject",
    "EmptyRelation",
    "EventTimeWatermark",
    "Exchange",
    "Execute",
    "Expand",
    "ExternalRDD",
    "FileScan",
    "Filter",
    "FlatMap",
    "Generate",
    "GlobalLimit",
    "HashAggregate",
    "InMemory",
    "InputAdapter",
    "LocalLimit",
    "LocalTableScan",
    "Map",
    "MergingSessions",
    "MicroBatchScan",
    "ObjectHashAggregate",
    "OverwriteByExpression",
    "Project",
    "Range",
    "ReplaceData",
    "Result",
    "Reused",
    "RowToColumnar",
    "Sample",
    "Scan",
    "SerializeFromObject",
    "Shuffle",
    "Sort",
    "State",
    "Streaming",
    "Subquery",
    "TableCacheQueryStage",
    "TakeOrderedAndProject",
    "Union",
    "WholeStageCodegen",
    "Window",
    "Write",
];
/// Operators that an assumption names.
const NAMED: usize = 4;

/// Says what of the log is not repeated.
pub(super) fn say(log: &AppLog, honesty: &mut Honesty) {
    attempts(log, honesty);
    executors(log, honesty);
    streams(log, honesty);
    operators(log, honesty);
    if let Some(reason) = user_failure(log) {
        honesty.repeats = Some(reason);
    }
}

fn attempts(log: &AppLog, honesty: &mut Honesty) {
    let failures = || {
        log.tasks.iter().filter_map(|task| match &task.end {
            TaskEndState::Failed(failure) => Some(failure),
            _ => None,
        })
    };
    if let Some(first) = failures().next() {
        let what = if first.class.is_empty() { &first.reason } else { &first.class };
        honesty.assume(format!(
            "{} task attempts failed in this log (the first: {what}); failures that memory does not explain are not \
             repeated, nor is the time they cost",
            failures().count()
        ));
    }
    let speculative = log.tasks.iter().filter(|task| task.speculative).count();
    if speculative > 0 {
        honesty.assume(format!(
            "{speculative} task attempts of this log were speculative; speculation is not simulated, the attempt that won \
             stands for the task"
        ));
    }
}

fn executors(log: &AppLog, honesty: &mut Honesty) {
    let on =
        |key: &str| log.properties.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if on("spark.dynamicAllocation.enabled") {
        honesty.assume(
            "executors came and went in this log (dynamic allocation); all of them are there from the start, and waiting for \
             them is not simulated",
        );
        return;
    }
    let lost: Vec<&str> = log.executors.iter().filter_map(|e| e.removed_reason.as_deref()).collect();
    if let Some(first) = lost.first() {
        let first: String = first.chars().take(80).collect();
        honesty.assume(format!(
            "{} executors were lost in this log (the first: {first}); losses that memory does not explain are not repeated",
            lost.len()
        ));
    }
}

fn streams(log: &AppLog, honesty: &mut Honesty) {
    let batches = log.jobs.iter().filter(|job| job.properties.contains_key("sql.streaming.queryId")).count();
    if batches > 0 {
        honesty.assume(format!(
            "{batches} jobs are batches of a stream; each has the rows that it had in this log, though slower or faster \
             batches would take in others, and its state store is not simulated"
        ));
    }
}

fn operators(log: &AppLog, honesty: &mut Honesty) {
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for node in log.sql.iter().filter_map(|sql| sql.final_plan()).flat_map(|plan| &plan.nodes) {
        let name = node.name.trim();
        let known = OPERATORS_OF_SPARK.iter().any(|known| name.starts_with(known));
        if !known && !is_python(name) && !name.is_empty() {
            *unknown.entry(name).or_default() += 1;
        }
    }
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.keys().copied().take(NAMED).collect();
        honesty.assume(format!(
            "operators of other makers than Spark ({}{}) take time as in this log and hold no memory that is simulated",
            names.join(", "),
            if unknown.len() > NAMED { " and others" } else { "" }
        ));
    }
}
