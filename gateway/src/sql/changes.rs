//! Changes that wait for COMMIT: what the engine has staged of each table, what is staged of the catalog, and the log entries of their
//! statements, which end with the transaction, so that FINISHED in the history says "visible".

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use lakegate_catalog::audit::AuditEvent;
use lakegate_catalog::model::{Oid, Relation, RelationName};
use lakegate_catalog::{Catalog, CatalogError, Snapshot};
use lakegate_engine_api::{Engine, EngineTransaction, ExecutionContext, Outcome};
use sqlparser::ast::{ObjectType, Statement};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::grammar::Command;
use super::journal::Journal;
use super::session::GatewaySession;
use super::statement_type::statement_type;
use super::together::CatalogDecision;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// What a transaction has changed.
#[derive(Debug, Default)]
pub struct Changes {
    tables: BTreeMap<Oid, ChangedTable>,
    /// Shows and takes the changes of the catalog; `None` before the first.
    catalog: Option<Catalog>,
    /// Root URLs of tables that the transaction made: nobody else can name them. Their files go where it is rolled back.
    created: Vec<String>,
    /// Managed tables that it dropped: their files go once it is committed.
    dropped: Vec<Arc<Relation>>,
}

#[derive(Debug)]
struct ChangedTable {
    name: String,
    /// Its place when it was first changed: another one is another table.
    location: String,
    engine: Arc<dyn EngineTransaction>,
}

/// What was staged at some moment.
#[derive(Debug, Clone, Default)]
pub struct Mark {
    tables: BTreeMap<Oid, usize>,
    catalog: usize,
    created: usize,
    dropped: usize,
    entries: usize,
}

impl Mark {
    #[must_use]
    pub fn of(changes: Option<&Changes>, waiting: &Waiting) -> Self {
        let entries = waiting.count();
        let Some(changes) = changes else { return Mark { entries, ..Mark::default() } };
        Mark {
            tables: changes.tables.iter().map(|(oid, table)| (*oid, table.engine.mark())).collect(),
            catalog: changes.catalog.as_ref().map_or(0, Catalog::staged_changes),
            created: changes.created.len(),
            dropped: changes.dropped.len(),
            entries,
        }
    }
}

impl Changes {
    /// Where the transaction stages changes of a table, if it does.
    #[must_use]
    pub fn table(&self, relation: Oid) -> Option<&Arc<dyn EngineTransaction>> {
        self.tables.get(&relation).map(|table| &table.engine)
    }

    #[must_use]
    pub fn catalog(&self) -> Option<&Catalog> {
        self.catalog.as_ref()
    }

    fn is_new(&self, location: &str) -> bool {
        self.created.iter().any(|created| created == location)
    }

    /// Goes back to a mark; gives the places of tables that are not made any more.
    fn roll_back_to(&mut self, mark: &Mark) -> Vec<String> {
        let gone = self.created.split_off(mark.created.min(self.created.len()));
        self.dropped.truncate(mark.dropped);
        self.tables.retain(|oid, table| {
            if gone.contains(&table.location) {
                table.engine.roll_back();
                return false;
            }
            table.engine.roll_back_to(mark.tables.get(oid).copied().unwrap_or(0));
            true
        });
        if let Some(catalog) = &self.catalog {
            catalog.roll_back_changes_to(mark.catalog);
        }
        gone
    }
}

/// Statements of a transaction that did their work.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Vec<Waited>>>);

/// A statement's log entry, what it did, and what the audit log will say of it.
struct Waited {
    journal: Journal,
    outcome: Outcome,
    event: Option<AuditEvent>,
}

impl Waiting {
    pub fn push(&self, journal: Journal, outcome: Outcome) {
        self.push_audited(journal, outcome, None);
    }

