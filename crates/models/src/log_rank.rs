//! Log-rank family, stratified by site or not: log-rank, Gehan, Tarone–Ware, Peto–Peto, Fleming–Harrington, and for trend.
//!
//! *Estimates*, for two groups, Peto's one-step hazard ratio; tests that groups share one survival curve. *A site sends*, stratified by site, observed and expected
//! events by group and their covariance: no event time leaves; else its event table. *Sums*: cell by cell. *The hub* forms χ².
//! *Differs from pooling rows*: not at all. *Not done*: exact distributions. *Sources*: Mantel (1966); Gehan (1965); Tarone & Ware
//! (1977); Peto & Peto (1972); Harrington & Fleming (1982); Yusuf et al. (1985).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData, Survival},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits,
    model::{Context, EventCounts, Exchanges, ModelCard, OneRound, Statistic},
    rows,
    spec::Fault,
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support},
};
use tributary_stats::{
    distribution::{Z95, chi_squared_upper},
    event_table::{EventTable, Rows, TimeGrid, event_table},
    log_rank::{Comparison, Test as Found, Weight, compare, test, trend},
};

/// The model.
#[derive(Debug)]
pub struct LogRank;

/// Weight of an event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Weights {
    /// S(t−)^rho (1 − S(t−))^gamma; 1 where both powers are 0, which is the log-rank test.
    #[default]
    FlemingHarrington,
    /// Number at risk.
    Gehan,
    /// Square root of the number at risk.
    TaroneWare,
    /// Survival as Peto & Peto estimate it.
    PetoPeto,
}

/// Options of `log_rank`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Variable whose levels are compared.
    by: String,
    /// Compare within sites only. Then no event time leaves a site.
    #[serde(default = "yes")]
    stratify_by_site: bool,
    /// Further variables within whose levels groups are compared.
    #[serde(default)]
    strata: Vec<String>,
    /// Weight of an event time.
    #[serde(default)]
    weights: Weights,
    /// Power of S(t−) in the weight of Fleming & Harrington.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    rho: f64,
    /// Power of 1 − S(t−) in the weight of Fleming & Harrington.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    gamma: f64,
    /// Scores of the groups for a test of trend, in the order of the levels.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Quantity>")]
    trend: Vec<f64>,
    /// Last day of the grid; from the dictionary's range of the time where absent.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    horizon_days: Option<u32>,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
    /// Combinations of levels of `strata`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    stratum_count: usize,
}

