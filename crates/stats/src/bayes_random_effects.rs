//! Bayesian random effects of normal estimates: the mean is integrated in closed form given τ, and τ on a grid.
//!
//! Sources: Röver (2020) for the mixture of normals over τ; Gelman (2006) and Röver et al. (2021) for the priors.

use super::{
    distribution::{normal_cdf, normal_quantile},
    quadrature::legendre_nodes,
    root::{brent, golden},
    sum::neumaier,
};

/// Prior of τ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TauPrior {
    /// Half-normal with this scale.
    HalfNormal(f64),
    /// Half-Cauchy with this scale.
    HalfCauchy(f64),
    /// Log-normal: mean and standard deviation of ln τ².
    LogNormalTau2(f64, f64),
}

impl TauPrior {
    /// Logarithm of the density at τ.
    pub fn ln_density(self, tau: f64) -> f64 {
        use std::f64::consts::PI;
        match self {
            Self::HalfNormal(scale) => {
                0.5 * (2.0 / PI).ln() - scale.ln() - 0.5 * (tau / scale).powi(2)
            }
            Self::HalfCauchy(scale) => (2.0 / (PI * scale)).ln() - (tau / scale).powi(2).ln_1p(),
            Self::LogNormalTau2(mean, sd) => {
                if tau <= 0.0 {
                    return f64::NEG_INFINITY;
                }
                let z = (2.0 * tau.ln() - mean) / sd;
                (2.0 / (tau * sd)).ln() - 0.5 * (2.0 * PI).ln() - 0.5 * z * z
            }
        }
    }

    /// A τ below which it says little.
    fn scale(self) -> f64 {
        match self {
            Self::HalfNormal(scale) | Self::HalfCauchy(scale) => scale,
            Self::LogNormalTau2(mean, sd) => (0.5 * mean - 1.5 * sd).exp(),
        }
    }
}

/// A normal distribution of the mean with its weight, for one τ.
#[derive(Debug, Clone, Copy)]
struct Component {
    weight: f64,
    tau: f64,
    mean: f64,
    variance: f64,
}

/// Posterior.
#[derive(Debug, Clone)]
pub struct Posterior {
    components: Vec<Component>,
    /// Share of weight of each grid point of τ, with cumulative weights for its quantiles.
    taus: Vec<(f64, f64)>,
    y: Vec<f64>,
    v: Vec<f64>,
    /// Bayes factor of no heterogeneity: the marginal likelihood with τ = 0 over that with the prior of τ.
    pub bayes_factor_homogeneous: f64,
}

/// A quantity of the posterior: mean, standard deviation, median and shortest interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// Median.
    pub median: f64,
    /// Shortest interval.
    pub interval: [f64; 2],
}

/// Normal prior of the mean; flat if absent.
pub type MeanPrior = Option<(f64, f64)>;

/// The posterior of mean and τ; `None` without two estimates.
pub fn posterior(
    y: &[f64],
    v: &[f64],
    tau_prior: TauPrior,
    mean_prior: MeanPrior,
) -> Option<Posterior> {
    if y.len() < 2 {
        return None;
    }
    let at = |tau: f64| {
        let mut precision = mean_prior.map_or(0.0, |(_, sd)| 1.0 / (sd * sd));
        let mut weighted = mean_prior.map_or(0.0, |(m, sd)| m / (sd * sd));
        let mut log = 0.0;
        for (y, v) in y.iter().zip(v) {
            let s = v + tau * tau;
            precision += 1.0 / s;
            weighted += y / s;
            log -= 0.5 * s.ln();
        }
        let mean = weighted / precision;
        let squares = neumaier(y.iter().zip(v).map(|(y, v)| (y - mean).powi(2) / (v + tau * tau)));
        let prior = mean_prior.map_or(0.0, |(m, sd)| ((mean - m) / sd).powi(2));
        (log - 0.5 * precision.ln() - 0.5 * (squares + prior), mean, 1.0 / precision)
    };
    // τ up to where the posterior has nothing left, in pieces that grow; in logarithms, as a clear heterogeneity has likelihoods
    // beyond any number.
    let density = |tau: f64| tau_prior.ln_density(tau) + at(tau).0;
    let spread = y.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        - y.iter().copied().fold(f64::INFINITY, f64::min);
    let scale = v.iter().copied().fold(spread * spread, f64::max).sqrt().max(f64::MIN_POSITIVE);
    let mut edges = vec![0.0];
    let mut edge = 1e-3 * scale.min(tau_prior.scale());
    let mut top: f64 = density(0.0);
    while edges.len() < 1000 {
        edges.push(edge);
        top = top.max(density(edge));
        if edge > 4.0 * scale && density(edge) + edge.ln() < top + 1e-12_f64.ln() {
            break;
        }
        edge *= 1.12;
    }
    let nodes = legendre_nodes(7);
    let mut taus = Vec::new();
    for pair in edges.windows(2) {
        let (middle, half) = (f64::midpoint(pair[0], pair[1]), 0.5 * (pair[1] - pair[0]));
        taus.extend(nodes.iter().map(|(x, w)| {
            let tau = middle + half * x;
            (tau, w * half * (density(tau) - top).exp())
        }));
    }
    let total = neumaier(taus.iter().map(|t| t.1));
    if !(total > 0.0 && total.is_finite()) {
        return None;
    }
    let components = taus
        .iter()
        .filter(|t| t.1 > 1e-14 * total)
        .map(|&(tau, weight)| {
            let (_, mean, variance) = at(tau);
            Component { weight: weight / total, tau, mean, variance }
        })
        .collect();
    let taus = taus.into_iter().map(|(tau, w)| (tau, w / total)).collect();
    Some(Posterior {
        components,
        taus,
        y: y.to_vec(),
        v: v.to_vec(),
        bayes_factor_homogeneous: (at(0.0).0 - top).exp() / total,
    })
}

