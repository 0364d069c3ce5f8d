//! Pages of models that share one layout: coefficients with their ratios, other tables column by column, a figure where there is a
//! curve or a ratio.

use tributary_core::{
    estimate::{Estimate, Field, Role, Row as _, Shown, Status, Table, Unit, Value},
    model::{FitSummary, Term},
    rows,
};
use tributary_models::{cure::MEDIAN, multi_state};

use super::{Block, Composed, Composer};
use crate::{
    document::PrintTable,
    figure::{ForestPlot, ForestRow, forest},
    results::ModelResult,
};

/// Tables of more rows are in the table files only.
const MOST_ROWS: usize = 60;
/// Columns of the pooled effects that the page has no room for: they are in the table file, and those of Q in a table of their own.
const ELSEWHERE: [&str; 7] =
    ["std_error", "q", "q_df", "q_p_value", "h2", "statistic", "tau2_std_error"];

rows! {
    /// What a row of any table says about how its other cells read.
    struct Aside in "any" {
        quantity: String,
        variable: String,
        sex: String,
        status: Status,
    }
}

impl Composer<'_> {
    pub(super) fn further(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let mut blocks = self.likelihood_figure(model, estimate)?;
        for table in estimate.tables.iter().filter(|t| t.rows.len() > 1) {
            if let Some(lines) = &table.lines {
                blocks.extend(self.line_figure(model, estimate, table, lines)?);
            }
        }
        if let Some(terms) = estimate.table_of::<Term>() {
            blocks.push(self.terms(model, estimate, terms)?);
            blocks.extend(self.ratio_figure(model, terms)?);
        }
        let printed = |t: &&Table| t.name != Term::TABLE && matches!(t.shown, Shown::Page);
        for table in estimate.tables.iter().filter(printed) {
            if table.rows.is_empty() {
                continue;
            }
            let has = |column: &str| table.position(column).is_some();
            let laid_out = if has("term") && has("reference") {
                self.terms(model, estimate, table)?
            } else {
                self.columns(model, table)?
            };
            blocks.push(laid_out);
        }
        Ok(blocks)
    }

    /// Tables of a model with a page of its own that this page lays out.
    pub(super) fn further_tables(
        &self,
        model: &ModelResult,
        estimate: &Estimate,
        names: &[&str],
    ) -> Composed<Vec<Block>> {
        let tables = estimate.tables.iter().filter(|t| names.contains(&t.name.as_str()));
        tables.filter(|t| !t.rows.is_empty()).map(|t| self.columns(model, t)).collect()
    }

    fn caption(&self, model: &ModelResult, table: &Table) -> String {
        let own = format!("table.{}.{}", model.kind, table.name);
        let shared = format!("table.{}", table.name);
        let found = self.word(&own).or_else(|_| self.word(&shared));
        found.unwrap_or_else(|_| table.name.replace('_', " "))
    }

    pub(super) fn head(&self, column: &str) -> String {
        self.word(&format!("head.{column}")).unwrap_or_else(|_| column.replace('_', " "))
    }

    /// A table column by column; limits stand in one column behind their estimate.
    pub(super) fn columns(&self, model: &ModelResult, table: &Table) -> Composed<Block> {
        let ci = self.say("columns.ci", &[("level", &self.level_words(model))])?;
        let asides: Vec<Aside> = table.rows_of();
        let has_status = asides.iter().any(|row| row.status != Status::Ok);
        let mut head = Vec::new();
        let mut chosen: Vec<usize> = Vec::new();
        for (i, column) in table.columns.iter().enumerate() {
            let elsewhere = table.name == "pooled" && ELSEWHERE.contains(&column.name.as_str());
            let of_all = column.name == "sex" && asides.iter().all(|row| row.sex == "all");
            if column.role == Role::Upper
                || (column.role == Role::Status && !has_status)
                || elsewhere
                || of_all
            {
                continue;
            }
            chosen.push(i);
            // Limits of a prediction or of a funnel are no confidence limits: they have heads of their own.
            head.push(match column.name.strip_suffix("_low") {
                Some(stem @ ("funnel" | "outer")) => self.head(stem),
                Some("pred") | None => self.head(&column.name),
                Some(_) => ci.clone(),
            });
        }
        let texts = chosen
            .iter()
            .take_while(|&&i| table.rows.iter().all(|row| row[i].as_number().is_none()))
            .count();
        let mut printed = PrintTable::new(self.caption(model, table), head).texts(texts.max(1));
        for (row, aside) in table.rows.iter().zip(&asides).take(MOST_ROWS) {
            let cells = chosen.iter().map(|&i| self.cell(model, &table.columns, row, aside, i));
            printed.row("body", cells.collect::<Composed<Vec<String>>>()?);
        }
        if table.rows.len() > MOST_ROWS {
            let n = (table.rows.len() - MOST_ROWS).to_string();
            printed.caption =
                format!("{} {}", printed.caption, self.say("table.more", &[("n", &n)])?);
        }
        Ok(Block::Table(printed))
    }

    fn cell(
        &self,
        model: &ModelResult,
        columns: &[Field],
        row: &[Value],
        aside: &Aside,
        i: usize,
    ) -> Composed<String> {
        let show = |i: usize| row[i].as_number().map(|x| self.number(&columns[i], aside, x));
        if columns[i].role == Role::Status {
            return self.status_words(aside.status);
        }
        if columns[i].role == Role::Lower {
            // The upper limit comes next.
            let upper = columns.get(i + 1).is_some_and(|next| next.role == Role::Upper);
            return Ok(match (show(i), upper.then(|| show(i + 1)).flatten()) {
                (Some(low), Some(high)) => self.locale.span(&low, &high),
                (Some(low), None) => self.say("table.at_least", &[("x", &low)])?,
                (None, Some(high)) => self.say("table.at_most", &[("x", &high)])?,
                (None, None) => "–".into(),
            });
        }
        match (&row[i], columns[i].name.as_str()) {
            (Value::Text(level), "level") if !aside.variable.is_empty() => {
                let variable = self.results.dictionary.get(&aside.variable);
                Ok(variable.map_or(level.as_str(), |v| v.level_label(level)).to_owned())
            }
            (Value::Text(text), column) => self.text_words(model, column, text),
            _ => Ok(show(i).unwrap_or_else(|| "–".into())),
        }
    }

    /// A text of a column in words.
    pub(super) fn text_words(
        &self,
        model: &ModelResult,
        column: &str,
        text: &str,
    ) -> Composed<String> {
        Ok(match column {
            "group" => self.groups_compared(model, text)?,
            "cause" | "state" | "from" | "to" => self.event_level(model, text),
            "sex" if text != "all" => self.sex_label(model, text),
            "reference" => self.compared_label(model, text),
            "compared" | "reference_group" if text != "all" => self.compared_label(model, text),
            "term" => self.named_term(model, text)?,
            "variable" => self.results.dictionary.label(text).to_owned(),
            _ => self.worded(column, text),
        })
    }

    /// Label of a level of the event, or of the state variable.
    pub(super) fn event_level(&self, model: &ModelResult, level: &str) -> String {
        let state = model.options_as::<multi_state::Options>().and_then(|options| options.state);
        let event = model.followup().map(|followup| followup.event);
        for variable in event.into_iter().chain(state) {
            if let Some(variable) = self.results.dictionary.get(&variable)
                && variable.model_levels().iter().any(|l| l == level)
            {
                return variable.level_label(level).to_owned();
            }
        }
        self.word(&format!("value.{level}")).unwrap_or_else(|_| level.to_owned())
    }

    /// A number as its unit is printed. A table with a row for each quantity names those of another unit.
    fn number(&self, field: &Field, aside: &Aside, x: f64) -> String {
        let is_whole = (x - x.round()).abs() < 1e-9;
        match field.unit {
            Unit::PValue => self.locale.p_value(x),
            Unit::Statistic => self.locale.decimals(x, 2),
            Unit::CalendarYear if is_whole => format!("{x:.0}"),
            Unit::CalendarYear => format!("{x:.2}"),
            Unit::Population => self.locale.count(x),
            // The lower limit of a count has a decimal while it is small.
            Unit::Count if field.is_limit() => self.locale.decimals(x, usize::from(x < 10.0)),
            Unit::Count | Unit::Days => self.locale.decimals(x, usize::from(!is_whole)),
            Unit::PersonYears => self.locale.decimals(x, 1),
            Unit::Expected => self.locale.decimals(x, if x < 10.0 { 2 } else { 1 }),
            Unit::Years => self.locale.decimals(x, if is_whole { 0 } else { 2 }),
            Unit::Share if aside.quantity != MEDIAN => self.locale.percent(x),
            Unit::Share | Unit::Rate | Unit::Number | Unit::Text => self.locale.ratio(x),
        }
    }

    /// Coefficients with their ratios.
    fn terms(&self, model: &ModelResult, estimate: &Estimate, table: &Table) -> Composed<Block> {
        let ratio = Term::ratio_of(table);
        let ci = self.say("columns.ci", &[("level", &self.level_words(model))])?;
        let mut head = vec![self.word("columns.term")?, self.head(ratio), ci];
        head.extend(self.words(&["columns.p", "head.coefficient", "columns.se"])?);
        let summary = estimate.rows::<FitSummary>().pop();
        let counts = summary.map(|s| [s.n, s.n_event].map(|n| self.locale.count(n.unwrap_or(0.0))));
        let caption = match &counts {
            _ if table.name != Term::TABLE => self.caption(model, table),
            Some([n, events]) => self.say("table.terms", &[("n", n), ("events", events)])?,
            None => self.word("table.terms_plain")?,
        };
        let mut printed = PrintTable::new(caption, head);
        for term in Term::read(table) {
            let show = |x: f64| self.locale.ratio(x);
            let mut cells = vec![self.term_words(model, &term)?];
            cells.push(term.ratio.map_or_else(|| "–".to_owned(), show));
            cells.push(match [term.ratio_low, term.ratio_high].map(|x| x.map(show)) {
                [Some(low), Some(high)] => self.locale.span(&low, &high),
                [Some(low), None] => self.say("table.at_least", &[("x", &low)])?,
                [None, Some(high)] => self.say("table.at_most", &[("x", &high)])?,
                [None, None] => self.status_words(term.status)?,
            });
            cells.push(term.p_value.map_or_else(String::new, |p| self.locale.p_value(p)));
            for x in [term.estimate, term.std_error] {
                cells.push(x.map_or_else(String::new, |x| self.locale.decimals(x, 3)));
            }
            printed.row("body", cells);
        }
        Ok(Block::Table(printed))
    }

    /// Forest plot of the covariates' ratios.
    fn ratio_figure(&mut self, model: &ModelResult, terms: &Table) -> Composed<Vec<Block>> {
        let mut rows = Vec::new();
        for term in Term::read(terms) {
            let covariate = term
                .variable
                .split(':')
                .all(|v| self.results.dictionary.get(v).is_some() || v == "follow-up");
            let without_ratio = term.estimate.is_some() && term.ratio.is_none();
            if !covariate || without_ratio {
                continue;
            }
            let effect = (term.estimate.zip(term.conf_low).zip(term.conf_high))
                .map(|((b, low), high)| [b, low, high]);
            let text = match effect {
                Some(e) => {
                    let [b, low, high] = e.map(|x| self.locale.ratio(x.exp()));
                    format!("{b} ({})", self.locale.span(&low, &high))
                }
                None => self.status_words(term.status)?,
            };
            rows.push(ForestRow {
                label: self.term_words(model, &term)?,
                effect,
                weight: None,
                pooled: false,
                prediction: None,
                text,
                second: String::new(),
            });
        }
        if rows.len() < 2 || rows.iter().all(|r| r.effect.is_none()) {
            return Ok(Vec::new());
        }
        let head = self.head(Term::ratio_of(terms));
        let plot = ForestPlot {
            headings: [self.word("columns.term")?, head.clone(), String::new()],
            x_label: head.clone(),
            sides: [String::new(), String::new()],
            linear: false,
            rows,
        };
        let caption =
            self.say("figure.ratios", &[("ratio", &head), ("level", &self.level_words(model))])?;
        let alt = plot
            .rows
            .iter()
            .map(|r| format!("{} {}", r.label, r.text))
            .collect::<Vec<_>>()
            .join("; ");
        Ok(vec![self.place(format!("{}.ratios", model.id), forest(&plot), caption, alt)])
    }
}
