//! Pages of counts: participation, characteristics, agreement.

use tributary_core::estimate::{Estimate, Table};
use tributary_models::participation::{
    ALL_SITES, ANALYSED, CASES, EVENTS, FlowStep, NOT_MAPPED, RECEIVED, number_of,
};

use super::{Block, Composed, Composer};
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
        let mut sites: Vec<&str> = Vec::new();
        for line in &flow {
            if !sites.contains(&line.site.as_str()) {
                sites.push(&line.site);
            }
        }
        for site in sites {
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
        let Some(table) = estimate.table("characteristics") else { return Ok(Vec::new()) };
        let mut groups: Vec<&str> = Vec::new();
        let mut lines: Vec<(&str, &str)> = Vec::new();
        for row in 0..table.rows.len() {
            let group = table.text(row, "group");
            if !groups.contains(&group) {
                groups.push(group);
            }
            let line = (table.text(row, "variable"), table.text(row, "level"));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
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
            let at = |group: &&str| {
                let fits = |row: &usize| {
                    table.text(*row, "variable") == variable
                        && table.text(*row, "level") == level
                        && table.text(*row, "group") == *group
                };
                (0..table.rows.len()).find(fits)
            };
            let rows: Vec<Option<usize>> = groups.iter().map(at).collect();
            let dictionary = &self.results.dictionary;
            if variable == "persons" {
                let cells = rows.iter().map(|row| self.count_cell(table, *row));
                printed.row(
                    "body",
                    std::iter::once(self.word("characteristics.persons")?).chain(cells).collect(),
                );
            } else if level.is_empty() {
                let unit = dictionary.get(variable).and_then(|v| v.unit.as_deref());
                let label = match unit {
                    Some(unit) => format!("{}, {unit}", dictionary.label(variable)),
                    None => dictionary.label(variable).to_owned(),
                };
                printed.row("group", vec![label]);
                let mean =
                    rows.iter().map(|row| self.pair_cell(table, *row, ["mean", "std_dev"], None));
                let mean: Vec<String> =
                    std::iter::once(self.word("characteristics.mean_sd")?).chain(mean).collect();
                let median = rows
                    .iter()
                    .map(|row| self.pair_cell(table, *row, ["median", "q1"], Some("q3")));
                let median: Vec<String> = std::iter::once(self.word("characteristics.median_iqr")?)
                    .chain(median)
                    .collect();
                printed.row("indent", mean);
                printed.row("indent", median);
            } else {
                if headed != variable {
                    printed.row("group", vec![dictionary.label(variable).to_owned()]);
                    headed = variable;
                }
                let label = match dictionary.get(variable) {
                    Some(v) if level != "not known" => v.level_label(level).to_owned(),
                    _ => self.word("characteristics.not known")?,
                };
                let cells = rows.iter().map(|row| self.count_cell(table, *row));
                printed.row("indent", std::iter::once(label).chain(cells).collect());
            }
        }
        Ok(vec![Block::Table(printed)])
    }

    /// "1,572 (39.0%)", or a dash where the count is hidden.
    fn count_cell(&self, table: &Table, row: Option<usize>) -> String {
        let Some(row) = row else { return "–".into() };
        let Some(n) = table.number(row, "n") else { return "–".into() };
        match table.number(row, "percent") {
            Some(percent) => {
                format!("{} ({}%)", self.locale.count(n), self.locale.decimals(percent, 1))
            }
            None => self.locale.count(n),
        }
    }

    fn pair_cell(
        &self,
        table: &Table,
        row: Option<usize>,
        columns: [&str; 2],
        third: Option<&str>,
    ) -> String {
        let number = |column: &str| row.and_then(|row| table.number(row, column));
        let digits = usize::from(third.is_none());
        match (number(columns[0]), number(columns[1]), third.map(number)) {
            (Some(a), Some(b), None) => {
                format!("{} ({})", self.locale.decimals(a, digits), self.locale.decimals(b, digits))
            }
            (Some(a), Some(b), Some(Some(c))) => {
                let [a, b, c] = [a, b, c].map(|x| self.half(x));
                format!("{a} ({})", self.locale.span(&b, &c))
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
        let (Some(counts), Some(measures)) = (estimate.table("counts"), estimate.table("measures"))
        else {
            return Ok(Vec::new());
        };
        let options = self.results.model(&model.id).map(|m| &m.options);
        let named = |option: &str| {
            options.and_then(|o| o.get(option)).and_then(|v| v.as_str()).unwrap_or_default()
        };
        let (rating, reference, positive) =
            (named("rating"), named("reference"), named("positive"));
        let dictionary = &self.results.dictionary;
        let label = |name: &str, level: &str| {
            dictionary.get(name).map_or(level, |v| v.level_label(level)).to_owned()
        };
        let mut groups: Vec<&str> = Vec::new();
        let mut levels: Vec<&str> = Vec::new();
        for row in 0..counts.rows.len() {
            for (list, column) in [(&mut groups, "group"), (&mut levels, "reference")] {
                let found = counts.text(row, column);
                if !list.contains(&found) {
                    list.push(found);
                }
            }
        }
        let values =
            [("rating", dictionary.label(rating)), ("reference", dictionary.label(reference))];
        let by_site = groups.len() > 1;
        let cell = |group: &str, a: &str, b: &str| {
            let fits = |row: &usize| {
                counts.text(*row, "group") == group
                    && counts.text(*row, "rating") == a
                    && counts.text(*row, "reference") == b
            };
            (0..counts.rows.len()).find(fits).and_then(|row| counts.number(row, "n"))
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
                let row = (0..measures.rows.len()).find(|&r| {
                    measures.text(r, "group") == *group && measures.text(r, "measure") == "kappa"
                });
                cells
                    .extend(row.map_or_else(Vec::new, |row| self.estimate_cells(measures, row, 2)));
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
        let positive = label(rating, positive);
        let values =
            [("rating", values[0].1), ("reference", values[1].1), ("positive", positive.as_str())];
        let mut printed = PrintTable::new(self.say("agreement.caption_measures", &values)?, head);
        for row in 0..measures.rows.len() {
            let measure = measures.text(row, "measure");
            let mut cells = vec![self.word(&format!("agreement.{measure}"))?];
            let digits = if measure == "kappa" { 2 } else { 3 };
            cells.extend(self.estimate_cells(measures, row, digits));
            let of = [measures.number(row, "numerator"), measures.number(row, "denominator")];
            cells.push(match of {
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

    /// Estimate and interval, or the status in their place.
    pub(super) fn estimate_cells(&self, table: &Table, row: usize, digits: usize) -> Vec<String> {
        let number = |column: &str| table.number(row, column);
        let show = |x: f64| self.locale.decimals(x, digits);
        match (number("estimate"), number("conf_low"), number("conf_high")) {
            (Some(x), Some(low), Some(high)) => {
                vec![show(x), self.locale.span(&show(low), &show(high))]
            }
            (Some(x), _, _) => vec![show(x), String::new()],
            _ => vec!["–".into(), self.status(table, row).unwrap_or_default()],
        }
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
