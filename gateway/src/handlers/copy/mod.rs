//! COPY: rows of clients and files in and out.

mod bad_rows;
mod binary;
mod csv;
mod fields;
mod files;
mod filter;
mod from;
mod from_url;
mod json;
mod lines;
mod options;
mod sink;
mod text;
mod to;

use lakegate_catalog::authorize::file_access;
use lakegate_catalog::model::{Privilege, Relation};

use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::{Copy, CopySource, CopyTarget};
use crate::sql::journal;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

pub use files::place as place_of;
use options::{Columns, Format, Options};
pub use to::select_of;

/// Runs the statement; COPY FROM STDIN and TO STDOUT go on after this returns.
///
/// # Errors
/// The statement's own; each way in and out tells its own.
pub async fn run(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    copy: &Copy,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let options = match checked(copy) {
        Ok(options) => options,
        Err(error) => {
            journal::refused(session, &statement.command, &statement.text, &error).await?;
            return Err(error);
        }
    };
    match (&copy.source, &copy.target) {
        (source, CopyTarget::File(url)) if copy.to => {
            let written = files::write(session, statement, source, options, url, deadline).await?;
            let access = file_access(&session.catalog().snapshot(), &session.principal, url, Privilege::WriteFiles)?;
            crate::system::audit::exported(session, Some(access.location().name.clone())).await?;
            Ok(written)
        }
        (source, _) if copy.to => {
            let rows = to::stdout(session, statement, source, options, deadline).await?;
            crate::system::audit::exported(session, None).await?;
            Ok(rows)
        }
        (CopySource::Table { name, columns }, CopyTarget::File(url)) if options.format == Format::Parquet => {
            from_url::run(session, statement, name, columns, url, deadline).await
        }
        (CopySource::Table { name, columns }, CopyTarget::File(url)) => {
            files::read(session, statement, (name, columns), copy.filter.as_deref(), options, url, deadline).await
        }
        (CopySource::Table { name, columns }, _) => {
            from::stdin(session, statement, name, columns, copy.filter.as_deref(), options, deadline).await
        }
        (CopySource::Statement(_), _) => Err(SqlError::new(SqlState::InternalError, "COPY FROM has a query")),
    }
}

/// What can be told without a look at the catalog.
fn checked(copy: &Copy) -> Result<Options, SqlError> {
    if let CopyTarget::Program = copy.target {
        return Err(SqlError::unsupported("COPY with PROGRAM").hint("Use psql's \\copy with PROGRAM."));
    }
    let options = Options::new(copy)?;
    match &copy.target {
        CopyTarget::Client if options.format == Format::Parquet => {
            Err(SqlError::unsupported("COPY in Parquet format through STDIN and STDOUT").hint("Copy from or to a URL."))
        }
        CopyTarget::File(_) if copy.filter.is_some() && options.format == Format::Parquet => {
            Err(SqlError::unsupported("COPY FROM a Parquet file with WHERE"))
        }
        _ => Ok(options),
    }
}

/// FORCE_QUOTE and its kin name columns that are copied, of those that there are.
fn check_forced(options: &Options, relation: Option<(&str, &[String])>, copied: &[String]) -> Result<(), SqlError> {
    let forced = [("FORCE_QUOTE", &options.force_quote), ("FORCE_NOT_NULL", &options.force_not_null), ("FORCE_NULL", &options.force_null)];
    for (option, columns) in forced {
        let Columns::Named(names) = columns else { continue };
        if let Some(name) = names.iter().find(|name| !copied.contains(name)) {
            return Err(match relation {
                Some((_, all)) if all.contains(name) => {
                    SqlError::new(SqlState::InvalidColumnReference, format!("{option} column \"{name}\" not referenced by COPY"))
                }
                Some((table, _)) => {
                    SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" of relation \"{table}\" does not exist"))
                }
                None => SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist")),
            });
        }
    }
    Ok(())
}

/// COPY without a list leaves generated columns out.
fn copied_by_default(relation: &Relation) -> Vec<String> {
    relation.columns.iter().filter(|column| column.generated.is_none()).map(|column| column.name.clone()).collect()
}

/// # Errors
/// 42P10. Source: `CopyGetAttnums`.
fn refuse_generated(relation: &Relation, name: &str) -> Result<(), SqlError> {
    if relation.columns.iter().any(|column| column.name == name && column.generated.is_some()) {
        return Err(SqlError::new(SqlState::InvalidColumnReference, format!("column \"{name}\" is a generated column"))
            .detail("Generated columns cannot be used in COPY."));
    }
    Ok(())
}
