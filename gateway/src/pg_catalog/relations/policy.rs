//! `pg_policy`: row-level security policies of tables. The expressions are the SQL text, which is what `pg_get_expr` gives back.

use arrow_array::RecordBatch;
use lakegate_catalog::governance::{Policy, PolicyExpression};
use lakegate_catalog::model::Relation;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let stored = context.objects().stored();
    let policies: Vec<(&Relation, &Policy)> =
        stored.iter().flat_map(|relation| relation.row_security.policies.iter().map(move |policy| (*relation, policy))).collect();
    let text = |expression: &Option<PolicyExpression>| expression.as_ref().map(|expression| expression.text.clone());
    Columns::over(relation, &policies)
        .only(context.columns)
        .put("oid", |(_, policy)| policy.oid)
        .put("polname", |(_, policy)| &policy.name)
        .put("polrelid", |(relation, _)| relation.oid)
        .put("polcmd", |(_, policy)| policy.command.letter().to_string())
        .put("polpermissive", |(_, policy)| policy.permissive)
        .put("polroles", |(_, policy)| policy.roles.iter().map(|role| i64::from(*role)).collect::<Vec<i64>>())
        .put("polqual", move |(_, policy)| text(&policy.using))
        .put("polwithcheck", move |(_, policy)| text(&policy.check))
        .finish()
}
