//! Reading the log: what `system.query.history` shows to a role.

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use super::{ERROR, ExecutionStatus, STATEMENT, SealedStatement, StatementMetrics, cell};
use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::flushed::{Log, SealedPart};
use crate::log_parts::{Kind, Parts, own, within};
use crate::model::{Oid, READ_HISTORY_OID};
use crate::store::number;

#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// Newest first; `None`: 10,000.
    pub limit: Option<u32>,
    /// Only these, where not empty.
    pub statement_ids: Vec<Uuid>,
    pub session_id: Option<String>,
    /// Started at or after.
    pub since: Option<DateTime<Utc>>,
    /// Started before.
    pub until: Option<DateTime<Utc>>,
    /// Nothing that is sealed is opened.
    pub without_texts: bool,
    /// Of this session role alone.
    pub executed_by: Option<Oid>,
    /// Columns of `system.query.history` that are wanted, others may be empty; `None`: all.
    pub columns: Option<BTreeSet<String>>,
}

/// One statement. Lists hold three-part (tables) and four-part (columns) names.
#[derive(Debug, Clone)]
pub struct HistoryRow {
    pub statement_id: Uuid,
    pub session_id: String,
    pub statement_type: String,
    pub status: ExecutionStatus,
    pub executed_by_oid: Oid,
    pub executed_by: String,
    pub executed_as: String,
    pub client_application: Option<String>,
    pub client_driver: Option<String>,
    pub source_ip_address: Option<String>,
    pub database: String,
    pub warehouse: Option<String>,
    pub engine: Option<String>,
    /// `None` unless one's own or granted.
    pub statement_text: Option<String>,
    /// As the text.
    pub parameters: Option<Vec<Option<String>>>,
    pub fingerprint: Option<String>,
    pub sqlstate: Option<String>,
    /// As the text.
    pub error_message: Option<String>,
    pub start_time: DateTime<Utc>,
    pub end_time: Option<DateTime<Utc>>,
    pub total_duration_ms: Option<u64>,
    pub metrics: StatementMetrics,
    pub tables_read: Vec<String>,
    pub tables_written: Vec<String>,
    pub columns_read: Vec<String>,
    pub columns_written: Vec<String>,
    pub tags_read: Vec<String>,
    pub functions: Vec<String>,
    pub auth_method: Option<String>,
    pub tls_version: Option<String>,
    /// As the text.
    pub query_tags: Option<BTreeMap<String, String>>,
}

/// A text that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedStatement {
    pub executed_by: Oid,
    pub text: String,
}

const LIMIT_DEFAULT: u32 = 10_000;
const IDS_MAX: usize = 1_000;

