//! A drawing surface of print quality, one unit a tenth of a millimetre: what is to be drawn is kept until the height is known,
//! then plotters' SVG backend draws it with the report's own font.

use std::sync::Once;

use plotters::{
    backend::SVGBackend,
    drawing::IntoDrawingArea,
    element::{Circle, PathElement, Polygon},
    style::{
        Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

pub(super) const REGULAR: &[u8] = include_bytes!("../../../../reports/fonts/Roboto-Regular.ttf");
pub(super) const BOLD: &[u8] = include_bytes!("../../../../reports/fonts/Roboto-Bold.ttf");

pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const GREY: RGBColor = RGBColor(100, 100, 100);
pub(super) const RULE: RGBColor = RGBColor(215, 215, 215);
const PAPER: RGBColor = RGBColor(255, 255, 255);

/// Width of every figure, and the margin that text keeps from its edge.
pub(super) const WIDTH: f64 = 1700.0;
pub(super) const MARGIN: f64 = 20.0;

/// A size of text in tenths of a millimetre, and its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Font {
    pub size: f64,
    pub bold: bool,
}

/// Close to 8 and 7 point.
pub(super) const TEXT: Font = Font { size: 28.0, bold: false };
pub(super) const SMALL: Font = Font { size: 25.0, bold: false };

/// Ascent and descent of the typeface by its size: plotters measures fonts by these, not by their size.
const HEIGHT_OF_EM: f64 = 1.171_875;

impl Font {
    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    /// Distance of two lines of text.
    pub(super) fn leading(self) -> f64 {
        1.25 * self.size
    }

    fn style(self) -> FontStyle {
        if self.bold { FontStyle::Bold } else { FontStyle::Normal }
    }

    /// Width of a text.
    pub(super) fn width(self, text: &str) -> f64 {
        static FONTS: Once = Once::new();
        FONTS.call_once(|| {
            for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
                // Unwrap safety: the fonts are part of the program.
                plotters::style::register_font("Roboto", style, bytes).ok().expect("a font");
            }
        });
        let size = self.size * HEIGHT_OF_EM;
        let font = FontDesc::new(FontFamily::Name("Roboto"), size, self.style());
        font.box_size(text).map_or(0.0, |(width, _)| f64::from(width))
    }

    pub(super) fn widest<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> f64 {
        texts.into_iter().map(|t| self.width(t)).fold(0.0, f64::max)
    }

    /// A text that is no wider than `room`: what does not fit ends in an ellipsis.
    pub(super) fn shorten(self, text: &str, room: f64) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let letters: Vec<char> = text.chars().collect();
        let cut = |n: usize| letters[..n].iter().collect::<String>().trim_end().to_owned() + "…";
        let lengths: Vec<usize> = (1..letters.len()).collect();
        cut(lengths.partition_point(|&n| self.width(&cut(n)) <= room))
    }

    /// A text broken between words into lines no wider than `room`, at most `most` of them; the rest is cut.
    pub(super) fn wrap(self, text: &str, room: f64, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            let full = lines.len() == most;
            match lines.last_mut() {
                Some(line) if full || self.width(&format!("{line} {word}")) <= room => {
                    *line = format!("{line} {word}");
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines.iter().map(|line| self.shorten(line, room)).collect()
    }
}

pub(super) type Point = (f64, f64);

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// A rectangle along the axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Bounds {
    pub(super) fn around((x, y): Point, half: f64) -> Self {
        Self { left: x - half, top: y - half, right: x + half, bottom: y + half }
    }

    pub(super) fn touches(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    pub(super) fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

/// A line of text, centred vertically on its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub words: String,
    pub at: Point,
    pub anchor: Anchor,
    pub font: Font,
    pub colour: RGBColor,
}

impl Text {
    pub(super) fn bounds(&self) -> Bounds {
        let width = self.font.width(&self.words);
        let left = match self.anchor {
            Anchor::Left => self.at.0,
            Anchor::Middle => self.at.0 - width / 2.0,
            Anchor::Right => self.at.0 - width,
        };
        let half = 0.5 * self.font.size;
        let (top, bottom) = (self.at.1 - half, self.at.1 + half);
        Bounds { left, top, right: left + width, bottom }
    }
}

/// What is drawn, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Line(Vec<Point>, RGBColor, u32),
    Area(Vec<Point>, RGBColor, f64),
    Dot(Point, u32, RGBColor),
    Text(Text),
}

