//! Common- and random-effects pooling of k estimates yᵢ with known variances vᵢ.
//!
//! Sources: DerSimonian & Laird (1986); Paule & Mandel (1982); Viechtbauer (2005) for REML; Viechtbauer (2007) for the
//! Q-profile interval; Hartung & Knapp (2001), Sidik & Jonkman (2002) and Röver, Knapp & Friede (2015) for the t interval
//! and its floor; Higgins, Thompson & Spiegelhalter (2009) for prediction. The restricted likelihood may have two modes
//! and iterations from one start find either: here the whole range of τ² is scanned and every mode reported.

use super::{
    distribution::{
        chi_squared_quantile, chi_squared_upper, normal_point, normal_two_sided, student_point,
        student_two_sided,
    },
    root::{brent, local_maxima},
    sum::neumaier,
};

/// Estimator of the between-study variance τ².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tau2Estimator {
    /// τ² = 0: one common effect, inverse-variance weights.
    Common,
    /// DerSimonian–Laird.
    DerSimonianLaird,
    /// Restricted maximum likelihood.
    Reml,
    /// Paule–Mandel, which is also the empirical Bayes estimator: the generalised Q equals k − 1.
    PauleMandel,
    /// Paule–Mandel, median unbiased: the generalised Q equals the median of its distribution.
    MedianPauleMandel,
    /// Hedges (Hunter & Schmidt's Cochran estimator): unweighted variance less the mean sampling variance.
    Hedges,
    /// Hunter–Schmidt.
    HunterSchmidt,
    /// Sidik–Jonkman.
    SidikJonkman,
    /// Maximum likelihood.
    MaximumLikelihood,
}

/// τ² and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tau2 {
    /// The estimate.
    pub value: f64,
    /// Its standard error from the expected information (ML and REML only).
    pub std_error: Option<f64>,
    /// Every local maximum of the likelihood, best first (ML and REML only).
    pub modes: Vec<f64>,
}

/// How the interval of the pooled effect is formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Normal.
    Z,
    /// t with k − 1 degrees of freedom.
    T,
    /// Hartung–Knapp–Sidik–Jonkman, t with k − 1 degrees of freedom.
    HartungKnapp,
    /// The same, never narrower than the normal standard error: factor max(1, q).
    HartungKnappFloor,
}

/// A pooled effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooled {
    /// Weighted mean.
    pub estimate: f64,
    /// Standard error under the test chosen.
    pub std_error: f64,
    /// estimate / `std_error`.
    pub statistic: f64,
    /// Two-sided.
    pub p_value: f64,
    /// Confidence interval.
    pub confidence: (f64, f64),
    /// Degrees of freedom of the t distribution; infinite for the normal.
    pub df: f64,
    /// Weights, summing to 1.
    pub weights: Vec<f64>,
}

/// Heterogeneity of the estimates.
#[derive(Debug, Clone, PartialEq)]
pub struct Heterogeneity {
    /// Cochran's Q.
    pub q: f64,
    /// Its degrees of freedom, k − 1.
    pub df: f64,
    /// Its p-value.
    pub p_value: f64,
    /// Q-profile interval of τ².
    pub tau2_confidence: (f64, f64),
}

struct Fit {
    weights: Vec<f64>,
    total: f64,
    mean: f64,
}

fn fit(y: &[f64], v: &[f64], tau2: f64) -> Fit {
    weighted(y, v.iter().map(|v| 1.0 / (v + tau2)).collect())
}

fn weighted(y: &[f64], weights: Vec<f64>) -> Fit {
    let total = neumaier(weights.iter().copied());
    let mean = neumaier(weights.iter().zip(y).map(|(w, y)| w * y)) / total;
    Fit { weights, total, mean }
}

/// Σ (yᵢ − μ)² / (vᵢ + τ²), decreasing in τ².
fn generalised_q(y: &[f64], v: &[f64], tau2: f64) -> f64 {
    let f = fit(y, v, tau2);
    neumaier(f.weights.iter().zip(y).map(|(w, y)| w * (y - f.mean) * (y - f.mean)))
}

/// Whether a likelihood is restricted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Likelihood {
    Restricted,
    Full,
}

