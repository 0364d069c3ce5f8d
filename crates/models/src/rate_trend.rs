//! Average change of incidence per year, by named estimators.
//!
//! *Estimates* the change per year, per cent: from a Poisson or negative binomial regression of the counts on age and year, and
//! from straight lines through the logarithm of the standardised rates. *A site sends*, once, cases and person-years by sex,
//! group, year and age. *Sums*: cell by cell. *The hub* fits. *Differs from pooling rows*: not at all. *Not done*: changes of the
//! trend, which `joinpoint` looks for. *Sources*: Hankey et al. (2000); McCullagh & Nelder (1989); Lawless (1987).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Incidence, IncidenceCounts, SiteData, ages_name},
    estimate::{Estimate, Exactness, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Context, Exchanges, ModelCard, OneRound, Printed, RateCells, Sums, Year, cells_fault,
        incidence_needs, left_out_cases, prepare_cells, rate_sums, unknown_age_cases, with_printed,
    },
    rows,
    spec::{Fault, suggestion},
    summary::{Axis, LayoutError},
    vocabulary::population_standards,
};
use tributary_stats::{
    negative_binomial,
    newton::Next,
    poisson::{Cell, Mean, fit},
    rate::RateInterval,
    trend::{Slope, least_squares},
};

/// The model.
#[derive(Debug)]
pub struct RateTrend;

rows! {
    /// Change per year of a group and sex, per cent, by one estimator.
    pub struct Trend in "trends" {
        pub group: String,
        pub sex: String,
        pub estimator: String,
        pub percent: Number,
        pub percent_low: Number,
        pub percent_high: Number,
        pub p_value: Number,
        pub n_years: Number,
        pub dispersion: Number,
        pub status: Status,
    }

    /// Standardised rate of a group and sex in one year.
    pub struct YearRate in "yearly" {
        pub group: String,
        pub sex: String,
        pub year: Number,
        pub cases: Number,
        pub person_years: Number,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }

    /// Changes of a group, sex and range of ages: from first to last year, then per year over all years and in either half.
    pub struct Halves in "halves" {
        pub group: String,
        pub sex: String,
        pub ages: String,
        pub change_percent: Number,
        pub percent: Number,
        pub percent_flag: Option<String>,
        pub first_half: Number,
        pub first_half_flag: Option<String>,
        pub second_half: Number,
        pub second_half_flag: Option<String>,
        pub halves_p_value: Number,
        pub status: Status,
    }
}

/// Options of `rate_trend`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent.
    incidence: Incidence,
    /// Variable whose levels have trends of their own.
    #[serde(default)]
    by: Option<String>,
    /// Whether males and females have trends of their own too.
    #[serde(default)]
    each_sex: bool,
    /// Standard population of the yearly rates.
    #[serde(default = "world")]
    standard: String,
    /// Whether the table of SEER's Cancer Statistics Review is told too: change from the first year to the last, and change per year
    /// over all years, their first half and their second, by weighted least squares.
    #[serde(default)]
    halves: bool,
    /// Ages (first, first no longer counted) of that table; all ages if absent.
    #[serde(default)]
    #[schemars(with = "Vec<[limits::Age; 2]>")]
    truncated: Vec<[u32; 2]>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

pub(super) fn world() -> String {
    "world".into()
}

static CARD: ModelCard = ModelCard {
    kind: "rate_trend",
    title: "Trend in incidence",
    estimates: "the annual percentage change in incidence, by Poisson, quasi-Poisson and negative binomial regression and by linear regression of log rates",
    sends: "once: cases by sex, group, year and age band, and the person-years of its population",
    pools: "cells are summed; the hub fits the regressions",
    differs: "none",
    not_done: "changes in the trend (see `joinpoint`)",
    exchanges: Exchanges::One,
    sources: "Hankey et al. 2000; McCullagh & Nelder 1989; Lawless 1987",
    example: "id = \"trend\"\nkind = \"rate_trend\"\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 1, 5, 10], age_end = 15, years = [2000, 2009] }\n",
};

