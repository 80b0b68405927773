//! The data files of one version of a table, column-wise: tens of thousands of them plan in milliseconds.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray, UInt64Array};
use deltalake_core::kernel::EagerSnapshot;
use lakegate_engine_api::EngineError;
use object_store::path::Path;
use roaring::RoaringTreemap;

use super::deletion_vector::DeletionVector;
use super::schema::TableColumns;
use crate::error;
use crate::store::Location;

/// One data file.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Object path in the table's store.
    pub path: Path,
    pub size_bytes: u64,
    pub modified_ms: i64,
    pub deletion_vector: Option<DeletionVector>,
    /// Positions of the rows that alone are meant.
    pub only: Option<Arc<RoaringTreemap>>,
    /// Rows that the file holds, deleted ones included; `None` where the writer did not say.
    pub physical_rows: Option<u64>,
}

impl DataFile {
    /// Rows that a scan gives.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        if let Some(only) = &self.only {
            return Some(only.len());
        }
        let deleted = self.deletion_vector.as_ref().map_or(0, |vector| vector.cardinality);
        self.physical_rows.map(|rows| rows.saturating_sub(deleted))
    }
}

/// All data files of a version, and what the log says about their content. Arrays have one row a file.
#[derive(Debug)]
pub struct FileList {
    pub files: Vec<DataFile>,
    /// Column statistics by the names that files use.
    pub min: Option<StructArray>,
    pub max: Option<StructArray>,
    pub null_count: Option<StructArray>,
    /// Partition values, one column a partition column in [`TableColumns::partitions`]' order, typed as statements see them.
    pub partitions: Vec<ArrayRef>,
    /// `numRecords`.
    pub row_counts: UInt64Array,
}

impl FileList {
    /// # Errors
    /// `Corrupted` or `Unsupported` where an action of the log cannot be read.
    pub fn of(snapshot: &EagerSnapshot, columns: &TableColumns, location: &Location) -> Result<Self, EngineError> {
        let batches = snapshot.add_actions_batches(false).map_err(|error| error::from_delta(&error, ""))?;
        let batch = match batches.as_slice() {
            [] => return Ok(Self::empty(columns)),
            [only] => only.clone(),
            [first, ..] => concat_batches(&first.schema(), &batches).map_err(|error| error::from_arrow(&error))?,
        };
        Self::from_batch(&batch, columns, location)
    }

    fn empty(columns: &TableColumns) -> Self {
        let partitions = columns.partitions.iter().map(|at| arrow_array::new_empty_array(columns.columns[*at].field.data_type())).collect();
        Self { files: Vec::new(), min: None, max: None, null_count: None, partitions, row_counts: UInt64Array::from(Vec::<u64>::new()) }
    }

    fn from_batch(batch: &RecordBatch, columns: &TableColumns, location: &Location) -> Result<Self, EngineError> {
        let damaged = || error::corrupted("the table's log is damaged");
        let structs = |name: &str| batch.column_by_name(name).and_then(|column| column.as_struct_opt()).cloned();
        let paths = batch.column_by_name("path").ok_or_else(damaged)?;
        let sizes = batch.column_by_name("size_bytes").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(damaged)?;
        let modified = batch.column_by_name("modification_time").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(damaged)?;
        let records = batch.column_by_name("num_records").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(damaged)?;
        let vectors = structs("deletion_vector");

        let mut files = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let path = paths.as_string_opt::<i32>().ok_or_else(damaged)?.value(row);
            let physical_rows = records.is_valid(row).then(|| u64::try_from(records.value(row)).ok()).flatten();
            let deletion_vector = match &vectors {
                Some(vectors) if vectors.is_valid(row) => deletion_vector(vectors, row, &location.prefix)?,
                _ => None,
            };
            files.push(DataFile {
                path: object_path(path, location)?,
                size_bytes: u64::try_from(sizes.value(row)).map_err(|_| damaged())?,
                modified_ms: modified.value(row),
                deletion_vector,
                only: None,
                physical_rows,
            });
        }
        let partitions = partition_values(structs("partition"), columns, batch.num_rows())?;
        let row_counts = files.iter().map(|file| file.physical_rows).collect();
        Ok(Self { files, min: structs("min"), max: structs("max"), null_count: structs("null_count"), partitions, row_counts })
    }

    /// Rows of all files; `None` where one of them has no statistics.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(DataFile::rows).sum()
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

