//! Parsers of everything that arrives, given anything: bytes, and valid documents with something changed. They may refuse;
//! they may not panic, hang, or accept what was not signed.

use std::sync::LazyLock;

use proptest::{prelude::*, strategy::ValueTree as _};
use tributary::{
    estimate::Estimate,
    plan::Plan,
    protocol::{
        AnswerFile, DecisionFile, Document, Opening, OpeningRequest, OpeningRequestHeader, Payload,
        Problem, QuestionFile, SignedRequest,
    },
    results::Results,
    run::Event,
    seal::{PublicKey, Roster, SealingKey, Signature},
    spec::{Condition, Source, Study},
    summary::{SiteId, Summary},
};

use crate::{
    parties::{ANALYSIS, Live, Parties},
    pooling::path,
    sealed::Keys,
    wilms::study,
};

/// Gives a text to every parser.
fn parse_all(text: &str) {
    let _: Result<AnswerFile, _> = Document::parse(text);
    let _: Result<QuestionFile, _> = Document::parse(text);
    let _: Result<DecisionFile, _> = Document::parse(text);
    let _: Result<OpeningRequest, _> = Document::parse(text);
    let _: Result<Opening, _> = Document::parse(text);
    let _ = Roster::parse("roster.toml", text);
    let _ = Study::parse("study.toml", text);
    let _ = Source::parse("any.toml", text);
    let _ = Plan::check("analysis.toml", text, STUDY.clone());
    let _ = Condition::parse(text, &STUDY.dictionary);
    let _ = serde_json::from_str::<Event>(text);
    let _ = serde_json::from_str::<Summary>(text);
    let _ = serde_json::from_str::<Results>(text);
    let _ = serde_json::from_str::<Estimate>(text);
    let _ = serde_json::from_str::<Problem>(text);
    let _ = PublicKey::try_from(text.to_owned());
    let _ = SealingKey::try_from(text.to_owned());
    let _ = Signature::try_from(text.to_owned());
    let _ = SiteId::new(text);
}

static STUDY: LazyLock<Study> = LazyLock::new(study);

/// Valid texts, to be spoilt.
static VALID: LazyLock<Vec<String>> = LazyLock::new(|| {
    let keys = Keys::of("powers", &["A", "B", "C"].map(|c| SiteId::new(c).unwrap()), 3);
    let header = OpeningRequestHeader {
        study: "powers".into(),
        run: "r".into(),
        round: 0,
        specification: "0".repeat(64),
        question: "1".repeat(64),
        roster: keys.roster.hash(),
        parts: Vec::new(),
        envelopes: Vec::new(),
        payload: Payload::of(&[7, 8, 9]),
    };
    let request: OpeningRequest = Document::sign(header, vec![7, 8, 9], &keys.hub);
    let read = |file: &str| std::fs::read_to_string(path(file)).unwrap();
    vec![
        request.to_text(),
        keys.roster.to_toml(),
        ANALYSIS.into(),
        read("analyses/wilms/wilms.toml"),
        read("analyses/wilms/study.toml"),
        read("analyses/wilms/sites/XD/mapping.toml"),
        read("tests/vectors/answer.txt"),
        "topography = 'C649' AND (age_years BETWEEN 0 AND 4 OR stage IN ('1', '2')) AND NOT relapse IS NULL".into(),
        r#"{"arrays":[{"name":"a","axes":[{"name":"x","positions":2}],"kind":"count","rule":"add","shown":true,"cells":[1,null]}],"hidden":[]}"#.into(),
    ]
});

