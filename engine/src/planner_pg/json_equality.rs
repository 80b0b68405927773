//! `json` has neither equality nor order: where PostgreSQL looks for one, it finds none.

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{SqlMistake, pg_type};

use crate::functions::error::mistake;

/// # Errors
/// 42883.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Distinct(Distinct::All(input)) => match input.schema().fields().iter().any(|field| pg_type(field) == PgType::JSON) {
            true => Err(missing("an equality")),
            false => Ok(()),
        },
        LogicalPlan::Aggregate(aggregate) => refuse(aggregate.group_expr.iter(), aggregate.input.schema(), "an equality"),
        LogicalPlan::Sort(sort) => refuse(sort.expr.iter().map(|key| &key.expr), sort.input.schema(), "an ordering"),
        _ => Ok(()),
    }
}

fn refuse<'e>(mut exprs: impl Iterator<Item = &'e Expr>, schema: &DFSchema, what: &str) -> Result<()> {
    let is_json = |expr: &Expr| expr.to_field(schema).is_ok_and(|(_, field)| pg_type(&field) == PgType::JSON);
    if exprs.any(is_json) { Err(missing(what)) } else { Ok(()) }
}

fn missing(what: &str) -> datafusion::error::DataFusionError {
    mistake(SqlMistake::UndefinedFunction, format_args!("could not identify {what} operator for type json"))
}
