//! Runs the plans of a change: notes which rows of the target go, checks and writes the new ones, writes what is left of the files
//! that rows go from, and commits.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::compute::filter_record_batch;
use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use datafusion::common::ParamValues;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use deltalake_core::kernel::{Action, Add, AddCDCFile};
use deltalake_core::protocol::DeltaOperation;
use futures::TryStreamExt;
use lakegate_engine_api::{EngineError, ExecutionContext, ExecutionMetrics, Outcome, SqlMistake};
use roaring::RoaringTreemap;

use super::append::{Appender, FEW_BYTES, FEW_ROWS, Staged};
use super::change_files::{Kind, Recorder};
use super::commit::{Change, CommitId, commit};
use super::dml::{ChangePlan, Shape, Twice, action};
use super::files::{FileWriter, bytes_of};
use super::queue::Payload;
use super::spool::{Spool, Spooled};
use super::staged::{Step, StepKind};
use super::target::Target;
use super::transaction::LocalTransaction;
use super::vectors::{self, Vectors};
use crate::delta::TableScan;
use crate::error;
use crate::exec::{Shared, collect_metrics, interruptible};
use crate::plan::{cast_to, filled_plan, planning_error};

/// One run of a change.
pub struct Run {
    pub shared: Arc<Shared>,
    pub state: SessionState,
    pub target: Target,
    pub metrics: Arc<ExecutionMetrics>,
    pub context: ExecutionContext,
    pub values: Option<ParamValues>,
    pub tables: Arc<Vec<(String, String)>>,
}

/// How the change is told to the table's log.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub kind: StepKind,
    /// As [`Change::blind`].
    pub blind: bool,
    /// As [`Change::rests_on_absence`].
    pub rests_on_absence: bool,
}

/// What a change adds.
#[derive(Default)]
pub struct Files {
    pub adds: Vec<Add>,
    /// As [`Step::recorded`].
    pub recorded: Vec<AddCDCFile>,
}

/// Rows of the target that go, by the number of their file in the version's list: their positions in it.
pub type Gone = BTreeMap<usize, Rows>;

/// Rows of a file.
pub enum Rows {
    Some(RoaringTreemap),
    All(u64),
}

impl Rows {
    #[must_use]
    pub fn contains(&self, row: u64) -> bool {
        match self {
            Rows::Some(rows) => rows.contains(row),
            Rows::All(_) => true,
        }
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Rows::Some(rows) => rows.len(),
            Rows::All(count) => *count,
        }
    }
}

impl Run {
    /// Runs the plans, which are analysed, one after the other. `returned`: columns of the rows that RETURNING gives.
    /// Gives the number of rows to which something was done.
    ///
    /// # Errors
    /// The statement's.
    pub async fn take_in(
        &self,
        work: &mut Work<'_>,
        plans: Vec<ChangePlan>,
        returned: Option<&SchemaRef>,
    ) -> Result<(u64, Option<Spooled>), EngineError> {
        let before = work.rows;
        let pool = Arc::clone(&self.state.runtime_env().memory_pool);
        work.keys = Keys::new(&pool);
        work.returned = returned.map(|schema| Spool::new(Arc::clone(self.state.runtime_env()), Arc::clone(schema)));
        for ChangePlan { plan, shape } in plans {
            let plan = filled_plan(&self.state, plan, self.values.clone())?;
            let (physical, mut stream) = self.start(&plan).await?;
            while let Some(batch) = self.next(&mut stream).await? {
                work.take(&batch, &shape, returned).await?;
            }
            collect_metrics(&physical, &self.metrics);
        }
        let spooled = match work.returned.take() {
            Some(spool) => Some(spool.finish().map_err(|error| error::from_datafusion(&error, &[]))?),
            None => None,
        };
        Ok((work.rows - before, spooled))
    }

