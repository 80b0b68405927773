//! Views of `information_schema` that need more than SQL over `pg_catalog`: knowledge of types, grants one by one, columns of keys.

mod columns;
mod element_types;
mod key_columns;
mod parameters;
mod privileges;
mod type_shape;

use arrow_array::RecordBatch;

use super::super::Context;
use super::super::cells::Columns;
use super::super::recorded::Recorded;
use super::Maker;
use crate::sqlstate::SqlError;

/// What makes the rows; `None` for relations that are SQL views or empty.
pub fn maker(relation: &Recorded) -> Option<Maker> {
    Some(match relation.name {
        "column_privileges" => privileges::of_columns,
        "columns" => columns::rows,
        "constraint_column_usage" => key_columns::usage,
        "element_types" => element_types::rows,
        "information_schema_catalog_name" => catalog_name,
        "key_column_usage" => key_columns::rows,
        "parameters" => parameters::rows,
        "table_privileges" => privileges::of_tables,
        _ => return None,
    })
}

/// One row: the database whose catalog this is.
fn catalog_name(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    Columns::over(relation, &[context.database]).put("catalog_name", |name| *name).finish()
}
