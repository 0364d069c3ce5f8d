//! Excess hazard regression by the full likelihood: λ = λ_P + exp(f(t) + x'β).
//!
//! *Estimates* excess hazard ratios, and the excess hazard over follow-up. *A site sends* log-likelihood, score and information
//! at the broadcast parameters; each death's background hazard is looked up in the country's own life table at the site.
//! *Sums*: cell by cell, in a few rounds. *The hub* maximises by Newton's method. *Differs from pooling rows*: not at all.
//! *Not done*: random effects. *Sources*: Estève et al. (1990); Pohar & Stare (2006); Remontet et al. (2007); Charvat et al. (2016).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Ascent, Background, Columns, Context, DesignTerm, Exchanges, FitError, Fitted, Model,
        ModelCard, Question, RegressionRows, Round, Start, Step, Sums, Terms, ascend,
        covariate_faults, needs_of,
    },
    rows,
    spec::Fault,
};
use tributary_stats::{
    distribution::normal_point,
    jet::Jet,
    likelihood::{Predictor, sum_rows},
    quadrature::legendre_nodes,
    spline::harrell,
};

/// The model.
#[derive(Debug)]
pub struct ExcessHazard;

rows! {
    /// Excess hazard per person-year at one time, of a patient with all covariates at 0.
    struct HazardAt in "excess_hazard" {
        time_years: Number,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }
}

/// Options of `excess_hazard`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Variables with which expected mortality is looked up.
    background: Background,
    /// Ends of the bands on which the baseline excess hazard is constant, years; follow-up ends with the last.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    bands_years: Vec<f64>,
    /// Knots of a restricted cubic spline of time for the log baseline excess hazard instead, years; follow-up ends with the last.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    spline_years: Vec<f64>,
    /// Covariates.
    #[serde(default)]
    covariates: Vec<String>,
    /// Covariates whose effect changes with time: products with the baseline's bands or spline are added.
    #[serde(default)]
    time_varying: Vec<String>,
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
    /// Most evaluations of the likelihood.
    #[serde(default = "eighty")]
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

fn eighty() -> usize {
    80
}

/// Nodes of the quadrature between two knots, as in `mexhaz`.
const NODES: usize = 20;

static CARD: ModelCard = ModelCard {
    kind: "excess_hazard",
    title: "Excess hazard regression",
    estimates: "constant or time-varying excess hazard ratios, and the excess hazard over follow-up",
    sends: "its event table and sums of covariates once; then log-likelihood, score and information at the broadcast parameters",
    pools: "cells are summed over a few rounds; the hub maximises by Newton's method with step halving",
    differs: "none: it equals the full likelihood on the pooled records",
    not_done: "random effects of countries",
    exchanges: Exchanges::Several {
        usual: "6 to 14",
        instead: "`poisson` with outcome = \"excess\" and covariates with levels",
    },
    sources: "Estève et al. 1990; Pohar & Stare 2006; Remontet et al. 2007; Charvat et al. 2016",
    example: "id = \"excess\"\nkind = \"excess_hazard\"\nbackground = { age = \"age_months\", date = \"incidence_date\" }\nbands_years = [1, 3, 5]\ncovariates = [\"x_hist_central\"]\n",
};

impl Options {
    fn is_banded(&self) -> bool {
        self.spline_years.is_empty()
    }

    /// End of follow-up, years.
    fn end(&self) -> f64 {
        let ends = if self.is_banded() { &self.bands_years } else { &self.spline_years };
        ends.last().copied().unwrap_or(0.0)
    }

    /// Baseline columns at `t` years: indicators of the bands, or 1 and the spline.
    fn baseline(&self, t: f64) -> Vec<f64> {
        if self.is_banded() {
            let band =
                self.bands_years.partition_point(|end| *end < t).min(self.bands_years.len() - 1);
            return (0..self.bands_years.len()).map(|b| f64::from(u8::from(b == band))).collect();
        }
        std::iter::once(1.0).chain(harrell(t, &self.spline_years)).collect()
    }

    fn baseline_names(&self) -> Vec<String> {
        if self.is_banded() {
            let starts = std::iter::once(&0.0).chain(&self.bands_years);
            return starts.zip(&self.bands_years).map(|(a, b)| format!("{a}–{b} years")).collect();
        }
        let columns = (0..self.spline_years.len() - 1).map(|k| format!("time{}", "'".repeat(k)));
        std::iter::once("(Intercept)".to_owned()).chain(columns).collect()
    }

