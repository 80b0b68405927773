//! Personal access tokens: random, shown once, accepted in a password's place until they expire or are dropped. Stored is a keyed digest.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Authenticated;
use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::model::Oid;
use crate::store::number;

/// What every token begins with, so that scanners of secrets know it.
pub const TOKEN_PREFIX: &str = "lkg_";
/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;
/// A token's last use is written at most this often.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// What is known of a token.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: Uuid,
    pub name: String,
    pub role: Oid,
    pub created: DateTime<Utc>,
    pub created_by: Oid,
    /// `None`: never.
    pub expires: Option<DateTime<Utc>>,
    pub last_used: Option<DateTime<Utc>>,
}

/// A new token; its text is stored nowhere.
pub struct NewToken {
    pub id: Uuid,
    pub text: Zeroizing<String>,
}

impl Catalog {
    /// CREATE TOKEN.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`] for another role than the own, [`CatalogError::Duplicate`], [`CatalogError::Unavailable`].
    pub async fn create_token(
        &self,
        principal: &Principal,
        role: Oid,
        name: &str,
        expires: Option<DateTime<Utc>>,
    ) -> Result<NewToken, CatalogError> {
        self.check_token_owner(principal, role)?;
        let mut random = Zeroizing::new([0_u8; TOKEN_BYTES]);
        aws_lc_rs::rand::fill(&mut random[..]).map_err(|_| CatalogError::internal("no random bytes"))?;
        let text = Zeroizing::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(&random[..])));
        let id = Uuid::new_v4();
        let mut transaction = self.store().begin_write().await?;
        let done = sqlx::query(
            "INSERT INTO tokens (token_id, name, role_oid, digest, created_us, created_by, expires_us) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (role_oid, name) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(name.to_owned())
        .bind(i64::from(role))
        .bind(self.token_digest(&text))
        .bind(Utc::now().timestamp_micros())
        .bind(i64::from(principal.current_role))
        .bind(expires.map(|expires| expires.timestamp_micros()))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(CatalogError::Duplicate { kind: ObjectKind::Token, name: name.to_owned() });
        }
        transaction.commit().await?;
        Ok(NewToken { id, text })
    }

    /// DROP TOKEN: it opens nothing from now on.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::Undefined`].
    pub async fn drop_token(&self, principal: &Principal, role: Oid, name: &str) -> Result<(), CatalogError> {
        self.check_token_owner(principal, role)?;
        let mut transaction = self.store().begin_write().await?;
        let done = sqlx::query("DELETE FROM tokens WHERE role_oid = $1 AND name = $2")
            .bind(i64::from(role))
            .bind(name.to_owned())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Err(CatalogError::Undefined { kind: ObjectKind::Token, name: name.to_owned() });
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The role's own tokens; everybody's for those who may change roles. Expired ones stay until they are dropped.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn tokens(&self, principal: &Principal) -> Result<Vec<Token>, CatalogError> {
        let sql =
            "SELECT token_id, name, role_oid, created_us, created_by, expires_us, last_used_us FROM tokens ORDER BY created_us, token_id";
        let rows = sqlx::query(sql).fetch_all(self.store().reads()).await?;
        let mut tokens = Vec::with_capacity(rows.len());
        for row in &rows {
            let role: Oid = number(row.try_get(2)?)?;
            if self.check_token_owner(principal, role).is_err() && role != principal.session_role {
                continue;
            }
            tokens.push(Token {
                id: row.try_get::<String, _>(0)?.parse().map_err(CatalogError::corrupted)?,
                name: row.try_get(1)?,
                role,
                created: time(row.try_get(3)?)?,
                created_by: number(row.try_get(4)?)?,
                expires: row.try_get::<Option<i64>, _>(5)?.map(time).transpose()?,
                last_used: row.try_get::<Option<i64>, _>(6)?.map(time).transpose()?,
            });
        }
        Ok(tokens)
    }

    /// Whether the text is a token of the role that still holds.
    pub(super) async fn verify_token(&self, role_name: &str, text: &str) -> Result<Option<Authenticated>, CatalogError> {
        let sql = "SELECT tokens.token_id, tokens.role_oid, tokens.expires_us, tokens.last_used_us, roles.name, roles.login \
                   FROM tokens JOIN roles ON roles.oid = tokens.role_oid WHERE tokens.digest = $1";
        let row = sqlx::query(sql).bind(self.token_digest(text)).fetch_optional(self.store().reads()).await?;
        let Some(row) = row else { return Ok(None) };
        let (name, login): (String, i64) = (row.try_get(4)?, row.try_get(5)?);
        let now = Utc::now().timestamp_micros();
        let expired = row.try_get::<Option<i64>, _>(2)?.is_some_and(|expires| expires <= now);
        if name != role_name || login == 0 || expired {
            return Ok(None);
        }
        let used: Option<i64> = row.try_get(3)?;
        let noted = i64::try_from(USE_NOTED_EVERY.as_micros()).unwrap_or(i64::MAX);
        if used.is_none_or(|used| now - used > noted) {
            self.note_use(row.try_get(0)?, now).await;
        }
        Ok(Some(Authenticated { role: number(row.try_get(1)?)?, name, method: Some("token") }))
    }

    /// A login does not fail for it.
    async fn note_use(&self, id: String, now: i64) {
        let noted = async {
            let mut transaction = self.store().begin_write().await?;
            sqlx::query("UPDATE tokens SET last_used_us = $1 WHERE token_id = $2").bind(now).bind(id).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok::<(), CatalogError>(())
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "a token's use could not be noted");
        }
    }

    fn token_digest(&self, text: &str) -> Vec<u8> {
        let key: &Arc<_> = self.keyring().auth();
        key.derive("token", text.as_bytes()).to_vec()
    }

    /// One's own, or those of roles that one may alter.
    fn check_token_owner(&self, principal: &Principal, role: Oid) -> Result<(), CatalogError> {
        let snapshot = self.snapshot();
        let missing = || CatalogError::Undefined { kind: ObjectKind::Role, name: format!("OID {role}") };
        let target = snapshot.role(role).ok_or_else(missing)?;
        let me = snapshot.role(principal.current_role).ok_or_else(missing)?;
        if role == me.oid || me.superuser || me.create_role && !target.superuser && role >= crate::model::FIRST_NORMAL_OID {
            return Ok(());
        }
        Err(CatalogError::forbidden(format!("permission denied for tokens of role \"{}\"", target.name)))
    }
}

fn time(micros: i64) -> Result<DateTime<Utc>, CatalogError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| CatalogError::corrupted("a token's time"))
}
