//! SQL-level PREPARE, EXECUTE, DEALLOCATE. Mirrors prepare.c.

use std::sync::Arc;

use arrow_array::ArrayRef;
use chrono::Utc;
use sqlparser::ast::{DataType, Expr, Ident, ObjectName, Statement};

use crate::frontend::{ParsedStatement, PreparedSql, Response, SessionEvent};
use crate::sql::evaluate;
use crate::sql::execute::{self, Deadline};
use crate::sql::grammar::{Command, fold, name_parts};
use crate::sql::journal::Journal;
use crate::sql::named_statements::NamedStatement;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sql::types::parameter_type;
use crate::sqlstate::{SqlError, SqlState};

/// Analyses the statement now: what is wrong with it is told here and not at EXECUTE.
pub async fn prepare(
    session: &mut GatewaySession,
    name: &Ident,
    types: &[DataType],
    inner: &Statement,
    text: &Arc<str>,
) -> Result<Response, SqlError> {
    let name = fold(name);
    if name.is_empty() {
        return Err(SqlError::new(SqlState::InvalidSqlStatementName, "invalid statement name: must not be empty"));
    }
    let command = Command::Sql(Box::new(inner.clone()));
    if !crate::sql::prepare::is_planned(&command) || matches!(inner, Statement::Explain { .. }) {
        return Err(SqlError::new(SqlState::SyntaxError, "PREPARE takes SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES"));
    }
    let snapshot = session.catalog().snapshot();
    let lookup = Arc::clone(&session.facts(&snapshot).lookup);
    let types = types.iter().map(|data_type| parameter_type(data_type, lookup.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let parsed = ParsedStatement { command: Some(Arc::new(command)), text: Arc::clone(text), parameter: None, characters_before: 0 };
    let statement: Arc<dyn PreparedSql> = Box::pin(crate::sql::prepare::analyse(session, parsed, &types)).await?;
    session.named.keep(&name, NamedStatement { text: Arc::clone(text), statement, made: Utc::now(), from_sql: true })?;
    Ok(Response::Command { tag: "PREPARE".to_owned() })
}

/// Ends those of PREPARE and those of the protocol alike.
pub fn deallocate(session: &mut GatewaySession, name: &Ident) -> Result<Response, SqlError> {
    let folded = fold(name);
    if name.quote_style.is_none() && folded == "all" {
        session.named.clear();
        session.events.push(SessionEvent::Deallocated { name: None });
        return Ok(Response::Command { tag: "DEALLOCATE ALL".to_owned() });
    }
    if !session.named.remove(&folded)?.from_sql {
        session.events.push(SessionEvent::Deallocated { name: Some(folded) });
    }
    Ok(Response::Command { tag: "DEALLOCATE".to_owned() })
}

/// The statement that EXECUTE names.
pub fn find(session: &GatewaySession, name: &ObjectName) -> Result<Arc<dyn PreparedSql>, SqlError> {
    Ok(Arc::clone(&session.named.find(&name_parts(name)?.join("."))?.statement))
}

pub async fn execute(
    session: &mut GatewaySession,
    outer: &PreparedStatement,
    statement: &Statement,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let Statement::Execute { name: Some(name), parameters, .. } = statement else {
        return Err(SqlError::unsupported("EXECUTE without a statement's name"));
    };
    let prepared = find(session, name)?;
    // What the arguments call is run before the statement that takes them, and so it is logged before it.
    let journal = match parameters.iter().all(evaluate::is_constant) {
        true => None,
        false => Some(Journal::begin_utility(session, &outer.command, &outer.text).await?),
    };
    let values = arguments(session, name, prepared.as_ref(), parameters, deadline).await;
    match (journal, &values) {
        (Some(journal), Ok(_)) => journal.done(&lakegate_engine_api::Outcome::default()).await?,
        (Some(journal), Err(error)) => journal.failed(error).await,
        (None, _) => {}
    }
    let values = values?;
    let prepared = crate::sql::prepare::downcast(&prepared)?;
    Box::pin(execute::execute(session, prepared, values, deadline.token().clone())).await
}

async fn arguments(
    session: &mut GatewaySession,
    name: &ObjectName,
    prepared: &dyn PreparedSql,
    given: &[Expr],
    deadline: &Deadline,
) -> Result<Vec<ArrayRef>, SqlError> {
    let fields = prepared.parameters();
    if fields.len() != given.len() {
        return Err(SqlError::new(SqlState::SyntaxError, format!("wrong number of parameters for prepared statement \"{name}\""))
            .detail(format!("Expected {} parameters but got {}.", fields.len(), given.len())));
    }
    let mut values = Vec::with_capacity(given.len());
    for (at, (field, expr)) in fields.iter().zip(given).enumerate() {
        values.push(Box::pin(evaluate::argument(session, at + 1, field, expr, deadline.token())).await?);
    }
    Ok(values)
}
