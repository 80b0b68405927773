//! CALL lakegate.save_query, share_query, unshare_query and drop_query. (run_query is the query that it runs.)

use sqlparser::ast::Statement;
use uuid::Uuid;

use crate::frontend::Response;
use crate::saved_queries::{add, database_of, forget};
use crate::sql::grammar::{Command, SavedQueryCall};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

const TEXT_BYTES_MAX: usize = 1 << 20;

/// # Errors
/// 25001 in a transaction block; 42501, 42704, 42602, 54000; 42601 and 0A000 for what is no query.
pub async fn run(session: &mut GatewaySession, call: &SavedQueryCall) -> Result<Response, SqlError> {
    if session.in_transaction() {
        let text = "CALL of a procedure for saved queries cannot run inside a transaction block";
        return Err(SqlError::new(SqlState::ActiveSqlTransaction, text));
    }
    let database = database_of(session)?;
    let (catalog, principal) = (session.shared.catalog.clone(), session.principal);
    match call {
        SavedQueryCall::Save { name, text } => {
            check(text)?;
            catalog.check_saving(&principal, database, name).await?;
            let text_id = Uuid::now_v7();
            add(session, text_id, text).await?;
            let saved_by = session.role_name(&catalog.snapshot(), principal.current_role);
            let version = catalog.save_query(&principal, &saved_by, database, name, text_id).await?;
            let text = format!("saved query \"{name}\", version {version}");
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
        }
        SavedQueryCall::Share { name, role, shared } => catalog.share_query(&principal, database, name, role, *shared).await?,
        SavedQueryCall::Drop { name } => {
            let texts = catalog.drop_saved_query(&principal, database, name).await?;
            if let Err(error) = forget(session, &texts).await {
                // Nobody finds them by now.
                tracing::warn!(error = %error.message, "texts of a saved query could not be deleted");
            }
        }
        SavedQueryCall::Run { .. } => return Err(SqlError::new(SqlState::InternalError, "a saved query came by the wrong way")),
    }
    Ok(Response::Command { tag: "CALL".to_owned() })
}

/// One query, which changes nothing.
fn check(text: &str) -> Result<(), SqlError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, "the query is too long")
            .detail(format!("A saved query has at most {TEXT_BYTES_MAX} bytes.")));
    }
    let query = crate::sql::parse::parse_query(text).map_err(|error| match error.state {
        SqlState::DataCorrupted => SqlError::unsupported("saving anything else than one query"),
        // The place is one in the text that was given, not in the statement.
        _ => SqlError { fields: Default::default(), ..error },
    })?;
    let command = Command::Sql(Box::new(Statement::Query(Box::new(query.clone()))));
    match crate::sql::prepare::is_change(&command) || crate::sql::prepare::has_select_into(&query) {
        true => Err(SqlError::unsupported("saving a query that changes data")),
        false => Ok(()),
    }
}
