//! Relative and net survival from pooled sums: Ederer I and II, Hakulinen, Pohar Perme; crude probabilities of death; the
//! log-rank-type test between groups.
//!
//! On a daily grid an estimate is a product over all days at whose end somebody is at risk: expected hazard counts to the time asked
//! for, as Λ_E is defined. (`relsurv::rs.surv` takes its steps where somebody leaves; with `add.times` on every day it gives these
//! numbers.) On a coarse grid it is the hazard form exp(−Σ h (D − E) / Y), as in `popEpi::survtab`. Net survival may rise and pass 1;
//! nothing is cut off.
//!
//! Sources: Ederer, Axtell & Cutler (1961); Hakulinen (1982); Pohar Perme, Stare & Estève (2012); Cronin & Feuer (2000); Grafféo,
//! Castell, Belot & Giorgi (2016).

use nalgebra::{DMatrix, DVector};

use super::{
    log_rank::Test,
    matrix::{invert, quadratic_form},
};

/// Estimator of relative or net survival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// Net survival, weighted by 1 / S_P.
    PoharPerme,
    /// Relative survival, expected over those at risk.
    Ederer2,
    /// Relative survival, expected over everybody at diagnosis.
    Ederer1,
    /// Relative survival, expected over those who could still be followed.
    Hakulinen,
}

/// Sums of one group, in the order of time. On a daily grid, entry 0 is time 0 and entry *j* the day that ends at *j*; on a
/// coarse one, entry *j* is cell *j*.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupSums {
    /// End of the entry, days.
    pub time: Vec<f64>,
    /// At risk just before (on a daily grid) or at the start (on a coarse one).
    pub n_risk: Vec<f64>,
    /// Deaths.
    pub deaths: Vec<f64>,
    /// Censored.
    pub censored: Vec<f64>,
    /// Person-days Y.
    pub person_days: Vec<f64>,
    /// Σ Y λ_P.
    pub expected: Vec<f64>,
    /// Σ Y w.
    pub weighted_time: Vec<f64>,
    /// Σ Y w λ_P.
    pub weighted_expected: Vec<f64>,
    /// Σ w over those at risk, at the end of the day.
    pub weighted_risk: Vec<f64>,
    /// Σ w over the deaths.
    pub weighted_deaths: Vec<f64>,
    /// Σ w² over the deaths.
    pub squared_deaths: Vec<f64>,
    /// Mean S_P over everybody at the end.
    pub cohort: Vec<f64>,
    /// Expected survival of those who could still be followed.
    pub potential: Vec<f64>,
}

/// The estimate at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Time, days.
    pub time: f64,
    /// At risk.
    pub n_risk: f64,
    /// Deaths.
    pub n_event: f64,
    /// Censored.
    pub n_censor: f64,
    /// Relative or net survival.
    pub estimate: f64,
    /// Variance of its logarithm.
    pub log_variance: f64,
}

impl GroupSums {
    /// Whether everybody has died in the end: no probability of death changes after it.
    pub fn is_exhausted(&self) -> bool {
        (0..self.time.len()).any(|j| self.n_risk[j] > 0.0 && self.deaths[j] >= self.n_risk[j])
    }

