//! Time along one axis of a study: the mean as a line, its interval as a band, failures as crosses in a row below, runs of
//! real Spark as diamonds.

use super::chart::{Horizontal, LEFT, headings, times};
use super::scale::Scale;
use super::{Measured, VariedAxis, duration, failures, ns};
use crate::record::study::Spot;
use crate::report::plot::canvas::{
    Anchor, BLUE, Canvas, GREEN, INK, Mark, ORANGE, SKY_BLUE, SMALL, VERMILLION,
};

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Curve<'a> {
    /// Name of the application.
    pub name: &'a str,
    /// What is varied.
    pub axis: &'a VariedAxis,
    /// One a value, in their order.
    pub spots: &'a [Spot],
    /// Runs of real Spark.
    pub measured: &'a [Measured<'a>],
    /// Replications and confidence, in words.
    pub basis: &'a str,
}

impl Curve<'_> {
    fn scale(&self) -> Scale {
        let (from, to) = Horizontal::SPAN;
        match &self.axis.numbers {
            // Real runs may lie beyond the simulated ones.
            Some(numbers) => {
                let all = numbers.iter().copied().chain(self.measured.iter().map(|run| run.at));
                Scale::numbers(all, from, to)
            }
            None => Scale::of(self.axis, from, to),
        }
    }

    fn horizontal(&self) -> Horizontal {
        let scale = self.scale();
        let kind = if scale.is_logarithmic { " (logarithmic)" } else { "" };
        let failed = self.spots.iter().any(|spot| spot.failure.is_some());
        let failed = failed || self.measured.iter().any(|run| !run.wall_ms.is_finite());
        let (mut values, mut places) = (self.axis.values.clone(), scale.places(self.axis));
        // Nobody could tell where a real run beyond the simulated ones stands.
        let (low, high) = (places.iter().min().copied(), places.iter().max().copied());
        for run in self.measured {
            let x = scale.at(run.at);
            if low.is_some_and(|low| x < low) || high.is_some_and(|high| x > high) {
                values.push(run.value.to_owned());
                places.push(x);
            }
        }
        Horizontal::new(
            &values,
            &places,
            self.axis.numbers.is_none(),
            format!("{}{kind}", self.axis.title()),
            failed,
        )
    }

    /// The picture, pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        self.horizontal().size()
    }
}

/// Paints the curve.
pub(in crate::report::plot) fn paint(canvas: &Canvas, curve: &Curve) {
    let Curve { axis, spots, measured, .. } = *curve;
    let best = spots.iter().filter(|spot| spot.all_ok).filter_map(|spot| Some((spot.wall_ms?, spot)));
    let best = best.min_by(|a, b| a.0.total_cmp(&b.0)).and_then(|(wall, best)| {
        let at = spots.iter().position(|spot| spot.point == best.point)?;
        Some(format!("best: {} at {}", duration(wall), axis.values[at]))
    });
    headings(canvas, curve.name, curve.basis, &best.unwrap_or_default());
    let highest = spots.iter().filter_map(|spot| spot.interval.map(|i| i.1).or(spot.wall_ms));
    let real = measured.iter().map(|run| run.wall_ms).filter(|wall| wall.is_finite());
    let vertical = times(canvas, highest.chain(real));
    let horizontal = curve.horizontal();
    horizontal.paint(canvas);
    let scale = curve.scale();
    let places = scale.places(axis);

    let y = |ms: f64| vertical.at(ns(ms));
    // Between names there is nothing to draw a line through.
    for run in unbroken(spots).into_iter().filter(|_| axis.numbers.is_some()) {
        let band: Vec<_> = run.iter().filter_map(|at| Some((places[*at], spots[*at].interval?))).collect();
        if band.len() > 1 {
            let upper = band.iter().map(|(x, interval)| (*x, y(interval.1)));
            let lower = band.iter().rev().map(|(x, interval)| (*x, y(interval.0)));
            canvas.polygon(upper.chain(lower).collect(), SKY_BLUE);
        }
        let line: Vec<_> = run.iter().filter_map(|at| Some((places[*at], y(spots[*at].wall_ms?)))).collect();
        canvas.line(line, BLUE, 2);
    }
    for (spot, x) in spots.iter().zip(&places) {
        if let Some(wall) = spot.wall_ms {
            if let Some((low, high)) = spot.interval {
                canvas.line(vec![(*x, y(low)), (*x, y(high))], BLUE, 1);
                if axis.numbers.is_none() && low < high {
                    for end in [y(low), y(high)] {
                        canvas.line(vec![(*x - 5, end), (*x + 5, end)], BLUE, 1);
                    }
                }
            }
            canvas.dot((*x, y(wall)), 4, if spot.all_ok { BLUE } else { ORANGE });
        }
        if spot.failure.is_some() {
            canvas.mark(Mark::Cross, (*x, Horizontal::FAILS_AT), VERMILLION);
        }
    }
    for run in measured {
        if run.wall_ms.is_finite() {
            canvas.mark(Mark::Diamond, (scale.at(run.at), y(run.wall_ms)), GREEN);
        } else {
            canvas.mark(Mark::Cross, (scale.at(run.at), Horizontal::FAILS_AT - 12), GREEN);
        }
    }
    legend(canvas, curve, horizontal.legend_at());
}

/// Runs of neighbours that have a time.
fn unbroken(spots: &[Spot]) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = vec![Vec::new()];
    for (at, spot) in spots.iter().enumerate() {
        if spot.wall_ms.is_none() {
            runs.push(Vec::new());
        } else if let Some(run) = runs.last_mut() {
            run.push(at);
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn legend(canvas: &Canvas, curve: &Curve, y: i32) {
    let mut x = LEFT;
    let mut entry = |canvas: &Canvas, text: &str, mark: &dyn Fn(&Canvas, (i32, i32))| {
        mark(canvas, (x, y));
        canvas.text(text, (x + 12, y), SMALL, INK, Anchor::Start);
        x += 30 + crate::report::plot::canvas::text_width(text, SMALL) as i32;
    };
    if curve.spots.iter().any(|spot| spot.all_ok) {
        entry(canvas, "simulated, every run ends well", &|canvas, at| canvas.dot(at, 4, BLUE));
    }
    if curve.spots.iter().any(|spot| !spot.all_ok && spot.wall_ms.is_some()) {
        entry(canvas, "some runs fail", &|canvas, at| canvas.dot(at, 4, ORANGE));
    }
    let failures = failures(curve.spots);
    if !failures.is_empty() {
        let text = format!("fails: {failures}");
        entry(canvas, &text, &|canvas, at| canvas.mark(Mark::Cross, at, VERMILLION));
    }
    if !curve.measured.is_empty() {
        entry(canvas, "real Spark (cross: failed)", &|canvas, at| canvas.mark(Mark::Diamond, at, GREEN));
    }
}