#[derive(Debug, Default)]
pub(super) struct Canvas {
    pub items: Vec<Item>,
}

impl Canvas {
    pub(super) fn line(&mut self, points: &[Point], colour: RGBColor, width: u32) {
        self.items.push(Item::Line(points.to_vec(), colour, width));
    }

    pub(super) fn area(&mut self, points: &[Point], colour: RGBColor, opacity: f64) {
        self.items.push(Item::Area(points.to_vec(), colour, opacity));
    }

    pub(super) fn frame(&mut self, (x, y): Point, to: Point, colour: RGBColor, width: u32) {
        self.line(&[(x, y), (to.0, y), to, (x, to.1), (x, y)], colour, width);
    }

    pub(super) fn dot(&mut self, at: Point, radius: u32, colour: RGBColor) {
        self.items.push(Item::Dot(at, radius, colour));
    }

    pub(super) fn text(
        &mut self,
        words: &str,
        at: Point,
        anchor: Anchor,
        font: Font,
        colour: RGBColor,
    ) {
        if !words.is_empty() {
            let words = words.to_owned();
            self.items.push(Item::Text(Text { words, at, anchor, font, colour }));
        }
    }

    /// Lines of text around the place.
    pub(super) fn block(
        &mut self,
        lines: &[String],
        at: Point,
        anchor: Anchor,
        font: Font,
        colour: RGBColor,
    ) {
        let first = at.1 - 0.5 * font.leading() * (lines.len() as f64 - 1.0);
        for (i, line) in lines.iter().enumerate() {
            let at = (at.0, first + font.leading() * i as f64);
            self.text(line, at, anchor, font, colour);
        }
    }

    /// Text on a ground of paper, so that no line runs through it.
    pub(super) fn plate(&mut self, text: Text) {
        let Bounds { left, top, right, bottom } = text.bounds();
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        self.area(&corners, PAPER, 0.8);
        self.items.push(Item::Text(text));
    }

    /// The drawing, so high.
    pub(super) fn finish(self, height: f64) -> Drawing {
        let (width, height) = (WIDTH as u32, height.ceil() as u32);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            for item in self.items {
                drawn(match item {
                    Item::Line(points, colour, width) => {
                        area.draw(&PathElement::new(pixels(&points), colour.stroke_width(width)))
                    }
                    Item::Area(points, colour, opacity) => {
                        area.draw(&Polygon::new(pixels(&points), colour.mix(opacity).filled()))
                    }
                    Item::Dot(at, radius, colour) => {
                        area.draw(&Circle::new(pixel(at), radius, colour.filled()))
                    }
                    Item::Text(text) => {
                        let horizontal = match text.anchor {
                            Anchor::Left => HPos::Left,
                            Anchor::Middle => HPos::Center,
                            Anchor::Right => HPos::Right,
                        };
                        let Font { size, .. } = text.font;
                        // The backend divides sizes by 1.24; the text then has the size asked for.
                        let font = (FontFamily::Name("Roboto"), size * 1.24, text.font.style());
                        let style = TextStyle::from(font).color(&text.colour);
                        let style = style.pos(Pos::new(horizontal, VPos::Center));
                        // It lowers centred text by half an x-height; numbers and capitals look centred a little lower.
                        let at = pixel((text.at.0, text.at.1 + 0.1 * size));
                        area.draw_text(&text.words, &style, at)
                    }
                });
            }
            drawn(area.present());
        }
        Drawing { svg, width, height }
    }
}

/// What comes of drawing.
fn drawn<E: std::fmt::Debug>(result: Result<(), E>) {
    // Unwrap safety: all is written into a string, which does not fail.
    result.expect("drawing on a string");
}

fn pixel((x, y): Point) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

fn pixels(points: &[Point]) -> Vec<(i32, i32)> {
    points.iter().copied().map(pixel).collect()
}
