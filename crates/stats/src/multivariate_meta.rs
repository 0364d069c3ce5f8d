//! Random-effects pooling of several outcomes of each study, with correlated errors.
//!
//! y ~ N(X β, S + Ψ), Ψ the between-study covariance of the outcomes, unstructured or compound symmetric; studies without an
//! outcome take part with the others. Sources: van Houwelingen, Arends & Stijnen (2002); Berkey et al. (1998); Jackson, Riley &
//! White (2011).

use nalgebra::{DMatrix, DVector};

use super::{climb::climb, matrix::invert};

/// Effects of one study.
#[derive(Debug, Clone)]
pub struct StudyOutcomes {
    /// Position of each outcome that the study has.
    pub outcomes: Vec<usize>,
    /// Effects.
    pub y: DVector<f64>,
    /// Their sampling covariance.
    pub s: DMatrix<f64>,
    /// Design: a row per effect.
    pub x: DMatrix<f64>,
}

/// Form of the between-study covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structure {
    /// Ψ = 0: common effects.
    Common,
    /// Unstructured.
    Unstructured,
    /// One variance and one correlation.
    CompoundSymmetric,
    /// A variance per outcome, no correlation.
    Diagonal,
}

/// A fit.
#[derive(Debug, Clone)]
pub struct MultivariateFit {
    /// Coefficients.
    pub coefficients: DVector<f64>,
    /// Their covariance.
    pub covariance: DMatrix<f64>,
    /// Ψ.
    pub psi: DMatrix<f64>,
    /// Log-likelihood, restricted or not.
    pub log_likelihood: f64,
    /// Residual Q at Ψ = 0 and its degrees of freedom.
    pub q: (f64, f64),
}

fn psi_of(structure: Structure, theta: &[f64], outcomes: usize) -> DMatrix<f64> {
    match structure {
        Structure::Common => DMatrix::zeros(outcomes, outcomes),
        Structure::Diagonal => {
            DMatrix::from_fn(
                outcomes,
                outcomes,
                |i, j| if i == j { (2.0 * theta[i]).exp() } else { 0.0 },
            )
        }
        Structure::CompoundSymmetric => {
            let variance = (2.0 * theta[0]).exp();
            // Correlations from −1/(q − 1) to 1.
            let low = -1.0 / (outcomes as f64 - 1.0);
            let rho = low + (1.0 - low) / (1.0 + (-theta[1]).exp());
            DMatrix::from_fn(
                outcomes,
                outcomes,
                |i, j| if i == j { variance } else { rho * variance },
            )
        }
        Structure::Unstructured => {
            // Cholesky factor with logarithms on the diagonal.
            let mut lower = DMatrix::zeros(outcomes, outcomes);
            let mut at = 0;
            for i in 0..outcomes {
                for j in 0..=i {
                    lower[(i, j)] = if i == j { theta[at].exp() } else { theta[at] };
                    at += 1;
                }
            }
            &lower * lower.transpose()
        }
    }
}

struct Pieces {
    coefficients: DVector<f64>,
    inverse: DMatrix<f64>,
    log_likelihood: f64,
    q: f64,
}

fn pieces(studies: &[StudyOutcomes], psi: &DMatrix<f64>, restricted: bool) -> Option<Pieces> {
    let p = studies.first()?.x.ncols();
    let (mut xx, mut xy) = (DMatrix::zeros(p, p), DVector::zeros(p));
    let (mut log_det, mut n) = (0.0, 0.0);
    let mut inverses = Vec::new();
    for study in studies {
        let v = &study.s
            + DMatrix::from_fn(study.outcomes.len(), study.outcomes.len(), |i, j| {
                psi[(study.outcomes[i], study.outcomes[j])]
            });
        let cholesky = v.cholesky()?;
        log_det += 2.0 * cholesky.l().diagonal().iter().map(|d| d.ln()).sum::<f64>();
        let inverse = cholesky.inverse();
        xx += study.x.transpose() * &inverse * &study.x;
        xy += study.x.transpose() * &inverse * &study.y;
        n += study.y.len() as f64;
        inverses.push(inverse);
    }
    let inverse = invert(&xx);
    if inverse.rank < p {
        return None;
    }
    let coefficients = &inverse.matrix * xy;
    let q: f64 = studies
        .iter()
        .zip(&inverses)
        .map(|(study, v)| {
            let r = &study.y - &study.x * &coefficients;
            (r.transpose() * v * &r)[(0, 0)]
        })
        .sum();
    let ln_2pi = (2.0 * std::f64::consts::PI).ln();
    let mut log_likelihood = -0.5 * (n * ln_2pi + log_det + q);
    if restricted {
        // As metafor: the determinant of X'X of all effects is added.
        let plain: DMatrix<f64> = studies.iter().map(|s| s.x.transpose() * &s.x).sum();
        log_likelihood +=
            0.5 * (p as f64 * ln_2pi + plain.determinant().ln() - xx.determinant().ln());
    }
    Some(Pieces { coefficients, inverse: inverse.matrix, log_likelihood, q })
}

