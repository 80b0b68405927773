//! Calls in notations of their own: named arguments, OVERLAPS, prefix operators that are functions, LIKE … ESCAPE.

use std::ops::ControlFlow;

use datafusion::common::Result;
use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentClause,
    FunctionArguments, TimezoneInfo, UnaryOperator, Value, ValueWithSpan, VisitorMut,
};

use super::{Flow, call, folded, function_name, string, take};
use crate::functions::Registry;
use crate::functions::advisory::WAITING;
use crate::functions::error::mistake;
use crate::functions::string::like_escape;
use crate::planner_pg::AGGREGATES;

pub struct Calls;

impl VisitorMut for Calls {
    type Break = Box<datafusion::error::DataFusionError>;

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

/// `array_agg(x ORDER BY 1)` is in no order: in a call a number is a constant, not a position (`transformAggregateCall`).
fn drop_constant_keys(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    for clause in &mut list.clauses {
        if let FunctionArgumentClause::OrderBy(keys) = clause {
            keys.retain(|key| !matches!(&key.expr, Expr::Value(ValueWithSpan { value: Value::Number(..), .. })));
        }
    }
    list.clauses.retain(|clause| !matches!(clause, FunctionArgumentClause::OrderBy(keys) if keys.is_empty()));
}

fn rewritten(expr: &mut Expr) -> Result<Option<Expr>> {
    match expr {
        Expr::Function(function) => {
            if let Some(time) = current_time(function)? {
                return Ok(Some(time));
            }
            drop_constant_keys(function);
            check_over(function)?;
            lock_numbers(function);
            positional(function).map(|()| None)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Overlaps, right } => match (left.as_mut(), right.as_mut()) {
            (Expr::Tuple(first), Expr::Tuple(second)) if first.len() == 2 && second.len() == 2 => {
                Ok(Some(call("overlaps", first.iter_mut().chain(second).map(take).collect())))
            }
            _ => Err(mistake(SqlMistake::Syntax, "wrong number of parameters on left or right side of OVERLAPS expression")),
        },
        Expr::UnaryOp { op, expr: inner } => Ok(match op {
            UnaryOperator::PGSquareRoot => Some(call("sqrt", vec![double(take(inner))])),
            UnaryOperator::PGCubeRoot => Some(call("cbrt", vec![double(take(inner))])),
            UnaryOperator::PGAbs => Some(call("abs", vec![take(inner)])),
            _ => None,
        }),
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            let Some(escape) = escape_char.take().and_then(|escape| escape.value.into_string()) else { return Ok(None) };
            // A literal stays one, so that its prefix prunes.
            **pattern = match pattern.as_ref() {
                Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text), .. }) => {
                    string(like_escape(text, &escape)?)
                }
                _ => call("like_escape", vec![take(pattern), string(escape)]),
            };
            Ok(None)
        }
        Expr::Cast { expr: inner, data_type, .. } if is_float(data_type) => {
            // Read as a float, not first as a number of up to 308 digits.
            if let Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) = inner.as_ref()
                && text.contains(['e', 'E'])
            {
                **inner = string(text.to_string());
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// OVER is for aggregates and window functions.
fn check_over(function: &Function) -> Result<()> {
    let name = function_name(&function.name).filter(|_| function.over.is_some());
    match name.filter(|name| Registry::is_scalar(name) && !AGGREGATES.contains_key(name)) {
        Some(name) => Err(mistake(
            SqlMistake::WrongObjectType,
            format_args!("OVER specified, but {name} is not a window function nor an aggregate function"),
        )),
        None => Ok(()),
    }
}

/// `CURRENT_TIMESTAMP(n)` and its kin: the time, rounded.
fn current_time(function: &mut Function) -> Result<Option<Expr>> {
    let (name, zone) = match function_name(&function.name).as_deref() {
        Some("current_timestamp") => ("current_timestamp", TimezoneInfo::WithTimeZone),
        Some("localtimestamp") => ("localtimestamp", TimezoneInfo::None),
        Some("localtime") => ("localtime", TimezoneInfo::None),
        _ => return Ok(None),
    };
    let FunctionArguments::List(list) = &mut function.args else { return Ok(None) };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(digits)))] = list.args.as_slice() else { return Ok(None) };
    let Value::Number(digits, _) = &digits.value else { return Ok(None) };
    let Ok(digits) = digits.parse::<u64>() else { return Err(mistake(SqlMistake::Syntax, "a precision is a whole number")) };
    let digits = Some(digits.min(6));
    let data_type = if name == "localtime" { DataType::Time(digits, zone) } else { DataType::Timestamp(digits, zone) };
    let now = Box::new(call(name, Vec::new()));
    Ok(Some(Expr::Cast { kind: CastKind::Cast, expr: now, data_type, array: false, format: None }))
}

