//! A version of a table as a DataFusion table: scans are plain `DataSourceExec`s over Parquet.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use parquet::arrow::RowNumber;
use parquet::arrow::arrow_reader::RowSelection;
use roaring::RoaringTreemap;

use super::adapter::DeltaAdapterFactory;
use super::decoded::{DecodedScan, DecodedSource};
use super::deletion_vector::selection;
use super::files::{DataFile, FileList};
use super::prune::{is_on_partitions, matching};
use super::schema::TableColumns;
use super::snapshot::{TableVersion, Tables};
use super::statistics::{self, Pick};
use crate::error;
use crate::plan::{ReadsDecoded, ScanCounters};
use crate::store::Location;

/// Of a scan made with [`TableScan::with_row_places`]: the file's position in the version's list, a `bigint`.
pub const FILE_COLUMN: &str = "\u{0}file";

/// Of the same scan: the row's position in its file from 0, deleted rows counted, a `bigint`.
pub const ROW_COLUMN: &str = "\u{0}row";

/// Behind a table's name: the table with the places of its rows, for a sample of it.
pub const SAMPLE_MARK: &str = "\u{0}places";

/// Files times columns above which files carry no column statistics of their own.
const FILE_STATISTICS_MAX: usize = 50_000;

/// Deletion vectors and footers read at once while planning.
const PLANNING_READS: usize = 16;

/// A table version to be scanned.
#[derive(Debug, Clone)]
pub struct TableScan {
    tables: Arc<Tables>,
    version: Arc<TableVersion>,
    columns: TableColumns,
    name: String,
    /// Read nothing but these files.
    only: Option<Arc<Vec<bool>>>,
    /// In the place of the version's.
    files: Option<Arc<FileList>>,
    row_places: bool,
    /// [`FILE_COLUMN`] is a number that a file has for ever, made of its path.
    lasting_files: bool,
    schema: SchemaRef,
}

impl TableScan {
    /// `columns`: the version's own, or with the registered relation's types; `name` is for messages.
    #[must_use]
    pub fn new(tables: Arc<Tables>, version: Arc<TableVersion>, columns: TableColumns, name: String) -> Self {
        let schema = Arc::clone(&columns.schema);
        Self { tables, version, columns, name, only: None, files: None, row_places: false, lasting_files: false, schema }
    }

    /// Adds the columns [`FILE_COLUMN`] and [`ROW_COLUMN`] at the end.
    #[must_use]
    pub fn with_row_places(mut self) -> Self {
        let mut fields = self.schema.fields().to_vec();
        fields.push(file_number_field());
        fields.push(row_field());
        self.schema = Arc::new(Schema::new(fields));
        self.row_places = true;
        self
    }

    /// As [`Self::with_row_places`]; files have numbers that no other version of the table changes.
    #[must_use]
    pub fn with_sample_places(self) -> Self {
        Self { lasting_files: true, ..self.with_row_places() }
    }

    /// Reads only the files with `true`, one entry a file of the version.
    #[must_use]
    pub fn only(mut self, files: Arc<Vec<bool>>) -> Self {
        self.only = Some(files);
        self
    }

    /// Reads these files in the place of the version's.
    #[must_use]
    pub fn of_files(mut self, files: Arc<FileList>) -> Self {
        self.files = Some(files);
        self
    }

    #[must_use]
    pub fn version(&self) -> &Arc<TableVersion> {
        &self.version
    }

    /// `None`: all rows.
    async fn row_selection(&self, file: &DataFile, meta: &ObjectMeta) -> Result<Option<RowSelection>> {
        if file.only.is_none() && file.deletion_vector.is_none() {
            return Ok(None);
        }
        let location = &self.version.location;
        let rows = match file.physical_rows {
            Some(rows) => rows,
            None => footer_rows(location, meta).await?,
        };
        let selected = match (&file.only, &file.deletion_vector) {
            (Some(only), _) => {
                let mut others = RoaringTreemap::new();
                others.insert_range(0..rows);
                others -= only.as_ref();
                selection(&others, rows)
            }
            (None, Some(vector)) => {
                let deleted = self.tables.deleted_rows(location, vector, &self.name).await.map_err(error::external)?;
                selection(&deleted, rows)
            }
            (None, None) => return Ok(None),
        };
        selected.map(Some).map_err(error::external)
    }

