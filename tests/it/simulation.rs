//! Random sequences of operations over hub, keyholder and agents, with crashes, restarts, lost and repeated messages, clock
//! jumps, silent and stubborn sites. Site k reports 8 · 2ᵏ: the total says who was counted, and how often.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use tributary::{
    hub::{self, Clock, Hub},
    protocol::{Document, QuestionFile},
    run::{Event, Run},
    site::{Agent, AgentConfig},
    summary::SiteId,
};

use crate::{
    parties::{Live, Parties, counted, results},
    postgres,
};

/// A small generator: the sequence is the seed's.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

struct World {
    live: Live,
    clock: Clock,
    database: String,
    agents: Vec<Option<Agent>>,
    random: Random,
    /// How far the clock went, hours.
    hours: i64,
}

impl World {
    fn new(seed: u64, sites: usize, postgres: Option<String>) -> Self {
        let parties = Parties::found(sites, 3);
        let database = postgres.unwrap_or_else(|| parties.sqlite());
        let clock = Clock::default();
        let live = Live::start(parties, &database, clock.clone());
        let agents = (0..sites).map(|_| None).collect();
        Self { live, clock, database, agents, random: Random(seed * 2_654_435_769 + 1), hours: 0 }
    }

    fn agent(&mut self, k: usize) -> &mut Agent {
        let folder = self.live.parties.path("agents").join(self.live.parties.codes[k].as_str());
        self.agents[k].get_or_insert_with(|| Agent::start(&folder).unwrap())
    }

    /// The hub dies and another one takes its place at the same door.
    fn restart_hub(&mut self) {
        let config = self.live.parties.hub_config(&self.live.keyholder_url, &self.database);
        let listener = tributary::serve::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = self.clock.clone();
        let hub = self.live.runtime.block_on(async { Hub::start(&config, clock).await.unwrap() });
        let router = hub::api::router(hub.clone(), &config.limits);
        self.live.runtime.spawn(tributary::serve::listen(
            listener,
            None,
            router,
            std::future::pending(),
        ));
        self.live.hub = hub;
        self.live.url = url;
        // The door is another one: agents read it from their file when they start again.
        for k in 0..self.agents.len() {
            self.agents[k] = None;
            let code = &self.live.parties.codes[k];
            self.live.parties.agent_file(code, &self.live.url, true);
        }
        self.live.runtime.block_on(self.live.hub.wrote());
    }

    /// Repeats a message of an agent, as a network may: the same bytes once more, whatever the run is doing.
    fn repeat(&mut self, k: usize, run: &str) {
        let code = self.live.parties.codes[k].clone();
        let folder = self.live.parties.path("agents").join(code.as_str());
        let round = self.random.next(4);
        if let Ok(text) = fs::read_to_string(folder.join(format!("answers/{run}.{round}.txt"))) {
            let target = format!("/v1/runs/{run}/sites/{code}/rounds/{round}/answer");
            let _ = self.live.site(&code).text("PUT", &target, &text);
        }
    }

    /// The reply to an answer is lost: the hub has it, the agent forgets that it sent it.
    fn lose_reply(&mut self, k: usize) {
        let _ = self.agent(k).once(0);
        self.agents[k] = None;
    }

    /// The agent dies between file and ledger: the last line is cut off.
    fn crash_before_ledger(&mut self, k: usize, run: &str) {
        let code = self.live.parties.codes[k].clone();
        self.agents[k] = None;
        let folder = self.live.parties.path("agents").join(code.as_str());
        let Ok(text) = fs::read_to_string(folder.join("ledger.jsonl")) else { return };
        // Only what never left may be lost: a line whose answer the hub does not have.
        let Some(last) = text.trim_end().lines().last() else { return };
        let entry: Value = serde_json::from_str(last).unwrap();
        if entry["action"] != "answered" || entry["subject"]["run"] != *run {
            return;
        }
        let target =
            format!("/v1/runs/{run}/sites/{code}/rounds/{}/answer", entry["subject"]["round"]);
        if self.live.site(&code).text("GET", &target, "").is_err() {
            fs::write(folder.join("ledger.jsonl"), &text[..text.len() - 9]).unwrap();
        }
    }

    fn operate(&mut self, run: &str, silent: &BTreeSet<usize>) {
        let k = self.random.next(self.agents.len() as u64) as usize;
        let heard = !silent.contains(&k);
        match self.random.next(20) {
            0..9 if heard => drop(self.agent(k).once(0)),
            9..13 => {
                let hub = self.live.hub.clone();
                self.live.runtime.block_on(hub::drive_once(&hub, "one"));
            }
            13 if heard => self.lose_reply(k),
            14 => self.repeat(k, run),
            15 => self.agents[k] = None,
            16 => self.restart_hub(),
            17 if heard => self.crash_before_ledger(k, run),
            18 => {
                // Forwards past nothing, or a little backwards.
                let ms = self.random.next(240_000) as i64 - 120_000;
                self.clock
                    .set_ahead(jiff::SignedDuration::from_millis(self.hours * 3_600_000 + ms));
            }
            _ => {}
        }
    }
}

