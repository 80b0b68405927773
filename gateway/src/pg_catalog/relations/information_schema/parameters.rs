//! `information_schema.parameters`: arguments of functions.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Oid, PgType};

use super::type_shape as shape;
use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::type_facts;
use crate::pg_catalog::recorded::{self, Recorded};
use crate::pg_catalog::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::sqlstate::SqlError;

struct Row {
    specific_name: String,
    schema: &'static str,
    position: i32,
    mode: &'static str,
    name: Option<String>,
    data_type: Oid,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let rows: Vec<Row> = recorded::functions().flat_map(|function| parameters(&function)).collect();
    let data_type = |row: &Row| shape::data_type(PgType::plain(row.data_type));
    Columns::over(relation, &rows)
        .all("specific_catalog", context.database)
        .put("specific_schema", |row| row.schema)
        .put("specific_name", |row| &row.specific_name)
        .put("ordinal_position", |row| row.position)
        .put("parameter_mode", |row| row.mode)
        .all("is_result", "NO")
        .all("as_locator", "NO")
        .put("parameter_name", |row| row.name.as_ref())
        .put("data_type", data_type)
        .all("udt_catalog", context.database)
        .put("udt_schema", |row| type_facts(row.data_type).map(|_| PG_CATALOG))
        .put("udt_name", |row| type_facts(row.data_type).map(|facts| &facts.name))
        .put("dtd_identifier", |row| row.position.to_string())
        .finish()
}

fn parameters(function: &recorded::Function) -> Vec<Row> {
    let schema = if function.schema == lakegate_catalog::model::INFORMATION_SCHEMA_OID { INFORMATION_SCHEMA } else { PG_CATALOG };
    let specific_name = format!("{}_{}", function.name, function.oid);
    let row = |(at, data_type): (usize, &Oid)| Row {
        specific_name: specific_name.clone(),
        schema,
        position: i32::try_from(at + 1).unwrap_or(i32::MAX),
        mode: match function.modes.get(at).map(String::as_str) {
            Some("o" | "t") => "OUT",
            Some("b") => "INOUT",
            _ => "IN",
        },
        name: function.argument_names.get(at).filter(|name| !name.is_empty()).cloned(),
        data_type: *data_type,
    };
    function.all_argument_types.iter().enumerate().map(row).collect()
}
