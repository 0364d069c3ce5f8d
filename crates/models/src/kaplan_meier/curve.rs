//! One group's curve with its intervals, and the rows of the tables that are read off it.

use tributary_core::{
    cohort::ZeroRule,
    estimate::{Number, Status, Table},
    model::EventCounts,
    rows,
};
use tributary_stats::{
    beta_product::BetaProduct,
    distribution::{normal_point, normal_two_sided},
    event_table::TimeGrid,
    product_limit::{
        RestrictedMean, Step as CurveStep, interval, product_limit, quantile, restricted_mean,
    },
};

use super::Options;

rows! {
    /// The curve after a time at which somebody leaves.
    pub struct CurveRow in "curve" {
        pub group: String,
        pub time: Number,
        pub n_risk: Number,
        pub n_event: Number,
        pub n_censor: Number,
        pub estimate: Number as Share,
        pub std_error: Number as Share,
        pub conf_low: Number,
        pub conf_high: Number,
        pub bpcp_low: Number,
        pub bpcp_high: Number,
        pub status: Status,
    }

    /// Survival to a time that was asked for.
    pub struct Landmark in "times" {
        pub group: String,
        pub time_years: Number,
        pub n_risk: Number,
        pub n_event: Number,
        pub estimate: Number as Share,
        pub std_error: Number as Share,
        pub conf_low: Number,
        pub conf_high: Number,
        pub bpcp_low: Number,
        pub bpcp_high: Number,
        pub status: Status,
    }

    /// The time to which a share of the group has had the event, days.
    pub struct Quantile in "quantiles" {
        pub group: String,
        pub quantile: Number,
        pub estimate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }

    /// A restricted mean of a group, or two of them compared.
    pub struct MeanTime in "restricted_mean" {
        pub group: String,
        pub measure: String,
        pub tau_years: Number,
        pub estimate: Number,
        pub std_error: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub statistic: Number,
        pub p_value: Number,
        pub status: Status,
    }
}

/// Between two groups that are compared.
pub const MINUS: &str = " − ";

/// Below this number at risk the interval from Greenwood's variance is not to be trusted.
const SMALL_RISK_SET: f64 = 20.0;

/// Curve of one group with what its intervals need.
pub(super) struct Curve {
    pub(super) steps: Vec<CurveStep>,
    /// Beta product after each step.
    products: Vec<BetaProduct>,
    pub(super) persons: f64,
    pub(super) followed_to: f64,
}

impl Curve {
    pub(super) fn new(counts: &EventCounts, g: usize, grid: &TimeGrid, options: &Options) -> Self {
        let half_day = options.followup.zero == ZeroRule::HalfDay;
        let group = counts.group(g);
        let time: Vec<f64> = (0..grid.cells())
            .map(|j| match (grid.is_daily(), j) {
                (true, 0) if half_day => 0.5,
                (true, j) => grid.boundary(j),
                (false, j) => grid.boundary(j + 1),
            })
            .collect();
        let steps =
            product_limit(&time, &group.n_risk, &group.events, &group.censored, !grid.is_daily());
        let mut product = BetaProduct::default();
        let products = steps
            .iter()
            .map(|s| {
                product.observe(s.n_risk, s.n_event);
                product
            })
            .collect();
        Self {
            steps,
            products,
            persons: counts.persons(g),
            followed_to: counts.followed_to(g, grid),
        }
    }

    /// Estimate, standard error, interval, beta product interval and status after step `i`, or before the first step.
    fn at(&self, i: Option<usize>, options: &Options) -> ([Number; 6], Status) {
        let level = options.confidence_level.share();
        let (step, product, n_after) = match i {
            Some(i) => {
                let s = self.steps[i];
                (s, self.products[i], s.n_risk - s.n_event - s.n_censor)
            }
            None => {
                let start = CurveStep {
                    time: 0.0,
                    n_risk: self.persons,
                    n_event: 0.0,
                    n_censor: 0.0,
                    survival: 1.0,
                    log_variance: 0.0,
                };
                (start, BetaProduct::default(), self.persons)
            }
        };
        let greenwood = interval(&step, options.interval.scale(), level);
        let (status, at_border) = match step.survival {
            s if s <= 0.0 && step.n_risk > step.n_event => (Status::NoRiskSet, true),
            s if s <= 0.0 => (Status::Boundary, true),
            s if s >= 1.0 => (Status::OneSided, true),
            _ => (Status::Ok, false),
        };
        let small = at_border || step.n_risk < SMALL_RISK_SET;
        let beta = small.then(|| product.interval(n_after.max(0.0), level));
        // At S = 0 and S = 1 the beta product is the only interval there is.
        let shown = if at_border { beta } else { greenwood };
        let [low, high] = [shown.map(|ci| ci.0), shown.map(|ci| ci.1)];
        let [bpcp_low, bpcp_high] = [beta.map(|ci| ci.0), beta.map(|ci| ci.1)];
        let numbers = [Some(step.survival), Some(step.std_error()), low, high, bpcp_low, bpcp_high];
        (numbers, status)
    }

