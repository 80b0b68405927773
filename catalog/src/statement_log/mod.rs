//! The sealed statement log: each statement durable before it runs, finished with its outcome. What the user wrote (text,
//! parameters, tags, error messages) is sealed; the clear columns hold no literal.

mod history;
mod rows;
mod together;
mod writer;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use history::{HistoryFilter, HistoryRow, OpenedStatement, Statements};
pub(crate) use history::{Places, time};
pub use rows::Value;
#[cfg(test)]
pub(crate) use rows::finish_row;
pub(crate) use rows::{END_COLUMNS, Row, START_COLUMNS};
pub(crate) use writer::{LogWriter, Wait};

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::keyring::Cell;
use crate::model::Oid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionStatus {
    Running,
    Finished,
    Failed,
    Canceled,
    /// The process ended before the statement did.
    Lost,
}

impl ExecutionStatus {
    pub(crate) const ALL: [ExecutionStatus; 5] =
        [ExecutionStatus::Running, ExecutionStatus::Finished, ExecutionStatus::Failed, ExecutionStatus::Canceled, ExecutionStatus::Lost];

    /// As `execution_status` shows it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ExecutionStatus::Running => "RUNNING",
            ExecutionStatus::Finished => "FINISHED",
            ExecutionStatus::Failed => "FAILED",
            ExecutionStatus::Canceled => "CANCELED",
            ExecutionStatus::Lost => "LOST",
        }
    }
}

/// What is known before a statement runs. Secrets (passwords, credentials) are out of `text` already.
#[derive(Debug, Clone)]
pub struct StatementStart {
    pub statement_id: Uuid,
    pub session_id: String,
    /// `SELECT`, `INSERT`, `CREATE TABLE` …
    pub statement_type: String,
    /// The session's role: the text opens for it.
    pub executed_by: Oid,
    pub executed_by_name: String,
    /// The current role's name.
    pub executed_as: String,
    pub client_application: Option<String>,
    pub client_driver: Option<String>,
    pub source_ip_address: Option<String>,
    /// As the login's audit event has it.
    pub auth_method: Option<String>,
    /// `TLSv1.3`; `None` without TLS.
    pub tls_version: Option<String>,
    pub database: String,
    pub warehouse: Option<String>,
    pub engine: Option<String>,
    /// Of the normalised statement, without its literals.
    pub fingerprint: Option<String>,
    pub start_time: DateTime<Utc>,
    /// Three-part names.
    pub tables_read: Vec<String>,
    pub tables_written: Vec<String>,
    /// Four-part names.
    pub columns_read: Vec<String>,
    pub columns_written: Vec<String>,
    /// Tags of what is read, as `name=value`.
    pub tags_read: Vec<String>,
    /// By name, folded.
    pub functions: Vec<String>,
    /// Sealed, for a user may write anything there.
    pub query_tags: BTreeMap<String, String>,
    pub text: String,
    /// As text; `None` is NULL.
    pub parameters: Vec<Option<String>>,
    /// Of the text, where the blind index is on; parameters come on top.
    pub literals: Vec<String>,
}

/// How a statement ended.
#[derive(Debug, Clone)]
pub struct StatementEnd {
    pub status: ExecutionStatus,
    pub sqlstate: Option<String>,
    /// Sealed: it may quote literals.
    pub error_message: Option<String>,
    pub end_time: DateTime<Utc>,
    pub metrics: StatementMetrics,
    /// Where it became known only on the way, in place of the start's.
    pub engine: Option<String>,
    pub columns_read: Option<Vec<String>>,
    pub tables_read: Option<Vec<String>>,
    pub tables_written: Option<Vec<String>>,
    pub tags_read: Option<Vec<String>>,
}

