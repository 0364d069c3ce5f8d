//! The keyholder: a second institution that holds the masks. A sum opens only if hub and keyholder agree.

mod opening;

pub use opening::{Keyholder, OpeningError};
