//! `pg_authid`: roles. Passwords are never shown, not even as verifiers.

use arrow_array::RecordBatch;
use chrono::DateTime;
use lakegate_catalog::model::{BOOTSTRAP_ROLE_OID, Role};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let roles: Vec<&Role> = context.snapshot.roles().map(|role| &**role).collect();
    Columns::over(relation, &roles)
        .put("oid", |role| role.oid)
        .put("rolname", |role| &role.name)
        .put("rolsuper", |role| role.superuser)
        .put("rolinherit", |role| role.inherit)
        .put("rolcreaterole", |role| role.create_role)
        .put("rolcreatedb", |role| role.create_db)
        .put("rolcanlogin", |role| role.login)
        // As initdb makes the bootstrap superuser; no other role can be given it.
        .put("rolreplication", |role| role.oid == BOOTSTRAP_ROLE_OID)
        .put("rolbypassrls", |role| role.bypass_rls || role.oid == BOOTSTRAP_ROLE_OID)
        .put("rolconnlimit", |role| role.connection_limit)
        .put("rolvaliduntil", |role| role.valid_until.and_then(|seconds| DateTime::from_timestamp(seconds, 0)))
        .finish()
}
