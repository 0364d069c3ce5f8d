//! Random-effects regression of study effects on moderators, with tests by t, by permutation and by cluster-robust variance.
//!
//! Sources: Berkey et al. (1995); Viechtbauer (2005, 2010); Knapp & Hartung (2003); Follmann & Proschan (1999) and Higgins &
//! Thompson (2004) for permutation; Hedges, Tipton & Johnson (2010) and Pustejovsky & Tipton (2018) for CR1 and CR2 with
//! Satterthwaite's degrees of freedom.

use nalgebra::{DMatrix, DVector};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    distribution::{chi_squared_upper, f_upper, normal_two_sided, student_two_sided},
    matrix::invert,
    random_effects::{Tau2Estimator, Test, pool, tau2},
    root::{brent, local_maxima},
    sum::neumaier,
};

/// Effects, variances and moderators.
#[derive(Debug, Clone)]
pub struct Regression {
    /// Effects.
    pub y: DVector<f64>,
    /// Sampling variances.
    pub v: Vec<f64>,
    /// Design, a row per study, the first column 1.
    pub x: DMatrix<f64>,
}

/// A fit at its τ².
#[derive(Debug, Clone)]
pub struct RegressionFit {
    /// Coefficients.
    pub coefficients: DVector<f64>,
    /// Their covariance under the test chosen.
    pub covariance: DMatrix<f64>,
    /// Residual between-study variance.
    pub tau2: f64,
    /// Local maxima of the likelihood, best first (ML and REML).
    pub modes: Vec<f64>,
    /// Residual Q with its degrees of freedom and p-value.
    pub q_residual: (f64, f64, f64),
    /// Test of all moderators together: statistic, degrees of freedom, p-value; F with k − p below for t.
    pub moderators: Option<(f64, f64, f64)>,
    /// I² and H² of the residual heterogeneity.
    pub i2_h2: (f64, f64),
    /// Degrees of freedom of t; infinite for the normal.
    pub df: f64,
}

/// Pieces at one τ².
struct At {
    weights: Vec<f64>,
    /// (X'WX)⁻¹
    inverse: DMatrix<f64>,
    coefficients: DVector<f64>,
    residuals: DVector<f64>,
}

impl Regression {
    fn k(&self) -> usize {
        self.y.len()
    }

    fn p(&self) -> usize {
        self.x.ncols()
    }

    fn at_weights(&self, weights: Vec<f64>) -> At {
        let weighted = DMatrix::from_fn(self.k(), self.p(), |i, j| self.x[(i, j)] * weights[i]);
        let inverse = invert(&(self.x.transpose() * &weighted)).matrix;
        let coefficients = &inverse * (weighted.transpose() * &self.y);
        let residuals = &self.y - &self.x * &coefficients;
        At { weights, inverse, coefficients, residuals }
    }

    fn at(&self, tau2: f64) -> At {
        self.at_weights(self.v.iter().map(|v| 1.0 / (v + tau2)).collect())
    }

    /// y'Py: the weighted sum of squared residuals.
    fn q(&self, tau2: f64) -> f64 {
        let at = self.at(tau2);
        neumaier(at.residuals.iter().zip(&at.weights).map(|(r, w)| w * r * r))
    }

    /// P = W − W X (X'WX)⁻¹ X'W.
    fn projection(&self, at: &At) -> DMatrix<f64> {
        let wx = DMatrix::from_fn(self.k(), self.p(), |i, j| self.x[(i, j)] * at.weights[i]);
        let w = DMatrix::from_diagonal(&DVector::from_row_slice(&at.weights));
        w - &wx * &at.inverse * wx.transpose()
    }

    fn log_likelihood(&self, tau2: f64, restricted: bool) -> f64 {
        let at = self.at(tau2);
        let log_variance = neumaier(self.v.iter().map(|v| (v + tau2).ln()));
        let q = neumaier(at.residuals.iter().zip(&at.weights).map(|(r, w)| w * r * r));
        let penalty = if restricted { -at.inverse.determinant().ln() } else { 0.0 };
        -0.5 * (log_variance + penalty + q)
    }

