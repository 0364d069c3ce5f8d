//! Constant hazard by group: the exponential model without covariates.
//!
//! *Estimates* the rate per person-year of each group, with exact Poisson limits. *A site sends*, once, events and person-time by group.
//! *Sums*: cell by cell. *The hub* divides. *Differs from pooling rows*: not at all. *Not done*: covariates, for which there is
//! `poisson`. *Source*: Garwood (1936).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits::ConfidenceLevel,
    model::{Context, Exchanges, ModelCard, OneRound, Sums},
    rows,
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::distribution::garwood;

/// The model.
#[derive(Debug)]
pub struct ExponentialRate;

/// Options of `exponential_rate`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Variable whose levels are the groups; everybody together where absent.
    #[serde(default)]
    by: Option<String>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Names of the groups, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

rows! {
    /// Rate of one group.
    pub struct ConstantRate in "constant_rates" {
        pub group: String,
        pub n_event: Number,
        pub person_years: Number,
        pub estimate: Number as Rate,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "exponential_rate",
    title: "Rate by group",
    estimates: "the rate of the event per person-year in each group, taken as constant over follow-up",
    sends: "once: events and person-time by group",
    pools: "cells are summed; the hub divides events by person-time",
    differs: "none: the sums are sufficient",
    not_done: "covariates, for which there is `poisson`",
    exchanges: Exchanges::One,
    sources: "Garwood 1936",
    example: "id = \"rate\"\nkind = \"exponential_rate\"\nby = \"x_hist_central\"\n",
};

impl OneRound for ExponentialRate {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        faults.extend(context.groups(options.by.as_deref(), &mut options.groups));
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let by = options.by.iter().map(ColumnNeed::levels);
        options.followup.needs().into_iter().chain(by).collect()
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let by: Vec<&str> = options.by.as_deref().into_iter().collect();
        let survival = data.cohort.survival(&options.followup, &by)?;
        let levels = options.by.as_ref().map(|name| data.cohort.levels(name)).transpose()?;
        let mut events = vec![0.0; options.groups.len()];
        let mut days = vec![0.0; options.groups.len()];
        for (i, &row) in survival.rows.iter().enumerate() {
            let group = levels.as_ref().map_or(0, |(codes, _)| codes[row].unwrap_or(0) as usize);
            let entry = survival.entry.as_ref().map_or(0, |entry| entry[i]);
            events[group] += f64::from(u8::from(survival.event[i]));
            // A follow-up of 0 days is half a day.
            days[group] += f64::from(survival.exit[i]).max(0.5) - f64::from(entry);
        }
        let group = || vec![Axis::new("group", options.groups.iter().cloned())];
        Ok(Sums::of(&survival).counts("events", group(), events).person_time("days", group(), days))
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Sums,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        let mut estimate = Estimate::new(Exactness::Exact, sites);
        let level = (100.0 * options.confidence_level.share()).to_string();
        estimate.line("interval", "exact-poisson", &[("level", level)]);
        pooled.left_out_notices(&mut estimate);
        let mut rows = Vec::new();
        let (events, days) = (pooled.get("events")?, pooled.get("days")?);
        for (g, group) in options.groups.iter().enumerate() {
            let years = days[g] / options.followup.year.days();
            let limits = garwood(events[g], options.confidence_level.share());
            let [conf_low, conf_high] = limits.map(|x| Some(x / years));
            let status = match (years > 0.0, events[g] > 0.0) {
                (false, _) => Status::NoRiskSet,
                (true, false) => Status::NoEvents,
                (true, true) => Status::Ok,
            };
            rows.push(ConstantRate {
                group: group.clone(),
                n_event: Some(events[g]),
                person_years: Some(years),
                estimate: Some(events[g] / years),
                conf_low,
                conf_high,
                status,
            });
        }
        if events.iter().all(|n| *n <= 0.0) {
            estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
        }
        estimate.tables.push(Table::of(rows));
        Ok(estimate)
    }
}
