//! Rows of methods that take counts as they are: no study is left out because a cell is empty.

use tributary_core::{
    estimate::{Estimate, Notice, Number, Status, Table},
    rows,
};
use tributary_stats::{
    beta_binomial,
    distribution::{chi_squared_upper, normal_point, normal_two_sided},
    effect_size::{Measure, StudyData},
    random_effects_glmm::{self, Model, Study},
    two_by_two::Conditional,
};

use super::{Effect, Method, Options, pooled::Pooled, two_arm_tables};

rows! {
    /// Likelihood-ratio test of τ² = 0.
    struct Tau2Test in "tau2_test" {
        method: String,
        statistic: Number,
        p_value: Number,
    }

    /// Beta-binomial risk of an arm.
    struct ArmRisk in "beta_binomial" {
        arm: Number,
        mean_risk: Number,
        correlation: Number,
        statistic: Number,
        p_value: Number,
    }
}

fn study_of(data: &StudyData) -> Option<Study> {
    match *data {
        StudyData::Counts { events1, n1, events2, n2 } => {
            Some(Study::Table([events1, n1 - events1, events2, n2 - events2]))
        }
        StudyData::Rates { events1, time1, events2, time2 } => {
            Some(Study::Rates([events1, time1, events2, time2]))
        }
        StudyData::Events { events, n } => Some(Study::Proportion([events, n - events])),
        StudyData::Estimate { .. } => None,
    }
}

pub(super) fn glmm_row(
    method: Method,
    model: Model,
    options: &Options,
    effects: &[Effect],
    estimate: &mut Estimate,
) -> Pooled {
    let studies: Vec<Study> = effects.iter().filter_map(|e| study_of(&e.data)).collect();
    let Some(fit) = random_effects_glmm::fit(&studies, model, options.nodes(), options.level)
    else {
        let status = if studies.len() < 2 { Status::KTooSmall } else { Status::Monotone };
        return Pooled::empty(method, "profile", studies.len(), status);
    };
    if !fit.agrees {
        estimate.notice(Notice::new(Status::Nonconverged, "glmm-disagrees", &[]));
        return Pooled::empty(method, "profile", studies.len(), Status::Nonconverged);
    }
    let ratio = 2.0 * (fit.log_likelihood - fit.without_heterogeneity).max(0.0);
    // Under no heterogeneity τ² is at its border with probability ½.
    let p = if ratio > 0.0 { 0.5 * chi_squared_upper(ratio, 1.0) } else { 1.0 };
    estimate.tables.push(Table::of([Tau2Test {
        method: method.word().to_owned(),
        statistic: Some(ratio),
        p_value: Some(p),
    }]));
    let z = fit.estimate / fit.std_error;
    let status = match (fit.profile.iter().all(|x| x.is_finite()), fit.tau2 > 0.0) {
        (false, _) => Status::OneSided,
        (true, false) => Status::Boundary,
        (true, true) => Status::Ok,
    };
    let row = Pooled::empty(method, "profile", studies.len(), status);
    Pooled {
        tau2: Some(fit.tau2),
        statistic: Some(z),
        p_value: Some(normal_two_sided(z)),
        ..row.effect([fit.estimate, fit.std_error, fit.profile[0], fit.profile[1]])
    }
}

/// The effect of two beta-binomial means, or one mean; all arms count, those without events too.
pub(super) fn beta_binomial_row(
    options: &Options,
    effects: &[Effect],
    estimate: &mut Estimate,
) -> Pooled {
    let method = Method::BetaBinomial;
    let mut arms: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
    for effect in effects {
        match effect.data {
            StudyData::Counts { events1, n1, events2, n2 } => {
                arms[0].push((events1, n1));
                arms[1].push((events2, n2));
            }
            StudyData::Events { events, n } => arms[0].push((events, n)),
            StudyData::Rates { .. } | StudyData::Estimate { .. } => {}
        }
    }
    let k = arms[0].len();
    let used = if arms[1].is_empty() { &arms[..1] } else { &arms[..] };
    let Some(fit) = beta_binomial::fit(used) else {
        return Pooled::empty(method, "z", k, Status::Monotone);
    };
    let own = |m: f64| m * (1.0 - m);
    let (value, gradient): (f64, Vec<f64>) = match (options.measure, fit.means.as_slice()) {
        (Measure::OddsRatio, &[a, b]) => {
            ((a / (1.0 - a)).ln() - (b / (1.0 - b)).ln(), vec![1.0 / own(a), -1.0 / own(b)])
        }
        (Measure::RiskRatio, &[a, b]) => ((a / b).ln(), vec![1.0 / a, -1.0 / b]),
        (Measure::RiskDifference, &[a, b]) => (a - b, vec![1.0, -1.0]),
        (Measure::Logit, &[a]) => ((a / (1.0 - a)).ln(), vec![1.0 / own(a)]),
        (Measure::LogProportion, &[a]) => (a.ln(), vec![1.0 / a]),
        (_, &[a, ..]) => {
            (a, std::iter::once(1.0).chain(fit.means.iter().skip(1).map(|_| 0.0)).collect())
        }
        _ => return Pooled::empty(method, "z", k, Status::NotIdentified),
    };
    let (effect, std_error) = fit.effect(value, &gradient);
    let ratio = 2.0 * (fit.log_likelihood - fit.without_variation).max(0.0);
    // Under no variation the correlation is at its border with probability ½.
    let p = if ratio > 0.0 { 0.5 * chi_squared_upper(ratio, 1.0) } else { 1.0 };
    estimate.tables.push(Table::of(fit.means.iter().enumerate().map(|(arm, mean)| ArmRisk {
        arm: Some((arm + 1) as f64),
        mean_risk: Some(*mean),
        correlation: Some(fit.correlation),
        statistic: Some(ratio),
        p_value: Some(p),
    })));
    let around = normal_point(options.level) * std_error;
    let z = effect / std_error;
    let inside = fit.correlation > 0.0 && fit.correlation < 0.99;
    let status = if inside { Status::Ok } else { Status::Boundary };
    Pooled {
        statistic: Some(z),
        p_value: Some(normal_two_sided(z)),
        ..Pooled::empty(method, "z", k, status).effect([
            effect,
            std_error,
            effect - around,
            effect + around,
        ])
    }
}

/// The odds ratio given all margins, with exact limits; no normal standard error.
pub(super) fn exact_row(options: &Options, effects: &[Effect], estimate: &mut Estimate) -> Pooled {
    let tables = two_arm_tables(effects);
    let Some(exact) = Conditional::new(&tables) else {
        estimate.notices.push(Notice::new(Status::NotIdentified, "no-exact-ratio", &[]));
        return Pooled::empty(Method::Exact, "exact", tables.len(), Status::NotIdentified);
    };
    let [low, high] = exact.limits(options.level, false);
    let mode = exact.estimate();
    let one_sided = !(mode.is_finite() && low.is_finite() && high.is_finite());
    Pooled {
        estimate: Some(mode),
        conf_low: Some(low),
        conf_high: Some(high),
        tau2: Some(0.0),
        p_value: Some(exact.p_value(false)),
        ..Pooled::empty(
            Method::Exact,
            "exact",
            tables.len(),
            if one_sided { Status::OneSided } else { Status::Ok },
        )
    }
}
