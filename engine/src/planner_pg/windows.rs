//! Windows of an analysed plan. What they are computed of becomes columns beneath: what sorts the rows and what looks at them must agree, and
//! optimizer rules that rewrite expressions give aliases to windows that others cannot take. Frames that leave rows out, aggregates that cannot forget a row and shifts by a computed count get functions of their own.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Alias, Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Window, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, WindowUDF,
    cast,
};
use datafusion::optimizer::AnalyzerRule;
use lakegate_engine_api::{frame_marks, pg_type};

use crate::functions::error::unsupported;
use crate::functions::framed::{Exclusion, Framed, Inner};
use crate::functions::shifted::Shifted;
use crate::functions::types::type_name;

/// Begins the names of columns that hold what windows are computed of.
const COMPUTED: &str = "#window";

#[derive(Debug)]
pub struct Windows;

impl AnalyzerRule for Windows {
    fn name(&self) -> &str {
        "pg_windows"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Window(window) => node(window),
            other => Ok(Transformed::no(other)),
        })
        .map(|transformed| transformed.data)
    }
}

fn node(window: Window) -> Result<Transformed<LogicalPlan>> {
    let Window { input, window_expr, schema } = window;
    let mut computed: Vec<Expr> = Vec::new();
    let mut changed = false;
    // Calls that have become equal are made once; each keeps its name above.
    let (mut calls, mut named) = (Vec::<Expr>::new(), Vec::with_capacity(window_expr.len()));
    let mut add = |call: Expr, written: &Expr| {
        let (qualifier, name) = written.qualified_name();
        named.push(Expr::Column(Column::new_unqualified(call.schema_name().to_string())).alias_qualified(qualifier, name));
        if !calls.contains(&call) {
            calls.push(call);
        }
    };
    for expr in &window_expr {
        let Expr::WindowFunction(written) = unaliased(expr) else {
            add(expr.clone(), expr);
            continue;
        };
        let mut call = written.as_ref().clone();
        let exclusion = take_exclusion(&mut call);
        check_range(&call, input.schema())?;
        own_function(&mut call, exclusion.unwrap_or(Exclusion::Nothing), input.schema())?;
        let WindowFunctionParams { args, partition_by, order_by, filter, .. } = &mut call.params;
        args.iter_mut().for_each(|arg| to_column(arg, &mut computed));
        filter.iter_mut().for_each(|filter| to_column(filter, &mut computed));
        partition_by.iter_mut().for_each(|key| to_column(key, &mut computed));
        order_by.iter_mut().for_each(|key| to_column(&mut key.expr, &mut computed));
        changed |= call != **written;
        add(Expr::WindowFunction(Box::new(call)), expr);
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Window(Window { input, window_expr, schema })));
    }
    let shown: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).chain(named).collect();
    let input = if computed.is_empty() {
        input
    } else {
        let computed = computed.into_iter().enumerate().map(|(at, expr)| expr.alias(computed_name(at)));
        let columns = input.schema().columns().into_iter().map(Expr::Column).chain(computed);
        Arc::new(LogicalPlanBuilder::from(input.as_ref().clone()).project(columns)?.build()?)
    };
    let window = LogicalPlan::Window(Window::try_new(calls, input)?);
    Ok(Transformed::yes(LogicalPlanBuilder::from(window).project(shown)?.build()?))
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(Alias { expr, .. }) => unaliased(expr),
        other => other,
    }
}

fn computed_name(at: usize) -> String {
    format!("{COMPUTED}.{at}")
}

/// Columns and constants stay; each other expression is computed once.
fn to_column(expr: &mut Expr, computed: &mut Vec<Expr>) {
    if matches!(expr, Expr::Column(_) | Expr::OuterReferenceColumn(..)) || is_constant(expr) {
        return;
    }
    let same = computed.iter().position(|known| known == expr && !known.is_volatile());
    let at = same.unwrap_or(computed.len());
    let column = Expr::Column(Column::new_unqualified(computed_name(at)));
    let expr = std::mem::replace(expr, column);
    if same.is_none() {
        computed.push(expr);
    }
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Negative(inner) => matches!(inner.as_ref(), Expr::Literal(..)),
        _ => false,
    }
}

