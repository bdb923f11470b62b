//! Time over two axes of a study: a cell a point, darker is slower; failing points are hatched and named, the best one is
//! framed.

use super::chart::wrapped;
use super::{VariedAxis, duration, failure_words, failures};
use crate::record::study::Spot;
use crate::report::plot::canvas::{
    Anchor, Canvas, GREY, INK, LARGE, NORMAL, ORANGE, SILVER, SMALL, VERMILLION, WHITE, characters,
    text_width,
};
use crate::report::text::shorten;
use plotters::style::RGBColor;

/// The picture, pixels.
pub const SIZE: (u32, u32) = (900, 606);
const RIGHT: i32 = 770;
/// Where cells begin, pixels: as the names of rows need, between these.
const LEFT: (i32, i32) = (130, 300);
/// Room for the name of the vertical axis, pixels.
const KEY: i32 = 50;
const TOP: i32 = 80;
const BOTTOM: i32 = 500;
/// Times that span more than this are coloured by their logarithm.
const LOGARITHMIC_FROM: f64 = 10.0;
/// The darkest colour is at least this much slower than the lightest: a difference of a percent should not look like one.
const LEAST_SPAN: f64 = 1.25;
/// From light to dark in one hue, so that order survives any colour vision and a black-and-white printer.
const STEPS: [(f64, f64, f64); 5] = [
    (239.0, 246.0, 252.0),
    (178.0, 210.0, 233.0),
    (107.0, 168.0, 210.0),
    (35.0, 113.0, 172.0),
    (8.0, 48.0, 98.0),
];

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Heat<'a> {
    /// Name of the application.
    pub name: &'a str,
    /// Upwards.
    pub rows: &'a VariedAxis,
    /// To the right.
    pub columns: &'a VariedAxis,
    /// One a cell, all columns of the first row first.
    pub cells: &'a [Spot],
    /// Replications and confidence, in words.
    pub basis: &'a str,
}

/// Colours of times.
struct Shade {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Shade {
    fn of(cells: &[Spot]) -> Self {
        let walls = || cells.iter().filter_map(|cell| cell.wall_ms);
        let low = walls().fold(f64::INFINITY, f64::min);
        let high = walls().fold(0.0, f64::max);
        let high = if low.is_finite() { high.max(low * LEAST_SPAN) } else { high };
        Self { low, high, is_logarithmic: low > 0.0 && high / low > LOGARITHMIC_FROM }
    }

