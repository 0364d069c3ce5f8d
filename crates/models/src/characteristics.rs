//! Characteristics of the patients ("table 1"): counts and percentages, means, and quantiles from a histogram.
//!
//! *Estimates* the distribution of each variable, overall or by group. *A site sends* counts by level, a histogram over
//! classes named in the specification, and Σ1, Σx, Σx². *Sums*: cell by cell; with `by = "site"` the sites stand side by
//! side and their own floors hold. *The hub* forms percentages, mean, standard deviation and quantiles. *Differs from
//! pooling rows*: not at all for whole numbers in classes of width 1; else quantiles are interpolated within a class. *Not
//! done*: minimum and maximum, which are single persons. *Sources*: SAMPL guidelines (Lang & Altman 2015); Hyndman & Fan
//! (1996), type 2.

mod classes;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Places, SiteData},
    estimate::{Estimate, Exactness, Number, Status, Table},
    model::{Context, Exchanges, ModelCard, OneRound, Statistic},
    rows,
    spec::{Fault, VariableKind},
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support, Visibility},
};
use tributary_stats::{histogram, sum::neumaier};

use classes::Classes;

/// The model.
#[derive(Debug)]
pub struct Characteristics;

/// Options of `characteristics`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Variables, in the order of the table.
    variables: Vec<String>,
    /// Columns of the table: a variable, or `site` for one column per site.
    #[serde(default)]
    by: Option<String>,
    /// Classes of quantities; from the dictionary where absent (`range` and `class_width`, else its grain).
    #[serde(default)]
    classes: BTreeMap<String, Classes>,
}

impl Options {
    fn by_site(&self) -> bool {
        self.by.as_deref() == Some("site")
    }
}

#[derive(Debug)]
pub struct Distributions {
    /// Levels of the group axis.
    groups: Vec<String>,
    by_site: bool,
    persons: Vec<Option<f64>>,
    variables: Vec<Distribution>,
}

#[derive(Debug)]
enum Distribution {
    /// Counts by group and level, the last level being "not known".
    Levels { variable: String, levels: Vec<String>, counts: Vec<Option<f64>> },
    /// Histogram by group and class, and Σ1, Σ(x − middle), Σ(x − middle)² by group.
    Quantity {
        variable: String,
        classes: usize,
        counts: Vec<Option<f64>>,
        moments: Vec<Option<f64>>,
    },
}

/// Level of those whose level is not known.
pub const NOT_KNOWN: &str = "not known";
/// Stands for all persons of a group in the place of a variable.
pub const PERSONS: &str = "persons";

rows! {
    /// A variable in a group: a row for each level, or one without a level for a quantity.
    pub struct Characteristic in "characteristics" {
        pub variable: String,
        pub level: Option<String>,
        pub group: String,
        pub n: Number,
        pub percent: Number,
        pub mean: Number,
        pub std_dev: Number,
        pub q1: Number,
        pub median: Number,
        pub q3: Number,
        pub status: Status,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "characteristics",
    title: "Characteristics of the patients",
    estimates: "the distribution of each variable, overall or by group",
    sends: "counts by level; for a quantity a histogram and Σ1, Σx, Σx²",
    pools: "cells are summed; percentages, mean, standard deviation and quantiles are computed at the hub",
    differs: "none in classes of width 1; otherwise quantiles are interpolated within a class",
    not_done: "minimum and maximum, which are values of single persons",
    exchanges: Exchanges::One,
    sources: "SAMPL guidelines (Lang & Altman 2015); Hyndman & Fan 1996, type 2",
    example: "id = \"table1\"\nkind = \"characteristics\"\nvariables = [\"stage\", \"age_years\"]\nby = \"x_study\"\n",
};

impl Statistic for Distributions {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let numbers = |cells: Vec<Option<f64>>| {
            cells.into_iter().map(|c| c.unwrap_or(0.0)).collect::<Vec<_>>()
        };
        let rule = if self.by_site { Rule::Stack } else { Rule::Add };
        // A stacked array gets its group axis, the site, when it is stacked.
        let group = || (!self.by_site).then(|| Axis::new("group", self.groups.iter().cloned()));
        let axes = |last: Option<Axis>| group().into_iter().chain(last).collect::<Vec<_>>();
        let persons = numbers(self.persons);
        let total = persons.iter().sum::<f64>() as u64;
        let by_group = |width: usize| {
            persons.iter().flat_map(|&n| vec![n as u64; width]).collect::<Vec<u64>>()
        };
        let of_three = by_group(3);
        let array = Array::new("persons", axes(None), Kind::Count, rule, persons.clone())?;
        let mut draft = Draft::new(total).with(array.shown(), Support::OwnCounts);
        for variable in self.variables {
            match variable {
                Distribution::Levels { variable, levels, counts } => {
                    let name = format!("levels.{variable}");
                    let axes = axes(Some(Axis::new(&variable, levels)));
                    let array = Array::new(&name, axes, Kind::Count, rule, numbers(counts))?;
                    draft = draft.with(array.shown(), Support::OwnCounts);
                }
                Distribution::Quantity { variable, classes, counts, moments } => {
                    let class = Some(Axis::numbered("class", classes));
                    let name = format!("histogram.{variable}");
                    let array = Array::new(&name, axes(class), Kind::Count, rule, numbers(counts))?;
                    draft = draft.with(array, Support::OwnCounts);
                    let moment = Some(Axis::new("moment", ["n", "sum", "sum_of_squares"]));
                    let name = format!("moments.{variable}");
                    let array = Array::new(&name, axes(moment), Kind::Sum, rule, numbers(moments))?;
                    draft = draft.with(array, Support::PerCell(of_three.clone()));
                }
            }
        }
        Ok(draft)
    }

    fn from_summary((): &(), summary: &Summary) -> Result<Self, LayoutError> {
        let persons = summary.array("persons")?;
        let by_site = persons.rule() == Rule::Stack;
        let groups = persons.levels(if by_site { "site" } else { "group" });
        let mut variables = Vec::new();
        for array in summary.arrays() {
            let counts = array.cells().to_vec();
            if let Some(variable) = array.name().strip_prefix("levels.") {
                // The last axis, not the one of that name: a variable may be called `group` or `site`.
                let levels = array.axes().last().map_or_else(Vec::new, Axis::levels);
                variables.push(Distribution::Levels {
                    variable: variable.to_owned(),
                    levels,
                    counts,
                });
            } else if let Some(variable) = array.name().strip_prefix("histogram.") {
                let classes = array.levels("class").len();
                let moments = summary.array(&format!("moments.{variable}"))?.cells().to_vec();
                variables.push(Distribution::Quantity {
                    variable: variable.to_owned(),
                    classes,
                    counts,
                    moments,
                });
            }
        }
        Ok(Self { groups, by_site, persons: persons.cells().to_vec(), variables })
    }
}

