//! A transaction over one table: statements stage what they do, later ones see it, and one commit makes all of it visible.
//!
//! Nothing of it is in the table's log before that commit, so a transaction that is dropped, or whose process dies, leaves nothing but files
//! that no log names.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use deltalake_core::kernel::{Action, Add};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{EngineError, EngineTransaction, ExecutionContext, Outcome};

use super::append::append_together;
use super::commit::{Change, CommitId, commit, commit_locked};
use super::definition::Definition;
use super::files::{FileLayout, bytes_of};
use super::queue::Payload;
use super::staged::{Net, Step, operation};
use super::together::Part;
use crate::delta::{Table, TableVersion, with_changes};
use crate::error;
use crate::exec::Shared;

/// Bytes of rows that wait in memory for a file.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// Statements whose ids a commit carries: the first is enough to find it, and every reader of the table keeps all of them.
const IDS_MAX: usize = 100;

/// The embedded engine's [`EngineTransaction`].
pub struct LocalTransaction {
    shared: Arc<Shared>,
    stage: Mutex<Stage>,
    /// Held while rows that wait are written, and while the table is pictured with its changes.
    work: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Stage {
    table: Option<ChangedTable>,
    steps: Vec<Step>,
    /// Of the rows among them.
    waiting_bytes: usize,
    /// Marks that were taken: rows of steps before and after one do not share a file.
    marks: BTreeSet<usize>,
    /// Counts the changes of `steps`.
    generation: u64,
    pictured: Option<(u64, Arc<TableVersion>)>,
    /// Steps that changed the table's definition, and what it was after them.
    altered: Vec<(usize, Arc<TableVersion>)>,
    /// How many steps there were when rows were locked.
    locks: Vec<usize>,
    is_over: bool,
}

/// What a transaction leaves when it ends.
struct Ended {
    table: ChangedTable,
    steps: Vec<Step>,
    /// The table with its last definition, which rows that wait are of.
    defined: Arc<TableVersion>,
    /// The rows of the base must still be there.
    locked: bool,
}

/// The table, as it was when the transaction first named it.
#[derive(Clone)]
struct ChangedTable {
    name: String,
    location: String,
    table: Arc<Table>,
    base: Arc<TableVersion>,
    _open: Arc<Open>,
}

/// The table is being changed by a transaction, as long as this lives.
struct Open(Arc<Table>);

impl Open {
    fn new(table: &Arc<Table>) -> Arc<Open> {
        table.writes.open_transactions.fetch_add(1, Ordering::SeqCst);
        Arc::new(Open(Arc::clone(table)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.writes.open_transactions.fetch_sub(1, Ordering::SeqCst);
    }
}

impl LocalTransaction {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, stage: Mutex::default(), work: tokio::sync::Mutex::default() }
    }

    /// The engine's own type back.
    ///
    /// # Errors
    /// `Internal` for another engine's.
    pub fn of(transaction: &dyn EngineTransaction) -> Result<&Self, EngineError> {
        transaction.as_any().downcast_ref().ok_or_else(|| error::internal("a transaction of another engine"))
    }

    /// The version that the transaction rests on: the pinned one, or the newest at the first call.
    ///
    /// # Errors
    /// `Unsupported` for a second table; `Conflict` where the table was made anew since; what keeps the table from being read.
    pub async fn base(&self, name: &RelationName, location: &str, pinned: Option<u64>) -> Result<Arc<TableVersion>, EngineError> {
        let _work = self.work.lock().await;
        let changed = self.changed_table(name, location, pinned).await?;
        Ok(self.defined(&changed))
    }

    /// The table as far as its definition goes.
    fn defined(&self, changed: &ChangedTable) -> Arc<TableVersion> {
        let stage = self.stage();
        stage.altered.last().map_or_else(|| Arc::clone(&changed.base), |(_, version)| Arc::clone(version))
    }

