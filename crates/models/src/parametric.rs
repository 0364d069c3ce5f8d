//! Parametric survival regression: exponential, Weibull, Gompertz, log-normal, log-logistic, generalised gamma.
//!
//! *Estimates* effects on time (accelerated failure time) or on the hazard, and the distribution of survival time. *A site
//! sends* its event table and sums of covariates, then log-likelihood, score and information at the broadcast parameters.
//! *Sums*: cell by cell, in a few rounds. *The hub* maximises by Newton's method with step halving. *Differs from pooling
//! rows*: not at all. *Not done*: covariates on shape or scale. *Sources*: Kalbfleisch & Prentice (2002); Prentice (1974).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Ascent, Columns, Context, DesignTerm, Exchanges, FitError, Fitted, Model, ModelCard,
        Patient, Question, RegressionRows, Round, Start, Step, Sums, Terms, ascend, line, needs_of,
        patient_faults, predicted,
    },
    rows,
    spec::Fault,
};
use tributary_stats::{
    likelihood::{Predictor, sum_rows},
    parametric::{Distribution, contribution, log_curves},
};

/// The model.
#[derive(Debug)]
pub struct Parametric;

/// Distribution of survival time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Family {
    /// Constant hazard.
    Exponential,
    /// Weibull.
    Weibull,
    /// Gompertz; effects are on the hazard.
    Gompertz,
    /// Log-normal.
    LogNormal,
    /// Log-logistic.
    LogLogistic,
    /// Generalised gamma.
    GeneralizedGamma,
}

/// Unit of time; it moves the intercept and the log-likelihood, no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TimeUnit {
    /// Years.
    #[default]
    Years,
    /// Days.
    Days,
}

impl TimeUnit {
    /// Days in the unit, if a year has so many.
    pub(super) fn days(self, year_days: f64) -> f64 {
        match self {
            Self::Years => year_days,
            Self::Days => 1.0,
        }
    }
}

rows! {
    /// Rate of the exponential model where nobody had the event.
    struct RatePerYear in "rate_per_year" {
        estimate: Number,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }
}

/// Options of `parametric`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Distribution.
    distribution: Family,
    /// Covariates; none for the distribution alone.
    #[serde(default)]
    covariates: Vec<String>,
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
    /// Unit of time.
    #[serde(default)]
    time_unit: TimeUnit,
    /// Patients whose survival is predicted at `times_years`.
    #[serde(default)]
    patients: Vec<Patient>,
    /// Times of the predictions, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Most evaluations of the likelihood.
    #[serde(default = "sixty")]
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

fn sixty() -> usize {
    60
}

static CARD: ModelCard = ModelCard {
    kind: "parametric",
    title: "Parametric survival regression",
    estimates: "effects on survival time or the hazard, and the distribution of survival time",
    sends: "its event table and sums of covariates once; then log-likelihood, score and information at the broadcast parameters",
    pools: "cells are summed over a few rounds; the hub maximises by Newton's method with step halving",
    differs: "none: it equals survreg or flexsurvreg on the pooled records",
    not_done: "covariates on shape or scale",
    exchanges: Exchanges::Several {
        usual: "6 to 12",
        instead: "`poisson` with follow-up bands and covariates with levels",
    },
    sources: "Kalbfleisch & Prentice 2002; Prentice 1974",
    example: "id = \"weibull\"\nkind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"x_hist_central\", \"age_years\"]\n",
};

impl Options {
    fn distribution(&self) -> Distribution {
        match self.distribution {
            Family::Exponential => Distribution::Exponential,
            Family::Weibull => Distribution::Weibull,
            Family::Gompertz => Distribution::Gompertz,
            Family::LogNormal => Distribution::LogNormal,
            Family::LogLogistic => Distribution::LogLogistic,
            Family::GeneralizedGamma => Distribution::GeneralizedGamma,
        }
    }

    /// Intercept, covariates, and the parameters of the distribution as terms.
    fn all_terms(&self) -> Vec<DesignTerm> {
        let mut terms = vec![DesignTerm::parameter("(Intercept)")];
        terms.extend(self.design.iter().cloned());
        terms.extend(
            self.distribution().ancillary_names().iter().map(|name| DesignTerm::parameter(name)),
        );
        terms
    }

    /// Parameters of one person's curves: linear predictor, ancillary, Q.
    fn curve_parameters(&self, theta: &[f64], x: &[f64]) -> [f64; 3] {
        let p = self.design.len();
        let eta = theta[0] + x.iter().zip(&theta[1..]).map(|(x, b)| x * b).sum::<f64>();
        let at = |k: usize| theta.get(p + 1 + k).copied().unwrap_or(0.0);
        [eta, at(0), at(1)]
    }

    /// From the Nelson–Aalen curve: a line through log cumulative hazard against log time.
    fn start(&self, start: &Start) -> Vec<f64> {
        let unit = self.time_unit.days(self.followup.year.days());
        let rate = start.events / (start.person_days() / unit).max(1e-9);
        let (intercept, slope) = line(&start.log_log(unit))
            .filter(|(_, slope)| *slope > 0.05)
            .unwrap_or((rate.ln(), 1.0));
        let mut theta = vec![0.0; 1 + self.design.len()];
        // Weibull: ln H = (ln t − μ) / σ.
        let (mu, log_scale) = (-intercept / slope, -slope.ln());
        match self.distribution() {
            Distribution::Exponential => theta[0] = -rate.ln(),
            Distribution::Weibull => {
                theta[0] = mu;
                theta.push(log_scale);
            }
            Distribution::Gompertz => {
                theta[0] = rate.ln();
                theta.push(0.0);
            }
            Distribution::LogNormal => {
                theta[0] = mu - 0.4 * log_scale.exp();
                theta.push(log_scale + 0.3);
            }
            Distribution::LogLogistic => {
                theta[0] = mu - 0.37 * log_scale.exp();
                theta.push(log_scale - 0.3);
            }
            Distribution::GeneralizedGamma => {
                theta[0] = mu - 0.2 * log_scale.exp();
                theta.extend([log_scale + 0.1, 0.5]);
            }
        }
        theta
    }
}

