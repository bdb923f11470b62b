//! Popularity of keys, and sizes of partitions, by distribution. A distribution becomes classes of keys of equal share,
//! most popular first: few classes stand for millions of keys, and the hot ones stand alone. Shapes without chance
//! (Zipf, hot shares) draw nothing; the others draw one weight a key from the entity's own stream.

use rand::RngExt as _;
use rand_distr::{Distribution as _, LogNormal, Pareto};
use rand_pcg::Pcg64;

use super::diagnostic::{BAD_DISTRIBUTION, Sink};
use super::view::View;

/// Beyond this many keys, weights that are drawn one by one cost more than they tell.
const DRAWN_MAX: u64 = 1_000_000;
/// Keys that stand alone in [`classes`]; the others share classes.
const ALONE: u64 = 256;
/// A key with a smaller share than this moves no partition by anything one could see.
const HOT_SHARE: f64 = 1e-4;

/// A shape, and the number of keys where the distribution itself says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution {
    pub(super) shape: Shape,
    pub(super) distinct: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Shape {
    #[default]
    Uniform,
    /// Weight 1 / i^s of the i-th.
    Zipf(f64),
    /// Shares of the first; the others even.
    Hot(Vec<f64>),
    /// Weights exp(sigma Z).
    LogNormal(f64),
    /// Weights of a Pareto law with this shape.
    Pareto(f64),
    /// Weights by linear interpolation between values at even steps of probability.
    Quantiles(Vec<f64>),
}

/// Keys of equal share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Class {
    pub(super) keys: f64,
    /// Share of all rows of one of them.
    pub(super) share: f64,
}

/// Reads the distribution under `key` and reports what cannot be; `None` when there is none.
pub(super) fn decode(view: &View, key: &str, sink: &mut Sink) -> Option<Distribution> {
    if view.text(key).is_some() {
        return Some(Distribution::default());
    }
    let table = view.table(key)?;
    let shapes: Vec<&str> = ["zipf", "hot", "log_normal", "pareto", "quantiles"]
        .into_iter()
        .filter(|shape| table.has(shape))
        .collect();
    let distinct = table.whole("distinct");
    let refuse = |sink: &mut Sink, at: &str, message: String, label: &str, help: &str| {
        sink.error(BAD_DISTRIBUTION, table.span_of(at), message, label, Some(help.to_owned()));
    };
    if let [first, second, ..] = shapes[..] {
        let message = format!("`{first}` and `{second}` are two shapes at once");
        refuse(sink, second, message, "a second shape", "keep one of them");
        return None;
    }
    let shape = match shapes.first().copied() {
        None if distinct.is_none() => {
            let help = "write \"uniform\", or one of zipf, hot, log_normal, pareto, quantiles";
            refuse(sink, "", format!("`{key}` has no shape"), "an empty distribution", help);
            return None;
        }
        None => Shape::Uniform,
        Some("zipf") => Shape::Zipf(table.number("zipf")?),
        Some("log_normal") => Shape::LogNormal(table.number("log_normal")?),
        Some("pareto") => Shape::Pareto(table.number("pareto")?),
        Some("hot") => {
            let mut shares = table.numbers("hot");
            let sum: f64 = shares.iter().sum();
            if sum > 1.0 + 1e-9 {
                let message = format!("the shares of `hot` sum to {sum}, more than all rows");
                refuse(sink, "hot", message, "over 1", "shares are parts of 1: 0.3 is 30 %");
            } else if sum == 0.0 {
                refuse(sink, "hot", "the shares of `hot` sum to nothing".into(), "no share", "as [0.3, 0.1]");
            }
            if distinct.is_some_and(|distinct| distinct < shares.len() as u64) {
                let message = format!("{} shares in `hot` for fewer distinct keys", shares.len());
                refuse(sink, "distinct", message, "fewer than the hot ones", "count the hot keys in");
            }
            shares.sort_by(|a, b| b.total_cmp(a));
            Shape::Hot(shares)
        }
        Some(_) => {
            let values = table.numbers("quantiles");
            let falls = values.windows(2).any(|pair| pair[0] > pair[1]);
            if values.len() < 2 || falls || values.last().is_none_or(|last| *last <= 0.0) {
                let help = "from least to greatest, as [min, 25 %, median, 75 %, max]";
                refuse(sink, "quantiles", "`quantiles` must rise to more than 0".into(), "not rising", help);
            }
            Shape::Quantiles(values)
        }
    };
    Some(Distribution { shape, distinct })
}

impl Distribution {
    /// Whether each key's weight is drawn, which bounds the number of keys.
    pub(super) fn draws_too_many(&self, keys: u64) -> bool {
        keys > DRAWN_MAX && matches!(self.shape, Shape::LogNormal(_) | Shape::Pareto(_) | Shape::Quantiles(_))
    }

