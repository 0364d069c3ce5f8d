//! Common effects from two-arm tables without continuity correction: Mantel–Haenszel, Peto, and the exact conditional odds ratio.
//!
//! Sources: Mantel & Haenszel (1959); Robins, Breslow & Greenland (1986); Greenland & Robins (1985) for risk ratio, risk
//! difference and rates; Sato, Greenland & Robins (1989) for the variance of the risk difference; Yusuf et al. (1985); Mehta,
//! Patel & Gray (1985) for the distribution of the sum of hypergeometric counts.

use super::{
    distribution::{normal_point, normal_two_sided},
    root::brent,
    sum::{log_sum, neumaier},
};

/// Cells of a table: events and others in the first arm, events and others in the second.
pub type Cells = [f64; 4];

/// A common effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Common {
    /// Effect; ratios on the log scale.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
    /// Cochran's Q of the studies that have an effect of their own, with their number.
    pub q: Option<(f64, f64)>,
    /// Score test against no effect, with and without continuity correction: χ² on 1 df.
    pub score: Option<[f64; 2]>,
}

impl Common {
    /// Normal limits.
    pub fn limits(&self, level: f64) -> [f64; 2] {
        let half = normal_point(level) * self.std_error;
        [self.estimate - half, self.estimate + half]
    }

    /// P-value of the Wald test.
    pub fn p_value(&self) -> f64 {
        if self.std_error > 0.0 { normal_two_sided(self.estimate / self.std_error) } else { 1.0 }
    }
}

fn sum(tables: &[Cells], f: impl Fn(&Cells, f64) -> f64) -> f64 {
    neumaier(tables.iter().map(|t| f(t, t.iter().sum())))
}

/// Q about a common effect, by inverse variance of the studies that have one.
fn q_about(effects: &[(f64, f64)], centre: f64) -> Option<(f64, f64)> {
    (effects.len() > 1).then(|| {
        let q = neumaier(effects.iter().map(|(y, v)| (y - centre).powi(2) / v));
        (q, effects.len() as f64 - 1.0)
    })
}

/// Log odds ratio (variance of Robins, Breslow & Greenland), with the Cochran–Mantel–Haenszel test.
pub fn odds_ratio(tables: &[Cells]) -> Option<Common> {
    let part = |f: fn(&Cells) -> f64| move |t: &Cells, n: f64| f(t) / n;
    let r = sum(tables, part(|[a, _, _, d]| a * d));
    let s = sum(tables, part(|[_, b, c, _]| b * c));
    if r <= 0.0 || s <= 0.0 {
        return None;
    }
    let pr = sum(tables, |[a, _, _, d], n| (a + d) / n * (a * d / n));
    let mixed =
        sum(tables, |[a, b, c, d], n| (a + d) / n * (b * c / n) + (b + c) / n * (a * d / n));
    let qs = sum(tables, |[_, b, c, _], n| (b + c) / n * (b * c / n));
    let variance = pr / (2.0 * r * r) + mixed / (2.0 * r * s) + qs / (2.0 * s * s);
    let estimate = (r / s).ln();
    let effects: Vec<(f64, f64)> = tables
        .iter()
        .filter(|t| t.iter().all(|x| *x > 0.0))
        .map(|[a, b, c, d]| ((a * d / (b * c)).ln(), 1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d))
        .collect();
    Some(Common {
        estimate,
        std_error: variance.sqrt(),
        q: q_about(&effects, estimate),
        score: score(tables),
    })
}

/// χ² of Cochran, Mantel & Haenszel with continuity correction, and without.
fn score(tables: &[Cells]) -> Option<[f64; 2]> {
    let excess = sum(tables, |[a, b, c, _], n| a - (a + b) * (a + c) / n);
    let variance = sum(tables, |[a, b, c, d], n| {
        if n > 1.0 { (a + b) * (c + d) * (a + c) * (b + d) / (n * n * (n - 1.0)) } else { 0.0 }
    });
    (variance > 0.0).then(|| {
        let corrected = (excess.abs() - 0.5).max(0.0);
        [corrected * corrected / variance, excess * excess / variance]
    })
}

