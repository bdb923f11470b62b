//! How many groups the first rows of a task contain.

/// Distinct groups as a function of rows seen since the map was last empty: a concave line through given points.
///
/// The shape between nothing and all rows matters once a map is emptied by a spill: groups seen before come again. Of
/// 1.95 million rows with 1.12 million groups whose keys are spread over many sizes, the last third may hold 400 000
/// groups, not the 70 000 that are new to the task. Beyond the last point no new group comes. Finding a value costs the
/// logarithm of the number of points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCurve {
    /// Rows and groups, both increasing, the first at the origin.
    points: Vec<(u64, u64)>,
}

impl GroupCurve {
    /// New groups appear at a constant rate.
    pub fn even(rows: u64, groups: u64) -> Self {
        Self::from_points([(rows, groups)])
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
        Self { points: kept }
    }

    /// Groups among the first `rows` rows, at least 1 if there are rows and groups at all.
    pub fn groups(&self, rows: u64) -> u64 {
        let end = self.points.partition_point(|p| p.0 < rows);
        let Some(&(rows_1, groups_1)) = self.points.get(end) else {
            return self.points.last().map_or(0, |p| p.1);
        };
        if end == 0 {
            return 0;
        }
        let (rows_0, groups_0) = self.points[end - 1];
        let rise = u128::from(groups_1 - groups_0) * u128::from(rows - rows_0);
        groups_0 + rise.div_ceil(u128::from(rows_1 - rows_0)) as u64
    }

    /// Fewest rows that contain `groups` groups; `None` if there are never so many.
    pub fn rows(&self, groups: u64) -> Option<u64> {
        if groups == 0 {
            return Some(0);
        }
        let end = self.points.partition_point(|p| p.1 < groups);
        let &(rows_1, groups_1) = self.points.get(end)?;
        let (rows_0, groups_0) = self.points[end - 1];
        let run = u128::from(rows_1 - rows_0) * u128::from(groups - groups_0 - 1);
        Some(rows_0 + (run / u128::from(groups_1 - groups_0)) as u64 + 1)
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
    fn the_first_row_brings_the_first_group() {
        assert_eq!(GroupCurve::even(1_000_000, 3).groups(1), 1);
        assert_eq!(GroupCurve::even(1_000_000, 0).groups(5), 0);
    }
}
