//! Where projections stand: DataFusion's rule, but for one of its swaps. It moves a projection below a filter that reads nothing else, and
//! with it expressions that can fail are evaluated for rows that the filter leaves out: `SELECT b, 1 / n FROM t WHERE b` must not divide for
//! rows where `b` is false.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::{ProjectionExec, remove_unnecessary_projections, try_embed_projection};

/// DataFusion's name for the rule.
const NAME: &str = "ProjectionPushdown";

/// DataFusion's rules, this one in the place of its own.
#[must_use]
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let own = |rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>| -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
        if rule.name() == NAME { Arc::new(Projections) } else { rule }
    };
    PhysicalOptimizer::new().rules.into_iter().map(own).collect()
}

#[derive(Debug)]
struct Projections;

impl PhysicalOptimizerRule for Projections {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(lowered).data()
    }

    fn name(&self) -> &str {
        NAME
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn lowered(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>()
        && let Some(filter) = projection.input().downcast_ref::<FilterExec>()
        && projection.expr().iter().any(|item| !item.expr.is::<Column>())
    {
        return Ok(try_embed_projection(projection, filter)?.map_or_else(|| Transformed::no(Arc::clone(&plan)), Transformed::yes));
    }
    remove_unnecessary_projections(plan)
}
