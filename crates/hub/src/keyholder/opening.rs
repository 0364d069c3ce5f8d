//! The keyholder's one task: for a list of sites, the sum of their masks. It never sees a statistic, masked or not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rayon::prelude::*;
use serde_json::json;
use tributary_core::{
    ledger::{Ledger, LedgerError},
    protocol::{
        Document, OpenedPart, Opening, OpeningHeader, OpeningRequest, OpeningRule, PartList,
        Payload,
    },
    seal::{Binding, Envelope, OpeningKey, Roster, SealError, Seed, SigningKey, isolates, words},
    summary::SiteId,
};

/// Action of the ledger entries that record an opened list.
const OPENED: &str = "opened";
/// Most words of one request. A body that the hub takes holds a fifth of them.
const MOST_WORDS: usize = 1 << 24;
/// Action of the ledger entries that record a refused list.
const REFUSED: &str = "refused";

/// The keyholder: its keys, the rosters it serves, and the ledger of what it opened.
#[derive(Debug)]
pub struct Keyholder {
    opening_key: OpeningKey,
    signing_key: SigningKey,
    rosters: BTreeMap<String, Roster>,
    min_sites: usize,
    ledger: Ledger,
}

/// Why a request is not served at all. A list that a rule forbids is no error: it is answered with the rule.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// A roster that this keyholder does not have.
    #[error(
        "roster {found} is not one of those this keyholder serves ({known}): compare the rosters before doing anything else"
    )]
    Roster {
        /// Hash in the request.
        found: String,
        /// Hashes here.
        known: String,
    },
    /// A key that is not this keyholder's.
    #[error("roster {roster} names other keys for the keyholder than the ones held here")]
    Keys {
        /// Hash of the roster.
        roster: String,
    },
    /// Not signed by the hub.
    #[error("the request is not signed by the hub in the roster")]
    Hub,
    /// An envelope that does not fit.
    #[error("site {site}: {reason}")]
    Envelope {
        /// Site.
        site: SiteId,
        /// What does not fit.
        reason: String,
    },
    /// A request of another form.
    #[error("{0}")]
    Form(&'static str),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Keyholder {
    /// A keyholder that serves `rosters`. `min_sites` is its own floor; a roster can only raise it.
    ///
    /// # Errors
    /// If a roster names other keys.
    pub fn new(
        opening_key: OpeningKey,
        signing_key: SigningKey,
        rosters: Vec<Roster>,
        min_sites: usize,
        ledger: Ledger,
    ) -> Result<Self, OpeningError> {
        let mut served = BTreeMap::new();
        for roster in rosters {
            let ours = roster.keyholder.sealing_key == opening_key.public()
                && roster.keyholder.signing_key == signing_key.public();
            if !ours {
                return Err(OpeningError::Keys { roster: roster.hash() });
            }
            served.insert(roster.hash(), roster);
        }
        Ok(Self { opening_key, signing_key, rosters: served, min_sites, ledger })
    }

    /// Hashes of the rosters it serves.
    pub fn rosters(&self) -> impl Iterator<Item = &str> {
        self.rosters.keys().map(String::as_str)
    }

    /// Opens what may be opened. The same request gives the same sums again; every list is in the ledger before its sum
    /// leaves.
    ///
    /// # Errors
    /// If the request is not one of the hub's, an envelope does not fit, or the ledger cannot be written.
    pub fn open(
        &mut self,
        request: &OpeningRequest,
        now: Timestamp,
    ) -> Result<Opening, OpeningError> {
        let header = &request.header;
        let roster = self.rosters.get(&header.roster).ok_or_else(|| OpeningError::Roster {
            found: header.roster.clone(),
            known: self.rosters.keys().map(|h| h[..12].to_owned()).collect::<Vec<_>>().join(", "),
        })?;
        request.verify(&roster.hub.signing_key).map_err(|_| OpeningError::Hub)?;
        if header.study != roster.study {
            return Err(OpeningError::Form("the request is for another study than the roster"));
        }
        let numbers: BTreeSet<u32> = header.parts.iter().map(|p| p.part).collect();
        let models: BTreeSet<&str> = header.parts.iter().map(|p| p.model.as_str()).collect();
        if numbers.len() < header.parts.len() || models.len() < header.parts.len() {
            return Err(OpeningError::Form(
                "two parts of the request have the same number or the same model",
            ));
        }
        let words = header.parts.iter().try_fold(0_usize, |n, part| n.checked_add(part.words));
        if words.is_none_or(|n| n > MOST_WORDS) {
            return Err(OpeningError::Form("the request is for more than 16,777,216 words"));
        }
        let seeds = self.seeds(request, roster)?;
        let own_floors: BTreeMap<SiteId, usize> = header
            .envelopes
            .iter()
            .map(|e| (e.binding.site.clone(), e.binding.min_sites))
            .collect();
        let min_sites = roster.min_sites.max(self.min_sites);

        // The largest lists first: where lists differ by too few sites, the sums over most sites are the ones that open.
        let mut order: Vec<usize> = (0..header.parts.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(header.parts[*i].sites.len()));
        let mut rules = vec![None; header.parts.len()];
        for i in order {
            let part = &header.parts[i];
            let asked = part.sites.iter().filter_map(|site| own_floors.get(site)).copied().max();
            let refused = self.judge(request, part, min_sites.max(asked.unwrap_or(0)));
            let (action, rule) =
                if refused.is_some() { (REFUSED, json!(refused)) } else { (OPENED, json!(null)) };
            let subject = json!({
                "run": header.run, "round": header.round, "specification": header.specification,
                "question": header.question, "roster": header.roster, "model": part.model, "words": part.words,
                "sites": part.sites, "rule": rule,
            });
            if !self.recorded(action, &subject) {
                self.ledger.append(now, "keyholder", action, subject)?;
            }
            rules[i] = refused;
        }
        let parts: Vec<OpenedPart> = header
            .parts
            .iter()
            .zip(rules)
            .map(|(part, refused)| OpenedPart {
                part: part.part,
                model: part.model.clone(),
                words: if refused.is_some() { 0 } else { part.words },
                sites: part.sites.clone(),
                refused,
            })
            .collect();
        let sums: Vec<Vec<u128>> =
            parts.par_iter().map(|part| sum_of_masks(part, &seeds)).collect();
        let payload: Vec<u128> = sums.into_iter().flatten().collect();
        let header = OpeningHeader {
            run: header.run.clone(),
            round: header.round,
            specification: header.specification.clone(),
            roster: header.roster.clone(),
            parts,
            payload: Payload::of(&payload),
        };
        Ok(Document::sign(header, payload, &self.signing_key))
    }

    /// The seeds of all sites in the request's lists. Every envelope must be the site's own, for this round, and cover the
    /// part with its length.
    fn seeds(
        &self,
        request: &OpeningRequest,
        roster: &Roster,
    ) -> Result<BTreeMap<SiteId, Seed>, OpeningError> {
        let header = &request.header;
        let mut envelopes: BTreeMap<&SiteId, &Envelope> = BTreeMap::new();
        for envelope in &header.envelopes {
            if envelopes.insert(&envelope.binding.site, envelope).is_some() {
                return Err(OpeningError::Form("two envelopes from the same site"));
            }
        }
        let mut seeds = BTreeMap::new();
        for site in header.parts.iter().flat_map(|p| &p.sites).collect::<BTreeSet<_>>() {
            let wrong = |reason: String| OpeningError::Envelope { site: site.clone(), reason };
            let envelope =
                envelopes.get(site).ok_or_else(|| wrong("there is no envelope".into()))?;
            let key = roster.site(site).ok_or_else(|| wrong("it is not in the roster".into()))?;
            let unsound = |error: SealError| wrong(error.to_string());
            envelope.verify(key).map_err(unsound)?;
            let Binding { run, round, specification, question, roster: hash, parts, .. } =
                &envelope.binding;
            let fits = *run == header.run
                && *round == header.round
                && *specification == header.specification
                && *question == header.question
                && *hash == header.roster;
            if !fits {
                return Err(wrong(
                    "its envelope is for another run, round, specification or question".into(),
                ));
            }
            for part in header.parts.iter().filter(|p| p.sites.contains(site)) {
                let covered = parts
                    .iter()
                    .any(|p| p.part == part.part && p.model == part.model && p.words == part.words);
                if !covered {
                    return Err(wrong(format!(
                        "its envelope does not cover model `{}`",
                        part.model
                    )));
                }
            }
            seeds.insert(site.clone(), envelope.open(&self.opening_key).map_err(unsound)?);
        }
        Ok(seeds)
    }

    /// The rule that forbids this list, if there is one. Lists of all rounds, runs and models of one specification count
    /// together: the rows behind them are the same, and one model's sums may be margins of another's.
    fn judge(
        &self,
        request: &OpeningRequest,
        part: &PartList,
        min_sites: usize,
    ) -> Option<OpeningRule> {
        if part.sites.len() < min_sites {
            return Some(OpeningRule::MinSites);
        }
        let opened = self.ledger.entries().iter().filter(|e| {
            e.action == OPENED && e.subject["specification"] == *request.header.specification
        });
        let mut lists: Vec<BTreeSet<SiteId>> = opened
            .filter_map(|e| serde_json::from_value(e.subject["sites"].clone()).ok())
            .collect();
        lists.sort();
        lists.dedup();
        if lists.contains(&part.sites) {
            return None;
        }
        lists.push(part.sites.clone());
        isolates(&lists, min_sites).then_some(OpeningRule::Isolates)
    }

    fn recorded(&self, action: &str, subject: &serde_json::Value) -> bool {
        self.ledger.entries().iter().rev().any(|e| e.action == action && e.subject == *subject)
    }
}

fn sum_of_masks(part: &OpenedPart, seeds: &BTreeMap<SiteId, Seed>) -> Vec<u128> {
    let mut sum = vec![0; part.words];
    if part.refused.is_none() {
        for seed in part.sites.iter().filter_map(|site| seeds.get(site)) {
            words::add(&mut sum, &seed.mask(part.part, part.words));
        }
    }
    sum
}
