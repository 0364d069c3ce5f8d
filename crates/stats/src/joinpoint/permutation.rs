//! The number of joinpoints by permutation tests: Kim, Fay, Feuer & Midthune (2000).

use nalgebra::DMatrix;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{MOST_SETS_TOGETHER, Places, Response, Series, envelope::Chain, products::Products};

/// One comparison of a permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Joinpoints of the null hypothesis.
    pub few: usize,
    /// Joinpoints of the alternative.
    pub many: usize,
    /// P-value.
    pub p_value: f64,
    /// Level at which it is read.
    pub alpha: f64,
}

/// The number of joinpoints by a sequence of permutation tests, each at α / (most − few), so that too many are chosen with
/// probability α at most.
pub fn by_permutation(
    series: &Series,
    most: usize,
    rule: Places,
    alpha: f64,
    draws: usize,
    seed: u64,
) -> Option<(usize, Vec<Comparison>)> {
    let (mut few, mut many) = (0, most);
    let mut record = Vec::new();
    while few < many {
        let level = alpha / (most - few) as f64;
        let p_value = series.permutation_p_value([few, many], rule, draws, seed)?;
        record.push(Comparison { few, many, p_value, alpha: level });
        if p_value <= level {
            few += 1;
        } else {
            many -= 1;
        }
    }
    Some((few, record))
}

impl Series {
    /// Smallest sum of squares of each column of `y` over all places of `k` joinpoints.
    fn smallest_losses(
        &self,
        k: usize,
        rule: Places,
        y: &DMatrix<f64>,
        weights: &[f64],
    ) -> Vec<f64> {
        if rule.sets(self.len(), k) > MOST_SETS_TOGETHER {
            let columns: Vec<Vec<f64>> =
                y.column_iter().map(|c| c.iter().copied().collect()).collect();
            let smallest = |y: &Vec<f64>| Chain::new(self, y, weights).smallest(k, rule);
            return columns.par_iter().map(smallest).collect();
        }
        let products = Products::new(self, weights);
        let right = products.right(y);
        let none = || vec![0.0_f64; y.ncols()];
        // Sets go by their first place, so that none of them is kept.
        let firsts: Vec<Vec<usize>> = if k == 0 { vec![Vec::new()] } else { self.places(1, rule) };
        let largest = firsts
            .par_iter()
            .fold(none, |mut best, first| {
                self.each_place(k, rule, &mut first.clone(), &mut |at| {
                    products.explained(at, &right, &mut best);
                });
                best
            })
            .reduce(none, |a, b| a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect());
        let columns = y.column_iter().map(|c| products.total(c.as_slice()));
        columns.zip(largest).map(|(t, l)| (t - l).max(0.0)).collect()
    }

    /// P-value of `few` against `many` joinpoints: residuals about the fit of the few are permuted `draws` times (generator
    /// ChaCha8 from `seed`). Least squares only.
    pub fn permutation_p_value(
        &self,
        [few, many]: [usize; 2],
        rule: Places,
        draws: usize,
        seed: u64,
    ) -> Option<f64> {
        let Response::LogRate { y, weights } = &self.response else { return None };
        let null = self.grid(few, rule)?;
        let alternative = self.grid(many, rule)?;
        let n = self.len();
        let residuals: Vec<f64> =
            (0..n).map(|i| (y[i] - null.fitted[i]) * weights[i].sqrt()).collect();
        // Weighted residuals have one variance: they are permuted, and weighted back.
        let mut generator = ChaCha8Rng::seed_from_u64(seed ^ ((few as u64) << 32 | many as u64));
        let mut permuted = DMatrix::zeros(n, draws);
        let root: Vec<f64> = weights.iter().map(|w| w.sqrt()).collect();
        let mut order: Vec<usize> = (0..n).collect();
        for c in 0..draws {
            order.shuffle(&mut generator);
            for i in 0..n {
                permuted[(i, c)] = null.fitted[i] + residuals[order[i]] / root[i];
            }
        }
        let small = self.smallest_losses(few, rule, &permuted, weights);
        let large = self.smallest_losses(many, rule, &permuted, weights);
        let seen = null.loss / alternative.loss.max(f64::MIN_POSITIVE);
        let as_far = (0..draws).filter(|&c| small[c] >= seen * (1.0 - 1e-12) * large[c]).count();
        Some((as_far as f64 + 1.0) / (draws as f64 + 1.0))
    }
}
