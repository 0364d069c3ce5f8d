//! Cumulative incidence with competing risks: Aalen–Johansen estimate with three named variances, and Gray's test.
//!
//! Sources: Aalen & Johansen (1978); Aalen (1978); Dinse & Larson (1986), Marubini & Valsecchi (1995) for the delta method;
//! Gray (1988). Events at one time are taken together with the same number at risk; nothing is jittered.

use nalgebra::DMatrix;

/// Numbers of one group at ascending times.
#[derive(Debug, Clone, PartialEq)]
pub struct CauseCounts {
    /// Times, days.
    pub time: Vec<f64>,
    /// At risk just before.
    pub n_risk: Vec<f64>,
    /// Events of each cause, `cause[k][j]`.
    pub events: Vec<Vec<f64>>,
    /// Censored.
    pub censored: Vec<f64>,
}

/// How the variance of a cumulative incidence is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseVariance {
    /// Aalen's counting process form, as in `cmprsk::cuminc`.
    Aalen,
    /// Delta method.
    Delta,
    /// Sum of squared influences, as in `survival::survfit`; without late entry only.
    Jackknife,
}

/// Cumulative incidence just after one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incidence {
    /// Time, days.
    pub time: f64,
    /// At risk just before.
    pub n_risk: f64,
    /// Events of the cause.
    pub n_event: f64,
    /// Cumulative incidence.
    pub estimate: f64,
    /// Its variance.
    pub variance: f64,
}

impl CauseCounts {
    fn total(&self, j: usize) -> f64 {
        self.events.iter().map(|cause| cause[j]).sum()
    }

    /// Whether everybody still at risk at the last exit had an event then, of whatever cause.
    pub fn is_emptied(&self) -> bool {
        let last = self.n_risk.iter().rposition(|n| *n > 0.0);
        last.is_some_and(|j| self.total(j) >= self.n_risk[j])
    }

    /// Survival free of any event just before each time.
    fn before(&self) -> Vec<f64> {
        let mut survival = 1.0;
        (0..self.time.len())
            .map(|j| {
                let before = survival;
                let (n, d) = (self.n_risk[j], self.total(j));
                if n > 0.0 {
                    survival *= 1.0 - d / n;
                }
                before
            })
            .collect()
    }

    /// Cumulative incidence of `cause` at every time with any event.
    pub fn incidence(&self, cause: usize, variance: CauseVariance) -> Vec<Incidence> {
        let before = self.before();
        let mut estimate = 0.0;
        let mut curve: Vec<(usize, f64)> = Vec::new();
        for j in 0..self.time.len() {
            if self.n_risk[j] > 0.0 && self.total(j) > 0.0 {
                estimate += before[j] * self.events[cause][j] / self.n_risk[j];
                curve.push((j, estimate));
            }
        }
        let variances = match variance {
            CauseVariance::Jackknife => self.jackknife(cause, &before, &curve),
            CauseVariance::Aalen => self.aalen(cause, &before, &curve),
            CauseVariance::Delta => self.delta(cause, &before, &curve),
        };
        curve
            .iter()
            .zip(variances)
            .map(|(&(j, estimate), variance)| Incidence {
                time: self.time[j],
                n_risk: self.n_risk[j],
                n_event: self.events[cause][j],
                estimate,
                variance: variance.max(0.0),
            })
            .collect()
    }

    /// Σ (F(t) − F(u))² A(u) + Σ B(u) − 2 Σ (F(t) − F(u)) C(u), by running sums of the expanded square.
    fn delta(&self, cause: usize, before: &[f64], curve: &[(usize, f64)]) -> Vec<f64> {
        let (mut a, mut af, mut aff, mut b, mut c, mut cf) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        curve
            .iter()
            .map(|&(j, f)| {
                let (n, d, dk, s) =
                    (self.n_risk[j], self.total(j), self.events[cause][j], before[j]);
                // Where all at risk have the event, nothing comes after: F(t) − F(u) is 0.
                if n > d {
                    let weight = d / (n * (n - d));
                    a += weight;
                    af += weight * f;
                    aff += weight * f * f;
                    let weight = s * dk / (n * n);
                    c += weight;
                    cf += weight * f;
                }
                b += s * s * dk * (n - dk) / (n * n * n);
                f * f * a - 2.0 * f * af + aff + b - 2.0 * (f * c - cf)
            })
            .collect()
    }

