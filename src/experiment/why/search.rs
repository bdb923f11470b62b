//! The smallest move of a setting that reaches a goal, found by doubling and then halving the last step. Every value that
//! is reported was run. What lies between two values that were run is taken to behave like its neighbours.

use super::bench::{Bench, Change, Trial};
use super::lever::Lever;
use crate::record::Outcome;

/// A value is found to one part in so many, as a power of two.
const PRECISION_BITS: u32 = 5;

/// Parts of a step that leads too far which are tried when no step reaches the goal.
const STEP_PARTS: u64 = 8;

/// A value of a setting, and the run that shows what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// What it changes.
    pub changes: Vec<Change>,
    /// What happens then.
    pub trial: Trial,
}

/// Where a search ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The smallest move that reaches the goal, and the largest that was tried and does not; none where that is no
    /// move at all.
    Reached {
        /// Reaches it.
        least: Box<Tried>,
        /// Does not.
        below: Option<Box<Tried>>,
    },
    /// No value that was tried reaches it; the last one.
    Never(Box<Tried>),
}

/// Steps in which a value near `value` is looked for.
fn granule(value: u64) -> u64 {
    1 << (value.max(1).ilog2()).saturating_sub(PRECISION_BITS)
}

/// Nothing starts, or it finds no place to run.
fn does_not_run(trial: &Trial) -> bool {
    matches!(trial.record.outcome, Outcome::Refused | Outcome::Other)
}

/// Looks for the smallest move of `lever` on top of `base` under which `reached` holds.
pub fn search(
    bench: &Bench<'_>,
    base: &[Change],
    lever: &Lever,
    details: bool,
    reached: &dyn Fn(&Trial) -> bool,
) -> Found {
    let run = |value: u64| {
        let changes = lever.changes(value);
        let all: Vec<Change> = base.iter().chain(&changes).cloned().collect();
        Tried { changes, trial: bench.run(&all, details) }
    };
    let mut bad = (lever.from, None);
    let mut good = None;
    // A step that leads too far: up, what does not start; down, the first one.
    let mut too_far = None;
    for value in lever.ladder() {
        let tried = run(value);
        if reached(&tried.trial) {
            good = Some((value, tried));
            break;
        }
        if lever.is_up() && does_not_run(&tried.trial) {
            too_far = Some(value);
            break;
        }
        bad = (value, Some(tried));
    }
    let start = if lever.is_up() { bad.0 } else { lever.from };
    if !lever.is_up() {
        too_far = lever.ladder().first().copied();
    }
    if let (None, Some(end)) = (&good, too_far) {
        // Between too little and too much there may be a value that the step jumps over.
        let part = |part: u64| {
            if lever.is_up() {
                start + (end - start) * part / STEP_PARTS
            } else {
                start - (start - end) * part / STEP_PARTS
            }
        };
        let mut between: Vec<u64> = (1..STEP_PARTS).map(part).collect();
        between.dedup();
        let mut before = if lever.is_up() { bad.clone() } else { (lever.from, None) };
        let mut reached_at = None;
        for value in between.into_iter().filter(|&value| value != start && value != end) {
            let tried = run(value);
            if reached(&tried.trial) {
                reached_at = Some((value, tried));
                break;
            }
            if lever.is_up() && does_not_run(&tried.trial) {
                break;
            }
            before = (value, Some(tried));
        }
        if reached_at.is_some() || lever.is_up() {
            bad = before;
        }
        good = reached_at;
    }
    let Some((mut value, mut least)) = good else {
        let (_, last) = bad;
        return match last {
            Some(last) => Found::Never(Box::new(last)),
            None => Found::Never(Box::new(Tried { changes: Vec::new(), trial: bench.run(base, details) })),
        };
    };
    loop {
        let step = granule(value.min(bad.0));
        let middle = value.abs_diff(bad.0) / 2 / step * step;
        if middle == 0 {
            break;
        }
        let next = if value > bad.0 { value - middle } else { value + middle };
        let next = if value > bad.0 { (next / step * step).max(bad.0 + 1) } else { next };
        if next == value || next == bad.0 {
            break;
        }
        let tried = run(next);
        if reached(&tried.trial) {
            (value, least) = (next, tried);
        } else {
            bad = (next, Some(tried));
        }
    }
    Found::Reached { least: Box::new(least), below: bad.1.map(Box::new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_three_in_a_hundred() {
        for (value, step) in [(1, 1), (32, 1), (63, 1), (64, 2), (1024, 32), (u64::MAX, 1 << 58)] {
            assert_eq!(granule(value), step, "{value}");
        }
    }
}
