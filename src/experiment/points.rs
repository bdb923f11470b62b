//! The points of a study: all combinations of its axes, or a list. A point is computed from its number, so that a study of
//! a million points holds none of them.

use super::vary::Axis;

/// The points of a study, numbered from 0; of several axes the last one changes fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    keys: Vec<String>,
    rows: Rows,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rows {
    Product(Vec<Axis>),
    Listed(Vec<Vec<String>>),
}

impl Space {
    /// All combinations of `axes`.
    ///
    /// # Errors
    /// Two axes with one key, and more combinations than can be numbered.
    pub fn product(axes: Vec<Axis>) -> Result<Self, String> {
        for (at, axis) in axes.iter().enumerate() {
            if axes[..at].iter().any(|other| other.key == axis.key) {
                return Err(format!("{} is varied twice; give all its values at once", axis.key));
            }
        }
        let count = axes.iter().try_fold(1_u64, |count, axis| count.checked_mul(axis.values.len() as u64));
        if count.is_none_or(|count| count > u64::from(u32::MAX)) {
            return Err("these are more combinations than any machine can simulate".to_owned());
        }
        Ok(Self { keys: axes.iter().map(|axis| axis.key.clone()).collect(), rows: Rows::Product(axes) })
    }

    /// The points of a list, each with a value for every key of `keys`; an empty value leaves the key as it is.
    pub fn listed(keys: Vec<String>, rows: Vec<Vec<String>>) -> Self {
        Self { keys, rows: Rows::Listed(rows) }
    }

    /// What is varied.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Number of points.
    pub fn len(&self) -> u64 {
        match &self.rows {
            Rows::Product(axes) => axes.iter().map(|axis| axis.values.len() as u64).product(),
            Rows::Listed(rows) => rows.len() as u64,
        }
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of a point, one a key.
    pub fn values(&self, point: u64) -> Vec<&str> {
        match &self.rows {
            Rows::Product(axes) => {
                self.positions(point).iter().zip(axes).map(|(at, axis)| axis.values[*at].as_str()).collect()
            }
            Rows::Listed(rows) => rows[point as usize].iter().map(String::as_str).collect(),
        }
    }

    /// The axes; `None` for a list, which has no neighbours.
    pub fn axes(&self) -> Option<&[Axis]> {
        match &self.rows {
            Rows::Product(axes) => Some(axes),
            Rows::Listed(_) => None,
        }
    }

    /// Position of a point on each axis; empty for a list.
    pub fn positions(&self, point: u64) -> Vec<usize> {
        let Rows::Product(axes) = &self.rows else { return Vec::new() };
        let mut rest = point;
        let mut positions: Vec<usize> = axes
            .iter()
            .rev()
            .map(|axis| {
                let length = axis.values.len() as u64;
                let at = rest % length;
                rest /= length;
                at as usize
            })
            .collect();
        positions.reverse();
        positions
    }

    /// The point at these positions of the axes.
    pub fn at(&self, positions: &[usize]) -> u64 {
        let Rows::Product(axes) = &self.rows else { return 0 };
        positions.iter().zip(axes).fold(0, |point, (at, axis)| point * axis.values.len() as u64 + *at as u64)
    }

    /// Every distinct value of every key, with the first point that has it: what is worth checking before a study starts.
    pub fn distinct_values(&self) -> Vec<u64> {
        match &self.rows {
            Rows::Product(axes) => {
                let origin = vec![0; axes.len()];
                let mut points = vec![0];
                for (at, axis) in axes.iter().enumerate() {
                    for value in 1..axis.values.len() {
                        let mut positions = origin.clone();
                        positions[at] = value;
                        points.push(self.at(&positions));
                    }
                }
                points
            }
            Rows::Listed(rows) => (0..rows.len() as u64).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        let axis = |key: &str, values: &[&str]| Axis {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        Space::product(vec![axis("a", &["1", "2"]), axis("b", &["x", "y", "z"])]).expect("two axes")
    }

    #[test]
    fn the_last_axis_changes_fastest_and_numbers_go_both_ways() {
        let space = space();
        assert_eq!(space.len(), 6);
        assert_eq!(space.values(0), ["1", "x"]);
        assert_eq!(space.values(2), ["1", "z"]);
        assert_eq!(space.values(3), ["2", "x"]);
        for point in 0..6 {
            assert_eq!(space.at(&space.positions(point)), point);
        }
        assert_eq!(space.distinct_values(), [0, 3, 1, 2]);
    }

    #[test]
    fn a_key_has_one_axis() {
        let axis = Axis { key: "a".to_owned(), values: vec!["1".to_owned()] };
        let error = Space::product(vec![axis.clone(), axis]).expect_err("twice");
        assert!(error.contains("a is varied twice"), "{error}");
    }
}
