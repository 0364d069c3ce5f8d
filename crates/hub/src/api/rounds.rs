//! What a site's agent asks and sends. Connections come from the site; every request and every document is signed by it.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tributary_core::{
    protocol::{
        AnswerError, AnswerFile, DecisionFile, Document, Payload, ProblemKind, QuestionFile,
        QuestionHeader,
    },
    run::{Event, RunError, RunState},
    seal::sha256,
    summary::SiteId,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    access::{Turn, signed_by},
    plain, problem, store,
};
use crate::{
    serve::{Failure, document_text},
    state::{Hub, Open},
    store::{Received, StoreError},
};

/// Longest that a poll waits, seconds.
const LONGEST_WAIT: u64 = 55;

pub(super) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(questions))
        .routes(routes!(question))
        .routes(routes!(decide))
        .routes(routes!(receipt, answer))
}

/// Something that is asked of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct OpenQuestion {
    /// Run.
    run: String,
    /// Analysis.
    analysis: String,
    /// SHA-256 of study and specification.
    specification: String,
    /// Round, from 0; none while the site is asked whether it takes part.
    round: Option<usize>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// How long to wait for a question, seconds, at most 55.
    #[param(minimum = 0, maximum = 55)]
    wait: Option<u64>,
}

fn site_id(code: &str) -> Result<SiteId, Failure> {
    SiteId::new(code)
        .map_err(|_| problem(ProblemKind::BadRequest, "the site code in the address is not valid"))
}

/// What is asked of `site` in the study, in the order of runs.
fn asked(open: &Open, study: &str, site: &SiteId) -> Vec<OpenQuestion> {
    let ours =
        open.runs.iter().filter(|r| r.row.study == study && r.run.waiting_for().contains(&site));
    ours.map(|record| OpenQuestion {
        run: record.row.id.clone(),
        analysis: record.row.analysis.clone(),
        specification: record.row.specification.clone(),
        round: match record.run.state {
            RunState::Asking { round } => Some(round),
            _ => None,
        },
    })
    .collect()
}

