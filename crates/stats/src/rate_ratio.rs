//! Two rates against each other: ratios and differences, crude, over strata and standardised.
//!
//! Sources: Clopper & Pearson (1934) conditional on the total for the exact ratio; Rothman & Greenland (1998) for
//! Mantel–Haenszel ratio and difference of rates; Smith (1987) for test-based limits; Fay (1999) and Tiwari, Clegg & Zou (2006)
//! for ratios of standardised rates; Donner & Zou (2012) for the difference from the limits of its parts (MOVER).

use statrs::function::beta;

use super::{
    distribution::{
        beta_quantile, chi_squared_upper, f_quantile, garwood, normal_point, normal_two_sided,
    },
    rate::{RateInterval, WeightedRate},
    root::brent,
    sum::neumaier,
};

/// Events and person-time of one population.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Events.
    pub events: f64,
    /// Person-time.
    pub time: f64,
}

/// A ratio with limits; the upper one is infinite where the second rate may be 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// First rate over second; infinite if the second is 0.
    pub estimate: f64,
    /// Limits.
    pub limits: [f64; 2],
    /// Two-sided, twice the smaller tail.
    pub p_value: f64,
}

/// P(X ≥ x) of a binomial variable.
fn binomial_upper(x: f64, n: f64, p: f64) -> f64 {
    if x <= 0.0 {
        1.0
    } else if x > n {
        0.0
    } else {
        beta::beta_reg(x, n - x + 1.0, p)
    }
}

/// The ratio given the total of events: exact, or with half the probability of what was seen. `None` without events or
/// person-time.
pub fn exact_ratio(first: Rate, second: Rate, level: f64, mid_p: bool) -> Option<Ratio> {
    let n = first.events + second.events;
    if n <= 0.0 || first.time <= 0.0 || second.time <= 0.0 {
        return None;
    }
    let alpha = 0.5 * (1.0 - level);
    let x = first.events;
    // P(X ≥ x), less half P(X = x), increasing in p; and the same for P(X ≤ x), decreasing.
    let upper = |p: f64| {
        let at_least = binomial_upper(x, n, p);
        if mid_p { f64::midpoint(at_least, binomial_upper(x + 1.0, n, p)) } else { at_least }
    };
    let lower = |p: f64| {
        let at_most = 1.0 - binomial_upper(x + 1.0, n, p);
        if mid_p { f64::midpoint(at_most, 1.0 - binomial_upper(x, n, p)) } else { at_most }
    };
    let (low, high) = if mid_p {
        (
            if x > 0.0 { brent(|p| upper(p) - alpha, 0.0, 1.0)? } else { 0.0 },
            if x < n { brent(|p| lower(p) - alpha, 0.0, 1.0)? } else { 1.0 },
        )
    } else {
        (beta_quantile(alpha, x, n - x + 1.0), beta_quantile(1.0 - alpha, x + 1.0, n - x))
    };
    let null = first.time / (first.time + second.time);
    let odds = |p: f64| {
        if p >= 1.0 { f64::INFINITY } else { p / (1.0 - p) * second.time / first.time }
    };
    let estimate = if second.events > 0.0 {
        first.events * second.time / (second.events * first.time)
    } else {
        f64::INFINITY
    };
    let p_value = (2.0 * upper(null).min(lower(null))).min(1.0);
    Some(Ratio { estimate, limits: [odds(low), odds(high)], p_value })
}

/// Mantel–Haenszel ratio and difference of rates over strata.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MantelHaenszel {
    /// ln of the ratio.
    pub ln_ratio: f64,
    /// Its standard error.
    pub ln_ratio_std_error: f64,
    /// Difference of rates.
    pub difference: f64,
    /// Its standard error.
    pub difference_std_error: f64,
    /// χ² against no difference, 1 degree of freedom.
    pub chi_squared: f64,
    /// Its p-value.
    pub p_value: f64,
}

