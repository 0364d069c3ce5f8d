//! Beta product confidence procedure for survival (Fay, Brittain & Proschan 2013; Fay & Brittain 2016): intervals that
//! hold in small risk sets and at S = 0 or 1, where every interval from Greenwood's variance is empty or absurd.
//!
//! Products of beta variables are replaced by the beta variable with the same first two moments, as the R package `bpcp`
//! does by default.

use super::distribution::beta_quantile;

/// Product of Beta(n − d + 1, d) over the event times so far, by its first two moments.
#[derive(Debug, Clone, Copy)]
pub struct BetaProduct {
    first: f64,
    second: f64,
    any_event: bool,
}

impl Default for BetaProduct {
    fn default() -> Self {
        Self { first: 1.0, second: 1.0, any_event: false }
    }
}

impl BetaProduct {
    /// Takes in `d` events among `n` at risk at one time.
    pub fn observe(&mut self, n: f64, d: f64) {
        if d > 0.0 {
            *self = self.times(n - d + 1.0, d);
            self.any_event = true;
        }
    }

    fn times(self, a: f64, b: f64) -> Self {
        Self {
            first: self.first * a / (a + b),
            second: self.second * a * (a + 1.0) / ((a + b) * (a + b + 1.0)),
            any_event: self.any_event,
        }
    }

    fn quantile(self, p: f64) -> f64 {
        let (m1, m2) = (self.first, self.second);
        let variance = m2 - m1 * m1;
        if variance <= 0.0 {
            return m1;
        }
        let size = m1 * (1.0 - m1) / variance - 1.0;
        beta_quantile(p, m1 * size, (1.0 - m1) * size)
    }

    /// Interval of S(t); `n_after` is the number at risk just after *t*.
    pub fn interval(self, n_after: f64, level: f64) -> (f64, f64) {
        let alpha = 1.0 - level;
        let low = if n_after > 0.0 { self.times(n_after, 1.0).quantile(0.5 * alpha) } else { 0.0 };
        let high = if self.any_event { self.quantile(1.0 - 0.5 * alpha) } else { 1.0 };
        (low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_dead_among_n_gives_clopper_pearson() {
        for (n, wanted) in [(5.0, 0.478), (10.0, 0.692), (20.0, 0.832)] {
            let (low, high) = BetaProduct::default().interval(n, 0.95);
            assert!((low - wanted).abs() < 5e-4, "{low}");
            assert_eq!(high, 1.0);
        }
    }
}
