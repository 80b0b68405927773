//! DESCRIBE HISTORY, DETAIL and COMPATIBILITY, OPTIMIZE, RESTORE and VACUUM: what is done to a table as a whole.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{self, Access};
use lakegate_catalog::model::{ObjectRef, Privilege, Relation, RelationKind, RelationName};
use lakegate_engine_api::{BoundRelation, ExecutionContext, Maintained, Maintenance, RelationSource};
use sqlparser::ast::ObjectName;

use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::execute::Deadline;
use crate::sql::grammar::{TableWork, Vacuum, name_parts};
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sql::together::settled;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Files that left a table less than this ago may still be read by those who go past Lakegate.
const USUAL_HOURS: f64 = 168.0;

/// What an engine is asked to do, as far as the statement says it.
pub fn maintenance(work: &TableWork) -> Maintenance {
    match work {
        TableWork::History { limit, .. } => Maintenance::History { limit: *limit },
        TableWork::Detail(_) => Maintenance::Detail,
        TableWork::Compatibility(_) => Maintenance::Compatibility,
        TableWork::Restore { moment, .. } => Maintenance::Restore(moment.clone()),
        TableWork::Optimize { small: Some(budget_bytes), .. } => Maintenance::Tidy { budget_bytes: *budget_bytes },
        TableWork::Optimize { condition, order, whole, .. } => {
            Maintenance::Optimize { condition: condition.clone(), order: order.clone(), whole: *whole }
        }
        TableWork::Vacuum(vacuum) => Maintenance::Vacuum {
            retention: vacuum.retain_hours.map(|hours| Duration::from_secs_f64(hours.clamp(0.0, 1e9) * 3_600.0)),
            open_since: None,
            dry_run: vacuum.dry_run,
        },
    }
}

pub async fn run(session: &mut GatewaySession, work: &TableWork, deadline: &Deadline, journal: &Journal) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let done = |maintained: Maintained| match maintained.rows {
        Some(batch) => {
            let schema = batch.schema();
            Response::Rows { schema, rows: futures::stream::iter([Ok(batch)]).boxed(), tag: work.tag() }
        }
        None => Response::Command { tag: work.tag().to_owned() },
    };
    match work {
        TableWork::History { table, .. } | TableWork::Detail(table) | TableWork::Compatibility(table) => {
            let (name, _) = found(session, &snapshot, table)?;
            let target = readable(session, &snapshot, &name)?;
            journal.note_read([name]);
            Ok(done(maintain(session, &snapshot, target, maintenance(work), deadline, journal).await?))
        }
        TableWork::Restore { table, .. } | TableWork::Optimize { table, .. } => {
            refuse_block(session, work.tag())?;
            let (name, relation) = found(session, &snapshot, table)?;
            let target = owned(session, &snapshot, &name, &relation)?;
            journal.note_written([name]);
            let maintained = maintain(session, &snapshot, target, maintenance(work), deadline, journal).await?;
            session.changes_made += 1;
            Ok(done(maintained))
        }
        TableWork::Vacuum(vacuum) => {
            refuse_block(session, work.tag())?;
            run_vacuum(session, &snapshot, work, vacuum, deadline, journal).await.map(done)
        }
    }
}

