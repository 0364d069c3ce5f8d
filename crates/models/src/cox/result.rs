//! Tables of a Cox model from the record of its rounds.

use nalgebra::{DMatrix, DVector};
use tributary_core::{
    estimate::{Estimate, Exactness, FitRecord, Notice, Shown, Status, Table},
    model::{Term, Terms},
};
use tributary_stats::{
    cox::{Trend, packed},
    distribution::{normal_point, normal_two_sided, student_point, student_two_sided},
    matrix::{Inverse, invert, quadratic_form},
    newton::{Evaluation, Next},
};

use super::{
    options::{Baseline, Options, TestBy, TieRule, TimeTransform, Variance, WeightType},
    rows::{ALL_TOGETHER, BaselineDay, HazardsTest, RobustTerm, Summary, Test},
    statistic::{Meat, Totals},
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
        robust: Option<Meat>,
        /// Day and cumulative hazard with all covariates at 0, with a common baseline.
        baseline: Option<Vec<[f64; 2]>>,
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
        let mut summary = Summary { n: Some(persons), n_event: Some(events), ..Summary::default() };
        let mut terms =
            Terms::new(&options.design, "hazard_ratio", options.confidence_level.share());
        match self {
            Self::NoEvents => {
                estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
                summary.status = Status::NoEvents;
                terms = terms.all_empty(Status::NoEvents);
            }
            Self::TooFewEvents => {
                let p = options.design.len().to_string();
                let values = [("parameters", p), ("events", events.to_string())];
                estimate.notice(Notice::new(Status::NotIdentified, "too-few-events", &values));
                summary.status = Status::NotIdentified;
                terms = terms.all_empty(Status::NotIdentified);
            }
            Self::Fitted { record, active, next, trend, robust, baseline } => {
                fit.log_likelihood = record.iter().map(|e| e.log_likelihood).collect();
                let (at, status) = match &next {
                    Next::Converged { at, .. } => (*at, Status::Ok),
                    Next::Monotone { at, .. } => (*at, Status::Monotone),
                    Next::NotConverged { at } => (*at, Status::Nonconverged),
                    Next::Try(_) => (record.len() - 1, Status::Nonconverged),
                };
                summary = Summary {
                    log_likelihood_null: Some(record[0].log_likelihood),
                    log_likelihood: Some(record[at].log_likelihood),
                    status,
                    ..summary
                };
                let asked = match (&next, &robust) {
                    (
                        Next::Converged { inverse, .. } | Next::Monotone { inverse, .. },
                        Some(meat),
                    ) => Some(Sandwich::asked(options, &active, inverse, meat, sites)),
                    _ => None,
                };
                let tests = match options.variance {
                    Variance::Model => global_tests(&record, at, &next).into(),
                    // Likelihood ratio and score test rest on the variance that was not asked for.
                    Variance::Robust => vec![robust_test(&record[at], &next, asked.as_ref())],
                    Variance::Site => Vec::new(),
                };
                match &next {
                    Next::Converged { inverse, .. } => {
                        fit.converged = true;
                        fit.condition = inverse.condition.is_finite().then_some(inverse.condition);
                        let beta = &record[at].beta;
                        told(&mut terms, options, &active, beta, inverse, &[], asked.as_ref());
                    }
                    Next::Monotone { coefficients, inverse, .. } => {
                        let names: Vec<String> = coefficients
                            .iter()
                            .map(|&i| options.design[active[i]].name())
                            .collect();
                        let values = [("terms", names.join(", "))];
                        estimate.notice(Notice::new(Status::Monotone, "monotone", &values));
                        let beta = &record[at].beta;
                        let running = coefficients;
                        told(&mut terms, options, &active, beta, inverse, running, asked.as_ref());
                    }
                    Next::NotConverged { .. } | Next::Try(_) => {
                        estimate.notice(Notice::new(Status::Nonconverged, "nonconverged", &[]));
                        terms = terms.all_empty(Status::Nonconverged);
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
                if !tests.is_empty() {
                    estimate.tables.push(Table::of(tests));
                }
                if let (Next::Converged { inverse, .. }, Some(meat)) = (&next, robust) {
                    if options.variance == Variance::Site && sites < FEWEST_SITES {
                        let values = [("n", sites.to_string())];
                        estimate.notice(Notice::new(Status::KTooSmall, "few-clusters", &values));
                    }
                    estimate.tables.push(sandwich(
                        options,
                        &record[at],
                        &active,
                        inverse,
                        &meat,
                        sites,
                    ));
                }
                if let Some(steps) = baseline {
                    let days = steps.into_iter().map(|[day, hazard]| BaselineDay::new(day, hazard));
                    estimate.tables.push(Table::of(days).shown(Shown::File));
                }
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
        estimate.tables.insert(0, terms.table());
        estimate.tables.insert(1, Table::of([summary]));
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
    let level = 100.0 * options.confidence_level.share();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    let variance = match options.variance {
        Variance::Model => "observed-information",
        Variance::Robust => "sandwich-patients",
        Variance::Site => "sandwich-sites",
    };
    estimate.line("variance", variance, &[]);
    if !options.time_bands_years.is_empty() {
        let bands: Vec<String> = options.time_bands_years.iter().map(f64::to_string).collect();
        let values = [("bands", bands.join(", ")), ("names", options.time_varying.join(", "))];
        estimate.line("bands", "varying", &values);
    }
    if let Some(name) = &options.weights {
        let word =
            if options.weight_type == WeightType::Frequency { "frequency" } else { "sampling" };
        estimate.line("weights", word, &[("name", name.clone())]);
    }
    if let Some(name) = &options.offset {
        estimate.line("offset", "variable", &[("name", name.clone())]);
    }
    let transform = match options.transform() {
        TimeTransform::Km => "transform-km",
        TimeTransform::Log => "transform-log",
        TimeTransform::Identity => "transform-identity",
        TimeTransform::None => "not-tested",
    };
    estimate.line("proportional-hazards", transform, &[]);
}

fn global_tests(record: &[Evaluation], at: usize, next: &Next) -> [Test; 3] {
    let start = invert(&record[0].information);
    let likelihood_ratio = 2.0 * (record[at].log_likelihood - record[0].log_likelihood);
    let score = quadratic_form(&record[0].score, &start);
    let df = start.rank as f64;
    let wald = match next {
        Next::Converged { .. } => {
            let beta = DVector::from_row_slice(&record[at].beta);
            Ok((beta.transpose() * &record[at].information * &beta)[(0, 0)])
        }
        Next::Monotone { .. } => Err(Status::Monotone),
        Next::NotConverged { .. } | Next::Try(_) => Err(Status::Nonconverged),
    };
    [
        Test::new("likelihood ratio", Ok(likelihood_ratio), df),
        Test::new("Wald", wald, df),
        Test::new("score", Ok(score), df),
    ]
}

/// Wald test of all terms together by the variance that was asked for.
fn robust_test(at: &Evaluation, next: &Next, asked: Option<&Sandwich>) -> Test {
    let (statistic, df) = match (next, asked) {
        (Next::Converged { .. }, Some(asked)) => {
            let inverse = invert(&asked.variance);
            let beta = DVector::from_row_slice(&at.beta);
            (Ok(quadratic_form(&beta, &inverse)), inverse.rank as f64)
        }
        (Next::Monotone { .. }, _) => (Err(Status::Monotone), at.beta.len() as f64),
        _ => (Err(Status::Nonconverged), at.beta.len() as f64),
    };
    Test::new("Wald", statistic, df)
}

/// Fewest sites for a variance over sites.
const FEWEST_SITES: usize = 4;

/// A sandwich variance and the degrees of freedom of its intervals.
struct Sandwich {
    variance: DMatrix<f64>,
    df: Option<f64>,
    too_few: bool,
}

impl Sandwich {
    fn of(active: &[usize], inverse: &Inverse, cells: &[f64], df: Option<f64>) -> Self {
        let p = active.len();
        let middle = DMatrix::from_fn(p, p, |i, j| {
            let (i, j) = (active[i].max(active[j]), active[i].min(active[j]));
            cells[packed(i, j)]
        });
        Self { variance: &inverse.matrix * middle * &inverse.matrix, df, too_few: false }
    }

    /// The one that was asked for: over patients, or over sites with the CR2 correction.
    fn asked(
        options: &Options,
        active: &[usize],
        inverse: &Inverse,
        meat: &Meat,
        sites: usize,
    ) -> Self {
        match options.variance {
            Variance::Model | Variance::Robust => Self::of(active, inverse, &meat.persons, None),
            Variance::Site => {
                let df = Some(sites.saturating_sub(1) as f64);
                let found = Self::of(active, inverse, &meat.site_corrected, df);
                Self { too_few: sites < FEWEST_SITES, ..found }
            }
        }
    }

    fn std_error(&self, i: usize) -> f64 {
        self.variance[(i, i)].max(0.0).sqrt()
    }

    /// Point of the interval, and the p-value of a statistic.
    fn point(&self, level: f64) -> f64 {
        self.df.map_or_else(|| normal_point(level), |df| student_point(level, df))
    }

    fn p_value(&self, statistic: f64) -> f64 {
        self.df.map_or_else(|| normal_two_sided(statistic), |df| student_two_sided(statistic, df))
    }
}

/// Rows of the terms, with the variance that was asked for.
fn told(
    terms: &mut Terms<'_>,
    options: &Options,
    active: &[usize],
    beta: &[f64],
    inverse: &Inverse,
    running: &[usize],
    asked: Option<&Sandwich>,
) {
    let Some(asked) = asked else { return terms.fitted(active, beta, inverse, running) };
    let point = asked.point(options.confidence_level.share());
    for j in 0..options.design.len() {
        match active.iter().position(|&k| k == j) {
            None => terms.empty(j, Status::NotIdentified),
            Some(i) if running.contains(&i) => terms.empty(j, Status::Monotone),
            Some(i) if asked.too_few => {
                let (estimate, status) = (Some(beta[i]), Status::KTooSmall);
                terms.push(j, Term { estimate, status, ..Term::default() });
            }
            Some(i) => {
                let p_value = |statistic| asked.p_value(statistic);
                terms.push(j, Term::wald(beta[i], asked.std_error(i), point, p_value));
            }
        }
    }
}

/// Table `robust`: sandwich variance over patients, or over sites (plain, and with the CR2 correction and Student's t).
fn sandwich(
    options: &Options,
    at: &Evaluation,
    active: &[usize],
    inverse: &Inverse,
    meat: &Meat,
    sites: usize,
) -> Table {
    let mut rows = Vec::new();
    let df = sites.saturating_sub(1) as f64;
    let level = options.confidence_level.share();
    let choices: &[(&str, &Vec<f64>, Option<f64>)] = match options.variance {
        Variance::Robust => &[("patients", &meat.persons, None)],
        Variance::Model | Variance::Site => {
            &[("sites", &meat.site, None), ("sites CR2", &meat.site_corrected, Some(df))]
        }
    };
    for (name, cells, df) in choices {
        let found = Sandwich::of(active, inverse, cells, *df);
        for (i, &j) in active.iter().enumerate() {
            let (b, se) = (at.beta[i], found.std_error(i));
            let told = RobustTerm {
                term: options.design[j].name(),
                variance: (*name).to_owned(),
                estimate: Some(b),
                ..RobustTerm::default()
            };
            if options.variance == Variance::Site && sites < FEWEST_SITES {
                rows.push(RobustTerm { status: Status::KTooSmall, ..told });
                continue;
            }
            let point = found.point(level);
            rows.push(RobustTerm {
                std_error: Some(se),
                statistic: Some(b / se),
                df: *df,
                p_value: Some(found.p_value(b / se)),
                conf_low: Some(b - point * se),
                conf_high: Some(b + point * se),
                ..told
            });
        }
    }
    Table::of(rows)
}

/// Score test of g(t)·x beside x (Grambsch & Therneau 1994, exact form): by covariate, and for all together.
fn proportional_hazards(
    options: &Options,
    at: &Evaluation,
    active: &[usize],
    trend: &Trend,
) -> Table {
    let mut rows = Vec::new();
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
                rows.push(Test::new(variable, Err(Status::NotIdentified), df));
            } else {
                rows.push(Test::new(variable, Ok(quadratic_form(&u, &inverse)), df));
            }
        };
    if options.proportional_hazards_by == TestBy::Term {
        for (j, term) in options.design.iter().enumerate() {
            let chosen: Vec<usize> = (0..p).filter(|&i| active[i] == j).collect();
            push(&term.name(), &chosen);
        }
    } else {
        let mut variables: Vec<&String> = options.design.iter().map(|t| &t.variable).collect();
        variables.dedup();
        for variable in variables {
            let chosen: Vec<usize> =
                (0..p).filter(|&i| options.design[active[i]].variable == *variable).collect();
            push(variable, &chosen);
        }
    }
    push(ALL_TOGETHER, &(0..p).collect::<Vec<_>>());
    Table::of(rows.into_iter().map(HazardsTest::from))
}
