//! Newton–Raphson with step halving, told by its record: given every β tried so far and what came back, what next?
//!
//! Nothing is remembered between calls, so the record of a run explains its fit.

use nalgebra::{DMatrix, DVector};

use super::{
    likelihood::{Derivatives, packed},
    matrix::{Inverse, ascent_matrix, invert, quadratic_form},
};

/// Newton decrement U'I⁻¹U at which β is at the maximum: its error is then far below 1e-8 standard errors.
const DECREMENT: f64 = 1e-17;
/// Relative change of ℓ below which it no longer moves.
const RELATIVE_CHANGE: f64 = 1e-9;
/// R's `toler.inf`: a step larger than √toler.inf·|β| while ℓ no longer moves means that β runs to infinity.
const INFINITE: f64 = 3.2e-5;

/// One β and the pooled derivatives there.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Where.
    pub beta: Vec<f64>,
    /// ℓ(β).
    pub log_likelihood: f64,
    /// Score.
    pub score: DVector<f64>,
    /// Information.
    pub information: DMatrix<f64>,
}

impl Evaluation {
    /// Unpacks pooled derivatives.
    pub fn new(beta: &[f64], derivatives: &Derivatives) -> Self {
        let p = beta.len();
        Self {
            beta: beta.to_vec(),
            log_likelihood: derivatives.log_likelihood,
            score: DVector::from_row_slice(&derivatives.score),
            information: DMatrix::from_fn(p, p, |i, j| {
                derivatives.information[packed(i.max(j), i.min(j))]
            }),
        }
    }

    fn usable(&self) -> bool {
        self.log_likelihood.is_finite()
            && self.score.iter().chain(self.information.iter()).all(|x| x.is_finite())
    }
}

/// What to do after the evaluations so far.
#[derive(Debug, Clone)]
pub enum Next {
    /// Ask for the derivatives at this β.
    Try(Vec<f64>),
    /// The evaluation at this position is the maximum; its inverse information is the covariance.
    Converged {
        /// Position in the record.
        at: usize,
        /// Inverse of its information.
        inverse: Inverse,
    },
    /// ℓ has stopped moving while these coefficients still run: no finite maximum.
    Monotone {
        /// Position in the record.
        at: usize,
        /// Positions of the coefficients.
        coefficients: Vec<usize>,
        /// Inverse of its information.
        inverse: Inverse,
    },
    /// Given up after `max_evaluations`.
    NotConverged {
        /// Position of the best evaluation.
        at: usize,
    },
}

/// Decides the next step from the record, oldest first (at least one evaluation, the first at the start value).
pub fn newton(record: &[Evaluation], max_evaluations: usize) -> Next {
    let mut best = 0;
    let mut before_best = None;
    let mut halvings = 0;
    for (i, evaluation) in record.iter().enumerate().skip(1) {
        let slack = 1e-12 * record[best].log_likelihood.abs();
        if evaluation.usable() && evaluation.log_likelihood >= record[best].log_likelihood - slack {
            before_best = Some(best);
            best = i;
            halvings = 0;
        } else {
            halvings += 1;
        }
    }
    let here = &record[best];
    if !here.usable() {
        return Next::NotConverged { at: best };
    }
    let inverse = invert(&here.information);
    if here.beta.is_empty() {
        return Next::Converged { at: best, inverse };
    }
    let convex = (0..here.beta.len()).all(|j| here.information[(j, j)] >= 0.0)
        && here.information.clone().symmetric_eigenvalues().min()
            >= -1e-9 * here.information.amax();
    if !convex {
        // Far from the maximum of a likelihood that is not concave everywhere.
        if record.len() >= max_evaluations || halvings > 20 {
            return Next::NotConverged { at: best };
        }
        let step = ascent_matrix(&here.information) * &here.score;
        let share = 0.5_f64.powi(halvings);
        return Next::Try(here.beta.iter().zip(step.iter()).map(|(b, s)| b + share * s).collect());
    }
    let step = &inverse.matrix * &here.score;
    let decrement = quadratic_form(&here.score, &inverse);
    let change = before_best
        .map_or(f64::INFINITY, |b| (here.log_likelihood - record[b].log_likelihood).abs());
    let still = change <= RELATIVE_CHANGE * here.log_likelihood.abs();
    if still {
        let running: Vec<usize> = (0..step.len())
            .filter(|&j| {
                step[j].abs() > 1e-6 && step[j].abs() > INFINITE.sqrt() * here.beta[j].abs()
            })
            .collect();
        if !running.is_empty() {
            return Next::Monotone { at: best, coefficients: running, inverse };
        }
    }
    // The second way out: rounding has the last word and steps no longer gain.
    if decrement <= DECREMENT || (halvings > 0 && decrement <= 1e-10) {
        return Next::Converged { at: best, inverse };
    }
    if record.len() >= max_evaluations || halvings > 20 {
        return Next::NotConverged { at: best };
    }
    let share = 0.5_f64.powi(halvings);
    Next::Try(here.beta.iter().zip(step.iter()).map(|(b, s)| b + share * s).collect())
}
