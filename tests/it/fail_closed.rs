//! What must fail closed: answers that were spoilt, forged or late, keys that were swapped, lists that would tell of one site.

use std::{collections::BTreeMap, fs};

use tributary::{
    client::{Client, ClientError, Identity},
    protocol::{AnswerFile, Document, Part, Payload, ProblemKind, QuestionFile, question_hash},
    seal::{SigningKey, words},
    site::{Agent, AgentError},
    summary::SiteId,
};

use crate::parties::{Live, agents, is, live, problem};

/// Answers of S0 to the first round of a run, made by its own hand, to be spoilt.
struct Spoiler {
    live: Live,
    run: String,
    answer: AnswerFile,
    key: SigningKey,
    target: String,
}

impl Spoiler {
    fn new() -> Self {
        let live = live(3);
        let run = live.open_run();
        let mut all = agents(&live);
        for agent in &mut all {
            agent.once(0).unwrap();
        }
        // S1 answers, so that layouts can be compared; S0's answer is taken from its desk before it is sent.
        all[1].once(0).unwrap();
        drop(all);
        let (code, site) = (live.parties.codes[0].clone(), live.site(&live.parties.codes[0]));
        let text = site.text("GET", &format!("/v1/runs/{run}/sites/S0/question"), "").unwrap();
        let question: QuestionFile = Document::parse(&text).unwrap();
        question.verify(&live.parties.roster.hub.signing_key).unwrap();
        let folder = live.parties.path("agents/S0");
        let roster = live.parties.roster.clone();
        let record = live.parties.path("spoiler");
        fs::create_dir_all(&record).unwrap();
        let mut maker =
            tributary::site::Maker::start(&live.parties.path("sites/S0"), &folder, roster, &record)
                .unwrap();
        let address = tributary::protocol::Address {
            study: "powers".into(),
            analysis: "powers".into(),
            run: run.clone(),
            round: 0,
            specification: live.parties.plan.hash.clone(),
            question: question_hash(&question.header.questions),
        };
        let text = maker.make(&live.parties.plan, &address, &question.header.questions).unwrap();
        let key = live.parties.key("agents/S0");
        let target = format!("/v1/runs/{run}/sites/{code}/rounds/0/answer");
        Self { live, run, answer: Document::parse(&text).unwrap(), key, target }
    }

    fn put(&self, text: &str) -> Result<String, ClientError> {
        self.live.site(&self.live.parties.codes[0]).text("PUT", &self.target, text)
    }

    /// The answer after a change, signed again by the site: a site that errs or lies.
    fn signed(&self, change: impl FnOnce(&mut AnswerFile)) -> String {
        let mut other = self.answer.clone();
        change(&mut other);
        other.header.payload = Payload::of(&other.words);
        Document::sign(other.header, other.words, &self.key).to_text()
    }
}

#[test]
fn answers_that_were_spoilt_on_the_way_fail_closed_with_their_problem_type() {
    let spoiler = Spoiler::new();
    let text = spoiler.answer.to_text();
    // Changed by somebody without the key.
    let tampered = text.replacen("\"round\": 0", "\"round\": 1", 1);
    is(spoiler.put(&tampered), ProblemKind::BadSignature);
    let mut other = spoiler.answer.clone();
    other.words[7] ^= 1;
    is(spoiler.put(&other.to_text()), ProblemKind::TruncatedPayload);
    // Cut.
    is(spoiler.put(&text[..text.len() - 200]), ProblemKind::MalformedDocument);
    is(spoiler.put(&text[..300]), ProblemKind::MalformedDocument);
    is(spoiler.put(""), ProblemKind::MalformedDocument);
    is(spoiler.put(&text.replacen("answer 1", "answer 9", 1)), ProblemKind::MalformedDocument);
    // Too large.
    let huge = format!("{text}{}", "A".repeat(65 << 20));
    is(spoiler.put(&huge), ProblemKind::TooLarge);
    // Signed with a key that is not in the roster.
    let stranger = SigningKey::generate().unwrap();
    let forged =
        Document::sign(spoiler.answer.header.clone(), spoiler.answer.words.clone(), &stranger);
    is(spoiler.put(&forged.to_text()), ProblemKind::BadSignature);
    let outsider = Client::new(
        &spoiler.live.url,
        None,
        Identity::Party { name: "S0".into(), key: Box::new(stranger) },
    )
    .unwrap();
    is(outsider.text("PUT", &spoiler.target, &text), ProblemKind::Unauthenticated);
    // Another site's door.
    let other_site = spoiler.live.site(&spoiler.live.parties.codes[2]);
    is(other_site.text("PUT", &spoiler.target, &text), ProblemKind::Unauthenticated);
    let wrong_door = spoiler.target.replace("/S0/", "/S2/");
    is(other_site.text("PUT", &wrong_door, &text), ProblemKind::WrongAddress);
    // After all of this nothing of S0 was kept, and the true answer is taken.
    is(
        spoiler.live.site(&spoiler.live.parties.codes[0]).text("GET", &spoiler.target, ""),
        ProblemKind::NotFound,
    );
    spoiler.put(&text).unwrap();
    spoiler.put(&text).unwrap();
}

