//! A plan that an engine keeps.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{Effect, EngineError, Execution, ExecutionContext, ExecutionMetrics, Prepared};

use super::exchange::Work;
use super::holds::Holds;
use super::link::{Link, unexpected};
use super::scope::Scope;
use super::transaction::Released;
use crate::flight::wire::{Reply, Request, batches_to, schema_from};

pub struct RemotePrepared {
    pub link: Arc<Link>,
    pub number: u64,
    pub parameters: Vec<FieldRef>,
    pub result: Option<SchemaRef>,
    pub versions: Vec<(RelationName, u64)>,
    pub columns: Vec<(RelationName, Vec<String>)>,
    pub holds: Arc<Holds>,
    /// What is lost with an execution.
    pub effect: Effect,
    /// Of the statement; the plan asks of it whenever it runs.
    pub scope: Arc<Scope>,
    /// The engine keeps it no longer than this does.
    pub _kept: Released,
}

#[async_trait]
impl Prepared for RemotePrepared {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        self.result.as_ref()
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    fn columns_read(&self) -> Vec<(RelationName, Vec<String>)> {
        self.columns.clone()
    }

    /// Not on an engine that is about to end: it is planned anew on another.
    fn hold(&self) -> bool {
        !self.link.is_lost() && !self.link.is_draining() && self.holds.hold()
    }

    fn release(&self) {
        self.holds.release(&self.link.shared);
    }

    async fn hold_current(&self) -> Result<bool, EngineError> {
        if self.link.is_lost() || self.link.is_draining() {
            return Ok(false);
        }
        match Work::unnamed(Effect::None).reply(&self.link, Request::HoldCurrent { prepared: self.number }, None).await {
            Ok(Reply::Is(holds)) => {
                if holds {
                    self.holds.is_held();
                }
                Ok(holds)
            }
            Ok(other) => Err(unexpected(&other)),
            // It is planned anew, where somebody is.
            Err(EngineError::Lost { .. } | EngineError::Unavailable { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        self.holds.take();
        let parameters = if parameters.is_empty() { None } else { Some(parameters_to(&self.parameters, parameters)?) };
        let mut work = Work::of(&context, self.effect);
        work.transactions = self.scope.transactions.clone();
        // What was noted since it was planned comes before what it does.
        let transactions = work.transactions.iter().map(|mirror| mirror.named(&self.link)).collect::<Result<_, _>>()?;
        let request = Request::Execute { prepared: self.number, parameters, transactions };
        let mut exchange = work.begin(&self.link, request, None).await?;
        match exchange.reply().await? {
            Reply::Done(outcome) => {
                exchange.finish();
                Ok(Execution::Done(outcome))
            }
            Reply::Rows { schema, cache_origin } => {
                let metrics = Arc::new(ExecutionMetrics { cache_origin, ..ExecutionMetrics::default() });
                let stream = exchange.rows(Some(Arc::clone(&metrics)), Arc::clone(&self.scope));
                Ok(Execution::Rows { schema: schema_from(&schema)?, stream, metrics })
            }
            Reply::Returned { schema, outcome } => {
                let stream = exchange.rows(None, Arc::clone(&self.scope));
                Ok(Execution::Returned { schema: schema_from(&schema)?, stream, outcome })
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// Arrays of length 1 as a batch of one row.
fn parameters_to(fields: &[FieldRef], parameters: Vec<ArrayRef>) -> Result<Vec<u8>, EngineError> {
    let field = |(at, array): (usize, &ArrayRef)| {
        let metadata = fields.get(at).map(|field| field.metadata().clone()).unwrap_or_default();
        Field::new(format!("${}", at + 1), array.data_type().clone(), true).with_metadata(metadata)
    };
    let schema = Arc::new(Schema::new(parameters.iter().enumerate().map(field).collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), parameters)
        .map_err(|error| crate::error::internal(format!("parameters that are no row: {error}")))?;
    batches_to(&schema, &[batch])
}
