//! Studies and their rosters.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use tributary_core::{protocol::ProblemKind, seal::Roster, spec::Study};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{List, Page, Problem, access::Person, file_text, plain, problem, store};
use crate::{
    serve::Failure,
    state::Hub,
    store::{Role, StudyRow},
};

pub(super) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(studies))
        .routes(routes!(study, put_study))
        .routes(routes!(roster, put_roster))
}

/// Studies, by name
#[utoipa::path(get, path = "/v1/studies", tag = "studies", params(Page), security(("token" = [])),
    responses((status = 200, body = List<StudyRow>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn studies(
    State(hub): State<Hub>,
    _: Person,
    Query(page): Query<Page>,
) -> Result<Json<List<StudyRow>>, Failure> {
    let limit = page.limit()?;
    let items = store(&hub).studies(page.after(), limit).await?;
    Ok(Json(List::of(items, limit, |s| s.id.clone())))
}

/// One study
#[utoipa::path(get, path = "/v1/studies/{study}", tag = "studies", params(("study" = String, Path)), security(("token" = [])),
    responses((status = 200, body = StudyRow), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn study(
    State(hub): State<Hub>,
    _: Person,
    Path(id): Path<String>,
) -> Result<Json<StudyRow>, Failure> {
    Ok(Json(store(&hub).study(plain("study", &id)?).await?))
}

/// Puts a study in place: the body is study.toml
#[utoipa::path(put, path = "/v1/studies/{study}", tag = "studies", params(("study" = String, Path)), security(("token" = [])),
    request_body(content = String, content_type = "text/plain", description = "File study.toml"),
    responses((status = 200, body = StudyRow), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_study(
    State(hub): State<Hub>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<StudyRow>, Failure> {
    person.needs(Role::Steward)?;
    let file = file_text(&headers, &body)?;
    let study = Study::parse("study.toml", &file)
        .map_err(|faults| problem(ProblemKind::InvalidSpecification, faults.to_string()))?;
    if study.id != id {
        let detail = "the id of the study in the file differs from that in the address";
        return Err(problem(ProblemKind::WrongAddress, detail));
    }
    store(&hub).put_study(&study, &file, person.name(), hub.now()).await?;
    hub.wrote().await;
    Ok(Json(store(&hub).study(&id).await?))
}

/// A roster with its fingerprint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RosterReply {
    /// SHA-256 of the roster; compare it over another channel.
    hash: String,
    /// File `roster.toml`.
    file: String,
}

/// The roster that new runs of a study use
#[utoipa::path(get, path = "/v1/studies/{study}/roster", tag = "studies", params(("study" = String, Path)), security(("token" = [])),
    responses((status = 200, body = RosterReply), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn roster(
    State(hub): State<Hub>,
    _: Person,
    Path(id): Path<String>,
) -> Result<Json<RosterReply>, Failure> {
    let study = store(&hub).study(plain("study", &id)?).await?;
    let hash = study
        .roster
        .ok_or_else(|| problem(ProblemKind::NotFound, "the study has no roster yet"))?;
    let file = hub.roster(&hash).await?.to_toml();
    Ok(Json(RosterReply { hash, file }))
}

/// Puts the roster of a study in place: the body is roster.toml
#[utoipa::path(put, path = "/v1/studies/{study}/roster", tag = "studies", params(("study" = String, Path)), security(("token" = [])),
    request_body(content = String, content_type = "text/plain", description = "File roster.toml"),
    responses((status = 200, body = RosterReply), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_roster(
    State(hub): State<Hub>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<RosterReply>), Failure> {
    person.needs(Role::Steward)?;
    let invalid = |detail: String| problem(ProblemKind::InvalidSpecification, detail);
    let file = file_text(&headers, &body)?;
    let roster = Roster::parse("roster.toml", &file).map_err(|error| invalid(error.to_string()))?;
    if roster.study != id {
        let detail = "the study of the roster in the file differs from that in the address";
        return Err(problem(ProblemKind::WrongAddress, detail));
    }
    if roster.hub.signing_key != hub.key().public() {
        return Err(invalid("roster.toml: [hub] signing_key is not the key of this hub".into()));
    }
    let row = store(&hub).study(plain("study", &id)?).await?;
    let study =
        Study::parse("study.toml", &row.file).map_err(|faults| Failure::internal(&faults))?;
    let strangers: Vec<&str> = roster
        .sites
        .keys()
        .map(|site| site.as_str())
        .filter(|site| !study.sites.iter().any(|member| member == site))
        .collect();
    if !strangers.is_empty() {
        return Err(invalid(format!(
            "roster.toml: not members of the study: {}",
            strangers.join(", ")
        )));
    }
    if roster.min_sites < study.policy.min_sites as usize {
        let detail = format!(
            "roster.toml: min_sites = {}, the study's policy asks for {}",
            roster.min_sites, study.policy.min_sites
        );
        return Err(invalid(detail));
    }
    let hash = store(&hub).put_roster(&roster, person.name(), hub.now()).await?;
    hub.wrote().await;
    Ok((StatusCode::OK, Json(RosterReply { hash, file: roster.to_toml() })))
}
