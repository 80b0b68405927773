//! Changes that wait for COMMIT: what the engine has staged of them, and the log entries of their statements, which end with the
//! transaction, so that FINISHED in the history says "visible".

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use lakegate_catalog::model::RelationName;
use lakegate_engine_api::{EngineTransaction, ExecutionContext, Outcome};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::journal::Journal;
use super::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// The one table that a transaction changes.
#[derive(Debug)]
pub struct Changes {
    pub table: RelationName,
    /// Its place when it was first changed: another one is another table of the same name.
    location: String,
    pub engine: Arc<dyn EngineTransaction>,
}

/// Statements of a transaction that did their work.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Vec<Waited>>>);

/// A statement's log entry, and what it did.
type Waited = (Journal, Outcome);

impl Waiting {
    pub fn push(&self, mut journal: Journal, outcome: Outcome) {
        journal.stop_clock();
        self.entries().push((journal, outcome));
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.entries().len()
    }

    /// Those since there were `from`.
    fn take(&self, from: usize) -> Vec<Waited> {
        let mut entries = self.entries();
        let from = from.min(entries.len());
        entries.split_off(from)
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Waited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").field(&self.count()).finish()
    }
}

impl GatewaySession {
    /// Called before a statement changes `target`: afterwards the table's relations are bound with the transaction, where there is one.
    /// A statement that is a message of its own commits by itself; those of one message, or of a pipeline up to Sync, are one
    /// transaction as long as they change one table.
    ///
    /// # Errors
    /// 25006; 0A000 for a second table in a block; what committing the first table's changes gives.
    pub(crate) async fn open_change(&mut self, command: &str, target: &RelationName, cancel: &CancellationToken) -> Result<(), SqlError> {
        self.refuse_read_only(command)?;
        let in_block = self.transaction.is_open();
        match self.transaction.changes() {
            Some(changes) if changes.table == *target => return Ok(()),
            Some(changes) if changes.engine.has_changes() => {
                if in_block {
                    return Err(SqlError::unsupported("changing more than one table in a transaction block").hint(format!(
                        "The block has changed \"{}\" already: COMMIT before another table is changed.",
                        changes.table.name
                    )));
                }
                self.commit_changes(cancel).await?;
            }
            _ => {}
        }
        if in_block || self.more_follows {
            let snapshot = self.shared.catalog.snapshot();
            let location = snapshot.relation_by_name(target).map(|relation| relation.location.clone()).unwrap_or_default();
            let engine = self.shared.engine.begin();
            self.transaction.set_changes(Some(Changes { table: target.clone(), location, engine }));
            self.message += 1;
        } else if self.transaction.changes().is_some() {
            self.transaction.set_changes(None);
            self.message += 1;
        }
        Ok(())
    }

    /// # Errors
    /// 25006.
    pub(crate) fn refuse_read_only(&self, command: &str) -> Result<(), SqlError> {
        if self.settings.current.get("transaction_read_only") == Some("on") {
            return Err(SqlError::new(SqlState::ReadOnlySqlTransaction, format!("cannot execute {command} in a read-only transaction")));
        }
        Ok(())
    }

    /// Whether a change that runs now is staged.
    pub(crate) fn is_staging(&self) -> bool {
        self.transaction.changes().is_some()
    }

    /// A change is done: its log entry ends now, or with the transaction.
    ///
    /// # Errors
    /// 58030: done, but the log could not be told.
    pub(crate) async fn change_done(&mut self, journal: Journal, outcome: Outcome) -> Result<(), SqlError> {
        if self.is_staging() {
            self.transaction.waiting().push(journal, outcome);
            return Ok(());
        }
        journal.done(&outcome).await
    }

    /// Makes what is staged visible in one commit.
    ///
    /// # Errors
    /// 40001, 57014, 58030: nothing is visible; 08007: nobody knows.
    pub(crate) async fn commit_changes(&mut self, cancel: &CancellationToken) -> Result<(), SqlError> {
        let changes = self.transaction.set_changes(None);
        self.message += 1;
        let result = match changes {
            Some(changes) if changes.engine.has_changes() => self.commit_staged(&changes, cancel).await,
            _ => Ok(Outcome::default()),
        };
        let waited = self.transaction.waiting().take(0);
        match result {
            Ok(committed) => {
                let count = waited.len();
                let mut told = Ok(());
                for (number, (journal, outcome)) in waited.into_iter().enumerate() {
                    // The log is written in order: once the last is durable, all are.
                    let wait = number + 1 == count && committed.version.is_some();
                    told = told.and(journal.done_with(&outcome, wait).await);
                }
                told
            }
            Err(error) => {
                for (journal, _) in waited {
                    journal.failed(&error).await;
                }
                Err(error)
            }
        }
    }

    async fn commit_staged(&self, changes: &Changes, cancel: &CancellationToken) -> Result<Outcome, SqlError> {
        let snapshot = self.shared.catalog.refresh().await?;
        // What lies at the old place would come back to life as a log of one entry.
        if snapshot.relation_by_name(&changes.table).is_none_or(|relation| relation.location != changes.location) {
            return Err(SqlError::new(
                SqlState::SerializationFailure,
                format!("could not serialize access: table \"{}\" was dropped", changes.table.name),
            ));
        }
        let context = ExecutionContext { statement_id: Uuid::now_v7(), cancel: cancel.clone() };
        Ok(changes.engine.commit(context).await?)
    }

    /// Commits the changes of an implicit transaction, before something that a transaction cannot hold.
    ///
    /// # Errors
    /// As [`GatewaySession::commit_changes`].
    pub(crate) async fn commit_implicit(&mut self, cancel: &CancellationToken) -> Result<(), SqlError> {
        if self.transaction.is_open() || !(self.is_staging() || self.transaction.waiting().count() > 0) {
            return Ok(());
        }
        self.commit_changes(cancel).await
    }

    /// Drops what is staged.
    pub(crate) async fn roll_back_changes(&mut self) {
        for journal in self.drop_changes() {
            journal.rolled_back().await;
        }
    }

    /// The same without waiting for the log.
    pub(crate) fn roll_back_changes_behind(&mut self) {
        end_behind(self.drop_changes());
    }

    /// What was staged since a savepoint goes.
    pub(crate) fn roll_back_changes_to(&mut self, staged: usize, entries: usize) {
        if let Some(changes) = self.transaction.changes() {
            changes.engine.roll_back_to(staged);
        }
        self.message += 1;
        self.changes_made += 1;
        end_behind(self.transaction.waiting().take(entries).into_iter().map(|(journal, _)| journal).collect());
    }

    fn drop_changes(&mut self) -> Vec<Journal> {
        if let Some(changes) = self.transaction.set_changes(None) {
            // Plans of prepared statements may hold it for long.
            changes.engine.roll_back();
            self.message += 1;
        }
        self.transaction.waiting().take(0).into_iter().map(|(journal, _)| journal).collect()
    }
}

fn end_behind(journals: Vec<Journal>) {
    if journals.is_empty() {
        return;
    }
    crate::tasks::spawn("end of rolled back statements", async move {
        for journal in journals {
            journal.rolled_back().await;
        }
    });
}
