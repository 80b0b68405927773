//! `pg_index`: the indexes of CREATE INDEX, and each PRIMARY KEY and UNIQUE constraint, which is where clients look for keys. Those of
//! constraints have the constraint's OID; they speed nothing up and enforce nothing.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Column, ConstraintKind, Relation};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::{key_columns, keys, type_facts};
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

struct Row<'a> {
    relation: &'a Relation,
    oid: u32,
    unique: bool,
    primary: bool,
    /// Name, and `indoption`: 1 descending, 2 NULLs first.
    columns: Vec<(&'a str, i64)>,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let rows: Vec<Row<'_>> = context.objects().stored().into_iter().flat_map(of_table).collect();
    let count = |row: &Row<'_>| i64::try_from(row.columns.len()).unwrap_or(i64::MAX);
    Columns::over(relation, &rows)
        .only(context.columns)
        .put("indexrelid", |row| row.oid)
        .put("indrelid", |row| row.relation.oid)
        .put("indnatts", count)
        .put("indnkeyatts", count)
        .put("indisunique", |row| row.unique)
        .all("indnullsnotdistinct", false)
        .put("indisprimary", |row| row.primary)
        .all("indisexclusion", false)
        .all("indimmediate", true)
        .all("indisclustered", false)
        .all("indisvalid", true)
        .all("indcheckxmin", false)
        .all("indisready", true)
        .all("indislive", true)
        .all("indisreplident", false)
        .put("indkey", |row| row.columns.iter().filter_map(|(name, _)| column(row, name)).map(|(at, _)| at).collect::<Vec<_>>())
        .put("indcollation", |row| {
            let facts = |name: &str| column(row, name).and_then(|(_, column)| type_facts(column.data_type.oid));
            row.columns.iter().map(|(name, _)| facts(name).map_or(0, |facts| facts.collation)).collect::<Vec<_>>()
        })
        .put("indclass", |row| vec![0_i64; row.columns.len()])
        .put("indoption", |row| row.columns.iter().map(|(_, option)| *option).collect::<Vec<_>>())
        .finish()
}

/// Number and column.
fn column<'a>(row: &Row<'a>, name: &str) -> Option<(i64, &'a Column)> {
    row.relation.column(name).map(|(at, column)| (i64::try_from(at + 1).unwrap_or(0), column))
}

fn of_table(relation: &Relation) -> Vec<Row<'_>> {
    let of_keys = keys(relation).map(|key| Row {
        relation,
        oid: key.oid,
        unique: true,
        primary: matches!(key.kind, ConstraintKind::PrimaryKey(_)),
        columns: key_columns(key).iter().map(|name| (name.as_str(), 0)).collect(),
    });
    let of_indexes = relation.indexes.iter().map(|index| Row {
        relation,
        oid: index.oid,
        unique: index.unique,
        primary: false,
        columns: index
            .columns
            .iter()
            .map(|column| (column.name.as_str(), i64::from(column.descending) + 2 * i64::from(column.nulls_first)))
            .collect(),
    });
    of_keys.chain(of_indexes).collect()
}
