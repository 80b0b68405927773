//! `x op ANY (SELECT …)` and `x op ALL (SELECT …)` as EXISTS: with the answer NULL where a comparison without an answer
//! decides (documentation, section 9.24).

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, ScalarValue, TableReference};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{BinaryExpr, Case, Expr, LogicalPlanBuilder, Operator, Subquery, lit};
use std::sync::Arc;

use super::outer_references;

/// The subquery's relation and column; no statement can name them.
const SET: &str = "#set";

/// `x NOT IN (SELECT …)`; where `x` is no column's value as `x <> ALL`: DataFusion's join for it knows NULLs of columns alone.
#[must_use]
pub fn not_in(tested: InSubquery) -> Expr {
    if tested.expr.any_column_refs() || tested.expr.contains_outer() {
        return Expr::InSubquery(tested);
    }
    let InSubquery { expr, subquery, .. } = tested;
    Expr::SetComparison(SetComparison { expr, subquery, op: Operator::NotEq, quantifier: SetQuantifier::All })
}

/// The same as a condition of a filter, where NULL and false are one.
///
/// # Errors
/// None of its own.
pub fn as_condition(comparison: SetComparison, schema: &DFSchema) -> Result<Expr> {
    let any = matches!(comparison.quantifier, SetQuantifier::Any);
    let subquery = matching(&comparison, schema, |compared| if any { compared } else { Expr::IsNotTrue(Box::new(compared)) })?;
    Ok(Expr::Exists(Exists { subquery, negated: !any }))
}

/// The same as a value: true, false or NULL.
///
/// # Errors
/// None of its own.
pub fn as_value(comparison: SetComparison, schema: &DFSchema) -> Result<Expr> {
    let any = matches!(comparison.quantifier, SetQuantifier::Any);
    let decides = matching(&comparison, schema, |compared| if any { compared } else { Expr::IsFalse(Box::new(compared)) })?;
    let open = matching(&comparison, schema, |compared| Expr::IsNull(Box::new(compared)))?;
    let exists = |subquery: Subquery| Box::new(Expr::Exists(Exists { subquery, negated: false }));
    let when_then_expr =
        vec![(exists(decides), Box::new(lit(any))), (exists(open), Box::new(Expr::Literal(ScalarValue::Boolean(None), None)))];
    Ok(Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(Box::new(lit(!any))) }))
}

/// The subquery's rows for which the comparison, as `test` takes it, holds.
fn matching(comparison: &SetComparison, schema: &DFSchema, test: impl FnOnce(Expr) -> Expr) -> Result<Subquery> {
    let plan = comparison.subquery.subquery.as_ref().clone();
    let (qualifier, field) = plan.schema().qualified_field(0);
    let value = Expr::Column((qualifier, field).into()).alias(SET);
    let compared = Expr::BinaryExpr(BinaryExpr::new(
        Box::new(from_outside(comparison.expr.as_ref().clone(), schema)?),
        comparison.op,
        Box::new(Expr::Column(Column::new(Some(TableReference::bare(SET)), SET))),
    ));
    let plan = LogicalPlanBuilder::from(plan).project(vec![value])?.alias(SET)?.filter(test(compared))?.build()?;
    outer_references::subquery(plan, &comparison.subquery.spans)
}

/// The statement's own columns, as seen from inside the subquery.
fn from_outside(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => match schema.field_from_column(&column) {
                Ok(field) => Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)),
                Err(_) => Transformed::no(Expr::Column(column)),
            },
            other => Transformed::no(other),
        })
    })
    .map(|transformed| transformed.data)
}
