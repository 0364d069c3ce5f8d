//! Health, readiness, metrics, and the pages that describe this interface.

use std::sync::LazyLock;

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{Html, IntoResponse, Response},
};
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};
use tributary_core::protocol::ProblemKind;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Problem, description, problem, store};
use crate::{serve::Failure, state::Hub};

pub(super) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
        .routes(routes!(docs))
        .routes(routes!(problems))
        .routes(routes!(problem_page))
}

/// Whether the process lives
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Value)))]
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Whether the hub can work: the database answers
#[utoipa::path(get, path = "/ready", tag = "system",
    responses((status = 200, body = Value), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn ready(State(hub): State<Hub>) -> Result<Json<Value>, Failure> {
    store(&hub)
        .ready()
        .await
        .map_err(|_| problem(ProblemKind::Unavailable, "the database does not answer"))?;
    Ok(Json(json!({ "status": "ready", "signing_key": hub.key().public() })))
}

/// Metrics in the text format of Prometheus
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(hub): State<Hub>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], hub.metrics().text()).into_response()
}

/// This description, OpenAPI 3.1
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, body = Value)))]
async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(description())
}

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    // A part of the description that is not there is no fault of it.
    pages.set_undefined_behavior(UndefinedBehavior::Chainable);
    for (name, text) in [
        ("docs.html", include_str!("../../../../reports/pages/docs.html")),
        ("problems.html", include_str!("../../../../reports/pages/problems.html")),
    ] {
        // Unwrap safety: the templates are part of the program and a test renders them.
        pages.add_template(name, text).expect("the template parses");
    }
    pages
});

fn page(name: &str, content: Value) -> Result<Html<String>, Failure> {
    let rendered = PAGES.get_template(name).and_then(|template| {
        template.render(minijinja::Value::from(minijinja::value::Serde(content)))
    });
    rendered.map(Html).map_err(|error| Failure::internal(&error))
}

/// This description, as a page
#[utoipa::path(get, path = "/docs", tag = "system", responses((status = 200, body = String, content_type = "text/html")))]
async fn docs() -> Result<Html<String>, Failure> {
    let description =
        serde_json::to_value(description()).map_err(|error| Failure::internal(&error))?;
    let tag_of = |operation: &Value| operation["tags"][0].as_str().unwrap_or_default().to_owned();
    let tags = description["tags"].as_array().cloned().unwrap_or_default();
    let sections: Vec<Value> = tags
        .iter()
        .map(|tag| {
            let paths = description["paths"].as_object().into_iter().flatten();
            let operations: Vec<Value> = paths
                .flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |(m, o)| (path, m, o)))
                .filter(|(_, _, operation)| tag_of(operation) == tag["name"].as_str().unwrap_or_default())
                .map(|(path, method, operation)| json!({ "path": path, "method": method.to_uppercase(), "operation": operation }))
                .collect();
            json!({ "name": tag["name"], "description": tag["description"], "operations": operations })
        })
        .collect();
    let schemas = &description["components"]["schemas"];
    page(
        "docs.html",
        json!({ "info": description["info"], "sections": sections, "schemas": schemas }),
    )
}

fn kind(kind: ProblemKind) -> Value {
    // Every second piece stood between backticks.
    let advice: Vec<&str> = kind.advice().split('`').collect();
    json!({ "slug": kind.slug(), "title": kind.title(), "status": kind.status(), "advice": advice })
}

/// Kinds of problems
#[utoipa::path(get, path = "/problems", tag = "system", responses((status = 200, body = String, content_type = "text/html")))]
async fn problems() -> Result<Html<String>, Failure> {
    let kinds: Vec<Value> = ProblemKind::ALL.iter().map(|k| kind(*k)).collect();
    page("problems.html", json!({ "kinds": kinds }))
}

/// What a kind of problem means and what to do
#[utoipa::path(get, path = "/problems/{kind}", tag = "system", params(("kind" = String, Path)),
    responses((status = 200, body = String, content_type = "text/html"), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn problem_page(Path(slug): Path<String>) -> Result<Html<String>, Failure> {
    let found = ProblemKind::ALL.iter().find(|k| k.slug() == slug);
    let found = found
        .ok_or_else(|| problem(ProblemKind::NotFound, "there is no problem type of this name"))?;
    page("problems.html", json!({ "kinds": [kind(*found)] }))
}
