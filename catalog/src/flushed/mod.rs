//! Old records of the logs: their facets are in the data plane, as rows of Delta tables; what is sealed of them and what proves them stays
//! here. A record is in one of the two places at any time: the transaction that takes it from here also moves the version at which readers
//! open the Delta table.

mod open;

pub use open::{FlushedDetail, Opened, SealedPart};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::log_proof::record::{self, RecordKind};
use crate::log_proof::verify::values_from;
use crate::statement_log::{Value, time};
use crate::store::number;

/// One of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Log {
    Statements,
    Events,
}

/// A value as it is stored and hashed.
pub type LogValue = Value;

impl Log {
    pub const ALL: [Log; 2] = [Log::Statements, Log::Events];

    /// As [`flushed_logs`](Catalog::flushed_version) has it, and the folder of its table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Log::Statements => "statements",
            Log::Events => "audit_events",
        }
    }

    /// The kinds of records that a row holds.
    #[must_use]
    pub const fn kinds(self) -> &'static [RecordKind] {
        match self {
            Log::Statements => &[RecordKind::Start, RecordKind::End],
            Log::Events => &[RecordKind::Event],
        }
    }

    pub(crate) const fn flushed_table(self) -> &'static str {
        match self {
            Log::Statements => "flushed_statements",
            Log::Events => "flushed_events",
        }
    }

    pub(crate) const fn id(self) -> &'static str {
        match self {
            Log::Statements => "statement_id",
            Log::Events => "event_id",
        }
    }

    /// When the record begins.
    #[must_use]
    pub const fn time(self) -> &'static str {
        match self {
            Log::Statements => "start_time",
            Log::Events => "event_time",
        }
    }

    /// The columns of a row, in the order of [`FlushRow::values`]: all that is hashed of the record or records. The name comes first, once.
    #[must_use]
    pub fn columns(self) -> Vec<&'static str> {
        let of = |(at, kind): (usize, &RecordKind)| kind.columns().iter().copied().skip(usize::from(at > 0));
        self.kinds().iter().enumerate().flat_map(of).collect()
    }

    /// Records that are over: those of statements that run stay where they are.
    const fn is_over(self) -> &'static str {
        match self {
            Log::Statements => "execution_status <> 'RUNNING' AND",
            Log::Events => "",
        }
    }
}

/// A row on its way to the data plane.
#[derive(Debug, Clone)]
pub struct FlushRow {
    pub id: String,
    pub time: DateTime<Utc>,
    /// In the order of [`Log::columns`].
    pub values: Vec<LogValue>,
    leaves: Vec<Vec<u8>>,
}

/// Rows that one statement moves.
const CHUNK: usize = 500;

impl Catalog {
    /// The version at which the log's table is read; `None`: there is none yet.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn flushed_version(&self, log: Log) -> Result<Option<u64>, CatalogError> {
        let mut read = self.store().begin_read().await?;
        visible(&mut read, log).await
    }

    /// Moves it where it is `from` still. False: somebody else has moved it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn move_flushed_version(&self, log: Log, from: Option<u64>, to: u64) -> Result<bool, CatalogError> {
        let mut write = self.store().begin_write().await?;
        let moved = move_version(&mut write, log, from, to).await?;
        write.commit().await?;
        Ok(moved)
    }

    /// Before when records are to be flushed: those that are older than `age`, and all but the newest `records`.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn flush_before(&self, log: Log, age: TimeDelta, records: u64) -> Result<DateTime<Utc>, CatalogError> {
        let by_age = Utc::now() - age;
        let column = log.time();
        let sql = format!("SELECT {column} FROM {} ORDER BY {column} DESC LIMIT 1 OFFSET $1", log.word());
        let newest: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(i64::try_from(records).unwrap_or(i64::MAX))
            .fetch_optional(self.store().reads())
            .await?;
        let by_count = newest.map(time).transpose()?;
        Ok(by_count.map_or(by_age, |by_count| by_count.max(by_age)))
    }

    /// The oldest records from before a time, in order.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn records_to_flush(&self, log: Log, before: DateTime<Utc>, limit: u32) -> Result<Vec<FlushRow>, CatalogError> {
        let (id, at) = (log.id(), log.time());
        let columns: Vec<String> = log.kinds().iter().flat_map(|kind| kind.columns()).map(|column| (*column).to_owned()).collect();
        let sql = format!(
            "SELECT {}, {id}, {at} FROM {} WHERE {} {at} < $1 ORDER BY {at}, {id} LIMIT $2",
            columns.join(", "),
            log.word(),
            log.is_over()
        );
        let rows =
            sqlx::query(AssertSqlSafe(sql)).bind(before.timestamp_micros()).bind(i64::from(limit)).fetch_all(self.store().reads()).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let (mut values, mut leaves, mut offset) = (Vec::new(), Vec::new(), 0);
            for kind in log.kinds() {
                let of_kind = values_from(row, *kind, offset)?;
                leaves.push(record::leaf(*kind, &of_kind).to_vec());
                values.extend(of_kind.into_iter().skip(usize::from(offset > 0)));
                offset += kind.columns().len();
            }
            found.push(FlushRow { id: row.try_get(offset)?, time: time(row.try_get(offset + 1)?)?, values, leaves });
        }
        Ok(found)
    }

    /// The data plane has these rows, in its table's version `to`: from now on they are read there. False: somebody else has flushed
    /// meanwhile, nothing was done, and version `to` is nobody's.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn flushed(&self, log: Log, rows: &[FlushRow], from: Option<u64>, to: u64) -> Result<bool, CatalogError> {
        let mut write = self.store().begin_write().await?;
        if !move_version(&mut write, log, from, to).await? {
            return Ok(false);
        }
        for chunk in rows.chunks(CHUNK) {
            if take(&mut write, log, chunk).await? != chunk.len() as u64 {
                return Ok(false);
            }
        }
        write.commit().await?;
        Ok(true)
    }

    /// The time of records from before has passed: the data plane has deleted its rows in version `to`. What was sealed is gone, what proves
    /// that the records were there stays. Gives their number; `None`: somebody else has flushed meanwhile.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn expired(&self, log: Log, before: DateTime<Utc>, event: Uuid, from: u64, to: u64) -> Result<Option<u64>, CatalogError> {
        let mut write = self.store().begin_write().await?;
        if !move_version(&mut write, log, Some(from), to).await? {
            return Ok(None);
        }
        let sealed = match log {
            Log::Statements => "sealed_statement = NULL, sealed_error = NULL",
            Log::Events => "sealed_detail = NULL",
        };
        let (table, at, id) = (log.flushed_table(), log.time(), log.id());
        let sql = format!("UPDATE {table} SET {sealed}, expired_by = $1 WHERE {at} < $2 AND expired_by IS NULL");
        let expired = sqlx::query(AssertSqlSafe(sql))
            .bind(event.to_string())
            .bind(before.timestamp_micros())
            .execute(&mut *write)
            .await?
            .rows_affected();
        if log == Log::Statements {
            let sql = format!("DELETE FROM statement_literals WHERE statement_id IN (SELECT {id} FROM {table} WHERE expired_by = $1)");
            sqlx::query(AssertSqlSafe(sql)).bind(event.to_string()).execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(Some(expired))
    }

    /// How many records of the data plane are from before a time.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn flushed_before(&self, log: Log, before: DateTime<Utc>) -> Result<u64, CatalogError> {
        let sql = format!("SELECT COUNT(*) FROM {} WHERE {} < $1 AND expired_by IS NULL", log.flushed_table(), log.time());
        number(sqlx::query_scalar(AssertSqlSafe(sql)).bind(before.timestamp_micros()).fetch_one(self.store().reads()).await?)
    }
}

