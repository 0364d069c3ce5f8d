//! Times are whole days (`i32`), counted from the start of follow-up; a risk set at day *t* holds everybody with
//! `entry < t <= exit`. Matrices are symmetric and dense, small (one row per covariate or group).
//!
#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![deny(clippy::disallowed_methods)]

pub mod actuarial;
pub mod age_period_cohort;
pub mod bayes_random_effects;
pub mod beta_binomial;
pub mod beta_product;
pub mod between;
pub mod climb;
pub mod competing;
pub mod cox;
pub mod cumulative_hazard;
pub mod distribution;
pub mod dose_response;
pub mod effect_size;
pub mod event_table;
pub mod fine_gray;
pub mod histogram;
pub mod jet;
pub mod joinpoint;
pub mod kappa;
pub mod life_table;
pub mod likelihood;
pub mod likelihood_curve;
pub mod log_rank;
pub mod matrix;
pub mod meta_diagnostics;
pub mod meta_regression;
pub mod multi_state;
pub mod multivariate_meta;
pub mod negative_binomial;
pub mod net_survival;
pub mod newton;
pub mod parametric;
pub mod penalised;
pub mod poisson;
pub mod product_limit;
pub mod projection;
pub mod quadrature;
pub mod random_effects;
pub mod random_effects_glmm;
pub mod rate;
pub mod rate_ratio;
pub mod recurrent;
pub mod root;
pub mod site_counts;
pub mod spline;
pub mod sum;
pub mod trend;
pub mod two_by_two;
