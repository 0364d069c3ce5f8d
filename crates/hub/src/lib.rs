//! The hub: pools what the sites answer and makes the next step. It can read sums, and answers that are visible per site by
//! the analysis's own choice; nothing else.
//!
//! `pool` and `advance` are the statistics of it, `store` its memory, `driver` its hands, `api` its door.

mod advance;
pub mod api;
mod config;
mod driver;
pub mod keyholder;
mod pool;
pub mod serve;
mod state;
pub mod store;

pub use advance::{Sums, advance};
pub use config::{HubConfig, OidcConfig, Peer, Periods};
pub use driver::drive_once;
pub use pool::{Pool, PoolError};
pub use state::{Clock, Hub, StartError};

use std::net::TcpListener;

/// Serves until `stop` ends. Several hubs may share one PostgreSQL database.
///
/// # Errors
/// [`StartError`] if it cannot start, or the listener fails.
pub async fn serve_hub(
    config: &HubConfig,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), StartError> {
    let hub = Hub::start(config, Clock::default()).await?;
    let router = api::router(hub.clone(), &config.limits);
    let (looking, driving) = (tokio::spawn(hub.clone().look()), tokio::spawn(driver::drive(hub)));
    let served = serve::listen(listener, config.tls.as_ref(), router, stop).await;
    // What they were doing is done again by whoever leases the run next.
    looking.abort();
    driving.abort();
    Ok(served?)
}