#[test]
fn answers_of_a_site_that_errs_or_lies_fail_closed_with_their_problem_type() {
    let spoiler = Spoiler::new();
    let cases: Vec<(&str, String, ProblemKind)> = vec![
        ("round", spoiler.signed(|a| a.header.round = 1), ProblemKind::WrongRound),
        ("run", spoiler.signed(|a| a.header.run = "other".into()), ProblemKind::WrongAddress),
        (
            "analysis",
            spoiler.signed(|a| a.header.analysis = "other".into()),
            ProblemKind::WrongAddress,
        ),
        (
            "specification",
            spoiler.signed(|a| a.header.specification = "0".repeat(64)),
            ProblemKind::WrongSpecification,
        ),
        ("roster", spoiler.signed(|a| a.header.roster = "0".repeat(64)), ProblemKind::WrongRoster),
        (
            "question",
            spoiler.signed(|a| a.header.question = "0".repeat(64)),
            ProblemKind::WrongQuestion,
        ),
        ("policy", spoiler.signed(|a| a.header.policy.min_sites = 1), ProblemKind::PolicyLoosened),
        (
            "site",
            spoiler.signed(|a| a.header.site = SiteId::new("S1").unwrap()),
            ProblemKind::WrongAddress,
        ),
        (
            "missing model",
            spoiler.signed(|a| drop(a.header.models.remove("participation"))),
            ProblemKind::WrongModels,
        ),
        (
            "missing sealed model",
            spoiler.signed(|a| drop(a.header.models.remove("cox"))),
            ProblemKind::WrongModels,
        ),
        ("no envelope", spoiler.signed(|a| a.header.envelope = None), ProblemKind::WrongModels),
        (
            "envelope for other lengths",
            spoiler.signed(|a| {
                let envelope = a.header.envelope.as_mut().unwrap();
                envelope.binding.parts[0].words += 1;
            }),
            ProblemKind::BadSignature,
        ),
        (
            "words",
            spoiler.signed(|a| a.words.truncate(a.words.len() - 1)),
            ProblemKind::WrongModels,
        ),
        (
            "layout",
            spoiler.signed(|a| {
                let Some(Part::Sealed { layout, .. }) = a.header.models.get_mut("table") else {
                    panic!()
                };
                layout[0].axes[0].name = "other".into();
            }),
            ProblemKind::LayoutDiffers,
        ),
        (
            "in clear",
            spoiler.signed(|a| {
                let visible = a.header.models["participation"].clone();
                a.header.models.insert("table".into(), visible);
            }),
            ProblemKind::WrongModels,
        ),
        (
            "another model",
            spoiler.signed(|a| {
                let visible = a.header.models["participation"].clone();
                a.header.models.insert("more".into(), visible);
            }),
            ProblemKind::WrongModels,
        ),
    ];
    for (what, text, kind) in cases {
        let found = problem(spoiler.put(&text));
        assert!(found.is(kind), "{what}: {found:?}");
    }
    // A second, different answer: S1 has answered.
    let second = spoiler.live.site(&spoiler.live.parties.codes[1]);
    let target = spoiler.target.replace("/S0/", "/S1/");
    let mut other = spoiler.answer.clone();
    other.header.site = SiteId::new("S1").unwrap();
    let envelope = other.header.envelope.as_mut().unwrap();
    envelope.binding.site = other.header.site.clone();
    let key = spoiler.live.parties.key("agents/S1");
    let seed = tributary::seal::Seed::fresh().unwrap();
    let sealing = &spoiler.live.parties.roster.keyholder.sealing_key;
    *envelope =
        tributary::seal::Envelope::seal(envelope.binding.clone(), &seed, sealing, &key).unwrap();
    let text = Document::sign(other.header, other.words, &key).to_text();
    is(second.text("PUT", &target, &text), ProblemKind::ConflictingAnswer);
    // Late: the run was called off.
    let root = spoiler.live.person();
    root.text("PUT", &format!("/v1/runs/{}/cancellation", spoiler.run), "").unwrap();
    root.text("PUT", &format!("/v1/runs/{}/cancellation", spoiler.run), "").unwrap();
    is(spoiler.put(&spoiler.answer.to_text()), ProblemKind::RunClosed);
}

