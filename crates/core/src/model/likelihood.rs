//! What models fitted by maximum likelihood over several rounds share: questions, answers, and the way up.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};
use tributary_stats::{
    event_table::{Rows, TimeGrid, event_table},
    likelihood::{Derivatives, packed},
    matrix::independent_columns,
    newton::{Evaluation, Next, newton},
};

use super::{DesignTerm, EventCounts, Fitted, Round, Sums, Terms, columns_of, summary_without_fit};
use crate::{
    cohort::{CohortError, Followup, SiteData, Survival},
    estimate::{Estimate, Notice, Status},
    summary::{Axis, LayoutError},
};

/// What the hub asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The event table of all rows together, and sums of the covariates: for start values, knots and centring.
    Start,
    /// Log-likelihood, score and information.
    At {
        /// Parameters.
        theta: Vec<f64>,
        /// Means at which covariates are centred.
        centre: Vec<f64>,
        /// Knots of a spline of log time; none where there is none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        knots: Vec<f64>,
    },
}

/// Events that each parameter wants.
const EVENTS_PER_PARAMETER: f64 = 3.0;

/// Why so many parameters cannot be estimated from so many events, if they cannot.
pub fn refusal(events: f64, parameters: usize) -> Option<(Status, &'static str)> {
    if events <= 0.0 {
        Some((Status::NoEvents, "no-events"))
    } else if EVENTS_PER_PARAMETER * parameters as f64 > events {
        Some((Status::NotIdentified, "too-few-events"))
    } else {
        None
    }
}

/// Rows of one site with their covariates.
#[derive(Debug)]
pub struct RegressionRows {
    /// Follow-up.
    pub survival: Survival,
    /// One column per term.
    pub columns: Vec<Vec<f64>>,
}

impl RegressionRows {
    /// The rows in which nothing needed is missing.
    pub fn new(
        followup: &Followup,
        needed: &[&str],
        design: &[DesignTerm],
        data: &SiteData,
    ) -> Result<Self, CohortError> {
        let survival = data.cohort.survival(followup, needed)?;
        let columns = columns_of(design, data, &survival.rows)?;
        Ok(Self { survival, columns })
    }

    /// 1 and the centred covariates of row `i`.
    pub fn with_intercept(&self, i: usize, centre: &[f64]) -> Vec<f64> {
        std::iter::once(1.0)
            .chain(self.columns.iter().zip(centre).map(|(column, c)| column[i] - c))
            .collect()
    }

    /// Last day of follow-up in `unit` days; day 0 counts as half a day.
    pub fn exit(&self, i: usize, unit: f64) -> f64 {
        f64::from(self.survival.exit[i]).max(0.5) / unit
    }

    /// Late entry in `unit` days, 0 if followed from the start.
    pub fn entry(&self, i: usize, unit: f64) -> f64 {
        self.survival.entry.as_ref().map_or(0.0, |entry| f64::from(entry[i]) / unit)
    }

    /// The answer to [`Question::Start`].
    pub fn start(&self, design: &[DesignTerm], horizon_days: u32) -> Sums {
        let group = vec![0; self.survival.rows.len()];
        let rows = Rows {
            entry: self.survival.entry.as_deref(),
            exit: &self.survival.exit,
            event: &self.survival.event,
            group: &group,
        };
        let table = event_table(rows, 1, &TimeGrid::daily(horizon_days));
        let sum_x = self.columns.iter().map(|column| column.iter().sum()).collect();
        let mut sum_xx = Vec::new();
        for (j, left) in self.columns.iter().enumerate() {
            for right in &self.columns[..=j] {
                sum_xx.push(left.iter().zip(right).map(|(a, b)| a * b).sum());
            }
        }
        let pair = Axis::numbered("pair", sum_xx.len());
        Sums::of(&self.survival)
            .event_counts(&EventCounts { groups: vec!["all".into()], table })
            .counts("n_event", Vec::new(), vec![self.survival.events() as f64])
            .sums("sum_x", vec![term_axis(design)], sum_x)
            .sums("sum_xx", vec![pair], sum_xx)
    }

