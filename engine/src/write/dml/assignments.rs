//! `SET a = …, (b, c) = (…)`: which columns get which values.

use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use lakegate_engine_api::{EngineError, SqlMistake};
use sqlparser::ast::{
    self, Assignment, AssignmentTarget, Distinct, Expr as AstExpr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName,
    ObjectNamePart, OrderByKind, Query, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
};

use super::Context;
use super::base::{quoted, select};
use crate::error;
use crate::plan::planning_error;
use crate::write::assign::assigned;
use crate::write::defaults::is_default;
use crate::write::insert::{column_position, default_of, refuse_generated_update};

/// For each column of the target its new value over `schema`, where it gets one.
///
/// # Errors
/// The statement's mistakes.
pub fn values(context: &Context<'_>, written: &[Assignment], schema: &DFSchema) -> Result<Vec<Option<Expr>>, EngineError> {
    let columns = &context.target.columns.columns;
    let mut values: Vec<Option<Expr>> = vec![None; columns.len()];
    for (name, value) in pairs(written)? {
        let position = position(&name, context)?;
        let column = &columns[position];
        if values[position].is_some() {
            return Err(error::sql(SqlMistake::Syntax, format!("multiple assignments to same column \"{}\"", column.field.name())));
        }
        let expr = if is_default(&value) {
            planned(context, default_of(&context.target.relation, column)?, &DFSchema::empty())?
        } else {
            refuse_generated_update(column)?;
            planned(context, value, schema)?
        };
        values[position] = Some(assigned(expr, schema, column)?);
    }
    Ok(values)
}

/// # Errors
/// The expression's mistakes.
pub fn planned(context: &Context<'_>, expr: AstExpr, schema: &DFSchema) -> Result<Expr, EngineError> {
    context.planner.expression(expr, schema, context.parameters.clone()).map_err(|error| planning_error(&error))
}

fn position(name: &ObjectName, context: &Context<'_>) -> Result<usize, EngineError> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => column_position(name, context.target),
        [ObjectNamePart::Identifier(table), _] if column_position(table, context.target).is_err() => {
            // As PostgreSQL: what looks like `table.column` is a field of a column that is not there.
            column_position(table, context.target)
        }
        _ => Err(error::unsupported("assignment to a part of a column")),
    }
}

/// One name, one value.
fn pairs(written: &[Assignment]) -> Result<Vec<(ObjectName, AstExpr)>, EngineError> {
    let mut pairs = Vec::new();
    for assignment in written {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => pairs.push((name.clone(), assignment.value.clone())),
            AssignmentTarget::Tuple(names) => {
                let values = row_values(&assignment.value, names.len())?;
                if values.len() != names.len() {
                    return Err(error::sql(SqlMistake::Syntax, "number of columns does not match number of values"));
                }
                pairs.extend(names.iter().cloned().zip(values));
            }
        }
    }
    Ok(pairs)
}

/// The values of `(…)`, `ROW(…)` or a subquery of `count` columns.
fn row_values(value: &AstExpr, count: usize) -> Result<Vec<AstExpr>, EngineError> {
    match value {
        AstExpr::Tuple(values) => Ok(values.clone()),
        AstExpr::Subquery(query) => {
            if width(&query.body).is_some_and(|width| width != count) {
                return Err(error::sql(SqlMistake::Syntax, "number of columns does not match number of values"));
            }
            (0..count).map(|at| column_of(query, at, count)).collect()
        }
        AstExpr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => match &function.args {
            FunctionArguments::List(list) => list
                .args
                .iter()
                .map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
                    _ => Err(error::sql(SqlMistake::Syntax, "a row of this kind cannot be assigned")),
                })
                .collect(),
            _ => Ok(Vec::new()),
        },
        _ => Err(error::unsupported("a source for a multiple-column UPDATE item that is neither a sub-SELECT nor a ROW() expression")),
    }
}

/// Columns of a query, where that is plain to see.
fn width(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Select(select) => {
            let plain = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            select.projection.iter().all(plain).then_some(select.projection.len())
        }
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

/// The subquery that gives the column `at` alone.
fn column_of(query: &Query, at: usize, count: usize) -> Result<AstExpr, EngineError> {
    if let SetExpr::Select(body) = query.body.as_ref()
        && width(&query.body).is_some()
        && !matches!(body.distinct, Some(Distinct::Distinct))
        && !is_ordered_by_output(query)
    {
        let mut one = query.clone();
        if let SetExpr::Select(select) = one.body.as_mut() {
            select.projection = vec![select.projection.swap_remove(at)];
        }
        return Ok(AstExpr::Subquery(Box::new(one)));
    }
    let names = (0..count).map(|at| TableAliasColumnDef { name: quoted(&format!("\u{0}{at}")), data_type: None }).collect();
    let derived = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query.clone()),
        alias: Some(TableAlias { explicit: true, name: quoted("\u{0}values"), columns: names, at: None }),
        sample: None,
    };
    let mut outer = select(vec![TableWithJoins { relation: derived, joins: Vec::new() }], None)?;
    if let SetExpr::Select(select) = outer.body.as_mut() {
        select.projection = vec![SelectItem::UnnamedExpr(AstExpr::Identifier(quoted(&format!("\u{0}{at}"))))];
    }
    Ok(AstExpr::Subquery(Box::new(outer)))
}

/// ORDER BY may name output columns, by number or name.
fn is_ordered_by_output(query: &Query) -> bool {
    match &query.order_by {
        None => false,
        Some(ast::OrderBy { kind: OrderByKind::Expressions(keys), .. }) => {
            keys.iter().any(|key| matches!(key.expr, AstExpr::Value(_) | AstExpr::Identifier(_)))
        }
        Some(_) => true,
    }
}
