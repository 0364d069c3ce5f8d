//! The hub's store: an append-only event log per run, and what surrounds it, in SQLite or PostgreSQL by one SQL text.
//!
//! Every writing transaction takes the one row of `pulse` first: there is one writer at a time, on either database and
//! however many replicas there are. Readers never wait for it.

mod folded; // runs in memory
mod people;
mod runs;
mod steps;
mod studies;

use folded::Folded;
pub use people::{Account, Role, TokenSecret};
pub use runs::{NewRun, Received, RunRecord, RunRow};
pub use studies::{AnalysisRow, StudyRow};

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use sqlx::{
    Any, AnyPool, Row as _, Transaction,
    any::{AnyPoolOptions, install_default_drivers},
    migrate::{Migration, MigrationType, Migrator},
};
use tributary_core::ledger::Entry;

/// Migrations, oldest first.
const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "hub", include_str!("../../migrations/0001_hub.sql"))];

/// Why the store cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema.
    #[error("the database's schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A kept text of another form.
    #[error("{what} in the database cannot be read: {reason}")]
    Unreadable {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// No such thing.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// An event that does not fit.
    #[error(transparent)]
    Run(#[from] tributary_core::run::RunError),
    /// A site that has answered with something else.
    #[error("site {site} has already given a different answer to round {round}")]
    Conflict {
        /// Site.
        site: String,
        /// Round.
        round: usize,
    },
    /// Something that exists and is different.
    #[error("{0}")]
    Differs(String),
    /// An idempotency key that came with another request before.
    #[error("this key opened another run; a new run needs a new key")]
    KeyReuse,
}

/// The store; clones share one pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    sqlite: bool,
    /// Runs folded up to a version.
    folded: Arc<Mutex<Folded>>,
}

/// A writing transaction.
type Write = Transaction<'static, Any>;

impl Store {
    /// Opens the database at `url`, `sqlite:…` (created if absent) or `postgres:…`, and brings its schema up to date.
    ///
    /// # Errors
    /// If it cannot be reached, or its schema is newer than this program.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        let url =
            if sqlite && !url.contains('?') { format!("{url}?mode=rwc") } else { url.to_owned() };
        let pool = AnyPoolOptions::new()
            // SQLite has one writer; a second connection would only wait for it.
            .max_connections(if sqlite { 1 } else { 16 })
            .acquire_timeout(Duration::from_secs(20))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        for pragma in [
                            "pragma journal_mode = wal",
                            "pragma synchronous = full",
                            "pragma busy_timeout = 10000",
                        ] {
                            sqlx::query(pragma).execute(&mut *connection).await?;
                        }
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await?;
        let migrations = MIGRATIONS
            .iter()
            .map(|(version, name, sql)| {
                Migration::new(
                    *version,
                    (*name).into(),
                    MigrationType::Simple,
                    sqlx::SqlStr::from_static(sql),
                    false,
                )
            })
            .collect();
        Migrator::with_migrations(migrations).run(&pool).await?;
        if sqlite {
            // One hub has this file: whatever was leased, nobody is doing it any more.
            sqlx::query("update run set lease_until = 0").execute(&pool).await?;
        }
        Ok(Self { pool, sqlite, folded: Arc::default() })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Grows with every write of any replica.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn pulse(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("select n from pulse where id = 1").fetch_one(&self.pool).await?;
        Ok(row.get(0))
    }

    async fn write(&self) -> Result<Write, StoreError> {
        let begin = if self.sqlite { "begin immediate" } else { "begin" };
        let mut write = self.pool.begin_with(begin).await?;
        sqlx::query("update pulse set n = n + 1 where id = 1").execute(&mut *write).await?;
        Ok(write)
    }

    /// Appends to the audit log within a writing transaction.
    async fn audit(
        write: &mut Write,
        at: Timestamp,
        actor: &str,
        action: &str,
        subject: Value,
    ) -> Result<(), StoreError> {
        let last = sqlx::query("select body from audit order by seq desc limit 1")
            .fetch_optional(&mut **write)
            .await?;
        let last = last
            .map(|row| read::<Entry>("an audit entry", &row.get::<String, _>(0)))
            .transpose()?;
        let entry = Entry::after(last.as_ref(), at, actor, action, subject);
        sqlx::query("insert into audit (seq, body) values ($1, $2)")
            .bind(entry.seq as i64)
            .bind(text(&entry))
            .execute(&mut **write)
            .await?;
        Ok(())
    }

    /// Records an action that changes nothing else, such as a login or a refused request.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn note(
        &self,
        at: Timestamp,
        actor: &str,
        action: &str,
        subject: Value,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        Self::audit(&mut write, at, actor, action, subject).await?;
        Ok(write.commit().await?)
    }

    /// Audit entries after `after`, oldest first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn audit_after(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query("select body from audit where seq > $1 order by seq limit $2")
            .bind(after as i64)
            .bind(limit as i64)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| read("an audit entry", &row.get::<String, _>(0))).collect()
    }
}

/// JSON of a value whose keys are strings and whose numbers are finite.
fn text<T: serde::Serialize>(value: &T) -> String {
    // Unwrap safety: what is stored has string keys and finite numbers, which always serialise.
    serde_json::to_string(value).expect("JSON")
}

fn read<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { what, reason: error.to_string() })
}

fn time(what: &'static str, text: &str) -> Result<Timestamp, StoreError> {
    text.parse()
        .map_err(|_| StoreError::Unreadable { what, reason: "this is not a valid time".into() })
}
