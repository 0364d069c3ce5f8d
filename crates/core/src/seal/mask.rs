//! Masks: a fresh 32-byte seed, stretched by ChaCha20 to as many words as an answer has.

use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SealError;

/// Secret of one site for one round. Its text says nothing.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl Seed {
    /// A seed from the system's random source.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn fresh() -> Result<Self, SealError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| SealError::Random)?;
        Ok(Self(bytes))
    }

    /// A seed of given bytes, for known answers.
    pub fn of(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Mask of part `part` of an answer: ChaCha20 (RFC 8439) with the seed as key, the part's number as the first four bytes
    /// of the nonce (little-endian, the rest zero) and the counter from 0; each 16 bytes of the key stream are a word.
    pub fn mask(&self, part: u32, words: usize) -> Vec<u128> {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&part.to_le_bytes());
        let mut cipher = ChaCha20::new(&self.0.into(), &nonce.into());
        let mut mask = Vec::with_capacity(words);
        let mut buffer = [0_u8; 4096];
        while mask.len() < words {
            buffer.fill(0);
            cipher.apply_keystream(&mut buffer);
            let left = words - mask.len();
            let (chunks, _) = buffer.as_chunks::<16>();
            mask.extend(chunks.iter().take(left).map(|chunk| u128::from_le_bytes(*chunk)));
        }
        buffer.zeroize();
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, appendix A.1, test vector 1: all-zero key and nonce, counter 0.
    #[test]
    fn the_mask_is_the_key_stream_of_rfc_8439() {
        let mask = Seed::of([0; 32]).mask(0, 4);
        assert_eq!(mask[0].to_le_bytes()[..8], [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
        assert_eq!(mask[3].to_le_bytes()[12..], [0xb2, 0xee, 0x65, 0x86]);
    }

    #[test]
    fn parts_and_seeds_have_masks_of_their_own_and_a_longer_mask_begins_like_a_shorter_one() {
        let seed = Seed::of([7; 32]);
        assert_ne!(seed.mask(0, 3), seed.mask(1, 3));
        assert_ne!(seed.mask(0, 3), Seed::of([8; 32]).mask(0, 3));
        assert_eq!(seed.mask(2, 300)[..257], seed.mask(2, 257));
        assert!(seed.mask(0, 0).is_empty());
        assert_ne!(Seed::fresh().unwrap(), Seed::fresh().unwrap());
    }
}
