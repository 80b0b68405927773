//! Where projections and filters stand: DataFusion's rules, but for two of their swaps.
//!
//! It moves a projection below a filter that reads nothing else, and with it expressions that can fail are evaluated for rows that the filter
//! leaves out: `SELECT b, 1 / n FROM t WHERE b` must not divide for rows where `b` is false. And it moves conditions through a projection by
//! the names of its columns: where both sides of a join have one of a name, the condition is asked of the wrong one.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::{ProjectionExec, remove_unnecessary_projections, try_embed_projection};
use datafusion::physical_plan::sorts::sort::SortExec;

/// DataFusion's names for its rules.
const NAME: &str = "ProjectionPushdown";
const FILTERS: &str = "FilterPushdown";

/// DataFusion's rules, this one in the place of its own.
#[must_use]
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let own = |rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>| -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
        match rule.name() {
            NAME => Arc::new(Projections),
            name if name.starts_with(FILTERS) => Arc::new(DynamicFilters(rule)),
            _ => rule,
        }
    };
    let mut rules: Vec<_> = PhysicalOptimizer::new().rules.into_iter().map(own).collect();
    if let Some(at) = rules.iter().position(|rule| rule.name().starts_with(FILTERS)) {
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

/// DataFusion's rule, without the filters that a join, a TopK or an aggregate makes while it runs where they would come by a node that gives
/// two columns of one name: they find their columns by name there, and ask the wrong one (`FilterRemapper`, until it goes by places).
#[derive(Debug)]
struct DynamicFilters(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for DynamicFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let misled = misled(&plan);
        if misled == Misled::default() {
            return self.0.optimize(plan, config);
        }
        let mut careful = config.clone();
        let optimizer = &mut careful.optimizer;
        optimizer.enable_join_dynamic_filter_pushdown &= !misled.joins;
        optimizer.enable_topk_dynamic_filter_pushdown &= !misled.sorts;
        optimizer.enable_aggregate_dynamic_filter_pushdown &= !misled.aggregates;
        self.0.optimize(plan, &careful)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Of which nodes the filters would go astray.
#[derive(Debug, Default, PartialEq, Eq)]
struct Misled {
    joins: bool,
    sorts: bool,
    aggregates: bool,
}

fn misled(plan: &Arc<dyn ExecutionPlan>) -> Misled {
    let mut found = Misled::default();
    let children = plan.children();
    // Those that a join makes go to its second side.
    found.joins = plan.is::<HashJoinExec>() && children.get(1).is_some_and(|probe| gives_twins(probe));
    let sorts = plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some());
    found.sorts = sorts && children.iter().any(|child| gives_twins(child));
    found.aggregates = plan.is::<AggregateExec>() && children.iter().any(|child| gives_twins(child));
    for child in children {
        let below = misled(child);
        found.joins |= below.joins;
        found.sorts |= below.sorts;
        found.aggregates |= below.aggregates;
    }
    found
}

/// Whether a node or one below it gives two columns of one name.
fn gives_twins(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut names = HashSet::new();
    let schema = plan.schema();
    schema.fields().iter().any(|field| !names.insert(field.name())) || plan.children().into_iter().any(gives_twins)
}
