//! Kaplan–Meier (product-limit) estimate with Greenwood's variance, its intervals, quantiles and restricted mean.
//!
//! Input is one group of an event table: numbers at risk, events and censored at ascending times. Tied times: events come
//! before censorings, censorings before late entries. Sources: Kaplan & Meier (1958); Greenwood (1926); Kalbfleisch &
//! Prentice (1980) for the log-log interval; Brookmeyer & Crowley (1982) for quantiles; Royston & Parmar (2013) for RMST.

use super::distribution::normal_point;

/// Scale on which the pointwise interval is symmetric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalScale {
    /// log(−log S): the default here, in SAS and in Stata.
    LogLog,
    /// log S: the default of R's `survfit`.
    Log,
    /// S itself.
    Plain,
    /// logit S.
    Logit,
    /// arcsin √S.
    Arcsine,
}

/// The estimate just after one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Time, days.
    pub time: f64,
    /// At risk just before.
    pub n_risk: f64,
    /// Events.
    pub n_event: f64,
    /// Censored.
    pub n_censor: f64,
    /// S(t).
    pub survival: f64,
    /// Variance of log S(t), Greenwood's sum; infinite once S is 0.
    pub log_variance: f64,
}

impl Step {
    /// Greenwood's standard error of S(t); 0 where S is 0 or 1 (there it says nothing).
    pub fn std_error(&self) -> f64 {
        if self.survival > 0.0 { self.survival * self.log_variance.sqrt() } else { 0.0 }
    }
}

/// Product-limit steps at every cell where somebody left. With `actuarial`, cells are intervals and half of those
/// censored in a cell count as not at risk (n − c/2).
pub fn product_limit(
    time: &[f64],
    n_risk: &[f64],
    n_event: &[f64],
    n_censor: &[f64],
    actuarial: bool,
) -> Vec<Step> {
    let mut survival = 1.0;
    let mut log_variance = 0.0;
    let mut steps = Vec::new();
    for j in 0..time.len() {
        let (n, d, c) = (n_risk[j], n_event[j], n_censor[j]);
        if n <= 0.0 || (d == 0.0 && c == 0.0) {
            continue;
        }
        let effective = if actuarial { n - 0.5 * c } else { n };
        if d > 0.0 {
            let q = (d / effective).min(1.0);
            survival *= 1.0 - q;
            log_variance += if q < 1.0 { q / (effective * (1.0 - q)) } else { f64::INFINITY };
        }
        steps.push(Step {
            time: time[j],
            n_risk: n,
            n_event: d,
            n_censor: c,
            survival,
            log_variance,
        });
    }
    steps
}

/// Pointwise interval of S(t). `None` where the scale has none: S is 0, or nobody has had the event.
pub fn interval(step: &Step, scale: IntervalScale, level: f64) -> Option<(f64, f64)> {
    let (s, sigma) = (step.survival, step.log_variance.sqrt());
    if s <= 0.0 || sigma == 0.0 || !sigma.is_finite() {
        return None;
    }
    let z = normal_point(level);
    let (low, high) = match scale {
        IntervalScale::LogLog => {
            let half = z * sigma / s.ln().abs();
            (s.powf(half.exp()), s.powf((-half).exp()))
        }
        IntervalScale::Log => (s * (-z * sigma).exp(), s * (z * sigma).exp()),
        IntervalScale::Plain => (s - z * s * sigma, s + z * s * sigma),
        IntervalScale::Logit => {
            let (centre, half) = ((s / (1.0 - s)).ln(), z * sigma / (1.0 - s));
            let back = |x: f64| 1.0 / (1.0 + (-x).exp());
            (back(centre - half), back(centre + half))
        }
        IntervalScale::Arcsine => {
            let (centre, half) = (s.sqrt().asin(), 0.5 * z * sigma * (s / (1.0 - s)).sqrt());
            let quarter = std::f64::consts::FRAC_PI_2;
            let back = |x: f64| x.clamp(0.0, quarter).sin().powi(2);
            (back(centre - half), back(centre + half))
        }
    };
    Some((low.max(0.0), high.min(1.0)))
}

/// A quantile of survival time with its interval; `None` means "not reached".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// Smallest time with S(t) ≤ 1 − p; the middle of the plateau where S equals 1 − p, which may run to the last follow-up.
    pub time: Option<f64>,
    /// Same rule on the lower pointwise limit.
    pub low: Option<f64>,
    /// Same rule on the upper pointwise limit.
    pub high: Option<f64>,
}