    fn push_audited(&self, mut journal: Journal, outcome: Outcome, event: Option<AuditEvent>) {
        journal.stop_clock();
        self.entries().push(Waited { journal, outcome, event });
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

/// Opening and closing changes.
impl GatewaySession {
    /// Called before a statement changes `target`: afterwards the table's relations are bound with the transaction, where there is one.
    /// A statement that is a message of its own commits by itself; those of one message, or of a pipeline up to Sync, are one
    /// transaction.
    ///
    /// # Errors
    /// 25006.
    pub(crate) fn open_change(&mut self, command: &str, target: &RelationName) -> Result<(), SqlError> {
        self.refuse_read_only(command)?;
        if !self.stages_changes() {
            return Ok(());
        }
        let snapshot = self.catalog().snapshot();
        // What is no table is refused where it is bound.
        let Some(relation) = snapshot.relation_by_name(target).filter(|relation| relation.is_stored()).cloned() else { return Ok(()) };
        if self.transaction.changes().is_some_and(|changes| changes.tables.contains_key(&relation.oid)) {
            return Ok(());
        }
        let others = self.transaction.changes().and_then(|changes| changes.tables.values().next());
        let engine = match others {
            Some(other) => self.engine().begin_beside(&other.engine),
            None => self.engine().begin(),
        };
        let table = ChangedTable { name: relation.name.clone(), location: relation.location.clone(), engine };
        self.transaction.open_changes().tables.insert(relation.oid, table);
        self.message += 1;
        Ok(())
    }

    /// Called before a command changes the catalog: afterwards [`GatewaySession::catalog`] stages it, where there is a transaction.
    ///
    /// # Errors
    /// 25006; 25001 for what no transaction can hold.
    pub(crate) fn open_catalog_change(&mut self, command: &Command) -> Result<(), SqlError> {
        let word = statement_type(command);
        self.refuse_read_only(if word == "SELECT" { "SELECT INTO" } else { word })?;
        if !self.stages_changes() && !is_of_both(command) {
            return Ok(());
        }
        if is_of_cluster(command) {
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, format!("{word} cannot run inside a transaction block")));
        }
        let catalog = self.shared.catalog.clone();
        self.transaction.open_changes().catalog.get_or_insert_with(|| catalog.begin_changes());
        Ok(())
    }

    /// Whether a change that comes now waits for the end of a transaction.
    fn stages_changes(&self) -> bool {
        self.transaction.is_open() || self.more_follows || self.is_staging()
    }

    /// # Errors
    /// 25006.
    pub(crate) fn refuse_read_only(&self, command: &str) -> Result<(), SqlError> {
        if self.settings.current.get("transaction_read_only") == Some("on") {
            return Err(SqlError::new(SqlState::ReadOnlySqlTransaction, format!("cannot execute {command} in a read-only transaction")));
        }
        Ok(())
    }

    /// Whether the open transaction has made the table, or truncated it: nobody else can have rows in it.
    pub(crate) fn is_new_or_empty(&self, table: &Relation) -> bool {
        let is_new = self.in_transaction() && self.shared.catalog.snapshot().relation_by_oid(table.oid).is_none();
        is_new || self.transaction.has_emptied(table.oid)
    }

    /// Whether there is a transaction with changes, or one that was opened for them.
    pub(crate) fn is_staging(&self) -> bool {
        self.transaction.changes().is_some()
    }

    /// A change of a table is done: its log entry ends now, or with the transaction.
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

    /// The same of the catalog, which the audit log is told of, too.
    ///
    /// # Errors
    /// As [`GatewaySession::change_done`].
    pub(crate) async fn catalog_change_done(&mut self, command: &Command, journal: Journal) -> Result<(), SqlError> {
        let event = crate::system::audit::change(self, command, journal.statement_id());
        self.changes_made += 1;
        if self.is_staging() {
            self.transaction.waiting().push_audited(journal, Outcome::default(), Some(event));
            return Ok(());
        }
        self.shared.catalog.audit(event, true).await?;
        journal.done(&Outcome::default()).await
    }

    /// Files are about to be made for a new table: they go with the transaction, should it be rolled back.
    pub(crate) fn note_created(&mut self, location: &str) {
        if let Some(changes) = self.transaction.changes_mut() {
            changes.created.push(location.to_owned());
        }
    }

    /// The catalog has forgotten these: files of managed tables go now, or once the transaction is committed.
    pub(crate) async fn note_dropped(&mut self, relations: Vec<Arc<Relation>>) {
        let managed = relations.into_iter().filter(|relation| relation.owns_files());
        match self.transaction.changes_mut() {
            Some(changes) => changes.dropped.extend(managed),
            None => self.delete_files(managed.collect()).await,
        }
    }

