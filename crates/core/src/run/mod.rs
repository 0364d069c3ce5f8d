//! State machine of a run: event in, effects out. No files, no clock, no models: a run can be folded again from its events.
//!
//! A run carries all models of its analysis in lockstep: each round asks for every model that is not done, so an analysis of
//! six models takes as many rounds as its longest one.
//!
//! ```text
//!  Consent ──all decided, or closed──▶ Asking 0 ──all answered, or closed──▶ Advancing 0 ──▶ Asking 1 … ──▶ Done
//!     └───────────────┴──────────────────┴── stopped ──▶ Failed      cancelled ──▶ Cancelled
//! ```
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::summary::{SiteId, Summary};

mod event;

pub use event::{
    Answer, AnswerHash, Effect, Event, ModelRun, Next, Outcome, Progress, Question, RunError,
    RunState, SealedForm,
};

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
    /// Sites that do not take part.
    #[serde(default)]
    pub declined: BTreeSet<SiteId>,
    /// Sites that were not heard in time, with the round; round 0 also for those that did not decide.
    #[serde(default)]
    pub late: BTreeMap<SiteId, usize>,
    approved: BTreeSet<SiteId>,
    answered: BTreeSet<SiteId>,
}

impl Run {
    /// Opens a run whose sites have agreed; the first effect asks all of them.
    pub fn open(
        spec_hash: &str,
        sites: BTreeSet<SiteId>,
        models: Vec<ModelRun>,
    ) -> (Self, Vec<Effect>) {
        let (mut run, _) = Self::propose(spec_hash, sites, models);
        run.approved.clone_from(&run.sites);
        let effects = run.ask(0);
        (run, effects)
    }

    /// Opens a run that waits for the sites' consent.
    pub fn propose(
        spec_hash: &str,
        sites: BTreeSet<SiteId>,
        models: Vec<ModelRun>,
    ) -> (Self, Vec<Effect>) {
        let run = Self {
            spec_hash: spec_hash.to_owned(),
            sites,
            state: RunState::Consent,
            models,
            declined: BTreeSet::new(),
            late: BTreeMap::new(),
            approved: BTreeSet::new(),
            answered: BTreeSet::new(),
        };
        (run, vec![Effect::Propose])
    }

    /// Questions of the open round.
    pub fn questions(&self) -> Vec<Question> {
        let question = |m: &ModelRun| Question { model: m.id.clone(), params: m.params.clone() };
        self.models.iter().filter(|m| m.outcome.is_none()).map(question).collect()
    }

    /// Sites that are still part of the run.
    pub fn active(&self) -> impl Iterator<Item = &SiteId> {
        self.sites.iter().filter(|s| !self.declined.contains(*s) && !self.late.contains_key(*s))
    }

    /// Sites whose decision or answer is waited for.
    pub fn waiting_for(&self) -> Vec<&SiteId> {
        let heard = match self.state {
            RunState::Consent => &self.approved,
            RunState::Asking { .. } => &self.answered,
            _ => return Vec::new(),
        };
        self.active().filter(|site| !heard.contains(*site)).collect()
    }

    /// Sites whose answers are in the result: those that answered the first round.
    pub fn contributors(&self) -> impl Iterator<Item = &SiteId> {
        let silent = |site: &SiteId| self.late.get(site).is_some_and(|round| *round == 0);
        self.sites.iter().filter(move |s| !self.declined.contains(*s) && !silent(s))
    }

    /// Whether `site` has approved.
    pub fn has_approved(&self, site: &SiteId) -> bool {
        self.approved.contains(site)
    }

    /// Takes in an event and says what is to be done. An event that does not fit changes nothing.
    pub fn apply(&mut self, event: Event) -> Result<Vec<Effect>, RunError> {
        if self.state.is_final() {
            let state = self.state.clone();
            return Err(match event {
                Event::Answered { round: found, .. } | Event::Advanced { round: found, .. } => {
                    RunError::Round { found, state }
                }
                _ => RunError::State { state },
            });
        }
        match event {
            Event::Decided { site, approves } => self.decided(site, approves),
            Event::Closed => self.closed(),
            Event::Answered { site, round, answers } => self.answered(site, round, answers),
            Event::Advanced { round, progress } => self.advanced(round, progress),
            Event::Stopped { reason } => {
                self.state = RunState::Failed { reason };
                Ok(Vec::new())
            }
            Event::Cancelled { by } => {
                self.state = RunState::Cancelled { by };
                Ok(Vec::new())
            }
        }
    }

