//! What tables need from time to time without being asked: many small data files become few, a log gets the checkpoint that it lacks, and
//! its entries that are older than the table keeps them go.

use std::sync::Arc;

use chrono::Utc;
use datafusion::execution::SessionState;
use deltalake_core::DeltaTable;
use deltalake_core::protocol::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use futures::TryStreamExt;
use lakegate_engine_api::{EngineError, ExecutionContext, Maintained, Phase};
use object_store::ObjectStore;
use object_store::path::Path;

use super::optimize::{self, Wish, partition_keys};
use crate::delta::{Table, TableVersion};
use crate::error;
use crate::exec::{Counted, Shared};
use crate::write::{Target, checkpoint_interval};

/// Smaller files are worth putting together.
pub const SMALL_BYTES: u64 = 32 << 20;
/// As soon as a partition has so many of them.
pub const SMALL_FILES_MIN: usize = 32;
/// Delta's property by which a table says that it wants none of it.
const AUTO_COMPACT: &str = "delta.autoOptimize.autoCompact";

/// Whether there is something to do.
///
/// # Errors
/// `Storage`, `Corrupted`; `Unsupported` for tables that cannot be written.
pub async fn is_worn(table: &Arc<Table>) -> Result<bool, EngineError> {
    let version = table.newest().await?;
    Ok(has_small_files(&version)? || !Log::of(table, &version).await?.is_in_order())
}

fn has_small_files(version: &TableVersion) -> Result<bool, EngineError> {
    let configuration = version.snapshot.metadata().configuration();
    if configuration.get(AUTO_COMPACT).is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return Ok(false);
    }
    let files = version.files()?;
    let small: Vec<usize> = (0..files.files.len()).filter(|number| files.files[*number].size_bytes < SMALL_BYTES).collect();
    if small.len() < SMALL_FILES_MIN {
        return Ok(false);
    }
    let keys = partition_keys(&files.partitions)?;
    let mut of_partition = std::collections::HashMap::new();
    for number in small {
        *of_partition.entry(keys.get(number)).or_insert(0_usize) += 1;
    }
    Ok(of_partition.into_values().any(|count| count >= SMALL_FILES_MIN))
}

/// # Errors
/// As [`optimize::optimize`]; files that somebody else changes meanwhile, and all of them while a transaction of this process changes the
/// table, stay as they are without an error.
pub async fn tidy(
    shared: &Shared,
    target: &Target,
    budget_bytes: u64,
    state: &SessionState,
    schema: &arrow_schema::SchemaRef,
    context: &ExecutionContext,
    progress: &Counted,
) -> Result<Maintained, EngineError> {
    let mut maintained = Maintained::default();
    if has_small_files(&target.version)? {
        let wish = Wish { condition: None, order: &[], whole: false, small: Some(budget_bytes) };
        maintained = optimize::optimize(shared, target, wish, state, schema, context, progress).await?;
    }
    progress.enter(Phase::CleaningLog);
    let newest = target.table.newest().await?;
    let log = Log::of(&target.table, &newest).await?;
    let store = target.table.log_store.as_ref();
    let failed = |failure| error::from_delta(&failure, &target.name.name);
    if log.lacks_checkpoint {
        let mut table = DeltaTable::new(Arc::clone(&target.table.log_store));
        table.load_version(newest.version()).await.map_err(failed)?;
        create_checkpoint(&table, None).await.map_err(failed)?;
    }
    if log.expired > 0 {
        cleanup_expired_logs_for(newest.version(), store, log.cutoff_ms, None).await.map_err(failed)?;
    }
    Ok(maintained)
}

/// What lies in a table's log.
#[derive(Debug, PartialEq, Eq)]
struct Log {
    lacks_checkpoint: bool,
    /// Entries that no version within the retention needs.
    expired: usize,
    cutoff_ms: i64,
}

/// A file of the log.
#[derive(Debug, Clone, Copy)]
struct Entry {
    version: u64,
    is_checkpoint: bool,
    written_ms: i64,
}

