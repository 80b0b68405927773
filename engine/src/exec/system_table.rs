//! A system relation whose columns the gateway makes when they are read.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use lakegate_engine_api::{Key, KeyFilter, SystemColumns};

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
        let pushed = |filter: &&Expr| match self.key_filter(filter).filter(|_| !self.columns.are_of_the_moment()) {
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
        let keys: Vec<KeyFilter> = filters.iter().filter_map(|filter| self.key_filter(filter)).collect();
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

impl SystemTable {
    /// `column = constant`, `column IN (constants)`, and several of them for one column joined by OR.
    fn key_filter(&self, filter: &Expr) -> Option<KeyFilter> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                let (column, value) = match (left.as_ref(), right.as_ref()) {
                    (Expr::Column(_), Expr::Literal(value, _)) => (left, value),
                    (Expr::Literal(value, _), Expr::Column(_)) => (right, value),
                    _ => return None,
                };
                Some(KeyFilter { column: self.place(column)?, values: vec![key(value)?] })
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                let (mut left, right) = (self.key_filter(left)?, self.key_filter(right)?);
                left.values.extend(right.values);
                (left.column == right.column).then_some(left)
            }
            Expr::InList(list) if !list.negated => {
                let constant = |item: &Expr| match item {
                    Expr::Literal(value, _) => key(value),
                    _ => None,
                };
                Some(KeyFilter { column: self.place(&list.expr)?, values: list.list.iter().map(constant).collect::<Option<_>>()? })
            }
            _ => None,
        }
    }

    fn place(&self, column: &Expr) -> Option<usize> {
        let Expr::Column(column) = column else { return None };
        self.schema.index_of(&column.name).ok()
    }
}

fn key(value: &ScalarValue) -> Option<Key> {
    Some(match value {
        ScalarValue::Int64(Some(number)) => Key::Number(*number),
        ScalarValue::Int32(Some(number)) => Key::Number(i64::from(*number)),
        ScalarValue::Int16(Some(number)) => Key::Number(i64::from(*number)),
        ScalarValue::UInt32(Some(number)) => Key::Number(i64::from(*number)),
        ScalarValue::Utf8(Some(text)) => Key::Text(text.clone()),
        _ => return None,
    })
}
