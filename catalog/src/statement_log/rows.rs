//! Rows of the log as they are written.

use std::sync::LazyLock;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};
use uuid::Uuid;

use super::{StatementEnd, StatementStart};
use crate::error::CatalogError;
use crate::log_proof::RecordKind;
use crate::log_proof::chain::{Chain, Linked};
use crate::log_proof::record::digest;

/// One stored value; the type goes with NULL, which PostgreSQL wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A record for the log, its values in the order of [`RecordKind::columns`].
#[derive(Debug, Clone)]
pub(crate) struct Row {
    kind: RecordKind,
    values: Vec<Value>,
    /// Its digest is among the values.
    sealed: Option<Vec<u8>>,
    /// For the blind index.
    tokens: Vec<Vec<u8>>,
}

impl Row {
    /// `values` without the digest, which is the last of the columns.
    pub(crate) fn new(kind: RecordKind, mut values: Vec<Value>, sealed: Option<Vec<u8>>) -> Row {
        values.push(Value::Bytes(sealed.as_deref().map(|sealed| digest(sealed).to_vec())));
        Row { kind, values, sealed, tokens: Vec::new() }
    }

    pub(crate) fn with_tokens(self, tokens: Vec<Vec<u8>>) -> Row {
        Row { tokens, ..self }
    }

    pub(super) fn kind(&self) -> RecordKind {
        self.kind
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    /// In the order of [`placed`].
    pub(super) fn stored(&self, linked: &Linked, chain: &Chain) -> Vec<Value> {
        self.values.iter().cloned().chain([Value::Bytes(self.sealed.clone())]).chain(linked.values(chain)).collect()
    }

    /// Written as the next of the chain, unless it is the end of a statement that is over or was never logged.
    pub(crate) async fn write(&self, connection: &mut AnyConnection, chain: &mut Chain) -> Result<(), sqlx::Error> {
        let linked = chain.next(self.kind, &self.values);
        let sql: &'static str = match self.kind {
            RecordKind::Start => &START,
            RecordKind::End => &END,
            RecordKind::Event => &EVENT,
        };
        if bound(sql.to_owned(), self.stored(&linked, chain)).execute(&mut *connection).await?.rows_affected() > 0 {
            chain.push(&linked);
        }
        self.write_tokens(connection).await
    }

    pub(super) async fn write_tokens(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        match (self.tokens.is_empty(), self.values.first()) {
            (false, Some(Value::Text(Some(statement)))) => crate::blind_index::write(connection, statement, &self.tokens).await,
            _ => Ok(()),
        }
    }
}

pub(super) fn bound<'q>(sql: String, values: impl IntoIterator<Item = Value>) -> Query<'q, Any, AnyArguments> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
        Value::Integer(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
    })
}

