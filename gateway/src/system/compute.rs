//! `system.compute.warehouses` and `system.compute.engines`: where statements run, and who waits there. A role sees the warehouses that it
//! may use.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{Principal, has_privilege, is_owner};
use lakegate_catalog::engines::EngineLoad;
use lakegate_catalog::model::{ObjectRef, Oid, Privilege, Warehouse};
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::cluster::member::{Joined, Member, State};
use crate::server::LiveSessions;
use crate::sqlstate::SqlError;

/// A row of `system.compute.warehouses`.
pub struct WarehouseRow {
    warehouse: Arc<Warehouse>,
    owner: String,
    running: usize,
    waiting: usize,
}

/// A row of `system.compute.engines`.
pub struct EngineRow {
    name: String,
    state: State,
    version: String,
    cores: u64,
    started: DateTime<Utc>,
    running: usize,
    /// Of an engine in another process.
    joined: Option<JoinedRow>,
}

struct JoinedRow {
    instance: String,
    address: String,
    warehouse: Option<String>,
    labels: String,
    memory_limit_bytes: u64,
    load: EngineLoad,
    seen: DateTime<Utc>,
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

/// The engine of this process, and those that have joined of warehouses that the role may use.
pub fn engines(
    live: &LiveSessions,
    started: DateTime<Utc>,
    principal: &Principal,
    snapshot: &Snapshot,
) -> Result<RelationSource, SqlError> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| u64::try_from(cores.get()).unwrap_or(1));
    let fleet = live.work().fleet();
    let own = EngineRow {
        name: fleet.map_or("embedded", |fleet| fleet.own().name.as_str()).to_owned(),
        state: State::Running,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cores,
        started,
        running: fleet.map_or(0, |fleet| fleet.own().counts().0),
        joined: None,
    };
    let may_see = |warehouse: Oid| {
        let object = ObjectRef::Warehouse(warehouse);
        has_privilege(snapshot, principal.current_role, object, Privilege::Usage) || is_owner(snapshot, principal.current_role, object)
    };
    let members = fleet.map(|fleet| fleet.members());
    let others = members.iter().flat_map(|members| members.iter()).filter_map(|member| {
        let joined = member.joined.as_ref().filter(|joined| may_see(joined.warehouse))?;
        Some(engine_row(member, joined, snapshot))
    });
    engines_table(&std::iter::once(own).chain(others).collect::<Vec<_>>())
}

fn engine_row(member: &Member, joined: &Joined, snapshot: &Snapshot) -> EngineRow {
    let (load, seen) = member.said();
    EngineRow {
        name: member.name.clone(),
        state: member.state(Instant::now()),
        version: joined.facts.version.clone(),
        cores: u64::from(joined.facts.cores),
        started: joined.facts.started,
        running: usize::try_from(load.running).unwrap_or(usize::MAX),
        joined: Some(JoinedRow {
            instance: joined.instance.to_string(),
            address: joined.address.clone(),
            warehouse: snapshot.warehouse(joined.warehouse).map(|warehouse| warehouse.name.clone()),
            labels: serde_json::json!(joined.facts.labels).to_string(),
            memory_limit_bytes: joined.facts.memory_limit_bytes,
            load,
            seen,
        }),
    }
}

/// The rows as a relation. NULL: not known of the engine of this process, which is of no warehouse alone.
pub fn engines_table(rows: &[EngineRow]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("name", |row| Some(row.name.clone()))
        .text("state", |row| Some(row.state.word().to_owned()))
        .text("version", |row| Some(row.version.clone()))
        .count("cores", |row| Some(row.cores))
        .time("start_time", |row| Some(row.started))
        .text("warehouse", |row| row.joined.as_ref()?.warehouse.clone())
        .text("address", |row| row.joined.as_ref().map(|joined| joined.address.clone()))
        .uuid("instance_id", |row| row.joined.as_ref().map(|joined| joined.instance.clone()))
        .json("labels", |row| row.joined.as_ref().map(|joined| joined.labels.clone()))
        .count("memory_limit_bytes", |row| row.joined.as_ref().map(|joined| joined.memory_limit_bytes))
        .count("memory_bytes", |row| row.joined.as_ref().map(|joined| joined.load.memory_bytes))
        .count("running_statements", |row| u64::try_from(row.running).ok())
        .count("open_transactions", |row| row.joined.as_ref().map(|joined| u64::from(joined.load.transactions)))
        .time("last_seen_time", |row| row.joined.as_ref().map(|joined| joined.seen))
        .finish()
}
