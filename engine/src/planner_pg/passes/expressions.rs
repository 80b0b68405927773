//! Expressions written in ways of their own: COLLATE, AT TIME ZONE, INTERVAL, `op ANY (array)`, fields of a call's result.

use std::ops::ControlFlow;

use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{
    self, AccessExpr, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval, ObjectNamePart,
    Subscript, UnaryOperator, Value, ValueWithSpan, VisitorMut, WindowFrameBound, WindowType,
};

use super::{Flow, call, folded, string, take};
use crate::functions::error::{mistake, unsupported};

/// The precision of an interval that stands in a frame, which no statement can ask for.
const OF_FRAME: u64 = u64::MAX;

pub struct Expressions;

impl VisitorMut for Expressions {
    type Break = Box<datafusion::error::DataFusionError>;

    /// The planner reads the offsets of a frame by itself, as text of an interval.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            access_chain.iter_mut().for_each(whole_slice);
        }
        if let Expr::Cast { expr: inner, .. } = expr
            && matches!(inner.as_ref(), Expr::Array(array) if array.elem.is_empty())
        {
            **inner = string("{}");
        }
        if let Expr::Array(array) = expr
            && array.elem.is_empty()
        {
            let message = "cannot determine type of empty array";
            return ControlFlow::Break(Box::new(mistake(SqlMistake::IndeterminateDatatype, message)));
        }
        if let Expr::Function(Function { over: Some(WindowType::WindowSpec(spec)), .. }) = expr
            && let Some(frame) = &mut spec.window_frame
        {
            for bound in std::iter::once(&mut frame.start_bound).chain(frame.end_bound.as_mut()) {
                let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) = bound else { continue };
                if let Expr::Interval(interval) = offset.as_mut() {
                    match interval_text(interval) {
                        Ok(text) => {
                            let (value, fractional_seconds_precision) = (Box::new(string(text)), Some(OF_FRAME));
                            *interval = Interval {
                                value,
                                leading_field: None,
                                leading_precision: None,
                                last_field: None,
                                fractional_seconds_precision,
                            };
                        }
                        Err(error) => return ControlFlow::Break(Box::new(error)),
                    }
                }
            }
        }
        ControlFlow::Continue(())
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

/// `a[:2]` begins at the first element, `a[2:]` ends with the last.
fn whole_slice(access: &mut AccessExpr) {
    let AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) = access else { return };
    let number = |value: i32| Expr::value(Value::Number(value.to_string(), false));
    lower_bound.get_or_insert_with(|| number(1));
    upper_bound.get_or_insert_with(|| number(i32::MAX));
}

