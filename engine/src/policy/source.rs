//! The plan behind a policed table: what it holds, without the rows that are hidden, masked values in the place of the stored ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema};
use datafusion::common::{Column, DFSchema, Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Case, Cast};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource};
use lakegate_engine_api::{OWN_ROW, TablePolicies};
use sqlparser::ast;

use super::barrier::Barrier;
use crate::delta::{FILE_COLUMN, ROW_COLUMN};
use crate::plan::Planner;

/// Of a target: a masked column's stored value goes by its name behind this.
pub const RAW_PREFIX: &str = "\u{0}raw:";

/// Of a target: whether UPDATE may change the row.
const MAY_UPDATE: &str = "\u{0}may_update";

/// Of a target: whether DELETE may take it.
const MAY_DELETE: &str = "\u{0}may_delete";

/// A table that is not to be scanned but behind its policies.
pub struct PolicedSource {
    pub raw: Arc<dyn TableSource>,
    /// For messages.
    pub table: String,
    pub policies: Arc<TablePolicies>,
    /// `None`: it is read.
    pub target: Option<TargetUse>,
}

/// What a statement that changes the table does with the rows that it finds in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetUse {
    Update,
    Delete,
    /// The rows are found by SELECT's policies; whether they may be changed is told by a mark.
    Merge,
    /// INSERT … ON CONFLICT: all rows conflict; whether they may be seen and changed is told by a mark.
    Upsert,
}

#[must_use]
pub fn may_update() -> &'static str {
    MAY_UPDATE
}

#[must_use]
pub fn may_delete() -> &'static str {
    MAY_DELETE
}

/// The name under which a target has a masked column's stored value.
#[must_use]
pub fn raw_column(name: &str) -> String {
    format!("{RAW_PREFIX}{name}")
}

impl PolicedSource {
    /// The rows that are there.
    fn condition(&self) -> Option<ast::Expr> {
        let rows = self.policies.rows.as_ref()?;
        let seen = |other: &ast::Expr| if rows.reads_target { both(rows.select.clone(), other.clone()) } else { other.clone() };
        match self.target {
            None | Some(TargetUse::Merge) => Some(rows.select.clone()),
            Some(TargetUse::Update) => Some(seen(&rows.update)),
            Some(TargetUse::Delete) => Some(seen(&rows.delete)),
            Some(TargetUse::Upsert) => None,
        }
    }

    /// What is told of each row of a target.
    fn marks(&self) -> Vec<(&'static str, ast::Expr)> {
        let Some(rows) = &self.policies.rows else { return Vec::new() };
        match self.target {
            Some(TargetUse::Merge) => vec![(MAY_UPDATE, rows.update.clone()), (MAY_DELETE, rows.delete.clone())],
            Some(TargetUse::Upsert) if rows.reads_target => vec![(MAY_UPDATE, both(rows.select.clone(), rows.update.clone()))],
            Some(TargetUse::Upsert) => vec![(MAY_UPDATE, rows.update.clone())],
            _ => Vec::new(),
        }
    }
}

fn both(one: ast::Expr, other: ast::Expr) -> ast::Expr {
    let nested = |expr: ast::Expr| Box::new(ast::Expr::Nested(Box::new(expr)));
    ast::Expr::BinaryOp { left: nested(one), op: ast::BinaryOperator::And, right: nested(other) }
}

