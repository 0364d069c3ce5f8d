//! Heat map of a table of rates: calendar time across, age up, the darker the higher.

use super::{
    axis::{Axis, Side, range},
    canvas::{Anchor, Canvas, Drawing, GREY, INK, MARGIN, RULE, SMALL, TEXT, WIDTH},
    chart::{Missing, SERIES, empty, title},
};

/// Cells and the words around them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HeatMap {
    /// Middle of each cell across and up, and its value; none where there is no person-time.
    pub cells: Vec<(f64, f64, Option<f64>)>,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Label of the scale.
    pub scale_label: String,
    /// Words for cells without a value, where this says something, and for a figure without any.
    pub missing: Missing,
}

const PLOT: f64 = 760.0;
/// Steps of the scale.
const SHADES: u32 = 50;

/// The axis over cells with these middles, and the width of a cell: the smallest distance of two middles.
fn cells_axis(middles: impl Iterator<Item = f64>) -> (Axis, f64) {
    let mut levels: Vec<f64> = middles.collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let width = range(levels.windows(2).map(|w| w[1] - w[0])).0;
    let width = if width.is_finite() { width } else { 1.0 };
    let (first, last) = range(levels.iter().copied());
    (Axis::numbers((first - width / 2.0, last + width / 2.0), levels.len().min(8)), width)
}

/// Draws the map with its scale.
pub(crate) fn heat(map: &HeatMap) -> Drawing {
    if map.cells.iter().all(|c| c.2.is_none()) {
        return empty(&map.y_label, &map.missing);
    }
    let (canvas, height) = paint(map);
    canvas.finish(height)
}

pub(super) fn paint(map: &HeatMap) -> (Canvas, f64) {
    let mut canvas = Canvas::default();
    let scale_label = SMALL.shorten(&map.scale_label, WIDTH / 2.0 - MARGIN);
    let top = title(&mut canvas, &TEXT.shorten(&map.y_label, WIDTH / 2.0 - 2.0 * MARGIN));
    canvas.text(&scale_label, (WIDTH - MARGIN, 34.0), Anchor::Right, SMALL, GREY);
    let bottom = top + PLOT;
    let most = range(map.cells.iter().filter_map(|c| c.2)).1.max(f64::MIN_POSITIVE);
    let scale = Axis::numbers((0.0, most), 6).along(bottom, top);
    let ((x, dx), (y, dy)) =
        (cells_axis(map.cells.iter().map(|c| c.0)), cells_axis(map.cells.iter().map(|c| c.1)));
    let left = y.label_width() + 18.0 + MARGIN;
    let bar = WIDTH - MARGIN - scale.label_width() - 58.0;
    let right = bar - 60.0;
    let (x, y) = (x.across(left, right, &[]), y.along(bottom, top));

    let shade = |value: f64| 0.04 + 0.96 * (value / most).clamp(0.0, 1.0);
    let named = !map.missing.gap.is_empty();
    for (across, up, value) in &map.cells {
        let (left, right) = (x.at(across - dx / 2.0), x.at(across + dx / 2.0));
        let (low, high) = (y.at(up - dy / 2.0), y.at(up + dy / 2.0));
        let corners = [(left, low), (right, low), (right, high), (left, high)];
        match value {
            Some(value) => canvas.area(&corners, SERIES[0], shade(*value)),
            None if named => hatch(&mut canvas, (left, high), (right, low)),
            None => canvas.area(&corners, RULE, 0.6),
        }
    }
    for i in 0..SHADES {
        let value = |i: u32| most * f64::from(i) / f64::from(SHADES);
        let (low, high) = (scale.at(value(i)), scale.at(value(i + 1)));
        let corners = [(bar, low), (bar + 40.0, low), (bar + 40.0, high), (bar, high)];
        canvas.area(&corners, SERIES[0], shade(f64::midpoint(value(i), value(i + 1))));
    }
    scale.draw(&mut canvas, Side::Right, bar + 40.0, None);
    y.draw(&mut canvas, Side::Left, left, None);
    x.under(&mut canvas, bottom, None, &map.x_label);
    canvas.frame((left, top), (right, bottom), INK, 2);
    if named && map.cells.iter().any(|c| c.2.is_none()) {
        let word = SMALL.shorten(&map.missing.gap, 300.0);
        let at = WIDTH - MARGIN - SMALL.width(&word);
        canvas.text(&word, (at, bottom + 80.0), Anchor::Left, SMALL, INK);
        hatch(&mut canvas, (at - 54.0, bottom + 64.0), (at - 14.0, bottom + 96.0));
    }
    (canvas, bottom + 120.0)
}

/// A cell without a value: grey with a stroke through it, so that it is no shade of the scale.
fn hatch(canvas: &mut Canvas, (left, top): (f64, f64), (right, bottom): (f64, f64)) {
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
    canvas.area(&corners, RULE, 0.6);
    canvas.line(&[(left, bottom), (right, top)], GREY, 2);
}
