//! The transaction state of a session, as a table: what BEGIN, COMMIT, ROLLBACK and errors do in each state.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::{Oid, RelationName};

use super::changes::{Changes, Mark, Waiting};
use super::exported_snapshots::{Exporter, Picture};
use crate::frontend::TransactionStatus;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// What moves a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Begin,
    Commit,
    Rollback,
    /// ROLLBACK TO a savepoint that is there.
    RollbackTo,
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

/// (state, event, next state, told), PostgreSQL's `xact.c`.
const TABLE: &[(TransactionStatus, Event, TransactionStatus, Told)] = &[
    (Idle, Event::Begin, InTransaction, Told::Nothing),
    (Idle, Event::Commit, Idle, Told::NoneOpen),
    (Idle, Event::Rollback, Idle, Told::NoneOpen),
    (Idle, Event::Error, Idle, Told::Nothing),
    (Idle, Event::RollbackTo, Idle, Told::Nothing),
    (InTransaction, Event::Begin, InTransaction, Told::AlreadyOpen),
    (InTransaction, Event::Commit, Idle, Told::Nothing),
    (InTransaction, Event::Rollback, Idle, Told::Nothing),
    (InTransaction, Event::RollbackTo, InTransaction, Told::Nothing),
    (InTransaction, Event::Error, Failed, Told::Nothing),
    (Failed, Event::Begin, Failed, Told::AlreadyOpen),
    (Failed, Event::Commit, Idle, Told::RolledBack),
    (Failed, Event::Rollback, Idle, Told::Nothing),
    (Failed, Event::RollbackTo, InTransaction, Told::Nothing),
    (Failed, Event::Error, Failed, Told::Nothing),
];

/// Most savepoints of one block; each takes some hundred bytes.
const SAVEPOINTS_MAX: usize = 1_000_000;

/// A session's transaction.
#[derive(Debug)]
pub struct Transaction {
    status: TransactionStatus,
    /// Version of each table at its first use in the block: reads are repeatable.
    pinned: BTreeMap<Oid, u64>,
    started: Option<chrono::DateTime<chrono::Utc>>,
    queried: bool,
    /// Tables that were truncated since it began, or since its last savepoint.
    emptied: std::collections::BTreeSet<Oid>,
    /// Shared with the transactions that imported it, or the one that exported it.
    picture: Option<Arc<Picture>>,
    exporter: Option<Exporter>,
    /// From the outermost in; an inner one hides its namesakes.
    savepoints: Vec<Savepoint>,
    /// What is staged, in a block or in an implicit transaction.
    changes: Option<Changes>,
    waiting: Waiting,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    /// What was staged when it was made.
    mark: Mark,
}

