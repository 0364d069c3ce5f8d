//! Runs: opened by people, followed by people, ended by their models or by people.

use std::{collections::BTreeMap, convert::Infallible};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tributary_core::{
    protocol::ProblemKind,
    run::{Event, Outcome, RunState},
    seal::sha256,
    spec::Study,
    summary::SiteId,
};
use tributary_models::plan::Plan;
use tributary_report::{Report, results::Results};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{List, Page, Problem, access::Person, plain, problem, store};
use crate::{
    serve::Failure,
    state::Hub,
    store::{NewRun, Role, RunRecord, RunRow},
};

pub(super) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(runs, open_run))
        .routes(routes!(run))
        .routes(routes!(cancel))
        .routes(routes!(events))
        .routes(routes!(stream_of_events))
        .routes(routes!(results))
        .routes(routes!(report_html))
        .routes(routes!(report_pdf))
}

/// What opens a run.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct RunRequest {
    /// Analysis, as it stands now.
    analysis: String,
    /// Sites to ask; all of the roster if absent.
    #[serde(default)]
    sites: Option<Vec<String>>,
    /// How long sites may take to decide, seconds.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 31536000)]
    consent_s: Option<i64>,
    /// How long sites may take to answer a round, seconds.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 31536000)]
    round_s: Option<i64>,
}

/// A run in full.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RunReply {
    #[serde(flatten)]
    row: RunRow,
    /// Open round, from 0.
    round: Option<usize>,
    /// Why it failed, or who cancelled it.
    reason: Option<String>,
    /// What each site did.
    sites: BTreeMap<String, &'static str>,
    /// Where each model stands.
    models: Vec<ModelReply>,
}

/// A model of a run.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ModelReply {
    /// Name within the analysis.
    id: String,
    /// Kind.
    kind: String,
    /// Rounds that were pooled.
    rounds: usize,
    /// `open`, `estimate` or `failed`.
    outcome: &'static str,
    /// Why it failed.
    reason: Option<String>,
}

fn reply(record: &RunRecord) -> RunReply {
    let run = &record.run;
    let (round, reason) = match &run.state {
        RunState::Consent | RunState::Done => (None, None),
        RunState::Asking { round } | RunState::Advancing { round } => (Some(*round), None),
        RunState::Failed { reason } => (None, Some(reason.clone())),
        RunState::Cancelled { by } => (None, Some(format!("cancelled by {by}"))),
    };
    let waiting = run.waiting_for();
    let status = |site: &SiteId| {
        if run.declined.contains(site) {
            "declined"
        } else if run.late.contains_key(site) {
            "late"
        } else if waiting.contains(&site) {
            "waited for"
        } else if run.state == RunState::Consent {
            "approved"
        } else {
            "answered"
        }
    };
    let model = |m: &tributary_core::run::ModelRun| {
        let (outcome, reason) = match &m.outcome {
            None => ("open", None),
            Some(Outcome::Estimate(_)) => ("estimate", None),
            Some(Outcome::Failed { reason }) => ("failed", Some(reason.clone())),
        };
        ModelReply {
            id: m.id.clone(),
            kind: m.kind.clone(),
            rounds: m.rounds.len(),
            outcome,
            reason,
        }
    };
    RunReply {
        row: record.row.clone(),
        round,
        reason,
        sites: run.sites.iter().map(|site| (site.to_string(), status(site))).collect(),
        models: run.models.iter().map(model).collect(),
    }
}

