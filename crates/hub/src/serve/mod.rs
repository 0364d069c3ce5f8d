//! What hub and keyholder share as servers: problems as replies, request ids, structured logs without data, metrics, rate
//! and size limits, TLS, graceful shutdown.

mod listen;
mod metrics;
mod reply;

pub use listen::{Limits, ServeError, TlsFiles, bind, listen, shutdown_signal};
pub use metrics::Metrics;
pub use reply::{Failure, document_text, layers};
