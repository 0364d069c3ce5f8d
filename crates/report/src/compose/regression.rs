//! Pages of hazard ratios: Cox regression, the sites' own estimates, and estimates side by side.

use tributary_core::{
    estimate::{Estimate, Table},
    spec::Comparison,
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
    pub(super) fn ratios(&self) -> [f64; 3] {
        self.log.map(f64::exp)
    }
}

/// One term of a Cox model.
pub(super) fn effect(results: &Results, model: &str, term: &str) -> Option<Effect> {
    let table = results.model(model)?.estimate()?.table("terms")?;
    let row = table.find("term", term)?;
    let number = |column: &str| table.number(row, column);
    let log = [number("estimate")?, number("conf_low")?, number("conf_high")?];
    Some(Effect { log, std_error: number("std_error")?, p_value: number("p_value")? })
}

impl Composer<'_> {
    /// "Histology, central reading: unfavourable (reference favourable)", or a quantity with its unit.
    pub(super) fn term(&self, table: &Table, row: usize) -> Composed<String> {
        let (variable, level, reference) =
            (table.text(row, "variable"), table.text(row, "level"), table.text(row, "reference"));
        let dictionary = &self.results.dictionary;
        let label = dictionary.label(variable);
        if level.is_empty() {
            let unit = dictionary.get(variable).and_then(|v| v.unit.as_deref());
            return match unit {
                Some(unit) => {
                    self.say("cox.quantity", &[("variable", label), ("unit", singular(unit))])
                }
                None => self.say("cox.quantity_plain", &[("variable", label)]),
            };
        }
        let named = |level: &str| {
            dictionary.get(variable).map_or(level, |v| v.level_label(level)).to_owned()
        };
        let values =
            [("variable", label), ("level", &named(level)), ("reference", &named(reference))];
        self.say("cox.reference", &values)
    }

    pub(super) fn cox(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        let ci = self.say("columns.ci", &[("level", &self.level_words(model))])?;
        if let (Some(terms), Some(summary)) = (estimate.table("terms"), estimate.table("summary")) {
            let count = |column: &str| self.locale.count(summary.number(0, column).unwrap_or(0.0));
            let values = [("n", count("n")), ("events", count("n_event"))];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let mut head = self.words(&["columns.term", "columns.hr"])?;
            head.push(ci);
            head.extend(self.words(&["columns.p", "columns.coefficient", "columns.se"])?);
            let mut printed = PrintTable::new(self.say("cox.caption_terms", &values)?, head);
            for row in 0..terms.rows.len() {
                let number = |column: &str| terms.number(row, column);
                let mut cells = vec![self.term_words(model, terms, row)?];
                match (
                    number("hazard_ratio"),
                    number("hazard_ratio_low"),
                    number("hazard_ratio_high"),
                ) {
                    (Some(hr), Some(low), Some(high)) => {
                        cells.push(self.locale.ratio(hr));
                        cells.push(
                            self.locale.span(&self.locale.ratio(low), &self.locale.ratio(high)),
                        );
                    }
                    _ => cells.extend(["–".to_owned(), self.status(terms, row)?]),
                }
                let shown = |column: &str, f: &dyn Fn(f64) -> String| {
                    number(column).map_or_else(String::new, f)
                };
                cells.push(shown("p_value", &|p| self.locale.p_value(p)));
                cells.push(shown("estimate", &|x| self.locale.decimals(x, 3)));
                cells.push(shown("std_error", &|x| self.locale.decimals(x, 3)));
                printed.row("body", cells);
            }
            blocks.push(Block::Table(printed));
            let number = |column: &str| summary.number(0, column);
            if let (Some(null), Some(at)) =
                (number("log_likelihood_null"), number("log_likelihood"))
            {
                let [null, at] = [null, at].map(|x| self.locale.decimals(x, 1));
                let rounds = model.rounds.to_string();
                let values = [("null", null.as_str()), ("at", &at), ("rounds", &rounds)];
                blocks.push(Block::Note { text: self.say("cox.log_likelihood", &values)? });
            }
        }
        if let Some(tests) = estimate.table("tests") {
            let caption = self.word("cox.caption_tests")?;
            blocks.push(self.tests(tests, "test", caption, |composer, name| {
                composer.word(&format!("cox.{name}"))
            })?);
        }
        if let Some(ph) = estimate.table("proportional_hazards") {
            let line = estimate.card.iter().find(|l| l.term == "proportional-hazards");
            let choice = line.map_or("not-tested", |l| l.choice.as_str());
            let transform = self.word(&format!("transform.{choice}"))?;
            let caption = self.say("cox.caption_ph", &[("transform", &transform)])?;
            // Tested by term, the names are those of the terms.
            let of_term = |composer: &Self, name: &str| -> Composed<Option<String>> {
                let terms = estimate.table("terms");
                let found = terms.and_then(|t| Some((t, t.find("term", name)?)));
                let found = found.filter(|(t, row)| t.text(*row, "variable") != name);
                found.map(|(t, row)| composer.term_words(model, t, row)).transpose()
            };
            blocks.push(self.tests(ph, "variable", caption, |composer, name| {
                if name == "all together" {
                    return composer.word("cox.all together");
                }
                let term = of_term(composer, name)?;
                Ok(term.unwrap_or_else(|| composer.results.dictionary.label(name).to_owned()))
            })?);
            let mut doubtful: Vec<String> = Vec::new();
            for row in 0..ph.rows.len() {
                let name = ph.text(row, "variable");
                let small = ph.number(row, "p_value").is_some_and(|p| p < 0.05);
                if small && name != "all together" {
                    doubtful.push(of_term(self, name)?.unwrap_or_else(|| self.lower(name)));
                }
            }
            if !doubtful.is_empty() {
                let text = self.say("cox.ph_doubt", &[("variables", &doubtful.join(", "))])?;
                blocks.push(Block::Warning { text });
            }
        }
        blocks.extend(self.further_tables(model, estimate, &["robust"])?);
        Ok(blocks)
    }

    fn tests(
        &self,
        table: &Table,
        first: &str,
        caption: String,
        name: impl Fn(&Self, &str) -> Composed<String>,
    ) -> Composed<Block> {
        let head = self.words(&["columns.test", "columns.statistic", "columns.df", "columns.p"])?;
        let mut printed = PrintTable::new(caption, head);
        for row in 0..table.rows.len() {
            let number = |column: &str| table.number(row, column);
            let mut cells = vec![name(self, table.text(row, first))?];
            match number("statistic") {
                Some(x) => cells.push(self.locale.decimals(x, 2)),
                None => cells.push(self.status(table, row)?),
            }
            cells.push(number("df").map_or_else(String::new, |x| self.locale.count(x)));
            cells.push(number("p_value").map_or_else(String::new, |p| self.locale.p_value(p)));
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
        let (Some(studies), Some(pooled)) = (estimate.table("studies"), estimate.table("pooled"))
        else {
            return Ok(blocks);
        };
        let option =
            |name: &str| model.options.get(name).and_then(|v| v.as_str()).unwrap_or_default();
        let (of, term) = (option("of").to_owned(), option("term").to_owned());
        let one_stage = effect(self.results, &of, &term);
        let name = self.term_name(&of, &term)?;
        let plot = self.sites_plot(studies, pooled, one_stage)?;
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
        for row in 0..pooled.rows.len() {
            let method = pooled.text(row, "method");
            let random = row > 0;
            if random && first.is_none() {
                first = Some(method);
            }
            let repeats = row > 1 && pooled.text(row - 1, "method") == method;
            if random && repeats && first != Some(method) {
                continue;
            }
            let number = |column: &str| pooled.number(row, column);
            let span = |low: Option<f64>, high: Option<f64>| match (low, high) {
                (Some(low), Some(high)) => {
                    self.locale.span(&self.locale.ratio(low.exp()), &self.locale.ratio(high.exp()))
                }
                _ => String::new(),
            };
            let mut cells = vec![
                self.word(&format!("meta.{}", pooled.text(row, "method")))?,
                self.word(&format!("meta.{}", pooled.text(row, "test")))?,
            ];
            match number("estimate") {
                Some(x) => cells.extend([
                    self.locale.ratio(x.exp()),
                    span(number("conf_low"), number("conf_high")),
                ]),
                None => cells.extend(["–".to_owned(), self.status(pooled, row)?]),
            }
            cells.push(number("p_value").map_or_else(String::new, |p| self.locale.p_value(p)));
            cells.push(span(number("pred_low"), number("pred_high")));
            printed.row("body", cells);
        }
        blocks.push(Block::Table(printed));
        if let Some(table) = estimate.table("heterogeneity") {
            let number = |column: &str| table.number(0, column).unwrap_or(0.0);
            let values = [
                ("q", self.locale.decimals(number("q"), 2)),
                ("df", self.locale.count(number("q_df"))),
                ("p", self.locale.p_sentence(number("q_p_value"))),
                ("tau2", self.locale.decimals(number("tau2"), 3)),
                ("low", self.locale.decimals(number("tau2_low"), 3)),
                ("high", self.locale.decimals(number("tau2_high"), 3)),
                ("i2", self.locale.percent(number("i2"))),
            ];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            blocks.push(Block::Paragraph { text: self.say("meta.heterogeneity", &values)? });
        }
        if let (Some(one), Some(common)) = (one_stage, pooled.number(0, "estimate")) {
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
        let table =
            self.results.model(model).and_then(|m| Some((m, m.estimate()?.table("terms")?)));
        match table.and_then(|(m, t)| Some((m, t, t.find("term", term)?))) {
            Some((model, table, row)) => self.term_words(model, table, row),
            None => Ok(term.to_owned()),
        }
    }

    fn sites_plot(
        &self,
        studies: &Table,
        pooled: &Table,
        one_stage: Option<Effect>,
    ) -> Composed<ForestPlot> {
        let interval = |table: &Table, row: usize| {
            let number = |column: &str| table.number(row, column);
            Some([number("estimate")?, number("conf_low")?, number("conf_high")?])
        };
        let text = |effect: Option<[f64; 3]>| {
            effect.map_or_else(|| "–".to_owned(), |e| self.locale.with_interval(e.map(f64::exp)))
        };
        let mut rows = Vec::new();
        for row in 0..studies.rows.len() {
            let effect = interval(studies, row);
            let weight = studies.number(row, "weight_common");
            let second = weight.map_or_else(String::new, |w| self.locale.percent(w));
            let text = if effect.is_some() { text(effect) } else { self.status(studies, row)? };
            let label = studies.text(row, "study").to_owned();
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
        diamond(self.word("meta.common")?, interval(pooled, 0), None);
        let random = (0..pooled.rows.len()).find(|&row| {
            pooled.text(row, "method") == "REML" && pooled.number(row, "estimate").is_some()
        });
        if let Some(row) = random {
            let prediction = pooled.number(row, "pred_low").zip(pooled.number(row, "pred_high"));
            diamond(
                self.word("meta.random")?,
                interval(pooled, row),
                prediction.map(|(low, high)| [low, high]),
            );
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
