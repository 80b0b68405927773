//! A table's past ends: after this its newest version is all that there is.
//!
//! The checkpoint comes first: from then on nobody needs an older file of the log to read the table. Then the log's older files lose what they
//! say of files that are gone, and last go those files. Each step finds what an earlier run has done already.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lakegate_engine_api::{BoundRelation, EngineError, ExecutionContext, Purge, Purged, RemovedObject};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use uuid::Uuid;

use super::check_cancelled;
use super::checkpoint;
use super::log::{FileId, Scrub};
use super::objects::{Object, all, sha256, shown};
use crate::delta::TableVersion;
use crate::error;
use crate::exec::Shared;
use crate::store::Location;
use crate::write::Target;

/// The store's clock, and whether it keeps earlier versions of objects.
///
/// # Errors
/// `Storage`.
pub async fn store_time(shared: &Shared, location: &str) -> Result<(DateTime<Utc>, bool), EngineError> {
    let location = shared.tables.stores().open(location)?;
    if location.url.scheme() == "file" {
        return Ok((Utc::now(), false));
    }
    let failed = |failure| error::from_object_store(&failure, None);
    let path = location.prefix.clone().join(format!("_lakegate_probe_{}", Uuid::new_v4()));
    let put = location.store.put(&path, PutPayload::from_static(b"probe")).await.map_err(failed)?;
    let found = location.store.head(&path).await.map_err(failed)?;
    location.store.delete(&path).await.map_err(failed)?;
    Ok((found.last_modified, put.version.is_some_and(|version| version != "null")))
}

/// # Errors
/// As [`lakegate_engine_api::Engine::purge_history`].
pub async fn purge_history(
    shared: Arc<Shared>,
    target: BoundRelation,
    purge: Purge,
    context: ExecutionContext,
) -> Result<Purged, EngineError> {
    let target = Target::open(&shared, std::slice::from_ref(&target), &target.name).await?;
    let location = target.table.location.clone();
    let purged = {
        let _rewrites = target.table.writes.rewrites.lock().await;
        let _commits = target.table.writes.commits.lock().await;
        let newest = target.table.newest().await?;
        checkpoint::without_tombstones(&target.table, newest.version()).await?;
        let active = file_ids(&newest)?;
        let mut work = Work { location: &location, purge: &purge, context: &context, purged: Purged::default() };
        work.purged.version = newest.version();
        work.log(&newest, &active).await?;
        // What others have committed since is not to be touched either.
        let mut kept = paths(&active);
        let later = target.table.newest().await?;
        kept.extend(paths(&file_ids(&later)?));
        work.files(&kept).await?;
        work.purged
    };
    forget(&shared, &location);
    // The newest version stays known: it is what the checkpoint says. Writers that hold the table go on in their order.
    shared.tables.release(&target.relation.location).await;
    Ok(purged)
}

/// What other engines, too, have in memory of a table's past.
///
/// # Errors
/// The root's store cannot be opened.
pub async fn forget_table(shared: &Shared, root: &str) -> Result<(), EngineError> {
    forget(shared, &shared.tables.stores().open(root)?);
    shared.tables.release(root).await;
    Ok(())
}

fn forget(shared: &Shared, location: &Location) {
    location.footers.clear();
    // Whatever of it was in memory: what the newest version has of it is decoded again.
    shared.tables.decoded().forget_folder(location.object_store_url.as_str(), &location.prefix);
    // Rows of results may be of any version, of this table among others: none is kept.
    shared.results.expire(Duration::ZERO);
}

/// Files of a version with their deletion vectors.
fn file_ids(version: &TableVersion) -> Result<HashSet<FileId>, EngineError> {
    Ok(version
        .files()?
        .files
        .iter()
        .map(|file| (file.path.clone(), file.deletion_vector.as_ref().map(|vector| vector.place.clone())))
        .collect())
}

/// Objects that they lie in.
fn paths(files: &HashSet<FileId>) -> HashSet<String> {
    let vectors = files.iter().filter_map(|(_, vector)| vector.as_ref()?.path()).map(ToString::to_string);
    files.iter().map(|(path, _)| path.to_string()).chain(vectors).collect()
}

struct Work<'a> {
    location: &'a Location,
    purge: &'a Purge,
    context: &'a ExecutionContext,
    purged: Purged,
}

