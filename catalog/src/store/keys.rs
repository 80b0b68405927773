//! Rows of wrapped data keys.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Backend, Store};
use crate::error::CatalogError;
use crate::keyring::WrappedKey;

impl Store {
    pub(crate) async fn key_for(&self, purpose: &str, day: &str) -> Result<Option<WrappedKey>, CatalogError> {
        let mut transaction = self.begin_read().await?;
        let row = sqlx::query("SELECT key_id, purpose, key_day, wrapped FROM data_keys WHERE purpose = $1 AND key_day = $2")
            .bind(purpose.to_owned())
            .bind(day.to_owned())
            .fetch_optional(&mut *transaction)
            .await?;
        row.as_ref().map(wrapped_key).transpose()
    }

    pub(crate) async fn key_by_id(&self, id: &str) -> Result<Option<WrappedKey>, CatalogError> {
        let mut read = self.reads().acquire().await?;
        key_by_id(&mut read, id).await
    }

    /// Leaves the key that another process stored first.
    pub(crate) async fn insert_key(&self, key: &WrappedKey) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO data_keys (key_id, purpose, key_day, wrapped) VALUES ($1, $2, $3, $4) ON CONFLICT (purpose, key_day) DO NOTHING",
        )
        .bind(key.id.clone())
        .bind(key.purpose.clone())
        .bind(key.day.clone())
        .bind(key.wrapped.clone())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Replaces every wrapped key by what `rewrap` makes of it, all or none. Gives their number.
    pub(crate) async fn rewrap_keys(&self, rewrap: impl Fn(&WrappedKey) -> Result<Vec<u8>, CatalogError>) -> Result<u64, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let rows = sqlx::query("SELECT key_id, purpose, key_day, wrapped FROM data_keys").fetch_all(&mut *transaction).await?;
        let mut count = 0;
        for row in &rows {
            let key = wrapped_key(row)?;
            if key.wrapped.is_empty() {
                continue;
            }
            sqlx::query("UPDATE data_keys SET wrapped = $1 WHERE key_id = $2")
                .bind(rewrap(&key)?)
                .bind(key.id)
                .execute(&mut *transaction)
                .await?;
            count += 1;
        }
        transaction.commit().await?;
        Ok(count)
    }
}

impl Store {
    /// What was wrapped is overwritten; the rows stay, so that what they sealed says why it does not open.
    pub(crate) async fn destroy_keys(&self, purpose: Option<&str>, day: Option<&str>) -> Result<u64, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let done = sqlx::query(
            "UPDATE data_keys SET wrapped = $1, purpose = 'destroyed:' || key_id \
             WHERE purpose LIKE $2 AND (purpose = $3 OR $3 = '') AND (key_day = $4 OR $4 = '')",
        )
        .bind(Vec::<u8>::new())
        .bind(format!("{}%", crate::keyring::LOG))
        .bind(purpose.unwrap_or_default().to_owned())
        .bind(day.unwrap_or_default().to_owned())
        .execute(&mut *transaction)
        .await?;
        // Equality with a literal must not be answered where the text is gone.
        sqlx::query(
            "DELETE FROM statement_literals WHERE statement_id IN (SELECT s.statement_id FROM statements s \
             JOIN data_keys k ON k.key_id = s.key_id WHERE k.purpose LIKE 'destroyed:%' \
             UNION ALL SELECT f.statement_id FROM flushed_statements f \
             JOIN data_keys k ON k.key_id = f.key_id WHERE k.purpose LIKE 'destroyed:%')",
        )
        .execute(&mut *transaction)
        .await?;
        // Other processes look again.
        sqlx::query("UPDATE catalog_state SET version = version + 1 WHERE id = 1").execute(&mut *transaction).await?;
        transaction.commit().await?;
        self.sweep_keys().await;
        Ok(done.rows_affected())
    }

    /// The key of the blind index is overwritten, and what it made deleted.
    pub(crate) async fn destroy_blind_index(&self) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("UPDATE data_keys SET wrapped = $1, purpose = 'destroyed:' || key_id WHERE purpose = $2")
            .bind(Vec::<u8>::new())
            .bind(crate::keyring::BLIND.to_owned())
            .execute(&mut *transaction)
            .await?;
        for sql in
            ["DELETE FROM statement_literals", "DELETE FROM blind_index", "UPDATE catalog_state SET version = version + 1 WHERE id = 1"]
        {
            sqlx::query(sql).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.sweep_keys().await;
        Ok(())
    }

    /// What was there before is not to be found in the database's files.
    async fn sweep_keys(&self) {
        let sql = match self.backend() {
            Backend::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
            Backend::Postgres => "VACUUM data_keys",
        };
        if let Err(error) = sqlx::query(sql).fetch_optional(self.reads()).await {
            tracing::warn!(%error, "destroyed keys may stay in the database's files for a while");
        }
    }
}

/// # Errors
/// [`CatalogError::Unavailable`].
pub(crate) async fn key_by_id(connection: &mut sqlx::AnyConnection, id: &str) -> Result<Option<WrappedKey>, CatalogError> {
    let row = sqlx::query("SELECT key_id, purpose, key_day, wrapped FROM data_keys WHERE key_id = $1")
        .bind(id.to_owned())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(wrapped_key).transpose()
}

fn wrapped_key(row: &AnyRow) -> Result<WrappedKey, CatalogError> {
    Ok(WrappedKey { id: row.try_get(0)?, purpose: row.try_get(1)?, day: row.try_get(2)?, wrapped: row.try_get(3)? })
}
