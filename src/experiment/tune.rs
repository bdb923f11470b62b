//! The search for the cheapest configuration under constraints. It never answers with a point that it did not simulate.
//!
//! Where memory is minimised, a line of the space along its memory axis is searched by bisection: a configuration that has
//! enough memory mostly still has enough with more. It need not: containers are granted in steps, so that a larger heap may
//! leave less beside it, and under a fixed limit or on a full host more heap is what kills. So every line is probed at
//! several places on either side of the border that was found, and where containers come in steps at both ends of each
//! step; where a probe disagrees, or the most memory is what kills, the whole line is simulated. Other goals have no such
//! order: a coarse lattice is simulated, then the neighbours of its best points until none is better. Small spaces are
//! simulated whole.
//!
//! Decisions are taken between batches of a fixed size, so that the answer does not depend on the number of threads.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::base::{Base, Prepared};
use super::points::Space;
use super::study::unless_broken;
use super::vary::number_of;
use super::verdict::{Goal, Objective, Verdict, judge};

/// Spaces up to this many points are simulated whole: a search would save little and may miss.
const SMALL: u64 = 48;
/// Lines that are searched at once.
const LINES_AT_ONCE: usize = 8;
/// Positions below a border, as shares of it in quarters, that should confirm it.
const QUARTERS: [usize; 3] = [1, 2, 3];
/// Steps of granted memory on a line that are probed.
const STEPS_PROBED: usize = 16;
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
            "bisection along {key} on {}{passed}; probes on both sides of each border",
            counted(lines.len())
        );
        if broken > 0 {
            method.push_str("; on ");
            method.push_str(&counted(broken));
            method.push_str(" more memory was not always enough where less was: simulated whole");
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
                // Not even the most memory is enough.
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
        let places: Vec<Vec<usize>> = lines.iter().map(|line| self.probes(line)).collect();
        let probes = lines.iter().zip(&places).flat_map(|(line, at)| at.iter().map(|at| line.points[*at]));
        self.simulate(&probes.collect::<Vec<u64>>());
        let mut broken = 0;
        for (line, places) in lines.iter().zip(places) {
            let overcommits = |point: &u64| self.simulated.get(point).is_some_and(|v| v.overcommits);
            let too_much = line.border && line.points.last().is_some_and(overcommits);
            let agrees = |at: &usize| self.feasible(line.points[*at]) == (!line.border && *at >= line.holds);
            if too_much || !places.iter().all(agrees) {
                broken += 1;
                let points = line.points.clone();
                self.simulate(&points);
            }
        }
        broken
    }

    /// Positions that should confirm the border of a line: between both ends and the border, and below it the ends of each
    /// step in which memory is granted.
    fn probes(&self, line: &Line) -> Vec<usize> {
        let points = &line.points;
        let holds = if line.border { points.len() } else { line.holds };
        let mut places: Vec<usize> = QUARTERS.iter().map(|quarter| holds * quarter / 4).collect();
        if holds + 1 < points.len() {
            places.push(usize::midpoint(holds + 1, points.len() - 1));
        }
        let mut from = 0;
        for _ in 0..STEPS_PROBED {
            let Some(granted) = points[..holds].get(from).and_then(|point| self.memory_of(*point)) else {
                break;
            };
            let length = points[from..holds]
                .partition_point(|point| self.memory_of(*point).is_some_and(|memory| memory <= granted));
            if length > 1 {
                places.extend([from, from + length - 1]);
            }
            from += length.max(1);
        }
        places.retain(|at| *at < points.len() && (line.border || *at != line.holds));
        places.sort_unstable();
        places.dedup();
        places
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
}

fn counted(lines: usize) -> String {
    if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") }
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
}
