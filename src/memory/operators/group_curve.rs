//! How many groups the first rows of a task contain.

use std::sync::Arc;

use super::zipf::ZipfLaw;
use crate::units::share_of;

/// Distinct groups as a function of rows seen since the map was last empty: a concave line through given points.
///
/// The shape between nothing and all rows matters once a map is emptied by a spill: groups seen before come again. Of
/// 1.95 million rows with 1.12 million groups whose keys are spread over many sizes, the last third may hold 400 000
/// groups, not the 70 000 that are new to the task. Beyond the last point no new group comes. Finding a value costs the
/// logarithm of the number of points. The tasks of a stage share the points and differ in the scale, which is applied to
/// the points that are looked at: thousands of tasks with hundreds of points each are the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCurve {
    /// Rows and groups before scaling, both increasing, the first at the origin.
    points: Arc<[(u64, u64)]>,
    /// What the last point is scaled to.
    end: (u64, u64),
}

/// Most points of a curve of map outputs: beyond it each stands for several outputs.
const MAP_OUTPUT_POINTS_MAX: u64 = 1_000;

impl GroupCurve {
    /// New groups appear at a constant rate.
    pub fn even(rows: u64, groups: u64) -> Self {
        let end = (rows, groups.min(rows));
        let points: Arc<[(u64, u64)]> = if rows > 0 { Arc::new([(0, 0), end]) } else { Arc::new([(0, 0)]) };
        Self { points, end }
    }

    /// Groups grow as `rows ^ exponent` (Heaps' law), 16 points; 1 is [`GroupCurve::even`], log-uniform keys are near 0.8.
    pub fn power(rows: u64, groups: u64, exponent: f64) -> Self {
        const STEPS: u64 = 16;
        Self::from_points((1..=STEPS).map(|step| {
            let share = step as f64 / STEPS as f64;
            let groups = groups as f64 * share.powf(exponent);
            ((rows as f64 * share).round() as u64, groups.round() as u64)
        }))
    }

    /// Rows of equally frequent keys in random order, exact where `wanted` groups are reached: as each row is drawn, a group
    /// of `n` rows is still unseen after a share `s` of all rows with probability `(1 - s)^n`.
    pub fn in_random_order(rows: u64, groups: u64, wanted: u64) -> Self {
        let groups = groups.min(rows);
        if wanted == 0 || wanted > groups {
            return Self::even(rows, groups);
        }
        // The last of all groups is there when half a group is still unseen on the mean.
        let unseen = (1.0 - wanted as f64 / groups as f64).max(0.5 / groups as f64);
        let share = 1.0 - unseen.powf(groups as f64 / rows as f64);
        let reached = (rows as f64 * share).ceil() as u64;
        Self::from_points([(reached.saturating_sub(1), wanted - 1), (reached, wanted), (rows, groups)])
    }

    /// Groups in the input of a final aggregation: `outputs` map outputs one after the other, in each of which a key occurs
    /// once, with keys as skewed as Zipf's law has it (key number `x` is `1 / x` as frequent as the first).
    ///
    /// That law has two parameters, how many keys there are and how often the first occurs; they follow from the groups in
    /// one output, which are its rows, and in all. If nearly all keys are distinct the line is [`GroupCurve::even`]. Costs
    /// about half a million exponentials: compute it once for the tasks of a stage.
    pub fn of_map_outputs(outputs: u64, rows: u64, groups: u64) -> Self {
        let first = rows as f64 / outputs.max(1) as f64;
        let groups_max = groups.min(rows) as f64;
        if outputs < 2 || groups_max <= first || groups_max > 0.999 * rows as f64 {
            return Self::even(rows, groups);
        }
        let law = ZipfLaw::of_batches(first, outputs as f64, groups_max);
        let scale = groups_max / law.distinct(outputs as f64);
        let steps = outputs.min(MAP_OUTPUT_POINTS_MAX);
        let outputs_at = (1..=steps).map(|step| outputs * step / steps);
        let seen = law.distinct_after(outputs_at.clone());
        Self::from_points(outputs_at.zip(seen).map(|(output, seen)| {
            let rows = (u128::from(rows) * u128::from(output) / u128::from(outputs)) as u64;
            (rows, (scale * seen).round() as u64)
        }))
    }

    /// A line through the origin and these points of (rows, groups); points that do not go on are left out, and groups are
    /// never more than rows.
    pub fn from_points(points: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut kept = vec![(0, 0)];
        let mut last = (0, 0);
        for (rows, groups) in points {
            let groups = groups.min(rows);
            if rows > last.0 && groups >= last.1 {
                last = (rows, groups);
                kept.push(last);
            }
        }
        Self { points: kept.into(), end: last }
    }

