//! OPTIMIZE: small files become large ones, deleted rows leave the files they lie in, and rows are laid out by the values of some
//! columns. What a scan gives is the same before and after.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, SortExpr};
use datafusion::physical_plan::execute_stream;
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::DeltaOperation;
use futures::TryStreamExt;
use lakegate_engine_api::{EngineError, ExecutionContext, Maintained, Outcome, Phase, SqlMistake};
use sqlparser::ast;

use super::tidy::{SMALL_BYTES, SMALL_FILES_MIN};
use super::zorder::z_order;
use crate::delta::TableScan;
use crate::error;
use crate::exec::{Counted, Shared, interruptible};
use crate::plan::{Planner, Sources, comparable, planning_error};
use crate::write::{Change, CommitId, FileLayout, TARGET_FILE_BYTES, Target, active_files, commit, file_key, same_definition};

/// What is asked for.
pub struct Wish<'a> {
    /// Over partition columns.
    pub condition: Option<&'a ast::Expr>,
    pub order: &'a [String],
    /// Files that are large already, too.
    pub whole: bool,
    /// Small files alone, up to so many bytes of them, where there are many; and who changes the table goes first.
    pub small: Option<u64>,
}

/// Files that become one, or some of the target size; numbers in the version's list.
struct Bin {
    files: Vec<usize>,
    adds: Vec<Add>,
}

/// # Errors
/// `Sql` for columns that are not there; `Conflict` where all of the files were replaced meanwhile.
pub async fn optimize(
    shared: &Shared,
    target: &Target,
    wish: Wish<'_>,
    state: &SessionState,
    schema: &SchemaRef,
    context: &ExecutionContext,
    progress: &Counted,
) -> Result<Maintained, EngineError> {
    let order = order_columns(target, wish.order)?;
    let layout = FileLayout::of(&target.version, &target.columns, target.table.log_store.object_store(None)).counting(progress);
    let mut bins = bins(target, &wish, state)?;
    progress.enter(Phase::RewritingFiles);
    let of_bin = |bin: &Bin| size_of(target, bin);
    let (files, bytes) =
        bins.iter().map(of_bin).collect::<Result<Vec<_>, _>>()?.into_iter().fold((0, 0), |(files, bytes), of| (files + of.0, bytes + of.1));
    progress.expect(files, bytes);
    let mut done: Vec<Bin> = Vec::new();
    let mut rows = 0;
    for bin in &mut bins {
        let (files, bytes) = size_of(target, bin)?;
        match rewrite(shared, target, &layout, bin, &order, state, context).await {
            Ok((adds, count)) => {
                rows += count;
                progress.add_files(files, bytes);
                done.push(Bin { files: std::mem::take(&mut bin.files), adds });
            }
            Err(failure) => {
                discard(&layout, &done).await;
                return Err(failure);
            }
        }
    }
    let figures = Figures::of(target, &done, rows)?;
    let mut outcome = Outcome {
        rows,
        files_written: u64::try_from(figures.added.0).unwrap_or(0),
        bytes_written: u64::try_from(figures.added.1).unwrap_or(0),
        ..Outcome::default()
    };
    if !done.is_empty() {
        progress.enter(Phase::Committing);
        outcome.version = make_visible(shared, target, layout, done, wish.small.is_some()).await?;
    }
    Ok(Maintained { rows: Some(figures.rows(target, schema)?), outcome, summary: None })
}

fn order_columns(target: &Target, names: &[String]) -> Result<Vec<usize>, EngineError> {
    let place = |name: &String| {
        let found = target.columns.columns.iter().position(|column| column.field.name() == name);
        let Some(place) = found else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", target.name.name);
            return Err(error::sql(SqlMistake::UndefinedColumn, message));
        };
        if target.columns.partitions.contains(&place) {
            let message = format!("column \"{name}\" is a partition column: its rows lie apart already");
            return Err(error::sql(SqlMistake::InvalidTableDefinition, message));
        }
        Ok(place)
    };
    names.iter().map(place).collect()
}

