//! The operator that a policed table is scanned by: a leaf to all that is above it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions};
use futures::{Stream, StreamExt};

use super::without_values;
use crate::error;
use crate::plan::cast_to;

/// Has no children, no statistics and no order, so that no rule moves anything below it, and EXPLAIN tells nothing of what is there.
#[derive(Debug)]
pub struct BarrierExec {
    inner: Arc<dyn ExecutionPlan>,
    table: String,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl BarrierExec {
    /// `inner` gives the rows that may be seen; `schema`: its columns, as the relation has them.
    #[must_use]
    pub fn new(inner: Arc<dyn ExecutionPlan>, table: String, schema: SchemaRef) -> Self {
        let below = inner.properties();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(below.output_partitioning().partition_count()),
            below.emission_type,
            below.boundedness,
        );
        BarrierExec { inner, table, schema, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The same over a plan that `change` made of the one below, which gives the same rows.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn over(&self, change: impl FnOnce(Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let inner = change(Arc::clone(&self.inner))?;
        Ok(BarrierExec::new(inner, self.table.clone(), Arc::clone(&self.schema)))
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }
}

impl DisplayAs for BarrierExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BarrierExec")
    }
}

impl ExecutionPlan for BarrierExec {
    fn name(&self) -> &'static str {
        "BarrierExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let hidden = |error: DataFusionError| error::external(without_values(error::from_datafusion(&error, &[]), &self.table));
        let inner = self.inner.execute(partition, context).map_err(hidden)?;
        Ok(Box::pin(BarrierStream {
            inner,
            table: self.table.clone(),
            schema: Arc::clone(&self.schema),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct BarrierStream {
    inner: SendableRecordBatchStream,
    table: String,
    schema: SchemaRef,
    metrics: BaselineMetrics,
}

impl Stream for BarrierStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.inner.poll_next_unpin(context).map(|next| {
            next.map(|batch| match batch {
                Ok(batch) => {
                    let batch = cast_to(&batch, &self.schema)?;
                    let rows = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                    Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), batch.columns().to_vec(), &rows)?)
                }
                Err(error) => Err(error::external(without_values(error::from_datafusion(&error, &[]), &self.table))),
            })
        });
        self.metrics.record_poll(polled)
    }
}

impl RecordBatchStream for BarrierStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
