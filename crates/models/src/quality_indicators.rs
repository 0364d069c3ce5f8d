//! Quality indicators of a registry's cases: how many were verified by histology, known from a death certificate only, or left
//! unspecified.
//!
//! *Estimates* the share of cases at stated levels of a variable, by group and sex, with exact limits, and the ratio of deaths to cases.
//! *A site sends*, once, cases by group and sex, those at the levels and the others, and the deaths of its population. *Sums*: cell by
//! cell. *The hub* forms the shares. *Differs from pooling rows*: not at all. *Not done*: trends of the indicators. *Sources*: Bray & Parkin (2009); Clopper & Pearson (1934).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, SiteData, calendar_years, sex_position},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{Context, Exchanges, ModelCard, OneRound, Sums, sex_levels},
    rows,
    spec::{Fault, VariableKind, suggestion},
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    distribution::clopper_pearson,
    rate_ratio::{Rate, exact_ratio},
};

/// The model.
#[derive(Debug)]
pub struct QualityIndicators;

/// One indicator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Indicator {
    /// Name in tables, such as `MV%`.
    name: String,
    /// Variable.
    variable: String,
    /// Levels that count; cases without a value do not.
    levels: Vec<String>,
}

/// Years over which deaths and cases are compared.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mortality {
    /// Day or calendar year of diagnosis.
    year: String,
    /// First and last year, of deaths and of cases.
    #[schemars(with = "[limits::CalendarYear; 2]")]
    years: [i32; 2],
}

/// Options of `quality_indicators`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Indicators.
    indicators: Vec<Indicator>,
    /// Variable whose levels have indicators of their own.
    #[serde(default)]
    by: Option<String>,
    /// Variable of sex: adds indicators of each sex to those of both.
    #[serde(default)]
    sex: Option<String>,
    /// Asks for the ratio of deaths to cases (M:I); sites name their deaths under [tables.deaths].
    #[serde(default)]
    mortality: Option<Mortality>,
    /// Number of cases that a row stands for, where the file holds counts.
    #[serde(default)]
    count: Option<String>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
    /// `all` and, if they are told apart, the levels of `sex` and [`UNKNOWN`].
    #[serde(default)]
    #[schemars(skip)]
    sexes: Vec<String>,
}

/// Cases of unknown sex: not printed, but hidden with one more where they are few, as the others would give them away.
const UNKNOWN: &str = "unknown";

impl Options {
    /// Number of groups times that of sexes, both included: the length of an array of counts, `group * sexes + sex`.
    fn lines(&self) -> usize {
        self.groups.len() * self.sexes.len()
    }

    fn axes(&self) -> Vec<Axis> {
        vec![
            Axis::new("group", self.groups.iter().cloned()),
            Axis::new("sex", self.sexes.iter().cloned()),
        ]
    }

    /// Groups and sexes that are printed, with their place among the counts.
    fn each_line(&self) -> impl Iterator<Item = (usize, (&String, &String))> {
        let all =
            self.groups.iter().flat_map(|group| self.sexes.iter().map(move |sex| (group, sex)));
        all.enumerate().filter(|(_, (_, sex))| *sex != UNKNOWN)
    }

    /// Adds to a group's counts of both sexes, and of one or the unknown.
    fn add(&self, counts: &mut [f64], group: usize, sex: Option<usize>, n: f64) {
        let (at, last) = (group * self.sexes.len(), self.sexes.len() - 1);
        counts[at] += n;
        if last > 0 {
            counts[at + sex.map_or(last, |s| 1 + s)] += n;
        }
    }
}

