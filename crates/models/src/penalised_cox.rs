//! Cox regression with a penalty: Firth's, finite where the likelihood is monotone, or ridge.
//!
//! *Estimates* log hazard ratios with profile likelihood intervals. *A site sends*, with its own baseline, log-likelihood, score
//! and information at several broadcast points at once: no event time leaves. *Sums*: cell by cell, in a few rounds. *The hub*
//! differences the information for Firth's score and searches maximum and limits side by side. *Differs from pooling rows*: not
//! at all; it is the stratified model on them. *Not done*: a common baseline; choice of λ. *Sources*: Firth (1993); Heinze & Schemper
//! (2001); Venzon & Moolgavkar (1988); Verweij & van Houwelingen (1994).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, FitRecord, Notice, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Columns, Context, DesignTerm, Exchanges, FitError, Model, ModelCard, RegressionRows, Round,
        Step, Sums, Term, Terms, needs_of, summary_without_fit,
    },
    rows,
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    cox::{RiskData, Rows, Ties},
    distribution::{chi_squared_quantile, chi_squared_upper},
    likelihood::Derivatives,
    matrix::{independent_columns, invert},
    newton::{Evaluation, Next},
    penalised::{Evaluations, Penalty, Progress},
};

use super::log_rank::strata;

/// The model.
#[derive(Debug)]
pub struct PenalisedCox;

/// Penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// ½ ln |I|.
    #[default]
    Firth,
    /// −½ λ |β|², covariates as they are.
    Ridge,
}

rows! {
    /// Who is in the fit, and how good it is.
    struct Summary in "summary" {
        n: Number,
        n_event: Number,
        parameters: Number,
        penalised_log_likelihood: Number,
        status: Status,
    }
}

/// Options of `penalised_cox`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Covariates.
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
    /// Further variables whose levels have a baseline each.
    #[serde(default)]
    strata: Vec<String>,
    /// Penalty.
    #[serde(default)]
    penalty: Kind,
    /// λ of the ridge penalty, for covariates in their own units.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    lambda: f64,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Columns of the design, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    design: Vec<DesignTerm>,
}

fn one() -> f64 {
    1.0
}

/// What the hub asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Params {
    /// Persons, events, sums and sums of squares of the covariates.
    Start,
    /// Derivatives at each of these points.
    Points {
        /// Coefficients.
        betas: Vec<Vec<f64>>,
    },
}

static CARD: ModelCard = ModelCard {
    kind: "penalised_cox",
    title: "Penalised Cox regression",
    estimates: "log hazard ratios with profile likelihood intervals, also where all events are in one group",
    sends: "log-likelihood, score and information at several broadcast points at once",
    pools: "cells are summed over several rounds; the hub differences the information for Firth's score and searches for the maximum and the limits at the same time",
    differs: "none: it is the penalised model stratified by site",
    not_done: "a common baseline; choice of the ridge parameter",
    exchanges: Exchanges::Several {
        usual: "8 to 20",
        instead: "`profile_likelihood` of one effect",
    },
    sources: "Firth 1993; Heinze & Schemper 2001; Venzon & Moolgavkar 1988; Verweij & van Houwelingen 1994",
    example: "id = \"firth\"\nkind = \"penalised_cox\"\ncovariates = [\"x_hist_central\"]\n",
};

impl Options {
    fn terms(&self) -> Terms<'_> {
        Terms::new(&self.design, "hazard_ratio", self.confidence_level.share())
    }

    fn penalty(&self) -> Penalty {
        match self.penalty {
            Kind::Firth => Penalty::Firth,
            Kind::Ridge => Penalty::Ridge(self.lambda),
        }
    }

    fn names(&self) -> Vec<String> {
        self.design.iter().map(DesignTerm::name).collect()
    }
}

