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
        // A lease is held for as long as its step goes on, by whoever has it.
        assert!(!store.renew("r1", "one", at(90)).await.unwrap());
        assert!(store.renew("r1", "two", at(90)).await.unwrap());
        assert_eq!(store.lease("one", at(80), 5000).await.unwrap(), None);
        assert!(store.is_overdue("r1", at(80)).await.unwrap());
        // Whoever finds the first run taken gets the next one.
        store.open_run(&new_run(parties, "r2"), &parties.plan, at(0)).await.unwrap();
        let leases = ["one", "two", "three"].map(|token| store.lease(token, at(100), 5000));
        let [a, b, c] = leases;
        let (a, b, c) = tokio::join!(a, b, c);
        let mut leased: Vec<String> = [a, b, c].into_iter().filter_map(|l| l.unwrap()).collect();
        leased.sort();
        assert_eq!(leased, ["r1", "r2"]);
    });
}

#[test]
fn a_key_opens_one_run_a_day_however_often_it_comes_and_from_however_many_at_once() {
    on_both(&async |url, parties| {
        let stores = [Store::connect(url).await.unwrap(), Store::connect(url).await.unwrap()];
        let keyed = |id: &str, request: &str| NewRun {
            key: Some(("anna:k".into(), request.into())),
            ..new_run(parties, id)
        };
        let all = (0..6).map(|i| {
            let (store, new) = (stores[i % 2].clone(), keyed(&format!("r{i}"), "request"));
            let plan = parties.plan.clone();
            tokio::spawn(async move { store.open_run(&new, &plan, at(0)).await.unwrap().id })
        });
        let mut opened = BTreeSet::new();
        for one in all.collect::<Vec<_>>() {
            opened.insert(one.await.unwrap());
        }
        assert_eq!(opened.len(), 1, "{opened:?}");
        assert_eq!(stores[0].runs("", 10).await.unwrap().len(), 1);
        let known = stores[1].run_of_key("anna:k", "request", at(60)).await.unwrap().unwrap();
        assert_eq!(opened.first(), Some(&known.id));
        let other = stores[0].open_run(&keyed("r7", "another"), &parties.plan, at(60)).await;
        assert!(matches!(other, Err(StoreError::KeyReuse)), "{other:?}");
        assert_eq!(stores[0].runs("", 10).await.unwrap().len(), 1);
        // A day later the key is as good as new, again and again.
        for (day, id) in [(1, "r8"), (2, "r9")] {
            let when = at(day * 24 * 3600 + day);
            let request = format!("request of day {day}");
            assert!(stores[0].run_of_key("anna:k", &request, when).await.unwrap().is_none());
            for again in [id, "unused"] {
                let row = stores[0].open_run(&keyed(again, &request), &parties.plan, when).await;
                assert_eq!(row.unwrap().id, id);
            }
        }
        assert_eq!(stores[0].runs("", 10).await.unwrap().len(), 3);
    });
}

/// The plan of a run is read once: a run that is in memory is the same object when it is asked for again.
#[test]
fn open_runs_stay_in_memory_however_many_runs_are_read() {
    on_both(&async |url, parties| {
        let store = Store::connect(url).await.unwrap();
        for i in 0..70 {
            let new = new_run(parties, &format!("open{i:02}"));
            store.open_run(&new, &parties.plan, at(0)).await.unwrap();
        }
        let first = store.open_runs().await.unwrap();
        assert_eq!(first.len(), 70);
        for i in 0..70 {
            let new = new_run(parties, &format!("over{i:02}"));
            store.open_run(&new, &parties.plan, at(0)).await.unwrap();
            let event = Event::Cancelled { by: "anna".into() };
            store.apply(&new.id, event, None, "anna", at(1)).await.unwrap();
        }
        let again = store.open_runs().await.unwrap();
        assert_eq!(again.len(), 70);
        for (a, b) in first.iter().zip(&again) {
            assert!(std::sync::Arc::ptr_eq(a, b), "{} was read again", a.row.id);
        }
        // Of the runs that are over, those read last are here, the others are read again.
        let plan = async |id: &str| store.run(id).await.unwrap().plan.clone();
        let (last, early) = (plan("over69").await, plan("over00").await);
        assert!(std::sync::Arc::ptr_eq(&last, &plan("over69").await));
        assert!(std::sync::Arc::ptr_eq(&early, &plan("over00").await));
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