/// What is asked of a site; waits for a question if there is none
#[utoipa::path(get, path = "/v1/studies/{study}/sites/{site}/questions", tag = "sites",
    params(("study" = String, Path), ("site" = String, Path), Wait), security(("site" = [])),
    responses((status = 200, body = Vec<OpenQuestion>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn questions(
    State(hub): State<Hub>,
    Path((study, site)): Path<(String, String)>,
    Query(Wait { wait }): Query<Wait>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Vec<OpenQuestion>>, Failure> {
    let site = site_id(&site)?;
    let row = store(&hub).study(plain("study", &study)?).await?;
    let hash =
        row.roster.ok_or_else(|| problem(ProblemKind::NotFound, "the study has no roster yet"))?;
    signed_by(&*hub.roster(&hash).await?, &site, &method, &uri, &headers, &[], hub.now())?;
    let wait = Duration::from_secs(wait.unwrap_or(0).min(LONGEST_WAIT));
    let mut watch = hub.watch();
    let gauge = hub.metrics().waiting().clone();
    gauge.inc();
    // The gauge counts down however this ends, also when the agent hangs up.
    let _count = Countdown(gauge);
    let found = tokio::time::timeout(wait, async {
        loop {
            let found = asked(&watch.borrow_and_update(), &study, &site);
            if !found.is_empty() || watch.changed().await.is_err() {
                return found;
            }
        }
    })
    .await;
    let found = match found {
        Ok(found) => found,
        Err(_) => asked(&watch.borrow(), &study, &site),
    };
    Ok(Json(found))
}

struct Countdown(prometheus_client::metrics::gauge::Gauge);

impl Drop for Countdown {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The open question of a run: the whole analysis, and what is asked now. A document signed by the hub
#[utoipa::path(get, path = "/v1/runs/{run}/sites/{site}/question", tag = "sites",
    params(("run" = String, Path), ("site" = String, Path)), security(("site" = [])),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn question(
    State(hub): State<Hub>,
    Path((run, site)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let site = site_id(&site)?;
    let record = store(&hub).run(plain("run", &run)?).await?;
    let roster = hub.roster(&record.row.roster).await?;
    signed_by(&roster, &site, &method, &uri, &headers, &[], hub.now())?;
    let (round, questions) = match record.run.state {
        RunState::Consent => (None, Vec::new()),
        RunState::Asking { round } => (Some(round), record.run.questions()),
        _ => return Err(problem(ProblemKind::RunClosed, "the run has no open question")),
    };
    let header = QuestionHeader {
        study: record.row.study.clone(),
        analysis: record.row.analysis.clone(),
        run,
        round,
        specification: record.row.specification.clone(),
        roster: record.row.roster.clone(),
        study_file: record.study_file.to_string(),
        analysis_file: record.analysis_file.to_string(),
        questions,
        payload: Payload::of(&[]),
    };
    let document: QuestionFile = Document::sign(header, Vec::new(), hub.key());
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], document.to_text()).into_response())
}

/// Whether the site takes part: a decision document signed by it. May be sent again
#[utoipa::path(put, path = "/v1/runs/{run}/sites/{site}/decision", tag = "sites",
    params(("run" = String, Path), ("site" = String, Path)), security(("site" = [])),
    request_body(content = String, content_type = "text/plain", description = "Document `tributary decision 1`"),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn decide(
    State(hub): State<Hub>,
    Path((run, site)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let site = site_id(&site)?;
    let record = store(&hub).run(plain("run", &run)?).await?;
    let roster = hub.roster(&record.row.roster).await?;
    signed_by(&roster, &site, &method, &uri, &headers, &body, hub.now())?;
    let decision: DecisionFile = Document::parse(&document_text(&headers, body.to_vec())?)?;
    let header = &decision.header;
    if header.roster != record.row.roster {
        return Err(problem(
            ProblemKind::WrongRoster,
            format!("the decision was made with roster {}", short(&header.roster)),
        ));
    }
    let key = roster
        .site(&site)
        .ok_or_else(|| problem(ProblemKind::NotFound, "the site is not in the roster"))?;
    decision.verify(key).map_err(|error| problem(ProblemKind::BadSignature, error.to_string()))?;
    if header.run != run || header.site != site {
        return Err(problem(ProblemKind::WrongAddress, "the decision is for another run or site"));
    }
    if header.specification != record.row.specification {
        let detail = format!("the decision covers specification {}", short(&header.specification));
        return Err(problem(ProblemKind::WrongSpecification, detail));
    }
    let known = record.run.has_approved(&site) == header.approves
        && record.run.declined.contains(&site) != header.approves;
    if known {
        return Ok(StatusCode::NO_CONTENT);
    }
    let event = Event::Decided { site: site.clone(), approves: header.approves };
    store(&hub).apply(&run, event, None, site.as_str(), hub.now()).await?;
    hub.metrics().event(if header.approves { "approved" } else { "declined" });
    hub.wrote().await;
    Ok(StatusCode::NO_CONTENT)
}

/// A hash, or enough of what was sent instead.
fn short(hash: &str) -> String {
    hash.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

/// What the hub holds of an answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Receipt {
    /// SHA-256 of the answer as it came.
    sha256: String,
    /// When it came, RFC 3339.
    received_at: String,
}

/// Whether the hub has a site's answer
#[utoipa::path(get, path = "/v1/runs/{run}/sites/{site}/rounds/{round}/answer", tag = "sites",
    params(("run" = String, Path), ("site" = String, Path), ("round" = u32, Path)), security(("site" = [])),
    responses((status = 200, body = Receipt), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn receipt(
    State(hub): State<Hub>,
    Path((run, site, round)): Path<(String, String, u32)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Receipt>, Failure> {
    let site = site_id(&site)?;
    let record = store(&hub).run(plain("run", &run)?).await?;
    signed_by(
        &*hub.roster(&record.row.roster).await?,
        &site,
        &method,
        &uri,
        &headers,
        &[],
        hub.now(),
    )?;
    let found = store(&hub).receipt_of(&run, round as usize, &site).await?;
    let (sha256, received_at) =
        found.ok_or_else(|| problem(ProblemKind::NotFound, "no answer to this round yet"))?;
    Ok(Json(Receipt { sha256, received_at }))
}

/// A site's answer to the open round: an answer document signed by it. The same answer may be sent again
#[utoipa::path(put, path = "/v1/runs/{run}/sites/{site}/rounds/{round}/answer", tag = "sites",
    params(("run" = String, Path), ("site" = String, Path), ("round" = u32, Path)), security(("site" = [])),
    request_body(content = String, content_type = "text/plain", description = "Document `tributary answer 1`"),
    responses((status = 200, body = Receipt), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn answer(
    State(hub): State<Hub>,
    Path((run, site, round)): Path<(String, String, u32)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    _turn: Turn,
    body: Bytes,
) -> Result<Json<Receipt>, Failure> {
    let site = site_id(&site)?;
    let round = round as usize;
    let record = store(&hub).run(plain("run", &run)?).await?;
    let roster = hub.roster(&record.row.roster).await?;
    let now = hub.now();
    let (site, text, hash) = {
        let roster = roster.clone();
        let read = move || -> Result<_, Failure> {
            signed_by(&roster, &site, &method, &uri, &headers, &body, now)?;
            let text = document_text(&headers, body.into())?;
            let hash = sha256(text.as_bytes());
            Ok((site, text, hash))
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| Failure::internal(&error))??
    };
    // The same answer again is no mistake, whatever the run is doing by now.
    if let Some((known, received_at)) = store(&hub).receipt_of(&run, round, &site).await? {
        if known == hash {
            return Ok(Json(Receipt { sha256: known, received_at }));
        }
        let detail = format!("site {site} has already given a different answer to round {round}");
        return Err(problem(ProblemKind::ConflictingAnswer, detail));
    }
    if record.run.state != (RunState::Asking { round }) {
        let state = record.run.state.clone();
        return Err(StoreError::from(RunError::Round { found: round, state }).into());
    }
    let check = move || -> Result<_, Failure> {
        let answer: AnswerFile = Document::parse(&text)?;
        if answer.header.site != site {
            return Err(problem(
                ProblemKind::WrongAddress,
                "the site of the answer differs from that in the address",
            ));
        }
        let policy = &record.plan.study.policy;
        answer
            .check(&roster, &record.address(round), policy, &record.plan.parts())
            .map_err(|error| answer_failure(&error))?;
        let answers = answer.events().map_err(|error| answer_failure(&error))?;
        Ok((site, text, answers))
    };
    let checked = tokio::task::spawn_blocking(check).await;
    let (site, text, answers) = checked.map_err(|error| Failure::internal(&error))??;
    let event = Event::Answered { site: site.clone(), round, answers };
    let received = Received { site: &site, round, sha256: &hash, body: &text };
    store(&hub).apply(&run, event, Some(received), site.as_str(), now).await?;
    hub.metrics().event("answered");
    hub.wrote().await;
    Ok(Json(Receipt { sha256: hash, received_at: now.to_string() }))
}

fn answer_failure(error: &AnswerError) -> Failure {
    let kind = match error {
        AnswerError::Document(_) | AnswerError::Word { .. } | AnswerError::Stacked { .. } => {
            ProblemKind::MalformedDocument
        }
        AnswerError::Seal(_) => ProblemKind::BadSignature,
        AnswerError::Stranger { .. } => ProblemKind::Unauthenticated,
        AnswerError::Roster { .. } => ProblemKind::WrongRoster,
        AnswerError::Specification { .. } => ProblemKind::WrongSpecification,
        AnswerError::Question => ProblemKind::WrongQuestion,
        AnswerError::Address { .. } => ProblemKind::WrongAddress,
        AnswerError::Round { .. } => ProblemKind::WrongRound,
        AnswerError::Part { .. } => ProblemKind::WrongModels,
        AnswerError::Policy => ProblemKind::PolicyLoosened,
    };
    // Names in a document are the sender's; only those that passed are repeated.
    let detail = match error {
        AnswerError::Part { reason, .. } => (*reason).to_owned(),
        AnswerError::Roster { found, .. } => {
            format!("the answer was made with roster {}", short(found))
        }
        AnswerError::Specification { found, .. } => {
            format!("the answer is for specification {}", short(found))
        }
        AnswerError::Address { .. } => "the answer is for another run, study or analysis".into(),
        other => other.to_string(),
    };
    problem(kind, detail)
}