/// Files and their bytes.
fn size_of(target: &Target, bin: &Bin) -> Result<(u64, u64), EngineError> {
    let files = target.version.files()?;
    let bytes = bin.files.iter().filter_map(|number| files.files.get(*number)).map(|file| file.size_bytes).sum();
    Ok((u64::try_from(bin.files.len()).unwrap_or(u64::MAX), bytes))
}

/// Which files go together: those of one partition, in the order of the list, up to the target size.
fn bins(target: &Target, wish: &Wish<'_>, state: &SessionState) -> Result<Vec<Bin>, EngineError> {
    let files = target.version.files()?;
    let chosen = match wish.condition {
        Some(condition) => in_condition(target, condition, state)?,
        None => vec![true; files.files.len()],
    };
    let mut partitions: BTreeMap<Option<OwnedRow>, Vec<usize>> = BTreeMap::new();
    let keys = partition_keys(&files.partitions)?;
    for number in (0..files.files.len()).filter(|number| chosen.get(*number) == Some(&true)) {
        partitions.entry(keys.get(number).cloned()).or_default().push(number);
    }
    let is_worn = |number: &usize| {
        let file = &files.files[*number];
        if wish.small.is_some() {
            return file.size_bytes < SMALL_BYTES;
        }
        wish.whole || !wish.order.is_empty() || file.deletion_vector.is_some() || file.size_bytes < TARGET_FILE_BYTES / 4 * 3
    };
    let mut bins = Vec::new();
    for files_of_one in partitions.into_values() {
        let worn: Vec<usize> = files_of_one.into_iter().filter(is_worn).collect();
        if wish.small.is_some() && worn.len() < SMALL_FILES_MIN {
            continue;
        }
        // Rows are laid out across all files of a partition.
        let limit = if wish.order.is_empty() { TARGET_FILE_BYTES } else { u64::MAX };
        let mut bin = Bin { files: Vec::new(), adds: Vec::new() };
        let mut bytes = 0;
        for number in worn {
            let size = files.files[number].size_bytes;
            if !bin.files.is_empty() && bytes + size > limit {
                bins.push(std::mem::replace(&mut bin, Bin { files: Vec::new(), adds: Vec::new() }));
                bytes = 0;
            }
            bin.files.push(number);
            bytes += size;
        }
        bins.push(bin);
    }
    let is_worth_it = |bin: &Bin| match bin.files.as_slice() {
        [] => false,
        [one] => wish.whole || !wish.order.is_empty() || files.files[*one].deletion_vector.is_some(),
        _ => true,
    };
    bins.retain(is_worth_it);
    if let Some(budget) = wish.small {
        let mut bytes = 0_u64;
        bins.retain(|bin| {
            // One at least: a budget that is smaller would do nothing for ever.
            let fits = bytes < budget;
            bytes += bin.files.iter().map(|number| files.files[*number].size_bytes).sum::<u64>();
            fits
        });
    }
    Ok(bins)
}

/// One key a file; none where the table has no partitions.
pub fn partition_keys(partitions: &[ArrayRef]) -> Result<Vec<OwnedRow>, EngineError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |failure| error::from_arrow(&failure);
    let fields = partitions.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let rows = RowConverter::new(fields).map_err(failed)?.convert_columns(partitions).map_err(failed)?;
    Ok(rows.iter().map(|row| row.owned()).collect())
}

