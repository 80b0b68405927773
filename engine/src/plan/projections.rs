//! Where projections and filters stand: DataFusion's rules, but for two of their swaps.
//!
//! It moves a projection below a filter that reads nothing else, and with it expressions that can fail are evaluated for rows that the filter
//! leaves out: `SELECT b, 1 / n FROM t WHERE b` must not divide for rows where `b` is false. And it moves conditions through a projection by
//! the names of its columns: where both sides of a join have one of a name, the condition is asked of the wrong one.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, remove_unnecessary_projections, try_embed_projection};

/// DataFusion's names for its rules.
const NAME: &str = "ProjectionPushdown";
const FILTERS: &str = "FilterPushdown";

/// DataFusion's rules, this one in the place of its own.
#[must_use]
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let own = |rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>| -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
        if rule.name() == NAME { Arc::new(Projections) } else { rule }
    };
    let mut rules: Vec<_> = PhysicalOptimizer::new().rules.into_iter().map(own).collect();
    if let Some(at) = rules.iter().position(|rule| rule.name() == FILTERS) {
        rules.insert(at, Arc::new(FiltersFirst));
    }
    rules
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

/// A filter over a projection that gives two columns of one name, such as what puts the sides of a join back that were exchanged, stands below
/// it: there its columns are told by their places.
#[derive(Debug)]
struct FiltersFirst;

impl PhysicalOptimizerRule for FiltersFirst {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(below_projection).data()
    }

    fn name(&self) -> &str {
        "filters_below_projections"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn below_projection(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = plan.downcast_ref::<FilterExec>().filter(|filter| filter.projection().is_none()) else {
        return Ok(Transformed::no(plan));
    };
    let Some(projection) = filter.input().downcast_ref::<ProjectionExec>().filter(|projection| has_twins(projection)) else {
        return Ok(Transformed::no(plan));
    };
    let items = projection.expr();
    let predicate = Arc::clone(filter.predicate()).transform(|expr| {
        let below = expr.downcast_ref::<Column>().and_then(|column| items.get(column.index()));
        Ok(match below {
            Some(item) => Transformed::new(Arc::clone(&item.expr), true, TreeNodeRecursion::Jump),
            None => Transformed::no(expr),
        })
    })?;
    let filtered = FilterExecBuilder::from(filter).with_input(Arc::clone(projection.input())).with_predicate(predicate.data).build()?;
    Ok(Transformed::yes(Arc::new(ProjectionExec::try_new(items.to_vec(), Arc::new(filtered))?)))
}

/// Columns alone, two of them of one name.
fn has_twins(projection: &ProjectionExec) -> bool {
    let items = projection.expr();
    let are_columns = items.iter().all(|item| item.expr.is::<Column>());
    are_columns && items.iter().enumerate().any(|(at, item)| items.iter().take(at).any(|before| before.alias == item.alias))
}
