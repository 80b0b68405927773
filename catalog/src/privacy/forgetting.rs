//! What other processes on the catalog have in memory of tables from which people were erased: they are asked to drop it, and say when they have.

use chrono::Utc;
use sqlx::Row as _;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::readers::GONE_AFTER;

/// A wish of another process: what is to be dropped, and for which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToForget {
    pub request: String,
    pub location: String,
}

impl Catalog {
    /// Asks all others that are alive.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn ask_to_forget(&self, request: Uuid, locations: &[&str]) -> Result<(), CatalogError> {
        if self.is_sole_process() {
            return Ok(());
        }
        let mut transaction = self.store().begin_write().await?;
        for location in locations {
            sqlx::query(
                "INSERT INTO forgetting (request_id, process, location) \
                 SELECT $1, process, $2 FROM readers WHERE process <> $3 AND told_us > $4 ON CONFLICT DO NOTHING",
            )
            .bind(request.to_string())
            .bind(*location)
            .bind(self.process().to_string())
            .bind(alive_since()?)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// How many of those that were asked are alive and have not said that they are done.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn still_remembering(&self, request: Uuid) -> Result<u64, CatalogError> {
        if self.is_sole_process() {
            return Ok(0);
        }
        let sql = "SELECT COUNT(DISTINCT process) FROM forgetting WHERE request_id = $1 \
             AND process IN (SELECT process FROM readers WHERE told_us > $2)";
        let count: i64 = sqlx::query_scalar(sql).bind(request.to_string()).bind(alive_since()?).fetch_one(self.store().reads()).await?;
        crate::store::number(count)
    }

    /// What this process is asked to drop.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn to_forget(&self) -> Result<Vec<ToForget>, CatalogError> {
        let rows = sqlx::query("SELECT request_id, location FROM forgetting WHERE process = $1")
            .bind(self.process().to_string())
            .fetch_all(self.store().reads())
            .await?;
        rows.iter().map(|row| Ok(ToForget { request: row.try_get(0)?, location: row.try_get(1)? })).collect()
    }

    /// This process has dropped it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn has_forgotten(&self, dropped: &ToForget) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM forgetting WHERE request_id = $1 AND process = $2 AND location = $3")
            .bind(dropped.request.clone())
            .bind(self.process().to_string())
            .bind(dropped.location.clone())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whoever has not answered is gone, and what it had in memory with it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn all_have_forgotten(&self, request: Uuid) -> Result<(), CatalogError> {
        if self.is_sole_process() {
            return Ok(());
        }
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM forgetting WHERE request_id = $1").bind(request.to_string()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}

fn alive_since() -> Result<i64, CatalogError> {
    let alive = i64::try_from(GONE_AFTER.as_micros()).map_err(CatalogError::internal)?;
    Ok(Utc::now().timestamp_micros().saturating_sub(alive))
}
