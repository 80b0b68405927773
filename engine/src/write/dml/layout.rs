//! The last steps of a change's plan: generated columns, RETURNING, and the columns in the order that [`super::super::apply`] reads.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::FieldRef;
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::expr::{Case, Cast};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, lit};
use lakegate_engine_api::{EngineError, OWN_ROW, pg_type};
use sqlparser::ast::SelectItem;

use super::base::TargetName;
use super::returning::returned;
use super::{ChangePlan, Context, Shape, Twice};
use crate::delta::{FILE_COLUMN, ROW_COLUMN, TableColumn};
use crate::plan::planning_error;
use crate::policy::{RAW_PREFIX, checked_rows, guarded, may_delete, may_update, own_row, without_values};
use crate::write::assign::assigned;
use crate::write::defaults::log_expression;

/// What is done to the row: a `smallint` of [`super::action`].
pub const ACTION: &str = "\u{0}action";

/// Order in which rows were proposed; of [`super::PROPOSED`].
pub const ORDINAL: &str = "\u{0}ordinal";

/// What happens to which rows.
pub struct Parts {
    /// The rows that are looked at.
    pub base: LogicalPlan,
    /// Over `base`, as are the others.
    pub action: Expr,
    pub file: Expr,
    pub row: Expr,
    /// The row as it will be, one expression a column of the target; for rows that only go, as it was.
    pub values: Vec<Expr>,
    /// Whether rows are written.
    pub writes: bool,
    /// Columns of `base` that RETURNING sees beside the target's.
    pub beside: Vec<Column>,
    /// Those among them that `*` leaves out.
    pub merged: Vec<Column>,
    pub twice: Twice,
    /// As [`Shape::arbiters`].
    pub arbiters: Vec<Vec<usize>>,
    /// `base` has [`ORDINAL`]: rows are told in its order.
    pub ordered: bool,
    /// Of rows that are there: an action, and whether a policy lets it be done to the row.
    pub guards: Vec<(i8, Expr)>,
}

/// # Errors
/// The mistakes of RETURNING; `Unsupported` where a generated column cannot be computed here.
pub fn finish(context: &Context<'_>, name: &TargetName, parts: Parts, returning: Option<&[SelectItem]>) -> Result<ChangePlan, EngineError> {
    let Parts { base, action, file, row, values, writes, beside, merged, twice, arbiters, ordered, guards } = parts;
    let columns = &context.target.columns.columns;
    let action = guarded(action, guards, &context.target.name.name, context.target_use);
    let mut fixed = vec![action.alias(ACTION), file.alias(FILE_COLUMN), row.alias(ROW_COLUMN)];
    if ordered {
        fixed.push(Expr::Column(Column::new(Some(super::upsert::excluded()), ORDINAL)).alias(ORDINAL));
    }
    let beside: Vec<Expr> = beside.into_iter().map(Expr::Column).collect();
    let named =
        values.into_iter().zip(columns).map(|(value, column)| value.alias_qualified(Some(name.reference.clone()), column.field.name()));
    let plan = projected(base, fixed.into_iter().chain(named).chain(beside.clone()))?;
    let plan = with_generated(context, name, plan, &beside, ordered, writes)?;
    let plan = policed(context, name, plan)?;
    let fixed: Vec<Expr> = fixed_columns(ordered);
    let width = if writes { columns.len() } else { 0 };
    let new_row = |at: usize| Column::from_name(format!("\u{0}n{at}"));
    let shape = |returned| Shape { width, returned, twice, arbiters: Arc::new(arbiters.clone()) };

    let Some(items) = returning else {
        let row = (0..width).map(|at| name.column(columns[at].field.name()).alias(new_row(at).name));
        let (ordinal, fixed) = (fixed.iter().skip(3).cloned(), fixed.iter().take(3).cloned());
        let plan = projected(plan, fixed.chain(row).chain(ordinal))?;
        return Ok(ChangePlan { plan: in_order(plan, ordered)?, shape: shape(0) });
    };
    let row = (0..width).map(|at| name.column(columns[at].field.name()).alias(new_row(at).name));
    let shown =
        columns.iter().map(|column| shown(context, name, column).alias_qualified(Some(name.reference.clone()), column.field.name()));
    let plan = projected(plan, fixed.iter().cloned().chain(row).chain(shown).chain(beside))?;
    let given = returned(context, items, &visible(&plan, columns.len())?, &merged)?;
    let count = given.len();
    let row = (0..width).map(|at| Expr::Column(new_row(at)));
    let mut exprs: Vec<Expr> = fixed.iter().take(3).cloned().collect();
    exprs.extend(row.chain(given));
    exprs.extend(fixed.into_iter().skip(3));
    let plan = projected(plan, exprs)?;
    Ok(ChangePlan { plan: in_order(plan, ordered)?, shape: shape(count) })
}

/// `CASE on WHEN … THEN … ELSE otherwise END`.
#[must_use]
pub fn case(on: Option<Expr>, branches: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    let branches = branches.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    Expr::Case(Case::new(on.map(Box::new), branches, Some(Box::new(otherwise))))
}

