//! INSERT with RETURNING. One without goes the shorter way of [`super::super::append`].

use datafusion::logical_expr::{LogicalPlanBuilder, lit};
use lakegate_engine_api::EngineError;
use sqlparser::ast::Insert;

use super::base::TargetName;
use super::layout::{Parts, finish, no_place};
use super::{ChangePlan, Context, Twice, action};
use crate::plan::planning_error;
use crate::write::insert::insert_plan;

/// # Errors
/// The statement's mistakes.
pub fn plan(context: &Context<'_>, insert: &Insert) -> Result<ChangePlan, EngineError> {
    let name = TargetName::new(insert.table_alias.as_ref().map(|alias| &alias.alias), context.target);
    let rows = insert_plan(context.planner, insert, context.target, context.parameters)?;
    let rows = LogicalPlanBuilder::from(rows).alias(name.reference.clone()).and_then(LogicalPlanBuilder::build);
    let base = rows.map_err(|error| planning_error(&error))?;
    let values = context.target.columns.columns.iter().map(|column| name.column(column.field.name())).collect();
    let parts = Parts {
        base,
        action: lit(action::INSERT),
        file: no_place(),
        row: no_place(),
        values,
        writes: true,
        beside: Vec::new(),
        merged: Vec::new(),
        twice: Twice::Ignored,
        arbiters: Vec::new(),
        ordered: false,
        guards: Vec::new(),
    };
    finish(context, &name, parts, insert.returning.as_deref())
}
