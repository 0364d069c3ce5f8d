//! Load: 200 agents polling, then 40 sites that answer one round with a million words each, over loopback HTTP, against a hub
//! and a keyholder in processes of their own. Prints requests per second, percentiles, durations and memory.
//!
//!     cargo build --release && cargo run --release --example load -- target/release/tributary
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops where something is not as it should be"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tributary::{
    client::{Client, Identity},
    cohort::{Cohort, Column, ColumnKind, Flow, SiteData, SiteTables},
    hub::store::{Role, Store},
    models,
    plan::Plan,
    protocol::{
        Address, DecisionFile, DecisionHeader, Document, Outgoing, Payload, QuestionFile, seal,
    },
    seal::{
        HubKeys, KeyholderKeys, OpeningKey, Roster, Seed, SigningKey, SiteKeys, write_opening,
        write_signing,
    },
    spec::Study,
    summary::{SiteId, release},
};

const AGENTS: usize = 200;
const ANSWERING: usize = 40;
const POLLS: usize = 50;
/// Rows of each site; the words of an answer are as many whatever it holds.
const ROWS: usize = 92;

fn study() -> String {
    let codes: Vec<String> = (0..AGENTS).map(|k| format!("\"S{k}\"")).collect();
    let levels: Vec<String> = (0..23).map(|k| format!("\"g{k}\"")).collect();
    format!(
        "id = \"load\"\ntitle = \"Load\"\nsource = \"-\"\nsites = [{}]\n\
         [dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nunit = \"days\"\nrange = [0, 14500]\nrequired = true\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Event\"\nrequired = true\n\
         [dictionary.group]\ntype = \"category\"\nlabel = \"Group\"\nlevels = [{}]\n",
        codes.join(", "),
        levels.join(", ")
    )
}

const ANALYSIS: &str = "id = \"load\"\ntitle = \"Load\"\nquestion = \"How much?\"\nstudy = \"load\"\n[followup]\ntime = \"time\"\nevent = \"event\"\n[[model]]\nid = \"curves\"\nkind = \"kaplan_meier\"\nby = \"group\"\n";

struct Service(Child, String);

