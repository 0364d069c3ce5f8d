pub mod stats;
pub mod summary;
