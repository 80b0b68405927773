//! Records of commits that concern several tables, or tables and the catalog: made before the first table's log is touched, gone in the
//! transaction that stores what the catalog has of the commit. A record that stays behind says what has to be undone.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::CatalogError;

/// A version of a table that is part of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntendedCommit {
    /// Root URL of the table.
    pub location: String,
    pub version: u64,
    /// Stands in the commit.
    pub commit_id: String,
}

/// A commit that was begun and not decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    pub id: Uuid,
    pub commits: Vec<IntendedCommit>,
}

impl Catalog {
    /// Durable on return. Again with other versions while nothing is decided.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] where another process has given it up; [`CatalogError::Unavailable`].
    pub async fn record_intent(&self, id: Uuid, commits: &[IntendedCommit]) -> Result<(), CatalogError> {
        let tables = serde_json::to_string(commits).map_err(CatalogError::internal)?;
        let mut transaction = self.store().begin_write().await?;
        let written = sqlx::query(
            "INSERT INTO commit_intents (intent_id, created_us, state, tables) VALUES ($1, $2, 'pending', $3) \
             ON CONFLICT (intent_id) DO UPDATE SET tables = excluded.tables WHERE commit_intents.state = 'pending'",
        )
        .bind(id.to_string())
        .bind(Utc::now().timestamp_micros())
        .bind(tables)
        .execute(&mut *transaction)
        .await?;
        if written.rows_affected() != 1 {
            return Err(CatalogError::Conflict);
        }
        self.tell_others(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether the commit stands, once and for all: where it was not decided, it will not be.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`]: nobody knows yet.
    pub async fn settle_intent(&self, id: Uuid) -> Result<bool, CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        let open = sqlx::query("UPDATE commit_intents SET state = 'abandoned' WHERE intent_id = $1")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(open.rows_affected() == 0)
    }

    /// What was begun is undone.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn forget_intent(&self, id: Uuid) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM commit_intents WHERE intent_id = $1").bind(id.to_string()).execute(&mut *transaction).await?;
        self.tell_others(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Intents older than `age`: their process is gone, or will find that they were given up.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn take_over_intents(&self, age: Duration) -> Result<Vec<Intent>, CatalogError> {
        let age = i64::try_from(age.as_micros()).map_err(CatalogError::internal)?;
        let before = Utc::now().timestamp_micros().saturating_sub(age);
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM commit_intents WHERE created_us <= $1 LIMIT 1")
            .bind(before)
            .fetch_optional(self.store().reads())
            .await?;
        if found.is_none() {
            return Ok(Vec::new());
        }
        let mut transaction = self.store().begin_write().await?;
        let sql = "UPDATE commit_intents SET state = 'abandoned' WHERE created_us <= $1 RETURNING intent_id, tables";
        let rows = sqlx::query(sql).bind(before).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        rows.iter()
            .map(|row| {
                let (id, tables): (String, String) = (row.try_get(0)?, row.try_get(1)?);
                let id = Uuid::parse_str(&id).map_err(CatalogError::corrupted)?;
                Ok(Intent { id, commits: serde_json::from_str(&tables).map_err(CatalogError::corrupted)? })
            })
            .collect()
    }

    /// Other processes look at the version to learn that something has changed.
    async fn tell_others(&self, transaction: &mut AnyConnection) -> Result<(), CatalogError> {
        if !self.is_sole_process() {
            sqlx::query("UPDATE catalog_state SET version = version + 1 WHERE id = 1").execute(transaction).await?;
        }
        Ok(())
    }
}

/// Root URLs of tables that a commit of several is changing now.
pub(crate) async fn intended(connection: &mut AnyConnection) -> Result<BTreeSet<String>, CatalogError> {
    let mut locations = BTreeSet::new();
    for row in sqlx::query("SELECT tables FROM commit_intents").fetch_all(connection).await? {
        let tables: String = row.try_get(0)?;
        let commits: Vec<IntendedCommit> = serde_json::from_str(&tables).map_err(CatalogError::corrupted)?;
        locations.extend(commits.into_iter().map(|commit| commit.location));
    }
    Ok(locations)
}

/// Tables that became visible together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitGroup {
    pub decided: DateTime<Utc>,
    pub commits: Vec<IntendedCommit>,
}

/// The groups that a transaction of some process may have read a part of.
pub(crate) async fn groups(connection: &mut AnyConnection) -> Result<Vec<CommitGroup>, CatalogError> {
    let rows = sqlx::query("SELECT decided_us, tables FROM commit_groups ORDER BY decided_us").fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let (decided, tables): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let decided = DateTime::from_timestamp_micros(decided).unwrap_or_default();
            Ok(CommitGroup { decided, commits: serde_json::from_str(&tables).map_err(CatalogError::corrupted)? })
        })
        .collect()
}

/// Clocks of processes may be so far apart.
pub const CLOCKS_APART: TimeDelta = TimeDelta::seconds(60);

/// Other processes learn of the group; those that nobody can have read a part of go.
async fn tell_group(connection: &mut AnyConnection, id: Uuid) -> Result<(), CatalogError> {
    let now = Utc::now().timestamp_micros();
    let apart = CLOCKS_APART.num_microseconds().unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO commit_groups (group_id, decided_us, tables) \
         SELECT intent_id, $1, tables FROM commit_intents WHERE intent_id = $2 AND state = 'pending'",
    )
    .bind(now)
    .bind(id.to_string())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM commit_groups WHERE decided_us < (SELECT MIN(oldest_us) FROM readers WHERE told_us > $1) - $2")
        .bind(now.saturating_sub(apart))
        .bind(apart)
        .execute(connection)
        .await?;
    Ok(())
}

/// The record goes: with the caller's transaction the commit stands. `is_shared`: there are other processes.
///
/// # Errors
/// [`CatalogError::Conflict`] where it was given up.
pub(crate) async fn decide(connection: &mut AnyConnection, id: Uuid, is_shared: bool) -> Result<(), CatalogError> {
    if is_shared {
        tell_group(connection, id).await?;
    }
    let gone = sqlx::query("DELETE FROM commit_intents WHERE intent_id = $1 AND state = 'pending'")
        .bind(id.to_string())
        .execute(connection)
        .await?;
    if gone.rows_affected() == 1 { Ok(()) } else { Err(CatalogError::Conflict) }
}
