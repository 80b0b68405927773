//! CALL lakegate.erase_subject, erase_subjects, export_subject and resume_erasure.

mod certificate;
mod erase;
mod export;
mod plan;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::{BOOTSTRAP_ROLE_OID, PgType, RelationName};
use lakegate_engine_api::{
    BoundRelation, BoundStatement, Execution, ExecutionContext, RelationSource, RowStream, SessionFacts, Work, arrow_field,
};
use sqlparser::ast::Statement;
use uuid::Uuid;

use super::create_table::context;
use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::PrivacyCall;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// A line of the answer.
#[derive(Debug, Clone, Default)]
struct Line {
    request: Option<Uuid>,
    table: String,
    state: String,
    rows: u64,
    files: u64,
    bytes: u64,
    detail: Option<String>,
}

/// Columns of the answer: one row a table.
#[must_use]
pub fn schema() -> SchemaRef {
    let field =
        |name: &str, pg: PgType| arrow_field(name, pg, true).unwrap_or_else(|| Field::new(name, arrow_schema::DataType::Utf8, true));
    Arc::new(Schema::new(vec![
        field("request_id", PgType::TEXT),
        field("table_name", PgType::TEXT),
        field("state", PgType::TEXT),
        field("row_count", PgType::INT8),
        field("files", PgType::INT8),
        field("bytes", PgType::INT8),
        field("detail", PgType::TEXT),
    ]))
}

pub async fn run(session: &mut GatewaySession, call: &PrivacyCall, deadline: &Deadline, journal: &Journal) -> Result<Response, SqlError> {
    if session.in_transaction() {
        return Err(SqlError::new(
            SqlState::ActiveSqlTransaction,
            "CALL of a function for data subjects cannot run inside a transaction block",
        ));
    }
    let lines = match call {
        PrivacyCall::Export { kind, identifier, url } => export::run(session, kind, identifier, url, deadline, journal).await?,
        PrivacyCall::Erase { kind, identifiers, reason, dry_run, wait_seconds } => {
            let wish = erase::Wish { kind, identifiers: identifiers.clone(), reason: reason.clone(), wait_seconds: *wait_seconds };
            erase::run(session, wish, *dry_run, deadline, journal).await?
        }
        PrivacyCall::EraseListed { kind, table, reason, dry_run, wait_seconds } => {
            let identifiers = plan::listed(session, table, deadline).await?;
            let wish = erase::Wish { kind, identifiers, reason: reason.clone(), wait_seconds: *wait_seconds };
            erase::run(session, wish, *dry_run, deadline, journal).await?
        }
        PrivacyCall::Resume { request, wait_seconds } => erase::resume(session, request, *wait_seconds, deadline, journal).await?,
    };
    answer(&lines)
}

fn answer(lines: &[Line]) -> Result<Response, SqlError> {
    let texts = |value: &dyn Fn(&Line) -> Option<String>| -> ArrayRef { Arc::new(lines.iter().map(value).collect::<StringArray>()) };
    let counts = |value: &dyn Fn(&Line) -> u64| -> ArrayRef {
        Arc::new(lines.iter().map(|line| i64::try_from(value(line)).ok()).collect::<Int64Array>())
    };
    let columns = vec![
        texts(&|line| line.request.map(|request| request.to_string())),
        texts(&|line| Some(line.table.clone())),
        texts(&|line| Some(line.state.clone())),
        counts(&|line| line.rows),
        counts(&|line| line.files),
        counts(&|line| line.bytes),
        texts(&|line| line.detail.clone()),
    ];
    let batch = RecordBatch::try_new(schema(), columns).map_err(internal)?;
    Ok(Response::Rows { schema: schema(), rows: futures::stream::iter([Ok(batch)]).boxed(), tag: "CALL" })
}

fn internal(error: impl std::fmt::Display) -> SqlError {
    SqlError::new(SqlState::InternalError, format!("internal error: {error}"))
}

/// Who sees and changes everything, once the caller's own rights were looked at.
fn system() -> Principal {
    Principal::new(BOOTSTRAP_ROLE_OID)
}

/// Runs a query of our own with all rights.
async fn query(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    text: &str,
    deadline: &Deadline,
) -> Result<(SchemaRef, RowStream), SqlError> {
    let facts = session.facts(snapshot);
    let mut query = crate::sql::parse::parse_query(text)?;
    let mut binder = session.binder(snapshot, &facts);
    binder.principal = system();
    let bound = binder.bind(&mut query, &[]).await?;
    let statement = BoundStatement {
        statement_id: Uuid::now_v7(),
        work: Work::Query(Box::new(Statement::Query(Box::new(query)))),
        relations: bound.relations,
        session: Arc::clone(&facts),
        parameter_types: Vec::new(),
        renewable: false,
        keeps_rows_after: None,
    };
    let prepared = session.engine().prepare(statement).await?;
    let context = ExecutionContext { statement_id: Uuid::now_v7(), cancel: deadline.token().clone() };
    match prepared.execute(Vec::new(), context).await? {
        Execution::Rows { schema, stream, .. } => Ok((schema, stream)),
        Execution::Done(_) | Execution::Returned { .. } => Err(internal("a query of our own answers no rows")),
    }
}

/// The values of a query's first column, as text; NULLs left out.
async fn texts(session: &GatewaySession, snapshot: &Arc<Snapshot>, text: &str, deadline: &Deadline) -> Result<Vec<String>, SqlError> {
    let (_, mut rows) = query(session, snapshot, text, deadline).await?;
    let mut found = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        let texts = arrow_text(batch.column(0))?;
        found.extend(texts.iter().flatten().map(str::to_owned));
        if found.len() > VALUES_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("more than {VALUES_MAX} values identify rows of the subjects"),
            )
            .hint("Erase fewer subjects at once."));
        }
    }
    Ok(found)
}

/// By which rows of one table may be found.
const VALUES_MAX: usize = 1_000_000;

fn arrow_text(array: &ArrayRef) -> Result<StringArray, SqlError> {
    let any = array.as_any();
    if let Some(texts) = any.downcast_ref::<StringArray>() {
        return Ok(texts.clone());
    }
    if let Some(texts) = any.downcast_ref::<arrow_array::StringViewArray>() {
        return Ok(texts.iter().collect());
    }
    Err(internal("a text of our own has another type"))
}

/// A table of which all is seen and may be changed.
fn own_table(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    facts: &Arc<SessionFacts>,
    name: &RelationName,
) -> Result<BoundRelation, SqlError> {
    let mut binder = session.binder(snapshot, facts);
    binder.principal = system();
    let mut table = binder.own_table(name)?;
    if let RelationSource::Table { version, transaction, .. } = &mut table.source {
        (*version, *transaction) = (None, None);
    }
    Ok(table)
}