    /// A line of the same shape that ends at `rows` and `groups`.
    pub fn scaled_to(&self, rows: u64, groups: u64) -> Self {
        if self.end.0 == 0 || self.end.1 == 0 {
            return Self::even(rows, groups);
        }
        Self { points: Arc::clone(&self.points), end: (rows, groups) }
    }

    /// Rows and groups of the last point.
    pub fn end(&self) -> (u64, u64) {
        self.end
    }

    /// Groups among the first `rows` rows, at least 1 if there are rows and groups at all.
    pub fn groups(&self, rows: u64) -> u64 {
        let end = self.first_with_rows(rows);
        if end == self.points.len() {
            return self.point(self.first_of_equal_rows(end - 1)).1;
        }
        if end == 0 {
            return 0;
        }
        let (rows_1, groups_1) = self.point(end);
        let (rows_0, groups_0) = self.point(self.first_of_equal_rows(end - 1));
        groups_0 + ceil_share(groups_1 - groups_0, rows - rows_0, rows_1 - rows_0)
    }

    /// Fewest rows that contain `groups` groups; `None` if there are never so many.
    pub fn rows(&self, groups: u64) -> Option<u64> {
        if groups == 0 {
            return Some(0);
        }
        let mut end = self.first_with_groups(groups);
        if end == self.points.len() {
            return None;
        }
        if self.first_of_equal_rows(end) < end {
            end = self.first_with_rows(self.point(end).0 + 1);
            if end == self.points.len() {
                return None;
            }
        }
        let (rows_1, groups_1) = self.point(end);
        let (rows_0, groups_0) = self.point(self.first_of_equal_rows(end - 1));
        Some(rows_0 + share_of(rows_1 - rows_0, groups - groups_0 - 1, groups_1 - groups_0) + 1)
    }

    /// The scaled point. Scaling down may bring points to the same rows, of which the first counts.
    fn point(&self, index: usize) -> (u64, u64) {
        let (rows, groups) = self.points[index];
        let (rows_last, groups_last) = self.last();
        let scale = |value, last, to| if last == to { value } else { share_of(value, to, last) };
        let rows = scale(rows, rows_last, self.end.0);
        (rows, scale(groups, groups_last, self.end.1).min(rows))
    }

    fn first_with_rows(&self, rows: u64) -> usize {
        let (last, to) = (self.last().0, self.end.0);
        let rows = least_scaled_to(rows, last, to);
        self.points.partition_point(|point| u128::from(point.0) < rows)
    }

    /// Scaled groups are never more than scaled rows, so that both must reach `groups`.
    fn first_with_groups(&self, groups: u64) -> usize {
        let ((rows_last, groups_last), (rows_to, groups_to)) = (self.last(), self.end);
        let rows = least_scaled_to(groups, rows_last, rows_to);
        let groups = least_scaled_to(groups, groups_last, groups_to);
        self.points.partition_point(|point| u128::from(point.1) < groups || u128::from(point.0) < rows)
    }

    fn last(&self) -> (u64, u64) {
        *self.points.last().expect("the origin is a point")
    }

    fn first_of_equal_rows(&self, index: usize) -> usize {
        if index == 0 {
            return 0;
        }
        // Points so far apart stay apart; most are.
        let apart = self.points[index].0 - self.points[index - 1].0;
        if apart.checked_mul(self.end.0).is_none_or(|scaled| scaled >= self.last().0) {
            return index;
        }
        let rows = self.point(index).0;
        if self.point(index - 1).0 < rows { index } else { self.first_with_rows(rows) }
    }
}

/// The least value that becomes at least `scaled` when it is scaled from `last` to `to`, rounded down; more than any where
/// none does.
fn least_scaled_to(scaled: u64, last: u64, to: u64) -> u128 {
    if last == to {
        return u128::from(scaled);
    }
    match scaled.checked_mul(last) {
        // What is asked for mostly fits 64 bits, whose division is many times faster.
        Some(product) if to > 0 => u128::from(product.div_ceil(to)),
        _ if to > 0 => (u128::from(scaled) * u128::from(last)).div_ceil(u128::from(to)),
        _ if scaled == 0 => 0,
        _ => u128::MAX,
    }
}

