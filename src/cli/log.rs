//! The structured log of the long-running commands.

/// Starts it: JSON lines on stderr, without data. Filter by the environment variable `TRIBUTARY_LOG`, such as
/// `tributary=debug`.
pub(super) fn start() {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_from_env("TRIBUTARY_LOG")
        .unwrap_or_else(|_| EnvFilter::new("tributary=info,warn"));
    let log = fmt().json().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if log.try_init().is_err() {
        tracing::debug!("the log was started before");
    }
}
