//! A site answers a round: summarise each model asked for, and pass the gate.

use std::collections::BTreeMap;

use super::{folder::SiteError, table::Registry};
use crate::{
    cohort::ColumnNeed,
    models,
    plan::{Plan, fingerprint},
    run::{Answer, Question},
    summary::{Refusal, SiteId, release},
};

/// Answers of one site to one round, and what it keeps to itself.
#[derive(Debug)]
pub struct Answers {
    /// What may be sent, by model id.
    pub public: BTreeMap<String, Answer>,
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
    let mut answers = Answers { public: BTreeMap::new(), refusals: BTreeMap::new() };
    for question in questions {
        let unknown =
            || SiteError::Question { site: site(), error: crate::model::FitError::NoRounds };
        let spec = plan.spec.models.iter().find(|m| m.id == question.model).ok_or_else(unknown)?;
        let model = models::find(&spec.kind).ok_or_else(unknown)?;
        let visibility = plan.visibility(&spec.id).ok_or_else(unknown)?;
        let in_question = |error| SiteError::Question { site: site(), error };
        let needs: Vec<ColumnNeed> = model.needs(&spec.options).map_err(in_question)?;
        let data = registry.cohort(&plan.conditions, &needs)?;
        let in_cohort = |error| SiteError::Cohort { site: site(), error };
        let draft = model.summarise(&spec.options, &question.params, &data).map_err(in_cohort)?;
        let answer = match release(draft, &policy, visibility, round as u32) {
            Ok(summary) => {
                let sha256 = fingerprint(&summary);
                Answer::Released { summary, sha256 }
            }
            Err(refusal) => {
                let public = refusal.public();
                answers.refusals.insert(spec.id.clone(), refusal);
                Answer::Refused(public)
            }
        };
        answers.public.insert(spec.id.clone(), answer);
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
