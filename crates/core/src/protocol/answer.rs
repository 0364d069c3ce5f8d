//! Answers: what one site sends for one round. Models whose sums alone are read travel as masked words; models that are
//! visible per site travel as the labelled arrays they are; refusals say the rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{Document, DocumentError, Header, Payload};
use crate::{
    run::{self, Question},
    seal::{
        Binding, Envelope, Roster, SealError, SealedPart, Seed, SigningKey, WordError, canonical,
        sha256, words,
    },
    summary::{Layout, Policy, PublicRefusal, RefusalRule, Rule, SiteId, Summary, Visibility},
};

/// Header of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerHeader {
    /// What this is, for whoever opens the file.
    pub about: String,
    /// Study.
    pub study: String,
    /// Analysis.
    pub analysis: String,
    /// Site.
    pub site: SiteId,
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
    /// The disclosure rules that were applied: the stricter of the study's and the site's own.
    pub policy: Policy,
    /// What is answered, by model.
    pub models: BTreeMap<String, Part>,
    /// The seed of the masks, sealed to the keyholder; none if nothing is sealed.
    pub envelope: Option<Envelope>,
    /// The masked words of all sealed parts, in the order of their numbers.
    pub payload: Payload,
}

/// The answer for one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Part {
    /// Masked words in the payload.
    Sealed {
        /// Number of the part: the model's place in the analysis.
        part: u32,
        /// Arrays, cells apart.
        layout: Vec<Layout>,
    },
    /// Readable arrays that passed the site's floors.
    Visible {
        /// The arrays.
        summary: Summary,
    },
    /// Held back.
    HeldBack {
        /// The rule.
        refusal: PublicRefusal,
    },
}

impl Header for AnswerHeader {
    const FORMAT: &str = "tributary answer 1";
    fn payload(&self) -> &Payload {
        &self.payload
    }
}

/// A signed answer.
pub type AnswerFile = Document<AnswerHeader>;

/// Which round of which run an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Study.
    pub study: String,
    /// Analysis.
    pub analysis: String,
    /// Run.
    pub run: String,
    /// Round, from 0.
    pub round: usize,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// SHA-256 of what is asked.
    pub question: String,
}

/// Fingerprint of what is asked in a round: the canonical JSON of the questions, hashed. All sites must answer the same.
pub fn question_hash(questions: &[Question]) -> String {
    sha256(&canonical(&questions))
}

/// A model's answer on its way out, after the gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The model's place in the analysis.
    pub part: u32,
    /// Who may read it.
    pub visibility: Visibility,
    /// What passed the gate, or the rule that held it back.
    pub released: Result<Summary, PublicRefusal>,
}

/// Why an answer cannot be sealed, or is not accepted. Holds no number of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A key or signature.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A number that cannot be sealed.
    #[error("model `{model}`: {error}")]
    Word {
        /// Model.
        model: String,
        /// What is wrong.
        error: WordError,
    },
    /// An array that does not add.
    #[error("model `{model}` is by site, so it cannot be sealed")]
    Stacked {
        /// Model.
        model: String,
    },
    /// Not a site of the roster.
    #[error("site {site} is not in the roster")]
    Stranger {
        /// Site.
        site: SiteId,
    },
    /// Made with another roster: a key was swapped, or a copy is old.
    #[error(
        "the answer was made with roster {found}, expected {wanted}: compare the rosters before doing anything else"
    )]
    Roster {
        /// Hash in the answer.
        found: String,
        /// Hash here.
        wanted: String,
    },
    /// For another specification.
    #[error("the answer is for specification {found}, expected {wanted}")]
    Specification {
        /// Hash in the answer.
        found: String,
        /// Hash here.
        wanted: String,
    },
    /// To another question.
    #[error("the answer is to another question than the one that is open")]
    Question,
    /// For another run or site than it was sent to.
    #[error("the answer is for run {run}, site {site}, not for where it was sent")]
    Address {
        /// Run of the answer.
        run: String,
        /// Site of the answer.
        site: SiteId,
    },
    /// For another round.
    #[error("the answer is for round {found}, expected {wanted}")]
    Round {
        /// Round of the answer.
        found: usize,
        /// Round that is open.
        wanted: usize,
    },
    /// The parts do not fit the words, the envelope or what was asked.
    #[error("model `{model}`: {reason}")]
    Part {
        /// Model.
        model: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// Made under rules looser than the study's.
    #[error("the answer was released under rules looser than the study's")]
    Policy,
}

