//! VACUUM: files that nobody needs any more are deleted.
//!
//! delta-rs says which files no live version names. It forgets two kinds that versions of the retention time still need: deletion
//! vectors, which it knows by when they were written alone, and data files that were replaced twice, by a vector long ago and for good
//! just now. Both are taken out of its list here.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use chrono::{DateTime, TimeDelta, Utc};
use deltalake_core::DeltaTable;
use deltalake_core::operations::vacuum::VacuumMode;
use deltalake_core::protocol::DeltaOperation;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::{EngineError, Maintained, Outcome};
use object_store::path::Path;
use object_store::{Error, ObjectStore as _};
use serde_json::{Value, json};

use super::history::commit_times;
use crate::delta::{Table, replaced_by};
use crate::error;
use crate::write::{Target, record};

/// Of a table that does not say for how long removed files are kept: Delta's default.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Commits read at once.
const READS: usize = 16;

/// What is to be kept.
#[derive(Clone, Copy)]
pub struct Keep {
    /// Files of the versions of this time; `None`: as the table's properties say.
    pub retention: Option<Duration>,
    /// Files that were part of the table, or were written, since the oldest reader and writer began.
    pub open_since: Option<DateTime<Utc>>,
}

/// # Errors
/// `Storage`.
pub async fn vacuum(target: &Target, keep: Keep, dry_run: Option<&SchemaRef>) -> Result<Maintained, EngineError> {
    let kept_for = kept_for(target, keep);
    let unnamed = unnamed_files(target, kept_for).await?;
    let needed = NeededFiles::since(target, Utc::now() - kept_for, keep.open_since).await?;
    let mut paths: Vec<Path> = unnamed.into_iter().filter(|path| !needed.contains(path)).collect();
    paths.sort();
    let Some(schema) = dry_run else {
        let count = paths.len();
        let version = if paths.is_empty() { target.version.version() } else { delete(target, paths, kept_for).await? };
        let outcome = Outcome { version: Some(version), ..Outcome::default() };
        return Ok(Maintained { rows: None, outcome, summary: Some(format!("{count} files of \"{}\" deleted", target.name.name)) });
    };
    let names: StringArray = paths.iter().map(|path| Some(target.table.location.relative(path).to_string())).collect();
    let rows = RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(names)]);
    Ok(Maintained { rows: Some(rows.map_err(|failure| error::from_arrow(&failure))?), ..Maintained::default() })
}

/// Files that neither this version, nor one that a statement of this process holds, nor a young tombstone names.
async fn unnamed_files(target: &Target, kept_for: TimeDelta) -> Result<BTreeSet<Path>, EngineError> {
    let table = &target.table;
    let failed = |failure| error::from_delta(&failure, &target.name.name);
    let current = target.version.version();
    let versions: BTreeSet<u64> = table.live_versions().into_iter().filter(|version| *version != current).collect();
    let versions: Vec<u64> = versions.into_iter().collect();
    let mut delta = DeltaTable::new(Arc::clone(&table.log_store));
    delta.load_version(current).await.map_err(failed)?;
    let mut vacuum = delta.vacuum();
    if !versions.is_empty() {
        vacuum = vacuum.with_keep_versions(&versions);
    }
    let (_, plan) = vacuum
        .with_retention_period(kept_for)
        .with_enforce_retention_duration(false)
        .with_mode(VacuumMode::Full)
        .with_dry_run(true)
        .await
        .map_err(failed)?;
    let damaged = |_| error::corrupted("a path in the table's log is damaged");
    let in_store = |name: &String| Ok(table.location.inside(&Path::parse(name).map_err(damaged)?));
    plan.files_deleted.iter().map(in_store).collect()
}

/// What versions that were current since some moment name, beside what the present one does.
struct NeededFiles {
    /// Object paths in the table's store.
    paths: HashSet<Path>,
    /// The log does not go back to the moment: whose vectors there are is not known.
    all_vectors: bool,
}

impl NeededFiles {
    /// Everything that a commit since then took out of the table.
    async fn since(target: &Target, moment: DateTime<Utc>, open_since: Option<DateTime<Utc>>) -> Result<Self, EngineError> {
        let table = &target.table;
        let times = commit_times(table).await?;
        let moment = moment.timestamp_micros();
        let versions = times.iter().filter(|(_, time)| **time >= moment).map(|(version, _)| *version);
        let replaced =
            futures::stream::iter(versions.collect::<Vec<_>>()).map(|version| replaced_by(table, version)).buffer_unordered(READS);
        let paths: Vec<Vec<Path>> = replaced.try_collect().await?;
        // Versions before the log's first cannot be asked for any more; who reads one began before it.
        let first = times.iter().next();
        let all_vectors =
            first.is_some_and(|(version, time)| *version > 0 && open_since.is_some_and(|since| since.timestamp_micros() <= *time));
        Ok(Self { paths: paths.into_iter().flatten().collect(), all_vectors })
    }

    fn contains(&self, path: &Path) -> bool {
        self.paths.contains(path) || (self.all_vectors && path.extension() == Some("bin"))
    }
}

/// Between two commits that say so; gives the version of the second.
async fn delete(target: &Target, paths: Vec<Path>, kept_for: TimeDelta) -> Result<u64, EngineError> {
    let (table, name) = (&target.table, &target.name.name);
    let count = paths.len();
    let starts = DeltaOperation::VacuumStart {
        retention_check_enabled: false,
        specified_retention_millis: Some(kept_for.num_milliseconds()),
        default_retention_millis: i64::try_from(RETENTION.as_millis()).unwrap_or(i64::MAX),
    };
    noted(table, name, &starts, &json!({ "numFilesToDelete": count })).await?;
    let gone = paths.clone();
    let paths = futures::stream::iter(paths).map(Ok).boxed();
    let deleted = table.location.store.delete_stream(paths).map(|deleted| match deleted {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(failure) => Err(error::from_object_store(&failure, Some(name))),
    });
    let deleted = deleted.try_collect::<()>().await;
    table.decoded.forget(&gone);
    deleted?;
    let ends = DeltaOperation::VacuumEnd { status: "COMPLETED".to_owned() };
    noted(table, name, &ends, &json!({ "numDeletedFiles": count, "numVacuumedDirectories": 0 })).await
}

async fn noted(table: &Arc<Table>, name: &str, operation: &DeltaOperation, metrics: &Value) -> Result<u64, EngineError> {
    let _order = table.writes.commits.lock().await;
    record(table, name, operation, metrics).await
}

fn kept_for(target: &Target, keep: Keep) -> TimeDelta {
    let configured = target.version.snapshot.table_configuration().table_properties().deleted_file_retention_duration.unwrap_or(RETENTION);
    let asked = TimeDelta::from_std(keep.retention.unwrap_or(configured)).unwrap_or(TimeDelta::MAX);
    let open = keep.open_since.map_or(TimeDelta::zero(), |since| Utc::now().signed_duration_since(since));
    asked.max(open)
}