/// Durations in milliseconds; `None` is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementMetrics {
    pub waiting_at_capacity_duration_ms: Option<u64>,
    pub compilation_duration_ms: Option<u64>,
    pub execution_duration_ms: Option<u64>,
    pub result_fetch_duration_ms: Option<u64>,
    pub read_files: Option<u64>,
    pub pruned_files: Option<u64>,
    pub read_bytes: Option<u64>,
    pub read_rows: Option<u64>,
    pub read_io_cache_percent: Option<u64>,
    pub from_result_cache: Option<bool>,
    pub cache_origin_statement_id: Option<String>,
    pub produced_rows: Option<u64>,
    pub written_rows: Option<u64>,
    pub written_bytes: Option<u64>,
    pub written_files: Option<u64>,
    pub spilled_local_bytes: Option<u64>,
}

impl StatementEnd {
    #[must_use]
    pub fn new(status: ExecutionStatus) -> StatementEnd {
        StatementEnd {
            status,
            sqlstate: None,
            error_message: None,
            end_time: Utc::now(),
            metrics: StatementMetrics::default(),
            engine: None,
            columns_read: None,
            tables_read: None,
            tables_written: None,
            tags_read: None,
        }
    }

    #[must_use]
    pub fn failed(status: ExecutionStatus, sqlstate: &str, message: &str) -> StatementEnd {
        StatementEnd { sqlstate: Some(sqlstate.to_owned()), error_message: Some(message.to_owned()), ..StatementEnd::new(status) }
    }
}

/// A statement that was logged and runs. Dropped without [`Catalog::log_finish`] (its session went away), it is recorded as
/// CANCELED.
#[derive(Debug)]
pub struct StatementTicket {
    statement_id: Uuid,
    executed_by: Oid,
    start_time: DateTime<Utc>,
    key: std::sync::Arc<crate::keyring::DataKey>,
    orphans: Option<std::sync::Arc<writer::Orphans>>,
}

impl StatementTicket {
    #[must_use]
    pub fn statement_id(&self) -> Uuid {
        self.statement_id
    }

    fn end(&self, end: StatementEnd) -> Result<Row, CatalogError> {
        let id = self.statement_id.to_string();
        let sealed_error = match &end.error_message {
            Some(message) => Some(self.key.seal(self.place(ERROR, &id), message.as_bytes()).map_err(unavailable)?),
            None => None,
        };
        Ok(rows::finish_row(self.statement_id, end, sealed_error))
    }

    fn place<'a>(&self, column: &'static str, id: &'a str) -> Cell<'a> {
        cell(column, id, self.executed_by, self.start_time)
    }
}

impl Drop for StatementTicket {
    fn drop(&mut self) {
        if let Some(orphans) = self.orphans.take() {
            orphans.push(self.statement_id);
        }
    }
}

/// The end of a statement that the log's queue had no room for.
#[derive(Debug)]
pub struct UnqueuedEnd {
    ticket: StatementTicket,
    row: Row,
}

/// What is sealed of a statement's start.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SealedStatement {
    pub(crate) text: String,
    pub(crate) parameters: Vec<Option<String>>,
    pub(crate) query_tags: BTreeMap<String, String>,
}

/// This build writes no statement log: it measures what the log costs. Nothing but the build can turn it off.
pub const IS_UNLOGGED: bool = cfg!(feature = "unlogged");

const TABLE: &str = "statements";
const STATEMENT: &str = "sealed_statement";
const ERROR: &str = "sealed_error";

/// Where a sealed value of the log stands; bound to the statement, its role and its time.
fn cell<'a>(column: &'static str, id: &'a str, role: Oid, start: DateTime<Utc>) -> Cell<'a> {
    Cell { table: TABLE, column, id, role, time: start.timestamp_micros() }
}

impl Catalog {
    /// Logs a statement; when this returns, its row is durable (written together with whatever else waits) and it may run.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`]: it must not run.
    pub async fn log_begin(&self, start: StatementStart) -> Result<StatementTicket, CatalogError> {
        self.begin(start, Wait::Durable).await
    }

    /// As [`Catalog::log_begin`] without waiting for the disk: for statements that touch no relation. Waits only while the
    /// queue is full.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`].
    pub async fn log_behind(&self, start: StatementStart) -> Result<StatementTicket, CatalogError> {
        self.begin(start, Wait::Queued).await
    }

