//! Work that one process does for all that share the catalog: whoever holds a lease of its name does it.

use std::time::Duration;

use chrono::Utc;

use crate::catalog::Catalog;
use crate::error::CatalogError;

impl Catalog {
    /// Takes the lease for a time, or lengthens it where this process holds it. False: another process holds it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn take_lease(&self, name: &str, time: Duration) -> Result<bool, CatalogError> {
        if self.is_sole_process() {
            return Ok(true);
        }
        let time = i64::try_from(time.as_micros()).map_err(CatalogError::internal)?;
        let now = Utc::now().timestamp_micros();
        let mut transaction = self.store().begin_write().await?;
        let taken = sqlx::query(
            "INSERT INTO leases (name, holder, until_us) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_us = excluded.until_us \
             WHERE leases.holder = excluded.holder OR leases.until_us < $4",
        )
        .bind(name)
        .bind(self.process().to_string())
        .bind(now.saturating_add(time))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        // Those of tables that are gone.
        sqlx::query("DELETE FROM leases WHERE until_us < $1").bind(now).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives it back; nothing where another process holds it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn give_back_lease(&self, name: &str) -> Result<(), CatalogError> {
        if self.is_sole_process() {
            return Ok(());
        }
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(name)
            .bind(self.process().to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}
