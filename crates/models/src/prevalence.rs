//! Limited-duration prevalence: how many people live with a diagnosis of the last years.
//!
//! *Estimates* the people alive on a day whose diagnosis lies at most so many years back, and their share of the population, by
//! attained age, sex and group. *A site sends* its event table; then those known to be alive, and for those lost before the day the
//! sums of their probabilities, from the pooled survival, to have lived on. *Sums*: cell by cell. *The hub* forms the pooled survival
//! and the shares. *Differs from pooling rows*: not at all. *Not done*: people diagnosed before registration began. *Sources*: Gail et
//! al. (1999); Clegg, Gail & Feuer (2002) for the Poisson variance, given the survival.

mod tables;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, Incidence, Places, SiteData, Survival, epoch_day},
    estimate::{Estimate, Exactness, Notice, Status},
    limits::{self, ConfidenceLevel},
    model::{
        Context, EventCounts, Exchanges, FitError, Model, ModelCard, Round, Step, Sums,
        cells_fault, followup_fault, prepare_cells, tell_cases,
    },
    spec::{Fault, VariableKind},
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    event_table::{Rows, TimeGrid, event_table},
    product_limit::product_limit,
};

pub use self::tables::{ALL, Prevalent, StandardisedPrevalence};
use self::tables::{Cell, Tables};
use super::rate_trend::standard_weights;

/// The model.
#[derive(Debug)]
pub struct Prevalence;

/// Options of `prevalence`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent: `year` is the day of diagnosis, `ages` are ages on the index day.
    incidence: Incidence,
    /// Follow-up from diagnosis, the analysis's own if absent.
    followup: Followup,
    /// Index day, such as `2015-01-01`: alive at its start, diagnosed before.
    on: String,
    /// Longest times since diagnosis, whole years, ascending.
    #[serde(default = "durations")]
    #[schemars(with = "Vec<limits::WholeYears>")]
    durations_years: Vec<u32>,
    /// Variable whose levels are counted one by one, such as the diagnosis.
    #[serde(default)]
    by: Option<String>,
    /// First and last year whose mean population is divided by; if absent that of the index day, and of the year before too if it is the
    /// first of January.
    #[serde(default)]
    #[schemars(with = "Option<[limits::CalendarYear; 2]>")]
    population_years: Option<[i32; 2]>,
    /// Standard population.
    #[serde(default = "super::rate_trend::world")]
    standard: String,
    /// Last day of the grid of survival; from the dictionary's range of the time where absent.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    horizon_days: Option<u32>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

fn durations() -> Vec<u32> {
    vec![5, 10, 20]
}

/// What the hub asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Params {
    /// Event tables.
    Counts,
    /// People alive, and chances of those lost.
    Alive {
        /// Pooled survival by sex and group, `sex * groups + group`.
        survival: Vec<Curve>,
    },
}

/// A survival curve: values from each day on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Curve {
    days: Vec<i32>,
    values: Vec<f64>,
    /// Last day on which somebody was followed: the curve says nothing beyond.
    end: i32,
}

impl Curve {
    fn at(&self, day: i32) -> f64 {
        let after = self.days.partition_point(|d| *d <= day);
        if after == 0 { 1.0 } else { self.values[after - 1] }
    }

    /// Probability to be alive on day `to` of somebody who was on day `from`; 0 where nobody lived so long.
    fn between(&self, from: i32, to: i32) -> f64 {
        let start = self.at(from);
        if start > 0.0 { self.at(to) / start } else { 0.0 }
    }
}