/// ℓ(τ²) with μ at its best, less a constant.
fn log_likelihood(y: &[f64], v: &[f64], tau2: f64, kind: Likelihood) -> f64 {
    let (mut total, mut sum, mut squares) = (0.0, 0.0, 0.0);
    // Products of a few variances at a time save logarithms.
    let (mut log_variance, mut product) = (0.0, 1.0_f64);
    for (y, v) in y.iter().zip(v) {
        let s = v + tau2;
        let w = 1.0 / s;
        total += w;
        sum += w * y;
        squares += w * y * y;
        product *= s;
        if !(1e-100..1e100).contains(&product) {
            log_variance += product.ln();
            product = 1.0;
        }
    }
    log_variance += product.ln();
    let q = squares - sum * sum / total;
    let penalty = if kind == Likelihood::Restricted { total.ln() } else { 0.0 };
    -0.5 * (log_variance + penalty + q)
}

/// Slope of [`log_likelihood`] in τ², by two passes without a buffer.
fn score(y: &[f64], v: &[f64], tau2: f64, kind: Likelihood) -> f64 {
    let (mut total, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for (y, v) in y.iter().zip(v) {
        let w = 1.0 / (v + tau2);
        total += w;
        sum += w * y;
        squares += w * w;
    }
    let mean = sum / total;
    let mut residual = 0.0;
    for (y, v) in y.iter().zip(v) {
        let r = (y - mean) / (v + tau2);
        residual += r * r;
    }
    let gain = if kind == Likelihood::Restricted { squares / total } else { 0.0 };
    0.5 * (residual - total + gain)
}

/// Largest τ² worth looking at: a hundred times the spread of the estimates or the largest variance.
fn tau2_ceiling(y: &[f64], v: &[f64]) -> f64 {
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let spread =
        y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / (y.len() as f64 - 1.0).max(1.0);
    100.0 * v.iter().copied().fold(spread, f64::max)
}

/// Solves generalised Q(τ²) = `target`; 0 if it is below already.
fn invert_q(y: &[f64], v: &[f64], target: f64) -> f64 {
    if generalised_q(y, v, 0.0) <= target {
        return 0.0;
    }
    let mut high = tau2_ceiling(y, v);
    while generalised_q(y, v, high) > target {
        high *= 10.0;
    }
    brent(|tau2| generalised_q(y, v, tau2) - target, 0.0, high).unwrap_or(0.0)
}

/// Estimates τ² from at least two estimates with positive variances.
pub fn tau2(y: &[f64], v: &[f64], estimator: Tau2Estimator) -> Tau2 {
    let plain = |value: f64| Tau2 { value, std_error: None, modes: Vec::new() };
    let df = y.len() as f64 - 1.0;
    match estimator {
        Tau2Estimator::Common => plain(0.0),
        Tau2Estimator::DerSimonianLaird => {
            let f = fit(y, v, 0.0);
            let c = f.total - neumaier(f.weights.iter().map(|w| w * w)) / f.total;
            plain(((generalised_q(y, v, 0.0) - df) / c).max(0.0))
        }
        Tau2Estimator::PauleMandel => plain(invert_q(y, v, df)),
        Tau2Estimator::MedianPauleMandel => plain(invert_q(y, v, chi_squared_quantile(0.5, df))),
        Tau2Estimator::Hedges => {
            plain((variance(y) - v.iter().sum::<f64>() / v.len() as f64).max(0.0))
        }
        Tau2Estimator::HunterSchmidt => {
            let f = fit(y, v, 0.0);
            plain(((generalised_q(y, v, 0.0) - y.len() as f64) / f.total).max(0.0))
        }
        Tau2Estimator::SidikJonkman => {
            let first = variance(y) * df / y.len() as f64;
            plain(first * generalised_q(y, v, first) / df)
        }
        Tau2Estimator::Reml => by_likelihood(y, v, Likelihood::Restricted),
        Tau2Estimator::MaximumLikelihood => by_likelihood(y, v, Likelihood::Full),
    }
}

/// Unweighted variance of the estimates.
fn variance(y: &[f64]) -> f64 {
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / (y.len() as f64 - 1.0)
}

/// The whole range of τ² is scanned on the log scale, in steps far finer than the likelihood bends there: from a hundredth of the
/// smallest variance, below which it is a straight line, to ten times the largest spread or variance, above which it falls.
fn by_likelihood(y: &[f64], v: &[f64], kind: Likelihood) -> Tau2 {
    const STEP: f64 = 0.3;
    let low = 1e-2 * v.iter().copied().fold(f64::INFINITY, f64::min);
    let range = 0.1 * tau2_ceiling(y, v) / low;
    let points = (range.ln() / STEP).ceil().max(1.0);
    let ratio = range.powf(1.0 / points);
    // Centred estimates lose no digits in sums of squares.
    let centre = fit(y, v, 0.0).mean;
    let centred: Vec<f64> = y.iter().map(|y| y - centre).collect();
    let y = &centred[..];
    let mut grid = vec![0.0, low];
    for i in 0..points as usize {
        grid.push(grid[i + 1] * ratio);
    }
    let mut modes: Vec<f64> = local_maxima(|tau2| log_likelihood(y, v, tau2, kind), &grid)
        .into_iter()
        .map(|i| {
            let (left, right) = (grid[i.saturating_sub(1)], grid[(i + 1).min(grid.len() - 1)]);
            let at_zero = left == 0.0 && score(y, v, 0.0, kind) <= 0.0;
            if at_zero {
                0.0
            } else {
                brent(|t| score(y, v, t, kind), left, right).unwrap_or(grid[i])
            }
        })
        .collect();
    modes.sort_by(|a, b| log_likelihood(y, v, *b, kind).total_cmp(&log_likelihood(y, v, *a, kind)));
    modes.dedup_by(|a, b| (*a - *b).abs() <= 1e-9 * b.abs());
    let value = modes.first().copied().unwrap_or(0.0);
    let f = fit(y, v, value);
    let [w2, w3] = [2, 3].map(|power| neumaier(f.weights.iter().map(|w| w.powi(power))));
    let information = match kind {
        Likelihood::Restricted => 0.5 * (w2 - 2.0 * w3 / f.total + (w2 / f.total).powi(2)),
        Likelihood::Full => 0.5 * w2,
    };
    let std_error = (information > 0.0).then(|| (1.0 / information).sqrt());
    Tau2 { value, std_error, modes }
}

/// τ² of the generalised Q statistic with weights of one's own (DerSimonian & Kacker 2007).
pub fn generalised_q_tau2(y: &[f64], v: &[f64], weights: &[f64]) -> f64 {
    let sum = |f: &dyn Fn(usize) -> f64| neumaier((0..y.len()).map(f));
    let total = sum(&|i| weights[i]);
    let mean = sum(&|i| weights[i] * y[i]) / total;
    let q = sum(&|i| weights[i] * (y[i] - mean).powi(2));
    let expected = sum(&|i| weights[i] * v[i]) - sum(&|i| weights[i].powi(2) * v[i]) / total;
    let slope = total - sum(&|i| weights[i].powi(2)) / total;
    ((q - expected) / slope).max(0.0)
}

/// Profile-likelihood interval of τ² by ML or REML.
pub fn tau2_profile_limits(y: &[f64], v: &[f64], restricted: bool, level: f64) -> (f64, f64) {
    let kind = if restricted { Likelihood::Restricted } else { Likelihood::Full };
    let best = by_likelihood(y, v, kind).value;
    let cut = log_likelihood(y, v, best, kind) - 0.5 * chi_squared_quantile(level, 1.0);
    let above = |tau2: f64| log_likelihood(y, v, tau2, kind) - cut;
    let low = if above(0.0) >= 0.0 { 0.0 } else { brent(above, 0.0, best).unwrap_or(0.0) };
    let mut high = 2.0 * best.max(v.iter().copied().fold(f64::INFINITY, f64::min));
    while above(high) > 0.0 && high < 1e12 * tau2_ceiling(y, v) {
        high *= 2.0;
    }
    (low, brent(above, best, high).unwrap_or(f64::INFINITY))
}

impl Pooled {
    /// Where a new study's true effect would lie, by t with `df` degrees of freedom, or by the normal distribution if they are
    /// infinite.
    pub fn prediction(&self, tau2: f64, df: f64, level: f64) -> (f64, f64) {
        let point = if df.is_finite() { student_point(level, df) } else { normal_point(level) };
        let half = point * (tau2 + self.std_error * self.std_error).sqrt();
        (self.estimate - half, self.estimate + half)
    }
}

/// Whether estimates differ by no more than rounding, so that their spread says nothing about the error of their mean.
pub fn identical(y: &[f64]) -> bool {
    let (low, high) =
        y.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), y| (a.min(*y), b.max(*y)));
    high - low <= 1e-12 * high.abs().max(low.abs())
}

