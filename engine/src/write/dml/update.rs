//! UPDATE [… FROM] and DELETE [… USING]. Where several rows beside the target match one of its rows, the first counts.

use datafusion::common::Column;
use datafusion::logical_expr::{LogicalPlan, lit};
use lakegate_engine_api::EngineError;
use sqlparser::ast::{Delete, TableWithJoins, Update, UpdateTableFromKind};

use super::base::{TargetName, refuse, rows, target_of_delete};
use super::layout::{Parts, finish};
use super::{ChangePlan, Context, Twice, action, assignments};
use crate::error;
use crate::plan::planning_error;

/// # Errors
/// The statement's mistakes.
pub fn plan_update(context: &Context<'_>, update: &Update) -> Result<ChangePlan, EngineError> {
    refuse(update.output.is_some(), "UPDATE … OUTPUT")?;
    refuse(!update.table.joins.is_empty(), "UPDATE of a join")?;
    refuse(update.or.is_some() || update.limit.is_some() || !update.order_by.is_empty(), "UPDATE with LIMIT or ORDER BY")?;
    let beside = match &update.from {
        None => Vec::new(),
        Some(UpdateTableFromKind::AfterSet(from)) => from.clone(),
        Some(UpdateTableFromKind::BeforeSet(_)) => return Err(error::unsupported("UPDATE with FROM before SET")),
    };
    let name = TargetName::of(&update.table.relation, context.target)?;
    let base = rows(context, from(&name, beside), update.selection.clone())?;
    let assigned = assignments::values(context, &update.assignments, base.schema())?;
    let columns = &context.target.columns.columns;
    let values =
        assigned.into_iter().zip(columns).map(|(value, column)| value.unwrap_or_else(|| context.stored(&name, column.field.name())));
    let parts = parts(&name, values.collect(), base, action::UPDATE)?;
    finish(context, &name, parts, update.returning.as_deref())
}

/// # Errors
/// The statement's mistakes.
pub fn plan_delete(context: &Context<'_>, delete: &Delete) -> Result<ChangePlan, EngineError> {
    refuse(delete.output.is_some(), "DELETE … OUTPUT")?;
    refuse(!delete.tables.is_empty(), "DELETE from several tables")?;
    refuse(delete.limit.is_some() || !delete.order_by.is_empty(), "DELETE with LIMIT or ORDER BY")?;
    let Some(factor) = target_of_delete(delete)? else { return Err(error::internal("a DELETE has a target")) };
    let name = TargetName::of(factor, context.target)?;
    let base = rows(context, from(&name, delete.using.clone().unwrap_or_default()), delete.selection.clone())?;
    let values = context.target.columns.columns.iter().map(|column| context.stored(&name, column.field.name()));
    let parts = parts(&name, values.collect(), base, action::DELETE)?;
    finish(context, &name, parts, delete.returning.as_deref())
}

fn from(name: &TargetName, beside: Vec<TableWithJoins>) -> Vec<TableWithJoins> {
    let mut from = vec![name.relation()];
    from.extend(beside);
    from
}

fn parts(name: &TargetName, values: Vec<datafusion::logical_expr::Expr>, base: LogicalPlan, what: i8) -> Result<Parts, EngineError> {
    let beside = base.schema().columns().into_iter().filter(|column| column.relation.as_ref() != Some(&name.reference)).collect();
    let merged = merged_columns(&base)?;
    Ok(Parts {
        base,
        action: lit(what),
        file: name.file(),
        row: name.row(),
        values,
        writes: what == action::UPDATE,
        beside,
        merged,
        twice: Twice::Ignored,
        arbiters: Vec::new(),
        ordered: false,
        guards: Vec::new(),
    })
}

/// Columns that JOIN … USING and NATURAL JOIN have merged into another.
fn merged_columns(base: &LogicalPlan) -> Result<Vec<Column>, EngineError> {
    let mut merged = Vec::new();
    for same in base.using_columns().map_err(|error| planning_error(&error))? {
        let mut columns: Vec<Column> = base.schema().columns().into_iter().filter(|column| same.contains(column)).collect();
        merged.extend(columns.split_off(columns.len().min(1)));
    }
    Ok(merged)
}
