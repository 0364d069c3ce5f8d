//! `tributary report`: renders again from `results.json`.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::Ending;
use crate::{
    report,
    results::{RESULTS_VERSION, Results},
};

/// Formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One self-contained page.
    Html,
    /// For print.
    Pdf,
}

pub(super) fn report(
    path: &Path,
    formats: &[Format],
    out: Option<&Path>,
) -> anyhow::Result<Ending> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let results: Results = serde_json::from_str(&text)
        .with_context(|| format!("{} is no results.json", path.display()))?;
    if results.results_version != RESULTS_VERSION {
        let found = results.results_version;
        bail!(
            "{} has results_version {found}, this program reads {RESULTS_VERSION}",
            path.display()
        );
    }
    let folder = out.or_else(|| path.parent()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let report = report::Report::compose(&results)?;
    for format in formats {
        let (name, bytes) = match format {
            Format::Html => ("report.html", report.html()?.into_bytes()),
            Format::Pdf => ("report.pdf", report.pdf()?),
        };
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))?;
        say!("{}", path.display());
    }
    Ok(Ending::Done)
}
