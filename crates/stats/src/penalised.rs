//! Penalised likelihood from evaluations that are asked for as they are needed: Firth's bias reduction and ridge, with profile
//! likelihood limits.
//!
//! The evaluations come from elsewhere, a round at a time. An algorithm is run from its start each time over all evaluations
//! known so far; where one is missing it says so and stops, so the record of the rounds explains the fit and nothing is
//! remembered between them.
//!
//! Sources: Firth (1993); Heinze & Schemper (2001) for the Cox model; Venzon & Moolgavkar (1988) for the limits.

use std::cell::RefCell;

use nalgebra::DMatrix;

use super::{
    matrix::{invert, quadratic_form},
    newton::{Evaluation, Next, newton},
};

/// Penalty on the log-likelihood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Penalty {
    /// + ½ ln |I|.
    Firth,
    /// − ½ λ |β|².
    Ridge(f64),
}

/// Known evaluations, and those that were missing.
#[derive(Debug)]
pub struct Evaluations<'a> {
    known: &'a [Evaluation],
    /// Half the distance of the points between which the information is differenced, by coefficient.
    half_step: Vec<f64>,
    penalty: Penalty,
    missing: RefCell<Vec<Vec<f64>>>,
}

/// A penalised evaluation: its information is that of the variance, its curvature that of the penalised likelihood.
struct Penalised {
    evaluation: Evaluation,
    curvature: DMatrix<f64>,
}

/// ½ ln |I|; none where the information is not of full rank.
fn half_log_determinant(information: &DMatrix<f64>) -> Option<f64> {
    let cholesky = information.clone().cholesky()?;
    let sum = cholesky.l().diagonal().iter().map(|x| x.ln()).sum::<f64>();
    sum.is_finite().then_some(sum)
}

/// How a penalised fit stands.
#[derive(Debug)]
pub enum Progress {
    /// These evaluations are wanted next.
    Ask(Vec<Vec<f64>>),
    /// The maximum, its record, and the limits of each coefficient where they exist.
    Done {
        /// Penalised evaluations on the way to the maximum.
        record: Vec<Evaluation>,
        /// How the maximisation ended.
        next: Next,
        /// Lower and upper limit by coefficient.
        limits: Vec<[Option<f64>; 2]>,
        /// Penalised likelihood-ratio χ² of each coefficient being 0.
        ratios: Vec<Option<f64>>,
    },
}

/// How the search of a limit stands.
enum Limit {
    /// Found.
    At(f64),
    /// The profile never falls so far.
    Nowhere,
    /// An evaluation is missing.
    Waiting,
}

/// Half the distance between two differenced points, in standard deviations of the linear predictor: a level of few patients, with a
/// small standard deviation, still has its differences to seven digits.
const HALF_STEP: f64 = 1e-5;
/// Most iterations of one search.
const MOST: usize = 60;
/// Largest change of a coefficient in one step of a search for a limit, in units of its half-step scale.
const LARGEST_STEP: f64 = 4.0;

impl<'a> Evaluations<'a> {
    /// `scale` is the size of each covariate, such as its standard deviation.
    pub fn new(known: &'a [Evaluation], scale: &[f64], penalty: Penalty) -> Self {
        let half_step = scale.iter().map(|s| HALF_STEP / s.max(1e-300)).collect();
        Self { known, half_step, penalty, missing: RefCell::new(Vec::new()) }
    }

