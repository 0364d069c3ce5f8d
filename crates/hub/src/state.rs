//! What all handlers and the driver share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tributary_client::{Client, ClientError, Identity};
use tributary_core::seal::{KeyFileError, Roster, SigningKey, read_signing, sha256};

use super::{
    config::{HubConfig, OidcConfig, Periods},
    store::{Account, RunRecord, Store, StoreError},
};
use crate::serve::Metrics;

/// How long a verified token is believed without hashing it again.
const BELIEVED: Duration = Duration::from_mins(1);
/// How many answers are read at once.
const ANSWERS_AT_ONCE: usize = 4;
/// How often a replica looks whether another one wrote.
const LOOK: Duration = Duration::from_millis(200);

/// The clock that a hub goes by. Time is an input: a test may make it jump.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Now.
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Sets the clock this far ahead of the machine's.
    pub fn set_ahead(&self, ahead: SignedDuration) {
        self.ahead_ms.store(ahead.as_millis() as i64, Ordering::Relaxed);
    }
}

/// Shared state; clones are the same.
#[derive(Debug, Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    key: SigningKey,
    keyholder: Client,
    periods: Periods,
    oidc: Option<OidcConfig>,
    metrics: Metrics,
    open: watch::Sender<Open>,
    believed: Mutex<HashMap<String, (Account, Instant)>>,
    rosters: Mutex<HashMap<String, Arc<Roster>>>,
    turns: Arc<Semaphore>,
}

/// The runs that are not over, as of one pulse of the store.
#[derive(Debug, Clone, Default)]
pub struct Open {
    /// Pulse.
    pub pulse: i64,
    /// Runs.
    pub runs: Arc<Vec<Arc<RunRecord>>>,
}

/// Why a hub cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// Its way to the keyholder.
    #[error("keyholder: {0}")]
    Keyholder(#[from] ClientError),
    /// Its database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its server.
    #[error(transparent)]
    Serve(#[from] crate::serve::ServeError),
}

impl Hub {
    /// Opens the store and makes everything ready.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: &HubConfig, clock: Clock) -> Result<Self, StartError> {
        let key = read_signing(&config.keys)?;
        let peer = &config.keyholder;
        let identity = Identity::Party { name: "hub".into(), key: Box::new(key.clone()) };
        let keyholder = Client::new(&peer.url, peer.ca.as_ref(), identity)?;
        let store = Store::connect(&config.database).await?;
        let inner = Inner {
            store,
            clock,
            key,
            keyholder,
            periods: config.periods,
            oidc: config.oidc.clone(),
            metrics: Metrics::default(),
            open: watch::Sender::new(Open::default()),
            believed: Mutex::default(),
            rosters: Mutex::default(),
            turns: Arc::new(Semaphore::new(ANSWERS_AT_ONCE)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Now, by the hub's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Signs questions and requests to the keyholder.
    pub fn key(&self) -> &SigningKey {
        &self.inner.key
    }

    /// The way to the keyholder. Blocks: not for async threads.
    pub fn keyholder(&self) -> &Client {
        &self.inner.keyholder
    }

    /// How long parties may take.
    pub fn periods(&self) -> Periods {
        self.inner.periods
    }

    /// Login by a provider.
    pub fn oidc(&self) -> Option<&OidcConfig> {
        self.inner.oidc.as_ref()
    }

    /// Metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Takes in what was just written, so that the next question finds it.
    pub async fn wrote(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(cause = %error, "the store cannot be read");
        }
    }

    /// The open runs, and word when they change.
    pub fn watch(&self) -> watch::Receiver<Open> {
        self.inner.open.subscribe()
    }

    /// Looks what other replicas wrote, for as long as the hub lives.
    pub async fn look(self) {
        loop {
            self.wrote().await;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let pulse = self.store().pulse().await?;
        if pulse <= self.inner.open.borrow().pulse {
            return Ok(());
        }
        let runs = self.store().open_runs().await?;
        self.metrics().open_runs().set(runs.len() as i64);
        // Two writers may come here at once; the later look stands.
        self.inner.open.send_if_modified(|open| {
            let newer = pulse > open.pulse;
            if newer {
                *open = Open { pulse, runs: Arc::new(runs) };
            }
            newer
        });
        Ok(())
    }

    /// The account that a token belongs to, believed for a minute after it was hashed.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn account_by_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let id = sha256(token.as_bytes());
        {
            let mut believed =
                self.inner.believed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            believed.retain(|_, (_, since)| since.elapsed() < BELIEVED);
            if let Some((account, _)) = believed.get(&id) {
                return Ok(Some(account.clone()));
            }
        }
        let found = self.store().account_by_token(token, now).await?;
        if let Some(account) = &found {
            let mut believed =
                self.inner.believed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            believed.insert(id, (account.clone(), Instant::now()));
        }
        Ok(found)
    }

    /// Believes no token any more without hashing it: one was withdrawn, or a role changed.
    pub fn doubt(&self) {
        self.inner.believed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// Waits for a turn to read an answer: however many sites send at once, few answers are in memory.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.turns.clone().acquire_owned().await.ok()
    }

    /// The roster with this hash.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn roster(&self, hash: &str) -> Result<Arc<Roster>, StoreError> {
        let known = {
            let rosters =
                self.inner.rosters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            rosters.get(hash).cloned()
        };
        if let Some(roster) = known {
            return Ok(roster);
        }
        let roster = Arc::new(self.store().roster(hash).await?);
        let mut rosters =
            self.inner.rosters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        rosters.insert(hash.to_owned(), roster.clone());
        Ok(roster)
    }
}
