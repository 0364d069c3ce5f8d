//! Cohort, complete, period and hybrid survival from one survival Lexis table.
//!
//! *Estimates* observed and relative (Ederer II) survival for any choice of diagnosis years and follow-up years, without asking
//! the sites again. *A site sends*, once, deaths, person-days and expected deaths by year of diagnosis, calendar year of follow-up and
//! interval of follow-up. *Sums*: cell by cell. *The hub* adds the cells that an approach admits and forms exp(−Σ h D / Y).
//! *Differs from pooling rows*: not at all for the hazard form on these intervals. *Not done*: Pohar Perme's weights, for which
//! `net_survival` has windows. *Sources*: Brenner & Gefeller (1996) for period, Brenner & Rachet (2004) for hybrid analysis.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData, epoch_day},
    estimate::{Beginning, Estimate, Exactness, Notice, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{Background, Context, Exchanges, ModelCard, OneRound, Sums},
    rows,
    spec::{Fault, VariableKind},
    summary::{Axis, LayoutError},
};
use tributary_stats::distribution::normal_point;

use super::kaplan_meier::status_of;

/// The model.
#[derive(Debug)]
pub struct SurvivalLexis;

/// Which patients and which follow-up count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approach {
    /// Name in tables.
    name: String,
    /// First and last year of diagnosis.
    #[schemars(with = "[limits::CalendarYear; 2]")]
    diagnosed: [i32; 2],
    /// First and last calendar year of follow-up; all of it where absent (complete or cohort approach).
    #[serde(default)]
    #[schemars(with = "Option<[limits::CalendarYear; 2]>")]
    followed: Option<[i32; 2]>,
    /// For hybrid analysis: follow-up up to so many years after diagnosis …
    #[serde(default)]
    #[schemars(with = "Option<limits::Years>")]
    early_years: Option<f64>,
    /// … counts in these calendar years instead.
    #[serde(default)]
    #[schemars(with = "Option<[limits::CalendarYear; 2]>")]
    early_followed: Option<[i32; 2]>,
}

/// Options of `survival_lexis`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Day of diagnosis.
    date: String,
    /// Variables with which expected mortality is looked up; observed survival alone where absent.
    #[serde(default)]
    background: Option<Background>,
    /// First and last calendar year of the table.
    #[schemars(with = "[limits::CalendarYear; 2]")]
    years: [i32; 2],
    /// Intervals per year of follow-up.
    #[serde(default = "twelve")]
    #[schemars(range(min = 1, max = 52))]
    intervals_per_year: u32,
    /// Years of follow-up.
    #[schemars(range(min = 1, max = 50))]
    followup_years: u32,
    /// Approaches.
    approaches: Vec<Approach>,
    /// Times of the table, years; all whole years where absent.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
}

fn twelve() -> u32 {
    12
}

rows! {
    /// Patients and person-time of an approach.
    struct Followed in "groups" {
        approach: String,
        n: Number,
        n_event: Number,
        person_years: Number,
        status: Status,
    }

    /// Observed or relative survival to a time.
    pub struct Landmark in "times" {
        pub approach: String,
        pub survival: String,
        pub time_years: Number,
        pub n_event: Number,
        pub estimate: Number as Share,
        pub std_error: Number as Share,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }
}

/// Survival as it was seen.
pub const OBSERVED: &str = "observed";
/// Survival against that of the population.
pub const RELATIVE: &str = "relative";

static CARD: ModelCard = ModelCard {
    kind: "survival_lexis",
    title: "Cohort, complete, period and hybrid survival",
    estimates: "observed and relative survival for any choice of diagnosis and follow-up years",
    sends: "once: deaths, person-days and expected deaths by year of diagnosis, calendar year and interval of follow-up",
    pools: "cells are summed; the hub sums the cells of each approach and computes exp(−Σ h D / Y)",
    differs: "none for the hazard form on these intervals",
    not_done: "Pohar Perme weights (see the windows of `net_survival`)",
    exchanges: Exchanges::One,
    sources: "Brenner & Gefeller 1996; Brenner & Rachet 2004",
    example: "id = \"lexis\"\nkind = \"survival_lexis\"\ndate = \"incidence_date\"\nyears = [1980, 1999]\nfollowup_years = 5\napproaches = [{ name = \"complete\", diagnosed = [1980, 1999] }]\n",
};

impl Options {
    fn span(&self) -> usize {
        (self.years[1] - self.years[0] + 1).max(0) as usize
    }

    fn intervals(&self) -> usize {
        (self.followup_years * self.intervals_per_year) as usize
    }

    fn width(&self) -> f64 {
        self.followup.year.days() / f64::from(self.intervals_per_year)
    }

    fn first_days(&self) -> Vec<i32> {
        (self.years[0]..=self.years[1] + 1)
            .map(|y| epoch_day(&format!("{y:04}-01-01")).unwrap_or(0))
            .collect()
    }
}

