//! One group's curve with its intervals, and the rows of the tables that are read off it.

use tributary_core::{
    cohort::ZeroRule,
    estimate::{Status, Table, Value},
    model::EventCounts,
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
    pub(super) fn at(&self, i: Option<usize>, options: &Options) -> Vec<Value> {
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
        vec![
            step.survival.into(),
            step.std_error().into(),
            shown.map(|ci| ci.0).into(),
            shown.map(|ci| ci.1).into(),
            beta.map(|ci| ci.0).into(),
            beta.map(|ci| ci.1).into(),
            status.into(),
        ]
    }

    pub(super) fn landmark(&self, group: &str, years: f64, options: &Options) -> Vec<Value> {
        let days = years * options.followup.year.days();
        let last = self.steps.iter().rposition(|s| s.time <= days);
        let dead = self.steps.last().is_some_and(|s| s.survival <= 0.0);
        let head =
            |n_risk: Value, n_event: Value| vec![group.into(), years.into(), n_risk, n_event];
        if days > self.followed_to && !dead {
            let mut row = head(0.0.into(), Value::None);
            row.resize(10, Value::None);
            row.push(Status::BeyondFollowup.into());
            return row;
        }
        // At risk just before `days`: at the next step, or what the last one left.
        let n_risk = match self.steps.iter().find(|s| s.time >= days) {
            Some(next) => next.n_risk,
            None => self.steps.last().map_or(self.persons, |s| s.n_risk - s.n_event - s.n_censor),
        };
        let events: f64 = self.steps[..last.map_or(0, |i| i + 1)].iter().map(|s| s.n_event).sum();
        head(n_risk.into(), events.into()).into_iter().chain(self.at(last, options)).collect()
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

    pub(super) fn quantile(&self, group: &str, p: f64, options: &Options) -> Vec<Value> {
        let q =
            quantile(&self.steps, p, options.interval.scale(), options.confidence_level.share());
        let status = match (q.time, q.low.is_some() && q.high.is_some()) {
            (None, _) => Status::BeyondFollowup,
            (Some(_), false) => Status::OneSided,
            (Some(_), true) => Status::Ok,
        };
        vec![group.into(), p.into(), q.time.into(), q.low.into(), q.high.into(), status.into()]
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
    let columns = [
        "group",
        "measure",
        "tau_years",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "statistic",
        "p_value",
        "status",
    ];
    let mut table = Table::new("restricted_mean", &columns);
    let (days, level) = (tau * options.followup.year.days(), options.confidence_level.share());
    let without = |group: &str, measure: &str, status: Status| {
        let mut row = vec![Value::from(group), measure.into(), tau.into()];
        row.resize(9, Value::None);
        row.push(status.into());
        row
    };
    let line = |group: &str, measure: &str, x: Mean, statistic: Option<f64>, status: Status| {
        let std_error = (status == Status::Ok).then(|| x.variance.sqrt());
        vec![
            group.into(),
            measure.into(),
            tau.into(),
            x.value.into(),
            std_error.into(),
            x.limits[0].into(),
            x.limits[1].into(),
            statistic.into(),
            statistic.map(normal_two_sided).into(),
            status.into(),
        ]
    };
    let status = |all: &[Mean]| {
        if all.iter().all(|m| m.variance > 0.0) { Status::Ok } else { Status::Boundary }
    };
    for (group, mean) in means {
        let Some(mean) = *mean else {
            table.push(without(group, "mean", Status::BeyondFollowup));
            continue;
        };
        table.push(line(group, "mean", mean, None, status(&[mean])));
        table.push(line(group, "lost", mean.lost(days), None, status(&[mean])));
    }
    let Some((reference_group, reference)) = means.first() else { return table };
    for (group, mean) in &means[1..] {
        let name = format!("{group} − {reference_group}");
        let (Some(a), Some(b)) = (*mean, *reference) else {
            table.push(without(&name, "difference", Status::BeyondFollowup));
            continue;
        };
        let status = status(&[a, b]);
        // At a border there is an interval, and no standard error to test by.
        let tested = |d: Mean| (status == Status::Ok).then(|| d.value / d.variance.sqrt());
        let d = a.minus(b, level);
        table.push(line(&name, "difference", d, tested(d), status));
        let pairs = [("ratio", a, b), ("ratio of lost", a.lost(days), b.lost(days))];
        for (measure, x, y) in pairs {
            let (Some(x), Some(y)) = (x.log(), y.log()) else {
                table.push(without(&name, measure, Status::Boundary));
                continue;
            };
            let d = x.minus(y, level);
            let ratio = d.value.exp();
            let limits = d.limits.map(f64::exp);
            let shown = Mean { value: ratio, variance: d.variance * ratio * ratio, limits };
            table.push(line(&name, measure, shown, tested(d), status));
        }
    }
    table
}
