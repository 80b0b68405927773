//! `system.compute.warehouses` and `system.compute.engines`: where statements run, and who waits there. A role sees the warehouses that it
//! may use.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{Principal, has_privilege, is_owner};
use lakegate_catalog::model::{ObjectRef, Privilege, Warehouse};
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::server::LiveSessions;
use crate::sqlstate::SqlError;

/// A row of `system.compute.warehouses`.
pub struct WarehouseRow {
    warehouse: Arc<Warehouse>,
    owner: String,
    running: usize,
    waiting: usize,
}

/// The engine of this process: a row of `system.compute.engines`.
pub struct EngineRow {
    started: DateTime<Utc>,
    cores: u64,
}

pub fn warehouses(live: &LiveSessions, principal: &Principal, snapshot: &Snapshot) -> Result<RelationSource, SqlError> {
    let role = principal.current_role;
    let seen = snapshot.warehouses().filter(|warehouse| {
        let object = ObjectRef::Warehouse(warehouse.oid);
        has_privilege(snapshot, role, object, Privilege::Usage) || is_owner(snapshot, role, object)
    });
    let rows: Vec<WarehouseRow> = seen
        .map(|warehouse| {
            let (running, waiting) = live.queues().counts(warehouse.oid);
            WarehouseRow { warehouse: Arc::clone(warehouse), owner: snapshot.role_name(warehouse.owner), running, waiting }
        })
        .collect();
    warehouses_table(&rows)
}

/// The rows as a relation. NULL: no limit.
pub fn warehouses_table(rows: &[WarehouseRow]) -> Result<RelationSource, SqlError> {
    let count = |number: usize| u64::try_from(number).ok();
    Columns::over(rows)
        .text("name", |row| Some(row.warehouse.name.clone()))
        .text("owner", |row| Some(row.owner.clone()))
        .count("max_concurrency", |row| row.warehouse.limits.max_concurrency.map(u64::from))
        .count("queue_limit", |row| row.warehouse.limits.queue_limit.map(u64::from))
        .count("statement_timeout_ms", |row| row.warehouse.limits.statement_timeout_ms)
        .count("running_statements", |row| count(row.running))
        .count("waiting_statements", |row| count(row.waiting))
        .finish()
}

pub fn engines(started: DateTime<Utc>) -> Result<RelationSource, SqlError> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| u64::try_from(cores.get()).unwrap_or(1));
    engines_table(&[EngineRow { started, cores }])
}

/// The rows as a relation.
pub fn engines_table(rows: &[EngineRow]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("name", |_| Some("embedded".to_owned()))
        .text("state", |_| Some("running".to_owned()))
        .text("version", |_| Some(env!("CARGO_PKG_VERSION").to_owned()))
        .count("cores", |row| Some(row.cores))
        .time("start_time", |row| Some(row.started))
        .finish()
}
