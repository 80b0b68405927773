//! The catalog's database: SQLite or PostgreSQL behind one SQL text.
//!
//! One connection writes to SQLite (its pool has no more), so nobody ever meets SQLITE_BUSY from within the process; a few
//! read. With PostgreSQL the logs have their own, so that they never wait for a change that waits for another gateway's.

mod keys;
pub(crate) mod load;
mod migrate;
mod objects;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Executor as _, Transaction};

pub(crate) use keys::key_by_id;
pub(crate) use objects::apply;

use crate::error::CatalogError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone)]
pub(crate) struct Store {
    backend: Backend,
    reads: AnyPool,
    writes: AnyPool,
    logs: AnyPool,
    /// PostgreSQL's, for connections that are no part of a pool.
    pub(crate) url: Option<Url>,
}

/// It can hold a password.
#[derive(Clone)]
pub(crate) struct Url(pub(crate) Arc<str>);

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Url(…)")
    }
}

impl Store {
    /// Connects, checks the server's version and brings the tables up to date.
    pub(crate) async fn open(url: &str) -> Result<Store, CatalogError> {
        sqlx::any::install_default_drivers();
        let store = if let Some(path) = url.strip_prefix("sqlite://") {
            open_sqlite(path).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url).await?
        } else {
            return Err(CatalogError::Configuration { message: "the catalog URL must start with sqlite:// or postgres://".to_owned() });
        };
        store.check_version().await?;
        migrate::run(&store).await?;
        Ok(store)
    }

    pub(crate) fn backend(&self) -> Backend {
        self.backend
    }

    /// Holds the write lock of SQLite at once; PostgreSQL's writers lock the rows they need.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        Ok(self.writes.begin_with(self.begin_statement()).await?)
    }

    /// As [`Store::begin_write`], for the writer of the logs.
    pub(crate) async fn begin_log(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        Ok(self.logs.begin_with(self.begin_statement()).await?)
    }

    fn begin_statement(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        }
    }

    /// One consistent picture for all its queries.
    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        let statement = match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.reads.begin_with(statement).await?)
    }

    pub(crate) fn reads(&self) -> &AnyPool {
        &self.reads
    }

    /// The change counter as stored.
    pub(crate) async fn version(&self) -> Result<u64, CatalogError> {
        let version: i64 = sqlx::query_scalar("SELECT version FROM catalog_state WHERE id = 1").fetch_one(&self.reads).await?;
        number(version)
    }

    /// SQLite's write-ahead log goes into the file and is emptied.
    pub(crate) async fn close(&self) {
        self.reads.close().await;
        if self.backend == Backend::Sqlite
            && let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_optional(&self.writes).await
        {
            tracing::warn!(%error, "could not checkpoint the catalog");
        }
        self.writes.close().await;
        self.logs.close().await;
    }

    async fn check_version(&self) -> Result<(), CatalogError> {
        if self.backend == Backend::Postgres {
            return Ok(());
        }
        let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&self.writes).await?;
        if version_parts(&found) < version_parts(SQLITE_MIN) {
            return Err(CatalogError::SqliteTooOld { found, needed: SQLITE_MIN });
        }
        Ok(())
    }
}

/// Older ones can corrupt a database when the write-ahead log is reset (fixed in 3.51.3).
const SQLITE_MIN: &str = "3.51.3";
const ACQUIRE_SECONDS: u64 = 5;
/// Connections that read, at most: a query of the logs has one to itself while it runs.
const READS: u32 = 8;

fn version_parts(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// Every connection: durable at commit, deleted bytes overwritten, no memory map.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF; \
     PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192";

/// Every connection: an own schema, commits on disk before they are acknowledged, nothing waits without end.
const POSTGRES_SETTINGS: &str = "SET search_path = lakegate; SET synchronous_commit = on; SET lock_timeout = '5s'; \
     SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; SET application_name = 'lakegate'; \
     SET client_min_messages = warning";

async fn open_sqlite(path: &str) -> Result<Store, CatalogError> {
    let path = path.split('?').next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(CatalogError::Configuration { message: "the path in a sqlite:// URL must be absolute".to_owned() });
    }
    create_private(Path::new(path))?;
    let url = format!("sqlite://{}?mode=rw", escaped_path(path));
    let options = || {
        AnyPoolOptions::new()
            .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(setup(connection, SQLITE_SETTINGS)))
    };
    let writes = options().max_connections(1).min_connections(1).connect(&url).await?;
    let reads = options().max_connections(READS).connect(&url).await?;
    Ok(Store { backend: Backend::Sqlite, reads, logs: writes.clone(), writes, url: None })
}

async fn open_postgres(url: &str) -> Result<Store, CatalogError> {
    let options = || {
        AnyPoolOptions::new()
            .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS))
            .after_connect(|connection, _| Box::pin(setup(connection, POSTGRES_SETTINGS)))
    };
    let writes = options().max_connections(2).connect(url).await?;
    let logs = options().max_connections(1).connect(url).await?;
    let reads = options().max_connections(READS).connect(url).await?;
    Ok(Store { backend: Backend::Postgres, reads, writes, logs, url: Some(Url(url.into())) })
}

async fn setup(connection: &mut AnyConnection, settings: &'static str) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(settings))).await?;
    Ok(())
}

/// The file holds sealed statements and verifiers: nobody else on the machine has to read it. SQLite gives its side files the
/// same mode.
fn create_private(path: &Path) -> Result<(), CatalogError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| CatalogError::Configuration { message: format!("could not open catalog file \"{}\": {error}", path.display()) })
}

/// For a URL: what would end the path or start an escape.
fn escaped_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A stored integer as the type it was written from.
pub(crate) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, CatalogError> {
    T::try_from(value).map_err(|_| CatalogError::corrupted(format!("{value} is out of range")))
}
