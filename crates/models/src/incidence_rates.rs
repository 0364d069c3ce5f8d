//! Incidence rates: crude, age-specific, standardised and cumulative, by group, sex and period.
//!
//! *Estimates* rates per person-years with their limits, the cumulative risk, and the sex ratio. *A site sends*, once, cases by
//! sex, group, year and age, and the person-years of its population. *Sums*: cell by cell. *The hub* forms the rates. *Differs from
//! pooling rows*: not at all. *Not done*: delay adjustment. *Sources*: Segi (1960); Garwood (1936); Dobson et al. (1991); Fay &
//! Feuer (1997); Tiwari, Clegg & Zou (2006); Day (1987) for the cumulative rate; Cancer Incidence in Five Continents for cases of
//! unknown age.

mod tables;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Incidence, SiteData},
    estimate::{Estimate, Exactness, Notice, Status},
    limits::{self, ConfidenceLevel},
    model::{
        Context, Exchanges, ModelCard, OneRound, Printed, RateCells, Sums, incidence_needs,
        left_out_cases, period_faults, period_name, prepare_cells, rate_sums, with_printed,
    },
    spec::{Fault, suggestion},
    summary::LayoutError,
    vocabulary::population_standards,
};
use tributary_stats::rate::{CountInterval, RateInterval};

pub use self::tables::{
    ALL_AGES, AgeRate, CRUDE, CumulativeRate, SexRatio, StandardisedRate, UnknownAge,
};
use self::tables::{Counts, Line, Tables};

/// The model.
#[derive(Debug)]
pub struct IncidenceRates;

/// Interval of a crude or age-specific rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CrudeInterval {
    /// Exact (Garwood).
    #[default]
    Exact,
    /// Exact with half the probability of the count seen.
    MidP,
    /// Byar's approximation.
    Byar,
    /// Inverted score test.
    Score,
    /// Normal on the log scale.
    Log,
}

impl CrudeInterval {
    fn rule(self) -> CountInterval {
        match self {
            Self::Exact => CountInterval::Exact,
            Self::MidP => CountInterval::MidP,
            Self::Byar => CountInterval::Byar,
            Self::Score => CountInterval::Score,
            Self::Log => CountInterval::Log,
        }
    }
}

/// Interval of a standardised rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum StandardInterval {
    /// Gamma (Fay & Feuer): holds its level however few the cases are.
    #[default]
    FayFeuer,
    /// Gamma with mean weights, as SEER*Stat.
    Tiwari,
    /// Gamma with half the probability of what was seen.
    MidPGamma,
    /// Exact limits of the cases, scaled.
    Dobson,
    /// Normal.
    Normal,
    /// Normal on the log scale.
    Log,
}

impl StandardInterval {
    fn rule(self) -> RateInterval {
        match self {
            Self::FayFeuer => RateInterval::FayFeuer,
            Self::Tiwari => RateInterval::Tiwari,
            Self::MidPGamma => RateInterval::MidPGamma,
            Self::Dobson => RateInterval::Dobson,
            Self::Normal => RateInterval::Normal,
            Self::Log => RateInterval::Log,
        }
    }
}

/// Layout of the yearbook's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// International Incidence of Childhood Cancer: cases by age, ratio of males to females, rates by age and standardised.
    Iicc,
    /// Cancer Incidence in Five Continents: cases, those of unknown age, rates by age; crude, cumulative and standardised rates.
    Ci5,
}

/// A standard population of one's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OwnStandard {
    /// Name in tables.
    name: String,
    /// Weight of each age band.
    #[schemars(with = "Vec<limits::Weight>")]
    weights: Vec<f64>,
}

/// Options of `incidence_rates`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent.
    incidence: Incidence,
    /// Variable whose levels have rates of their own, such as the diagnosis.
    #[serde(default)]
    by: Option<String>,
    /// First and last year of each period; all years together if absent.
    #[serde(default)]
    #[schemars(with = "Vec<[limits::CalendarYear; 2]>")]
    periods: Vec<[i32; 2]>,
    /// Standard populations: `world`, `who2000`, `europe1976`, `europe2013`, `us2000`, `nordic2000`.
    #[serde(default = "world")]
    standards: Vec<String>,
    /// Standard populations of one's own.
    #[serde(default)]
    own_standards: Vec<OwnStandard>,
    /// Ages (first, first no longer counted) over which rates are standardised and cumulated; all ages if absent.
    #[serde(default)]
    #[schemars(with = "Vec<[limits::Age; 2]>")]
    truncated: Vec<[u32; 2]>,
    /// Layout of the pages: `iicc` if nobody is 20 or over, else `ci5`, which adds cumulative rates to ages 64 and 74.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// Codes of the levels of `by` that are printed beside them, such as those of ICD-10.
    #[serde(default)]
    pub icd10: BTreeMap<String, String>,
    /// Person-years for which rates are told: a million if nobody is 20 or over, else 100 000.
    #[serde(default)]
    #[schemars(with = "Option<limits::Units>")]
    per: Option<f64>,
    /// Interval of crude and age-specific rates.
    #[serde(default)]
    interval: CrudeInterval,
    /// Interval of standardised and cumulative rates.
    #[serde(default)]
    standard_interval: StandardInterval,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