    /// Keys of equal share, most popular first; their shares sum to 1. `keys` is at least 1.
    pub(super) fn classes(&self, keys: u64, rng: &mut Pcg64) -> Vec<Class> {
        let keys = keys.max(1);
        match &self.shape {
            Shape::Uniform => vec![Class { keys: keys as f64, share: 1.0 / keys as f64 }],
            Shape::Zipf(s) => zipf(*s, keys),
            Shape::Hot(shares) => {
                let rest = keys.saturating_sub(shares.len() as u64) as f64;
                let left = (1.0 - shares.iter().sum::<f64>()).max(0.0);
                let even = (rest > 0.0).then(|| Class { keys: rest, share: left / rest });
                let mut classes: Vec<_> =
                    shares.iter().map(|share| Class { keys: 1.0, share: *share }).chain(even).collect();
                normalise(&mut classes);
                classes
            }
            _ => group(self.weights(keys as usize, rng)),
        }
    }

    /// Shares of the keys that stand out, falling.
    pub(super) fn hot_keys(&self, keys: u64, rng: &mut Pcg64) -> Vec<f64> {
        let even = 1.0 / keys.max(1) as f64;
        self.classes(keys, rng)
            .iter()
            .filter(|class| class.keys == 1.0 && class.share >= HOT_SHARE.max(1.5 * even))
            .map(|class| class.share)
            .collect()
    }

    /// `total` shared out to `parts` parts, in random order of the weights.
    pub(super) fn split(&self, total: u64, parts: u32, rng: &mut Pcg64) -> Vec<u64> {
        let parts = parts.max(1) as usize;
        let mut weights = match &self.shape {
            Shape::Uniform => vec![1.0; parts],
            Shape::Zipf(s) => (1..=parts).map(|i| (i as f64).powf(-s)).collect(),
            Shape::Hot(shares) => {
                let left = (1.0 - shares.iter().sum::<f64>()).max(0.0);
                let rest = left / parts.saturating_sub(shares.len()).max(1) as f64;
                (0..parts).map(|i| shares.get(i).copied().unwrap_or(rest)).collect()
            }
            _ => self.weights(parts, rng),
        };
        if self.shape != Shape::Uniform {
            for last in (1..parts).rev() {
                weights.swap(last, rng.random_range(0..=last));
            }
        }
        let sum: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
        crate::workload::PerTask::Total(total).spread(&shares, 1.0)
    }

    /// One weight for each of `count`, drawn.
    fn weights(&self, count: usize, rng: &mut Pcg64) -> Vec<f64> {
        let mut draw: Box<dyn FnMut() -> f64 + '_> = match &self.shape {
            Shape::LogNormal(sigma) => match LogNormal::new(0.0, *sigma) {
                Ok(law) => Box::new(move || law.sample(rng)),
                Err(_) => Box::new(|| 1.0),
            },
            Shape::Pareto(shape) => match Pareto::new(1.0, *shape) {
                Ok(law) => Box::new(move || law.sample(rng)),
                Err(_) => Box::new(|| 1.0),
            },
            Shape::Quantiles(values) => Box::new(move || quantile(values, rng.random::<f64>())),
            Shape::Uniform | Shape::Zipf(_) | Shape::Hot(_) => Box::new(|| 1.0),
        };
        let weights: Vec<f64> = (0..count).map(|_| draw().min(1e300)).collect();
        // All weights may be drawn as 0 from quantiles that start there.
        if weights.iter().sum::<f64>() > 0.0 { weights } else { vec![1.0; count] }
    }
}

/// Expected number of distinct keys among `rows` rows.
pub(super) fn expected_distinct(classes: &[Class], rows: f64) -> f64 {
    // -expm1(-x) is 1 - e^-x, exact for small x.
    classes.iter().map(|class| class.keys * -(-rows * class.share).exp_m1()).sum()
}

/// The value at probability `p` between evenly spaced quantiles.
fn quantile(values: &[f64], p: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return 1.0 };
    let at = p * last as f64;
    let low = (at as usize).min(last.saturating_sub(1));
    let high = values[(low + 1).min(last)];
    values[low] + (high - values[low]) * (at - low as f64)
}

/// The first keys one by one, then classes a tenth wider each, with the mean weight of their ends.
fn zipf(s: f64, keys: u64) -> Vec<Class> {
    let weight = |i: f64| i.powf(-s);
    let mut classes = Vec::new();
    let mut from = 1u64;
    while from <= keys {
        let width = if from <= ALONE { 1 } else { (from / 10).min(keys - from + 1) };
        let middle = from as f64 + (width - 1) as f64 / 2.0;
        classes.push(Class { keys: width as f64, share: weight(middle) });
        from += width;
    }
    normalise(&mut classes);
    classes
}

