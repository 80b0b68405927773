//! Numbered schema changes, each applied once, in order, in one transaction with its record.

use sqlx::{AssertSqlSafe, Executor as _};

use super::{Backend, Store};
use crate::error::CatalogError;

/// Position in the list plus one is the version.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_catalog.sql"),
    include_str!("migrations/0002_commit_intents.sql"),
    include_str!("migrations/0003_sequence_states.sql"),
    include_str!("migrations/0004_readers.sql"),
    include_str!("migrations/0005_governance.sql"),
];

pub(super) async fn run(store: &Store) -> Result<(), CatalogError> {
    let mut transaction = store.begin_write().await?;
    if store.backend() == Backend::Postgres {
        // Several gateways may start at once.
        transaction.execute("SELECT pg_advisory_xact_lock(7310579210)").await?;
        transaction.execute("CREATE SCHEMA IF NOT EXISTS lakegate").await?;
    }
    transaction.execute("CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY)").await?;
    let applied: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM schema_migrations").fetch_one(&mut *transaction).await?;
    let found = applied.unwrap_or(0);
    let known = i64::try_from(MIGRATIONS.len()).map_err(CatalogError::internal)?;
    if found > known {
        return Err(CatalogError::SchemaTooNew { found, known });
    }
    let blob = match store.backend() {
        Backend::Sqlite => "BLOB",
        Backend::Postgres => "BYTEA",
    };
    for (version, text) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.execute(sqlx::raw_sql(AssertSqlSafe(text.replace("{BLOB}", blob)))).await?;
        sqlx::query("INSERT INTO schema_migrations (version) VALUES ($1)").bind(version).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