fn world() -> Vec<String> {
    vec!["world".to_owned()]
}

static CARD: ModelCard = ModelCard {
    kind: "incidence_rates",
    title: "Incidence rates",
    estimates: "crude, age-specific, standardised and cumulative rates, cumulative risk and sex ratio, by group and period",
    sends: "once: cases by sex, group, year and age band, and the person-years of its population",
    pools: "cells are summed; the hub computes rates with their limits",
    differs: "none",
    not_done: "adjustment for delayed reports",
    exchanges: Exchanges::One,
    sources: "Segi 1960; Garwood 1936; Dobson et al. 1991; Fay & Feuer 1997; Tiwari, Clegg & Zou 2006; Day 1987",
    example: "id = \"yearbook\"\nkind = \"incidence_rates\"\nby = \"x_hist_central\"\nperiods = [[2000, 2004], [2005, 2009]]\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 1, 5, 10], age_end = 15, years = [2000, 2009] }\n",
};

impl Options {
    fn bands(&self) -> Vec<[u32; 2]> {
        let cells = &self.incidence;
        (0..cells.ages.len()).map(|i| cells.band(i)).collect()
    }

    /// Names, ages and weights of each standardisation.
    fn standardisations(&self) -> Vec<(String, [u32; 2], Option<Vec<f64>>)> {
        let bands = self.bands();
        let own = |s: &OwnStandard, ages: [u32; 2]| {
            let inside = |b: &[u32; 2]| b[0] >= ages[0] && b[1] <= ages[1];
            let cut = bands.iter().zip(&s.weights).map(|(b, w)| if inside(b) { *w } else { 0.0 });
            let cut: Vec<f64> = cut.collect();
            let total: f64 = cut.iter().sum();
            (total > 0.0).then(|| cut.iter().map(|w| w / total).collect())
        };
        let mut found = Vec::new();
        for ages in &self.truncated {
            for name in &self.standards {
                found.push((
                    name.clone(),
                    *ages,
                    population_standards::weights(name, &bands, *ages),
                ));
            }
            found.extend(self.own_standards.iter().map(|s| (s.name.clone(), *ages, own(s, *ages))));
        }
        found
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let bands = self.bands();
        let known: Vec<String> =
            population_standards::names().iter().map(|n| (*n).to_owned()).collect();
        for (i, name) in self.standards.iter().enumerate().filter(|(_, n)| !known.contains(n)) {
            let message = format!("there is no standard population `{name}`");
            faults.push(
                Fault::new(format!("/standards/{i}"), message).hint(suggestion(name, &known)),
            );
        }
        for (i, own) in self.own_standards.iter().enumerate() {
            if own.weights.len() != bands.len()
                || own.weights.iter().any(|w| w.is_nan() || *w < 0.0)
            {
                let message =
                    format!("{} weights for {} age bands", own.weights.len(), bands.len());
                faults.push(Fault::new(format!("/own_standards/{i}/weights"), message));
            }
        }
        for (i, [from, to]) in self.truncated.iter().enumerate() {
            let starts = bands.iter().any(|b| b[0] == *from);
            if !starts || !bands.iter().any(|b| b[1] == *to) {
                let message =
                    format!("ages {from} to {to} do not start and end at age band boundaries");
                faults.push(Fault::new(format!("/truncated/{i}"), message));
            }
        }
        if faults.is_empty() {
            let without = self.standardisations().into_iter().find(|s| s.2.is_none());
            if let Some((name, [from, to], _)) = without {
                let message =
                    format!("`{name}` has no weights for the age bands from {from} to {to}");
                let hint = "use the age bands of the standard: five years wide, with the first year of life separate if needed";
                faults.push(Fault::new("/standards", message).hint(hint));
            }
        }
        faults
    }
}

