//! Listening: plain or TLS, until told to stop; open requests are finished first.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use serde::Deserialize;

/// Certificate and key of a server, PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// What a server does not accept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest body, bytes.
    pub max_body_bytes: usize,
    /// Requests that one address may send per second, on average; ten times as many at once.
    pub requests_per_second: u32,
    /// Whether a proxy in front says where requests come from (`X-Forwarded-For`).
    pub behind_proxy: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body_bytes: 64 << 20, requests_per_second: 200, behind_proxy: false }
    }
}

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address.
    #[error("{address}: {error}; name another address with `listen`")]
    Address {
        /// Address.
        address: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// Certificate or key.
    #[error("certificate or key of the server: {0}")]
    Tls(std::io::Error),
    /// While serving.
    #[error("the server stopped: {0}")]
    Stopped(std::io::Error),
}

/// How long a connection may take until its first request is there.
const FIRST_REQUEST: Duration = Duration::from_secs(20);

/// Takes an address; port 0 takes a free one.
///
/// # Errors
/// If the address is taken or not one of this machine.
pub fn bind(address: &str) -> Result<TcpListener, ServeError> {
    let taken = |error| ServeError::Address { address: address.to_owned(), error };
    let listener = TcpListener::bind(address).map_err(taken)?;
    listener.set_nonblocking(true).map_err(taken)?;
    Ok(listener)
}

/// Serves until `stop` ends, then finishes what is open, for ten seconds at most.
///
/// # Errors
/// If certificate or key cannot be read, or the listener fails.
pub async fn listen(
    listener: TcpListener,
    tls: Option<&TlsFiles>,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let handle = Handle::<SocketAddr>::new();
    let stopper = handle.clone();
    tokio::spawn(async move {
        stop.await;
        stopper.graceful_shutdown(Some(Duration::from_secs(10)));
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    match tls {
        None => {
            let server = axum_server::from_tcp(listener).map_err(ServeError::Stopped)?;
            server
                .handle(handle)
                .first_request_timeout(FIRST_REQUEST)
                .serve(service)
                .await
                .map_err(ServeError::Stopped)
        }
        Some(TlsFiles { certificate, key }) => {
            let config =
                RustlsConfig::from_pem_file(certificate, key).await.map_err(ServeError::Tls)?;
            let server =
                axum_server::from_tcp_rustls(listener, config).map_err(ServeError::Stopped)?;
            server
                .handle(handle)
                .first_request_timeout(FIRST_REQUEST)
                .serve(service)
                .await
                .map_err(ServeError::Stopped)
        }
    }
}

/// Ends when the process is asked to stop: Ctrl-C, or SIGTERM.
pub async fn shutdown_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
