//! Cox proportional-hazards regression.
//!
//! *Estimates* log hazard ratios. *A site sends*, with its own baseline (the default), log-likelihood, score and information
//! at the broadcast coefficients: no event time leaves; with a common baseline, risk-set sums at the pooled event days.
//! *Sums*: cell by cell, in a few rounds. *The hub* maximises by Newton's method and tests proportional hazards by the score
//! test in one more round. *Differs from pooling rows*: not at all; the default equals `coxph(... + strata(site))`. *Not
//! done*: covariates that change over follow-up; penalties, frailty. *Sources*: Cox (1972, 1975); Efron (1977); Breslow
//! (1974); Grambsch & Therneau (1994); Therneau & Grambsch (2000).

mod design;
mod options;
mod result;
mod rows;
mod statistic;

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

pub use self::{
    options::Options,
    rows::{ALL_TOGETHER, BaselineDay, HazardsTest, RobustTerm, Summary, Test},
};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, SiteData},
    model::{
        Columns, Context, EventCounts, Exchanges, FitError, Model, ModelCard, Round, Step, needs_of,
    },
    spec::Fault,
};
use tributary_stats::{
    cox::{Derivatives, Ties, baseline_of_sums, derivatives_of_sums, meat, packed, risk_sums},
    event_table::{Rows as CountedRows, TimeGrid, event_table},
    matrix::independent_columns,
    newton::{Evaluation, Next, newton},
    product_limit::product_limit,
};

use self::{
    design::Design,
    options::{Baseline, TimeTransform},
    result::Outcome,
    statistic::{Answer, Meat},
};

/// The model.
#[derive(Debug)]
pub struct Cox;

/// g(t) of the proportional-hazards test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transform {
    Identity,
    Log,
    /// Values at the pooled event days.
    Steps {
        days: Vec<i32>,
        values: Vec<f64>,
    },
}

impl Transform {
    fn at(&self, day: i32) -> f64 {
        // A follow-up of 0 days counts as half a day.
        let days = if day == 0 { 0.5 } else { f64::from(day) };
        match self {
            Self::Identity => days,
            Self::Log => days.ln(),
            Self::Steps { days, values } => match days.partition_point(|&d| d <= day) {
                0 => 0.0,
                k => values[k - 1],
            },
        }
    }
}

/// What the hub asks with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Params {
    /// Events by day, and sums of the covariates.
    Counts,
    /// Derivatives at `beta`, each site with its own baseline.
    Derivatives {
        /// Coefficients.
        beta: Vec<f64>,
    },
    /// Risk-set sums at `beta`, covariates centred at `centre`, at the pooled event `days`.
    RiskSums {
        /// Coefficients.
        beta: Vec<f64>,
        /// Pooled means.
        centre: Vec<f64>,
        /// Event days.
        days: Vec<i32>,
    },
    /// Terms of the proportional-hazards test at the maximum.
    #[expect(private_interfaces, reason = "params travel as JSON; nobody else looks inside")]
    Trend {
        /// Coefficients.
        beta: Vec<f64>,
        /// Time transform.
        transform: Transform,
    },
    /// Sums of squared scores at the maximum, over patients and over sites.
    Meat {
        /// Coefficients.
        beta: Vec<f64>,
        /// Pooled information there, packed.
        information: Vec<f64>,
    },
}

static CARD: ModelCard = ModelCard {
    kind: "cox",
    title: "Cox regression",
    estimates: "log hazard ratios; tests of the model and of proportional hazards",
    sends: "log-likelihood, score and information at the broadcast coefficients; with a common baseline, risk-set sums by event day",
    pools: "cells are summed over a few rounds; the hub maximises by Newton's method with step halving",
    differs: "none: baseline = \"site\" equals coxph(… + strata(site)), baseline = \"common\" equals coxph(…)",
    not_done: "time-dependent covariates; penalties (`penalised_cox`); frailty",
    exchanges: Exchanges::Several {
        usual: "5 to 9",
        instead: "`meta_analysis` of each site's own fit, which is visible per site and subject to the site's own floors",
    },
    sources: "Cox 1972, 1975; Efron 1977; Breslow 1974; Grambsch & Therneau 1994; Therneau & Grambsch 2000",
    example: "id = \"cox\"\nkind = \"cox\"\ncovariates = [\"x_hist_central\", \"stage\", \"age_years\"]\nties = \"efron\"\nbaseline = \"site\"\n",
};