    /// Sums over the martingales of cause and rest of their squared weights, with the hypergeometric tie factor
    /// (n − d) / (n − 1): [S(u−) (1 − (F(t) − F(u)) / S(u))]² for the cause, [S(u−) (F(t) − F(u)) / S(u)]² for the rest.
    fn aalen(&self, cause: usize, before: &[f64], curve: &[(usize, f64)]) -> Vec<f64> {
        let (mut v1, mut v2, mut v3) = (0.0, 0.0, 0.0);
        curve
            .iter()
            .map(|&(j, f)| {
                let (n, d, dk, s) =
                    (self.n_risk[j], self.total(j), self.events[cause][j], before[j]);
                let after = s * (1.0 - d / n);
                let inverse = if n > d { 1.0 / after } else { 0.0 };
                let weight = |d: f64| {
                    let ties = if d > 1.0 { 1.0 - (d - 1.0) / (n - 1.0) } else { 1.0 };
                    s * s * ties * d / (n * n)
                };
                for (weight, level) in
                    [(weight(dk), 1.0 + f * inverse), (weight(d - dk), f * inverse)]
                {
                    v1 += weight * level * level;
                    v2 += weight * level * inverse;
                    v3 += weight * inverse * inverse;
                }
                v1 - 2.0 * f * v2 + f * f * v3
            })
            .collect()
    }

    /// Σ ψ² over the persons, all of whom are described by when and how they left.
    fn jackknife(&self, cause: usize, before: &[f64], curve: &[(usize, f64)]) -> Vec<f64> {
        let mut variances = Vec::new();
        for &(end, f_end) in curve {
            let mut passive = 0.0;
            let mut sum = 0.0;
            let mut at = 0;
            for j in 0..=end {
                let n = self.n_risk[j];
                if n <= 0.0 {
                    continue;
                }
                let d = self.total(j);
                let f = if d > 0.0 {
                    at += 1;
                    curve[at - 1].1
                } else {
                    0.0
                };
                let (mut of_cause, mut of_other) = (0.0, 0.0);
                if d > 0.0 {
                    let later = if n > d { (f_end - f) / (1.0 - d / n) } else { 0.0 };
                    of_cause = (before[j] - later) / n;
                    of_other = -later / n;
                    let dk = self.events[cause][j];
                    passive += (of_cause * dk + of_other * (d - dk)) / n;
                }
                for (k, events) in self.events.iter().enumerate() {
                    let jump = if k == cause { of_cause } else { of_other };
                    sum += events[j] * (jump - passive).powi(2);
                }
                sum += self.censored[j] * passive * passive;
            }
            let n_end = self.n_risk[end] - self.total(end) - self.censored[end];
            sum += n_end.max(0.0) * passive * passive;
            variances.push(sum);
        }
        variances
    }
}

/// Score and covariance of Gray's test over the groups; both add over strata.
#[derive(Debug, Clone, PartialEq)]
pub struct GrayScore {
    /// Score by group.
    pub score: Vec<f64>,
    /// Covariance, `g * groups + h`.
    pub covariance: Vec<f64>,
}

/// One step with events: what the second pass needs once the end of c is known.
struct Moment {
    a: DMatrix<f64>,
    c: DMatrix<f64>,
    after: Vec<f64>,
    f0: f64,
    first: Vec<f64>,
    second: Vec<f64>,
}

