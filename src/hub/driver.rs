//! Advances a run once: pools the open round of every model and asks the model what follows.

use crate::{
    model::{PooledRound, Step},
    models,
    run::{Event, ModelRun, Next, Outcome, Progress, Run},
    summary::{Policy, SiteId, Visibility, combine},
};

/// Pools round `round` of every open model. `policy` is the study's.
pub fn advance(run: &Run, round: usize, policy: &Policy) -> Event {
    let open = run.models.iter().filter(|m| m.outcome.is_none());
    let progress: std::collections::BTreeMap<String, Progress> =
        open.map(|model| (model.id.clone(), step(model, policy))).collect();
    if let Some(reason) = nobody(run, &progress) {
        return Event::Stopped { reason };
    }
    Event::Advanced { round, progress }
}

fn step(model: &ModelRun, policy: &Policy) -> Progress {
    let end =
        |pooled, reason: String| Progress { pooled, next: Next::End(Outcome::Failed { reason }) };
    let first_round = model.rounds.is_empty();
    let lost: Vec<&SiteId> = model.refused.keys().collect();
    let changed = model.rounds.last().is_some_and(|r| r.sites != model.answers.len());
    if !first_round && changed {
        // A sum over other sites than before belongs to another likelihood.
        let sites: Vec<&str> = lost.iter().map(|s| s.as_str()).collect();
        let reason = format!("held back after the first round by: {}", sites.join(", "));
        return end(None, reason);
    }
    // What is visible per site needs no company to hide in.
    let min_sites = match model.visibility {
        Visibility::SumOnly => policy.min_sites,
        Visibility::EachSite => 1,
    };
    let policy = Policy { min_sites, ..policy.clone() };
    let pooled = match combine(&model.answers, &policy) {
        Ok(pooled) => pooled,
        Err(error) => return end(None, error.to_string()),
    };
    let pooled = PooledRound { params: model.params.clone(), pooled, sites: model.answers.len() };
    let Some(found) = models::find(&model.kind) else {
        return end(Some(pooled), format!("there is no model `{}`", model.kind));
    };
    let mut rounds = model.rounds.clone();
    rounds.push(pooled.clone());
    match found.advance(&model.options, &rounds) {
        Ok(Step::Ask(params)) => Progress { pooled: Some(pooled), next: Next::Ask(params) },
        Ok(Step::Done(estimate)) => {
            Progress { pooled: Some(pooled), next: Next::End(Outcome::Estimate(estimate)) }
        }
        Err(error) => end(Some(pooled), error.to_string()),
    }
}

/// Why the run makes no sense, if the participation of the first round says that nobody is analysed.
fn nobody(run: &Run, progress: &std::collections::BTreeMap<String, Progress>) -> Option<String> {
    let participation = run.models.iter().find(|m| m.kind == "participation")?;
    let Next::End(Outcome::Estimate(estimate)) = &progress.get(&participation.id)?.next else {
        return None;
    };
    let flow = estimate.table("flow")?;
    let last = (0..flow.rows.len())
        .find(|&row| flow.text(row, "site") == "all" && flow.text(row, "step") == "analysed")?;
    let empty = flow.number(last, "n") == Some(0.0);
    empty.then(|| {
        "nobody at any site meets the population: read [population] of the analysis against the dictionary".into()
    })
}
