//! The hub: pools what the sites answer and makes the next step. It can read sums, and answers that are visible per site by
//! the analysis's own choice; nothing else.

mod advance;
mod pool;

pub use advance::{Sums, advance};
pub use pool::{Pool, PoolError};
