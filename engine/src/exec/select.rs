//! Queries: plan, parameters in, rows out.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef};
use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{EngineError, Execution, ExecutionContext, ExecutionMetrics, Prepared};
use tokio_util::sync::CancellationToken;

use super::{Shared, collect_metrics, interruptible};
use crate::error;
use crate::plan::{PlannedQuery, Sessions, cast_to, filled_plan};

/// A planned SELECT or VALUES.
pub struct PreparedSelect {
    pub shared: Arc<Shared>,
    pub state: SessionState,
    pub query: PlannedQuery,
    pub tables: Arc<Vec<(String, String)>>,
    pub locations: Vec<String>,
    pub versions: Vec<(RelationName, u64)>,
}

/// The physical plan that runs, for its counters: a second one may replace it.
type Running = Arc<Mutex<Option<Arc<dyn ExecutionPlan>>>>;

#[async_trait]
impl Prepared for PreparedSelect {
    fn parameters(&self) -> &[FieldRef] {
        &self.query.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        Some(&self.query.schema)
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let values = match self.query.parameters.is_empty() {
            true => None,
            false => Some(parameter_values(&self.query.parameters, &parameters)?),
        };
        let plan = self.query.plan.clone();
        let metrics = Arc::new(ExecutionMetrics::default());
        let state = Sessions::counting(&self.state, &metrics);
        let running = Running::default();
        let (tables, schema) = (Arc::clone(&self.tables), Arc::clone(&self.query.schema));
        // Fires when the statement is canceled, and when nobody holds its rows any more.
        let stop = context.cancel.child_token();
        let unwanted = stop.clone().drop_guard();

        let started = {
            let (running, tables) = (Arc::clone(&running), Arc::clone(&tables));
            self.shared.runtime.run(context.cancel.clone(), async move {
                let plan = filled_plan(&state, plan, values)?;
                let started = start(state, plan, running, stop).await;
                started.map_err(|error| error::from_datafusion(&error, &tables))
            })
        };
        let stream = match started.await {
            Ok(stream) => stream,
            Err(error) => {
                self.note(&error).await;
                return Err(error);
            }
        };
        let converted = {
            let schema = Arc::clone(&schema);
            let stream = stream.map(move |batch| Ok(cast_to(&batch?, &schema)?));
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.query.schema), stream))
        };
        let counted = Arc::clone(&metrics);
        let at_end = move || {
            if let Some(plan) = running.lock().unwrap_or_else(PoisonError::into_inner).take() {
                collect_metrics(&plan, &counted);
            }
        };
        let (shared, locations) = (Arc::clone(&self.shared), self.locations.clone());
        let map_error = move |error: DataFusionError| {
            let error = error::from_datafusion(&error, &tables);
            if matches!(error, EngineError::MissingFile { .. }) {
                let (tables, locations) = (Arc::clone(&shared.tables), locations.clone());
                shared.runtime.handle().spawn(async move {
                    for location in locations {
                        tables.forget(&location).await;
                    }
                });
            }
            error
        };
        let stream = self.shared.runtime.hand_over(converted, context.cancel, unwanted, map_error, at_end);
        Ok(Execution::Rows { schema, stream, metrics })
    }
}

impl PreparedSelect {
    /// A table whose files are gone may have been replaced: what is known of it is not to be trusted.
    async fn note(&self, error: &EngineError) {
        if matches!(error, EngineError::MissingFile { .. }) {
            for location in &self.locations {
                self.shared.tables.forget(location).await;
            }
        }
    }
}

/// Plans an optimised plan, and starts when the stream is first asked for a batch.
async fn start(
    state: SessionState,
    plan: LogicalPlan,
    running: Running,
    stop: CancellationToken,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let physical = state.query_planner().create_physical_plan(&plan, &state).await?;
    let schema = physical.schema();
    let may_retry = has_hash_join(&physical);
    let physical = interruptible(physical, &stop)?;
    *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&physical));
    let rows = futures::stream::once(async move {
        let mut stream = execute_stream(physical, state.task_ctx())?;
        let first = match stream.next().await {
            // The build side of a hash join does not spill; a sort-merge join does.
            Some(Err(error)) if may_retry && is_exhausted(&error) => {
                drop(stream);
                tracing::info!("out of memory in a plan with hash joins, trying without");
                let mut state = state;
                state.config_mut().options_mut().optimizer.prefer_hash_join = false;
                let physical = interruptible(state.query_planner().create_physical_plan(&plan, &state).await?, &stop)?;
                *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&physical));
                stream = execute_stream(physical, state.task_ctx())?;
                stream.next().await
            }
            first => first,
        };
        Ok::<_, DataFusionError>(futures::stream::iter(first).chain(stream))
    })
    .try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

fn has_hash_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>() || plan.children().into_iter().any(has_hash_join)
}

fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// Arrays of length 1 as values for a plan's placeholders.
///
/// # Errors
/// `Internal` where their number is not that of the fields.
pub fn parameter_values(fields: &[FieldRef], values: &[ArrayRef]) -> Result<ParamValues, EngineError> {
    if fields.len() != values.len() || values.iter().any(|value| value.len() != 1) {
        return Err(error::internal(format!("{} parameters are wanted, {} came", fields.len(), values.len())));
    }
    let value = |(field, array): (&FieldRef, &ArrayRef)| -> Result<ScalarAndMetadata, DataFusionError> {
        let scalar = ScalarValue::try_from_array(array, 0)?.cast_to(field.data_type())?;
        Ok(ScalarAndMetadata::new(scalar, Some(FieldMetadata::from(field.as_ref()))))
    };
    let list: Result<Vec<_>, _> = fields.iter().zip(values).map(value).collect();
    Ok(ParamValues::List(list.map_err(|error| error::from_datafusion(&error, &[]))?))
}
