//! Figures, drawn from the tables of an estimate: one drawing path for HTML, PDF and PNG. `axis` and `chart` hold what all kinds share, each kind what is special to it.

mod axis;
mod canvas;
mod chart;
mod flow;
mod forest;
mod heat;
mod lines;
mod png;
mod pyramid;
mod survival;

pub(super) use axis::{marks, spaced_marks};
pub use canvas::Drawing;
pub(super) use chart::Missing;
pub(super) use flow::{FlowBox, flow};
pub(super) use forest::{ForestPlot, ForestRow, forest};
pub(super) use heat::{HeatMap, heat};
pub(super) use lines::{LinePlot, LinePoint, Series, lines};
pub(super) use png::png;
pub(super) use pyramid::{Pyramid, pyramid};
pub(super) use survival::{Curve, CurvePoint, SurvivalPlot, log_minus_log, survival};

/// The report's typeface: regular and bold.
pub(super) fn fonts() -> [&'static [u8]; 2] {
    [canvas::REGULAR, canvas::BOLD]
}

#[cfg(test)]
mod tests;
