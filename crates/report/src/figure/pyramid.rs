//! Population pyramid: bars of two sides, the youngest at the bottom.

use super::{
    axis::{Axis, Side, range},
    canvas::{Anchor, Canvas, Drawing, GREY, INK, MARGIN, SMALL, TEXT, WIDTH},
    chart::{Missing, SERIES, empty},
};

/// Bars and the words around them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pyramid {
    /// Age, and the length of the bar on either side.
    pub bars: Vec<(String, f64, f64)>,
    /// Names of the sides.
    pub sides: [String; 2],
    /// Marks of the horizontal axis: value and label.
    pub marks: Vec<(f64, String)>,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
}

const BAR: f64 = 46.0;
/// Half of the strip in the middle that holds the ages.
const MIDDLE: f64 = 90.0;
const TOP: f64 = 110.0;

/// Draws the pyramid. Bars of ages of different width are as long as their numbers, not as their density.
pub(crate) fn pyramid(plot: &Pyramid) -> Drawing {
    if range(plot.bars.iter().flat_map(|b| [b.1, b.2])).1 <= 0.0 {
        return empty(&plot.x_label, &Missing::default());
    }
    let (canvas, height) = paint(plot);
    canvas.finish(height)
}

pub(super) fn paint(plot: &Pyramid) -> (Canvas, f64) {
    let mut canvas = Canvas::default();
    let centre = WIDTH / 2.0;
    let bottom = TOP + BAR * plot.bars.len() as f64;
    let axis = Axis::marked(&plot.marks, plot.bars.iter().flat_map(|b| [0.0, b.1, b.2]));
    for (side, sign) in [(0, -1.0), (1, 1.0)] {
        let base = centre + sign * MIDDLE;
        let axis = axis.clone().across(base, base + sign * (centre - MIDDLE - 90.0), &[]);
        axis.draw(&mut canvas, Side::Below, bottom, Some(100.0));
        for (i, bar) in plot.bars.iter().enumerate() {
            let end = axis.at(if side == 0 { bar.1 } else { bar.2 });
            let low = bottom - BAR * i as f64 - 4.0;
            let high = low - BAR + 8.0;
            canvas.area(&[(base, low), (end, low), (end, high), (base, high)], SERIES[side], 0.85);
        }
        canvas.line(&[(base, 100.0), (base, bottom)], INK, 2);
        let name = TEXT.shorten(&plot.sides[side], (axis.to - base).abs());
        let middle = f64::midpoint(base, axis.to);
        canvas.text(&name, (middle, 70.0), Anchor::Middle, TEXT, SERIES[side]);
    }
    for (i, bar) in plot.bars.iter().enumerate() {
        let y = bottom - BAR * (i as f64 + 0.5);
        let age = SMALL.shorten(&bar.0, 2.0 * MIDDLE - MARGIN);
        canvas.text(&age, (centre, y), Anchor::Middle, SMALL, INK);
    }
    let label = SMALL.shorten(&plot.y_label, 2.0 * MIDDLE);
    canvas.text(&label, (centre, 70.0), Anchor::Middle, SMALL, GREY);
    let label = TEXT.shorten(&plot.x_label, WIDTH - 2.0 * MARGIN);
    canvas.text(&label, (centre, bottom + 82.0), Anchor::Middle, TEXT, INK);
    (canvas, bottom + 110.0)
}