    fn score(&self, tau2: f64, restricted: bool) -> f64 {
        let at = self.at(tau2);
        let weighted = DVector::from_fn(self.k(), |i, _| at.weights[i] * at.residuals[i]);
        let trace =
            if restricted { self.projection(&at).trace() } else { at.weights.iter().sum::<f64>() };
        0.5 * (weighted.norm_squared() - trace)
    }

    fn ceiling(&self) -> f64 {
        let at = self.at_weights(vec![1.0; self.k()]);
        let spread = at.residuals.norm_squared() / (self.k() as f64 - 1.0).max(1.0);
        100.0 * self.v.iter().copied().fold(spread, f64::max)
    }

    fn invert_q(&self, target: f64) -> f64 {
        if self.q(0.0) <= target {
            return 0.0;
        }
        let mut high = self.ceiling();
        while self.q(high) > target && high < 1e300 {
            high *= 10.0;
        }
        brent(|tau2| self.q(tau2) - target, 0.0, high).unwrap_or(0.0)
    }

    fn by_likelihood(&self, restricted: bool) -> Vec<f64> {
        let low = 1e-8 * self.v.iter().copied().fold(f64::INFINITY, f64::min);
        let points = 150;
        let ratio = (self.ceiling() / low).powf(1.0 / f64::from(points));
        let mut grid = vec![0.0, low];
        for i in 0..points as usize {
            grid.push(grid[i + 1] * ratio);
        }
        let mut modes: Vec<f64> = local_maxima(|t| self.log_likelihood(t, restricted), &grid)
            .into_iter()
            .map(|i| {
                let (left, right) = (grid[i.saturating_sub(1)], grid[(i + 1).min(grid.len() - 1)]);
                if left == 0.0 && self.score(0.0, restricted) <= 0.0 {
                    return 0.0;
                }
                brent(|t| self.score(t, restricted), left, right).unwrap_or(grid[i])
            })
            .collect();
        modes.sort_by(|a, b| {
            self.log_likelihood(*b, restricted).total_cmp(&self.log_likelihood(*a, restricted))
        });
        modes.dedup_by(|a, b| (*a - *b).abs() <= 1e-9 * b.abs());
        modes
    }

    /// Residual τ² by any estimator, with the local maxima of the likelihood where there is one.
    pub fn tau2(&self, estimator: Tau2Estimator) -> (f64, Vec<f64>) {
        let (k, df) = (self.k() as f64, (self.k() - self.p()) as f64);
        let plain = |x: f64| (x.max(0.0), Vec::new());
        match estimator {
            Tau2Estimator::Common => plain(0.0),
            Tau2Estimator::DerSimonianLaird => {
                plain((self.q(0.0) - df) / self.projection(&self.at(0.0)).trace())
            }
            Tau2Estimator::Reml | Tau2Estimator::MaximumLikelihood => {
                let modes = self.by_likelihood(estimator == Tau2Estimator::Reml);
                (modes.first().copied().unwrap_or(0.0), modes)
            }
            Tau2Estimator::PauleMandel => plain(self.invert_q(df)),
            Tau2Estimator::MedianPauleMandel => {
                plain(self.invert_q(super::distribution::chi_squared_quantile(0.5, df)))
            }
            Tau2Estimator::Hedges => {
                let at = self.at_weights(vec![1.0; self.k()]);
                let p = self.projection(&at);
                let trace: f64 = (0..self.k()).map(|i| p[(i, i)] * self.v[i]).sum();
                plain((at.residuals.norm_squared() - trace) / df)
            }
            Tau2Estimator::HunterSchmidt => {
                plain((self.q(0.0) - k) / self.at(0.0).weights.iter().sum::<f64>())
            }
            Tau2Estimator::SidikJonkman => {
                let mean = self.y.mean();
                let first = self.y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / k;
                plain(first * self.q(first) / df)
            }
        }
    }

