//! Compensated summation, so that a pooled sum depends on its terms and not on their number.

/// Sum after Neumaier (1974): error of one rounding, however many terms.
pub fn neumaier(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = 0.0_f64;
    let mut lost = 0.0_f64;
    for term in terms {
        let next = sum + term;
        lost += if sum.abs() >= term.abs() { (sum - next) + term } else { (term - next) + sum };
        sum = next;
    }
    sum + lost
}

/// ln Σ exp(xᵢ), without overflow; −∞ of nothing.
pub fn log_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + neumaier(values.map(|v| (v - largest).exp())).ln()
}

#[cfg(test)]
mod tests {
    use super::neumaier;

    #[test]
    #[expect(clippy::float_cmp, reason = "the whole point is the exact result")]
    fn small_terms_survive_beside_large_ones() {
        assert_eq!(neumaier([1e100, 1.0, -1e100, 1.0]), 2.0);
    }
}