/// Weights of one standard over all ages, or what is wrong.
pub(super) fn standard_weights(name: &str, cells: &Incidence) -> Result<Vec<f64>, Fault> {
    let bands: Vec<[u32; 2]> = (0..cells.ages.len()).map(|i| cells.band(i)).collect();
    let ages = [cells.ages[0], cells.age_end.unwrap_or(u32::MAX)];
    population_standards::weights(name, &bands, ages).ok_or_else(|| {
        let known: Vec<String> =
            population_standards::names().iter().map(|n| (*n).to_owned()).collect();
        let message =
            format!("`{name}` is not a standard population with weights for these age bands");
        if known.iter().any(|k| k == name) {
            let hint = "use the age bands of the standard: five years wide, with the first year of life separate if needed";
            return cells_fault(cells, "ages", message).hint(hint);
        }
        Fault::new("/standard", message).hint(suggestion(name, &known))
    })
}

/// Says in the estimate which standard populations its rates have, and what the weight of open last ages stands for.
pub(super) fn standards_line(estimate: &mut Estimate, standards: &[String], cells: &Incidence) {
    let bands: Vec<[u32; 2]> = (0..cells.ages.len()).map(|i| cells.band(i)).collect();
    let names: Vec<String> =
        standards.iter().map(|name| population_standards::described(name, &bands)).collect();
    estimate.line("population-standard", "names", &[("names", names.join(", "))]);
}

impl OneRound for RateTrend {
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
        if cells.len() < 3 {
            let message = format!("a trend needs at least three years, found {}", cells.len());
            faults.push(cells_fault(cells, "years", message));
        }
        if let Err(fault) = standard_weights(&options.standard, cells) {
            faults.push(fault);
            return faults;
        }
        if options.truncated.is_empty() {
            options.truncated = vec![[cells.ages[0], cells.age_end.unwrap_or(u32::MAX)]];
        }
        let bands: Vec<[u32; 2]> = (0..cells.ages.len()).map(|i| cells.band(i)).collect();
        for (i, ages) in options.truncated.iter().enumerate() {
            if population_standards::weights(&options.standard, &bands, *ages).is_none() {
                let message = format!("ages {} to {} do not match the age bands", ages[0], ages[1]);
                faults.push(Fault::new(format!("/truncated/{i}"), message));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, options.by.as_deref())
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let cells = &options.incidence;
        let (sums, counts) = rate_sums(cells, options.by.as_deref(), &options.groups, data)?;
        let sums = with_printed(sums, cells, &options.groups, &each_year(cells), false, &counts);
        Ok(if options.halves { with_ends(sums, options, cells, &counts) } else { sums })
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
    let printed = Printed::read(layout, options.groups.len(), layout.len(), sums)?;
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    standards_line(&mut estimate, std::slice::from_ref(&options.standard), &options.incidence);
    estimate.line("trend", "count-regression", &[]);
    estimate.line("zero-years", "as-data", &[]);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "wald", &[("level", level)]);
    left_out_cases(sums, &mut estimate);
    unknown_age_cases(sums, &mut estimate);
    let (mut trends, mut yearly) = (Vec::new(), Vec::new());
    let per = layout.per();
    let sexes = cells.each_sex();
    for (g, group) in options.groups.iter().enumerate() {
        for (sex_name, sex) in sexes.iter().filter(|(_, s)| s.is_none() || options.each_sex) {
            let series = cells.series(*sex, Some(g), &weights);
            let level = options.confidence_level.share();
            let named = |row| Trend { group: group.clone(), sex: sex_name.clone(), ..row };
            trends.extend(trends_of(&cells, *sex, g, &series, level).into_iter().map(named));
            yearly.extend(series.iter().enumerate().map(|(i, year)| YearRate {
                group: group.clone(),
                sex: sex_name.clone(),
                ..year_rate(year, printed.hides(*sex, g, i, None), per, level)
            }));
        }
    }
    estimate.tables.extend([Table::of(trends), Table::of(yearly).shown(Shown::File)]);
    if options.halves {
        estimate.tables.push(Table::of(halves(options, layout, &cells, sums.get("ends")?)));
    }
    Ok(estimate)
}

