//! Which columns a planned query names, where SELECT was granted on some of a relation's columns alone. As in PostgreSQL every column that
//! the text names has to be granted, whether its value matters or not (`markVarForSelectPriv`, `ExecCheckRTEPerms`).
//!
//! What stands inside a view has been looked at when the view was planned: a view is a leaf here, under its name of three parts.

use std::collections::HashMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan};
use lakegate_engine_api::SqlMistake;

use super::context::VisibleColumns;
use crate::error;

type Visible = HashMap<TableReference, VisibleColumns>;

/// # Errors
/// `InsufficientPrivilege` for a column that is not visible.
pub fn check_columns(plan: &LogicalPlan, visible: &Visible) -> Result<()> {
    Walk { visible, outer: Vec::new() }.plan(plan)
}

/// The same for an expression over what `bases` give.
///
/// # Errors
/// As [`check_columns`].
pub fn check_expression(expr: &Expr, bases: &[LogicalPlan], visible: &Visible) -> Result<()> {
    let inputs: Vec<&LogicalPlan> = bases.iter().rev().collect();
    Walk { visible, outer: Vec::new() }.expression(expr, &inputs)
}

struct Walk<'a> {
    visible: &'a Visible,
    /// What the columns of outer queries are of, the innermost last.
    outer: Vec<Vec<&'a LogicalPlan>>,
}

impl<'a> Walk<'a> {
    fn plan(&mut self, plan: &'a LogicalPlan) -> Result<()> {
        if is_leaf(plan) {
            return Ok(());
        }
        let inputs = plan.inputs();
        for expr in plan.expressions() {
            // The plan gives its expressions by value; those with subqueries are met again below.
            self.columns(&expr, &inputs)?;
        }
        self.subqueries(plan, &inputs)?;
        for input in &inputs {
            match input {
                // A lateral one: its outer columns are those of what stands beside it.
                LogicalPlan::Subquery(subquery) => {
                    self.outer.push(inputs.clone());
                    let done = self.plan(&subquery.subquery);
                    self.outer.pop();
                    done?;
                }
                input => self.plan(input)?,
            }
        }
        Ok(())
    }

