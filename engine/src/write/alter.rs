//! ALTER TABLE: a new definition, and where data files do not fit it the rows rewritten, in one commit. Rows that are there must satisfy
//! what the definition newly asks.

use std::sync::Arc;

use datafusion::common::{DFSchema, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::execute_stream;
use deltalake_core::kernel::{Action, Add, StructField};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use futures::TryStreamExt;
use lakegate_engine_api::{
    Alteration, BoundRelation, EngineError, ExecutionContext, ExecutionMetrics, Outcome, Phase, SessionFacts, SqlMistake, Violation,
};
use sqlparser::ast::{Expr as AstExpr, SelectItem, SetExpr};

use super::assign::assigned;
use super::checks::RowChecks;
use super::commit::{Change, CommitId, commit};
use super::create::delta_field;
use super::defaults::null;
use super::definition::{Definition, Origin};
use super::dml::{TARGET, TargetName, quoted, select};
use super::files::{FileLayout, bytes_of};
use super::insert::with_generated;
use super::staged::{Step, StepKind};
use super::target::Target;
use super::transaction::LocalTransaction;
use crate::delta::{TableScan, with_changes};
use crate::error;
use crate::exec::{Counted, Shared, collect_metrics};
use crate::plan::{Planner, Sessions, Sources, analyzed_plan, planning_error};

/// Runs against ever newer versions before it is given up as a conflict.
const RUNS_MAX: usize = 5;

/// Changes a table's definition.
///
/// # Errors
/// As [`lakegate_engine_api::Engine::alter_table`].
pub async fn alter_table(
    shared: Arc<Shared>,
    target: BoundRelation,
    alterations: Vec<Alteration>,
    session: Arc<SessionFacts>,
    context: ExecutionContext,
) -> Result<Outcome, EngineError> {
    let name = target.name.clone();
    let target = Target::open(&shared, std::slice::from_ref(&target), &name).await?;
    let state = shared.sessions.state(&session);
    for run in 1..=RUNS_MAX {
        match alter_once(&shared, &target, &alterations, &state, &context).await {
            // Another process was faster: the statement may as well have started later.
            Err(EngineError::Conflict { .. }) if run < RUNS_MAX && target.transaction.is_none() => {}
            other => return other,
        }
    }
    Err(EngineError::Conflict { table: name.name })
}

async fn alter_once(
    shared: &Arc<Shared>,
    target: &Target,
    alterations: &[Alteration],
    state: &SessionState,
    context: &ExecutionContext,
) -> Result<Outcome, EngineError> {
    let table = Arc::clone(&target.table);
    let _order = match target.transaction {
        Some(_) => None,
        None => Some(tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(EngineError::Canceled),
            order = table.writes.rewrites.lock() => order,
        }),
    };
    let target = target.reopened(shared).await?;
    let mut definition = Definition::of(&target.name.name, &target.version)?;
    for alteration in alterations {
        definition.apply(alteration)?;
    }
    let actions = definition.actions(&target.version)?;
    if actions.is_empty() && !definition.rewrites {
        return Ok(Outcome::default());
    }
    let version = Arc::new(with_changes(&table, &target.version, &actions).await?);
    let altered = Target { columns: version.columns.clone(), version, ..target.clone() };
    let has_rows = !target.version.files()?.files.is_empty();
    let progress = shared.progress.begin(context.statement_id, Phase::WritingRows);
    let mut alter =
        Alter { shared, state, before: &target, after: &altered, definition: &definition, context, actions, progress: &progress };
    let mut outcome = Outcome::default();
    let mut adds = Vec::new();
    if has_rows && definition.rewrites {
        target.check_rewritable()?;
    }
    if has_rows && (definition.rewrites || definition.validates) {
        let metrics = Arc::new(ExecutionMetrics::default());
        adds = alter.walk_rows(&metrics).await?;
        outcome.metrics = metrics.snapshot();
        outcome.files_written = u64::try_from(adds.len()).unwrap_or(0);
        outcome.bytes_written = bytes_of(&adds);
    } else {
        // What cannot be evaluated is to be told now, not to the first row.
        alter.plan_rows()?;
    }
    match alter.commit(alterations, has_rows && definition.rewrites, &adds).await {
        Ok(version) => Ok(Outcome { version, ..outcome }),
        Err(error) => {
            // Of a commit that may have happened the files must stay.
            if !matches!(error, EngineError::CommitUnknown { .. }) {
                alter.layout().discard(&adds).await;
            }
            Err(error)
        }
    }
}