/// Log risk ratio.
pub fn risk_ratio(tables: &[Cells]) -> Option<Common> {
    let r = sum(tables, |[a, _, c, d], n| a * (c + d) / n);
    let s = sum(tables, |[a, b, c, _], n| c * (a + b) / n);
    if r <= 0.0 || s <= 0.0 {
        return None;
    }
    let p = sum(tables, |[a, b, c, d], n| ((a + b) * (c + d) * (a + c) - a * c * n) / (n * n));
    let estimate = (r / s).ln();
    let effects: Vec<(f64, f64)> = tables
        .iter()
        .filter(|t| t[0] > 0.0 && t[2] > 0.0)
        .map(|[a, b, c, d]| {
            let (n1, n2) = (a + b, c + d);
            ((a * n2 / (c * n1)).ln(), 1.0 / a - 1.0 / n1 + 1.0 / c - 1.0 / n2)
        })
        .filter(|(_, v)| *v > 0.0)
        .collect();
    Some(Common {
        estimate,
        std_error: (p / (r * s)).sqrt(),
        q: q_about(&effects, estimate),
        score: score(tables),
    })
}

/// Risk difference (variance of Sato, Greenland & Robins, which does not need large strata). Tables without events count.
pub fn risk_difference(tables: &[Cells]) -> Option<Common> {
    let used: Vec<Cells> =
        tables.iter().copied().filter(|[a, b, c, d]| a + b > 0.0 && c + d > 0.0).collect();
    let weight = sum(&used, |[a, b, c, d], n| (a + b) * (c + d) / n);
    if weight <= 0.0 {
        return None;
    }
    let estimate = sum(&used, |[a, b, c, d], n| (a * (c + d) - c * (a + b)) / n) / weight;
    let p = sum(&used, |[a, b, c, d], n| {
        let (n1, n2) = ((a + b) / n, (c + d) / n);
        c * n1 * n1 - a * n2 * n2 + n1 * n2 * (n2 - n1) * n / 2.0
    });
    let q = sum(&used, |[a, b, c, d], n| (a * d + b * c) / (2.0 * n));
    let variance = (estimate * p + q) / (weight * weight);
    let effects: Vec<(f64, f64)> = used
        .iter()
        .map(|[a, b, c, d]| {
            let (n1, n2) = (a + b, c + d);
            (a / n1 - c / n2, a * b / n1.powi(3) + c * d / n2.powi(3))
        })
        .filter(|(_, v)| *v > 0.0)
        .collect();
    Some(Common {
        estimate,
        std_error: variance.max(0.0).sqrt(),
        q: q_about(&effects, estimate),
        score: score(&used),
    })
}

/// Peto's log odds ratio.
pub fn peto(tables: &[Cells]) -> Option<Common> {
    let terms: Vec<(f64, f64)> = tables
        .iter()
        .filter_map(|[a, b, c, d]| {
            let n = a + b + c + d;
            let variance = (a + b) * (c + d) * (a + c) * (b + d) / (n * n * (n - 1.0));
            (variance > 0.0).then(|| (a - (a + b) * (a + c) / n, variance))
        })
        .collect();
    let variance = neumaier(terms.iter().map(|t| t.1));
    if variance <= 0.0 {
        return None;
    }
    let excess = neumaier(terms.iter().map(|t| t.0));
    let estimate = excess / variance;
    let q = neumaier(terms.iter().map(|(e, v)| v * (e / v - estimate).powi(2)));
    Some(Common {
        estimate,
        std_error: 1.0 / variance.sqrt(),
        q: (terms.len() > 1).then_some((q, terms.len() as f64 - 1.0)),
        score: Some([excess * excess / variance; 2]),
    })
}

/// Distribution of the number of events in the first arms given all margins, on the log scale: coefficients of the product of
/// the tables' hypergeometric polynomials.
#[derive(Debug, Clone)]
pub struct Conditional {
    /// Smallest possible sum.
    low: f64,
    /// Log coefficients of the sums from `low` on.
    ln_coefficients: Vec<f64>,
    /// The sum that was seen.
    seen: f64,
}

