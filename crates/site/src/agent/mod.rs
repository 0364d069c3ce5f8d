//! The agent of a site: asks the hub what is asked, shows it to a person (or finds it approved beforehand), computes, passes
//! the gate, seals, writes the ledger, and only then answers. It connects outwards only.
//!
//! Its folder holds `agent.toml`, `ledger.jsonl`, and one file per question, decision and answer, so that a restart at any
//! point goes on where it was, and a round never gets a second, different answer.

mod desk;
mod maker;
mod work;

pub use desk::{Decision, Desk, Pending};
pub use maker::Maker;
pub use work::{Agent, AgentError, Progress};

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tributary_core::seal::Roster;

/// File `agent.toml`. Paths are relative to its folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// Study.
    pub study: String,
    /// Site folder.
    pub site: PathBuf,
    /// Folder with `signing.key`.
    pub keys: PathBuf,
    /// Roster file of the study: this site's own copy.
    pub roster: PathBuf,
    /// The hub.
    pub hub: HubAddress,
    /// Questions that need no person any more, by hash.
    #[serde(default)]
    pub auto_approve: Vec<AutoApproval>,
    /// Folder of `agent.toml`.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Where the hub is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubAddress {
    /// Address, such as `https://hub.example`.
    pub url: String,
    /// PEM file of a certificate authority to trust instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// A question that was approved beforehand: this analysis in exactly this wording.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoApproval {
    /// Analysis.
    pub analysis: String,
    /// SHA-256 of study and specification, as `tributary analysis check` prints it.
    pub specification: String,
}

impl AgentConfig {
    /// Reads `agent.toml` of a folder.
    ///
    /// # Errors
    /// [`AgentError::File`] says what is wrong.
    pub fn open(folder: &Path) -> Result<Self, AgentError> {
        let path = folder.join("agent.toml");
        let wrong = |reason: String| AgentError::File { path: path.clone(), reason };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        for path in [&mut config.site, &mut config.keys, &mut config.roster] {
            *path = folder.join(&*path);
        }
        config.hub.ca.iter_mut().for_each(|path| *path = folder.join(&*path));
        folder.clone_into(&mut config.folder);
        Ok(config)
    }

    /// This site's copy of the roster.
    ///
    /// # Errors
    /// If the file cannot be read or is no roster.
    pub fn roster(&self) -> Result<Roster, AgentError> {
        let wrong = |reason: String| AgentError::File { path: self.roster.clone(), reason };
        let text =
            std::fs::read_to_string(&self.roster).map_err(|error| wrong(error.to_string()))?;
        Ok(Roster::parse(&self.roster.display().to_string(), &text)?)
    }
}
