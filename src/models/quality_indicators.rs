//! Quality indicators of a registry's cases: how many were verified by histology, known from a death certificate only, or left
//! unspecified.
//!
//! *Estimates* the share of cases at stated levels of a variable, by group, with exact limits. *A site sends*, once, cases by group and
//! those at the levels. *Sums*: cell by cell. *The hub* forms the shares. *Differs from pooling rows*: not at all. *Not done*: the
//! ratio of deaths to cases, which needs the deaths of the population. *Sources*: Bray & Parkin (2009); Clopper & Pearson (1934).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cohort::{CohortError, ColumnKind, ColumnNeed, SiteData},
    estimate::{Estimate, Exactness, Notice, Status, Table, Value},
    model::{Context, Exchanges, FitError, Model, ModelCard, Round, Step, Sums, incidence_groups},
    spec::{Fault, VariableKind, suggestion},
    stats::distribution::clopper_pearson,
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

/// Options of `quality_indicators`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Indicators.
    indicators: Vec<Indicator>,
    /// Variable whose levels have indicators of their own.
    #[serde(default)]
    by: Option<String>,
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
    estimates: "shares of cases at stated levels of a variable, such as those verified by histology, by group",
    sends: "once: cases by group, and those at the levels of each indicator",
    pools: "cells add; the hub forms shares with exact limits",
    differs: "not at all",
    not_done: "the ratio of deaths to cases, which needs the deaths of the population",
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
        Ok(Sums::new(persons).shown("cases", vec![axis()], &cases).shown(
            "with",
            vec![names, axis()],
            &with,
        ))
    }

    fn advance(&self, options: &Options, rounds: &[Round<(), Sums>]) -> Result<Step<()>, FitError> {
        let round = rounds.last().ok_or(FitError::NoRounds)?;
        Ok(Step::Done(Box::new(result(options, &round.pooled, round.sites)?)))
    }
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
    if cases.iter().sum::<f64>() <= 0.0 {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    Ok(estimate)
}
