//! The stored column behind each column of a result, where it is shown as it is (PostgreSQL's `markTargetListOrigins`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, TableScan};
use lakegate_engine_api::catalog::Oid;
use lakegate_engine_api::{ColumnOrigin, SessionFacts};

/// One entry a column of the plan. Only relations of the session's database have OIDs that it can look up.
pub fn column_origins(plan: &LogicalPlan, facts: &Arc<SessionFacts>) -> Vec<Option<ColumnOrigin>> {
    let mut oids: HashMap<TableReference, Option<Oid>> = HashMap::new();
    let mut oid = |name: &TableReference| {
        let known = oids.entry(name.clone()).or_insert_with(|| match name {
            TableReference::Full { catalog, schema, table } if **catalog == *facts.database => {
                facts.lookup.relation_oid(Some(schema), table)
            }
            _ => None,
        });
        *known
    };
    (0..plan.schema().fields().len())
        .map(|at| {
            let (name, column) = origin(plan, at)?;
            Some(ColumnOrigin { relation: oid(name)?, number: i16::try_from(column + 1).ok()? })
        })
        .collect()
}

/// The relation, and the column's place in it from 0.
fn origin(plan: &LogicalPlan, at: usize) -> Option<(&TableReference, usize)> {
    match plan {
        LogicalPlan::Projection(projection) => through(projection.expr.get(at)?, &projection.input),
        LogicalPlan::Aggregate(aggregate) => through(aggregate.group_expr.get(at)?, &aggregate.input),
        LogicalPlan::Join(Join { left, right, join_type: JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full, .. }) => {
            let width = left.schema().fields().len();
            if at < width { origin(left, at) } else { origin(right, at - width) }
        }
        LogicalPlan::TableScan(TableScan { table_name, projection, .. }) => {
            let at = projection.as_ref().map_or(Some(at), |columns| columns.get(at).copied())?;
            Some((table_name, at))
        }
        // A view is planned in place under its own name, of three parts; aliases in a statement have one.
        LogicalPlan::SubqueryAlias(alias) if matches!(alias.alias, TableReference::Full { .. }) => Some((&alias.alias, at)),
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Repartition(_) => {
            let input = *plan.inputs().first()?;
            (at < input.schema().fields().len()).then(|| origin(input, at)).flatten()
        }
        _ => None,
    }
}

fn through<'a>(expr: &Expr, input: &'a LogicalPlan) -> Option<(&'a TableReference, usize)> {
    match expr {
        Expr::Alias(alias) => through(&alias.expr, input),
        Expr::Column(column) => origin(input, input.schema().maybe_index_of_column(column)?),
        _ => None,
    }
}
