//! Random-effects pooling of counts without normal approximation: each study's likelihood is integrated over its own effect.
//!
//! *Conditional* models take the margins as given: non-central hypergeometric counts of two-arm tables, binomial counts of rates.
//! *Unconditional* ones give each study a level of its own, free (fixed study) or normal (random study). Integrals are
//! Gauss–Hermite, centred and scaled at each study's mode; the standard error is the curvature of the profile likelihood and
//! is held against the profile-likelihood interval. With random levels `lme4` differs from it by some tenths of a per cent: it stops a
//! little below the maximum and takes the curvature there by differences of a deviance that it computes to few digits. The
//! likelihood written out in R has the standard error found here (tests/reference/glmm.R).
//!
//! Sources: Stijnen, Hamza & Özdemir (2010); Jackson, Law, Stijnen, Viechtbauer & White (2018); Pinheiro & Bates (1995) for
//! adaptive quadrature.

use rayon::prelude::*;

use super::{
    climb::climb,
    distribution::chi_squared_quantile,
    quadrature::normal_nodes,
    root::{brent, golden},
    sum::{log_sum, neumaier},
    two_by_two::{Cells, hypergeometric, ln_choose},
};

/// One study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Study {
    /// Two arms: events and others of each.
    Table(Cells),
    /// Events and person-time of two arms.
    Rates([f64; 4]),
    /// Events and others of one group.
    Proportion([f64; 2]),
    /// Events and person-time of one group.
    Rate([f64; 2]),
}

/// How a study's own level is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Given the margins.
    Conditional,
    /// Given the margins, with a binomial in place of the hypergeometric distribution.
    ConditionalApproximate,
    /// Free.
    FixedStudy,
    /// Normal.
    RandomStudy,
}

/// A fit.
#[derive(Debug, Clone, PartialEq)]
pub struct GlmmFit {
    /// Mean effect (log ratio, or logit or log rate of one group).
    pub estimate: f64,
    /// Standard error by the curvature of the profile likelihood.
    pub std_error: f64,
    /// Profile-likelihood limits; infinite on a side where the likelihood does not fall.
    pub profile: [f64; 2],
    /// Between-study variance of the effect.
    pub tau2: f64,
    /// Log-likelihood.
    pub log_likelihood: f64,
    /// Log-likelihood with τ² = 0, for the likelihood-ratio test.
    pub without_heterogeneity: f64,
    /// Whether the profile-likelihood limits are between 0.9 and 2.5 times as wide as those by curvature, or open on a side: if not,
    /// neither is to be believed.
    pub agrees: bool,
}

/// Log-likelihood with its slope and curvature.
#[derive(Debug, Clone, Copy)]
struct Local {
    value: f64,
    slope: f64,
    bend: f64,
}

impl Local {
    fn plus(self, other: Self, first: f64, second: f64) -> Self {
        Self {
            value: self.value + other.value,
            slope: first * self.slope + second * other.slope,
            bend: first * first * self.bend + second * second * other.bend,
        }
    }
}

/// Studies with the quadrature rule.
struct Integrand<'a> {
    studies: &'a [Study],
    /// Support and log coefficients of hypergeometric counts.
    supports: Vec<Option<(f64, Vec<f64>)>>,
    model: Model,
    nodes: Vec<(f64, f64)>,
}

/// The terms of a hypergeometric distribution that count in double precision: those down to e⁻⁴⁵ of the largest. The logarithms
/// are concave, so that they lie side by side about it.
fn window(coefficients: &[f64], effect: f64) -> std::ops::Range<usize> {
    const DEPTH: f64 = 45.0;
    let term = |k: usize| coefficients[k] + k as f64 * effect;
    let (mut mode, mut last) = (0, coefficients.len() - 1);
    while mode < last {
        let middle = usize::midpoint(mode, last);
        if term(middle + 1) > term(middle) { mode = middle + 1 } else { last = middle }
    }
    let floor = term(mode) - DEPTH;
    let (mut from, mut to) = (mode, mode + 1);
    while from > 0 && term(from - 1) > floor {
        from -= 1;
    }
    while to < coefficients.len() && term(to) > floor {
        to += 1;
    }
    from..to
}

/// Binomial log-likelihood at a logit.
fn binomial(events: f64, others: f64, eta: f64) -> Local {
    let n = events + others;
    let p = 1.0 / (1.0 + (-eta).exp());
    // ln(1 + e^η)
    let softplus = if eta > 35.0 { eta } else { eta.exp().ln_1p() };
    Local {
        value: ln_choose(n, events) + events * eta - n * softplus,
        slope: events - n * p,
        bend: -n * p * (1.0 - p),
    }
}

