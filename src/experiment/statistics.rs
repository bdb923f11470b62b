//! What the numbers of a study are worth: means with t intervals, shares with Wilson's interval, quantiles, paired
//! differences, and the correction that many comparisons need.
//!
//! A t interval assumes that the mean of the replications is about normal, which it is from a few replications on unless
//! the quantity is nearly always one value and rarely another. Replications are independent, since each has its own seed.
//! Left out: intervals of quantiles.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// A running mean and variance (Welford 1962): exact for equal values, in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Number of values.
    pub count: u64,
    /// Their mean; 0 of none.
    pub mean: f64,
    squares: f64,
}

impl Sample {
    /// Takes a value in.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
    }

    /// The sample of some values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sample = Self::default();
        values.into_iter().for_each(|value| sample.add(value));
        sample
    }

    /// Standard deviation of the values (n - 1); `None` of fewer than two.
    pub fn deviation(&self) -> Option<f64> {
        (self.count >= 2).then(|| (self.squares / (self.count - 1) as f64).max(0.0).sqrt())
    }
}

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A paired difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Pairs.
    pub pairs: u64,
    /// Mean of second less first.
    pub mean: f64,
    /// Standard deviation of second less first; `None` of fewer than two pairs.
    pub deviation: Option<f64>,
    /// Interval of that mean; `None` of fewer than two pairs.
    pub interval: Option<Interval>,
    /// Probability of a mean difference as far from 0 as this one if there were none (two-sided t test); `None` of fewer
    /// than two pairs.
    pub p: Option<f64>,
}

/// Intervals of one confidence. Quantiles of Student's t are kept by degrees of freedom: they are what an interval costs.
#[derive(Clone, Debug)]
pub struct Intervals {
    confidence: f64,
    normal: f64,
    t: BTreeMap<u64, f64>,
}

impl Intervals {
    /// Intervals that hold the true value with probability `confidence`, between 0 and 1 exclusive.
    pub fn new(confidence: f64) -> Self {
        let normal = Normal::standard().inverse_cdf(f64::midpoint(1.0, confidence));
        Self { confidence, normal, t: BTreeMap::new() }
    }

    fn t(&mut self, freedom: u64) -> f64 {
        let (confidence, normal) = (self.confidence, self.normal);
        *self.t.entry(freedom).or_insert_with(|| {
            // Beyond this many the two agree to three digits.
            if freedom > 10_000 {
                return normal;
            }
            StudentsT::new(0.0, 1.0, freedom as f64)
                .map_or(normal, |t| t.inverse_cdf(f64::midpoint(1.0, confidence)))
        })
    }

    /// The interval of a mean (Student's t); `None` of fewer than two values.
    pub fn mean(&mut self, sample: &Sample) -> Option<Interval> {
        let half = self.half_width(sample)?;
        Some(Interval { low: sample.mean - half, high: sample.mean + half })
    }

    /// Half the width of [`Self::mean`].
    pub fn half_width(&mut self, sample: &Sample) -> Option<f64> {
        Some(self.half(sample.count, sample.deviation()?))
    }

    /// Half the width of the interval of the mean of `count` (2 or more) values of this standard deviation.
    pub fn half(&mut self, count: u64, deviation: f64) -> f64 {
        self.t(count.max(2) - 1) * deviation / (count as f64).sqrt()
    }

    /// The interval of a share (Wilson 1927), which stays within 0 and 1 and is not empty at either end.
    pub fn share(&self, hits: u64, of: u64) -> Option<Interval> {
        if of == 0 {
            return None;
        }
        let (n, z) = (of as f64, self.normal);
        let share = hits as f64 / n;
        let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        // At the ends the formula is exact, its arithmetic is not.
        let low = if hits == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if hits == of { 1.0 } else { (middle + half).min(1.0) };
        Some(Interval { low, high })
    }

    /// Second less first over pairs that saw the same draws.
    pub fn paired(&mut self, pairs: impl IntoIterator<Item = (f64, f64)>) -> Paired {
        let sample = Sample::of(pairs.into_iter().map(|(first, second)| second - first));
        Paired {
            pairs: sample.count,
            mean: sample.mean,
            deviation: sample.deviation(),
            interval: self.mean(&sample),
            p: sample.deviation().map(|deviation| p_of(&sample, deviation)),
        }
    }
}

/// How often of two values, drawn each on its own with these standard deviations from normal distributions whose means differ
/// by `difference`, the one with the larger mean is the larger.
pub fn order_shows(difference: f64, deviations: [f64; 2]) -> f64 {
    let spread = deviations[0].hypot(deviations[1]);
    if spread > 0.0 { Normal::standard().cdf(difference.abs() / spread) } else { 1.0 }
}

fn p_of(sample: &Sample, deviation: f64) -> f64 {
    if deviation == 0.0 {
        return if sample.mean == 0.0 { 1.0 } else { 0.0 };
    }
    let t = sample.mean.abs() / (deviation / (sample.count as f64).sqrt());
    StudentsT::new(0.0, 1.0, (sample.count - 1) as f64).map_or(1.0, |student| 2.0 * student.sf(t))
}