/// In a transaction with whatever else is read of the log.
pub(crate) async fn visible(connection: &mut AnyConnection, log: Log) -> Result<Option<u64>, CatalogError> {
    let sql = "SELECT visible_version FROM flushed_logs WHERE log = $1";
    let version: Option<i64> = sqlx::query_scalar(sql).bind(log.word().to_owned()).fetch_optional(connection).await?;
    version.map(number).transpose()
}

async fn move_version(connection: &mut AnyConnection, log: Log, from: Option<u64>, to: u64) -> Result<bool, CatalogError> {
    let to = i64::try_from(to).map_err(CatalogError::internal)?;
    let moved = match from {
        Some(from) => {
            sqlx::query("UPDATE flushed_logs SET visible_version = $1 WHERE log = $2 AND visible_version = $3")
                .bind(to)
                .bind(log.word().to_owned())
                .bind(i64::try_from(from).map_err(CatalogError::internal)?)
                .execute(connection)
                .await?
        }
        None => {
            sqlx::query("INSERT INTO flushed_logs (log, visible_version) VALUES ($1, $2) ON CONFLICT (log) DO NOTHING")
                .bind(log.word().to_owned())
                .bind(to)
                .execute(connection)
                .await?
        }
    };
    Ok(moved.rows_affected() == 1)
}

/// Takes rows over, as they are sealed now. Gives how many there were.
async fn take(connection: &mut AnyConnection, log: Log, rows: &[FlushRow]) -> Result<u64, CatalogError> {
    let width = 1 + log.kinds().len();
    let places: Vec<String> = (0..rows.len())
        .map(|row| format!("({})", (1..=width).map(|column| format!("${}", row * width + column)).collect::<Vec<_>>().join(", ")))
        .collect();
    let (into, from) = match log {
        Log::Statements => (
            "statement_id, executed_by_oid, start_time, tables, key_id, sealed_statement, sealed_error, statement_digest, error_digest, \
             erased_by, start_chain, start_seq, start_link, end_chain, end_seq, end_link, start_leaf, end_leaf",
            "s.statement_id, s.executed_by_oid, s.start_time, COALESCE(s.ended_tables_read, s.tables_read) || ' ' || \
             COALESCE(s.ended_tables_written, s.tables_written), s.key_id, s.sealed_statement, s.sealed_error, s.statement_digest, \
             s.error_digest, s.erased_by, s.start_chain, s.start_seq, s.start_link, s.end_chain, s.end_seq, s.end_link, l.column2, l.column3",
        ),
        Log::Events => (
            "event_id, actor_oid, event_time, action_name, object_name, key_id, sealed_detail, detail_digest, erased_by, chain, seq, link, leaf",
            "s.event_id, s.actor_oid, s.event_time, s.action_name, s.object_name, s.key_id, s.sealed_detail, s.detail_digest, s.erased_by, \
             s.chain, s.seq, s.link, l.column2",
        ),
    };
    let (table, flushed, id) = (log.word(), log.flushed_table(), log.id());
    let sql = format!(
        "INSERT INTO {flushed} ({into}) SELECT {from} FROM (VALUES {}) AS l JOIN {table} AS s ON s.{id} = l.column1",
        places.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for row in rows {
        query = query.bind(row.id.clone());
        for leaf in &row.leaves {
            query = query.bind(leaf.clone());
        }
    }
    let taken = query.execute(&mut *connection).await?.rows_affected();
    let places: Vec<String> = (1..=rows.len()).map(|at| format!("${at}")).collect();
    let sql = format!("DELETE FROM {table} WHERE {id} IN ({})", places.join(", "));
    let query = rows.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, row| query.bind(row.id.clone()));
    query.execute(connection).await?;
    Ok(taken)
}
