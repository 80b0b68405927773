//! What may stand in WHERE, LIMIT, OFFSET, and beside NOT and LIKE.

use std::ops::ControlFlow;

use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{CastKind, DataType, Expr, Function, LimitClause, Query, Select, UnaryOperator, Value, Visit, Visitor, VisitorMut};

use super::{Flow, take};
use crate::functions::error::mistake;

pub struct Conditions;

impl VisitorMut for Conditions {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            limit.iter_mut().chain(offset.iter_mut().map(|offset| &mut offset.value)).for_each(type_count);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        let Some(condition) = &mut select.selection else { return ControlFlow::Continue(()) };
        if has_window_call(condition) {
            let error = mistake(SqlMistake::Windowing, "window functions are not allowed in WHERE");
            return ControlFlow::Break(Box::new(error));
        }
        type_open(condition, DataType::Bool);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => type_open(expr, DataType::Bool),
            // DataFusion would give a parameter the other side's type, length and all.
            Expr::Like { pattern, .. } | Expr::ILike { pattern, .. } | Expr::SimilarTo { pattern, .. } if is_parameter(pattern) => {
                type_open(pattern, DataType::Text);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_parameter(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// Casts a parameter or string, whose type its surroundings decide.
fn type_open(mut expr: &mut Expr, data_type: DataType) {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    if let Expr::Value(value) = expr
        && matches!(value.value, Value::Placeholder(_) | Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_))
    {
        let open = Box::new(take(expr));
        *expr = Expr::Cast { kind: CastKind::Cast, expr: open, data_type, array: false, format: None };
    }
}

/// A parameter or string given to LIMIT and OFFSET is a bigint.
fn type_count(expr: &mut Expr) {
    if let Expr::Value(value) = expr
        && matches!(value.value, Value::Placeholder(_) | Value::SingleQuotedString(_))
    {
        let count = Box::new(take(expr));
        *expr = Expr::Cast { kind: CastKind::Cast, expr: count, data_type: DataType::BigInt(None), array: false, format: None };
    }
}

/// Outside its subqueries, which have their own.
fn has_window_call(condition: &Expr) -> bool {
    struct Calls {
        queries: usize,
    }
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(Function { over: Some(_), .. }) if self.queries == 0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    condition.visit(&mut Calls { queries: 0 }).is_break()
}
