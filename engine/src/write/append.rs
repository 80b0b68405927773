//! Rows added to a table. Few rows wait in memory and share a commit with those of other statements; many are streamed
//! into data files first.

use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::{EngineError, ExecutionContext, ExecutionMetrics, Outcome, RowStream};
use tokio::sync::oneshot;

use super::checks::RowChecks;
use super::commit::{Change, CommitId, commit};
use super::files::{FileLayout, bytes_of};
use super::queue::{Append, Appended, Payload};
use super::staged::{Step, StepKind};
use super::target::Target;
use super::transaction::LocalTransaction;
use crate::delta::{Table, TableVersion};
use crate::error;
use crate::exec::{Counted, Shared, collect_metrics};

/// Rows and bytes up to which rows wait in memory for a commit with others.
pub const FEW_ROWS: usize = 50_000;
pub const FEW_BYTES: usize = 8 << 20;

/// Rows on their way into a table.
pub struct Appender {
    pub shared: Arc<Shared>,
    pub target: Target,
    pub checks: Arc<RowChecks>,
    pub layout: FileLayout,
    pub blind: bool,
}

impl Appender {
    /// # Errors
    /// `Unsupported` names a constraint that cannot be enforced.
    pub fn new(shared: Arc<Shared>, state: &SessionState, target: Target, blind: bool, progress: &Counted) -> Result<Self, EngineError> {
        let checks = RowChecks::new(state, &target.name.name, &target.version, &target.columns)?.silent(target.policies.is_some());
        let layout = FileLayout::of(&target.version, &target.columns, target.table.log_store.object_store(None)).counting(progress);
        Ok(Self { shared, target, checks: Arc::new(checks), layout, blind })
    }

    /// Runs a plan whose columns are the table's, and appends its rows.
    ///
    /// # Errors
    /// The plan's, the rows', the store's; nothing is visible then unless it is `CommitUnknown`.
    pub async fn append_plan(
        self,
        plan: Arc<dyn ExecutionPlan>,
        state: &SessionState,
        metrics: &ExecutionMetrics,
        context: &ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let partitions = plan.output_partitioning().partition_count();
        let rows = if partitions > 1 {
            self.write_partitions(&plan, state, context).await?
        } else {
            let stream = execute_stream(Arc::clone(&plan), state.task_ctx()).map_err(|error| error::from_datafusion(&error, &[]))?;
            self.stage(in_batches(stream), context).await?
        };
        collect_metrics(&plan, metrics);
        self.make_visible(rows, context, metrics).await
    }

    /// Checks rows and writes them, or keeps them where they are few.
    pub async fn stage(&self, rows: RowStream, context: &ExecutionContext) -> Result<Staged, EngineError> {
        let (shared, checks, layout) = (Arc::clone(&self.shared), Arc::clone(&self.checks), self.layout.clone());
        self.shared
            .runtime
            .run(context.cancel.clone(), async move {
                let _shared = shared;
                stage(rows, &checks, &layout).await
            })
            .await
    }

