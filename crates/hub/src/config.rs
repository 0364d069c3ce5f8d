//! File `hub.toml`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::serve::{Limits, TlsFiles};

/// Settings of a hub. Paths are relative to the folder of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// Address to listen on, such as `0.0.0.0:8443`.
    pub listen: String,
    /// Database: `sqlite:hub.db`, or `postgres://user:password@host/name`.
    pub database: String,
    /// Folder with `signing.key`.
    pub keys: PathBuf,
    /// The keyholder.
    pub keyholder: Peer,
    /// Certificate and key, unless a proxy in front has them.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// What is not accepted.
    #[serde(default)]
    pub limits: Limits,
    /// How long sites and keyholder may take.
    #[serde(default)]
    pub periods: Periods,
    /// Login by a provider.
    #[serde(default)]
    pub oidc: Option<OidcConfig>,
}

/// Another server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Address, such as `https://keyholder.example`.
    pub url: String,
    /// PEM file of a certificate authority to trust instead of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// How long the parties of a run may take, unless the run says otherwise.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Periods {
    /// For the sites to decide, seconds.
    pub consent_s: i64,
    /// For the sites to answer a round and the keyholder to open it, seconds.
    pub round_s: i64,
}

impl Default for Periods {
    fn default() -> Self {
        Self { consent_s: 14 * 86_400, round_s: 3 * 86_400 }
    }
}

/// A login provider (OpenID Connect, authorization code with PKCE).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// Issuer, as in its discovery document.
    pub issuer: String,
    /// What the provider calls this hub.
    pub client_id: String,
    /// File with the secret, for a confidential client.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Address by which browsers reach this hub, such as `https://hub.example`.
    pub public_url: String,
}

impl HubConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn parse(text: &str, folder: &std::path::Path) -> Result<Self, toml::de::Error> {
        let mut config: Self = toml::from_str(text)?;
        let place = |path: &mut PathBuf| *path = folder.join(&*path);
        place(&mut config.keys);
        config.keyholder.ca.iter_mut().for_each(place);
        if let Some(tls) = &mut config.tls {
            place(&mut tls.certificate);
            place(&mut tls.key);
        }
        if let Some(oidc) = &mut config.oidc {
            oidc.client_secret_file.iter_mut().for_each(place);
        }
        if let Some(file) = config.database.strip_prefix("sqlite:") {
            config.database =
                format!("sqlite:{}", folder.join(file.trim_start_matches("//")).display());
        }
        Ok(config)
    }
}