static CARD: ModelCard = ModelCard {
    kind: "prevalence",
    title: "Limited-duration prevalence",
    estimates: "prevalent cases at an index date, diagnosed within given numbers of years, and prevalence per population, by age, sex and group",
    sends: "its event table; then counts of those alive, sums of the probabilities that those lost survived to the index date, and the person-years of its population",
    pools: "cells are summed over two rounds; the hub computes the pooled survival and the prevalence",
    differs: "none",
    not_done: "people diagnosed before registration began",
    exchanges: Exchanges::Several {
        usual: "2",
        instead: "none: patients lost to follow-up need the pooled survival",
    },
    sources: "Gail et al. 1999; Clegg, Gail & Feuer 2002",
    example: "id = \"alive\"\nkind = \"prevalence\"\non = \"2009-01-01\"\ndurations_years = [2, 5]\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 5, 10], age_end = 15, years = [2000, 2009] }\n",
};

/// One row that may be alive on the index day.
struct Living {
    stratum: usize,
    duration: usize,
    age: usize,
    /// Follow-up and time from diagnosis to the index day, days, of those lost before it.
    lost: Option<(i32, i32)>,
}

impl Options {
    /// The index day, and the first day of diagnosis of each duration, since 1970-01-01.
    fn days(&self) -> Option<(i32, Vec<i32>)> {
        let index: jiff::civil::Date = self.on.parse().ok()?;
        let first = |years: &u32| {
            let from = index.checked_sub(jiff::Span::new().years(i64::from(*years))).ok()?;
            epoch_day(&from.to_string())
        };
        Some((epoch_day(&self.on)?, self.durations_years.iter().map(first).collect::<Option<_>>()?))
    }

    fn denominators(&self) -> [i32; 2] {
        let of_day = || {
            let day: jiff::civil::Date = self.on.parse().ok()?;
            let year = i32::from(day.year());
            Some([if (day.month(), day.day()) == (1, 1) { year - 1 } else { year }, year])
        };
        self.population_years.or_else(of_day).unwrap_or([0, 0])
    }

    fn duration_names(&self) -> Vec<String> {
        let from = std::iter::once(0).chain(self.durations_years.iter().copied());
        from.zip(&self.durations_years).map(|(from, to)| format!("{from}–<{to}")).collect()
    }

    fn strata(&self, cells: &Incidence) -> Vec<String> {
        let name = |sex: &String| -> Vec<String> {
            self.groups.iter().map(|g| format!("{sex}, {g}")).collect()
        };
        cells.sex_names().iter().flat_map(name).collect()
    }

    fn own_faults(&self, context: &Context<'_>, cells: &Incidence) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Err((message, hint)) = context.dictionary.usable(&cells.year, &[VariableKind::Date])
        {
            faults.push(cells_fault(cells, "year", message).hint(hint));
        }
        if self.days().is_none() {
            let message = format!("`{}` is not a date", self.on);
            faults.push(Fault::new("/on", message).hint("on = \"2015-01-01\""));
        }
        let ascending = self.durations_years.windows(2).all(|w| w[0] < w[1]);
        if self.durations_years.first().is_none_or(|d| *d == 0) || !ascending {
            let message = "durations must be whole years, in ascending order";
            faults.push(Fault::new("/durations_years", message).hint("durations_years = [5, 10]"));
        }
        if cells.count.is_some() {
            let message = "prevalence needs one record per patient";
            faults.push(cells_fault(cells, "count", message).hint("leave `count` out"));
        }
        let [from, to] = self.denominators();
        if from > to || to - from > 20 {
            let message = format!("{from} to {to} is not a valid range of years of a population");
            faults.push(Fault::new("/population_years", message));
        }
        if let Some(field) = self.followup.late() {
            let message =
                "prevalence requires follow-up from diagnosis, without late entry or a window";
            faults.push(followup_fault(&self.followup, field, message));
        }
        faults.extend(standard_weights(&self.standard, cells).err());
        faults
    }

