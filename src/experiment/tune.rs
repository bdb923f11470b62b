//! The search for the cheapest configuration under constraints. It never answers with a point that it did not simulate.
//!
//! Where memory is minimised, a line of the space along its memory axis is searched by bisection: a configuration that has
//! enough memory mostly still has enough with more. That is checked on every line by a probe on either side of the border
//! that was found; where a probe disagrees the whole line is simulated. Other goals have no such order: a coarse lattice is
//! simulated, then the neighbours of its best points until none is better. Small spaces are simulated whole.
//!
//! Decisions are taken between batches of a fixed size, so that the answer does not depend on the number of threads.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::base::{Base, Prepared};
use super::points::Space;
use super::study::unless_broken;
use super::vary::number_of;
use crate::record::columns::{SUMMARY, Value};
use crate::record::{Outcome, RunRecord};

/// Spaces up to this many points are simulated whole: a search would save little and may miss.
const SMALL: u64 = 48;
/// Lines that are searched at once.
const LINES_AT_ONCE: usize = 8;
/// Positions of an axis on the coarse lattice.
const COARSE: usize = 5;
/// Points of a lattice at most, while more than two positions an axis are left.
const LATTICE_MAX: usize = 2_000;
/// Axes up to which all combinations of steps are neighbours; beyond, one step on one axis.
const DIAGONAL_MAX: usize = 4;
/// Points of the lattice from which the descent starts.
const STARTS: usize = 3;
/// How far from the optimum the answer of the lattice search may be: what ten spaces against exhaustive search showed.
pub const TOLERANCE: f64 = 0.05;
/// Spaces up to this many points are simulated whole when the search finds nothing that meets the constraints.
const BROAD: u64 = 20_000;
/// The miss of a point of which nothing is known: more than any failure.
const BROKEN: f64 = 100.0;
/// Keys whose larger values are more memory.
const MEMORY_KEYS: [&str; 7] = [
    "spark.executor.memory",
    "spark.driver.memory",
    "spark.executor.memoryOverhead",
    "spark.memory.offHeap.size",
    "spark.executor.pyspark.memory",
    "spark.executor.instances",
    "spillcast.containerLimit",
];

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
    fn broken(point: u64, said: &str) -> Self {
        Self {
            point,
            feasible: false,
            miss: BROKEN,
            why: format!("the simulation broke down, which is a fault of spillcast: {said}"),
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

/// How a search went.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Every point that was simulated.
    pub simulated: BTreeMap<u64, Verdict>,
    /// How it was searched, in words.
    pub method: String,
    /// The answer; `None` where nothing simulated meets the constraints.
    pub best: Option<Verdict>,
    /// The next cheapest that meets them.
    pub runner_up: Option<Verdict>,
    /// What comes nearest where nothing meets them.
    pub nearest: Option<Verdict>,
    /// Everything in the space was simulated.
    pub whole: bool,
}

struct Search<'a> {
    base: &'a Base,
    space: &'a Space,
    goal: Goal<'a>,
    simulated: BTreeMap<u64, Verdict>,
}

/// Searches `space` for the cheapest configuration.
pub fn tune(base: &Base, space: &Space, goal: Goal) -> Found {
    let mut search = Search { base, space, goal, simulated: BTreeMap::new() };
    let memory_axis = search.memory_axis();
    let mut method = match memory_axis {
        _ if space.len() <= SMALL || space.axes().is_none() => {
            search.everything();
            "every point was simulated".to_owned()
        }
        Some(axis) if goal.objective == Objective::Memory => search.by_bisection(axis),
        _ => search.by_descent(),
    };
    if search.best().is_none() && (search.simulated.len() as u64) < space.len() && space.len() <= BROAD {
        search.everything();
        method.push_str("; nothing met the constraints, so every other point was simulated too");
    }
    let ranked = search.ranked();
    let nearest =
        search.simulated.values().min_by(|a, b| a.miss.total_cmp(&b.miss).then(a.point.cmp(&b.point)));
    Found {
        method,
        best: ranked.first().map(|verdict| (*verdict).clone()),
        runner_up: ranked.get(1).map(|verdict| (*verdict).clone()),
        nearest: nearest.filter(|verdict| !verdict.feasible).cloned(),
        whole: search.simulated.len() as u64 == space.len(),
        simulated: search.simulated,
    }
}

