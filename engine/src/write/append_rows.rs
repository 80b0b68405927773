//! Rows that come from outside a plan, as COPY FROM STDIN sends them: their columns are some of the table's.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;
use lakegate_engine_api::{BoundRelation, EngineError, ExecutionContext, ExecutionMetrics, Outcome, Phase, RowStream, SessionFacts};

use super::append::Appender;
use super::assign::assigned;
use super::defaults::log_expression;
use super::insert::default_of;
use super::target::Target;
use crate::delta::TableColumn;
use crate::error;
use crate::exec::Shared;
use crate::plan::{Planner, Sources, analyzed_plan, planning_error};

/// Appends a stream of batches. Columns that a batch lacks take their default, evaluated for each row, or NULL; generated ones are
/// computed from the others.
///
/// # Errors
/// As [`Appender::append_plan`].
pub async fn append_rows(
    shared: Arc<Shared>,
    target: BoundRelation,
    rows: RowStream,
    session: Arc<SessionFacts>,
    context: ExecutionContext,
) -> Result<Outcome, EngineError> {
    let name = target.name.clone();
    let target = Target::open(&shared, std::slice::from_ref(&target), &name).await?;
    target.refuse_row_policies()?;
    let state = shared.sessions.state(&session);
    let columns = table_columns(&state, &target)?;
    let generated = generated_columns(&state, &target)?;
    let schema = Arc::clone(&target.columns.schema);
    let typed = rows.map(move |batch| with_generated(conformed(&batch?, &schema, &columns)?, &schema, &generated)).boxed();
    let progress = shared.progress.begin(context.statement_id, Phase::WritingRows);
    let appender = Appender::new(Arc::clone(&shared), &state, target, true, &progress)?;
    let staged = appender.stage(typed, &context).await?;
    progress.enter(Phase::Committing);
    appender.make_visible(staged, &context, &ExecutionMetrics::default()).await
}

/// The default of each column that has one.
type Defaults = Vec<Option<Arc<dyn PhysicalExpr>>>;

fn table_columns(state: &SessionState, target: &Target) -> Result<Defaults, EngineError> {
    target.columns.columns.iter().map(|column| default_expression(state, target, column)).collect()
}

fn default_expression(state: &SessionState, target: &Target, column: &TableColumn) -> Result<Option<Arc<dyn PhysicalExpr>>, EngineError> {
    let has_default = target.relation.columns.iter().any(|known| known.name == *column.field.name() && known.default.is_some());
    if !has_default {
        return Ok(None);
    }
    let empty = DFSchema::empty();
    let sources = Sources::default();
    let expr = Planner::new(state, &sources)
        .expression(default_of(&target.relation, column)?, &empty, Vec::new())
        .map_err(|error| planning_error(&error))?;
    let expr = assigned(expr, &empty, column)?.alias(column.field.name());
    physical(state, expr, LogicalPlanBuilder::empty(true), &empty).map(Some)
}

/// The expression as it runs over rows of `input`.
fn physical(state: &SessionState, expr: Expr, input: LogicalPlanBuilder, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, EngineError> {
    let plan = input.project(vec![expr]).and_then(LogicalPlanBuilder::build);
    let plan = analyzed_plan(state, plan.map_err(|error| planning_error(&error))?)?;
    let LogicalPlan::Projection(projection) = &plan else { return Err(error::unsupported("an expression of this kind in COPY")) };
    let Some(expr) = projection.expr.first() else { return Err(error::internal("a projection of one expression")) };
    state.create_physical_expr(expr.clone().unalias(), schema).map_err(|error| planning_error(&error))
}

/// Place and expression of each generated column.
type Generated = Vec<(usize, Arc<dyn PhysicalExpr>)>;

fn generated_columns(state: &SessionState, target: &Target) -> Result<Generated, EngineError> {
    let schema = DFSchema::try_from(Arc::clone(&target.columns.schema)).map_err(|error| planning_error(&error))?;
    let sources = Sources::default();
    let mut generated = Generated::new();
    for (at, column) in target.columns.columns.iter().enumerate() {
        let Some(text) = &column.generation else { continue };
        let name = column.field.name();
        let ast = log_expression(text, &format!("the generated column \"{name}\""))?;
        let expr = Planner::new(state, &sources).expression(ast, &schema, Vec::new()).map_err(|error| planning_error(&error))?;
        let expr = assigned(expr, &schema, column)?.alias(name);
        let rows = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::new(schema.clone()) });
        generated.push((at, physical(state, expr, LogicalPlanBuilder::from(rows), &schema)?));
    }
    Ok(generated)
}

fn with_generated(batch: RecordBatch, schema: &SchemaRef, generated: &Generated) -> Result<RecordBatch, EngineError> {
    if generated.is_empty() {
        return Ok(batch);
    }
    let mut columns = batch.columns().to_vec();
    let mut fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    for (at, expr) in generated {
        let value = expr
            .evaluate(&batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(|error| error::from_datafusion(&error, &[]))?;
        if let (Some(column), Some(field)) = (columns.get_mut(*at), fields.get_mut(*at)) {
            *field = field.clone().with_data_type(value.data_type().clone());
            *column = value;
        }
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| error::from_arrow(&error))?;
    crate::plan::cast_to(&batch, schema).map_err(|error| error::from_arrow(&error))
}

/// A batch with the table's columns in the table's order and types.
fn conformed(batch: &RecordBatch, schema: &SchemaRef, defaults: &Defaults) -> Result<RecordBatch, EngineError> {
    let given = batch.schema();
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (at, field) in schema.fields().iter().enumerate() {
        if let Some((index, from)) = given.column_with_name(field.name()) {
            fields.push(from.clone());
            columns.push(Arc::clone(batch.column(index)));
            continue;
        }
        let column = match defaults.get(at).and_then(Option::as_ref) {
            Some(default) => default
                .evaluate(batch)
                .and_then(|value| value.into_array(batch.num_rows()))
                .map_err(|error| error::from_datafusion(&error, &[]))?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        fields.push(field.as_ref().clone().with_data_type(column.data_type().clone()).with_nullable(true));
        columns.push(column);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| error::from_arrow(&error))?;
    crate::plan::cast_to(&batch, schema).map_err(|error| error::from_arrow(&error))
}
