//! One commit of several tables. The tables' logs know nothing of each other, so what the commits come to is decided elsewhere: the
//! control plane keeps a record of them before the first is made, and one decision at the end says that all of them stand. Until then
//! nobody in this process opens the tables; commits that do not come to stand are undone by further ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::DeltaOperation;
use lakegate_engine_api::{CommitDecision, Decision, EngineError, Outcome, TableCommit};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockWriteGuard, oneshot};

use super::commit::{Attempt, Change, CommitId, attempt, rows_stand, still_stands};
use super::files::{FileLayout, bytes_of};
use super::staged::active_files;
use crate::delta::{Table, TableVersion, Tables};
use crate::error;
use crate::exec::Shared;

/// Other writers' commits that may come between ours and its base before it is given up.
const RACES_MAX: usize = 100;
/// Between two tries to undo, or to learn what was decided.
const RETRY: Duration = Duration::from_secs(1);

/// A table's part, its rows in files.
pub struct Part {
    pub table: Arc<Table>,
    pub name: String,
    pub location: String,
    pub layout: FileLayout,
    pub change: Change,
    /// All that was written for it, also what is in no action any more.
    pub files: Vec<Add>,
    /// Nobody else may have changed or deleted rows.
    pub locked: bool,
}

impl Part {
    fn id(&self) -> CommitId {
        self.change.ids.first().copied().unwrap_or_default()
    }

    fn outcome(&self, version: u64) -> Outcome {
        let adds: Vec<Add> = self
            .change
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Add(add) => Some(add.clone()),
                _ => None,
            })
            .collect();
        Outcome {
            version: Some(version),
            files_written: u64::try_from(adds.len()).unwrap_or(0),
            bytes_written: bytes_of(&adds),
            ..Outcome::default()
        }
    }
}

/// Commits all parts or none. The work goes on after the answer where something has to be undone and the store does not answer.
///
/// # Errors
/// `Conflict`, `Storage`: nothing is visible, or will be; `CommitUnknown`.
pub async fn commit_together(
    shared: &Arc<Shared>,
    mut parts: Vec<Part>,
    decision: Arc<dyn CommitDecision>,
) -> Result<Vec<Outcome>, EngineError> {
    // Everybody locks in this order.
    parts.sort_by(|one, other| one.location.cmp(&other.location));
    let (answer, answered) = oneshot::channel();
    let shared_tables = Arc::clone(&shared.tables);
    shared.runtime.handle().spawn(async move {
        let mut together = Together::lock(parts, decision).await;
        let result = together.commit().await;
        let undo = result.is_err() && together.intended;
        if let Err(error) = &result
            && !matches!(error, EngineError::CommitUnknown { .. })
            && !undo
        {
            together.discard().await;
        }
        if !undo {
            let _ = answer.send(result);
            return;
        }
        // What is undone at once is told as what it was; what hangs is told before.
        let first = together.undo(&shared_tables).await;
        let _ = answer.send(result);
        if !first {
            together.undo_at_last(&shared_tables).await;
        }
    });
    answered.await.map_err(|_| error::internal("a commit gave no answer"))?
}

struct Together {
    parts: Vec<Part>,
    decision: Arc<dyn CommitDecision>,
    commits: Vec<TableCommit>,
    /// The record is there, or may be.
    intended: bool,
    _order: Vec<OwnedMutexGuard<()>>,
    _hidden: Vec<OwnedRwLockWriteGuard<()>>,
}

impl Together {
    async fn lock(parts: Vec<Part>, decision: Arc<dyn CommitDecision>) -> Self {
        let (mut order, mut hidden) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
        for part in &parts {
            order.push(Arc::clone(&part.table.writes.commits).lock_owned().await);
        }
        for part in &parts {
            hidden.push(Arc::clone(&part.table.visible).write_owned().await);
        }
        Self { parts, decision, commits: Vec::new(), intended: false, _order: order, _hidden: hidden }
    }

