//! One group's curve with its intervals, and the rows of the tables that are read off it.

use super::{DAYS_PER_YEAR, Options};
use crate::{
    cohort::ZeroRule,
    estimate::{Status, Table, Value},
    model::EventCounts,
    stats::{
        beta_product::BetaProduct,
        distribution::{normal_point, normal_two_sided},
        event_table::TimeGrid,
        product_limit::{RestrictedMean, Step as CurveStep, interval, product_limit, quantile},
    },
};

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
        let half_day = options.followup.as_ref().is_none_or(|f| f.zero == ZeroRule::HalfDay);
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
        let level = options.level();
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
        let days = years * DAYS_PER_YEAR;
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

    /// Lowest S at the end of the curve that the beta product interval allows.
    pub(super) fn lowest(&self, level: f64) -> f64 {
        let product = self.products.last().copied().unwrap_or_default();
        let left = self.steps.last().map_or(self.persons, |s| s.n_risk - s.n_event - s.n_censor);
        // Somebody followed to the very end was at risk there.
        let left = left.max(self.steps.last().map_or(0.0, |s| s.n_censor));
        product.interval(left, level).0
    }

    pub(super) fn quantile(&self, group: &str, p: f64, options: &Options) -> Vec<Value> {
        let q = quantile(&self.steps, p, options.interval.scale(), options.level());
        let status = match (q.time, q.low.is_some() && q.high.is_some()) {
            (None, _) => Status::BeyondFollowup,
            (Some(_), false) => Status::OneSided,
            (Some(_), true) => Status::Ok,
        };
        vec![group.into(), p.into(), q.time.into(), q.low.into(), q.high.into(), status.into()]
    }
}

/// A group, its restricted mean, and the lowest survival that the beta product interval allows at τ.
pub(super) type Mean<'a> = (&'a String, Option<RestrictedMean>, f64);

pub(super) fn restricted_mean_table(tau: f64, means: &[Mean<'_>], level: f64) -> Table {
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
    let z = normal_point(level);
    let days = tau * DAYS_PER_YEAR;
    let beyond = |group: &str, measure: &str| {
        let mut row = vec![Value::from(group), measure.into(), tau.into()];
        row.resize(9, Value::None);
        row.push(Status::BeyondFollowup.into());
        row
    };
    let line = |group: &str, measure: &str, x: f64, se: f64, limits: [f64; 2], z: Option<f64>| {
        let status = if se > 0.0 { Status::Ok } else { Status::Boundary };
        let statistic = z.filter(|z| z.is_finite());
        vec![
            group.into(),
            measure.into(),
            tau.into(),
            x.into(),
            se.into(),
            limits[0].into(),
            limits[1].into(),
            statistic.into(),
            statistic.map(normal_two_sided).into(),
            status.into(),
        ]
    };
    let wald = |x: f64, se: f64| [x - z * se, x + z * se];
    for (group, mean, lowest) in means {
        let Some(m) = mean else {
            table.push(beyond(group, "mean"));
            continue;
        };
        let se = m.variance.sqrt();
        // Nobody had the event: survival is at least what the beta product allows at the end.
        let limits = if se > 0.0 { wald(m.mean, se) } else { [lowest * days, m.mean] };
        table.push(line(group, "mean", m.mean, se, limits, None));
        table.push(line(
            group,
            "lost",
            days - m.mean,
            se,
            [days - limits[1], days - limits[0]],
            None,
        ));
    }
    let Some((reference_group, reference, _)) = means.first() else { return table };
    for (group, mean, _) in &means[1..] {
        let name = format!("{group} − {reference_group}");
        let (Some(a), Some(b)) = (mean, reference) else {
            table.push(beyond(&name, "difference"));
            continue;
        };
        let (d, se) = (a.mean - b.mean, (a.variance + b.variance).sqrt());
        table.push(line(&name, "difference", d, se, wald(d, se), Some(d / se)));
        let ratios = [("ratio", a.mean, b.mean), ("ratio of lost", days - a.mean, days - b.mean)];
        for (measure, x, y) in ratios {
            if x > 0.0 && y > 0.0 {
                let log = (x / y).ln();
                let se = (a.variance / (x * x) + b.variance / (y * y)).sqrt();
                let limits = wald(log, se).map(f64::exp);
                table.push(line(&name, measure, x / y, se * x / y, limits, Some(log / se)));
            }
        }
    }
    table
}