    /// Every step as a row.
    pub(super) fn rows(&self, group: &str, options: &Options) -> impl Iterator<Item = CurveRow> {
        self.steps.iter().enumerate().map(|(i, step)| {
            let (numbers, status) = self.at(Some(i), options);
            let [estimate, std_error, conf_low, conf_high, bpcp_low, bpcp_high] = numbers;
            CurveRow {
                group: group.into(),
                time: Some(step.time),
                n_risk: Some(step.n_risk),
                n_event: Some(step.n_event),
                n_censor: Some(step.n_censor),
                estimate,
                std_error,
                conf_low,
                conf_high,
                bpcp_low,
                bpcp_high,
                status,
            }
        })
    }

    pub(super) fn landmark(&self, group: &str, years: f64, options: &Options) -> Landmark {
        let days = years * options.followup.year.days();
        let last = self.steps.iter().rposition(|s| s.time <= days);
        let dead = self.steps.last().is_some_and(|s| s.survival <= 0.0);
        let (group, time_years) = (group.to_owned(), Some(years));
        if days > self.followed_to && !dead {
            let (n_risk, status) = (Some(0.0), Status::BeyondFollowup);
            return Landmark { group, time_years, n_risk, status, ..Landmark::default() };
        }
        // At risk just before `days`: at the next step, or what the last one left.
        let n_risk = match self.steps.iter().find(|s| s.time >= days) {
            Some(next) => next.n_risk,
            None => self.steps.last().map_or(self.persons, |s| s.n_risk - s.n_event - s.n_censor),
        };
        let events: f64 = self.steps[..last.map_or(0, |i| i + 1)].iter().map(|s| s.n_event).sum();
        let (numbers, status) = self.at(last, options);
        let [estimate, std_error, conf_low, conf_high, bpcp_low, bpcp_high] = numbers;
        Landmark {
            group,
            time_years,
            n_risk: Some(n_risk),
            n_event: Some(events),
            estimate,
            std_error,
            conf_low,
            conf_high,
            bpcp_low,
            bpcp_high,
            status,
        }
    }

    /// Limits of the restricted mean to `tau` days where Greenwood's variance is 0: up to τ nobody had the event, or all had it at
    /// once. Survival before the event is at least what the beta product allows for those at risk then, after it at most.
    fn border(&self, tau: f64, level: f64) -> [f64; 2] {
        let at_risk = |day: f64| match self.steps.iter().find(|s| s.time >= day) {
            Some(next) => next.n_risk,
            None => self.steps.last().map_or(self.persons, |s| s.n_risk - s.n_event - s.n_censor),
        };
        let lowest = |day: f64| BetaProduct::default().interval(at_risk(day), level).0;
        let first = self.steps.iter().position(|s| s.n_event > 0.0 && s.time < tau);
        match first {
            None => [lowest(tau) * tau, tau],
            Some(i) => {
                let day = self.steps[i].time;
                let (_, highest) = self.products[i].interval(0.0, level);
                [lowest(day) * day, day + highest * (tau - day)]
            }
        }
    }

    /// Restricted mean to `tau` days with its limits; `None` if nobody is followed that far.
    pub(super) fn mean(&self, tau: f64, level: f64) -> Option<Mean> {
        let RestrictedMean { mean, variance } =
            restricted_mean(&self.steps, tau, self.followed_to)?;
        let half = normal_point(level) * variance.sqrt();
        let limits =
            if variance > 0.0 { [mean - half, mean + half] } else { self.border(tau, level) };
        Some(Mean { value: mean, variance, limits })
    }

