//! `tributary demo --live`: hub, keyholder and five agents as processes of their own on this machine, with fresh keys; the
//! Wilms analysis sealed, over HTTP; then all of them stop.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::{
    Ending, arguments::Destination, read, results_folder::ResultsFolder, serve, submit, summary,
};
use crate::{
    client::{Client, Identity},
    hub::store::{Role, Store},
    plan::Plan,
    seal::{
        HubKeys, KeyholderKeys, OpeningKey, Roster, SigningKey, SiteKeys, write_opening,
        write_signing,
    },
    site::SiteFolder,
};

/// Processes that end with this one.
struct Processes {
    children: Vec<(String, Child)>,
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            // The end of their standard input tells them to stop.
            drop(child.stdin.take());
        }
        let patience = Instant::now() + Duration::from_secs(5);
        for (_, child) in &mut self.children {
            while Instant::now() < patience && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Those that did not hear it are ended; there is nobody left to tell about it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Processes {
    /// Starts a service of this program; returns the address that its first line tells.
    fn start(&mut self, name: &str, arguments: &[&str], log: &Path) -> anyhow::Result<String> {
        let program = env::current_exe().context("the path of this program is unknown")?;
        let log = fs::File::create(log)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let stdout = child.stdout.take().context("the output of the process cannot be read")?;
        self.children.push((name.to_owned(), child));
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim().rsplit(' ').next() {
            Some(address) if !address.is_empty() => Ok(address.to_owned()),
            _ => bail!("{name} did not start"),
        }
    }
}

/// Writes everything that the parties of a study need for a live run on this machine, apart from addresses.
///
/// Folders `hub`, `keyholder` and `agents/<CODE>`, and `roster.toml`.
fn found(folder: &Path, plan: &Plan, sites: &[PathBuf]) -> anyhow::Result<Roster> {
    let keys = |party: &str| -> anyhow::Result<(PathBuf, SigningKey)> {
        let folder = folder.join(party);
        fs::create_dir_all(&folder)?;
        let key = SigningKey::generate()?;
        write_signing(&folder, &key)?;
        Ok((folder, key))
    };
    let (_, hub) = keys("hub")?;
    let (keyholder_folder, keyholder) = keys("keyholder")?;
    let opening = OpeningKey::generate()?;
    write_opening(&keyholder_folder, &opening)?;
    let mut members = std::collections::BTreeMap::new();
    for site in sites {
        let code = SiteFolder::open(site)?.code;
        let (_, key) = keys(&format!("agents/{code}"))?;
        members.insert(code, SiteKeys { signing_key: key.public() });
    }
    let roster = Roster {
        study: plan.study.id.clone(),
        min_sites: plan.study.policy.min_sites as usize,
        hub: HubKeys { signing_key: hub.public() },
        keyholder: KeyholderKeys { signing_key: keyholder.public(), sealing_key: opening.public() },
        sites: members,
    };
    fs::write(folder.join("roster.toml"), roster.to_toml())?;
    Ok(roster)
}

/// Text of a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::from(path.display().to_string()).to_string()
}

fn keyholder_file(folder: &Path, address: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join("keyholder/keyholder.toml");
    let text = format!(
        "listen = \"{address}\"\nkeys = \".\"\nrosters = [\"../roster.toml\"]\nmin_sites = 2\n"
    );
    fs::write(&path, text)?;
    Ok(path)
}

fn hub_file(folder: &Path, address: &str, keyholder: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join("hub/hub.toml");
    let text = format!(
        "listen = \"{address}\"\ndatabase = \"sqlite:hub.db\"\nkeys = \".\"\n\n[keyholder]\nurl = \"{keyholder}\"\n\n[limits]\nrequests_per_second = 10000\n"
    );
    fs::write(&path, text)?;
    Ok(path)
}

fn agent_file(
    folder: &Path,
    plan: &Plan,
    code: &str,
    site: &Path,
    hub: &str,
) -> anyhow::Result<PathBuf> {
    let agent = folder.join("agents").join(code);
    let text = format!(
        "study = \"{}\"\nsite = {}\nkeys = \".\"\nroster = \"../../roster.toml\"\n\n[hub]\nurl = \"{hub}\"\n\n\
         [[auto_approve]]\nanalysis = \"{}\"\nspecification = \"{}\"\n",
        plan.study.id,
        quoted(&fs::canonicalize(site)?),
        plan.spec.id,
        plan.hash,
    );
    fs::write(agent.join("agent.toml"), text)?;
    Ok(agent)
}

