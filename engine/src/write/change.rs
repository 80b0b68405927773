//! INSERT, UPDATE, DELETE and TRUNCATE, planned. An INSERT runs as it was planned; the others are planned again against the
//! newest version when they run, one at a time for a table, and once more where another process was faster.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{BoundStatement, EngineError, Execution, ExecutionContext, ExecutionMetrics, Outcome, Prepared, Work};
use sqlparser::ast::{Insert, Statement, visit_relations};

use super::append::Appender;
use super::insert::{ParameterFields, insert_plan};
use super::rewrite::{self, Rewrite};
use super::target::Target;
use crate::error;
use crate::exec::{Opened, Shared, interruptible, open_relations, parameter_values};
use crate::plan::{Planner, Sessions, analyzed_plan, declared_fields, filled_plan, parameters_of};

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
    /// The rows of an INSERT.
    rows: Option<(LogicalPlan, bool)>,
    tables: Arc<Vec<(String, String)>>,
}

/// # Errors
/// The statement's mistakes.
pub async fn prepare_change(shared: Arc<Shared>, statement: BoundStatement) -> Result<PreparedChange, EngineError> {
    let Work::Change { statement: ast, target } = &statement.work else { return Err(error::internal("a change is one")) };
    let target = Target::open(&shared, &statement.relations, target).await?;
    let opened = match ast.as_ref() {
        // The newest rows of the target are nothing to it.
        Statement::Insert(insert) if reads_nothing(insert) => Opened::default(),
        _ => open_relations(&shared, &statement.relations).await?,
    };
    let state = shared.sessions.state(&statement.session);
    let known = declared_fields(&statement.parameter_types)?;
    let (parameters, rows) = match ast.as_ref() {
        Statement::Insert(insert) => {
            let planner = Planner::new(&state, &opened.sources);
            let (plan, parameters) = planned(&state, &known, |fields| insert_plan(&planner, insert, &target, fields))?;
            (parameters, Some((plan, reads_nothing(insert))))
        }
        other => {
            let rewrite = Rewrite::new(other, &target)?;
            target.check_rewritable()?;
            let mut sources = opened.sources;
            rewrite::add_target(&shared, &mut sources, &target);
            let planner = Planner::new(&state, &sources);
            let (_, parameters) = planned(&state, &known, |fields| rewrite.trial_plan(&planner, &target, fields))?;
            (parameters, None)
        }
    };
    let versions = vec![(target.name.clone(), target.version.version())];
    Ok(PreparedChange { shared, state, statement, target, parameters, versions, rows, tables: opened.tables })
}

/// Plans twice where there are parameters, as [`crate::plan::plan_query`] does; the plan is analysed.
fn planned(
    state: &SessionState,
    known: &ParameterFields,
    plan: impl Fn(&ParameterFields) -> Result<LogicalPlan, EngineError>,
) -> Result<(LogicalPlan, Vec<FieldRef>), EngineError> {
    let first = plan(known)?;
    let parameters = parameters_of(state, &first, known)?;
    if parameters.is_empty() {
        return Ok((analyzed_plan(state, first)?, parameters));
    }
    let fixed: ParameterFields = parameters.iter().cloned().map(Some).collect();
    Ok((analyzed_plan(state, plan(&fixed)?)?, parameters))
}

/// An INSERT of constants does not depend on what anybody else writes.
fn reads_nothing(insert: &Insert) -> bool {
    insert.source.as_ref().is_none_or(|source| {
        let is_values = matches!(source.body.as_ref(), sqlparser::ast::SetExpr::Values(_));
        is_values && visit_relations(source, |_| ControlFlow::Break(())).is_continue()
    })
}

#[async_trait]
impl Prepared for PreparedChange {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        None
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let values = match self.parameters.is_empty() {
            true => None,
            false => Some(parameter_values(&self.parameters, &parameters)?),
        };
        let outcome = match &self.rows {
            Some((plan, blind)) => self.insert(plan.clone(), *blind, values, &context).await?,
            None => self.rewrite(values, &context).await?,
        };
        Ok(Execution::Done(outcome))
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
        let appender = Appender::new(Arc::clone(&self.shared), &state, self.target.clone(), blind)?;
        let context = context.clone();
        self.shared.runtime.run_cooperative(async move { appender.append_plan(physical, &state, &metrics, &context).await }).await
    }

    async fn rewrite(&self, values: Option<ParamValues>, context: &ExecutionContext) -> Result<Outcome, EngineError> {
        for run in 1..=RUNS_MAX {
            let (shared, statement, target) = (Arc::clone(&self.shared), self.statement.clone(), self.target.clone());
            let (state, fields, values) = (self.state.clone(), self.parameters.clone(), values.clone());
            let context = context.clone();
            let once = async move { rewrite_once(shared, statement, target, state, fields, values, context).await };
            match self.shared.runtime.run_cooperative(once).await {
                // Another process replaced files that this statement read. Where the version is not pinned the statement
                // may as well have started later.
                Err(EngineError::Conflict { .. }) if run < RUNS_MAX && self.target.pinned.is_none() => {}
                other => return other,
            }
        }
        Err(EngineError::Conflict { table: self.target.name.name.clone() })
    }
}

async fn rewrite_once(
    shared: Arc<Shared>,
    statement: BoundStatement,
    target: Target,
    state: SessionState,
    parameters: Vec<FieldRef>,
    values: Option<ParamValues>,
    context: ExecutionContext,
) -> Result<Outcome, EngineError> {
    let Work::Change { statement: ast, .. } = &statement.work else { return Err(error::internal("a change is one")) };
    let table = Arc::clone(&target.table);
    // What is only staged keeps nobody waiting: conflicts are found when the transaction commits.
    let _order = match target.transaction {
        Some(_) => None,
        None => Some(tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(EngineError::Canceled),
            order = table.writes.rewrites.lock() => order,
        }),
    };
    let target = target.reopened(&shared).await?;
    if target.transaction.is_none() && target.pinned.is_some_and(|pinned| pinned != target.version.version()) {
        return Err(EngineError::Conflict { table: target.name.name.clone() });
    }
    let metrics = Arc::new(ExecutionMetrics::default());
    let state = Sessions::counting(&state, &metrics);
    let opened = open_relations(&shared, &statement.relations).await?;
    let rewrite = Rewrite::new(ast, &target)?;
    let fields: ParameterFields = parameters.into_iter().map(Some).collect();
    rewrite::run(rewrite::Run { shared, state, target, metrics, context, fields, values }, &rewrite, opened).await
}
