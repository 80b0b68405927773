//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, SET TRANSACTION, PREPARE TRANSACTION.

use sqlparser::ast::{Ident, TransactionAccessMode};

use crate::frontend::{Response, TransactionStatus};
use crate::sql::execute::Deadline;
use crate::sql::grammar::{Begin, Characteristic, SetTransaction, TwoPhase, fold};
use crate::sql::session::GatewaySession;
use crate::sql::transaction::{Event, Step};
use crate::sqlstate::{Severity, SqlError, SqlState};

pub fn begin(session: &mut GatewaySession, begin: &Begin) -> Result<Response, SqlError> {
    let step = session.step(Event::Begin);
    warn(session, step);
    characterise(session, &begin.characteristics, true)?;
    done(if begin.short { "BEGIN" } else { "START TRANSACTION" })
}

pub fn set(session: &mut GatewaySession, set: &SetTransaction) -> Result<Response, SqlError> {
    let for_session = matches!(set, SetTransaction::Characteristics { for_session: true, .. });
    if !for_session && !session.settings.in_block() {
        let message = "SET TRANSACTION can only be used in transaction blocks";
        session.notice(SqlError::notice(Severity::Warning, SqlState::NoActiveSqlTransaction, message));
        return done("SET");
    }
    match set {
        SetTransaction::Characteristics { characteristics, for_session } => characterise(session, characteristics, !for_session)?,
        SetTransaction::Snapshot(name) => import_snapshot(session, name)?,
    }
    done("SET")
}

/// Answered as by a PostgreSQL with `max_prepared_transactions = 0`, its default.
///
/// # Errors
/// 55000; 42704 for a name, as nobody can have prepared it.
pub async fn two_phase(session: &mut GatewaySession, command: &TwoPhase) -> Result<Response, SqlError> {
    match command {
        TwoPhase::Finish { name } if session.in_transaction() => {
            let _ = name;
            Err(SqlError::new(SqlState::ActiveSqlTransaction, "COMMIT PREPARED cannot run inside a transaction block"))
        }
        TwoPhase::Finish { name } => {
            let message = format!("prepared transaction with identifier \"{name}\" does not exist");
            Err(SqlError::new(SqlState::UndefinedObject, message))
        }
        TwoPhase::Prepare => {
            let status = session.transaction.status();
            rollback(session, false, None).await?;
            if status != TransactionStatus::InTransaction {
                return done("ROLLBACK");
            }
            Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, "prepared transactions are disabled")
                .hint("There is no two-phase commit: COMMIT makes the changes of all tables visible together."))
        }
    }
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
    session.settle_temporary().await?;
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

/// Every isolation level reads repeatably. `local`: of this transaction rather than of those to come.
fn characterise(session: &mut GatewaySession, characteristics: &[Characteristic], local: bool) -> Result<(), SqlError> {
    let prefix = if local { "transaction" } else { "default_transaction" };
    for characteristic in characteristics {
        let (setting, value) = match characteristic {
            Characteristic::Access(TransactionAccessMode::ReadOnly) => ("read_only", "on".to_owned()),
            Characteristic::Access(TransactionAccessMode::ReadWrite) => ("read_only", "off".to_owned()),
            Characteristic::Isolation(level) => ("isolation", level.to_string().to_lowercase()),
            Characteristic::Deferrable(deferrable) => ("deferrable", if *deferrable { "on" } else { "off" }.to_owned()),
        };
        let name = format!("{prefix}_{setting}");
        check_in_time(session, &name, &value)?;
        let changed = session.settings.change(local, |settings| settings.set(&name, &value))?;
        if let Some(setting) = changed {
            session.report(setting);
        }
    }
    Ok(())
}

/// Whether the running transaction may still be made so. Source: `check_XactIsoLevel`, `check_XactReadOnly` and
/// `check_transaction_deferrable` in variable.c.
///
/// # Errors
/// 25001.
pub fn check_in_time(session: &GatewaySession, setting: &str, value: &str) -> Result<(), SqlError> {
    if !session.transaction.is_open() {
        return Ok(());
    }
    let (queried, within) = (session.transaction.has_queried(), session.transaction.level() > 0);
    let now = session.settings.current.get(setting);
    let message = match setting {
        "transaction_isolation" if now == Some(value) => None,
        "transaction_isolation" if queried => Some("SET TRANSACTION ISOLATION LEVEL must be called before any query"),
        "transaction_isolation" if within => Some("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction"),
        "transaction_read_only" if now == Some("off") || value != "off" => None,
        "transaction_read_only" if within => Some("cannot set transaction read-write mode inside a read-only transaction"),
        "transaction_read_only" if queried => Some("transaction read-write mode must be set before any query"),
        "transaction_deferrable" if within => Some("SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction"),
        "transaction_deferrable" if queried => Some("SET TRANSACTION [NOT] DEFERRABLE must be called before any query"),
        _ => None,
    };
    message.map_or(Ok(()), |message| Err(SqlError::new(SqlState::ActiveSqlTransaction, message)))
}

/// Source: `ImportSnapshot` in snapmgr.c.
fn import_snapshot(session: &mut GatewaySession, name: &str) -> Result<(), SqlError> {
    if session.transaction.has_queried() || session.transaction.level() > 0 || session.transaction.changes().is_some() {
        return Err(SqlError::new(SqlState::ActiveSqlTransaction, "SET TRANSACTION SNAPSHOT must be called before any query"));
    }
    if !matches!(session.settings.current.get("transaction_isolation"), Some("serializable" | "repeatable read")) {
        let message = "a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let picture = session.shared.snapshots.import(name, &session.start.database)?;
    session.transaction.import(picture);
    Ok(())
}

fn warn(session: &mut GatewaySession, step: Step) {
    if let Some(warning) = step.warning {
        session.notice(warning);
    }
}
