//! Time against memory over all points of a study: the front of points that nothing beats in both, everything else in grey,
//! failing points as crosses in a row below.

use super::scale::{Scale, labels_that_fit};
use super::{failures, ns};
use crate::record::study::Spot;
use crate::report::plot::axis::{Axis, time_ticks};
use crate::report::plot::canvas::{
    Anchor, BLUE, Canvas, FAINT, GREY, INK, LARGE, Mark, NORMAL, SILVER, SMALL, VERMILLION, text_width,
};
use crate::units::HumanBytes;

/// The picture, pixels.
pub const SIZE: (u32, u32) = (860, 500);
const LEFT: i32 = 84;
const RIGHT: i32 = 820;
const TOP: i32 = 84;
const BOTTOM: i32 = 380;
const FAILS: i32 = 404;
/// Points of the front that carry their values.
const NAMED: usize = 8;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Pareto<'a> {
    /// Name of the application.
    pub name: &'a str,
    /// All points.
    pub spots: &'a [Spot],
    /// The front, from little memory to much: points and what they are called.
    pub front: &'a [(Spot, String)],
    /// Replications and confidence, in words.
    pub basis: &'a str,
}

/// Paints the front.
pub(in crate::report::plot) fn paint(canvas: &Canvas, pareto: &Pareto) {
    canvas.text(pareto.name, (LEFT, 26), LARGE, INK, Anchor::Start);
    canvas.text(pareto.basis, (LEFT, 48), NORMAL, GREY, Anchor::Start);
    let memories: Vec<f64> =
        pareto.spots.iter().filter_map(|spot| spot.allocated_memory).map(|bytes| bytes as f64).collect();
    let scale = Scale::numbers(memories.iter().copied(), LEFT + 30, RIGHT - 30);
    let walls = pareto.spots.iter().filter(|spot| spot.all_ok).filter_map(|spot| spot.wall_ms);
    let vertical = Axis { max: ns(walls.fold(1.0, f64::max) * 1.06), from: BOTTOM, to: TOP };
    let (ticks, unit) = time_ticks(vertical.max, 7);
    for (value, label) in &ticks {
        let y = vertical.at(*value);
        canvas.line(vec![(LEFT, y), (RIGHT, y)], FAINT, 1);
        canvas.text(label, (LEFT - 8, y), SMALL, GREY, Anchor::End);
    }
    canvas.text_upwards(&format!("time of jobs, {unit}"), (24, i32::midpoint(TOP, BOTTOM)), NORMAL, INK);
    canvas.line(vec![(LEFT, BOTTOM), (RIGHT, BOTTOM)], SILVER, 1);
    let mut values = memories;
    values.sort_by(f64::total_cmp);
    values.dedup();
    let labels: Vec<String> = values.iter().map(|bytes| HumanBytes(*bytes as u64).to_string()).collect();
    let places: Vec<i32> = values.iter().map(|bytes| scale.at(*bytes)).collect();
    for at in labels_that_fit(&labels, &places) {
        canvas.line(vec![(places[at], BOTTOM), (places[at], BOTTOM + 5)], SILVER, 1);
        canvas.text(&labels[at], (places[at], 428), SMALL, INK, Anchor::Middle);
    }
    let kind = if scale.is_logarithmic { " (logarithmic)" } else { "" };
    let title = format!("memory of all executors{kind}");
    canvas.text(&title, (i32::midpoint(LEFT, RIGHT), 452), NORMAL, INK, Anchor::Middle);

    let place = |spot: &Spot| {
        let x = scale.at(spot.allocated_memory? as f64);
        Some((x, vertical.at(ns(spot.wall_ms?))))
    };
    for spot in pareto.spots {
        match (spot.all_ok, place(spot)) {
            (true, Some(at)) => canvas.dot(at, 3, SILVER),
            _ => {
                if let Some(bytes) = spot.allocated_memory {
                    canvas.mark(Mark::Cross, (scale.at(bytes as f64), FAILS), VERMILLION);
                }
            }
        }
    }
    let front: Vec<(i32, i32)> = pareto.front.iter().filter_map(|(spot, _)| place(spot)).collect();
    let mut stairs = Vec::new();
    for pair in front.windows(2) {
        stairs.extend([pair[0], (pair[1].0, pair[0].1)]);
    }
    stairs.extend(front.last());
    if stairs.len() > 1 {
        canvas.line(stairs, BLUE, 2);
    }
    for at in &front {
        canvas.dot(*at, 5, BLUE);
    }
    name_front(canvas, pareto, &front);
    legend(canvas, pareto);
}

/// Writes the values of the front's points beside them where there is room.
fn name_front(canvas: &Canvas, pareto: &Pareto, front: &[(i32, i32)]) {
    let every = front.len().div_ceil(NAMED).max(1);
    for ((_, name), (x, y)) in pareto.front.iter().zip(front).step_by(every) {
        let width = text_width(name, SMALL) as i32;
        let y = (y - 14).max(TOP - 8);
        let (x, anchor) =
            if x + width + 8 < RIGHT + 30 { (x + 8, Anchor::Start) } else { (x - 8, Anchor::End) };
        canvas.text(name, (x, y), SMALL, INK, anchor);
    }
}

fn legend(canvas: &Canvas, pareto: &Pareto) {
    const Y: i32 = 482;
    canvas.dot((LEFT, Y), 5, BLUE);
    let text = "less of one costs more of the other";
    canvas.text(text, (LEFT + 12, Y), SMALL, INK, Anchor::Start);
    let mut x = LEFT + 40 + text_width(text, SMALL) as i32;
    canvas.dot((x, Y), 3, SILVER);
    let text = "another point beats it";
    canvas.text(text, (x + 12, Y), SMALL, INK, Anchor::Start);
    x += 40 + text_width(text, SMALL) as i32;
    let failing = failures(pareto.spots);
    if !failing.is_empty() {
        canvas.mark(Mark::Cross, (x, Y), VERMILLION);
        canvas.text(&format!("fails: {failing}"), (x + 12, Y), SMALL, INK, Anchor::Start);
    }
}
