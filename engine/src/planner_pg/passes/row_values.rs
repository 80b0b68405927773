//! Rows compared field by field: `(a, b) = (c, d)`, `ROW(a, b) < ROW(c, d)`, `(a, b) IN (…)`, `(a, b) IN (SELECT …)`, `ROW(…) IS NULL`.
//! Source: documentation, sections 9.24 and 9.25; `make_row_comparison_op` in `parse_expr.c`.

use std::ops::ControlFlow;

use datafusion::common::Result;
use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{
    self, BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Select, SelectItem, SetExpr,
    TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, UnaryOperator, Value, VisitorMut,
};

use super::Flow;
use super::array_subquery::{empty, select};
use crate::functions::error::{mistake, unsupported};

/// The relation that holds a subquery's rows.
const ROWS: &str = "#rows";

pub struct RowValues;

impl VisitorMut for RowValues {
    type Break = Box<datafusion::error::DataFusionError>;

    /// Conditions of WHERE may take NULL for false, so that they become joins.
    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        match select.selection.as_mut().map_or(Ok(()), condition) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match rewritten(expr) {
            Ok(Some(new)) => {
                *expr = new;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

fn condition(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            condition(left)?;
            condition(right)
        }
        Expr::Nested(inner) => condition(inner),
        Expr::InSubquery { expr: value, subquery, negated } => {
            let Some(fields) = fields(value) else { return Ok(()) };
            let test = if *negated { Test::NotFalse } else { Test::True };
            *expr = exists(&BinaryOperator::Eq, fields, subquery, test, *negated)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn rewritten(expr: &mut Expr) -> Result<Option<Expr>> {
    Ok(match expr {
        Expr::BinaryOp { left, op, right } if is_comparison(op) => match (fields(left), right.as_ref()) {
            (Some(left), Expr::Subquery(query)) => Some(compared_subquery(op, left, query)?),
            (Some(left), _) => match fields(right) {
                Some(right) => Some(compared(op, left, right)?),
                None => None,
            },
            (None, _) => None,
        },
        Expr::IsDistinctFrom(left, right) => match (fields(left), fields(right)) {
            (Some(left), Some(right)) => Some(distinct(left, right)?),
            _ => None,
        },
        Expr::IsNotDistinctFrom(left, right) => match (fields(left), fields(right)) {
            (Some(left), Some(right)) => Some(not(distinct(left, right)?)),
            _ => None,
        },
        Expr::IsNull(value) => row(value).map(|fields| all(fields.into_iter().map(|field| Expr::IsNull(Box::new(field))))),
        Expr::IsNotNull(value) => row(value).map(|fields| all(fields.into_iter().map(|field| Expr::IsNotNull(Box::new(field))))),
        Expr::InList { expr: value, list, negated } => {
            let Some(left) = fields(value) else { return Ok(None) };
            let Some(rows) = list.iter().map(fields).collect::<Option<Vec<_>>>() else { return Ok(None) };
            let equal = rows.into_iter().map(|right| compared(&BinaryOperator::Eq, left.clone(), right)).collect::<Result<Vec<_>>>()?;
            let found = any(equal);
            Some(if *negated { not(found) } else { found })
        }
        Expr::InSubquery { expr: value, subquery, negated } => match fields(value) {
            Some(left) => {
                let found = quantified(&BinaryOperator::Eq, left, subquery, true)?;
                Some(if *negated { not(found) } else { found })
            }
            None => None,
        },
        Expr::AnyOp { left, compare_op, right, .. } => match (fields(left), right.as_ref()) {
            (Some(left), Expr::Subquery(query)) => Some(quantified(compare_op, left, query, true)?),
            _ => None,
        },
        Expr::AllOp { left, compare_op, right } => match (fields(left), right.as_ref()) {
            (Some(left), Expr::Subquery(query)) => Some(quantified(compare_op, left, query, false)?),
            _ => None,
        },
        _ => None,
    })
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// The fields of `(a, b)` and `ROW(a, b)`.
fn fields(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(fields) => Some(fields.clone()),
        Expr::Nested(inner) => fields(inner),
        Expr::Function(function) if super::function_name(&function.name).as_deref() == Some("row") => arguments(function),
        _ => None,
    }
}

/// The same, and those of a relation's row as [`super::bare_names`] writes it.
fn row(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Function(function) if super::function_name(&function.name).as_deref() == Some("named_struct") => {
            Some(arguments(function)?.into_iter().skip(1).step_by(2).collect())
        }
        Expr::Nested(inner) => row(inner),
        Expr::Case { operand: None, conditions, else_result: None, .. } => match conditions.as_slice() {
            // Where an outer join has put no row, its columns are NULL, too.
            [CaseWhen { condition: Expr::CompoundIdentifier(parts), result }]
                if parts.last().is_some_and(|part| part.value == super::scope::IS_THERE) =>
            {
                row(result)
            }
            _ => None,
        },
        other => fields(other),
    }
}

fn arguments(function: &ast::Function) -> Option<Vec<Expr>> {
    match &function.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            })
            .collect(),
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
    }
}

/// Two rows of one length.
fn pairs(left: Vec<Expr>, right: Vec<Expr>) -> Result<Vec<(Expr, Expr)>> {
    if left.len() != right.len() {
        return Err(mistake(SqlMistake::Syntax, "unequal number of entries in row expressions"));
    }
    if left.is_empty() {
        return Err(unsupported("comparison of rows of zero length"));
    }
    Ok(left.into_iter().zip(right).collect())
}