impl OneRound for SurvivalLexis {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.check("/date", &options.date, &[VariableKind::Date]));
        if let Some(background) = &mut options.background {
            faults.extend(background.prepare("/background", context));
        }
        let [from, to] = options.years;
        if !(1900..=2100).contains(&from) || to < from || to > 2100 {
            faults.push(
                Fault::new("/years", "expected the first and the last calendar year")
                    .hint("years = [1990, 2020]"),
            );
            return faults;
        }
        let cells = options.span() * options.span() * options.intervals();
        if cells > 1_000_000 {
            let message = format!("the table would have {cells} cells, at most 1000000 are sent");
            faults.push(Fault::new("/years", message).hint("use fewer years or wider intervals"));
        }
        if options.approaches.is_empty() {
            faults.push(Fault::new("/approaches", "name at least one approach"));
        }
        for (i, approach) in options.approaches.iter().enumerate() {
            let windows = [
                ("diagnosed", Some(approach.diagnosed)),
                ("followed", approach.followed),
                ("early_followed", approach.early_followed),
            ];
            for (field, [a, b]) in windows.into_iter().filter_map(|(f, w)| Some((f, w?))) {
                if a > b || a < from || b > to {
                    let message =
                        format!("{a} to {b} is not a range within the years {from} to {to}");
                    faults.push(Fault::new(format!("/approaches/{i}/{field}"), message));
                }
            }
            if approach.early_years.is_some() != approach.early_followed.is_some() {
                let message = "early_years and early_followed must be given together";
                faults.push(Fault::new(format!("/approaches/{i}"), message));
            }
        }
        if options.times_years.is_empty() {
            options.times_years = (1..=options.followup_years).map(f64::from).collect();
        }
        for (i, t) in options.times_years.iter().enumerate() {
            let cells = t * f64::from(options.intervals_per_year);
            let inside = *t > 0.0 && *t <= f64::from(options.followup_years);
            if !inside || (cells - cells.round()).abs() > 1e-6 {
                let message = format!("{t} years is not the end of an interval");
                faults.push(Fault::new(format!("/times_years/{i}"), message));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.push(ColumnNeed::years(&options.date, options.years, "/years"));
        needs.extend(options.background.iter().flat_map(Background::needs));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let mut needed: Vec<&str> = vec![&options.date];
        needed.extend(options.background.iter().flat_map(Background::names));
        let survival = data.cohort.survival(&options.followup, &needed)?;
        let date = data.cohort.days(&options.date)?;
        let background = match &options.background {
            Some(background) => {
                let missing = || CohortError::NoTable { table: "life_table" };
                let table = data.tables.life_table.as_ref().ok_or_else(missing)?;
                let table = table.in_years(options.followup.year.days());
                Some((table, background.persons(data, &survival, "life_table", Background::WHOLE)?))
            }
            None => None,
        };
        let (span, intervals, width) = (options.span(), options.intervals(), options.width());
        let first_days = options.first_days();
        let year_of = |day: i32| {
            first_days.partition_point(|f| *f <= day).checked_sub(1).filter(|y| *y < span)
        };
        let size = span * span * intervals;
        let (mut deaths, mut days, mut expected) =
            (vec![0.0; size], vec![0.0; size], vec![0.0; size]);
        let mut diagnosed = vec![0.0; span];
        for i in 0..survival.rows.len() {
            let start = date[survival.rows[i]].unwrap_or(0);
            let Some(diagnosis) = year_of(start) else { continue };
            diagnosed[diagnosis] += 1.0;
            let exit = survival.exit[i];
            let entry = survival.entry.as_ref().map_or(0, |entry| entry[i]);
            let stretches = background
                .as_ref()
                .map(|(table, persons)| table.stretches(persons[i], exit))
                .unwrap_or_default();
            let mut at_stretch = 0;
            if exit == 0 && survival.event[i] {
                // A death on the day of diagnosis: half a day lived.
                let at = (diagnosis * span + diagnosis) * intervals;
                days[at] += 0.5;
                deaths[at] += 1.0;
            }
            // Day d is the time from d to d + 1 days after diagnosis.
            for day in entry..exit {
                let interval = (f64::from(day) / width) as usize;
                let Some(calendar) = year_of(start + day) else { continue };
                if interval >= intervals {
                    break;
                }
                let at = (diagnosis * span + calendar) * intervals + interval;
                days[at] += 1.0;
                while at_stretch + 1 < stretches.len() && stretches[at_stretch].to <= day {
                    at_stretch += 1;
                }
                expected[at] += stretches.get(at_stretch).map_or(0.0, |s| s.hazard);
                // A death lies in the interval of its time, which is the end of its day.
                let last = (f64::from(exit) / width) as usize;
                if day + 1 == exit && survival.event[i] && last < intervals {
                    deaths[(diagnosis * span + calendar) * intervals + last] += 1.0;
                }
            }
        }
        let axes = || {
            let years = |name: &str| {
                Axis::new(name, (options.years[0]..=options.years[1]).map(|y| y.to_string()))
            };
            vec![years("diagnosis"), years("calendar"), Axis::numbered("interval", intervals)]
        };
        let years = vec![Axis::new(
            "diagnosis",
            (options.years[0]..=options.years[1]).map(|y| y.to_string()),
        )];
        let sums = Sums::of(&survival)
            .counts("diagnosed", years, diagnosed)
            .counts("deaths", axes(), deaths)
            .person_time("days", axes(), days);
        Ok(if background.is_some() { sums.sums("expected", axes(), expected) } else { sums })
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
    let mut estimate = Estimate::new(Exactness::Grouped, sites);
    card_lines(&mut estimate, options);
    sums.left_out_notices(&mut estimate);
    let (deaths, days) = (sums.get("deaths")?, sums.get("days")?);
    let none = vec![0.0; deaths.len()];
    let expected = if sums.has("expected") { sums.get("expected")? } else { &none };
    let diagnosed = sums.get("diagnosed")?;
    let (mut groups, mut times) = (Vec::new(), Vec::new());
    let (span, intervals, width) = (options.span(), options.intervals(), options.width());
    for approach in &options.approaches {
        let offset = |year: i32| (year - options.years[0]) as usize;
        let within =
            |window: [i32; 2], year: usize| (offset(window[0])..=offset(window[1])).contains(&year);
        let (mut d, mut y, mut e) =
            (vec![0.0; intervals], vec![0.0; intervals], vec![0.0; intervals]);
        for dx in (0..span).filter(|dx| within(approach.diagnosed, *dx)) {
            for calendar in 0..span {
                for interval in 0..intervals {
                    let years = (interval as f64 + 1.0) / f64::from(options.intervals_per_year);
                    let early = approach.early_years.is_some_and(|limit| years <= limit + 1e-9);
                    let window = if early { approach.early_followed } else { approach.followed };
                    if window.is_none_or(|w| within(w, calendar)) {
                        let at = (dx * span + calendar) * intervals + interval;
                        d[interval] += deaths[at];
                        y[interval] += days[at];
                        e[interval] += expected[at];
                    }
                }
            }
        }
        let n: f64 =
            (0..span).filter(|dx| within(approach.diagnosed, *dx)).map(|dx| diagnosed[dx]).sum();
        let total: f64 = d.iter().sum();
        groups.push(Followed {
            approach: approach.name.clone(),
            n: Some(n),
            n_event: Some(total),
            person_years: Some(y.iter().sum::<f64>() / options.followup.year.days()),
            status: status_of(n, total),
        });
        let kinds: &[&str] = if sums.has("expected") { &[OBSERVED, RELATIVE] } else { &[OBSERVED] };
        for kind in kinds {
            for &t in &options.times_years {
                let last = (t * f64::from(options.intervals_per_year)).round() as usize;
                let ([estimate, std_error, conf_low, conf_high], status) =
                    point(options, &d[..last], &y[..last], &e[..last], *kind == RELATIVE, width);
                times.push(Landmark {
                    approach: approach.name.clone(),
                    survival: (*kind).to_owned(),
                    time_years: Some(t),
                    n_event: Some(d[..last].iter().sum()),
                    estimate,
                    std_error,
                    conf_low,
                    conf_high,
                    status,
                });
            }
        }
    }
    if times.iter().any(|t| t.status == Status::NoRiskSet) {
        estimate.notices.push(Notice::new(Status::NoRiskSet, "interval-empty", &[]));
    }
    estimate.tables.extend([
        Table::of(groups),
        Table::of(times).drawn(&["approach", "survival"], false, Some(Beginning::One)),
    ]);
    Ok(estimate)
}

/// exp(−Σ h (D − E) / Y) over intervals; nothing where one of them had nobody under observation.
fn point(
    options: &Options,
    d: &[f64],
    y: &[f64],
    e: &[f64],
    relative: bool,
    h: f64,
) -> ([Number; 4], Status) {
    if y.iter().any(|y| *y <= 0.0) {
        return ([None; 4], Status::NoRiskSet);
    }
    let (mut log, mut variance) = (0.0, 0.0);
    for i in 0..d.len() {
        let excess = if relative { d[i] - e[i] } else { d[i] };
        log -= h * excess / y[i];
        variance += h * h * d[i] / (y[i] * y[i]);
    }
    let (s, sigma, z) =
        (log.exp(), variance.sqrt(), normal_point(options.confidence_level.share()));
    let (low, high) = if s < 1.0 && sigma > 0.0 {
        let half = (z * sigma / log.abs()).exp();
        (s.powf(half), s.powf(1.0 / half))
    } else {
        (s * (-z * sigma).exp(), s * (z * sigma).exp())
    };
    let status = if sigma > 0.0 { Status::Ok } else { Status::OneSided };
    ([s, s * sigma, low, high].map(Some), status)
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "lexis", &[]);
    let n = options.intervals_per_year.to_string();
    estimate.line("grid", "intervals", &[("n", n), ("years", options.followup_years.to_string())]);
    estimate.line("form", "hazard", &[]);
    if options.background.is_some() {
        estimate.line("life-table", "own", &[]);
    }
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "pointwise", &[("level", level), ("scale", "log-log".to_owned())]);
    estimate.line("year", options.followup.year.name(), &[]);
}