    fn varying(&self) -> Vec<usize> {
        (0..self.design.len())
            .filter(|&j| self.time_varying.contains(&self.design[j].variable))
            .collect()
    }

    /// Covariates, baseline, varying effects.
    fn all_terms(&self) -> Vec<DesignTerm> {
        let baseline = self.baseline_names();
        let mut terms = self.design.clone();
        terms.extend(baseline.iter().map(|name| DesignTerm::parameter(name)));
        for j in self.varying() {
            // In bands the effect is that of the first band, and ratios to it; along a spline no one number is a ratio.
            terms[j].parameter = !self.is_banded();
            let parameter = !terms[j].has_ratio();
            let of = |name: &String| DesignTerm {
                parameter,
                ..DesignTerm::of(&format!("{}:{name}", self.design[j].name()))
            };
            terms.extend(baseline[1..].iter().map(of));
        }
        terms
    }

    /// Multipliers of all parameters at `t` years.
    fn row(&self, t: f64, x: &[f64], varying: &[usize]) -> Vec<f64> {
        let baseline = self.baseline(t);
        let mut z = x.to_vec();
        z.extend(&baseline);
        for &j in varying {
            z.extend(baseline[1..].iter().map(|b| b * x[j]));
        }
        z
    }

    /// Pieces over which the excess hazard is integrated: bands, or the stretches between knots.
    fn pieces(&self) -> Vec<f64> {
        if self.is_banded() { self.bands_years.clone() } else { self.spline_years.clone() }
    }
}

