//! Pages of incidence: the yearbook table, curves over age and calendar time, the Lexis map.

use tributary_core::{
    estimate::{Estimate, Number, Row, Shown, Table},
    rows,
};
use tributary_models::{
    age_period_cohort::{AgeEffect, CohortEffect, LexisRate, PeriodEffect},
    incidence_rates::{ALL_AGES, AgeRate, StandardisedRate, UnknownAge},
    joinpoint::SeriesYear,
    prevalence::{ALL, Prevalent},
    projection::{PROJECTED, ProjectedCases, ProjectedRate},
    quality_indicators::{IndicatorShare, MortalityRatio},
    rate_trend::YearRate,
    site_rates::SiteRate,
};
use tributary_stats::between::funnel_limits;

use super::{Block, Composed, Composer, yearbook::distinct};
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

/// Tables that a page or a figure lays out, or that are in the table files only.
const LAID_OUT: [&str; 10] = [
    AgeRate::TABLE,
    UnknownAge::TABLE,
    Prevalent::TABLE,
    ProjectedCases::TABLE,
    LexisRate::TABLE,
    AgeEffect::TABLE,
    PeriodEffect::TABLE,
    CohortEffect::TABLE,
    IndicatorShare::TABLE,
    MortalityRatio::TABLE,
];

rows! {
    /// What a row of [`YearRate`], [`SeriesYear`] or [`ProjectedRate`] tells of a year: the rate that was seen, and that of a model.
    struct DrawnYear in "series" {
        group: String,
        sex: String,
        year: Number,
        source: String,
        rate: Number,
        conf_low: Number,
        conf_high: Number,
        modelled: Number,
    }

    /// A row of [`AgeEffect`], [`PeriodEffect`] or [`CohortEffect`].
    struct DrawnEffect in "effects" {
        group: String,
        sex: String,
        age: Number,
        period: Number,
        cohort: Number,
        rate: Number,
        rate_ratio: Number,
        conf_low: Number,
        conf_high: Number,
    }
}

