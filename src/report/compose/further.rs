//! Pages of models that share one layout: coefficients with their ratios, other tables column by column, a figure where there is a
//! curve or a ratio.

use super::{Block, Composed, Composer};
use crate::{
    estimate::{Estimate, Table, Value},
    report::{
        document::PrintTable,
        figure::{ForestPlot, ForestRow, LinePlot, Series, forest, lines},
    },
    results::ModelResult,
    stats::distribution::chi_squared_quantile,
};

const DAYS_PER_YEAR: f64 = 365.25;
/// Tables of more rows are in the table files only.
const MOST_ROWS: usize = 60;
/// Tables that a figure shows, or that are there for machines.
const NOT_PRINTED: [&str; 7] =
    ["curve", "at_risk", "likelihood", "baseline", "cumulative_hazard", "excess_hazard", "knots"];
/// Columns that hold probabilities, by table; in the others they are numbers of another kind.
const PROBABILITIES: [&str; 9] = [
    "times",
    "standardised",
    "predicted",
    "conditional",
    "bracket",
    "crude_probability",
    "life_table",
    "cured",
    "gate",
];
/// How far below its maximum a likelihood curve is drawn.
const DEPTH: f64 = 6.0;
/// Smallest number at risk for which a line is still drawn.
const AT_RISK_FLOOR: f64 = 5.0;

/// A line with the words that tell it apart, and its numbers at risk.
type Keyed = (Vec<String>, Series, Vec<(f64, f64)>);

/// What a line figure shows, by kind of model.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent yes-or-no facts about a figure"
)]
struct Curve {
    table: &'static str,
    /// Columns that tell lines apart.
    by: &'static [&'static str],
    x: &'static str,
    days: bool,
    steps: bool,
    percent: bool,
    from_one: bool,
}

fn curve_of(kind: &str) -> Option<Curve> {
    let curve = |table, by, x, days, steps, percent, from_one| {
        Some(Curve { table, by, x, days, steps, percent, from_one })
    };
    match kind {
        "net_survival" => curve("curve", &["group", "estimator"], "time", true, true, true, true),
        "competing_risks" => curve("curve", &["group", "cause"], "time", true, true, true, false),
        "multi_state" => curve("curve", &["from", "state"], "time", true, true, true, false),
        "mean_cumulative_count" => curve("curve", &[], "time", true, true, false, false),
        "survival_lexis" => {
            curve("times", &["approach", "survival"], "time_years", false, false, true, true)
        }
        "excess_hazard" => curve("excess_hazard", &[], "time_years", false, false, false, false),
        "cox_patterns" | "royston_parmar" | "parametric" | "cure" => {
            curve("predicted", &["patient"], "time_years", false, false, true, true)
        }
        _ => None,
    }
}

