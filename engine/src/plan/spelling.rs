//! Spellings that mean the same as one that the planner knows.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, LimitClause, ObjectNamePart, Query, Value, VisitMut, VisitorMut,
};

use crate::functions::sealed_log::LAKEGATE_FUNCTIONS;

/// FETCH FIRST becomes LIMIT, `pg_catalog.f()` becomes `f()`, `count(*)` becomes `count(1)`.
pub fn respell(statement: &mut impl VisitMut) {
    let _: ControlFlow<()> = statement.visit(&mut Spelling);
}

struct Spelling;

impl VisitorMut for Spelling {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Some(fetch) = query.fetch.take_if(|fetch| !fetch.with_ties && !fetch.percent) else { return ControlFlow::Continue(()) };
        let rows = fetch.quantity.or_else(|| Some(Expr::value(Value::Number("1".to_owned(), false))));
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, .. }) => *limit = limit.take().or(rows),
            Some(LimitClause::OffsetCommaLimit { .. }) => {}
            None => query.limit_clause = Some(LimitClause::LimitOffset { limit: rows, offset: None, limit_by: Vec::new() }),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let [ObjectNamePart::Identifier(schema), _] = function.name.0.as_slice()
            && schema.value.eq_ignore_ascii_case("pg_catalog")
        {
            function.name.0.remove(0);
        }
        if let Expr::Function(function) = expr
            && let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(name)] = function.name.0.as_slice()
            && schema.value.eq_ignore_ascii_case("lakegate")
            && LAKEGATE_FUNCTIONS.iter().any(|known| name.value.eq_ignore_ascii_case(known))
        {
            function.name.0.remove(0);
        }
        if let Expr::Function(function) = expr
            && let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice()
            && name.value.eq_ignore_ascii_case("count")
            && let FunctionArguments::List(list) = &mut function.args
            && let [argument @ FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = list.args.as_mut_slice()
        {
            let one = Expr::value(Value::Number("1".to_owned(), false));
            *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(one));
        }
        ControlFlow::Continue(())
    }
}
