//! The answer, in two sentences: the effect, and whether the sites agree.

use super::{Composed, Composer, regression::effect};
use crate::{estimate::Status, spec::TermRef};

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
            let status =
                model.and_then(|m| m.estimate()).map_or(Status::NotIdentified, |e| e.status);
            let status = self.word(&format!("status.{}", status.word()))?;
            return self.say("answer.no_estimate", &[("status", &status)]);
        };
        let variable = terms.text(row, "variable");
        let label = |level: &str| {
            results.dictionary.get(variable).map_or(level, |v| v.level_label(level)).to_owned()
        };
        let mut others: Vec<String> = Vec::new();
        for other in 0..terms.rows.len() {
            let name = terms.text(other, "variable");
            let lower = self.lower(name);
            let is_covariate = results.dictionary.get(name).is_some();
            if is_covariate && name != variable && !others.contains(&lower) {
                others.push(lower);
            }
        }
        let event = self.event(model);
        let direction = match found.log {
            [_, low, _] if low > 0.0 => "answer.higher",
            [_, _, high] if high < 0.0 => "answer.lower",
            _ => "answer.unclear",
        };
        let direction = self.say(direction, &[("event", &event)])?;
        let [hr, low, high] = found.ratios().map(|x| self.locale.ratio(x));
        let count = |column: &str| self.locale.count(summary.number(0, column).unwrap_or(0.0));
        let values = [
            ("adjusted", self.locale.enumerate(&others)),
            ("level", label(terms.text(row, "level"))),
            ("reference", label(terms.text(row, "reference"))),
            ("variable", self.lower(variable)),
            ("direction", direction),
            ("event", event),
            ("ratio", self.head(super::further::ratio_column(terms)).to_lowercase()),
            ("hr", hr),
            ("low", low),
            ("high", high),
            ("p", self.locale.p_sentence(found.p_value)),
            ("events", count("n_event")),
            ("n", count("n")),
            ("compared", self.compared(answer)?),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let key = match (terms.text(row, "level").is_empty(), others.is_empty()) {
            (true, _) => "answer.effect_quantity",
            (false, true) => "answer.effect_unadjusted",
            (false, false) => "answer.effect",
        };
        self.say(key, &values)
    }

    /// The estimates set beside the answer, as a clause.
    fn compared(&self, answer: &TermRef) -> Composed<String> {
        let is_answer = |line: &&crate::spec::ComparedEstimate| {
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