/// Judges one configuration.
pub fn judge(base: &Base, point: u64, prepared: &Prepared, goal: Goal) -> Verdict {
    let mut verdict = Verdict {
        point,
        feasible: true,
        miss: 0.0,
        why: String::new(),
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
        let words = if run.reason.is_empty() { String::new() } else { format!(": {}", run.reason) };
        return (10.0 + 1.0 / (1.0 + done), format!("{}{words}", run.outcome.as_str()));
    }
    let mut worst = (0.0, String::new());
    for limit in limits {
        let value = match SUMMARY.cell(limit.column, run, run) {
            Some(Value::Int(number)) => number as f64,
            Some(Value::Float(number)) => number,
            // What is not modelled keeps every limit that nobody can check.
            _ => continue,
        };
        let kept = match (limit.at_most, limit.inclusive) {
            (true, true) => value <= limit.limit,
            (true, false) => value < limit.limit,
            (false, true) => value >= limit.limit,
            (false, false) => value > limit.limit,
        };
        let miss = (value - limit.limit).abs() / limit.limit.abs().max(1.0);
        // A value on a limit that is not allowed misses by next to nothing, but misses.
        let miss = miss.clamp(f64::EPSILON, 9.0);
        if !kept && miss > worst.0 {
            worst = (miss, format!("{} is {value}, the limit {}", limit.column, limit.limit));
        }
    }
    worst
}

