//! What one point of a search turned out to be: whether it meets the constraints, by how much it misses them, and what it
//! costs.

use super::base::{Base, Prepared};
use super::explain::root_cause;
use crate::record::columns::total_of;
use crate::record::{Outcome, RunRecord};

/// The miss of a point of which nothing is known: more than any failure.
const BROKEN: f64 = 100.0;

/// The miss of a limit on what is not modelled, and the most that any limit is missed by: less than a failure.
const UNKNOWN: f64 = 9.0;

/// What is to be least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Memory of all executors.
    Memory,
    /// Mean `wallMs`.
    Time,
    /// Memory times time.
    Cost,
}

/// A limit on a column of the summary; every replication must keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The column.
    pub column: &'static str,
    /// The value must not be above the limit; otherwise not below.
    pub at_most: bool,
    /// The limit itself is allowed.
    pub inclusive: bool,
    /// In the unit of the column.
    pub limit: f64,
}

/// What one point turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Its number.
    pub point: u64,
    /// Every replication ends well and keeps every limit.
    pub feasible: bool,
    /// By how much the worst replication misses: 0 where feasible, a relative excess for a limit, 10 and more for a failure.
    pub miss: f64,
    /// What it misses, in words; empty where feasible.
    pub why: String,
    /// Some run died of more memory in use than its container or host has.
    pub overcommits: bool,
    /// Bytes that the executors take.
    pub memory: u64,
    /// Mean `wallMs` over the replications that end well.
    pub wall_ms: f64,
    /// Mean `memoryBytesSpilled` over them.
    pub spilled: f64,
    /// Largest share of an executor's heap in live use.
    pub heap_share: Option<f64>,
    /// Largest share of an executor's container in use.
    pub container_share: Option<f64>,
}

impl Verdict {
    /// A point whose simulation broke down (a fault of this program): nothing is known of it, so that it is no answer.
    pub(super) fn broken(point: u64, said: &str) -> Self {
        Self {
            point,
            feasible: false,
            miss: BROKEN,
            why: format!("the simulation broke down, which is a fault of spillcast: {said}"),
            overcommits: false,
            memory: 0,
            wall_ms: 0.0,
            spilled: 0.0,
            heap_share: None,
            container_share: None,
        }
    }

    /// Whether its simulation broke down.
    pub fn is_broken(&self) -> bool {
        self.miss >= BROKEN
    }

    /// What is to be least.
    pub fn value(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Memory => self.memory as f64,
            Objective::Time => self.wall_ms,
            Objective::Cost => self.memory as f64 * self.wall_ms,
        }
    }
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub struct Goal<'a> {
    /// What is to be least.
    pub objective: Objective,
    /// What must hold; that the application ends well always must.
    pub limits: &'a [Limit],
    /// Replications of each point.
    pub replications: u32,
}

/// Judges one configuration.
pub fn judge(base: &Base, point: u64, prepared: &Prepared, goal: Goal) -> Verdict {
    let mut verdict = Verdict {
        point,
        feasible: true,
        miss: 0.0,
        why: String::new(),
        overcommits: false,
        memory: prepared.allocated_memory().unwrap_or(0),
        wall_ms: 0.0,
        spilled: 0.0,
        heap_share: None,
        container_share: None,
    };
    let mut ok = 0_u32;
    for replication in 0..goal.replications.max(1) {
        let run = base.run(prepared, replication, false);
        let (miss, why) = misses(&run, goal.limits);
        if miss > verdict.miss {
            (verdict.miss, verdict.why, verdict.feasible) = (miss, why, false);
        }
        verdict.overcommits |= matches!(run.outcome, Outcome::ContainerKilled | Outcome::HostOomKilled);
        if run.outcome == Outcome::Ok {
            ok += 1;
            verdict.wall_ms += run.wall_ns as f64 / 1e6;
            verdict.spilled += run.totals.memory_bytes_spilled as f64;
        }
        let share = |used: Option<u64>, of: Option<u64>| Some(used? as f64 / of.filter(|of| *of > 0)? as f64);
        for executor in &run.executors {
            let heap = share(executor.metrics.peak_heap_used, Some(executor.heap_bytes));
            let container = share(executor.metrics.peak_rss, executor.container_bytes);
            verdict.heap_share = larger(verdict.heap_share, heap);
            verdict.container_share = larger(verdict.container_share, container);
        }
    }
    verdict.wall_ms /= f64::from(ok.max(1));
    verdict.spilled /= f64::from(ok.max(1));
    verdict
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// By how much a run misses what must hold, and what.
fn misses(run: &RunRecord, limits: &[Limit]) -> (f64, String) {
    if run.outcome != Outcome::Ok {
        // Of failures the one that got further is nearer.
        let done = run.totals.tasks.saturating_sub(run.totals.failed_tasks) as f64;
        let cause = root_cause(&run.reason);
        let words = if cause.is_empty() { String::new() } else { format!(": {cause}") };
        return (10.0 + 1.0 / (1.0 + done), format!("{}{words}", run.outcome.as_str()));
    }
    let (mut worst, mut why) = (0.0_f64, Vec::new());
    for limit in limits {
        let Some(value) = total_of(run, limit.column) else {
            // Nobody can say that it keeps the limit.
            worst = worst.max(UNKNOWN);
            why.push(format!("{} is not modelled", limit.column));
            continue;
        };
        let kept = match (limit.at_most, limit.inclusive) {
            (true, true) => value <= limit.limit,
            (true, false) => value < limit.limit,
            (false, true) => value >= limit.limit,
            (false, false) => value > limit.limit,
        };
        let miss = (value - limit.limit).abs() / limit.limit.abs().max(1.0);
        // A value on a limit that is not allowed misses by next to nothing, but misses.
        let miss = miss.clamp(f64::EPSILON, UNKNOWN);
        if !kept {
            worst = worst.max(miss);
            why.push(format!("{} is {value}, the limit {}", limit.column, limit.limit));
        }
    }
    (worst, why.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_says_what_and_a_failure_is_further_than_a_limit() {
        let mut run = RunRecord { wall_ns: 2_000_000_000, ..RunRecord::default() };
        let limit = Limit { column: "wallMs", at_most: true, inclusive: true, limit: 1_000.0 };
        let (miss, why) = misses(&run, std::slice::from_ref(&limit));
        assert_eq!((miss, why.as_str()), (1.0, "wallMs is 2000, the limit 1000"));
        assert_eq!(misses(&run, &[Limit { limit: 2_000.0, ..limit.clone() }]).0, 0.0);
        assert!(misses(&run, &[Limit { limit: 2_000.0, inclusive: false, ..limit.clone() }]).0 > 0.0);
        let other = Limit { column: "tasks", at_most: false, inclusive: true, limit: 4.0 };
        let (miss, why) = misses(&run, &[limit.clone(), other]);
        assert_eq!((miss, why.as_str()), (1.0, "wallMs is 2000, the limit 1000; tasks is 0, the limit 4"));
        let unknown = Limit { column: "swapInBytes", limit: 0.0, ..limit.clone() };
        assert_eq!(misses(&run, &[unknown]), (9.0, "swapInBytes is not modelled".to_owned()));
        run.outcome = Outcome::HeapOom;
        assert!(misses(&run, &[limit]).0 > 9.0);
    }
}
