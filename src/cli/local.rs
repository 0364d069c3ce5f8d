//! A whole run in one process: each site folder answers for itself, only what passes its gate reaches the hub's part, and sums
//! are sealed and opened as between parties that do not trust each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    hub::{self, Pool, Sums},
    keyholder::Keyholder,
    ledger::Ledger,
    plan::Plan,
    protocol::{Address, AnswerFile, question_hash, seal},
    run::{Effect, Event, Question, Run, RunState},
    seal::{HubKeys, KeyholderKeys, OpeningKey, Roster, Seed, SigningKey, SiteKeys},
    site::{Answers, Registry, SiteError, SiteFolder, answer},
    summary::SiteId,
};

/// A run that has ended, and what the sites keep to themselves.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) run: Run,
    pub(super) notes: Vec<String>,
    /// What the sites' mappings left out.
    pub(super) left_out: Vec<String>,
}

/// Runs `plan` over site folders.
pub(super) fn run(plan: &Plan, folders: &[PathBuf]) -> anyhow::Result<Finished> {
    let bar = ProgressBar::new_spinner();
    // Unwrap safety: the template is a constant that a test renders.
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template parses"));
    bar.set_message(format!("reading {} site folders", folders.len()));
    let opened: Vec<Result<Registry, SiteError>> = folders
        .par_iter()
        .map(|folder| Registry::open(SiteFolder::open(folder)?, &plan.study.dictionary))
        .collect();
    // Every site's faults are told, in the order of the folders.
    let mut registries = Vec::new();
    let mut faults = Vec::new();
    for registry in opened {
        match registry {
            Ok(registry) => registries.push(registry),
            Err(error) => faults.push(error.to_string()),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n\n"));
    }
    let mut sites: BTreeMap<SiteId, &Registry> = BTreeMap::new();
    for (registry, folder) in registries.iter().zip(folders) {
        let code = &registry.folder.code;
        if !plan.study.sites.iter().any(|s| s == code.as_str()) {
            bail!("{}: site {code} is not a member of study {}", folder.display(), plan.study.id);
        }
        if sites.insert(code.clone(), registry).is_some() {
            bail!("{}: site {code} was given twice", folder.display());
        }
    }
    let codes: BTreeSet<SiteId> = sites.keys().cloned().collect();
    let parties = Parties::of(plan, &codes)?;
    let visibility = plan.parts();
    let (mut run, mut effects) = Run::open(&plan.hash, codes, plan.model_runs()?);
    let mut keyholder = parties.keyholder(plan)?;
    let mut pool = Pool::default();
    let mut notes = Vec::new();
    let left_out = sites
        .iter()
        .flat_map(|(site, registry)| {
            let own = registry.folder.without_effect(&plan.study.policy).into_iter();
            own.chain(registry.left_out()).map(move |line| format!("{site}: {line}"))
        })
        .collect();
    while let Some(effect) = effects.pop() {
        effects = match effect {
            Effect::Ask { round, questions } => {
                bar.set_message(format!(
                    "round {}: {} models, {} sites",
                    round + 1,
                    questions.len(),
                    sites.len()
                ));
                bar.tick();
                let address = Parties::address(plan, round, &questions);
                let answers: Vec<(&SiteId, AnswerFile, Vec<String>)> = sites
                    .par_iter()
                    .map(|(site, registry)| {
                        let answers = answer(plan, registry, round, &questions)?;
                        let notes = answers.private_notes(site);
                        let Answers { outgoing, policy, refusals: _ } = answers;
                        let (key, seed) = (&parties.sites[site], Parties::seed(plan, site, round));
                        let roster = &parties.roster;
                        let sealed = seal(&address, roster, &policy, outgoing, site, &seed, key)?;
                        sealed.check(roster, &address, &plan.study.policy, &visibility)?;
                        Ok((site, sealed, notes))
                    })
                    .collect::<anyhow::Result<_>>()?;
                let mut next = Vec::new();
                for (site, sealed, held_back) in answers {
                    notes.extend(held_back);
                    let answers = sealed.events()?;
                    next.extend(run.apply(Event::Answered {
                        site: site.clone(),
                        round,
                        answers,
                    })?);
                    pool.add(&sealed)?;
                }
                next
            }
            Effect::Advance { round } => {
                bar.tick();
                let pool = std::mem::take(&mut pool);
                let policy = &plan.study.policy;
                let address = Parties::address(plan, round, &run.questions());
                let sums = match pool.request(&address, &parties.roster, &parties.hub) {
                    Some(request) => {
                        let opening = keyholder.open(&request, Timestamp::UNIX_EPOCH)?;
                        pool.open(&request, &opening, &parties.roster, policy)?
                    }
                    None => Sums::new(),
                };
                run.apply(hub::advance(&run, round, policy, &sums))?
            }
            Effect::Propose | Effect::Publish => Vec::new(),
        };
    }
    bar.finish_and_clear();
    if let RunState::Failed { reason } = &run.state {
        bail!("{reason}");
    }
    Ok(Finished { run, notes, left_out })
}

/// All parties of a run within one process, with keys for this run alone. Their secrets are made of the specification, so
/// that the same input gives the same bytes: within one process the seal hides nothing, it shows that the sums are the same.
struct Parties {
    roster: Roster,
    hub: SigningKey,
    keyholder: (OpeningKey, SigningKey),
    sites: BTreeMap<SiteId, SigningKey>,
}

impl Parties {
    fn of(plan: &Plan, codes: &BTreeSet<SiteId>) -> anyhow::Result<Self> {
        let signing = |party: &str| SigningKey::of(&secret(plan, party));
        let (hub, keyholder) = (signing("hub"), signing("keyholder"));
        let opening = OpeningKey::of(&secret(plan, "opening"))?;
        let sites: BTreeMap<SiteId, SigningKey> =
            codes.iter().map(|site| (site.clone(), signing(site.as_str()))).collect();
        let roster = Roster {
            study: plan.study.id.clone(),
            min_sites: plan.study.policy.min_sites as usize,
            hub: HubKeys { signing_key: hub.public() },
            keyholder: KeyholderKeys {
                signing_key: keyholder.public(),
                sealing_key: opening.public(),
            },
            sites: sites
                .iter()
                .map(|(site, key)| (site.clone(), SiteKeys { signing_key: key.public() }))
                .collect(),
        };
        Ok(Self { roster, hub, keyholder: (opening, keyholder), sites })
    }

    fn keyholder(&self, plan: &Plan) -> anyhow::Result<Keyholder> {
        let (opening, signing) = self.keyholder.clone();
        let min_sites = plan.study.policy.min_sites as usize;
        let rosters = vec![self.roster.clone()];
        Ok(Keyholder::new(opening, signing, rosters, min_sites, Ledger::in_memory())?)
    }

    fn address(plan: &Plan, round: usize, questions: &[Question]) -> Address {
        Address {
            study: plan.study.id.clone(),
            analysis: plan.spec.id.clone(),
            run: "local".into(),
            round,
            specification: plan.hash.clone(),
            question: question_hash(questions),
        }
    }

    fn seed(plan: &Plan, site: &SiteId, round: usize) -> Seed {
        Seed::of(secret(plan, &format!("{site} {round}")))
    }
}

fn secret(plan: &Plan, purpose: &str) -> [u8; 32] {
    Sha256::digest(format!("tributary local run\n{}\n{purpose}", plan.hash)).into()
}
