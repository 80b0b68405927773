//! Commits. delta-rs writes the log entry; whether it may be written on top of what others have committed meanwhile is
//! decided here, by the files themselves: a rewrite stands as long as each file that it replaces is still part of the table,
//! an append as long as the table's columns and protocol are the same.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, PostCommit, TableReference, TransactionError};
use deltalake_core::kernel::{Action, Metadata, Transaction};
use deltalake_core::protocol::DeltaOperation;
use lakegate_engine_api::EngineError;
use serde_json::{Value, json};
use uuid::Uuid;

use super::staged::{FileKey, active_files, file_key};
use crate::delta::{Table, TableVersion};
use crate::error;

/// Other writers' commits that may come between ours and its base before it is given up.
const RACES_MAX: usize = 100;

/// Application id of our `txn` actions, before the statement's id.
const APPLICATION: &str = "lakegate";

/// A commit is recognised by it: in commitInfo and as a `txn` action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitId(pub Uuid);

impl CommitId {
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }

    fn transaction(self) -> Transaction {
        Transaction::new_with_last_update(format!("{APPLICATION}:{}", self.0), 1, Some(chrono::Utc::now().timestamp_millis()))
    }
}

/// What a commit does and what it rests on.
pub struct Change {
    pub base: Arc<TableVersion>,
    pub actions: Vec<Action>,
    pub operation: DeltaOperation,
    /// One a statement.
    pub ids: Vec<CommitId>,
    /// Nothing of the table was read.
    pub blind: bool,
    /// Rows were added because none of their keys was there: it does not stand once somebody who has read the table has added some.
    /// Blind appends may come before or after it; nothing keeps them from adding such a key.
    pub rests_on_absence: bool,
    /// All of the table was looked at: nobody else may have changed it.
    pub exclusive: bool,
}

/// Commits on top of the newest version; the caller holds [`super::WriteQueue::commits`].
///
/// # Errors
/// `Conflict` where another writer's commit undoes what the change rests on; `CommitUnknown`; `Storage`.
pub async fn commit(table: &Arc<Table>, name: &str, change: Change) -> Result<u64, EngineError> {
    commit_where(table, name, change, false).await
}

/// The same where nobody else may have changed or deleted rows.
///
/// # Errors
/// As [`commit`].
pub async fn commit_locked(table: &Arc<Table>, name: &str, change: Change) -> Result<u64, EngineError> {
    commit_where(table, name, change, true).await
}

async fn commit_where(table: &Arc<Table>, name: &str, change: Change, locked: bool) -> Result<u64, EngineError> {
    for _ in 0..RACES_MAX {
        let current = table.newest().await?;
        if !still_stands(table, &change, &current).await? || (locked && !rows_stand(&change.base, &current)) {
            return Err(EngineError::Conflict { table: name.to_owned() });
        }
        match attempt(table, name, &change, &current).await? {
            Attempt::Committed(version) => return Ok(version),
            // Another writer was first: look at what it did.
            Attempt::Raced => {}
        }
    }
    Err(EngineError::Conflict { table: name.to_owned() })
}

/// What became of one try.
pub enum Attempt {
    Committed(u64),
    /// The version was somebody else's.
    Raced,
}

/// Commits as the version after `current`, or not at all.
///
/// # Errors
/// `CommitUnknown`; `Storage`.
pub async fn attempt(table: &Arc<Table>, name: &str, change: &Change, current: &TableVersion) -> Result<Attempt, EngineError> {
    let builder = CommitBuilder::from(properties(&change.ids, change.blind)).with_actions(change.actions.clone());
    attempt_built(table, name, builder, &change.operation, change.ids.first().copied(), current).await
}

/// Records an operation that changes nothing of the table, with its figures; the caller holds [`super::WriteQueue::commits`].
///
/// # Errors
/// `Conflict` where others are always first; `CommitUnknown`; `Storage`.
pub async fn record(table: &Arc<Table>, name: &str, operation: &DeltaOperation, metrics: &Value) -> Result<u64, EngineError> {
    let id = CommitId::new();
    for _ in 0..RACES_MAX {
        let current = table.newest().await?;
        let mut metadata = metadata(&[id], false);
        metadata.insert("operationMetrics".to_owned(), metrics.clone());
        let builder = CommitBuilder::from(properties(&[id], false).with_metadata(metadata));
        if let Attempt::Committed(version) = attempt_built(table, name, builder, operation, Some(id), &current).await? {
            return Ok(version);
        }
    }
    Err(EngineError::Conflict { table: name.to_owned() })
}

async fn attempt_built(
    table: &Arc<Table>,
    name: &str,
    builder: CommitBuilder,
    operation: &DeltaOperation,
    id: Option<CommitId>,
    current: &TableVersion,
) -> Result<Attempt, EngineError> {
    let unknown = |error: EngineError| match error {
        EngineError::CommitUnknown { .. } => {
            EngineError::CommitUnknown { table: name.to_owned(), commit_id: id.map(|id| id.0.to_string()).unwrap_or_default() }
        }
        other => other,
    };
    let base: &dyn TableReference = &current.snapshot;
    let prepared = builder.build(Some(base), Arc::clone(&table.log_store), operation.clone());
    let outcome = async { prepared.into_prepared_commit_future().await?.await };
    match outcome.await {
        Ok(committed) => {
            let version = committed.version;
            finish(table, committed, current).await;
            Ok(Attempt::Committed(version))
        }
        Err(error) if is_race(&error) => Ok(Attempt::Raced),
        Err(error) => Err(unknown(error::from_delta(&error, name))),
    }
}