    /// Adds `other`, `weight` times: weighted sums give the estimate of Brenner's weighted patients. Squared weights enter the
    /// variance.
    pub fn add(&mut self, other: &Self, weight: f64) {
        if self.time.is_empty() {
            let zeros = || vec![0.0; other.time.len()];
            *self = Self {
                time: other.time.clone(),
                n_risk: zeros(),
                deaths: zeros(),
                censored: zeros(),
                person_days: zeros(),
                expected: zeros(),
                weighted_time: zeros(),
                weighted_expected: zeros(),
                weighted_risk: zeros(),
                weighted_deaths: zeros(),
                squared_deaths: zeros(),
                cohort: zeros(),
                potential: zeros(),
            };
        }
        let pairs = [
            (&mut self.n_risk, &other.n_risk, weight),
            (&mut self.deaths, &other.deaths, weight),
            (&mut self.censored, &other.censored, weight),
            (&mut self.person_days, &other.person_days, weight),
            (&mut self.expected, &other.expected, weight),
            (&mut self.weighted_time, &other.weighted_time, weight),
            (&mut self.weighted_expected, &other.weighted_expected, weight),
            (&mut self.weighted_risk, &other.weighted_risk, weight),
            (&mut self.weighted_deaths, &other.weighted_deaths, weight),
            (&mut self.squared_deaths, &other.squared_deaths, weight * weight),
        ];
        for (ours, theirs, weight) in pairs {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a += weight * b);
        }
    }

    /// The curve of one estimator, a point for each entry at which somebody is at risk. `exponential` takes exp(−Σ) instead of the product on a daily grid.
    pub fn curve(&self, estimator: Estimator, daily: bool, exponential: bool) -> Vec<Point> {
        let mut points = Vec::new();
        let (mut log, mut survival, mut variance) = (0.0, 1.0, 0.0);
        for j in 0..self.time.len() {
            let (n, d, c) = (self.n_risk[j], self.deaths[j], self.censored[j]);
            let net = estimator == Estimator::PoharPerme;
            let (time, expected) = if net {
                (self.weighted_time[j], self.weighted_expected[j])
            } else {
                (self.person_days[j], self.expected[j])
            };
            let relative = matches!(estimator, Estimator::PoharPerme | Estimator::Ederer2);
            let background = if relative && time > 0.0 { expected / time } else { 0.0 };
            let (deaths, squared) =
                if net { (self.weighted_deaths[j], self.squared_deaths[j]) } else { (d, d) };
            let risk = match (daily, net) {
                (true, true) => self.weighted_risk[j],
                (true, false) => n,
                (false, _) => time / self.width(j),
            };
            if n <= 0.0 {
                continue;
            }
            let hazard = if risk > 0.0 { deaths / risk } else { 0.0 };
            // Background is per day; on a coarse grid a cell has as many days as it is wide.
            let days = if daily { 1.0 } else { self.width(j) };
            let excess = hazard - background * days;
            log -= excess;
            survival *= 1.0 - excess;
            if risk > 0.0 {
                variance += squared / (risk * risk);
            }
            let observed = if daily && !exponential { survival } else { log.exp() };
            let estimate = match estimator {
                Estimator::PoharPerme | Estimator::Ederer2 => observed,
                Estimator::Ederer1 => observed / self.cohort[j],
                Estimator::Hakulinen => observed / self.potential[j],
            };
            points.push(Point {
                time: self.time[j],
                n_risk: n,
                n_event: d,
                n_censor: c,
                estimate,
                log_variance: variance,
            });
        }
        points
    }

    fn width(&self, j: usize) -> f64 {
        self.time[j] - if j == 0 { 0.0 } else { self.time[j - 1] }
    }
}

/// Probabilities of death from the disease and from other causes by `time`, in the presence of each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrudeProbability {
    /// Time, days.
    pub time: f64,
    /// From the disease, with its variance.
    pub disease: [f64; 2],
    /// From other causes, with its variance.
    pub other: [f64; 2],
}

/// Crude probabilities at `times` (ascending) on a daily grid: F_C = ∫ S(u−) dΛ_E, F_P = ∫ S(u−) dΛ_P. The variance is that
/// of the functional of the observed hazard, Σ (S(u−) − F(t) + F(u))² dN / Y², with the life table taken as known.
pub fn crude_probabilities(sums: &GroupSums, times: &[f64]) -> Vec<CrudeProbability> {
    let (mut survival, mut disease, mut other) = (1.0, 0.0, 0.0);
    // Survival before, F_C and F_P after, dN / Y² of each day with a death.
    let mut deaths: Vec<[f64; 4]> = Vec::new();
    let mut found = Vec::new();
    let mut next = 0;
    for j in 0..sums.time.len() {
        while next < times.len() && times[next] < sums.time[j] {
            found.push(at(times[next], disease, other, &deaths));
            next += 1;
        }
        let n = sums.n_risk[j];
        if n <= 0.0 {
            continue;
        }
        let days = sums.person_days[j];
        let background = if days > 0.0 { sums.expected[j] / days } else { 0.0 };
        let hazard = sums.deaths[j] / n;
        other += survival * background;
        disease += survival * (hazard - background);
        if sums.deaths[j] > 0.0 {
            deaths.push([survival, disease, other, sums.deaths[j] / (n * n)]);
        }
        survival *= 1.0 - hazard;
    }
    found.extend(times[next..].iter().map(|t| at(*t, disease, other, &deaths)));
    found
}

fn at(time: f64, disease: f64, other: f64, deaths: &[[f64; 4]]) -> CrudeProbability {
    let of_disease = |d: &[f64; 4]| (d[0] - (disease - d[1])).powi(2) * d[3];
    let of_other = |d: &[f64; 4]| (other - d[2]).powi(2) * d[3];
    CrudeProbability {
        time,
        disease: [disease, deaths.iter().map(of_disease).sum()],
        other: [other, deaths.iter().map(of_other).sum()],
    }
}