/// What is selected: the expression, the column of `system.query.history` that it is for where it can be left out, and what stands there then.
const COLUMNS: [(&str, &str, &str); 44] = [
    ("statement_id", "", ""),
    ("session_id", "session_id", "''"),
    ("statement_type", "statement_type", "''"),
    ("execution_status", "", ""),
    ("executed_by_oid", "", ""),
    ("executed_by", "executed_by", "''"),
    ("executed_as", "executed_as", "''"),
    ("client_application", "client_application", NO_TEXT),
    ("client_driver", "client_driver", NO_TEXT),
    ("source_ip_address", "source_ip_address", NO_TEXT),
    ("database_name", "database", "''"),
    ("warehouse", "warehouse", NO_TEXT),
    ("COALESCE(ended_engine, engine)", "engine", NO_TEXT),
    ("statement_fingerprint", "statement_fingerprint", NO_TEXT),
    ("sqlstate", "sqlstate", NO_TEXT),
    ("start_time", "", ""),
    ("end_time", "", ""),
    ("waiting_at_capacity_duration_ms", "waiting_at_capacity_duration_ms", NO_NUMBER),
    ("compilation_duration_ms", "compilation_duration_ms", NO_NUMBER),
    ("execution_duration_ms", "execution_duration_ms", NO_NUMBER),
    ("result_fetch_duration_ms", "result_fetch_duration_ms", NO_NUMBER),
    ("read_files", "read_files", NO_NUMBER),
    ("pruned_files", "pruned_files", NO_NUMBER),
    ("read_bytes", "read_bytes", NO_NUMBER),
    ("read_rows", "read_rows", NO_NUMBER),
    ("read_io_cache_percent", "read_io_cache_percent", NO_NUMBER),
    ("from_result_cache", "from_result_cache", NO_NUMBER),
    ("cache_origin_statement_id", "cache_origin_statement_id", NO_TEXT),
    ("produced_rows", "produced_rows", NO_NUMBER),
    ("written_rows", "written_rows", NO_NUMBER),
    ("written_bytes", "written_bytes", NO_NUMBER),
    ("written_files", "written_files", NO_NUMBER),
    ("spilled_local_bytes", "spilled_local_bytes", NO_NUMBER),
    ("COALESCE(ended_tables_read, tables_read)", "tables_read", NO_LIST),
    ("COALESCE(ended_tables_written, tables_written)", "tables_written", NO_LIST),
    ("COALESCE(ended_columns_read, columns_read)", "columns_read", NO_LIST),
    ("COALESCE(ended_tags_read, tags_read)", "tags_read", NO_LIST),
    ("key_id", "", ""),
    ("sealed_statement", "", ""),
    ("sealed_error", "", ""),
    ("columns_written", "columns_written", NO_LIST),
    ("functions", "functions", NO_LIST),
    ("auth_method", "auth_method", NO_TEXT),
    ("tls_version", "tls_version", NO_TEXT),
];
const NO_TEXT: &str = "CAST(NULL AS TEXT)";
const NO_NUMBER: &str = "CAST(NULL AS BIGINT)";
const NO_LIST: &str = "'[]'";

fn selected(filter: &HistoryFilter) -> String {
    let expression = |(expression, column, nothing): &(&'static str, &'static str, &'static str)| {
        let is_wanted = column.is_empty() || filter.columns.as_ref().is_none_or(|wanted| wanted.contains(*column));
        let is_left_sealed = filter.without_texts && expression.starts_with("sealed_");
        match (is_wanted, is_left_sealed) {
            (_, true) => NO_TEXT,
            (true, false) => *expression,
            (false, false) => *nothing,
        }
    };
    COLUMNS.iter().map(expression).collect::<Vec<_>>().join(", ")
}

/// The log of statements.
pub struct Statements;

impl Kind for Statements {
    type Filter = HistoryFilter;
    type Row = HistoryRow;
    const LOG: Log = Log::Statements;

    fn limit(filter: &HistoryFilter) -> u32 {
        filter.limit.unwrap_or(LIMIT_DEFAULT)
    }

    fn source(filter: &HistoryFilter) -> String {
        format!("{} FROM statements", selected(filter))
    }

    fn conditions(catalog: &Catalog, principal: &Principal, filter: &HistoryFilter, places: &mut Places) -> Vec<String> {
        let opens_all = catalog.snapshot().has_privileges_of(principal.current_role, READ_HISTORY_OID);
        let mut wheres: Vec<String> = Vec::new();
        if !opens_all && !catalog.is_auditor(principal) {
            wheres.push(own("executed_by_oid", principal, places));
        }
        if !filter.statement_ids.is_empty() {
            let ids: Vec<String> = filter.statement_ids.iter().map(|id| places.text(id.to_string())).collect();
            wheres.push(format!("statement_id IN ({})", ids.join(", ")));
        }
        if let Some(role) = filter.executed_by {
            wheres.push(format!("executed_by_oid = {}", places.integer(role.into())));
        }
        if let Some(session) = &filter.session_id {
            wheres.push(format!("session_id = {}", places.text(session.clone())));
        }
        wheres.extend(within("start_time", filter.since, filter.until, places));
        wheres
    }

    async fn row(
        catalog: &Catalog,
        principal: &Principal,
        filter: &HistoryFilter,
        row: &AnyRow,
        read: &mut AnyConnection,
    ) -> Result<HistoryRow, CatalogError> {
        catalog.history_row(row, principal, filter.without_texts, read).await
    }
}

