//! CREATE and ALTER DATABASE.

use lakegate_catalog::CatalogError;

use super::role;
use crate::frontend::Response;
use crate::sql::grammar::{AlterDatabase, AlterDatabaseChange, CreateDatabase};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn create(session: &mut GatewaySession, create: &CreateDatabase) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let owner = create.owner.as_ref().map(|owner| role::named(session, &snapshot, owner)).transpose()?;
    match session.catalog().create_database(&session.principal, &create.name, owner).await {
        Ok(database) => {
            if let Some(limit) = create.connection_limit {
                session.catalog().limit_database(&session.principal, database.oid, limit).await?;
            }
        }
        Err(CatalogError::Duplicate { .. }) if create.if_not_exists => session.notice(SqlError::notice(
            Severity::Notice,
            SqlState::DuplicateDatabase,
            format!("database \"{}\" already exists, skipping", create.name),
        )),
        Err(error) => return Err(error.into()),
    }
    Ok(Response::Command { tag: "CREATE DATABASE".to_owned() })
}

pub async fn alter(session: &mut GatewaySession, alter: &AlterDatabase) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let database = snapshot.require_database(&alter.name)?.oid;
    let (catalog, principal) = (session.catalog().clone(), session.principal);
    match &alter.change {
        AlterDatabaseChange::Rename(_) if alter.name == session.database() => {
            return Err(SqlError::new(SqlState::FeatureNotSupported, "current database cannot be renamed"));
        }
        AlterDatabaseChange::Rename(name) => {
            catalog.rename_database(&principal, database, name).await?;
        }
        AlterDatabaseChange::Owner(owner) => {
            let owner = role::named(session, &snapshot, owner)?;
            catalog.change_database_owner(&principal, database, owner).await?;
        }
        AlterDatabaseChange::ConnectionLimit(limit) => {
            catalog.limit_database(&principal, database, *limit).await?;
        }
        AlterDatabaseChange::Setting(clause) => {
            let change = role::setting_change(session, clause)?;
            catalog.change_role_settings(&principal, None, Some(database), change).await?;
        }
    }
    Ok(Response::Command { tag: "ALTER DATABASE".to_owned() })
}
