//! Sums of squares of many sets of joinpoints at once: normal equations looked up in a table of products.

use nalgebra::DMatrix;

use super::Series;
use crate::sum::neumaier;

/// Weighted products of the columns 1, x and all hinges, so that the normal equations of any set of places are looked up.
pub(super) struct Products {
    /// Columns, about the middle of the years: 1, x, then a hinge at each observation.
    columns: DMatrix<f64>,
    weights: Vec<f64>,
    gram: DMatrix<f64>,
}

impl Products {
    pub(super) fn new(series: &Series, weights: &[f64]) -> Self {
        let x = &series.x;
        let n = x.len();
        let (middle, half) = (f64::midpoint(x[0], x[n - 1]), 0.5 * (x[n - 1] - x[0]));
        let columns = DMatrix::from_fn(n, n + 2, |i, j| match j {
            0 => 1.0,
            1 => (x[i] - middle) / half,
            _ => ((x[i] - x[j - 2]) / half).max(0.0),
        });
        let weighted = DMatrix::from_fn(n, n + 2, |i, j| columns[(i, j)] * weights[i]);
        let gram = columns.transpose() * weighted;
        Self { columns, weights: weights.to_vec(), gram }
    }

    /// Products of all columns with each response, one row per column.
    pub(super) fn right(&self, y: &DMatrix<f64>) -> Vec<Vec<f64>> {
        let weighted = DMatrix::from_fn(y.nrows(), y.ncols(), |i, j| y[(i, j)] * self.weights[i]);
        let products = self.columns.transpose() * weighted;
        products.row_iter().map(|row| row.iter().copied().collect()).collect()
    }

    pub(super) fn total(&self, y: &[f64]) -> f64 {
        neumaier(y.iter().zip(&self.weights).map(|(y, w)| w * y * y))
    }

    /// Raises `largest` to the sum of squares that the columns at these places explain of each response.
    pub(super) fn explained(&self, at: &[usize], right: &[Vec<f64>], largest: &mut [f64]) {
        let p = 2 + at.len();
        let column = |j: usize| if j < 2 { j } else { at[j - 2] + 2 };
        let mut lower = [[0.0_f64; MOST_COLUMNS]; MOST_COLUMNS];
        for i in 0..p {
            for j in 0..=i {
                let mut sum = self.gram[(column(i), column(j))];
                for k in 0..j {
                    sum -= lower[i][k] * lower[j][k];
                }
                if i == j {
                    if sum <= 0.0 {
                        return;
                    }
                    lower[i][i] = sum.sqrt();
                } else {
                    lower[i][j] = sum / lower[j][j];
                }
            }
        }
        // L z = X'Wy, block by block: Σ z² is what is explained.
        let mut z = [[0.0_f64; BLOCK]; MOST_COLUMNS];
        for (block, best) in largest.chunks_mut(BLOCK).enumerate() {
            let width = best.len();
            let mut sum = [0.0_f64; BLOCK];
            for i in 0..p {
                let (before, rest) = z.split_at_mut(i);
                let own = &mut rest[0][..width];
                own.copy_from_slice(&right[column(i)][block * BLOCK..block * BLOCK + width]);
                for (k, earlier) in before.iter().enumerate() {
                    let factor = lower[i][k];
                    own.iter_mut().zip(&earlier[..width]).for_each(|(a, b)| *a -= factor * b);
                }
                let scale = 1.0 / lower[i][i];
                for (a, s) in own.iter_mut().zip(&mut sum[..width]) {
                    *a *= scale;
                    *s += *a * *a;
                }
            }
            best.iter_mut().zip(&sum[..width]).for_each(|(b, s)| *b = b.max(*s));
        }
    }
}

/// Responses that are solved side by side.
const BLOCK: usize = 64;
/// Columns of the largest design: a line and nine hinges.
const MOST_COLUMNS: usize = 11;
