//! The roster: who takes part in a study, and by which keys they are known. Every party holds its own copy; a key that was
//! swapped in one copy gives another hash, and everything that is sealed or signed is bound to the hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PublicKey, SealError, SealingKey, canonical, sha256};
use crate::summary::SiteId;

/// File `roster.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Study.
    pub study: String,
    /// Fewest sites that a sum may rest on, and fewest by which two sums may differ.
    pub min_sites: usize,
    /// The hub.
    pub hub: HubKeys,
    /// The keyholder.
    pub keyholder: KeyholderKeys,
    /// Signing keys of the member sites.
    pub sites: BTreeMap<SiteId, SiteKeys>,
}

/// Keys of the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubKeys {
    /// Signs questions and requests to the keyholder.
    pub signing_key: PublicKey,
}

/// Keys of the keyholder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyholderKeys {
    /// Signs openings.
    pub signing_key: PublicKey,
    /// Sites seal their seeds with it.
    pub sealing_key: SealingKey,
}

/// Keys of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteKeys {
    /// Signs answers.
    pub signing_key: PublicKey,
}

impl Roster {
    /// Reads a roster file.
    ///
    /// # Errors
    /// [`SealError::Roster`] says what is wrong and where.
    pub fn parse(name: &str, text: &str) -> Result<Self, SealError> {
        let wrong = |reason: String| SealError::Roster { name: name.to_owned(), reason };
        let roster: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if roster.min_sites < 2 {
            return Err(wrong("min_sites is below 2: a sum of one site is that site's own".into()));
        }
        if roster.sites.len() < roster.min_sites {
            let found = roster.sites.len();
            return Err(wrong(format!("{found} sites, but min_sites = {}", roster.min_sites)));
        }
        let keys: Vec<&PublicKey> = roster.sites.values().map(|s| &s.signing_key).collect();
        let twice = keys.iter().enumerate().any(|(i, key)| keys[..i].contains(key));
        if twice {
            return Err(wrong("two sites have the same signing key".into()));
        }
        Ok(roster)
    }

    /// The file.
    pub fn to_toml(&self) -> String {
        // Unwrap safety: strings, a number and tables of them always serialise.
        toml::to_string(self).expect("a roster is TOML")
    }

    /// SHA-256 of the roster's canonical JSON, in hexadecimal.
    pub fn hash(&self) -> String {
        sha256(&canonical(self))
    }

    /// The signing key of a site.
    pub fn site(&self, site: &SiteId) -> Option<&PublicKey> {
        self.sites.get(site).map(|keys| &keys.signing_key)
    }
}
