//! BEGIN, COMMIT, ROLLBACK.

use sqlparser::ast::{Ident, TransactionAccessMode, TransactionMode};

use crate::frontend::Response;
use crate::sql::session::GatewaySession;
use crate::sql::transaction::{Event, Step};
use crate::sqlstate::SqlError;

pub fn begin(session: &mut GatewaySession, modes: &[TransactionMode]) -> Result<Response, SqlError> {
    let step = session.step(Event::Begin);
    warn(session, step);
    apply_modes(session, modes, true)?;
    Ok(Response::Command { tag: "BEGIN".to_owned() })
}

pub fn commit(session: &mut GatewaySession, chain: bool) -> Result<Response, SqlError> {
    refuse_chain(chain)?;
    let step = session.step(Event::Commit);
    let tag = if step.rolled_back { "ROLLBACK" } else { "COMMIT" };
    warn(session, step);
    Ok(Response::Command { tag: tag.to_owned() })
}

pub fn rollback(session: &mut GatewaySession, chain: bool, savepoint: Option<&Ident>) -> Result<Response, SqlError> {
    refuse_chain(chain)?;
    if savepoint.is_some() {
        return Err(SqlError::unsupported("ROLLBACK TO SAVEPOINT"));
    }
    let step = session.step(Event::Rollback);
    warn(session, step);
    Ok(Response::Command { tag: "ROLLBACK".to_owned() })
}

/// `SET [SESSION CHARACTERISTICS AS] TRANSACTION …`; every isolation level reads repeatably.
pub fn apply_modes(session: &mut GatewaySession, modes: &[TransactionMode], local: bool) -> Result<(), SqlError> {
    let prefix = if local { "transaction" } else { "default_transaction" };
    for mode in modes {
        let (setting, value) = match mode {
            TransactionMode::AccessMode(TransactionAccessMode::ReadOnly) => ("read_only", "on".to_owned()),
            TransactionMode::AccessMode(TransactionAccessMode::ReadWrite) => ("read_only", "off".to_owned()),
            TransactionMode::IsolationLevel(level) => ("isolation", level.to_string().to_lowercase()),
        };
        let name = format!("{prefix}_{setting}");
        let changed = session.settings.change(local, |settings| settings.set(&name, &value))?;
        if let Some(setting) = changed {
            session.report(setting);
        }
    }
    Ok(())
}

fn refuse_chain(chain: bool) -> Result<(), SqlError> {
    if chain { Err(SqlError::unsupported("AND CHAIN")) } else { Ok(()) }
}

fn warn(session: &mut GatewaySession, step: Step) {
    if let Some(warning) = step.warning {
        session.notice(warning);
    }
}