    /// Commits, or stages, what has been taken in.
    ///
    /// # Errors
    /// `Conflict` where another writer replaced the same files; `Storage`, `CommitUnknown`.
    pub async fn finish(&self, appender: &Appender, mut work: Work<'_>, manner: Manner) -> Result<Outcome, EngineError> {
        let (rows, gone) = (work.rows, std::mem::take(&mut work.gone));
        let recorder = work.recorder.take().filter(|_| !gone.is_empty());
        if gone.is_empty() && !manner.rests_on_absence {
            let payload = work.payload().await?;
            return appender.make_visible(Staged { payload, rows }, &self.context, &self.metrics).await;
        }
        let staying = vectors::staying(&self.shared, &self.target, &gone).await?;
        let mut writer = work.into_writer().await?;
        self.write_rest(appender, &gone, &staying, &mut writer).await?;
        let mut adds = writer.close().await?;
        let written = bytes_of(&adds);
        let (marked, bytes) = vectors::write(&self.target, &staying).await?;
        adds.extend(marked);
        let recorded = match recorder {
            Some(recorder) => self.record_gone(appender, &gone, recorder).await?,
            None => Vec::new(),
        };
        let files = Files { adds, recorded };
        let outcome = self.make_visible(appender, manner, &gone, files, rows).await?;
        Ok(Outcome { bytes_written: written + bytes, ..outcome })
    }

    /// Commits, or stages, that rows go and files come.
    ///
    /// # Errors
    /// As [`Run::finish`].
    pub async fn make_visible(
        &self,
        appender: &Appender,
        manner: Manner,
        gone: &Gone,
        files: Files,
        rows: u64,
    ) -> Result<Outcome, EngineError> {
        let adds = &files.adds;
        let mut outcome = Outcome {
            rows,
            metrics: self.metrics.snapshot(),
            files_written: u64::try_from(adds.len()).unwrap_or(0),
            bytes_written: bytes_of(adds),
            ..Outcome::default()
        };
        if gone.is_empty() && adds.is_empty() {
            return Ok(outcome);
        }
        if self.context.cancel.is_cancelled() {
            appender.layout.discard(adds).await;
            return Err(EngineError::Canceled);
        }
        match self.commit(manner, gone, &files).await {
            Ok(version) => {
                outcome.version = version;
                Ok(outcome)
            }
            Err(error) => {
                // Of a commit that may have happened the files must stay.
                if !matches!(error, EngineError::CommitUnknown { .. }) {
                    appender.layout.discard(adds).await;
                }
                Err(error)
            }
        }
    }

    /// The version where there is one.
    async fn commit(&self, manner: Manner, gone: &Gone, added: &Files) -> Result<Option<u64>, EngineError> {
        let snapshot = &self.target.version.snapshot;
        let files = snapshot.log_data();
        let removes = files.iter().enumerate().filter(|(number, _)| gone.contains_key(number));
        let removes = removes.map(|(_, file)| file.remove_action(true));
        let Manner { kind, rests_on_absence, .. } = manner;
        if let Some(transaction) = &self.target.transaction {
            let (rows, removes) = (Vec::new(), removes.collect());
            let step = Step {
                rows,
                adds: added.adds.clone(),
                recorded: added.recorded.clone(),
                removes,
                id: CommitId::new(),
                kind,
                blind: false,
                rests_on_absence,
                definition: Vec::new(),
            };
            LocalTransaction::of(transaction.as_ref())?.stage_step(step).await?;
            return Ok(None);
        }
        let change = Change {
            base: Arc::clone(&self.target.version),
            actions: removes
                .map(Action::Remove)
                .chain(added.adds.iter().cloned().map(Action::Add))
                .chain(added.recorded.iter().cloned().map(Action::Cdc))
                .collect(),
            operation: operation(kind),
            ids: vec![CommitId::new()],
            blind: false,
            rests_on_absence,
            exclusive: false,
        };
        let (table, name) = (Arc::clone(&self.target.table), self.target.name.name.clone());
        self.shared
            .runtime
            .run_to_end(async move {
                let _order = table.writes.commits.lock().await;
                commit(&table, &name, change).await.map(Some)
            })
            .await
    }

