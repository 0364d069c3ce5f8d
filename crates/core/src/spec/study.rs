//! A study: its sites, its dictionary and the rules that every site may only tighten.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    dictionary::Dictionary,
    source::{Fault, Faults, Source},
};
use crate::summary::{Policy, SiteId};

/// Whose the data of a study are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// Persons', to be protected.
    #[default]
    Protected,
    /// Anybody's: published data sets and invented ones. Nothing is too fine to be asked.
    Public,
}

impl DataKind {
    /// Whether questions are held against the grain.
    pub fn is_protected(&self) -> bool {
        *self == Self::Protected
    }
}

/// File `study.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Short name.
    pub id: String,
    /// Title in reports.
    pub title: String,
    /// Where the data come from, in a sentence or two for the report.
    pub source: String,
    /// Codes of the member sites.
    pub sites: Vec<String>,
    /// Whose the data are; the grain of the dictionary holds unless they are public.
    #[serde(default, skip_serializing_if = "DataKind::is_protected")]
    pub data: DataKind,
    /// Disclosure rules.
    #[serde(default)]
    pub policy: Policy,
    /// Data dictionary.
    pub dictionary: Dictionary,
}

impl Study {
    /// JSON schema of the file.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Reads and checks the file.
    pub fn parse(name: &str, text: &str) -> Result<Self, Faults> {
        let source = Source::parse(name, text)?;
        let study: Self = source.read(&Self::schema())?;
        let mut faults = study.dictionary.faults("/dictionary", study.data);
        for (i, code) in study.sites.iter().enumerate() {
            let pointer = format!("/sites/{i}");
            if let Err(error) = SiteId::new(code) {
                faults.push(Fault::new(&pointer, error.to_string()));
            }
            if study.sites[..i].contains(code) {
                faults.push(Fault::new(pointer, format!("site `{code}` is listed twice")));
            }
        }
        if faults.is_empty() { Ok(study) } else { Err(source.faults(&faults)) }
    }
}