impl OneRound for Characteristics {
    type Options = Options;
    type Statistic = Distributions;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        use VariableKind::{Category, Days, Flag, Integer, Real};
        let mut faults = Vec::new();
        if options.variables.is_empty() {
            faults.push(Fault::new("/variables", "name at least one variable"));
        }
        for (i, name) in options.variables.iter().enumerate() {
            let path = format!("/variables/{i}");
            if let Some(fault) = context.check(&path, name, &[Category, Flag, Integer, Real, Days])
            {
                faults.push(fault);
                continue;
            }
            let Some(variable) = context.dictionary.get(name) else { continue };
            if matches!(variable.kind, Integer | Real | Days) && !options.classes.contains_key(name)
            {
                match Classes::of(variable) {
                    Some(classes) => {
                        options.classes.insert(name.clone(), classes);
                    }
                    None => {
                        let hint = format!("classes.{name} = {{ cuts = [0, 5, 10, 15, 20] }}");
                        let message =
                            format!("`{name}` is a quantity: its distribution needs classes");
                        faults.push(Fault::new(&path, message).hint(hint));
                    }
                }
            }
        }
        let named = options.classes.iter();
        faults.extend(named.filter_map(|(name, c)| c.fault(&format!("/classes/{name}"))));
        if let Some(by) = options.by.as_ref().filter(|by| *by != "site") {
            faults.extend(context.check_levels("/by", by));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let need = |name: &String| match options.classes.get(name) {
            Some(classes) => {
                let edges = Places::Values(classes.edges());
                ColumnNeed::parted(name, edges, format!("/classes/{name}"))
            }
            None => ColumnNeed::levels(name),
        };
        let by = options.by.iter().filter(|by| *by != "site");
        options.variables.iter().map(need).chain(by.map(ColumnNeed::levels)).collect()
    }

