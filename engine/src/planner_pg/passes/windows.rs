//! Windows as PostgreSQL's parser leaves them (`transformWindowDefinitions`, `transformFrameOffset`): one that goes on from a named one takes
//! over what that one says, each stands where it is used, and frames that cannot be are refused.

use std::ops::ControlFlow;

use lakegate_engine_api::{DataError, SqlMistake, frame_marks};
use sqlparser::ast::{
    self, BinaryOperator, Expr, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, UnaryOperator, Value, Visit, VisitMut,
    Visitor, VisitorMut, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use super::{Flow, folded, function_name};
use crate::functions::error::{data, mistake, mistake_hint, unsupported};
use datafusion::common::Result;
use datafusion::error::DataFusionError;

/// Functions that are nothing without OVER.
const WINDOWS_ONLY: [&str; 7] = ["row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value"];

const ORDERED_SETS: [&str; 3] = ["percentile_cont", "percentile_disc", "mode"];

pub struct Windows;

impl VisitorMut for Windows {
    type Break = Box<DataFusionError>;

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        if let Some(having) = &select.having
            && calls_window(having)
        {
            let message = "window functions are not allowed in HAVING";
            return ControlFlow::Break(Box::new(mistake(SqlMistake::Windowing, message)));
        }
        let windows = match resolved(&select.named_window) {
            Ok(windows) => windows,
            Err(error) => return ControlFlow::Break(Box::new(error)),
        };
        let mut places = Placed { windows: &windows };
        VisitMut::visit(&mut select.projection, &mut places)?;
        VisitMut::visit(&mut select.distinct, &mut places)?;
        let spelled = |(name, spec): (ast::Ident, WindowSpec)| NamedWindowDefinition(name, NamedWindowExpr::WindowSpec(spec));
        select.named_window = windows.into_iter().map(spelled).collect();
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        // They are whole by now.
        let spec = |NamedWindowDefinition(name, window): NamedWindowDefinition| match window {
            NamedWindowExpr::WindowSpec(spec) => Some((name, spec)),
            NamedWindowExpr::NamedWindow(_) => None,
        };
        let windows: Vec<(ast::Ident, WindowSpec)> = std::mem::take(&mut select.named_window).into_iter().filter_map(spec).collect();
        VisitMut::visit(&mut query.order_by, &mut Placed { windows: &windows })
    }
}

/// The windows of WINDOW, each with what it takes over from others.
fn resolved(definitions: &[NamedWindowDefinition]) -> Result<Vec<(ast::Ident, WindowSpec)>> {
    let mut windows: Vec<(ast::Ident, WindowSpec)> = Vec::new();
    for NamedWindowDefinition(name, window) in definitions {
        if find(&windows, name).is_some() {
            let message = format!("window \"{}\" is already defined", folded(name));
            return Err(mistake(SqlMistake::Windowing, message));
        }
        let spec = match window {
            NamedWindowExpr::WindowSpec(spec) => whole(spec, &windows)?,
            NamedWindowExpr::NamedWindow(_) => return Err(mistake(SqlMistake::Syntax, "a window is defined in parentheses")),
        };
        windows.push((name.clone(), spec));
    }
    Ok(windows)
}

fn find<'a>(windows: &'a [(ast::Ident, WindowSpec)], name: &ast::Ident) -> Option<&'a WindowSpec> {
    windows.iter().find(|(known, _)| folded(known) == folded(name)).map(|(_, spec)| spec)
}

