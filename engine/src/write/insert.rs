//! INSERT: the source's columns become the table's, in the table's order, with defaults for those it does not give.

use std::sync::Arc;

use arrow_schema::FieldRef;
use datafusion::common::{DFSchema, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use lakegate_engine_api::catalog::{Identity, Relation};
use lakegate_engine_api::{EngineError, SqlMistake};
use sqlparser::ast::{Expr as AstExpr, Insert, ObjectName, ObjectNamePart, Query, SetExpr, Visit, Visitor};
use std::ops::ControlFlow;

use super::assign::{cell, in_array_type_of, inserted};
use super::defaults::{catalog_expression, is_default, log_expression, null};
use super::target::Target;
use crate::delta::TableColumn;
use crate::error;
use crate::plan::{Planner, planning_error};

/// Known types of the statement's parameters.
pub type ParameterFields = Vec<Option<FieldRef>>;

/// Whose columns are the table's, not analysed yet.
///
/// # Errors
/// The statement's mistakes.
pub fn insert_plan(
    planner: &Planner<'_>,
    insert: &Insert,
    target: &Target,
    parameters: &ParameterFields,
) -> Result<LogicalPlan, EngineError> {
    refuse_clauses(insert)?;
    let overridden = overriding(insert, target);
    let target = overridden.as_ref().unwrap_or(target);
    let explicit = !insert.columns.is_empty();
    let listed = listed_columns(&insert.columns, target)?;
    let Some(source) = &insert.source else {
        // DEFAULT VALUES
        let row = vec![Vec::new()];
        return values_plan(planner, &row, &[], target, parameters);
    };
    if let Some(rows) = plain_values(source) {
        let rows: Vec<Vec<AstExpr>> = rows.to_vec();
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(error::sql(SqlMistake::Syntax, "VALUES lists must all be the same length"));
        }
        let listed = without_identities(given(&listed, width, explicit)?, insert, target);
        return values_plan(planner, &rows, &listed, target, parameters);
    }
    let plan = planner.query(source.as_ref().clone(), parameters.clone()).map_err(|error| planning_error(&error))?;
    let listed = without_identities(given(&listed, plan.schema().fields().len(), explicit)?, insert, target);
    select_plan(planner, plan, &listed, target, parameters)
}

fn refuse_clauses(insert: &Insert) -> Result<(), EngineError> {
    let refused = [
        (insert.output.is_some(), "INSERT … OUTPUT"),
        (insert.or.is_some() || insert.ignore, "INSERT OR … and INSERT IGNORE"),
        (insert.overwrite || insert.replace_into, "INSERT OVERWRITE"),
        (insert.partitioned.is_some() || !insert.after_columns.is_empty(), "INSERT … PARTITION"),
        (!insert.assignments.is_empty(), "INSERT … SET"),
        (insert.multi_table_insert_type.is_some() || !insert.multi_table_into_clauses.is_empty(), "INSERT into several tables"),
        (insert.format_clause.is_some(), "INSERT … FORMAT"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, clause)) => Err(error::unsupported(*clause)),
        None => Ok(()),
    }
}