/// Runs, newest first
#[utoipa::path(get, path = "/v1/runs", tag = "runs", params(Page), security(("token" = [])),
    responses((status = 200, body = List<RunRow>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn runs(
    State(hub): State<Hub>,
    _: Person,
    Query(page): Query<Page>,
) -> Result<Json<List<RunRow>>, Failure> {
    let limit = page.limit()?;
    if !page.after().is_empty() {
        plain("after", page.after())?;
    }
    let items = store(&hub).runs(page.after(), limit).await?;
    Ok(Json(List::of(items, limit, |r| r.id.clone())))
}

/// Opens a run: the sites are asked whether they take part
///
/// With an `Idempotency-Key` field, the same request sent again within a day gives the same run.
#[utoipa::path(post, path = "/v1/runs", tag = "runs", request_body = RunRequest, security(("token" = [])),
    params(("idempotency-key" = Option<String>, Header, description = "Any text of up to 128 characters, new for each new run")),
    responses((status = 201, body = RunRow), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn open_run(
    State(hub): State<Hub>,
    person: Person,
    headers: HeaderMap,
    Json(wanted): Json<RunRequest>,
) -> Result<Response, Failure> {
    person.needs(Role::Analyst)?;
    let bad = |detail: String| problem(ProblemKind::BadRequest, detail);
    let now = hub.now();
    let request = sha256(&serde_json::to_vec(&wanted).map_err(|error| Failure::internal(&error))?);
    let key = match headers.get("idempotency-key") {
        None => None,
        Some(key) => {
            let key = key.to_str().map_err(|_| bad("idempotency-key is not plain text".into()))?;
            Some(format!("{}:{}", person.name(), plain("idempotency-key", key)?))
        }
    };
    if let Some(key) = &key
        && let Some(known) = store(&hub).run_of_key(key, &request, now).await?
    {
        return Ok(opened(&known));
    }
    let analysis = store(&hub).analysis(plain("analysis", &wanted.analysis)?).await?;
    let study = store(&hub).study(&analysis.study).await?;
    let roster = study
        .roster
        .ok_or_else(|| problem(ProblemKind::Conflict, "the study has no roster yet"))?;
    let members = hub.roster(&roster).await?;
    let sites = match wanted.sites {
        None => members.sites.keys().cloned().collect(),
        Some(names) => {
            let site = |name: String| {
                let known = SiteId::new(&name).ok().filter(|site| members.site(site).is_some());
                known.ok_or_else(|| bad("sites: one of them is not in the roster".into()))
            };
            names.into_iter().map(site).collect::<Result<std::collections::BTreeSet<_>, _>>()?
        }
    };
    if sites.len() < members.min_sites {
        return Err(bad(format!(
            "{} sites, the roster asks for {}",
            sites.len(),
            members.min_sites
        )));
    }
    let periods = hub.periods();
    let period = |name: &str, given: Option<i64>, usual: i64| match given.unwrap_or(usual) {
        seconds @ 1..=31_536_000 => Ok(seconds),
        other => Err(bad(format!("{name} is {other}, expected 1 to 31536000 seconds"))),
    };
    let (text, file) = (study.file.clone(), analysis.file.clone());
    let plan = tokio::task::spawn_blocking(move || {
        let study = Study::parse("study.toml", &text).map_err(|faults| faults.to_string())?;
        Plan::check("analysis.toml", &file, study).map_err(|faults| faults.to_string())
    })
    .await
    .map_err(|error| Failure::internal(&error))?
    .map_err(|faults| problem(ProblemKind::InvalidSpecification, faults))?;
    let new = NewRun {
        id: Uuid::now_v7().to_string(),
        study_file: study.file,
        analysis_file: analysis.file,
        roster,
        sites,
        consent_s: period("consent_s", wanted.consent_s, periods.consent_s)?,
        round_s: period("round_s", wanted.round_s, periods.round_s)?,
        created_by: person.name().to_owned(),
        key: key.map(|key| (key, request)),
    };
    let row = store(&hub).open_run(&new, &plan, now).await?;
    // Of equal requests at once, one opens the run and all are told of it.
    if row.id == new.id {
        hub.metrics().event("run opened");
        hub.wrote().await;
    }
    Ok(opened(&row))
}

fn opened(row: &RunRow) -> Response {
    let place = [(header::LOCATION, format!("/v1/runs/{}", row.id))];
    (StatusCode::CREATED, place, Json(row)).into_response()
}

/// One run
#[utoipa::path(get, path = "/v1/runs/{run}", tag = "runs", params(("run" = String, Path)), security(("token" = [])),
    responses((status = 200, body = RunReply), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn run(
    State(hub): State<Hub>,
    _: Person,
    Path(id): Path<String>,
) -> Result<Json<RunReply>, Failure> {
    Ok(Json(reply(&*store(&hub).run(plain("run", &id)?).await?)))
}

/// Calls a run off; may be sent again
#[utoipa::path(put, path = "/v1/runs/{run}/cancellation", tag = "runs", params(("run" = String, Path)), security(("token" = [])),
    responses((status = 200, body = RunReply), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn cancel(
    State(hub): State<Hub>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<RunReply>, Failure> {
    person.needs(Role::Analyst)?;
    let record = store(&hub).run(plain("run", &id)?).await?;
    if record.row.created_by != person.name() {
        person.needs(Role::Steward)?;
    }
    if matches!(record.run.state, RunState::Cancelled { .. }) {
        return Ok(Json(reply(&record)));
    }
    let event = Event::Cancelled { by: person.name().to_owned() };
    let record = store(&hub).apply(&id, event, None, person.name(), hub.now()).await?;
    hub.metrics().event("run cancelled");
    hub.wrote().await;
    Ok(Json(reply(&record)))
}

/// What happened to a run, in words without numbers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EventReply {
    /// Position, from 1.
    seq: i64,
    /// When, RFC 3339.
    at: String,
    /// What.
    event: &'static str,
    /// Which site, if it was one.
    site: Option<String>,
    /// Which round, from 0, if it was one.
    round: Option<usize>,
}

fn event_reply(seq: i64, at: Timestamp, event: &Event) -> EventReply {
    let (word, site, round) = match event {
        Event::Decided { site, approves: true } => ("approved", Some(site), None),
        Event::Decided { site, approves: false } => ("declined", Some(site), None),
        Event::Closed => ("step closed", None, None),
        Event::Answered { site, round, .. } => ("answered", Some(site), Some(*round)),
        Event::Advanced { round, .. } => ("pooled", None, Some(*round)),
        Event::Stopped { .. } => ("stopped", None, None),
        Event::Cancelled { .. } => ("cancelled", None, None),
    };
    EventReply { seq, at: at.to_string(), event: word, site: site.map(ToString::to_string), round }
}

fn after_number(page: &Page) -> Result<i64, Failure> {
    let number = if page.after().is_empty() { Ok(0) } else { page.after().parse() };
    number.map_err(|_| problem(ProblemKind::BadRequest, "after is not the number of an event"))
}

/// What happened to a run
#[utoipa::path(get, path = "/v1/runs/{run}/events", tag = "runs", params(("run" = String, Path), Page), security(("token" = [])),
    responses((status = 200, body = List<EventReply>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn events(
    State(hub): State<Hub>,
    _: Person,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<List<EventReply>>, Failure> {
    let limit = page.limit()?;
    store(&hub).run(plain("run", &id)?).await?;
    let found = store(&hub).events_after(&id, after_number(&page)?, limit).await?;
    let items = found.iter().map(|(seq, at, event)| event_reply(*seq, *at, event)).collect();
    Ok(Json(List::of(items, limit, |e: &EventReply| e.seq.to_string())))
}

/// Where a stream of events stands.
struct At {
    hub: Hub,
    id: String,
    seq: i64,
    ready: std::collections::VecDeque<SseEvent>,
    over: bool,
}

/// What happens to a run, as it happens (server-sent events); ends with the run
///
/// The `Last-Event-ID` field goes on where a connection broke.
#[utoipa::path(get, path = "/v1/runs/{run}/stream", tag = "runs", params(("run" = String, Path)), security(("token" = [])),
    responses((status = 200, content_type = "text/event-stream"), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn stream_of_events(
    State(hub): State<Hub>,
    _: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Failure> {
    store(&hub).run(plain("run", &id)?).await?;
    let last =
        headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let begin = At { hub, id, seq: last.unwrap_or(0), ready: [].into(), over: false };
    let events = stream::unfold(begin, async |mut at: At| {
        let mut watch = at.hub.watch();
        loop {
            if let Some(event) = at.ready.pop_front() {
                return Some((Ok(event), at));
            }
            if at.over {
                return None;
            }
            watch.mark_unchanged();
            // First whether it is over, then what happened: an event between the two is told in the next round.
            let over = at.hub.store().run(&at.id).await.ok()?.run.state.is_final();
            let found = at.hub.store().events_after(&at.id, at.seq, 100).await.ok()?;
            for (seq, when, event) in &found {
                at.seq = *seq;
                let data = serde_json::to_string(&event_reply(*seq, *when, event)).ok()?;
                at.ready.push_back(SseEvent::default().id(seq.to_string()).event("run").data(data));
            }
            if found.is_empty() {
                at.over = over;
                if !over {
                    watch.changed().await.ok()?;
                }
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// results.json of a run that is done
#[utoipa::path(get, path = "/v1/runs/{run}/results", tag = "runs", params(("run" = String, Path)), security(("token" = [])),
    responses((status = 200, body = serde_json::Value), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn results(
    State(hub): State<Hub>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    Ok(Json(read(&hub, &person, &id, "results").await?).into_response())
}

/// Results of a run, and the audit log's word of who read them.
async fn read(hub: &Hub, person: &Person, id: &str, what: &str) -> Result<Results, Failure> {
    let results = store(hub).results(plain("run", id)?).await?;
    let subject = json!({ "run": id, "what": what });
    store(hub).note(hub.now(), person.name(), "results read", subject).await?;
    Ok(results)
}

async fn report(hub: &Hub, person: &Person, id: &str, what: &str) -> Result<Report, Failure> {
    let results = read(hub, person, id, what).await?;
    let composed = tokio::task::spawn_blocking(move || Report::compose(&results)).await;
    composed.map_err(|error| Failure::internal(&error))?.map_err(|error| Failure::internal(&error))
}

/// The report of a run that is done, as a page
#[utoipa::path(get, path = "/v1/runs/{run}/report.html", tag = "runs", params(("run" = String, Path)), security(("token" = [])),
    responses((status = 200, content_type = "text/html"), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn report_html(
    State(hub): State<Hub>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let report = report(&hub, &person, &id, "report.html").await?;
    let html =
        tokio::task::spawn_blocking(move || report.html().map_err(|error| error.to_string()));
    let html = html
        .await
        .map_err(|error| Failure::internal(&error))?
        .map_err(|error| Failure::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// The report of a run that is done, for print
#[utoipa::path(get, path = "/v1/runs/{run}/report.pdf", tag = "runs", params(("run" = String, Path)), security(("token" = [])),
    responses((status = 200, content_type = "application/pdf"), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn report_pdf(
    State(hub): State<Hub>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let report = report(&hub, &person, &id, "report.pdf").await?;
    let pdf = tokio::task::spawn_blocking(move || report.pdf().map_err(|error| error.to_string()));
    let pdf = pdf
        .await
        .map_err(|error| Failure::internal(&error))?
        .map_err(|error| Failure::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/pdf")], pdf).into_response())
}
