//! Reads an analysis with its study.

use std::{fs, path::Path};

use anyhow::Context;

use crate::{plan::Plan, spec::Study};

/// Reads an analysis and the `study.toml` beside it.
pub(super) fn plan(spec: &Path) -> anyhow::Result<Plan> {
    let text =
        fs::read_to_string(spec).with_context(|| format!("{} cannot be read", spec.display()))?;
    let study = study(&spec.with_file_name("study.toml"))?;
    Ok(Plan::check(&spec.display().to_string(), &text, study)?)
}

pub(super) fn study(path: &Path) -> anyhow::Result<Study> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "{} cannot be read; an analysis file needs its study.toml in the same folder",
            path.display()
        )
    })?;
    Ok(Study::parse(&path.display().to_string(), &text)?)
}