/// What waits for an advisory lock takes its numbers as they are: a bigint or two integers.
fn lock_numbers(function: &mut Function) {
    let waits = function_name(&function.name).is_some_and(|name| WAITING.contains(&name.as_str()));
    let FunctionArguments::List(list) = &mut function.args else { return };
    if !waits {
        return;
    }
    let data_type = if list.args.len() == 1 { DataType::BigInt(None) } else { DataType::Int4(None) };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(number)) = arg {
            let expr = Box::new(take(number));
            *number = Expr::Cast { kind: CastKind::Cast, expr, data_type: data_type.clone(), array: false, format: None };
        }
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(_) | DataType::Float(_) | DataType::Float4 | DataType::Real
    )
}

fn double(expr: Expr) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type: DataType::DoublePrecision, array: false, format: None }
}

/// A parameter's name, and its default where it has one.
type Parameter = (&'static str, Option<Fallback>);

#[derive(Debug, Clone, Copy)]
enum Fallback {
    Zero,
    True,
    False,
    Text(&'static str),
}

impl Fallback {
    fn expr(self) -> Expr {
        match self {
            Fallback::Zero => Expr::value(Value::Number("0".to_owned(), false)),
            Fallback::True => Expr::value(Value::Boolean(true)),
            Fallback::False => Expr::value(Value::Boolean(false)),
            Fallback::Text(text) => string(text),
        }
    }
}

/// Functions whose parameters have names (`pg_proc.proargnames`).
fn parameters(name: &str) -> Option<Vec<&'static [Parameter]>> {
    use Fallback::{False, Text, True, Zero};
    Some(match name {
        "make_date" => vec![&[("year", None), ("month", None), ("day", None)]],
        "make_time" => vec![&[("hour", None), ("min", None), ("sec", None)]],
        "make_timestamp" => vec![&[("year", None), ("month", None), ("mday", None), ("hour", None), ("min", None), ("sec", None)]],
        "make_timestamptz" => vec![
            &[("year", None), ("month", None), ("mday", None), ("hour", None), ("min", None), ("sec", None)],
            &[("year", None), ("month", None), ("mday", None), ("hour", None), ("min", None), ("sec", None), ("timezone", None)],
        ],
        "make_interval" => vec![&[
            ("years", Some(Zero)),
            ("months", Some(Zero)),
            ("weeks", Some(Zero)),
            ("days", Some(Zero)),
            ("hours", Some(Zero)),
            ("mins", Some(Zero)),
            ("secs", Some(Zero)),
        ]],
        "jsonb_set" => vec![&[("jsonb_in", None), ("path", None), ("replacement", None), ("create_if_missing", Some(True))]],
        "jsonb_insert" => vec![&[("jsonb_in", None), ("path", None), ("replacement", None), ("insert_after", Some(False))]],
        "jsonb_set_lax" => vec![&[
            ("jsonb_in", None),
            ("path", None),
            ("replacement", None),
            ("create_if_missing", Some(True)),
            ("null_value_treatment", Some(Text("use_json_null"))),
        ]],
        _ => return None,
    })
}

/// Named arguments into their places, defaults into the gaps. Positional calls stay as they are written.
fn positional(function: &mut Function) -> Result<()> {
    let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
    for arg in &mut list.args {
        // `name := value`, which the parser takes for an operator.
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op: BinaryOperator::Assignment, right })) = arg
            && let Expr::Identifier(name) = left.as_ref()
        {
            let (name, value) = (name.clone(), take(right));
            *arg = FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), operator: FunctionArgOperator::Assignment };
        }
    }
    if list.args.iter().all(|arg| matches!(arg, FunctionArg::Unnamed(_))) {
        return Ok(());
    }
    let name = function_name(&function.name).unwrap_or_else(|| function.name.to_string());
    let undefined = || mistake(SqlMistake::UndefinedFunction, format_args!("function {name} with these named arguments does not exist"));
    for shape in parameters(&name).unwrap_or_default() {
        if let Some(args) = placed(&list.args, shape)? {
            list.args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
            return Ok(());
        }
    }
    Err(undefined())
}

