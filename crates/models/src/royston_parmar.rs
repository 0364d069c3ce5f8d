//! Royston–Parmar flexible parametric survival: a spline of log time for the log cumulative hazard.
//!
//! *Estimates* log hazard ratios, constant or varying with time, and a smooth baseline. *A site sends* its event table and sums of
//! covariates, then log-likelihood, score and information at the broadcast parameters. *Sums*: cell by cell, in a few rounds.
//! *The hub* places the knots at centiles of the pooled event times and maximises by Newton's method. *Differs from pooling
//! rows*: not at all. *Not done*: odds and normal scales. *Sources*: Royston & Parmar (2002); Royston & Lambert (2011);
//! Andersson et al. (2011) for cure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Ascent, Columns, Context, DesignTerm, Exchanges, FitError, Fitted, Model, ModelCard,
        Patient, Question, RegressionRows, Round, Start, Step, Sums, Terms, ascend,
        covariate_faults, line, needs_of, patient_faults, predicted,
    },
    rows,
    spec::Fault,
};
use tributary_stats::{
    distribution::{normal_point, quantile},
    jet::Jet,
    likelihood::{Predictor, sum_rows},
    spline::{royston_parmar, royston_parmar_slope},
};

/// The model.
#[derive(Debug)]
pub struct RoystonParmar;

rows! {
    /// A knot of the baseline.
    struct Knot in "knots" {
        knot: Number,
        log_years: Number,
        years: Number,
    }

    /// Ratio of cumulative hazards at one time for a unit of a term that varies with time.
    struct VaryingEffect in "time_varying" {
        term: String,
        time_years: Number,
        estimate: Number,
        std_error: Number,
        cumulative_hazard_ratio: Number,
        cumulative_hazard_ratio_low: Number,
        cumulative_hazard_ratio_high: Number,
        status: Status,
    }
}

/// Options of `royston_parmar`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Inner knots of the baseline, at evenly spaced centiles of the pooled event times; fewer where events are few.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 8))]
    knots: usize,
    /// Covariates with constant log hazard ratios.
    #[serde(default)]
    covariates: Vec<String>,
    /// Covariates whose log hazard ratio varies with log time; each is named under `covariates` too.
    #[serde(default)]
    time_varying: Vec<String>,
    /// Inner knots of the varying effects.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5))]
    time_varying_knots: usize,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    reference: BTreeMap<String, String>,
    /// Knots of restricted cubic splines, by covariate.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<limits::Quantity>>")]
    splines: BTreeMap<String, Vec<f64>>,
    /// Pairs of covariates whose products are added.
    #[serde(default)]
    interactions: Vec<[String; 2]>,
    /// Patients whose survival is predicted at `times_years`.
    #[serde(default)]
    patients: Vec<Patient>,
    /// Times of the predictions and of varying hazard ratios, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Most evaluations of the likelihood.
    #[serde(default = "eighty")]
    #[schemars(range(min = 2, max = 200))]
    max_evaluations: usize,
    /// Last day of the table that gives knots and start values; from the dictionary's range of the time where absent.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    horizon_days: Option<u32>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Columns of the design, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    design: Vec<DesignTerm>,
}

fn two() -> usize {
    2
}

fn eighty() -> usize {
    80
}

/// Events that each inner knot wants.
const EVENTS_PER_KNOT: f64 = 10.0;

static CARD: ModelCard = ModelCard {
    kind: "royston_parmar",
    title: "Royston–Parmar survival model",
    estimates: "constant or time-varying log hazard ratios, and a smooth baseline hazard",
    sends: "its event table and sums of covariates once; then log-likelihood, score and information at the broadcast parameters",
    pools: "cells are summed over a few rounds; knots are centiles of the pooled event times; the hub maximises by Newton's method",
    differs: "none: it equals flexsurvspline or stpm2 with the same knots on the pooled records",
    not_done: "odds and normal scales",
    exchanges: Exchanges::Several {
        usual: "6 to 12",
        instead: "`poisson` with follow-up bands and covariates with levels",
    },
    sources: "Royston & Parmar 2002; Royston & Lambert 2011",
    example: "id = \"flexible\"\nkind = \"royston_parmar\"\nknots = 1\ncovariates = [\"x_hist_central\"]\n",
};

