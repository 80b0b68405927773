//! What a table is made of, and what its protocol asks of those who read and write it.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;
use deltalake_core::kernel::Protocol;
use lakegate_engine_api::EngineError;

use super::history::commit_times;
use crate::delta::{Table, TableVersion, is_read};
use crate::error;

/// Features of tables that are changed here; `PROTOCOL` in delta-rs' transactions keeps its list to itself.
const WRITTEN: &[&str] = &[
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "checkpointProtection",
    "columnMapping",
    "deletionVectors",
    "generatedColumns",
    "invariants",
    "timestampNtz",
    "v2Checkpoint",
];

/// One row; `name` as users call the table.
///
/// # Errors
/// `Corrupted` where the log's file list is, `Storage`.
pub async fn detail(table: &Table, version: &TableVersion, name: &str, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
    let files = version.files()?;
    let metadata = version.snapshot.metadata();
    let protocol = version.snapshot.protocol();
    let modified = commit_times(table).await?.get(&version.version()).copied();
    let properties: serde_json::Map<String, serde_json::Value> =
        metadata.configuration().iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let deleted: u64 = files.files.iter().filter_map(|file| file.deletion_vector.as_ref()).map(|vector| vector.cardinality).sum();
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let number = |value: Option<u64>| -> ArrayRef { Arc::new(Int64Array::from(vec![value.and_then(|value| i64::try_from(value).ok())])) };
    let time = |micros: Option<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")) };
    let columns: Vec<ArrayRef> = vec![
        text(Some("delta")),
        text(Some(metadata.id())),
        text(Some(name)),
        text(metadata.description()),
        text(Some(version.location.url.as_str())),
        time(metadata.created_time().map(|millis| millis.saturating_mul(1_000))),
        time(modified),
        texts(metadata.partition_columns().iter().map(String::as_str)),
        number(Some(version.version())),
        number(u64::try_from(files.files.len()).ok()),
        number(Some(files.bytes())),
        number(files.rows()),
        number(Some(deleted)),
        text(Some(&serde_json::Value::Object(properties).to_string())),
        Arc::new(Int32Array::from(vec![protocol.min_reader_version()])),
        Arc::new(Int32Array::from(vec![protocol.min_writer_version()])),
        texts(features(protocol).iter().map(|feature| feature.name.as_str())),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|failure| error::from_arrow(&failure))
}

/// A list of one row.
fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder =
        ListBuilder::new(StringBuilder::new()).with_field(arrow_schema::Field::new("element", arrow_schema::DataType::Utf8, true));
    values.for_each(|value| builder.values().append_value(value));
    builder.append(true);
    Arc::new(builder.finish())
}

/// A feature of a table's protocol.
struct Feature {
    name: String,
    asks_readers: bool,
}

fn features(protocol: &Protocol) -> Vec<Feature> {
    let read: Vec<String> = protocol.reader_features().unwrap_or_default().iter().map(ToString::to_string).collect();
    let mut names: Vec<String> = protocol.writer_features().unwrap_or_default().iter().map(ToString::to_string).collect();
    names.extend(read.iter().cloned());
    names.sort();
    names.dedup();
    names.into_iter().map(|name| Feature { asks_readers: read.contains(&name), name }).collect()
}

/// One row a feature; versions without features have a row of their own.
///
/// # Errors
/// `Internal`.
pub fn compatibility(protocol: &Protocol, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
    let mut rows: Vec<(String, &str, bool, bool, Option<String>)> = vec![
        (format!("reader version {}", protocol.min_reader_version()), "readers and writers", true, true, None),
        (format!("writer version {}", protocol.min_writer_version()), "writers", true, true, None),
    ];
    for feature in features(protocol) {
        let readable = !feature.asks_readers || is_read(&feature.name);
        let writable = readable && WRITTEN.contains(&feature.name.as_str());
        let remedy = (!writable)
            .then(|| format!("drop the feature \"{}\" in the system that wrote the table, or copy the table there", feature.name));
        let needed_by = if feature.asks_readers { "readers and writers" } else { "writers" };
        rows.push((feature.name, needed_by, readable, writable, remedy));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0.as_str())).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| Some(row.3)).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.4.as_deref()).collect::<StringArray>()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|failure| error::from_arrow(&failure))
}
