//! Cox partial likelihood from an event table by covariate pattern: everything follows from how many of each pattern were at risk
//! and died on each day, for every tie rule, the exact discrete one included.
//!
//! Exact: the denominator is the elementary symmetric polynomial e_d of the risk weights, the coefficient of z^d in
//! Π (1 + w z)^n over the patterns; score and information are the mean and covariance of the numbers of deaths by pattern.
//! Source: Cox (1972); Gail, Lubin & Rubinstein (1981).

use super::{Derivatives, RiskSums, Ties, derivatives_of_sums, packed, tie_sums};

/// One day with deaths.
#[derive(Debug, Clone, PartialEq)]
pub struct DeathDay {
    /// Day.
    pub day: f64,
    /// At risk by pattern.
    pub at_risk: Vec<f64>,
    /// Deaths by pattern.
    pub deaths: Vec<f64>,
}

/// Tie rule, the exact one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieRule {
    /// Efron or Breslow.
    Approximate(Ties),
    /// Exact discrete.
    Exact,
}

/// Covariates by pattern, and the days with deaths in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Patterns {
    /// One row of covariates per pattern.
    pub x: Vec<Vec<f64>>,
    /// Days with deaths.
    pub days: Vec<DeathDay>,
}

impl Patterns {
    fn weights(&self, beta: &[f64]) -> Vec<f64> {
        let eta = |x: &Vec<f64>| x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>().exp();
        self.x.iter().map(eta).collect()
    }

    /// Log-likelihood, score and information at `beta`.
    pub fn derivatives(&self, beta: &[f64], ties: TieRule) -> Derivatives {
        match ties {
            TieRule::Approximate(ties) => {
                derivatives_of_sums(&self.sums(beta), beta, ties, |_| 1.0)
            }
            TieRule::Exact => self.exact(beta),
        }
    }

    /// Risk-set sums by day, as sites would send them.
    fn sums(&self, beta: &[f64]) -> RiskSums {
        let p = beta.len();
        let q = p * (p + 1) / 2;
        let w = self.weights(beta);
        let zeros = |width: usize| vec![0.0; width * self.days.len()];
        let mut sums = RiskSums {
            p,
            deaths: zeros(1),
            sum_x: zeros(p),
            s: [zeros(1), zeros(p), zeros(q)],
            t: [zeros(1), zeros(p), zeros(q)],
            untold: 0.0,
        };
        for (at, day) in self.days.iter().enumerate() {
            for (k, x) in self.x.iter().enumerate() {
                let (n, d) = (day.at_risk[k], day.deaths[k]);
                sums.deaths[at] += d;
                for (moments, number) in [(&mut sums.s, n), (&mut sums.t, d)] {
                    let weight = number * w[k];
                    moments[0][at] += weight;
                    for j in 0..p {
                        moments[1][at * p + j] += weight * x[j];
                        for i in 0..=j {
                            moments[2][at * q + packed(j, i)] += weight * x[j] * x[i];
                        }
                    }
                }
                for j in 0..p {
                    sums.sum_x[at * p + j] += d * x[j];
                }
            }
        }
        sums
    }

