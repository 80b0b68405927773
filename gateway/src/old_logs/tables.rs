//! The two tables: every column that is hashed of a record, by the name that the catalog has for it, and the day.

use lakegate_catalog::flushed::Log;
use lakegate_catalog::model::PgType;

use crate::own_tables::OwnTable;

/// The partition column.
pub const DAY: &str = "log_date";
pub const TEXTS: PgType = PgType { oid: 1009, typmod: -1 };

const PROPERTIES: [(&str, &str); 2] = [("delta.checkpointInterval", "50"), ("delta.logRetentionDuration", "interval 2 days")];

const STATEMENTS: OwnTable = OwnTable {
    schema: "query",
    relation: "history",
    folder: "log/statements",
    columns: &[
        (DAY, PgType::DATE),
        ("start_time", PgType::TIMESTAMPTZ),
        ("executed_by_oid", PgType::INT8),
        ("executed_by", PgType::TEXT),
        ("statement_type", PgType::TEXT),
        ("execution_status", PgType::TEXT),
        ("sqlstate", PgType::TEXT),
        ("statement_id", PgType::UUID),
        ("writer", PgType::TEXT),
        ("process", PgType::TEXT),
        ("session_id", PgType::TEXT),
        ("executed_as", PgType::TEXT),
        ("client_application", PgType::TEXT),
        ("client_driver", PgType::TEXT),
        ("source_ip_address", PgType::TEXT),
        ("auth_method", PgType::TEXT),
        ("tls_version", PgType::TEXT),
        ("database_name", PgType::TEXT),
        ("warehouse", PgType::TEXT),
        ("engine", PgType::TEXT),
        ("statement_fingerprint", PgType::TEXT),
        ("tables_read", TEXTS),
        ("tables_written", TEXTS),
        ("columns_read", TEXTS),
        ("columns_written", TEXTS),
        ("tags_read", TEXTS),
        ("functions", TEXTS),
        ("key_id", PgType::TEXT),
        ("statement_digest", PgType::TEXT),
        ("ended_engine", PgType::TEXT),
        ("ended_columns_read", TEXTS),
        ("ended_tables_read", TEXTS),
        ("ended_tables_written", TEXTS),
        ("ended_tags_read", TEXTS),
        ("end_time", PgType::TIMESTAMPTZ),
        ("waiting_at_capacity_duration_ms", PgType::INT8),
        ("compilation_duration_ms", PgType::INT8),
        ("execution_duration_ms", PgType::INT8),
        ("result_fetch_duration_ms", PgType::INT8),
        ("read_files", PgType::INT8),
        ("pruned_files", PgType::INT8),
        ("read_bytes", PgType::INT8),
        ("read_rows", PgType::INT8),
        ("read_io_cache_percent", PgType::INT8),
        ("from_result_cache", PgType::INT8),
        ("cache_origin_statement_id", PgType::TEXT),
        ("produced_rows", PgType::INT8),
        ("written_rows", PgType::INT8),
        ("written_bytes", PgType::INT8),
        ("written_files", PgType::INT8),
        ("spilled_local_bytes", PgType::INT8),
        ("error_digest", PgType::TEXT),
    ],
    partitioned_by: &[DAY],
    properties: &PROPERTIES,
};

const EVENTS: OwnTable = OwnTable {
    schema: "access",
    relation: "audit",
    folder: "log/audit_events",
    columns: &[
        (DAY, PgType::DATE),
        ("event_time", PgType::TIMESTAMPTZ),
        ("actor_oid", PgType::INT8),
        ("actor", PgType::TEXT),
        ("action_name", PgType::TEXT),
        ("status", PgType::TEXT),
        ("event_id", PgType::UUID),
        ("run_as", PgType::TEXT),
        ("source_ip_address", PgType::TEXT),
        ("session_id", PgType::TEXT),
        ("client_application", PgType::TEXT),
        ("auth_method", PgType::TEXT),
        ("service_name", PgType::TEXT),
        ("object_type", PgType::TEXT),
        ("object_name", PgType::TEXT),
        ("sqlstate", PgType::TEXT),
        ("rows_affected", PgType::INT8),
        ("statement_id", PgType::UUID),
        ("key_id", PgType::TEXT),
        ("detail_digest", PgType::TEXT),
    ],
    partitioned_by: &[DAY],
    properties: &PROPERTIES,
};

#[must_use]
pub const fn table(log: Log) -> &'static OwnTable {
    match log {
        Log::Statements => &STATEMENTS,
        Log::Events => &EVENTS,
    }
}

/// The rows as they are hashed; `condition` in SQL, or nothing.
#[must_use]
pub fn values_query(log: Log, condition: &str) -> String {
    let columns: Vec<String> = log.columns().iter().map(|column| format!("\"{column}\"")).collect();
    format!("SELECT {} FROM {} {condition}", columns.join(", "), table(log).sql_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_is_hashed_is_there() {
        for log in Log::ALL {
            let mut there: Vec<&str> = table(log).columns.iter().map(|(name, _)| *name).filter(|name| *name != DAY).collect();
            let mut hashed = log.columns();
            there.sort_unstable();
            hashed.sort_unstable();
            assert_eq!(there, hashed);
        }
    }
}
