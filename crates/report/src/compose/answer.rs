//! The answer, in two sentences: the effect, and whether the sites agree.

use tributary_core::{
    estimate::Status,
    model::{FitSummary, Term},
    run::Outcome,
    spec::{TermRef, VariableKind},
};
use tributary_meta::{StudyEffect, Variation};

use super::{
    Composed, Composer,
    regression::{Effect, effect, singular},
};
use crate::results::ModelResult;

impl Composer<'_> {
    pub(super) fn answer(&self) -> Composed<Vec<String>> {
        let report = &self.results.report;
        if self.results.is_published()
            && let Some(model) = self.results.models.first()
        {
            return self.published_answer(model);
        }
        let Some(answer) = &report.answer else { return Ok(vec![self.word("answer.none")?]) };
        let mut sentences = vec![self.effect_sentence(answer)?];
        if let Some(model) = &report.agreement_of_sites {
            sentences.extend(self.agreement_sentence(model)?);
        }
        Ok(sentences)
    }

    fn effect_sentence(&self, answer: &TermRef) -> Composed<String> {
        let results = self.results;
        let model = results.model(&answer.model);
        let estimate = model.and_then(|m| m.estimate());
        let table = estimate.and_then(|e| e.table_of::<Term>());
        let summary = estimate.and_then(|e| e.rows::<FitSummary>().pop());
        let (Some(model), Some(table), Some(summary)) = (model, table, summary) else {
            return self.no_estimate(answer);
        };
        let terms = Term::read(table);
        let term = terms.iter().find(|t| t.term == answer.term);
        let Some((term, found)) = term.and_then(|term| Some((term, Effect::of(term)?))) else {
            return self.no_estimate(answer);
        };
        let mut others: Vec<String> = Vec::new();
        for Term { variable, .. } in &terms {
            let lower = self.lower(variable);
            let is_covariate = results.dictionary.get(variable).is_some();
            if is_covariate && *variable != term.variable && !others.contains(&lower) {
                others.push(lower);
            }
        }
        let ratio = Term::ratio_of(table);
        let quantity =
            self.say(&format!("quantity.{ratio}"), &[("event", &self.event_or_cause(model))])?;
        // A ratio of times says how long, the others say how often.
        let scale = if ratio == "time_ratio" { "time" } else { "risk" };
        let direction = match found.log {
            [_, low, _] if low > 0.0 => "higher",
            [_, _, high] if high < 0.0 => "lower",
            _ => "unclear",
        };
        let direction =
            self.say(&format!("answer.{scale}.{direction}"), &[("quantity", &quantity)])?;
        let [hr, low, high] = found.ratios().map(|x| self.locale.ratio(x));
        let count = |n: Option<f64>| self.locale.count(n.unwrap_or(0.0));
        let values = [
            ("adjusted", self.locale.enumerate(&others)),
            ("contrast", self.contrast(model, term)?),
            ("direction", direction),
            ("ratio", self.head(ratio).to_lowercase()),
            ("hr", hr),
            ("low", low),
            ("high", high),
            ("level", self.level_words(model)),
            ("p", self.locale.p_sentence(found.p_value)),
            ("events", count(summary.n_event)),
            ("n", count(summary.n)),
            ("compared", self.compared(answer)?),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let key = if others.is_empty() { "answer.effect_unadjusted" } else { "answer.effect" };
        self.say(key, &values)
    }

    /// What the answer compares: "Histology (unfavourable vs favourable)", "Age (per year)", or a finding by its name alone.
    fn contrast(&self, model: &ModelResult, term: &Term) -> Composed<String> {
        let Some(variable) = self.results.dictionary.get(&term.variable) else {
            return self.term_words(model, term);
        };
        let label = variable.label.as_str();
        let Some(level) = &term.level else {
            if term.term.ends_with('\'') {
                return self.term_words(model, term);
            }
            return match variable.unit.as_deref() {
                Some(unit) => {
                    let values = [("variable", label), ("unit", singular(unit))];
                    self.say("answer.contrast_quantity", &values)
                }
                None => self.say("answer.contrast_plain", &[("variable", label)]),
            };
        };
        let reference = term.reference.as_deref().unwrap_or_default();
        let (is_zero, level, reference) =
            (reference == "0", variable.level_label(level), variable.level_label(reference));
        let is_flag = variable.kind == VariableKind::Flag;
        let named = is_flag && ["1", &self.word("answer.yes")?].contains(&level);
        if named && is_zero {
            return Ok(label.to_owned());
        }
        let values = [("variable", label), ("level", level), ("reference", reference)];
        self.say("answer.contrast", &values)
    }

    /// What stands in the place of an answer that the run could not give, and why.
    fn no_estimate(&self, answer: &TermRef) -> Composed<String> {
        let Some(model) = self.results.model(&answer.model) else {
            return self.word("answer.none");
        };
        let title = self.title(model)?;
        let estimate = match &model.outcome {
            Outcome::Failed { reason } => {
                let values = [("model", title.as_str()), ("reason", reason)];
                return self.say("answer.failed", &values);
            }
            Outcome::Estimate(estimate) => estimate,
        };
        let of_term = estimate.rows::<Term>().into_iter().find(|t| t.term == answer.term);
        let own = [of_term.map(|t| t.status), Some(estimate.status)];
        let status = own.into_iter().flatten().find(|status| *status != Status::Ok);
        let status = self.status_words(status.unwrap_or(Status::NotIdentified))?;
        let term = self.term_name(&answer.model, &answer.term)?;
        let values = [("model", title.as_str()), ("term", &term), ("status", &status)];
        self.say("answer.no_estimate", &values)
    }

    /// The estimates set beside the answer, as a clause.
    fn compared(&self, answer: &TermRef) -> Composed<String> {
        let is_answer = |line: &&tributary_core::spec::ComparedEstimate| {
            line.model == answer.model && line.term == answer.term
        };
        let comparison = self
            .results
            .report
            .comparison
            .iter()
            .find(|c| c.estimates.iter().any(|l| is_answer(&l)));
        let mut clauses = String::new();
        for line in comparison.iter().flat_map(|c| &c.estimates).filter(|line| !is_answer(line)) {
            if let Some(found) = effect(self.results, &line.model, &line.term) {
                let [hr, low, high] = found.ratios().map(|x| self.locale.ratio(x));
                let values =
                    [("label", line.label.as_str()), ("hr", &hr), ("low", &low), ("high", &high)];
                clauses.push_str(&self.say("answer.compared", &values)?);
            }
        }
        Ok(clauses)
    }

    fn agreement_sentence(&self, model: &str) -> Composed<Option<String>> {
        let Some(estimate) = self.results.model(model).and_then(|m| m.estimate()) else {
            return Ok(None);
        };
        let Some(variation) = estimate.rows::<Variation>().pop() else { return Ok(None) };
        let studies = estimate.rows::<StudyEffect>().into_iter();
        let mut own: Vec<(f64, String)> =
            studies.filter_map(|s| Some((s.estimate?, s.study))).collect();
        own.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(smallest), Some(largest)) = (own.first(), own.last()) else { return Ok(None) };
        let number = |x: Option<f64>| x.unwrap_or(0.0);
        let p = number(variation.q_p_value);
        let values = [
            ("k", own.len().to_string()),
            ("smallest", self.locale.ratio(smallest.0.exp())),
            ("smallest_site", smallest.1.clone()),
            ("largest", self.locale.ratio(largest.0.exp())),
            ("largest_site", largest.1.clone()),
            ("i2", self.locale.percent(number(variation.i2))),
            ("tau2", self.locale.decimals(number(variation.tau2), 3)),
            ("tau2_low", self.locale.decimals(number(variation.tau2_low), 3)),
            ("tau2_high", self.locale.decimals(number(variation.tau2_high), 3)),
            ("p", self.locale.p_sentence(p)),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        // Q has little power with few sites: 0.1 is its usual level.
        let key = if p < 0.1 { "answer.disagree" } else { "answer.agree" };
        self.say(key, &values).map(Some)
    }
}
