//! Tables of incidence rates.

use tributary_core::{
    cohort::{Incidence, ages_name},
    estimate::{Number, Status, Table},
    rows,
};
use tributary_stats::{
    rate::{WeightedRate, count_interval},
    rate_ratio::{Rate, StandardisedRatioInterval, exact_ratio, standardised_ratio},
};

use super::Options;

/// All ages together.
pub const ALL_AGES: &str = "all";
/// Standard of the ratio of rates that are not standardised.
pub const CRUDE: &str = "crude";

rows! {
    /// Rate of a group, sex and period in an age band, or at [`ALL_AGES`].
    pub struct AgeRate in "rates" {
        pub group: String,
        pub sex: String,
        pub period: String,
        pub age: String,
        pub cases: Number,
        pub person_years: Number,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }

    /// Rate of a group, sex and period over a range of ages, standardised.
    pub struct StandardisedRate in "standardised_rates" {
        pub group: String,
        pub sex: String,
        pub period: String,
        pub standard: String,
        pub ages: String,
        pub cases: Number,
        pub rate: Number,
        pub std_error: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }

    /// Cumulative rate and risk of a group, sex and period over a range of ages, per cent.
    pub struct CumulativeRate in "cumulative" {
        pub group: String,
        pub sex: String,
        pub period: String,
        pub ages: String,
        pub cumulative_rate: Number,
        pub cumulative_rate_low: Number,
        pub cumulative_rate_high: Number,
        pub risk: Number,
        pub risk_low: Number,
        pub risk_high: Number,
        pub status: Status,
    }

    /// Males to females of a group and period: [`CRUDE`], or standardised over a range of ages.
    pub struct SexRatio in "sex_ratio" {
        pub group: String,
        pub period: String,
        pub standard: String,
        pub ages: String,
        pub cases_ratio: Number,
        pub rate_ratio: Number,
        pub rate_ratio_low: Number,
        pub rate_ratio_high: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// Cases of unknown age of a group, sex and period.
    pub struct UnknownAge in "unknown_age" {
        pub group: String,
        pub sex: String,
        pub period: String,
        pub cases: Number,
    }
}

pub(super) struct Line<'a> {
    pub(super) group: &'a str,
    pub(super) sex: &'a str,
    pub(super) period: String,
}

pub(super) struct Counts {
    pub(super) cases: Vec<f64>,
    pub(super) time: Vec<f64>,
    pub(super) unknown: f64,
    pub(super) hidden: Vec<bool>,
    pub(super) hidden_unknown: bool,
    /// Whether the number of all cases is hidden, and with it every rate.
    pub(super) hidden_total: bool,
}

#[derive(Default)]
pub(super) struct Tables {
    rates: Vec<AgeRate>,
    standardised: Vec<StandardisedRate>,
    cumulative: Vec<CumulativeRate>,
    sex_ratio: Vec<SexRatio>,
    unknown_age: Vec<UnknownAge>,
}

impl Tables {
    pub(super) fn add(
        &mut self,
        options: &Options,
        layout: &Incidence,
        line: &Line<'_>,
        counts: &Counts,
    ) {
        let (group, sex, period) =
            (|| line.group.to_owned(), || line.sex.to_owned(), || line.period.clone());
        let hidden_total = counts.hidden_total;
        let any_hidden = counts.hidden.iter().any(|h| *h);
        let all_cases: f64 = counts.cases.iter().sum::<f64>() + counts.unknown;
        let all_time: f64 = counts.time.iter().sum();
        let mut rate = |age: &str, cases: f64, time: f64, hidden: bool| {
            let cases = (!hidden && !hidden_total).then_some(cases);
            let row = AgeRate {
                group: group(),
                sex: sex(),
                period: period(),
                age: age.to_owned(),
                ..crude_rate(options, cases, time)
            };
            self.rates.push(row);
        };
        rate(ALL_AGES, all_cases, all_time, false);
        for (b, name) in layout.band_names().iter().enumerate() {
            rate(name, counts.cases[b], counts.time[b], counts.hidden[b]);
        }
        if counts.unknown > 0.0 && !counts.hidden_unknown && !hidden_total {
            let (group, sex, period) = (group(), sex(), period());
            self.unknown_age.push(UnknownAge { group, sex, period, cases: Some(counts.unknown) });
        }
        let known = all_cases - counts.unknown;
        // Cases of unknown age have the ages of the others.
        let correction = if known > 0.0 { all_cases / known } else { 1.0 };
        for (standard, ages, weights) in options.standardisations() {
            let weighted = weights.and_then(|w| WeightedRate::new(&counts.cases, &counts.time, &w));
            // Where a band is hidden, the cases of some bands only could give it away.
            let whole = ages == [layout.ages[0], layout.age_end.unwrap_or(u32::MAX)];
            let row = if hidden_total {
                StandardisedRate { status: Status::Suppressed, ..StandardisedRate::default() }
            } else {
                standardised_rate(options, weighted, correction, whole || !any_hidden)
            };
            let (group, sex, period, ages) = (group(), sex(), period(), ages_name(ages));
            self.standardised.push(StandardisedRate { group, sex, period, standard, ages, ..row });
        }
        // A band without an end has no width, so that an open span has no cumulative rate.
        for ages in options.truncated.iter().filter(|ages| ages[1] != u32::MAX) {
            let row = if hidden_total {
                CumulativeRate { status: Status::Suppressed, ..CumulativeRate::default() }
            } else {
                cumulative_rate(options, layout, *ages, counts, correction)
            };
            let (group, sex, period, ages) = (group(), sex(), period(), ages_name(*ages));
            self.cumulative.push(CumulativeRate { group, sex, period, ages, ..row });
        }
    }

