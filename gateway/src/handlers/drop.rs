//! DROP TABLE, VIEW, SCHEMA, DATABASE. The catalog forgets first; the files of managed tables go after that.

use std::sync::Arc;

use lakegate_catalog::authorize;
use lakegate_catalog::ddl::{RelationChange, RelationUpdate, RowSecurityUpdate};
use lakegate_catalog::governance::PolicyExpression;
use lakegate_catalog::model::{ConstraintKind, ObjectRef, Relation};
use lakegate_catalog::snapshot::kind_of;
use lakegate_catalog::{CatalogError, ObjectKind, Snapshot};
use sqlparser::ast::{ObjectName, ObjectType, Statement};

use super::column_text::sequence_of_default;
use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::name_parts;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn run(
    session: &mut GatewaySession,
    statement: &Statement,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let Statement::Drop { object_type, if_exists, names, cascade, purge, temporary, table, .. } = statement else {
        return Err(SqlError::unsupported("this DROP"));
    };
    if *purge || *temporary || table.is_some() {
        return Err(SqlError::new(SqlState::SyntaxError, "DROP takes names, CASCADE and RESTRICT"));
    }
    match object_type {
        ObjectType::Table => drop_relations(session, names, *if_exists, *cascade, ObjectKind::Table, journal).await,
        ObjectType::View => drop_relations(session, names, *if_exists, *cascade, ObjectKind::View, journal).await,
        ObjectType::MaterializedView => drop_relations(session, names, *if_exists, *cascade, ObjectKind::MaterializedView, journal).await,
        ObjectType::Sequence => drop_relations(session, names, *if_exists, *cascade, ObjectKind::Sequence, journal).await,
        ObjectType::Index => drop_indexes(session, names, *if_exists, deadline, journal).await,
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
            None if super::alter::find_index(session, &snapshot, &parts).is_some() => {
                return Err(wrong_kind(parts.last().map_or("", String::as_str), ObjectKind::Index, kind));
            }
            None if if_exists => skipped(session, kind.word(), &parts.join(".")),
            None => {
                return Err(SqlError::new(SqlState::UndefinedTable, format!("{} \"{}\" does not exist", kind.word(), parts.join("."))));
            }
        }
    }
    let dependents = Dependents::of(&snapshot, &relations)?;
    if !dependents.lines.is_empty() && !cascade {
        let name = relations.first().map(|relation| relation.name.clone()).unwrap_or_default();
        return Err(SqlError::new(
            SqlState::DependentObjectsStillExist,
            format!("cannot drop {} {name} because other objects depend on it", kind.word()),
        )
        .detail(dependents.lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    match dependents.cascades.as_slice() {
        [] => {}
        [one] => session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, format!("drop cascades to {one}"))),
        all => {
            let lines: Vec<String> = all.iter().map(|text| format!("drop cascades to {text}")).collect();
            let text = format!("drop cascades to {} other objects", all.len());
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text).detail(lines.join("\n")));
        }
    }
    let mut changes = dependents.changes;
    changes.extend(relations.iter().map(|relation| RelationChange::Drop(relation.oid)));
    let dropped = session.catalog().change_relations(&session.principal, changes).await?;
    journal.note_written(dropped.iter().filter_map(|relation| snapshot.name_of(relation)));
    session.note_dropped(dropped).await;
    Ok(Response::Command { tag: format!("DROP {}", kind.word().to_uppercase()) })
}

/// What goes along where relations are dropped with CASCADE.
#[derive(Default)]
struct Dependents {
    /// Of the detail where there is no CASCADE.
    lines: Vec<String>,
    cascades: Vec<String>,
    changes: Vec<RelationChange>,
}

impl Dependents {
    fn of(snapshot: &Snapshot, relations: &[Arc<Relation>]) -> Result<Self, SqlError> {
        let mut found = Dependents::default();
        for relation in relations {
            let (kind, name) = (kind_of(relation), &relation.name);
            let views = super::create_view::dependents(snapshot, std::slice::from_ref(relation));
            for view in views.iter().rev().filter(|view| !relations.iter().any(|dropped| dropped.oid == view.oid)) {
                let direct = view.depends_on().any(|oid| oid == relation.oid);
                let between = views.iter().find(|other| !direct && view.depends_on().any(|oid| oid == other.oid));
                let on = between.map_or_else(|| format!("{kind} {name}"), |other| format!("{} {}", kind_of(other), other.name));
                found.add(format!("{} {}", kind_of(view), view.name), on, RelationChange::DropDependent(view.oid));
            }
            for other in snapshot.relations().filter(|other| !relations.iter().any(|dropped| dropped.oid == other.oid)) {
                found.add_parts(other, relation)?;
            }
        }
        Ok(found)
    }