/// Version 0 of a new table.
///
/// # Errors
/// `Conflict` where there is a table already; `CommitUnknown`; `Storage`.
pub fn properties(ids: &[CommitId], blind: bool) -> CommitProperties {
    CommitProperties::default()
        .with_metadata(metadata(ids, blind))
        // Races are handled by the caller; delta-rs' own check lets some conflicts pass.
        .with_max_retries(0)
        .with_application_transactions(ids.iter().map(|id| id.transaction()).collect())
}

/// What commitInfo says of us.
fn metadata(ids: &[CommitId], blind: bool) -> HashMap<String, Value> {
    let mut metadata = HashMap::from([
        ("engineInfo".to_owned(), json!(concat!("lakegate/", env!("CARGO_PKG_VERSION")))),
        ("lakegateCommitId".to_owned(), json!(ids.first().map(|id| id.0.to_string()))),
    ]);
    if blind {
        metadata.insert("isBlindAppend".to_owned(), json!(true));
    }
    metadata
}

pub fn is_race(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) | TransactionError::VersionAlreadyExists(_) }
    )
}

/// Whether a change can be committed on top of a version.
///
/// # Errors
/// `Storage`, `Corrupted`.
pub async fn still_stands(table: &Table, change: &Change, current: &TableVersion) -> Result<bool, EngineError> {
    if !files_stand(change, current)? {
        return Ok(false);
    }
    Ok(!(change.rests_on_absence && has_additions(table, change.base.version(), current.version()).await?))
}

/// Whether all rows of a version are still there, as they were.
#[must_use]
pub fn rows_stand(base: &TableVersion, current: &TableVersion) -> bool {
    base.version() == current.version() || active_files(base).is_subset(&active_files(current))
}

fn files_stand(change: &Change, current: &TableVersion) -> Result<bool, EngineError> {
    if current.version() == change.base.version() {
        return Ok(true);
    }
    if change.exclusive {
        return Ok(false);
    }
    if !same_definition(&change.base, current) {
        return Ok(false);
    }
    let replaced: Vec<FileKey> = change
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Remove(remove) => Some(file_key(&remove.path, remove.deletion_vector.as_ref())),
            _ => None,
        })
        .collect();
    if replaced.is_empty() {
        return Ok(true);
    }
    let active = active_files(current);
    Ok(replaced.iter().all(|file| active.contains(file)))
}

/// Whether rows that were made for one are right for the other. That deletion vectors came into use changes nothing for a writer who
/// names the files and vectors that it replaces.
#[must_use]
pub fn same_definition(base: &TableVersion, now: &TableVersion) -> bool {
    let (old, new) = (base.snapshot.metadata(), now.snapshot.metadata());
    if old == new {
        return base.snapshot.protocol() == now.snapshot.protocol();
    }
    let rest = |metadata: &Metadata| {
        let mut configuration = metadata.configuration().clone();
        configuration.remove(super::vectors::ENABLED);
        configuration
    };
    old.id() == new.id()
        && old.partition_columns() == new.partition_columns()
        && base.snapshot.schema() == now.snapshot.schema()
        && rest(old) == rest(new)
}

/// Whether a commit after `from`, up to `to`, has added rows and is not known to have read nothing.
async fn has_additions(table: &Table, from: u64, to: u64) -> Result<bool, EngineError> {
    for version in from + 1..=to {
        let entry = table.log_store.read_commit_entry(version).await.map_err(|error| error::from_delta(&error, ""))?;
        let Some(entry) = entry else { return Ok(true) };
        let actions = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let actions: Vec<serde_json::Value> = actions.map_while(|line| serde_json::from_slice(line).ok()).collect();
        let is = |action: &serde_json::Value, place: &str| action.pointer(place).and_then(serde_json::Value::as_bool) == Some(true);
        let adds = actions.iter().any(|action| is(action, "/add/dataChange"));
        let blind = actions.iter().any(|action| is(action, "/commitInfo/isBlindAppend"));
        if adds && !blind {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Versions from one checkpoint to the next.
#[must_use]
pub fn checkpoint_interval(version: &TableVersion) -> u64 {
    let configuration = version.snapshot.metadata().configuration();
    let interval = configuration.get("delta.checkpointInterval").and_then(|interval| interval.parse::<u64>().ok());
    interval.filter(|interval| *interval > 0).unwrap_or(100)
}

/// Checkpoints when it is time for one. The commit stands whatever becomes of this.
async fn finish(table: &Arc<Table>, committed: PostCommit, base: &TableVersion) {
    let interval = checkpoint_interval(base);
    if !(committed.version + 1).is_multiple_of(interval) {
        return;
    }
    let version = committed.version;
    match committed.await {
        Ok(finalized) => {
            if let Err(error) = table.committed(finalized.snapshot.snapshot().clone()).await {
                tracing::warn!(version, %error, "snapshot after a checkpoint");
            }
        }
        Err(error) => tracing::warn!(version, %error, "no checkpoint"),
    }
}