/// As `share_of`, rounded up.
fn ceil_share(value: u64, part: u64, whole: u64) -> u64 {
    match value.checked_mul(part) {
        Some(product) => product.div_ceil(whole),
        None => (u128::from(value) * u128::from(part)).div_ceil(u128::from(whole)) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_groups_are_inverse() {
        for curve in [
            GroupCurve::even(1000, 7),
            GroupCurve::even(10, 10),
            GroupCurve::power(1000, 500, 0.8),
            GroupCurve::from_points([(10, 10), (30, 10), (100, 20)]),
        ] {
            for groups in 1..=curve.groups(u64::MAX) {
                let rows = curve.rows(groups).expect("so many groups exist");
                assert!(curve.groups(rows) >= groups, "{curve:?} {groups} {rows}");
                assert!(curve.groups(rows - 1) < groups, "{curve:?} {groups} {rows}");
            }
            assert_eq!(curve.rows(curve.groups(u64::MAX) + 1), None);
        }
    }

    #[test]
    fn map_outputs_of_log_uniform_keys_are_recognised() {
        // Distinct keys in 1 to 16 outputs of 625000 rows each, keys log-uniform over 16 million, every second key.
        const DISTINCT: [u64; 16] = [
            121_985, 217_899, 304_000, 383_744, 458_772, 530_050, 598_218, 663_730, 726_925, 788_065,
            847_363, 904_990, 961_088, 1_015_780, 1_069_169, 1_121_344,
        ];
        let curve = GroupCurve::of_map_outputs(16, 16 * DISTINCT[0], DISTINCT[15]);
        for (outputs, expected) in (1..).zip(DISTINCT) {
            let found = curve.groups(outputs * DISTINCT[0]);
            assert!(found.abs_diff(expected) * 500 < expected, "{outputs} outputs: {found}, true {expected}");
        }
    }

    #[test]
    fn map_outputs_without_common_keys_are_even() {
        assert_eq!(GroupCurve::of_map_outputs(16, 1000, 1000), GroupCurve::even(1000, 1000));
        assert_eq!(GroupCurve::of_map_outputs(1, 1000, 400), GroupCurve::even(1000, 400));
        assert_eq!(GroupCurve::of_map_outputs(4, 0, 0).groups(5), 0);
    }

    #[test]
    fn groups_in_random_order_come_early() {
        // All rows distinct, hardly any alike, and a deck of four of each.
        assert_eq!(GroupCurve::in_random_order(1_000, 1_000, 128).rows(128), Some(128));
        assert_eq!(GroupCurve::in_random_order(1_000_000, 100_000, 128).rows(128), Some(129));
        assert_eq!(GroupCurve::in_random_order(52, 13, 12).rows(12), Some(25));
        // The last of 128 groups is drawn long before the last row (the coupon collector needs 5.4 draws a coupon).
        assert_eq!(GroupCurve::in_random_order(4_000_000, 128, 128).rows(128), Some(710));
        assert_eq!(GroupCurve::in_random_order(1_000_000, 100, 128).rows(128), None);
        assert_eq!(GroupCurve::in_random_order(0, 0, 128).rows(1), None);
        assert_eq!(GroupCurve::in_random_order(1_000, 100, 0), GroupCurve::even(1_000, 100));
    }

    #[test]
    fn the_first_row_brings_the_first_group() {
        assert_eq!(GroupCurve::even(1_000_000, 3).groups(1), 1);
        assert_eq!(GroupCurve::even(1_000_000, 0).groups(5), 0);
    }

    #[test]
    fn a_scaled_curve_is_the_curve_of_the_scaled_points() {
        let points: Vec<(u64, u64)> =
            (1..=40).map(|i: u64| (i * 25, (i as f64).powf(0.7) as u64 * 20)).collect();
        let curve = GroupCurve::from_points(points.clone());
        for (rows, groups) in [(3_000, 900), (1_000, 260), (17, 9), (5, 5), (5, 9), (1, 1), (0, 0), (0, 4)] {
            let scaled = curve.scaled_to(rows, groups);
            let (rows_last, groups_last) = *curve.points.last().unwrap();
            let eager = GroupCurve::from_points(
                curve.points[1..].iter().map(|&(r, g)| (r * rows / rows_last, g * groups / groups_last)),
            );
            for row in 0..=rows + 2 {
                assert_eq!(scaled.groups(row), eager.groups(row), "{rows} {groups} row {row}");
            }
            for group in 0..=groups + 2 {
                assert_eq!(scaled.rows(group), eager.rows(group), "{rows} {groups} group {group}");
            }
        }
    }
}