    /// Foreign keys to the relation, policies that read it, and defaults that call it.
    fn add_parts(&mut self, other: &Relation, relation: &Relation) -> Result<(), SqlError> {
        for constraint in &other.constraints {
            if matches!(&constraint.kind, ConstraintKind::ForeignKey(key) if key.table == relation.oid) {
                let updates = vec![RelationUpdate::DropConstraint { name: constraint.name.clone() }];
                self.add(
                    format!("constraint {} on table {}", constraint.name, other.name),
                    format!("table {}", relation.name),
                    RelationChange::UpdateDependent { relation: other.oid, updates },
                );
            }
        }
        for policy in &other.row_security.policies {
            let reads = |expression: &PolicyExpression| expression.reads.iter().any(|read| read.oid == relation.oid);
            if policy.using.iter().chain(&policy.check).any(reads) {
                let drop = RowSecurityUpdate::Drop { name: policy.name.clone() };
                self.add(
                    format!("policy {} on table {}", policy.name, other.name),
                    format!("table {}", relation.name),
                    RelationChange::UpdateDependent { relation: other.oid, updates: vec![RelationUpdate::RowSecurity(drop)] },
                );
            }
        }
        if relation.sequence.is_none() {
            return Ok(());
        }
        for column in &other.columns {
            if column.default.as_deref().and_then(sequence_of_default) != Some(relation.oid) {
                continue;
            }
            if column.identity.is_some() {
                let text =
                    format!("cannot drop sequence {} because column {} of table {} requires it", relation.name, column.name, other.name);
                return Err(SqlError::new(SqlState::DependentObjectsStillExist, text)
                    .hint(format!("You can drop column {} of table {} instead.", column.name, other.name)));
            }
            let updates = vec![RelationUpdate::SetDefault { column: column.name.clone(), default: None }];
            self.add(
                format!("default value for column {} of table {}", column.name, other.name),
                format!("sequence {}", relation.name),
                RelationChange::UpdateDependent { relation: other.oid, updates },
            );
        }
        Ok(())
    }

    fn add(&mut self, what: String, on: String, change: RelationChange) {
        if !self.cascades.contains(&what) {
            self.lines.push(format!("{what} depends on {on}"));
            self.cascades.push(what);
            self.changes.push(change);
        }
    }
}

async fn drop_indexes(
    session: &mut GatewaySession,
    names: &[ObjectName],
    if_exists: bool,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let mut changes = Vec::new();
    for name in names {
        let parts = name_parts(name)?;
        match super::alter::find_index(session, &snapshot, &parts) {
            Some(index) if index.is_key => {
                let (name, table) = (&index.name, &index.table.name);
                let text = format!("cannot drop index {name} because constraint {name} on table {table} requires it");
                return Err(SqlError::new(SqlState::DependentObjectsStillExist, text)
                    .hint(format!("You can drop constraint {name} on table {table} instead.")));
            }
            Some(index) => {
                authorize::require_owner(&snapshot, &session.principal, ObjectRef::Relation(index.table.oid))?;
                super::index::forget(session, &snapshot, &index.table, &index.name, deadline, journal).await?;
                let updates = vec![RelationUpdate::DropIndex { name: index.name }];
                changes.push(RelationChange::Update { relation: index.table.oid, updates });
            }
            None if if_exists => skipped(session, "index", &parts.join(".")),
            None => match find(session, &snapshot, &parts) {
                Some(relation) => {
                    check_kind(&relation, ObjectKind::Index)?;
                }
                None => return Err(CatalogError::Undefined { kind: ObjectKind::Index, name: parts.join(".") }.into()),
            },
        }
    }
    session.catalog().change_relations(&session.principal, changes).await?;
    Ok(Response::Command { tag: "DROP INDEX".to_owned() })
}

async fn drop_schemas(session: &mut GatewaySession, names: &[ObjectName], if_exists: bool, cascade: bool) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    for name in names {
        let parts = name_parts(name)?;
        match super::schema::resolve(session, &snapshot, &parts) {
            Ok(schema) => {
                if cascade {
                    authorize::require_owner(&snapshot, &session.principal, ObjectRef::Schema(schema))?;
                    // What stands in other schemas and hangs on what stands in this one.
                    let inside: Vec<Arc<Relation>> = snapshot.relations_in_schema(schema).cloned().collect();
                    let outside = Dependents::of(&snapshot, &inside)?;
                    session.catalog().change_relations(&session.principal, outside.changes).await?;
                }
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
    let own = kind_of(relation);
    if own == kind { Ok(()) } else { Err(wrong_kind(&relation.name, own, kind)) }
}

/// 42809.
fn wrong_kind(name: &str, own: ObjectKind, kind: ObjectKind) -> SqlError {
    let article = |kind: ObjectKind| if kind == ObjectKind::Index { "an" } else { "a" };
    let hint = format!("Use DROP {} to remove {} {own}.", own.word().to_uppercase(), article(own));
    SqlError::new(SqlState::WrongObjectType, format!("\"{name}\" is not {} {}", article(kind), kind.word())).hint(hint)
}

fn skipped(session: &mut GatewaySession, kind: &str, name: &str) {
    let text = format!("{kind} \"{name}\" does not exist, skipping");
    session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
}