    async fn commit(&mut self) -> Result<Vec<Outcome>, EngineError> {
        let mut bases = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let base = part.newest().await?;
            self.commits.push(TableCommit {
                location: part.location.clone(),
                version: base.version() + 1,
                commit_id: part.id().0.to_string(),
            });
            bases.push(base);
        }
        self.intend().await?;
        let mut outcomes = Vec::with_capacity(self.parts.len());
        for (at, base) in bases.into_iter().enumerate() {
            let version = self.commit_part(at, base).await?;
            outcomes.push(self.parts[at].outcome(version));
        }
        match self.decision.decide().await {
            Decision::Stands => Ok(outcomes),
            Decision::Refused => Err(self.conflict()),
            Decision::Unknown => self.learn(outcomes).await,
            Decision::Gone => Err(self.unknown()),
        }
    }

    async fn intend(&mut self) -> Result<(), EngineError> {
        self.intended = true;
        if self.decision.intend(&self.commits).await {
            return Ok(());
        }
        Err(self.conflict())
    }

    async fn commit_part(&mut self, at: usize, mut base: Arc<TableVersion>) -> Result<u64, EngineError> {
        for _ in 0..RACES_MAX {
            let part = &self.parts[at];
            match attempt(&part.table, &part.name, &part.change, &base).await? {
                Attempt::Committed(version) => return Ok(version),
                // Another writer was first: look at what it did, and say anew which version is ours.
                Attempt::Raced => {
                    base = part.newest().await?;
                    self.commits[at].version = base.version() + 1;
                    self.intend().await?;
                }
            }
        }
        Err(self.conflict())
    }

    /// The control plane did not say what became of the decision. Nobody opens the tables before it has.
    async fn learn(&self, outcomes: Vec<Outcome>) -> Result<Vec<Outcome>, EngineError> {
        for _ in 0..60 {
            tokio::time::sleep(RETRY).await;
            match self.decision.outcome().await {
                Decision::Stands => return Ok(outcomes),
                Decision::Refused => return Err(self.conflict()),
                Decision::Unknown => {}
                Decision::Gone => break,
            }
        }
        Err(self.unknown())
    }

    fn unknown(&self) -> EngineError {
        let table = self.parts.first().map(|part| part.name.clone()).unwrap_or_default();
        EngineError::CommitUnknown { table, commit_id: self.commits.first().map(|one| one.commit_id.clone()).unwrap_or_default() }
    }

    fn conflict(&self) -> EngineError {
        EngineError::Conflict { table: self.parts.first().map(|part| part.name.clone()).unwrap_or_default() }
    }

    /// Whether there is nothing more to undo here.
    async fn undo(&self, tables: &Tables) -> bool {
        // What was decided without our knowing must not be undone.
        match self.decision.outcome().await {
            Decision::Refused => {}
            Decision::Stands => return true,
            Decision::Unknown => return false,
            // Who takes the record over undoes it, or finds that it stands; the tables are not kept from them.
            Decision::Gone => return true,
        }
        for commit in &self.commits {
            if let Err(error) = undo_commit(tables, commit).await {
                tracing::error!(location = commit.location, version = commit.version, %error, "a commit could not be undone yet");
                return false;
            }
        }
        self.decision.abandon().await;
        self.discard().await;
        true
    }

    async fn undo_at_last(&self, tables: &Tables) {
        while !self.undo(tables).await {
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn discard(&self) {
        for part in &self.parts {
            part.layout.discard(&part.files).await;
        }
    }
}

impl Part {
    /// The newest version, where the change stands on top of it.
    async fn newest(&self) -> Result<Arc<TableVersion>, EngineError> {
        let newest = self.table.newest().await?;
        let rows_stand = !self.locked || rows_stand(&self.change.base, &newest);
        if rows_stand && still_stands(&self.table, &self.change, &newest).await? {
            Ok(newest)
        } else {
            Err(EngineError::Conflict { table: self.name.clone() })
        }
    }
}

/// Undoes commits whose process is gone.
///
/// # Errors
/// `Storage`, `Conflict` where somebody else goes on changing the table.
pub async fn undo_commits(shared: &Shared, commits: &[TableCommit]) -> Result<(), EngineError> {
    for commit in commits {
        let table = shared.tables.table(&commit.location).await?;
        let _order = table.writes.commits.lock().await;
        undo_commit(&shared.tables, commit).await?;
    }
    Ok(())
}

/// Takes one table back to what it was before a commit, as far as others have not gone on from it; the caller holds
/// [`super::WriteQueue::commits`]. A commit that is not there will not come either: its version is taken by an empty one.
async fn undo_commit(tables: &Tables, commit: &TableCommit) -> Result<(), EngineError> {
    let table = tables.table(&commit.location).await?;
    for _ in 0..RACES_MAX {
        let newest = match table.newest().await {
            Ok(newest) => newest,
            // Dropped since.
            Err(EngineError::NotADeltaTable) => return Ok(()),
            Err(error) => return Err(error),
        };
        if newest.version() + 1 < commit.version {
            return Ok(());
        }
        let actions = if newest.version() < commit.version {
            Vec::new()
        } else {
            match inverse(tables, &table, commit, &newest).await? {
                Some(actions) if !actions.is_empty() => actions,
                _ => return Ok(()),
            }
        };
        let change = Change {
            base: Arc::clone(&newest),
            actions,
            operation: DeltaOperation::Restore { version: Some(commit.version.saturating_sub(1)), datetime: None },
            ids: vec![CommitId::new()],
            blind: false,
            rests_on_absence: false,
            exclusive: false,
        };
        if let Attempt::Committed(version) = attempt(&table, "", &change, &newest).await? {
            tracing::warn!(location = commit.location, undone = commit.version, version, "a commit of several tables was undone");
            return Ok(());
        }
    }
    Err(EngineError::Conflict { table: String::new() })
}

/// What takes `newest` back; `None` where the version is not ours.
#[expect(deprecated, reason = "there is no other way from a file of a snapshot to its add action")]
async fn inverse(
    tables: &Tables,
    table: &Arc<Table>,
    commit: &TableCommit,
    newest: &TableVersion,
) -> Result<Option<Vec<Action>>, EngineError> {
    let entry = table.log_store.read_commit_entry(commit.version).await.map_err(|error| error::from_delta(&error, ""))?;
    let Some(entry) = entry else { return Ok(None) };
    let text = String::from_utf8_lossy(&entry);
    if !text.contains(&commit.commit_id) {
        return Ok(None);
    }
    let done: Vec<Action> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let before = tables.version(&commit.location, Some(commit.version.saturating_sub(1))).await?;
    let (was, is) = (active_files(&before), active_files(newest));
    let files: HashMap<_, _> = newest.snapshot.log_data().iter().map(|file| (file.path().into_owned(), file.remove_action(true))).collect();
    let mut actions = Vec::new();
    for action in &done {
        match action {
            Action::Add(add) => actions.extend(files.get(&add.path).cloned().map(Action::Remove)),
            Action::Metadata(metadata) if newest.snapshot.metadata() == metadata => {
                actions.push(Action::Metadata(before.snapshot.metadata().clone()));
            }
            _ => {}
        }
    }
    let gone: Vec<_> = was.difference(&is).cloned().collect();
    let removed: Vec<&str> = done
        .iter()
        .filter_map(|action| match action {
            Action::Remove(remove) => Some(remove.path.as_str()),
            _ => None,
        })
        .collect();
    for file in before.snapshot.log_data().iter() {
        let path = file.path().into_owned();
        let is_gone = gone.iter().any(|(name, _)| *name == path);
        if is_gone && removed.contains(&path.as_str()) {
            actions.push(Action::Add(file.add_action()));
        }
    }
    Ok(Some(actions))
}
