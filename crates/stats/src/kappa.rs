//! Agreement of two ratings of the same patients: Cohen's kappa and its large-sample variance.
//!
//! Sources: Cohen (1960); Fleiss, Cohen & Everitt (1969) for both variances.

/// Agreement in a square table of counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Observed proportion of agreement.
    pub observed: f64,
    /// Proportion expected by chance from the margins.
    pub expected: f64,
    /// (observed − expected) / (1 − expected).
    pub kappa: f64,
    /// Standard error of kappa, for its interval.
    pub std_error: f64,
    /// Standard error under kappa = 0, for its test.
    pub null_std_error: f64,
}

/// Cohen's kappa of `counts[i * k + j]`: first rating *i*, second rating *j*. `None` if the table is empty or one category
/// holds everybody in both ratings (chance alone would agree).
pub fn kappa(counts: &[f64], k: usize) -> Option<Agreement> {
    let n: f64 = counts.iter().sum();
    if n <= 0.0 {
        return None;
    }
    let p = |i: usize, j: usize| counts[i * k + j] / n;
    let row: Vec<f64> = (0..k).map(|i| (0..k).map(|j| p(i, j)).sum()).collect();
    let column: Vec<f64> = (0..k).map(|j| (0..k).map(|i| p(i, j)).sum()).collect();
    let observed: f64 = (0..k).map(|i| p(i, i)).sum();
    let expected: f64 = (0..k).map(|i| row[i] * column[i]).sum();
    if 1.0 - expected <= f64::EPSILON {
        return None;
    }
    let kappa = (observed - expected) / (1.0 - expected);

    let mut diagonal = 0.0;
    let mut off = 0.0;
    let mut null = 0.0;
    for i in 0..k {
        diagonal += p(i, i) * (1.0 - (row[i] + column[i]) * (1.0 - kappa)).powi(2);
        null += row[i] * column[i] * (row[i] + column[i]);
        for j in 0..k {
            if i != j {
                off += p(i, j) * (column[i] + row[j]).powi(2);
            }
        }
    }
    let off = off * (1.0 - kappa).powi(2);
    let centre = (kappa - expected * (1.0 - kappa)).powi(2);
    let scale = n * (1.0 - expected).powi(2);
    Some(Agreement {
        observed,
        expected,
        kappa,
        std_error: ((diagonal + off - centre) / scale).max(0.0).sqrt(),
        null_std_error: ((expected + expected * expected - null) / scale).max(0.0).sqrt(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_agreement_is_one_without_error() {
        let a = kappa(&[7.0, 0.0, 0.0, 5.0], 2).unwrap();
        assert!((a.kappa - 1.0).abs() < 1e-15 && a.std_error < 1e-8);
    }

    #[test]
    fn one_category_for_everybody_has_no_kappa() {
        assert!(kappa(&[12.0, 0.0, 0.0, 0.0], 2).is_none());
        assert!(kappa(&[0.0; 4], 2).is_none());
    }
}
