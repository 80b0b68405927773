//! The commits of a table: who did what when, and which version was the newest at a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::{DataError, EngineError, Moment, SessionFacts};
use object_store::ObjectStore;
use object_store::path::Path;
use serde_json::Value;

use crate::delta::Table;
use crate::error;
use crate::functions::text::datetime_in;
use crate::functions::text::style::Style;

/// Commits read at once.
const READS: usize = 16;

/// When each version that the log still has was committed, in microseconds since the epoch; rising, as the protocol asks of readers
/// where clocks do not.
///
/// # Errors
/// `Storage`.
pub async fn commit_times(table: &Table) -> Result<BTreeMap<u64, i64>, EngineError> {
    let store = table.log_store.object_store(None);
    let listed = store.list(Some(&Path::from("_delta_log")));
    let objects: Vec<_> = listed.try_collect().await.map_err(|failure| error::from_object_store(&failure, None))?;
    let mut times: BTreeMap<u64, i64> = objects
        .iter()
        .filter_map(|object| Some((version_of(object.location.filename()?)?, object.last_modified.timestamp_micros())))
        .collect();
    let mut last = i64::MIN;
    for time in times.values_mut() {
        last = (*time).max(last.saturating_add(1));
        *time = last;
    }
    Ok(times)
}

/// Of a commit's file, `00000000000000000012.json`.
fn version_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// The version that is meant.
///
/// # Errors
/// `Data` for a moment before the first commit that is still known, and for text that is no timestamp.
pub async fn version_at(table: &Arc<Table>, moment: &Moment, session: &SessionFacts) -> Result<u64, EngineError> {
    let text = match moment {
        Moment::Version(version) => {
            // A version that was just committed elsewhere is there too.
            let newest = table.newest().await?.version();
            if *version > newest {
                let message = format!("the table has no version {version}: the newest is {newest}");
                return Err(error::data(DataError::InvalidParameterValue, message));
            }
            return Ok(*version);
        }
        Moment::Timestamp(text) => text,
    };
    let style = Style::of(&session.settings, &session.time_zone, session.transaction_time.timestamp_micros());
    let at = datetime_in::timestamptz(text, &style).map_err(|failure| error::from_datafusion(&failure, &[]))?;
    let times = commit_times(table).await?;
    let mut found = None;
    for (version, time) in &times {
        let time = in_commit_time(table, *version).await?.unwrap_or(*time);
        if time > at {
            break;
        }
        found = Some(*version);
    }
    found.ok_or_else(|| {
        let first = times.keys().next().copied().unwrap_or(0);
        error::data(
            DataError::InvalidParameterValue,
            format!("the table had no version at {text}: the first one that its log still has is version {first}"),
        )
    })
}

/// The first version of a range: at a time, or the first one after it.
///
/// # Errors
/// As [`version_at`]; `Data` for a time after the newest version.
pub async fn first_version(table: &Arc<Table>, moment: &Moment, session: &SessionFacts) -> Result<u64, EngineError> {
    let Moment::Timestamp(text) = moment else { return version_at(table, moment, session).await };
    let style = Style::of(&session.settings, &session.time_zone, session.transaction_time.timestamp_micros());
    let at = datetime_in::timestamptz(text, &style).map_err(|failure| error::from_datafusion(&failure, &[]))?;
    for (version, time) in commit_times(table).await? {
        if in_commit_time(table, version).await?.unwrap_or(time) >= at {
            return Ok(version);
        }
    }
    Err(error::data(DataError::InvalidParameterValue, format!("the table has had no version since {text}")))
}

/// Written into the commit itself where the table has `delta.enableInCommitTimestamps`.
async fn in_commit_time(table: &Table, version: u64) -> Result<Option<i64>, EngineError> {
    let newest = table.known().await;
    let enabled = newest.is_some_and(|newest| {
        newest.snapshot.metadata().configuration().get("delta.enableInCommitTimestamps").is_some_and(|value| value == "true")
    });
    if !enabled {
        return Ok(None);
    }
    let info = commit_info(table, version).await?;
    Ok(info.and_then(|info| info.get("inCommitTimestamp").and_then(Value::as_i64)).map(|millis| millis.saturating_mul(1_000)))
}

async fn commit_info(table: &Table, version: u64) -> Result<Option<Value>, EngineError> {
    let entry = table.log_store.read_commit_entry(version).await.map_err(|failure| error::from_delta(&failure, ""))?;
    let Some(entry) = entry else { return Ok(None) };
    let lines = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut actions = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    Ok(actions.find_map(|mut action| action.get_mut("commitInfo").map(Value::take)))
}

/// The commits that the log still has, newest first.
///
/// # Errors
/// `Storage`.
pub async fn history(table: &Arc<Table>, schema: &SchemaRef, limit: Option<usize>) -> Result<RecordBatch, EngineError> {
    let times = commit_times(table).await?;
    let newest: Vec<(u64, i64)> = times.into_iter().rev().take(limit.unwrap_or(usize::MAX)).collect();
    let commits: Vec<(u64, i64, Value)> = futures::stream::iter(newest)
        .map(|(version, time)| {
            let table = Arc::clone(table);
            async move {
                let info = commit_info(&table, version).await?.unwrap_or(Value::Null);
                let own = info.get("inCommitTimestamp").and_then(Value::as_i64).map(|millis| millis.saturating_mul(1_000));
                Ok::<_, EngineError>((version, own.unwrap_or(time), info))
            }
        })
        .buffered(READS)
        .try_collect()
        .await?;
    let text = |name: &str| -> ArrayRef {
        let texts = commits.iter().map(|(_, _, info)| match info.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        });
        Arc::new(texts.collect::<StringArray>())
    };
    let number = |name: &str| -> ArrayRef {
        Arc::new(commits.iter().map(|(_, _, info)| info.get(name).and_then(Value::as_i64)).collect::<Int64Array>())
    };
    let versions: Int64Array = commits.iter().map(|(version, ..)| i64::try_from(*version).ok()).collect();
    let times: TimestampMicrosecondArray = commits.iter().map(|(_, time, _)| Some(*time)).collect();
    let blind: BooleanArray = commits.iter().map(|(_, _, info)| info.get("isBlindAppend").and_then(Value::as_bool)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(versions),
        Arc::new(times.with_timezone("UTC")),
        text("userId"),
        text("userName"),
        text("operation"),
        text("operationParameters"),
        number("readVersion"),
        text("isolationLevel"),
        Arc::new(blind),
        text("operationMetrics"),
        text("userMetadata"),
        text("engineInfo"),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|failure| error::from_arrow(&failure))
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn commits_among_the_files_of_a_log() {
        assert_eq!(version_of("00000000000000000012.json"), Some(12));
        for other in ["_last_checkpoint", "00000000000000000010.checkpoint.parquet", "00000000000000000012.crc", "12.json", "x.json"] {
            assert_eq!(version_of(other), None, "{other}");
        }
    }
}
