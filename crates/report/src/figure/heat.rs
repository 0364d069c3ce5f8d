//! Heat map of a table of rates: calendar time across, age up, the darker the higher.

use super::canvas::{Anchor, Canvas, Drawing, GREY, INK, RULE, SERIES, SMALL, TEXT, draw, ticks};
use super::lines::decimals;

/// Cells and the words around them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeatMap {
    /// Middle of each cell across and up, and its value; none where there is no person-time.
    pub cells: Vec<(f64, f64, Option<f64>)>,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Label of the scale.
    pub scale_label: String,
}

const WIDTH: f64 = 1700.0;
const PLOT: f64 = 760.0;

/// Values in order, without repeats.
fn levels(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut found: Vec<f64> = values.collect();
    found.sort_by(f64::total_cmp);
    found.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    found
}

/// Width of a cell: the smallest distance of two middles.
fn step(levels: &[f64]) -> f64 {
    levels.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min).min(1e6)
}

/// Draws the map with its scale.
pub(crate) fn heat(map: &HeatMap) -> Drawing {
    let (xs, ys) = (levels(map.cells.iter().map(|c| c.0)), levels(map.cells.iter().map(|c| c.1)));
    let top_value = map.cells.iter().filter_map(|c| c.2).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    draw(WIDTH as u32, (PLOT + 260.0) as u32, |canvas| {
        let (left, right, top) = (150.0, WIDTH - 260.0, 70.0);
        let bottom = top + PLOT;
        let (dx, dy) = (step(&xs), step(&ys));
        let x_range = (xs[0] - dx / 2.0, xs[xs.len() - 1] + dx / 2.0);
        let y_range = (ys[0] - dy / 2.0, ys[ys.len() - 1] + dy / 2.0);
        let at = |x: f64, y: f64| {
            let across = (x - x_range.0) / (x_range.1 - x_range.0);
            let up = (y - y_range.0) / (y_range.1 - y_range.0);
            (left + across * (right - left), bottom - up * (bottom - top))
        };
        for (x, y, value) in &map.cells {
            let corners = [
                at(x - dx / 2.0, y - dy / 2.0),
                at(x + dx / 2.0, y - dy / 2.0),
                at(x + dx / 2.0, y + dy / 2.0),
                at(x - dx / 2.0, y + dy / 2.0),
            ];
            match value {
                Some(value) => {
                    let share = (value / top_value).clamp(0.0, 1.0);
                    canvas.area(&corners, SERIES[0], 0.04 + 0.96 * share);
                }
                None => canvas.area(&corners, RULE, 0.6),
            }
        }
        axes(canvas, map, &at, (x_range, y_range), (left, right, top, bottom));
        // The scale: ten steps, with its ends.
        let (bar_left, bar_right) = (right + 60.0, right + 100.0);
        for i in 0..50 {
            let (a, b) = (f64::from(i) / 50.0, f64::from(i + 1) / 50.0);
            let y = |s: f64| bottom - s * PLOT;
            let corners =
                [(bar_left, y(a)), (bar_right, y(a)), (bar_right, y(b)), (bar_left, y(b))];
            canvas.area(&corners, SERIES[0], 0.04 + 0.96 * f64::midpoint(a, b));
        }
        for value in ticks(0.0, top_value, 6) {
            let y = bottom - value / top_value * PLOT;
            let digits = usize::from(top_value < 10.0);
            canvas.line(&[(bar_right, y), (bar_right + 8.0, y)], INK, 2);
            canvas.text(
                &format!("{value:.digits$}"),
                (bar_right + 16.0, y),
                Anchor::Left,
                TEXT,
                INK,
            );
        }
        canvas.text(&map.scale_label, (WIDTH - 20.0, 34.0), Anchor::Right, SMALL, GREY);
    })
}

fn axes(
    canvas: &Canvas<'_>,
    map: &HeatMap,
    at: &dyn Fn(f64, f64) -> (f64, f64),
    (x_range, y_range): ((f64, f64), (f64, f64)),
    (left, right, top, bottom): (f64, f64, f64, f64),
) {
    canvas.frame((left, top), (right, bottom), INK, 2);
    for value in ticks(x_range.0, x_range.1, 8) {
        let (x, _) = at(value, y_range.0);
        canvas.line(&[(x, bottom), (x, bottom + 10.0)], INK, 3);
        let digits = decimals(x_range);
        canvas.text(
            &format!("{value:.digits$}").replace('-', "−"),
            (x, bottom + 34.0),
            Anchor::Middle,
            TEXT,
            INK,
        );
    }
    for value in ticks(y_range.0, y_range.1, 8) {
        let (_, y) = at(x_range.0, value);
        canvas.line(&[(left - 10.0, y), (left, y)], INK, 3);
        let digits = decimals(y_range);
        canvas.text(
            &format!("{value:.digits$}").replace('-', "−"),
            (left - 18.0, y),
            Anchor::Right,
            TEXT,
            INK,
        );
    }
    canvas.text(
        &map.x_label,
        (f64::midpoint(left, right), bottom + 84.0),
        Anchor::Middle,
        TEXT,
        INK,
    );
    canvas.text(&map.y_label, (20.0, 34.0), Anchor::Left, TEXT, INK);
}
