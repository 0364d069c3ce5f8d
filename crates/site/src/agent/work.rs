//! What the agent does with a question.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tributary_client::{Client, ClientError, Identity};
use tributary_core::{
    ledger::LedgerError,
    protocol::{
        Address, AnswerError, DecisionFile, DecisionHeader, Document, DocumentError, Payload,
        ProblemKind, QuestionFile, QuestionHeader, question_hash,
    },
    seal::{KeyFileError, SealError},
    spec::Faults,
    summary::SiteId,
};
use tributary_models::plan::{Plan, fingerprint};

use super::{AgentConfig, Decision, desk::checked_plan, maker::Maker};
use crate::SiteError;

/// How long one poll waits at the hub, seconds.
const WAIT_S: u64 = 25;
/// Shortest and longest pause after something failed.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(30)];
/// Pause while only people can decide.
const FOR_PEOPLE: Duration = Duration::from_secs(2);

/// Why the agent cannot do something. Never holds a value of a record.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file of its folder.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// File.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A run whose name cannot name a file.
    #[error("the name of the run may contain letters, digits and `-` only")]
    Run,
    /// A decision was taken before.
    #[error("run {run} was {} before; a decision cannot be changed", if *approves { "approved" } else { "declined" })]
    Decided {
        /// Run.
        run: String,
        /// What was decided.
        approves: bool,
    },
    /// The hub's roster is not this site's.
    #[error(
        "the question refers to roster {found}, this site has {wanted}: a key may have been swapped; compare the rosters over a second channel before anything is sent"
    )]
    Roster {
        /// Hash in the question.
        found: String,
        /// Hash here.
        wanted: String,
    },
    /// The key of this site is not the one in the roster.
    #[error("the key of site {site} in the roster differs from the one in this agent's folder")]
    Key {
        /// Site.
        site: SiteId,
    },
    /// The hash is not that of the files.
    #[error(
        "the files received have hash {found}, the hub states {wanted}: this question is not answered"
    )]
    Specification {
        /// Hash computed here.
        found: String,
        /// Hash in the question.
        wanted: String,
    },
    /// Not approved here.
    #[error("run {run} was not approved at this site, so its rounds are not answered")]
    Unapproved {
        /// Run.
        run: String,
    },
    /// Answered before, and what was sent is gone.
    #[error(
        "round {round} of run {run} has already been answered, but the file with the answer is missing: a second, different answer is not given; restore the file, or let the run end without this site"
    )]
    Answered {
        /// Run.
        run: String,
        /// Round.
        round: usize,
    },
    /// A file of the site folder changed within a run.
    #[error(
        "{files} changed since the first answer to run {run}: its rounds would mix two versions; restore the earlier files, or let the run end without this site"
    )]
    Changed {
        /// Run.
        run: String,
        /// Files, as site.toml names them.
        files: String,
    },
    /// Faults in the files that came.
    #[error("{0}")]
    Faults(Faults),
    /// A document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A key, signature or roster.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The registry.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Sealing.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The hub.
    #[error("hub: {0}")]
    Hub(#[from] ClientError),
}

/// Something that is asked, as the hub lists it.
#[derive(Debug, Deserialize)]
struct OpenQuestion {
    run: String,
    round: Option<usize>,
}

/// An agent at work.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    maker: Maker,
    hub: Client,
    /// The analysis that was checked last: its files, and what they say.
    checked: Option<(String, Arc<Plan>)>,
}

impl Agent {
    /// Makes everything ready: keys, roster, ledger, site folder.
    ///
    /// # Errors
    /// [`AgentError`] says what is missing and what to do.
    pub fn start(folder: &Path) -> Result<Self, AgentError> {
        let config = AgentConfig::open(folder)?;
        let maker = Maker::start(&config.site, &config.keys, config.roster()?, folder)?;
        let identity =
            Identity::Party { name: maker.site.to_string(), key: Box::new(maker.key.clone()) };
        let hub = Client::new(&config.hub.url, config.hub.ca.as_ref(), identity)?;
        Ok(Self { config, maker, hub, checked: None })
    }

    /// Code of the site.
    pub fn site(&self) -> &SiteId {
        &self.maker.site
    }

    /// Asks and answers until `stop` is set.
    pub fn work(&mut self, stop: &AtomicBool) {
        let mut pause = PAUSES[0];
        while !stop.load(Ordering::Relaxed) {
            match self.once(WAIT_S) {
                Ok(Progress::Worked | Progress::Nothing) => pause = PAUSES[0],
                Ok(Progress::People) => sleep(FOR_PEOPLE, stop),
                Err(error) => {
                    tracing::warn!(site = %self.maker.site, cause = %error, "trying again");
                    sleep(jitter(pause), stop);
                    pause = (pause * 2).min(PAUSES[1]);
                }
            }
        }
    }

    /// Asks once and does what can be done. A question that fails does not keep the others from being answered.
    ///
    /// # Errors
    /// The first failure.
    pub fn once(&mut self, wait_s: u64) -> Result<Progress, AgentError> {
        let target = format!(
            "/v1/studies/{}/sites/{}/questions?wait={wait_s}",
            self.config.study, self.maker.site
        );
        let open: Vec<OpenQuestion> = self.hub.get(&target)?;
        let (mut done, mut first) = (Progress::Nothing, None);
        for question in &open {
            match self.handle(question) {
                Ok(true) => done = Progress::Worked,
                Ok(false) if done == Progress::Nothing => done = Progress::People,
                Ok(false) => {}
                Err(error) => {
                    first = first.or(Some(error));
                }
            }
        }
        first.map_or(Ok(done), Err)
    }

