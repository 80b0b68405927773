//! `key_column_usage` and `constraint_column_usage`: which columns constraints name.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Constraint, Relation};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::{key_columns, keys};
use crate::pg_catalog::recorded::Recorded;
use crate::pg_catalog::relations::constraint;
use crate::sqlstate::SqlError;

struct Row<'a> {
    relation: &'a Relation,
    schema: &'a str,
    constraint: &'a Constraint,
    column: &'a str,
    /// From 1, within the constraint.
    position: i32,
}

/// Columns of PRIMARY KEY and UNIQUE constraints.
pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let rows = with_columns(context, |relation| {
        keys(relation).flat_map(|key| (1..).zip(key_columns(key)).map(move |(position, column)| (key, column.as_str(), position))).collect()
    });
    common(relation, context, &rows).put("ordinal_position", |row| row.position).finish()
}

/// Columns of all constraints.
pub fn usage(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let rows = with_columns(context, |relation| {
        let of = |constraint| {
            let numbers = constraint::columns(relation, constraint).unwrap_or_default();
            let named = numbers.into_iter().filter_map(|number| relation.columns.get(usize::try_from(number - 1).ok()?));
            (1..).zip(named).map(move |(position, column)| (constraint, column.name.as_str(), position))
        };
        relation.constraints.iter().flat_map(of).collect()
    });
    common(relation, context, &rows).finish()
}

fn with_columns<'a>(context: &Context<'a>, of: impl Fn(&'a Relation) -> Vec<(&'a Constraint, &'a str, i32)>) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for relation in context.objects().stored() {
        let Some(schema) = context.snapshot.schema_by_oid(relation.schema) else { continue };
        rows.extend(of(relation).into_iter().map(|(constraint, column, position)| Row {
            relation,
            schema: &schema.name,
            constraint,
            column,
            position,
        }));
    }
    rows
}

fn common<'a>(relation: &'static Recorded, context: &Context<'_>, rows: &'a [Row<'a>]) -> Columns<'a, Row<'a>> {
    Columns::over(relation, rows)
        .all("constraint_catalog", context.database.to_owned())
        .put("constraint_schema", |row| row.schema)
        .put("constraint_name", |row| &row.constraint.name)
        .all("table_catalog", context.database.to_owned())
        .put("table_schema", |row| row.schema)
        .put("table_name", |row| &row.relation.name)
        .put("column_name", |row| row.column)
}