    pub(super) fn add_sex_ratio(
        &mut self,
        options: &Options,
        group: &str,
        period: &str,
        males: &(Vec<f64>, Vec<f64>),
        females: &(Vec<f64>, Vec<f64>),
    ) {
        let sum = |v: &[f64]| v.iter().sum::<f64>();
        let level = options.confidence_level.share();
        let cases_ratio = Some(sum(&males.0) / sum(&females.0));
        let mut add = |standard: &str,
                       ages: String,
                       ratio: Option<(f64, Option<[f64; 2]>)>,
                       p_value: Number| {
            let status = match ratio {
                None => Status::NoEvents,
                Some((r, _)) if r == 0.0 || r.is_infinite() => Status::OneSided,
                Some(_) => Status::Ok,
            };
            let [low, high] = ratio.and_then(|r| r.1).map_or([None; 2], |l| l.map(Some));
            self.sex_ratio.push(SexRatio {
                group: group.to_owned(),
                period: period.to_owned(),
                standard: standard.to_owned(),
                ages,
                cases_ratio,
                rate_ratio: ratio.map(|r| r.0),
                rate_ratio_low: low,
                rate_ratio_high: high,
                p_value,
                status,
            });
        };
        let side = |s: &(Vec<f64>, Vec<f64>)| Rate { events: sum(&s.0), time: sum(&s.1) };
        let crude = exact_ratio(side(males), side(females), level, false);
        let ratio = crude.map(|r| (r.estimate, Some(r.limits)));
        add(CRUDE, ALL_AGES.into(), ratio, crude.map(|r| r.p_value));
        for (standard, ages, weights) in options.standardisations() {
            let weighted = |s: &(Vec<f64>, Vec<f64>)| {
                weights.as_ref().and_then(|w| WeightedRate::new(&s.0, &s.1, w))
            };
            let ratio = weighted(males).zip(weighted(females)).and_then(|(m, f)| {
                standardised_ratio(&m, &f, level, StandardisedRatioInterval::Fay)
            });
            add(&standard, ages_name(ages), ratio, None);
        }
    }

    pub(super) fn finish(self) -> Vec<Table> {
        let tables = [
            Table::of(self.standardised),
            Table::of(self.rates),
            Table::of(self.cumulative),
            Table::of(self.sex_ratio),
            Table::of(self.unknown_age),
        ];
        tables.into_iter().filter(|t| !t.rows.is_empty()).collect()
    }
}

fn count_status(events: f64, limits: bool) -> Status {
    match (events > 0.0, limits) {
        (true, _) => Status::Ok,
        (false, true) => Status::OneSided,
        (false, false) => Status::NoEvents,
    }
}

/// Limits times a factor.
fn scaled(limits: Option<[f64; 2]>, scale: f64) -> [Number; 2] {
    limits.map_or([None; 2], |l| l.map(|x| Some(x * scale)))
}

/// The rate of these cases, unless they are hidden.
fn crude_rate(options: &Options, cases: Number, time: f64) -> AgeRate {
    let row = AgeRate { cases, person_years: Some(time), ..AgeRate::default() };
    let Some(cases) = cases else { return AgeRate { status: Status::Suppressed, ..row } };
    if time <= 0.0 {
        return AgeRate { status: Status::NoRiskSet, ..row };
    }
    let scale = options.per.unwrap_or(1e5) / time;
    let limits = count_interval(cases, options.confidence_level.share(), options.interval.rule());
    let [conf_low, conf_high] = scaled(limits, scale);
    let status = count_status(cases, limits.is_some());
    AgeRate { rate: Some(cases * scale), conf_low, conf_high, status, ..row }
}

fn standardised_rate(
    options: &Options,
    weighted: Option<WeightedRate>,
    correction: f64,
    shows_cases: bool,
) -> StandardisedRate {
    let row = StandardisedRate { status: Status::NotIdentified, ..StandardisedRate::default() };
    let Some(w) = weighted else { return row };
    let scale = options.per.unwrap_or(1e5) * correction;
    let limits = w.interval(options.confidence_level.share(), options.standard_interval.rule());
    let [conf_low, conf_high] = scaled(limits, scale);
    StandardisedRate {
        cases: shows_cases.then_some(w.events),
        rate: Some(w.rate * scale),
        std_error: Some(w.variance.sqrt() * scale),
        conf_low,
        conf_high,
        status: count_status(w.events, limits.is_some()),
        ..row
    }
}

/// Σ width · rate over the ages, per cent, and the risk 1 − e^−Σ.
fn cumulative_rate(
    options: &Options,
    layout: &Incidence,
    ages: [u32; 2],
    counts: &Counts,
    correction: f64,
) -> CumulativeRate {
    let row = CumulativeRate { status: Status::NotIdentified, ..CumulativeRate::default() };
    let widths: Vec<f64> = (0..layout.ages.len())
        .map(|i| {
            let [from, to] = layout.band(i);
            if from >= ages[0] && to <= ages[1] { f64::from(to - from) } else { 0.0 }
        })
        .collect();
    let Some(w) = WeightedRate::new(&counts.cases, &counts.time, &widths) else { return row };
    let limits = w.interval(options.confidence_level.share(), options.standard_interval.rule());
    let [low, high] = scaled(limits, correction);
    let [rate, low, high] = [Some(w.rate * correction), low, high];
    let percent = |x: f64| 100.0 * x;
    let risk = |x: f64| 100.0 * -(-x).exp_m1();
    CumulativeRate {
        cumulative_rate: rate.map(percent),
        cumulative_rate_low: low.map(percent),
        cumulative_rate_high: high.map(percent),
        risk: rate.map(risk),
        risk_low: low.map(risk),
        risk_high: high.map(risk),
        status: count_status(w.events, limits.is_some()),
        ..row
    }
}