rows! {
    /// A test by χ².
    pub struct Test in "test" {
        pub statistic: Number,
        pub df: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// The test for a trend over the groups.
    pub struct Trend in "trend" {
        pub statistic: Number,
        pub df: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// Observed and expected events of a group.
    pub struct Compared in "groups" {
        pub group: String,
        pub n: Number,
        pub observed: Number,
        pub expected: Number,
        pub ratio: Number,
        pub status: Status,
    }

    /// Peto's one-step estimate of a group against another.
    pub struct Peto in "peto" {
        pub group: String,
        pub reference: String,
        pub estimate: Number,
        pub std_error: Number,
        pub hazard_ratio: Number,
        pub hazard_ratio_low: Number,
        pub hazard_ratio_high: Number,
        pub status: Status,
    }
}

/// A test as a row; its numbers where it could be made.
pub(super) fn tested(found: Found, status: Status) -> Test {
    if status != Status::Ok {
        return Test { df: Some(0.0), status, ..Test::default() };
    }
    let (statistic, df) = (found.statistic, found.df as f64);
    let p_value = Some(chi_squared_upper(statistic, df));
    Test { statistic: Some(statistic), df: Some(df), p_value, status }
}

fn yes() -> bool {
    true
}

#[derive(Debug)]
pub enum Answer {
    /// O, E and their covariance, summed over the strata of the site.
    Compared { groups: Vec<String>, comparison: Comparison },
    /// Event table by stratum and group, `stratum * groups + group`.
    Counted(EventCounts),
}

static CARD: ModelCard = ModelCard {
    kind: "log_rank",
    title: "Log-rank test",
    estimates: "tests of equal survival between groups or of a trend across them; Peto's one-step hazard ratio for two groups",
    sends: "observed and expected events by group with their covariance; without stratification by site, its event table",
    pools: "cells are summed; χ² = (O − E)' V⁻ (O − E), with degrees of freedom equal to the rank of V",
    differs: "none: it equals the test on the pooled records, stratified by site or not",
    not_done: "exact permutation distributions",
    exchanges: Exchanges::One,
    sources: "Mantel 1966; Gehan 1965; Tarone & Ware 1977; Peto & Peto 1972; Harrington & Fleming 1982; Yusuf et al. 1985",
    example: "id = \"logrank\"\nkind = \"log_rank\"\nby = \"x_hist_central\"\n",
};

impl Statistic for Answer {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        match self {
            Self::Counted(counts) => {
                let persons =
                    (0..counts.groups.len()).map(|g| counts.persons(g)).sum::<f64>() as u64;
                counts.add_to(Draft::new(persons), persons)
            }
            Self::Compared { groups, comparison } => {
                let persons = comparison.persons.iter().sum::<f64>() as u64;
                let axis = |name: &str| Axis::new(name, groups.iter().cloned());
                let mut draft = Draft::new(persons);
                let vectors = [
                    ("persons", Kind::Count, comparison.persons),
                    ("observed", Kind::Sum, comparison.observed),
                    ("expected", Kind::Sum, comparison.expected),
                ];
                for (name, kind, cells) in vectors {
                    let array = Array::new(name, vec![axis("group")], kind, Rule::Add, cells)?;
                    draft = draft.with(array, Support::Whole(persons));
                }
                let axes = vec![axis("group"), axis("other")];
                let array =
                    Array::new("covariance", axes, Kind::Sum, Rule::Add, comparison.covariance)?;
                Ok(draft.with(array, Support::Whole(persons)))
            }
        }
    }

    fn from_summary((): &(), summary: &Summary) -> Result<Self, LayoutError> {
        if summary.array("covariance").is_err() {
            return Ok(Self::Counted(EventCounts::from_summary(summary)?));
        }
        let comparison = Comparison {
            persons: summary.numbers("persons")?,
            observed: summary.numbers("observed")?,
            expected: summary.numbers("expected")?,
            covariance: summary.numbers("covariance")?,
        };
        Ok(Self::Compared { groups: summary.array("persons")?.levels("group"), comparison })
    }
}

/// Stratum of each row as one number, from several variables.
pub(super) fn strata(
    data: &SiteData,
    names: &[String],
    rows: &[usize],
) -> Result<Vec<u32>, CohortError> {
    let mut stratum = vec![0; rows.len()];
    for name in names {
        let (codes, levels) = data.cohort.levels(name)?;
        for (s, &row) in stratum.iter_mut().zip(rows) {
            *s = *s * levels.len() as u32 + codes[row].unwrap_or(0);
        }
    }
    Ok(stratum)
}

impl Options {
    fn weight(&self) -> Weight {
        match self.weights {
            Weights::FlemingHarrington => {
                Weight::FlemingHarrington { rho: self.rho, gamma: self.gamma }
            }
            Weights::Gehan => Weight::Gehan,
            Weights::TaroneWare => Weight::TaroneWare,
            Weights::PetoPeto => Weight::PetoPeto,
        }
    }

    fn weight_word(&self) -> &'static str {
        match self.weights {
            Weights::FlemingHarrington if self.rho == 0.0 && self.gamma == 0.0 => "log-rank",
            Weights::FlemingHarrington => "fleming-harrington",
            Weights::Gehan => "gehan",
            Weights::TaroneWare => "tarone-ware",
            Weights::PetoPeto => "peto-peto",
        }
    }
}

impl LogRank {
    fn count(
        options: &Options,
        data: &SiteData,
        survival: &Survival,
    ) -> Result<EventTable, CohortError> {
        let (codes, _) = data.cohort.levels(&options.by)?;
        let stratum = strata(data, &options.strata, &survival.rows)?;
        let width = options.groups.len() as u32;
        let cell = |(&row, s): (&usize, &u32)| s * width + codes[row].unwrap_or(0);
        let group: Vec<u32> = survival.rows.iter().zip(&stratum).map(cell).collect();
        let rows = Rows {
            entry: survival.entry.as_deref(),
            exit: &survival.exit,
            event: &survival.event,
            group: &group,
        };
        let groups = options.groups.len() * options.stratum_count;
        Ok(event_table(rows, groups, &TimeGrid::daily(options.horizon_days.unwrap_or(0))))
    }
}

/// Compares within each stratum of a table and adds up.
fn compare_strata(table: &EventTable, groups: usize, weight: Weight) -> Comparison {
    let zeros = |n: usize| vec![0.0; n];
    let mut sum = Comparison {
        persons: zeros(groups),
        observed: zeros(groups),
        expected: zeros(groups),
        covariance: zeros(groups * groups),
    };
    for s in 0..table.groups / groups {
        let of = |counts: &[f64], width: usize| {
            counts[s * groups * width..(s + 1) * groups * width].to_vec()
        };
        let part = EventTable {
            groups,
            cells: table.cells,
            entries: of(&table.entries, table.cells),
            events: of(&table.events, table.cells),
            censored: of(&table.censored, table.cells),
            initial: of(&table.initial, 1),
            beyond: of(&table.beyond, 1),
        };
        let part = compare(&part, weight);
        let pairs = [
            (&mut sum.persons, part.persons),
            (&mut sum.observed, part.observed),
            (&mut sum.expected, part.expected),
            (&mut sum.covariance, part.covariance),
        ];
        for (total, term) in pairs {
            total.iter_mut().zip(term).for_each(|(t, x)| *t += x);
        }
    }
    sum
}

/// The log hazard ratio from which on one step from no effect is told to be too few.
const ONE_STEP: f64 = 1.0;

