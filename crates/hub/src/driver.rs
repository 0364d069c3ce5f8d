//! The driver: leases a run in which something is to be done, does it once, lets go. Any replica may do it, and may die at
//! any moment: what counts is the event that it appends, and only one fits.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tributary_client::ClientError;
use tributary_core::{
    protocol::{AnswerFile, Document, Opening, OpeningRequest},
    run::{Event, RunState},
    seal::Roster,
    summary::SiteId,
};

use super::{
    Pool, Sums, advance,
    state::Hub,
    store::{RunRecord, StoreError},
};

/// How long a lease holds; it is renewed while its step goes on, so that a killed replica is soon replaced and a slow one is not.
const LEASE_MS: i64 = 5_000;
/// How often a lease is renewed.
const RENEW: Duration = Duration::from_secs(1);
/// How many runs one hub drives at once: a step that waits for the keyholder, or reckons, does not keep the others waiting.
const WORKERS: usize = 4;

/// The reason of a run whose step panicked.
const PANIC: &str =
    "an internal error occurred in this step: please report it with the analysis and the hub's log";

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// May work later.
    #[error("{0}")]
    Later(String),
    /// Will never work: the run ends.
    #[error("{0}")]
    Never(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Drives runs for as long as the hub lives.
pub(super) async fn drive(hub: Hub) {
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(work(hub.clone()));
    }
    while workers.join_next().await.is_some() {}
}

async fn work(hub: Hub) {
    let token = uuid::Uuid::now_v7().to_string();
    let mut watch = hub.watch();
    loop {
        if !drive_once(&hub, &token).await {
            // Whatever comes first: something was written, or something is overdue.
            let _ = tokio::time::timeout(Duration::from_millis(500), watch.changed()).await;
        }
    }
}

/// Leases one run and makes its next step; false if there was nothing to do.
pub async fn drive_once(hub: &Hub, token: &str) -> bool {
    let run = match hub.store().lease(token, hub.now(), LEASE_MS).await {
        Ok(Some(run)) => run,
        Ok(None) => return false,
        Err(error) => {
            tracing::warn!(cause = %error, "no lease");
            return false;
        }
    };
    // A task of its own: a panic ends the step and not the worker.
    let (mine, id, name) = (hub.clone(), run.clone(), token.to_owned());
    let mut turn = std::pin::pin!(tokio::spawn(async move { turn(&mine, &id, &name).await }));
    loop {
        match tokio::time::timeout(RENEW, &mut turn).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                tracing::error!(run, cause = %error, "a step panicked");
                keep(hub, &run, Event::Stopped { reason: PANIC.into() }).await;
                return true;
            }
            Err(_) => {
                let until = hub.now() + SignedDuration::from_millis(LEASE_MS);
                match hub.store().renew(&run, token, until).await {
                    Ok(true) => {}
                    // Whoever has it now may be faster; only one of the two events will fit.
                    Ok(false) => tracing::debug!(run, "the lease is another one's"),
                    Err(error) => {
                        tracing::warn!(run, cause = %error, "the lease could not be renewed");
                    }
                }
            }
        }
    }
}

async fn turn(hub: &Hub, run: &str, token: &str) {
    match step(hub, run).await {
        Ok(Some(event)) => keep(hub, run, event).await,
        Ok(None) => {}
        Err(StepError::Never(reason)) => keep(hub, run, Event::Stopped { reason }).await,
        Err(error) => {
            tracing::warn!(run, cause = %error, "the step will be tried again");
            let until = hub.now() + SignedDuration::from_millis(jitter_ms());
            if let Err(error) = hub.store().renew(run, token, until).await {
                tracing::warn!(run, cause = %error, "the lease could not be changed");
            }
        }
    }
}

/// Appends the event of a step.
async fn keep(hub: &Hub, run: &str, event: Event) {
    let kind = match event {
        Event::Closed => "step closed",
        Event::Stopped { .. } => "run stopped",
        _ => "round pooled",
    };
    match hub.store().apply(run, event, None, "hub", hub.now()).await {
        Ok(_) => {
            hub.metrics().event(kind);
            hub.wrote().await;
        }
        // Another replica was faster, or somebody cancelled the run.
        Err(StoreError::Run(error)) => {
            tracing::debug!(run, cause = %error, "the step was made elsewhere");
        }
        Err(error) => tracing::warn!(run, cause = %error, "the step could not be kept"),
    }
}

/// Half a second to a second and a half.
fn jitter_ms() -> i64 {
    let mut byte = [0];
    // Without random bytes the pause is the shortest one.
    let _ = getrandom::fill(&mut byte);
    500 + i64::from(byte[0]) * 4
}

async fn step(hub: &Hub, id: &str) -> Result<Option<Event>, StepError> {
    let record = hub.store().run(id).await?;
    let overdue = hub.store().is_overdue(id, hub.now()).await?;
    match record.run.state {
        RunState::Consent | RunState::Asking { .. } => Ok(overdue.then_some(Event::Closed)),
        RunState::Advancing { round } => match pool(hub, &record, round).await {
            Err(StepError::Later(reason)) if overdue => Err(StepError::Never(reason)),
            other => other.map(Some),
        },
        RunState::Done | RunState::Failed { .. } | RunState::Cancelled { .. } => Ok(None),
    }
}

async fn pool(hub: &Hub, record: &Arc<RunRecord>, round: usize) -> Result<Event, StepError> {
    let roster = hub.roster(&record.row.roster).await?;
    let address = record.address(round);
    let sites: Vec<SiteId> = record
        .run
        .models
        .iter()
        .flat_map(|m| m.sealed.keys().cloned())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut pool = Pool::default();
    for site in &sites {
        let text = hub.store().answer(&record.row.id, round, site).await?;
        pool = blocking(move || {
            let answer: AnswerFile =
                Document::parse(&text).map_err(|e| StepError::Never(e.to_string()))?;
            pool.add(&answer).map_err(|e| StepError::Never(e.to_string()))?;
            Ok(pool)
        })
        .await?;
    }
    let (hub, record) = (hub.clone(), record.clone());
    blocking(move || {
        let sums = match pool.request(&address, &roster, hub.key()) {
            Some(request) => opened(&hub, pool, &request, &roster, &record)?,
            None => Sums::new(),
        };
        Ok(advance(&record.run, round, &record.plan.study.policy, &sums))
    })
    .await
}

/// Asks the keyholder and takes the masks away. Blocks.
fn opened(
    hub: &Hub,
    pool: Pool,
    request: &OpeningRequest,
    roster: &Roster,
    record: &RunRecord,
) -> Result<Sums, StepError> {
    let never = |reason: String| StepError::Never(format!("the sum could not be opened: {reason}"));
    let reply = hub.keyholder().text("PUT", "/v1/openings", &request.to_text()).map_err(
        |error: ClientError| {
            if error.is_passing() {
                StepError::Later(format!("keyholder: {error}"))
            } else {
                never(error.to_string())
            }
        },
    )?;
    let opening: Opening = Document::parse(&reply).map_err(|error| never(error.to_string()))?;
    pool.open(request, &opening, roster, &record.plan.study.policy)
        .map_err(|error| never(error.to_string()))
}

/// CPU work and blocking calls leave the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The same step on the same sums would panic again.
        Err(error) if error.is_panic() => Err(StepError::Never(PANIC.into())),
        Err(_) => Err(StepError::Later("the step was interrupted".into())),
    }
}
