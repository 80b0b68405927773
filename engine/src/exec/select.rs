//! Queries: plan, parameters in, rows out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef, RecordBatch};
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
use lakegate_engine_api::{EngineError, Execution, ExecutionContext, ExecutionMetrics, Prepared, SessionFacts};
use tokio_util::sync::CancellationToken;

use super::{Shared, Small, collect_metrics, interruptible};
use crate::error;
use crate::plan::{PlannedQuery, Sessions, cast_to, columns_needed, filled_plan};

/// A planned SELECT or VALUES.
pub struct PreparedSelect {
    pub shared: Arc<Shared>,
    pub state: SessionState,
    pub query: PlannedQuery,
    pub tables: Arc<Vec<(String, String)>>,
    pub locations: Vec<String>,
    pub versions: Vec<(RelationName, u64)>,
    /// Of a query over few rows in memory.
    pub small: Option<Arc<Small>>,
}

/// Batches that a statement over few rows in memory makes before its first one goes out: most then need no thread of their own.
const BATCHES_AT_ONCE: usize = 2;

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

    fn columns_read(&self) -> Vec<(RelationName, Vec<String>)> {
        columns_needed([&self.query.plan])
    }

    fn renew(&self, facts: &SessionFacts) -> bool {
        self.small.as_ref().is_some_and(|small| small.renew(facts))
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let values = match self.query.parameters.is_empty() {
            true => None,
            false => Some(parameter_values(&self.query.parameters, &parameters)?),
        };
        let run = self.small.as_ref().map(Small::begin);
        // One without parameters runs the same plan each time.
        let again = self.small.clone().filter(|_| values.is_none());
        let plan = self.query.plan.clone();
        let metrics = Arc::new(ExecutionMetrics::default());
        let state = Sessions::counting(&self.state, &metrics);
        let running = Running::default();
        let (tables, schema) = (Arc::clone(&self.tables), Arc::clone(&self.query.schema));
        // Fires when the statement is canceled, and when nobody holds its rows any more.
        let stop = context.cancel.child_token();
        let unwanted = stop.clone().drop_guard();

        let is_small = self.small.is_some();
        let begun = Arc::new(AtomicBool::new(false));
        let started = {
            let (running, tables, begun) = (Arc::clone(&running), Arc::clone(&tables), Arc::clone(&begun));
            self.shared.runtime.run(context.cancel.clone(), async move {
                let mapped = |error: DataFusionError| error::from_datafusion(&error, &tables);
                let kept = match &again {
                    Some(small) => small.take().map_err(mapped)?,
                    None => None,
                };
                let physical = match kept {
                    Some(physical) => physical,
                    None => {
                        let plan = filled_plan(&state, plan.clone(), values.clone())?;
                        state.query_planner().create_physical_plan(&plan, &state).await.map_err(mapped)?
                    }
                };
                let planned = Planned { state, plan, values, physical: Arc::clone(&physical) };
                let mut rows = start(planned, running, stop).map_err(mapped)?;
                if !is_small {
                    return Ok((Vec::new(), Some(rows)));
                }
                begun.store(true, Ordering::Release);
                let mut first = Vec::new();
                while first.len() < BATCHES_AT_ONCE {
                    match rows.next().await {
                        Some(batch) => first.push(batch),
                        None => {
                            if let Some(small) = again.filter(|_| first.iter().all(Result::is_ok)) {
                                small.put(physical);
                            }
                            return Ok((first, None));
                        }
                    }
                }
                Ok((first, Some(rows)))
            })
        };
        let (first, rest) = match started.await {
            Ok(started) => started,
            Err(error) if begun.load(Ordering::Acquire) => {
                // The rows are described before they fail.
                return Ok(Execution::Rows { schema, stream: futures::stream::iter([Err(error)]).boxed(), metrics });
            }
            Err(error) => {
                self.note(&error).await;
                return Err(error);
            }
        };
        let at_end = {
            let counted = Arc::clone(&metrics);
            move || {
                drop(run);
                if let Some(plan) = running.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    collect_metrics(&plan, &counted);
                }
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
        let shown = {
            let schema = Arc::clone(&schema);
            move |batch: Result<RecordBatch, DataFusionError>| Ok::<_, DataFusionError>(cast_to(&batch?, &schema)?)
        };
        let first: Vec<_> = first.into_iter().map(&shown).collect();
        let Some(rest) = rest else {
            at_end();
            let rows = first.into_iter().filter(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0));
            let rows: Vec<_> = rows.map(|batch| batch.map_err(&map_error)).collect();
            return Ok(Execution::Rows { schema, stream: futures::stream::iter(rows).boxed(), metrics });
        };
        let stream = futures::stream::iter(first).chain(rest.map(shown));
        let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), stream));
        let stream = self.shared.runtime.hand_over(stream, context.cancel, unwanted, map_error, at_end);
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

/// What runs, and what it was made from.
struct Planned {
    state: SessionState,
    /// Analysed.
    plan: LogicalPlan,
    values: Option<ParamValues>,
    physical: Arc<dyn ExecutionPlan>,
}

impl Planned {
    /// The same without hash joins.
    async fn without_hash_joins(mut self) -> Result<(Arc<dyn ExecutionPlan>, SessionState), DataFusionError> {
        self.state.config_mut().options_mut().optimizer.prefer_hash_join = false;
        let plan = filled_plan(&self.state, self.plan, self.values).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok((self.state.query_planner().create_physical_plan(&plan, &self.state).await?, self.state))
    }
}

/// Starts when the stream is first asked for a batch.
fn start(planned: Planned, running: Running, stop: CancellationToken) -> Result<SendableRecordBatchStream, DataFusionError> {
    let schema = planned.physical.schema();
    let may_retry = has_hash_join(&planned.physical);
    let physical = interruptible(Arc::clone(&planned.physical), &stop)?;
    *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&physical));
    let rows = futures::stream::once(async move {
        let mut stream = execute_stream(physical, planned.state.task_ctx())?;
        let first = match stream.next().await {
            // The build side of a hash join does not spill; a sort-merge join does.
            Some(Err(error)) if may_retry && is_exhausted(&error) => {
                drop(stream);
                tracing::info!("out of memory in a plan with hash joins, trying without");
                let (physical, state) = planned.without_hash_joins().await?;
                let physical = interruptible(physical, &stop)?;
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
