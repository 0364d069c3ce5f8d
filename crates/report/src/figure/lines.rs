//! Lines over an axis with their bands: net survival, cumulative incidence, states, hazards, likelihood curves.

use super::canvas::{Anchor, Canvas, Drawing, GREY, INK, RULE, SERIES, SMALL, TEXT, draw, ticks};

/// x, y, and the interval of y.
pub(crate) type LinePoint = (f64, f64, Option<(f64, f64)>);

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Label.
    pub label: String,
    /// Points in the order of x, with the interval of y where there is one.
    pub points: Vec<LinePoint>,
    /// Numbers under the axis, by the marks of x; none where there are none.
    pub numbers: Vec<String>,
    /// Whether points are drawn as dots, with their intervals, and no line.
    pub dots: bool,
}

/// Lines and the words around them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LinePlot {
    /// Lines.
    pub series: Vec<Series>,
    /// Whether a value holds until the next point.
    pub steps: bool,
    /// Marks of the horizontal axis: value and label.
    pub x_marks: Vec<(f64, String)>,
    /// Range of the vertical axis.
    pub y: (f64, f64),
    /// Whether y is a proportion.
    pub percent: bool,
    /// A dashed line across, with its label.
    pub across: Option<(f64, String)>,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Heading of the numbers under the axis.
    pub numbers_label: String,
    /// Words beside points: x, y and the words.
    pub labels: Vec<(f64, f64, String)>,
}

const WIDTH: u32 = 1700;
/// Height of the plot itself, and of a row of the legend.
const PLOT: f64 = 700.0;
const ROW: f64 = 46.0;
const LEGEND: f64 = 86.0;

struct Place {
    top: f64,
    bottom: f64,
    left: f64,
    right: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Place {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let y = y.clamp(self.y.0, self.y.1);
        let across = (x - self.x.0) / (self.x.1 - self.x.0);
        let up = (y - self.y.0) / (self.y.1 - self.y.0);
        (self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top))
    }
}

/// Draws the lines.
pub(crate) fn lines(plot: &LinePlot) -> Drawing {
    let numbered = plot.series.iter().any(|s| !s.numbers.is_empty());
    let under = if numbered { 60.0 + 44.0 * plot.series.len() as f64 } else { 0.0 };
    // The legend's rows are estimated from the letters here; the canvas measures them when it draws.
    let letters: usize = plot.series.iter().map(|s| s.label.chars().count() + 6).sum();
    let rows = if plot.series.len() > 1 { (letters as f64 / 70.0).ceil() } else { 0.0 };
    let height = 80.0 + ROW * rows + PLOT + 110.0 + under;
    draw(WIDTH, height as u32, |canvas| {
        let top = 80.0 + ROW * legend_rows(canvas, plot).min(rows);
        let labels = plot.series.iter().map(|s| canvas.width(&s.label, SMALL)).fold(80.0, f64::max);
        let left = if numbered { (1.08 * labels + 110.0).max(190.0) } else { 190.0 };
        let marks =
            |f: fn(f64, f64) -> f64, start: f64| plot.x_marks.iter().map(|m| m.0).fold(start, f);
        let x = (marks(f64::min, f64::INFINITY), marks(f64::max, f64::NEG_INFINITY));
        let x = if x.0 < x.1 { x } else { (0.0, 1.0) };
        let bottom = top + PLOT;
        let place = Place { top, bottom, left, right: f64::from(WIDTH) - 40.0, x, y: plot.y };
        canvas.text(&plot.y_label, (20.0, 34.0), Anchor::Left, TEXT, INK);
        axes(canvas, plot, &place);
        for (i, series) in plot.series.iter().enumerate() {
            let colour = SERIES[style(plot, i) % SERIES.len()];
            let side = |pick: fn((f64, f64)) -> f64| {
                let with = series.points.iter().filter_map(|p| Some((p.0, pick(p.2?))));
                path(with, plot.steps)
            };
            let (upper, lower) = (side(|b| b.1), side(|b| b.0));
            let outline: Vec<(f64, f64)> = upper
                .into_iter()
                .chain(lower.into_iter().rev())
                .map(|p| place.at(p.0, p.1))
                .collect();
            if series.dots {
                for (x, y, band) in &series.points {
                    if let Some((low, high)) = band {
                        canvas.line(&[place.at(*x, *low), place.at(*x, *high)], RULE, 4);
                    }
                    canvas.dot(place.at(*x, *y), 8, colour);
                }
            } else if outline.len() > 2 {
                canvas.area(&outline, colour, 0.16);
            }
        }
        for (i, series) in plot.series.iter().enumerate() {
            let colour = SERIES[style(plot, i) % SERIES.len()];
            let points: Vec<(f64, f64)> =
                path(series.points.iter().map(|p| (p.0, p.1)), plot.steps)
                    .into_iter()
                    .map(|p| place.at(p.0, p.1))
                    .collect();
            if points.len() > 1 && !series.dots {
                if is_solid(plot, i) {
                    canvas.line(&points, colour, 5);
                } else {
                    canvas.dashed(&points, colour, 5);
                }
            }
        }
        for (x, y, words) in &plot.labels {
            let (x, y) = place.at(*x, *y);
            // To the left of points in the right quarter, where words would run off the plot.
            if x > place.right - 0.25 * (place.right - place.left) {
                canvas.text(words, (x - 18.0, y - 18.0), Anchor::Right, SMALL, INK);
            } else {
                canvas.text(words, (x + 18.0, y - 18.0), Anchor::Left, SMALL, INK);
            }
        }
        if plot.series.len() > 1 {
            legend(canvas, plot);
        }
        if numbered {
            numbers(canvas, plot, &place);
        }
    })
}

