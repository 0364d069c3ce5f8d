//! Tables that the field agrees on, embedded as data.

pub mod population_standards;
pub mod survival_standards;
