//! `tributary audit verify`: whether a ledger or audit log is as it was written.

use std::path::Path;

use super::Ending;
use crate::ledger::{Entry, Ledger};

/// Verifies the ledger file of a site or keyholder.
pub(super) fn verify_file(path: &Path) -> anyhow::Result<Ending> {
    report(&Ledger::verify(path)?);
    Ok(Ending::Done)
}

/// Verifies the audit log in a hub's database.
#[cfg(feature = "hub")]
pub(super) fn verify_database(url: &str) -> anyhow::Result<Ending> {
    use crate::{hub::store::Store, ledger::verify_entries};
    let entries = super::serve::runtime()?.block_on(async {
        let store = Store::connect(url).await?;
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let page = store.audit_after(entries.last().map_or(0, |e| e.seq), 1000).await?;
            if page.is_empty() {
                return Ok::<_, anyhow::Error>(entries);
            }
            entries.extend(page);
        }
    })?;
    verify_entries(&entries)?;
    report(&entries);
    Ok(Ending::Done)
}

fn report(entries: &[Entry]) {
    match (entries.first(), entries.last()) {
        (Some(first), Some(last)) => {
            say!("{} entries, {} to {}, chain intact", entries.len(), first.at, last.at);
            say!("last hash {}", last.hash);
            say!(
                "the chain does not show whether entries were removed at its end: compare the last hash with a copy kept elsewhere"
            );
        }
        _ => say!("no entries"),
    }
}