/// Pools at a given τ² by inverse variance.
pub fn pool(y: &[f64], v: &[f64], tau2: f64, test: Test, level: f64) -> Pooled {
    let weights: Vec<f64> = v.iter().map(|v| 1.0 / (v + tau2)).collect();
    pool_weighted(y, v, &weights, tau2, test, level)
}

/// Pools at a given τ² with weights of one's own; the factor of Hartung and Knapp is that of the weights by inverse variance, as
/// metafor has it. It is undefined, and with it the standard error, where estimates are [`identical`].
pub fn pool_weighted(
    y: &[f64],
    v: &[f64],
    weights: &[f64],
    tau2: f64,
    test: Test,
    level: f64,
) -> Pooled {
    let f = weighted(y, weights.to_vec());
    let df = y.len() as f64 - 1.0;
    let spread = neumaier(weights.iter().zip(v).map(|(w, v)| w * w * (v + tau2)));
    let normal = spread.sqrt() / f.total;
    let factor = || {
        if identical(y) && y.len() > 1 {
            return f64::NAN;
        }
        (generalised_q(y, v, tau2) / df).sqrt()
    };
    let (std_error, by_t) = match test {
        Test::Z => (normal, false),
        Test::T => (normal, true),
        Test::HartungKnapp => (normal * factor(), true),
        // Of a number and none, `max` is the number: the floor.
        Test::HartungKnappFloor => (normal * factor().max(1.0), true),
    };
    let point = if by_t { student_point(level, df) } else { normal_point(level) };
    let statistic = f.mean / std_error;
    let p_value = match (std_error.is_nan(), by_t) {
        (true, _) => f64::NAN,
        (false, true) => student_two_sided(statistic, df),
        (false, false) => normal_two_sided(statistic),
    };
    Pooled {
        estimate: f.mean,
        std_error,
        statistic,
        p_value,
        confidence: (f.mean - point * std_error, f.mean + point * std_error),
        df: if by_t { df } else { f64::INFINITY },
        weights: f.weights.iter().map(|w| w / f.total).collect(),
    }
}

