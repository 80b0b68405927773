//! `FETCH FIRST n ROWS WITH TIES`: the rows whose rank in the order is at most n, and those equal to the last of them.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, Result};
use datafusion::functions_window::expr_fn::{rank, row_number};
use datafusion::logical_expr::{Expr, ExprFunctionExt, Limit, LogicalPlan, LogicalPlanBuilder, Projection, Sort, cast, lit};
use lakegate_engine_api::SqlMistake;

use crate::functions::error::mistake;

/// Marks the count of such a clause (`#typed(n, …)`).
pub const WITH_TIES: &str = "with ties";

const RANK: &str = "#rank";
const NUMBER: &str = "#number";

/// The limit without the mark, where it has it.
///
/// # Errors
/// 42601 without ORDER BY.
pub fn spelled(limit: Limit) -> Result<LogicalPlan> {
    let Some(count) = limit.fetch.as_deref().and_then(marked) else { return Ok(LogicalPlan::Limit(limit)) };
    let count = cast(count, DataType::Int64);
    let skip = limit.skip.map_or_else(|| lit(0_i64), |skip| cast(*skip, DataType::Int64));
    let (sort, above) = match limit.input.as_ref() {
        LogicalPlan::Sort(sort) => (sort, None),
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Sort(sort) => (sort, Some(projection)),
            _ => return Err(unordered()),
        },
        _ => return Err(unordered()),
    };
    let plan = ranked(sort, count, skip)?;
    match above {
        None => Ok(plan),
        Some(Projection { expr, .. }) => LogicalPlanBuilder::from(plan).project(expr.clone())?.build(),
    }
}

fn unordered() -> datafusion::error::DataFusionError {
    mistake(SqlMistake::Syntax, "WITH TIES cannot be specified without ORDER BY clause")
}

/// The count of a marked limit.
fn marked(fetch: &Expr) -> Option<Expr> {
    match fetch {
        Expr::ScalarFunction(call) if call.func.name() == "#typed" => match call.args.as_slice() {
            [count, Expr::Literal(mark, _)] if mark.try_as_str() == Some(Some(WITH_TIES)) => Some(count.clone()),
            _ => None,
        },
        Expr::Cast(cast) => marked(&cast.expr),
        Expr::Alias(alias) => marked(&alias.expr),
        _ => None,
    }
}

fn ranked(sort: &Sort, count: Expr, skip: Expr) -> Result<LogicalPlan> {
    let shown: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
    let windows =
        vec![rank().order_by(sort.expr.clone()).build()?.alias(RANK), row_number().order_by(sort.expr.clone()).build()?.alias(NUMBER)];
    let column = |name: &str| cast(Expr::Column(Column::new_unqualified(name)), DataType::Int64);
    LogicalPlanBuilder::from(sort.input.as_ref().clone())
        .window(windows)?
        .filter(column(RANK).lt_eq(count + skip.clone()).and(column(NUMBER).gt(skip)))?
        .sort(sort.expr.clone())?
        .project(shown)?
        .build()
}
