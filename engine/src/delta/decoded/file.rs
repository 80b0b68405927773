//! One file, read from memory: which of its columns are needed, which row groups and batches a condition leaves, and what is decoded
//! because it is asked for again and again.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::compute::filter_record_batch;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{
    Int96Coercer, ParquetFileReaderFactory, ParquetRowSelection, apply_file_schema_type_coercions,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::projection::Projector;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion_datasource::morsel::Morsel;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::RowGroupMetaData;

use super::prune::{Batches, RowGroups, kept};
use super::source::DecodedScan;
use crate::cache::{Column, ColumnKey, FileKey, Found};

/// Rows of a batch that is kept.
const BATCH_ROWS: usize = 8_192;

/// The columns that a scan reads of each file.
pub struct Columns {
    scan: Arc<DecodedScan>,
    partition: usize,
    /// Without partition columns.
    file_schema: SchemaRef,
    /// File columns, then partition columns.
    pub table_schema: SchemaRef,
    /// Places in the table's schema.
    needed: Vec<usize>,
    needed_schema: SchemaRef,
    projector: Projector,
    /// Over the table's schema.
    pub predicate: Option<Arc<dyn PhysicalExpr>>,
    metrics: ExecutionPlanMetricsSet,
    counters: Counters,
}

#[derive(Debug, Clone)]
struct Counters {
    /// Bytes of the files' columns that were not read.
    bytes: Count,
    /// Rows that were passed over.
    rows_pruned: Count,
}

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Columns({:?})", self.needed)
    }
}

impl Columns {
    /// `None` where no column is read, or what no file has.
    ///
    /// # Errors
    /// None of its own.
    pub fn of(source: &dyn FileSource, scan: &Arc<DecodedScan>, partition: usize) -> Result<Option<Columns>> {
        let schema = source.table_schema();
        let Some(projection) = source.projection().filter(|_| schema.virtual_columns().is_empty()) else { return Ok(None) };
        let needed = projection.column_indices();
        let file_schema = Arc::clone(schema.file_schema());
        if !needed.iter().any(|at| *at < file_schema.fields().len()) {
            return Ok(None);
        }
        let table_schema = Arc::clone(schema.table_schema());
        let needed_schema = Arc::new(table_schema.project(&needed)?);
        let projection = projection.clone().try_map_exprs(|expr| reassign_expr_columns(expr, &needed_schema))?;
        let metrics = source.metrics().clone();
        let counters = Counters {
            bytes: MetricBuilder::new(&metrics).counter("bytes_from_cache", partition),
            rows_pruned: MetricBuilder::new(&metrics).counter("cached_rows_pruned", partition),
        };
        Ok(Some(Columns {
            scan: Arc::clone(scan),
            partition,
            projector: projection.make_projector(&needed_schema)?,
            file_schema,
            table_schema,
            needed,
            needed_schema,
            predicate: source.filter(),
            metrics,
            counters,
        }))
    }

    fn is_of_file(&self, at: usize) -> bool {
        at < self.file_schema.fields().len()
    }
}

/// Where a needed column comes from.
#[derive(Debug, Clone)]
enum Origin {
    /// A column of the file at this place, and what makes the table's of it.
    Stored { place: usize, expr: Arc<dyn PhysicalExpr> },
    /// It is the same in all rows.
    Same(ScalarValue),
}

/// A file that is read from memory.
pub struct FileScan {
    columns: Arc<Columns>,
    file: PartitionedFile,
    key: FileKey,
    metadata: ArrowReaderMetadata,
    origins: Vec<Origin>,
    /// Row groups that are read, each with the number of the file's rows before it.
    groups: Vec<(usize, u64)>,
}

impl fmt::Debug for FileScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileScan({:?})", self.groups)
    }
}

impl FileScan {
    /// `None`: it is to be read as if there were no cache.
    ///
    /// # Errors
    /// The footer cannot be read.
    pub async fn open(columns: &Arc<Columns>, file: &PartitionedFile) -> Result<Option<FileScan>> {
        let location = &columns.scan.location;
        let metadata = DFParquetMetadata::new(location.store.as_ref(), &file.object_meta)
            .with_file_metadata_cache(Some(Arc::clone(&location.footers)))
            .fetch_metadata()
            .await?;
        let metadata = reader_metadata(columns, metadata)?;
        let Some(origins) = origins(columns, file, metadata.schema())? else { return Ok(None) };
        let key = FileKey {
            store: Arc::from(location.object_store_url.as_str()),
            path: file.object_meta.location.clone(),
            size_bytes: file.object_meta.size,
            modified_ms: file.object_meta.last_modified.timestamp_millis(),
        };
        let mut scan = FileScan { columns: Arc::clone(columns), file: file.clone(), key, metadata, origins, groups: Vec::new() };
        scan.groups = scan.chosen_groups()?;
        let wanted: Vec<ColumnKey> = scan.groups.iter().flat_map(|(group, _)| scan.keys(*group)).collect();
        match columns.scan.cache.ask(&scan.key, &wanted) {
            Found::Serve => Ok(Some(scan)),
            Found::Pass => Ok(None),
        }
    }

