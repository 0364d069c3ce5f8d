//! The protocol by file: `tributary site answer`, `hub pool`, `keyholder open`. The same documents as over the network.

#[cfg(feature = "hub")]
use std::{collections::BTreeSet, path::PathBuf};
use std::{fs, path::Path};

use anyhow::{Context, bail};

#[cfg(feature = "hub")]
use super::analysis::say_exchanges;
use super::{Ending, keys, read};
use crate::{
    plan::Plan,
    protocol::{Address, Document, QuestionFile, question_hash},
    run::Question,
};

/// Name of a run by file, unless another one is given.
#[cfg(feature = "site")]
pub(super) const RUN: &str = "by-file";

/// Writes a document to a file that is not there yet, whole.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    if path.exists() {
        bail!("{} exists and has other contents: name another file", path.display());
    }
    let partial = path.with_extension("partial");
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn address(plan: &Plan, run: &str, round: usize, questions: &[Question]) -> Address {
    Address {
        study: plan.study.id.clone(),
        analysis: plan.spec.id.clone(),
        run: run.to_owned(),
        round,
        specification: plan.hash.clone(),
        question: question_hash(questions),
    }
}

/// Where a site keeps what it needs to answer by file.
#[cfg(feature = "site")]
#[derive(Debug)]
pub(super) struct SiteFiles<'a> {
    pub(super) site: &'a Path,
    pub(super) keys: &'a Path,
    pub(super) roster: &'a Path,
}

/// `tributary site answer`: one round as a signed file. The ledger is written before the file is.
#[cfg(feature = "site")]
pub(super) fn answer(
    spec: &Path,
    files: &SiteFiles<'_>,
    question: Option<&Path>,
    run: &str,
    out: &Path,
) -> anyhow::Result<Ending> {
    use crate::site::Maker;
    let plan = read::plan(spec)?;
    let roster = keys::roster(files.roster)?;
    if roster.study != plan.study.id {
        bail!(
            "{}: the roster is for study {}, the analysis for study {}",
            files.roster.display(),
            roster.study,
            plan.study.id
        );
    }
    let (address, questions) = match question {
        None => {
            let (open, _) = crate::run::Run::open(
                &plan.hash,
                roster.sites.keys().cloned().collect(),
                plan.model_runs()?,
            );
            (address(&plan, run, 0, &open.questions()), open.questions())
        }
        Some(path) => {
            let asked: QuestionFile =
                Document::parse(&read_text(path)?).with_context(|| path.display().to_string())?;
            asked.verify(&roster.hub.signing_key).with_context(|| {
                format!("{} is not signed by the hub in the roster", path.display())
            })?;
            let header = asked.header;
            if header.specification != plan.hash {
                bail!(
                    "{}: the question is about specification {}, the analysis file here has specification {}",
                    path.display(),
                    header.specification,
                    plan.hash
                );
            }
            if header.roster != roster.hash() {
                bail!(
                    "{}: the question refers to roster {}, the roster here is {}: compare fingerprints over a second channel",
                    path.display(),
                    header.roster,
                    roster.hash()
                );
            }
            let round = header
                .round
                .with_context(|| format!("{}: no round is open yet", path.display()))?;
            (address(&plan, &header.run, round, &header.questions), header.questions)
        }
    };
    let mut maker = Maker::start(files.site, files.keys, roster, files.keys)?;
    let text = match maker.made(&address.run, address.round)? {
        Some(text) => {
            eprintln!(
                "round {} of run {} has already been answered; the same answer was written again",
                address.round + 1,
                address.run
            );
            text
        }
        None => maker.make(&plan, &address, &questions)?,
    };
    write_new(out, &text)?;
    say!(
        "{}: signed answer of site {} to round {}; send it to the hub",
        out.display(),
        maker.site,
        address.round + 1
    );
    Ok(Ending::Done)
}

/// `tributary keyholder open`: sums of masks for a request file.
#[cfg(feature = "hub")]
pub(super) fn open(config: &Path, request: &Path, out: &Path) -> anyhow::Result<Ending> {
    use crate::{keyholder::KeyholderConfig, protocol::OpeningRequest};
    let mut keyholder = KeyholderConfig::read(config)?.keyholder()?;
    let asked: OpeningRequest =
        Document::parse(&read_text(request)?).with_context(|| request.display().to_string())?;
    let opening = keyholder.open(&asked, jiff::Timestamp::now())?;
    write_new(out, &opening.to_text())?;
    let mut ending = Ending::Done;
    for part in &opening.header.parts {
        let sites: Vec<&str> = part.sites.iter().map(|s| s.as_str()).collect();
        match part.refused {
            None => say!("{}: opened for {}", part.model, sites.join(", ")),
            Some(rule) => {
                say!("{}: not opened for {}: {}", part.model, sites.join(", "), rule.words());
                ending = Ending::Look;
            }
        }
    }
    say!("{}: send it to the hub", out.display());
    Ok(ending)
}

