//! SQL-level PREPARE, EXECUTE, DEALLOCATE.

use std::sync::Arc;

use arrow_array::ArrayRef;
use lakegate_catalog::model::Oid;
use sqlparser::ast::{DataType, Expr, Ident, ObjectName, Statement, Value};

use crate::frontend::{ParsedStatement, PreparedSql, Response, SessionEvent};
use crate::sql::execute::{self, Deadline};
use crate::sql::grammar::{Command, fold, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::text_input::{ColumnBuilder, InputManner};

/// Most statements a session keeps.
const PREPARED_MAX: usize = 1_000;

pub fn prepare(
    session: &mut GatewaySession,
    name: &Ident,
    types: &[DataType],
    inner: &Statement,
    text: &Arc<str>,
) -> Result<Response, SqlError> {
    let name = fold(name);
    if !types.is_empty() {
        return Err(SqlError::unsupported("PREPARE with parameter types").hint("Cast the parameters in the statement: $1::int."));
    }
    if session.prepared.contains_key(&name) {
        return Err(SqlError::new(SqlState::DuplicatePreparedStatement, format!("prepared statement \"{name}\" already exists")));
    }
    if session.prepared.len() >= PREPARED_MAX {
        return Err(SqlError::new(
            SqlState::ConfigurationLimitExceeded,
            format!("a session keeps at most {PREPARED_MAX} prepared statements"),
        ));
    }
    let command = Arc::new(Command::Sql(Box::new(inner.clone())));
    session.prepared.insert(name, ParsedStatement { command: Some(command), text: Arc::clone(text), parameter: None });
    Ok(Response::Command { tag: "PREPARE".to_owned() })
}

pub fn deallocate(session: &mut GatewaySession, name: &Ident) -> Result<Response, SqlError> {
    let folded = fold(name);
    if name.quote_style.is_none() && folded == "all" {
        session.prepared.clear();
        session.events.push(SessionEvent::Deallocated { name: None });
        return Ok(Response::Command { tag: "DEALLOCATE ALL".to_owned() });
    }
    if session.prepared.remove(&folded).is_none() {
        // The protocol's own statements share the name space and end by the same command.
        session.events.push(SessionEvent::Deallocated { name: Some(folded) });
    }
    Ok(Response::Command { tag: "DEALLOCATE".to_owned() })
}

/// The statement that EXECUTE names.
pub fn find(session: &GatewaySession, name: &ObjectName) -> Result<ParsedStatement, SqlError> {
    let name = name_parts(name)?.join(".");
    session.prepared.get(&name).cloned().ok_or_else(|| missing(&name))
}

pub async fn execute(session: &mut GatewaySession, statement: &Statement, deadline: &Deadline) -> Result<Response, SqlError> {
    let Statement::Execute { name: Some(name), parameters, .. } = statement else {
        return Err(SqlError::unsupported("EXECUTE without a statement's name"));
    };
    let parsed = find(session, name)?;
    let prepared = crate::sql::prepare::prepare(session, parsed, &[] as &[Oid]).await?;
    let fields = prepared.parameters();
    if fields.len() != parameters.len() {
        return Err(SqlError::new(SqlState::SyntaxError, format!("wrong number of parameters for prepared statement \"{name}\""))
            .detail(format!("Expected {} parameters but got {}.", fields.len(), parameters.len())));
    }
    let snapshot = session.shared.catalog.snapshot();
    let manner = session.input_manner(&session.facts(&snapshot));
    let values =
        fields.iter().zip(parameters).map(|(field, value)| literal(field, value, &manner)).collect::<Result<Vec<ArrayRef>, _>>()?;
    Box::pin(execute::execute(session, &prepared, values, deadline.token().clone())).await
}

fn missing(name: &str) -> SqlError {
    SqlError::new(SqlState::InvalidSqlStatementName, format!("prepared statement \"{name}\" does not exist"))
}

fn literal(field: &arrow_schema::FieldRef, value: &Expr, manner: &InputManner) -> Result<ArrayRef, SqlError> {
    let mut column = ColumnBuilder::new(field, manner)?;
    match literal_text(value)? {
        Some(text) => column.append_text(&text)?,
        None => column.append_null(),
    }
    Ok(column.finish())
}

fn literal_text(value: &Expr) -> Result<Option<String>, SqlError> {
    match value {
        Expr::Value(value) => Ok(match &value.value {
            Value::Null => None,
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }),
        Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Minus, expr } => Ok(literal_text(expr)?.map(|text| format!("-{text}"))),
        Expr::Cast { expr, .. } => literal_text(expr),
        _ => Err(SqlError::unsupported("an expression as a parameter of EXECUTE").hint("Give literals.")),
    }
}
