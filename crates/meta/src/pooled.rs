//! The pooled effect by every method asked for, one row each.

use tributary_core::{
    estimate::{Estimate, Notice, Number, Status, Table},
    rows,
};
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

rows! {
    /// The pooled effect by a method, with an interval and a test.
    pub struct Pooled in "pooled" {
        pub method: String,
        pub test: String,
        pub k: Number,
        pub estimate: Number,
        pub std_error: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub pred_low: Number,
        pub pred_high: Number,
        pub tau2: Number,
        pub q: Number,
        pub q_df: Number,
        pub q_p_value: Number,
        pub i2: Number,
        pub h2: Number,
        pub statistic: Number,
        pub p_value: Number,
        pub tau2_std_error: Number,
        pub back_estimate: Number,
        pub back_low: Number,
        pub back_high: Number,
        pub status: Status,
    }

    /// A study's own effect, and its weights.
    pub struct StudyEffect in "studies" {
        pub study: String,
        pub estimate: Number,
        pub std_error: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub weight_common: Number,
        pub weight_random: Number,
        pub status: Status,
    }

    /// How much studies differ: Q, τ² by REML with its Q-profile interval, I² and H².
    pub struct Variation in "heterogeneity" {
        pub q: Number,
        pub q_df: Number,
        pub q_p_value: Number,
        pub tau2: Number,
        pub tau2_std_error: Number,
        pub tau2_low: Number,
        pub tau2_high: Number,
        pub i2: Number,
        pub h2: Number,
        pub status: Status,
    }

    /// τ² with limits by one method.
    struct Tau2Interval in "tau2_intervals" {
        method: String,
        tau2: Number,
        conf_low: Number,
        conf_high: Number,
    }

    /// Posterior of one quantity.
    struct Posterior in "posterior" {
        quantity: String,
        mean: Number,
        std_dev: Number,
        median: Number,
        conf_low: Number,
        conf_high: Number,
    }
}

impl Pooled {
    /// A row without numbers.
    pub(super) fn empty(method: Method, test: &str, k: usize, status: Status) -> Self {
        let (method, test) = (method.word().to_owned(), test.to_owned());
        Self { method, test, k: Some(k as f64), status, ..Self::default() }
    }

    /// The same with estimate, standard error and limits.
    pub(super) fn effect(self, numbers: [f64; 4]) -> Self {
        let [estimate, std_error, conf_low, conf_high] = numbers.map(Some);
        Self { estimate, std_error, conf_low, conf_high, ..self }
    }

    /// The effect with its limits.
    pub fn interval(&self) -> Option<[f64; 3]> {
        Some([self.estimate?, self.conf_low?, self.conf_high?])
    }

    /// Limits of the effect in a new study.
    pub fn prediction(&self) -> Option<[f64; 2]> {
        Some([self.pred_low?, self.pred_high?])
    }

    /// The same with the effect on the scale of the data as well.
    fn back(self, back: impl Fn(f64) -> f64) -> Self {
        let [back_estimate, back_low, back_high] = [self.estimate, self.conf_low, self.conf_high]
            .map(|x| x.filter(|x| x.is_finite()).map(&back));
        Self { back_estimate, back_low, back_high, ..self }
    }
}