    /// The rows that stay in the files that others go from, but for files that stay themselves.
    async fn write_rest(&self, appender: &Appender, gone: &Gone, marked: &Vectors, writer: &mut FileWriter) -> Result<(), EngineError> {
        let files = Arc::clone(self.target.version.files()?);
        let partly = |number: usize, rows: Option<u64>| match gone.get(&number) {
            Some(Rows::Some(positions)) => rows != Some(positions.len()) && !marked.contains_key(&number),
            Some(Rows::All(_)) | None => false,
        };
        let partly: Vec<bool> = files.files.iter().enumerate().map(|(number, file)| partly(number, file.rows())).collect();
        if !partly.contains(&true) {
            return Ok(());
        }
        let (physical, mut stream) = self.start(&self.rows_with_places(partly, "rest")?).await?;
        let width = self.target.columns.columns.len();
        let own: Vec<usize> = (0..width).collect();
        while let Some(batch) = self.next(&mut stream).await? {
            let stays = staying(&batch, width, gone)?;
            let kept = batch.project(&own).and_then(|batch| filter_record_batch(&batch, &stays));
            let kept = kept.map_err(|error| error::from_arrow(&error))?;
            writer.write(&appender.layout.physical_rows(&kept)?).await?;
        }
        collect_metrics(&physical, &self.metrics);
        Ok(())
    }

    /// The rows that go, as they were.
    async fn record_gone(&self, appender: &Appender, gone: &Gone, mut recorder: Recorder) -> Result<Vec<AddCDCFile>, EngineError> {
        let files = self.target.version.files()?.files.len();
        let touched: Vec<bool> = (0..files).map(|number| gone.contains_key(&number)).collect();
        let (physical, mut stream) = self.start(&self.rows_with_places(touched, "gone")?).await?;
        let width = self.target.columns.columns.len();
        let own: Vec<usize> = (0..width).collect();
        while let Some(batch) = self.next(&mut stream).await? {
            let (files, rows) = places(&batch, width)?;
            let kind = |at: usize| {
                let (file, row) = place(files, rows, at)?;
                let goes = gone.get(&file).is_some_and(|gone| gone.contains(row));
                goes.then(|| recorder.kind_of_gone(file, row))
            };
            let kinds: Vec<Option<Kind>> = (0..batch.num_rows()).map(kind).collect();
            let goes: BooleanArray = kinds.iter().map(|kind| Some(kind.is_some())).collect();
            let rows = batch.project(&own).and_then(|batch| filter_record_batch(&batch, &goes));
            let rows = rows.map_err(|error| error::from_arrow(&error))?;
            recorder.record(&appender.layout.physical_rows(&rows)?, kinds.into_iter().flatten()).await?;
        }
        collect_metrics(&physical, &self.metrics);
        recorder.finish().await
    }

    /// A scan of some files of the target.
    fn rows_with_places(&self, files: Vec<bool>, name: &str) -> Result<LogicalPlan, EngineError> {
        let Target { version, columns, name: table, .. } = &self.target;
        let scan = TableScan::new(Arc::clone(&self.shared.tables), Arc::clone(version), columns.clone(), table.name.clone());
        let source = datafusion::datasource::provider_as_source(Arc::new(scan.with_row_places().only(Arc::new(files))));
        let plan = LogicalPlanBuilder::scan(name, source, None).and_then(LogicalPlanBuilder::build);
        plan.map_err(|error| planning_error(&error))
    }