/// Fits by maximum likelihood, restricted or not; several starts. `None` if the effects do not tell the coefficients apart.
pub fn fit(
    studies: &[StudyOutcomes],
    outcomes: usize,
    structure: Structure,
    restricted: bool,
) -> Option<MultivariateFit> {
    let none = pieces(studies, &DMatrix::zeros(outcomes, outcomes), restricted)?;
    let n: usize = studies.iter().map(|s| s.y.len()).sum();
    let q = (none.q, n as f64 - none.coefficients.len() as f64);
    let typical = studies
        .iter()
        .flat_map(|s| s.s.diagonal().iter().copied().collect::<Vec<_>>())
        .sum::<f64>()
        / n as f64;
    let value = |theta: &[f64]| {
        pieces(studies, &psi_of(structure, theta, outcomes), restricted)
            .map_or(f64::NEG_INFINITY, |p| p.log_likelihood)
    };
    let starts: Vec<Vec<f64>> = [0.3, 1.0, 3.0]
        .iter()
        .map(|factor| {
            let ln_sd = 0.5 * (factor * typical).ln();
            match structure {
                Structure::Common => Vec::new(),
                Structure::Diagonal => vec![ln_sd; outcomes],
                Structure::CompoundSymmetric => vec![ln_sd, 0.5],
                Structure::Unstructured => (0..outcomes)
                    .flat_map(|i| (0..=i).map(move |j| if i == j { ln_sd } else { 0.0 }))
                    .collect(),
            }
        })
        .collect();
    let theta = if structure == Structure::Common {
        Vec::new()
    } else {
        let found = starts.iter().map(|start| {
            let first = climb(&value, start, 0.5, 1e-10);
            climb(&value, &first, 0.05, 1e-10)
        });
        found.max_by(|a, b| value(a).total_cmp(&value(b)))?
    };
    let psi = psi_of(structure, &theta, outcomes);
    let best = pieces(studies, &psi, restricted)?;
    Some(MultivariateFit {
        coefficients: best.coefficients,
        covariance: best.inverse,
        psi,
        log_likelihood: best.log_likelihood,
        q,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berkey et al. (1998): five trials of periodontal treatment, two outcomes; `metafor::rma.mv` with a relative tolerance of 1e-16
    /// (with its default it stops at 0.353438).
    #[test]
    fn two_outcomes_have_their_published_fit() {
        let rows = [
            [0.47, -0.32, 0.0075, 0.0030, 0.0077],
            [0.20, -0.60, 0.0057, 0.0009, 0.0008],
            [0.40, -0.12, 0.0021, 0.0007, 0.0014],
            [0.26, -0.31, 0.0029, 0.0009, 0.0015],
            [0.56, -0.39, 0.0148, 0.0072, 0.0304],
        ];
        let studies: Vec<StudyOutcomes> = rows
            .iter()
            .map(|[a, b, va, c, vb]| StudyOutcomes {
                outcomes: vec![0, 1],
                y: DVector::from_vec(vec![*a, *b]),
                s: DMatrix::from_row_slice(2, 2, &[*va, *c, *c, *vb]),
                x: DMatrix::identity(2, 2),
            })
            .collect();
        let close = |found: f64, wanted: f64, tolerance: f64| {
            assert!((found - wanted).abs() <= tolerance, "found {found}, expected {wanted}");
        };
        let common = fit(&studies, 2, Structure::Common, true).unwrap();
        close(common.coefficients[0], 0.3072186, 1e-7);
        close(common.coefficients[1], -0.394377, 1e-6);
        close(common.covariance[(0, 0)].sqrt(), 0.0285752, 1e-7);
        let reml = fit(&studies, 2, Structure::Unstructured, true).unwrap();
        close(reml.coefficients[0], 0.3534282101, 1e-6);
        close(reml.coefficients[1], -0.3392153387, 1e-6);
        close(reml.covariance[(0, 0)].sqrt(), 0.0588485154, 1e-6);
        close(reml.covariance[(1, 1)].sqrt(), 0.0879051633, 1e-6);
        close(reml.psi[(0, 0)], 0.0117329588, 1e-6);
        close(reml.psi[(0, 1)], 0.0119158557, 1e-6);
        close(reml.psi[(1, 1)], 0.0326513526, 1e-6);
        let ml = fit(&studies, 2, Structure::Unstructured, false).unwrap();
        close(ml.coefficients[0], 0.3448426, 1e-5);
        close(ml.coefficients[1], -0.3379367, 1e-5);
        close(ml.log_likelihood, 5.840657, 1e-5);
    }
}
