//! Hypothetical-set aggregates: where a row would stand among those of the group. They count rows that sort before it, so they become
//! counts: `rank(x) WITHIN GROUP (ORDER BY y)` is `1 + count(*) FILTER (WHERE y sorts before x)` (`hypothetical_rank_common`).

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, BinaryOperator, CaseWhen, CastKind, DataType, DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    OrderByExpr, Value, VisitorMut,
};

use super::grouping_sets::count_all;
use super::{Flow, call, function_name};

pub struct HypotheticalSets;

impl VisitorMut for HypotheticalSets {
    type Break = Box<datafusion::error::DataFusionError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::Function(function) = expr
            && let Some(counted) = counted(function)
        {
            *expr = Expr::Nested(Box::new(counted));
        }
        ControlFlow::Continue(())
    }
}

/// `None` for other functions, and where there are not as many values as sort keys: there is no such function then.
fn counted(function: &ast::Function) -> Option<Expr> {
    if function.within_group.is_empty() || function.over.is_some() {
        return None;
    }
    let name = function_name(&function.name)?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let value = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let values: Vec<Expr> = list.args.iter().map(value).collect::<Option<_>>()?;
    let keys: Vec<Key> = function.within_group.iter().zip(values.iter().cloned()).map(|(key, value)| Key::new(key, value)).collect();
    if values.len() != function.within_group.len() {
        return None;
    }
    let only = |condition: Expr| match &function.filter {
        Some(filter) => both(Expr::Nested(filter.clone()), condition),
        None => condition,
    };
    let all = || match &function.filter {
        Some(filter) => filtered(count_all(), filter.as_ref().clone()),
        None => count_all(),
    };
    let before = || filtered(count_all(), only(sorts_before(&keys)));
    let one = || number("1");
    Some(match name.as_str() {
        "rank" => binary(one(), BinaryOperator::Plus, before()),
        "dense_rank" => {
            let [key] = keys.as_slice() else { return None };
            let mut distinct = call("count", vec![key.sorted.clone()]);
            if let Expr::Function(function) = &mut distinct
                && let FunctionArguments::List(list) = &mut function.args
            {
                list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
            }
            let condition = only(sorts_before(&keys));
            let nulls = filtered(count_all(), both(Expr::Nested(Box::new(condition.clone())), is_null(&key.sorted)));
            // NULLs are one more value.
            let null = call("least", vec![nulls, one()]);
            binary(binary(one(), BinaryOperator::Plus, filtered(distinct, condition)), BinaryOperator::Plus, null)
        }
        "percent_rank" => {
            let share = binary(double(before()), BinaryOperator::Divide, double(all()));
            let none = binary(all(), BinaryOperator::Eq, number("0"));
            case(vec![(none, double(number("0")))], share)
        }
        "cume_dist" => {
            let not_after = binary(Expr::Nested(Box::new(sorts_before(&keys))), BinaryOperator::Or, Expr::Nested(Box::new(same(&keys))));
            let counted = filtered(count_all(), only(Expr::Nested(Box::new(not_after))));
            let up_to = double(Expr::Nested(Box::new(binary(one(), BinaryOperator::Plus, counted))));
            let of = double(Expr::Nested(Box::new(binary(one(), BinaryOperator::Plus, all()))));
            binary(up_to, BinaryOperator::Divide, of)
        }
        _ => return None,
    })
}

/// A sort key, and the value that the row has there.
struct Key {
    sorted: Expr,
    value: Expr,
    descends: bool,
    nulls_first: bool,
}

impl Key {
    fn new(key: &OrderByExpr, value: Expr) -> Key {
        let descends = key.options.asc == Some(false);
        let nested = |expr: &Expr| Expr::Nested(Box::new(expr.clone()));
        Key { sorted: nested(&key.expr), value: nested(&value), descends, nulls_first: key.options.nulls_first.unwrap_or(descends) }
    }

    fn before(&self) -> Expr {
        let op = if self.descends { BinaryOperator::Gt } else { BinaryOperator::Lt };
        let compared = binary(self.sorted.clone(), op, self.value.clone());
        let when_null = if self.nulls_first { Expr::IsNotNull(Box::new(self.value.clone())) } else { boolean(false) };
        case(vec![(is_null(&self.sorted), when_null), (is_null(&self.value), boolean(!self.nulls_first))], compared)
    }

    fn same(&self) -> Expr {
        Expr::IsNotDistinctFrom(Box::new(self.sorted.clone()), Box::new(self.value.clone()))
    }
}

fn sorts_before(keys: &[Key]) -> Expr {
    let Some((first, rest)) = keys.split_first() else { return boolean(false) };
    if rest.is_empty() {
        return first.before();
    }
    let later = both(first.same(), Expr::Nested(Box::new(sorts_before(rest))));
    Expr::Nested(Box::new(binary(first.before(), BinaryOperator::Or, Expr::Nested(Box::new(later)))))
}

fn same(keys: &[Key]) -> Expr {
    keys.iter().map(Key::same).reduce(both).unwrap_or_else(|| boolean(true))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn both(left: Expr, right: Expr) -> Expr {
    binary(left, BinaryOperator::And, right)
}

fn is_null(expr: &Expr) -> Expr {
    Expr::IsNull(Box::new(expr.clone()))
}

fn boolean(value: bool) -> Expr {
    Expr::value(Value::Boolean(value))
}

fn number(text: &str) -> Expr {
    Expr::value(Value::Number(text.to_owned(), false))
}

fn double(expr: Expr) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type: DataType::DoublePrecision, array: false, format: None }
}

fn case(arms: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: arms.into_iter().map(|(condition, result)| CaseWhen { condition, result }).collect(),
        else_result: Some(Box::new(otherwise)),
    }
}

fn filtered(mut aggregate: Expr, condition: Expr) -> Expr {
    if let Expr::Function(function) = &mut aggregate {
        function.filter = Some(Box::new(condition));
    }
    aggregate
}
