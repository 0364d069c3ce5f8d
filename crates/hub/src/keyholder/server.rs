//! The keyholder as a server: one door for the hub, and health for whoever runs it.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tributary_core::{
    ledger::Ledger,
    protocol::{Document, OpeningRequest, ProblemKind},
    seal::{Roster, read_opening, read_signing},
};

use super::{Keyholder, OpeningError};
use crate::serve::{self, Failure, Limits, Metrics, TlsFiles, document_text, layers};

/// File `keyholder.toml`. Paths are relative to its folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyholderConfig {
    /// Address to listen on; not needed for openings by file.
    #[serde(default)]
    pub listen: Option<String>,
    /// Folder with `signing.key` and `opening.key`.
    pub keys: PathBuf,
    /// Roster files of the studies it serves.
    pub rosters: Vec<PathBuf>,
    /// Its own floor; a roster can only raise it.
    #[serde(default = "three")]
    pub min_sites: usize,
    /// Its ledger.
    #[serde(default = "ledger_file")]
    pub ledger: PathBuf,
    /// Certificate and key, unless a proxy in front has them.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// What is not accepted.
    #[serde(default)]
    pub limits: Limits,
}

fn three() -> usize {
    3
}

fn ledger_file() -> PathBuf {
    "ledger.jsonl".into()
}

/// Why a keyholder cannot start.
#[derive(Debug, thiserror::Error)]
pub enum KeyholderStartError {
    /// A file.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// File.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key file.
    #[error(transparent)]
    Key(#[from] tributary_core::seal::KeyFileError),
    /// A roster file.
    #[error(transparent)]
    Roster(#[from] tributary_core::seal::SealError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] tributary_core::ledger::LedgerError),
    /// Keys and rosters that do not fit.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The server.
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
}

impl KeyholderConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Self, KeyholderStartError> {
        let wrong = |reason: String| KeyholderStartError::File { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let place = |path: &mut PathBuf| *path = folder.join(&*path);
        place(&mut config.keys);
        place(&mut config.ledger);
        config.rosters.iter_mut().for_each(place);
        if let Some(tls) = &mut config.tls {
            place(&mut tls.certificate);
            place(&mut tls.key);
        }
        Ok(config)
    }

    /// The keyholder that the file describes.
    ///
    /// # Errors
    /// If a key, a roster or the ledger cannot be used.
    pub fn keyholder(&self) -> Result<Keyholder, KeyholderStartError> {
        let mut rosters = Vec::new();
        for path in &self.rosters {
            let text = std::fs::read_to_string(path).map_err(|error| {
                KeyholderStartError::File { path: path.clone(), reason: error.to_string() }
            })?;
            rosters.push(Roster::parse(&path.display().to_string(), &text)?);
        }
        let (opening, signing) = (read_opening(&self.keys)?, read_signing(&self.keys)?);
        let ledger = Ledger::open(&self.ledger)?;
        Ok(Keyholder::new(opening, signing, rosters, self.min_sites, ledger)?)
    }
}

#[derive(Debug, Clone)]
struct Shared {
    keyholder: Arc<Mutex<Keyholder>>,
    metrics: Metrics,
}

/// Routes of a keyholder.
pub fn router(keyholder: Keyholder, limits: &Limits) -> Router {
    let metrics = Metrics::default();
    let shared = Shared { keyholder: Arc::new(Mutex::new(keyholder)), metrics: metrics.clone() };
    let router = Router::new()
        .route("/v1/openings", put(open))
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/ready", get(ready))
        .route("/metrics", get(async |State(shared): State<Shared>| shared.metrics.text()))
        .with_state(shared);
    layers(router, limits, metrics)
}

/// Serves until `stop` ends.
///
/// # Errors
/// If the listener or certificate cannot be used.
pub async fn serve_keyholder(
    config: &KeyholderConfig,
    keyholder: Keyholder,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), KeyholderStartError> {
    let router = router(keyholder, &config.limits);
    Ok(serve::listen(listener, config.tls.as_ref(), router, stop).await?)
}

async fn ready(State(shared): State<Shared>) -> Json<serde_json::Value> {
    let keyholder = shared.keyholder.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({ "status": "ready", "rosters": keyholder.rosters().collect::<Vec<_>>() }))
}

async fn open(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let text = document_text(&headers, body.to_vec())?;
    let opened = tokio::task::spawn_blocking(move || {
        let request: OpeningRequest = Document::parse(&text)?;
        // One at a time: the ledger decides, and it must know what was opened before.
        let mut keyholder = shared.keyholder.lock().unwrap_or_else(PoisonError::into_inner);
        let opening =
            keyholder.open(&request, Timestamp::now()).map_err(|error| opening_failure(&error))?;
        drop(keyholder);
        shared.metrics.event("opened");
        Ok::<_, Failure>(opening.to_text())
    })
    .await
    .map_err(|error| Failure::internal(&error))??;
    Ok(([("content-type", "text/plain; charset=utf-8")], opened).into_response())
}

fn opening_failure(error: &OpeningError) -> Failure {
    let kind = match error {
        OpeningError::Roster { .. } | OpeningError::Keys { .. } => ProblemKind::WrongRoster,
        OpeningError::Hub | OpeningError::Envelope { .. } => ProblemKind::BadSignature,
        OpeningError::Form(_) => ProblemKind::MalformedDocument,
        OpeningError::Ledger(_) => return Failure::internal(error),
    };
    kind.with(error.to_string()).into()
}
