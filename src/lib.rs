//! Tributary pools rare-cancer studies across countries without moving a single patient record: each country turns its own
//! registry file into sums, only sums leave, and the pooled answer equals what R gives on the pooled rows.
//!
//! This package is the program: its commands stand in [`cli`], everything else in the crates under `crates/`, which it names here.
//! `ARCHITECTURE.md` explains them in reading order.

pub mod cli;
#[cfg(feature = "serving")]
pub use tributary_client as client;
pub use tributary_core::{
    cohort, estimate, ledger, limits, model, protocol, run, seal, spec, summary, vocabulary,
};
#[cfg(feature = "hub")]
pub use tributary_hub::{self as hub, keyholder, serve};
pub use tributary_meta as meta;
pub use tributary_models::{self as models, plan};
pub use tributary_report::{self as report, results};
#[cfg(feature = "site")]
pub use tributary_site as site;
pub use tributary_stats as stats;