    /// Row groups in the file's range that a condition does not rule out.
    fn chosen_groups(&self) -> Result<Vec<(usize, u64)>> {
        let groups = self.metadata.metadata().row_groups();
        let mut first_row = 0_u64;
        let mut numbered = Vec::with_capacity(groups.len());
        for (at, group) in groups.iter().enumerate() {
            if self.file.range.as_ref().is_none_or(|range| range.contains(start_of(group))) {
                numbered.push((at, first_row));
            }
            first_row += u64::try_from(group.num_rows()).unwrap_or_default();
        }
        let Some(predicate) = &self.columns.predicate else { return Ok(numbered) };
        let chosen: Vec<usize> = numbered.iter().map(|(at, _)| *at).collect();
        let statistics =
            RowGroups { metadata: &self.metadata, groups: &chosen, columns: &self.columns, file: &self.file, places: self.places() };
        let keep = kept(predicate, &self.columns.table_schema, &statistics, chosen.len());
        Ok(numbered.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(group, _)| group).collect())
    }

    /// (place in the table's schema, place in the file) of the stored columns.
    fn places(&self) -> Vec<(usize, usize)> {
        let stored = |(at, origin): (&usize, &Origin)| match origin {
            Origin::Stored { place, .. } => Some((*at, *place)),
            Origin::Same(_) => None,
        };
        self.columns.needed.iter().zip(&self.origins).filter_map(stored).collect()
    }

    fn keys(&self, row_group: usize) -> Vec<ColumnKey> {
        let key = |(at, place): (usize, usize)| {
            let data_type = self.columns.table_schema.field(at).data_type().clone();
            ColumnKey { row_group, column: place, data_type }
        };
        self.places().into_iter().map(key).collect()
    }

    /// The stored columns of a row group, from memory or decoded now.
    async fn load(&self, row_group: usize) -> Result<Vec<Arc<Column>>> {
        let cache = &self.columns.scan.cache;
        let keys = self.keys(row_group);
        let mut found: Vec<Option<Arc<Column>>> = keys.iter().map(|key| cache.find(&self.key, key)).collect();
        let missing: Vec<usize> = found.iter().enumerate().filter(|(_, column)| column.is_none()).map(|(at, _)| at).collect();
        let from_cache: u64 = found.iter().flatten().map(|column| column.stored_bytes).sum();
        self.columns.counters.bytes.add(usize::try_from(from_cache).unwrap_or(usize::MAX));
        if !missing.is_empty() {
            let began = Instant::now();
            let decoded = self.decode(row_group, &missing).await?;
            let bytes: usize = decoded.iter().map(|column| column.bytes).sum();
            let nanos = began.elapsed().as_nanos() as f64;
            for (at, column) in missing.into_iter().zip(decoded) {
                let share = nanos * column.bytes as f64 / bytes.max(1) as f64;
                cache.keep(&self.key, keys[at].clone(), &column, share);
                found[at] = Some(column);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// `which`: of the stored columns.
    async fn decode(&self, row_group: usize, which: &[usize]) -> Result<Vec<Arc<Column>>> {
        let scan = &self.columns.scan;
        let stored: Vec<(usize, &Arc<dyn PhysicalExpr>)> = self.origins.iter().filter_map(Origin::stored).collect();
        let wanted: Vec<(usize, &Arc<dyn PhysicalExpr>)> = which.iter().filter_map(|at| stored.get(*at).copied()).collect();
        let reader: Box<dyn AsyncFileReader> =
            scan.reader.create_reader(self.columns.partition, self.file.clone(), None, &self.columns.metrics)?;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), wanted.iter().map(|(place, _)| *place));
        let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone())
            .with_projection(mask)
            .with_row_groups(vec![row_group])
            .with_batch_size(BATCH_ROWS)
            .build()?;
        let exprs: Result<Vec<Arc<dyn PhysicalExpr>>> =
            wanted.iter().map(|(_, expr)| reassign_expr_columns(Arc::clone(expr), batches.schema())).collect();
        let exprs = exprs?;
        let mut arrays: Vec<Vec<ArrayRef>> = vec![Vec::new(); exprs.len()];
        while let Some(batch) = batches.try_next().await? {
            for (expr, arrays) in exprs.iter().zip(&mut arrays) {
                arrays.push(compact(expr.evaluate(&batch)?.into_array(batch.num_rows())?));
            }
        }
        let group = self.metadata.metadata().row_group(row_group);
        let bytes = |place: usize| {
            let leaves = group.columns().iter().enumerate();
            let of_root = leaves.filter(|(leaf, _)| self.metadata.parquet_schema().get_column_root_idx(*leaf) == place);
            of_root.map(|(_, column)| u64::try_from(column.compressed_size()).unwrap_or_default()).sum()
        };
        Ok(arrays.into_iter().zip(&wanted).map(|(arrays, (place, _))| Arc::new(Column::new(arrays, bytes(*place)))).collect())
    }

    /// Batches of a row group as the plan wants them.
    async fn row_group(self: Arc<Self>, row_group: usize, first_row: u64) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let stored = self.load(row_group).await?;
        let rows: Vec<usize> = stored.first().map(|column| column.batches.iter().map(|batch| batch.len()).collect()).unwrap_or_default();
        // What a condition became since the file was opened counts too.
        let keep = match &self.columns.predicate {
            Some(predicate) => {
                let statistics = Batches { columns: &self.columns, file: &self.file, places: self.places(), stored: &stored, rows: &rows };
                kept(predicate, &self.columns.table_schema, &statistics, rows.len())
            }
            None => vec![true; rows.len()],
        };
        let selection = self.file.extensions.get::<ParquetRowSelection>();
        let masks = selection.map(|selection| masks(selection.selection(), first_row, &rows));
        let mut work = Vec::with_capacity(rows.len());
        for (at, (rows, keep)) in rows.iter().zip(keep).enumerate() {
            let mask = masks.as_ref().and_then(|masks| masks.get(at)).cloned().unwrap_or(Mask::All);
            if keep && !matches!(mask, Mask::None) {
                work.push((at, *rows, mask));
            } else {
                self.columns.counters.rows_pruned.add(*rows);
            }
        }
        let batches = futures::stream::iter(work).map(move |(at, rows, mask)| self.batch(&stored, at, rows, &mask));
        Ok(batches.boxed())
    }

    fn batch(&self, stored: &[Arc<Column>], at: usize, rows: usize, mask: &Mask) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.origins.len());
        let mut stored = stored.iter();
        for origin in &self.origins {
            columns.push(match origin {
                Origin::Stored { .. } => match stored.next().and_then(|column| column.batches.get(at)) {
                    Some(array) => Arc::clone(array),
                    None => return datafusion::common::internal_err!("a column of a row group is shorter than another"),
                },
                Origin::Same(value) => value.to_array_of_size(rows)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut batch = RecordBatch::try_new_with_options(Arc::clone(&self.columns.needed_schema), columns, &options)?;
        if let Mask::Some(mask) = mask {
            batch = filter_record_batch(&batch, mask)?;
        }
        self.columns.projector.project_batch(&batch)
    }
}

impl Origin {
    fn stored(&self) -> Option<(usize, &Arc<dyn PhysicalExpr>)> {
        match self {
            Origin::Stored { place, expr } => Some((*place, expr)),
            Origin::Same(_) => None,
        }
    }
}

impl Morsel for FileScan {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let scan = Arc::new(*self);
        let groups = scan.groups.clone();
        futures::stream::iter(groups).then(move |(group, first_row)| Arc::clone(&scan).row_group(group, first_row)).try_flatten().boxed()
    }
}

