//! Pages of counts: participation, characteristics, agreement.

use tributary_core::estimate::Estimate;
use tributary_models::{
    agreement::{self, KAPPA, Measure, Rated},
    characteristics::{Characteristic, NOT_KNOWN, PERSONS},
    participation::{
        ALL_SITES, ANALYSED, CASES, EVENTS, FlowStep, NOT_MAPPED, RECEIVED, number_of,
    },
};

use super::{Block, Composed, Composer, yearbook::distinct};
use crate::{
    document::PrintTable,
    figure::{FlowBox, flow},
    results::ModelResult,
};

impl Composer<'_> {
    pub(super) fn participation(&mut self, model: &ModelResult) -> Composed<Vec<Block>> {
        let Some(estimate) = model.estimate() else { return self.model(model) };
        let flow: Vec<FlowStep> = estimate.rows();
        if flow.is_empty() {
            return self.model(model);
        }
        let mut blocks = vec![Block::Paragraph { text: self.word("participation.intro")? }];
        let drawing = self.flow_figure(&flow)?;
        let name = format!("{}.flow", model.id);
        blocks.push(Block::Figure {
            name: name.clone(),
            caption: self.word("participation.caption_figure")?,
            alt: self.word("participation.alt_figure")?,
            width: drawing.width,
            height: drawing.height,
        });
        self.figures.insert(name, drawing);

        let head = self.words(&[
            "participation.site",
            "columns.received",
            "columns.not mapped",
            "columns.excluded",
            "columns.analysed",
            "columns.events",
        ])?;
        let has_cases = number_of(&flow, ALL_SITES, CASES).is_some();
        let mut head = head;
        if has_cases {
            // Records of counts have no events; their last column is what they stand for.
            head.pop();
            head.push(self.word("columns.cases")?);
        }
        let last = if has_cases { CASES } else { EVENTS };
        let mut printed = PrintTable::new(self.word("participation.caption_table")?, head);
        for site in distinct(flow.iter().map(|line| line.site.as_str())) {
            let step = |name: &str| number_of(&flow, site, name);
            let excluded = excluded_steps(&flow).into_iter().map(step).sum::<Option<f64>>();
            let numbers = [step(RECEIVED), step(NOT_MAPPED), excluded, step(ANALYSED), step(last)];
            let shown = |n: Option<f64>| n.map_or_else(|| "–".to_owned(), |n| self.locale.count(n));
            let (style, label) = if site == ALL_SITES {
                ("total", self.word("participation.total")?)
            } else {
                ("body", site.to_owned())
            };
            printed.row(style, std::iter::once(label).chain(numbers.map(shown)).collect());
        }
        blocks.push(Block::Table(printed));
        if !self.results.absent.is_empty() {
            let sites = self.results.absent.join(", ");
            blocks.push(Block::Note {
                text: self.say("participation.absent", &[("sites", &sites)])?,
            });
        }
        blocks.push(self.card(model, estimate)?);
        Ok(blocks)
    }

    fn flow_figure(&self, lines: &[FlowStep]) -> Composed<crate::Drawing> {
        let number = |name: &str| number_of(lines, ALL_SITES, name);
        let shown = |n: Option<f64>| n.map_or_else(|| "–".to_owned(), |n| self.locale.count(n));
        let received = number(RECEIVED);
        let unmapped = number(NOT_MAPPED);
        let mapped = received.zip(unmapped).map(|(a, b)| a - b);
        let mut not_met = Vec::new();
        let mut population = mapped;
        for name in excluded_steps(lines) {
            let n = number(name);
            population = population.zip(n).map(|(a, b)| a - b);
            let condition = self.condition_words(name)?;
            let words = self.say("participation.not_met", &[("condition", &condition)])?;
            not_met.push((shown(n), words));
        }
        let has = |name: &str| lines.iter().any(|line| line.step == name);
        let population_word = match (has(EVENTS), has(CASES)) {
            (true, _) => "participation.population",
            (false, true) => "participation.records",
            (false, false) => "participation.population_of_cases",
        };
        let mut steps = vec![
            (
                "participation.received",
                received,
                vec![(shown(unmapped), self.word("participation.not mapped")?)],
            ),
            ("participation.mapped", mapped, not_met),
            (population_word, population, Vec::new()),
        ];
        for (name, word) in [(EVENTS, "participation.events"), (CASES, "participation.cases")] {
            if has(name) {
                steps.push((word, number(name), Vec::new()));
            }
        }
        let boxes = steps
            .into_iter()
            .map(|(key, n, left_out)| Ok(FlowBox { label: self.word(key)?, n: shown(n), left_out }))
            .collect::<Composed<Vec<_>>>()?;
        Ok(flow(&boxes))
    }

    pub(super) fn characteristics(
        &self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let table: Vec<Characteristic> = estimate.rows();
        if table.is_empty() {
            return Ok(Vec::new());
        }
        let groups = distinct(table.iter().map(|row| row.group.as_str()));
        let lines = distinct(table.iter().map(|row| (row.variable.as_str(), row.level.as_deref())));
        let by = model.by.as_deref();
        let words = match by {
            Some("site") => self.word("characteristics.by_site")?,
            Some(by) => {
                self.say("characteristics.by_variable", &[("variable", &self.lower(by))])?
            }
            None => String::new(),
        };
        let mut head = vec![self.word("columns.characteristic")?];
        for group in &groups {
            head.push(self.group(model, by.filter(|by| *by != "site"), group)?);
        }
        let mut printed =
            PrintTable::new(self.say("characteristics.caption", &[("by", &words)])?, head);
        let mut headed = "";
        for (variable, level) in lines {
            let rows: Vec<Option<&Characteristic>> = groups
                .iter()
                .map(|group| {
                    table.iter().find(|row| {
                        row.variable == variable
                            && row.level.as_deref() == level
                            && row.group == *group
                    })
                })
                .collect();
            let dictionary = &self.results.dictionary;
            if variable == PERSONS {
                let cells = rows.iter().map(|row| self.count_cell(*row));
                printed.row(
                    "body",
                    std::iter::once(self.word("characteristics.persons")?).chain(cells).collect(),
                );
            } else if let Some(level) = level {
                if headed != variable {
                    printed.row("group", vec![dictionary.label(variable).to_owned()]);
                    headed = variable;
                }
                let label = match dictionary.get(variable) {
                    Some(v) if level != NOT_KNOWN => v.level_label(level).to_owned(),
                    _ => self.word("characteristics.not known")?,
                };
                let cells = rows.iter().map(|row| self.count_cell(*row));
                printed.row("indent", std::iter::once(label).chain(cells).collect());
            } else {
                let unit = dictionary.get(variable).and_then(|v| v.unit.as_deref());
                let label = match unit {
                    Some(unit) => format!("{}, {unit}", dictionary.label(variable)),
                    None => dictionary.label(variable).to_owned(),
                };
                printed.row("group", vec![label]);
                let mean = self.word("characteristics.mean_sd")?;
                let means = rows.iter().map(|row| self.mean_cell(*row));
                printed.row("indent", std::iter::once(mean).chain(means).collect());
                let median = self.word("characteristics.median_iqr")?;
                let medians = rows.iter().map(|row| self.median_cell(*row));
                printed.row("indent", std::iter::once(median).chain(medians).collect());
            }
        }
        Ok(vec![Block::Table(printed)])
    }

    /// "1,572 (39.0%)", or a dash where the count is hidden.
    fn count_cell(&self, row: Option<&Characteristic>) -> String {
        match row.map_or((None, None), |row| (row.n, row.percent)) {
            (Some(n), Some(percent)) => {
                format!("{} ({}%)", self.locale.count(n), self.locale.decimals(percent, 1))
            }
            (Some(n), None) => self.locale.count(n),
            (None, _) => "–".into(),
        }
    }

    /// "5.3 (2.1)".
    fn mean_cell(&self, row: Option<&Characteristic>) -> String {
        match row.and_then(|row| row.mean.zip(row.std_dev)) {
            Some((mean, sd)) => {
                format!("{} ({})", self.locale.decimals(mean, 1), self.locale.decimals(sd, 1))
            }
            None => "–".into(),
        }
    }

    /// "5 (3 to 7.5)".
    fn median_cell(&self, row: Option<&Characteristic>) -> String {
        match row.map(|row| [row.median, row.q1, row.q3]) {
            Some([Some(median), Some(low), Some(high)]) => {
                let [median, low, high] = [median, low, high].map(|x| self.half(x));
                format!("{median} ({})", self.locale.span(&low, &high))
            }
            _ => "–".into(),
        }
    }

    /// Quantiles of whole numbers fall on whole or half numbers.
    fn half(&self, x: f64) -> String {
        let digits = usize::from(x.fract().abs() > 1e-9);
        self.locale.decimals(x, digits)
    }

    pub(super) fn agreement(
        &self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let (counts, measures): (Vec<Rated>, Vec<Measure>) = (estimate.rows(), estimate.rows());
        let Some(options) = model.options_as::<agreement::Options>() else {
            return Ok(Vec::new());
        };
        let (rating, reference) = (options.rating.as_str(), options.reference.as_str());
        let dictionary = &self.results.dictionary;
        let label = |name: &str, level: &str| {
            dictionary.get(name).map_or(level, |v| v.level_label(level)).to_owned()
        };
        let groups = distinct(counts.iter().map(|row| row.group.as_str()));
        let levels = distinct(counts.iter().map(|row| row.reference.as_str()));
        let values =
            [("rating", dictionary.label(rating)), ("reference", dictionary.label(reference))];
        let by_site = groups.len() > 1;
        let cell = |group: &str, a: &str, b: &str| {
            counts.iter().find(|r| r.group == group && r.rating == a && r.reference == b)?.n
        };
        let shown = |n: Option<f64>| n.map_or_else(|| "–".to_owned(), |n| self.locale.count(n));
        let mut blocks = Vec::new();
        if by_site {
            let mut head = vec![self.word("columns.site")?];
            for a in &levels {
                for b in &levels {
                    head.push(format!("{} / {}", label(rating, a), label(reference, b)));
                }
            }
            head.extend([
                self.word("agreement.kappa")?,
                self.say("columns.ci", &[("level", "95%")])?,
            ]);
            let mut printed =
                PrintTable::new(self.say("agreement.caption_counts_site", &values)?, head);
            for group in &groups {
                let mut cells = vec![if *group == "all" {
                    self.word("agreement.all")?
                } else {
                    (*group).to_owned()
                }];
                for a in &levels {
                    cells.extend(levels.iter().map(|b| shown(cell(group, a, b))));
                }
                let row = measures.iter().find(|r| r.group == *group && r.measure == KAPPA);
                if let Some(row) = row {
                    let numbers = [row.estimate, row.conf_low, row.conf_high];
                    cells.extend(self.interval_cells(numbers, row.status, 2)?);
                }
                printed.row(if *group == "all" { "total" } else { "body" }, cells);
            }
            blocks.push(Block::Table(printed));
            return Ok(blocks);
        }
        let group = groups.first().copied().unwrap_or("all");
        let mut head = vec![dictionary.label(rating).to_owned()];
        head.extend(
            levels
                .iter()
                .map(|b| format!("{}: {}", dictionary.label(reference), label(reference, b))),
        );
        head.push(self.word("agreement.total")?);
        let mut printed = PrintTable::new(self.say("agreement.caption_counts", &values)?, head);
        let mut totals = vec![Some(0.0); levels.len() + 1];
        for a in &levels {
            let mut numbers: Vec<Option<f64>> = levels.iter().map(|b| cell(group, a, b)).collect();
            numbers.push(numbers.iter().copied().sum());
            for (total, n) in totals.iter_mut().zip(&numbers) {
                *total = total.zip(*n).map(|(a, b)| a + b);
            }
            printed.row(
                "body",
                std::iter::once(label(rating, a)).chain(numbers.into_iter().map(shown)).collect(),
            );
        }
        let total = self.word("agreement.total")?;
        printed.row("total", std::iter::once(total).chain(totals.into_iter().map(shown)).collect());
        blocks.push(Block::Table(printed));

        let mut head = self.words(&["columns.measure", "columns.estimate"])?;
        head.push(self.say("columns.ci", &[("level", "95%")])?);
        head.push(self.word("columns.fraction")?);
        let positive = label(rating, options.positive.as_deref().unwrap_or_default());
        let values =
            [("rating", values[0].1), ("reference", values[1].1), ("positive", positive.as_str())];
        let mut printed = PrintTable::new(self.say("agreement.caption_measures", &values)?, head);
        for row in &measures {
            let mut cells = vec![self.word(&format!("agreement.{}", row.measure))?];
            let digits = if row.measure == KAPPA { 2 } else { 3 };
            let numbers = [row.estimate, row.conf_low, row.conf_high];
            cells.extend(self.interval_cells(numbers, row.status, digits)?);
            cells.push(match [row.numerator, row.denominator] {
                [Some(a), Some(b)] => {
                    format!("{} / {}", self.locale.count(a), self.locale.count(b))
                }
                _ => String::new(),
            });
            printed.row("body", cells);
        }
        blocks.push(Block::Table(printed));
        Ok(blocks)
    }

    /// Label of a variable inside a sentence.
    pub(super) fn lower(&self, variable: &str) -> String {
        let label = self.results.dictionary.label(variable);
        let mut letters = label.chars();
        let is_acronym = label.chars().take(2).all(char::is_uppercase);
        match letters.next() {
            Some(first) if !is_acronym => {
                first.to_lowercase().collect::<String>() + letters.as_str()
            }
            _ => label.to_owned(),
        }
    }
}

/// Conditions of the population, between what was mapped and what was analysed.
fn excluded_steps(flow: &[FlowStep]) -> Vec<&str> {
    let own = [RECEIVED, NOT_MAPPED, ANALYSED, EVENTS, CASES];
    let pooled = flow.iter().filter(|line| line.site == ALL_SITES).map(|line| line.step.as_str());
    pooled.filter(|step| !own.contains(step)).collect()
}