    async fn partitioned_file(&self, files: &FileList, number: usize, statistics: Option<Arc<Statistics>>) -> Result<PartitionedFile> {
        let file = &files.files[number];
        let meta = ObjectMeta {
            location: file.path.clone(),
            last_modified: DateTime::from_timestamp_millis(file.modified_ms).unwrap_or_default(),
            size: file.size_bytes,
            e_tag: None,
            version: None,
        };
        let mut values = Vec::with_capacity(self.columns.partitions.len() + 1);
        for array in &files.partitions {
            values.push(ScalarValue::try_from_array(array, number)?);
        }
        if self.row_places {
            let lasting = self.lasting_files.then(|| lasting_number(file.path.as_ref()));
            values.push(ScalarValue::Int64(lasting.or(i64::try_from(number).ok())));
        }
        let mut partitioned = PartitionedFile::new_from_meta(meta.clone()).with_partition_values(values);
        // Not through `with_statistics`: it takes partition values for never NULL.
        partitioned.statistics = statistics;
        Ok(match self.row_selection(file, &meta).await? {
            Some(selection) => partitioned.with_extension(ParquetRowSelection::new(selection)),
            None => partitioned,
        })
    }

    /// Positions in the scan's own schema (file columns, then partition columns, then the file number, then the row) for positions
    /// in ours.
    fn scan_positions(&self) -> Vec<usize> {
        let file_columns = self.columns.columns.iter().filter(|column| !column.is_partition).count();
        let mut next_file_column = 0;
        let mut positions: Vec<usize> = (0..self.columns.columns.len())
            .map(|at| match self.columns.partitions.iter().position(|partition| *partition == at) {
                Some(place) => file_columns + place,
                None => {
                    next_file_column += 1;
                    next_file_column - 1
                }
            })
            .collect();
        positions.extend([0, 1].map(|place| file_columns + self.columns.partitions.len() + place));
        positions
    }
}

/// FNV-1a of a path.
fn lasting_number(path: &str) -> i64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)).cast_signed()
}

fn file_number_field() -> FieldRef {
    Arc::new(Field::new(FILE_COLUMN, DataType::Int64, false))
}

fn row_field() -> FieldRef {
    Arc::new(Field::new(ROW_COLUMN, DataType::Int64, false).with_extension_type(RowNumber))
}

