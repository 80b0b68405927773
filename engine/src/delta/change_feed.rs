//! The change data feed: which rows came and went in some versions of a table. What a commit recorded row by row (Delta protocol, "Change
//! Data Files") is read from there, all else follows from the files that it added and removed.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::compute::{CastOptions, cast_with_options};
use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use deltalake_core::kernel::{Add, AddCDCFile, DeletionVectorDescriptor, Metadata, Remove};
use lakegate_engine_api::{DataError, EngineError};
use object_store::path::Path as ObjectPath;
use roaring::RoaringTreemap;
use serde::Deserialize;

use super::deletion_vector::{DeletionVector, Place as VectorPlace};
use super::files::{DataFile, FileList, object_path};
use super::provider::TableScan;
use super::schema::{TableColumn, TableColumns};
use super::snapshot::{Table, TableVersion, Tables, erased};
use crate::erase::request_of;
use crate::error;
use crate::store::Location;

/// Property of a table that records its changes.
pub const ENABLED: &str = "delta.enableChangeDataFeed";
/// `insert`, `delete`, `update_preimage` or `update_postimage`; a column of change data files.
pub const CHANGE_TYPE: &str = "_change_type";
/// Folder of change data files.
pub const FOLDER: &str = "_change_data";
const COMMIT_VERSION: &str = "_commit_version";
const COMMIT_TIMESTAMP: &str = "_commit_timestamp";

/// What the feed has beside the table's columns.
pub const FEED_COLUMNS: [&str; 3] = [CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP];

