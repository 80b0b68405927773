//! CALL lakegate.set_blind_index.

use crate::frontend::Response;
use crate::sql::grammar::LogCall;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// # Errors
/// 42501 for all but superusers; 25001 in a transaction block.
pub async fn run(session: &mut GatewaySession, call: LogCall) -> Result<Response, SqlError> {
    if session.in_transaction() {
        return Err(SqlError::new(SqlState::ActiveSqlTransaction, "the blind index cannot be set inside a transaction block"));
    }
    let LogCall::BlindIndex(on) = call;
    if !session.shared.catalog.set_blind_index(&session.principal, on).await? {
        let text = format!("the blind index is {} already", if on { "on" } else { "off" });
        session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
    }
    Ok(Response::Command { tag: "CALL".to_owned() })
}
