//! INSERT, UPDATE, DELETE, MERGE and TRUNCATE, planned. An INSERT that does nothing else runs as it was planned; the others are planned
//! again against the newest version when they run, those that replace rows one at a time for a table, and once more where another
//! process was faster.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::{ParamValues, TableReference};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{BoundStatement, EngineError, Execution, ExecutionContext, ExecutionMetrics, Outcome, Phase, Prepared, Work};
use sqlparser::ast::{Insert, Statement, visit_relations};

use super::append::Appender;
use super::apply::{Files, Gone, Manner, Rows, Run, Work as Applying};
use super::checks::RowChecks;
use super::dml::{ChangePlan, Context, Dml, ORDINAL, PROPOSED, Shape, TARGET, Upsert, proposed_plan};
use super::insert::{ParameterFields, insert_plan};
use super::spool::{Spool, Spooled};
use super::staged::StepKind;
use super::target::Target;
use crate::delta::TableScan;
use crate::error;
use crate::exec::{Opened, Shared, interruptible, open_relations, parameter_values};
use crate::plan::{
    Planner, Sessions, Sources, analyzed_plan, columns_needed, declared_fields, filled_plan, parameters_of, planning_error, returned_schema,
};
use crate::planner_pg::present_columns;
use crate::policy::{PolicedSource, TargetUse};

/// Runs of one statement against ever newer versions before it is given up as a conflict.
const RUNS_MAX: usize = 5;

/// A planned change.
pub struct PreparedChange {
    shared: Arc<Shared>,
    state: SessionState,
    statement: BoundStatement,
    target: Target,
    parameters: Vec<FieldRef>,
    versions: Vec<(RelationName, u64)>,
    way: Way,
    tables: Arc<Vec<(String, String)>>,
}

/// How a change is run.
enum Way {
    /// The rows of an INSERT; whether nothing is read for them.
    Append { rows: LogicalPlan, blind: bool },
    /// All rows go.
    Clear,
    /// Row by row; the columns that RETURNING gives.
    Rows { returned: Option<SchemaRef> },
}

/// # Errors
/// The statement's mistakes.
pub async fn prepare_change(shared: Arc<Shared>, statement: BoundStatement) -> Result<PreparedChange, EngineError> {
    let Work::Change { statement: ast, target } = &statement.work else { return Err(error::internal("a change is one")) };
    let target = Target::open(&shared, &statement.relations, target).await?;
    let opened = match ast.as_ref() {
        // The newest rows of the target are nothing to it.
        Statement::Insert(insert) if reads_nothing(insert) && insert.returning.is_none() && !target.has_row_policies() => Opened::default(),
        _ => open_relations(&shared, &statement.relations, &statement.session).await?,
    };
    let state = shared.sessions.state(&statement.session);
    let known = declared_fields(&statement.parameter_types)?;
    let (parameters, way) = match ast.as_ref() {
        Statement::Insert(insert) if insert.on.is_none() && insert.returning.is_none() && !target.has_row_policies() => {
            let planner = Planner::new(&state, &opened.sources);
            let plan = |fields: &ParameterFields| Ok(vec![insert_plan(&planner, insert, &target, fields)?]);
            let (mut plans, parameters) = planned(&state, &known, plan)?;
            let Some(rows) = plans.pop() else { return Err(error::internal("an INSERT has a plan")) };
            (parameters, Way::Append { rows, blind: reads_nothing(insert) })
        }
        clearing if clears(clearing, &target) => {
            target.check_rewritable()?;
            (known.into_iter().flatten().collect(), Way::Clear)
        }
        other => {
            let dml = Dml::new(other, &target)?;
            if dml.rewrites() {
                target.check_rewritable()?;
            }
            let mut sources = opened.sources;
            add_target(&shared, &mut sources, &target, &dml);
            if let Dml::Upsert(_) = &dml {
                add_proposed(&mut sources, Arc::new(EmptyTable::new(proposed_schema(&target))));
            }
            let (parameters, returned) = trial(&state, &sources, &target, &dml, &known)?;
            (parameters, Way::Rows { returned })
        }
    };
    let versions = vec![(target.name.clone(), target.version.version())];
    Ok(PreparedChange { shared, state, statement, target, parameters, versions, way, tables: opened.tables })
}

