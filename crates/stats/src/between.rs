//! How much counts differ between countries: tests of one common ratio of observed to expected, limits of a funnel, and ratios
//! shrunk towards the mean.
//!
//! Sources: Potthoff & Whittinghill (1966); Spiegelhalter (2005) for funnel limits and winsorised overdispersion; Marshall (1991)
//! and Clayton & Kaldor (1987) for empirical Bayes; Larsen & Merlo (2005) for the median rate ratio.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};

use super::{
    distribution::{chi_squared_upper, normal_quantile},
    rate::{poisson_cdf, poisson_quantile},
    root::brent,
    sum::neumaier,
};

/// A test of equal ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homogeneity {
    /// Σ (Oᵢ − R Eᵢ)² / (R Eᵢ), R = ΣO / ΣE.
    pub chi_squared: f64,
    /// k − 1.
    pub df: f64,
    /// From the χ² distribution.
    pub p_value: f64,
    /// Share of the tables with the same total that are as far away or farther; with the seed's draws.
    pub exact_p_value: f64,
    /// Potthoff–Whittinghill: ΣE Σ Oᵢ (Oᵢ − 1) / Eᵢ, whose mean without differences is n (n − 1), n = ΣO.
    pub potthoff_whittinghill: f64,
    /// Its share among the draws.
    pub potthoff_whittinghill_p_value: f64,
}

/// Tests of equal ratios over countries with expected events; given the total, the counts are multinomial. `draws` tables are
/// drawn with the generator ChaCha8 from `seed`. `None` with fewer than two such countries or no event.
pub fn homogeneity(
    observed: &[f64],
    expected: &[f64],
    draws: usize,
    seed: u64,
) -> Option<Homogeneity> {
    let used: Vec<(f64, f64)> =
        observed.iter().zip(expected).filter(|(_, e)| **e > 0.0).map(|(o, e)| (*o, *e)).collect();
    let n = neumaier(used.iter().map(|u| u.0));
    let total = neumaier(used.iter().map(|u| u.1));
    if used.len() < 2 || n <= 0.0 {
        return None;
    }
    let ratio = n / total;
    let chi = |counts: &[f64]| {
        neumaier(counts.iter().zip(&used).map(|(o, (_, e))| (o - ratio * e).powi(2) / (ratio * e)))
    };
    let pw = |counts: &[f64]| {
        total * neumaier(counts.iter().zip(&used).map(|(o, (_, e))| o * (o - 1.0) / e))
    };
    let seen: Vec<f64> = used.iter().map(|u| u.0).collect();
    let (chi_seen, pw_seen) = (chi(&seen), pw(&seen));
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let (mut as_far, mut as_large) = (1usize, 1usize);
    let mut counts = vec![0.0; used.len()];
    for _ in 0..draws {
        // One country after the other: binomial of what is left.
        let (mut left, mut share) = (n.round() as u64, 1.0_f64);
        for (count, (_, e)) in counts.iter_mut().zip(&used) {
            let p = (e / total / share).clamp(0.0, 1.0);
            let drawn = match Binomial::new(left, p) {
                Ok(binomial) if left > 0 => binomial.sample(&mut generator),
                _ => 0,
            };
            *count = drawn as f64;
            left -= drawn;
            share = (share - e / total).max(f64::MIN_POSITIVE);
        }
        // Rounding may leave a case over: it belongs to the last.
        if let Some(last) = counts.last_mut() {
            *last += left as f64;
        }
        as_far += usize::from(chi(&counts) >= chi_seen * (1.0 - 1e-12));
        as_large += usize::from(pw(&counts) >= pw_seen * (1.0 - 1e-12));
    }
    let share = |count: usize| count as f64 / (draws as f64 + 1.0);
    let df = used.len() as f64 - 1.0;
    Some(Homogeneity {
        chi_squared: chi_seen,
        df,
        p_value: chi_squared_upper(chi_seen, df),
        exact_p_value: share(as_far),
        potthoff_whittinghill: pw_seen,
        potthoff_whittinghill_p_value: share(as_large),
    })
}