impl Search<'_> {
    fn simulate(&mut self, points: &[u64]) {
        let (base, space, goal) = (self.base, self.space, self.goal);
        let mut todo: Vec<u64> =
            points.iter().copied().filter(|point| !self.simulated.contains_key(point)).collect();
        todo.sort_unstable();
        todo.dedup();
        let verdicts: Vec<Verdict> = todo
            .into_par_iter()
            .map(|point| {
                unless_broken(|| {
                    let prepared = base
                        .prepare(space.keys(), &space.values(point))
                        .unwrap_or_else(|faults| Prepared::Refused(faults.join("; ")));
                    judge(base, point, &prepared, goal)
                })
                .unwrap_or_else(|said| Verdict::broken(point, &said))
            })
            .collect();
        self.simulated.extend(verdicts.into_iter().map(|verdict| (verdict.point, verdict)));
    }

    fn everything(&mut self) {
        let all: Vec<u64> = (0..self.space.len()).collect();
        self.simulate(&all);
    }

    /// Points that meet the constraints, the cheapest first; of equals the one that takes less memory, then less time.
    fn ranked(&self) -> Vec<&Verdict> {
        let objective = self.goal.objective;
        let mut feasible: Vec<&Verdict> =
            self.simulated.values().filter(|verdict| verdict.feasible).collect();
        feasible.sort_by(|a, b| {
            let by_value = a.value(objective).total_cmp(&b.value(objective));
            by_value
                .then(a.memory.cmp(&b.memory))
                .then(a.wall_ms.total_cmp(&b.wall_ms))
                .then(a.point.cmp(&b.point))
        });
        feasible
    }

    fn best(&self) -> Option<&Verdict> {
        self.ranked().first().copied()
    }

    /// The axis along which memory grows, with the most values of those there are.
    fn memory_axis(&self) -> Option<usize> {
        let axes = self.space.axes()?;
        let grows = |at: &usize| {
            let axis = &axes[*at];
            axis.values.len() > 2
                && MEMORY_KEYS.contains(&axis.key.as_str())
                && axis.values.iter().all(|value| number_of(&axis.key, value).is_some())
        };
        (0..axes.len()).filter(grows).max_by_key(|at| (axes[*at].values.len(), std::cmp::Reverse(*at)))
    }

    fn memory_of(&self, point: u64) -> Option<u64> {
        let prepared = self.base.prepare(self.space.keys(), &self.space.values(point)).ok()?;
        prepared.allocated_memory()
    }

    fn feasible(&self, point: u64) -> bool {
        self.simulated.get(&point).is_some_and(|verdict| verdict.feasible)
    }

    fn by_bisection(&mut self, axis: usize) -> String {
        let axes = self.space.axes().unwrap_or_default();
        let key = &axes[axis].key;
        let number = |at: &usize| number_of(key, &axes[axis].values[*at]).unwrap_or(0.0);
        let mut order: Vec<usize> = (0..axes[axis].values.len()).collect();
        order.sort_by(|a, b| number(a).total_cmp(&number(b)));
        let lines: Vec<Vec<u64>> = (0..self.space.len())
            .filter(|point| self.space.positions(*point)[axis] == 0)
            .map(|start| {
                let mut positions = self.space.positions(start);
                let place = |at: &usize| {
                    positions[axis] = *at;
                    self.space.at(&positions)
                };
                order.iter().map(place).collect()
            })
            .collect();
        let (mut broken, mut skipped) = (0, 0);
        for batch in lines.chunks(LINES_AT_ONCE) {
            // Beyond the best so far a line need not be looked at.
            let limit = self.best().map(|verdict| verdict.memory);
            let mut active: Vec<Line> = Vec::new();
            for line in batch {
                let reach = match limit {
                    None => line.len(),
                    Some(limit) => line.partition_point(|point| {
                        self.memory_of(*point).is_some_and(|memory| memory <= limit)
                    }),
                };
                if reach == 0 {
                    skipped += 1;
                } else {
                    active.push(Line {
                        points: line[..reach].to_vec(),
                        fails: None,
                        holds: reach,
                        border: false,
                    });
                }
            }
            broken += self.search_lines(&mut active);
        }
        let passed = match skipped {
            0 => String::new(),
            _ => format!(" ({skipped} passed over: their least memory is more than the best)"),
        };
        let mut method = format!(
            "bisection along {key} on {} lines{passed}; probes on both sides of each border",
            lines.len()
        );
        if broken > 0 {
            method.push_str("; on ");
            method.push_str(&broken.to_string());
            method.push_str(
                " lines more memory was not always enough where less was, and these were simulated whole",
            );
        } else {
            method.push_str(" agreed that more memory is never worse");
        }
        method
    }

    /// Finds the border on each line, checks it, and simulates whole lines where the check fails. Gives their number.
    fn search_lines(&mut self, lines: &mut [Line]) -> usize {
        let tops: Vec<u64> = lines.iter().map(|line| line.points[line.points.len() - 1]).collect();
        self.simulate(&tops);
        for line in lines.iter_mut() {
            let top = line.points.len() - 1;
            if self.feasible(line.points[top]) {
                line.holds = top;
            } else {
                // Not even the most memory is enough; the probe below checks the middle.
                line.fails = Some(top);
                line.border = true;
            }
        }
        loop {
            let middles: Vec<u64> = lines.iter().filter_map(Line::middle).map(|(_, point)| point).collect();
            if middles.is_empty() {
                break;
            }
            self.simulate(&middles);
            for line in lines.iter_mut() {
                if let Some((at, point)) = line.middle() {
                    if self.feasible(point) { line.holds = at } else { line.fails = Some(at) }
                }
            }
        }
        let probes: Vec<u64> =
            lines.iter().flat_map(|line| line.probes().map(|at| line.points[at])).collect();
        self.simulate(&probes);
        let mut broken = 0;
        for line in lines {
            let wrong = line.probes().any(|at| self.feasible(line.points[at]) != (at >= line.holds));
            if wrong {
                broken += 1;
                let points = line.points.clone();
                self.simulate(&points);
            }
        }
        broken
    }

    fn by_descent(&mut self) -> String {
        let axes = self.space.axes().unwrap_or_default();
        let on = |most: usize| axes.iter().map(|axis| coarse(axis.values.len(), most)).collect::<Vec<_>>();
        let size = |lattice: &Vec<Vec<usize>>| {
            lattice.iter().try_fold(1_usize, |size, axis| size.checked_mul(axis.len())).unwrap_or(usize::MAX)
        };
        let lattice =
            (3..=COARSE).rev().map(on).find(|lattice| size(lattice) <= LATTICE_MAX).unwrap_or_else(|| on(2));
        let mut points: Vec<Vec<usize>> = vec![Vec::new()];
        for axis in &lattice {
            points =
                points.iter().flat_map(|p| axis.iter().map(move |at| [&p[..], &[*at]].concat())).collect();
        }
        let points: Vec<u64> = points.iter().map(|positions| self.space.at(positions)).collect();
        self.simulate(&points);
        let lattice = points.len();
        let rank = |search: &Self, point: u64| {
            let verdict = &search.simulated[&point];
            (verdict.miss, verdict.value(search.goal.objective), verdict.memory, point)
        };
        let order = |a: &(f64, f64, u64, u64), b: &(f64, f64, u64, u64)| {
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3))
        };
        let mut starts: Vec<u64> = points;
        starts.sort_by(|a, b| order(&rank(self, *a), &rank(self, *b)));
        starts.truncate(STARTS);
        let mut steps = 0;
        for start in starts {
            let mut here = start;
            loop {
                let around = self.neighbours(here);
                self.simulate(&around);
                let next = around.into_iter().min_by(|a, b| order(&rank(self, *a), &rank(self, *b)));
                match next {
                    Some(next) if order(&rank(self, next), &rank(self, here)).is_lt() => here = next,
                    _ => break,
                }
                steps += 1;
            }
        }
        format!(
            "a lattice of {lattice} points, then from its {STARTS} best to better neighbours, {steps} times; it may miss the \
             optimum by {:.0} %",
            TOLERANCE * 100.0
        )
    }

    /// Points one step away, on every combination of axes where they are few.
    fn neighbours(&self, point: u64) -> Vec<u64> {
        let axes = self.space.axes().unwrap_or_default();
        let positions = self.space.positions(point);
        let mut around: Vec<Vec<usize>> = vec![Vec::new()];
        if axes.len() > DIAGONAL_MAX {
            around.clear();
            for (at, axis) in axes.iter().enumerate() {
                for step in [positions[at].checked_sub(1), Some(positions[at] + 1)].into_iter().flatten() {
                    if step < axis.values.len() {
                        let mut near = positions.clone();
                        near[at] = step;
                        around.push(near);
                    }
                }
            }
            return around.iter().map(|positions| self.space.at(positions)).collect();
        }
        for (at, axis) in axes.iter().enumerate() {
            let here = positions[at];
            let near = here.saturating_sub(1)..=(here + 1).min(axis.values.len() - 1);
            around =
                around.iter().flat_map(|p| near.clone().map(move |at| [&p[..], &[at]].concat())).collect();
        }
        around.iter().map(|positions| self.space.at(positions)).filter(|near| *near != point).collect()
    }
}

