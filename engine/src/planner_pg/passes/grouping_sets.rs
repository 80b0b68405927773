//! Sets of groups as PostgreSQL multiplies them out (`expand_grouping_sets`): `GROUP BY ()`, ROLLUP and CUBE inside GROUPING SETS, columns that
//! several elements name. Plain ROLLUP, CUBE and GROUPING SETS are DataFusion's.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Select, SelectItem, Value, VisitorMut};

use super::{Flow, folded};
use crate::functions::error::{mistake, unsupported};
use lakegate_engine_api::SqlMistake;

/// Most sets of a grouping.
const SETS_MAX: usize = 4_096;

pub struct GroupingSets;

impl VisitorMut for GroupingSets {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> Flow {
        let Some(ast::OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order_by| &order_by.kind) else {
            return ControlFlow::Continue(());
        };
        match keys.iter().find_map(|key| not_a_constant(&key.expr, "ORDER BY")) {
            Some(error) => ControlFlow::Break(Box::new(error)),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else { return ControlFlow::Continue(()) };
        if let Some(error) = keys.iter().find_map(|key| not_a_constant(key, "GROUP BY")) {
            return ControlFlow::Break(Box::new(error));
        }
        if keys.is_empty()
            && modifiers.is_empty()
            && let Some(having) = select.having.take()
        {
            // Makes one group, whatever the condition is.
            let always = Expr::BinaryOp { left: Box::new(count_all()), op: ast::BinaryOperator::GtEq, right: Box::new(number("0")) };
            let having = Box::new(Expr::Nested(Box::new(having)));
            select.having = Some(Expr::BinaryOp { left: having, op: ast::BinaryOperator::And, right: Box::new(always) });
            return ControlFlow::Continue(());
        }
        if let Some(error) = keys.iter().filter_map(parts_of).flatten().find_map(|part| not_a_group(part, &select.projection)) {
            return ControlFlow::Break(Box::new(error));
        }
        if !modifiers.is_empty() || !needs_expansion(keys) {
            return ControlFlow::Continue(());
        }
        let keys: Vec<Expr> = keys.clone();
        let mut sets: Vec<Vec<Expr>> = vec![Vec::new()];
        for key in &keys {
            let more = sets_of(key, &select.projection);
            if sets.len().saturating_mul(more.len()) > SETS_MAX {
                let text = format!("more than {SETS_MAX} grouping sets");
                return ControlFlow::Break(Box::new(unsupported(text)));
            }
            sets = sets.iter().flat_map(|set| more.iter().map(move |next| joined(set, next))).collect();
        }
        let grouped = match sets.as_slice() {
            [only] => only.clone(),
            _ => vec![Expr::GroupingSets(sets)],
        };
        if grouped.is_empty() {
            // One group, of whatever rows there are.
            let always = Expr::BinaryOp { left: Box::new(count_all()), op: ast::BinaryOperator::GtEq, right: Box::new(number("0")) };
            select.having = Some(match select.having.take() {
                None => always,
                Some(having) => {
                    Expr::BinaryOp { left: Box::new(Expr::Nested(Box::new(having))), op: ast::BinaryOperator::And, right: Box::new(always) }
                }
            });
        }
        select.group_by = GroupByExpr::Expressions(grouped, Vec::new());
        ControlFlow::Continue(())
    }
}

/// A key that is a constant and no position.
fn not_a_constant(key: &Expr, clause: &str) -> Option<datafusion::error::DataFusionError> {
    let Expr::Value(value) = key else { return None };
    let constant = !matches!(value.value, Value::Number(..) | Value::Placeholder(_));
    constant.then(|| mistake(SqlMistake::Syntax, format_args!("non-integer constant in {clause}")))
}

/// What a set of groups names.
fn parts_of(key: &Expr) -> Option<Vec<&Expr>> {
    match key {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => Some(sets.iter().flatten().collect()),
        _ => None,
    }
}

/// Constants are positions (`findTargetlistEntrySQL92`).
fn not_a_group(part: &Expr, projection: &[SelectItem]) -> Option<datafusion::error::DataFusionError> {
    let (value, negative) = match part {
        Expr::Value(value) => (&value.value, false),
        Expr::Nested(inner) => return not_a_group(inner, projection),
        Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => (&value.value, true),
            _ => return None,
        },
        _ => return None,
    };
    let Value::Number(digits, _) = value else {
        let constant = !matches!(value, Value::Placeholder(_));
        return constant.then(|| mistake(SqlMistake::Syntax, "non-integer constant in GROUP BY"));
    };
    let Ok(position) = digits.parse::<i32>() else { return Some(mistake(SqlMistake::Syntax, "non-integer constant in GROUP BY")) };
    let wildcard = projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let there = !negative && usize::try_from(position).is_ok_and(|position| (1..=projection.len()).contains(&position) || wildcard);
    let sign = if negative { "-" } else { "" };
    let message = format!("GROUP BY position {sign}{position} is not in select list");
    (!there).then(|| mistake(SqlMistake::InvalidColumnReference, message))
}

