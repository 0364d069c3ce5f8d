//! Average change per year of a series of rates, by three estimators.
//!
//! Sources: Hankey et al. (2000) for the change from the log rate; McCullagh & Nelder (1989) for Poisson regression and its
//! overdispersion.

use super::{
    distribution::{normal_point, student_point, student_two_sided},
    sum::neumaier,
};

/// A slope of the log rate per year.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// Change of the log rate per year.
    pub slope: f64,
    /// Its standard error.
    pub std_error: f64,
    /// Degrees of freedom of its t distribution; infinite for the normal.
    pub df: f64,
}

impl Slope {
    /// Change per year, per cent.
    pub fn percent(&self) -> f64 {
        100.0 * self.slope.exp_m1()
    }

    /// Limits of the change per year, per cent.
    pub fn limits(&self, level: f64) -> [f64; 2] {
        let point =
            if self.df.is_finite() { student_point(level, self.df) } else { normal_point(level) };
        [-1.0, 1.0].map(|sign| 100.0 * (self.slope + sign * point * self.std_error).exp_m1())
    }

    /// Two-sided p-value of no change.
    pub fn p_value(&self) -> f64 {
        if self.std_error <= 0.0 {
            return if self.slope == 0.0 { 1.0 } else { 0.0 };
        }
        let t = self.slope / self.std_error;
        if self.df.is_finite() {
            student_two_sided(t, self.df)
        } else {
            super::distribution::normal_two_sided(t)
        }
    }
}

/// Weighted least squares of `y` on `x`, the residual variance estimated; `None` with fewer than three points.
pub fn least_squares(x: &[f64], y: &[f64], weights: &[f64]) -> Option<Slope> {
    let total = neumaier(weights.iter().copied());
    if x.len() < 3 || total <= 0.0 {
        return None;
    }
    let mean = |v: &[f64]| neumaier(v.iter().zip(weights).map(|(v, w)| v * w)) / total;
    let (mx, my) = (mean(x), mean(y));
    let sxx = neumaier(x.iter().zip(weights).map(|(x, w)| w * (x - mx).powi(2)));
    let sxy = neumaier((0..x.len()).map(|i| weights[i] * (x[i] - mx) * (y[i] - my)));
    if sxx <= 0.0 {
        return None;
    }
    let slope = sxy / sxx;
    let residual =
        neumaier((0..x.len()).map(|i| weights[i] * (y[i] - my - slope * (x[i] - mx)).powi(2)));
    let df = x.len() as f64 - 2.0;
    Some(Slope { slope, std_error: (residual / df / sxx).sqrt(), df })
}
