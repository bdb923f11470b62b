//! The answer of `why` as one JSON object. Its keys only grow: none changes its name or meaning.

use serde_json::{Map, Value, json};

use super::Context;
use crate::experiment::why::slow::SlowDown;
use crate::experiment::why::{Change, Fix, Link, Why};
use crate::record::{Approach, Fall, RunRecord};

/// The answer as a JSON object.
pub fn json(why: &Why, context: &Context<'_>) -> Value {
    let record = &why.trial.record;
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("spillcast", json!(env!("CARGO_PKG_VERSION")));
    put("input", json!(context.input));
    put("seed", json!(record.seed));
    put("sparkVersion", json!(record.spark_version));
    put("class", json!(why.class.as_str()));
    put("outcome", json!(record.outcome.as_str()));
    put("reason", json!(record.reason));
    put("wallMs", json!(ms(record.wall_ns)));
    if let Some(observed) = context.observed {
        let same = observed.outcome == record.outcome;
        let mut value = json!({ "outcome": observed.outcome.as_str(), "reason": observed.reason });
        if !context.changed {
            value["sameAsReplay"] = json!(same);
        }
        put("observed", value);
    }
    if let Some(fall) = &why.first {
        put("fellFirst", fall_json(record, fall));
    }
    if let Some(near) = &why.runner_up {
        put("runnerUp", approach_json(record, near));
    }
    put("limits", record.limits.iter().map(|approach| approach_json(record, approach)).collect());
    put(
        "timeline",
        why.moments
            .iter()
            .map(|moment| json!({ "timeMs": ms(moment.time_ns), "text": moment.text }))
            .collect(),
    );
    if let Some(share) = why.hot_share {
        put("hotKeyShare", json!(share));
    }
    put("changes", why.fixes.iter().map(|fix| fix_json(why, fix)).collect());
    put("noHelp", why.useless.iter().map(|lever| changes_json(&lever.changes)).collect());
    if !why.chain.is_empty() {
        put("chain", why.chain.iter().map(|link| link_json(record, link)).collect());
    }
    put("slowDowns", why.slow.iter().map(|slow| slow_json(why, slow)).collect());
    put("runs", json!(why.runs));
    let confidence = &record.confidence;
    put(
        "confidence",
        json!({ "grade": confidence.grade, "assumed": confidence.assumed, "replay": confidence.replay }),
    );
    Value::Object(object)
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn changes_json(changes: &[Change]) -> Value {
    Value::Object(changes.iter().map(|change| (change.key.clone(), json!(change.value))).collect())
}

fn executor_json(record: &RunRecord, position: Option<u32>) -> Value {
    position
        .and_then(|at| record.executors.get(at as usize))
        .map_or_else(|| json!("driver"), |executor| json!(executor.id))
}

fn approach_json(record: &RunRecord, approach: &Approach) -> Value {
    json!({
        "limit": approach.limit.as_str(),
        "limitBytes": approach.limit_bytes,
        "usedBytes": approach.used,
        "headroomBytes": approach.headroom(),
        "executorId": executor_json(record, approach.executor),
    })
}

fn fall_json(record: &RunRecord, fall: &Fall) -> Value {
    let holders: Vec<Value> = fall
        .holders
        .iter()
        .map(|holder| {
            let mut value = json!({
                "holding": holder.holding.as_str(),
                "name": holder.name,
                "bytes": holder.bytes,
                "offHeap": holder.off_heap,
                "stays": holder.stays,
            });
            for (key, id) in [("taskId", holder.task_id), ("stageId", holder.stage_id.map(u64::from))] {
                if let Some(id) = id {
                    value[key] = json!(id);
                }
            }
            value
        })
        .collect();
    let mut value = json!({
        "limit": fall.limit.as_str(),
        "timeMs": ms(fall.time_ns),
        "executorId": executor_json(record, fall.executor),
        "usedBytes": fall.used,
        "limitBytes": fall.limit_bytes,
        "overBytes": fall.over(),
        "runningTasks": fall.running_tasks,
        "ledger": holders,
    });
    if let Some(silence) = &fall.silence {
        value["pauseMs"] = json!(ms(silence.pause_ns));
        value["silentMs"] = json!(ms(silence.silent_ns));
        value["timeoutMs"] = json!(ms(silence.timeout_ns));
    }
    let ids = [
        ("taskId", fall.task_id),
        ("stageId", fall.stage_id.map(u64::from)),
        ("index", fall.index.map(u64::from)),
    ];
    for (key, id) in ids {
        if let Some(id) = id {
            value[key] = json!(id);
        }
    }
    if let Some(pool) = &fall.pool {
        value["poolBytes"] = json!(pool.bytes);
        value["poolFreeBytes"] = json!(pool.free);
        value["activeTasks"] = json!(pool.active_tasks);
    }
    value
}

fn fix_json(why: &Why, fix: &Fix) -> Value {
    let trial = &fix.tried.trial;
    let mut value = json!({
        "change": changes_json(&fix.tried.changes),
        "setting": fix.key,
        "now": fix.from,
        "class": fix.class.as_str(),
        "outcome": trial.record.outcome.as_str(),
        "clean": trial.is_clean(),
        "wallMs": ms(trial.record.wall_ns),
        "moreMemoryBytes": trial.reserved_bytes as i64 - why.trial.reserved_bytes as i64,
    });
    if let Some((changes, class)) = &fix.below {
        value["notYet"] = changes_json(changes);
        value["notYetClass"] = json!(class.as_str());
    }
    value
}

fn link_json(record: &RunRecord, link: &Link) -> Value {
    let mut value = json!({ "class": link.class.as_str(), "change": changes_json(&link.changes) });
    if let Some(fall) = &link.fall {
        value["fell"] = fall_json(record, fall);
    }
    value
}

fn slow_json(why: &Why, slow: &SlowDown) -> Value {
    let helps: Vec<Value> = slow
        .helps
        .iter()
        .map(|help| {
            let trial = &help.tried.trial;
            let mut value = json!({
                "change": changes_json(&help.tried.changes),
                "setting": help.key,
                "now": help.from,
                "ends": help.ends,
                "wallMs": ms(trial.record.wall_ns),
                "moreMemoryBytes": trial.reserved_bytes as i64 - why.trial.reserved_bytes as i64,
            });
            if let Some(below) = &help.below {
                value["notYet"] = changes_json(below);
            }
            value
        })
        .collect();
    let mut value = json!({
        "kind": slow.kind,
        "lostMs": ms(slow.lost_ns),
        "text": slow.text,
        "helps": helps,
        "noHelp": slow.useless.iter().map(|lever| changes_json(&lever.changes)).collect::<Vec<_>>(),
    });
    if let Some(floor) = &slow.floor {
        let mut bound = json!({
            "stageId": floor.stage_id,
            "longestTaskMs": ms(floor.longest_ns),
            "workMs": ms(floor.work_ns),
        });
        if let Some(share) = floor.hot_share {
            bound["hotKeyShare"] = json!(share);
        }
        if let Some((longest, partitions)) = floor.most_partitions {
            bound["partitionsTried"] = json!(partitions);
            bound["longestTaskMsThen"] = json!(ms(longest));
        }
        if let Some(wall) = floor.salted_wall_ns {
            bound["saltedWallMs"] = json!(ms(wall));
        }
        value["floor"] = bound;
    }
    value
}
