//! Hub, keyholder and agents over HTTP: a run from consent to report, and everything that must fail closed.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use tributary::{
    client::{Client, ClientError, Identity},
    protocol::{
        AnswerFile, DecisionFile, DecisionHeader, Document, Part, Payload, Problem, ProblemKind,
        QuestionFile, question_hash,
    },
    seal::{Roster, SigningKey, words},
    site::{Agent, AgentError, Decision, Desk, Progress},
    summary::SiteId,
};

use crate::parties::{Live, Parties, counted, outcomes};

pub fn agents(live: &Live) -> Vec<Agent> {
    let folder = |code: &SiteId| live.parties.path("agents").join(code.as_str());
    live.parties.codes.iter().map(|code| Agent::start(&folder(code)).unwrap()).collect()
}

/// Lets agents and hub work in turn until the run is over.
pub fn finish(live: &Live, agents: &mut [Agent], run: &str) -> Value {
    for _ in 0..200 {
        for agent in agents.iter_mut() {
            agent.once(0).unwrap();
        }
        live.drive();
        let found = live.run(run);
        if ["done", "failed", "cancelled"].contains(&found["state"].as_str().unwrap()) {
            return found;
        }
    }
    panic!("the run does not end: {}", live.run(run));
}

pub fn results(live: &Live, run: &str) -> Value {
    live.person().get(&format!("/v1/runs/{run}/results")).unwrap()
}

fn problem<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Problem(problem)) => problem,
        other => panic!("no problem: {other:?}"),
    }
}

fn is<T: std::fmt::Debug>(result: Result<T, ClientError>, kind: ProblemKind) -> Problem {
    let found = problem(result);
    assert!(found.is(kind), "{found:?}, expected {}", kind.slug());
    assert_eq!(found.status, kind.status());
    assert!(found.request_id.is_some());
    found
}

fn live(sites: usize) -> Live {
    let parties = Parties::found(sites, 3);
    let database = parties.sqlite();
    parties.live(&database)
}

