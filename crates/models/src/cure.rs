//! Cure models: a share of the patients never has the event.
//!
//! *Estimates* the cured share and the survival of the others. *A site sends* its event table and sums of covariates, then
//! log-likelihood, score and information at the broadcast parameters. *Sums*: cell by cell, in a few rounds. *The hub* first asks
//! whether the data can tell cure from late events at all, and then maximises by Newton's method. *Differs from pooling rows*:
//! not at all. *Not done*: semiparametric latency. *Sources*: Boag (1949); Farewell (1982); Maller & Zhou (1996) for sufficient
//! follow-up; Yakovlev & Tsodikov (1996), Chen, Ibrahim & Sinha (1999) for the non-mixture form; Jakobsen et al. (2020).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Ascent, Columns, Context, DesignTerm, Exchanges, FitError, Fitted, Model, ModelCard,
        Patient, Question, RegressionRows, Round, Start, Step, Sums, Terms, ascend, needs_of,
        patient_faults, predicted, values_of,
    },
    rows,
    spec::Fault,
};
use tributary_stats::{
    distribution::normal_point,
    jet::Jet,
    likelihood::{Predictor, sum_rows},
    parametric::{Distribution, log_curves},
    product_limit::product_limit,
};

/// The model.
#[derive(Debug)]
pub struct Cure;

/// How the cured share enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Form {
    /// S = π + (1 − π) S_u, logit π linear in the covariates.
    #[default]
    Mixture,
    /// S = exp(−θ F), ln θ linear in the covariates; π = exp(−θ).
    NonMixture,
}

/// Distribution of the time of those who are not cured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Latency {
    /// Weibull.
    #[default]
    Weibull,
    /// Log-normal.
    LogNormal,
    /// Log-logistic.
    LogLogistic,
}

/// Options of `cure`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// How the cured share enters.
    #[serde(default)]
    form: Form,
    /// Distribution of the time of those who are not cured.
    #[serde(default)]
    latency: Latency,
    /// Covariates of the cured share.
    #[serde(default)]
    covariates: Vec<String>,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    reference: BTreeMap<String, String>,
    /// Patients whose cured share and survival are predicted.
    #[serde(default)]
    patients: Vec<Patient>,
    /// Times of the predictions, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Fit although the data may not be able to tell cure from late events.
    #[serde(default)]
    without_gate: bool,
    /// Most evaluations of the likelihood.
    #[serde(default = "hundred")]
    #[schemars(range(min = 2, max = 200))]
    max_evaluations: usize,
    /// Last day of the table that gives start values; from the dictionary's range of the time where absent.
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

rows! {
    /// Whether the data can tell cure from late events, and why.
    struct GateRow in "gate" {
        last_event_days: Number,
        followed_to_days: Number,
        plateau: Number as Share,
        n_risk: Number,
        alpha: Number as Share,
        status: Status,
    }

    /// The cured share of a patient, or the [`MEDIAN`] time of those not cured.
    pub struct Cured in "cured" {
        pub patient: String,
        pub quantity: String,
        pub estimate: Number as Share,
        pub std_error: Number as Share,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }
}

/// Quantity of the row of table `cured` that is no share.
pub const MEDIAN: &str = "median, years";

fn hundred() -> usize {
    100
}

/// The last event must come before this share of the longest follow-up.
const LAST_EVENT_SHARE: f64 = 0.8;
/// So many must be at risk on the plateau.
const PLATEAU: f64 = 20.0;

static CARD: ModelCard = ModelCard {
    kind: "cure",
    title: "Cure model",
    estimates: "the cure fraction and the survival of the uncured",
    sends: "its event table and sums of covariates once; then log-likelihood, score and information at the broadcast parameters",
    pools: "cells are summed over a few rounds; the hub checks whether follow-up is long enough and maximises by Newton's method",
    differs: "none: it equals the same likelihood on the pooled records",
    not_done: "semiparametric survival of the uncured; covariates on their survival",
    exchanges: Exchanges::Several {
        usual: "8 to 16",
        instead: "`kaplan_meier`, whose plateau shows the cure fraction",
    },
    sources: "Boag 1949; Farewell 1982; Maller & Zhou 1996; Chen, Ibrahim & Sinha 1999",
    example: "id = \"cured\"\nkind = \"cure\"\ncovariates = [\"x_hist_central\"]\nwithout_gate = true\n",
};

