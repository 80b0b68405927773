//! Literals that are compared, without the PostgreSQL types that they carry as metadata: `a = 'x'::varchar AND a = 'x'`. DataFusion tells
//! literals with other metadata apart, and takes a column that equals two of them for one that cannot.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

/// The same plan with such conditions.
///
/// # Errors
/// None of its own.
pub fn comparable(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| match plan {
        // Elsewhere an expression's text may be a column's name.
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) => plan.map_expressions(|expr| expr.transform_up(|expr| Ok(bare(expr)))),
        plan => Ok(Transformed::no(plan)),
    })?;
    Ok(plan.data)
}

fn bare(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) && (is_tagged(&left) || is_tagged(&right)) => {
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: Box::new(untagged(*left)), op, right: Box::new(untagged(*right)) }))
        }
        Expr::InList(InList { expr, list, negated }) if list.iter().any(is_tagged) => {
            Transformed::yes(Expr::InList(InList { expr, list: list.into_iter().map(untagged).collect(), negated }))
        }
        other => Transformed::no(other),
    }
}

fn compares(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

fn is_tagged(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(_, Some(_)))
}

fn untagged(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(value, _) => Expr::Literal(value, None),
        other => other,
    }
}