    /// Names of the terms, if `theta` and `centre` have as many numbers as they want.
    pub fn names(
        &self,
        terms: &[DesignTerm],
        theta: &[f64],
        centre: &[f64],
    ) -> Result<Vec<String>, CohortError> {
        if theta.len() != terms.len() || centre.len() != self.columns.len() {
            let reason = format!("{} parameters for {} terms", theta.len(), terms.len());
            return Err(CohortError::Question { reason });
        }
        Ok(terms.iter().map(DesignTerm::name).collect())
    }

    /// The answer to [`Question::At`].
    pub fn answer(&self, names: &[String], derivatives: Derivatives) -> Sums {
        let pairs = names.len() * (names.len() + 1) / 2;
        let derivatives = derivatives.or_impossible();
        Sums::of(&self.survival)
            .sums("log_likelihood", Vec::new(), vec![derivatives.log_likelihood])
            .sums("score", vec![Axis::new("term", names.iter().cloned())], derivatives.score)
            .sums("information", vec![Axis::numbered("pair", pairs)], derivatives.information)
    }
}

fn term_axis(design: &[DesignTerm]) -> Axis {
    Axis::new("term", design.iter().map(DesignTerm::name))
}

/// What the first round said.
#[derive(Debug)]
pub struct Start {
    /// Event table of all rows.
    pub counts: EventCounts,
    /// Means of the covariates.
    pub centre: Vec<f64>,
    /// Covariates that are neither constant nor a combination of those before them.
    pub kept: Vec<usize>,
    /// Persons.
    pub persons: f64,
    /// Events.
    pub events: f64,
}

impl Start {
    /// Reads the pooled first answer.
    pub fn read(sums: &Sums) -> Result<Self, LayoutError> {
        let persons = sums.one("persons")?;
        let centre: Vec<f64> = sums.get("sum_x")?.iter().map(|s| s / persons.max(1.0)).collect();
        Ok(Self {
            counts: sums.read_event_counts()?,
            kept: telling_columns(sums.get("sum_xx")?, &[(persons, &centre)]),
            centre,
            persons,
            events: sums.one("n_event")?,
        })
    }

    /// Whether covariate `j` is constant, or a combination of others.
    pub fn is_dropped(&self, j: usize) -> bool {
        !self.kept.contains(&j)
    }

    /// Those of `n` parameters that can be estimated; `covariate` tells whose coefficient a parameter is.
    pub fn parameters(&self, n: usize, covariate: impl Fn(usize) -> Option<usize>) -> Vec<usize> {
        (0..n).filter(|&i| covariate(i).is_none_or(|j| !self.is_dropped(j))).collect()
    }

    /// Whether covariates `x` differ from all patients in one whose effect cannot be estimated.
    pub fn is_beyond(&self, x: &[f64]) -> bool {
        is_beyond(x, &self.centre, &self.kept)
    }

    /// Why so many parameters cannot be estimated, if they cannot.
    pub fn refusal(&self, parameters: usize) -> Option<(Status, &'static str)> {
        refusal(self.events, parameters)
    }

    /// Says why nothing was fitted; the terms have no numbers.
    pub fn refuse(
        &self,
        estimate: &mut Estimate,
        (status, key): (Status, &str),
        parameters: usize,
        terms: Terms<'_>,
    ) {
        let values = [("parameters", parameters.to_string()), ("events", self.events.to_string())];
        estimate.notice(Notice::new(status, key, &values));
        let summary = summary_without_fit(self.persons, self.events, status);
        estimate.tables.extend([terms.all_empty(status).table(), summary]);
    }

    /// Days of the events, once per event, in order; day 0 as half a day.
    pub fn event_days(&self) -> Vec<f64> {
        let group = self.counts.group(0);
        let mut days = Vec::new();
        for (day, d) in group.events.iter().enumerate() {
            days.extend(std::iter::repeat_n((day as f64).max(0.5), d.round() as usize));
        }
        days
    }

    /// Person-days of all rows within the grid.
    pub fn person_days(&self) -> f64 {
        self.counts.group(0).n_risk.iter().skip(1).sum()
    }

