//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE.

use sqlparser::ast::{Ident, TransactionAccessMode, TransactionMode};

use crate::frontend::{Response, TransactionStatus};
use crate::sql::execute::Deadline;
use crate::sql::grammar::fold;
use crate::sql::session::GatewaySession;
use crate::sql::transaction::{Event, Step};
use crate::sqlstate::{SqlError, SqlState};

/// `begin`: spelled BEGIN rather than START TRANSACTION.
pub fn begin(session: &mut GatewaySession, modes: &[TransactionMode], begin: bool) -> Result<Response, SqlError> {
    let step = session.step(Event::Begin);
    warn(session, step);
    apply_modes(session, modes, true)?;
    done(if begin { "BEGIN" } else { "START TRANSACTION" })
}

/// # Errors
/// 40001, 08007 and whatever else keeps the changes from becoming visible; the block is over all the same.
pub async fn commit(session: &mut GatewaySession, chain: bool, deadline: &Deadline) -> Result<Response, SqlError> {
    let characteristics = chained(session, chain, "COMMIT AND CHAIN")?;
    if session.transaction.status() == TransactionStatus::InTransaction
        && let Err(error) = session.pending.check(&session.shared.notifications)
    {
        session.step(Event::Rollback);
        return Err(error);
    }
    if session.transaction.status() != TransactionStatus::Failed
        && let Err(error) = session.commit_changes(deadline.token()).await
    {
        session.step(Event::Rollback);
        return Err(error);
    }
    let step = session.step(Event::Commit);
    let tag = if step.rolled_back { "ROLLBACK" } else { "COMMIT" };
    warn(session, step);
    begin_again(session, characteristics)?;
    done(tag)
}

pub async fn rollback(session: &mut GatewaySession, chain: bool, savepoint: Option<&Ident>) -> Result<Response, SqlError> {
    if let Some(name) = savepoint {
        require_block(session, "ROLLBACK TO SAVEPOINT")?;
        session.roll_back_to(&fold(name))?;
        return done("ROLLBACK");
    }
    let characteristics = chained(session, chain, "ROLLBACK AND CHAIN")?;
    session.roll_back_changes().await;
    let step = session.step(Event::Rollback);
    warn(session, step);
    begin_again(session, characteristics)?;
    done("ROLLBACK")
}

pub fn savepoint(session: &mut GatewaySession, name: &Ident) -> Result<Response, SqlError> {
    require_block(session, "SAVEPOINT")?;
    session.save(fold(name))?;
    done("SAVEPOINT")
}

pub fn release(session: &mut GatewaySession, name: &Ident) -> Result<Response, SqlError> {
    require_block(session, "RELEASE SAVEPOINT")?;
    session.release(&fold(name))?;
    done("RELEASE")
}

/// What has a meaning only between BEGIN and COMMIT. Source: `RequireTransactionBlock` in xact.c.
///
/// # Errors
/// 25P01.
pub fn require_block(session: &GatewaySession, command: &str) -> Result<(), SqlError> {
    if session.transaction.is_open() {
        return Ok(());
    }
    Err(SqlError::new(SqlState::NoActiveSqlTransaction, format!("{command} can only be used in transaction blocks")))
}

const CHARACTERISTICS: [&str; 3] = ["transaction_isolation", "transaction_read_only", "transaction_deferrable"];

/// The characteristics that AND CHAIN hands on to the next transaction.
fn chained(session: &GatewaySession, chain: bool, command: &str) -> Result<Option<[String; 3]>, SqlError> {
    if !chain {
        return Ok(None);
    }
    require_block(session, command)?;
    Ok(Some(CHARACTERISTICS.map(|name| session.settings.current.get(name).unwrap_or_default().to_owned())))
}

fn begin_again(session: &mut GatewaySession, characteristics: Option<[String; 3]>) -> Result<(), SqlError> {
    let Some(characteristics) = characteristics else { return Ok(()) };
    session.step(Event::Begin);
    for (name, value) in CHARACTERISTICS.iter().zip(&characteristics) {
        session.settings.change(true, |settings| settings.set(name, value))?;
    }
    Ok(())
}

fn done(tag: &str) -> Result<Response, SqlError> {
    Ok(Response::Command { tag: tag.to_owned() })
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

fn warn(session: &mut GatewaySession, step: Step) {
    if let Some(warning) = step.warning {
        session.notice(warning);
    }
}
