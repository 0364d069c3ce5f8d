//! Multi-state survival: the probability to be in each state over time.
//!
//! *Estimates* transition probabilities from each starting state and the numbers of transitions. Rows are *sojourns*: one for each
//! stay of a patient in a state; where no state is named, each patient's stay in the first one. *A site sends*, by day and state, entries, ends and transitions. *Sums*: cell by cell. *The
//! hub* forms the Aalen–Johansen product, clock forward. *Differs from pooling rows*: not at all. *Not done*: clock reset;
//! regression of transitions, which `cox` does with `event_is`. *Sources*: Aalen & Johansen (1978); Andersen et al. (1993).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Beginning, Estimate, Exactness, Notice, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{Context, EventCounts, Exchanges, ModelCard, OneRound, Sums},
    rows,
    spec::{Fault, VariableKind, suggestion},
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    distribution::normal_point,
    event_table::{Rows, TimeGrid, event_table},
    multi_state::{Occupation, Transitions, aalen_johansen},
};

use super::competing_risks::{AtRisk, at_risk, cause_of, followup_of_causes, placed};

/// The model.
#[derive(Debug)]
pub struct MultiState;

/// Options of `multi_state`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Start and end of each sojourn, the analysis's own follow-up if absent; its `event` is the state that comes next.
    followup: Followup,
    /// Variable with the state of the sojourn; where absent every row is the stay in the first state.
    #[serde(default)]
    pub state: Option<String>,
    /// Whole number that sojourns of one patient share; each sojourn is a patient of its own where absent.
    #[serde(default)]
    person: Option<String>,
    /// States in the order of the tables; a state that no sojourn has is one that is not left.
    states: Vec<String>,
    /// States from which probabilities are wanted, at time 0; the first state where absent.
    #[serde(default)]
    from: Vec<String>,
    /// Times of the table, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Last day of the grid; from the dictionary's range of the time where absent.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    horizon_days: Option<u32>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
}

