//! Casts that keep their type in their name. DataFusion names `x::date` as it names `x`, so that an aggregate of both, or a
//! grouping by both, would have one name for two columns. Conditions stay as they are: there a cast is looked into to prune.

use std::ops::ControlFlow;

use sqlparser::ast::{CastKind, Distinct, Expr, GroupByExpr, Query, Select, SelectItem, VisitMut, VisitorMut};

use super::{Flow, call, string, take};

pub struct TypedCasts;

impl VisitorMut for TypedCasts {
    type Break = Box<datafusion::error::DataFusionError>;

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        query.order_by.visit(&mut Casts { depth: 0 })
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        let casts = &mut Casts { depth: 0 };
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                expr.visit(casts)?;
            }
        }
        if let Some(Distinct::On(keys)) = &mut select.distinct {
            keys.visit(casts)?;
        }
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.visit(casts)?;
        }
        select.having.visit(casts)?;
        select.named_window.visit(casts)
    }
}

/// Casts of one query, not those of its subqueries.
struct Casts {
    depth: usize,
}

impl VisitorMut for Casts {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, _query: &mut Query) -> Flow {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> Flow {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        if let Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, .. } = expr
            && !is_constant(inner)
        {
            let label = string(data_type.to_string());
            *expr = call("#typed", vec![take(expr), label]);
        }
        ControlFlow::Continue(())
    }
}

/// What planning reads as a literal of the type.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        // A parameter takes its type from the cast around it.
        Expr::Value(_) => true,
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_constant(expr),
        Expr::Cast { expr, .. } => is_constant(expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::parser::Parser;

    use super::*;

    fn rewrite(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        let _ = statements.visit(&mut TypedCasts);
        statements.first().unwrap().to_string()
    }

    #[test]
    fn casts_outside_of_conditions() {
        assert_eq!(
            rewrite("SELECT sum(x::INT), '1'::INT FROM t WHERE x::INT = 1 GROUP BY y::DATE ORDER BY y::DATE"),
            "SELECT sum(\"#typed\"(x::INT, 'INT')), '1'::INT FROM t WHERE x::INT = 1 GROUP BY \"#typed\"(y::DATE, 'DATE') \
             ORDER BY \"#typed\"(y::DATE, 'DATE')"
        );
        assert_eq!(rewrite("SELECT (SELECT 1 FROM u WHERE a::INT = 1) FROM t"), "SELECT (SELECT 1 FROM u WHERE a::INT = 1) FROM t");
    }
}
