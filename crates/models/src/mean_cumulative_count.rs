//! Mean cumulative count of recurrent events, such as late effects or second cancers, where death ends them.
//!
//! *Estimates* how many events a patient has had on average by time t. Rows are stretches of observation. *A site sends* events,
//! terminal events, entries and ends by day; then sums of squared influences at the reporting times. *Sums*: cell by cell, in two
//! rounds. *The hub* forms ∫ S(u−) dN / Y. *Differs from pooling rows*: not at all. *Not done*: regression. *Sources*: Nelson (1988);
//! Ghosh & Lin (2000); Dong et al. (2015).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Beginning, Estimate, Exactness, Notice, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{Context, EventCounts, Exchanges, FitError, Model, ModelCard, Round, Step, Sums},
    rows,
    spec::{Fault, VariableKind},
    summary::Axis,
};
use tributary_stats::{
    distribution::normal_point,
    event_table::{Rows, TimeGrid, event_table},
    recurrent::{Counts, MeanCount, Stretch, mean_count, variance},
};

use super::competing_risks::{AtRisk, at_risk, cause_of, followup_of_causes, placed};

/// The model.
#[derive(Debug)]
pub struct MeanCumulativeCount;

/// Options of `mean_cumulative_count`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Start and end of each stretch, the analysis's own follow-up if absent; its `event` says how the stretch ended.
    followup: Followup,
    /// Levels of the event that count.
    recurrent: Vec<String>,
    /// Levels of the event after which nothing can come.
    #[serde(default)]
    terminal: Vec<String>,
    /// Whole number that stretches of one patient share; each stretch is a patient of its own where absent.
    #[serde(default)]
    person: Option<String>,
    /// Times of the table, years.
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Last day of the grid; from the dictionary's range of the time where absent.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    horizon_days: Option<u32>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
}

/// What the hub asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Params {
    /// Counts by day.
    Counts,
    /// Squared influences at the reporting times, for this pooled curve.
    Influence {
        /// Times with events.
        time: Vec<f64>,
        /// At risk.
        n_risk: Vec<f64>,
        /// Mean cumulative count.
        count: Vec<f64>,
        /// Survival just before.
        before: Vec<f64>,
        /// Increments of the recurrent events' hazard.
        rate: Vec<f64>,
        /// Increments of the terminal event's hazard.
        terminal: Vec<f64>,
    },
}

