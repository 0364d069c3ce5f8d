//! A site: reads the national file, maps it onto the study's dictionary, counts what it cannot map, and answers questions.
//! The only room that sees rows; `polars` is named in `reader.rs` alone.

mod agent;
mod answer;
mod bands;
mod check;
mod deaths;
mod delimited;
mod folder;
mod format;
mod life_table;
mod mapping;
mod population;
mod reader;
mod records;
mod table;

pub use agent::{
    Agent, AgentConfig, AgentError, AutoApproval, Decision, Desk, HubAddress, Maker, Pending,
    Progress,
};
pub use answer::{Answers, answer};
pub use check::{QualityReport, check};
pub use folder::{SiteError, SiteFolder};
pub use mapping::Mapping;
pub use reader::RawTable;
pub use records::{Records, RowFault};
pub use table::Registry;
