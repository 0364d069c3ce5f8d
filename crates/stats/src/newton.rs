//! Newton–Raphson with shortened steps, told by its record: given every β tried so far and what came back, what next?
//!
//! A step is too long where the likelihood falls, and also where it rises but the information is all but gone: far out on a
//! flat likelihood the score is as small as at a maximum, and only the information that was lost on the way tells them apart.
//! Nothing is remembered between calls, so the record of a run explains its fit.

use nalgebra::{DMatrix, DVector};

use super::{
    likelihood::{Derivatives, IMPOSSIBLE, packed},
    matrix::{
        Inverse, ascent_matrix, invert, invert_within, least_share, lost_directions, quadratic_form,
    },
};

/// Newton decrement U'I⁻¹U at which β is at the maximum: its error is then far below 1e-8 standard errors.
const DECREMENT: f64 = 1e-17;
/// Relative change of ℓ below which it no longer moves.
const RELATIVE_CHANGE: f64 = 1e-9;
/// R's `toler.inf`: a step larger than √toler.inf·|β| while ℓ no longer moves means that β runs to infinity.
const INFINITE: f64 = 3.2e-5;
/// A step that leaves less than this share of the information in some direction was too long.
const LEAST_LEFT: f64 = 1e-3;
/// Share of the information that a shortened step aims at.
const AIMED_LEFT: f64 = 0.05;
/// A maximum with less than this share of the information at the start, in some direction, is none.
const COLLAPSED: f64 = 1e-10;
/// Share of the largest eigenvalue of the information above which a direction is not lost to rounding.
const ALL_BUT_LOST: f64 = 1e-13;
/// A direction that counts as absent is lost if it has less than this share of the information that it had on the way.
const LOST: f64 = 1e-6;
/// Most steps in a row that are shortened.
const MOST_SHORTENED: usize = 20;

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

    /// The same over some of the coefficients, the others left where they are.
    #[must_use]
    pub fn of(&self, chosen: &[usize]) -> Self {
        let n = chosen.len();
        Self {
            beta: chosen.iter().map(|&j| self.beta[j]).collect(),
            log_likelihood: self.log_likelihood,
            score: DVector::from_fn(n, |i, _| self.score[chosen[i]]),
            information: DMatrix::from_fn(n, n, |i, k| self.information[(chosen[i], chosen[k])]),
        }
    }

    fn usable(&self) -> bool {
        self.log_likelihood > 0.5 * IMPOSSIBLE
            && self.log_likelihood.is_finite()
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
        /// The step that would come next: the direction in which they run.
        step: DVector<f64>,
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
    let mut shortened = 0;
    let mut share = 1.0;
    for (i, evaluation) in record.iter().enumerate().skip(1) {
        match judge(&record[best], evaluation) {
            Step::Taken => {
                before_best = Some(best);
                best = i;
                shortened = 0;
                share = 1.0;
            }
            Step::TooLong { shorter } => {
                shortened += 1;
                share *= shorter;
            }
        }
    }
    let here = &record[best];
    if !here.usable() {
        return Next::NotConverged { at: best };
    }
    let inverse = inverse_on_the_way(&record[0], here);
    if here.beta.is_empty() {
        return Next::Converged { at: best, inverse };
    }
    let further = |step: DVector<f64>| {
        if record.len() >= max_evaluations || shortened > MOST_SHORTENED {
            return Next::NotConverged { at: best };
        }
        Next::Try(here.beta.iter().zip(step.iter()).map(|(b, s)| b + share * s).collect())
    };
    if !is_convex(&here.information) {
        // Far from the maximum of a likelihood that is not concave everywhere.
        return further(ascent_matrix(&here.information) * &here.score);
    }
    let step = &inverse.matrix * &here.score;
    let decrement = quadratic_form(&here.score, &inverse);
    let change = before_best
        .map_or(f64::INFINITY, |b| (here.log_likelihood - record[b].log_likelihood).abs());
    // Against the start as well: a likelihood that runs to 0 never stops moving relative to itself.
    let size = here.log_likelihood.abs().max(record[0].log_likelihood.abs());
    if change <= RELATIVE_CHANGE * size {
        let running = running(&step, &here.beta);
        if !running.is_empty() {
            return Next::Monotone { at: best, coefficients: running, step, inverse };
        }
    }
    // The second way out: rounding has the last word and steps no longer gain.
    if decrement <= DECREMENT || (shortened > 0 && decrement <= 1e-10) {
        let gone = collapsed(&record[0], here);
        if !gone.is_empty() {
            return Next::Monotone { at: best, coefficients: gone, step, inverse };
        }
        let inverse = invert(&here.information);
        return match lost(record, here) {
            Some(step) => {
                let coefficients = running(&step, &here.beta);
                Next::Monotone { at: best, coefficients, step, inverse }
            }
            None => Next::Converged { at: best, inverse },
        };
    }
    further(step)
}