/// Seals what passed the gate and signs it. `seed` is fresh for every round of every run.
///
/// # Errors
/// If a number does not fit into a word, or an array does not add.
pub fn seal(
    address: &Address,
    roster: &Roster,
    policy: &Policy,
    outgoing: BTreeMap<String, Outgoing>,
    site: &SiteId,
    seed: &Seed,
    key: &SigningKey,
) -> Result<AnswerFile, AnswerError> {
    let mut models = BTreeMap::new();
    let mut sealed: Vec<(SealedPart, Vec<u128>)> = Vec::new();
    for (model, Outgoing { part, visibility, released }) in outgoing {
        let answer = match (released, visibility) {
            (Err(refusal), _) => Part::HeldBack { refusal },
            (Ok(summary), Visibility::EachSite) => Part::Visible { summary },
            (Ok(summary), Visibility::SumOnly) => {
                let layout = summary.layouts();
                if layout.iter().any(|layout| layout.rule == Rule::Stack) {
                    return Err(AnswerError::Stacked { model });
                }
                let arrays = summary.arrays().iter().zip(&layout);
                let encoded: Result<Vec<_>, WordError> = arrays
                    .map(|(array, layout)| words::encode(layout, array.cells(), roster.sites.len()))
                    .collect();
                match encoded {
                    Ok(encoded) => {
                        let mut masked = encoded.concat();
                        let mask = seed.mask(part, masked.len());
                        words::add(&mut masked, &mask);
                        let about = SealedPart { part, model: model.clone(), words: masked.len() };
                        sealed.push((about, masked));
                        Part::Sealed { part, layout }
                    }
                    // One model's number must not cost the others their answers.
                    Err(WordError::Range { .. }) => {
                        let refusal = PublicRefusal { rule: RefusalRule::TooLarge };
                        Part::HeldBack { refusal }
                    }
                    Err(error) => return Err(AnswerError::Word { model, error }),
                }
            }
        };
        models.insert(model, answer);
    }
    sealed.sort_by_key(|(about, _)| about.part);
    let roster_hash = roster.hash();
    let envelope = if sealed.is_empty() {
        None
    } else {
        let binding = Binding {
            run: address.run.clone(),
            round: address.round,
            specification: address.specification.clone(),
            question: address.question.clone(),
            roster: roster_hash.clone(),
            site: site.clone(),
            min_sites: policy.min_sites as usize,
            parts: sealed.iter().map(|(about, _)| about.clone()).collect(),
        };
        Some(Envelope::seal(binding, seed, &roster.keyholder.sealing_key, key)?)
    };
    let payload: Vec<u128> = sealed.into_iter().flat_map(|(_, masked)| masked).collect();
    let header = AnswerHeader {
        about: format!(
            "What site {site} sends for round {} of this run. `visible` parts are readable; `sealed` parts are masked words \
             below the header, readable by nobody until they are summed with those of the other sites.",
            address.round + 1
        ),
        study: address.study.clone(),
        analysis: address.analysis.clone(),
        site: site.clone(),
        run: address.run.clone(),
        round: address.round,
        specification: address.specification.clone(),
        question: address.question.clone(),
        roster: roster_hash,
        policy: policy.clone(),
        models,
        envelope,
        payload: Payload::of(&payload),
    };
    Ok(Document::sign(header, payload, key))
}

/// A sealed part of an answer: what it is, its layouts, its masked words.
pub type Sealed<'a> = (SealedPart, &'a [Layout], &'a [u128]);

impl AnswerFile {
    /// Holds an answer against the roster and the run that it is for: who made it, for what, and whether its parts fit its
    /// words. `visibility` says how each model that was asked is read.
    ///
    /// # Errors
    /// [`AnswerError`] says what does not fit; each kind is a problem type of its own at the hub.
    pub fn check(
        &self,
        roster: &Roster,
        address: &Address,
        policy: &Policy,
        visibility: &BTreeMap<String, (u32, Visibility)>,
    ) -> Result<(), AnswerError> {
        let header = &self.header;
        let site = &header.site;
        let key = roster.site(site).ok_or_else(|| AnswerError::Stranger { site: site.clone() })?;
        let wanted = roster.hash();
        if header.roster != wanted {
            return Err(AnswerError::Roster { found: header.roster.clone(), wanted });
        }
        self.verify(key)?;
        if header.specification != address.specification {
            let (found, wanted) = (header.specification.clone(), address.specification.clone());
            return Err(AnswerError::Specification { found, wanted });
        }
        let same = header.run == address.run
            && header.study == address.study
            && header.analysis == address.analysis;
        if !same {
            return Err(AnswerError::Address { run: header.run.clone(), site: site.clone() });
        }
        if header.round != address.round {
            return Err(AnswerError::Round { found: header.round, wanted: address.round });
        }
        if header.question != address.question {
            return Err(AnswerError::Question);
        }
        if policy.stricter(&header.policy) != header.policy {
            return Err(AnswerError::Policy);
        }
        for (model, part) in &header.models {
            let wrong = |reason| AnswerError::Part { model: model.clone(), reason };
            let (number, visible) =
                visibility.get(model).ok_or_else(|| wrong("this model was not asked for"))?;
            match (part, visible) {
                (Part::Sealed { part, layout }, Visibility::SumOnly) => {
                    if part != number {
                        return Err(wrong("its number is not its place in the analysis"));
                    }
                    if layout.iter().any(|l| l.rule == Rule::Stack) {
                        return Err(wrong("an array is by site, so it has no sum"));
                    }
                }
                (Part::Visible { .. }, Visibility::EachSite) | (Part::HeldBack { .. }, _) => {}
                (Part::Visible { .. }, Visibility::SumOnly) => {
                    return Err(wrong("it must be sealed: no one may read a single site's part"));
                }
                (Part::Sealed { .. }, Visibility::EachSite) => {
                    return Err(wrong("it is read per site, so it cannot be sealed"));
                }
            }
        }
        self.check_envelope(key)
    }