fn simulate(seed: u64, postgres: Option<String>) {
    let mut world = World::new(seed, 5, postgres);
    let run = world.live.open_run();
    // Some sites are never heard; what they cost is themselves.
    let mut silent = BTreeSet::new();
    if seed.is_multiple_of(3) {
        silent.insert(world.random.next(5) as usize);
    }
    let mut steps = 0;
    loop {
        world.operate(&run, &silent);
        steps += 1;
        if steps % 20 == 0 {
            let state = world.live.run(&run)["state"].as_str().unwrap().to_owned();
            if ["done", "failed", "cancelled"].contains(&state.as_str()) {
                break;
            }
        }
        if steps == 400 {
            // Two weeks pass in a moment: the deadlines of consent and of the rounds.
            world.hours = 15 * 24;
            world.clock.set_ahead(jiff::SignedDuration::from_hours(world.hours));
            for _ in 0..4 {
                world.live.drive();
            }
            world.clock.set_ahead(jiff::SignedDuration::from_secs(0));
            world.hours = 0;
        }
        assert!(steps < 4000, "seed {seed}: the run does not end: {}", world.live.run(&run));
    }
    let ended = world.live.run(&run);
    assert_eq!(ended["state"], "done", "seed {seed}: {ended}");
    let found = results(&world.live, &run);
    let late: BTreeSet<String> = ended["sites"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, word)| *word == "late")
        .map(|(site, _)| site.clone())
        .collect();
    let sites: Vec<usize> = found["sites"]
        .as_array()
        .unwrap()
        .iter()
        .map(|site| site.as_str().unwrap()[1..].parse().unwrap())
        .collect();
    // Everyone who is in the result was counted once; nobody else was.
    assert_eq!(counted(&found), sites, "seed {seed}");
    for k in &silent {
        assert!(late.contains(&format!("S{k}")), "seed {seed}: {ended}");
    }
    if silent.is_empty() && steps < 400 {
        assert_eq!(sites, [0, 1, 2, 3, 4], "seed {seed}");
    }
    replayed(&world, &run);
}

/// The events of the store, folded from nothing, give the state that the hub shows.
fn replayed(world: &World, run: &str) {
    let live = &world.live;
    let (record, events) = live.runtime.block_on(async {
        let store = live.hub.store();
        (store.run(run).await.unwrap(), store.events_after(run, 0, 10_000).await.unwrap())
    });
    let sites: BTreeSet<SiteId> = live.parties.codes.iter().cloned().collect();
    let (mut again, _) =
        Run::propose(&live.parties.plan.hash, sites, live.parties.plan.model_runs().unwrap());
    for (_, _, event) in events {
        let event: Event = event;
        again.apply(event).unwrap();
    }
    assert_eq!(again, record.run);
}

#[test]
fn no_answer_is_lost_or_counted_twice_on_sqlite() {
    for seed in 1..=6 {
        simulate(seed, None);
    }
}

#[test]
fn no_answer_is_lost_or_counted_twice_on_postgresql() {
    for seed in 11..=14 {
        let Some(database) = postgres::database() else { return };
        simulate(seed, Some(database));
    }
}

/// Two hubs over one database: each hears of what the other wrote, and either may make a step.
#[test]
fn two_hubs_share_the_work_over_one_postgresql() {
    let Some(database) = postgres::database() else { return };
    let parties = Parties::found(4, 3);
    let live = parties.live(&database);
    let config = live.parties.hub_config(&live.keyholder_url, &database);
    let second =
        live.runtime.block_on(async { Hub::start(&config, Clock::default()).await.unwrap() });
    let listener = tributary::serve::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = hub::api::router(second.clone(), &config.limits);
    live.runtime.spawn(tributary::serve::listen(listener, None, router, std::future::pending()));
    // Sites 0 and 1 ask the first hub, sites 2 and 3 the second one.
    for code in &live.parties.codes[2..] {
        live.parties.agent_file(code, &url, true);
    }
    let run = live.open_run();
    let mut agents = crate::parties::agents(&live);
    let mut steps = [0, 0];
    for turn in 0..400 {
        live.runtime.block_on(async {
            live.hub.wrote().await;
            second.wrote().await;
        });
        let _ = agents[turn % 4].once(0);
        let which = turn / 4 % 2;
        let hub = if which == 0 { &live.hub } else { &second };
        let worked = live.runtime.block_on(hub::drive_once(hub, ["one", "two"][which]));
        steps[which] += usize::from(worked);
        if live.run(&run)["state"] == "done" {
            break;
        }
    }
    assert_eq!(counted(&results(&live, &run)), [0, 1, 2, 3]);
    assert!(steps.iter().all(|n| *n > 0), "{steps:?}");
}

/// The hub's word is not enough: a question that is not signed with its key is not read.
#[test]
fn a_question_of_a_false_hub_is_not_answered() {
    let parties = Parties::found(3, 3);
    let database = parties.sqlite();
    let live = parties.live(&database);
    let run = live.open_run();
    let site = live.site(&live.parties.codes[0]);
    let text = site.text("GET", &format!("/v1/runs/{run}/sites/S0/question"), "").unwrap();
    let question: QuestionFile = Document::parse(&text).unwrap();
    let stranger = tributary::seal::SigningKey::generate().unwrap();
    assert!(question.verify(&stranger.public()).is_err());
    // A study file that was exchanged gives another hash than the one that is asked.
    let mut other = question;
    other.header.study_file = other.header.study_file.replace("min_sites = 3", "min_sites = 2");
    let forged = Document::sign(other.header, Vec::new(), &live.parties.key("hub"));
    let folder = live.parties.path("agents/S0/questions");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{run}.txt")), forged.to_text()).unwrap();
    let desk = tributary::site::Desk::of(&live.parties.path("agents/S0"));
    let error = desk.question(&run).unwrap().plan().unwrap_err();
    assert!(error.to_string().contains("this question is not answered"), "{error}");
    assert!(AgentConfig::open(&live.parties.path("agents/S0")).is_ok());
}