    /// Whether something was sent; if not, a person has to decide.
    fn handle(&mut self, open: &OpenQuestion) -> Result<bool, AgentError> {
        if let Some(round) = open.round
            && let Some(text) = self.maker.made(&open.run, round)?
        {
            self.send(&open.run, round, &text)?;
            return Ok(true);
        }
        let target = format!("/v1/runs/{}/sites/{}/question", open.run, self.maker.site);
        let text = match self.hub.text("GET", &target, "") {
            // It was answered, or ended, in the meantime.
            Err(error) if error.problem().is_some_and(|p| p.is(ProblemKind::RunClosed)) => {
                return Ok(true);
            }
            other => other?,
        };
        let question: QuestionFile = Document::parse(&text)?;
        question.verify(&self.maker.roster.hub.signing_key)?;
        let wanted = self.maker.roster.hash();
        if question.header.roster != wanted {
            return Err(AgentError::Roster { found: question.header.roster, wanted });
        }
        let plan = self.plan(&question)?;
        match question.header.round {
            None => self.consent(&question, &plan),
            Some(round) => {
                if !self.has_approved(&question) {
                    return Err(AgentError::Unapproved { run: question.header.run });
                }
                let header = &question.header;
                let address = Address {
                    study: header.study.clone(),
                    analysis: header.analysis.clone(),
                    run: header.run.clone(),
                    round,
                    specification: header.specification.clone(),
                    question: question_hash(&header.questions),
                };
                let text = self.maker.make(&plan, &address, &header.questions)?;
                self.send(&question.header.run, round, &text)?;
                Ok(true)
            }
        }
    }

    /// The analysis of a question; checked once for all its rounds.
    fn plan(&mut self, question: &QuestionFile) -> Result<Arc<Plan>, AgentError> {
        let QuestionHeader { study_file, analysis_file, specification, .. } = &question.header;
        let files = fingerprint(&(study_file, analysis_file, specification));
        if let Some((known, plan)) = &self.checked
            && *known == files
        {
            return Ok(plan.clone());
        }
        let plan = Arc::new(checked_plan(question)?);
        self.checked = Some((files, plan.clone()));
        Ok(plan)
    }

    /// Whether this site's ledger says that it approved this run in this wording.
    fn has_approved(&self, question: &QuestionFile) -> bool {
        let header = &question.header;
        self.maker.ledger.entries().iter().any(|e| {
            e.action == "approved"
                && e.subject["run"] == *header.run
                && e.subject["specification"] == *header.specification
        })
    }

    fn consent(&mut self, question: &QuestionFile, plan: &Plan) -> Result<bool, AgentError> {
        let header = &question.header;
        self.maker.desk.lay(question)?;
        let beforehand = self
            .config
            .auto_approve
            .iter()
            .any(|a| a.analysis == plan.spec.id && a.specification == plan.hash);
        let decision = match self.maker.desk.decision(&header.run)? {
            Some(decision) if decision.specification == header.specification => decision,
            _ if beforehand => Decision {
                run: header.run.clone(),
                specification: plan.hash.clone(),
                approves: true,
                by: "agent.toml".into(),
                at: Timestamp::now(),
            },
            _ => {
                tracing::info!(site = %self.maker.site, run = header.run, analysis = header.analysis, "a person has to decide");
                return Ok(false);
            }
        };
        self.maker.desk.decide(&decision)?;
        let action = if decision.approves { "approved" } else { "declined" };
        let subject = json!({ "run": header.run, "analysis": header.analysis, "specification": header.specification });
        let known =
            self.maker.ledger.entries().iter().any(|e| e.action == action && e.subject == subject);
        if !known {
            self.maker.ledger.append(decision.at, &decision.by, action, subject)?;
        }
        let decided = DecisionHeader {
            run: header.run.clone(),
            specification: header.specification.clone(),
            roster: header.roster.clone(),
            site: self.maker.site.clone(),
            approves: decision.approves,
            payload: Payload::of(&[]),
        };
        let document: DecisionFile = Document::sign(decided, Vec::new(), &self.maker.key);
        let target = format!("/v1/runs/{}/sites/{}/decision", header.run, self.maker.site);
        self.hub.text("PUT", &target, &document.to_text())?;
        tracing::info!(site = %self.maker.site, run = header.run, action, "decided");
        Ok(true)
    }

    fn send(&self, run: &str, round: usize, text: &str) -> Result<(), AgentError> {
        let target = format!("/v1/runs/{run}/sites/{}/rounds/{round}/answer", self.maker.site);
        match self.hub.text("PUT", &target, text) {
            Ok(_) => {
                tracing::info!(site = %self.maker.site, run, round, "answered");
                Ok(())
            }
            Err(error) => {
                let over = [ProblemKind::RunClosed, ProblemKind::WrongRound];
                if error.problem().is_some_and(|p| over.iter().any(|kind| p.is(*kind))) {
                    tracing::info!(site = %self.maker.site, run, round, "the run went on without this answer");
                    return Ok(());
                }
                Err(error.into())
            }
        }
    }
}

/// What came of asking once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was asked.
    Nothing,
    /// Something was sent.
    Worked,
    /// Only people can go on.
    People,
}

/// Sleeps, in steps short enough to notice `stop`.
fn sleep(duration: Duration, stop: &AtomicBool) {
    let step = Duration::from_millis(50);
    let mut left = duration;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
}

/// Half to one and a half times the pause, so that many agents do not come back at once.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [128];
    // Without random bytes the pause is the plain one.
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 255.0)
}
