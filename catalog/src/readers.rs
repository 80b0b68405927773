//! Who may still read files that are no longer part of a table: each process tells from time to time when its oldest reader began.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::catalog::Catalog;
use crate::error::CatalogError;

/// How often a process tells.
pub const TELL_EVERY: Duration = Duration::from_secs(5);

/// A process that has told nothing for so long is gone.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(60);

impl Catalog {
    /// Tells other processes when the oldest reader of this one began; `None`: nobody reads now.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn tell_oldest_reader(&self, oldest: Option<DateTime<Utc>>) -> Result<(), CatalogError> {
        let now = Utc::now();
        // Whoever begins before the next time begins after now.
        let oldest = oldest.unwrap_or(now).min(now);
        let mut transaction = self.store().begin_write().await?;
        sqlx::query(
            "INSERT INTO readers (process, told_us, oldest_us) VALUES ($1, $2, $3) \
             ON CONFLICT (process) DO UPDATE SET told_us = excluded.told_us, oldest_us = excluded.oldest_us",
        )
        .bind(self.process().to_string())
        .bind(now.timestamp_micros())
        .bind(oldest.timestamp_micros())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Statements of processes that have been silent for long become LOST. Gives their number.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::LogUnavailable`].
    pub async fn end_lost_statements(&self) -> Result<usize, CatalogError> {
        if self.is_sole_process() {
            return Ok(0);
        }
        let silent = Utc::now().timestamp_micros().saturating_sub(i64::try_from(GONE_AFTER.as_micros()).map_err(CatalogError::internal)?);
        let sql = "SELECT statement_id FROM statements WHERE execution_status = 'RUNNING' AND start_time < $1 AND process <> $2 \
             AND process NOT IN (SELECT process FROM readers WHERE told_us > $1) ORDER BY statement_id LIMIT 10000";
        let lost: Vec<String> =
            sqlx::query_scalar(sql).bind(silent).bind(self.process().to_string()).fetch_all(self.store().reads()).await?;
        for id in &lost {
            self.log_lost(id.parse().map_err(CatalogError::corrupted)?).await?;
        }
        Ok(lost.len())
    }

    /// This process reads no more.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn forget_reader(&self) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM readers WHERE process = $1").bind(self.process().to_string()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// When the oldest reader of any other process began.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn oldest_reader_elsewhere(&self) -> Result<Option<DateTime<Utc>>, CatalogError> {
        if self.is_sole_process() {
            return Ok(None);
        }
        let alive = i64::try_from(GONE_AFTER.as_micros()).map_err(CatalogError::internal)?;
        let oldest: Option<i64> = sqlx::query_scalar("SELECT MIN(oldest_us) FROM readers WHERE process <> $1 AND told_us > $2")
            .bind(self.process().to_string())
            .bind(Utc::now().timestamp_micros().saturating_sub(alive))
            .fetch_one(self.store().reads())
            .await?;
        Ok(oldest.and_then(DateTime::from_timestamp_micros))
    }
}