#[test]
fn a_run_over_http_gives_the_numbers_of_a_run_in_one_process() {
    let live = live(5);
    let run = live.open_run();
    let ended = finish(&live, &mut agents(&live), &run);
    assert_eq!(ended["state"], "done", "{ended}");
    let found = results(&live, &run);
    assert_eq!(counted(&found), [0, 1, 2, 3, 4]);

    let out = live.parties.path("one-process");
    let sites: Vec<String> = live
        .parties
        .codes
        .iter()
        .map(|c| live.parties.path("sites").join(c.as_str()).display().to_string())
        .collect();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args([
            "run",
            &live.parties.path("powers.toml").display().to_string(),
            "--out",
            &out.display().to_string(),
            "--site",
        ])
        .args(&sites)
        .status()
        .unwrap();
    assert!(status.code().is_some_and(|c| c < 2));
    let wanted: Value =
        serde_json::from_str(&fs::read_to_string(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(outcomes(&found), outcomes(&wanted));

    // Everything that a person can ask of it.
    let person = live.person();
    let html = person.text("GET", &format!("/v1/runs/{run}/report.html"), "").unwrap();
    assert!(html.contains("Powers"));
    let events: Value = person.get(&format!("/v1/runs/{run}/events?limit=3")).unwrap();
    assert_eq!(events["items"].as_array().unwrap().len(), 3);
    let next = events["next"].as_str().unwrap();
    let rest: Value = person.get(&format!("/v1/runs/{run}/events?after={next}&limit=200")).unwrap();
    assert_eq!(rest["items"][0]["seq"], 4);
    let stream = person.text("GET", &format!("/v1/runs/{run}/stream"), "").unwrap();
    assert!(stream.contains("event: run") && stream.contains("\"pooled\""), "{stream}");
    let metrics = person.text("GET", "/metrics", "").unwrap();
    assert!(metrics.contains("tributary_events_total{event=\"round pooled\"}"), "{metrics}");
    let audit: Value = person.get("/v1/audit?limit=200").unwrap();
    for action in ["round pooled", "approved", "answer received", "results read"] {
        let found = audit["items"].as_array().unwrap().iter().any(|e| e["action"] == action);
        assert!(found, "{action}");
    }
}

#[test]
fn who_does_not_decide_or_declines_costs_nothing_and_is_named() {
    let live = live(6);
    let run = live.open_run();
    let declined = &live.parties.codes[1];
    live.parties.agent_file(declined, &live.url, false);
    let mut all = agents(&live);
    for agent in &mut all {
        agent.once(0).unwrap();
    }
    assert_eq!(live.run(&run)["state"], "consent");
    let folder = live.parties.path("agents").join(declined.as_str());
    let desk = Desk::of(&folder);
    let pending = desk.pending().unwrap();
    assert_eq!((pending.len(), pending[0].decision.is_none()), (1, true));
    let decision = Decision {
        run: run.clone(),
        specification: live.parties.plan.hash.clone(),
        approves: false,
        by: "Dr Martin".into(),
        at: jiff::Timestamp::now(),
    };
    desk.decide(&decision).unwrap();
    // A decision stands.
    let turned = Decision { approves: true, ..decision };
    assert!(matches!(desk.decide(&turned), Err(AgentError::Decided { .. })));
    let ended = finish(&live, &mut all, &run);
    assert_eq!((&ended["state"], &ended["sites"]["S1"]), (&json!("done"), &json!("declined")));
    let found = results(&live, &run);
    assert_eq!(counted(&found), [0, 2, 3, 4, 5]);
    assert_eq!(found["absent"], json!(["S1"]));
    drop(all);
    let ledger = fs::read_to_string(folder.join("ledger.jsonl")).unwrap();
    assert!(
        ledger.contains("declined") && ledger.contains("Dr Martin") && !ledger.contains("answered")
    );
}

/// A decision that cannot be read may be a "no": what was approved beforehand does not override it.
#[test]
fn a_decision_that_cannot_be_read_is_not_taken_for_none() {
    let live = live(3);
    let run = live.open_run();
    let decisions = live.parties.path("agents/S0/decisions");
    fs::create_dir_all(decisions.join(format!("{run}.json"))).unwrap();
    let error = agents(&live)[0].once(0).unwrap_err();
    assert!(matches!(error, AgentError::File { .. }), "{error}");
    assert_eq!(live.run(&run)["sites"]["S0"], "waited for");
}

#[test]
fn a_site_answers_no_round_that_it_did_not_approve() {
    let live = live(3);
    let run = live.open_run();
    let mut all = agents(&live);
    for agent in &mut all {
        agent.once(0).unwrap();
    }
    drop(all);
    // The site's own ledger is what counts, not what the hub believes.
    fs::write(live.parties.path("agents/S0/ledger.jsonl"), "").unwrap();
    let mut agent = Agent::start(&live.parties.path("agents/S0")).unwrap();
    assert_eq!(live.run(&run)["state"], "asking");
    assert!(matches!(agent.once(0), Err(AgentError::Unapproved { .. })));
}

#[test]
fn files_that_change_within_a_run_are_not_mixed() {
    let live = live(3);
    let site = live.parties.path("sites/S2");
    let mut file = fs::read_to_string(site.join("site.toml")).unwrap();
    file.push_str("[tables.population]\npath = \"population.csv\"\n");
    fs::write(site.join("site.toml"), file).unwrap();
    fs::write(site.join("population.csv"), "year,age,person_years\n2000,0,100\n2000,1,100\n")
        .unwrap();
    let run = live.open_run();
    let mut all = agents(&live);
    for _ in 0..2 {
        for agent in &mut all {
            agent.once(0).unwrap();
        }
    }
    live.drive();
    assert_eq!(live.run(&run)["round"], 1);
    for (name, from, to) in [
        ("data.csv", ",a,", ",b,"),
        ("population.csv", ",100", ",101"),
        ("site.toml", "Site 2", "Two"),
    ] {
        let file = live.parties.path(&format!("sites/S2/{name}"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        // Also where the agent was started again in between, and has nothing in memory.
        drop(all.remove(2));
        all.push(Agent::start(&live.parties.path("agents/S2")).unwrap());
        let error = all[2].once(0).unwrap_err();
        assert!(matches!(&error, AgentError::Changed { files, .. } if files == name), "{error}");
        fs::write(&file, text).unwrap();
    }
    let ledger = live.parties.text("agents/S2/ledger.jsonl");
    assert!(
        ledger.contains("\"files\":{\"data.csv\":\"") && ledger.contains("\"population.csv\":\"")
    );
    assert_eq!(finish(&live, &mut all, &run)["state"], "done");
}

/// A hub that asks an answered round again, with other parameters, gets the answer that was given.
#[test]
fn a_round_has_one_answer_whatever_is_asked_under_its_name() {
    let parties = Parties::found(3, 3);
    let record = parties.path("record");
    fs::create_dir_all(&record).unwrap();
    let (site, keys) = (parties.path("sites/S0"), parties.path("agents/S0"));
    let start =
        || tributary::site::Maker::start(&site, &keys, parties.roster.clone(), &record).unwrap();
    let sites = parties.codes.iter().cloned().collect();
    let models = parties.plan.model_runs().unwrap();
    let (run, _) = tributary::run::Run::open(&parties.plan.hash, sites, models);
    let mut questions = run.questions();
    let address = |questions: &[tributary::run::Question]| tributary::protocol::Address {
        study: "powers".into(),
        analysis: "powers".into(),
        run: "r".into(),
        round: 0,
        specification: parties.plan.hash.clone(),
        question: question_hash(questions),
    };
    let first = start().make(&parties.plan, &address(&questions), &questions).unwrap();
    questions.pop();
    let mut maker = start();
    assert_eq!(maker.make(&parties.plan, &address(&questions), &questions).unwrap(), first);
    fs::remove_dir_all(record.join("answers")).unwrap();
    let error = maker.make(&parties.plan, &address(&questions), &questions).unwrap_err();
    assert!(matches!(error, AgentError::Answered { .. }), "{error}");
}

#[test]
fn a_restarted_agent_sends_the_same_answer_again_and_never_another_one() {
    let live = live(3);
    let run = live.open_run();
    let mut all = agents(&live);
    for agent in &mut all {
        agent.once(0).unwrap();
    }
    assert_eq!(all[0].once(0).unwrap(), Progress::Worked);
    let path = live.parties.path("agents/S0/answers").join(format!("{run}.0.txt"));
    let sent = fs::read_to_string(&path).unwrap();
    drop(all);
    let site = live.site(&live.parties.codes[0]);
    let target = format!("/v1/runs/{run}/sites/S0/rounds/0/answer");
    let first: Value = serde_json::from_str(&site.text("GET", &target, "").unwrap()).unwrap();
    let again: Value = serde_json::from_str(&site.text("PUT", &target, &sent).unwrap()).unwrap();
    assert_eq!(first, again);
    // A file that the ledger does not know never left: it is made anew after a crash between the two.
    let other = live.parties.path("agents/S1/answers").join(format!("{run}.0.txt"));
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, "half an answ").unwrap();
    let mut all = agents(&live);
    assert_eq!(finish(&live, &mut all, &run)["state"], "done");
    assert_eq!(counted(&results(&live, &run)), [0, 1, 2]);
    // Also when the run is long past that round.
    let late: Value = serde_json::from_str(&site.text("PUT", &target, &sent).unwrap()).unwrap();
    assert_eq!(first, late);
    is(site.text("PUT", &target, &format!("{sent} ")), ProblemKind::ConflictingAnswer);
    let target = format!("/v1/runs/{run}/sites/S0/rounds/99/answer");
    is(site.text("PUT", &target, &sent), ProblemKind::RunClosed);
}

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
}

fn live_keyholder(live: &Live) -> tributary::keyholder::Keyholder {
    let keys = live.parties.path("keyholder");
    let opening = tributary::seal::read_opening(&keys).unwrap();
    let signing = tributary::seal::read_signing(&keys).unwrap();
    let (rosters, ledger) =
        (vec![live.parties.roster.clone()], tributary::ledger::Ledger::in_memory());
    tributary::keyholder::Keyholder::new(opening, signing, rosters, 2, ledger).unwrap()
}

#[test]
fn decisions_fail_closed_too() {
    let live = live(3);
    let run = live.open_run();
    let site = live.site(&live.parties.codes[0]);
    let key = live.parties.key("agents/S0");
    let target = format!("/v1/runs/{run}/sites/S0/decision");
    let header = DecisionHeader {
        run,
        specification: live.parties.plan.hash.clone(),
        roster: live.parties.roster.hash(),
        site: live.parties.codes[0].clone(),
        approves: true,
        payload: Payload::of(&[]),
    };
    let text = |header: DecisionHeader, key: &SigningKey| -> String {
        let document: DecisionFile = Document::sign(header, Vec::new(), key);
        document.to_text()
    };
    let other = DecisionHeader { specification: "1".repeat(64), ..header.clone() };
    is(site.text("PUT", &target, &text(other, &key)), ProblemKind::WrongSpecification);
    let other = DecisionHeader { roster: "1".repeat(64), ..header.clone() };
    is(site.text("PUT", &target, &text(other, &key)), ProblemKind::WrongRoster);
    let other = DecisionHeader { run: "other".into(), ..header.clone() };
    is(site.text("PUT", &target, &text(other, &key)), ProblemKind::WrongAddress);
    is(
        site.text("PUT", &target, &text(header.clone(), &live.parties.key("agents/S1"))),
        ProblemKind::BadSignature,
    );
    site.text("PUT", &target, &text(header.clone(), &key)).unwrap();
    site.text("PUT", &target, &text(header.clone(), &key)).unwrap();
    let turned = DecisionHeader { approves: false, ..header };
    is(site.text("PUT", &target, &text(turned, &key)), ProblemKind::Conflict);
}

#[test]
fn people_may_do_what_their_role_allows() {
    let live = live(3);
    let root = live.person();
    let mut clients = BTreeMap::new();
    for role in ["reader", "analyst", "steward"] {
        root.text("PUT", &format!("/v1/users/{role}"), &json!({ "role": role }).to_string())
            .unwrap();
        let reply =
            root.text("POST", &format!("/v1/users/{role}/tokens"), "{\"label\": \"t\"}").unwrap();
        let reply: Value = serde_json::from_str(&reply).unwrap();
        let token = reply["token"].as_str().unwrap().to_owned();
        let client = Client::new(&live.url, None, Identity::Token(token)).unwrap();
        assert_eq!(client.get::<Value>("/v1/me").unwrap()["role"], role);
        clients.insert(role, (client, reply["id"].as_str().unwrap().to_owned()));
    }
    let open = "{\"analysis\": \"powers\"}";
    is(clients["reader"].0.text("POST", "/v1/runs", open), ProblemKind::Forbidden);
    let run = clients["analyst"].0.text("POST", "/v1/runs", open).unwrap();
    let run: Value = serde_json::from_str(&run).unwrap();
    let cancel = format!("/v1/runs/{}/cancellation", run["id"].as_str().unwrap());
    is(clients["reader"].0.text("PUT", &cancel, ""), ProblemKind::Forbidden);
    clients["steward"].0.text("PUT", &cancel, "").unwrap();
    is(
        clients["analyst"].0.text("PUT", "/v1/studies/powers", &live.parties.text("study.toml")),
        ProblemKind::Forbidden,
    );
    clients["steward"]
        .0
        .text("PUT", "/v1/studies/powers", &live.parties.text("study.toml"))
        .unwrap();
    for role in ["reader", "analyst", "steward"] {
        is(clients[role].0.get::<Value>("/v1/audit"), ProblemKind::Forbidden);
        is(clients[role].0.get::<Value>("/v1/users"), ProblemKind::Forbidden);
    }
    is(root.text("PUT", "/v1/users/admin", "{\"role\": \"reader\"}"), ProblemKind::Conflict);
    // A withdrawn token and a disabled account count no more, at once.
    let (reader, id) = &clients["reader"];
    root.text("DELETE", &format!("/v1/users/reader/tokens/{id}"), "").unwrap();
    is(reader.get::<Value>("/v1/me"), ProblemKind::Unauthenticated);
    root.text("PUT", "/v1/users/analyst", "{\"role\": \"analyst\", \"disabled\": true}").unwrap();
    is(clients["analyst"].0.get::<Value>("/v1/me"), ProblemKind::Unauthenticated);
    let nobody = Client::new(&live.url, None, Identity::Token("trib_x_y".into())).unwrap();
    is(nobody.get::<Value>("/v1/runs"), ProblemKind::Unauthenticated);
}

#[test]
fn an_idempotency_key_opens_one_run() {
    let live = live(3);
    let send = |key: &str, body: &str| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent: ureq::Agent = config.into();
        let mut response = agent
            .post(format!("{}/v1/runs", live.url))
            .header("authorization", format!("Bearer {}", live.token))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .send(body)
            .unwrap();
        let value: Value =
            serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        (response.status().as_u16(), value)
    };
    let body = "{\"analysis\": \"powers\"}";
    let (first, again, other) = (send("k1", body), send("k1", body), send("k2", body));
    assert_eq!((first.0, again.0, other.0), (201, 201, 201));
    assert_eq!(first.1["id"], again.1["id"]);
    assert_ne!(first.1["id"], other.1["id"]);
    let reused = send("k1", "{\"analysis\": \"powers\", \"round_s\": 60}");
    assert_eq!((reused.0, &reused.1["type"]), (409, &json!("/problems/idempotency-key-reuse")));
    let opened = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..6).map(|_| scope.spawn(|| send("k3", body))).collect();
        sent.into_iter().map(|s| s.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(opened.iter().all(|(status, run)| *status == 201 && run["id"] == opened[0].1["id"]));
    let runs: Value = live.person().get("/v1/runs?limit=1").unwrap();
    assert_eq!(runs["items"][0]["id"], opened[0].1["id"]);
    let next = runs["next"].as_str().unwrap();
    let rest: Value = live.person().get(&format!("/v1/runs?after={next}")).unwrap();
    assert_eq!(rest["items"].as_array().unwrap().len(), 2);
}

#[test]
fn faults_of_files_are_told_all_at_once_at_their_lines() {
    let live = live(3);
    let root = live.person();
    let spoilt = live
        .parties
        .text("powers.toml")
        .replace("\"group\", \"age\"", "\"grup\", \"age\"")
        .replace("kind = \"characteristics\"", "kind = \"charcteristics\"");
    let found =
        is(root.text("PUT", "/v1/analyses/powers", &spoilt), ProblemKind::InvalidSpecification);
    let detail = found.detail.unwrap();
    assert!(
        detail.contains("grup")
            && detail.contains("charcteristics")
            && detail.contains("analysis.toml:"),
        "{detail}"
    );
    let mut roster = live.parties.roster.clone();
    roster.hub.signing_key = SigningKey::generate().unwrap().public();
    let found = is(
        root.text("PUT", "/v1/studies/powers/roster", &roster.to_toml()),
        ProblemKind::InvalidSpecification,
    );
    assert!(found.detail.unwrap().contains("not the key of this hub"));
    assert!(Roster::parse("r", &live.parties.text("roster.toml")).is_ok());
    is(
        root.text("PUT", "/v1/studies/other", &live.parties.text("study.toml")),
        ProblemKind::WrongAddress,
    );
    is(root.get::<Value>("/v1/studies/other"), ProblemKind::NotFound);
    is(root.get::<Value>("/v1/nothing"), ProblemKind::NotFound);
    is(root.text("PUT", "/health", ""), ProblemKind::MethodNotAllowed);
    is(root.text("POST", "/v1/runs", "{\"analysis\": 5}"), ProblemKind::BadRequest);
    is(root.get::<Value>("/v1/runs?limit=0"), ProblemKind::BadRequest);
}

#[test]
fn every_problem_type_and_every_route_has_its_page() {
    let live = live(3);
    let person = live.person();
    for kind in ProblemKind::ALL {
        let page = person.text("GET", &format!("/problems/{}", kind.slug()), "").unwrap();
        assert!(page.contains(&kind.title().replace('\'', "&#x27;")), "{page}");
    }
    let docs = person.text("GET", "/docs", "").unwrap();
    let description: Value = person.get("/openapi.json").unwrap();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 25, "{}", paths.len());
    for path in paths.keys() {
        assert!(docs.contains(&format!("<code>{}</code>", path.replace('/', "&#x2f;"))), "{path}");
    }
}

