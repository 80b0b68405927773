//! Rows of one source that only pass through the plan keep the source's order, as in PostgreSQL: `SELECT … FROM generate_series(…)`,
//! `SELECT * FROM t` of a small table, `array_agg(x)` over either. DataFusion deals such rows out to all cores and takes them back as
//! they come, which is right by the letter of SQL and wrong for everybody who looks at the answer. Sources that are read in several
//! partitions, sorts, joins and aggregates stay parallel.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::async_func::AsyncFuncExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::unnest::UnnestExec;

/// Takes out round-robin repartitioning whose rows would go through an order-keeping chain to one place.
#[derive(Debug)]
pub struct KeepSourceOrder;

impl PhysicalOptimizerRule for KeepSourceOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // The rows of the whole plan are gathered where it is executed.
        let plan = undealt(&plan)?.unwrap_or(plan);
        plan.transform_down(|plan| {
            let gathers = plan.is::<CoalescePartitionsExec>() || plan.downcast_ref::<AggregateExec>().is_some_and(shows_order);
            match gathers {
                true => without_dealing(plan),
                false => Ok(Transformed::no(plan)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "keep_source_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Aggregates whose value shows the order of their rows.
const ORDERED: &[&str] = &["array_agg", "string_agg", "first_value", "last_value"];

fn shows_order(aggregate: &AggregateExec) -> bool {
    aggregate.aggr_expr().iter().any(|aggregate| ORDERED.contains(&aggregate.fun().name()))
}

/// The node over its chain of order-keeping nodes, without the dealing out at the chain's end where there is one.
fn without_dealing(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let [child] = plan.children()[..] else { return Ok(Transformed::no(plan)) };
    let Some(child) = undealt(child)? else { return Ok(Transformed::no(plan)) };
    replaced(plan, child).map(Transformed::yes)
}

fn undealt(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(repartition) = plan.downcast_ref::<RepartitionExec>() {
        let deals = matches!(repartition.partitioning(), Partitioning::RoundRobinBatch(_));
        let single = repartition.input().properties().output_partitioning().partition_count() == 1;
        return Ok((deals && single).then(|| Arc::clone(repartition.input())));
    }
    let keeps = plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<AsyncFuncExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<UnnestExec>();
    match plan.children()[..] {
        [child] if keeps => {
            let Some(child) = undealt(child)? else { return Ok(None) };
            replaced(Arc::clone(plan), child).map(Some)
        }
        _ => Ok(None),
    }
}

fn replaced(plan: Arc<dyn ExecutionPlan>, child: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.replace_children(vec![child], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}
