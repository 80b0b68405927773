//! COPY: rows of clients and files in and out.

mod csv;
mod fields;
mod from;
mod from_url;
mod options;
mod text;
mod to;

use sqlparser::ast::{CopySource, CopyTarget, Statement};

use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::Command;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

pub use options::{Format, Options};

/// Runs the statement; COPY FROM STDIN and TO STDOUT go on after this returns.
///
/// # Errors
/// The statement's own; each way in and out tells its own.
pub async fn run(session: &mut GatewaySession, statement: &PreparedStatement, deadline: &Deadline) -> Result<Response, SqlError> {
    let Command::Sql(sql) = &*statement.command else { return Err(internal()) };
    let Statement::Copy { source, to, target, options, legacy_options, .. } = sql.as_ref() else { return Err(internal()) };
    let options = Options::new(options, legacy_options, target)?;
    match (source, to, target) {
        (CopySource::Table { table_name, columns }, false, CopyTarget::Stdin) => {
            from::stdin(session, statement, table_name, columns, options, deadline).await
        }
        (CopySource::Table { table_name, columns }, false, CopyTarget::File { filename }) => {
            from_url::run(session, statement, table_name, columns, &options, filename, deadline).await
        }
        (_, true, CopyTarget::Stdout) => to::stdout(session, statement, source, options, deadline).await,
        (_, true, CopyTarget::File { .. }) => Err(SqlError::unsupported("COPY TO a file").hint("Use COPY … TO STDOUT, or psql's \\copy.")),
        (_, _, CopyTarget::Program { .. }) => {
            Err(SqlError::new(SqlState::InsufficientPrivilege, "COPY with PROGRAM is not allowed").hint("Use psql's \\copy with PROGRAM."))
        }
        _ => Err(SqlError::new(SqlState::SyntaxError, "COPY FROM takes STDIN or a URL, COPY TO takes STDOUT")),
    }
}

fn internal() -> SqlError {
    SqlError::new(SqlState::InternalError, "COPY was given another statement")
}
