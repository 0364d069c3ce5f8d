//! Pages of hazard ratios: Cox regression, the sites' own estimates, and estimates side by side.

use tributary_core::{
    estimate::{Estimate, Number, Row as _},
    model::Term,
    spec::Comparison,
};
use tributary_meta::{Method, Pooled, StudyEffect, Variation};
use tributary_models::{
    cox::{ALL_TOGETHER, HazardsTest, RobustTerm, Summary, Test},
    meta_analysis,
};

use super::{Block, Composed, Composer};
use crate::{
    document::PrintTable,
    figure::{ForestPlot, ForestRow, forest},
    results::{ModelResult, Results},
};

/// Estimate, interval and standard error of one term.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effect {
    pub(super) log: [f64; 3],
    pub(super) std_error: f64,
    pub(super) p_value: f64,
}

impl Effect {
    pub(super) fn of(term: &Term) -> Option<Self> {
        let log = [term.estimate?, term.conf_low?, term.conf_high?];
        Some(Self { log, std_error: term.std_error?, p_value: term.p_value? })
    }

    pub(super) fn ratios(&self) -> [f64; 3] {
        self.log.map(f64::exp)
    }
}

/// One term of a model.
fn find_term(results: &Results, model: &str, term: &str) -> Option<Term> {
    let terms: Vec<Term> = results.model(model)?.estimate()?.rows();
    terms.into_iter().find(|t| t.term == term)
}

/// Its effect.
pub(super) fn effect(results: &Results, model: &str, term: &str) -> Option<Effect> {
    Effect::of(&find_term(results, model, term)?)
}

