//! Incidence of groups, or of the sexes, against each other.
//!
//! *Estimates* ratios and differences of rates: crude, over strata of sex and age, and standardised. *A site sends*, once, cases and
//! person-years by sex, group, year and age. *Sums*: cell by cell. *The hub* compares. *Differs from pooling rows*: not at all.
//! *Not done*: ranking of countries by standardised incidence ratios, whose weights differ. *Sources*: Rothman & Greenland (1998);
//! Fay (1999); Tiwari, Clegg & Zou (2006); Smith (1987); Donner & Zou (2012).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Incidence, SiteData},
    estimate::{Estimate, Exactness, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Context, Exchanges, ModelCard, OneRound, RateCells, Sums, incidence_needs, left_out_cases,
        period_faults, period_name, prepare_cells, rate_sums, unknown_age_cases,
    },
    rows,
    spec::Fault,
    summary::LayoutError,
};
use tributary_stats::{
    distribution::{normal_point, normal_two_sided},
    rate::WeightedRate,
    rate_ratio::{
        Rate, StandardisedRatioInterval, difference_p_value, exact_ratio, mantel_haenszel,
        mover_difference, standardised_ratio, wald_difference,
    },
};

use super::rate_trend::standard_weights;

/// The model.
#[derive(Debug)]
pub struct RateComparison;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Between {
    /// Levels of `by`, each with the first; all have the same population.
    #[default]
    Groups,
    /// Sexes, the second with the first.
    Sexes,
    /// Periods, each with the first.
    Periods,
}

/// Options of `rate_comparison`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent.
    incidence: Incidence,
    /// Variable that splits the cases.
    #[serde(default)]
    by: Option<String>,
    /// What is compared.
    #[serde(default)]
    between: Between,
    /// First and last year of each period; all years together if absent.
    #[serde(default)]
    #[schemars(with = "Vec<[limits::CalendarYear; 2]>")]
    periods: Vec<[i32; 2]>,
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

