//! The last step before rows go to a client: names instead of the OIDs of regclass and its kin, and the padding of char(n).

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{SessionFacts, pg_type};

use crate::functions::cast::{cast_expr, named_oid};
use crate::functions::session::Session;

/// Wraps an analysed plan whose rows are shown. Columns of regclass and its kin become text, still tagged with their type;
/// `char(n)` gets its padding back, which is left out everywhere else.
///
/// # Errors
/// None of its own.
pub fn present(plan: LogicalPlan, facts: &Arc<SessionFacts>) -> Result<LogicalPlan> {
    let all = 0..plan.schema().fields().len();
    present_columns(plan, facts, &all)
}

/// The same for some of the columns.
///
/// # Errors
/// None of its own.
pub fn present_columns(plan: LogicalPlan, facts: &Arc<SessionFacts>, shown: &Range<usize>) -> Result<LogicalPlan> {
    let needs = |field: &Field| {
        let pg = pg_type(field);
        (named_oid(pg.oid) && field.data_type() == &DataType::Int64) || (pg.oid == PgType::BPCHAR.oid && pg.typmod >= 4)
    };
    if !shows_rows(&plan) || !plan.schema().fields()[shown.clone()].iter().any(|field| needs(field)) {
        return Ok(plan);
    }
    let session = Session::new(Arc::clone(facts));
    let exprs: Vec<Expr> = plan
        .schema()
        .iter()
        .enumerate()
        .map(|(at, (qualifier, field))| {
            let column = Expr::Column((qualifier, field).into());
            if !shown.contains(&at) || !needs(field) {
                return column;
            }
            let shown = if named_oid(pg_type(field).oid) {
                let to = Arc::new(Field::new(field.name(), DataType::Utf8, true).with_metadata(field.metadata().clone()));
                cast_expr(column, field, &to, &session)
            } else {
                crate::functions::string::pad(column, field)
            };
            shown.alias_qualified(qualifier.cloned(), field.name())
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
