//! EXPLAIN.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{EngineError, Execution, ExecutionContext, ExecutionMetrics, Prepared};

use super::select::PreparedSelect;
use super::{collect_metrics, parameter_values};
use crate::error;
use crate::plan::{Sessions, Showing, plan_json, plan_lines};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, false)])));

/// A planned EXPLAIN of a query.
pub struct PreparedExplain {
    pub query: PreparedSelect,
    pub analyze: bool,
    pub json: bool,
    pub verbose: bool,
    /// Times of operators are shown.
    pub timing: bool,
    /// Times of planning and execution are shown.
    pub summary: bool,
    /// Estimates are shown.
    pub costs: bool,
}

#[async_trait]
impl Prepared for PreparedExplain {
    fn parameters(&self) -> &[FieldRef] {
        self.query.parameters()
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        Some(&SCHEMA)
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.query.table_versions()
    }

    fn columns_read(&self) -> Vec<(RelationName, Vec<String>)> {
        self.query.columns_read()
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let ready = self.query.ready()?;
        let values = match self.parameters().is_empty() {
            true => None,
            false => Some(parameter_values(self.parameters(), &parameters)?),
        };
        let metrics = Arc::new(ExecutionMetrics::default());
        let state = Sessions::counting(&ready.state, &metrics);
        let tables = Arc::clone(&self.query.tables);
        let (analyze, json, verbose, timing, summary, costs) =
            (self.analyze, self.json, self.verbose, self.timing, self.summary, self.costs);
        let scans = Arc::clone(&self.query.tables);
        let counted = Arc::clone(&metrics);
        let lines = self.query.shared.runtime.run(context.cancel.clone(), async move {
            let planning = Instant::now();
            let plan = ready.filled(&state, values)?;
            let explained = async {
                let physical = ready.physical(&state, &plan).await?;
                let planned = planning.elapsed();
                let (started, executing) = (chrono::Utc::now(), Instant::now());
                if analyze {
                    let mut rows = execute_stream(Arc::clone(&physical), state.task_ctx())?;
                    while rows.try_next().await?.is_some() {}
                    collect_metrics(&physical, &counted);
                }
                let executed = executing.elapsed();
                let started = analyze.then_some(started);
                let showing = Showing { started, verbose, timing, estimates: costs, tables: &scans };
                let times = [("Planning Time", planned), ("Execution Time", executed)].map(|(name, time)| (name, time.as_secs_f64() * 1e3));
                let shown = if analyze { 2 } else { 1 };
                let times = times.iter().take(if summary { shown } else { 0 });
                let pruned = counted.snapshot();
                if json {
                    let mut object = plan_json(&physical, showing);
                    object.extend(times.map(|(name, millis)| ((*name).to_owned(), serde_json::json!(millis))));
                    object.insert("Files Pruned".to_owned(), serde_json::json!(pruned.pruned_files));
                    let text = serde_json::to_string_pretty(&[object]);
                    return text.map(|text| vec![text]).map_err(|error| DataFusionError::External(Box::new(error)));
                }
                let mut lines = plan_lines(&physical, showing);
                if pruned.pruned_files > 0 {
                    lines.push(format!("Files Pruned: {} of {}", pruned.pruned_files, pruned.pruned_files + pruned.read_files));
                }
                lines.extend(times.map(|(name, millis)| format!("{name}: {millis:.3} ms")));
                Ok(lines)
            };
            explained.await.map_err(|error: DataFusionError| error::from_datafusion(&error, &tables))
        });
        let lines = StringArray::from(lines.await?);
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), vec![Arc::new(lines)]).map_err(|error| error::from_arrow(&error))?;
        let stream = futures::stream::once(std::future::ready(Ok(batch))).boxed();
        Ok(Execution::Rows { schema: Arc::clone(&SCHEMA), stream, metrics })
    }
}
