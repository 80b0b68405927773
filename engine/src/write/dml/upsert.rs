//! INSERT … ON CONFLICT. First come the rows as they are proposed ([`proposed_plan`]), checked and kept; then those are looked for in
//! the target, for no index keeps a key unique here.

use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit};
use lakegate_engine_api::EngineError;

use super::base::TargetName;
use super::layout::{Parts, case, finish, is_mark, no_place, restricted};
use super::{ChangePlan, Context, TARGET, Twice, Upsert, action, assignments};
use crate::delta::FILE_COLUMN;
use crate::error;
use crate::plan::planning_error;
use crate::policy::may_update;
use crate::write::assign::in_type_of;
use crate::write::insert::insert_plan;

/// The proposed rows: the target's columns, and [`super::ORDINAL`].
pub const PROPOSED: &str = "\u{0}proposed";

/// As statements name them.
#[must_use]
pub fn excluded() -> TableReference {
    TableReference::bare("excluded")
}

/// The rows that a statement proposes; not analysed.
///
/// # Errors
/// The statement's mistakes.
pub fn proposed_plan(context: &Context<'_>, upsert: &Upsert) -> Result<LogicalPlan, EngineError> {
    insert_plan(context.planner, &upsert.insert, context.target, context.parameters)
}

/// # Errors
/// The statement's mistakes.
pub fn plan(context: &Context<'_>, upsert: &Upsert) -> Result<ChangePlan, EngineError> {
    let name = TargetName::new(upsert.insert.table_alias.as_ref().map(|alias| &alias.alias), context.target);
    if name.reference == excluded() {
        return Err(error::sql(lakegate_engine_api::SqlMistake::DuplicateAlias, "table name \"excluded\" specified more than once"));
    }
    let parts = match &upsert.update {
        None => do_nothing(context, upsert)?,
        Some(update) => do_update(context, upsert, update, &name)?,
    };
    finish(context, &name, parts, upsert.insert.returning.as_deref())
}

fn do_nothing(context: &Context<'_>, upsert: &Upsert) -> Result<Parts, EngineError> {
    let mut base = relation(context, PROPOSED, excluded())?;
    let mut is_new = lit(true);
    for (number, key) in upsert.arbiters.iter().enumerate() {
        let there = TableReference::bare(format!("\u{0}there{number}"));
        base = joined(context, base, &there, key)?;
        is_new = is_new.and(Expr::Column(Column::new(Some(there), FILE_COLUMN)).is_null());
    }
    let values = context.target.columns.columns.iter().map(|column| proposed(column.field.name())).collect();
    let action = case(None, vec![(is_new, lit(action::INSERT))], lit(action::NOTHING));
    Ok(Parts {
        base,
        action,
        file: no_place(),
        row: no_place(),
        values,
        writes: true,
        beside: Vec::new(),
        merged: Vec::new(),
        twice: Twice::Ignored,
        arbiters: upsert.arbiters.clone(),
        ordered: true,
        guards: Vec::new(),
    })
}

fn do_update(context: &Context<'_>, upsert: &Upsert, update: &sqlparser::ast::DoUpdate, name: &TargetName) -> Result<Parts, EngineError> {
    let [key] = upsert.arbiters.as_slice() else { return Err(error::internal("one constraint decides about an update")) };
    let base = relation(context, PROPOSED, excluded())?;
    let base = joined(context, base, &name.reference, key)?;
    let schema = restricted(base.schema(), |column| !is_mark(column))?;
    let is_new = name.file().is_null();
    let mut chosen = vec![(is_new.clone(), lit(action::INSERT))];
    let action = match &update.selection {
        None => case(None, chosen, lit(action::UPDATE)),
        Some(condition) => {
            chosen.push((assignments::planned(context, condition.clone(), &schema)?, lit(action::UPDATE)));
            case(None, chosen, lit(action::NOTHING))
        }
    };
    let mut values = Vec::new();
    for (value, column) in assignments::values(context, &update.assignments, &schema)?.into_iter().zip(&context.target.columns.columns) {
        let kept = context.stored(name, column.field.name());
        let value = case(None, vec![(is_new.clone(), proposed(column.field.name()))], value.unwrap_or(kept));
        values.push(in_type_of(value, column));
    }
    Ok(Parts {
        base,
        action,
        file: name.file(),
        row: name.row(),
        values,
        writes: true,
        beside: Vec::new(),
        merged: Vec::new(),
        twice: Twice::RefusedByUpsert,
        arbiters: upsert.arbiters.clone(),
        ordered: true,
        guards: if context.target.has_row_policies() { vec![(action::UPDATE, name.column(may_update()))] } else { Vec::new() },
    })
}

fn proposed(column: &str) -> Expr {
    Expr::Column(Column::new(Some(excluded()), column))
}

fn relation(context: &Context<'_>, source: &str, name: TableReference) -> Result<LogicalPlan, EngineError> {
    let reference = TableReference::bare(source);
    let table = context.planner.source(&reference).map_err(|error| planning_error(&error))?;
    LogicalPlanBuilder::scan(reference, table, None)
        .and_then(|scan| scan.alias(name))
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| planning_error(&error))
}

/// The proposed rows with the target's rows of the same key. NULLs are no keys.
fn joined(context: &Context<'_>, base: LogicalPlan, there: &TableReference, key: &[usize]) -> Result<LogicalPlan, EngineError> {
    let target = relation(context, TARGET, there.clone())?;
    let names = key.iter().map(|at| context.target.columns.columns[*at].field.name());
    let stored = |name: &String| Expr::Column(Column::new(Some(there.clone()), context.stored_name(name)));
    let equal = names.map(|name| proposed(name).eq(stored(name))).collect::<Vec<_>>();
    LogicalPlanBuilder::from(base)
        .join_on(target, JoinType::Left, equal)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| planning_error(&error))
}
