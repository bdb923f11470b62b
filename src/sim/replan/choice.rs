//! How two tables are joined: `JoinSelection` and `JoinSelectionHelper` of Spark 4.1.
//!
//! Before anything runs Spark compares its own estimates with the threshold. A log tells them from one side only: what was
//! broadcast was at most the threshold of the log, what was not was above it. Where the new threshold is on the far side
//! the choice is certain; between, the largest size that the relation can have by its files decides, and that is said.

use super::rows;
use crate::workload::{Join, JoinSettings, Query, Side, StepIndex, StepKind, Strategy, Workload};

/// Sizes of the inputs of joins.
pub(super) struct Sizes<'a> {
    pub(super) workload: &'a Workload,
    pub(super) query: &'a Query,
    /// Scale of the data.
    pub(super) scale: f64,
}

impl Sizes<'_> {
    /// The most bytes that Spark can take the rows of a step to have, `None`: unknown or huge. `written` gives the bytes of
    /// exchanges that are written already; before anything ran there are none.
    fn size(&self, step: StepIndex, written: &dyn Fn(StepIndex, usize) -> Option<u64>) -> Option<u64> {
        let of = &self.query.steps[step];
        match &of.kind {
            StepKind::Leaf { estimated_bytes } => {
                estimated_bytes.map(|bytes| (bytes as f64 * self.scale) as u64)
            }
            // What a join gives is taken as the product of its sides, of a semi join as its left side.
            StepKind::Join(join) => {
                let left = self.side(step, 0, written);
                match join.kind {
                    crate::workload::JoinKind::LeftOnly => left,
                    _ => Some(left?.saturating_mul(self.side(step, 1, written)?)),
                }
            }
            // The size of an aggregation is that of the exchange it reads, once that is written.
            StepKind::Clustered { .. } => match written(step, 0) {
                Some(bytes) => Some(bytes),
                None => self.narrowed(step, written),
            },
            _ => self.narrowed(step, written),
        }
    }

    /// The size of a join's side.
    pub(super) fn side(
        &self,
        join: StepIndex,
        side: usize,
        written: &dyn Fn(StepIndex, usize) -> Option<u64>,
    ) -> Option<u64> {
        written(join, side).or_else(|| self.size(*self.query.steps[join].inputs.get(side)?, written))
    }

    /// A step with one input has its input's size, by the ratio of what rows are estimated to have.
    fn narrowed(&self, step: StepIndex, written: &dyn Fn(StepIndex, usize) -> Option<u64>) -> Option<u64> {
        let of = &self.query.steps[step];
        let [input] = of.inputs[..] else { return None };
        let below = self.size(input, written)?;
        let (new, old) = (of.estimated_row_bytes, self.query.steps[input].estimated_row_bytes.max(1));
        Some((u128::from(below) * u128::from(new) / u128::from(old)).min(u128::from(u64::MAX)) as u64)
    }

    /// Bytes of a step's rows when they are shuffled (`data size`).
    pub(super) fn shuffled(&self, step: StepIndex) -> u64 {
        let rows = rows(self.workload, self.query, step) as f64 * self.scale;
        (rows * self.query.steps[step].row_bytes as f64) as u64
    }
}

/// The smaller side that may be broadcast and fits, as Spark picks it: of equals the right one.
pub(super) fn broadcast_side(join: &Join, fits: impl Fn(Side) -> Option<u64>) -> Option<Side> {
    smaller_side(|side| fits(side).filter(|_| join.kind.may_broadcast(side)))
}

/// The smaller of the sides that have a size, of equals the right one.
pub(super) fn smaller_side(size: impl Fn(Side) -> Option<u64>) -> Option<Side> {
    match (size(Side::Left), size(Side::Right)) {
        (Some(left), Some(right)) => Some(if right <= left { Side::Right } else { Side::Left }),
        (Some(_), None) => Some(Side::Left),
        (None, Some(_)) => Some(Side::Right),
        (None, None) => None,
    }
}

/// How a join is planned before anything runs.
pub(super) fn planned(
    step: StepIndex,
    join: &Join,
    sizes: &Sizes<'_>,
    now: JoinSettings,
    assumed: &mut Vec<String>,
) -> Strategy {
    let was = sizes.query.chosen;
    if join.hint
        || was.broadcast_threshold == now.broadcast_threshold
            && was.prefer_sort_merge == now.prefer_sort_merge
    {
        return join.planned;
    }
    let (before, limit) = (was.broadcast_threshold, now.broadcast_threshold);
    let estimate = |side: Side| sizes.side(step, side.input(), &|_, _| None);
    let keys = || join.left_keys.join(", ");
    match join.planned {
        Strategy::Broadcast(side) => {
            // The estimate was within the old threshold, whatever the files say.
            let most = estimate(side).into_iter().chain(before).min();
            match (limit, most) {
                (None, _) => {}
                (Some(limit), Some(most)) if most <= limit => return join.planned,
                (Some(limit), _) => assumed.push(format!(
                    "the log does not tell by how much the table broadcast to the join on {} was below its threshold; it is \
                     taken to be above {limit} bytes",
                    keys()
                )),
            }
        }
        Strategy::SortMerge | Strategy::ShuffledHash(_) => {
            let raised = limit.is_some_and(|limit| before.is_none_or(|before| limit > before));
            if raised {
                let fits = |side: Side| {
                    estimate(side)
                        .filter(|&bytes| limit.is_some_and(|limit| bytes <= limit))
                        // Above the old threshold it was, or the log would have broadcast it.
                        .filter(|&bytes| before.is_none_or(|before| bytes > before))
                };
                if let Some(side) = broadcast_side(join, fits) {
                    return Strategy::Broadcast(side);
                }
                assumed.push(format!(
                    "the log does not tell how large Spark took the sides of the join on {} to be; by their files they are \
                     above the threshold before anything runs",
                    keys()
                ));
            }
        }
    }
    shuffled(step, join, sizes, now)
}

/// How a join is done that broadcasts nothing: sorted, unless sorting is not preferred and one side is much smaller.
fn shuffled(step: StepIndex, join: &Join, sizes: &Sizes<'_>, now: JoinSettings) -> Strategy {
    if now.prefer_sort_merge {
        return Strategy::SortMerge;
    }
    // `spark.sql.shuffledHashJoinFactor`.
    const MUCH_SMALLER: u64 = 3;
    let size = |side: Side| sizes.side(step, side.input(), &|_, _| None);
    let hashed = [Side::Left, Side::Right].into_iter().find(|&side| {
        join.kind.may_hash(side)
            && matches!((size(side), size(side.other())), (Some(this), Some(other)) if this.saturating_mul(MUCH_SMALLER) <= other)
    });
    match (hashed, join.planned) {
        (Some(side), _) | (None, Strategy::ShuffledHash(side)) => Strategy::ShuffledHash(side),
        (None, _) => Strategy::SortMerge,
    }
}
