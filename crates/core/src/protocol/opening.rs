//! Openings: the hub tells the keyholder whose answers it holds; the keyholder returns the sum of those sites' masks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::document::{Document, Header, Payload};
use crate::{seal::Envelope, summary::SiteId};

/// One model of an opening request: the sites whose answers the hub holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartList {
    /// Number of the part.
    pub part: u32,
    /// Model.
    pub model: String,
    /// Words of each answer.
    pub words: usize,
    /// Sites.
    pub sites: BTreeSet<SiteId>,
}

/// What the hub asks of the keyholder for one round. Signed by the hub. Holds no statistic, masked or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpeningRequestHeader {
    /// Study.
    pub study: String,
    /// Run.
    pub run: String,
    /// Round, from 0.
    pub round: usize,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// SHA-256 of what was asked.
    pub question: String,
    /// SHA-256 of the roster.
    pub roster: String,
    /// The sealed models.
    pub parts: Vec<PartList>,
    /// The seeds of all sites named above.
    pub envelopes: Vec<Envelope>,
    /// No words follow.
    pub payload: Payload,
}

impl Header for OpeningRequestHeader {
    const FORMAT: &str = "tributary opening request 1";
    fn payload(&self) -> &Payload {
        &self.payload
    }
}

/// A signed opening request.
pub type OpeningRequest = Document<OpeningRequestHeader>;

/// Why the keyholder does not open a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpeningRule {
    /// The list has fewer sites than a sum needs.
    MinSites,
    /// Together with a list opened before, it would isolate fewer sites than a sum needs.
    Isolates,
}

impl OpeningRule {
    /// The rule in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::MinSites => "the keyholder does not open sums of so few sites",
            Self::Isolates => {
                "the keyholder has opened this question for another list of sites, and the difference would isolate too few \
                 of them"
            }
        }
    }
}

/// One model of an opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenedPart {
    /// Number of the part.
    pub part: u32,
    /// Model.
    pub model: String,
    /// Words of the sum of masks in the payload; 0 if it was refused.
    pub words: usize,
    /// Sites in the sum.
    pub sites: BTreeSet<SiteId>,
    /// Why it was not opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<OpeningRule>,
}

/// Sums of masks. Signed by the keyholder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpeningHeader {
    /// Run.
    pub run: String,
    /// Round, from 0.
    pub round: usize,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// SHA-256 of the roster.
    pub roster: String,
    /// The models asked for.
    pub parts: Vec<OpenedPart>,
    /// Sums of masks, part after part.
    pub payload: Payload,
}

impl Header for OpeningHeader {
    const FORMAT: &str = "tributary opening 1";
    fn payload(&self) -> &Payload {
        &self.payload
    }
}

/// A signed opening.
pub type Opening = Document<OpeningHeader>;