/// Survival quantile `p` (0.5 for the median) with the interval of Brookmeyer & Crowley.
pub fn quantile(steps: &[Step], p: f64, scale: IntervalScale, level: f64) -> Quantile {
    let target = 1.0 - p;
    let limit = |side: fn((f64, f64)) -> f64| {
        let values: Vec<Option<f64>> =
            steps.iter().map(|s| interval(s, scale, level).map(side)).collect();
        crossing(steps, &values, target)
    };
    let survival: Vec<Option<f64>> = steps.iter().map(|s| Some(s.survival)).collect();
    Quantile {
        time: crossing(steps, &survival, target),
        low: limit(|ci| ci.0),
        high: limit(|ci| ci.1),
    }
}

fn crossing(steps: &[Step], values: &[Option<f64>], target: f64) -> Option<f64> {
    // Products of fractions may miss an exact plateau by a few ulps; R uses the square root of the machine epsilon too.
    const TOLERANCE: f64 = 1.490116119384766e-8;
    let first = values.iter().position(|v| v.is_some_and(|v| v <= target + TOLERANCE))?;
    let on_plateau = values[first].is_some_and(|v| v >= target - TOLERANCE);
    if !on_plateau {
        return Some(steps[first].time);
    }
    let below = values.iter().skip(first).position(|v| v.is_some_and(|v| v < target - TOLERANCE));
    let end = below.map_or(steps.len() - 1, |after| first + after);
    Some(f64::midpoint(steps[first].time, steps[end].time))
}

/// Restricted mean survival time, days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestrictedMean {
    /// ∫₀^τ S(t) dt.
    pub mean: f64,
    /// Its variance, Σ A_j² d_j / (n_j (n_j − d_j)) with A_j = ∫ from t_j to τ of S.
    pub variance: f64,
}

/// Restricted mean to `tau` days; `None` if `tau` lies beyond the last follow-up while somebody survives.
pub fn restricted_mean(steps: &[Step], tau: f64, followed_to: f64) -> Option<RestrictedMean> {
    let reached = steps.last().is_some_and(|s| s.survival <= 0.0) || tau <= followed_to;
    if !reached {
        return None;
    }
    let within: Vec<&Step> = steps.iter().filter(|s| s.time <= tau).collect();
    let mut area_after = 0.0; // ∫ from the step's time to τ, built backwards
    let mut end = tau;
    let mut variance = 0.0;
    for step in within.iter().rev() {
        area_after += step.survival * (end - step.time);
        end = step.time;
        let left = step.n_risk - step.n_event;
        if step.n_event > 0.0 && left > 0.0 {
            variance += area_after * area_after * step.n_event / (step.n_risk * left);
        }
    }
    Some(RestrictedMean { mean: area_after + end, variance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(time: &[f64], n: &[f64], d: &[f64], c: &[f64]) -> Vec<Step> {
        product_limit(time, n, d, c, false)
    }

    #[test]
    fn four_events_without_censoring_have_quartiles_between_the_steps() {
        let s = steps(&[1., 2., 3., 4.], &[4., 3., 2., 1.], &[1.; 4], &[0.; 4]);
        let at = |p| quantile(&s, p, IntervalScale::LogLog, 0.95).time;
        assert_eq!([at(0.25), at(0.5), at(0.75)], [Some(1.5), Some(2.5), Some(3.5)]);
    }

    #[test]
    fn a_plateau_at_the_median_that_runs_to_the_end_has_its_middle() {
        let s = steps(&[2., 4., 7., 8.], &[4., 3., 2., 1.], &[1., 1., 0., 0.], &[0., 0., 1., 1.]);
        assert_eq!(quantile(&s, 0.5, IntervalScale::LogLog, 0.95).time, Some(6.0));
    }

    #[test]
    fn the_last_death_leaves_no_interval_and_no_nan() {
        let s = steps(&[5.], &[1.], &[1.], &[0.]);
        assert_eq!(s[0].survival, 0.0);
        assert_eq!(s[0].std_error(), 0.0);
        assert!(interval(&s[0], IntervalScale::Plain, 0.95).is_none());
    }

    #[test]
    fn a_restricted_mean_past_the_last_follow_up_is_refused() {
        let s = steps(&[2., 6.], &[3., 2.], &[1., 0.], &[0., 2.]);
        assert!(restricted_mean(&s, 7.0, 6.0).is_none());
        let mean = restricted_mean(&s, 6.0, 6.0).unwrap();
        assert!((mean.mean - (2.0 + 4.0 * 2.0 / 3.0)).abs() < 1e-12);
        assert!((mean.variance - (4.0 * 2.0 / 3.0_f64).powi(2) / 6.0).abs() < 1e-12);
    }

    #[test]
    fn half_of_those_censored_in_an_interval_are_not_at_risk() {
        let s = product_limit(&[365.0], &[100.0], &[9.0], &[20.0], true);
        assert!((s[0].survival - 0.9).abs() < 1e-15);
    }
}
