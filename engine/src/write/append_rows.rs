//! Rows that come from outside a plan, as COPY FROM STDIN sends them: their columns are some of the table's.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::Schema;
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;
use lakegate_engine_api::{BoundRelation, EngineError, ExecutionContext, ExecutionMetrics, Outcome, RowStream, SessionFacts};

use super::append::Appender;
use super::assign::assigned;
use super::insert::default_of;
use super::target::Target;
use crate::delta::TableColumn;
use crate::error;
use crate::exec::Shared;
use crate::plan::{Planner, Sources, analyzed_plan, planning_error};

/// Appends a stream of batches. Columns that a batch lacks take their default, evaluated for each row, or NULL.
///
/// # Errors
/// As [`Appender::append_plan`]; `Unsupported` for tables with generated columns.
pub async fn append_rows(
    shared: Arc<Shared>,
    target: BoundRelation,
    rows: RowStream,
    session: Arc<SessionFacts>,
    context: ExecutionContext,
) -> Result<Outcome, EngineError> {
    let name = target.name.clone();
    let target = Target::open(&shared, std::slice::from_ref(&target), &name).await?;
    let state = shared.sessions.state(&session);
    let columns = table_columns(&state, &target)?;
    let schema = Arc::clone(&target.columns.schema);
    let typed = rows.map(move |batch| conformed(&batch?, &schema, &columns)).boxed();
    let appender = Appender::new(Arc::clone(&shared), &state, target, true)?;
    let staged = appender.stage(typed, &context).await?;
    appender.make_visible(staged, &context, &ExecutionMetrics::default()).await
}

/// The default of each column that has one.
type Defaults = Vec<Option<Arc<dyn PhysicalExpr>>>;

fn table_columns(state: &SessionState, target: &Target) -> Result<Defaults, EngineError> {
    target.columns.columns.iter().map(|column| default_expression(state, target, column)).collect()
}

fn default_expression(state: &SessionState, target: &Target, column: &TableColumn) -> Result<Option<Arc<dyn PhysicalExpr>>, EngineError> {
    if column.generation.is_some() {
        return Err(error::unsupported("COPY FROM STDIN into a table with generated columns"));
    }
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
    let plan = LogicalPlanBuilder::empty(true).project(vec![expr]).and_then(LogicalPlanBuilder::build);
    let plan = analyzed_plan(state, plan.map_err(|error| planning_error(&error))?)?;
    let LogicalPlan::Projection(projection) = &plan else { return Err(error::unsupported("a default of this kind in COPY")) };
    let Some(expr) = projection.expr.first() else { return Err(error::internal("a projection of one expression")) };
    let physical = state.create_physical_expr(expr.clone().unalias(), &empty).map_err(|error| planning_error(&error))?;
    Ok(Some(physical))
}

/// A batch with the table's columns in the table's order and types.
fn conformed(batch: &RecordBatch, schema: &arrow_schema::SchemaRef, defaults: &Defaults) -> Result<RecordBatch, EngineError> {
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
