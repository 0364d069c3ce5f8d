//! Pages of survival: curves with their tables, and the log-rank test.

use tributary_core::estimate::{Estimate, Table};

use super::{Block, Composed, Composer, names::capital};
use crate::{
    document::PrintTable,
    figure::{Curve, CurvePoint, SurvivalPlot, log_minus_log, survival},
    results::ModelResult,
};

impl Composer<'_> {
    /// Name of the event of a model, inside a sentence.
    pub(super) fn event(&self, model: &ModelResult) -> String {
        let event =
            model.options.pointer("/followup/event").and_then(|v| v.as_str()).unwrap_or_default();
        let event = self.lower(event);
        if self.is_death(&event) { self.word("survival.death").unwrap_or(event) } else { event }
    }

    /// The same, or the cause where a model has one.
    pub(super) fn event_or_cause(&self, model: &ModelResult) -> String {
        let cause = model.options.get("cause").and_then(|v| v.as_str());
        cause.map_or_else(|| self.event(model), |cause| self.event_level(model, cause))
    }

    /// Labels of variables that tell a death: survival free of them is survival.
    fn is_death(&self, event: &str) -> bool {
        let deaths = self.word("survival.deaths").unwrap_or_default();
        deaths.split(", ").any(|death| death == event)
    }

    /// "survival", or "survival free of relapse".
    fn survival_words(&self, event: &str) -> Composed<String> {
        if self.is_death(event) {
            return self.word("survival.overall");
        }
        self.say("survival.free", &[("event", event)])
    }

    fn by_words(&self, model: &ModelResult) -> Composed<String> {
        match &model.by {
            Some(by) => self.say("survival.by", &[("variable", &self.lower(by))]),
            None => Ok(String::new()),
        }
    }

    pub(super) fn level(model: &ModelResult) -> f64 {
        model.options.get("confidence_level").and_then(serde_json::Value::as_f64).unwrap_or(0.95)
    }

    pub(super) fn level_words(&self, model: &ModelResult) -> String {
        let level = 100.0 * Self::level(model);
        format!("{}%", self.locale.decimals(level, usize::from(level.fract().abs() > 1e-9)))
    }

    pub(super) fn kaplan_meier(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let by = self.by_words(model)?;
        let event = self.event(model);
        let level = self.level_words(model);
        let mut blocks = Vec::new();
        if let Some(curve) = estimate.table("curve").filter(|t| !t.rows.is_empty()) {
            blocks.extend(self.curve_figures(model, estimate, curve, [&by, &event, &level])?);
        }
        let ci = self.say("columns.ci", &[("level", &level)])?;
        if let Some(table) = estimate.table("times").filter(|t| !t.rows.is_empty()) {
            let mut head = self.words(&[
                "columns.group",
                "columns.time",
                "columns.at_risk",
                "columns.events_to",
                "columns.survival",
            ])?;
            head.push(ci.clone());
            let survival = capital(&self.survival_words(&event)?);
            let values = [("survival", survival.as_str()), ("by", &by)];
            let caption = self.say("survival.caption_times", &values)?;
            let mut printed = PrintTable::new(caption, head).texts(2);
            for row in 0..table.rows.len() {
                printed.row("body", self.time_cells(model, table, row)?);
            }
            blocks.push(Block::Table(printed));
        }
        if let Some(table) = estimate.table("quantiles").filter(|t| !t.rows.is_empty()) {
            let mut head = self.words(&["columns.group", "columns.quantile", "columns.time"])?;
            head.push(ci.clone());
            let caption = self.say("survival.caption_quantiles", &[("event", &event)])?;
            let mut printed = PrintTable::new(caption, head).texts(2);
            for row in 0..table.rows.len() {
                let share = table.number(row, "quantile").unwrap_or(0.5);
                let name = if (share - 0.5).abs() < 1e-9 {
                    self.word("survival.median")?
                } else {
                    self.say("survival.quantile", &[("p", &self.locale.percent(share))])?
                };
                let not_reached = self.word("status.not_reached")?;
                let days = |column: &str| match table.number(row, column) {
                    Some(days) => self.say("survival.days", &[("n", &self.locale.count(days))]),
                    None => Ok(not_reached.clone()),
                };
                let interval = self.locale.span(&days("conf_low")?, &days("conf_high")?);
                let group = self.group(model, model.by.as_deref(), table.text(row, "group"))?;
                let reached = table.number(row, "estimate").is_some();
                let interval = if reached || table.number(row, "conf_low").is_some() {
                    interval
                } else {
                    String::new()
                };
                printed.row("body", vec![group, name, days("estimate")?, interval]);
            }
            blocks.push(Block::Table(printed));
        }
        if let Some(table) = estimate.table("restricted_mean") {
            blocks.push(self.restricted_mean(model, table, &event, ci)?);
        }
        let names = ["conditional", "bracket", "life_table"];
        blocks.extend(self.further_tables(model, estimate, &names)?);
        Ok(blocks)
    }

    fn time_cells(&self, model: &ModelResult, table: &Table, row: usize) -> Composed<Vec<String>> {
        let number = |column: &str| table.number(row, column);
        let count =
            |column: &str| number(column).map_or_else(|| "–".to_owned(), |n| self.locale.count(n));
        let years = number("time_years").unwrap_or(0.0);
        let n = self.locale.decimals(years, usize::from(years.fract().abs() > 1e-9));
        let key = if (years - 1.0).abs() < 1e-9 { "survival.year" } else { "survival.years" };
        let mut cells = vec![
            self.group(model, model.by.as_deref(), table.text(row, "group"))?,
            self.say(key, &[("n", &n)])?,
            count("n_risk"),
            count("n_event"),
        ];
        let percent = |x: f64| self.locale.percent(x);
        match (number("estimate"), number("conf_low"), number("conf_high")) {
            (Some(s), Some(low), Some(high)) => {
                cells.push(percent(s));
                let mut interval = self.locale.span(&percent(low), &percent(high));
                if let (Some(low), Some(high)) = (number("bpcp_low"), number("bpcp_high")) {
                    let values = [("low", percent(low)), ("high", percent(high))];
                    let values: Vec<(&str, &str)> =
                        values.iter().map(|(k, v)| (*k, v.as_str())).collect();
                    interval = self.say("survival.beta_product", &values)?;
                }
                cells.push(interval);
            }
            (Some(s), _, _) => cells.extend([percent(s), self.status(table, row)?]),
            _ => cells.extend(["–".to_owned(), self.status(table, row)?]),
        }
        Ok(cells)
    }

    fn restricted_mean(
        &self,
        model: &ModelResult,
        table: &Table,
        event: &str,
        ci: String,
    ) -> Composed<Block> {
        let mut head = self.words(&["columns.group", "columns.measure", "columns.estimate"])?;
        head.extend([ci, self.word("columns.p")?]);
        let tau = table.number(0, "tau_years").unwrap_or(0.0);
        let tau = self.locale.decimals(tau, usize::from(tau.fract().abs() > 1e-9));
        let caption = self.say("survival.caption_mean", &[("event", event), ("tau", &tau)])?;
        let mut printed = PrintTable::new(caption, head).texts(2);
        for row in 0..table.rows.len() {
            let measure = table.text(row, "measure");
            let group = table.text(row, "group");
            let named = |g: &str| self.group(model, model.by.as_deref(), g);
            let group = match group.split_once(" − ") {
                Some((a, b)) => format!("{} − {}", named(a)?, named(b)?),
                None => named(group)?,
            };
            let mut cells = vec![group, self.word(&format!("survival.{measure}"))?];
            // Days are whole, ratios are not.
            let decimals = if measure.starts_with("ratio") { 2 } else { 0 };
            cells.extend(self.estimate_cells(table, row, decimals));
            let p =
                table.number(row, "p_value").map_or_else(String::new, |p| self.locale.p_value(p));
            cells.push(p);
            printed.row("body", cells);
        }
        Ok(Block::Table(printed))
    }

    fn curve_figures(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
        table: &Table,
        [by, event, level]: [&str; 3],
    ) -> Composed<Vec<Block>> {
        let groups = estimate.table("groups");
        let mut curves = Vec::new();
        for row in 0..groups.map_or(0, |t| t.rows.len()) {
            let Some(groups) = groups else { continue };
            let group = groups.text(row, "group");
            let persons = groups.number(row, "n").unwrap_or(0.0);
            curves.push(self.curve(model, table, group, persons)?);
        }
        let survival_words = self.survival_words(event)?;
        let mut plot = SurvivalPlot {
            curves,
            y_label: capital(&survival_words),
            x_label: self.word("survival.x_label")?,
            risk_label: self.word("survival.risk_label")?,
            missing: self.missing.clone(),
            marks: [
                (7.0 / model.year_days(), "survival.week"),
                (1.0 / 12.0, "survival.month"),
                (0.25, "survival.quarter"),
                (0.5, "survival.half_year"),
            ]
            .into_iter()
            .map(|(t, key)| Ok((t, self.word(key)?)))
            .chain([1.0, 2.0, 5.0, 10.0, 20.0].into_iter().map(|t| Ok((t, format!("{t}")))))
            .collect::<Composed<Vec<_>>>()?,
        };
        let mut blocks = Vec::new();
        let text = self.curve_text(&plot)?;
        let values = [("survival", survival_words.as_str()), ("by", by), ("level", level)];
        let caption = self.say("survival.caption_figure", &values)?;
        let alt = self.say("survival.alt_figure", &[("by", by), ("text", &text)])?;
        let drawing = survival(&plot, &|n| self.locale.count(n));
        blocks.push(self.place(format!("{}.curve", model.id), drawing, caption, alt));
        if plot.curves.len() > 1 {
            plot.y_label = self.word("survival.y_label_log")?;
            plot.x_label = self.word("survival.x_label_log")?;
            let caption = self.say("survival.caption_loglog", &[("by", by)])?;
            let alt = self.say("survival.alt_loglog", &[("by", by)])?;
            blocks.push(self.place(
                format!("{}.log_minus_log", model.id),
                log_minus_log(&plot),
                caption,
                alt,
            ));
        }
        Ok(blocks)
    }

    /// Keeps a drawing and says where it stands.
    pub(super) fn place(
        &mut self,
        name: String,
        drawing: crate::Drawing,
        caption: String,
        alt: String,
    ) -> Block {
        let (width, height) = (drawing.width, drawing.height);
        self.figures.insert(name.clone(), drawing);
        Block::Figure { name, caption, alt, width, height }
    }

    fn curve(
        &self,
        model: &ModelResult,
        table: &Table,
        group: &str,
        persons: f64,
    ) -> Composed<Curve> {
        let columns =
            ["time", "estimate", "conf_low", "conf_high", "n_risk", "n_event", "n_censor"];
        let at: Vec<Option<usize>> = columns.iter().map(|c| table.position(c)).collect();
        let group_at = table.position("group");
        let mut points = Vec::new();
        for row in &table.rows {
            let text = group_at.and_then(|i| row.get(i)).map_or("", |v| v.as_text());
            if text != group {
                continue;
            }
            let number = |c: usize| {
                at[c].and_then(|i| row.get(i)).and_then(tributary_core::estimate::Value::as_number)
            };
            let (Some(time), Some(estimate), Some(n_risk)) = (number(0), number(1), number(4))
            else {
                continue;
            };
            points.push(CurvePoint {
                time: time / model.year_days(),
                estimate,
                band: number(2).zip(number(3)),
                n_risk,
                left: number(5).unwrap_or(0.0) + number(6).unwrap_or(0.0),
            });
        }
        Ok(Curve { label: self.group(model, model.by.as_deref(), group)?, persons, points })
    }

    /// What a curve shows, for those who cannot see it: its level at five years, or at its end.
    fn curve_text(&self, plot: &SurvivalPlot) -> Composed<String> {
        let mut texts = Vec::new();
        for curve in &plot.curves {
            let Some(point) = curve.points.iter().rev().find(|p| p.time <= 5.0) else { continue };
            let time = self.locale.decimals(point.time, 1);
            let estimate = self.locale.percent(point.estimate);
            let time = self.say("survival.years", &[("n", &time)])?;
            let values =
                [("group", curve.label.as_str()), ("estimate", &estimate), ("time", &time)];
            texts.push(self.say("survival.alt_point", &values)?);
        }
        Ok(texts.join("; "))
    }

    pub(super) fn log_rank(
        &self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        if let Some(table) = estimate.table("test") {
            let number = |column: &str| table.number(0, column);
            if let (Some(statistic), Some(df), Some(p)) =
                (number("statistic"), number("df"), number("p_value"))
            {
                let statistic = self.locale.decimals(statistic, 2);
                let values = [
                    ("statistic", statistic),
                    ("df", self.locale.count(df)),
                    ("p", self.locale.p_sentence(p)),
                ];
                let values: Vec<(&str, &str)> =
                    values.iter().map(|(k, v)| (*k, v.as_str())).collect();
                blocks.push(Block::Paragraph { text: self.say("log_rank.sentence", &values)? });
            }
        }
        if let Some(table) = estimate.table("groups") {
            let by = self.by_words(model)?;
            let head = self.words(&[
                "columns.group",
                "columns.n",
                "columns.observed",
                "columns.expected",
                "columns.ratio",
            ])?;
            let mut printed =
                PrintTable::new(self.say("log_rank.caption_groups", &[("by", &by)])?, head);
            for row in 0..table.rows.len() {
                let shown = |column: &str, digits: usize| {
                    table
                        .number(row, column)
                        .map_or_else(|| "–".to_owned(), |x| self.locale.decimals(x, digits))
                };
                let group = self.group(model, model.by.as_deref(), table.text(row, "group"))?;
                let cells = vec![
                    group,
                    shown("n", 0),
                    shown("observed", 0),
                    shown("expected", 1),
                    shown("ratio", 2),
                ];
                printed.row("body", cells);
            }
            blocks.push(Block::Table(printed));
        }
        blocks.extend(self.further_tables(model, estimate, &["trend", "peto"])?);
        Ok(blocks)
    }
}
