//! Aggregates whose result types are PostgreSQL's: `sum` of bigint is numeric, `avg` of integers and numerics is numeric.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::planner::{RawAggregateExpr, RawWindowExpr};
use datafusion::logical_expr::utils::COUNT_STAR_EXPANSION;
use datafusion::logical_expr::{Expr, WindowFunctionDefinition, cast, lit};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{DataError, SqlMistake};

use super::PgPlanner;
use super::operand::int4_literals;
use crate::functions::error;

impl PgPlanner {
    /// The aggregate as it is computed; `avg` becomes a quotient, so that its digits are those of numeric division.
    ///
    /// # Errors
    /// None of its own.
    pub fn aggregate_call(&self, raw: RawAggregateExpr) -> Result<Expr> {
        let RawAggregateExpr { func, args, distinct, filter, order_by, null_treatment } = raw;
        let args = args.into_iter().map(int4_literals).collect::<Result<Vec<_>>>()?;
        // PostgreSQL finds distinct values by sorting them. The list is sorted where it is finished: an order that the rows come in
        // is that of one aggregate, and others may stand beside it.
        let by_value = match order_by.as_slice() {
            [] => Some((false, false)),
            [key] if Some(&int4_literals(key.expr.clone())?) == args.first() => Some((!key.asc, key.nulls_first)),
            _ if distinct && matches!(func.name(), "array_agg" | "string_agg" | "json_agg" | "jsonb_agg") => {
                let message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
                return Err(error::mistake(SqlMistake::InvalidColumnReference, message));
            }
            _ => None,
        };
        let sorts = by_value.filter(|_| distinct);
        let sorted =
            |list: Expr, (descending, nulls_first): (bool, bool)| self.call("#sorted", vec![list, lit(descending), lit(nulls_first)]);
        let distinct_list = |value: &Expr, filter: Option<Box<Expr>>| -> Result<Expr> {
            let list =
                AggregateFunction::new_udf(self.aggregate("array_agg")?, vec![value.clone()], true, filter, Vec::new(), null_treatment);
            Ok(Expr::AggregateFunction(list))
        };
        let call = |name: &str, args: Vec<Expr>| -> Result<Expr> {
            let func = self.aggregate(name)?;
            Ok(Expr::AggregateFunction(AggregateFunction::new_udf(func, args, distinct, filter.clone(), order_by.clone(), null_treatment)))
        };
        match func.name() {
            "count" if counts_rows(&args) => call("count", vec![every_row()]),
            name @ ("percentile_cont" | "percentile_disc" | "mode") => {
                // The list is put in order where it is finished.
                let Some(key) = order_by.first() else {
                    return Err(error::mistake(
                        SqlMistake::WrongObjectType,
                        format_args!("WITHIN GROUP is required for ordered-set aggregate {name}"),
                    ));
                };
                let descending = lit(!key.asc);
                let mut args = args.into_iter();
                let values = args.next().into_iter().collect();
                let list = AggregateFunction::new_udf(self.aggregate("array_agg")?, values, distinct, filter, Vec::new(), None);
                let list = Expr::AggregateFunction(list);
                self.call(&format!("#{name}"), [list].into_iter().chain(args.map(fraction)).chain([descending]).collect())
            }
            "sum" => call("sum", vec![self.call("#sum_argument", args)?]),
            "avg" => {
                let sum = call("sum", vec![self.call("#avg_argument", args.clone())?])?;
                self.call("#quotient", vec![sum, call("count", args)?])
            }
            name @ "first_value" => {
                Err(error::mistake(SqlMistake::WrongObjectType, format_args!("window function {name} requires an OVER clause")))
            }
            name @ ("array_agg" | "json_agg" | "jsonb_agg") if sorts.is_some() && args.len() == 1 => {
                let list = sorted(distinct_list(&args[0], filter)?, sorts.unwrap_or_default())?;
                if name == "array_agg" { Ok(list) } else { self.call(&format!("#{name}"), vec![list]) }
            }
            // Each value comes behind a delimiter of its own row.
            "string_agg"
                if !distinct && !matches!(args.as_slice(), [_, Expr::Literal(value, _)] if !value.is_null()) && args.len() == 2 =>
            {
                let lists = args.into_iter().map(|arg| call("array_agg", vec![arg])).collect::<Result<Vec<_>>>()?;
                self.call("#joined", lists)
            }
            "string_agg" if sorts.is_some() && matches!(args.as_slice(), [_, Expr::Literal(..)]) => {
                let present = Expr::IsNotNull(Box::new(args[0].clone()));
                let filter = Some(Box::new(filter.map_or(present.clone(), |filter| filter.and(present))));
                let list = sorted(distinct_list(&args[0], filter)?, sorts.unwrap_or_default())?;
                self.call("array_to_string", vec![list, args[1].clone()])
            }
            // One order of the rows is all that an aggregation can have; the list is put in its own.
            "string_agg" if !order_by.is_empty() && matches!(args.as_slice(), [_, Expr::Literal(..)]) => {
                let present = Expr::IsNotNull(Box::new(args[0].clone()));
                let filter = Some(Box::new(filter.map_or(present.clone(), |filter| filter.and(present))));
                let values = vec![args[0].clone()];
                let list = AggregateFunction::new_udf(self.aggregate("array_agg")?, values, distinct, filter, order_by, null_treatment);
                self.call("array_to_string", vec![Expr::AggregateFunction(list), args[1].clone()])
            }
            "every" => call("bool_and", args),
            "variance" => call("var", args),
            "stddev_samp" => call("stddev", args),
            name @ ("json_agg" | "jsonb_agg") => self.call(&format!("#{name}"), vec![call("array_agg", args)?]),
            name @ ("json_object_agg" | "jsonb_object_agg") => match <[Expr; 2]>::try_from(args) {
                Ok([key, value]) => self.call(&format!("#{name}"), vec![call("array_agg", vec![key])?, call("array_agg", vec![value])?]),
                Err(_) => Err(crate::functions::error::mistake(
                    lakegate_engine_api::SqlMistake::UndefinedFunction,
                    format_args!("function {name} takes a key and a value"),
                )),
            },
            _ => Ok(Expr::AggregateFunction(AggregateFunction::new_udf(func, args, distinct, filter, order_by, null_treatment))),
        }
    }

