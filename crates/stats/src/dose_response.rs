//! Dose–response of one study from its published log ratios: their covariance, and the slope or curve.
//!
//! Log ratios of one study share the reference group and so are correlated. Cases are laid out so that they give the adjusted ratios
//! with the study's totals; the correlations are those of such a table, the variances those published.
//!
//! Sources: Greenland & Longnecker (1992); Orsini, Bellocco & Greenland (2006); Crippa & Orsini (2016).

use nalgebra::{DMatrix, DVector};

use super::root::brent;

/// What a study counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// Cases among cases and controls; odds ratios.
    CaseControl,
    /// Cases among persons; risk ratios.
    CumulativeIncidence,
    /// Cases in person-time; rate ratios.
    IncidenceRate,
}

/// One exposed group of a study against its reference group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Dose less that of the reference group.
    pub dose: f64,
    /// Persons or person-time.
    pub total: f64,
    /// Log ratio.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
}

/// Covariance of the log ratios. `None` if no table with these totals gives these ratios.
pub fn covariance(
    design: Design,
    cases: f64,
    reference_total: f64,
    groups: &[Group],
) -> Option<DMatrix<f64>> {
    let ratios: Vec<f64> =
        std::iter::once(0.0).chain(groups.iter().map(|g| g.estimate)).map(f64::exp).collect();
    let totals: Vec<f64> =
        std::iter::once(reference_total).chain(groups.iter().map(|g| g.total)).collect();
    let expected: Vec<f64> = match design {
        Design::CaseControl => {
            let of = |ln_odds: f64| {
                let odds = ln_odds.exp();
                ratios.iter().zip(&totals).map(move |(r, n)| n * odds * r / (1.0 + odds * r))
            };
            let ln_odds = brent(|x| of(x).sum::<f64>() - cases, -40.0, 40.0)?;
            of(ln_odds).collect()
        }
        Design::CumulativeIncidence | Design::IncidenceRate => {
            let weight: f64 = ratios.iter().zip(&totals).map(|(r, n)| r * n).sum();
            ratios.iter().zip(&totals).map(|(r, n)| cases * r * n / weight).collect()
        }
    };
    let variance = |i: usize| match design {
        Design::CaseControl => 1.0 / expected[i] + 1.0 / (totals[i] - expected[i]),
        Design::CumulativeIncidence => 1.0 / expected[i] - 1.0 / totals[i],
        Design::IncidenceRate => 1.0 / expected[i],
    };
    let of_group: Vec<f64> = (0..totals.len()).map(variance).collect();
    if of_group.iter().any(|v| !v.is_finite() || *v <= 0.0) {
        return None;
    }
    let shared = of_group[0];
    let spread = |i: usize| (shared + of_group[i + 1]).sqrt();
    Some(DMatrix::from_fn(groups.len(), groups.len(), |i, j| {
        let correlation = if i == j { 1.0 } else { shared / (spread(i) * spread(j)) };
        correlation * groups[i].std_error * groups[j].std_error
    }))
}

/// Coefficients of a study's log ratios on functions of dose that vanish at the reference, by generalised least squares, with their
/// covariance and the residual Q. `None` if there are fewer groups than functions, or they do not tell them apart.
pub fn gls(
    design: &DMatrix<f64>,
    y: &DVector<f64>,
    covariance: &DMatrix<f64>,
) -> Option<(DVector<f64>, DMatrix<f64>, f64)> {
    let weight = covariance.clone().cholesky()?.inverse();
    let information = design.transpose() * &weight * design;
    let found = super::matrix::invert(&information);
    if found.rank < design.ncols() {
        return None;
    }
    let coefficients = &found.matrix * design.transpose() * &weight * y;
    let residual = y - design * &coefficients;
    let q = (residual.transpose() * weight * &residual)[(0, 0)];
    Some((coefficients, found.matrix, q))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crude ratios give back the table they came from, whose covariance is known: the variance of the reference group.
    #[test]
    fn crude_ratios_have_the_covariance_of_their_table() {
        let cases: [f64; 3] = [40.0, 30.0, 25.0];
        let totals: [f64; 3] = [400.0, 250.0, 150.0];
        for design in [Design::CaseControl, Design::CumulativeIncidence, Design::IncidenceRate] {
            let of = |i: usize| match design {
                Design::CaseControl => (
                    (cases[i] / (totals[i] - cases[i]) / (cases[0] / (totals[0] - cases[0]))).ln(),
                    1.0 / cases[i] + 1.0 / (totals[i] - cases[i]),
                ),
                Design::CumulativeIncidence => (
                    (cases[i] / totals[i] / (cases[0] / totals[0])).ln(),
                    1.0 / cases[i] - 1.0 / totals[i],
                ),
                Design::IncidenceRate => {
                    ((cases[i] / totals[i] / (cases[0] / totals[0])).ln(), 1.0 / cases[i])
                }
            };
            let group = |i: usize| Group {
                dose: i as f64,
                total: totals[i],
                estimate: of(i).0,
                std_error: (of(0).1 + of(i).1).sqrt(),
            };
            let v = covariance(design, 95.0, totals[0], &[group(1), group(2)]).unwrap();
            assert!((v[(0, 1)] - of(0).1).abs() < 1e-12, "{design:?}");
            assert!((v[(0, 0)] - of(0).1 - of(1).1).abs() < 1e-12);
        }
    }

    /// More cases than persons are no table.
    #[test]
    fn impossible_tables_have_no_covariance() {
        let group = Group { dose: 1.0, total: 10.0, estimate: 3.0, std_error: 0.5 };
        assert!(covariance(Design::CumulativeIncidence, 90.0, 100.0, &[group]).is_none());
        assert!(covariance(Design::CaseControl, 200.0, 100.0, &[group]).is_none());
    }
}
