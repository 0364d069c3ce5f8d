//! Participation: what each site received, left out and analysed, as a flow.
//!
//! *Estimates*: nothing; it says who is in the study. *A site sends* the parts into which its records fall: left out at
//! each step, analysed with and without the event. *Sums*: the sites stand side by side. *The hub* adds the parts to the
//! totals of the flow. *Differs from pooling rows*: not at all. *Not done*: overlap between sites. *Source*: STROBE item 13.
//!
//! The parts exclude each other, so that a hidden part can be protected by hiding another one; totals are formed at the hub.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Number, Status, Table},
    model::{Context, Exchanges, ModelCard, OneRound, Statistic},
    rows,
    spec::{Fault, VariableKind},
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support, Visibility},
};

/// The model.
#[derive(Debug)]
pub struct Participation;

/// Stands for all sites together.
pub const ALL_SITES: &str = "all";
/// Step of the flow: records of the national file.
pub const RECEIVED: &str = "received";
/// Step of the flow: records that the mapping could not read.
pub const NOT_MAPPED: &str = "not mapped";
/// Step of the flow: records that are in the analysis.
pub const ANALYSED: &str = "analysed";
/// Step of the flow: persons with the event.
pub const EVENTS: &str = "events";
/// Step of the flow: cases that the records stand for.
pub const CASES: &str = "cases";

rows! {
    /// A step of the flow. Those between [`NOT_MAPPED`] and [`ANALYSED`] bear the names of conditions of the population.
    pub struct FlowStep in "flow" {
        pub site: String,
        pub step: String,
        pub n: Number,
        pub status: Status,
    }
}

/// The number of one step at one site.
pub fn number_of(flow: &[FlowStep], site: &str, step: &str) -> Option<f64> {
    flow.iter().find(|line| line.site == site && line.step == step)?.n
}

/// Options of `participation`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up whose events are counted, if it is not the analysis's own.
    #[serde(default)]
    followup: Option<Followup>,
    /// Number of cases that a record stands for, the analysis's own if absent; 1 each where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<String>,
}

#[derive(Debug)]
pub struct Parts {
    sites: Vec<String>,
    labels: Vec<String>,
    /// By site and part; `None` where hidden.
    counts: Vec<Option<f64>>,
    /// Cases by site that the analysed records stand for, where a record may stand for several.
    cases: Option<Vec<Option<f64>>>,
}

const ANALYSED_WITH_EVENT: &str = "analysed, event";
const ANALYSED_WITHOUT_EVENT: &str = "analysed, no event";
const ANALYSED_WITHOUT_FOLLOWUP: &str = "analysed, no follow-up";

static CARD: ModelCard = ModelCard {
    kind: "participation",
    title: "Participation",
    estimates: "nothing; it reports how many records each site received, excluded and analysed",
    sends: "numbers of records excluded at each step, and analysed with and without the event",
    pools: "sites are shown side by side; totals are computed at the hub",
    differs: "none",
    not_done: "persons registered at two sites are not detected",
    exchanges: Exchanges::One,
    sources: "STROBE statement, item 13 (von Elm et al. 2007)",
    example: "id = \"participation\"\nkind = \"participation\"\n",
};

impl Statistic for Parts {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let cells: Vec<f64> = self.counts.iter().map(|c| c.unwrap_or(0.0)).collect();
        let persons = cells.iter().sum::<f64>() as u64;
        let axes = vec![Axis::new("part", self.labels)];
        let array = Array::new("records", axes, Kind::Count, Rule::Stack, cells)?;
        let draft = Draft::new(persons).with(array.shown(), Support::OwnCounts);
        let Some(cases) = self.cases else { return Ok(draft) };
        let cells = cases.iter().map(|c| c.unwrap_or(0.0)).collect();
        let array = Array::new("cases", Vec::new(), Kind::Count, Rule::Stack, cells)?;
        Ok(draft.with(array.shown(), Support::OwnCounts))
    }

    fn from_summary((): &(), summary: &Summary) -> Result<Self, LayoutError> {
        let array = summary.array("records")?;
        Ok(Self {
            sites: array.levels("site"),
            labels: array.levels("part"),
            counts: array.cells().to_vec(),
            cases: summary.array("cases").ok().map(|array| array.cells().to_vec()),
        })
    }
}