/// Mixture of normals: weights, means and variances.
struct Mixture(Vec<(f64, f64, f64)>);

impl Mixture {
    fn cdf(&self, x: f64) -> f64 {
        neumaier(self.0.iter().map(|(w, m, v)| w * normal_cdf((x - m) / v.sqrt())))
    }

    fn quantile(&self, p: f64) -> f64 {
        let z = normal_quantile(p.clamp(1e-12, 1.0 - 1e-12));
        let bounds = self.0.iter().map(|(_, m, v)| m + z * v.sqrt());
        let (low, high) =
            bounds.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        brent(|x| self.cdf(x) - p, low - 1e-9 * (1.0 + low.abs()), high + 1e-9 * (1.0 + high.abs()))
            .unwrap_or(f64::midpoint(low, high))
    }

    fn summary(&self, level: f64) -> Summary {
        let mean = neumaier(self.0.iter().map(|(w, m, _)| w * m));
        let variance = neumaier(self.0.iter().map(|(w, m, v)| w * (v + (m - mean).powi(2))));
        Summary {
            mean,
            sd: variance.sqrt(),
            median: self.quantile(0.5),
            interval: shortest(|p| self.quantile(p), level),
        }
    }
}

/// Points of the scan for the shortest interval.
const POINTS: usize = 24;

/// The shortest interval of this probability, by its lower tail.
fn shortest(quantile: impl Fn(f64) -> f64, level: f64) -> [f64; 2] {
    let alpha = 1.0 - level;
    let width = |low: f64| quantile(low + level) - quantile(low);
    // One minimum for one-peaked distributions: a scan, then golden sections.
    let at = |i: usize| alpha * i as f64 / POINTS as f64;
    let best =
        (0..=POINTS).min_by(|&a, &b| width(at(a)).total_cmp(&width(at(b)))).unwrap_or(POINTS / 2);
    let (a, b) = (at(best.saturating_sub(1)), at((best + 1).min(POINTS)));
    let low = golden(|low| -width(low), a, b, 1e-9 * alpha);
    let low = if width(0.0) <= width(low) { 0.0 } else { low };
    [quantile(low), quantile(low + level)]
}

impl Posterior {
    /// The mean effect.
    pub fn mean(&self, level: f64) -> Summary {
        Mixture(self.components.iter().map(|c| (c.weight, c.mean, c.variance)).collect())
            .summary(level)
    }

    /// The effect of a new study.
    pub fn prediction(&self, level: f64) -> Summary {
        let parts = self.components.iter().map(|c| (c.weight, c.mean, c.variance + c.tau * c.tau));
        Mixture(parts.collect()).summary(level)
    }

    /// The effect of study `i`, shrunk.
    pub fn shrunk(&self, i: usize, level: f64) -> Summary {
        let parts = self.components.iter().map(|c| {
            let tau2 = c.tau * c.tau;
            let keep = tau2 / (tau2 + self.v[i]);
            let mean = keep * self.y[i] + (1.0 - keep) * c.mean;
            (c.weight, mean, keep * self.v[i] + (1.0 - keep).powi(2) * c.variance)
        });
        Mixture(parts.collect()).summary(level)
    }

    /// τ.
    pub fn tau(&self, level: f64) -> Summary {
        let mean = neumaier(self.taus.iter().map(|(t, w)| w * t));
        let variance = neumaier(self.taus.iter().map(|(t, w)| w * (t - mean).powi(2)));
        let mut cumulative = vec![(0.0, 0.0)];
        let mut before = 0.0;
        for (i, (tau, w)) in self.taus.iter().enumerate() {
            before += w;
            // Weights of a piece are complete at its end only: the point halfway to the next node holds what came before.
            let end = self.taus.get(i + 1).map_or(*tau, |next| f64::midpoint(*tau, next.0));
            cumulative.push((end, before));
        }
        let quantile = |p: f64| {
            let at = cumulative.partition_point(|c| c.1 < p).clamp(1, cumulative.len() - 1);
            let ((t0, p0), (t1, p1)) = (cumulative[at - 1], cumulative[at]);
            if p1 > p0 { t0 + (t1 - t0) * ((p - p0) / (p1 - p0)).clamp(0.0, 1.0) } else { t1 }
        };
        Summary {
            mean,
            sd: variance.sqrt(),
            median: quantile(0.5),
            interval: shortest(quantile, level),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::approx_constant, reason = "an estimate that happens to be near ln 10")]
    const Y: [f64; 6] = [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959];
    const V: [f64; 6] = [0.3593718, 0.3095760, 0.7750000, 0.2078161, 0.4121591, 2.3372623];

