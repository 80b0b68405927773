//! `pg_description` and `pg_shdescription`: comments.

use arrow_array::RecordBatch;
use lakegate_catalog::authorize::visible_databases;
use lakegate_catalog::model::Oid;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::{self, Recorded};
use crate::sqlstate::SqlError;

const PG_CLASS: Oid = 1259;
const PG_DATABASE: Oid = 1262;
const PG_NAMESPACE: Oid = 2615;

struct Comment<'a> {
    class: Oid,
    object: Oid,
    column: u32,
    text: &'a str,
}

/// Recorded comments and those on schemas, tables, views and columns.
pub fn of_objects(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let objects = context.objects();
    let mut comments: Vec<Comment<'_>> = Vec::new();
    for schema in objects.namespaces() {
        // PostgreSQL's own are recorded.
        if let Some(text) = schema.comment.filter(|_| schema.oid != lakegate_catalog::model::PG_CATALOG_OID) {
            comments.push(Comment { class: PG_NAMESPACE, object: schema.oid, column: 0, text });
        }
    }
    for stored in objects.stored() {
        let columns = (1..).zip(&stored.columns).map(|(number, column)| (number, column.comment.as_deref()));
        for (column, text) in std::iter::once((0, stored.comment.as_deref())).chain(columns) {
            comments.extend(text.map(|text| Comment { class: PG_CLASS, object: stored.oid, column, text }));
        }
    }
    let made = Columns::over(relation, &comments)
        .only(context.columns)
        .put("objoid", |comment| comment.object)
        .put("classoid", |comment| comment.class)
        .put("objsubid", |comment| comment.column)
        .put("description", |comment| comment.text)
        .finish()?;
    Ok(recorded::rows(relation)?.cloned().into_iter().chain(made).collect())
}

/// Comments on databases.
pub fn of_databases(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let databases: Vec<(Oid, &str)> = visible_databases(context.snapshot, context.principal.current_role)
        .filter_map(|database| Some((database.oid, database.comment.as_deref()?)))
        .collect();
    Columns::over(relation, &databases)
        .only(context.columns)
        .put("objoid", |(database, _)| *database)
        .all("classoid", PG_DATABASE)
        .put("description", |(_, text)| *text)
        .finish()
}
