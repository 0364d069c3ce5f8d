//! Forest plot: an estimate with its interval per line, squares by weight, diamonds for pooled effects; ratios on a logarithmic axis,
//! differences and proportions on a linear one.

use super::{
    axis::{Axis, range},
    canvas::{Anchor, Canvas, Drawing, Font, GREY, INK, MARGIN, RULE, SMALL, TEXT, WIDTH},
    chart::{SERIES, empty},
};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForestRow {
    /// Label.
    pub label: String,
    /// Estimate and interval, ratios on the logarithmic scale; `None` where there is none.
    pub effect: Option<[f64; 3]>,
    /// Weight, 0 to 1; pooled lines have none.
    pub weight: Option<f64>,
    /// Whether it is a pooled effect, drawn as a diamond.
    pub pooled: bool,
    /// Prediction interval on the logarithmic scale.
    pub prediction: Option<[f64; 2]>,
    /// Text right of the plot.
    pub text: String,
    /// Second text, such as the weight.
    pub second: String,
}

/// Lines and the words around them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ForestPlot {
    /// Lines, pooled ones last.
    pub rows: Vec<ForestRow>,
    /// Headings: lines, effect, second text.
    pub headings: [String; 3],
    /// Label of the axis.
    pub x_label: String,
    /// Words under the axis: what lies left and right of no effect.
    pub sides: [String; 2],
    /// Whether the axis is linear.
    pub linear: bool,
}

const ROW: f64 = 62.0;
/// Height of a line where there are many.
const LOW_ROW: f64 = 32.0;
/// Most lines of full height.
const MANY: usize = 30;
const TOP: f64 = 90.0;
/// Widest text right of the plot, least width of the plot, and room between columns.
const TEXTS: f64 = 400.0;
const AXIS: f64 = 380.0;
const GUTTER: f64 = 50.0;

/// Draws a forest plot.
pub(crate) fn forest(plot: &ForestPlot) -> Drawing {
    if plot.rows.is_empty() {
        return empty(&plot.headings[1], &super::Missing::default());
    }
    let (canvas, height) = paint(plot);
    canvas.finish(height)
}

