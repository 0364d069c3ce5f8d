//! The page of published studies: a forest plot, and the tables that the other pages lay out too.

use tributary_core::estimate::{Estimate, Table};

use super::{Block, Composed, Composer};
use crate::{
    figure::{
        ForestPlot, ForestRow, HeatMap, LinePlot, LinePoint, Series, forest, heat, lines,
        spaced_marks,
    },
    results::ModelResult,
};

/// Measures whose effects are logarithms of ratios.
const RATIOS: [&str; 6] = ["OR", "RR", "PETO", "IRR", "PLN", "HR"];

impl Composer<'_> {
    pub(super) fn published(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let mut blocks = Vec::new();
        let measure =
            model.options.get("measure").and_then(|m| m.as_str()).unwrap_or_default().to_owned();
        if let (Some(studies), Some(pooled)) = (estimate.table("studies"), estimate.table("pooled"))
        {
            let plot = self.studies_plot(studies, pooled, &measure)?;
            let alt = plot
                .rows
                .iter()
                .map(|r| format!("{} {}", r.label, r.text))
                .collect::<Vec<_>>()
                .join("; ");
            let name = self.word(&format!("measure.{measure}"))?;
            let level = self.level_words(model);
            let values = [("measure", name.as_str()), ("level", &level)];
            let caption = self.say("meta.caption_published", &values)?;
            blocks.push(self.place(format!("{}.forest", model.id), forest(&plot), caption, alt));
        }
        blocks.extend(self.dose_figure(model, estimate)?);
        blocks.extend(self.radial_figure(model, estimate)?);
        blocks.extend(self.baujat_figure(model, estimate)?);
        blocks.extend(self.subsets_figure(model, estimate)?);
        blocks.extend(self.further(model, estimate)?);
        Ok(blocks)
    }

    fn scatter(
        &mut self,
        model: &ModelResult,
        name: &str,
        series: Vec<Series>,
        labels: Vec<(f64, f64, String)>,
        y: (f64, f64),
        words: [String; 3],
    ) -> Block {
        let [x_label, y_label, caption] = words;
        let all = series.iter().flat_map(|s| &s.points).map(|p| p.0);
        let (low, high) = all.fold((0.0_f64, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let plot = LinePlot {
            series,
            steps: false,
            x_marks: spaced_marks(low, high, 8),
            y,
            percent: false,
            across: None,
            x_label,
            y_label,
            numbers_label: String::new(),
            labels,
            missing: self.missing.clone(),
        };
        let alt = caption.clone();
        self.place(format!("{}.{name}", model.id), lines(&plot), caption, alt)
    }

    /// Ratio by dose: the average line, and the spline where there is one.
    fn dose_figure(&mut self, model: &ModelResult, estimate: &Estimate) -> Composed<Option<Block>> {
        let Some(table) = estimate.table("dose_response") else { return Ok(None) };
        let mut series: Vec<Series> = Vec::new();
        for form in ["line", "spline"] {
            let rows = (0..table.rows.len()).filter(|&r| table.text(r, "form") == form);
            let points: Vec<LinePoint> = rows
                .filter_map(|r| {
                    let number = |c: &str| table.number(r, c);
                    let band = number("conf_low").zip(number("conf_high"));
                    Some((number("dose")?, number("ratio")?, band))
                })
                .collect();
            if points.len() > 1 {
                let label = self.word(&format!("meta.dose_{form}"))?;
                series.push(Series { label, points, numbers: Vec::new(), dots: false });
            }
        }
        if series.is_empty() {
            return Ok(None);
        }
        let highest = |f: fn(&LinePoint) -> f64| {
            series.iter().flat_map(|s| &s.points).map(f).fold(0.0, f64::max)
        };
        // Wide bands at the ends would press the curves flat.
        let top = highest(|p| p.2.map_or(p.1, |b| b.1)).min(2.5 * highest(|p| p.1));
        let caption = self.say("meta.dose_caption", &[("level", &self.level_words(model))])?;
        let words = [self.head("dose"), self.head("ratio_of_dose"), caption];
        Ok(Some(self.scatter(model, "dose", series, Vec::new(), (0.0, 1.05 * top), words)))
    }

    /// Galbraith's radial plot of the first random-effects method.
    fn radial_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Option<Block>> {
        let (Some(studies), Some(pooled)) = (estimate.table("studies"), estimate.table("pooled"))
        else {
            return Ok(None);
        };
        let of_row = |r: usize| Some((pooled.number(r, "estimate")?, pooled.number(r, "tau2")?));
        // The common effect stands first; it is drawn where no other method has a variance between studies.
        let Some((mean, tau2)) = (1..pooled.rows.len()).chain(0..1).find_map(of_row) else {
            return Ok(None);
        };
        let points: Vec<LinePoint> = (0..studies.rows.len())
            .filter_map(|r| {
                let (y, se) = (studies.number(r, "estimate")?, studies.number(r, "std_error")?);
                let x = 1.0 / (se * se + tau2).sqrt();
                Some((x, y * x, None))
            })
            .collect();
        if points.len() < 3 {
            return Ok(None);
        }
        let right = points.iter().map(|p| p.0).fold(0.0, f64::max);
        let line = |label: String, shift: f64| Series {
            label,
            points: vec![(0.0, shift, None), (right, mean * right + shift, None)],
            numbers: Vec::new(),
            dots: false,
        };
        let dots = Series {
            label: self.word("meta.radial_studies")?,
            points,
            numbers: Vec::new(),
            dots: true,
        };
        let series = vec![
            dots,
            line(self.word("meta.radial_mean")?, 0.0),
            line(self.word("meta.radial_limits")?, 1.96),
            line(String::new(), -1.96),
        ];
        let all = || series.iter().flat_map(|s| &s.points).map(|p| p.1);
        let (low, high) = (all().fold(0.0, f64::min), all().fold(0.0, f64::max));
        let room = 0.05 * (high - low);
        let words = [
            self.word("meta.radial_x")?,
            self.word("meta.radial_y")?,
            self.word("meta.radial_caption")?,
        ];
        let y = (low - room, high + room);
        Ok(Some(self.scatter(model, "radial", series, Vec::new(), y, words)))
    }

    /// Baujat's plot: what each study adds to Q against what it moves; the five that stand out are named.
    fn baujat_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Option<Block>> {
        let Some(table) = estimate.table("influence").filter(|t| t.rows.len() >= 3) else {
            return Ok(None);
        };
        let mut found: Vec<(f64, f64, String)> = (0..table.rows.len())
            .filter_map(|r| {
                let study = table.text(r, "study").to_owned();
                Some((table.number(r, "q_share")?, table.number(r, "change")?, study))
            })
            .collect();
        let points = found.iter().map(|f| (f.0, f.1, None)).collect();
        let top = found.iter().map(|f| f.1).fold(0.0, f64::max);
        found.sort_by(|a, b| (b.0 * b.1).total_cmp(&(a.0 * a.1)));
        found.truncate(5);
        let series = vec![Series { label: String::new(), points, numbers: Vec::new(), dots: true }];
        let words = [
            self.word("meta.baujat_x")?,
            self.word("meta.baujat_y")?,
            self.word("meta.baujat_caption")?,
        ];
        Ok(Some(self.scatter(model, "baujat", series, found, (0.0, (1.1 * top).max(1e-9)), words)))
    }

    /// Pooled effect and I² over all subsets of the studies.
    fn subsets_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Option<Block>> {
        let Some(table) = estimate.table("subset_density") else { return Ok(None) };
        let cells = (0..table.rows.len())
            .filter_map(|r| {
                let n = table.number(r, "subsets")?;
                // Many cells hold few: by the logarithm they are seen too.
                let shade = (n > 0.0).then(|| n.log10());
                Some((table.number(r, "estimate")?, 100.0 * table.number(r, "i2")?, shade))
            })
            .collect();
        let map = HeatMap {
            cells,
            x_label: self.head("estimate"),
            y_label: self.word("meta.subsets_y")?,
            scale_label: self.word("meta.subsets_scale")?,
            // A cell without subsets is nothing that is hidden.
            missing: crate::figure::Missing::default(),
        };
        let caption = self.word("meta.subsets_caption")?;
        let alt = caption.clone();
        Ok(Some(self.place(format!("{}.subsets", model.id), heat(&map), caption, alt)))
    }

    /// The pooled effect of the first method after the common effect, with what a new study may find; and how far studies differ.
    pub(super) fn published_answer(&self, model: &ModelResult) -> Composed<Vec<String>> {
        let none = || Ok(vec![self.word("answer.none")?]);
        let pooled = model.estimate().and_then(|e| e.table("pooled"));
        let Some(pooled) = pooled else { return none() };
        let found = |row: &usize| pooled.number(*row, "estimate").is_some();
        let Some(row) = (1..pooled.rows.len()).find(found).or_else(|| Some(0).filter(found)) else {
            return none();
        };
        let measure = model.options.get("measure").and_then(|m| m.as_str()).unwrap_or_default();
        let ratios = RATIOS.contains(&measure);
        let show = |column: &str| {
            let shown = pooled.number(row, column).map(|x| {
                if ratios { self.locale.ratio(x.exp()) } else { self.locale.decimals(x, 3) }
            });
            shown.unwrap_or_else(|| "–".into())
        };
        let method = self.word(&format!("meta.{}", pooled.text(row, "method")))?;
        let test = self.word(&format!("meta.{}", pooled.text(row, "test")))?;
        let k = self.locale.count(pooled.number(row, "k").unwrap_or(0.0));
        let name = self.word(&format!("measure.{measure}"))?;
        let values = [
            ("measure", name),
            ("x", show("estimate")),
            ("low", show("conf_low")),
            ("high", show("conf_high")),
            ("level", self.level_words(model)),
            ("method", format!("{method}, {test}")),
            ("k", k),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let mut sentences = vec![self.say("answer.published", &values)?];
        if let Some(i2) = pooled.number(row, "i2") {
            let tau2 = self.locale.decimals(pooled.number(row, "tau2").unwrap_or(0.0), 3);
            let i2 = self.locale.percent(i2);
            let values = [("tau2", tau2.as_str()), ("i2", &i2)];
            sentences.push(self.say("answer.published_heterogeneity", &values)?);
        }
        if pooled.number(row, "pred_low").is_some() {
            let [low, high] = ["pred_low", "pred_high"].map(show);
            let values = [("low", low.as_str()), ("high", &high)];
            sentences.push(self.say("answer.published_prediction", &values)?);
        }
        Ok(sentences)
    }

    fn studies_plot(&self, studies: &Table, pooled: &Table, measure: &str) -> Composed<ForestPlot> {
        let ratios = RATIOS.contains(&measure);
        let show = |[estimate, low, high]: [f64; 3]| {
            let [estimate, low, high] = [estimate, low, high].map(|x| {
                if ratios { self.locale.ratio(x.exp()) } else { self.locale.decimals(x, 3) }
            });
            format!("{estimate} ({})", self.locale.span(&low, &high))
        };
        let interval = |table: &Table, row: usize| {
            let number = |column: &str| table.number(row, column);
            Some([number("estimate")?, number("conf_low")?, number("conf_high")?])
        };
        let mut rows = Vec::new();
        for row in 0..studies.rows.len() {
            let effect = interval(studies, row);
            let weight = studies.number(row, "weight_random");
            rows.push(ForestRow {
                label: studies.text(row, "study").to_owned(),
                effect,
                weight,
                pooled: false,
                prediction: None,
                text: match effect {
                    Some(effect) => show(effect),
                    None => self.status(studies, row)?,
                },
                second: weight.map_or_else(String::new, |w| self.locale.percent(w)),
            });
        }
        for row in 0..pooled.rows.len() {
            let Some(effect) = interval(pooled, row) else { continue };
            let prediction = pooled.number(row, "pred_low").zip(pooled.number(row, "pred_high"));
            let method = self.word(&format!("meta.{}", pooled.text(row, "method")))?;
            let test = self.word(&format!("meta.{}", pooled.text(row, "test")))?;
            rows.push(ForestRow {
                label: format!("{method}, {test}"),
                effect: Some(effect),
                weight: None,
                pooled: true,
                prediction: prediction.map(|(low, high)| [low, high]),
                text: show(effect),
                second: String::new(),
            });
        }
        let name = self.word(&format!("measure.{measure}"))?;
        Ok(ForestPlot {
            rows,
            headings: [self.head("study"), name.clone(), self.word("meta.headings_weight")?],
            x_label: name,
            sides: [String::new(), String::new()],
            linear: !ratios,
        })
    }
}
