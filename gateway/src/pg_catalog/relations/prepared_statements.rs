//! `pg_prepared_statements`: those of the session itself, of PREPARE and of the protocol's Parse.

use arrow_array::RecordBatch;
use lakegate_catalog::model::Oid;
use lakegate_engine_api::pg_type;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sql::named_statements::NamedStatement;
use crate::sql::prepare::downcast;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let statements: Vec<(&String, &NamedStatement)> = context.named.iter().collect();
    let executions = |named: &NamedStatement| downcast(&named.statement).map_or((0, 0), |statement| statement.executions());
    let types = |named: &NamedStatement| named.statement.parameters().iter().map(|field| pg_type(field).oid).collect::<Vec<Oid>>();
    Columns::over(relation, &statements)
        .put("name", |(name, _)| *name)
        .put("statement", |(_, named)| &*named.text)
        .put("prepare_time", |(_, named)| named.made)
        .put("parameter_types", |(_, named)| types(named))
        .put("from_sql", |(_, named)| named.from_sql)
        .put("generic_plans", |(_, named)| executions(named).0)
        .put("custom_plans", |(_, named)| executions(named).1)
        .finish()
}
