//! Advances a run once: pools the open round of every model and asks the model what follows.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde_json::Value;
use tributary_core::{
    model::{FitError, PooledRound, Step},
    run::{Event, ModelRun, Next, Outcome, Progress, Run},
    summary::{CombineError, Policy, SiteId, Summary, Visibility, combine},
};
use tributary_models::{
    self as models,
    participation::{ALL_SITES, ANALYSED, FlowStep, number_of},
};

/// Pooled sums of the sealed models of a round, or why there is none.
pub type Sums = BTreeMap<String, Result<Summary, String>>;

/// The reason of a model whose code panicked.
const INTERNAL: &str = "an internal error occurred in this model: please report it with the analysis; the other models are not affected";

/// Pools round `round` of every open model. `policy` is the study's; `sums` are those that hub and keyholder opened together.
pub fn advance(run: &Run, round: usize, policy: &Policy, sums: &Sums) -> Event {
    let open = run.models.iter().filter(|m| m.outcome.is_none());
    let progress: BTreeMap<String, Progress> =
        open.map(|model| (model.id.clone(), step(run, model, policy, sums))).collect();
    if let Some(reason) = nobody(&progress) {
        return Event::Stopped { reason };
    }
    Event::Advanced { round, progress }
}

fn step(run: &Run, model: &ModelRun, policy: &Policy, sums: &Sums) -> Progress {
    let end =
        |pooled, reason: String| Progress { pooled, next: Next::End(Outcome::Failed { reason }) };
    let sites = model.answers.len() + model.sealed.len();
    if model.rounds.last().is_some_and(|r| r.sites != sites) {
        // A sum over other sites than before belongs to another likelihood.
        return end(None, lost(run, model));
    }
    let pooled = if model.sealed.is_empty() {
        // What is visible per site needs no company to hide in.
        let min_sites = match model.visibility {
            Visibility::SumOnly => policy.min_sites,
            Visibility::EachSite => 1,
        };
        let policy = Policy { min_sites, ..policy.clone() };
        combine(&model.answers, &policy).map_err(|error| error.to_string())
    } else if sites < policy.min_sites as usize {
        Err(CombineError::TooFewSites { found: sites, wanted: policy.min_sites }.to_string())
    } else {
        let missing = || Err("the sum was not opened".to_owned());
        sums.get(&model.id).cloned().unwrap_or_else(missing)
    };
    let pooled = match pooled {
        Ok(pooled) => pooled,
        Err(reason) => return end(None, reason),
    };
    let pooled = Arc::new(PooledRound { params: model.params.clone(), pooled, sites });
    let Some(found) = models::find(&model.kind) else {
        return end(Some(pooled), format!("there is no model `{}`", model.kind));
    };
    let mut rounds = model.rounds.clone();
    rounds.push(pooled.clone());
    match alone(|| found.advance(&model.options, &rounds)) {
        Ok(Step::Ask(params)) => Progress { pooled: Some(pooled), next: Next::Ask(params) },
        Ok(Step::Done(estimate)) => Progress {
            pooled: Some(pooled),
            next: Next::End(Outcome::Estimate(Arc::from(estimate))),
        },
        Err(reason) => end(Some(pooled), reason),
    }
}

/// A model's step, or why there is none. A fault of one model is not the others': they go on, and the run does not wait for a step that
/// will fail again.
fn alone(advance: impl FnOnce() -> Result<Step<Value>, FitError>) -> Result<Step<Value>, String> {
    match catch_unwind(AssertUnwindSafe(advance)) {
        Ok(advanced) => advanced.map_err(|error| error.to_string()),
        Err(_) => Err(INTERNAL.into()),
    }
}

/// Who was in the first rounds and is not in this one, and what can be done.
fn lost(run: &Run, model: &ModelRun) -> String {
    let list = |sites: Vec<&str>| sites.join(", ");
    let refused = list(model.refused.keys().map(SiteId::as_str).collect());
    if !refused.is_empty() {
        return format!("withheld after the first round by: {refused}");
    }
    let late = list(run.late.iter().filter(|(_, r)| **r > 0).map(|(s, _)| s.as_str()).collect());
    format!(
        "no answer after the first round from {late}; the sums of the other sites belong to a different likelihood, so a new run is needed"
    )
}

/// Why the run makes no sense, if the participation of the first round says that nobody is analysed.
fn nobody(progress: &BTreeMap<String, Progress>) -> Option<String> {
    let flows = progress.values().filter_map(|progress| match &progress.next {
        Next::End(Outcome::Estimate(estimate)) => Some(estimate.rows::<FlowStep>()),
        _ => None,
    });
    let mut analysed = flows.filter_map(|flow| number_of(&flow, ALL_SITES, ANALYSED));
    analysed.any(|n| n == 0.0).then(|| {
        "no record at any site meets the conditions of the population: check [population] of the analysis against the dictionary".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_panics_has_a_reason_and_the_others_go_on() {
        let mut empty: Vec<Step<Value>> = Vec::new();
        assert_eq!(alone(|| Ok(empty.remove(0))).err().as_deref(), Some(INTERNAL));
    }
}
