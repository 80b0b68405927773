//! What may stand in WHERE, LIMIT, OFFSET, and beside NOT and LIKE.

use std::ops::ControlFlow;

use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{
    CastKind, DataType, Distinct, Expr, Function, LimitClause, NonBlock, Query, Select, SelectItem, UnaryOperator, Value, Visit, Visitor,
    VisitorMut,
};

use super::{Flow, call, string, take};
use crate::functions::error::mistake;
use crate::planner_pg::with_ties::WITH_TIES;

pub struct Conditions;

impl VisitorMut for Conditions {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        if let Err(error) = mark_ties(query) {
            return ControlFlow::Break(Box::new(error));
        }
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            limit.iter_mut().chain(offset.iter_mut().map(|offset| &mut offset.value)).for_each(type_count);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        name_positions(select);
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

/// `DISTINCT ON (1)` means the first item of the list.
fn name_positions(select: &mut Select) {
    let Some(Distinct::On(keys)) = &mut select.distinct else { return };
    for key in keys {
        let Expr::Value(value) = key else { continue };
        let Value::Number(number, _) = &value.value else { continue };
        let position = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        // Behind a star nobody knows the places.
        let before = position.and_then(|position| select.projection.get(..=position)).unwrap_or_default();
        let plain = before.iter().all(|item| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
        if let (true, Some(SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. })) = (plain, before.last()) {
            *key = item.clone();
        }
    }
}

/// `FETCH FIRST n ROWS WITH TIES` as a limit that says so.
fn mark_ties(query: &mut Query) -> datafusion::common::Result<()> {
    if !query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties) {
        return Ok(());
    }
    if query.order_by.is_none() {
        return Err(mistake(SqlMistake::Syntax, "WITH TIES cannot be specified without ORDER BY clause"));
    }
    if query.locks.iter().any(|lock| lock.nonblock == Some(NonBlock::SkipLocked)) {
        return Err(mistake(SqlMistake::Syntax, "SKIP LOCKED and WITH TIES options cannot be used together"));
    }
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    let count = fetch.quantity.unwrap_or_else(|| Expr::value(Value::Number("1".to_owned(), false)));
    let limit = Some(call("#typed", vec![count, string(WITH_TIES)]));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit: given, .. }) => *given = limit,
        clause => *clause = Some(LimitClause::LimitOffset { limit, offset: None, limit_by: Vec::new() }),
    }
    Ok(())
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