    /// The envelope must be for the same thing as the answer, and its parts must be the answer's.
    fn check_envelope(&self, key: &crate::seal::PublicKey) -> Result<(), AnswerError> {
        let header = &self.header;
        let parts = self.sealed_parts()?;
        let total: usize = parts.iter().map(|p| p.words).sum();
        let first = parts.first().map_or_else(|| "(none)".to_owned(), |p| p.model.clone());
        if total != self.words.len() {
            let reason = "the layouts ask for another number of words than the payload has";
            return Err(AnswerError::Part { model: first, reason });
        }
        let Some(envelope) = &header.envelope else {
            if parts.is_empty() {
                return Ok(());
            }
            let reason = "there is no envelope with the seed of its mask";
            return Err(AnswerError::Part { model: first, reason });
        };
        envelope.verify(key)?;
        let binding = Binding {
            run: header.run.clone(),
            round: header.round,
            specification: header.specification.clone(),
            question: header.question.clone(),
            roster: header.roster.clone(),
            site: header.site.clone(),
            min_sites: header.policy.min_sites as usize,
            parts,
        };
        if envelope.binding != binding {
            let reason = "the envelope is bound to another run, round, specification or length";
            return Err(AnswerError::Part { model: first, reason });
        }
        Ok(())
    }

    /// Sealed parts with their lengths, in the order of the payload.
    ///
    /// # Errors
    /// If a layout has more cells than can be counted, or two parts have one number.
    pub fn sealed_parts(&self) -> Result<Vec<SealedPart>, AnswerError> {
        let mut parts: Vec<SealedPart> = Vec::new();
        for (model, part) in &self.header.models {
            let Part::Sealed { part, layout } = part else { continue };
            let cells = layout.iter().try_fold(0_usize, |n, l| n.checked_add(l.cells()?));
            let reason = "its layout has more cells than can be counted";
            let words = cells.ok_or_else(|| AnswerError::Part { model: model.clone(), reason })?;
            parts.push(SealedPart { part: *part, model: model.clone(), words });
        }
        parts.sort_by_key(|p| p.part);
        if let Some(twice) = parts.windows(2).find(|pair| pair[0].part == pair[1].part) {
            let reason = "another model has the same number";
            return Err(AnswerError::Part { model: twice[1].model.clone(), reason });
        }
        Ok(parts)
    }

    /// Sealed parts with their layouts and words.
    ///
    /// # Errors
    /// As [`AnswerFile::sealed_parts`].
    pub fn sealed(&self) -> Result<Vec<Sealed<'_>>, AnswerError> {
        let mut rest = self.words.as_slice();
        let mut found = Vec::new();
        for about in self.sealed_parts()? {
            let Some(Part::Sealed { layout, .. }) = self.header.models.get(&about.model) else {
                continue;
            };
            let Some((words, next)) = rest.split_at_checked(about.words) else {
                let reason = "the payload is shorter than the layouts ask for";
                return Err(AnswerError::Part { model: about.model, reason });
            };
            rest = next;
            found.push((about, layout.as_slice(), words));
        }
        Ok(found)
    }

    /// The answers as the run takes them in: visible ones whole, sealed ones by form and fingerprint.
    ///
    /// # Errors
    /// As [`AnswerFile::sealed`].
    pub fn events(&self) -> Result<BTreeMap<String, run::Answer>, AnswerError> {
        let mut answers: BTreeMap<String, run::Answer> = BTreeMap::new();
        for (about, layout, masked) in self.sealed()? {
            let layout_sha256 = sha256(&canonical(&layout));
            let form = run::SealedForm { words: about.words, layout_sha256 };
            let fingerprint = sha256(&words::to_bytes(masked));
            answers.insert(about.model, run::Answer::Sealed { form, sha256: fingerprint });
        }
        for (model, part) in &self.header.models {
            let answer = match part {
                Part::Sealed { .. } => continue,
                Part::Visible { summary } => run::Answer::Released {
                    sha256: sha256(&canonical(summary)),
                    summary: summary.clone(),
                },
                Part::HeldBack { refusal } => run::Answer::Refused(refusal.clone()),
            };
            answers.insert(model.clone(), answer);
        }
        Ok(answers)
    }
}
