//! Survival curves with confidence bands and numbers at risk under the axis; and log(−log S) against log time, whose curves
//! run parallel where hazards are proportional.

use super::{
    axis::{marks, range},
    canvas::Drawing,
    chart::Missing,
    lines::{LinePlot, LinePoint, Series, lines},
};

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
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// Words for a figure without values.
    pub missing: Missing,
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

    fn series(&self, points: Vec<LinePoint>, numbers: Vec<String>) -> Series {
        Series { label: self.label.clone(), points, numbers, dots: false }
    }
}

/// Draws survival curves; `count` writes numbers at risk.
pub(crate) fn survival(plot: &SurvivalPlot, count: &dyn Fn(f64) -> String) -> Drawing {
    lines(&survival_lines(plot, count))
}

pub(super) fn survival_lines(plot: &SurvivalPlot, count: &dyn Fn(f64) -> String) -> LinePlot {
    let last = range(plot.curves.iter().flat_map(|c| c.drawn().map(|p| p.time))).1;
    let x_marks = marks(last.max(0.1));
    let series = plot.curves.iter().map(|curve| {
        let steps = curve.drawn().map(|p| (p.time, p.estimate, p.band));
        // Everybody is free of the event at the start; a curve that is nowhere drawn does not start.
        let start = curve.drawn().next().map(|_| (0.0, 1.0, Some((1.0, 1.0))));
        let number = |(t, label): &(f64, String)| match label.as_str() {
            "" => String::new(),
            _ => count(curve.at_risk(*t)),
        };
        curve.series(start.into_iter().chain(steps).collect(), x_marks.iter().map(number).collect())
    });
    LinePlot {
        series: series.collect(),
        steps: true,
        x_marks: x_marks.clone(),
        y: (0.0, 1.0),
        percent: true,
        x_label: plot.x_label.clone(),
        y_label: plot.y_label.clone(),
        numbers_label: plot.risk_label.clone(),
        missing: plot.missing.clone(),
        ..LinePlot::default()
    }
}

/// Draws log(−log S) against time on a logarithmic axis.
pub(crate) fn log_minus_log(plot: &SurvivalPlot) -> Drawing {
    lines(&log_minus_log_lines(plot))
}

pub(super) fn log_minus_log_lines(plot: &SurvivalPlot) -> LinePlot {
    let inside = |p: &&CurvePoint| p.estimate > 0.0 && p.estimate < 1.0 && p.time > 0.0;
    let point = |p: &CurvePoint| (p.time.ln(), (-p.estimate.ln()).ln(), None);
    let series: Vec<Series> = plot
        .curves
        .iter()
        .map(|c| c.series(c.drawn().filter(inside).map(point).collect(), Vec::new()))
        .collect();
    let all = || series.iter().flat_map(|s| &s.points);
    let (first, last) = range(all().map(|p| p.0));
    let (low, high) = range(all().map(|p| p.1));
    let padding = 0.05 * (high - low);
    let times = plot.marks.iter().map(|(t, label)| (t.ln(), label.clone()));
    LinePlot {
        x_marks: times.filter(|(t, _)| (first..=last).contains(t)).collect(),
        series,
        steps: true,
        y: (low - padding, high + padding),
        x_label: plot.x_label.clone(),
        y_label: plot.y_label.clone(),
        missing: plot.missing.clone(),
        ..LinePlot::default()
    }
}
