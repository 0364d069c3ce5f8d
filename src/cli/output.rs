//! Folders that the program writes into. Only files that an earlier run wrote, and that nobody has changed since, are replaced:
//! the manifest of the results folder names them with their SHA-256. Everything else belongs to somebody and stays.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::report;

/// Files named in a message.
const NAMED: usize = 5;

/// SHA-256 of each file that the manifest in `folder` names; nothing without a manifest.
pub(super) fn manifest(folder: &Path) -> BTreeMap<PathBuf, String> {
    let text = fs::read(folder.join(report::MANIFEST)).unwrap_or_default();
    let files = report::manifest_files(&text);
    files.into_iter().map(|(name, sha256)| (PathBuf::from(name), sha256)).collect()
}

/// Whether the program wrote this file, and nobody has changed it since.
pub(super) fn is_ours(folder: &Path, file: &Path, manifest: &BTreeMap<PathBuf, String>) -> bool {
    if file == Path::new(report::MANIFEST) {
        return !manifest.is_empty();
    }
    let known = manifest.get(file);
    known.is_some_and(|known| {
        fs::read(folder.join(file)).is_ok_and(|bytes| report::sha256(&bytes) == *known)
    })
}

/// A list for people.
pub(super) fn listed(files: &[&PathBuf]) -> String {
    let mut names: Vec<String> =
        files.iter().take(NAMED).map(|file| file.display().to_string()).collect();
    if files.len() > NAMED {
        names.push(format!("{} more", files.len() - NAMED));
    }
    names.join(", ")
}

/// Refuses what is there and is not the program's own, unless it may be overwritten.
pub(super) fn refuse_changed(folder: &Path, names: &[&str], force: bool) -> anyhow::Result<()> {
    let manifest = manifest(folder);
    let there = names.iter().map(PathBuf::from).filter(|name| folder.join(name).exists());
    let changed: Vec<PathBuf> = there.filter(|name| !is_ours(folder, name, &manifest)).collect();
    if changed.is_empty() || force {
        return Ok(());
    }
    bail!(
        "{} contains files that this program did not write, or that have been changed since: {}. \
         Name a new folder with --out, or replace them with --force",
        folder.display(),
        listed(&changed.iter().collect::<Vec<_>>())
    )
}

/// Writes a file beside its place and moves it there.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    // A temporary file is its owner's alone; what is written here is for all who may read the folder.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path)?;
    Ok(())
}

/// Writes single files into a folder. If they belong to a results folder, its manifest goes with them.
pub(super) fn write_files(folder: &Path, files: &BTreeMap<&str, Vec<u8>>) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be created", folder.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        write_whole(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))
    };
    for (name, bytes) in files {
        write(name, bytes)?;
    }
    let known = fs::read(folder.join(report::MANIFEST)).unwrap_or_default();
    match report::manifest_renewed(&known, files) {
        Some(renewed) => write(report::MANIFEST, &renewed),
        None => Ok(()),
    }
}
