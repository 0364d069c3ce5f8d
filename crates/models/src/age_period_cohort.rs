//! Age–period–cohort analysis of incidence.
//!
//! *Estimates* the drift, rates by age for a reference cohort or period, curvature of period and cohort, and net and local drifts.
//! *A site sends*, once, cases and person-years by sex, group, year and age. *Sums*: cell by cell. *The hub* fits nested Poisson
//! models, and least squares of log rates where cells are square. *Differs from pooling rows*: not at all. *Not done*: which part of
//! the drift is of period and which of cohort, as no data tell. *Sources*: Holford (1983); Clayton & Schifflers (1987); Carstensen
//! (2007); Rosenberg & Anderson (2011).

mod tables;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Incidence, SiteData},
    estimate::{Estimate, Exactness, Notice, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Context, Exchanges, ModelCard, OneRound, Printed, RateCells, Sums, cells_fault,
        incidence_needs, left_out_cases, period_width_fault, prepare_cells, rate_sums,
        unknown_age_cases, with_printed,
    },
    spec::Fault,
    summary::LayoutError,
};
use tributary_stats::{
    age_period_cohort::{
        Effect, Extraction, LexisCell, Reference, Shape, knots, least_squares, maximum_likelihood,
        median,
    },
    distribution::{chi_squared_upper, normal_point, normal_two_sided},
};

pub use self::tables::{
    AgeEffect, CohortEffect, EffectTest, LexisRate, LinearChange, LocalDrift, PeriodEffect,
    Submodel,
};

/// The model.
#[derive(Debug)]
pub struct AgePeriodCohort;

/// How effects bend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Effects {
    /// Natural splines.
    #[default]
    Splines,
    /// One level per age band, period and cohort; ages and periods of one width.
    Levels,
}

/// Weights of the inner product that takes the drift out of period and cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Drift {
    /// Cases.
    #[default]
    Cases,
    /// Person-years.
    PersonYears,
    /// All cells alike.
    Cells,
}

/// Options of `age_period_cohort`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent. The last age band is closed.
    incidence: Incidence,
    /// Variable whose levels are analysed one by one.
    #[serde(default)]
    by: Option<String>,
    /// Whether males and females are analysed one by one too.
    #[serde(default)]
    each_sex: bool,
    /// Years in a period.
    #[serde(default = "one")]
    #[schemars(with = "limits::WholeYears")]
    period_years: u32,
    /// How effects bend.
    #[serde(default)]
    effects: Effects,
    /// Knots of age, period and cohort.
    #[serde(default = "five")]
    #[schemars(inner(range(min = 2, max = 20)))]
    knots: [usize; 3],
    /// Weights with which the drift is taken out.
    #[serde(default)]
    drift: Drift,
    /// Year of birth whose rates are told; the median of the cases if neither this nor a period is given.
    #[serde(default)]
    #[schemars(with = "Option<limits::CalendarTime>")]
    reference_cohort: Option<f64>,
    /// Calendar year whose rates are told.
    #[serde(default)]
    #[schemars(with = "Option<limits::CalendarTime>")]
    reference_period: Option<f64>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

fn one() -> u32 {
    1
}

fn five() -> [usize; 3] {
    [5, 5, 5]
}

static CARD: ModelCard = ModelCard {
    kind: "age_period_cohort",
    title: "Age–period–cohort analysis",
    estimates: "the drift, age-specific rates in a reference cohort or period, period and cohort effects, net and local drifts",
    sends: "once: cases by sex, group, year and age band, and the person-years of its population",
    pools: "cells are summed; the hub fits nested Poisson models, and least squares of log rates where cells are square",
    differs: "none",
    not_done: "attributing the drift to period or cohort, which no data can do",
    exchanges: Exchanges::One,
    sources: "Holford 1983; Clayton & Schifflers 1987; Carstensen 2007; Rosenberg & Anderson 2011",
    example: "id = \"apc\"\nkind = \"age_period_cohort\"\nknots = [3, 3, 3]\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 1, 5, 10], age_end = 15, years = [2000, 2009] }\n",
};