    /// The tables are gone for every reader by now; files that cannot be deleted cost space, not correctness.
    async fn delete_files(&mut self, relations: Vec<Arc<Relation>>) {
        for relation in relations {
            if let Err(error) = self.shared.engine.drop_table(&relation.location).await {
                tracing::warn!(relation = relation.oid, %error, "files of a dropped table could not be deleted");
                let text = format!("files of table \"{}\" could not be deleted: {error}", relation.name);
                self.notice(SqlError::notice(Severity::Warning, SqlState::Warning, text));
            }
        }
    }
}

/// The end of a transaction.
impl GatewaySession {
    /// Makes what is staged visible.
    ///
    /// # Errors
    /// 40001, 57014, 58030: nothing is visible; 08007: nobody knows.
    pub(crate) async fn commit_changes(&mut self, cancel: &CancellationToken) -> Result<(), SqlError> {
        let changes = self.transaction.take_changes();
        self.message += 1;
        let result = match &changes {
            Some(changes) => self.commit_staged(changes, cancel).await,
            None => Ok(false),
        };
        let waited = self.transaction.waiting().take(0);
        match result {
            Ok(durable) => {
                let told = self.tell_committed(waited, durable).await;
                if let Some(changes) = changes {
                    self.delete_files(changes.dropped).await;
                }
                told
            }
            Err(error) => {
                for entry in waited {
                    entry.failed(&self.shared.catalog, &error).await;
                }
                if let Some(changes) = changes.filter(|_| error.state != SqlState::TransactionResolutionUnknown) {
                    remove_files(self.shared.engine.as_ref(), changes.created).await;
                }
                Err(error)
            }
        }
    }

    async fn tell_committed(&self, waited: Vec<Waited>, durable: bool) -> Result<(), SqlError> {
        let count = waited.len();
        let mut told = Ok(());
        for (number, entry) in waited.into_iter().enumerate() {
            if let Some(event) = entry.event {
                told = told.and(self.shared.catalog.audit(event, true).await.map_err(SqlError::from));
            }
            // The log is written in order: once the last is durable, all are.
            let wait = number + 1 == count && durable;
            told = told.and(entry.journal.done_with(&entry.outcome, wait).await);
        }
        told
    }

    /// Whether something had to be committed.
    async fn commit_staged(&self, changes: &Changes, cancel: &CancellationToken) -> Result<bool, SqlError> {
        // Says what others did to the objects that the transaction has changed.
        let picture = changes.catalog.as_ref().unwrap_or(&self.shared.catalog).refresh().await?;
        let stored = self.shared.catalog.snapshot();
        let tables = changes.tables_to_commit(&picture, &stored)?;
        let writes = tables.iter().any(|table| table.engine.has_writes());
        if !writes && changes.catalog.as_ref().is_none_or(|catalog| catalog.staged_changes() == 0) {
            // What was only read was read from one picture, locked or not.
            tables.iter().for_each(|table| table.engine.roll_back());
            return Ok(false);
        }
        let (new, known): (Vec<_>, Vec<_>) = tables.into_iter().partition(|table| changes.is_new(&table.location));
        let context = || ExecutionContext { statement_id: Uuid::now_v7(), cancel: cancel.clone() };
        // Those that nobody can name before the catalog's commit are no part of it.
        for table in new {
            table.engine.commit(context()).await?;
        }
        match (known.as_slice(), &changes.catalog) {
            ([], None) => Ok(false),
            ([], Some(catalog)) => {
                let durable = catalog.staged_changes() > 0;
                catalog.commit_changes().await.map_err(unknown_where_unavailable)?;
                Ok(durable)
            }
            ([table], catalog) if catalog.as_ref().is_none_or(|catalog| catalog.staged_changes() == 0) => {
                Ok(table.engine.commit(context()).await?.version.is_some())
            }
            (_, catalog) => {
                let catalog = catalog.clone().unwrap_or_else(|| self.shared.catalog.begin_changes());
                let decision = Arc::new(CatalogDecision::new(catalog, Arc::clone(&self.shared.together)));
                let transactions = known.iter().map(|table| Arc::clone(&table.engine)).collect();
                let committed = self.engine().commit_together(transactions, Arc::clone(&decision) as _, context()).await;
                committed.map(|_| true).map_err(|error| decision.explain(error))
            }
        }
    }

