//! Runs: events in, state by folding; answers of the open round; leases.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row as _;
use tributary_core::{
    protocol::{Address, question_hash},
    run::{Event, Run, RunState},
    spec::Study,
    summary::SiteId,
};
use tributary_models::plan::Plan;
use tributary_report::results::Results;

use super::{Store, StoreError, Write, folded::Folded, read, text, time};

/// How long an idempotency key counts, milliseconds.
const KEY_COUNTS_MS: i64 = 24 * 3_600_000;

/// A run to be opened.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Identifier, a UUID whose first part is the time.
    pub id: String,
    /// File `study.toml`.
    pub study_file: String,
    /// The analysis file.
    pub analysis_file: String,
    /// Hash of the roster.
    pub roster: String,
    /// Sites that are asked.
    pub sites: BTreeSet<SiteId>,
    /// How long sites may take to decide, seconds.
    pub consent_s: i64,
    /// How long sites may take to answer a round, seconds.
    pub round_s: i64,
    /// Who opens it.
    pub created_by: String,
    /// Idempotency key, with the fingerprint of its request.
    pub key: Option<(String, String)>,
}

/// A run as it is listed.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunRow {
    /// Identifier.
    pub id: String,
    /// Analysis.
    pub analysis: String,
    /// Study.
    pub study: String,
    /// SHA-256 of study and specification.
    pub specification: String,
    /// Hash of the roster.
    pub roster: String,
    /// Where it stands: consent, asking, advancing, done, failed, cancelled.
    pub state: String,
    /// Number of events.
    pub version: i64,
    /// Who opened it.
    pub created_by: String,
    /// When, RFC 3339.
    pub created_at: String,
}

/// A run folded up to a version, with its plan.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// As it is listed.
    pub row: RunRow,
    /// The analysis.
    pub plan: Arc<Plan>,
    /// File `study.toml`.
    pub study_file: Arc<str>,
    /// The analysis file.
    pub analysis_file: Arc<str>,
    /// Its state.
    pub run: Run,
    consent_s: i64,
    round_s: i64,
}

fn run_row(row: &sqlx::any::AnyRow) -> RunRow {
    RunRow {
        id: row.get(0),
        analysis: row.get(1),
        study: row.get(2),
        specification: row.get(3),
        roster: row.get(4),
        state: row.get(5),
        version: row.get(6),
        created_by: row.get(7),
        created_at: row.get(8),
    }
}

impl RunRecord {
    /// Where answers to the open question belong, as round `round`.
    pub fn address(&self, round: usize) -> Address {
        Address {
            study: self.row.study.clone(),
            analysis: self.row.analysis.clone(),
            run: self.row.id.clone(),
            round,
            specification: self.row.specification.clone(),
            question: question_hash(&self.run.questions()),
        }
    }
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// Site.
    pub site: &'a SiteId,
    /// Round.
    pub round: usize,
    /// SHA-256 of the text.
    pub sha256: &'a str,
    /// The signed text.
    pub body: &'a str,
}