/// Q and the Q-profile interval of τ².
pub fn heterogeneity(y: &[f64], v: &[f64], level: f64) -> Heterogeneity {
    let df = y.len() as f64 - 1.0;
    let q = generalised_q(y, v, 0.0);
    let alpha = 1.0 - level;
    let at = |p: f64| invert_q(y, v, chi_squared_quantile(p, df));
    Heterogeneity {
        q,
        df,
        p_value: chi_squared_upper(q, df),
        tau2_confidence: (at(1.0 - 0.5 * alpha), at(0.5 * alpha)),
    }
}

/// I² and H² from τ² and the typical within-study variance (Higgins & Thompson 2002), as metafor and Cochrane 2024 do.
pub fn i2_h2(v: &[f64], tau2: f64) -> (f64, f64) {
    let w: Vec<f64> = v.iter().map(|v| 1.0 / v).collect();
    let total = neumaier(w.iter().copied());
    let typical =
        (v.len() as f64 - 1.0) * total / (total * total - neumaier(w.iter().map(|w| w * w)));
    (tau2 / (tau2 + typical), (tau2 + typical) / typical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64, tolerance: f64) {
        assert!((found - wanted).abs() <= tolerance, "found {found}, expected {wanted}");
    }

    /// Three studies whose restricted likelihood has two modes; metafor and meta stop with an error on it.
    #[test]
    fn of_two_modes_the_higher_is_taken_and_both_are_told() {
        let y = [-0.48646, -7.08082, 0.28382];
        let v = [0.00023095, 8.7877, 0.00061691];
        let found = tau2(&y, &v, Tau2Estimator::Reml);
        close(found.value, 0.406895345, 1e-8);
        assert_eq!(found.modes.len(), 2);
        close(found.modes[1], 4.256333645, 1e-8);
        close(pool(&y, &v, found.value, Test::Z, 0.95).estimate, -0.252744, 1e-6);
        close(tau2(&y, &v, Tau2Estimator::DerSimonianLaird).value, 0.2980281, 1e-7);
        close(tau2(&y, &v, Tau2Estimator::PauleMandel).value, 10.6094005382, 1e-9);
    }

    #[test]
    fn identical_estimates_need_the_floor() {
        let (y, v) = ([0.5, 0.5], [0.1, 0.1]);
        assert_eq!(tau2(&y, &v, Tau2Estimator::Reml).value, 0.0);
        let none = pool(&y, &v, 0.0, Test::HartungKnapp, 0.95);
        assert!(none.std_error.is_nan() && none.p_value.is_nan() && none.confidence.0.is_nan());
        let floor = pool(&y, &v, 0.0, Test::HartungKnappFloor, 0.95).confidence;
        close(floor.0, -2.3411938, 1e-7);
        close(floor.1, 3.3411938, 1e-7);
    }
}
