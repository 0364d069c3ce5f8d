//! Makes answers: computes, passes the gate, seals, keeps the file, writes the ledger; once per round.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::Timestamp;
use serde_json::json;
use tributary_core::{
    ledger::Ledger,
    protocol::{Address, AnswerFile, Part, seal},
    run::Question,
    seal::{Roster, Seed, SigningKey, read_signing, sha256},
    summary::SiteId,
};
use tributary_models::plan::{Plan, fingerprint};

use super::{AgentError, Desk};
use crate::{Answers, Registry, SiteFolder, answer};

/// The data of a site as they were read, and which files they were.
#[derive(Debug)]
struct Snapshot {
    registry: Registry,
    dictionary: String,
    stamps: Vec<Stamp>,
    /// SHA-256 by name of the file.
    files: BTreeMap<String, String>,
}

/// Size, and time of the last change.
type Stamp = (u64, Option<SystemTime>);

/// What a site needs to answer, and the record of what it answered.
#[derive(Debug)]
pub struct Maker {
    /// Code of the site.
    pub site: SiteId,
    /// The site's own copy of the roster.
    pub roster: Roster,
    pub(super) key: SigningKey,
    pub(super) ledger: Ledger,
    pub(super) desk: Desk,
    folder: PathBuf,
    snapshot: Option<Snapshot>,
}

impl Maker {
    /// Makes everything ready: `site` is the site folder, `keys` the one with `signing.key`, `record` the one that holds
    /// ledger and answers.
    ///
    /// # Errors
    /// [`AgentError`] says what is missing and what to do.
    pub fn start(
        site: &Path,
        keys: &Path,
        roster: Roster,
        record: &Path,
    ) -> Result<Self, AgentError> {
        let key = read_signing(keys)?;
        let code = SiteFolder::open(site)?.code;
        if roster.site(&code) != Some(&key.public()) {
            return Err(AgentError::Key { site: code });
        }
        let ledger = Ledger::open(&record.join("ledger.jsonl"))?;
        let desk = Desk::of(record);
        Ok(Self { site: code, roster, key, ledger, desk, folder: site.to_owned(), snapshot: None })
    }

