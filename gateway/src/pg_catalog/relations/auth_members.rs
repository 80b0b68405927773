//! `pg_auth_members`: who belongs to which role.

use arrow_array::RecordBatch;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    Columns::over(relation, context.snapshot.memberships())
        .put("roleid", |membership| membership.role)
        .put("member", |membership| membership.member)
        .put("grantor", |membership| membership.grantor)
        .put("admin_option", |membership| membership.admin)
        .finish()
}
