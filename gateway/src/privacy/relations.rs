//! The queries behind `lakegate.subject_map` and `lakegate.locate_subject`: rows that the catalog knows, and counts and samples that the
//! tables are asked for.

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::Privilege;

use super::call::SubjectFunction;
use super::conditions::{condition, quoted, string, table_name};
use super::map::{CoveredTable, SubjectMap, require_access, require_officer};
use super::suspects::suspects;
use crate::sqlstate::SqlError;

const MAP_COLUMNS: [&str; 8] =
    ["table_catalog", "table_schema", "table_name", "column_name", "status", "found_by", "erasure", "legal_hold"];
const LOCATED_COLUMNS: [&str; 7] = ["table_catalog", "table_schema", "table_name", "found_by", "erasure", "legal_hold", "row_count"];

/// The query, to be run with all rights, and its columns. Here is checked what the role may ask.
///
/// # Errors
/// 42501; as [`SubjectMap::of`].
pub fn relation(snapshot: &Snapshot, principal: &Principal, function: &SubjectFunction) -> Result<(String, Vec<String>), SqlError> {
    require_officer(snapshot, principal)?;
    let map = SubjectMap::of(snapshot, function.kind())?;
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match function {
        SubjectFunction::Literal { .. } => Err(crate::own_tables::internal("a search of the logs came by the wrong way")),
        SubjectFunction::Map { .. } => {
            let mut rows: Vec<String> = map.tables.iter().flat_map(covered_rows).collect();
            rows.extend(suspects(snapshot, principal, &map));
            Ok((together(&rows), columns(&MAP_COLUMNS)))
        }
        SubjectFunction::Locate { identifier, .. } => {
            require_access(snapshot, principal, &map, Privilege::Select)?;
            let identifiers = [identifier.clone()];
            let rows: Vec<String> = map.tables.iter().map(|table| located_row(&map, table, &identifiers)).collect();
            Ok((together(&rows), columns(&LOCATED_COLUMNS)))
        }
    }
}

fn covered_rows(table: &CoveredTable) -> Vec<String> {
    let row = |column: &super::map::SubjectColumn| {
        let by = match &column.via {
            Some((parent, key)) => format!("subject_via {parent}.{key}"),
            None => "tag subject".to_owned(),
        };
        map_row(&table.name, &column.name, "covered", &by, Some(table.rule.word()), table.legal_hold)
    };
    table.columns.iter().map(row).collect()
}

/// A row of `subject_map`.
pub fn map_row(
    table: &lakegate_catalog::model::RelationName,
    column: &str,
    status: &str,
    found_by: &str,
    erasure: Option<&str>,
    legal_hold: bool,
) -> String {
    let texts = [&table.database, &table.schema, &table.name, column, status, found_by].map(string);
    let erasure = erasure.map_or_else(|| "NULL".to_owned(), string);
    let values = texts.into_iter().chain([erasure]).map(|text| format!("{text}::text")).chain([legal_hold.to_string()]);
    format!("SELECT {}", named(values, &MAP_COLUMNS))
}

fn located_row(map: &SubjectMap, table: &CoveredTable, identifiers: &[String]) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let texts = [&table.name.database, &table.name.schema, &table.name.name, &names.join(", "), table.rule.word()];
    let values = texts.into_iter().map(|text| format!("{}::text", string(text)));
    let values = values.chain([table.legal_hold.to_string(), "count(*)".to_owned()]);
    format!(
        "SELECT {} FROM {} AS {} WHERE {}",
        named(values, &LOCATED_COLUMNS),
        table_name(&table.name),
        quoted("t"),
        condition(map, table, identifiers)
    )
}

fn named(values: impl Iterator<Item = String>, names: &[&str]) -> String {
    values.zip(names).map(|(value, name)| format!("{value} AS {name}")).collect::<Vec<_>>().join(", ")
}

/// All rows by UNION ALL, in a tree that is as shallow as may be.
fn together(rows: &[String]) -> String {
    match rows {
        [] => "SELECT 1 WHERE false".to_owned(),
        [one] => one.clone(),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            format!("({}) UNION ALL ({})", together(left), together(right))
        }
    }
}
