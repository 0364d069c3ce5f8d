//! A short summary of results for the terminal.

use std::path::Path;

use crate::{report::Report, results::Results, run::Outcome};

/// Prints the answer, what needs a look, and where the report is.
pub(super) fn print(results: &Results, out: &Path) {
    say!("{}", results.analysis.title);
    if let Ok(report) = Report::compose(results) {
        for sentence in report.answer() {
            say!("  {sentence}");
        }
    }
    for model in &results.models {
        match &model.outcome {
            Outcome::Estimate(estimate) if estimate.status != crate::estimate::Status::Ok => {
                say!("  note: {}: status {}", model.id, estimate.status.word());
            }
            Outcome::Estimate(_) => {}
            Outcome::Failed { reason } => say!("  note: {} has no result: {reason}", model.id),
        }
        for withheld in model.withheld.iter().filter(|w| w.array.is_none()) {
            let site = withheld.site.as_ref().map_or("", |s| s.as_str());
            say!("  note: site {site} withheld its answer for {} ({})", model.id, withheld.rule);
        }
    }
    say!("  report: {}", out.join("report.html").display());
    say!("          {}", out.join("report.pdf").display());
}
