//! What sites and hub share. From the ground up: [`limits`], [`vocabulary`], [`estimate`] · [`cohort`] (rows of one site as plain
//! columns) · [`summary`] (what may leave a site) · [`spec`] (study and analysis) · [`model`] (the contract of a model) · [`run`] ·
//! [`seal`], [`ledger`], [`protocol`].

pub mod cohort;
pub mod estimate;
pub mod ledger;
pub mod limits;
pub mod model;
pub mod protocol;
pub mod run;
pub mod seal;
pub mod spec;
pub mod summary;
pub mod vocabulary;
