//! `system.query.history` and `system.access.audit` over both places: the rows of the catalog, and those of the data plane as of the same
//! moment, in one query of our own.

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::flushed::Log;
use lakegate_catalog::model::{Oid, READ_AUDIT_OID, READ_HISTORY_OID, RelationName};
use lakegate_engine_api::{BoundRelation, RelationSource};

use super::tables::{DAY, table};
use crate::own_tables::{part_of, sql_name};
use crate::privacy::{quoted, string};
use crate::sqlstate::SqlError;

/// The records of the data plane that a role may see.
pub struct OldRecords {
    /// SQL over [`OldRecords::table`], with the columns of the system relation.
    pub query: String,
    pub table: BoundRelation,
}

/// What of a log is in the data plane at a version; `opens`: what is sealed is asked for, too; `only`: a condition over `s`.
#[must_use]
#[expect(clippy::too_many_arguments, reason = "each is another thing")]
pub fn older(
    log: Log,
    version: u64,
    root: &str,
    snapshot: &Snapshot,
    principal: &Principal,
    columns: &[String],
    opens: bool,
    only: Option<&str>,
) -> OldRecords {
    let stored = table(log);
    let shown = |column: &String| format!("{} AS {}", expression(log, column, opens), quoted(column));
    let own = format!("IN ({}, {})", principal.session_role, principal.current_role);
    let sees_all = sees_all(log, snapshot, principal.current_role);
    let visible = match (sees_all, log) {
        (true, _) => None,
        (false, Log::Statements) => Some(format!("s.executed_by_oid {own}")),
        (false, Log::Events) => Some(format!("s.actor_oid {own}")),
    };
    let conditions: Vec<&str> = visible.as_deref().into_iter().chain(only).collect();
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let query = format!("SELECT {} FROM {} AS s{condition}", columns.iter().map(shown).collect::<Vec<_>>().join(", "), stored.sql_name());
    OldRecords { query, table: stored.bound(root, Some(version), None) }
}

fn sees_all(log: Log, snapshot: &Snapshot, role: Oid) -> bool {
    let audits = snapshot.has_privileges_of(role, READ_AUDIT_OID);
    match log {
        Log::Statements => audits || snapshot.has_privileges_of(role, READ_HISTORY_OID),
        Log::Events => audits,
    }
}

fn expression(log: Log, column: &str, opens: bool) -> String {
    let of = |name: &str| format!("s.{}", quoted(name));
    let ended = |name: &str| format!("COALESCE(s.{}, s.{})", quoted(&format!("ended_{name}")), quoted(name));
    let sealed = |id: &str, data_type: &str| match opens {
        true => format!(
            "lakegate.open_record({}, {}, s.{id}::text)::{data_type}",
            string(if log == Log::Statements { "history" } else { "audit" }),
            string(column)
        ),
        false => format!("NULL::{data_type}"),
    };
    match (log, column) {
        (Log::Statements, "statement_text" | "error_message") => sealed("statement_id", "text"),
        (Log::Statements, "statement_parameters" | "query_tags") => sealed("statement_id", "jsonb"),
        (Log::Events, "request_params") => sealed("event_id", "jsonb"),
        (Log::Events, "error_message") => sealed("event_id", "text"),
        (Log::Events, "event_date") => of(DAY),
        (Log::Statements, "database") => of("database_name"),
        (Log::Statements, "engine" | "tables_read" | "tables_written" | "columns_read" | "tags_read") => ended(column),
        (Log::Statements, "from_result_cache") => format!("({} <> 0)", of(column)),
        (Log::Statements, "total_duration_ms") => "trunc(EXTRACT(epoch FROM s.end_time - s.start_time) * 1000)::bigint".to_owned(),
        _ => of(column),
    }
}

/// Both places in the place of the relation: the query, and what it reads.
///
/// # Errors
/// XX000.
pub fn view(name: &RelationName, recent: RelationSource, old: OldRecords) -> Result<(String, Vec<String>, Vec<BoundRelation>), SqlError> {
    let RelationSource::Log { schema, .. } = &recent else {
        return Err(crate::own_tables::internal("a log without rows of its own"));
    };
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let part = part_of(&name.schema, &name.name, "recent");
    let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let query = format!("SELECT {} FROM {} UNION ALL {}", list.join(", "), sql_name(&part), old.query);
    Ok((query, columns, vec![BoundRelation::new(part, recent), old.table]))
}