/// The arguments in a shape's order; `None` where they do not fit it.
fn placed(args: &[FunctionArg], shape: &[Parameter]) -> Result<Option<Vec<Expr>>> {
    let mut places: Vec<Option<Expr>> = vec![None; shape.len()];
    let mut named = false;
    for (at, arg) in args.iter().enumerate() {
        let (at, arg) = match arg {
            FunctionArg::Unnamed(_) if named => {
                return Err(mistake(SqlMistake::Syntax, "positional argument cannot follow named argument"));
            }
            FunctionArg::Unnamed(arg) => (Some(at), arg),
            FunctionArg::Named { name, arg, .. } | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                named = true;
                let name = folded(name);
                (shape.iter().position(|(parameter, _)| *parameter == name), arg)
            }
            FunctionArg::ExprNamed { .. } => return Ok(None),
        };
        let (Some(place), FunctionArgExpr::Expr(expr)) = (at.and_then(|at| places.get_mut(at)), arg) else { return Ok(None) };
        if place.replace(expr.clone()).is_some() {
            return Ok(None);
        }
    }
    Ok(places.into_iter().zip(shape).map(|(place, (_, default))| place.or_else(|| default.map(Fallback::expr))).collect())
}

#[cfg(test)]
mod tests {
    use sqlparser::ast::VisitMut;
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::parser::Parser;

    use super::*;

    fn rewrite(sql: &str) -> std::result::Result<String, String> {
        let mut expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
        match expr.visit(&mut Calls) {
            ControlFlow::Continue(()) => Ok(expr.to_string()),
            ControlFlow::Break(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn named_arguments_take_their_places() {
        assert_eq!(rewrite("make_interval(days => 3, hours => 4)").unwrap(), "make_interval(0, 0, 0, 3, 4, 0, 0)");
        assert_eq!(rewrite("make_interval(1, secs := 2)").unwrap(), "make_interval(1, 0, 0, 0, 0, 0, 2)");
        assert_eq!(rewrite("make_date(day => 3, month => 2, year => 1)").unwrap(), "make_date(1, 2, 3)");
        assert_eq!(rewrite("make_interval(1, 2)").unwrap(), "make_interval(1, 2)");
        assert!(rewrite("make_date(day => 3)").is_err());
        assert!(rewrite("make_date(dag => 3, month => 2, year => 1)").is_err());
        assert!(rewrite("lower(x => 'A')").is_err());
    }

    #[test]
    fn operators_that_are_functions() {
        assert_eq!(rewrite("(a, b) OVERLAPS (c, d)").unwrap(), "\"overlaps\"(a, b, c, d)");
        assert_eq!(rewrite("@ x").unwrap(), "\"abs\"(x)");
        assert_eq!(rewrite("x LIKE 'a#%%' ESCAPE '#'").unwrap(), r"x LIKE 'a\%%'");
    }
}