impl Composer<'_> {
    /// Each kind of table as it is laid out or drawn, then the other tables column by column.
    pub(super) fn incidence(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let mut blocks = self.yearbook(model, estimate)?;
        let in_yearbook = !blocks.is_empty();
        blocks.extend(self.age_curve(model, estimate)?);
        blocks.extend(self.series_figures(model, estimate)?);
        blocks.extend(self.prevalence_tables(model, estimate)?);
        blocks.extend(self.lexis_map(model, estimate)?);
        blocks.extend(self.effect_figures(model, estimate)?);
        blocks.extend(self.quality(model, estimate)?);
        blocks.extend(self.ratios_figure(model, estimate)?);
        blocks.extend(self.funnel_figure(model, estimate)?);
        for table in &estimate.tables {
            let name = table.name.as_str();
            // The standardised rates stand in the yearbook; what is too long to read beside it is in the table files.
            let told =
                in_yearbook && (name == StandardisedRate::TABLE || table.rows.len() > LONGEST);
            let printed = table.shown == Shown::Page && !LAID_OUT.contains(&name);
            if printed && !told && !table.rows.is_empty() {
                blocks.push(self.columns(model, table)?);
            }
        }
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
        let rows: Vec<Prevalent> = estimate.rows();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let longest = rows.iter().filter_map(|r| r.duration).fold(0.0, f64::max);
        let part = |name: &str, keep: &dyn Fn(&&Prevalent) -> bool| Table {
            name: name.to_owned(),
            ..Table::of(rows.iter().filter(keep).cloned())
        };
        let all = part(Prevalent::TABLE, &|r| r.age == ALL);
        let ages = part("prevalence_by_age", &|r| {
            r.duration == Some(longest) && r.age != ALL && r.sex == ALL && r.prevalent != Some(0.0)
        });
        [all, ages].iter().map(|t| self.columns(model, t)).collect()
    }

    /// Rates by age: a line per sex, or per group where cases are split; the last period.
    fn age_curve(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let rates: Vec<AgeRate> = estimate.rows();
        let Some(period) = rates.last().map(|r| r.period.as_str()) else { return Ok(Vec::new()) };
        let split = model.by.is_some();
        let mut marks: Vec<(f64, String)> = Vec::new();
        let mut series: Vec<(String, Series)> = Vec::new();
        for row in &rates {
            let age = row.age.as_str();
            if age == ALL_AGES || row.period != period || (split && row.sex != "all") {
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
            let rate = row.rate.unwrap_or(f64::NAN);
            let key = if split { &row.group } else { &row.sex }.to_owned();
            let band = row.conf_low.zip(row.conf_high).filter(|_| !split);
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
            self.say("incidence.age_caption", &[("period", period), ("limits", &limits)])?;
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

    /// Observed rates by year as dots, modelled ones as lines. One figure per group and sex.
    fn series_figures(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let tables = [YearRate::TABLE, SeriesYear::TABLE, ProjectedRate::TABLE];
        let tables = tables.into_iter().filter_map(|name| estimate.table(name));
        let rows: Vec<DrawnYear> = tables.flat_map(Table::rows_of).collect();
        // What lies ahead was not observed: its interval belongs to the line.
        let is_ahead = |row: &DrawnYear| row.source == PROJECTED;
        let line = if rows.iter().any(is_ahead) { "projected" } else { "modelled" };
        let (observed, modelled) =
            (self.word("incidence.observed")?, self.word(&format!("incidence.{line}"))?);
        let mut blocks = Vec::new();
        let whose = distinct(rows.iter().map(|row| (row.group.as_str(), row.sex.as_str())));
        for (i, (group, sex)) in whose.into_iter().enumerate() {
            let (mut dots, mut line) = (Vec::new(), Vec::new());
            for row in rows.iter().filter(|row| row.group == group && row.sex == sex) {
                let Some(year) = row.year else { continue };
                let (band, ahead) = (row.conf_low.zip(row.conf_high), is_ahead(row));
                dots.extend(row.rate.filter(|_| !ahead).map(|rate| (year, rate, band)));
                line.extend(row.modelled.map(|rate| (year, rate, band.filter(|_| ahead))));
            }
            let drawn = |label: &String, points, dots| Series {
                label: label.clone(),
                points,
                numbers: Vec::new(),
                dots,
            };
            let mut series = vec![drawn(&observed, dots, true), drawn(&modelled, line, false)];
            series.retain(|s| s.points.len() > 1);
            let all = || series.iter().flat_map(|s| &s.points);
            let top = all().map(|p| p.2.map_or(p.1, |b| b.1)).fold(0.0, f64::max);
            let years = all()
                .map(|p| p.0)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
            if series.is_empty() || top <= 0.0 {
                continue;
            }
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

    /// Effects of an age–period–cohort model over their axes.
    fn effect_figures(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        for (name, axes) in [
            (AgeEffect::TABLE, ["age", "rate"]),
            (PeriodEffect::TABLE, ["period", "rate_ratio"]),
            (CohortEffect::TABLE, ["cohort", "rate_ratio"]),
        ] {
            if let Some(table) = estimate.table(name).filter(|t| t.rows.len() > 1) {
                blocks.extend(self.effect_figure(model, name, axes, &table.rows_of())?);
            }
        }
        Ok(blocks)
    }

    /// An effect with its band; of the first group and both sexes.
    fn effect_figure(
        &mut self,
        model: &ModelResult,
        name: &str,
        [x, y]: [&str; 2],
        rows: &[DrawnEffect],
    ) -> Composed<Option<Block>> {
        let of_first = |r: &&DrawnEffect| r.group == rows[0].group && r.sex == rows[0].sex;
        let point = |r: &DrawnEffect| {
            let (x, y) = (r.age.or(r.period).or(r.cohort)?, r.rate.or(r.rate_ratio)?);
            Some((x, y, r.conf_low.zip(r.conf_high)))
        };
        let points: Vec<LinePoint> = rows.iter().filter(of_first).filter_map(point).collect();
        let Some((first, last)) = points.first().zip(points.last()) else { return Ok(None) };
        let marks = spaced_marks(first.0, last.0, 8);
        // Bands of the outermost cohorts are so wide that they would hide the rest.
        let highest = points.iter().map(|p| p.1).fold(0.0, f64::max);
        let top =
            points.iter().map(|p| p.2.map_or(p.1, |b| b.1)).fold(0.0, f64::max).min(2.0 * highest);
        let series =
            vec![Series { label: String::new(), points, numbers: Vec::new(), dots: false }];
        let caption =
            self.say(&format!("incidence.{name}"), &[("level", &self.level_words(model))])?;
        let words = [self.head(x), self.head(y), caption];
        Ok(Some(self.line_block(model, name, series, marks, (0.0, 1.05 * top), words)))
    }

    fn lexis_map(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Vec<Block>> {
        let rows: Vec<LexisRate> = estimate.rows();
        if rows.len() <= 3 {
            return Ok(Vec::new());
        }
        let of_first = |r: &&LexisRate| r.group == rows[0].group && r.sex == rows[0].sex;
        let of_first = rows.iter().filter(of_first);
        let cells = of_first.filter_map(|r| Some((r.period?, r.age?, r.rate))).collect();
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
        let sites: Vec<SiteRate> = estimate.rows();
        if sites.len() < 2 {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for site in sites {
            let positive = |x: Number| x.filter(|x| *x > 0.0).map(f64::ln);
            let effect = positive(site.ratio).zip(positive(site.ratio_low));
            let effect =
                effect.zip(positive(site.ratio_high)).map(|((r, low), high)| [r, low, high]);
            let text = match effect {
                Some(e) => self.locale.with_interval(e.map(f64::exp)),
                None => self.status_words(site.status)?,
            };
            rows.push(ForestRow {
                label: site.site,
                effect,
                weight: None,
                pooled: false,
                prediction: None,
                text,
                second: site.cases.map_or_else(String::new, |n| self.locale.count(n)),
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
        let sites: Vec<SiteRate> = estimate.rows();
        let points: Vec<LinePoint> =
            sites.iter().filter_map(|site| Some((site.expected?, site.ratio?, None))).collect();
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
