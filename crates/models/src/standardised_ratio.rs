//! Standardised incidence or mortality ratio and absolute excess rate: second cancers and late deaths of survivors.
//!
//! *Estimates* observed over expected events, and events in excess per person-time, by group and time since diagnosis. *A site
//! sends*, once, observed events, person-years and expected events: expected ones are formed at the site from the country's own
//! rates. *Sums*: cell by cell. *The hub* forms ratios with exact limits and tests them. *Differs from pooling rows*: not at
//! all. *Not done*: multiple-primary rules, which belong to the registry. *Sources*: Breslow & Day (1987); Garwood (1936); Travis
//! et al. (2006).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{Background, Context, Exchanges, ModelCard, OneRound, Sums},
    rows,
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    distribution::{chi_squared_upper, garwood},
    newton::Next,
    poisson::{Cell, Mean, fit},
};

/// The model.
#[derive(Debug)]
pub struct StandardisedRatio;

/// Rates of the general population.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The site's table `rates`, such as cancer incidence.
    #[default]
    Rates,
    /// The site's table `life_table`.
    LifeTable,
}

/// Options of `standardised_ratio`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up from diagnosis to the event or the end, the analysis's own if absent.
    followup: Followup,
    /// Variables with which expected rates are looked up.
    background: Background,
    /// Which table holds them.
    #[serde(default)]
    source: Source,
    /// Variable whose levels have ratios of their own.
    #[serde(default)]
    by: Option<String>,
    /// Years after diagnosis from which patients count: 5 for five-year survivors.
    #[serde(default)]
    #[schemars(with = "limits::YearsFromStart")]
    latency_years: f64,
    /// Ends of bands of time since diagnosis, years; later events are not counted.
    #[schemars(with = "Vec<limits::Years>")]
    bands_years: Vec<f64>,
    /// Person-years for which excess events are told: 10 000, or 1 000.
    #[serde(default = "ten_thousand")]
    #[schemars(with = "limits::Units")]
    per_person_years: f64,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

fn ten_thousand() -> f64 {
    10_000.0
}