    fn exact(&self, beta: &[f64]) -> Derivatives {
        let p = beta.len();
        let mut result = Derivatives::zero(p);
        let weights = self.weights(beta);
        for day in &self.days {
            let d = day.deaths.iter().sum::<f64>().round() as usize;
            // Weights are scaled to keep the polynomial within range; the scale goes out of ln e_d again.
            let top = (0..weights.len())
                .filter(|&k| day.at_risk[k] > 0.0)
                .map(|k| weights[k])
                .fold(0.0, f64::max);
            let w: Vec<f64> = weights.iter().map(|w| w / top).collect();
            let mut polynomial = vec![0.0; d + 1];
            polynomial[0] = 1.0;
            let mut log_scale = 0.0;
            for k in 0..w.len() {
                for _ in 0..day.at_risk[k].round() as usize {
                    for i in (1..=d).rev() {
                        polynomial[i] += w[k] * polynomial[i - 1];
                    }
                }
                let largest = polynomial.iter().copied().fold(0.0, f64::max);
                if largest > 1e100 {
                    polynomial.iter_mut().for_each(|c| *c /= largest);
                    log_scale += largest.ln();
                }
            }
            let denominator = polynomial[d];
            result.log_likelihood -= denominator.ln() + log_scale + d as f64 * top.ln();
            // Mean and second moments of the numbers of deaths by pattern.
            let present: Vec<usize> = (0..w.len()).filter(|&k| day.at_risk[k] > 0.0).collect();
            let without: Vec<Vec<f64>> =
                present.iter().map(|&k| divide(&polynomial, w[k])).collect();
            let mean: Vec<f64> = present
                .iter()
                .zip(&without)
                .map(|(&k, g)| day.at_risk[k] * w[k] * g[d - 1] / denominator)
                .collect();
            for (a, &k) in present.iter().enumerate() {
                let deaths = day.deaths[k];
                for j in 0..p {
                    result.log_likelihood += deaths * beta[j] * self.x[k][j];
                    result.score[j] += (deaths - mean[a]) * self.x[k][j];
                }
                for (b, &l) in present.iter().enumerate() {
                    let pairs = day.at_risk[k] * (day.at_risk[l] - f64::from(u8::from(k == l)));
                    let mut second = 0.0;
                    if d >= 2 && pairs > 0.0 {
                        second =
                            pairs * w[k] * w[l] * divide(&without[a], w[l])[d - 2] / denominator;
                    }
                    if k == l {
                        second += mean[a];
                    }
                    let covariance = second - mean[a] * mean[b];
                    for j in 0..p {
                        for i in 0..=j {
                            result.information[packed(j, i)] +=
                                covariance * self.x[k][j] * self.x[l][i];
                        }
                    }
                }
            }
        }
        result
    }

    /// Increments of the baseline cumulative hazard of covariates 0, with the sums of their squared parts: by day.
    pub fn baseline(&self, beta: &[f64], ties: Ties) -> Vec<[f64; 3]> {
        let sums = self.sums(beta);
        self.days
            .iter()
            .enumerate()
            .map(|(at, day)| {
                let tie = tie_sums(sums.deaths[at], sums.s[0][at], sums.t[0][at], ties);
                [day.day, tie.a, tie.aa]
            })
            .collect()
    }
}

/// Coefficients of g(z) / (1 + w z).
fn divide(g: &[f64], w: f64) -> Vec<f64> {
    let mut quotient = Vec::with_capacity(g.len());
    let mut last = 0.0;
    for c in g {
        last = c - w * last;
        quotient.push(last);
    }
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy() -> Patterns {
        let day = |day, at_risk: [f64; 2], deaths: [f64; 2]| DeathDay {
            day,
            at_risk: at_risk.to_vec(),
            deaths: deaths.to_vec(),
        };
        Patterns {
            x: vec![vec![0.0], vec![1.0]],
            days: vec![
                day(30.0, [6.0, 5.0], [1.0, 0.0]),
                day(61.0, [5.0, 5.0], [0.0, 2.0]),
                day(365.0, [3.0, 2.0], [1.0, 0.0]),
                day(400.0, [2.0, 2.0], [1.0, 0.0]),
            ],
        }
    }

    /// Newton by hand on the toy of three countries: Efron −0.2456834138, Breslow −0.2907519, exact −0.3045599.
    #[test]
    fn all_tie_rules_have_their_published_estimates() {
        let cases = [
            (TieRule::Approximate(Ties::Efron), -0.2456834138, 0.9153769),
            (TieRule::Approximate(Ties::Breslow), -0.2907519, 0.9155902),
            (TieRule::Exact, -0.3045599, 0.9371539),
        ];
        for (ties, wanted, se) in cases {
            let mut beta = 0.0;
            for _ in 0..20 {
                let d = toy().derivatives(&[beta], ties);
                beta += d.score[0] / d.information[0];
            }
            assert!((beta - wanted).abs() < 1e-6, "{ties:?} {beta}");
            let d = toy().derivatives(&[beta], ties);
            assert!((d.information[0].sqrt().recip() - se).abs() < 1e-6, "{ties:?}");
            let h = 1e-5;
            let slope = (toy().derivatives(&[0.3 + h], ties).log_likelihood
                - toy().derivatives(&[0.3 - h], ties).log_likelihood)
                / (2.0 * h);
            assert!((toy().derivatives(&[0.3], ties).score[0] - slope).abs() < 1e-8);
        }
    }
}
