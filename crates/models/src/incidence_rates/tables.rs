//! Tables of incidence rates.

use tributary_core::{
    cohort::{Incidence, ages_name},
    estimate::{Status, Table, Value},
};
use tributary_stats::{
    rate::{WeightedRate, count_interval},
    rate_ratio::{Rate, StandardisedRatioInterval, exact_ratio, standardised_ratio},
};

use super::Options;

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

pub(super) struct Tables {
    rates: Table,
    standardised: Table,
    cumulative: Table,
    sex_ratio: Table,
    unknown_age: Table,
}

/// Spans of ages that end: a band without an end has no width, so that an open span has no cumulative rate.
fn closed(options: &Options) -> impl Iterator<Item = &[u32; 2]> {
    options.truncated.iter().filter(|ages| ages[1] != u32::MAX)
}

impl Tables {
    pub(super) fn new() -> Self {
        let head = ["group", "sex", "period"];
        let with = |rest: &[&'static str]| [&head[..], rest].concat();
        let limits = ["conf_low", "conf_high", "status"];
        Self {
            rates: Table::new(
                "rates",
                &with(&[&["age", "cases", "person_years", "rate"][..], &limits].concat()),
            )
            .worded(&["period", "age"]),
            standardised: Table::new(
                "standardised_rates",
                &with(&[&["standard", "ages", "cases", "rate", "std_error"][..], &limits].concat()),
            )
            .worded(&["period"]),
            cumulative: Table::new(
                "cumulative",
                &with(&[
                    "ages",
                    "cumulative_rate",
                    "cumulative_rate_low",
                    "cumulative_rate_high",
                    "risk",
                    "risk_low",
                    "risk_high",
                    "status",
                ]),
            )
            .worded(&["period"]),
            unknown_age: Table::new("unknown_age", &with(&["cases"])).worded(&["period"]),
            sex_ratio: Table::new(
                "sex_ratio",
                &[
                    "group",
                    "period",
                    "standard",
                    "ages",
                    "cases_ratio",
                    "rate_ratio",
                    "rate_ratio_low",
                    "rate_ratio_high",
                    "p_value",
                    "status",
                ],
            )
            .worded(&["period"]),
        }
    }

    pub(super) fn add(
        &mut self,
        options: &Options,
        layout: &Incidence,
        line: &Line<'_>,
        counts: &Counts,
    ) {
        let head = || -> Vec<Value> {
            vec![line.group.into(), line.sex.into(), line.period.as_str().into()]
        };
        let any_hidden = counts.hidden.iter().any(|h| *h);
        let all_cases: f64 = counts.cases.iter().sum::<f64>() + counts.unknown;
        let all_time: f64 = counts.time.iter().sum();
        if counts.hidden_total {
            self.suppress(options, layout, &head, counts);
            return;
        }
        self.rates.push(crude_row(options, head(), "all", all_cases, all_time));
        for (b, name) in layout.band_names().iter().enumerate() {
            if counts.hidden[b] {
                let mut row = head();
                row.extend([name.as_str().into(), Value::None, counts.time[b].into()]);
                row.extend([Value::None, Value::None, Value::None, Status::Suppressed.into()]);
                self.rates.push(row);
            } else {
                self.rates.push(crude_row(options, head(), name, counts.cases[b], counts.time[b]));
            }
        }
        if counts.unknown > 0.0 && !counts.hidden_unknown {
            self.unknown_age.push([head(), vec![counts.unknown.into()]].concat());
        }
        let known = all_cases - counts.unknown;
        // Cases of unknown age have the ages of the others.
        let correction = if known > 0.0 { all_cases / known } else { 1.0 };
        let per = options.per.unwrap_or(1e5);
        for (standard, ages, weights) in options.standardisations() {
            let mut row = head();
            row.extend([standard.into(), ages_name(ages).into()]);
            let weighted = weights.and_then(|w| WeightedRate::new(&counts.cases, &counts.time, &w));
            let Some(w) = weighted else {
                row.extend([Value::None, Value::None, Value::None, Value::None, Value::None]);
                row.push(Status::NotIdentified.into());
                self.standardised.push(row);
                continue;
            };
            let scale = per * correction;
            // Where a band is hidden, the cases of some bands only could give it away.
            let whole = ages == [layout.ages[0], layout.age_end.unwrap_or(u32::MAX)];
            let cases = if any_hidden && !whole { Value::None } else { w.events.into() };
            let limits =
                w.interval(options.confidence_level.share(), options.standard_interval.rule());
            row.extend([cases, (w.rate * scale).into(), (w.variance.sqrt() * scale).into()]);
            row.extend(limit_cells(limits.map(|l| l.map(|x| x * scale))));
            row.push(count_status(w.events, limits.is_some()).into());
            self.standardised.push(row);
        }
        for ages in closed(options) {
            self.cumulative.push(cumulative_row(
                options,
                layout,
                head(),
                *ages,
                counts,
                correction,
            ));
        }
    }

    /// Rows without numbers, where all cases together are too few to be shown.
    fn suppress(
        &mut self,
        options: &Options,
        layout: &Incidence,
        head: &dyn Fn() -> Vec<Value>,
        counts: &Counts,
    ) {
        let hide = |table: &mut Table, mut row: Vec<Value>| {
            row.resize(table.columns.len() - 1, Value::None);
            row.push(Status::Suppressed.into());
            table.push(row);
        };
        let all = std::iter::once(("all".to_owned(), counts.time.iter().sum::<f64>()));
        let bands = layout.band_names().into_iter().zip(counts.time.iter().copied());
        for (age, time) in all.chain(bands) {
            let row = [head(), vec![age.into(), Value::None, time.into()]].concat();
            hide(&mut self.rates, row);
        }
        for (standard, ages, _) in options.standardisations() {
            let row = [head(), vec![standard.into(), ages_name(ages).into()]].concat();
            hide(&mut self.standardised, row);
        }
        for ages in closed(options) {
            hide(&mut self.cumulative, [head(), vec![ages_name(*ages).into()]].concat());
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
        let row = |standard: &str,
                   ages: String,
                   ratio: Option<(f64, Option<[f64; 2]>)>,
                   p: Option<f64>| {
            let cases = sum(&males.0) / sum(&females.0);
            let finite = |x: f64| if x.is_finite() { Value::number(x) } else { Value::None };
            let status = match ratio {
                None => Status::NoEvents,
                Some((r, _)) if r == 0.0 || r.is_infinite() => Status::OneSided,
                Some(_) => Status::Ok,
            };
            vec![
                group.into(),
                period.into(),
                standard.into(),
                ages.into(),
                finite(cases),
                ratio.map_or(Value::None, |r| finite(r.0)),
                ratio.and_then(|r| r.1).map_or(Value::None, |l| finite(l[0])),
                ratio.and_then(|r| r.1).map_or(Value::None, |l| finite(l[1])),
                p.into(),
                status.into(),
            ]
        };
        let side = |s: &(Vec<f64>, Vec<f64>)| Rate { events: sum(&s.0), time: sum(&s.1) };
        let crude = exact_ratio(side(males), side(females), level, false);
        let cells = crude.map(|r| (r.estimate, Some(r.limits)));
        self.sex_ratio.push(row("crude", "all".into(), cells, crude.map(|r| r.p_value)));
        for (standard, ages, weights) in options.standardisations() {
            let weighted = |s: &(Vec<f64>, Vec<f64>)| {
                weights.as_ref().and_then(|w| WeightedRate::new(&s.0, &s.1, w))
            };
            let ratio = weighted(males).zip(weighted(females)).and_then(|(m, f)| {
                standardised_ratio(&m, &f, level, StandardisedRatioInterval::Fay)
            });
            self.sex_ratio.push(row(&standard, ages_name(ages), ratio, None));
        }
    }

    pub(super) fn finish(self) -> Vec<Table> {
        let tables =
            [self.standardised, self.rates, self.cumulative, self.sex_ratio, self.unknown_age];
        tables.into_iter().filter(|t| !t.rows.is_empty()).collect()
    }
}

fn limit_cells(limits: Option<[f64; 2]>) -> [Value; 2] {
    limits.map_or([Value::None, Value::None], |l| l.map(Value::number))
}

fn count_status(events: f64, limits: bool) -> Status {
    match (events > 0.0, limits) {
        (true, _) => Status::Ok,
        (false, true) => Status::OneSided,
        (false, false) => Status::NoEvents,
    }
}

fn crude_row(
    options: &Options,
    mut row: Vec<Value>,
    age: &str,
    cases: f64,
    time: f64,
) -> Vec<Value> {
    row.extend([age.into(), cases.into(), time.into()]);
    if time <= 0.0 {
        row.extend([Value::None, Value::None, Value::None, Status::NoRiskSet.into()]);
        return row;
    }
    let scale = options.per.unwrap_or(1e5) / time;
    let limits = count_interval(cases, options.confidence_level.share(), options.interval.rule());
    row.push((cases * scale).into());
    row.extend(limit_cells(limits.map(|l| l.map(|x| x * scale))));
    row.push(count_status(cases, limits.is_some()).into());
    row
}

/// Σ width · rate over the ages, per cent, and the risk 1 − e^−Σ.
fn cumulative_row(
    options: &Options,
    layout: &Incidence,
    mut row: Vec<Value>,
    ages: [u32; 2],
    counts: &Counts,
    correction: f64,
) -> Vec<Value> {
    row.push(ages_name(ages).into());
    let widths: Vec<f64> = (0..layout.ages.len())
        .map(|i| {
            let [from, to] = layout.band(i);
            if from >= ages[0] && to <= ages[1] { f64::from(to - from) } else { 0.0 }
        })
        .collect();
    let Some(w) = WeightedRate::new(&counts.cases, &counts.time, &widths) else {
        row.resize(row.len() + 6, Value::None);
        row.push(Status::NotIdentified.into());
        return row;
    };
    let limits = w.interval(options.confidence_level.share(), options.standard_interval.rule());
    let scaled = [Some(w.rate), limits.map(|l| l[0]), limits.map(|l| l[1])]
        .map(|x| x.map(|x| x * correction));
    row.extend(scaled.map(|x| Value::from(x.map(|x| 100.0 * x))));
    row.extend(scaled.map(|x| Value::from(x.map(|x| 100.0 * -(-x).exp_m1()))));
    row.push(count_status(w.events, limits.is_some()).into());
    row
}
