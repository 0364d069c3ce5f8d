//! Intervals of a Poisson mean, and rates standardised to a population.
//!
//! Sources: Garwood (1936) for the exact limits; Byar, in Rothman & Boice (1979); Dobson, Kuulasmaa, Eberle & Scherer (1991);
//! Fay & Feuer (1997); Tiwari, Clegg & Zou (2006); Fay & Kim (2017) for the mid-P gamma limits.

use statrs::function::gamma;

use super::{
    distribution::{chi_squared_quantile, garwood, normal_point},
    root::brent,
    sum::neumaier,
};

/// Interval of a Poisson mean from one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountInterval {
    /// Exact, by χ² (Garwood).
    Exact,
    /// Exact with half the probability of the count seen.
    MidP,
    /// Byar's approximation, as public-health offices use it.
    Byar,
    /// Inverted score test.
    Score,
    /// Normal on the log scale; none without events.
    Log,
}

/// Limits of the mean of which `count` events were seen; `None` where the method has none.
pub fn count_interval(count: f64, level: f64, interval: CountInterval) -> Option<[f64; 2]> {
    let z = normal_point(level);
    match interval {
        CountInterval::Exact => Some(garwood(count, level)),
        CountInterval::MidP => Some(mid_p(count, level)),
        CountInterval::Byar => {
            let byar = |d: f64, z: f64| {
                if d > 0.0 {
                    d * (1.0 - 1.0 / (9.0 * d) + z / (3.0 * d.sqrt())).powi(3)
                } else {
                    0.0
                }
            };
            Some([byar(count, -z).max(0.0), byar(count + 1.0, z)])
        }
        CountInterval::Score => {
            let half = z * (count + 0.25 * z * z).sqrt();
            Some([(count + 0.5 * z * z - half).max(0.0), count + 0.5 * z * z + half])
        }
        CountInterval::Log => (count > 0.0).then(|| {
            let factor = (z / count.sqrt()).exp();
            [count / factor, count * factor]
        }),
    }
}

/// P(X ≤ k) of a Poisson variable; 0 for negative k.
pub fn poisson_cdf(k: f64, mean: f64) -> f64 {
    if k < 0.0 {
        0.0
    } else if mean <= 0.0 {
        1.0
    } else {
        gamma::gamma_ur(k.floor() + 1.0, mean)
    }
}

/// Smallest k with P(X ≤ k) ≥ p of a Poisson variable.
pub fn poisson_quantile(p: f64, mean: f64) -> f64 {
    let mut k = (mean - 10.0 * (mean + 1.0).sqrt()).floor().max(0.0);
    while poisson_cdf(k, mean) < p {
        k += 1.0;
    }
    k
}

fn mid_p(count: f64, level: f64) -> [f64; 2] {
    let alpha = 0.5 * (1.0 - level);
    // P(X < d) + ½ P(X = d), decreasing in the mean.
    let below = |mean: f64| f64::midpoint(poisson_cdf(count - 1.0, mean), poisson_cdf(count, mean));
    let [exact_low, exact_high] = garwood(count, level);
    let low = if count > 0.0 {
        brent(|mean| below(mean) - (1.0 - alpha), 0.5 * exact_low, count).unwrap_or(exact_low)
    } else {
        0.0
    };
    let high = brent(|mean| below(mean) - alpha, count, exact_high + 1.0).unwrap_or(exact_high);
    [low, high]
}

/// Weighted sum of the age-specific rates: a standardised or a cumulative rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightedRate {
    /// Σ wᵢ dᵢ, wᵢ the weight of band i over its person-time.
    pub rate: f64,
    /// Σ wᵢ² dᵢ.
    pub variance: f64,
    /// Events.
    pub events: f64,
    /// Largest wᵢ.
    pub largest: f64,
    /// Mean of the wᵢ.
    pub mean: f64,
    /// Mean of the wᵢ².
    pub mean_square: f64,
}

/// Interval of a weighted rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateInterval {
    /// Normal.
    Normal,
    /// Normal on the log scale; none without events.
    Log,
    /// Exact limits of the events, scaled (Dobson).
    Dobson,
    /// Gamma (Fay & Feuer).
    FayFeuer,
    /// Gamma with mean weights (Tiwari), as SEER*Stat.
    Tiwari,
    /// Gamma with half the probability of what was seen (Fay & Kim).
    MidPGamma,
}

/// Quantile of a gamma variable of this mean and variance.
fn gamma_quantile(p: f64, mean: f64, variance: f64) -> f64 {
    if mean <= 0.0 || variance <= 0.0 {
        return 0.0;
    }
    0.5 * variance / mean * chi_squared_quantile(p, 2.0 * mean * mean / variance)
}

fn gamma_cdf(x: f64, mean: f64, variance: f64) -> f64 {
    if mean <= 0.0 || variance <= 0.0 {
        return 1.0;
    }
    if x <= 0.0 { 0.0 } else { gamma::gamma_lr(mean * mean / variance, x * mean / variance) }
}