impl Model for PenalisedCox {
    type Options = Options;
    type Params = Params;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
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
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(needs_of(&options.design));
        needs.extend(options.strata.iter().map(ColumnNeed::levels));
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.names()
    }

    fn begin(&self, _: &Options) -> Result<Params, FitError> {
        Ok(Params::Start)
    }

    fn summarise(
        &self,
        options: &Options,
        params: &Params,
        data: &SiteData,
    ) -> Result<Sums, CohortError> {
        let needed: Vec<&str> =
            options.covariates.iter().chain(&options.strata).map(String::as_str).collect();
        let rows = RegressionRows::new(&options.followup, &needed, &options.design, data)?;
        let term = || Axis::new("term", options.names());
        let betas = match params {
            Params::Start => {
                let sum = |f: fn(f64) -> f64| {
                    rows.columns.iter().map(|c| c.iter().map(|x| f(*x)).sum()).collect::<Vec<f64>>()
                };
                return Ok(Sums::of(&rows.survival)
                    .counts("events", Vec::new(), vec![rows.survival.events() as f64])
                    .sums("sum_x", vec![term()], sum(|x| x))
                    .sums("sum_xx", vec![term()], sum(|x| x * x)));
            }
            Params::Points { betas } => betas,
        };
        let p = options.design.len();
        if betas.iter().any(|beta| beta.len() != p) {
            let reason = format!("a point has other than {p} coefficients");
            return Err(CohortError::Question { reason });
        }
        let stratum = strata(data, &options.strata, &rows.survival.rows)?;
        let risk = RiskData::new(
            Rows {
                entry: rows.survival.entry.as_deref(),
                exit: &rows.survival.exit,
                event: &rows.survival.event,
                stratum: Some(&stratum),
                covariates: &rows.columns,
            },
            None,
        );
        let (mut value, mut score, mut information) = (Vec::new(), Vec::new(), Vec::new());
        for beta in betas {
            let d = risk.derivatives(beta, Ties::Efron).or_impossible();
            value.push(d.log_likelihood);
            score.extend(d.score);
            information.extend(d.information);
        }
        let point = || Axis::numbered("point", betas.len());
        let pair = Axis::numbered("pair", p * (p + 1) / 2);
        Ok(Sums::of(&rows.survival)
            .sums("log_likelihood", vec![point()], value)
            .sums("score", vec![point(), term()], score)
            .sums("information", vec![point(), pair], information))
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Params, Sums>],
    ) -> Result<Step<Params>, FitError> {
        let first = rounds.first().ok_or(FitError::NoRounds)?;
        let (persons, events) = (first.pooled.one("persons")?, first.pooled.one("events")?);
        let mut estimate = Estimate::new(Exactness::ExactStratified, first.sites);
        card_lines(&mut estimate, options);
        first.pooled.left_out_notices(&mut estimate);
        let p = options.design.len();
        let refuse = |status: Status, key: &str, values: &[(&str, String)]| {
            let mut estimate = estimate.clone();
            estimate.notice(Notice::new(status, key, values));
            estimate.tables.push(options.terms().all_empty(status).table());
            estimate.tables.push(summary_without_fit(persons, events, status));
            Ok(Step::Done(Box::new(estimate)))
        };
        if events <= 0.0 {
            return refuse(Status::NoEvents, "no-events", &[]);
        }
        let known = evaluations(rounds, p)?;
        let Some(start) = known.iter().find(|e| e.beta.iter().all(|b| *b == 0.0)) else {
            return Ok(Step::Ask(Params::Points { betas: vec![vec![0.0; p]] }));
        };
        let kept = independent_columns(&start.information);
        if kept.is_empty() {
            let values = [("terms", options.names().join(", "))];
            return refuse(Status::NotIdentified, "terms-dropped", &values);
        }
        if kept.len() < p {
            let names = (0..p).filter(|j| !kept.contains(j)).map(|j| options.design[j].name());
            let values = [("terms", names.collect::<Vec<_>>().join(", "))];
            estimate.notice(Notice::new(Status::NotIdentified, "terms-dropped", &values));
        }
        let known: Vec<Evaluation> = known.iter().map(|e| e.of(&kept)).collect();
        let (sum, squares) = (first.pooled.get("sum_x")?, first.pooled.get("sum_xx")?);
        let scale: Vec<f64> = kept
            .iter()
            .map(|&j| {
                let mean = sum[j] / persons;
                (squares[j] / persons - mean * mean).max(0.0).sqrt().max(1e-12 * mean.abs())
            })
            .collect();
        let search = Evaluations::new(&known, &scale, options.penalty());
        match search.fit(kept.len(), chi_squared_quantile(options.confidence_level.share(), 1.0)) {
            Progress::Ask(points) => {
                let whole = |point: Vec<f64>| {
                    let mut beta = vec![0.0; p];
                    kept.iter().zip(point).for_each(|(&j, b)| beta[j] = b);
                    beta
                };
                Ok(Step::Ask(Params::Points { betas: points.into_iter().map(whole).collect() }))
            }
            Progress::Done { record, next, limits, ratios } => {
                tables(
                    options,
                    &mut estimate,
                    rounds.len(),
                    [persons, events],
                    &Found { kept, record, next, limits, ratios },
                );
                Ok(Step::Done(Box::new(estimate)))
            }
        }
    }
}

