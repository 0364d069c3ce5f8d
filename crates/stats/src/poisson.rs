//! Poisson regression of event counts on person-time, with or without a background: D ~ Poisson(μ).
//!
//! Rates: μ = Y e^η. Excess: μ = E + Y e^η. Relative: μ = E e^η. For grouped survival data D and Y are sufficient, so the fit is
//! that of the piecewise exponential model on the rows. Firth's penalty ½ ln |I| keeps estimates finite where a level had no event; its
//! score, ½ tr(I⁻¹ ∂I/∂θ), is summed over cells where they are at hand, else taken from the sums Σ μ z z z of sites.
//!
//! Sources: Holford (1980), Laird & Olivier (1981); Dickman et al. (2004) for excess mortality; Firth (1993).

use nalgebra::{DMatrix, DVector};

use super::{
    jet::Jet,
    likelihood::{Derivatives, Predictor, packed},
    matrix::{independent_columns, invert},
    newton::{Evaluation, Next, newton},
};

/// What multiplies e^η, and what is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// Y e^η.
    Rate,
    /// E + Y e^η.
    Excess,
    /// E e^η.
    Relative,
}

impl Mean {
    /// What multiplies e^η in a cell.
    pub fn scale(self, time: f64, expected: f64) -> f64 {
        match self {
            Self::Rate | Self::Excess => time,
            Self::Relative => expected,
        }
    }

    /// Log-likelihood of a cell with linear predictor `eta`, up to what does not depend on it. Per unit of what multiplies e^η: for
    /// rates that is the log-likelihood of the piecewise exponential model on the rows.
    pub fn contribution<const N: usize>(
        self,
        events: f64,
        time: f64,
        expected: f64,
        eta: Jet<N>,
    ) -> Jet<N> {
        let scale = self.scale(time, expected);
        let background = if self == Self::Excess { expected } else { 0.0 };
        let mu = eta.exp() * scale + background;
        if events <= 0.0 {
            return -mu;
        }
        let rate = if background > 0.0 { eta.exp() + background / scale } else { eta.exp() };
        rate.ln() * events - mu
    }
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Events.
    pub events: f64,
    /// Person-time.
    pub time: f64,
    /// Expected events.
    pub expected: f64,
    /// Row of the design.
    pub z: Vec<f64>,
}

/// How a fit ended.
#[derive(Debug, Clone)]
pub struct PoissonFit {
    /// Evaluations, oldest first.
    pub record: Vec<Evaluation>,
    /// How it ended.
    pub next: Next,
}

fn evaluate(cells: &[Cell], mean: Mean, theta: &[f64], firth: bool) -> Evaluation {
    let p = theta.len();
    let mut sum = Derivatives::zero(p);
    for cell in cells {
        // Nothing can happen where nobody is followed; such a cell says nothing.
        if mean.scale(cell.time, cell.expected) <= 0.0 {
            continue;
        }
        let predictor = Predictor { first: 0, z: &cell.z };
        let eta = Jet::<1>::variable(predictor.at(theta), 0);
        let contribution = mean.contribution(cell.events, cell.time, cell.expected, eta);
        sum.add(&contribution, 1.0, [predictor]);
    }
    let mut evaluation = Evaluation::new(theta, &sum);
    if firth {
        let beta = evaluation.beta.clone();
        penalise(&mut evaluation, |inverse, score| {
            for cell in cells {
                let z = DVector::from_row_slice(&cell.z);
                let eta: f64 = cell.z.iter().zip(&beta).map(|(z, b)| z * b).sum();
                let mu = mean.scale(cell.time, cell.expected) * eta.exp();
                let leverage = mu * (z.transpose() * inverse * &z)[(0, 0)];
                *score += z * (0.5 * leverage);
            }
        });
    }
    evaluation
}

/// Adds ½ ln |I| of the expected information. `add_slope` adds its derivative to the score, given I⁻¹: ½ Σ h z, with h = μ z'I⁻¹z the
/// leverage of a cell (log link without background).
fn penalise(evaluation: &mut Evaluation, add_slope: impl FnOnce(&DMatrix<f64>, &mut DVector<f64>)) {
    let inverse = invert(&evaluation.information);
    let Some(cholesky) = evaluation.information.clone().cholesky() else { return };
    evaluation.log_likelihood += cholesky.l().diagonal().iter().map(|x| x.ln()).sum::<f64>();
    add_slope(&inverse.matrix, &mut evaluation.score);
}

/// Sums Σ μ z_j z_k z_l over cells, l ≤ k ≤ j: the derivative of the information, from which the hub has Firth's score without any cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Thirds(pub Vec<f64>);

impl Thirds {
    /// How many there are for `p` parameters.
    pub const fn len(p: usize) -> usize {
        p * (p + 1) * (p + 2) / 6
    }

    /// All zero, for `p` parameters.
    pub fn zero(p: usize) -> Self {
        Self(vec![0.0; Self::len(p)])
    }

    /// Position of (j, k, l) in any order.
    fn at(mut triple: [usize; 3]) -> usize {
        triple.sort_unstable();
        let [l, k, j] = triple;
        Self::len(j) + packed(k, l)
    }

