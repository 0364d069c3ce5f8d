//! The one place that writes sentences: results in, document and figures out.

mod answer;
mod counts;
mod curves;
mod further;
mod incidence;
mod names;
mod published;
mod quality;
mod regression;
mod survival;
mod yearbook;

use std::collections::BTreeMap;

use tributary_core::{
    estimate::{Estimate, Notice, Status},
    run::Outcome,
    spec::DataKind,
    summary::SiteId,
};

use super::{
    Block, Document, Drawing, ReportError, Section,
    document::{AnswerLabels, PrintTable},
    figure::Missing,
    locale::Locale,
};
use crate::results::{ModelResult, Results, Withheld};

/// Most sites whose digests stand side by side.
const DIGESTS_ABREAST: usize = 6;

/// A report under construction.
struct Composer<'a> {
    results: &'a Results,
    locale: &'a Locale,
    figures: BTreeMap<String, Drawing>,
    missing: Missing,
}

type Composed<T> = Result<T, ReportError>;

/// Writes the document and draws its figures.
pub(super) fn compose(
    results: &Results,
    locale: &Locale,
) -> Composed<(Document, BTreeMap<String, Drawing>)> {
    let [gap, all] = ["figure.gap", "figure.empty"].map(|key| locale.word(key));
    let missing = Missing { gap: gap?, all: all? };
    let mut composer = Composer { results, locale, figures: BTreeMap::new(), missing };
    let document = composer.document()?;
    Ok((document, composer.figures))
}

