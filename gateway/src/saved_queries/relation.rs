//! `lakegate.saved_queries` and `lakegate.saved_query_versions`: what the control plane knows, and the texts beside it.

use chrono::{DateTime, Utc};
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::RelationName;
use lakegate_catalog::saved_queries::{SavedQuery, SavedVersion};
use lakegate_catalog::{Catalog, Snapshot};
use lakegate_engine_api::{BoundRelation, RelationSource};

use super::texts::TABLE;
use crate::own_tables::{part_of, sql_name};
use crate::privacy::quoted;
use crate::sql::bind::SYSTEM_DATABASE;
use crate::sqlstate::SqlError;
use crate::system::columns::Columns;

pub const QUERIES: (&str, &str) = ("lakegate", "saved_queries");
pub const VERSIONS: (&str, &str) = ("lakegate", "saved_query_versions");

/// A line: a version of a query.
pub struct Line {
    name: String,
    database: String,
    version: u64,
    owner: String,
    shared_with: Vec<String>,
    created: DateTime<Utc>,
    saved: DateTime<Utc>,
    saved_by: String,
    query_id: String,
    text_id: String,
}

impl Line {
    fn of(snapshot: &Snapshot, query: &SavedQuery, version: &SavedVersion) -> Line {
        Line {
            name: query.name.clone(),
            database: snapshot.database(query.database).map(|database| database.name.clone()).unwrap_or_default(),
            version: version.version,
            owner: snapshot.role_name(query.owner),
            shared_with: query.shared_with.iter().filter_map(|role| snapshot.role(*role)).map(|role| role.name.clone()).collect(),
            created: query.created,
            saved: version.saved,
            saved_by: version.saved_by.clone(),
            query_id: query.query_id.to_string(),
            text_id: version.text_id.to_string(),
        }
    }
}

/// Whether it is one of these relations.
#[must_use]
pub fn is_saved(name: &RelationName) -> bool {
    name.database == SYSTEM_DATABASE && [QUERIES, VERSIONS].contains(&(name.schema.as_str(), name.name.as_str()))
}

/// # Errors
/// XX000.
pub fn queries_table(rows: &[Line]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("name", |row| Some(row.name.clone()))
        .count("version", |row| Some(row.version))
        .text("definition", |_| None)
        .text("owner", |row| Some(row.owner.clone()))
        .texts("shared_with", |row| row.shared_with.clone())
        .text("database", |row| Some(row.database.clone()))
        .time("created_time", |row| Some(row.created))
        .time("saved_time", |row| Some(row.saved))
        .text("saved_by", |row| Some(row.saved_by.clone()))
        .uuid("query_id", |row| Some(row.query_id.clone()))
        .finish()
}

/// # Errors
/// XX000.
pub fn versions_table(rows: &[Line]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("name", |row| Some(row.name.clone()))
        .count("version", |row| Some(row.version))
        .text("definition", |_| None)
        .text("database", |row| Some(row.database.clone()))
        .time("saved_time", |row| Some(row.saved))
        .text("saved_by", |row| Some(row.saved_by.clone()))
        .uuid("query_id", |row| Some(row.query_id.clone()))
        .finish()
}

fn known(rows: &[Line], newest_only: bool) -> Result<RelationSource, SqlError> {
    let RelationSource::Rows { schema, batches } = (if newest_only { queries_table(rows)? } else { versions_table(rows)? }) else {
        return Err(crate::own_tables::internal("a relation of our own without rows"));
    };
    let ids: arrow_array::StringArray = rows.iter().map(|row| Some(row.text_id.clone())).collect();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    let field = lakegate_engine_api::arrow_field("text_id", lakegate_catalog::model::PgType::TEXT, true);
    fields.push(std::sync::Arc::new(field.ok_or_else(|| crate::own_tables::internal("text has no type"))?));
    let schema = std::sync::Arc::new(arrow_schema::Schema::new(fields));
    let mut columns: Vec<arrow_array::ArrayRef> = batches.first().map(|batch| batch.columns().to_vec()).unwrap_or_default();
    columns.push(std::sync::Arc::new(ids));
    let batch = arrow_array::RecordBatch::try_new(schema.clone(), columns).map_err(crate::own_tables::internal)?;
    Ok(RelationSource::Rows { schema, batches: std::sync::Arc::new([batch]) })
}

/// What stands behind the relation for the role: its query, its columns, and the relations that the query reads.
pub struct SavedView {
    pub query: String,
    pub columns: Vec<String>,
    pub known: BoundRelation,
    pub texts: BoundRelation,
}

/// `None`: there is nothing that the role may run, and maybe no table yet.
///
/// # Errors
/// 57P03.
pub async fn view(catalog: &Catalog, root: &str, principal: &Principal, name: &RelationName) -> Result<Option<SavedView>, SqlError> {
    let newest_only = name.name == QUERIES.1;
    let snapshot = catalog.snapshot();
    let queries = catalog.saved_queries(principal).await?;
    let is_there = |query: &&SavedQuery| snapshot.database(query.database).is_some();
    let mut rows = Vec::new();
    for query in queries.iter().filter(is_there) {
        let versions = query.versions.iter().rev().take(if newest_only { 1 } else { usize::MAX });
        rows.extend(versions.map(|version| Line::of(&snapshot, query, version)));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let empty = if newest_only { queries_table(&[])? } else { versions_table(&[])? };
    let RelationSource::Rows { schema, .. } = empty else { return Ok(None) };
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let shown = |column: &String| format!("{}.{1} AS {1}", if column == "definition" { "t" } else { "k" }, quoted(column));
    let part = part_of(&name.schema, &name.name, "known");
    let query = format!(
        "SELECT {} FROM {} AS k LEFT JOIN {} AS t ON t.text_id = k.text_id",
        columns.iter().map(shown).collect::<Vec<_>>().join(", "),
        sql_name(&part),
        TABLE.sql_name()
    );
    Ok(Some(SavedView {
        query,
        columns,
        known: BoundRelation::new(part, known(&rows, newest_only)?),
        texts: TABLE.bound(root, None, None),
    }))
}
