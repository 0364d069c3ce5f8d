//! People: accounts with roles, tokens hashed with Argon2id, browser sessions, and logins that have been begun.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64ct::{Base64UrlUnpadded, Encoding};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::Row as _;
use tributary_core::seal::sha256;

use super::{Store, StoreError, read};

/// What a person may do; each role may do what those before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads studies, analyses, runs and reports.
    Reader,
    /// Submits analyses and opens runs.
    Analyst,
    /// Puts studies and rosters in place, cancels anybody's run.
    Steward,
    /// Gives roles and tokens, reads the audit log.
    Administrator,
}

impl Role {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Analyst => "analyst",
            Self::Steward => "steward",
            Self::Administrator => "administrator",
        }
    }
}

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Account {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Who they are at the login provider, if they log in there.
    pub subject: Option<String>,
    /// Whether nothing of theirs counts any more.
    pub disabled: bool,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

/// A new token: shown once, never kept.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TokenSecret {
    /// Its identifier, by which it can be withdrawn.
    pub id: String,
    /// The token.
    pub token: String,
    /// Until when it counts, RFC 3339.
    pub expires_at: String,
}

fn account(row: &sqlx::any::AnyRow) -> Result<Account, StoreError> {
    Ok(Account {
        name: row.get(0),
        role: read("a role", &format!("\"{}\"", row.get::<String, _>(1)))?,
        subject: row.get(2),
        disabled: row.get::<i64, _>(3) != 0,
        created_at: row.get(4),
    })
}

/// 32 random bytes as text that fits into a header or an address.
pub(crate) fn random_text() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| StoreError::Differs("the system provides no random bytes".into()))?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}

impl Store {
    /// Puts an account in place.
    ///
    /// # Errors
    /// If another account has the subject, or the database does not answer.
    pub async fn put_account(
        &self,
        name: &str,
        role: Role,
        subject: Option<&str>,
        disabled: bool,
        by: &str,
        at: Timestamp,
    ) -> Result<Account, StoreError> {
        let mut write = self.write().await?;
        let taken = sqlx::query("select name from account where subject = $1 and name <> $2")
            .bind(subject.unwrap_or_default())
            .bind(name)
            .fetch_optional(&mut *write)
            .await?;
        if subject.is_some() && taken.is_some() {
            return Err(StoreError::Differs("another account has this subject".into()));
        }
        let row = sqlx::query(
            "insert into account (name, role, subject, disabled, created_at) values ($1, $2, $3, $4, $5)
             on conflict (name) do update set role = excluded.role, subject = excluded.subject, disabled = excluded.disabled
             returning name, role, subject, disabled, created_at",
        )
        .bind(name)
        .bind(role.word())
        .bind(subject)
        .bind(i64::from(disabled))
        .bind(at.to_string())
        .fetch_one(&mut *write)
        .await?;
        let found = account(&row)?;
        let what = json!({ "account": name, "role": role, "disabled": disabled });
        Self::audit(&mut write, at, by, "account put", what).await?;
        write.commit().await?;
        Ok(found)
    }

    /// The account called `name`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn account(&self, name: &str) -> Result<Account, StoreError> {
        let row = sqlx::query(
            "select name, role, subject, disabled, created_at from account where name = $1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::NotFound { what: "user", id: name.to_owned() })?;
        account(&row)
    }