    fn plain(&self, beta: &[f64]) -> Option<&'a Evaluation> {
        let found = self.known.iter().find(|e| e.beta == beta);
        if found.is_none() {
            let mut missing = self.missing.borrow_mut();
            if !missing.iter().any(|m| m == beta) {
                missing.push(beta.to_vec());
            }
        }
        found
    }

    /// The penalised evaluation at `beta`, or nothing while parts of it are missing.
    fn at(&self, beta: &[f64]) -> Option<Penalised> {
        let here = self.plain(beta);
        let p = beta.len();
        match self.penalty {
            Penalty::Ridge(lambda) => {
                let mut result = here?.clone();
                result.log_likelihood -= 0.5 * lambda * beta.iter().map(|b| b * b).sum::<f64>();
                for j in 0..p {
                    result.score[j] -= lambda * beta[j];
                    result.information[(j, j)] += lambda;
                }
                Some(Penalised { curvature: result.information.clone(), evaluation: result })
            }
            Penalty::Firth => {
                let pairs: Vec<Option<(&Evaluation, &Evaluation)>> = (0..p)
                    .map(|j| {
                        let moved = |h: f64| {
                            let mut moved = beta.to_vec();
                            moved[j] += h;
                            moved
                        };
                        let (up, down) = (moved(self.half_step[j]), moved(-self.half_step[j]));
                        let (up, down) = (self.plain(&up), self.plain(&down));
                        up.zip(down)
                    })
                    .collect();
                let mut result = here?.clone();
                let pairs: Vec<_> = pairs.into_iter().collect::<Option<_>>()?;
                let inverse = invert(&result.information);
                let Some(half_log) = half_log_determinant(&result.information) else {
                    // Nothing is left of the information: a step that went too far.
                    result.log_likelihood = f64::NEG_INFINITY;
                    let curvature = result.information.clone();
                    return Some(Penalised { evaluation: result, curvature });
                };
                result.log_likelihood += half_log;
                let slopes: Vec<DMatrix<f64>> = pairs
                    .iter()
                    .zip(&self.half_step)
                    .map(|((up, down), h)| {
                        &inverse.matrix * (&up.information - &down.information) / (2.0 * h)
                    })
                    .collect();
                // −∂²/∂β_j∂β_k of ½ ln |I| without the mixed second differences of I, which only two coefficients at once would show.
                let mut curvature = result.information.clone();
                for (j, slope) in slopes.iter().enumerate() {
                    result.score[j] += 0.5 * slope.trace();
                    for (k, other) in slopes.iter().enumerate() {
                        curvature[(j, k)] += 0.5 * (slope * other).trace();
                    }
                    let (up, down) = pairs[j];
                    let bend = (&up.information + &down.information - 2.0 * &result.information)
                        / (self.half_step[j] * self.half_step[j]);
                    curvature[(j, j)] -= 0.5 * (&inverse.matrix * bend).trace();
                }
                if curvature.clone().cholesky().is_none() {
                    curvature.copy_from(&result.information);
                }
                Some(Penalised { evaluation: result, curvature })
            }
        }
    }

    /// Maximises with the coefficients in `fixed` held at 0.
    fn maximise(&self, p: usize, fixed: Option<usize>) -> Option<(Vec<Evaluation>, Next)> {
        let free: Vec<usize> = (0..p).filter(|j| Some(*j) != fixed).collect();
        let mut beta = vec![0.0; p];
        // The steps follow the curvature of the penalised likelihood; what is told of them is its information.
        let (mut record, mut told) = (Vec::new(), Vec::new());
        loop {
            let whole = self.at(&beta)?;
            let reduced = Evaluation { information: whole.curvature, ..whole.evaluation.clone() };
            record.push(reduced.of(&free));
            told.push(whole.evaluation.of(&free));
            match newton(&record, MOST) {
                Next::Try(next) => free.iter().zip(next).for_each(|(&j, b)| beta[j] = b),
                next => return Some((told, next)),
            }
        }
    }

    /// Where the profile of coefficient `j` has fallen to `target`, on one side.
    fn limit(&self, start: &[f64], j: usize, side: f64, target: f64) -> Limit {
        let Some(mut found) = self.at(start) else { return Limit::Waiting };
        for _ in 0..MOST {
            let here = &found.evaluation;
            let inverse = invert(&found.curvature);
            let gain = here.log_likelihood - target + 0.5 * quadratic_form(&here.score, &inverse);
            let spread = inverse.matrix[(j, j)];
            if spread <= 0.0 {
                return Limit::Nowhere;
            }
            let lambda = side * (2.0 * gain.max(0.0) / spread).sqrt();
            let mut pushed = here.score.clone();
            pushed[j] += lambda;
            let mut step = &inverse.matrix * pushed;
            let largest = (0..step.len())
                .map(|k| step[k].abs() * HALF_STEP / self.half_step[k])
                .fold(0.0, f64::max);
            if largest > LARGEST_STEP {
                step *= LARGEST_STEP / largest;
            }
            let beta: Vec<f64> = here.beta.iter().zip(step.iter()).map(|(b, s)| b + s).collect();
            if beta[j].abs() * HALF_STEP / self.half_step[j] > 60.0 {
                return Limit::Nowhere;
            }
            let Some(next) = self.at(&beta) else { return Limit::Waiting };
            let fall = next.evaluation.log_likelihood - target;
            let close = fall.abs() < 1e-7 && largest < 1e-6;
            found = next;
            if close {
                return Limit::At(beta[j]);
            }
        }
        Limit::Nowhere
    }

    /// Maximum and limits; `quantile` is the χ² point of the limits.
    pub fn fit(self, p: usize, quantile: f64) -> Progress {
        let asked = |this: Self| Progress::Ask(this.missing.into_inner());
        let Some((record, next)) = self.maximise(p, None) else { return asked(self) };
        let Next::Converged { at, .. } = next else {
            let none = vec![[None; 2]; p];
            return Progress::Done { record, next, limits: none, ratios: vec![None; p] };
        };
        let best = record[at].clone();
        let target = best.log_likelihood - 0.5 * quantile;
        // All searches go on side by side, so that one round serves them all.
        let mut limits = vec![[None; 2]; p];
        let mut ratios = vec![None; p];
        let mut waiting = false;
        for j in 0..p {
            for (k, side) in [-1.0, 1.0].into_iter().enumerate() {
                match self.limit(&best.beta, j, side, target) {
                    Limit::At(found) => limits[j][k] = Some(found),
                    Limit::Nowhere => {}
                    Limit::Waiting => waiting = true,
                }
            }
            match self.maximise(p, Some(j)) {
                Some((record, Next::Converged { at, .. })) => {
                    ratios[j] = Some(2.0 * (best.log_likelihood - record[at].log_likelihood));
                }
                Some(_) => {}
                None => waiting = true,
            }
        }
        if waiting {
            return asked(self);
        }
        Progress::Done { record, next, limits, ratios }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cox::{RiskData, Rows, Ties};

    /// Eight patients, all three deaths in one arm. Published: Firth 2.318718, hazard ratio 0.9575 to 1376.9, p 0.0550.
    #[test]
    fn all_deaths_in_one_arm_have_a_finite_estimate() {
        let exit: Vec<i32> = (1..=8).collect();
        let event: Vec<bool> = (1..=8).map(|i| i <= 3).collect();
        let x = vec![(1..=8).map(|i| if i <= 4 { 1.0 } else { 0.0 }).collect()];
        let rows = Rows { entry: None, exit: &exit, event: &event, stratum: None, covariates: &x };
        let data = RiskData::new(rows, None);
        let mut known: Vec<Evaluation> = Vec::new();
        for _ in 0..100 {
            let evaluations = Evaluations::new(&known, &[0.5], Penalty::Firth);
            match evaluations.fit(1, 3.841458820694124) {
                Progress::Ask(points) => {
                    let new = points
                        .iter()
                        .map(|b| Evaluation::new(b, &data.derivatives(b, Ties::Efron)))
                        .collect::<Vec<_>>();
                    known.extend(new);
                }
                Progress::Done { record, next: Next::Converged { at, .. }, limits, ratios } => {
                    assert!((record[at].beta[0] - 2.318718).abs() < 1e-5, "{:?}", record[at].beta);
                    let [low, high] = limits[0].map(|l| l.unwrap().exp());
                    assert!(
                        (low - 0.9575).abs() < 1e-3 && (high - 1376.9).abs() < 1.0,
                        "{low} {high}"
                    );
                    let p = crate::distribution::chi_squared_upper(ratios[0].unwrap(), 1.0);
                    assert!((p - 0.0550).abs() < 1e-4, "{p}");
                    return;
                }
                Progress::Done { next, .. } => panic!("{next:?}"),
            }
        }
        panic!("no end");
    }
}
