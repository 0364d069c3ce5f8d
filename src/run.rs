//! State machine of a run: event in, effects out. No files, no clock, no models: a run can be folded again from its events.
//!
//! A run carries all models of its analysis in lockstep: each round asks for every model that is not done, so an analysis of
//! six models takes as many rounds as its longest one.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

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
    pub rounds: Vec<PooledRound>,
    /// Answers to the open round; gone once they are pooled.
    pub answers: BTreeMap<SiteId, Summary>,
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
    /// SHA-256 of the canonical JSON of the summary.
    pub sha256: String,
}

/// How a model ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an estimate.
    Estimate(Box<Estimate>),
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
    /// Held back.
    Refused(PublicRefusal),
}

/// Progress of one model after a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The pooled round, if the sums could be formed.
    pub pooled: Option<PooledRound>,
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
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
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
    /// Another round.
    #[error("round {found} was answered, but the run is {state:?}")]
    Round {
        /// Round of the event.
        found: usize,
        /// State of the run.
        state: RunState,
    },
    /// Answers to other models than were asked for.
    #[error("answers for models {found:?}, wanted {wanted:?}")]
    Models {
        /// Models answered.
        found: Vec<String>,
        /// Models asked.
        wanted: Vec<String>,
    },
}

/// One execution of an analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Specification it belongs to.
    pub spec_hash: String,
    /// Sites that are asked.
    pub sites: BTreeSet<SiteId>,
    /// Where it stands.
    pub state: RunState,
    /// Models in the order of the analysis.
    pub models: Vec<ModelRun>,
    answered: BTreeSet<SiteId>,
}

impl Run {
    /// Opens a run; the first effect asks all sites.
    pub fn open(
        spec_hash: &str,
        sites: BTreeSet<SiteId>,
        models: Vec<ModelRun>,
    ) -> (Self, Vec<Effect>) {
        let state = RunState::Asking { round: 0 };
        let run = Self {
            spec_hash: spec_hash.to_owned(),
            sites,
            state,
            models,
            answered: BTreeSet::new(),
        };
        let effects = vec![Effect::Ask { round: 0, questions: run.questions() }];
        (run, effects)
    }

    /// Questions of the open round.
    pub fn questions(&self) -> Vec<Question> {
        let question = |m: &ModelRun| Question { model: m.id.clone(), params: m.params.clone() };
        self.models.iter().filter(|m| m.outcome.is_none()).map(question).collect()
    }

    /// Takes in an event and says what is to be done.
    pub fn apply(&mut self, event: Event) -> Result<Vec<Effect>, RunError> {
        match event {
            Event::Answered { site, round, answers } => self.answered(site, round, answers),
            Event::Advanced { round, progress } => self.advanced(round, progress),
            Event::Stopped { reason } => {
                self.state = RunState::Failed { reason };
                Ok(Vec::new())
            }
        }
    }

    fn answered(
        &mut self,
        site: SiteId,
        round: usize,
        answers: BTreeMap<String, Answer>,
    ) -> Result<Vec<Effect>, RunError> {
        if self.state != (RunState::Asking { round }) {
            return Err(RunError::Round { found: round, state: self.state.clone() });
        }
        if !self.sites.contains(&site) {
            return Err(RunError::UnknownSite { site });
        }
        if self.answered.contains(&site) {
            return Err(RunError::Twice { site, round });
        }
        let mut wanted: Vec<String> = self.questions().into_iter().map(|q| q.model).collect();
        wanted.sort();
        let found: Vec<String> = answers.keys().cloned().collect();
        if found != wanted {
            return Err(RunError::Models { found, wanted });
        }
        for (id, answer) in answers {
            let Some(model) = self.models.iter_mut().find(|m| m.id == id) else { continue };
            match answer {
                Answer::Released { summary, sha256 } => {
                    if round == 0 && !summary.hidden().is_empty() {
                        model.hidden.insert(site.clone(), summary.hidden().to_vec());
                    }
                    model.answer_hashes.push(AnswerHash { round, site: site.clone(), sha256 });
                    model.answers.insert(site.clone(), summary);
                }
                Answer::Refused(refusal) => {
                    model.refused.insert(site.clone(), refusal);
                }
            }
        }
        self.answered.insert(site);
        if self.answered.len() < self.sites.len() {
            return Ok(Vec::new());
        }
        for model in &mut self.models {
            model.answer_hashes.sort_by(|a, b| (a.round, &a.site).cmp(&(b.round, &b.site)));
        }
        self.state = RunState::Advancing { round };
        Ok(vec![Effect::Advance { round }])
    }

    fn advanced(
        &mut self,
        round: usize,
        mut progress: BTreeMap<String, Progress>,
    ) -> Result<Vec<Effect>, RunError> {
        if self.state != (RunState::Advancing { round }) {
            return Err(RunError::Round { found: round, state: self.state.clone() });
        }
        for model in self.models.iter_mut().filter(|m| m.outcome.is_none()) {
            let Some(Progress { pooled, next }) = progress.remove(&model.id) else { continue };
            model.answers.clear();
            model.rounds.extend(pooled);
            match next {
                Next::Ask(params) => model.params = params,
                Next::End(outcome) => model.outcome = Some(outcome),
            }
        }
        self.answered.clear();
        if self.models.iter().all(|m| m.outcome.is_some()) {
            self.state = RunState::Done;
            return Ok(vec![Effect::Publish]);
        }
        let round = round + 1;
        self.state = RunState::Asking { round };
        Ok(vec![Effect::Ask { round, questions: self.questions() }])
    }
}
