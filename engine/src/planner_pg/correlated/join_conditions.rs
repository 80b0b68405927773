//! Subqueries in the condition of a join. An inner join takes them as a filter of its rows. Under an outer join those that look at one
//! side are computed there; where one looks at both, the rows of the other side are found for each row of the side that is kept.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, Spans, TableReference};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Subquery, lit};

use super::{Context, Place, applied, lateral_join, outer_columns, plain, replaced};
use crate::functions::error::unsupported;
use crate::planner_pg::outer_references::{self, subquery_of};
use crate::planner_pg::set_comparison;

/// The join without subqueries in its condition.
///
/// # Errors
/// 0A000 for a full join with one that looks at both sides.
pub fn spelled(mut join: Join, context: &Arc<Context>) -> Result<LogicalPlan> {
    let Some(condition) = join.filter.take() else { return Ok(LogicalPlan::Join(join)) };
    if join.join_type == JoinType::Inner {
        let (joining, filtering): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(condition).into_iter().partition(plain);
        join.filter = conjunction(joining);
        let Some(filter) = conjunction(filtering) else { return Ok(LogicalPlan::Join(join)) };
        return applied(LogicalPlanBuilder::from(LogicalPlan::Join(join)).filter(filter)?.build()?, context);
    }
    let schema = Arc::clone(&join.schema);
    let condition = condition
        .transform_up(|expr| match expr {
            Expr::SetComparison(comparison) => set_comparison::as_value(comparison, &schema).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })?
        .data;
    if looks_at_both(&condition, &join)? {
        return match join.join_type {
            JoinType::Left => kept_side(Join { filter: Some(condition), ..join }, context),
            JoinType::Right => {
                let columns = join.schema.columns();
                let (left, right) = (join.right, join.left);
                let turned = LogicalPlanBuilder::from(Arc::unwrap_or_clone(left)).join_on(
                    Arc::unwrap_or_clone(right),
                    JoinType::Left,
                    equalities(join.on),
                )?;
                let LogicalPlan::Join(mut turned) = turned.build()? else { return Err(refused()) };
                turned.filter = conjunction(turned.filter.take().into_iter().chain([condition]));
                let plan = kept_side(turned, context)?;
                LogicalPlanBuilder::from(plan).project(columns.into_iter().map(Expr::Column))?.build()
            }
            _ => Err(refused()),
        };
    }
    on_each_side(join, condition, context)
}

fn refused() -> datafusion::error::DataFusionError {
    unsupported("a correlated subquery over both sides in the condition of a full join")
}

fn equalities(on: Vec<(Expr, Expr)>) -> Vec<Expr> {
    on.into_iter().map(|(left, right)| left.eq(right)).collect()
}

/// Each subquery as a column of the side that it looks at.
fn on_each_side(join: Join, condition: Expr, context: &Arc<Context>) -> Result<LogicalPlan> {
    let shown: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
    let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
    let condition = condition
        .transform_up(|expr| {
            if !is_subquery(&expr) {
                return Ok(Transformed::no(expr));
            }
            let on_right = columns_of(&expr).iter().any(|column| join.right.schema().has_column(column));
            // Both lists name their columns by how many there are.
            let calls = if on_right { &mut of_right } else { &mut of_left };
            let before = calls.len();
            let expr = replaced(expr, Place::Join, calls, context)?;
            if !on_right {
                return Ok(expr);
            }
            let renamed = |name: &str| format!("#right{name}");
            for call in &mut calls[before..] {
                if let Expr::Alias(alias) = call {
                    alias.name = renamed(&alias.name);
                }
            }
            let data = expr
                .data
                .transform(|expr| {
                    Ok(match expr {
                        Expr::Column(column) if column.relation.is_none() && column.name.starts_with(super::APPLIED) => {
                            Transformed::yes(Expr::Column(Column::new_unqualified(renamed(&column.name))))
                        }
                        other => Transformed::no(other),
                    })
                })?
                .data;
            Ok(Transformed::yes(data))
        })?
        .data;
    let left = beneath(join.left, of_left)?;
    let right = beneath(join.right, of_right)?;
    let mut conditions = equalities(join.on);
    conditions.push(condition);
    LogicalPlanBuilder::from(left).join_on(right, join.join_type, conditions)?.project(shown)?.build()
}

