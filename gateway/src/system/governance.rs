//! `system.information_schema.{catalog,schema,table,column}_tags`, `column_masks`: names and columns follow Databricks'. A role sees what it
//! may see of the objects.

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{Principal, visible_databases, visible_relations, visible_schemas};
use lakegate_catalog::governance::Tags;
use lakegate_catalog::model::{Column, Oid, PUBLIC};
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::sqlstate::SqlError;

/// A tag, and the names of what has it from the database down.
pub struct TagRow {
    names: Vec<String>,
    tag: String,
    value: String,
}

/// The name columns of each kind of object.
fn name_columns(table: &str) -> Option<&'static [&'static str]> {
    Some(match table {
        "catalog_tags" => &["catalog_name"],
        "schema_tags" => &["catalog_name", "schema_name"],
        "table_tags" => &["catalog_name", "schema_name", "table_name"],
        "column_tags" => &["catalog_name", "schema_name", "table_name", "column_name"],
        _ => return None,
    })
}

/// # Errors
/// None of its own.
pub fn rows(snapshot: &Snapshot, principal: &Principal, table: &str) -> Result<Option<RelationSource>, SqlError> {
    if table == "column_masks" {
        return masks(&masked(snapshot, principal)).map(Some);
    }
    let Some(depth) = name_columns(table).map(<[_]>::len) else { return Ok(None) };
    tags(table, &tagged(snapshot, principal, depth))
}

/// The relation without rows.
///
/// # Errors
/// None of its own.
pub fn empty(table: &str) -> Result<Option<RelationSource>, SqlError> {
    if table == "column_masks" { masks(&[]).map(Some) } else { tags(table, &[]) }
}

fn tags(table: &str, rows: &[TagRow]) -> Result<Option<RelationSource>, SqlError> {
    let Some(names) = name_columns(table) else { return Ok(None) };
    let mut columns = Columns::over(rows);
    for (at, name) in names.iter().enumerate() {
        columns = columns.text(name, move |row| row.names.get(at).cloned());
    }
    columns.text("tag_name", |row| Some(row.tag.clone())).text("tag_value", |row| Some(row.value.clone())).finish().map(Some)
}

/// `depth`: 1 databases, 2 schemas, 3 relations, 4 columns.
fn tagged(snapshot: &Snapshot, principal: &Principal, depth: usize) -> Vec<TagRow> {
    let mut found = Vec::new();
    let mut add = |names: &[&str], tags: &Tags| {
        found.extend(tags.iter().map(|(tag, value)| TagRow {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            tag: tag.clone(),
            value: value.clone(),
        }));
    };
    let role = principal.current_role;
    for database in visible_databases(snapshot, role) {
        if depth == 1 {
            add(&[&database.name], &database.governance.tags);
            continue;
        }
        for schema in visible_schemas(snapshot, role, database.oid) {
            if depth == 2 {
                add(&[&database.name, &schema.name], &schema.tags);
                continue;
            }
            for relation in visible_relations(snapshot, role, schema.oid) {
                let names = [database.name.as_str(), &schema.name, &relation.name];
                if depth == 3 {
                    add(&names, &relation.tags);
                    continue;
                }
                for column in &relation.columns {
                    add(&[names[0], names[1], names[2], &column.name], &column.tags);
                }
            }
        }
    }
    found
}

/// A column and one of the masks on it.
pub struct MaskRow {
    names: [String; 4],
    /// Of a masking policy that its tag binds; a mask of the column's own has none.
    policy: Option<(String, String, String)>,
    expression: String,
    roles: Vec<String>,
}

fn masked(snapshot: &Snapshot, principal: &Principal) -> Vec<MaskRow> {
    let role = principal.current_role;
    let named = |roles: &[Oid]| roles.iter().filter(|role| **role != PUBLIC).map(|role| snapshot.role_name(*role)).collect::<Vec<_>>();
    let mut found = Vec::new();
    for database in visible_databases(snapshot, role) {
        for schema in visible_schemas(snapshot, role, database.oid) {
            for relation in visible_relations(snapshot, role, schema.oid) {
                let names = |column: &Column| [&database.name, &schema.name, &relation.name, &column.name].map(Clone::clone);
                for column in &relation.columns {
                    found.extend(column.mask.iter().map(|mask| MaskRow {
                        names: names(column),
                        policy: None,
                        expression: mask.expression.text.clone(),
                        roles: named(&mask.roles),
                    }));
                    let bound = database.governance.masking_policies.iter().filter(|policy| policy.binds(&column.tags));
                    found.extend(bound.map(|policy| MaskRow {
                        names: names(column),
                        policy: Some((policy.name.clone(), policy.tag.clone(), policy.value.clone().unwrap_or_default())),
                        expression: policy.mask.expression.text.clone(),
                        roles: named(&policy.mask.roles),
                    }));
                }
            }
        }
    }
    found
}

fn masks(rows: &[MaskRow]) -> Result<RelationSource, SqlError> {
    let policy = |row: &MaskRow| row.policy.clone();
    Columns::over(rows)
        .text("table_catalog", |row| Some(row.names[0].clone()))
        .text("table_schema", |row| Some(row.names[1].clone()))
        .text("table_name", |row| Some(row.names[2].clone()))
        .text("column_name", |row| Some(row.names[3].clone()))
        .text("mask_name", move |row| policy(row).map(|(name, ..)| name))
        .text("tag_name", move |row| policy(row).map(|(_, tag, _)| tag))
        .text("tag_value", move |row| policy(row).map(|(.., value)| value))
        .text("mask_expression", |row| Some(row.expression.clone()))
        .texts("roles", |row| row.roles.clone())
        .finish()
}
