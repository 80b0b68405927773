//! `pg_init_privs`: what PUBLIC may do with the system catalogs from the start, which pg_dump leaves out.

use arrow_array::RecordBatch;
use lakegate_catalog::model::Oid;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::ClassSource;
use crate::pg_catalog::recorded::Recorded;
use crate::pg_catalog::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::sqlstate::SqlError;

const PG_CLASS: Oid = 1259;
const PG_NAMESPACE: Oid = 2615;

struct Initial {
    class: Oid,
    object: Oid,
    acl: Vec<String>,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let objects = context.objects();
    let (classes, schemas) = (objects.classes(), objects.namespaces());
    let of_classes = classes
        .iter()
        .filter(|class| matches!(class.source, ClassSource::Recorded(_) | ClassSource::Server(_)))
        .map(|class| Initial { class: PG_CLASS, object: class.oid, acl: super::class::acl_of_system(context.snapshot, class.owner) });
    let of_schemas = schemas
        .iter()
        .filter(|schema| [PG_CATALOG, INFORMATION_SCHEMA].contains(&schema.name))
        .filter_map(|schema| Some(Initial { class: PG_NAMESPACE, object: schema.oid, acl: schema.acl.clone()? }));
    let rows: Vec<Initial> = of_classes.chain(of_schemas).collect();
    Columns::over(relation, &rows)
        .put("objoid", |row| row.object)
        .put("classoid", |row| row.class)
        .all("objsubid", 0)
        .all("privtype", "i")
        .put("initprivs", |row| row.acl.clone())
        .finish()
}
