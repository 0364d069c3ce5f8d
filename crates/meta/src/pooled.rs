//! The pooled effect by every method asked for, one row each.

use tributary_core::estimate::{Estimate, Notice, Status, Table, Value};
use tributary_stats::{
    bayes_random_effects::posterior,
    distribution::{chi_squared_upper, normal_point},
    effect_size::{Measure, StudyData, back},
    random_effects::{
        Heterogeneity, Tau2, Tau2Estimator, Test, generalised_q_tau2, heterogeneity, i2_h2, pool,
        pool_weighted, tau2, tau2_profile_limits,
    },
    rate_ratio::{Rate, mantel_haenszel},
    two_by_two::{self, Cells, Common},
};

use super::{
    Dataset, Effect, Kind, Method, Options, Prediction, TestRule,
    rare::{beta_binomial_row, exact_row, glmm_row},
    two_arm_tables,
};

/// Methods for data without a choice: models of counts where a cell is empty, Bayes for two to four studies (with REML beside it from
/// three on), else REML.
pub(super) fn usual_methods(data: &Dataset, measure: Measure, effects: &[Effect]) -> Vec<Method> {
    let k = effects.iter().filter(|e| e.effect.is_some()).count();
    let lost = k < effects.len();
    let kept = [Method::Conditional, Method::MantelHaenszel]
        .into_iter()
        .find(|m| m.fits(data.kind, measure));
    match (data.kind, effects.len()) {
        // A model of counts for the measure, or a common effect that needs no correction, keeps the studies that are lost otherwise.
        (Kind::TwoArms | Kind::Rates | Kind::Proportion, 2..) if lost && kept.is_some() => {
            kept.into_iter().collect()
        }
        (_, 0 | 1) => vec![Method::Common],
        // Two studies say next to nothing about their variance: no other claim is made.
        _ if k <= 2 => vec![Method::Bayes],
        _ if k <= 4 => vec![Method::Bayes, Method::Reml],
        _ => vec![Method::Reml],
    }
}

/// Tests for k studies: a t interval with one degree of freedom says nothing.
pub(super) fn usual_tests(k: usize) -> Vec<TestRule> {
    if k < 3 { vec![TestRule::Z] } else { vec![TestRule::HksjFloor] }
}

/// Columns of the table `pooled`.
pub const POOLED: [&str; 22] = [
    "method",
    "test",
    "k",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "pred_low",
    "pred_high",
    "tau2",
    "q",
    "q_df",
    "q_p_value",
    "i2",
    "h2",
    "statistic",
    "p_value",
    "tau2_std_error",
    "back_estimate",
    "back_low",
    "back_high",
    "status",
];

/// One row: estimate, limits and the rest by name.
pub(super) struct Row {
    pub(super) method: Method,
    pub(super) test: &'static str,
    pub(super) k: usize,
    pub(super) effect: [Option<f64>; 4],
    pub(super) prediction: [Option<f64>; 2],
    pub(super) tau2: Option<f64>,
    pub(super) tau2_std_error: Option<f64>,
    pub(super) q: Option<[f64; 3]>,
    pub(super) i2_h2: Option<(f64, f64)>,
    pub(super) test_result: [Option<f64>; 2],
    pub(super) status: Status,
}

impl Row {
    pub(super) fn empty(method: Method, test: &'static str, k: usize, status: Status) -> Self {
        Self {
            method,
            test,
            k,
            effect: [None; 4],
            prediction: [None; 2],
            tau2: None,
            tau2_std_error: None,
            q: None,
            i2_h2: None,
            test_result: [None; 2],
            status,
        }
    }

    fn cells(self, back: &dyn Fn(f64) -> f64) -> Vec<Value> {
        let [estimate, std_error, low, high] = self.effect;
        let finite = |x: Option<f64>| Value::from(x.filter(|x| x.is_finite()));
        let mut row: Vec<Value> =
            vec![self.method.word().into(), self.test.into(), (self.k as f64).into()];
        row.extend([estimate, std_error, low, high].map(finite));
        row.extend(self.prediction.map(finite));
        row.push(self.tau2.into());
        row.extend((0..3).map(|i| Value::from(self.q.map(|q| q[i]))));
        row.push(finite(self.i2_h2.map(|x| x.0)));
        row.push(finite(self.i2_h2.map(|x| x.1)));
        row.extend(self.test_result.map(finite));
        row.push(self.tau2_std_error.into());
        row.extend([estimate, low, high].map(|x| finite(x.filter(|x| x.is_finite()).map(back))));
        row.push(self.status.into());
        row
    }
}

