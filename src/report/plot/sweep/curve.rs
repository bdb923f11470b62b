//! Time along one axis of a study: the mean as a line, its interval as a band, failures as crosses in a row below, runs of
//! real Spark as diamonds.

use super::scale::{Scale, labels_that_fit};
use super::{Measured, VariedAxis, duration, failures, ns};
use crate::record::study::Spot;
use crate::report::plot::axis::{Axis, time_ticks};
use crate::report::plot::canvas::{
    Anchor, BLUE, Canvas, FAINT, GREEN, GREY, INK, LARGE, Mark, NORMAL, ORANGE, SILVER, SKY_BLUE, SMALL,
    VERMILLION,
};

/// The picture, pixels.
pub const SIZE: (u32, u32) = (860, 480);
const LEFT: i32 = 84;
const RIGHT: i32 = 820;
const TOP: i32 = 84;
const BOTTOM: i32 = 360;
/// Row of the crosses.
const FAILS: i32 = 384;
const LABELS: i32 = 410;

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
    pub measured: &'a [Measured],
    /// Replications and confidence, in words.
    pub basis: &'a str,
}

/// Paints the curve.
pub(in crate::report::plot) fn paint(canvas: &Canvas, curve: &Curve) {
    let Curve { axis, spots, measured, .. } = *curve;
    canvas.text(curve.name, (LEFT, 26), LARGE, INK, Anchor::Start);
    canvas.text(curve.basis, (LEFT, 48), NORMAL, GREY, Anchor::Start);
    let highest = spots.iter().filter_map(|spot| spot.interval.map(|i| i.1).or(spot.wall_ms));
    let real = measured.iter().map(|run| run.wall_ms).filter(|wall| wall.is_finite());
    let top = highest.chain(real).fold(1.0, f64::max) * 1.06;
    let vertical = Axis { max: ns(top), from: BOTTOM, to: TOP };
    let (ticks, unit) = time_ticks(vertical.max, 7);
    for (value, label) in &ticks {
        let y = vertical.at(*value);
        canvas.line(vec![(LEFT, y), (RIGHT, y)], FAINT, 1);
        canvas.text(label, (LEFT - 8, y), SMALL, GREY, Anchor::End);
    }
    canvas.text_upwards(&format!("time of jobs, {unit}"), (24, i32::midpoint(TOP, BOTTOM)), NORMAL, INK);
    let scale = match &axis.numbers {
        // Real runs may lie beyond the simulated ones.
        Some(numbers) => {
            let all = numbers.iter().copied().chain(measured.iter().map(|run| run.at));
            Scale::numbers(all, LEFT + 30, RIGHT - 30)
        }
        None => Scale::of(axis, LEFT + 30, RIGHT - 30),
    };
    let places = scale.places(axis);
    for at in labels_that_fit(&axis.values, &places) {
        canvas.line(vec![(places[at], BOTTOM), (places[at], BOTTOM + 5)], SILVER, 1);
        canvas.text(&axis.values[at], (places[at], LABELS), SMALL, INK, Anchor::Middle);
    }
    let kind = if scale.is_logarithmic { " (logarithmic)" } else { "" };
    canvas.text(
        &format!("{}{kind}", axis.key),
        (i32::midpoint(LEFT, RIGHT), 436),
        NORMAL,
        INK,
        Anchor::Middle,
    );
    canvas.line(vec![(LEFT, BOTTOM), (RIGHT, BOTTOM)], SILVER, 1);

    let y = |ms: f64| vertical.at(ns(ms));
    for run in unbroken(spots) {
        let band: Vec<_> = run.iter().filter_map(|at| Some((places[*at], spots[*at].interval?))).collect();
        if band.len() > 1 {
            let upper = band.iter().map(|(x, interval)| (*x, y(interval.1)));
            let lower = band.iter().rev().map(|(x, interval)| (*x, y(interval.0)));
            canvas.polygon(upper.chain(lower).collect(), SKY_BLUE);
        }
        let line: Vec<_> = run.iter().filter_map(|at| Some((places[*at], y(spots[*at].wall_ms?)))).collect();
        if axis.numbers.is_some() {
            canvas.line(line.clone(), BLUE, 2);
        }
    }
    for (spot, x) in spots.iter().zip(&places) {
        if let Some(wall) = spot.wall_ms {
            if let Some((low, high)) = spot.interval {
                canvas.line(vec![(*x, y(low)), (*x, y(high))], BLUE, 1);
            }
            canvas.dot((*x, y(wall)), 4, if spot.all_ok { BLUE } else { ORANGE });
        }
        if spot.failure.is_some() {
            canvas.mark(Mark::Cross, (*x, FAILS), VERMILLION);
        }
    }
    for run in measured {
        if run.wall_ms.is_finite() {
            canvas.mark(Mark::Diamond, (scale.at(run.at), y(run.wall_ms)), GREEN);
        } else {
            canvas.mark(Mark::Cross, (scale.at(run.at), FAILS - 10), GREEN);
        }
    }
    legend(canvas, curve);
    let best = spots.iter().filter(|spot| spot.all_ok).filter_map(|spot| Some((spot.wall_ms?, spot)));
    if let Some((wall, best)) = best.min_by(|a, b| a.0.total_cmp(&b.0))
        && let Some(at) = spots.iter().position(|spot| spot.point == best.point)
    {
        let text = format!("best: {} at {}", duration(wall), axis.values[at]);
        canvas.text(&text, (RIGHT, 26), NORMAL, INK, Anchor::End);
    }
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

fn legend(canvas: &Canvas, curve: &Curve) {
    const Y: i32 = 464;
    let mut x = LEFT;
    let mut entry = |canvas: &Canvas, text: &str, mark: &dyn Fn(&Canvas, (i32, i32))| {
        mark(canvas, (x, Y));
        canvas.text(text, (x + 12, Y), SMALL, INK, Anchor::Start);
        x += 30 + crate::report::plot::canvas::text_width(text, SMALL) as i32;
    };
    entry(canvas, "simulated, every run ends well", &|canvas, at| canvas.dot(at, 4, BLUE));
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