/// For each file whether the condition, which names nothing but partition columns, holds.
fn in_condition(target: &Target, condition: &ast::Expr, state: &SessionState) -> Result<Vec<bool>, EngineError> {
    let files = target.version.files()?;
    let fields: Vec<_> = target.columns.partitions.iter().map(|at| Arc::clone(&target.columns.columns[*at].field)).collect();
    let schema = Arc::new(Schema::new(fields));
    let fields = DFSchema::try_from(Arc::clone(&schema)).map_err(|failure| error::from_datafusion(&failure, &[]))?;
    let planned = Planner::new(state, &Sources::default()).expression(condition.clone(), &fields, Vec::new());
    let planned = planned.map_err(|failure| match planning_error(&failure) {
        EngineError::Sql { mistake: SqlMistake::UndefinedColumn, message, .. } => EngineError::Sql {
            mistake: SqlMistake::UndefinedColumn,
            message,
            hint: Some("The condition of OPTIMIZE chooses partitions: it names partition columns only.".to_owned()),
        },
        other => other,
    })?;
    let options = RecordBatchOptions::new().with_row_count(Some(files.files.len()));
    let batch = RecordBatch::try_new_with_options(schema, files.partitions.clone(), &options);
    let batch = batch.map_err(|failure| error::from_arrow(&failure))?;
    let evaluated = state
        .create_physical_expr(planned, &fields)
        .and_then(|expr| expr.evaluate(&batch))
        .and_then(|value| value.into_array(files.files.len()))
        .map_err(|failure| error::from_datafusion(&failure, &[]))?;
    let holds =
        evaluated.as_boolean_opt().ok_or_else(|| error::sql(SqlMistake::DatatypeMismatch, "argument of WHERE must be type boolean"))?;
    Ok(holds.iter().map(|value| value == Some(true)).collect())
}

async fn rewrite(
    shared: &Shared,
    target: &Target,
    layout: &FileLayout,
    bin: &Bin,
    order: &[usize],
    state: &SessionState,
    context: &ExecutionContext,
) -> Result<(Vec<Add>, u64), EngineError> {
    let failed = |failure| error::from_datafusion(&failure, &[]);
    let chosen: HashSet<usize> = bin.files.iter().copied().collect();
    let only: Vec<bool> = (0..target.version.files()?.files.len()).map(|number| chosen.contains(&number)).collect();
    let scan = TableScan::new(Arc::clone(&shared.tables), Arc::clone(&target.version), target.columns.clone(), target.name.name.clone());
    let source = provider_as_source(Arc::new(scan.only(Arc::new(only))));
    let mut plan = LogicalPlanBuilder::scan("files", source, None).map_err(|failure| planning_error(&failure))?;
    if !order.is_empty() {
        let column = |at: &usize| Expr::Column(plan.schema().columns()[*at].clone());
        let key = match order {
            [one] => column(one),
            several => z_order().call(several.iter().map(column).collect()),
        };
        plan = plan.sort(vec![SortExpr::new(key, true, true)]).map_err(|failure| planning_error(&failure))?;
    }
    let plan = plan.build().map_err(|failure| planning_error(&failure))?;
    // Rows that lie together stay together.
    let mut state = state.clone();
    if order.is_empty() {
        state.config_mut().options_mut().execution.target_partitions = 1;
    }
    let plan = comparable(plan).and_then(|plan| state.optimize(&plan)).map_err(failed)?;
    let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(failed)?;
    let physical = interruptible(physical, &context.cancel).map_err(failed)?;
    let mut rows = execute_stream(physical, state.task_ctx()).map_err(failed)?;
    let mut writer = layout.writer();
    loop {
        let next = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(EngineError::Canceled),
            next = rows.try_next() => next.map_err(failed)?,
        };
        let Some(batch) = next else { break };
        writer.write(&layout.physical_rows(&batch)?).await?;
    }
    let count = writer.rows;
    let adds = writer.close().await?;
    Ok((adds.into_iter().map(|add| Add { data_change: false, ..add }).collect(), count))
}

async fn discard(layout: &FileLayout, bins: &[Bin]) {
    for bin in bins {
        layout.discard(&bin.adds).await;
    }
}

/// One commit; files that somebody has changed meanwhile stay as they are. `gives_way`: so do all where a transaction of this process
/// changes the table, and statements that rewrite files come first.
async fn make_visible(
    shared: &Shared,
    target: &Target,
    layout: FileLayout,
    bins: Vec<Bin>,
    gives_way: bool,
) -> Result<Option<u64>, EngineError> {
    let target = target.clone();
    shared
        .runtime
        .run_to_end(async move {
            let writes = &target.table.writes;
            let _rewrites = if gives_way { Some(writes.rewrites.lock().await) } else { None };
            let _order = writes.commits.lock().await;
            if gives_way && writes.open_transactions.load(Ordering::SeqCst) > 0 {
                discard(&layout, &bins).await;
                return Err(EngineError::Conflict { table: target.name.name.clone() });
            }
            let committed = commit_what_stands(&target, &bins).await;
            match &committed {
                // Of a commit that may have happened the files must stay.
                Ok((_, dropped)) => {
                    for (bin, _) in bins.iter().zip(dropped).filter(|(_, dropped)| **dropped) {
                        layout.discard(&bin.adds).await;
                    }
                }
                Err(EngineError::CommitUnknown { .. }) => {}
                Err(_) => discard(&layout, &bins).await,
            }
            committed.map(|(version, _)| version)
        })
        .await
}

