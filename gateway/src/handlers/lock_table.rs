//! LOCK TABLE in the modes that every reader and writer has anyway. Mirrors lockcmds.c.

use std::sync::Arc;

use lakegate_catalog::authorize::has_privilege;
use lakegate_catalog::model::{ObjectRef, Privilege};
use sqlparser::ast::{ObjectName, Statement};

use super::copy::select_of;
use super::transaction::require_block;
use crate::frontend::Response;
use crate::sql::grammar::{Command, LockMode, LockTable, name_parts};
use crate::sql::prepare::plan;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// # Errors
/// 25P01 outside a block, 42P01, 42501.
pub async fn run(session: &mut GatewaySession, lock: &LockTable) -> Result<Response, SqlError> {
    require_block(session, "LOCK TABLE")?;
    for table in &lock.tables {
        match lock.mode {
            LockMode::AccessShare => settle(session, table).await?,
            LockMode::RowShare => check(session, table, &[Privilege::Update, Privilege::Delete, Privilege::Truncate]).await?,
            LockMode::RowExclusive => {
                check(session, table, &[Privilege::Insert, Privilege::Update, Privilege::Delete, Privilege::Truncate]).await?;
            }
        }
    }
    Ok(Response::Command { tag: "LOCK TABLE".to_owned() })
}

/// From here on the transaction reads the table as it is now, and what stands behind a view: nobody can change what it sees.
async fn settle(session: &mut GatewaySession, table: &ObjectName) -> Result<(), SqlError> {
    let query = Command::Sql(Box::new(Statement::Query(Box::new(select_of(table, &[])))));
    plan(session, &Arc::new(query), None, &[]).await.map(drop)
}

async fn check(session: &GatewaySession, table: &ObjectName, any: &[Privilege]) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let name = session.scope(&snapshot).resolve(&snapshot, &name_parts(table)?)?;
    let relation = snapshot.relation_by_name(&name).ok_or_else(|| crate::sql::bind::undefined(std::slice::from_ref(&name.name)))?;
    let role = session.principal.current_role;
    if any.iter().any(|privilege| has_privilege(&snapshot, role, ObjectRef::Relation(relation.oid), *privilege)) {
        return Ok(());
    }
    Err(SqlError::new(SqlState::InsufficientPrivilege, format!("permission denied for table {}", name.name)))
}