    fn decided(&mut self, site: SiteId, approves: bool) -> Result<Vec<Effect>, RunError> {
        self.known(&site)?;
        if self.approved.contains(&site) || self.declined.contains(&site) {
            return Err(RunError::Decided { site });
        }
        if self.state != RunState::Consent {
            return Err(RunError::State { state: self.state.clone() });
        }
        if approves {
            self.approved.insert(site);
        } else {
            self.declined.insert(site);
        }
        if self.waiting_for().is_empty() { Ok(self.begin()) } else { Ok(Vec::new()) }
    }

    /// From consent to the first round.
    fn begin(&mut self) -> Vec<Effect> {
        if self.approved.is_empty() {
            self.state = RunState::Failed { reason: "no site takes part".into() };
            return Vec::new();
        }
        self.ask(0)
    }

    fn closed(&mut self) -> Result<Vec<Effect>, RunError> {
        let missing: Vec<SiteId> = self.waiting_for().into_iter().cloned().collect();
        match self.state {
            RunState::Consent => {
                self.late.extend(missing.into_iter().map(|site| (site, 0)));
                Ok(self.begin())
            }
            RunState::Asking { round } => {
                self.late.extend(missing.into_iter().map(|site| (site, round)));
                if self.answered.is_empty() {
                    let reason = format!("no site answered round {} in time", round + 1);
                    self.state = RunState::Failed { reason };
                    return Ok(Vec::new());
                }
                Ok(self.complete(round))
            }
            _ => Err(RunError::State { state: self.state.clone() }),
        }
    }

    fn ask(&mut self, round: usize) -> Vec<Effect> {
        self.state = RunState::Asking { round };
        vec![Effect::Ask { round, questions: self.questions() }]
    }

    fn known(&self, site: &SiteId) -> Result<(), RunError> {
        if !self.sites.contains(site) {
            return Err(RunError::UnknownSite { site: site.clone() });
        }
        if self.late.contains_key(site) {
            return Err(RunError::Gone { site: site.clone() });
        }
        Ok(())
    }

    fn answered(
        &mut self,
        site: SiteId,
        round: usize,
        answers: BTreeMap<String, Answer>,
    ) -> Result<Vec<Effect>, RunError> {
        self.known(&site)?;
        if self.state != (RunState::Asking { round }) {
            return Err(RunError::Round { found: round, state: self.state.clone() });
        }
        if self.declined.contains(&site) {
            return Err(RunError::Gone { site });
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
        for model in self.models.iter().filter(|m| m.outcome.is_none()) {
            let fits = match &answers[&model.id] {
                Answer::Sealed { form, .. } => {
                    model.answers.is_empty() && model.sealed.values().all(|other| other == form)
                }
                Answer::Released { summary, .. } => {
                    let same = |other: &Summary| other.same_layout(summary);
                    model.sealed.is_empty() && model.answers.values().all(same)
                }
                Answer::Refused(_) => true,
            };
            if !fits {
                return Err(RunError::Layout { site, model: model.id.clone() });
            }
        }
        for (id, answer) in answers {
            let Some(model) = self.models.iter_mut().find(|m| m.id == id) else { continue };
            match answer {
                Answer::Released { summary, sha256 } => {
                    for hidden in summary.hidden() {
                        let told = model.hidden.entry(site.clone()).or_default();
                        // Rounds that iterate send the same arrays: each is told once.
                        if !told.iter().any(|h| h.array == hidden.array && h.rule == hidden.rule) {
                            told.push(hidden.clone());
                        }
                    }
                    model.answer_hashes.push(AnswerHash { round, site: site.clone(), sha256 });
                    model.answers.insert(site.clone(), summary);
                }
                Answer::Sealed { form, sha256 } => {
                    model.answer_hashes.push(AnswerHash { round, site: site.clone(), sha256 });
                    model.sealed.insert(site.clone(), form);
                }
                Answer::Refused(refusal) => {
                    model.refused.insert(site.clone(), refusal);
                }
            }
        }
        self.answered.insert(site);
        if self.waiting_for().is_empty() { Ok(self.complete(round)) } else { Ok(Vec::new()) }
    }

    /// All answers that will come are there.
    fn complete(&mut self, round: usize) -> Vec<Effect> {
        for model in &mut self.models {
            model.answer_hashes.sort_by(|a, b| (a.round, &a.site).cmp(&(b.round, &b.site)));
        }
        self.state = RunState::Advancing { round };
        vec![Effect::Advance { round }]
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
            model.sealed.clear();
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
        Ok(self.ask(round + 1))
    }
}