impl Options {
    fn distribution(&self) -> Distribution {
        match self.latency {
            Latency::Weibull => Distribution::Weibull,
            Latency::LogNormal => Distribution::LogNormal,
            Latency::LogLogistic => Distribution::LogLogistic,
        }
    }

    fn all_terms(&self) -> Vec<DesignTerm> {
        let mut terms = vec![DesignTerm::parameter("(Intercept)")];
        terms.extend(self.design.iter().cloned());
        terms.extend(["latency: location", "latency: log(scale)"].map(DesignTerm::parameter));
        terms
    }

    /// Contribution in cure predictor, latency location and log scale.
    fn contribution(&self, entry: f64, exit: f64, event: bool, eta: [f64; 3]) -> Jet<3> {
        let end = self.log_curve(exit, event, eta);
        if entry > 0.0 { end - self.log_curve(entry, false, eta) } else { end }
    }

    /// ln f or ln S at `t`.
    fn log_curve(&self, t: f64, event: bool, eta: [f64; 3]) -> Jet<3> {
        let latency = log_curves(self.distribution(), t, [eta[1], eta[2], 0.0]);
        // The latency's own jets number its two parameters 0 and 1; here they are 1 and 2.
        let (survival, density) = (shift(latency.survival), shift(latency.density));
        let cure = Jet::<3>::variable(eta[0], 0);
        match self.form {
            Form::Mixture => {
                // ln π = −ln(1 + e^−η), ln(1 − π) = −ln(1 + e^η).
                let (cured, not) = (-(-cure).softplus(), -cure.softplus());
                if event { not + density } else { cured.log_add_exp(not + survival) }
            }
            Form::NonMixture => {
                // F = 1 − e^{ln S}; S = exp(−θ F).
                let cumulative = -(survival.exp() - 1.0);
                let log = -(cure.exp() * cumulative);
                if event { cure + density + log } else { log }
            }
        }
    }

    /// Cured share from the cure predictor.
    fn share(&self, eta: f64) -> f64 {
        match self.form {
            Form::Mixture => 1.0 / (1.0 + (-eta).exp()),
            Form::NonMixture => (-eta.exp()).exp(),
        }
    }
}

fn shift(jet: Jet<3>) -> Jet<3> {
    let mut moved = Jet::constant(jet.value);
    for k in 0..2 {
        moved.gradient[k + 1] = jet.gradient[k];
        for l in 0..2 {
            moved.hessian[k + 1][l + 1] = jet.hessian[k][l];
        }
    }
    moved
}

/// Whether the data can tell cure from late events.
struct Gate {
    last_event: f64,
    last_followup: f64,
    plateau: f64,
    at_risk: f64,
    /// Probability that all of the events late in follow-up are missing by chance (Maller & Zhou's α_n).
    alpha: f64,
}

impl Gate {
    fn new(start: &Start) -> Self {
        let group = start.counts.group(0);
        let days: Vec<f64> = (0..group.events.len()).map(|j| (j as f64).max(0.5)).collect();
        let steps = product_limit(&days, &group.n_risk, &group.events, &group.censored, false);
        let last_event = steps.iter().rev().find(|s| s.n_event > 0.0);
        let last = steps.last().map_or(0.0, |s| s.time);
        let last_followup =
            if start.counts.table.beyond[0] > 0.0 { days.len() as f64 } else { last };
        let (time, at_risk) = last_event
            .map_or((0.0, start.persons), |s| (s.time, s.n_risk - s.n_event - s.n_censor));
        // Events in (2 t* − T, t*], t* the last event and T the longest follow-up: the more of them, the less likely it is that later
        // events are missing by chance (Maller & Zhou 1996, 2.3).
        let from = 2.0 * time - last_followup;
        let late: f64 =
            steps.iter().filter(|s| s.time > from && s.time <= time).map(|s| s.n_event).sum();
        let n = start.persons.max(1.0);
        Self {
            last_event: time,
            last_followup,
            plateau: last_event.map_or(1.0, |s| s.survival),
            at_risk,
            alpha: (1.0 - late / n).powf(n),
        }
    }

