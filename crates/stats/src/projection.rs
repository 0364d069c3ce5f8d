//! Projection of rates by age, period and cohort (Nordpred).
//!
//! The rate of an age band in a period is A + D·p + P + C, under the fifth power or the exponential; P and C vanish at their first and
//! last levels, so that D is the change from first to last. The drift goes on into the future, cut period by period; ages below those
//! of the model keep the mean rate of the last two periods.
//!
//! Sources: Møller et al. (2003); Møller, Weedon-Fekjær & Haldorsen (2005). The interval, which they do not give, is that of the
//! estimates (delta method) and of Poisson counts.

use nalgebra::{DMatrix, DVector};

use super::{distribution::chi_squared_upper, matrix::invert};

/// What turns the linear predictor into a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Fifth power: rates grow less than exponentially.
    FifthPower,
    /// Exponential.
    Log,
}

impl Link {
    fn rate(self, eta: f64) -> f64 {
        match self {
            Self::FifthPower => eta.max(0.0).powi(5),
            Self::Log => eta.exp(),
        }
    }

    fn slope(self, eta: f64) -> f64 {
        match self {
            Self::FifthPower => 5.0 * eta.max(0.0).powi(4),
            Self::Log => eta.exp(),
        }
    }

    fn of_rate(self, rate: f64) -> f64 {
        match self {
            Self::FifthPower => rate.powf(0.2),
            Self::Log => rate.ln(),
        }
    }
}

/// Cases and person-years: a row per age band, a column per period, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Cases.
    pub cases: DMatrix<f64>,
    /// Person-years.
    pub person_years: DMatrix<f64>,
}

impl Observed {
    fn bands(&self) -> usize {
        self.cases.nrows()
    }

    fn periods(&self) -> usize {
        self.cases.ncols()
    }
}

/// A fit to the last periods and the oldest age bands.
#[derive(Debug, Clone)]
pub struct Fit {
    link: Link,
    /// First age band of the model.
    pub first: usize,
    /// Number of periods it was fitted to.
    pub base: usize,
    /// Residual deviance and its degrees of freedom.
    pub deviance: (f64, f64),
    /// Probability of a larger deviance if the model holds.
    pub p_value: f64,
    /// Probability of so much curvature of the trend if it is straight.
    pub curvature_p_value: f64,
    theta: DVector<f64>,
    covariance: DMatrix<f64>,
}

/// Rates of one future period.
#[derive(Debug, Clone)]
pub struct Future {
    /// Rate of each age band.
    pub rates: Vec<f64>,
    /// Derivatives of each rate by the coefficients.
    gradients: Vec<DVector<f64>>,
    /// Variance of rates that are means of the last two periods; 0 for those of the model.
    variances: Vec<f64>,
    /// Bands whose trend falls through zero: their rate is 0, and its interval says nothing.
    pub exhausted: Vec<bool>,
}

struct Glm {
    theta: DVector<f64>,
    covariance: DMatrix<f64>,
    deviance: f64,
    pearson: f64,
}

/// Poisson regression with either link by Fisher's scoring. `None` if a coefficient cannot be told or the search does not end.
fn regress(link: Link, x: &[DVector<f64>], cases: &[f64], time: &[f64]) -> Option<Glm> {
    let p = x.first()?.len();
    if x.len() < p {
        return None;
    }
    let deviance = |eta: &[f64]| -> f64 {
        let one = |i: usize| {
            let mu = time[i] * link.rate(eta[i]);
            let gain = if cases[i] > 0.0 { cases[i] * (cases[i] / mu).ln() } else { 0.0 };
            2.0 * (gain - cases[i] + mu)
        };
        (0..x.len()).map(one).sum()
    };
    let step = |eta: &[f64]| -> (DVector<f64>, DMatrix<f64>, usize) {
        let (mut xx, mut xz) = (DMatrix::zeros(p, p), DVector::zeros(p));
        for (i, row) in x.iter().enumerate() {
            let (mu, slope) = (time[i] * link.rate(eta[i]), time[i] * link.slope(eta[i]));
            if mu <= 0.0 || slope <= 0.0 {
                continue;
            }
            let w = slope * slope / mu;
            let z = eta[i] + (cases[i] - mu) / slope;
            xx.ger(w, row, row, 1.0);
            xz.axpy(w * z, row, 1.0);
        }
        let inverse = invert(&xx);
        (&inverse.matrix * xz, inverse.matrix, inverse.rank)
    };
    let mut eta: Vec<f64> =
        (0..x.len()).map(|i| link.of_rate((cases[i] + 0.1) / time[i])).collect();
    let mut theta: Option<DVector<f64>> = None;
    let mut last = f64::INFINITY;
    for _ in 0..200 {
        let (mut next, covariance, rank) = step(&eta);
        if rank < p {
            return None;
        }
        let predict =
            |theta: &DVector<f64>| -> Vec<f64> { x.iter().map(|r| r.dot(theta)).collect() };
        let mut tried = predict(&next);
        let mut now = deviance(&tried);
        if let Some(theta) = &theta {
            let mut halvings = 0;
            while (now.is_nan() || now > last + 1e-9 * (1.0 + last.abs())) && halvings < 40 {
                next = (&next + theta) * 0.5;
                tried = predict(&next);
                now = deviance(&tried);
                halvings += 1;
            }
        }
        let moved = theta.as_ref().map_or(f64::INFINITY, |t| (&next - t).amax());
        let size = next.amax();
        if !now.is_finite() {
            return None;
        }
        (eta, last, theta) = (tried, now, Some(next.clone()));
        if moved <= 1e-11 * size {
            let pearson = (0..x.len()).map(|i| {
                let mu = time[i] * link.rate(eta[i]);
                (cases[i] - mu).powi(2) / mu
            });
            return Some(Glm { theta: next, covariance, deviance: now, pearson: pearson.sum() });
        }
    }
    None
}

