//! MERGE. The source's rows come with the target's rows that match them, and the first WHEN whose condition holds says what is done.
//! WHEN NOT MATCHED BY SOURCE, which PostgreSQL 15 has not, is a plan of its own over the target's rows that nothing matches.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use lakegate_engine_api::merge_marks::{ALL, DEFAULTS, NOTHING};
use lakegate_engine_api::{EngineError, SqlMistake};
use sqlparser::ast::{
    Assignment, AssignmentTarget, Expr as AstExpr, Join, JoinConstraint, JoinOperator, Merge, MergeAction, MergeClause, MergeClauseKind,
    MergeInsertExpr, MergeInsertKind, ObjectName, TableWithJoins,
};

use super::assignments::{planned, values};
use super::base::{TargetName, refuse, rows, select};
use super::layout::{Parts, case, finish, is_mark, projected, restricted};
use super::{ChangePlan, Context, Twice, action};
use crate::error;
use crate::policy::{may_delete, may_update};
use crate::write::assign::{assigned, in_type_of};
use crate::write::defaults::is_default;
use crate::write::insert::{column_position, default_of, refuse_generated};

/// Which WHEN applies to a row: its number.
const CLAUSE: &str = "\u{0}clause";

/// # Errors
/// The statement's mistakes.
pub fn plans(context: &Context<'_>, merge: &Merge) -> Result<Vec<ChangePlan>, EngineError> {
    refuse(merge.output.is_some(), "MERGE … RETURNING")?;
    if merge.clauses.is_empty() {
        return Err(error::sql(SqlMistake::Syntax, "MERGE has no WHEN clause"));
    }
    check_reachable(&merge.clauses)?;
    let name = TargetName::of(&merge.table, context.target)?;
    let is_by_source = |clause: &&MergeClause| clause.clause_kind == MergeClauseKind::NotMatchedBySource;
    let mut plans = Vec::new();
    let joined: Vec<&MergeClause> = merge.clauses.iter().filter(|clause| !is_by_source(clause)).collect();
    if !joined.is_empty() {
        plans.push(plan_joined(context, merge, &name, &joined)?);
    }
    let alone: Vec<&MergeClause> = merge.clauses.iter().filter(is_by_source).collect();
    if !alone.is_empty() {
        plans.push(plan_alone(context, merge, &name, &alone)?);
    }
    Ok(plans)
}

/// Whether rows are added where none is found.
#[must_use]
pub fn inserts(merge: &Merge) -> bool {
    merge.clauses.iter().any(|clause| matches!(&clause.action, MergeAction::Insert(insert) if !names(&insert.columns, NOTHING)))
}

fn check_reachable(clauses: &[MergeClause]) -> Result<(), EngineError> {
    let kind = |clause: &MergeClause| match clause.clause_kind {
        MergeClauseKind::NotMatchedByTarget => MergeClauseKind::NotMatched,
        other => other,
    };
    for (at, clause) in clauses.iter().enumerate() {
        if clauses.iter().take(at).any(|before| kind(before) == kind(clause) && before.predicate.is_none()) {
            return Err(error::sql(SqlMistake::Syntax, "unreachable WHEN clause specified after unconditional WHEN clause"));
        }
    }
    Ok(())
}

fn plan_joined(context: &Context<'_>, merge: &Merge, name: &TargetName, clauses: &[&MergeClause]) -> Result<ChangePlan, EngineError> {
    let keeps_unmatched = clauses.iter().any(|clause| clause.clause_kind != MergeClauseKind::Matched);
    let on = JoinConstraint::On(merge.on.as_ref().clone());
    let join_operator = if keeps_unmatched { JoinOperator::Left(on) } else { JoinOperator::Inner(on) };
    let join = Join { relation: name.factor(), global: false, join_operator };
    let base = rows(context, vec![TableWithJoins { relation: merge.source.clone(), joins: vec![join] }], None)?;
    let is_matched = |clause: &MergeClause| match clause.clause_kind {
        MergeClauseKind::Matched => name.file().is_not_null(),
        _ => name.file().is_null(),
    };
    let source = restricted(base.schema(), |column| column.relation.as_ref() != Some(&name.reference))?;
    plan_clauses(context, name, base, clauses, &source, is_matched)
}