fn administrator(hub_file: &Path) -> anyhow::Result<String> {
    let config = serve::hub_config(hub_file)?;
    serve::runtime()?.block_on(async {
        let store = Store::connect(&config.database).await?;
        let now = Timestamp::now();
        store.put_account("demo", Role::Administrator, None, false, "demo", now).await?;
        Ok(store.give_token("demo", "demo", 1, "demo", now).await?.token)
    })
}

pub(super) fn live(
    spec: &Path,
    sites: &[PathBuf],
    to: &Destination,
    keep: Option<&Path>,
) -> anyhow::Result<Ending> {
    let results = ResultsFolder::open(to)?;
    let plan = read::plan(spec)?;
    let temporary = env::temp_dir().join(format!("tributary-live-{}", uuid::Uuid::now_v7()));
    let folder = keep.unwrap_or(&temporary).to_owned();
    fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be created", folder.display()))?;
    let ended = run(&plan, spec, sites, &results, &folder);
    if keep.is_none() {
        // Fresh keys of a demonstration: nobody needs them.
        let _ = fs::remove_dir_all(&folder);
    }
    ended
}

fn run(
    plan: &Plan,
    spec: &Path,
    sites: &[PathBuf],
    out: &ResultsFolder,
    folder: &Path,
) -> anyhow::Result<Ending> {
    let begun = Instant::now();
    found(folder, plan, sites)?;
    let mut processes = Processes { children: Vec::new() };
    let text = |path: &Path| path.display().to_string();
    let keyholder = keyholder_file(folder, "127.0.0.1:0")?;
    let address = processes.start(
        "keyholder",
        &["keyholder", "serve", &text(&keyholder), "--with-parent"],
        &folder.join("keyholder/log.jsonl"),
    )?;
    let hub = hub_file(folder, "127.0.0.1:0", &address)?;
    let token = administrator(&hub)?;
    let address = processes.start(
        "hub",
        &["hub", "serve", &text(&hub), "--with-parent"],
        &folder.join("hub/log.jsonl"),
    )?;
    let client = Client::new(&address, None, Identity::Token(token))?;
    await_hub(&client)?;
    submit::put(&client, spec, Some(&folder.join("roster.toml")))?;
    for site in sites {
        let code = SiteFolder::open(site)?.code;
        let agent = agent_file(folder, plan, code.as_str(), site, &address)?;
        processes.start(
            code.as_str(),
            &["site", "agent", &text(&agent), "--with-parent"],
            &agent.join("log.jsonl"),
        )?;
    }
    eprintln!(
        "hub, keyholder and {} agents started in {:.2} s; their files are in {}",
        sites.len(),
        begun.elapsed().as_secs_f64(),
        folder.display()
    );
    let begun = Instant::now();
    let run = submit::open(&client, &plan.spec.id)?;
    let mut tell = |run: &submit::RunState| {
        eprintln!("{:>8.3} s  {}", begun.elapsed().as_secs_f64(), submit::line(run));
    };
    let ended = submit::follow(&client, &run.id, Duration::from_millis(20), &mut tell)?;
    if ended.state != "done" {
        bail!("run {}: {}", ended.id, submit::line(&ended));
    }
    let results = submit::results(&client, &run.id)?;
    let elapsed = begun.elapsed().as_secs_f64();
    drop(processes);
    let rounds = results.models.iter().map(|m| m.rounds).max().unwrap_or(0);
    out.write(&results)?;
    summary::print(&results, out.named());
    say!(
        "  live: {} models in {rounds} rounds over {} sites, sealed, in {elapsed:.2} s",
        results.models.len(),
        results.sites.len()
    );
    Ok(if results.needs_a_look() { Ending::Look } else { Ending::Done })
}

fn await_hub(client: &Client) -> anyhow::Result<()> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match client.get::<serde_json::Value>("/ready") {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > patience => {
                return Err(error).context("the hub did not become ready");
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