struct Alter<'a> {
    shared: &'a Arc<Shared>,
    state: &'a SessionState,
    before: &'a Target,
    after: &'a Target,
    definition: &'a Definition,
    context: &'a ExecutionContext,
    actions: Vec<Action>,
    progress: &'a Counted,
}

impl Alter<'_> {
    fn layout(&self) -> FileLayout {
        let store = self.after.table.log_store.object_store(None);
        FileLayout::of(&self.after.version, &self.after.columns, store).counting(self.progress)
    }

    /// All rows under the new definition, analysed.
    fn plan_rows(&self) -> Result<(LogicalPlan, RowChecks), EngineError> {
        let Target { version, columns, name, .. } = self.before;
        let scan = TableScan::new(Arc::clone(&self.shared.tables), Arc::clone(version), columns.clone(), name.name.clone());
        let mut sources = Sources::default();
        sources.tables.insert(TableReference::bare(TARGET), provider_as_source(Arc::new(scan)));
        let planner = Planner::new(self.state, &sources);
        let items = self.definition.columns.iter().enumerate().map(|(position, to)| {
            let expr = match &to.origin {
                Origin::Kept(from) | Origin::Cast { from, using: None } => column(from),
                Origin::Cast { using: Some(expr), .. } => AstExpr::Nested(Box::new(expr.clone())),
                Origin::Value(Some(expr)) => expr.clone(),
                Origin::Value(None) | Origin::Generated => null(),
            };
            SelectItem::ExprWithAlias { expr, alias: quoted(&format!("\u{0}{position}")) }
        });
        let mut query = select(vec![TargetName::new(None, self.before).relation()], None)?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = items.collect();
        }
        let plan = planner.query(query, Vec::new()).map_err(|error| planning_error(&error))?;
        let literals = top_literals(&plan);
        let schema = Arc::clone(plan.schema());
        let mut exprs = Vec::with_capacity(schema.fields().len());
        let news = self.definition.columns.iter().zip(&self.after.columns.columns);
        for (position, (from, (to, column))) in schema.columns().into_iter().zip(news).enumerate() {
            let expr = match (literals.get(position).cloned().flatten(), &to.origin) {
                (Some(literal), Origin::Value(_) | Origin::Generated) => assigned(literal, &DFSchema::empty(), column)?,
                _ => assigned(Expr::Column(from), &schema, column).map_err(|error| explained(error, column.field.name(), &to.origin))?,
            };
            exprs.push(expr.alias(column.field.name()));
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build);
        let plan = with_generated(&planner, plan.map_err(|error| planning_error(&error))?, self.after)?;
        let checks = RowChecks::new(self.state, &self.after.name.name, &self.after.version, &self.after.columns)?;
        Ok((analyzed_plan(self.state, plan)?, checks))
    }

    /// Checks all rows, and writes them where files have to be replaced.
    async fn walk_rows(&mut self, metrics: &Arc<ExecutionMetrics>) -> Result<Vec<Add>, EngineError> {
        let (plan, checks) = self.plan_rows()?;
        let state = Sessions::counting(self.state, metrics);
        let layout = self.layout();
        let mut writer = layout.writer();
        let failed = |error| error::from_datafusion(&error, &[]);
        let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(failed)?;
        let mut stream = execute_stream(Arc::clone(&physical), state.task_ctx()).map_err(failed)?;
        loop {
            let next = tokio::select! {
                biased;
                () = self.context.cancel.cancelled() => return Err(EngineError::Canceled),
                next = stream.try_next() => next.map_err(failed)?,
            };
            let Some(batch) = next else { break };
            let batch = checks.apply(&batch).map_err(|error| of_rows_there(error, &self.after.name.name))?;
            if self.definition.rewrites {
                writer.write(&layout.physical_rows(&batch)?).await?;
            }
        }
        collect_metrics(&physical, metrics);
        writer.close().await
    }

    /// Commits, or stages; the version where there is one.
    async fn commit(&mut self, alterations: &[Alteration], replaces: bool, adds: &[Add]) -> Result<Option<u64>, EngineError> {
        let snapshot = &self.before.version.snapshot;
        let files = snapshot.log_data();
        // An index changes no row.
        let data_change = !alterations.iter().all(|alteration| matches!(alteration, Alteration::SetFilters { .. }));
        let removes: Vec<_> = if replaces { files.iter().map(|file| file.remove_action(data_change)).collect() } else { Vec::new() };
        let adds: Vec<Add> = adds.iter().cloned().map(|add| Add { data_change, ..add }).collect();
        let definition = std::mem::take(&mut self.actions);
        if let Some(transaction) = &self.before.transaction {
            let step = Step {
                rows: Vec::new(),
                adds,
                recorded: Vec::new(),
                removes,
                id: CommitId::new(),
                kind: StepKind::Alter,
                blind: false,
                rests_on_absence: false,
                definition,
            };
            LocalTransaction::of(transaction.as_ref())?.stage_definition(step, Arc::clone(&self.after.version)).await?;
            return Ok(None);
        }
        let change = Change {
            base: Arc::clone(&self.before.version),
            actions: definition
                .into_iter()
                .chain(removes.into_iter().map(Action::Remove))
                .chain(adds.into_iter().map(Action::Add))
                .collect(),
            operation: operation(alterations, replaces)?,
            ids: vec![CommitId::new()],
            blind: false,
            rests_on_absence: false,
            exclusive: true,
        };
        let (table, name) = (Arc::clone(&self.before.table), self.before.name.name.clone());
        self.shared
            .runtime
            .run_to_end(async move {
                let _order = table.writes.commits.lock().await;
                commit(&table, &name, change).await.map(Some)
            })
            .await
    }
}

