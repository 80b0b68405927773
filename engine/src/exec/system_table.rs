//! A system relation whose columns the gateway makes when they are read.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use lakegate_engine_api::SystemColumns;

/// Only the columns that a plan needs are asked for.
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

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let batches = self.columns.read(wanted).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let schema = Arc::new(self.schema.project(wanted)?);
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }
}