impl Model for Cox {
    type Options = Options;
    type Params = Params;
    type Statistic = Answer;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        let common = options.baseline == Baseline::Common;
        let default_test = match (options.variance, common) {
            (options::Variance::Robust | options::Variance::Site, _) => TimeTransform::None,
            (options::Variance::Model, true) => TimeTransform::Km,
            (options::Variance::Model, false) => TimeTransform::Log,
        };
        options.proportional_hazards.get_or_insert(default_test);
        if options.counts_first() {
            faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        }
        if common && !options.strata.is_empty() {
            let hint = "write baseline = \"site\", or use the variable as a covariate";
            faults.push(
                Fault::new("/strata", "strata are not available with a common baseline").hint(hint),
            );
        }
        for (i, name) in options.strata.iter().enumerate() {
            faults.extend(context.check_levels(&format!("/strata/{i}"), name));
        }
        if options.covariates.is_empty() {
            faults.push(Fault::new("/covariates", "name at least one covariate"));
        }
        let columns = Columns {
            covariates: &options.covariates,
            reference: &options.reference,
            splines: &options.splines,
            interactions: &options.interactions,
        };
        options.design = columns.terms(context, &mut faults);
        faults.extend(options.check_further(context));
        if faults.is_empty() {
            options.add_bands();
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(needs_of(&options.design[..options.base_terms()]));
        needs.extend(options.offset.iter().chain(&options.weights).map(ColumnNeed::number));
        needs.extend(options.strata.iter().map(ColumnNeed::levels));
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.term_names()
    }

    fn begin(&self, options: &Options) -> Result<Params, FitError> {
        if options.counts_first() {
            return Ok(Params::Counts);
        }
        Ok(Params::Derivatives { beta: vec![0.0; options.design.len()] })
    }

