//! Fine & Gray regression of the subdistribution hazard of one of several competing events.
//!
//! *Estimates* log subdistribution hazard ratios: effects on cumulative incidence. *A site sends* its event table by kind of end
//! and sums of covariates; weighted risk-set sums at the pooled event days; and, for the variance, two rounds of sums of
//! residuals. *Sums*: cell by cell. *The hub* forms the curve of censoring and maximises by Newton's method. *Differs from pooling
//! rows*: not at all; conventions are those of `cmprsk::crr`. *Not done*: late entry, covariates × time, censoring by group.
//! *Sources*: Fine & Gray (1999).

use std::collections::BTreeMap;

use nalgebra::DMatrix;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, FitRecord, Notice, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Columns, Context, DesignTerm, EventCounts, Exchanges, FitError, Model, ModelCard, Round,
        Step, Sums, Terms, columns_of, followup_fault, needs_of, summary_without_fit,
    },
    rows,
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    cox::{RiskSums, packed},
    event_table::{Rows as CountedRows, TimeGrid, event_table},
    fine_gray::{
        Broadcast, CensoringTold, End, Rows, Steps, broadcast, censoring, censoring_score,
        derivatives, meat, sums,
    },
    matrix::{Inverse, independent_columns},
    newton::{Evaluation, Next, newton},
};

use super::competing_risks::{cause_of, followup_of_causes, placed};

/// The model.
#[derive(Debug)]
pub struct FineGray;

rows! {
    /// Who is in the fit and how their follow-up ended, and how good it is.
    struct Summary in "summary" {
        n: Number,
        n_event: Number,
        n_competing: Number,
        n_censor: Number,
        log_likelihood_null: Number,
        log_likelihood: Number,
        status: Status,
    }
}

/// Options of `fine_gray`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent; its `event` says how follow-up ended.
    followup: Followup,
    /// Level of the event whose cumulative incidence is modelled.
    pub cause: String,
    /// Levels of the event that rule it out; all others count as censored.
    competing: Vec<String>,
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
    /// Last day of the grid; from the dictionary's range of the time where absent.
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

const MOST_EVALUATIONS: usize = 30;

/// What the hub asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Params {
    /// Event table by kind of end, and sums of the covariates.
    Counts,
    /// Weighted risk-set sums.
    Sums(Common),
    /// Sums over those gone by a competing event.
    CensoringScore {
        /// Common part.
        common: Common,
        /// Increments of the baseline and means, at the event days.
        hazard: Vec<f64>,
        /// Means.
        mean: Vec<f64>,
    },
    /// Squared residuals.
    Meat {
        /// Common part.
        common: Common,
        /// Increments of the baseline.
        hazard: Vec<f64>,
        /// Means.
        mean: Vec<f64>,
        /// Increments of the hazard of censoring.
        censoring_hazard: Vec<f64>,
        /// q / π.
        ratio: Vec<f64>,
    },
}

/// What every question after the first holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Common {
    /// Coefficients.
    beta: Vec<f64>,
    /// Pooled means of the covariates.
    centre: Vec<f64>,
    /// Event days.
    days: Vec<i32>,
    /// Days and values of the curve of censoring.
    censoring_days: Vec<i32>,
    censoring_values: Vec<f64>,
}

impl Common {
    fn steps(&self) -> Steps {
        Steps { days: self.censoring_days.clone(), values: self.censoring_values.clone() }
    }

    fn with(&self, beta: Vec<f64>) -> Self {
        Self { beta, ..self.clone() }
    }
}

static CARD: ModelCard = ModelCard {
    kind: "fine_gray",
    title: "Fine–Gray regression",
    estimates: "log subdistribution hazard ratios: effects on cumulative incidence",
    sends: "its event table by cause and sums of covariates; weighted risk-set sums at the pooled event days; sums of residuals for the variance",
    pools: "cells are summed over a few rounds; the hub estimates the censoring distribution and maximises by Newton's method",
    differs: "none: it equals cmprsk::crr on the pooled records",
    not_done: "late entry; time-varying effects; censoring distributions by group",
    exchanges: Exchanges::Several {
        usual: "7 to 10",
        instead: "`competing_risks` with Gray's test",
    },
    sources: "Fine & Gray 1999",
    example: "id = \"subhazard\"\nkind = \"fine_gray\"\ncause = \"1\"\ncompeting = []\ncovariates = [\"x_hist_central\"]\n",
};