impl Catalog {
    /// Superusers and members of `lakegate_read_history` see every row, members of `lakegate_read_audit` every row without its texts,
    /// everybody else the own ones (of the session's role and of the current one), newest first. What was logged before this call is in it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`] where a row does not open.
    pub async fn history(&self, principal: &Principal, filter: HistoryFilter) -> Result<Vec<HistoryRow>, CatalogError> {
        self.history_parts(principal, filter).await?.rest().await
    }

    /// As [`Catalog::history`], part by part.
    ///
    /// # Errors
    /// As [`Catalog::history`]; 22023 for too many statements.
    pub async fn history_parts(&self, principal: &Principal, filter: HistoryFilter) -> Result<Parts<Statements>, CatalogError> {
        if filter.statement_ids.len() > IDS_MAX {
            return Err(CatalogError::parameter(format!("more than {IDS_MAX} statement ids")));
        }
        Parts::now(self, principal, filter).await
    }

    /// The text of one statement, for its own role and those who may read the whole history. `None`: there is no such statement, or its key
    /// was destroyed.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::Unavailable`], [`CatalogError::Corrupted`].
    pub async fn open_statement(&self, principal: &Principal, statement: Uuid) -> Result<Option<OpenedStatement>, CatalogError> {
        let filter = HistoryFilter { statement_ids: vec![statement], ..HistoryFilter::default() };
        let forbidden = || CatalogError::forbidden(format!("permission denied for statement {statement}"));
        if let Some(row) = self.history(principal, filter).await?.pop() {
            let own = row.executed_by_oid == principal.session_role || row.executed_by_oid == principal.current_role;
            if !own && !self.snapshot().has_privileges_of(principal.current_role, READ_HISTORY_OID) {
                return Err(forbidden());
            }
            return Ok(row.statement_text.map(|text| OpenedStatement { executed_by: row.executed_by_oid, text }));
        }
        let sql = "SELECT executed_by_oid FROM flushed_statements WHERE statement_id = $1";
        let flushed: Option<i64> = sqlx::query_scalar(sql).bind(statement.to_string()).fetch_optional(self.store().reads()).await?;
        let executed_by: Option<Oid> = flushed.map(number).transpose()?;
        let own = executed_by.is_some_and(|role| role == principal.session_role || role == principal.current_role);
        if !own && !self.snapshot().has_privileges_of(principal.current_role, READ_HISTORY_OID) {
            return Err(forbidden());
        }
        let Some(executed_by) = executed_by else { return Ok(None) };
        let opened = self.open_flushed(principal, &statement.to_string(), SealedPart::Text).await?;
        Ok(opened.and_then(|opened| opened.value).map(|text| OpenedStatement { executed_by, text }))
    }

