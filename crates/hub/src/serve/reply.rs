//! One reply for everything that goes wrong: a problem document (RFC 9457) with the request's id. Wraps all routes.

use std::time::{Duration, Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::GovernorConfigBuilder,
    key_extractor::{PeerIpKeyExtractor, SmartIpKeyExtractor},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    limit::RequestBodyLimitLayer,
    timeout::{RequestBodyTimeoutLayer, TimeoutLayer},
};
use tributary_core::protocol::{DocumentError, Problem, ProblemKind};
use uuid::Uuid;

use super::{Limits, Metrics};

/// Name of the header field with the request's id.
const REQUEST_ID: &str = "x-request-id";

/// A problem on its way out, with what is written to the log alone.
#[derive(Debug)]
pub struct Failure(Box<Shown>);

#[derive(Debug)]
struct Shown {
    problem: Problem,
    logged: Option<String>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Shown { problem, logged: None }))
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        let kind = match error {
            DocumentError::Payload => ProblemKind::TruncatedPayload,
            DocumentError::Format { .. }
            | DocumentError::Damaged { .. }
            | DocumentError::Seal(_) => ProblemKind::MalformedDocument,
        };
        kind.with(error.to_string()).into()
    }
}

impl Failure {
    /// A failure whose cause is written to the log and not shown.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        let problem = ProblemKind::Internal.with("see the log of the server under the request id");
        Self(Box::new(Shown { problem, logged: Some(cause.to_string()) }))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Shown { problem, logged } = *self.0;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if let Some(cause) = logged {
            tracing::error!(cause, "internal failure");
        }
        response.extensions_mut().insert(problem);
        response
    }
}

/// A signed document as a body.
///
/// # Errors
/// [`ProblemKind::UnsupportedMedia`] or [`ProblemKind::MalformedDocument`].
pub fn document_text(headers: &HeaderMap, body: Vec<u8>) -> Result<String, Failure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/plain") {
        return Err(ProblemKind::UnsupportedMedia.with("documents are sent as text/plain").into());
    }
    let damaged = |_| ProblemKind::MalformedDocument.with("the body is not UTF-8 text").into();
    String::from_utf8(body).map_err(damaged)
}

/// Wraps all routes of a server.
pub fn layers(router: Router, limits: &Limits, metrics: Metrics) -> Router {
    // The middleware sees each request last and each reply first, so that no reply leaves without its form.
    let router = router
        .layer(DefaultBodyLimit::max(limits.max_body_bytes))
        // Refuses by the announced length, before any of the body is read.
        .layer(RequestBodyLimitLayer::new(limits.max_body_bytes))
        .layer(RequestBodyTimeoutLayer::new(Duration::from_mins(1)))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_mins(2),
        ))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Failure::internal(&"a handler panicked").into_response()
        }));
    let slow = |error: GovernorError| -> Response<Body> {
        match error {
            GovernorError::TooManyRequests { wait_time, .. } => {
                let mut response =
                    Failure::from(ProblemKind::RateLimited.with(format!("wait {wait_time} s")))
                        .into_response();
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_time));
                response
            }
            other => Failure::internal(&other).into_response(),
        }
    };
    let period = Duration::from_nanos(1_000_000_000 / u64::from(limits.requests_per_second.max(1)));
    let burst = limits.requests_per_second.max(1) * 10;
    let router = if limits.behind_proxy {
        let config = GovernorConfigBuilder::default()
            .period(period)
            .burst_size(burst)
            .key_extractor(SmartIpKeyExtractor)
            .finish();
        match config {
            Some(config) => router.layer(GovernorLayer::new(config).error_handler(slow)),
            None => router,
        }
    } else {
        let config = GovernorConfigBuilder::default()
            .period(period)
            .burst_size(burst)
            .key_extractor(PeerIpKeyExtractor)
            .finish();
        match config {
            Some(config) => router.layer(GovernorLayer::new(config).error_handler(slow)),
            None => router,
        }
    };
    router.layer(from_fn_with_state(metrics, around))
}

/// Gives the request an id, the reply its form, and the log a line without data.
async fn around(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|v| v.to_str().ok())
        .filter(plain)
        .map(str::to_owned);
    let id = given.unwrap_or_else(|| Uuid::now_v7().to_string());
    let method = request.method().clone();
    // The template, not the path: paths may hold names that somebody chose.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)".to_owned(), |m| m.as_str().to_owned());
    let span = tracing::info_span!("request", id, %method, route);
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let response = tracing::Instrument::instrument(next.run(request), span.clone()).await;
    let response = finish(response, &method, &id);
    let status = response.status().as_u16();
    let elapsed = begun.elapsed();
    metrics.request(&method, &route, status, elapsed);
    let _entered = span.enter();
    tracing::info!(status, ms = elapsed.as_secs_f64() * 1e3, "replied");
    response
}

fn finish(response: Response, method: &Method, id: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let problem = parts.extensions.remove::<Problem>().or_else(|| {
        // What the framework refuses by itself gets the same form; its own words may repeat input, so they are not shown.
        let kind = match parts.status.as_u16() {
            404 => ProblemKind::NotFound,
            405 => ProblemKind::MethodNotAllowed,
            413 => ProblemKind::TooLarge,
            415 => ProblemKind::UnsupportedMedia,
            400 | 422 => ProblemKind::BadRequest,
            408 | 503 | 504 => ProblemKind::Timeout,
            500.. => ProblemKind::Internal,
            _ => return None,
        };
        Some(kind.with(default_detail(kind, method)))
    });
    let mut response = match problem {
        None => Response::from_parts(parts, body),
        Some(mut problem) => {
            problem.request_id = Some(id.to_owned());
            parts.status =
                StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = serde_json::to_vec(&problem).unwrap_or_default();
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.remove(header::CONTENT_ENCODING);
            let kind = HeaderValue::from_static("application/problem+json");
            parts.headers.insert(header::CONTENT_TYPE, kind);
            Response::from_parts(parts, Body::from(body))
        }
    };
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn default_detail(kind: ProblemKind, method: &Method) -> String {
    match kind {
        ProblemKind::MethodNotAllowed => format!("{method} is not for this address"),
        ProblemKind::NotFound => "nothing is at this address".into(),
        ProblemKind::TooLarge => "the body is over the limit of this server".into(),
        ProblemKind::Timeout => "the server gave up waiting".into(),
        _ => "the request does not have the form described in the API".into(),
    }
}
