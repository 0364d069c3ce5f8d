//! What happens to a run, what follows from it, and where a run may stand.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    estimate::Estimate,
    model::PooledRound,
    summary::{Hidden, PublicRefusal, SiteId, Summary, Visibility},
};

/// One model as a run carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRun {
    /// Name within the analysis.
    pub id: String,
    /// Kind.
    pub kind: String,
    /// Options made ready.
    pub options: Value,
    /// Who reads a site's answers.
    pub visibility: Visibility,
    /// Question of the round that is open, or of the next one.
    pub params: Value,
    /// Rounds that were pooled.
    pub rounds: Vec<Arc<PooledRound>>,
    /// Visible answers to the open round; gone once they are pooled.
    pub answers: BTreeMap<SiteId, Summary>,
    /// Sealed answers to the open round: their form. Their words are kept elsewhere until they are pooled.
    #[serde(default)]
    pub sealed: BTreeMap<SiteId, SealedForm>,
    /// SHA-256 of each answer, in the order of rounds and sites.
    pub answer_hashes: Vec<AnswerHash>,
    /// Sites that held their answer back, with the rule.
    pub refused: BTreeMap<SiteId, PublicRefusal>,
    /// What sites hid, by array and rule.
    pub hidden: BTreeMap<SiteId, Vec<Hidden>>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// What a site sent, by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerHash {
    /// Round.
    pub round: usize,
    /// Site.
    pub site: SiteId,
    /// SHA-256 of the canonical JSON of a visible summary, or of the bytes of a sealed one's masked words.
    pub sha256: String,
}

/// Form of a sealed answer, which must be the same at all sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedForm {
    /// Words.
    pub words: usize,
    /// SHA-256 of the canonical JSON of the layouts.
    pub layout_sha256: String,
}

/// How a model ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an estimate.
    Estimate(Arc<Estimate>),
    /// Without.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A question to a site about one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Model id.
    pub model: String,
    /// What the hub asks with.
    pub params: Value,
}

/// A site's answer for one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What passed the gate.
    Released {
        /// The summary.
        summary: Summary,
        /// Its fingerprint.
        sha256: String,
    },
    /// What passed the gate, under the seal.
    Sealed {
        /// Its form.
        form: SealedForm,
        /// Fingerprint of the masked words.
        sha256: String,
    },
    /// Held back.
    Refused(PublicRefusal),
}

/// Progress of one model after a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The pooled round, if the sums could be formed.
    pub pooled: Option<Arc<PooledRound>>,
    /// What follows.
    pub next: Next,
}

/// What follows a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Another question.
    Ask(Value),
    /// The end.
    End(Outcome),
}

/// What happens to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A site agreed to the question, or did not.
    Decided {
        /// Site.
        site: SiteId,
        /// Whether it takes part.
        approves: bool,
    },
    /// Time is up: those who have not been heard are not waited for.
    Closed,
    /// A site answered the open round.
    Answered {
        /// Site.
        site: SiteId,
        /// Round.
        round: usize,
        /// Answers by model id.
        answers: BTreeMap<String, Answer>,
    },
    /// The hub pooled a round and made the next step.
    Advanced {
        /// Round.
        round: usize,
        /// Progress by model id.
        progress: BTreeMap<String, Progress>,
    },
    /// The run cannot go on.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Somebody called it off.
    Cancelled {
        /// Who.
        by: String,
    },
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask all sites whether they take part.
    Propose,
    /// Ask all sites.
    Ask {
        /// Round.
        round: usize,
        /// Questions, one per open model.
        questions: Vec<Question>,
    },
    /// Pool this round and make the next step.
    Advance {
        /// Round.
        round: usize,
    },
    /// Write the results.
    Publish,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RunState {
    /// Sites read the question and decide.
    Consent,
    /// Sites are asked.
    Asking {
        /// Round.
        round: usize,
    },
    /// All sites answered; the hub's turn.
    Advancing {
        /// Round.
        round: usize,
    },
    /// All models ended.
    Done,
    /// Nothing will come.
    Failed {
        /// Why.
        reason: String,
    },
    /// Called off.
    Cancelled {
        /// By whom.
        by: String,
    },
}

impl RunState {
    /// Whether nothing can happen any more.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Consent | Self::Asking { .. } | Self::Advancing { .. } => false,
            Self::Done | Self::Failed { .. } | Self::Cancelled { .. } => true,
        }
    }

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Asking { .. } => "asking",
            Self::Advancing { .. } => "advancing",
            Self::Done => "done",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

/// An event that does not fit the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Not a site of this run.
    #[error("site {site} is not part of this run")]
    UnknownSite {
        /// Site.
        site: SiteId,
    },
    /// A second answer.
    #[error("site {site} has already answered round {round}")]
    Twice {
        /// Site.
        site: SiteId,
        /// Round.
        round: usize,
    },
    /// A site that is not waited for any more.
    #[error("site {site} declined or was late, and is no longer part of this run")]
    Gone {
        /// Site.
        site: SiteId,
    },
    /// A second decision.
    #[error("site {site} has already decided")]
    Decided {
        /// Site.
        site: SiteId,
    },
    /// Not now.
    #[error("the run is {state:?}")]
    State {
        /// State of the run.
        state: RunState,
    },
    /// Not the form of the other sites' answers.
    #[error(
        "the answer of site {site} for model `{model}` has a different layout from those of the other sites"
    )]
    Layout {
        /// Site.
        site: SiteId,
        /// Model.
        model: String,
    },
    /// Another round.
    #[error("round {found} was answered, but the run is {state:?}")]
    Round {
        /// Round of the event.
        found: usize,
        /// State of the run.
        state: RunState,
    },
    /// Answers to other models than were asked for.
    #[error("answers for models {found:?}, expected {wanted:?}")]
    Models {
        /// Models answered.
        found: Vec<String>,
        /// Models asked.
        wanted: Vec<String>,
    },
}
