//! `information_schema.columns`.

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Identity, Oid, PgType, Relation, Sequence};

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
        .only(context.columns)
        .all("table_catalog", database)
        .put("table_schema", |row| row.schema)
        .put("table_name", |row| row.class.name)
        .put("column_name", |row| &*row.attribute.name)
        .put("ordinal_position", |row| row.attribute.number)
        .put("column_default", |row| {
            row.attribute.default.filter(|_| !row.attribute.generated).map(|text| context.shown_default(text, row.attribute.data_type))
        })
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
        .put("is_identity", |row| if row.attribute.identity.is_some() { "YES" } else { "NO" })
        .put("identity_generation", |row| {
            row.attribute.identity.map(|identity| match identity {
                Identity::Always => "ALWAYS",
                Identity::ByDefault => "BY DEFAULT",
            })
        })
        .put("identity_start", |row| row.sequence(context).map(|sequence| sequence.start.to_string()))
        .put("identity_increment", |row| row.sequence(context).map(|sequence| sequence.increment.to_string()))
        .put("identity_maximum", |row| row.sequence(context).map(|sequence| sequence.max.to_string()))
        .put("identity_minimum", |row| row.sequence(context).map(|sequence| sequence.min.to_string()))
        .put("identity_cycle", |row| if row.sequence(context).is_some_and(|sequence| sequence.cycle) { "YES" } else { "NO" })
        .put("is_generated", |row| if row.attribute.generated { "ALWAYS" } else { "NEVER" })
        .put("generation_expression", |row| row.attribute.default.filter(|_| row.attribute.generated))
        .put("is_updatable", |row| if row.class.kind == "r" { "YES" } else { "NO" })
        .finish()
}

impl Row<'_> {
    /// Of an identity column.
    fn sequence<'s>(&self, context: &'s Context<'_>) -> Option<&'s Sequence> {
        self.attribute.identity?;
        let owns = |relation: &&Arc<Relation>| {
            let owner = relation.sequence.as_ref().and_then(|sequence| sequence.owned_by.as_ref());
            owner.is_some_and(|(_, column)| *column == self.attribute.name)
        };
        context.snapshot.sequences_of(self.class.oid).find(owns)?.sequence.as_ref()
    }

    fn base(&self) -> PgType {
        self.declared.and_then(|facts| facts.base).unwrap_or(self.attribute.data_type)
    }

    /// The name of the declared type, where that is a domain.
    fn domain(&self) -> Option<&'static String> {
        self.declared.filter(|facts| facts.base.is_some()).map(|facts| &facts.name)
    }
}