fn needs_expansion(keys: &[Expr]) -> bool {
    let is_set = |key: &Expr| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_));
    let is_list = |key: &Expr| match key {
        Expr::Tuple(_) => true,
        Expr::Rollup(parts) | Expr::Cube(parts) => parts.iter().any(|part| part.len() != 1),
        _ => false,
    };
    let is_position = |part: &&Expr| matches!(part, Expr::Value(value) if matches!(value.value, Value::Number(..)));
    let has_positions = keys.iter().filter_map(parts_of).flatten().any(|part| is_position(&part));
    if has_positions || keys.iter().any(is_list) {
        return true;
    }
    if !keys.iter().any(is_set) {
        return false;
    }
    let is_nested =
        |key: &Expr| matches!(key, Expr::GroupingSets(sets) if sets.iter().any(|set| set.iter().any(|part| nested(part).is_some())));
    if keys.iter().any(is_nested) {
        return true;
    }
    // Named by several elements, or twice in one set.
    let mut all: Vec<&Expr> = Vec::new();
    for key in keys {
        let parts: Vec<&Expr> = match key {
            Expr::Rollup(parts) | Expr::Cube(parts) => parts.iter().flatten().collect(),
            Expr::GroupingSets(sets) => {
                if sets.iter().any(|set| (1..set.len()).any(|at| set[..at].contains(&set[at]))) {
                    return true;
                }
                let mut named: Vec<&Expr> = Vec::new();
                sets.iter().flatten().for_each(|part| {
                    if !named.contains(&part) {
                        named.push(part);
                    }
                });
                named
            }
            other => vec![other],
        };
        if parts.iter().any(|part| all.contains(part)) || (1..parts.len()).any(|at| parts[..at].contains(&parts[at])) {
            return true;
        }
        all.extend(parts);
    }
    false
}

/// The sets that an element of GROUP BY stands for.
fn sets_of(key: &Expr, projection: &[SelectItem]) -> Vec<Vec<Expr>> {
    let named = |parts: &[Expr]| -> Vec<Expr> {
        parts.iter().fold(Vec::new(), |set, part| joined(&set, std::slice::from_ref(&at_position(part, projection))))
    };
    match key {
        Expr::Rollup(parts) => (0..=parts.len()).rev().map(|count| named(&parts[..count].concat())).collect(),
        Expr::Cube(parts) => (0..1_usize << parts.len().min(13))
            .rev()
            .map(|chosen| {
                let last = parts.len().saturating_sub(1);
                let kept = parts.iter().enumerate().filter(|(at, _)| chosen >> (last - at) & 1 == 1);
                named(&kept.flat_map(|(_, part)| part.iter().cloned()).collect::<Vec<_>>())
            })
            .collect(),
        Expr::GroupingSets(sets) => sets
            .iter()
            .flat_map(|set| match set.as_slice() {
                [one] => nested(one).map_or_else(|| vec![named(set)], |inner| sets_of(&inner, projection)),
                _ => vec![named(set)],
            })
            .collect(),
        Expr::Tuple(parts) => vec![named(parts)],
        other => vec![named(std::slice::from_ref(other))],
    }
}

/// ROLLUP and CUBE inside GROUPING SETS come as calls.
fn nested(expr: &Expr) -> Option<Expr> {
    if matches!(expr, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)) {
        return Some(expr.clone());
    }
    let Expr::Function(function) = expr else { return None };
    let [name] = function.name.0.as_slice() else { return None };
    let name = name.as_ident().filter(|name| name.quote_style.is_none()).map(folded)?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let part = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(parts))) => Some(parts.clone()),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Nested(part))) => Some(vec![part.as_ref().clone()]),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) => Some(vec![part.clone()]),
        _ => None,
    };
    let parts: Option<Vec<Vec<Expr>>> = list.args.iter().map(part).collect();
    match name.as_str() {
        "rollup" => Some(Expr::Rollup(parts?)),
        "cube" => Some(Expr::Cube(parts?)),
        _ => None,
    }
}

/// Each expression once.
fn joined(set: &[Expr], more: &[Expr]) -> Vec<Expr> {
    let mut joined = set.to_vec();
    for expr in more {
        if !joined.contains(expr) {
            joined.push(expr.clone());
        }
    }
    joined
}

/// What a number of a column stands for.
fn at_position(key: &Expr, projection: &[SelectItem]) -> Expr {
    let position = match key {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse::<usize>().ok().and_then(|position| position.checked_sub(1)),
            _ => None,
        },
        Expr::Nested(inner) => return at_position(inner, projection),
        _ => None,
    };
    match position.and_then(|position| projection.get(position)) {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => expr.clone(),
        _ => key.clone(),
    }
}

fn number(text: &str) -> Expr {
    Expr::value(Value::Number(text.to_owned(), false))
}

/// `count(*)`.
pub fn count_all() -> Expr {
    let mut call = super::call("count", Vec::new());
    if let Expr::Function(function) = &mut call
        && let FunctionArguments::List(list) = &mut function.args
    {
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    }
    call
}