    /// Commits the changes of an implicit transaction.
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
        let (waited, created) = self.drop_changes();
        remove_files(self.shared.engine.as_ref(), created).await;
        for entry in waited {
            entry.rolled_back(&self.shared.catalog).await;
        }
    }

    /// The same without waiting for the log and the files.
    pub(crate) fn roll_back_changes_behind(&mut self) {
        let (waited, created) = self.drop_changes();
        self.end_behind(waited, created);
    }

    /// What was staged since a savepoint goes.
    pub(crate) fn roll_back_changes_to(&mut self, mark: &Mark) {
        let gone = self.transaction.changes_mut().map(|changes| changes.roll_back_to(mark)).unwrap_or_default();
        self.message += 1;
        self.changes_made += 1;
        let waited = self.transaction.waiting().take(mark.entries);
        self.end_behind(waited, gone);
    }

    fn drop_changes(&mut self) -> (Vec<Waited>, Vec<String>) {
        let mut created = Vec::new();
        if let Some(changes) = self.transaction.take_changes() {
            // Plans of prepared statements may hold them for long.
            changes.tables.values().for_each(|table| table.engine.roll_back());
            created = changes.created;
            self.message += 1;
        }
        (self.transaction.waiting().take(0), created)
    }

    fn end_behind(&self, waited: Vec<Waited>, created: Vec<String>) {
        if waited.is_empty() && created.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        crate::tasks::spawn("end of rolled back statements", async move {
            remove_files(shared.engine.as_ref(), created).await;
            for entry in waited {
                entry.rolled_back(&shared.catalog).await;
            }
        });
    }
}

impl Changes {
    /// Those of the changed tables that are still there when the transaction ends.
    ///
    /// # Errors
    /// 40001 where another transaction has dropped one.
    fn tables_to_commit(&self, picture: &Snapshot, stored: &Snapshot) -> Result<Vec<&ChangedTable>, SqlError> {
        let mut tables = Vec::new();
        for (oid, table) in self.tables.iter().filter(|(_, table)| table.engine.has_changes()) {
            let is_there = |snapshot: &Snapshot| snapshot.relation_by_oid(*oid).is_some_and(|found| found.location == table.location);
            if is_there(picture) {
                tables.push(table);
            } else if !is_there(stored) && !self.is_new(&table.location) {
                // What lies at the old place would come back to life as a log of one entry.
                return Err(SqlError::new(
                    SqlState::SerializationFailure,
                    format!("could not serialize access: table \"{}\" was dropped", table.name),
                ));
            }
        }
        Ok(tables)
    }
}

impl Waited {
    async fn rolled_back(self, catalog: &Catalog) {
        if let Some(event) = self.event {
            let error = SqlError::new(SqlState::TransactionRollback, "transaction was rolled back");
            crate::system::audit::record(catalog, crate::system::audit::undone(event, &error)).await;
        }
        self.journal.rolled_back().await;
    }

    async fn failed(self, catalog: &Catalog, error: &SqlError) {
        if let Some(event) = self.event {
            crate::system::audit::record(catalog, crate::system::audit::undone(event, error)).await;
        }
        self.journal.failed(error).await;
    }
}

/// What PostgreSQL keeps out of transaction blocks.
/// What changes a table's own definition and the catalog's: one commit of both, or neither.
fn is_of_both(command: &Command) -> bool {
    match command {
        Command::Alter(_) | Command::Refresh(_) | Command::Reindex(_) => true,
        Command::Sql(statement) => {
            matches!(statement.as_ref(), Statement::CreateIndex(_) | Statement::Drop { object_type: ObjectType::Index, .. })
        }
        _ => false,
    }
}

fn is_of_cluster(command: &Command) -> bool {
    match command {
        Command::Sql(statement) => {
            matches!(statement.as_ref(), Statement::Drop { object_type: ObjectType::Database, .. })
        }
        Command::CreateDatabase(_) | Command::Keys(_) | Command::CreateToken(_) | Command::DropToken(_) => true,
        _ => false,
    }
}

/// A catalog that went away may have stored the commit.
fn unknown_where_unavailable(error: CatalogError) -> SqlError {
    match error {
        CatalogError::Unavailable { .. } => {
            SqlError::new(SqlState::TransactionResolutionUnknown, "the outcome of the commit to the catalog is unknown")
        }
        error => error.into(),
    }
}

/// Of tables that were never registered.
async fn remove_files(engine: &dyn Engine, locations: Vec<String>) {
    for location in locations {
        if let Err(error) = engine.drop_table(&location).await {
            tracing::warn!(%error, "files of a table that was not created could not be deleted");
        }
    }
}
