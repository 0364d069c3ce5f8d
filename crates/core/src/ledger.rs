//! The ledger: an append-only, hash-chained record of what a party did. Each entry holds the hash of the one before it, so
//! that nothing can be changed, taken out or put in without the rest showing it. A site writes here what leaves *before* it
//! leaves.
//!
//! One JSON object per line: `seq`, `at` (RFC 3339), `actor`, `action`, `subject`, `previous`, `hash`; the hash is the
//! SHA-256 of the canonical JSON (RFC 8785) of the other six.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::seal::{canonical, sha256};

/// Hash before the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Position, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it: a person, a site, `hub`, `keyholder`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what; never a number of the registry.
    pub subject: Value,
    /// Hash of the entry before.
    pub previous: String,
    /// Hash of this entry.
    pub hash: String,
}

/// A ledger that cannot be used, or does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// File.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Another process has it.
    #[error("{path}: another process is using this ledger; stop it first", path = path.display())]
    InUse {
        /// File.
        path: PathBuf,
    },
    /// The chain is broken.
    #[error(
        "{place}: {reason}: the ledger was altered after it was written; keep the file and inform the other parties"
    )]
    Broken {
        /// Line or row.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl Entry {
    /// The entry that follows `previous`.
    pub fn after(
        previous: Option<&Self>,
        at: Timestamp,
        actor: &str,
        action: &str,
        subject: Value,
    ) -> Self {
        let mut entry = Self {
            seq: previous.map_or(1, |p| p.seq + 1),
            at,
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject,
            previous: previous.map_or_else(|| GENESIS.to_owned(), |p| p.hash.clone()),
            hash: String::new(),
        };
        entry.hash = entry.own_hash();
        entry
    }

    fn own_hash(&self) -> String {
        let Self { seq, at, actor, action, subject, previous, hash: _ } = self;
        sha256(&canonical(&serde_json::json!({
            "seq": seq, "at": at, "actor": actor, "action": action, "subject": subject, "previous": previous,
        })))
    }

    /// Whether this entry follows `previous` and is as it was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn follows(&self, previous: Option<&Self>) -> Result<(), String> {
        let (seq, hash) = previous.map_or((1, GENESIS), |p| (p.seq + 1, p.hash.as_str()));
        if self.seq != seq {
            return Err(format!("entry {} where {seq} was expected", self.seq));
        }
        if self.previous != hash {
            return Err(format!("entry {seq} does not follow the one before it"));
        }
        if self.own_hash() != self.hash {
            return Err(format!("entry {seq} is not as it was written"));
        }
        Ok(())
    }
}

/// A ledger in a file that this process alone writes.
#[derive(Debug)]
pub struct Ledger {
    file: Option<(PathBuf, File)>,
    entries: Vec<Entry>,
}

impl Ledger {
    /// A ledger that is not kept, for a run within one process.
    pub fn in_memory() -> Self {
        Self { file: None, entries: Vec::new() }
    }

    /// Opens or creates a ledger and verifies it. A last line that was cut off while it was written is taken away: what it
    /// would have recorded had not been done yet.
    ///
    /// # Errors
    /// If the file cannot be used, is in use, or the chain is broken.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let in_file = |error| LedgerError::File { path: path.to_owned(), error };
        let mut file =
            File::options().read(true).append(true).create(true).open(path).map_err(in_file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(LedgerError::InUse { path: path.to_owned() });
            }
            Err(fs::TryLockError::Error(error)) => return Err(in_file(error)),
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(in_file)?;
        file.read_to_end(&mut bytes).map_err(in_file)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(in_file)?;
            file.sync_all().map_err(in_file)?;
        }
        let entries = parse(path, &bytes[..whole])?;
        Ok(Self { file: Some((path.to_owned(), file)), entries })
    }

    /// Entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Appends an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// If it cannot be written; the ledger is then as before.
    pub fn append(
        &mut self,
        at: Timestamp,
        actor: &str,
        action: &str,
        subject: Value,
    ) -> Result<&Entry, LedgerError> {
        let entry = Entry::after(self.entries.last(), at, actor, action, subject);
        if let Some((path, file)) = &mut self.file {
            let mut line = canonical(&entry);
            line.push(b'\n');
            let before = file.metadata().map(|m| m.len());
            let written = file.write_all(&line).and_then(|()| file.sync_data());
            if let Err(error) = written {
                if let Ok(before) = before {
                    // The first error is the one to tell; a half-written line is cut off when the ledger is opened again.
                    let _ = file.set_len(before);
                }
                return Err(LedgerError::File { path: path.clone(), error });
            }
        }
        self.entries.push(entry);
        // Unwrap safety: an entry was pushed in the line above.
        Ok(self.entries.last().expect("just pushed"))
    }

    /// Reads and verifies a ledger without opening it for writing.
    ///
    /// # Errors
    /// If the file cannot be read or the chain is broken.
    pub fn verify(path: &Path) -> Result<Vec<Entry>, LedgerError> {
        let in_file = |error| LedgerError::File { path: path.to_owned(), error };
        parse(path, &fs::read(path).map_err(in_file)?)
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Entry>, LedgerError> {
    let mut entries: Vec<Entry> = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let broken = |reason| LedgerError::Broken {
            place: format!("{}, line {}", path.display(), i + 1),
            reason,
        };
        let entry: Entry = serde_json::from_slice(line)
            .map_err(|_| broken("this is not a ledger entry".into()))?;
        entry.follows(entries.last()).map_err(broken)?;
        entries.push(entry);
    }
    Ok(entries)
}

/// Whether entries that were kept elsewhere form a chain.
///
/// # Errors
/// If they do not.
pub fn verify_entries(entries: &[Entry]) -> Result<(), LedgerError> {
    let mut previous = None;
    for entry in entries {
        let place = format!("entry {}", entry.seq);
        entry.follows(previous).map_err(|reason| LedgerError::Broken { place, reason })?;
        previous = Some(entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn written(n: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        for i in 0..n {
            ledger.append(at(), "XA", "answered", serde_json::json!({ "round": i })).unwrap();
        }
        (folder, path)
    }

    #[test]
    fn a_ledger_goes_on_where_it_was_left_and_is_written_by_one_process() {
        let (_folder, path) = written(3);
        let mut ledger = Ledger::open(&path).unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::InUse { .. })));
        ledger.append(at(), "XA", "answered", Value::Null).unwrap();
        drop(ledger);
        assert_eq!(Ledger::verify(&path).unwrap().len(), 4);
    }

    #[test]
    fn a_line_that_was_cut_off_is_taken_away_and_the_rest_stands() {
        let (_folder, path) = written(2);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 7]).unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.entries().len(), 1);
        ledger.append(at(), "XA", "answered", Value::Null).unwrap();
        assert_eq!(Ledger::verify(&path).unwrap().len(), 2);
    }

    #[test]
    fn a_change_a_loss_and_an_insertion_are_seen() {
        let (_folder, path) = written(3);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let changed = text.replace("\"round\":1", "\"round\":7");
        let lost = [lines[0], lines[2], ""].join("\n");
        let doubled = [lines[0], lines[1], lines[1], lines[2], ""].join("\n");
        let swapped = [lines[1], lines[0], lines[2], ""].join("\n");
        for broken in [changed, lost, doubled, swapped] {
            fs::write(&path, broken).unwrap();
            assert!(matches!(Ledger::verify(&path), Err(LedgerError::Broken { .. })));
            assert!(matches!(Ledger::open(&path), Err(LedgerError::Broken { .. })));
        }
    }
}