    /// # Errors
    /// The plan's.
    pub async fn start(&self, plan: &LogicalPlan) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream), EngineError> {
        let started = async {
            let physical = self.state.query_planner().create_physical_plan(plan, &self.state).await?;
            let physical = interruptible(physical, &self.context.cancel)?;
            let stream = execute_stream(Arc::clone(&physical), self.state.task_ctx())?;
            Ok((physical, stream))
        };
        started.await.map_err(|error| error::from_datafusion(&error, &self.tables))
    }

    /// The next batch, unless the statement is canceled first.
    ///
    /// # Errors
    /// The plan's; `Canceled`.
    pub async fn next(&self, stream: &mut SendableRecordBatchStream) -> Result<Option<RecordBatch>, EngineError> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(EngineError::Canceled),
            next = stream.try_next() => next.map_err(|error| error::from_datafusion(&error, &self.tables)),
        }
    }
}

/// No predicate: its literals are data, and the log keeps them for as long as it lives.
fn operation(kind: StepKind) -> DeltaOperation {
    match kind {
        StepKind::Append => DeltaOperation::Write { mode: deltalake_core::protocol::SaveMode::Append, partition_by: None, predicate: None },
        StepKind::Update | StepKind::Alter => DeltaOperation::Update { predicate: None },
        StepKind::Delete => DeltaOperation::Delete { predicate: None },
    }
}

/// Which rows of a scan with places stay. The places are its columns from `first` on.
fn staying(batch: &RecordBatch, first: usize, gone: &Gone) -> Result<BooleanArray, EngineError> {
    let (files, rows) = places(batch, first)?;
    let stays = (0..batch.num_rows()).map(|at| match place(files, rows, at) {
        Some((file, row)) => !matches!(gone.get(&file), Some(Rows::Some(positions)) if positions.contains(row)),
        None => true,
    });
    Ok(stays.map(Some).collect())
}

type Places<'a> = (&'a arrow_array::Int64Array, &'a arrow_array::Int64Array);

fn places(batch: &RecordBatch, first: usize) -> Result<Places<'_>, EngineError> {
    let column = |at: usize| batch.columns().get(at).and_then(|column| column.as_primitive_opt::<Int64Type>());
    column(first).zip(column(first + 1)).ok_or_else(|| error::internal("the places of rows are bigint"))
}

fn place(files: &arrow_array::Int64Array, rows: &arrow_array::Int64Array, at: usize) -> Option<(usize, u64)> {
    let is_there = files.is_valid(at) && rows.is_valid(at);
    is_there.then(|| usize::try_from(files.value(at)).ok().zip(u64::try_from(rows.value(at)).ok())).flatten()
}

/// What has come out of the plans so far.
pub struct Work<'a> {
    appender: &'a Appender,
    gone: Gone,
    keys: Keys,
    /// New rows as data files have them, while they are few; how many, and how many bytes.
    few: Vec<RecordBatch>,
    few_size: (usize, usize),
    writer: Option<FileWriter>,
    returned: Option<Spool>,
    rows: u64,
    recorder: Option<Recorder>,
}

/// Columns before the new row: what is done, and the row's place.
const FIRST: usize = 3;

impl<'a> Work<'a> {
    #[must_use]
    pub fn new(appender: &'a Appender, pool: &Arc<dyn MemoryPool>) -> Self {
        let (gone, few, few_size) = (BTreeMap::new(), Vec::new(), (0, 0));
        Self { appender, gone, keys: Keys::new(pool), few, few_size, writer: None, returned: None, rows: 0, recorder: None }
    }

    /// For a table whose changes are recorded: statements that can do other things than add rows.
    #[must_use]
    pub fn recording(mut self, target: &Target) -> Self {
        self.recorder = Recorder::of(target, &self.appender.layout);
        self
    }