/// By which DataFusion deals row groups out to ranges of a file.
fn start_of(group: &RowGroupMetaData) -> i64 {
    let column = group.column(0);
    column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset())
}

/// As DataFusion's Parquet scan reads the file's types.
fn reader_metadata(columns: &Columns, metadata: Arc<parquet::file::metadata::ParquetMetaData>) -> Result<ArrowReaderMetadata> {
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new())?;
    let mut schema = Arc::clone(plain.schema());
    if let Some(coerced) = apply_file_schema_type_coercions(&columns.file_schema, &schema) {
        schema = Arc::new(coerced);
    }
    let unit = arrow_schema::TimeUnit::Microsecond;
    if let Some(coerced) = Int96Coercer::new(plain.parquet_schema(), &schema, &unit).coerce() {
        schema = Arc::new(coerced);
    }
    if schema == *plain.schema() {
        return Ok(plain);
    }
    Ok(ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new().with_schema(schema))?)
}

/// `None` where a column is made of several of the file's.
fn origins(columns: &Columns, file: &PartitionedFile, physical: &SchemaRef) -> Result<Option<Vec<Origin>>> {
    let adapter = columns.scan.adapter.create(Arc::clone(&columns.file_schema), Arc::clone(physical))?;
    let mut origins = Vec::with_capacity(columns.needed.len());
    for at in &columns.needed {
        let field: &FieldRef = &columns.table_schema.fields()[*at];
        if !columns.is_of_file(*at) {
            let value = file.partition_values.get(at - columns.file_schema.fields().len());
            let Some(value) = value else { return Ok(None) };
            origins.push(Origin::Same(value.cast_to(field.data_type())?));
            continue;
        }
        let expr = adapter.rewrite(Arc::new(ColumnExpr::new(field.name(), *at)))?;
        let mut read = collect_columns(&expr).into_iter();
        origins.push(match (read.next(), read.next()) {
            (Some(column), None) => Origin::Stored { place: column.index(), expr },
            (None, _) => {
                let nothing = RecordBatch::try_new_with_options(
                    Arc::new(Schema::empty()),
                    Vec::new(),
                    &RecordBatchOptions::new().with_row_count(Some(1)),
                )?;
                let value = expr.evaluate(&nothing)?.into_array(1)?;
                Origin::Same(ScalarValue::try_from_array(&value, 0)?)
            }
            (Some(_), Some(_)) => return Ok(None),
        });
    }
    Ok(origins.iter().any(|origin| origin.stored().is_some()).then_some(origins))
}

