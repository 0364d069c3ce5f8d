//! Joinpoint regression of incidence: where, if anywhere, the trend changes.
//!
//! *Estimates* the joinpoints, the change per year in each segment and on average. *A site sends*, once, cases and person-years by
//! sex, group, year and age. *Sums*: cell by cell. *The hub* searches and chooses. *Differs from pooling rows*: not at all. *Not
//! done*: autocorrelated errors; intervals of the places of joinpoints; counts are adjusted for age by their expected number, from
//! the age-specific rates of all years together. *Sources*: Kim, Fay, Feuer & Midthune (2000); Hudson (1966); Kim et al. (2022);
//! Clegg et al. (2009).

mod options;
mod tables;

pub use self::options::Options;
pub use self::tables::{Average, Candidate, PermutationTest, Segment, SeriesYear};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, SiteData},
    estimate::{Estimate, Exactness, Notice, Status, Table},
    model::{
        Context, Exchanges, ModelCard, OneRound, Printed, RateCells, Sums, Year, cells_fault,
        incidence_needs, left_out_cases, period_faults, period_name, prepare_cells, rate_sums,
        unknown_age_cases, with_printed,
    },
    spec::Fault,
    summary::LayoutError,
};
use tributary_stats::{
    distribution::garwood,
    joinpoint::{Comparison, Fit, Response, Series, by_permutation},
};

use self::options::{Interval, Scale, Search, Selection};
use super::rate_trend::{YearRate, each_year, standard_weights, year_rate};

/// The model.
#[derive(Debug)]
pub struct Joinpoint;

static CARD: ModelCard = ModelCard {
    kind: "joinpoint",
    title: "Joinpoint regression",
    estimates: "the years in which the trend in incidence changes, and the annual percentage change in each segment and on average",
    sends: "once: cases by sex, group, year and age band, and the person-years of its population",
    pools: "cells are summed; the hub searches for joinpoints and chooses their number",
    differs: "none",
    not_done: "autocorrelated errors; confidence intervals of the joinpoints",
    exchanges: Exchanges::One,
    sources: "Kim, Fay, Feuer & Midthune 2000; Hudson 1966; Kim et al. 2022; Clegg et al. 2009",
    example: "id = \"joinpoint\"\nkind = \"joinpoint\"\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 1, 5, 10], age_end = 15, years = [2000, 2009] }\n",
};

