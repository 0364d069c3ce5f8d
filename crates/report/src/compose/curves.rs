//! Lines over follow-up time: curves with numbers at risk, and likelihood curves.

use tributary_core::{
    estimate::{Beginning, Estimate, Lines, Number, Role, Table, Unit},
    rows,
};
use tributary_models::{
    competing_risks::AtRisk,
    profile_likelihood::LikelihoodPoint,
    survival_lexis::{OBSERVED, RELATIVE},
};
use tributary_stats::distribution::chi_squared_quantile;

use super::{Block, Composed, Composer};
use crate::{
    figure::{LinePlot, Series, lines},
    results::ModelResult,
};

/// How far below its maximum a likelihood curve is drawn.
const DEPTH: f64 = 6.0;
/// Smallest number at risk for which a line is still drawn.
const AT_RISK_FLOOR: f64 = 5.0;

rows! {
    /// A point of a line over follow-up time, in days or in years, whatever the model estimates.
    struct LinePoint in "curve" {
        time: Number,
        time_years: Number,
        n_risk: Number,
        survival: String,
        estimate: Number,
        conf_low: Number,
        conf_high: Number,
    }
}

/// A line with the words that tell it apart, and its numbers at risk.
type Keyed = (Vec<String>, Series, Vec<(f64, f64)>);

