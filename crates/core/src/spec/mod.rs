//! What people write: the study with its dictionary and rules, and the analysis with its population and models. TOML, unknown
//! fields refused, all faults shown at once, each at its line.

mod analysis;
mod condition;
mod dictionary;
mod grain;
mod shape;
mod source;
mod study;

pub(crate) use analysis::MODEL_FIELDS;
pub use analysis::followup_faults;
pub use analysis::{
    AnalysisSpec, ComparedEstimate, Comparison, ModelSpec, Pooling, Population, Range, ReportSpec,
    TermRef,
};
pub use condition::day_number;
pub use condition::{Condition, Scalar};
pub use dictionary::{Derivation, Dictionary, Variable, VariableKind};
pub use grain::{Grain, GrainParts, GrainUnit, GrainWord, grain_faults};
pub use shape::schema_faults;
pub use source::suggestion;
pub use source::{Fault, Faults, Source};
pub use study::{DataKind, Study};
