//! `pg_rewrite`: the `_RETURN` rule of each view and materialized view, by which clients tell views and their queries.

use arrow_array::RecordBatch;
use lakegate_catalog::model::Relation;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let stored = context.objects().stored();
    let views: Vec<&Relation> = stored.into_iter().filter(|relation| relation.definition.is_some()).collect();
    Columns::over(relation, &views)
        .only(context.columns)
        .put("oid", |view| rule_oid(view))
        .all("rulename", "_RETURN")
        .put("ev_class", |view| view.oid)
        .all("ev_type", "1")
        .all("ev_enabled", "O")
        .all("is_instead", true)
        .all("ev_qual", "<>")
        .put("ev_action", |view| view.definition.as_ref())
        .finish()
}

/// Rules have no number of their own: one is made of the view's, above all that the catalog gives out.
pub fn rule_oid(view: &Relation) -> u32 {
    (1 << 31) | view.oid
}