    /// Fits; `None` unless there are more studies than coefficients and the moderators differ.
    pub fn fit(&self, estimator: Tau2Estimator, test: Test) -> Option<RegressionFit> {
        if self.k() <= self.p() || invert(&(self.x.transpose() * &self.x)).rank < self.p() {
            return None;
        }
        let (tau2, modes) = self.tau2(estimator);
        let at = self.at(tau2);
        let df = (self.k() - self.p()) as f64;
        // Residuals of rounding only say nothing about the error.
        let square = Some(self.q(tau2) / df).filter(|s| *s > 1e-20).unwrap_or(0.0);
        let factor = match test {
            Test::Z | Test::T => 1.0,
            Test::HartungKnapp => square,
            Test::HartungKnappFloor => square.max(1.0),
        };
        let covariance = &at.inverse * factor;
        let by_t = test != Test::Z;
        let m = self.p() - 1;
        let moderators = (m > 0 && factor > 0.0).then(|| {
            let b = at.coefficients.rows(1, m).into_owned();
            let c = covariance.view((1, 1), (m, m)).into_owned();
            let statistic = (b.transpose() * invert(&c).matrix * &b)[(0, 0)];
            if by_t {
                let f = statistic / m as f64;
                (f, m as f64, f_upper(f, m as f64, df))
            } else {
                (statistic, m as f64, chi_squared_upper(statistic, m as f64))
            }
        });
        let q = self.q(0.0);
        let trace = self.projection(&self.at(0.0)).trace();
        let typical = df / trace;
        Some(RegressionFit {
            coefficients: at.coefficients,
            covariance,
            tau2,
            modes,
            q_residual: (q, df, chi_squared_upper(q, df)),
            moderators,
            i2_h2: (tau2 / (tau2 + typical), (tau2 + typical) / typical),
            df: if by_t { df } else { f64::INFINITY },
        })
    }

    /// P-values of the coefficients by permutation. Without moderators the signs of the effects are flipped, exhaustively up to 16
    /// studies; with moderators their rows are shuffled. Random draws use the generator ChaCha8 from `seed`.
    pub fn permutation(
        &self,
        estimator: Tau2Estimator,
        test: Test,
        draws: usize,
        seed: u64,
    ) -> Option<Vec<f64>> {
        let statistics = |r: &Self| {
            let fit = r.fit(estimator, test)?;
            let t =
                |j: usize| fit.coefficients[j].abs() / fit.covariance[(j, j)].max(1e-300).sqrt();
            Some((0..r.p()).map(t).collect::<Vec<f64>>())
        };
        let seen = statistics(self)?;
        let mut as_far = vec![0usize; seen.len()];
        let mut count = |found: Option<Vec<f64>>| {
            for (n, (f, s)) in as_far.iter_mut().zip(found.iter().flatten().zip(&seen)) {
                *n += usize::from(*f >= s * (1.0 - 1e-9));
            }
        };
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let total;
        if self.p() == 1 {
            let k = self.k();
            let exhaustive = k <= 16;
            total = if exhaustive { 1usize << k } else { draws + 1 };
            let mean = |y: &[f64]| {
                let p = pool(y, &self.v, tau2(y, &self.v, estimator).value, test, 0.95);
                Some(vec![p.estimate.abs() / p.std_error.max(1e-150)])
            };
            for i in 0..total {
                let mut flipped: Vec<f64> = self.y.iter().copied().collect();
                for (j, y) in flipped.iter_mut().enumerate() {
                    let minus = if exhaustive {
                        i >> j & 1 == 1
                    } else {
                        i > 0 && rand::RngExt::random::<bool>(&mut generator)
                    };
                    if minus {
                        *y = -*y;
                    }
                }
                count(mean(&flipped));
            }
        } else {
            total = draws + 1;
            count(Some(seen.clone()));
            let mut order: Vec<usize> = (0..self.k()).collect();
            for _ in 0..draws {
                order.shuffle(&mut generator);
                let mut shuffled = self.clone();
                for (i, &from) in order.iter().enumerate() {
                    shuffled.x.set_row(i, &self.x.row(from));
                }
                count(statistics(&shuffled));
            }
        }
        Some(as_far.iter().map(|n| *n as f64 / total as f64).collect())
    }