impl Composer<'_> {
    pub(super) fn further(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        if model.kind == "profile_likelihood" {
            blocks.extend(self.likelihood_figure(model, estimate)?);
        }
        if let Some(curve) = curve_of(&model.kind) {
            blocks.extend(self.line_figure(model, estimate, &curve)?);
        }
        if let Some(terms) = estimate.table("terms") {
            blocks.push(self.terms(model, estimate, terms)?);
            blocks.extend(self.ratio_figure(model, terms)?);
        }
        let printed = |t: &&Table| t.name != "terms" && !NOT_PRINTED.contains(&t.name.as_str());
        for table in estimate.tables.iter().filter(printed) {
            if table.rows.is_empty() {
                continue;
            }
            let laid_out = if table.columns.iter().any(|c| c == "reference") {
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
    fn columns(&self, model: &ModelResult, table: &Table) -> Composed<Block> {
        let ci = self.say("columns.ci", &[("level", &self.level_words(model))])?;
        let percent = PROBABILITIES.contains(&table.name.as_str())
            && !(model.kind == "mean_cumulative_count" && table.name == "times");
        let has_status = (0..table.rows.len()).any(|r| table.text(r, "status") != "OK");
        let mut head = Vec::new();
        let mut chosen: Vec<usize> = Vec::new();
        for (i, column) in table.columns.iter().enumerate() {
            if column.ends_with("_high") || (column == "status" && !has_status) {
                continue;
            }
            chosen.push(i);
            head.push(if column.ends_with("_low") { ci.clone() } else { self.head(column) });
        }
        let texts = chosen
            .iter()
            .take_while(|&&i| table.rows.iter().all(|row| row[i].as_number().is_none()))
            .count();
        let mut printed = PrintTable::new(self.caption(model, table), head).texts(texts.max(1));
        for row in 0..table.rows.len().min(MOST_ROWS) {
            let cells = chosen.iter().map(|&i| self.cell(model, table, row, i, percent));
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
        table: &Table,
        row: usize,
        i: usize,
        percent: bool,
    ) -> Composed<String> {
        let column = table.columns[i].as_str();
        let value = &table.rows[row][i];
        if column == "status" {
            return self.status(table, row);
        }
        if let Some(stem) = column.strip_suffix("_low") {
            let high = table.cell(row, &format!("{stem}_high"));
            let show =
                |v: &Value| v.as_number().map(|x| self.number(column, table, row, x, percent));
            return Ok(match (show(value), show(high)) {
                (Some(low), Some(high)) => self.locale.span(&low, &high),
                (Some(low), None) => self.say("table.at_least", &[("x", &low)])?,
                (None, Some(high)) => self.say("table.at_most", &[("x", &high)])?,
                (None, None) => "–".into(),
            });
        }
        Ok(match value {
            Value::Number(x) => self.number(column, table, row, *x, percent),
            Value::None => "–".into(),
            Value::Text(text) => match column {
                "group" if table.name == "standardised" && model.by.is_none() => {
                    let variable = model.options.pointer("/standardise").and_then(|v| v.as_str());
                    self.group(variable, text)?
                }
                "group" | "reference" => match text.split_once(" − ") {
                    Some((a, b)) => format!(
                        "{} − {}",
                        self.group(model.by.as_deref(), a)?,
                        self.group(model.by.as_deref(), b)?
                    ),
                    None => self.group(model.by.as_deref(), text)?,
                },
                "cause" | "state" | "from" | "to" => self.event_level(model, text),
                _ => self.word(&format!("value.{text}")).unwrap_or_else(|_| text.clone()),
            },
        })
    }

    /// Label of a level of the event, or of the state variable.
    fn event_level(&self, model: &ModelResult, level: &str) -> String {
        let named = |pointer: &str| model.options.pointer(pointer).and_then(|v| v.as_str());
        for variable in [named("/followup/event"), named("/state")].into_iter().flatten() {
            if let Some(variable) = self.results.dictionary.get(variable)
                && variable.model_levels().iter().any(|l| l == level)
            {
                return variable.level_label(level).to_owned();
            }
        }
        self.word(&format!("value.{level}")).unwrap_or_else(|_| level.to_owned())
    }

    fn number(&self, column: &str, table: &Table, row: usize, x: f64, percent: bool) -> String {
        let is_time = column.ends_with("_years") && column != "person_years";
        let median = table.text(row, "quantity") == "median years";
        match column {
            "p_value" => self.locale.p_value(x),
            "person_years" | "effective" => self.locale.decimals(x, 1),
            "log_likelihood" | "log_likelihood_null" | "penalised_log_likelihood" | "aic" => {
                self.locale.decimals(x, 2)
            }
            "expected" => self.locale.decimals(x, if x < 10.0 { 2 } else { 1 }),
            _ if is_time => {
                self.locale.decimals(x, if (x - x.round()).abs() < 1e-9 { 0 } else { 2 })
            }
            _ if column.starts_with("n_")
                || column.starts_with("sites")
                || column.ends_with("_days")
                || ["n", "df", "observed", "parameters"].contains(&column) =>
            {
                self.locale.decimals(x, usize::from((x - x.round()).abs() >= 1e-9))
            }
            "hazard_per_year" | "statistic" => self.locale.ratio(x),
            _ if percent && !median => self.locale.percent(x),
            _ => self.locale.ratio(x),
        }
    }

    /// Coefficients with their ratios.
    fn terms(&self, model: &ModelResult, estimate: &Estimate, terms: &Table) -> Composed<Block> {
        let ratio = ratio_column(terms);
        let ci = self.say("columns.ci", &[("level", &self.level_words(model))])?;
        let mut head = vec![self.word("columns.term")?, self.head(ratio), ci];
        head.extend(self.words(&["columns.p", "head.coefficient", "columns.se"])?);
        let counts = estimate
            .table("summary")
            .map(|s| ["n", "n_event"].map(|c| self.locale.count(s.number(0, c).unwrap_or(0.0))));
        let caption = match &counts {
            _ if terms.name != "terms" => self.caption(model, terms),
            Some([n, events]) => self.say("table.terms", &[("n", n), ("events", events)])?,
            None => self.word("table.terms_plain")?,
        };
        let mut printed = PrintTable::new(caption, head);
        for row in 0..terms.rows.len() {
            let number = |column: &str| terms.number(row, column);
            let show = |x: f64| self.locale.ratio(x);
            let mut cells = vec![self.term_words(terms, row)?];
            let limits =
                [format!("{ratio}_low"), format!("{ratio}_high")].map(|c| number(&c).map(show));
            // A parameter of the distribution has no ratio worth printing.
            let variable = terms.text(row, "variable");
            let is_effect = variable.contains("years")
                || variable.split(':').any(|v| self.results.dictionary.get(v).is_some());
            let limits = if is_effect { limits } else { [None, None] };
            cells.push(number(ratio).filter(|_| is_effect).map_or_else(|| "–".to_owned(), show));
            cells.push(match limits {
                [Some(low), Some(high)] => self.locale.span(&low, &high),
                [Some(low), None] => self.say("table.at_least", &[("x", &low)])?,
                [None, Some(high)] => self.say("table.at_most", &[("x", &high)])?,
                [None, None] => self.status(terms, row)?,
            });
            cells.push(number("p_value").map_or_else(String::new, |p| self.locale.p_value(p)));
            for column in ["estimate", "std_error"] {
                cells.push(number(column).map_or_else(String::new, |x| self.locale.decimals(x, 3)));
            }
            printed.row("body", cells);
        }
        Ok(Block::Table(printed))
    }

    /// A term in words: a covariate of the dictionary as in a Cox table, anything else by its name.
    pub(super) fn term_words(&self, terms: &Table, row: usize) -> Composed<String> {
        let name = terms.text(row, "term");
        if self.results.dictionary.get(terms.text(row, "variable")).is_some() {
            let bends = name.chars().rev().take_while(|c| *c == '\'').count();
            let words = self.term(terms, row)?;
            if bends == 0 {
                return Ok(words);
            }
            let label = self.results.dictionary.label(terms.text(row, "variable")).to_owned();
            let n = (bends + 1).to_string();
            return self.say("table.spline", &[("variable", &label), ("n", &n)]);
        }
        Ok(self.word(&format!("value.{name}")).unwrap_or_else(|_| name.to_owned()))
    }

    /// Forest plot of the covariates' ratios.
    fn ratio_figure(&mut self, model: &ModelResult, terms: &Table) -> Composed<Vec<Block>> {
        let ratio = ratio_column(terms);
        let mut rows = Vec::new();
        for row in 0..terms.rows.len() {
            let variable = terms.text(row, "variable");
            let covariate = variable
                .split(':')
                .all(|v| self.results.dictionary.get(v).is_some() || v == "follow-up");
            if !covariate {
                continue;
            }
            let number = |column: &str| terms.number(row, column);
            let effect = number("estimate")
                .zip(number("conf_low"))
                .zip(number("conf_high"))
                .map(|((b, low), high)| [b, low, high]);
            let text = match effect {
                Some(e) => {
                    let [b, low, high] = e.map(|x| self.locale.ratio(x.exp()));
                    format!("{b} ({})", self.locale.span(&low, &high))
                }
                None => self.status(terms, row)?,
            };
            rows.push(ForestRow {
                label: self.term_words(terms, row)?,
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
        let head = self.head(ratio);
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

    fn line_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
        curve: &Curve,
    ) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table(curve.table).filter(|t| t.rows.len() > 1) else {
            return Ok(Vec::new());
        };
        let unit = if curve.days { DAYS_PER_YEAR } else { 1.0 };
        let mut series: Vec<Keyed> = Vec::new();
        for row in 0..table.rows.len() {
            let number = |column: &str| table.number(row, column);
            let (Some(x), Some(y)) = (number(curve.x), number("estimate")) else { continue };
            if curve.days
                && number("n_risk").is_some_and(|n| n < AT_RISK_FLOOR)
                && model.kind != "multi_state"
            {
                continue;
            }
            // Relative survival is the question where expected mortality is known.
            let relative =
                model.kind == "survival_lexis" && table.find("survival", "relative").is_some();
            if relative && table.text(row, "survival") == "observed" {
                continue;
            }
            let key: Vec<String> = curve.by.iter().map(|c| table.text(row, c).to_owned()).collect();
            if !series.iter().any(|(k, _, _)| *k == key) {
                let start = if curve.from_one { 1.0 } else { 0.0 };
                let mut points = Vec::new();
                if curve.percent || model.kind == "mean_cumulative_count" {
                    let first = model.kind == "multi_state" && key.first() == key.get(1);
                    points.push((0.0, if first { 1.0 } else { start }, None));
                }
                series.push((
                    key.clone(),
                    Series { label: String::new(), points, numbers: Vec::new() },
                    Vec::new(),
                ));
            }
            if let Some((_, s, risk)) = series.iter_mut().find(|(k, _, _)| *k == key) {
                let band = number("conf_low").zip(number("conf_high"));
                s.points.push((x / unit, y, band));
                risk.extend(number("n_risk").map(|n| (x / unit, n)));
            }
        }
        let counted = estimate.table("at_risk").filter(|_| curve.days);
        if let Some(counted) = counted {
            let enough = |risk: &[(f64, f64)]| {
                risk.iter().rfind(|(_, n)| *n >= AT_RISK_FLOOR).map_or(0.0, |(x, _)| *x)
            };
            for (key, _, risk) in &mut series {
                *risk = at_risk(counted, key, unit);
            }
            // The last value holds as long as enough are followed, a state's as long as in any state.
            let any = series.iter().map(|(_, _, risk)| enough(risk)).fold(0.0, f64::max);
            for (_, s, risk) in &mut series {
                let end = if model.kind == "multi_state" { any } else { enough(risk) };
                if let Some(&(x, y, band)) = s.points.last()
                    && end > x
                {
                    s.points.push((end, y, band));
                }
            }
        }
        let varies = |i: usize| series.iter().any(|(k, _, _)| k[i] != series[0].0[i]);
        let shown: Vec<usize> = (0..curve.by.len()).filter(|&i| varies(i)).collect();
        let last =
            series.iter().flat_map(|(_, s, _)| s.points.iter().map(|p| p.0)).fold(0.0, f64::max);
        if last <= 0.0 {
            return Ok(Vec::new());
        }
        let x_marks: Vec<(f64, String)> = crate::report::figure::marks(last);
        for (key, s, risk) in &mut series {
            let words: Composed<Vec<String>> = shown
                .iter()
                .map(|&i| match curve.by[i] {
                    "group" => self.group(model.by.as_deref(), &key[i]),
                    "cause" | "state" | "from" => Ok(self.event_level(model, &key[i])),
                    _ => Ok(self
                        .word(&format!("value.{}", key[i]))
                        .unwrap_or_else(|_| key[i].clone())),
                })
                .collect();
            s.label = words?.join(", ");
            if curve.days {
                // Counts by time hold until the next; a curve's row has those at risk just before it.
                let at = |t: f64| {
                    let row = if counted.is_some() {
                        risk.iter().rfind(|(x, _)| *x <= t + 1e-9)
                    } else {
                        risk.iter().find(|(x, _)| *x >= t - 1e-9)
                    };
                    row.map(|(_, n)| *n)
                };
                s.numbers = x_marks
                    .iter()
                    .map(|(t, label)| match at(*t) {
                        _ if label.is_empty() => String::new(),
                        Some(n) => self.locale.count(n),
                        None => "–".to_owned(),
                    })
                    .collect();
            }
        }
        let series: Vec<Series> = series.into_iter().map(|(_, s, _)| s).collect();
        let top = series
            .iter()
            .flat_map(|s| s.points.iter().map(|p| p.2.map_or(p.1, |b| b.1)))
            .fold(0.0, f64::max);
        let top = if curve.percent && (curve.from_one || top > 0.6) {
            top.clamp(1.0, 1.1)
        } else {
            1.05 * top
        };
        let key = |what: &str| format!("figure.{}.{what}", model.kind);
        let plot = LinePlot {
            series,
            steps: curve.steps,
            x_marks,
            y: (0.0, top.max(1e-6)),
            percent: curve.percent,
            across: None,
            x_label: self.word("survival.x_label")?,
            y_label: self.word(&key("y"))?,
            numbers_label: self.word("survival.risk_label")?,
        };
        let level = self.level_words(model);
        let caption =
            self.say(&key("caption"), &[("level", &level), ("event", &self.event(model))])?;
        let alt = plot
            .series
            .iter()
            .filter_map(|s| {
                let (x, y, _) = s.points.last()?;
                let y = if curve.percent { self.locale.percent(*y) } else { self.locale.ratio(*y) };
                Some(format!("{} {y} ({} y)", s.label, self.locale.decimals(*x, 1)))
            })
            .collect::<Vec<_>>()
            .join("; ");
        Ok(vec![self.place(format!("{}.curve", model.id), lines(&plot), caption, alt)])
    }

    /// The summed likelihood curve around its maximum, with the height that marks the interval.
    fn likelihood_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table("likelihood") else { return Ok(Vec::new()) };
        let taus = [0.0, 0.3, 0.6];
        let mut series = Vec::new();
        for tau in taus {
            let mut points = Vec::new();
            for row in 0..table.rows.len() {
                let number = |column: &str| table.number(row, column);
                let (Some(t), Some(x), Some(y)) =
                    (number("tau"), number("effect"), number("log_likelihood"))
                else {
                    continue;
                };
                if (t - tau).abs() < 1e-9 && y > -DEPTH {
                    points.push((x, y, None));
                }
            }
            if points.len() > 1 {
                let label = self.say(
                    "figure.profile_likelihood.tau",
                    &[("tau", &self.locale.decimals(tau, 1))],
                )?;
                series.push(Series { label, points, numbers: Vec::new() });
            }
        }
        let all = || series.iter().flat_map(|s: &Series| s.points.iter().map(|p| p.0));
        let (low, high) =
            (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        if low >= high {
            return Ok(Vec::new());
        }
        let ratios =
            [0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0_f64];
        let marks: Vec<(f64, String)> = ratios
            .iter()
            .filter(|r| r.ln() >= low - 0.3 && r.ln() <= high + 0.3)
            .map(|r| (r.ln(), format!("{r}")))
            .collect();
        let cut = -0.5 * chi_squared_quantile(Self::level(model), 1.0);
        let across = Some((
            cut,
            self.say("figure.profile_likelihood.cut", &[("level", &self.level_words(model))])?,
        ));
        let plot = LinePlot {
            series,
            steps: false,
            x_marks: marks,
            y: (-DEPTH, 0.0),
            percent: false,
            across,
            x_label: self.head("hazard_ratio"),
            y_label: self.word("figure.profile_likelihood.y")?,
            numbers_label: String::new(),
        };
        let caption =
            self.say("figure.profile_likelihood.caption", &[("level", &self.level_words(model))])?;
        let alt = self.word("figure.profile_likelihood.alt")?;
        Ok(vec![self.place(format!("{}.curve", model.id), lines(&plot), caption, alt)])
    }
}

/// Numbers at risk by time of the line that these words tell apart; the table's first column names the group or state.
fn at_risk(counted: &Table, key: &[String], unit: f64) -> Vec<(f64, f64)> {
    let whose = counted.columns.first().map_or("", String::as_str);
    let rows = 0..counted.rows.len();
    rows.filter(|&r| match whose {
        // The key of a line of states is where it comes from and the state itself.
        "state" => key.get(1).is_some_and(|state| counted.text(r, whose) == state),
        _ => key.first().is_none_or(|group| counted.text(r, whose) == group),
    })
    .filter_map(|r| Some((counted.number(r, "time")? / unit, counted.number(r, "n_risk")?)))
    .collect()
}

/// The column of exp(estimate).
pub(super) fn ratio_column(terms: &Table) -> &str {
    terms
        .columns
        .iter()
        .find(|c| c.ends_with("_ratio") || *c == "ratio")
        .map_or("hazard_ratio", String::as_str)
}
