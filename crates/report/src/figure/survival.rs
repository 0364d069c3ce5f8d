//! Survival curves with confidence bands and numbers at risk under the axis; and log(−log S) against log time, whose curves
//! run parallel where hazards are proportional.

use super::canvas::{Anchor, Canvas, Drawing, GREY, INK, RULE, SERIES, SMALL, TEXT, draw, ticks};

/// One step of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CurvePoint {
    /// Years.
    pub time: f64,
    /// S(t) from here on.
    pub estimate: f64,
    /// Pointwise interval.
    pub band: Option<(f64, f64)>,
    /// At risk just before.
    pub n_risk: f64,
    /// Left at this time, by event or censored.
    pub left: f64,
}

/// A curve with its label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// Label.
    pub label: String,
    /// Persons at the start.
    pub persons: f64,
    /// Steps in the order of time.
    pub points: Vec<CurvePoint>,
}

/// Curves and the words around them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SurvivalPlot {
    /// Curves.
    pub curves: Vec<Curve>,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Heading of the numbers under the axis.
    pub risk_label: String,
    /// Marks of a logarithmic time axis: years and label.
    pub(crate) marks: Vec<(f64, String)>,
}

/// Smallest number at risk for which a curve is still drawn.
const AT_RISK_FLOOR: f64 = 10.0;

impl Curve {
    /// Number at risk just before `time`.
    fn at_risk(&self, time: f64) -> f64 {
        match self.points.iter().find(|p| p.time >= time - 1e-9) {
            Some(next) => next.n_risk,
            None => self.points.last().map_or(self.persons, |p| p.n_risk - p.left),
        }
    }

    fn drawn(&self) -> impl Iterator<Item = &CurvePoint> {
        self.points.iter().take_while(|p| p.n_risk >= AT_RISK_FLOOR)
    }

    /// Corners of the staircase of one quantity up to the end of what is drawn.
    fn staircase(&self, start: f64, value: impl Fn(&CurvePoint) -> Option<f64>) -> Vec<(f64, f64)> {
        let mut corners = vec![(0.0, start)];
        let mut level = start;
        for point in self.drawn() {
            corners.push((point.time, level));
            if let Some(next) = value(point)
                && (next - level).abs() > 0.0
            {
                corners.push((point.time, next));
                level = next;
            }
        }
        corners
    }
}

const WIDTH: u32 = 1700;

struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = (x - self.x.0) / (self.x.1 - self.x.0);
        let up = (y - self.y.0) / (self.y.1 - self.y.0);
        (self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top))
    }

    fn axes(&self, canvas: &Canvas<'_>, x: &[(f64, String)], y: &[(f64, String)]) {
        for (value, label) in y {
            let (_, at) = self.at((self.x.0, *value));
            canvas.line(&[(self.left, at), (self.right, at)], RULE, 2);
            canvas.text(label, (self.left - 16.0, at), Anchor::Right, TEXT, INK);
        }
        canvas.line(&[(self.left, self.bottom), (self.right, self.bottom)], INK, 3);
        for (value, label) in x {
            let (at, _) = self.at((*value, self.y.0));
            canvas.line(&[(at, self.bottom), (at, self.bottom + 10.0)], INK, 3);
            canvas.text(label, (at, self.bottom + 34.0), Anchor::Middle, TEXT, INK);
        }
    }
}

fn plain(x: f64) -> String {
    if (x - x.round()).abs() < 1e-9 { format!("{x:.0}") } else { format!("{x}") }
}

/// Width that the labels of curves take, in the margin left of the numbers at risk.
fn label_width(canvas: &Canvas<'_>, plot: &SurvivalPlot) -> f64 {
    plot.curves.iter().map(|c| canvas.width(&c.label, SMALL)).fold(110.0, f64::max)
}

/// Draws survival curves.
pub(crate) fn survival(plot: &SurvivalPlot) -> Drawing {
    let several = plot.curves.len() > 1;
    let rows = plot.curves.len() as f64;
    let table = 60.0 + 44.0 * rows;
    let height = 930.0 + table;
    draw(WIDTH, height as u32, |canvas| {
        let last =
            plot.curves.iter().filter_map(|c| c.drawn().last().map(|p| p.time)).fold(0.0, f64::max);
        let left = label_width(canvas, plot) + 90.0;
        let horizon = last.max(0.1);
        let frame = Frame {
            left,
            right: f64::from(WIDTH) - 40.0,
            top: 80.0,
            bottom: 820.0,
            x: (0.0, horizon),
            y: (0.0, 1.0),
        };
        let years = ticks(0.0, horizon, 10);
        let x: Vec<(f64, String)> = years.iter().map(|t| (*t, plain(*t))).collect();
        let y: Vec<(f64, String)> =
            (0..=5).map(|i| (f64::from(i) / 5.0, format!("{}%", i * 20))).collect();
        canvas.text(&plot.y_label, (frame.left, 34.0), Anchor::Left, TEXT, INK);
        frame.axes(canvas, &x, &y);
        canvas.text(
            &plot.x_label,
            (f64::midpoint(frame.left, frame.right), frame.bottom + 76.0),
            Anchor::Middle,
            TEXT,
            INK,
        );
        for (i, curve) in plot.curves.iter().enumerate() {
            let colour = SERIES[i % SERIES.len()];
            let side = |corner: fn((f64, f64)) -> f64| curve.staircase(1.0, |p| p.band.map(corner));
            let upper = side(|band| band.1);
            let lower = side(|band| band.0);
            let outline: Vec<(f64, f64)> =
                upper.into_iter().chain(lower.into_iter().rev()).map(|p| frame.at(p)).collect();
            canvas.area(&outline, colour, 0.16);
        }
        for (i, curve) in plot.curves.iter().enumerate() {
            let colour = SERIES[i % SERIES.len()];
            let path: Vec<(f64, f64)> = curve
                .staircase(1.0, |p| Some(p.estimate))
                .into_iter()
                .map(|p| frame.at(p))
                .collect();
            if i % 2 == 0 { canvas.line(&path, colour, 5) } else { canvas.dashed(&path, colour, 5) }
        }
        if several {
            direct_labels(canvas, plot, &frame);
        }
        let mut at = frame.bottom + 136.0;
        canvas.bold(&plot.risk_label, (20.0, at), Anchor::Left, SMALL, INK);
        for (i, curve) in plot.curves.iter().enumerate() {
            at += 44.0;
            let colour = if several { SERIES[i % SERIES.len()] } else { INK };
            canvas.text(&curve.label, (20.0, at), Anchor::Left, SMALL, colour);
            for t in &years {
                let (x, _) = frame.at((*t, 0.0));
                canvas.text(
                    &format!("{:.0}", curve.at_risk(*t)),
                    (x, at),
                    Anchor::Middle,
                    SMALL,
                    INK,
                );
            }
        }
    })
}

