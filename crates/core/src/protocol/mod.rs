//! What parties send each other: signed documents with a version in their first line, signed requests, and problems.
//!
//! | document | from | to |
//! |---|---|---|
//! | question | hub | sites |
//! | decision | site | hub |
//! | answer | site | hub |
//! | opening request | hub | keyholder |
//! | opening | keyholder | hub |

mod answer;
mod document;
mod opening;
mod problem;
mod question;
mod request;

pub use answer::{
    Address, AnswerError, AnswerFile, AnswerHeader, Outgoing, Part, Sealed, question_hash, seal,
};
pub use document::{Document, DocumentError, Header, Payload};
pub use opening::{
    OpenedPart, Opening, OpeningHeader, OpeningRequest, OpeningRequestHeader, OpeningRule, PartList,
};
pub use problem::{Problem, ProblemKind};
pub use question::{DecisionFile, DecisionHeader, QuestionFile, QuestionHeader};
pub use request::{MAX_CLOCK_SKEW_S, RequestError, SignedRequest};
