//! ALTER TABLE, VIEW, MATERIALIZED VIEW, SEQUENCE and INDEX.

mod actions;
mod index;
mod views;

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::require_owner;
use lakegate_catalog::ddl::{RelationChange, RelationUpdate};
use lakegate_catalog::model::{ObjectRef, Relation, RelationKind, RelationName};
use lakegate_engine_api::ExecutionContext;
use sqlparser::ast::{AlterTableOperation, CreateTableOptions, RenameTableNameKind};

pub use self::index::find as find_index;
use crate::frontend::Response;
use crate::handlers::governance;
use crate::sql::bind::undefined;
use crate::sql::execute::Deadline;
use crate::sql::grammar::{Alter, AlterAction, RelationWord, fold, name_parts};
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sql::together::settled;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// # Errors
/// 42P01, 42809, 42501 and what the actions give.
pub async fn run(session: &mut GatewaySession, alter: &Alter, deadline: &Deadline, journal: &Journal) -> Result<Response, SqlError> {
    let done = || Response::Command { tag: format!("ALTER {}", alter.word.tag()) };
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&alter.name)?;
    let resolved = session.scope(&snapshot).resolve(&snapshot, &parts).ok();
    let Some((name, relation)) = resolved.and_then(|name| Some((name.clone(), Arc::clone(snapshot.relation_by_name(&name)?)))) else {
        // An index is no relation of the catalog's own.
        if matches!(alter.word, RelationWord::Index | RelationWord::Table)
            && let Some(found) = index::find(session, &snapshot, &parts)
        {
            index::alter(session, &snapshot, &found, &alter.actions).await?;
            return Ok(done());
        }
        if alter.if_exists {
            let text = format!("relation \"{}\" does not exist, skipping", parts.join("."));
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            return Ok(done());
        }
        return Err(undefined(&parts));
    };
    check_kind(&relation, alter)?;
    if govern(session, &snapshot, &relation, &alter.actions).await? {
        return Ok(done());
    }
    for action in &alter.actions {
        if let AlterAction::Sequence(options) = action {
            super::sequence::alter(session, &snapshot, &relation, options).await?;
            return Ok(done());
        }
    }
    if let [action] = alter.actions.as_slice()
        && of_the_whole(session, &snapshot, &relation, action).await?
    {
        return Ok(done());
    }
    match relation.kind {
        RelationKind::ManagedTable => {
            let table = Table { name: &name, relation: &relation };
            alter_table(session, &snapshot, table, &alter.actions, deadline, journal).await?;
        }
        RelationKind::ExternalTable => {
            return Err(SqlError::new(SqlState::FeatureNotSupported, "ALTER TABLE of this kind is for managed tables")
                .hint("Change an external table in the system that owns it, then register it again."));
        }
        RelationKind::View | RelationKind::MaterializedView => rename_columns(session, &relation, &alter.actions).await?,
        RelationKind::Sequence => {
            let text = format!("ALTER action cannot be performed on relation \"{}\"", relation.name);
            return Err(SqlError::new(SqlState::WrongObjectType, text).detail("This operation is not supported for sequences."));
        }
    }
    Ok(done())
}

/// Tags, masks and row-level security touch the catalog alone, of whatever relation has them. False where there are other actions, too.
async fn govern(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    relation: &Relation,
    actions: &[AlterAction],
) -> Result<bool, SqlError> {
    let is_of_these =
        |action: &AlterAction| matches!(action, AlterAction::Tags { .. } | AlterAction::RowSecurity(_) | AlterAction::Mask { .. });
    if !actions.iter().all(is_of_these) {
        return Ok(false);
    }
    require_owner(snapshot, &session.principal, ObjectRef::Relation(relation.oid))?;
    let mut updates = Vec::new();
    for action in actions {
        updates.extend(governance::update(session, snapshot, relation, action).await?);
    }
    session.catalog().update_relation(&session.principal, relation.oid, updates).await?;
    Ok(true)
}

#[derive(Clone, Copy)]
struct Table<'a> {
    name: &'a RelationName,
    relation: &'a Arc<Relation>,
}

/// ALTER TABLE takes them all, for what they have in common.
fn check_kind(relation: &Relation, alter: &Alter) -> Result<(), SqlError> {
    let fits = match alter.word {
        RelationWord::Table => true,
        RelationWord::View => relation.kind == RelationKind::View,
        RelationWord::MaterializedView => relation.kind == RelationKind::MaterializedView,
        RelationWord::Sequence => relation.kind == RelationKind::Sequence,
        RelationWord::Index => false,
    };
    if fits {
        return Ok(());
    }
    let article = if alter.word == RelationWord::Index { "an" } else { "a" };
    Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not {article} {}", relation.name, alter.word.tag().to_lowercase())))
}

