//! DROP TABLE, VIEW, SCHEMA, DATABASE. The catalog forgets first; the files of managed tables go after that.

use std::sync::Arc;

use lakegate_catalog::model::{Relation, RelationKind};
use lakegate_catalog::{CatalogError, ObjectKind, Snapshot};
use sqlparser::ast::{ObjectName, ObjectType, Statement};

use crate::frontend::Response;
use crate::sql::grammar::name_parts;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn run(session: &mut GatewaySession, statement: &Statement, journal: &Journal) -> Result<Response, SqlError> {
    let Statement::Drop { object_type, if_exists, names, cascade, purge, temporary, table, .. } = statement else {
        return Err(SqlError::unsupported("this DROP"));
    };
    if *purge || *temporary || table.is_some() {
        return Err(SqlError::new(SqlState::SyntaxError, "DROP takes names, CASCADE and RESTRICT"));
    }
    match object_type {
        ObjectType::Table => drop_relations(session, names, *if_exists, *cascade, ObjectKind::Table, journal).await,
        ObjectType::View => drop_relations(session, names, *if_exists, *cascade, ObjectKind::View, journal).await,
        ObjectType::Schema => drop_schemas(session, names, *if_exists, *cascade).await,
        ObjectType::Database => drop_database(session, names, *if_exists).await,
        other => Err(SqlError::unsupported(format!("DROP {other}"))),
    }
}

async fn drop_relations(
    session: &mut GatewaySession,
    names: &[ObjectName],
    if_exists: bool,
    cascade: bool,
    kind: ObjectKind,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let mut relations: Vec<Arc<Relation>> = Vec::new();
    for name in names {
        let parts = name_parts(name)?;
        match find(session, &snapshot, &parts) {
            Some(relation) => {
                check_kind(&relation, kind)?;
                relations.push(relation);
            }
            None if if_exists => skipped(session, kind.word(), &parts.join(".")),
            None => {
                return Err(SqlError::new(SqlState::UndefinedTable, format!("{} \"{}\" does not exist", kind.word(), parts.join("."))));
            }
        }
    }
    let dependents = super::create_view::dependents(&snapshot, &relations);
    if !dependents.is_empty() && !cascade {
        let name = relations.first().map(|relation| relation.name.clone()).unwrap_or_default();
        let lines: Vec<String> = dependents.iter().map(|view| format!("view {} depends on {} {name}", view.name, kind.word())).collect();
        return Err(SqlError::new(
            SqlState::DependentObjectsStillExist,
            format!("cannot drop {} {name} because other objects depend on it", kind.word()),
        )
        .detail(lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for view in &dependents {
        let text = format!("drop cascades to view {}", view.name);
        session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
    }
    let oids: Vec<_> = dependents.iter().chain(&relations).map(|relation| relation.oid).collect();
    let dropped = session.catalog().drop_relations(&session.principal, &oids).await?;
    journal.note_written(dropped.iter().filter_map(|relation| snapshot.name_of(relation)));
    session.note_dropped(dropped).await;
    Ok(Response::Command { tag: format!("DROP {}", kind.word().to_uppercase()) })
}

async fn drop_schemas(session: &mut GatewaySession, names: &[ObjectName], if_exists: bool, cascade: bool) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    for name in names {
        let parts = name_parts(name)?;
        match super::schema::resolve(session, &snapshot, &parts) {
            Ok(schema) => {
                let dropped = session.catalog().drop_schema(&session.principal, schema, cascade).await?;
                if !dropped.is_empty() {
                    let text = format!("drop cascades to {} other objects", dropped.len());
                    session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
                }
                session.note_dropped(dropped).await;
            }
            Err(_) if if_exists => skipped(session, "schema", &parts.join(".")),
            Err(error) => return Err(error),
        }
    }
    Ok(Response::Command { tag: "DROP SCHEMA".to_owned() })
}

async fn drop_database(session: &mut GatewaySession, names: &[ObjectName], if_exists: bool) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let [name] = names else { return Err(SqlError::new(SqlState::SyntaxError, "DROP DATABASE takes one name")) };
    let name = name_parts(name)?.join(".");
    if name == session.database() {
        return Err(SqlError::new(SqlState::ObjectInUse, "cannot drop the currently open database"));
    }
    match snapshot.database_by_name(&name) {
        Some(database) => {
            let dropped = session.catalog().drop_database(&session.principal, database.oid, true).await?;
            session.note_dropped(dropped).await;
        }
        None if if_exists => skipped(session, "database", &name),
        None => return Err(CatalogError::Undefined { kind: ObjectKind::Database, name }.into()),
    }
    Ok(Response::Command { tag: "DROP DATABASE".to_owned() })
}

fn find(session: &GatewaySession, snapshot: &Snapshot, parts: &[String]) -> Option<Arc<Relation>> {
    let name = session.scope(snapshot).resolve(snapshot, parts).ok()?;
    snapshot.relation_by_name(&name).cloned()
}

fn check_kind(relation: &Relation, kind: ObjectKind) -> Result<(), SqlError> {
    let is_view = relation.kind == RelationKind::View;
    if is_view == (kind == ObjectKind::View) {
        return Ok(());
    }
    let hint = if is_view { "Use DROP VIEW to remove a view." } else { "Use DROP TABLE to remove a table." };
    Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a {}", relation.name, kind.word())).hint(hint))
}

fn skipped(session: &mut GatewaySession, kind: &str, name: &str) {
    let text = format!("{kind} \"{name}\" does not exist, skipping");
    session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
}