/// The quantile at `share` (0 to 1) of values in ascending order, between neighbours in proportion (type 7 of Hyndman and
/// Fan 1996, what numpy and R give); `None` of no values.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64))
}

/// Holm's correction (1979): the same probabilities, raised so that the chance of one false finding among all of them stays
/// what it was for one. In the order given.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|a, b| ps[*a].total_cmp(&ps[*b]));
    let mut corrected = vec![1.0; ps.len()];
    let mut least = 0.0_f64;
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max((ps[at] * (ps.len() - rank) as f64).min(1.0));
        corrected[at] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use rand_distr::{Distribution as _, Exp1, StandardNormal};

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-4, "{found} is not {expected}");
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        // t(0.975, 4) = 2.7764; values 1 to 5 have mean 3 and deviation 1.5811.
        let sample = Sample::of([1.0, 2.0, 3.0, 4.0, 5.0]);
        let interval = Intervals::new(0.95).mean(&sample).expect("five values");
        near(interval.low, 3.0 - 2.776_445 * 1.581_139 / 5.0_f64.sqrt());
        near(interval.high, 3.0 + 2.776_445 * 1.581_139 / 5.0_f64.sqrt());
        // t(0.995, 9) = 3.2498.
        near(Intervals::new(0.99).t(9), 3.249_84);
        near(Intervals::new(0.95).t(1), 12.706_2);
        assert_eq!(Intervals::new(0.95).mean(&Sample::of([1.0])), None);
    }

    #[test]
    fn wilson_is_that_of_the_tables_and_never_empty() {
        let intervals = Intervals::new(0.95);
        let ten = intervals.share(8, 10).expect("ten runs");
        near(ten.low, 0.4902);
        near(ten.high, 0.9433);
        let all = intervals.share(20, 20).expect("twenty runs");
        near(all.low, 0.8389);
        assert_eq!(all.high, 1.0);
        assert_eq!(intervals.share(0, 20).map(|i| i.low), Some(0.0));
        assert_eq!(intervals.share(0, 0), None);
    }

    #[test]
    fn quantiles_are_numpys() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&values, 0.5), Some(3.0));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(8.0));
        near(quantile(&values, 0.95).expect("four values"), 7.4);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn pairs_cancel_what_both_saw() {
        let mut intervals = Intervals::new(0.95);
        let paired = intervals.paired([(10.0, 11.0), (20.0, 21.1), (30.0, 30.9)]);
        near(paired.mean, 1.0);
        // Differences 1, 1.1, 0.9: t = 1 / (0.1 / sqrt(3)) = 17.32 on 2 degrees of freedom, p = 0.0033.
        near(paired.p.expect("three pairs"), 0.003_316);
        assert!(paired.interval.is_some_and(|i| i.low > 0.7 && i.high < 1.3));
        let equal = intervals.paired([(1.0, 2.0), (5.0, 6.0)]);
        assert_eq!((equal.p, equal.interval), (Some(0.0), Some(Interval { low: 1.0, high: 1.0 })));
        assert_eq!(intervals.paired([(1.0, 1.0), (5.0, 5.0)]).p, Some(1.0));
    }

    #[test]
    fn single_values_show_an_order_as_often_as_the_normal_distribution_says() {
        near(order_shows(0.0, [1.0, 1.0]), 0.5);
        // Two standard deviations of the difference: 97.7 %.
        near(order_shows(-10.0, [3.0, 4.0]), 0.977_25);
        assert_eq!(order_shows(1.0, [0.0, 0.0]), 1.0);
    }

    #[test]
    fn holm_is_that_of_the_textbook() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            near(*found, expected);
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    /// How many of 1,000 studies of `n` draws have an interval that holds `truth`.
    fn covered(n: u64, truth: f64, draw: impl Fn(&mut rand_pcg::Pcg64) -> f64) -> u64 {
        let mut intervals = Intervals::new(0.95);
        let covers = |study: &u64| {
            let mut rng = stream(9, Purpose::Sizes, *study);
            let sample = Sample::of((0..n).map(|_| draw(&mut rng)));
            intervals.mean(&sample).is_some_and(|i| i.low <= truth && truth <= i.high)
        };
        (0..1_000).filter(covers).count() as u64
    }

    fn standard(rng: &mut rand_pcg::Pcg64) -> f64 {
        StandardNormal.sample(rng)
    }

    #[test]
    fn intervals_of_known_distributions_cover_as_often_as_they_say() {
        let normal = covered(5, 3.0, |rng| 3.0 + 2.0 * standard(rng));
        assert!((930..=970).contains(&normal), "{normal} of 1000");
        // A skewed quantity needs more replications for the mean to be about normal.
        let skewed = covered(100, 1.0, |rng| Exp1.sample(rng));
        assert!((930..=970).contains(&skewed), "{skewed} of 1000");
    }
}