/// Whether a version's changes are recorded.
#[must_use]
pub fn is_recorded(metadata: &Metadata) -> bool {
    metadata.configuration().get(ENABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The changes of some versions as a table: its columns, then `_change_type`, `_commit_version` and `_commit_timestamp`.
#[derive(Debug)]
pub struct ChangeFeed {
    parts: Vec<TableScan>,
    schema: SchemaRef,
}

impl ChangeFeed {
    /// `last`: the table at the last version asked for; its columns are the feed's. `times`: when versions were committed, in microseconds.
    ///
    /// # Errors
    /// `Data` where changes were not recorded, or columns were changed otherwise than by adding some; `Corrupted`, `Storage`.
    pub async fn open(
        tables: &Arc<Tables>,
        table: &Table,
        last: Arc<TableVersion>,
        versions: RangeInclusive<u64>,
        times: &BTreeMap<u64, i64>,
        name: &str,
    ) -> Result<Self, EngineError> {
        let (mut derived, mut recorded) = (Vec::new(), Vec::new());
        for version in versions {
            let commit = Commit::read(table, version).await?;
            commit.check(&last, version, name)?;
            let place = Place { version, time: times.get(&version).copied() };
            if commit.recorded.is_empty() {
                derived.extend(commit.derived(tables, table, place, name).await?);
            } else {
                recorded.extend(commit.recorded.into_iter().map(|file| Found::recorded(file, place)));
            }
        }
        let constant = columns_with(&last.columns, true);
        let in_files = columns_with(&last.columns, false);
        let schema = Arc::clone(&constant.schema);
        let mut parts = Vec::new();
        for (found, columns) in [(derived, constant), (recorded, in_files)] {
            if !found.is_empty() {
                let files = Arc::new(file_list(&found, &columns, &last)?);
                let scan = TableScan::new(Arc::clone(tables), Arc::clone(&last), columns, name.to_owned());
                parts.push(scan.of_files(files));
            }
        }
        Ok(Self { parts, schema })
    }
}

#[async_trait]
impl TableProvider for ChangeFeed {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let mut inputs = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            inputs.push(part.scan(session, projection, filters, limit).await?);
        }
        match inputs.len() {
            0 => {
                let schema = projection.map_or_else(|| Ok(Arc::clone(&self.schema)), |at| self.schema.project(at).map(Arc::new))?;
                Ok(Arc::new(EmptyExec::new(schema)))
            }
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

/// What a commit's file says of rows.
#[derive(Default)]
struct Commit {
    adds: Vec<Add>,
    removes: Vec<Remove>,
    recorded: Vec<AddCDCFile>,
    metadata: Option<Metadata>,
}

/// A line of a commit; other actions say nothing of rows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    add: Option<Add>,
    remove: Option<Remove>,
    cdc: Option<AddCDCFile>,
    meta_data: Option<Metadata>,
}

#[derive(Clone, Copy)]
struct Place {
    version: u64,
    time: Option<i64>,
}

impl Commit {
    async fn lines(table: &Table, version: u64) -> Result<Vec<Line>, EngineError> {
        let entry = table.log_store.read_commit_entry(version).await.map_err(|failure| error::from_delta(&failure, ""))?;
        let Some(entry) = entry else {
            let message = format!("the table's log no longer has version {version}");
            return Err(error::data(DataError::InvalidParameterValue, message));
        };
        let lines = entry.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let damaged = |_| error::corrupted("a commit in the table's log is damaged");
        lines.map(|line| serde_json::from_slice(line).map_err(damaged)).collect()
    }

    async fn read(table: &Table, version: u64) -> Result<Self, EngineError> {
        let mut commit = Self::default();
        for line in Self::lines(table, version).await? {
            commit.adds.extend(line.add.filter(|add| add.data_change));
            commit.removes.extend(line.remove.filter(|remove| remove.data_change));
            commit.recorded.extend(line.cdc);
            commit.metadata = line.meta_data.or(commit.metadata);
        }
        let files = commit.adds.iter().map(|add| add.path.as_str()).chain(commit.removes.iter().map(|remove| remove.path.as_str()));
        if let Some(request) = files.into_iter().find_map(request_of) {
            return Err(erased(version, request));
        }
        Ok(commit)
    }

    /// A new definition must go on recording, and have nothing that the last one has not.
    fn check(&self, last: &TableVersion, version: u64, name: &str) -> Result<(), EngineError> {
        let Some(metadata) = &self.metadata else { return Ok(()) };
        if !is_recorded(metadata) {
            return Err(not_recorded(name, version));
        }
        let schema = metadata.parse_schema().map_err(|failure| error::from_delta(&failure.into(), name))?;
        let now = last.snapshot.schema();
        let is_kept =
            |field: &deltalake_core::kernel::StructField| now.field(field.name()).is_some_and(|kept| kept.data_type() == field.data_type());
        if schema.fields().all(is_kept) {
            return Ok(());
        }
        let message =
            format!("columns of \"{name}\" that version {version} had are not there any more: ask for the changes up to a version before");
        Err(error::data(DataError::NotInPrerequisiteState, message))
    }

    /// What follows from the files that came and went.
    async fn derived(self, tables: &Tables, table: &Table, place: Place, name: &str) -> Result<Vec<Found>, EngineError> {
        let mut removes: HashMap<String, Remove> = self.removes.into_iter().map(|remove| (remove.path.clone(), remove)).collect();
        let mut found = Vec::new();
        for add in self.adds {
            let Some(remove) = removes.remove(&add.path) else {
                found.push(Found { vector: add.deletion_vector, ..Found::new("insert", place, add.path, add.partition_values, add.size) });
                continue;
            };
            // The file stays: rows went from it, or came back.
            let before = deleted(tables, table, remove.deletion_vector.as_ref(), name).await?;
            let after = deleted(tables, table, add.deletion_vector.as_ref(), name).await?;
            for (change, rows) in [("delete", &after - &before), ("insert", &before - &after)] {
                if !rows.is_empty() {
                    let file = Found::new(change, place, add.path.clone(), add.partition_values.clone(), add.size);
                    found.push(Found { only: Some(Arc::new(rows)), ..file });
                }
            }
        }
        for remove in removes.into_values() {
            let (Some(values), Some(size)) = (remove.partition_values, remove.size) else {
                return Err(error::unsupported(format!("the changes of version {}: its log does not say what was removed", place.version)));
            };
            found.push(Found { vector: remove.deletion_vector, ..Found::new("delete", place, remove.path, values, size) });
        }
        Ok(found)
    }
}

async fn deleted(
    tables: &Tables,
    table: &Table,
    vector: Option<&DeletionVectorDescriptor>,
    name: &str,
) -> Result<RoaringTreemap, EngineError> {
    match vector.map(|vector| located(vector, &table.location)).transpose()? {
        Some(vector) => Ok(tables.deleted_rows(&table.location, &vector, name).await?.as_ref().clone()),
        None => Ok(RoaringTreemap::new()),
    }
}

fn located(vector: &DeletionVectorDescriptor, location: &Location) -> Result<DeletionVector, EngineError> {
    let storage = vector.storage_type.to_string();
    let prefix = &location.prefix;
    DeletionVector::new(&storage, &vector.path_or_inline_dv, vector.offset, vector.size_in_bytes, vector.cardinality, prefix)
}

/// The files that a version's commit took out of the table, their deletion vectors, and its change data files: object paths in the
/// table's store. Versions up to the one before need them.
///
/// # Errors
/// `Data` where the log no longer has the version; `Storage`, `Corrupted`.
pub async fn replaced_by(table: &Table, version: u64) -> Result<Vec<ObjectPath>, EngineError> {
    let location = &table.location;
    let mut paths = Vec::new();
    for line in Commit::lines(table, version).await? {
        if let Some(remove) = line.remove {
            paths.push(object_path(&remove.path, location)?);
            let vector = remove.deletion_vector.map(|vector| located(&vector, location)).transpose()?;
            if let Some(DeletionVector { place: VectorPlace::File { path, .. }, .. }) = vector {
                paths.push(path);
            }
        }
        if let Some(file) = line.cdc {
            paths.push(object_path(&file.path, location)?);
        }
    }
    Ok(paths)
}

/// # Errors
/// Always: changes of a version were not recorded.
pub fn not_recorded(name: &str, version: u64) -> EngineError {
    let message = format!("changes of \"{name}\" were not recorded at version {version}: the table property {ENABLED} was not set");
    error::data(DataError::NotInPrerequisiteState, message)
}

/// A file of which some rows are changes.
struct Found {
    /// `None`: the file says it, row by row.
    change: Option<&'static str>,
    place: Place,
    path: String,
    values: HashMap<String, Option<String>>,
    size: i64,
    vector: Option<DeletionVectorDescriptor>,
    /// Positions of the rows that are meant; `None`: all that are not deleted.
    only: Option<Arc<RoaringTreemap>>,
}

impl Found {
    fn new(change: &'static str, place: Place, path: String, values: HashMap<String, Option<String>>, size: i64) -> Self {
        Self { change: Some(change), place, path, values, size, vector: None, only: None }
    }

    fn recorded(file: AddCDCFile, place: Place) -> Self {
        Self { change: None, ..Self::new("", place, file.path, file.partition_values, file.size) }
    }
}

/// The table's columns and those of the feed. `constant`: a file's rows are all of one kind of change.
fn columns_with(columns: &TableColumns, constant: bool) -> TableColumns {
    let mut all = columns.clone();
    let stamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    for (name, data_type, is_partition) in
        [(CHANGE_TYPE, DataType::Utf8, constant), (COMMIT_VERSION, DataType::Int64, true), (COMMIT_TIMESTAMP, stamp, true)]
    {
        let field: FieldRef = Arc::new(Field::new(name, data_type, true));
        if is_partition {
            all.partitions.push(all.columns.len());
        }
        let (physical, not_null) = (Arc::clone(&field), false);
        all.columns.push(TableColumn { field, physical, is_partition, not_null, generation: None, identity: None, invariant: None });
    }
    all.schema = Arc::new(Schema::new(all.columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>()));
    all
}

fn file_list(found: &[Found], columns: &TableColumns, version: &TableVersion) -> Result<FileList, EngineError> {
    let damaged = || error::corrupted("a commit in the table's log is damaged");
    let mut files = Vec::with_capacity(found.len());
    for file in found {
        let vector = file.vector.as_ref().map(|vector| located(vector, &version.location));
        files.push(DataFile {
            path: object_path(&file.path, &version.location)?,
            size_bytes: u64::try_from(file.size).map_err(|_| damaged())?,
            // Rows come in the order of their versions.
            modified_ms: i64::try_from(file.place.version).unwrap_or(i64::MAX),
            deletion_vector: vector.transpose()?,
            only: file.only.clone(),
            physical_rows: None,
        });
    }
    let mut partitions: Vec<ArrayRef> = Vec::with_capacity(columns.partitions.len());
    for at in &columns.partitions {
        let column = &columns.columns[*at];
        partitions.push(match column.field.name().as_str() {
            CHANGE_TYPE => Arc::new(found.iter().map(|file| file.change).collect::<StringArray>()),
            COMMIT_VERSION => Arc::new(found.iter().map(|file| i64::try_from(file.place.version).ok()).collect::<Int64Array>()),
            COMMIT_TIMESTAMP => {
                let times = found.iter().map(|file| file.place.time).collect::<TimestampMicrosecondArray>();
                Arc::new(times.with_timezone("UTC"))
            }
            _ => partition_values(found, column)?,
        });
    }
    let row_counts = UInt64Array::from(vec![None; files.len()]);
    Ok(FileList { files, min: None, max: None, null_count: None, partitions, row_counts })
}

/// As the log has them: text, an empty one for NULL ("Partition Value Serialization").
fn partition_values(found: &[Found], column: &TableColumn) -> Result<ArrayRef, EngineError> {
    let value = |file: &Found| {
        let named = file.values.get(column.physical.name()).or_else(|| file.values.get(column.field.name()));
        named.cloned().flatten().filter(|text| !text.is_empty())
    };
    let texts: StringArray = found.iter().map(value).collect();
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&texts, column.field.data_type(), &options).map_err(|error| error::from_arrow(&error))
}
