//! Nodes and weights of Gaussian quadrature, from the eigenvalues of the Jacobi matrix (Golub & Welsch 1969).

use nalgebra::DMatrix;

fn golub_welsch(n: usize, off_diagonal: impl Fn(f64) -> f64, total: f64) -> Vec<(f64, f64)> {
    let mut jacobi = DMatrix::zeros(n, n);
    for i in 1..n {
        let b = off_diagonal(i as f64);
        jacobi[(i, i - 1)] = b;
        jacobi[(i - 1, i)] = b;
    }
    let eigen = jacobi.symmetric_eigen();
    let mut nodes: Vec<(f64, f64)> = (0..n)
        .map(|k| (eigen.eigenvalues[k], total * eigen.eigenvectors[(0, k)].powi(2)))
        .collect();
    nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
    nodes
}

/// Nodes and weights for ∫ f(z) φ(z) dz, φ the standard normal density.
pub fn normal_nodes(n: usize) -> Vec<(f64, f64)> {
    golub_welsch(n, f64::sqrt, 1.0)
}

/// Nodes and weights for ∫₋₁¹ f(x) dx.
pub fn legendre_nodes(n: usize) -> Vec<(f64, f64)> {
    golub_welsch(n, |i| i / (4.0 * i * i - 1.0).sqrt(), 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        let moment =
            |nodes: &[(f64, f64)], p: i32| nodes.iter().map(|(x, w)| w * x.powi(p)).sum::<f64>();
        let normal = normal_nodes(20);
        let legendre = legendre_nodes(20);
        for (p, wanted) in [(0, 1.0), (2, 1.0), (4, 3.0), (6, 15.0), (7, 0.0)] {
            assert!((moment(&normal, p) - wanted).abs() < 1e-11, "{p}");
        }
        for (p, wanted) in [(0, 2.0), (2, 2.0 / 3.0), (10, 2.0 / 11.0), (5, 0.0)] {
            assert!((moment(&legendre, p) - wanted).abs() < 1e-12, "{p}");
        }
    }
}
