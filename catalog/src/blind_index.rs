//! The blind index: which statements held a literal, by a keyed token of it, so that equality can be asked for without opening a text. Off
//! unless an administrator turns it on; turned off, its key and all that it made are gone.

use std::sync::{Arc, PoisonError, RwLock};

use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::keyring::DataKey;
use crate::model::READ_HISTORY_OID;
use crate::store::Store;

/// Bytes of a token.
const TOKEN_BYTES: usize = 16;
/// Statements that a search gives, the newest.
const FOUND_MAX: i64 = 100_000;
/// Tokens in one INSERT.
const CHUNK: usize = 100;

/// The key while the index is on.
#[derive(Debug, Default)]
pub(crate) struct BlindIndex(RwLock<Option<Arc<DataKey>>>);

impl BlindIndex {
    pub(crate) fn key(&self) -> Option<Arc<DataKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, key: Option<Arc<DataKey>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

pub(crate) fn token(key: &DataKey, literal: &str) -> Vec<u8> {
    key.derive("literal", literal.as_bytes()).into_iter().take(TOKEN_BYTES).collect()
}

/// The key that the catalog names, if any.
pub(crate) async fn stored_key_id(store: &Store) -> Result<Option<String>, CatalogError> {
    Ok(sqlx::query_scalar("SELECT key_id FROM blind_index WHERE id = 1").fetch_optional(store.reads()).await?)
}

pub(crate) async fn write(connection: &mut AnyConnection, statement: &str, tokens: &[Vec<u8>]) -> Result<(), sqlx::Error> {
    for chunk in tokens.chunks(CHUNK) {
        let places: Vec<String> = (0..chunk.len()).map(|at| format!("(${}, $1)", at + 2)).collect();
        let sql = format!("INSERT INTO statement_literals (token, statement_id) VALUES {} ON CONFLICT DO NOTHING", places.join(", "));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(statement.to_owned());
        chunk.iter().fold(query, |query, token| query.bind(token.clone())).execute(&mut *connection).await?;
    }
    Ok(())
}

impl Catalog {
    /// Whether literals of statements are indexed now.
    #[must_use]
    pub fn is_blind_index_on(&self) -> bool {
        self.blind_index().key().is_some()
    }

    /// Statements from now on are indexed; or none are, the key is destroyed and what was indexed is deleted. Gives whether that changed
    /// anything.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`] for all but superusers; [`CatalogError::Unavailable`].
    pub async fn set_blind_index(&self, principal: &Principal, on: bool) -> Result<bool, CatalogError> {
        if !self.snapshot().is_superuser(principal.current_role) {
            return Err(CatalogError::forbidden("must be superuser to turn the blind index on or off"));
        }
        let was_on = stored_key_id(self.store()).await?.is_some();
        match on {
            true => {
                let key = self.keyring().blind().await?;
                let mut write = self.store().begin_write().await?;
                sqlx::query("INSERT INTO blind_index (id, key_id, since_us) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING")
                    .bind(key.id().to_owned())
                    .bind(chrono::Utc::now().timestamp_micros())
                    .execute(&mut *write)
                    .await?;
                tell_others(&mut write).await?;
                write.commit().await?;
                self.blind_index().set(Some(key));
            }
            false => {
                // Nothing more is written with the key by this process; what others write meanwhile is meaningless without it.
                self.blind_index().set(None);
                self.log().flush().await?;
                self.store().destroy_blind_index().await?;
                self.keyring().forget();
            }
        }
        Ok(was_on != on)
    }

    /// Follows what another process has turned on or off.
    pub(crate) async fn follow_blind_index(&self) -> Result<(), CatalogError> {
        let stored = stored_key_id(self.store()).await?;
        let known = self.blind_index().key();
        if stored.as_deref() == known.as_ref().map(|key| key.id()) {
            return Ok(());
        }
        let key = match stored {
            None => None,
            Some(id) => match self.keyring().by_id(&id).await {
                Err(CatalogError::KeyDestroyed) => None,
                key => Some(key?),
            },
        };
        self.blind_index().set(key);
        Ok(())
    }

    /// The statements that held the literal, or were given it as a parameter, while the index was on: newest first.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`] for all who may not open texts; [`CatalogError::InvalidParameter`] where the index is off.
    pub async fn statements_with_literal(&self, principal: &Principal, literal: &str) -> Result<Vec<Uuid>, CatalogError> {
        if !self.snapshot().has_privileges_of(principal.current_role, READ_HISTORY_OID) {
            return Err(CatalogError::forbidden("must be superuser or a member of lakegate_read_history to search the blind index"));
        }
        let key = self.blind_index().key().ok_or_else(|| CatalogError::parameter("the blind index is off"))?;
        self.log().flush().await?;
        let sql = "SELECT statement_id FROM statement_literals WHERE token = $1 ORDER BY statement_id DESC LIMIT $2";
        let rows = sqlx::query(sql).bind(token(&key, literal)).bind(FOUND_MAX).fetch_all(self.store().reads()).await?;
        rows.iter().map(|row| row.try_get::<String, _>(0)?.parse().map_err(CatalogError::corrupted)).collect()
    }

    /// Takes the literals out of the index; gives how many entries there were.
    pub(crate) async fn erase_literals(&self, literals: &[String]) -> Result<u64, CatalogError> {
        let Some(key) = self.blind_index().key() else { return Ok(0) };
        let mut write = self.store().begin_write().await?;
        let mut count = 0;
        for literal in literals {
            let sql = "DELETE FROM statement_literals WHERE token = $1";
            count += sqlx::query(sql).bind(token(&key, literal)).execute(&mut *write).await?.rows_affected();
        }
        write.commit().await?;
        Ok(count)
    }

    /// How many entries of the index are of these literals.
    pub(crate) async fn indexed_literals(&self, literals: &[String]) -> Result<u64, CatalogError> {
        let Some(key) = self.blind_index().key() else { return Ok(0) };
        let mut count = 0;
        for literal in literals {
            let sql = "SELECT COUNT(*) FROM statement_literals WHERE token = $1";
            let found: i64 = sqlx::query_scalar(sql).bind(token(&key, literal)).fetch_one(self.store().reads()).await?;
            count += u64::try_from(found).unwrap_or(0);
        }
        Ok(count)
    }
}

/// Other processes look again.
async fn tell_others(connection: &mut AnyConnection) -> Result<(), CatalogError> {
    sqlx::query("UPDATE catalog_state SET version = version + 1 WHERE id = 1").execute(connection).await?;
    Ok(())
}
