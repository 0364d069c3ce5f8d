//! Sealing: pooled sums that nobody can take apart.
//!
//! Hub and keyholder are two institutions that do not collude. For each round a site draws a fresh seed, stretches it to as
//! many words as its answer has ([`Seed::mask`]), sends *answer + mask* in Z/2¹²⁸ to the hub, and the seed, sealed to the
//! keyholder ([`Envelope`]), rides along. The hub tells the keyholder whose answers it holds; the keyholder sums the masks of
//! *that list*; the hub takes the sum of masks from the sum of answers and holds the pooled sum. Neither sees a site's part.
//!
//! ```
//! use tributary_core::seal::{Seed, words};
//!
//! let answers: [&[u128]; 3] = [&[3, 40], &[5, 2], &[0, 1]];
//! let seeds = [1, 2, 3].map(|k| Seed::of([k; 32]));
//! let mut at_hub = vec![0; 2];
//! let mut at_keyholder = vec![0; 2];
//! for (answer, seed) in answers.iter().zip(&seeds) {
//!     let mut masked = answer.to_vec();
//!     words::add(&mut masked, &seed.mask(0, 2));
//!     words::add(&mut at_hub, &masked);
//!     words::add(&mut at_keyholder, &seed.mask(0, 2));
//! }
//! words::subtract(&mut at_hub, &at_keyholder);
//! assert_eq!(at_hub, [8, 43]);
//! ```
//!
//! *Not protected*: hub and keyholder colluding; all sites but one colluding.

mod envelope;
mod isolation;
mod key_file;
mod keys;
mod mask;
mod roster;
pub mod words;

pub use envelope::{Binding, Envelope, SealedPart};
pub use isolation::isolates;
pub use key_file::{
    KeyFileError, OPENING_FILE, SIGNING_FILE, read_opening, read_signing, write_opening,
    write_signing,
};
pub use keys::{OpeningKey, PublicKey, SealingKey, Signature, SigningKey};
pub use mask::Seed;
pub use roster::{HubKeys, KeyholderKeys, Roster, SiteKeys};
pub use words::WordError;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// What is wrong with a key, a signature or an envelope. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system gives no random bytes.
    #[error("the system's random source provides no bytes")]
    Random,
    /// A key of another form.
    #[error("a key of another form was given, expected {wanted}")]
    Key {
        /// What was wanted.
        wanted: &'static str,
    },
    /// Not signed by the key it should be signed by, or changed since.
    #[error("the signature is not valid: the message was altered, or signed with another key")]
    Signature,
    /// Sealed to another key, or bound to something else.
    #[error(
        "the sealed seed does not open: it was sealed to another keyholder or for another round"
    )]
    Envelope,
    /// A roster file with a fault.
    #[error("{name}: {reason}")]
    Roster {
        /// File.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Canonical JSON (RFC 8785) of a value, so that clients in other languages sign the same bytes.
pub fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    // Unwrap safety: what is signed here has string keys and finite numbers, which always serialise.
    serde_json_canonicalizer::to_vec(value).expect("canonical JSON")
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}
