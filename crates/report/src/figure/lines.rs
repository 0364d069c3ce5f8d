//! Lines over an axis with their bands: survival, cumulative incidence, states, hazards, rates, likelihood curves; and dots.

use super::{
    axis::{Axis, Side},
    canvas::{Anchor, Bounds, Canvas, Drawing, GREY, INK, MARGIN, Point, TEXT, WIDTH},
    chart::{
        EndLabels, Entry, Missing, Numbers, Pen, Room, dots_pen, empty, legend, pen, tint, title,
    },
};

/// x, y, and the interval of y; a y that is no number is a gap.
pub(crate) type LinePoint = (f64, f64, Option<(f64, f64)>);

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Label; a line without one belongs to the line before.
    pub label: String,
    /// Points in the order of x, with the interval of y where there is one.
    pub points: Vec<LinePoint>,
    /// Numbers under the axis, by the marks of x; none where there are none.
    pub numbers: Vec<String>,
    /// Whether points are drawn as dots, with their intervals, and no line.
    pub dots: bool,
}

/// Lines and the words around them.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// Words for gaps and for a figure without values.
    pub missing: Missing,
}

/// Height of the plot itself.
const PLOT: f64 = 700.0;
/// From which part of the axis on a line that ends there is labelled right of the plot.
const ENDS: f64 = 0.85;

/// Draws the lines.
pub(crate) fn lines(plot: &LinePlot) -> Drawing {
    if plot.series.iter().all(|s| s.points.iter().all(|p| !p.1.is_finite())) {
        return empty(&plot.y_label, &plot.missing);
    }
    let (canvas, height) = paint(plot);
    canvas.finish(height)
}

/// Pens by series: one without a label has that of the one before, and dots are no lines, so that they take no dash.
fn pens(series: &[Series]) -> Vec<Pen> {
    let (mut groups, mut lines) = (0_usize, 0_usize);
    series
        .iter()
        .map(|s| {
            groups += usize::from(!s.label.is_empty());
            lines += usize::from(!s.label.is_empty() && !s.dots);
            let group = groups.saturating_sub(1);
            if s.dots { dots_pen(group) } else { pen(group, lines.saturating_sub(1)) }
        })
        .collect()
}

/// Where the plot lies.
struct Frame {
    x: Axis,
    y: Axis,
}

impl Frame {
    fn at(&self, (x, y): Point) -> Point {
        (self.x.at(x), self.y.at(y))
    }

    fn path(&self, points: &[Point]) -> Vec<Point> {
        points.iter().map(|p| self.at(*p)).collect()
    }
}

