//! Exact elimination: which values follow from the shown ones by adding and subtracting alone.

use std::collections::BTreeMap;

/// The space of combinations that the shown values determine, as integer rows in echelon form.
#[derive(Debug, Default)]
pub(crate) struct Span {
    /// By leading column.
    rows: BTreeMap<usize, BTreeMap<usize, i128>>,
    /// A number grew beyond 127 bits; from then on everything counts as determined.
    overflowed: bool,
}

impl Span {
    /// Adds a combination whose value is shown.
    pub(crate) fn add(&mut self, of: &[(usize, i64)]) {
        match self.rest(of) {
            None => self.overflowed = true,
            Some(rest) => {
                if let Some((&lead, _)) = rest.first_key_value() {
                    self.rows.insert(lead, rest);
                }
            }
        }
    }

    /// Whether the value of the combination follows from those added. On overflow the answer is yes, which hides more.
    pub(crate) fn determines(&self, of: &[(usize, i64)]) -> bool {
        self.overflowed || self.rest(of).is_none_or(|rest| rest.is_empty())
    }

    /// What is left of the combination after elimination, divided by its content; `None` on overflow.
    fn rest(&self, of: &[(usize, i64)]) -> Option<BTreeMap<usize, i128>> {
        let mut rest: BTreeMap<usize, i128> = of.iter().map(|&(c, a)| (c, i128::from(a))).collect();
        let mut from = 0;
        while let Some((&lead, &a)) = rest.range(from..).next() {
            from = lead + 1;
            let Some(row) = self.rows.get(&lead) else { continue };
            let b = row[&lead];
            let common = gcd(a, b);
            let (times, less) = (b / common, a / common);
            for value in rest.values_mut() {
                *value = value.checked_mul(times)?;
            }
            for (&c, &v) in row {
                let value = rest.entry(c).or_default();
                *value = value.checked_sub(v.checked_mul(less)?)?;
            }
            rest.retain(|_, v| *v != 0);
            let content = rest.values().fold(0, |g, v| gcd(g, *v));
            rest.values_mut().for_each(|v| *v /= content);
        }
        Some(rest)
    }
}

/// Greatest common divisor, 0 of two zeros.
fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_and_all_parts_but_one_determine_that_one() {
        let mut span = Span::default();
        span.add(&[(0, 1), (1, 1), (2, 1)]);
        span.add(&[(0, 1)]);
        assert!(!span.determines(&[(1, 1)]));
        span.add(&[(2, 1)]);
        assert!(span.determines(&[(1, 1)]));
        assert!(span.determines(&[(1, 2), (2, -3)]));
    }

    #[test]
    fn three_pairwise_sums_determine_three_cells_though_by_halves() {
        let mut span = Span::default();
        span.add(&[(0, 1), (1, 1)]);
        span.add(&[(1, 1), (2, 1)]);
        assert!(!span.determines(&[(0, 1)]));
        span.add(&[(0, 1), (2, 1)]);
        for cell in 0..3 {
            assert!(span.determines(&[(cell, 1)]));
        }
    }

    #[test]
    fn numbers_that_grow_too_large_count_as_determined() {
        let mut span = Span::default();
        for i in 0..40 {
            span.add(&[(i, i64::MAX - i as i64), (i + 1, i64::MAX - 7 * i as i64 - 2), (50, 1)]);
        }
        span.add(&(0..50).map(|i| (i, 2 * i as i64 + 1)).collect::<Vec<_>>());
        assert!(span.determines(&[(60, 1)]));
    }
}
