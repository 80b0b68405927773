//! Set-returning functions in a select list: `generate_series(1, 3)` becomes `unnest` of the list of its rows.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select, SelectItem, VisitMut, VisitorMut};

use super::{Flow, call, function_name};
use crate::functions::sets::set_function;

pub struct SelectLists;

impl VisitorMut for SelectLists {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                expr.visit(&mut Calls { depth: 0 })?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Calls at the level of the select list, not those in subqueries.
struct Calls {
    depth: usize,
}

impl VisitorMut for Calls {
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
        let Expr::Function(Function { name, args: FunctionArguments::List(list), over: None, .. }) = expr else {
            return ControlFlow::Continue(());
        };
        let Some(name) = function_name(name) else { return ControlFlow::Continue(()) };
        let Some(set) = set_function(&name).filter(|_| name != "unnest") else { return ControlFlow::Continue(()) };
        let args = list
            .args
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => Some(arg.clone()),
                _ => None,
            })
            .collect();
        let rows = call("unnest", vec![call(set.list, args)]);
        // Unnesting forgets which text is JSON.
        *expr = match name.as_str() {
            "json_array_elements" => call("#as_json", vec![rows]),
            "jsonb_array_elements" => call("#as_jsonb", vec![rows]),
            _ => rows,
        };
        ControlFlow::Continue(())
    }
}
