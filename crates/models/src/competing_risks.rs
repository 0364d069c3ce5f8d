//! Cumulative incidence of competing events, by group, and Gray's test.
//!
//! *Estimates* the probability to have had each kind of event by time t. *A site sends* its event table with events by cause.
//! *Sums*: cell by cell. *The hub* forms the Aalen–Johansen estimate. *Differs from pooling rows*: not at all on the daily grid.
//! *Not done*: 1 − Kaplan–Meier for a cause, which is no probability where causes compete. *Sources*: Aalen & Johansen (1978);
//! Aalen (1978); Marubini & Valsecchi (1995); Gray (1988).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData, Survival, ZeroRule},
    estimate::{Beginning, Estimate, Exactness, Notice, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{Context, EventCounts, Exchanges, ModelCard, OneRound, Sums},
    rows,
    spec::{Fault, suggestion},
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    beta_product::BetaProduct,
    competing::{CauseCounts, CauseVariance, Incidence, gray},
    distribution::normal_point,
    event_table::{Rows, TimeGrid, event_table},
    log_rank::Test as Found,
    matrix::{invert, quadratic_form},
};

use super::{
    kaplan_meier::status_of,
    log_rank::{Test, tested},
};

/// The model.
#[derive(Debug)]
pub struct CompetingRisks;

/// Scale of the pointwise interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Interval {
    /// log(−log(1 − F)).
    #[default]
    LogLog,
    /// log F, the default of R's `survfit`.
    Log,
    /// F.
    Plain,
}

/// Variance of the cumulative incidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Variance {
    /// Aalen's, as in `cmprsk`.
    #[default]
    Aalen,
    /// Delta method.
    Delta,
    /// Infinitesimal jackknife, as in `survival`.
    InfinitesimalJackknife,
}

/// Options of `competing_risks`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent; its `event` says how follow-up ended.
    followup: Followup,
    /// Levels of the event that compete; all other levels count as censored.
    causes: Vec<String>,
    /// Variable whose levels have curves of their own and are compared.
    #[serde(default)]
    by: Option<String>,
    /// Compare within sites only.
    #[serde(default)]
    stratify_by_site: bool,
    /// Weight (1 − F)^rho of Gray's test.
    #[serde(default)]
    #[schemars(range(min = -10, max = 10))]
    rho: f64,
    /// Times of the table, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Variance.
    #[serde(default)]
    variance: Variance,
    /// Scale on which the pointwise interval is symmetric.
    #[serde(default)]
    interval: Interval,
    /// Last day of the grid; from the dictionary's range of the time where absent.
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