pub(super) fn paint(plot: &LinePlot) -> (Canvas, f64) {
    let mut canvas = Canvas::default();
    let pens = pens(&plot.series);
    let named: Vec<usize> =
        (0..plot.series.len()).filter(|&i| !plot.series[i].label.is_empty()).collect();
    let several = named.len() > 1;
    let xs = plot.series.iter().flat_map(|s| s.points.iter().map(|p| p.0));
    let x = Axis::marked(&plot.x_marks, xs);
    let y = if plot.percent { Axis::shares(plot.y, 6) } else { Axis::numbers(plot.y, 6) };
    let numbered = plot.series.iter().zip(&pens).filter(|(s, _)| !s.numbers.is_empty());
    let numbers = Numbers {
        heading: &plot.numbers_label,
        rows: numbered
            .map(|(s, pen)| (s.label.as_str(), if several { pen.colour } else { INK }, &*s.numbers))
            .collect(),
    };

    let mut top = title(&mut canvas, &plot.y_label);
    let labels = end_labels(plot, &named, &x, &y.clone().along(top + PLOT, top));
    if several && labels.is_none() {
        let entry = |&i: &usize| {
            let Series { label, dots, .. } = &plot.series[i];
            Entry { label, pen: pens[i], dots: *dots }
        };
        let entries: Vec<Entry<'_>> = named.iter().map(entry).collect();
        top = legend(&mut canvas, &entries, top);
    }
    let bottom = top + PLOT;
    let (room, columns) = numbers.room();
    let left = room.max(y.label_width() + 18.0 + MARGIN);
    // What stands under the last mark reaches beyond the plot.
    let last = TEXT.widest(x.marks.last().map(|m| m.1.as_str()));
    let half = 0.5 * columns.last().copied().unwrap_or(0.0).max(last);
    let right = WIDTH - MARGIN.max(half + 10.0).max(labels.as_ref().map_or(0.0, EndLabels::room));
    let frame = Frame { x: x.across(left, right, &columns), y: y.along(bottom, top) };

    frame.y.draw(&mut canvas, Side::Left, left, Some(right));
    bands(&mut canvas, plot, &pens, &frame);
    frame.x.under(&mut canvas, bottom, None, &plot.x_label);
    let dots = plot.series.iter().filter(|s| s.dots).flat_map(|s| &s.points);
    let taken = dots.map(|p| Bounds::around(frame.at((p.0, p.1)), 8.0)).collect();
    let mut room = Room { within: Bounds { left, top: top - 30.0, right, bottom }, taken };
    if let Some((value, label)) = &plot.across {
        let y = frame.y.at(*value);
        let dashed = Pen { colour: GREY, ..pen(0, 1) };
        dashed.stroke(&mut canvas, &[(left, y), (right, y)], 3);
        let places = [-24.0, 24.0].map(|dy| ((left + 10.0, y + dy), Anchor::Left));
        room.write(&mut canvas, label, &places, GREY);
    }
    for (i, (series, pen)) in plot.series.iter().zip(&pens).enumerate() {
        for run in runs(&series.points) {
            let points: Vec<Point> = run.iter().map(|p| (p.0, p.1)).collect();
            if series.dots || run.len() == 1 {
                points.iter().for_each(|p| pen.point(&mut canvas, frame.at(*p)));
                continue;
            }
            for part in clipped(&path(points.into_iter(), plot.steps), plot.y) {
                pen.line(&mut canvas, &frame.path(&part), i);
            }
        }
        gaps(&mut canvas, &mut room, (series, pen), &frame, &plot.missing.gap);
    }
    for (x, y, words) in &plot.labels {
        room.write(&mut canvas, words, &beside(frame.at((*x, *y)), &frame), INK);
    }
    if let Some(labels) = labels {
        let ends = plot.series.iter().zip(&pens);
        let ends = ends.filter_map(|(s, pen)| Some((s.points.last()?, *pen)));
        let ends: Vec<_> = ends.map(|(p, pen)| (frame.at((p.0, p.1)), pen)).collect();
        labels.draw(&mut canvas, right, &ends);
    }
    if numbers.rows.is_empty() {
        return (canvas, bottom + 110.0);
    }
    let marks: Vec<(f64, bool)> =
        frame.x.marks.iter().map(|(v, label)| (frame.x.at(*v), !label.is_empty())).collect();
    let end = numbers.draw(&mut canvas, &marks, bottom + 136.0);
    (canvas, end - 10.0)
}

/// Places for words beside a point: first to its right, but to its left near the end of the axis.
fn beside((x, y): Point, frame: &Frame) -> [(Point, Anchor); 6] {
    let mut sides = [(16.0, Anchor::Left), (-16.0, Anchor::Right)];
    if x > frame.x.from + 0.75 * (frame.x.to - frame.x.from) {
        sides.reverse();
    }
    let at = |(dx, anchor): (f64, Anchor), dy: f64| ((x + dx, y + dy), anchor);
    let over = (0.0, Anchor::Middle);
    [
        at(sides[0], -18.0),
        at(sides[1], -18.0),
        at(sides[0], 18.0),
        at(sides[1], 18.0),
        at(over, -28.0),
        at(over, 28.0),
    ]
}

/// Labels at the ends of lines, where each has one, all reach far enough and none would stand astray.
fn end_labels(plot: &LinePlot, named: &[usize], x: &Axis, y: &Axis) -> Option<EndLabels> {
    if named.len() < 2 || named.len() < plot.series.len() {
        return None;
    }
    let far = x.low + ENDS * (x.high - x.low);
    let ends: Option<Vec<(&str, f64)>> = plot
        .series
        .iter()
        .map(|s| {
            let last = s.points.last().filter(|p| !s.dots && p.1.is_finite() && p.0 >= far)?;
            let inside = last.1 >= y.low && last.1 <= y.high;
            inside.then(|| (s.label.as_str(), y.at(last.1)))
        })
        .collect();
    EndLabels::of(&ends?, y.to, y.from)
}

/// Points between gaps.
fn runs(points: &[LinePoint]) -> impl Iterator<Item = &[LinePoint]> {
    points.split(|p| !p.1.is_finite()).filter(|run| !run.is_empty())
}