rows! {
    /// Share of the cases of a group and sex that an indicator counts.
    pub struct IndicatorShare in "indicators" {
        pub group: String,
        pub sex: String,
        pub indicator: String,
        pub cases: Number,
        pub n_with: Number,
        pub share: Number,
        pub share_low: Number,
        pub share_high: Number,
        pub status: Status,
    }

    /// Deaths over cases of a group and sex.
    pub struct MortalityRatio in "mortality" {
        pub group: String,
        pub sex: String,
        pub deaths: Number,
        pub cases: Number,
        pub mi_ratio: Number,
        pub mi_ratio_low: Number,
        pub mi_ratio_high: Number,
        pub status: Status,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "quality_indicators",
    title: "Data quality indicators",
    estimates: "percentages of cases at given levels of a variable, such as microscopically verified, by group and sex, and the mortality-to-incidence ratio",
    sends: "once: cases by group and sex, those at the levels of each indicator and the others; deaths of the population if asked",
    pools: "cells are summed; the hub computes percentages with exact limits",
    differs: "none",
    not_done: "trends of the indicators",
    exchanges: Exchanges::One,
    sources: "Bray & Parkin 2009; Clopper & Pearson 1934",
    example: "id = \"quality\"\nkind = \"quality_indicators\"\nindicators = [{ name = \"central histology %\", variable = \"x_hist_central\", levels = [\"FH\", \"UH\"] }]\n",
};

impl OneRound for QualityIndicators {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        use VariableKind::Integer;
        let mut faults = Vec::new();
        faults.extend(context.groups(options.by.as_deref(), &mut options.groups));
        options.sexes = vec!["all".to_owned()];
        match sex_levels("", options.sex.as_deref(), context) {
            Ok(sexes) if sexes.is_empty() => {}
            Ok(sexes) => options.sexes.extend(sexes.into_iter().chain([UNKNOWN.to_owned()])),
            Err(fault) => faults.push(fault),
        }
        let shared = context.incidence.and_then(|cells| cells.count.clone());
        options.count = options.count.take().or(shared);
        faults.extend(options.count.as_ref().and_then(|c| context.check("/count", c, &[Integer])));
        if let Some(mortality) = &options.mortality {
            let kinds = [VariableKind::Date, Integer];
            faults.extend(context.check("/mortality/year", &mortality.year, &kinds));
            let [from, to] = mortality.years;
            if from > to || to - from > 250 {
                let message =
                    format!("years {from} to {to} is not a valid range of calendar years");
                faults.push(Fault::new("/mortality/years", message));
            }
        }
        if options.indicators.is_empty() {
            faults.push(Fault::new("/indicators", "no indicator is given"));
        }
        for (i, indicator) in options.indicators.iter().enumerate() {
            let at = format!("/indicators/{i}");
            let fault = context.check_levels(&format!("{at}/variable"), &indicator.variable);
            if let Some(fault) = fault {
                faults.push(fault);
                continue;
            }
            let known = context.levels(&indicator.variable);
            for (j, level) in
                indicator.levels.iter().enumerate().filter(|(_, l)| !known.contains(l))
            {
                let message = format!("`{level}` is not a level of `{}`", indicator.variable);
                let fault = Fault::new(format!("{at}/levels/{j}"), message);
                faults.push(fault.hint(suggestion(level, &known)));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let groups = options.by.iter().chain(&options.sex);
        let mut needs: Vec<ColumnNeed> = groups.map(ColumnNeed::levels).collect();
        needs.extend(options.indicators.iter().enumerate().map(|(i, indicator)| {
            let at = format!("/indicators/{i}/levels");
            ColumnNeed::chosen(&indicator.variable, &indicator.levels, at)
        }));
        needs.extend(
            options
                .mortality
                .iter()
                .map(|m| ColumnNeed::years(&m.year, m.years, "/mortality/years")),
        );
        needs.extend(options.count.iter().map(ColumnNeed::cases));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let cohort = &data.cohort;
        let codes = |name: &Option<String>| name.as_ref().map(|n| cohort.levels(n)).transpose();
        let (group, sex) = (codes(&options.by)?, codes(&options.sex)?);
        let count = cohort.case_counts(options.count.as_deref())?;
        // A case of unknown sex counts among all.
        let sex_of =
            |row: usize| sex.as_ref().and_then(|(codes, _)| codes[row].map(|c| c as usize));
        let line = |row: usize| match &group {
            None => Some((0, sex_of(row))),
            Some((codes, _)) => codes[row].map(|c| (c as usize, sex_of(row))),
        };
        let lines: Vec<Option<(usize, Option<usize>)>> = (0..count.len()).map(line).collect();
        let mut cases = vec![0.0; options.lines()];
        for (n, (group, sex)) in count.iter().zip(&lines).filter_map(|(n, l)| Some((n, (*l)?))) {
            options.add(&mut cases, group, sex, *n);
        }
        let persons: f64 = cases.iter().step_by(options.sexes.len()).sum();
        let mut sums = Sums::new(persons as usize).shown("cases", options.axes(), &cases);
        for (i, indicator) in options.indicators.iter().enumerate() {
            let (codes, levels) = cohort.levels(&indicator.variable)?;
            let counts: Vec<bool> = levels.iter().map(|l| indicator.levels.contains(l)).collect();
            let mut split = [vec![0.0; options.lines()], vec![0.0; options.lines()]];
            for (row, code) in codes.iter().enumerate() {
                let Some((group, sex)) = lines[row] else { continue };
                let with = code.is_some_and(|code| counts[code as usize]);
                options.add(&mut split[usize::from(!with)], group, sex, count[row]);
            }
            // The others stand beside them: a few others would be had back from all cases.
            let mut axes = options.axes();
            axes.insert(0, Axis::new("value", ["with", "without"]));
            sums = sums.shown(&format!("indicator{i}"), axes, &split.concat());
        }
        let Some(mortality) = &options.mortality else { return Ok(sums) };
        let span = mortality.years[0]..=mortality.years[1];
        let mut diagnosed = vec![0.0; options.lines()];
        for (row, year) in calendar_years(data, &mortality.year)?.into_iter().enumerate() {
            if let (Some((group, sex)), Some(true)) = (lines[row], year.map(|y| span.contains(&y)))
            {
                options.add(&mut diagnosed, group, sex, count[row]);
            }
        }
        let deaths = deaths_of(options, data)?;
        Ok(sums.shown("cases_of_years", options.axes(), &diagnosed).shown(
            "deaths",
            options.axes(),
            &deaths,
        ))
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

/// Deaths of the years by group and sex.
fn deaths_of(options: &Options, data: &SiteData) -> Result<Vec<f64>, CohortError> {
    let cells = data.tables.deaths.as_ref().ok_or(CohortError::NoTable { table: "deaths" })?;
    let Some(mortality) = &options.mortality else { return Ok(Vec::new()) };
    let [from, to] = mortality.years;
    // A year without a line is not known to be one without deaths.
    if let Some(year) = (from..=to).find(|year| cells.iter().all(|cell| cell.year != *year)) {
        let reason = format!("it has no line of {year}; a year without deaths has a line with 0");
        return Err(CohortError::Deaths { reason });
    }
    let sexes = &options.sexes[1..];
    let mut deaths = vec![0.0; options.lines()];
    for cell in cells.iter() {
        if !(from..=to).contains(&cell.year) {
            continue;
        }
        let group = match (&options.by, &cell.group) {
            (None, _) => Some(0),
            (Some(_), Some(group)) => options.groups.iter().position(|g| g == group),
            (Some(_), None) => None,
        };
        let Some(g) = group else {
            let found = cell.group.as_deref().unwrap_or("no group").to_owned();
            let reason = format!("it has `{found}`, which is not a level of the variable");
            return Err(CohortError::Deaths { reason });
        };
        let sex = cell.sex.and_then(|s| sexes.iter().position(|l| sex_position(l) == Some(s)));
        if sex.is_none() && !sexes.is_empty() {
            let reason = "it has no column `sex`, which the analysis tells apart".to_owned();
            return Err(CohortError::Deaths { reason });
        }
        options.add(&mut deaths, g, sex, cell.deaths);
    }
    Ok(deaths)
}

/// Deaths over cases by group and sex; none where there is no case.
fn mortality(
    options: &Options,
    sums: &Sums,
    level: f64,
) -> Result<Vec<MortalityRatio>, LayoutError> {
    let (cases, deaths) = (sums.get("cases_of_years")?, sums.get("deaths")?);
    let line = |(line, (group, sex)): (usize, (&String, &String))| {
        let (d, n) = (deaths[line], cases[line]);
        let side = |events: f64| Rate { events, time: 1.0 };
        let row = MortalityRatio { group: group.clone(), sex: sex.clone(), ..Default::default() };
        if d.is_nan() || n.is_nan() {
            return MortalityRatio { status: Status::Suppressed, ..row };
        }
        let row = MortalityRatio { deaths: Some(d), cases: Some(n), ..row };
        match exact_ratio(side(d), side(n), level, false).filter(|_| n > 0.0) {
            Some(ratio) => MortalityRatio {
                mi_ratio: Some(d / n),
                mi_ratio_low: Some(ratio.limits[0]),
                mi_ratio_high: Some(ratio.limits[1]),
                status: if d > 0.0 { Status::Ok } else { Status::OneSided },
                ..row
            },
            None => MortalityRatio { status: Status::NoEvents, ..row },
        }
    };
    Ok(options.each_line().map(line).collect())
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let level = options.confidence_level.share();
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    estimate.line("interval", "clopper-pearson", &[("level", (100.0 * level).to_string())]);
    let cases = sums.get("cases")?;
    let mut rows = Vec::new();
    let names = (0..options.indicators.len()).map(|i| format!("indicator{i}"));
    let split: Vec<&[f64]> = names.map(|name| sums.get(&name)).collect::<Result<_, _>>()?;
    for (line, (group, sex)) in options.each_line() {
        for (indicator, counts) in options.indicators.iter().zip(&split) {
            let (n, x, others) = (cases[line], counts[line], counts[options.lines() + line]);
            let row = IndicatorShare {
                group: group.clone(),
                sex: sex.clone(),
                indicator: indicator.name.clone(),
                cases: Some(n),
                ..IndicatorShare::default()
            };
            rows.push(if n.is_nan() || x.is_nan() || others.is_nan() {
                IndicatorShare { status: Status::Suppressed, ..row }
            } else if n <= 0.0 {
                IndicatorShare { n_with: Some(x), status: Status::NoRiskSet, ..row }
            } else {
                let (low, high) = clopper_pearson(x, n, level);
                IndicatorShare {
                    n_with: Some(x),
                    share: Some(x / n),
                    share_low: Some(low),
                    share_high: Some(high),
                    ..row
                }
            });
        }
    }
    estimate.tables.push(Table::of(rows));
    if options.mortality.is_some() {
        estimate.line("mortality", "exact", &[("level", (100.0 * level).to_string())]);
        estimate.tables.push(Table::of(mortality(options, sums, level)?));
    }
    if cases.iter().sum::<f64>() == 0.0 {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    Ok(estimate)
}