    /// Cluster-robust variance of the coefficients at a τ² and, for each, its degrees of freedom: CR1 with clusters − p, or CR2 with
    /// Satterthwaite's. `None` with fewer than two clusters more than coefficients.
    pub fn robust(
        &self,
        tau2: f64,
        clusters: &[usize],
        small_sample: bool,
    ) -> Option<(DMatrix<f64>, Vec<f64>)> {
        let m = clusters.iter().max().map_or(0, |c| c + 1);
        if m <= self.p() {
            return None;
        }
        let at = self.at(tau2);
        let p = self.p();
        let mut meat = DMatrix::zeros(p, p);
        // For each cluster the matrix that turns the vector of all residuals into its score.
        let mut scores: Vec<DMatrix<f64>> = Vec::new();
        for c in 0..m {
            let rows: Vec<usize> = (0..self.k()).filter(|&i| clusters[i] == c).collect();
            let n = rows.len();
            let x = DMatrix::from_fn(n, p, |i, j| self.x[(rows[i], j)]);
            let wx = DMatrix::from_fn(n, p, |i, j| x[(i, j)] * at.weights[rows[i]]);
            let adjust = if small_sample {
                // Φ^½ (Φ^½ (Φ − X M X') Φ^½)^-½ Φ^½ with Φ the variances, whose inverse are the weights.
                let root = DMatrix::from_fn(n, n, |i, j| {
                    if i == j { (1.0 / at.weights[rows[i]]).sqrt() } else { 0.0 }
                });
                let phi = &root * &root;
                let inner = &root * (&phi - &x * &at.inverse * x.transpose()) * &root;
                &root * inverse_root(&inner) * &root
            } else {
                DMatrix::identity(n, n) * (m as f64 / (m as f64 - p as f64)).sqrt()
            };
            let own = wx.transpose() * adjust;
            let residuals = DVector::from_fn(n, |i, _| at.residuals[rows[i]]);
            let score = &own * residuals;
            meat += &score * score.transpose();
            let mut all = DMatrix::zeros(p, self.k());
            for (i, &row) in rows.iter().enumerate() {
                all.set_column(row, &own.column(i));
            }
            scores.push(all);
        }
        let covariance = &at.inverse * meat * &at.inverse;
        if !small_sample {
            return Some((covariance, vec![m as f64 - p as f64; p]));
        }
        // Residuals are (I − H) y with variance Φ of y under the working model.
        let h = &self.x
            * &at.inverse
            * DMatrix::from_fn(p, self.k(), |j, i| self.x[(i, j)] * at.weights[i]);
        let residual_maker = DMatrix::identity(self.k(), self.k()) - h;
        let phi =
            DMatrix::from_fn(
                self.k(),
                self.k(),
                |i, j| if i == j { 1.0 / at.weights[i] } else { 0.0 },
            );
        let spread = &residual_maker * phi * residual_maker.transpose();
        let df = (0..p)
            .map(|j| {
                let unit = DVector::from_fn(p, |i, _| f64::from(u8::from(i == j)));
                let g: Vec<DVector<f64>> = scores
                    .iter()
                    .map(|s| (unit.transpose() * &at.inverse * s).transpose())
                    .collect();
                let omega =
                    DMatrix::from_fn(m, m, |a, b| (g[a].transpose() * &spread * &g[b])[(0, 0)]);
                omega.trace().powi(2) / (&omega * &omega).trace()
            })
            .collect();
        Some((covariance, df))
    }
}

/// Symmetric inverse square root over the directions that a matrix has.
fn inverse_root(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = matrix.clone().symmetric_eigen();
    let floor = 1e-12 * eigen.eigenvalues.amax();
    let mut root = DMatrix::zeros(matrix.nrows(), matrix.nrows());
    for (i, value) in eigen.eigenvalues.iter().enumerate().filter(|(_, v)| **v > floor) {
        let vector = eigen.eigenvectors.column(i);
        root += vector * vector.transpose() / value.sqrt();
    }
    root
}

/// Two-sided p-value by t, or by the normal distribution where `df` is infinite.
pub fn two_sided(t: f64, df: f64) -> f64 {
    if df.is_finite() { student_two_sided(t, df) } else { normal_two_sided(t) }
}