/// Poisson log-likelihood at a log mean.
fn poisson(events: f64, eta: f64) -> Local {
    let mu = eta.exp();
    Local { value: events * eta - mu - ln_gamma(events + 1.0), slope: events - mu, bend: -mu }
}

/// What an integral over a study's own effect gives: its logarithm, and mean slopes and their spread over the weights.
#[derive(Debug, Clone, Copy)]
struct Marginal {
    value: f64,
    /// d/d effect.
    by_effect: f64,
    /// d/d level and d²/d level².
    by_level: [f64; 2],
}

impl Integrand<'_> {
    fn has_level(&self, i: usize) -> bool {
        let two_arms = matches!(self.studies[i], Study::Table(_) | Study::Rates(_));
        two_arms && matches!(self.model, Model::FixedStudy | Model::RandomStudy)
    }

    /// Both arms of study `i`, half of the effect on either side of its level.
    fn arms(&self, i: usize, effect: f64, level: f64) -> (Local, Local) {
        let (up, down) = (level + 0.5 * effect, level - 0.5 * effect);
        match self.studies[i] {
            Study::Table([a, b, c, d]) => (binomial(a, b, up), binomial(c, d, down)),
            Study::Rates([x1, t1, x2, t2]) => {
                (poisson(x1, up + t1.ln()), poisson(x2, down + t2.ln()))
            }
            Study::Proportion(_) | Study::Rate(_) => {
                let none = Local { value: 0.0, slope: 0.0, bend: 0.0 };
                (none, none)
            }
        }
    }

    /// Log-likelihood of study `i` as a function of its effect.
    fn study(&self, i: usize, effect: f64, level: f64) -> Local {
        if self.has_level(i) {
            let (up, down) = self.arms(i, effect, level);
            return up.plus(down, 0.5, -0.5);
        }
        match self.studies[i] {
            Study::Table([a, b, c, d]) if self.model == Model::ConditionalApproximate => {
                binomial(a, c, effect + ((a + b) / (c + d)).ln())
            }
            Study::Table([a, ..]) => match &self.supports[i] {
                Some((low, coefficients)) => {
                    let term = |k: usize| coefficients[k] + k as f64 * effect;
                    let window = window(coefficients, effect);
                    let total = log_sum(window.clone().map(term));
                    let weight = |k: usize| (term(k) - total).exp();
                    let mean: f64 = window.clone().map(|k| weight(k) * k as f64).sum();
                    let spread: f64 = window.map(|k| weight(k) * (k as f64 - mean).powi(2)).sum();
                    let at = (a - low).round() as usize;
                    Local { value: term(at) - total, slope: at as f64 - mean, bend: -spread }
                }
                None => Local { value: 0.0, slope: 0.0, bend: 0.0 },
            },
            Study::Rates([x1, t1, x2, t2]) => binomial(x1, x2, effect + (t1 / t2).ln()),
            Study::Proportion([x, m]) => binomial(x, m, effect),
            Study::Rate([x, t]) => poisson(x, effect + t.ln()),
        }
    }

    /// Integral over the study's own effect, normal about `mean`, by Gauss–Hermite about its mode: likelihoods here are log-concave,
    /// and Newton's method finds it.
    fn integrate(&self, i: usize, mean: f64, tau: f64, level: f64) -> Marginal {
        let slopes = |effect: f64| {
            if !self.has_level(i) {
                return [0.0, 0.0];
            }
            let (up, down) = self.arms(i, effect, level);
            [up.slope + down.slope, up.bend + down.bend]
        };
        if tau <= 0.0 {
            let at = self.study(i, mean, level);
            return Marginal { value: at.value, by_effect: at.slope, by_level: slopes(mean) };
        }
        let mut u = 0.0;
        let whole = |u: f64| {
            let at = self.study(i, mean + tau * u, level);
            (at.value - 0.5 * u * u, tau * at.slope - u, tau * tau * at.bend - 1.0)
        };
        let mut here = whole(u);
        for _ in 0..60 {
            let mut step = -here.1 / here.2;
            let mut next = whole(u + step);
            while next.0 < here.0 - 1e-12 * here.0.abs() && step.abs() > 1e-12 {
                step *= 0.5;
                next = whole(u + step);
            }
            u += step;
            here = next;
            if step.abs() < 1e-9 {
                break;
            }
        }
        let scale = 1.0 / (-here.2).sqrt();
        let places: Vec<f64> = self.nodes.iter().map(|(z, _)| u + scale * z).collect();
        let terms: Vec<f64> = self
            .nodes
            .iter()
            .zip(&places)
            .map(|((z, w), u)| w.ln() + 0.5 * z * z + whole(*u).0)
            .collect();
        let total = log_sum(terms.iter().copied());
        let (mut by_effect, mut first, mut second) = (0.0, 0.0, 0.0);
        for (t, u) in terms.iter().zip(&places) {
            let weight = (t - total).exp();
            let effect = mean + tau * u;
            by_effect += weight * self.study(i, effect, level).slope;
            let [slope, bend] = slopes(effect);
            first += weight * slope;
            second += weight * (bend + slope * slope);
        }
        Marginal { value: total + scale.ln(), by_effect, by_level: [first, second - first * first] }
    }

    /// The integral with the study's level at its best.
    fn at_best_level(&self, i: usize, mean: f64, tau: f64) -> Marginal {
        let mut level = self.start_level(i);
        let mut here = self.integrate(i, mean, tau, level);
        for _ in 0..60 {
            let [slope, bend] = here.by_level;
            let mut step = (-slope / bend.min(-1e-9)).clamp(-3.0, 3.0);
            let mut next = self.integrate(i, mean, tau, level + step);
            while next.value < here.value - 1e-12 * here.value.abs() && step.abs() > 1e-11 {
                step *= 0.5;
                next = self.integrate(i, mean, tau, level + step);
            }
            level += step;
            here = next;
            if step.abs() < 1e-9 {
                break;
            }
        }
        here
    }

    fn start_level(&self, i: usize) -> f64 {
        match self.studies[i] {
            Study::Table([a, b, c, d]) => ((a + c + 0.5) / (b + d + 0.5)).ln(),
            Study::Rates([x1, t1, x2, t2]) => ((x1 + x2 + 0.5) / (t1 + t2)).ln(),
            Study::Proportion(_) | Study::Rate(_) => 0.0,
        }
    }

    /// Log-likelihood and its slope in the mean effect, for models without a random level.
    fn marginal(&self, mean: f64, tau: f64) -> [f64; 2] {
        let one = |i: usize| {
            let m = if self.model == Model::FixedStudy && self.has_level(i) {
                self.at_best_level(i, mean, tau)
            } else {
                self.integrate(i, mean, tau, 0.0)
            };
            [m.value, m.by_effect]
        };
        let parts: Vec<[f64; 2]> = (0..self.studies.len()).into_par_iter().map(one).collect();
        [0, 1].map(|k| neumaier(parts.iter().map(|p| p[k])))
    }

    /// Study `i` integrated over effect and level, both normal: a grid of nodes about the mode, along the axes of its curvature.
    fn integrate_both(&self, i: usize, [mean, tau, level, spread]: [f64; 4]) -> f64 {
        let at = |u: f64, w: f64| {
            let (up, down) = self.arms(i, mean + tau * u, level + spread * w);
            (up, down, up.value + down.value - 0.5 * (u * u + w * w))
        };
        let (mut u, mut w) = (0.0, 0.0);
        let curvature = |up: &Local, down: &Local| {
            let (half, both) = (0.5 * tau, spread);
            let bend = [up.bend, down.bend];
            let uu = half * half * (bend[0] + bend[1]) - 1.0;
            let ww = both * both * (bend[0] + bend[1]) - 1.0;
            let uw = half * both * (bend[0] - bend[1]);
            [uu, uw, ww]
        };
        for _ in 0..60 {
            let (up, down, value) = at(u, w);
            let slope =
                [0.5 * tau * (up.slope - down.slope) - u, spread * (up.slope + down.slope) - w];
            let [uu, uw, ww] = curvature(&up, &down);
            let determinant = uu * ww - uw * uw;
            let mut step = [
                -(ww * slope[0] - uw * slope[1]) / determinant,
                -(uu * slope[1] - uw * slope[0]) / determinant,
            ];
            while at(u + step[0], w + step[1]).2 < value - 1e-12 * value.abs()
                && step[0].abs() + step[1].abs() > 1e-12
            {
                step = step.map(|s| 0.5 * s);
            }
            u += step[0];
            w += step[1];
            if step[0].abs() + step[1].abs() < 1e-9 {
                break;
            }
        }
        let (up, down, _) = at(u, w);
        let [uu, uw, ww] = curvature(&up, &down);
        // Cholesky factor of the inverse of minus the curvature.
        let determinant = uu * ww - uw * uw;
        let (v11, v12, v22) = (-ww / determinant, uw / determinant, -uu / determinant);
        let l11 = v11.sqrt();
        let l21 = v12 / l11;
        let l22 = (v22 - l21 * l21).sqrt();
        let mut terms = Vec::with_capacity(self.nodes.len() * self.nodes.len());
        for (z1, w1) in &self.nodes {
            for (z2, w2) in &self.nodes {
                let value = at(u + l11 * z1, w + l21 * z1 + l22 * z2).2;
                terms.push(w1.ln() + w2.ln() + 0.5 * (z1 * z1 + z2 * z2) + value);
            }
        }
        log_sum(terms.iter().copied()) + (l11 * l22).ln()
    }

    fn marginal_random(&self, parameters: [f64; 4]) -> f64 {
        let one = |i: usize| self.integrate_both(i, parameters);
        let parts: Vec<f64> = (0..self.studies.len()).into_par_iter().map(one).collect();
        neumaier(parts)
    }

    fn levels_are_random(&self) -> bool {
        self.model == Model::RandomStudy && self.has_level(0)
    }

    /// ℓ at the best of random levels' mean and spread and of what else is free, and the latter; `free` is where it starts, and
    /// `parameters` makes mean and τ of it.
    fn best_with_levels(&self, free: &[f64], parameters: &dyn Fn(&[f64]) -> [f64; 2]) -> Vec<f64> {
        let levels: Vec<f64> = (0..self.studies.len()).map(|i| self.start_level(i)).collect();
        let centre = levels.iter().sum::<f64>() / levels.len() as f64;
        let spread =
            (levels.iter().map(|l| (l - centre).powi(2)).sum::<f64>() / levels.len() as f64).sqrt();
        let value = |x: &[f64]| {
            let [mean, tau] = parameters(&x[2..]);
            self.marginal_random([mean, tau, x[0], x[1].exp()])
        };
        let start = [&[centre, spread.max(0.05).ln()], free].concat();
        let best = climb(&value, &start, 0.2, 1e-7);
        [&[value(&best)], &best[2..]].concat()
    }

    /// Log-likelihood of effect and τ, nuisances at their best.
    fn profile(&self, mean: f64, tau: f64) -> f64 {
        if self.levels_are_random() {
            return self.best_with_levels(&[], &|_| [mean, tau])[0];
        }
        self.marginal(mean, tau)[0]
    }

    /// The best mean for a τ.
    fn best_mean(&self, tau: f64, start: f64) -> f64 {
        if self.levels_are_random() {
            return self.best_with_levels(&[start], &|x| [x[0], tau])[1];
        }
        let slope = |mean: f64| self.marginal(mean, tau)[1];
        let (mut low, mut high, mut width) = (start, start, 0.25);
        while slope(low) < 0.0 && width < 100.0 {
            low -= width;
            width *= 2.0;
        }
        width = 0.25;
        while slope(high) > 0.0 && width < 100.0 {
            high += width;
            width *= 2.0;
        }
        brent(slope, low, high).unwrap_or(f64::INFINITY)
    }
}

