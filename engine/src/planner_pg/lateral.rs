//! Lateral functions: `FROM t, unnest(t.a)` is a projection and an unnest over `t` itself, not a join.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, NullHandling, Result, ScalarValue, Spans};
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, SubqueryAlias};

use super::outer_references::{references, subquery};
use crate::functions::error::unsupported;

/// Begins the names of the function's columns while the plan is rebuilt; no statement can hold it. Names without a qualifier, as
/// DataFusion's Unnest drops it.
const INNER: &str = "#lateral";

fn inner_name(name: &str) -> String {
    format!("{INNER}.{name}")
}

fn inner_column(name: &str) -> Column {
    Column::new_unqualified(inner_name(name))
}

/// Rewrites a join whose right side is a function of the left side's columns; other plans come back as they are.
///
/// # Errors
/// None of its own.
pub fn flatten(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Join(join) = plan else { return Ok(Transformed::no(plan)) };
    match flattened(&join)? {
        Some(flat) => Ok(Transformed::yes(flat)),
        None => Ok(Transformed::no(LogicalPlan::Join(join))),
    }
}

/// The right side of a join as what a lateral one is, where a subquery inside it alone refers to the left side: of such references
/// DataFusion's planner does not know.
///
/// # Errors
/// 0A000 where the name may as well be one of a query further out.
pub fn marked(right: LogicalPlan, left: &DFSchema, outer: &[Arc<DFSchema>]) -> Result<LogicalPlan> {
    let is_marked = match &right {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => matches!(*alias.input, LogicalPlan::Subquery(_)),
        _ => false,
    };
    if is_marked {
        return Ok(right);
    }
    let references = references(&right)?;
    let Some((_, column)) = references.iter().find(|(_, column)| left.has_column(column)) else { return Ok(right) };
    if outer.iter().any(|schema| schema.has_column(column)) {
        return Err(unsupported("a subquery in FROM that refers to one of two relations of the same name"));
    }
    let inside = |plan| subquery(plan, &Spans::default()).map(LogicalPlan::Subquery);
    match right {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => {
            SubqueryAlias::try_new(Arc::new(inside(Arc::unwrap_or_clone(input))?), alias).map(LogicalPlan::SubqueryAlias)
        }
        right => inside(right),
    }
}

fn flattened(join: &Join) -> Result<Option<LogicalPlan>> {
    let keep = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        _ => return Ok(None),
    };
    let always = join.filter.as_ref().is_none_or(|filter| matches!(filter, Expr::Literal(ScalarValue::Boolean(Some(true)), _)));
    if !join.on.is_empty() || (keep && !always) {
        return Ok(None);
    }
    let (alias, inner) = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match input.as_ref() {
            LogicalPlan::Subquery(subquery) => (Some(alias.clone()), &subquery.subquery),
            _ => return Ok(None),
        },
        LogicalPlan::Subquery(subquery) => (None, &subquery.subquery),
        _ => return Ok(None),
    };
    if !over_nothing(inner) {
        return Ok(None);
    }
    let left = &join.left;
    let rebuilt = rebuild(inner, left, keep)?;
    let mut exprs: Vec<Expr> = left.schema().columns().into_iter().map(Expr::Column).collect();
    for (qualifier, field) in join.right.schema().iter() {
        let column = Expr::Column(inner_column(field.name()));
        exprs.push(column.alias_qualified(alias.clone().or_else(|| qualifier.cloned()), field.name()));
    }
    let flat = LogicalPlanBuilder::from(rebuilt).project(exprs)?;
    match &join.filter {
        Some(filter) if !always => flat.filter(filter.clone())?.build().map(Some),
        _ => flat.build().map(Some),
    }
}

/// Projections and unnests over one row of nothing.
fn over_nothing(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        LogicalPlan::Projection(projection) => over_nothing(&projection.input),
        LogicalPlan::Unnest(unnest) => {
            unnest.options.recursions.is_empty() && unnest.struct_type_columns.is_empty() && over_nothing(&unnest.input)
        }
        LogicalPlan::SubqueryAlias(alias) => over_nothing(&alias.input),
        _ => false,
    }
}

/// The same operators over the left side's rows, its columns carried along.
fn rebuild(plan: &LogicalPlan, left: &Arc<LogicalPlan>, keep: bool) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let input = rebuild(&projection.input, left, keep)?;
            let mut exprs: Vec<Expr> = left.schema().columns().into_iter().map(Expr::Column).collect();
            for expr in &projection.expr {
                let (_, name) = expr.qualified_name();
                let inner = expr.clone().unalias();
                exprs.push(own_columns(inner, left.schema())?.alias(inner_name(&name)));
            }
            LogicalPlanBuilder::from(input).project(exprs)?.build()
        }
        LogicalPlan::Unnest(unnest) => {
            let input = rebuild(&unnest.input, left, keep)?;
            let columns = unnest.exec_columns.iter().map(|column| inner_column(&column.name)).collect();
            let mut options = unnest.options.clone();
            if keep {
                options.null_handling = NullHandling::PreserveAndExpandEmpty;
            }
            LogicalPlanBuilder::from(input).unnest_columns_with_options(columns, options)?.build()
        }
        LogicalPlan::SubqueryAlias(alias) => rebuild(&alias.input, left, keep),
        _ => Ok(left.as_ref().clone()),
    }
}

/// References to the left side become its columns, the function's own columns get their inner names.
fn own_columns(expr: Expr, left: &DFSchema) -> Result<Expr> {
    expr.transform(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) if left.has_column(&column) => Transformed::yes(Expr::Column(column)),
            Expr::Column(column) => Transformed::yes(Expr::Column(inner_column(&column.name))),
            other => Transformed::no(other),
        })
    })
    .map(|transformed| transformed.data)
}