fn column(name: &str) -> AstExpr {
    AstExpr::Identifier(quoted(name))
}

/// For each column of a projection the literal that it is, if it is one: literals take the type of where they stand.
fn top_literals(plan: &LogicalPlan) -> Vec<Option<Expr>> {
    let LogicalPlan::Projection(projection) = plan else { return Vec::new() };
    let plain = |expr: &Expr| Some(expr.clone().unalias()).filter(|plain| matches!(plain, Expr::Literal(..)));
    projection.expr.iter().map(plain).collect()
}

/// How the commit calls itself: delta-rs has no name for most of what ALTER TABLE does.
fn operation(alterations: &[Alteration], replaces: bool) -> Result<DeltaOperation, EngineError> {
    if replaces {
        return Ok(DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None });
    }
    let fields: Result<Vec<StructField>, EngineError> = alterations
        .iter()
        .filter_map(|alteration| match alteration {
            Alteration::AddColumn { column, .. } => Some(delta_field(column)),
            _ => None,
        })
        .collect();
    Ok(DeltaOperation::AddColumn { fields: fields? })
}

/// PostgreSQL's words for a cast that ALTER COLUMN TYPE would need.
fn explained(error: EngineError, name: &str, origin: &Origin) -> EngineError {
    let EngineError::Sql { mistake: SqlMistake::DatatypeMismatch, message, .. } = &error else { return error };
    let Origin::Cast { using, .. } = origin else { return error };
    let to = message.split(" is of type ").nth(1).and_then(|rest| rest.split(" but expression").next()).unwrap_or_default();
    let (message, hint) = match using {
        None => (
            format!("column \"{name}\" cannot be cast automatically to type {to}"),
            format!("You might need to specify \"USING {name}::{to}\"."),
        ),
        Some(_) => (
            format!("result of USING clause for column \"{name}\" cannot be cast automatically to type {to}"),
            "You might need to add an explicit cast.".to_owned(),
        ),
    };
    EngineError::Sql { mistake: SqlMistake::DatatypeMismatch, message, hint: Some(hint) }
}

/// PostgreSQL's words where a row that is there breaks what the table newly asks.
fn of_rows_there(error: EngineError, table: &str) -> EngineError {
    let EngineError::Constraint { violation, table: of, .. } = error else { return error };
    let message = match &violation {
        Violation::NotNull { column } => format!("column \"{column}\" of relation \"{table}\" contains null values"),
        Violation::Check { constraint } => format!("check constraint \"{constraint}\" of relation \"{table}\" is violated by some row"),
    };
    EngineError::Constraint { violation, message, table: of, detail: None }
}
