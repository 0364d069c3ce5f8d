//! `kill -9` of each process at random moments, on SQLite and PostgreSQL: the run completes with the same numbers.
//!
//! On PostgreSQL two hubs share the work, and either may be killed. `TRIBUTARY_KILLS` says how many kills per database (20 if
//! absent); `TRIBUTARY_KILL_STUDY=wilms` takes the Wilms study instead of a small one.

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use tributary::{
    client::{Client, Identity},
    hub::store::Store,
    ledger::{Ledger, verify_entries},
};

use crate::{
    parties::{Parties, Service, administrator, counted, free_port, outcomes},
    postgres,
};

const SITES: usize = 4;

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn is_wilms() -> bool {
    env::var("TRIBUTARY_KILL_STUDY").is_ok_and(|study| study == "wilms")
}

/// Runs the study's processes until the run is over, killing one after the other; returns results and number of kills.
fn run(database: Option<String>, seed: u64, most: usize) -> (Value, usize) {
    let parties = if is_wilms() { Parties::wilms() } else { Parties::found(SITES, 3) };
    let hubs = if database.is_some() { 2 } else { 1 };
    let hub_ports: Vec<u16> = (0..hubs).map(|_| free_port()).collect();
    let keyholder_port = free_port();
    let keyholder = parties.keyholder_file(&format!("127.0.0.1:{keyholder_port}"));
    let database = database.unwrap_or_else(|| "sqlite:hub.db".into());
    let peer = format!("http://127.0.0.1:{keyholder_port}");
    let hub_file = |i: usize| {
        let address = format!("127.0.0.1:{}", hub_ports[i]);
        parties.hub_file(&format!("hub{i}.toml"), &address, &peer, &database, "")
    };
    let hub_files: Vec<_> = (0..hubs).map(hub_file).collect();
    let url = if database.starts_with("sqlite") { parties.sqlite() } else { database.clone() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let token =
        runtime.block_on(async { administrator(&Store::connect(&url).await.unwrap()).await });
    let log = parties.path("keyholder/log.jsonl");
    let mut services = vec![Service::start(&["keyholder", "serve", &text(&keyholder)], &log)];
    for (i, file) in hub_files.iter().enumerate() {
        let log = parties.path(&format!("hub/log{i}.jsonl"));
        services.push(Service::start(&["hub", "serve", &text(file)], &log));
    }
    let doors: Vec<String> =
        hub_ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    let door = &doors[0];
    let root = Client::new(door, None, Identity::Token(token)).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    let put = |target: &str, file: &str| {
        while let Err(error) = root.text("PUT", target, &parties.text(file)) {
            assert!(error.is_passing() && Instant::now() < patience, "{error}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let (study, analysis) = (&parties.plan.study.id, &parties.plan.spec.id);
    put(&format!("/v1/studies/{study}"), "study.toml");
    put(&format!("/v1/studies/{study}/roster"), "roster.toml");
    put(&format!("/v1/analyses/{analysis}"), if is_wilms() { "wilms.toml" } else { "powers.toml" });
    for (k, code) in parties.codes.iter().enumerate() {
        let folder = parties.agent_file(code, &doors[k % hubs], true);
        services
            .push(Service::start(&["site", "agent", &text(&folder)], &folder.join("log.jsonl")));
    }
    let opened =
        root.text("POST", "/v1/runs", &format!("{{\"analysis\": \"{analysis}\"}}")).unwrap();
    let opened: Value = serde_json::from_str(&opened).unwrap();
    let id = opened["id"].as_str().unwrap();
    let begun = Instant::now();
    let mut random = seed;
    let mut kills = 0;
    loop {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((random >> 33) % 120));
        match root.get::<Value>(&format!("/v1/runs/{id}")) {
            Ok(found) if found["state"] == "done" => break,
            Ok(found) => assert!(
                ["consent", "asking", "advancing"].contains(&found["state"].as_str().unwrap()),
                "{found}"
            ),
            Err(error) => assert!(error.is_passing(), "{error}"),
        }
        if kills < most {
            let at = (random >> 40) as usize % services.len();
            services[at].kill_and_restart();
            kills += 1;
        }
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "{:?}",
            root.get::<Value>(&format!("/v1/runs/{id}"))
        );
    }
    let results = root.get(&format!("/v1/runs/{id}/results")).unwrap();
    drop(services);
    // What every party wrote is unbroken.
    for code in &parties.codes {
        Ledger::verify(&parties.path(&format!("agents/{code}/ledger.jsonl"))).unwrap();
    }
    Ledger::verify(&parties.path("keyholder/ledger.jsonl")).unwrap();
    runtime.block_on(async {
        let entries = Store::connect(&url).await.unwrap().audit_after(0, 10_000).await.unwrap();
        verify_entries(&entries).unwrap();
    });
    (results, kills)
}

fn kill(fresh_database: &dyn Fn() -> Option<Option<String>>) {
    let wanted: usize = env::var("TRIBUTARY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let Some(database) = fresh_database() else { return };
    let (undisturbed, _) = run(database, 1, 0);
    if !is_wilms() {
        assert_eq!(counted(&undisturbed), (0..SITES).collect::<Vec<_>>());
    }
    let mut killed = 0;
    let mut seed = 1;
    while killed < wanted {
        seed += 1;
        let database = fresh_database().unwrap();
        let (results, kills) = run(database, seed, (wanted - killed).min(12));
        assert_eq!(outcomes(&results), outcomes(&undisturbed), "seed {seed}");
        assert!(kills > 0, "seed {seed}: nothing was killed");
        killed += kills;
    }
    eprintln!("{killed} kills in {} runs, the same numbers each time", seed - 1);
}

#[test]
fn a_killed_process_costs_nothing_on_sqlite() {
    kill(&|| Some(None));
}

#[test]
fn a_killed_process_costs_nothing_on_postgresql() {
    kill(&|| postgres::database().map(Some));
}