rows! {
    /// Ratio of two rates within a stratum, by one method.
    pub struct RateRatio in "rate_ratios" {
        pub stratum: String,
        pub compared: String,
        pub reference: String,
        pub method: String,
        pub rate_ratio: Number,
        pub rate_ratio_low: Number,
        pub rate_ratio_high: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// Difference of two rates within a stratum, by one method.
    pub struct RateDifference in "rate_differences" {
        pub stratum: String,
        pub compared: String,
        pub reference: String,
        pub method: String,
        pub difference: Number,
        pub difference_low: Number,
        pub difference_high: Number,
        pub p_value: Number,
        pub status: Status,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "rate_comparison",
    title: "Comparison of incidence rates",
    estimates: "ratios and differences of rates between groups, sexes or periods: crude, Mantel–Haenszel and standardised",
    sends: "once: cases by sex, group, year and age band, and the person-years of its population",
    pools: "cells are summed; the hub compares the rates",
    differs: "none",
    not_done: "ranking of countries by standardised incidence ratios, which carry different weights",
    exchanges: Exchanges::One,
    sources: "Rothman & Greenland 1998; Fay 1999; Tiwari, Clegg & Zou 2006; Smith 1987; Donner & Zou 2012",
    example: "id = \"compared\"\nkind = \"rate_comparison\"\nbetween = \"periods\"\nperiods = [[2000, 2004], [2005, 2009]]\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 1, 5, 10], age_end = 15, years = [2000, 2009] }\n",
};

impl OneRound for RateComparison {
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
        faults.extend(standard_weights(&options.standard, cells).err());
        let missing = match options.between {
            Between::Groups if options.groups.len() < 2 => Some("groups: write by = \"…\""),
            Between::Sexes if cells.sexes.len() < 2 => Some("sexes: name `sex` in the cells"),
            Between::Periods if options.periods.len() < 2 => Some("periods: write two or more"),
            Between::Groups | Between::Sexes | Between::Periods => None,
        };
        if let Some(what) = missing {
            faults.push(Fault::new("/between", format!("there are fewer than two {what}")));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, options.by.as_deref())
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let cells = &options.incidence;
        Ok(rate_sums(cells, options.by.as_deref(), &options.groups, data)?.0)
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

/// One side of a comparison: cells of sex and age.
struct Side {
    name: String,
    strata: Vec<Rate>,
    by_age: [Vec<f64>; 2],
}

impl Side {
    fn new(
        name: String,
        cells: &RateCells,
        sex: Option<usize>,
        group: Option<usize>,
        period: [i32; 2],
    ) -> Self {
        let sexes: Vec<usize> = sex.map_or_else(|| (0..cells.sexes.len()).collect(), |s| vec![s]);
        let strata = sexes
            .iter()
            .flat_map(|&s| {
                let (d, y) =
                    (cells.cases(Some(s), group, period), cells.person_years(Some(s), period));
                d.into_iter().zip(y).map(|(events, time)| Rate { events, time }).collect::<Vec<_>>()
            })
            .collect();
        let by_age = [cells.cases(sex, group, period), cells.person_years(sex, period)];
        Self { name, strata, by_age }
    }

    fn crude(&self) -> Rate {
        let sum = |v: &[f64]| v.iter().sum::<f64>();
        Rate { events: sum(&self.by_age[0]), time: sum(&self.by_age[1]) }
    }
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let layout = &options.incidence;
    let weights = standard_weights(&options.standard, layout)
        .map_err(|_| LayoutError::Missing { array: "standard".into() })?;
    let cells = RateCells::read(layout, &options.groups, sums)?;
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    let per = layout.per();
    super::rate_trend::standards_line(
        &mut estimate,
        std::slice::from_ref(&options.standard),
        &options.incidence,
    );
    estimate.line("rate-per", "person-years", &[("per", per.to_string())]);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "as-named", &[("level", level)]);
    left_out_cases(sums, &mut estimate);
    unknown_age_cases(sums, &mut estimate);
    let comparisons = comparisons(options, layout, &cells);
    let (mut ratios, mut differences) = (Vec::new(), Vec::new());
    let level = options.confidence_level.share();
    for (stratum, first, second) in &comparisons {
        let names = || (stratum.clone(), first.name.clone(), second.name.clone());
        ratios.extend(rate_ratios(level, first, second, &weights).into_iter().map(|row| {
            let (stratum, compared, reference) = names();
            RateRatio { stratum, compared, reference, ..row }
        }));
        let found = rate_differences(level, first, second, &weights, per);
        differences.extend(found.into_iter().map(|row| {
            let (stratum, compared, reference) = names();
            RateDifference { stratum, compared, reference, ..row }
        }));
    }
    estimate.tables.extend([Table::of(ratios), Table::of(differences)]);
    Ok(estimate)
}

fn comparisons(
    options: &Options,
    layout: &Incidence,
    cells: &RateCells,
) -> Vec<(String, Side, Side)> {
    let mut found = Vec::new();
    match options.between {
        Between::Groups => {
            for period in &options.periods {
                let side =
                    |g: usize| Side::new(options.groups[g].clone(), cells, None, Some(g), *period);
                for g in 1..options.groups.len() {
                    found.push((period_name(*period), side(g), side(0)));
                }
            }
        }
        Between::Sexes => {
            for (g, group) in options.groups.iter().enumerate() {
                for period in &options.periods {
                    let side = |s: usize| {
                        Side::new(layout.sexes[s].clone(), cells, Some(s), Some(g), *period)
                    };
                    let stratum = if options.groups.len() > 1 {
                        format!("{group}, {}", period_name(*period))
                    } else {
                        period_name(*period)
                    };
                    found.push((stratum, side(1), side(0)));
                }
            }
        }
        Between::Periods => {
            for (g, group) in options.groups.iter().enumerate() {
                let side = |p: usize| {
                    Side::new(
                        period_name(options.periods[p]),
                        cells,
                        None,
                        Some(g),
                        options.periods[p],
                    )
                };
                for p in 1..options.periods.len() {
                    found.push((group.clone(), side(p), side(0)));
                }
            }
        }
    }
    found
}

fn rate_ratios(level: f64, first: &Side, second: &Side, weights: &[f64]) -> Vec<RateRatio> {
    let mut rows = Vec::new();
    let mut push = |method: &str, found: Option<(f64, Option<[f64; 2]>, Option<f64>)>| {
        let status = match found {
            None => Status::NoEvents,
            Some((ratio, _, _)) if ratio == 0.0 || ratio.is_infinite() => Status::OneSided,
            Some((_, None, _)) => Status::NotIdentified,
            Some(_) => Status::Ok,
        };
        let [low, high] = found.and_then(|f| f.1).map_or([None; 2], |l| l.map(Some));
        rows.push(RateRatio {
            method: method.to_owned(),
            rate_ratio: found.map(|f| f.0),
            rate_ratio_low: low,
            rate_ratio_high: high,
            p_value: found.and_then(|f| f.2),
            status,
            ..RateRatio::default()
        });
    };
    let (a, b) = (first.crude(), second.crude());
    for (method, mid_p) in [("crude, exact", false), ("crude, mid-P", true)] {
        push(
            method,
            exact_ratio(a, b, level, mid_p).map(|r| (r.estimate, Some(r.limits), Some(r.p_value))),
        );
    }
    let strata: Vec<[Rate; 2]> =
        first.strata.iter().zip(&second.strata).map(|(a, b)| [*a, *b]).collect();
    let z = normal_point(level);
    push(
        "Mantel–Haenszel",
        mantel_haenszel(&strata).map(|m| {
            let limits = [-z, z].map(|k| (m.ln_ratio + k * m.ln_ratio_std_error).exp());
            (m.ln_ratio.exp(), Some(limits), Some(m.p_value))
        }),
    );
    let weighted = |s: &Side| WeightedRate::new(&s.by_age[0], &s.by_age[1], weights);
    let pair = weighted(first).zip(weighted(second));
    for (method, rule) in [
        ("standardised, F (Fay)", StandardisedRatioInterval::Fay),
        ("standardised, F (Tiwari)", StandardisedRatioInterval::Tiwari),
        ("standardised, log-normal", StandardisedRatioInterval::Log),
        ("standardised, test-based", StandardisedRatioInterval::TestBased),
    ] {
        let found = pair.as_ref().and_then(|(x, y)| standardised_ratio(x, y, level, rule));
        push(method, found.map(|(ratio, limits)| (ratio, limits, None)));
    }
    rows
}

fn rate_differences(
    level: f64,
    first: &Side,
    second: &Side,
    weights: &[f64],
    per: f64,
) -> Vec<RateDifference> {
    let mut rows = Vec::new();
    let mut push = |method: &str, found: Option<(f64, [f64; 2], Option<f64>)>| {
        let [low, high] = found.map_or([None; 2], |f| f.1.map(|x| Some(per * x)));
        rows.push(RateDifference {
            method: method.to_owned(),
            difference: found.map(|f| per * f.0),
            difference_low: low,
            difference_high: high,
            p_value: found.and_then(|f| f.2),
            status: if found.is_some() { Status::Ok } else { Status::NotIdentified },
            ..RateDifference::default()
        });
    };
    let (a, b) = (first.crude(), second.crude());
    let followed = a.time > 0.0 && b.time > 0.0;
    push(
        "crude, MOVER",
        followed.then(|| mover_difference(a, b, level)).map(|(d, l)| (d, l, None)),
    );
    push(
        "crude, Wald",
        (followed && a.events + b.events > 0.0)
            .then(|| wald_difference(a, b, level))
            .map(|(d, se, l)| (d, l, (se > 0.0).then(|| normal_two_sided(d / se)))),
    );
    let strata: Vec<[Rate; 2]> =
        first.strata.iter().zip(&second.strata).map(|(a, b)| [*a, *b]).collect();
    let z = normal_point(level);
    push(
        "Mantel–Haenszel",
        mantel_haenszel(&strata).map(|m| {
            let half = z * m.difference_std_error;
            (m.difference, [m.difference - half, m.difference + half], Some(m.p_value))
        }),
    );
    let weighted = |s: &Side| WeightedRate::new(&s.by_age[0], &s.by_age[1], weights);
    push(
        "standardised",
        weighted(first).zip(weighted(second)).filter(|(x, y)| x.events + y.events > 0.0).map(
            |(x, y)| {
                let d = x.rate - y.rate;
                let half = z * (x.variance + y.variance).sqrt();
                (d, [d - half, d + half], difference_p_value(&x, &y))
            },
        ),
    );
    rows
}
