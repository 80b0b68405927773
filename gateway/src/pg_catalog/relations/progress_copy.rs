//! `pg_stat_progress_copy`: the COPYs of this gateway that run now.

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakegate_catalog::authorize::may_see;
use lakegate_catalog::model::{ObjectRef, Oid, PG_READ_ALL_STATS_OID};
use lakegate_engine_api::Progress;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::SYSTEM_DATABASE_OID;
use crate::pg_catalog::recorded::Recorded;
use crate::server::Copy;
use crate::sql::bind::SYSTEM_DATABASE;
use crate::sqlstate::SqlError;

type Running = (Arc<Copy>, Progress);

/// Source: `pg_stat_get_progress_info`, which hides the particulars of other roles' work.
pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let (snapshot, role) = (context.snapshot, context.principal.current_role);
    let copies = context.live.work().copies();
    let may_read =
        |(copy, _): &Running| snapshot.has_privileges_of(role, copy.role_oid) || snapshot.has_privileges_of(role, PG_READ_ALL_STATS_OID);
    let database = |(copy, _): &Running| -> Option<Oid> {
        if copy.database == SYSTEM_DATABASE {
            return Some(SYSTEM_DATABASE_OID);
        }
        let named = snapshot.database_by_name(&copy.database)?.oid;
        may_see(snapshot, role, ObjectRef::Database(named)).then_some(named)
    };
    let count = |running: &Running, count: u64| may_read(running).then_some(i64::try_from(count).unwrap_or(i64::MAX));
    Columns::over(relation, &copies)
        .put("pid", |(copy, _)| copy.pid)
        .put("datid", database)
        .put("datname", |running| database(running).map(|_| running.0.database.clone()))
        .put("relid", |running| may_read(running).then_some(running.0.relation))
        .put("command", |running| may_read(running).then_some(if running.0.is_from { "COPY FROM" } else { "COPY TO" }))
        .put("type", |running| may_read(running).then_some(if running.0.is_file() { "FILE" } else { "PIPE" }))
        .put("bytes_processed", |running| count(running, running.1.bytes_done))
        .put("bytes_total", |running| count(running, running.1.bytes_total))
        .put("tuples_processed", |running| count(running, running.1.rows_done))
        .put("tuples_excluded", |running| count(running, running.1.rows_left_out))
        .finish()
}
