//! Saved queries: `CALL lakegate.save_query(…)`, `lakegate.saved_queries`, `CALL lakegate.run_query(…)`. Names, owners and shares are the
//! control plane's, texts a Delta table's. A query is run with the rights of whoever calls it.

mod arguments;
mod relation;
mod texts;

use std::sync::Arc;

use lakegate_catalog::model::Oid;

pub use relation::{QUERIES, VERSIONS, is_saved, queries_table, versions_table, view};
pub use texts::{add, erase, forget, location, text};

use crate::frontend::ParsedStatement;
use crate::sql::grammar::{Command, SavedQueryCall};
use crate::sql::session::GatewaySession;
use crate::sqlstate::SqlError;

/// The database that the session's saved queries belong to.
///
/// # Errors
/// 3D000: database `system` has none.
pub fn database_of(session: &GatewaySession) -> Result<Oid, SqlError> {
    Ok(session.catalog().snapshot().require_database(session.database())?.oid)
}

/// `CALL lakegate.run_query(…)` as the query that it runs: a prepared one keeps the version that it was prepared with.
///
/// # Errors
/// 42704 for a query that the role may not run, 42601 for another number of arguments than its parameters.
pub async fn resolve(session: &GatewaySession, statement: ParsedStatement) -> Result<ParsedStatement, SqlError> {
    let Some(command) = &statement.command else { return Ok(statement) };
    let Command::SavedQuery(call) = &**command else { return Ok(statement) };
    let SavedQueryCall::Run { name, version, arguments } = &**call else { return Ok(statement) };
    session.catalog().refresh().await?;
    let saved = session.shared.catalog.saved_query(&session.principal, database_of(session)?, name).await?;
    let definition = text(session, saved.version(*version)?.text_id).await?;
    let query = arguments::filled(&definition, name, arguments)?;
    // As the log shows it: what is run, and how it was called.
    let called = statement.text.replace('\n', "\n-- ");
    let text = format!("{definition}\n-- {called}").into();
    let command = Command::Sql(Box::new(sqlparser::ast::Statement::Query(Box::new(query))));
    Ok(ParsedStatement { command: Some(Arc::new(command)), text, ..statement })
}
