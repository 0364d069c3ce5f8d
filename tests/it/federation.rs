//! Hub, keyholder and agents over HTTP: a run from consent to report.

use std::fs;

use serde_json::{Value, json};
use tributary::{
    client::ClientError,
    protocol::{DecisionFile, DecisionHeader, Document, Payload, ProblemKind, question_hash},
    seal::SigningKey,
    site::{Agent, AgentError, Decision, Desk, Progress},
};

use crate::parties::{Live, Parties, agents, counted, finish, is, live, outcomes, results};

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
