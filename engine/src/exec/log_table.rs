//! A log that the gateway reads while a plan runs: the columns that the plan needs, of the time that it asks for, newest first, and no more
//! than it takes.

use std::sync::Arc;

use arrow_schema::{SchemaRef, SortOptions};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::TryStreamExt as _;
use lakegate_engine_api::{LogPart, LogRecords};

use super::key_filters::{key_filter, span};

#[derive(Debug)]
pub struct LogTable {
    pub schema: SchemaRef,
    pub records: Arc<dyn LogRecords>,
}

#[async_trait]
impl TableProvider for LogTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let time = self.records.time_column();
        // What comes is filtered again.
        let pushed = |filter: &&Expr| match span(&self.schema, time, filter).is_some() || key_filter(&self.schema, filter).is_some() {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let columns = projection.unwrap_or(&all).clone();
        let schema = Arc::new(self.schema.project(&columns)?);
        let time = self.records.time_column();
        let spans = filters.iter().filter_map(|filter| span(&self.schema, time, filter));
        let (since, until) = spans.fold((None, None), |(since, until): (Option<i64>, Option<i64>), span| {
            (since.max(span.since), until.into_iter().chain(span.until).min())
        });
        let part = LogPart {
            columns,
            since: since.and_then(DateTime::from_timestamp_micros),
            until: until.and_then(DateTime::from_timestamp_micros),
            keys: filters.iter().filter_map(|filter| key_filter(&self.schema, filter)).collect(),
            limit,
        };
        let place = part.columns.iter().position(|column| *column == time);
        let order = place.and_then(|place| {
            let options = SortOptions { descending: true, nulls_first: true };
            LexOrdering::new([PhysicalSortExpr::new(Arc::new(Column::new(schema.field(place).name(), place)), options)])
        });
        let rows = Rows { schema: Arc::clone(&schema), part, records: Arc::clone(&self.records) };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, order, false, limit)?))
    }
}

#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    part: LogPart,
    records: Arc<dyn LogRecords>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.records.read(self.part.clone()).map_err(|error| DataFusionError::External(Box::new(error)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}