/// Row of the design: age bands, drift, periods and cohorts without their first and last levels.
fn design(
    ages: usize,
    periods: usize,
    age: usize,
    at: f64,
    period: Option<usize>,
    cohort: Option<usize>,
) -> DVector<f64> {
    let cohorts = ages + periods - 1;
    let mut row = DVector::zeros(ages + 1 + (periods - 2) + (cohorts - 2));
    row[age] = 1.0;
    row[ages] = at;
    if let Some(p) = period.filter(|p| (1..periods - 1).contains(p)) {
        row[ages + p] = 1.0;
    }
    if let Some(c) = cohort.filter(|c| (1..cohorts - 1).contains(c)) {
        row[ages + periods - 2 + c] = 1.0;
    }
    row
}

/// Fits the last `base` periods of the age bands from `first` on. `None` if there are fewer than three periods or two bands, a cell has
/// no person-years, or the cases do not tell the coefficients.
pub fn fit(data: &Observed, base: usize, first: usize, link: Link) -> Option<Fit> {
    let (bands, periods) = (data.bands(), data.periods());
    if base < 3 || base > periods || first + 2 > bands {
        return None;
    }
    let ages = bands - first;
    let (mut full, mut straight, mut bent) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cases, mut time) = (Vec::new(), Vec::new());
    for p in 0..base {
        for a in 0..ages {
            let at = (first + a, periods - base + p);
            let years = data.person_years[at];
            if years <= 0.0 {
                return None;
            }
            let calendar = (periods - base + p + 1) as f64;
            let cohort = ages - 1 - a + p;
            full.push(design(ages, base, a, calendar, Some(p), Some(cohort)));
            let line = design(ages, base, a, calendar, None, Some(cohort));
            straight.push(line.clone().remove_rows(ages + 1, base - 2));
            let mut curve = line.remove_rows(ages + 1, base - 3);
            curve[ages + 1] = calendar * calendar;
            bent.push(curve);
            cases.push(data.cases[at]);
            time.push(years);
        }
    }
    let found = regress(link, &full, &cases, &time)?;
    let (a, b) = (regress(link, &straight, &cases, &time)?, regress(link, &bent, &cases, &time)?);
    let df = (full.len() - found.theta.len()) as f64;
    // More spread than Poisson's widens the intervals, less does not narrow them.
    let spread = if df > 0.0 { (found.pearson / df).max(1.0) } else { 1.0 };
    Some(Fit {
        link,
        first,
        base,
        deviance: (found.deviance, df),
        p_value: chi_squared_upper(found.deviance, df),
        curvature_p_value: chi_squared_upper((a.deviance - b.deviance).max(0.0), 1.0),
        theta: found.theta,
        covariance: found.covariance * spread,
    })
}

/// The longest base from `most` down to `fewest` periods whose fit is not rejected at one per cent, else the shortest.
pub fn choose(
    data: &Observed,
    [fewest, most]: [usize; 2],
    first: usize,
    link: Link,
) -> Option<Fit> {
    let bases = (fewest..=most.min(data.periods())).rev();
    let mut last = None;
    for found in bases.filter_map(|base| fit(data, base, first, link)) {
        if found.p_value > 0.01 {
            return Some(found);
        }
        last = Some(found);
    }
    last
}

