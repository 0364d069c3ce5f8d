//! Log-linear counts whose variance exceeds the mean: the negative binomial with variance μ + κ μ² (NB2).
//!
//! Sources: Lawless (1987); Venables & Ripley (2002) for the alternation of coefficients and shape, here one search over the
//! shape with the coefficients at their best for each.

use nalgebra::{DMatrix, DVector};

use super::{matrix::invert, poisson::Cell, root::brent, sum::neumaier};

/// A fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Coefficients.
    pub coefficients: Vec<f64>,
    /// Their covariance, the overdispersion taken as known.
    pub covariance: DMatrix<f64>,
    /// Overdispersion κ; 0 where the counts vary no more than Poisson counts.
    pub dispersion: f64,
    /// Log-likelihood.
    pub log_likelihood: f64,
}

/// ln Γ(d + s) − ln Γ(s), d whole.
fn ln_rising(s: f64, d: f64) -> f64 {
    (0..d as usize).map(|k| (s + k as f64).ln()).sum()
}

fn log_likelihood(cells: &[&Cell], eta: &[f64], kappa: f64) -> f64 {
    neumaier(cells.iter().zip(eta).map(|(cell, eta)| {
        let mu = cell.time * eta.exp();
        let d = cell.events;
        let factorial = (1..=d as usize).map(|k| (k as f64).ln()).sum::<f64>();
        let poisson = d * mu.ln() - mu;
        if kappa <= 0.0 {
            return poisson - factorial;
        }
        let s = 1.0 / kappa;
        ln_rising(s, d) - factorial - s * (kappa * mu).ln_1p() + d * (mu / (s + mu)).ln()
    }))
}

fn coefficients(cells: &[&Cell], start: &[f64], kappa: f64) -> (Vec<f64>, Vec<f64>, DMatrix<f64>) {
    let (n, p) = (cells.len(), start.len());
    let z = DMatrix::from_fn(n, p, |i, j| cells[i].z[j]);
    let mut beta = DVector::from_row_slice(start);
    let mut inverse = DMatrix::zeros(p, p);
    for _ in 0..200 {
        let eta = &z * &beta;
        let mu: Vec<f64> =
            (0..n).map(|i| cells[i].time * eta[i].clamp(-60.0, 60.0).exp()).collect();
        let w: Vec<f64> = mu.iter().map(|m| m / (1.0 + kappa * m)).collect();
        let weighted = DMatrix::from_fn(n, p, |i, j| z[(i, j)] * w[i]);
        inverse = invert(&(z.transpose() * &weighted)).matrix;
        let residual = DVector::from_iterator(
            n,
            (0..n).map(|i| (cells[i].events - mu[i]) / (1.0 + kappa * mu[i])),
        );
        let score = z.transpose() * residual;
        let step = &inverse * &score;
        let size = score.dot(&step);
        // Long steps from far away are cut.
        let share = (3.0 / step.amax().max(3.0)).min(1.0);
        beta += step * share;
        if size < 1e-18 {
            break;
        }
    }
    let eta = (z * &beta).iter().copied().collect();
    (beta.iter().copied().collect(), eta, inverse)
}

/// Maximises from the coefficients `start` of a Poisson fit; cells without person-time say nothing.
pub fn fit(cells: &[Cell], start: &[f64]) -> Fit {
    let used: Vec<&Cell> = cells.iter().filter(|c| c.time > 0.0).collect();
    let profile = |kappa: f64| {
        let (_, eta, _) = coefficients(&used, start, kappa);
        log_likelihood(&used, &eta, kappa)
    };
    let grid: Vec<f64> = (0..=48).map(|i| -14.0 + 0.35 * f64::from(i)).collect();
    let values: Vec<f64> = grid.iter().map(|ln| profile(ln.exp())).collect();
    let best = (0..grid.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0);
    let kappa = if best == 0 || values[best] <= profile(0.0) {
        0.0
    } else {
        // The slope in ln κ with the coefficients at their best is the partial derivative.
        let slope = |ln: f64| {
            let kappa = ln.exp();
            let (_, eta, _) = coefficients(&used, start, kappa);
            neumaier(used.iter().zip(&eta).map(|(cell, eta)| {
                let (mu, s) = (cell.time * eta.exp(), 1.0 / kappa);
                let rising: f64 = (0..cell.events as usize).map(|k| 1.0 / (s + k as f64)).sum();
                // d/ds of the log-likelihood, times ds/dln κ = −s.
                let by_s = rising + (s / (s + mu)).ln() + 1.0 - (s + cell.events) / (s + mu);
                -s * by_s
            }))
        };
        let (low, high) =
            (grid[best - 1], grid.get(best + 1).copied().unwrap_or(grid[best] + 0.35));
        brent(slope, low, high).map_or_else(|| grid[best].exp(), f64::exp)
    };
    let (coefficients, eta, covariance) = coefficients(&used, start, kappa);
    let log_likelihood = log_likelihood(&used, &eta, kappa);
    Fit { coefficients, covariance, dispersion: kappa, log_likelihood }
}
