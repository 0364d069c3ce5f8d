//! People, their roles and tokens, and the audit log.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use tributary_core::{ledger::Entry, protocol::ProblemKind};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{List, Page, Problem, access::Person, plain, problem, store};
use crate::{
    serve::Failure,
    state::Hub,
    store::{Account, Role, TokenSecret},
};

pub(super) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(users))
        .routes(routes!(user, put_user))
        .routes(routes!(give_token))
        .routes(routes!(withdraw_token))
        .routes(routes!(audit))
}

/// Who is asking
#[utoipa::path(get, path = "/v1/me", tag = "users", security(("token" = [])),
    responses((status = 200, body = Account), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn me(Person(account): Person) -> Json<Account> {
    Json(account)
}

/// Users, by name
#[utoipa::path(get, path = "/v1/users", tag = "users", params(Page), security(("token" = [])),
    responses((status = 200, body = List<Account>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn users(
    State(hub): State<Hub>,
    person: Person,
    Query(page): Query<Page>,
) -> Result<Json<List<Account>>, Failure> {
    person.needs(Role::Administrator)?;
    let limit = page.limit()?;
    let items = store(&hub).accounts(page.after(), limit).await?;
    Ok(Json(List::of(items, limit, |a| a.name.clone())))
}

/// One user
#[utoipa::path(get, path = "/v1/users/{user}", tag = "users", params(("user" = String, Path)), security(("token" = [])),
    responses((status = 200, body = Account), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn user(
    State(hub): State<Hub>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Json<Account>, Failure> {
    person.needs(Role::Administrator)?;
    Ok(Json(store(&hub).account(plain("user", &name)?).await?))
}

/// What a user is.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct UserRequest {
    /// Role.
    role: Role,
    /// Who they are at the login provider.
    #[serde(default)]
    subject: Option<String>,
    /// Whether nothing of theirs counts any more.
    #[serde(default)]
    disabled: bool,
}

/// Puts a user in place
#[utoipa::path(put, path = "/v1/users/{user}", tag = "users", params(("user" = String, Path)), security(("token" = [])), request_body = UserRequest,
    responses((status = 200, body = Account), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_user(
    State(hub): State<Hub>,
    person: Person,
    Path(name): Path<String>,
    Json(wanted): Json<UserRequest>,
) -> Result<Json<Account>, Failure> {
    person.needs(Role::Administrator)?;
    let UserRequest { role, subject, disabled } = wanted;
    if let Some(subject) = &subject {
        plain("subject", subject)?;
    }
    if name == person.name() && (disabled || role < Role::Administrator) {
        let detail = "administrators cannot remove their own rights: ask another administrator";
        return Err(problem(ProblemKind::Conflict, detail));
    }
    let name = plain("user", &name)?;
    let account = store(&hub)
        .put_account(name, role, subject.as_deref(), disabled, person.name(), hub.now())
        .await?;
    hub.doubt();
    Ok(Json(account))
}

/// What a token is for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// Where it will be used.
    label: String,
    /// How many days it counts.
    #[serde(default = "ninety")]
    #[schema(minimum = 1, maximum = 366)]
    days: i64,
}

fn ninety() -> i64 {
    90
}

/// Gives a user a token; it is shown this once
#[utoipa::path(post, path = "/v1/users/{user}/tokens", tag = "users", params(("user" = String, Path)), security(("token" = [])), request_body = TokenRequest,
    responses((status = 201, body = TokenSecret), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn give_token(
    State(hub): State<Hub>,
    person: Person,
    Path(name): Path<String>,
    Json(TokenRequest { label, days }): Json<TokenRequest>,
) -> Result<(StatusCode, Json<TokenSecret>), Failure> {
    if name != person.name() {
        person.needs(Role::Administrator)?;
    }
    if !(1..=366).contains(&days) {
        return Err(problem(ProblemKind::BadRequest, format!("days is {days}, expected 1 to 366")));
    }
    let (name, label) = (plain("user", &name)?, plain("label", &label)?);
    let token = store(&hub).give_token(name, label, days, person.name(), hub.now()).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Withdraws a token
#[utoipa::path(delete, path = "/v1/users/{user}/tokens/{token}", tag = "users", params(("user" = String, Path), ("token" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn withdraw_token(
    State(hub): State<Hub>,
    person: Person,
    Path((name, token)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    if name != person.name() {
        person.needs(Role::Administrator)?;
    }
    let (name, token) = (plain("user", &name)?, plain("token", &token)?);
    store(&hub).withdraw_token(name, token, person.name(), hub.now()).await?;
    hub.doubt();
    Ok(StatusCode::NO_CONTENT)
}

/// An entry of the audit log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct AuditEntry {
    /// Position, from 1.
    seq: u64,
    /// When, RFC 3339.
    at: String,
    /// Who did it.
    actor: String,
    /// What was done.
    action: String,
    /// To what.
    subject: serde_json::Value,
    /// Hash of the entry before.
    previous: String,
    /// Hash of this entry.
    hash: String,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let Entry { seq, at, actor, action, subject, previous, hash } = entry;
        Self { seq, at: at.to_string(), actor, action, subject, previous, hash }
    }
}

/// The audit log, oldest first; `after` is the number of an entry
#[utoipa::path(get, path = "/v1/audit", tag = "users", params(Page), security(("token" = [])),
    responses((status = 200, body = List<AuditEntry>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn audit(
    State(hub): State<Hub>,
    person: Person,
    Query(page): Query<Page>,
) -> Result<Json<List<AuditEntry>>, Failure> {
    person.needs(Role::Administrator)?;
    let limit = page.limit()?;
    let after = if page.after().is_empty() { Ok(0) } else { page.after().parse::<u32>() };
    let after = after
        .map_err(|_| problem(ProblemKind::BadRequest, "after is not the number of an entry"))?;
    let items: Vec<AuditEntry> = store(&hub)
        .audit_after(after.into(), limit)
        .await?
        .into_iter()
        .map(AuditEntry::from)
        .collect();
    Ok(Json(List::of(items, limit, |e| e.seq.to_string())))
}
