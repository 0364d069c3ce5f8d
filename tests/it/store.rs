//! The store's contract, held against SQLite and against a real PostgreSQL.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tributary::{
    hub::store::{NewRun, Received, Role, Store, StoreError},
    ledger::verify_entries,
    plan::Plan,
    run::{Event, RunState},
    spec::Study,
    summary::SiteId,
};

use crate::{
    parties::{ANALYSIS, Parties},
    postgres,
};

fn at(seconds: i64) -> Timestamp {
    "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// Runs a check on both databases; each gets a fresh one.
fn on_both<F: AsyncFn(&str, &Parties)>(check: &F) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let parties = Parties::found(3, 3);
    runtime.block_on(check(&parties.sqlite(), &parties));
    if let Some(url) = postgres::database() {
        runtime.block_on(check(&url, &parties));
    }
}

fn new_run(parties: &Parties, id: &str) -> NewRun {
    NewRun {
        id: id.into(),
        study_file: parties.text("study.toml"),
        analysis_file: ANALYSIS.into(),
        roster: parties.roster.hash(),
        sites: parties.codes.iter().cloned().collect(),
        consent_s: 60,
        round_s: 30,
        created_by: "anna".into(),
        key: None,
    }
}

fn decided(site: &SiteId) -> Event {
    Event::Decided { site: site.clone(), approves: true }
}

