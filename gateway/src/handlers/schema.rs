//! CREATE and ALTER SCHEMA.

use lakegate_catalog::model::Oid;
use lakegate_catalog::{CatalogError, ObjectKind, Snapshot};
use sqlparser::ast::{AlterSchema, AlterSchemaOperation, SchemaName};

use crate::frontend::Response;
use crate::sql::grammar::{fold, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn create(session: &mut GatewaySession, name: &SchemaName, if_not_exists: bool) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let (parts, owner) = match name {
        SchemaName::Simple(name) => (name_parts(name)?, None),
        SchemaName::UnnamedAuthorization(owner) => (vec![fold(owner)], Some(fold(owner))),
        SchemaName::NamedAuthorization(name, owner) => (name_parts(name)?, Some(fold(owner))),
    };
    let owner = owner.map(|owner| snapshot.require_role(&owner).map(|role| role.oid)).transpose()?;
    let (database, schema) = place(session, &snapshot, &parts)?;
    match session.catalog().create_schema(&session.principal, database, &schema, owner).await {
        Ok(_) => {}
        Err(CatalogError::Duplicate { .. }) if if_not_exists => session.notice(SqlError::notice(
            Severity::Notice,
            SqlState::DuplicateSchema,
            format!("schema \"{schema}\" already exists, skipping"),
        )),
        Err(error) => return Err(error.into()),
    }
    Ok(Response::Command { tag: "CREATE SCHEMA".to_owned() })
}

pub async fn alter(session: &mut GatewaySession, alter: &AlterSchema) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let schema = resolve(session, &snapshot, &name_parts(&alter.name)?)?;
    for operation in &alter.operations {
        match operation {
            AlterSchemaOperation::Rename { name } => {
                let new_name = name_parts(name)?.pop().unwrap_or_default();
                session.catalog().rename_schema(&session.principal, schema, &new_name).await?;
            }
            AlterSchemaOperation::OwnerTo { owner } => {
                let owner = owner_oid(session, &snapshot, owner)?;
                session.catalog().change_schema_owner(&session.principal, schema, owner).await?;
            }
            other => return Err(SqlError::unsupported(format!("ALTER SCHEMA … {other}"))),
        }
    }
    Ok(Response::Command { tag: "ALTER SCHEMA".to_owned() })
}

/// The schema that `schema` or `database.schema` names.
pub fn resolve(session: &GatewaySession, snapshot: &Snapshot, parts: &[String]) -> Result<Oid, SqlError> {
    let (database, schema) = place(session, snapshot, parts)?;
    Ok(snapshot.require_schema(database, &schema)?.oid)
}

/// The role that `OWNER TO` names.
pub fn owner_oid(session: &GatewaySession, snapshot: &Snapshot, owner: &sqlparser::ast::Owner) -> Result<Oid, SqlError> {
    Ok(match owner {
        sqlparser::ast::Owner::Ident(name) => snapshot.require_role(&fold(name))?.oid,
        sqlparser::ast::Owner::CurrentRole | sqlparser::ast::Owner::CurrentUser => session.principal.current_role,
        sqlparser::ast::Owner::SessionUser => session.principal.session_role,
    })
}

fn place(session: &GatewaySession, snapshot: &Snapshot, parts: &[String]) -> Result<(Oid, String), SqlError> {
    let (database, schema) = match parts {
        [schema] => (session.database(), schema),
        [database, schema] => (database.as_str(), schema),
        _ => return Err(SqlError::new(SqlState::SyntaxError, "improper schema name")),
    };
    let oid = snapshot
        .database_by_name(database)
        .map(|database| database.oid)
        .ok_or_else(|| CatalogError::Undefined { kind: ObjectKind::Database, name: database.to_owned() })?;
    Ok((oid, schema.clone()))
}