fn ln_gamma(x: f64) -> f64 {
    statrs::function::gamma::ln_gamma(x)
}

fn start_of(studies: &[Study]) -> f64 {
    let sum = |f: &dyn Fn(&Study) -> f64| studies.iter().map(f).sum::<f64>() + 0.5;
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| {
        sum(&|s: &Study| match s {
            Study::Table(cells) | Study::Rates(cells) => cells[i],
            Study::Proportion(cells) | Study::Rate(cells) => {
                if i < 2 {
                    cells[i]
                } else {
                    0.5
                }
            }
        })
    });
    match studies.first() {
        Some(Study::Proportion(_) | Study::Rate(_)) => (a / b).ln(),
        Some(Study::Rates(_)) => (a / b * d / c).ln(),
        _ => (a * d / (b * c)).ln(),
    }
}

/// Whether a study says anything about the effect: not without events in both arms, nor where everybody has one.
fn informative(study: &Study, model: Model) -> bool {
    match study {
        Study::Table([a, b, c, d]) => {
            a + b > 0.0
                && c + d > 0.0
                && a + c > 0.0
                && (b + d > 0.0 || model == Model::ConditionalApproximate)
        }
        Study::Rates([x1, t1, x2, t2]) => *t1 > 0.0 && *t2 > 0.0 && x1 + x2 > 0.0,
        Study::Proportion([x, m]) => x + m > 0.0,
        Study::Rate([_, t]) => *t > 0.0,
    }
}

