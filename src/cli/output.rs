//! The results folder: written beside its place and moved there whole, so that nothing is left half-written.

use std::{fs, io, path::Path};

use anyhow::{Context, bail};

use crate::{
    report::{self, Report},
    results::Results,
    run::Outcome,
};

/// Refuses a folder that holds something else than results.
pub(super) fn writable(out: &Path) -> anyhow::Result<()> {
    match fs::read_dir(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{} is not a folder", out.display())),
        Ok(mut entries) => {
            if entries.next().is_some() && !out.join("results.json").is_file() {
                bail!("{} holds other files: name a new folder with --out", out.display());
            }
            Ok(())
        }
    }
}

/// Writes all files of a run.
pub(super) fn write(results: &Results, out: &Path) -> anyhow::Result<()> {
    let files = report::files(results)?;
    let name =
        out.file_name().map_or_else(|| "results".into(), |n| n.to_string_lossy().into_owned());
    let parent = out.parent().unwrap_or_else(|| Path::new("."));
    let partial = parent.join(format!(".{name}.{}.partial", std::process::id()));
    let written = (|| {
        for (name, bytes) in &files {
            let path = partial.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, bytes)?;
        }
        if out.exists() {
            fs::remove_dir_all(out)?;
        }
        fs::rename(&partial, out)
    })();
    if written.is_err() {
        // What could not be finished is taken away again; the first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
    }
    written.with_context(|| format!("{} cannot be written", out.display()))
}

/// A short summary for the terminal.
pub(super) fn summary(results: &Results, out: &Path) {
    say!("{}", results.analysis.title);
    if let Ok(report) = Report::compose(results) {
        for sentence in report.answer() {
            say!("  {sentence}");
        }
    }
    for model in &results.models {
        match &model.outcome {
            Outcome::Estimate(estimate) if estimate.status != crate::estimate::Status::Ok => {
                say!("  look: {} is {}", model.id, estimate.status.word());
            }
            Outcome::Estimate(_) => {}
            Outcome::Failed { reason } => say!("  look: {} has no result: {reason}", model.id),
        }
        for withheld in model.withheld.iter().filter(|w| w.array.is_none()) {
            let site = withheld.site.as_ref().map_or("", |s| s.as_str());
            say!("  look: site {site} held back its answer for {} ({})", model.id, withheld.rule);
        }
    }
    say!("  report: {}", out.join("report.html").display());
    say!("          {}", out.join("report.pdf").display());
}
