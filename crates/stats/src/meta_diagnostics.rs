//! What single studies do to a pooled effect, and whether small studies differ from large ones.
//!
//! Sources: Viechtbauer & Cheung (2010) for influence; Baujat et al. (2002); Olkin, Dahabreh & Trikalinos (2012) for all subsets;
//! Egger et al. (1997) as a regression of the effect on its standard error; Begg & Mazumdar (1994); Harbord, Egger & Sterne (2006);
//! Peters et al. (2006); Duval & Tweedie (2000) for trim and fill.

use nalgebra::{DMatrix, DVector};

use super::{
    distribution::normal_two_sided,
    meta_regression::Regression,
    random_effects::{Tau2Estimator, Test, heterogeneity, i2_h2, pool, tau2},
    sum::neumaier,
    two_by_two::Cells,
};

/// Pooled without one study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Without {
    /// Pooled effect.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
    /// Limits.
    pub limits: (f64, f64),
    /// Between-study variance.
    pub tau2: f64,
    /// I².
    pub i2: f64,
    /// Q of those left.
    pub q: f64,
}

/// What one study does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Influence {
    /// Externally standardised residual.
    pub rstudent: f64,
    /// Change of its own fitted value in standard errors.
    pub dffits: f64,
    /// Cook's distance.
    pub cook: f64,
    /// Variance of the pooled effect without it over that with it.
    pub cov_ratio: f64,
    /// Its share of weight.
    pub hat: f64,
    /// Contribution to Q, with common-effect weights (Baujat, horizontal).
    pub q_share: f64,
    /// Standardised change of the common effect without it (Baujat, vertical).
    pub change: f64,
}

fn without(values: &[f64], i: usize) -> Vec<f64> {
    values.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, x)| *x).collect()
}

fn pooled(y: &[f64], v: &[f64], estimator: Tau2Estimator, test: Test, level: f64) -> Without {
    if y.len() < 2 {
        let p = pool(y, v, 0.0, Test::Z, level);
        let (estimate, std_error, limits) = (p.estimate, p.std_error, p.confidence);
        return Without { estimate, std_error, limits, tau2: 0.0, i2: 0.0, q: 0.0 };
    }
    let found = tau2(y, v, estimator).value;
    let p = pool(y, v, found, test, level);
    Without {
        estimate: p.estimate,
        std_error: p.std_error,
        limits: p.confidence,
        tau2: found,
        i2: i2_h2(v, found).0,
        q: heterogeneity(y, v, level).q,
    }
}

/// Pooled without each study in turn.
pub fn leave_one_out(
    y: &[f64],
    v: &[f64],
    estimator: Tau2Estimator,
    test: Test,
    level: f64,
) -> Vec<Without> {
    (0..y.len()).map(|i| pooled(&without(y, i), &without(v, i), estimator, test, level)).collect()
}

/// Pooled after each study, in their order.
pub fn cumulative(
    y: &[f64],
    v: &[f64],
    estimator: Tau2Estimator,
    test: Test,
    level: f64,
) -> Vec<Without> {
    (1..=y.len())
        .map(|n| {
            let test = if n < 3 { Test::Z } else { test };
            pooled(&y[..n], &v[..n], estimator, test, level)
        })
        .collect()
}

