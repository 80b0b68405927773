//! The catalog's own bytes, searched for data subjects: every clear column, and with SQLite the file as it lies on disk.

use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row as _};

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::needles::Needles;
use crate::store::Backend;

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
        for (table, column) in self.text_columns().await? {
            let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
            let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(self.store().reads());
            let mut found: Option<CatalogFinding> = None;
            while let Some(row) = rows.try_next().await? {
                let text: String = row.try_get(0)?;
                scan.values += 1;
                if let Some(encoding) = needles.find(text.as_bytes()) {
                    let finding = found.get_or_insert_with(|| CatalogFinding {
                        table: table.clone(),
                        column: column.clone(),
                        rows: 0,
                        encoding: encoding.to_owned(),
                    });
                    finding.rows += 1;
                }
            }
            scan.findings.extend(found);
            scan.tables += 1;
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

    async fn text_columns(&self) -> Result<Vec<(String, String)>, CatalogError> {
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
        let rows = sqlx::query(sql).fetch_all(self.store().reads()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
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