    fn share(&self, wall: f64) -> f64 {
        let place = |wall: f64| if self.is_logarithmic { wall.max(f64::MIN_POSITIVE).ln() } else { wall };
        let span = place(self.high) - place(self.low);
        if span > 0.0 { ((place(wall) - place(self.low)) / span).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The time at a share of the scale.
    fn wall(&self, share: f64) -> f64 {
        if self.is_logarithmic {
            self.low * (self.high / self.low).powf(share)
        } else {
            self.low + (self.high - self.low) * share
        }
    }
}

fn color(share: f64) -> RGBColor {
    let at = share * (STEPS.len() - 1) as f64;
    let below = (at.floor() as usize).min(STEPS.len() - 2);
    let (a, b) = (STEPS[below], STEPS[below + 1]);
    let mix = |a: f64, b: f64| (a + (b - a) * (at - below as f64)).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

impl Heat<'_> {
    /// Where cells begin, pixels.
    fn left(&self) -> i32 {
        let widest = self.rows.values.iter().map(|value| text_width(value, SMALL)).fold(0.0, f64::max);
        (widest.ceil() as i32 + 1 + KEY).clamp(LEFT.0, LEFT.1)
    }
}

/// Paints the map.
pub(in crate::report::plot) fn paint(canvas: &Canvas, heat: &Heat) {
    let Heat { rows, columns, cells, .. } = *heat;
    let left = heat.left();
    let name = shorten(heat.name, characters(SIZE.0 as i32 - left - 20, LARGE));
    canvas.text(&name, (left, 26), LARGE, INK, Anchor::Start);
    let basis = shorten(heat.basis, characters(SIZE.0 as i32 - left - 20, NORMAL));
    canvas.text(&basis, (left, 48), NORMAL, GREY, Anchor::Start);
    let shade = Shade::of(cells);
    let (across, up) = (columns.values.len().max(1) as i32, rows.values.len().max(1) as i32);
    let x = |column: i32| left + (RIGHT - left) * column / across;
    let y = |row: i32| BOTTOM - (BOTTOM - TOP) * row / up;
    let (width, height) = ((RIGHT - left) / across, (BOTTOM - TOP) / up);
    let best = cells.iter().filter(|cell| cell.all_ok).filter_map(|cell| Some((cell.wall_ms?, cell.point)));
    let best = best.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, point)| point);
    let mut framed = None;
    for (at, cell) in cells.iter().enumerate() {
        let (column, row) = (at as i32 % across, at as i32 / across);
        let (from, to) = ((x(column), y(row + 1)), (x(column + 1), y(row)));
        let middle = (i32::midpoint(from.0, to.0), i32::midpoint(from.1, to.1));
        let mut ink = INK;
        match cell.wall_ms {
            Some(wall) => {
                let share = shade.share(wall);
                canvas.rect(from, to, color(share));
                if share > 0.55 {
                    ink = WHITE;
                }
            }
            None => {
                canvas.rect(from, to, WHITE);
                canvas.hatch(from, to, VERMILLION);
            }
        }
        if cell.wall_ms.is_some() && !cell.all_ok {
            // Some replications fail: a corner.
            let corner = (width.min(height) / 3).max(3);
            canvas.polygon(vec![(to.0 - corner, from.1), (to.0, from.1), (to.0, from.1 + corner)], ORANGE);
        }
        let text = match (cell.wall_ms, cell.failure) {
            (Some(wall), _) => duration(wall),
            (None, Some(failure)) => failure_words(failure).to_owned(),
            (None, None) => String::new(),
        };
        if height >= 16
            && text.chars().count() <= characters(width - 4, SMALL)
            && text_width(&text, SMALL) < f64::from(width)
        {
            if cell.wall_ms.is_none() {
                let half = (text_width(&text, SMALL) / 2.0) as i32 + 2;
                canvas.rect((middle.0 - half, middle.1 - 8), (middle.0 + half, middle.1 + 8), WHITE);
            }
            canvas.text(&text, middle, SMALL, ink, Anchor::Middle);
        }
        if best == Some(cell.point) {
            framed = Some((from, to));
        }
    }
    canvas.frame((left, TOP), (RIGHT, BOTTOM), SILVER);
    if let Some((from, to)) = framed {
        for inset in 0..3 {
            canvas.frame((from.0 + inset, from.1 + inset), (to.0 - inset, to.1 - inset), INK);
        }
    }
    labels(canvas, heat, &x, &y);
    legend(canvas, heat, &shade, framed.is_some());
}

fn labels(canvas: &Canvas, heat: &Heat, x: &impl Fn(i32) -> i32, y: &impl Fn(i32) -> i32) {
    let left = heat.left();
    let (rows, columns) = (heat.rows, heat.columns);
    let middles: Vec<i32> =
        (0..columns.values.len() as i32).map(|column| i32::midpoint(x(column), x(column + 1))).collect();
    let room = (RIGHT - left) / (columns.values.len().max(1) as i32) - 6;
    if columns.numbers.is_none() && room >= text_width("MEMORY_", SMALL) as i32 {
        for (value, middle) in columns.values.iter().zip(&middles) {
            for (line, at) in wrapped(value, room).iter().zip(0..) {
                canvas.text(line, (*middle, BOTTOM + 14 + at * 13), SMALL, INK, Anchor::Middle);
            }
        }
    } else {
        for at in super::scale::labels_that_fit(&columns.values, &middles) {
            canvas.text(&columns.values[at], (middles[at], BOTTOM + 16), SMALL, INK, Anchor::Middle);
        }
    }
    let every = (rows.values.len() as i32 * 14 / (BOTTOM - TOP) + 1) as usize;
    for (at, value) in rows.values.iter().enumerate().step_by(every) {
        let shown = shorten(value, characters(left - KEY, SMALL));
        let middle = i32::midpoint(y(at as i32), y(at as i32 + 1));
        canvas.text(&shown, (left - 8, middle), SMALL, INK, Anchor::End);
    }
    let key = (i32::midpoint(left, RIGHT), BOTTOM + 58);
    canvas.text(&columns.title(), key, NORMAL, INK, Anchor::Middle);
    canvas.text_upwards(&rows.title(), (20, i32::midpoint(TOP, BOTTOM)), NORMAL, INK);
}

fn legend(canvas: &Canvas, heat: &Heat, shade: &Shade, has_best: bool) {
    const X: i32 = 800;
    const WIDTH: i32 = 18;
    const PARTS: i32 = 60;
    let kind = if shade.is_logarithmic { "time (log)" } else { "time" };
    if shade.high > 0.0 {
        let y = |part: i32| BOTTOM - (BOTTOM - TOP) * part / PARTS;
        for part in 0..PARTS {
            canvas.rect(
                (X, y(part + 1)),
                (X + WIDTH, y(part)),
                color(f64::from(part) / f64::from(PARTS - 1)),
            );
        }
        canvas.frame((X, TOP), (X + WIDTH, BOTTOM), SILVER);
        for quarter in 0..=4 {
            let share = f64::from(quarter) / 4.0;
            let text = duration(shade.wall(share));
            canvas.text(
                &text,
                (X + WIDTH + 6, BOTTOM - (f64::from(BOTTOM - TOP) * share) as i32),
                SMALL,
                INK,
                Anchor::Start,
            );
        }
        canvas.text(kind, (X, TOP - 16), SMALL, INK, Anchor::Start);
    }
    let mut keys = Vec::new();
    if has_best {
        keys.push("frame: best".to_owned());
    }
    let failing = failures(heat.cells.iter().filter(|cell| cell.wall_ms.is_none()));
    if !failing.is_empty() {
        keys.push(format!("hatched: every run fails ({failing})"));
    }
    if heat.cells.iter().any(|cell| cell.wall_ms.is_some() && !cell.all_ok) {
        keys.push("orange corner: some runs fail".to_owned());
    }
    canvas.text(&keys.join("; "), (heat.left(), BOTTOM + 84), SMALL, INK, Anchor::Start);
}