    /// The answer to a round that is in the ledger, exactly as it was made.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn made(&self, run: &str, round: usize) -> Result<Option<String>, AgentError> {
        let Some(text) = self.desk.answer(run, round)? else { return Ok(None) };
        let hash = sha256(text.as_bytes());
        let recorded = self.ledger.entries().iter().any(|e| {
            e.action == "answered"
                && e.subject["run"] == *run
                && e.subject["round"] == round
                && e.subject["sha256"] == *hash
        });
        // A file that the ledger does not know was made just before a crash: it never left, so it is made again.
        Ok(recorded.then_some(text))
    }

    fn has_answered(&self, run: &str, round: usize) -> bool {
        self.ledger.entries().iter().any(|e| {
            e.action == "answered" && e.subject["run"] == *run && e.subject["round"] == round
        })
    }

    /// Computes, passes the gate, seals, keeps the file, writes the ledger.
    ///
    /// # Errors
    /// If the round was answered before and its file is gone, the registry cannot be read, a number cannot be sealed, a file changed within the run, or the ledger cannot be
    /// written; nothing may then leave.
    pub fn make(
        &mut self,
        plan: &Plan,
        address: &Address,
        questions: &[Question],
    ) -> Result<String, AgentError> {
        let Address { run, round, specification, .. } = address;
        // Whatever is asked under the name of an answered round: its answer is the one that was given.
        if self.has_answered(run, *round) {
            let gone = || AgentError::Answered { run: run.clone(), round: *round };
            return self.made(run, *round)?.ok_or_else(gone);
        }
        let earlier = self
            .ledger
            .entries()
            .iter()
            .find(|e| e.action == "answered" && e.subject["run"] == **run)
            .map(|e| e.subject["files"].clone());
        let site = self.site.clone();
        let snapshot = self.snapshot(plan)?;
        let files = snapshot.files.clone();
        let changed = earlier.map_or_else(Vec::new, |known| changed(&known, &files));
        if !changed.is_empty() {
            return Err(AgentError::Changed { run: run.clone(), files: changed.join(", ") });
        }
        let answers = answer(plan, &snapshot.registry, *round, questions)?;
        for (model, refusal) in &answers.refusals {
            let rule = refusal.public().rule;
            tracing::info!(%site, model, ?rule, "withheld; `tributary site preview` shows why");
        }
        let Answers { outgoing, policy, refusals: _ } = answers;
        let seed = Seed::fresh()?;
        let document = seal(address, &self.roster, &policy, outgoing, &site, &seed, &self.key)?;
        let text = document.to_text();
        self.desk.keep_answer(run, *round, &text)?;
        let subject = json!({
            "run": run, "round": round, "specification": specification, "roster": self.roster.hash(),
            "sha256": sha256(text.as_bytes()), "files": files, "models": told(&document),
        });
        self.ledger.append(Timestamp::now(), site.as_str(), "answered", subject)?;
        Ok(text)
    }

    /// The registry as it is now; read again only if a file changed.
    fn snapshot(&mut self, plan: &Plan) -> Result<&Snapshot, AgentError> {
        let folder = SiteFolder::open(&self.folder)?;
        let files = folder.files();
        let before = stamps(&files);
        let dictionary = fingerprint(&plan.study.dictionary);
        let fresh = |s: &Snapshot| s.stamps == before && s.dictionary == dictionary;
        let kept = self.snapshot.take().filter(fresh);
        let snapshot = match kept {
            Some(kept) => kept,
            None => {
                let mut hashes = BTreeMap::new();
                for (name, path) in &files {
                    let wrong = |reason: String| AgentError::File { path: path.clone(), reason };
                    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
                    hashes.insert(name.clone(), sha256(&bytes));
                }
                let registry = Registry::open(folder, &plan.study.dictionary)?;
                // What was hashed has to be what was read.
                let changed = before.iter().zip(stamps(&files)).position(|(a, b)| *a != b);
                if let Some(changed) = changed {
                    let reason = "the file was written to while it was read; it is read again at the next question";
                    let path = files[changed].1.clone();
                    return Err(AgentError::File { path, reason: reason.into() });
                }
                Snapshot { registry, dictionary, stamps: before, files: hashes }
            }
        };
        Ok(self.snapshot.insert(snapshot))
    }
}

/// Size and time of last change of each file.
fn stamps(files: &[(String, PathBuf)]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let known = fs::metadata(path).ok();
        (known.as_ref().map_or(0, fs::Metadata::len), known.and_then(|m| m.modified().ok()))
    };
    files.iter().map(|(_, path)| stamp(path)).collect()
}

/// Files that are not as an earlier answer recorded them.
fn changed(known: &serde_json::Value, files: &BTreeMap<String, String>) -> Vec<String> {
    let gone = known.as_object().into_iter().flat_map(|known| known.keys());
    let gone = gone.filter(|name| !files.contains_key(*name)).cloned();
    let other = files.iter().filter(|(name, sha256)| known[name.as_str()] != **sha256);
    other.map(|(name, _)| name.clone()).chain(gone).collect()
}

/// What an answer tells, for the ledger: by model, whether it was sealed, visible or held back, and of what size.
fn told(document: &AnswerFile) -> BTreeMap<&str, serde_json::Value> {
    let word = |part: &Part| match part {
        Part::Sealed { layout, .. } => {
            json!({ "sealed": layout.iter().filter_map(tributary_core::summary::Layout::cells).sum::<usize>() })
        }
        Part::Visible { summary } => {
            let cells = summary.arrays().iter().map(|a| a.cells().len()).sum::<usize>();
            let hidden = summary.hidden().iter().map(|h| h.cells).sum::<u64>();
            json!({ "visible": cells, "hidden": hidden })
        }
        Part::HeldBack { refusal } => json!({ "held_back": refusal.rule }),
    };
    document.header.models.iter().map(|(model, part)| (model.as_str(), word(part))).collect()
}
