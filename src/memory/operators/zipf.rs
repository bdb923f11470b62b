//! Distinct keys among draws whose keys are as skewed as Zipf's law has it: key number `x` is `1 / x` as frequent as the
//! first. Expected numbers only; leaves out their spread.
//!
//! Integrals over the keys are taken by Simpson's rule over their logarithm. Finding the law that explains two numbers of
//! distinct keys costs some ten thousand exponentials, going on from draw to draw none.

/// Intervals of Simpson's rule.
const STEPS: usize = 256;
/// Logarithm of the largest frequency of the first key that is looked at.
const LOG_FREQUENCY_MAX: f64 = 40.0;
/// How much larger than the keys seen the logarithm of all keys may be.
const LOG_UNSEEN_MAX: f64 = 20.0;
/// Share of a number to which it is found; far below one group in the rows of a task.
const PRECISION: f64 = 1e-13;
/// Most steps of a search; about a dozen are taken.
const SEARCH_STEPS_MAX: usize = 100;

/// A number of keys, and how often the first of them occurs in one batch of draws.
#[derive(Debug)]
pub(super) struct ZipfLaw {
    nodes: Nodes,
    frequency: f64,
}

impl ZipfLaw {
    /// The law under which one batch holds `first` distinct keys and `batches` of them `all`. Where no law does, the one
    /// with the most keys.
    pub(super) fn of_batches(first: f64, batches: f64, all: f64) -> Self {
        let mut near = first / all.ln().max(1.0);
        let mut law = |log_keys: f64| {
            let nodes = Nodes::new(log_keys);
            let frequency = nodes.frequency(first, near);
            near = frequency;
            let missing = all - nodes.distinct(frequency * batches);
            (Self { nodes, frequency }, missing)
        };
        // More keys means more new ones in each further batch. Regula falsi; an end that stays is halved (Illinois), so
        // that both move.
        let (mut low, mut high) = (all.ln(), all.ln() + LOG_UNSEEN_MAX);
        let (most_keys, mut missing_high) = law(high);
        if missing_high > 0.0 {
            return most_keys;
        }
        let (mut best, mut missing_low) = law(low);
        let mut last_missed = None;
        for _ in 0..SEARCH_STEPS_MAX {
            if missing_low <= 0.0 || high - low <= PRECISION * high {
                break;
            }
            let between = low + (high - low) * missing_low / (missing_low - missing_high);
            let (found, missing) = law(between);
            best = found;
            if missing.abs() <= PRECISION * all {
                break;
            }
            if missing > 0.0 {
                (low, missing_low) = (between, missing);
                if last_missed == Some(true) {
                    missing_high /= 2.0;
                }
            } else {
                (high, missing_high) = (between, missing);
                if last_missed == Some(false) {
                    missing_low /= 2.0;
                }
            }
            last_missed = Some(missing > 0.0);
        }
        best
    }

    /// Expected distinct keys in so many batches.
    pub(super) fn distinct(&self, batches: f64) -> f64 {
        self.nodes.distinct(self.frequency * batches)
    }

    /// Expected distinct keys after each of the `points` increasing numbers of batches.
    pub(super) fn distinct_after(&self, points: impl Iterator<Item = u64>) -> impl Iterator<Item = f64> {
        // Share of the keys at each node that some batch so far holds.
        let mut seen = [0.0; STEPS + 1];
        let mut before = 0;
        let mut added = 0;
        let mut new = [0.0; STEPS + 1];
        points.map(move |batches| {
            if batches - before != added {
                added = batches - before;
                for (new, key) in new.iter_mut().zip(&self.nodes.keys) {
                    *new = -(-self.frequency * added as f64 / key).exp_m1();
                }
            }
            before = batches;
            let mut sum = 0.0;
            for ((seen, new), weighted) in seen.iter_mut().zip(&new).zip(&self.nodes.weighted) {
                *seen += new * (1.0 - *seen);
                sum += weighted * *seen;
            }
            sum
        })
    }
}

/// Keys at equal distances of their logarithm.
#[derive(Debug)]
struct Nodes {
    /// Number of the key at each node.
    keys: [f64; STEPS + 1],
    /// How many keys it stands for.
    weighted: [f64; STEPS + 1],
}

impl Nodes {
    fn new(log_keys: f64) -> Self {
        let step = log_keys / STEPS as f64;
        let keys = std::array::from_fn(|at| (at as f64 * step).exp());
        let weighted = std::array::from_fn(|at| keys[at] * step * weight(at));
        Self { keys, weighted }
    }

    /// Expected distinct keys when the first occurs `frequency` times on average.
    fn distinct(&self, frequency: f64) -> f64 {
        self.keys
            .iter()
            .zip(&self.weighted)
            .map(|(key, weighted)| weighted * -(-frequency / key).exp_m1())
            .sum()
    }

    /// How often the first key occurs where so many are distinct, looked for from `near` on. Newton's method: distinct
    /// keys grow ever slower, so that all steps but the first come from below.
    fn frequency(&self, distinct: f64, near: f64) -> f64 {
        let most = LOG_FREQUENCY_MAX.exp();
        let mut frequency = near;
        for _ in 0..SEARCH_STEPS_MAX {
            let (mut found, mut slope) = (0.0, 0.0);
            for (key, weighted) in self.keys.iter().zip(&self.weighted) {
                let unseen_less_one = (-frequency / key).exp_m1();
                found -= weighted * unseen_less_one;
                slope += weighted / key * (1.0 + unseen_less_one);
            }
            let next = frequency + (distinct - found) / slope;
            // Also where the slope has become nothing.
            if next.is_nan() || next >= most {
                return most;
            }
            let step = next - frequency;
            // A first step from far above may lead below nothing.
            frequency = next.max(frequency / 1024.0);
            if step.abs() <= PRECISION * frequency {
                break;
            }
        }
        frequency
    }
}

/// Simpson's weight of a node.
fn weight(at: usize) -> f64 {
    match at {
        0 | STEPS => 1.0 / 3.0,
        at if at % 2 == 1 => 4.0 / 3.0,
        _ => 2.0 / 3.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_that_is_found_explains_both_numbers() {
        for (first, batches, all) in [
            (121_985.0, 16.0, 1_121_344.0),
            (800.0, 500.0, 250_000.0),
            (70.0, 2.0, 71.0),
            (0.5, 40.0, 12.0),
            (1e6, 1e4, 1.2e6),
        ] {
            let law = ZipfLaw::of_batches(first, batches, all);
            assert!(
                (law.distinct(1.0) / first - 1.0).abs() < 1e-9,
                "{first} {batches} {all}: {}",
                law.distinct(1.0)
            );
            assert!(
                (law.distinct(batches) / all - 1.0).abs() < 1e-9,
                "{first} {batches} {all}: {}",
                law.distinct(batches)
            );
        }
    }

    #[test]
    fn going_on_from_batch_to_batch_is_starting_anew() {
        let law = ZipfLaw::of_batches(1_400.0, 2_500.0, 400_000.0);
        let points = [1, 2, 3, 5, 8, 10, 12, 1_000, 2_500];
        for (batches, found) in points.iter().zip(law.distinct_after(points.iter().copied())) {
            let anew = law.distinct(*batches as f64);
            assert!((found / anew - 1.0).abs() < 1e-10, "{batches}: {found} {anew}");
        }
    }
}