    fn summarise(
        &self,
        options: &Options,
        params: &Params,
        data: &SiteData,
    ) -> Result<Answer, CohortError> {
        let design = Design::new(options, data)?;
        let totals = design.totals();
        let terms = options.term_names();
        let width = |beta: &[f64]| {
            let reason = format!("{} coefficients for {} terms", beta.len(), terms.len());
            if beta.len() == terms.len() { Ok(()) } else { Err(CohortError::Question { reason }) }
        };
        match params {
            Params::Counts => {
                let survival = &design.survival;
                let group = vec![0; survival.rows.len()];
                let entry = survival.entry.as_deref();
                let rows = CountedRows {
                    entry,
                    exit: &survival.exit,
                    event: &survival.event,
                    group: &group,
                };
                let table = event_table(rows, 1, &options.grid());
                let counts = EventCounts { groups: vec!["all".into()], table };
                let sum_x = design.columns.iter().map(|column| column.iter().sum()).collect();
                Ok(Answer::Counts { totals, counts, terms, sum_x })
            }
            Params::Derivatives { beta } => {
                width(beta)?;
                let derivatives = design.derivatives(options, beta).or_impossible();
                Ok(Answer::Derivatives { totals, terms, derivatives })
            }
            Params::RiskSums { beta, centre, days } => {
                width(beta)?;
                width(centre)?;
                let sums = risk_sums(&design.risk_data(Some(centre)), beta, days).or_untold();
                Ok(Answer::RiskSums { totals, terms, days: days.len(), sums })
            }
            Params::Trend { beta, transform } => {
                width(beta)?;
                let trend = design.risk_data(None).trend(beta, options.ties(), |t| transform.at(t));
                Ok(Answer::Trend { totals, terms, trend })
            }
            Params::Meat { beta, information } => {
                width(beta)?;
                if information.len() != beta.len() * (beta.len() + 1) / 2 {
                    let reason = "the information has another size".into();
                    return Err(CohortError::Question { reason });
                }
                let own = design.derivatives(options, beta);
                let meat = Meat {
                    persons: meat(&design.residuals(options, beta), None),
                    site: meat(std::slice::from_ref(&own.score), None),
                    site_corrected: meat(&[corrected(&own, information)], None),
                };
                Ok(Answer::Meat { totals, terms, meat })
            }
        }
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Params, Answer>],
    ) -> Result<Step<Params>, FitError> {
        let last = rounds.last().ok_or(FitError::NoRounds)?;
        let p = options.design.len();
        let totals = last.pooled.totals();
        let outcome = |next: Outcome| {
            Ok(Step::Done(Box::new(next.estimate(options, rounds.len(), last.sites, totals))))
        };
        if totals.events <= 0.0 {
            return outcome(Outcome::NoEvents);
        }
        // Too many parameters for maximum likelihood: the estimates would be biased away from 0 and the errors too small.
        if 3.0 * p as f64 > totals.events {
            return outcome(Outcome::TooFewEvents);
        }
        let counted = rounds.iter().find_map(|round| match &round.pooled {
            Answer::Counts { counts, sum_x, totals, .. } => {
                let centre: Vec<f64> = sum_x.iter().map(|s| s / totals.persons).collect();
                Some((event_days(counts, &options.grid()), centre))
            }
            Answer::Derivatives { .. }
            | Answer::RiskSums { .. }
            | Answer::Trend { .. }
            | Answer::Meat { .. } => None,
        });
        let ask = |beta: Vec<f64>| match (options.baseline, &counted) {
            (Baseline::Common, Some((days, centre))) => {
                let days = days.iter().map(|(day, _)| *day).collect();
                Params::RiskSums { beta, centre: centre.clone(), days }
            }
            (Baseline::Common | Baseline::Site, _) => Params::Derivatives { beta },
        };

        let record: Vec<Evaluation> = rounds
            .iter()
            .filter_map(|round| match (&round.params, &round.pooled) {
                (Params::Derivatives { beta }, Answer::Derivatives { derivatives, .. }) => {
                    Some(Evaluation::new(beta, derivatives))
                }
                (Params::RiskSums { beta, .. }, Answer::RiskSums { sums, .. }) => {
                    Some(Evaluation::new(
                        beta,
                        &derivatives_of_sums(sums, beta, options.ties(), |_| 1.0),
                    ))
                }
                _ => None,
            })
            .collect();
        let Some(start) = record.first() else { return Ok(Step::Ask(ask(vec![0.0; p]))) };

        // Collinear and constant columns are found once, from the summed information, hence the same at every site.
        let active = independent_columns(&start.information);
        let reduced: Vec<Evaluation> = record.iter().map(|e| e.of(&active)).collect();
        let (next, converged_at, ended_at) = match newton(&reduced, options.max_evaluations) {
            Next::Try(beta) => {
                let mut whole = vec![0.0; p];
                active.iter().zip(beta).for_each(|(&j, b)| whole[j] = b);
                return Ok(Step::Ask(ask(whole)));
            }
            next => match next {
                Next::Converged { at, .. } => (next, Some(at), Some(at)),
                Next::Monotone { at, .. } => (next, None, Some(at)),
                _ => (next, None, None),
            },
        };
        let mut robust = None;
        if let (Some(at), true) = (ended_at, options.variance != options::Variance::Model) {
            let beta = record[at].beta.clone();
            let here = rounds.iter().find_map(|round| match &round.pooled {
                Answer::Meat { meat, .. } => Some(meat.clone()),
                _ => None,
            });
            let Some(found) = here else {
                let information = &record[at].information;
                let information =
                    (0..p).flat_map(|j| (0..=j).map(move |k| information[(j, k)])).collect();
                return Ok(Step::Ask(Params::Meat { beta, information }));
            };
            robust = Some(found);
        }
        let mut trend = None;
        if let (Some(at), false) = (converged_at, options.transform() == TimeTransform::None) {
            let beta = record[at].beta.clone();
            let steps = || Transform::Steps {
                days: counted.iter().flat_map(|(days, _)| days.iter().map(|d| d.0)).collect(),
                values: counted.iter().flat_map(|(days, _)| days.iter().map(|d| d.1)).collect(),
            };
            let transform = match options.transform() {
                TimeTransform::Km => steps(),
                TimeTransform::Log => Transform::Log,
                TimeTransform::Identity | TimeTransform::None => Transform::Identity,
            };
            trend = match (&last.pooled, options.baseline) {
                (Answer::Trend { trend, .. }, _) => Some(trend.clone()),
                (_, Baseline::Site) => return Ok(Step::Ask(Params::Trend { beta, transform })),
                (_, Baseline::Common) => trend_of_sums(rounds, &beta, options.ties(), &transform),
            };
        }
        let baseline =
            converged_at.and_then(|at| baseline_at(rounds, &record[at].beta, options.ties()));
        outcome(Outcome::Fitted { record: reduced, active, next, trend, robust, baseline })
    }
}

/// A site's score with the correction of Bell & McCaffrey (CR2): scaled by (1 − H)^−½, H the site's share of the information.
fn corrected(own: &Derivatives, information: &[f64]) -> Vec<f64> {
    let p = own.score.len();
    let unpack = |cells: &[f64]| DMatrix::from_fn(p, p, |i, j| cells[packed(i.max(j), i.min(j))]);
    let Some(cholesky) = unpack(information).cholesky() else { return own.score.clone() };
    let lower = cholesky.l();
    let Some(inverse) = lower.clone().try_inverse() else { return own.score.clone() };
    let share = &inverse * unpack(&own.information) * inverse.transpose();
    let eigen = (DMatrix::identity(p, p) - 0.5 * (&share + share.transpose())).symmetric_eigen();
    let mut root = DMatrix::zeros(p, p);
    for k in 0..p {
        let v = eigen.eigenvectors.column(k);
        root += v * v.transpose() / eigen.eigenvalues[k].max(1e-8).sqrt();
    }
    let score = nalgebra::DVector::from_column_slice(&own.score);
    (lower * root * inverse * score).iter().copied().collect()
}