/// Influence of each of at least three studies.
pub fn influence(y: &[f64], v: &[f64], estimator: Tau2Estimator) -> Vec<Influence> {
    if y.len() < 3 {
        return Vec::new();
    }
    let found = tau2(y, v, estimator).value;
    let all = pool(y, v, found, Test::Z, 0.95);
    let variance = all.std_error.powi(2);
    let common = pool(y, v, 0.0, Test::Z, 0.95);
    (0..y.len())
        .map(|i| {
            let (yi, vi) = (without(y, i), without(v, i));
            let t = tau2(&yi, &vi, estimator).value;
            let rest = pool(&yi, &vi, t, Test::Z, 0.95);
            let spread = rest.std_error.powi(2);
            let hat = all.weights[i];
            let rest_common = pool(&yi, &vi, 0.0, Test::Z, 0.95);
            let change = all.estimate - rest.estimate;
            Influence {
                rstudent: (y[i] - rest.estimate) / (v[i] + t + spread).sqrt(),
                // The standard error of the fitted value at the τ² found without it.
                dffits: change / (hat * (v[i] + t)).sqrt(),
                cook: change * change / variance,
                cov_ratio: spread / variance,
                hat,
                q_share: (y[i] - common.estimate).powi(2) / v[i],
                change: (common.estimate - rest_common.estimate).powi(2)
                    / rest_common.std_error.powi(2),
            }
        })
        .collect()
}

/// Pooled effect and I² of every subset of two studies or more, by DerSimonian–Laird; up to 15 studies.
pub fn all_subsets(y: &[f64], v: &[f64]) -> Vec<(f64, f64)> {
    if y.len() > 15 {
        return Vec::new();
    }
    (1u32..1 << y.len())
        .filter(|set| set.count_ones() >= 2)
        .map(|set| {
            let pick = |x: &[f64]| {
                (0..x.len()).filter(|i| set >> i & 1 == 1).map(|i| x[i]).collect::<Vec<_>>()
            };
            let (y, v) = (pick(y), pick(v));
            let t = tau2(&y, &v, Tau2Estimator::DerSimonianLaird).value;
            (pool(&y, &v, t, Test::Z, 0.95).estimate, i2_h2(&v, t).0)
        })
        .collect()
}

/// A test for small-study effects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asymmetry {
    /// Statistic.
    pub statistic: f64,
    /// Its degrees of freedom; infinite for the normal.
    pub df: f64,
    /// P-value.
    pub p_value: f64,
    /// Effect of an infinitely large study, where the test has one, with its standard error.
    pub limit: Option<(f64, f64)>,
}

/// Egger's test in its random-effects form: the effect on its standard error.
pub fn egger(y: &[f64], v: &[f64], estimator: Tau2Estimator) -> Option<Asymmetry> {
    let x = DMatrix::from_fn(y.len(), 2, |i, j| if j == 0 { 1.0 } else { v[i].sqrt() });
    let regression = Regression { y: DVector::from_row_slice(y), v: v.to_vec(), x };
    let fit = regression.fit(estimator, Test::Z)?;
    let z = fit.coefficients[1] / fit.covariance[(1, 1)].sqrt();
    let limit = Some((fit.coefficients[0], fit.covariance[(0, 0)].sqrt()));
    Some(Asymmetry { statistic: z, df: f64::INFINITY, p_value: normal_two_sided(z), limit })
}

/// Sums of g, t(t − 1), t(t − 1)(t − 2) and t(t − 1)(2t + 5) over the groups of t equal values.
fn ties(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let groups = sorted.chunk_by(|a, b| a.to_bits() == b.to_bits()).map(|g| g.len() as f64);
    groups.fold([0.0; 3], |[two, three, spread], t| {
        let pairs = t * (t - 1.0);
        [two + pairs, three + pairs * (t - 2.0), spread + pairs * (2.0 * t + 5.0)]
    })
}

/// Up to so many values without ties the p-value is exact.
const MOST_EXACT: usize = 200;

