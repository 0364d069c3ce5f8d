//! Login by a provider: OpenID Connect, authorization code with PKCE. The provider says who somebody is; the role is given
//! here, by an administrator, beforehand.

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpClientError, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    TokenResponse as _,
    core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata},
};
use serde::Deserialize;
use tributary_core::protocol::ProblemKind;

use super::{
    access::{COOKIE, session},
    problem, store,
};
use crate::{config::OidcConfig, serve::Failure, state::Hub};

/// How long a browser session lasts, hours.
const SESSION_HOURS: i64 = 8;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/login", get(begin))
        .route("/login/callback", get(callback))
        .route("/logout", get(end))
}

/// One request of the login library, by the HTTP client that the rest of the program uses.
async fn ask(request: HttpRequest) -> Result<HttpResponse, HttpClientError<std::io::Error>> {
    let other = |text: String| HttpClientError::Other(text);
    let asked = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(15)))
            .max_redirects(0)
            .build();
        let agent: ureq::Agent = config.into();
        let mut response = agent.run(request).map_err(|error| other(error.to_string()))?;
        let body = response.body_mut().read_to_vec().map_err(|error| other(error.to_string()))?;
        let (parts, _) = response.into_parts();
        Ok(HttpResponse::from_parts(parts, body))
    });
    asked.await.map_err(|error| HttpClientError::Other(error.to_string()))?
}

fn oidc(hub: &Hub) -> Result<&OidcConfig, Failure> {
    hub.oidc().ok_or_else(|| {
        problem(ProblemKind::NotFound, "no login provider is set up here; use a token")
    })
}

fn unavailable(cause: &dyn std::fmt::Display) -> Failure {
    tracing::warn!(cause = %cause, "login provider");
    problem(ProblemKind::Unavailable, "the login provider does not answer as expected")
}

/// What the provider says of itself.
async fn provider(config: &OidcConfig) -> Result<CoreProviderMetadata, Failure> {
    let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|error| unavailable(&error))?;
    CoreProviderMetadata::discover_async(issuer, &ask).await.map_err(|error| unavailable(&error))
}

fn secret(config: &OidcConfig) -> Result<Option<ClientSecret>, Failure> {
    let Some(path) = &config.client_secret_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| unavailable(&error))?;
    Ok(Some(ClientSecret::new(text.trim().to_owned())))
}

fn redirect(config: &OidcConfig) -> Result<RedirectUrl, Failure> {
    let url = format!("{}/login/callback", config.public_url.trim_end_matches('/'));
    RedirectUrl::new(url).map_err(|error| unavailable(&error))
}

/// Sends the browser to the provider.
async fn begin(State(hub): State<Hub>) -> Result<Response, Failure> {
    let config = oidc(&hub)?;
    let id = ClientId::new(config.client_id.clone());
    let client = CoreClient::from_provider_metadata(provider(config).await?, id, secret(config)?)
        .set_redirect_uri(redirect(config)?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .set_pkce_challenge(challenge)
        .url();
    store(&hub).begin_login(state.secret(), nonce.secret(), verifier.secret(), hub.now()).await?;
    let mut response = Redirect::to(url.as_str()).into_response();
    // The browser that comes back must be the one that was sent.
    cookie(&mut response, config, "tributary_login", state.secret(), 600);
    Ok(response)
}

fn cookie(response: &mut Response, config: &OidcConfig, name: &str, value: &str, seconds: i64) {
    let secure = if config.public_url.starts_with("https:") { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[derive(Deserialize)]
struct Callback {
    code: Option<String>,
    state: Option<String>,
}

/// Takes the browser back: code for token, token for account, account for session.
async fn callback(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Query(found): Query<Callback>,
) -> Result<Response, Failure> {
    let config = oidc(&hub)?;
    let refused = |detail: &str| problem(ProblemKind::Unauthenticated, detail);
    let (Some(code), Some(state)) = (found.code, found.state) else {
        return Err(refused("the provider did not confirm the login"));
    };
    let cookies = headers.get(header::COOKIE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let same = cookies.split(';').any(|pair| pair.trim() == format!("tributary_login={state}"));
    if !same {
        return Err(refused("this login was not started in this browser; start again at /login"));
    }
    let now = hub.now();
    let (nonce, verifier) = store(&hub).end_login(&state, now).await?.ok_or_else(|| {
        refused("this login has expired or was already used; start again at /login")
    })?;
    let id = ClientId::new(config.client_id.clone());
    let client = CoreClient::from_provider_metadata(provider(config).await?, id, secret(config)?)
        .set_redirect_uri(redirect(config)?);
    let tokens = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| unavailable(&error))?
        .set_pkce_verifier(PkceCodeVerifier::new(verifier))
        .request_async(&ask)
        .await
        .map_err(|error| {
            tracing::warn!(cause = %error, "the code was not exchanged");
            refused("the provider did not accept the code")
        })?;
    let token = tokens.id_token().ok_or_else(|| unavailable(&"no id token"))?;
    let claims =
        token.claims(&client.id_token_verifier(), &Nonce::new(nonce)).map_err(|error| {
            tracing::warn!(cause = %error, "the id token does not hold");
            refused("the identity stated by the provider is not valid")
        })?;
    let subject = claims.subject().as_str();
    let account = store(&hub).account_of(subject).await?.ok_or_else(|| {
        problem(ProblemKind::Forbidden, format!("you are known to the provider as {subject}, but have no account here: ask an administrator"))
    })?;
    let value = store(&hub).open_session(&account.name, SESSION_HOURS, now).await?;
    let mut response = Redirect::to("/v1/me").into_response();
    cookie(&mut response, config, COOKIE, &value, SESSION_HOURS * 3600);
    Ok(response)
}

async fn end(State(hub): State<Hub>, headers: HeaderMap) -> Result<Response, Failure> {
    if let Some(value) = session(&headers) {
        store(&hub).close_session(value).await?;
    }
    let mut response = Redirect::to("/docs").into_response();
    if let Some(config) = hub.oidc() {
        cookie(&mut response, config, COOKIE, "", 0);
    }
    Ok(response)
}
