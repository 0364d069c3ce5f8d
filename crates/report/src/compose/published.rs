//! The page of published studies: a forest plot, and the tables that the other pages lay out too.

use tributary_core::estimate::{Estimate, Number};
use tributary_meta::{Influence, Pooled, StudyEffect, SubsetCell, dose::DoseRatio};

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
        let (studies, pooled): (Vec<StudyEffect>, Vec<Pooled>) = (estimate.rows(), estimate.rows());
        if !pooled.is_empty() {
            let plot = self.studies_plot(&studies, &pooled, &measure)?;
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
        blocks.extend(self.radial_figure(model, &studies, &pooled)?);
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
        let doses: Vec<DoseRatio> = estimate.rows();
        let mut series: Vec<Series> = Vec::new();
        for form in ["line", "spline"] {
            let rows = doses.iter().filter(|row| row.form == form);
            let points: Vec<LinePoint> = rows
                .filter_map(|row| Some((row.dose?, row.ratio?, row.conf_low.zip(row.conf_high))))
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
        studies: &[StudyEffect],
        pooled: &[Pooled],
    ) -> Composed<Option<Block>> {
        // The common effect stands first; it is drawn where no other method has a variance between studies.
        let mut rows = pooled.iter().skip(1).chain(pooled.first());
        let Some((mean, tau2)) = rows.find_map(|row| row.estimate.zip(row.tau2)) else {
            return Ok(None);
        };
        let points: Vec<LinePoint> = studies
            .iter()
            .filter_map(|study| {
                let (y, se) = (study.estimate?, study.std_error?);
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
        let studies: Vec<Influence> = estimate.rows();
        if studies.len() < 3 {
            return Ok(None);
        }
        let mut found: Vec<(f64, f64, String)> =
            studies.into_iter().filter_map(|f| Some((f.q_share?, f.change?, f.study))).collect();
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
        let subsets: Vec<SubsetCell> = estimate.rows();
        if subsets.is_empty() {
            return Ok(None);
        }
        let cells = subsets
            .into_iter()
            .filter_map(|cell| {
                let n = cell.subsets?;
                // Many cells hold few: by the logarithm they are seen too.
                let shade = (n > 0.0).then(|| n.log10());
                Some((cell.estimate?, 100.0 * cell.i2?, shade))
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
        let pooled: Vec<Pooled> = model.estimate().map(Estimate::rows).unwrap_or_default();
        let mut rows = pooled.iter().skip(1).chain(pooled.first());
        let Some(row) = rows.find(|row| row.estimate.is_some()) else {
            return Ok(vec![self.word("answer.none")?]);
        };
        let measure = model.options.get("measure").and_then(|m| m.as_str()).unwrap_or_default();
        let ratios = RATIOS.contains(&measure);
        let show =
            |x: Number| {
                let shown = x.map(|x| {
                    if ratios { self.locale.ratio(x.exp()) } else { self.locale.decimals(x, 3) }
                });
                shown.unwrap_or_else(|| "–".into())
            };
        let method = self.word(&format!("meta.{}", row.method))?;
        let test = self.word(&format!("meta.{}", row.test))?;
        let k = self.locale.count(row.k.unwrap_or(0.0));
        let name = self.word(&format!("measure.{measure}"))?;
        let values = [
            ("measure", name),
            ("x", show(row.estimate)),
            ("low", show(row.conf_low)),
            ("high", show(row.conf_high)),
            ("level", self.level_words(model)),
            ("method", format!("{method}, {test}")),
            ("k", k),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let mut sentences = vec![self.say("answer.published", &values)?];
        if let Some(i2) = row.i2 {
            let tau2 = self.locale.decimals(row.tau2.unwrap_or(0.0), 3);
            let i2 = self.locale.percent(i2);
            let values = [("tau2", tau2.as_str()), ("i2", &i2)];
            sentences.push(self.say("answer.published_heterogeneity", &values)?);
        }
        if row.pred_low.is_some() {
            let [low, high] = [row.pred_low, row.pred_high].map(show);
            let values = [("low", low.as_str()), ("high", &high)];
            sentences.push(self.say("answer.published_prediction", &values)?);
        }
        Ok(sentences)
    }

    fn studies_plot(
        &self,
        studies: &[StudyEffect],
        pooled: &[Pooled],
        measure: &str,
    ) -> Composed<ForestPlot> {
        let ratios = RATIOS.contains(&measure);
        let show = |[estimate, low, high]: [f64; 3]| {
            let [estimate, low, high] = [estimate, low, high].map(|x| {
                if ratios { self.locale.ratio(x.exp()) } else { self.locale.decimals(x, 3) }
            });
            format!("{estimate} ({})", self.locale.span(&low, &high))
        };
        let mut rows = Vec::new();
        for study in studies {
            let effect = study.interval();
            let weight = study.weight_random;
            rows.push(ForestRow {
                label: study.study.clone(),
                effect,
                weight,
                pooled: false,
                prediction: None,
                text: match effect {
                    Some(effect) => show(effect),
                    None => self.status_words(study.status)?,
                },
                second: weight.map_or_else(String::new, |w| self.locale.percent(w)),
            });
        }
        for row in pooled {
            let Some(effect) = row.interval() else { continue };
            let method = self.word(&format!("meta.{}", row.method))?;
            let test = self.word(&format!("meta.{}", row.test))?;
            rows.push(ForestRow {
                label: format!("{method}, {test}"),
                effect: Some(effect),
                weight: None,
                pooled: true,
                prediction: row.prediction(),
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