/// Days with pooled events, and 1 − S(t−) there.
fn event_days(counts: &EventCounts, grid: &TimeGrid) -> Vec<(i32, f64)> {
    let group = counts.group(0);
    let time: Vec<f64> = (0..grid.cells()).map(|j| grid.boundary(j)).collect();
    let mut before = 1.0;
    let mut days = Vec::new();
    for step in product_limit(&time, &group.n_risk, &group.events, &group.censored, false) {
        if step.n_event > 0.0 {
            days.push((step.time as i32, 1.0 - before));
        }
        before = step.survival;
    }
    days
}

/// With a common baseline: day and cumulative hazard of a patient with all covariates at 0, from the sums at the maximum.
fn baseline_at(
    rounds: &[Round<Params, Answer>],
    beta: &[f64],
    ties: Ties,
) -> Option<Vec<[f64; 2]>> {
    rounds.iter().rev().find_map(|round| match (&round.params, &round.pooled) {
        (Params::RiskSums { beta: at, centre, days }, Answer::RiskSums { sums, .. })
            if at == beta =>
        {
            let shift: f64 = beta.iter().zip(centre).map(|(b, c)| b * c).sum();
            let mut hazard = 0.0;
            let steps = days.iter().zip(baseline_of_sums(sums, ties)).map(|(day, increment)| {
                hazard += increment * (-shift).exp();
                [f64::from(*day).max(0.5), hazard]
            });
            Some(steps.collect())
        }
        _ => None,
    })
}

/// With a common baseline the last risk-set sums already hold the terms of the proportional-hazards test.
fn trend_of_sums(
    rounds: &[Round<Params, Answer>],
    beta: &[f64],
    ties: Ties,
    transform: &Transform,
) -> Option<tributary_stats::cox::Trend> {
    rounds.iter().rev().find_map(|round| match (&round.params, &round.pooled) {
        (Params::RiskSums { beta: at, days, .. }, Answer::RiskSums { sums, .. }) if at == beta => {
            let weighted = |power: i32| {
                derivatives_of_sums(sums, beta, ties, |k| transform.at(days[k]).powi(power))
            };
            let (first, second) = (weighted(1), weighted(2));
            let (score, cross, information) = (first.score, first.information, second.information);
            Some(tributary_stats::cox::Trend { score, cross, information })
        }
        _ => None,
    })
}

/// A fit of one site alone, for pooling in two stages.
#[derive(Debug)]
pub(super) struct OwnFit {
    pub(super) persons: u64,
    pub(super) events: u64,
    pub(super) parameters: u64,
    /// Estimate and variance of the term asked for; `None` where there is no finite estimate.
    pub(super) estimate: Option<(f64, f64)>,
    pub(super) monotone: bool,
}

/// Fits the model to the rows of one site.
pub(super) fn fit_alone(
    options: &Options,
    data: &SiteData,
    term: usize,
) -> Result<OwnFit, CohortError> {
    let design = Design::new(options, data)?;
    let p = options.design.len();
    let evaluate = |beta: &[f64]| Evaluation::new(beta, &design.derivatives(options, beta));
    let start = evaluate(&vec![0.0; p]);
    let active = independent_columns(&start.information);
    let mut record = vec![start.of(&active)];
    let events = design.survival.events();
    let mut fit = OwnFit {
        persons: design.totals().persons as u64,
        events,
        parameters: active.len() as u64,
        estimate: None,
        monotone: false,
    };
    if events == 0 {
        return Ok(fit);
    }
    loop {
        match newton(&record, options.max_evaluations) {
            Next::Try(beta) => {
                let mut whole = vec![0.0; p];
                active.iter().zip(beta).for_each(|(&j, b)| whole[j] = b);
                record.push(evaluate(&whole).of(&active));
            }
            Next::Converged { at, inverse } => {
                let variance = match options.variance {
                    options::Variance::Model => inverse.matrix,
                    // Within one site the sandwich is over its patients.
                    options::Variance::Robust | options::Variance::Site => {
                        let mut whole = vec![0.0; p];
                        active.iter().zip(&record[at].beta).for_each(|(&j, b)| whole[j] = *b);
                        let cells = meat(&design.residuals(options, &whole), None);
                        let middle = DMatrix::from_fn(active.len(), active.len(), |i, k| {
                            cells[packed(active[i].max(active[k]), active[i].min(active[k]))]
                        });
                        &inverse.matrix * middle * &inverse.matrix
                    }
                };
                let position = active.iter().position(|&j| j == term);
                fit.estimate = position.map(|i| (record[at].beta[i], variance[(i, i)]));
                return Ok(fit);
            }
            Next::Monotone { .. } => {
                fit.monotone = true;
                return Ok(fit);
            }
            Next::NotConverged { .. } => return Ok(fit),
        }
    }
}