/// A line of the space, from little memory to much.
struct Line {
    points: Vec<u64>,
    /// Largest position known not to be enough.
    fails: Option<usize>,
    /// Smallest position known to be enough; the length of the line where none is.
    holds: usize,
    /// Nothing is left to bisect.
    border: bool,
}

impl Line {
    /// The next position to look at, with its point.
    fn middle(&self) -> Option<(usize, u64)> {
        let low = self.fails.map_or(0, |at| at + 1);
        if self.border || low >= self.holds {
            return None;
        }
        let at = usize::midpoint(low, self.holds.saturating_sub(1));
        Some((at, self.points[at]))
    }

    /// Positions that should confirm the border: half-way on either side of it.
    fn probes(&self) -> impl Iterator<Item = usize> + use<> {
        let holds = if self.border { self.points.len() } else { self.holds };
        let below = (holds > 1).then_some(holds / 2);
        let above =
            (holds + 1 < self.points.len()).then(|| usize::midpoint(holds + 1, self.points.len() - 1));
        below.into_iter().chain(above)
    }
}

/// At most `most` (2 or more) positions of a coarse lattice on an axis of so many values, both ends among them.
fn coarse(length: usize, most: usize) -> Vec<usize> {
    if length <= most {
        return (0..length).collect();
    }
    (0..most).map(|at| at * (length - 1) / (most - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lattices_have_both_ends() {
        assert_eq!(coarse(3, 5), [0, 1, 2]);
        assert_eq!(coarse(9, 5), [0, 2, 4, 6, 8]);
        assert_eq!(coarse(12, 5), [0, 2, 5, 8, 11]);
        assert_eq!(coarse(12, 2), [0, 11]);
    }

    #[test]
    fn a_line_is_halved_until_its_border_is_known() {
        for border in 0..=7 {
            let mut line = Line { points: (0..8).collect(), fails: None, holds: 7, border: false };
            let mut looks = 0;
            while let Some((at, _)) = line.middle() {
                if at >= border {
                    line.holds = at;
                } else {
                    line.fails = Some(at);
                }
                looks += 1;
            }
            assert_eq!(line.holds, border);
            assert!(looks <= 3, "{looks} for {border}");
        }
    }

    #[test]
    fn a_miss_says_what_and_a_failure_is_further_than_a_limit() {
        let mut run = RunRecord { wall_ns: 2_000_000_000, ..RunRecord::default() };
        let limit = Limit { column: "wallMs", at_most: true, inclusive: true, limit: 1_000.0 };
        let (miss, why) = misses(&run, std::slice::from_ref(&limit));
        assert_eq!((miss, why.as_str()), (1.0, "wallMs is 2000, the limit 1000"));
        assert_eq!(misses(&run, &[Limit { limit: 2_000.0, ..limit.clone() }]).0, 0.0);
        assert!(misses(&run, &[Limit { limit: 2_000.0, inclusive: false, ..limit.clone() }]).0 > 0.0);
        run.outcome = Outcome::HeapOom;
        assert!(misses(&run, &[limit]).0 > 9.0);
    }
}