/// Gray's score for equal cumulative incidence of `cause` with weight (1 − F)^ρ; all groups on the same times.
pub fn gray(groups: &[CauseCounts], cause: usize, rho: f64) -> GrayScore {
    let k = groups.len();
    let times = groups.iter().map(|g| g.time.len()).min().unwrap_or(0);
    let mut score = vec![0.0; k];
    let mut moments: Vec<Moment> = Vec::new();
    let mut survival = vec![1.0; k];
    let mut incidence = vec![0.0; k];
    let mut f0 = 0.0_f64;
    let mut c = DMatrix::<f64>::zeros(k, k);
    for j in 0..times {
        let n: Vec<f64> = groups.iter().map(|g| g.n_risk[j]).collect();
        let d1: Vec<f64> = groups.iter().map(|g| g.events[cause][j]).collect();
        let d2: Vec<f64> = (0..k).map(|g| groups[g].total(j) - d1[g]).collect();
        let (first, second): (f64, f64) = (d1.iter().sum(), d2.iter().sum());
        if first + second <= 0.0 {
            continue;
        }
        let h: Vec<f64> = (0..k)
            .map(|g| if n[g] > 0.0 && survival[g] > 0.0 { n[g] / survival[g] } else { 0.0 })
            .collect();
        let all: f64 = h.iter().sum();
        let risk: Vec<f64> = (0..k).map(|g| h[g] * (1.0 - incidence[g])).collect();
        let risk_all: f64 = risk.iter().sum();
        let before = survival.clone();
        for g in 0..k {
            if n[g] > 0.0 {
                incidence[g] += before[g] * d1[g] / n[g];
                survival[g] *= 1.0 - (d1[g] + d2[g]) / n[g];
            }
        }
        let f0_before = f0;
        let weight = if rho == 0.0 { 1.0 } else { (1.0 - f0_before).powf(rho) };
        let a = DMatrix::from_fn(k, k, |g, r| {
            let delta = if g == r { 1.0 } else { 0.0 };
            weight * h[g] * (delta - h[r] / all)
        });
        if first > 0.0 && all > 0.0 {
            f0 += first / all;
            c += &a * (first / (all * (1.0 - f0_before)));
            for g in 0..k {
                score[g] += weight * (d1[g] - first * risk[g] / risk_all);
            }
        }
        let ties =
            |d: f64, n: f64| if d > 1.0 && n > 1.0 { 1.0 - (d - 1.0) / (n - 1.0) } else { 1.0 };
        let per = |g: usize| {
            if n[g] > 0.0 && first > 0.0 {
                ties(first, all * before[g]) * before[g] * first / (all * n[g])
            } else {
                0.0
            }
        };
        let other = |g: usize| {
            if n[g] > 0.0 && d2[g] > 0.0 && survival[g] > 0.0 {
                ties(d2[g], n[g]) * before[g] * before[g] * d2[g] / (n[g] * n[g])
            } else {
                0.0
            }
        };
        moments.push(Moment {
            a,
            c: c.clone(),
            after: survival.clone(),
            f0,
            first: (0..k).map(per).collect(),
            second: (0..k).map(other).collect(),
        });
    }
    let mut covariance = DMatrix::<f64>::zeros(k, k);
    for m in &moments {
        for r in 0..k {
            let ratio = if m.after[r] > 0.0 { (1.0 - m.f0) / m.after[r] } else { 0.0 };
            let of_first = if m.after[r] > 0.0 { 1.0 - ratio } else { 1.0 };
            for g in 0..k {
                for h in 0..k {
                    let left = |x: usize| c[(x, r)] - m.c[(x, r)];
                    let one = |x: usize| m.a[(x, r)] + of_first * left(x);
                    covariance[(g, h)] += one(g) * one(h) * m.first[r]
                        + ratio * ratio * left(g) * left(h) * m.second[r];
                }
            }
        }
    }
    GrayScore { score, covariance: covariance.transpose().iter().copied().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_cause() -> CauseCounts {
        CauseCounts {
            time: vec![1.0, 2.0, 3.0],
            n_risk: vec![5.0, 4.0, 2.0],
            events: vec![vec![1.0, 1.0, 1.0]],
            censored: vec![0.0, 1.0, 1.0],
        }
    }

    #[test]
    fn with_one_cause_incidence_is_one_minus_kaplan_meier() {
        let greenwood = |s: f64| s * s * (1.0 / 20.0 + 1.0 / 12.0 + 1.0 / 2.0);
        let s = 0.8 * 0.75 * 0.5;
        let found = one_cause().incidence(0, CauseVariance::Delta);
        assert!((found[2].estimate - (1.0 - s)).abs() < 1e-15);
        assert!((found[2].variance - greenwood(s)).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let mut counts = one_cause();
        counts.events = vec![vec![1.0, 0.0, 1.0], vec![0.0, 1.0, 0.0]];
        let last = |k| counts.incidence(k, CauseVariance::Aalen).last().unwrap().estimate;
        assert!((last(0) + last(1) - 0.7).abs() < 1e-15);
    }

    #[test]
    fn equal_groups_have_no_score() {
        let found = gray(&[one_cause(), one_cause()], 0, 0.0);
        assert!(found.score.iter().all(|s| s.abs() < 1e-12));
        let v = &found.covariance;
        assert!(v[0] > 0.0 && (v[0] + v[1]).abs() < 1e-9, "{v:?}");
    }
}
