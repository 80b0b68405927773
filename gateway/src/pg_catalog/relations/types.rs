//! `pg_type`: PostgreSQL's types, the row types of tables and views, and arrays of these.

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

/// Functions of every array.
const ARRAY_IN: Oid = 750;
const ARRAY_OUT: Oid = 751;
const ARRAY_RECEIVE: Oid = 2400;
const ARRAY_SEND: Oid = 2401;
const ARRAY_ANALYZE: Oid = 3816;
const ARRAY_SUBSCRIPT: Oid = 6179;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let classes: Vec<Class<'_>> = context.objects().user_classes().into_iter().filter(|class| class.row_type != 0).collect();
    let row_types = Columns::over(relation, &classes)
        .only(context.columns)
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
        .put("typarray", |class| array_of_row_type(class.row_type))
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
    let arrays = arrays(relation, &classes, context.columns)?;
    Ok(recorded::rows(relation)?.cloned().into_iter().chain(row_types).chain(arrays).collect())
}

fn arrays(relation: &'static Recorded, classes: &[Class<'_>], columns: Option<&[usize]>) -> Result<Vec<RecordBatch>, SqlError> {
    Columns::over(relation, classes)
        .only(columns)
        .put("oid", |class| array_of_row_type(class.row_type))
        .put("typname", |class| array_name(class.name))
        .put("typnamespace", |class| class.schema)
        .put("typowner", |class| class.owner)
        .all("typlen", -1)
        .all("typbyval", false)
        .all("typtype", "b")
        .all("typcategory", "A")
        .all("typispreferred", false)
        .all("typisdefined", true)
        .all("typdelim", ",")
        .all("typrelid", 0)
        .all("typsubscript", ARRAY_SUBSCRIPT)
        .put("typelem", |class| class.row_type)
        .all("typarray", 0)
        .all("typinput", ARRAY_IN)
        .all("typoutput", ARRAY_OUT)
        .all("typreceive", ARRAY_RECEIVE)
        .all("typsend", ARRAY_SEND)
        .all("typmodin", 0)
        .all("typmodout", 0)
        .all("typanalyze", ARRAY_ANALYZE)
        .all("typalign", "d")
        .all("typstorage", "x")
        .all("typnotnull", false)
        .all("typbasetype", 0)
        .all("typtypmod", -1)
        .all("typndims", 0)
        .all("typcollation", 0)
        .finish()
}

/// Arrays of rows have no number of their own: one is made of the row type's, above all that the catalog gives out.
pub const fn array_of_row_type(row_type: Oid) -> Oid {
    (1 << 31) | row_type
}

/// `makeArrayTypeName`: an underscore, and what of the name still fits.
pub fn array_name(name: &str) -> String {
    let end = (0..=name.len().min(62)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    format!("_{}", &name[..end])
}
