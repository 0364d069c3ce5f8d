//! A drawing surface of print quality: plotters' SVG backend with the report's own font, one unit a tenth of a millimetre.

use std::sync::Once;

use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle},
    style::{
        Color, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

pub(super) const REGULAR: &[u8] = include_bytes!("../../../../reports/fonts/Roboto-Regular.ttf");
pub(super) const BOLD: &[u8] = include_bytes!("../../../../reports/fonts/Roboto-Bold.ttf");

/// Colours that stay apart in print and for colour-blind readers (Okabe & Ito 2008), darkest first.
pub(super) const SERIES: [RGBColor; 6] = [
    RGBColor(0, 82, 136),
    RGBColor(200, 80, 0),
    RGBColor(0, 125, 90),
    RGBColor(160, 70, 125),
    RGBColor(120, 110, 0),
    RGBColor(50, 140, 190),
];
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const GREY: RGBColor = RGBColor(110, 110, 110);
pub(super) const RULE: RGBColor = RGBColor(215, 215, 215);

/// Text sizes in tenths of a millimetre, close to 8 and 7 point.
pub(super) const TEXT: f64 = 28.0;
pub(super) const SMALL: f64 = 25.0;

type Point = (f64, f64);

/// A finished figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// SVG.
    pub svg: String,
    /// Width, tenths of a millimetre.
    pub width: u32,
    /// Height, tenths of a millimetre.
    pub height: u32,
}

/// Where a text is anchored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws on a surface of `width` × `height` tenths of a millimetre.
pub(super) fn draw(width: u32, height: u32, paint: impl FnOnce(&Canvas<'_>)) -> Drawing {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
            // Unwrap safety: the fonts are part of the program.
            plotters::style::register_font("Roboto", style, bytes).ok().expect("the font parses");
        }
    });
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        let canvas = Canvas { area };
        paint(&canvas);
        drawn(canvas.area.present());
    }
    Drawing { svg, width, height }
}

/// What comes of drawing.
fn drawn<E: std::fmt::Debug>(result: Result<(), E>) {
    // Unwrap safety: all is written into a string, which does not fail.
    result.expect("drawing on a string");
}

fn pixel((x, y): Point) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

impl Canvas<'_> {
    pub(super) fn line(&self, points: &[Point], colour: RGBColor, width: u32) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        drawn(self.area.draw(&PathElement::new(points, stroke(colour, width))));
    }

    pub(super) fn dashed(&self, points: &[Point], colour: RGBColor, width: u32) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        let path = DashedPathElement::new(points, 16, 9, stroke(colour, width));
        drawn(self.area.draw(&path));
    }

    pub(super) fn area(&self, points: &[Point], colour: RGBColor, opacity: f64) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        drawn(self.area.draw(&Polygon::new(points, colour.mix(opacity).filled())));
    }

    pub(super) fn square(&self, (x, y): Point, side: f64, colour: RGBColor) {
        let half = side / 2.0;
        let corners = [pixel((x - half, y - half)), pixel((x + half, y + half))];
        drawn(self.area.draw(&Rectangle::new(corners, colour.filled())));
    }

    pub(super) fn frame(&self, from: Point, to: Point, colour: RGBColor, width: u32) {
        let corners = [pixel(from), pixel(to)];
        drawn(self.area.draw(&Rectangle::new(corners, stroke(colour, width))));
    }

    pub(super) fn dot(&self, at: Point, radius: u32, colour: RGBColor) {
        drawn(self.area.draw(&Circle::new(pixel(at), radius, colour.filled())));
    }

    /// Text centred vertically on `at`.
    pub(super) fn text(&self, text: &str, at: Point, anchor: Anchor, size: f64, colour: RGBColor) {
        self.write(text, at, anchor, size, colour, FontStyle::Normal);
    }

    pub(super) fn bold(&self, text: &str, at: Point, anchor: Anchor, size: f64, colour: RGBColor) {
        self.write(text, at, anchor, size, colour, FontStyle::Bold);
    }

    fn write(
        &self,
        text: &str,
        at: Point,
        anchor: Anchor,
        size: f64,
        colour: RGBColor,
        weight: FontStyle,
    ) {
        let horizontal = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        // The backend divides sizes by 1.24; the text then has the size asked for.
        let font = (FontFamily::Name("Roboto"), size * 1.24, weight);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
        // The backend lowers centred text by half an x-height; numbers and capitals look centred a little lower.
        let (x, y) = pixel((at.0, at.1 + 0.1 * size));
        drawn(self.area.draw_text(text, &style, (x, y)));
    }

    /// Width of a text, tenths of a millimetre.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        let font = (FontFamily::Name("Roboto"), size, FontStyle::Normal);
        let style = TextStyle::from(font);
        self.area.estimate_text_size(text, &style).map_or(0.0, |(w, _)| f64::from(w))
    }
}

fn stroke(colour: RGBColor, width: u32) -> ShapeStyle {
    colour.stroke_width(width)
}

/// Round steps for an axis from `low` to `high`, about `count` of them.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    let power = 10.0_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|s| *s >= raw * 0.999)
        .unwrap_or(raw);
    let first = (low / step - 1e-9).ceil();
    let n = ((high / step + 1e-9).floor() - first).max(0.0) as usize;
    (0..=n).map(|i| (first + i as f64) * step).collect()
}