/// What the gateway wrote among the constants of PARTITION BY.
fn take_exclusion(call: &mut WindowFunction) -> Option<Exclusion> {
    let mut found = None;
    call.params.partition_by.retain(|key| {
        let Expr::Literal(value, _) = key else { return true };
        let exclusion = match value.try_as_str() {
            Some(Some(frame_marks::CURRENT_ROW)) => Exclusion::CurrentRow,
            Some(Some(frame_marks::GROUP)) => Exclusion::Group,
            Some(Some(frame_marks::TIES)) => Exclusion::Ties,
            Some(Some(frame_marks::NO_OTHERS)) => Exclusion::Nothing,
            _ => return true,
        };
        found = Some(exclusion);
        false
    });
    found
}

/// Only some types have distances.
fn check_range(call: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let frame = &call.params.window_frame;
    let offset = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => !value.is_null(),
        WindowFrameBound::CurrentRow => false,
    };
    let ([Sort { expr, .. }], WindowFrameUnits::Range, true) =
        (call.params.order_by.as_slice(), frame.units, offset(&frame.start_bound) || offset(&frame.end_bound))
    else {
        return Ok(());
    };
    let field = expr.to_field(schema)?.1;
    let known = field.data_type().is_numeric()
        || matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..) | DataType::Time64(_) | DataType::Interval(_));
    if known {
        return Ok(());
    }
    let name = type_name(pg_type(&field));
    Err(unsupported(format_args!("RANGE with offset PRECEDING/FOLLOWING for column type {name}")))
}

/// Whether the call got another function.
fn own_function(call: &mut WindowFunction, exclusion: Exclusion, schema: &DFSchema) -> Result<bool> {
    let fields = call.params.args.iter().map(|arg| Ok(arg.to_field(schema)?.1)).collect::<Result<Vec<FieldRef>>>()?;
    let inner = match &call.fun {
        WindowFunctionDefinition::AggregateUDF(aggregate) => {
            let slides = !call.params.window_frame.start_bound.is_unbounded();
            let inner = Inner::Aggregate(Arc::clone(aggregate));
            if exclusion == Exclusion::Nothing && (!slides || inner.forgets(&call.params.args, &fields)?) {
                return Ok(false);
            }
            inner
        }
        WindowFunctionDefinition::WindowUDF(function) => match function.name() {
            name @ ("lag" | "lead") => return shifted(call, name == "lag", &fields),
            "first_value" if exclusion != Exclusion::Nothing => Inner::First,
            "last_value" if exclusion != Exclusion::Nothing => Inner::Last,
            "nth_value" if exclusion != Exclusion::Nothing => Inner::Nth,
            // The others do not look at the frame.
            _ => return Ok(false),
        },
    };
    let arguments = call.params.args.len();
    let filter = call.params.filter.take();
    let framed = Framed::new(inner, exclusion, arguments, filter.is_some());
    call.params.args.extend(filter.map(|filter| *filter));
    call.params.args.extend(call.params.order_by.iter().map(|key| key.expr.clone()));
    call.params.null_treatment = None;
    call.fun = WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::from(framed)));
    Ok(true)
}

/// DataFusion takes constants alone for how far to shift and what stands in the place of a row that is not there.
fn shifted(call: &mut WindowFunction, back: bool, fields: &[FieldRef]) -> Result<bool> {
    let args = &mut call.params.args;
    if args.iter().skip(1).all(is_constant) {
        return Ok(false);
    }
    let Some(value) = fields.first() else { return Ok(false) };
    if args.len() < 3 {
        args.push(Expr::Literal(ScalarValue::try_from(value.data_type())?, None));
    }
    if let [_, offset, default] = args.as_mut_slice() {
        *offset = cast(offset.clone(), DataType::Int64);
        if fields.get(2).is_some_and(|field| field.data_type() != value.data_type()) {
            *default = cast(default.clone(), value.data_type().clone());
        }
    }
    call.fun = WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::from(Shifted::new(back))));
    Ok(true)
}
