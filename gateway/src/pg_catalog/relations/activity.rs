//! `pg_stat_activity`: the sessions of this gateway. What another role runs is shown to superusers and to those who have that
//! role's privileges.

use arrow_array::RecordBatch;
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::may_see;
use lakegate_catalog::model::{ObjectRef, Oid, PG_READ_ALL_STATS_OID};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::SYSTEM_DATABASE_OID;
use crate::pg_catalog::recorded::Recorded;
use crate::server::SessionInfo;
use crate::sql::bind::SYSTEM_DATABASE;
use crate::sqlstate::SqlError;

/// The sessions whose particulars the role may see.
pub fn readable(context: &Context<'_>) -> Vec<SessionInfo> {
    let role = context.principal.current_role;
    context.live.list().into_iter().filter(|session| may_read(context.snapshot, role, session)).collect()
}

/// Source: `HAS_PGSTAT_PERMISSIONS`.
fn may_read(snapshot: &Snapshot, role: Oid, session: &SessionInfo) -> bool {
    snapshot.has_privileges_of(role, session.role_oid) || snapshot.has_privileges_of(role, PG_READ_ALL_STATS_OID)
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let snapshot = context.snapshot;
    let sessions = context.live.list();
    let may_read = |session: &SessionInfo| may_read(snapshot, context.principal.current_role, session);
    let database = |session: &SessionInfo| -> Option<Oid> {
        if session.database == SYSTEM_DATABASE {
            return Some(SYSTEM_DATABASE_OID);
        }
        let named = snapshot.database_by_name(&session.database)?.oid;
        may_see(snapshot, context.principal.current_role, ObjectRef::Database(named)).then_some(named)
    };
    let waits = |session: &SessionInfo| may_read(session) && context.live.queues().position(session.pid).is_some();
    Columns::over(relation, &sessions)
        .put("datid", database)
        .put("datname", |session| database(session).map(|_| &session.database))
        .put("pid", |session| session.pid)
        .put("usesysid", |session| session.role_oid)
        .put("usename", |session| &session.role)
        .put("application_name", |session| &session.application_name)
        .put("client_addr", |session| session.client_address.filter(|_| may_read(session)).map(|address| address.ip().to_string()))
        .put("client_port", |session| session.client_address.filter(|_| may_read(session)).map(|address| i32::from(address.port())))
        .put("backend_start", |session| may_read(session).then_some(session.backend_start))
        .put("query_start", |session| session.query_start.filter(|_| may_read(session)))
        .put("state_change", |session| may_read(session).then_some(session.state_change))
        .put("wait_event_type", |session| waits(session).then_some("Extension"))
        .put("wait_event", |session| waits(session).then_some("Capacity"))
        .put("state", |session| may_read(session).then_some(session.state.word()))
        .put("query", |session| if may_read(session) { session.query.as_deref().unwrap_or_default() } else { "<insufficient privilege>" })
        .put("backend_type", |session| may_read(session).then_some("client backend"))
        .finish()
}
