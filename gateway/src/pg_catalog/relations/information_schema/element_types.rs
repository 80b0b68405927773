//! `information_schema.element_types`: what arrays in columns are made of.

use arrow_array::RecordBatch;
use lakegate_catalog::model::PgType;

use super::type_shape as shape;
use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::{Class, type_facts};
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

struct Row<'a> {
    class: &'a Class<'a>,
    schema: &'a str,
    number: i16,
    element: PgType,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let objects = context.objects();
    let schemas = objects.namespaces();
    let classes = objects.classes();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for class in classes.iter().filter(|class| matches!(class.kind, "r" | "v")) {
        let Some(schema) = schemas.iter().find(|schema| schema.oid == class.schema) else { continue };
        for attribute in class.attributes() {
            if let Some(element) = PgType::element_of(attribute.data_type.oid) {
                rows.push(Row { class, schema: schema.name, number: attribute.number, element: PgType::plain(element) });
            }
        }
    }
    Columns::over(relation, &rows)
        .only(context.columns)
        .all("object_catalog", context.database)
        .put("object_schema", |row| row.schema)
        .put("object_name", |row| row.class.name)
        .put("object_type", |row| if row.class.kind == "v" { "VIEW" } else { "TABLE" })
        .put("collection_type_identifier", |row| row.number.to_string())
        .put("data_type", |row| shape::data_type(row.element))
        .all("udt_catalog", context.database)
        .all("udt_schema", "pg_catalog")
        .put("udt_name", |row| type_facts(row.element.oid).map(|facts| &facts.name))
        .put("dtd_identifier", |row| format!("a{}", row.number))
        .finish()
}
