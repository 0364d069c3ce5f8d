//! The one way out: requests to a hub or keyholder, signed by the party that sends them, or with a person's token.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use tributary_core::{
    protocol::{Problem, ProblemKind, SignedRequest},
    seal::SigningKey,
};
use ureq::{
    Agent,
    http::{Request, Response},
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Largest reply that is read.
const LARGEST_REPLY: u64 = 1 << 30;

/// From how many bytes on a body waits until the server says that it takes it: a server that refuses a body halfway closes the
/// connection, and its reason is lost.
const ASK_FIRST: usize = 1 << 20;

/// Who asks.
#[derive(Clone)]
pub enum Identity {
    /// A party of the roster, by its signature.
    Party {
        /// Site code, or `hub`.
        name: String,
        /// Its key.
        key: Box<SigningKey>,
    },
    /// A person, by a token.
    Token(String),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Party { name, .. } => write!(f, "Party({name})"),
            Self::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// A server and who asks it.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    identity: Identity,
    /// How far the server's clock is ahead of ours, milliseconds.
    skew_ms: AtomicI64,
}

/// Why there is no reply to use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No reply: may work later.
    #[error("{url}: {reason}")]
    Unreachable {
        /// Server.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server says what is wrong.
    #[error("{0}")]
    Problem(Problem),
    /// A reply of another form.
    #[error("{url}: the reply is not in the form that this version expects: {reason}")]
    Form {
        /// Server.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings.
    #[error("{0}")]
    Settings(String),
}

impl ClientError {
    /// Whether the same request may work later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => {
                problem.status >= 500 || problem.status == 429 || problem.is(ProblemKind::ClockSkew)
            }
            Self::Form { .. } | Self::Settings(_) => false,
        }
    }

    /// The problem, if the server told one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

impl Client {
    /// A client of the server at `base`. `ca` is the PEM file of a certificate authority to trust instead of the public ones.
    ///
    /// # Errors
    /// If the address is no HTTP address or the file cannot be read.
    pub fn new(base: &str, ca: Option<&PathBuf>, identity: Identity) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") && !base.starts_with("http://") {
            return Err(ClientError::Settings(format!(
                "`{base}` is not an address; expected https://…"
            )));
        }
        let mut tls = TlsConfig::builder();
        if let Some(path) = ca {
            let settings =
                |reason: String| ClientError::Settings(format!("{}: {reason}", path.display()));
            let pem = std::fs::read(path).map_err(|error| settings(error.to_string()))?;
            let certificate =
                Certificate::from_pem(&pem).map_err(|error| settings(error.to_string()))?;
            tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_mins(2)))
            .max_redirects(0)
            .user_agent(concat!("tributary/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), base, identity, skew_ms: AtomicI64::new(0) })
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let text = self.text("GET", target, "")?;
        serde_json::from_str(&text).map_err(|error| ClientError::Form {
            url: self.base.clone(),
            reason: error.to_string(),
        })
    }

    /// Sends JSON, a document or a file (or nothing) and reads the reply as text.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn text(&self, method: &str, target: &str, body: &str) -> Result<String, ClientError> {
        self.send(method, target, body, None)
    }

    /// Sends something that is to happen once, however often it has to be sent until there is a reply: the key makes the server
    /// give the reply that was lost.
    ///
    /// # Errors
    /// [`ClientError`]: what will not pass, or what has not passed after half a minute.
    pub fn post_once(&self, target: &str, body: &str, key: &str) -> Result<String, ClientError> {
        let mut pauses = [1, 2, 4, 8, 15].into_iter();
        loop {
            match (self.send("POST", target, body, Some(key)), pauses.next()) {
                (Err(error), Some(pause)) if error.is_passing() => {
                    std::thread::sleep(Duration::from_secs(pause));
                }
                (reply, _) => return reply,
            }
        }
    }

    fn send(
        &self,
        method: &str,
        target: &str,
        body: &str,
        key: Option<&str>,
    ) -> Result<String, ClientError> {
        match self.once(method, target, body, key) {
            // The reply told the server's time: sign again with it.
            Err(ClientError::Problem(problem)) if problem.is(ProblemKind::ClockSkew) => {
                self.once(method, target, body, key)
            }
            other => other,
        }
    }

    fn once(
        &self,
        method: &str,
        target: &str,
        body: &str,
        key: Option<&str>,
    ) -> Result<String, ClientError> {
        let unreachable =
            |reason: String| ClientError::Unreachable { url: self.base.clone(), reason };
        let mut request = Request::builder().method(method).uri(format!("{}{target}", self.base));
        match &self.identity {
            Identity::Token(token) => {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            Identity::Party { name, key } => {
                let ahead = SignedDuration::from_millis(self.skew_ms.load(Ordering::Relaxed));
                let now = Timestamp::now() + ahead;
                let signed = SignedRequest::sign(name, method, target, body.as_bytes(), now, key);
                let values = [signed.party, signed.time, signed.signature];
                for (field, value) in SignedRequest::FIELDS.into_iter().zip(values) {
                    request = request.header(field, value);
                }
            }
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if body.len() >= ASK_FIRST {
            request = request.header("expect", "100-continue");
        }
        let kind =
            if body.starts_with('{') { "application/json" } else { "text/plain; charset=utf-8" };
        let request = request
            .header("content-type", kind)
            .body(body.to_owned())
            .map_err(|error| ClientError::Settings(error.to_string()))?;
        let mut response =
            self.agent.run(request).map_err(|error| unreachable(error.to_string()))?;
        self.note_clock(&response);
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(LARGEST_REPLY)
            .read_to_string()
            .map_err(|error| unreachable(error.to_string()))?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(ClientError::Problem(problem)),
            Err(_) if status >= 500 => Err(unreachable(format!("status {status}"))),
            Err(_) => Err(ClientError::Form {
                url: self.base.clone(),
                reason: format!("status {status}"),
            }),
        }
    }

    /// Learns how far the server's clock is ahead.
    fn note_clock<B>(&self, response: &Response<B>) {
        let date = response.headers().get("date").and_then(|v| v.to_str().ok());
        let Some(date) = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()) else { return };
        let ahead = date.timestamp().duration_since(Timestamp::now());
        // The field has whole seconds: small differences are none.
        let ms = if ahead.as_secs().abs() < 30 { 0 } else { ahead.as_millis() as i64 };
        self.skew_ms.store(ms, Ordering::Relaxed);
    }
}