/// Limits of observed over expected events at `expected` events where the true ratio is `ratio`: quantiles of the Poisson
/// distribution, interpolated between counts as funnel plots do.
pub fn funnel_limits(ratio: f64, expected: f64, level: f64) -> [f64; 2] {
    let alpha = 0.5 * (1.0 - level);
    let mean = ratio * expected;
    let at = |p: f64| {
        let k = poisson_quantile(p, mean);
        let (upper, lower) = (poisson_cdf(k, mean), poisson_cdf(k - 1.0, mean));
        let share = if upper > lower { (upper - p) / (upper - lower) } else { 0.0 };
        (k - share).max(0.0) / expected
    };
    [at(alpha), at(1.0 - alpha)]
}

/// Overdispersion φ of square-root z-scores of observed against expected, the outer tenth on either side pulled in
/// (winsorised); 1 or more.
pub fn overdispersion(observed: &[f64], expected: &[f64], ratio: f64) -> f64 {
    let mut z: Vec<f64> = observed
        .iter()
        .zip(expected)
        .filter(|(_, e)| **e > 0.0)
        .map(|(o, e)| 2.0 * (o.sqrt() - (ratio * e).sqrt()))
        .collect();
    if z.is_empty() {
        return 1.0;
    }
    z.sort_by(f64::total_cmp);
    let outer = (0.1 * z.len() as f64).floor() as usize;
    let (low, high) = (z[outer], z[z.len() - 1 - outer]);
    let sum = neumaier(z.iter().map(|x| x.clamp(low, high).powi(2)));
    (sum / z.len() as f64).max(1.0)
}

/// Ratios shrunk towards their mean under a gamma distribution of true ratios.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// Mean of the true ratios.
    pub mean: f64,
    /// Their variance; 0 where the counts vary no more than chance.
    pub variance: f64,
    /// Shrunk ratio of each country.
    pub ratios: Vec<f64>,
}

/// Moments (Marshall): no distribution assumed; countries without expected events get the mean.
pub fn shrink_by_moments(observed: &[f64], expected: &[f64]) -> Option<Shrunk> {
    let total = neumaier(expected.iter().copied());
    let n = neumaier(observed.iter().copied());
    if total <= 0.0 || n <= 0.0 {
        return None;
    }
    let mean = n / total;
    let used = expected.iter().filter(|e| **e > 0.0).count() as f64;
    let spread = neumaier(
        observed
            .iter()
            .zip(expected)
            .filter(|(_, e)| **e > 0.0)
            .map(|(o, e)| e * (o / e - mean).powi(2)),
    ) / total;
    let variance = (spread - mean / (total / used)).max(0.0);
    let ratios =
        observed
            .iter()
            .zip(expected)
            .map(|(o, e)| {
                if *e > 0.0 {
                    mean + variance / (variance + mean / e) * (o / e - mean)
                } else {
                    mean
                }
            })
            .collect();
    Some(Shrunk { mean, variance, ratios })
}

/// Maximum likelihood of the negative binomial (Clayton & Kaldor): ratios are gamma(ν, α), shrunk ones (O + ν) / (E + α).
pub fn shrink_by_likelihood(observed: &[f64], expected: &[f64]) -> Option<Shrunk> {
    let total = neumaier(expected.iter().copied());
    let n = neumaier(observed.iter().copied());
    if total <= 0.0 || n <= 0.0 {
        return None;
    }
    let used: Vec<(f64, f64)> =
        observed.iter().zip(expected).filter(|(_, e)| **e > 0.0).map(|(o, e)| (*o, *e)).collect();
    // For a given shape ν the best rate α solves Σ (ν/α − (O + ν)/(E + α)) = 0.
    let rate_for = |shape: f64| {
        let slope = |ln_rate: f64| {
            let rate = ln_rate.exp();
            neumaier(used.iter().map(|(o, e)| shape / rate - (o + shape) / (e + rate)))
        };
        let middle = (shape * total / n).ln();
        brent(slope, middle - 40.0, middle + 40.0).unwrap_or(middle).exp()
    };
    let likelihood = |shape: f64| {
        let rate = rate_for(shape);
        neumaier(used.iter().map(|(o, e)| {
            let lower = (0..*o as usize).map(|k| (shape + k as f64).ln()).sum::<f64>();
            lower + shape * (rate / (e + rate)).ln() - o * (e + rate).ln()
        }))
    };
    // A shape without end is one common ratio.
    let grid: Vec<f64> = (0..=160).map(|i| (-4.0 + 0.125 * f64::from(i)).exp()).collect();
    let best = (0..grid.len())
        .max_by(|&a, &b| likelihood(grid[a]).total_cmp(&likelihood(grid[b])))
        .filter(|&i| i + 1 < grid.len());
    let Some(best) = best else {
        let mean = n / total;
        return Some(Shrunk { mean, variance: 0.0, ratios: vec![mean; observed.len()] });
    };
    let slope = |ln_shape: f64| {
        let h = 1e-4;
        likelihood((ln_shape + h).exp()) - likelihood((ln_shape - h).exp())
    };
    let (low, high) = (grid[best.saturating_sub(1)].ln(), grid[best + 1].ln());
    let shape = brent(slope, low, high).map_or(grid[best], f64::exp);
    let rate = rate_for(shape);
    let ratios = observed.iter().zip(expected).map(|(o, e)| (o + shape) / (e + rate)).collect();
    Some(Shrunk { mean: shape / rate, variance: shape / (rate * rate), ratios })
}