    async fn history_row(
        &self,
        row: &AnyRow,
        principal: &Principal,
        without_texts: bool,
        read: &mut AnyConnection,
    ) -> Result<HistoryRow, CatalogError> {
        let opens_all = self.snapshot().has_privileges_of(principal.current_role, READ_HISTORY_OID);
        let id: String = row.try_get(0)?;
        let executed_by_oid: Oid = number(row.try_get(4)?)?;
        let start_time = time(row.try_get(15)?)?;
        let end_time = row.try_get::<Option<i64>, _>(16)?.map(time).transpose()?;
        let own = executed_by_oid == principal.session_role || executed_by_oid == principal.current_role;
        let key = match (own || opens_all) && !without_texts {
            false => None,
            true => match self.keyring().by_id_in(read, &row.try_get::<String, _>(37)?).await {
                Err(CatalogError::KeyDestroyed) => None,
                key => Some(key?),
            },
        };
        let (statement, error_message) = if let Some(key) = key {
            let sealed: Vec<u8> = row.try_get(38)?;
            let plain = key.open(cell(STATEMENT, &id, executed_by_oid, start_time), &sealed)?;
            let statement: SealedStatement = serde_json::from_slice(&plain).map_err(|_| CatalogError::corrupted("a statement"))?;
            let error = match row.try_get::<Option<Vec<u8>>, _>(39)? {
                Some(sealed) => {
                    let plain = key.open(cell(ERROR, &id, executed_by_oid, start_time), &sealed)?;
                    Some(String::from_utf8_lossy(&plain).into_owned())
                }
                None => None,
            };
            (Some(statement), error)
        } else {
            (None, None)
        };
        let status: String = row.try_get(3)?;
        let (text, parameters, query_tags) = match statement {
            Some(statement) => (Some(statement.text), Some(statement.parameters), Some(statement.query_tags)),
            None => (None, None, None),
        };
        Ok(HistoryRow {
            statement_id: id.parse().map_err(CatalogError::corrupted)?,
            session_id: row.try_get(1)?,
            statement_type: row.try_get(2)?,
            status: ExecutionStatus::ALL
                .into_iter()
                .find(|known| known.word() == status)
                .ok_or_else(|| CatalogError::corrupted("an execution status"))?,
            executed_by_oid,
            executed_by: row.try_get(5)?,
            executed_as: row.try_get(6)?,
            client_application: row.try_get(7)?,
            client_driver: row.try_get(8)?,
            source_ip_address: row.try_get(9)?,
            database: row.try_get(10)?,
            warehouse: row.try_get(11)?,
            engine: row.try_get(12)?,
            statement_text: text,
            parameters,
            fingerprint: row.try_get(13)?,
            sqlstate: row.try_get(14)?,
            error_message,
            start_time,
            end_time,
            total_duration_ms: end_time.and_then(|end| u64::try_from((end - start_time).num_milliseconds()).ok()),
            metrics: metrics(row)?,
            tables_read: list(row, 33)?,
            tables_written: list(row, 34)?,
            columns_read: list(row, 35)?,
            columns_written: list(row, 40)?,
            tags_read: list(row, 36)?,
            functions: list(row, 41)?,
            auth_method: row.try_get(42)?,
            tls_version: row.try_get(43)?,
            query_tags,
        })
    }
}

fn metrics(row: &AnyRow) -> Result<StatementMetrics, CatalogError> {
    let count = |column: usize| -> Result<Option<u64>, CatalogError> { row.try_get::<Option<i64>, _>(column)?.map(number).transpose() };
    Ok(StatementMetrics {
        waiting_at_capacity_duration_ms: count(17)?,
        compilation_duration_ms: count(18)?,
        execution_duration_ms: count(19)?,
        result_fetch_duration_ms: count(20)?,
        read_files: count(21)?,
        pruned_files: count(22)?,
        read_bytes: count(23)?,
        read_rows: count(24)?,
        read_io_cache_percent: count(25)?,
        from_result_cache: count(26)?.map(|flag| flag != 0),
        cache_origin_statement_id: row.try_get(27)?,
        produced_rows: count(28)?,
        written_rows: count(29)?,
        written_bytes: count(30)?,
        written_files: count(31)?,
        spilled_local_bytes: count(32)?,
    })
}

fn list(row: &AnyRow, column: usize) -> Result<Vec<String>, CatalogError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(CatalogError::corrupted)
}

/// From microseconds since the epoch.
pub(crate) fn time(micros: i64) -> Result<DateTime<Utc>, CatalogError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| CatalogError::corrupted("a time"))
}

/// Numbers the values of a query as it is put together.
#[derive(Default)]
pub struct Places {
    values: Vec<PlaceValue>,
}

enum PlaceValue {
    Integer(i64),
    Text(String),
}

type AnyQuery<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

impl Places {
    pub(crate) fn integer(&mut self, value: i64) -> String {
        self.values.push(PlaceValue::Integer(value));
        format!("${}", self.values.len())
    }

    pub(crate) fn text(&mut self, value: String) -> String {
        self.values.push(PlaceValue::Text(value));
        format!("${}", self.values.len())
    }

    pub(crate) fn bind<'q>(self, query: AnyQuery<'q>) -> AnyQuery<'q> {
        self.values.into_iter().fold(query, |query, value| match value {
            PlaceValue::Integer(value) => query.bind(value),
            PlaceValue::Text(value) => query.bind(value),
        })
    }
}
