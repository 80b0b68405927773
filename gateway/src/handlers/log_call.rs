//! CALL lakegate.set_blind_index and lakegate.flush_logs.

use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::LogCall;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// # Errors
/// 42501 for all but superusers; 25001 in a transaction block.
pub async fn run(session: &mut GatewaySession, call: &LogCall, deadline: &Deadline) -> Result<Response, SqlError> {
    if session.in_transaction() {
        return Err(SqlError::new(SqlState::ActiveSqlTransaction, "the logs cannot be set inside a transaction block"));
    }
    let told = match call {
        LogCall::BlindIndex(on) => {
            let changed = session.shared.catalog.set_blind_index(&session.principal, *on).await?;
            (!changed).then(|| format!("the blind index is {} already", if *on { "on" } else { "off" }))
        }
        LogCall::Flush(interval) => {
            if !session.shared.catalog.snapshot().is_superuser(session.principal.current_role) {
                return Err(SqlError::new(SqlState::InsufficientPrivilege, "must be superuser to flush the logs"));
            }
            let recent = super::detection::duration(interval)?;
            let count = crate::old_logs::flush_now(&session.shared, recent, deadline.token()).await?;
            Some(format!("{count} records are in the data plane now"))
        }
    };
    if let Some(text) = told {
        session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
    }
    Ok(Response::Command { tag: "CALL".to_owned() })
}