impl OneRound for Joinpoint {
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
        faults.extend(standard_weights(&options.standard, cells).err());
        let periods = period_faults(&mut options.averages, cells);
        faults.extend(
            periods
                .into_iter()
                .map(|f| Fault { pointer: f.pointer.replace("/periods", "/averages"), ..f }),
        );
        if cells.len() < 5 {
            let message =
                format!("joinpoint regression needs at least five years, found {}", cells.len());
            faults.push(cells_fault(cells, "years", message));
        }
        if options.selection == Selection::Permutation
            && (options.scale == Scale::Count || options.search == Search::Hudson)
        {
            let message =
                "the permutation test requires least squares on log rates and a grid search";
            let hint =
                "write scale = \"log_rate\" and search = \"grid\", or choose another selection";
            faults.push(Fault::new("/selection", message).hint(hint));
        }
        if options.search == Search::Hudson && options.most.is_some_and(|most| most > 3) {
            let message = "a continuous search allows at most three joinpoints";
            faults.push(Fault::new("/most", message).hint("write most = 3, or search = \"grid\""));
        }
        if options.joinpoints.is_some() && options.most.is_some() {
            let message = "with a fixed number of joinpoints, `most` has no effect";
            faults.push(Fault::new("/most", message).hint("leave out most, or joinpoints"));
        }
        if options.joinpoints.is_some() && options.selection == Selection::Permutation {
            let message = "with a fixed number of joinpoints, there is nothing to select";
            let hint = "leave out selection, or joinpoints";
            faults.push(Fault::new("/selection", message).hint(hint));
        }
        faults.extend(options.too_much(cells.len()));
        let resampled = options.interval == Interval::EmpiricalQuantile;
        if resampled && options.search == Search::Hudson {
            let message = "this interval requires a grid search";
            let hint = "write search = \"grid\", or interval = \"parametric\"";
            faults.push(Fault::new("/interval", message).hint(hint));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, options.by.as_deref())
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let cells = &options.incidence;
        let (sums, counts) = rate_sums(cells, options.by.as_deref(), &options.groups, data)?;
        Ok(with_printed(sums, cells, &options.groups, &each_year(cells), false, &counts))
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

#[derive(Default)]
struct Tables {
    segments: Vec<Segment>,
    averages: Vec<Average>,
    selection: Vec<Candidate>,
    tests: Vec<PermutationTest>,
    series: Vec<SeriesYear>,
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let layout = &options.incidence;
    let weights = standard_weights(&options.standard, layout)
        .map_err(|_| LayoutError::Missing { array: "standard".into() })?;
    let cells = RateCells::read(layout, &options.groups, sums)?;
    let printed = Printed::read(layout, options.groups.len(), layout.len(), sums)?;
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    card_lines(&mut estimate, options);
    left_out_cases(sums, &mut estimate);
    unknown_age_cases(sums, &mut estimate);
    let mut tables = Tables::default();
    let per = layout.per();
    for (g, group) in options.groups.iter().enumerate() {
        for (sex_name, sex) in
            cells.each_sex().iter().filter(|(_, s)| s.is_none() || options.each_sex)
        {
            let years = cells.series(*sex, Some(g), &weights);
            let hidden: Vec<bool> =
                (0..years.len()).map(|i| printed.hides(*sex, g, i, None)).collect();
            one(options, &mut estimate, &mut tables, [group, sex_name], (&years, &hidden), per);
        }
    }
    let Tables { segments, averages, selection, tests, series } = tables;
    let all = [
        Table::of(segments),
        Table::of(averages),
        Table::of(selection),
        Table::of(tests),
        Table::of(series),
    ];
    estimate.tables.extend(all.into_iter().filter(|t| !t.rows.is_empty()));
    Ok(estimate)
}

/// The series that is fitted, or why there is none.
fn series_of(options: &Options, years: &[Year]) -> Result<Series, Status> {
    let used: Vec<&Year> = years.iter().filter(|y| y.rate.time > 0.0).collect();
    if used.iter().all(|y| y.rate.events <= 0.0) {
        return Err(Status::NoEvents);
    }
    let x = used.iter().map(|y| f64::from(y.year)).collect();
    let response = if options.scale == Scale::Count {
        if used.iter().any(|y| y.expected <= 0.0) {
            return Err(Status::NotIdentified);
        }
        Response::Count {
            events: used.iter().map(|y| y.rate.events).collect(),
            expected: used.iter().map(|y| y.expected).collect(),
        }
    } else {
        let mut y = Vec::new();
        let mut weights = Vec::new();
        for year in &used {
            let standardised = year.standardised.ok_or(Status::NotIdentified)?;
            let (rate, variance) = match (standardised.rate > 0.0, options.add_half) {
                (true, _) => (standardised.rate, standardised.variance),
                // Half a case at the mean weight of an age.
                (false, true) => (0.5 * standardised.mean, 0.5 * standardised.mean_square),
                (false, false) => return Err(Status::NotIdentified),
            };
            y.push(rate.ln());
            weights.push(if options.scale == Scale::LogRate {
                rate * rate / variance
            } else {
                1.0
            });
        }
        Response::LogRate { y, weights }
    };
    Ok(Series { x, response })
}

fn one(
    options: &Options,
    estimate: &mut Estimate,
    tables: &mut Tables,
    [group, sex]: [&String; 2],
    (years, hidden): (&[Year], &[bool]),
    per: f64,
) {
    let (group, sex) = (|| group.clone(), || sex.clone());
    let level = options.confidence_level.share();
    let nothing = |status| Segment { group: group(), sex: sex(), status, ..Segment::default() };
    let series = match series_of(options, years) {
        Ok(series) => series,
        Err(status) => {
            if status == Status::NotIdentified {
                estimate.notice(Notice::new(status, "zero-years", &[]));
            }
            tables.segments.push(nothing(status));
            return;
        }
    };
    let most = options.most(series.x.len());
    let fits: Vec<Fit> = (0..=most)
        .map_while(|k| match options.search {
            Search::Grid => series.grid(k, options.places()),
            Search::Hudson => series.hudson(k, options.places()),
        })
        .collect();
    let criteria: Vec<[f64; 3]> = fits
        .iter()
        .map(|fit| {
            let weight = series.largest_partial_r2(fit);
            [2.0, 3.0, 2.0 + weight].map(|penalty| series.bic(fit, penalty))
        })
        .collect();
    let smallest = |c: usize| {
        (0..fits.len()).min_by(|&a, &b| criteria[a][c].total_cmp(&criteria[b][c])).unwrap_or(0)
    };
    let mut record: Vec<Comparison> = Vec::new();
    let chosen = match options.selection {
        _ if options.joinpoints.is_some() => most,
        Selection::Bic => smallest(0),
        Selection::Bic3 => smallest(1),
        Selection::WeightedBic => smallest(2),
        Selection::Permutation => {
            let (k, tests) = by_permutation(
                &series,
                fits.len() - 1,
                options.places(),
                options.alpha,
                options.permutations,
                options.seed,
            )
            .unwrap_or_default();
            record = tests;
            k
        }
    };
    for test in &record {
        tables.tests.push(PermutationTest {
            group: group(),
            sex: sex(),
            test: format!("{} / {}", test.few, test.many),
            p_value: Some(test.p_value),
            alpha: Some(test.alpha),
        });
    }
    for (k, (fit, criteria)) in fits.iter().zip(&criteria).enumerate() {
        let places: Vec<String> = fit.joinpoints.iter().map(|x| show_year(*x)).collect();
        let [bic, bic3, weighted_bic] = criteria.map(Some);
        tables.selection.push(Candidate {
            group: group(),
            sex: sex(),
            joinpoints: Some(k as f64),
            years: places.join(", "),
            loss: Some(fit.loss),
            bic,
            bic3,
            weighted_bic,
            chosen: if k == chosen { "yes" } else { "" }.to_owned(),
        });
    }
    let Some(fit) = fits.get(chosen) else {
        let values = [("joinpoints", chosen.to_string()), ("years", series.x.len().to_string())];
        estimate.notice(Notice::new(Status::NotIdentified, "joinpoints-without-room", &values));
        tables.segments.push(nothing(Status::NotIdentified));
        return;
    };
    let normal = options.is_normal();
    let (first, last) = (series.x[0], series.x[series.x.len() - 1]);
    let spans: Vec<[f64; 2]> = options.averages.iter().map(|s| s.map(f64::from)).collect();
    let resampled = (options.interval == Interval::EmpiricalQuantile)
        .then(|| {
            let draws = (options.draws, options.seed);
            series.resampled(fit, options.places(), &spans, draws, level)
        })
        .flatten();
    let slope_limits = |segment: usize| match &resampled {
        Some(of) => of.slopes[segment].map(|x| 100.0 * x.exp_m1()),
        None => fit.slope(segment, normal).limits(level),
    };
    for segment in 0..=chosen {
        let from = if segment == 0 { first } else { fit.joinpoints[segment - 1] };
        let to = fit.joinpoints.get(segment).copied().unwrap_or(last);
        let slope = fit.slope(segment, normal);
        let [percent_low, percent_high] = slope_limits(segment).map(Some);
        tables.segments.push(Segment {
            group: group(),
            sex: sex(),
            from_year: Some(from),
            to_year: Some(to),
            percent: Some(slope.percent()),
            percent_low,
            percent_high,
            p_value: Some(slope.p_value()),
            status: Status::Ok,
        });
    }
    for (i, span) in options.averages.iter().enumerate() {
        let average = fit.average(f64::from(span[0]), f64::from(span[1]), normal);
        let limits = match &resampled {
            Some(of) => of.averages[i].map(|x| 100.0 * x.exp_m1()),
            None => average.limits(level),
        };
        let [percent_low, percent_high] = limits.map(Some);
        tables.averages.push(Average {
            group: group(),
            sex: sex(),
            years: period_name(*span),
            percent: Some(average.percent()),
            percent_low,
            percent_high,
            p_value: Some(average.p_value()),
            status: Status::Ok,
        });
    }
    // Counts are fitted as ratios to expected cases: the ratio times the mean rate is told.
    let total =
        years.iter().fold([0.0, 0.0], |[d, y], year| [d + year.rate.events, y + year.rate.time]);
    for (i, year) in years.iter().enumerate() {
        let mut row = year_rate(year, hidden[i], per, level);
        if options.scale == Scale::Count && !hidden[i] {
            // Rates adjusted for age in the same way as what is fitted.
            let adjust = |d: f64| {
                (year.expected > 0.0).then(|| per * total[0] / total[1] * d / year.expected)
            };
            let [low, high] = garwood(year.rate.events, level).map(adjust);
            let rate = adjust(year.rate.events);
            row = YearRate { rate, conf_low: low, conf_high: high, ..row };
        }
        let at = series.x.iter().position(|x| (x - f64::from(year.year)).abs() < 0.5);
        let scale = if options.scale == Scale::Count { total[0] / total[1] } else { 1.0 };
        let error = if options.scale == Scale::Count {
            (year.expected > 0.0).then(|| per * scale * year.rate.events.sqrt() / year.expected)
        } else {
            year.standardised.map(|w| per * w.variance.sqrt())
        };
        let segment = fit.joinpoints.iter().filter(|x| **x < f64::from(year.year)).count();
        let [percent_low, percent_high] = slope_limits(segment).map(Some);
        tables.series.push(SeriesYear {
            group: group(),
            sex: sex(),
            year: row.year,
            cases: row.cases,
            person_years: row.person_years,
            rate: row.rate,
            conf_low: row.conf_low,
            conf_high: row.conf_high,
            std_error: error.filter(|_| !hidden[i]),
            modelled: at.map(|i| per * scale * fit.fitted[i].exp()),
            percent: Some(fit.slope(segment, normal).percent()),
            percent_low,
            percent_high,
            status: row.status,
        });
    }
}

/// A year, with decimals where a joinpoint lies between years.
fn show_year(x: f64) -> String {
    if (x - x.round()).abs() < 1e-9 { format!("{x:.0}") } else { format!("{x:.2}") }
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let scale = match options.scale {
        Scale::Count => "count",
        Scale::LogRate => "log-rate",
        Scale::LogRateUnweighted => "log-rate-unweighted",
    };
    estimate.line("joinpoint-scale", scale, &[]);
    let search = if options.search == Search::Grid { "grid" } else { "hudson" };
    let values = [
        ("ends", options.years_at_ends.to_string()),
        ("between", options.years_between.to_string()),
    ];
    estimate.line("joinpoint-search", search, &values);
    let selection = match options.selection {
        Selection::Bic => "bic",
        Selection::Bic3 => "bic3",
        Selection::WeightedBic => "weighted-bic",
        Selection::Permutation => "permutation",
    };
    let selection = if options.joinpoints.is_some() { "fixed" } else { selection };
    let values = [
        ("n", options.permutations.to_string()),
        ("seed", options.seed.to_string()),
        ("alpha", options.alpha.to_string()),
        ("joinpoints", options.joinpoints.unwrap_or_default().to_string()),
    ];
    estimate.line("joinpoint-selection", selection, &values);
    if options.scale == Scale::Count {
        estimate.line("zero-years", "as-data", &[]);
    } else {
        super::rate_trend::standards_line(
            estimate,
            std::slice::from_ref(&options.standard),
            &options.incidence,
        );
        let zero = if options.add_half { "half" } else { "refused" };
        estimate.line("zero-years", zero, &[]);
    }
    let level = (100.0 * options.confidence_level.share()).to_string();
    match options.interval {
        Interval::Parametric => estimate.line("interval", "given-joinpoints", &[("level", level)]),
        Interval::EmpiricalQuantile => {
            let values = [
                ("level", level),
                ("n", options.draws.to_string()),
                ("seed", options.seed.to_string()),
            ];
            estimate.line("interval", "empirical-quantile", &values);
        }
    }
}
