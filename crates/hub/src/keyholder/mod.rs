//! The keyholder: a second institution that holds the masks. A sum opens only if hub and keyholder agree.

mod opening;
mod server;

pub use opening::{Keyholder, OpeningError};
pub use server::{KeyholderConfig, KeyholderStartError, router, serve_keyholder};
