//! Data files: rows as statements see them in, Parquet and add actions out.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::compute::{CastOptions, cast_with_options};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use deltalake_core::kernel::Add;
use deltalake_core::logstore::ObjectStoreRef;
use deltalake_core::operations::write::WriterStatsConfig;
use deltalake_core::operations::write::writer::{DeltaWriter, WriterConfig};
use lakegate_engine_api::{EngineError, ProgressCounters};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::delta::{CHANGE_FOLDER, TableColumns, TableVersion, relabeled, renamed_type};
use crate::error;
use crate::exec::Counted;

/// A file is closed once it has this size, compressed.
pub const TARGET_FILE_BYTES: u64 = 256 << 20;

/// Rows of a row group, the unit that a scan prunes and one thread decodes.
const ROW_GROUP_ROWS: usize = 512 << 10;

/// Bytes of a row group in memory: bounds what a writer holds for wide rows.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Length of the folder names that column-mapped tables have in the place of partition values.
const RANDOM_PREFIX: usize = 2;

/// Property of a table: names of the columns that have Bloom filters, as a JSON list.
pub const FILTERS_KEY: &str = "lakegate.bloomFilterColumns";

/// What a table's files are like.
#[derive(Clone)]
pub struct FileLayout {
    columns: TableColumns,
    physical: SchemaRef,
    partitions: Vec<String>,
    statistics: WriterStatsConfig,
    store: ObjectStoreRef,
    /// Physical names of the columns that have Bloom filters.
    filtered: Vec<String>,
    /// Where rows that are written are counted.
    progress: Option<Arc<ProgressCounters>>,
}

impl FileLayout {
    #[must_use]
    pub fn of(version: &TableVersion, columns: &TableColumns, store: ObjectStoreRef) -> Self {
        let listed = version.snapshot.metadata().configuration().get(FILTERS_KEY);
        let names: Vec<String> = listed.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let filtered = columns.columns.iter().filter(|column| names.contains(column.field.name()));
        let filtered = filtered.map(|column| column.physical.name().clone()).collect();
        Self { filtered, ..Self::new(columns, WriterStatsConfig::from_config(version.snapshot.table_configuration()), store) }
    }

    /// `store` is rooted at the table.
    #[must_use]
    pub fn new(columns: &TableColumns, statistics: WriterStatsConfig, store: ObjectStoreRef) -> Self {
        let fields: Vec<FieldRef> = columns.columns.iter().map(|column| Arc::clone(&column.physical)).collect();
        let partitions = columns.partitions.iter().map(|at| columns.columns[*at].physical.name().clone()).collect();
        Self {
            columns: columns.clone(),
            physical: Arc::new(Schema::new(fields)),
            partitions,
            statistics,
            store,
            filtered: Vec::new(),
            progress: None,
        }
    }

    /// Rows that are written count as progress of a statement.
    #[must_use]
    pub fn counting(self, progress: &Counted) -> Self {
        Self { progress: Some(Arc::clone(progress.counters())), ..self }
    }

    /// Rows as data files have them: physical names and types.
    ///
    /// # Errors
    /// A value does not fit the column's type.
    pub fn physical_rows(&self, batch: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let mut arrays = Vec::with_capacity(batch.num_columns());
        for (column, array) in self.columns.columns.iter().zip(batch.columns()) {
            arrays.push(to_physical(array, column.field.data_type(), column.physical.data_type())?);
        }
        with_schema(&self.physical, arrays, batch.num_rows())
    }

    #[must_use]
    pub fn writer(&self) -> FileWriter {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_created_by(concat!("lakegate ", env!("CARGO_PKG_VERSION")).to_owned());
        for name in &self.filtered {
            // Sized for a full row group, and folded to what it holds when it is closed.
            properties = properties.set_column_bloom_filter_enabled(ColumnPath::new(vec![name.clone()]), true);
        }
        let properties = properties.build();
        let config = WriterConfig::new(
            Arc::clone(&self.physical),
            self.partitions.clone(),
            Some(properties),
            NonZeroU64::new(TARGET_FILE_BYTES),
            Some(8 * 1024),
            self.statistics.num_indexed_cols,
            self.statistics.stats_columns.clone(),
        )
        .with_random_prefix_length(self.columns.is_mapped.then_some(RANDOM_PREFIX));
        FileWriter { writer: Some(DeltaWriter::new(Arc::clone(&self.store), config)), rows: 0, progress: self.progress.clone() }
    }

    /// Data files' names and types.
    #[must_use]
    pub fn physical(&self) -> &SchemaRef {
        &self.physical
    }

    /// Writes change data files of `schema`.
    #[must_use]
    pub fn change_writer(&self, schema: &SchemaRef) -> FileWriter {
        let store = Arc::new(PrefixStore::new(Arc::clone(&self.store), CHANGE_FOLDER));
        let layout = Self { physical: Arc::clone(schema), store, filtered: Vec::new(), progress: None, ..self.clone() };
        layout.writer()
    }

    /// Deletes files that no commit will name; what cannot be deleted is left to VACUUM. A file with a deletion vector was there before.
    pub async fn discard(&self, adds: &[Add]) {
        for add in adds.iter().filter(|add| add.deletion_vector.is_none()) {
            if let Ok(path) = Path::parse(&add.path) {
                let _ = self.store.delete(&path).await;
            }
        }
    }
}

/// Writes files until closed; dropped before that, nothing of it is part of the table.
pub struct FileWriter {
    writer: Option<DeltaWriter>,
    pub rows: u64,
    progress: Option<Arc<ProgressCounters>>,
}

impl FileWriter {
    /// `batch` as [`FileLayout::physical_rows`] gives it.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let Some(writer) = &mut self.writer else { return Err(error::internal("the writer is closed")) };
        writer.write(batch).await.map_err(|error| error::from_delta(&error, ""))?;
        let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        self.rows += rows;
        if let Some(progress) = &self.progress {
            progress.rows_done.fetch_add(rows, Ordering::Relaxed);
        }
        Ok(())
    }

    /// # Errors
    /// `Storage`.
    pub async fn close(mut self) -> Result<Vec<Add>, EngineError> {
        let Some(writer) = self.writer.take() else { return Ok(Vec::new()) };
        writer.close().await.map_err(|error| error::from_delta(&error, ""))
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // An upload in parts stays in the store until it is given up.
        if let (Some(writer), Ok(handle)) = (self.writer.take(), tokio::runtime::Handle::try_current()) {
            handle.spawn(async move {
                let _ = writer.abort().await;
            });
        }
    }
}

fn to_physical(array: &ArrayRef, logical: &DataType, physical: &DataType) -> Result<ArrayRef, EngineError> {
    if array.data_type() == physical {
        return Ok(Arc::clone(array));
    }
    // First the types under the statement's names, then the files' names.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let step = renamed_type(physical, physical, logical);
    let typed = cast_with_options(array, &step, &options).map_err(|error| error::from_arrow(&error))?;
    relabeled(&typed, physical).map_err(|error| error::from_datafusion(&error, &[]))
}

/// # Errors
/// `Internal` where arrays and schema do not fit.
pub fn with_schema(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, EngineError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(|error| error::from_arrow(&error))
}

/// Bytes of the files of some add actions.
#[must_use]
pub fn bytes_of(adds: &[Add]) -> u64 {
    adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum()
}