/// Pools strata, each of two rates; strata without person-time on a side say nothing. `None` if a side has no events.
pub fn mantel_haenszel(strata: &[[Rate; 2]]) -> Option<MantelHaenszel> {
    let used: Vec<&[Rate; 2]> =
        strata.iter().filter(|[a, b]| a.time > 0.0 && b.time > 0.0).collect();
    let sum = |f: &dyn Fn(&Rate, &Rate) -> f64| neumaier(used.iter().map(|[a, b]| f(a, b)));
    let r = sum(&|a, b| a.events * b.time / (a.time + b.time));
    let s = sum(&|a, b| b.events * a.time / (a.time + b.time));
    if r <= 0.0 || s <= 0.0 {
        return None;
    }
    let v = sum(&|a, b| (a.events + b.events) * a.time * b.time / (a.time + b.time).powi(2));
    let weight = sum(&|a, b| a.time * b.time / (a.time + b.time));
    let difference =
        sum(&|a, b| (a.events * b.time - b.events * a.time) / (a.time + b.time)) / weight;
    let variance = sum(&|a, b| {
        (a.time * b.time / (a.time + b.time)).powi(2)
            * (a.events / (a.time * a.time) + b.events / (b.time * b.time))
    }) / (weight * weight);
    let excess = sum(&|a, b| a.events - (a.events + b.events) * a.time / (a.time + b.time));
    let chi_squared = excess * excess / v;
    Some(MantelHaenszel {
        ln_ratio: (r / s).ln(),
        ln_ratio_std_error: (v / (r * s)).sqrt(),
        difference,
        difference_std_error: variance.sqrt(),
        chi_squared,
        p_value: chi_squared_upper(chi_squared, 1.0),
    })
}

/// Interval of the ratio of two standardised rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardisedRatioInterval {
    /// Normal on the log scale.
    Log,
    /// Test-based (Smith).
    TestBased,
    /// F, with the largest weights (Fay).
    Fay,
    /// F, with the mean weights (Tiwari), as SEER*Stat.
    Tiwari,
}

/// Ratio of two standardised rates; `None` if neither has events. Limits of the normal methods need events on both sides: the
/// F limits have one side where one rate is 0.
pub fn standardised_ratio(
    first: &WeightedRate,
    second: &WeightedRate,
    level: f64,
    interval: StandardisedRatioInterval,
) -> Option<(f64, Option<[f64; 2]>)> {
    if first.events + second.events <= 0.0 {
        return None;
    }
    let alpha = 0.5 * (1.0 - level);
    let z = normal_point(level);
    let ratio = if second.rate > 0.0 { first.rate / second.rate } else { f64::INFINITY };
    let both = first.events > 0.0 && second.events > 0.0;
    let limits = match interval {
        StandardisedRatioInterval::Log => both.then(|| {
            let squares = |w: &WeightedRate| w.variance / (w.rate * w.rate);
            let factor = (z * (squares(first) + squares(second)).sqrt()).exp();
            [ratio / factor, ratio * factor]
        }),
        StandardisedRatioInterval::TestBased => both.then(|| {
            let x = (first.rate - second.rate) / (first.variance + second.variance).sqrt();
            let power = |sign: f64| ratio.powf(1.0 + sign * z / x);
            let [a, b] = [power(-1.0), power(1.0)];
            [a.min(b), a.max(b)]
        }),
        StandardisedRatioInterval::Fay | StandardisedRatioInterval::Tiwari => {
            let rule = if interval == StandardisedRatioInterval::Fay {
                RateInterval::FayFeuer
            } else {
                RateInterval::Tiwari
            };
            // Gamma variables of mean y and variance v have 2y²/v degrees of freedom.
            let df = |(y, v): (f64, f64)| 2.0 * y * y / v;
            let (one, two) = (first.with_one_more(rule), second.with_one_more(rule));
            let seen = |w: &WeightedRate| (w.rate, w.variance);
            let low = if first.events > 0.0 {
                first.rate / two.0 * f_quantile(alpha, df(seen(first)), df(two))
            } else {
                0.0
            };
            let high = if second.events > 0.0 {
                one.0 / second.rate * f_quantile(1.0 - alpha, df(one), df(seen(second)))
            } else {
                f64::INFINITY
            };
            Some([low, high])
        }
    };
    Some((ratio, limits))
}

/// First less second rate: normal limits.
pub fn wald_difference(first: Rate, second: Rate, level: f64) -> (f64, f64, [f64; 2]) {
    let difference = first.events / first.time - second.events / second.time;
    let se = (first.events / first.time.powi(2) + second.events / second.time.powi(2)).sqrt();
    let half = normal_point(level) * se;
    (difference, se, [difference - half, difference + half])
}

/// First less second rate, limits from the exact limits of each (MOVER); they exist without events too.
pub fn mover_difference(first: Rate, second: Rate, level: f64) -> (f64, [f64; 2]) {
    let rates = [first, second].map(|r| {
        let limits = garwood(r.events, level).map(|m| m / r.time);
        (r.events / r.time, limits)
    });
    let [(a, [la, ua]), (b, [lb, ub])] = rates;
    let low = a - b - ((a - la).powi(2) + (ub - b).powi(2)).sqrt();
    let high = a - b + ((ua - a).powi(2) + (b - lb).powi(2)).sqrt();
    (a - b, [low, high])
}