    /// Adds a cell with mean `mu`, whose row of the design is 0 but for `z`: positions, ascending, with their values.
    pub fn add(&mut self, mu: f64, z: &[(usize, f64)]) {
        for (a, (j, zj)) in z.iter().enumerate() {
            for (b, (k, zk)) in z[..=a].iter().enumerate() {
                for (l, zl) in &z[..=b] {
                    self.0[Self::at([*j, *k, *l])] += mu * zj * zk * zl;
                }
            }
        }
    }

    /// Adds the sums of other cells.
    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a += b);
    }

    /// Adds Firth's penalty to an evaluation over the parameters at positions `kept`.
    pub fn penalise(&self, evaluation: &mut Evaluation, kept: &[usize]) {
        penalise(evaluation, |inverse, score| {
            for (a, j) in kept.iter().enumerate() {
                for (b, k) in kept.iter().enumerate() {
                    for (c, l) in kept.iter().enumerate() {
                        score[a] += 0.5 * inverse[(b, c)] * self.0[Self::at([*j, *k, *l])];
                    }
                }
            }
        });
    }
}

/// Columns that are neither 0 nor a combination of those before them, over the cells that say something.
pub fn identified(cells: &[Cell], mean: Mean) -> Vec<usize> {
    let p = cells.first().map_or(0, |c| c.z.len());
    let mut products = DMatrix::zeros(p, p);
    for cell in cells {
        if mean.scale(cell.time, cell.expected) > 0.0 {
            let z = DVector::from_row_slice(&cell.z);
            products += &z * z.transpose();
        }
    }
    independent_columns(&products)
}

/// Maximises from `start`.
pub fn fit(cells: &[Cell], mean: Mean, start: &[f64], firth: bool) -> PoissonFit {
    const MOST: usize = 200;
    let mut record = vec![evaluate(cells, mean, start, firth)];
    loop {
        match newton(&record, MOST) {
            Next::Try(theta) => record.push(evaluate(cells, mean, &theta, firth)),
            next => return PoissonFit { record, next },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(events: f64, time: f64, z: &[f64]) -> Cell {
        Cell { events, time, expected: 0.5, z: z.to_vec() }
    }

    fn last(fit: &PoissonFit) -> Vec<f64> {
        match fit.next {
            Next::Converged { at, .. } => fit.record[at].beta.clone(),
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_saturated_table_gives_its_rates() {
        let cells = [cell(4.0, 10.0, &[1.0, 0.0]), cell(9.0, 12.0, &[1.0, 1.0])];
        let theta = last(&fit(&cells, Mean::Rate, &[0.0, 0.0], false));
        assert!((theta[0] - 0.4_f64.ln()).abs() < 1e-10);
        assert!((theta[1] - (0.75_f64 / 0.4).ln()).abs() < 1e-10);
        let theta = last(&fit(&cells, Mean::Excess, &[-1.0, 0.0], false));
        assert!((theta[0] - 0.35_f64.ln()).abs() < 1e-9);
        let theta =
            last(&fit(&[Cell { z: vec![1.0], ..cells[0].clone() }], Mean::Relative, &[0.0], false));
        assert!((theta[0] - 8.0_f64.ln()).abs() < 1e-10);
    }

    #[test]
    fn a_level_without_events_runs_away_unless_penalised() {
        let cells = [cell(4.0, 10.0, &[1.0, 0.0]), cell(0.0, 12.0, &[1.0, 1.0])];
        assert!(matches!(fit(&cells, Mean::Rate, &[0.0, 0.0], false).next, Next::Monotone { .. }));
        // Saturated: Firth adds half an event to each cell.
        let theta = last(&fit(&cells, Mean::Rate, &[0.0, 0.0], true));
        assert!((theta[0] - 0.45_f64.ln()).abs() < 1e-6, "{theta:?}");
        assert!((theta[1] - ((0.5 / 12.0) / 0.45_f64).ln()).abs() < 1e-5);
    }

    /// The sums of a site give the penalty that the cells give.
    #[test]
    fn thirds_penalise_as_leverages_do() {
        let cells = [
            cell(4.0, 10.0, &[1.0, 0.0, 0.3]),
            cell(2.0, 12.0, &[1.0, 0.0, -1.2]),
            cell(0.0, 7.0, &[0.0, 1.0, 2.0]),
            cell(1.0, 3.0, &[0.0, 1.0, 0.0]),
        ];
        let theta = [-0.7, -1.1, 0.4];
        let wanted = evaluate(&cells, Mean::Rate, &theta, true);
        let mut thirds = Thirds::zero(3);
        for cell in &cells {
            let z: Vec<(usize, f64)> = cell.z.iter().copied().enumerate().collect();
            let eta: f64 = cell.z.iter().zip(&theta).map(|(z, b)| z * b).sum();
            thirds.add(cell.time * eta.exp(), &z);
        }
        let mut found = evaluate(&cells, Mean::Rate, &theta, false);
        thirds.penalise(&mut found, &[0, 1, 2]);
        assert!((found.log_likelihood - wanted.log_likelihood).abs() < 1e-12);
        assert!((&found.score - &wanted.score).amax() < 1e-12);
    }
}
