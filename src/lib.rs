pub mod cohort;
pub mod estimate;
pub mod model;
pub mod models;
pub mod spec;
pub mod stats;
pub mod summary;
