//! Numbered schema changes, each applied once, in order, in one transaction with its record.

use sqlx::{AssertSqlSafe, Executor as _};

use super::{Backend, Store};
use crate::error::CatalogError;

/// Version and text, in order.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("migrations/0001_catalog.sql")),
    (2, include_str!("migrations/0002_commit_intents.sql")),
    (3, include_str!("migrations/0003_sequence_states.sql")),
    (4, include_str!("migrations/0004_readers.sql")),
    (5, include_str!("migrations/0005_governance.sql")),
    (6, include_str!("migrations/0006_roles.sql")),
    (7, include_str!("migrations/0007_log_chains.sql")),
    (8, include_str!("migrations/0008_detections.sql")),
    (10, include_str!("migrations/0010_privacy.sql")),
    (11, include_str!("migrations/0011_one_signing_key.sql")),
    (12, include_str!("migrations/0012_leases.sql")),
    (13, include_str!("migrations/0013_warehouses.sql")),
    (15, include_str!("migrations/0015_saved_queries.sql")),
    (16, include_str!("migrations/0016_flushed_logs.sql")),
    (17, include_str!("migrations/0017_engines.sql")),
    (18, include_str!("migrations/0018_forgetting.sql")),
];

pub(super) async fn run(store: &Store) -> Result<(), CatalogError> {
    let mut transaction = store.begin_write().await?;
    if store.backend() == Backend::Postgres {
        // Several gateways may start at once.
        transaction.execute("SELECT pg_advisory_xact_lock(7310579210)").await?;
        transaction.execute("CREATE SCHEMA IF NOT EXISTS lakegate").await?;
    }
    transaction.execute("CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY)").await?;
    let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM schema_migrations").fetch_all(&mut *transaction).await?;
    let found = applied.iter().copied().max().unwrap_or(0);
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    if found > known {
        return Err(CatalogError::SchemaTooNew { found, known });
    }
    let blob = match store.backend() {
        Backend::Sqlite => "BLOB",
        Backend::Postgres => "BYTEA",
    };
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| !applied.contains(version)) {
        transaction.execute(sqlx::raw_sql(AssertSqlSafe(text.replace("{BLOB}", blob)))).await?;
        sqlx::query("INSERT INTO schema_migrations (version) VALUES ($1)").bind(version).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
