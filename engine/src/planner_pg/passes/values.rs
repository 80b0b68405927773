//! VALUES whose rows disagree until their literals are typed, such as `(date '2024-01-01'), ('2024-02-01')`: as a UNION ALL,
//! whose branches agree on types by PostgreSQL's rules.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, Value, Values, VisitorMut};

use super::Flow;
use super::array_subquery::select;

/// More rows than this are data, which is not written this way.
const ROWS_MAX: usize = 200;

pub struct MixedValues;

impl VisitorMut for MixedValues {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        if let SetExpr::Values(values) = query.body.as_ref()
            && mixed(values)
        {
            *query.body = union(values);
        }
        ControlFlow::Continue(())
    }
}

fn rows(values: &Values) -> Vec<&[Expr]> {
    values.rows.iter().map(|row| row.content.as_slice()).collect()
}

/// Whether a column has string literals beside expressions that have a type.
fn mixed(values: &Values) -> bool {
    let rows = rows(values);
    let width = rows.first().map_or(0, |row| row.len());
    if rows.len() > ROWS_MAX || rows.iter().any(|row| row.len() != width) {
        return false;
    }
    (0..width).any(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let (mut open, mut typed) = (false, false);
        for cell in cells {
            match cell {
                Expr::Value(value) => match value.value {
                    Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_) => open = true,
                    Value::Null | Value::Placeholder(_) => {}
                    _ => typed = true,
                },
                _ => typed = true,
            }
        }
        open && typed
    })
}

fn union(values: &Values) -> SetExpr {
    let mut branches = rows(values).into_iter().map(|row| {
        let mut select = select();
        select.projection = row
            .iter()
            .enumerate()
            .map(|(at, expr)| SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', format!("column{}", at + 1)) })
            .collect();
        SetExpr::Select(Box::new(select))
    });
    let first = branches.next().unwrap_or_else(|| SetExpr::Select(Box::new(select())));
    branches.fold(first, |left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    })
}