/// TRUNCATE of several tables: one after the other, in the transaction that their relations are bound with.
pub struct PreparedTruncates(Vec<PreparedChange>);

/// # Errors
/// As [`prepare_change`].
pub async fn prepare_truncates(shared: Arc<Shared>, statement: BoundStatement) -> Result<PreparedTruncates, EngineError> {
    let Work::Change { statement: ast, .. } = &statement.work else { return Err(error::internal("a change is one")) };
    let Statement::Truncate(all) = ast.as_ref() else { return Err(error::internal("a TRUNCATE is one")) };
    let mut prepared: Vec<PreparedChange> = Vec::new();
    for table in &all.table_names {
        let target = super::parts::three_parts(&table.name).ok_or_else(|| error::internal("names have three parts"))?;
        if prepared.iter().any(|before| before.target.name == target) {
            continue;
        }
        let one = Statement::Truncate(sqlparser::ast::Truncate { table_names: vec![table.clone()], ..all.clone() });
        let work = Work::Change { statement: Box::new(one), target };
        prepared.push(prepare_change(Arc::clone(&shared), BoundStatement { work, ..statement.clone() }).await?);
    }
    Ok(PreparedTruncates(prepared))
}

#[async_trait]
impl Prepared for PreparedTruncates {
    fn parameters(&self) -> &[FieldRef] {
        &[]
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        None
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.0.iter().flat_map(Prepared::table_versions).collect()
    }

    async fn execute(&self, _: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let mut outcome = Outcome::default();
        for table in &self.0 {
            if self.0.len() > 1 && table.target.transaction.is_none() {
                return Err(error::internal("a change of several tables has a transaction"));
            }
            if let Execution::Done(done) = table.execute(Vec::new(), context.clone()).await? {
                outcome.rows += done.rows;
            }
        }
        Ok(Execution::Done(outcome))
    }
}

/// Plans, for the statement's mistakes, its parameters' types and the columns that it returns.
fn trial(
    state: &SessionState,
    sources: &Sources,
    target: &Target,
    dml: &Dml,
    known: &ParameterFields,
) -> Result<(Vec<FieldRef>, Option<SchemaRef>), EngineError> {
    let planner = Planner::new(state, sources);
    let all = |fields: &ParameterFields| {
        let context = Context { planner: &planner, target, parameters: fields, target_use: dml.target_use() };
        let mut plans: Vec<LogicalPlan> = dml.plans(&planner, target, fields)?.into_iter().map(|plan| plan.plan).collect();
        if let Dml::Upsert(upsert) = dml {
            plans.push(proposed_plan(&context, upsert)?);
        }
        Ok(plans)
    };
    let (_, parameters) = planned(state, known, all)?;
    if !dml.returns_rows() {
        return Ok((parameters, None));
    }
    let fields: ParameterFields = parameters.iter().cloned().map(Some).collect();
    let plans = dml.plans(&planner, target, &fields)?;
    let Some(ChangePlan { plan, shape }) = plans.into_iter().next() else { return Err(error::internal("a change has a plan")) };
    let plan = analyzed_plan(state, plan)?;
    let returned = returned_schema(&plan, &present_returned(plan.clone(), &shape)?, returned_columns(&shape))?;
    Ok((parameters, Some(returned)))
}

pub fn returned_columns(shape: &Shape) -> std::ops::Range<usize> {
    let first = 3 + shape.width;
    first..first + shape.returned
}

pub fn present_returned(plan: LogicalPlan, shape: &Shape) -> Result<LogicalPlan, EngineError> {
    present_columns(plan, &returned_columns(shape)).map_err(|error| planning_error(&error))
}

/// Plans twice where there are parameters, as [`crate::plan::plan_query`] does; the plans are analysed.
fn planned(
    state: &SessionState,
    known: &ParameterFields,
    plan: impl Fn(&ParameterFields) -> Result<Vec<LogicalPlan>, EngineError>,
) -> Result<(Vec<LogicalPlan>, Vec<FieldRef>), EngineError> {
    let first = plan(known)?;
    let parameters = parameters_of(state, &together(&first)?, known)?;
    let plans = if parameters.is_empty() {
        first
    } else {
        let fixed: ParameterFields = parameters.iter().cloned().map(Some).collect();
        plan(&fixed)?
    };
    let analysed: Result<Vec<LogicalPlan>, EngineError> = plans.into_iter().map(|plan| analyzed_plan(state, plan)).collect();
    Ok((analysed?, parameters))
}

