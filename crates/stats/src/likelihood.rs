//! Log-likelihood, score and information of models whose contributions depend on a few linear predictors.
//!
//! A row contributes ℓ(η₁ … η_N), η_k = z_k'θ. By the chain rule its score is Σ ∂ℓ/∂η_k z_k and its information
//! −Σ ∂²ℓ/∂η_k∂η_l z_k z_l'; rows add, and so do sites.

use super::jet::Jet;

/// Position of (j, k), k ≤ j, in a packed lower triangle.
pub const fn packed(j: usize, k: usize) -> usize {
    j * (j + 1) / 2 + k
}

/// Log-likelihood and its derivatives at one θ.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivatives {
    /// ℓ(θ).
    pub log_likelihood: f64,
    /// ∂ℓ/∂θ.
    pub score: Vec<f64>,
    /// −∂²ℓ/∂θ∂θ', lower triangle packed by rows.
    pub information: Vec<f64>,
}

/// One linear predictor of a row: parameters from `first` on, times `z`.
#[derive(Debug, Clone, Copy)]
pub struct Predictor<'a> {
    /// Position of the first parameter.
    pub first: usize,
    /// Their multipliers.
    pub z: &'a [f64],
}

impl Predictor<'_> {
    /// z'θ.
    pub fn at(&self, theta: &[f64]) -> f64 {
        self.z.iter().zip(&theta[self.first..]).map(|(z, t)| z * t).sum()
    }
}

/// Largest number in magnitude that is sent: sums over the sites of a study stay below what the seal can hold.
pub const LARGEST: f64 = 1e16;

/// What is sent instead of ℓ = −∞, so that the hub halves its step: no finite sum of log-likelihoods is as low.
pub const IMPOSSIBLE: f64 = -1e15;

impl Derivatives {
    /// All zero, for `p` parameters.
    pub fn zero(p: usize) -> Self {
        let information = vec![0.0; p * (p + 1) / 2];
        Self { log_likelihood: 0.0, score: vec![0.0; p], information }
    }

    /// Those of a θ at which the likelihood cannot be told: the hub halves its step.
    pub fn impossible(p: usize) -> Self {
        Self { log_likelihood: IMPOSSIBLE, ..Self::zero(p) }
    }

    /// The same, or those of an impossible θ where a number is too large to be summed: a step that went too far is taken back, instead
    /// of ending the fit.
    #[must_use]
    pub fn or_impossible(self) -> Self {
        let mut others = self.score.iter().chain(&self.information);
        if self.log_likelihood >= IMPOSSIBLE
            && self.log_likelihood.is_finite()
            && others.all(|x| x.abs() <= LARGEST)
        {
            return self;
        }
        Self::impossible(self.score.len())
    }

    /// Adds a contribution with its predictors, `weight` times.
    pub fn add<const N: usize>(
        &mut self,
        jet: &Jet<N>,
        weight: f64,
        predictors: [Predictor<'_>; N],
    ) {
        let finite = jet.value.is_finite()
            && jet.gradient.iter().all(|g| g.is_finite())
            && jet.hessian.iter().flatten().all(|h| h.is_finite());
        if !finite {
            self.log_likelihood += IMPOSSIBLE;
            return;
        }
        self.log_likelihood += weight * jet.value;
        for (k, a) in predictors.iter().enumerate() {
            for (i, za) in a.z.iter().enumerate() {
                self.score[a.first + i] += weight * jet.gradient[k] * za;
            }
            for (l, b) in predictors.iter().enumerate() {
                let h = weight * jet.hessian[k][l];
                if h == 0.0 {
                    continue;
                }
                for (i, za) in a.z.iter().enumerate() {
                    let row = a.first + i;
                    for (j, zb) in b.z.iter().enumerate() {
                        let column = b.first + j;
                        if column <= row {
                            self.information[packed(row, column)] -= h * za * zb;
                        }
                    }
                }
            }
        }
    }

    /// Adds the derivatives of other rows.
    pub fn join(&mut self, other: &Self) {
        self.log_likelihood += other.log_likelihood;
        let pairs = [(&mut self.score, &other.score), (&mut self.information, &other.information)];
        for (ours, theirs) in pairs {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }
}

/// Sums `contribution` over `n` rows, in parallel pieces that are added in order.
pub fn sum_rows(
    n: usize,
    p: usize,
    contribution: impl Fn(usize, &mut Derivatives) + Sync,
) -> Derivatives {
    sum_pieces(n, || Derivatives::zero(p), contribution, Derivatives::join)
}

/// The same for sums of any kind, which begin at `zero` and are added by `join`.
pub fn sum_pieces<T: Send>(
    n: usize,
    zero: impl Fn() -> T + Sync,
    contribution: impl Fn(usize, &mut T) + Sync,
    join: impl Fn(&mut T, &T),
) -> T {
    use rayon::prelude::*;
    const PIECE: usize = 2048;
    let pieces: Vec<T> = (0..n.div_ceil(PIECE))
        .into_par_iter()
        .map(|piece| {
            let mut sum = zero();
            (piece * PIECE..((piece + 1) * PIECE).min(n)).for_each(|i| contribution(i, &mut sum));
            sum
        })
        .collect();
    let mut total = zero();
    pieces.iter().for_each(|piece| join(&mut total, piece));
    total
}
