//! The catalog's own bytes, searched for data subjects: every clear column, and with SQLite the file as it lies on disk.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row as _};

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::needles::Needles;
use crate::store::Backend;

/// Stands between a row's texts, so that two that have nothing to do with one another do not spell a needle.
const BETWEEN: char = '\u{1f}';

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogFinding {
    pub table: String,
    pub column: String,
    pub rows: u64,
    pub encoding: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogScan {
    pub tables: u64,
    pub values: u64,
    /// Of the database's files, where they are ours to read.
    pub file_bytes: u64,
    pub findings: Vec<CatalogFinding>,
    /// What was not looked at.
    pub beyond: Vec<String>,
}

impl Catalog {
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn scan_for(&self, needles: &Needles) -> Result<CatalogScan, CatalogError> {
        self.log().flush().await?;
        let mut scan = CatalogScan::default();
        for (table, columns) in self.text_columns().await? {
            let (values, is_in_it) = self.look_at_rows(&table, &columns, needles).await?;
            scan.values += values;
            scan.tables += 1;
            if is_in_it {
                for column in &columns {
                    scan.findings.extend(self.look_at_column(&table, column, needles).await?);
                }
            }
        }
        match self.store().backend() {
            Backend::Sqlite => self.scan_files(needles, &mut scan).await?,
            Backend::Postgres => {
                scan.beyond.push(
                    "files, write-ahead log and backups of the catalog's PostgreSQL (sealed values alone hold identifiers there)"
                        .to_owned(),
                );
            }
        }
        Ok(scan)
    }

    /// How many values there are, and whether one of them holds a needle: a table of the logs is read once, not once a column.
    async fn look_at_rows(&self, table: &str, columns: &[String], needles: &Needles) -> Result<(u64, bool), CatalogError> {
        let texts: Vec<String> = columns.iter().map(|column| format!("COALESCE({column}, '')")).collect();
        let counts: Vec<String> = columns.iter().map(|column| format!("CASE WHEN {column} IS NULL THEN 0 ELSE 1 END")).collect();
        let sql = format!("SELECT {}, CAST({} AS BIGINT) FROM {table}", texts.join(&format!(" || '{BETWEEN}' || ")), counts.join(" + "));
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(self.store().reads());
        let (mut values, mut is_in_it) = (0, false);
        while let Some(row) = rows.try_next().await? {
            let text: &str = row.try_get(0)?;
            values += crate::store::number::<u64>(row.try_get(1)?)?;
            is_in_it = is_in_it || needles.find(text.as_bytes()).is_some();
        }
        Ok((values, is_in_it))
    }

    async fn look_at_column(&self, table: &str, column: &str, needles: &Needles) -> Result<Option<CatalogFinding>, CatalogError> {
        let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(self.store().reads());
        let mut found: Option<CatalogFinding> = None;
        while let Some(row) = rows.try_next().await? {
            let text: &str = row.try_get(0)?;
            if let Some(encoding) = needles.find(text.as_bytes()) {
                let (table, column, encoding) = (table.to_owned(), column.to_owned(), encoding.to_owned());
                found.get_or_insert(CatalogFinding { table, column, rows: 0, encoding }).rows += 1;
            }
        }
        Ok(found)
    }

    /// By table.
    async fn text_columns(&self) -> Result<BTreeMap<String, Vec<String>>, CatalogError> {
        let sql = match self.store().backend() {
            Backend::Sqlite => {
                "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' \
                 AND m.name NOT LIKE 'sqlite_%' AND UPPER(c.type) = 'TEXT' ORDER BY m.name, c.cid"
            }
            Backend::Postgres => {
                "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns WHERE table_schema = 'lakegate' \
                 AND data_type = 'text' ORDER BY table_name, ordinal_position"
            }
        };
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in sqlx::query(sql).fetch_all(self.store().reads()).await? {
            columns.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
        }
        Ok(columns)
    }

    /// The database and its write-ahead log, after that was emptied.
    async fn scan_files(&self, needles: &Needles, scan: &mut CatalogScan) -> Result<(), CatalogError> {
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_optional(self.store().reads()).await {
            tracing::warn!(%error, "the catalog's write-ahead log could not be emptied");
        }
        let path: String =
            sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'").fetch_one(self.store().reads()).await?;
        for suffix in ["", "-wal", "-journal"] {
            let file = format!("{path}{suffix}");
            let bytes = match tokio::task::spawn_blocking(move || std::fs::read(file)).await.map_err(CatalogError::internal)? {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    scan.beyond.push(format!("the catalog's file{suffix} could not be read: {error}"));
                    continue;
                }
            };
            scan.file_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if let Some(encoding) = needles.find(&bytes) {
                scan.findings.push(CatalogFinding {
                    table: format!("the catalog's file{suffix}"),
                    column: "bytes".to_owned(),
                    rows: 1,
                    encoding: encoding.to_owned(),
                });
            }
        }
        Ok(())
    }
}