/// Log-rank-type test of equal excess hazards on a daily grid, with the weights of Pohar Perme.
pub fn compare(groups: &[GroupSums]) -> Test {
    let k = groups.len();
    let mut score = vec![0.0; k];
    let mut covariance = DMatrix::<f64>::zeros(k, k);
    let entries = groups.iter().map(|g| g.time.len()).min().unwrap_or(0);
    for j in 0..entries {
        let risk: Vec<f64> = groups.iter().map(|g| g.weighted_risk[j]).collect();
        let total: f64 = risk.iter().sum();
        if total <= 0.0 {
            continue;
        }
        let excess: Vec<f64> =
            groups.iter().map(|g| g.weighted_deaths[j] - g.weighted_expected[j]).collect();
        let all: f64 = excess.iter().sum();
        for g in 0..k {
            score[g] += excess[g] - risk[g] / total * all;
        }
        for (h, group) in groups.iter().enumerate() {
            let squared = group.squared_deaths[j];
            if squared > 0.0 {
                let share = |g: usize| f64::from(u8::from(g == h)) - risk[g] / total;
                for a in 0..k {
                    for b in 0..k {
                        covariance[(a, b)] += squared * share(a) * share(b);
                    }
                }
            }
        }
    }
    // The scores add up to 0: the last group carries no information of its own.
    let m = k.saturating_sub(1);
    let inverse = invert(&covariance.view((0, 0), (m, m)).into_owned());
    let u = DVector::from_column_slice(&score[..m]);
    Test { statistic: quadratic_form(&u, &inverse).max(0.0), df: inverse.rank }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(background: f64) -> GroupSums {
        let w = |t: f64| (background * t).exp();
        let n = [10.0, 10.0, 9.0, 9.0];
        let deaths = [0.0, 1.0, 0.0, 2.0];
        let each = |f: &dyn Fn(usize) -> f64| (0..4).map(f).collect::<Vec<f64>>();
        GroupSums {
            time: vec![0.0, 1.0, 2.0, 3.0],
            n_risk: n.to_vec(),
            deaths: deaths.to_vec(),
            censored: vec![0.0, 0.0, 0.0, 7.0],
            person_days: each(&|j| if j == 0 { 0.0 } else { n[j] }),
            expected: each(&|j| if j == 0 { 0.0 } else { n[j] * background }),
            weighted_time: each(&|j| if j == 0 { 0.0 } else { n[j] * w(j as f64 - 0.5) }),
            weighted_expected: each(&|j| {
                if j == 0 { 0.0 } else { n[j] * w(j as f64 - 0.5) * background }
            }),
            weighted_risk: each(&|j| n[j] * w(j as f64)),
            weighted_deaths: each(&|j| deaths[j] * w(j as f64)),
            squared_deaths: each(&|j| deaths[j] * w(2.0 * j as f64)),
            cohort: each(&|j| 1.0 / w(j as f64)),
            potential: each(&|j| 1.0 / w(j as f64)),
        }
    }

    #[test]
    fn without_background_all_estimators_are_kaplan_meier() {
        let kaplan_meier = 0.9 * (7.0 / 9.0);
        for estimator in
            [Estimator::PoharPerme, Estimator::Ederer2, Estimator::Ederer1, Estimator::Hakulinen]
        {
            let curve = sums(0.0).curve(estimator, true, false);
            assert!((curve.last().unwrap().estimate - kaplan_meier).abs() < 1e-15, "{estimator:?}");
        }
        let crude = crude_probabilities(&sums(0.0), &[3.0]);
        assert!((crude[0].disease[0] - (1.0 - kaplan_meier)).abs() < 1e-15);
        assert_eq!(crude[0].other, [0.0, 0.0]);
    }

    #[test]
    fn crude_probabilities_and_survival_add_up_to_one() {
        let crude = crude_probabilities(&sums(0.01), &[2.5, 3.0, 9.0]);
        assert!((crude[1].disease[0] + crude[1].other[0] - (1.0 - 0.7)).abs() < 1e-12);
        assert_eq!(crude[1].disease, crude[2].disease);
        assert!(crude[0].other[0] > 0.0 && crude[0].other[0] < crude[1].other[0]);
    }

    #[test]
    fn equal_groups_do_not_differ() {
        let test = compare(&[sums(0.01), sums(0.01)]);
        assert_eq!(test.df, 1);
        assert!(test.statistic < 1e-20);
    }
}