/// Position of a line's colour: one without a label belongs to the one before.
fn style(plot: &LinePlot, i: usize) -> usize {
    plot.series[..=i].iter().filter(|s| !s.label.is_empty()).count().saturating_sub(1)
}

/// Every second line is dashed; dots between them do not count, nor do lines that belong to the one before.
fn is_solid(plot: &LinePlot, i: usize) -> bool {
    let lines = plot.series[..=i].iter().filter(|s| !s.dots && !s.label.is_empty());
    !lines.count().is_multiple_of(2) || plot.series.len() == 1
}

/// Corners of a staircase, or the points themselves.
fn path(points: impl Iterator<Item = (f64, f64)>, steps: bool) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        if let (true, Some(last)) = (steps, corners.last().copied()) {
            corners.push((x, last.1));
        }
        corners.push((x, y));
    }
    corners
}

fn axes(canvas: &Canvas<'_>, plot: &LinePlot, place: &Place) {
    let values = ticks(plot.y.0, plot.y.1, 6);
    let digits =
        |x: f64| if x.abs() < 1e-9 { 0 } else { usize::from((x - x.round()).abs() > 1e-9) };
    for value in values {
        let (_, at) = place.at(place.x.0, value);
        canvas.line(&[(place.left, at), (place.right, at)], RULE, 2);
        let shown = if plot.percent { 100.0 * value } else { value };
        let digits =
            if plot.percent { digits((shown * 10.0).round() / 10.0) } else { decimals(plot.y) };
        let text = format!("{shown:.digits$}{}", if plot.percent { "%" } else { "" });
        canvas.text(&text.replace('-', "−"), (place.left - 16.0, at), Anchor::Right, TEXT, INK);
    }
    if let Some((value, label)) = &plot.across {
        let (_, at) = place.at(place.x.0, *value);
        canvas.dashed(&[(place.left, at), (place.right, at)], GREY, 3);
        canvas.text(label, (place.left + 10.0, at - 24.0), Anchor::Left, SMALL, GREY);
    }
    canvas.line(&[(place.left, place.bottom), (place.right, place.bottom)], INK, 3);
    for (value, label) in &plot.x_marks {
        let (at, _) = place.at(*value, plot.y.0);
        canvas.line(&[(at, place.bottom), (at, place.bottom + 10.0)], INK, 3);
        canvas.text(label, (at, place.bottom + 34.0), Anchor::Middle, TEXT, INK);
    }
    let middle = f64::midpoint(place.left, place.right);
    canvas.text(&plot.x_label, (middle, place.bottom + 80.0), Anchor::Middle, TEXT, INK);
}

/// Decimals that tell the marks of an axis apart.
pub(super) fn decimals((low, high): (f64, f64)) -> usize {
    match high - low {
        w if w > 8.0 => 0,
        w if w > 0.8 => 1,
        w if w > 0.08 => 2,
        w if w > 0.008 => 3,
        _ => 4,
    }
}

/// Labels in a row over the plot, each behind a piece of its line; a second row where one is too narrow.
fn legend(canvas: &Canvas<'_>, plot: &LinePlot) {
    let (mut x, mut y) = (20.0, LEGEND);
    for (i, series) in plot.series.iter().enumerate() {
        if series.label.is_empty() {
            continue;
        }
        let colour = SERIES[style(plot, i) % SERIES.len()];
        let width = 1.08 * canvas.width(&series.label, TEXT) + 130.0;
        if x + width > f64::from(WIDTH) - 20.0 && x > 20.0 {
            (x, y) = (20.0, y + ROW);
        }
        let piece = [(x, y), (x + 60.0, y)];
        if series.dots {
            canvas.dot((x + 30.0, y), 8, colour);
        } else if is_solid(plot, i) {
            canvas.line(&piece, colour, 5);
        } else {
            canvas.dashed(&piece, colour, 5);
        }
        canvas.text(&series.label, (x + 74.0, y), Anchor::Left, TEXT, colour);
        x += width;
    }
}

/// Rows that the legend takes.
fn legend_rows(canvas: &Canvas<'_>, plot: &LinePlot) -> f64 {
    if plot.series.len() < 2 {
        return 0.0;
    }
    let (mut rows, mut x) = (1.0, 20.0);
    for series in &plot.series {
        let width = 1.08 * canvas.width(&series.label, TEXT) + 130.0;
        if x + width > f64::from(WIDTH) - 20.0 && x > 20.0 {
            (x, rows) = (20.0, rows + 1.0);
        }
        x += width;
    }
    rows
}

fn numbers(canvas: &Canvas<'_>, plot: &LinePlot, place: &Place) {
    let mut at = place.bottom + 136.0;
    canvas.bold(&plot.numbers_label, (20.0, at), Anchor::Left, SMALL, INK);
    for (i, series) in plot.series.iter().enumerate() {
        at += 44.0;
        let colour = if plot.series.len() > 1 { SERIES[i % SERIES.len()] } else { INK };
        canvas.text(&series.label, (20.0, at), Anchor::Left, SMALL, colour);
        for ((x, _), n) in plot.x_marks.iter().zip(&series.numbers) {
            let (x, _) = place.at(*x, plot.y.0);
            canvas.text(n, (x, at), Anchor::Middle, SMALL, INK);
        }
    }
}