impl Composer<'_> {
    fn say(&self, key: &str, values: &[(&str, &str)]) -> Composed<String> {
        self.locale.say(key, values)
    }

    fn word(&self, key: &str) -> Composed<String> {
        self.locale.word(key)
    }

    fn words(&self, keys: &[&str]) -> Composed<Vec<String>> {
        keys.iter().map(|key| self.word(key)).collect()
    }

    fn document(&mut self) -> Composed<Document> {
        let results = self.results;
        let subtitle = format!("{} · {}", results.study.title, results.provenance.date);
        let labels = AnswerLabels {
            section: self.word("section.answer")?,
            question: self.word("answer.question")?,
            answer: self.word("answer.answer")?,
            contents: self.word("provenance.contents")?,
            card: self.word("section.card")?,
        };
        let answer = self.answer()?;
        let mut sections = Vec::new();
        for model in results.models.iter().filter(|m| m.kind == "participation") {
            let blocks = self.participation(model)?;
            let heading = self.word("section.participation")?;
            sections.push(Section { id: model.id.clone(), heading, level: 1, blocks });
        }
        let heading = self.word("section.models")?;
        sections.push(Section { id: "results".into(), heading, level: 1, blocks: Vec::new() });
        for model in results.models.iter().filter(|m| m.kind != "participation") {
            let title = self.title(model)?;
            let blocks = self.model(model)?;
            sections.push(Section { id: model.id.clone(), heading: title, level: 2, blocks });
        }
        for (i, comparison) in results.report.comparison.iter().enumerate() {
            let blocks = self.comparison(i, comparison)?;
            let heading = comparison.title.clone();
            sections.push(Section {
                id: format!("comparison-{}", i + 1),
                heading,
                level: 1,
                blocks,
            });
        }
        // Published studies have no sites whose rules could have held anything back.
        if !results.is_published() {
            let heading = self.word("section.withheld")?;
            let blocks = self.withheld()?;
            sections.push(Section { id: "withheld".into(), heading, level: 1, blocks });
        }
        let heading = self.word("section.provenance")?;
        sections.push(Section {
            id: "provenance".into(),
            heading,
            level: 1,
            blocks: self.provenance()?,
        });
        Ok(Document {
            language: self.locale.language.clone(),
            title: results.analysis.title.clone(),
            subtitle,
            question: results.analysis.text.clone(),
            answer,
            labels,
            sections,
        })
    }

    /// Everything about one model: exactness, notices, tables and figures, method card.
    fn model(&mut self, model: &ModelResult) -> Composed<Vec<Block>> {
        let estimate = match &model.outcome {
            Outcome::Estimate(estimate) => estimate,
            Outcome::Failed { reason } => {
                let text = self.say("notice.failed", &[("reason", reason)])?;
                return Ok(vec![Block::Warning { text }]);
            }
        };
        let mut blocks = Vec::new();
        for notice in &estimate.notices {
            blocks.push(self.notice(model, notice)?);
        }
        blocks.extend(match model.kind.as_str() {
            "characteristics" => self.characteristics(model, estimate)?,
            "agreement" => self.agreement(model, estimate)?,
            "kaplan_meier" => self.kaplan_meier(model, estimate)?,
            "log_rank" => self.log_rank(model, estimate)?,
            "cox" => self.cox(model, estimate)?,
            "meta_analysis" => self.meta_analysis(model, estimate)?,
            "meta" => self.published(model, estimate)?,
            "incidence_rates" | "rate_trend" | "joinpoint" | "age_period_cohort"
            | "quality_indicators" | "site_rates" | "projection" | "prevalence" => {
                self.incidence(model, estimate)?
            }
            _ => self.further(model, estimate)?,
        });
        blocks.push(self.card(model, estimate)?);
        Ok(blocks)
    }

    fn notice(&self, model: &ModelResult, notice: &Notice) -> Composed<Block> {
        let values = self.notice_words(model, notice)?;
        let values: Vec<(&str, &str)> =
            values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let text = self.say(&format!("notice.{}", notice.key), &values)?;
        Ok(if notice.status == Status::Ok { Block::Note { text } } else { Block::Warning { text } })
    }

    fn card(&self, model: &ModelResult, estimate: &Estimate) -> Composed<Block> {
        let word = |rule: &dyn erased::Word, section: &str| {
            self.word(&format!("{section}.{}", rule.word()))
        };
        let mut lines =
            vec![(self.word("card.exactness")?, word(&estimate.exactness, "exactness")?)];
        for line in &estimate.card {
            // Large whole numbers are easier to read in groups of three.
            let shown = |v: &String| match v.parse::<f64>() {
                Ok(x) if x >= 1e4 && x.fract() == 0.0 => self.locale.count(x),
                Ok(_) => v.clone(),
                Err(_) => self.choice_words(v),
            };
            let mut values: Vec<(&str, String)> =
                line.values.iter().map(|(k, v)| (k.as_str(), shown(v))).collect();
            if let (Some(of), Some(term)) = (line.values.get("model"), line.values.get("term"))
                && let Some(of) = self.results.model(of)
            {
                values = vec![("model", self.title(of)?), ("term", self.term_name(&of.id, term)?)];
            }
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let text = self.say(&format!("card.{}.{}", line.term, line.choice), &values)?;
            lines.push((self.word(&format!("card.{}", line.term))?, text));
        }
        let sites: Vec<&str> = self.results.sites.iter().map(|s| s.as_str()).collect();
        let [n, all] = [estimate.sites, sites.len()].map(|n| n.to_string());
        let values = [("n", n.as_str()), ("all", &all), ("sites", &sites.join(", "))];
        if !self.results.is_published() {
            lines.push((self.word("card.visibility")?, word(&model.visibility, "visibility")?));
            lines.push((self.word("card.sites")?, self.say("card.sites.list", &values)?));
            lines.push((self.word("card.rounds")?, model.rounds.to_string()));
        }
        let provenance = &self.results.provenance;
        let engine = format!("{} {}", provenance.engine, provenance.engine_version);
        lines.push((self.word("card.engine")?, engine));
        Ok(Block::Facts { card: true, lines })
    }

    fn withheld(&self) -> Composed<Vec<Block>> {
        let policy = &self.results.provenance.policy;
        let text = self.say(
            "withheld.policy",
            &[
                ("min_cell", &policy.min_cell.to_string()),
                ("min_sites", &policy.min_sites.to_string()),
                ("min_persons", &policy.min_persons.to_string()),
                ("min_events", &policy.min_events.to_string()),
                ("ratio", &policy.max_parameters_per_event.to_string()),
                ("max_rounds", &policy.max_rounds.to_string()),
            ],
        )?;
        let mut blocks = vec![Block::Paragraph { text }];
        let any = self.results.models.iter().any(|m| !m.withheld.is_empty());
        if !any {
            blocks.push(Block::Paragraph { text: self.word("withheld.none")? });
            return Ok(blocks);
        }
        blocks.push(Block::Paragraph { text: self.word("withheld.intro")? });
        let head =
            self.words(&["columns.model", "columns.where", "columns.what", "columns.rule"])?;
        let mut table = PrintTable::new(self.word("withheld.caption")?, head).texts(4);
        for model in &self.results.models {
            for withheld in &model.withheld {
                let Withheld { site, array, rule, cells } = withheld;
                let place = match site {
                    Some(site) => site.to_string(),
                    None => self.word("withheld.pooled")?,
                };
                let what = match (array, cells) {
                    (Some(array), Some(n)) => {
                        let key = if *n == 1 { "withheld.cell" } else { "withheld.cells" };
                        let array = self.array_words(array)?;
                        self.say(key, &[("n", &n.to_string()), ("array", &array)])?
                    }
                    _ => self.word("withheld.answer")?,
                };
                let rule = self.word(&format!("withheld.{rule}"))?;
                table.row("body", vec![self.title(model)?, place, what, rule]);
            }
        }
        blocks.push(Block::Table(table));
        Ok(blocks)
    }

    fn provenance(&self) -> Composed<Vec<Block>> {
        let results = self.results;
        let provenance = &results.provenance;
        let sites: Vec<&str> = results.sites.iter().map(|s| s.as_str()).collect();
        let published = results.is_published();
        let grain = match provenance.data {
            DataKind::Protected => "provenance.grain-held",
            DataKind::Public => "provenance.grain-lifted",
        };
        let of_sites = [
            ("provenance.study", results.study.title.clone()),
            ("provenance.source", results.study.text.clone()),
            ("provenance.sites", sites.join(", ")),
            ("provenance.grain", self.word(grain)?),
        ];
        let of_file = [("provenance.source", results.study.text.clone())];
        let facts = [
            ("provenance.date", provenance.date.to_string()),
            ("provenance.engine", format!("{} {}", provenance.engine, provenance.engine_version)),
            (
                if published { "provenance.file" } else { "provenance.spec" },
                provenance.spec_sha256.clone(),
            ),
        ];
        let first = if published { of_file.to_vec() } else { of_sites.to_vec() };
        let lines = first
            .into_iter()
            .chain(facts)
            .map(|(key, text)| Ok((self.word(key)?, text)))
            .collect::<Composed<Vec<_>>>()?;
        if published {
            return Ok(vec![Block::Facts { card: false, lines }]);
        }
        let mut blocks = vec![
            Block::Paragraph { text: self.word("provenance.how")? },
            Block::Facts { card: false, lines },
        ];
        blocks.push(Block::Paragraph { text: self.word("provenance.answers")? });
        for some in results.sites.chunks(DIGESTS_ABREAST) {
            let mut head = self.words(&["provenance.model", "provenance.round"])?;
            head.extend(some.iter().map(ToString::to_string));
            let mut table = PrintTable::new(self.word("provenance.caption_answers")?, head);
            for model in &results.models {
                for round in 0..model.rounds {
                    let of = |site: &SiteId| {
                        let found =
                            model.answers.iter().find(|a| a.round == round && a.site == *site);
                        found.map_or_else(|| "–".into(), |a| a.sha256.chars().take(10).collect())
                    };
                    let mut cells = vec![model.id.clone(), (round + 1).to_string()];
                    cells.extend(some.iter().map(of));
                    table.row("body", cells);
                }
            }
            blocks.push(Block::Table(table));
        }
        Ok(blocks)
    }

    /// Name of a group in reports: a level of a variable, a site, or everybody.
    fn group(&self, model: &ModelResult, by: Option<&str>, group: &str) -> Composed<String> {
        let variable = by.and_then(|by| self.results.dictionary.get(by));
        match variable {
            Some(variable) => Ok(variable.level_label(group).to_owned()),
            // Models of incidence count cases; a person may have several.
            None if group == "all" && model.options.get("incidence").is_some() => {
                self.word("all.cases")
            }
            None if group == "all" => self.word("all.patients"),
            None => Ok(group.to_owned()),
        }
    }

    /// What a status says, or nothing if all is well.
    fn status_words(&self, status: Status) -> Composed<String> {
        self.word(&format!("status.{}", status.word()))
    }
}

/// Words of plain enums as their files spell them.
mod erased {
    use serde::Serialize;

    pub(super) trait Word {
        fn word(&self) -> String;
    }

    impl<T: Serialize> Word for T {
        fn word(&self) -> String {
            serde_json::to_value(self)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default()
        }
    }
}