impl Composer<'_> {
    /// "Histology, central reading: unfavourable (reference favourable)", or a quantity with its unit.
    pub(super) fn term(&self, term: &Term) -> Composed<String> {
        let variable = self.results.dictionary.get(&term.variable);
        let label = self.results.dictionary.label(&term.variable);
        let Some(level) = term.level.as_deref() else {
            let unit = variable.and_then(|v| v.unit.as_deref());
            return match unit {
                Some(unit) => {
                    self.say("cox.quantity", &[("variable", label), ("unit", singular(unit))])
                }
                None => self.say("cox.quantity_plain", &[("variable", label)]),
            };
        };
        let named = |level| variable.map_or(level, |v| v.level_label(level));
        let reference = named(term.reference.as_deref().unwrap_or_default());
        let values = [("variable", label), ("level", named(level)), ("reference", reference)];
        self.say("cox.reference", &values)
    }

    pub(super) fn cox(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        let ci = self.say("columns.ci", &[("level", &self.level_words(model))])?;
        let terms = estimate.table_of::<Term>().map(Term::read).unwrap_or_default();
        if let Some(summary) = estimate.rows::<Summary>().pop() {
            let count = |n: Number| self.locale.count(n.unwrap_or(0.0));
            let values = [("n", count(summary.n)), ("events", count(summary.n_event))];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let mut head = self.words(&["columns.term", "columns.hr"])?;
            head.push(ci);
            head.extend(self.words(&["columns.p", "columns.coefficient", "columns.se"])?);
            let mut printed = PrintTable::new(self.say("cox.caption_terms", &values)?, head);
            for term in &terms {
                let mut cells = vec![self.term_words(model, term)?];
                match (term.ratio, term.ratio_low, term.ratio_high) {
                    (Some(hr), Some(low), Some(high)) => {
                        cells.push(self.locale.ratio(hr));
                        cells.push(
                            self.locale.span(&self.locale.ratio(low), &self.locale.ratio(high)),
                        );
                    }
                    _ => cells.extend(["–".to_owned(), self.status_words(term.status)?]),
                }
                cells.push(term.p_value.map_or_else(String::new, |p| self.locale.p_value(p)));
                for x in [term.estimate, term.std_error] {
                    cells.push(x.map_or_else(String::new, |x| self.locale.decimals(x, 3)));
                }
                printed.row("body", cells);
            }
            blocks.push(Block::Table(printed));
            if let Some((null, at)) = summary.log_likelihood_null.zip(summary.log_likelihood) {
                let [null, at] = [null, at].map(|x| self.locale.decimals(x, 1));
                let rounds = model.rounds.to_string();
                let values = [("null", null.as_str()), ("at", &at), ("rounds", &rounds)];
                blocks.push(Block::Note { text: self.say("cox.log_likelihood", &values)? });
            }
        }
        let tests: Vec<Test> = estimate.rows();
        if !tests.is_empty() {
            let caption = self.word("cox.caption_tests")?;
            let named = |test: &Test| self.word(&format!("cox.{}", test.test));
            blocks.push(self.tests(caption, &tests, named)?);
        }
        let tests: Vec<HazardsTest> = estimate.rows();
        if !tests.is_empty() {
            let line = estimate.card.iter().find(|l| l.term == "proportional-hazards");
            let choice = line.map_or("not-tested", |l| l.choice.as_str());
            let transform = self.word(&format!("transform.{choice}"))?;
            let caption = self.say("cox.caption_ph", &[("transform", &transform)])?;
            // Tested by term, the names are those of the terms.
            let of_term = |name: &str| -> Composed<Option<String>> {
                let found = terms.iter().find(|t| t.term == name && t.variable != name);
                found.map(|term| self.term_words(model, term)).transpose()
            };
            let named = |name: &str| {
                if name == ALL_TOGETHER {
                    return self.word("cox.all together");
                }
                Ok(of_term(name)?.unwrap_or_else(|| self.results.dictionary.label(name).to_owned()))
            };
            let shown: Vec<Test> = tests.iter().cloned().map(Test::from).collect();
            blocks.push(self.tests(caption, &shown, |test| named(&test.test))?);
            let mut doubtful: Vec<String> = Vec::new();
            for HazardsTest { variable, p_value, .. } in &tests {
                if variable != ALL_TOGETHER && p_value.is_some_and(|p| p < 0.05) {
                    doubtful.push(of_term(variable)?.unwrap_or_else(|| self.lower(variable)));
                }
            }
            if !doubtful.is_empty() {
                let text = self.say("cox.ph_doubt", &[("variables", &doubtful.join(", "))])?;
                blocks.push(Block::Warning { text });
            }
        }
        blocks.extend(self.further_tables(model, estimate, &[RobustTerm::TABLE])?);
        Ok(blocks)
    }

    fn tests(
        &self,
        caption: String,
        tests: &[Test],
        named: impl Fn(&Test) -> Composed<String>,
    ) -> Composed<Block> {
        let head = self.words(&["columns.test", "columns.statistic", "columns.df", "columns.p"])?;
        let mut printed = PrintTable::new(caption, head);
        for test in tests {
            let mut cells = vec![named(test)?];
            cells.push(match test.statistic {
                Some(x) => self.locale.decimals(x, 2),
                None => self.status_words(test.status)?,
            });
            cells.push(test.df.map_or_else(String::new, |x| self.locale.count(x)));
            cells.push(test.p_value.map_or_else(String::new, |p| self.locale.p_value(p)));
            printed.row("body", cells);
        }
        Ok(Block::Table(printed))
    }

    pub(super) fn meta_analysis(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        let (studies, pooled): (Vec<StudyEffect>, Vec<Pooled>) = (estimate.rows(), estimate.rows());
        let Some(common) = pooled.first() else { return Ok(blocks) };
        let Some(options) = model.options_as::<meta_analysis::Options>() else {
            return self.further(model, estimate);
        };
        let one_stage = effect(self.results, &options.of, &options.term);
        let name = self.term_name(&options.of, &options.term)?;
        let plot = self.sites_plot(&studies, &pooled, one_stage)?;
        let text: Vec<String> =
            plot.rows.iter().map(|r| format!("{} {}", r.label, r.text)).collect();
        let alt = self.say("meta.alt_figure", &[("text", &text.join("; "))])?;
        let caption = self.say("meta.caption_figure", &[("term", &name)])?;
        blocks.push(self.place(format!("{}.forest", model.id), forest(&plot), caption, alt));

        let mut head = self.words(&["columns.method", "columns.interval", "columns.hr"])?;
        head.push(self.say("columns.ci", &[("level", &self.level_words(model))])?);
        head.push(self.word("columns.p")?);
        head.push(self.say("columns.pi", &[("level", &self.level_words(model))])?);
        let mut printed = PrintTable::new(self.word("meta.caption_pooled")?, head).texts(2);
        // All intervals of the first random-effects method; of the others the first one only.
        let mut first: Option<&str> = None;
        for (i, row) in pooled.iter().enumerate() {
            let method = row.method.as_str();
            let random = i > 0;
            if random && first.is_none() {
                first = Some(method);
            }
            let repeats = i > 1 && pooled[i - 1].method == method;
            if random && repeats && first != Some(method) {
                continue;
            }
            let span = |low: Option<f64>, high: Option<f64>| match (low, high) {
                (Some(low), Some(high)) => {
                    self.locale.span(&self.locale.ratio(low.exp()), &self.locale.ratio(high.exp()))
                }
                _ => String::new(),
            };
            let mut cells = vec![
                self.word(&format!("meta.{method}"))?,
                self.word(&format!("meta.{}", row.test))?,
            ];
            cells.extend(match row.estimate {
                Some(x) => [self.locale.ratio(x.exp()), span(row.conf_low, row.conf_high)],
                None => ["–".to_owned(), self.status_words(row.status)?],
            });
            cells.push(row.p_value.map_or_else(String::new, |p| self.locale.p_value(p)));
            cells.push(span(row.pred_low, row.pred_high));
            printed.row("body", cells);
        }
        blocks.push(Block::Table(printed));
        if let Some(variation) = estimate.rows::<Variation>().pop() {
            let decimals = |x: Number, n| self.locale.decimals(x.unwrap_or(0.0), n);
            let values = [
                ("q", decimals(variation.q, 2)),
                ("df", self.locale.count(variation.q_df.unwrap_or(0.0))),
                ("p", self.locale.p_sentence(variation.q_p_value.unwrap_or(0.0))),
                ("tau2", decimals(variation.tau2, 3)),
                ("low", decimals(variation.tau2_low, 3)),
                ("high", decimals(variation.tau2_high, 3)),
                ("i2", self.locale.percent(variation.i2.unwrap_or(0.0))),
            ];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            blocks.push(Block::Paragraph { text: self.say("meta.heterogeneity", &values)? });
        }
        if let (Some(one), Some(common)) = (one_stage, common.estimate) {
            let [hr, low, high] = one.ratios().map(|x| self.locale.ratio(x));
            let difference = self.locale.decimals((common - one.log[0]).abs() / one.std_error, 2);
            let values =
                [("hr", hr.as_str()), ("low", &low), ("high", &high), ("difference", &difference)];
            blocks.push(Block::Note { text: self.say("meta.one_stage_note", &values)? });
        }
        Ok(blocks)
    }

    /// A term of a Cox model in words.
    pub(super) fn term_name(&self, model: &str, term: &str) -> Composed<String> {
        let found = find_term(self.results, model, term);
        match self.results.model(model).zip(found) {
            Some((model, found)) => self.term_words(model, &found),
            None => Ok(term.to_owned()),
        }
    }

    fn sites_plot(
        &self,
        studies: &[StudyEffect],
        pooled: &[Pooled],
        one_stage: Option<Effect>,
    ) -> Composed<ForestPlot> {
        let text = |effect: Option<[f64; 3]>| {
            effect.map_or_else(|| "–".to_owned(), |e| self.locale.with_interval(e.map(f64::exp)))
        };
        let mut rows = Vec::new();
        for study in studies {
            let effect = study.interval();
            let weight = study.weight_common;
            let second = weight.map_or_else(String::new, |w| self.locale.percent(w));
            let text = match effect {
                Some(_) => text(effect),
                None => self.status_words(study.status)?,
            };
            let label = study.study.clone();
            rows.push(ForestRow {
                label,
                effect,
                weight,
                pooled: false,
                prediction: None,
                text,
                second,
            });
        }
        let mut diamond =
            |label: String, effect: Option<[f64; 3]>, prediction: Option<[f64; 2]>| {
                let (weight, second) = (None, String::new());
                rows.push(ForestRow {
                    label,
                    effect,
                    weight,
                    pooled: true,
                    prediction,
                    text: text(effect),
                    second,
                });
            };
        diamond(self.word("meta.common")?, pooled.first().and_then(Pooled::interval), None);
        let is_random = |row: &&Pooled| row.method == Method::Reml.word() && row.estimate.is_some();
        if let Some(row) = pooled.iter().find(is_random) {
            diamond(self.word("meta.random")?, row.interval(), row.prediction());
        }
        if let Some(one) = one_stage {
            diamond(self.word("meta.one_stage")?, Some(one.log), None);
        }
        let [site, effect, weight] =
            ["meta.headings_site", "meta.headings_effect", "meta.headings_weight"]
                .map(|key| self.word(key));
        Ok(ForestPlot {
            rows,
            headings: [site?, effect?, weight?],
            x_label: self.word("meta.x_label")?,
            sides: [self.word("meta.lower")?, self.word("meta.higher")?],
            linear: false,
        })
    }

    pub(super) fn comparison(&mut self, i: usize, comparison: &Comparison) -> Composed<Vec<Block>> {
        let mut rows = Vec::new();
        let mut head = self.words(&["columns.model", "columns.term", "columns.hr"])?;
        head.push(self.say("columns.ci", &[("level", "95%")])?);
        head.extend(self.words(&["columns.p", "columns.difference"])?);
        let mut printed = PrintTable::new(self.word("comparison.caption")?, head).texts(2);
        let mut sentences = Vec::new();
        let mut first: Option<(&str, Effect)> = None;
        for line in &comparison.estimates {
            let found = effect(self.results, &line.model, &line.term);
            let mut cells = vec![line.label.clone(), self.term_name(&line.model, &line.term)?];
            let mut text = "–".to_owned();
            if let Some(e) = found {
                let [hr, low, high] = e.ratios();
                text = self.locale.with_interval([hr, low, high]);
                cells.push(self.locale.ratio(hr));
                cells.push(self.locale.span(&self.locale.ratio(low), &self.locale.ratio(high)));
                cells.push(self.locale.p_value(e.p_value));
                match first {
                    None => {
                        cells.push(String::new());
                        first = Some((&line.label, e));
                    }
                    Some((label, reference)) => {
                        let ratio = self.locale.ratio((e.log[0] - reference.log[0]).exp());
                        let values =
                            [("label", line.label.as_str()), ("ratio", &ratio), ("first", label)];
                        sentences.push(self.say("comparison.sentence", &values)?);
                        cells.push(ratio);
                    }
                }
            } else {
                cells.extend(["–".to_owned(), String::new(), String::new(), String::new()]);
            }
            printed.row("body", cells);
            rows.push(ForestRow {
                label: line.label.clone(),
                effect: found.map(|e| e.log),
                weight: None,
                pooled: false,
                prediction: None,
                text,
                second: String::new(),
            });
        }
        let text: Vec<String> = rows.iter().map(|r| format!("{} {}", r.label, r.text)).collect();
        let alt = self.say("comparison.alt", &[("text", &text.join("; "))])?;
        let plot = ForestPlot {
            rows,
            headings: [
                self.word("comparison.headings")?,
                self.word("meta.headings_effect")?,
                String::new(),
            ],
            x_label: self.word("meta.x_label")?,
            sides: [String::new(), String::new()],
            linear: false,
        };
        let caption = self.word("comparison.caption_figure")?;
        let figure =
            self.place(format!("comparison-{}.forest", i + 1), forest(&plot), caption, alt);
        let mut blocks: Vec<Block> =
            sentences.into_iter().map(|text| Block::Paragraph { text }).collect();
        blocks.extend([Block::Table(printed), figure]);
        Ok(blocks)
    }
}

/// "completed years" → "completed year".
pub(super) fn singular(unit: &str) -> &str {
    unit.strip_suffix('s').unwrap_or(unit)
}
