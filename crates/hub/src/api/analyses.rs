//! Analyses: questions as data.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::HeaderMap,
};
use tributary_core::{protocol::ProblemKind, spec::Study};
use tributary_models::plan::Plan;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{List, Page, Problem, access::Person, file_text, plain, problem, store};
use crate::{
    serve::Failure,
    state::Hub,
    store::{AnalysisRow, Role},
};

pub(super) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(analyses)).routes(routes!(analysis, put_analysis))
}

/// Analyses, by name
#[utoipa::path(get, path = "/v1/analyses", tag = "analyses", params(Page), security(("token" = [])),
    responses((status = 200, body = List<AnalysisRow>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn analyses(
    State(hub): State<Hub>,
    _: Person,
    Query(page): Query<Page>,
) -> Result<Json<List<AnalysisRow>>, Failure> {
    let limit = page.limit()?;
    let items = store(&hub).analyses(page.after(), limit).await?;
    Ok(Json(List::of(items, limit, |a| a.id.clone())))
}

/// One analysis
#[utoipa::path(get, path = "/v1/analyses/{analysis}", tag = "analyses", params(("analysis" = String, Path)), security(("token" = [])),
    responses((status = 200, body = AnalysisRow), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn analysis(
    State(hub): State<Hub>,
    _: Person,
    Path(id): Path<String>,
) -> Result<Json<AnalysisRow>, Failure> {
    Ok(Json(store(&hub).analysis(plain("analysis", &id)?).await?))
}

/// Puts an analysis in place: the body is the analysis file. Faults are told all at once, at their lines
#[utoipa::path(put, path = "/v1/analyses/{analysis}", tag = "analyses", params(("analysis" = String, Path)), security(("token" = [])),
    request_body(content = String, content_type = "text/plain", description = "The analysis file"),
    responses((status = 200, body = AnalysisRow), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_analysis(
    State(hub): State<Hub>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<AnalysisRow>, Failure> {
    person.needs(Role::Analyst)?;
    let file = file_text(&headers, &body)?;
    let invalid = |detail: String| problem(ProblemKind::InvalidSpecification, detail);
    // Only the study's name is read here; everything else is checked against the study below.
    let head: toml::Table = toml::from_str(&file).map_err(|error| invalid(error.to_string()))?;
    let study = head.get("study").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    if study.is_empty() {
        return Err(invalid("the analysis names no study".into()));
    }
    let row = store(&hub).study(plain("study", &study)?).await?;
    let text = file.clone();
    let plan = tokio::task::spawn_blocking(move || {
        let study = Study::parse("study.toml", &row.file).map_err(|faults| faults.to_string())?;
        Plan::check("analysis.toml", &text, study).map_err(|faults| faults.to_string())
    })
    .await
    .map_err(|error| Failure::internal(&error))?
    .map_err(invalid)?;
    if plan.spec.id != id {
        let detail = "the id of the analysis in the file differs from that in the address";
        return Err(problem(ProblemKind::WrongAddress, detail));
    }
    store(&hub).put_analysis(&plan, &file, person.name(), hub.now()).await?;
    hub.wrote().await;
    Ok(Json(store(&hub).analysis(&id).await?))
}
