//! Tables that the field agrees on, embedded as data.

pub mod survival_standards;
