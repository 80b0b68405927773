//! Conditions of a scan that its source can answer.

use arrow_schema::Schema;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use lakegate_engine_api::{Key, KeyFilter};

/// `column = constant`, `column IN (constants)`, and several of them for one column joined by OR.
pub fn key_filter(schema: &Schema, filter: &Expr) -> Option<KeyFilter> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (column, value) = match (left.as_ref(), right.as_ref()) {
                (Expr::Column(_), Expr::Literal(value, _)) => (left, value),
                (Expr::Literal(value, _), Expr::Column(_)) => (right, value),
                _ => return None,
            };
            Some(KeyFilter { column: place(schema, column)?, values: vec![key(value)?] })
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (mut left, right) = (key_filter(schema, left)?, key_filter(schema, right)?);
            left.values.extend(right.values);
            (left.column == right.column).then_some(left)
        }
        Expr::InList(list) if !list.negated => {
            let constant = |item: &Expr| match item {
                Expr::Literal(value, _) => key(value),
                _ => None,
            };
            Some(KeyFilter { column: place(schema, &list.expr)?, values: list.list.iter().map(constant).collect::<Option<_>>()? })
        }
        _ => None,
    }
}

/// Both ends of a time in microseconds, the second one not included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub since: Option<i64>,
    pub until: Option<i64>,
}

/// What a comparison of the column of time with a constant lets pass; `None`: it is none.
pub fn span(schema: &Schema, time: usize, filter: &Expr) -> Option<Span> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (column, op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(_), Expr::Literal(value, _)) => (left, *op, value),
        (Expr::Literal(value, _), Expr::Column(_)) => (right, op.swap()?, value),
        _ => return None,
    };
    let ScalarValue::TimestampMicrosecond(Some(at), Some(_)) = value else { return None };
    let (at, after) = (*at, at.checked_add(1)?);
    let span = match op {
        Operator::Eq => Span { since: Some(at), until: Some(after) },
        Operator::Gt | Operator::GtEq => Span { since: Some(at), until: None },
        Operator::Lt => Span { since: None, until: Some(at) },
        Operator::LtEq => Span { since: None, until: Some(after) },
        _ => return None,
    };
    (place(schema, column)? == time).then_some(span)
}

fn place(schema: &Schema, column: &Expr) -> Option<usize> {
    let Expr::Column(column) = column else { return None };
    schema.index_of(&column.name).ok()
}

fn key(value: &ScalarValue) -> Option<Key> {
    Some(match value {
        ScalarValue::Int64(Some(number)) => Key::Number(*number),
        ScalarValue::Int32(Some(number)) => Key::Number(i64::from(*number)),
        ScalarValue::Int16(Some(number)) => Key::Number(i64::from(*number)),
        ScalarValue::UInt32(Some(number)) => Key::Number(i64::from(*number)),
        ScalarValue::Utf8(Some(text)) => Key::Text(text.clone()),
        _ => return None,
    })
}