#[test]
fn studies_rosters_and_analyses_are_kept_and_listed_in_pages() {
    on_both(&async |url, parties| {
        let store = Store::connect(url).await.unwrap();
        let file = parties.text("study.toml");
        let study = Study::parse("study.toml", &file).unwrap();
        assert!(matches!(
            store.put_roster(&parties.roster, "anna", at(0)).await,
            Err(StoreError::NotFound { .. })
        ));
        store.put_study(&study, &file, "anna", at(0)).await.unwrap();
        store.put_study(&study, &file, "anna", at(1)).await.unwrap();
        let hash = store.put_roster(&parties.roster, "anna", at(2)).await.unwrap();
        assert_eq!(store.roster(&hash).await.unwrap(), parties.roster);
        assert_eq!(store.study("powers").await.unwrap().roster, Some(hash));
        for name in ["b", "a", "c"] {
            let text = ANALYSIS.replacen("powers", name, 1);
            let plan = Plan::check("x", &text, study.clone()).unwrap();
            store.put_analysis(&plan, &text, "anna", at(3)).await.unwrap();
        }
        let first = store.analyses("", 2).await.unwrap();
        let names: Vec<&str> = first.iter().map(|a| a.id.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let rest = store.analyses("b", 2).await.unwrap();
        assert_eq!((rest.len(), rest[0].id.as_str()), (1, "c"));
        assert!(matches!(store.analysis("d").await, Err(StoreError::NotFound { .. })));
    });
}

#[test]
fn events_are_appended_whole_and_folded_by_whoever_opens_the_store() {
    on_both(&async |url, parties| {
        let store = Store::connect(url).await.unwrap();
        store.open_run(&new_run(parties, "r1"), &parties.plan, at(0)).await.unwrap();
        for site in &parties.codes {
            store.apply("r1", decided(site), None, "x", at(1)).await.unwrap();
        }
        let again = store.apply("r1", decided(&parties.codes[0]), None, "x", at(2)).await;
        assert!(matches!(again, Err(StoreError::Run(_))), "{again:?}");
        let record = store.run("r1").await.unwrap();
        assert_eq!((&record.run.state, record.row.version), (&RunState::Asking { round: 0 }, 3));
        // Another replica folds the same from the events alone.
        let other = Store::connect(url).await.unwrap();
        assert_eq!(other.run("r1").await.unwrap().run, record.run);
        assert_eq!(other.events_after("r1", 1, 10).await.unwrap().len(), 2);
        // And hears of what the first one wrote.
        let pulse = other.pulse().await.unwrap();
        store
            .apply("r1", Event::Cancelled { by: "anna".into() }, None, "anna", at(3))
            .await
            .unwrap();
        assert!(other.pulse().await.unwrap() > pulse);
        assert!(other.run("r1").await.unwrap().run.state.is_final());
        let closed = other.apply("r1", Event::Closed, None, "hub", at(4)).await;
        assert!(matches!(closed, Err(StoreError::Run(_))), "{closed:?}");
    });
}

#[test]
fn the_same_answer_is_taken_again_and_another_one_is_not() {
    on_both(&async |url, parties| {
        let store = Store::connect(url).await.unwrap();
        store.open_run(&new_run(parties, "r1"), &parties.plan, at(0)).await.unwrap();
        for site in &parties.codes {
            store.apply("r1", decided(site), None, "x", at(1)).await.unwrap();
        }
        let questions = store.run("r1").await.unwrap().run.questions();
        let refusal =
            tributary::summary::PublicRefusal { rule: tributary::summary::RefusalRule::MaxRounds };
        let answers = || {
            questions
                .iter()
                .map(|q| (q.model.clone(), tributary::run::Answer::Refused(refusal.clone())))
                .collect()
        };
        let site = &parties.codes[0];
        let send = async |sha256: &str, body: &str| {
            let event = Event::Answered { site: site.clone(), round: 0, answers: answers() };
            let received = Received { site, round: 0, sha256, body };
            store.apply("r1", event, Some(received), "S0", at(2)).await
        };
        let first = send("aa", "text").await.unwrap();
        let again = send("aa", "text").await.unwrap();
        assert_eq!(first.row.version, again.row.version);
        assert!(matches!(send("bb", "other").await, Err(StoreError::Conflict { .. })));
        assert_eq!(store.answer("r1", 0, site).await.unwrap(), "text");
        assert_eq!(store.receipt_of("r1", 0, site).await.unwrap().unwrap().0, "aa");
        // What is pooled or over is not kept; its fingerprint is.
        store
            .apply("r1", Event::Cancelled { by: "anna".into() }, None, "anna", at(3))
            .await
            .unwrap();
        assert!(store.answer("r1", 0, site).await.is_err());
        assert!(store.receipt_of("r1", 0, site).await.unwrap().is_some());
    });
}

#[test]
fn a_run_is_leased_to_one_and_again_when_the_lease_is_over() {
    on_both(&async |url, parties| {
        let store = Store::connect(url).await.unwrap();
        store.open_run(&new_run(parties, "r1"), &parties.plan, at(0)).await.unwrap();
        assert_eq!(store.lease("one", at(10), 5000).await.unwrap(), None);
        // The deadline of consent has passed.
        let (one, two) =
            tokio::join!(store.lease("one", at(61), 5000), store.lease("two", at(61), 5000));
        let leased: Vec<String> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
        assert_eq!(leased, ["r1"]);
        assert_eq!(store.lease("two", at(64), 5000).await.unwrap(), None);
        assert_eq!(store.lease("two", at(67), 5000).await.unwrap(), Some("r1".into()));
        store.rest("r1", "two", at(90)).await.unwrap();
        assert_eq!(store.lease("one", at(80), 5000).await.unwrap(), None);
        assert!(store.is_overdue("r1", at(80)).await.unwrap());
    });
}

#[test]
fn people_tokens_and_sessions_count_as_long_as_they_should() {
    on_both(&async |url, _| {
        let store = Store::connect(url).await.unwrap();
        store.put_account("anna", Role::Analyst, Some("sub"), false, "root", at(0)).await.unwrap();
        let taken = store.put_account("ben", Role::Reader, Some("sub"), false, "root", at(0)).await;
        assert!(matches!(taken, Err(StoreError::Differs(_))));
        let token = store.give_token("anna", "laptop", 1, "root", at(0)).await.unwrap();
        let found = store.account_by_token(&token.token, at(60)).await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.role), ("anna", Role::Analyst));
        for wrong in ["", "trib_", "trib_x_y", &token.token[..token.token.len() - 1]] {
            assert!(store.account_by_token(wrong, at(60)).await.unwrap().is_none(), "{wrong}");
        }
        assert!(store.account_by_token(&token.token, at(25 * 3600)).await.unwrap().is_none());
        let cookie = store.open_session("anna", 8, at(0)).await.unwrap();
        assert!(store.account_by_session(&cookie, at(60)).await.unwrap().is_some());
        assert!(store.account_by_session(&cookie, at(9 * 3600)).await.unwrap().is_none());
        store.put_account("anna", Role::Analyst, Some("sub"), true, "root", at(1)).await.unwrap();
        assert!(store.account_by_session(&cookie, at(60)).await.unwrap().is_none());
        assert!(store.account_by_token(&token.token, at(60)).await.unwrap().is_none());
        store.begin_login("s", "n", "v", at(0)).await.unwrap();
        assert_eq!(store.end_login("s", at(1)).await.unwrap(), Some(("n".into(), "v".into())));
        assert_eq!(store.end_login("s", at(1)).await.unwrap(), None);
        let entries = store.audit_after(0, 100).await.unwrap();
        verify_entries(&entries).unwrap();
        let actions: BTreeSet<&str> = entries.iter().map(|e| e.action.as_str()).collect();
        assert!(actions.is_superset(&BTreeSet::from(["account put", "token given", "logged in"])));
        // No secret is in the log.
        let secret = token.token.rsplit('_').next().unwrap();
        assert!(entries.iter().all(|e| !e.subject.to_string().contains(secret)));
    });
}

#[test]
fn many_writers_at_once_lose_nothing() {
    on_both(&async |url, _| {
        let stores = [Store::connect(url).await.unwrap(), Store::connect(url).await.unwrap()];
        let writers = (0..40).map(|i| {
            let store = stores[i % 2].clone();
            tokio::spawn(async move {
                store.note(at(i as i64), "x", "noted", serde_json::json!({ "i": i })).await
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap().unwrap();
        }
        let entries = stores[0].audit_after(0, 100).await.unwrap();
        assert_eq!(entries.len(), 40);
        verify_entries(&entries).unwrap();
    });
}
