//! `pg_type`: PostgreSQL's types and the row types of tables and views.

use arrow_array::RecordBatch;
use lakegate_catalog::model::Oid;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::Class;
use crate::pg_catalog::recorded::{self, Recorded};
use crate::sqlstate::SqlError;

/// Functions of every composite type.
const RECORD_IN: Oid = 2290;
const RECORD_OUT: Oid = 2291;
const RECORD_RECEIVE: Oid = 2402;
const RECORD_SEND: Oid = 2403;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let classes: Vec<Class<'_>> = context.objects().user_classes().into_iter().filter(|class| class.row_type != 0).collect();
    let row_types = Columns::over(relation, &classes)
        .put("oid", |class| class.row_type)
        .put("typname", |class| class.name)
        .put("typnamespace", |class| class.schema)
        .put("typowner", |class| class.owner)
        .all("typlen", -1)
        .all("typbyval", false)
        .all("typtype", "c")
        .all("typcategory", "C")
        .all("typispreferred", false)
        .all("typisdefined", true)
        .all("typdelim", ",")
        .put("typrelid", |class| class.oid)
        .all("typsubscript", 0)
        .all("typelem", 0)
        .all("typarray", 0)
        .all("typinput", RECORD_IN)
        .all("typoutput", RECORD_OUT)
        .all("typreceive", RECORD_RECEIVE)
        .all("typsend", RECORD_SEND)
        .all("typmodin", 0)
        .all("typmodout", 0)
        .all("typanalyze", 0)
        .all("typalign", "d")
        .all("typstorage", "x")
        .all("typnotnull", false)
        .all("typbasetype", 0)
        .all("typtypmod", -1)
        .all("typndims", 0)
        .all("typcollation", 0)
        .finish()?;
    Ok(recorded::rows(relation)?.cloned().into_iter().chain(row_types).collect())
}
