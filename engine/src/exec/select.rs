//! Queries: plan, parameters in, rows out.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{EngineError, Execution, ExecutionContext, ExecutionMetrics, Prepared, RowStream, SessionFacts};
use tokio_util::sync::CancellationToken;

use super::kept::{Kept, Ready};
use super::results::key_of;
use super::{Shared, Small, collect_metrics, interruptible};
use crate::error;
use crate::plan::{Sessions, cast_to, columns_needed, filled_plan};
use crate::runtime::Work;

/// A planned SELECT or VALUES.
pub struct PreparedSelect {
    pub shared: Arc<Shared>,
    pub kept: Arc<Kept>,
    pub parameters: Vec<FieldRef>,
    pub schema: SchemaRef,
    /// (root, version) of its tables, where it is about their newest versions.
    pub newest: Option<Vec<(String, u64)>>,
    pub tables: Arc<Vec<(String, String)>>,
    pub locations: Vec<String>,
    pub versions: Vec<(RelationName, u64)>,
    /// Of a query over few rows in memory.
    pub small: Option<Arc<Small>>,
}

/// Batches that a statement makes before its first one goes out, as long as it need not wait: most short ones then need no further
/// hand-over between threads.
const BATCHES_AT_ONCE: usize = 2;

/// The physical plan that runs, for its counters: a second one may replace it.
type Running = Arc<Mutex<Option<Arc<dyn ExecutionPlan>>>>;

#[async_trait]
impl Prepared for PreparedSelect {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        Some(&self.schema)
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    fn columns_read(&self) -> Vec<(RelationName, Vec<String>)> {
        self.kept.look().map(|ready| columns_needed([&ready.query.plan])).unwrap_or_default()
    }

    fn hold(&self) -> bool {
        self.kept.hold()
    }

    fn release(&self) {
        self.kept.release();
    }

    async fn hold_current(&self) -> Result<bool, EngineError> {
        match &self.newest {
            Some(newest) => Ok(self.shared.tables.are_newest(newest).await? && self.kept.hold_current()),
            None => Ok(false),
        }
    }

    fn renew(&self, facts: &SessionFacts) -> bool {
        self.small.as_ref().is_some_and(|small| small.renew(facts))
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let values = match self.parameters.is_empty() {
            true => None,
            false => Some(parameter_values(&self.parameters, &parameters)?),
        };
        let ready = self.kept.take().ok_or_else(|| error::internal("a plan was executed that nobody held"))?;
        let schema = Arc::clone(&self.schema);
        let Some((results, key)) = ready.results.as_ref().and_then(|results| Some((results, key_of(&parameters)?))) else {
            let (stream, metrics) = self.run(&ready, values, context).await?;
            return Ok(Execution::Rows { schema, stream, metrics });
        };
        if let Some(rows) = results.find(&key) {
            let metrics = ExecutionMetrics { cache_origin: rows.origin.into(), ..ExecutionMetrics::default() };
            let stream = futures::stream::iter(rows.batches.into_iter().map(Ok)).boxed();
            return Ok(Execution::Rows { schema, stream, metrics: Arc::new(metrics) });
        }
        let origin = context.statement_id;
        let (stream, metrics) = self.run(&ready, values, context).await?;
        Ok(Execution::Rows { schema, stream: results.keeping(key, origin, stream), metrics })
    }
}

impl PreparedSelect {
    /// To look at.
    ///
    /// # Errors
    /// `Internal` where it has gone.
    pub fn ready(&self) -> Result<Arc<Ready>, EngineError> {
        self.kept.look().ok_or_else(|| error::internal("a plan was looked at that nobody held"))
    }

    async fn run(
        &self,
        ready: &Arc<Ready>,
        values: Option<ParamValues>,
        context: ExecutionContext,
    ) -> Result<(RowStream, Arc<ExecutionMetrics>), EngineError> {
        let run = self.small.as_ref().map(Small::begin);
        // One without parameters runs the same plan each time.
        let again = self.small.clone().filter(|_| values.is_none());
        let metrics = Arc::new(ExecutionMetrics::default());
        let running = Running::default();
        // Fires when the statement is canceled, and when nobody holds its rows any more.
        let stop = context.cancel.child_token();
        let unwanted = stop.clone().drop_guard();

        let begin = {
            let (running, ready, tables, again) = (Arc::clone(&running), Arc::clone(ready), Arc::clone(&self.tables), again.clone());
            let state = Sessions::counting(&ready.state, &metrics);
            async move {
                let mapped = |error: DataFusionError| error::from_datafusion(&error, &tables);
                let kept = match &again {
                    Some(small) => small.take().map_err(mapped)?,
                    None => None,
                };
                let physical = match kept {
                    Some(physical) => physical,
                    None => {
                        let plan = ready.filled(&state, values.clone())?;
                        ready.physical(&state, &plan).await.map_err(mapped)?
                    }
                };
                let planned = Planned { state, ready, values, physical: Arc::clone(&physical) };
                Ok((start(planned, running, stop).map_err(mapped)?, physical))
            }
        };
        let at_end = {
            let counted = Arc::clone(&metrics);
            move |physical: Option<Arc<dyn ExecutionPlan>>| {
                drop(run);
                if let Some(plan) = running.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    collect_metrics(&plan, &counted);
                }
                if let (Some(small), Some(physical)) = (again, physical) {
                    small.put(physical);
                }
            }
        };
        let shown = {
            let schema = Arc::clone(&self.schema);
            move |batch: RecordBatch| Ok::<_, DataFusionError>(cast_to(&batch, &schema)?)
        };
        let work = Work { begin, at_end, shown, map_error: self.map_error(), at_once: BATCHES_AT_ONCE };
        match self.shared.runtime.stream(work, context.cancel, unwanted).await {
            Ok(stream) => Ok((stream, metrics)),
            Err(error) => {
                self.note(&error).await;
                Err(error)
            }
        }
    }

    fn map_error(&self) -> impl Fn(DataFusionError) -> EngineError + Send + 'static {
        let (shared, locations, tables) = (Arc::clone(&self.shared), self.locations.clone(), Arc::clone(&self.tables));
        move |error: DataFusionError| {
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
        }
    }

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
    ready: Arc<Ready>,
    values: Option<ParamValues>,
    physical: Arc<dyn ExecutionPlan>,
}

impl Planned {
    /// The same without hash joins.
    async fn without_hash_joins(mut self) -> Result<(Arc<dyn ExecutionPlan>, SessionState), DataFusionError> {
        self.state.config_mut().options_mut().optimizer.prefer_hash_join = false;
        let plan = filled_plan(&self.state, self.ready.query.plan.clone(), self.values)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
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