/// The version, and for each bin whether it was left out.
async fn commit_what_stands(target: &Target, bins: &[Bin]) -> Result<(Option<u64>, Vec<bool>), EngineError> {
    let base = &target.version;
    let removes: Vec<_> = base.snapshot.log_data().iter().map(|file| file.remove_action(false)).collect();
    loop {
        let newest = target.table.newest().await?;
        let active = active_files(&newest);
        let stands = |bin: &Bin| {
            bin.files
                .iter()
                .filter_map(|number| removes.get(*number))
                .all(|remove| active.contains(&file_key(&remove.path, remove.deletion_vector.as_ref())))
        };
        let dropped: Vec<bool> = bins.iter().map(|bin| !stands(bin)).collect();
        let standing = || bins.iter().zip(&dropped).filter(|(_, dropped)| !**dropped).map(|(bin, _)| bin);
        if standing().next().is_none() {
            return Err(EngineError::Conflict { table: target.name.name.clone() });
        }
        let mut actions: Vec<Action> = Vec::new();
        for bin in standing() {
            actions.extend(bin.files.iter().filter_map(|number| removes.get(*number).cloned()).map(Action::Remove));
            actions.extend(bin.adds.iter().cloned().map(Action::Add));
        }
        let change = Change {
            base: Arc::clone(base),
            actions,
            operation: DeltaOperation::Optimize { predicate: None, target_size: i64::try_from(TARGET_FILE_BYTES).unwrap_or(i64::MAX) },
            ids: vec![CommitId::new()],
            blind: false,
            rests_on_absence: false,
            exclusive: false,
        };
        match commit(&target.table, &target.name.name, change).await {
            Ok(version) => return Ok((Some(version), dropped)),
            // Somebody was faster after all: what is left of it is tried again, unless the table itself was changed.
            Err(EngineError::Conflict { table }) => {
                let newest = target.table.newest().await?;
                if !same_definition(base, &newest) {
                    return Err(EngineError::Conflict { table });
                }
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Files and bytes, rows.
struct Figures {
    added: (i64, i64),
    removed: (i64, i64),
    rows: i64,
    purged: i64,
}

impl Figures {
    fn of(target: &Target, bins: &[Bin], rows: u64) -> Result<Self, EngineError> {
        let files = target.version.files()?;
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut figures = Figures { added: (0, 0), removed: (0, 0), rows: signed(rows), purged: 0 };
        for bin in bins {
            figures.added.0 += i64::try_from(bin.adds.len()).unwrap_or(0);
            figures.added.1 += bin.adds.iter().map(|add| add.size).sum::<i64>();
            for file in bin.files.iter().filter_map(|number| files.files.get(*number)) {
                figures.removed.0 += 1;
                figures.removed.1 += signed(file.size_bytes);
                figures.purged += file.deletion_vector.as_ref().map_or(0, |vector| signed(vector.cardinality));
            }
        }
        Ok(figures)
    }

    fn rows(&self, target: &Target, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
        let numbers = [self.added.0, self.removed.0, self.added.1, self.removed.1, self.rows, self.purged];
        let path: ArrayRef = Arc::new(StringArray::from(vec![target.table.location.url.as_str()]));
        let numbers = numbers.map(|number| -> ArrayRef { Arc::new(Int64Array::from(vec![number])) });
        let columns = std::iter::once(path).chain(numbers).collect();
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|failure| error::from_arrow(&failure))
    }
}
