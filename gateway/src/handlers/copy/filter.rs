//! `COPY … FROM … WHERE`: an engine picks the rows of each batch.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::StreamExt;
use lakegate_catalog::model::RelationName;
use lakegate_engine_api::{BoundRelation, BoundStatement, Engine, Execution, ExecutionContext, RelationSource, SessionFacts, Work};
use sqlparser::ast::{Expr, Ident, ObjectName, SetExpr, Statement};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::sql::evaluate::contains_query;
use crate::sql::parse::parse_query;
use crate::sqlstate::{SqlError, SqlState};

pub struct Filter {
    engine: Arc<dyn Engine>,
    facts: Arc<SessionFacts>,
    /// `SELECT * FROM` the batch, under the table's name, `WHERE` the condition.
    query: Statement,
    name: RelationName,
    schema: SchemaRef,
    cancel: CancellationToken,
}

impl Filter {
    /// Plans once, so that what is wrong with the condition is told before the client sends rows.
    ///
    /// # Errors
    /// 0A000 for a subquery, and what planning finds.
    pub async fn new(
        engine: Arc<dyn Engine>,
        facts: Arc<SessionFacts>,
        condition: &Expr,
        name: RelationName,
        schema: SchemaRef,
        cancel: CancellationToken,
    ) -> Result<Self, SqlError> {
        let mut query = parse_query("SELECT * FROM t WHERE true")?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.selection = Some(condition.clone());
            if let Some(sqlparser::ast::TableFactor::Table { name: table, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
                let parts = [&name.database, &name.schema, &name.name].map(|part| Ident::with_quote('"', part.as_str()));
                *table = ObjectName::from(parts.to_vec());
            }
        }
        if contains_query(&query) {
            return Err(SqlError::new(SqlState::FeatureNotSupported, "cannot use subquery in COPY FROM WHERE condition"));
        }
        let filter = Filter { engine, facts, query: Statement::Query(Box::new(query)), name, schema, cancel };
        filter.prepare(RecordBatch::new_empty(Arc::clone(&filter.schema))).await?;
        Ok(filter)
    }

    /// The rows for which the condition is true, in their order.
    ///
    /// # Errors
    /// What evaluating the condition gives.
    pub async fn apply(&self, batch: RecordBatch) -> Result<Vec<RecordBatch>, SqlError> {
        let prepared = self.prepare(batch).await?;
        let context = ExecutionContext { statement_id: Uuid::now_v7(), cancel: self.cancel.clone() };
        let Execution::Rows { mut stream, .. } = prepared.execute(Vec::new(), context).await? else { return Err(internal()) };
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            let columns = batch?.columns().to_vec();
            batches.push(RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|_| internal())?);
        }
        Ok(batches)
    }

    async fn prepare(&self, batch: RecordBatch) -> Result<Arc<dyn lakegate_engine_api::Prepared>, SqlError> {
        let source = RelationSource::Rows { schema: Arc::clone(&self.schema), batches: Arc::new([batch]) };
        let statement = BoundStatement {
            statement_id: Uuid::now_v7(),
            work: Work::Query(Box::new(self.query.clone())),
            relations: vec![BoundRelation::new(self.name.clone(), source)],
            session: Arc::clone(&self.facts),
            parameter_types: Vec::new(),
            renewable: false,
            keeps_rows_after: None,
        };
        Ok(self.engine.prepare(statement).await?)
    }
}

fn internal() -> SqlError {
    SqlError::new(SqlState::InternalError, "the condition of COPY gave other columns")
}