/// One plan that holds all of them, for what they have in common: their parameters.
fn together(plans: &[LogicalPlan]) -> Result<LogicalPlan, EngineError> {
    let mut joined: Option<LogicalPlanBuilder> = None;
    for (number, plan) in plans.iter().enumerate() {
        joined = Some(match joined {
            None => LogicalPlanBuilder::from(plan.clone()),
            Some(before) => {
                let next = LogicalPlanBuilder::from(plan.clone()).alias(format!("\u{0}plan{number}"));
                before
                    .alias(format!("\u{0}before{number}"))
                    .and_then(|before| before.cross_join(next?.build()?))
                    .map_err(|error| planning_error(&error))?
            }
        });
    }
    let Some(joined) = joined else { return Err(error::internal("a change has a plan")) };
    joined.build().map_err(|error| planning_error(&error))
}

/// An INSERT of constants does not depend on what anybody else writes.
fn reads_nothing(insert: &Insert) -> bool {
    insert.on.is_none()
        && insert.source.as_ref().is_none_or(|source| {
            let is_values = matches!(source.body.as_ref(), sqlparser::ast::SetExpr::Values(_));
            is_values && visit_relations(source, |_| ControlFlow::Break(())).is_continue()
        })
}

/// TRUNCATE, and DELETE without a condition.
fn clears(statement: &Statement, target: &Target) -> bool {
    match statement {
        Statement::Truncate(_) => true,
        Statement::Delete(delete) => {
            let conditions = delete.selection.is_some() || delete.using.is_some() || delete.limit.is_some() || !delete.order_by.is_empty();
            let hidden = target.has_row_policies();
            !hidden && !conditions && delete.returning.is_none() && delete.output.is_none() && delete.tables.is_empty()
        }
        _ => false,
    }
}

pub fn add_target(shared: &Arc<Shared>, sources: &mut Sources, target: &Target, dml: &Dml) {
    let Target { version, columns, name, .. } = target;
    let scan = TableScan::new(Arc::clone(&shared.tables), Arc::clone(version), columns.clone(), name.name.clone()).with_row_places();
    let (reference, raw) = (TableReference::bare(TARGET), provider_as_source(Arc::new(scan)));
    sources.tables.remove(&reference);
    sources.policed.remove(&reference);
    match &target.policies {
        Some(policies) => {
            let policies = Arc::clone(policies);
            let source = PolicedSource { raw, table: name.name.clone(), policies, target: Some(dml.target_use()) };
            sources.policed.insert(reference, source);
        }
        None => {
            sources.tables.insert(reference, raw);
        }
    }
}

pub fn add_proposed(sources: &mut Sources, rows: Arc<dyn datafusion::catalog::TableProvider>) {
    sources.tables.insert(TableReference::bare(PROPOSED), provider_as_source(rows));
}