    fn open(&self) -> bool {
        self.last_event < LAST_EVENT_SHARE * self.last_followup
            && self.at_risk >= PLATEAU
            && self.alpha < 0.05
    }

    fn table(&self) -> Table {
        Table::of([GateRow {
            last_event_days: Some(self.last_event),
            followed_to_days: Some(self.last_followup),
            plateau: Some(self.plateau),
            n_risk: Some(self.at_risk),
            alpha: Some(self.alpha),
            status: if self.open() { Status::Ok } else { Status::NotIdentified },
        }])
    }
}

impl Model for Cure {
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
            splines: &BTreeMap::new(),
            interactions: &[],
        };
        options.design = columns.terms(context, &mut faults);
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
        let Question::At { theta, centre, .. } = question else {
            return Ok(rows.start(&options.design, options.horizon_days.unwrap_or(0)));
        };
        let names = rows.names(&options.all_terms(), theta, centre)?;
        let p = options.design.len();
        let one = [1.0];
        let derivatives = sum_rows(rows.survival.rows.len(), theta.len(), |i, sum| {
            let z = rows.with_intercept(i, centre);
            let (entry, exit) = (
                rows.entry(i, options.followup.year.days()),
                rows.exit(i, options.followup.year.days()),
            );
            let cure = Predictor { first: 0, z: &z };
            let eta = [cure.at(theta), theta[p + 1], theta[p + 2]];
            let jet = options.contribution(entry, exit, rows.survival.event[i], eta);
            let latency = |k| Predictor { first: p + k, z: &one };
            sum.add(&jet, 1.0, [cure, latency(1), latency(2)]);
        });
        Ok(rows.answer(&names, derivatives))
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Question, Sums>],
    ) -> Result<Step<Question>, FitError> {
        let first = rounds.first().ok_or(FitError::NoRounds)?;
        let start = Start::read(&first.pooled)?;
        let all = options.all_terms();
        let mut estimate = Estimate::new(Exactness::Exact, first.sites);
        card_lines(&mut estimate, options);
        first.pooled.left_out_notices(&mut estimate);
        let gate = Gate::new(&start);
        let closed =
            (!gate.open() && !options.without_gate).then_some((Status::NotIdentified, "cure-gate"));
        if let Some(why) = start.refusal(all.len()).or(closed) {
            let terms = Terms::new(&all, "ratio", options.confidence_level.share());
            start.refuse(&mut estimate, why, all.len(), terms);
            estimate.tables.push(gate.table());
            return Ok(Step::Done(Box::new(estimate)));
        }
        let first = || {
            let plateau = gate.plateau.clamp(0.05, 0.95);
            let cure = match options.form {
                Form::Mixture => (plateau / (1.0 - plateau)).ln(),
                Form::NonMixture => (-plateau.ln()).ln(),
            };
            let days = start.event_days();
            // All events may come after the table ends.
            let horizon = f64::from(options.horizon_days.unwrap_or(1));
            let median =
                days.get(days.len() / 2).copied().unwrap_or(horizon) / options.followup.year.days();
            let mut theta = vec![0.0; all.len()];
            theta[0] = cure;
            theta[options.design.len() + 1] = median.ln() + 0.2;
            theta
        };
        let p = options.design.len();
        let kept = start.parameters(all.len(), |i| (1..=p).contains(&i).then(|| i - 1));
        let most = options.max_evaluations;
        let mut fitted = match ascend(rounds, most, &start.centre, &[], &kept, first)? {
            Ascent::Ask(question) => return Ok(Step::Ask(question)),
            Ascent::Ended(fitted) => fitted,
        };
        fitted.uncentre(&start.centre);
        tables(options, &mut estimate, &fitted, &start);
        estimate.tables.push(gate.table());
        if !gate.open() {
            estimate.notices.push(Notice::new(Status::NotIdentified, "cure-gate", &[]));
        }
        Ok(Step::Done(Box::new(estimate)))
    }
}

