//! The same question in one stage, from the counts, and in two, from the studies' own estimates; and why the answers differ.

use tributary_core::{
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    rows,
};
use tributary_stats::{effect_size::StudyData, random_effects_glmm::Model};

use super::{
    Dataset, Effect, Kind, Method, Options,
    pooled::{Pooled, normal_row, tau2_of},
    rare::glmm_row,
};
use crate::TestRule;

rows! {
    /// The pooled effect in one stage or in two.
    struct Stages in "stages" {
        stages: String,
        method: String,
        k: Number,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
        tau2: Number,
        difference: Number,
        status: Status,
    }
}

/// Difference, in standard errors of the one-stage estimate, from which on the reader is told why.
const TELLING: f64 = 0.1;
/// Beyond so many events the exact model takes long, and the normal approximation of a study is good.
const MOST_EVENTS: f64 = 20_000.0;
/// Fewer events than these in an arm make a normal approximation of a study doubtful.
const SPARSE: f64 = 5.0;

/// Whether the data are counts of two studies or more, of which the measure has a model with a level of its own for each study.
pub(super) fn apply(data: &Dataset, options: &Options, effects: &[Effect]) -> bool {
    data.kind != Kind::Generic
        && effects.len() >= 2
        && Method::Conditional.fits(data.kind, options.measure)
}

/// Adds the table where it applies.
pub(super) fn add(data: &Dataset, options: &Options, effects: &[Effect], estimate: &mut Estimate) {
    let (method, model) = (Method::Conditional, Model::Conditional);
    if !apply(data, options, effects) {
        return;
    }
    if effects.iter().map(|e| events(&e.data)).sum::<f64>() > MOST_EVENTS {
        let values = [("most", MOST_EVENTS.to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "stages-too-many-events", &values));
        return;
    }
    // What the fit says of itself is told where it was asked for; here only its numbers count.
    let mut aside = Estimate::new(Exactness::TwoStage, 0);
    let one = glmm_row(method, model, options, effects, &mut aside);
    let (y, v): (Vec<f64>, Vec<f64>) = effects.iter().filter_map(|e| e.effect).unzip();
    let found = tau2_of(Method::Reml, options, &y, &v);
    let two = normal_row(Method::Reml, TestRule::Z, found, (&y, &v), options, &mut aside);
    let difference = match (one.estimate, one.std_error, two.estimate) {
        (Some(a), Some(se), Some(b)) if se > 0.0 => Some((b - a) / se),
        _ => None,
    };
    let row = |stages: &str, row: Pooled, difference: Option<f64>| Stages {
        stages: stages.to_owned(),
        method: row.method,
        k: row.k,
        estimate: row.estimate,
        std_error: row.std_error,
        conf_low: row.conf_low,
        conf_high: row.conf_high,
        tau2: row.tau2,
        difference,
        status: row.status,
    };
    estimate.tables.push(Table::of([row("one", one, None), row("two", two, difference)]));
    if let Some(difference) = difference.filter(|d| d.abs() > TELLING) {
        let lost = effects.iter().filter(|e| e.effect.is_none()).count();
        let sparse = effects.iter().filter(|e| fewest(&e.data) < SPARSE).count();
        let key = match (lost, sparse) {
            (1.., _) => "stages-differ-lost",
            (0, 1..) => "stages-differ-sparse",
            (0, 0) => "stages-differ-weights",
        };
        let values = [
            ("difference", format!("{:.2}", difference.abs())),
            ("lost", lost.to_string()),
            ("sparse", sparse.to_string()),
            ("k", effects.len().to_string()),
        ];
        estimate.notices.push(Notice::new(Status::Ok, key, &values));
    }
}

/// Events of a study of two arms, over which its hypergeometric distribution runs; the other kinds are quick.
fn events(data: &StudyData) -> f64 {
    match *data {
        StudyData::Counts { events1, events2, .. } => events1 + events2,
        StudyData::Rates { .. } | StudyData::Events { .. } | StudyData::Estimate { .. } => 0.0,
    }
}

/// Events, or others, in the arm that has fewest.
fn fewest(data: &StudyData) -> f64 {
    match *data {
        StudyData::Counts { events1, n1, events2, n2 } => {
            events1.min(events2).min(n1 - events1).min(n2 - events2)
        }
        StudyData::Rates { events1, events2, .. } => events1.min(events2),
        StudyData::Events { events, n } => events.min(n - events),
        StudyData::Estimate { .. } => f64::INFINITY,
    }
}