/// A window with what it takes over, its frame checked.
fn whole(spec: &WindowSpec, windows: &[(ast::Ident, WindowSpec)]) -> Result<WindowSpec> {
    let mut spec = spec.clone();
    if let Some(name) = spec.window_name.take() {
        let shown = folded(&name);
        let Some(from) = find(windows, &name) else { return Err(no_window(&shown)) };
        let marks: Vec<Expr> = spec.partition_by.iter().filter(|key| mark_of(key).is_some()).cloned().collect();
        if marks.len() < spec.partition_by.len() {
            return Err(mistake(SqlMistake::Windowing, format_args!("cannot override PARTITION BY clause of window \"{shown}\"")));
        }
        if !spec.order_by.is_empty() && !from.order_by.is_empty() {
            return Err(mistake(SqlMistake::Windowing, format_args!("cannot override ORDER BY clause of window \"{shown}\"")));
        }
        if from.window_frame.is_some() {
            let message = format!("cannot copy window \"{shown}\" because it has a frame clause");
            let plain = spec.order_by.is_empty() && spec.window_frame.is_none();
            return Err(if plain {
                mistake_hint(SqlMistake::Windowing, message, "Omit the parentheses in this OVER clause.")
            } else {
                mistake(SqlMistake::Windowing, message)
            });
        }
        spec.partition_by = marks.into_iter().chain(from.partition_by.iter().cloned()).collect();
        if spec.order_by.is_empty() {
            spec.order_by.clone_from(&from.order_by);
        }
    }
    if let Some(frame) = &mut spec.window_frame {
        check_bounds(frame)?;
        if frame.units == WindowFrameUnits::Groups && spec.order_by.is_empty() {
            return Err(mistake(SqlMistake::Windowing, "GROUPS mode requires an ORDER BY clause"));
        }
        let has_offset = [Some(&frame.start_bound), frame.end_bound.as_ref()].into_iter().flatten().any(|bound| offset_of(bound).is_some());
        if frame.units == WindowFrameUnits::Range && has_offset && spec.order_by.len() != 1 {
            let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
            return Err(mistake(SqlMistake::Windowing, message));
        }
        let units = frame.units;
        check_offset(&mut frame.start_bound, units, "starting")?;
        if let Some(end) = &mut frame.end_bound {
            check_offset(end, units, "ending")?;
        }
    }
    Ok(spec)
}

fn no_window(name: &str) -> DataFusionError {
    mistake(SqlMistake::UndefinedObject, format_args!("window \"{name}\" does not exist"))
}

/// What a constant of PARTITION BY leaves out of the frame.
fn mark_of(key: &Expr) -> Option<&str> {
    let Expr::Nested(inner) = key else { return None };
    let Expr::Value(value) = inner.as_ref() else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let known = [frame_marks::CURRENT_ROW, frame_marks::GROUP, frame_marks::TIES, frame_marks::NO_OTHERS];
    known.contains(&text.as_str()).then_some(text.as_str())
}

/// The grammar's refusals (gram.y, `frame_extent`).
fn check_bounds(frame: &WindowFrame) -> Result<()> {
    use WindowFrameBound::{CurrentRow, Following, Preceding};
    let message = match (&frame.start_bound, &frame.end_bound) {
        (Following(None), _) => "frame start cannot be UNBOUNDED FOLLOWING",
        (_, Some(Preceding(None))) => "frame end cannot be UNBOUNDED PRECEDING",
        (Following(Some(_)), None) => "frame starting from following row cannot end with current row",
        (CurrentRow, Some(Preceding(_))) => "frame starting from current row cannot have preceding rows",
        (Following(_), Some(Preceding(_) | CurrentRow)) => "frame starting from following row cannot have preceding rows",
        _ => return Ok(()),
    };
    Err(mistake(SqlMistake::Windowing, message))
}

fn offset_of(bound: &WindowFrameBound) -> Option<&Expr> {
    match bound {
        WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => offset.as_deref(),
        WindowFrameBound::CurrentRow => None,
    }
}

