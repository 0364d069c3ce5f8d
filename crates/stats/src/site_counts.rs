//! One site's log-likelihood of counts with an effect of the site itself: none, free, or normal.
//!
//! Counts are Poisson, or negative binomial with variance μ + κ μ². A free effect is at its best for the given coefficients (the
//! profile likelihood, whose curvature is the Schur complement); a normal one is integrated by Gauss–Hermite about its mode.
//! Sources: McCullagh & Nelder (1989); Lawless (1987); Pinheiro & Bates (1995).

use nalgebra::{DMatrix, DVector};
use statrs::function::gamma::ln_gamma;

use super::{
    likelihood::{Derivatives, packed},
    poisson::Cell,
    quadrature::normal_nodes,
};

/// What the site's own effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteEffect {
    /// One intercept for all sites.
    None,
    /// Free: no common intercept.
    Fixed,
    /// Normal about a common intercept, its standard deviation estimated.
    Random,
}

/// ln σ at which sites count as equal: they differ by less than a thousandth.
pub const LEAST_LN_SIGMA: f64 = -7.0;
/// ln κ at which counts vary as Poisson ones.
pub const LEAST_LN_KAPPA: f64 = -18.0;
/// ln σ beyond which nothing is evaluated.
const MOST_LN_SIGMA: f64 = 5.0;

/// A log rate beyond which a mean is no number to reckon with.
const MOST_ETA: f64 = 300.0;

/// Value, gradient and Hessian in (η₀, β …, ln κ if there is one): η₀ is the site's own intercept.
struct Local {
    value: f64,
    gradient: DVector<f64>,
    hessian: DMatrix<f64>,
}

fn local(cells: &[Cell], intercept: f64, beta: &[f64], ln_kappa: Option<f64>) -> Local {
    let p = beta.len();
    let n = 1 + p + usize::from(ln_kappa.is_some());
    let mut all = Local { value: 0.0, gradient: DVector::zeros(n), hessian: DMatrix::zeros(n, n) };
    // Below the border the likelihood is flat; a curvature of 1 keeps the parameter where it is.
    let ln_kappa = match ln_kappa {
        Some(ln_kappa) if ln_kappa <= LEAST_LN_KAPPA => {
            all.hessian[(n - 1, n - 1)] = -1.0;
            None
        }
        other => other,
    };
    for cell in cells.iter().filter(|c| c.time > 0.0) {
        let eta = intercept + cell.z.iter().zip(beta).map(|(z, b)| z * b).sum::<f64>();
        if eta > MOST_ETA {
            all.value = f64::NEG_INFINITY;
            return all;
        }
        let (d, mu) = (cell.events, cell.time * eta.max(-MOST_ETA).exp());
        let ln_mu = cell.time.ln() + eta;
        let row = DVector::from_fn(1 + p, |i, _| if i == 0 { 1.0 } else { cell.z[i - 1] });
        let (by_eta, by_eta2);
        match ln_kappa {
            None => {
                all.value += d * ln_mu - mu;
                (by_eta, by_eta2) = (d - mu, -mu);
            }
            Some(ln_kappa) => {
                let s = (-ln_kappa).exp();
                let (mut rising, mut first, mut second) = (0.0, 0.0, 0.0);
                for k in 0..d as usize {
                    let x = s + k as f64;
                    rising += x.ln();
                    first += 1.0 / x;
                    second -= 1.0 / (x * x);
                }
                // s ln(s / (s + μ)) loses nothing where μ is small beside s.
                let shrink = -(mu / s).ln_1p();
                all.value += rising + s * shrink + d * (ln_mu - (s + mu).ln());
                by_eta = (d - mu) * s / (s + mu);
                by_eta2 = -(d + s) * s * mu / (s + mu).powi(2);
                let by_s = first + shrink + 1.0 - (s + d) / (s + mu);
                let by_s2 = second + 1.0 / s - 2.0 / (s + mu) + (s + d) / (s + mu).powi(2);
                let mixed = (d - mu) * mu / (s + mu).powi(2);
                // κ = 1/s: d/d ln κ = −s d/ds.
                all.gradient[n - 1] -= s * by_s;
                all.hessian[(n - 1, n - 1)] += s * s * by_s2 + s * by_s;
                for i in 0..=p {
                    let cross = -s * mixed * row[i];
                    all.hessian[(n - 1, i)] += cross;
                    all.hessian[(i, n - 1)] += cross;
                }
            }
        }
        for i in 0..=p {
            all.gradient[i] += by_eta * row[i];
            for j in 0..=p {
                all.hessian[(i, j)] += by_eta2 * row[i] * row[j];
            }
        }
    }
    all
}

fn packed_derivatives(value: f64, gradient: &DVector<f64>, hessian: &DMatrix<f64>) -> Derivatives {
    let n = gradient.len();
    let mut information = vec![0.0; n * (n + 1) / 2];
    for i in 0..n {
        for j in 0..=i {
            information[packed(i, j)] = -0.5 * (hessian[(i, j)] + hessian[(j, i)]);
        }
    }
    Derivatives { log_likelihood: value, score: gradient.iter().copied().collect(), information }
}

