//! A whole catalog copied into another: backup, restore, and the way from SQLite to PostgreSQL. Read in one transaction, so that a
//! running server is not disturbed and the copy is of one moment; data keys stay wrapped, so the key-encryption key is not in it.

use futures::TryStreamExt as _;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, Transaction};

use crate::error::CatalogError;
use crate::store::{Backend, Store};

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    pub tables: usize,
    pub rows: u64,
}

/// Tables in which others' rows are referenced stand before these; the rest follow in any order.
const FIRST: [&str; 4] = ["roles", "databases", "schemas", "relations"];
/// Of one process, or of the place itself.
const LEFT_OUT: [&str; 6] = ["schema_migrations", "readers", "leases", "commit_groups", "engines", "forgetting"];

/// Copies the catalog at one URL into the empty one at another.
///
/// # Errors
/// [`CatalogError::Configuration`] where there is a catalog already; [`CatalogError::Unavailable`].
pub async fn copy_catalog(from: &str, to: &str) -> Result<Copied, CatalogError> {
    let source = Store::open(from).await?;
    let target = Store::open(to).await?;
    let copied = copy(&source, &target).await;
    source.close().await;
    target.close().await;
    copied
}

async fn copy(source: &Store, target: &Store) -> Result<Copied, CatalogError> {
    let mut read = source.begin_read().await?;
    let mut write = target.begin_write().await?;
    let present: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM databases").fetch_one(&mut *write).await?;
    if present > 0 {
        return Err(CatalogError::Configuration { message: "there is a catalog already: a copy goes into an empty place".to_owned() });
    }
    let tables = tables(&mut read, source.backend()).await?;
    // What migrations have put there comes with the copy.
    for table in tables.iter().rev() {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *write).await?;
    }
    let mut rows = 0;
    for table in &tables {
        rows += copy_table(&mut read, &mut write, target.backend(), table).await?;
    }
    write.commit().await?;
    Ok(Copied { tables: tables.len(), rows })
}

async fn tables(read: &mut Transaction<'static, Any>, backend: Backend) -> Result<Vec<String>, CatalogError> {
    let sql = match backend {
        Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        Backend::Postgres => "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'lakegate' ORDER BY 1",
    };
    let mut names: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut **read).await?;
    names.retain(|name| !LEFT_OUT.contains(&name.as_str()));
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    Ok(names)
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Bytes,
}

/// Name and kind of each column.
async fn columns(connection: &mut AnyConnection, backend: Backend, table: &str) -> Result<Vec<(String, Kind)>, CatalogError> {
    let sql = match backend {
        Backend::Sqlite => format!("SELECT name, type FROM pragma_table_info('{table}') ORDER BY cid"),
        Backend::Postgres => format!(
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns \
             WHERE table_schema = 'lakegate' AND table_name = '{table}' ORDER BY ordinal_position"
        ),
    };
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let column = |row: &AnyRow| {
        let (name, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let kind = match kind.to_ascii_uppercase().as_str() {
            "BIGINT" => Kind::Integer,
            "TEXT" => Kind::Text,
            "BLOB" | "BYTEA" => Kind::Bytes,
            other => return Err(CatalogError::internal(format!("a column of type {other}"))),
        };
        Ok((name, kind))
    };
    rows.iter().map(column).collect()
}

async fn copy_table(
    read: &mut Transaction<'static, Any>,
    write: &mut Transaction<'static, Any>,
    backend: Backend,
    table: &str,
) -> Result<u64, CatalogError> {
    let columns = columns(&mut *write, backend, table).await?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let places: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
    let select = format!("SELECT {} FROM {table}", names.join(", "));
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
    let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut **read);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        let mut query = sqlx::query(AssertSqlSafe(insert.clone()));
        for (at, (_, kind)) in columns.iter().enumerate() {
            query = match kind {
                Kind::Integer => query.bind(row.try_get::<Option<i64>, _>(at)?),
                Kind::Text => query.bind(row.try_get::<Option<String>, _>(at)?),
                Kind::Bytes => query.bind(row.try_get::<Option<Vec<u8>>, _>(at)?),
            };
        }
        query.execute(&mut **write).await?;
        count += 1;
    }
    Ok(count)
}
