//! Keys: Ed25519 for signatures, X25519 for sealed seeds. Public keys are text such as `ed25519:…` in a roster.

use base64ct::{Base64, Encoding};
use ed25519_dalek::Signer as _;
use hpke::{Deserializable, Kem as _, Serializable, kem::X25519HkdfSha256};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SealError;

/// Form of a public signing key in files.
const ED25519: &str = "ed25519:";
/// Form of a public sealing key in files.
const X25519: &str = "x25519:";

/// Secret with which a party signs. Its text says nothing.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// A key from the system's random source.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| SealError::Random)?;
        Ok(Self::of(&bytes))
    }

    /// The key of given bytes.
    pub fn of(bytes: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(bytes))
    }

    /// What others know it by.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message` for the purpose `domain`: a signature made for one purpose holds for no other.
    pub fn sign(&self, domain: &str, message: &[u8]) -> Signature {
        Signature(self.0.sign(&in_domain(domain, message)).to_bytes())
    }

    pub(super) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

/// `domain`, a line feed, `message`.
fn in_domain(domain: &str, message: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), b"\n", message].concat()
}

/// Public part of a signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Whether `signature` over `message` was made for `domain` by the owner of this key.
    ///
    /// # Errors
    /// [`SealError::Signature`] if it was not.
    pub fn verify(
        &self,
        domain: &str,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), SealError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0
            .verify_strict(&in_domain(domain, message), &signature)
            .map_err(|_| SealError::Signature)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = SealError;

    fn try_from(text: String) -> Result<Self, SealError> {
        let wrong = || SealError::Key { wanted: "ed25519:, then 32 bytes in base64" };
        let bytes = bytes_after(ED25519, &text).ok_or_else(wrong)?;
        ed25519_dalek::VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| wrong())
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        format!("{ED25519}{}", Base64::encode_string(key.0.as_bytes()))
    }
}

fn bytes_after(prefix: &str, text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let found = Base64::decode(text.trim().strip_prefix(prefix)?, &mut bytes).ok()?;
    (found.len() == 32).then_some(bytes)
}

/// A signature, 64 bytes; base64 in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

impl TryFrom<String> for Signature {
    type Error = SealError;

    fn try_from(text: String) -> Result<Self, SealError> {
        let mut bytes = [0; 64];
        match Base64::decode(text.trim(), &mut bytes) {
            Ok(found) if found.len() == 64 => Ok(Self(bytes)),
            _ => Err(SealError::Key { wanted: "a signature: 64 bytes in base64" }),
        }
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        Base64::encode_string(&signature.0)
    }
}

/// Secret with which the keyholder opens seeds. Its text says nothing.
#[derive(Clone)]
pub struct OpeningKey(pub(super) <X25519HkdfSha256 as hpke::Kem>::PrivateKey);

impl std::fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpeningKey(…)")
    }
}

impl OpeningKey {
    /// A key from the system's random source.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| SealError::Random)?;
        Self::of(&bytes)
    }

    /// The key of given bytes.
    ///
    /// # Errors
    /// If they make no key.
    pub fn of(bytes: &[u8; 32]) -> Result<Self, SealError> {
        let key = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(bytes);
        key.map(Self).map_err(|_| SealError::Key { wanted: "32 bytes" })
    }

    /// What others seal seeds with.
    pub fn public(&self) -> SealingKey {
        SealingKey(X25519HkdfSha256::sk_to_pk(&self.0))
    }

    pub(super) fn secret(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&self.0.to_bytes());
        bytes
    }
}

/// Public part of an opening key: seals seeds to the keyholder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealingKey(pub(super) <X25519HkdfSha256 as hpke::Kem>::PublicKey);

impl TryFrom<String> for SealingKey {
    type Error = SealError;

    fn try_from(text: String) -> Result<Self, SealError> {
        let wrong = || SealError::Key { wanted: "x25519:, then 32 bytes in base64" };
        let bytes = bytes_after(X25519, &text).ok_or_else(wrong)?;
        let key = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&bytes);
        key.map(Self).map_err(|_| wrong())
    }
}

impl From<SealingKey> for String {
    fn from(key: SealingKey) -> Self {
        format!("{X25519}{}", Base64::encode_string(&key.0.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1: the public key of a secret.
    #[test]
    fn the_public_key_is_that_of_rfc_8032() {
        let secret = base16ct::lower::decode_vec(
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        )
        .unwrap();
        let key = SigningKey::of(&secret.try_into().unwrap());
        let wanted = base16ct::lower::decode_vec(
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        )
        .unwrap();
        assert_eq!(
            String::from(key.public()),
            format!("ed25519:{}", Base64::encode_string(&wanted))
        );
    }

    #[test]
    fn a_signature_holds_for_one_message_one_purpose_and_one_key() {
        let key = SigningKey::of(&[1; 32]);
        let signature = key.sign("answer", b"text");
        assert!(key.public().verify("answer", b"text", &signature).is_ok());
        assert!(key.public().verify("answer", b"texT", &signature).is_err());
        assert!(key.public().verify("opening", b"text", &signature).is_err());
        assert!(SigningKey::of(&[2; 32]).public().verify("answer", b"text", &signature).is_err());
        let again = Signature::try_from(String::from(signature.clone())).unwrap();
        assert_eq!(again, signature);
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_nothing_else_is_read() {
        let signing = SigningKey::of(&[3; 32]).public();
        assert_eq!(PublicKey::try_from(String::from(signing.clone())).unwrap(), signing);
        let sealing = OpeningKey::of(&[3; 32]).unwrap().public();
        assert_eq!(SealingKey::try_from(String::from(sealing.clone())).unwrap(), sealing);
        for wrong in ["", "ed25519:", "ed25519:AAAA", &String::from(sealing)] {
            assert!(PublicKey::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(!format!("{:?}", SigningKey::of(&[3; 32])).contains('3'));
    }
}
