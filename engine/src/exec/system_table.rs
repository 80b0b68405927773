//! A system relation whose columns the gateway makes when they are read.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use lakegate_engine_api::{KeyFilter, SystemColumns};

use super::key_filters::key_filter;

/// Only the columns that a plan needs are asked for, and where it looks for keys, only the rows that may have them.
#[derive(Debug)]
pub struct SystemTable {
    pub schema: SchemaRef,
    pub columns: Arc<dyn SystemColumns>,
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // What comes is filtered again.
        let pushed = |filter: &&Expr| match key_filter(&self.schema, filter).filter(|_| !self.columns.are_of_the_moment()) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(wanted)?);
        if self.columns.are_of_the_moment() {
            let rows = OfTheMoment { schema: Arc::clone(&schema), wanted: wanted.clone(), columns: Arc::clone(&self.columns) };
            return Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, None)?));
        }
        let keys: Vec<KeyFilter> = filters.iter().filter_map(|filter| key_filter(&self.schema, filter)).collect();
        let batches = self.columns.read(wanted, &keys).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }
}

/// Rows that are made when the plan runs.
#[derive(Debug)]
struct OfTheMoment {
    schema: SchemaRef,
    wanted: Vec<usize>,
    columns: Arc<dyn SystemColumns>,
}

impl PartitionStream for OfTheMoment {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = match self.columns.read(&self.wanted, &[]) {
            Ok(batches) => batches.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(DataFusionError::External(Box::new(error)))],
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}