fn beneath(side: Arc<LogicalPlan>, calls: Vec<Expr>) -> Result<LogicalPlan> {
    if calls.is_empty() {
        return Ok(Arc::unwrap_or_clone(side));
    }
    let mut exprs: Vec<Expr> = side.schema().columns().into_iter().map(Expr::Column).collect();
    let calls = super::seen_from(calls, side.schema())?;
    exprs.extend(calls);
    LogicalPlanBuilder::from(Arc::unwrap_or_clone(side)).project(exprs)?.build()
}

/// A left join as a lateral one: for each row of the left the rows of the right that meet the condition.
fn kept_side(join: Join, context: &Arc<Context>) -> Result<LogicalPlan> {
    let mut conditions = equalities(join.on);
    conditions.extend(join.filter);
    let Some(condition) = conjunction(conditions) else { return Err(refused()) };
    let condition = from_outside(condition, join.left.schema(), join.right.schema())?;
    let shown: Vec<Expr> = join.right.schema().columns().into_iter().map(Expr::Column).collect();
    // No subquery may become a join here: what it takes from the left is no column of the right.
    let mut calls = Vec::new();
    let condition = condition
        .transform_up(|expr| if is_subquery(&expr) { replaced(expr, Place::Join, &mut calls, context) } else { Ok(Transformed::no(expr)) })?
        .data;
    let rows = LogicalPlanBuilder::from(beneath(join.right, calls)?).filter(condition)?.project(shown)?.build()?;
    let subquery = outer_references::subquery(rows, &Spans::default())?;
    let lateral =
        LogicalPlanBuilder::from(Arc::unwrap_or_clone(join.left)).join_on(LogicalPlan::Subquery(subquery), JoinType::Left, [lit(true)])?;
    match lateral.build()? {
        LogicalPlan::Join(join) => lateral_join(join, context),
        plan => Ok(plan),
    }
}

/// `LEFT JOIN LATERAL (…) ON condition`: the condition as one of the subquery's, and the join without it. `None` where there is none.
///
/// # Errors
/// None of its own.
pub fn inside(join: &Join, alias: Option<&TableReference>, subquery: &Subquery) -> Result<Option<(Join, Subquery)>> {
    let mut conditions = equalities(join.on.clone());
    conditions.extend(join.filter.clone());
    let Some(condition) = conjunction(conditions).filter(|condition| *condition != lit(true)) else { return Ok(None) };
    let rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    let rows = match alias {
        Some(alias) => rows.alias(alias.clone())?,
        None => rows,
    };
    let condition = from_outside(condition, join.left.schema(), rows.schema())?;
    let rows = rows.filter(condition)?.build()?;
    let subquery = outer_references::subquery(rows, &subquery.spans)?;
    Ok(Some((Join { on: Vec::new(), filter: None, ..join.clone() }, subquery)))
}

/// Columns of the left as the right sees them.
fn from_outside(expr: Expr, left: &DFSchema, right: &DFSchema) -> Result<Expr> {
    expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) if !right.has_column(&column) => match left.field_from_column(&column) {
                Ok(field) => Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)),
                Err(_) => Transformed::no(Expr::Column(column)),
            },
            other => Transformed::no(other),
        })
    })
    .map(|transformed| transformed.data)
}

fn is_subquery(expr: &Expr) -> bool {
    subquery_of(expr).is_some()
}

/// The columns around a subquery that it looks at.
fn columns_of(expr: &Expr) -> Vec<Column> {
    let mut columns: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
    let Some(subquery) = subquery_of(expr) else { return columns };
    columns.extend(outer_columns(subquery).into_iter().map(|(_, column)| column));
    columns
}

fn looks_at_both(condition: &Expr, join: &Join) -> Result<bool> {
    condition.exists(|expr| {
        let columns = if is_subquery(expr) { columns_of(expr) } else { Vec::new() };
        let on = |side: &LogicalPlan| columns.iter().any(|column| side.schema().has_column(column));
        Ok(on(&join.left) && on(&join.right))
    })
}
