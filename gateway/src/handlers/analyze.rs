//! ANALYZE: each data file has its statistics from the commit that added it, so there is nothing to gather; names and rights are
//! looked at as PostgreSQL looks at them (vacuum.c, `vacuum_is_permitted_for_relation`).

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize;
use lakegate_catalog::model::{ObjectRef, Relation, RelationKind};

use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::grammar::{Analyze, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// # Errors
/// 42P01, 42703, 42701.
pub async fn run(session: &mut GatewaySession, analyze: &Analyze) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    for (table, columns) in &analyze.tables {
        let parts = name_parts(table)?;
        let name = session.scope(&snapshot).resolve(&snapshot, &parts)?;
        let relation = match snapshot.relation_by_name(&name) {
            Some(relation) => relation.clone(),
            // System relations have no statistics.
            None if crate::pg_catalog::has_relation(&name.schema, &name.name) => continue,
            None => return Err(undefined(&parts)),
        };
        if !is_permitted(session, &snapshot, &relation) {
            continue;
        }
        if relation.kind == RelationKind::View {
            let message = format!("skipping \"{}\" --- cannot analyze non-tables or special system tables", relation.name);
            warn(session, message);
            continue;
        }
        check_columns(&relation, columns)?;
        if analyze.verbose {
            let message = format!("analyzing \"{}.{}\"", name.schema, name.name);
            let mut notice = SqlError::new(SqlState::SuccessfulCompletion, message);
            notice.severity = Severity::Info;
            session.notice(notice);
        }
    }
    Ok(Response::Command { tag: "ANALYZE".to_owned() })
}

fn is_permitted(session: &mut GatewaySession, snapshot: &Snapshot, relation: &Relation) -> bool {
    let permitted = authorize::is_owner(snapshot, session.principal.current_role, ObjectRef::Relation(relation.oid));
    if !permitted {
        warn(session, format!("skipping \"{}\" --- only table or database owner can analyze it", relation.name));
    }
    permitted
}

fn warn(session: &mut GatewaySession, message: String) {
    let mut warning = SqlError::new(SqlState::Warning, message);
    warning.severity = Severity::Warning;
    session.notice(warning);
}

fn check_columns(relation: &Relation, columns: &[String]) -> Result<(), SqlError> {
    for (at, column) in columns.iter().enumerate() {
        if relation.columns.iter().all(|own| own.name != *column) {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
            return Err(SqlError::new(SqlState::UndefinedColumn, message));
        }
        if columns.iter().take(at).any(|before| before == column) {
            let message = format!("column \"{column}\" of relation \"{}\" appears more than once", relation.name);
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
    }
    Ok(())
}
