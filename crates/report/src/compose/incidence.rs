//! Pages of incidence: the yearbook table, curves over age and calendar time, the Lexis map.

use tributary_core::estimate::{Estimate, Table};
use tributary_stats::between::funnel_limits;

use super::{Block, Composed, Composer};
use crate::{
    figure::{
        ForestPlot, ForestRow, HeatMap, LinePlot, LinePoint, Series, forest, heat, lines,
        spaced_marks,
    },
    results::ModelResult,
};

/// Fewest sites of a funnel.
const FEWEST_IN_FUNNEL: usize = 5;
/// Most rows of a table beside the yearbook.
const LONGEST: usize = 24;
/// Most lines in one figure.
const MOST_LINES: usize = 6;

impl Composer<'_> {
    pub(super) fn incidence(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        match model.kind.as_str() {
            "incidence_rates" => {
                blocks.extend(self.yearbook(model, estimate)?);
                blocks.extend(self.age_curve(model, estimate)?);
                // The standardised rates stand in the yearbook; what is too long to read is in the table files.
                let short =
                    |name: &&str| estimate.table(name).is_some_and(|t| t.rows.len() <= LONGEST);
                let rest: Vec<&str> =
                    ["cumulative", "sex_ratio"].into_iter().filter(short).collect();
                blocks.extend(self.further_tables(model, estimate, &rest)?);
                return Ok(blocks);
            }
            "rate_trend" => blocks.extend(self.series_figure(model, estimate, "yearly")?),
            "joinpoint" => blocks.extend(self.series_figure(model, estimate, "series")?),
            "prevalence" => {
                blocks.extend(self.prevalence_tables(model, estimate)?);
                let rest = ["standardised_prevalence"];
                blocks.extend(self.further_tables(model, estimate, &rest)?);
                return Ok(blocks);
            }
            "projection" => {
                blocks.extend(self.series_figure(model, estimate, "standardised_rates")?);
                let tables = ["standardised_rates", "change", "base"];
                blocks.extend(self.further_tables(model, estimate, &tables)?);
                return Ok(blocks);
            }
            "age_period_cohort" => {
                blocks.extend(self.lexis_map(model, estimate)?);
                for (table, x) in [
                    ("age_effects", "age"),
                    ("period_effects", "period"),
                    ("cohort_effects", "cohort"),
                ] {
                    blocks.extend(self.effect_figure(model, estimate, table, x)?);
                }
                blocks.extend(self.further_tables(
                    model,
                    estimate,
                    &["drift", "models", "tests", "local_drifts"],
                )?);
                return Ok(blocks);
            }
            "quality_indicators" => return self.quality(model, estimate),
            "site_rates" => {
                blocks.extend(self.ratios_figure(model, estimate)?);
                blocks.extend(self.funnel_figure(model, estimate)?);
            }
            _ => {}
        }
        blocks.extend(self.further(model, estimate)?);
        Ok(blocks)
    }

    /// Whose rates: of one sex, of both, or of all where sexes are not told apart.
    pub(super) fn who(&self, model: &ModelResult, sex: &str) -> Composed<String> {
        match (sex, Self::sex_variable(model).is_some()) {
            ("all", true) => self.word("incidence.both"),
            ("all", false) => self.word("incidence.all"),
            _ => Ok(self.sex_label(model, sex)),
        }
    }

    /// The variable by which sexes are told apart.
    pub(super) fn sex_variable(model: &ModelResult) -> Option<&str> {
        ["/incidence/sex", "/sex"]
            .into_iter()
            .find_map(|p| model.options.pointer(p).and_then(|v| v.as_str()))
    }

    pub(super) fn sex_label(&self, model: &ModelResult, sex: &str) -> String {
        let variable = Self::sex_variable(model).and_then(|name| self.results.dictionary.get(name));
        variable.map_or_else(|| sex.to_owned(), |v| v.level_label(sex).to_owned())
    }

    /// Label of what a comparison compares: a sex, or a level of the variable that splits the cases, or a period.
    pub(super) fn compared_label(&self, model: &ModelResult, level: &str) -> String {
        if model.options.pointer("/between").and_then(|v| v.as_str()) == Some("sexes") {
            return self.sex_label(model, level);
        }
        let by = model.by.as_deref().and_then(|by| self.results.dictionary.get(by));
        by.filter(|v| v.model_levels().iter().any(|l| l == level))
            .map_or_else(|| level.to_owned(), |variable| variable.level_label(level).to_owned())
    }

    /// All ages together by duration, and the ages of the longest duration; the rest is in the table file.
    fn prevalence_tables(&self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table("prevalence") else { return Ok(Vec::new()) };
        let rows = || 0..table.rows.len();
        let longest = rows().filter_map(|r| table.number(r, "duration")).fold(0.0, f64::max);
        let part = |name: &str, keep: &dyn Fn(usize) -> bool| {
            let rows = rows().filter(|&r| keep(r)).map(|r| table.rows[r].clone()).collect();
            Table { name: name.to_owned(), rows, ..table.clone() }
        };
        let all = part("prevalence", &|r| table.text(r, "age") == "all");
        let ages = part("prevalence_by_age", &|r| {
            table.number(r, "duration") == Some(longest)
                && table.text(r, "age") != "all"
                && table.text(r, "sex") == "all"
                && table.number(r, "prevalent") != Some(0.0)
        });
        [all, ages].iter().map(|t| self.columns(model, t)).collect()
    }

    /// Rates by age: a line per sex, or per group where cases are split; the last period.
    fn age_curve(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let Some(rates) = estimate.table("rates").filter(|t| !t.rows.is_empty()) else {
            return Ok(Vec::new());
        };
        let split = model.by.is_some();
        let period = rates.text(rates.rows.len() - 1, "period").to_owned();
        let mut marks: Vec<(f64, String)> = Vec::new();
        let mut series: Vec<(String, Series)> = Vec::new();
        for row in 0..rates.rows.len() {
            let age = rates.text(row, "age");
            let (sex, group) = (rates.text(row, "sex"), rates.text(row, "group"));
            if age == "all" || rates.text(row, "period") != period || (split && sex != "all") {
                continue;
            }
            let place = match marks.iter().find(|(_, label)| label == age) {
                Some((x, _)) => *x,
                None => {
                    marks.push((marks.len() as f64, age.to_owned()));
                    marks.len() as f64 - 1.0
                }
            };
            // A rate that is hidden is a gap, and not bridged.
            let rate = rates.number(row, "rate").unwrap_or(f64::NAN);
            let key = if split { group } else { sex }.to_owned();
            let band = rates
                .number(row, "conf_low")
                .zip(rates.number(row, "conf_high"))
                .filter(|_| !split);
            let point = (place, rate, band);
            match series.iter_mut().find(|(k, _)| *k == key) {
                Some((_, s)) => s.points.push(point),
                None => {
                    let label = match (split, key.as_str()) {
                        (true, _) => self.group(model, model.by.as_deref(), &key)?,
                        (false, _) => self.who(model, &key)?,
                    };
                    let s = Series { label, points: vec![point], numbers: Vec::new(), dots: false };
                    series.push((key, s));
                }
            }
        }
        // The groups with the highest rates.
        let peak = |s: &Series| s.points.iter().map(|p| p.1).fold(0.0, f64::max);
        series.sort_by(|a, b| {
            if split { peak(&b.1).total_cmp(&peak(&a.1)) } else { std::cmp::Ordering::Equal }
        });
        series.retain(|s| s.1.points.iter().any(|p| p.1.is_finite()));
        series.truncate(MOST_LINES);
        let series: Vec<Series> = series.into_iter().map(|s| s.1).collect();
        let top = series
            .iter()
            .flat_map(|s| s.points.iter().map(|p| p.2.map_or(p.1, |b| b.1)))
            .fold(0.0, f64::max);
        if marks.len() < 2 || top <= 0.0 {
            return Ok(Vec::new());
        }
        let per = self.per(estimate);
        let limits = if split {
            String::new()
        } else {
            self.say("incidence.age_limits", &[("level", &self.level_words(model))])?
        };
        let caption =
            self.say("incidence.age_caption", &[("period", &period), ("limits", &limits)])?;
        let y_label = self.say("incidence.rate_label", &[("per", &per)])?;
        let x_label = self.head("age");
        Ok(vec![self.line_block(
            model,
            "ages",
            series,
            marks,
            (0.0, 1.05 * top),
            [x_label, y_label, caption],
        )])
    }

    fn line_block(
        &mut self,
        model: &ModelResult,
        name: &str,
        series: Vec<Series>,
        x_marks: Vec<(f64, String)>,
        y: (f64, f64),
        [x_label, y_label, caption]: [String; 3],
    ) -> Block {
        let alt = series
            .iter()
            .filter_map(|s| {
                let (x, y, _) = s.points.iter().rfind(|p| p.1.is_finite())?;
                Some(format!(
                    "{} {} ({})",
                    s.label,
                    self.locale.ratio(*y),
                    self.locale.decimals(*x, 0)
                ))
            })
            .collect::<Vec<_>>()
            .join("; ");
        let plot = LinePlot {
            series,
            steps: false,
            x_marks,
            y,
            percent: false,
            across: None,
            x_label,
            y_label,
            numbers_label: String::new(),
            labels: Vec::new(),
            missing: self.missing.clone(),
        };
        self.place(format!("{}.{name}", model.id), lines(&plot), caption, alt)
    }

    /// Observed rates by year as dots; of joinpoint models the modelled ones as lines. One figure per group and sex.
    fn series_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
        name: &str,
    ) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table(name) else { return Ok(Vec::new()) };
        let mut figures: Vec<(String, Vec<Series>)> = Vec::new();
        let line = if model.kind == "projection" { "projected" } else { "modelled" };
        let (observed, modelled) =
            (self.word("incidence.observed")?, self.word(&format!("incidence.{line}"))?);
        for row in 0..table.rows.len() {
            let key = format!("{}|{}", table.text(row, "group"), table.text(row, "sex"));
            if !figures.iter().any(|(k, _)| *k == key) {
                let empty = |label: &String, dots| Series {
                    label: label.clone(),
                    points: Vec::new(),
                    numbers: Vec::new(),
                    dots,
                };
                figures.push((key.clone(), vec![empty(&observed, true), empty(&modelled, false)]));
            }
            let Some((_, series)) = figures.iter_mut().find(|(k, _)| *k == key) else { continue };
            let Some(year) = table.number(row, "year") else { continue };
            let number = |c: &str| table.number(row, c);
            let band = number("conf_low").zip(number("conf_high"));
            // What lies ahead was not observed: its interval belongs to the line.
            let ahead = table.text(row, "source") == "projected";
            if let Some(rate) = number("rate").filter(|_| !ahead) {
                series[0].points.push((year, rate, band));
            }
            if let Some(rate) = number("modelled") {
                series[1].points.push((year, rate, band.filter(|_| ahead)));
            }
        }
        let mut blocks = Vec::new();
        for (i, (key, series)) in figures.into_iter().enumerate() {
            let series: Vec<Series> = series.into_iter().filter(|s| s.points.len() > 1).collect();
            let all = || series.iter().flat_map(|s| &s.points);
            let top = all().map(|p| p.2.map_or(p.1, |b| b.1)).fold(0.0, f64::max);
            let years = all()
                .map(|p| p.0)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
            if series.is_empty() || top <= 0.0 {
                continue;
            }
            let (group, sex) = key.split_once('|').unwrap_or((&key, "all"));
            let who = self.who(model, sex)?;
            let whose = match self.group(model, model.by.as_deref(), group)? {
                group if group.to_lowercase() == who => group,
                group => format!("{group}, {who}"),
            };
            let values = [("whose", whose.as_str()), ("level", &self.level_words(model))];
            let caption = self.say("incidence.series_caption", &values)?;
            let marks = spaced_marks(years.0, years.1, 8);
            let y_label = self.word("incidence.series_label")?;
            let words = [self.head("year"), y_label, caption];
            let name = format!("series{}", i + 1);
            blocks.push(self.line_block(model, &name, series, marks, (0.0, 1.05 * top), words));
        }
        Ok(blocks)
    }

    /// An effect of an age–period–cohort model over its axis, with its band; the first group and both sexes.
    fn effect_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
        name: &str,
        x: &str,
    ) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table(name).filter(|t| t.rows.len() > 1) else {
            return Ok(Vec::new());
        };
        let value = if x == "age" { "rate" } else { "rate_ratio" };
        let (group, sex) = (table.text(0, "group").to_owned(), table.text(0, "sex").to_owned());
        let points: Vec<LinePoint> = (0..table.rows.len())
            .filter(|&r| table.text(r, "group") == group && table.text(r, "sex") == sex)
            .filter_map(|r| {
                let number = |c: &str| table.number(r, c);
                Some((number(x)?, number(value)?, number("conf_low").zip(number("conf_high"))))
            })
            .collect();
        let Some((first, last)) = points.first().zip(points.last()) else { return Ok(Vec::new()) };
        let marks = spaced_marks(first.0, last.0, 8);
        // Bands of the outermost cohorts are so wide that they would hide the rest.
        let highest = points.iter().map(|p| p.1).fold(0.0, f64::max);
        let top =
            points.iter().map(|p| p.2.map_or(p.1, |b| b.1)).fold(0.0, f64::max).min(2.0 * highest);
        let series =
            vec![Series { label: String::new(), points, numbers: Vec::new(), dots: false }];
        let caption =
            self.say(&format!("incidence.{name}"), &[("level", &self.level_words(model))])?;
        let words = [self.head(x), self.head(value), caption];
        Ok(vec![self.line_block(model, name, series, marks, (0.0, 1.05 * top), words)])
    }

    fn lexis_map(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table("lexis").filter(|t| t.rows.len() > 3) else {
            return Ok(Vec::new());
        };
        let (group, sex) = (table.text(0, "group").to_owned(), table.text(0, "sex").to_owned());
        let cells: Vec<(f64, f64, Option<f64>)> = (0..table.rows.len())
            .filter(|&r| table.text(r, "group") == group && table.text(r, "sex") == sex)
            .filter_map(|r| {
                Some((table.number(r, "period")?, table.number(r, "age")?, table.number(r, "rate")))
            })
            .collect();
        let map = HeatMap {
            cells,
            x_label: self.head("year"),
            y_label: self.head("age"),
            scale_label: self.head("rate"),
            missing: self.missing.clone(),
        };
        let caption = self.word("incidence.lexis_caption")?;
        let alt = caption.clone();
        Ok(vec![self.place(format!("{}.lexis", model.id), heat(&map), caption, alt)])
    }

    /// Observed over expected cases of each site.
    fn ratios_figure(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table("sites").filter(|t| t.rows.len() > 1) else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for row in 0..table.rows.len() {
            let number = |c: &str| table.number(row, c).filter(|x| *x > 0.0);
            let effect = number("ratio").zip(number("ratio_low")).zip(number("ratio_high"));
            let effect = effect.map(|((r, low), high)| [r, low, high].map(f64::ln));
            let text = match effect {
                Some(e) => self.locale.with_interval(e.map(f64::exp)),
                None => self.status(table, row)?,
            };
            rows.push(ForestRow {
                label: table.text(row, "site").to_owned(),
                effect,
                weight: None,
                pooled: false,
                prediction: None,
                text,
                second: table
                    .number(row, "cases")
                    .map_or_else(String::new, |n| self.locale.count(n)),
            });
        }
        let label = self.head("ratio");
        let plot = ForestPlot {
            rows,
            headings: [self.head("site"), label.clone(), self.head("cases")],
            x_label: label,
            sides: [String::new(), String::new()],
            linear: false,
        };
        let alt = plot
            .rows
            .iter()
            .map(|r| format!("{} {}", r.label, r.text))
            .collect::<Vec<_>>()
            .join("; ");
        let caption =
            self.say("incidence.ratios_caption", &[("level", &self.level_words(model))])?;
        Ok(vec![self.place(format!("{}.sites", model.id), forest(&plot), caption, alt)])
    }

    /// Funnel of the sites: ratio against expected cases, with the limits within which chance alone would keep them.
    fn funnel_figure(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let Some(table) = estimate.table("sites") else { return Ok(Vec::new()) };
        let points: Vec<LinePoint> = (0..table.rows.len())
            .filter_map(|r| Some((table.number(r, "expected")?, table.number(r, "ratio")?, None)))
            .collect();
        let most = points.iter().map(|p| p.0).fold(0.0, f64::max);
        if points.len() < FEWEST_IN_FUNNEL || most <= 0.0 {
            return Ok(Vec::new());
        }
        let total: f64 = points.iter().map(|p| p.0 * p.1).sum();
        let ratio = total / points.iter().map(|p| p.0).sum::<f64>();
        let curve = |level: f64, side: usize| -> Vec<LinePoint> {
            let at = |i: i32| 1.05 * most * (f64::from(i) / 200.0).powi(2);
            (6..=200).map(|i| (at(i), funnel_limits(ratio, at(i), level)[side], None)).collect()
        };
        let line =
            |label: String, points, dots| Series { label, points, numbers: Vec::new(), dots };
        let mut series = vec![line(self.word("incidence.funnel_sites")?, points.clone(), true)];
        for (level, key) in [(0.95, "incidence.funnel_inner"), (0.998, "incidence.funnel_outer")] {
            for side in [1, 0] {
                let label = if side == 1 { self.word(key)? } else { String::new() };
                series.push(line(label, curve(level, side), false));
            }
        }
        let top = points.iter().map(|p| p.1).fold(2.0 * ratio, f64::max);
        let words =
            [self.head("expected"), self.head("ratio"), self.word("incidence.funnel_caption")?];
        let marks = spaced_marks(0.0, 1.05 * most, 8);
        Ok(vec![self.line_block(model, "funnel", series, marks, (0.0, 1.05 * top), words)])
    }
}
