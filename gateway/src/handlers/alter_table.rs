//! ALTER TABLE: RENAME TO, OWNER TO, ADD COLUMN, ALTER COLUMN SET and DROP DEFAULT.

use lakegate_catalog::authorize;
use lakegate_catalog::ddl::RelationUpdate;
use lakegate_catalog::model::{ObjectRef, Oid, RelationKind};
use lakegate_engine_api::ColumnDefinition;
use sqlparser::ast::{AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, RenameTableNameKind};

use super::create_table::column_definition;
use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::grammar::{fold, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn run(session: &mut GatewaySession, alter: &AlterTable) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&alter.name)?;
    let relation = match session.scope(&snapshot).resolve(&snapshot, &parts) {
        Ok(name) => snapshot.relation_by_name(&name).ok_or_else(|| undefined(&parts))?.oid,
        Err(_) if alter.if_exists => {
            let text = format!("relation \"{}\" does not exist, skipping", parts.join("."));
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            return Ok(Response::Command { tag: "ALTER TABLE".to_owned() });
        }
        Err(error) => return Err(error),
    };
    if alter.operations.len() > 1 {
        return Err(SqlError::unsupported("ALTER TABLE with several actions").hint("Give one statement an action."));
    }
    let catalog = session.catalog().clone();
    for operation in &alter.operations {
        match operation {
            AlterTableOperation::RenameTable { table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name) } => {
                let new_name = name_parts(name)?.pop().unwrap_or_default();
                catalog.rename_relation(&session.principal, relation, &new_name).await?;
            }
            AlterTableOperation::OwnerTo { new_owner } => {
                let owner = super::schema::owner_oid(session, &snapshot, new_owner)?;
                catalog.change_relation_owner(&session.principal, relation, owner).await?;
            }
            AlterTableOperation::AddColumn { if_not_exists, column_def, column_position: None, .. } => {
                add_column(session, relation, column_def, *if_not_exists).await?;
            }
            AlterTableOperation::AlterColumn {
                column_name,
                op: op @ (AlterColumnOperation::SetDefault { .. } | AlterColumnOperation::DropDefault),
            } => {
                let default = match op {
                    AlterColumnOperation::SetDefault { value } => Some(value.to_string()),
                    _ => None,
                };
                let update = RelationUpdate::SetDefault { column: fold(column_name), default };
                catalog.update_relation(&session.principal, relation, vec![update]).await?;
            }
            other => {
                authorize::require_owner(&snapshot, &session.principal, ObjectRef::Relation(relation))?;
                let words = other.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
                return Err(SqlError::new(SqlState::FeatureNotSupported, format!("ALTER TABLE … {words} is not supported")));
            }
        }
    }
    Ok(Response::Command { tag: "ALTER TABLE".to_owned() })
}

/// First the Delta table, then the catalog: after a crash in between, the statement can be given again.
async fn add_column(session: &mut GatewaySession, relation: Oid, definition: &ColumnDef, if_not_exists: bool) -> Result<(), SqlError> {
    if session.is_staging() {
        return Err(SqlError::unsupported("ALTER TABLE … ADD COLUMN in a transaction block").hint("Run it outside BEGIN … COMMIT."));
    }
    let snapshot = session.catalog().refresh().await?;
    authorize::require_owner(&snapshot, &session.principal, ObjectRef::Relation(relation))?;
    let Some(table) = snapshot.relation_by_oid(relation).cloned() else {
        return Err(SqlError::new(SqlState::UndefinedTable, "the relation does not exist any more"));
    };
    if table.kind != RelationKind::ManagedTable {
        return Err(SqlError::new(SqlState::FeatureNotSupported, "ADD COLUMN is for managed tables")
            .hint("Change an external table in the system that owns it, then register it again."));
    }
    let (column, constraints) = column_definition(&table.name, definition)?;
    if table.column(&column.name).is_some() {
        let text = format!("column \"{}\" of relation \"{}\" already exists", column.name, table.name);
        if !if_not_exists {
            return Err(SqlError::new(SqlState::DuplicateColumn, text));
        }
        session.notice(SqlError::notice(Severity::Notice, SqlState::DuplicateColumn, format!("{text}, skipping")));
        return Ok(());
    }
    if !constraints.is_empty() {
        return Err(SqlError::unsupported("ADD COLUMN with a constraint"));
    }
    if column.default.is_some() {
        return Err(SqlError::unsupported("ADD COLUMN with a default")
            .hint("Add the column, UPDATE the rows that are there, then ALTER TABLE … ALTER COLUMN … SET DEFAULT."));
    }
    let added = ColumnDefinition { name: column.name.clone(), data_type: column.data_type, not_null: column.not_null };
    session.shared.engine.add_columns(&table.location, &table.name, vec![added]).await?;
    session.catalog().update_relation(&session.principal, relation, vec![RelationUpdate::AddColumns(vec![column])]).await?;
    Ok(())
}