pub(super) fn paint(plot: &ForestPlot) -> (Canvas, f64) {
    let mut canvas = Canvas::default();
    let gap = if plot.rows.iter().any(|r| r.pooled) { 24.0 } else { 0.0 };
    let many = plot.rows.len() > MANY;
    let (row_height, font) = if many { (LOW_ROW, SMALL) } else { (ROW, TEXT) };
    let bottom = TOP + row_height * plot.rows.len() as f64 + gap + 10.0;

    let of = |r: &ForestRow| if r.pooled { font.bold() } else { font };
    // What is wider than a column may be is broken or cut.
    let width = |column: fn(&ForestRow) -> &str, heading: usize, most: f64| {
        let widest = plot.rows.iter().map(|r| of(r).width(column(r)));
        widest.fold(SMALL.bold().width(&plot.headings[heading]), f64::max).clamp(60.0, most)
    };
    let texts = width(|r| &r.text, 1, TEXTS);
    let seconds = width(|r| &r.second, 2, TEXTS / 2.0);
    let labels = width(|r| &r.label, 0, WIDTH - texts - seconds - AXIS - 4.0 * GUTTER);
    let edge = WIDTH - MARGIN;
    let text_at = edge - seconds - 0.6 * GUTTER;
    let left = MARGIN + labels + GUTTER;
    let right = text_at - texts - GUTTER;

    let ends = plot.rows.iter().flat_map(|r| {
        let interval = r.effect.into_iter().flatten();
        interval.chain(r.prediction.into_iter().flatten())
    });
    let axis = if plot.linear {
        let (low, high) = range(ends);
        let margin = if low < high { 0.04 * (high - low) } else { 0.0 };
        Axis::numbers((low - margin, high + margin), 6)
    } else {
        // 1 is always among them.
        Axis::ratios(range(ends.chain([0.0])))
    };
    let axis = axis.across(left, right, &[]);

    for (i, (x, anchor, room)) in [
        (MARGIN, Anchor::Left, labels + 40.0),
        (text_at, Anchor::Right, texts + 40.0),
        (edge, Anchor::Right, seconds),
    ]
    .into_iter()
    .enumerate()
    {
        let heading = SMALL.bold().shorten(&plot.headings[i], room);
        canvas.text(&heading, (x, 34.0), anchor, SMALL.bold(), INK);
    }
    canvas.line(&[(MARGIN, 62.0), (edge, 62.0)], RULE, 3);
    axis.under(&mut canvas, bottom, Some(66.0), &plot.x_label);
    if axis.low <= 0.0 && axis.high >= 0.0 {
        let none = axis.at(0.0);
        canvas.line(&[(none, 66.0), (none, bottom)], GREY, 3);
    }

    let first_pooled = plot.rows.iter().position(|r| r.pooled).unwrap_or(plot.rows.len());
    for (i, row) in plot.rows.iter().enumerate() {
        let gap = if i >= first_pooled { gap } else { 0.0 };
        let y = TOP + 10.0 + row_height * i as f64 + gap;
        let one = font.width(&row.label) <= labels || many;
        let (label_font, lines) = if one { (of(row), 1) } else { (SMALL, 2) };
        let label = label_font.wrap(&row.label, labels, lines);
        canvas.block(&label, (MARGIN, y), Anchor::Left, label_font, INK);
        let text = of(row).shorten(&row.text, texts);
        canvas.text(&text, (text_at, y), Anchor::Right, of(row), INK);
        let second = font.shorten(&row.second, seconds);
        canvas.text(&second, (edge, y), Anchor::Right, font, INK);
        draw_effect(&mut canvas, row, &axis, y, font);
    }

    let sides = plot.sides.iter().any(|s| !s.is_empty());
    for (i, (x, anchor)) in [(left, Anchor::Left), (right, Anchor::Right)].into_iter().enumerate() {
        let side = SMALL.shorten(&plot.sides[i], 0.5 * (right - left) - 10.0);
        canvas.text(&side, (x, bottom + 128.0), anchor, SMALL, GREY);
    }
    (canvas, bottom + if sides { 170.0 } else { 130.0 })
}

fn draw_effect(canvas: &mut Canvas, row: &ForestRow, axis: &Axis, y: f64, font: Font) {
    let colour = if row.pooled { SERIES[1] } else { SERIES[0] };
    let Some([estimate, low, high]) = row.effect else { return };
    let (from, to, middle) = (axis.at(low), axis.at(high), axis.at(estimate));
    if let Some(ends) = row.prediction {
        let [from, to] = ends.map(|end| axis.at(end));
        canvas.line(&[(from, y), (to, y)], colour, 3);
        for x in [from, to] {
            canvas.line(&[(x, y - 9.0), (x, y + 9.0)], colour, 3);
        }
    }
    if row.pooled {
        let tip = if font == TEXT { 15.0 } else { 11.0 };
        let corners = [(from, y), (middle, y - tip), (to, y), (middle, y + tip)];
        canvas.area(&corners, colour, 1.0);
        return;
    }
    canvas.line(&[(from, y), (to, y)], colour, 4);
    // An interval that leaves the axis ends in an arrow.
    for (outside, x, back) in [(low < axis.low, from, 14.0), (high > axis.high, to, -14.0)] {
        if outside {
            canvas.line(&[(x + back, y - 10.0), (x, y), (x + back, y + 10.0)], colour, 4);
        }
    }
    match row.weight {
        Some(weight) => {
            let most = if font == TEXT { 30.0 } else { 22.0 };
            let half = 0.5 * (10.0 + most * weight.max(0.0).sqrt());
            let (left, right, top, bottom) = (middle - half, middle + half, y - half, y + half);
            let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
            canvas.area(&corners, colour, 1.0);
        }
        None => canvas.dot((middle, y), 11, colour),
    }
}