/// The pooled effects: the common effect by inverse variance first, with the tests that are named where it is, then each method with
/// each test.
pub fn pooled_table(
    options: &Options,
    methods: &[Method],
    tests: &[TestRule],
    effects: &[Effect],
    estimate: &mut Estimate,
) -> Table {
    let mut table = Table::new("pooled", &POOLED);
    let (y, v): (Vec<f64>, Vec<f64>) = effects.iter().filter_map(|e| e.effect).unzip();
    let harmonic = harmonic_n(effects);
    let back_of = |x: f64| back(options.measure, x, harmonic);
    let named = methods.contains(&Method::Common) && !options.tests.is_empty();
    let mut rows = Vec::new();
    for &rule in if named { &options.tests[..] } else { &[TestRule::Z] } {
        let none = tau2_of(Method::Common, options, &y, &v);
        rows.push(normal_row(Method::Common, rule, none, (&y, &v), options, estimate));
    }
    for &method in methods.iter().filter(|m| **m != Method::Common) {
        if method.estimator().is_some() || method == Method::GeneralisedQ {
            for &rule in tests {
                let found = tau2_of(method, options, &y, &v);
                rows.push(normal_row(method, rule, found, (&y, &v), options, estimate));
            }
        } else if method == Method::Exact {
            rows.push(exact_row(options, effects, estimate));
        } else if method == Method::BetaBinomial {
            rows.push(beta_binomial_row(options, effects, estimate));
        } else if method == Method::Bayes {
            rows.push(bayes_row(options, &y, &v));
        } else if let Some(model) = method.glmm() {
            rows.push(glmm_row(method, model, options, effects, estimate));
        } else {
            let row = common_row(method, options, effects);
            if method == Method::Peto {
                told_where_peto_fails(&row, effects, estimate);
            }
            rows.push(row);
        }
    }
    for row in rows {
        table.push(row.cells(&back_of));
    }
    table
}

/// Harmonic mean of the sample sizes, for the double arcsine.
fn harmonic_n(effects: &[Effect]) -> Option<f64> {
    let sizes: Vec<f64> = effects
        .iter()
        .filter_map(|e| match e.data {
            StudyData::Events { n, .. } if n > 0.0 => Some(n),
            _ => None,
        })
        .collect();
    (!sizes.is_empty()).then(|| sizes.len() as f64 / sizes.iter().map(|n| 1.0 / n).sum::<f64>())
}

/// τ² by a method; `None` where there are too few effects.
pub(super) fn tau2_of(method: Method, options: &Options, y: &[f64], v: &[f64]) -> Option<Tau2> {
    if y.is_empty() || (method != Method::Common && y.len() < 2) {
        return None;
    }
    Some(match method {
        Method::GeneralisedQ => Tau2 {
            value: generalised_q_tau2(y, v, &options.weights),
            std_error: None,
            modes: Vec::new(),
        },
        _ => tau2(y, v, method.estimator().unwrap_or(Tau2Estimator::Common)),
    })
}

pub(super) fn normal_row(
    method: Method,
    rule: TestRule,
    found: Option<Tau2>,
    (y, v): (&[f64], &[f64]),
    options: &Options,
    estimate: &mut Estimate,
) -> Row {
    let (k, level) = (y.len(), options.level);
    let random = method != Method::Common;
    // With two studies t has one degree of freedom, and its interval says nothing.
    let Some(found) = found.filter(|_| rule == TestRule::Z || k >= 3) else {
        return Row::empty(method, rule.word(), k, Status::KTooSmall);
    };
    if found.modes.len() > 1 {
        let modes: Vec<String> = found.modes.iter().map(|m| format!("{m:.4}")).collect();
        let notice = Notice::new(Status::Multimodal, "multimodal", &[("modes", modes.join(", "))]);
        if !estimate.notices.contains(&notice) {
            estimate.notice(notice);
        }
    }
    let p = if method == Method::GeneralisedQ {
        pool_weighted(y, v, &options.weights, found.value, rule.test(), level)
    } else {
        pool(y, v, found.value, rule.test(), level)
    };
    let q = (k >= 2).then(|| heterogeneity(y, v, level));
    let i2_h2 = match (&q, random) {
        (Some(_), true) => Some(i2_h2(v, found.value)),
        (Some(Heterogeneity { q, df, .. }), false) => Some((((q - df) / q).max(0.0), q / df)),
        (None, _) => None,
    };
    let df = match options.prediction {
        Prediction::TK1 => k as f64 - 1.0,
        Prediction::AsTest => p.df,
    };
    let prediction =
        (random && (k >= 3 || df.is_infinite())).then(|| p.prediction(found.value, df, level));
    if p.std_error.is_nan() {
        let notice = Notice::new(Status::NotIdentified, "identical-effects", &[]);
        if !estimate.notices.contains(&notice) {
            estimate.notice(notice);
        }
    }
    let status = match (k, random, found.value > 0.0) {
        (1, _, _) => Status::KTooSmall,
        _ if p.std_error.is_nan() => Status::NotIdentified,
        (_, true, false) => Status::Boundary,
        _ => Status::Ok,
    };
    Row {
        effect: [p.estimate, p.std_error, p.confidence.0, p.confidence.1].map(Some),
        prediction: [prediction.map(|i| i.0), prediction.map(|i| i.1)],
        tau2: Some(found.value),
        tau2_std_error: found.std_error,
        q: q.map(|q| [q.q, q.df, q.p_value]),
        i2_h2,
        test_result: [Some(p.statistic), Some(p.p_value)],
        ..Row::empty(method, rule.word(), k, status)
    }
}