    /// Takes over a change of the table's definition, after which the table is `version`.
    ///
    /// # Errors
    /// As [`LocalTransaction::stage_step`].
    pub async fn stage_definition(&self, step: Step, version: Arc<TableVersion>) -> Result<(), EngineError> {
        let _work = self.work.lock().await;
        // Rows that wait are of the old definition.
        let changed = self.stage().table.clone().ok_or_else(|| error::internal("a definition of no table"))?;
        self.write_waiting(&changed).await?;
        let mut stage = self.stage();
        if stage.is_over {
            return Err(error::internal("a change came after the end of its transaction"));
        }
        let at = stage.steps.len();
        stage.steps.push(step);
        stage.altered.push((at, version));
        stage.generation += 1;
        Ok(())
    }

    /// The same with the transaction's own changes on top.
    ///
    /// # Errors
    /// As [`LocalTransaction::base`]; `Storage` where rows that waited cannot be written.
    pub async fn current(&self, name: &RelationName, location: &str, pinned: Option<u64>) -> Result<Arc<TableVersion>, EngineError> {
        let _work = self.work.lock().await;
        let changed = self.changed_table(name, location, pinned).await?;
        self.write_waiting(&changed).await?;
        let (generation, net) = {
            let stage = self.stage();
            match &stage.pictured {
                Some((generation, pictured)) if *generation == stage.generation => return Ok(Arc::clone(pictured)),
                _ => (stage.generation, Net::of(&stage.steps)),
            }
        };
        let pictured = if net.is_empty() {
            Arc::clone(&changed.base)
        } else {
            Arc::new(with_changes(&changed.table, &changed.base, &readable(&changed.base, net)?).await?)
        };
        self.stage().pictured = Some((generation, Arc::clone(&pictured)));
        Ok(pictured)
    }

    /// Takes over what a statement did.
    ///
    /// # Errors
    /// `Internal` where the transaction is over; `Storage` as for [`LocalTransaction::current`].
    pub async fn stage_step(&self, step: Step) -> Result<(), EngineError> {
        let _work = self.work.lock().await;
        let changed = {
            let mut stage = self.stage();
            if stage.is_over {
                return Err(error::internal("a change came after the end of its transaction"));
            }
            // A commit that records some of its changes row by row records all of them.
            let others = stage.steps.iter().filter(|other| other.changes_rows());
            if step.changes_rows() && others.clone().any(|other| other.recorded.is_empty() != step.recorded.is_empty()) {
                return Err(error::unsupported_hint(
                    "adding and changing rows of a table with a change data feed in one transaction",
                    "Commit in between.",
                ));
            }
            stage.waiting_bytes += step.rows_bytes();
            stage.steps.push(step);
            stage.generation += 1;
            if stage.waiting_bytes > WAITING_BYTES_MAX { stage.table.clone() } else { None }
        };
        match changed {
            Some(changed) => self.write_waiting(&changed).await,
            None => Ok(()),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn changed_table(&self, name: &RelationName, location: &str, pinned: Option<u64>) -> Result<ChangedTable, EngineError> {
        {
            let stage = self.stage();
            if stage.is_over {
                return Err(error::internal("a statement came after the end of its transaction"));
            }
            match &stage.table {
                Some(known) if known.location == location => return Ok(known.clone()),
                // Dropped and made again by somebody else.
                Some(known) if !stage.steps.is_empty() && known.name == name.name => {
                    return Err(EngineError::Conflict { table: name.name.clone() });
                }
                Some(_) if !stage.steps.is_empty() => return Err(error::unsupported("changing more than one table in a transaction")),
                _ => {}
            }
        }
        let table = self.shared.tables.table(location).await?;
        let base = self.shared.tables.version(location, pinned).await?;
        let _open = Open::new(&table);
        let changed = ChangedTable { name: name.name.clone(), location: location.to_owned(), table, base, _open };
        let mut stage = self.stage();
        stage.table = Some(changed.clone());
        stage.pictured = None;
        Ok(changed)
    }

    /// Writes the rows that wait, those between two marks together.
    async fn write_waiting(&self, changed: &ChangedTable) -> Result<(), EngineError> {
        let (generation, groups) = {
            let stage = self.stage();
            (stage.generation, groups(&stage.steps, &stage.marks))
        };
        if groups.is_empty() {
            return Ok(());
        }
        let layout = changed.layout(&self.defined(changed));
        let mut written: Vec<(Vec<usize>, Vec<Add>)> = Vec::with_capacity(groups.len());
        for (steps, rows) in groups {
            match write(&layout, &rows).await {
                Ok(adds) => written.push((steps, adds)),
                Err(error) => {
                    for (_, adds) in &written {
                        layout.discard(adds).await;
                    }
                    return Err(error);
                }
            }
        }
        let stale = {
            let mut stage = self.stage();
            if stage.generation == generation && !stage.is_over {
                for (steps, adds) in written.drain(..) {
                    for at in &steps {
                        stage.steps[*at].rows.clear();
                    }
                    if let Some(last) = steps.last() {
                        stage.steps[*last].adds.extend(adds);
                    }
                }
                stage.waiting_bytes = 0;
                stage.pictured = None;
            }
            written
        };
        if stale.is_empty() {
            return Ok(());
        }
        for (_, adds) in &stale {
            layout.discard(adds).await;
        }
        Err(EngineError::Canceled)
    }

    /// Ends the transaction: its part in a commit of several tables.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn take_part(&self) -> Result<Option<Part>, EngineError> {
        match self.end() {
            Some(ended) => ended.table.into_part(ended.steps, &ended.defined, ended.locked).await,
            None => Ok(None),
        }
    }

    /// Ends the transaction; what it staged is the caller's.
    fn end(&self) -> Option<Ended> {
        let mut stage = self.stage();
        stage.is_over = true;
        stage.pictured = None;
        let steps = std::mem::take(&mut stage.steps);
        let locked = !std::mem::take(&mut stage.locks).is_empty();
        let defined = stage.altered.drain(..).next_back().map(|(_, version)| version);
        stage.table.take().map(|table| {
            let defined = defined.unwrap_or_else(|| Arc::clone(&table.base));
            Ended { table, steps, defined, locked }
        })
    }

    /// Deletes files that no commit will name, beside the caller.
    fn discard_behind(&self, changed: &ChangedTable, steps: &[Step]) {
        let adds = all_adds(steps);
        if adds.is_empty() {
            return;
        }
        let layout = changed.layout(&changed.base);
        self.shared.runtime.handle().spawn(async move { layout.discard(&adds).await });
    }
}

#[async_trait]
impl EngineTransaction for LocalTransaction {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_changes(&self) -> bool {
        let stage = self.stage();
        !(stage.steps.is_empty() && stage.locks.is_empty())
    }

