//! Rows of the log as they are written.

use std::sync::LazyLock;

use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};
use uuid::Uuid;

use super::{ExecutionStatus, StatementEnd, StatementStart};
use crate::error::CatalogError;

/// One stored value; the type goes with NULL, which PostgreSQL wants to know.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// Values for one of the statements below, in its order.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    sql: &'static str,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(sql: &'static str, values: Vec<Value>) -> Row {
        Row { sql, values }
    }

    pub(crate) async fn write(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let query: Query<'_, Any, _> = sqlx::query(AssertSqlSafe(self.sql));
        let query = self.values.iter().cloned().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        });
        query.execute(connection).await.map(drop)
    }
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

const BEGIN_COLUMNS: [&str; 23] = [
    "statement_id",
    "writer",
    "process",
    "session_id",
    "statement_type",
    "execution_status",
    "executed_by_oid",
    "executed_by",
    "executed_as",
    "client_application",
    "client_driver",
    "source_ip_address",
    "database_name",
    "warehouse",
    "engine",
    "statement_fingerprint",
    "start_time",
    "tables_read",
    "tables_written",
    "columns_read",
    "tags_read",
    "key_id",
    "sealed_statement",
];

const FINISH_COLUMNS: [&str; 20] = [
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
    "sealed_error",
];

static BEGIN: LazyLock<String> = LazyLock::new(|| insert("statements", &BEGIN_COLUMNS));

/// A row that is over stays as it is, unless it was taken for lost.
static FINISH: LazyLock<String> = LazyLock::new(|| {
    let sets: Vec<String> = FINISH_COLUMNS.iter().zip(6..).map(|(column, n)| format!("{column} = ${n}")).collect();
    format!(
        "UPDATE statements SET engine = COALESCE($2, engine), columns_read = COALESCE($3, columns_read), \
         tables_read = COALESCE($4, tables_read), tables_written = COALESCE($5, tables_written), {} \
         WHERE statement_id = $1 AND execution_status IN ('RUNNING', 'LOST')",
        sets.join(", ")
    )
});

pub(crate) fn insert(table: &str, columns: &[&str]) -> String {
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
        ExecutionStatus::Running.word().to_owned().into(),
        i64::from(start.executed_by).into(),
        start.executed_by_name.into(),
        start.executed_as.into(),
        start.client_application.into(),
        start.client_driver.into(),
        start.source_ip_address.into(),
        start.database.into(),
        start.warehouse.into(),
        start.engine.into(),
        start.fingerprint.into(),
        start.start_time.timestamp_micros().into(),
        list(&start.tables_read)?.into(),
        list(&start.tables_written)?.into(),
        list(&start.columns_read)?.into(),
        list(&start.tags_read)?.into(),
        key_id.to_owned().into(),
        Value::Bytes(Some(sealed)),
    ];
    Ok(Row::new(&BEGIN, values))
}

pub(super) fn finish_row(statement_id: Uuid, end: StatementEnd, sealed_error: Option<Vec<u8>>) -> Row {
    let metrics = end.metrics;
    let stored = |names: Option<Vec<String>>| names.and_then(|names| list(&names).ok());
    let values = vec![
        Value::from(statement_id.to_string()),
        end.engine.into(),
        stored(end.columns_read).into(),
        stored(end.tables_read).into(),
        stored(end.tables_written).into(),
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
        Value::Bytes(sealed_error),
    ];
    Row::new(&FINISH, values)
}

fn list(names: &[String]) -> Result<String, CatalogError> {
    serde_json::to_string(names).map_err(CatalogError::internal)
}