fn bayes_row(options: &Options, y: &[f64], v: &[f64]) -> Row {
    let Some(posterior) = posterior(y, v, options.prior(), None) else {
        return Row::empty(Method::Bayes, "posterior", y.len(), Status::KTooSmall);
    };
    let mean = posterior.mean(options.level);
    let prediction = posterior.prediction(options.level).interval;
    Row {
        effect: [mean.mean, mean.sd, mean.interval[0], mean.interval[1]].map(Some),
        prediction: prediction.map(Some),
        tau2: Some(posterior.tau(options.level).median.powi(2)),
        ..Row::empty(Method::Bayes, "posterior", y.len(), Status::Ok)
    }
}

/// Peto's odds ratio is one step from no effect, and biased where arms are of unequal size (Greenland & Salvan 1990).
fn told_where_peto_fails(row: &Row, effects: &[Effect], estimate: &mut Estimate) {
    let tables = two_arm_tables(effects);
    let unequal = |t: &&Cells| {
        let (n1, n2) = (t[0] + t[1], t[2] + t[3]);
        n1.max(n2) > 2.0 * n1.min(n2)
    };
    let unequal = tables.iter().filter(unequal).count();
    let Some(log) = row.effect[0] else { return };
    if log.abs() > 1.0 {
        let values = [("ratio", format!("{:.2}", log.exp()))];
        estimate.notices.push(Notice::new(Status::Ok, "one-step-far", &values));
    }
    if unequal > 0 {
        let values = [("n", unequal.to_string()), ("k", tables.len().to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "one-step-unequal", &values));
    }
}

fn common_row(method: Method, options: &Options, effects: &[Effect]) -> Row {
    let tables = two_arm_tables(effects);
    let k = effects.len();
    let found: Option<Common> = match (method, options.measure) {
        (Method::Peto, _) => two_by_two::peto(&tables),
        (_, Measure::RiskRatio) => two_by_two::risk_ratio(&tables),
        (_, Measure::RiskDifference) => two_by_two::risk_difference(&tables),
        (_, Measure::OddsRatio) => two_by_two::odds_ratio(&tables),
        _ => rates_common(options.measure, effects),
    };
    let Some(common) = found else { return Row::empty(method, "z", k, Status::NoEvents) };
    let [low, high] = common.limits(options.level);
    // Q of Mantel and Haenszel's effect is that of the studies' own effects about it, with the cells that were asked for.
    let own: Vec<(f64, f64)> = effects.iter().filter_map(|e| e.effect).collect();
    let about = |(y, v): &(f64, f64)| (y - common.estimate).powi(2) / v;
    let q = match method {
        Method::Peto => common.q,
        _ => (own.len() > 1).then(|| (own.iter().map(about).sum(), own.len() as f64 - 1.0)),
    };
    let q = q.map(|(q, df)| [q, df, chi_squared_upper(q, df)]);
    let z = common.estimate / common.std_error;
    Row {
        effect: [common.estimate, common.std_error, low, high].map(Some),
        tau2: Some(0.0),
        q,
        i2_h2: q.map(|[q, df, _]| (((q - df) / q).max(0.0), q / df)),
        test_result: [Some(z), Some(common.p_value())],
        ..Row::empty(method, "z", k, Status::Ok)
    }
}

fn rates_common(measure: Measure, effects: &[Effect]) -> Option<Common> {
    let strata: Vec<[Rate; 2]> = effects
        .iter()
        .filter_map(|e| match e.data {
            StudyData::Rates { events1, time1, events2, time2 } => {
                Some([Rate { events: events1, time: time1 }, Rate { events: events2, time: time2 }])
            }
            _ => None,
        })
        .collect();
    let mh = mantel_haenszel(&strata)?;
    let (estimate, std_error) = if measure == Measure::RateDifference {
        (mh.difference, mh.difference_std_error)
    } else {
        (mh.ln_ratio, mh.ln_ratio_std_error)
    };
    Some(Common { estimate, std_error, q: None, score: Some([mh.chi_squared; 2]) })
}