#[test]
fn a_swapped_key_is_noticed_by_site_and_keyholder() {
    let live = live(4);
    let run = live.open_run();
    // The hub's operator swaps S3's key for one of their own in the copy that this site gets.
    let mut swapped = live.parties.roster.clone();
    let own = SigningKey::generate().unwrap();
    swapped.sites.get_mut(&live.parties.codes[3]).unwrap().signing_key = own.public();
    fs::write(live.parties.path("roster-swapped.toml"), swapped.to_toml()).unwrap();
    let folder = live.parties.path("agents/S0");
    let text = fs::read_to_string(folder.join("agent.toml")).unwrap();
    fs::write(folder.join("agent.toml"), text.replace("roster.toml", "roster-swapped.toml"))
        .unwrap();
    let error = Agent::start(&folder).unwrap().once(0).unwrap_err();
    assert!(matches!(error, AgentError::Roster { .. }), "{error}");
    assert!(error.to_string().contains("compare the rosters"), "{error}");
    // The site whose own key was swapped does not even start.
    let folder = live.parties.path("agents/S3");
    let text = fs::read_to_string(folder.join("agent.toml")).unwrap();
    fs::write(folder.join("agent.toml"), text.replace("roster.toml", "roster-swapped.toml"))
        .unwrap();
    assert!(matches!(Agent::start(&folder), Err(AgentError::Key { .. })));
    // The keyholder serves its own roster only.
    let mut keyholder = {
        let keys = live.parties.path("keyholder");
        let opening = tributary::seal::read_opening(&keys).unwrap();
        let signing = tributary::seal::read_signing(&keys).unwrap();
        let rosters = vec![live.parties.roster.clone()];
        tributary::keyholder::Keyholder::new(
            opening,
            signing,
            rosters,
            2,
            tributary::ledger::Ledger::in_memory(),
        )
        .unwrap()
    };
    let header = tributary::protocol::OpeningRequestHeader {
        study: "powers".into(),
        run,
        round: 0,
        specification: live.parties.plan.hash.clone(),
        question: String::new(),
        roster: swapped.hash(),
        parts: Vec::new(),
        envelopes: Vec::new(),
        payload: Payload::of(&[]),
    };
    let request = Document::sign(header, Vec::new(), &live.parties.key("hub"));
    let error = keyholder.open(&request, jiff::Timestamp::now()).unwrap_err();
    assert!(matches!(error, tributary::keyholder::OpeningError::Roster { .. }), "{error}");
}

#[test]
fn the_keyholder_opens_one_list_and_those_far_enough_from_it() {
    let live = live(6);
    let run = live.open_run();
    let mut all = agents(&live);
    for _ in 0..2 {
        for agent in &mut all {
            agent.once(0).unwrap();
        }
    }
    drop(all);
    let answers: BTreeMap<SiteId, AnswerFile> = live
        .parties
        .codes
        .iter()
        .map(|code| {
            let path = live
                .parties
                .path("agents")
                .join(code.as_str())
                .join(format!("answers/{run}.0.txt"));
            (code.clone(), Document::parse(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    let mut keyholder = live_keyholder(&live);
    let address = tributary::protocol::Address {
        study: "powers".into(),
        analysis: "powers".into(),
        run,
        round: 0,
        specification: live.parties.plan.hash.clone(),
        question: answers[&live.parties.codes[0]].header.question.clone(),
    };
    let hub = live.parties.key("hub");
    let mut open = |sites: &[usize]| {
        let mut pool = tributary::hub::Pool::default();
        for k in sites {
            pool.add(&answers[&live.parties.codes[*k]]).unwrap();
        }
        let request = pool.request(&address, &live.parties.roster, &hub).unwrap();
        keyholder.open(&request, jiff::Timestamp::now()).map(|opening| {
            let refused = opening.header.parts.iter().filter(|p| p.refused.is_some()).count();
            assert!(refused == 0 || refused == opening.header.parts.len());
            (refused == 0).then_some(opening)
        })
    };
    let first = open(&[0, 1, 2, 3, 4, 5]).unwrap().unwrap();
    assert!(open(&[0, 1]).unwrap().is_none(), "two sites");
    assert!(open(&[0, 1, 2, 3, 4]).unwrap().is_none(), "S5 alone would be the difference");
    assert!(open(&[0, 1, 2, 3]).unwrap().is_none(), "two sites would be the difference");
    assert!(open(&[0, 1, 2]).unwrap().is_some(), "three differ");
    assert!(open(&[0, 1, 3]).unwrap().is_none(), "S2 − S3 would be the difference");
    let again = open(&[0, 1, 2, 3, 4, 5]).unwrap().unwrap();
    assert_eq!(first.words, again.words);
    assert!(words::to_bytes(&first.words).len() > 100);
    // A length is judged before memory is taken for it, also where several overflow together.
    let mut pool = tributary::hub::Pool::default();
    live.parties.codes.iter().for_each(|code| pool.add(&answers[code]).unwrap());
    let request = pool.request(&address, &live.parties.roster, &hub).unwrap();
    for length in [(1 << 24) + 1, usize::MAX / 2 + 1, usize::MAX] {
        let mut header = request.header.clone();
        header.parts.iter_mut().for_each(|part| part.words = length);
        let long = Document::sign(header, Vec::new(), &hub);
        let error = keyholder.open(&long, jiff::Timestamp::now()).unwrap_err();
        assert!(error.to_string().contains("16,777,216 words"), "{error}");
    }
}

fn live_keyholder(live: &Live) -> tributary::keyholder::Keyholder {
    let keys = live.parties.path("keyholder");
    let opening = tributary::seal::read_opening(&keys).unwrap();
    let signing = tributary::seal::read_signing(&keys).unwrap();
    let (rosters, ledger) =
        (vec![live.parties.roster.clone()], tributary::ledger::Ledger::in_memory());
    tributary::keyholder::Keyholder::new(opening, signing, rosters, 2, ledger).unwrap()
}
