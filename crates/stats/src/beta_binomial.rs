//! Beta-binomial regression of event counts of one or two arms: the risk of an arm varies between studies about the arm's mean.
//!
//! With mean μ and θ = ρ / (1 − ρ), ρ the correlation of two persons of one arm, the probability of x among n is the binomial
//! coefficient times ∏(μ + rθ) ∏(1 − μ + rθ) / ∏(1 + rθ), r from 0 below x, n − x and n: no gamma functions, and θ = 0 is the binomial.
//! Arms of all studies count, those without events too.
//!
//! Sources: Williams (1975); Kuss (2015) for meta-analysis of rare events.

use nalgebra::{DMatrix, DVector};

use super::{
    root::{brent, local_maxima},
    sum::neumaier,
    two_by_two::ln_choose,
};

/// Events and persons of one arm of one study.
pub type Arm = (f64, f64);

/// A fit.
#[derive(Debug, Clone)]
pub struct BetaBinomialFit {
    /// Mean risk of each arm.
    pub means: Vec<f64>,
    /// Covariance of the mean risks.
    pub covariance: DMatrix<f64>,
    /// Correlation of two persons of one arm of one study; 0 at one border, above 0.99 at the other, where arms are all or nothing.
    pub correlation: f64,
    /// Log-likelihood.
    pub log_likelihood: f64,
    /// Log-likelihood without variation between studies.
    pub without_variation: f64,
}

/// Sums over an arm of powers of r / (μ + rθ) and their like.
#[derive(Default, Clone, Copy)]
struct Derivatives {
    value: f64,
    by_mean: f64,
    by_mean2: f64,
    by_theta: f64,
    by_theta2: f64,
    by_both: f64,
}

fn derivatives(arm: &[Arm], mean: f64, theta: f64) -> Derivatives {
    let mut d = Derivatives::default();
    for &(events, n) in arm {
        d.value += ln_choose(n, events);
        for (count, start, sign) in [(events, mean, 1.0), (n - events, 1.0 - mean, -1.0)] {
            for r in 0..count as u64 {
                let r = r as f64;
                let base = start + r * theta;
                d.value += base.ln();
                d.by_mean += sign / base;
                d.by_mean2 -= 1.0 / (base * base);
                d.by_theta += r / base;
                d.by_theta2 -= r * r / (base * base);
                d.by_both -= sign * r / (base * base);
            }
        }
        for r in 0..n as u64 {
            let r = r as f64;
            let base = 1.0 + r * theta;
            d.value -= base.ln();
            d.by_theta -= r / base;
            d.by_theta2 += r * r / (base * base);
        }
    }
    d
}

/// Score and curvature of an arm's mean.
fn mean_score(arm: &[Arm], mean: f64, theta: f64) -> [f64; 2] {
    let (mut score, mut bend) = (0.0, 0.0);
    for &(events, n) in arm {
        for (count, start, sign) in [(events, mean, 1.0), (n - events, 1.0 - mean, -1.0)] {
            for r in 0..count as u64 {
                let inverse = 1.0 / (start + r as f64 * theta);
                score += sign * inverse;
                bend -= inverse * inverse;
            }
        }
    }
    [score, bend]
}

/// The mean of an arm that is most likely at θ: the likelihood is concave in it.
fn best_mean(arm: &[Arm], theta: f64) -> f64 {
    let events: f64 = arm.iter().map(|a| a.0).sum();
    let n: f64 = arm.iter().map(|a| a.1).sum();
    let (mut low, mut high) = (0.0, 1.0);
    let mut mean = (events + 0.5) / (n + 1.0);
    for _ in 0..200 {
        let [score, bend] = mean_score(arm, mean, theta);
        *(if score > 0.0 { &mut low } else { &mut high }) = mean;
        let newton = mean - score / bend;
        let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
        if (next - mean).abs() <= 1e-13 * mean.min(1.0 - mean) {
            return next;
        }
        mean = next;
    }
    mean
}