    async fn take(&mut self, batch: &RecordBatch, shape: &Shape, returned: Option<&SchemaRef>) -> Result<(), EngineError> {
        let (applied, written) = self.judge(batch, shape)?;
        self.rows += u64::try_from(applied.true_count()).unwrap_or(0);
        let part = |columns: std::ops::Range<usize>, rows: &BooleanArray| {
            let columns: Vec<usize> = columns.collect();
            batch.project(&columns).and_then(|part| filter_record_batch(&part, rows)).map_err(|error| error::from_arrow(&error))
        };
        if written.true_count() > 0 {
            let rows = part(FIRST..FIRST + shape.width, &written)?;
            let rows = self.appender.layout.physical_rows(&self.appender.checks.apply(&rows)?)?;
            if let Some(recorder) = &mut self.recorder {
                recorder.record(&rows, kinds_of_new(batch, &written)).await?;
            }
            self.keep(rows).await?;
        }
        if let (Some(spool), Some(schema)) = (&mut self.returned, returned) {
            let first = FIRST + shape.width;
            let rows = cast_to(&part(first..first + shape.returned, &applied)?, schema).map_err(|error| error::from_arrow(&error))?;
            spool.push(rows).map_err(|error| error::from_datafusion(&error, &[]))?;
        }
        Ok(())
    }

    /// Which rows something is done to, and which of them are written.
    fn judge(&mut self, batch: &RecordBatch, shape: &Shape) -> Result<(BooleanArray, BooleanArray), EngineError> {
        let actions = batch.columns().first().and_then(|column| column.as_primitive_opt::<Int8Type>());
        let Some(actions) = actions else { return Err(error::internal("an action is a smallint")) };
        let (files, rows) = places(batch, 1)?;
        let keys = self.keys.of(batch, shape)?;
        let (mut applied, mut written) = (Vec::with_capacity(batch.num_rows()), Vec::with_capacity(batch.num_rows()));
        for at in 0..batch.num_rows() {
            let what = if actions.is_valid(at) { actions.value(at) } else { action::NOTHING };
            let happens = match what {
                action::NOTHING => {
                    let again = place(files, rows, at).is_some_and(|(file, row)| self.is_gone(file, row));
                    if again && shape.twice == Twice::RefusedByUpsert {
                        return Err(twice(shape.twice));
                    }
                    false
                }
                action::INSERT => match self.keys.is_new(&keys, at)? {
                    true => true,
                    false if shape.twice == Twice::RefusedByUpsert => return Err(twice(shape.twice)),
                    false => false,
                },
                _ => {
                    let Some((file, row)) = place(files, rows, at) else { return Err(error::internal("a changed row has no place")) };
                    match self.goes(file, row) {
                        true => {
                            if let Some(recorder) = self.recorder.as_mut().filter(|_| what != action::DELETE) {
                                recorder.note_replaced(file, row);
                            }
                            true
                        }
                        false if shape.twice == Twice::Ignored => false,
                        false => return Err(twice(shape.twice)),
                    }
                }
            };
            applied.push(happens);
            written.push(happens && what != action::DELETE);
        }
        Ok((applied.into(), written.into()))
    }

    fn is_gone(&self, file: usize, row: u64) -> bool {
        matches!(self.gone.get(&file), Some(Rows::Some(rows)) if rows.contains(row))
    }

    /// False where it was gone already.
    fn goes(&mut self, file: usize, row: u64) -> bool {
        match self.gone.entry(file).or_insert_with(|| Rows::Some(RoaringTreemap::new())) {
            Rows::Some(rows) => rows.insert(row),
            Rows::All(_) => false,
        }
    }

    async fn keep(&mut self, rows: RecordBatch) -> Result<(), EngineError> {
        if let Some(writer) = &mut self.writer {
            return writer.write(&rows).await;
        }
        self.few_size.0 += rows.num_rows();
        self.few_size.1 += rows.get_array_memory_size();
        self.few.push(rows);
        if self.few_size.0 > FEW_ROWS || self.few_size.1 > FEW_BYTES {
            self.open_writer().await?;
        }
        Ok(())
    }

    async fn open_writer(&mut self) -> Result<(), EngineError> {
        if self.writer.is_none() {
            let mut writer = self.appender.layout.writer();
            for rows in self.few.drain(..) {
                writer.write(&rows).await?;
            }
            self.writer = Some(writer);
        }
        Ok(())
    }