impl Fit {
    /// Rates of the next periods, one for each cut of the drift (0 keeps it, 1 stops it); `recent` takes the drift of the last two
    /// periods in place of that of the whole base. Bands before `used` keep the mean of the last two periods.
    pub fn project(&self, data: &Observed, used: usize, recent: bool, cuts: &[f64]) -> Vec<Future> {
        let (bands, periods) = (data.bands(), data.periods());
        let ages = bands - self.first;
        let cohorts = ages + self.base - 1;
        let mut passed = 0.0;
        let mut future = Vec::new();
        for (j, cut) in cuts.iter().enumerate() {
            passed += 1.0 - cut;
            let mut period = Future {
                rates: Vec::new(),
                gradients: Vec::new(),
                variances: Vec::new(),
                exhausted: Vec::new(),
            };
            for band in 0..bands {
                if band < used {
                    let (rate, variance) = mean_of_last_two(data, band);
                    period.rates.push(rate);
                    period.variances.push(variance);
                    period.gradients.push(DVector::zeros(self.theta.len()));
                    period.exhausted.push(false);
                    continue;
                }
                let age = band - self.first;
                let own = ages - 1 - age + self.base + j;
                // The youngest cohorts have no estimate of their own.
                let cohort =
                    if own + 1 < cohorts { own } else { cohorts - 1 - (used - self.first) };
                let at = periods as f64 + passed;
                let mut row = design(ages, self.base, age, at, None, Some(cohort));
                if recent {
                    row -= design(ages, self.base, age, 0.0, Some(self.base - 2), None) * passed;
                    row[age] = 1.0;
                }
                let eta = row.dot(&self.theta);
                period.rates.push(self.link.rate(eta));
                period.variances.push(0.0);
                period.exhausted.push(self.link == Link::FifthPower && eta <= 0.0);
                period.gradients.push(row * self.link.slope(eta));
            }
            future.push(period);
        }
        future
    }

    /// Variance of Σ weight × rate that the estimates leave.
    pub fn variance(&self, future: &Future, weights: &[f64]) -> f64 {
        let mut gradient = DVector::zeros(self.theta.len());
        let mut own = 0.0;
        for ((g, v), w) in future.gradients.iter().zip(&future.variances).zip(weights) {
            gradient.axpy(*w, g, 1.0);
            own += w * w * v;
        }
        (gradient.transpose() * &self.covariance * &gradient)[(0, 0)].max(0.0) + own
    }
}

/// Mean rate of the last two periods and its variance; a period without person-years counts as rate 0, as in Nordpred.
pub fn mean_of_last_two(data: &Observed, band: usize) -> (f64, f64) {
    let periods = data.periods();
    let last = periods.saturating_sub(2)..periods;
    last.fold((0.0, 0.0), |(rate, variance), p| {
        let (d, y) = (data.cases[(band, p)], data.person_years[(band, p)]);
        if y > 0.0 { (rate + 0.5 * d / y, variance + 0.25 * d / (y * y)) } else { (rate, variance) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates that follow the model exactly are fitted exactly and go on as the model says.
    #[test]
    fn an_exact_trend_goes_on() {
        let rate = |a: f64, p: f64| (0.1 + 0.02 * a + 0.01 * p).powi(5);
        let years = DMatrix::from_element(6, 5, 1e8);
        let cases = DMatrix::from_fn(6, 5, |a, p| 1e8 * rate(a as f64, (p + 1) as f64));
        let data = Observed { cases, person_years: years };
        let found = fit(&data, 4, 1, Link::FifthPower).unwrap();
        assert!(found.deviance.0 < 1e-6 && found.p_value > 0.999, "{:?}", found.deviance);
        for recent in [false, true] {
            let future = found.project(&data, 2, recent, &[0.0, 0.25, 0.5]);
            for (period, passed) in future.iter().zip([1.0, 1.75, 2.25]) {
                for age in 2..6 {
                    let wanted = rate(age as f64, 5.0 + passed);
                    assert!((period.rates[age] / wanted - 1.0).abs() < 1e-7, "{age} {passed}");
                }
                let wanted = f64::midpoint(rate(1.0, 4.0), rate(1.0, 5.0));
                assert!((period.rates[1] / wanted - 1.0).abs() < 1e-12);
                assert!(found.variance(period, &[1.0; 6]) > 0.0);
            }
        }
    }

    /// A trend that falls through zero ends there, and says so.
    #[test]
    fn a_trend_through_zero_ends_at_zero() {
        let rate = |a: f64, p: f64| (0.06 + 0.02 * a - 0.015 * p).max(0.0).powi(5);
        let years = DMatrix::from_element(6, 4, 1e9);
        let cases = DMatrix::from_fn(6, 4, |a, p| 1e9 * rate(a as f64, (p + 1) as f64));
        let data = Observed { cases, person_years: years };
        let found = fit(&data, 3, 3, Link::FifthPower).unwrap();
        let future = found.project(&data, 4, false, &[0.0; 10]);
        assert!(future[0].exhausted.iter().all(|e| !e));
        let last = &future[9];
        assert!(last.exhausted[4] && last.rates[4] == 0.0, "{:?}", last.rates);
        assert!(!last.exhausted[0]);
    }

    #[test]
    fn too_little_is_no_fit() {
        let none = DMatrix::zeros(4, 5);
        let data = Observed { cases: none, person_years: DMatrix::from_element(4, 5, 1e3) };
        assert!(choose(&data, [4, 5], 1, Link::Log).is_none_or(|f| f.deviance.0 < 1e-3));
        assert!(fit(&data, 2, 1, Link::Log).is_none());
        assert!(fit(&data, 4, 3, Link::Log).is_none());
        let empty = Observed { person_years: DMatrix::zeros(4, 5), ..data };
        assert!(fit(&empty, 4, 1, Link::FifthPower).is_none());
    }
}