/// Peto's one-step estimate: ln HR = U / V of the second group against the first, with standard error 1 / √V.
fn peto(groups: &[String], comparison: &Comparison) -> Peto {
    let (u, v) = (comparison.observed[1] - comparison.expected[1], comparison.covariance[3]);
    let (log, se) = (u / v, 1.0 / v.sqrt());
    Peto {
        group: groups[1].clone(),
        reference: groups[0].clone(),
        estimate: Some(log),
        std_error: Some(se),
        hazard_ratio: Some(log.exp()),
        hazard_ratio_low: Some((log - Z95 * se).exp()),
        hazard_ratio_high: Some((log + Z95 * se).exp()),
        status: Status::Ok,
    }
}

impl OneRound for LogRank {
    type Options = Options;
    type Statistic = Answer;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        faults.extend(context.check_levels("/by", &options.by));
        options.groups = context.levels(&options.by);
        let (scores, groups) = (options.trend.len(), options.groups.len());
        if scores > 0 && scores != groups && faults.is_empty() {
            let message = format!("{scores} scores for {groups} levels of `{}`", options.by);
            faults.push(Fault::new("/trend", message).hint("write one score per level"));
        }
        let has_powers = options.rho != 0.0 || options.gamma != 0.0;
        if has_powers && options.weights != Weights::FlemingHarrington {
            let hint = "leave rho and gamma out";
            let message = "rho and gamma apply to Fleming–Harrington weights only";
            faults.push(Fault::new("/weights", message).hint(hint));
        }
        options.stratum_count = 1;
        for (i, name) in options.strata.iter().enumerate() {
            faults.extend(context.check_levels(&format!("/strata/{i}"), name));
            options.stratum_count *= context.levels(name).len().max(1);
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.push(ColumnNeed::levels(&options.by));
        needs.extend(options.strata.iter().map(ColumnNeed::levels));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Answer, CohortError> {
        let mut needed: Vec<&str> = options.strata.iter().map(String::as_str).collect();
        needed.push(&options.by);
        let survival = data.cohort.survival(&options.followup, &needed)?;
        let table = Self::count(options, data, &survival)?;
        let groups = options.groups.clone();
        if options.stratify_by_site {
            let comparison = compare_strata(&table, groups.len(), options.weight());
            return Ok(Answer::Compared { groups, comparison });
        }
        let of_stratum = |s: usize| groups.iter().map(move |g| format!("{s}:{g}"));
        let labels = (0..options.stratum_count).flat_map(of_stratum).collect();
        Ok(Answer::Counted(EventCounts { groups: labels, table }))
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Answer,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        let comparison = match pooled {
            Answer::Compared { comparison, .. } => comparison.clone(),
            Answer::Counted(counts) => {
                compare_strata(&counts.table, options.groups.len(), options.weight())
            }
        };
        let exactness =
            if options.stratify_by_site { Exactness::ExactStratified } else { Exactness::Exact };
        let mut estimate = Estimate::new(exactness, sites);
        let powers = [("rho", options.rho.to_string()), ("gamma", options.gamma.to_string())];
        estimate.line("test", options.weight_word(), &powers);
        let site = options.stratify_by_site.then_some("site".to_owned());
        let strata: Vec<String> = site.into_iter().chain(options.strata.iter().cloned()).collect();
        let choice = if strata.is_empty() { "none" } else { "by-variables" };
        estimate.line("strata", choice, &[("strata", strata.join(", "))]);
        estimate.line("zero", options.followup.zero.name(), &[]);

        let compared = |(g, group): (usize, &String)| {
            let (o, e) = (comparison.observed[g], comparison.expected[g]);
            let ratio = (e > 0.0).then(|| o / e);
            Compared {
                group: group.clone(),
                n: Some(comparison.persons[g]),
                observed: Some(o),
                expected: Some(e),
                ratio,
                status: if ratio.is_some() { Status::Ok } else { Status::NoRiskSet },
            }
        };
        let groups = Table::of(options.groups.iter().enumerate().map(compared));
        let result = test(&comparison);
        let events: f64 = comparison.observed.iter().sum();
        let status = match (events, result.df) {
            (d, _) if d <= 0.0 => Status::NoEvents,
            (_, 0) => Status::NoRiskSet,
            _ => Status::Ok,
        };
        estimate.tables.extend([Table::of([tested(result, status)]), groups]);
        if status != Status::Ok {
            let key = if status == Status::NoEvents { "no-events" } else { "nothing-compared" };
            estimate.notice(Notice::new(status, key, &[]));
            return Ok(estimate);
        }
        if !options.trend.is_empty() {
            let found = trend(&comparison, &options.trend);
            let status = if found.df > 0 { Status::Ok } else { Status::NoRiskSet };
            let Test { statistic, df, p_value, status } = tested(found, status);
            estimate.tables.push(Table::of([Trend { statistic, df, p_value, status }]));
        }
        if options.groups.len() == 2 && options.weight_word() == "log-rank" {
            let step = peto(&options.groups, &comparison);
            if let Some(log) = step.estimate.filter(|log| log.abs() > ONE_STEP) {
                let values = [("ratio", format!("{:.2}", log.exp()))];
                estimate.notices.push(Notice::new(Status::Ok, "one-step-far", &values));
            }
            estimate.tables.push(Table::of([step]));
        }
        Ok(estimate)
    }
}