/// Fits with `nodes` quadrature points (one is Laplace's approximation); studies that say nothing are left out. `None` if fewer than
/// two are left or the likelihood has no finite maximum.
pub fn fit(studies: &[Study], model: Model, nodes: usize, level: f64) -> Option<GlmmFit> {
    let used: Vec<Study> = studies.iter().copied().filter(|s| informative(s, model)).collect();
    if used.len() < 2 {
        return None;
    }
    let conditional = model == Model::Conditional;
    let supports = used
        .iter()
        .map(|s| match s {
            Study::Table(cells) if conditional => Some(hypergeometric(cells)),
            _ => None,
        })
        .collect();
    let integrand =
        Integrand { studies: &used, supports, model, nodes: normal_nodes(nodes.max(1)) };
    let start = start_of(&used);
    let common = integrand.best_mean(0.0, start);
    // Without a finite maximum the search walks off.
    if !common.is_finite() || common.abs() > 25.0 {
        return None;
    }
    // τ over its whole range, then the best one refined.
    let grid: Vec<f64> =
        [0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.55, 0.8, 1.1, 1.5, 2.0, 2.8, 4.0].into();
    let mut mean = common;
    let mut values = Vec::with_capacity(grid.len());
    for &tau in &grid {
        mean = integrand.best_mean(tau, mean);
        values.push((integrand.profile(mean, tau), mean));
    }
    let best = (0..grid.len()).max_by(|&a, &b| values[a].0.total_cmp(&values[b].0))?;
    let without = values[0].0;
    let (mut tau, mut mean, mut top) = (grid[best], values[best].1, values[best].0);
    let over = |t: f64| {
        let m = integrand.best_mean(t, mean);
        (integrand.profile(m, t), m)
    };
    let (low, high) = (grid[best.saturating_sub(1)], grid[(best + 1).min(grid.len() - 1)]);
    let found = golden(|t| over(t).0, low, high, 1e-7);
    let (value, m) = over(found);
    if value > top {
        (tau, mean, top) = (found, m, value);
    }
    // At the border the derivative in τ² decides.
    if tau < 1e-3 || top <= without + 1e-9 {
        (tau, mean, top) = (0.0, common, without);
    }
    let best_tau = |m: f64| {
        let at = |t: f64| integrand.profile(m, t);
        if integrand.levels_are_random() {
            let found = integrand.best_with_levels(&[tau.max(0.2)], &|x| [m, x[0].abs()]);
            return found[0].max(at(0.0));
        }
        let candidates: Vec<f64> = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0]
            .iter()
            .map(|f| if tau > 0.0 { f * tau } else { 0.4 * f })
            .collect();
        let best = (0..candidates.len())
            .max_by(|&a, &b| at(candidates[a]).total_cmp(&at(candidates[b])))
            .unwrap_or(0);
        let low = candidates[best.saturating_sub(1)];
        let high = candidates[(best + 1).min(candidates.len() - 1)];
        let found = golden(at, low, high, 1e-7);
        at(found).max(at(0.0))
    };
    // Curvature of the profile likelihood at its top, by differences over a tenth of a standard error and twice as far, of which
    // Richardson's extrapolation takes the fourth derivative away.
    let curvature = |h: f64| -(best_tau(mean + h) - 2.0 * top + best_tau(mean - h)) / (h * h);
    let first = 1.0 / curvature(0.1).max(1e-12).sqrt();
    let [near, far] = [0.1, 0.2].map(|share| curvature(share * first));
    let std_error = 1.0 / ((4.0 * near - far) / 3.0).max(1e-12).sqrt();
    let cut = top - 0.5 * chi_squared_quantile(level, 1.0);
    let limit = |sign: f64| {
        let mut far = 2.0 * std_error;
        while best_tau(mean + sign * far) > cut {
            far *= 1.6;
            if far > 40.0 {
                return sign * f64::INFINITY;
            }
        }
        let root = coarse_root(|d| best_tau(mean + sign * d) - cut, 0.0, far);
        mean + sign * root
    };
    let profile = [limit(-1.0), limit(1.0)];
    let z = super::distribution::normal_point(level);
    let width = (profile[1] - profile[0]) / (2.0 * z * std_error);
    // The profile is wider than the curvature says where τ is uncertain; a curvature that is far too small is a failed fit.
    let agrees = std_error.is_finite() && (width.is_infinite() || (0.9..=2.5).contains(&width));
    Some(GlmmFit {
        estimate: mean,
        std_error,
        profile,
        tau2: tau * tau,
        log_likelihood: top,
        without_heterogeneity: without,
        agrees,
    })
}

/// A root to seven digits.
fn coarse_root(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    brent(
        |x| {
            let value = f(x);
            if value.abs() < 1e-8 { 0.0 } else { value }
        },
        low,
        high,
    )
    .unwrap_or(high)
}