    /// One writer a partition: encoding takes longer than most plans.
    async fn write_partitions(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        state: &SessionState,
        context: &ExecutionContext,
    ) -> Result<Staged, EngineError> {
        let mut tasks = tokio::task::JoinSet::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let stream = plan.execute(partition, state.task_ctx()).map_err(|error| error::from_datafusion(&error, &[]))?;
            let (checks, layout) = (Arc::clone(&self.checks), self.layout.clone());
            tasks.spawn(async move { write_all(in_batches(stream), &checks, &layout).await });
        }
        let mut rows = 0;
        let mut adds = Vec::new();
        let mut failure = None;
        loop {
            let next = tokio::select! {
                biased;
                () = context.cancel.cancelled() => Some(Ok(Err(EngineError::Canceled))),
                next = tasks.join_next() => next,
            };
            match next {
                None => break,
                Some(Ok(Ok((count, files)))) => {
                    rows += count;
                    adds.extend(files);
                }
                Some(Ok(Err(error))) => failure = failure.or(Some(error)),
                Some(Err(error)) if error.is_cancelled() => failure = failure.or(Some(EngineError::Canceled)),
                Some(Err(_)) => failure = failure.or_else(|| Some(error::internal("a task of the engine panicked"))),
            }
            if failure.is_some() {
                tasks.abort_all();
                while tasks.join_next().await.is_some() {}
                break;
            }
        }
        match failure {
            None => Ok(Staged { payload: Payload { files: adds, ..Payload::default() }, rows }),
            Some(error) => {
                self.layout.discard(&adds).await;
                Err(error)
            }
        }
    }

    /// From here on the statement is either committed or not: it does not stop half-way.
    pub async fn make_visible(
        &self,
        staged: Staged,
        context: &ExecutionContext,
        metrics: &ExecutionMetrics,
    ) -> Result<Outcome, EngineError> {
        if context.cancel.is_cancelled() {
            self.layout.discard(&staged.payload.files).await;
            return Err(EngineError::Canceled);
        }
        let mut outcome = Outcome { rows: staged.rows, metrics: metrics.snapshot(), ..Outcome::default() };
        if staged.rows == 0 {
            return Ok(outcome);
        }
        if let Some(transaction) = &self.target.transaction {
            outcome.files_written = u64::try_from(staged.payload.files.len()).unwrap_or(0);
            outcome.bytes_written = bytes_of(&staged.payload.files);
            let Payload { rows, files } = staged.payload;
            let (removes, id, kind) = (Vec::new(), CommitId::new(), StepKind::Append);
            let step = Step {
                rows,
                adds: files,
                recorded: Vec::new(),
                removes,
                id,
                kind,
                blind: self.blind,
                rests_on_absence: false,
                definition: Vec::new(),
            };
            LocalTransaction::of(transaction.as_ref())?.stage_step(step).await?;
            return Ok(outcome);
        }
        let (target, layout, blind) = (self.target.clone(), self.layout.clone(), self.blind);
        let appended = self
            .shared
            .runtime
            .run_to_end(async move {
                let base = Arc::clone(&target.version);
                append_together(&target.table, &target.name.name, &layout, base, staged.payload, vec![CommitId::new()], blind).await
            })
            .await?;
        outcome.version = Some(appended.version);
        outcome.files_written = appended.files;
        outcome.bytes_written = appended.bytes;
        Ok(outcome)
    }
}

/// Rows that are checked, and written or few.
pub struct Staged {
    pub payload: Payload,
    pub rows: u64,
}

fn in_batches(stream: SendableRecordBatchStream) -> RowStream {
    stream.map_err(|error| error::from_datafusion(&error, &[])).boxed()
}

async fn stage(mut rows: RowStream, checks: &RowChecks, layout: &FileLayout) -> Result<Staged, EngineError> {
    let mut few: Vec<RecordBatch> = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    while let Some(batch) = rows.try_next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        let batch = layout.physical_rows(&checks.apply(&batch)?)?;
        count += batch.num_rows();
        bytes += batch.get_array_memory_size();
        few.push(batch);
        if count > FEW_ROWS || bytes > FEW_BYTES {
            let mut writer = layout.writer();
            for batch in few {
                writer.write(&batch).await?;
            }
            while let Some(batch) = rows.try_next().await? {
                writer.write(&layout.physical_rows(&checks.apply(&batch)?)?).await?;
            }
            let rows = writer.rows;
            return Ok(Staged { payload: Payload { files: writer.close().await?, ..Payload::default() }, rows });
        }
    }
    Ok(Staged { payload: Payload { rows: few, ..Payload::default() }, rows: u64::try_from(count).unwrap_or(u64::MAX) })
}

