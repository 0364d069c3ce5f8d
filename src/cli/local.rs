//! A whole run in one process: each site folder answers for itself, only what passes its gate reaches the hub's part.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::{
    hub,
    plan::Plan,
    run::{Effect, Event, Run, RunState},
    site::{Answers, Registry, SiteError, SiteFolder, answer},
    summary::SiteId,
};

/// A run that has ended, and what the sites keep to themselves.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) run: Run,
    pub(super) notes: Vec<String>,
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
    let (mut run, mut effects) = Run::open(&plan.hash, codes, plan.model_runs()?);
    let mut notes = Vec::new();
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
                let answers: Vec<(&SiteId, Answers)> = sites
                    .par_iter()
                    .map(|(site, registry)| Ok((site, answer(plan, registry, round, &questions)?)))
                    .collect::<anyhow::Result<_>>()?;
                let mut next = Vec::new();
                for (site, answers) in answers {
                    notes.extend(answers.private_notes(site));
                    let event =
                        Event::Answered { site: site.clone(), round, answers: answers.public };
                    next.extend(run.apply(event)?);
                }
                next
            }
            Effect::Advance { round } => {
                bar.tick();
                let event = hub::advance(&run, round, &plan.study.policy);
                run.apply(event)?
            }
            Effect::Publish => Vec::new(),
        };
    }
    bar.finish_and_clear();
    if let RunState::Failed { reason } = &run.state {
        bail!("{reason}");
    }
    Ok(Finished { run, notes })
}