impl Log {
    async fn of(table: &Table, version: &TableVersion) -> Result<Log, EngineError> {
        let store = table.log_store.object_store(None);
        let listed = store.list(Some(&Path::from("_delta_log"))).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|failure| error::from_object_store(&failure, None))?;
        let entries: Vec<Entry> = listed
            .iter()
            .filter_map(|object| {
                let (version, is_checkpoint) = entry_of(object.location.filename()?)?;
                Some(Entry { version, is_checkpoint, written_ms: object.last_modified.timestamp_millis() })
            })
            .collect();
        let properties = version.snapshot.table_configuration().table_properties();
        let kept =
            properties.log_retention_duration.map_or(30 * 24 * 3_600_000, |kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let cleans = version
            .snapshot
            .metadata()
            .configuration()
            .get("delta.enableExpiredLogCleanup")
            .is_none_or(|value| !value.eq_ignore_ascii_case("false"));
        let cutoff_ms = Utc::now().timestamp_millis().saturating_sub(kept);
        Ok(Log::judged(&entries, version.version(), checkpoint_interval(version), cutoff_ms, cleans))
    }

    /// As [`cleanup_expired_logs_for`] judges it: what is older than the newest checkpoint from which every version within the retention
    /// can be read.
    fn judged(entries: &[Entry], newest: u64, interval: u64, cutoff_ms: i64, cleans: bool) -> Log {
        let checkpoint = entries.iter().filter(|entry| entry.is_checkpoint).map(|entry| entry.version).max();
        // Twice: whoever commits makes one himself when it is time.
        let lacks_checkpoint = newest >= checkpoint.unwrap_or(0).saturating_add(interval.saturating_mul(2));
        let first_kept =
            entries.iter().filter(|entry| !entry.is_checkpoint && entry.written_ms >= cutoff_ms).map(|entry| entry.version).min();
        let first_kept = first_kept.unwrap_or(newest).min(newest);
        let safe = entries.iter().filter(|entry| entry.is_checkpoint && entry.version <= first_kept).map(|entry| entry.version).max();
        let is_expired = |entry: &&Entry| safe.is_some_and(|safe| entry.version < safe) && entry.written_ms <= cutoff_ms;
        let expired = if cleans { entries.iter().filter(is_expired).count() } else { 0 };
        Log { lacks_checkpoint, expired, cutoff_ms }
    }

    fn is_in_order(&self) -> bool {
        !self.lacks_checkpoint && self.expired == 0
    }
}

/// Version, and whether it is a checkpoint: `…12.json`, `…12.checkpoint.parquet`, `…12.checkpoint.0000000001.0000000002.parquet`.
fn entry_of(name: &str) -> Option<(u64, bool)> {
    let (digits, rest) = name.split_at_checked(20)?;
    let version = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()?;
    match rest {
        ".json" => Some((version, false)),
        rest if rest.starts_with(".checkpoint.") && rest.ends_with(".parquet") => Some((version, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(versions: std::ops::RangeInclusive<u64>, written_ms: i64) -> Vec<Entry> {
        versions.map(|version| Entry { version, is_checkpoint: false, written_ms }).collect()
    }

    fn checkpoint(version: u64, written_ms: i64) -> Entry {
        Entry { version, is_checkpoint: true, written_ms }
    }

    #[test]
    fn files_of_a_log() {
        assert_eq!(entry_of("00000000000000000012.json"), Some((12, false)));
        assert_eq!(entry_of("00000000000000000100.checkpoint.parquet"), Some((100, true)));
        assert_eq!(entry_of("00000000000000000100.checkpoint.0000000001.0000000002.parquet"), Some((100, true)));
        for other in ["_last_checkpoint", "00000000000000000012.crc", "_commit_x.json.tmp", "x"] {
            assert_eq!(entry_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_log_is_in_order_until_it_lacks_a_checkpoint_or_has_old_entries() {
        let judged = |entries: &[Entry], newest, cutoff| Log::judged(entries, newest, 100, cutoff, true);
        assert!(judged(&commits(0..=150, 10), 150, 5).is_in_order());
        assert!(judged(&commits(0..=200, 10), 200, 5).lacks_checkpoint);
        let mut entries = commits(0..=200, 10);
        entries.push(checkpoint(99, 10));
        assert!(judged(&entries, 200, 5).is_in_order());
        // All of it is old: what lies before the last checkpoint goes.
        assert_eq!(judged(&entries, 200, 20).expired, 99);
        assert_eq!(Log::judged(&entries, 200, 100, 20, false).expired, 0);
        // A version that is kept needs the checkpoint before it.
        let mut entries = [commits(0..=120, 10), commits(121..=200, 30)].concat();
        entries.extend([checkpoint(99, 10), checkpoint(199, 30)]);
        assert_eq!(judged(&entries, 200, 20).expired, 99);
        // Without one everything stays.
        assert_eq!(judged(&commits(0..=50, 10), 50, 20).expired, 0);
    }
}
