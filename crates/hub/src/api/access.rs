//! Who asks: a person by token or session, a site by the signature of its request. A handler that takes one of these
//! cannot forget to check.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tributary_core::{
    protocol::{ProblemKind, RequestError, SignedRequest},
    seal::Roster,
    summary::SiteId,
};

use super::problem;
use crate::{
    serve::Failure,
    state::Hub,
    store::{Account, Role},
};

/// Name of the session cookie.
pub(super) const COOKIE: &str = "tributary_session";

/// A person.
#[derive(Debug, Clone)]
pub(super) struct Person(pub(super) Account);

impl Person {
    /// Whether the role allows what only `role` may do.
    pub(super) fn needs(&self, role: Role) -> Result<(), Failure> {
        if self.0.role >= role {
            return Ok(());
        }
        let detail = format!(
            "this needs the role {}, {} is {}",
            role.word(),
            self.0.name,
            self.0.role.word()
        );
        Err(problem(ProblemKind::Forbidden, detail))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }
}

impl FromRequestParts<Hub> for Person {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Failure> {
        let now = hub.now();
        if let Some(token) = bearer(&parts.headers) {
            return match hub.account_by_token(token, now).await? {
                Some(account) => Ok(Self(account)),
                None => Err(problem(ProblemKind::Unauthenticated, "this token is not valid")),
            };
        }
        let Some(cookie) = session(&parts.headers) else {
            return Err(problem(
                ProblemKind::Unauthenticated,
                "there is neither a token nor a session",
            ));
        };
        // Another site could make a browser send a form with the cookie: a session reads, changes need a token.
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(problem(
                ProblemKind::Forbidden,
                "a browser session is read-only; changes need a token",
            ));
        }
        match hub.store().account_by_session(cookie, now).await? {
            Some(account) => Ok(Self(account)),
            None => Err(problem(ProblemKind::Unauthenticated, "the session has expired")),
        }
    }
}

/// A turn to read a large body; taken before the body is.
pub(super) struct Turn(
    #[expect(dead_code, reason = "held until the reply is made")] Option<OwnedSemaphorePermit>,
);

impl FromRequestParts<Hub> for Turn {
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, hub: &Hub) -> Result<Self, Failure> {
        Ok(Self(hub.turn().await))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Value of the session cookie.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether the request was signed by `site` with the key in `roster`.
pub(super) fn signed_by(
    roster: &Roster,
    site: &SiteId,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Failure> {
    let signed = signature(headers)
        .ok_or_else(|| problem(ProblemKind::Unauthenticated, "the request is not signed"))?;
    let stranger =
        || problem(ProblemKind::Unauthenticated, format!("site {site} is not in the roster"));
    let key = roster.site(site).ok_or_else(stranger)?;
    if signed.party != site.as_str() {
        let detail = format!(
            "the request is signed for {}, the address is that of site {site}",
            short(&signed.party)
        );
        return Err(problem(ProblemKind::Unauthenticated, detail));
    }
    let target = uri.path_and_query().map_or(uri.path(), |p| p.as_str());
    signed.verify(method.as_str(), target, body, now, key).map_err(|error| {
        let kind = match error {
            RequestError::Skew { .. } => ProblemKind::ClockSkew,
            RequestError::Time | RequestError::Signature { .. } => ProblemKind::Unauthenticated,
        };
        problem(kind, error.to_string())
    })
}

/// Enough of a name to recognise it.
fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(16).collect()
}

/// The header fields of a signed request, if they are there.
pub(super) fn signature(headers: &HeaderMap) -> Option<SignedRequest> {
    let [party, time, signature] = SignedRequest::FIELDS
        .map(|name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned));
    Some(SignedRequest { party: party?, time: time?, signature: signature? })
}
