//! Pools the sealed answers of one round: adds masked words, asks the keyholder for the sum of masks, takes it away.

use std::collections::{BTreeMap, BTreeSet};

use tributary_core::{
    protocol::{
        Address, AnswerError, AnswerFile, Document, Opening, OpeningRequest, OpeningRequestHeader,
        PartList, Payload,
    },
    seal::{Envelope, Roster, SealError, SigningKey, words},
    summary::{Layout, Policy, SiteId, summed},
};

use super::Sums;

/// Sums of masked words of one round, and the envelopes of the sites in them. One answer is in memory at a time.
#[derive(Debug, Default)]
pub struct Pool {
    parts: BTreeMap<u32, PartSum>,
    envelopes: BTreeMap<SiteId, Envelope>,
}

#[derive(Debug)]
struct PartSum {
    model: String,
    layout: Vec<Layout>,
    sites: BTreeSet<SiteId>,
    masked: Vec<u128>,
}

/// Why a round cannot be pooled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// An answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A site twice.
    #[error("site {site} is in the pool already")]
    Twice {
        /// Site.
        site: SiteId,
    },
    /// Two sites' layouts.
    #[error("model `{model}`: site {site} sent a different layout from the sites before it")]
    Layout {
        /// Model.
        model: String,
        /// Site.
        site: SiteId,
    },
    /// The keyholder's signature.
    #[error("the opening is not signed by the keyholder in the roster")]
    Keyholder,
    /// Another opening than was asked for.
    #[error("the opening is for another run, round, list of sites or length than was asked for")]
    Opening,
}

impl Pool {
    /// Adds the sealed parts of one answer that was checked before.
    ///
    /// # Errors
    /// If the site is in the pool already, or its arrays have another form than those of the sites before it.
    pub fn add(&mut self, answer: &AnswerFile) -> Result<(), PoolError> {
        let site = &answer.header.site;
        let parts = answer.sealed()?;
        for (about, layout, _) in &parts {
            let Some(sum) = self.parts.get(&about.part) else { continue };
            if sum.sites.contains(site) {
                return Err(PoolError::Twice { site: site.clone() });
            }
            if sum.model != about.model || sum.layout != *layout {
                return Err(PoolError::Layout { model: about.model.clone(), site: site.clone() });
            }
        }
        for (about, layout, masked) in parts {
            let sum = self.parts.entry(about.part).or_insert_with(|| PartSum {
                model: about.model,
                layout: layout.to_vec(),
                sites: BTreeSet::new(),
                masked: vec![0; masked.len()],
            });
            words::add(&mut sum.masked, masked);
            sum.sites.insert(site.clone());
        }
        self.envelopes.extend(answer.header.envelope.clone().map(|e| (site.clone(), e)));
        Ok(())
    }

    /// What to ask the keyholder; none if nothing was sealed.
    pub fn request(
        &self,
        address: &Address,
        roster: &Roster,
        key: &SigningKey,
    ) -> Option<OpeningRequest> {
        if self.parts.is_empty() {
            return None;
        }
        let parts = self.parts.iter().map(|(part, sum)| PartList {
            part: *part,
            model: sum.model.clone(),
            words: sum.masked.len(),
            sites: sum.sites.clone(),
        });
        let header = OpeningRequestHeader {
            study: address.study.clone(),
            run: address.run.clone(),
            round: address.round,
            specification: address.specification.clone(),
            question: address.question.clone(),
            roster: roster.hash(),
            parts: parts.collect(),
            envelopes: self.envelopes.values().cloned().collect(),
            payload: Payload::of(&[]),
        };
        Some(Document::sign(header, Vec::new(), key))
    }

    /// Takes the masks away: the pooled sum of every sealed model, or why there is none.
    ///
    /// # Errors
    /// If the opening is not the keyholder's, or not what was asked for.
    pub fn open(
        self,
        request: &OpeningRequest,
        opening: &Opening,
        roster: &Roster,
        policy: &Policy,
    ) -> Result<Sums, PoolError> {
        opening
            .verify(&roster.keyholder.signing_key)
            .map_err(|_: SealError| PoolError::Keyholder)?;
        let (asked, header) = (&request.header, &opening.header);
        let same = header.run == asked.run
            && header.round == asked.round
            && header.specification == asked.specification
            && header.roster == asked.roster
            && header.parts.len() == self.parts.len();
        let total: usize = header.parts.iter().map(|p| p.words).sum();
        if !same || total != opening.words.len() {
            return Err(PoolError::Opening);
        }
        let mut rest = opening.words.as_slice();
        let mut sums = Sums::new();
        for ((number, sum), opened) in self.parts.into_iter().zip(&header.parts) {
            let PartSum { model, layout, sites, mut masked } = sum;
            if opened.part != number || opened.model != model || opened.sites != sites {
                return Err(PoolError::Opening);
            }
            if let Some(rule) = opened.refused {
                sums.insert(model, Err(rule.words().to_owned()));
                continue;
            }
            if opened.words != masked.len() {
                return Err(PoolError::Opening);
            }
            let (masks, next) = rest.split_at(opened.words);
            rest = next;
            words::subtract(&mut masked, masks);
            let mut left = masked.as_slice();
            let mut totals = Vec::with_capacity(layout.len());
            for array in &layout {
                let (cells, next) = left.split_at(array.cells().unwrap_or(0).min(left.len()));
                left = next;
                totals.push(words::decode(array, cells));
            }
            let pooled = summed(layout, totals, policy).map_err(|error| error.to_string());
            sums.insert(model, pooled);
        }
        Ok(sums)
    }
}
