//! Quality indicators of a registry's cases: how many were verified by histology, known from a death certificate only, or left
//! unspecified.
//!
//! *Estimates* the share of cases at stated levels of a variable, by group, with exact limits, and the ratio of deaths to cases. *A site
//! sends*, once, cases by group and those at the levels, and the deaths of its population. *Sums*: cell by cell. *The hub* forms the
//! shares. *Differs from pooling rows*: not at all. *Not done*: trends of the indicators. *Sources*: Bray & Parkin (2009); Clopper & Pearson (1934).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cohort::{CohortError, ColumnKind, ColumnNeed, SiteData, calendar_years},
    estimate::{Estimate, Exactness, Notice, Status, Table, Value},
    model::{Context, Exchanges, FitError, Model, ModelCard, Round, Step, Sums, incidence_groups},
    spec::{Fault, VariableKind, suggestion},
    stats::{
        distribution::clopper_pearson,
        rate_ratio::{Rate, exact_ratio},
    },
    summary::{Axis, LayoutError, Visibility},
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
    /// Asks for the ratio of deaths to cases (M:I); sites name their deaths under [tables.deaths].
    #[serde(default)]
    mortality: Option<Mortality>,
    /// Number of cases that a row stands for, where the file holds counts.
    #[serde(default)]
    count: Option<String>,
    /// Confidence level, the analysis's own if absent.
    #[serde(default)]
    confidence_level: Option<f64>,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

static CARD: ModelCard = ModelCard {
    kind: "quality_indicators",
    title: "Quality of the data",
    estimates: "shares of cases at stated levels of a variable, such as those verified by histology, by group, and the ratio of deaths to cases",
    sends: "once: cases by group, and those at the levels of each indicator; deaths of the population by group if asked",
    pools: "cells add; the hub forms shares with exact limits",
    differs: "not at all",
    not_done: "trends of the indicators",
    exchanges: Exchanges::One,
    sources: "Bray & Parkin 2009; Clopper & Pearson 1934",
    example: "id = \"quality\"\nkind = \"quality_indicators\"\nindicators = [{ name = \"central histology %\", variable = \"x_hist_central\", levels = [\"FH\", \"UH\"] }]\n",
};

impl Model for QualityIndicators {
    type Options = Options;
    type Params = ();
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        use VariableKind::{Category, Flag, Integer};
        options.confidence_level.get_or_insert(context.confidence_level);
        let mut faults = Vec::new();
        match incidence_groups(options.by.as_deref(), context) {
            Ok(groups) => options.groups = groups,
            Err(fault) => faults.push(fault),
        }
        faults.extend(options.count.as_ref().and_then(|c| context.check("/count", c, &[Integer])));
        if let Some(mortality) = &options.mortality {
            let kinds = [VariableKind::Date, Integer];
            faults.extend(context.check("/mortality/year", &mortality.year, &kinds));
            let [from, to] = mortality.years;
            if from > to || to - from > 250 {
                let message = format!("years {from} to {to} are no span of calendar years");
                faults.push(Fault::new("/mortality/years", message));
            }
        }
        if options.indicators.is_empty() {
            faults.push(Fault::new("/indicators", "there is no indicator"));
        }
        for (i, indicator) in options.indicators.iter().enumerate() {
            let at = format!("/indicators/{i}");
            let fault =
                context.check(&format!("{at}/variable"), &indicator.variable, &[Category, Flag]);
            if let Some(fault) = fault {
                faults.push(fault);
                continue;
            }
            let known = context
                .dictionary
                .get(&indicator.variable)
                .map_or_else(Vec::new, |v| v.model_levels());
            for (j, level) in
                indicator.levels.iter().enumerate().filter(|(_, l)| !known.contains(l))
            {
                let message = format!("`{level}` is no level of `{}`", indicator.variable);
                let fault = Fault::new(format!("{at}/levels/{j}"), message);
                faults.push(fault.hint(suggestion(level, &known)));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let need = |name: &String, kind| ColumnNeed { name: name.clone(), kind };
        let variables = options.indicators.iter().map(|i| &i.variable).chain(&options.by);
        let mut needs: Vec<ColumnNeed> = variables.map(|v| need(v, ColumnKind::Category)).collect();
        needs.extend(options.mortality.iter().map(|m| need(&m.year, ColumnKind::Real)));
        needs.extend(options.count.iter().map(|c| need(c, ColumnKind::Real)));
        needs.sort();
        needs.dedup();
        needs
    }

    fn visibility(&self, _: &Options) -> Visibility {
        Visibility::SumOnly
    }

    fn begin(&self, _: &Options) -> Result<(), FitError> {
        Ok(())
    }

    fn summarise(&self, options: &Options, (): &(), data: &SiteData) -> Result<Sums, CohortError> {
        let cohort = &data.cohort;
        let group = options.by.as_ref().map(|by| cohort.levels(by)).transpose()?;
        let count = cohort.case_counts(options.count.as_deref())?;
        let groups = options.groups.len();
        let of_group = |row: usize| match &group {
            None => Some(0),
            Some((codes, _)) => codes[row].map(|c| c as usize),
        };
        let mut cases = vec![0.0; groups];
        for (row, n) in count.iter().enumerate() {
            if let Some(g) = of_group(row) {
                cases[g] += n;
            }
        }
        let mut with = vec![0.0; options.indicators.len() * groups];
        for (i, indicator) in options.indicators.iter().enumerate() {
            let (codes, levels) = cohort.levels(&indicator.variable)?;
            let counts: Vec<bool> = levels.iter().map(|l| indicator.levels.contains(l)).collect();
            for (row, code) in codes.iter().enumerate() {
                if let (Some(g), Some(code)) = (of_group(row), code)
                    && counts[*code as usize]
                {
                    with[i * groups + g] += count[row];
                }
            }
        }
        let persons = cases.iter().sum::<f64>() as usize;
        let axis = || Axis::new("group", options.groups.iter().cloned());
        let names = Axis::new("indicator", options.indicators.iter().map(|i| i.name.clone()));
        let sums = Sums::new(persons).shown("cases", vec![axis()], &cases).shown(
            "with",
            vec![names, axis()],
            &with,
        );
        let Some(mortality) = &options.mortality else { return Ok(sums) };
        let span = mortality.years[0]..=mortality.years[1];
        let mut diagnosed = vec![0.0; groups];
        for (row, year) in calendar_years(data, &mortality.year)?.into_iter().enumerate() {
            if let (Some(g), Some(true)) = (of_group(row), year.map(|y| span.contains(&y))) {
                diagnosed[g] += count[row];
            }
        }
        let deaths = deaths_of(options, data)?;
        Ok(sums.shown("cases_of_years", vec![axis()], &diagnosed).shown(
            "deaths",
            vec![axis()],
            &deaths,
        ))
    }

    fn advance(&self, options: &Options, rounds: &[Round<(), Sums>]) -> Result<Step<()>, FitError> {
        let round = rounds.last().ok_or(FitError::NoRounds)?;
        Ok(Step::Done(Box::new(result(options, &round.pooled, round.sites)?)))
    }
}

/// Deaths of the years by group.
fn deaths_of(options: &Options, data: &SiteData) -> Result<Vec<f64>, CohortError> {
    let cells = data.tables.deaths.as_ref().ok_or(CohortError::NoTable { table: "deaths" })?;
    let Some(mortality) = &options.mortality else { return Ok(Vec::new()) };
    let [from, to] = mortality.years;
    // A year without a line is not known to be one without deaths.
    if let Some(year) = (from..=to).find(|year| cells.iter().all(|cell| cell.year != *year)) {
        let reason = format!("it has no line of {year}; a year without deaths has a line with 0");
        return Err(CohortError::Deaths { reason });
    }
    let mut deaths = vec![0.0; options.groups.len()];
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
            let reason = format!("it has `{found}`, which is no level of the variable");
            return Err(CohortError::Deaths { reason });
        };
        deaths[g] += cell.deaths;
    }
    Ok(deaths)
}