rows! {
    /// How often one state followed another.
    struct Transition in "transitions" {
        from: String,
        to: String,
        n_event: Number,
        n_sojourns: Number,
        status: Status,
    }

    /// Probability of a state at a time that was asked for.
    struct Landmark in "times" {
        from: String,
        state: String,
        time_years: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Probability of a state after a transition.
    struct CurveRow in "curve" {
        from: String,
        state: String,
        time: Number,
        n_risk: Number,
        estimate: Number as Share,
        std_error: Number as Share,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "multi_state",
    title: "Multi-state model",
    estimates: "state occupation probabilities over time, and numbers of transitions",
    sends: "by day and state: entries, ends and transitions of sojourns",
    pools: "cells are summed; the hub computes the Aalen–Johansen product with Greenwood's covariance, clock forward",
    differs: "none on the daily grid",
    not_done: "clock reset",
    exchanges: Exchanges::One,
    sources: "Aalen & Johansen 1978; Andersen, Borgan, Gill & Keiding 1993",
    example: "id = \"states\"\nkind = \"multi_state\"\nstates = [\"0\", \"1\"]\ntimes_years = [1, 5]\n",
};

impl Options {
    fn from(&self) -> Vec<String> {
        if self.from.is_empty() { self.states[..1].to_vec() } else { self.from.clone() }
    }
}

impl OneRound for MultiState {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        if options.states.len() < 2 {
            return vec![Fault::new("/states", "name at least two states")];
        }
        // States that nobody enters need not be levels of the next state; the others must be.
        let states = placed("states", &options.states);
        let mut faults = followup_of_causes(&mut options.followup, &states, context);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        let state = options.state.as_ref();
        faults.extend(state.and_then(|name| context.check_levels("/state", name)));
        let person = options.person.as_ref();
        let integer = [VariableKind::Integer];
        faults.extend(person.and_then(|name| context.check("/person", name, &integer)));
        for (i, name) in options.from.iter().enumerate() {
            if !options.states.contains(name) {
                let message = format!("`{name}` is not one of the states");
                let fault = Fault::new(format!("/from/{i}"), message);
                faults.push(fault.hint(suggestion(name, &options.states)));
            }
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(ColumnNeed::each(
            &options.followup.event,
            &options.followup.event_is,
            "/states",
        ));
        needs.extend(options.state.iter().map(ColumnNeed::levels));
        needs.extend(options.person.iter().map(ColumnNeed::number));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let followup = &options.followup;
        let needed = options.state.iter().chain(&options.person).map(String::as_str);
        let survival = data.cohort.stretches(followup, &needed.collect::<Vec<_>>())?;
        let (_, persons) = data.cohort.persons(options.person.as_deref(), &survival.rows)?;
        let next = cause_of(data, followup, &options.states, &survival)?;
        let k = options.states.len();
        // Sojourns in states outside the list are put beside: group k.
        let group: Vec<u32> = match &options.state {
            None => vec![0; survival.rows.len()],
            Some(state) => {
                let (codes, levels) = data.cohort.levels(state)?;
                let position: Vec<Option<usize>> =
                    levels.iter().map(|l| options.states.iter().position(|s| s == l)).collect();
                let of = |&row: &usize| codes[row].and_then(|c| position[c as usize]).unwrap_or(k);
                survival.rows.iter().map(|row| of(row) as u32).collect()
            }
        };
        let rows = Rows {
            entry: survival.entry.as_deref(),
            exit: &survival.exit,
            event: &survival.event,
            group: &group,
        };
        let table = event_table(rows, k + 1, &TimeGrid::daily(options.horizon_days.unwrap_or(0)));
        let cells = table.cells;
        let mut transitions = vec![0.0; k * k * cells];
        for i in 0..survival.rows.len() {
            let (from, day) = (group[i] as usize, survival.exit[i] as usize);
            // A sojourn that ends in its own state is one whose observation ends.
            let moves = from < k && day < cells && next[i] != Some(from);
            if let (Some(to), true) = (next[i], moves) {
                transitions[(from * k + to) * cells + day] += 1.0;
            }
        }
        let axis = |name: &str| Axis::new(name, options.states.iter().cloned());
        let axes = vec![axis("from"), axis("to"), Axis::numbered("cell", cells)];
        let groups = options.states.iter().cloned().chain(["another state".to_owned()]).collect();
        Ok(Sums::of_persons(&survival, persons)
            .event_counts(&EventCounts { groups, table })
            .counts("transitions", axes, transitions))
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
    let cells = counts.table.cells;
    let k = options.states.len();
    let moved = sums.get("transitions")?;
    let n_risk: Vec<Vec<f64>> = (0..k).map(|h| counts.group(h).n_risk).collect();
    let times: Vec<Transitions> = (0..cells)
        .filter_map(|day| {
            let counts: Vec<f64> = (0..k * k).map(|c| moved[c * cells + day]).collect();
            (counts.iter().sum::<f64>() > 0.0).then(|| Transitions {
                time: (day as f64).max(0.5),
                at_risk: n_risk.iter().map(|n| n[day]).collect(),
                counts,
            })
        })
        .collect();
    let mut transitions = Vec::new();
    for (h, from) in options.states.iter().enumerate() {
        for (j, to) in options.states.iter().enumerate() {
            let n: f64 = times.iter().map(|t| t.counts[h * k + j]).sum();
            if n > 0.0 {
                transitions.push(Transition {
                    from: from.clone(),
                    to: to.clone(),
                    n_event: Some(n),
                    n_sojourns: Some(counts.persons(h)),
                    status: Status::Ok,
                });
            }
        }
    }
    if times.is_empty() {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    let outside = counts.persons(k);
    if outside > 0.0 {
        let values = [("n", outside.to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "sojourns-outside", &values));
    }
    let (mut landmarks, mut curve) = (Vec::new(), Vec::new());
    let followed =
        (0..k).map(|h| counts.followed_to(h, &TimeGrid::daily(cells as u32))).fold(0.0, f64::max);
    for from in options.from() {
        let start: Vec<f64> =
            options.states.iter().map(|s| f64::from(u8::from(*s == from))).collect();
        let occupation = aalen_johansen(&start, &times);
        // Where everybody has come to a state that nobody leaves, nothing changes any more.
        let settled = occupation.last().is_some_and(|o| {
            let leaves = |j: &usize| n_risk[*j].iter().any(|n| *n > 0.0);
            (0..k).filter(leaves).all(|j| o.probability[j] <= 1e-12)
        });
        let known_to = if settled { f64::INFINITY } else { followed };
        for (o, t) in occupation.iter().zip(&times) {
            for (j, state) in options.states.iter().enumerate() {
                curve.push(CurveRow {
                    from: from.clone(),
                    state: state.clone(),
                    time: Some(o.time),
                    n_risk: Some(t.at_risk[j]),
                    estimate: Some(o.probability[j]),
                    std_error: Some(o.variance[j].sqrt()),
                });
            }
        }
        for &years in &options.times_years {
            for (j, state) in options.states.iter().enumerate() {
                let found = landmark(options, &occupation, &start, j, years, known_to);
                let ([estimate, std_error, conf_low, conf_high], status) = found;
                landmarks.push(Landmark {
                    from: from.clone(),
                    state: state.clone(),
                    time_years: Some(years),
                    estimate,
                    std_error,
                    conf_low,
                    conf_high,
                    status,
                });
            }
        }
    }
    let of_state = |(state, n_risk): (&String, &Vec<f64>)| {
        at_risk(n_risk).map(|row| AtRisk { state: state.clone(), ..row }).collect::<Vec<_>>()
    };
    let at_risk = options.states.iter().zip(&n_risk).flat_map(of_state);
    estimate.tables.extend([
        Table::of(transitions),
        Table::of(landmarks),
        Table::of(at_risk).without(&["group"]).shown(Shown::Figure),
        Table::of(curve).shown(Shown::Figure).drawn(
            &["from", "state"],
            true,
            Some(Beginning::State),
        ),
    ]);
    Ok(estimate)
}

/// Probability of a state with limits symmetric in log(−log p).
fn landmark(
    options: &Options,
    occupation: &[Occupation],
    start: &[f64],
    state: usize,
    years: f64,
    known_to: f64,
) -> ([Number; 4], Status) {
    let days = years * options.followup.year.days();
    if days > known_to {
        return ([None; 4], Status::BeyondFollowup);
    }
    let last = occupation.iter().rev().find(|o| o.time <= days);
    let (p, se) =
        last.map_or((start[state], 0.0), |o| (o.probability[state], o.variance[state].sqrt()));
    if p <= 0.0 || p >= 1.0 || se <= 0.0 {
        return ([Some(p), Some(se), None, None], Status::Boundary);
    }
    let half = normal_point(options.confidence_level.share()) * se / (p * p.ln().abs());
    let (low, high) = (p.powf(half.exp()), p.powf((-half).exp()));
    ([p, se, low, high].map(Some), Status::Ok)
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "aalen-johansen", &[]);
    estimate.line("clock", "forward", &[]);
    let horizon = options.horizon_days.unwrap_or(0).to_string();
    estimate.line("grid", "daily", &[("width", "1".to_owned()), ("horizon", horizon)]);
    estimate.line("variance", "greenwood", &[]);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "pointwise", &[("level", level), ("scale", "log-log".to_owned())]);
    estimate.line("year", options.followup.year.name(), &[]);
}