impl WeightedRate {
    /// From events, person-time and weights by band; weights need not add up to 1. `None` if a band with weight has no
    /// person-time.
    pub fn new(events: &[f64], time: &[f64], weights: &[f64]) -> Option<Self> {
        let of_weight = || (0..weights.len()).filter(|&i| weights[i] > 0.0);
        if of_weight().next().is_none() || of_weight().any(|i| time[i] <= 0.0) {
            return None;
        }
        let w: Vec<f64> = of_weight().map(|i| weights[i] / time[i]).collect();
        let d: Vec<f64> = of_weight().map(|i| events[i]).collect();
        let n = w.len() as f64;
        Some(Self {
            rate: neumaier(w.iter().zip(&d).map(|(w, d)| w * d)),
            variance: neumaier(w.iter().zip(&d).map(|(w, d)| w * w * d)),
            events: neumaier(d.iter().copied()),
            largest: w.iter().copied().fold(0.0, f64::max),
            mean: neumaier(w.iter().copied()) / n,
            mean_square: neumaier(w.iter().map(|w| w * w)) / n,
        })
    }

    /// Mean and variance of the gamma variable of the upper limit: one more event with the largest, or the mean, weight.
    pub(super) fn with_one_more(&self, interval: RateInterval) -> (f64, f64) {
        if interval == RateInterval::Tiwari {
            (self.rate + self.mean, self.variance + self.mean_square)
        } else {
            (self.rate + self.largest, self.variance + self.largest * self.largest)
        }
    }

