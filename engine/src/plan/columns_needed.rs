//! Which columns of its relations a planned query reads, those that only a condition names among them, for the audit log. From the
//! analysed plan: a column that a view selects and the query does not want is not read.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Subquery};
use lakegate_engine_api::catalog::RelationName;

/// By relation; names that are not of three parts (the plan's own) are left out.
#[must_use]
pub fn columns_needed<'p>(plans: impl IntoIterator<Item = &'p LogicalPlan>) -> Vec<(RelationName, Vec<String>)> {
    let mut needed = Needed::default();
    for plan in plans {
        needed.plan(plan, &all(plan));
    }
    let named = |(table, columns): (TableReference, BTreeSet<String>)| match table {
        TableReference::Full { catalog, schema, table } => {
            // What stands behind a control character is for the program alone.
            let name = table.split(char::is_control).next().unwrap_or_default().to_owned();
            let name = RelationName { database: catalog.to_string(), schema: schema.to_string(), name };
            Some((name, columns.into_iter().filter(|column| !column.starts_with('\0')).collect()))
        }
        _ => None,
    };
    needed.found.into_iter().filter_map(named).collect()
}

#[derive(Default)]
struct Needed {
    found: BTreeMap<TableReference, BTreeSet<String>>,
}

/// Places of columns in a plan's schema.
type Places = BTreeSet<usize>;

fn all(plan: &LogicalPlan) -> Places {
    (0..plan.schema().fields().len()).collect()
}

impl Needed {
    fn plan(&mut self, plan: &LogicalPlan, wanted: &Places) {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let schema = scan.source.schema();
                let columns = self.found.entry(scan.table_name.clone()).or_default();
                for place in wanted {
                    let place = scan.projection.as_ref().map_or(Some(*place), |columns| columns.get(*place).copied());
                    columns.extend(place.and_then(|place| schema.fields().get(place)).map(|field| field.name().clone()));
                }
                for filter in &scan.filters {
                    columns.extend(filter.column_refs().into_iter().map(|column| column.name.clone()));
                }
            }
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input, wanted),
            LogicalPlan::Limit(limit) => self.plan(&limit.input, wanted),
            LogicalPlan::Union(union) => union.inputs.iter().for_each(|input| self.plan(input, wanted)),
            LogicalPlan::Distinct(Distinct::All(input)) => self.plan(input, &all(input)),
            LogicalPlan::Projection(projection) => {
                let exprs = wanted.iter().filter_map(|place| projection.expr.get(*place));
                self.over(&[&projection.input], exprs, &[Places::new()]);
            }
            LogicalPlan::Filter(filter) => self.over(&[&filter.input], [&filter.predicate], std::slice::from_ref(wanted)),
            LogicalPlan::Sort(sort) => self.over(&[&sort.input], sort.expr.iter().map(|sort| &sort.expr), std::slice::from_ref(wanted)),
            LogicalPlan::Aggregate(aggregate) => {
                self.over(&[&aggregate.input], aggregate.group_expr.iter().chain(&aggregate.aggr_expr), &[Places::new()]);
            }
            LogicalPlan::Window(window) => {
                let inner = window.input.schema().fields().len();
                let passed = wanted.iter().copied().filter(|place| *place < inner).collect();
                self.over(&[&window.input], &window.window_expr, &[passed]);
            }
            LogicalPlan::Join(join) => {
                let width = join.left.schema().fields().len();
                let (left, right): (Places, Places) = match plan.schema().fields().len() == width + join.right.schema().fields().len() {
                    true => {
                        let (left, right): (Places, Places) = wanted.iter().partition(|place| **place < width);
                        (left, right.into_iter().map(|place| place - width).collect())
                    }
                    // Semi joins and their kin show one side.
                    false => (all(&join.left), all(&join.right)),
                };
                let on = join.on.iter().flat_map(|(left, right)| [left, right]);
                self.over(&[&join.left, &join.right], on.chain(&join.filter), &[left, right]);
            }
            other => {
                let inputs = other.inputs();
                let wanted: Vec<Places> = inputs.iter().map(|input| all(input)).collect();
                let exprs = other.expressions();
                self.over(&inputs, &exprs, &wanted);
            }
        }
    }

    /// What the expressions name, and what is wanted anyway, of each input.
    fn over<'e>(&mut self, inputs: &[&LogicalPlan], exprs: impl IntoIterator<Item = &'e Expr>, wanted: &[Places]) {
        let mut wanted = wanted.to_vec();
        let mut subqueries = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        for expr in exprs {
            // The walk has no errors of its own.
            let _ = expr.apply(|expr| {
                match expr {
                    Expr::Column(column) => columns.push(column.clone()),
                    Expr::ScalarSubquery(subquery) => subqueries.push((subquery.clone(), true)),
                    Expr::InSubquery(within) => subqueries.push((within.subquery.clone(), true)),
                    Expr::SetComparison(comparison) => subqueries.push((comparison.subquery.clone(), true)),
                    Expr::Exists(exists) => subqueries.push((exists.subquery.clone(), false)),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        for input in inputs {
            if let LogicalPlan::Subquery(lateral) = input {
                outer_columns(&lateral.subquery, &mut columns);
            }
        }
        for (subquery, has_value) in &subqueries {
            outer_columns(&subquery.subquery, &mut columns);
            self.subquery(subquery, *has_value);
        }
        for column in columns {
            let place = inputs.iter().enumerate().find_map(|(at, input)| Some((at, input.schema().maybe_index_of_column(&column)?)));
            if let Some((at, place)) = place
                && let Some(wanted) = wanted.get_mut(at)
            {
                wanted.insert(place);
            }
        }
        for (input, wanted) in inputs.iter().zip(&wanted) {
            match input {
                LogicalPlan::Subquery(lateral) => self.plan(&lateral.subquery, wanted),
                input => self.plan(input, wanted),
            }
        }
    }

    fn subquery(&mut self, subquery: &Subquery, has_value: bool) {
        let wanted = if has_value { all(&subquery.subquery) } else { Places::new() };
        self.plan(&subquery.subquery, &wanted);
    }
}

/// Columns of queries around, of however many.
fn outer_columns(plan: &LogicalPlan, columns: &mut Vec<Column>) {
    let _ = plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    columns.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
}