/// A NULL for the place of a row that is not there yet.
#[must_use]
pub fn no_place() -> Expr {
    lit(ScalarValue::Int64(None))
}

/// # Errors
/// The expressions' mistakes.
pub fn projected(plan: LogicalPlan, exprs: impl IntoIterator<Item = Expr>) -> Result<LogicalPlan, EngineError> {
    LogicalPlanBuilder::from(plan)
        .project(exprs.into_iter().collect::<Vec<_>>())
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| planning_error(&error))
}

/// The columns of a schema for which `keep` says so.
///
/// # Errors
/// None that a statement can cause.
pub fn restricted(schema: &DFSchema, keep: impl Fn(&Column) -> bool) -> Result<DFSchema, EngineError> {
    let fields = schema.iter().filter(|(qualifier, field)| keep(&Column::new(qualifier.cloned(), field.name())));
    let fields = fields.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
    DFSchema::new_with_metadata(fields, HashMap::new()).map_err(|error| planning_error(&error))
}

/// Whether a column is one of the marks that a scan of the target has beside the table's own.
#[must_use]
pub fn is_mark(column: &Column) -> bool {
    let name = column.name.as_str();
    matches!(name, FILE_COLUMN | ROW_COLUMN | ORDINAL | ACTION)
        || name.starts_with(RAW_PREFIX)
        || name == may_update()
        || name == may_delete()
}

fn fixed_columns(ordered: bool) -> Vec<Expr> {
    let names = [ACTION, FILE_COLUMN, ROW_COLUMN, ORDINAL];
    names.iter().take(if ordered { 4 } else { 3 }).map(|name| Expr::Column(Column::from_name(*name))).collect()
}

fn in_order(plan: LogicalPlan, ordered: bool) -> Result<LogicalPlan, EngineError> {
    if !ordered {
        return Ok(plan);
    }
    let key = SortExpr::new(Expr::Column(Column::from_name(ORDINAL)), true, false);
    LogicalPlanBuilder::from(plan).sort(vec![key]).and_then(LogicalPlanBuilder::build).map_err(|error| planning_error(&error))
}

/// The target's columns first, then those beside it: the order of `*`.
fn visible(plan: &LogicalPlan, width: usize) -> Result<DFSchema, EngineError> {
    let is_new_row = |column: &Column| {
        let number = column.name.strip_prefix("\u{0}n").and_then(|number| number.parse::<usize>().ok());
        column.relation.is_none() && number.is_some_and(|number| number < width)
    };
    restricted(plan.schema(), |column| !is_mark(column) && !is_new_row(column))
}

/// A column as a query shows it: with its length, which assignment leaves to the checks of the row.
fn shown(context: &Context<'_>, name: &TargetName, column: &TableColumn) -> Expr {
    let value = match context.target.policies {
        Some(_) => Expr::Column(Column::new(Some(TableReference::bare(OWN_ROW)), column.field.name())),
        None => name.column(column.field.name()),
    };
    let pg = pg_type(&column.field);
    match pg.character_length().is_some() || pg.fractional_digits().is_some() {
        true => Expr::Cast(Cast { expr: Box::new(value), field: nullable(&column.field) }),
        false => value,
    }
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

/// The new rows, checked by the policies; what is shown of them stands under [`OWN_ROW`], masked.
fn policed(context: &Context<'_>, name: &TargetName, plan: LogicalPlan) -> Result<LogicalPlan, EngineError> {
    let Some(policies) = &context.target.policies else { return Ok(plan) };
    let table = &context.target.name.name;
    let row = context.target.columns.columns.iter().map(|column| {
        let column = column.field.name();
        (column.clone(), name.column(column))
    });
    let checked = own_row(plan, row).and_then(|plan| checked_rows(context.planner, plan, policies, table, ACTION));
    checked.map_err(|error| without_values(planning_error(&error), table))
}

/// Computes generated columns from the others of the new row.
fn with_generated(
    context: &Context<'_>,
    name: &TargetName,
    plan: LogicalPlan,
    beside: &[Expr],
    ordered: bool,
    writes: bool,
) -> Result<LogicalPlan, EngineError> {
    let columns = &context.target.columns.columns;
    if !writes || columns.iter().all(|column| column.generation.is_none()) {
        return Ok(plan);
    }
    let schema = restricted(plan.schema(), |column| column.relation.as_ref() == Some(&name.reference))?;
    let mut exprs = fixed_columns(ordered);
    for column in columns {
        let expr = match &column.generation {
            None => name.column(column.field.name()),
            Some(text) => {
                let ast = log_expression(text, &format!("the generated column \"{}\"", column.field.name()))?;
                let expr = context.planner.expression(ast, &schema, Vec::new()).map_err(|error| planning_error(&error))?;
                assigned(expr, &schema, column)?.alias_qualified(Some(name.reference.clone()), column.field.name())
            }
        };
        exprs.push(expr);
    }
    exprs.extend(beside.iter().cloned());
    projected(plan, exprs)
}
