//! The smallest move of a setting that reaches a goal, found by doubling and then halving the last step. Every value that
//! is reported was run. What lies between two values that were run is taken to behave like its neighbours.

use super::bench::{Bench, Change, Trial};
use super::lever::Lever;

/// A value is found to one part in so many, as a power of two.
const PRECISION_BITS: u32 = 5;

/// Parts of the first step down that are tried when no step reaches the goal.
const FIRST_STEP_PARTS: u64 = 8;

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
    for value in lever.ladder() {
        let tried = run(value);
        if reached(&tried.trial) {
            good = Some((value, tried));
            break;
        }
        bad = (value, Some(tried));
    }
    if good.is_none() && !lever.is_up() {
        // Between too much and too little there may be a value that the first step jumps over.
        let first = lever.ladder().first().copied().unwrap_or(lever.to);
        let mut between: Vec<u64> = (1..FIRST_STEP_PARTS)
            .map(|part| lever.from - (lever.from - first) * part / FIRST_STEP_PARTS)
            .collect();
        between.dedup();
        let mut before = (lever.from, None);
        for value in between.into_iter().filter(|&value| value != lever.from && value != first) {
            let tried = run(value);
            if reached(&tried.trial) {
                good = Some((value, tried));
                bad = before;
                break;
            }
            before = (value, Some(tried));
        }
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
