//! `tributary run`: the whole protocol in one process over site folders.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::{Ending, arguments::Destination, local, read, results_folder::ResultsFolder, summary};
use crate::results::Results;

pub(super) fn run(
    spec: &Path,
    sites: &[PathBuf],
    to: &Destination,
    date: Option<Date>,
) -> anyhow::Result<Ending> {
    let plan = read::plan(spec)?;
    let folder = ResultsFolder::open(to)?;
    let finished = local::run(&plan, sites)?;
    let results = Results::of(&plan, &finished.run, date.unwrap_or_else(today));
    folder.write(&results)?;
    summary::print(&results, folder.named());
    for line in &finished.left_out {
        eprintln!("site {line}");
    }
    for note in &finished.notes {
        eprintln!("withheld at {note}");
    }
    Ok(if results.needs_a_look() { Ending::Look } else { Ending::Done })
}

fn today() -> Date {
    jiff::Zoned::now().date()
}
