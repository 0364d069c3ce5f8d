//! Figures, drawn from the tables of an estimate: one drawing path for HTML, PDF and PNG.

mod canvas;
mod flow;
mod forest;
mod png;
mod survival;

pub use canvas::Drawing;
pub use flow::{FlowStep, flow};
pub use forest::{ForestPlot, ForestRow, forest};
pub use png::png;
pub use survival::{Curve, CurvePoint, SurvivalPlot, log_minus_log, survival};

/// The report's typeface: regular and bold.
pub fn fonts() -> [&'static [u8]; 2] {
    [canvas::REGULAR, canvas::BOLD]
}