impl Service {
    fn start(program: &Path, arguments: &[&str], log: &Path) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self(child, address)
    }

    /// Memory now and at most, MB.
    fn memory(&self) -> String {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(f64::NAN)
                / 1024.0
        };
        format!("{:.0} MB now, {:.0} MB at most", field("VmRSS"), field("VmHWM"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The answer of one site, sealed.
fn answer(
    plan: &Plan,
    address: &Address,
    question: &QuestionFile,
    roster: &Roster,
    site: &SiteId,
    key: &SigningKey,
) -> String {
    let parts = plan.parts();
    let mut outgoing = BTreeMap::new();
    for asked in &question.header.questions {
        let spec = plan.spec.models.iter().find(|m| m.id == asked.model).unwrap();
        let model = models::find(&spec.kind).unwrap();
        let columns = model.needs(&spec.options).unwrap().into_iter().map(|need| {
            let variable = plan.study.dictionary.get(&need.name).unwrap();
            let column = match variable.column_kind().unwrap() {
                ColumnKind::Real => Column::Real(vec![1.0; ROWS]),
                ColumnKind::Day => {
                    Column::Day((0..ROWS as i32).map(|i| Some(100 + 37 * i)).collect())
                }
                ColumnKind::Flag => Column::Flag((0..ROWS).map(|i| Some(i % 3 == 0)).collect()),
                ColumnKind::Category => Column::Category {
                    codes: (0..ROWS as u32).map(|i| Some(i % 23)).collect(),
                    levels: variable.levels.clone(),
                },
            };
            (need.name, column)
        });
        let cohort = Cohort::new(ROWS, columns.collect()).unwrap();
        let data = SiteData {
            cohort,
            flow: Flow { received: ROWS as u64, excluded: vec![("not mapped".into(), 0)] },
            tables: SiteTables::default(),
        };
        let draft = model.summarise(&spec.options, &asked.params, &data).unwrap();
        let (part, visibility) = parts[&spec.id];
        let released = release(draft, &plan.study.policy, visibility, 0).map_err(|r| r.public());
        outgoing.insert(spec.id.clone(), Outgoing { part, visibility, released });
    }
    let seed = Seed::fresh().unwrap();
    seal(address, roster, &plan.study.policy, outgoing, site, &seed, key).unwrap().to_text()
}

fn percentiles(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |p: f64| times[((times.len() - 1) as f64 * p) as usize];
    format!("p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(0.5), at(0.99), at(1.0))
}

fn main() {
    let program =
        PathBuf::from(std::env::args().nth(1).expect("name the program: target/release/tributary"));
    let folder = std::env::temp_dir().join(format!("tributary-load-{}", std::process::id()));
    for part in ["hub", "keyholder"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let plan =
        Plan::check("load.toml", ANALYSIS, Study::parse("study.toml", &study()).unwrap()).unwrap();
    let codes: Vec<SiteId> = (0..AGENTS).map(|k| SiteId::new(&format!("S{k}")).unwrap()).collect();
    let keys: BTreeMap<SiteId, SigningKey> =
        codes.iter().map(|c| (c.clone(), SigningKey::generate().unwrap())).collect();
    let (hub_key, holder, opening) = (
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
        OpeningKey::generate().unwrap(),
    );
    write_signing(&folder.join("hub"), &hub_key).unwrap();
    write_signing(&folder.join("keyholder"), &holder).unwrap();
    write_opening(&folder.join("keyholder"), &opening).unwrap();
    let roster = Roster {
        study: "load".into(),
        min_sites: 3,
        hub: HubKeys { signing_key: hub_key.public() },
        keyholder: KeyholderKeys { signing_key: holder.public(), sealing_key: opening.public() },
        sites: keys
            .iter()
            .map(|(c, k)| (c.clone(), SiteKeys { signing_key: k.public() }))
            .collect(),
    };
    fs::write(folder.join("roster.toml"), roster.to_toml()).unwrap();
    let file = folder.join("keyholder/keyholder.toml");
    fs::write(&file, "listen = \"127.0.0.1:0\"\nkeys = \".\"\nrosters = [\"../roster.toml\"]\n")
        .unwrap();
    let keyholder = Service::start(
        &program,
        &["keyholder", "serve", &file.display().to_string()],
        &folder.join("keyholder.log"),
    );
    let file = folder.join("hub/hub.toml");
    fs::write(&file, format!("listen = \"127.0.0.1:0\"\ndatabase = \"sqlite:hub.db\"\nkeys = \".\"\n[keyholder]\nurl = \"{}\"\n[limits]\nrequests_per_second = 100000\n", keyholder.1)).unwrap();
    let database = format!("sqlite:{}", folder.join("hub/hub.db").display());
    let token = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::connect(&database).await.unwrap();
        let now = jiff::Timestamp::now();
        store.put_account("load", Role::Administrator, None, false, "load", now).await.unwrap();
        store.give_token("load", "load", 1, "load", now).await.unwrap().token
    });
    let hub = Service::start(
        &program,
        &["hub", "serve", &file.display().to_string()],
        &folder.join("hub.log"),
    );
    let root = Client::new(&hub.1, None, Identity::Token(token)).unwrap();
    while root.get::<Value>("/ready").is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    root.text("PUT", "/v1/studies/load", &study()).unwrap();
    root.text("PUT", "/v1/studies/load/roster", &roster.to_toml()).unwrap();
    root.text("PUT", "/v1/analyses/load", ANALYSIS).unwrap();
    let site = |code: &SiteId| {
        let identity =
            Identity::Party { name: code.to_string(), key: Box::new(keys[code].clone()) };
        Client::new(&hub.1, None, identity).unwrap()
    };

    // 1. Short polls, as fast as they are answered.
    let barrier = Arc::new(Barrier::new(AGENTS + 1));
    let threads: Vec<_> = codes
        .iter()
        .map(|code| {
            let (client, barrier, target) = (
                site(code),
                barrier.clone(),
                format!("/v1/studies/load/sites/{code}/questions?wait=0"),
            );
            thread::spawn(move || {
                barrier.wait();
                (0..POLLS)
                    .map(|_| {
                        let begun = Instant::now();
                        client.text("GET", &target, "").unwrap();
                        begun.elapsed().as_secs_f64() * 1e3
                    })
                    .collect::<Vec<f64>>()
            })
        })
        .collect();
    barrier.wait();
    let begun = Instant::now();
    let times: Vec<f64> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    let elapsed = begun.elapsed().as_secs_f64();
    println!(
        "{AGENTS} agents, {POLLS} polls each: {:.0} requests per second, {}",
        times.len() as f64 / elapsed,
        percentiles(times)
    );
    println!("hub: {}", hub.memory());

    // 2. All agents in long polls while 40 sites decide and answer.
    let stop = Arc::new(AtomicBool::new(false));
    let polled = Arc::new(AtomicUsize::new(0));
    let pollers: Vec<_> = codes[ANSWERING..]
        .iter()
        .map(|code| {
            let (client, stop, polled) = (site(code), stop.clone(), polled.clone());
            let target = format!("/v1/studies/load/sites/{code}/questions?wait=5");
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client.text("GET", &target, "").unwrap();
                    polled.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let asked: Vec<&str> = codes[..ANSWERING].iter().map(SiteId::as_str).collect();
    let run: Value = serde_json::from_str(
        &root
            .text("POST", "/v1/runs", &json!({ "analysis": "load", "sites": asked }).to_string())
            .unwrap(),
    )
    .unwrap();
    let run = run["id"].as_str().unwrap().to_owned();
    for code in &codes[..ANSWERING] {
        let header = DecisionHeader {
            run: run.clone(),
            specification: plan.hash.clone(),
            roster: roster.hash(),
            site: code.clone(),
            approves: true,
            payload: Payload::of(&[]),
        };
        let decision: DecisionFile = Document::sign(header, Vec::new(), &keys[code]);
        site(code)
            .text("PUT", &format!("/v1/runs/{run}/sites/{code}/decision"), &decision.to_text())
            .unwrap();
    }
    let text =
        site(&codes[0]).text("GET", &format!("/v1/runs/{run}/sites/S0/question"), "").unwrap();
    let question: QuestionFile = Document::parse(&text).unwrap();
    let address = Address {
        study: "load".into(),
        analysis: "load".into(),
        run: run.clone(),
        round: 0,
        specification: plan.hash.clone(),
        question: tributary::protocol::question_hash(&question.header.questions),
    };
    let mut answers = Vec::new();
    let begun = Instant::now();
    for code in &codes[..ANSWERING] {
        answers.push(answer(&plan, &address, &question, &roster, code, &keys[code]));
    }
    let words: usize = 3 * 23 * 14501;
    println!(
        "{ANSWERING} answers of {words} words or a few more, {:.1} MB each, sealed in {:.2} s",
        answers[0].len() as f64 / 1e6,
        begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    let senders: Vec<_> = codes[..ANSWERING]
        .iter()
        .zip(answers)
        .map(|(code, text)| {
            let (client, target) =
                (site(code), format!("/v1/runs/{run}/sites/{code}/rounds/0/answer"));
            thread::spawn(move || {
                let begun = Instant::now();
                client.text("PUT", &target, &text).unwrap();
                begun.elapsed().as_secs_f64() * 1e3
            })
        })
        .collect();
    let times: Vec<f64> = senders.into_iter().map(|t| t.join().unwrap()).collect();
    println!(
        "all {ANSWERING} answers taken in {:.2} s: {}",
        begun.elapsed().as_secs_f64(),
        percentiles(times)
    );
    let found = loop {
        let found: Value = root.get(&format!("/v1/runs/{run}")).unwrap();
        if ["done", "failed"].contains(&found["state"].as_str().unwrap()) {
            break found;
        }
        assert!(begun.elapsed() < Duration::from_mins(5), "{found}");
        thread::sleep(Duration::from_millis(50));
    };
    println!(
        "{} {:.2} s after the first byte of the first answer",
        found["state"],
        begun.elapsed().as_secs_f64()
    );
    stop.store(true, Ordering::Relaxed);
    for poller in pollers {
        poller.join().unwrap();
    }
    println!("meanwhile {} long polls were answered", polled.load(Ordering::Relaxed));
    println!("hub: {}\nkeyholder: {}", hub.memory(), keyholder.memory());
    drop((hub, keyholder));
    let _ = fs::remove_dir_all(&folder);
}