/// Fits one or two arms. `None` if an arm has no events or only events, so that its mean lies on the border.
pub fn fit(arms: &[Vec<Arm>]) -> Option<BetaBinomialFit> {
    let inside = |arm: &Vec<Arm>| {
        let events: f64 = arm.iter().map(|a| a.0).sum();
        events > 0.0 && events < arm.iter().map(|a| a.1).sum()
    };
    if arms.is_empty() || !arms.iter().all(inside) {
        return None;
    }
    let profile = |theta: f64| {
        neumaier(arms.iter().map(|arm| derivatives(arm, best_mean(arm, theta), theta).value))
    };
    let without_variation = profile(0.0);
    let score = |t: f64| {
        let theta = t.exp();
        let one = |arm: &Vec<Arm>| derivatives(arm, best_mean(arm, theta), theta).by_theta;
        arms.iter().map(one).sum::<f64>()
    };
    let grid: Vec<f64> = (0..25).map(|i| -18.0 + f64::from(i)).collect();
    let at = |t: f64| profile(t.exp());
    let best = local_maxima(at, &grid)
        .into_iter()
        .map(|i| {
            let (low, high) = (grid[i.saturating_sub(1)], grid[(i + 1).min(grid.len() - 1)]);
            // At the best means the profile rises as the likelihood itself does.
            brent(score, low, high).unwrap_or(grid[i])
        })
        .max_by(|a, b| at(*a).total_cmp(&at(*b)))?;
    let theta = if at(best) > without_variation + 1e-9 { best.exp() } else { 0.0 };
    let means: Vec<f64> = arms.iter().map(|arm| best_mean(arm, theta)).collect();
    let at_best: Vec<Derivatives> =
        arms.iter().zip(&means).map(|(arm, mean)| derivatives(arm, *mean, theta)).collect();
    let q = arms.len();
    // Observed information of the means, and of ln θ where it is inside.
    let free = if theta > 0.0 { q + 1 } else { q };
    let mut information = DMatrix::zeros(free, free);
    for (j, d) in at_best.iter().enumerate() {
        information[(j, j)] = -d.by_mean2;
        if theta > 0.0 {
            information[(j, q)] = -theta * d.by_both;
            information[(q, j)] = information[(j, q)];
            information[(q, q)] -= theta * theta * d.by_theta2 + theta * d.by_theta;
        }
    }
    let covariance = information.cholesky()?.inverse().view((0, 0), (q, q)).into_owned();
    Some(BetaBinomialFit {
        means,
        covariance,
        correlation: theta / (1.0 + theta),
        log_likelihood: neumaier(at_best.iter().map(|d| d.value)),
        without_variation,
    })
}

impl BetaBinomialFit {
    /// An effect and its standard error, from its value and its derivatives by the means.
    pub fn effect(&self, value: f64, gradient: &[f64]) -> (f64, f64) {
        let g = DVector::from_column_slice(gradient);
        (value, (g.transpose() * &self.covariance * &g)[(0, 0)].max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arms that are all alike vary no more than the binomial: its proportion and error come out.
    #[test]
    fn equal_arms_are_binomial() {
        let found = fit(&[vec![(3.0, 10.0); 4]]).unwrap();
        assert_eq!(found.correlation, 0.0);
        assert!((found.means[0] - 0.3).abs() < 1e-12);
        assert!((found.covariance[(0, 0)] - 0.3 * 0.7 / 40.0).abs() < 1e-12);
        assert_eq!(found.log_likelihood, found.without_variation);
    }

    #[test]
    fn arms_without_events_have_no_fit() {
        assert!(fit(&[vec![(0.0, 10.0), (0.0, 5.0)]]).is_none());
        assert!(fit(&[vec![(0.0, 10.0), (1.0, 5.0)], vec![(5.0, 5.0)]]).is_none());
        assert!(fit(&[]).is_none());
    }
}
