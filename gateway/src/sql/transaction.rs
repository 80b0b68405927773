//! The transaction state of a session, as a table: what BEGIN, COMMIT, ROLLBACK and errors do in each state.

use std::collections::BTreeMap;

use lakegate_catalog::model::RelationName;

use crate::frontend::TransactionStatus;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// What moves a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Begin,
    Commit,
    Rollback,
    Error,
}

/// What the client is told besides the command tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// WARNING: there is already a transaction in progress.
    AlreadyOpen,
    /// WARNING: there is no transaction in progress.
    NoneOpen,
    /// COMMIT of a failed transaction answers ROLLBACK.
    RolledBack,
}

use TransactionStatus::{Failed, Idle, InTransaction};

/// (state, event, next state, told), PostgreSQL's `xact.c` for blocks without savepoints.
const TABLE: &[(TransactionStatus, Event, TransactionStatus, Told)] = &[
    (Idle, Event::Begin, InTransaction, Told::Nothing),
    (Idle, Event::Commit, Idle, Told::NoneOpen),
    (Idle, Event::Rollback, Idle, Told::NoneOpen),
    (Idle, Event::Error, Idle, Told::Nothing),
    (InTransaction, Event::Begin, InTransaction, Told::AlreadyOpen),
    (InTransaction, Event::Commit, Idle, Told::Nothing),
    (InTransaction, Event::Rollback, Idle, Told::Nothing),
    (InTransaction, Event::Error, Failed, Told::Nothing),
    (Failed, Event::Begin, Failed, Told::AlreadyOpen),
    (Failed, Event::Commit, Idle, Told::RolledBack),
    (Failed, Event::Rollback, Idle, Told::Nothing),
    (Failed, Event::Error, Failed, Told::Nothing),
];

/// A session's transaction.
#[derive(Debug)]
pub struct Transaction {
    status: TransactionStatus,
    /// Version of each table at its first use in the block: reads are repeatable.
    pinned: BTreeMap<RelationName, u64>,
    started: Option<chrono::DateTime<chrono::Utc>>,
}

impl Default for Transaction {
    fn default() -> Self {
        Transaction { status: Idle, pinned: BTreeMap::new(), started: None }
    }
}

/// What a step answers.
#[derive(Debug)]
pub struct Step {
    pub warning: Option<SqlError>,
    /// COMMIT became ROLLBACK.
    pub rolled_back: bool,
    /// The block ended.
    pub ended: bool,
}

impl Transaction {
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status != Idle
    }

    /// Start of the block, for `now()`.
    #[must_use]
    pub fn started(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.started
    }

    #[must_use]
    pub fn pinned(&self) -> &BTreeMap<RelationName, u64> {
        &self.pinned
    }

    /// Keeps the versions that a statement of the block read.
    pub fn pin(&mut self, versions: impl IntoIterator<Item = (RelationName, u64)>) {
        if self.status == InTransaction {
            for (name, version) in versions {
                self.pinned.entry(name).or_insert(version);
            }
        }
    }

    pub fn step(&mut self, event: Event) -> Step {
        let row = TABLE.iter().find(|(state, on, ..)| *state == self.status && *on == event);
        let (next, told) = row.map_or((self.status, Told::Nothing), |(_, _, next, told)| (*next, *told));
        let ended = self.status != Idle && next == Idle;
        if next == Idle {
            self.pinned.clear();
            self.started = None;
        } else if self.status == Idle {
            self.started = Some(chrono::Utc::now());
        }
        self.status = next;
        let warning = match told {
            Told::AlreadyOpen => {
                Some(SqlError::notice(Severity::Warning, SqlState::ActiveSqlTransaction, "there is already a transaction in progress"))
            }
            Told::NoneOpen => {
                Some(SqlError::notice(Severity::Warning, SqlState::NoActiveSqlTransaction, "there is no transaction in progress"))
            }
            Told::Nothing | Told::RolledBack => None,
        };
        Step { warning, rolled_back: told == Told::RolledBack, ended }
    }
}

/// 25P02.
#[must_use]
pub fn aborted() -> SqlError {
    SqlError::new(SqlState::InFailedSqlTransaction, "current transaction is aborted, commands ignored until end of transaction block")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_answers_every_event_once() {
        for state in [Idle, InTransaction, Failed] {
            for event in [Event::Begin, Event::Commit, Event::Rollback, Event::Error] {
                assert_eq!(TABLE.iter().filter(|row| row.0 == state && row.1 == event).count(), 1, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_failed_block_rolls_back_at_commit() {
        let mut transaction = Transaction::default();
        transaction.step(Event::Begin);
        transaction.step(Event::Error);
        assert_eq!(transaction.status(), Failed);
        let step = transaction.step(Event::Commit);
        assert!(step.rolled_back && step.ended);
        assert_eq!(transaction.status(), Idle);
        assert!(transaction.step(Event::Commit).warning.is_some());
    }
}