/// Without room for more.
fn compact(mut array: ArrayRef) -> ArrayRef {
    if let Some(array) = Arc::get_mut(&mut array) {
        array.shrink_to_fit();
    }
    array
}

/// Which rows of a batch are there: others are deleted.
#[derive(Debug, Clone)]
enum Mask {
    All,
    None,
    Some(BooleanArray),
}

/// One mask a batch; `selection` speaks of all rows of the file.
fn masks(selection: &RowSelection, first_row: u64, batches: &[usize]) -> Vec<Mask> {
    let mut selectors = selection.iter().map(|selector| (selector.row_count, selector.skip));
    let mut current: Option<(usize, bool)> = None;
    // Rows of the selection from here on; what it does not reach is not selected.
    let mut take = |mut rows: usize, taken: &mut dyn FnMut(usize, bool)| {
        while rows > 0 {
            let (left, skip) = match current.take().or_else(|| selectors.next()) {
                Some(selector) => selector,
                None => return taken(rows, true),
            };
            let part = left.min(rows);
            taken(part, skip);
            rows -= part;
            if left > part {
                current = Some((left - part, skip));
            }
        }
    };
    take(usize::try_from(first_row).unwrap_or(usize::MAX), &mut |_, _| {});
    let mask = |rows: &usize| {
        let mut there = BooleanBufferBuilder::new(*rows);
        let mut selected = 0;
        take(*rows, &mut |count, skip| {
            there.append_n(count, !skip);
            selected += if skip { 0 } else { count };
        });
        match selected {
            0 => Mask::None,
            all if all == *rows => Mask::All,
            _ => Mask::Some(BooleanArray::new(there.finish(), None)),
        }
    };
    batches.iter().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::RowSelector;

    use super::*;

    #[test]
    fn masks_follow_the_selection_through_batches() {
        let selection = RowSelection::from(vec![
            RowSelector::select(10),
            RowSelector::skip(1),
            RowSelector::select(9),
            RowSelector::skip(20),
            RowSelector::select(5),
        ]);
        let shown: Vec<String> = masks(&selection, 10, &[5, 5, 10, 10, 6])
            .iter()
            .map(|mask| match mask {
                Mask::All => "all".to_owned(),
                Mask::None => "none".to_owned(),
                Mask::Some(mask) => mask.iter().map(|there| if there == Some(true) { '1' } else { '0' }).collect(),
            })
            .collect();
        assert_eq!(shown, ["01111", "all", "none", "none", "111110"]);
    }
}