/// A clock that is wrong by hours is set right by the reply, and the request sent again.
#[test]
fn an_agent_whose_clock_differs_finds_the_hubs_time() {
    let parties = Parties::found(3, 3);
    let clock = tributary::hub::Clock::default();
    let database = parties.sqlite();
    let live = Live::start(parties, &database, clock.clone());
    let run = live.open_run();
    let mut all = agents(&live);
    clock.set_ahead(jiff::SignedDuration::from_hours(5));
    // The `Date` field is the machine's: this hub only judges by another clock.
    assert!(
        matches!(all[0].once(0), Err(AgentError::Hub(ClientError::Problem(p))) if p.is(ProblemKind::ClockSkew))
    );
    clock.set_ahead(jiff::SignedDuration::from_secs(0));
    assert_eq!(finish(&live, &mut all, &run)["state"], "done");
}

#[test]
fn who_asks_too_often_is_told_to_wait() {
    let live = live(3);
    let limits =
        tributary::serve::Limits { requests_per_second: 1, ..tributary::serve::Limits::default() };
    let listener = tributary::serve::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = tributary::hub::api::router(live.hub.clone(), &limits);
    live.runtime.spawn(tributary::serve::listen(listener, None, router, std::future::pending()));
    let client = Client::new(&url, None, Identity::Token(live.token)).unwrap();
    let replies: Vec<_> = (0..30).map(|_| client.get::<Value>("/health")).collect();
    let (served, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
    assert!((10..20).contains(&served.len()), "{}", served.len());
    for refusal in refused {
        let found = is(refusal, ProblemKind::RateLimited);
        assert!(found.detail.unwrap().starts_with("wait"));
    }
}
