//! COMMENT ON.

use lakegate_catalog::ddl::CommentOn;
use sqlparser::ast::{CommentObject, ObjectName};

use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::grammar::name_parts;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

pub async fn run(
    session: &mut GatewaySession,
    object: &CommentObject,
    name: &ObjectName,
    comment: Option<&str>,
    if_exists: bool,
) -> Result<Response, SqlError> {
    if if_exists {
        return Err(SqlError::unsupported("COMMENT IF EXISTS"));
    }
    let snapshot = session.catalog().snapshot();
    let parts = name_parts(name)?;
    let relation = |parts: &[String]| -> Result<_, SqlError> {
        let resolved = session.scope(&snapshot).resolve(&snapshot, parts)?;
        Ok(snapshot.relation_by_name(&resolved).ok_or_else(|| undefined(parts))?.oid)
    };
    let on = match object {
        CommentObject::Table | CommentObject::View => CommentOn::Relation(relation(&parts)?),
        CommentObject::Column => {
            let Some((column, table)) = parts.split_last().filter(|(_, table)| !table.is_empty()) else {
                return Err(SqlError::new(SqlState::SyntaxError, "column name must be qualified"));
            };
            CommentOn::Column { relation: relation(table)?, column: column.clone() }
        }
        CommentObject::Schema => CommentOn::Schema(super::schema::resolve(session, &snapshot, &parts)?),
        CommentObject::Database => CommentOn::Database(snapshot.require_database(&parts.join("."))?.oid),
        other => return Err(SqlError::unsupported(format!("COMMENT ON {other}"))),
    };
    session.catalog().set_comment(&session.principal, on, comment.map(str::to_owned)).await?;
    Ok(Response::Command { tag: "COMMENT".to_owned() })
}