/// # Errors
/// The policies' own mistakes.
pub fn policed_plan(planner: &Planner<'_>, state: &SessionState, source: &PolicedSource) -> Result<Arc<dyn TableSource>> {
    let mut plan = LogicalPlanBuilder::scan(TableReference::bare(OWN_ROW), Arc::clone(&source.raw), None)?.build()?;
    if let Some(condition) = source.condition() {
        let condition = planner.expression(condition, plan.schema(), Vec::new())?;
        plan = LogicalPlanBuilder::from(plan).filter(condition)?.build()?;
    }
    let fields: Vec<FieldRef> = source.raw.schema().fields().to_vec();
    let masked: BTreeSet<String> = source.policies.masks.iter().map(|(column, _)| column.clone()).collect();
    let mut beside: Vec<FieldRef> = Vec::new();
    let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    if source.target.is_some() {
        let hides = self::hides(source);
        for field in fields.iter().filter(|field| hides || masked.contains(field.name())) {
            exprs.push(own(field.name()).alias(raw_column(field.name())));
            beside.push(Arc::new(field.as_ref().clone().with_name(raw_column(field.name()))));
        }
        for (name, condition) in source.marks() {
            exprs.push(planner.expression(condition, plan.schema(), Vec::new())?.alias(name));
            beside.push(Arc::new(Field::new(name, DataType::Boolean, true)));
        }
        plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    }
    let plan = masked_plan(planner, plan, &source.policies)?;
    let out = plan.schema().columns().into_iter().map(|column| {
        let name = column.name.clone();
        let is_own = column.relation.is_some() && fields.iter().any(|field| *field.name() == name && !is_place(&name));
        match hides(source) && is_own {
            // What a row that may not be seen has is nothing to the statement's conditions.
            true => when(own_mark(MAY_UPDATE), Expr::Column(column)).alias(name),
            false => Expr::Column(column).alias(name),
        }
    });
    let plan = LogicalPlanBuilder::from(plan.clone()).project(out.collect::<Vec<_>>())?.build()?;
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    let hides = hides(source);
    let shown = fields
        .into_iter()
        .map(|field| if masked.contains(field.name()) || hides && !is_place(field.name()) { nullable(&field) } else { field });
    let schema = Arc::new(Schema::new(shown.chain(beside).collect::<Vec<_>>()));
    Ok(provider_as_source(Arc::new(Barrier { plan, schema, table: source.table.clone(), masked })))
}

/// The plan with masks in the place of columns of [`OWN_ROW`]; all other columns stay.
///
/// # Errors
/// The masks' own mistakes.
pub fn masked_plan(planner: &Planner<'_>, plan: LogicalPlan, policies: &TablePolicies) -> Result<LogicalPlan> {
    let mut plan = plan;
    let mut left: Vec<&(String, ast::Expr)> = policies.masks.iter().collect();
    while !left.is_empty() {
        // One of each column at a time: the next one is over what this one gives.
        let mut layer: Vec<&(String, ast::Expr)> = Vec::new();
        left.retain(|mask| {
            let waits = layer.iter().any(|(column, _)| *column == mask.0);
            if !waits {
                layer.push(mask);
            }
            waits
        });
        let own_columns = own_schema(plan.schema())?;
        let mut exprs = Vec::new();
        for (qualifier, field) in plan.schema().iter() {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            let is_own = qualifier.is_some_and(|qualifier| qualifier.table() == OWN_ROW);
            exprs.push(match layer.iter().find(|(name, _)| is_own && name == field.name()) {
                Some((name, mask)) => {
                    let mask = planner.expression(mask.clone(), &own_columns, Vec::new())?;
                    let mask = Expr::Cast(Cast { expr: Box::new(mask), field: nullable(field) });
                    mask.alias_qualified(Some(TableReference::bare(OWN_ROW)), name)
                }
                None => column,
            });
        }
        plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    }
    Ok(plan)
}

/// The columns that expressions of policies may name.
///
/// # Errors
/// None that a statement can cause.
pub fn own_schema(schema: &DFSchema) -> Result<DFSchema> {
    let own = schema.iter().filter(|(qualifier, _)| qualifier.is_some_and(|qualifier| qualifier.table() == OWN_ROW));
    let own = own.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
    DFSchema::new_with_metadata(own, std::collections::HashMap::new())
}

/// All rows of the target come, and those that may not be seen without their values.
fn hides(source: &PolicedSource) -> bool {
    source.target == Some(TargetUse::Upsert) && source.policies.rows.is_some()
}

fn is_place(name: &str) -> bool {
    matches!(name, FILE_COLUMN | ROW_COLUMN)
}

fn own_mark(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn when(condition: Expr, value: Expr) -> Expr {
    Expr::Case(Case::new(None, vec![(Box::new(condition), Box::new(value))], None))
}

fn own(name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(OWN_ROW)), name))
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}