impl Model for ExcessHazard {
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
        faults.extend(options.background.prepare("/background", context));
        let ascending = |ends: &[f64]| ends.windows(2).all(|w| w[0] < w[1]);
        match (options.bands_years.is_empty(), options.spline_years.len()) {
            (false, 0) if options.bands_years[0] > 0.0 && ascending(&options.bands_years) => {}
            (true, n) if n >= 3 && ascending(&options.spline_years) => {}
            (is_spline, _) => {
                let field = if is_spline { "/spline_years" } else { "/bands_years" };
                let message = "the baseline requires either bands_years or at least 3 ascending knots in spline_years";
                faults.push(Fault::new(field, message).hint("bands_years = [1, 2, 5]"));
                return faults;
            }
        }
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
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(needs_of(&options.design));
        needs.extend(options.background.needs());
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
        let missing = || CohortError::NoTable { table: "life_table" };
        let table = data.tables.life_table.as_ref().ok_or_else(missing)?;
        let table = table.in_years(options.followup.year.days());
        let mut needed: Vec<&str> = options.covariates.iter().map(String::as_str).collect();
        needed.extend(options.background.names());
        let mut rows = RegressionRows::new(&options.followup, &needed, &options.design, data)?;
        // Later follow-up is outside the model: the integral below ends with the last band or knot.
        let end = options.end() * options.followup.year.days();
        for (event, exit) in rows.survival.event.iter_mut().zip(&rows.survival.exit) {
            *event &= f64::from(*exit) <= end;
        }
        let Question::At { theta, centre, .. } = question else {
            return Ok(rows.start(&options.design, options.horizon_days.unwrap_or(0)));
        };
        let names = rows.names(&options.all_terms(), theta, centre)?;
        let persons =
            options.background.persons(data, &rows.survival, "life_table", Background::WHOLE)?;
        let (varying, pieces) = (options.varying(), options.pieces());
        let nodes = legendre_nodes(NODES);
        let derivatives = sum_rows(rows.survival.rows.len(), theta.len(), |i, sum| {
            let x = &rows.with_intercept(i, centre)[1..];
            let (entry, exit) = (
                rows.entry(i, options.followup.year.days()),
                rows.exit(i, options.followup.year.days()),
            );
            let mut add = |t: f64, weight: f64, of: &dyn Fn(Jet<1>) -> Jet<1>| {
                let z = options.row(t, x, &varying);
                let predictor = Predictor { first: 0, z: &z };
                sum.add(&of(Jet::variable(predictor.at(theta), 0)), weight, [predictor]);
            };
            let mut from = 0.0_f64;
            for &to in &pieces {
                let (a, b) = (entry.max(from), exit.min(to));
                from = to;
                if b <= a {
                    continue;
                }
                if options.is_banded() {
                    add(0.5 * (a + b), b - a, &|eta| -eta.exp());
                } else {
                    for (node, weight) in &nodes {
                        let t = 0.5 * (a + b) + 0.5 * (b - a) * node;
                        add(t, 0.5 * (b - a) * weight, &|eta| -eta.exp());
                    }
                }
            }
            if rows.survival.event[i] {
                let background = table.hazard_on(persons[i], rows.survival.exit[i])
                    * options.followup.year.days();
                add(exit, 1.0, &|eta| (eta.exp() + background).ln());
            }
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
        let all = options.all_terms();
        let mut estimate = Estimate::new(Exactness::Exact, first.sites);
        card_lines(&mut estimate, options);
        first.pooled.left_out_notices(&mut estimate);
        let terms = Terms::new(&all, "excess_hazard_ratio", options.confidence_level.share());
        if let Some(why) = start.refusal(all.len()) {
            start.refuse(&mut estimate, why, all.len(), terms);
            return Ok(Step::Done(Box::new(estimate)));
        }
        let centre = &start.centre;
        let p = options.design.len();
        let first = || {
            let rate =
                0.5 * start.events / (start.person_days() / options.followup.year.days()).max(1e-9);
            let mut theta = vec![0.0; all.len()];
            let constant = if options.is_banded() { options.bands_years.len() } else { 1 };
            theta[p..p + constant].fill(rate.ln());
            theta
        };
        let varying = options.varying();
        let baseline = options.baseline_names().len();
        let kept = start.parameters(all.len(), |i| match i.checked_sub(p + baseline) {
            Some(j) => Some(varying[j / (baseline - 1)]),
            None => (i < p).then_some(i),
        });
        let most = options.max_evaluations;
        let fitted = match ascend(rounds, most, centre, &[], &kept, first)? {
            Ascent::Ask(question) => return Ok(Step::Ask(question)),
            Ascent::Ended(fitted) => fitted,
        };
        // Bands are levels of their own, a spline has one constant: either is moved by the centring.
        let constant = if options.is_banded() { options.bands_years.len() } else { 1 };
        let mut told = fitted.clone();
        told.uncentre_at(p..p + constant, 0, centre);
        told.tell(&mut estimate, &all, terms, |j| (told.theta[j], told.std_error(j)));
        estimate.tables.push(fitted.summary(start.persons, start.events));
        if told.is_usable() {
            estimate.tables.push(hazard(options, &told));
        }
        estimate.fit = Some(fitted.record);
        Ok(Step::Done(Box::new(estimate)))
    }
}

/// Excess hazard per person-year of a patient with all covariates at 0, over follow-up.
fn hazard(options: &Options, fitted: &Fitted) -> Table {
    let z = normal_point(options.confidence_level.share());
    let varying = options.varying();
    let x = vec![0.0; options.design.len()];
    // Bands are told at both ends, so that a line through the points is the step function.
    let times: Vec<f64> = if options.is_banded() {
        let starts = std::iter::once(&0.0).chain(&options.bands_years);
        starts.zip(&options.bands_years).flat_map(|(from, to)| [from + 1e-9, *to]).collect()
    } else {
        (1..=60).map(|k| options.end() * f64::from(k) / 60.0).collect()
    };
    let at = |t: f64| {
        let row = options.row(t, &x, &varying);
        let log_hazard = |theta: &[f64]| row.iter().zip(theta).map(|(z, b)| z * b).sum::<f64>();
        let (log, se) = fitted.delta(log_hazard);
        let time_years = Some(t);
        if fitted.runs(log_hazard) {
            return HazardAt { time_years, status: Status::Monotone, ..HazardAt::default() };
        }
        HazardAt {
            time_years,
            estimate: Some(log.exp()),
            std_error: Some(log.exp() * se),
            conf_low: Some((log - z * se).exp()),
            conf_high: Some((log + z * se).exp()),
            status: Status::Ok,
        }
    };
    Table::of(times.into_iter().map(at)).shown(Shown::Figure).drawn(&[], false, None)
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "maximum-likelihood", &[]);
    let ends = options.pieces().iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    let baseline = if options.is_banded() { "excess-bands" } else { "excess-spline" };
    estimate.line("baseline", baseline, &[("at", ends)]);
    estimate.line("life-table", "own", &[]);
    let level = 100.0 * options.confidence_level.share();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "observed-information", &[]);
    estimate.line("year", options.followup.year.name(), &[]);
}
