//! Tables of a projection: what was seen, what is expected, and why it changes.

use nalgebra::DMatrix;
use tributary_core::{
    cohort::Incidence,
    estimate::{Estimate, Notice, Status, Table, Value},
    model::period_name,
};
use tributary_stats::{
    distribution::normal_point,
    projection::{Fit, Future, Link, Observed, choose, mean_of_last_two},
    rate::{RateInterval, WeightedRate},
};

use super::{Drift, Options, Scale};

/// Tables of the result.
pub(super) struct Tables {
    pub(super) base: Table,
    pub(super) projection: Table,
    pub(super) standardised: Table,
    pub(super) change: Table,
}

impl Tables {
    pub(super) fn new() -> Self {
        let with = |name: &str, rest: &[&'static str]| {
            Table::new(name, &[&["group", "sex"][..], rest].concat()).worded(&["period", "age"])
        };
        Self {
            base: with(
                "base",
                &[
                    "periods",
                    "from_age",
                    "deviance",
                    "df",
                    "p_value",
                    "curvature_p_value",
                    "drift",
                    "status",
                ],
            ),
            projection: with(
                "projection",
                &[
                    "period",
                    "source",
                    "age",
                    "cases",
                    "cases_low",
                    "cases_high",
                    "person_years",
                    "rate",
                    "rate_low",
                    "rate_high",
                    "status",
                ],
            ),
            standardised: with(
                "standardised_rates",
                &[
                    "period",
                    "year",
                    "source",
                    "rate",
                    "conf_low",
                    "conf_high",
                    "modelled",
                    "status",
                ],
            ),
            change: with(
                "change",
                &["period", "cases", "change_percent", "by_risk_percent", "by_population_percent"],
            ),
        }
    }
}

/// One group and sex: what was seen, and what is expected.
pub(super) struct Line<'a> {
    pub(super) head: [Value; 2],
    pub(super) observed: Observed,
    /// Person-years of the periods to come.
    pub(super) coming: DMatrix<f64>,
    /// Whether the count of a period and band (or all ages) is hidden.
    pub(super) hides: &'a dyn Fn(usize, Option<usize>) -> bool,
}