impl OneRound for IncidenceRates {
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
        faults.extend(period_faults(&mut options.periods, cells));
        if options.per.get_or_insert(cells.per()).is_nan()
            || options.per.is_some_and(|per| per <= 0.0)
        {
            faults.push(Fault::new("/per", "`per` must be a positive number of person-years"));
        }
        let usual = if cells.is_childhood() { Layout::Iicc } else { Layout::Ci5 };
        let layout = *options.layout.get_or_insert(usual);
        if options.truncated.is_empty() {
            let end = cells.age_end.unwrap_or(u32::MAX);
            options.truncated = vec![[cells.ages[0], end]];
            let starts = |age: &u32| *age < end && cells.ages.contains(age);
            let ends = [65, 75].into_iter().filter(starts).filter(|_| layout == Layout::Ci5);
            options.truncated.extend(ends.map(|age| [cells.ages[0], age]));
        }
        for level in options.icd10.keys().filter(|l| !options.groups.contains(l)) {
            let message = format!("`{level}` is not a level of the groups");
            let hint = suggestion(level, &options.groups);
            faults.push(Fault::new(format!("/icd10/{level}"), message).hint(hint));
        }
        faults.extend(options.faults());
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, options.by.as_deref())
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let cells = &options.incidence;
        let (sums, counts) = rate_sums(cells, options.by.as_deref(), &options.groups, data)?;
        Ok(with_printed(sums, cells, &options.groups, &options.periods, true, &counts))
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
    let layout = &options.incidence;
    let cells = RateCells::read(layout, &options.groups, sums)?;
    card_lines(&mut estimate, options, layout);
    left_out_cases(sums, &mut estimate);
    let mut tables = Tables::default();
    let printed = Printed::read(layout, options.groups.len(), options.periods.len(), sums)?;
    for (g, group) in options.groups.iter().enumerate() {
        for (p, period) in options.periods.iter().enumerate() {
            for (name, sex) in cells.each_sex() {
                let line = Line { group, sex: &name, period: period_name(*period) };
                let hides = |band| printed.hides(sex, g, p, band);
                let counts = Counts {
                    cases: cells.cases(sex, Some(g), *period),
                    time: cells.person_years(sex, *period),
                    unknown: cells.unknown_age(sex, Some(g), *period),
                    hidden: (0..cells.bands.len()).map(|b| hides(Some(b))).collect(),
                    hidden_unknown: hides(Some(cells.bands.len())),
                    hidden_total: hides(None),
                };
                tables.add(options, layout, &line, &counts);
            }
            let hidden = (0..cells.sexes.len()).any(|s| printed.hides(Some(s), g, p, None));
            if cells.sexes.len() == 2 && !hidden {
                let side = |s: usize| {
                    (cells.cases(Some(s), Some(g), *period), cells.person_years(Some(s), *period))
                };
                tables.add_sex_ratio(options, group, &period_name(*period), &side(0), &side(1));
            }
        }
    }
    let total: f64 =
        (0..options.groups.len()).flat_map(|g| cells.cases(None, Some(g), layout.years)).sum();
    if total <= 0.0 {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    estimate.tables.extend(tables.finish());
    Ok(estimate)
}

fn card_lines(estimate: &mut Estimate, options: &Options, layout: &Incidence) {
    estimate.line("rate-per", "person-years", &[("per", options.per.unwrap_or(1e5).to_string())]);
    let names = layout.band_names();
    estimate.line("age-bands", "of", &[("bands", names.join(", "))]);
    if !options.standards.is_empty() {
        super::rate_trend::standards_line(estimate, &options.standards, layout);
    }
    let level = (100.0 * options.confidence_level.share()).to_string();
    let crude = match options.interval {
        CrudeInterval::Exact => "exact-poisson",
        CrudeInterval::MidP => "mid-p-poisson",
        CrudeInterval::Byar => "byar",
        CrudeInterval::Score => "score-poisson",
        CrudeInterval::Log => "log-poisson",
    };
    estimate.line("interval", crude, &[("level", level.clone())]);
    let standard = match options.standard_interval {
        StandardInterval::FayFeuer => "fay-feuer",
        StandardInterval::Tiwari => "tiwari",
        StandardInterval::MidPGamma => "mid-p-gamma",
        StandardInterval::Dobson => "dobson",
        StandardInterval::Normal => "normal-rate",
        StandardInterval::Log => "log-rate",
    };
    estimate.line("standard-interval", standard, &[("level", level)]);
    estimate.line("unknown-age", "as-known", &[]);
}
