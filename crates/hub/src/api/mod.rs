//! The hub's interface: nouns under `/v1`, described by OpenAPI made from this code.

mod access;
mod analyses;
mod login;
mod people;
mod rounds;
mod runs;
mod studies;
mod system;

use axum::{Router, http::HeaderMap};
use serde::{Deserialize, Serialize};
use tributary_core::protocol::{Problem as ProblemDocument, ProblemKind};
use utoipa::{
    OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    state::Hub,
    store::{Store, StoreError},
};
use crate::serve::{Failure, Limits, document_text, layers};

/// Largest page of a list.
const LARGEST_PAGE: usize = 200;

#[derive(OpenApi)]
#[openapi(
    info(title = "Tributary hub", description = "Studies, analyses, runs, rounds and answers of a pooled study. Sums leave a \
        country sealed; this hub cannot read one site's part. Errors are problem documents (RFC 9457), times are RFC 3339."),
    modifiers(&Security),
    tags(
        (name = "studies", description = "What is studied, by whom, under which rules"),
        (name = "analyses", description = "Questions as data"),
        (name = "runs", description = "Executions of an analysis"),
        (name = "sites", description = "What a site's agent asks and sends; requests are signed with the site's key"),
        (name = "users", description = "People, roles, tokens, and the audit log"),
        (name = "system", description = "Health, readiness, metrics, this description")
    )
)]
struct Description;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let signature = ApiKeyValue::with_description(
            "tributary-signature",
            "Ed25519 over party, method, path with query, time and SHA-256 of the body, each on a line; beside it \
             tributary-party and tributary-time",
        );
        components.add_security_scheme("site", SecurityScheme::ApiKey(ApiKey::Header(signature)));
    }
}

/// All routes, and their description.
fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(studies::routes())
        .merge(analyses::routes())
        .merge(runs::routes())
        .merge(rounds::routes())
        .merge(people::routes())
        .merge(system::routes())
}

/// The description as JSON.
pub fn description() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

/// The hub's router.
pub fn router(hub: Hub, limits: &Limits) -> Router {
    let metrics = hub.metrics().clone();
    let (router, _) = routes().split_for_parts();
    layers(router.merge(login::routes()).with_state(hub), limits, metrics)
}

/// A problem as the description shows it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "shape of every reply that is no success, for the description")]
struct Problem {
    /// Address of the page of its kind.
    #[schema(example = "/problems/not-found")]
    r#type: String,
    /// The kind in a few words.
    title: String,
    /// HTTP status.
    status: u16,
    /// What happened this time.
    detail: Option<String>,
    /// Request it belongs to, as in the logs.
    request_id: Option<String>,
}

/// Where a list goes on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Name after which the page begins: `next` of the page before.
    after: Option<String>,
    /// Most items, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

impl Page {
    fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    fn limit(&self) -> Result<usize, Failure> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=LARGEST_PAGE => Ok(limit),
            other => Err(ProblemKind::BadRequest
                .with(format!("limit is {other}, expected 1 to {LARGEST_PAGE}"))
                .into()),
        }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct List<T> {
    /// Items.
    items: Vec<T>,
    /// Name to ask the next page with; none if this is the last one.
    next: Option<String>,
}

impl<T> List<T> {
    fn of(items: Vec<T>, limit: usize, name: impl Fn(&T) -> String) -> Self {
        let next = (items.len() == limit).then(|| items.last().map(name)).flatten();
        Self { items, next }
    }
}

/// PostgreSQL keeps no zero bytes; names with control characters are nobody's.
fn plain<'a>(what: &str, name: &'a str) -> Result<&'a str, Failure> {
    let fine = (1..=128).contains(&name.len()) && !name.chars().any(char::is_control);
    let problem = || {
        ProblemKind::BadRequest
            .with(format!("{what}: expected 1 to 128 characters, none of them control characters"))
    };
    fine.then_some(name).ok_or_else(|| problem().into())
}

/// A TOML file as a body.
fn file_text(headers: &HeaderMap, body: &[u8]) -> Result<String, Failure> {
    let text = document_text(headers, body.to_vec())?;
    if text.contains('\0') {
        return Err(ProblemKind::InvalidSpecification.with("the file contains a zero byte").into());
    }
    Ok(text)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        use tributary_core::run::RunError;
        let shown = error.to_string();
        let kind = match &error {
            StoreError::NotFound { .. } => ProblemKind::NotFound,
            StoreError::Conflict { .. } => ProblemKind::ConflictingAnswer,
            StoreError::Differs(_) => ProblemKind::Conflict,
            StoreError::KeyReuse => ProblemKind::KeyReuse,
            StoreError::Run(error) => match error {
                RunError::UnknownSite { .. } => ProblemKind::NotFound,
                RunError::Gone { .. } => ProblemKind::RunClosed,
                RunError::State { state } | RunError::Round { state, .. } if state.is_final() => {
                    ProblemKind::RunClosed
                }
                RunError::Round { .. } => ProblemKind::WrongRound,
                RunError::Models { .. } => ProblemKind::WrongModels,
                RunError::Layout { .. } => ProblemKind::LayoutDiffers,
                RunError::Twice { .. } | RunError::Decided { .. } | RunError::State { .. } => {
                    ProblemKind::Conflict
                }
            },
            StoreError::Database(sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)) => {
                tracing::warn!(cause = shown, "the database does not answer");
                return ProblemKind::Unavailable.with("the database does not answer").into();
            }
            StoreError::Database(_) | StoreError::Migration(_) | StoreError::Unreadable { .. } => {
                return Self::internal(&error);
            }
        };
        kind.with(shown).into()
    }
}

/// What a problem looks like once it is on its way.
fn problem(kind: ProblemKind, detail: impl Into<String>) -> Failure {
    let document: ProblemDocument = kind.with(detail);
    document.into()
}

/// The store of a hub.
fn store(hub: &Hub) -> &Store {
    hub.store()
}