    fn visibility(&self, options: &Options) -> Visibility {
        if options.by_site() { Visibility::EachSite } else { Visibility::SumOnly }
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Distributions, CohortError> {
        let cohort = &data.cohort;
        let (group, groups) = match &options.by {
            Some(by) if !options.by_site() => {
                let (codes, mut levels) = cohort.levels(by)?;
                let not_known = levels.len();
                levels.push(NOT_KNOWN.to_owned());
                (codes.iter().map(|c| c.map_or(not_known, |c| c as usize)).collect(), levels)
            }
            Some(_) | None => (vec![0; cohort.rows()], vec!["all".to_owned()]),
        };
        let mut persons = vec![0.0; groups.len()];
        group.iter().for_each(|&g: &usize| persons[g] += 1.0);
        let some = |cells: Vec<f64>| cells.into_iter().map(Some).collect::<Vec<_>>();
        let mut variables = Vec::new();
        for name in &options.variables {
            let variable = name.clone();
            if let Some(classes) = options.classes.get(name) {
                let n = classes.count();
                let mut counts = vec![0.0; groups.len() * n];
                let mut terms = vec![[const { Vec::new() }; 2]; groups.len()];
                for (row, x) in cohort.numbers(name)?.into_iter().enumerate() {
                    // The dictionary's range was held against every record; a value outside the classes is not counted.
                    let Some(class) = classes.class_of(x) else { continue };
                    counts[group[row] * n + class] += 1.0;
                    let centred = x - classes.middle();
                    terms[group[row]][0].push(centred);
                    terms[group[row]][1].push(centred * centred);
                }
                let moments = terms
                    .into_iter()
                    .flat_map(|[x, xx]| [x.len() as f64, neumaier(x), neumaier(xx)])
                    .collect();
                variables.push(Distribution::Quantity {
                    variable,
                    classes: n,
                    counts: some(counts),
                    moments: some(moments),
                });
            } else {
                let (codes, mut levels) = cohort.levels(name)?;
                let not_known = levels.len();
                levels.push(NOT_KNOWN.to_owned());
                let mut counts = vec![0.0; groups.len() * levels.len()];
                for (row, code) in codes.iter().enumerate() {
                    let level = code.map_or(not_known, |c| c as usize);
                    counts[group[row] * levels.len() + level] += 1.0;
                }
                variables.push(Distribution::Levels { variable, levels, counts: some(counts) });
            }
        }
        Ok(Distributions { groups, by_site: options.by_site(), persons: some(persons), variables })
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Distributions,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        let all_discrete = options.classes.values().all(Classes::discrete);
        let exactness = if all_discrete { Exactness::Exact } else { Exactness::Grouped };
        let mut estimate = Estimate::new(exactness, sites);
        estimate.line("estimator", "distribution", &[]);
        estimate.line("quantiles", if all_discrete { "type-2" } else { "interpolated" }, &[]);
        let mut rows = Vec::new();
        for (g, group) in pooled.groups.iter().enumerate() {
            let unused = group == NOT_KNOWN && pooled.persons[g] == Some(0.0);
            if unused {
                continue;
            }
            let n = pooled.persons[g];
            let status = if n.is_some() { Status::Ok } else { Status::Suppressed };
            rows.push(Characteristic {
                variable: PERSONS.to_owned(),
                group: group.clone(),
                n,
                status,
                ..Characteristic::default()
            });
            for variable in &pooled.variables {
                match variable {
                    Distribution::Levels { variable, levels, counts } => {
                        let counts = &counts[g * levels.len()..(g + 1) * levels.len()];
                        rows.extend(of_levels(variable, group, levels, counts));
                    }
                    Distribution::Quantity { variable, classes: n, counts, moments } => {
                        let Some(classes) = options.classes.get(variable) else { continue };
                        let counts = &counts[g * n..(g + 1) * n];
                        let moments = &moments[3 * g..3 * g + 3];
                        rows.push(of_quantity(variable, group, classes, counts, moments));
                    }
                }
            }
        }
        estimate.tables.push(Table::of(rows));
        Ok(estimate)
    }
}

fn of_levels(
    variable: &str,
    group: &str,
    levels: &[String],
    counts: &[Option<f64>],
) -> Vec<Characteristic> {
    let known: Option<f64> = counts[..levels.len() - 1].iter().copied().sum();
    let shown = levels.iter().zip(counts);
    let shown = shown.filter(|(level, count)| *level != NOT_KNOWN || **count != Some(0.0));
    let row = |(level, count): (&String, &Option<f64>)| {
        let share = count.zip(known).filter(|&(_, known)| known > 0.0 && level != NOT_KNOWN);
        Characteristic {
            variable: variable.to_owned(),
            level: Some(level.clone()),
            group: group.to_owned(),
            n: *count,
            percent: share.map(|(n, known)| 100.0 * n / known),
            status: if count.is_some() { Status::Ok } else { Status::Suppressed },
            ..Characteristic::default()
        }
    };
    shown.map(row).collect()
}

fn of_quantity(
    variable: &str,
    group: &str,
    classes: &Classes,
    counts: &[Option<f64>],
    moments: &[Option<f64>],
) -> Characteristic {
    let known: Option<Vec<f64>> = moments.iter().copied().collect();
    let (mut n, mut mean, mut sd) = (None, None, None);
    if let Some([count, sum, squares]) = known.as_deref() {
        n = Some(*count);
        if *count > 0.0 {
            mean = Some(classes.middle() + sum / count);
        }
        if *count > 1.0 {
            sd = Some(((squares - sum * sum / count) / (count - 1.0)).max(0.0).sqrt());
        }
    }
    let counts: Option<Vec<f64>> = counts.iter().copied().collect();
    let quantile = |p: f64| {
        let counts = counts.as_deref()?;
        histogram::quantile(counts, |class| classes.edge(class), classes.discrete(), p)
    };
    let status = match (&known, &counts) {
        (Some(_), Some(_)) if n == Some(0.0) => Status::NotIdentified,
        (Some(_), Some(_)) => Status::Ok,
        _ => Status::Suppressed,
    };
    Characteristic {
        variable: variable.to_owned(),
        group: group.to_owned(),
        n,
        mean,
        std_dev: sd,
        q1: quantile(0.25),
        median: quantile(0.5),
        q3: quantile(0.75),
        status,
        ..Characteristic::default()
    }
}
