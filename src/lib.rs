//! Tributary pools rare-cancer studies across countries without moving a single patient record: each country turns its own
//! registry file into sums, only sums leave, and the pooled answer equals what R gives on the pooled rows.
//!
//! Rooms from the ground up: [`stats`], [`limits`], [`cohort`], [`estimate`] · [`summary`] · [`spec`] · [`model`] · [`models`], [`run`] ·
//! [`plan`], [`results`] · [`report`] · `site`, `hub` · `cli`. `ARCHITECTURE.md` explains them in reading order.

pub mod cli;
#[cfg(feature = "serving")]
pub mod client;
pub mod cohort;
pub mod estimate;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "hub")]
pub mod keyholder;
pub mod ledger;
pub mod limits;
pub mod meta;
pub mod model;
pub mod models;
pub mod plan;
pub mod protocol;
pub mod report;
pub mod results;
pub mod run;
pub mod seal;
#[cfg(feature = "hub")]
pub mod serve;
#[cfg(feature = "site")]
pub mod site;
pub mod spec;
pub mod stats;
pub mod summary;
pub mod vocabulary;