impl Composer<'_> {
    pub(super) fn line_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
        table: &Table,
        curve: &Lines,
    ) -> Composed<Vec<Block>> {
        let rows: Vec<LinePoint> = table.rows_of();
        let days = rows.iter().any(|row| row.time.is_some());
        let answer = table.columns.iter().find(|c| c.role == Role::Estimate);
        let percent = answer.is_some_and(|c| c.unit == Unit::Share);
        let keys: Vec<usize> = curve.by.iter().filter_map(|c| table.position(c)).collect();
        // Relative survival is the question where expected mortality is known.
        let relative = rows.iter().any(|row| row.survival == RELATIVE);
        let states = curve.start == Some(Beginning::State);
        let unit = if days { model.year_days() } else { 1.0 };
        let mut series: Vec<Keyed> = Vec::new();
        for (row, cells) in rows.iter().zip(&table.rows) {
            let (Some(x), Some(y)) = (row.time.or(row.time_years), row.estimate) else { continue };
            if days && row.n_risk.is_some_and(|n| n < AT_RISK_FLOOR) && !states {
                continue;
            }
            if relative && row.survival == OBSERVED {
                continue;
            }
            let key: Vec<String> = keys.iter().map(|&i| cells[i].as_text().to_owned()).collect();
            if !series.iter().any(|(k, _, _)| *k == key) {
                let start = curve.start.map(|start| match start {
                    Beginning::Zero => 0.0,
                    Beginning::One => 1.0,
                    Beginning::State => f64::from(u8::from(key.first() == key.get(1))),
                });
                let points = start.map(|y| (0.0, y, None)).into_iter().collect();
                series.push((
                    key.clone(),
                    Series { label: String::new(), points, numbers: Vec::new(), dots: false },
                    Vec::new(),
                ));
            }
            if let Some((_, s, risk)) = series.iter_mut().find(|(k, _, _)| *k == key) {
                s.points.push((x / unit, y, row.conf_low.zip(row.conf_high)));
                risk.extend(row.n_risk.map(|n| (x / unit, n)));
            }
        }
        let counted: Vec<AtRisk> = if days { estimate.rows() } else { Vec::new() };
        if !counted.is_empty() {
            let enough = |risk: &[(f64, f64)]| {
                risk.iter().rfind(|(_, n)| *n >= AT_RISK_FLOOR).map_or(0.0, |(x, _)| *x)
            };
            for (key, _, risk) in &mut series {
                *risk = at_risk(&counted, key, unit);
            }
            // The last value holds as long as enough are followed, a state's as long as in any state.
            let any = series.iter().map(|(_, _, risk)| enough(risk)).fold(0.0, f64::max);
            for (_, s, risk) in &mut series {
                let end = if states { any } else { enough(risk) };
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
        let x_marks: Vec<(f64, String)> = crate::figure::marks(last);
        for (key, s, risk) in &mut series {
            let words: Composed<Vec<String>> =
                shown.iter().map(|&i| self.text_words(model, &curve.by[i], &key[i])).collect();
            s.label = words?.join(", ");
            if days {
                // Counts by time hold until the next; a curve's row has those at risk just before it.
                let at = |t: f64| {
                    let row = if counted.is_empty() {
                        risk.iter().find(|(x, _)| *x >= t - 1e-9)
                    } else {
                        risk.iter().rfind(|(x, _)| *x <= t + 1e-9)
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
        let top = if percent && (curve.start == Some(Beginning::One) || top > 0.6) {
            top.clamp(1.0, 1.1)
        } else {
            1.05 * top
        };
        let key = |what: &str| format!("figure.{}.{what}", model.kind);
        let plain = if percent { "figure.lines.share" } else { "figure.lines.number" };
        let plot = LinePlot {
            series,
            steps: curve.steps,
            x_marks,
            y: (0.0, top.max(1e-6)),
            percent,
            across: None,
            x_label: self.word("survival.x_label")?,
            y_label: self.word(&key("y")).or_else(|_| self.word(plain))?,
            numbers_label: self.word("survival.risk_label")?,
            labels: Vec::new(),
            missing: self.missing.clone(),
        };
        let level = self.level_words(model);
        let values = [("level", level.as_str()), ("event", &self.event(model))];
        let caption = self
            .say(&key("caption"), &values)
            .or_else(|_| self.say("figure.lines.caption", &values))?;
        let alt = plot
            .series
            .iter()
            .filter_map(|s| {
                let (x, y, _) = s.points.last()?;
                let y = if percent { self.locale.percent(*y) } else { self.locale.ratio(*y) };
                Some(format!("{} {y} ({} y)", s.label, self.locale.decimals(*x, 1)))
            })
            .collect::<Vec<_>>()
            .join("; ");
        Ok(vec![self.place(format!("{}.curve", model.id), lines(&plot), caption, alt)])
    }

    /// The summed likelihood curve around its maximum, with the height that marks the interval.
    pub(super) fn likelihood_figure(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let rows: Vec<LikelihoodPoint> = estimate.rows();
        let taus = [0.0, 0.3, 0.6];
        let mut series = Vec::new();
        for tau in taus {
            let of_tau =
                rows.iter().filter(|row| row.tau.is_some_and(|t: f64| (t - tau).abs() < 1e-9));
            let points: Vec<_> = of_tau
                .filter_map(|row| Some((row.effect?, row.log_likelihood?, None)))
                .filter(|(_, y, _)| *y > -DEPTH)
                .collect();
            if points.len() > 1 {
                let label = self.say(
                    "figure.profile_likelihood.tau",
                    &[("tau", &self.locale.decimals(tau, 1))],
                )?;
                series.push(Series { label, points, numbers: Vec::new(), dots: false });
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
            labels: Vec::new(),
            missing: self.missing.clone(),
        };
        let caption =
            self.say("figure.profile_likelihood.caption", &[("level", &self.level_words(model))])?;
        let alt = self.word("figure.profile_likelihood.alt")?;
        Ok(vec![self.place(format!("{}.curve", model.id), lines(&plot), caption, alt)])
    }
}

/// Numbers at risk by time of the line that these words tell apart.
fn at_risk(counted: &[AtRisk], key: &[String], unit: f64) -> Vec<(f64, f64)> {
    let is_of = |row: &&AtRisk| match row.state.as_str() {
        "" => key.first().is_none_or(|group| row.group == *group),
        // The key of a line of states is where it comes from and the state itself.
        state => key.get(1).is_some_and(|of| of == state),
    };
    let point = |row: &AtRisk| Some((row.time? / unit, row.n_risk?));
    counted.iter().filter(is_of).filter_map(point).collect()
}
