//! `pg_namespace`: schemas.

use arrow_array::RecordBatch;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let schemas = context.objects().namespaces();
    Columns::over(relation, &schemas)
        .only(context.columns)
        .put("oid", |schema| schema.oid)
        .put("nspname", |schema| schema.name)
        .put("nspowner", |schema| schema.owner)
        .put("nspacl", |schema| schema.acl.clone())
        .finish()
}