    /// Limits; `None` where the method has none.
    pub fn interval(&self, level: f64, interval: RateInterval) -> Option<[f64; 2]> {
        let alpha = 0.5 * (1.0 - level);
        let z = normal_point(level);
        match interval {
            RateInterval::Normal => {
                let half = z * self.variance.sqrt();
                (self.events > 0.0).then_some([self.rate - half, self.rate + half])
            }
            RateInterval::Log => (self.events > 0.0).then(|| {
                let factor = (z * self.variance.sqrt() / self.rate).exp();
                [self.rate / factor, self.rate * factor]
            }),
            RateInterval::Dobson => (self.events > 0.0).then(|| {
                let scale = (self.variance / self.events).sqrt();
                garwood(self.events, level).map(|limit| self.rate + scale * (limit - self.events))
            }),
            RateInterval::FayFeuer | RateInterval::Tiwari => {
                let (mean, variance) = self.with_one_more(interval);
                let low = gamma_quantile(alpha, self.rate, self.variance);
                Some([low, gamma_quantile(1.0 - alpha, mean, variance)])
            }
            RateInterval::MidPGamma => {
                let (mean, variance) = self.with_one_more(interval);
                let mixed = |x: f64| {
                    f64::midpoint(
                        gamma_cdf(x, self.rate, self.variance),
                        gamma_cdf(x, mean, variance),
                    )
                };
                let top = gamma_quantile(1.0 - 0.5 * alpha, mean, variance);
                let at = |p: f64| {
                    if mixed(0.0) >= p {
                        0.0
                    } else {
                        brent(|x| mixed(x) - p, 0.0, top).unwrap_or(top)
                    }
                };
                Some([at(alpha), at(1.0 - alpha)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: [f64; 2], wanted: [f64; 2], tolerance: f64) {
        for (f, w) in found.iter().zip(wanted) {
            assert!(
                (f - w).abs() <= tolerance * w.abs().max(1e-300),
                "found {found:?}, expected {wanted:?}"
            );
        }
    }

    fn of(count: f64, interval: CountInterval) -> [f64; 2] {
        count_interval(count, 0.95, interval).unwrap()
    }

    /// Exact and mid-P limits as `epitools::pois.exact` and its mid-P fellow give them.
    #[test]
    fn limits_of_counts_have_their_published_values() {
        for (d, exact, mid) in [
            (1.0, [0.0253178080, 5.5716434], [0.0500203, 4.9318605]),
            (3.0, [0.6186721, 8.7672731], [0.7630963, 8.1644692]),
            (5.0, [1.6234864, 11.6683321], [1.8319948, 11.082416]),
            (10.0, [4.7953887, 18.3903584], [5.0795218, 17.824854]),
            (100.0, [81.3639881, 121.6268067], [81.791821, 121.10349]),
        ] {
            close(of(d, CountInterval::Exact), exact, 2e-6);
            close(of(d, CountInterval::MidP), mid, 2e-6);
        }
        close(of(0.0, CountInterval::MidP), [0.0, 2.9957323], 1e-7);
        close(of(0.0, CountInterval::Exact), [0.0, 3.6888795], 1e-7);
        let byar = of(0.0, CountInterval::Byar);
        assert!(byar[0] == 0.0 && (byar[1] - 3.6755).abs() < 0.01, "{byar:?}");
        // Byar for 10 events: 10 (1 − 1/90 − 1.96/(3√10))³ and 11 (1 − 1/99 + 1.96/(3√11))³.
        close(of(10.0, CountInterval::Byar), [4.78745, 18.39146], 2e-6);
        assert!(count_interval(0.0, 0.95, CountInterval::Log).is_none());
        // The score limits solve (d − μ)² = z² μ.
        for limit in of(4.0, CountInterval::Score) {
            assert!(((4.0 - limit).powi(2) - 3.841458820694124 * limit).abs() < 1e-12);
        }
    }

    const STANDARD: [f64; 6] = [319933.0, 931318.0, 786511.0, 488235.0, 237863.0, 61313.0];

    fn down(births: &[f64; 6], cases: &[f64; 6]) -> WeightedRate {
        let total: f64 = STANDARD.iter().sum();
        let weights = STANDARD.map(|w| 1e5 * w / total);
        WeightedRate::new(cases, births, &weights).unwrap()
    }

    /// Down's syndrome by birth order (Fay & Feuer 1997).
    #[test]
    fn limits_of_standardised_rates_have_their_published_values() {
        let at = |w: &WeightedRate, interval| w.interval(0.95, interval).unwrap();
        let first = down(
            &[230061.0, 329449.0, 114920.0, 39487.0, 14208.0, 3052.0],
            &[107.0, 141.0, 60.0, 40.0, 39.0, 25.0],
        );
        assert!((first.rate - 92.30453).abs() < 1e-5);
        close(at(&first, RateInterval::FayFeuer), [80.44175, 105.76335], 1e-7);
        close(at(&first, RateInterval::Tiwari), [80.44175, 105.35632], 1e-7);
        close(at(&first, RateInterval::MidPGamma), [80.74109, 105.38901], 1e-6);
        close(at(&first, RateInterval::Dobson), [80.32948, 105.18701], 1e-7);
        close(at(&first, RateInterval::Normal), [80.03480, 104.57425], 1e-7);
        let fourth = down(
            &[2293.0, 68800.0, 132424.0, 98301.0, 46075.0, 9834.0],
            &[1.0, 26.0, 64.0, 89.0, 137.0, 96.0],
        );
        close(at(&fourth, RateInterval::FayFeuer), [80.00999, 114.66945], 1e-7);
        close(at(&fourth, RateInterval::Tiwari), [80.00999, 108.00793], 1e-7);
        let fifth = down(
            &[327.0, 30666.0, 123419.0, 149919.0, 104088.0, 34392.0],
            &[0.0, 8.0, 63.0, 112.0, 262.0, 295.0],
        );
        close(at(&fifth, RateInterval::FayFeuer), [67.70212, 188.30017], 1e-7);
        close(at(&fifth, RateInterval::Tiwari), [67.70212, 112.85843], 1e-7);
        close(at(&fifth, RateInterval::MidPGamma), [59.71632, 173.08170], 1e-6);
        close(at(&fifth, RateInterval::Normal), [67.48907, 83.56895], 1e-7);
    }

    #[test]
    fn childhood_rates_without_or_with_one_case_have_limits() {
        let weights = [12.0, 10.0, 9.0].map(|w| 1e6 * w / 31.0);
        let of =
            |cases: [f64; 3]| WeightedRate::new(&cases, &[1.2e6, 1.3e6, 1.25e6], &weights).unwrap();
        let three = of([3.0, 2.0, 1.0]);
        assert!((three.rate - 1.6962779).abs() < 1e-7);
        close(three.interval(0.95, RateInterval::FayFeuer).unwrap(), [0.614683, 3.785175], 1e-6);
        close(three.interval(0.95, RateInterval::Tiwari).unwrap(), [0.614683, 3.683892], 1e-6);
        close(three.interval(0.95, RateInterval::Dobson).unwrap(), [0.611694, 3.712176], 1e-6);
        let none = of([0.0; 3]);
        close(none.interval(0.95, RateInterval::FayFeuer).unwrap(), [0.0, 1.18996], 1e-5);
        close(none.interval(0.95, RateInterval::Tiwari).unwrap(), [0.0, 0.99650], 1e-5);
        assert!(none.interval(0.95, RateInterval::Dobson).is_none());
        let one = of([1.0, 0.0, 0.0]);
        close(one.interval(0.95, RateInterval::FayFeuer).unwrap(), [0.008167, 1.797304], 1e-4);
        close(one.interval(0.95, RateInterval::Dobson).unwrap(), [0.008167, 1.797304], 1e-4);
        assert!(WeightedRate::new(&[0.0, 1.0], &[0.0, 5.0], &[1.0, 1.0]).is_none());
        assert!(WeightedRate::new(&[0.0, 1.0], &[0.0, 5.0], &[0.0, 1.0]).is_some());
    }
}
