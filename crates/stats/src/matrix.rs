//! Small symmetric systems: inverse, rank and quadratic form of an information or covariance matrix.
//!
//! A matrix is scaled to unit diagonal before it is decomposed, so that a covariate in days beside one in decades costs no
//! digits; the condition number that is reported is the one after scaling.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Eigenvalues below this share of the largest one count as zero.
const RANK_TOLERANCE: f64 = 1e-9;

/// Inverse of a symmetric positive semi-definite matrix over the directions that carry information.
#[derive(Debug, Clone)]
pub struct Inverse {
    /// Inverse, or the pseudo-inverse where the rank is short.
    pub matrix: DMatrix<f64>,
    /// Number of directions with information.
    pub rank: usize,
    /// Largest over smallest eigenvalue, after scaling to unit diagonal; infinite where the rank is short.
    pub condition: f64,
}

/// Inverts `matrix`; rows whose diagonal is not positive count as absent directions.
pub fn invert(matrix: &DMatrix<f64>) -> Inverse {
    invert_within(matrix, RANK_TOLERANCE)
}

/// The same where a direction counts as absent below another share of the largest eigenvalue.
pub fn invert_within(matrix: &DMatrix<f64>, tolerance: f64) -> Inverse {
    let p = matrix.nrows();
    let scale = DVector::from_fn(p, |i, _| {
        let diagonal = matrix[(i, i)];
        if diagonal > 0.0 && diagonal.is_finite() { 1.0 / diagonal.sqrt() } else { 0.0 }
    });
    let scaled = DMatrix::from_fn(p, p, |i, j| {
        0.5 * (matrix[(i, j)] + matrix[(j, i)]) * scale[i] * scale[j]
    });
    if p == 0 || scaled.iter().any(|x| !x.is_finite()) {
        return Inverse { matrix: DMatrix::zeros(p, p), rank: 0, condition: f64::INFINITY };
    }
    if let Some(cholesky) = scaled.clone().cholesky() {
        let eigenvalues = scaled.symmetric_eigenvalues();
        let (smallest, largest) = (eigenvalues.min(), eigenvalues.max());
        if smallest > tolerance * largest {
            let inverse = cholesky.inverse();
            let matrix = DMatrix::from_fn(p, p, |i, j| inverse[(i, j)] * scale[i] * scale[j]);
            return Inverse { matrix, rank: p, condition: largest / smallest };
        }
    }
    let SymmetricEigen { eigenvectors, eigenvalues } = scaled.symmetric_eigen();
    let floor = tolerance * eigenvalues.max().max(0.0);
    let mut inverse = DMatrix::zeros(p, p);
    let mut rank = 0;
    for k in 0..p {
        if eigenvalues[k] > floor && eigenvalues[k] > 0.0 {
            rank += 1;
            let v = eigenvectors.column(k);
            inverse += v * v.transpose() / eigenvalues[k];
        }
    }
    let matrix = DMatrix::from_fn(p, p, |i, j| inverse[(i, j)] * scale[i] * scale[j]);
    Inverse { matrix, rank, condition: f64::INFINITY }
}

/// Directions without information, by the measure of [`invert`].
pub fn lost_directions(matrix: &DMatrix<f64>) -> Vec<DVector<f64>> {
    let p = matrix.nrows();
    let scale =
        DVector::from_fn(
            p,
            |i, _| {
                if matrix[(i, i)] > 0.0 { 1.0 / matrix[(i, i)].sqrt() } else { 1.0 }
            },
        );
    let scaled = DMatrix::from_fn(p, p, |i, j| {
        0.5 * (matrix[(i, j)] + matrix[(j, i)]) * scale[i] * scale[j]
    });
    if p == 0 || scaled.iter().any(|x| !x.is_finite()) {
        return Vec::new();
    }
    let SymmetricEigen { eigenvectors, eigenvalues } = scaled.symmetric_eigen();
    let floor = RANK_TOLERANCE * eigenvalues.max().max(0.0);
    let lost = (0..p).filter(|&k| eigenvalues[k] <= floor);
    lost.map(|k| eigenvectors.column(k).component_mul(&scale)).collect()
}