    /// Stratum of each row of `survival`.
    fn strata_of(
        &self,
        cells: &Incidence,
        data: &SiteData,
        survival: &Survival,
    ) -> Result<Vec<u32>, CohortError> {
        let codes = |name: Option<&str>| name.map(|n| data.cohort.levels(n)).transpose();
        let (sex, group) = (codes(cells.sex.as_deref())?, codes(self.by.as_deref())?);
        // Nothing is missing in the rows of `survival`.
        let code = |column: &Option<(Vec<Option<u32>>, Vec<String>)>, row: usize| {
            column.as_ref().and_then(|(codes, _)| codes[row]).unwrap_or(0)
        };
        let groups = self.groups.len() as u32;
        let rows = survival.rows.iter();
        Ok(rows.map(|&row| code(&sex, row) * groups + code(&group, row)).collect())
    }

    /// The rows that were diagnosed in time and are not known to be dead before the index day.
    fn living(
        &self,
        cells: &Incidence,
        data: &SiteData,
        survival: &Survival,
        strata: &[u32],
    ) -> Result<Vec<Living>, CohortError> {
        let (index, firsts) = self.days().ok_or_else(|| CohortError::Question {
            reason: "its index date is not a valid date".into(),
        })?;
        let diagnosed = data.cohort.days(&cells.year)?;
        let ages = data.cohort.numbers(&cells.age)?;
        let year = self.followup.year.days();
        let mut found = Vec::new();
        for (i, &row) in survival.rows.iter().enumerate() {
            let Some(day) = diagnosed[row].filter(|day| *day < index) else { continue };
            let Some(duration) = firsts.iter().position(|first| day >= *first) else { continue };
            let since = index - day;
            let followed = survival.exit[i];
            let gone = followed < since;
            if gone && survival.event[i] {
                continue;
            }
            let years = ages[row] * cells.age_unit + f64::from(since) / year;
            let Some(age) = cells.band_of((years + 1e-9).floor()) else { continue };
            let stratum = strata[i] as usize;
            found.push(Living { stratum, duration, age, lost: gone.then_some((followed, since)) });
        }
        Ok(found)
    }
}

impl Model for Prevalence {
    type Options = Options;
    type Params = Params;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if faults.is_empty() {
            faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        }
        let (by, groups) = (options.by.as_deref(), &mut options.groups);
        faults.extend(prepare_cells(&mut options.incidence, by, groups, context));
        if faults.is_empty() {
            faults.extend(options.own_faults(context, &options.incidence));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(options.incidence.needs(options.by.as_deref()));
        let index = options.days().map(|(index, _)| vec![index]).unwrap_or_default();
        needs.push(ColumnNeed::parted(&options.incidence.year, Places::Days(index), "/on"));
        needs
    }

    fn begin(&self, _: &Options) -> Result<Params, FitError> {
        Ok(Params::Counts)
    }

