//! `information_schema.columns`.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Oid, PgType};

use super::type_shape as shape;
use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::{Attribute, Class, TypeFacts, type_facts};
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

/// `C`, `default`: collations that need no name.
const DEFAULT_COLLATION: Oid = 100;

struct Row<'a> {
    class: &'a Class<'a>,
    schema: &'a str,
    attribute: Attribute<'a>,
    /// Of the declared type, which may be a domain.
    declared: Option<&'static TypeFacts>,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let objects = context.objects();
    let schemas = objects.namespaces();
    let classes = objects.classes();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for class in classes.iter().filter(|class| matches!(class.kind, "r" | "v")) {
        let Some(schema) = schemas.iter().find(|schema| schema.oid == class.schema) else { continue };
        for attribute in class.attributes() {
            rows.push(Row { class, schema: schema.name, declared: type_facts(attribute.data_type.oid), attribute });
        }
    }
    let collated = |row: &Row<'_>| {
        type_facts(row.attribute.data_type.oid).map(|facts| facts.collation).filter(|oid| *oid != 0 && *oid != DEFAULT_COLLATION)
    };
    let database = context.database;
    Columns::over(relation, &rows)
        .all("table_catalog", database)
        .put("table_schema", |row| row.schema)
        .put("table_name", |row| row.class.name)
        .put("column_name", |row| &*row.attribute.name)
        .put("ordinal_position", |row| row.attribute.number)
        .put("column_default", |row| row.attribute.default)
        .put("is_nullable", |row| if row.attribute.not_null { "NO" } else { "YES" })
        .put("data_type", |row| shape::data_type(row.base()))
        .put("character_maximum_length", |row| shape::character_maximum_length(row.base()))
        .put("character_octet_length", |row| shape::character_octet_length(row.base()))
        .put("numeric_precision", |row| shape::numeric_precision(row.base()))
        .put("numeric_precision_radix", |row| shape::numeric_precision_radix(row.base().oid))
        .put("numeric_scale", |row| shape::numeric_scale(row.base()))
        .put("datetime_precision", |row| shape::datetime_precision(row.base()))
        .put("collation_catalog", |row| collated(row).map(|_| database))
        .put("collation_schema", |row| collated(row).map(|_| "pg_catalog"))
        .put("collation_name", |row| collated(row).map(|_| "C"))
        .put("domain_catalog", |row| row.domain().map(|_| database))
        .put("domain_schema", |row| row.domain().map(|_| "information_schema"))
        .put("domain_name", |row| row.domain())
        .all("udt_catalog", database)
        .all("udt_schema", "pg_catalog")
        .put("udt_name", |row| type_facts(row.base().oid).map(|facts| &facts.name))
        .put("dtd_identifier", |row| row.attribute.number.to_string())
        .all("is_self_referencing", "NO")
        .all("is_identity", "NO")
        .all("identity_cycle", "NO")
        .all("is_generated", "NEVER")
        .put("is_updatable", |row| if row.class.kind == "r" { "YES" } else { "NO" })
        .finish()
}

impl Row<'_> {
    fn base(&self) -> PgType {
        self.declared.and_then(|facts| facts.base).unwrap_or(self.attribute.data_type)
    }

    /// The name of the declared type, where that is a domain.
    fn domain(&self) -> Option<&'static String> {
        self.declared.filter(|facts| facts.base.is_some()).map(|facts| &facts.name)
    }
}
