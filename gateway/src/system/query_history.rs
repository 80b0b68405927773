//! `system.query.history`: one row a statement. The text is NULL unless it is the role's own or was granted.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use lakegate_catalog::Catalog;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::statement_log::{HistoryFilter, HistoryRow};
use lakegate_engine_api::RelationSource;

use super::LogWindow;
use super::columns::Columns;
use crate::sqlstate::SqlError;

/// What the catalog has of the log.
pub struct Recent {
    pub source: RelationSource,
    /// The version of the data plane's table that goes with it.
    pub older: Option<u64>,
    pub count: usize,
}

/// Those of the columns that are named; `None`: all.
pub async fn rows(
    catalog: &Catalog,
    principal: &Principal,
    what: &LogWindow,
    columns: Option<&BTreeSet<String>>,
) -> Result<Recent, SqlError> {
    let filter = HistoryFilter {
        limit: Some(what.limit.unwrap_or(u32::MAX)),
        since: what.since,
        until: what.until,
        without_texts: !what.opens,
        columns: columns.cloned(),
        ..HistoryFilter::default()
    };
    let mut parts = catalog.history_parts(principal, filter).await?;
    let (mut batches, mut count) = (Vec::new(), 0);
    while let Some(rows) = parts.next().await? {
        count += rows.len();
        batches.push(batch(&rows, columns)?);
    }
    Ok(Recent { source: together(batches, batch(&[], columns)?), older: parts.older(), count })
}

/// Parts of a relation, or nothing of it.
#[must_use]
pub fn together(batches: Vec<RecordBatch>, empty: RecordBatch) -> RelationSource {
    let schema = empty.schema();
    let batches = if batches.is_empty() { vec![empty] } else { batches };
    RelationSource::Rows { schema, batches: batches.into() }
}

/// How many texts of others are open in these rows.
#[must_use]
pub fn opened(rows: &[HistoryRow], principal: &Principal) -> usize {
    let is_own = |row: &HistoryRow| row.executed_by_oid == principal.session_role || row.executed_by_oid == principal.current_role;
    rows.iter().filter(|row| row.statement_text.is_some() && !is_own(row)).count()
}

/// The rows as a relation.
pub fn table(rows: &[HistoryRow]) -> Result<RelationSource, SqlError> {
    Ok(together(Vec::new(), batch(rows, None)?))
}

pub fn batch(rows: &[HistoryRow], columns: Option<&BTreeSet<String>>) -> Result<RecordBatch, SqlError> {
    Columns::over(rows)
        .only(columns)
        .uuid("statement_id", |row| Some(row.statement_id.to_string()))
        .text("session_id", |row| Some(row.session_id.clone()))
        .text("statement_type", |row| Some(row.statement_type.clone()))
        .text("execution_status", |row| Some(row.status.word().to_owned()))
        .text("executed_by", |row| Some(row.executed_by.clone()))
        .text("executed_as", |row| Some(row.executed_as.clone()))
        .text("client_application", |row| row.client_application.clone())
        .text("client_driver", |row| row.client_driver.clone())
        .text("source_ip_address", |row| row.source_ip_address.clone())
        .text("database", |row| Some(row.database.clone()))
        .text("warehouse", |row| row.warehouse.clone())
        .text("engine", |row| row.engine.clone())
        .text("statement_text", |row| row.statement_text.clone())
        .json("statement_parameters", parameters)
        .text("statement_fingerprint", |row| row.fingerprint.clone())
        .text("sqlstate", |row| row.sqlstate.clone())
        .text("error_message", |row| row.error_message.clone())
        .time("start_time", |row| Some(row.start_time))
        .time("end_time", |row| row.end_time)
        .count("total_duration_ms", |row| row.total_duration_ms)
        .count("waiting_at_capacity_duration_ms", |row| row.metrics.waiting_at_capacity_duration_ms)
        .count("compilation_duration_ms", |row| row.metrics.compilation_duration_ms)
        .count("execution_duration_ms", |row| row.metrics.execution_duration_ms)
        .count("result_fetch_duration_ms", |row| row.metrics.result_fetch_duration_ms)
        .count("read_files", |row| row.metrics.read_files)
        .count("pruned_files", |row| row.metrics.pruned_files)
        .count("read_bytes", |row| row.metrics.read_bytes)
        .count("read_rows", |row| row.metrics.read_rows)
        .count("read_io_cache_percent", |row| row.metrics.read_io_cache_percent)
        .flag("from_result_cache", |row| row.metrics.from_result_cache)
        .text("cache_origin_statement_id", |row| row.metrics.cache_origin_statement_id.clone())
        .count("produced_rows", |row| row.metrics.produced_rows)
        .count("written_rows", |row| row.metrics.written_rows)
        .count("written_bytes", |row| row.metrics.written_bytes)
        .count("written_files", |row| row.metrics.written_files)
        .count("spilled_local_bytes", |row| row.metrics.spilled_local_bytes)
        .texts("tables_read", |row| row.tables_read.clone())
        .texts("tables_written", |row| row.tables_written.clone())
        .texts("columns_read", |row| row.columns_read.clone())
        .texts("tags_read", |row| row.tags_read.clone())
        .texts("columns_written", |row| row.columns_written.clone())
        .texts("functions", |row| row.functions.clone())
        .text("auth_method", |row| row.auth_method.clone())
        .text("tls_version", |row| row.tls_version.clone())
        .json("query_tags", |row| row.query_tags.as_ref().map(|tags| serde_json::json!(tags).to_string()))
        .batch()
}

fn parameters(row: &HistoryRow) -> Option<String> {
    row.parameters.as_ref().filter(|parameters| !parameters.is_empty()).map(|parameters| serde_json::json!(parameters).to_string())
}
