//! The last step before rows go to a client: the padding of char(n).

use std::ops::Range;

use datafusion::arrow::datatypes::Field;
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::pg_type;

/// Wraps an analysed plan whose rows are shown: `char(n)` gets its padding back, which is left out everywhere else.
///
/// # Errors
/// None of its own.
pub fn present(plan: LogicalPlan) -> Result<LogicalPlan> {
    let all = 0..plan.schema().fields().len();
    present_columns(plan, &all)
}

/// The same for some of the columns.
///
/// # Errors
/// None of its own.
pub fn present_columns(plan: LogicalPlan, shown: &Range<usize>) -> Result<LogicalPlan> {
    let needs = |field: &Field| {
        let pg = pg_type(field);
        pg.oid == PgType::BPCHAR.oid && pg.typmod >= 4
    };
    if !shows_rows(&plan) || !plan.schema().fields()[shown.clone()].iter().any(|field| needs(field)) {
        return Ok(plan);
    }
    let exprs: Vec<Expr> = plan
        .schema()
        .iter()
        .enumerate()
        .map(|(at, (qualifier, field))| {
            let column = Expr::Column((qualifier, field).into());
            if !shown.contains(&at) || !needs(field) {
                return column;
            }
            crate::functions::string::pad(column, field).alias_qualified(qualifier.cloned(), field.name())
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

fn shows_rows(plan: &LogicalPlan) -> bool {
    !matches!(
        plan,
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)
    )
}