async fn write_all(mut rows: RowStream, checks: &RowChecks, layout: &FileLayout) -> Result<(u64, Vec<Add>), EngineError> {
    let mut writer = layout.writer();
    while let Some(batch) = rows.try_next().await? {
        if batch.num_rows() > 0 {
            writer.write(&layout.physical_rows(&checks.apply(&batch)?)?).await?;
        }
    }
    let count = writer.rows;
    Ok((count, writer.close().await?))
}

/// Makes rows visible, with those of others that wait. Must not be stopped half-way.
///
/// # Errors
/// `Conflict` where the table is defined differently now; `CommitUnknown`; `Storage`.
pub async fn append_together(
    table: &Arc<Table>,
    name: &str,
    layout: &FileLayout,
    base: Arc<TableVersion>,
    payload: Payload,
    ids: Vec<CommitId>,
    blind: bool,
) -> Result<Appended, EngineError> {
    let (answer, receiver) = oneshot::channel();
    table.writes.push(Append { base, payload, ids, blind, answer });
    // The one that comes first commits for all; the others find nothing left to do.
    commit_group(table, name, layout).await;
    receiver.await.map_err(|_| error::internal("a commit gave no answer"))?
}

/// Takes what waits, writes the rows among it into files, and commits all of it at once.
async fn commit_group(table: &Arc<Table>, name: &str, layout: &FileLayout) {
    let _order = table.writes.commits.lock().await;
    let mut group = table.writes.take_group();
    if group.is_empty() {
        return;
    }
    let newest = match table.newest().await {
        Ok(newest) => newest,
        Err(error) => return answer_all(group, &Err(error)),
    };
    // Rows that were checked against another definition of the table do not go along.
    let same = |append: &Append| {
        append.base.snapshot.metadata() == newest.snapshot.metadata() && append.base.snapshot.protocol() == newest.snapshot.protocol()
    };
    let (fitting, stale): (Vec<Append>, Vec<Append>) = group.drain(..).partition(same);
    answer_all(stale, &Err(EngineError::Conflict { table: name.to_owned() }));
    if fitting.is_empty() {
        return;
    }
    let outcome = commit_rows(table, name, layout, &fitting).await;
    answer_all(fitting, &outcome);
}

async fn commit_rows(table: &Arc<Table>, name: &str, layout: &FileLayout, group: &[Append]) -> Result<Appended, EngineError> {
    let mut writer = layout.writer();
    let mut adds: Vec<Add> = Vec::new();
    for append in group {
        for batch in &append.payload.rows {
            writer.write(batch).await?;
        }
        adds.extend(append.payload.files.iter().cloned());
    }
    adds.extend(writer.close().await?);
    let appended = |version| Appended { version, files: u64::try_from(adds.len()).unwrap_or(0), bytes: bytes_of(&adds) };
    let change = Change {
        base: Arc::clone(&group[0].base),
        actions: adds.iter().cloned().map(Action::Add).collect(),
        operation: DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None },
        ids: group.iter().flat_map(|append| append.ids.iter().copied()).collect(),
        blind: group.iter().all(|append| append.blind),
        rests_on_absence: false,
        exclusive: false,
    };
    match commit(table, name, change).await {
        Ok(version) => Ok(appended(version)),
        Err(error) => {
            // Of a commit that may have happened the files must stay.
            if !matches!(error, EngineError::CommitUnknown { .. }) {
                layout.discard(&adds).await;
            }
            Err(error)
        }
    }
}

/// Bytes and files are told to the first: they must not be counted twice.
fn answer_all(group: Vec<Append>, outcome: &Result<Appended, EngineError>) {
    for (at, append) in group.into_iter().enumerate() {
        let answer = match outcome {
            Ok(appended) if at > 0 => Ok(Appended { files: 0, bytes: 0, ..*appended }),
            Err(EngineError::CommitUnknown { table, .. }) => {
                let commit_id = append.ids.first().map(|id| id.0.to_string()).unwrap_or_default();
                Err(EngineError::CommitUnknown { table: table.clone(), commit_id })
            }
            other => other.clone(),
        };
        let _ = append.answer.send(answer);
    }
}