/// Leaves a constant that the planner reads.
fn check_offset(bound: &mut WindowFrameBound, units: WindowFrameUnits, which: &str) -> Result<()> {
    let offset = match bound {
        WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) => offset,
        _ => return Ok(()),
    };
    if let Expr::Value(value) = offset.as_ref()
        && value.value == Value::Null
    {
        return Err(data(DataError::NullNotAllowed, format_args!("frame {which} offset must not be null")));
    }
    if names_column(offset) {
        let unit = match units {
            WindowFrameUnits::Rows => "ROWS",
            WindowFrameUnits::Range => "RANGE",
            WindowFrameUnits::Groups => "GROUPS",
        };
        return Err(mistake(SqlMistake::InvalidColumnReference, format_args!("argument of {unit} must not contain variables")));
    }
    if let Some(value) = constant(offset) {
        if value < 0 {
            return Err(data(DataError::InvalidFrameOffset, format_args!("frame {which} offset must not be negative")));
        }
        **offset = Expr::value(Value::Number(value.to_string(), false));
        return Ok(());
    }
    if units == WindowFrameUnits::Range {
        return check_range_offset(offset);
    }
    Err(unsupported("a frame offset that is not a constant"))
}

/// Numbers, texts and intervals are for the planner to read by the key's type.
fn check_range_offset(offset: &mut Expr) -> Result<()> {
    loop {
        match offset {
            Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => {
                let inner = super::take(inner);
                *offset = inner;
            }
            Expr::TypedString(typed) => {
                let value = typed.value.clone();
                *offset = Expr::Value(value);
            }
            Expr::Value(value) => {
                if let Value::SingleQuotedString(_) = value.value {
                    let value = Box::new(Expr::Value(value.clone()));
                    *offset = Expr::Interval(ast::Interval {
                        value,
                        leading_field: None,
                        leading_precision: None,
                        last_field: None,
                        fractional_seconds_precision: None,
                    });
                }
                return Ok(());
            }
            Expr::Interval(_) => return Ok(()),
            Expr::UnaryOp { op: UnaryOperator::Minus, .. } => {
                return Err(data(DataError::InvalidFrameOffset, "invalid preceding or following size in window function"));
            }
            _ => return Err(unsupported("a frame offset that is not a constant")),
        }
    }
}

/// Of whole numbers.
fn constant(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => constant(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => constant(expr)?.checked_neg(),
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (constant(left)?, constant(right)?);
            match op {
                BinaryOperator::Plus => left.checked_add(right),
                BinaryOperator::Minus => left.checked_sub(right),
                BinaryOperator::Multiply => left.checked_mul(right),
                _ => None,
            }
        }
        Expr::Cast { expr, data_type, .. } => {
            use ast::DataType::{BigInt, Int, Int2, Int4, Int8, Integer, SmallInt};
            let whole = matches!(data_type, Int(_) | Integer(_) | BigInt(_) | SmallInt(_) | Int2(_) | Int4(_) | Int8(_));
            constant(expr).filter(|_| whole)
        }
        _ => None,
    }
}

fn names_column(expr: &Expr) -> bool {
    struct Columns;
    impl Visitor for Columns {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Columns).is_break()
}

/// Outside of subqueries, which have been looked at.
fn calls_window(expr: &Expr) -> bool {
    struct Calls(usize);
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function) if function.over.is_some() && self.0 == 0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Calls(0)).is_break()
}

/// Puts each window in the place of its name.
struct Placed<'a> {
    windows: &'a [(ast::Ident, WindowSpec)],
}

impl VisitorMut for Placed<'_> {
    type Break = Box<DataFusionError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        match self.placed(function) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Placed<'_> {
    fn placed(&self, function: &mut ast::Function) -> Result<()> {
        let name = function_name(&function.name).unwrap_or_default();
        match &mut function.over {
            None if WINDOWS_ONLY.contains(&name.as_str()) => {
                let message = format!("window function {name} requires an OVER clause");
                Err(mistake(SqlMistake::WrongObjectType, message))
            }
            None => Ok(()),
            Some(_) if ORDERED_SETS.contains(&name.as_str()) => Err(unsupported(format_args!("OVER for the ordered-set aggregate {name}"))),
            Some(WindowType::NamedWindow(window)) => {
                let Some(spec) = find(self.windows, window) else { return Err(no_window(&folded(window))) };
                function.over = Some(WindowType::WindowSpec(spec.clone()));
                Ok(())
            }
            Some(WindowType::WindowSpec(spec)) => {
                *spec = whole(spec, self.windows)?;
                Ok(())
            }
        }
    }
}
