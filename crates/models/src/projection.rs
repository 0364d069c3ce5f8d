//! Projection of incidence: rates and cases of periods to come.
//!
//! *Estimates* rates and numbers of cases of the next periods by age, and how much of their change the population and the risk make up.
//! *A site sends*, once, cases and person-years by sex, group, year and age, and the person-years forecast for years to come. *Sums*:
//! cell by cell. *The hub* fits age, drift, period and cohort. *Differs from pooling rows*: not at all. *Not done*: what no trend of the
//! past foretells, such as screening or a change of coding. *Sources*: Møller et al. (2003).

mod tables;

use nalgebra::DMatrix;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Covered, Incidence, SiteData},
    estimate::{Estimate, Exactness, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Context, Exchanges, ModelCard, OneRound, Printed, RateCells, Sums, cells_fault,
        incidence_needs, left_out_cases, period_width_fault, prepare_cells, rate_sums,
        unknown_age_cases, with_printed,
    },
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::projection::Observed;

pub use self::tables::{BaseFit, Change, PROJECTED, ProjectedCases, ProjectedRate};
use self::tables::{Line, Tables};
use super::rate_trend::standard_weights;

/// The model.
#[derive(Debug)]
pub struct Projection;

/// Scale on which effects add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Scale {
    /// Fifth root of the rate: trends grow less than exponentially.
    #[default]
    FifthRoot,
    /// Logarithm of the rate.
    Log,
}

/// Drift that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Drift {
    /// That of the last two periods where the trend is curved (p < 0.05), else the average.
    #[default]
    Auto,
    /// That of the last two periods.
    Recent,
    /// That of all periods of the base.
    Average,
}

/// Population of the years to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Population {
    /// The site's population table holds its forecast.
    #[default]
    Forecast,
    /// As in the last observed period.
    Constant,
}

/// Options of `projection`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells of the years observed, the analysis's own if absent.
    incidence: Incidence,
    /// Variable whose levels are projected one by one.
    #[serde(default)]
    by: Option<String>,
    /// Whether males and females are projected one by one too.
    #[serde(default)]
    each_sex: bool,
    /// Years in a period; age bands are as wide, the last may be open.
    #[serde(default = "five_years")]
    #[schemars(with = "limits::WholeYears")]
    period_years: u32,
    /// Share of the drift that is taken off in each period to come; their number is that of the periods.
    #[serde(default = "cuts")]
    #[schemars(with = "Vec<limits::Share>")]
    cut_drift: Vec<f64>,
    /// Fewest and most periods of the base; the longest is taken whose fit is not rejected at one per cent.
    #[serde(default = "bases")]
    #[schemars(inner(range(min = 3, max = 50)))]
    base_periods: [usize; 2],
    /// First age of the model; if absent, the youngest from which on every band up to that with the most
    /// cases has ten in a period on average. The youngest band
    /// of the model and those below it keep the mean rate of the last two periods.
    #[serde(default)]
    #[schemars(with = "Option<limits::Age>")]
    model_from_age: Option<u32>,
    /// Scale on which effects add.
    #[serde(default)]
    scale: Scale,
    /// Drift that goes on.
    #[serde(default)]
    drift: Drift,
    /// Population of the years to come.
    #[serde(default)]
    population: Population,
    /// Standard population.
    #[serde(default = "super::rate_trend::world")]
    standard: String,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

fn five_years() -> u32 {
    5
}

fn cuts() -> Vec<f64> {
    vec![0.0, 0.25, 0.5, 0.75, 0.75]
}

fn bases() -> [usize; 2] {
    [4, 6]
}

