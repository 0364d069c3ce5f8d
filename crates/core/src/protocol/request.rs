//! Signed requests: a site or the hub proves who it is by the key that stands in the roster, so no second secret is needed.
//!
//! Three header fields: `tributary-party` (site code, or `hub`), `tributary-time` (RFC 3339), `tributary-signature` (Ed25519
//! over method, path with query, time and the SHA-256 of the body, each on a line of its own).

use jiff::Timestamp;

use crate::seal::{PublicKey, Signature, SigningKey, sha256};

/// How far the clocks of two parties may differ, seconds.
pub const MAX_CLOCK_SKEW_S: i64 = 300;

/// Purpose of the signature.
const DOMAIN: &str = "tributary request 1";

/// Header fields of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// Who asks.
    pub party: String,
    /// When, by its clock.
    pub time: String,
    /// Signature.
    pub signature: String,
}

/// Why a signed request is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The time is no RFC 3339 time.
    #[error("tributary-time is not an RFC 3339 time")]
    Time,
    /// The clocks differ too much.
    #[error(
        "the request was signed at {found}, it is now {now}: the clocks differ by more than {MAX_CLOCK_SKEW_S} s"
    )]
    Skew {
        /// Time of the request.
        found: Timestamp,
        /// Time here.
        now: Timestamp,
    },
    /// Not signed by the party.
    #[error("the signature of the request is not valid for {party}")]
    Signature {
        /// Who it says it is.
        party: String,
    },
}

impl SignedRequest {
    /// Names of the header fields.
    pub const FIELDS: [&str; 3] = ["tributary-party", "tributary-time", "tributary-signature"];

    /// Signs a request. `target` is path and query.
    pub fn sign(
        party: &str,
        method: &str,
        target: &str,
        body: &[u8],
        now: Timestamp,
        key: &SigningKey,
    ) -> Self {
        let time = now.to_string();
        let signature = key.sign(DOMAIN, &message(party, method, target, &time, body));
        Self { party: party.to_owned(), time, signature: signature.into() }
    }

    /// Whether `key` signed this request lately.
    ///
    /// # Errors
    /// [`RequestError`] says why it is not accepted.
    pub fn verify(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        now: Timestamp,
        key: &PublicKey,
    ) -> Result<(), RequestError> {
        let wrong = || RequestError::Signature { party: self.party.clone() };
        let signature = Signature::try_from(self.signature.clone()).map_err(|_| wrong())?;
        let message = message(&self.party, method, target, &self.time, body);
        key.verify(DOMAIN, &message, &signature).map_err(|_| wrong())?;
        let found: Timestamp = self.time.parse().map_err(|_| RequestError::Time)?;
        if now.duration_since(found).as_secs().abs() > MAX_CLOCK_SKEW_S {
            return Err(RequestError::Skew { found, now });
        }
        Ok(())
    }
}

fn message(party: &str, method: &str, target: &str, time: &str, body: &[u8]) -> Vec<u8> {
    [party, method, target, time, &sha256(body)].join("\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_for_one_party_method_target_body_and_time() {
        let key = SigningKey::of(&[9; 32]);
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let signed = SignedRequest::sign("XA", "PUT", "/v1/x?a=1", b"body", now, &key);
        let verify = |method: &str, target: &str, body: &[u8], at: &str| {
            signed.verify(method, target, body, at.parse().unwrap(), &key.public())
        };
        assert!(verify("PUT", "/v1/x?a=1", b"body", "2026-01-31T12:04:59Z").is_ok());
        assert!(verify("GET", "/v1/x?a=1", b"body", "2026-01-31T12:00:00Z").is_err());
        assert!(verify("PUT", "/v1/x?a=2", b"body", "2026-01-31T12:00:00Z").is_err());
        assert!(verify("PUT", "/v1/x?a=1", b"bodY", "2026-01-31T12:00:00Z").is_err());
        for late in ["2026-01-31T12:06:00Z", "2026-01-31T11:54:00Z"] {
            let error = verify("PUT", "/v1/x?a=1", b"body", late).unwrap_err();
            assert!(matches!(error, RequestError::Skew { .. }), "{error}");
        }
        let other = SignedRequest { party: "XB".into(), ..signed.clone() };
        assert!(other.verify("PUT", "/v1/x?a=1", b"body", now, &key.public()).is_err());
    }
}