fn plan_alone(context: &Context<'_>, merge: &Merge, name: &TargetName, clauses: &[&MergeClause]) -> Result<ChangePlan, EngineError> {
    let matching = select(vec![TableWithJoins { relation: merge.source.clone(), joins: Vec::new() }], Some(merge.on.as_ref().clone()))?;
    let unmatched = AstExpr::Exists { subquery: Box::new(matching), negated: true };
    let base = rows(context, vec![name.relation()], Some(unmatched))?;
    plan_clauses(context, name, base, clauses, &DFSchema::empty(), |_| lit(true))
}

/// `source`: what an INSERT sees.
fn plan_clauses(
    context: &Context<'_>,
    name: &TargetName,
    base: LogicalPlan,
    clauses: &[&MergeClause],
    source: &DFSchema,
    applies: impl Fn(&MergeClause) -> Expr,
) -> Result<ChangePlan, EngineError> {
    let all = restricted(base.schema(), |column| !is_mark(column))?;
    let schema = |clause: &MergeClause| match clause.clause_kind {
        MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => source,
        MergeClauseKind::Matched | MergeClauseKind::NotMatchedBySource => &all,
    };
    let mut chosen = Vec::with_capacity(clauses.len());
    for (number, clause) in clauses.iter().enumerate() {
        let mut condition = applies(clause);
        if let Some(predicate) = &clause.predicate {
            condition = condition.and(planned(context, predicate.clone(), schema(clause))?);
        }
        chosen.push((condition, number_of(number)));
    }
    let chosen = case(None, chosen, lit(ScalarValue::Int32(None)));
    let columns = base.schema().columns().into_iter().map(Expr::Column);
    let base = projected(base.clone(), columns.chain([chosen.alias(CLAUSE)]))?;

    let table = &context.target.columns.columns;
    let clause_column = || Some(Expr::Column(datafusion::common::Column::from_name(CLAUSE)));
    let mut actions = Vec::with_capacity(clauses.len());
    let mut values: Vec<Vec<(Expr, Expr)>> = vec![Vec::new(); table.len()];
    for (number, clause) in clauses.iter().enumerate() {
        let (what, row) = row_of(context, clause, schema(clause), source)?;
        actions.push((number_of(number), lit(what)));
        for (value, branches) in row.into_iter().zip(&mut values) {
            branches.extend(value.map(|value| (number_of(number), value)));
        }
    }
    let mut row = Vec::with_capacity(table.len());
    for (branches, column) in values.into_iter().zip(table) {
        let kept = context.stored(name, column.field.name());
        row.push(match branches.is_empty() {
            true => kept,
            false => in_type_of(case(clause_column(), branches, kept), column),
        });
    }
    let action = case(clause_column(), actions, lit(action::NOTHING));
    let parts = Parts {
        base,
        action,
        file: name.file(),
        row: name.row(),
        values: row,
        writes: true,
        beside: Vec::new(),
        merged: Vec::new(),
        twice: Twice::RefusedByMerge,
        arbiters: Vec::new(),
        ordered: false,
        guards: guards(context, name),
    };
    finish(context, name, parts, None)
}

/// The rows that are found by SELECT's policies are changed by those of UPDATE and DELETE.
fn guards(context: &Context<'_>, name: &TargetName) -> Vec<(i8, Expr)> {
    if !context.target.has_row_policies() {
        return Vec::new();
    }
    vec![(action::UPDATE, name.column(may_update())), (action::DELETE, name.column(may_delete()))]
}

fn number_of(clause: usize) -> Expr {
    lit(i32::try_from(clause).unwrap_or(i32::MAX))
}

