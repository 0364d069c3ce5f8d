//! Studies, rosters and analyses.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row as _;
use tributary_core::{seal::Roster, spec::Study};
use tributary_models::plan::Plan;

use super::{Store, StoreError};

/// A study as it is listed.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct StudyRow {
    /// Short name.
    pub id: String,
    /// Title.
    pub title: String,
    /// Hash of the roster that new runs use, if there is one.
    pub roster: Option<String>,
    /// File `study.toml`.
    pub file: String,
    /// When it came, RFC 3339.
    pub created_at: String,
}

/// An analysis as it is listed.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct AnalysisRow {
    /// Short name.
    pub id: String,
    /// Study.
    pub study: String,
    /// Title of its report.
    pub title: String,
    /// SHA-256 of study and specification: what sites approve.
    pub specification: String,
    /// The file.
    pub file: String,
    /// Who submitted it.
    pub created_by: String,
    /// When, RFC 3339.
    pub created_at: String,
}

fn study(row: &sqlx::any::AnyRow) -> StudyRow {
    StudyRow {
        id: row.get(0),
        title: row.get(1),
        roster: row.get(2),
        file: row.get(3),
        created_at: row.get(4),
    }
}

fn analysis(row: &sqlx::any::AnyRow) -> AnalysisRow {
    AnalysisRow {
        id: row.get(0),
        study: row.get(1),
        title: row.get(2),
        specification: row.get(3),
        file: row.get(4),
        created_by: row.get(5),
        created_at: row.get(6),
    }
}

impl Store {
    /// Puts a study in place.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn put_study(
        &self,
        found: &Study,
        file: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query(
            "insert into study (id, title, file, created_at) values ($1, $2, $3, $4)
             on conflict (id) do update set title = excluded.title, file = excluded.file, created_at = excluded.created_at",
        )
        .bind(&found.id)
        .bind(&found.title)
        .bind(file)
        .bind(at.to_string())
        .execute(&mut *write)
        .await?;
        Self::audit(&mut write, at, by, "study put", json!({ "study": found.id })).await?;
        Ok(write.commit().await?)
    }

    /// The study called `id`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn study(&self, id: &str) -> Result<StudyRow, StoreError> {
        let row =
            sqlx::query("select id, title, roster, file, created_at from study where id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        row.as_ref()
            .map(study)
            .ok_or_else(|| StoreError::NotFound { what: "study", id: id.to_owned() })
    }

    /// Studies after `after` by name.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn studies(&self, after: &str, limit: usize) -> Result<Vec<StudyRow>, StoreError> {
        let rows = sqlx::query(
            "select id, title, roster, file, created_at from study where id > $1 order by id limit $2",
        )
        .bind(after)
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(study).collect())
    }

    /// Puts the roster of a study in place; earlier ones stay for the runs that use them.
    ///
    /// # Errors
    /// If there is no such study or the database does not answer.
    pub async fn put_roster(
        &self,
        roster: &Roster,
        by: &str,
        at: Timestamp,
    ) -> Result<String, StoreError> {
        let hash = roster.hash();
        let mut write = self.write().await?;
        sqlx::query(
            "insert into roster (hash, study, file, created_at) values ($1, $2, $3, $4) on conflict (hash) do nothing",
        )
        .bind(&hash)
        .bind(&roster.study)
        .bind(roster.to_toml())
        .bind(at.to_string())
        .execute(&mut *write)
        .await?;
        let changed = sqlx::query("update study set roster = $1 where id = $2")
            .bind(&hash)
            .bind(&roster.study)
            .execute(&mut *write)
            .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "study", id: roster.study.clone() });
        }
        let subject = json!({ "study": roster.study, "roster": hash });
        Self::audit(&mut write, at, by, "roster put", subject).await?;
        write.commit().await?;
        Ok(hash)
    }

    /// The roster with this hash.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn roster(&self, hash: &str) -> Result<Roster, StoreError> {
        let row = sqlx::query("select file from roster where hash = $1")
            .bind(hash)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::NotFound { what: "roster", id: hash.to_owned() })?;
        Roster::parse("roster.toml", &row.get::<String, _>(0))
            .map_err(|error| StoreError::Unreadable { what: "a roster", reason: error.to_string() })
    }

    /// Puts an analysis in place.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn put_analysis(
        &self,
        plan: &Plan,
        file: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query(
            "insert into analysis (id, study, title, specification, file, created_by, created_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (id) do update set study = excluded.study, title = excluded.title,
               specification = excluded.specification, file = excluded.file, created_by = excluded.created_by,
               created_at = excluded.created_at",
        )
        .bind(&plan.spec.id)
        .bind(&plan.study.id)
        .bind(&plan.spec.title)
        .bind(&plan.hash)
        .bind(file)
        .bind(by)
        .bind(at.to_string())
        .execute(&mut *write)
        .await?;
        let subject = json!({ "analysis": plan.spec.id, "specification": plan.hash });
        Self::audit(&mut write, at, by, "analysis put", subject).await?;
        Ok(write.commit().await?)
    }

    /// The analysis called `id`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn analysis(&self, id: &str) -> Result<AnalysisRow, StoreError> {
        let row = sqlx::query(
            "select id, study, title, specification, file, created_by, created_at from analysis where id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref()
            .map(analysis)
            .ok_or_else(|| StoreError::NotFound { what: "analysis", id: id.to_owned() })
    }

    /// Analyses after `after` by name.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn analyses(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<AnalysisRow>, StoreError> {
        let rows = sqlx::query(
            "select id, study, title, specification, file, created_by, created_at from analysis
             where id > $1 order by id limit $2",
        )
        .bind(after)
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(analysis).collect())
    }
}