impl Work<'_> {
    async fn log(&mut self, newest: &TableVersion, active: &HashSet<FileId>) -> Result<(), EngineError> {
        let scrub = Scrub {
            location: self.location,
            active,
            request: &self.purge.request,
            secret: &self.purge.secret,
            needles: &self.purge.needles,
        };
        let own = checkpoint::name(newest.version());
        for object in all(self.location).await? {
            check_cancelled(self.context)?;
            let Some(name) = object.name.strip_prefix("_delta_log/") else { continue };
            let Some(kind) = LogFile::of(name) else { continue };
            match kind {
                LogFile::Commit(version) if version <= newest.version() => {
                    let Some(bytes) = object.read(self.location).await? else { continue };
                    let scrubbed = scrub.commit(&bytes)?;
                    if scrubbed != bytes.as_ref() {
                        let path = Path::parse(&object.path).map_err(|_| error::internal("an object's path does not read"))?;
                        let put = self.location.store.put(&path, scrubbed.into()).await;
                        put.map_err(|failure| error::from_object_store(&failure, None))?;
                        self.note(&object, &bytes, "rewritten");
                    }
                }
                LogFile::Other(version) if version <= newest.version() && name != own => self.remove(&object).await?,
                LogFile::Young if object.modified <= self.purge.before => self.remove(&object).await?,
                LogFile::Young => self.purged.left += 1,
                LogFile::Commit(_) | LogFile::Other(_) => {}
            }
        }
        Ok(())
    }

    /// Data files, change data and deletion vectors that are not part of the table.
    async fn files(&mut self, kept: &HashSet<String>) -> Result<(), EngineError> {
        for object in all(self.location).await? {
            check_cancelled(self.context)?;
            let is_log = object.name.starts_with("_delta_log/");
            if is_log || kept.contains(&object.path) || !is_of_table(&object.name) {
                continue;
            }
            if object.modified <= self.purge.before {
                self.remove(&object).await?;
            } else {
                self.purged.left += 1;
            }
        }
        Ok(())
    }

    async fn remove(&mut self, object: &Object) -> Result<(), EngineError> {
        let Some(bytes) = object.read(self.location).await? else { return Ok(()) };
        object.remove(self.location).await?;
        self.note(object, &bytes, "removed");
        Ok(())
    }

    fn note(&mut self, object: &Object, bytes: &[u8], action: &str) {
        self.purged.objects.push(RemovedObject {
            name: shown(&object.name, &self.purge.needles, &[]),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            sha256: sha256(bytes),
            action: action.to_owned(),
        });
    }
}

/// What writers of Delta tables put beside the log; anything else is somebody else's, and is looked at but left.
pub(super) fn is_of_table(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    // A write to disk that was cut off has a number behind its name.
    let plain = file.split('#').next().unwrap_or(file);
    // Left where a store that was being tried failed.
    let is_trial = name.starts_with("_lakegate_probe_") || name.starts_with("_lakegate_check_");
    is_trial || plain.ends_with(".parquet") || (plain.starts_with("deletion_vector_") && plain.ends_with(".bin"))
}

/// Files of `_delta_log`.
#[derive(Debug, PartialEq, Eq)]
enum LogFile {
    Commit(u64),
    /// A checkpoint, a checksum, commits put together.
    Other(u64),
    /// Parts of checkpoints, commits to be; without a version.
    Young,
}

impl LogFile {
    fn of(name: &str) -> Option<LogFile> {
        if name.starts_with("_sidecars/") || name.starts_with("_staged_commits/") || name.starts_with("_commits/") || name.contains('#') {
            return Some(LogFile::Young);
        }
        if name.starts_with('.') && name.ends_with(".tmp") {
            return Some(LogFile::Young);
        }
        let digits = name.get(..20).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let version = digits.parse().ok()?;
        match name.get(20..) {
            Some(".json") => Some(LogFile::Commit(version)),
            Some(rest) if rest.starts_with('.') => Some(LogFile::Other(version)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_log() {
        assert_eq!(LogFile::of("00000000000000000007.json"), Some(LogFile::Commit(7)));
        for name in [
            "00000000000000000007.checkpoint.parquet",
            "00000000000000000007.checkpoint.0000000001.0000000002.parquet",
            "00000000000000000007.00000000000000000009.compacted.json",
            "00000000000000000007.crc",
        ] {
            assert_eq!(LogFile::of(name), Some(LogFile::Other(7)), "{name}");
        }
        assert_eq!(LogFile::of("_sidecars/a.parquet"), Some(LogFile::Young));
        assert_eq!(LogFile::of("00000000000000000007.json#3"), Some(LogFile::Young));
        assert_eq!(LogFile::of("_last_checkpoint"), None);
    }

    #[test]
    fn what_belongs_to_a_table() {
        for name in [
            "a.parquet",
            "email=x/b.snappy.parquet",
            "_change_data/c.parquet",
            "deletion_vector_1.bin",
            "ab/deletion_vector_1.bin",
            "a.parquet#1",
            "_lakegate_probe_1",
        ] {
            assert!(is_of_table(name), "{name}");
        }
        for name in ["_SUCCESS", "notes.txt", "x.bin"] {
            assert!(!is_of_table(name), "{name}");
        }
    }
}