impl From<Option<String>> for Value {
    /// PostgreSQL stores no NUL.
    fn from(text: Option<String>) -> Value {
        Value::Text(text.map(|text| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::from(Some(text))
    }
}

impl From<Option<u64>> for Value {
    fn from(number: Option<u64>) -> Value {
        Value::Integer(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(Some(number))
    }
}

/// Who writes: the gateway, and which of its lives.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) writer: String,
    pub(crate) process: String,
}

/// What is hashed of a statement's start.
pub(crate) const START_COLUMNS: [&str; 26] = [
    "statement_id",
    "writer",
    "process",
    "session_id",
    "statement_type",
    "executed_by_oid",
    "executed_by",
    "executed_as",
    "client_application",
    "client_driver",
    "source_ip_address",
    "auth_method",
    "tls_version",
    "database_name",
    "warehouse",
    "engine",
    "statement_fingerprint",
    "start_time",
    "tables_read",
    "tables_written",
    "columns_read",
    "columns_written",
    "tags_read",
    "functions",
    "key_id",
    "statement_digest",
];

/// What is hashed of its end.
pub(crate) const END_COLUMNS: [&str; 26] = [
    "statement_id",
    "ended_engine",
    "ended_columns_read",
    "ended_tables_read",
    "ended_tables_written",
    "ended_tags_read",
    "execution_status",
    "sqlstate",
    "end_time",
    "waiting_at_capacity_duration_ms",
    "compilation_duration_ms",
    "execution_duration_ms",
    "result_fetch_duration_ms",
    "read_files",
    "pruned_files",
    "read_bytes",
    "read_rows",
    "read_io_cache_percent",
    "from_result_cache",
    "cache_origin_statement_id",
    "produced_rows",
    "written_rows",
    "written_bytes",
    "written_files",
    "spilled_local_bytes",
    "error_digest",
];

static START: LazyLock<String> = LazyLock::new(|| {
    let insert = insert("statements", &placed(RecordKind::Start));
    // The status is no part of the record: the end has its own.
    insert.replacen("statements (", "statements (execution_status, ", 1).replacen("VALUES (", "VALUES ('RUNNING', ", 1)
});

/// A row that is over stays as it is.
static END: LazyLock<String> = LazyLock::new(|| {
    let sets: Vec<String> = placed(RecordKind::End).iter().zip(1..).skip(1).map(|(column, n)| format!("{column} = ${n}")).collect();
    format!("UPDATE statements SET {} WHERE statement_id = $1 AND execution_status = 'RUNNING'", sets.join(", "))
});

static EVENT: LazyLock<String> = LazyLock::new(|| insert("audit_events", &placed(RecordKind::Event)));

/// The columns of a record, and those of its place in a chain.
pub(super) fn placed(kind: RecordKind) -> Vec<&'static str> {
    kind.columns().iter().copied().chain([kind.sealed()]).chain(kind.place().1).collect()
}

fn insert(table: &str, columns: &[&str]) -> String {
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places.join(", "))
}

pub(super) fn begin_row(start: StatementStart, identity: &Identity, key_id: &str, sealed: Vec<u8>) -> Result<Row, CatalogError> {
    let values = vec![
        Value::from(start.statement_id.to_string()),
        identity.writer.clone().into(),
        identity.process.clone().into(),
        start.session_id.into(),
        start.statement_type.into(),
        i64::from(start.executed_by).into(),
        start.executed_by_name.into(),
        start.executed_as.into(),
        start.client_application.into(),
        start.client_driver.into(),
        start.source_ip_address.into(),
        start.auth_method.into(),
        start.tls_version.into(),
        start.database.into(),
        start.warehouse.into(),
        start.engine.into(),
        start.fingerprint.into(),
        start.start_time.timestamp_micros().into(),
        list(&start.tables_read)?.into(),
        list(&start.tables_written)?.into(),
        list(&start.columns_read)?.into(),
        list(&start.columns_written)?.into(),
        list(&start.tags_read)?.into(),
        list(&start.functions)?.into(),
        key_id.to_owned().into(),
    ];
    Ok(Row::new(RecordKind::Start, values, Some(sealed)))
}

pub(crate) fn finish_row(statement_id: Uuid, end: StatementEnd, sealed_error: Option<Vec<u8>>) -> Row {
    let metrics = end.metrics;
    let stored = |names: Option<Vec<String>>| names.and_then(|names| list(&names).ok());
    let values = vec![
        Value::from(statement_id.to_string()),
        end.engine.into(),
        stored(end.columns_read).into(),
        stored(end.tables_read).into(),
        stored(end.tables_written).into(),
        stored(end.tags_read).into(),
        end.status.word().to_owned().into(),
        end.sqlstate.into(),
        end.end_time.timestamp_micros().into(),
        metrics.waiting_at_capacity_duration_ms.into(),
        metrics.compilation_duration_ms.into(),
        metrics.execution_duration_ms.into(),
        metrics.result_fetch_duration_ms.into(),
        metrics.read_files.into(),
        metrics.pruned_files.into(),
        metrics.read_bytes.into(),
        metrics.read_rows.into(),
        metrics.read_io_cache_percent.into(),
        metrics.from_result_cache.map(u64::from).into(),
        metrics.cache_origin_statement_id.into(),
        metrics.produced_rows.into(),
        metrics.written_rows.into(),
        metrics.written_bytes.into(),
        metrics.written_files.into(),
        metrics.spilled_local_bytes.into(),
    ];
    Row::new(RecordKind::End, values, sealed_error)
}

fn list(names: &[String]) -> Result<String, CatalogError> {
    serde_json::to_string(names).map_err(CatalogError::internal)
}