/// Kendall's τ_b of two series and its two-sided p-value: exact without ties, else by the normal approximation whose variance is
/// corrected for them (Kendall 1970), as R's `cor.test` has it. `None` where all values of a series are equal.
fn kendall(x: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let n = x.len();
    let mut concordant = 0.0_f64;
    for i in 0..n {
        for j in 0..i {
            let sign = |v: &[f64]| {
                if v[i].to_bits() == v[j].to_bits() { 0.0 } else { (v[i] - v[j]).signum() }
            };
            concordant += sign(x) * sign(y);
        }
    }
    let nf = n as f64;
    let pairs = nf * (nf - 1.0) / 2.0;
    let ([two_x, three_x, spread_x], [two_y, three_y, spread_y]) = (ties(x), ties(y));
    let tau = concordant / ((pairs - two_x / 2.0) * (pairs - two_y / 2.0)).sqrt();
    if !tau.is_finite() {
        return None;
    }
    if two_x + two_y > 0.0 || n > MOST_EXACT {
        let variance = (nf * (nf - 1.0) * (2.0 * nf + 5.0) - spread_x - spread_y) / 18.0
            + two_x * two_y / (4.0 * pairs)
            + three_x * three_y / (18.0 * pairs * (nf - 2.0));
        return Some((tau, normal_two_sided(concordant / variance.sqrt())));
    }
    // Share of the permutations with each number of inversions: one more value adds 0 to size − 1 of them.
    let most = pairs as usize;
    let mut share = vec![0.0; most + 1];
    share[0] = 1.0;
    for size in 2..=n {
        let before = share.clone();
        let mut window = 0.0;
        for (q, s) in share.iter_mut().enumerate() {
            window += before[q] - if q >= size { before[q - size] } else { 0.0 };
            *s = window / size as f64;
        }
    }
    let discordant = ((pairs - concordant) / 2.0).round() as usize;
    let low: f64 = share[..=discordant.min(most - discordant)].iter().sum();
    Some((tau, (2.0 * low).min(1.0)))
}

/// Begg's rank correlation of standardised effects and variances.
pub fn begg(y: &[f64], v: &[f64]) -> Option<Asymmetry> {
    if y.len() < 3 {
        return None;
    }
    let common = pool(y, v, 0.0, Test::Z, 0.95);
    let variance = common.std_error.powi(2);
    let standardised: Vec<f64> = y
        .iter()
        .zip(v)
        .map(|(y, v)| (y - common.estimate) / (v - variance).max(1e-300).sqrt())
        .collect();
    let (tau, p_value) = kendall(&standardised, v)?;
    Some(Asymmetry { statistic: tau, df: f64::INFINITY, p_value, limit: None })
}

/// Weighted least squares of two columns with the residual variance estimated: t of the second.
fn weighted_line(x: &[f64], y: &[f64], w: &[f64]) -> Option<Asymmetry> {
    if x.len() < 3 {
        return None;
    }
    let total = neumaier(w.iter().copied());
    let mean = |v: &[f64]| neumaier(v.iter().zip(w).map(|(v, w)| v * w)) / total;
    let (mx, my) = (mean(x), mean(y));
    let sxx = neumaier(x.iter().zip(w).map(|(x, w)| w * (x - mx).powi(2)));
    let slope = neumaier((0..x.len()).map(|i| w[i] * (x[i] - mx) * (y[i] - my))) / sxx;
    let df = x.len() as f64 - 2.0;
    let residual =
        neumaier((0..x.len()).map(|i| w[i] * (y[i] - my - slope * (x[i] - mx)).powi(2))) / df;
    let t = slope / (residual / sxx).sqrt();
    let p_value = super::meta_regression::two_sided(t, df);
    let limit = Some((my - slope * mx, (residual * (1.0 / total + mx * mx / sxx)).sqrt()));
    t.is_finite().then_some(Asymmetry { statistic: t, df, p_value, limit })
}

/// Harbord's test of two-arm tables: score over information on the root of the information.
pub fn harbord(tables: &[Cells]) -> Option<Asymmetry> {
    let terms: Vec<(f64, f64)> = tables
        .iter()
        .filter_map(|[a, b, c, d]| {
            let n = a + b + c + d;
            let v = (a + b) * (c + d) * (a + c) * (b + d) / (n * n * (n - 1.0));
            (v > 0.0).then(|| (a - (a + b) * (a + c) / n, v))
        })
        .collect();
    // Z/V on 1/√V with weights V.
    let x: Vec<f64> = terms.iter().map(|(_, v)| 1.0 / v.sqrt()).collect();
    let y: Vec<f64> = terms.iter().map(|(z, v)| z / v).collect();
    let w: Vec<f64> = terms.iter().map(|(_, v)| *v).collect();
    weighted_line(&x, &y, &w)
}