    /// Records how a logged statement ended; with `wait` it is durable when this returns.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`]; the writer goes on trying.
    pub async fn log_finish(&self, ticket: StatementTicket, end: StatementEnd, wait: bool) -> Result<(), CatalogError> {
        if IS_UNLOGGED {
            return Ok(());
        }
        let row = ticket.end(end)?;
        self.queue_end(ticket, row, if wait { Wait::Durable } else { Wait::Queued }).await
    }

    /// As [`Catalog::log_finish`] for callers that wait for nothing: gives back what the queue has no room for.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`].
    pub fn log_finish_now(&self, mut ticket: StatementTicket, end: StatementEnd) -> Result<Option<UnqueuedEnd>, CatalogError> {
        if IS_UNLOGGED {
            return Ok(None);
        }
        let row = ticket.end(end)?;
        match self.log().enqueue_now(row) {
            Ok(()) => {
                ticket.orphans = None;
                Ok(None)
            }
            Err(row) => Ok(Some(UnqueuedEnd { ticket, row })),
        }
    }

    /// Waits for room in the queue.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`].
    pub async fn log_unqueued(&self, late: UnqueuedEnd) -> Result<(), CatalogError> {
        self.queue_end(late.ticket, late.row, Wait::Queued).await
    }

    async fn queue_end(&self, mut ticket: StatementTicket, row: Row, wait: Wait) -> Result<(), CatalogError> {
        // Where it does not come into the queue, the dropped ticket has at least an end recorded.
        let queued = self.log().enqueue(row, wait).await?;
        ticket.orphans = None;
        queued.written().await
    }

    /// A statement that is over already, in one row: for what is logged behind and done at once.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`].
    pub async fn log_done(&self, start: StatementStart, end: StatementEnd, wait: bool) -> Result<(), CatalogError> {
        let ticket = self.begin(start, Wait::Queued).await?;
        self.log_finish(ticket, end, wait).await
    }

    /// The process of a statement is gone.
    pub(crate) async fn log_lost(&self, statement: Uuid) -> Result<(), CatalogError> {
        self.log().append(rows::finish_row(statement, StatementEnd::new(ExecutionStatus::Lost), None), Wait::Queued).await
    }

    async fn begin(&self, mut start: StatementStart, wait: Wait) -> Result<StatementTicket, CatalogError> {
        let key = self.keyring().of_day(start.start_time, start.executed_by).await.map_err(unavailable)?;
        if IS_UNLOGGED {
            let StatementStart { statement_id, executed_by, start_time, .. } = start;
            return Ok(StatementTicket { statement_id, executed_by, start_time, key, orphans: None });
        }
        let id = start.statement_id.to_string();
        let secret = SealedStatement {
            text: std::mem::take(&mut start.text),
            parameters: std::mem::take(&mut start.parameters),
            query_tags: std::mem::take(&mut start.query_tags),
        };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&secret).map_err(CatalogError::internal)?);
        let sealed = key.seal(cell(STATEMENT, &id, start.executed_by, start.start_time), &plain).map_err(unavailable)?;
        let mut ticket = StatementTicket {
            statement_id: start.statement_id,
            executed_by: start.executed_by,
            start_time: start.start_time,
            key: key.clone(),
            orphans: None,
        };
        let tokens = self.literal_tokens(&start.literals, &secret.parameters);
        let row = rows::begin_row(start, self.log().identity(), key.id(), sealed)?.with_tokens(tokens);
        // Given before the row is sent: a caller that goes away while it waits leaves a statement that is over.
        ticket.orphans = Some(self.log().orphans());
        self.log().begin(row, wait).await?;
        Ok(ticket)
    }
}

impl Catalog {
    /// Of each literal one, where the blind index is on.
    fn literal_tokens(&self, literals: &[String], parameters: &[Option<String>]) -> Vec<Vec<u8>> {
        let Some(key) = self.blind_index().key() else { return Vec::new() };
        let all: std::collections::BTreeSet<&String> = literals.iter().chain(parameters.iter().flatten()).collect();
        all.into_iter().map(|literal| crate::blind_index::token(&key, literal)).collect()
    }
}

fn unavailable(error: CatalogError) -> CatalogError {
    CatalogError::LogUnavailable { detail: error.to_string() }
}
