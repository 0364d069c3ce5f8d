//! Aalen–Johansen estimate of transition probabilities with Greenwood's covariance.
//!
//! Sources: Aalen & Johansen (1978); Andersen, Borgan, Gill & Keiding (1993), IV.4.1.

use nalgebra::{DMatrix, DVector, RowDVector};

/// One time with transitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Transitions {
    /// Time, days.
    pub time: f64,
    /// At risk in each state just before.
    pub at_risk: Vec<f64>,
    /// Transitions `from * states + to`; none from a state to itself.
    pub counts: Vec<f64>,
}

/// Occupation of the states just after one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Occupation {
    /// Time, days.
    pub time: f64,
    /// Probability of each state.
    pub probability: Vec<f64>,
    /// Their variances.
    pub variance: Vec<f64>,
}

/// Occupation over the times, for those whose states are distributed as `start` at first.
pub fn aalen_johansen(start: &[f64], times: &[Transitions]) -> Vec<Occupation> {
    let k = start.len();
    let mut p = RowDVector::from_row_slice(start);
    let mut covariance = DMatrix::<f64>::zeros(k, k);
    times
        .iter()
        .map(|t| {
            let mut step = DMatrix::<f64>::identity(k, k);
            let mut added = DMatrix::<f64>::zeros(k, k);
            for h in 0..k {
                let n = t.at_risk[h];
                let d: Vec<f64> = (0..k).map(|j| t.counts[h * k + j]).collect();
                let leaving: f64 = d.iter().sum();
                if n <= 0.0 || leaving <= 0.0 {
                    continue;
                }
                // Multinomial: those who stay count as a kind of leaving.
                let hazard =
                    DVector::from_fn(k, |j, _| if j == h { -leaving / n } else { d[j] / n });
                for j in 0..k {
                    step[(h, j)] += hazard[j];
                }
                let stay = |j: usize| if j == h { n - leaving } else { d[j] };
                for i in 0..k {
                    for j in 0..k {
                        let same = if i == j { n * stay(i) } else { 0.0 };
                        added[(i, j)] += p[h] * p[h] * (same - stay(i) * stay(j)) / (n * n * n);
                    }
                }
            }
            covariance = step.transpose() * &covariance * &step + added;
            p = &p * &step;
            Occupation {
                time: t.time,
                probability: p.iter().copied().collect(),
                variance: (0..k).map(|j| covariance[(j, j)].max(0.0)).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_states_are_kaplan_meier_with_greenwood() {
        let t = |time, n, d| Transitions {
            time,
            at_risk: vec![n, 0.0],
            counts: vec![0.0, d, 0.0, 0.0],
        };
        let found =
            aalen_johansen(&[1.0, 0.0], &[t(1.0, 5.0, 1.0), t(2.0, 4.0, 1.0), t(3.0, 2.0, 1.0)]);
        let s = 0.8 * 0.75 * 0.5;
        let last = found.last().unwrap();
        assert!((last.probability[0] - s).abs() < 1e-15);
        let greenwood = s * s * (1.0 / 20.0 + 1.0 / 12.0 + 0.5);
        assert!((last.variance[0] - greenwood).abs() < 1e-15);
        assert!((last.variance[1] - greenwood).abs() < 1e-15);
    }

    #[test]
    fn who_comes_back_is_counted_again() {
        let t = |time, at_risk: [f64; 2], counts: [f64; 4]| Transitions {
            time,
            at_risk: at_risk.to_vec(),
            counts: counts.to_vec(),
        };
        let found = aalen_johansen(
            &[1.0, 0.0],
            &[t(1.0, [4.0, 0.0], [0.0, 2.0, 0.0, 0.0]), t(2.0, [2.0, 2.0], [0.0, 0.0, 1.0, 0.0])],
        );
        assert_eq!(found[1].probability, [0.75, 0.25]);
    }
}
