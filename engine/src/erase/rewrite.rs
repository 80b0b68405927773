//! The current version without the subjects. Files with rows of theirs are replaced, and all that have deletion vectors: what a vector hides
//! is in the file still. The commit says nothing of whom it was for.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, case, lit, not};
use datafusion::physical_plan::execute_stream;
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::DeltaOperation;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::{BoundRelation, EngineError, Erased, Erasure, ExecutionContext, SessionFacts, SqlMistake, SubjectRule};

use crate::delta::{FILE_COLUMN, TableScan};
use crate::error;
use crate::exec::{Shared, interruptible};
use crate::plan::{comparable, planning_error};
use crate::write::{Change, CommitId, FileLayout, Target, commit};

/// Looks at the table anew so often while others change it.
const PASSES_MAX: usize = 20;
/// Files that are made over at once hold their rows in memory.
const FILES_AT_ONCE_MAX: usize = 8;
/// By which plans know the table.
const FILES: &str = "files";

/// # Errors
/// As [`lakegate_engine_api::Engine::erase_rows`].
pub async fn erase_rows(
    shared: Arc<Shared>,
    target: BoundRelation,
    erasure: Erasure,
    session: Arc<SessionFacts>,
    context: ExecutionContext,
) -> Result<Erased, EngineError> {
    let target = Target::open(&shared, std::slice::from_ref(&target), &target.name).await?;
    check_features(&target)?;
    let (erasure, state) = (Arc::new(erasure), Arc::new(shared.sessions.state(&session)));
    let mut erased = Erased { version_before: target.version.version(), version_after: target.version.version(), ..Erased::default() };
    for _ in 0..PASSES_MAX {
        let _order = target.table.writes.rewrites.lock().await;
        let pass = Pass {
            shared: Arc::clone(&shared),
            target: Arc::new(target.reopened(&shared).await?),
            erasure: Arc::clone(&erasure),
            state: Arc::clone(&state),
            context: context.clone(),
        };
        match pass.run(&mut erased).await {
            // Nothing is left, or nothing is to be done.
            Ok(None) => return Ok(erased),
            Ok(Some(version)) => erased.version_after = version,
            Err(EngineError::Conflict { .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(EngineError::Conflict { table: target.name.name.clone() })
}

/// What the purge that follows can handle.
fn check_features(target: &Target) -> Result<(), EngineError> {
    target.check_rewritable()?;
    let protocol = target.version.snapshot.protocol();
    let features = serde_json::to_value(protocol).unwrap_or_default();
    let has = |name: &str| {
        ["readerFeatures", "writerFeatures"]
            .iter()
            .filter_map(|list| features.get(list)?.as_array())
            .flatten()
            .any(|feature| feature.as_str() == Some(name))
    };
    for name in ["v2Checkpoint", "catalogManaged", "catalogOwned-preview", "rowTracking"] {
        if has(name) {
            return Err(error::unsupported(format!("erasing data subjects from a table with the feature {name}")));
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Pass {
    shared: Arc<Shared>,
    target: Arc<Target>,
    erasure: Arc<Erasure>,
    state: Arc<SessionState>,
    context: ExecutionContext,
}

impl Pass {
    /// The version that was committed; `None` where all files are without the subjects already.
    async fn run(&self, erased: &mut Erased) -> Result<Option<u64>, EngineError> {
        let files = Arc::clone(self.target.version.files()?);
        let found = self.count().await?;
        let touched = files.files.iter().enumerate();
        let touched = touched.filter(|(number, file)| found.contains_key(number) || file.deletion_vector.is_some());
        let (numbers, bytes): (Vec<usize>, Vec<u64>) = touched.map(|(number, file)| (number, file.size_bytes)).unzip();
        let rows = found.values().sum::<u64>();
        erased.rows += rows;
        erased.files_rewritten += u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        erased.bytes_read += bytes.iter().sum::<u64>();
        if self.erasure.dry_run || numbers.is_empty() {
            return Ok(None);
        }
        let layout = Arc::new(FileLayout::of(&self.target.version, &self.target.columns, self.target.table.log_store.object_store(None)));
        let adds = self.rewrite_all(&numbers, &layout).await?;
        erased.bytes_written += adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum::<u64>();
        let removes: Vec<_> = self.target.version.snapshot.log_data().iter().map(|file| file.remove_action(true)).collect();
        let removed = numbers.iter().filter_map(|number| removes.get(*number).cloned()).map(Action::Remove);
        let committed = self.commit(removed.chain(adds.iter().cloned().map(Action::Add)).collect()).await;
        if let Err(failure) = &committed
            && !matches!(failure, EngineError::CommitUnknown { .. })
        {
            erased.rows -= rows;
            layout.discard(&adds).await;
        }
        committed.map(Some)
    }

    /// Several files at once, each as a file of its own. Where one fails nothing is left of the others.
    async fn rewrite_all(&self, numbers: &[usize], layout: &Arc<FileLayout>) -> Result<Vec<Add>, EngineError> {
        let cancel = self.context.cancel.child_token();
        let at_once = self.state.config().target_partitions().clamp(1, FILES_AT_ONCE_MAX);
        let work = futures::stream::iter(numbers.to_vec()).map(|number| {
            let (pass, layout) = (self.clone(), Arc::clone(layout));
            self.shared.runtime.run(cancel.clone(), async move { pass.rewrite(number, &layout).await })
        });
        let mut work = std::pin::pin!(work.buffered(at_once));
        let (mut adds, mut failed) = (Vec::new(), None);
        while let Some(made) = work.next().await {
            match made {
                Ok(made) => adds.extend(made),
                Err(failure) => {
                    cancel.cancel();
                    failed.get_or_insert(failure);
                }
            }
        }
        let Some(failure) = failed else { return Ok(adds) };
        layout.discard(&adds).await;
        Err(failure)
    }

    async fn commit(&self, actions: Vec<Action>) -> Result<u64, EngineError> {
        let change = Change {
            base: Arc::clone(&self.target.version),
            actions,
            operation: DeltaOperation::Delete { predicate: None },
            ids: vec![CommitId::new()],
            blind: false,
            rests_on_absence: false,
            exclusive: false,
        };
        let (table, name) = (Arc::clone(&self.target.table), self.target.name.name.clone());
        self.shared
            .runtime
            .run_to_end(async move {
                let _order = table.writes.commits.lock().await;
                commit(&table, &name, change).await
            })
            .await
    }

    /// Rows of the subjects by the numbers of the files that have any.
    async fn count(&self) -> Result<BTreeMap<usize, u64>, EngineError> {
        let mut found = BTreeMap::new();
        let Some(condition) = self.condition()? else { return Ok(found) };
        let places = provider_as_source(Arc::new(self.table().with_row_places()));
        let plan = LogicalPlanBuilder::scan(FILES, places, None)
            .and_then(|scan| scan.filter(condition)?.project([named(FILE_COLUMN)])?.build())
            .map_err(|failure| planning_error(&failure))?;
        let mut rows = self.execute(plan, self.state.config().target_partitions()).await?;
        while let Some(batch) = rows.try_next().await.map_err(|failure| error::from_datafusion(&failure, &[]))? {
            for file in batch.column(0).as_primitive::<Int64Type>().values() {
                let number = usize::try_from(*file).map_err(|_| error::internal("a file has no number"))?;
                *found.entry(number).or_default() += 1;
            }
        }
        Ok(found)
    }

    async fn rewrite(&self, number: usize, layout: &FileLayout) -> Result<Vec<Add>, EngineError> {
        let scan = self.scan_of(number)?;
        let plan = match (self.condition()?, &self.erasure.rule) {
            (None, _) => scan.build(),
            // A row of which nobody knows whose it is stays.
            (Some(condition), SubjectRule::Delete) => scan.filter(not(condition.is_true())).and_then(LogicalPlanBuilder::build),
            (Some(condition), SubjectRule::Replace(columns)) => {
                let exprs: Result<Vec<Expr>, EngineError> =
                    self.target.columns.columns.iter().map(|column| replaced(column.field.as_ref(), columns, &condition)).collect();
                scan.project(exprs?).and_then(LogicalPlanBuilder::build)
            }
        };
        let plan = plan.map_err(|failure| planning_error(&failure))?;
        let mut writer = layout.writer();
        let failed = |failure| error::from_datafusion(&failure, &[]);
        // Rows that lie together stay together.
        let mut stream = self.execute(plan, 1).await?;
        loop {
            let next = tokio::select! {
                biased;
                () = self.context.cancel.cancelled() => return Err(EngineError::Canceled),
                next = stream.try_next() => next.map_err(failed)?,
            };
            let Some(batch) = next else { break };
            writer.write(&layout.physical_rows(&batch)?).await?;
        }
        writer.close().await
    }

    fn table(&self) -> TableScan {
        let (version, name) = (Arc::clone(&self.target.version), self.target.name.name.clone());
        TableScan::new(Arc::clone(&self.shared.tables), version, self.target.columns.clone(), name)
    }

    fn scan_of(&self, number: usize) -> Result<LogicalPlanBuilder, EngineError> {
        let only: Vec<bool> = (0..self.target.version.files()?.files.len()).map(|other| other == number).collect();
        let source = provider_as_source(Arc::new(self.table().only(Arc::new(only))));
        LogicalPlanBuilder::scan(FILES, source, None).map_err(|failure| planning_error(&failure))
    }

    /// `None`: no value of the keys is one of its column.
    fn condition(&self) -> Result<Option<Expr>, EngineError> {
        let mut tests = Vec::new();
        for (name, values) in &self.erasure.keys {
            let column = self.target.columns.columns.iter().find(|column| column.field.name() == name);
            let column = column.ok_or_else(|| self.missing(name))?;
            let literals: Vec<Expr> = values
                .iter()
                .filter_map(|value| ScalarValue::Utf8(Some(value.clone())).cast_to(column.field.data_type()).ok())
                .filter(|value| !value.is_null())
                .map(lit)
                .collect();
            if !literals.is_empty() {
                tests.push(named(name).in_list(literals, false));
            }
        }
        let Some(of_subjects) = tests.into_iter().reduce(Expr::or) else { return Ok(None) };
        match &self.erasure.rule {
            SubjectRule::Delete => Ok(Some(of_subjects)),
            // Rows that have lost their values already are as they should be.
            SubjectRule::Replace(columns) => Ok(self.unlike(columns)?.map(|unlike| of_subjects.and(unlike))),
        }
    }

    /// Whether a column has another value than it is to have.
    fn unlike(&self, columns: &[(String, Option<String>)]) -> Result<Option<Expr>, EngineError> {
        let mut tests = Vec::new();
        for (name, value) in columns {
            let column = self.target.columns.columns.iter().find(|column| column.field.name() == name);
            let column = column.ok_or_else(|| self.missing(name))?;
            let own = named(name);
            tests.push(match value {
                None => own.is_not_null(),
                Some(_) => own.clone().is_null().or(own.not_eq(lit(replacement(&column.field, value.as_deref())?))),
            });
        }
        Ok(tests.into_iter().reduce(Expr::or))
    }

    fn missing(&self, column: &str) -> EngineError {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", self.target.name.name);
        error::sql(SqlMistake::UndefinedColumn, message)
    }

    async fn execute(
        &self,
        plan: LogicalPlan,
        partitions: usize,
    ) -> Result<datafusion::physical_plan::SendableRecordBatchStream, EngineError> {
        let failed = |failure| error::from_datafusion(&failure, &[]);
        let mut state = SessionState::clone(&self.state);
        state.config_mut().options_mut().execution.target_partitions = partitions;
        let plan = comparable(plan).and_then(|plan| state.optimize(&plan)).map_err(failed)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(failed)?;
        let physical = interruptible(physical, &self.context.cancel).map_err(failed)?;
        execute_stream(physical, state.task_ctx()).map_err(failed)
    }
}

fn named(name: &str) -> Expr {
    Expr::Column(Column::new(Some(FILES), name))
}

/// The column, or what stands in its place in the subjects' rows.
fn replaced(field: &arrow_schema::Field, columns: &[(String, Option<String>)], condition: &Expr) -> Result<Expr, EngineError> {
    let own = named(field.name());
    let Some((_, value)) = columns.iter().find(|(name, _)| name == field.name()) else { return Ok(own) };
    let value = replacement(field, value.as_deref())?;
    let chosen = case(condition.clone().is_true()).when(lit(true), lit(value)).otherwise(own);
    Ok(chosen.map_err(|failure| error::from_datafusion(&failure, &[]))?.alias(field.name()))
}

fn replacement(field: &arrow_schema::Field, value: Option<&str>) -> Result<ScalarValue, EngineError> {
    let value = match value {
        None => ScalarValue::try_from(field.data_type()),
        Some(text) => ScalarValue::Utf8(Some(text.to_owned())).cast_to(field.data_type()),
    };
    value.map_err(|failure| error::from_datafusion(&failure, &[]))
}
