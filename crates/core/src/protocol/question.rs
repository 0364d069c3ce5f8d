//! Questions and decisions: what the hub asks a site, and whether the site takes part.

use serde::{Deserialize, Serialize};

use super::document::{Document, Header, Payload};
use crate::{run::Question, summary::SiteId};

/// A question of the hub to the sites: the whole analysis, and one round of it. Signed by the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionHeader {
    /// Study.
    pub study: String,
    /// Analysis.
    pub analysis: String,
    /// Run.
    pub run: String,
    /// Round, from 0; none while the sites are asked whether they take part.
    pub round: Option<usize>,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// SHA-256 of the roster.
    pub roster: String,
    /// File `study.toml`.
    pub study_file: String,
    /// The analysis file.
    pub analysis_file: String,
    /// What is asked, by open model; empty while the sites are asked whether they take part.
    pub questions: Vec<Question>,
    /// No words follow.
    pub payload: Payload,
}

impl Header for QuestionHeader {
    const FORMAT: &str = "tributary question 1";
    fn payload(&self) -> &Payload {
        &self.payload
    }
}

/// A signed question.
pub type QuestionFile = Document<QuestionHeader>;

/// Whether a site takes part in a run. Signed by the site; covers one specification and one roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionHeader {
    /// Run.
    pub run: String,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// SHA-256 of the roster.
    pub roster: String,
    /// Site.
    pub site: SiteId,
    /// Whether it takes part.
    pub approves: bool,
    /// No words follow.
    pub payload: Payload,
}

impl Header for DecisionHeader {
    const FORMAT: &str = "tributary decision 1";
    fn payload(&self) -> &Payload {
        &self.payload
    }
}

/// A signed decision.
pub type DecisionFile = Document<DecisionHeader>;
