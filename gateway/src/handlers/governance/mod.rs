//! Tags of databases and schemas, CREATE, ALTER and DROP POLICY, CREATE and DROP MASKING POLICY. What ALTER TABLE has of these is
//! [`super::alter`]'s.

use lakegate_catalog::ddl::TagsOf;

use crate::frontend::Response;
use crate::sql::grammar::{AlterTags, Governance, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::SqlError;

/// # Errors
/// 42501 for others than the owner; the command's own.
pub async fn run(session: &mut GatewaySession, command: &Governance) -> Result<Response, SqlError> {
    match command {
        Governance::AlterTags(alter) => alter_tags(session, alter).await?,
        _ => return Err(SqlError::unsupported(command.tag())),
    }
    Ok(Response::Command { tag: command.tag().to_owned() })
}

async fn alter_tags(session: &mut GatewaySession, alter: &AlterTags) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&alter.name)?;
    let of = if alter.of_database {
        TagsOf::Database(snapshot.require_database(&parts.join("."))?.oid)
    } else {
        TagsOf::Schema(super::schema::resolve(session, &snapshot, &parts)?)
    };
    Ok(session.catalog().set_tags(&session.principal, of, alter.changes.clone()).await?)
}