/// Inverse of the information. Where it had its full rank at the start, a direction that is all but lost since then is one in which
/// coefficients run together, such as the intercept and the levels beside a reference without events: it still counts.
fn inverse_on_the_way(start: &Evaluation, here: &Evaluation) -> Inverse {
    let (p, inverse) = (here.beta.len(), invert(&here.information));
    if inverse.rank == p || invert(&start.information).rank < p {
        return inverse;
    }
    let whole = invert_within(&here.information, ALL_BUT_LOST);
    if whole.rank == p { whole } else { inverse }
}

/// Coefficients that still run while the likelihood stands still.
pub fn running(step: &DVector<f64>, beta: &[f64]) -> Vec<usize> {
    (0..step.len())
        .filter(|&j| step[j].abs() > 1e-6 && step[j].abs() > INFINITE.sqrt() * beta[j].abs())
        .collect()
}

/// Whether a step is taken, or by how much it is to be shortened.
enum Step {
    Taken,
    TooLong { shorter: f64 },
}

fn judge(from: &Evaluation, to: &Evaluation) -> Step {
    if !to.usable() {
        return Step::TooLong { shorter: 0.25 };
    }
    let slack = 1e-12 * from.log_likelihood.abs();
    if to.log_likelihood.is_nan() || to.log_likelihood < from.log_likelihood - slack {
        return Step::TooLong { shorter: 0.5 };
    }
    let left = least_share(&to.information, &from.information).map_or(1.0, f64::abs);
    if !from.usable() || left >= LEAST_LEFT {
        return Step::Taken;
    }
    // The information falls about exponentially with the length of the step.
    Step::TooLong { shorter: (AIMED_LEFT.ln() / left.max(1e-15).ln()).min(0.5) }
}

fn is_convex(information: &DMatrix<f64>) -> bool {
    (0..information.nrows()).all(|j| information[(j, j)] >= 0.0)
        && information.clone().symmetric_eigenvalues().min() >= -1e-9 * information.amax()
}

/// Coefficients whose information is gone: their variance, given the others, is out of all proportion to that at the start.
fn collapsed(start: &Evaluation, here: &Evaluation) -> Vec<usize> {
    if !is_convex(&start.information) {
        return Vec::new();
    }
    let gone = |j: &usize| {
        here.information[(*j, *j)] <= COLLAPSED * start.information[(*j, *j)]
            && start.information[(*j, *j)] > 0.0
    };
    (0..here.beta.len()).filter(gone).collect()
}

/// How far coefficients came along directions that have no information here but had it on the way: that is how they run. None where
/// there is no such direction; one that never had information is flat.
fn lost(record: &[Evaluation], here: &Evaluation) -> Option<DVector<f64>> {
    let along = |v: &DVector<f64>, at: &Evaluation| (v.transpose() * &at.information * v)[(0, 0)];
    let way = DVector::from_fn(here.beta.len(), |j, _| here.beta[j] - record[0].beta[j]);
    let mut step = DVector::zeros(here.beta.len());
    for v in lost_directions(&here.information) {
        let most = record.iter().filter(|e| e.usable());
        let most = most.max_by(|a, b| along(&v, a).total_cmp(&along(&v, b)))?;
        let had = along(&v, most);
        if had > 0.0 && along(&v, here) <= LOST * had {
            let share = (v.transpose() * &most.information * &way)[(0, 0)] / had;
            step += v * share;
        }
    }
    (!running(&step, &here.beta).is_empty()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of 181 patients dies first, the other 180 of another level: U = 1 − p, I = p (1 − p), p = e^β / (180 + e^β). The first step is
    /// 181 long, and out there score and information are 0.
    #[test]
    fn a_step_beyond_all_information_is_no_maximum() {
        let evaluate = |beta: &[f64]| {
            let odds = (beta[0] - 180_f64.ln()).exp();
            let (p, rest) = if odds.is_finite() {
                (odds / (1.0 + odds), 1.0 / (1.0 + odds))
            } else {
                (1.0, 0.0)
            };
            let derivatives = Derivatives {
                log_likelihood: p.ln(),
                score: vec![rest],
                information: vec![p * rest],
            };
            Evaluation::new(beta, &derivatives)
        };
        let mut record = vec![evaluate(&[0.0])];
        let next = loop {
            match newton(&record, 40) {
                Next::Try(beta) => record.push(evaluate(&beta)),
                next => break next,
            }
        };
        assert!(matches!(next, Next::Monotone { .. }), "{next:?}");
        assert!(record.len() < 30, "{}", record.len());
    }
}
