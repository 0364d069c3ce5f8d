//! Tables of a projection: what was seen, what is expected, and why it changes.

use nalgebra::DMatrix;
use tributary_core::{
    cohort::Incidence,
    estimate::{Estimate, Notice, Number, Status},
    model::period_name,
    rows,
};
use tributary_stats::{
    distribution::normal_point,
    projection::{Fit, Future, Link, Observed, choose, mean_of_last_two},
    rate::{RateInterval, WeightedRate},
};

use super::{Drift, Options, Scale};

/// Source of what was seen.
const OBSERVED: &str = "observed";
/// Source of what is expected of the periods to come.
pub const PROJECTED: &str = "projected";

rows! {
    /// Fit of a group and sex from which its rates are projected.
    pub struct BaseFit in "base" {
        pub group: String,
        pub sex: String,
        pub periods: Number,
        pub from_age: Option<String>,
        pub deviance: Number,
        pub df: Number,
        pub p_value: Number,
        pub curvature_p_value: Number,
        pub drift: Option<String>,
        pub status: Status,
    }

    /// Cases of a group, sex, period and age: observed, or [`PROJECTED`].
    pub struct ProjectedCases in "projection" {
        pub group: String,
        pub sex: String,
        pub period: String,
        pub source: String,
        pub age: String,
        pub cases: Number,
        pub cases_low: Number,
        pub cases_high: Number,
        pub person_years: Number,
        pub rate: Number,
        pub rate_low: Number,
        pub rate_high: Number,
        pub status: Status,
    }

    /// Standardised rate of a group, sex and period: observed, or [`PROJECTED`].
    pub struct ProjectedRate in "standardised_rates" {
        pub group: String,
        pub sex: String,
        pub period: String,
        /// The middle of the period.
        pub year: Number,
        pub source: String,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub modelled: Number,
        pub status: Status,
    }

    /// Change of a group's and sex's cases since the last period, per cent, and what of it is due to risk and to the population.
    pub struct Change in "change" {
        pub group: String,
        pub sex: String,
        pub period: String,
        pub cases: Number,
        pub change_percent: Number,
        pub by_risk_percent: Number,
        pub by_population_percent: Number,
    }
}

/// Tables of the result.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) base: Vec<BaseFit>,
    pub(super) projection: Vec<ProjectedCases>,
    pub(super) standardised: Vec<ProjectedRate>,
    pub(super) change: Vec<Change>,
}

/// One group and sex: what was seen, and what is expected.
pub(super) struct Line<'a> {
    pub(super) group: &'a str,
    pub(super) sex: &'a str,
    pub(super) observed: Observed,
    /// Person-years of the periods to come.
    pub(super) coming: DMatrix<f64>,
    /// Whether the count of a period and band (or all ages) is hidden.
    pub(super) hides: &'a dyn Fn(usize, Option<usize>) -> bool,
}

impl Line<'_> {
    fn cases(&self, period: [i32; 2], source: &str, age: &str) -> ProjectedCases {
        ProjectedCases {
            group: self.group.to_owned(),
            sex: self.sex.to_owned(),
            period: period_name(period),
            source: source.to_owned(),
            age: age.to_owned(),
            ..ProjectedCases::default()
        }
    }

    fn rate(&self, period: [i32; 2], source: &str) -> ProjectedRate {
        ProjectedRate {
            group: self.group.to_owned(),
            sex: self.sex.to_owned(),
            period: period_name(period),
            year: Some(f64::midpoint(f64::from(period[0]), f64::from(period[1]) + 1.0)),
            source: source.to_owned(),
            ..ProjectedRate::default()
        }
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
        let values = [("group", self.group.to_owned()), ("sex", self.sex.to_owned())];
        match &fitted {
            None => estimate.notice(Notice::new(status, "no-projection", &values)),
            Some(fit) if fit.p_value <= 0.01 => {
                estimate.notices.push(Notice::new(status, "projection-fits-badly", &values));
            }
            Some(_) => {}
        }
        let number = |f: &dyn Fn(&Fit) -> f64| fitted.as_ref().map(f);
        tables.base.push(BaseFit {
            group: self.group.to_owned(),
            sex: self.sex.to_owned(),
            periods: number(&|f| f.base as f64),
            from_age: from,
            deviance: number(&|f| f.deviance.0),
            df: number(&|f| f.deviance.1),
            p_value: number(&|f| f.p_value),
            curvature_p_value: number(&|f| f.curvature_p_value),
            drift: recent.map(|r| if r { "recent" } else { "average" }.to_owned()),
            status,
        });
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
                let status = if hidden {
                    Status::Suppressed
                } else if y > 0.0 {
                    Status::Ok
                } else {
                    Status::NoRiskSet
                };
                tables.projection.push(ProjectedCases {
                    cases: (!hidden).then_some(d),
                    person_years: Some(y),
                    rate: (status == Status::Ok).then(|| per * d / y),
                    status,
                    ..self.cases(*span, OBSERVED, band.map_or("all", |b| &names[b]))
                });
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
            let [conf_low, conf_high] = limits.map_or([None; 2], |l| l.map(|x| Some(per * x)));
            tables.standardised.push(ProjectedRate {
                rate: rate.map(|r| per * r.rate),
                conf_low,
                conf_high,
                status,
                ..self.rate(*span, OBSERVED)
            });
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
            let rate = |x: f64| (exposure > 0.0).then(|| per * x / exposure);
            tables.projection.push(ProjectedCases {
                cases: Some(cases),
                cases_low: Some((cases - around).max(0.0)),
                cases_high: Some(cases + around),
                person_years: Some(exposure),
                rate: rate(cases),
                rate_low: rate((cases - of_rate).max(0.0)),
                rate_high: rate(cases + of_rate),
                status,
                ..self.cases(*span, PROJECTED, band.map_or("all", |b| &names[b]))
            });
        }
        let rate: f64 = period.rates.iter().zip(weights).map(|(r, w)| r * w).sum();
        let around = z * fit.variance(period, weights).sqrt();
        let exhausted = period.exhausted.contains(&true);
        tables.standardised.push(ProjectedRate {
            rate: Some(per * rate),
            conf_low: Some(per * (rate - around).max(0.0)),
            conf_high: Some(per * (rate + around)),
            modelled: Some(per * rate),
            status: if exhausted { Status::Boundary } else { Status::Ok },
            ..self.rate(*span, PROJECTED)
        });
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
            let percent = |x: f64| Some(100.0 * x / seen);
            tables.change.push(Change {
                group: self.group.to_owned(),
                sex: self.sex.to_owned(),
                period: period_name(*span),
                cases: Some(expected),
                change_percent: percent(expected - seen),
                by_risk_percent: percent(expected - same_risk),
                by_population_percent: percent(same_risk - seen),
            });
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
