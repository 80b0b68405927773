//! Aggregates whose result types are PostgreSQL's: `sum` of bigint is numeric, `avg` of integers and numerics is numeric.

use datafusion::common::Result;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::planner::{RawAggregateExpr, RawWindowExpr};
use datafusion::logical_expr::{Expr, WindowFunctionDefinition};

use super::PgPlanner;
use super::operand::int4_literals;

impl PgPlanner {
    /// The aggregate as it is computed; `avg` becomes a quotient, so that its digits are those of numeric division.
    ///
    /// # Errors
    /// None of its own.
    pub fn aggregate_call(&self, raw: RawAggregateExpr) -> Result<Expr> {
        let RawAggregateExpr { func, args, distinct, filter, order_by, null_treatment } = raw;
        let args = args.into_iter().map(int4_literals).collect::<Result<Vec<_>>>()?;
        let call = |name: &str, args: Vec<Expr>| -> Result<Expr> {
            let func = self.aggregate(name)?;
            Ok(Expr::AggregateFunction(AggregateFunction::new_udf(func, args, distinct, filter.clone(), order_by.clone(), null_treatment)))
        };
        match func.name() {
            "sum" => call("sum", vec![self.call("#sum_argument", args)?]),
            "avg" => {
                let sum = call("sum", vec![self.call("#avg_argument", args.clone())?])?;
                self.call("#quotient", vec![sum, call("count", args)?])
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
        match func_def.name() {
            "sum" => {
                let args = args.into_iter().map(int4_literals).collect::<Result<Vec<_>>>()?;
                Ok(call(aggregate("sum")?, vec![self.call("#sum_argument", args)?]))
            }
            "avg" => {
                let args = args.into_iter().map(int4_literals).collect::<Result<Vec<_>>>()?;
                let sum = call(aggregate("sum")?, vec![self.call("#avg_argument", args.clone())?]);
                self.call("#quotient", vec![sum, call(aggregate("count")?, args)])
            }
            // ntile, lag and nth_value read their counts while planning: they stay as written.
            _ => Ok(call(func_def, args)),
        }
    }
}
