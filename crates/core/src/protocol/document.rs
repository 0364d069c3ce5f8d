//! Signed documents: the one form of what parties send each other, over the network or by e-mail. A person can read one in
//! a text editor:
//!
//! ```text
//! tributary answer 1
//! { … header, JSON … }
//! signature <base64>
//! payload <number of words>
//! <base64 of 16 bytes a word, in lines of 76>
//! end
//! ```
//!
//! The signature (Ed25519) is over the first line and the canonical JSON (RFC 8785) of the header; the header holds the
//! SHA-256 of the payload's bytes.

use std::fmt::Write as _;

use base64ct::{Base64, Decoder, Encoding};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::seal::{PublicKey, SealError, Signature, SigningKey, canonical, sha256, words};

/// Width of a line of base64: 57 bytes.
const LINE: usize = 76;

/// What the header says of the words that follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Words of 16 bytes.
    pub words: usize,
    /// SHA-256 of their bytes.
    pub sha256: String,
}

impl Payload {
    /// The payload of these words.
    pub fn of(payload: &[u128]) -> Self {
        Self { words: payload.len(), sha256: sha256(&words::to_bytes(payload)) }
    }
}

/// A header: what a document says beside its words.
pub trait Header: Serialize + DeserializeOwned {
    /// First line: what the document is, and its version.
    const FORMAT: &str;
    /// What it says of its words.
    fn payload(&self) -> &Payload;
}

/// A signed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<H> {
    /// What it says.
    pub header: H,
    /// Its words.
    pub words: Vec<u128>,
    /// Signature over the header.
    pub signature: Signature,
}

/// What is wrong with a document. Holds none of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Something else, or another version.
    #[error("line 1 is not `{wanted}`: this is another kind of file, or another version")]
    Format {
        /// First line wanted.
        wanted: &'static str,
    },
    /// A part is missing or of another form.
    #[error("{part} is missing or damaged{detail}: ask for the file again")]
    Damaged {
        /// Part.
        part: &'static str,
        /// Where.
        detail: String,
    },
    /// The payload is not the one that was signed.
    #[error("the payload does not match the header: the file was truncated or altered")]
    Payload,
    /// Signature.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl<H: Header> Document<H> {
    /// Signs a header that describes `words`.
    pub fn sign(header: H, words: Vec<u128>, key: &SigningKey) -> Self {
        debug_assert_eq!(header.payload().words, words.len());
        let signature = key.sign(H::FORMAT, &canonical(&header));
        Self { header, words, signature }
    }

    /// Whether the owner of `key` signed it.
    ///
    /// # Errors
    /// [`SealError::Signature`] if not.
    pub fn verify(&self, key: &PublicKey) -> Result<(), SealError> {
        key.verify(H::FORMAT, &canonical(&self.header), &self.signature)
    }

    /// The document as text.
    pub fn to_text(&self) -> String {
        // Unwrap safety: headers have string keys and finite numbers, which always serialise.
        let header = serde_json::to_string_pretty(&self.header).expect("headers serialise");
        let bytes = words::to_bytes(&self.words);
        let encoded = Base64::encode_string(&bytes);
        let mut text =
            String::with_capacity(header.len() + encoded.len() / LINE * (LINE + 1) + 512);
        text.push_str(H::FORMAT);
        text.push('\n');
        text.push_str(&header);
        text.push_str("\nsignature ");
        text.push_str(&String::from(self.signature.clone()));
        // Writing to a string cannot fail.
        let _ = write!(text, "\npayload {}\n", self.words.len());
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, next) = rest.split_at(LINE.min(rest.len()));
            text.push_str(line);
            text.push('\n');
            rest = next;
        }
        text.push_str("end\n");
        text
    }

    /// Reads a document and holds its words against the header. The signature is left to [`Document::verify`].
    ///
    /// # Errors
    /// [`DocumentError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let damaged = |part| DocumentError::Damaged { part, detail: String::new() };
        // Files that travelled by mail may have other line ends.
        let text = if text.contains('\r') {
            text.replace("\r\n", "\n").into()
        } else {
            std::borrow::Cow::Borrowed(text)
        };
        let rest = text
            .strip_prefix(H::FORMAT)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or(DocumentError::Format { wanted: H::FORMAT })?;
        let (header, rest) =
            rest.split_once("\nsignature ").ok_or_else(|| damaged("the line `signature`"))?;
        let header: H = serde_json::from_str(header).map_err(|error| DocumentError::Damaged {
            part: "the header",
            detail: format!(" (line {}, column {})", error.line() + 1, error.column()),
        })?;
        let (signature, rest) =
            rest.split_once("\npayload ").ok_or_else(|| damaged("the line `payload`"))?;
        let signature = Signature::try_from(signature.to_owned())?;
        let (count, rest) = rest.split_once('\n').ok_or_else(|| damaged("the line `payload`"))?;
        let body = rest.strip_suffix("end\n").ok_or_else(|| damaged("the last line, `end`"))?;
        let count: usize = count.parse().map_err(|_| damaged("the line `payload`"))?;
        if count != header.payload().words {
            return Err(DocumentError::Payload);
        }
        let words = decode(body, count).ok_or(DocumentError::Payload)?;
        if Payload::of(&words) != *header.payload() {
            return Err(DocumentError::Payload);
        }
        Ok(Self { header, words, signature })
    }
}

/// Words of lines of base64; none if they are not exactly `count`.
fn decode(body: &str, count: usize) -> Option<Vec<u128>> {
    // The text bounds the memory: 16 bytes a word need at least 21 characters.
    if body.len() / 21 < count {
        return None;
    }
    if count == 0 {
        return body.is_empty().then(Vec::new);
    }
    let mut bytes = vec![0; count.checked_mul(16)?];
    let mut decoder =
        Decoder::<Base64>::new_wrapped(body.trim_end_matches('\n').as_bytes(), LINE).ok()?;
    decoder.decode(&mut bytes).ok()?;
    if !decoder.is_finished() {
        return None;
    }
    words::from_bytes(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
        payload: Payload,
    }

    impl Header for Note {
        const FORMAT: &str = "tributary note 1";
        fn payload(&self) -> &Payload {
            &self.payload
        }
    }

    fn note(n: usize) -> Document<Note> {
        let words: Vec<u128> = (0..n as u128).map(|i| i.wrapping_mul(u128::MAX / 7)).collect();
        let header = Note { text: "signature of a hub\n".into(), payload: Payload::of(&words) };
        Document::sign(header, words, &SigningKey::of(&[1; 32]))
    }

    #[test]
    fn a_document_is_read_as_it_was_written_whatever_its_length_and_line_ends() {
        for n in [0, 1, 2, 3, 4, 57, 1000] {
            let note = note(n);
            let text = note.to_text();
            assert_eq!(Document::parse(&text).unwrap(), note, "{n}");
            assert_eq!(Document::parse(&text.replace('\n', "\r\n")).unwrap(), note, "{n}");
            assert!(note.verify(&SigningKey::of(&[1; 32]).public()).is_ok());
        }
    }

    #[test]
    fn a_document_that_was_cut_or_changed_anywhere_is_not_accepted() {
        let text = note(5).to_text();
        let key = SigningKey::of(&[1; 32]).public();
        let accepted =
            |text: &str| Document::<Note>::parse(text).is_ok_and(|d| d.verify(&key).is_ok());
        assert!(accepted(&text));
        for at in 0..text.len() {
            assert!(!accepted(&text[..at]), "cut at {at}");
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!accepted(&changed), "changed at {at}");
        }
    }
}