    pub(super) fn quantile(&self, group: &str, p: f64, options: &Options) -> Quantile {
        let q =
            quantile(&self.steps, p, options.interval.scale(), options.confidence_level.share());
        let status = match (q.time, q.low.is_some() && q.high.is_some()) {
            (None, _) => Status::BeyondFollowup,
            (Some(_), false) => Status::OneSided,
            (Some(_), true) => Status::Ok,
        };
        Quantile {
            group: group.into(),
            quantile: Some(p),
            estimate: q.time,
            conf_low: q.low,
            conf_high: q.high,
            status,
        }
    }
}

/// A restricted mean, or what is made of one, days.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean {
    value: f64,
    variance: f64,
    limits: [f64; 2],
}

impl Mean {
    /// Time lost to `tau`.
    fn lost(self, tau: f64) -> Self {
        let [low, high] = self.limits;
        Self { value: tau - self.value, limits: [tau - high, tau - low], ..self }
    }

    /// On the log scale; `None` where a mean is 0.
    fn log(self) -> Option<Self> {
        let variance = self.variance / (self.value * self.value);
        let limits = self.limits.map(|x| x.max(0.0).ln());
        (self.value > 0.0).then(|| Self { value: self.value.ln(), variance, limits })
    }

    /// The difference of two. Where one of them has no variance, its own limits stand in for it (Zou & Donner 2008).
    fn minus(self, other: Self, level: f64) -> Self {
        let (value, variance) = (self.value - other.value, self.variance + other.variance);
        let half = normal_point(level) * variance.sqrt();
        let limits = if self.variance > 0.0 && other.variance > 0.0 {
            [value - half, value + half]
        } else {
            let (a, b) = (self.limits, other.limits);
            let low = (self.value - a[0]).hypot(b[1] - other.value);
            let high = (a[1] - self.value).hypot(other.value - b[0]);
            [value - low, value + high]
        };
        Self { value, variance, limits }
    }
}

pub(super) fn restricted_mean_table(
    tau: f64,
    means: &[(&String, Option<Mean>)],
    options: &Options,
) -> Table {
    let mut rows = Vec::new();
    let (days, level) = (tau * options.followup.year.days(), options.confidence_level.share());
    let without = |group: &str, measure: &str, status: Status| MeanTime {
        group: group.into(),
        measure: measure.into(),
        tau_years: Some(tau),
        status,
        ..MeanTime::default()
    };
    let line = |group: &str, measure: &str, x: Mean, statistic: Number, status: Status| MeanTime {
        estimate: Some(x.value),
        std_error: (status == Status::Ok).then(|| x.variance.sqrt()),
        conf_low: Some(x.limits[0]),
        conf_high: Some(x.limits[1]),
        statistic,
        p_value: statistic.map(normal_two_sided),
        ..without(group, measure, status)
    };
    let status = |all: &[Mean]| {
        if all.iter().all(|m| m.variance > 0.0) { Status::Ok } else { Status::Boundary }
    };
    for (group, mean) in means {
        let Some(mean) = *mean else {
            rows.push(without(group, "mean", Status::BeyondFollowup));
            continue;
        };
        rows.push(line(group, "mean", mean, None, status(&[mean])));
        rows.push(line(group, "lost", mean.lost(days), None, status(&[mean])));
    }
    let Some((reference_group, reference)) = means.first() else {
        return Table::of(rows);
    };
    for (group, mean) in &means[1..] {
        let name = format!("{group}{MINUS}{reference_group}");
        let (Some(a), Some(b)) = (*mean, *reference) else {
            rows.push(without(&name, "difference", Status::BeyondFollowup));
            continue;
        };
        let status = status(&[a, b]);
        // At a border there is an interval, and no standard error to test by.
        let tested = |d: Mean| (status == Status::Ok).then(|| d.value / d.variance.sqrt());
        let d = a.minus(b, level);
        rows.push(line(&name, "difference", d, tested(d), status));
        let pairs = [("ratio", a, b), ("ratio of lost", a.lost(days), b.lost(days))];
        for (measure, x, y) in pairs {
            let (Some(x), Some(y)) = (x.log(), y.log()) else {
                rows.push(without(&name, measure, Status::Boundary));
                continue;
            };
            let d = x.minus(y, level);
            let ratio = d.value.exp();
            let limits = d.limits.map(f64::exp);
            let shown = Mean { value: ratio, variance: d.variance * ratio * ratio, limits };
            rows.push(line(&name, measure, shown, tested(d), status));
        }
    }
    Table::of(rows)
}