rows! {
    /// How many of a group were followed and had the event, and how long.
    struct Followed in "groups" {
        group: String,
        cause: String,
        n: Number,
        n_event: Number,
        followed_to_days: Number,
        status: Status,
    }

    /// Cumulative incidence at a time that was asked for.
    struct Landmark in "times" {
        group: String,
        cause: String,
        time_years: Number,
        n_risk: Number,
        n_event: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Cumulative incidence after an event.
    struct CurveRow in "curve" {
        group: String,
        cause: String,
        time: Number,
        n_risk: Number,
        n_event: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Gray's test of a cause.
    struct GrayTest in "test" {
        cause: String,
        statistic: Number,
        df: Number,
        p_value: Number,
        status: Status,
    }

    /// How many of a group, or in a state, are at risk from a day on which their number changes.
    pub struct AtRisk in "at_risk" {
        pub group: String,
        pub state: String,
        pub time: Number,
        pub n_risk: Number,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "competing_risks",
    title: "Cumulative incidence",
    estimates: "the probability of each of several competing events by time, by group; Gray's test between groups",
    sends: "its event table with events by cause: late entries, events and censorings by day and group",
    pools: "cells are summed; the hub computes the Aalen–Johansen estimate and Gray's test",
    differs: "none on the daily grid; stratified by site, the test adds scores within sites",
    not_done: "1 − Kaplan–Meier for one cause, which is not a probability in the presence of competing causes",
    exchanges: Exchanges::One,
    sources: "Aalen & Johansen 1978; Aalen 1978; Marubini & Valsecchi 1995; Gray 1988",
    example: "id = \"incidence\"\nkind = \"competing_risks\"\ncauses = [\"1\"]\nby = \"x_hist_central\"\ntimes_years = [1, 5]\n",
};

impl Options {
    fn grid(&self) -> TimeGrid {
        TimeGrid::daily(self.horizon_days.unwrap_or(0))
    }

    fn variance(&self) -> CauseVariance {
        match self.variance {
            Variance::Aalen => CauseVariance::Aalen,
            Variance::Delta => CauseVariance::Delta,
            Variance::InfinitesimalJackknife => CauseVariance::Jackknife,
        }
    }
}

/// Makes the follow-up of a model of competing causes ready: its own, or the analysis's.
pub(super) fn followup_of_causes(
    followup: &mut Followup,
    names: &[(String, String)],
    context: &Context<'_>,
) -> Vec<Fault> {
    if !context.gives("followup") && context.dictionary.get(&followup.event).is_some() {
        let faults = causes(followup, names, context);
        if !faults.is_empty() {
            return faults;
        }
    }
    let mut faults = context.followup(followup);
    if faults.is_empty() {
        faults.extend(causes(followup, names, context));
    }
    faults
}

/// Competing causes with their places among the options.
pub(super) fn placed(field: &str, names: &[String]) -> Vec<(String, String)> {
    names.iter().enumerate().map(|(i, name)| (format!("/{field}/{i}"), name.clone())).collect()
}

/// Names of competing causes, checked against the levels of the event; the follow-up is made to count them all.
fn causes(
    followup: &mut Followup,
    causes: &[(String, String)],
    context: &Context<'_>,
) -> Vec<Fault> {
    let levels = context.levels(&followup.event);
    let mut faults = Vec::new();
    if causes.is_empty() {
        faults.push(Fault::new("/causes", "name at least one level of the event"));
    }
    for (at, cause) in causes {
        if !levels.contains(cause) {
            let message = format!("`{cause}` is not a level of `{}`", followup.event);
            faults.push(Fault::new(at, message).hint(suggestion(cause, &levels)));
        }
    }
    followup.event_is = causes.iter().map(|(_, cause)| cause.clone()).collect();
    faults
}

/// Position among `causes` of what ended the follow-up of each row; `None` if it was censored (also by a window).
pub(super) fn cause_of(
    data: &SiteData,
    followup: &Followup,
    causes: &[String],
    survival: &Survival,
) -> Result<Vec<Option<usize>>, CohortError> {
    let (codes, levels) = data.cohort.levels(&followup.event)?;
    let position: Vec<Option<usize>> =
        levels.iter().map(|level| causes.iter().position(|c| c == level)).collect();
    let of = |(&row, &event): (&usize, &bool)| {
        event.then(|| codes[row].and_then(|c| position[c as usize])).flatten()
    };
    Ok(survival.rows.iter().zip(&survival.event).map(of).collect())
}

/// The number at risk from each day on which it changes, for the figure's rows of numbers.
pub(super) fn at_risk(n_risk: &[f64]) -> impl Iterator<Item = AtRisk> {
    let changes = |&(day, n): &(usize, &f64)| day == 0 || (n - n_risk[day - 1]).abs() > 0.0;
    n_risk.iter().enumerate().filter(changes).map(|(day, n)| AtRisk {
        time: Some(day as f64),
        n_risk: Some(*n),
        ..AtRisk::default()
    })
}

fn counts_of(
    counts: &EventCounts,
    by_cause: &[f64],
    causes: usize,
    g: usize,
    half_day: bool,
) -> CauseCounts {
    let group = counts.group(g);
    let (cells, groups) = (counts.table.cells, counts.groups.len());
    let events = (0..causes)
        .map(|k| by_cause[(k * groups + g) * cells..(k * groups + g + 1) * cells].to_vec())
        .collect();
    let time = |j: usize| if j == 0 && half_day { 0.5 } else { j as f64 };
    CauseCounts {
        time: (0..cells).map(time).collect(),
        n_risk: group.n_risk,
        events,
        censored: group.censored,
    }
}

impl OneRound for CompetingRisks {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let causes = placed("causes", &options.causes);
        let mut faults = followup_of_causes(&mut options.followup, &causes, context);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        faults.extend(context.groups(options.by.as_deref(), &mut options.groups));
        let late = options.followup.late().is_some();
        if late && options.variance == Variance::InfinitesimalJackknife {
            let message =
                "the infinitesimal jackknife requires follow-up from time 0 for all patients";
            faults.push(Fault::new("/variance", message).hint("variance = \"aalen\""));
        }
        let horizon = f64::from(options.horizon_days.unwrap_or(0));
        for (i, t) in options.times_years.iter().enumerate() {
            if *t <= 0.0 || t * options.followup.year.days() > horizon {
                let message = format!("{t} years is not between 0 and {horizon} days");
                let hint = "report earlier times, or increase horizon_days";
                faults.push(Fault::new(format!("/times_years/{i}"), message).hint(hint));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(ColumnNeed::each(&options.followup.event, &options.causes, "/causes"));
        needs.extend(options.by.iter().map(ColumnNeed::levels));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let followup = &options.followup;
        let by: Vec<&str> = options.by.iter().map(String::as_str).collect();
        let survival = data.cohort.survival(followup, &by)?;
        let cause = cause_of(data, followup, &options.causes, &survival)?;
        let group: Vec<u32> = match by.first() {
            Some(by) => {
                let (codes, _) = data.cohort.levels(by)?;
                survival.rows.iter().map(|&row| codes[row].unwrap_or(0)).collect()
            }
            None => vec![0; survival.rows.len()],
        };
        let rows = Rows {
            entry: survival.entry.as_deref(),
            exit: &survival.exit,
            event: &survival.event,
            group: &group,
        };
        let groups = options.groups.len();
        let table = event_table(rows, groups, &options.grid());
        let cells = table.cells;
        let mut by_cause = vec![0.0; options.causes.len() * groups * cells];
        for i in 0..survival.rows.len() {
            let day = survival.exit[i] as usize;
            if let (Some(k), true) = (cause[i], day < cells) {
                by_cause[(k * groups + group[i] as usize) * cells + day] += 1.0;
            }
        }
        let axes = vec![
            Axis::new("cause", options.causes.iter().cloned()),
            Axis::new("group", options.groups.iter().cloned()),
            Axis::numbered("cell", cells),
        ];
        let counts = EventCounts { groups: options.groups.clone(), table };
        let mut sums = Sums::of(&survival).event_counts(&counts).counts(
            "cause_events",
            axes,
            by_cause.clone(),
        );
        if options.stratify_by_site && groups > 1 {
            let half_day = followup.zero == ZeroRule::HalfDay;
            let of = |g| counts_of(&counts, &by_cause, options.causes.len(), g, half_day);
            let parts: Vec<CauseCounts> = (0..groups).map(of).collect();
            let (mut score, mut covariance) = (Vec::new(), Vec::new());
            for k in 0..options.causes.len() {
                let found = gray(&parts, k, options.rho);
                score.extend(found.score);
                covariance.extend(found.covariance);
            }
            let axis = |name: &str| Axis::new(name, options.groups.iter().cloned());
            let cause = || Axis::new("cause", options.causes.iter().cloned());
            sums = sums.sums("gray_score", vec![cause(), axis("group")], score).sums(
                "gray_covariance",
                vec![cause(), axis("group"), axis("other")],
                covariance,
            );
        }
        Ok(sums)
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
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    card_lines(&mut estimate, options);
    sums.left_out_notices(&mut estimate);
    let counts = sums.read_event_counts()?;
    let by_cause = sums.get("cause_events")?;
    let zero = options.followup.zero;
    let causes = options.causes.len();
    let of = |g| counts_of(&counts, by_cause, causes, g, zero == ZeroRule::HalfDay);
    let parts: Vec<CauseCounts> = (0..options.groups.len()).map(of).collect();
    let (mut groups, mut times, mut curve) = (Vec::new(), Vec::new(), Vec::new());
    for (g, group) in options.groups.iter().enumerate() {
        let persons = counts.persons(g);
        let followed = counts.followed_to(g, &options.grid());
        for (k, cause) in options.causes.iter().enumerate() {
            let events: f64 = parts[g].events[k].iter().sum();
            groups.push(Followed {
                group: group.clone(),
                cause: cause.clone(),
                n: Some(persons),
                n_event: Some(events),
                followed_to_days: Some(followed),
                status: status_of(persons, events),
            });
            let steps = parts[g].incidence(k, options.variance());
            curve.extend(steps.iter().map(|s| {
                let ([estimate, std_error, conf_low, conf_high], status) = interval(options, s);
                CurveRow {
                    group: group.clone(),
                    cause: cause.clone(),
                    time: Some(s.time),
                    n_risk: Some(s.n_risk),
                    n_event: Some(s.n_event),
                    estimate,
                    std_error,
                    conf_low,
                    conf_high,
                    status,
                }
            }));
            times.extend(options.times_years.iter().map(|&years| Landmark {
                group: group.clone(),
                cause: cause.clone(),
                ..landmark(options, &parts[g], &steps, years, followed)
            }));
        }
    }
    if groups.iter().all(|g| g.status == Status::NoEvents) {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    estimate.tables.extend([Table::of(groups), Table::of(times)]);
    if options.groups.len() > 1 {
        estimate.tables.push(test(options, sums, &parts)?);
    }
    let of_group = |(group, part): (&String, &CauseCounts)| {
        at_risk(&part.n_risk).map(|row| AtRisk { group: group.clone(), ..row }).collect::<Vec<_>>()
    };
    let at_risk = options.groups.iter().zip(&parts).flat_map(of_group);
    estimate.tables.extend([
        Table::of(at_risk).without(&["state"]).shown(Shown::Figure),
        Table::of(curve).shown(Shown::Figure).drawn(
            &["group", "cause"],
            true,
            Some(Beginning::Zero),
        ),
    ]);
    Ok(estimate)
}

/// Estimate, standard error, limits and status.
fn interval(options: &Options, step: &Incidence) -> ([Number; 4], Status) {
    let (f, se, z) =
        (step.estimate, step.variance.sqrt(), normal_point(options.confidence_level.share()));
    if f <= 0.0 || se <= 0.0 || f >= 1.0 {
        let status = if f >= 1.0 { Status::Boundary } else { Status::OneSided };
        return ([Some(f), Some(se), None, None], status);
    }
    let (low, high) = match options.interval {
        Interval::LogLog => {
            let log = (1.0 - f).ln();
            let half = z * se / ((1.0 - f) * log.abs());
            (1.0 - (1.0 - f).powf((-half).exp()), 1.0 - (1.0 - f).powf(half.exp()))
        }
        Interval::Log => (f * (-z * se / f).exp(), f * (z * se / f).exp()),
        Interval::Plain => (f - z * se, f + z * se),
    };
    ([Some(f), Some(se), Some(low.max(0.0)), Some(high.min(1.0))], Status::Ok)
}

fn landmark(
    options: &Options,
    counts: &CauseCounts,
    steps: &[Incidence],
    years: f64,
    followed: f64,
) -> Landmark {
    let days = years * options.followup.year.days();
    let j = (days.floor() as usize).min(counts.n_risk.len().saturating_sub(1));
    let n_risk = if followed > 0.0 { counts.n_risk[j] } else { 0.0 };
    let mut within = steps.iter().filter(|s| s.time <= days);
    let events: f64 = within.clone().map(|s| s.n_event).sum();
    // After everybody has had an event of some kind, the incidence of each is known for ever.
    let emptied = counts.is_emptied();
    let ([estimate, std_error, conf_low, conf_high], status) = match within.next_back() {
        _ if days > followed && !emptied => ([None; 4], Status::BeyondFollowup),
        Some(step) if step.estimate > 0.0 => interval(options, step),
        // Nobody has had the event: an upper limit from the beta product of all at risk so far.
        _ => {
            let high =
                1.0 - BetaProduct::default().interval(n_risk, options.confidence_level.share()).0;
            ([Some(0.0), Some(0.0), Some(0.0), Some(high)], Status::OneSided)
        }
    };
    Landmark {
        time_years: Some(years),
        n_risk: Some(n_risk),
        n_event: Some(events),
        estimate,
        std_error,
        conf_low,
        conf_high,
        status,
        ..Landmark::default()
    }
}

/// Gray's test of each cause.
fn test(options: &Options, sums: &Sums, parts: &[CauseCounts]) -> Result<Table, LayoutError> {
    let mut rows = Vec::new();
    let groups = options.groups.len();
    for (k, cause) in options.causes.iter().enumerate() {
        let (score, covariance) = if options.stratify_by_site {
            let (score, covariance) = (sums.get("gray_score")?, sums.get("gray_covariance")?);
            let width = groups * groups;
            (
                score[k * groups..(k + 1) * groups].to_vec(),
                covariance[k * width..(k + 1) * width].to_vec(),
            )
        } else {
            let found = gray(parts, k, options.rho);
            (found.score, found.covariance)
        };
        let m = groups - 1;
        let v = nalgebra::DMatrix::from_fn(m, m, |g, h| covariance[g * groups + h]);
        let u = nalgebra::DVector::from_column_slice(&score[..m]);
        let inverse = invert(&v);
        let events: f64 = parts.iter().flat_map(|p| &p.events[k]).sum();
        let status = match (events, inverse.rank) {
            (d, _) if d <= 0.0 => Status::NoEvents,
            (_, 0) => Status::NoRiskSet,
            _ => Status::Ok,
        };
        let found = Found { statistic: quadratic_form(&u, &inverse), df: inverse.rank };
        let Test { statistic, df, p_value, status } = tested(found, status);
        rows.push(GrayTest { cause: cause.clone(), statistic, df, p_value, status });
    }
    Ok(Table::of(rows))
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "aalen-johansen", &[]);
    let horizon = options.horizon_days.unwrap_or(0).to_string();
    estimate.line("grid", "daily", &[("width", "1".to_owned()), ("horizon", horizon)]);
    estimate.line("zero", options.followup.zero.name(), &[]);
    let variance = match options.variance {
        Variance::Aalen => "aalen",
        Variance::Delta => "delta",
        Variance::InfinitesimalJackknife => "infinitesimal-jackknife",
    };
    estimate.line("variance", variance, &[]);
    let scale = match options.interval {
        Interval::LogLog => "log-log",
        Interval::Log => "log",
        Interval::Plain => "plain",
    };
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "pointwise", &[("level", level), ("scale", scale.to_owned())]);
    if options.groups.len() > 1 {
        estimate.line("test", "gray", &[("rho", options.rho.to_string())]);
        let strata = if options.stratify_by_site { "by-variables" } else { "none" };
        estimate.line("strata", strata, &[("strata", "site".to_owned())]);
    }
    estimate.line("year", options.followup.year.name(), &[]);
}