async fn run_vacuum(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    work: &TableWork,
    vacuum: &Vacuum,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Maintained, SqlError> {
    let mut tables = Vec::new();
    for table in &vacuum.tables {
        let (name, relation) = found(session, snapshot, table)?;
        tables.push((name.clone(), owned(session, snapshot, &name, &relation)?));
    }
    if vacuum.tables.is_empty() {
        let names = own_tables(session, snapshot);
        for (name, relation) in names {
            tables.push((name.clone(), owned(session, snapshot, &name, &relation)?));
        }
    }
    if vacuum.retain_hours.is_some_and(|hours| hours < USUAL_HOURS) && !vacuum.dry_run {
        let text = format!("files of the last {USUAL_HOURS} hours may be deleted");
        session.notice(SqlError::notice(Severity::Warning, SqlState::Warning, text).detail(
            "Statements of Lakegate keep what they read; other systems that read the table now may miss files, and older versions are gone.",
        ));
    }
    let mut last = Maintained::default();
    for (name, target) in tables {
        journal.note_written([name]);
        if vacuum.full && !vacuum.dry_run {
            let whole = Maintenance::Optimize { condition: None, order: Vec::new(), whole: true };
            maintain(session, snapshot, target.clone(), whole, deadline, journal).await?;
        }
        let open_since = oldest_reader(session).await?;
        let Maintenance::Vacuum { retention, dry_run, .. } = maintenance(work) else { continue };
        let work = Maintenance::Vacuum { retention, open_since, dry_run };
        last = maintain(session, snapshot, target, work, deadline, journal).await?;
        if let Some(summary) = last.summary.take() {
            session.notice(SqlError::notice(Severity::Info, SqlState::SuccessfulCompletion, summary));
        }
    }
    session.changes_made += 1;
    Ok(last)
}

/// When the oldest statement or transaction that may read a table began, this one excepted, on whatever gateway.
async fn oldest_reader(session: &GatewaySession) -> Result<Option<DateTime<Utc>>, SqlError> {
    let here = session.shared.system.live().oldest_reader(session.start.backend_pid);
    let elsewhere = session.shared.catalog.oldest_reader_elsewhere().await?;
    Ok([here, elsewhere].into_iter().flatten().min())
}

fn found(session: &GatewaySession, snapshot: &Snapshot, name: &ObjectName) -> Result<(RelationName, Arc<Relation>), SqlError> {
    let parts = name_parts(name)?;
    let name = session.scope(snapshot).resolve(snapshot, &parts)?;
    let relation = snapshot.relation_by_name(&name).cloned().ok_or_else(|| undefined(&parts))?;
    match relation.kind {
        RelationKind::ManagedTable | RelationKind::ExternalTable | RelationKind::MaterializedView => Ok((name, relation)),
        RelationKind::View | RelationKind::Sequence => {
            Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a table", relation.name)))
        }
    }
}

fn readable(session: &GatewaySession, snapshot: &Arc<Snapshot>, name: &RelationName) -> Result<BoundRelation, SqlError> {
    let table = authorize::open_table(snapshot, &session.principal, name, Access { select: true, ..Access::default() })?;
    if table.visible_columns().is_some() {
        // Of the table as a whole: columns alone do not do.
        authorize::check(snapshot, &session.principal, ObjectRef::Relation(table.relation().oid), Privilege::Select)?;
    }
    Ok(BoundRelation::new(name.clone(), RelationSource::Table { table, version: None, transaction: None, policies: None }))
}

fn owned(session: &GatewaySession, snapshot: &Arc<Snapshot>, name: &RelationName, relation: &Relation) -> Result<BoundRelation, SqlError> {
    authorize::require_owner(snapshot, &session.principal, ObjectRef::Relation(relation.oid))?;
    let facts = session.facts(snapshot);
    session.binder(snapshot, &facts).own_table(name)
}

fn own_tables(session: &GatewaySession, snapshot: &Snapshot) -> Vec<(RelationName, Arc<Relation>)> {
    let is_own = |relation: &Relation| {
        matches!(relation.kind, RelationKind::ManagedTable | RelationKind::MaterializedView)
            && authorize::require_owner(snapshot, &session.principal, ObjectRef::Relation(relation.oid)).is_ok()
    };
    let own = snapshot.relations().filter(|relation| is_own(relation));
    own.filter_map(|relation| Some((snapshot.name_of(relation)?, Arc::clone(relation))))
        .filter(|(name, _)| name.database == session.database())
        .collect()
}

fn refuse_block(session: &GatewaySession, word: &str) -> Result<(), SqlError> {
    if session.in_transaction() {
        return Err(SqlError::new(SqlState::ActiveSqlTransaction, format!("{word} cannot run inside a transaction block")));
    }
    Ok(())
}

async fn maintain(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    target: BoundRelation,
    work: Maintenance,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Maintained, SqlError> {
    let context = ExecutionContext { statement_id: journal.statement_id(), cancel: deadline.token().clone() };
    let facts = session.facts(snapshot);
    let target = match work {
        Maintenance::Restore(_) | Maintenance::Optimize { .. } | Maintenance::Tidy { .. } => settled(session, target, deadline).await?,
        // What is deleted must be in no version up to the newest.
        _ => target,
    };
    let maintained = session.engine().maintain(target, work, facts, context).await?;
    journal.note_outcome(&maintained.outcome);
    Ok(maintained)
}