/// What the hub needs to pool by file.
#[cfg(feature = "hub")]
#[derive(Debug)]
pub(super) struct HubFiles<'a> {
    pub(super) keys: &'a Path,
    pub(super) roster: &'a Path,
    pub(super) opening: Option<&'a Path>,
}

/// `tributary hub pool`: takes the answers to the open round, then the keyholder's opening, and makes the next step.
#[cfg(feature = "hub")]
pub(super) fn pool(
    spec: &Path,
    answers: &[PathBuf],
    files: &HubFiles<'_>,
    to: &super::arguments::Destination,
    date: Option<jiff::civil::Date>,
) -> anyhow::Result<Ending> {
    use super::{results_folder::ResultsFolder, summary};
    use crate::{
        hub::{Pool, Sums, advance},
        protocol::{AnswerFile, Opening, Payload, QuestionHeader},
        results::Results,
        run::{Event, RunState},
        seal::read_signing,
        summary::SiteId,
    };
    let plan = read::plan(spec)?;
    let roster = keys::roster(files.roster)?;
    let key = read_signing(files.keys)?;
    if roster.hub.signing_key != key.public() {
        bail!(
            "{}: the hub's key in the roster differs from the one in {}",
            files.roster.display(),
            files.keys.display()
        );
    }
    let folder = ResultsFolder::open(to)?;
    let out = folder.named();
    let mut documents: Vec<(PathBuf, AnswerFile)> = Vec::new();
    for path in answers {
        let document =
            Document::parse(&read_text(path)?).with_context(|| path.display().to_string())?;
        documents.push((path.clone(), document));
    }
    let Some((_, first)) = documents.first() else { bail!("no answer file was given") };
    let run_name = first.header.run.clone();
    let sites: BTreeSet<SiteId> = documents.iter().map(|(_, d)| d.header.site.clone()).collect();

    let state = Exchange::beside(out);
    let mut exchange = state.load(&plan, sites)?;
    let RunState::Asking { round } = exchange.run.state else {
        bail!(
            "{}: this run has ended; its results are in {}",
            state.folder.display(),
            out.display()
        );
    };
    let address = address(&plan, &run_name, round, &exchange.run.questions());
    let (policy, parts) = (&plan.study.policy, plan.parts());
    let mut pool = Pool::default();
    for (path, document) in &documents {
        document
            .check(&roster, &address, policy, &parts)
            .with_context(|| path.display().to_string())?;
        let event = Event::Answered {
            site: document.header.site.clone(),
            round,
            answers: document.events()?,
        };
        exchange.apply(event).with_context(|| path.display().to_string())?;
        pool.add(document).with_context(|| path.display().to_string())?;
    }
    if matches!(exchange.run.state, RunState::Asking { .. }) {
        let missing: Vec<String> =
            exchange.run.waiting_for().iter().map(ToString::to_string).collect();
        eprintln!(
            "{} did not answer: models continuing from an earlier round end here",
            missing.join(", ")
        );
        exchange.apply(Event::Closed)?;
    }
    let sums = match (pool.request(&address, &roster, &key), files.opening) {
        (None, _) => Sums::new(),
        (Some(request), None) => {
            let path = state.folder.join(format!("opening-request-{}.txt", round + 1));
            fs::create_dir_all(&state.folder)?;
            fs::write(&path, request.to_text())
                .with_context(|| format!("{} cannot be written", path.display()))?;
            say!("{} answers are valid; their sums are sealed", documents.len());
            say!("1. send {} to the keyholder (it contains no statistics)", path.display());
            say!(
                "2. there: tributary keyholder open keyholder.toml FILE -o opening-{}.txt",
                round + 1
            );
            say!("3. here: the same command with --opening opening-{}.txt", round + 1);
            return Ok(Ending::Look);
        }
        (Some(request), Some(path)) => {
            let opening: Opening =
                Document::parse(&read_text(path)?).with_context(|| path.display().to_string())?;
            pool.open(&request, &opening, &roster, policy)
                .with_context(|| path.display().to_string())?
        }
    };
    exchange.apply(advance(&exchange.run, round, policy, &sums))?;
    match &exchange.run.state {
        RunState::Failed { reason } => bail!("{reason}"),
        RunState::Asking { round } => {
            let header = QuestionHeader {
                study: plan.study.id.clone(),
                analysis: plan.spec.id.clone(),
                run: run_name,
                round: Some(*round),
                specification: plan.hash.clone(),
                roster: roster.hash(),
                study_file: read_text(&spec.with_file_name("study.toml"))?,
                analysis_file: read_text(spec)?,
                questions: exchange.run.questions(),
                payload: Payload::of(&[]),
            };
            let question: QuestionFile = Document::sign(header, Vec::new(), &key);
            let path = state.folder.join(format!("question-{}.txt", round + 1));
            state.save(&exchange)?;
            fs::write(&path, question.to_text())
                .with_context(|| format!("{} cannot be written", path.display()))?;
            let open: Vec<&str> = exchange
                .run
                .models
                .iter()
                .filter(|m| m.outcome.is_none())
                .map(|m| m.id.as_str())
                .collect();
            say!(
                "round {round} is pooled; {} of {} models need another round: {}",
                open.len(),
                exchange.run.models.len(),
                open.join(", ")
            );
            say_exchanges(&plan);
            say!(
                "send {} to the sites; they answer with `tributary site answer … --question FILE`",
                path.display()
            );
            Ok(Ending::Look)
        }
        _ => {
            let date = date.unwrap_or_else(|| jiff::Zoned::now().date());
            let results = Results::of(&plan, &exchange.run, date);
            folder.write(&results)?;
            state.save(&exchange)?;
            summary::print(&results, out);
            Ok(if results.needs_a_look() { Ending::Look } else { Ending::Done })
        }
    }
}

