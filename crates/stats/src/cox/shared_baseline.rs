//! All sites share one baseline hazard: the risk-set sums themselves are pooled, at event times that the hub names.

use super::{Derivatives, RiskData, Ties, packed, tie_sums};
use crate::likelihood::LARGEST;

/// Risk-set sums at given event times; each vector runs over the times first, `time * width + entry`.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskSums {
    /// Covariates.
    pub p: usize,
    /// Deaths d, one per time.
    pub deaths: Vec<f64>,
    /// Σ x over the deaths, p per time.
    pub sum_x: Vec<f64>,
    /// S⁽⁰⁾, S⁽¹⁾, S⁽²⁾ over the risk set: 1, p and p(p+1)/2 per time.
    pub s: [Vec<f64>; 3],
    /// T⁽⁰⁾, T⁽¹⁾, T⁽²⁾ over the deaths.
    pub t: [Vec<f64>; 3],
    /// Sites whose sums are too large to be told; all of theirs are 0 instead.
    pub untold: f64,
}

impl RiskSums {
    /// The same, or zeros and a mark where a sum is too large to be told: a step that went too far is taken back, instead of ending
    /// the fit.
    #[must_use]
    pub fn or_untold(mut self) -> Self {
        let [s0, s1, s2] = &mut self.s;
        let [t0, t1, t2] = &mut self.t;
        let mut all = [s0, s1, s2, t0, t1, t2, &mut self.sum_x, &mut self.deaths];
        if all.iter().any(|cells| cells.iter().any(|x| x.is_nan() || x.abs() > LARGEST)) {
            all.iter_mut().for_each(|cells| cells.fill(0.0));
            self.untold = 1.0;
        }
        self
    }
}

/// Sums at `times` (ascending days), x centred as `data` was. Strata within the site share the baseline here.
pub fn risk_sums(data: &RiskData, beta: &[f64], times: &[i32]) -> RiskSums {
    let p = data.x.len();
    let q = p * (p + 1) / 2;
    let zeros = |width: usize| vec![0.0; width * times.len()];
    let moments = || [zeros(1), zeros(p), zeros(q)];
    let mut sums =
        RiskSums { p, deaths: zeros(1), sum_x: zeros(p), s: moments(), t: moments(), untold: 0.0 };
    let eta = data.linear_predictor(beta);
    for r in 0..eta.len() {
        let w = eta[r].exp();
        let x: Vec<f64> = data.x.iter().map(|column| column[r]).collect();
        // At risk at the times in (entry, exit]; these differences are summed up below.
        let entry = data.entry.as_ref().map_or(0, |entry| entry[r]);
        let first = if entry > 0 { times.partition_point(|&t| t <= entry) } else { 0 };
        let after = times.partition_point(|&t| t <= data.exit[r]);
        if first >= after {
            continue;
        }
        add_moments(&mut sums.s, after - 1, w, &x);
        if first > 0 {
            add_moments(&mut sums.s, first - 1, -w, &x);
        }
        if data.event[r] && times[after - 1] == data.exit[r] {
            sums.deaths[after - 1] += 1.0;
            add_moments(&mut sums.t, after - 1, w, &x);
            for j in 0..p {
                sums.sum_x[(after - 1) * p + j] += x[j];
            }
        }
    }
    // Everybody at risk at time k + 1 and not new there was at risk at time k.
    for (moment, width) in sums.s.iter_mut().zip([1, p, q]) {
        for i in (0..moment.len().saturating_sub(width)).rev() {
            moment[i] += moment[i + width];
        }
    }
    sums
}

fn add_moments(moments: &mut [Vec<f64>; 3], at: usize, w: f64, x: &[f64]) {
    let p = x.len();
    let q = p * (p + 1) / 2;
    moments[0][at] += w;
    for j in 0..p {
        moments[1][at * p + j] += w * x[j];
        for k in 0..=j {
            moments[2][at * q + packed(j, k)] += w * x[j] * x[k];
        }
    }
}

/// Increments of the cumulative hazard of a patient at the centre of the covariates, one per time.
pub fn baseline_of_sums(sums: &RiskSums, ties: Ties) -> Vec<f64> {
    let increment = |at: usize| tie_sums(sums.deaths[at], sums.s[0][at], sums.t[0][at], ties).a;
    (0..sums.deaths.len()).map(increment).collect()
}

/// ℓ, Σ h u and Σ h V from pooled sums; `h` is the weight of each time (all 1 for the fit, g and g² for the test of
/// proportional hazards).
pub fn derivatives_of_sums(
    sums: &RiskSums,
    beta: &[f64],
    ties: Ties,
    h: impl Fn(usize) -> f64,
) -> Derivatives {
    let p = sums.p;
    let q = p * (p + 1) / 2;
    let mut result =
        Derivatives { log_likelihood: 0.0, score: vec![0.0; p], information: vec![0.0; q] };
    if sums.untold > 0.0 {
        return Derivatives { log_likelihood: f64::NEG_INFINITY, ..result };
    }
    for (at, &d) in sums.deaths.iter().enumerate() {
        if d <= 0.0 {
            continue;
        }
        let tie = tie_sums(d, sums.s[0][at], sums.t[0][at], ties);
        let sum_x = &sums.sum_x[at * p..(at + 1) * p];
        let (s1, t1) = (&sums.s[1][at * p..(at + 1) * p], &sums.t[1][at * p..(at + 1) * p]);
        let (s2, t2) = (&sums.s[2][at * q..(at + 1) * q], &sums.t[2][at * q..(at + 1) * q]);
        let h = h(at);
        result.log_likelihood +=
            h * (sum_x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>() - tie.log);
        for j in 0..p {
            result.score[j] += h * (sum_x[j] - (tie.a * s1[j] - tie.ca * t1[j]));
            for k in 0..=j {
                let i = packed(j, k);
                let zz = tie.aa * s1[j] * s1[k] - tie.caa * (s1[j] * t1[k] + t1[j] * s1[k])
                    + tie.ccaa * t1[j] * t1[k];
                result.information[i] += h * (tie.a * s2[i] - tie.ca * t2[i] - zz);
            }
        }
    }
    result
}
