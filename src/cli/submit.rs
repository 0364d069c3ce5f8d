//! `tributary hub submit`: puts study, roster and analysis in place, opens a run, follows it, and fetches the results.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::json;

use super::{Ending, arguments::Destination, read, results_folder::ResultsFolder, summary};
use crate::{
    client::{Client, ClientError},
    results::Results,
};

/// A run as the hub tells it.
#[derive(Debug, Deserialize)]
pub(super) struct RunState {
    pub(super) id: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) round: Option<usize>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) sites: std::collections::BTreeMap<String, String>,
}

/// Puts study and analysis in place, and the roster if one is given.
pub(super) fn put(hub: &Client, spec: &Path, roster: Option<&Path>) -> anyhow::Result<()> {
    let plan = read::plan(spec)?;
    let text = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let study = format!("/v1/studies/{}", plan.study.id);
    let known = hub.get::<serde_json::Value>(&study);
    let missing = matches!(&known, Err(ClientError::Problem(p)) if p.status == 404);
    let file = text(&spec.with_file_name("study.toml"))?;
    let same = known.as_ref().is_ok_and(|known| known["file"] == *file);
    if missing || !same {
        known.or_else(|error| if missing { Ok(json!(null)) } else { Err(error) })?;
        hub.text("PUT", &study, &file).context("the study")?;
    }
    if let Some(roster) = roster {
        hub.text("PUT", &format!("{study}/roster"), &text(roster)?).context("the roster")?;
    }
    hub.text("PUT", &format!("/v1/analyses/{}", plan.spec.id), &text(spec)?)
        .context("the analysis")?;
    Ok(())
}

/// Opens a run. It is asked for again if no reply comes; the key makes sure that one run is opened all the same.
pub(super) fn open(hub: &Client, analysis: &str) -> anyhow::Result<RunState> {
    let body = json!({ "analysis": analysis }).to_string();
    let key = uuid::Uuid::now_v7().to_string();
    let reply = hub.post_once("/v1/runs", &body, &key)?;
    Ok(serde_json::from_str(&reply)?)
}

/// Follows a run to its end. `tell` hears of each change.
pub(super) fn follow(
    hub: &Client,
    run: &str,
    pause: Duration,
    tell: &mut dyn FnMut(&RunState),
) -> anyhow::Result<RunState> {
    let mut last = String::new();
    loop {
        match hub.get::<RunState>(&format!("/v1/runs/{run}")) {
            Ok(found) => {
                let now = format!("{} {:?} {:?}", found.state, found.round, found.sites);
                if now != last {
                    tell(&found);
                    last = now;
                }
                if ["done", "failed", "cancelled"].contains(&found.state.as_str()) {
                    return Ok(found);
                }
            }
            Err(error) if error.is_passing() => {}
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(pause);
    }
}

/// The results of a run that is done.
pub(super) fn results(hub: &Client, run: &str) -> anyhow::Result<Results> {
    Ok(hub.get(&format!("/v1/runs/{run}/results"))?)
}

/// One line that says where a run stands.
pub(super) fn line(run: &RunState) -> String {
    let of = |word: &str| run.sites.values().filter(|w| w.as_str() == word).count();
    let waiting = of("waited for");
    match (run.state.as_str(), run.round) {
        ("consent", _) => format!(
            "consent: {} approved, {} declined, {waiting} undecided",
            of("approved"),
            of("declined")
        ),
        ("asking", Some(round)) => {
            format!("round {}: {} answered, {waiting} outstanding", round + 1, of("answered"))
        }
        ("advancing", Some(round)) => {
            format!("round {}: the hub and the keyholder are opening the sums", round + 1)
        }
        (state, _) => match &run.reason {
            Some(reason) => format!("{state}: {reason}"),
            None => state.to_owned(),
        },
    }
}

pub(super) fn submit(
    hub: &Client,
    spec: &Path,
    roster: Option<&Path>,
    to: &Destination,
) -> anyhow::Result<Ending> {
    let folder = ResultsFolder::open(to)?;
    let plan = read::plan(spec)?;
    put(hub, spec, roster)?;
    let run = open(hub, &plan.spec.id)?;
    eprintln!("run {}, specification {}", run.id, plan.hash);
    let begun = Instant::now();
    let mut tell =
        |run: &RunState| eprintln!("{:>8.1} s  {}", begun.elapsed().as_secs_f64(), line(run));
    let ended = follow(hub, &run.id, Duration::from_millis(500), &mut tell)?;
    if ended.state != "done" {
        bail!("run {}: {}", ended.id, line(&ended));
    }
    let results = results(hub, &ended.id)?;
    folder.write(&results)?;
    summary::print(&results, folder.named());
    Ok(if results.needs_a_look() { Ending::Look } else { Ending::Done })
}
