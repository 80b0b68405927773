//! ROLLUP, CUBE and GROUPING SETS over expressions.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};

/// Sets of groups over columns: their expressions are computed below, under the names by which what stands above asks for them. In place
/// they could not keep these names where their types are settled.
pub fn grouped_by_columns(mut aggregate: Aggregate) -> Result<LogicalPlan> {
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else { return Ok(LogicalPlan::Aggregate(aggregate)) };
    let computed: Vec<Expr> = sets.distinct_expr().into_iter().filter(|expr| !matches!(expr, Expr::Column(_))).cloned().collect();
    if computed.is_empty() {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    let input = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    let mut names = Vec::with_capacity(computed.len());
    for expr in &computed {
        names.push(expr.schema_name().to_string());
    }
    let items = input.chain(computed.iter().zip(&names).map(|(expr, name)| expr.clone().alias(name)));
    let below = LogicalPlanBuilder::from(aggregate.input).project(items.collect::<Vec<_>>())?.build()?;
    let by_name = |expr: Expr| match computed.iter().position(|known| *known == expr) {
        Some(at) => Transformed::yes(Expr::Column(Column::new_unqualified(&names[at]))),
        None => Transformed::no(expr),
    };
    let mut groups = Vec::with_capacity(1);
    for expr in std::mem::take(&mut aggregate.group_expr) {
        groups.push(expr.transform_down(|expr| Ok(by_name(expr)))?.data);
    }
    Aggregate::try_new(Arc::new(below), groups, aggregate.aggr_expr).map(LogicalPlan::Aggregate)
}