impl Options {
    fn causes(&self) -> Vec<String> {
        std::iter::once(self.cause.clone()).chain(self.competing.iter().cloned()).collect()
    }

    fn names(&self) -> Vec<String> {
        self.design.iter().map(DesignTerm::name).collect()
    }
}

impl Model for FineGray {
    type Options = Options;
    type Params = Params;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut causes = vec![("/cause".to_owned(), options.cause.clone())];
        causes.extend(placed("competing", &options.competing));
        let mut faults = followup_of_causes(&mut options.followup, &causes, context);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        if let Some(field) = options.followup.late() {
            let message = "Fine and Gray's weights require follow-up from time 0 for all patients";
            let hint = "model the cause-specific hazard with `cox` instead";
            faults.push(followup_fault(&options.followup, field, message).hint(hint));
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
        let (event, cause) = (&options.followup.event, std::slice::from_ref(&options.cause));
        needs.push(ColumnNeed::chosen(event, cause, "/cause"));
        needs.push(ColumnNeed::chosen(event, &options.competing, "/competing"));
        needs.extend(needs_of(&options.design));
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.names()
    }

    fn begin(&self, _: &Options) -> Result<Params, FitError> {
        Ok(Params::Counts)
    }

    fn summarise(
        &self,
        options: &Options,
        params: &Params,
        data: &SiteData,
    ) -> Result<Sums, CohortError> {
        let followup = &options.followup;
        let needed: Vec<&str> = options.covariates.iter().map(String::as_str).collect();
        let survival = data.cohort.survival(followup, &needed)?;
        let columns = columns_of(&options.design, data, &survival.rows)?;
        let cause = cause_of(data, followup, &options.causes(), &survival)?;
        let end: Vec<End> = cause
            .iter()
            .map(|c| match c {
                Some(0) => End::Event,
                Some(_) => End::Competing,
                None => End::Censored,
            })
            .collect();
        let rows = Rows { exit: &survival.exit, end: &end, covariates: &columns };
        let answer = Sums::of(&survival);
        let p = options.design.len();
        let term = || Axis::new("term", options.names());
        let check = |common: &Common, lengths: &[(usize, usize)]| {
            let fits = common.beta.len() == p
                && common.centre.len() == p
                && common.censoring_days.len() == common.censoring_values.len()
                && lengths.iter().all(|(found, wanted)| found == wanted);
            let reason = "its parts have other lengths than the model".to_owned();
            if fits { Ok(()) } else { Err(CohortError::Question { reason }) }
        };
        match params {
            Params::Counts => {
                // Groups: events of interest, competing, censored, so that each has its days.
                let group: Vec<u32> = end.iter().map(|e| *e as u32).collect();
                let all = vec![true; end.len()];
                let counted =
                    CountedRows { entry: None, exit: &survival.exit, event: &all, group: &group };
                let grid = TimeGrid::daily(options.horizon_days.unwrap_or(0));
                let groups = ["event", "competing", "censored"].map(str::to_owned).to_vec();
                let table = event_table(counted, 3, &grid);
                let sum_x = columns.iter().map(|column| column.iter().sum()).collect();
                Ok(answer.event_counts(&EventCounts { groups, table }).sums(
                    "sum_x",
                    vec![term()],
                    sum_x,
                ))
            }
            Params::Sums(common) => {
                check(common, &[])?;
                let found = sums(rows, &common.steps(), &common.beta, &common.centre, &common.days)
                    .or_untold();
                let day = || Axis::numbered("day", common.days.len());
                let pair = Axis::numbered("pair", p * (p + 1) / 2);
                let [s0, s1, s2] = found.s;
                Ok(answer
                    .counts("deaths", vec![day()], found.deaths)
                    .sums("death_x", vec![day(), term()], found.sum_x)
                    .sums("s0", vec![day()], s0)
                    .sums("s1", vec![day(), term()], s1)
                    .sums("s2", vec![day(), pair], s2)
                    .sums("untold", Vec::new(), vec![found.untold]))
            }
            Params::CensoringScore { common, hazard, mean } => {
                let days = common.days.len();
                check(common, &[(hazard.len(), days), (mean.len(), days * p)])?;
                let told = Broadcast {
                    days: common.days.clone(),
                    hazard: hazard.clone(),
                    mean: mean.clone(),
                };
                let q = censoring_score(rows, &common.steps(), &common.beta, &common.centre, &told);
                let day = Axis::numbered("day", common.censoring_days.len());
                Ok(answer.sums("censoring_score", vec![day, term()], q))
            }
            Params::Meat { common, hazard, mean, censoring_hazard, ratio } => {
                let (days, censored) = (common.days.len(), common.censoring_days.len());
                check(
                    common,
                    &[
                        (hazard.len(), days),
                        (mean.len(), days * p),
                        (censoring_hazard.len(), censored),
                        (ratio.len(), censored * p),
                    ],
                )?;
                let told = Broadcast {
                    days: common.days.clone(),
                    hazard: hazard.clone(),
                    mean: mean.clone(),
                };
                let told_censoring =
                    CensoringTold { hazard: censoring_hazard.clone(), ratio: ratio.clone() };
                let found = meat(
                    rows,
                    &common.steps(),
                    &common.beta,
                    &common.centre,
                    &told,
                    &told_censoring,
                );
                let pair = Axis::numbered("pair", p * (p + 1) / 2);
                Ok(answer.sums("meat", vec![pair], found))
            }
        }
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Params, Sums>],
    ) -> Result<Step<Params>, FitError> {
        let first = rounds.first().ok_or(FitError::NoRounds)?;
        let table = first.pooled.read_event_counts()?;
        let (persons, p) = (first.pooled.one("persons")?, options.design.len());
        let by_end: Vec<Vec<f64>> = (0..3).map(|g| table.group(g).events).collect();
        let events: f64 = by_end[0].iter().sum();
        let mut estimate = Estimate::new(Exactness::Exact, first.sites);
        card_lines(&mut estimate, options);
        first.pooled.left_out_notices(&mut estimate);
        let refused = if events <= 0.0 {
            Some((Status::NoEvents, "no-events"))
        } else if 3.0 * p as f64 > events {
            Some((Status::NotIdentified, "too-few-events"))
        } else {
            None
        };
        let mut terms =
            Terms::new(&options.design, "subhazard_ratio", options.confidence_level.share());
        if let Some((status, key)) = refused {
            let values = [("parameters", p.to_string()), ("events", events.to_string())];
            estimate.notice(Notice::new(status, key, &values));
            estimate.tables.push(terms.all_empty(status).table());
            estimate.tables.push(summary_without_fit(persons, events, status));
            return Ok(Step::Done(Box::new(estimate)));
        }
        let n_risk = at_risk(&table, &by_end);
        let curve = censoring(&n_risk, &by_end[2]);
        let centre = first.pooled.get("sum_x")?.iter().map(|s| s / persons).collect();
        let common = Common {
            beta: vec![0.0; p],
            centre,
            days: (0..by_end[0].len()).filter(|&d| by_end[0][d] > 0.0).map(|d| d as i32).collect(),
            censoring_days: curve.days.clone(),
            censoring_values: curve.values.clone(),
        };
        let mut record = Vec::new();
        for round in rounds {
            if let Params::Sums(at) = &round.params {
                let found = read_sums(&round.pooled, p)?;
                record.push((Evaluation::new(&at.beta, &derivatives(&found, &at.beta)), found));
            }
        }
        let Some((start, _)) = record.first() else { return Ok(Step::Ask(Params::Sums(common))) };
        let kept = independent_columns(&start.information);
        if kept.len() < p {
            let names = (0..p).filter(|j| !kept.contains(j)).map(|j| options.design[j].name());
            let values = [("terms", names.collect::<Vec<_>>().join(", "))];
            estimate.notice(Notice::new(Status::NotIdentified, "terms-dropped", &values));
        }
        let evaluations: Vec<Evaluation> = record.iter().map(|(e, _)| e.of(&kept)).collect();
        let whole = |found: &[f64]| {
            let mut beta = vec![0.0; p];
            kept.iter().zip(found).for_each(|(&j, b)| beta[j] = *b);
            beta
        };
        let next = match newton(&evaluations, MOST_EVALUATIONS) {
            Next::Try(beta) => return Ok(Step::Ask(Params::Sums(common.with(whole(&beta))))),
            next => next,
        };
        let (at, inverse, running) = match next {
            Next::Converged { at, inverse } => (at, inverse, Vec::new()),
            Next::Monotone { at, inverse, coefficients, .. } => {
                let names = coefficients.iter().map(|&i| options.design[kept[i]].name());
                let values = [("terms", names.collect::<Vec<_>>().join(", "))];
                estimate.notice(Notice::new(Status::Monotone, "monotone", &values));
                (at, inverse, coefficients)
            }
            Next::NotConverged { .. } | Next::Try(_) => {
                let status = Status::Nonconverged;
                estimate.notice(Notice::new(status, "nonconverged", &[]));
                estimate.tables.push(terms.all_empty(status).table());
                estimate.tables.push(summary_without_fit(persons, events, status));
                return Ok(Step::Done(Box::new(estimate)));
            }
        };
        let common = common.with(whole(&evaluations[at].beta));
        let told = broadcast(&record[at].1, &common.days);
        let Broadcast { hazard, mean, .. } = told;
        let last = &rounds[rounds.len() - 1];
        let score = rounds.iter().find(|r| matches!(r.params, Params::CensoringScore { .. }));
        let Some(score) = score else {
            return Ok(Step::Ask(Params::CensoringScore { common, hazard, mean }));
        };
        if !matches!(last.params, Params::Meat { .. }) {
            let q = score.pooled.get("censoring_score")?;
            let at = |day: i32| n_risk[day as usize];
            let censoring_hazard =
                curve.days.iter().map(|&d| by_end[2][d as usize] / at(d)).collect();
            let ratio = (0..q.len()).map(|i| q[i] / at(curve.days[i / p])).collect();
            return Ok(Step::Ask(Params::Meat { common, hazard, mean, censoring_hazard, ratio }));
        }
        let cells = last.pooled.get("meat")?;
        let middle = DMatrix::from_fn(kept.len(), kept.len(), |i, j| {
            cells[packed(kept[i.max(j)], kept[i.min(j)])]
        });
        let variance = Inverse { matrix: &inverse.matrix * middle * &inverse.matrix, ..inverse };
        terms.fitted(&kept, &evaluations[at].beta, &variance, &running);
        estimate.tables.push(terms.table());
        let status = if running.is_empty() { Status::Ok } else { Status::Monotone };
        let total = |end: &Vec<f64>| Some(end.iter().sum());
        estimate.tables.push(Table::of([Summary {
            n: Some(persons),
            n_event: Some(events),
            n_competing: total(&by_end[1]),
            n_censor: total(&by_end[2]),
            log_likelihood_null: Some(evaluations[0].log_likelihood),
            log_likelihood: Some(evaluations[at].log_likelihood),
            status,
        }]));
        let condition = variance.condition;
        estimate.fit = Some(FitRecord {
            rounds: rounds.len(),
            log_likelihood: evaluations.iter().map(|e| e.log_likelihood).collect(),
            converged: running.is_empty(),
            condition: condition.is_finite().then_some(condition),
        });
        Ok(Step::Done(Box::new(estimate)))
    }
}

/// At risk just before each day, whatever the end.
fn at_risk(counts: &EventCounts, by_end: &[Vec<f64>]) -> Vec<f64> {
    let mut n: f64 = counts.table.initial.iter().sum();
    (0..counts.table.cells)
        .map(|day| {
            let before = n;
            n -= by_end.iter().map(|e| e[day]).sum::<f64>();
            before
        })
        .collect()
}

fn read_sums(pooled: &Sums, p: usize) -> Result<RiskSums, LayoutError> {
    let get = |name: &str| Ok::<_, LayoutError>(pooled.get(name)?.to_vec());
    let s = [get("s0")?, get("s1")?, get("s2")?];
    let t = [vec![0.0; s[0].len()], vec![0.0; s[1].len()], vec![0.0; s[2].len()]];
    let untold = pooled.one("untold")?;
    Ok(RiskSums { p, deaths: get("deaths")?, sum_x: get("death_x")?, s, t, untold })
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "subdistribution", &[]);
    estimate.line("ties", "breslow", &[]);
    estimate.line("baseline", "common", &[]);
    let level = 100.0 * options.confidence_level.share();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "fine-gray", &[]);
}