    fn close(found: f64, wanted: f64, tolerance: f64) {
        assert!((found - wanted).abs() <= tolerance, "found {found}, expected {wanted}");
    }

    /// Acute rejection (Crins et al. 2014) as `bayesmeta` gives it; its own grid is accurate to 1e-2 in the divergence of its steps.
    #[test]
    fn acute_rejection_has_the_published_posterior() {
        let p = posterior(&Y, &V, TauPrior::HalfNormal(0.5), None).unwrap();
        let mean = p.mean(0.95);
        close(mean.mean, -1.587326, 2e-4);
        close(mean.sd, 0.331463, 2e-4);
        close(mean.interval[0], -2.246409, 2e-3);
        close(mean.interval[1], -0.933893, 2e-3);
        let tau = p.tau(0.95);
        close(tau.median, 0.345403, 2e-3);
        close(tau.interval[1], 0.862411, 3e-3);
        assert_eq!(tau.interval[0], 0.0);
        let prediction = p.prediction(0.95);
        close(prediction.interval[0], -2.783275, 4e-3);
        close(prediction.interval[1], -0.416673, 4e-3);
        let p = posterior(&Y, &V, TauPrior::HalfNormal(1.0), None).unwrap().mean(0.95);
        close(p.mean, -1.602292, 3e-4);
        close(p.interval[0], -2.395161, 3e-3);
        close(p.interval[1], -0.828066, 3e-3);
        let p = posterior(&Y, &V, TauPrior::HalfNormal(0.5), Some((0.0, 4.0))).unwrap();
        close(p.mean(0.95).mean, -1.576437, 3e-4);
        close(p.bayes_factor_homogeneous, 0.8831916, 3e-3);
        let two = posterior(&Y[..2], &V[..2], TauPrior::HalfNormal(0.5), None).unwrap().mean(0.95);
        close(two.mean, -1.343458, 5e-4);
        close(two.interval[0], -2.541727, 4e-3);
        close(two.interval[1], -0.155897, 4e-3);
        assert!(posterior(&Y[..1], &V[..1], TauPrior::HalfNormal(0.5), None).is_none());
    }

    /// Without errors of their own, effects with sum of squares S among three give τ⁻² exp(−S/2τ² − τ²/2s²), whose mean of τ² is s√S.
    #[test]
    fn a_likelihood_beyond_any_number_has_its_posterior() {
        let p = posterior(&[5.0, -5.0, 0.0], &[1e-12; 3], TauPrior::HalfNormal(0.5), None).unwrap();
        let tau2 = 0.5 * 50.0_f64.sqrt();
        close(p.mean(0.95).sd, (tau2 / 3.0).sqrt(), 1e-9);
        close(p.prediction(0.95).sd, (tau2 * 4.0 / 3.0).sqrt(), 1e-9);
        assert_eq!(p.bayes_factor_homogeneous, 0.0);
    }

    #[test]
    fn a_prior_far_below_the_errors_is_the_posterior_of_tau() {
        let p = posterior(&[1e8, -1e8, 0.0], &[1e14; 3], TauPrior::HalfNormal(0.5), None).unwrap();
        close(p.tau(0.95).mean, (0.5 / std::f64::consts::PI).sqrt(), 1e-9);
        close(p.mean(0.95).sd / (1e14_f64 / 3.0).sqrt(), 1.0, 1e-12);
        close(p.bayes_factor_homogeneous, 1.0, 1e-9);
    }

    #[test]
    fn shrunk_effects_lie_between_their_own_and_the_mean() {
        let p = posterior(&Y, &V, TauPrior::HalfCauchy(0.5), None).unwrap();
        let mean = p.mean(0.95).mean;
        for (i, y) in Y.iter().enumerate() {
            let s = p.shrunk(i, 0.95);
            assert!(
                (s.mean - mean) * (y - mean) >= 0.0 && (s.mean - mean).abs() <= (y - mean).abs()
            );
            assert!(s.sd < V[i].sqrt());
        }
        let prior = |p: TauPrior| {
            let n = 20_000;
            (0..n).map(|i| p.ln_density((f64::from(i) + 0.5) * 0.005).exp() * 0.005).sum::<f64>()
        };
        close(prior(TauPrior::HalfNormal(0.5)), 1.0, 1e-6);
        close(prior(TauPrior::LogNormalTau2(-2.0, 1.0)), 1.0, 1e-4);
        assert!(prior(TauPrior::HalfCauchy(0.5)) > 0.99);
    }
}