    fn summarise(
        &self,
        options: &Options,
        params: &Params,
        data: &SiteData,
    ) -> Result<Sums, CohortError> {
        let cells = &options.incidence;
        let needed: Vec<&str> =
            [Some(&cells.year), Some(&cells.age), cells.sex.as_ref(), options.by.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
        let survival = data.cohort.stretches(&options.followup, &needed)?;
        let strata = options.strata_of(cells, data, &survival)?;
        let answer = Sums::of(&survival);
        let names = options.strata(cells);
        let Params::Alive { survival: curves } = params else {
            let rows =
                Rows { entry: None, exit: &survival.exit, event: &survival.event, group: &strata };
            let grid = TimeGrid::daily(options.horizon_days.unwrap_or(0));
            let table = event_table(rows, names.len(), &grid);
            return Ok(answer.event_counts(&EventCounts { groups: names, table }));
        };
        if curves.len() != names.len() || curves.iter().any(|c| c.days.len() != c.values.len()) {
            let reason = "its curves do not fit the strata of the model".into();
            return Err(CohortError::Question { reason });
        }
        let (durations, bands) = (options.durations_years.len(), cells.ages.len());
        let size = names.len() * durations;
        let [mut alive, mut lost, mut chance, mut square] = [0; 4].map(|_| vec![0.0; size * bands]);
        let mut printed = vec![0.0; size * (bands + 1)];
        let mut printed_lost = vec![0.0; size * (bands + 1)];
        let population = mean_population(options, cells, data)?;
        let (mut without, mut beyond) = (0.0, 0.0);
        for one in options.living(cells, data, &survival, &strata)? {
            // People of whom there is no population have no share: they are counted as such, as cases of incidence are.
            if population[one.stratum / options.groups.len() * bands + one.age] <= 0.0 {
                without += 1.0;
                continue;
            }
            let line = one.stratum * durations + one.duration;
            let at = line * bands + one.age;
            printed[line * (bands + 1)] += 1.0;
            printed[line * (bands + 1) + 1 + one.age] += 1.0;
            match one.lost {
                None => alive[at] += 1.0,
                Some((followed, since)) => {
                    let p = curves[one.stratum].between(followed, since);
                    beyond += f64::from(u8::from(since > curves[one.stratum].end));
                    lost[at] += 1.0;
                    printed_lost[line * (bands + 1)] += 1.0;
                    printed_lost[line * (bands + 1) + 1 + one.age] += 1.0;
                    chance[at] += p;
                    square[at] += p * p;
                }
            }
        }
        let stratum = || Axis::new("stratum", names.iter().cloned());
        let duration = || Axis::new("duration", options.duration_names());
        let age = || Axis::new("age", cells.band_names());
        let axes = || vec![stratum(), duration(), age()];
        let ages = [vec!["all".to_owned()], cells.band_names()].concat();
        let with_all = || vec![stratum(), duration(), Axis::new("age", ages.iter().cloned())];
        Ok(answer
            .counts("alive", axes(), alive)
            .counts("lost", axes(), lost)
            .sums("chance", axes(), chance)
            .sums("chance_square", axes(), square)
            .person_time("population", vec![Axis::new("sex", cells.sex_names()), age()], population)
            .shown("without_population", Vec::new(), &[without])
            .shown("beyond_followup", Vec::new(), &[beyond])
            .shown("printed", with_all(), &printed)
            .shown("printed_lost", with_all(), &printed_lost))
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Params, Sums>],
    ) -> Result<Step<Params>, FitError> {
        let last = rounds.last().ok_or(FitError::NoRounds)?;
        if matches!(last.params, Params::Counts) {
            let counts = last.pooled.read_event_counts()?;
            let grid = TimeGrid::daily(options.horizon_days.unwrap_or(0));
            let survival = (0..counts.groups.len()).map(|g| curve(&counts, g, &grid)).collect();
            return Ok(Step::Ask(Params::Alive { survival }));
        }
        let mut estimate = result(options, &last.pooled, last.sites)?;
        last.pooled.left_out_notices(&mut estimate);
        Ok(Step::Done(Box::new(estimate)))
    }
}

/// Mean person-years by sex and age, `sex * bands + band`, of those years that the site's table has.
fn mean_population(
    options: &Options,
    cells: &Incidence,
    data: &SiteData,
) -> Result<Vec<f64>, CohortError> {
    let span = Incidence { years: options.denominators(), ..cells.clone() };
    let (years, bands) = (span.len(), cells.ages.len());
    let covered = span.covered(data)?;
    let mut mean = vec![0.0; cells.sexes() * bands];
    for (line, mean) in mean.iter_mut().enumerate() {
        // The mean of the years that the table covers.
        let at = |year: usize| (line / bands * years + year) * bands + line % bands;
        let held: Vec<f64> = (0..years)
            .filter(|&year| covered.is_covered[at(year)])
            .map(|year| covered.person_years[at(year)])
            .collect();
        *mean = held.iter().sum::<f64>() / held.len().max(1) as f64;
    }
    Ok(mean)
}

