//! What a study says: the best point, the safe band around it on each axis, and why each side of the band is worse.

use super::base::Base;
use super::explain::{explain, root_cause};
use super::overview::Overview;
use super::points::Space;
use super::statistics::Intervals;
use crate::record::study::Spot;

/// A point within this much of the best time counts as good as the best: what nobody would tune for.
pub const GOOD_ENOUGH: f64 = 0.10;
/// Share of time that more memory must save to be worth mentioning: less is within the noise of any mean.
const WORTH_MEMORY: f64 = 0.01;
/// Corrected probability below which a difference is taken for real.
pub const SIGNIFICANT: f64 = 0.05;

/// The values of an axis around the best point at which every run ends well and time is surely near the best, all other axes
/// as at the best point. Surely: the upper end of the mean paired difference, at 5 % shared among all values that are looked
/// at (Bonferroni), is below the limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The axis.
    pub key: String,
    /// First good value.
    pub low: String,
    /// Last good value.
    pub high: String,
    /// The value before, and why it is worse; `None` where the study goes no further.
    pub below: Option<(String, String)>,
    /// The value behind, and why it is worse; `None` where the study goes no further.
    pub above: Option<(String, String)>,
}

/// What a study says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StudyAnswer {
    /// The best point; `None` where every point fails at times.
    pub best: Option<Spot>,
    /// Its values, one a key.
    pub values: Vec<String>,
    /// Its bands, one an axis of more than one value.
    pub bands: Vec<Band>,
    /// Points of the study.
    pub points: u64,
    /// Points at which some run fails.
    pub failing: u64,
    /// Points that cannot be told from the best one.
    pub as_good: u64,
    /// Nothing in the application is random.
    pub all_alike: bool,
    /// Values that the bands were looked for among, among which their 5 % are shared; 0 where nothing is random.
    pub compared: u64,
}

/// Draws the conclusions of a study from its points, which are in order and whole. Runs single points again to say why;
/// without an application nothing is said about causes.
pub fn conclude(base: Option<&Base>, space: &Space, overview: &Overview, spots: &[Spot]) -> StudyAnswer {
    let find = |point: u64| spots.binary_search_by_key(&point, |spot| spot.point).ok().map(|at| &spots[at]);
    let best = overview.best.and_then(find);
    let same = |spot: &&Spot| {
        Some(spot.point) == overview.best || overview.p(spot.point).is_some_and(|p| p >= SIGNIFICANT)
    };
    let mut answer = StudyAnswer {
        best: best.copied(),
        values: Vec::new(),
        bands: Vec::new(),
        points: spots.len() as u64,
        failing: spots.iter().filter(|spot| !spot.all_ok).count() as u64,
        as_good: (spots.iter().filter(same).count() as u64).saturating_sub(1),
        all_alike: overview.all_alike,
        compared: 0,
    };
    let Some(best) = best else { return answer };
    answer.values = space.values(best.point).iter().map(|value| (*value).to_owned()).collect();
    let least = best.wall_ms.unwrap_or(0.0);
    let positions = space.positions(best.point);
    let axes = space.axes().unwrap_or_default();
    let compared: u64 = axes.iter().map(|axis| axis.values.len() as u64 - 1).sum();
    if overview.others.iter().any(|other| other.deviation > 0.0) {
        answer.compared = compared;
    }
    // One-sided, since only slower matters.
    let mut intervals = Intervals::new(1.0 - 2.0 * SIGNIFICANT / compared.max(1) as f64);
    // What a point may cost beyond the best one, as a share of it: surely, and on average.
    let mut excess = |spot: &Spot| {
        let mean = spot.wall_ms.unwrap_or(f64::INFINITY) - least;
        let sure = overview
            .other(spot.point)
            .map_or(mean, |other| other.slower + intervals.half(other.pairs, other.deviation));
        (sure / least.max(f64::MIN_POSITIVE), mean / least.max(f64::MIN_POSITIVE))
    };
    for (at, axis) in axes.iter().enumerate().filter(|(_, axis)| axis.values.len() > 1) {
        let spot = |position: usize| {
            let mut there = positions.clone();
            there[at] = position;
            find(space.at(&there))
        };
        let mut good = |position: usize| {
            position == positions[at]
                || spot(position).is_some_and(|spot| spot.all_ok && excess(spot).0 <= GOOD_ENOUGH)
        };
        let (mut low, mut high) = (positions[at], positions[at]);
        while low > 0 && good(low - 1) {
            low -= 1;
        }
        while high + 1 < axis.values.len() && good(high + 1) {
            high += 1;
        }
        let mut side = |position: Option<usize>| {
            let position = position.filter(|position| *position < axis.values.len())?;
            let spot = spot(position)?;
            let (sure, mean) = excess(spot);
            let words = if spot.all_ok && mean <= GOOD_ENOUGH {
                format!(
                    "{:.0} % slower on average, but up to {:.0} % cannot be excluded; more --replications would tell",
                    mean * 100.0,
                    (sure * 100.0).ceil()
                )
            } else {
                why(base, space, best, spot)
            };
            Some((axis.values[position].clone(), words))
        };
        answer.bands.push(Band {
            key: axis.key.clone(),
            low: axis.values[low].clone(),
            high: axis.values[high].clone(),
            below: side(low.checked_sub(1)),
            above: side(Some(high + 1)),
        });
    }
    answer
}

