//! The file source: DataFusion's for Parquet, and what serves files from memory in its place.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{MorselPlan, MorselPlanner, Morselizer};
use object_store::ObjectStore;

use super::file::{Columns, FileScan};
use crate::cache::DecodedCache;
use crate::store::Location;

/// What scans of one table share.
#[derive(Debug)]
pub struct DecodedScan {
    pub cache: Arc<DecodedCache>,
    pub location: Location,
    pub reader: Arc<CachedParquetFileReaderFactory>,
    pub adapter: Arc<dyn PhysicalExprAdapterFactory>,
}

/// A Parquet source whose files may be in memory.
#[derive(Clone)]
pub struct DecodedSource {
    parquet: Arc<dyn FileSource>,
    scan: Arc<DecodedScan>,
}

impl DecodedSource {
    #[must_use]
    pub fn new(parquet: Arc<dyn FileSource>, scan: Arc<DecodedScan>) -> Self {
        Self { parquet, scan }
    }

    fn over(&self, parquet: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { parquet, scan: Arc::clone(&self.scan) })
    }
}

impl FileSource for DecodedSource {
    fn create_file_opener(&self, _: Arc<dyn ObjectStore>, _: &FileScanConfig, _: usize) -> Result<Arc<dyn FileOpener>> {
        internal_err!("scans of decoded columns are made of morsels")
    }

    fn create_morselizer(&self, store: Arc<dyn ObjectStore>, config: &FileScanConfig, partition: usize) -> Result<Box<dyn Morselizer>> {
        let parquet = self.parquet.create_morselizer(store, config, partition)?;
        match Columns::of(self.parquet.as_ref(), &self.scan, partition)? {
            Some(columns) => Ok(Box::new(DecodedMorselizer { parquet: Arc::from(parquet), columns: Arc::new(columns) })),
            None => Ok(parquet),
        }
    }

    fn table_schema(&self) -> &TableSchema {
        self.parquet.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.over(self.parquet.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.parquet.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.parquet.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.parquet.metrics()
    }

    fn file_type(&self) -> &str {
        self.parquet.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parquet.fmt_extra(kind, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.parquet.supports_repartitioning()
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        repartition_file_min_size: usize,
        output_ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        self.parquet.repartitioned(target_partitions, repartition_file_min_size, output_ordering, config)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.parquet.try_pushdown_filters(filters, config)?;
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node: pushed.updated_node.map(|node| self.over(node)) })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        equivalences: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.parquet.try_pushdown_sort(order, equivalences)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: self.over(inner) },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact { inner: self.over(inner) },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.parquet.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.parquet.try_pushdown_projection(projection)?.map(|parquet| self.over(parquet)))
    }

    fn apply_expressions(&self, f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        self.parquet.apply_expressions(f)
    }
}

/// Makes of each file a scan of memory, or leaves it to the Parquet scan.
#[derive(Debug)]
struct DecodedMorselizer {
    parquet: Arc<dyn Morselizer>,
    columns: Arc<Columns>,
}

impl Morselizer for DecodedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        Ok(Box::new(Unopened { parquet: Arc::clone(&self.parquet), columns: Arc::clone(&self.columns), file: Box::new(file) }))
    }
}

/// A file of which is not known yet how it is read.
#[derive(Debug)]
struct Unopened {
    parquet: Arc<dyn Morselizer>,
    columns: Arc<Columns>,
    file: Box<PartitionedFile>,
}

impl MorselPlanner for Unopened {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { parquet, columns, file } = *self;
        let opening = async move {
            let planner: Box<dyn MorselPlanner> = match FileScan::open(&columns, &file).await? {
                Some(scan) => Box::new(Opened(scan)),
                None => parquet.plan_file(*file)?,
            };
            Ok(planner)
        };
        Ok(Some(MorselPlan::new().with_pending_planner(opening)))
    }
}

#[derive(Debug)]
struct Opened(FileScan);

impl MorselPlanner for Opened {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        Ok(Some(MorselPlan::new().with_morsels(vec![Box::new(self.0)])))
    }
}
