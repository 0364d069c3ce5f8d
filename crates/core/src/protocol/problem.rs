//! Problems (RFC 9457): each kind has a type of its own, with a page that says what it means and what to do.

use serde::{Deserialize, Serialize};

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Address of the page of its kind, relative to the server.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Request it belongs to, as in the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

macro_rules! kinds {
    ($($name:ident $status:literal $slug:literal $title:literal, $advice:literal;)*) => {
        /// Kinds of problems.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemKind { $(#[doc = $title] $name,)* }

        impl ProblemKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Last part of the address of its page.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The kind in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

kinds! {
    BadRequest 400 "bad-request" "The request cannot be read",
        "A part of the request does not have the form described in the API. The detail names the part.";
    Unauthenticated 401 "unauthenticated" "Not authenticated",
        "Send a token as `Authorization: Bearer …`, or sign the request with the key in the study's roster. A token that was revoked or has expired is not valid.";
    ClockSkew 401 "clock-skew" "The clocks differ too much",
        "The request was signed more than five minutes away from the time here. Set the clock; the agent does so by itself from the `Date` field of the reply.";
    Forbidden 403 "forbidden" "This role does not permit the request",
        "The detail names the role that is needed. An administrator can give it.";
    NotFound 404 "not-found" "Not found",
        "The address names something that is not here. Lists are at /v1/studies and /v1/runs.";
    MethodNotAllowed 405 "method-not-allowed" "Method not allowed",
        "The `Allow` field of the reply lists the methods.";
    Conflict 409 "conflict" "Conflict with the current state",
        "Something else happened first; the detail says what. Read the current state and decide again.";
    ConflictingAnswer 409 "conflicting-answer" "The site has already given a different answer to this round",
        "An answer is given once. The same answer may be sent again as often as needed; another one is not taken. If the first was wrong, cancel the run and open a new one.";
    WrongRound 409 "wrong-round" "Another round is open",
        "The answer is for a round that is over or has not begun. Ask for the open question.";
    RunClosed 409 "run-closed" "The run is over, or no longer waits for this site",
        "The run has ended, or went on without this site because its deadline passed.";
    KeyReuse 409 "idempotency-key-reuse" "The idempotency key was used for another request",
        "A key belongs to one request. Use a new one for a new request.";
    TooLarge 413 "too-large" "The body is too large",
        "The detail names the limit. If an answer is rightly this large, the hub's operator can raise `max_body_bytes`.";
    UnsupportedMedia 415 "unsupported-media-type" "The body is of another type",
        "Structured data are application/json, documents are text/plain.";
    MalformedDocument 422 "malformed-document" "The document is damaged or of another version",
        "A signed document is line by line what its writer wrote. The detail names the part; send the file again.";
    TruncatedPayload 422 "truncated-payload" "The payload is not the one that was signed",
        "The document was truncated or altered in transit. Send the file again.";
    BadSignature 422 "bad-signature" "The signature is not valid",
        "The document was changed, or signed with a key other than the one in the roster. If keys were renewed, all parties need the new roster.";
    WrongRoster 422 "wrong-roster" "Another roster was used",
        "A party has a different copy of the roster: an old one, or one in which a key was swapped. Compare the fingerprints over a second channel (`tributary roster show`) before anything is sent.";
    WrongSpecification 422 "wrong-specification" "Another specification was answered",
        "An approval and an answer cover exactly one specification, by its hash. The one in the document is another.";
    WrongQuestion 422 "wrong-question" "Another question was answered",
        "All sites answer the same question, by its hash. The site was asked something else, or answered something else: fetch the open question again, and tell the hub's operator.";
    WrongAddress 422 "wrong-address" "The document is for something else",
        "The run, analysis or site named in the document is not the one in the address.";
    WrongModels 422 "wrong-models" "The answer has other models than were asked for",
        "Each open model is answered, sealed or visible according to the model's card, or withheld.";
    LayoutDiffers 422 "layout-differs" "The layout of the arrays differs from that of the other sites",
        "All sites must send the same arrays with the same axes and levels. Usually one site runs another version of the program.";
    PolicyLoosened 422 "policy-loosened" "The answer was released under looser rules than the study's",
        "A site may tighten the study's rules, never loosen them.";
    InvalidSpecification 422 "invalid-specification" "The study, analysis or roster has faults",
        "The detail lists all faults, each at its line. `tributary analysis check` shows the same.";
    RateLimited 429 "rate-limited" "Too many requests",
        "Wait as long as the `Retry-After` field says.";
    Internal 500 "internal" "Something failed here",
        "It is in the log under the request id. Nothing of the request was kept unless the reply says so; it is safe to send it again.";
    Unavailable 503 "unavailable" "Not ready",
        "The server is starting, stopping, or cannot reach its database. Try again in a moment.";
    Timeout 503 "timeout" "The request took too long",
        "The server gave up. It is safe to send the request again.";
}

impl ProblemKind {
    /// The document, with what happened this time. `detail` must hold no data.
    pub fn with(self, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("/problems/{}", self.slug()),
            title: self.title().to_owned(),
            status: self.status(),
            detail: Some(detail.into()),
            request_id: None,
        }
    }
}

impl Problem {
    /// Whether it is of this kind.
    pub fn is(&self, kind: ProblemKind) -> bool {
        self.kind.rsplit('/').next() == Some(kind.slug())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}