    /// log time (in `unit` days) and log cumulative hazard (Nelson–Aalen) after each event day.
    pub fn log_log(&self, unit: f64) -> Vec<(f64, f64)> {
        let group = self.counts.group(0);
        let mut hazard = 0.0_f64;
        let mut points = Vec::new();
        for (day, (&d, &n)) in group.events.iter().zip(&group.n_risk).enumerate() {
            if d > 0.0 && n > 0.0 {
                hazard += d / n;
                points.push((((day as f64).max(0.5) / unit).ln(), hazard.ln()));
            }
        }
        points
    }
}

/// Covariates that are neither constant nor a combination of those before them within every group of rows: `groups` are numbers of
/// rows with means of the covariates, `products` are the sums Σ x_j x_k over all rows.
pub fn telling_columns(products: &[f64], groups: &[(f64, &[f64])]) -> Vec<usize> {
    let p = groups.first().map_or(0, |(_, means)| means.len());
    independent_columns(&DMatrix::from_fn(p, p, |j, k| {
        let product = products[packed(j.max(k), j.min(k))];
        let within = groups.iter().fold(product, |left, (n, m)| left - n * m[j] * m[k]);
        // What rounding leaves of a constant.
        if j == k && within <= 1e-11 * product { 0.0 } else { within }
    }))
}

/// Whether covariates `x` differ from all patients in one that is not among `kept`.
pub fn is_beyond(x: &[f64], centre: &[f64], kept: &[usize]) -> bool {
    let differs = |j: usize| (x[j] - centre[j]).abs() > 1e-9 * centre[j].abs();
    (0..x.len()).any(|j| !kept.contains(&j) && differs(j))
}

/// Least-squares line through points: intercept and slope.
pub fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let xx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let xy: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (points.len() > 1 && xx > 0.0).then(|| (y - xy / xx * x, xy / xx))
}

/// How far the way up a likelihood has come.
#[derive(Debug)]
pub enum Ascent {
    /// The next question.
    Ask(Question),
    /// The end.
    Ended(Fitted),
}

/// The next step up the likelihood by Newton's method, after the answers in `rounds`; it begins at `first`, and parameters other than
/// those in `kept` stay there.
pub fn ascend<P>(
    rounds: &[Round<P, Sums>],
    max_evaluations: usize,
    centre: &[f64],
    knots: &[f64],
    kept: &[usize],
    first: impl FnOnce() -> Vec<f64>,
) -> Result<Ascent, LayoutError>
where
    for<'a> &'a P: Into<Option<&'a Question>>,
{
    ascend_with(rounds, max_evaluations, centre, knots, kept, first, |_, _| Ok(()))
}

/// The same with a penalty, which is added to the evaluation over the parameters `kept` from the answer of its round.
pub fn ascend_with<P>(
    rounds: &[Round<P, Sums>],
    max_evaluations: usize,
    centre: &[f64],
    knots: &[f64],
    kept: &[usize],
    first: impl FnOnce() -> Vec<f64>,
    penalty: impl Fn(&mut Evaluation, &Sums) -> Result<(), LayoutError>,
) -> Result<Ascent, LayoutError>
where
    for<'a> &'a P: Into<Option<&'a Question>>,
{
    let ask = |theta: Vec<f64>| {
        Ascent::Ask(Question::At { theta, centre: centre.to_vec(), knots: knots.to_vec() })
    };
    let mut begin = None;
    let mut record = Vec::new();
    for Round { params, pooled, .. } in rounds {
        let Some(Question::At { theta, .. }) = params.into() else { continue };
        let derivatives = Derivatives {
            log_likelihood: pooled.one("log_likelihood")?,
            score: pooled.get("score")?.to_vec(),
            information: pooled.get("information")?.to_vec(),
        };
        let mut evaluation = Evaluation::new(theta, &derivatives).of(kept);
        penalty(&mut evaluation, pooled)?;
        record.push(evaluation);
        begin.get_or_insert(theta);
    }
    let Some(begin) = begin else { return Ok(ask(first())) };
    Ok(match newton(&record, max_evaluations) {
        Next::Try(found) => {
            let mut theta = begin.clone();
            kept.iter().zip(found).for_each(|(&j, b)| theta[j] = b);
            ask(theta)
        }
        next => Ascent::Ended(Fitted::new(&record, next, rounds.len()).among(begin, kept)),
    })
}
