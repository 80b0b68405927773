//! COPY t FROM STDIN. Rows go to the engine batch by batch while they come, and become visible in one commit at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use futures::StreamExt;
use lakegate_catalog::authorize::{Access, ColumnsChanged};
use lakegate_catalog::model::{Oid, Relation, RelationKind, RelationName};
use lakegate_engine_api::{BoundRelation, ExecutionContext, RelationSource, SessionFacts, arrow_field};
use sqlparser::ast::{Expr, ObjectName};
use tokio::sync::{mpsc, oneshot};

use super::filter::Filter;
use super::options::Options;
use super::sink::{Reader, StdinSink};
use super::{check_forced, copied_by_default, refuse_generated};
use crate::frontend::Response;
use crate::server::Copy;
use crate::sql::bind::Bound;
use crate::sql::execute::Deadline;
use crate::sql::facets::Facets;
use crate::sql::grammar::name_parts;
use crate::sql::journal::{self, Journal};
use crate::sql::prepare::PreparedStatement;
use crate::sql::row_errors::RowErrors;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// Batches on their way to the engine.
const QUEUE_BATCHES: usize = 4;

/// Where the rows go.
struct Target {
    name: RelationName,
    relation: BoundRelation,
    bound: Bound,
    schema: SchemaRef,
    facts: Arc<SessionFacts>,
    filter: Option<Filter>,
}

/// Opens the target and answers CopyInResponse.
pub async fn stdin(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    table: &ObjectName,
    columns: &[String],
    condition: Option<&Expr>,
    options: Options,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let (columns, binary, sink) = begin(session, statement, table, columns, condition, options, deadline).await?;
    Ok(Response::CopyIn { columns, binary, sink: Box::new(sink) })
}

/// How many columns come, whether they are binary, and what takes them.
///
/// # Errors
/// The statement's own, which the log knows then.
pub async fn begin(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    table: &ObjectName,
    columns: &[String],
    condition: Option<&Expr>,
    options: Options,
    deadline: &Deadline,
) -> Result<(usize, bool, StdinSink), SqlError> {
    let target = match open(session, table, columns, condition, &options, deadline).await {
        Ok(target) => target,
        Err(error) => {
            journal::refused(session, &statement.command, &statement.text, &error).await?;
            return Err(error);
        }
    };
    let Target { name, relation, bound, schema, facts, filter } = target;
    let copied = Copy::new(session, relation_oid(&relation), true);
    let copy = session.shared.system.live().work().enter_copy(copied);
    let told = RowErrors::of(session, &name);
    let reader = Reader::new(name.name, options, schema, &session.input_manner(&facts))?;
    let touched = Facets::of_bound(&session.catalog().snapshot(), &bound);
    let journal = Journal::begin(session, &statement.command, &statement.text, &[], &touched, true).await?;
    let journal = session.admitted(journal, deadline).await?;
    let (sender, receiver) = mpsc::channel::<RecordBatch>(QUEUE_BATCHES);
    let (answer, outcome) = oneshot::channel();
    let rows = futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|batch| (Ok(batch), receiver)) });
    // The stream's end alone would mean "commit": a sink that is dropped fires this token instead.
    let abandon = deadline.token().child_token();
    let context = ExecutionContext { statement_id: journal.statement_id(), cancel: abandon.clone() };
    let engine = session.engine();
    crate::tasks::spawn("copy from", async move {
        let _ = answer.send(engine.append(relation, rows.boxed(), facts, context).await);
    });
    let (columns, binary) = (reader.columns(), reader.is_binary());
    let sink = StdinSink {
        reader,
        filter,
        sender: Some(sender),
        outcome: Some(outcome),
        journal: Some(journal),
        waiting: session.is_staging().then(|| session.transaction.waiting().clone()),
        abandon: abandon.drop_guard(),
        deadline: deadline.clone(),
        told,
        copy,
    };
    Ok((columns, binary, sink))
}

/// 0 for what is no table.
pub(super) fn relation_oid(relation: &BoundRelation) -> Oid {
    match &relation.source {
        RelationSource::Table { table, .. } => table.relation().oid,
        _ => 0,
    }
}

async fn open(
    session: &mut GatewaySession,
    table: &ObjectName,
    columns: &[String],
    condition: Option<&Expr>,
    options: &Options,
    deadline: &Deadline,
) -> Result<Target, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let name = session.scope(&snapshot).resolve(&snapshot, &name_parts(table)?)?;
    if snapshot.relation_by_name(&name).is_some_and(|relation| relation.kind == RelationKind::View) {
        return Err(SqlError::new(SqlState::WrongObjectType, format!("cannot copy to view \"{}\"", name.name))
            .hint("Copy into the tables that the view reads."));
    }
    if options.freeze && !snapshot.relation_by_name(&name).is_some_and(|relation| session.is_new_or_empty(relation)) {
        let message = "cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction";
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
    }
    session.open_change("COPY FROM", &name)?;
    session.changes_made += 1;
    let facts = session.facts(&snapshot);
    let mut bound = Bound::default();
    let binder = session.binder(&snapshot, &facts);
    let inserted = snapshot.relation_by_name(&name).map(|relation| inserted_columns(relation, columns));
    binder.bind_target(&mut bound, name.clone(), Access::INSERT, &ColumnsChanged { inserted, ..ColumnsChanged::default() }, false).await?;
    let relation = bound.relation(&name, None).cloned().ok_or_else(|| SqlError::new(SqlState::InternalError, "COPY lost its target"))?;
    let RelationSource::Table { table: authorized, .. } = &relation.source else {
        return Err(SqlError::new(SqlState::WrongObjectType, format!("cannot copy to \"{}\"", name.name)));
    };
    if authorized.row_rules().is_some() {
        return Err(SqlError::new(SqlState::FeatureNotSupported, "COPY FROM not supported with row-level security")
            .hint("Use INSERT statements instead."));
    }
    let schema = copied_columns(authorized.relation(), columns)?;
    let all: Vec<String> = authorized.relation().columns.iter().map(|column| column.name.clone()).collect();
    let copied: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    check_forced(options, Some((&name.name, &all)), &copied)?;
    let filter = match condition {
        Some(condition) => {
            let (engine, facts, cancel) = (session.engine(), Arc::clone(&facts), deadline.token().clone());
            Some(Filter::new(engine, facts, condition, name.clone(), Arc::clone(&schema), cancel).await?)
        }
        None => None,
    };
    Ok(Target { name, relation, bound, schema, facts, filter })
}

/// The columns that COPY gives values to.
pub(super) fn inserted_columns(relation: &Relation, columns: &[String]) -> BTreeSet<String> {
    if columns.is_empty() { copied_by_default(relation).into_iter().collect() } else { columns.iter().cloned().collect() }
}

fn copied_columns(relation: &Relation, columns: &[String]) -> Result<SchemaRef, SqlError> {
    let names: Vec<String> = if columns.is_empty() { copied_by_default(relation) } else { columns.to_vec() };
    let mut fields: Vec<Field> = Vec::with_capacity(names.len());
    for name in names {
        let column = relation.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" of relation \"{}\" does not exist", relation.name))
        })?;
        refuse_generated(relation, &name)?;
        if fields.iter().any(|field| *field.name() == name) {
            return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        // NULL in a NOT NULL column is the engine's to refuse, for all doors alike.
        let field = arrow_field(&name, column.data_type, true)
            .ok_or_else(|| SqlError::unsupported(format!("COPY into column \"{name}\" of its type")))?;
        fields.push(field);
    }
    Ok(Arc::new(Schema::new(fields)))
}