impl StudyEffect {
    /// The effect with its limits.
    pub fn interval(&self) -> Option<[f64; 3]> {
        Some([self.estimate?, self.conf_low?, self.conf_high?])
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
    let (y, v): (Vec<f64>, Vec<f64>) = effects.iter().filter_map(|e| e.effect).unzip();
    let harmonic = harmonic_n(effects);
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
    Table::of(rows.into_iter().map(|row| row.back(|x| back(options.measure, x, harmonic))))
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
) -> Pooled {
    let (k, level) = (y.len(), options.level);
    let random = method != Method::Common;
    // With two studies t has one degree of freedom, and its interval says nothing.
    let Some(found) = found.filter(|_| rule == TestRule::Z || k >= 3) else {
        return Pooled::empty(method, rule.word(), k, Status::KTooSmall);
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
    Pooled {
        pred_low: prediction.map(|i| i.0),
        pred_high: prediction.map(|i| i.1),
        tau2: Some(found.value),
        tau2_std_error: found.std_error,
        q: q.as_ref().map(|q| q.q),
        q_df: q.as_ref().map(|q| q.df),
        q_p_value: q.as_ref().map(|q| q.p_value),
        i2: i2_h2.map(|i| i.0),
        h2: i2_h2.map(|i| i.1),
        statistic: Some(p.statistic),
        p_value: Some(p.p_value),
        ..Pooled::empty(method, rule.word(), k, status).effect([
            p.estimate,
            p.std_error,
            p.confidence.0,
            p.confidence.1,
        ])
    }
}

fn bayes_row(options: &Options, y: &[f64], v: &[f64]) -> Pooled {
    let Some(posterior) = posterior(y, v, options.prior(), None) else {
        return Pooled::empty(Method::Bayes, "posterior", y.len(), Status::KTooSmall);
    };
    let mean = posterior.mean(options.level);
    let [pred_low, pred_high] = posterior.prediction(options.level).interval.map(Some);
    let tau2 = Some(posterior.tau(options.level).median.powi(2));
    let row = Pooled::empty(Method::Bayes, "posterior", y.len(), Status::Ok);
    let row = row.effect([mean.mean, mean.sd, mean.interval[0], mean.interval[1]]);
    Pooled { pred_low, pred_high, tau2, ..row }
}

/// Peto's odds ratio is one step from no effect, and biased where arms are of unequal size (Greenland & Salvan 1990).
fn told_where_peto_fails(row: &Pooled, effects: &[Effect], estimate: &mut Estimate) {
    let tables = two_arm_tables(effects);
    let unequal = |t: &&Cells| {
        let (n1, n2) = (t[0] + t[1], t[2] + t[3]);
        n1.max(n2) > 2.0 * n1.min(n2)
    };
    let unequal = tables.iter().filter(unequal).count();
    let Some(log) = row.estimate else { return };
    if log.abs() > 1.0 {
        let values = [("ratio", format!("{:.2}", log.exp()))];
        estimate.notices.push(Notice::new(Status::Ok, "one-step-far", &values));
    }
    if unequal > 0 {
        let values = [("n", unequal.to_string()), ("k", tables.len().to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "one-step-unequal", &values));
    }
}

fn common_row(method: Method, options: &Options, effects: &[Effect]) -> Pooled {
    let tables = two_arm_tables(effects);
    let k = effects.len();
    let found: Option<Common> = match (method, options.measure) {
        (Method::Peto, _) => two_by_two::peto(&tables),
        (_, Measure::RiskRatio) => two_by_two::risk_ratio(&tables),
        (_, Measure::RiskDifference) => two_by_two::risk_difference(&tables),
        (_, Measure::OddsRatio) => two_by_two::odds_ratio(&tables),
        _ => rates_common(options.measure, effects),
    };
    let Some(common) = found else { return Pooled::empty(method, "z", k, Status::NoEvents) };
    let [low, high] = common.limits(options.level);
    // Q of Mantel and Haenszel's effect is that of the studies' own effects about it, with the cells that were asked for.
    let own: Vec<(f64, f64)> = effects.iter().filter_map(|e| e.effect).collect();
    let about = |(y, v): &(f64, f64)| (y - common.estimate).powi(2) / v;
    let q = match method {
        Method::Peto => common.q,
        _ => (own.len() > 1).then(|| (own.iter().map(about).sum(), own.len() as f64 - 1.0)),
    };
    let z = common.estimate / common.std_error;
    Pooled {
        tau2: Some(0.0),
        q: q.map(|(q, _)| q),
        q_df: q.map(|(_, df)| df),
        q_p_value: q.map(|(q, df)| chi_squared_upper(q, df)),
        i2: q.map(|(q, df)| ((q - df) / q).max(0.0)),
        h2: q.map(|(q, df)| q / df),
        statistic: Some(z),
        p_value: Some(common.p_value()),
        ..Pooled::empty(method, "z", k, Status::Ok).effect([
            common.estimate,
            common.std_error,
            low,
            high,
        ])
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
    let mut weights = common.iter().zip(&random);
    let row = |effect: &Effect| {
        let (study, status) = (effect.study.clone(), effect.status);
        let Some((y, v)) = effect.effect else {
            return StudyEffect { study, status, ..StudyEffect::default() };
        };
        let se = v.sqrt();
        // Weights are those of the studies that have an effect, in their order.
        let weights = weights.next();
        StudyEffect {
            study,
            estimate: Some(y),
            std_error: Some(se),
            conf_low: Some(y - z * se),
            conf_high: Some(y + z * se),
            weight_common: weights.map(|w| *w.0),
            weight_random: weights.map(|w| *w.1),
            status,
        }
    };
    Table::of(effects.iter().map(row))
}

/// Q, τ² by REML with its Q-profile interval, I² and H² of at least two effects.
pub fn heterogeneity_table(y: &[f64], v: &[f64], level: f64) -> Table {
    let h = heterogeneity(y, v, level);
    let reml = tau2(y, v, Tau2Estimator::Reml);
    let (i2, h2) = i2_h2(v, reml.value);
    let status = if reml.value > 0.0 { Status::Ok } else { Status::Boundary };
    let (low, high) = h.tau2_confidence;
    Table::of([Variation {
        q: Some(h.q),
        q_df: Some(h.df),
        q_p_value: Some(h.p_value),
        tau2: Some(reml.value),
        tau2_std_error: reml.std_error,
        tau2_low: Some(low),
        tau2_high: Some(high),
        i2: Some(i2),
        h2: Some(h2),
        status,
    }])
}

/// Limits of τ²: by Q-profile, and by the profile of the likelihoods.
pub(super) fn tau2_intervals(y: &[f64], v: &[f64], level: f64) -> Table {
    let reml = tau2(y, v, Tau2Estimator::Reml).value;
    let ml = tau2(y, v, Tau2Estimator::MaximumLikelihood).value;
    let rows = [
        ("Q-profile", reml, heterogeneity(y, v, level).tau2_confidence),
        ("profile likelihood, REML", reml, tau2_profile_limits(y, v, true, level)),
        ("profile likelihood, ML", ml, tau2_profile_limits(y, v, false, level)),
    ];
    Table::of(rows.map(|(method, tau2, (low, high))| Tau2Interval {
        method: method.to_owned(),
        tau2: Some(tau2),
        conf_low: Some(low),
        conf_high: Some(high),
    }))
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
    let row = |quantity: &str, s: tributary_stats::bayes_random_effects::Summary| Posterior {
        quantity: quantity.to_owned(),
        mean: Some(s.mean),
        std_dev: Some(s.sd),
        median: Some(s.median),
        conf_low: Some(s.interval[0]),
        conf_high: Some(s.interval[1]),
    };
    let mut rows = vec![
        row("mean effect", posterior.mean(options.level)),
        row("between-study SD, τ", posterior.tau(options.level)),
        row("a new study", posterior.prediction(options.level)),
    ];
    rows.extend(
        own.iter().enumerate().map(|(i, e)| row(&e.study, posterior.shrunk(i, options.level))),
    );
    Some(Table::of(rows))
}