/// The record of a run by file, beside its results: the events, to be folded again.
#[cfg(feature = "hub")]
#[derive(Debug)]
struct Exchange {
    folder: PathBuf,
}

/// A run by file.
#[cfg(feature = "hub")]
#[derive(Debug)]
struct Folded {
    run: crate::run::Run,
    sites: BTreeSet<crate::summary::SiteId>,
    events: Vec<crate::run::Event>,
}

#[cfg(feature = "hub")]
impl Folded {
    fn apply(&mut self, event: crate::run::Event) -> Result<(), crate::run::RunError> {
        self.run.apply(event.clone())?;
        self.events.push(event);
        Ok(())
    }
}

#[cfg(feature = "hub")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    specification: String,
    sites: BTreeSet<crate::summary::SiteId>,
    events: Vec<crate::run::Event>,
}

#[cfg(feature = "hub")]
impl Exchange {
    fn beside(out: &Path) -> Self {
        let name =
            out.file_name().map_or_else(|| "results".into(), |n| n.to_string_lossy().into_owned());
        Self { folder: out.with_file_name(format!("{name}.exchange")) }
    }

    fn load(&self, plan: &Plan, sites: BTreeSet<crate::summary::SiteId>) -> anyhow::Result<Folded> {
        let path = self.folder.join("run.json");
        let record = match fs::read_to_string(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
            Err(_) => Record { specification: plan.hash.clone(), sites, events: Vec::new() },
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is not the record of a run", path.display()))?,
        };
        if record.specification != plan.hash {
            bail!(
                "{} is the record of a run with another specification: name a new folder with --out",
                path.display()
            );
        }
        let (run, _) = crate::run::Run::open(&plan.hash, record.sites.clone(), plan.model_runs()?);
        let mut folded = Folded { run, sites: record.sites, events: Vec::new() };
        for event in record.events {
            folded.apply(event).with_context(|| path.display().to_string())?;
        }
        Ok(folded)
    }

    fn save(&self, folded: &Folded) -> anyhow::Result<()> {
        let record = Record {
            specification: folded.run.spec_hash.clone(),
            sites: folded.sites.clone(),
            events: folded.events.clone(),
        };
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join("run.json");
        let partial = self.folder.join("run.partial");
        let written = serde_json::to_vec(&record)
            .map_err(std::io::Error::from)
            .and_then(|bytes| fs::write(&partial, bytes))
            .and_then(|()| fs::rename(&partial, &path));
        written.with_context(|| format!("{} cannot be written", path.display()))
    }
}