impl OneRound for Participation {
    type Options = Options;
    type Statistic = Parts;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let integer = [VariableKind::Integer];
        let mut faults: Vec<Fault> =
            options.count.iter().filter_map(|n| context.check("/count", n, &integer)).collect();
        let count = context.incidence.and_then(|cells| cells.count.clone());
        options.count = options.count.take().or(count);
        faults.extend(options.followup.iter_mut().flat_map(|own| context.followup(own)));
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let followup = options.followup.iter().flat_map(Followup::needs);
        followup.chain(options.count.iter().map(ColumnNeed::cases)).collect()
    }

    fn visibility(&self, _: &Options) -> Visibility {
        Visibility::EachSite
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Parts, CohortError> {
        let mut parts: Vec<(String, u64)> = data.flow.excluded.clone();
        if let Some(followup) = &options.followup {
            let survival = data.cohort.stretches(followup, &[])?;
            let events = survival.events();
            parts.push((ANALYSED_WITH_EVENT.into(), events));
            parts.push((ANALYSED_WITHOUT_EVENT.into(), survival.rows.len() as u64 - events));
            parts.push((
                ANALYSED_WITHOUT_FOLLOWUP.into(),
                survival.missing + survival.never_at_risk,
            ));
        } else {
            parts.push((ANALYSED_WITHOUT_FOLLOWUP.into(), data.cohort.rows() as u64));
        }
        let counts = parts.iter().map(|(_, n)| Some(*n as f64)).collect();
        let cases = options.count.as_deref().map(|name| data.cohort.case_counts(Some(name)));
        let cases = cases.transpose()?.map(|cases| vec![Some(cases.iter().sum())]);
        Ok(Parts {
            cases,
            sites: Vec::new(),
            labels: parts.into_iter().map(|(name, _)| name).collect(),
            counts,
        })
    }

    fn estimate(&self, _: &Options, pooled: &Parts, sites: usize) -> Result<Estimate, LayoutError> {
        let mut estimate = Estimate::new(Exactness::Exact, sites);
        estimate.line("estimator", "counts-of-records", &[]);
        let Parts { sites, labels: parts, counts, cases } = pooled;
        let mut flow = Vec::new();
        let line = |site: &str, step: &str, n: Option<f64>| {
            let status = if n.is_some() { Status::Ok } else { Status::Suppressed };
            FlowStep { site: site.to_owned(), step: step.to_owned(), n, status }
        };
        let total = |cells: &[Option<f64>]| cells.iter().copied().sum::<Option<f64>>();
        let mut pooled: Vec<(String, Option<f64>)> = Vec::new();
        for (s, site) in sites.iter().enumerate() {
            let cells = &counts[s * parts.len()..(s + 1) * parts.len()];
            let is_analysed = |i: &usize| parts[*i].starts_with("analysed");
            let chosen = |keep: &dyn Fn(&usize) -> bool| {
                (0..parts.len()).filter(|i| keep(i)).map(|i| cells[i]).collect::<Vec<_>>()
            };
            let mut steps = vec![(RECEIVED.to_owned(), total(cells))];
            steps.extend(
                (0..parts.len()).filter(|i| !is_analysed(i)).map(|i| (parts[i].clone(), cells[i])),
            );
            steps.push((ANALYSED.to_owned(), total(&chosen(&is_analysed))));
            let events = parts.iter().position(|p| p == ANALYSED_WITH_EVENT);
            steps.extend(events.map(|i| (EVENTS.to_owned(), cells[i])));
            steps.extend(cases.iter().map(|cases| (CASES.to_owned(), cases[s])));
            for (i, (step, n)) in steps.into_iter().enumerate() {
                flow.push(line(site, &step, n));
                match pooled.get_mut(i) {
                    Some((_, sum)) => *sum = sum.zip(n).map(|(a, b)| a + b),
                    None => pooled.push((step, n)),
                }
            }
        }
        flow.extend(pooled.into_iter().map(|(step, n)| line(ALL_SITES, &step, n)));
        estimate.tables.push(Table::of(flow));
        Ok(estimate)
    }
}
