//! Pages of survival: curves with their tables, and the log-rank test.

use tributary_core::estimate::{Estimate, Number, Row, Status};
use tributary_models::{
    cox_patterns, fine_gray,
    kaplan_meier::{
        Bracket, Conditional, CurveRow, Followed, Landmark, LifeInterval, MINUS, MeanTime, Quantile,
    },
    log_rank::{Compared, Peto, Test, Trend},
};

use super::{Block, Composed, Composer, names::capital};
use crate::{
    document::PrintTable,
    figure::{Curve, CurvePoint, SurvivalPlot, log_minus_log, survival},
    results::ModelResult,
};

impl Composer<'_> {
    /// Name of the event of a model, inside a sentence.
    pub(super) fn event(&self, model: &ModelResult) -> String {
        let event = model.followup().map(|followup| followup.event).unwrap_or_default();
        let event = self.lower(&event);
        if self.is_death(&event) { self.word("survival.death").unwrap_or(event) } else { event }
    }

    /// The same, or the cause where a model has one.
    pub(super) fn event_or_cause(&self, model: &ModelResult) -> String {
        let of_cause = model.options_as::<fine_gray::Options>();
        of_cause.map_or_else(|| self.event(model), |o| self.event_level(model, &o.cause))
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
        let curve: Vec<CurveRow> = estimate.rows();
        if !curve.is_empty() {
            let groups: Vec<Followed> = estimate.rows();
            blocks.extend(self.curve_figures(model, &groups, &curve, [&by, &event, &level])?);
        }
        let ci = self.say("columns.ci", &[("level", &level)])?;
        let times: Vec<Landmark> = estimate.rows();
        if !times.is_empty() {
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
            for row in &times {
                printed.row("body", self.time_cells(model, row)?);
            }
            blocks.push(Block::Table(printed));
        }
        let quantiles: Vec<Quantile> = estimate.rows();
        if !quantiles.is_empty() {
            let mut head = self.words(&["columns.group", "columns.quantile", "columns.time"])?;
            head.push(ci.clone());
            let caption = self.say("survival.caption_quantiles", &[("event", &event)])?;
            let mut printed = PrintTable::new(caption, head).texts(2);
            for row in &quantiles {
                let share = row.quantile.unwrap_or(0.5);
                let name = if (share - 0.5).abs() < 1e-9 {
                    self.word("survival.median")?
                } else {
                    self.say("survival.quantile", &[("p", &self.locale.percent(share))])?
                };
                let not_reached = self.word("status.not_reached")?;
                let days = |days: Number| match days {
                    Some(days) => self.say("survival.days", &[("n", &self.locale.count(days))]),
                    None => Ok(not_reached.clone()),
                };
                let group = self.group(model, model.by.as_deref(), &row.group)?;
                let interval = if row.estimate.or(row.conf_low).is_some() {
                    self.locale.span(&days(row.conf_low)?, &days(row.conf_high)?)
                } else {
                    String::new()
                };
                printed.row("body", vec![group, name, days(row.estimate)?, interval]);
            }
            blocks.push(Block::Table(printed));
        }
        let means: Vec<MeanTime> = estimate.rows();
        if !means.is_empty() {
            blocks.push(self.restricted_mean(model, &means, &event, ci)?);
        }
        let names = [Conditional::TABLE, Bracket::TABLE, LifeInterval::TABLE];
        blocks.extend(self.further_tables(model, estimate, &names)?);
        Ok(blocks)
    }

    fn time_cells(&self, model: &ModelResult, row: &Landmark) -> Composed<Vec<String>> {
        let count = |n: Number| n.map_or_else(|| "–".to_owned(), |n| self.locale.count(n));
        let years = row.time_years.unwrap_or(0.0);
        let n = self.locale.decimals(years, usize::from(years.fract().abs() > 1e-9));
        let key = if (years - 1.0).abs() < 1e-9 { "survival.year" } else { "survival.years" };
        let mut cells = vec![
            self.group(model, model.by.as_deref(), &row.group)?,
            self.say(key, &[("n", &n)])?,
            count(row.n_risk),
            count(row.n_event),
        ];
        let percent = |x: f64| self.locale.percent(x);
        match (row.estimate, row.conf_low, row.conf_high) {
            (Some(s), Some(low), Some(high)) => {
                cells.push(percent(s));
                let mut interval = self.locale.span(&percent(low), &percent(high));
                if let (Some(low), Some(high)) = (row.bpcp_low, row.bpcp_high) {
                    let values = [("low", percent(low)), ("high", percent(high))];
                    let values: Vec<(&str, &str)> =
                        values.iter().map(|(k, v)| (*k, v.as_str())).collect();
                    interval = self.say("survival.beta_product", &values)?;
                }
                cells.push(interval);
            }
            (Some(s), _, _) => cells.extend([percent(s), self.status_words(row.status)?]),
            _ => cells.extend(["–".to_owned(), self.status_words(row.status)?]),
        }
        Ok(cells)
    }

    fn restricted_mean(
        &self,
        model: &ModelResult,
        means: &[MeanTime],
        event: &str,
        ci: String,
    ) -> Composed<Block> {
        let mut head = self.words(&["columns.group", "columns.measure", "columns.estimate"])?;
        head.extend([ci, self.word("columns.p")?]);
        let tau = means.iter().find_map(|row| row.tau_years).unwrap_or(0.0);
        let tau = self.locale.decimals(tau, usize::from(tau.fract().abs() > 1e-9));
        let caption = self.say("survival.caption_mean", &[("event", event), ("tau", &tau)])?;
        let mut printed = PrintTable::new(caption, head).texts(2);
        for row in means {
            let measure = self.word(&format!("survival.{}", row.measure))?;
            let mut cells = vec![self.groups_compared(model, &row.group)?, measure];
            // Days are whole, ratios are not.
            let decimals = if row.measure.starts_with("ratio") { 2 } else { 0 };
            let numbers = [row.estimate, row.conf_low, row.conf_high];
            cells.extend(self.interval_cells(numbers, row.status, decimals)?);
            cells.push(row.p_value.map_or_else(String::new, |p| self.locale.p_value(p)));
            printed.row("body", cells);
        }
        Ok(Block::Table(printed))
    }

    /// A group, or the two whose difference a row is.
    pub(super) fn groups_compared(&self, model: &ModelResult, group: &str) -> Composed<String> {
        // Groups of standardised survival are levels of the variable that it is standardised over.
        let standardised = || model.options_as::<cox_patterns::Options>()?.standardise;
        let by = model.by.clone().or_else(standardised);
        let named = |group: &str| self.group(model, by.as_deref(), group);
        let words: Composed<Vec<String>> = group.split(MINUS).map(named).collect();
        Ok(words?.join(MINUS))
    }

    /// Estimate and interval, or the status in their place.
    pub(super) fn interval_cells(
        &self,
        numbers: [Number; 3],
        status: Status,
        digits: usize,
    ) -> Composed<[String; 2]> {
        let show = |x: f64| self.locale.decimals(x, digits);
        Ok(match numbers {
            [Some(x), Some(low), Some(high)] => {
                [show(x), self.locale.span(&show(low), &show(high))]
            }
            [Some(x), _, _] => [show(x), String::new()],
            _ => ["–".into(), self.status_words(status)?],
        })
    }

    fn curve_figures(
        &mut self,
        model: &ModelResult,
        groups: &[Followed],
        rows: &[CurveRow],
        [by, event, level]: [&str; 3],
    ) -> Composed<Vec<Block>> {
        let curve = |group| self.curve(model, group, rows);
        let curves = groups.iter().map(curve).collect::<Composed<Vec<_>>>()?;
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

    fn curve(&self, model: &ModelResult, group: &Followed, rows: &[CurveRow]) -> Composed<Curve> {
        let year = model.year_days();
        let point = |row: &CurveRow| {
            Some(CurvePoint {
                time: row.time? / year,
                estimate: row.estimate?,
                band: row.conf_low.zip(row.conf_high),
                n_risk: row.n_risk?,
                left: row.n_event.unwrap_or(0.0) + row.n_censor.unwrap_or(0.0),
            })
        };
        Ok(Curve {
            label: self.group(model, model.by.as_deref(), &group.group)?,
            persons: group.n.unwrap_or(0.0),
            points: rows.iter().filter(|r| r.group == group.group).filter_map(point).collect(),
        })
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
        for test in estimate.rows::<Test>() {
            let (Some(statistic), Some(df), Some(p)) = (test.statistic, test.df, test.p_value)
            else {
                continue;
            };
            let values = [
                ("statistic", self.locale.decimals(statistic, 2)),
                ("df", self.locale.count(df)),
                ("p", self.locale.p_sentence(p)),
            ];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            blocks.push(Block::Paragraph { text: self.say("log_rank.sentence", &values)? });
        }
        let groups: Vec<Compared> = estimate.rows();
        if !groups.is_empty() {
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
            let shown = |x: Number, digits: usize| {
                x.map_or_else(|| "–".to_owned(), |x| self.locale.decimals(x, digits))
            };
            for row in groups {
                let cells = vec![
                    self.group(model, model.by.as_deref(), &row.group)?,
                    shown(row.n, 0),
                    shown(row.observed, 0),
                    shown(row.expected, 1),
                    shown(row.ratio, 2),
                ];
                printed.row("body", cells);
            }
            blocks.push(Block::Table(printed));
        }
        blocks.extend(self.further_tables(model, estimate, &[Trend::TABLE, Peto::TABLE])?);
        Ok(blocks)
    }
}
