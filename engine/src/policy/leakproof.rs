//! Which conditions of a statement may look at rows before a policy does: those that cannot fail, have no effect and tell nothing of the
//! rows that they drop (PostgreSQL's LEAKPROOF).

use std::collections::BTreeSet;

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// `masked`: columns whose values are not what a scan finds.
#[must_use]
pub fn is_leakproof(expr: &Expr, masked: &BTreeSet<String>) -> bool {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(column) if !masked.contains(&column.name));
    // A parameter is one once the plan runs.
    let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(..) | Expr::Placeholder(_));
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            is_leakproof(left, masked) && is_leakproof(right, masked)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            is_comparison(*op) && (is_column(left) && is_literal(right) || is_literal(left) && is_column(right))
        }
        Expr::Not(expr) => is_leakproof(expr, masked),
        Expr::IsNull(expr) | Expr::IsNotNull(expr) | Expr::IsTrue(expr) | Expr::IsFalse(expr) => is_column(expr),
        Expr::InList(list) => is_column(&list.expr) && list.list.iter().all(is_literal),
        Expr::Between(between) => is_column(&between.expr) && is_literal(&between.low) && is_literal(&between.high),
        _ => false,
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    #[test]
    fn only_what_cannot_fail_or_tell() {
        let masked = BTreeSet::from(["m".to_owned()]);
        let passes = |expr: Expr| is_leakproof(&expr, &masked);
        assert!(passes(col("a").eq(lit(1)).and(col("b").is_null())));
        assert!(passes(col("a").in_list(vec![lit(1), lit(2)], true)));
        assert!(passes(col("a").eq(datafusion::logical_expr::placeholder("$1"))));
        assert!(!passes(col("m").eq(datafusion::logical_expr::placeholder("$1"))));
        assert!(!passes(col("m").eq(lit(1))), "a masked column");
        assert!(!passes(col("a").eq(col("b"))));
        assert!(!passes((lit(1) / col("a")).eq(lit(1))), "a division");
        assert!(!passes(cast(col("a"), arrow_schema::DataType::Int32).eq(lit(1))), "a cast");
        assert!(!passes(col("a").eq(lit(1)).or((lit(1) / col("a")).eq(lit(1)))));
        assert!(!passes(col("a").like(lit("x%"))));
    }
}