/// ln of the binomial coefficient.
pub fn ln_choose(n: f64, k: f64) -> f64 {
    use statrs::function::gamma::ln_gamma;
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// Support and log coefficients of one table.
pub fn hypergeometric(table: &Cells) -> (f64, Vec<f64>) {
    let [a, b, c, d] = *table;
    let (n1, n2, m) = (a + b, c + d, a + c);
    let (low, high) = ((m - n2).max(0.0), m.min(n1));
    let n = (high - low).round() as usize;
    (
        low,
        (0..=n)
            .map(|i| ln_choose(n1, low + i as f64) + ln_choose(n2, m - low - i as f64))
            .collect(),
    )
}

impl Conditional {
    /// From the tables; `None` if none of them says anything, or their events are so many that the product would take minutes: a
    /// normal approximation is then as good.
    pub fn new(tables: &[Cells]) -> Option<Self> {
        const MOST_TERMS: f64 = 20_000.0;
        if tables.iter().map(|[a, _, c, _]| a + c).sum::<f64>() > MOST_TERMS {
            return None;
        }
        let mut low = 0.0;
        let mut seen = 0.0;
        let mut product = vec![0.0_f64];
        for table in tables {
            let (from, coefficients) = hypergeometric(table);
            low += from;
            seen += table[0];
            if coefficients.len() == 1 {
                continue;
            }
            let size = product.len() + coefficients.len() - 1;
            product = (0..size)
                .map(|s| {
                    let first = s.saturating_sub(coefficients.len() - 1);
                    let last = s.min(product.len() - 1);
                    log_sum((first..=last).map(|i| product[i] + coefficients[s - i]))
                })
                .collect();
            // Only ratios of the coefficients count.
            let largest = product.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            product.iter_mut().for_each(|c| *c -= largest);
        }
        (product.len() > 1).then_some(Self { low, ln_coefficients: product, seen })
    }

    fn ln_terms(&self, ln_odds_ratio: f64) -> impl Iterator<Item = f64> + Clone + '_ {
        self.ln_coefficients.iter().enumerate().map(move |(i, c)| c + i as f64 * ln_odds_ratio)
    }

    fn mean(&self, ln_odds_ratio: f64) -> f64 {
        let total = log_sum(self.ln_terms(ln_odds_ratio));
        let at = self.ln_terms(ln_odds_ratio).enumerate();
        self.low + neumaier(at.map(|(i, t)| i as f64 * (t - total).exp()))
    }

    /// P(sum ≥ seen), or half the probability of what was seen less.
    fn upper(&self, ln_odds_ratio: f64, mid_p: bool) -> f64 {
        let total = log_sum(self.ln_terms(ln_odds_ratio));
        let at = (self.seen - self.low).round() as usize;
        let tail = log_sum(self.ln_terms(ln_odds_ratio).skip(at));
        let seen = self.ln_terms(ln_odds_ratio).nth(at).unwrap_or(f64::NEG_INFINITY);
        (tail - total).exp() - if mid_p { 0.5 * (seen - total).exp() } else { 0.0 }
    }

    fn lower(&self, ln_odds_ratio: f64, mid_p: bool) -> f64 {
        let total = log_sum(self.ln_terms(ln_odds_ratio));
        let at = (self.seen - self.low).round() as usize;
        let tail = log_sum(self.ln_terms(ln_odds_ratio).take(at + 1));
        let seen = self.ln_terms(ln_odds_ratio).nth(at).unwrap_or(f64::NEG_INFINITY);
        (tail - total).exp() - if mid_p { 0.5 * (seen - total).exp() } else { 0.0 }
    }

    /// Conditional maximum-likelihood log odds ratio, −∞ or ∞ at the borders.
    pub fn estimate(&self) -> f64 {
        let last = self.low + (self.ln_coefficients.len() - 1) as f64;
        if self.seen <= self.low + 0.5 {
            f64::NEG_INFINITY
        } else if self.seen >= last - 0.5 {
            f64::INFINITY
        } else {
            brent(|x| self.mean(x) - self.seen, -50.0, 50.0).unwrap_or(f64::NAN)
        }
    }

    /// Exact limits of the log odds ratio, one of them infinite at a border.
    pub fn limits(&self, level: f64, mid_p: bool) -> [f64; 2] {
        let alpha = 0.5 * (1.0 - level);
        let last = self.low + (self.ln_coefficients.len() - 1) as f64;
        let low = if self.seen <= self.low + 0.5 {
            f64::NEG_INFINITY
        } else {
            brent(|x| self.upper(x, mid_p) - alpha, -60.0, 60.0).unwrap_or(f64::NEG_INFINITY)
        };
        let high = if self.seen >= last - 0.5 {
            f64::INFINITY
        } else {
            brent(|x| self.lower(x, mid_p) - alpha, -60.0, 60.0).unwrap_or(f64::INFINITY)
        };
        [low, high]
    }

    /// Two-sided p-value of no effect, twice the smaller tail.
    pub fn p_value(&self, mid_p: bool) -> f64 {
        (2.0 * self.upper(0.0, mid_p).min(self.lower(0.0, mid_p))).min(1.0)
    }
}
