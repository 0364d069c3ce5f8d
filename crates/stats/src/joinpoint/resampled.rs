//! Limits of slopes and average changes by refitting resampled series: they carry the doubt about the places of the joinpoints, which
//! limits given the places do not.
//!
//! Log rates: standardised residuals are drawn from their smoothed distribution and laid on the fit. Counts: drawn from Poisson
//! distributions about the fit. Every series is fitted anew with as many joinpoints. Source: Kim, Fay, Yu, Barrett & Feuer (2017) for the
//! empirical quantile method; Efron & Tibshirani (1993) for the parametric bootstrap.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Fit, Places, Response, Series};
use crate::{distribution::quantile, rate::poisson_quantile};

/// Limits of the log change per year.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// Of each segment.
    pub slopes: Vec<[f64; 2]>,
    /// Of the average over each span of years.
    pub averages: Vec<[f64; 2]>,
}

impl Series {
    /// The series drawn once more about a fit.
    fn drawn(&self, fit: &Fit, residuals: &[f64], random: &mut ChaCha8Rng) -> Self {
        let response = match &self.response {
            Response::LogRate { weights, .. } => {
                let y = fit
                    .fitted
                    .iter()
                    .zip(weights)
                    .map(|(f, w)| f + quantile(residuals, random.random::<f64>()) / w.sqrt());
                Response::LogRate { y: y.collect(), weights: weights.clone() }
            }
            Response::Count { expected, .. } => {
                let events = fit
                    .fitted
                    .iter()
                    .zip(expected)
                    .map(|(f, e)| poisson_quantile(random.random::<f64>(), e * f.exp()));
                Response::Count { events: events.collect(), expected: expected.clone() }
            }
        };
        Self { x: self.x.clone(), response }
    }

    /// Standardised residuals, ascending, stretched for the parameters that were fitted to them; none of counts.
    fn residuals(&self, fit: &Fit) -> Vec<f64> {
        let Response::LogRate { y, weights } = &self.response else { return Vec::new() };
        let stretch = if fit.df > 0.0 { (self.len() as f64 / fit.df).sqrt() } else { 1.0 };
        let one = |i: usize| stretch * weights[i].sqrt() * (y[i] - fit.fitted[i]);
        let mut residuals: Vec<f64> = (0..self.len()).map(one).collect();
        residuals.sort_by(f64::total_cmp);
        residuals
    }

    /// Limits from `draws` refits on the grid, the same for one seed whatever the number of threads. `None` if a refit fails.
    pub fn resampled(
        &self,
        fit: &Fit,
        rule: Places,
        spans: &[[f64; 2]],
        (draws, seed): (usize, u64),
        level: f64,
    ) -> Option<Resampled> {
        let residuals = self.residuals(fit);
        let k = fit.joinpoints.len();
        let refits: Vec<Fit> = (0..draws as u64)
            .into_par_iter()
            .map(|draw| {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                random.set_stream(draw);
                self.drawn(fit, &residuals, &mut random).grid(k, rule)
            })
            .collect::<Option<_>>()?;
        let limits = |of: &dyn Fn(&Fit) -> f64| {
            let mut values: Vec<f64> = refits.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            let tail = 0.5 * (1.0 - level);
            [quantile(&values, tail), quantile(&values, 1.0 - tail)]
        };
        let normal = matches!(self.response, Response::Count { .. });
        Some(Resampled {
            slopes: (0..=k).map(|segment| limits(&|f: &Fit| f.slopes[segment])).collect(),
            averages: spans
                .iter()
                .map(|[from, to]| limits(&|f: &Fit| f.average(*from, *to, normal).slope))
                .collect(),
        })
    }
}
