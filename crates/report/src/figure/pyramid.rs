//! Population pyramid: bars of two sides, the youngest at the bottom.

use super::canvas::{Anchor, Drawing, GREY, INK, RULE, SERIES, SMALL, TEXT, draw};

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

const WIDTH: f64 = 1700.0;
const BAR: f64 = 46.0;
/// Half of the strip in the middle that holds the ages.
const MIDDLE: f64 = 90.0;

/// Draws the pyramid. Bars of ages of different width are as long as their numbers, not as their density.
pub(crate) fn pyramid(plot: &Pyramid) -> Drawing {
    let height = 110.0 + BAR * plot.bars.len() as f64 + 110.0;
    let most = plot.bars.iter().map(|b| b.1.max(b.2)).fold(0.0, f64::max);
    draw(WIDTH as u32, height as u32, |canvas| {
        let centre = WIDTH / 2.0;
        let reach = centre - MIDDLE - 90.0;
        let bottom = 110.0 + BAR * plot.bars.len() as f64;
        for (side, sign) in [(0, -1.0), (1, 1.0)] {
            let base = centre + sign * MIDDLE;
            for (value, label) in plot.marks.iter().filter(|m| !m.1.is_empty()) {
                let x = base + sign * reach * value / most;
                canvas.line(&[(x, 100.0), (x, bottom)], RULE, 2);
                canvas.text(label, (x, bottom + 34.0), Anchor::Middle, TEXT, INK);
            }
            for (i, bar) in plot.bars.iter().enumerate() {
                let length = reach * if side == 0 { bar.1 } else { bar.2 } / most;
                let low = bottom - BAR * i as f64 - 4.0;
                let corners = [
                    (base, low),
                    (base + sign * length, low),
                    (base + sign * length, low - BAR + 8.0),
                    (base, low - BAR + 8.0),
                ];
                canvas.area(&corners, SERIES[side], 0.85);
            }
            canvas.line(&[(base, 100.0), (base, bottom)], INK, 2);
            let middle = base + sign * 0.5 * reach;
            canvas.text(&plot.sides[side], (middle, 70.0), Anchor::Middle, TEXT, SERIES[side]);
        }
        for (i, bar) in plot.bars.iter().enumerate() {
            let y = bottom - BAR * (i as f64 + 0.5);
            canvas.text(&bar.0, (centre, y), Anchor::Middle, SMALL, INK);
        }
        canvas.text(&plot.y_label, (centre, 70.0), Anchor::Middle, SMALL, GREY);
        canvas.text(&plot.x_label, (centre, bottom + 82.0), Anchor::Middle, TEXT, INK);
    })
}
