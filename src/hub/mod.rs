//! The hub: pools what the sites answer and makes the next step. It can read summaries and nothing else.

mod driver;

pub use driver::advance;
