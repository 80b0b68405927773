//! `pg_attribute`: columns.

use arrow_array::RecordBatch;
use lakegate_catalog::model::Identity;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::{Attribute, type_facts};
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let attributes: Vec<Attribute<'_>> = context.objects().classes().iter().flat_map(|class| class.attributes()).collect();
    let facts = |attribute: &Attribute<'_>| type_facts(attribute.data_type.oid);
    Columns::over(relation, &attributes)
        .only(context.columns)
        .put("attrelid", |attribute| attribute.relation)
        .put("attname", |attribute| &*attribute.name)
        .put("atttypid", |attribute| attribute.data_type.oid)
        .all("attstattarget", -1)
        .put("attlen", |attribute| facts(attribute).map_or(-1, |facts| facts.length))
        .put("attnum", |attribute| attribute.number)
        .put("attndims", |attribute| i32::from(facts(attribute).is_some_and(|facts| facts.category == "A")))
        .all("attcacheoff", -1)
        .put("atttypmod", |attribute| attribute.data_type.typmod)
        .put("attbyval", |attribute| facts(attribute).is_some_and(|facts| facts.by_value))
        .put("attalign", |attribute| facts(attribute).map_or("d", |facts| &facts.alignment))
        .put("attstorage", |attribute| facts(attribute).map_or("x", |facts| &facts.storage))
        .all("attcompression", "")
        .put("attnotnull", |attribute| attribute.not_null)
        .put("atthasdef", |attribute| attribute.default.is_some())
        .all("atthasmissing", false)
        .put("attidentity", |attribute| match attribute.identity {
            Some(Identity::Always) => "a",
            Some(Identity::ByDefault) => "d",
            None => "",
        })
        .put("attgenerated", |attribute| if attribute.generated { "s" } else { "" })
        .all("attisdropped", false)
        .all("attislocal", true)
        .all("attinhcount", 0)
        .put("attacl", |attribute| attribute.acl.map(|acl| context.snapshot.texts_of(acl)))
        .put("attcollation", |attribute| facts(attribute).map_or(0, |facts| facts.collation))
        .finish()
}
