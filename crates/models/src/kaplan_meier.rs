//! Kaplan–Meier survival with Greenwood's variance, by group.
//!
//! *Estimates* S(t), its quantiles and restricted mean. *A site sends* its event table: entries, events and censored in each
//! cell of the grid. *Sums*: cell by cell. *The hub* forms the product limit. *Differs from pooling rows*: not at all on the
//! daily grid; on a coarse one it is the actuarial estimate (n − c/2), and times are ends of cells. *Not done*: weights.
//! *Sources*: Kaplan & Meier (1958); Greenwood (1926); Kalbfleisch & Prentice (1980); Brookmeyer & Crowley (1982); Fay &
//! Brittain (2016) for the beta product interval where risk sets are small.

mod curve;
mod options;
mod tables;

pub use self::{
    curve::{CurveRow, Landmark, MINUS, MeanTime, Quantile},
    options::Options,
    tables::{Bracket, Conditional, LifeInterval},
};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Shown, Status, Table},
    model::{Context, EventCounts, Exchanges, ModelCard, OneRound, Statistic},
    rows,
    spec::Fault,
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support},
};
use tributary_stats::event_table::{Rows, event_table};

use self::{
    curve::{Curve, restricted_mean_table},
    options::Interval,
    tables::Tables,
};

/// The model.
#[derive(Debug)]
pub struct KaplanMeier;

static CARD: ModelCard = ModelCard {
    kind: "kaplan_meier",
    title: "Kaplan–Meier survival",
    estimates: "survival, quantiles of survival time, restricted mean survival time and time lost, conditional survival, life table and cumulative hazard, by group",
    sends: "its event table: late entries, events and censorings in each cell of the time grid, by group",
    pools: "cells are summed; the hub computes the product limit and Greenwood's variance",
    differs: "none on the daily grid; on a coarse grid it is the actuarial estimate (n − c/2)",
    not_done: "case weights",
    exchanges: Exchanges::One,
    sources: "Kaplan & Meier 1958; Greenwood 1926; Kalbfleisch & Prentice 1980; Brookmeyer & Crowley 1982; Fay & Brittain 2016",
    example: "id = \"curves\"\nkind = \"kaplan_meier\"\nby = \"x_hist_central\"\ntimes_years = [1, 2, 5]\nrestricted_mean_years = 5\nconditional_years = [1]\nlife_table = \"usual\"\ncumulative_hazard = true\n",
};

rows! {
    /// How many of a group were followed, and how long.
    pub struct Followed in "groups" {
        pub group: String,
        pub n: Number,
        pub n_event: Number,
        pub followed_to_days: Number,
        pub status: Status,
    }
}

impl Followed {
    pub(super) fn new(group: &str, persons: f64, events: f64, followed_to: f64) -> Self {
        Self {
            group: group.into(),
            n: Some(persons),
            n_event: Some(events),
            followed_to_days: Some(followed_to),
            status: status_of(persons, events),
        }
    }
}

/// Whether there was anybody, and anything happened to them.
pub(super) fn status_of(persons: f64, events: f64) -> Status {
    match (persons, events) {
        (n, _) if n <= 0.0 => Status::NoRiskSet,
        (_, d) if d <= 0.0 => Status::NoEvents,
        _ => Status::Ok,
    }
}

#[derive(Debug)]
pub struct Counts {
    counts: EventCounts,
    /// Rows without the values needed, and rows never at risk.
    left_out: [f64; 2],
}

impl Statistic for Counts {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let persons =
            (0..self.counts.groups.len()).map(|g| self.counts.persons(g)).sum::<f64>() as u64;
        let axes = vec![Axis::new("reason", ["missing", "never at risk"])];
        let left_out =
            Array::new("left_out", axes, Kind::Count, Rule::Add, self.left_out.to_vec())?;
        let draft = self.counts.add_to(Draft::new(persons), persons)?;
        Ok(draft.with(left_out.shown(), Support::OwnCounts))
    }

    fn from_summary((): &(), summary: &Summary) -> Result<Self, LayoutError> {
        let left_out = summary.array("left_out")?.cells();
        let shown = |i: usize| left_out.get(i).copied().flatten().unwrap_or(f64::NAN);
        Ok(Self { counts: EventCounts::from_summary(summary)?, left_out: [shown(0), shown(1)] })
    }
}

