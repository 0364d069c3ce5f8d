//! `tributary report`: renders again from `results.json`.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::{Ending, output};
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
    force: bool,
) -> anyhow::Result<Ending> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let is_none = || format!("{} is not a results.json file", path.display());
    let whole: serde_json::Value = serde_json::from_str(&text).with_context(is_none)?;
    // Another version may have another form: it is told before the form is read.
    let found = &whole["results_version"];
    if found.is_number() && *found != RESULTS_VERSION {
        bail!(
            "{} has results_version {found}, expected {RESULTS_VERSION}: run the analysis again, or use the version of the program that wrote it ({})",
            path.display(),
            whole["provenance"]["engine_version"].as_str().unwrap_or("not stated")
        );
    }
    let results: Results = serde_json::from_value(whole).with_context(is_none)?;
    let folder = out.or_else(|| path.parent()).unwrap_or_else(|| Path::new("."));
    let name = |format: &Format| match format {
        Format::Html => "report.html",
        Format::Pdf => "report.pdf",
    };
    let names: Vec<&str> = formats.iter().map(name).collect();
    output::refuse_changed(folder, &names, force)?;
    let report = report::Report::compose(&results)?;
    let mut files = BTreeMap::new();
    for format in formats {
        let bytes = match format {
            Format::Html => report.html()?.into_bytes(),
            Format::Pdf => report.pdf()?,
        };
        files.insert(name(format), bytes);
    }
    output::write_files(folder, &files)?;
    for name in names {
        say!("{}", folder.join(name).display());
    }
    Ok(Ending::Done)
}