impl Options {
    fn periods(&self, cells: &Incidence) -> Vec<[i32; 2]> {
        let width = self.period_years as i32;
        let starts = (cells.years[0]..=cells.years[1]).step_by(self.period_years.max(1) as usize);
        starts.map(|from| [from, from + width - 1]).collect()
    }
}

impl OneRound for AgePeriodCohort {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let (by, groups) = (options.by.as_deref(), &mut options.groups);
        let mut faults = prepare_cells(&mut options.incidence, by, groups, context);
        if !faults.is_empty() {
            return faults;
        }
        let cells = &options.incidence;
        if cells.age_end.is_none() {
            let message = "an open-ended last age band has no midpoint";
            faults.push(
                cells_fault(cells, "age_end", message).hint("give age_end under [incidence]"),
            );
        }
        faults.extend(period_width_fault(cells, options.period_years, one()));
        if cells.ages.len() < 3 {
            faults.push(cells_fault(cells, "ages", "at least three age bands are needed"));
        }
        if options.reference_cohort.is_some() && options.reference_period.is_some() {
            let message = "the reference must be a cohort or a period, not both";
            faults.push(Fault::new("/reference_period", message));
        }
        let even = (0..cells.ages.len()).all(|i| {
            let [from, to] = cells.band(i);
            to.saturating_sub(from) == options.period_years
        });
        if options.effects == Effects::Levels && !even {
            let message = "levels require age bands as wide as the periods";
            faults.push(
                Fault::new("/effects", message)
                    .hint("set period_years to the width of the age bands"),
            );
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, options.by.as_deref())
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let cells = &options.incidence;
        let (sums, counts) = rate_sums(cells, options.by.as_deref(), &options.groups, data)?;
        let periods = options.periods(cells);
        Ok(with_printed(sums, cells, &options.groups, &periods, true, &counts))
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

#[derive(Default)]
struct Tables {
    models: Vec<Submodel>,
    drift: Vec<LinearChange>,
    age: Vec<AgeEffect>,
    period: Vec<PeriodEffect>,
    cohort: Vec<CohortEffect>,
    local: Vec<LocalDrift>,
    tests: Vec<EffectTest>,
    rates: Vec<LexisRate>,
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let layout = &options.incidence;
    let cells = RateCells::read(layout, &options.groups, sums)?;
    let periods = options.periods(layout);
    let printed = Printed::read(layout, options.groups.len(), periods.len(), sums)?;
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    card_lines(&mut estimate, options);
    left_out_cases(sums, &mut estimate);
    unknown_age_cases(sums, &mut estimate);
    let mut tables = Tables::default();
    let per = layout.per();
    for (g, group) in options.groups.iter().enumerate() {
        for (sex_name, sex) in
            cells.each_sex().iter().filter(|(_, s)| s.is_none() || options.each_sex)
        {
            let lexis = lexis_cells(options, layout, &cells, *sex, g);
            let bands = layout.ages.len();
            for (i, cell) in lexis.iter().enumerate() {
                let hidden = printed.hides(*sex, g, i / bands, Some(i % bands));
                let status = match (hidden, cell.time > 0.0) {
                    (true, _) => Status::Suppressed,
                    (false, false) => Status::NoRiskSet,
                    (false, true) => Status::Ok,
                };
                tables.rates.push(LexisRate {
                    group: group.clone(),
                    sex: sex_name.clone(),
                    age: Some(cell.age),
                    period: Some(cell.period),
                    cases: (!hidden).then_some(cell.events),
                    person_years: Some(cell.time),
                    rate: (status == Status::Ok).then(|| per * cell.events / cell.time),
                    status,
                });
            }
            one_group(options, &mut estimate, &mut tables, [group, sex_name], &lexis, per);
        }
    }
    let Tables { models, drift, age, period, cohort, local, tests, rates } = tables;
    let all = [
        Table::of(drift),
        Table::of(models),
        Table::of(age),
        Table::of(period),
        Table::of(cohort),
        Table::of(local),
        Table::of(tests),
        Table::of(rates),
    ];
    estimate.tables.extend(all.into_iter().filter(|t| !t.rows.is_empty()));
    Ok(estimate)
}

/// Cells at the middles of their age bands and periods.
fn lexis_cells(
    options: &Options,
    layout: &Incidence,
    cells: &RateCells,
    sex: Option<usize>,
    group: usize,
) -> Vec<LexisCell> {
    let width = f64::from(options.period_years);
    let mut found = Vec::new();
    for span in options.periods(layout) {
        let (d, y) = (cells.cases(sex, Some(group), span), cells.person_years(sex, span));
        for (i, (events, time)) in d.into_iter().zip(y).enumerate() {
            let [first, end] = layout.band(i);
            let age = f64::midpoint(f64::from(first), f64::from(end));
            let period = f64::from(span[0]) + 0.5 * width;
            found.push(LexisCell { age, period, events, time });
        }
    }
    found
}

fn shapes(options: &Options, lexis: &[LexisCell]) -> [Shape; 3] {
    let events: Vec<f64> = lexis.iter().map(|c| c.events).collect();
    let axis: [fn(&LexisCell) -> f64; 3] = [|c| c.age, |c| c.period, |c| c.period - c.age];
    let mut n = options.knots.iter();
    axis.map(|f| {
        let mut values: Vec<f64> = lexis.iter().map(f).collect();
        let n = n.next().copied().unwrap_or(5);
        match options.effects {
            Effects::Splines => Shape::Spline(knots(&values, &events, n)),
            Effects::Levels => {
                values.sort_by(f64::total_cmp);
                values.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
                Shape::Levels(values)
            }
        }
    })
}

fn one_group(
    options: &Options,
    estimate: &mut Estimate,
    tables: &mut Tables,
    [group, sex]: [&String; 2],
    lexis: &[LexisCell],
    per: f64,
) {
    let (group, sex) = (|| group.clone(), || sex.clone());
    let z = normal_point(options.confidence_level.share());
    let percents = |(slope, se): (f64, f64)| {
        [slope, slope - z * se, slope + z * se].map(|x| Some(100.0 * x.exp_m1()))
    };
    let linear = |name: &str, drift: (f64, f64)| {
        let [percent, percent_low, percent_high] = percents(drift);
        LinearChange {
            group: group(),
            sex: sex(),
            estimator: name.to_owned(),
            percent,
            percent_low,
            percent_high,
            p_value: (drift.1 > 0.0).then(|| normal_two_sided(drift.0 / drift.1)),
            status: Status::Ok,
        }
    };
    let events: Vec<f64> = lexis.iter().map(|c| c.events).collect();
    let extraction = match options.drift {
        Drift::Cases => Extraction::Events,
        Drift::PersonYears => Extraction::Time,
        Drift::Cells => Extraction::Cells,
    };
    let cohorts: Vec<f64> = lexis.iter().map(|c| c.period - c.age).collect();
    let reference = match (options.reference_cohort, options.reference_period) {
        (_, Some(period)) => Reference::Period(period),
        (Some(cohort), None) => Reference::Cohort(cohort),
        (None, None) => Reference::Cohort(median(&cohorts, &events)),
    };
    let total: f64 = events.iter().sum();
    let fitted = maximum_likelihood(lexis, &shapes(options, lexis), extraction, reference);
    let Some(fit) = fitted else {
        let status = if total > 0.0 { Status::NotIdentified } else { Status::NoEvents };
        let key = if total > 0.0 { "apc-not-fitted" } else { "no-events" };
        estimate.notice(Notice::new(status, key, &[]));
        let estimator = "age-period-cohort model".to_owned();
        let (group, sex) = (group(), sex());
        tables.drift.push(LinearChange { group, sex, estimator, status, ..Default::default() });
        return;
    };
    let drifts = ["age-period-cohort model", "age and drift"].into_iter().zip(fit.drift);
    tables.drift.extend(drifts.map(|(name, drift)| linear(name, drift)));
    // Each model against one that it contains.
    for (i, against) in
        [(0, None), (1, Some(0)), (2, Some(1)), (4, Some(1)), (3, Some(2)), (3, Some(4))]
    {
        let model = &fit.submodels[i];
        let smaller = against.map(|j: usize| &fit.submodels[j]);
        let test = smaller
            .map(|smaller| ((smaller.deviance - model.deviance).max(0.0), smaller.df - model.df));
        tables.models.push(Submodel {
            group: group(),
            sex: sex(),
            model: model.name.to_owned(),
            deviance: Some(model.deviance),
            df: Some(model.df),
            compared_with: smaller.map_or("", |smaller| smaller.name).to_owned(),
            statistic: test.map(|(statistic, _)| statistic),
            test_df: test.map(|(_, df)| df),
            p_value: test.map(|(statistic, df)| chi_squared_upper(statistic, df)),
        });
    }
    let scaled = |e: &Effect, scale: f64| {
        [0.0, -z, z].map(|k| Some(scale * (e.estimate + k * e.std_error).exp()))
    };
    tables.age.extend(fit.age.iter().map(|effect| {
        let [rate, conf_low, conf_high] = scaled(effect, per);
        let (group, sex, age) = (group(), sex(), Some(effect.at));
        AgeEffect { group, sex, age, rate, conf_low, conf_high }
    }));
    tables.period.extend(fit.period.iter().map(|effect| {
        let [rate_ratio, conf_low, conf_high] = scaled(effect, 1.0);
        let (group, sex, period) = (group(), sex(), Some(effect.at));
        PeriodEffect { group, sex, period, rate_ratio, conf_low, conf_high }
    }));
    tables.cohort.extend(fit.cohort.iter().map(|effect| {
        let [rate_ratio, conf_low, conf_high] = scaled(effect, 1.0);
        let (group, sex, cohort) = (group(), sex(), Some(effect.at));
        CohortEffect { group, sex, cohort, rate_ratio, conf_low, conf_high }
    }));
    let empty = lexis.iter().filter(|c| c.events <= 0.0).count();
    // Where many cells are empty, a tenth of a case in each would lead the fit.
    if 5 * empty > lexis.len() {
        return;
    }
    let Some(drifts) = least_squares(lexis) else { return };
    if drifts.filled > 0 {
        let values = [("n", drifts.filled.to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "cells-filled", &values));
    }
    for (name, drift) in [
        ("net drift", drifts.net),
        ("longitudinal age trend", drifts.longitudinal),
        ("cross-sectional age trend", drifts.cross_sectional),
    ] {
        tables.drift.push(linear(name, drift));
    }
    tables.local.extend(drifts.local.iter().map(|effect| {
        let [percent, percent_low, percent_high] = percents((effect.estimate, effect.std_error));
        let (group, sex, age) = (group(), sex(), Some(effect.at));
        LocalDrift { group, sex, age, percent, percent_low, percent_high }
    }));
    tables.tests.extend(drifts.tests.iter().map(|test| EffectTest {
        group: group(),
        sex: sex(),
        test: test.name.to_owned(),
        statistic: Some(test.statistic),
        df: Some(test.df),
        p_value: Some(test.p_value),
    }));
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let effects = if options.effects == Effects::Splines { "splines" } else { "levels" };
    let knots: Vec<String> = options.knots.iter().map(usize::to_string).collect();
    estimate.line("effects", effects, &[("knots", knots.join(", "))]);
    let drift = match options.drift {
        Drift::Cases => "cases",
        Drift::PersonYears => "person-years",
        Drift::Cells => "cells",
    };
    estimate.line("drift", drift, &[]);
    let (rule, at) = match (options.reference_cohort, options.reference_period) {
        (_, Some(period)) => ("period", period.to_string()),
        (Some(cohort), None) => ("cohort", cohort.to_string()),
        (None, None) => ("median-cohort", String::new()),
    };
    estimate.line("reference", rule, &[("at", at)]);
    estimate.line("local-drifts", "least-squares", &[]);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "wald", &[("level", level)]);
}