impl OneRound for KaplanMeier {
    type Options = Options;
    type Statistic = Counts;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        faults.extend(context.groups(options.by.as_deref(), &mut options.groups));
        for (i, p) in
            options.quantiles.iter().enumerate().filter(|(_, p)| !(**p > 0.0 && **p < 1.0))
        {
            faults.push(Fault::new(
                format!("/quantiles/{i}"),
                format!("quantile {p} is not between 0 and 1"),
            ));
        }
        for (i, given) in options.conditional_years.iter().enumerate() {
            if !options.times_years.iter().any(|t| t > given) || *given <= 0.0 {
                let message = format!("none of times_years is later than {given} years");
                faults.push(Fault::new(format!("/conditional_years/{i}"), message));
            }
        }
        let horizon = f64::from(options.horizon_days.unwrap_or(0));
        let times =
            options.times_years.iter().enumerate().map(|(i, t)| (format!("/times_years/{i}"), t));
        let tau =
            options.restricted_mean_years.iter().map(|t| ("/restricted_mean_years".to_owned(), t));
        for (at, t) in times.chain(tau) {
            if *t <= 0.0 || t * options.followup.year.days() > horizon {
                let message =
                    format!("{t} years is not between 0 and the horizon of {horizon} days");
                faults.push(Fault::new(at, message));
                continue;
            }
            let cells = t * options.followup.year.days() / options.grid_days;
            if options.grid_days > 1.0 && (cells - cells.round()).abs() > 1e-6 {
                let width = options.grid_days;
                let message = format!("{t} years is not the end of a cell of {width} days");
                faults.push(Fault::new(at, message).hint("report times at which a cell ends"));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(options.by.iter().map(ColumnNeed::levels));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Counts, CohortError> {
        let by: Vec<&str> = options.by.iter().map(String::as_str).collect();
        let survival = data.cohort.survival(&options.followup, &by)?;
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
        let groups = options.groups.clone();
        let table = event_table(rows, groups.len(), &options.grid());
        let left_out = [survival.missing as f64, survival.never_at_risk as f64];
        Ok(Counts { counts: EventCounts { groups, table }, left_out })
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Counts,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        let grid = options.grid();
        let exactness = if grid.is_daily() { Exactness::Exact } else { Exactness::Grouped };
        let mut estimate = Estimate::new(exactness, sites);
        card_lines(&mut estimate, options);
        let [missing, never] = pooled.left_out;
        if missing > 0.0 {
            estimate.notices.push(Notice::new(
                Status::Ok,
                "rows-missing",
                &[("n", missing.to_string())],
            ));
        }
        if never > 0.0 {
            estimate.notices.push(Notice::new(
                Status::Ok,
                "rows-never-at-risk",
                &[("n", never.to_string())],
            ));
        }

        let (mut groups, mut curve) = (Vec::new(), Vec::new());
        let (mut times, mut quantiles) = (Vec::new(), Vec::new());
        let mut further = Tables::default();
        let mut means = Vec::new();
        let mut emptied = Vec::new();
        for (g, group) in pooled.counts.groups.iter().enumerate() {
            let fitted = Curve::new(&pooled.counts, g, &grid, options);
            // With late entries all may have died before others enter: the product is 0 for ever after.
            let zero_at = fitted.steps.iter().position(|s| s.survival <= 0.0);
            if zero_at.is_some_and(|i| i + 1 < fitted.steps.len()) {
                emptied.push(group.clone());
            }
            let events: f64 = fitted.steps.iter().map(|s| s.n_event).sum();
            groups.push(Followed::new(group, fitted.persons, events, fitted.followed_to));
            curve.extend(fitted.rows(group, options));
            further.add(options, group, &fitted, &pooled.counts, g);
            for &years in &options.times_years {
                times.push(fitted.landmark(group, years, options));
            }
            for &p in &options.quantiles {
                quantiles.push(fitted.quantile(group, p, options));
            }
            if let Some(tau) = options.restricted_mean_years {
                let days = tau * options.followup.year.days();
                let mean = fitted.mean(days, options.confidence_level.share());
                if mean.is_none() && fitted.persons > 0.0 {
                    let largest = fitted.followed_to / options.followup.year.days();
                    let values = [("group", group.clone()), ("years", format!("{largest:.2}"))];
                    estimate.notices.push(Notice::new(
                        Status::BeyondFollowup,
                        "tau-beyond",
                        &values,
                    ));
                }
                means.push((group, mean));
            }
        }
        if !emptied.is_empty() {
            let values = [("groups", emptied.join(", "))];
            estimate.notice(Notice::new(Status::NoRiskSet, "risk-set-emptied", &values));
        }
        if groups.iter().all(|g| g.status == Status::NoEvents) {
            estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
        }
        estimate.tables.extend([Table::of(groups), Table::of(times), Table::of(quantiles)]);
        if let Some(tau) = options.restricted_mean_years {
            estimate.tables.push(restricted_mean_table(tau, &means, options));
        }
        estimate.tables.extend(further.into_filled());
        estimate.tables.push(Table::of(curve).shown(Shown::Figure));
        Ok(estimate)
    }
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let grid = options.grid();
    let (estimator, cells) =
        if grid.is_daily() { ("product-limit", "daily") } else { ("actuarial", "coarse") };
    estimate.line("estimator", estimator, &[]);
    let horizon = options.horizon_days.unwrap_or(0).to_string();
    estimate.line("grid", cells, &[("width", options.grid_days.to_string()), ("horizon", horizon)]);
    estimate.line("zero", options.followup.zero.name(), &[]);
    estimate.line("variance", "greenwood", &[]);
    let scale = match options.interval {
        Interval::LogLog => "log-log",
        Interval::Log => "log",
        Interval::Plain => "plain",
        Interval::Logit => "logit",
        Interval::Arcsine => "arcsine",
    };
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "pointwise", &[("level", level), ("scale", scale.to_owned())]);
    estimate.line("year", options.followup.year.name(), &[]);
}
