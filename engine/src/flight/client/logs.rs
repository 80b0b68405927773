//! Logs go to an engine whole, as rows: it would have to ask its gateway for each part of them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::TryStreamExt as _;
use lakegate_engine_api::{BoundStatement, EngineError, LogPart, RelationSource};

/// # Errors
/// What reading them says.
pub async fn read(mut statement: BoundStatement) -> Result<BoundStatement, EngineError> {
    for relation in &mut statement.relations {
        if let RelationSource::Log { schema, records } = &relation.source {
            let part = LogPart { columns: (0..schema.fields().len()).collect(), ..LogPart::default() };
            let batches: Vec<RecordBatch> = records.read(part).try_collect().await?;
            relation.source = RelationSource::Rows { schema: Arc::clone(schema), batches: batches.into() };
        }
    }
    Ok(statement)
}
