//! LIMIT and OFFSET that a subquery gives: rows are numbered in their order and taken by their numbers. DataFusion's own limit must know how many
//! rows it takes when a plan is made.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Distinct, Expr, ExprFunctionExt, ExprSchemable, Limit, LogicalPlan, LogicalPlanBuilder, cast, lit};
use lakegate_engine_api::{SqlMistake, pg_type};

use super::PgPlanner;
use super::outer_references::subquery_of;
use crate::functions::error::{mistake, unsupported};
use crate::functions::types::type_name;

/// How many rows after those that OFFSET leaves out a row is.
const NUMBER: &str = "#limit";

impl PgPlanner {
    /// The limit, by other means where a subquery stands in it.
    ///
    /// # Errors
    /// 42804 for counts that are no numbers, 0A000 beside DISTINCT ON.
    pub fn limit(&self, limit: Limit) -> Result<LogicalPlan> {
        let by_query = |expr: Option<&Expr>| expr.is_some_and(has_subquery);
        if !by_query(limit.fetch.as_deref()) && !by_query(limit.skip.as_deref()) {
            return Ok(LogicalPlan::Limit(limit));
        }
        let skipped = limit.skip.map(|skip| self.row_count(*skip, "OFFSET", 0)).transpose()?;
        let taken = limit.fetch.map(|fetch| self.row_count(*fetch, "LIMIT", i64::MAX)).transpose()?;
        taken_from(Arc::unwrap_or_clone(limit.input), skipped, taken)
    }

    /// A count of rows; `open` where it is NULL.
    fn row_count(&self, count: Expr, clause: &str, open: i64) -> Result<Expr> {
        let (_, field) = count.to_field(&DFSchema::empty())?;
        let kind = field.data_type();
        if !(kind.is_integer() || kind.is_decimal() || kind.is_floating() || kind.is_null()) {
            let message = format!("argument of {clause} must be type bigint, not type {}", type_name(pg_type(&field)));
            return Err(mistake(SqlMistake::DatatypeMismatch, message));
        }
        let checked = self.call("#row_count", vec![cast(count, DataType::Int64), lit(clause)])?;
        self.call("coalesce", vec![checked, lit(open)])
    }
}

fn has_subquery(expr: &Expr) -> bool {
    matches!(expr.exists(|expr| Ok(subquery_of(expr).is_some())), Ok(true))
}

fn taken_from(rows: LogicalPlan, skipped: Option<Expr>, taken: Option<Expr>) -> Result<LogicalPlan> {
    let number = match &rows {
        // What the rows are sorted by may be seen beneath it alone.
        LogicalPlan::Projection(projection) => {
            let plan = taken_from(projection.input.as_ref().clone(), skipped, taken)?;
            return LogicalPlanBuilder::from(plan).project(projection.expr.clone())?.build();
        }
        LogicalPlan::Sort(sort) => row_number().order_by(sort.expr.clone()).build()?,
        LogicalPlan::Distinct(Distinct::On(_)) => return Err(unsupported("LIMIT by a subquery beside DISTINCT ON")),
        _ => row_number(),
    };
    let shown: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let numbered = LogicalPlanBuilder::from(rows).window(vec![number.alias(NUMBER)])?;
    let number = cast(Expr::Column(Column::new_unqualified(NUMBER)), DataType::Int64);
    let place = match skipped {
        Some(skipped) => number - skipped,
        None => number,
    };
    let mut with_place = shown.clone();
    with_place.push(place.alias(NUMBER));
    let place = Expr::Column(Column::new_unqualified(NUMBER));
    let mut kept = place.clone().gt(lit(0_i64));
    if let Some(taken) = taken {
        kept = kept.and(place.clone().lt_eq(taken));
    }
    numbered.project(with_place)?.filter(kept)?.sort(vec![place.sort(true, false)])?.project(shown)?.build()
}
