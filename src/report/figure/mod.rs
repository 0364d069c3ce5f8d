//! Figures, drawn from the tables of an estimate: one drawing path for HTML, PDF and PNG.

mod canvas;
mod flow;
mod forest;
mod lines;
mod png;
mod survival;

pub use canvas::Drawing;
pub(super) use flow::{FlowStep, flow};
pub(super) use forest::{ForestPlot, ForestRow, forest};
pub(super) use lines::{LinePlot, Series, lines};
pub(super) use png::png;
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

/// The report's typeface: regular and bold.
pub(super) fn fonts() -> [&'static [u8]; 2] {
    [canvas::REGULAR, canvas::BOLD]
}
