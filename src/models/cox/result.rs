//! Tables of a Cox model from the record of its rounds.

use nalgebra::{DMatrix, DVector};

use super::{
    options::{Baseline, Options, TieRule, TimeTransform},
    statistic::Totals,
};
use crate::{
    estimate::{Estimate, Exactness, FitRecord, Notice, Status, Table, Value},
    model::Terms,
    stats::{
        cox::{Trend, packed},
        distribution::chi_squared_upper,
        matrix::{invert, quadratic_form},
        newton::{Evaluation, Next},
    },
};

/// How a fit ended.
#[expect(clippy::large_enum_variant, reason = "there is one per fit")]
pub(super) enum Outcome {
    /// Nobody had the event.
    NoEvents,
    /// More than one parameter per three events.
    TooFewEvents,
    /// Newton's method came to an end.
    Fitted {
        /// Evaluations over the active terms.
        record: Vec<Evaluation>,
        /// Positions of the terms that carry information.
        active: Vec<usize>,
        next: Next,
        trend: Option<Trend>,
    },
}

impl Outcome {
    pub(super) fn estimate(
        self,
        options: &Options,
        rounds: usize,
        sites: usize,
        totals: Totals,
    ) -> Estimate {
        let exactness = match options.baseline {
            Baseline::Site => Exactness::ExactStratified,
            Baseline::Common => Exactness::Exact,
        };
        let mut estimate = Estimate::new(exactness, sites);
        card_lines(&mut estimate, options);
        let Totals { persons, events, missing, never_at_risk } = totals;
        if missing > 0.0 {
            estimate.notices.push(Notice::new(
                Status::Ok,
                "rows-missing",
                &[("n", missing.to_string())],
            ));
        }
        if never_at_risk > 0.0 {
            let n = never_at_risk.to_string();
            estimate.notices.push(Notice::new(Status::Ok, "rows-never-at-risk", &[("n", n)]));
        }
        let mut fit =
            FitRecord { rounds, log_likelihood: Vec::new(), converged: false, condition: None };
        let mut summary = Table::new(
            "summary",
            &["n", "n_event", "log_likelihood_null", "log_likelihood", "status"],
        );
        let mut terms = Terms::new(&options.design, "hazard_ratio", options.confidence_level.unwrap_or(0.95));
        match self {
            Self::NoEvents => {
                estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
                summary.push(vec![
                    persons.into(),
                    events.into(),
                    Value::None,
                    Value::None,
                    Status::NoEvents.into(),
                ]);
                terms.all(Status::NoEvents);
            }
            Self::TooFewEvents => {
                let p = options.design.len().to_string();
                let values = [("parameters", p), ("events", events.to_string())];
                estimate.notice(Notice::new(Status::NotIdentified, "too-few-events", &values));
                summary.push(vec![
                    persons.into(),
                    events.into(),
                    Value::None,
                    Value::None,
                    Status::NotIdentified.into(),
                ]);
                terms.all(Status::NotIdentified);
            }
            Self::Fitted { record, active, next, trend } => {
                fit.log_likelihood = record.iter().map(|e| e.log_likelihood).collect();
                let (at, status) = match &next {
                    Next::Converged { at, .. } => (*at, Status::Ok),
                    Next::Monotone { at, .. } => (*at, Status::Monotone),
                    Next::NotConverged { at } => (*at, Status::Nonconverged),
                    Next::Try(_) => (record.len() - 1, Status::Nonconverged),
                };
                summary.push(vec![
                    persons.into(),
                    events.into(),
                    record[0].log_likelihood.into(),
                    record[at].log_likelihood.into(),
                    status.into(),
                ]);
                let mut tests =
                    Table::new("tests", &["test", "statistic", "df", "p_value", "status"]);
                global_tests(&mut tests, &record, at, &next);
                match &next {
                    Next::Converged { inverse, .. } => {
                        fit.converged = true;
                        fit.condition = inverse.condition.is_finite().then_some(inverse.condition);
                        terms.fitted(&active, &record[at].beta, inverse, &[]);
                    }
                    Next::Monotone { coefficients, inverse, .. } => {
                        let names: Vec<String> = coefficients
                            .iter()
                            .map(|&i| options.design[active[i]].name())
                            .collect();
                        let values = [("terms", names.join(", "))];
                        estimate.notice(Notice::new(Status::Monotone, "monotone", &values));
                        terms.fitted(&active, &record[at].beta, inverse, coefficients);
                    }
                    Next::NotConverged { .. } | Next::Try(_) => {
                        estimate.notice(Notice::new(Status::Nonconverged, "nonconverged", &[]));
                        terms.all(Status::Nonconverged);
                    }
                }
                if active.len() < options.design.len() {
                    let dropped: Vec<String> = (0..options.design.len())
                        .filter(|j| !active.contains(j))
                        .map(|j| options.design[j].name())
                        .collect();
                    let values = [("terms", dropped.join(", "))];
                    estimate.notice(Notice::new(Status::NotIdentified, "terms-dropped", &values));
                }
                estimate.tables.push(tests);
                if let Some(trend) = trend {
                    estimate.tables.push(proportional_hazards(
                        options,
                        &record[at],
                        &active,
                        &trend,
                    ));
                }
            }
        }
        estimate.tables.insert(0, terms.table);
        estimate.tables.insert(1, summary);
        estimate.fit = Some(fit);
        estimate
    }
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "partial-likelihood", &[]);
    let ties = match options.ties {
        TieRule::Efron => "efron",
        TieRule::Breslow => "breslow",
    };
    estimate.line("ties", ties, &[]);
    let strata = [("strata", options.strata.join(", "))];
    match options.baseline {
        Baseline::Site if options.strata.is_empty() => estimate.line("baseline", "per-site", &[]),
        Baseline::Site => estimate.line("baseline", "per-site-and-stratum", &strata),
        Baseline::Common => estimate.line("baseline", "common", &[]),
    }
    let level = 100.0 * options.confidence_level.unwrap_or(0.95);
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "observed-information", &[]);
    let transform = match options.transform() {
        TimeTransform::Km => "transform-km",
        TimeTransform::Log => "transform-log",
        TimeTransform::Identity => "transform-identity",
        TimeTransform::None => "not-tested",
    };
    estimate.line("proportional-hazards", transform, &[]);
}

