//! The horizontal axis of a study: where each value falls, evenly for names, in proportion for numbers, by their logarithm
//! where they span much and that spreads them more evenly.

use super::VariedAxis;
use crate::report::plot::canvas::{SMALL, text_width};

/// Numbers that span at least this may be shown by their logarithm.
const LOGARITHMIC_FROM: f64 = 8.0;
/// Pixels between two labels.
pub(super) const LABEL_GAP: f64 = 10.0;

/// Where values fall between two pixels.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    from: i32,
    to: i32,
    low: f64,
    high: f64,
    pub(super) is_logarithmic: bool,
}

impl Scale {
    /// The scale of an axis.
    pub(super) fn of(axis: &VariedAxis, from: i32, to: i32) -> Self {
        match &axis.numbers {
            Some(numbers) => Self::numbers(numbers.iter().copied(), from, to),
            None => Self {
                from,
                to,
                low: 0.0,
                high: axis.values.len().saturating_sub(1) as f64,
                is_logarithmic: false,
            },
        }
    }

    /// The scale of some numbers.
    pub(super) fn numbers(numbers: impl Iterator<Item = f64> + Clone, from: i32, to: i32) -> Self {
        let mut sorted: Vec<f64> = numbers.collect();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        let low = sorted.first().copied().unwrap_or(f64::INFINITY);
        let high = sorted.last().copied().unwrap_or(f64::NEG_INFINITY);
        let is_logarithmic = low > 0.0
            && high / low >= LOGARITHMIC_FROM
            && unevenness(sorted.iter().map(|number| number.ln())) <= unevenness(sorted.iter().copied());
        Self { from, to, low, high, is_logarithmic }
    }

    /// Pixel of a number.
    pub(super) fn at(&self, number: f64) -> i32 {
        let place =
            |number: f64| if self.is_logarithmic { number.max(f64::MIN_POSITIVE).ln() } else { number };
        let span = place(self.high) - place(self.low);
        let share = if span > 0.0 { (place(number) - place(self.low)) / span } else { 0.5 };
        self.from + (share.clamp(0.0, 1.0) * f64::from(self.to - self.from)).round() as i32
    }

    /// Pixel of each value of an axis.
    pub(super) fn places(&self, axis: &VariedAxis) -> Vec<i32> {
        match &axis.numbers {
            Some(numbers) => numbers.iter().map(|number| self.at(*number)).collect(),
            None => (0..axis.values.len()).map(|at| self.at(at as f64)).collect(),
        }
    }
}

/// The widest gap between neighbours among ascending numbers, as a share of all of them together.
fn unevenness(sorted: impl Iterator<Item = f64> + Clone) -> f64 {
    let gaps = sorted.clone().zip(sorted.skip(1)).map(|(a, b)| b - a);
    gaps.clone().fold(0.0, f64::max) / gaps.sum::<f64>().max(f64::MIN_POSITIVE)
}

/// Which of the labels at `places` are shown so that none touches the next: the first, the last, and those between that fit.
pub(super) fn labels_that_fit(labels: &[String], places: &[i32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|at| places[*at]);
    let (Some(&first), Some(&last)) = (order.first(), order.last()) else { return Vec::new() };
    let reach = |at: usize| text_width(&labels[at], SMALL) / 2.0 + LABEL_GAP / 2.0;
    let clear = |a: usize, b: usize| f64::from((places[a] - places[b]).abs()) >= reach(a) + reach(b);
    let mut shown = vec![first];
    for at in order {
        let previous = shown[shown.len() - 1];
        if clear(at, previous) && clear(at, last) {
            shown.push(at);
        }
    }
    if last != first {
        shown.push(last);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_numbers_are_logarithmic_and_names_even() {
        let axis = |values: &[f64]| VariedAxis {
            values: values.iter().map(f64::to_string).collect(),
            numbers: Some(values.to_vec()),
            ..VariedAxis::default()
        };
        let places = |axis: &VariedAxis| Scale::of(axis, 0, 100).places(axis);
        assert_eq!(places(&axis(&[1.0, 10.0, 100.0])), [0, 50, 100]);
        assert_eq!(places(&axis(&[1.0, 2.0, 3.0])), [0, 50, 100]);
        assert_eq!(places(&axis(&[0.0, 25.0, 100.0])), [0, 25, 100]);
        assert_eq!(places(&axis(&[1.0, 100.0])), [0, 100]);
        // Tenths of a whole span nine times the first, and are even as they are.
        let tenths: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(places(&axis(&tenths))[4], 50);
        assert_eq!(places(&axis(&[7.0])), [50]);
        let names = VariedAxis { values: vec!["a".into(), "b".into(), "c".into()], ..VariedAxis::default() };
        assert_eq!(places(&names), [0, 50, 100]);
    }

    #[test]
    fn labels_do_not_touch() {
        let labels: Vec<String> = (0..50).map(|at| format!("{at}00m")).collect();
        let places: Vec<i32> = (0..50).map(|at| at * 10).collect();
        let shown = labels_that_fit(&labels, &places);
        assert_eq!((shown.first(), shown.last()), (Some(&0), Some(&49)));
        assert!(shown.len() > 5 && shown.len() < 20, "{shown:?}");
        assert_eq!(labels_that_fit(&labels[..1], &places[..1]), [0]);
    }
}