/// RENAME TO, OWNER TO and SET SCHEMA.
async fn of_the_whole(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    relation: &Relation,
    action: &AlterAction,
) -> Result<bool, SqlError> {
    match action {
        AlterAction::SetSchema(schema) => {
            let target = super::schema::resolve(session, snapshot, std::slice::from_ref(schema))?;
            session.catalog().set_relation_schema(&session.principal, relation.oid, target).await?;
            // What belongs to it goes along.
            for sequence in snapshot.sequences_of(relation.oid) {
                session.catalog().set_relation_schema(&session.principal, sequence.oid, target).await?;
            }
        }
        AlterAction::Sql(operation) => match operation.as_ref() {
            AlterTableOperation::RenameTable { table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name) } => {
                let new_name = name_parts(name)?.pop().unwrap_or_default();
                session.catalog().rename_relation(&session.principal, relation.oid, &new_name).await?;
            }
            AlterTableOperation::OwnerTo { new_owner } => {
                let owner = super::schema::owner_oid(session, snapshot, new_owner)?;
                session.catalog().change_relation_owner(&session.principal, relation.oid, owner).await?;
                for sequence in snapshot.sequences_of(relation.oid) {
                    session.catalog().change_relation_owner(&session.principal, sequence.oid, owner).await?;
                }
            }
            AlterTableOperation::SetOptionsParens { options } if relation.is_view() => {
                let options = super::create_view::view_options(&CreateTableOptions::With(options.clone()))?;
                let properties = options.into_iter().map(|(option, value)| (option, Some(value))).collect();
                let updates = vec![RelationUpdate::SetProperties(properties)];
                session.catalog().update_relation(&session.principal, relation.oid, updates).await?;
            }
            _ => return Ok(false),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

/// Of a view: the one thing that can be changed of its columns.
async fn rename_columns(session: &mut GatewaySession, view: &Relation, actions: &[AlterAction]) -> Result<(), SqlError> {
    let mut updates = Vec::new();
    for action in actions {
        let AlterAction::Sql(operation) = action else { return Err(not_for_views(view)) };
        let AlterTableOperation::RenameColumn { old_column_name, new_column_name } = operation.as_ref() else {
            return Err(not_for_views(view));
        };
        if view.kind == RelationKind::MaterializedView {
            return Err(SqlError::unsupported("renaming columns of a materialized view").hint("Drop it and make it anew."));
        }
        updates.push(RelationUpdate::RenameColumn { from: fold(old_column_name), to: fold(new_column_name) });
    }
    let change = RelationChange::Update { relation: view.oid, updates };
    session.catalog().change_relations(&session.principal, vec![change]).await?;
    Ok(())
}

fn not_for_views(view: &Relation) -> SqlError {
    let kind = if view.kind == RelationKind::View { "views" } else { "materialized views" };
    SqlError::new(SqlState::WrongObjectType, format!("ALTER action cannot be performed on relation \"{}\"", view.name))
        .detail(format!("This operation is not supported for {kind}."))
}

/// First the Delta table, then the catalog: after a crash in between the statement can be given again.
async fn alter_table(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    table: Table<'_>,
    actions: &[AlterAction],
    deadline: &Deadline,
    journal: &Journal,
) -> Result<(), SqlError> {
    require_owner(snapshot, &session.principal, ObjectRef::Relation(table.relation.oid))?;
    let plan = actions::plan(session, snapshot, table, actions).await?;
    // A sequence for a new column is there by now.
    let snapshot = &session.catalog().refresh().await?;
    let facts = session.facts(snapshot);
    if !plan.alterations.is_empty() {
        session.open_change("ALTER TABLE", table.name)?;
        let target = settled(session, session.binder(snapshot, &facts).own_table(table.name)?, deadline).await?;
        let context = ExecutionContext { statement_id: journal.statement_id(), cancel: deadline.token().clone() };
        let outcome = session.engine().alter_table(target, plan.alterations, facts, context).await?;
        journal.note_written([table.name.clone()]);
        journal.note_outcome(&outcome);
        session.changes_made += 1;
    }
    let mut changes = vec![RelationChange::Update { relation: table.relation.oid, updates: plan.updates }];
    changes.extend(plan.others);
    session.catalog().change_relations(&session.principal, changes).await?;
    for (sequence, value) in plan.restarts {
        super::sequence::restart(session, &sequence, value).await?;
    }
    Ok(())
}