fn curve(counts: &EventCounts, g: usize, grid: &TimeGrid) -> Curve {
    let of = counts.group(g);
    let days: Vec<f64> = (0..of.events.len()).map(|d| d as f64).collect();
    let mut found = Curve { end: counts.followed_to(g, grid) as i32, ..Curve::default() };
    for step in product_limit(&days, &of.n_risk, &of.events, &of.censored, false) {
        if step.n_event > 0.0 {
            found.days.push(step.time as i32);
            found.values.push(step.survival);
        }
        if step.survival <= 0.0 {
            // Nobody lives on, however long: no extrapolation.
            found.end = i32::MAX;
        }
    }
    found
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let cells = &options.incidence;
    let weights = standard_weights(&options.standard, cells)
        .map_err(|_| LayoutError::Missing { array: "standard".into() })?;
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    let years = options.denominators();
    estimate.line("prevalence", "counting", &[("on", options.on.clone())]);
    estimate.line("lost", "pooled-survival", &[]);
    let span = [("from", years[0].to_string()), ("to", years[1].to_string())];
    estimate.line("prevalence-population", "mean", &span);
    super::rate_trend::standards_line(
        &mut estimate,
        std::slice::from_ref(&options.standard),
        &options.incidence,
    );
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "prevalence", &[("level", level)]);
    let arrays = ["alive", "lost", "chance", "chance_square"];
    let [alive, lost, chance, square] = arrays.map(|name| sums.get(name));
    let (alive, lost, chance, square) = (alive?, lost?, chance?, square?);
    let (printed, printed_lost) = (sums.get("printed")?, sums.get("printed_lost")?);
    let population = sums.get("population")?;
    let (bands, groups) = (cells.ages.len(), options.groups.len());
    let durations = options.durations_years.len();
    let sexes = cells.sexes();
    let mut each = vec![("all".to_owned(), (0..sexes).collect::<Vec<usize>>())];
    if sexes > 1 {
        each.extend(cells.sexes.iter().enumerate().map(|(s, name)| (name.clone(), vec![s])));
    }
    let mut tables = Tables::new(cells.per(), options.confidence_level.share());
    for (g, group) in options.groups.iter().enumerate() {
        for (sex, members) in &each {
            let people: Vec<f64> = (0..bands)
                .map(|b| members.iter().map(|s| population[s * bands + b]).sum())
                .collect();
            for (d, years) in options.durations_years.iter().enumerate() {
                // Everybody diagnosed within the duration: its band and all shorter ones.
                let lines: Vec<usize> = members
                    .iter()
                    .flat_map(|s| (0..=d).map(move |e| (s * groups + g) * durations + e))
                    .collect();
                let sum = |of: &[f64], b: usize| lines.iter().map(|l| of[l * bands + b]).sum();
                let hidden = |of: &[f64], age: usize| {
                    lines.iter().any(|l| of[l * (bands + 1) + age].is_nan())
                };
                let by_age: Vec<Cell> = (0..bands)
                    .map(|b| Cell {
                        alive: sum(alive, b),
                        lost: sum(lost, b),
                        chance: sum(chance, b),
                        square: sum(square, b),
                        population: people[b],
                        hidden: hidden(printed, b + 1),
                        hidden_lost: hidden(printed_lost, b + 1),
                    })
                    .collect();
                let head = [group.as_str(), sex.as_str()];
                let totals = [hidden(printed, 0), hidden(printed_lost, 0)];
                tables.add(head, *years, &cells.band_names(), &by_age, totals);
                tables.add_standardised(head, *years, &weights, &by_age, totals[0]);
            }
        }
    }
    let (without, beyond) = (sums.one("without_population")?, sums.one("beyond_followup")?);
    tell_cases(&mut estimate, Status::NotIdentified, "people-without-population", without);
    tell_cases(&mut estimate, Status::Extrapolated, "people-beyond-followup", beyond);
    if alive.iter().chain(lost).sum::<f64>() <= 0.0 {
        estimate.notice(Notice::new(Status::NoEvents, "nobody-alive", &[]));
    }
    estimate.tables.extend(tables.finish());
    Ok(estimate)
}
