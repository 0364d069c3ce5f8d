//! Log-rank family: observed minus expected events by group, with the hypergeometric covariance.
//!
//! Both add over strata, so a country that is its own stratum sends G numbers and a G×G matrix and no event time. Weights use
//! the numbers and the curve of the stratum.
//!
//! Sources: Mantel (1966); Gehan (1965); Tarone & Ware (1977); Peto & Peto (1972); Fleming & Harrington (1991).

use nalgebra::{DMatrix, DVector};

use super::{
    event_table::{EventTable, at_risk},
    matrix::{invert, quadratic_form},
};

/// Sums of one stratum, or of several added up.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Persons by group.
    pub persons: Vec<f64>,
    /// Weighted observed events by group.
    pub observed: Vec<f64>,
    /// Weighted expected events by group.
    pub expected: Vec<f64>,
    /// Covariance of observed − expected, `g * groups + h`.
    pub covariance: Vec<f64>,
}

/// Weight of an event time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// S(t−)^ρ (1 − S(t−))^γ; ρ = γ = 0 is the log-rank test, ρ = 1 the test that R's `survdiff` calls Peto & Peto's.
    FlemingHarrington {
        /// ρ.
        rho: f64,
        /// γ.
        gamma: f64,
    },
    /// Number at risk.
    Gehan,
    /// Its square root.
    TaroneWare,
    /// Π (1 − d / (n + 1)) up to and with this time.
    PetoPeto,
}

impl Weight {
    fn at(self, before: f64, peto: f64, n: f64) -> f64 {
        match self {
            Self::FlemingHarrington { rho, gamma } => {
                // 0⁰ = 1: the log-rank test has weight 1 also before the first event.
                let power = |x: f64, p: f64| if p == 0.0 { 1.0 } else { x.powf(p) };
                power(before, rho) * power(1.0 - before, gamma)
            }
            Self::Gehan => n,
            Self::TaroneWare => n.sqrt(),
            Self::PetoPeto => peto,
        }
    }
}

/// Compares the groups of one stratum's event table.
pub fn compare(table: &EventTable, weight: Weight) -> Comparison {
    let (groups, cells) = (table.groups, table.cells);
    let slice = |counts: &[f64], g: usize| counts[g * cells..(g + 1) * cells].to_vec();
    let risk: Vec<Vec<f64>> = (0..groups)
        .map(|g| {
            at_risk(
                table.initial[g],
                &slice(&table.entries, g),
                &slice(&table.events, g),
                &slice(&table.censored, g),
            )
        })
        .collect();
    let persons = (0..groups)
        .map(|g| table.initial[g] + slice(&table.entries, g).iter().sum::<f64>())
        .collect();
    let mut result = Comparison {
        persons,
        observed: vec![0.0; groups],
        expected: vec![0.0; groups],
        covariance: vec![0.0; groups * groups],
    };
    let (mut survival_before, mut peto) = (1.0_f64, 1.0_f64);
    for j in 0..cells {
        let d: f64 = (0..groups).map(|g| table.events[g * cells + j]).sum();
        let n: f64 = (0..groups).map(|g| risk[g][j]).sum();
        if d <= 0.0 || n <= 0.0 {
            continue;
        }
        peto *= 1.0 - d / (n + 1.0);
        let w = weight.at(survival_before, peto, n);
        let hypergeometric = if n > 1.0 { d * (n - d) / (n - 1.0) } else { 0.0 };
        for g in 0..groups {
            let share = risk[g][j] / n;
            result.observed[g] += w * table.events[g * cells + j];
            result.expected[g] += w * d * share;
            for h in 0..groups {
                let delta = if g == h { 1.0 } else { 0.0 };
                result.covariance[g * groups + h] +=
                    w * w * hypergeometric * share * (delta - risk[h][j] / n);
            }
        }
        survival_before *= 1.0 - d / n;
    }
    result
}

/// Test for a trend over the groups with these scores: (c'U)² / (c'Vc) with one degree of freedom.
pub fn trend(comparison: &Comparison, scores: &[f64]) -> Test {
    let groups = scores.len();
    let u: f64 =
        (0..groups).map(|g| scores[g] * (comparison.observed[g] - comparison.expected[g])).sum();
    let v: f64 = (0..groups)
        .flat_map(|g| (0..groups).map(move |h| (g, h)))
        .map(|(g, h)| scores[g] * scores[h] * comparison.covariance[g * groups + h])
        .sum();
    if v > 0.0 { Test { statistic: u * u / v, df: 1 } } else { Test { statistic: 0.0, df: 0 } }
}

/// χ² of the summed comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// (O − E)' V⁻ (O − E).
    pub statistic: f64,
    /// Rank of V: groups that were ever at risk beside another, less one.
    pub df: usize,
}

/// Tests equality of the groups; `df` is 0 where nothing was compared.
pub fn test(comparison: &Comparison) -> Test {
    let groups = comparison.observed.len();
    let u = DVector::from_fn(groups, |g, _| comparison.observed[g] - comparison.expected[g]);
    let v = invert(&DMatrix::from_fn(groups, groups, |g, h| comparison.covariance[g * groups + h]));
    Test { statistic: quadratic_form(&u, &v).max(0.0), df: v.rank }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_table::{Rows, TimeGrid, event_table};

    fn toy(exit: &[i32], event: &[bool], group: &[u32]) -> Comparison {
        compare(
            &event_table(Rows { entry: None, exit, event, group }, 2, &TimeGrid::daily(1000)),
            Weight::FlemingHarrington { rho: 0.0, gamma: 0.0 },
        )
    }

    const A: (&[i32], &[bool], &[u32]) =
        (&[30, 61, 61, 200, 400], &[true, true, false, false, true], &[0, 1, 0, 1, 0]);
    const B: (&[i32], &[bool], &[u32]) =
        (&[61, 90, 365, 730], &[true, false, true, false], &[1, 0, 0, 1]);
    const C: (&[i32], &[bool], &[u32]) = (&[15, 500, 900], &[false, false, false], &[1, 0, 1]);

    /// Three countries by hand: pooled χ² 0.106313247 with V 1.182378329, E₀ 2.645454545; by country 0.0101010101.
    #[test]
    fn pooled_and_country_stratified_tests_have_their_closed_forms() {
        let all =
            toy(&[A.0, B.0, C.0].concat(), &[A.1, B.1, C.1].concat(), &[A.2, B.2, C.2].concat());
        assert!((all.covariance[0] - 1.182378329).abs() < 1e-9);
        assert!((all.expected[0] - 2.645454545).abs() < 1e-9);
        assert!((test(&all).statistic - 0.106313247).abs() < 1e-9);

        let mut sum = toy(A.0, A.1, A.2);
        for part in [toy(B.0, B.1, B.2), toy(C.0, C.1, C.2)] {
            (0..2).for_each(|g| {
                sum.observed[g] += part.observed[g];
                sum.expected[g] += part.expected[g];
            });
            (0..4).for_each(|i| sum.covariance[i] += part.covariance[i]);
        }
        assert!(
            (sum.observed[0] - sum.expected[0] + 0.1).abs() < 1e-12
                && (sum.covariance[0] - 0.99).abs() < 1e-12
        );
        assert!((test(&sum).statistic - 0.01 / 0.99).abs() < 1e-12);
    }

    #[test]
    fn without_events_nothing_is_compared() {
        let t = test(&toy(C.0, C.1, C.2));
        assert_eq!((t.df, t.statistic), (0, 0.0));
    }
}
