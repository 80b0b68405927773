//! ALTER TABLE, as far as it is the catalog's alone: RENAME TO, OWNER TO, SET SCHEMA.

use lakegate_catalog::authorize;
use lakegate_catalog::model::ObjectRef;
use sqlparser::ast::{AlterTable, AlterTableOperation, RenameTableNameKind};

use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::grammar::name_parts;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn run(session: &mut GatewaySession, alter: &AlterTable) -> Result<Response, SqlError> {
    crate::sql::prepare::refuse_in_block(session)?;
    let snapshot = session.shared.catalog.refresh().await?;
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
    let catalog = session.shared.catalog.clone();
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
            other => {
                authorize::require_owner(&snapshot, &session.principal, ObjectRef::Relation(relation))?;
                let words = other.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
                return Err(SqlError::new(SqlState::FeatureNotSupported, format!("ALTER TABLE … {words} is not supported")));
            }
        }
    }
    Ok(Response::Command { tag: "ALTER TABLE".to_owned() })
}
