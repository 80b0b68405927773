//! VACUUM: files that nobody needs any more are deleted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use chrono::{DateTime, TimeDelta, Utc};
use deltalake_core::DeltaTable;
use deltalake_core::operations::vacuum::VacuumMode;
use lakegate_engine_api::{EngineError, Maintained, Outcome};

use crate::error;
use crate::write::{CommitId, Target, commit_properties};

/// Of a table that does not say for how long removed files are kept: Delta's default.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3_600);

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
    let table = &target.table;
    let failed = |failure| error::from_delta(&failure, &target.name.name);
    let current = target.version.version();
    let versions: BTreeSet<u64> = table.live_versions().into_iter().filter(|version| *version != current).collect();
    let versions: Vec<u64> = versions.into_iter().collect();
    let mut delta = DeltaTable::new(Arc::clone(&table.log_store));
    delta.load_version(target.version.version()).await.map_err(failed)?;
    let mut vacuum = delta.vacuum();
    if !versions.is_empty() {
        vacuum = vacuum.with_keep_versions(&versions);
    }
    let (after, metrics) = vacuum
        .with_retention_period(kept_for(target, keep))
        .with_enforce_retention_duration(false)
        .with_mode(VacuumMode::Full)
        .with_dry_run(dry_run.is_some())
        .with_commit_properties(commit_properties(&[CommitId::new()], false))
        .await
        .map_err(failed)?;
    let count = metrics.files_deleted.iter().collect::<BTreeSet<_>>().len();
    let Some(schema) = dry_run else {
        let outcome = Outcome { version: after.version(), ..Outcome::default() };
        return Ok(Maintained { rows: None, outcome, summary: Some(format!("{count} files of \"{}\" deleted", target.name.name)) });
    };
    let mut paths = metrics.files_deleted;
    paths.sort();
    paths.dedup();
    let rows = RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(StringArray::from(paths))]);
    Ok(Maintained { rows: Some(rows.map_err(|failure| error::from_arrow(&failure))?), ..Maintained::default() })
}

fn kept_for(target: &Target, keep: Keep) -> TimeDelta {
    let configured = target.version.snapshot.table_configuration().table_properties().deleted_file_retention_duration.unwrap_or(RETENTION);
    let asked = TimeDelta::from_std(keep.retention.unwrap_or(configured)).unwrap_or(TimeDelta::MAX);
    let open = keep.open_since.map_or(TimeDelta::zero(), |since| Utc::now().signed_duration_since(since));
    asked.max(open)
}
