//! Requests and their steps.

use std::time::Duration;

use chrono::{DateTime, Months, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::keyring::Cell;
use crate::model::Oid;
use crate::statement_log::time;
use crate::store::number;

/// A process that has not been heard of for so long has given up what it was at.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// Columns of a table and the values by which rows belong to the subjects.
pub type StepKeys = Vec<(String, Vec<String>)>;

#[derive(Debug, Clone)]
pub struct NewRequest {
    pub kind: String,
    pub identifiers: Vec<String>,
    /// `erase`, `export`.
    pub action: String,
    pub state: String,
    pub requested_by: Oid,
    pub requested_by_name: String,
    /// What the requester wrote, or where files were written to.
    pub detail: serde_json::Value,
}

#[derive(Debug, Clone)]
pub struct PrivacyRequest {
    pub id: Uuid,
    pub kind: String,
    pub digests: Vec<String>,
    pub action: String,
    pub state: String,
    pub tables_done: u64,
    pub tables_total: u64,
    pub requested_by: Oid,
    pub requested_by_name: String,
    pub requested_time: DateTime<Utc>,
    pub deadline: DateTime<Utc>,
    pub finished_time: Option<DateTime<Utc>>,
    pub progress: serde_json::Value,
    pub detail: serde_json::Value,
}

/// One table's part of an erasure.
#[derive(Debug, Clone)]
pub struct PrivacyStep {
    pub ordinal: u32,
    pub table: String,
    pub location: String,
    pub state: String,
    pub report: serde_json::Value,
    /// Gone once the request is finished.
    pub keys: StepKeys,
}

#[derive(Serialize, Deserialize)]
struct SealedSubject {
    identifiers: Vec<String>,
    /// Other identifiers of the same people, found in their rows.
    aliases: Vec<String>,
}

const COLUMNS: &str = "request_id, subject_kind, subject_digest, action, state, tables_done, tables_total, requested_by_oid, requested_by, \
     requested_us, deadline_us, finished_us, progress, sealed_detail";

impl Catalog {
    /// Durable on return.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn open_privacy_request(&self, new: NewRequest) -> Result<Uuid, CatalogError> {
        let id = Uuid::now_v7();
        let now = Utc::now();
        let deadline = now.checked_add_months(Months::new(1)).unwrap_or(now);
        let digests: Vec<String> = new.identifiers.iter().map(|identifier| self.subject_digest(&new.kind, identifier)).collect();
        let subject = SealedSubject { identifiers: new.identifiers, aliases: Vec::new() };
        let (subject, detail) = (self.seal(id, "sealed_subject", &subject)?, self.seal(id, "sealed_detail", &new.detail)?);
        let mut transaction = self.store().begin_write().await?;
        sqlx::query(
            "INSERT INTO privacy_requests (request_id, subject_kind, subject_digest, action, state, tables_done, tables_total, \
             requested_by_oid, requested_by, requested_us, deadline_us, progress, sealed_subject, sealed_detail) \
             VALUES ($1, $2, $3, $4, $5, 0, 0, $6, $7, $8, $9, '{}', $10, $11)",
        )
        .bind(id.to_string())
        .bind(new.kind)
        .bind(digests.join(","))
        .bind(new.action)
        .bind(new.state)
        .bind(i64::from(new.requested_by))
        .bind(new.requested_by_name)
        .bind(now.timestamp_micros())
        .bind(deadline.timestamp_micros())
        .bind(subject)
        .bind(detail)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Newest first.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`].
    pub async fn privacy_requests(&self) -> Result<Vec<PrivacyRequest>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM privacy_requests ORDER BY requested_us DESC, request_id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(self.store().reads()).await?;
        rows.iter().map(|row| self.request(row)).collect()
    }

    /// # Errors
    /// As [`Catalog::privacy_requests`].
    pub async fn privacy_request(&self, id: Uuid) -> Result<Option<PrivacyRequest>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM privacy_requests WHERE request_id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(self.store().reads()).await?;
        row.as_ref().map(|row| self.request(row)).transpose()
    }

    fn request(&self, row: &AnyRow) -> Result<PrivacyRequest, CatalogError> {
        let id = Uuid::parse_str(&row.try_get::<String, _>(0)?).map_err(CatalogError::corrupted)?;
        let digests: String = row.try_get(2)?;
        let progress: String = row.try_get(12)?;
        Ok(PrivacyRequest {
            id,
            kind: row.try_get(1)?,
            digests: digests.split(',').map(str::to_owned).collect(),
            action: row.try_get(3)?,
            state: row.try_get(4)?,
            tables_done: number(row.try_get(5)?)?,
            tables_total: number(row.try_get(6)?)?,
            requested_by: number(row.try_get(7)?)?,
            requested_by_name: row.try_get(8)?,
            requested_time: time(row.try_get(9)?)?,
            deadline: time(row.try_get(10)?)?,
            finished_time: row.try_get::<Option<i64>, _>(11)?.map(time).transpose()?,
            progress: serde_json::from_str(&progress).map_err(CatalogError::corrupted)?,
            detail: self.unseal(id, "sealed_detail", &row.try_get::<Vec<u8>, _>(13)?)?,
        })
    }

    /// Identifiers and aliases; `None` once the request is finished.
    ///
    /// # Errors
    /// As [`Catalog::privacy_requests`].
    pub async fn privacy_subjects(&self, id: Uuid) -> Result<Option<(Vec<String>, Vec<String>)>, CatalogError> {
        let sealed: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT sealed_subject FROM privacy_requests WHERE request_id = $1")
            .bind(id.to_string())
            .fetch_optional(self.store().reads())
            .await?;
        let Some(sealed) = sealed.flatten() else { return Ok(None) };
        let subject: SealedSubject = self.unseal(id, "sealed_subject", &sealed)?;
        Ok(Some((subject.identifiers, subject.aliases)))
    }

    /// Makes this process the one that works on the request. `false`: another one does.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn claim_privacy_request(&self, id: Uuid) -> Result<bool, CatalogError> {
        let alive = i64::try_from(GONE_AFTER.as_micros()).map_err(CatalogError::internal)?;
        let since = if self.is_sole_process() { i64::MAX } else { Utc::now().timestamp_micros().saturating_sub(alive) };
        let mut transaction = self.store().begin_write().await?;
        let claimed = sqlx::query(
            "UPDATE privacy_requests SET owner = $2 WHERE request_id = $1 AND finished_us IS NULL AND (owner IS NULL OR owner = $2 \
             OR owner NOT IN (SELECT process FROM readers WHERE told_us > $3))",
        )
        .bind(id.to_string())
        .bind(self.process().to_string())
        .bind(since)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(claimed.rows_affected() == 1)
    }

    /// This process does not work on it any more.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn release_privacy_request(&self, id: Uuid) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("UPDATE privacy_requests SET owner = NULL WHERE request_id = $1 AND owner = $2")
            .bind(id.to_string())
            .bind(self.process().to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What is to be done, table by table, all or nothing; what was planned before is replaced.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn plan_privacy_request(&self, id: Uuid, aliases: &[String], steps: &[PrivacyStep]) -> Result<(), CatalogError> {
        let Some((identifiers, _)) = self.privacy_subjects(id).await? else {
            return Err(CatalogError::internal("a finished request is planned"));
        };
        let subject = self.seal(id, "sealed_subject", &SealedSubject { identifiers, aliases: aliases.to_vec() })?;
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM privacy_steps WHERE request_id = $1").bind(id.to_string()).execute(&mut *transaction).await?;
        for step in steps {
            sqlx::query(
                "INSERT INTO privacy_steps (request_id, ordinal, table_name, location, state, report, sealed_keys) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(id.to_string())
            .bind(i64::from(step.ordinal))
            .bind(step.table.clone())
            .bind(step.location.clone())
            .bind(step.state.clone())
            .bind(step.report.to_string())
            .bind(self.seal(id, "sealed_keys", &step.keys)?)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("UPDATE privacy_requests SET sealed_subject = $2, tables_total = $3, state = 'rewriting' WHERE request_id = $1")
            .bind(id.to_string())
            .bind(subject)
            .bind(i64::try_from(steps.len()).map_err(CatalogError::internal)?)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// In their order.
    ///
    /// # Errors
    /// As [`Catalog::privacy_requests`].
    pub async fn privacy_steps(&self, id: Uuid) -> Result<Vec<PrivacyStep>, CatalogError> {
        let rows = sqlx::query(
            "SELECT ordinal, table_name, location, state, report, sealed_keys FROM privacy_steps WHERE request_id = $1 ORDER BY ordinal",
        )
        .bind(id.to_string())
        .fetch_all(self.store().reads())
        .await?;
        rows.iter()
            .map(|row| {
                let report: String = row.try_get(4)?;
                let keys = row.try_get::<Option<Vec<u8>>, _>(5)?;
                Ok(PrivacyStep {
                    ordinal: number(row.try_get(0)?)?,
                    table: row.try_get(1)?,
                    location: row.try_get(2)?,
                    state: row.try_get(3)?,
                    report: serde_json::from_str(&report).map_err(CatalogError::corrupted)?,
                    keys: keys.map(|sealed| self.unseal(id, "sealed_keys", &sealed)).transpose()?.unwrap_or_default(),
                })
            })
            .collect()
    }

    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn set_privacy_step(&self, id: Uuid, step: &PrivacyStep) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("UPDATE privacy_steps SET state = $3, report = $4 WHERE request_id = $1 AND ordinal = $2")
            .bind(id.to_string())
            .bind(i64::from(step.ordinal))
            .bind(step.state.clone())
            .bind(step.report.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "UPDATE privacy_requests SET tables_done = (SELECT COUNT(*) FROM privacy_steps WHERE request_id = $1 AND state = 'purged') \
             WHERE request_id = $1",
        )
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn set_privacy_state(&self, id: Uuid, state: &str, progress: &serde_json::Value) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("UPDATE privacy_requests SET state = $2, progress = $3 WHERE request_id = $1")
            .bind(id.to_string())
            .bind(state.to_owned())
            .bind(progress.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// It is over, and whom it was about is not known here any more.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn finish_privacy_request(&self, id: Uuid, state: &str) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("UPDATE privacy_steps SET sealed_keys = NULL WHERE request_id = $1")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE privacy_requests SET state = $2, finished_us = $3, owner = NULL, sealed_subject = NULL WHERE request_id = $1")
            .bind(id.to_string())
            .bind(state.to_owned())
            .bind(Utc::now().timestamp_micros())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    fn seal<T: Serialize>(&self, id: Uuid, column: &str, value: &T) -> Result<Vec<u8>, CatalogError> {
        let plain = Zeroizing::new(serde_json::to_vec(value).map_err(CatalogError::internal)?);
        let id = id.to_string();
        self.keyring().auth().seal(cell(column, &id), &plain)
    }

    fn unseal<T: serde::de::DeserializeOwned>(&self, id: Uuid, column: &str, sealed: &[u8]) -> Result<T, CatalogError> {
        let id = id.to_string();
        let plain = self.keyring().auth().open(cell(column, &id), sealed)?;
        serde_json::from_slice(&plain).map_err(|_| CatalogError::corrupted("a request of a data subject"))
    }
}

fn cell<'a>(column: &'a str, id: &'a str) -> Cell<'a> {
    Cell { table: "privacy_requests", column, id, role: 0, time: 0 }
}
