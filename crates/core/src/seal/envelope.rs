//! Envelopes: a site's seed, sealed to the keyholder by HPKE (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! ChaCha20-Poly1305), bound to one round of one run and signed by the site.

use base64ct::{Base64, Encoding};
use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{OpeningKey, PublicKey, SealError, SealingKey, Seed, Signature, SigningKey, canonical};
use crate::summary::SiteId;

/// `info` of HPKE.
const INFO: &[u8] = b"tributary seed 1";
/// Purpose of the site's signature.
const DOMAIN: &str = "tributary envelope 1";

/// What a seed is good for: one site, one round of one run, one specification, one question, one roster, these lengths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Run.
    pub run: String,
    /// Round, from 0.
    pub round: usize,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// SHA-256 of what was asked: a sum over answers to different questions is opened for nobody.
    pub question: String,
    /// SHA-256 of the roster.
    pub roster: String,
    /// Site.
    pub site: SiteId,
    /// Fewest sites that the site lets its part be summed with, its own among them.
    pub min_sites: usize,
    /// Sealed parts.
    pub parts: Vec<SealedPart>,
}

/// One sealed part of an answer: a model and how many words it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPart {
    /// Number of the part, the nonce of its mask: the model's place in the analysis.
    pub part: u32,
    /// Model.
    pub model: String,
    /// Words.
    pub words: usize,
}

/// A sealed seed with what it is bound to. Says nothing about the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// What the seed is good for.
    pub binding: Binding,
    /// Encapsulated key, base64.
    pub encapsulated_key: String,
    /// Sealed seed, base64.
    pub sealed_seed: String,
    /// The site's signature over the three above.
    pub signature: Signature,
}

/// What is signed.
#[derive(Serialize)]
struct Signed<'a> {
    binding: &'a Binding,
    encapsulated_key: &'a str,
    sealed_seed: &'a str,
}

impl Envelope {
    /// Seals `seed` to the keyholder.
    ///
    /// # Errors
    /// If the sealing key is unsound.
    pub fn seal(
        binding: Binding,
        seed: &Seed,
        to: &SealingKey,
        by: &SigningKey,
    ) -> Result<Self, SealError> {
        let (key, sealed) =
            hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &to.0,
                INFO,
                seed.bytes(),
                &canonical(&binding),
            )
            .map_err(|_| SealError::Key { wanted: "a sound sealing key of the keyholder" })?;
        let encapsulated_key = Base64::encode_string(&key.to_bytes());
        let sealed_seed = Base64::encode_string(&sealed);
        let signed = Signed {
            binding: &binding,
            encapsulated_key: &encapsulated_key,
            sealed_seed: &sealed_seed,
        };
        let signature = by.sign(DOMAIN, &canonical(&signed));
        Ok(Self { binding, encapsulated_key, sealed_seed, signature })
    }

    /// Whether the site whose key this is made the envelope.
    ///
    /// # Errors
    /// [`SealError::Signature`] if it did not.
    pub fn verify(&self, site: &PublicKey) -> Result<(), SealError> {
        let Self { binding, encapsulated_key, sealed_seed, signature } = self;
        let signed = Signed { binding, encapsulated_key, sealed_seed };
        site.verify(DOMAIN, &canonical(&signed), signature)
    }

    /// The seed.
    ///
    /// # Errors
    /// [`SealError::Envelope`] if it was sealed to another key or bound to something else.
    pub fn open(&self, key: &OpeningKey) -> Result<Seed, SealError> {
        let unreadable = |_| SealError::Envelope;
        let encapsulated =
            Base64::decode_vec(&self.encapsulated_key).map_err(|_| SealError::Envelope)?;
        let sealed = Base64::decode_vec(&self.sealed_seed).map_err(|_| SealError::Envelope)?;
        let encapsulated = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&encapsulated)
            .map_err(unreadable)?;
        let seed = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &key.0,
            &encapsulated,
            INFO,
            &sealed,
            &canonical(&self.binding),
        )
        .map_err(unreadable)?;
        let seed = Zeroizing::new(seed);
        let bytes: [u8; 32] = seed.as_slice().try_into().map_err(|_| SealError::Envelope)?;
        Ok(Seed::of(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        Binding {
            run: "r1".into(),
            round: 2,
            specification: "5e".repeat(32),
            question: "9e".repeat(32),
            roster: "70".repeat(32),
            site: SiteId::new("XA").unwrap(),
            min_sites: 3,
            parts: vec![SealedPart { part: 3, model: "cox".into(), words: 5 }],
        }
    }

    #[test]
    fn an_envelope_opens_with_the_right_key_and_binding_only() {
        let key = OpeningKey::of(&[1; 32]).unwrap();
        let site = SigningKey::of(&[2; 32]);
        let seed = Seed::of([3; 32]);
        let sealed = Envelope::seal(binding(), &seed, &key.public(), &site).unwrap();
        assert!(sealed.verify(&site.public()).is_ok());
        assert_eq!(sealed.open(&key).unwrap(), seed);
        assert!(sealed.open(&OpeningKey::of(&[4; 32]).unwrap()).is_err());

        let changes: [fn(&mut Binding); 8] = [
            |b| b.question = "9f".repeat(32),
            |b| b.min_sites = 2,
            |b| b.run = "r2".into(),
            |b| b.round = 3,
            |b| b.specification = "5f".repeat(32),
            |b| b.roster = "71".repeat(32),
            |b| b.site = SiteId::new("XB").unwrap(),
            |b| b.parts[0].words = 6,
        ];
        for change in changes {
            let mut other = sealed.clone();
            change(&mut other.binding);
            assert_eq!(other.open(&key), Err(SealError::Envelope));
            assert_eq!(other.verify(&site.public()), Err(SealError::Signature));
        }
    }
}
