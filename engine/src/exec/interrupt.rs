//! Makes a running plan notice that nobody wants its rows any more.
//!
//! DataFusion's joins can work for minutes inside one poll: a nested loop join looks at every pair of two inputs before it gives
//! a batch. A task can only be aborted between polls, so what such a join calls in its loops looks at the statement's token itself.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::{Stream, StreamExt};
use lakegate_engine_api::EngineError;
use tokio_util::sync::CancellationToken;

use crate::policy::BarrierExec;

/// The plan with eyes on `stop` in the inputs and conditions of its joins.
///
/// # Errors
/// A join that cannot be made again.
pub fn interruptible(plan: Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> Result<Arc<dyn ExecutionPlan>> {
    let watched = plan.transform_up(|plan| {
        if let Some(policed) = plan.downcast_ref::<BarrierExec>() {
            return Ok(Transformed::yes(Arc::new(policed.over(|inner| interruptible(inner, stop))?)));
        }
        let is_join =
            plan.is::<NestedLoopJoinExec>() || plan.is::<HashJoinExec>() || plan.is::<SortMergeJoinExec>() || plan.is::<CrossJoinExec>();
        if !is_join {
            return Ok(Transformed::no(plan));
        }
        let plan = watched_condition(plan, stop)?;
        let inputs = plan.children().into_iter().map(|input| Arc::new(WatchedInput::new(Arc::clone(input), stop)) as _).collect();
        Ok(Transformed::yes(plan.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?))
    })?;
    Ok(watched.data)
}

fn watched_condition(plan: Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        return Ok(Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(Some(watched_filter(filter, stop))).build()?));
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        return join.builder().with_filter(Some(watched_filter(filter, stop))).build_exec();
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>()
        && let Some(filter) = join.filter()
    {
        let watched = SortMergeJoinExec::try_new(
            Arc::clone(join.left()),
            Arc::clone(join.right()),
            join.on().to_vec(),
            Some(watched_filter(filter, stop)),
            join.join_type(),
            join.sort_options().to_vec(),
            join.null_equality(),
        )?;
        return Ok(Arc::new(watched));
    }
    Ok(plan)
}

fn watched_filter(filter: &JoinFilter, stop: &CancellationToken) -> JoinFilter {
    let condition = WatchedCondition { condition: Arc::clone(filter.expression()), stop: stop.clone() };
    JoinFilter::new(Arc::new(condition), filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

fn check(stop: &CancellationToken) -> Result<()> {
    match stop.is_cancelled() {
        true => Err(DataFusionError::External(Box::new(EngineError::Canceled))),
        false => Ok(()),
    }
}

/// A join's condition, looked at for each batch of pairs.
#[derive(Debug, Clone)]
struct WatchedCondition {
    condition: Arc<dyn PhysicalExpr>,
    stop: CancellationToken,
}

impl PartialEq for WatchedCondition {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for WatchedCondition {}

impl Hash for WatchedCondition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for WatchedCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for WatchedCondition {
    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.condition.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        check(&self.stop)?;
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let condition = children.pop().unwrap_or_else(|| Arc::clone(&self.condition));
        Ok(Arc::new(WatchedCondition { condition, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}

/// A join's input, which ends with an error where the statement has.
#[derive(Debug)]
struct WatchedInput {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    stop: CancellationToken,
}

impl WatchedInput {
    fn new(input: Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> Self {
        WatchedInput { properties: Arc::clone(input.properties()), input, stop: stop.clone() }
    }
}

impl DisplayAs for WatchedInput {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchedInput")
    }
}

impl ExecutionPlan for WatchedInput {
    fn name(&self) -> &'static str {
        "WatchedInput"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(&self, _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(WatchedInput::new(input, &self.stop)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(WatchedStream { input: self.input.execute(partition, context)?, stop: self.stop.clone() }))
    }
}

struct WatchedStream {
    input: SendableRecordBatchStream,
    stop: CancellationToken,
}

impl Stream for WatchedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = check(&self.stop) {
            return Poll::Ready(Some(Err(error)));
        }
        self.input.poll_next_unpin(context)
    }
}

impl RecordBatchStream for WatchedStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