#[async_trait]
impl TableProvider for TableScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match is_on_partitions(filter, &self.columns) {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Inexact,
            })
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = match &self.files {
            Some(files) => files.as_ref(),
            None => self.version.files().map_err(error::external)?.as_ref(),
        };
        let mut keep = matching(session, files, &self.columns, filters)?;
        if let Some(only) = &self.only {
            for (keep, only) in keep.iter_mut().zip(only.iter()) {
                *keep &= only;
            }
        }
        let mut chosen: Vec<usize> = keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(number, _)| number).collect();
        // The log lists the newest files first; who looks at a small table expects what was inserted first to come first.
        chosen.sort_by_key(|number| files.files.get(*number).map(|file| file.modified_ms));
        if let Some(counters) = session.config().get_extension::<ScanCounters>() {
            counters.0.read_files.fetch_add(u64::try_from(chosen.len()).unwrap_or(u64::MAX), Relaxed);
            counters.0.pruned_files.fetch_add(u64::try_from(keep.len() - chosen.len()).unwrap_or(u64::MAX), Relaxed);
        }

        let positions = self.scan_positions();
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let indices: Vec<usize> = projection.unwrap_or(&all).iter().map(|at| positions[*at]).collect();
        if chosen.is_empty() {
            let schema = match projection {
                Some(projection) => Arc::new(self.schema.project(projection)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }

        let file_fields: Vec<FieldRef> =
            self.columns.columns.iter().filter(|column| !column.is_partition).map(|column| Arc::clone(&column.field)).collect();
        let mut partition_fields: Vec<FieldRef> =
            self.columns.partitions.iter().map(|at| Arc::clone(&self.columns.columns[*at].field)).collect();
        if self.row_places {
            partition_fields.push(file_number_field());
        }
        let mut order: Vec<Option<usize>> =
            (0..self.columns.columns.len()).filter(|at| !self.columns.columns[*at].is_partition).map(Some).collect();
        order.extend(self.columns.partitions.iter().copied().map(Some));
        if self.row_places {
            order.extend([None, None]);
        }
        let total = statistics::of_files(files, Pick::Kept(&keep), &self.columns, &order)?;
        let with_file_statistics = chosen.len() * order.len() <= FILE_STATISTICS_MAX;

        let partitioned: Vec<PartitionedFile> = futures::stream::iter(chosen.into_iter().map(|number| {
            let statistics = if with_file_statistics {
                statistics::of_files(files, Pick::One(number), &self.columns, &order).map(|statistics| Some(Arc::new(statistics)))
            } else {
                Ok(None)
            };
            async move { self.partitioned_file(files, number, statistics?).await }
        }))
        .buffered(PLANNING_READS)
        .try_collect()
        .await?;

        let options = TableParquetOptions { global: session.config_options().execution.parquet.clone(), ..Default::default() };
        let location = &self.version.location;
        let reader = Arc::new(CachedParquetFileReaderFactory::new(Arc::clone(&location.store), Arc::clone(&location.footers)));
        let virtual_fields: Vec<FieldRef> = self.row_places.then(row_field).into_iter().collect();
        let table_schema = TableSchema::builder(Arc::new(Schema::new(file_fields)))
            .with_table_partition_cols(partition_fields)
            .with_virtual_columns(virtual_fields)
            .build();
        let source =
            ParquetSource::new(table_schema).with_table_parquet_options(options).with_parquet_file_reader_factory(Arc::clone(&reader) as _);
        let adapter: Arc<dyn PhysicalExprAdapterFactory> = Arc::new(DeltaAdapterFactory::new(
            self.columns
                .columns
                .iter()
                .filter(|column| !column.is_partition)
                .map(|column| (Arc::clone(&column.field), Arc::clone(&column.physical))),
        ));
        let cache = Arc::clone(self.tables.decoded());
        let reads_decoded = session.config().get_extension::<ReadsDecoded>().is_some_and(|reads| reads.0);
        let source: Arc<dyn FileSource> = if cache.is_on() && reads_decoded && !self.row_places {
            let scan = DecodedScan { cache, location: location.clone(), reader, adapter: Arc::clone(&adapter) };
            Arc::new(DecodedSource::new(Arc::new(source), Arc::new(scan)))
        } else {
            Arc::new(source)
        };
        let config = FileScanConfigBuilder::new(location.object_store_url.clone(), source)
            .with_file_groups(vec![FileGroup::new(partitioned)])
            .with_statistics(total)
            .with_expr_adapter(Some(adapter))
            .with_projection_indices(Some(indices))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn statistics(&self) -> Option<Statistics> {
        None
    }
}

async fn footer_rows(location: &Location, meta: &ObjectMeta) -> Result<u64> {
    let metadata = DFParquetMetadata::new(location.store.as_ref(), meta)
        .with_file_metadata_cache(Some(Arc::clone(&location.footers)))
        .fetch_metadata()
        .await?;
    u64::try_from(metadata.file_metadata().num_rows()).map_err(|_| error::external(error::corrupted("a data file is damaged")))
}