static CARD: ModelCard = ModelCard {
    kind: "projection",
    title: "Projection of incidence",
    estimates: "rates and numbers of cases in future periods, and how much of the change is due to population and to risk",
    sends: "once: cases by sex, group, year and age band, and the person-years of its population, including forecasts",
    pools: "cells are summed; the hub fits age, drift, period and cohort",
    differs: "none",
    not_done: "changes that past trends do not foretell, such as screening or new coding rules",
    exchanges: Exchanges::One,
    sources: "Møller et al. 2003; Møller, Weedon-Fekjær & Haldorsen 2005",
    example: "id = \"future\"\nkind = \"projection\"\nbase_periods = [3, 3]\npopulation = \"constant\"\ncut_drift = [0, 0.25]\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 5, 10], age_end = 15, years = [1995, 2009] }\n",
};

impl Options {
    /// Periods observed, and those to come.
    fn periods(&self, cells: &Incidence) -> (Vec<[i32; 2]>, Vec<[i32; 2]>) {
        let width = self.period_years.max(1) as i32;
        let span = |from: i32| [from, from + width - 1];
        let seen = (cells.years[0]..=cells.years[1]).step_by(width as usize).map(span).collect();
        let coming = (0..self.cut_drift.len() as i32).map(|j| span(cells.years[1] + 1 + j * width));
        (seen, coming.collect())
    }

    /// Cells of the years to come.
    fn coming(&self, cells: &Incidence) -> Incidence {
        let ahead = (self.period_years as usize * self.cut_drift.len()) as i32;
        Incidence { years: [cells.years[1] + 1, cells.years[1] + ahead], ..cells.clone() }
    }

    fn own_faults(&self, cells: &Incidence) -> Vec<Fault> {
        let mut faults = Vec::new();
        faults.extend(period_width_fault(cells, self.period_years, five_years()));
        let uneven = (0..cells.ages.len()).find(|&i| {
            let [from, to] = cells.band(i);
            to != u32::MAX && to - from != self.period_years
        });
        if let Some(i) = uneven {
            let message = format!("age band {} is not as wide as a period", cells.band_names()[i]);
            let hint = "ages = [0, 5, 10, 15] and period_years = 5; the last band may be open";
            faults.push(cells_fault(cells, "ages", message).hint(hint));
        }
        if cells.ages.len() < 3 {
            faults.push(cells_fault(cells, "ages", "at least three age bands are needed"));
        }
        if !(1..=10).contains(&self.cut_drift.len())
            || self.cut_drift.iter().any(|c| !(0.0..=1.0).contains(c))
        {
            let message = "cut_drift must be one to ten proportions between 0 and 1";
            faults.push(Fault::new("/cut_drift", message).hint("cut_drift = [0, 0.25, 0.5]"));
        }
        let [fewest, most] = self.base_periods;
        if fewest < 3 || fewest > most {
            let message = format!("{fewest} to {most} is not a valid range of base periods");
            faults.push(Fault::new("/base_periods", message).hint("base_periods = [4, 6]"));
        }
        if let Some(from) = self.model_from_age
            && !cells.ages[..cells.ages.len().saturating_sub(1)].contains(&from)
        {
            let message = format!("no age band, other than the last, starts at {from}");
            faults.push(Fault::new("/model_from_age", message));
        }
        faults.extend(standard_weights(&self.standard, cells).err());
        faults
    }
}