rows! {
    /// How many were followed, and had events.
    struct Followed in "groups" {
        n: Number,
        n_event: Number,
        n_terminal: Number,
        status: Status,
    }

    /// Mean cumulative count at a time that was asked for.
    struct Landmark in "times" {
        time_years: Number,
        n_risk: Number,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Mean cumulative count after an event.
    struct CurveRow in "curve" {
        time: Number,
        n_risk: Number,
        estimate: Number,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "mean_cumulative_count",
    title: "Mean cumulative count",
    estimates: "the mean cumulative number of events per patient over time, with death as a terminal event",
    sends: "events, terminal events, entries and ends by day; then sums of squared influences at the reporting times",
    pools: "cells are summed; the hub computes ∫ S(u−) dN / Y, and in a second round its variance",
    differs: "none on the daily grid",
    not_done: "regression",
    exchanges: Exchanges::Several { usual: "2", instead: "`competing_risks` of the first event" },
    sources: "Nelson 1988; Ghosh & Lin 2000; Dong et al. 2015",
    example: "id = \"count\"\nkind = \"mean_cumulative_count\"\nrecurrent = [\"1\"]\ntimes_years = [1, 5]\n",
};

impl Options {
    fn causes(&self) -> Vec<String> {
        self.recurrent.iter().chain(&self.terminal).cloned().collect()
    }

    fn days(&self) -> Vec<f64> {
        self.times_years.iter().map(|t| t * self.followup.year.days()).collect()
    }
}

impl Model for MeanCumulativeCount {
    type Options = Options;
    type Params = Params;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut causes = placed("recurrent", &options.recurrent);
        causes.extend(placed("terminal", &options.terminal));
        let mut faults = followup_of_causes(&mut options.followup, &causes, context);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        let person = options.person.as_ref();
        faults.extend(person.and_then(|n| context.check("/person", n, &[VariableKind::Integer])));
        let horizon = f64::from(options.horizon_days.unwrap_or(0));
        for (i, days) in options.days().iter().enumerate() {
            if *days <= 0.0 || *days > horizon {
                let message = format!("{days} days is not between 0 and {horizon}");
                let hint = "report earlier times, or increase horizon_days";
                faults.push(Fault::new(format!("/times_years/{i}"), message).hint(hint));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        let event = &options.followup.event;
        needs.push(ColumnNeed::chosen(event, &options.recurrent, "/recurrent"));
        needs.push(ColumnNeed::chosen(event, &options.terminal, "/terminal"));
        needs.extend(options.person.iter().map(ColumnNeed::number));
        needs
    }

    fn begin(&self, _: &Options) -> Result<Params, FitError> {
        Ok(Params::Counts)
    }

    fn summarise(
        &self,
        options: &Options,
        params: &Params,
        data: &SiteData,
    ) -> Result<Sums, CohortError> {
        let followup = &options.followup;
        let needed: Vec<&str> = options.person.iter().map(String::as_str).collect();
        let survival = data.cohort.stretches(followup, &needed)?;
        let cause = cause_of(data, followup, &options.causes(), &survival)?;
        let recurs = |c: Option<usize>| c.is_some_and(|c| c < options.recurrent.len());
        let ends = |c: Option<usize>| c.is_some_and(|c| c >= options.recurrent.len());
        let n = survival.rows.len();
        let (person, persons) = data.cohort.persons(options.person.as_deref(), &survival.rows)?;
        let answer = Sums::of_persons(&survival, persons);
        match params {
            Params::Counts => {
                let group = vec![0; n];
                let rows = Rows {
                    entry: survival.entry.as_deref(),
                    exit: &survival.exit,
                    event: &survival.event,
                    group: &group,
                };
                let grid = TimeGrid::daily(options.horizon_days.unwrap_or(0));
                let table = event_table(rows, 1, &grid);
                let mut terminal = vec![0.0; table.cells];
                for (i, _) in cause.iter().enumerate().filter(|(_, c)| ends(**c)) {
                    if let Some(cell) = terminal.get_mut(survival.exit[i] as usize) {
                        *cell += 1.0;
                    }
                }
                let axes = vec![Axis::numbered("cell", table.cells)];
                let counts = EventCounts { groups: vec!["all".into()], table };
                Ok(answer.event_counts(&counts).counts("terminal", axes, terminal))
            }
            Params::Influence { time, n_risk, count, before, rate, terminal } => {
                let lengths = [n_risk, count, before, rate, terminal].map(Vec::len);
                if lengths.iter().any(|l| *l != time.len()) {
                    let reason = "the parts of the curve have different lengths".into();
                    return Err(CohortError::Question { reason });
                }
                let curve = MeanCount {
                    time: time.clone(),
                    n_risk: n_risk.clone(),
                    count: count.clone(),
                    before: before.clone(),
                    rate: rate.clone(),
                    terminal: terminal.clone(),
                };
                let stretch = |i: usize| Stretch {
                    person: person[i],
                    entry: survival.entry.as_ref().map_or(0.0, |e| f64::from(e[i])),
                    exit: f64::from(survival.exit[i]).max(0.5),
                    event: recurs(cause[i]),
                    terminal: ends(cause[i]),
                };
                let stretches: Vec<Stretch> = (0..n).map(stretch).collect();
                let found = variance(&curve, &stretches, persons, &options.days());
                let axes = vec![Axis::numbered("time", options.times_years.len())];
                Ok(answer.sums("squared_influence", axes, found))
            }
        }
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Params, Sums>],
    ) -> Result<Step<Params>, FitError> {
        let first = rounds.first().ok_or(FitError::NoRounds)?;
        let counts = first.pooled.read_event_counts()?;
        let group = counts.group(0);
        let terminal = first.pooled.get("terminal")?.to_vec();
        let events = group.events.iter().zip(&terminal).map(|(all, t)| all - t).collect();
        let time = (0..group.n_risk.len()).map(|j| (j as f64).max(0.5)).collect();
        let table = Counts { time, n_risk: group.n_risk.clone(), events, terminal };
        let curve = mean_count(&table);
        let last = rounds.last().ok_or(FitError::NoRounds)?;
        if matches!(last.params, Params::Counts) && !curve.time.is_empty() {
            let MeanCount { time, n_risk, count, before, rate, terminal } = curve;
            let params = Params::Influence { time, n_risk, count, before, rate, terminal };
            return Ok(Step::Ask(params));
        }
        let mut estimate = Estimate::new(Exactness::Exact, first.sites);
        card_lines(&mut estimate, options);
        first.pooled.left_out_notices(&mut estimate);
        let total: f64 = table.events.iter().sum();
        let status = if total > 0.0 { Status::Ok } else { Status::NoEvents };
        if total <= 0.0 {
            estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
        }
        let groups = Followed {
            n: Some(first.pooled.one("persons")?),
            n_event: Some(total),
            n_terminal: Some(table.terminal.iter().sum()),
            status,
        };
        let followed = counts.followed_to(0, &TimeGrid::daily(options.horizon_days.unwrap_or(0)));
        let variance = match last.params {
            Params::Influence { .. } => last.pooled.get("squared_influence")?.to_vec(),
            Params::Counts => vec![0.0; options.times_years.len()],
        };
        let mut times = Vec::new();
        let z = normal_point(options.confidence_level.share());
        for (i, days) in options.days().into_iter().enumerate() {
            let at = curve.time.partition_point(|t| *t <= days);
            let n_risk = group.n_risk.get(days.floor() as usize).copied().unwrap_or(0.0);
            let ([estimate, std_error, conf_low, conf_high], status) =
                if days > followed && !curve.is_exhausted() {
                    ([None; 4], Status::BeyondFollowup)
                } else if at == 0 || curve.count[at - 1] <= 0.0 {
                    ([Some(0.0), Some(0.0), None, None], Status::NoEvents)
                } else {
                    let (m, se) = (curve.count[at - 1], variance[i].max(0.0).sqrt());
                    let half = (z * se / m).exp();
                    ([m, se, m / half, m * half].map(Some), Status::Ok)
                };
            times.push(Landmark {
                time_years: Some(options.times_years[i]),
                n_risk: Some(n_risk),
                estimate,
                std_error,
                conf_low,
                conf_high,
                status,
            });
        }
        let steps = (0..curve.time.len()).map(|j| CurveRow {
            time: Some(curve.time[j]),
            n_risk: Some(curve.n_risk[j]),
            estimate: Some(curve.count[j]),
        });
        let at_risk = at_risk(&group.n_risk).map(|row| AtRisk { group: "all".into(), ..row });
        estimate.tables.extend([
            Table::of([groups]),
            Table::of(times),
            Table::of(at_risk).without(&["state"]).shown(Shown::Figure),
            Table::of(steps).shown(Shown::Figure).drawn(&[], true, Some(Beginning::Zero)),
        ]);
        Ok(Step::Done(Box::new(estimate)))
    }
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "mean-count", &[]);
    let horizon = options.horizon_days.unwrap_or(0).to_string();
    estimate.line("grid", "daily", &[("width", "1".to_owned()), ("horizon", horizon)]);
    estimate.line("variance", "infinitesimal-jackknife", &[]);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "pointwise", &[("level", level), ("scale", "log".to_owned())]);
    estimate.line("year", options.followup.year.name(), &[]);
}