fn partition_values(values: Option<StructArray>, columns: &TableColumns, rows: usize) -> Result<Vec<ArrayRef>, EngineError> {
    let mut arrays = Vec::new();
    for at in &columns.partitions {
        let column = &columns.columns[*at];
        let found = values.as_ref().and_then(|values| {
            values.column_by_name(column.physical.name()).or_else(|| values.column_by_name(column.field.name())).cloned()
        });
        let array = found.ok_or_else(|| error::corrupted("partition values are missing in the table's log"))?;
        let typed = arrow::compute::cast(&array, column.field.data_type()).map_err(|error| error::from_arrow(&error))?;
        if typed.len() != rows {
            return Err(error::corrupted("partition values are missing in the table's log"));
        }
        arrays.push(typed);
    }
    Ok(arrays)
}

fn deletion_vector(vectors: &StructArray, row: usize, root: &Path) -> Result<Option<DeletionVector>, EngineError> {
    let damaged = || error::corrupted("a deletion vector in the table's log is damaged");
    let text = |name: &str| {
        let column = vectors.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let int = |name: &str| {
        let column = vectors.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let Some(storage) = text("storageType") else { return Ok(None) };
    let cardinality = vectors
        .column_by_name("cardinality")
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .map(|column| column.value(row))
        .ok_or_else(damaged)?;
    let (path, size) = (text("pathOrInlineDv").ok_or_else(damaged)?, int("sizeInBytes").ok_or_else(damaged)?);
    DeletionVector::new(storage, path, int("offset"), size, cardinality, root).map(Some)
}

/// The object that a `path` of the log names: a URI, relative to the table's folder or absolute inside it.
pub fn object_path(uri: &str, location: &Location) -> Result<Path, EngineError> {
    let outside = || error::unsupported("data files outside the table's folder (a shallow clone)");
    let decoded = percent_decoded(uri).ok_or_else(|| error::corrupted("a path in the table's log is damaged"))?;
    let relative = match decoded.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with('/') => {
            let path = rest.trim_start_matches('/');
            let (bucket, path) = match location.url.host_str() {
                Some(host) if !host.is_empty() => {
                    (host, path.strip_prefix(host).and_then(|path| path.strip_prefix('/')).ok_or_else(outside)?)
                }
                _ => ("", path),
            };
            tracing::trace!(bucket, "absolute path in a log");
            let inside = path.strip_prefix(location.prefix.as_ref()).ok_or_else(outside)?;
            if !location.prefix.as_ref().is_empty() && !inside.starts_with('/') {
                return Err(outside());
            }
            inside.trim_start_matches('/').to_owned()
        }
        _ if decoded.starts_with('/') => {
            let inside = decoded.trim_start_matches('/').strip_prefix(location.prefix.as_ref()).and_then(|path| path.strip_prefix('/'));
            inside.ok_or_else(outside)?.to_owned()
        }
        _ => decoded,
    };
    let full = if location.prefix.as_ref().is_empty() { relative } else { format!("{}/{relative}", location.prefix) };
    Path::parse(&full).or_else(|_| {
        // Names that object_store spells differently; never a way up.
        if full.split('/').any(|segment| segment == ".." || segment == ".") { Err(outside()) } else { Ok(Path::from(full.as_str())) }
    })
}

fn is_scheme(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// `None` where what is decoded is not UTF-8. A `%` that starts no escape stays.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape =
            bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escape) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(percent_decoded("a%20b%2Fc").unwrap(), "a b/c");
        assert_eq!(percent_decoded("100%").unwrap(), "100%");
        assert!(percent_decoded("%ff").is_none());
        assert!(is_scheme("s3") && !is_scheme("c"));
    }
}
