//! `pg_default_acl`: privileges of objects to come in this database.

use arrow_array::RecordBatch;
use lakegate_catalog::model::DefaultAcl;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let snapshot = context.snapshot;
    let database = context.objects().stored_database().map(|database| database.oid);
    let rows: Vec<&DefaultAcl> = snapshot.default_acls().map(|acl| &**acl).filter(|acl| Some(acl.database) == database).collect();
    Columns::over(relation, &rows)
        .put("oid", |row| row.oid)
        .put("defaclrole", |row| row.role)
        .put("defaclnamespace", |row| row.schema)
        .put("defaclobjtype", |row| row.kind.letter())
        .put("defaclacl", |row| snapshot.texts_of(&row.acl))
        .finish()
}