/// What of log time belongs to a person: spline columns with their derivative, covariates, and varying effects.
struct Shape<'a> {
    knots: &'a [f64],
    varying_knots: Vec<f64>,
    varying: &'a [usize],
}

impl Shape<'_> {
    /// Multipliers of all parameters at log time `t`: baseline, covariates, varying effects; and their slopes.
    fn row(&self, t: f64, x: &[f64], slope: bool) -> Vec<f64> {
        let basis = if slope { royston_parmar_slope } else { royston_parmar };
        let mut z = basis(t, self.knots);
        z.extend(x.iter().map(|x| if slope { 0.0 } else { *x }));
        // The constant of a varying effect is the covariate's own coefficient.
        let varying = basis(t, &self.varying_knots);
        for &j in self.varying {
            z.extend(varying[1..].iter().map(|b| b * x[j]));
        }
        z
    }
}

impl Options {
    /// Positions of the columns of time-varying covariates.
    fn varying(&self) -> Vec<usize> {
        (0..self.design.len())
            .filter(|&j| self.time_varying.contains(&self.design[j].variable))
            .collect()
    }

    fn all_terms(&self, knots: usize) -> Vec<DesignTerm> {
        let mut terms: Vec<DesignTerm> =
            (0..knots).map(|j| DesignTerm::parameter(&format!("gamma{j}"))).collect();
        terms.extend(self.design.iter().cloned());
        for j in self.varying() {
            // Its ratio depends on time: the table of varying effects tells it.
            terms[knots + j].parameter = true;
            let name = self.design[j].name();
            let of = |k| DesignTerm::parameter(&format!("{name}:log(time){}", "'".repeat(k)));
            terms.extend((0..=self.time_varying_knots).map(of));
        }
        terms
    }

    /// Boundary knots at the first and last event, inner ones at centiles between, as `flexsurvspline` and `stpm2` place them.
    fn knots(&self, start: &Start) -> Vec<f64> {
        let logs: Vec<f64> =
            start.event_days().iter().map(|d| (d / self.followup.year.days()).ln()).collect();
        let allowed = (start.events / EVENTS_PER_KNOT).floor() as usize;
        let inner = self.knots.min(allowed.saturating_sub(1));
        let mut knots: Vec<f64> =
            (0..inner + 2).map(|k| quantile(&logs, k as f64 / (inner + 1) as f64)).collect();
        knots.dedup();
        knots
    }

    /// Parameters that can be estimated: those of a dropped covariate go with their variation over time.
    fn kept(&self, start: &Start, m: usize) -> Vec<usize> {
        let (p, varying, n) = (self.design.len(), self.varying(), self.time_varying_knots + 1);
        start.parameters(self.all_terms(m).len(), |i| match i.checked_sub(m) {
            Some(j) if j < p => Some(j),
            Some(j) => Some(varying[(j - p) / n]),
            None => None,
        })
    }

    fn shape<'a>(&self, knots: &'a [f64], varying: &'a [usize]) -> Shape<'a> {
        let (low, high) = (knots[0], knots[knots.len() - 1]);
        let n = self.time_varying_knots + 1;
        let at = |k: usize| low + (high - low) * k as f64 / n as f64;
        Shape { knots, varying_knots: (0..=n).map(at).collect(), varying }
    }
}

/// ln H + ln(d ln H / d ln t) − ln t − H for an event, −H else, + H at entry; in the predictor, its slope and that at entry.
fn contribution(event: bool, log_time: f64, eta: [f64; 3], late: bool) -> Jet<3> {
    let h = Jet::<3>::variable(eta[0], 0);
    let slope = Jet::<3>::variable(eta[1], 1);
    let mut sum = -h.exp();
    if event {
        // A falling cumulative hazard is impossible: the logarithm says so.
        sum = sum + h + slope.ln() - log_time;
    }
    if late { sum + Jet::<3>::variable(eta[2], 2).exp() } else { sum }
}