fn spoilt() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(String::new()),
        Just("\u{0}".to_owned()),
        Just("[[[[[[[[[[[[[[[[[[[[[[[[".to_owned()),
        Just("99999999999999999999999999".to_owned()),
        Just("-1".to_owned()),
        Just("1e400".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("\r\n".to_owned()),
        ".{0,12}",
    ];
    (0..VALID.len(), any::<prop::sample::Index>(), 0..40_usize, piece).prop_map(
        |(which, at, length, piece)| {
            let text = &VALID[which];
            let mut places =
                (0..=text.len()).filter(|i| text.is_char_boundary(*i)).collect::<Vec<_>>();
            let begin = *at.get(&places);
            places.retain(|i| *i >= begin && *i <= begin + length);
            let end = *places.last().unwrap_or(&begin);
            format!("{}{piece}{}", &text[..begin], &text[end..])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,200}") {
        parse_all(&text);
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn valid_texts_with_something_changed_are_parsed_or_refused(text in spoilt()) {
        parse_all(&text);
    }

    /// What is accepted is signed: a change that still parses does not verify, unless it says the same.
    #[test]
    fn a_changed_answer_that_parses_is_not_signed(text in spoilt()) {
        let keys = Keys::of("powers", &["A", "B", "C"].map(|c| SiteId::new(c).unwrap()), 3);
        let original = &VALID[0];
        if let Ok(request) = Document::<OpeningRequestHeader>::parse(&text) {
            let known: OpeningRequest = Document::parse(original).unwrap();
            prop_assert!(request.verify(&keys.hub.public()).is_err() || request == known);
        }
    }

    /// A large number of positions is refused before memory is taken for it.
    #[test]
    fn an_axis_of_any_length_is_taken_or_refused(n in any::<u64>()) {
        let text = format!(r#"{{"arrays":[{{"name":"a","axes":[{{"name":"x","positions":{n}}}],"kind":"count","rule":"add","shown":true,"cells":[]}}],"hidden":[]}}"#);
        prop_assert!(serde_json::from_str::<Summary>(&text).is_err() || n == 0);
    }
}

/// A site's own files, spoilt: site.toml, the mapping, and the national file. Read or refused, and no value of a record in
/// what is said.
#[test]
fn any_site_folder_is_read_or_refused() {
    let shipped = path("analyses/wilms/sites/XE");
    let names = ["site.toml", "mapping.toml", "nwtco_XE_us_sheet.csv"];
    let texts = names.map(|name| std::fs::read_to_string(shipped.join(name)).unwrap());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let pieces = prop_oneof![
        Just("\u{0}".to_owned()),
        Just("\"".to_owned()),
        Just("[[[".to_owned()),
        Just(",,,,,,,,,,,,".to_owned()),
        Just("\n\n".to_owned()),
        Just("31/31/9999".to_owned()),
        ".{0,9}",
    ];
    let strategy = (0..3_usize, any::<prop::sample::Index>(), 0..25_usize, pieces);
    let folder = tempfile::tempdir().unwrap();
    // Dates of records look like no other text of these files.
    let date = regex::Regex::new(r"\d{2}/\d{2}/19\d{2}").unwrap();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..300 {
        let (which, at, length, piece) = strategy.new_tree(&mut runner).unwrap().current();
        for (i, (name, text)) in names.iter().zip(&texts).enumerate() {
            let mut chars: Vec<char> = text.chars().collect();
            if i == which {
                let begin = at.index(chars.len());
                let end = (begin + length).min(chars.len());
                chars.splice(begin..end, piece.chars());
            }
            std::fs::write(folder.path().join(name), chars.into_iter().collect::<String>())
                .unwrap();
        }
        let found = tributary::site::SiteFolder::open(folder.path())
            .and_then(|folder| tributary::site::Registry::open(folder, &STUDY.dictionary));
        match found {
            Ok(_) => read += 1,
            Err(error) => {
                refused += 1;
                let said = error.to_string();
                assert!(!date.is_match(&said), "{said}");
            }
        }
    }
    assert!(read > 20 && refused > 20, "{read} {refused}");
}

/// HTTP bodies and header fields of any kind, at every address that takes one: never a failure of the server's own.
#[test]
fn any_request_gets_a_problem_and_never_a_failure() {
    let parties = Parties::found(3, 3);
    let database = parties.sqlite();
    let live: Live = parties.live(&database);
    let run = live.open_run();
    let targets = [
        ("PUT", "/v1/studies/powers".to_owned()),
        ("PUT", "/v1/studies/powers/roster".to_owned()),
        ("PUT", "/v1/analyses/powers".to_owned()),
        ("POST", "/v1/runs".to_owned()),
        ("PUT", format!("/v1/runs/{run}/sites/S0/decision")),
        ("PUT", format!("/v1/runs/{run}/sites/S0/rounds/0/answer")),
        ("PUT", "/v1/users/x".to_owned()),
        ("POST", "/v1/users/admin/tokens".to_owned()),
        ("GET", format!("/v1/runs/{run}/sites/S0/question")),
        ("GET", "/v1/studies/powers/sites/S0/questions".to_owned()),
    ];
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        // A hub may close a connection whose body it refused: every request has a connection of its own.
        .max_idle_connections(0)
        .build();
    let agent: ureq::Agent = config.into();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (0..targets.len(), spoilt(), any::<bool>(), any::<bool>(), "[ -~]{0,60}");
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let (which, body, json, signed, field) = strategy.new_tree(&mut runner).unwrap().current();
        let (method, target) = &targets[which];
        let body = if *method == "GET" { String::new() } else { body };
        let mut request =
            ureq::http::Request::builder().method(*method).uri(format!("{}{target}", live.url));
        request =
            request.header("content-type", if json { "application/json" } else { "text/plain" });
        if signed {
            let key = live.parties.key("agents/S0");
            let signed = SignedRequest::sign(
                "S0",
                method,
                target,
                body.as_bytes(),
                jiff::Timestamp::now(),
                &key,
            );
            for (name, value) in
                SignedRequest::FIELDS.into_iter().zip([signed.party, signed.time, signed.signature])
            {
                request = request.header(name, value);
            }
            request = request.header("authorization", format!("Bearer {}", live.token));
        } else {
            for name in SignedRequest::FIELDS {
                request = request.header(name, field.trim());
            }
            request = request.header("authorization", format!("Bearer {}", field.trim()));
        }
        request =
            request.header("idempotency-key", field.trim()).header("x-request-id", field.trim());
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        assert!(status < 500, "{method} {target}: {status} {text}");
        if status >= 400 {
            let problem: Problem =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!(problem.status, status);
        }
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert!(statuses.len() >= 3, "{statuses:?}");
}

/// Questions of a hub that errs or lies: a site refuses them or answers; it does not fall over, and no answer holds a number
/// that is not finite.
#[test]
fn any_parameters_are_answered_or_refused() {
    let (plan, data, rounds) = crate::laws::asked();
    let mut tried = 0;
    for (model, params) in rounds {
        let spec = plan.spec.models.iter().find(|m| m.id == model).unwrap();
        let found = tributary::models::find(&spec.kind).unwrap();
        for changed in changes(&params) {
            // Whatever comes of it, the site goes on; arrays of what is not finite cannot be made.
            let _ = found.summarise(&spec.options, &changed, &data);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

/// A value with one thing in it changed, in every place.
fn changes(value: &serde_json::Value) -> Vec<serde_json::Value> {
    use serde_json::{Value, json};
    let mut found = vec![
        json!(null),
        json!([]),
        json!({}),
        json!(-1),
        json!(1e308),
        json!("x"),
        json!(vec![1e308; 40]),
    ];
    match value {
        Value::Array(items) => {
            found.push(json!(items.iter().chain(items).collect::<Vec<_>>()));
            found.push(json!(items[..items.len().saturating_sub(1)].to_vec()));
            for (i, item) in items.iter().enumerate().take(6) {
                for changed in changes(item) {
                    let mut items = items.clone();
                    items[i] = changed;
                    found.push(json!(items));
                }
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                for changed in changes(field) {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), changed);
                    found.push(json!(fields));
                }
                let mut fields = fields.clone();
                fields.remove(name);
                found.push(json!(fields));
            }
        }
        _ => {}
    }
    found
}