impl Model for Parametric {
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
        let (unit, p) =
            (options.time_unit.days(options.followup.year.days()), options.design.len());
        let distribution = options.distribution();
        let one = [1.0];
        let derivatives = sum_rows(rows.survival.rows.len(), theta.len(), |i, sum| {
            let z = rows.with_intercept(i, centre);
            let parameters = options.curve_parameters(theta, &z[1..]);
            let (entry, exit) = (rows.entry(i, unit), rows.exit(i, unit));
            let jet = contribution(distribution, entry, exit, rows.survival.event[i], parameters);
            let ancillary = |k: usize| Predictor {
                first: (p + 1 + k).min(theta.len() - 1),
                z: if k < distribution.ancillary() { &one } else { &[] },
            };
            sum.add(&jet, 1.0, [Predictor { first: 0, z: &z }, ancillary(0), ancillary(1)]);
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
        let parameters = 1 + options.design.len() + options.distribution().ancillary();
        let mut estimate = Estimate::new(Exactness::Exact, first.sites);
        card_lines(&mut estimate, options);
        first.pooled.left_out_notices(&mut estimate);
        if let Some(why) = start.refusal(parameters) {
            let all = options.all_terms();
            let terms = Terms::new(&all, ratio(options), options.confidence_level.share());
            start.refuse(&mut estimate, why, parameters, terms);
            if start.events <= 0.0 {
                estimate.tables.push(rate_limit(options, &start));
            }
            return Ok(Step::Done(Box::new(estimate)));
        }
        let first = || options.start(&start);
        let p = options.design.len();
        let kept = start.parameters(parameters, |i| (1..=p).contains(&i).then(|| i - 1));
        let most = options.max_evaluations;
        let mut fitted = match ascend(rounds, most, &start.centre, &[], &kept, first)? {
            Ascent::Ask(question) => return Ok(Step::Ask(question)),
            Ascent::Ended(fitted) => fitted,
        };
        fitted.uncentre(&start.centre);
        tables(options, &mut estimate, &fitted, &start);
        Ok(Step::Done(Box::new(estimate)))
    }
}

fn ratio(options: &Options) -> &'static str {
    if options.distribution() == Distribution::Gompertz { "hazard_ratio" } else { "time_ratio" }
}

/// Nobody had the event: the largest constant rate that is not excluded, −ln(α/2) / Y.
fn rate_limit(options: &Options, start: &Start) -> Table {
    let years = start.person_days() / options.followup.year.days();
    let alpha = 0.5 * (1.0 - options.confidence_level.share());
    Table::of([RatePerYear {
        estimate: Some(0.0),
        conf_low: Some(0.0),
        conf_high: (years > 0.0).then(|| -alpha.ln() / years),
        status: Status::OneSided,
    }])
}

fn tables(options: &Options, estimate: &mut Estimate, fitted: &Fitted, start: &Start) {
    let all = options.all_terms();
    let terms = Terms::new(&all, ratio(options), options.confidence_level.share());
    fitted.tell(estimate, &all, terms, |j| (fitted.theta[j], fitted.std_error(j)));
    estimate.tables.push(fitted.summary(start.persons, start.events));
    if fitted.is_usable() {
        let p = options.design.len();
        let hazards =
            matches!(options.distribution(), Distribution::Weibull | Distribution::Exponential);
        if hazards && p > 0 {
            // β_PH = −β_AFT / σ.
            let weibull = options.distribution() == Distribution::Weibull;
            let mut table =
                Terms::new(&options.design, "hazard_ratio", options.confidence_level.share());
            for j in 0..p {
                if start.is_dropped(j) {
                    table.empty(j, Status::NotIdentified);
                    continue;
                }
                if fitted.running.contains(&(j + 1)) {
                    table.empty(j, Status::Monotone);
                    continue;
                }
                let (b, se) = fitted
                    .delta(|theta| -theta[j + 1] / if weibull { theta[p + 1].exp() } else { 1.0 });
                table.wald(j, b, se);
            }
            estimate.tables.push(Table { name: "hazard_ratios".into(), ..table.table() });
        }
        let unit =
            options.followup.year.days() / options.time_unit.days(options.followup.year.days());
        let log_hazard = |theta: &[f64], x: &[f64], years: f64| {
            let parameters = options.curve_parameters(theta, x);
            let curves = log_curves(options.distribution(), years * unit, parameters);
            (-curves.survival.value).ln()
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

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let name = serde_json::to_value(options.distribution).unwrap_or_default();
    let values = [("name", name.as_str().unwrap_or_default().to_owned())];
    estimate.line("estimator", "maximum-likelihood", &[]);
    estimate.line("distribution", "of-time", &values);
    estimate.line("zero", options.followup.zero.name(), &[]);
    estimate.line("baseline", "common", &[]);
    let level = 100.0 * options.confidence_level.share();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "observed-information", &[]);
    let unit = match options.time_unit {
        TimeUnit::Years => options.followup.year.name(),
        TimeUnit::Days => "days",
    };
    estimate.line("year", unit, &[]);
}