    /// Plans inside the expressions of a plan.
    fn subqueries(&mut self, plan: &'a LogicalPlan, inputs: &[&'a LogicalPlan]) -> Result<()> {
        let mut found = Vec::new();
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                let subquery = match expr {
                    Expr::ScalarSubquery(subquery) => Some(subquery),
                    Expr::Exists(exists) => Some(&exists.subquery),
                    Expr::InSubquery(within) => Some(&within.subquery),
                    Expr::SetComparison(comparison) => Some(&comparison.subquery),
                    _ => None,
                };
                found.extend(subquery.map(|subquery| std::sync::Arc::clone(&subquery.subquery)));
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        for subquery in found {
            let mut inner = Walk { visible: self.visible, outer: self.outer.clone() };
            inner.outer.push(inputs.to_vec());
            inner.plan_of(&subquery)?;
        }
        Ok(())
    }

    /// As [`Walk::plan`], for a plan that does not live as long.
    fn plan_of(&self, plan: &LogicalPlan) -> Result<()> {
        Walk { visible: self.visible, outer: self.outer.iter().map(|inputs| inputs.to_vec()).collect() }.plan(plan)
    }

    fn expression(&mut self, expr: &Expr, inputs: &[&'a LogicalPlan]) -> Result<()> {
        self.columns(expr, inputs)?;
        let mut found = Vec::new();
        expr.apply(|expr| {
            let subquery = match expr {
                Expr::ScalarSubquery(subquery) => Some(subquery),
                Expr::Exists(exists) => Some(&exists.subquery),
                Expr::InSubquery(within) => Some(&within.subquery),
                Expr::SetComparison(comparison) => Some(&comparison.subquery),
                _ => None,
            };
            found.extend(subquery.map(|subquery| std::sync::Arc::clone(&subquery.subquery)));
            Ok(TreeNodeRecursion::Continue)
        })?;
        for subquery in found {
            let mut inner = Walk { visible: self.visible, outer: self.outer.clone() };
            inner.outer.push(inputs.to_vec());
            inner.plan_of(&subquery)?;
        }
        Ok(())
    }

    fn columns(&self, expr: &Expr, inputs: &[&LogicalPlan]) -> Result<()> {
        expr.apply(|expr| {
            match expr {
                Expr::Column(column) => self.column(column, inputs)?,
                Expr::OuterReferenceColumn(_, column) => {
                    let around = self.outer.iter().rev().find(|inputs| inputs.iter().any(|input| has(input, column)));
                    match around {
                        Some(inputs) => self.column(column, inputs)?,
                        None => self.unknown(column)?,
                    }
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map(drop)
    }

    fn column(&self, column: &Column, inputs: &[&LogicalPlan]) -> Result<()> {
        let Some((input, at)) = inputs.iter().find_map(|input| Some((input, input.schema().maybe_index_of_column(column)?))) else {
            return Ok(());
        };
        match origin(input, at) {
            Some((relation, name)) => self.check(relation, &name),
            None => Ok(()),
        }
    }

    /// A column of a query around that is not found: none that is hidden has such a name.
    fn unknown(&self, column: &Column) -> Result<()> {
        self.visible.iter().try_for_each(
            |(relation, visible)| {
                if visible.names.contains(&column.name) { Ok(()) } else { Err(denied(visible, relation)) }
            },
        )
    }

    fn check(&self, relation: &TableReference, name: &str) -> Result<()> {
        match self.visible.get(relation) {
            Some(visible) if !visible.names.iter().any(|known| known == name) => Err(denied(visible, relation)),
            _ => Ok(()),
        }
    }
}

fn denied(visible: &VisibleColumns, relation: &TableReference) -> datafusion::common::DataFusionError {
    let message = format!("permission denied for {} {}", visible.kind, shown(relation.table()));
    error::external(error::sql(SqlMistake::InsufficientPrivilege, message))
}

fn has(plan: &LogicalPlan, column: &Column) -> bool {
    plan.schema().maybe_index_of_column(column).is_some()
}

/// A table, or a view planned in place.
fn is_leaf(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::SubqueryAlias(alias) => matches!(alias.alias, TableReference::Full { .. }),
        _ => false,
    }
}

/// The relation and column that a plan's column is, where it is passed on as it is.
fn origin(plan: &LogicalPlan, at: usize) -> Option<(&TableReference, String)> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let at = scan.projection.as_ref().map_or(Some(at), |columns| columns.get(at).copied())?;
            Some((&scan.table_name, scan.source.schema().fields().get(at)?.name().clone()))
        }
        LogicalPlan::SubqueryAlias(alias) if is_leaf(plan) => Some((&alias.alias, alias.schema.fields().get(at)?.name().clone())),
        LogicalPlan::Projection(projection) => through(projection.expr.get(at)?, &projection.input),
        LogicalPlan::Aggregate(aggregate) => through(aggregate.group_expr.get(at)?, &aggregate.input),
        _ => {
            // Whatever passes its input's columns on does so under their names.
            let column = Column::from(plan.schema().qualified_field(at));
            match plan {
                LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, at),
                _ => plan.inputs().into_iter().find_map(|input| origin(input, input.schema().maybe_index_of_column(&column)?)),
            }
        }
    }
}

fn through<'p>(expr: &Expr, input: &'p LogicalPlan) -> Option<(&'p TableReference, String)> {
    match expr {
        Expr::Alias(alias) => through(&alias.expr, input),
        Expr::Column(column) => origin(input, input.schema().maybe_index_of_column(column)?),
        _ => None,
    }
}

/// The table of a name that says which of its versions is meant, too.
fn shown(name: &str) -> &str {
    name.split('\0').next().unwrap_or(name)
}