/// Matrix of an ascent step from an information matrix that need not be positive definite, as far from a maximum: directions
/// of the wrong curvature are walked uphill with the size of their curvature.
pub fn ascent_matrix(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let p = matrix.nrows();
    let scale = DVector::from_fn(p, |i, _| {
        let diagonal = matrix[(i, i)].abs();
        if diagonal > 0.0 && diagonal.is_finite() { 1.0 / diagonal.sqrt() } else { 1.0 }
    });
    let scaled = DMatrix::from_fn(p, p, |i, j| {
        0.5 * (matrix[(i, j)] + matrix[(j, i)]) * scale[i] * scale[j]
    });
    let SymmetricEigen { eigenvectors, eigenvalues } = scaled.symmetric_eigen();
    let floor = 1e-6 * eigenvalues.amax();
    let mut step = DMatrix::zeros(p, p);
    for k in 0..p {
        let v = eigenvectors.column(k);
        step += v * v.transpose() / eigenvalues[k].abs().max(floor).max(f64::MIN_POSITIVE);
    }
    DMatrix::from_fn(p, p, |i, j| step[(i, j)] * scale[i] * scale[j])
}

/// Smallest share of the information `before` that `after` still has in some direction; none where `before` has not its full rank.
pub fn least_share(after: &DMatrix<f64>, before: &DMatrix<f64>) -> Option<f64> {
    let p = before.nrows();
    if p == 0 || (0..p).any(|i| before[(i, i)] <= 0.0) {
        return None;
    }
    let scale = DVector::from_fn(p, |i, _| 1.0 / before[(i, i)].sqrt());
    let scaled = |m: &DMatrix<f64>| DMatrix::from_fn(p, p, |i, j| m[(i, j)] * scale[i] * scale[j]);
    let before = scaled(before);
    let eigenvalues = before.symmetric_eigenvalues();
    if eigenvalues.min() <= RANK_TOLERANCE * eigenvalues.max() {
        return None;
    }
    let root = before.cholesky()?.l();
    let half = root.solve_lower_triangular(&scaled(after))?;
    let share = root.solve_lower_triangular(&half.transpose())?;
    Some((0.5 * (&share + share.transpose())).symmetric_eigenvalues().min())
}

/// Columns that add information to those before them, as R's `coxph` keeps them: the rest is collinear or constant.
pub fn independent_columns(matrix: &DMatrix<f64>) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for j in 0..matrix.nrows() {
        let diagonal = matrix[(j, j)];
        if diagonal.is_nan() || diagonal <= 0.0 {
            continue;
        }
        // What is left of the diagonal after the kept columns: 1 − R² of column j on them.
        let left = if kept.is_empty() {
            1.0
        } else {
            let block = DMatrix::from_fn(kept.len(), kept.len(), |a, b| matrix[(kept[a], kept[b])]);
            let cross = DVector::from_fn(kept.len(), |a, _| matrix[(kept[a], j)]);
            1.0 - quadratic_form(&cross, &invert(&block)) / diagonal
        };
        if left > RANK_TOLERANCE {
            kept.push(j);
        }
    }
    kept
}

/// `u' V⁻ u`, the χ² of a score vector with its covariance; the degrees of freedom are the rank of `v`.
pub fn quadratic_form(u: &DVector<f64>, v: &Inverse) -> f64 {
    (u.transpose() * &v.matrix * u)[(0, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_do_not_cost_digits() {
        let m = DMatrix::from_row_slice(2, 2, &[4e12, 1.0, 1.0, 1e-12]);
        let inverse = invert(&m);
        assert_eq!(inverse.rank, 2);
        let identity = &m * &inverse.matrix;
        assert!((identity[(0, 0)] - 1.0).abs() < 1e-12 && (identity[(1, 1)] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_dependent_row_lowers_the_rank() {
        let m = DMatrix::from_row_slice(3, 3, &[2.0, -1.0, -1.0, -1.0, 2.0, -1.0, -1.0, -1.0, 2.0]);
        assert_eq!(invert(&m).rank, 2);
        let u = DVector::from_vec(vec![1.0, 0.0, -1.0]);
        assert!((quadratic_form(&u, &invert(&m)) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(invert(&DMatrix::zeros(2, 2)).rank, 0);
        assert_eq!(independent_columns(&m), [0, 1]);
        let constant = DMatrix::from_row_slice(2, 2, &[0.0, 0.0, 0.0, 3.0]);
        assert_eq!(independent_columns(&constant), [1]);
    }
}