/// The target's columns, and the order in which rows came.
pub fn proposed_schema(target: &Target) -> SchemaRef {
    let mut fields: Vec<FieldRef> = target.columns.schema.fields().to_vec();
    fields.push(Arc::new(Field::new(ORDINAL, DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

#[async_trait]
impl Prepared for PreparedChange {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        match &self.way {
            Way::Rows { returned } => returned.as_ref(),
            Way::Append { .. } | Way::Clear => None,
        }
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    fn columns_read(&self) -> Vec<(RelationName, Vec<String>)> {
        match &self.way {
            Way::Append { rows, .. } => columns_needed([rows]),
            Way::Clear | Way::Rows { .. } => Vec::new(),
        }
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let values = match self.parameters.is_empty() {
            true => None,
            false => Some(parameter_values(&self.parameters, &parameters)?),
        };
        let (outcome, returned) = match &self.way {
            Way::Append { rows, blind } => (self.insert(rows.clone(), *blind, values, &context).await?, None),
            Way::Clear | Way::Rows { .. } => self.change(values, &context).await?,
        };
        let (Some(schema), Some(returned)) = (self.result_schema(), returned) else { return Ok(Execution::Done(outcome)) };
        let stream = returned.stream().map_err(|error| error::from_datafusion(&error, &[]))?;
        let map_error = |error: datafusion::common::DataFusionError| error::from_datafusion(&error, &[]);
        let stream = self.shared.runtime.hand_over(stream, context.cancel, map_error).await?;
        Ok(Execution::Returned { schema: Arc::clone(schema), stream, outcome })
    }
}

impl PreparedChange {
    async fn insert(
        &self,
        plan: LogicalPlan,
        blind: bool,
        values: Option<ParamValues>,
        context: &ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let metrics = Arc::new(ExecutionMetrics::default());
        let state = Sessions::counting(&self.state, &metrics);
        let physical = {
            let (state, tables, stop) = (state.clone(), Arc::clone(&self.tables), context.cancel.clone());
            let physical = async move {
                let plan = filled_plan(&state, plan, values)?;
                let physical = state.query_planner().create_physical_plan(&plan, &state).await;
                physical.and_then(|physical| interruptible(physical, &stop)).map_err(|error| error::from_datafusion(&error, &tables))
            };
            self.shared.runtime.run(context.cancel.clone(), physical).await?
        };
        let progress = self.shared.progress.begin(context.statement_id, Phase::WritingRows);
        let appender = Appender::new(Arc::clone(&self.shared), &state, self.target.clone(), blind, &progress)?;
        let context = context.clone();
        let appended = async move { appender.append_plan(physical, &state, &metrics, &context).await };
        let appended = self.shared.runtime.run_cooperative(appended).await;
        drop(progress);
        appended
    }

    async fn change(&self, values: Option<ParamValues>, context: &ExecutionContext) -> Result<(Outcome, Option<Spooled>), EngineError> {
        let returned = self.result_schema().cloned();
        for run in 1..=RUNS_MAX {
            let (shared, statement, target) = (Arc::clone(&self.shared), self.statement.clone(), self.target.clone());
            let (state, fields, values) = (self.state.clone(), self.parameters.clone(), values.clone());
            let (context, returned) = (context.clone(), returned.clone());
            let once = async move { change_once(shared, statement, target, state, fields, values, context, returned).await };
            match self.shared.runtime.run_cooperative(once).await {
                // Another process replaced files that this statement read, or added rows. Where the version is not pinned the
                // statement may as well have started later.
                Err(EngineError::Conflict { .. }) if run < RUNS_MAX && self.target.pinned.is_none() => {}
                other => return other,
            }
        }
        Err(EngineError::Conflict { table: self.target.name.name.clone() })
    }
}

#[expect(clippy::too_many_arguments, reason = "what one run owns, moved to the engine's threads")]
async fn change_once(
    shared: Arc<Shared>,
    statement: BoundStatement,
    target: Target,
    state: SessionState,
    parameters: Vec<FieldRef>,
    values: Option<ParamValues>,
    context: ExecutionContext,
    returned: Option<SchemaRef>,
) -> Result<(Outcome, Option<Spooled>), EngineError> {
    let Work::Change { statement: ast, .. } = &statement.work else { return Err(error::internal("a change is one")) };
    let table = Arc::clone(&target.table);
    // What is only staged keeps nobody waiting: conflicts are found when the transaction commits. Nor does a mere INSERT.
    let waits = target.transaction.is_none() && !matches!(ast.as_ref(), Statement::Insert(insert) if insert.on.is_none());
    let _order = match waits {
        false => None,
        true => Some(tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(EngineError::Canceled),
            order = table.writes.rewrites.lock() => order,
        }),
    };
    let target = target.reopened(&shared).await?;
    if target.transaction.is_none() && waits && target.pinned.is_some_and(|pinned| pinned != target.version.version()) {
        return Err(EngineError::Conflict { table: target.name.name.clone() });
    }
    let metrics = Arc::new(ExecutionMetrics::default());
    let state = Sessions::counting(&state, &metrics);
    let opened = open_relations(&shared, &statement.relations, &statement.session).await?;
    let run = Run { shared: Arc::clone(&shared), state, target, metrics, context, values, tables: opened.tables };
    if clears(ast, &run.target)
        && let Some(cleared) = clear(&run, ast).await?
    {
        return Ok((cleared, None));
    }
    let dml = Dml::new(ast, &run.target)?;
    let mut sources = opened.sources;
    add_target(&shared, &mut sources, &run.target, &dml);
    let fields: ParameterFields = parameters.into_iter().map(Some).collect();
    if let Dml::Upsert(upsert) = &dml {
        let proposed = propose(&run, &sources, upsert, &fields).await?;
        add_proposed(&mut sources, proposed.table().map_err(|error| planning_error(&error))?);
    }
    let plans = dml.plans(&Planner::new(&run.state, &sources), &run.target, &fields)?;
    let present = |ChangePlan { plan, shape }: ChangePlan| -> Result<ChangePlan, EngineError> {
        let plan = analyzed_plan(&run.state, plan)?;
        Ok(ChangePlan { plan: present_returned(plan, &shape)?, shape })
    };
    let plans = plans.into_iter().map(present).collect::<Result<Vec<_>, _>>()?;
    let manner = manner(ast, &dml);
    let progress = run.shared.progress.begin(run.context.statement_id, Phase::WritingRows);
    let appender = Appender::new(Arc::clone(&run.shared), &run.state, run.target.clone(), manner.blind, &progress)?;
    let mut work = Applying::new(&appender, &run.state.runtime_env().memory_pool);
    if dml.rewrites() {
        work = work.recording(&run.target);
    }
    let (_, rows) = run.take_in(&mut work, plans, returned.as_ref()).await?;
    Ok((run.finish(&appender, work, manner).await?, rows))
}

/// How a statement is told to the table's log.
pub fn manner(statement: &Statement, dml: &Dml) -> Manner {
    Manner { kind: kind(statement), blind: is_blind(statement), rests_on_absence: dml.rests_on_absence() }
}

fn kind(statement: &Statement) -> StepKind {
    match statement {
        Statement::Insert(insert) if insert.on.is_none() => StepKind::Append,
        Statement::Delete(_) | Statement::Truncate(_) => StepKind::Delete,
        _ => StepKind::Update,
    }
}

fn is_blind(statement: &Statement) -> bool {
    matches!(statement, Statement::Insert(insert) if reads_nothing(insert))
}

/// Takes all files away; `None` where a DELETE has to count rows that the log does not know.
async fn clear(run: &Run, statement: &Statement) -> Result<Option<Outcome>, EngineError> {
    let files = Arc::clone(run.target.version.files()?);
    let is_truncate = matches!(statement, Statement::Truncate(_));
    let gone: Option<Gone> = files
        .files
        .iter()
        .enumerate()
        .map(|(number, file)| file.rows().or(is_truncate.then_some(0)).map(|rows| (number, Rows::All(rows))))
        .collect();
    let Some(gone) = gone else { return Ok(None) };
    let rows = gone.values().map(Rows::count).sum();
    let progress = run.shared.progress.begin(run.context.statement_id, Phase::Committing);
    let appender = Appender::new(Arc::clone(&run.shared), &run.state, run.target.clone(), false, &progress)?;
    let manner = Manner { kind: StepKind::Delete, blind: false, rests_on_absence: false };
    run.make_visible(&appender, manner, &gone, Files::default(), rows).await.map(Some)
}

/// The rows of an INSERT … ON CONFLICT, checked and numbered.
pub async fn propose(run: &Run, sources: &Sources, upsert: &Upsert, fields: &ParameterFields) -> Result<Spooled, EngineError> {
    let planner = Planner::new(&run.state, sources);
    let context = Context { planner: &planner, target: &run.target, parameters: fields, target_use: TargetUse::Upsert };
    let plan = filled_plan(&run.state, analyzed_plan(&run.state, proposed_plan(&context, upsert)?)?, run.values.clone())?;
    let checks =
        RowChecks::new(&run.state, &run.target.name.name, &run.target.version, &run.target.columns)?.silent(run.target.policies.is_some());
    let schema = proposed_schema(&run.target);
    let mut spool = Spool::new(Arc::clone(run.state.runtime_env()), Arc::clone(&schema));
    let mut next = 0_i64;
    let (physical, mut stream) = run.start(&plan).await?;
    while let Some(batch) = run.next(&mut stream).await? {
        let rows = checks.apply(&batch)?;
        let end = next + i64::try_from(rows.num_rows()).unwrap_or(0);
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(Int64Array::from_iter_values(next..end)));
        next = end;
        let numbered = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| error::from_arrow(&error))?;
        spool.push(numbered).map_err(|error| error::from_datafusion(&error, &[]))?;
    }
    crate::exec::collect_metrics(&physical, &run.metrics);
    spool.finish().map_err(|error| error::from_datafusion(&error, &[]))
}