fn rewritten(expr: &mut Expr) -> datafusion::common::Result<Option<Expr>> {
    Ok(match expr {
        Expr::Collate { expr: inner, collation } => {
            let name = collation.0.last().and_then(ObjectNamePart::as_ident).map(|ident| ident.value.clone()).unwrap_or_default();
            // All of them compare bytes, as everything here does.
            if !matches!(name.to_ascii_lowercase().as_str(), "default" | "c" | "posix" | "ucs_basic") {
                return Err(mistake(
                    SqlMistake::UndefinedObject,
                    format_args!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
                ));
            }
            Some(take(inner))
        }
        Expr::AtTimeZone { timestamp, time_zone } => Some(call("timezone", vec![take(time_zone), take(timestamp)])),
        Expr::Interval(interval) if interval.fractional_seconds_precision == Some(OF_FRAME) => None,
        Expr::Interval(interval) => Some(interval_literal(interval)?),
        Expr::AnyOp { left, compare_op, right, .. } if !matches!(right.as_ref(), Expr::Subquery(_)) => {
            Some(call("#any", vec![take(left), string(compare_op.to_string()), take(right)]))
        }
        Expr::AllOp { left, compare_op, right } if !matches!(right.as_ref(), Expr::Subquery(_)) => {
            Some(call("#all", vec![take(left), string(compare_op.to_string()), take(right)]))
        }
        Expr::Like { any, negated, expr: left, pattern, escape_char: None } => {
            let operator = if *negated { "!~~" } else { "~~" };
            like_quantified(*any, operator, left, pattern)
        }
        Expr::ILike { any, negated, expr: left, pattern, escape_char: None } => {
            let operator = if *negated { "!~~*" } else { "~~*" };
            like_quantified(*any, operator, left, pattern)
        }
        Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr: inner } => Some(call("#bitnot", vec![take(inner)])),
        Expr::CompoundFieldAccess { root, access_chain } if !matches!(root.as_ref(), Expr::Identifier(_)) => {
            for access in access_chain {
                if let AccessExpr::Dot(field) = access
                    && let Expr::Identifier(name) = field
                {
                    *field = string(folded(name));
                }
            }
            None
        }
        Expr::Identifier(name) if name.quote_style.is_none() => match name.value.to_ascii_lowercase().as_str() {
            keyword @ ("current_schema" | "current_role" | "current_catalog" | "localtime" | "localtimestamp") => {
                Some(call(keyword, Vec::new()))
            }
            _ => None,
        },
        Expr::Value(ValueWithSpan { value, .. }) => {
            match value {
                // Without an exponent that long, a number is planned as a decimal.
                Value::Number(text, _) if beyond_decimals(text) => return Ok(Some(double_precision(std::mem::take(text)))),
                Value::UnicodeStringLiteral(text) | Value::NationalStringLiteral(text) => {
                    let text = std::mem::take(text);
                    *value = Value::SingleQuotedString(text);
                }
                Value::HexStringLiteral(_) | Value::SingleQuotedByteStringLiteral(_) => return Err(unsupported("bit strings")),
                _ => {}
            }
            None
        }
        Expr::Function(function) => {
            // information_schema's helpers have no name without their schema in PostgreSQL; no other function has theirs.
            if let [ObjectNamePart::Identifier(schema), _] = function.name.0.as_slice()
                && matches!(folded(schema).as_str(), "information_schema" | "pg_catalog")
            {
                function.name.0.remove(0);
            }
            None
        }
        _ => None,
    })
}

/// `x LIKE ANY (array)` and `x LIKE ALL (array)`, which the parser takes for a call.
fn like_quantified(any: bool, operator: &str, left: &mut Expr, pattern: &mut Expr) -> Option<Expr> {
    if any {
        return Some(call("#any", vec![take(left), string(operator), take(pattern)]));
    }
    let Expr::Function(function) = pattern else { return None };
    let FunctionArguments::List(list) = &mut function.args else { return None };
    match list.args.as_mut_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] if super::function_name(&function.name).as_deref() == Some("all") => {
            Some(call("#all", vec![take(left), string(operator), take(array)]))
        }
        _ => None,
    }
}

/// Whether a number has more digits before or after its point than decimals have together.
fn beyond_decimals(text: &str) -> bool {
    const DIGITS_MAX: i64 = 76;
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(i64::MAX / 2);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let length = |part: &str| i64::try_from(part.len()).unwrap_or(i64::MAX / 2);
    length(whole.trim_start_matches('0')) + exponent > DIGITS_MAX || length(fraction) - exponent > DIGITS_MAX
}

fn double_precision(number: String) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(string(number)),
        data_type: DataType::DoublePrecision,
        array: false,
        format: None::<ast::CastFormat>,
    }
}

/// `INTERVAL '…' [unit]` is a cast of the text.
fn interval_literal(interval: &mut Interval) -> datafusion::common::Result<Expr> {
    let text = interval_text(interval)?;
    Ok(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(string(text)),
        data_type: DataType::Interval { fields: None, precision: None },
        array: false,
        format: None::<ast::CastFormat>,
    })
}

fn interval_text(interval: &Interval) -> datafusion::common::Result<String> {
    let Interval { value, leading_field, leading_precision, last_field, fractional_seconds_precision } = interval;
    if leading_precision.is_some() || last_field.is_some() || fractional_seconds_precision.is_some() {
        return Err(unsupported("INTERVAL with a range of fields or a precision"));
    }
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text), .. }) = value.as_ref()
    else {
        return Err(mistake(SqlMistake::Syntax, "INTERVAL takes a string"));
    };
    // A unit applies where the text has none.
    Ok(match leading_field {
        Some(unit) if !text.contains(|c: char| c.is_ascii_alphabetic() || c == ':') => format!("{text} {unit}"),
        _ => text.clone(),
    })
}
