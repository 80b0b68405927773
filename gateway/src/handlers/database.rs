//! CREATE DATABASE.

use lakegate_catalog::CatalogError;
use sqlparser::ast::ObjectName;

use crate::frontend::Response;
use crate::sql::grammar::name_parts;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn create(session: &mut GatewaySession, name: &ObjectName, if_not_exists: bool) -> Result<Response, SqlError> {
    let parts = name_parts(name)?;
    let [name] = parts.as_slice() else { return Err(SqlError::new(SqlState::SyntaxError, "improper database name")) };
    match session.catalog().create_database(&session.principal, name, None).await {
        Ok(_) => {}
        Err(CatalogError::Duplicate { .. }) if if_not_exists => session.notice(SqlError::notice(
            Severity::Notice,
            SqlState::DuplicateDatabase,
            format!("database \"{name}\" already exists, skipping"),
        )),
        Err(error) => return Err(error.into()),
    }
    Ok(Response::Command { tag: "CREATE DATABASE".to_owned() })
}