/// Median of the ratio of the higher to the lower of two countries drawn at random, from τ² of the log ratio.
pub fn median_rate_ratio(tau2: f64) -> f64 {
    ((2.0 * tau2).sqrt() * normal_quantile(0.75)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two countries of equal size with 0 and 5 events: given 5 events the table and its mirror have probability 2 / 2⁵.
    #[test]
    fn the_exact_test_gives_the_binomial_tail() {
        let found = homogeneity(&[0.0, 5.0], &[1.0, 1.0], 200_000, 7).unwrap();
        assert!((found.exact_p_value - 2.0 / 32.0).abs() < 0.002, "{found:?}");
        assert!((found.chi_squared - 5.0).abs() < 1e-12);
        let again = homogeneity(&[0.0, 5.0], &[1.0, 1.0], 200_000, 7).unwrap();
        assert_eq!(found, again);
        assert!(homogeneity(&[3.0], &[1.0], 10, 1).is_none());
        assert!(homogeneity(&[0.0, 0.0], &[1.0, 1.0], 10, 1).is_none());
    }

    #[test]
    fn funnel_limits_close_in_on_the_ratio() {
        let [low, high] = funnel_limits(1.0, 1e4, 0.95);
        assert!((low - (1.0 - 1.96 / 100.0)).abs() < 2e-4 && (high - 1.0196).abs() < 2e-4);
        assert_eq!(funnel_limits(1.0, 0.5, 0.95)[0], 0.0);
        assert_eq!(overdispersion(&[10.0, 10.0], &[10.0, 10.0], 1.0), 1.0);
        assert!(overdispersion(&[100.0, 1.0, 40.0], &[40.0, 40.0, 40.0], 1.0) > 5.0);
    }

    #[test]
    fn shrinkage_pulls_small_countries_most() {
        let (observed, expected) = ([200.0, 4.0, 80.0, 0.0], [100.0, 1.0, 100.0, 2.0]);
        for shrunk in
            [shrink_by_moments(&observed, &expected), shrink_by_likelihood(&observed, &expected)]
        {
            let shrunk = shrunk.unwrap();
            assert!(shrunk.variance > 0.0);
            assert!(shrunk.ratios[1] < 4.0 && shrunk.ratios[1] > shrunk.mean);
            assert!(shrunk.ratios[3] > 0.0 && shrunk.ratios[3] < shrunk.mean);
            assert!((shrunk.ratios[0] - 2.0).abs() < 0.1);
        }
        let equal = shrink_by_likelihood(&[10.0, 20.0], &[10.0, 20.0]).unwrap();
        assert!(equal.variance == 0.0 && equal.ratios == [1.0, 1.0]);
        assert!((median_rate_ratio(0.0) - 1.0).abs() < 1e-15);
        assert!((median_rate_ratio(0.04) - (0.9539 * 0.2_f64).exp()).abs() < 1e-4);
    }
}
