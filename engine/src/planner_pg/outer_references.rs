//! What a plan takes from the queries around it. DataFusion counts the references of a plan's own expressions alone; a subquery in one of
//! them may refer further out than to the rows it stands over, and then so does the plan that holds it.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, Spans};
use datafusion::logical_expr::expr::{Exists, InSubquery, Placeholder, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Subquery};
use lakegate_engine_api::SqlMistake;

use crate::functions::error::{mistake, unsupported};

type Reference = (Arc<Field>, Column);

/// The columns of queries further out that a plan refers to, each once. A name belongs to the innermost query that has it.
///
/// # Errors
/// None of its own.
pub fn references(plan: &LogicalPlan) -> Result<Vec<Reference>> {
    let mut found = Vec::new();
    let schema = merge_schema(&plan.inputs());
    plan.apply_expressions(|expr| {
        let mut in_expression = Vec::new();
        collect(expr, &schema, &mut in_expression)?;
        if !in_expression.is_empty() {
            check_visible(plan, &in_expression)?;
            add(&mut found, in_expression);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match plan {
        LogicalPlan::Join(join) => {
            add(&mut found, references(&join.left)?);
            // The right side of a lateral join sees the left one's rows.
            let left = join.left.schema();
            add(&mut found, references(&join.right)?.into_iter().filter(|(_, column)| !left.has_column(column)));
        }
        plan => {
            for input in plan.inputs() {
                add(&mut found, references(input)?);
            }
        }
    }
    Ok(found)
}

/// A plan as a subquery.
///
/// # Errors
/// None of its own.
pub fn subquery(plan: LogicalPlan, spans: &Spans) -> Result<Subquery> {
    let references = references(&plan)?;
    let outer_ref_columns = references.into_iter().map(|(field, column)| Expr::OuterReferenceColumn(field, column)).collect();
    Ok(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: spans.clone() })
}

/// Whether an expression of a node that stands over `schema` takes anything from further out.
///
/// # Errors
/// None of its own.
pub fn reaches_out(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let mut found = Vec::new();
    collect(expr, schema, &mut found)?;
    Ok(!found.is_empty())
}

/// A column of the same query that does not come up to the subquery is not one of a query further out that happens to have its name.
fn check_visible(node: &LogicalPlan, references: &[Reference]) -> Result<()> {
    let (mut at, mut is_grouped) = (node, false);
    loop {
        is_grouped |= matches!(at, LogicalPlan::Aggregate(_));
        let passes = matches!(
            at,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Aggregate(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Distinct(_)
                | LogicalPlan::Limit(_)
        );
        let inputs = at.inputs();
        let (true, [input]) = (passes, inputs.as_slice()) else { return Ok(()) };
        at = *input;
        let Some((_, column)) = references.iter().find(|(_, column)| at.schema().has_column(column)) else { continue };
        return Err(if is_grouped {
            let message = format!("subquery uses ungrouped column \"{}\" from outer query", column.flat_name());
            mistake(SqlMistake::Grouping, message)
        } else {
            unsupported("a subquery in ORDER BY over a column that is not in the select list")
        });
    }
}

fn collect(expr: &Expr, schema: &DFSchema, found: &mut Vec<Reference>) -> Result<()> {
    expr.apply(|expr| {
        match expr {
            Expr::OuterReferenceColumn(field, column) => add(found, [(Arc::clone(field), column.clone())]),
            expr => {
                if let Some(subquery) = subquery_of(expr) {
                    let further = references(&subquery.subquery)?.into_iter().filter(|(_, column)| !schema.has_column(column));
                    add(found, further);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map(|_| ())
}

fn add(found: &mut Vec<Reference>, more: impl IntoIterator<Item = Reference>) {
    for (field, column) in more {
        if found.iter().all(|(_, known)| *known != column) {
            found.push((field, column));
        }
    }
}

/// The subquery that an expression is.
#[must_use]
pub fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. }) => Some(subquery),
        Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// What stands for outer columns and for parameters.
#[derive(Clone)]
pub struct Values<'a> {
    pub columns: Vec<(&'a Column, Expr)>,
    pub parameters: Vec<(&'a str, Expr)>,
}

impl<'a> Values<'a> {
    /// Those that are not columns of a query in between.
    fn beyond(&self, schema: &DFSchema) -> Values<'a> {
        let columns = self.columns.iter().filter(|(column, _)| !schema.has_column(column)).cloned().collect();
        Values { columns, parameters: self.parameters.clone() }
    }

    fn of(&self, expr: &Expr) -> Option<Expr> {
        match expr {
            Expr::OuterReferenceColumn(_, column) => {
                self.columns.iter().find(|(known, _)| *known == column).map(|(_, value)| value.clone())
            }
            Expr::Placeholder(Placeholder { id, .. }) => {
                self.parameters.iter().find(|(known, _)| known == id).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }
}

/// A plan with values in the place of outer columns. Subqueries in FROM that refer to nothing outside any more are relations like others.
///
/// # Errors
/// None of its own.
pub fn filled(plan: LogicalPlan, values: &Values<'_>) -> Result<LogicalPlan> {
    let plan = match plan {
        LogicalPlan::Join(join) => {
            let for_right = values.beyond(join.left.schema());
            let left = Arc::new(filled(Arc::unwrap_or_clone(join.left), values)?);
            let right = Arc::new(filled(Arc::unwrap_or_clone(join.right), &for_right)?);
            LogicalPlan::Join(Join { left, right, ..join })
        }
        plan => plan.map_children(|child| filled(child, values).map(Transformed::yes))?.data,
    };
    if let LogicalPlan::Subquery(inner) = plan {
        let inner = subquery(Arc::unwrap_or_clone(inner.subquery), &inner.spans)?;
        return Ok(if inner.outer_ref_columns.is_empty() { Arc::unwrap_or_clone(inner.subquery) } else { LogicalPlan::Subquery(inner) });
    }
    let inner = values.beyond(&merge_schema(&plan.inputs()));
    // Aggregates are referred to by their names, which hold what they are made of.
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| {
            if let Some(value) = values.of(&expr) {
                return Ok(Transformed::yes(value));
            }
            map_subquery(expr, |old| subquery(filled(Arc::unwrap_or_clone(old.subquery), &inner)?, &old.spans)).map(Transformed::yes)
        })?;
        Ok(expr.update_data(|expr| name.restore(expr)))
    })
    .map(|transformed| transformed.data)
}

fn map_subquery(expr: Expr, change: impl FnOnce(Subquery) -> Result<Subquery>) -> Result<Expr> {
    Ok(match expr {
        Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(change(subquery)?),
        Expr::Exists(Exists { subquery, negated }) => Expr::Exists(Exists { subquery: change(subquery)?, negated }),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            Expr::InSubquery(InSubquery { expr, subquery: change(subquery)?, negated })
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
            Expr::SetComparison(SetComparison { expr, subquery: change(subquery)?, op, quantifier })
        }
        other => other,
    })
}
