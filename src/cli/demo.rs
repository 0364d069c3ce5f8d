//! `tributary demo`: the Wilms study.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::bail;
use jiff::civil::Date;

use super::{Ending, arguments::Destination, live, run};

/// The study below the folder it is looked for in.
const STUDY: &str = "analyses/wilms";

/// Where the demonstration runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// In this process.
    Here,
    /// As processes of their own; their files may be kept.
    Live { keep: Option<&'a Path> },
}

pub(super) fn demo(
    to: &Destination,
    study: Option<&Path>,
    date: Option<Date>,
    place: Place<'_>,
) -> anyhow::Result<Ending> {
    let folder = match study {
        Some(folder) => folder.to_owned(),
        None => find()?,
    };
    let mut sites: Vec<PathBuf> = fs::read_dir(folder.join("sites"))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.join("site.toml").is_file())
        .collect();
    sites.sort();
    let spec = folder.join("wilms.toml");
    match place {
        Place::Here => run::run(&spec, &sites, to, date),
        Place::Live { keep } => live::live(&spec, &sites, to, keep),
    }
}

/// Looks in this folder, the package's own, and those above the program.
fn find() -> anyhow::Result<PathBuf> {
    let here = env::current_dir().ok();
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let program = env::current_exe().ok();
    let above = |path: Option<PathBuf>| {
        path.into_iter().flat_map(|p| p.ancestors().map(Path::to_owned).collect::<Vec<_>>())
    };
    let found = above(here)
        .chain(package)
        .chain(above(program))
        .map(|folder| folder.join(STUDY))
        .find(|p| p.is_dir());
    match found {
        Some(folder) => Ok(folder),
        None => bail!(
            "the folder {STUDY} was not found: run this command in the source folder, or name the study folder with --study"
        ),
    }
}