/// All evaluations so far.
fn evaluations(rounds: &[Round<Params, Sums>], p: usize) -> Result<Vec<Evaluation>, LayoutError> {
    let q = p * (p + 1) / 2;
    let mut known = Vec::new();
    for round in rounds {
        let Params::Points { betas } = &round.params else { continue };
        let (value, score, information) = (
            round.pooled.get("log_likelihood")?,
            round.pooled.get("score")?,
            round.pooled.get("information")?,
        );
        for (k, beta) in betas.iter().enumerate() {
            let derivatives = Derivatives {
                log_likelihood: value[k],
                score: score[k * p..(k + 1) * p].to_vec(),
                information: information[k * q..(k + 1) * q].to_vec(),
            };
            known.push(Evaluation::new(beta, &derivatives));
        }
    }
    Ok(known)
}

struct Found {
    /// Positions of the terms that carry information.
    kept: Vec<usize>,
    record: Vec<Evaluation>,
    next: Next,
    limits: Vec<[Option<f64>; 2]>,
    ratios: Vec<Option<f64>>,
}

fn tables(
    options: &Options,
    estimate: &mut Estimate,
    rounds: usize,
    [persons, events]: [f64; 2],
    found: &Found,
) {
    let mut terms = options.terms();
    let (at, converged) = match &found.next {
        Next::Converged { at, .. } => (*at, true),
        Next::Monotone { at, .. } | Next::NotConverged { at } => (*at, false),
        Next::Try(_) => (found.record.len() - 1, false),
    };
    let best = &found.record[at];
    let status = if converged { Status::Ok } else { Status::Nonconverged };
    if converged {
        let inverse = invert(&best.information);
        for j in 0..options.design.len() {
            let Some(i) = found.kept.iter().position(|&k| k == j) else {
                terms.empty(j, Status::NotIdentified);
                continue;
            };
            let (b, se) = (best.beta[i], inverse.matrix[(i, i)].max(0.0).sqrt());
            let [conf_low, conf_high] = found.limits[i];
            let ratio = found.ratios[i].map(|r| r.max(0.0));
            let is_bounded = conf_low.is_some() && conf_high.is_some();
            let numbers = Term {
                estimate: Some(b),
                std_error: Some(se),
                statistic: ratio.map(|r| r.sqrt().copysign(b)),
                p_value: ratio.map(|r| chi_squared_upper(r, 1.0)),
                conf_low,
                conf_high,
                status: if is_bounded { Status::Ok } else { Status::OneSided },
                ..Term::default()
            };
            terms.push(j, numbers);
        }
        estimate.tables.push(terms.table());
    } else {
        estimate.notice(Notice::new(status, "nonconverged", &[]));
        estimate.tables.push(terms.all_empty(status).table());
    }
    estimate.tables.push(Table::of([Summary {
        n: Some(persons),
        n_event: Some(events),
        parameters: Some(found.kept.len() as f64),
        penalised_log_likelihood: Some(best.log_likelihood),
        status,
    }]));
    estimate.fit = Some(FitRecord {
        rounds,
        log_likelihood: found.record.iter().map(|e| e.log_likelihood).collect(),
        converged,
        condition: None,
    });
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let lambda = [("lambda", options.lambda.to_string())];
    let penalty = if options.penalty == Kind::Firth { "firth" } else { "ridge" };
    estimate.line("estimator", penalty, &lambda);
    estimate.line("ties", "efron", &[]);
    let strata = [("strata", options.strata.join(", "))];
    let baseline = if options.strata.is_empty() { "per-site" } else { "per-site-and-stratum" };
    estimate.line("baseline", baseline, &strata);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "likelihood-ratio", &[("level", level)]);
}
