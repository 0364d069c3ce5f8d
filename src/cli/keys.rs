//! Keys and rosters: `tributary site keygen`, `hub keygen`, `keyholder keygen`, `roster show`.

use std::{fs, path::Path};

use anyhow::Context;

use super::Ending;
use crate::seal::Roster;
#[cfg(feature = "hub")]
use crate::seal::{OpeningKey, write_opening};
#[cfg(feature = "serving")]
use crate::seal::{SigningKey, write_signing};
#[cfg(feature = "site")]
use crate::summary::SiteId;

/// Whose keys.
#[cfg(feature = "serving")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Party {
    #[cfg(feature = "site")]
    Site(SiteId),
    #[cfg(feature = "hub")]
    Hub,
    #[cfg(feature = "hub")]
    Keyholder,
}

#[cfg(feature = "serving")]
/// Makes new keys in `folder` and prints the public part for the roster.
pub(super) fn generate(party: Party, folder: &Path) -> anyhow::Result<Ending> {
    fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be created", folder.display()))?;
    let signing = SigningKey::generate()?;
    eprintln!(
        "wrote {}: keep it secret, and keep a backup",
        write_signing(folder, &signing)?.display()
    );
    let signing = String::from(signing.public());
    match party {
        #[cfg(feature = "site")]
        Party::Site(code) => {
            say!("# for roster.toml\n[sites.{}]\nsigning_key = \"{signing}\"", code.as_str());
        }
        #[cfg(feature = "hub")]
        Party::Hub => say!("# for roster.toml\n[hub]\nsigning_key = \"{signing}\""),
        #[cfg(feature = "hub")]
        Party::Keyholder => {
            let opening = OpeningKey::generate()?;
            eprintln!("wrote {}", write_opening(folder, &opening)?.display());
            let sealing = String::from(opening.public());
            say!(
                "# for roster.toml\n[keyholder]\nsigning_key = \"{signing}\"\nsealing_key = \"{sealing}\""
            );
        }
    }
    Ok(Ending::Done)
}

/// Reads a roster file.
pub(super) fn roster(path: &Path) -> anyhow::Result<Roster> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Roster::parse(&path.display().to_string(), &text)?)
}

/// Prints the fingerprint that parties compare over another channel.
pub(super) fn show(path: &Path) -> anyhow::Result<Ending> {
    let roster = roster(path)?;
    let hash = roster.hash();
    let groups: Vec<&str> = (0..hash.len()).step_by(4).map(|i| &hash[i..i + 4]).collect();
    say!(
        "study {}, {} sites, sums of at least {} sites",
        roster.study,
        roster.sites.len(),
        roster.min_sites
    );
    say!("hub        {}", String::from(roster.hub.signing_key.clone()));
    say!("keyholder  {}", String::from(roster.keyholder.signing_key.clone()));
    for (site, keys) in &roster.sites {
        say!("{:<10} {}", site.as_str(), String::from(keys.signing_key.clone()));
    }
    say!("\nfingerprint {hash}");
    say!("to compare by telephone: {}", groups[..8].join(" "));
    Ok(Ending::Done)
}