/// Adds the cases of the first and the last year by range of ages, which the change between them tells.
fn with_ends(sums: Sums, options: &Options, cells: &Incidence, counts: &IncidenceCounts) -> Sums {
    let (years, bands) = (cells.len(), cells.ages.len());
    let mut ends = Vec::new();
    for lines in counts.cases.chunks(years * bands) {
        for [from, to] in &options.truncated {
            for year in [0, years - 1] {
                let inside = |b: &usize| cells.band(*b)[0] >= *from && cells.band(*b)[1] <= *to;
                ends.push((0..bands).filter(inside).map(|b| lines[year * bands + b]).sum());
            }
        }
    }
    let axes = vec![
        Axis::new("sex", cells.sex_names()),
        Axis::new("group", options.groups.iter().cloned()),
        Axis::new("ages", options.truncated.iter().map(|a| ages_name(*a))),
        Axis::new("end", ["first", "last"]),
    ];
    sums.shown("ends", axes, &ends)
}

/// Table 29.3 of the Cancer Statistics Review: a line per group, sex and range of ages. `*`: the change per year is not 0; `#`: the
/// second half differs from the first; both at five per cent.
fn halves(options: &Options, layout: &Incidence, cells: &RateCells, ends: &[f64]) -> Vec<Halves> {
    let mut rows = Vec::new();
    let bands: Vec<[u32; 2]> = (0..layout.ages.len()).map(|i| layout.band(i)).collect();
    let middle = layout.years[0] + (layout.len() as i32 - 1) / 2;
    for (g, group) in options.groups.iter().enumerate() {
        for (sex_name, sex) in
            cells.each_sex().iter().filter(|(_, s)| s.is_none() || options.each_sex)
        {
            for (a, &[from, to]) in options.truncated.iter().enumerate() {
                let mut sexes = sex.map_or(0..layout.sexes(), |s| s..s + 1);
                let hidden = sexes.any(|s| {
                    let at = (s * options.groups.len() + g) * options.truncated.len() + a;
                    ends[2 * at..2 * at + 2].iter().any(|n| n.is_nan())
                });
                let weights = population_standards::weights(&options.standard, &bands, [from, to]);
                let series = weights.map(|w| cells.series(*sex, Some(g), &w)).unwrap_or_default();
                let row = if hidden {
                    Halves { status: Status::Suppressed, ..Halves::default() }
                } else {
                    changes(&series, middle)
                };
                let (group, sex, ages) = (group.clone(), sex_name.clone(), ages_name([from, to]));
                rows.push(Halves { group, sex, ages, ..row });
            }
        }
    }
    rows
}

/// Change from first to last year, then the changes per year with their flags.
fn changes(series: &[Year], middle: i32) -> Halves {
    let rate = |y: Option<&Year>| y.and_then(|y| y.standardised).map(|w| w.rate);
    let ends = rate(series.first()).zip(rate(series.last())).filter(|(first, _)| *first > 0.0);
    let line = |keep: &dyn Fn(i32) -> bool| -> Option<Slope> {
        let mut points = [Vec::new(), Vec::new(), Vec::new()];
        for year in series.iter().filter(|y| keep(y.year)) {
            // A year without cases has no logarithm: no line is drawn then.
            let w = year.standardised.filter(|w| w.rate > 0.0)?;
            let values = [f64::from(year.year), w.rate.ln(), w.rate * w.rate / w.variance];
            points.iter_mut().zip(values).for_each(|(p, v)| p.push(v));
        }
        least_squares(&points[0], &points[1], &points[2])
    };
    let whole = line(&|_| true);
    let halves = [line(&|y| y <= middle), line(&|y| y > middle)];
    let differ = match halves {
        [Some(a), Some(b)] => {
            // Two lines with variances of their own: Welch's degrees of freedom.
            let (va, vb) = (a.std_error.powi(2), b.std_error.powi(2));
            let df = (va + vb).powi(2) / (va * va / a.df + vb * vb / b.df);
            let gap = Slope { slope: b.slope - a.slope, std_error: (va + vb).sqrt(), df };
            (va + vb > 0.0).then(|| gap.p_value())
        }
        _ => None,
    };
    let flag = |slope: Option<Slope>, p_value: Option<f64>| {
        let star = if slope.is_some_and(|s| s.p_value() < 0.05) { "*" } else { "" };
        let hash = if p_value.is_some_and(|p| p < 0.05) { "#" } else { "" };
        Some(format!("{star}{hash}"))
    };
    let percent = |slope: Option<Slope>| slope.map(|s| s.percent());
    let [first, second] = halves;
    Halves {
        change_percent: ends.map(|(first, last)| 100.0 * (last / first - 1.0)),
        percent: percent(whole),
        percent_flag: flag(whole, None),
        first_half: percent(first),
        first_half_flag: flag(first, None),
        second_half: percent(second),
        second_half_flag: flag(second, differ),
        halves_p_value: differ,
        status: if whole.is_some() { Status::Ok } else { Status::NotIdentified },
        ..Halves::default()
    }
}

