//! A sheet of SVG in pixels, and what both pictures draw with: rectangles, lines, text, marks and the palette.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor, ShapeStyle};

/// Palette of Okabe and Ito (2008), and greys.
pub(super) const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(super) const SKY_BLUE: RGBColor = RGBColor(86, 180, 233);
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const VERMILLION: RGBColor = RGBColor(213, 94, 0);
pub(super) const PURPLE: RGBColor = RGBColor(204, 121, 167);
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const GREY: RGBColor = RGBColor(110, 110, 110);
pub(super) const SILVER: RGBColor = RGBColor(187, 187, 187);
pub(super) const FAINT: RGBColor = RGBColor(228, 228, 228);
pub(super) const WHITE: RGBColor = RGBColor(255, 255, 255);

/// A place on the sheet: pixels from the left, pixels from the top.
pub(super) type At = (i32, i32);

/// Size of text, in pixels.
pub(super) const SMALL: f64 = 11.0;
pub(super) const NORMAL: f64 = 12.0;
pub(super) const LARGE: f64 = 16.0;

/// plotters divides font sizes by this before it writes them into SVG.
const PLOTTERS_FONT_FACTOR: f64 = 1.24;
/// Width of an average character in parts of the font size, on the generous side for sans-serif fonts.
const CHARACTER_WIDTH: f64 = 0.6;

/// What a text is anchored by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Shapes of marks, so that kinds differ without colour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Triangle,
    Diamond,
    Cross,
}

/// One picture under way.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a picture of the given size on white.
pub(super) fn draw(size: (u32, u32), paint: impl FnOnce(&Canvas)) -> String {
    let mut svg = String::new();
    {
        let canvas = Canvas { area: SVGBackend::with_string(&mut svg, size).into_drawing_area() };
        canvas.rect((0, 0), (size.0 as i32, size.1 as i32), WHITE);
        paint(&canvas);
        canvas.area.present().expect(WRITES_TO_MEMORY);
    }
    svg
}

/// Why drawing cannot fail: the backend appends to a string.
const WRITES_TO_MEMORY: &str = "an SVG in memory has no input or output to fail";

impl Canvas<'_> {
    pub(super) fn rect(&self, from: At, to: At, color: RGBColor) {
        self.area.draw(&Rectangle::new([from, to], color.filled())).expect(WRITES_TO_MEMORY);
    }

    pub(super) fn frame(&self, from: At, to: At, color: RGBColor) {
        self.area.draw(&Rectangle::new([from, to], stroke(color, 1))).expect(WRITES_TO_MEMORY);
    }

    pub(super) fn polygon(&self, points: Vec<At>, color: RGBColor) {
        self.area.draw(&Polygon::new(points, color.filled())).expect(WRITES_TO_MEMORY);
    }

    pub(super) fn line(&self, points: Vec<At>, color: RGBColor, width: u32) {
        self.area.draw(&PathElement::new(points, stroke(color, width))).expect(WRITES_TO_MEMORY);
    }

    /// Draws a horizontal dashed line.
    pub(super) fn dashes(&self, from: At, to_x: i32, color: RGBColor) {
        const DASH: i32 = 6;
        const GAP: i32 = 4;
        let mut x = from.0;
        while x < to_x {
            self.line(vec![(x, from.1), ((x + DASH).min(to_x), from.1)], color, 1);
            x += DASH + GAP;
        }
    }

    /// Draws diagonal lines over a rectangle.
    pub(super) fn hatch(&self, from: At, to: At, color: RGBColor) {
        const STEP: i32 = 7;
        let height = to.1 - from.1;
        let mut x = from.0 - height;
        while x < to.0 {
            let start = (x.max(from.0), to.1 - (x.max(from.0) - x));
            let end_x = (x + height).min(to.0);
            if end_x > start.0 {
                self.line(vec![start, (end_x, to.1 - (end_x - x))], color, 1);
            }
            x += STEP;
        }
    }

    /// Writes text whose middle line is at `at`.
    pub(super) fn text(&self, text: &str, at: At, size: f64, color: RGBColor, anchor: Anchor) {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let style = ("sans-serif", size * PLOTTERS_FONT_FACTOR)
            .into_font()
            .color(&color)
            .pos(Pos::new(horizontal, VPos::Center));
        self.area.draw(&Text::new(text.to_string(), at, style)).expect(WRITES_TO_MEMORY);
    }

    /// Writes text upwards, its middle at `at`.
    pub(super) fn text_upwards(&self, text: &str, at: At, size: f64, color: RGBColor) {
        let style = ("sans-serif", size * PLOTTERS_FONT_FACTOR)
            .into_font()
            .transform(FontTransform::Rotate270)
            .color(&color)
            .pos(Pos::new(HPos::Center, VPos::Center));
        self.area.draw(&Text::new(text.to_string(), at, style)).expect(WRITES_TO_MEMORY);
    }

    /// Draws a mark with its middle at `at`.
    pub(super) fn mark(&self, mark: Mark, (x, y): At, color: RGBColor) {
        match mark {
            Mark::Triangle => self.polygon(vec![(x - 4, y - 4), (x + 4, y - 4), (x, y + 4)], color),
            Mark::Diamond => self.polygon(vec![(x - 4, y), (x, y - 4), (x + 4, y), (x, y + 4)], color),
            Mark::Cross => {
                self.line(vec![(x - 4, y - 4), (x + 4, y + 4)], color, 2);
                self.line(vec![(x - 4, y + 4), (x + 4, y - 4)], color, 2);
            }
        }
    }
}

fn stroke(color: RGBColor, width: u32) -> ShapeStyle {
    color.stroke_width(width)
}

/// Width of `text` in pixels, estimated from above.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * CHARACTER_WIDTH
}

/// Characters of text of this size that surely fit `width` pixels.
pub(super) fn characters(width: i32, size: f64) -> usize {
    ((f64::from(width.max(0)) / (size * CHARACTER_WIDTH)) as usize).max(4)
}
