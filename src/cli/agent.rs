//! `tributary site agent`, and what a registry does with the questions that came: pending, show, preview, approve, decline.

use std::{io::Read as _, path::Path, sync::atomic::AtomicBool};

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::{Ending, log, site};
use crate::{
    site::{Agent, AgentConfig, Decision, Desk, Registry, SiteFolder},
    summary::Visibility,
};

pub(super) fn agent(folder: &Path, with_parent: bool) -> anyhow::Result<Ending> {
    log::start();
    let mut agent = Agent::start(folder)?;
    say!("site {} fetches questions from {}", agent.site(), AgentConfig::open(folder)?.hub.url);
    if with_parent {
        std::thread::spawn(|| {
            let read = std::io::stdin().read_to_end(&mut Vec::new());
            drop(read);
            // The agent may end between any two steps: its folder says where to go on.
            #[expect(clippy::exit, reason = "the main thread is in a long poll")]
            std::process::exit(0);
        });
    }
    agent.work(&AtomicBool::new(false));
    Ok(Ending::Done)
}

/// Lists the questions on the desk.
pub(super) fn pending(folder: &Path) -> anyhow::Result<Ending> {
    let questions = Desk::of(folder).pending()?;
    if questions.is_empty() {
        say!("no questions received");
    }
    for pending in &questions {
        let header = &pending.question.header;
        let state = match &pending.decision {
            None => "undecided".to_owned(),
            Some(decision) => {
                let word = if decision.approves { "approved" } else { "declined" };
                format!("{word} by {} at {}", decision.by, decision.at)
            }
        };
        say!("{}  {}  {state}", header.run, header.analysis);
    }
    Ok(Ending::Done)
}

/// Prints one question in full: what is asked, of whom, under which rules, and who will read what.
pub(super) fn show(folder: &Path, run: &str) -> anyhow::Result<Ending> {
    let pending = Desk::of(folder).question(run)?;
    let plan = pending.plan()?;
    let header = &pending.question.header;
    say!("run            {}", header.run);
    say!("study          {} · {}", plan.study.id, plan.study.title);
    say!("analysis       {} · {}", plan.spec.id, plan.spec.title);
    say!("question       {}", plan.spec.question);
    say!("specification  {}", plan.hash);
    say!("roster         {}", header.roster);
    say!("\nmodels, and who reads this site's answer:");
    for model in &plan.spec.models {
        let read = match plan.visibility(&model.id).context("every model has a visibility")? {
            Visibility::SumOnly => "nobody: only the sum over all sites is opened",
            Visibility::EachSite => "the hub and the readers of the report",
        };
        say!("  {:<22} {:<16} {read}", model.id, model.kind);
    }
    say!("\n{}", header.analysis_file.trim_end());
    say!("\nto preview the numbers:  tributary site preview {run} --agent {}", folder.display());
    say!(
        "to decide:               tributary site approve {} {run}   (or decline)",
        folder.display()
    );
    Ok(Ending::Done)
}

/// Shows every number that the first round of a run would send.
pub(super) fn preview(folder: &Path, run: &str) -> anyhow::Result<Ending> {
    let plan = Desk::of(folder).question(run)?.plan()?;
    let config = AgentConfig::open(folder)?;
    let registry = Registry::open(SiteFolder::open(&config.site)?, &plan.study.dictionary)?;
    site::print_preview(&plan, &registry)
}

/// Takes a decision on a run; it covers exactly the specification on the desk.
pub(super) fn decide(
    folder: &Path,
    run: &str,
    approves: bool,
    by: Option<&str>,
) -> anyhow::Result<Ending> {
    let desk = Desk::of(folder);
    let pending = desk.question(run)?;
    let plan = pending.plan()?;
    let by = match by {
        Some(by) => by.to_owned(),
        None => std::env::var("USER")
            .ok()
            .filter(|name| !name.is_empty())
            .context("name the person deciding: --by NAME")?,
    };
    if by.trim().is_empty() {
        bail!("name the person deciding: --by NAME");
    }
    let decision = Decision {
        run: run.to_owned(),
        specification: plan.hash.clone(),
        approves,
        by,
        at: Timestamp::now(),
    };
    desk.decide(&decision)?;
    let word = if approves { "approved" } else { "declined" };
    say!("{word}: run {run}, specification {}", plan.hash);
    say!("the agent records the decision in the ledger and sends it when it next contacts the hub");
    Ok(Ending::Done)
}