fn global_tests(table: &mut Table, record: &[Evaluation], at: usize, next: &Next) {
    let start = invert(&record[0].information);
    let likelihood_ratio = 2.0 * (record[at].log_likelihood - record[0].log_likelihood);
    let score = quadratic_form(&record[0].score, &start);
    let df = start.rank as f64;
    let mut push = |name: &str, statistic: Option<f64>, status: Status| {
        let p = statistic.map(|x| chi_squared_upper(x, df));
        table.push(vec![name.into(), statistic.into(), df.into(), p.into(), status.into()]);
    };
    push("likelihood ratio", Some(likelihood_ratio), Status::Ok);
    match next {
        Next::Converged { .. } => {
            let beta = DVector::from_row_slice(&record[at].beta);
            let wald = (beta.transpose() * &record[at].information * &beta)[(0, 0)];
            push("Wald", Some(wald), Status::Ok);
        }
        Next::Monotone { .. } => push("Wald", None, Status::Monotone),
        Next::NotConverged { .. } | Next::Try(_) => push("Wald", None, Status::Nonconverged),
    }
    push("score", Some(score), Status::Ok);
}

/// Score test of g(t)·x beside x (Grambsch & Therneau 1994, exact form): by covariate, and for all together.
fn proportional_hazards(
    options: &Options,
    at: &Evaluation,
    active: &[usize],
    trend: &Trend,
) -> Table {
    let mut table =
        Table::new("proportional_hazards", &["variable", "statistic", "df", "p_value", "status"]);
    let p = active.len();
    let cell = |cells: &[f64], a: usize, b: usize| {
        let (i, j) = (active[a].max(active[b]), active[a].min(active[b]));
        cells[packed(i, j)]
    };
    let mut push =
        |variable: &str, chosen: &[usize]| {
            let q = chosen.len();
            let matrix = DMatrix::from_fn(p + q, p + q, |i, j| match (i < p, j < p) {
                (true, true) => at.information[(i, j)],
                (true, false) => cell(&trend.cross, i, chosen[j - p]),
                (false, true) => cell(&trend.cross, chosen[i - p], j),
                (false, false) => cell(&trend.information, chosen[i - p], chosen[j - p]),
            });
            let u = DVector::from_fn(p + q, |i, _| {
                if i < p { 0.0 } else { trend.score[active[chosen[i - p]]] }
            });
            let inverse = invert(&matrix);
            let df = q as f64;
            if q == 0 || inverse.rank < p + q {
                table.push(vec![
                    variable.into(),
                    Value::None,
                    df.into(),
                    Value::None,
                    Status::NotIdentified.into(),
                ]);
                return;
            }
            let statistic = quadratic_form(&u, &inverse);
            let p_value = chi_squared_upper(statistic, df);
            table.push(vec![
                variable.into(),
                statistic.into(),
                df.into(),
                p_value.into(),
                Status::Ok.into(),
            ]);
        };
    let mut variables: Vec<&String> = options.design.iter().map(|t| &t.variable).collect();
    variables.dedup();
    for variable in variables {
        let chosen: Vec<usize> =
            (0..p).filter(|&i| options.design[active[i]].variable == *variable).collect();
        push(variable, &chosen);
    }
    push("all together", &(0..p).collect::<Vec<_>>());
    table
}