/// Spans of one year.
pub(super) fn each_year(cells: &Incidence) -> Vec<[i32; 2]> {
    (cells.years[0]..=cells.years[1]).map(|year| [year; 2]).collect()
}

/// One year of a printed series: its standardised rate; no number where the study hides the cases.
pub(super) fn year_rate(year: &Year, hidden: bool, per: f64, level: f64) -> YearRate {
    let row = YearRate {
        year: Some(f64::from(year.year)),
        person_years: Some(year.rate.time),
        status: Status::Suppressed,
        ..YearRate::default()
    };
    if hidden {
        return row;
    }
    let limits = year.standardised.and_then(|w| w.interval(level, RateInterval::FayFeuer));
    let [conf_low, conf_high] = limits.map_or([None; 2], |l| l.map(|x| Some(per * x)));
    YearRate {
        cases: Some(year.rate.events),
        rate: year.standardised.map(|w| per * w.rate),
        conf_low,
        conf_high,
        status: match year.standardised {
            None => Status::NoRiskSet,
            Some(w) if w.events <= 0.0 => Status::OneSided,
            Some(_) => Status::Ok,
        },
        ..row
    }
}

fn trends_of(
    cells: &RateCells,
    sex: Option<usize>,
    group: usize,
    series: &[Year],
    level: f64,
) -> Vec<Trend> {
    let mut rows = Vec::new();
    let mut push = |name: &str,
                    slope: Option<Slope>,
                    years: usize,
                    dispersion: Option<f64>,
                    status: Status| {
        let [percent_low, percent_high] = slope.map_or([None; 2], |s| s.limits(level).map(Some));
        rows.push(Trend {
            estimator: name.to_owned(),
            percent: slope.map(|s| s.percent()),
            percent_low,
            percent_high,
            p_value: slope.map(|s| s.p_value()),
            n_years: Some(years as f64),
            dispersion,
            status,
            ..Trend::default()
        });
    };
    let counted: Vec<Cell> = count_cells(cells, sex, group);
    let followed = series.iter().filter(|y| y.rate.time > 0.0).count();
    let events: f64 = counted.iter().map(|c| c.events).sum();
    if events <= 0.0 || counted.is_empty() {
        for name in ["poisson", "quasi-poisson", "negative binomial"] {
            push(name, None, followed, None, Status::NoEvents);
        }
    } else {
        let p = counted[0].z.len();
        let start: Vec<f64> = (0..p)
            .map(|j| {
                let of = |f: fn(&Cell) -> f64| {
                    counted.iter().filter(|c| c.z[j] == 1.0).map(f).sum::<f64>()
                };
                if j + 1 < p { (of(|c| c.events) / of(|c| c.time)).ln() } else { 0.0 }
            })
            .collect();
        let found = fit(&counted, Mean::Rate, &start, false);
        match found.next {
            Next::Converged { at, inverse } => {
                let theta = &found.record[at].beta;
                let se = inverse.matrix[(p - 1, p - 1)].max(0.0).sqrt();
                let mean = |c: &Cell| {
                    c.time * c.z.iter().zip(theta).map(|(z, b)| z * b).sum::<f64>().exp()
                };
                let pearson: f64 =
                    counted.iter().map(|c| (c.events - mean(c)).powi(2) / mean(c)).sum();
                let df = counted.len() as f64 - p as f64;
                let slope = Slope { slope: theta[p - 1], std_error: se, df: f64::INFINITY };
                push("poisson", Some(slope), followed, None, Status::Ok);
                let phi = if df > 0.0 { Some(pearson / df) } else { None };
                let quasi = phi.map(|phi| Slope { std_error: se * phi.sqrt(), df, ..slope });
                let status = if quasi.is_some() { Status::Ok } else { Status::NotIdentified };
                push("quasi-poisson", quasi, followed, phi, status);
                let nb = negative_binomial::fit(&counted, theta);
                let se = nb.covariance[(p - 1, p - 1)].max(0.0).sqrt();
                let slope =
                    Slope { slope: nb.coefficients[p - 1], std_error: se, df: f64::INFINITY };
                let status = if nb.dispersion > 0.0 { Status::Ok } else { Status::Boundary };
                push("negative binomial", Some(slope), followed, Some(nb.dispersion), status);
            }
            Next::Monotone { .. } => push("poisson", None, followed, None, Status::Monotone),
            Next::NotConverged { .. } | Next::Try(_) => {
                push("poisson", None, followed, None, Status::Nonconverged);
            }
        }
    }
    // Lines through log rates: years without cases have no logarithm, and are counted as left out by `n_years`.
    let with_rate: Vec<(f64, f64, f64)> = series
        .iter()
        .filter_map(|y| {
            let w = y.standardised.filter(|w| w.rate > 0.0)?;
            Some((f64::from(y.year), w.rate.ln(), w.rate * w.rate / w.variance))
        })
        .collect();
    let [x, y, w] =
        [0, 1, 2].map(|i| with_rate.iter().map(|r| [r.0, r.1, r.2][i]).collect::<Vec<f64>>());
    let unit = vec![1.0; x.len()];
    for (name, weights) in [("least squares", &unit), ("weighted least squares", &w)] {
        // A rate of 0 that is left out would bend the line: none is drawn then.
        let dropped = followed - x.len();
        let line = if dropped == 0 { least_squares(&x, &y, weights) } else { None };
        let status = match (&line, dropped) {
            (Some(_), _) => Status::Ok,
            (None, 0) => Status::KTooSmall,
            (None, _) => Status::NotIdentified,
        };
        push(name, line, x.len(), None, status);
    }
    rows
}

/// Cells of ages with cases: age terms, and the year about its middle. Ages without cases say nothing about the trend.
fn count_cells(cells: &RateCells, sex: Option<usize>, group: usize) -> Vec<Cell> {
    let whole = [cells.years[0], cells.years[cells.years.len() - 1]];
    let with_cases: Vec<usize> = cells
        .cases(sex, Some(group), whole)
        .iter()
        .enumerate()
        .filter(|(_, d)| **d > 0.0)
        .map(|(i, _)| i)
        .collect();
    let middle = f64::midpoint(f64::from(whole[0]), f64::from(whole[1]));
    let mut found = Vec::new();
    for &year in &cells.years {
        let (d, y) = (cells.cases(sex, Some(group), [year; 2]), cells.person_years(sex, [year; 2]));
        for (j, &band) in with_cases.iter().enumerate() {
            if y[band] <= 0.0 {
                continue;
            }
            let mut z: Vec<f64> =
                (0..with_cases.len()).map(|k| f64::from(u8::from(k == j))).collect();
            z.push(f64::from(year) - middle);
            found.push(Cell { events: d[band], time: y[band], expected: 0.0, z });
        }
    }
    found
}
