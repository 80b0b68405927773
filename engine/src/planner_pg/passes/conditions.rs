//! What may stand in WHERE.

use std::ops::ControlFlow;

use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{CastKind, DataType, Expr, Function, Query, Select, Value, Visit, Visitor, VisitorMut};

use super::{Flow, take};
use crate::functions::error::mistake;

pub struct Conditions;

impl VisitorMut for Conditions {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        let Some(condition) = &mut select.selection else { return ControlFlow::Continue(()) };
        if has_window_call(condition) {
            let error = mistake(SqlMistake::Windowing, "window functions are not allowed in WHERE");
            return ControlFlow::Break(Box::new(error));
        }
        if let Expr::Value(value) = condition
            && matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_))
        {
            let literal = Box::new(take(condition));
            *condition = Expr::Cast { kind: CastKind::Cast, expr: literal, data_type: DataType::Bool, array: false, format: None };
        }
        ControlFlow::Continue(())
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
