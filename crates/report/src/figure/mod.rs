//! Figures, drawn from the tables of an estimate: one drawing path for HTML, PDF and PNG.

mod canvas;
mod flow;
mod forest;
mod heat;
mod lines;
mod png;
mod pyramid;
mod survival;

pub use canvas::Drawing;
pub(super) use flow::{FlowBox, flow};
pub(super) use forest::{ForestPlot, ForestRow, forest};
pub(super) use heat::{HeatMap, heat};
pub(super) use lines::{LinePlot, LinePoint, Series, lines};
pub(super) use png::png;
pub(super) use pyramid::{Pyramid, pyramid};
pub(super) use survival::{Curve, CurvePoint, SurvivalPlot, log_minus_log, survival};

/// Marks of an axis from 0 to `last`.
pub(super) fn marks(last: f64) -> Vec<(f64, String)> {
    let plain =
        |x: f64| if (x - x.round()).abs() < 1e-9 { format!("{x:.0}") } else { format!("{x}") };
    let mut marks: Vec<(f64, String)> =
        canvas::ticks(0.0, last, 10).into_iter().map(|t| (t, plain(t))).collect();
    // The axis ends where the lines do; its end has no label of its own.
    match marks.last_mut() {
        Some((t, _)) if last - *t < 0.03 * last => {}
        _ => marks.push((last, String::new())),
    }
    marks
}

/// Marks of an axis from `first` to `last`, which end it whether or not they have a label.
pub(super) fn spaced_marks(first: f64, last: f64, count: usize) -> Vec<(f64, String)> {
    let digits = lines::decimals((first, last));
    let mut marks: Vec<(f64, String)> = canvas::ticks(first, last, count)
        .into_iter()
        .filter(|t| *t >= first && *t <= last)
        .map(|t| (t, format!("{t:.digits$}")))
        .collect();
    let near = |marks: &[(f64, String)], x: f64| marks.iter().any(|(t, _)| (t - x).abs() < 1e-9);
    if !near(&marks, first) {
        marks.insert(0, (first, String::new()));
    }
    if !near(&marks, last) {
        marks.push((last, String::new()));
    }
    marks
}

/// The report's typeface: regular and bold.
pub(super) fn fonts() -> [&'static [u8]; 2] {
    [canvas::REGULAR, canvas::BOLD]
}
