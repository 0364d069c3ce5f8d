//! The answer, in two sentences: the effect, and whether the sites agree.

use tributary_core::{
    estimate::{Status, Table},
    run::Outcome,
    spec::{TermRef, VariableKind},
};

use super::{
    Composed, Composer,
    regression::{effect, singular},
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
        let terms = model.and_then(|m| m.estimate()).and_then(|e| e.table("terms"));
        let summary = model.and_then(|m| m.estimate()).and_then(|e| e.table("summary"));
        let row = terms.and_then(|t| t.find("term", &answer.term));
        let found = effect(results, &answer.model, &answer.term);
        let (Some(model), Some(terms), Some(summary), Some(row), Some(found)) =
            (model, terms, summary, row, found)
        else {
            return self.no_estimate(answer);
        };
        let variable = terms.text(row, "variable");
        let mut others: Vec<String> = Vec::new();
        for other in 0..terms.rows.len() {
            let name = terms.text(other, "variable");
            let lower = self.lower(name);
            let is_covariate = results.dictionary.get(name).is_some();
            if is_covariate && name != variable && !others.contains(&lower) {
                others.push(lower);
            }
        }
        let ratio = super::further::ratio_column(terms);
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
        let count = |column: &str| self.locale.count(summary.number(0, column).unwrap_or(0.0));
        let values = [
            ("adjusted", self.locale.enumerate(&others)),
            ("contrast", self.contrast(model, terms, row)?),
            ("direction", direction),
            ("ratio", self.head(ratio).to_lowercase()),
            ("hr", hr),
            ("low", low),
            ("high", high),
            ("level", self.level_words(model)),
            ("p", self.locale.p_sentence(found.p_value)),
            ("events", count("n_event")),
            ("n", count("n")),
            ("compared", self.compared(answer)?),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let key = if others.is_empty() { "answer.effect_unadjusted" } else { "answer.effect" };
        self.say(key, &values)
    }

    /// What the answer compares: "Histology (unfavourable vs favourable)", "Age (per year)", or a finding by its name alone.
    fn contrast(&self, model: &ModelResult, terms: &Table, row: usize) -> Composed<String> {
        let cell = |column: &str| terms.text(row, column);
        let Some(variable) = self.results.dictionary.get(cell("variable")) else {
            return self.term_words(model, terms, row);
        };
        let label = variable.label.as_str();
        let [level, reference] =
            [cell("level"), cell("reference")].map(|level| variable.level_label(level));
        if level.is_empty() && !cell("term").ends_with('\'') {
            return match variable.unit.as_deref() {
                Some(unit) => {
                    let values = [("variable", label), ("unit", singular(unit))];
                    self.say("answer.contrast_quantity", &values)
                }
                None => self.say("answer.contrast_plain", &[("variable", label)]),
            };
        }
        if level.is_empty() {
            return self.term_words(model, terms, row);
        }
        let is_flag = variable.kind == VariableKind::Flag;
        let named = is_flag && ["1", &self.word("answer.yes")?].contains(&level);
        if named && cell("reference") == "0" {
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
        let terms = estimate.table("terms");
        let row = terms.and_then(|t| Some((t, t.find("term", &answer.term)?)));
        let status = match row {
            Some((terms, row)) if terms.text(row, "status") != Status::Ok.word() => {
                terms.text(row, "status")
            }
            _ if estimate.status != Status::Ok => estimate.status.word(),
            _ => Status::NotIdentified.word(),
        };
        let status = self.word(&format!("status.{status}"))?;
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
        let (Some(studies), Some(table)) =
            (estimate.table("studies"), estimate.table("heterogeneity"))
        else {
            return Ok(None);
        };
        let mut own: Vec<(f64, &str)> = (0..studies.rows.len())
            .filter_map(|row| Some((studies.number(row, "estimate")?, studies.text(row, "study"))))
            .collect();
        own.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(smallest), Some(largest)) = (own.first(), own.last()) else { return Ok(None) };
        let number = |column: &str| table.number(0, column).unwrap_or(0.0);
        let p = number("q_p_value");
        let values = [
            ("k", own.len().to_string()),
            ("smallest", self.locale.ratio(smallest.0.exp())),
            ("smallest_site", smallest.1.to_owned()),
            ("largest", self.locale.ratio(largest.0.exp())),
            ("largest_site", largest.1.to_owned()),
            ("i2", self.locale.percent(number("i2"))),
            ("tau2", self.locale.decimals(number("tau2"), 3)),
            ("tau2_low", self.locale.decimals(number("tau2_low"), 3)),
            ("tau2_high", self.locale.decimals(number("tau2_high"), 3)),
            ("p", self.locale.p_sentence(p)),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        // Q has little power with few sites: 0.1 is its usual level.
        let key = if p < 0.1 { "answer.disagree" } else { "answer.agree" };
        self.say(key, &values).map(Some)
    }
}
