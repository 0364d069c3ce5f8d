//! `tributary run`: the whole protocol in one process over site folders.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::{Ending, local, output, read};
use crate::results::Results;

pub(super) fn run(
    spec: &Path,
    sites: &[PathBuf],
    out: &Path,
    date: Option<Date>,
) -> anyhow::Result<Ending> {
    let plan = read::plan(spec)?;
    output::writable(out)?;
    let finished = local::run(&plan, sites)?;
    let results = Results::of(&plan, &finished.run, date.unwrap_or_else(today));
    output::write(&results, out)?;
    output::summary(&results, out);
    for line in &finished.left_out {
        eprintln!("site {line}");
    }
    for note in &finished.notes {
        eprintln!("held back at {note}");
    }
    Ok(if results.needs_a_look() { Ending::Look } else { Ending::Done })
}

fn today() -> Date {
    jiff::Zoned::now().date()
}
