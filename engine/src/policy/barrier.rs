//! A policed table as a DataFusion table.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::leakproof::is_leakproof;
use super::operator::BarrierExec;
use super::without_values;
use crate::error;
use crate::plan::ScanCounters;

/// Scanned by a plan of its own, which is never made part of the statement's: no `get_logical_plan`.
#[derive(Debug)]
pub struct Barrier {
    /// Analysed; its columns are those of `schema`, without qualifiers.
    pub plan: LogicalPlan,
    pub schema: SchemaRef,
    pub table: String,
    /// Columns whose values are not the stored ones.
    pub masked: BTreeSet<String>,
}

#[async_trait]
impl TableProvider for Barrier {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushed = |filter: &&Expr| match is_leakproof(filter, &self.masked) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let session: &dyn Any = session.as_any();
        let Some(state) = session.downcast_ref::<SessionState>() else {
            return Err(error::external(error::internal("a session has a state")));
        };
        let state = uncounted(state);
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let planned = async {
            let mut builder = LogicalPlanBuilder::from(self.plan.clone());
            let allowed = filters.iter().filter(|filter| is_leakproof(filter, &self.masked)).cloned();
            if let Some(condition) = conjunction(allowed) {
                builder = builder.filter(condition)?;
            }
            if let Some(columns) = projection {
                let all = self.plan.schema().columns();
                builder = builder.project(columns.iter().filter_map(|at| all.get(*at).cloned()).map(Expr::Column))?;
            }
            let plan = builder.limit(0, limit)?.build()?;
            let plan = state.optimizer().optimize(plan, &state, |_, _| {})?;
            state.query_planner().create_physical_plan(&plan, &state).await
        };
        let hidden = |error: DataFusionError| error::external(without_values(error::from_datafusion(&error, &[]), &self.table));
        let inner = Box::pin(planned).await.map_err(hidden)?;
        Ok(Arc::new(BarrierExec::new(inner, self.table.clone(), schema)))
    }
}

/// How many files and rows there are below would tell of hidden rows.
fn uncounted(state: &SessionState) -> SessionState {
    let mut state = state.clone();
    state.config_mut().set_extension(Arc::new(ScanCounters(Arc::default())));
    state
}