impl Store {
    /// Opens a run in the state of consent. With a key that opened a run within the last day, that run is the reply.
    ///
    /// # Errors
    /// [`StoreError::KeyReuse`] if the key came with another request, or if the database does not answer.
    pub async fn open_run(
        &self,
        new: &NewRun,
        plan: &Plan,
        at: Timestamp,
    ) -> Result<RunRow, StoreError> {
        let mut write = self.write().await?;
        let row = RunRow {
            id: new.id.clone(),
            analysis: plan.spec.id.clone(),
            study: plan.study.id.clone(),
            specification: plan.hash.clone(),
            roster: new.roster.clone(),
            state: RunState::Consent.word().into(),
            version: 0,
            created_by: new.created_by.clone(),
            created_at: at.to_string(),
        };
        if let Some((key, request)) = &new.key
            && let Some(known) = Self::claim(&mut write, key, request, &row, at).await?
        {
            return Ok(known);
        }
        sqlx::query(
            "insert into run (id, analysis, study, specification, roster, study_file, analysis_file, sites, consent_s,
               round_s, created_by, created_at, state, version, work, due_at, lease, lease_until)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, $14, null, 0)",
        )
        .bind(&new.id)
        .bind(&plan.spec.id)
        .bind(&plan.study.id)
        .bind(&plan.hash)
        .bind(&new.roster)
        .bind(&new.study_file)
        .bind(&new.analysis_file)
        .bind(text(&new.sites))
        .bind(new.consent_s)
        .bind(new.round_s)
        .bind(&new.created_by)
        .bind(at.to_string())
        .bind(RunState::Consent.word())
        .bind(at.as_millisecond() + new.consent_s * 1000)
        .execute(&mut *write)
        .await?;
        let subject = json!({ "run": new.id, "analysis": plan.spec.id, "specification": plan.hash, "sites": new.sites });
        Self::audit(&mut write, at, &new.created_by, "run opened", subject).await?;
        write.commit().await?;
        Ok(row)
    }

    /// Takes a key for a run within a writing transaction, or finds the run that it opened.
    async fn claim(
        write: &mut Write,
        key: &str,
        request: &str,
        row: &RunRow,
        at: Timestamp,
    ) -> Result<Option<RunRow>, StoreError> {
        sqlx::query("delete from idempotency where expires_at <= $1")
            .bind(at.as_millisecond())
            .execute(&mut **write)
            .await?;
        // Another transaction with this key is waited for: it has opened the run, or nobody has.
        let taken = sqlx::query(
            "insert into idempotency (id, request, status, body, expires_at) values ($1, $2, 201, $3, $4)
             on conflict (id) do nothing",
        )
        .bind(key)
        .bind(request)
        .bind(text(row))
        .bind(at.as_millisecond() + KEY_COUNTS_MS)
        .execute(&mut **write)
        .await?;
        if taken.rows_affected() == 1 {
            return Ok(None);
        }
        Self::known(write, key, request, at).await
    }

    async fn known(
        connection: &mut sqlx::AnyConnection,
        key: &str,
        request: &str,
        now: Timestamp,
    ) -> Result<Option<RunRow>, StoreError> {
        let found =
            sqlx::query("select request, body from idempotency where id = $1 and expires_at > $2")
                .bind(key)
                .bind(now.as_millisecond())
                .fetch_optional(connection)
                .await?;
        match found {
            None => Ok(None),
            Some(found) if found.get::<String, _>(0) != request => Err(StoreError::KeyReuse),
            Some(found) => read("a reply", &found.get::<String, _>(1)).map(Some),
        }
    }

    /// The run that `request` opened with this key within the last day.
    ///
    /// # Errors
    /// [`StoreError::KeyReuse`] if the key came with another request, or if the database does not answer.
    pub async fn run_of_key(
        &self,
        key: &str,
        request: &str,
        now: Timestamp,
    ) -> Result<Option<RunRow>, StoreError> {
        Self::known(&mut *self.pool.acquire().await?, key, request, now).await
    }

    /// Runs before `before` by identifier, newest first; the empty text begins with the newest.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn runs(&self, before: &str, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let before = if before.is_empty() { "~" } else { before };
        let rows = sqlx::query(
            "select id, analysis, study, specification, roster, state, version, created_by, created_at from run
             where id < $1 order by id desc limit $2",
        )
        .bind(before)
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(run_row).collect())
    }

    /// The runs that are not over, folded. Of those that have not changed since the last look nothing is read again.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn open_runs(&self) -> Result<Vec<Arc<RunRecord>>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(
            "select id, analysis, study, specification, roster, state, version, created_by, created_at from run
             where state in ('consent', 'asking', 'advancing') order by id",
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows.iter().map(run_row) {
            let record = self.fold(&mut connection, row).await?;
            self.keep(&record);
            records.push(record);
        }
        Ok(records)
    }

    /// The run called `id`, folded.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn run(&self, id: &str) -> Result<Arc<RunRecord>, StoreError> {
        let row = sqlx::query(
            "select id, analysis, study, specification, roster, state, version, created_by, created_at from run where id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::NotFound { what: "run", id: id.to_owned() })?;
        let row = run_row(&row);
        let record = self.fold(&mut *self.pool.acquire().await?, row).await?;
        self.keep(&record);
        Ok(record)
    }

    fn keep(&self, record: &Arc<RunRecord>) {
        self.kept().keep(record);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Folded> {
        // A poisoned lock means that a thread panicked while it copied a pointer; the map is sound all the same.
        self.folded.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Folds the events up to the version of `row`, from where this replica left off.
    async fn fold(
        &self,
        connection: &mut sqlx::AnyConnection,
        row: RunRow,
    ) -> Result<Arc<RunRecord>, StoreError> {
        let kept = self.kept().get(&row.id);
        let mut record = match kept {
            Some(kept) if kept.row.version == row.version => return Ok(kept),
            Some(kept) if kept.row.version < row.version => (*kept).clone(),
            _ => Self::begin(&mut *connection, &row).await?,
        };
        let rows = sqlx::query(
            "select seq, body from event where run = $1 and seq > $2 and seq <= $3 order by seq",
        )
        .bind(&row.id)
        .bind(record.row.version)
        .bind(row.version)
        .fetch_all(connection)
        .await?;
        // Pooled sums may be large: reading them leaves the async thread to others.
        tokio::task::block_in_place(|| {
            for event in &rows {
                let event: Event = read("an event", &event.get::<String, _>(1))?;
                record.run.apply(event)?;
            }
            Ok::<_, StoreError>(())
        })?;
        record.row = row;
        Ok(Arc::new(record))
    }

    /// A run before its first event.
    async fn begin(
        connection: &mut sqlx::AnyConnection,
        row: &RunRow,
    ) -> Result<RunRecord, StoreError> {
        let found = sqlx::query(
            "select study_file, analysis_file, sites, consent_s, round_s from run where id = $1",
        )
        .bind(&row.id)
        .fetch_one(connection)
        .await?;
        let (study_file, analysis_file): (String, String) = (found.get(0), found.get(1));
        let unreadable = |reason: String| StoreError::Unreadable { what: "an analysis", reason };
        let study =
            Study::parse("study.toml", &study_file).map_err(|e| unreadable(e.to_string()))?;
        let plan =
            tokio::task::block_in_place(|| Plan::check("analysis.toml", &analysis_file, study))
                .map_err(|e| unreadable(e.to_string()))?;
        let sites: BTreeSet<SiteId> = read("a list of sites", &found.get::<String, _>(2))?;
        let models = plan.model_runs().map_err(|e| unreadable(e.to_string()))?;
        let (run, _) = Run::propose(&plan.hash, sites, models);
        Ok(RunRecord {
            row: RunRow { version: 0, ..row.clone() },
            plan: Arc::new(plan),
            study_file: study_file.into(),
            analysis_file: analysis_file.into(),
            run,
            consent_s: found.get(3),
            round_s: found.get(4),
        })
    }

    /// Applies an event to a run: folds, applies, appends, and keeps what follows from it, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Run`] if the event does not fit, [`StoreError::Conflict`] if a site has answered with something else.
    pub async fn apply(
        &self,
        id: &str,
        event: Event,
        answer: Option<Received<'_>>,
        by: &str,
        at: Timestamp,
    ) -> Result<Arc<RunRecord>, StoreError> {
        let mut write = self.write().await?;
        let row = sqlx::query(
            "update run set version = version + 1 where id = $1
             returning id, analysis, study, specification, roster, state, version, created_by, created_at",
        )
        .bind(id)
        .fetch_optional(&mut *write)
        .await?
        .ok_or_else(|| StoreError::NotFound { what: "run", id: id.to_owned() })?;
        let row = run_row(&row);
        let before = RunRow { version: row.version - 1, ..row.clone() };
        let before = self.fold(&mut write, before).await?;
        if let Some(answer) = &answer
            && let Some(known) = Self::receipt(&mut write, id, answer).await?
        {
            if known == answer.sha256 {
                return Ok(before);
            }
            return Err(StoreError::Conflict {
                site: answer.site.to_string(),
                round: answer.round,
            });
        }
        let subject = subject(id, &event);
        let (mut record, body) = tokio::task::block_in_place(|| {
            let mut record = (*before).clone();
            let body = text(&event);
            record.run.apply(event)?;
            Ok::<_, StoreError>((record, body))
        })?;
        record.row = RunRow { state: record.run.state.word().into(), ..row };
        sqlx::query("insert into event (run, seq, at, body) values ($1, $2, $3, $4)")
            .bind(id)
            .bind(record.row.version)
            .bind(at.to_string())
            .bind(body)
            .execute(&mut *write)
            .await?;
        if let Some(answer) = &answer {
            Self::receive(&mut write, id, answer, at).await?;
        }
        let moved = before.run.state != record.run.state;
        if moved {
            Self::moved(&mut write, &before, &record, at).await?;
        }
        sqlx::query("update run set state = $2 where id = $1")
            .bind(id)
            .bind(&record.row.state)
            .execute(&mut *write)
            .await?;
        let (action, subject) = subject;
        Self::audit(&mut write, at, by, action, subject).await?;
        write.commit().await?;
        let record = Arc::new(record);
        self.keep(&record);
        Ok(record)
    }

    async fn receipt(
        write: &mut Write,
        id: &str,
        answer: &Received<'_>,
    ) -> Result<Option<String>, StoreError> {
        let known =
            sqlx::query("select sha256 from receipt where run = $1 and round = $2 and site = $3")
                .bind(id)
                .bind(answer.round as i64)
                .bind(answer.site.as_str())
                .fetch_optional(&mut **write)
                .await?;
        Ok(known.map(|row| row.get(0)))
    }

    async fn receive(
        write: &mut Write,
        id: &str,
        answer: &Received<'_>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("insert into receipt (run, round, site, sha256, received_at) values ($1, $2, $3, $4, $5)")
            .bind(id)
            .bind(answer.round as i64)
            .bind(answer.site.as_str())
            .bind(answer.sha256)
            .bind(at.to_string())
            .execute(&mut **write)
            .await?;
        sqlx::query("insert into answer (run, round, site, sha256, body, received_at) values ($1, $2, $3, $4, $5, $6)")
            .bind(id)
            .bind(answer.round as i64)
            .bind(answer.site.as_str())
            .bind(answer.sha256)
            .bind(answer.body)
            .bind(at.to_string())
            .execute(&mut **write)
            .await?;
        Ok(())
    }

    /// What follows from a change of state: whose turn it is, until when, and what is kept or dropped.
    async fn moved(
        write: &mut Write,
        before: &RunRecord,
        record: &RunRecord,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let state = &record.run.state;
        let period = if *state == RunState::Consent { record.consent_s } else { record.round_s };
        let due_at = if state.is_final() { i64::MAX } else { at.as_millisecond() + period * 1000 };
        let work = i64::from(matches!(state, RunState::Advancing { .. }));
        sqlx::query(
            "update run set work = $2, due_at = $3, lease = null, lease_until = 0 where id = $1",
        )
        .bind(&record.row.id)
        .bind(work)
        .bind(due_at)
        .execute(&mut **write)
        .await?;
        let pooled = matches!(before.run.state, RunState::Advancing { .. });
        if pooled || state.is_final() {
            sqlx::query("delete from answer where run = $1")
                .bind(&record.row.id)
                .execute(&mut **write)
                .await?;
        }
        if *state == RunState::Done {
            let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
            let results =
                tokio::task::block_in_place(|| text(&Results::of(&record.plan, &record.run, date)));
            sqlx::query("insert into result (run, body) values ($1, $2)")
                .bind(&record.row.id)
                .bind(results)
                .execute(&mut **write)
                .await?;
        }
        Ok(())
    }

    /// Events of a run after `after`: position, time, JSON.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn events_after(
        &self,
        id: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Timestamp, Event)>, StoreError> {
        let rows = sqlx::query(
            "select seq, at, body from event where run = $1 and seq > $2 order by seq limit $3",
        )
        .bind(id)
        .bind(after)
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let at = time("the time of an event", &row.get::<String, _>(1))?;
                Ok((row.get(0), at, read("an event", &row.get::<String, _>(2))?))
            })
            .collect()
    }
}

/// An event as the audit log words it: action and subject, without any number of an answer.
fn subject(run: &str, event: &Event) -> (&'static str, Value) {
    match event {
        Event::Decided { site, approves } => {
            (if *approves { "approved" } else { "declined" }, json!({ "run": run, "site": site }))
        }
        Event::Closed => ("step closed", json!({ "run": run })),
        Event::Answered { site, round, .. } => {
            ("answer received", json!({ "run": run, "site": site, "round": round }))
        }
        Event::Advanced { round, .. } => ("round pooled", json!({ "run": run, "round": round })),
        Event::Stopped { reason } => ("run stopped", json!({ "run": run, "reason": reason })),
        Event::Cancelled { by } => ("run cancelled", json!({ "run": run, "by": by })),
    }
}
