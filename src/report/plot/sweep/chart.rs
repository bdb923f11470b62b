//! What pictures with time upwards and something else to the right share: headings, both axes with their names, a row for
//! failures where there are any, and the room below for a legend.

use super::ns;
use super::scale::{LABEL_GAP, labels_that_fit};
use crate::report::plot::axis::{Axis, time_ticks};
use crate::report::plot::canvas::{
    Anchor, Canvas, FAINT, GREY, INK, LARGE, NORMAL, SILVER, SMALL, characters, text_width,
};
use crate::report::text::shorten;

/// Width of the picture, pixels.
const WIDTH: u32 = 860;
pub(super) const LEFT: i32 = 84;
pub(super) const RIGHT: i32 = 820;
pub(super) const TOP: i32 = 84;
pub(super) const BOTTOM: i32 = 360;
/// Between the axis and the middle of the row of crosses.
const FAILS: i32 = 24;
/// Between the lines of a label.
const LINE: i32 = 14;
/// Lines of a label at most.
const LINES_MAX: usize = 3;
/// Free pixels on either side of where marks may stand.
const MARGIN: i32 = 30;

/// The horizontal axis.
#[derive(Clone, Debug)]
pub(super) struct Horizontal {
    /// Positions of labels, pixels, and their lines.
    labels: Vec<(i32, Vec<String>)>,
    title: String,
    has_failures: bool,
}

impl Horizontal {
    /// Where marks may stand.
    pub(super) const SPAN: (i32, i32) = (LEFT + MARGIN, RIGHT - MARGIN);

    /// An axis of these values at these pixels. Names are cut into lines so that all are shown; of numbers those that fit.
    pub(super) fn new(
        values: &[String],
        places: &[i32],
        are_names: bool,
        title: String,
        has_failures: bool,
    ) -> Self {
        let closest = places.windows(2).map(|pair| (pair[1] - pair[0]).abs()).min();
        let room = closest.unwrap_or(RIGHT - LEFT) - LABEL_GAP as i32;
        let lines: Vec<Vec<String>> = values
            .iter()
            .map(|value| if are_names { wrapped(value, room) } else { vec![value.clone()] })
            .collect();
        let widest = |lines: &Vec<String>| {
            let wide = |a: &&String, b: &&String| text_width(a, SMALL).total_cmp(&text_width(b, SMALL));
            lines.iter().max_by(wide).cloned().unwrap_or_default()
        };
        let widest: Vec<String> = lines.iter().map(widest).collect();
        let shown = labels_that_fit(&widest, places);
        let labels = shown.into_iter().map(|at| (places[at], lines[at].clone())).collect();
        Self { labels, title, has_failures }
    }

    fn first_line(&self) -> i32 {
        BOTTOM + 18 + if self.has_failures { FAILS } else { 0 }
    }

    fn title_at(&self) -> i32 {
        let lines = self.labels.iter().map(|label| label.1.len()).max().unwrap_or(1);
        self.first_line() + (lines as i32 - 1) * LINE + 26
    }

    /// The row of crosses.
    pub(super) const FAILS_AT: i32 = BOTTOM + FAILS;

    /// The legend's line.
    pub(super) fn legend_at(&self) -> i32 {
        self.title_at() + 28
    }

    /// The picture, pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        (WIDTH, self.legend_at() as u32 + 20)
    }

    /// Draws the axis with its name.
    pub(super) fn paint(&self, canvas: &Canvas) {
        for (x, lines) in &self.labels {
            canvas.line(vec![(*x, BOTTOM), (*x, BOTTOM + 5)], SILVER, 1);
            for (line, at) in lines.iter().zip(0..) {
                canvas.text(line, (*x, self.first_line() + at * LINE), SMALL, INK, Anchor::Middle);
            }
        }
        let middle = i32::midpoint(LEFT, RIGHT);
        canvas.text(&self.title, (middle, self.title_at()), NORMAL, INK, Anchor::Middle);
        canvas.line(vec![(LEFT, BOTTOM), (RIGHT, BOTTOM)], SILVER, 1);
    }
}

/// Draws the headings; `beside` stands on the right of the name.
pub(super) fn headings(canvas: &Canvas, name: &str, basis: &str, beside: &str) {
    let taken = if beside.is_empty() { 0 } else { text_width(beside, NORMAL) as i32 + 24 };
    let name = shorten(name, characters(RIGHT - LEFT - taken, LARGE));
    canvas.text(&name, (LEFT, 26), LARGE, INK, Anchor::Start);
    let basis = shorten(basis, characters(RIGHT - LEFT, NORMAL));
    canvas.text(&basis, (LEFT, 48), NORMAL, GREY, Anchor::Start);
    canvas.text(beside, (RIGHT, 26), NORMAL, INK, Anchor::End);
}

/// Draws the axis of times up to the longest of `walls`, ms, and gives it. Without any there is nothing to count in.
pub(super) fn times(canvas: &Canvas, walls: impl Iterator<Item = f64>) -> Axis {
    let longest = walls.reduce(f64::max);
    let axis = Axis { max: ns(longest.unwrap_or(1.0) * 1.06), from: BOTTOM, to: TOP };
    if longest.is_none() {
        let middle = (i32::midpoint(LEFT, RIGHT), i32::midpoint(TOP, BOTTOM));
        canvas.text("no run ends well", middle, NORMAL, GREY, Anchor::Middle);
        return axis;
    }
    let (ticks, unit) = time_ticks(axis.max, 7);
    for (value, label) in &ticks {
        let y = axis.at(*value);
        canvas.line(vec![(LEFT, y), (RIGHT, y)], FAINT, 1);
        canvas.text(label, (LEFT - 8, y), SMALL, GREY, Anchor::End);
    }
    canvas.text_upwards(&format!("time of jobs, {unit}"), (24, i32::midpoint(TOP, BOTTOM)), NORMAL, INK);
    axis
}

/// A name cut into lines of at most `room` pixels, behind its underscores, hyphens, commas and blanks where it can be; what
/// does not fit into the last line is shortened.
pub(super) fn wrapped(name: &str, room: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in name.split_inclusive(['_', '-', ',', ' ']) {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line}{part}"), SMALL) <= f64::from(room) => {
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    if lines.len() > LINES_MAX {
        let rest = lines.split_off(LINES_MAX - 1).concat();
        lines.push(rest);
    }
    lines.iter().map(|line| shorten(line.trim_end(), characters(room, SMALL))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_they_can_be() {
        assert_eq!(wrapped("DISK_ONLY", 200), ["DISK_ONLY"]);
        assert_eq!(wrapped("MEMORY_AND_DISK_SER", 60), ["MEMORY_", "AND_DISK_", "SER"]);
        let long = wrapped("a name of many words that nobody would write", 60);
        assert_eq!(long.len(), LINES_MAX);
        assert!(long.iter().all(|line| text_width(line, SMALL) <= 60.0), "{long:?}");
        assert!(long[2].contains('…'), "{long:?}");
    }
}