    async fn into_writer(mut self) -> Result<FileWriter, EngineError> {
        self.open_writer().await?;
        self.writer.take().ok_or_else(|| error::internal("the writer is open"))
    }

    async fn payload(mut self) -> Result<Payload, EngineError> {
        match self.writer.take() {
            Some(writer) => Ok(Payload { files: writer.close().await?, ..Payload::default() }),
            None => Ok(Payload { rows: self.few, ..Payload::default() }),
        }
    }
}

/// Of the rows of a batch that are written.
fn kinds_of_new(batch: &RecordBatch, written: &BooleanArray) -> impl Iterator<Item = Kind> {
    let actions = batch.columns().first().and_then(|column| column.as_primitive_opt::<Int8Type>());
    let is_insert = move |at: usize| actions.is_some_and(|actions| actions.value(at) == action::INSERT);
    let rows = (0..batch.num_rows()).filter(|at| written.value(*at));
    rows.map(move |at| if is_insert(at) { Kind::Insert } else { Kind::Postimage })
}

fn twice(which: Twice) -> EngineError {
    let (message, hint) = match which {
        Twice::RefusedByMerge => {
            ("MERGE command cannot affect row a second time", "Ensure that not more than one source row matches any one target row.")
        }
        _ => (
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
            "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
        ),
    };
    EngineError::Sql { mistake: SqlMistake::CardinalityViolation, message: message.to_owned(), hint: Some(hint.to_owned()) }
}

/// Keys of the rows that a statement has inserted, for each constraint that decides.
struct Keys {
    seen: Vec<(RowConverter, HashSet<OwnedRow>)>,
    reservation: MemoryReservation,
}

/// For each constraint the key of each row; `None` where a part of it is NULL.
type BatchKeys = Vec<Vec<Option<OwnedRow>>>;

impl Keys {
    fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        Self { seen: Vec::new(), reservation: MemoryConsumer::new("keys of an upsert").register(pool) }
    }

    fn of(&mut self, batch: &RecordBatch, shape: &Shape) -> Result<BatchKeys, EngineError> {
        let mut keys = Vec::with_capacity(shape.arbiters.len());
        for (number, columns) in shape.arbiters.iter().enumerate() {
            let arrays: Vec<_> = columns.iter().map(|at| Arc::clone(batch.column(FIRST + at))).collect();
            if self.seen.len() <= number {
                let fields = arrays.iter().map(|array| SortField::new(array.data_type().clone())).collect();
                let converter = RowConverter::new(fields).map_err(|error| error::from_arrow(&error))?;
                self.seen.push((converter, HashSet::new()));
            }
            let Some((converter, _)) = self.seen.get(number) else { return Err(error::internal("a key has a converter")) };
            let rows = converter.convert_columns(&arrays).map_err(|error| error::from_arrow(&error))?;
            let whole = |at: usize| arrays.iter().all(|array| !array.is_null(at));
            keys.push((0..batch.num_rows()).map(|at| whole(at).then(|| rows.row(at).owned())).collect());
        }
        Ok(keys)
    }

    /// Whether no row before has one of its keys; its own are noted then.
    fn is_new(&mut self, keys: &BatchKeys, at: usize) -> Result<bool, EngineError> {
        let key = |number: usize| keys.get(number).and_then(|rows| rows.get(at)).and_then(Option::as_ref);
        if self.seen.iter().enumerate().any(|(number, (_, seen))| key(number).is_some_and(|key| seen.contains(key))) {
            return Ok(false);
        }
        for (number, (_, seen)) in self.seen.iter_mut().enumerate() {
            if let Some(key) = key(number) {
                let bytes = key.as_ref().len() + 2 * std::mem::size_of::<OwnedRow>();
                self.reservation.try_grow(bytes).map_err(|error| error::from_datafusion(&error, &[]))?;
                seen.insert(key.clone());
            }
        }
        Ok(true)
    }
}