    fn has_writes(&self) -> bool {
        !self.stage().steps.is_empty()
    }

    fn lock_rows(&self) -> Result<(), EngineError> {
        let mut stage = self.stage();
        if stage.is_over || stage.table.is_none() {
            return Err(error::internal("rows were locked of no table"));
        }
        let at = stage.steps.len();
        if stage.locks.last() != Some(&at) {
            stage.locks.push(at);
        }
        Ok(())
    }

    fn mark(&self) -> usize {
        let mut stage = self.stage();
        let mark = stage.steps.len();
        stage.marks.insert(mark);
        mark
    }

    fn roll_back_to(&self, mark: usize) {
        let (changed, dropped) = {
            let mut stage = self.stage();
            stage.locks.retain(|at| *at <= mark);
            if mark >= stage.steps.len() {
                return;
            }
            let dropped = stage.steps.split_off(mark);
            stage.marks.split_off(&(mark + 1));
            stage.altered.retain(|(at, _)| *at < mark);
            stage.waiting_bytes = stage.steps.iter().map(Step::rows_bytes).sum();
            stage.generation += 1;
            stage.pictured = None;
            (stage.table.clone(), dropped)
        };
        if let Some(changed) = changed {
            self.discard_behind(&changed, &dropped);
        }
    }

    fn roll_back(&self) {
        if let Some(Ended { table, steps, .. }) = self.end() {
            self.discard_behind(&table, &steps);
        }
    }