/// Two-sided p-value of the difference of two standardised rates, normal.
pub fn difference_p_value(first: &WeightedRate, second: &WeightedRate) -> Option<f64> {
    let variance = first.variance + second.variance;
    (variance > 0.0).then(|| normal_two_sided((first.rate - second.rate) / variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64, tolerance: f64) {
        assert!(
            (found - wanted).abs() <= tolerance * wanted.abs(),
            "found {found}, expected {wanted}"
        );
    }

    fn rate(events: f64, time: f64) -> Rate {
        Rate { events, time }
    }

    /// British doctors: coronary deaths of smokers and non-smokers by age (Breslow & Day 1987).
    fn doctors() -> [[Rate; 2]; 5] {
        [
            [rate(32.0, 52407.0), rate(2.0, 18790.0)],
            [rate(104.0, 43248.0), rate(12.0, 10673.0)],
            [rate(206.0, 28612.0), rate(28.0, 5710.0)],
            [rate(186.0, 12663.0), rate(28.0, 2585.0)],
            [rate(102.0, 5317.0), rate(31.0, 1462.0)],
        ]
    }

    #[test]
    fn british_doctors_have_their_published_ratios() {
        let sum = |side: usize| {
            let d = doctors();
            rate(d.iter().map(|s| s[side].events).sum(), d.iter().map(|s| s[side].time).sum())
        };
        let crude = exact_ratio(sum(0), sum(1), 0.95, false).unwrap();
        close(crude.estimate, 1.7198226, 1e-7);
        close(crude.limits[0], 1.3919919, 1e-7);
        close(crude.limits[1], 2.1435295, 1e-7);
        let mid = exact_ratio(sum(0), sum(1), 0.95, true).unwrap();
        assert!(mid.limits[0] > crude.limits[0] && mid.limits[1] < crude.limits[1]);
        let mh = mantel_haenszel(&doctors()).unwrap();
        close(mh.ln_ratio.exp(), 1.424682, 1e-6);
        close((mh.ln_ratio - 1.959963984540054 * mh.ln_ratio_std_error).exp(), 1.1547031, 1e-7);
        close((mh.ln_ratio + 1.959963984540054 * mh.ln_ratio_std_error).exp(), 1.7577842, 1e-7);
        close(mh.difference, 0.0011439188, 1e-7);
        close(mh.difference_std_error, 0.00030941443, 1e-7);
    }

    #[test]
    fn zero_against_some_has_one_side() {
        let r = exact_ratio(rate(0.0, 10.0), rate(4.0, 10.0), 0.95, false).unwrap();
        assert!(r.estimate == 0.0 && r.limits[0] == 0.0);
        // Upper limit: p = 1 − 0.025^(1/4), odds of it.
        let p = 1.0 - 0.025_f64.powf(0.25);
        close(r.limits[1], p / (1.0 - p), 1e-10);
        let r = exact_ratio(rate(4.0, 10.0), rate(0.0, 10.0), 0.95, true).unwrap();
        assert!(r.estimate.is_infinite() && r.limits[1].is_infinite() && r.limits[0] > 0.0);
        assert!(exact_ratio(rate(0.0, 1.0), rate(0.0, 1.0), 0.95, false).is_none());
        let (difference, limits) = mover_difference(rate(0.0, 1e6), rate(0.0, 1e6), 0.95);
        assert!(difference == 0.0);
        close(limits[1], 3.688879454e-6, 1e-9);
        close(limits[0], -3.688879454e-6, 1e-9);
        assert!(mantel_haenszel(&[[rate(0.0, 1.0), rate(1.0, 1.0)]]).is_none());
    }

    /// One band only: Fay's limits are the exact limits of the crude ratio.
    #[test]
    fn standardised_ratios_of_one_band_are_crude() {
        let of = |events: f64, time: f64| WeightedRate::new(&[events], &[time], &[1.0]).unwrap();
        let (a, b) = (of(12.0, 100.0), of(5.0, 130.0));
        let exact = exact_ratio(rate(12.0, 100.0), rate(5.0, 130.0), 0.95, false).unwrap();
        for interval in [StandardisedRatioInterval::Fay, StandardisedRatioInterval::Tiwari] {
            let (ratio, limits) = standardised_ratio(&a, &b, 0.95, interval).unwrap();
            close(ratio, exact.estimate, 1e-12);
            close(limits.unwrap()[0], exact.limits[0], 1e-9);
            close(limits.unwrap()[1], exact.limits[1], 1e-9);
        }
        let (_, none) =
            standardised_ratio(&of(0.0, 9.0), &b, 0.95, StandardisedRatioInterval::Log).unwrap();
        assert!(none.is_none());
        let (zero, limits) =
            standardised_ratio(&of(0.0, 9.0), &b, 0.95, StandardisedRatioInterval::Fay).unwrap();
        assert!(zero == 0.0 && limits.unwrap()[0] == 0.0 && limits.unwrap()[1].is_finite());
    }
}