/// What a clause does, and the values that it gives to columns.
fn row_of(
    context: &Context<'_>,
    clause: &MergeClause,
    schema: &DFSchema,
    source: &DFSchema,
) -> Result<(i8, Vec<Option<Expr>>), EngineError> {
    let table = &context.target.columns.columns;
    match &clause.action {
        MergeAction::Delete { .. } => Ok((action::DELETE, vec![None; table.len()])),
        MergeAction::Update(update) => {
            refuse(update.update_predicate.is_some() || update.delete_predicate.is_some(), "WHERE behind UPDATE in MERGE")?;
            if sets(&update.assignments, NOTHING) {
                return Ok((action::NOTHING, vec![None; table.len()]));
            }
            if sets(&update.assignments, ALL) {
                return Ok((action::UPDATE, same_names(context, source)?));
            }
            Ok((action::UPDATE, values(context, &update.assignments, schema)?))
        }
        MergeAction::Insert(insert) => {
            refuse(insert.insert_predicate.is_some(), "WHERE behind INSERT in MERGE")?;
            if names(&insert.columns, NOTHING) {
                return Ok((action::NOTHING, vec![None; table.len()]));
            }
            if names(&insert.columns, ALL) {
                return Ok((action::INSERT, same_names(context, source)?));
            }
            Ok((action::INSERT, inserted(context, insert, schema)?))
        }
    }
}

/// For each column of the target the source's column of the same name.
fn same_names(context: &Context<'_>, source: &DFSchema) -> Result<Vec<Option<Expr>>, EngineError> {
    let value = |column: &crate::delta::TableColumn| {
        if column.generation.is_some() {
            return Ok(None);
        }
        let (qualifier, field) = source.qualified_field_with_unqualified_name(column.field.name()).map_err(|_| {
            let message = format!("the source has no column \"{}\", or several", column.field.name());
            error::sql(SqlMistake::UndefinedColumn, message)
        })?;
        assigned(Expr::Column((qualifier, field).into()), source, column).map(Some)
    };
    context.target.columns.columns.iter().map(value).collect()
}

fn inserted(context: &Context<'_>, insert: &MergeInsertExpr, schema: &DFSchema) -> Result<Vec<Option<Expr>>, EngineError> {
    let table = &context.target.columns.columns;
    let MergeInsertKind::Values(written) = &insert.kind else { return Err(error::unsupported("INSERT ROW in MERGE")) };
    let [row] = written.rows.as_slice() else {
        return Err(error::sql(SqlMistake::Syntax, "INSERT in MERGE takes one row"));
    };
    let by_default = names(&insert.columns, DEFAULTS);
    let mut positions = Vec::new();
    if !by_default {
        for name in &insert.columns {
            let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else {
                return Err(error::unsupported("INSERT into a part of a column"));
            };
            let position = column_position(ident, context.target)?;
            if positions.contains(&position) {
                let message = format!("column \"{}\" specified more than once", table[position].field.name());
                return Err(error::sql(SqlMistake::DuplicateColumn, message));
            }
            positions.push(position);
        }
        if insert.columns.is_empty() {
            positions = (0..table.len().min(row.content.len())).collect();
        }
        if row.content.len() > positions.len() {
            return Err(error::sql(SqlMistake::Syntax, "INSERT has more expressions than target columns"));
        }
        if row.content.len() < positions.len() {
            return Err(error::sql(SqlMistake::Syntax, "INSERT has more target columns than expressions"));
        }
    }
    let mut values = Vec::with_capacity(table.len());
    for (at, column) in table.iter().enumerate() {
        let written = positions.iter().position(|position| *position == at).and_then(|at| row.content.get(at));
        let expr = match written.filter(|expr| !is_default(expr)) {
            Some(expr) => {
                refuse_generated(column)?;
                planned(context, expr.clone(), schema)?
            }
            None => planned(context, default_of(&context.target.relation, column)?, &DFSchema::empty())?,
        };
        values.push(Some(assigned(expr, schema, column)?));
    }
    Ok(values)
}

fn names(columns: &[ObjectName], mark: &str) -> bool {
    matches!(columns, [only] if is_mark_name(only, mark))
}

fn sets(assignments: &[Assignment], mark: &str) -> bool {
    matches!(assignments, [Assignment { target: AssignmentTarget::ColumnName(only), .. }] if is_mark_name(only, mark))
}

fn is_mark_name(name: &ObjectName, mark: &str) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value == mark)
}