fn tables(options: &Options, estimate: &mut Estimate, fitted: &Fitted, start: &Start) {
    let all = options.all_terms();
    let ratio = if options.form == Form::Mixture { "odds_ratio" } else { "hazard_ratio" };
    let terms = Terms::new(&all, ratio, options.confidence_level.share());
    fitted.tell(estimate, &all, terms, |j| (fitted.theta[j], fitted.std_error(j)));
    estimate.tables.push(fitted.summary(start.persons, start.events));
    if fitted.is_usable() {
        estimate.tables.push(cured(options, fitted, start));
        let p = options.design.len();
        let log_hazard = |theta: &[f64], x: &[f64], years: f64| {
            let eta = theta[0] + x.iter().zip(&theta[1..]).map(|(x, b)| x * b).sum::<f64>();
            (-options.log_curve(years, false, [eta, theta[p + 1], theta[p + 2]]).value).ln()
        };
        if !options.patients.is_empty() {
            estimate.tables.push(predicted(
                fitted,
                start,
                &options.patients,
                &options.design,
                &options.times_years,
                options.confidence_level.share(),
                log_hazard,
            ));
        }
    }
    estimate.fit = Some(fitted.record.clone());
}

/// Cured share of each patient, with an interval symmetric in the predictor, and the median time of those not cured.
fn cured(options: &Options, fitted: &Fitted, start: &Start) -> Table {
    let mut rows = Vec::new();
    let z = normal_point(options.confidence_level.share());
    let p = options.design.len();
    let reference = Patient { name: "reference".into(), values: BTreeMap::new() };
    let mut push = |[patient, quantity]: [&str; 2], numbers: [f64; 4], status: Status| {
        let (patient, quantity) = (patient.into(), quantity.into());
        let [estimate, std_error, conf_low, conf_high] =
            numbers.map(|x| (status == Status::Ok).then_some(x));
        rows.push(Cured { patient, quantity, estimate, std_error, conf_low, conf_high, status });
    };
    let patients =
        if options.patients.is_empty() { vec![reference] } else { options.patients.clone() };
    for patient in &patients {
        let x = values_of(patient, &options.design);
        let predictor =
            |theta: &[f64]| theta[0] + x.iter().zip(&theta[1..]).map(|(x, b)| x * b).sum::<f64>();
        let (eta, se) = fitted.delta(predictor);
        let (low, high) = (options.share(eta - z * se), options.share(eta + z * se));
        let (_, se) = fitted.delta(|theta| options.share(predictor(theta)));
        let status = match () {
            // Nobody was like this patient in a covariate that was dropped.
            () if !options.patients.is_empty() && start.is_beyond(&x) => Status::NotIdentified,
            () if fitted.runs(predictor) => Status::Monotone,
            () => Status::Ok,
        };
        push(
            [&patient.name, "cure fraction"],
            [options.share(eta), se, low.min(high), low.max(high)],
            status,
        );
    }
    // Median of the latency distribution itself.
    let middle: f64 = match options.latency {
        Latency::Weibull => std::f64::consts::LN_2.ln(),
        Latency::LogNormal | Latency::LogLogistic => 0.0,
    };
    let median = |theta: &[f64]| theta[p + 1] + theta[p + 2].exp() * middle;
    let (log, se) = fitted.delta(median);
    push(
        ["uncured", MEDIAN],
        [log.exp(), log.exp() * se, (log - z * se).exp(), (log + z * se).exp()],
        if fitted.runs(median) { Status::Monotone } else { Status::Ok },
    );
    Table::of(rows)
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "maximum-likelihood", &[]);
    let form = if options.form == Form::Mixture { "mixture" } else { "non-mixture" };
    estimate.line("cure", form, &[]);
    let name = serde_json::to_value(options.latency).unwrap_or_default();
    let values = [("name", name.as_str().unwrap_or_default().to_owned())];
    estimate.line("distribution", "of-time", &values);
    estimate.line("zero", options.followup.zero.name(), &[]);
    let level = 100.0 * options.confidence_level.share();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "observed-information", &[]);
    estimate.line("year", options.followup.year.name(), &[]);
}
