//! Restricted cubic splines: cubic between the knots, linear beyond the outer ones.
//!
//! Two bases of the same functions. *Harrell's* truncated powers serve covariates; the basis of *Royston & Parmar* (2002)
//! serves the log cumulative hazard as a function of log time.

/// Harrell's restricted cubic basis at `x`: x itself and, for ascending knots t₁ … t_k, k − 2 terms scaled by (t_k − t₁)².
/// Source: Harrell (2015), Regression Modeling Strategies, 2.4.5.
pub fn harrell(x: f64, knots: &[f64]) -> Vec<f64> {
    let k = knots.len();
    let mut basis = vec![x];
    if k < 3 {
        return basis;
    }
    let cube = |u: f64| u.max(0.0).powi(3);
    let (first, before, last) = (knots[0], knots[k - 2], knots[k - 1]);
    let scale = (last - first).powi(2);
    basis.extend(knots[..k - 2].iter().map(|t| {
        (cube(x - t) - cube(x - before) * (last - t) / (last - before)
            + cube(x - last) * (before - t) / (last - before))
            / scale
    }));
    basis
}

/// Basis of Royston & Parmar at `x`: 1, x, and one term per inner knot; `knots` are ascending with the boundary knots first and
/// last. Source: Royston & Parmar (2002), Stat Med 21, 2175; `flexsurv::basis`.
pub fn royston_parmar(x: f64, knots: &[f64]) -> Vec<f64> {
    let cube = |u: f64| u.max(0.0).powi(3);
    inner(x, knots, 1.0, x, cube)
}

/// Derivative of [`royston_parmar`] with respect to `x`.
pub fn royston_parmar_slope(x: f64, knots: &[f64]) -> Vec<f64> {
    let square = |u: f64| 3.0 * u.max(0.0).powi(2);
    inner(x, knots, 0.0, 1.0, square)
}

fn inner(x: f64, knots: &[f64], zero: f64, one: f64, term: impl Fn(f64) -> f64) -> Vec<f64> {
    let k = knots.len();
    let mut basis = vec![zero, one];
    if k < 3 {
        return basis;
    }
    let (low, high) = (knots[0], knots[k - 1]);
    basis.extend(knots[1..k - 1].iter().map(|t| {
        let share = (high - t) / (high - low);
        term(x - t) - share * term(x - low) - (1.0 - share) * term(x - high)
    }));
    basis
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second_difference(f: impl Fn(f64) -> f64, x: f64) -> f64 {
        f(x + 1.0) - 2.0 * f(x) + f(x - 1.0)
    }

    #[test]
    fn both_bases_are_linear_beyond_the_outer_knots() {
        let knots = [1.0, 3.0, 4.0, 9.0];
        for j in 1..3 {
            for x in [-7.0, 14.0] {
                let curve = second_difference(|x| harrell(x, &knots)[j], x);
                assert!(curve.abs() < 1e-9, "{curve}");
                let curve = second_difference(|x| royston_parmar(x, &knots)[j + 1], x);
                assert!(curve.abs() < 1e-9, "{curve}");
            }
        }
    }

    #[test]
    fn slopes_are_the_derivatives() {
        let knots = [-1.6, 0.5, 1.2, 1.9];
        for x in [-2.0, -0.3, 0.7, 1.5, 2.5] {
            let h = 1e-5;
            let (up, down) = (royston_parmar(x + h, &knots), royston_parmar(x - h, &knots));
            for (j, slope) in royston_parmar_slope(x, &knots).into_iter().enumerate() {
                assert!((slope - (up[j] - down[j]) / (2.0 * h)).abs() < 1e-6);
            }
        }
    }
}
