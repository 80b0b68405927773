//! CREATE, ALTER and DROP POLICY. Source: `src/backend/commands/policy.c` of PostgreSQL 15.

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::require_owner;
use lakegate_catalog::ddl::{RelationUpdate, RowSecurityUpdate};
use lakegate_catalog::governance::{Policy, PolicyCommand, PolicyExpression};
use lakegate_catalog::model::{ObjectRef, Relation, RelationKind};
use sqlparser::ast::{Expr, ObjectName};

use super::expression;
use super::role_oids;
use crate::sql::bind::undefined;
use crate::sql::grammar::{ChangePolicy, CreatePolicy, DropPolicy, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// # Errors
/// 42P01, 42809, 42501, 42710; what is wrong with the expressions.
pub(super) async fn create(session: &mut GatewaySession, create: &CreatePolicy) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let table = own_table(session, &snapshot, &create.table)?;
    let roles = role_oids(session, &snapshot, &create.roles)?;
    let using = condition(session, &snapshot, &table, create.using.as_ref()).await?;
    let check = condition(session, &snapshot, &table, create.check.as_ref()).await?;
    let policy = Policy { oid: 0, name: create.name.clone(), permissive: create.permissive, command: create.command, roles, using, check };
    change(session, &table, RowSecurityUpdate::Create(policy)).await
}

/// # Errors
/// As [`create`]; 42704; 42601 for an expression that the policy's command has not.
pub(super) async fn alter(session: &mut GatewaySession, name: &str, table: &ObjectName, altered: &ChangePolicy) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let table = own_table(session, &snapshot, table)?;
    let (roles, using, check) = match altered {
        ChangePolicy::Rename(to) => {
            return change(session, &table, RowSecurityUpdate::Rename { from: name.to_owned(), to: to.clone() }).await;
        }
        ChangePolicy::Set { roles, using, check } => (roles, using, check),
    };
    if let Some(policy) = table.row_security.policy(name) {
        if check.is_some() && matches!(policy.command, PolicyCommand::Select | PolicyCommand::Delete) {
            return Err(SqlError::new(SqlState::SyntaxError, "only USING expression allowed for SELECT, DELETE"));
        }
        if using.is_some() && policy.command == PolicyCommand::Insert {
            return Err(SqlError::new(SqlState::SyntaxError, "only WITH CHECK expression allowed for INSERT"));
        }
    }
    let roles = roles.as_ref().map(|roles| role_oids(session, &snapshot, roles)).transpose()?;
    let using = condition(session, &snapshot, &table, using.as_deref()).await?;
    let check = condition(session, &snapshot, &table, check.as_deref()).await?;
    change(session, &table, RowSecurityUpdate::Alter { name: name.to_owned(), roles, using, check }).await
}

/// # Errors
/// 42P01, 42704, 42501.
pub(super) async fn drop(session: &mut GatewaySession, drop: &DropPolicy) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&drop.table)?;
    let table = match find(session, &snapshot, &parts) {
        Some(table) => table,
        None if drop.if_exists => {
            let text = format!("relation \"{}\" does not exist, skipping", parts.join("."));
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            return Ok(());
        }
        None => return Err(undefined(&parts)),
    };
    if drop.if_exists && table.row_security.policy(&drop.name).is_none() {
        let text = format!("policy \"{}\" for relation \"{}\" does not exist, skipping", drop.name, table.name);
        session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
        return Ok(());
    }
    let table = own(session, &snapshot, table)?;
    change(session, &table, RowSecurityUpdate::Drop { name: drop.name.clone() }).await
}

async fn change(session: &mut GatewaySession, table: &Relation, update: RowSecurityUpdate) -> Result<(), SqlError> {
    session.catalog().update_relation(&session.principal, table.oid, vec![RelationUpdate::RowSecurity(update)]).await?;
    Ok(())
}

async fn condition(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    table: &Relation,
    written: Option<&Expr>,
) -> Result<Option<PolicyExpression>, SqlError> {
    match written {
        Some(expr) => expression::condition(session, snapshot, table, expr).await.map(Some),
        None => Ok(None),
    }
}

fn own_table(session: &GatewaySession, snapshot: &Snapshot, name: &ObjectName) -> Result<Arc<Relation>, SqlError> {
    let parts = name_parts(name)?;
    let table = find(session, snapshot, &parts).ok_or_else(|| undefined(&parts))?;
    own(session, snapshot, table)
}

fn find(session: &GatewaySession, snapshot: &Snapshot, parts: &[String]) -> Option<Arc<Relation>> {
    let name = session.scope(snapshot).resolve(snapshot, parts).ok()?;
    snapshot.relation_by_name(&name).cloned()
}

fn own(session: &GatewaySession, snapshot: &Snapshot, table: Arc<Relation>) -> Result<Arc<Relation>, SqlError> {
    require_owner(snapshot, &session.principal, ObjectRef::Relation(table.oid))?;
    match table.kind {
        RelationKind::ManagedTable | RelationKind::ExternalTable => Ok(table),
        _ => Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a table", table.name))),
    }
}