impl Line<'_> {
    fn row(&self, cells: impl IntoIterator<Item = Value>) -> Vec<Value> {
        self.head.iter().cloned().chain(cells).collect()
    }

    /// The youngest band from which on every band up to that with the most cases has ten in a period on average.
    fn first_band(&self, options: &Options, layout: &Incidence) -> usize {
        if let Some(from) = options.model_from_age {
            return layout.ages.iter().position(|a| *a == from).unwrap_or(0);
        }
        let periods = self.observed.cases.ncols();
        let last = options.base_periods[1].min(periods);
        let enough = |band: usize| {
            let row = self.observed.cases.row(band);
            row.iter().skip(periods - last).sum::<f64>() >= 10.0 * last as f64
        };
        let cases = |band: usize| self.observed.cases.row(band).sum();
        let bands = 0..layout.ages.len();
        let peak = bands.max_by(|a, b| cases(*a).total_cmp(&cases(*b))).unwrap_or(0);
        (0..peak).rev().take_while(|&band| enough(band)).last().unwrap_or(peak)
    }

    pub(super) fn add(
        &self,
        options: &Options,
        layout: &Incidence,
        weights: &[f64],
        [periods, coming]: [&[[i32; 2]]; 2],
        tables: &mut Tables,
        estimate: &mut Estimate,
    ) {
        let link = match options.scale {
            Scale::FifthRoot => Link::FifthPower,
            Scale::Log => Link::Log,
        };
        let first = self.first_band(options, layout);
        let fitted = choose(&self.observed, options.base_periods, first, link);
        let recent = fitted.as_ref().map(|fit| match options.drift {
            Drift::Auto => fit.curvature_p_value < 0.05,
            Drift::Recent => true,
            Drift::Average => false,
        });
        let from = layout.band_names().get(first).cloned();
        let status = match &fitted {
            Some(_) => Status::Ok,
            None if self.observed.cases.sum() <= 0.0 => Status::NoEvents,
            None => Status::NotIdentified,
        };
        let name = |v: &Value| if let Value::Text(t) = v { t.clone() } else { String::new() };
        let values = [("group", name(&self.head[0])), ("sex", name(&self.head[1]))];
        match &fitted {
            None => estimate.notice(Notice::new(status, "no-projection", &values)),
            Some(fit) if fit.p_value <= 0.01 => {
                estimate.notices.push(Notice::new(status, "projection-fits-badly", &values));
            }
            Some(_) => {}
        }
        let number = |f: &dyn Fn(&Fit) -> f64| Value::from(fitted.as_ref().map(f));
        tables.base.push(self.row([
            number(&|f| f.base as f64),
            from.as_deref().map_or(Value::None, Value::from),
            number(&|f| f.deviance.0),
            number(&|f| f.deviance.1),
            number(&|f| f.p_value),
            number(&|f| f.curvature_p_value),
            recent.map_or(Value::None, |r| if r { "recent" } else { "average" }.into()),
            status.into(),
        ]));
        let per = layout.per();
        self.add_observed(layout, weights, periods, per, options.confidence_level.share(), tables);
        let (Some(fit), Some(recent)) = (fitted, recent) else { return };
        let used = (first + 1).min(layout.ages.len());
        let future = fit.project(&self.observed, used, recent, &options.cut_drift);
        for (j, (period, span)) in future.iter().zip(coming).enumerate() {
            let years = self.coming.column(j).iter().copied().collect();
            let expected = Expected { fit: &fit, period, span: *span, years };
            self.add_period(
                &expected,
                layout,
                weights,
                per,
                options.confidence_level.share(),
                tables,
            );
        }
        self.add_change(&future, periods.len() - 1, coming, tables);
    }

    fn add_observed(
        &self,
        layout: &Incidence,
        weights: &[f64],
        periods: &[[i32; 2]],
        per: f64,
        level: f64,
        tables: &mut Tables,
    ) {
        let names = layout.band_names();
        for (p, span) in periods.iter().enumerate() {
            let (cases, years) =
                (self.observed.cases.column(p), self.observed.person_years.column(p));
            let total = (cases.sum(), years.sum(), None);
            let ages = (0..names.len()).map(|b| (cases[b], years[b], Some(b)));
            for (d, y, band) in std::iter::once(total).chain(ages) {
                let hidden = (self.hides)(p, band);
                let shown = |x: f64| if hidden { Value::None } else { x.into() };
                let status = if hidden {
                    Status::Suppressed
                } else if y > 0.0 {
                    Status::Ok
                } else {
                    Status::NoRiskSet
                };
                tables.projection.push(self.row([
                    period_name(*span).into(),
                    "observed".into(),
                    band.map_or("all", |b| &names[b]).into(),
                    shown(d),
                    Value::None,
                    Value::None,
                    y.into(),
                    if y > 0.0 { shown(per * d / y) } else { Value::None },
                    Value::None,
                    Value::None,
                    status.into(),
                ]));
            }
            let hidden = (self.hides)(p, None);
            let at = |m: &DMatrix<f64>| m.column(p).iter().copied().collect::<Vec<f64>>();
            let rate = WeightedRate::new(
                &at(&self.observed.cases),
                &at(&self.observed.person_years),
                weights,
            )
            .filter(|_| !hidden);
            let limits = rate.and_then(|r| r.interval(level, RateInterval::FayFeuer));
            let status = match (hidden, rate.is_some()) {
                (true, _) => Status::Suppressed,
                (false, true) => Status::Ok,
                (false, false) => Status::NoRiskSet,
            };
            tables.standardised.push(self.row([
                period_name(*span).into(),
                f64::midpoint(f64::from(span[0]), f64::from(span[1]) + 1.0).into(),
                "observed".into(),
                rate.map(|r| per * r.rate).into(),
                limits.map(|l| per * l[0]).into(),
                limits.map(|l| per * l[1]).into(),
                Value::None,
                status.into(),
            ]));
        }
    }

    fn add_period(
        &self,
        expected: &Expected<'_>,
        layout: &Incidence,
        weights: &[f64],
        per: f64,
        level: f64,
        tables: &mut Tables,
    ) {
        let Expected { fit, period, span, years } = expected;
        let names = layout.band_names();
        let z = normal_point(level);
        let bands = names.len();
        let total = (None, years.clone());
        let one = |b: usize| (0..bands).map(|i| if i == b { years[b] } else { 0.0 }).collect();
        for (band, w) in std::iter::once(total).chain((0..bands).map(|b| (Some(b), one(b)))) {
            let cases: f64 = period.rates.iter().zip(&w).map(|(r, w)| r * w).sum();
            let exposure: f64 = w.iter().sum();
            let by_estimates = fit.variance(period, &w);
            let [around, of_rate] = [cases + by_estimates, by_estimates].map(|v| z * v.sqrt());
            let exhausted = (0..bands).any(|b| w[b] > 0.0 && period.exhausted[b]);
            let status = if exhausted { Status::Boundary } else { Status::Ok };
            let rate =
                |x: f64| if exposure > 0.0 { Value::from(per * x / exposure) } else { Value::None };
            tables.projection.push(self.row([
                period_name(*span).into(),
                "projected".into(),
                band.map_or("all", |b| &names[b]).into(),
                cases.into(),
                (cases - around).max(0.0).into(),
                (cases + around).into(),
                exposure.into(),
                rate(cases),
                rate((cases - of_rate).max(0.0)),
                rate(cases + of_rate),
                status.into(),
            ]));
        }
        let rate: f64 = period.rates.iter().zip(weights).map(|(r, w)| r * w).sum();
        let around = z * fit.variance(period, weights).sqrt();
        tables.standardised.push(self.row([
            period_name(*span).into(),
            f64::midpoint(f64::from(span[0]), f64::from(span[1]) + 1.0).into(),
            "projected".into(),
            (per * rate).into(),
            (per * (rate - around).max(0.0)).into(),
            (per * (rate + around)).into(),
            (per * rate).into(),
            if period.exhausted.contains(&true) { Status::Boundary } else { Status::Ok }.into(),
        ]));
    }

    /// Change of the number of cases since the last period, and what of it is due to risk and to the population.
    fn add_change(&self, future: &[Future], last: usize, coming: &[[i32; 2]], tables: &mut Tables) {
        let seen = self.observed.cases.column(last).sum();
        if seen <= 0.0 || (self.hides)(last, None) {
            return;
        }
        for (j, (period, span)) in future.iter().zip(coming).enumerate() {
            let years: Vec<f64> = self.coming.column(j).iter().copied().collect();
            let expected: f64 = period.rates.iter().zip(&years).map(|(r, y)| r * y).sum();
            let old = |b: usize| {
                let y = self.observed.person_years[(b, last)];
                if y > 0.0 {
                    self.observed.cases[(b, last)] / y
                } else {
                    mean_of_last_two(&self.observed, b).0
                }
            };
            let same_risk: f64 = (0..years.len()).map(|b| old(b) * years[b]).sum();
            let percent = |x: f64| Value::from(100.0 * x / seen);
            tables.change.push(self.row([
                period_name(*span).into(),
                expected.into(),
                percent(expected - seen),
                percent(expected - same_risk),
                percent(same_risk - seen),
            ]));
        }
    }
}

/// A period to come, and its person-years.
struct Expected<'a> {
    fit: &'a Fit,
    period: &'a Future,
    span: [i32; 2],
    years: Vec<f64>,
}
