//! Spellings that mean the same as one DataFusion knows.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, LimitClause, ObjectNamePart, Query, VisitMut, VisitorMut};

/// FETCH FIRST becomes LIMIT, `pg_catalog.f()` becomes `f()`.
pub fn respell(statement: &mut impl VisitMut) {
    let _: ControlFlow<()> = statement.visit(&mut Spelling);
}

struct Spelling;

impl VisitorMut for Spelling {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Some(fetch) = query.fetch.take_if(|fetch| !fetch.with_ties && !fetch.percent) else { return ControlFlow::Continue(()) };
        let rows = fetch.quantity.or_else(|| Some(Expr::value(sqlparser::ast::Value::Number("1".to_owned(), false))));
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
        ControlFlow::Continue(())
    }
}
