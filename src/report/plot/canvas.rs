//! A sheet in pixels, as SVG or as PNG, and what the pictures draw with: rectangles, lines, text, marks and the palette.

use std::sync::Once;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle};

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

/// Pixels of a PNG for each pixel of a picture: screens and slides show it larger than it is.
const PNG_SCALE: i32 = 2;
/// Height of the font in parts of its size: how the bitmap backend counts.
const FONT_HEIGHT: f64 = 1.164;
/// Letters of PNG pictures (`font/README.md`): where a picture is drawn there may be no font.
const FONT: &[u8] = include_bytes!("font/sans.ttf");

/// One picture under way.
pub(super) struct Canvas<'a> {
    area: Area<'a>,
}

/// Where a picture is drawn.
enum Area<'a> {
    Svg(DrawingArea<SVGBackend<'a>, Shift>),
    Bitmap(DrawingArea<BitMapBackend<'a>, Shift>),
}

/// Draws one element, given its constructor from a scale, onto either kind of sheet.
macro_rules! put {
    ($canvas:expr, |$scale:ident| $element:expr) => {
        match &$canvas.area {
            Area::Svg(area) => {
                let $scale = 1;
                area.draw(&$element).expect(WRITES_TO_MEMORY);
            }
            Area::Bitmap(area) => {
                let $scale = PNG_SCALE;
                area.draw(&$element).expect(WRITES_TO_MEMORY);
            }
        }
    };
}

/// Draws a picture of the given size on white, as SVG.
pub(super) fn draw(size: (u32, u32), paint: impl FnOnce(&Canvas)) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let canvas = Canvas { area: Area::Svg(area.clone()) };
        canvas.rect((0, 0), (size.0 as i32, size.1 as i32), WHITE);
        paint(&canvas);
        area.present().expect(WRITES_TO_MEMORY);
    }
    svg
}

/// Draws a picture of the given size on white, as PNG at twice the size.
pub(super) fn draw_png(size: (u32, u32), paint: impl FnOnce(&Canvas)) -> Vec<u8> {
    static LETTERS: Once = Once::new();
    LETTERS.call_once(|| {
        // Fails only for a font that is none; a test draws with this one.
        let _ = plotters::style::register_font("sans-serif", FontStyle::Normal, FONT);
    });
    let (width, height) = (size.0 * PNG_SCALE as u32, size.1 * PNG_SCALE as u32);
    let mut pixels = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let canvas = Canvas { area: Area::Bitmap(area.clone()) };
        paint(&canvas);
        area.present().expect(WRITES_TO_MEMORY);
    }
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect(WRITES_TO_MEMORY);
    writer.write_image_data(&pixels).expect(WRITES_TO_MEMORY);
    writer.finish().expect(WRITES_TO_MEMORY);
    png
}

/// Why drawing cannot fail: the backends write into memory.
const WRITES_TO_MEMORY: &str = "a picture in memory has no input or output to fail";

fn at((x, y): At, scale: i32) -> At {
    (x * scale, y * scale)
}

fn all(points: Vec<At>, scale: i32) -> Vec<At> {
    points.into_iter().map(|point| at(point, scale)).collect()
}

impl Canvas<'_> {
    pub(super) fn rect(&self, from: At, to: At, color: RGBColor) {
        put!(self, |scale| Rectangle::new([at(from, scale), at(to, scale)], color.filled()));
    }

    pub(super) fn frame(&self, from: At, to: At, color: RGBColor) {
        put!(self, |scale| Rectangle::new([at(from, scale), at(to, scale)], stroke(color, scale as u32)));
    }

    pub(super) fn polygon(&self, points: Vec<At>, color: RGBColor) {
        put!(self, |scale| Polygon::new(all(points, scale), color.filled()));
    }

    pub(super) fn line(&self, points: Vec<At>, color: RGBColor, width: u32) {
        put!(self, |scale| PathElement::new(all(points, scale), stroke(color, width * scale as u32)));
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

    /// Fills a circle.
    pub(super) fn dot(&self, middle: At, radius: i32, color: RGBColor) {
        put!(self, |scale| Circle::new(at(middle, scale), radius * scale, color.filled()));
    }

    /// Writes text whose middle line is at `place`.
    pub(super) fn text(&self, text: &str, place: At, size: f64, color: RGBColor, anchor: Anchor) {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let style = ("sans-serif", self.font_size(size))
            .into_font()
            .color(&color)
            .pos(Pos::new(horizontal, VPos::Center));
        let place = (place.0, place.1 + self.drop());
        put!(self, |scale| Text::new(text.to_string(), at(place, scale), style));
    }

    /// Writes text upwards, its middle at `place`.
    pub(super) fn text_upwards(&self, text: &str, place: At, size: f64, color: RGBColor) {
        let style = ("sans-serif", self.font_size(size))
            .into_font()
            .transform(FontTransform::Rotate270)
            .color(&color)
            .pos(Pos::new(HPos::Center, VPos::Center));
        put!(self, |scale| Text::new(text.to_string(), at(place, scale), style));
    }

    /// How far letters stand too high, pixels: the bitmap backend centres the room for accents with them.
    fn drop(&self) -> i32 {
        match self.area {
            Area::Svg(_) => 0,
            Area::Bitmap(_) => 2,
        }
    }

    /// The size that the backend needs for letters of `size` pixels.
    fn font_size(&self, size: f64) -> f64 {
        match self.area {
            Area::Svg(_) => size * PLOTTERS_FONT_FACTOR,
            Area::Bitmap(_) => size * FONT_HEIGHT * f64::from(PNG_SCALE),
        }
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
