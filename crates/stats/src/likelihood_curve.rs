//! A log-likelihood as a curve of one effect: value, slope and curvature on a grid, interpolated between, and what is read off it.
//!
//! Curves of several sites add, so their sum is the log-likelihood of all of them with nothing else revealed. Between grid
//! points the curve is the polynomial of degree five through the values and both derivatives at either end; beyond the grid it
//! goes on as the parabola at its end.

use super::{
    distribution::chi_squared_quantile,
    quadrature::normal_nodes,
    root::{brent, local_maxima},
};

/// A curve on an ascending, evenly spaced grid.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelihoodCurve {
    /// First grid point.
    pub from: f64,
    /// Distance of grid points.
    pub step: f64,
    /// ℓ, ℓ′ and ℓ″ at the grid points.
    pub points: Vec<[f64; 3]>,
}

/// What is read off a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Where ℓ is largest; `None` where it still rises at an end of the grid.
    pub estimate: Option<f64>,
    /// The largest ℓ, on the grid where there is no maximum inside.
    pub maximum: f64,
    /// 1 / √−ℓ″ at the maximum.
    pub std_error: Option<f64>,
    /// Where ℓ has fallen by half the χ² point, below and above.
    pub limits: [Option<f64>; 2],
    /// Number of maxima.
    pub modes: usize,
}

impl LikelihoodCurve {
    /// Last grid point.
    pub fn to(&self) -> f64 {
        self.from + self.step * (self.points.len() - 1) as f64
    }

    /// ℓ, ℓ′ and ℓ″ at `x`.
    pub fn at(&self, x: f64) -> [f64; 3] {
        let last = self.points.len() - 1;
        let position = (x - self.from) / self.step;
        if position <= 0.0 || position >= last as f64 {
            let (end, edge) = if position <= 0.0 { (0, self.from) } else { (last, self.to()) };
            let ([f, d, c], h) = (self.points[end], x - edge);
            return [f + h * d + 0.5 * h * h * c, d + h * c, c];
        }
        let k = (position.floor() as usize).min(last - 1);
        let (t, h) = (position - k as f64, self.step);
        let ([f0, d0, c0], [f1, d1, c1]) = (self.points[k], self.points[k + 1]);
        // Coefficients of the polynomial in t: value, slope and curvature at 0 and 1.
        let (a0, a1, a2) = (f0, h * d0, 0.5 * h * h * c0);
        let df = f1 - a0 - a1 - a2;
        let dd = h * d1 - a1 - 2.0 * a2;
        let dc = h * h * c1 - 2.0 * a2;
        let a3 = 10.0 * df - 4.0 * dd + 0.5 * dc;
        let a4 = -15.0 * df + 7.0 * dd - dc;
        let a5 = 6.0 * df - 3.0 * dd + 0.5 * dc;
        let value = a0 + t * (a1 + t * (a2 + t * (a3 + t * (a4 + t * a5))));
        let slope = a1 + t * (2.0 * a2 + t * (3.0 * a3 + t * (4.0 * a4 + t * 5.0 * a5)));
        let curvature = 2.0 * a2 + t * (6.0 * a3 + t * (12.0 * a4 + t * 20.0 * a5));
        [value, slope / h, curvature / (h * h)]
    }

    /// Maximum and likelihood-ratio interval, by a scan over the grid and Brent's method.
    pub fn read(&self, level: f64) -> Reading {
        let grid: Vec<f64> =
            (0..self.points.len()).map(|k| self.from + self.step * k as f64).collect();
        let last = grid.len() - 1;
        let maxima = local_maxima(|x| self.at(x)[0], &grid);
        let inside: Vec<f64> = (0..last)
            .filter(|&k| self.points[k][1] > 0.0 && self.points[k + 1][1] <= 0.0)
            .filter_map(|k| brent(|x| self.at(x)[1], grid[k], grid[k + 1]))
            .collect();
        let best = inside.iter().copied().max_by(|a, b| self.at(*a)[0].total_cmp(&self.at(*b)[0]));
        let edge = self.points[0][0].max(self.points[last][0]);
        let estimate = best.filter(|x| self.at(*x)[0] >= edge);
        let maximum = estimate.map_or(edge, |x| self.at(x)[0]);
        let curvature = estimate.map(|x| self.at(x)[2]).filter(|c| *c < 0.0);
        let target = maximum - 0.5 * chi_squared_quantile(level, 1.0);
        let peak = estimate.unwrap_or(if self.points[0][0] >= self.points[last][0] {
            grid[0]
        } else {
            grid[last]
        });
        let falls = |x: f64| self.at(x)[0] - target;
        let below = grid.iter().rev().find(|x| **x < peak && falls(**x) < 0.0);
        let above = grid.iter().find(|x| **x > peak && falls(**x) < 0.0);
        Reading {
            estimate,
            maximum,
            std_error: curvature.map(|c| 1.0 / (-c).sqrt()),
            limits: [
                below.and_then(|x| brent(falls, *x, (x + self.step).min(peak))),
                above.and_then(|x| brent(falls, (x - self.step).max(peak), *x)),
            ],
            modes: maxima.len().max(inside.len()),
        }
    }