/// Deaths over cases by group; none where there is no case.
fn mortality_table(options: &Options, sums: &Sums, level: f64) -> Result<Table, LayoutError> {
    let columns =
        ["group", "deaths", "cases", "mi_ratio", "mi_ratio_low", "mi_ratio_high", "status"];
    let mut table = Table::new("mortality", &columns);
    let (cases, deaths) = (sums.get("cases_of_years")?, sums.get("deaths")?);
    for (g, group) in options.groups.iter().enumerate() {
        let mut row: Vec<Value> = vec![group.into()];
        let (d, n) = (deaths[g], cases[g]);
        let side = |events: f64| Rate { events, time: 1.0 };
        let status = if d.is_nan() || n.is_nan() {
            Status::Suppressed
        } else {
            row.extend([d.into(), n.into()]);
            match exact_ratio(side(d), side(n), level, false).filter(|_| n > 0.0) {
                Some(ratio) => {
                    row.push((d / n).into());
                    let finite = |x: f64| x.is_finite().then_some(x);
                    row.extend(ratio.limits.map(|x| Value::from(finite(x))));
                    if d > 0.0 { Status::Ok } else { Status::OneSided }
                }
                None => Status::NoEvents,
            }
        };
        row.resize(columns.len() - 1, Value::None);
        row.push(status.into());
        table.push(row);
    }
    Ok(table)
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let level = options.confidence_level.unwrap_or(0.95);
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    estimate.line("interval", "clopper-pearson", &[("level", (100.0 * level).to_string())]);
    let (cases, with) = (sums.get("cases")?, sums.get("with")?);
    let columns =
        ["group", "indicator", "cases", "n_with", "share", "share_low", "share_high", "status"];
    let mut table = Table::new("indicators", &columns);
    let groups = options.groups.len();
    for (g, group) in options.groups.iter().enumerate() {
        for (i, indicator) in options.indicators.iter().enumerate() {
            let (n, x) = (cases[g], with[i * groups + g]);
            let mut row: Vec<Value> = vec![group.into(), indicator.name.as_str().into()];
            if n.is_nan() || x.is_nan() {
                row.push(if n.is_nan() { Value::None } else { n.into() });
                row.resize(columns.len() - 1, Value::None);
                row.push(Status::Suppressed.into());
            } else if n <= 0.0 {
                row.extend([n.into(), x.into()]);
                row.resize(columns.len() - 1, Value::None);
                row.push(Status::NoRiskSet.into());
            } else {
                let (low, high) = clopper_pearson(x, n, level);
                row.extend([n, x, x / n, low, high].map(Value::number));
                row.push(Status::Ok.into());
            }
            table.push(row);
        }
    }
    estimate.tables.push(table);
    if options.mortality.is_some() {
        estimate.line("mortality", "exact", &[("level", (100.0 * level).to_string())]);
        estimate.tables.push(mortality_table(options, sums, level)?);
    }
    if cases.iter().sum::<f64>() <= 0.0 {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    Ok(estimate)
}
