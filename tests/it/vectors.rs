//! Known answers, committed, so that an independent client can be written against them: `tests/vectors`. The same files are
//! checked by a second implementation, `tests/vectors/verify.py`.
//!
//! `TRIBUTARY_WRITE_VECTORS=1 cargo test vectors` writes them anew, which changes the version of the protocol.

use std::{collections::BTreeMap, env, fs};

use serde_json::{Value, json};
use tributary::{
    protocol::{Address, AnswerFile, Document, Outgoing, SignedRequest, seal},
    seal::{Envelope, OpeningKey, Roster, Seed, SigningKey, canonical, sha256, words},
    summary::{Array, Axis, Draft, Kind, Policy, Rule, SiteId, Support, Visibility, release},
};

use crate::{pooling::path, sealed::Keys};

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn keys() -> Keys {
    Keys::of("vectors", &["A", "B", "C"].map(|c| SiteId::new(c).unwrap()), 3)
}

fn outgoing() -> BTreeMap<String, Outgoing> {
    let policy = Policy::open();
    let count = Array::new(
        "n",
        vec![Axis::numbered("cell", 3)],
        Kind::Count,
        Rule::Add,
        vec![0.0, 1.0, 4028.0],
    )
    .unwrap();
    let sum =
        Array::new("x", vec![Axis::new("term", ["a", "b"])], Kind::Sum, Rule::Add, vec![-1.5, 0.1])
            .unwrap();
    let draft = Draft::new(9).with(count, Support::Whole(9)).with(sum, Support::Whole(9));
    let sealed = release(draft, &policy, Visibility::SumOnly, 0).map_err(|r| r.public());
    let visible = Array::new(
        "records",
        vec![Axis::new("part", ["a", "b"])],
        Kind::Count,
        Rule::Stack,
        vec![7.0, 9.0],
    )
    .unwrap();
    let draft = Draft::new(16).with(visible, Support::OwnCounts);
    let seen = release(draft, &policy, Visibility::EachSite, 0).map_err(|r| r.public());
    let refused =
        release(Draft::new(1), &Policy { min_persons_in_sum: 5, ..policy }, Visibility::SumOnly, 0);
    BTreeMap::from([
        (
            "sums".to_owned(),
            Outgoing { part: 2, visibility: Visibility::SumOnly, released: sealed },
        ),
        (
            "table".to_owned(),
            Outgoing { part: 0, visibility: Visibility::EachSite, released: seen },
        ),
        (
            "held".to_owned(),
            Outgoing {
                part: 1,
                visibility: Visibility::SumOnly,
                released: refused.map_err(|r| r.public()),
            },
        ),
    ])
}

fn address() -> Address {
    Address {
        study: "vectors".into(),
        analysis: "known".into(),
        run: "0190a0b0-0000-7000-8000-000000000000".into(),
        round: 1,
        specification: "5e".repeat(32),
        question: "9e".repeat(32),
    }
}

const SEED: [u8; 32] = [0x42; 32];

/// Everything that is the same every time.
fn fixed() -> Value {
    let keys = keys();
    let site = SiteId::new("A").unwrap();
    let seed = Seed::of(SEED);
    let signed = SignedRequest::sign(
        "A",
        "PUT",
        "/v1/x?a=1",
        b"body",
        "2026-01-31T12:00:00Z".parse().unwrap(),
        &keys.sites[&site],
    );
    json!({
        "canonical_json": { "value": { "b": [1.5, null, "é\u{7}"], "a": 1e21 }, "utf8": String::from_utf8(canonical(&json!({ "b": [1.5, null, "é\u{7}"], "a": 1e21 }))).unwrap() },
        "keys": {
            "site_secret": hex(&secret("A")),
            "site_public": keys.sites[&site].public(),
            "opening_secret": hex(&secret("opening")),
            "sealing_public": keys.opening.public(),
        },
        "roster": { "file": keys.roster.to_toml(), "sha256": keys.roster.hash() },
        "words": [
            { "kind": "count", "number": 4028.0, "word": hex(&words::to_bytes(&[4028])) },
            { "kind": "sum", "number": -1.5, "word": hex(&words::to_bytes(&[(-3_i128 << 63).cast_unsigned()])) },
        ],
        "mask": { "seed": hex(&SEED), "part": 2, "words": hex(&words::to_bytes(&seed.mask(2, 5))) },
        "request": {
            "party": signed.party, "method": "PUT", "target": "/v1/x?a=1", "time": signed.time,
            "body": "body", "signature": signed.signature,
        },
        "open_words": hex(&words::to_bytes(&open_words())),
    })
}

fn secret(name: &str) -> [u8; 32] {
    let mut bytes = [7; 32];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

/// Words of the sealed part of the answer before the mask.
fn open_words() -> Vec<u128> {
    let tenth = (0.1 * 2_f64.powi(64)) as u128;
    vec![0, 1, 4028, (-3_i128 << 63).cast_unsigned(), tenth]
}

#[test]
fn known_answers_are_as_they_were_committed() {
    let (file, answer_file) =
        (path("tests/vectors/vectors.json"), path("tests/vectors/answer.txt"));
    let keys = keys();
    let site = SiteId::new("A").unwrap();
    if env::var_os("TRIBUTARY_WRITE_VECTORS").is_some() {
        let (seed, key) = (Seed::of(SEED), &keys.sites[&site]);
        let answer =
            seal(&address(), &keys.roster, &Policy::open(), outgoing(), &site, &seed, key).unwrap();
        fs::write(&file, format!("{:#}\n", fixed())).unwrap();
        fs::write(&answer_file, answer.to_text()).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(committed, fixed());
    assert_eq!(SigningKey::of(&secret("A")).public(), keys.sites[&site].public());
    assert_eq!(
        Roster::parse("r", committed["roster"]["file"].as_str().unwrap()).unwrap(),
        keys.roster
    );

    // The answer: as it would be made today, but for the randomness of the envelope.
    let text = fs::read_to_string(&answer_file).unwrap();
    let answer: AnswerFile = Document::parse(&text).unwrap();
    assert_eq!(answer.to_text(), text);
    answer.verify(&keys.sites[&site].public()).unwrap();
    let envelope: &Envelope = answer.header.envelope.as_ref().unwrap();
    let seed = envelope.open(&OpeningKey::of(&secret("opening")).unwrap()).unwrap();
    assert_eq!(seed, Seed::of(SEED));
    let mut open = answer.words.clone();
    words::subtract(&mut open, &seed.mask(2, 5));
    assert_eq!(open, open_words());
    let today = seal(
        &address(),
        &keys.roster,
        &Policy::open(),
        outgoing(),
        &site,
        &seed,
        &keys.sites[&site],
    )
    .unwrap();
    assert_eq!(today.words, answer.words);
    assert_eq!(today.header.models, answer.header.models);
    assert_eq!(today.header.payload, answer.header.payload);
    assert_eq!(envelope.binding, today.header.envelope.unwrap().binding);
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
