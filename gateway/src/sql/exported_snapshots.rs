//! Snapshots that a transaction exports and others import (`pg_export_snapshot`, SET TRANSACTION SNAPSHOT): they read each table at the
//! version at which the first of them read it. Mirrors `ExportSnapshot` and `ImportSnapshot` in snapmgr.c.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use chrono::{DateTime, Utc};
use lakegate_catalog::model::Oid;

use crate::sqlstate::{SqlError, SqlState};

/// Versions that several transactions read.
#[derive(Debug)]
pub struct Picture {
    /// Start of the transaction that exported it.
    pub began: Option<DateTime<Utc>>,
    versions: Mutex<BTreeMap<Oid, u64>>,
}

impl Picture {
    #[must_use]
    pub fn new(began: Option<DateTime<Utc>>, versions: BTreeMap<Oid, u64>) -> Self {
        Picture { began, versions: Mutex::new(versions) }
    }

    #[must_use]
    pub fn versions(&self) -> BTreeMap<Oid, u64> {
        self.lock().clone()
    }

    /// Settles a table's version for all, and gives it: the first to ask decides.
    pub fn settle(&self, table: Oid, version: u64) -> u64 {
        *self.lock().entry(table).or_insert(version)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Oid, u64>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kept by the exporting transaction: without it nobody can import any more.
pub type Exporter = Arc<()>;

#[derive(Debug)]
struct Exported {
    database: String,
    exporter: Weak<()>,
    picture: Arc<Picture>,
}

/// Those of one gateway, by name.
#[derive(Debug, Default)]
pub struct ExportedSnapshots(Mutex<HashMap<String, Exported>>);

impl ExportedSnapshots {
    pub fn export(&self, name: String, database: &str, exporter: &Exporter, picture: Arc<Picture>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, exported| exported.exporter.strong_count() > 0);
        all.insert(name, Exported { database: database.to_owned(), exporter: Arc::downgrade(exporter), picture });
    }

    /// # Errors
    /// 22023 no such snapshot, 0A000 of another database.
    pub fn import(&self, name: &str, database: &str) -> Result<Arc<Picture>, SqlError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(name).filter(|exported| exported.exporter.strong_count() > 0) {
            None => Err(SqlError::new(SqlState::InvalidParameterValue, format!("invalid snapshot identifier: \"{name}\""))),
            Some(exported) if exported.database != database => {
                Err(SqlError::new(SqlState::FeatureNotSupported, "cannot import a snapshot from a different database"))
            }
            Some(exported) => Ok(Arc::clone(&exported.picture)),
        }
    }
}

/// A name that no other snapshot of this process has, in PostgreSQL's form.
#[must_use]
pub fn new_name(pid: i32) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{pid:08X}-{:08X}-1", COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_lives_as_long_as_its_transaction() {
        let all = ExportedSnapshots::default();
        let exporter = Exporter::default();
        all.export("a".to_owned(), "main", &exporter, Arc::new(Picture::new(None, BTreeMap::from([(1, 7)]))));
        let imported = all.import("a", "main").unwrap();
        assert_eq!((imported.settle(1, 9), imported.settle(2, 3), imported.settle(2, 4)), (7, 3, 3));
        assert_eq!(all.import("a", "other").unwrap_err().state, SqlState::FeatureNotSupported);
        assert_eq!(all.import("b", "main").unwrap_err().state, SqlState::InvalidParameterValue);
        drop(exporter);
        assert!(all.import("a", "main").is_err());
    }
}
