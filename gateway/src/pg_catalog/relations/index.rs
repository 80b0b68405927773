//! `pg_index`: each PRIMARY KEY and UNIQUE constraint as an index, which is where clients look for keys. There is no other index, and
//! none of these speeds up or enforces anything. The index has the constraint's OID.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Constraint, ConstraintKind, Relation};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::{key_columns, keys, type_facts};
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let stored = context.objects().stored();
    let indexes: Vec<(&Relation, &Constraint)> =
        stored.iter().flat_map(|relation| keys(relation).map(move |key| (*relation, key))).collect();
    let count = |(_, key): &(&Relation, &Constraint)| i64::try_from(key_columns(key).len()).unwrap_or(i64::MAX);
    let zeros = |(_, key): &(&Relation, &Constraint)| vec![0_i64; key_columns(key).len()];
    let collations = |(relation, key): &(&Relation, &Constraint)| {
        let of = |name: &String| {
            relation.column(name).and_then(|(_, column)| type_facts(column.data_type.oid)).map_or(0, |facts| facts.collation)
        };
        key_columns(key).iter().map(of).collect::<Vec<_>>()
    };
    Columns::over(relation, &indexes)
        .put("indexrelid", |(_, key)| key.oid)
        .put("indrelid", |(relation, _)| relation.oid)
        .put("indnatts", count)
        .put("indnkeyatts", count)
        .all("indisunique", true)
        .all("indnullsnotdistinct", false)
        .put("indisprimary", |(_, key)| matches!(key.kind, ConstraintKind::PrimaryKey(_)))
        .all("indisexclusion", false)
        .all("indimmediate", true)
        .all("indisclustered", false)
        .all("indisvalid", true)
        .all("indcheckxmin", false)
        .all("indisready", true)
        .all("indislive", true)
        .all("indisreplident", false)
        .put("indkey", |(relation, key)| super::constraint::columns(relation, key))
        .put("indcollation", collations)
        .put("indclass", zeros)
        .put("indoption", zeros)
        .finish()
}
