//! CREATE and DROP EXTERNAL LOCATION.

use lakegate_catalog::{CatalogError, ObjectKind};

use crate::frontend::Response;
use crate::sql::grammar::{CreateExternalLocation, DropExternalLocation};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn create(session: &mut GatewaySession, create: &CreateExternalLocation) -> Result<Response, SqlError> {
    match session.catalog().create_external_location(&session.principal, &create.name, &create.url).await {
        Ok(_) => {}
        Err(CatalogError::Duplicate { .. }) if create.if_not_exists => {
            skipped(session, &format!("external location \"{}\" already exists, skipping", create.name));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Response::Command { tag: "CREATE EXTERNAL LOCATION".to_owned() })
}

pub async fn drop(session: &mut GatewaySession, drop: &DropExternalLocation) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    match snapshot.external_location_by_name(&drop.name) {
        Some(location) => session.catalog().drop_external_location(&session.principal, location.oid).await?,
        None if drop.if_exists => skipped(session, &format!("external location \"{}\" does not exist, skipping", drop.name)),
        None => return Err(CatalogError::Undefined { kind: ObjectKind::ExternalLocation, name: drop.name.clone() }.into()),
    }
    Ok(Response::Command { tag: "DROP EXTERNAL LOCATION".to_owned() })
}

fn skipped(session: &mut GatewaySession, text: &str) {
    session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
}