impl Model for RoystonParmar {
    type Options = Options;
    type Params = Question;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        let columns = Columns {
            covariates: &options.covariates,
            reference: &options.reference,
            splines: &options.splines,
            interactions: &options.interactions,
        };
        options.design = columns.terms(context, &mut faults);
        let varying = options.time_varying.iter().enumerate();
        let varying = varying.map(|(i, name)| (format!("/time_varying/{i}"), name));
        faults.extend(covariate_faults(varying, &options.covariates, context));
        faults.extend(patient_faults(&options.patients, &options.covariates, context));
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(needs_of(&options.design));
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.design.iter().map(DesignTerm::name).collect()
    }

    fn begin(&self, _: &Options) -> Result<Question, FitError> {
        Ok(Question::Start)
    }

    fn summarise(
        &self,
        options: &Options,
        question: &Question,
        data: &SiteData,
    ) -> Result<Sums, CohortError> {
        let needed: Vec<&str> = options.covariates.iter().map(String::as_str).collect();
        let rows = RegressionRows::new(&options.followup, &needed, &options.design, data)?;
        let Question::At { theta, centre, knots } = question else {
            return Ok(rows.start(&options.design, options.horizon_days.unwrap_or(0)));
        };
        if knots.len() < 2 {
            let reason = format!("{} knots; at least 2 are needed", knots.len());
            return Err(CohortError::Question { reason });
        }
        let names = rows.names(&options.all_terms(knots.len()), theta, centre)?;
        let varying = options.varying();
        let shape = options.shape(knots, &varying);
        let derivatives = sum_rows(rows.survival.rows.len(), theta.len(), |i, sum| {
            let x = &rows.with_intercept(i, centre)[1..];
            let log_time = rows.exit(i, options.followup.year.days()).ln();
            let entry = rows.entry(i, options.followup.year.days());
            let z = shape.row(log_time, x, false);
            let slope = shape.row(log_time, x, true);
            let at_entry = if entry > 0.0 { shape.row(entry.ln(), x, false) } else { Vec::new() };
            let predictors = [&z, &slope, &at_entry].map(|z| Predictor { first: 0, z });
            let eta = predictors.map(|p| p.at(theta));
            let jet = contribution(rows.survival.event[i], log_time, eta, entry > 0.0);
            sum.add(&jet, 1.0, predictors);
        });
        Ok(rows.answer(&names, derivatives))
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Question, Sums>],
    ) -> Result<Step<Question>, FitError> {
        let first = rounds.first().ok_or(FitError::NoRounds)?;
        let mut start = Start::read(&first.pooled)?;
        // The baseline of uncentred covariates is in the family of the centred ones only where varying effects are not centred.
        for j in options.varying().into_iter().filter(|j| start.kept.contains(j)) {
            start.centre[j] = 0.0;
        }
        let mut estimate = Estimate::new(Exactness::Exact, first.sites);
        card_lines(&mut estimate, options);
        first.pooled.left_out_notices(&mut estimate);
        let parameters = options.all_terms(2).len();
        let distinct = {
            let mut days = start.event_days();
            days.dedup();
            days.len()
        };
        let one_day = (distinct < 2).then_some((Status::NotIdentified, "too-few-events"));
        if let Some(why) = start.refusal(parameters).or(one_day) {
            let terms =
                Terms::new(&options.design, "hazard_ratio", options.confidence_level.share());
            start.refuse(&mut estimate, why, parameters, terms);
            return Ok(Step::Done(Box::new(estimate)));
        }
        let knots = options.knots(&start);
        let first = || {
            let (intercept, slope) = line(&start.log_log(options.followup.year.days()))
                .filter(|(_, slope)| *slope > 0.05)
                .unwrap_or((
                    (start.events / start.person_days() * options.followup.year.days()).ln(),
                    1.0,
                ));
            let mut theta = vec![0.0; options.all_terms(knots.len()).len()];
            (theta[0], theta[1]) = (intercept, slope);
            theta
        };
        let most = options.max_evaluations;
        let kept = options.kept(&start, knots.len());
        let fitted = match ascend(rounds, most, &start.centre, &knots, &kept, first)? {
            Ascent::Ask(question) => return Ok(Step::Ask(question)),
            Ascent::Ended(fitted) => fitted,
        };
        if knots.len() < options.knots + 2 {
            let values = [("n", (knots.len() - 2).to_string())];
            estimate.notices.push(Notice::new(Status::Ok, "fewer-knots", &values));
        }
        tables(options, &mut estimate, &fitted, &start, &knots);
        Ok(Step::Done(Box::new(estimate)))
    }
}