rows! {
    /// Observed against expected events of a group in a band of time since diagnosis.
    struct Ratio in "ratios" {
        group: String,
        band: String,
        observed: Number,
        expected: Number,
        person_years: Number,
        ratio: Number,
        ratio_low: Number,
        ratio_high: Number,
        excess: Number,
        excess_low: Number,
        excess_high: Number,
        status: Status,
    }

    /// A likelihood-ratio test of the ratios.
    struct RatioTest in "tests" {
        test: String,
        statistic: Number,
        df: Number,
        p_value: Number,
        status: Status,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "standardised_ratio",
    title: "Standardised ratio and excess risk",
    estimates: "observed-to-expected ratios and excess rates, by group and time since diagnosis",
    sends: "once: observed events, person-years and expected events by group and band",
    pools: "cells are summed; the hub computes ratios and excess rates with exact limits, and tests for heterogeneity and trend",
    differs: "none",
    not_done: "rules for multiple primaries, which are up to the registry",
    exchanges: Exchanges::One,
    sources: "Breslow & Day 1987; Garwood 1936; Travis et al. 2006",
    example: "id = \"sir\"\nkind = \"standardised_ratio\"\nbackground = { age = \"age_months\", date = \"incidence_date\" }\nbands_years = [5, 10]\n",
};

impl Options {
    fn bands(&self) -> Vec<String> {
        let starts = std::iter::once(&self.latency_years).chain(&self.bands_years);
        starts.zip(&self.bands_years).map(|(from, to)| format!("{from}–{to} years")).collect()
    }
}

impl OneRound for StandardisedRatio {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(options.background.prepare("/background", context));
        let ascending = options.bands_years.windows(2).all(|w| w[0] < w[1]);
        let first = options.bands_years.first();
        if options.latency_years < 0.0
            || first.is_none_or(|f| *f <= options.latency_years)
            || !ascending
        {
            let message = "bands_years must be ascending and end after latency_years";
            faults.push(Fault::new("/bands_years", message).hint("bands_years = [10, 20, 30]"));
        }
        faults.extend(context.groups(options.by.as_deref(), &mut options.groups));
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(options.background.needs());
        needs.extend(options.by.iter().map(ColumnNeed::levels));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let (table, name) = match options.source {
            Source::Rates => (&data.tables.rates, "rates"),
            Source::LifeTable => (&data.tables.life_table, "life_table"),
        };
        let table = table.as_ref().ok_or(CohortError::NoTable { table: name })?;
        let table = table.in_years(options.followup.year.days());
        let mut needed: Vec<&str> = options.by.iter().map(String::as_str).collect();
        needed.extend(options.background.names());
        let survival = data.cohort.survival(&options.followup, &needed)?;
        let persons = options.background.persons(data, &survival, name, Background::WHOLE)?;
        let codes = match &options.by {
            Some(by) => data.cohort.levels(by)?.0,
            None => vec![Some(0); data.cohort.rows()],
        };
        let bands = options.bands_years.len();
        let size = options.groups.len() * bands;
        let (mut observed, mut time, mut expected) =
            (vec![0.0; size], vec![0.0; size], vec![0.0; size]);
        let mut outside = 0.0;
        for i in 0..survival.rows.len() {
            let group = codes[survival.rows[i]].unwrap_or(0) as usize;
            // As in every model of rates, the day of diagnosis counts as half a day.
            let exit = f64::from(survival.exit[i]).max(0.5);
            let entry = survival.entry.as_ref().map_or(0.0, |entry| f64::from(entry[i]));
            let mut from = options.latency_years * options.followup.year.days();
            for (band, years) in options.bands_years.iter().enumerate() {
                let to = years * options.followup.year.days();
                let (start, end) = (entry.max(from), exit.min(to));
                let at = group * bands + band;
                if end > start {
                    time[at] += (end - start) / options.followup.year.days();
                    for s in table.stretches(persons[i], end.ceil() as i32) {
                        let days = end.min(f64::from(s.to)) - start.max(f64::from(s.from));
                        expected[at] += s.hazard * days.max(0.0);
                    }
                }
                if survival.event[i] && exit > from && exit <= to {
                    observed[at] += 1.0;
                }
                from = to;
            }
            let start = persons[i].start;
            outside += f64::from(u8::from(table.is_outside(start, start + survival.exit[i])));
        }
        let axes = || {
            let groups = Axis::new("group", options.groups.iter().cloned());
            vec![groups, Axis::new("band", options.bands())]
        };
        Ok(Sums::of(&survival)
            .counts("observed", axes(), observed)
            .counts("outside", Vec::new(), vec![outside])
            .person_time("time", axes(), time)
            .sums("expected", axes(), expected))
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Sums,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        result(options, pooled, sites)
    }
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    card_lines(&mut estimate, options);
    sums.left_out_notices(&mut estimate);
    let outside = sums.one("outside")?;
    if outside > 0.0 {
        let values = [("n", outside.to_string())];
        estimate.notice(Notice::new(Status::Extrapolated, "life-table-outside", &values));
    }
    let (observed, time, expected) =
        (sums.get("observed")?, sums.get("time")?, sums.get("expected")?);
    let mut ratios = Vec::new();
    let bands = options.bands_years.len();
    let mut push = |group: &str, band: &str, o: f64, e: f64, y: f64| {
        let [low, high] = garwood(o, options.confidence_level.share());
        let ratio = |x: f64| (e > 0.0).then(|| x / e);
        let excess = |x: f64| (y > 0.0).then(|| (x - e) / y * options.per_person_years);
        let status = match (y > 0.0, e > 0.0, o > 0.0) {
            (false, _, _) => Status::NoRiskSet,
            (_, false, _) => Status::NotIdentified,
            (_, _, false) => Status::NoEvents,
            _ => Status::Ok,
        };
        ratios.push(Ratio {
            group: group.into(),
            band: band.into(),
            observed: Some(o),
            expected: Some(e),
            person_years: Some(y),
            ratio: ratio(o),
            ratio_low: ratio(low),
            ratio_high: ratio(high),
            excess: excess(o),
            excess_low: excess(low),
            excess_high: excess(high),
            status,
        });
    };
    for (g, group) in options.groups.iter().enumerate() {
        let all = |v: &[f64]| v[g * bands..(g + 1) * bands].iter().sum::<f64>();
        if bands > 1 {
            for (b, band) in options.bands().iter().enumerate() {
                let at = g * bands + b;
                push(group, band, observed[at], expected[at], time[at]);
            }
        }
        push(group, "all", all(observed), all(expected), all(time));
    }
    let tests = tests(options, observed, expected);
    estimate.tables.extend([Table::of(ratios), Table::of(tests)]);
    if observed.iter().sum::<f64>() <= 0.0 {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    Ok(estimate)
}

/// Likelihood-ratio tests by Poisson regression with offset ln E: between groups, and for a trend over bands.
fn tests(options: &Options, observed: &[f64], expected: &[f64]) -> Vec<RatioTest> {
    let mut rows = Vec::new();
    let (groups, bands) = (options.groups.len(), options.bands_years.len());
    let likelihood = |row: &dyn Fn(usize) -> Vec<f64>| {
        let cells: Vec<Cell> = (0..observed.len())
            .map(|i| Cell { events: observed[i], time: 0.0, expected: expected[i], z: row(i) })
            .collect();
        let p = cells.first().map_or(0, |c| c.z.len());
        let found = fit(&cells, Mean::Relative, &vec![0.0; p], false);
        match found.next {
            Next::Converged { at, .. } | Next::Monotone { at, .. } => {
                Some(found.record[at].log_likelihood)
            }
            Next::NotConverged { .. } | Next::Try(_) => None,
        }
    };
    let flag = |is: bool| f64::from(u8::from(is));
    let null = likelihood(&|_| vec![1.0]);
    let by_group =
        |i: usize| (0..groups).map(|g| flag(g == 0 || i / bands == g)).collect::<Vec<f64>>();
    let trend = |i: usize| {
        let mut row = by_group(i);
        row.push((i % bands) as f64);
        row
    };
    let mut push = |name: &str, large: Option<f64>, small: Option<f64>, df: usize| {
        let statistic = large.zip(small).map(|(l, s)| 2.0 * (l - s).max(0.0));
        let df = df as f64;
        rows.push(RatioTest {
            test: name.into(),
            statistic,
            df: Some(df),
            p_value: statistic.map(|x| chi_squared_upper(x, df)),
            status: if statistic.is_some() { Status::Ok } else { Status::Nonconverged },
        });
    };
    if observed.iter().sum::<f64>() > 0.0 && expected.iter().all(|e| *e >= 0.0) {
        if groups > 1 {
            push("between groups", likelihood(&by_group), null, groups - 1);
        }
        if bands > 1 {
            push("trend over bands", likelihood(&trend), likelihood(&by_group), 1);
        }
    }
    rows
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "observed-expected", &[]);
    let source = if options.source == Source::Rates { "own-rates" } else { "own" };
    estimate.line("life-table", source, &[]);
    let bands: Vec<String> = options.bands_years.iter().map(f64::to_string).collect();
    estimate.line("bands", "of-followup", &[("bands", bands.join(", "))]);
    estimate.line("latency", "years", &[("years", options.latency_years.to_string())]);
    let per = options.per_person_years.to_string();
    estimate.line("excess", "per", &[("per", per)]);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "exact-poisson", &[("level", level)]);
    estimate.line("year", options.followup.year.name(), &[]);
}