/// Peters' test: log odds ratio on the inverse of the total, weights from events and others over both arms.
pub fn peters(tables: &[Cells]) -> Option<Asymmetry> {
    let used: Vec<&Cells> = tables.iter().filter(|t| t.iter().all(|x| *x > 0.0)).collect();
    let y: Vec<f64> = used.iter().map(|[a, b, c, d]| (a * d / (b * c)).ln()).collect();
    let x: Vec<f64> = used.iter().map(|t| 1.0 / t.iter().sum::<f64>()).collect();
    let w: Vec<f64> =
        used.iter().map(|[a, b, c, d]| 1.0 / (1.0 / (a + c) + 1.0 / (b + d))).collect();
    weighted_line(&x, &y, &w)
}

/// Studies filled in by trim and fill.
#[derive(Debug, Clone, PartialEq)]
pub struct TrimFill {
    /// How many are missing.
    pub missing: usize,
    /// Whether they are missing on the right.
    pub right: bool,
    /// Pooled with the mirror images.
    pub filled: Without,
    /// Effects of the mirror images.
    pub mirrored: Vec<f64>,
}

/// Trim and fill by the estimator L₀; the side is the one that Egger's slope points away from.
pub fn trim_and_fill(
    y: &[f64],
    v: &[f64],
    estimator: Tau2Estimator,
    level: f64,
) -> Option<TrimFill> {
    let k = y.len();
    if k < 3 {
        return None;
    }
    let slope = {
        let x = DMatrix::from_fn(k, 2, |i, j| if j == 0 { 1.0 } else { v[i].sqrt() });
        let r = Regression { y: DVector::from_row_slice(y), v: v.to_vec(), x };
        r.fit(estimator, Test::Z)?.coefficients[1]
    };
    // Effects are turned so that the missing ones are on the left.
    let right = slope < 0.0;
    let sign = if right { -1.0 } else { 1.0 };
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| (sign * y[a]).total_cmp(&(sign * y[b])));
    let (ys, vs): (Vec<f64>, Vec<f64>) = order.iter().map(|&i| (sign * y[i], v[i])).unzip();
    let centre = |n: usize| {
        let (y, v) = (&ys[..n], &vs[..n]);
        let t = if n > 1 { tau2(y, v, estimator).value } else { 0.0 };
        pool(y, v, t, Test::Z, level).estimate
    };
    let mut missing = 0usize;
    for _ in 0..100 {
        let middle = centre(k - missing);
        let mut rank: Vec<usize> = (0..k).collect();
        rank.sort_by(|&a, &b| (ys[a] - middle).abs().total_cmp(&(ys[b] - middle).abs()));
        let sum: f64 = rank
            .iter()
            .enumerate()
            .filter(|(_, i)| ys[**i] > middle)
            .map(|(r, _)| r as f64 + 1.0)
            .sum();
        let kf = k as f64;
        let estimate = (4.0 * sum - kf * (kf + 1.0)) / (2.0 * kf - 1.0);
        let next = (estimate.max(0.0).round() as usize).min(k - 1);
        if next == missing {
            break;
        }
        missing = next;
    }
    let middle = centre(k - missing);
    let mirrored: Vec<f64> = (k - missing..k).map(|i| sign * (2.0 * middle - ys[i])).collect();
    let mut all_y = y.to_vec();
    let mut all_v = v.to_vec();
    all_y.extend(&mirrored);
    all_v.extend(&vs[k - missing..]);
    Some(TrimFill {
        missing,
        right,
        filled: pooled(&all_y, &all_v, estimator, Test::Z, level),
        mirrored,
    })
}
