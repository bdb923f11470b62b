//! Time against memory over all points of a study: the front of points that nothing beats in both, everything else in grey,
//! failing points as crosses in a row below.

use super::chart::{Horizontal, LEFT, RIGHT, TOP, headings, times};
use super::scale::Scale;
use super::{failures, ns};
use crate::record::study::Spot;
use crate::report::plot::canvas::{
    Anchor, BLUE, Canvas, INK, Mark, SILVER, SMALL, VERMILLION, WHITE, text_width,
};
use crate::units::HumanBytes;

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

impl Pareto<'_> {
    /// Amounts of memory, each once.
    fn memories(&self) -> Vec<f64> {
        let mut memories: Vec<f64> =
            self.spots.iter().filter_map(|spot| spot.allocated_memory).map(|bytes| bytes as f64).collect();
        memories.sort_by(f64::total_cmp);
        memories.dedup();
        memories
    }

    fn scale(&self) -> Scale {
        let (from, to) = Horizontal::SPAN;
        Scale::numbers(self.memories().into_iter(), from, to)
    }

    fn horizontal(&self) -> Horizontal {
        let (memories, scale) = (self.memories(), self.scale());
        let labels: Vec<String> =
            memories.iter().map(|bytes| HumanBytes(*bytes as u64).to_string()).collect();
        let places: Vec<i32> = memories.iter().map(|bytes| scale.at(*bytes)).collect();
        let kind = if scale.is_logarithmic { " (logarithmic)" } else { "" };
        let failed = self.spots.iter().any(|spot| !spot.all_ok && spot.allocated_memory.is_some());
        Horizontal::new(&labels, &places, false, format!("memory of all executors{kind}"), failed)
    }

    /// The picture, pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        self.horizontal().size()
    }
}

/// Paints the front.
pub(in crate::report::plot) fn paint(canvas: &Canvas, pareto: &Pareto) {
    headings(canvas, pareto.name, pareto.basis, "");
    let walls = pareto.spots.iter().filter(|spot| spot.all_ok).filter_map(|spot| spot.wall_ms);
    let vertical = times(canvas, walls);
    let horizontal = pareto.horizontal();
    horizontal.paint(canvas);
    let scale = pareto.scale();

    let place = |spot: &Spot| {
        let x = scale.at(spot.allocated_memory? as f64);
        Some((x, vertical.at(ns(spot.wall_ms?))))
    };
    for spot in pareto.spots {
        match (spot.all_ok, place(spot)) {
            (true, Some(at)) => canvas.dot(at, 3, SILVER),
            _ => {
                if let Some(bytes) = spot.allocated_memory {
                    canvas.mark(Mark::Cross, (scale.at(bytes as f64), Horizontal::FAILS_AT), VERMILLION);
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
    legend(canvas, pareto, horizontal.legend_at());
}

/// Writes the values of the front's points beside them where there is room, the first and the last before the others: right
/// above a point or left below it, which the stairs never touch.
fn name_front(canvas: &Canvas, pareto: &Pareto, front: &[(i32, i32)]) {
    const HALF: i32 = 7;
    const GAP: i32 = 6;
    let mut order: Vec<usize> = (0..front.len()).collect();
    order.sort_by_key(|at| (*at != 0 && *at + 1 != front.len(), *at));
    // Left, right and middle line of what must stay clear.
    let mut taken: Vec<(i32, i32, i32)> = front.iter().map(|(x, y)| (x - 5, x + 5, *y)).collect();
    for at in order {
        let (name, (x, y)) = (&pareto.front[at].1, front[at]);
        let width = text_width(name, SMALL) as i32;
        let places = [(x + 8, y - 2 * HALF), (x - 8 - width, y + 2 * HALF)];
        let free = places.into_iter().find(|(from, y)| {
            let touches = |other: &(i32, i32, i32)| {
                (other.2 - y).abs() < 2 * HALF && *from < other.1 + GAP && other.0 < from + width + GAP
            };
            (LEFT..RIGHT + 30 - width).contains(from) && *y > TOP - 2 * HALF && !taken.iter().any(touches)
        });
        if let Some((from, y)) = free {
            canvas.rect((from - 2, y - HALF), (from + width, y + HALF), WHITE);
            canvas.text(name, (from, y), SMALL, INK, Anchor::Start);
            taken.push((from, from + width, y));
        }
    }
}

fn legend(canvas: &Canvas, pareto: &Pareto, y: i32) {
    canvas.dot((LEFT, y), 5, BLUE);
    let text = "less of one costs more of the other";
    canvas.text(text, (LEFT + 12, y), SMALL, INK, Anchor::Start);
    let mut x = LEFT + 40 + text_width(text, SMALL) as i32;
    canvas.dot((x, y), 3, SILVER);
    let text = "another point beats it";
    canvas.text(text, (x + 12, y), SMALL, INK, Anchor::Start);
    x += 40 + text_width(text, SMALL) as i32;
    // What is refused takes no memory and has no place here.
    let failing = failures(pareto.spots.iter().filter(|spot| spot.allocated_memory.is_some()));
    if !failing.is_empty() {
        canvas.mark(Mark::Cross, (x, y), VERMILLION);
        canvas.text(&format!("fails: {failing}"), (x + 12, y), SMALL, INK, Anchor::Start);
    }
}