fn tables(
    options: &Options,
    estimate: &mut Estimate,
    fitted: &Fitted,
    start: &Start,
    knots: &[f64],
) {
    let all = options.all_terms(knots.len());
    let varying = options.varying();
    let shape = options.shape(knots, &varying);
    // The baseline is that of covariates at 0: undo the centring.
    let m = knots.len();
    let mut told = fitted.clone();
    told.uncentre_at(0..1, m, &start.centre);
    let terms = Terms::new(&all, "hazard_ratio", options.confidence_level.share());
    told.tell(estimate, &all, terms, |j| (told.theta[j], told.std_error(j)));
    estimate.tables.push(fitted.summary(start.persons, start.events));
    let rows = knots.iter().enumerate().map(|(k, knot)| Knot {
        knot: Some((k + 1) as f64),
        log_years: Some(*knot),
        years: Some(knot.exp()),
    });
    estimate.tables.push(Table::of(rows).shown(Shown::File));
    if told.is_usable() {
        let log_hazard = |theta: &[f64], x: &[f64], years: f64| {
            let z = shape.row(years.ln(), x, false);
            z.iter().zip(theta).map(|(z, t)| z * t).sum::<f64>()
        };
        if !options.patients.is_empty() {
            estimate.tables.push(predicted(
                &told,
                start,
                &options.patients,
                &options.design,
                &options.times_years,
                options.confidence_level.share(),
                log_hazard,
            ));
        }
        if !varying.is_empty() {
            estimate.tables.push(varying_effects(options, &told, &shape, m));
        }
    }
    estimate.fit = Some(fitted.record.clone());
}

/// Ratio of cumulative hazards at each reporting time for a unit of a time-varying covariate.
fn varying_effects(options: &Options, fitted: &Fitted, shape: &Shape<'_>, m: usize) -> Table {
    let n = options.time_varying_knots + 1;
    let mut rows = Vec::new();
    let z = normal_point(options.confidence_level.share());
    for (v, &j) in shape.varying.iter().enumerate() {
        for &years in &options.times_years {
            let basis = royston_parmar(years.ln(), &shape.varying_knots);
            let effect = |theta: &[f64]| {
                let first = m + options.design.len() + v * n;
                let varying =
                    basis[1..].iter().zip(&theta[first..]).map(|(b, t)| b * t).sum::<f64>();
                theta[m + j] + varying
            };
            let status = match () {
                () if fitted.dropped.contains(&(m + j)) => Status::NotIdentified,
                () if fitted.runs(effect) => Status::Monotone,
                () => Status::Ok,
            };
            let (b, se) = fitted.delta(effect);
            let known = |x: f64| (status == Status::Ok).then_some(x);
            rows.push(VaryingEffect {
                term: options.design[j].name(),
                time_years: Some(years),
                estimate: known(b),
                std_error: known(se),
                cumulative_hazard_ratio: known(b.exp()),
                cumulative_hazard_ratio_low: known((b - z * se).exp()),
                cumulative_hazard_ratio_high: known((b + z * se).exp()),
                status,
            });
        }
    }
    Table::of(rows)
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "maximum-likelihood", &[]);
    estimate.line("distribution", "spline", &[("knots", options.knots.to_string())]);
    estimate.line("zero", options.followup.zero.name(), &[]);
    estimate.line("baseline", "common", &[]);
    let level = 100.0 * options.confidence_level.share();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "observed-information", &[]);
    estimate.line("year", options.followup.year.name(), &[]);
}