/// Sorts weights, keeps the greatest alone and averages the others in classes of 1 %.
fn group(mut weights: Vec<f64>) -> Vec<Class> {
    weights.sort_by(|a, b| b.total_cmp(a));
    let alone = weights.len().min(ALONE as usize);
    let (first, rest) = weights.split_at(alone);
    let first = first.iter().map(|weight| Class { keys: 1.0, share: *weight });
    let rest = rest.chunks(rest.len().div_ceil(100).max(1)).map(|chunk| Class {
        keys: chunk.len() as f64,
        share: chunk.iter().sum::<f64>() / chunk.len() as f64,
    });
    let mut classes: Vec<Class> = first.chain(rest).collect();
    normalise(&mut classes);
    classes
}

fn normalise(classes: &mut [Class]) {
    let sum: f64 = classes.iter().map(|class| class.keys * class.share).sum();
    for class in classes {
        class.share /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    fn rng() -> Pcg64 {
        stream(1, Purpose::Keys, 7)
    }

    fn of(shape: Shape) -> Distribution {
        Distribution { shape, distinct: None }
    }

    fn shapes() -> [Shape; 6] {
        [
            Shape::Uniform,
            Shape::Zipf(1.1),
            Shape::Hot(vec![0.3, 0.1]),
            Shape::LogNormal(1.0),
            Shape::Pareto(1.2),
            Shape::Quantiles(vec![1.0, 2.0, 3.0, 10.0, 100.0]),
        ]
    }

    #[test]
    fn classes_hold_every_key_and_all_rows() {
        for shape in shapes() {
            for keys in [1, 2, 300, 50_000] {
                if matches!(shape, Shape::Hot(_)) && keys < 3 {
                    continue;
                }
                let classes = of(shape.clone()).classes(keys, &mut rng());
                let (count, sum) = classes.iter().fold((0.0, 0.0), |(count, sum), class| {
                    (count + class.keys, sum + class.keys * class.share)
                });
                assert!(
                    (sum - 1.0f64).abs() < 1e-9 && (count - keys as f64).abs() < 1e-6,
                    "{shape:?} {keys}"
                );
                assert!(classes.windows(2).all(|pair| pair[0].share >= pair[1].share), "{shape:?} {keys}");
            }
        }
    }

    #[test]
    fn zipf_agrees_with_its_own_sum() {
        // Sum of i^-1.1 for i up to 2,200,000 is 8.2648: the first key has 12.1 %.
        let classes = of(Shape::Zipf(1.1)).classes(2_200_000, &mut rng());
        let exact: f64 = (1..=2_200_000u64).map(|i| (i as f64).powf(-1.1)).sum();
        assert!((classes[0].share * exact - 1.0).abs() < 1e-3, "{} {exact}", classes[0].share);
    }

    #[test]
    fn distinct_keys_saturate() {
        let classes = of(Shape::Uniform).classes(1_000, &mut rng());
        assert!((expected_distinct(&classes, 1_000.0) - 632.1).abs() < 0.5);
        assert!((expected_distinct(&classes, 1e9) - 1_000.0).abs() < 1e-6);
    }

    #[test]
    fn parts_add_up_whatever_the_shape() {
        for shape in shapes() {
            let parts = of(shape.clone()).split(1_000_003, 24, &mut rng());
            assert_eq!((parts.len(), parts.iter().sum::<u64>()), (24, 1_000_003), "{shape:?}");
        }
    }

    #[test]
    fn hot_keys_are_those_that_stand_out() {
        assert_eq!(of(Shape::Hot(vec![0.3, 0.1])).hot_keys(1_000_000, &mut rng()), [0.3, 0.1]);
        assert!(of(Shape::Uniform).hot_keys(4, &mut rng()).is_empty());
    }

    /// Draws of a seed may change with a release of rand_distr; results would change with them and must say so.
    #[test]
    fn golden_draws() {
        let first = |shape| of(shape).split(1_000_000, 5, &mut rng());
        let drawn: Vec<Vec<u64>> = shapes().into_iter().map(first).collect();
        let golden = [
            [200_000, 200_000, 200_000, 200_000, 200_000],
            [464_452, 79_081, 138_710, 216_675, 101_082],
            [300_000, 200_000, 200_000, 100_000, 200_000],
            [469_312, 155_676, 62_812, 238_415, 73_785],
            [118_249, 174_907, 238_965, 142_558, 325_321],
            [427_367, 139_270, 111_698, 228_746, 92_919],
        ];
        assert_eq!(drawn, golden);
    }
}
