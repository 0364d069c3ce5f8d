//! The page of published studies: a forest plot, and the tables that the other pages lay out too.

use super::{Block, Composed, Composer};
use crate::{
    estimate::{Estimate, Table},
    report::figure::{ForestPlot, ForestRow, forest},
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
        blocks.extend(self.further(model, estimate)?);
        Ok(blocks)
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