    /// ln ∫ exp ℓ(μ + τ z) φ(z) dz and its two derivatives with respect to μ: the likelihood of a site whose effect is drawn from
    /// a normal distribution around μ.
    pub fn marginal(&self, mu: f64, tau: f64) -> [f64; 3] {
        if tau <= 0.0 {
            return self.at(mu);
        }
        // Nodes around the mode of the integrand, as wide as its curvature says: right for sharp and for flat curves.
        let slope = |b: f64| self.at(b)[1] - (b - mu) / (tau * tau);
        let mut reach = tau.copysign(slope(mu));
        while slope(mu).signum() == slope(mu + reach).signum() && reach.abs() < 1e3 {
            reach *= 2.0;
        }
        let mode = brent(slope, mu.min(mu + reach), mu.max(mu + reach)).unwrap_or(mu);
        let scale = 1.0 / (1.0 / (tau * tau) - self.at(mode)[2].min(0.0)).sqrt();
        let values: Vec<([f64; 3], f64)> = NODES.with(|nodes| {
            let value = |(z, w): &(f64, f64)| {
                let b = mode + scale * z;
                let at = self.at(b);
                let density = -0.5 * ((b - mu) / tau).powi(2) + 0.5 * z * z + (scale / tau).ln();
                (at, w.ln() + at[0] + density)
            };
            nodes.iter().map(value).collect()
        });
        let top = values.iter().map(|(_, v)| *v).fold(f64::NEG_INFINITY, f64::max);
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        for ([_, d, c], log) in values {
            let p = (log - top).exp();
            mass += p;
            first += p * d;
            second += p * (c + d * d);
        }
        let mean = first / mass;
        [top + mass.ln(), mean, second / mass - mean * mean]
    }
}

thread_local! {
    static NODES: Vec<(f64, f64)> = normal_nodes(41);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(f: impl Fn(f64) -> [f64; 3]) -> LikelihoodCurve {
        let (from, step) = (-6.0, 0.25);
        let points = (0..49).map(|k| f(from + step * f64::from(k))).collect();
        LikelihoodCurve { from, step, points }
    }

    /// Binomial log-likelihood of a logit.
    fn binomial(y: f64, n: f64) -> LikelihoodCurve {
        curve(|x| {
            let p = 1.0 / (1.0 + (-x).exp());
            [y * x - n * x.exp().ln_1p(), y - n * p, -n * p * (1.0 - p)]
        })
    }

    #[test]
    fn a_parabola_is_read_exactly() {
        let reading = curve(|x| [-2.0 * (x - 0.3).powi(2), -4.0 * (x - 0.3), -4.0]).read(0.95);
        let half = 1.959963984540054 / 2.0;
        assert!((reading.estimate.unwrap() - 0.3).abs() < 1e-12);
        assert!((reading.std_error.unwrap() - 0.5).abs() < 1e-12);
        assert!((reading.limits[0].unwrap() - (0.3 - half)).abs() < 1e-9);
        assert!((reading.limits[1].unwrap() - (0.3 + half)).abs() < 1e-9);
        let exact =
            curve(|x| [-2.0 * (x - 0.3).powi(2), -4.0 * (x - 0.3), -4.0]).marginal(1.0, 0.8);
        // ∫ exp(−2 (b − m)²) N(b; μ, τ²) db has a closed form.
        let v: f64 = 0.64 + 0.25;
        let wanted = -0.5 * (1.0 - 0.3_f64).powi(2) / v + 0.5 * (0.25 / v).ln();
        assert!((exact[0] - wanted).abs() < 1e-8, "{} {wanted}", exact[0]);
        assert!((exact[1] + 0.7 / v).abs() < 1e-7 && (exact[2] + 1.0 / v).abs() < 1e-6);
    }

    #[test]
    fn interpolation_costs_nothing_that_counts() {
        let reading = binomial(7.0, 20.0).read(0.95);
        assert!((reading.estimate.unwrap() - (7.0_f64 / 13.0).ln()).abs() < 1e-8);
        assert_eq!(reading.modes, 1);
    }

    #[test]
    fn a_curve_that_only_rises_has_a_lower_limit_alone() {
        let reading = binomial(5.0, 5.0).read(0.95);
        assert!(reading.estimate.is_none() && reading.limits[1].is_none());
        assert!(reading.limits[0].is_some());
        let flat = curve(|_| [0.0; 3]).read(0.95);
        assert_eq!((flat.estimate, flat.limits), (None, [None, None]));
    }
}
