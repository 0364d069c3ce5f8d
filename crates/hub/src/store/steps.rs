//! What surrounds the events of a run: answers as they came, results, and leases.

use jiff::Timestamp;
use sqlx::Row as _;
use tributary_core::summary::SiteId;
use tributary_report::results::Results;

use super::{Store, StoreError, read};

impl Store {
    /// The signed answer of a site to the open round.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn answer(
        &self,
        id: &str,
        round: usize,
        site: &SiteId,
    ) -> Result<String, StoreError> {
        let row =
            sqlx::query("select body from answer where run = $1 and round = $2 and site = $3")
                .bind(id)
                .bind(round as i64)
                .bind(site.as_str())
                .fetch_optional(&self.pool)
                .await?;
        row.map(|row| row.get(0)).ok_or_else(|| StoreError::NotFound {
            what: "answer",
            id: format!("{id}, round {round}, {site}"),
        })
    }

    /// Fingerprint of the answer of a site to a round, if it has answered.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn receipt_of(
        &self,
        id: &str,
        round: usize,
        site: &SiteId,
    ) -> Result<Option<(String, String)>, StoreError> {
        let row = sqlx::query(
            "select sha256, received_at from receipt where run = $1 and round = $2 and site = $3",
        )
        .bind(id)
        .bind(round as i64)
        .bind(site.as_str())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    /// results.json of a run that is done.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn results(&self, id: &str) -> Result<Results, StoreError> {
        let row = sqlx::query("select body from result where run = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::NotFound { what: "result of run", id: id.to_owned() })?;
        read("a result", &row.get::<String, _>(0))
    }

    /// Leases a run in which something is to be done: it is the hub's turn, or the open step is overdue.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn lease(
        &self,
        token: &str,
        now: Timestamp,
        ms: i64,
    ) -> Result<Option<String>, StoreError> {
        // Most looks find nothing; they take no lock.
        let now = now.as_millisecond();
        let found = sqlx::query(
            "select id from run where lease_until < $1 and (work = 1 or due_at <= $1) order by due_at limit 32",
        )
        .bind(now)
        .fetch_all(&self.pool)
        .await?;
        // Another worker may have been faster with the first of them.
        for row in found {
            let leased = sqlx::query(
                "update run set lease = $1, lease_until = $3
                 where id = $4 and lease_until < $2 and (work = 1 or due_at <= $2) returning id",
            )
            .bind(token)
            .bind(now)
            .bind(now + ms)
            .bind(row.get::<String, _>(0))
            .fetch_optional(&self.pool)
            .await?;
            if let Some(leased) = leased {
                return Ok(Some(leased.get(0)));
            }
        }
        Ok(None)
    }

    /// Holds a lease until `until`, while its step goes on; false if it is somebody else's by now.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn renew(&self, id: &str, token: &str, until: Timestamp) -> Result<bool, StoreError> {
        let renewed = sqlx::query("update run set lease_until = $3 where id = $1 and lease = $2")
            .bind(id)
            .bind(token)
            .bind(until.as_millisecond())
            .execute(&self.pool)
            .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Whether the open step of a run is overdue.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn is_overdue(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let row = sqlx::query("select due_at from run where id = $1")
            .bind(id)
            .fetch_one(&self.pool)
            .await?;
        Ok(row.get::<i64, _>(0) <= now.as_millisecond())
    }
}