/// Labels stand at the curves' ends, pushed apart where they would touch.
fn direct_labels(canvas: &Canvas<'_>, plot: &SurvivalPlot, frame: &Frame) {
    let mut ends: Vec<(usize, f64)> = plot
        .curves
        .iter()
        .enumerate()
        .filter_map(|(i, curve)| {
            let (t, s) =
                curve.drawn().last().map(|p| (p.time, p.band.map_or(p.estimate, |b| b.1)))?;
            Some((i, frame.at((t, s)).1))
        })
        .collect();
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut above = f64::NEG_INFINITY;
    for (i, y) in ends {
        // Above its own band, below the label before it.
        let y = (y - 26.0).max(above + 38.0);
        above = y;
        canvas.bold(
            &plot.curves[i].label,
            (frame.right - 6.0, y),
            Anchor::Right,
            TEXT,
            SERIES[i % SERIES.len()],
        );
    }
}

/// Draws log(−log S) against time on a logarithmic axis.
pub(crate) fn log_minus_log(plot: &SurvivalPlot) -> Drawing {
    let curves: Vec<Vec<(f64, f64)>> = plot
        .curves
        .iter()
        .map(|curve| {
            let inside =
                curve.drawn().filter(|p| p.estimate > 0.0 && p.estimate < 1.0 && p.time > 0.0);
            inside.map(|p| (p.time.ln(), (-p.estimate.ln()).ln())).collect()
        })
        .collect();
    let all = || curves.iter().flatten();
    let bounds = |f: fn(&(f64, f64)) -> f64| {
        let low = all().map(f).fold(f64::INFINITY, f64::min);
        let high = all().map(f).fold(f64::NEG_INFINITY, f64::max);
        if low < high { (low, high) } else { (-1.0, 1.0) }
    };
    draw(WIDTH, 900, |canvas| {
        let (x, y) = (bounds(|p| p.0), bounds(|p| p.1));
        let padding = 0.05 * (y.1 - y.0);
        let y = (y.0 - padding, y.1 + padding);
        let frame =
            Frame { left: 130.0, right: f64::from(WIDTH) - 40.0, top: 80.0, bottom: 780.0, x, y };
        let times: Vec<(f64, String)> = plot
            .marks
            .iter()
            .filter(|(t, _)| t.ln() >= x.0 && t.ln() <= x.1)
            .map(|(t, label)| (t.ln(), label.clone()))
            .collect();
        let values: Vec<(f64, String)> =
            ticks(y.0, y.1, 6).into_iter().map(|v| (v, plain(v).replace('-', "−"))).collect();
        canvas.text(&plot.y_label, (20.0, 34.0), Anchor::Left, TEXT, INK);
        frame.axes(canvas, &times, &values);
        canvas.text(
            &plot.x_label,
            (f64::midpoint(frame.left, frame.right), frame.bottom + 80.0),
            Anchor::Middle,
            TEXT,
            INK,
        );
        for (i, points) in curves.iter().enumerate() {
            let colour = SERIES[i % SERIES.len()];
            let mut path: Vec<(f64, f64)> = Vec::new();
            for point in points {
                if let Some(last) = path.last() {
                    path.push((point.0, last.1));
                }
                path.push(*point);
            }
            let path: Vec<(f64, f64)> = path.into_iter().map(|p| frame.at(p)).collect();
            if i % 2 == 0 {
                canvas.line(&path, colour, 5);
            } else {
                canvas.dashed(&path, colour, 5);
            }
            if let Some((_, y)) = path.last() {
                let label = &plot.curves[i].label;
                canvas.bold(label, (frame.right - 6.0, y - 34.0), Anchor::Right, TEXT, colour);
            }
        }
        if curves.iter().all(Vec::is_empty) {
            canvas.text("–", (f64::from(WIDTH) / 2.0, 430.0), Anchor::Middle, TEXT, GREY);
        }
    })
}