/// Why a point is worse than the best one.
fn why(base: Option<&Base>, space: &Space, best: &Spot, worse: &Spot) -> String {
    let slower = match (worse.wall_ms, best.wall_ms) {
        (Some(wall), Some(least)) if worse.all_ok && least > 0.0 => {
            format!("{:.0} % slower", (wall / least - 1.0) * 100.0)
        }
        _ => match worse.failure {
            Some(outcome) if worse.wall_ms.is_none() => format!("every run fails ({})", outcome.as_str()),
            Some(outcome) => format!("some runs fail ({})", outcome.as_str()),
            None => "no time is known".to_owned(),
        },
    };
    let again = |spot: &Spot| {
        let base = base?;
        let prepared = base.prepare(space.keys(), &space.values(spot.point)).ok()?;
        Some(base.run(&prepared, 0, false))
    };
    let Some(second) = again(worse) else { return slower };
    if worse.failure.is_some() {
        // The first replication may be one that ends well.
        let cause = root_cause(&second.reason);
        return if cause.is_empty() { slower } else { format!("{slower}: {cause}") };
    }
    let causes = again(best).map_or_else(Vec::new, |first| explain(&first, &second));
    if causes.is_empty() { slower } else { format!("{slower}; {}", causes.join("; ")) }
}

/// The points that nothing beats in memory and time, from little memory to much; one that takes more memory is worth it only
/// if it is at least 1 % faster. Points that fail at times are left out.
pub fn pareto(spots: &[Spot]) -> Vec<Spot> {
    let mut candidates: Vec<(u64, f64, Spot)> = spots
        .iter()
        .filter(|spot| spot.all_ok)
        .filter_map(|spot| Some((spot.allocated_memory?, spot.wall_ms?, *spot)))
        .collect();
    candidates.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.point.cmp(&b.2.point)));
    let mut front: Vec<(f64, Spot)> = Vec::new();
    for (_, wall, spot) in candidates {
        if front.last().is_none_or(|(least, _)| wall < *least * (1.0 - WORTH_MEMORY)) {
            front.push((wall, spot));
        }
    }
    front.into_iter().map(|(_, spot)| spot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Axis;

    fn spot(point: u64, wall_ms: f64, memory: u64) -> Spot {
        let failed = wall_ms.is_nan();
        Spot {
            point,
            all_ok: !failed,
            failure: failed.then_some(crate::record::Outcome::HeapOom),
            wall_ms: (!failed).then_some(wall_ms),
            allocated_memory: Some(memory),
            ..Spot::default()
        }
    }

    #[test]
    fn the_band_ends_where_it_gets_slow_or_fails() {
        let values = ["1g", "2g", "3g", "4g", "5g", "6g"].map(str::to_owned).to_vec();
        let space = Space::product(vec![Axis { key: "k".to_owned(), values }]).expect("an axis");
        let walls = [f64::NAN, 108.0, 100.0, 105.0, 130.0, 101.0];
        let spots: Vec<Spot> = walls.iter().enumerate().map(|(at, wall)| spot(at as u64, *wall, 1)).collect();
        let overview = Overview { best: Some(2), best_wall_ms: 100.0, ..Overview::default() };
        let answer = conclude(None, &space, &overview, &spots);
        let band = &answer.bands[0];
        assert_eq!((band.low.as_str(), band.high.as_str()), ("2g", "4g"));
        assert_eq!(band.below, Some(("1g".to_owned(), "every run fails (heap_oom)".to_owned())));
        assert_eq!(band.above, Some(("5g".to_owned(), "30 % slower".to_owned())));
        assert_eq!((answer.failing, answer.points), (1, 6));
    }

    #[test]
    fn the_band_allows_for_noise_and_for_how_many_values_it_looks_at() {
        use crate::experiment::Other;
        let values: Vec<String> = (1..=6).map(|at| format!("{at}g")).collect();
        let space = Space::product(vec![Axis { key: "k".to_owned(), values }]).expect("an axis");
        let spots: Vec<Spot> = (0..6).map(|at| spot(at, if at == 2 { 100.0 } else { 104.0 }, 1)).collect();
        let answer = |deviation: f64| {
            let other = |point| Other {
                point,
                p: 1.0,
                pairs: 5,
                slower: if point == 2 { 0.0 } else { 4.0 },
                deviation,
            };
            let others = [0, 1, 3, 4, 5].map(other).to_vec();
            let overview = Overview { best: Some(2), best_wall_ms: 100.0, others, ..Overview::default() };
            let answer = conclude(None, &space, &overview, &spots);
            (answer.bands[0].clone(), answer.compared)
        };
        // One-sided t at 1 % on 4 degrees of freedom is 3.747: 6 % are left for 3.747 times the error of the mean.
        let (band, compared) = answer(6.0 / 3.747 * 5.0_f64.sqrt() - 0.01);
        assert_eq!((band.low.as_str(), band.high.as_str(), compared), ("1g", "6g", 5));
        let (band, _) = answer(6.0 / 3.747 * 5.0_f64.sqrt() + 0.01);
        assert_eq!((band.low.as_str(), band.high.as_str()), ("3g", "3g"));
        assert!(band.above.expect("4g").1.starts_with("4 % slower on average, but up to 11 % cannot"));
        assert_eq!(answer(0.0).1, 0, "nothing is random");
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let spots =
            [spot(0, 10.0, 4), spot(1, 20.0, 2), spot(2, 15.0, 4), spot(3, f64::NAN, 1), spot(4, 20.0, 3)];
        let front: Vec<u64> = pareto(&spots).iter().map(|spot| spot.point).collect();
        assert_eq!(front, [1, 0]);
        let close: Vec<Spot> =
            [(0, 10.0, 1), (1, 9.95, 2), (2, 9.8, 3)].map(|(p, w, m)| spot(p, w, m)).to_vec();
        let front: Vec<u64> = pareto(&close).iter().map(|spot| spot.point).collect();
        assert_eq!(front, [0, 2], "half a percent is worth no memory");
    }
}
