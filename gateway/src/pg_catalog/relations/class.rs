//! `pg_class`: tables, views, and the indexes that stand for keys.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use lakegate_catalog::Snapshot;
use lakegate_catalog::model::{ConstraintKind, ObjectRef, Oid, Relation, VIEW_OPTIONS};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::{Class, ClassSource, Objects, keys};
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

/// `heap` in `pg_am`.
const HEAP: u32 = 2;
/// `btree` in `pg_am`.
const BTREE: u32 = 403;
/// `pg_global`.
const SHARED_TABLESPACE: u32 = 1664;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let snapshot = context.snapshot;
    let classes = context.objects().classes();
    let shared = |class: &Class<'_>| matches!(class.source, ClassSource::Recorded(recorded) if recorded.shared);
    let acl = |class: &Class<'_>| match class.source {
        ClassSource::Stored(stored) => snapshot.acl_texts(ObjectRef::Relation(stored.oid)),
        ClassSource::Key(..) | ClassSource::Index(..) => None,
        ClassSource::Recorded(_) | ClassSource::Server(_) => Some(acl_of_system(snapshot, class.owner)),
    };
    let is_temporary = |schema| snapshot.schema_by_oid(schema).is_some_and(|schema| crate::sql::temporary::is_temporary(&schema.name));
    // PostgreSQL keeps foreign keys by triggers on both tables, and clients ask for the keys where it says there are some.
    let in_foreign_keys: HashSet<Oid> = match context.wants(relation, "relhastriggers") {
        // The other table is any.
        true => Objects { only: None, ..context.objects() }.stored().into_iter().flat_map(tables_of_foreign_keys).collect(),
        false => HashSet::new(),
    };
    Columns::over(relation, &classes)
        .only(context.columns)
        .put("oid", |class| class.oid)
        .put("relname", |class| class.name)
        .put("relnamespace", |class| class.schema)
        .put("reltype", |class| class.row_type)
        .all("reloftype", 0)
        .put("relowner", |class| class.owner)
        .put("relam", |class| match class.kind {
            "r" | "m" => HEAP,
            "i" => BTREE,
            _ => 0,
        })
        .put("relfilenode", |class| if matches!(class.kind, "r" | "m" | "S") { class.oid } else { 0 })
        .put("reltablespace", |class| if shared(class) { SHARED_TABLESPACE } else { 0 })
        .all("relpages", 0)
        .all("reltuples", -1.0_f32)
        .all("relallvisible", 0)
        .all("reltoastrelid", 0)
        .put("relhasindex", |class| class.stored().is_some_and(|stored| keys(stored).next().is_some() || !stored.indexes.is_empty()))
        .put("relisshared", shared)
        .put("relpersistence", |class| if is_temporary(class.schema) { "t" } else { "p" })
        .put("relkind", |class| class.kind)
        .put("relnatts", |class| i64::try_from(class.column_count()).unwrap_or(i64::MAX))
        .put("relchecks", |class| class.stored().map_or(0, super::constraint::checks))
        .put("relhasrules", |class| matches!(class.kind, "v" | "m"))
        .put("relhastriggers", |class| in_foreign_keys.contains(&class.oid))
        .all("relhassubclass", false)
        .put("relrowsecurity", |class| class.stored().is_some_and(|stored| stored.row_security.enabled))
        .put("relforcerowsecurity", |class| class.stored().is_some_and(|stored| stored.row_security.forced))
        .put("relispopulated", |class| class.stored().is_none_or(crate::handlers::materialized_view::is_populated))
        .put("relreplident", |class| if matches!(class.kind, "r" | "m") && class.stored().is_some() { "d" } else { "n" })
        .all("relispartition", false)
        .all("relrewrite", 0)
        .all("relfrozenxid", 0)
        .all("relminmxid", 0)
        .put("relacl", acl)
        .put("reloptions", |class| {
            let properties = &class.stored()?.properties;
            let set = VIEW_OPTIONS.iter().filter_map(|option| Some(format!("{option}={}", properties.get(*option)?)));
            Some(set.collect::<Vec<_>>()).filter(|options| !options.is_empty())
        })
        .finish()
}

/// Everybody may read the system catalogs.
pub fn acl_of_system(snapshot: &Snapshot, owner: Oid) -> Vec<String> {
    vec![format!("=r/{}", snapshot.role_name(owner))]
}

fn tables_of_foreign_keys(relation: &Relation) -> impl Iterator<Item = Oid> {
    relation
        .constraints
        .iter()
        .filter_map(|constraint| match &constraint.kind {
            ConstraintKind::ForeignKey(key) => Some([relation.oid, key.table]),
            _ => None,
        })
        .flatten()
}