    /// The account of a subject at the login provider.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn account_of(&self, subject: &str) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(
            "select name, role, subject, disabled, created_at from account where subject = $1 and disabled = 0",
        )
        .bind(subject)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// Accounts after `after` by name.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, StoreError> {
        let rows = sqlx::query(
            "select name, role, subject, disabled, created_at from account where name > $1 order by name limit $2",
        )
        .bind(after)
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(account).collect()
    }

    /// Gives an account a token that counts for `days`.
    ///
    /// # Errors
    /// If there is no such account or the database does not answer.
    pub async fn give_token(
        &self,
        name: &str,
        label: &str,
        days: i64,
        by: &str,
        at: Timestamp,
    ) -> Result<TokenSecret, StoreError> {
        self.account(name).await?;
        let (id, secret) = (uuid::Uuid::now_v7().simple().to_string(), random_text()?);
        let hash = tokio::task::block_in_place(|| hash(&secret))?;
        let expires_at = at + jiff::SignedDuration::from_hours(24 * days);
        let mut write = self.write().await?;
        sqlx::query("insert into token (id, account, label, hash, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)")
            .bind(&id)
            .bind(name)
            .bind(label)
            .bind(hash)
            .bind(at.to_string())
            .bind(expires_at.as_millisecond())
            .execute(&mut *write)
            .await?;
        let subject =
            json!({ "account": name, "token": id, "label": label, "expires_at": expires_at });
        Self::audit(&mut write, at, by, "token given", subject).await?;
        write.commit().await?;
        let token = format!("trib_{id}_{secret}");
        Ok(TokenSecret { id, token, expires_at: expires_at.to_string() })
    }

    /// Withdraws a token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or if the database does not answer.
    pub async fn withdraw_token(
        &self,
        name: &str,
        id: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let gone = sqlx::query("delete from token where id = $1 and account = $2")
            .bind(id)
            .bind(name)
            .execute(&mut *write)
            .await?;
        if gone.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "token", id: id.to_owned() });
        }
        let subject = json!({ "account": name, "token": id });
        Self::audit(&mut write, at, by, "token withdrawn", subject).await?;
        Ok(write.commit().await?)
    }

    /// The account that a token belongs to, if it counts. Slow by design; callers keep the answer for a while.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn account_by_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let Some((id, secret)) = token.strip_prefix("trib_").and_then(|rest| rest.split_once('_'))
        else {
            return Ok(None);
        };
        let row = sqlx::query("select account, hash from token where id = $1 and expires_at > $2")
            .bind(id)
            .bind(now.as_millisecond())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (name, kept, secret) =
            (row.get::<String, _>(0), row.get::<String, _>(1), secret.to_owned());
        let holds =
            tokio::task::spawn_blocking(move || verifies(&secret, &kept)).await.unwrap_or(false);
        if !holds {
            return Ok(None);
        }
        let account = self.account(&name).await?;
        Ok((!account.disabled).then_some(account))
    }

    /// Opens a browser session of `hours`; returns the cookie.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn open_session(
        &self,
        name: &str,
        hours: i64,
        at: Timestamp,
    ) -> Result<String, StoreError> {
        let cookie = random_text()?;
        let mut write = self.write().await?;
        sqlx::query("delete from session where expires_at <= $1")
            .bind(at.as_millisecond())
            .execute(&mut *write)
            .await?;
        sqlx::query("insert into session (id, account, expires_at) values ($1, $2, $3)")
            .bind(sha256(cookie.as_bytes()))
            .bind(name)
            .bind(at.as_millisecond() + hours * 3_600_000)
            .execute(&mut *write)
            .await?;
        Self::audit(&mut write, at, name, "logged in", json!({ "account": name })).await?;
        write.commit().await?;
        Ok(cookie)
    }

    /// The account of a session cookie.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn account_by_session(
        &self,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(
            "select a.name, a.role, a.subject, a.disabled, a.created_at from session s join account a on a.name = s.account
             where s.id = $1 and s.expires_at > $2 and a.disabled = 0",
        )
        .bind(sha256(cookie.as_bytes()))
        .bind(now.as_millisecond())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn close_session(&self, cookie: &str) -> Result<(), StoreError> {
        sqlx::query("delete from session where id = $1")
            .bind(sha256(cookie.as_bytes()))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Keeps a login that was begun at the provider.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn begin_login(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("delete from login where expires_at <= $1")
            .bind(now.as_millisecond())
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "insert into login (state, nonce, verifier, expires_at) values ($1, $2, $3, $4)",
        )
        .bind(state)
        .bind(nonce)
        .bind(verifier)
        .bind(now.as_millisecond() + 600_000)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Nonce and verifier of a login that was begun; each is given once.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn end_login(
        &self,
        state: &str,
        now: Timestamp,
    ) -> Result<Option<(String, String)>, StoreError> {
        let row = sqlx::query(
            "delete from login where state = $1 and expires_at > $2 returning nonce, verifier",
        )
        .bind(state)
        .bind(now.as_millisecond())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }
}

fn hash(secret: &str) -> Result<String, StoreError> {
    Argon2::default()
        .hash_password(secret.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| StoreError::Differs("the token cannot be hashed".into()))
}

fn verifies(secret: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_as_argon2id_and_holds_for_its_secret_alone() {
        let kept = hash("secret").unwrap();
        assert!(kept.starts_with("$argon2id$"), "{kept}");
        assert!(verifies("secret", &kept) && !verifies("secre", &kept) && !verifies("secret", "?"));
        assert_ne!(kept, hash("secret").unwrap());
    }

    #[test]
    fn a_role_may_do_what_those_before_it_may() {
        assert!(Role::Reader < Role::Analyst && Role::Analyst < Role::Steward);
        assert!(Role::Steward < Role::Administrator);
    }
}