impl OneRound for Projection {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let (by, groups) = (options.by.as_deref(), &mut options.groups);
        let faults = prepare_cells(&mut options.incidence, by, groups, context);
        if faults.is_empty() { options.own_faults(&options.incidence) } else { faults }
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, options.by.as_deref())
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let cells = &options.incidence;
        let (sums, counts) = rate_sums(cells, options.by.as_deref(), &options.groups, data)?;
        let (periods, coming) = options.periods(cells);
        let sums = with_printed(sums, cells, &options.groups, &periods, true, &counts);
        if options.population == Population::Constant {
            return Ok(sums);
        }
        let later = options.coming(cells);
        let Covered { person_years: years, is_covered } = later.covered(data)?;
        let missing = is_covered.iter().position(|is| !is).map(|at| at / cells.ages.len());
        if let Some(line) = missing.filter(|_| counts.person_years.iter().any(|y| *y > 0.0)) {
            let year = later.years[0] + (line % later.len()) as i32;
            let reason = format!(
                "it has no person-years of {year}, which a projection to {} needs, or else `population = \"constant\"` in the analysis",
                coming.last().map_or(year, |p| p[1])
            );
            return Err(CohortError::Population { reason });
        }
        let axes = vec![
            Axis::new("sex", cells.sex_names()),
            Axis::new("year", (later.years[0]..=later.years[1]).map(|y| y.to_string())),
            Axis::new("age", cells.band_names()),
        ];
        Ok(sums.person_time("forecast_person_years", axes, years))
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
    let layout = &options.incidence;
    let weights = standard_weights(&options.standard, layout)
        .map_err(|_| LayoutError::Missing { array: "standard".into() })?;
    let cells = RateCells::read(layout, &options.groups, sums)?;
    let (periods, coming) = options.periods(layout);
    let printed = Printed::read(layout, options.groups.len(), periods.len(), sums)?;
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    card_lines(&mut estimate, options);
    left_out_cases(sums, &mut estimate);
    unknown_age_cases(sums, &mut estimate);
    let mut tables = Tables::default();
    let forecast = sums.get("forecast_person_years").ok();
    let later = options.coming(layout);
    for (g, group) in options.groups.iter().enumerate() {
        for (sex_name, sex) in
            cells.each_sex().iter().filter(|(_, s)| s.is_none() || options.each_sex)
        {
            let bands = layout.ages.len();
            let column = |f: &dyn Fn([i32; 2]) -> Vec<f64>| {
                let columns: Vec<f64> = periods.iter().flat_map(|p| f(*p)).collect();
                DMatrix::from_vec(bands, periods.len(), columns)
            };
            let observed = Observed {
                cases: column(&|p| cells.cases(*sex, Some(g), p)),
                person_years: column(&|p| cells.person_years(*sex, p)),
            };
            let years = |band: usize, period: usize| match forecast {
                None => observed.person_years[(band, periods.len() - 1)],
                Some(forecast) => {
                    let width = options.period_years as usize;
                    let sexes = sex.map_or(0..cells.sexes.len(), |s| s..s + 1);
                    let of = |s: usize, y: usize| forecast[(s * later.len() + y) * bands + band];
                    sexes
                        .flat_map(|s| (period * width..(period + 1) * width).map(move |y| (s, y)))
                        .map(|(s, y)| of(s, y))
                        .sum()
                }
            };
            let line = Line {
                group,
                sex: sex_name,
                coming: DMatrix::from_fn(bands, coming.len(), years),
                observed,
                hides: &|period, band| printed.hides(*sex, g, period, band),
            };
            line.add(options, layout, &weights, [&periods, &coming], &mut tables, &mut estimate);
        }
    }
    let Tables { base, projection, standardised, change } = tables;
    estimate.tables.extend([
        Table::of(standardised),
        Table::of(change),
        Table::of(base),
        Table::of(projection),
    ]);
    Ok(estimate)
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let scale = if options.scale == Scale::FifthRoot { "fifth-root" } else { "log-rate" };
    estimate.line("projection-scale", scale, &[]);
    let drift = match options.drift {
        Drift::Auto => "auto",
        Drift::Recent => "recent",
        Drift::Average => "average",
    };
    let cuts: Vec<String> = options.cut_drift.iter().map(|c| format!("{} %", 100.0 * c)).collect();
    estimate.line("projection-drift", drift, &[("cuts", cuts.join(", "))]);
    let population =
        if options.population == Population::Forecast { "forecast" } else { "constant" };
    estimate.line("projection-population", population, &[]);
    super::rate_trend::standards_line(
        estimate,
        std::slice::from_ref(&options.standard),
        &options.incidence,
    );
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "projection", &[("level", level)]);
}
