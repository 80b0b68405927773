//! WITH RECURSIVE: the working table takes its types from the first branch while planning, when integer literals are still
//! bigint there; PostgreSQL's integer is written out.

use std::ops::ControlFlow;

use sqlparser::ast::{CastKind, DataType, Expr, Query, SelectItem, SetExpr, TableFactor, UnaryOperator, Value, VisitorMut};

use super::{Flow, take};

pub struct RecursiveLiterals;

impl VisitorMut for RecursiveLiterals {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        if let Some(with) = query.with.as_mut().filter(|with| with.recursive) {
            for table in &mut with.cte_tables {
                match table.query.body.as_mut() {
                    SetExpr::SetOperation { left, .. } => type_literals(left),
                    // One that a recursive query may read.
                    body => type_literals(body),
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn type_literals(branch: &mut SetExpr) {
    match branch {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    type_literal(expr);
                }
            }
            // Those of a query in FROM may be selected by their names.
            for from in &mut select.from {
                if let TableFactor::Derived { subquery, .. } = &mut from.relation {
                    type_literals(&mut subquery.body);
                }
            }
        }
        SetExpr::Values(values) => values.rows.iter_mut().flat_map(|row| &mut row.content).for_each(type_literal),
        _ => {}
    }
}

fn type_literal(expr: &mut Expr) {
    if !is_int4(expr) {
        return;
    }
    let literal = Box::new(take(expr));
    *expr = Expr::Cast { kind: CastKind::Cast, expr: literal, data_type: DataType::Int4(None), array: false, format: None };
}

fn is_int4(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(text, _) if text.parse::<i32>().is_ok()),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => is_int4(expr),
        _ => false,
    }
}