impl Default for Transaction {
    fn default() -> Self {
        Transaction {
            status: Idle,
            pinned: BTreeMap::new(),
            started: None,
            queried: false,
            emptied: Default::default(),
            picture: None,
            exporter: None,
            savepoints: Vec::new(),
            changes: None,
            waiting: Waiting::default(),
        }
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
    pub fn pinned(&self) -> &BTreeMap<Oid, u64> {
        &self.pinned
    }

    /// Keeps the versions that a statement of the block read.
    ///
    /// `false`: another transaction with the same snapshot has settled one of them meanwhile, at another version.
    #[must_use]
    pub fn pin(&mut self, snapshot: &Snapshot, versions: impl IntoIterator<Item = (RelationName, u64)>) -> bool {
        if self.status != InTransaction {
            return true;
        }
        self.queried = true;
        let mut agreed = true;
        for (name, version) in versions {
            if let Some(relation) = snapshot.relation_by_name(&name) {
                let settled = self.picture.as_ref().map_or(version, |picture| picture.settle(relation.oid, version));
                self.pinned.entry(relation.oid).or_insert(settled);
                agreed &= settled == version;
            }
        }
        agreed
    }

    /// Takes over what others have settled of a snapshot that they share with this transaction.
    pub fn adopt(&mut self) {
        if let Some(picture) = &self.picture {
            picture.versions().into_iter().for_each(|(table, version)| {
                self.pinned.entry(table).or_insert(version);
            });
        }
    }

    /// For others to read what this transaction reads.
    pub fn share(&mut self) -> (Arc<Picture>, &Exporter) {
        let Transaction { picture, pinned, started, exporter, .. } = self;
        let picture = picture.get_or_insert_with(|| Arc::new(Picture::new(*started, pinned.clone())));
        (Arc::clone(picture), exporter.get_or_insert_default())
    }

    /// To read what another transaction reads.
    pub fn import(&mut self, picture: Arc<Picture>) {
        self.picture = Some(picture);
        self.queried = true;
    }

    /// It has read something, or could have: how it reads is settled.
    #[must_use]
    pub fn has_queried(&self) -> bool {
        self.queried
    }

    /// What others have committed together since then is hidden.
    #[must_use]
    pub fn picture_time(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.picture.as_ref().map_or(self.started, |picture| picture.began)
    }

    /// How many savepoints are open: what is made now belongs to that level.
    #[must_use]
    pub fn level(&self) -> usize {
        self.savepoints.len()
    }

    /// The innermost savepoint of the name, counted from 0 outside.
    ///
    /// # Errors
    /// 3B001.
    pub fn savepoint(&self, name: &str) -> Result<usize, SqlError> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| SqlError::new(SqlState::InvalidSavepointSpecification, format!("savepoint \"{name}\" does not exist")))
    }

    /// # Errors
    /// 54000 past [`SAVEPOINTS_MAX`].
    pub fn save(&mut self, name: String) -> Result<(), SqlError> {
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, format!("a transaction has at most {SAVEPOINTS_MAX} savepoints")));
        }
        let mark = Mark::of(self.changes.as_ref(), &self.waiting);
        self.emptied.clear();
        self.savepoints.push(Savepoint { name, mark });
        Ok(())
    }

    /// A table was truncated.
    pub fn note_emptied(&mut self, table: Oid) {
        if self.status == InTransaction {
            self.emptied.insert(table);
        }
    }

    #[must_use]
    pub fn has_emptied(&self, table: Oid) -> bool {
        self.emptied.contains(&table)
    }

    /// What was staged when the savepoint `at` was made.
    #[must_use]
    pub fn mark(&self, at: usize) -> Mark {
        self.savepoints.get(at).map(|savepoint| savepoint.mark.clone()).unwrap_or_default()
    }

    #[must_use]
    pub fn changes(&self) -> Option<&Changes> {
        self.changes.as_ref()
    }

    /// Where a change that comes now is staged.
    pub fn open_changes(&mut self) -> &mut Changes {
        self.changes.get_or_insert_default()
    }

    #[must_use]
    pub fn changes_mut(&mut self) -> Option<&mut Changes> {
        self.changes.as_mut()
    }

    pub fn take_changes(&mut self) -> Option<Changes> {
        self.changes.take()
    }

    /// Log entries of the statements that have staged changes.
    #[must_use]
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Keeps the outer `count` savepoints.
    pub fn keep_savepoints(&mut self, count: usize) {
        self.savepoints.truncate(count);
    }

    pub fn step(&mut self, event: Event) -> Step {
        let row = TABLE.iter().find(|(state, on, ..)| *state == self.status && *on == event);
        let (next, told) = row.map_or((self.status, Told::Nothing), |(_, _, next, told)| (*next, *told));
        let ended = self.status != Idle && next == Idle;
        if next == Idle {
            self.pinned.clear();
            self.savepoints.clear();
            self.started = None;
            self.queried = false;
            self.emptied.clear();
            self.picture = None;
            self.exporter = None;
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
            for event in [Event::Begin, Event::Commit, Event::Rollback, Event::RollbackTo, Event::Error] {
                assert_eq!(TABLE.iter().filter(|row| row.0 == state && row.1 == event).count(), 1, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn an_inner_savepoint_hides_its_namesake() {
        let mut transaction = Transaction::default();
        transaction.step(Event::Begin);
        for name in ["a", "b", "a"] {
            transaction.save(name.to_owned()).unwrap();
        }
        assert_eq!(transaction.savepoint("a").unwrap(), 2);
        transaction.keep_savepoints(2);
        assert_eq!(transaction.savepoint("a").unwrap(), 0);
        assert_eq!(transaction.savepoint("c").unwrap_err().state, SqlState::InvalidSavepointSpecification);
        transaction.step(Event::Error);
        transaction.step(Event::RollbackTo);
        assert_eq!((transaction.status(), transaction.level()), (InTransaction, 2));
        transaction.step(Event::Commit);
        assert_eq!(transaction.level(), 0);
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