/// Corners of a staircase, or the points themselves.
fn path(points: impl Iterator<Item = Point>, steps: bool) -> Vec<Point> {
    let mut corners: Vec<Point> = Vec::new();
    for (x, y) in points {
        if let (true, Some(last)) = (steps, corners.last().copied()) {
            corners.push((x, last.1));
        }
        corners.push((x, y));
    }
    corners
}

/// The parts of a path within the vertical range, cut where they leave it.
fn clipped(path: &[Point], (low, high): (f64, f64)) -> Vec<Vec<Point>> {
    let mut parts: Vec<Vec<Point>> = vec![Vec::new()];
    for ends in path.windows(2) {
        let ((x0, y0), (x1, y1)) = (ends[0], ends[1]);
        // Shares of the piece at which it enters and leaves the range.
        let share = |bound: f64| (bound - y0) / (y1 - y0);
        let (enter, leave) = if y0 == y1 {
            if (low..=high).contains(&y0) { (0.0, 1.0) } else { (1.0, 0.0) }
        } else {
            let (a, b) = (share(low), share(high));
            (a.min(b).max(0.0), a.max(b).min(1.0))
        };
        if enter > leave {
            parts.push(Vec::new());
            continue;
        }
        let at = |s: f64| (x0 + s * (x1 - x0), y0 + s * (y1 - y0));
        if enter > 0.0 {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            if part.is_empty() {
                part.push(at(enter));
            }
            part.push(at(leave));
        }
    }
    parts.retain(|part| part.len() > 1);
    parts
}

/// Intervals: areas along lines, paler where there are many, with their edges where there are several; bars at dots.
fn bands(canvas: &mut Canvas, plot: &LinePlot, pens: &[Pen], frame: &Frame) {
    let with = plot.series.iter().filter(|s| !s.dots && s.points.iter().any(|p| p.2.is_some()));
    let many = with.count();
    let opacity = if many > 3 { 0.08 } else { 0.16 };
    for (series, pen) in plot.series.iter().zip(pens) {
        for run in runs(&series.points) {
            if series.dots || run.len() == 1 {
                for (x, _, band) in run {
                    let Some((low, high)) = band else { continue };
                    let bar = [frame.at((*x, *low)), frame.at((*x, *high))];
                    canvas.line(&bar, tint(pen.colour, 0.45), 4);
                }
                continue;
            }
            let side = |pick: fn((f64, f64)) -> f64| {
                path(run.iter().filter_map(|p| Some((p.0, pick(p.2?)))), plot.steps)
            };
            let (upper, lower) = (side(|b| b.1), side(|b| b.0));
            let outline: Vec<Point> = upper.iter().chain(lower.iter().rev()).copied().collect();
            if outline.len() > 2 {
                canvas.area(&frame.path(&outline), pen.colour, opacity);
            }
            for edge in [upper, lower] {
                for part in clipped(&edge, plot.y).iter().filter(|_| many > 1) {
                    canvas.line(&frame.path(part), tint(pen.colour, 0.35), 1);
                }
            }
        }
    }
}

/// The word beside each gap of a line.
fn gaps(
    canvas: &mut Canvas,
    room: &mut Room,
    (series, pen): (&Series, &Pen),
    frame: &Frame,
    word: &str,
) {
    let points = &series.points;
    let known = |p: &&LinePoint| p.1.is_finite();
    let mut start = 0;
    for gap in points.chunk_by(|a, b| a.1.is_finite() == b.1.is_finite()) {
        let (from, to) = (start, start + gap.len());
        start = to;
        if gap[0].1.is_finite() {
            continue;
        }
        let before = points[..from].last().filter(known).map(|p| frame.at((p.0, p.1)));
        let after = points.get(to).filter(known).map(|p| frame.at((p.0, p.1)));
        let (at, anchor) = match (before, after) {
            (Some(a), Some(b)) => {
                ((f64::midpoint(a.0, b.0), f64::midpoint(a.1, b.1)), Anchor::Middle)
            }
            (Some(a), None) => ((a.0 + 18.0, a.1), Anchor::Left),
            (None, Some(b)) => ((b.0 - 18.0, b.1), Anchor::Right),
            (None, None) => continue,
        };
        let off = [0.0, -30.0, 30.0, -60.0, 60.0];
        let places = off.map(|dy| ((at.0, at.1 + dy), anchor));
        room.write(canvas, word, &places, pen.colour);
    }
}