    async fn commit(&self, context: ExecutionContext) -> Result<Outcome, EngineError> {
        let Some(Ended { table, steps, defined, locked }) = self.end() else { return Ok(Outcome::default()) };
        if context.cancel.is_cancelled() {
            self.discard_behind(&table, &steps);
            return Err(EngineError::Canceled);
        }
        // From here on it is either committed or not: it does not stop half-way.
        self.shared.runtime.run_to_end(async move { table.commit(steps, &defined, locked).await }).await
    }
}

impl Drop for LocalTransaction {
    fn drop(&mut self) {
        self.roll_back();
    }
}

impl std::fmt::Debug for LocalTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stage = self.stage();
        f.debug_struct("LocalTransaction").field("steps", &stage.steps.len()).field("is_over", &stage.is_over).finish_non_exhaustive()
    }
}

impl ChangedTable {
    fn layout(&self, version: &TableVersion) -> FileLayout {
        FileLayout::of(version, &version.columns, self.table.log_store.object_store(None))
    }

    /// `defined`: the table with its last definition, which rows that wait are of.
    async fn commit(self, mut steps: Vec<Step>, defined: &TableVersion, locked: bool) -> Result<Outcome, EngineError> {
        let layout = self.layout(defined);
        let rows: Vec<RecordBatch> = steps.iter_mut().flat_map(|step| std::mem::take(&mut step.rows)).collect();
        let outcome = self.commit_net(&layout, &steps, rows, locked).await;
        // Of a commit that may have happened the files must stay.
        if matches!(&outcome, Err(error) if !matches!(error, EngineError::CommitUnknown { .. })) {
            layout.discard(&all_adds(&steps)).await;
        }
        outcome
    }

    async fn into_part(self, mut steps: Vec<Step>, defined: &TableVersion, locked: bool) -> Result<Option<Part>, EngineError> {
        let layout = self.layout(defined);
        let rows: Vec<RecordBatch> = steps.iter_mut().flat_map(|step| std::mem::take(&mut step.rows)).collect();
        let mut files = all_adds(&steps);
        let written = match write(&layout, &rows).await {
            Ok(written) => written,
            Err(error) => {
                layout.discard(&files).await;
                return Err(error);
            }
        };
        files.extend(written.iter().cloned());
        let mut net = Net::of(&steps);
        net.adds.extend(written);
        if net.is_empty() && !locked {
            layout.discard(&files).await;
            return Ok(None);
        }
        // Rows that were locked and not changed make an entry of their own in the table's log: nobody can come between.
        let mut ids: Vec<CommitId> = steps.iter().map(|step| step.id).take(IDS_MAX).collect();
        if ids.is_empty() {
            ids.push(CommitId::new());
        }
        let blind = !locked && net.removes.is_empty() && net.definition.is_empty() && steps.iter().all(|step| step.blind);
        let operation = operation(&steps, &net);
        let rests_on_absence = steps.iter().any(|step| step.rests_on_absence);
        let exclusive = !net.definition.is_empty();
        let (base, actions) = (Arc::clone(&self.base), net.into_actions());
        let change = Change { base, actions, operation, ids, blind, rests_on_absence, exclusive };
        Ok(Some(Part { table: self.table, name: self.name, location: self.location, layout, change, files, locked }))
    }

    async fn commit_net(&self, layout: &FileLayout, steps: &[Step], rows: Vec<RecordBatch>, locked: bool) -> Result<Outcome, EngineError> {
        let mut net = Net::of(steps);
        let ids: Vec<CommitId> = steps.iter().map(|step| step.id).take(IDS_MAX).collect();
        if net.is_empty() && rows.is_empty() {
            return Ok(Outcome::default());
        }
        let rests_on_absence = steps.iter().any(|step| step.rests_on_absence);
        if net.removes.is_empty() && net.definition.is_empty() && !rests_on_absence && !locked {
            // Shares a commit with what other statements append.
            let blind = steps.iter().all(|step| step.blind);
            let payload = Payload { rows, files: net.adds };
            let appended = append_together(&self.table, &self.name, layout, Arc::clone(&self.base), payload, ids, blind).await?;
            let version = Some(appended.version);
            return Ok(Outcome { version, files_written: appended.files, bytes_written: appended.bytes, ..Outcome::default() });
        }
        let written = write(layout, &rows).await?;
        net.adds.extend(written.iter().cloned());
        let mut outcome =
            Outcome { files_written: u64::try_from(net.adds.len()).unwrap_or(0), bytes_written: bytes_of(&net.adds), ..Outcome::default() };
        let operation = operation(steps, &net);
        let exclusive = !net.definition.is_empty();
        let (base, actions) = (Arc::clone(&self.base), net.into_actions());
        let change = Change { base, actions, operation, ids, blind: false, rests_on_absence, exclusive };
        let committed = {
            let _order = self.table.writes.commits.lock().await;
            match locked {
                true => commit_locked(&self.table, &self.name, change).await,
                false => commit(&self.table, &self.name, change).await,
            }
        };
        match committed {
            Ok(version) => {
                outcome.version = Some(version);
                Ok(outcome)
            }
            Err(error) => {
                if !matches!(error, EngineError::CommitUnknown { .. }) {
                    layout.discard(&written).await;
                }
                Err(error)
            }
        }
    }
}