/// Positions of the columns that the statement names; all, where it names none.
fn listed_columns(names: &[ObjectName], target: &Target) -> Result<Vec<usize>, EngineError> {
    if names.is_empty() {
        return Ok((0..target.columns.columns.len()).collect());
    }
    let mut positions = Vec::with_capacity(names.len());
    for name in names {
        let Some(ObjectNamePart::Identifier(name)) = name.0.last() else {
            return Err(error::unsupported("INSERT into a part of a column"));
        };
        let position = column_position(name, target)?;
        if positions.contains(&position) {
            let name = target.columns.columns[position].field.name();
            return Err(error::sql(SqlMistake::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        positions.push(position);
    }
    Ok(positions)
}

/// # Errors
/// `UndefinedColumn`.
pub fn column_position(name: &sqlparser::ast::Ident, target: &Target) -> Result<usize, EngineError> {
    let name = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
    target.columns.position(&name).ok_or_else(|| {
        error::sql(SqlMistake::UndefinedColumn, format!("column \"{name}\" of relation \"{}\" does not exist", target.name.name))
    })
}

/// The listed columns for which a source of `width` columns gives a value.
fn given(listed: &[usize], width: usize, explicit: bool) -> Result<Vec<usize>, EngineError> {
    if width > listed.len() {
        return Err(error::sql(SqlMistake::Syntax, "INSERT has more expressions than target columns"));
    }
    if width < listed.len() && explicit {
        return Err(error::sql(SqlMistake::Syntax, "INSERT has more target columns than expressions"));
    }
    Ok(listed[..width].to_vec())
}

/// The rows of a source that is nothing but VALUES.
fn plain_values(query: &Query) -> Option<Vec<Vec<AstExpr>>> {
    let is_plain = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    match query.body.as_ref() {
        SetExpr::Values(values) if is_plain => Some(values.rows.iter().map(|row| row.content.clone()).collect()),
        _ => None,
    }
}

/// `OVERRIDING { SYSTEM | USER } VALUE`, which the front end keeps as a setting of the statement: the parser crate has no place for it.
/// SYSTEM lets values be given to columns that are GENERATED ALWAYS.
fn overriding(insert: &Insert, target: &Target) -> Option<Target> {
    if !overrides(insert, "system") {
        return None;
    }
    let mut target = target.clone();
    target.columns.columns.iter_mut().for_each(|column| column.identity = None);
    Some(target)
}

fn overrides(insert: &Insert, whose: &str) -> bool {
    let is = |setting: &sqlparser::ast::Setting| setting.key.value == "overriding" && setting.value.to_string() == whose;
    insert.settings.as_ref().is_some_and(|settings| settings.iter().any(is))
}

/// `OVERRIDING USER VALUE`: what is given for identity columns is left aside.
fn without_identities(mut listed: Vec<usize>, insert: &Insert, target: &Target) -> Vec<usize> {
    if overrides(insert, "user") {
        for at in &mut listed {
            if target.columns.columns.get(*at).is_some_and(|column| column.identity.is_some()) {
                *at = usize::MAX;
            }
        }
    }
    listed
}

/// Defaults that call functions, of columns for which no row gives a value: evaluated over all rows together, so that a sequence is asked
/// once.
fn common_defaults(
    planner: &Planner<'_>,
    listed: &[usize],
    target: &Target,
    parameters: &ParameterFields,
) -> Result<Vec<Option<Expr>>, EngineError> {
    let calls = |expr: &AstExpr| {
        sqlparser::ast::visit_expressions(expr, |expr| match expr {
            AstExpr::Function(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    };
    let empty = DFSchema::empty();
    let mut defaults = Vec::with_capacity(target.columns.columns.len());
    for (position, column) in target.columns.columns.iter().enumerate() {
        let default = default_of(&target.relation, column)?;
        if listed.contains(&position) || !calls(&default) {
            defaults.push(None);
            continue;
        }
        let expr = planner.expression(default, &empty, parameters.clone()).map_err(|error| planning_error(&error))?;
        defaults.push(Some(inserted(expr, &empty, column)?));
    }
    Ok(defaults)
}

fn values_plan(
    planner: &Planner<'_>,
    rows: &[Vec<AstExpr>],
    listed: &[usize],
    target: &Target,
    parameters: &ParameterFields,
) -> Result<LogicalPlan, EngineError> {
    let empty = DFSchema::empty();
    let defaults = common_defaults(planner, listed, target, parameters)?;
    let mut planned: Vec<Vec<Expr>> = Vec::with_capacity(rows.len());
    for row in rows {
        let mut values = Vec::with_capacity(target.columns.columns.len());
        for (position, column) in target.columns.columns.iter().enumerate() {
            let written = listed.iter().position(|at| *at == position).and_then(|at| row.get(at)).filter(|expr| !is_default(expr));
            if written.is_some() {
                refuse_generated(column)?;
            }
            let ast = match written {
                Some(expr) => expr.clone(),
                None if defaults[position].is_some() => null(),
                None => default_of(&target.relation, column)?,
            };
            let expr = planner.expression(ast, &empty, parameters.clone()).map_err(|error| planning_error(&error))?;
            values.push(cell(expr, &empty, column)?);
        }
        planned.push(values);
    }
    let with_subqueries = rows.iter().flatten().any(has_subquery);
    let plan =
        if with_subqueries { one_by_one(planned, target) } else { LogicalPlanBuilder::values(planned).and_then(LogicalPlanBuilder::build) };
    let plan = plan.map_err(|error| planning_error(&error))?;
    let exprs = plan.schema().columns().into_iter().zip(&target.columns.columns).zip(defaults).map(|((from, column), default)| {
        default.unwrap_or_else(|| in_array_type_of(Expr::Column(from), column)).alias(column.field.name())
    });
    let plan = LogicalPlanBuilder::from(plan).project(exprs.collect::<Vec<_>>()).and_then(LogicalPlanBuilder::build);
    with_generated(planner, plan.map_err(|error| planning_error(&error))?, target)
}

/// Subqueries cannot stand in a VALUES list of a plan, but in a projection.
fn one_by_one(rows: Vec<Vec<Expr>>, target: &Target) -> datafusion::common::Result<LogicalPlan> {
    let mut plan: Option<LogicalPlan> = None;
    for row in rows {
        let exprs = row.into_iter().zip(&target.columns.columns).map(|(expr, column)| expr.alias(column.field.name()));
        let one = LogicalPlanBuilder::empty(true).project(exprs.collect::<Vec<_>>())?.build()?;
        plan = Some(match plan {
            None => one,
            Some(plan) => LogicalPlanBuilder::from(plan).union(one)?.build()?,
        });
    }
    plan.ok_or_else(|| datafusion::common::DataFusionError::Plan("no rows".to_owned()))
}

fn has_subquery(expr: &AstExpr) -> bool {
    struct Found;
    impl Visitor for Found {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Found).is_break()
}

fn select_plan(
    planner: &Planner<'_>,
    plan: LogicalPlan,
    listed: &[usize],
    target: &Target,
    parameters: &ParameterFields,
) -> Result<LogicalPlan, EngineError> {
    // Under names of our own: the source's may occur twice.
    let names: Vec<String> = (0..listed.len()).map(|at| format!("\u{0}{at}")).collect();
    let source = TableReference::bare("\u{0}source");
    let sources: Vec<Expr> =
        plan.schema().columns().into_iter().zip(&names).map(|(column, name)| Expr::Column(column).alias(name)).collect();
    // Literals at the top of the source take the column's type, which a column reference would hide.
    let literals = literals_of(&plan);
    let plan = LogicalPlanBuilder::from(plan)
        .project(sources)
        .and_then(|builder| builder.alias(source.clone()))
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| planning_error(&error))?;
    let schema = Arc::clone(plan.schema());
    let mut exprs = Vec::with_capacity(target.columns.columns.len());
    for (position, column) in target.columns.columns.iter().enumerate() {
        let expr = match listed.iter().position(|at| *at == position) {
            Some(at) => {
                refuse_generated(column)?;
                match literals.get(at).cloned().flatten() {
                    Some(literal) => inserted(literal, &schema, column)?,
                    None => {
                        let from = datafusion::common::Column::new(Some(source.clone()), &names[at]);
                        inserted(Expr::Column(from), &schema, column)?
                    }
                }
            }
            None => {
                let default = default_of(&target.relation, column)?;
                let expr = planner.expression(default, &DFSchema::empty(), parameters.clone()).map_err(|error| planning_error(&error))?;
                inserted(expr, &DFSchema::empty(), column)?
            }
        };
        exprs.push(expr.alias(column.field.name()));
    }
    let plan = LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build).map_err(|error| planning_error(&error))?;
    with_generated(planner, plan, target)
}

/// For each column of a projection the literal or parameter that it is, if it is one.
fn literals_of(plan: &LogicalPlan) -> Vec<Option<Expr>> {
    let LogicalPlan::Projection(projection) = plan else { return Vec::new() };
    projection
        .expr
        .iter()
        .map(|expr| {
            let plain = expr.clone().unalias();
            matches!(plain, Expr::Literal(..) | Expr::Placeholder(_)).then_some(plain)
        })
        .collect()
}

/// The catalog's DEFAULT, or NULL.
pub fn default_of(relation: &Relation, column: &TableColumn) -> Result<AstExpr, EngineError> {
    let registered = relation.columns.iter().find(|registered| registered.name == *column.field.name());
    match registered.and_then(|registered| registered.default.as_deref()) {
        Some(text) => catalog_expression(text),
        None => Ok(null()),
    }
}

/// # Errors
/// A generated column cannot be given a value.
pub fn refuse_generated(column: &TableColumn) -> Result<(), EngineError> {
    let name = column.field.name();
    let message = format!("cannot insert a non-DEFAULT value into column \"{name}\"");
    if column.generation.is_some() {
        return Err(EngineError::GeneratedAlways { message, detail: format!("Column \"{name}\" is a generated column."), hint: None });
    }
    if column.identity == Some(Identity::Always) {
        let detail = format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS.");
        let hint = Some("Use OVERRIDING SYSTEM VALUE to override.".to_owned());
        return Err(EngineError::GeneratedAlways { message, detail, hint });
    }
    Ok(())
}

/// # Errors
/// As [`refuse_generated`], for UPDATE.
pub fn refuse_generated_update(column: &TableColumn) -> Result<(), EngineError> {
    let name = column.field.name();
    let detail = match (&column.generation, column.identity) {
        (Some(_), _) => format!("Column \"{name}\" is a generated column."),
        (None, Some(Identity::Always)) => format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS."),
        _ => return Ok(()),
    };
    Err(EngineError::GeneratedAlways { message: format!("column \"{name}\" can only be updated to DEFAULT"), detail, hint: None })
}

/// Computes generated columns from the others.
///
/// # Errors
/// `Unsupported` where an expression cannot be evaluated here.
pub fn with_generated(planner: &Planner<'_>, plan: LogicalPlan, target: &Target) -> Result<LogicalPlan, EngineError> {
    if target.columns.columns.iter().all(|column| column.generation.is_none()) {
        return Ok(plan);
    }
    let schema = Arc::clone(plan.schema());
    let mut exprs = Vec::new();
    for (from, column) in schema.columns().into_iter().zip(&target.columns.columns) {
        let expr = match &column.generation {
            None => Expr::Column(from),
            Some(text) => {
                let ast = log_expression(text, &format!("the generated column \"{}\"", column.field.name()))?;
                let expr = planner.expression(ast, &schema, Vec::new()).map_err(|error| planning_error(&error))?;
                inserted(expr, &schema, column)?
            }
        };
        exprs.push(expr.alias(column.field.name()));
    }
    LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build).map_err(|error| planning_error(&error))
}