/// Derivatives in θ: the common intercept (unless effects are free), the coefficients, ln κ if counts are overdispersed, and ln σ if
/// effects are normal. `nodes` are the quadrature points.
pub fn site_derivatives(
    cells: &[Cell],
    effect: SiteEffect,
    overdispersed: bool,
    theta: &[f64],
    nodes: usize,
) -> Derivatives {
    let p = cells.first().map_or_else(
        || {
            let others = usize::from(effect != SiteEffect::Fixed)
                + usize::from(overdispersed)
                + usize::from(effect == SiteEffect::Random);
            theta.len() - others
        },
        |c| c.z.len(),
    );
    let after = usize::from(effect != SiteEffect::Fixed);
    let beta = &theta[after..after + p];
    let ln_kappa = overdispersed.then(|| theta[after + p]);
    let mut found = match effect {
        SiteEffect::None => {
            let at = local(cells, theta[0], beta, ln_kappa);
            packed_derivatives(at.value, &at.gradient, &at.hessian)
        }
        SiteEffect::Fixed => fixed(cells, beta, ln_kappa),
        SiteEffect::Random => {
            let ln_sigma = theta[theta.len() - 1];
            if ln_sigma > MOST_LN_SIGMA {
                return Derivatives::impossible(theta.len());
            }
            if ln_sigma <= LEAST_LN_SIGMA {
                let at = local(cells, theta[0], beta, ln_kappa);
                let n = theta.len();
                let mut hessian = at.hessian.resize(n, n, 0.0);
                hessian[(n - 1, n - 1)] = -1.0;
                packed_derivatives(at.value, &at.gradient.resize_vertically(n, 0.0), &hessian)
            } else {
                random(cells, theta[0], beta, ln_kappa, ln_sigma.exp(), nodes)
            }
        }
    };
    // What no parameter changes, so that likelihoods are those of other programs.
    let used = cells.iter().filter(|c| c.time > 0.0);
    found.log_likelihood -= used.map(|c| ln_gamma(c.events + 1.0)).sum::<f64>();
    found.or_impossible()
}

/// The intercept at its best. A site without events has none: its likelihood there is that of no event at no rate.
fn fixed(cells: &[Cell], beta: &[f64], ln_kappa: Option<f64>) -> Derivatives {
    let n = beta.len() + usize::from(ln_kappa.is_some());
    let events: f64 = cells.iter().filter(|c| c.time > 0.0).map(|c| c.events).sum();
    if events <= 0.0 {
        return packed_derivatives(0.0, &DVector::zeros(n), &DMatrix::zeros(n, n));
    }
    let time: f64 = cells.iter().filter(|c| c.time > 0.0).map(|c| c.time).sum();
    let mut intercept = (events / time).ln();
    let mut at = local(cells, intercept, beta, ln_kappa);
    for _ in 0..200 {
        let step = (-at.gradient[0] / at.hessian[(0, 0)]).clamp(-2.0, 2.0);
        intercept += step;
        at = local(cells, intercept, beta, ln_kappa);
        if step.abs() < 1e-13 {
            break;
        }
    }
    // Coefficients so far off that no level fits them.
    if at.gradient[0].is_nan() || at.gradient[0].abs() > 1e-6 * events {
        return Derivatives::impossible(n);
    }
    let gradient = at.gradient.rows(1, n).into_owned();
    let cross = at.hessian.view((1, 0), (n, 1)).into_owned();
    let hessian = at.hessian.view((1, 1), (n, n)) - &cross * cross.transpose() / at.hessian[(0, 0)];
    packed_derivatives(at.value, &gradient, &hessian)
}

fn random(
    cells: &[Cell],
    mean: f64,
    beta: &[f64],
    ln_kappa: Option<f64>,
    sigma: f64,
    nodes: usize,
) -> Derivatives {
    let n = 2 + beta.len() + usize::from(ln_kappa.is_some());
    // The mode of the integrand in u, η₀ = mean + σ u.
    let mut u = 0.0;
    let mut bend = -1.0;
    for _ in 0..200 {
        let at = local(cells, mean + sigma * u, beta, ln_kappa);
        bend = sigma * sigma * at.hessian[(0, 0)] - 1.0;
        let step = (-(sigma * at.gradient[0] - u) / bend.min(-1e-3)).clamp(-3.0, 3.0);
        u += step;
        if step.abs() < 1e-10 {
            break;
        }
    }
    let scale = 1.0 / (-bend.min(-1e-3)).sqrt();
    let mut terms = Vec::with_capacity(nodes);
    for (z, w) in normal_nodes(nodes) {
        let place = u + scale * z;
        let at = local(cells, mean + sigma * place, beta, ln_kappa);
        // In (mean, β …, ln κ, ln σ): ln σ moves the intercept by σ u.
        let (old, shift) = (n - 1, sigma * place);
        let gradient =
            DVector::from_fn(
                n,
                |i, _| if i < old { at.gradient[i] } else { shift * at.gradient[0] },
            );
        let hessian = DMatrix::from_fn(n, n, |i, j| match (i < old, j < old) {
            (true, true) => at.hessian[(i, j)],
            (true, false) => shift * at.hessian[(i, 0)],
            (false, true) => shift * at.hessian[(0, j)],
            (false, false) => shift * shift * at.hessian[(0, 0)] + shift * at.gradient[0],
        });
        let log = w.ln() + 0.5 * z * z - 0.5 * place * place + at.value;
        terms.push((log, gradient, hessian));
    }
    let largest = terms.iter().map(|t| t.0).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = terms.iter().map(|t| (t.0 - largest).exp()).sum();
    let value = largest + total.ln() + scale.ln();
    let mut gradient = DVector::zeros(n);
    let mut second = DMatrix::zeros(n, n);
    for (log, g, h) in &terms {
        let weight = (log - largest).exp() / total;
        gradient += g * weight;
        second += (h + g * g.transpose()) * weight;
    }
    let hessian = second - &gradient * gradient.transpose();
    packed_derivatives(value, &gradient, &hessian)
}