/// Steps whose rows go into files together, and these rows.
fn groups(steps: &[Step], marks: &BTreeSet<usize>) -> Vec<(Vec<usize>, Vec<RecordBatch>)> {
    let mut groups: Vec<(Vec<usize>, Vec<RecordBatch>)> = Vec::new();
    let mut is_open = false;
    for (at, step) in steps.iter().enumerate() {
        is_open &= !marks.contains(&at);
        if step.rows.is_empty() {
            continue;
        }
        let rows = step.rows.iter().cloned();
        match groups.last_mut().filter(|_| is_open) {
            Some((members, batches)) => {
                members.push(at);
                batches.extend(rows);
            }
            None => groups.push((vec![at], rows.collect())),
        }
        is_open = true;
    }
    groups
}

async fn write(layout: &FileLayout, rows: &[RecordBatch]) -> Result<Vec<Add>, EngineError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut writer = layout.writer();
    for batch in rows {
        writer.write(batch).await?;
    }
    writer.close().await
}

fn all_adds(steps: &[Step]) -> Vec<Add> {
    steps.iter().flat_map(|step| step.adds.iter().cloned()).collect()
}

/// The changes as they are seen on top of `base`, which may be from before deletion vectors were enabled for them: delta-rs passes over
/// those of a table whose protocol does not name them.
fn readable(base: &TableVersion, net: Net) -> Result<Vec<Action>, EngineError> {
    let has_vectors = net.adds.iter().any(|add| add.deletion_vector.is_some());
    let reads_them = base
        .snapshot
        .protocol()
        .reader_features()
        .is_some_and(|features| features.iter().any(|feature| feature.to_string() == "deletionVectors"));
    let mut actions = Vec::new();
    if has_vectors && !reads_them && net.definition.is_empty() {
        let mut definition = Definition::of("", base)?;
        definition.enable_deletion_vectors();
        actions = definition.actions(base)?;
    }
    actions.extend(net.into_actions());
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int32Array};

    use super::*;
    use crate::write::staged::StepKind;

    fn step(rows: usize) -> Step {
        let values = Arc::new(Int32Array::from(vec![1])) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("a", values)]).unwrap();
        Step {
            rows: vec![batch; rows],
            adds: Vec::new(),
            recorded: Vec::new(),
            removes: Vec::new(),
            id: CommitId::new(),
            kind: StepKind::Append,
            blind: true,
            rests_on_absence: false,
            definition: Vec::new(),
        }
    }

    #[test]
    fn rows_share_files_between_marks() {
        let steps = [step(1), step(2), step(0), step(1), step(1), step(1)];
        let members = |marks: &[usize]| -> Vec<Vec<usize>> {
            groups(&steps, &marks.iter().copied().collect()).into_iter().map(|(members, _)| members).collect()
        };
        assert_eq!(members(&[]), [vec![0, 1, 3, 4, 5]]);
        assert_eq!(members(&[0, 2, 5]), [vec![0, 1], vec![3, 4], vec![5]]);
        assert_eq!(groups(&steps, &BTreeSet::new())[0].1.len(), 6);
    }
}