/// Each study's own effect with its weights.
pub fn studies_table(effects: &[Effect], level: f64) -> Table {
    let columns = [
        "study",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "weight_common",
        "weight_random",
        "status",
    ];
    let mut table = Table::new("studies", &columns);
    let (y, v): (Vec<f64>, Vec<f64>) = effects.iter().filter_map(|e| e.effect).unzip();
    let weights = |tau2_value: f64| {
        if y.is_empty() { Vec::new() } else { pool(&y, &v, tau2_value, Test::Z, level).weights }
    };
    let common = weights(0.0);
    let random = if y.len() >= 2 {
        weights(tau2(&y, &v, Tau2Estimator::Reml).value)
    } else {
        common.clone()
    };
    let z = normal_point(level);
    let mut i = 0;
    for effect in effects {
        let mut row = vec![Value::from(&effect.study)];
        if let Some((y, v)) = effect.effect {
            let se = v.sqrt();
            row.extend([y, se, y - z * se, y + z * se, common[i], random[i]].map(Value::from));
            i += 1;
        } else {
            row.resize(columns.len() - 1, Value::None);
        }
        row.push(effect.status.into());
        table.push(row);
    }
    table
}

/// Q, τ² by REML with its Q-profile interval, I² and H² of at least two effects.
pub fn heterogeneity_table(y: &[f64], v: &[f64], level: f64) -> Table {
    let columns = [
        "q",
        "q_df",
        "q_p_value",
        "tau2",
        "tau2_std_error",
        "tau2_low",
        "tau2_high",
        "i2",
        "h2",
        "status",
    ];
    let mut table = Table::new("heterogeneity", &columns);
    let h = heterogeneity(y, v, level);
    let reml = tau2(y, v, Tau2Estimator::Reml);
    let (i2, h2) = i2_h2(v, reml.value);
    let status = if reml.value > 0.0 { Status::Ok } else { Status::Boundary };
    let (low, high) = h.tau2_confidence;
    let mut row: Vec<Value> = [h.q, h.df, h.p_value, reml.value].map(Value::from).into();
    row.push(reml.std_error.into());
    row.extend([low, high, i2, h2].map(Value::from));
    row.push(status.into());
    table.push(row);
    table
}

/// Limits of τ²: by Q-profile, and by the profile of the likelihoods.
pub(super) fn tau2_intervals(y: &[f64], v: &[f64], level: f64) -> Table {
    let mut table = Table::new("tau2_intervals", &["method", "tau2", "conf_low", "conf_high"]);
    let reml = tau2(y, v, Tau2Estimator::Reml).value;
    let ml = tau2(y, v, Tau2Estimator::MaximumLikelihood).value;
    let rows = [
        ("Q-profile", reml, heterogeneity(y, v, level).tau2_confidence),
        ("profile likelihood, REML", reml, tau2_profile_limits(y, v, true, level)),
        ("profile likelihood, ML", ml, tau2_profile_limits(y, v, false, level)),
    ];
    for (name, value, (low, high)) in rows {
        let finite = |x: f64| if x.is_finite() { Value::number(x) } else { Value::None };
        table.push(vec![name.into(), value.into(), finite(low), finite(high)]);
    }
    table
}

/// The posterior: mean, τ, a new study, and each study shrunk.
pub(super) fn bayes_table(
    options: &Options,
    methods: &[Method],
    effects: &[Effect],
) -> Option<Table> {
    if !methods.contains(&Method::Bayes) {
        return None;
    }
    let own: Vec<&Effect> = effects.iter().filter(|e| e.effect.is_some()).collect();
    let (y, v): (Vec<f64>, Vec<f64>) = own.iter().filter_map(|e| e.effect).unzip();
    let posterior = posterior(&y, &v, options.prior(), None)?;
    let mut table = Table::new(
        "posterior",
        &["quantity", "mean", "std_dev", "median", "conf_low", "conf_high"],
    );
    let mut push = |name: &str, s: tributary_stats::bayes_random_effects::Summary| {
        let mut row = vec![Value::from(name)];
        row.extend([s.mean, s.sd, s.median, s.interval[0], s.interval[1]].map(Value::number));
        table.push(row);
    };
    push("mean effect", posterior.mean(options.level));
    push("between-study SD, τ", posterior.tau(options.level));
    push("a new study", posterior.prediction(options.level));
    for (i, effect) in own.iter().enumerate() {
        push(&effect.study, posterior.shrunk(i, options.level));
    }
    Some(table)
}
