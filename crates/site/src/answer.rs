//! A site answers a round: summarise each model asked for, and pass the gate.

use std::collections::BTreeMap;

use rayon::prelude::*;
use tributary_core::{
    cohort::ColumnNeed,
    protocol::Outgoing,
    run::Question,
    summary::{Policy, Refusal, SiteId, release},
};
use tributary_models::{self as models, plan::Plan};

use super::{folder::SiteError, table::Registry};

/// Answers of one site to one round, and what it keeps to itself.
#[derive(Debug)]
pub struct Answers {
    /// What may be sent, by model id.
    pub outgoing: BTreeMap<String, Outgoing>,
    /// The rules that were applied: the stricter of the study's and the site's own.
    pub policy: Policy,
    /// Why answers were held back, with the numbers; stays at the site.
    pub refusals: BTreeMap<String, Refusal>,
}

/// Answers `questions` of round `round` under the stricter of the study's and the site's own policy.
pub fn answer(
    plan: &Plan,
    registry: &Registry,
    round: usize,
    questions: &[Question],
) -> Result<Answers, SiteError> {
    let site = || registry.folder.code.clone();
    let policy = plan.study.policy.stricter(&registry.folder.policy);
    let one = |question: &Question| {
        let unknown = || SiteError::Question {
            site: site(),
            error: tributary_core::model::FitError::NoRounds,
        };
        let part =
            plan.spec.models.iter().position(|m| m.id == question.model).ok_or_else(unknown)?;
        let spec = &plan.spec.models[part];
        let model = models::find(&spec.kind).ok_or_else(unknown)?;
        let visibility = plan.visibility(&spec.id).ok_or_else(unknown)?;
        let in_question = |error| SiteError::Question { site: site(), error };
        let needs: Vec<ColumnNeed> = model.needs(&spec.options).map_err(in_question)?;
        let data = registry.cohort(&plan.conditions, &needs)?;
        let in_cohort = |error| SiteError::Cohort { site: site(), error };
        let draft = model.summarise(&spec.options, &question.params, &data).map_err(in_cohort)?;
        let draft = match data.cohort.contributors() {
            Some(contributors) => draft.of_contributors(&contributors),
            None => draft,
        };
        let released = release(draft, &policy, visibility, round as u32);
        let refusal = released.as_ref().err().cloned();
        let released = released.map_err(|refusal| refusal.public());
        let outgoing = Outgoing { part: part as u32, visibility, released };
        Ok((spec.id.clone(), outgoing, refusal))
    };
    let answered: Vec<_> = questions.par_iter().map(one).collect::<Result<_, SiteError>>()?;
    let mut answers =
        Answers { outgoing: BTreeMap::new(), policy: policy.clone(), refusals: BTreeMap::new() };
    for (model, outgoing, refusal) in answered {
        answers.refusals.extend(refusal.map(|refusal| (model.clone(), refusal)));
        answers.outgoing.insert(model, outgoing);
    }
    Ok(answers)
}

impl Answers {
    /// Refusals as lines for the site's own eyes.
    pub fn private_notes(&self, site: &SiteId) -> Vec<String> {
        let line = |(model, refusal): (&String, &Refusal)| {
            format!("{site}: the answer for `{model}` {refusal}")
        };
        self.refusals.iter().map(line).collect()
    }
}
