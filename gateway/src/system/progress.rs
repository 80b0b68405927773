//! `system.query.progress`: statements of this gateway that change tables or work on them as a whole, while they run. A role sees those of
//! the roles whose privileges it has; `pg_read_all_stats` sees all.

use chrono::Utc;
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::PG_READ_ALL_STATS_OID;
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::server::{LiveSessions, Working};
use crate::sqlstate::SqlError;

pub fn rows(live: &LiveSessions, principal: &Principal, snapshot: &Snapshot) -> Result<RelationSource, SqlError> {
    let role = principal.current_role;
    let may_see = |working: &Working| {
        snapshot.has_privileges_of(role, working.worker.role_oid) || snapshot.has_privileges_of(role, PG_READ_ALL_STATS_OID)
    };
    let seen: Vec<Working> = live.work().list().into_iter().filter(may_see).collect();
    table(&seen)
}

/// The rows as a relation.
pub fn table(rows: &[Working]) -> Result<RelationSource, SqlError> {
    let known = |total: u64| (total > 0).then_some(total);
    Columns::over(rows)
        .uuid("statement_id", |row| Some(row.worker.statement_id.to_string()))
        .text("session_id", |row| Some(row.worker.session_id.clone()))
        .count("process_id", |row| u64::try_from(row.worker.pid).ok().filter(|pid| *pid > 0))
        .text("statement_type", |row| Some(row.worker.statement_type.to_owned()))
        .text("executed_by", |row| Some(row.worker.role.clone()))
        .text("database", |row| Some(row.worker.database.clone()))
        .text("table_name", |row| row.table.as_ref().map(ToString::to_string))
        .text("phase", |row| Some(row.progress.phase.word().to_owned()))
        .count("files_done", |row| Some(row.progress.files_done))
        .count("files_total", |row| known(row.progress.files_total))
        .count("bytes_done", |row| Some(row.progress.bytes_done))
        .count("bytes_total", |row| known(row.progress.bytes_total))
        .count("rows_done", |row| Some(row.progress.rows_done))
        .time("start_time", |row| Some(row.worker.started))
        .count("elapsed_ms", |row| u64::try_from(Utc::now().signed_duration_since(row.worker.started).num_milliseconds()).ok())
        .flag("is_background", |row| Some(row.worker.pid == 0))
        .finish()
}