/// The first fields that differ decide; where a NULL is met before, nothing does.
fn compared(op: &BinaryOperator, left: Vec<Expr>, right: Vec<Expr>) -> Result<Expr> {
    let pairs = pairs(left, right)?;
    let strict = match op {
        BinaryOperator::Eq => return Ok(all(pairs.into_iter().map(|(left, right)| binary(left, BinaryOperator::Eq, right)))),
        BinaryOperator::NotEq => {
            return Ok(any(pairs.into_iter().map(|(left, right)| binary(left, BinaryOperator::NotEq, right)).collect()));
        }
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        BinaryOperator::Gt | BinaryOperator::GtEq => BinaryOperator::Gt,
        other => return Err(unsupported(format_args!("rows compared by {other}"))),
    };
    let mut pairs = pairs.into_iter().rev();
    let Some((left, right)) = pairs.next() else { return Err(unsupported("comparison of rows of zero length")) };
    let last = binary(left, op.clone(), right);
    Ok(pairs.fold(last, |rest, (left, right)| {
        let equal = binary(left.clone(), BinaryOperator::Eq, right.clone());
        let decides = binary(left, strict.clone(), right);
        nested(binary(decides, BinaryOperator::Or, nested(binary(equal, BinaryOperator::And, rest))))
    }))
}

fn distinct(left: Vec<Expr>, right: Vec<Expr>) -> Result<Expr> {
    let differ = |(left, right)| Expr::IsDistinctFrom(Box::new(left), Box::new(right));
    Ok(any(pairs(left, right)?.into_iter().map(differ).collect()))
}

/// `row = (SELECT a, b …)`: the one row's comparison, NULL without a row.
fn compared_subquery(op: &BinaryOperator, left: Vec<Expr>, query: &Query) -> Result<Expr> {
    let count = left.len();
    let comparison = compared(op, left, columns(count, query)?)?;
    Ok(Expr::Subquery(Box::new(over_rows(query, count, comparison, None))))
}

/// `row op ANY (SELECT …)` and `row op ALL (SELECT …)`: true, false or NULL.
fn quantified(op: &BinaryOperator, left: Vec<Expr>, query: &Query, any: bool) -> Result<Expr> {
    let decides = exists(op, left.clone(), query, if any { Test::True } else { Test::False }, false)?;
    let open = exists(op, left, query, Test::Null, false)?;
    let boolean = |value: bool| Expr::value(Value::Boolean(value));
    Ok(Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![
            CaseWhen { condition: decides, result: boolean(any) },
            CaseWhen { condition: open, result: Expr::value(Value::Null) },
        ],
        else_result: Some(Box::new(boolean(!any))),
    })
}

/// Which rows of a subquery count.
enum Test {
    True,
    False,
    Null,
    NotFalse,
}

fn exists(op: &BinaryOperator, left: Vec<Expr>, query: &Query, test: Test, negated: bool) -> Result<Expr> {
    let count = left.len();
    let comparison = compared(op, left, columns(count, query)?)?;
    let condition = match test {
        Test::True => comparison,
        Test::False => Expr::IsFalse(Box::new(nested(comparison))),
        Test::Null => Expr::IsNull(Box::new(nested(comparison))),
        Test::NotFalse => Expr::IsNotFalse(Box::new(nested(comparison))),
    };
    let one = Expr::value(Value::Number("1".to_owned(), false));
    Ok(Expr::Exists { subquery: Box::new(over_rows(query, count, one, Some(condition))), negated })
}

/// The names that the subquery's columns have in [`over_rows`].
fn columns(count: usize, query: &Query) -> Result<Vec<Expr>> {
    let plain = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    let width = match query.body.as_ref() {
        SetExpr::Select(select) if select.projection.iter().all(plain) => Some(select.projection.len()),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    };
    match width {
        Some(width) if width < count => Err(mistake(SqlMistake::Syntax, "subquery has too few columns")),
        Some(width) if width > count => Err(mistake(SqlMistake::Syntax, "subquery has too many columns")),
        _ => Ok((0..count).map(|at| Expr::CompoundIdentifier(vec![Ident::with_quote('"', ROWS), column(at)])).collect()),
    }
}

fn column(at: usize) -> Ident {
    Ident::with_quote('"', format!("#{at}"))
}

/// `SELECT item FROM (query) WHERE condition`, the query's columns under their [`columns`] names.
fn over_rows(query: &Query, count: usize, item: Expr, condition: Option<Expr>) -> Query {
    let names = (0..count).map(|at| TableAliasColumnDef { name: column(at), data_type: None }).collect();
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', ROWS), columns: names, at: None };
    let rows = TableFactor::Derived { lateral: false, subquery: Box::new(query.clone()), alias: Some(alias), sample: None };
    let mut body = select();
    body.projection = vec![SelectItem::ExprWithAlias { expr: item, alias: Ident::with_quote('"', "#compared") }];
    body.from = vec![TableWithJoins { relation: rows, joins: Vec::new() }];
    body.selection = condition;
    let mut outer = empty();
    *outer.body = SetExpr::Select(Box::new(body));
    outer
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}

/// True for no conditions.
fn all(conditions: impl Iterator<Item = Expr>) -> Expr {
    let all = conditions.reduce(|left, right| binary(left, BinaryOperator::And, right));
    all.map_or_else(|| Expr::value(Value::Boolean(true)), nested)
}

fn any(conditions: Vec<Expr>) -> Expr {
    let any = conditions.into_iter().reduce(|left, right| binary(left, BinaryOperator::Or, right));
    any.map_or_else(|| Expr::value(Value::Boolean(false)), nested)
}
