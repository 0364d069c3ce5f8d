//! Figures, drawn from the tables of an estimate: one drawing path for HTML, PDF and PNG.

mod canvas;
mod flow;
mod forest;
mod png;
mod survival;

pub use canvas::Drawing;
pub(super) use flow::{FlowStep, flow};
pub(super) use forest::{ForestPlot, ForestRow, forest};
pub(super) use png::png;
pub(super) use survival::{Curve, CurvePoint, SurvivalPlot, log_minus_log, survival};

/// The report's typeface: regular and bold.
pub(super) fn fonts() -> [&'static [u8]; 2] {
    [canvas::REGULAR, canvas::BOLD]
}
