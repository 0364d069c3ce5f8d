//! The results folder: made whole beside its place and moved there; what is not of an earlier run stays.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::output::{is_ours, listed, manifest};
use crate::report;

/// Files that file managers leave behind: nobody misses a run because of them.
const LITTER: [&str; 4] = [".DS_Store", ".directory", "Thumbs.db", "desktop.ini"];

/// All files below `folder`, relative to it. Links are files, whatever they lead to.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        for entry in fs::read_dir(folder.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Files of `folder` that are somebody else's.
fn others(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let manifest = manifest(folder);
    let mut files = files_below(folder)?;
    files.retain(|file| !is_ours(folder, file, &manifest));
    Ok(files)
}

/// A folder for the results of a run.
#[derive(Debug)]
pub(super) struct ResultsFolder {
    named: PathBuf,
    path: PathBuf,
}

impl ResultsFolder {
    /// Checks that a run may write there, before the run begins.
    ///
    /// A folder that does not exist or is empty will do, and one of an earlier run. The current folder and those above it, the home
    /// folder and those above it are refused in any case; a folder that holds other files is, unless `force` says that
    /// results may be put beside them.
    pub(super) fn open(destination: &super::arguments::Destination) -> anyhow::Result<Self> {
        let named = &destination.out;
        let path = place(named)?;
        if path.exists() && !path.is_dir() {
            bail!("{} is a file; name a folder with --out", named.display());
        }
        for (folder, what) in [(env::current_dir().ok(), "current"), (home(), "home")] {
            let folder = folder.and_then(|f| fs::canonicalize(f).ok());
            if folder.is_some_and(|f| f.starts_with(&path)) {
                bail!(
                    "{} is the {what} folder or a parent of it: results need a folder of their own, such as --out results",
                    named.display()
                );
            }
        }
        let others =
            others(&path).with_context(|| format!("{} cannot be read", named.display()))?;
        let of_people: Vec<&PathBuf> = others.iter().filter(|file| !is_litter(file)).collect();
        if !of_people.is_empty() && !destination.force.force {
            bail!(
                "{} contains files that no earlier run wrote, or that have been changed since: {}. \
                 Name a new folder with --out, or write the results beside them with --force, which keeps them",
                named.display(),
                listed(&of_people)
            );
        }
        Ok(Self { named: named.clone(), path })
    }

    /// The folder as it was named.
    pub(super) fn named(&self) -> &Path {
        &self.named
    }

    /// Writes all files of a run: the new folder is made whole beside its place and moved there, and files that are not of an earlier
    /// run are moved into it. One whose name is taken goes to `kept/`.
    pub(super) fn write(&self, results: &crate::results::Results) -> anyhow::Result<()> {
        let files = report::files(results)?;
        let cannot = || format!("{} cannot be written", self.named.display());
        self.replace(&files).with_context(cannot)
    }

    fn replace(&self, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
        let parent = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(parent)?;
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(".tributary-");
        let workshop = builder.tempdir_in(parent)?;
        let [new, old] = ["new", "old"].map(|name| workshop.path().join(name));
        for (name, bytes) in files {
            let path = new.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, bytes)?;
        }
        if !self.path.exists() {
            return Ok(fs::rename(&new, &self.path)?);
        }
        // Looked up again: somebody may have written notes while the run went on.
        let others = others(&self.path)?;
        fs::set_permissions(&new, fs::metadata(&self.path)?.permissions())?;
        fs::rename(&self.path, &old)?;
        if let Err(error) = fs::rename(&new, &self.path) {
            fs::rename(&old, &self.path)?;
            return Err(error.into());
        }
        for file in others {
            let moved = free(&self.path, &file).and_then(|to| fs::rename(old.join(&file), to));
            if let Err(error) = moved {
                let workshop = workshop.keep();
                bail!("{} is still in {}: {error}", file.display(), workshop.join("old").display());
            }
        }
        Ok(())
    }
}

fn is_litter(file: &Path) -> bool {
    file.file_name().is_some_and(|name| LITTER.iter().any(|litter| name == *litter))
}

fn home() -> Option<PathBuf> {
    env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// Where a path leads, also if it is not there yet.
fn place(named: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(named)
        .with_context(|| format!("{} is not a usable folder name", named.display()))?;
    // Of what does not exist, the part that does is looked up.
    let mut missing = Vec::new();
    let mut there = absolute.as_path();
    loop {
        if let Ok(found) = fs::canonicalize(there) {
            return Ok(missing.iter().rev().fold(found, |path, name| path.join(name)));
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                there = parent;
            }
            _ => bail!(
                "{} is not a usable folder name: it contains `..` below a folder that does not exist",
                named.display()
            ),
        }
    }
}

/// A name that is free below `folder` for a file that is to be kept.
fn free(folder: &Path, file: &Path) -> io::Result<PathBuf> {
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    let numbered = (2..).map(|n| folder.join(format!("kept-{n}")).join(file));
    let places = [folder.join(file), folder.join("kept").join(file)].into_iter().chain(numbered);
    let found = places.into_iter().find(is_free).unwrap_or_else(|| folder.join(file));
    if let Some(parent) = found.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(found)
}