    /// The same over a window.
    ///
    /// # Errors
    /// None of its own.
    pub fn window_call(&self, raw: RawWindowExpr) -> Result<Expr> {
        let RawWindowExpr { func_def, args, partition_by, order_by, window_frame, filter, null_treatment, distinct } = raw;
        let call = |fun: WindowFunctionDefinition, args: Vec<Expr>| {
            Expr::WindowFunction(Box::new(WindowFunction {
                fun,
                params: WindowFunctionParams {
                    args,
                    partition_by: partition_by.clone(),
                    order_by: order_by.clone(),
                    window_frame: window_frame.clone(),
                    filter: filter.clone(),
                    null_treatment,
                    distinct,
                },
            }))
        };
        let aggregate = |name: &str| self.aggregate(name).map(WindowFunctionDefinition::AggregateUDF);
        check_count(func_def.name(), &args)?;
        if distinct {
            return Err(error::unsupported("DISTINCT in window functions"));
        }
        match func_def.name() {
            "count" if counts_rows(&args) => Ok(call(func_def, vec![every_row()])),
            "sum" => {
                let args = args.into_iter().map(int4_literals).collect::<Result<Vec<_>>>()?;
                Ok(call(aggregate("sum")?, vec![self.call("#sum_argument", args)?]))
            }
            "avg" => {
                let args = args.into_iter().map(int4_literals).collect::<Result<Vec<_>>>()?;
                let sum = call(aggregate("sum")?, vec![self.call("#avg_argument", args.clone())?]);
                self.call("#quotient", vec![sum, call(aggregate("count")?, args)])
            }
            "every" => Ok(call(aggregate("bool_and")?, args)),
            "variance" => Ok(call(aggregate("var")?, args)),
            "stddev_samp" => Ok(call(aggregate("stddev")?, args)),
            name @ ("json_agg" | "jsonb_agg") => {
                let list = call(aggregate("array_agg")?, args);
                self.call(&format!("#{name}"), vec![list])
            }
            name @ ("percentile_cont" | "percentile_disc" | "mode") => {
                Err(error::unsupported(format_args!("OVER for the ordered-set aggregate {name}")))
            }
            name @ ("json_object_agg" | "jsonb_object_agg") => Err(error::unsupported(format_args!("{name} over a window"))),
            // DataFusion counts unsigned.
            "row_number" | "rank" | "dense_rank" => Ok(cast(call(func_def, args), DataType::Int64)),
            "ntile" if matches!(args.as_slice(), [Expr::Literal(value, _)] if value.is_null()) => Ok(lit(ScalarValue::Int32(None))),
            "ntile" => Ok(cast(call(func_def, args), DataType::Int32)),
            // ntile, lag and nth_value read their counts while planning: they stay as written.
            _ => Ok(call(func_def, args)),
        }
    }
}

/// The counts of `ntile` and `nth_value` are positive.
fn check_count(name: &str, args: &[Expr]) -> Result<()> {
    let (count, wrong) = match name {
        "ntile" => (args.first(), DataError::InvalidNtileArgument),
        "nth_value" => (args.get(1), DataError::InvalidNthValueArgument),
        _ => return Ok(()),
    };
    let positive = match count {
        Some(Expr::Literal(ScalarValue::Int64(Some(count)), _)) => *count > 0,
        Some(Expr::Literal(ScalarValue::Int32(Some(count)), _)) => *count > 0,
        Some(Expr::Negative(_)) => false,
        _ => true,
    };
    if positive { Ok(()) } else { Err(error::data(wrong, format_args!("argument of {name} must be greater than zero"))) }
}

/// `count(*)`.
#[expect(deprecated, reason = "the planner hands the star over so")]
fn counts_rows(args: &[Expr]) -> bool {
    matches!(args, [] | [Expr::Wildcard { .. }])
}

/// The constant by which DataFusion knows that rows are counted; its tag keeps it from being retyped.
fn every_row() -> Expr {
    let tag = [(lakegate_engine_api::PG_TYPE_KEY.to_owned(), PgType::INT8.oid.to_string())];
    Expr::Literal(COUNT_STAR_EXPANSION, Some(FieldMetadata::from(std::collections::BTreeMap::from(tag))))
}

/// A constant fraction as the float that DataFusion looks for.
fn fraction(arg: Expr) -> Expr {
    match arg {
        Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), None) => {
            let text = crate::functions::text::number::decimal(&value.to_string(), scale);
            text.parse::<f64>().map_or(Expr::Literal(ScalarValue::Float64(None), None), lit)
        }
        Expr::Literal(ScalarValue::Int32(Some(value)), None) => lit(f64::from(value)),
        other => other,
    }
}
