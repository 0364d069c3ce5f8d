//! The desk: questions that came, decisions that people took, answers that were made. One file each, written whole.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tributary_core::{
    protocol::{Document, QuestionFile},
    spec::Study,
};
use tributary_models::plan::Plan;

use super::AgentError;

/// A decision that a person took, for one specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Run.
    pub run: String,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// Whether the site takes part.
    pub approves: bool,
    /// Who decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A question as it lies on the desk.
#[derive(Debug)]
pub struct Pending {
    /// The document, its signature verified when it came.
    pub question: QuestionFile,
    /// The decision, if one was taken.
    pub decision: Option<Decision>,
}

/// The files of an agent's folder.
#[derive(Debug, Clone)]
pub struct Desk {
    folder: PathBuf,
}

/// Runs and rounds name files: letters, digits and `-` only.
fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

impl Desk {
    /// The desk of an agent's folder.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn place(&self, part: &str, run: &str, ending: &str) -> Result<PathBuf, AgentError> {
        if !is_plain(run) {
            return Err(AgentError::Run);
        }
        Ok(self.folder.join(part).join(format!("{run}{ending}")))
    }

    /// Puts a question on the desk.
    pub(super) fn lay(&self, question: &QuestionFile) -> Result<(), AgentError> {
        let path = self.place("questions", &question.header.run, ".txt")?;
        write_whole(&path, question.to_text().as_bytes())
    }

    /// Questions on the desk, oldest run first.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn pending(&self) -> Result<Vec<Pending>, AgentError> {
        let folder = self.folder.join("questions");
        let wrong =
            |error: io::Error| AgentError::File { path: folder.clone(), reason: error.to_string() };
        let mut names: Vec<String> = Vec::new();
        match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(error)),
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(wrong)?.file_name();
                    let run = name.to_str().and_then(|name| name.strip_suffix(".txt"));
                    names.extend(run.map(str::to_owned));
                }
            }
        }
        names.sort();
        names.iter().map(|run| self.question(run)).collect()
    }

    /// The question of a run.
    ///
    /// # Errors
    /// If there is none or it cannot be read.
    pub fn question(&self, run: &str) -> Result<Pending, AgentError> {
        let path = self.place("questions", run, ".txt")?;
        let wrong = |reason: String| AgentError::File { path: path.clone(), reason };
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let question = Document::parse(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Pending { question, decision: self.decision(run)? })
    }

    /// The decision on a run, if one was taken.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn decision(&self, run: &str) -> Result<Option<Decision>, AgentError> {
        let path = self.place("decisions", run, ".json")?;
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let wrong = |reason: String| AgentError::File { path: path.clone(), reason };
        serde_json::from_str(&text).map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// Takes a decision. The first one stands.
    ///
    /// # Errors
    /// If another decision was taken before, or the file cannot be written.
    pub fn decide(&self, decision: &Decision) -> Result<(), AgentError> {
        if let Some(known) = self.decision(&decision.run)? {
            if known.approves == decision.approves && known.specification == decision.specification
            {
                return Ok(());
            }
            return Err(AgentError::Decided {
                run: decision.run.clone(),
                approves: known.approves,
            });
        }
        let path = self.place("decisions", &decision.run, ".json")?;
        // Unwrap safety: a decision has string keys and no numbers.
        let text = serde_json::to_string_pretty(decision).expect("a decision is JSON");
        write_whole(&path, text.as_bytes())
    }

    /// The answer that was made for a round, if it was.
    pub(super) fn answer(&self, run: &str, round: usize) -> Result<Option<String>, AgentError> {
        read_if_there(&self.place("answers", run, &format!(".{round}.txt"))?)
    }

    /// Keeps the answer to a round.
    pub(super) fn keep_answer(
        &self,
        run: &str,
        round: usize,
        text: &str,
    ) -> Result<(), AgentError> {
        write_whole(&self.place("answers", run, &format!(".{round}.txt"))?, text.as_bytes())
    }
}

impl Pending {
    /// The analysis that is asked, checked here.
    ///
    /// # Errors
    /// If its files have faults, or their hash is not the one the hub says.
    pub fn plan(&self) -> Result<Plan, AgentError> {
        checked_plan(&self.question)
    }
}

/// The analysis of a question; its hash is computed here and must be the one that is asked.
pub(super) fn checked_plan(question: &QuestionFile) -> Result<Plan, AgentError> {
    let header = &question.header;
    let study = Study::parse("study.toml", &header.study_file).map_err(AgentError::Faults)?;
    let plan =
        Plan::check("analysis.toml", &header.analysis_file, study).map_err(AgentError::Faults)?;
    if plan.hash != header.specification
        || plan.study.id != header.study
        || plan.spec.id != header.analysis
    {
        return Err(AgentError::Specification {
            found: plan.hash,
            wanted: header.specification.clone(),
        });
    }
    Ok(plan)
}

/// A file's text; none only if there is no such file. One that cannot be read is an error: it may hold a person's "no".
fn read_if_there(path: &Path) -> Result<Option<String>, AgentError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AgentError::File { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// Writes a file beside its place, makes sure that it is on disk, and moves it there.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    let wrong = |error: std::io::Error| AgentError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(wrong)?;
    let partial = path.with_extension("partial");
    let mut file = fs::File::create(&partial).map_err(wrong)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(wrong)?;
    fs::rename(&partial, path).map_err(wrong)?;
    // The rename is on disk once its folder is.
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)
}
